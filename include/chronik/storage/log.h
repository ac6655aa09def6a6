/* One partition's log.
 *
 *   log start      first offset that still counts (DeleteRecords, retention)
 *   high watermark what is committed; the partition sets it, the log keeps it for checkpoints
 *   durable end    everything below it is on stable storage (DLEO); moves when a write returns
 *   end            the next offset (LEO): everything below it is written or on its way
 *
 *       log start <= high watermark <= durable end <= end
 *
 * (after a truncation or a new log start the lower ones are pulled along). Reads see everything
 * below `end`; who may see what is the partition's business. Errors are -errno; those that a
 * client sees are made by the caller. */
#ifndef CHRONIK_STORAGE_LOG_H
#define CHRONIK_STORAGE_LOG_H

#include <chronik/base/blob.h>
#include <chronik/storage/store.h>
#include <chronik/wire/records.h>

struct producers;

/* The settings of a topic that matter here; Kafka's names, units in the name. */
struct log_config {
    uint64_t segment_bytes;       /* segment.bytes */
    int64_t segment_ms;           /* segment.ms: from the first record's time stamp on */
    int64_t segment_jitter_ms;    /* segment.jitter.ms */
    uint64_t segment_index_bytes; /* segment.index.bytes: a segment rolls when an index is full */
    uint64_t index_interval_bytes; /* index.interval.bytes */
    int64_t retention_ms;         /* -1: no limit */
    int64_t retention_bytes;      /* -1: no limit */
    bool delete_old;              /* cleanup.policy has "delete" */
    bool compact;                 /* cleanup.policy has "compact" */
    int64_t file_delete_delay_ms; /* file.delete.delay.ms */
};

#define LOG_CONFIG_DEFAULT                                                                         \
    (struct log_config)                                                                            \
    {                                                                                              \
        .segment_bytes = GIB(1), .segment_ms = INT64_C(604800000),                                 \
        .segment_index_bytes = MIB(10), .index_interval_bytes = 4096,                              \
        .retention_ms = INT64_C(604800000), .retention_bytes = -1, .delete_old = true,             \
        .file_delete_delay_ms = 60000,                                                             \
    }

const struct uuid *log_topic_id(const struct log *log);
struct text log_topic(const struct log *log); /* the name when the log was made */
int32_t log_partition(const struct log *log);

int64_t log_start_offset(const struct log *log);
int64_t log_high_watermark(const struct log *log);
int64_t log_durable_end(const struct log *log);
int64_t log_end(const struct log *log);

/* Bytes of all batches; and of those at or above an offset, roughly (whole segments). */
uint64_t log_size(const struct log *log);
uint64_t log_size_from(const struct log *log, int64_t offset);

/* Is something wrong with what recovery found (rule 18)? Such a log serves reads that verify, but
 * must not lead. `log_damage` is a sentence, or NULL. */
const char *log_damage(const struct log *log);

/* Applies from the next append, or retention, on. */
void log_configure(struct log *log, const struct log_config *config);

/* Calls `moved(arg)` in the events step whenever the durable end has moved. One listener. */
void log_listen(struct log *log, void (*moved)(void *arg), void *arg);

/* The partition's high watermark, never above the durable end. */
void log_set_high_watermark(struct log *log, int64_t offset);

/* ---- appending --------------------------------------------------------------------------------*/

struct log_append {
    struct bytes batches;  /* in: whole valid batches; copied once, into the journal's buffer */
    int32_t leader_epoch;  /* in: of a leader's append; stamped, with the offsets */
    bool as_leader;        /* in: assign offsets from `end` on; else keep the batches as they are */
    int64_t log_append_ms; /* in: >= 0: stamp this time (message.timestamp.type=LogAppendTime) */
    int64_t base_offset;   /* out: of the first record */
    int64_t last_offset;   /* out: of the last one */
};

/* Appends: offsets are reserved and producer state advances at once; `durable end` follows when the
 * turn's journal write has returned. The caller has validated the batches and decided what the
 * producer state says. -EAGAIN, -ENOSPC, -EIO as store_writable(); a follower's batches below `end`
 * or of a falling epoch: -EINVAL. The first batch of an empty log may begin below its start and end
 * above: the leader's log may start in the middle of one. */
int log_append(struct log *log, struct log_append *append);

/* The producers of this log: decide with it before an append (storage/producers.h). */
struct producers *log_producers(struct log *log);

/* ---- reading ----------------------------------------------------------------------------------*/

/* A read, embedded by the caller, who keeps it until it is done or cancelled. */
struct log_read {
    int64_t offset;      /* in: the batch that holds it is the first of the result */
    int64_t below;       /* in: only batches whose last offset is below this one */
    uint64_t max_bytes;  /* in: of whole batches */
    bool at_least_one;   /* in: give the first batch even when it is larger than max_bytes */
    void (*done)(struct log_read *read, int error); /* in */
    void *arg;           /* in: for the caller */
    struct chain batches; /* out: references to the tail or to what was read; the caller releases */
    int64_t next;        /* out: offset behind the last batch; `offset` when there is none */
    void *op;            /* private: NULL when no read is under way */
};

/* Reads. 0: done at once, `batches` is set, `done` is not called. -EINPROGRESS: `done` follows, in
 * the events step. -ERANGE: below the log start or above the end. -ENOENT: deleted. -EIO: damaged
 * or unreadable. */
int log_read(struct log *log, struct log_read *read);

/* Reads from here on are answered from memory, at once. */
int64_t log_memory_start(const struct log *log);

/* Forgets a read under way: `done` will not be called. Harmless when none is. */
void log_read_cancel(struct log_read *read);

/* A search by time stamp, embedded like a read. */
struct log_find {
    int64_t timestamp; /* in: ms; the first record at or after it; INT64_MAX: the record with the
                          largest time stamp (the earliest of equals) */
    int64_t below;     /* in: records at or above this offset do not count */
    void (*done)(struct log_find *find, int error); /* in */
    void *arg;         /* in */
    int64_t offset;    /* out: -1: there is none */
    int64_t found_timestamp; /* out */
    int32_t leader_epoch;    /* out: of the batch found; -1: none */
    void *op;          /* private */
};

/* As log_read(): 0 (found or not, at once), -EINPROGRESS, or another -errno. */
int log_find(struct log *log, struct log_find *find);
void log_find_cancel(struct log_find *find);

/* ---- leader epochs (KIP-101, KIP-279) ---------------------------------------------------------*/

/* A leader begins epoch `epoch` at the log's end: journals (epoch, end). The epoch must be larger
 * than the last one; otherwise nothing happens. */
int log_begin_epoch(struct log *log, int32_t epoch);

/* The last epoch that is known, or -1. */
int32_t log_last_epoch(const struct log *log);

/* The epoch of the record at `offset`, or -1. */
int32_t log_epoch_at(const struct log *log, int64_t offset);

/* What OffsetForLeaderEpoch answers: as epochs_end() (storage/epochs.h). */
void log_epoch_end(const struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end);

/* ---- cutting ----------------------------------------------------------------------------------*/

/* Drops everything at or above `offset` (a follower that diverged). Memory at once; files once the
 * journal's record is durable, then `done(arg, 0 or -errno)`. No append to this log before that. */
int log_truncate(struct log *log, int64_t offset, void (*done)(void *arg, int error), void *arg);

/* Moves the log start up (DeleteRecords, or a leader's word); behind the end it empties the log,
 * which goes on from there. `done` when that is durable; NULL: nobody waits. Never moves back. */
int log_move_start(struct log *log, int64_t offset, void (*done)(void *arg, int error), void *arg);

#endif
