/* Members of classic consumer groups, many of them in one process, as thin as can be: each has a
 * connection of its own, follows its coordinator, sends heartbeats and commits. They read nothing.
 * What a client would do between an error and its next attempt (back-off) is 10 ms here. */
#ifndef CHRONIK_TESTS_BENCH_FLEET_H
#define CHRONIK_TESTS_BENCH_FLEET_H

#include "client.h"
#include "histogram.h"

enum { FLEET_NODES_MAX = 8, FLEET_IN_FLIGHT_MAX = 8, MEMBER_ID_MAX = 128 };

struct fleet_settings {
    const char *nodes; /* host:port,… */
    const char *topic;
    int32_t n_partitions;      /* of the topic; each group shares them all */
    int32_t n_groups, members; /* of each group */
    int32_t session_ms;
    uint64_t heartbeat_ns;
    uint64_t commit_ns; /* between two commits of a member; 0: one after the other */
};

/* What became of a group's commits. */
struct group {
    char name[64];
    int64_t next_offset;       /* one counter for all partitions: committed offsets only grow */
    int64_t *acked;            /* per partition, -1: nothing */
    uint16_t port;             /* of its coordinator; 0: not known yet */
    unsigned n_moves;          /* to another coordinator */
    uint64_t last_ack_ns, longest_ns;
};

enum member_state {
    MEMBER_LOST, /* without a coordinator */
    MEMBER_FINDING,
    MEMBER_JOINING,
    MEMBER_SYNCING,
    MEMBER_STABLE,
    MEMBER_GONE, /* on purpose */
};

struct member {
    struct group *group;
    struct conn conn; /* fd -1: closed */
    enum member_state state;
    char id[MEMBER_ID_MAX]; /* empty: not known */
    int32_t generation;
    int32_t *mine, n_mine; /* partitions */
    uint64_t try_ns, heartbeat_ns, commit_ns; /* when the next one is due */
    bool commits; /* one is under way: sent at `sent_ns`, of offset `sent_offset` */
    uint64_t sent_ns;
    int64_t sent_offset;
    const struct wire_api *in_flight[FLEET_IN_FLIGHT_MAX]; /* a ring */
    unsigned head, tail;
};

struct fleet {
    struct fleet_settings settings;
    struct sockaddr_in nodes[FLEET_NODES_MAX];
    unsigned n_nodes, next_node;
    struct group *groups;
    struct member *members; /* those of a group follow each other */
    int32_t n_members;
    bool commits; /* members that are stable commit */
    struct arena arena;
    struct histogram latency; /* of commits */
    uint64_t n_acked;
};

void fleet_init(struct fleet *fleet, const struct fleet_settings *settings);
void fleet_release(struct fleet *fleet);

/* Does what is due, waits for answers until something else is due, and takes them. */
void fleet_turn(struct fleet *fleet);

/* All members of a group that are not gone are in one generation and share all partitions. */
bool fleet_is_stable(const struct fleet *fleet, const struct group *group);

/* Says good-bye; or goes without a word. */
void fleet_leave(struct fleet *fleet, struct member *member);
void fleet_vanish(struct member *member);

/* Asks the coordinators: partitions whose committed offset lies below an acknowledged one. */
int64_t fleet_count_lost(struct fleet *fleet);

#endif
