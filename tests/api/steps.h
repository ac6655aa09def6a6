/* What the tests of the APIs do again and again. Every helper fails the test when it goes wrong. */
#ifndef CHRONIK_TESTS_API_STEPS_H
#define CHRONIK_TESTS_API_STEPS_H

#include "../support/client.h"
#include "../support/daemon.h"
#include "../support/test.h"

#include <chronik/wire/error.h>

/* Compares error codes by name, so that a failure can be read. */
#define assert_error(actual, expected)                                                             \
    assert_string_equal(kafka_error_name((enum kafka_error)(actual)), kafka_error_name(expected))

#define assert_text(actual, expected)                                                              \
    do {                                                                                           \
        char *text_ = text_dup(actual);                                                            \
        assert_string_equal(text_, expected);                                                      \
        free(text_);                                                                               \
    } while (0)

/* Group set-up and tear-down with one daemon for all tests of a program; `state` is the daemon. */
int start_daemon(void **state);
int stop_daemon(void **state);

/* The same for tests with groups: rebalances begin at once, sessions may be short. */
int start_daemon_for_groups(void **state);
extern const char *const GROUP_SETTINGS[];

/* Creates a topic; configs as "name=value", then NULL (or NULL for none). Returns its id. */
struct uuid make_topic(struct client *client, const char *name, int32_t partitions,
                       const char *const *configs);

/* ---- records -------------------------------------------------------------------------------- */

/* A batch of `n` records, values "PREFIX-0", "PREFIX-1" …, time stamps from `timestamp` on, one
 * millisecond apart. Bytes live until client_forget(). */
struct bytes make_batch(struct client *client, const char *prefix, int32_t n, int64_t timestamp);

/* Produces a batch to one partition and returns the partition's part of the reply. `version` as in
 * CALL. */
struct produce_response_partition *produce(struct client *client, int16_t version,
                                           const char *topic, int32_t partition, int16_t acks,
                                           struct bytes batch);

/* Produces `n` records in a batch of their own each and returns the last offset. */
int64_t produce_some(struct client *client, const char *topic, int32_t partition, int32_t n);

/* The offset that ListOffsets v7 gives for a time stamp (-1 latest, -2 earliest). */
int64_t list_offset(struct client *client, const char *topic, int32_t partition,
                    int64_t timestamp);

#endif
