/* One segment of a log, in memory: how long it is, what its time stamps are, its indexes.
 *
 * A segment is planned when batches are appended: where each batch will lie in the file, what the
 * indexes will say, when the next segment begins. The file follows: `written` bytes of `bytes` are
 * in it. The files of the indexes follow still later, with checkpoints.
 *
 * Of an index, the entries that its file has may be dropped from memory (`lead` of them are missing
 * at the front then) and loaded again. */
#ifndef CHRONIK_STORAGE_SEGMENT_H
#define CHRONIK_STORAGE_SEGMENT_H

#include <chronik/base/list.h>
#include <chronik/storage/index.h>
#include <chronik/storage/log.h>
#include <chronik/storage/time_index.h>

struct open_file;

/* How much of an index its file has: the first `n` entries, whose bytes have this CRC-32C. */
struct index_saved {
    uint32_t n, crc;
};

struct segment {
    int64_t base;                 /* offset it begins with: its name */
    uint64_t bytes, written;
    int64_t first_timestamp;      /* the largest one of the first batch, ms; -1: none */
    int64_t max_timestamp;        /* -1: none */
    int64_t max_timestamp_offset; /* the last offset of the first batch that has it */
    int64_t indexed_timestamp;    /* of the last entry of the time index; -1: none */
    int64_t created_ms, modified_ms; /* wall clock: the first and the last append */
    uint64_t since_index;         /* bytes of batches since the last index entry */
    int64_t jitter_ms;            /* it rolls so much earlier */

    struct index index;
    struct time_index times;
    struct index_saved lead, time_lead; /* entries that the files have and memory has not */
    struct index_saved saved, time_saved;
    struct index_saved saving, time_saving; /* what a checkpoint under way makes of them */
    struct list cached; /* in the index cache: what is in memory is in the files as well */
    uint32_t cached_bytes;

    struct buf *snapshot, *window; /* the producers as of `base`, not in files yet; NULL: none */

    struct open_file *open; /* NULL: not open */
    uint32_t refs;
    bool made;    /* there is a file */
    bool index_made; /* and files of the indexes */
    bool closed;  /* another segment follows */
    bool removed; /* it is not of its log any more */
    bool loading; /* its index is being loaded */
};

struct segment *segment_new(int64_t base);

static inline struct segment *segment_ref(struct segment *segment)
{
    segment->refs++;
    return segment;
}

/* NULL is fine. The last reference must not go while the file is open. */
void segment_unref(struct segment *segment);

/* Must the next segment begin before this batch (its last offset: `last`)? By size, by time, by a
 * full index, by offsets that would not fit an index entry. (Kafka 4.4, LogSegment.shouldRoll) */
bool segment_must_roll(const struct segment *segment, const struct log_config *config,
                       const struct batch *batch, int64_t last, int64_t now_ms);

/* Adds a batch at the end of the plan. */
void segment_add(struct segment *segment, const struct log_config *config,
                 const struct batch *batch, int64_t last, int64_t now_ms);

/* No batch will follow: adds the last entry of the time index. */
void segment_close(struct segment *segment);

/* Everything from `place` on, where `offset` would be, is gone; the segment is not closed any more.
 * The index must be in memory as a whole, or at least what is cut off of it. What the largest time
 * stamp is now the caller has to find out. */
void segment_cut(struct segment *segment, uint64_t place, int64_t offset);

/* Is all of the index in memory? Entries that no file has? */
static inline bool segment_indexed(const struct segment *segment)
{
    return segment->lead.n == 0 && segment->time_lead.n == 0;
}

uint32_t segment_unsaved(const struct segment *segment);

/* Appends what the index files lack, and says what they will have. */
void segment_save_index(const struct segment *segment, struct buf *out,
                        struct index_saved *ret_saved);
void segment_save_times(const struct segment *segment, struct buf *out,
                        struct index_saved *ret_saved);

/* Drops the entries from memory that the files have. */
void segment_drop_index(struct segment *segment);

/* Drops all entries, also what the files have: the index begins anew with what is added next. */
void segment_forget_index(struct segment *segment);

/* Puts loaded entries in front: `index` and `times` are of the files, and are taken over. */
void segment_put_index(struct segment *segment, struct index *index, struct time_index *times);

static inline size_t segment_index_bytes(const struct segment *segment)
{
    return segment->index.cap * sizeof *segment->index.entries +
           segment->times.cap * sizeof *segment->times.entries;
}

#endif
