"""What a broker must survive. A scenario is a function of a test; its docstring is what it shows.

A scenario counts every fault that it saw fire with `test.fired(...)`; one that fired none has shown
nothing and fails. It raises Skipped where the machine does not allow it, Failed or Lost otherwise.
"""

import contextlib
import os
import shutil
import time

from harness import journal, trace, wire
from disk import Disk, Scatter
from harness.load import Lost
from broker import Failed, Skipped, wait_until

# Small chunks and segments: rolls and checkpoints come often, and a directory is quickly copied.
SMALL = {"chronik.journal.chunk.bytes": 1 << 20, "chronik.journal.bytes": 8 << 20}
SMALL_TOPIC = {"segment_bytes": 1 << 20}


@contextlib.contextmanager
def running_load(test, broker, **options):
    """Broker and load run; behind, the load is finished, all is compared, the broker stopped."""
    load = test.load(broker)
    broker.start()
    load.create_topic(**SMALL_TOPIC)
    load.start(**options)
    try:
        load.wait_for_progress()
        yield load
        finish(test, broker, load)
    finally:
        load.abandon()
        broker.kill()


def finish(test, broker, load):
    test.note(load.finish())
    test.note(load.check().text)
    stop(broker)


def stop(broker):
    if broker.stop() not in (0, 143):
        raise Failed("the broker did not stop cleanly; see %s" % broker.output_path)


# ---- processes and power -------------------------------------------------------------------------


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
            for _ in range(test.rounds(4)):
                with Scatter(disk.path, test.random.random()) as scatter:
                    time.sleep(test.random.uniform(0.05, 0.3))
                    cut(test, disk, broker)
                test.fired("range written back", scatter.ranges)
                disk.power_on()
                broker.start()
                load.wait_for_progress()
        test.fired("cut that lost something", disk.cuts_that_lost)


def killed_then_power_cut(test):
    """A process is killed, the next one believes the page cache, then the power fails."""
    with Disk(test.work, 512) as disk:
        broker = test.broker(disk.path + "/data")
        with running_load(test, broker) as load:
            for _ in range(test.rounds(3)):
                time.sleep(test.random.uniform(0.05, 0.2))
                broker.kill()
                test.fired("kill")
                broker.start()
                load.wait_for_progress(lines=5)
                cut(test, disk, broker)
                disk.power_on()
                broker.start()
                load.wait_for_progress()
        test.fired("cut that lost something", disk.cuts_that_lost)


def cut(test, disk, broker):
    disk.cut()
    broker.kill()
    test.fired("power cut")


# ---- the last write ----------------------------------------------------------------------------


def write_two_parts(test, name="data", settle=0):
    """A killed directory; its last group holds a record that the load does not count."""
    broker = test.broker(test.directory(name), SMALL)
    load = test.load(broker)
    last = test.load(broker, topic="last", partitions=1)
    try:
        broker.start()
        load.create_topic()
        last.create_topic()
        load.start(count=2000)
        load.wait()
        time.sleep(settle)
        last.start(idempotent=0, plain=1, count=1)
        last.wait()
    finally:
        broker.kill()
    return broker.directory, load


def recovers(test, directory, load):
    """Starts a broker over the directory: all that was acknowledged is there, and it goes on."""
    broker = test.broker(directory, SMALL)
    load.broker = broker
    try:
        broker.start()
        load.check()
        stop(broker)
    finally:
        broker.kill()


def tear(test, how, pieces):
    """For each of `pieces`: a copy of the directory, damaged in its last group, must recover."""
    directory, load = write_two_parts(test)
    group = journal.last_group(directory)
    for piece in pieces(group):
        copy = os.path.join(test.work, "copy")
        shutil.copytree(directory, copy)
        with open(os.path.join(copy, os.path.relpath(group.path, directory)), "r+b") as file:
            how(file, group, piece)
        recovers(test, copy, load)
        test.fired("torn group")
        shutil.rmtree(copy)
    recovers(test, directory, load)


def journal_cut(test):
    """The journal ends at some byte of its last group: all that lies before it is there."""

    def pieces(group):
        everywhere = range(group.size)
        n = test.rounds(12)
        return everywhere if n >= group.size else sorted(test.random.sample(everywhere, n))

    def zero_behind(file, group, at):
        file.seek(group.at + at)
        file.write(bytes(-(-group.size // journal.BLOCK) * journal.BLOCK - at))

    tear(test, zero_behind, pieces)


def journal_torn(test):
    """Only some sectors of 512 bytes of the last group reached the disk."""

    def pieces(group):
        sectors = -(-group.size // 512)
        return [test.random.sample(range(sectors), test.random.randint(1, sectors))
                for _ in range(test.rounds(6))]

    def overwrite(file, group, sectors):
        for sector in sectors:
            file.seek(group.at + 512 * sector)
            old = bytes(512) if test.random.random() < 0.5 else test.random.randbytes(512)
            file.write(old)

    tear(test, overwrite, pieces)


def bit_rot(test):
    """A bit or a few bytes are wrong: what is served is right, and what is missing is reported."""
    in_journal = write_two_parts(test)
    in_segments = write_two_parts(test, "settled", 1.5)
    for round in range(test.rounds(8)):
        directory, load = (in_journal, in_segments)[round % 2]
        files = [os.path.join(root, name) for root, _, names in os.walk(directory)
                 for name in names]
        victim = test.random.choice([path for path in files if os.path.getsize(path) > 0])
        copy = os.path.join(test.work, "copy")
        shutil.copytree(directory, copy)
        wrong = test.random.choice(("bit flipped", "bytes overwritten"))
        rot(os.path.join(copy, os.path.relpath(victim, directory)), wrong, test.random)
        test.fired(wrong)
        test.note("%s: %s" % (os.path.relpath(victim, directory), survives(test, copy, load)))
        shutil.rmtree(copy)


def rot(path, wrong, random):
    """In the part of the file that is in use: large files end in zeros that nobody wrote."""
    with open(path, "r+b") as file:
        used = len(file.read().rstrip(b"\0")) or 1
        at = random.randrange(used)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        bit = bytes([byte ^ 1 << random.randrange(8)])
        file.write(bit if wrong == "bit flipped" else random.randbytes(min(16, used - at)))


def survives(test, directory, load):
    """Repaired, or reported; records lost without a word, or served damaged, are a failure."""
    broker = test.broker(directory, SMALL)
    load.broker = broker
    try:
        broker.launch()
        wait_until(lambda: broker.serves() or not broker.alive(), 20, "the broker decides")
        if not broker.alive():
            return said_why(broker, "refused to start")
        try:
            load.check(stall_ms=3000)
            return "repaired"
        except Lost as lost:
            if " damaged 0 " not in str(lost):
                raise
            return said_why(broker, str(lost))
        except Failed as failure:
            return said_why(broker, str(failure))
    finally:
        broker.kill()


def said_why(broker, what):
    if "damage" not in broker.output() and " ERROR " not in broker.output():
        raise Failed("%s, and nothing is said about it in %s" % (what, broker.output_path))
    return "reported"


# ---- failing system calls ------------------------------------------------------------------------


def threads_broker(test, directory):
    """The faults act on system calls: the thread-pool backend makes one for each request."""
    if test.options.kafka:
        raise Skipped("for chronikd only")
    return test.broker(directory, SMALL, io="threads")


@contextlib.contextmanager
def fault_in(test, broker, calls, what):
    """Brings a fault about in one of the next calls of each of the broker's threads."""
    fault = trace.Fault(test.work, calls, what, test.random.randint(1, NTH[calls]))
    fault.attach(broker.pid())
    try:
        yield fault
    finally:
        broker.kill()
        fault.detach()


NTH = {trace.WRITES: 8, trace.SYNCS: 2, trace.NAMES: 1, "openat": 2}  # the latest call to be hit


def failing_calls(test, calls, rounds):
    """One call fails under load; nothing that depends on it is acknowledged, then or later."""
    for round in range(test.rounds(rounds)):
        directory = test.directory("data.%d" % round)
        broker = threads_broker(test, directory)
        with running_load(test, broker) as load:
            with fault_in(test, broker, calls, "error=EIO") as fault:
                wait_until(fault.hits, 30, "a failing call")
                time.sleep(0.3)
                in_journal = any("/journal" in hit for hit in fault.hits())
                before = load.acked()
                time.sleep(0.5)
                if in_journal and load.acked() > before:
                    raise Failed("acknowledged after a failed journal write")
            for hit in fault.hits():
                test.fired("EIO at " + trace.kind_of(hit, directory))
            broker.start()
            load.wait_for_progress()


def write_error(test):
    """A write fails with EIO: nothing more is acknowledged until a restart."""
    failing_calls(test, trace.WRITES, 2)


def sync_error(test):
    """A sync fails with EIO, once: what it should have made durable is not believed."""
    failing_calls(test, trace.SYNCS, 2)


def crash_in_recovery(test):
    """Death at the n-th change that recovery makes, for every n, and recovery again."""
    directory = test.directory("data")
    broker = threads_broker(test, directory)
    with running_load(test, broker) as load:
        broker.kill()
        for nth in range(1, test.rounds(10) + 1):
            fault = trace.Fault(test.work, trace.CHANGES, "signal=KILL", nth)
            broker.prefix = fault.prefix
            broker.launch()
            wait_until(lambda: not broker.alive() or broker.serves(), 30, "death or service")
            if not broker.alive():
                test.fired("death at " + trace.kind_of(fault.last(), directory))
            broker.kill()
        broker.prefix = []
        broker.start()
        load.wait_for_progress()


def crash_at_change(test):
    """Death at a rename, a sync, a write or an opened file: in rolls, checkpoints, trims."""
    directory = test.directory("data")
    broker = threads_broker(test, directory)
    groups = list(NTH)
    with running_load(test, broker) as load:
        for round in range(test.rounds(len(groups))):
            with fault_in(test, broker, groups[round % len(groups)], "signal=KILL") as fault:
                with contextlib.suppress(Failed):
                    wait_until(lambda: not broker.alive(), 10, "death")
                if not broker.alive():
                    test.fired("death at " + trace.kind_of(fault.last(), directory))
            broker.start()
            load.trim(test.random.randrange(1000))
            load.wait_for_progress()


# ---- a full disk, and flags ----------------------------------------------------------------------


def disk_full(test):
    """No space: produce is refused, reads go on, and it recovers when there is room."""
    with Disk(test.work, 256) as disk:
        broker = test.broker(disk.path + "/data", SMALL)
        probe = test.load(broker, topic="probe", partitions=1)
        with running_load(test, broker, rate=500) as load:
            # A plain librdkafka producer sends the request that it built before it heard that the
            # one in front was refused, with max.in.flight=1 too: its records may change places.
            load.unordered = True
            probe.create_topic()
            filler = disk.fill()
            refused = wait_until(lambda: wire.produce(broker.port, "probe", 0, b"x" * 1000), 30,
                                 "a record is refused")
            test.fired("produce refused")
            test.note("the error code was %d" % refused)
            test.note("while full: " + load.check().text)
            os.unlink(filler)
            wait_until(lambda: wire.produce(broker.port, "probe", 0, b"x") == 0, 30,
                       "a record is accepted again")
            load.wait_for_progress()


def journal_flags(test):
    """The journal's descriptor bypasses the page cache, and its writes are durable."""
    if test.options.kafka:
        raise Skipped("for chronikd only")
    broker = test.broker(test.directory("data"))
    with running_load(test, broker):
        found = descriptors(broker.pid(), os.path.join(broker.directory, "journal"))
        writing = {path: flags for path, flags in found.items() if flags & os.O_ACCMODE}
        if not writing:
            raise Failed("no descriptor of a journal file that is open for writing")
        for path, flags in writing.items():
            if not flags & os.O_DIRECT or not flags & os.O_DSYNC:
                raise Failed("%s is open with flags %o" % (path, flags))
            test.fired("descriptor with O_DIRECT and O_DSYNC")


def descriptors(pid, below):
    """The flags of the process's open files below a directory."""
    found = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        path = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        if path.startswith(below + "/"):
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
            found[path] = int(fields["flags"], 8)
    return found


ALL = [kill9, power_cut, killed_then_power_cut, journal_cut, journal_torn, bit_rot, write_error,
       sync_error, crash_in_recovery, crash_at_change, disk_full, journal_flags]
