/* One group (private to the coord layer).
 *
 * Two halves: `saved` and the offsets are what the log says, changed by groups_apply() only; all
 * else is the rebalance under way, in memory only. groups_loaded() makes the second out of the
 * first.
 *
 *        ┌────────── the last member left ──────────┐
 *        ▼                                          │
 *      EMPTY ── somebody joins ──> PREPARING ── all have joined, or the time is up ──> COMPLETING
 *                                     ▲                                                   │
 *                                     │ a member joins, leaves, goes silent               │
 *                                     ├───────────────────────────────────────────────────┤
 *                                     └────────────────────── STABLE <────────────────────┘
 *                                                       the leader's assignment is committed */
#ifndef CHRONIK_COORD_GROUP_H
#define CHRONIK_COORD_GROUP_H

#include <chronik/coord/groups.h>
#include <chronik/coord/record.h> /* generated from src/coord/schema/record.rec */

#include <chronik/base/map.h>
#include <chronik/base/states.h>
#include <chronik/io/timer.h>

struct groups {
    struct coord_log *log;
    struct map map; /* struct group, by id */
    struct map transactions; /* struct transaction (pending.c), by producer id */
    uint64_t seed;  /* of the maps */
    struct arena scratch; /* of apply: reset with each record */
    struct diag_limit silent; /* lines about silent members */

    /* Settings, as they are when the state is loaded. */
    int64_t retention_ms;       /* offsets.retention.minutes */
    uint64_t check_interval_ns; /* offsets.retention.check.interval.ms */
    int32_t initial_delay_ms, size_max, metadata_max;
    int32_t session_min_ms, session_max_ms;

    /* Expiry (expire.c): passes over all groups, some of them each turn. */
    struct timer expire;
    struct map_node *cursor; /* the group to look at next; NULL: no pass is under way */
    struct deleted_topic *deleted; /* whose offsets have to go */
    size_t n_deleted, deleted_cap;
};

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE };

struct group {
    struct map_node node;
    struct groups *groups;
    struct text id;

    /* What the log says. */
    struct bytes saved;   /* the value of its last GroupMetadata record; null: none */
    struct map topics;    /* struct offset_topic, by name */
    size_t n_offsets;
    struct list pending_offsets; /* struct pending_offset (pending.c), of open transactions */

    /* In memory. */
    unsigned state;          /* enum group_state */
    bool was_empty;          /* this rebalance is the first one since */
    int64_t state_since_ms;  /* wall-clock time; -1: unknown */
    int32_t generation;
    char *protocol_type;     /* NULL: a simple group */
    char *protocol;          /* NULL: none is chosen */
    struct group_member *leader; /* NULL: no members */
    struct map members;      /* struct group_member, by id */
    struct map instances;    /* the static ones, by instance id */
    struct map pending;      /* struct group_pending, by id */
    size_t n_awaiting_join, n_pending_sync;
    size_t bytes;            /* of members and pending ones */
    struct list saves;       /* struct group_save: records on their way */

    struct timer timer;      /* PREPARING: ends the join phase; later: ends the wait for syncs */
    int32_t delay_ms, remaining_ms; /* of the first rebalance: this delay, what may follow it */
    bool new_member_added;

    bool topics_known;       /* what the members of this generation subscribe to */
    struct text *subscribed; /* sorted */
    size_t n_subscribed;
    struct arena subscriptions;
};

struct group_protocol {
    struct text name;
    struct bytes metadata;
};

struct group_member {
    struct map_node node, by_instance;
    struct group *group;
    struct text id;
    struct text instance_id; /* null: a dynamic member */
    struct text client_id, client_host;
    int32_t rebalance_ms, session_ms;
    struct group_protocol *protocols; /* in order of preference; in `said` */
    size_t n_protocols;
    struct arena said;
    size_t bytes;            /* of what it said, and of its names */
    struct bytes assignment;
    bool is_new;             /* has not yet seen the end of a join phase */
    bool pending_sync;
    struct group_join *join; /* awaits the end of the join phase; NULL: it does not */
    struct group_sync *sync; /* awaits the assignment */
    struct timer session;
};

/* Somebody who was given a member id and has to join again with it (KIP-394). */
struct group_pending {
    struct map_node node;
    struct group *group;
    struct text id;
    struct timer session;
};

/* A GroupMetadata record on its way. */
struct group_save {
    struct coord_wait wait;
    struct list link; /* in group->saves */
    struct group *group;
    int32_t generation;
    void (*done)(struct group_save *save, enum kafka_error error);
    struct text member_id; /* of whom it was saved; null: all */
    struct text former_id; /* the id that it had before */
    int16_t version;       /* of that request */
};

/* ---- groups.c ---------------------------------------------------------------------------------*/

struct group *groups_find(const struct groups *groups, struct text id);
struct group *groups_make(struct groups *groups, struct text id); /* found, or new and empty */

/* More (or fewer) bytes of members, in the group and in all. */
void group_hold(struct group *group, size_t bytes);
void group_let_go(struct group *group, size_t bytes);

/* Frees a group of which nothing is left: not in the log, no members. False: there is. */
bool group_drop_if_gone(struct group *group);

void group_move(struct group *group, enum group_state state);
extern const struct state GROUP_STATES[];

/* ---- member.c ---------------------------------------------------------------------------------*/

struct group_member *group_member(const struct group *group, struct text id);
struct group_member *group_instance(const struct group *group, struct text instance_id);
struct group_pending *group_pending(const struct group *group, struct text id);

/* Is the caller who it says it is? KAFKA_NONE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
enum kafka_error group_check_member(const struct group *group, struct text id,
                                    struct text instance_id);

struct member_identity {
    struct text id, instance_id, client_id, client_host;
};

struct group_member *member_new(struct group *group, const struct member_identity *identity);
void member_free(struct group_member *member); /* out of its group; who leads is settled */

/* Takes over what a JoinGroup says. */
void member_update(struct group_member *member, const struct join_group_request *request,
                   int16_t version);
size_t member_bytes(const struct join_group_request *request);
void member_set_protocols(struct group_member *member, const struct group_protocol *protocols,
                          size_t n);
bool member_says(const struct group_member *member, const struct join_group_request *request);
void member_set_assignment(struct group_member *member, struct bytes assignment);

/* A static member gets another id: whoever used the old one is fenced. */
void member_rename(struct group_member *member, struct text id);

/* What it said about a protocol; "" where nothing. */
struct bytes member_metadata(const struct group_member *member, const char *protocol);

void pending_new(struct group *group, struct text id, int32_t session_ms);
void pending_free(struct group_pending *pending);

/* Can somebody with these protocols be a member beside the others? */
bool group_supports(const struct group *group, struct text type,
                    const struct join_group_request_protocol *protocols, int32_t n);

/* The protocol that all members know and most of them prefer. There are members. */
struct text group_vote(const struct group *group);

/* What the members of this generation subscribe to, as far as they are consumers. */
void group_learn_topics(struct group *group);
bool group_subscribes(const struct group *group, struct text topic);
bool group_of_consumers(const struct group *group);

/* ---- rebalance.c ------------------------------------------------------------------------------*/

enum { NEW_MEMBER_JOIN_MS = 5 * 60 * 1000 }; /* a new member that does not hear from us in so long
                                                has closed its connection */

/* Silence from here on for so long ends the membership. */
void member_expect(struct group_member *member, int64_t timeout_ms);
void member_expired(struct timer *timer);
void pending_expired(struct timer *timer);
void group_time_is_up(struct timer *timer);

/* Answers a waiting join or sync; harmless where none waits. */
void member_finish_join(struct group_member *member, enum kafka_error error, struct text id);
void member_finish_sync(struct group_member *member, enum kafka_error error);

/* The reply to a join in this generation; members for the leader. */
void member_welcome(struct group_member *member, struct group_join *join, bool with_members);

/* A member has come or changed: begins a rebalance, or ends its join phase where all are in. */
void group_rebalance(struct group *group);
void group_begin_rebalance(struct group *group);
void group_end_join_if_complete(struct group *group);

/* Appends the group as it is; assignments are those of its members. `done` when it is committed,
 * NULL: nobody waits. */
enum kafka_error group_append(struct group *group);
void group_wait(struct group *group, const struct group_save *template);

int32_t group_rebalance_ms(const struct group *group); /* the longest of its members */

/* ---- offsets.c --------------------------------------------------------------------------------*/

struct offset_topic {
    struct map_node node;
    struct map partitions; /* struct committed */
    struct text name;
};

struct committed {
    struct map_node node;
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int64_t committed_ms, expires_ms; /* -1: as configured */
    int64_t record_offset;            /* of its record in the log */
    struct uuid topic_id;
    uint32_t metadata_len;
    char metadata[];
};

void offsets_apply(struct groups *groups, const struct coord_record *record);
void offsets_free(struct group *group);

/* Takes the place of what was there, unless that is of a later record. */
void offset_put(struct group *group, const struct offset_commit_key *key,
                const struct offset_commit_value *value, int64_t record_offset);
uint64_t offsets_hash(const struct group *group);

/* Is it an offset of a topic that was deleted? (Another one has its name now.) */
bool offset_is_stale(const struct image_topic *now, const struct committed *committed);

void offset_put_tombstone(struct coord_batch *batch, struct text group_id, struct text topic,
                          int32_t partition);
void group_put_tombstone(struct coord_batch *batch, struct text group_id);

/* ---- pending.c --------------------------------------------------------------------------------*/

/* An offset came with a transaction; a marker ended one. */
void pending_add(struct group *group, const struct coord_record *record,
                 const struct offset_commit_key *key, const struct offset_commit_value *value);
void pending_end(struct groups *groups, const struct coord_record *marker);

bool pending_has(const struct group *group, struct text topic, int32_t partition);
void pending_remove(struct group *group, struct text topic, int32_t partition);
void pending_forget(struct group *group); /* all of them */
void transactions_release(struct groups *groups);
uint64_t pending_hash(const struct groups *groups);

/* ---- expire.c ---------------------------------------------------------------------------------*/

struct deleted_topic {
    struct uuid id;
    char *name;
};

void expire_init(struct groups *groups);
void expire_release(struct groups *groups);
void expire_start(struct groups *groups);
void expire_group_gone(struct groups *groups, struct group *group);

static inline uint64_t groups_hash_text(const struct groups *groups, struct text t)
{
    return hash_bytes(groups->seed, t.data, t.len);
}

/* A copy that is owned, null stays null; and back. */
struct text text_keep(struct text t);
static inline void text_drop(struct text *t)
{
    free((char *)t->data);
    *t = TEXT_NULL;
}

#endif
