/* File systems of a test's own: small ones that fill up, ones that do not know O_DIRECT.
 *
 * The first mount moves the process into a mount namespace (and a user namespace, where it is not
 * root), so nobody else sees any of it and nothing is left behind. */
#ifndef CHRONIK_TESTS_IO_MOUNTS_H
#define CHRONIK_TESTS_IO_MOUNTS_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

/* Says why when it cannot. */
static inline bool mount_private(const char *type, const char *at, const char *options)
{
    static bool unshared;
    if (!unshared) {
        int flags = CLONE_NEWNS | (geteuid() != 0 ? CLONE_NEWUSER : 0);
        if (unshare(flags) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
            print_message("no mount namespace here: %s\n", strerror(errno));
            return false;
        }
        unshared = true;
    }
    if (mount("none", at, type, 0, options) != 0) {
        print_message("mounting a %s is refused here: %s\n", type, strerror(errno));
        return false;
    }
    return true;
}

static inline void unmount_private(const char *at)
{
    assert_int_equal(umount(at), 0);
}

#endif
