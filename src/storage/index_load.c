/* Getting the index of a segment into memory.
 *
 * A job reads the two index files and compares their CRCs with what the checkpoint knows. If they
 * do not match (a power cut before they were synced, or damage) the index is built again from the
 * segment. All who want the same index wait for one job. */
#include "state.h"

#include "scan.h"

#include <chronik/base/crc32c.h>

#include <errno.h>

struct index_load {
    struct job job;
    struct list link;    /* in the store's loads */
    struct log *log;     /* a reference */
    struct segment *segment; /* a reference */
    struct list waiters;

    /* for the job */
    char *segment_path, *index_path, *times_path;
    struct index_saved lead, time_lead; /* entries to be loaded, and their CRC */
    uint64_t limit;                     /* the index covers the segment up to here */
    uint64_t interval;
    int64_t base;
    struct index index;
    struct time_index times;
    bool rebuilt;
    int error;
};

/* ---- the cache --------------------------------------------------------------------------------*/

static void forget(struct index_cache *cache, struct segment *segment)
{
    if (!list_empty(&segment->cached)) {
        cache->bytes -= segment->cached_bytes;
        list_remove(&segment->cached);
    }
}

void index_cache_forget(struct store *store, struct segment *segment)
{
    forget(&store->cache, segment);
}

void index_cache_touch(struct store *store, struct segment *segment)
{
    struct index_cache *cache = &store->cache;
    forget(cache, segment);
    if (segment->removed || segment->loading || segment_unsaved(segment) > 0 ||
        segment_index_bytes(segment) == 0) {
        return;
    }
    segment->cached_bytes = (uint32_t)segment_index_bytes(segment);
    cache->bytes += segment->cached_bytes;
    list_push_back(&cache->segments, &segment->cached);
    while (cache->bytes > cache->bytes_max) {
        struct segment *oldest = container_of(list_first(&cache->segments), struct segment, cached);
        forget(cache, oldest);
        segment_drop_index(oldest);
    }
}

/* ---- in the job -------------------------------------------------------------------------------*/

/* Loads `n` entries of `size` bytes whose CRC is known. */
static bool load_exactly(const char *path, struct index_saved saved, size_t size, struct buf *to)
{
    uint64_t len = (uint64_t)saved.n * size;
    struct file *file;
    if (len == 0) {
        return true;
    }
    if (file_open(path, FILE_READ, &file) != 0) {
        return false;
    }
    int64_t length = file_size(file);
    bool there = length >= 0 && (uint64_t)length >= len;
    int64_t got = there ? file_read_at(file, buf_reserve(to, len), len, 0) : -EBADMSG;
    file_close(file);
    to->len = got < 0 ? 0 : (size_t)got;
    return to->len == len && crc32c(0, to->data, to->len) == saved.crc;
}

static bool load_files(struct index_load *load)
{
    struct buf content = { 0 };
    bool ok = load_exactly(load->index_path, load->lead, INDEX_ENTRY, &content) &&
              index_decode(&load->index, buf_bytes(&content), UINT32_MAX) == 0;
    buf_clear(&content);
    ok = ok && load_exactly(load->times_path, load->time_lead, TIME_INDEX_ENTRY, &content) &&
         time_index_decode(&load->times, buf_bytes(&content)) == 0;
    buf_release(&content);
    return ok;
}

static void rebuild(struct index_load *load)
{
    struct file *file = NULL;
    struct segment *plan = segment_new(load->base);
    struct log_config config = { .index_interval_bytes = load->interval };
    struct scan scan;
    struct batch b;

    load->rebuilt = true;
    load->error = file_open(load->segment_path, FILE_READ, &file);
    if (load->error == 0) {
        int found;
        scan_init(&scan, file, 0, load->limit, false);
        while ((found = scan_next(&scan, &b)) == 1) {
            int64_t last = batch_last_offset(&b);
            if (last < plan->base || last - plan->base > INT32_MAX) { /* no CRC covers the base */
                found = -EBADMSG;
                break;
            }
            segment_add(plan, &config, &b, last, 0);
        }
        load->error = found;
        scan_release(&scan);
        file_close(file);
    }
    index_release(&load->index);
    time_index_release(&load->times);
    load->index = plan->index;
    load->times = plan->times;
    plan->index = (struct index){ 0 };
    plan->times = (struct time_index){ 0 };
    segment_unref(plan);
}

static void run(struct job *job)
{
    struct index_load *load = container_of(job, struct index_load, job);
    if (!load_files(load)) {
        rebuild(load);
    }
}

/* ---- on the loop ------------------------------------------------------------------------------*/

static void install(struct index_load *load)
{
    struct segment *segment = load->segment;
    if (load->rebuilt) {
        segment->saved = segment->time_saved = (struct index_saved){ 0 };
        segment->lead.n = (uint32_t)load->index.n;
        segment->time_lead.n = (uint32_t)load->times.n;
    }
    segment_put_index(segment, &load->index, &load->times);
    index_cache_touch(load->log->store, segment);
}

static void describe(struct index_load *load, struct log *log, struct segment *segment)
{
    load->log = log_ref(log);
    load->segment = segment_ref(segment);
    list_init(&load->waiters);
    list_init(&load->link);
    load->segment_path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    load->index_path = log_file_path(log, LOG_FILE_INDEX, segment->base);
    load->times_path = log_file_path(log, LOG_FILE_TIME_INDEX, segment->base);
    load->lead = segment->lead;
    load->time_lead = segment->time_lead;
    load->limit = segment->index.n > 0 ? segment->index.entries[0].place : segment->written;
    load->interval = log->config.index_interval_bytes;
    load->base = segment->base;
}

static void free_load(struct index_load *load)
{
    index_release(&load->index);
    time_index_release(&load->times);
    free(load->segment_path);
    free(load->index_path);
    free(load->times_path);
    segment_unref(load->segment);
    log_unref(load->log);
    free(load);
}

static void done(struct job *job)
{
    struct index_load *load = container_of(job, struct index_load, job);
    struct store *store = load->log->store;
    int error = load->error;
    struct list *link;

    list_remove(&load->link);
    load->segment->loading = false;
    if (error == -EBADMSG) {
        char *damage = mem_sprintf("segment %020lld is damaged", (long long)load->base);
        log_set_damage(load->log, damage);
        error = -EIO;
    }
    if (error == 0 && !segment_indexed(load->segment)) {
        install(load);
    }
    while ((link = list_pop_front(&load->waiters)) != NULL) {
        struct index_wait *wait = container_of(link, struct index_wait, link);
        wait->ready(wait, error);
    }
    free_load(load);
    store->jobs--;
    store_settle(store);
}

static struct index_load *find(const struct store *store, const struct segment *segment)
{
    list_each (link, &store->loads) {
        struct index_load *load = container_of(link, struct index_load, link);
        if (load->segment == segment) {
            return load;
        }
    }
    return NULL;
}

static struct index_load *start(struct log *log, struct segment *segment)
{
    struct store *store = log->store;
    struct index_load *load = mem_zalloc(sizeof *load);
    describe(load, log, segment);
    segment->loading = true;
    forget(&store->cache, segment); /* what is in memory stays there meanwhile */
    list_push_back(&store->loads, &load->link);
    store->jobs++;
    job_start(store->loop, &load->job, run, done);
    return load;
}

int index_want(struct log *log, struct segment *segment, struct index_wait *wait)
{
    if (segment_indexed(segment)) {
        index_cache_touch(log->store, segment);
        return 0;
    }
    struct index_load *load = find(log->store, segment);
    if (load == NULL) {
        load = start(log, segment);
    }
    list_push_back(&load->waiters, &wait->link);
    return -EINPROGRESS;
}

int index_load_now(struct log *log, struct segment *segment)
{
    struct index_load *load = mem_zalloc(sizeof *load);
    describe(load, log, segment);
    run(&load->job);
    int error = load->error;
    if (error == 0) {
        install(load);
    }
    free_load(load);
    return error;
}
