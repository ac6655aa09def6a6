/* Logs that no checkpoint tells of, as they lie in the directory: Apache Kafka's, or where the
 * checkpoint is lost. Every segment is read once to learn where it ends; showing it reads it
 * again. */
#include "dump_load.h"

#include "scan.h"

#include <errno.h>

/* Takes over what verifies of a segment from `segment->bytes` on, in a file of `len` bytes. */
static void scan_on(struct log *log, struct segment *segment, struct file *file, uint64_t len)
{
    struct scan scan;
    struct batch b;
    scan_init(&scan, file, segment->bytes, len, true);
    scan.next_offset = max_i64(segment->base, log->end);
    while (scan_next(&scan, &b) == 1) {
        segment->bytes = scan.at;
        log->end = batch_last_offset(&b) + 1;
        if (b.leader_epoch > epochs_last(&log->epochs)) {
            epochs_assign(&log->epochs, b.leader_epoch, b.base_offset);
        }
    }
    scan_release(&scan);
}

/* Bytes of the file behind what was taken over, or -errno. */
static int64_t extend(struct log *log, struct segment *segment)
{
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    struct file *file = NULL;
    int64_t rest = file_open(path, FILE_READ, &file);
    if (rest == 0) {
        rest = file_size(file);
    }
    if (rest > (int64_t)segment->bytes) {
        scan_on(log, segment, file, (uint64_t)rest);
    }
    if (rest >= 0) {
        rest = max_i64(rest - (int64_t)segment->bytes, 0);
    }
    file_close(file);
    free(path);
    return rest;
}

void dump_extend(struct dump_state *s, struct log *log)
{
    (void)s;
    if (log_last_segment(log) != NULL) {
        extend(log, log_last_segment(log));
    }
}

/* The offset of a partition in one of Kafka's offset checkpoints, or -1. */
static int64_t offset_in(const struct dump_state *s, const char *name, const struct log *log)
{
    char *path = store_file_path(&s->store, name);
    struct buf content = { 0 };
    file_load(path, MIB(256), &content);
    int64_t offset = offset_checkpoint_find(buf_bytes(&content), log->topic, log->partition);
    buf_release(&content);
    free(path);
    return offset;
}

static bool stopped_cleanly(const struct dump_state *s)
{
    char *path = store_file_path(&s->store, FILE_CLEAN_SHUTDOWN);
    bool there = file_exists(path);
    free(path);
    return there;
}

static void look_at_segment(struct dump_state *s, struct log *log, int64_t base)
{
    struct segment *segment = log_add_segment(log, base);
    int64_t rest = extend(log, segment);
    char *name = dump_segment_name(log, base);
    if (rest < 0) {
        dump_remark(s, name, 0, true, strerror((int)-rest));
    } else if (rest > 0 && (stopped_cleanly(s) || s->recovery->damage != NULL ||
                            offset_in(s, FILE_RECOVERY_POINTS, log) > log->end)) {
        dump_remark(s, name, segment->bytes, true, "it does not verify from here on");
    } else if (rest > 0) {
        dump_remark(s, name, segment->bytes, false,
                    "it does not verify from here on: what a crash leaves behind");
    }
    free(name);
}

static void look_at_log(struct dump_state *s, struct log *log)
{
    char *dir = log_dir_path(log);
    bool swap = false;
    size_t n;
    int64_t *bases = recovery_segments_in(dir, &n, &swap);
    for (size_t i = 0; i < n; i++) {
        look_at_segment(s, log, bases[i]);
    }
    int64_t start = offset_in(s, FILE_LOG_STARTS, log);
    log->end = max_i64(log->end, n > 0 ? bases[n - 1] : 0);
    log->start = max_i64(start, n > 0 ? bases[0] : log->end);
    log->end = max_i64(log->end, log->start);
    log->high_watermark =
        max_i64(log->start, min_i64(offset_in(s, FILE_HIGH_WATERMARKS, log), log->end));
    epochs_trim(&log->epochs, log->start);
    free(bases);
    free(dir);
}

int dump_found(struct dump_state *s)
{
    const struct log_config config = LOG_CONFIG_UNKNOWN;
    struct dir_entry *entries;
    size_t n;
    int error = dir_list(s->store.path, &entries, &n);
    if (error != 0) {
        return recovery_fail(s->recovery, error, "%s cannot be read", s->store.path);
    }
    for (size_t i = 0; i < n; i++) {
        struct log_dir_name name;
        struct uuid id = { { 0 } };
        if (!recovery_is_log(&entries[i], &name) || !dump_wants(s, name.topic, name.partition)) {
            continue;
        }
        char *dir = store_file_path(&s->store, entries[i].name);
        if (!log_dir_id(dir, &id)) {
            memcpy(id.bytes, &i, sizeof i); /* nobody knows it; it only has to be its own */
        }
        free(dir);
        struct dumped *d = dump_entry(s, &id, name.partition);
        if (d->log == NULL && d->said.deletion == 0) {
            d->log = log_new(&s->store, &id, name.topic, name.partition, &config);
            free(d->topic);
            d->topic = text_dup(name.topic);
            look_at_log(s, d->log);
        }
    }
    dir_list_free(entries, n);
    return 0;
}
