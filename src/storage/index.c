/* The offset index of a segment: a sorted array, searched by halving.
 *
 *    0 relative_offset  int32   last offset of a batch, minus the segment's base offset
 *    4 place            int32   where that batch begins in the segment
 *
 * Both fit an int32 since a segment rolls before either would not. A file that Kafka left behind
 * after a crash may be longer than its entries and end in zeros; it fails the check of order here
 * and is built again. */
#include <chronik/storage/index.h>

#include <errno.h>

void index_add(struct index *index, uint32_t relative_offset, uint32_t place)
{
    if (index->n > 0) {
        const struct index_entry *last = &index->entries[index->n - 1];
        check(relative_offset > last->relative_offset && place > last->place);
    }
    check(relative_offset <= INT32_MAX && place <= INT32_MAX);
    index->entries = mem_grow(index->entries, &index->cap, index->n + 1, sizeof *index->entries);
    index->entries[index->n++] = (struct index_entry){ relative_offset, place };
}

/* How many entries lie below the offset. */
static size_t count_below(const struct index *index, uint64_t relative_offset)
{
    size_t from = 0, to = index->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (index->entries[middle].relative_offset < relative_offset) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

const struct index_entry *index_find(const struct index *index, uint32_t relative_offset)
{
    size_t n = count_below(index, (uint64_t)relative_offset + 1);
    return n > 0 ? &index->entries[n - 1] : NULL;
}

uint32_t index_lookup(const struct index *index, uint32_t relative_offset)
{
    const struct index_entry *entry = index_find(index, relative_offset);
    return entry != NULL ? entry->place : 0;
}

void index_truncate(struct index *index, uint32_t relative_offset)
{
    index->n = count_below(index, relative_offset);
}

void index_encode(const struct index *index, size_t from_entry, struct buf *out)
{
    for (size_t i = from_entry; i < index->n; i++) {
        buf_put_be32(out, index->entries[i].relative_offset);
        buf_put_be32(out, index->entries[i].place);
    }
}

int index_decode(struct index *index, struct bytes file, uint64_t segment_bytes)
{
    int64_t offset = -1, place = -1;

    index->n = 0;
    if (file.len % INDEX_ENTRY != 0) {
        return -EINVAL;
    }
    for (size_t at = 0; at < file.len; at += INDEX_ENTRY) {
        int64_t next_offset = (int32_t)load_be32(file.data + at);
        int64_t next_place = (int32_t)load_be32(file.data + at + 4);
        if (next_offset <= offset || next_place <= place || (uint64_t)next_place >= segment_bytes) {
            index->n = 0;
            return -EINVAL;
        }
        index_add(index, (uint32_t)next_offset, (uint32_t)next_place);
        offset = next_offset;
        place = next_place;
    }
    return 0;
}

void index_release(struct index *index)
{
    free(index->entries);
    *index = (struct index){ 0 };
}
