"""What the crash tests stand on: brokers, disks that lose power, load, faults."""
