/* The groups of one partition of __consumer_offsets: members of classic groups, committed offsets.
 *
 * What the log holds, and nothing else, survives: for each group the generation that was stable
 * last, and for each partition that it reads the offset committed last. Rebalances under way, and
 * who has said what when, live in memory: a new coordinator starts from the last stable generation,
 * and members that are alive say so within their session time-outs.
 *
 * The requests are Kafka's, as decoded; so are the errors (Kafka 4.4: GroupMetadataManager,
 * OffsetMetadataManager, ClassicGroup). A group id, member id, or protocol that is null is a bug of
 * the caller. */
#ifndef CHRONIK_COORD_GROUPS_H
#define CHRONIK_COORD_GROUPS_H

#include <chronik/coord/log.h>
#include <chronik/wire/api.h>

struct groups;
struct image_topic;

enum {
    GROUP_BYTES_MAX = 16 << 20,  /* of what all members of a group say of themselves */
    GROUP_PROTOCOLS_MAX = 100,   /* of a member */
    GROUP_CLIENT_ID_MAX = 1000,  /* bytes of it that are kept */
};

/* The rows of coord_machines; `state` is a struct groups. */
void *groups_new(struct coord_log *log);
void groups_free(void *state);
void groups_apply(void *state, const struct coord_record *record);
void groups_loaded(void *state);
void groups_topic_deleted(void *state, const struct image_topic *topic);
uint64_t groups_hash(const void *state);

/* The log they live in: for coord_wait() behind a commit or before an answer. */
struct coord_log *groups_log(struct groups *groups);

/* ---- members ----------------------------------------------------------------------------------*/

/* A JoinGroup under way: may stay for a whole rebalance. Embedded by the handler. */
struct group_join {
    const struct join_group_request *request;
    struct join_group_response *reply; /* out; has its defaults */
    int16_t version;
    struct text client_id, client_host; /* may be null */
    struct arena *arena;                /* of what the reply points to */
    void (*done)(struct group_join *join); /* once; perhaps from inside groups_join() */
};

/* Makes somebody a member, or lets a member join again; `done` with a generation or an error. */
void groups_join(struct groups *groups, struct group_join *join);

/* A SyncGroup under way: until the leader's assignment is committed. */
struct group_sync {
    const struct sync_group_request *request;
    struct sync_group_response *reply;
    struct arena *arena;
    void (*done)(struct group_sync *sync);
};

/* Asks for the assignment; the leader brings it. */
void groups_sync(struct groups *groups, struct group_sync *sync);

/* A sign of life; REBALANCE_IN_PROGRESS: join again. */
enum kafka_error groups_heartbeat(struct groups *groups, const struct heartbeat_request *request);

/* Takes members out; `results` has one entry for each, its error is filled in. UNKNOWN_MEMBER_ID:
 * there is no such group. */
enum kafka_error groups_leave(struct groups *groups, struct text group_id,
                              const struct leave_group_request_member *members, size_t n,
                              struct leave_group_response_member *results);

/* ---- offsets ----------------------------------------------------------------------------------*/

/* One partition's committed offset; a view. */
struct group_offset {
    struct text topic;
    struct uuid topic_id; /* zero: not known */
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* -1: unknown */
    struct text metadata;
};

struct group_commit {
    struct text group_id, member_id;
    struct text instance_id; /* null: none */
    int32_t generation;      /* -1: from outside of the group */
    int16_t version;         /* of OffsetCommit */
    int64_t retention_ms;    /* -1: as configured */
    const struct group_offset *offsets;
    int16_t *errors;         /* out: of each offset */
    size_t n;
};

/* Commits: then the caller waits until it is committed in the log. Else the error is that of all
 * offsets. */
enum kafka_error groups_commit(struct groups *groups, const struct group_commit *commit);

/* What is committed (or on its way: wait before it is told). False: nothing. A topic that was
 * deleted and made again has nothing. */
bool groups_offset(const struct groups *groups, struct text group_id, struct text topic,
                   int32_t partition, struct group_offset *ret_offset);

/* Did an offset come with a transaction that is still open? UNSTABLE_OFFSET_COMMIT for those who
 * require stable ones (KIP-447). */
bool groups_offset_is_pending(const struct groups *groups, struct text group_id,
                              struct text topic, int32_t partition);

/* Every offset of a group, one topic after the other. */
void groups_each_offset(const struct groups *groups, struct text group_id,
                        void (*visit)(void *arg, const struct group_offset *offset), void *arg);

/* Deletes offsets; of `offsets` topic and partition count. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP; for
 * single ones GROUP_SUBSCRIBED_TO_TOPIC. */
enum kafka_error groups_delete_offsets(struct groups *groups, struct text group_id,
                                       const struct group_offset *offsets, int16_t *errors,
                                       size_t n);

/* ---- administration ---------------------------------------------------------------------------*/

struct group_listing {
    struct text id;
    struct text protocol_type; /* "" of a simple group */
    const char *state;         /* "Stable" */
};

/* Visits every group, simple ones among them. */
void groups_each(const struct groups *groups,
                 void (*visit)(void *arg, const struct group_listing *listing), void *arg);

/* Fills in all but the id. False: there is no such group. */
bool groups_describe(const struct groups *groups, struct text group_id, struct arena *arena,
                     struct describe_groups_response_group *ret_group);

/* Deletes a group without members, and its offsets. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP. */
enum kafka_error groups_delete(struct groups *groups, struct text group_id);

#endif
