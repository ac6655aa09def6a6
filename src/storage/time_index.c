/* The time index of a segment: an array sorted by time stamp and by offset.
 *
 *    0 timestamp        int64   the largest so far, ms
 *    8 relative_offset  int32   last offset of the first batch that has it, minus the base
 *                               offset */
#include <chronik/storage/time_index.h>

#include <errno.h>

void time_index_add(struct time_index *index, int64_t timestamp, uint32_t relative_offset)
{
    struct time_entry last = time_index_last(index);
    if (timestamp <= last.timestamp) {
        return;
    }
    check(relative_offset >= last.relative_offset && relative_offset <= INT32_MAX);
    index->entries = mem_grow(index->entries, &index->cap, index->n + 1, sizeof *index->entries);
    index->entries[index->n++] = (struct time_entry){ timestamp, relative_offset };
}

struct time_entry time_index_last(const struct time_index *index)
{
    return index->n > 0 ? index->entries[index->n - 1] : (struct time_entry){ .timestamp = -1 };
}

struct time_entry time_index_lookup(const struct time_index *index, int64_t timestamp)
{
    size_t from = 0, to = index->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (index->entries[middle].timestamp <= timestamp) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from > 0 ? index->entries[from - 1] : (struct time_entry){ .timestamp = -1 };
}

void time_index_truncate(struct time_index *index, uint32_t relative_offset)
{
    while (index->n > 0 && index->entries[index->n - 1].relative_offset >= relative_offset) {
        index->n--;
    }
}

void time_index_encode(const struct time_index *index, size_t from_entry, struct buf *out)
{
    for (size_t i = from_entry; i < index->n; i++) {
        buf_put_be64(out, (uint64_t)index->entries[i].timestamp);
        buf_put_be32(out, index->entries[i].relative_offset);
    }
}

int time_index_decode(struct time_index *index, struct bytes file)
{
    int64_t timestamp = -1, offset = 0;

    index->n = 0;
    if (file.len % TIME_INDEX_ENTRY != 0) {
        return -EINVAL;
    }
    for (size_t at = 0; at < file.len; at += TIME_INDEX_ENTRY) {
        int64_t next_timestamp = (int64_t)load_be64(file.data + at);
        int64_t next_offset = (int32_t)load_be32(file.data + at + 8);
        if (next_timestamp <= timestamp || next_offset < offset) {
            index->n = 0;
            return -EINVAL;
        }
        time_index_add(index, next_timestamp, (uint32_t)next_offset);
        timestamp = next_timestamp;
        offset = next_offset;
    }
    return 0;
}

void time_index_release(struct time_index *index)
{
    free(index->entries);
    *index = (struct time_index){ 0 };
}
