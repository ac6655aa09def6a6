/* The time index of a segment, Kafka's format: from a time stamp to an offset.
 *
 * File NNN.timeindex: entries of 12 bytes, big-endian: the largest time stamp up to here (int64 ms),
 * offset of its record minus the base offset (uint32). Time stamps rise strictly, offsets do not
 * fall. An entry says: records before this offset are not younger than the time stamp. */
#ifndef CHRONIK_STORAGE_TIME_INDEX_H
#define CHRONIK_STORAGE_TIME_INDEX_H

#include <chronik/storage/index.h>

struct time_entry {
    int64_t timestamp; /* ms */
    uint32_t relative_offset;
};

/* Zero-initialised is empty and valid. */
struct time_index {
    struct time_entry *entries;
    size_t n, cap;
};

/* Adds an entry when its time stamp is larger than the last one's; else does nothing. */
void time_index_add(struct time_index *index, int64_t timestamp, uint32_t relative_offset);

/* The entry with the largest time stamp at or below `timestamp`: where a scan begins. When there is
 * none: relative offset 0. */
struct time_entry time_index_lookup(const struct time_index *index, int64_t timestamp);

void time_index_truncate(struct time_index *index, uint32_t relative_offset);
void time_index_encode(const struct time_index *index, size_t from_entry, struct buf *out);
int time_index_decode(struct time_index *index, struct bytes file);
void time_index_release(struct time_index *index);

#endif
