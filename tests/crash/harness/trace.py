"""Faults in single system calls, by strace: an error, or death at the n-th of them.

They reach what goes through system calls one by one, which is the thread-pool backend; inside an
io_uring they would pass unseen. The trace says which file was hit, and that something was.
"""

import os
import re
import shutil

from broker import Skipped

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

    def hits(self):
        """The calls that were hit, as strace prints them."""
        if not os.path.exists(self.path):
            return []
        with open(self.path, errors="replace") as file:
            lines = file.read().split("\n")
        return [line for line in lines if "(INJECTED)" in line]

    def last(self):
        """The call that the process died at."""
        with open(self.path, errors="replace") as file:
            calls = [line for line in file.read().split("\n") if "(" in line]
        died = [line for line in calls if line.endswith("= ?")]
        return (died or calls or [""])[-1]


def kind_of(call, directory):
    """What a traced call was about: a part of the data directory."""
    name = re.search(r"^\d+\s+(\w+)\(", call)
    path = re.search(re.escape(directory) + r'/?([^>"]*)', call)
    where = path.group(1) if path else ""
    for part, called in (("journal", "journal"), ("checkpoint", "checkpoint"), ("raft", "raft"),
                         (".log", "segment"), ("index", "index"), ("snapshot", "snapshot")):
        if part in where:
            return "%s of %s" % (name.group(1) if name else "call", called)
    return "%s of %s" % (name.group(1) if name else "call", "other files")
