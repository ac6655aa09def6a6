/* The coordinators of this node: which internal topics there are, which of their partitions this
 * node leads, and the state machine that lives in each of them.
 *
 * A key (a group id, later a transactional id) belongs to one partition of its topic; whoever leads
 * that partition coordinates it. When this node becomes the leader, the partition is read from its
 * start and the state is built from it, some records each turn so that the broker serves others
 * meanwhile; then timers start and requests are served. When it leads no longer, everybody who
 * waits is told so and the state goes.
 *
 * A new kind of coordinator is a row in coord_machines (src/coord/machines.c). */
#ifndef CHRONIK_COORD_COORD_H
#define CHRONIK_COORD_COORD_H

#include <chronik/coord/log.h>
#include <chronik/io/timer.h>
#include <chronik/meta/meta.h>
#include <chronik/replica/table.h>

struct coord_shard;

enum coord_kind { COORD_GROUPS, COORD_KINDS };

/* What runs on the partitions of an internal topic. */
struct coord_machine {
    const char *topic;
    const char *partitions, *replication, *segment_bytes; /* the settings that say so */

    void *(*state_new)(struct coord_log *log);
    /* Answers whoever waits with NOT_COORDINATOR, and frees. */
    void (*state_free)(void *state);
    /* Total, deterministic, no I/O. */
    void (*apply)(void *state, const struct coord_record *record);
    /* All of the log is applied: timers start here. */
    void (*loaded)(void *state);
    void (*topic_deleted)(void *state, const struct image_topic *topic);
    /* Equal where the same log was applied, in whatever portions, compacted or not. */
    uint64_t (*hash)(const void *state);
};

extern const struct coord_machine coord_machines[COORD_KINDS];

/* One topic's shards. */
struct coord_topic {
    struct coord *coord;
    const struct coord_machine *machine;
    struct coord_shard **shards; /* by partition; NULL: no replica here */
    int32_t n_shards;
    struct meta_request *creating; /* NULL: it is not asked for */
    struct list wants;             /* struct coord_want */
};

struct coord {
    struct loop *loop;
    struct diag *diag;
    struct replicas *replicas;
    struct meta *meta; /* NULL until coord_start() */
    const struct image_configs *file;
    struct coord_memory memory;
    struct coord_topic topics[COORD_KINDS];
    uint64_t loads_total, loaded_records_total; /* for the metrics */
};

/* `memory_max`: for members of groups, bytes. */
void coord_init(struct coord *coord, struct loop *loop, struct diag *diag,
                struct replicas *replicas, const struct image_configs *file, uint64_t memory_max);

/* Serves nothing any more: whoever waits is answered with NOT_COORDINATOR. Everything is given
 * back; what is asked afterwards is refused. */
void coord_stop(struct coord *coord);

/* The replicas are there: takes over what this node leads. */
void coord_start(struct coord *coord, struct meta *meta);

/* A topic was made or has more partitions; one is deleted. */
void coord_topic_changed(struct coord *coord, const struct image_topic *topic);
void coord_topic_deleted(struct coord *coord, const struct image_topic *topic);

/* ---- who coordinates what ---------------------------------------------------------------------*/

/* The partition of a key among `n`: Kafka's, abs(hash) mod n with Java's hash over UTF-16. */
int32_t coord_partition_of(struct text key, int32_t n);

/* The node that coordinates the key, or -1: nobody does right now (or the topic is missing). */
int32_t coord_leader_of(const struct coord *coord, enum coord_kind kind, struct text key);

/* How the topic of that name is to be created; lives in the arena. False: no coordinator has such a
 * topic. */
bool coord_creation(const struct coord *coord, struct text name, struct arena *arena,
                    struct meta_create_topics_request_topic *ret_topic);

/* Somebody who wants an internal topic to be there. */
struct coord_want {
    struct list link;
    void (*done)(struct coord_want *want); /* it is, or cannot be: look again, once */
};

/* True: it is there. Else it is created and `done` follows, within some seconds. */
bool coord_topic_want(struct coord *coord, enum coord_kind kind, struct coord_want *want);

/* The state that serves the key here. Else NULL and NOT_COORDINATOR or
 * COORDINATOR_LOAD_IN_PROGRESS. Not to be kept: it may be gone in the next turn. */
void *coord_state(const struct coord *coord, enum coord_kind kind, struct text key,
                  enum kafka_error *ret_error);

/* The state of a partition by its number: KAFKA_NONE and the state; else as above. */
void *coord_state_at(const struct coord *coord, enum coord_kind kind, int32_t partition,
                     enum kafka_error *ret_error);

/* Can this node know that it still coordinates what it believes to? Not behind a pause of the
 * process: what was committed elsewhere meanwhile must not seem to go back, so what is only read is
 * not told then. (What is written finds out by itself.) */
bool coord_is_sure(const struct coord *coord);

/* Hash of the state in a partition that is served here; 0: it is not. */
uint64_t coord_hash(const struct coord *coord, enum coord_kind kind, int32_t partition);

void coord_metrics(struct coord *coord, struct metrics *metrics);

#endif
