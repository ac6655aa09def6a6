/* One life of a cluster: what it is like, what is done to it, and whether it kept its promises. */
#ifndef CHRONIK_TESTS_SIM_LIFE_H
#define CHRONIK_TESTS_SIM_LIFE_H

#include "fiber.h"
#include "network.h"
#include "node.h"
#include "watch.h"
#include "workload.h"

enum { LIFE_TOPICS_MAX = 4, LIFE_PRODUCERS_MAX = 4 };

/* What a seed draws. */
struct life_plan {
    unsigned n_nodes;
    unsigned n_topics, n_partitions; /* partitions of each */
    int16_t replication;
    char topic_configs[200]; /* "name=value name=value" */
    unsigned n_producers;
    struct producer_habits producers[LIFE_PRODUCERS_MAX];
    uint64_t chaos_ns;    /* of the safety phase */
    uint64_t liveness_ns; /* within which everything must work again */
    uint64_t drive_bytes;
    int lag_ms; /* replica.lag.time.max.ms */

    /* Mean time between faults of each kind; 0: none. */
    uint64_t kill_ns, power_ns, stop_ns, pause_ns, partition_ns, break_ns, clog_ns, jump_ns;
    uint64_t full_ns;
    unsigned all_at_once; /* percent of kills and power cuts that hit several or all nodes */
    unsigned relapse;     /* percent of those that a power cut follows soon after the start */
    uint64_t tend_ns;     /* between looks at nodes that have ended by themselves */
    int bad_drive;        /* the node whose drive has errors; -1: none */
    uint64_t write_error, sync_error; /* of it: once in so many; 0: never */
    uint64_t raft_entries; /* between snapshots of the metadata; 0: as ever */
};

struct life {
    uint64_t seed;
    struct life_plan plan;
    struct world world;
    struct network network;
    struct history history;
    struct node *nodes;
    struct watch *watch;
    struct machine *clients;
    struct client client;
    struct producer *producers[LIFE_PRODUCERS_MAX];
    struct consumer *consumer, *final;
    struct topic_maker *topics[LIFE_TOPICS_MAX];
    struct fault *faults; /* of the nemesis */
    uint64_t n_faults;
    bool healed; /* nothing goes wrong any more */
};

struct life_result {
    bool ok;
    char why[512];
    uint64_t hash, events, acknowledged, reads, faults;
    uint64_t virtual_ns;
};

struct life_options {
    bool verbose; /* the trace goes to stderr */
    bool detail;  /* and more than that */
    bool trace;   /* print the end of the trace when it fails */
};

void life_run(uint64_t seed, const struct life_options *options, struct life_result *ret_result);

/* Draws what this life is like (swarm.c). */
void plan_draw(struct life_plan *plan);
void plan_describe(const struct life_plan *plan, struct buf *to);
void plan_apply(const struct life_plan *plan, struct life *life);

/* Faults at random moments, until the end of the safety phase (nemesis.c). */
void nemesis_start(struct life *life);
void nemesis_stop(struct life *life);

#endif
