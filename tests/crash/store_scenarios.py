"""What the storage layer must survive, without a broker around it: many more crashes a minute.

As in scenarios.py. crash_store appends to small logs that roll, checkpoint, are cut and trimmed all
the time; a crash meets any of that.
"""

import os
import time

from harness import trace
from disk import Disk, Scatter
from broker import Failed


def let_it_run(test, store, most=0.15):
    store.start(test.random.randrange(1 << 30))
    store.wait_for_progress()
    time.sleep(test.random.uniform(0, most))


def store_kill9(test):
    """SIGKILL in the midst of it, over and over; now and then all is compared."""
    store = test.store(test.directory("data"))
    try:
        for round in range(test.rounds(10)):
            let_it_run(test, store)
            store.kill()
            test.fired("kill")
            if round % 4 == 3:
                test.note(store.check().text)
        let_it_run(test, store)
        store.stop()
        no_orphans(store.directory)
        test.note(store.check().text)
    finally:
        store.kill()


def no_orphans(directory):
    """After a clean stop no index is there without its segment, no window without its snapshot."""
    for root, _, names in os.walk(directory):
        for name in names:
            base, suffix = os.path.splitext(name)
            owner = {".index": ".log", ".timeindex": ".log", ".window": ".snapshot"}.get(suffix)
            if owner and base + owner not in names:
                raise Failed("%s has no %s beside it" % (os.path.join(root, name), owner))


def store_power_cut(test):
    """The power fails in the midst of it; any page that was not synced may be lost."""
    with Disk(test.work, 64) as disk:
        store = test.store(disk.path + "/data")
        try:
            for round in range(test.rounds(12)):
                with Scatter(disk.path, test.random.random()) as scatter:
                    let_it_run(test, store)
                    disk.cut()
                    store.kill()
                test.fired("power cut")
                test.fired("range written back", scatter.ranges)
                disk.power_on()
                if round % 3 == 2:
                    test.note(store.check().text)
            test.note(store.check().text)
        finally:
            store.kill()
        test.fired("cut that lost something", disk.cuts_that_lost)


def store_crash_at_call(test):
    """Death at the n-th system call that changes something, in recovery and behind it."""
    directory = test.directory("data")
    store = test.store(directory, io="threads")
    try:
        let_it_run(test, store)
        store.kill()
        for _ in range(test.rounds(8)):
            nth = 1 + int(test.random.expovariate(1 / 15))
            calls = test.random.choice((trace.CHANGES, trace.NAMES, trace.SYNCS, trace.WRITES))
            fault = trace.Fault(test.work, calls, "signal=KILL", nth)
            store.prefix = fault.prefix
            store.start(test.random.randrange(1 << 30))
            for _ in range(100):
                if not store.alive():
                    test.fired("death at " + trace.kind_of(fault.last(), directory))
                    break
                time.sleep(0.02)
            store.kill()
            store.prefix = []
            store.check()
    finally:
        store.kill()


def store_error_at_call(test):
    """A system call fails once: the directory goes offline, and nothing acknowledged is lost."""
    directory = test.directory("data")
    store = test.store(directory, io="threads")
    try:
        for round in range(test.rounds(4)):
            calls = (trace.WRITES, trace.SYNCS)[round % 2]
            error = ("error=EIO", "error=ENOSPC")[round // 2 % 2]
            fault = trace.Fault(test.work, calls, error, test.random.randint(5, 30))
            store.prefix = fault.prefix
            store.start(test.random.randrange(1 << 30))
            for _ in range(100):
                if fault.hits():
                    break
                time.sleep(0.02)
            for hit in fault.hits()[:1]:
                test.fired("%s at %s" % (error, trace.kind_of(hit, directory)))
            time.sleep(0.1)
            store.kill()
            store.prefix = []
            test.note(store.check().text)
    finally:
        store.kill()


ALL = [store_kill9, store_power_cut, store_crash_at_call, store_error_at_call]
