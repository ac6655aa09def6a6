"""The groups of a journal (docs/data-files.md): where the last write lies, to tear it."""

import os
import struct

from broker import Failed
from .wire import crc32c

BLOCK = 4096
GROUP_HEADER = 40
CHUNK_MAGIC = b"CHRONIKJ"
GROUP_MAGIC = b"CKgr"


class Group:
    def __init__(self, path, at, lsn, size):
        self.path = path
        self.at = at        # in the chunk's file
        self.lsn = lsn
        self.size = size    # header and records, without what fills the last block

    def bytes(self):
        with open(self.path, "rb") as file:
            file.seek(self.at)
            return file.read(self.size)


def _groups_of(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != CHUNK_MAGIC:
        return
    salt, at = data[48:64], BLOCK
    while data[at:at + 4] == GROUP_MAGIC and data[at + 8:at + 24] == salt:
        lsn, length = struct.unpack(">QI", data[at + 24:at + 36])
        size = GROUP_HEADER + length
        if crc32c(data[at + 8:at + size]) != struct.unpack(">I", data[at + 4:at + 8])[0]:
            return
        yield Group(path, at, lsn, size)
        at += -(-size // BLOCK) * BLOCK


def last_group(directory):
    """The group that was written last in the journal of a data directory."""
    journal = os.path.join(directory, "journal")
    groups = [group for name in os.listdir(journal)
              for group in _groups_of(os.path.join(journal, name))]
    if not groups:
        raise Failed("no group in %s" % journal)
    return max(groups, key=lambda group: group.lsn)
