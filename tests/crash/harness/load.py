"""The load: crash_load (tests/crash/load.c) as a process, and its verdicts."""

import os
import re
import signal
import subprocess

from broker import Failed, Skipped, wait_until


class Load:
    """Records with known ids to one topic; the acknowledgement log is in `work`."""

    def __init__(self, program, broker, work, topic="crash", partitions=3, record_bytes=1000):
        if not os.access(program, os.X_OK):
            raise Skipped("no load generator at %s" % program)
        self.program = program
        self.broker = broker
        self.topic = topic
        self.partitions = partitions
        self.record_bytes = record_bytes
        self.acked_path = os.path.join(work, "%s.%s.acked" % (
            topic, os.path.basename(broker.directory)))
        self.runs = 0
        self.unordered = False  # records of plain producers may change places
        self.process = None

    def _arguments(self, command):
        return [self.program, command, "-b", self.broker.bootstrap, "-t", self.topic,
                "-n", str(self.partitions), "-s", str(self.record_bytes), "-a", self.acked_path]

    def _run(self, command, *arguments, seconds=120):
        try:
            return subprocess.run(self._arguments(command) + list(arguments), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed("crash_load %s did not end within %d s" % (command, seconds))

    def create_topic(self, **configs):
        arguments = []
        for name, value in configs.items():
            arguments += ["-c", "%s=%s" % (name.replace("_", "."), value)]
        created = self._run("create", *arguments)
        if created.returncode != 0:
            raise Failed("the topic could not be made: " + created.stdout)

    def start(self, idempotent=2, plain=1, rate=0, count=0, timeout_ms=120000):
        """Begins to write; acknowledgements of several starts go to one log."""
        self.runs += 1
        arguments = self._arguments("write") + [
            "-R", str(self.runs), "-i", str(idempotent), "-p", str(plain), "-r", str(rate),
            "-k", str(count), "-T", str(timeout_ms)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True,
                                        stdin=subprocess.DEVNULL)

    def acked(self):
        """Bytes of the acknowledgement log: grows with every acknowledged record."""
        return os.path.getsize(self.acked_path) if os.path.exists(self.acked_path) else 0

    def n_acked(self):
        if not os.path.exists(self.acked_path):
            return 0
        with open(self.acked_path, "rb") as file:
            return sum(1 for _ in file)

    def wait_for_progress(self, seconds=30, lines=50):
        """Waits until some more records have been acknowledged."""
        goal = self.acked() + lines * 20
        wait_until(lambda: self.acked() >= goal or self._ended(), seconds,
                   "%d acknowledgements" % lines)
        if self.process.poll() is not None:
            raise Failed("the load ended early: " + self.process.stdout.read())
        self._check_broker()

    def _ended(self):
        return self.process.poll() is not None or not self.broker.alive()

    def _check_broker(self):
        if not self.broker.alive():
            raise Failed("the broker ended; the end of %s:\n%s" % (
                self.broker.output_path, self.broker.output()[-1500:]))

    def finish(self, seconds=150):
        """Lets it come to its end; its counts. Fails when a producer met a fatal error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        wait_until(self._ended, seconds, "the load ends")
        self._check_broker()
        output = self.wait()
        if self.process.returncode != 0:
            raise Failed("the load: " + output)
        return output

    def wait(self, seconds=150):
        try:
            return self.process.communicate(timeout=seconds)[0].strip()
        except subprocess.TimeoutExpired:
            self.abandon()
            raise Failed("the load did not end within %d s" % seconds)

    def abandon(self):
        """Ends it as it is; what it acknowledged counts."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check(self, seconds=300, stall_ms=20000):
        """Compares what is there with what was acknowledged; the counts, or Failed."""
        checked = self._run("check", "-T", str(stall_ms), "-u", str(int(self.unordered)),
                            seconds=seconds)
        if checked.returncode == 1:
            raise Lost(checked.stdout.strip())
        if checked.returncode != 0:
            raise Failed("the comparison was not possible: " + checked.stdout.strip())
        return Counts(checked.stdout)

    def trim(self, offset):
        return self._run("trim", "-o", str(offset)).returncode == 0


class Lost(Failed):
    """Acknowledged records are missing, misplaced, repeated, reordered or damaged."""


class Counts(dict):
    """The last line of crash_load check: "acknowledged 5 read 7 lost 0 …"."""

    def __init__(self, output):
        self.text = output.strip().split("\n")[-1]
        super().__init__((name, int(n)) for name, n in re.findall(r"(\w+) (-?\d+)", self.text))
