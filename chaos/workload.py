"""The load: chaos_load as a process, its history, and the verdict on it."""

import os
import re
import signal
import subprocess
import time

from broker import Failed, wait_until

# librdkafka waits long before it looks again; a test of failover does not.
QUICK = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "topic.metadata.refresh.fast.interval.ms": 20,
    "topic.metadata.refresh.interval.ms": 1000,
    "socket.timeout.ms": 5000,
    "linger.ms": 1,
    "batch.num.messages": 20,
}
FIRST_READER = 1000  # number of a process
ACKED = re.compile(rb'"time":(\d+),"type":"ok","f":"send","value":\[\["send",(\d+),')

KEY = re.compile(r"key (\d+): (\d+) acknowledged, (\d+) there")


class Load:
    """Clients of one topic; several commands add to one history."""

    def __init__(self, program, bootstrap, work, topic="chaos", partitions=3, settings=None):
        self.program = program
        self.bootstrap = bootstrap
        self.topic = topic
        self.partitions = partitions
        self.settings = QUICK if settings is None else settings
        self.history = os.path.join(work, "history.jsonl")
        self.errors = os.path.join(work, "load.log")
        self.processes = 0  # so many have a number in the history
        self.readers = 0
        self.process = None
        self.tail = Tail(self.history)

    def _command(self, command, *arguments):
        settings = [word for pair in self.settings.items() for word in ("-X", "%s=%s" % pair)]
        return [self.program, command, "-b", self.bootstrap, "-t", self.topic,
                "-n", str(self.partitions), "-H", self.history, *settings, *map(str, arguments)]

    def _run(self, command, *arguments, seconds=120):
        try:
            done = subprocess.run(self._command(command, *arguments), text=True, timeout=seconds,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            raise Failed("chaos_load %s did not end within %d s" % (command, seconds))
        if done.returncode != 0:
            raise Failed("chaos_load %s: %s" % (command, done.stdout.strip()))

    def create_topic(self, replication, **configs):
        arguments = ["-r", replication]
        for name, value in configs.items():
            arguments += ["-C", "%s=%s" % (name.replace("_", "."), value)]
        self._run("create", *arguments)

    def start(self, idempotent=1, plain=0, consumers=0, rate=0, count=0, timeout_ms=120000):
        """Begins to send, and to read along."""
        arguments = ["-i", idempotent, "-p", plain, "-c", consumers, "-R", rate, "-k", count,
                     "-T", timeout_ms, "-P", self.processes]
        self.processes += idempotent + plain + consumers
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(self._command("send", *arguments), stderr=errors,
                                            stdout=errors, stdin=subprocess.DEVNULL)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def check_running(self):
        if not self.running():
            raise Failed("the load ended early: %s" % self.said())

    def said(self):
        with open(self.errors, errors="replace") as file:
            return file.read()[-1000:].strip()

    def wait(self, seconds=150):
        """Until everything was sent and answered."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise Failed("the load did not end within %d s" % seconds)
        if code != 0:
            raise Failed("the load: %s" % self.said())

    def finish(self, seconds=150):
        """Stops sending, and waits for the answers that are due."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        self.wait(seconds)

    def abandon(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def wait_for_progress(self, seconds=30, records=3):
        """Until some records more were acknowledged in every partition."""
        goal = {k: n + records for k, n in self.tail.counts(self.partitions).items()}

        def reached():
            self.check_running()
            counts = self.tail.counts(self.partitions)
            return all(counts[k] >= goal[k] for k in goal)
        wait_until(reached, seconds, "records are acknowledged in every partition", 0.02)

    def read(self, seconds=120, stall_ms=20000):
        """Reads everything, from start to end."""
        self.readers += 1
        self._run("read", "-P", FIRST_READER + self.readers, "-T", stall_ms, seconds=seconds)

    def judge(self):
        """What chaos_check says of the history: a summary, and what is there of each partition."""
        checker = os.path.join(os.path.dirname(self.program), "check", "chaos_check")
        done = subprocess.run([checker, "--keys", self.history], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Failed(done.stdout.strip())
        *lines, summary = done.stdout.splitlines()
        keys = {int(k): (int(acked), int(there))
                for k, acked, there in (KEY.fullmatch(line).groups() for line in lines)}
        return summary, keys


class Tail:
    """Acknowledgements in a history that is being written."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.rest = b""
        self.n_acked = {}
        self.last_ns = 0
        self.longest_ns = 0  # between two acknowledgements, since take_gap()

    def _advance(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            file.seek(self.at)
            data = self.rest + file.read()
            self.at = file.tell()
        whole, _, self.rest = data.rpartition(b"\n")
        for match in ACKED.finditer(whole):
            now_ns, k = int(match.group(1)), int(match.group(2))
            self.n_acked[k] = self.n_acked.get(k, 0) + 1
            if self.last_ns:
                self.longest_ns = max(self.longest_ns, now_ns - self.last_ns)
            self.last_ns = now_ns

    def counts(self, partitions):
        self._advance()
        return {k: self.n_acked.get(k, 0) for k in range(partitions)}

    def take_gap_ms(self):
        """The longest time without any acknowledgement since the last call."""
        self._advance()
        longest, self.longest_ns = self.longest_ns, 0
        return longest / 1e6


def first_ack_ms(history, partitions, since_ns):
    """Time from `since_ns` to the first acknowledgement in one of the partitions; None: none."""
    with open(history, "rb") as file:
        times = [int(match.group(1)) for match in ACKED.finditer(file.read())
                 if int(match.group(2)) in partitions and int(match.group(1)) >= since_ns]
    return (min(times) - since_ns) / 1e6 if times else None


def now_ns():
    """The clock of the history."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)
