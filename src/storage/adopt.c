/* Taking over a directory that has no checkpoint of ours: Apache Kafka's, or one whose checkpoint
 * is lost.
 *
 * Every segment is read from end to end and must hold batches that verify, with rising offsets, in
 * files named by offset. Indexes, epochs and producers are worked out anew. Where Kafka did not
 * stop cleanly, a tail that does not verify is what a crash leaves behind, at or above Kafka's
 * recovery point: it is cut off. Anything else that does not verify is damage: it stays where it
 * is, what lies before it is served, and the log says so. */
#include "recover.h"

#include "scan.h"

#include <chronik/base/crc32c.h>

#include <errno.h>

struct adoption {
    struct recovery *r;
    bool stopped_cleanly;
    struct buf points, starts, watermarks; /* Kafka's offset checkpoints */
};

/* ---- what Kafka says --------------------------------------------------------------------------*/

static void load(struct recovery *r, const char *name, struct buf *to)
{
    char *path = store_file_path(r->store, name);
    file_load(path, MIB(256), to);
    free(path);
}

/* The offset of a partition in one of the three files, or -1. */
static int64_t offset_in(const struct buf *file, const struct log *log)
{
    return offset_checkpoint_find(buf_bytes(file), log->topic, log->partition);
}

/* ---- one segment ------------------------------------------------------------------------------*/

static int write_file(const char *path, const struct buf *content)
{
    struct file *file;
    int error = file_open(path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (error == 0) {
        error = file_write_at(file, content->data, content->len, 0);
        if (error == 0) {
            error = file_sync(file);
        }
        file_close(file);
    }
    return error;
}

/* Writes the index files, and drops the indexes from memory. */
static int save_indexes(const struct log *log, struct segment *segment)
{
    char *index = log_file_path(log, LOG_FILE_INDEX, segment->base);
    char *times = log_file_path(log, LOG_FILE_TIME_INDEX, segment->base);
    struct buf content = { 0 };
    struct index_saved saved, time_saved;
    segment_save_index(segment, &content, &saved);
    int error = write_file(index, &content);
    buf_clear(&content);
    segment_save_times(segment, &content, &time_saved);
    if (error == 0) {
        error = write_file(times, &content);
    }
    if (error == 0) {
        segment->saved = saved;
        segment->time_saved = time_saved;
        segment->index_made = true;
        segment_drop_index(segment);
    }
    buf_release(&content);
    free(index);
    free(times);
    return error;
}

/* Reads a segment; sets `*ret_rest` to the bytes at its end that do not verify. */
static int scan_segment(struct adoption *a, struct log *log, struct segment *segment,
                        struct file *file, uint64_t *ret_rest)
{
    int64_t len = file_size(file);
    struct scan scan;
    struct batch b;
    int found;
    if (len < 0) {
        return (int)len;
    }
    scan_init(&scan, file, 0, (uint64_t)len, true);
    scan.next_offset = max_i64(segment->base, log->end);
    while ((found = scan_next(&scan, &b)) == 1) {
        if (batch_last_offset(&b) - segment->base > INT32_MAX) {
            found = -EBADMSG;
            break;
        }
        segment_add(segment, &log->config, &b, batch_last_offset(&b), a->r->now_ms);
        log_learn(log, &b, a->r->now_ms);
        log->end = batch_last_offset(&b) + 1;
    }
    segment->written = segment->bytes;
    segment->made = true;
    *ret_rest = (uint64_t)len - segment->bytes;
    scan_release(&scan);
    return found == -EBADMSG ? 0 : found;
}

/* Adopts one segment. `*ret_torn`: a crash cut it short, what follows is void. */
static int adopt_segment(struct adoption *a, struct log *log, int64_t base, bool *ret_torn)
{
    struct segment *segment = log_add_segment(log, base);
    char *path = log_file_path(log, LOG_FILE_SEGMENT, base);
    struct file *file = NULL;
    uint64_t rest = 0;
    int error = file_open(path, FILE_READ | FILE_WRITE, &file);
    if (error == 0) {
        error = scan_segment(a, log, segment, file, &rest);
    }
    if (error == 0 && rest > 0) {
        int64_t point = offset_in(&a->points, log);
        if (a->stopped_cleanly || a->r->damage != NULL || point > log->end) {
            log_damaged(log, "%s does not verify from byte %llu on", path,
                        (unsigned long long)segment->bytes);
        } else {
            error = file_truncate(file, segment->bytes);
            *ret_torn = true;
        }
    }
    if (error == 0) {
        error = file_sync(file);
    }
    file_close(file);
    if (error == 0) {
        segment_close(segment);
        error = save_indexes(log, segment);
    }
    free(path);
    return error;
}

/* ---- one log ----------------------------------------------------------------------------------*/

int64_t *recovery_segments_in(const char *dir, size_t *ret_n, bool *ret_swap)
{
    struct dir_entry *entries;
    int64_t *bases = NULL;
    size_t n, cap = 0;
    *ret_n = 0;
    if (dir_list(dir, &entries, &n) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        struct log_file_name name;
        if (!log_file_parse(text_of(entries[i].name), &name)) {
            continue;
        }
        *ret_swap |= name.state == LOG_FILE_SWAP;
        if (name.kind == LOG_FILE_SEGMENT && name.state == LOG_FILE_LIVE) {
            bases = mem_grow(bases, &cap, *ret_n + 1, sizeof *bases);
            bases[(*ret_n)++] = name.offset;
        }
    }
    dir_list_free(entries, n);
    return bases;
}

/* Drops an empty last segment: it will be made when something is appended. What a damaged one holds
 * stays under another name. */
static int drop_empty(struct log *log)
{
    struct segment *last = log_last_segment(log);
    int error = 0;
    if (last != NULL && last->bytes == 0) {
        if (log->damage != NULL) {
            char *path = log_file_path(log, LOG_FILE_SEGMENT, last->base);
            char *aside = mem_sprintf("%s.damaged", path);
            error = file_rename(path, aside);
            free(aside);
            free(path);
        }
        log->end = max_i64(log->end, last->base);
        log_take_segments(log, log->n_segments - 1, 1);
    }
    last = log_last_segment(log);
    if (last != NULL) {
        last->closed = log->damage != NULL; /* its bytes behind the end are left as they are */
    }
    return error;
}

static void set_offsets(struct adoption *a, struct log *log)
{
    int64_t start = offset_in(&a->starts, log), watermark = offset_in(&a->watermarks, log);
    int64_t first = log->n_segments > 0 ? log->segments[0]->base : log->end;
    log->start = max_i64(start, first);
    if (log->start > log->end) {
        log_take_segments(log, 0, log->n_segments);
        log->end = log->start;
    }
    log->durable_end = log->end;
    log->high_watermark = max_i64(log->start, min_i64(watermark, log->end));
    epochs_trim(&log->epochs, log->start);
}

static int adopt_segments(struct adoption *a, struct log *log)
{
    char *dir = log_dir_path(log);
    bool swap = false, torn = false;
    size_t n;
    int64_t *bases = recovery_segments_in(dir, &n, &swap);
    int error = 0;
    for (size_t i = 0; i < n && error == 0 && !torn; i++) {
        error = adopt_segment(a, log, bases[i], &torn);
    }
    if (swap) {
        log_damaged(log, "%s holds a compaction that Kafka did not finish: start Kafka on it once",
                    dir);
    }
    if (error == 0) {
        error = drop_empty(log);
    }
    if (error == 0 && log->damage == NULL) {
        error = recover_tidy(log);
    }
    if (error != 0) {
        recovery_fail(a->r, error, "the segments in %s cannot be read", dir);
    }
    free(bases);
    free(dir);
    return error;
}

static int adopt_log(struct adoption *a, const struct log_dir_name *name)
{
    const struct log_config config = LOG_CONFIG_UNKNOWN;
    struct uuid id;
    char *topic = text_dup(name->topic);
    int error = 0;
    if (recovery_directory_id(a->r, topic, name->partition, &id) &&
        recovery_find(a->r, &id, name->partition) == NULL) {
        struct log *log = log_new(a->r->store, &id, name->topic, name->partition, &config);
        log->dir_made = true;
        check(recovery_add_log(a->r, log));
        error = adopt_segments(a, log);
        recovery_rebuild_producers(a->r, log);
        set_offsets(a, log);
    }
    free(topic);
    return error;
}

/* ---- the directory ----------------------------------------------------------------------------*/

bool recovery_is_log(const struct dir_entry *entry, struct log_dir_name *ret_name)
{
    return entry->is_dir && log_dir_parse(text_of(entry->name), ret_name) &&
           ret_name->state == LOG_DIR_LIVE && !text_is(ret_name->topic, "__cluster_metadata");
}

int recovery_has_logs(struct recovery *r, bool *ret_some)
{
    struct dir_entry *entries;
    size_t n;
    int error = dir_list(r->store->path, &entries, &n);
    if (error != 0) {
        return recovery_fail(r, error, "%s cannot be read", r->store->path);
    }
    for (size_t i = 0; i < n; i++) {
        struct log_dir_name name;
        *ret_some |= recovery_is_log(&entries[i], &name);
    }
    dir_list_free(entries, n);
    return 0;
}

int recovery_adopt(struct recovery *r)
{
    struct adoption a = { .r = r };
    struct dir_entry *entries;
    size_t n;
    char *clean = store_file_path(r->store, FILE_CLEAN_SHUTDOWN);
    a.stopped_cleanly = file_exists(clean);
    free(clean);
    load(r, FILE_RECOVERY_POINTS, &a.points);
    load(r, FILE_LOG_STARTS, &a.starts);
    load(r, FILE_HIGH_WATERMARKS, &a.watermarks);
    int error = dir_list(r->store->path, &entries, &n);
    if (error == 0) {
        for (size_t i = 0; i < n && error == 0; i++) {
            struct log_dir_name name;
            if (recovery_is_log(&entries[i], &name)) {
                error = adopt_log(&a, &name);
            }
        }
        dir_list_free(entries, n);
    }
    buf_release(&a.points);
    buf_release(&a.starts);
    buf_release(&a.watermarks);
    return error;
}
