"""Load and verdict against a cluster that somebody else runs, and breaks if he likes."""

import time

from workload import Load

PRODUCERS = {"idempotent": 2, "plain": 1, "consumers": 1, "rate": 200}


def judge(load):
    """Reads everything and compares; the summary."""
    load.read()
    summary, _ = load.judge()
    return summary


def run(options):
    topic = "chaos-%d" % time.time()
    load = Load(options.load, options.bootstrap, options.work, topic, partitions=6)
    load.create_topic(options.replication)
    print("topic %s: load for %d s" % (topic, options.seconds), flush=True)
    load.start(**PRODUCERS)
    try:
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            time.sleep(min(5, max(0, end - time.monotonic())))
            load.check_running()
            print("%7d records acknowledged, longest gap %.0f ms" % (
                sum(load.tail.counts(6).values()), load.tail.take_gap_ms()), flush=True)
        load.finish()
        return judge(load)
    finally:
        load.abandon()
