/* The sparse index of a segment, Kafka's format: from an offset to a place in the segment.
 *
 * File NNN.index: entries of 8 bytes, big-endian: offset minus the segment's base offset (int32,
 * never negative), place in the segment (int32). An entry belongs to one batch: its *last* offset,
 * and the place where it begins. Both rise strictly. A batch gets an entry when more than
 * index.interval.bytes of batches lie before it since the last entry (or since the segment's
 * start). An index can always be built again from its segment. (Kafka 4.4, LogSegment.append,
 * OffsetIndex) */
#ifndef CHRONIK_STORAGE_INDEX_H
#define CHRONIK_STORAGE_INDEX_H

#include <chronik/base/bytes.h>

/* Bytes. An index is full with segment.index.bytes / INDEX_ENTRY entries, a time index with one
 * entry less than would fit: the last place is kept for the entry that is added when the segment
 * rolls. */
enum { INDEX_ENTRY = 8, TIME_INDEX_ENTRY = 12 };

struct index_entry {
    uint32_t relative_offset;
    uint32_t place; /* bytes from the start of the segment */
};

/* In memory: a plain array, sorted. Zero-initialised is empty and valid. */
struct index {
    struct index_entry *entries;
    size_t n, cap;
};

/* Adds the batch that begins at `place`; both numbers are above those of the last entry. */
void index_add(struct index *index, uint32_t relative_offset, uint32_t place);

/* The place of the last entry at or below the offset; 0 when there is none. A scan for the offset
 * may begin there. */
uint32_t index_lookup(const struct index *index, uint32_t relative_offset);

/* That entry itself, or NULL: its batch's last offset is known exactly. */
const struct index_entry *index_find(const struct index *index, uint32_t relative_offset);

/* Drops entries for offsets at or above `relative_offset`. */
void index_truncate(struct index *index, uint32_t relative_offset);

/* The file's bytes, and back. Decoding replaces what was there; it checks order and that places lie
 * below `segment_bytes`: -EINVAL when not, the index is empty then (build it again). */
void index_encode(const struct index *index, size_t from_entry, struct buf *out);
int index_decode(struct index *index, struct bytes file, uint64_t segment_bytes);

void index_release(struct index *index);

#endif
