/* What the tests of the io layer share: a loop that runs until enough has happened, a directory. */
#ifndef CHRONIK_TESTS_IO_IO_TEST_H
#define CHRONIK_TESTS_IO_IO_TEST_H

#include "../support/test.h"

#include <chronik/io/file.h>
#include <chronik/io/loop.h>
#include <unistd.h>

/* Stops the loop when `pending` things have happened. */
struct wait {
    struct loop *loop;
    unsigned pending;
};

static inline void wait_for(struct wait *wait, struct loop *loop, unsigned n)
{
    *wait = (struct wait){ .loop = loop, .pending = n };
}

static inline void happened(struct wait *wait)
{
    assert_true(wait->pending > 0);
    if (--wait->pending == 0) {
        loop_stop(wait->loop);
    }
}

static inline struct loop *new_loop(void)
{
    struct loop *loop;
    assert_int_equal(loop_new(LOOP_AUTO, &loop), 0);
    return loop;
}

/* A new directory, under $TMPDIR or /tmp; test_dir_remove() removes it and what is in it. */
static inline char *test_dir(void)
{
    const char *under = getenv("TMPDIR");
    char *dir = mem_sprintf("%s/chronik-io-XXXXXX", under ? under : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void test_dir_remove(char *dir)
{
    assert_int_equal(dir_remove_all(dir), 0);
    free(dir);
}

#endif
