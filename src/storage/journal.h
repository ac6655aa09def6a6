/* The journal: what makes appends durable (docs/data-files.md).
 *
 * Records of all logs are gathered into a group; the submit step of the turn closes it and writes
 * it into the current chunk, durably, in one go. One group is under way at a time, the next one
 * gathers meanwhile: that is the group commit. Groups are numbered by LSN, without gaps. When the
 * files hold everything up to some LSN (a checkpoint), chunks that end at or below it are used
 * again.
 *
 * A write that fails is never repeated: the journal stops for good and says so. */
#ifndef CHRONIK_STORAGE_JOURNAL_H
#define CHRONIK_STORAGE_JOURNAL_H

#include <chronik/base/metric.h>
#include <chronik/io/loop.h>

#include "journal_format.h"
#include "tail.h"

struct journal;

/* Embedded in whatever has records in the journal and wants to know when they are durable. */
struct journal_owner {
    uint64_t lsn; /* of the last group with a mark of this owner; 0: none */
    uint32_t mark;
};

/* Once a group is durable, so is everything of its owner below `end`. */
struct journal_mark {
    struct journal_owner *owner;
    int64_t end;
};

struct journal_events {
    /* Everything up to `lsn` is on stable storage; the marks are of the group `lsn`. */
    void (*durable)(void *arg, uint64_t lsn, const struct journal_mark *marks, size_t n);

    /* The journal has stopped. Comes once. `what`: static, what was tried. */
    void (*failed)(void *arg, int error, const char *what);

    /* There may be room again (journal_room). */
    void (*room)(void *arg);
};

/* A chunk file. */
struct journal_chunk {
    struct list link;
    struct file *file; /* FILE_DURABLE */
    unsigned slot;     /* its name: journal/NNNN */
    uint64_t bytes;    /* its size */
    uint64_t number, first_lsn; /* once begun */
    struct journal_salt salt;
};

/* The chunks of a directory, as recovery leaves them. */
struct journal_chunks {
    struct list used; /* oldest first; the last one is begun, holds no group yet, and is next */
    struct list free; /* all of the usual size */
    uint64_t next_lsn, next_number;
};

struct journal_config {
    const char *dir; /* of the chunks; exists */
    struct uuid directory_id;
    uint64_t bytes_max, chunk_bytes, group_bytes_max; /* as worked out by journal_sizes() */
};

/* Fills in the sizes that are 0, so that they fit each other and a file system of `total` bytes. */
void journal_sizes(struct journal_config *config, uint64_t total);

/* Takes over the lists in `chunks`. `slabs` must outlive the journal. */
struct journal *journal_new(struct loop *loop, const struct journal_config *config,
                            struct slabs *slabs, struct journal_chunks *chunks,
                            const struct journal_events *events, void *arg);

/* Nothing may be under way (journal_busy). */
void journal_free(struct journal *journal);

/* ---- gathering --------------------------------------------------------------------------------*/

/* Where the payload of a record lies: its slab keeps it for the tail. */
struct journal_place {
    struct slab *slab;
    uint32_t at;  /* in the slab */
    uint64_t lsn; /* of the group that completes it */
};

/* The longest payload that journal_add() takes. */
size_t journal_payload_max(const struct journal *journal);

/* Copies a record into the group being gathered, or into several groups if its payload is longer
 * than journal_payload_max(): JOURNAL_APPEND only. The payload may be changed in place until the
 * turn's submit step. */
void journal_add(struct journal *journal, const struct journal_record *record,
                 struct journal_place *ret_place);

/* Marks the group that the last record went to: see struct journal_mark. A later mark of the same
 * owner in the same group takes its place. */
void journal_mark(struct journal *journal, struct journal_owner *owner, int64_t end);

/* Closes the group being gathered. What was added is in groups up to the result, what will be added
 * is in later ones. */
uint64_t journal_seal(struct journal *journal);

uint64_t journal_durable_lsn(const struct journal *journal);

/* ---- room -------------------------------------------------------------------------------------*/

/* May an append of `len` bytes be added? The last chunk is kept for other records, so that what
 * frees space can always be said. */
bool journal_room(const struct journal *journal, uint64_t len);

/* The largest append that could be added if the journal were empty. */
uint64_t journal_hold_max(const struct journal *journal);

/* Is the journal so full that a checkpoint is due? */
bool journal_half_full(const struct journal *journal);

/* A checkpoint holds everything up to `lsn`: chunks that end there may be used again. */
void journal_release(struct journal *journal, uint64_t lsn);

/* Tries again what failed for want of space. */
void journal_retry(struct journal *journal);

/* ---- stopping ---------------------------------------------------------------------------------*/

/* Begins nothing more. `idle` is called, at once or later, when nothing is under way. */
void journal_stop(struct journal *journal, void (*idle)(void *arg), void *arg);

struct journal_stats {
    uint64_t groups, bytes, records;
    uint64_t chunks, chunk_bytes;            /* there are now; bytes of all of them */
    struct metric_histogram write_ns;        /* from the write's start to its completion */
};

const struct journal_stats *journal_stats(const struct journal *journal);

/* How long the write that is under way has taken so far; 0: none is. */
uint64_t journal_write_pending_ns(const struct journal *journal);

/* ---- chunk files, blocking: for jobs ----------------------------------------------------------*/

/* "<dir>/NNNN"; the caller frees it. */
char *journal_chunk_path(const char *dir, unsigned slot);

/* Creates a chunk of zeros, durable with its name. */
int journal_chunk_create(const char *dir, unsigned slot, uint64_t bytes,
                         struct journal_chunk **ret_chunk);

/* Begins a chunk: its header is durable on return. `number`, `first_lsn` and `salt` are set. */
int journal_chunk_begin(struct journal_chunk *chunk, const struct uuid *directory_id);

void journal_chunk_free(struct journal_chunk *chunk);

#endif
