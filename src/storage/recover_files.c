/* Comparing the files of a log with what the checkpoint says of them. */
#include "recover.h"

#include "cut_job.h"

#include <errno.h>

/* The segment's file holds less than it should: what of it verifies stays. */
static void keep_prefix(struct log *log, struct segment *segment)
{
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    struct file *file = NULL;
    struct scan scan;
    struct batch b;
    if (file_open(path, FILE_READ, &file) == 0) {
        scan_init(&scan, file, 0, segment->bytes, true);
        while (scan_next(&scan, &b) == 1) {
        }
        segment->bytes = segment->written = scan.at;
        scan_release(&scan);
        file_close(file);
    } else {
        segment->bytes = segment->written = 0;
    }
    free(path);
    segment_forget_index(segment);
}

static int cut_file(const char *path, uint64_t bytes)
{
    struct file *file;
    int error = file_open(path, FILE_WRITE, &file);
    if (error == 0) {
        error = file_truncate(file, bytes);
        file_close(file);
    }
    return error;
}

/* True when the segment is to be dropped. */
static bool check_segment(struct recovery *r, struct log *log, uint32_t i, int64_t gone_below,
                          bool cut)
{
    struct segment *segment = log->segments[i];
    int64_t next = i + 1 < log->n_segments ? log->segments[i + 1]->base : log->end;
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    int64_t len = file_length(path);
    bool drop = false;

    if (len == (int64_t)segment->bytes) {
        /* As it should be. */
    } else if (next <= gone_below && len < (int64_t)segment->bytes) {
        drop = true;
    } else if (len < 0) {
        log_damaged(log, "the segment %s is missing", path);
        drop = true;
    } else if (len < (int64_t)segment->bytes) {
        log_damaged(log, "the segment %s has %lld bytes instead of %llu", path, (long long)len,
                    (unsigned long long)segment->bytes);
        keep_prefix(log, segment);
        drop = segment->bytes == 0;
    } else if (cut) {
        int error = cut_file(path, segment->bytes);
        if (error != 0) {
            recovery_fail(r, error, "%s cannot be cut", path);
        }
    }
    free(path);
    return drop;
}

int recover_files(struct recovery *r, struct log *log, int64_t gone_below, bool cut)
{
    for (uint32_t i = 0; i < log->n_segments && r->error == 0;) {
        if (check_segment(r, log, i, gone_below, cut)) {
            log_take_segments(log, i, 1);
        } else {
            i++;
        }
    }
    if (r->error == 0 && !cut && log->n_segments > 0) {
        return recover_rest(r, log);
    }
    return r->error;
}

/* ---- what lies behind the known end -----------------------------------------------------------*/

int recover_rest(struct recovery *r, struct log *log)
{
    struct segment *segment = log_last_segment(log);
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    uint64_t before = segment->bytes;
    int64_t len = file_length(path);
    struct file *file = NULL;
    struct scan scan;
    struct batch b;

    if (len <= (int64_t)before || file_open(path, FILE_READ | FILE_WRITE, &file) != 0) {
        free(path);
        return 0;
    }
    scan_init(&scan, file, before, (uint64_t)len, true);
    scan.next_offset = log->end;
    while (scan_next(&scan, &b) == 1 && batch_last_offset(&b) - segment->base <= INT32_MAX) {
        segment_add(segment, &log->config, &b, batch_last_offset(&b), r->now_ms);
        log_learn(log, &b, r->now_ms);
        log->end = log->durable_end = batch_last_offset(&b) + 1;
    }
    segment->written = segment->bytes;
    int error = segment->bytes < (uint64_t)len ? file_truncate(file, segment->bytes) : 0;
    if (error == 0 && segment->bytes > before) {
        recovery_keep(r, segment, file, segment->bytes - before);
    } else {
        file_close(file);
    }
    if (error != 0) {
        recovery_fail(r, error, "%s cannot be cut", path);
    }
    scan_release(&scan);
    free(path);
    return error;
}

/* ---- what does not belong to the log any more -------------------------------------------------*/

static bool belongs(const struct log *log, const struct log_file_name *name)
{
    struct segment *segment = log_segment_of(log, name->offset, NULL);
    if (name->state != LOG_FILE_LIVE) {
        return false;
    }
    if (segment != NULL && segment->base == name->offset) {
        return true;
    }
    return (name->kind == LOG_FILE_SNAPSHOT || name->kind == LOG_FILE_WINDOW) &&
           (name->offset == log->snapshot || name->offset == log->snapshot_before);
}

int recover_tidy(const struct log *log)
{
    char *dir = log_dir_path(log);
    struct dir_entry *entries;
    size_t n;
    int error = dir_list(dir, &entries, &n);
    if (error == 0) {
        for (size_t i = 0; i < n && error == 0; i++) {
            struct log_file_name name;
            if (log_file_parse(text_of(entries[i].name), &name) && !belongs(log, &name)) {
                char *path = mem_sprintf("%s/%s", dir, entries[i].name);
                error = file_remove(path);
                free(path);
            }
        }
        dir_list_free(entries, n);
    }
    free(dir);
    return error == -ENOENT ? 0 : error;
}

/* ---- cutting ----------------------------------------------------------------------------------*/

int recover_truncate(struct recovery *r, struct log *log, int64_t offset)
{
    uint32_t keep = log->n_segments;
    while (keep > 0 && log->segments[keep - 1]->base >= offset) {
        keep--;
    }
    uint32_t n_gone = log->n_segments - keep;
    struct segment **gone = mem_zalloc_array(n_gone, sizeof(struct segment *));
    for (uint32_t i = 0; i < n_gone; i++) {
        gone[i] = segment_ref(log->segments[keep + i]);
    }
    log_take_segments(log, keep, n_gone);
    log->end = log->durable_end = offset;
    log->high_watermark = min_i64(log->high_watermark, offset);
    epochs_truncate(&log->epochs, offset);

    struct segment *last = log_last_segment(log);
    struct cut_job job = { .now_ms = r->now_ms };
    if (last != NULL && !segment_indexed(last) && index_load_now(log, last) != 0) {
        segment_forget_index(last); /* what lies behind the cut need not verify */
    }
    cut_job_prepare(&job, log, gone, n_gone, last, false);
    job.readable = UINT64_MAX; /* behind the cut there may be more than the checkpoint knows */
    cut_job_run(&job.job);
    if (job.error == 0) {
        cut_job_install(&job, log, last);
    }
    if (job.error != 0 || job.damaged) {
        log_damaged(log, "the log cannot be cut at offset %lld", (long long)offset);
    }
    cut_job_release(&job);
    for (uint32_t i = 0; i < n_gone; i++) {
        segment_unref(gone[i]);
    }
    free(gone);
    return 0;
}
