/* A group of Raft replicas in one process: virtual clock, fake disks, fake network, one seed.
 *
 * Every run is a draw of crashes (with whatever part of the writes under way that survived), broken
 * and one-way links, lost frames, slow disks, changes of the set of servers and transfers of
 * leadership; the last part of it heals, and must make progress. After every event the invariants
 * of Raft are checked (Ongaro's dissertation, figure 3.2):
 *
 *   election safety         one leader in a term
 *   log matching            index and term determine an entry, and the term before it
 *   leader append-only      a leader never cuts its own log
 *   leader completeness     what was committed in earlier terms is in a leader's log
 *   state machine safety    all apply the same at the same index, to the same state
 *
 * and: term and commit index never go back, each index is applied once and in order, the set of
 * servers in use is the last of the log, votes are on disk before they are told. */
#ifndef CHRONIK_TESTS_META_RAFT_SIM_H
#define CHRONIK_TESTS_META_RAFT_SIM_H

#include <chronik/base/random.h>
#include <chronik/meta/raft_node.h>

/* What the replicas replicate. */
struct sim_machine {
    void *(*make)(void);
    void (*release)(void *machine);
    void (*apply)(void *machine, uint64_t index, struct bytes command);
    void (*encode)(const void *machine, struct buf *to);
    void *(*decode)(struct bytes from);
    uint64_t (*hash)(const void *machine);
    void (*command)(const void *machine, struct prng *prng, uint64_t n, struct buf *to);
};

/* Keeps a hash of all that it was given. */
extern const struct sim_machine sim_hash_machine;

struct sim_options {
    const struct sim_machine *machine;
    unsigned voters, spares; /* servers 1 to voters begin as voters, the rest can be added */
    unsigned duration_ms;
    unsigned snapshot_entries, trailing, inflight_max;
    unsigned disk_ms_max, network_ms_max;
    unsigned drop_percent;
    bool crashes, partitions, changes, transfers;
};

#define SIM_OPTIONS_DEFAULT                                                                        \
    (struct sim_options)                                                                           \
    {                                                                                              \
        .machine = &sim_hash_machine, .voters = 3, .spares = 2, .duration_ms = 20000,              \
        .snapshot_entries = 40, .trailing = 40, .inflight_max = 32, .disk_ms_max = 30,             \
        .network_ms_max = 25, .drop_percent = 4, .crashes = true, .partitions = true,              \
        .changes = true, .transfers = true,                                                        \
    }

struct sim_counts {
    uint64_t committed, elections, crashes, partitions, snapshots, installs, changes, transfers,
        dropped, old_frames;
};

/* Runs one seed. False when an invariant broke; `why` says which. Adds to `counts`. */
bool sim_run(const struct sim_options *options, uint64_t seed, struct sim_counts *counts,
             char why[256]);

/* Time from the crash of a leader to the next leader, in a quiet group, in ms; 0: none within 20 s.
 * With `hint`, the others notice that the connection closed. */
uint64_t sim_failover(const struct sim_options *options, uint64_t seed, bool hint);

#endif
