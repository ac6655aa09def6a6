/* Open segment files, within a budget.
 *
 * A file is opened when somebody needs it and stays open while it is used; of those that nobody
 * uses, the one that was idle longest is closed when there are too many. A file with bytes that
 * are not synced is never closed before it was: the kernel reports a lost write only to
 * descriptors that were open when it happened (rule 19). Such files are synced first, one at a
 * time, a few MiB at a time, so that syncs do not hold up the journal. */
#ifndef CHRONIK_STORAGE_FILES_H
#define CHRONIK_STORAGE_FILES_H

#include <chronik/io/disk.h>

#include "segment.h"

struct files_events {
    /* A sync failed: nothing of the directory can be trusted any more. */
    void (*failed)(void *arg, int error, const char *what);

    /* All that files_sync_all() asked for is synced. */
    void (*synced)(void *arg);

    /* No sync is under way any more. */
    void (*rested)(void *arg);

    /* There is room again for files to be opened (files_room). */
    void (*room)(void *arg);
};

struct files {
    struct loop *loop;
    const struct files_events *events;
    void *arg;
    struct list idle;  /* of struct open_file that nobody uses, longest idle first */
    struct list dirty; /* not synced, and not due */
    struct list due;   /* to be synced now */
    struct list in_sync; /* being synced */
    unsigned n, n_max; /* open files */
    unsigned owed;     /* files that files_sync_all() waits for */
    unsigned n_dirty;  /* files in `dirty`, `due` and `in_sync` */
    unsigned n_syncing;
    bool waiting; /* files_sync_all() is under way */
    bool stopped; /* begin nothing any more */
    bool ending;  /* close files at once */
    bool refused; /* files_room() said no */
    bool hurry;
    uint64_t syncs;
};

/* Somebody waits for a file to be open. */
struct file_wait {
    struct list link;
    void (*ready)(struct file_wait *wait, int error);
};

void files_init(struct files *files, struct loop *loop, unsigned n_max,
                const struct files_events *events, void *arg);

/* From now on files are closed at once, which may block: the loop runs no more. */
void files_end(struct files *files);

/* Closes all that is open. Nothing may be in use. */
void files_release(struct files *files);

/* Makes sure that the segment's file is open, and stays so until files_put(): 0 at once, or
 * -EINPROGRESS, and `wait->ready` follows: then with 0 it is open and in use, else -errno. `flags`
 * beside reading and writing, e.g. FILE_CREATE. The caller holds a reference to the segment until
 * then. */
int files_get(struct files *files, struct segment *segment, const char *path, unsigned flags,
              struct file_wait *wait);
void files_put(struct files *files, struct segment *segment);

struct file *files_of(const struct segment *segment);

/* A file that recovery has opened becomes one of ours, not in use. */
void files_adopt(struct files *files, struct segment *segment, struct file *file,
                 uint64_t unsynced);

/* `bytes` more of the file, which is in use, are not synced. */
void files_wrote(struct files *files, struct segment *segment, uint64_t bytes);

/* The file is about to be removed: it need not be synced, and is closed when nobody uses it. */
void files_forget(struct files *files, struct segment *segment);

/* Syncs everything that is not synced now; `events->synced` follows, at once if there is
 * nothing. */
void files_sync_all(struct files *files);

/* Several syncs at a time, rather than one: they end sooner, but the journal feels them. */
void files_hurry(struct files *files, bool hurry);

/* Is there a sync under way? */
static inline bool files_busy(const struct files *files)
{
    return files->n_syncing > 0;
}

/* May more files be opened? If there are too many that have to be synced first, `room` follows. */
bool files_room(struct files *files);

#endif
