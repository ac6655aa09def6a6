/* All replicas of this node, kept in step with the metadata.
 *
 * Topics are found by name and by id, a partition by its index in its topic. The table hears of
 * every applied change (meta/meta.h) and creates, moves, and deletes replicas accordingly. */
#ifndef CHRONIK_REPLICA_TABLE_H
#define CHRONIK_REPLICA_TABLE_H

#include <chronik/base/diag.h>
#include <chronik/base/map.h>
#include <chronik/base/metric.h>
#include <chronik/meta/config.h>
#include <chronik/replica/partition.h>

struct image_topic;
struct meta;

struct topic_replicas {
    struct map_node by_name, by_id;
    struct uuid id;
    char *name;
    bool internal; /* a coordinator's: clients do not write to it */
    struct topic_config config; /* resolved: topic over broker over default */
    int32_t n_partitions;
    struct partition **partitions; /* NULL where this node holds no replica */

    uint64_t bytes_in, bytes_out, batches_in, records_in; /* counted for the metrics */
    uint64_t produce_requests, fetch_requests, failed_produce, failed_fetch;
};

struct replicas {
    struct loop *loop;
    struct store *store; /* NULL until it is open */
    struct diag *diag;
    int32_t node_id;
    struct meta *meta;   /* its image may be replaced: ask for it in each turn */
    bool started;        /* store and metadata are there */
    bool suspended;            /* see replicas_suspend() */
    bool rack_aware;     /* replica.selector.class sends consumers to replicas in their rack */
    uint64_t trusted_until_ns; /* see replicas_trust() */
    const struct image_configs *file; /* settings of file, environment and command line */
    uint64_t seed;
    struct map by_name, by_id;
    uint64_t n_partitions, n_leaders;

    /* Replication; all of it empty in a cluster of one. */
    const struct fetcher_transport *transport; /* NULL: no other nodes */
    void *transport_arg;
    struct list fetchers;             /* streams to leaders */
    int32_t fetch_max_bytes;          /* replica.fetch.max.bytes */
    int32_t fetch_response_max_bytes; /* replica.fetch.response.max.bytes */
    int32_t fetch_wait_max_ms;        /* replica.fetch.wait.max.ms */
    struct list proposals;            /* struct isr: want another in-sync set */
    struct loop_task send_proposals;
    struct timer lag;                 /* looks for followers that lag */
    uint64_t isr_shrinks, isr_expands;
};

void replicas_init(struct replicas *r, struct loop *loop, struct diag *diag, int32_t node_id,
                   const struct image_configs *file);
void replicas_release(struct replicas *r);

/* The store is open and the metadata is loaded: takes over every topic, removes logs that the
 * metadata gives to somebody else. Changes are followed from here on. */
void replicas_start(struct replicas *r, struct store *store, struct meta *meta);

/* Applied changes of the metadata; `topic` as it is after the change. */
void replicas_topic_changed(struct replicas *r, const struct image_topic *topic);
void replicas_partition_changed(struct replicas *r, const struct image_topic *topic, int32_t index);
void replicas_topic_deleted(struct replicas *r, const struct uuid *id);
void replicas_config_changed(struct replicas *r);

/* While on, this node cannot know whether it still leads, or cannot write: what producers send is
 * refused with NOT_LEADER_OR_FOLLOWER. What was appended before still waits: it is committed, or
 * another node leads, or its time is up. Reads go on. */
void replicas_suspend(struct replicas *r, bool on);

/* Until then what this node believes to lead can be trusted: it is in touch with the controller.
 * Later, a consumer that asks for more than there is has probably read it from a new leader: it
 * gets NOT_LEADER_OR_FOLLOWER, not an OFFSET_OUT_OF_RANGE that would make it start over. So does a
 * producer whose sequence is ahead of what is known here, not an OUT_OF_ORDER_SEQUENCE_NUMBER that
 * would end it. Without a call it is trusted for ever, as a node that is alone can be. */
void replicas_trust(struct replicas *r, uint64_t until_ns);

/* The store has gone offline. */
void replicas_fail(struct replicas *r);

/* By name, and by id; NULL: the metadata has no such topic. */
struct topic_replicas *replicas_topic(const struct replicas *r, struct text name);
struct topic_replicas *replicas_topic_by_id(const struct replicas *r, const struct uuid *id);

/* The replica, or NULL when this node has none. */
static inline struct partition *topic_partition(const struct topic_replicas *topic, int32_t index)
{
    return index >= 0 && index < topic->n_partitions ? topic->partitions[index] : NULL;
}

void replicas_metrics(struct replicas *r, struct metrics *metrics);

#endif
