/* A bed for tests of groups: the state machine over a log in memory, whose commits the test gives
 * out by hand, and requests that are waited for. */
#ifndef CHRONIK_TESTS_COORD_GROUP_BED_H
#define CHRONIK_TESTS_COORD_GROUP_BED_H

#include "../support/test.h"

#include <chronik/coord/groups.h>
#include <chronik/io/timer.h>
#include <chronik/meta/image.h>

struct bed_record {
    struct coord_record record; /* its bytes are owned */
};

struct bed {
    struct coord_log log;
    struct loop *loop;
    struct diag diag;
    struct coord_memory memory;
    struct image *image;
    struct image_configs settings;
    struct groups *groups;
    struct bed_record *records;
    size_t n_records, cap;
    size_t n_committed;
    bool commits_at_once;   /* else bed_commit() does it */
    enum kafka_error refuse; /* appends */
    struct list waits;
    struct arena arena; /* of requests and replies */
};

/* Groups over an empty log; first rebalances do not wait, sessions may be short. `settings`:
 * "name=value" and a NULL, or NULL. */
void bed_open(struct bed *bed, const char *const *settings);
void bed_close(struct bed *bed);

/* Another coordinator takes over: the state goes, and is built from the log anew. */
void bed_reload(struct bed *bed);

/* What a replay of the log gives, all of it or only the last record of each key. */
uint64_t bed_replay_hash(struct bed *bed, bool compacted);

void bed_commit(struct bed *bed);
void bed_fail_waits(struct bed *bed, enum kafka_error error);

/* Runs the loop until it is true. */
void bed_run_until(struct bed *bed, bool (*is_true)(void *arg), void *arg);
void bed_run_ms(struct bed *bed, unsigned ms);

/* ---- requests ---------------------------------------------------------------------------------*/

struct bed_join {
    struct group_join join;
    struct join_group_request in;
    struct join_group_response out;
    struct join_group_request_protocol protocols[4];
    bool done;
};

/* A consumer named by `member` ("" is new), `instance` (NULL: dynamic), with the protocols "range"
 * and "roundrobin" and a subscription to topic "t". Owned by the bed. */
struct bed_join *bed_join(struct bed *bed, const char *group, struct text member,
                          const char *instance, int16_t version);
struct bed_join *bed_prepare_join(struct bed *bed, const char *group, struct text member,
                                  const char *instance, int16_t version);
void bed_send_join(struct bed *bed, struct bed_join *join);
struct bed_join *bed_joined(struct bed *bed, struct bed_join *join); /* waits */

struct bed_sync {
    struct group_sync sync;
    struct sync_group_request in;
    struct sync_group_response out;
    bool done;
};

/* `assignments`: "member=what" pairs are made of all members of `leader`; NULL: a follower's. */
struct bed_sync *bed_sync(struct bed *bed, const char *group, const struct join_group_response *me,
                          bool leads);

/* A dynamic member of a group of its own: joined, synced, stable. */
struct bed_join *bed_stable(struct bed *bed, const char *group);

enum kafka_error bed_heartbeat(struct bed *bed, const char *group, struct text member,
                               int32_t generation);
enum kafka_error bed_leave(struct bed *bed, const char *group, struct text member);
enum kafka_error bed_commit_offset(struct bed *bed, const char *group, struct text member,
                                   int32_t generation, const char *topic, int64_t offset);
int64_t bed_offset(struct bed *bed, const char *group, const char *topic); /* -1: none */
const char *bed_state(struct bed *bed, const char *group);                 /* NULL: no group */

#define assert_error(actual, expected)                                                             \
    assert_string_equal(kafka_error_name((enum kafka_error)(actual)), kafka_error_name(expected))

#endif
