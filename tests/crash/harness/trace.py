"""Faults in single system calls, by strace: an error, or death at the n-th of them.

They reach what goes through system calls one by one, which is the thread-pool backend; inside an
io_uring they would pass unseen. The trace says which file was hit, and that something was.
"""

import os
import re
import shutil
import subprocess

from broker import Skipped, wait_until

WRITES = "pwrite64,pwritev,pwritev2"
SYNCS = "fsync,fdatasync"
NAMES = "rename,renameat,renameat2,unlink,unlinkat"
CHANGES = ",".join((WRITES, SYNCS, NAMES, "ftruncate,fallocate"))


class Fault:
    """`what` is strace's word, "error=EIO" or "signal=KILL"; it comes at the n-th of the calls."""

    def __init__(self, work, calls, what, nth):
        if shutil.which("strace") is None:
            raise Skipped("strace is not installed")
        self.path = os.path.join(work, "trace.%s.%d" % (calls.split(",")[0], nth))
        self.prefix = ["strace", "-f", "-y", "-qq", "-o", self.path, "-e", "signal=none",
                       "-e", "trace=" + calls,
                       "-e", "inject=%s:%s:when=%d" % (calls, what, nth)]
        if what.startswith("error="):
            self.prefix.insert(1, "--seccomp-bpf")  # faster, but it never kills

    def attach(self, pid):
        """To a running process; otherwise `prefix` goes in front of its command."""
        command = [word for word in self.prefix if word != "--seccomp-bpf"]
        self._tracer = subprocess.Popen(command + ["-p", str(pid)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: _traced(pid) or self._tracer.poll() is not None, 10, "strace attaches")
        if not _traced(pid):
            raise Skipped("strace may not attach to processes here")

    def detach(self):
        """After the process has ended."""
        self._tracer.terminate()
        self._tracer.wait()

    def hits(self):
        """The calls that were hit, as strace prints them."""
        return [call for call in self._calls() if "(INJECTED)" in call]

    def last(self):
        """The call that the process died at."""
        calls = self._calls()
        died = [call for call in calls if call.endswith("= ?")]
        return (died or calls or [""])[-1]

    def _calls(self):
        """The lines of the trace; those that other threads interrupted are put together again."""
        if not os.path.exists(self.path):
            return []
        with open(self.path, errors="replace") as file:
            lines = file.read().split("\n")
        calls, begun = [], {}
        for line in lines:
            thread = line.split(" ", 1)[0]
            if line.endswith("<unfinished ...>"):
                begun[thread] = line[:-len("<unfinished ...>")]
            elif " resumed>" in line:
                calls.append(begun.pop(thread, "") + line.split(" resumed>", 1)[1])
            elif "(" in line:
                calls.append(line)
        return calls + list(begun.values())


def _traced(pid):
    """Every thread of the process; or it has ended already, of its first fault."""
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, thread)) as file:
                status = file.read()
            if "TracerPid:\t0\n" in status and "State:\tZ" not in status:
                return False
    except (FileNotFoundError, ProcessLookupError):
        pass
    return True


PARTS = (("journal", "journal"), ("checkpoint", "checkpoint"), ("raft", "raft"),
         (".log", "segment"), ("index", "index"), ("snapshot", "snapshot"), ("window", "snapshot"),
         ("meta", "metadata"))


def kind_of(call, directory):
    """What a traced call was about: a part of the data directory."""
    name = re.search(r"^\d+\s+(\w+)\(", call)
    path = re.search(re.escape(directory) + r'/?([^>"]*)', call)
    where = path.group(1) if path else ""
    part = next((called for word, called in PARTS if word in where), "a directory")
    return "%s of %s" % (name.group(1) if name else "a call", part)
