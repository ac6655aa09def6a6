/* A log's life, and what can be asked of it without I/O. */
#include "state.h"

#include <errno.h>

/* ---- life -------------------------------------------------------------------------------------*/

uint64_t log_hash(const struct store *store, const struct uuid *topic_id, int32_t partition)
{
    return hash_bytes(store->seed ^ (uint32_t)partition, topic_id->bytes, sizeof topic_id->bytes);
}

struct log *log_new(struct store *store, const struct uuid *topic_id, struct text topic,
                    int32_t partition, const struct log_config *config)
{
    struct log *log = mem_zalloc(sizeof *log);
    log->store = store;
    log->topic_id = *topic_id;
    log->partition = partition;
    log->topic = text_dup(topic);
    log->config = *config;
    log->snapshot = log->snapshot_before = -1;
    log->refs = 1;
    list_init(&log->write_link);
    list_init(&log->reads);
    list_init(&log->cuts);
    list_init(&log->dir_link);
    for (unsigned i = 0; i < countof(log->hints); i++) {
        log->hints[i].offset = -1;
    }
    return log;
}

struct log *log_ref(struct log *log)
{
    log->refs++;
    return log;
}

void log_unref(struct log *log)
{
    check(log->refs > 0);
    if (--log->refs > 0) {
        return;
    }
    check(log->writing == NULL && list_empty(&log->cuts) && list_empty(&log->reads));
    tail_cut(&log->tail, &log->store->slabs, log->tail.first);
    log_take_segments(log, 0, log->n_segments);
    free(log->segments);
    epochs_release(&log->epochs);
    if (log->producers != NULL) {
        producers_release(log->producers);
        free(log->producers);
    }
    list_remove(&log->write_link);
    list_remove(&log->dir_link);
    free(log->topic);
    free(log->damage);
    free(log);
}

/* ---- segments ---------------------------------------------------------------------------------*/

struct segment *log_segment_of(const struct log *log, int64_t offset, uint32_t *ret_index)
{
    uint32_t from = 0, to = log->n_segments;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (log->segments[middle]->base <= offset) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if (log->n_segments == 0) {
        return NULL;
    }
    uint32_t i = from > 0 ? from - 1 : 0;
    if (ret_index != NULL) {
        *ret_index = i;
    }
    return log->segments[i];
}

struct segment *log_add_segment(struct log *log, int64_t base)
{
    size_t cap = log->cap_segments;
    struct segment *last = log_last_segment(log), *segment = segment_new(base);
    if (last != NULL) {
        check(base > last->base);
        segment_close(last);
    }
    if (log->config.segment_jitter_ms > 0) {
        uint64_t jitter_max = (uint64_t)min_i64(log->config.segment_jitter_ms,
                                                log->config.segment_ms);
        segment->jitter_ms = (int64_t)(hash_u64(log->store->seed ^ log_hash(log->store,
                                                &log->topic_id, log->partition), (uint64_t)base) %
                                       (jitter_max + 1));
    }
    log->segments = mem_grow(log->segments, &cap, log->n_segments + 1, sizeof *log->segments);
    log->cap_segments = (uint32_t)cap;
    log->segments[log->n_segments++] = segment;
    return segment;
}

void log_take_segments(struct log *log, uint32_t from, uint32_t n)
{
    if (n == 0) {
        return;
    }
    for (uint32_t i = from; i < from + n; i++) {
        struct segment *segment = log->segments[i];
        segment->removed = true;
        index_cache_forget(log->store, segment);
        files_forget(&log->store->files, segment);
        segment_unref(segment);
    }
    log->n_segments -= n;
    if (log->n_segments > from) {
        memmove(log->segments + from, log->segments + from + n,
                (log->n_segments - from) * sizeof *log->segments);
    }
}

/* ---- state ------------------------------------------------------------------------------------*/

void log_set_damage(struct log *log, char *damage)
{
    if (log->damage == NULL) {
        log->damage = damage;
        log->store->n_damaged++;
        store_changed(log->store);
    } else {
        free(damage);
    }
}

void log_set_durable(struct log *log, int64_t end)
{
    if (end != log->durable_end) {
        log->durable_end = end;
        if (log->moved != NULL) {
            log->moved(log->moved_arg);
        }
    }
}

uint64_t log_journal(struct log *log, enum journal_kind kind, int32_t epoch, int64_t offset)
{
    struct journal_record record = {
        .kind = kind,
        .partition = log->partition,
        .topic_id = log->topic_id,
        .epoch = epoch,
        .offset = offset,
    };
    struct journal_place place;
    if (kind == JOURNAL_CREATE) {
        record.payload = bytes_of(log->topic, strlen(log->topic));
    }
    journal_add(log->store->journal, &record, &place);
    store_changed(log->store);
    return place.lsn;
}

void log_learn(struct log *log, const struct batch *batch, int64_t now_ms)
{
    if (batch->leader_epoch > epochs_last(&log->epochs)) {
        log->epochs_new |= epochs_assign(&log->epochs, batch->leader_epoch, batch->base_offset);
    }
    if (batch->producer_id >= 0) {
        producers_apply(log_producers(log), batch, now_ms);
        log->producers_new = true;
    }
    log->since_snapshot += batch->raw.len;
}

/* ---- what can be asked ------------------------------------------------------------------------*/

const struct uuid *log_topic_id(const struct log *log)
{
    return &log->topic_id;
}

struct text log_topic(const struct log *log)
{
    return text_of(log->topic);
}

int32_t log_partition(const struct log *log)
{
    return log->partition;
}

int64_t log_start_offset(const struct log *log)
{
    return log->start;
}

int64_t log_high_watermark(const struct log *log)
{
    return log->high_watermark;
}

int64_t log_durable_end(const struct log *log)
{
    return log->durable_end;
}

int64_t log_end(const struct log *log)
{
    return log->end;
}

static uint64_t size_from(const struct log *log, uint32_t i)
{
    uint64_t bytes = 0;
    for (; i < log->n_segments; i++) {
        bytes += log->segments[i]->bytes;
    }
    return bytes;
}

uint64_t log_size(const struct log *log)
{
    return size_from(log, 0);
}

uint64_t log_size_from(const struct log *log, int64_t offset)
{
    uint32_t i = 0;
    return offset < log->end && log_segment_of(log, offset, &i) ? size_from(log, i) : 0;
}

const char *log_damage(const struct log *log)
{
    return log->damage;
}

void log_configure(struct log *log, const struct log_config *config)
{
    log->config = *config;
}

void log_listen(struct log *log, void (*moved)(void *arg), void *arg)
{
    log->moved = moved;
    log->moved_arg = arg;
}

void log_set_high_watermark(struct log *log, int64_t offset)
{
    log->high_watermark = max_i64(log->start, min_i64(offset, log->durable_end));
}

struct producers *log_producers(struct log *log)
{
    if (log->producers == NULL) {
        log->producers = mem_alloc(sizeof *log->producers);
        producers_init(log->producers, log->store->seed);
    }
    return log->producers;
}

int log_begin_epoch(struct log *log, int32_t epoch)
{
    if (!store_takes_changes(log->store)) {
        return -EIO;
    }
    if (epoch > epochs_last(&log->epochs)) {
        log->epochs_new |= epochs_assign(&log->epochs, epoch, log->end);
        log_journal(log, JOURNAL_EPOCH, epoch, log->end);
    }
    return 0;
}

int32_t log_last_epoch(const struct log *log)
{
    return epochs_last(&log->epochs);
}

int32_t log_epoch_at(const struct log *log, int64_t offset)
{
    return epochs_at(&log->epochs, offset);
}

void log_epoch_end(const struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end)
{
    epochs_end(&log->epochs, epoch, log->end, ret_epoch, ret_end);
}
