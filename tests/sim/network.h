/* The simulated network between machines.
 *
 * A connection keeps its bytes in order, each way; nothing is promised across connections. On the
 * way from one machine to another things take a while, can be held up (clogged), or can be cut:
 * then the sender's kernel tries again and again, later and later, and what was lost arrives after
 * the cut has healed, if both ends still have the connection. Cuts have a direction. A machine
 * without power answers nothing; one that is back has never heard of its old connections and resets
 * them. */
#ifndef CHRONIK_TESTS_SIM_NETWORK_H
#define CHRONIK_TESTS_SIM_NETWORK_H

#include "machine.h"

struct path {
    bool cut;
    uint64_t latency_ns;       /* typical */
    uint64_t clogged_until_ns; /* nothing arrives before */
};

struct network {
    struct path paths[WORLD_MACHINES_MAX][WORLD_MACHINES_MAX]; /* from, to */
    struct list connections;
    size_t n_connections;
    size_t window;  /* bytes that a kernel takes before the other end has read them */
    unsigned shred; /* percent of what is sent that arrives in pieces */
};

extern struct network *network;

void network_open(struct network *to, uint64_t latency_ns);
void network_close(struct network *n);

/* Cuts or heals the way from one machine to another. */
void network_cut(const struct machine *from, const struct machine *to, bool cut);
void network_heal(void);
void network_clog(const struct machine *from, const struct machine *to, uint64_t ns);

/* One connection breaks, for both ends or for one of them. False when there is none. */
bool network_break_one(void);

#endif
