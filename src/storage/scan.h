/* Walking over the batches of a segment file, blocking: for recovery and for jobs. */
#ifndef CHRONIK_STORAGE_SCAN_H
#define CHRONIK_STORAGE_SCAN_H

#include <chronik/io/file.h>
#include <chronik/storage/producers.h>
#include <chronik/wire/records.h>

struct scan {
    struct file *file;
    uint64_t at;    /* of the next batch */
    uint64_t limit; /* bytes of the file that count */
    bool check_crc;
    int64_t next_offset; /* no batch may begin below it */
    struct buf buffer;
    uint64_t buffered_at; /* where in the file the buffer begins */
};

/* Begins at `at`, the start of a batch, up to `limit` or the end of the file. */
void scan_init(struct scan *scan, struct file *file, uint64_t at, uint64_t limit, bool check_crc);
void scan_release(struct scan *scan);

/* The next batch, valid until the next call: 1; 0 at the limit or at the end of the file;
 * -EBADMSG: what is at `scan->at` is not a valid batch; another -errno: it cannot be read. Batches
 * must have rising offsets, a known format, and, when asked for, the right CRC. */
int scan_next(struct scan *scan, struct batch *ret_batch);

/* Are these whole batches that verify, with rising offsets, none below `next`? `begins`: of an
 * empty log, where it is enough that the first one ends at or above `next` (log_begins()). */
bool batches_go_on(struct bytes batches, int64_t next, bool begins);

/* A segment file, as jobs see it. */
struct segment_file {
    int64_t base;
    uint64_t bytes;
};

/* Loads the snapshot of an offset, and its window. -errno when there is no usable snapshot;
 * without a window (`*ret_whole` is false then), what the snapshot says counts: the last batch of
 * each producer. */
int producers_load(struct producers *producers, const char *dir, int64_t offset, bool *ret_whole);

/* What the producers of a log are at offset `end`: the newest snapshot in the directory at or below
 * it, one with a window where there is one, and the batches of the files from there on. NULL when
 * there are none. The files must hold whole valid batches up to `bytes`; -errno when they do not.
 * Sets `*ret_snapshot` to the offset of the snapshot used, or -1. */
int producers_rebuild(const char *dir, const struct segment_file *files, size_t n, int64_t end,
                      uint64_t seed, int64_t now_ms, struct producers **ret_producers,
                      int64_t *ret_snapshot);

/* Frees producers that were allocated; NULL is fine. */
void producers_free(struct producers *producers);

#endif
