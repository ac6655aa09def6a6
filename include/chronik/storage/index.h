/* The sparse index of a segment, Kafka's format: from an offset to a place in the segment.
 *
 * File NNN.index: entries of 8 bytes, big-endian: offset minus the segment's base offset (uint32),
 * place of a batch in the segment (uint32). The offset is the *last* one of the batches before that
 * place's batch ends: see docs/data-files.md. Offsets and places rise strictly. At most one entry for
 * index.interval.bytes of log. An index can always be built again from its segment. */
#ifndef CHRONIK_STORAGE_INDEX_H
#define CHRONIK_STORAGE_INDEX_H

#include <chronik/base/bytes.h>

enum { INDEX_ENTRY = 8, TIME_INDEX_ENTRY = 12 }; /* bytes */

struct index_entry {
    uint32_t relative_offset;
    uint32_t place; /* bytes from the start of the segment */
};

/* In memory: a plain array, sorted. Zero-initialised is empty and valid. */
struct index {
    struct index_entry *entries;
    size_t n, cap;
};

void index_add(struct index *index, uint32_t relative_offset, uint32_t place);

/* The place of the last entry at or below the offset; 0 when there is none. */
uint32_t index_lookup(const struct index *index, uint32_t relative_offset);

/* Drops entries for offsets at or above `relative_offset`. */
void index_truncate(struct index *index, uint32_t relative_offset);

/* The file's bytes, and back. Loading checks order and that places lie below `segment_bytes`;
 * -EINVAL when not (build it again then). */
void index_encode(const struct index *index, size_t from_entry, struct buf *out);
int index_decode(struct index *index, struct bytes file, uint64_t segment_bytes);

void index_release(struct index *index);

#endif
