/* Cutting and removing the files of a log, blocking. Everything is synced when it returns. */
#include "cut_job.h"

#include <errno.h>

void cut_job_release(struct cut_job *job)
{
    free(job->dir);
    free(job->to_dir);
    free(job->gone);
    free(job->files);
    producers_free(job->producers);
}

/* ---- between the log and the job --------------------------------------------------------------*/

static void list_files(struct cut_job *job, const struct log *log, struct segment *const *gone,
                       uint32_t n_gone)
{
    job->gone = mem_zalloc_array(n_gone, sizeof *job->gone);
    for (uint32_t i = 0; i < n_gone; i++) {
        job->gone[job->n_gone++] = gone[i]->base;
    }
    job->files = mem_zalloc_array(log->n_segments, sizeof *job->files);
    for (uint32_t i = 0; i < log->n_segments; i++) {
        struct segment *segment = log->segments[i];
        if (segment->written > 0) {
            job->files[job->n_files++] = (struct segment_file){ segment->base, segment->written };
        }
    }
}

/* Where to begin, by the indexes: the last batch with an entry that is surely left. */
static void start_from_index(struct cut_job *job, const struct log *log,
                             const struct segment *segment)
{
    uint32_t relative = (uint32_t)min_i64(log->end - segment->base, INT32_MAX);
    const struct index *index = &segment->index;
    size_t n = index->n;
    while (n > 0 && index->entries[n - 1].relative_offset >= relative) {
        n--;
    }
    job->scan_from = n > 0 ? index->entries[n - 1].place : 0;
    job->max_timestamp = -1;
    job->max_timestamp_offset = segment->base;
    for (size_t i = 0; i < segment->times.n; i++) {
        struct time_entry entry = segment->times.entries[i];
        if (entry.relative_offset < relative) {
            job->max_timestamp = entry.timestamp;
            job->max_timestamp_offset = segment->base + entry.relative_offset;
        }
    }
}

void cut_job_prepare(struct cut_job *job, struct log *log, struct segment *const *gone,
                     uint32_t n_gone, struct segment *segment, bool place_known)
{
    job->kind = CUT_TRUNCATE;
    job->dir = log_dir_path(log);
    job->dir_made = log->dir_made;
    job->rebuild_producers = log->producers != NULL;
    job->seed = log->store->seed;
    job->now_ms = loop_wall_ms(log->store->loop);
    job->offset = job->end = log->end;
    job->snapshot = -1;
    job->place_known = place_known;
    list_files(job, log, gone, n_gone);
    if (segment != NULL) {
        job->base = segment->base;
        job->written = job->readable = segment->written;
        job->place = place_known ? segment->bytes : segment->written;
        start_from_index(job, log, segment);
    }
}

void cut_job_install(struct cut_job *job, struct log *log, struct segment *segment)
{
    if (segment != NULL) {
        if (!job->place_known) {
            log->end = max_i64(job->end, log->start);
            epochs_truncate(&log->epochs, log->end);
            log->durable_end = min_i64(log->durable_end, log->end);
            log->high_watermark = min_i64(log->high_watermark, log->end);
        }
        segment_cut(segment, job->place, log->end);
        segment->max_timestamp = job->max_timestamp;
        segment->max_timestamp_offset = job->max_timestamp_offset;
    }
    if (log->producers != NULL) {
        producers_free(log->producers);
        log->producers = job->producers;
        job->producers = NULL;
    }
    if (log->snapshot > log->end) {
        log->snapshot = -1;
    }
    if (log->snapshot_before > log->end) {
        log->snapshot_before = -1;
    }
    log->producers_new = true;
}

/* ---- in files ---------------------------------------------------------------------------------*/

static char *file_in(const char *dir, enum log_file_kind kind, int64_t offset)
{
    char name[LOG_FILE_NAME_SIZE];
    struct log_file_name parsed = { .kind = kind, .offset = offset };
    return mem_sprintf("%s/%s", dir, log_file_format(&parsed, name));
}

static int remove_file(const char *dir, enum log_file_kind kind, int64_t offset)
{
    char *path = file_in(dir, kind, offset);
    int error = file_remove(path);
    free(path);
    return error == -ENOENT ? 0 : error;
}

int segment_files_remove(const char *dir, int64_t base)
{
    int error = 0;
    for (unsigned kind = 0; kind < LOG_FILE_KINDS && error == 0; kind++) {
        error = remove_file(dir, kind, base);
    }
    return error;
}

/* Snapshots that hold batches which are cut off. */
static int remove_later_snapshots(const char *dir, int64_t end)
{
    struct dir_entry *entries;
    size_t n;
    int error = dir_list(dir, &entries, &n);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < n && error == 0; i++) {
        struct log_file_name name;
        if (log_file_parse(text_of(entries[i].name), &name) && name.state == LOG_FILE_LIVE &&
            (name.kind == LOG_FILE_SNAPSHOT || name.kind == LOG_FILE_WINDOW) &&
            name.offset > end) {
            error = remove_file(dir, name.kind, name.offset);
        }
    }
    dir_list_free(entries, n);
    return error;
}

/* Walks the file up to the cut: finds its place, and the largest time stamp before it. */
static int walk(struct cut_job *job, struct file *file)
{
    struct scan scan;
    struct batch b;
    int found = 0;
    uint64_t at = job->scan_from;

    scan_init(&scan, file, at, job->readable, false);
    scan.next_offset = job->base;
    while (scan.next_offset < job->offset && (found = scan_next(&scan, &b)) == 1 &&
           batch_last_offset(&b) < job->offset) {
        at = scan.at;
        if (b.max_timestamp > job->max_timestamp) {
            job->max_timestamp = b.max_timestamp;
            job->max_timestamp_offset = batch_last_offset(&b);
        }
        found = 0;
    }
    if (found == -EBADMSG) {
        /* Nothing can be found behind this: the log ends here, and is damaged. */
        job->damaged = true;
        found = 0;
    }
    if (!job->place_known) {
        job->place = min_u64(at, job->written);
        job->damaged |= at > job->written;
        job->end = found == 1      ? min_i64(job->offset, b.base_offset)
                   : job->damaged ? min_i64(job->offset, scan.next_offset)
                                  : job->offset;
    }
    scan_release(&scan);
    return found < 0 ? found : 0;
}

static int cut_segment(struct cut_job *job)
{
    char *path = file_in(job->dir, LOG_FILE_SEGMENT, job->base);
    struct file *file = NULL;
    int error = file_open(path, FILE_READ | FILE_WRITE, &file);
    if (error == 0) {
        error = walk(job, file);
    }
    if (error == 0 && file_size(file) > (int64_t)job->place) {
        error = file_truncate(file, job->place);
        if (error == 0) {
            error = file_sync(file);
        }
    }
    file_close(file);
    free(path);
    return error;
}

static int truncate_files(struct cut_job *job)
{
    int error = 0;
    for (size_t i = job->n_gone; i > 0 && error == 0; i--) {
        error = segment_files_remove(job->dir, job->gone[i - 1]);
    }
    if (error == 0 && job->written > 0) {
        error = cut_segment(job);
    }
    if (error == 0) {
        error = remove_later_snapshots(job->dir, job->end);
    }
    if (error == 0) {
        error = dir_sync(job->dir);
    }
    if (error == 0 && job->written > 0 && job->n_files > 0) { /* none: deleted meanwhile */
        struct segment_file *last = &job->files[job->n_files - 1];
        last->bytes = min_u64(last->bytes, job->place);
    }
    if (error == 0 && job->rebuild_producers) {
        error = producers_rebuild(job->dir, job->files, job->n_files, job->end, job->seed,
                                  job->now_ms, &job->producers, &job->snapshot);
    }
    if (error == -EBADMSG) {
        job->damaged = true;
        error = 0;
    }
    return error;
}

static int delete_directory(struct cut_job *job)
{
    int error = file_rename(job->dir, job->to_dir);
    if (error == -ENOENT) {
        error = 0;
    }
    return error == 0 ? dir_sync(job->parent) : error;
}

void cut_job_run(struct job *job)
{
    struct cut_job *cut = container_of(job, struct cut_job, job);
    if (cut->kind == CUT_DELETE) {
        cut->error = delete_directory(cut);
    } else if (cut->dir_made) {
        cut->error = truncate_files(cut);
    }
}
