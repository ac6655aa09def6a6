/* One partition of an internal topic, and the state machine that lives in it (private to the coord
 * layer). */
#ifndef CHRONIK_COORD_SHARD_H
#define CHRONIK_COORD_SHARD_H

#include <chronik/coord/coord.h>

enum shard_state {
    SHARD_IDLE,    /* this node does not lead */
    SHARD_LOADING, /* leads; the log is being read */
    SHARD_ACTIVE,
    SHARD_FAILED,  /* leads, but the log cannot be read; tried again in a while */
};

struct coord_shard {
    struct coord_log log; /* what the machine sees */
    struct coord_topic *topic;
    struct partition_watch watch; /* `partition` NULL: there is no replica here */
    unsigned state;       /* enum shard_state, moved along a table */
    int32_t leader_epoch; /* in which it loads or serves */
    void *machine;        /* its state; NULL while idle */

    struct loop_task look; /* queued when the partition has news */
    struct list waits;     /* struct coord_wait, in order of their ends and deadlines */
    struct timer timeout;  /* of the first one */
    uint64_t timeout_ns;   /* offsets.commit.timeout.ms */
    struct batch_builder builder;

    struct timer go_on;   /* loads the next piece; begins anew after a failure */
    struct log_read read;
    int64_t next;         /* offset to be applied next */
    uint64_t load_began_ns, n_loaded;
    struct codec_scratch scratch;
};

struct coord_shard *shard_new(struct coord_topic *topic, struct partition *partition);
void shard_free(struct coord_shard *shard);

/* The partition is another one than before. */
void shard_attach(struct coord_shard *shard, struct partition *partition);

/* May it answer? KAFKA_NONE, NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS. */
enum kafka_error shard_check(const struct coord_shard *shard);

#endif
