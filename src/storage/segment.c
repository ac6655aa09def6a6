/* The plan of a segment: where batches will lie, when it is full, what its indexes say. */
#include "segment.h"

#include <chronik/base/crc32c.h>

struct segment *segment_new(int64_t base)
{
    struct segment *segment = mem_zalloc(sizeof *segment);
    segment->base = base;
    segment->first_timestamp = segment->max_timestamp = segment->indexed_timestamp = -1;
    segment->max_timestamp_offset = base;
    segment->refs = 1;
    list_init(&segment->cached);
    return segment;
}

static void free_buf(struct buf *buf)
{
    if (buf != NULL) {
        buf_release(buf);
        free(buf);
    }
}

void segment_unref(struct segment *segment)
{
    if (segment == NULL || --segment->refs > 0) {
        return;
    }
    check(segment->open == NULL);
    list_remove(&segment->cached);
    index_release(&segment->index);
    time_index_release(&segment->times);
    free_buf(segment->snapshot);
    free_buf(segment->window);
    free(segment);
}

/* ---- planning ---------------------------------------------------------------------------------*/

/* Milliseconds that the segment has waited to be rolled, by the time of its records where they have
 * one. */
static int64_t waited(const struct segment *segment, const struct batch *batch, int64_t now_ms)
{
    return segment->first_timestamp >= 0 ? batch->max_timestamp - segment->first_timestamp
                                         : now_ms - segment->created_ms;
}

static bool index_full(const struct segment *segment, const struct log_config *config)
{
    uint64_t n = segment->lead.n + segment->index.n;
    uint64_t n_times = segment->time_lead.n + segment->times.n;
    return n >= config->segment_index_bytes / INDEX_ENTRY ||
           n_times + 1 >= config->segment_index_bytes / TIME_INDEX_ENTRY;
}

bool segment_must_roll(const struct segment *segment, const struct log_config *config,
                       const struct batch *batch, int64_t last, int64_t now_ms)
{
    uint64_t bytes_max = min_u64(config->segment_bytes, INT32_MAX);
    return segment->bytes > 0 &&
           (segment->bytes + batch->raw.len > bytes_max ||
            waited(segment, batch, now_ms) > config->segment_ms - segment->jitter_ms ||
            index_full(segment, config) || last - segment->base > INT32_MAX);
}

/* Offers the largest time stamp so far to the time index. */
static void index_time(struct segment *segment)
{
    if (segment->max_timestamp > segment->indexed_timestamp) {
        time_index_add(&segment->times, segment->max_timestamp,
                       (uint32_t)(segment->max_timestamp_offset - segment->base));
        segment->indexed_timestamp = segment->max_timestamp;
    }
}

void segment_add(struct segment *segment, const struct log_config *config,
                 const struct batch *batch, int64_t last, int64_t now_ms)
{
    check(!segment->closed && last >= segment->base && last - segment->base <= INT32_MAX);
    if (segment->bytes == 0) {
        segment->first_timestamp = batch->max_timestamp;
        segment->created_ms = now_ms;
    }
    if (batch->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = batch->max_timestamp;
        segment->max_timestamp_offset = last;
    }
    if (segment->since_index > config->index_interval_bytes && segment->bytes <= INT32_MAX) {
        index_add(&segment->index, (uint32_t)(last - segment->base), (uint32_t)segment->bytes);
        index_time(segment);
        segment->since_index = 0;
    }
    segment->since_index += batch->raw.len;
    segment->bytes += batch->raw.len;
    segment->modified_ms = now_ms;
}

void segment_close(struct segment *segment)
{
    if (!segment->closed) {
        index_time(segment);
        segment->closed = true;
    }
}

void segment_cut(struct segment *segment, uint64_t place, int64_t offset)
{
    check(place <= segment->bytes && offset >= segment->base);
    segment->bytes = place;
    segment->written = min_u64(segment->written, place);
    segment->closed = false;
    segment->since_index = 0;
    if (offset - segment->base <= INT32_MAX) {
        index_truncate(&segment->index, (uint32_t)(offset - segment->base));
        time_index_truncate(&segment->times, (uint32_t)(offset - segment->base));
    }
    if (segment->times.n > 0 || segment->time_lead.n == 0) {
        segment->indexed_timestamp = time_index_last(&segment->times).timestamp;
    }
    /* Files that have more than is left are written anew. */
    if (segment->index.n + segment->lead.n < segment->saved.n) {
        segment->saved = (struct index_saved){ 0 };
    }
    if (segment->times.n + segment->time_lead.n < segment->time_saved.n) {
        segment->time_saved = (struct index_saved){ 0 };
    }
}

/* ---- saving and loading -----------------------------------------------------------------------*/

uint32_t segment_unsaved(const struct segment *segment)
{
    return (uint32_t)(segment->lead.n + segment->index.n - segment->saved.n +
                      segment->time_lead.n + segment->times.n - segment->time_saved.n);
}

static struct index_saved grown(struct index_saved saved, uint64_t n, const struct buf *out,
                                size_t from)
{
    struct bytes more = out->len > from ? bytes_part(buf_bytes(out), from, out->len - from)
                                        : bytes_of(NULL, 0);
    return (struct index_saved){ (uint32_t)n, crc32c(saved.crc, more.data, more.len) };
}

void segment_save_index(const struct segment *segment, struct buf *out,
                        struct index_saved *ret_saved)
{
    size_t from = out->len;
    index_encode(&segment->index, segment->saved.n - segment->lead.n, out);
    *ret_saved = grown(segment->saved, segment->lead.n + segment->index.n, out, from);
}

void segment_save_times(const struct segment *segment, struct buf *out,
                        struct index_saved *ret_saved)
{
    size_t from = out->len;
    time_index_encode(&segment->times, segment->time_saved.n - segment->time_lead.n, out);
    *ret_saved = grown(segment->time_saved, segment->time_lead.n + segment->times.n, out, from);
}

void segment_drop_index(struct segment *segment)
{
    check(segment_unsaved(segment) == 0);
    segment->lead = segment->saved;
    segment->time_lead = segment->time_saved;
    index_release(&segment->index);
    time_index_release(&segment->times);
    list_remove(&segment->cached);
}

void segment_forget_index(struct segment *segment)
{
    index_release(&segment->index);
    time_index_release(&segment->times);
    segment->lead = segment->saved = (struct index_saved){ 0 };
    segment->time_lead = segment->time_saved = (struct index_saved){ 0 };
}

void segment_put_index(struct segment *segment, struct index *index, struct time_index *times)
{
    check(index->n == segment->lead.n && times->n == segment->time_lead.n);
    for (size_t i = 0; i < segment->index.n; i++) {
        index_add(index, segment->index.entries[i].relative_offset,
                  segment->index.entries[i].place);
    }
    for (size_t i = 0; i < segment->times.n; i++) {
        time_index_add(times, segment->times.entries[i].timestamp,
                       segment->times.entries[i].relative_offset);
    }
    index_release(&segment->index);
    time_index_release(&segment->times);
    segment->index = *index;
    segment->times = *times;
    segment->lead = segment->time_lead = (struct index_saved){ 0 };
    *index = (struct index){ 0 };
    *times = (struct time_index){ 0 };
}
