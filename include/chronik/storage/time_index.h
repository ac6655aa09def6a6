/* The time index of a segment, Kafka's format: from a time stamp to an offset.
 *
 * File NNN.timeindex: entries of 12 bytes, big-endian: the largest time stamp so far (int64 ms),
 * and the last offset of the first batch that has it, minus the base offset (int32). Time stamps
 * rise strictly, offsets do not fall. An entry says: no record up to this offset is younger. One is
 * offered with every entry of the offset index, and one when the segment rolls or is closed. (Kafka
 * 4.4, LogSegment.append and onBecomeInactiveSegment, TimeIndex) */
#ifndef CHRONIK_STORAGE_TIME_INDEX_H
#define CHRONIK_STORAGE_TIME_INDEX_H

#include <chronik/storage/index.h>

struct time_entry {
    int64_t timestamp; /* ms; -1: none */
    uint32_t relative_offset;
};

/* Zero-initialised is empty and valid. */
struct time_index {
    struct time_entry *entries;
    size_t n, cap;
};

/* Adds an entry when its time stamp is larger than the last one's (than -1 when there is none);
 * else does nothing. */
void time_index_add(struct time_index *index, int64_t timestamp, uint32_t relative_offset);

/* The last entry; time stamp -1 and relative offset 0 when there is none. */
struct time_entry time_index_last(const struct time_index *index);

/* The entry with the largest time stamp at or below `timestamp`: a scan for the first record at or
 * after `timestamp` may begin at its offset. When there is none: as time_index_last(). */
struct time_entry time_index_lookup(const struct time_index *index, int64_t timestamp);

/* Drops entries for offsets at or above `relative_offset`. */
void time_index_truncate(struct time_index *index, uint32_t relative_offset);

/* As for the offset index: -EINVAL leaves it empty. */
void time_index_encode(const struct time_index *index, size_t from_entry, struct buf *out);
int time_index_decode(struct time_index *index, struct bytes file);

void time_index_release(struct time_index *index);

#endif
