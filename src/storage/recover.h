/* Opening a directory: what a job works out before the store serves. */
#ifndef CHRONIK_STORAGE_RECOVER_H
#define CHRONIK_STORAGE_RECOVER_H

#include "image.h"
#include "journal_read.h"

/* A segment file that was written to and is not synced: it stays open. */
struct open_segment {
    struct segment *segment; /* a reference */
    struct file *file;
    uint64_t unsynced;
};

struct recovery {
    struct job job;
    struct store *store; /* nobody else touches it meanwhile */
    struct journal_config journal_config;
    char *journal_dir;
    uint8_t random[64]; /* for ids and salts */
    int64_t now_ms;
    uint64_t began_ns;

    struct image_head head; /* of the checkpoint found */
    bool has_image;
    const char *damage; /* of the directory as a whole: static, NULL: none */
    bool keep_chunks;   /* those that were read are needed until the next checkpoint */
    bool replayed;      /* files were written that a checkpoint must sync */
    struct journal_reader reader;
    struct map traces;  /* what the journal says of each log (recover_replay.c) */
    struct list open;   /* of struct trace, the one used last at the end */
    unsigned n_open;

    struct journal_chunks chunks;
    struct open_segment *kept;
    size_t n_kept, cap_kept;
    char **doomed; /* directories to be removed */
    size_t n_doomed;
    uint64_t n_renamed;
    struct image_removal *removals; /* segments to be removed */
    size_t n_removals, cap_removals;

    int error;
    char *message;
};

struct recovery *recovery_new(struct store *store);

/* For looking only: a store that is not opened, no time, no randomness. */
struct recovery *recovery_blank(struct store *store);
void recovery_free(struct recovery *recovery);

/* In the job. `recovery->error` and `message` say how it ended. */
void recovery_run(struct job *job);

/* Ends with an error and a message for people. Returns the error. */
int recovery_fail(struct recovery *r, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a log to the store; one of the same key is there only when the image is wrong: false
 * then. */
bool recovery_add_log(struct recovery *r, struct log *log);
struct log *recovery_find(const struct recovery *r, const struct uuid *topic_id,
                          int32_t partition);

/* Works out the producers of a log from its segments, and from the newest snapshot among them. */
void recovery_rebuild_producers(struct recovery *r, struct log *log);

/* Takes a log out of the store and frees it. */
void recovery_drop_log(struct recovery *r, struct log *log);

/* Renames a partition's directory so that it is removed in the background. */
int recovery_doom(struct recovery *r, const char *topic, int32_t partition);

/* Makes way for a log that begins: a directory of this name is one of its earlier life, which is
 * written anew, or somebody else's, which is kept under another name. */
int recovery_set_aside(struct recovery *r, const struct log *log);

/* The topic id that a partition's directory says it is of; false when it does not say. */
bool recovery_directory_id(const struct recovery *r, const char *topic, int32_t partition,
                           struct uuid *ret_id);

/* Keeps an open file until the store takes it over; a second one of the same segment is closed. */
void recovery_keep(struct recovery *r, struct segment *segment, struct file *file,
                   uint64_t unsynced);

/* A damaged log: a sentence; printf. */
void log_damaged(struct log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- recover_look.c: reads only ---------------------------------------------------------------*/

/* Identity, checkpoint, chunks: fills the store's logs, `head`, `reader`, `damage`. `*ret_known`:
 * the directory has an identity. */
int recovery_look(struct recovery *r, bool *ret_known);

/* Does .kafka_cleanshutdown belong to the stop that the checkpoint is of? Who starts on the
 * directory removes the file. */
bool recovery_same_stop(const struct recovery *r);

/* Forgets all logs. */
void recovery_drop_all(struct recovery *r);

/* ---- recover_replay.c: a directory with a journal ---------------------------------------------*/

/* Compares the files with the image, and replays the journal. */
int recovery_replay(struct recovery *r);

/* Without a checkpoint: appends from the journal what the logs, as they were found, lack at their
 * ends. */
int recovery_salvage(struct recovery *r);
void recovery_release_traces(struct recovery *r);

/* ---- recover_files.c --------------------------------------------------------------------------*/

/* Compares the files of a log with the image; what the journal excuses is given. Cuts what is too
 * long when `cut`, else takes over what lies behind, where it verifies. */
int recover_files(struct recovery *r, struct log *log, int64_t gone_below, bool cut);

/* Scans what lies behind the known end of the last segment, and takes it over. */
int recover_rest(struct recovery *r, struct log *log);

/* Removes what does not belong to the log any more. */
int recover_tidy(const struct log *log);

/* Cuts the log at `offset`, in files as well. */
int recover_truncate(struct recovery *r, struct log *log, int64_t offset);

/* ---- adopt.c ----------------------------------------------------------------------------------*/

/* Is it the directory of a log, to be taken over? */
bool recovery_is_log(const struct dir_entry *entry, struct log_dir_name *ret_name);

/* The offsets that segments in a directory begin with, ascending; the caller frees them. Sets
 * `*ret_swap` when a compaction of Kafka's has not ended. */
int64_t *recovery_segments_in(const char *dir, size_t *ret_n, bool *ret_swap);

/* Takes over every log in the directory that is not known yet, as it is, after a scan. */
int recovery_adopt(struct recovery *r);

/* Is there any directory of a partition? */
int recovery_has_logs(struct recovery *r, bool *ret_some);

#endif
