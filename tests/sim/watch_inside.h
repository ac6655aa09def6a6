/* What the watch remembers (watch.c, watch_raft.c). */
#ifndef CHRONIK_TESTS_SIM_WATCH_INSIDE_H
#define CHRONIK_TESTS_SIM_WATCH_INSIDE_H

#include "watch.h"

struct seen_batch {
    int64_t base, last; /* offsets */
    int32_t epoch;
    uint32_t crc;
};

struct batch_list {
    struct seen_batch *items; /* by offset */
    size_t n, cap;
};

struct known_batch {
    struct map_node node;
    struct seen_batch batch;
};

/* One replica of a partition, dead or alive. */
struct replica_seen {
    struct batch_list mirror;
    int64_t end, durable_end; /* as last seen */
    int64_t high_watermark;   /* while it leads */
    int32_t leads_epoch;      /* -1: it does not */
    int64_t producers_end;    /* where its producers were last looked at, */
    uint64_t producers_cuts;  /* and how often the log had been cut by then */
    bool alive;               /* seen in this life of its process */
    bool forgiven;            /* its store knows that it is damaged */
};

struct watched {
    struct uuid topic;
    int32_t index;
    char *name;
    bool lossy;
    struct replica_seen replicas[NODES_MAX];
    struct map contents; /* struct known_batch, by offset and epoch */
    struct map producers; /* struct known_producers, by the log's last batch */
    struct batch_list committed;
    int64_t committed_end; /* of any leader; */
    int64_t *committed_in; /* as far as the leader of each epoch came */
    int32_t committed_by;  /* node */
    int32_t image_epoch;  /* partition epoch of the newest image that anybody has, */
    int32_t isr[NODES_MAX];
    unsigned n_isr; /* and the in-sync set there */
    int32_t *leaders;     /* node that leads each epoch; -1: nobody was seen */
    size_t n_leaders, cap_leaders, cap_ends;
};

/* One Raft replica in this life of its process. */
struct raft_seen {
    uint64_t applied, committed;
};

struct watch {
    struct node *nodes;
    unsigned n_nodes;
    struct watched **partitions;
    size_t n_partitions, cap_partitions;
    char *lossy[8]; /* topics */
    size_t n_lossy;

    struct raft_seen raft[NODES_MAX];
    int32_t *leader_of_term; /* 0: none was seen */
    size_t n_terms, cap_terms;
    uint64_t *term_of_index; /* 0: not known */
    uint64_t *hash_of_index; /* of the image; 0: not known */
    size_t n_indexes, cap_terms_of, cap_hashes;
};

void watch_raft_turn(struct watch *watch, struct node *node);
void watch_producers(struct watched *w, const struct node *node, struct replica_seen *r,
                     const struct log *log);

#endif
