/* The inside of a store and its logs, as the files of this layer share it.
 *
 * Who does what:
 *   store.c        opening, finding, creating, closing
 *   append.c       appends: stamping, the segment plan, the journal, the tail
 *   log.c          a log's life and what can be asked of it
 *   read.c, find.c reads and searches by time
 *   cut.c          truncation, log start, deletion: journal first, files second
 *   writer.c       from the tails into the segments
 *   checkpoint.c   what is safe in files, so that the journal may forget it
 *   recover.c      the other way round, at the next start
 *   remove.c       files and directories that have to go
 *   retain.c       retention by time and size */
#ifndef CHRONIK_STORAGE_STATE_H
#define CHRONIK_STORAGE_STATE_H

#include <chronik/base/map.h>
#include <chronik/io/job.h>
#include <chronik/io/timer.h>
#include <chronik/storage/epochs.h>
#include <chronik/storage/kafka_files.h>
#include <chronik/storage/producers.h>

#include "files.h"
#include "journal.h"
#include "recycler.h"
#include "segment.h"
#include "tail.h"

/* Until somebody says what a topic's settings are, nothing is deleted. */
#define LOG_CONFIG_UNKNOWN                                                                         \
    (struct log_config)                                                                            \
    {                                                                                              \
        .segment_bytes = GIB(1), .segment_ms = INT64_C(604800000),                                 \
        .segment_index_bytes = MIB(10), .index_interval_bytes = 4096, .retention_ms = -1,          \
        .retention_bytes = -1,                                                                     \
    }

#define CHECKPOINT_FILE "chronik-checkpoint"
#define JOURNAL_DIR "journal"
#define JOURNAL_GONE_DIR "journal.gone" /* of a clean stop; the next start removes what is left */
#define LOCK_FILE ".lock"

/* ---- a log ------------------------------------------------------------------------------------*/

/* Where the next read of a sequential reader begins. */
struct read_hint {
    int64_t offset;
    int64_t base; /* of the segment */
    uint64_t place;
};

/* How a log's unwritten entries get into its segments. */
enum write_state {
    WRITE_NONE,  /* there are none */
    WRITE_AGING, /* there are, but they may wait */
    WRITE_READY, /* to be written as soon as possible */
    WRITE_BUSY,  /* a write is under way */
    WRITE_STUCK, /* a write failed for want of space; it will be repeated */
};

struct writing;
struct cut;

struct log {
    struct map_node node; /* in the store's map */
    struct store *store;
    struct uuid topic_id;
    int32_t partition;
    unsigned refs; /* the map, and everything under way */
    char *topic;

    int64_t start, high_watermark, durable_end, end;
    struct epochs epochs;
    struct producers *producers; /* NULL: there never was one */
    struct segment **segments;   /* ascending; the last one may be appended to */
    uint32_t n_segments, cap_segments;
    struct tail tail;
    struct log_config config;
    struct journal_owner owner;
    void (*moved)(void *arg);
    void *moved_arg;
    char *damage; /* NULL: none */

    struct list write_link; /* in a list of the writer */
    enum write_state write_state;
    uint64_t write_at_ns; /* WRITE_AGING: when they have waited long enough */
    struct writing *writing;

    struct list cuts;  /* under way, in order */
    struct cut *cut;   /* the truncation among them: no append, no segment write */
    uint32_t n_cuts;   /* truncations so far: reads notice by it that the log has changed */
    int64_t snapshot, snapshot_before; /* offsets of the last two snapshots of the producers that
                                          are in files, besides those beside segments; -1: none */
    uint64_t since_snapshot;           /* bytes appended since the last one */
    struct list reads; /* and searches, under way */
    struct read_hint hints[2];
    struct list dir_link; /* its directory has names that are not synced */

    bool deleted;     /* not in the map any more */
    bool dir_made;    /* its directory is there */
    bool owes;        /* the checkpoint waits for its unwritten entries */
    bool epochs_new;  /* the epochs changed since their file was written */
    bool producers_new;     /* the same of the producers and their last snapshot */
    bool producers_in_file; /* in recovery: they are to be loaded from there */
};

/* ---- a store ----------------------------------------------------------------------------------*/

enum store_state {
    STORE_OPENING,
    STORE_OPEN,
    STORE_CLOSING, /* no append any more; everything is written */
    STORE_CLOSED,  /* may be freed */
    STORE_FAILED   /* offline: nothing is written any more, reads go on */
};

/* Segments with index entries in memory that are in files as well, longest unused first. */
struct index_cache {
    struct list segments;
    uint64_t bytes, bytes_max;
};

struct checkpoint;
struct recovery;
struct retention;
struct space_check;

struct store {
    struct loop *loop;
    char *path;
    struct store_config config;
    const struct store_events *events;
    void *arg;
    unsigned state;
    int error; /* STORE_FAILED: why */
    struct store_identity identity;
    struct store_recovery recovery;
    struct file *lock;
    uint64_t seed; /* of hashes */

    struct map logs;
    uint64_t n_damaged;
    struct recycler *recycler;
    struct slabs slabs;
    struct journal *journal;
    struct files files;
    struct index_cache cache;
    struct list loads; /* of indexes, under way */
    struct buf scratch;

    /* writer */
    struct list aging, ready, stuck; /* of struct log */
    unsigned n_writing;
    bool held; /* writes are not begun: the store stops */
    struct loop_task pump;
    struct timer write_timer;

    /* checkpoint */
    struct checkpoint *checkpoint; /* NULL: none under way */
    struct timer checkpoint_timer;
    uint64_t first_change_ns, last_change_ns; /* since the last one; 0: none */
    uint64_t checkpoint_lsn; /* what the one under way covers, or the last one */
    uint64_t next_checkpoint_ns; /* not before that, unless the journal is full */
    bool checkpoint_wanted;
    struct list new_names; /* of struct log: directories to be synced */
    bool new_dirs;         /* the store's own directory is to be synced */

    /* cuts and removals */
    struct list cuts; /* of struct cut, ascending by LSN */
    struct loop_task cut_task;
    struct list removals; /* of struct removal, the first due first */
    struct timer removal_timer;
    bool hurry;

    /* space */
    bool full;      /* a checkpoint failed for want of space, or the reserve is touched */
    bool want_room; /* an append of `want_bytes` was refused: tell when there is room */
    uint64_t want_bytes;
    struct space_check *space_check;
    uint64_t space_checked_ns, space_total, space_available;
    struct timer room_timer;
    struct loop_task room_task;
    uint64_t slabs_seen; /* slabs ever opened, when the tails were last relieved */

    struct retention *retention; /* NULL: none under way */
    struct timer retention_timer;
    unsigned reads; /* under way */
    unsigned jobs;  /* under way, besides those that have a pointer here */
    void (*closed)(void *arg, int error);
    void *closed_arg;
    int64_t broker_epoch;
    struct uuid stop_id;
    bool clean; /* the last checkpoint is written */
    bool abandoned, journal_stopped, journal_idle;
    struct loop_task settle_task;

    struct {
        uint64_t appends, append_bytes;
        uint64_t segment_writes, segment_bytes;
        uint64_t tail_reads, tail_read_bytes, segment_reads, segment_read_bytes;
        uint64_t checkpoints, rolls, truncations, deleted_segments, refused;
        struct metric_histogram checkpoint_ns;
    } stats;
};

/* ---- store.c ----------------------------------------------------------------------------------*/

/* The directory goes offline. `what`: static, what was tried. */
void store_fail(struct store *store, int error, const char *what);

/* Something changed that a checkpoint should see. */
void store_changed(struct store *store);


static inline bool store_offline(const struct store *store)
{
    return store->state == STORE_FAILED;
}

/* A store that is closing takes no changes: what comes behind its last checkpoint would be lost
 * with the journal. */
static inline bool store_takes_changes(const struct store *store)
{
    return store->state == STORE_OPEN;
}

/* Paths; the caller frees them. */
char *store_file_path(const struct store *store, const char *name);
char *log_dir_path(const struct log *log);
char *log_renamed_path(const struct log *log, enum log_dir_state state);
char *log_file_path(const struct log *log, enum log_file_kind kind, int64_t offset);

/* ---- room.c, settle.c -------------------------------------------------------------------------*/

void room_init(struct store *store);

/* There may be room for appends that were refused. Looks in the advance step. */
void store_check_room(struct store *store);

/* Something is appended: measures the disk now and then. */
void room_appended(struct store *store);

void settle_init(struct store *store);

/* Something has ended: when the store is to stop, sees whether it may. Looks in the advance
 * step. */
void store_settle(struct store *store);

/* ---- log.c ------------------------------------------------------------------------------------*/

struct log *log_new(struct store *store, const struct uuid *topic_id, struct text topic,
                    int32_t partition, const struct log_config *config);
struct log *log_ref(struct log *log);
void log_unref(struct log *log);

uint64_t log_hash(const struct store *store, const struct uuid *topic_id, int32_t partition);

/* The segment that an offset belongs to: the last one that begins at or below it, or the first;
 * NULL when there is none. And its index. */
struct segment *log_segment_of(const struct log *log, int64_t offset, uint32_t *ret_index);

static inline struct segment *log_last_segment(const struct log *log)
{
    return log->n_segments ? log->segments[log->n_segments - 1] : NULL;
}

/* Is it empty? Then the first batch of a follower may begin below the start, if it ends above: the
 * leader's log may start in the middle of a batch. */
static inline bool log_begins(const struct log *log)
{
    return log->start == log->end && log->n_segments == 0;
}

/* Puts a new segment at the end; closes the one before. */
struct segment *log_add_segment(struct log *log, int64_t base);

/* Takes segments [from, from + n) out of the log and out of use; `visit` (may be NULL) sees each
 * while it still exists. */
void log_take_segments(struct log *log, uint32_t from, uint32_t n);

/* Says that something is wrong with the log; the first sentence stays. Takes over `damage`. */
void log_set_damage(struct log *log, char *damage);

/* Sets the durable end, and tells the listener. */
void log_set_durable(struct log *log, int64_t end);

/* Journals a record of the log. */
uint64_t log_journal(struct log *log, enum journal_kind kind, int32_t epoch, int64_t offset);

/* Learns a batch at its final offsets: epochs and producers. */
void log_learn(struct log *log, const struct batch *batch, int64_t now_ms);

/* ---- writer.c ---------------------------------------------------------------------------------*/

void writer_init(struct store *store);

/* The log has entries that no segment has. */
void writer_note(struct log *log);

/* Some of them have become durable: they are written soon when there are many. */
void writer_ready(struct log *log);

/* Write all that is unwritten, now. */
void writer_force(struct store *store);

/* Write what pins the oldest slabs. */
void writer_relieve(struct store *store);

/* The log's entries are gone, or may be written again (a cut has ended). */
void writer_forget(struct log *log);

/* Writes that failed for want of space are tried again. */
void writer_retry(struct store *store);

/* ---- log_dir.c, blocking ----------------------------------------------------------------------*/

/* Creates a log's directory with its partition.metadata; neither is synced. One of the same topic
 * id that is there is used, as is one that was only begun; any other is renamed to `stray`
 * first. */
int log_dir_make(const char *path, const struct uuid *topic_id, const char *stray);

/* The topic id that a directory says it is of; false when it does not say. */
bool log_dir_id(const char *path, struct uuid *ret_id);

/* Syncs partition.metadata and the names in the directory. */
int log_dir_sync(const char *path);

/* ---- checkpoint.c -----------------------------------------------------------------------------*/

void checkpoint_init(struct store *store);

/* Begins one, unless one is under way or must wait. */
void checkpoint_start(struct store *store);

/* Something that a checkpoint under way waits for may have happened. */
void checkpoint_poke(struct store *store);

/* Forgets the one under way, of a store that has stopped. */
void checkpoint_drop(struct store *store);

/* A log has written what it owed, or has nothing to write any more. */
void checkpoint_paid(struct log *log);

/* The files that it waits for are synced. */
void checkpoint_synced(struct store *store);

/* Is it writing files right now? */
bool checkpoint_writing(const struct store *store);

/* ---- cut.c ------------------------------------------------------------------------------------*/

void cuts_init(struct store *store);

/* Something that a cut may wait for has happened; or the directory is offline, and who waits for a
 * cut is told. Goes on in the advance step. */
void cuts_resume(struct store *store);

/* The journal is durable up to `lsn`. */
void cuts_durable(struct store *store, uint64_t lsn);

/* Are all cuts with records up to `lsn` done in files? Is one at work? Is there a truncation? Is a
 * partition of this name being deleted, so that its directory is still in the way? */
bool cuts_done(const struct store *store, uint64_t lsn);
bool cuts_running(const struct store *store);
bool cuts_truncating(const struct store *store);
bool cuts_deleting(const struct store *store, const char *topic, int32_t partition);

/* ---- index_load.c -----------------------------------------------------------------------------*/

/* Somebody waits for the whole index of a segment to be in memory. */
struct index_wait {
    struct list link;
    void (*ready)(struct index_wait *wait, int error);
};

/* 0: it is there; -EINPROGRESS: `ready` follows. */
int index_want(struct log *log, struct segment *segment, struct index_wait *wait);

/* The same at once, blocking: for recovery. */
int index_load_now(struct log *log, struct segment *segment);

/* The segment's index was used, or saved: it may be dropped when memory is short. */
void index_cache_touch(struct store *store, struct segment *segment);
void index_cache_forget(struct store *store, struct segment *segment);

/* ---- retain.c ---------------------------------------------------------------------------------*/

void retention_init(struct store *store);
void retention_stop(struct store *store);

/* ---- remove.c ---------------------------------------------------------------------------------*/

void removals_init(struct store *store);

/* Removes the files of a segment that is not of its log any more; `delay_ns` from now. */
void remove_segment(struct log *log, struct segment *segment, uint64_t delay_ns);

/* Removes a partition's directory, which has been renamed. Takes over `path`. */
void remove_directory(struct store *store, char *path);

/* Goes on with what is due; `all`: with what is not due yet as well. */
void removals_resume(struct store *store);
void removals_hurry(struct store *store);

/* Are files of this log, or of any, being removed right now? */
bool remove_busy(const struct log *log);
bool removals_busy(const struct store *store);

/* Are there segments that wait to be removed? */
bool removals_pending(const struct store *store);

void removals_each(const struct store *store,
                   void (*visit)(void *arg, const struct log *log, int64_t base), void *arg);
void removals_release(struct store *store);

#endif
