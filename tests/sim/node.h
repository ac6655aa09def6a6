/* A broker on a simulated machine: the product's own, from its command line to its end. */
#ifndef CHRONIK_TESTS_SIM_NODE_H
#define CHRONIK_TESTS_SIM_NODE_H

#include "machine.h"

#include "../../src/chronikd/broker.h"

enum { NODE_SETTINGS_MAX = 48, NODES_MAX = 5 };

struct watch;

struct node {
    struct machine machine;
    int32_t id;
    char *argv[2 * NODE_SETTINGS_MAX + 8];
    int argc;
    struct broker *broker; /* of the process; NULL: it does not run */
    struct options *options;
    struct process_log *log;
    unsigned lives;      /* starts */
    int exit_code;       /* of the last one that ended by itself */
    bool stopping;       /* asked to stop */
    bool ended;          /* by itself, and not started again */
    uint64_t raft_entries; /* after so many a snapshot is taken, and so many are kept */
    struct watch *watch; /* NULL: nobody watches */
};

/* `others`: what --peers says, NULL: alone. */
void node_init(struct node *node, int32_t id, const char *peers, uint64_t drive_bytes);
void node_release(struct node *node);

/* Adds --override KEY=VALUE. */
void node_set(struct node *node, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Starts the process; nothing happens when it runs. */
void node_start(struct node *node);

/* SIGTERM. */
void node_stop(struct node *node);

/* SIGKILL, and a power cut. */
void node_kill(struct node *node);
void node_cut_power(struct node *node);

/* Says on the trace what it is doing (explain.c). */
void node_explain(const struct node *node);

static inline bool node_serves(const struct node *node)
{
    return node->broker != NULL && node->broker->state == BROKER_SERVING;
}

enum { NODE_CLIENT_PORT = 9092, NODE_PEER_PORT = 9093 };

#endif
