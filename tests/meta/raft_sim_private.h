/* The inside of the simulator of Raft groups (raft_sim.h): what it keeps of each server and of the
 * truth. raft_sim.c makes things happen, raft_sim_check.c looks whether they may. */
#ifndef CHRONIK_TESTS_META_RAFT_SIM_PRIVATE_H
#define CHRONIK_TESTS_META_RAFT_SIM_PRIVATE_H

#include "raft_sim.h"

#include <chronik/base/heap.h>
#include <chronik/base/list.h>
#include <chronik/base/map.h>

enum { SERVERS_MAX = 8, TERMS_MAX = 20000, INDEXES_MAX = 60000, PAIRS = 1 << 17 };

struct entry {
    uint64_t term;
    enum raft_entry_kind kind;
    struct blob *data;
};

struct log {
    struct entry *entries;
    size_t n, cap;
    uint64_t first;
};

struct snapshot {
    uint64_t index, term, members_index;
    struct buf members, data;
};

enum write_kind { WRITE_VOTE, WRITE_LOG, WRITE_SNAPSHOT, WRITE_INSTALL };

struct write {
    struct list link;
    enum write_kind kind;
    uint64_t ticket, due_ms;
    uint64_t term, vote;
    struct log log;
    struct snapshot snapshot;
    uint64_t keep_from;
};

struct disk {
    uint64_t term, vote;
    struct snapshot snapshot;
    struct log log;
    struct list writes; /* one after the other */
    uint64_t busy_until_ms;
};

struct server {
    struct sim *sim;
    uint64_t id;
    struct raft_node *node; /* NULL: down */
    unsigned life;
    struct disk disk;
    struct log log;         /* what the replica has asked to be written: its own log */
    uint64_t log_base_term; /* of the entry before log.first; 0: unknown */
    void *machine;
    uint64_t applied, committed, term, vote;
    uint64_t led_term;      /* in which it was seen to lead */
    uint64_t deadline_ms;
    uint64_t catching_up;   /* server that it is bringing up to date; 0: none */
    bool starting;
};

enum event_kind { EVENT_FRAME, EVENT_DISK, EVENT_CLIENT, EVENT_NEMESIS, EVENT_ADMIN };

struct event {
    struct heap_node node;
    enum event_kind kind;
    unsigned to, from;     /* servers */
    unsigned life;         /* of the server, for the disk */
    uint64_t connection;
    struct buf frame;
};

struct pair {
    uint64_t index, term, term_before, hash;
};

struct sim {
    const struct sim_options *options;
    struct sim_counts *counts;
    struct prng prng;
    uint64_t now_ms, end_ms, calm_ms;
    struct heap events;
    struct server servers[SERVERS_MAX + 1];
    unsigned n_servers;
    bool blocked[SERVERS_MAX + 1][SERVERS_MAX + 1];
    uint64_t connection[SERVERS_MAX + 1][SERVERS_MAX + 1];
    uint64_t link_ms[SERVERS_MAX + 1][SERVERS_MAX + 1];
    uint64_t commands;
    char *why;

    /* The truth, as far as any server has shown it. */
    uint64_t *leader_of_term;
    struct committed {
        uint64_t term, hash, seen_in_term;
    } *committed;
    uint64_t *state_at;
    uint64_t committed_last;
    struct pair *pairs;
};

/* For printf("%llu"). */
#define U(n) ((unsigned long long)(n))

/* ---- logs -------------------------------------------------------------------------------------*/

static inline uint64_t log_last(const struct log *log)
{
    return log->first + log->n - 1;
}

static inline const struct entry *log_find(const struct log *log, uint64_t index)
{
    bool here = index >= log->first && index - log->first < log->n;
    return here ? &log->entries[index - log->first] : NULL;
}

/* ---- checks (raft_sim_check.c) ----------------------------------------------------------------*/

/* Ends the run: the first reason counts. */
void violated(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A server has a new entry at the end of its log. */
void check_new_entry(struct server *s, uint64_t index, uint64_t term_before);

/* A server has applied an entry, or restored a snapshot. */
void check_state(struct server *s);

/* Everything that must hold of a server at any time. */
void check_server(struct server *s);

/* After the calm part of a run: something was committed, and all members have followed. */
void check_progress(struct sim *sim, const struct server *leader, uint64_t committed_before);

#endif
