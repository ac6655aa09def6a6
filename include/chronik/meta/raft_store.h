/* What a Raft replica keeps on disk: term and vote, log, snapshot (docs/data-files.md).
 *
 *   DIR/vote           term, vote, and whose they are; two slots
 *   DIR/log-INDEX      entries from INDEX on; a few hundred KiB each
 *   DIR/snapshot-INDEX the state at INDEX
 *
 * Everything is stored twice, in different blocks, so that a damaged copy is repaired from the
 * other when the directory is opened. What is damaged in both, or missing, is reported and never
 * guessed over: a voter that forgot what it promised must not vote. Only the last write to the log
 * may be incomplete: it was not acknowledged, and is cut off.
 *
 * Writes are performed in the order in which they are asked for, one at a time; `written` follows
 * in the events step, when they are durable. A write that fails ends the store (rule 19 of
 * docs/durability.md). */
#ifndef CHRONIK_META_RAFT_STORE_H
#define CHRONIK_META_RAFT_STORE_H

#include <chronik/base/uuid.h>
#include <chronik/io/loop.h>
#include <chronik/meta/raft_node.h>

struct raft_store;

/* Whose directory it is. */
struct raft_identity {
    uint64_t node_id;
    struct uuid directory; /* made with the directory: tells a wiped voter from the one before */
};

/* What was found. Everything is owned by the store and stays until raft_store_forget_state(). */
struct raft_store_state {
    bool fresh; /* the directory was empty: nothing below counts */
    struct raft_identity identity;
    struct raft_disk_state disk;
    uint64_t repaired; /* copies that were damaged */
};

struct raft_store_events {
    /* The directory is open, or could not be: -errno and a sentence that says what to do; the store
     * must then be released with raft_store_free(). */
    void (*opened)(void *arg, int error, const char *message);
    void (*written)(void *arg, uint64_t ticket);

    /* A write failed: nothing more is acknowledged. Comes once. */
    void (*failed)(void *arg, int error, const char *message);
};

/* Opens the directory, creating it when missing. `node_id` must be the one it was made for. */
struct raft_store *raft_store_open(struct loop *loop, const char *path, uint64_t node_id,
                                   const struct raft_store_events *events, void *arg);

/* Valid once it is open. */
const struct raft_store_state *raft_store_state(const struct raft_store *store);
void raft_store_forget_state(struct raft_store *store);

/* The writes of struct raft_host; whatever they are given is copied. A fresh directory gets a vote
 * first: it makes the directory this node's. */
void raft_store_save_vote(struct raft_store *store, uint64_t ticket, uint64_t term, uint64_t vote);
void raft_store_write_log(struct raft_store *store, uint64_t ticket, uint64_t first,
                          const struct raft_item *items, size_t n);
void raft_store_write_snapshot(struct raft_store *store, uint64_t ticket,
                               const struct raft_image *snapshot, uint64_t keep_from, bool install);

/* Finishes what was asked for, then calls `closed`, after which raft_store_free() is allowed. */
void raft_store_close(struct raft_store *store, void (*closed)(void *arg), void *arg);

/* Frees the memory, as after a kill. Only when no request is under way: after `closed`, or after
 * `opened` reported an error. */
void raft_store_free(struct raft_store *store);

/* Bytes of all files. */
uint64_t raft_store_bytes(const struct raft_store *store);

#endif
