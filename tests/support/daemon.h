/* A real chronikd for a test: its own process, its own directory, a free port on loopback. */
#ifndef CHRONIK_TESTS_SUPPORT_DAEMON_H
#define CHRONIK_TESTS_SUPPORT_DAEMON_H

#include <chronik/base/mem.h>

struct daemon {
    char directory[64]; /* data and output of the process */
    int pid;            /* 0: not running */
    uint16_t port;
    unsigned starts;
};

/* Makes a directory; nothing runs yet. */
void daemon_init(struct daemon *daemon);

/* Starts the daemon and waits until it serves. `settings`: "key=value" strings and a NULL at the
 * end, or NULL. The test fails, with the process's last words, when it does not come up. The
 * environment may say how files are read and written: CHRONIK_TEST_IO=uring or threads. */
void daemon_start(struct daemon *daemon, const char *const *settings);

/* SIGTERM; the test fails unless the process ends with 0 (a sanitizer's finding is not 0). */
void daemon_stop(struct daemon *daemon);

/* SIGKILL. */
void daemon_kill(struct daemon *daemon);

/* What the running process, or the last one, has written. The caller frees it. */
char *daemon_output(const struct daemon *daemon);

/* Stops it when it runs, and removes the directory. */
void daemon_release(struct daemon *daemon);

#endif
