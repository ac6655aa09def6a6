/* One replica of a partition on this node: a log, and the role that the metadata gives it.
 *
 * The metadata (chronik/meta/image.h) says who leads, in which epoch, and who is in sync; this
 * struct follows it and never decides any of that. A leader appends what producers send, learns how
 * far the in-sync replicas have durably come, and moves the high watermark:
 *
 *     high watermark = the smallest durable end over the in-sync set (docs/durability.md, rule 6)
 *
 * Whatever moves only marks the partition dirty; the advance step recomputes the high watermark
 * once a turn and wakes who waits: produces in order of their offsets, fetches through their
 * watches. */
#ifndef CHRONIK_REPLICA_PARTITION_H
#define CHRONIK_REPLICA_PARTITION_H

#include <chronik/io/loop.h>
#include <chronik/replica/fetcher.h>
#include <chronik/replica/isr.h>
#include <chronik/replica/refusals.h>
#include <chronik/storage/log.h>

struct replicas;
struct topic_replicas;
struct image_partition;

enum partition_role {
    PARTITION_OFFLINE,  /* no leader, or the log is missing, deleted or on a failed directory */
    PARTITION_BECOMING, /* leads, but its own tail is not durable yet: no writes (rule 10) */
    PARTITION_LEADER,
    PARTITION_FOLLOWER,
};

struct partition {
    struct replicas *replicas;
    struct topic_replicas *topic;
    int32_t index;
    unsigned role; /* enum partition_role, moved along PARTITION_STATES */
    struct log *log; /* NULL: the directory is offline */

    int32_t leader;          /* node id, -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch; /* of the metadata this follows */
    bool recovering;         /* after an unclean election (KIP-704): committed records may be cut */
    struct isr isr;          /* of a leader */
    struct followed followed; /* of a follower */
    int64_t epoch_start;     /* the log's end when this leader began (KIP-207) */
    int64_t high_watermark;

    struct loop_task advance;    /* queued while dirty */
    struct list committed_waits; /* acks=all: until the high watermark passes; in offset order */
    struct list durable_waits;   /* acks=1: until the leader's own durable end passes */
    struct list watches;         /* struct partition_watch: fetches that want to hear of news */
    bool appended;               /* since the last advance step */
    struct refusals *refusals;   /* NULL until something was refused */
};

/* Creates the replica; the log is found or made in the store. Role and epochs come with
 * partition_follow(). */
struct partition *partition_new(struct replicas *replicas, struct topic_replicas *topic,
                                int32_t index);

/* Answers everything that waits with NOT_LEADER_OR_FOLLOWER, or UNKNOWN_TOPIC_OR_PARTITION where
 * `deleted`, and frees. With `deleted` the log is deleted as well. */
void partition_free(struct partition *p, bool deleted);

/* Takes over what the metadata says now. When another node leads, every produce that waits is
 * answered with NOT_LEADER_OR_FOLLOWER; while nobody does, or when this node leads in another epoch
 * than before, they stay: their records are in the log. */
void partition_follow(struct partition *p, const struct image_partition *state);

/* The directory failed: nothing is served or acknowledged any more. */
void partition_fail(struct partition *p);

/* May a client with that idea of the leader epoch (-1: none) read or write here? KAFKA_NONE,
 * NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH (KIP-320), KAFKA_STORAGE_ERROR.
 * */
enum kafka_error partition_check_leader(const struct partition *p, int32_t client_epoch);

/* The log of a follower was cut, and may be cut further before the last call of this. */
void partition_was_cut(struct partition *p);

/* The same for a reader that any replica may serve (KIP-392): a follower, too. */
enum kafka_error partition_check_replica(const struct partition *p, int32_t client_epoch);

/* Records were appended: followers hear of it in this turn. */
void partition_appended(struct partition *p);

/* What a consumer may see ends here: the high watermark (the last stable offset once there are
 * transactions). */
int64_t partition_visible_end(const struct partition *p);

/* May ListOffsets(latest) be answered? Not before the high watermark has reached the start of the
 * leader's epoch: offsets that a client has seen must not go back (KIP-207). */
bool partition_offsets_settled(const struct partition *p);

/* ---- producing -------------------------------------------------------------------------------*/

/* One partition's part of a Produce request. Embedded by the handler; stays until `done`. */
struct produce {
    struct list link;          /* in a waiting list of the partition */
    const struct batch *batch; /* in: validated; its bytes are stamped in place */
    int16_t acks;              /* in: 0, 1, -1 */
    void (*done)(struct produce *produce); /* in: called once, never from partition_produce() */
    void *arg;                 /* in */
    enum kafka_error error;    /* out */
    const char *message;       /* out: static, or NULL */
    int64_t base_offset, last_offset; /* out */
    int64_t log_append_ms;     /* out: -1 with create time */
    int64_t log_start;         /* out */
};

enum produce_outcome {
    PRODUCE_DONE,    /* refused, or acks=0: the result is final, `done` will not be called */
    PRODUCE_WAITS,   /* for durability, or for the in-sync set: `done` follows */
    PRODUCE_NO_ROOM, /* nothing was appended: come again when the store has room */
};

/* Appends the batch where this replica leads, the in-sync set is large enough, and the producer
 * state says that it is new. */
enum produce_outcome partition_produce(struct partition *p, struct produce *produce);

/* Appends a batch that the broker itself has built, as acks=all would: for those who keep their
 * state in a topic (chronik/coord), and who learn from a watch how far the high watermark has come.
 * KAFKA_NONE and the offset of its first record; NOT_LEADER_OR_FOLLOWER; NOT_ENOUGH_REPLICAS;
 * THROTTLING_QUOTA_EXCEEDED: the store has no room now; MESSAGE_TOO_LARGE; KAFKA_STORAGE_ERROR. */
enum kafka_error partition_append(struct partition *p, const struct batch *batch,
                                  int64_t *ret_base_offset);

/* Takes a produce that waits out of the list, since its request has timed out. The error for it:
 * REQUEST_TIMED_OUT, or NOT_ENOUGH_REPLICAS_AFTER_APPEND when the in-sync set has become too small
 * (rule 8). */
enum kafka_error partition_produce_cancel(struct partition *p, struct produce *produce);

/* ---- watching --------------------------------------------------------------------------------*/

/* Tells a fetch that a partition has something new: a higher visible end, another leader or epoch,
 * its deletion (`partition` is NULL from then on). Called in the advance step. */
struct partition_watch {
    struct list link;
    struct partition *partition;
    bool of_follower; /* hears of every append, too: what it may see ends at the log's end */
    void (*news)(struct partition_watch *watch);
};

void partition_watch_start(struct partition *p, struct partition_watch *watch);
void partition_watch_stop(struct partition_watch *watch);

#endif
