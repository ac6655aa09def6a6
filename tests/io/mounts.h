/* File systems of a test's own: small ones that fill up, ones that do not know O_DIRECT.
 *
 * mounts_begin() moves the process into a mount namespace (and a user namespace, where it is not
 * root): nobody else sees the mounts and nothing is left behind. It comes first in main(), since
 * threads that are there already would stay outside. */
#ifndef CHRONIK_TESTS_IO_MOUNTS_H
#define CHRONIK_TESTS_IO_MOUNTS_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

static bool mounts_are_private;

static inline void mounts_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

/* Who is not root becomes it, in a user namespace where it is worth nothing outside. */
static inline bool mounts_become_root(void)
{
    char uid_map[64], gid_map[64];
    snprintf(uid_map, sizeof uid_map, "0 %u 1", (unsigned)geteuid());
    snprintf(gid_map, sizeof gid_map, "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWUSER) != 0) {
        return false;
    }
    mounts_write("/proc/self/setgroups", "deny");
    mounts_write("/proc/self/gid_map", gid_map);
    mounts_write("/proc/self/uid_map", uid_map);
    return geteuid() == 0;
}

static inline void mounts_begin(void)
{
    mounts_are_private = (geteuid() == 0 || mounts_become_root()) && unshare(CLONE_NEWNS) == 0 &&
                         mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Mounts over an existing directory; says why when it cannot. */
static inline bool mount_here(const char *type, const char *at, const char *options)
{
    if (!mounts_are_private) {
        print_message("mount namespaces are refused here\n");
        return false;
    }
    if (mount("none", at, type, 0, options) != 0) {
        print_message("mounting a %s is refused here: %s\n", type, strerror(errno));
        return false;
    }
    return true;
}

static inline void unmount_here(const char *at)
{
    assert_int_equal(umount(at), 0);
}

#endif
