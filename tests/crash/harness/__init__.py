"""What the crash tests stand on: disks that lose power, load, faults. Brokers come from
tests/support."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "support"))
