/* A log directory: every partition log in it, and the journal that makes them durable.
 *
 * All appends of a loop turn, of all partitions, go to the journal in one write; segments (Kafka's
 * format) are written later, lazily, in large pieces, and a checkpoint lets the journal's chunks
 * be reused (docs/data-files.md). What no segment has yet stays in memory: the tail.
 *
 * A directory is opened by a job that recovers it; the store serves from `opened` on. When a
 * journal write or a sync fails the directory is offline for good: nothing in it is acknowledged
 * any more.
 *
 * Who may call: the loop's thread only. */
#ifndef CHRONIK_STORAGE_STORE_H
#define CHRONIK_STORAGE_STORE_H

#include <chronik/base/metric.h>
#include <chronik/base/text.h>
#include <chronik/base/uuid.h>
#include <chronik/io/loop.h>

struct store;
struct log;
struct log_config;

struct store_config {
    uint64_t tail_bytes;         /* memory for the tail of all logs; appends wait above it */
    uint64_t journal_bytes_max;  /* all chunks together; 0: 512 MiB or an eighth of the disk */
    uint64_t journal_chunk_bytes; /* 0: 16 MiB, smaller on small file systems */
    uint64_t group_bytes_max;    /* one journal write; 0: 2 MiB, or an eighth of a chunk */
    unsigned open_files_max;     /* segment files kept open; 0: 1,000 */
    uint64_t reserve_bytes;      /* space kept free (rule 23); UINT64_MAX: 5 GiB or 5 % */
    uint64_t checkpoint_max_ns, checkpoint_idle_ns; /* 0: 60 s after the first, 1 s after the last
                                                       change */
    uint64_t write_age_ns;       /* 0: 500 ms; an append reaches its segment about this late */
    uint64_t delete_delay_ns;    /* file.delete.delay.ms of segments below a new log start */
};

/* What meta.properties says. */
struct store_identity {
    char cluster_id[64];       /* "" before the first cluster formed */
    int32_t node_id;           /* -1: not set */
    struct uuid directory_id;  /* made at the first start of an empty directory */
};

/* How the last life ended: what a broker may claim about its logs (rules 17 and 18). */
struct store_recovery {
    bool fresh;          /* the directory was empty */
    bool clean;          /* stopped by store_close(); `broker_epoch` is of that life */
    bool adopted;        /* had no journal: an Apache Kafka directory, scanned log by log */
    bool damaged;        /* the journal or the checkpoint is damaged: every log that was found
                            says so, and a log that was not found may have been there */
    int64_t broker_epoch; /* -1: none */
    uint64_t logs, damaged_logs;
    uint64_t replayed_bytes; /* of the journal */
    uint64_t duration_ns;
};

struct store_events {
    /* The directory is open, or could not be: `error` -errno and a sentence that says what to do;
     * the store must then be released with store_free(). */
    void (*opened)(void *arg, int error, const char *message);

    /* The directory went offline: a journal write or sync failed. Comes once. */
    void (*failed)(void *arg, int error, const char *message);

    /* There is room again after an append was refused with -EAGAIN or -ENOSPC; or, after -EAGAIN,
     * it would be refused with -ENOSPC now. */
    void (*room)(void *arg);
};

/* Opens the directory, creating it when missing; `events->opened` follows. The struct of events is
 * kept by reference, path and config are copied. */
struct store *store_open(struct loop *loop, const char *path, const struct store_config *config,
                         const struct store_events *events, void *arg);

/* Stops cleanly: finishes the journal's writes, writes all segments, indexes and producer
 * snapshots, checkpoints, and marks the directory clean with the broker epoch (KIP-966). From now
 * on every change of a log is refused with -EIO, and store_delete() leaves the files to the next
 * start. `closed` gets 0 or -errno; then call store_free(). */
void store_close(struct store *store, int64_t broker_epoch, void (*closed)(void *arg, int error),
                 void *arg);

/* Stops as a kill would: nothing more is written, nothing more becomes durable. `closed` gets
 * -ESHUTDOWN when the requests that are under way have come back; then call store_free(). For
 * tests, and for a process that has to end at once. */
void store_abandon(struct store *store, void (*closed)(void *arg, int error), void *arg);

/* Frees the memory. Only after `closed`, or after `opened` reported an error. */
void store_free(struct store *store);

const char *store_path(const struct store *store);
const struct store_recovery *store_recovery(const struct store *store);
const struct store_identity *store_identity(const struct store *store);

/* Writes cluster and node id to meta.properties; `done` gets 0 or -errno. */
void store_set_identity(struct store *store, const char *cluster_id, int32_t node_id,
                        void (*done)(void *arg, int error), void *arg);

/* The log of a partition, or NULL. */
struct log *store_find(const struct store *store, const struct uuid *topic_id, int32_t partition);

/* Makes an empty log. The journal learns of it before its first append; directory and files follow
 * lazily. The log must not exist. NULL when the directory is offline. */
struct log *store_create(struct store *store, const struct uuid *topic_id, struct text topic,
                         int32_t partition, const struct log_config *config);

/* Deletes a log: its reads fail with -ENOENT from now on, its memory and, once the journal's record
 * is durable, its files go. `log` must not be used any more. */
void store_delete(struct store *store, struct log *log);

/* Every log, in order of creation; the callback may delete the log it is given. */
void store_each(struct store *store, void (*visit)(struct log *log, void *arg), void *arg);

/* May appends be made now? -EAGAIN: the tail or the journal is full, `room` follows; -ENOSPC: the
 * disk is, `room` follows when there is space again; -EIO: the directory is offline. */
int store_writable(const struct store *store);

/* The largest append that the journal can take, in bytes. */
uint64_t store_append_max(const struct store *store);

/* How long the journal's write that is under way has taken so far, in ns; 0: none is. A disk that
 * hangs shows here. */
uint64_t store_write_pending_ns(const struct store *store);

/* Removes old segments by the logs' retention settings, below their high watermarks, and forgets
 * producers that were silent for `producer_ms`. `now_ms` is wall-clock time. Spread over turns;
 * called every log.retention.check.interval.ms. */
void store_retain(struct store *store, int64_t now_ms, int64_t producer_ms);

void store_metrics(struct store *store, struct metrics *metrics);

/* Bytes in memory and in the journal's files. */
struct store_memory {
    uint64_t tail, tail_max; /* the newest batches of all logs; the budget for them */
    uint64_t unwritten;      /* of these, what no segment has */
    uint64_t journal;
};

/* What the store holds right now. */
void store_memory(const struct store *store, struct store_memory *ret_memory);

#endif
