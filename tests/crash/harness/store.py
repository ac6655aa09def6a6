"""Load straight on the storage layer: crash_store (tests/crash/store.c) as a process."""

import os
import signal
import subprocess

from broker import Failed, Skipped, wait_until
from .load import Counts, Lost


class Store:
    """Writes to the logs of one directory, run after run; each run's ids are its own."""

    def __init__(self, program, directory, work, logs=4, io="auto"):
        if not os.access(program, os.X_OK):
            raise Skipped("no storage load at %s" % program)
        self.program = program
        self.directory = directory
        self.output_path = os.path.join(work, "store.log")
        self.acked_path = os.path.join(work, "store.acked")
        self.logs = logs
        self.io = io
        self.runs = 0
        self.process = None
        self.prefix = []

    def _arguments(self, command, seed=0):
        return self.prefix + [
            self.program, command, "-d", self.directory, "-a", self.acked_path, "-n",
            str(self.logs), "-R", str(self.runs), "-S", str(seed), "-I", self.io]

    def start(self, seed):
        self.runs += 1
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(self._arguments("write", seed), stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def acked(self):
        return os.path.getsize(self.acked_path) if os.path.exists(self.acked_path) else 0

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_for_progress(self, lines=100, seconds=20):
        goal = self.acked() + 20 * lines
        wait_until(lambda: self.acked() >= goal or not self.alive(), seconds, "acknowledgements",
                   pause=0.002)
        if not self.alive():
            raise Failed("crash_store ended with %s; see %s"
                         % (self.process.returncode, self.output_path))

    def kill(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # also what a tracer left behind
        except ProcessLookupError:
            pass
        self.process.wait()
        wait_until(self._all_gone, 10, "the process has ended", pause=0.002)

    def _all_gone(self):
        try:
            os.killpg(self.process.pid, 0)
            return False
        except ProcessLookupError:
            return True

    def stop(self, seconds=20):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed("crash_store did not stop within %d s" % seconds)
        if code != 0:
            raise Failed("crash_store stopped with %d; see %s" % (code, self.output_path))

    def check(self, seconds=60):
        checked = subprocess.run(self._arguments("check"), stdout=subprocess.PIPE, text=True,
                                 stderr=subprocess.STDOUT, timeout=seconds)
        if checked.returncode == 1:
            raise Lost(checked.stdout.strip())
        if checked.returncode != 0:
            raise Failed("the comparison was not possible: " + checked.stdout.strip())
        return Counts("\n".join(line for line in checked.stdout.split("\n")
                                if line.startswith("acknowledged")))
