/* The tails: the newest batches of every log, in memory.
 *
 * Appends are copied once, into slabs: large aligned buffers, filled one after the other by all
 * logs together, from which the journal writes. The tail of a log is a row of entries that point
 * into slabs; it is a gapless end of the log, and holds at least what no segment has yet. Slabs
 * are given up oldest first, under one budget for all logs that counts real memory. */
#ifndef CHRONIK_STORAGE_TAIL_H
#define CHRONIK_STORAGE_TAIL_H

#include <chronik/base/list.h>

#include "recycler.h"

struct slab;

/* Whole batches that follow each other in a slab. */
struct tail_entry {
    int64_t base, last; /* offsets of the first and the last record */
    uint64_t lsn;       /* of the journal's group that holds (the end of) it */
    struct slab *slab;
    uint32_t at, len; /* where in the slab; bytes */
};

/* Entries are numbered in order of appending; numbers are not used again, except those of entries
 * that a truncation dropped. Zero-initialised is empty and valid. */
struct tail {
    struct tail_entry *ring; /* a power of two of them; NULL while there are none */
    uint64_t first, written, end; /* numbers: the oldest kept, the first that no segment has, the
                                     next */
    uint64_t unwritten_bytes;
    struct slab *slab; /* the last one used, and this tail's place among its users */
    uint32_t user;
    uint32_t cap;
};

/* How much of a slab belongs to a tail. */
struct slab_user {
    struct tail *tail; /* NULL: it is gone */
    uint32_t n;        /* entries */
};

struct slab {
    struct list link;
    struct blob *blob;
    uint32_t used;      /* bytes from the start on that are taken */
    uint32_t unwritten; /* entries that no segment has yet */
    struct slab_user *users;
    size_t n_users, cap_users;
};

struct slabs {
    struct recycler *recycler;
    struct list fifo; /* of struct slab, oldest first; the last one is being filled */
    uint64_t bytes;   /* of slabs and rings */
    uint64_t budget;
    uint64_t unwritten_bytes; /* of all tails */
    uint64_t opened, evicted; /* slabs, ever */
};

enum { SLAB_BYTES = 1024 * 1024 };

void slabs_init(struct slabs *slabs, struct recycler *recycler, uint64_t budget);
void slabs_release(struct slabs *slabs);

/* The slab being filled, when `len` bytes from a multiple of `align` on fit into it; else a new one
 * where they do. Makes room by evicting what may be evicted. */
struct slab *slabs_for(struct slabs *slabs, size_t len, size_t align);

/* Gives slabs up, oldest first, until `budget` is kept or the oldest one is still needed. */
void slabs_evict(struct slabs *slabs);

static inline struct slab *slabs_oldest(const struct slabs *slabs)
{
    struct list *link = list_first(&slabs->fifo);
    return link ? container_of(link, struct slab, link) : NULL;
}

static inline uint8_t *entry_data(const struct tail_entry *entry)
{
    return entry->slab->blob->data + entry->at;
}

static inline struct tail_entry *tail_entry(const struct tail *tail, uint64_t number)
{
    check(number >= tail->first && number < tail->end);
    return &tail->ring[number & (tail->cap - 1)];
}

static inline bool tail_is_empty(const struct tail *tail)
{
    return tail->first == tail->end;
}

/* The offset that the tail begins with; INT64_MAX when it is empty. */
static inline int64_t tail_start(const struct tail *tail)
{
    return tail_is_empty(tail) ? INT64_MAX : tail_entry(tail, tail->first)->base;
}

/* Appends an entry behind the last one. */
void tail_push(struct tail *tail, struct slabs *slabs, const struct tail_entry *entry);

/* The number of the first entry whose last offset is at or above `offset`; `end` when there is
 * none. */
uint64_t tail_find(const struct tail *tail, int64_t offset);

/* Entries below `number` are in a segment now. */
void tail_wrote(struct tail *tail, struct slabs *slabs, uint64_t number);

/* Drops the entries from `number` on, or below it. */
void tail_cut(struct tail *tail, struct slabs *slabs, uint64_t number);
void tail_drop(struct tail *tail, struct slabs *slabs, uint64_t number);

/* Shortens the last entry to its first `len` bytes, ending with offset `last`. */
void tail_shorten(struct tail *tail, struct slabs *slabs, uint32_t len, int64_t last);

#endif
