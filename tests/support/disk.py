"""An ext4 file system in an image file whose power can be cut.

The cut is ext4's shutdown ioctl without a flush of its journal: what was not synced is gone after
the next mount, as after a power failure. Writing back random ranges of pages before the cut, from
this process, makes what survives arbitrary: any page of any file may be on the disk or not.

Images are mounted in a mount namespace of this process's own. One that others copy (`ip netns exec`
does) would keep an unmounted file system alive in their copy: the next mount would find it still
shut down.
"""

import ctypes
import fcntl
import os
import random
import struct
import subprocess
import threading
import time

from broker import Skipped, Failed

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
CLONE_NEWNS = 0x00020000
PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER


def _run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


_has_own_mounts = False


def _own_mounts():
    global _has_own_mounts
    if _has_own_mounts:
        return
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise Skipped("no mount namespace: " + os.strerror(ctypes.get_errno()))
    _run("mount", "--make-rprivate", "/")
    _has_own_mounts = True


def unmount_left_over(work):
    """Of a run that was killed."""
    if os.path.ismount(os.path.join(work, "disk")):
        _run("umount", os.path.join(work, "disk"))
    for line in _run("losetup", "--noheadings", "--output", "NAME",
                     "--associated", os.path.join(work, "disk.img")).stdout.split():
        _run("losetup", "--detach", line)


class Disk:
    """Use as a context: made and mounted inside, unmounted behind, and removed if all went well."""

    def __init__(self, work, mebibytes):
        self.image = os.path.join(work, "disk.img")
        self.path = os.path.join(work, "disk")
        self.mebibytes = mebibytes
        self.cuts = 0
        self.cuts_that_lost = 0
        self.mounted = False

    def __enter__(self):
        with open(self.image, "wb") as file:
            file.truncate(self.mebibytes << 20)
        os.makedirs(self.path)
        made = _run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        if made.returncode != 0:
            raise Skipped("no ext4 image: " + made.stdout.strip())
        # One loop device for all mounts: two at the same image would not see each other's writes.
        _own_mounts()
        attached = _run("losetup", "--find", "--show", self.image)
        if attached.returncode != 0:
            raise Skipped("loop devices are refused: " + attached.stdout.strip())
        self.device = attached.stdout.strip()
        self.mount()
        return self

    def __exit__(self, failure, *_):
        self.unmount()
        self._detach()
        if failure is None:
            os.unlink(self.image)

    def _detach(self):
        _run("losetup", "--detach", self.device)

    def mount(self):
        mounted = _run("mount", self.device, self.path)
        if mounted.returncode != 0:
            self._detach()
            raise Skipped("mounting is refused: " + mounted.stdout.strip())
        self.mounted = True

    def unmount(self):
        """Ends when the kernel has let go of the file system, not only of its name."""
        kept = os.path.join("/proc/fs/ext4", os.path.basename(self.device))
        for _ in range(200):
            if self.mounted:
                self.mounted = _run("umount", self.path).returncode != 0
            if not self.mounted and not os.path.exists(kept):
                return
            time.sleep(0.05)
        raise Failed("the image stays busy: %s" % (self.path if self.mounted else kept))

    def cut(self):
        """Cuts the power. A file that was never synced shows afterwards that something was lost."""
        self._canary = os.path.join(self.path, "canary.%d" % self.cuts)
        with open(self._canary, "wb") as file:
            file.write(b"x" * PAGE)
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise Skipped("no shutdown of file systems here: %s" % error)
        finally:
            os.close(directory)
        self.cuts += 1

    def power_on(self):
        """Mounts again; nobody may have a file open any more."""
        self.unmount()
        self.mount()
        try:
            self.cuts_that_lost += self._canary_lost()
        except OSError:
            # About once in a hundred cuts ext4 keeps the name of a file that it never made: its
            # shutdown lets a block go that a real power failure would not have written.
            self.unmount()
            _run("e2fsck", "-fy", self.device)
            self.mount()
            self.cuts_that_lost += self._canary_lost()

    def _canary_lost(self):
        try:
            with open(self._canary, "rb") as file:
                lost = file.read() != b"x" * PAGE
            os.unlink(self._canary)
            return lost
        except FileNotFoundError:
            return True

    def fill(self, leave=0):
        """Fills the file system up to `leave` bytes; returns the file that takes the space."""
        path = os.path.join(self.path, "filler")
        with open(path, "ab") as file:
            size = 1 << 24
            while size >= PAGE:
                space = os.statvfs(self.path)
                if space.f_bavail * space.f_frsize < leave + size:
                    size //= 2
                    continue
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
                except OSError:
                    size //= 2
        return path


class Scatter:
    """Writes random ranges of the files below `path` back to the disk until stopped."""

    def __init__(self, path, seed):
        self.path = path
        self.random = random.Random(seed)
        self.ranges = 0
        self.commits = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _files(self):
        return [os.path.join(root, name) for root, _, names in os.walk(self.path)
                for name in names]

    def _work(self):
        while not self._stop.wait(self.random.random() * 0.01):
            try:
                files = self._files()
                if files and self.random.random() < 0.9:
                    self._write_back(self.random.choice(files))
                else:
                    self._commit()
            except OSError:
                pass  # files come and go, and so does the disk

    def _write_back(self, path):
        file = os.open(path, os.O_RDONLY)
        try:
            pages = os.fstat(file).st_size // PAGE + 1
            start = self.random.randrange(pages)
            n = self.random.randrange(1, 16)
            _libc.sync_file_range(file, start * PAGE, n * PAGE, WRITE_AND_WAIT)
            self.ranges += 1
        finally:
            os.close(file)

    def _commit(self):
        """Syncs a file of our own: ext4's journal then commits the metadata of all."""
        file = os.open(os.path.join(self.path, ".scatter"), os.O_WRONLY | os.O_CREAT)
        try:
            os.fsync(file)
            self.commits += 1
        finally:
            os.close(file)
