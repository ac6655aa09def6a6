"""What a broker must survive. Each scenario is a function of a test; its docstring is what it shows.

A scenario counts every fault that it saw fire with `test.fired(...)`; one that fired none has shown
nothing and fails. It raises Skipped where the machine does not allow it, and Failed or Lost otherwise.
"""

import contextlib
import time

from harness.broker import Failed, wait_until
from harness.disk import Disk, Scatter


@contextlib.contextmanager
def running_load(test, broker, **options):
    """Broker and load run; behind, the load is finished, everything compared, the broker stopped."""
    load = test.load(broker)
    broker.start()
    load.create_topic(**options.pop("configs", {}))
    load.start(**options)
    try:
        load.wait_for_progress()
        yield load
        test.note(load.finish())
        test.note(load.check().text)
        broker.stop()
    finally:
        load.abandon()
        broker.kill()


def kill9(test):
    """SIGKILL under load, and start again: every acknowledged record is there, once, in order."""
    broker = test.broker(test.directory("data"))
    with running_load(test, broker) as load:
        for _ in range(test.rounds(5)):
            time.sleep(test.random.uniform(0.05, 0.3))
            broker.kill()
            test.fired("kill")
            broker.start()
            load.wait_for_progress()


def power_cut(test):
    """The power fails under load; any page that was not synced may be lost, in any order."""
    with Disk(test.work, 512) as disk:
        broker = test.broker(disk.path + "/data")
        with running_load(test, broker) as load:
            for round in range(test.rounds(4)):
                with Scatter(disk.path, test.random.random()):
                    time.sleep(test.random.uniform(0.05, 0.3))
                    _cut(test, disk, broker)
                disk.power_on()
                broker.start()
                load.wait_for_progress()
        test.fired("power cut that lost something", disk.cuts_that_lost)


def killed_then_power_cut(test):
    """A process is killed and started again, believes what the page cache says, then the power fails."""
    with Disk(test.work, 512) as disk:
        broker = test.broker(disk.path + "/data")
        with running_load(test, broker) as load:
            for _ in range(test.rounds(3)):
                time.sleep(test.random.uniform(0.05, 0.2))
                broker.kill()
                test.fired("kill")
                broker.start()
                load.wait_for_progress(lines=5)
                _cut(test, disk, broker)
                disk.power_on()
                broker.start()
                load.wait_for_progress()
        test.fired("power cut that lost something", disk.cuts_that_lost)


def _cut(test, disk, broker):
    disk.cut()
    broker.kill()
    test.fired("power cut")


ALL = [kill9, power_cut, killed_then_power_cut]
