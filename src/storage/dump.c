/* Showing what a directory holds, log by log: segments first, then what the journal has behind
 * them.
 *
 * A broker may be at work and cut or remove segments while they are read. So what looks wrong in
 * one counts as damage only when a second look at checkpoint and journal does not explain it. */
#include "dump_load.h"

#include "scan.h"

#include <errno.h>
#include <stdio.h>

struct dump {
    const struct dump_request *request;
    const char *dir;
    struct dump_state state;
    struct dumped *now; /* the log that is shown */
    struct dump_log view;
};

static void show(struct dump *dump, const char *file, uint64_t at, uint64_t lsn,
                 const struct batch *batch, bool crc_ok)
{
    const struct dump_request *request = dump->request;
    const struct dump_batch found = {
        .batch = *batch, .crc_ok = crc_ok, .file = file, .at = at, .lsn = lsn
    };
    if (batch_last_offset(batch) >= dump->view.start) {
        request->visitor->batch(request->arg, &dump->view, &found);
    }
}

/* ---- segments ---------------------------------------------------------------------------------*/

/* Has the log changed meanwhile, so that this place of the segment is not what it was? */
static bool changed(struct dump *dump, const struct segment *segment, int64_t next)
{
    struct log *log = dump->now->log;
    struct dump_state state;
    bool explained = false;
    if (dump_load(&state, dump->dir, text_of(log->topic), log->partition, false) == 0) {
        const struct dumped *d = dump_find(&state, log->topic, log->partition);
        const struct segment *same =
            d != NULL ? log_segment_of(d->log, segment->base, NULL) : NULL;
        explained = d == NULL || d->log->start >= next || d->segments_end < next ||
                    d->cut_short || same == NULL || same->base != segment->base ||
                    same->bytes < segment->bytes;
    }
    dump_release(&state);
    return explained;
}

static void trouble(struct dump *dump, const struct segment *segment, int64_t next, uint64_t at,
                    const char *what)
{
    const struct dump_request *request = dump->request;
    char *name = dump_segment_name(dump->now->log, segment->base);
    bool damage = !changed(dump, segment, next);
    request->visitor->remark(request->arg, name, at,
                             damage ? what : "it was cut or removed while it was read", damage);
    free(name);
}

/* The segment that a truncation reached into: its file was cut, will be, or is written again. */
static bool is_cut(const struct dump *dump, const struct segment *segment)
{
    return dump->now->cut_short && segment == log_last_segment(dump->now->log);
}

static void show_segment(struct dump *dump, const struct segment *segment, int64_t next,
                         struct file *file)
{
    char *name = dump_segment_name(dump->now->log, segment->base);
    uint64_t len = (uint64_t)max_i64(file_size(file), 0), at = 0;
    bool cut = is_cut(dump, segment);
    struct scan scan;
    struct batch b;
    int found = 0;
    scan_init(&scan, file, 0, cut ? len : min_u64(segment->bytes, len), false);
    scan.next_offset = segment->base;
    while (scan.next_offset < next && (found = scan_next(&scan, &b)) == 1) {
        bool crc_ok = batch_crc_ok(&b);
        if (batch_last_offset(&b) >= next) {
            found = cut ? 0 : -EBADMSG; /* the CRC does not cover its offset */
            break;
        }
        show(dump, name, at, 0, &b, crc_ok);
        if (!crc_ok) {
            trouble(dump, segment, next, at, "the CRC of this batch does not match");
        }
        at = scan.at;
    }
    if (found < 0) {
        trouble(dump, segment, next, at,
                found == -EBADMSG ? "there is no batch here" : strerror(-found));
    } else if (found == 0 && at < segment->bytes && !cut) {
        trouble(dump, segment, next, at, "it ends before its end in the checkpoint");
    }
    scan_release(&scan);
    free(name);
}

static void show_segments(struct dump *dump)
{
    struct log *log = dump->now->log;
    for (uint32_t i = 0; i < log->n_segments; i++) {
        const struct segment *segment = log->segments[i];
        int64_t next = i + 1 < log->n_segments ? log->segments[i + 1]->base
                                              : dump->now->segments_end;
        char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
        struct file *file = NULL;
        int error = file_open(path, FILE_READ, &file);
        if (error == 0) {
            show_segment(dump, segment, next, file);
        } else {
            trouble(dump, segment, next, 0, strerror(-error));
        }
        file_close(file);
        free(path);
    }
}

/* ---- the whole --------------------------------------------------------------------------------*/

static void show_journal(struct dump *dump)
{
    const struct dumped *d = dump->now;
    for (size_t i = 0; i < d->n; i++) {
        const struct dump_item *item = &d->items[i];
        char file[32];
        if (item->kind != JOURNAL_APPEND) {
            continue;
        }
        snprintf(file, sizeof file, "%s/%04u", JOURNAL_DIR, item->slot);
        show(dump, file, item->at, item->lsn, &item->batch, item->crc_ok);
        if (!item->crc_ok) {
            dump->request->visitor->remark(dump->request->arg, file, item->at,
                                           "the CRC of a batch of this group does not match", true);
        }
    }
}

static void show_log(struct dump *dump, struct dumped *d)
{
    const struct log *log = d->log;
    dump->now = d;
    dump->view = (struct dump_log){ .topic_id = &log->topic_id,
                                    .topic = log->topic,
                                    .partition = log->partition,
                                    .start = log->start,
                                    .end = log->end,
                                    .high_watermark = log->high_watermark,
                                    .epochs = &log->epochs };
    dump->request->visitor->log(dump->request->arg, &dump->view);
    show_segments(dump);
    show_journal(dump);
}

static int by_name(const void *a, const void *b)
{
    const struct dumped *x = *(struct dumped *const *)a, *y = *(struct dumped *const *)b;
    int order = strcmp(x->log->topic, y->log->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void show_all(struct dump *dump)
{
    const struct dump_state *s = &dump->state;
    struct dumped **sorted = mem_zalloc_array(s->logs.n, sizeof(struct dumped *));
    size_t n = 0;
    for (size_t i = 0; i < s->n_remarks; i++) {
        const struct dump_remark *remark = &s->remarks[i];
        dump->request->visitor->remark(dump->request->arg, remark->file, remark->at, remark->what,
                                       remark->damage);
    }
    map_each (node, &s->logs) {
        struct dumped *d = container_of(node, struct dumped, node);
        if (d->log != NULL && dump_wants(s, text_of(d->log->topic), d->partition)) {
            sorted[n++] = d;
        }
    }
    if (n > 0) {
        qsort(sorted, n, sizeof(struct dumped *), by_name);
    }
    for (size_t i = 0; i < n; i++) {
        show_log(dump, sorted[i]);
    }
    free(sorted);
}

/* The directory of a partition stands for this partition in the directory above. Cuts its name off
 * `path`. */
static bool is_partition(char *path, struct text *ret_topic, int32_t *ret_partition)
{
    struct log_dir_name name;
    char *slash = strrchr(path, '/');
    char *inside = mem_sprintf("%s/%s", path, FILE_META_PROPERTIES);
    bool whole = file_exists(inside);
    free(inside);
    if (whole || slash == NULL || !log_dir_parse(text_of(slash + 1), &name) ||
        name.state != LOG_DIR_LIVE) {
        return false;
    }
    *ret_topic = name.topic;
    *ret_partition = name.partition;
    *slash = '\0';
    return true;
}

int dump_run(const struct dump_request *request, char **ret_message)
{
    struct dump dump = { .request = request };
    bool relative = request->dir[0] != '/';
    char *path = mem_sprintf("%s%s", relative ? "./" : "", request->dir);
    struct text topic = request->topic;
    int32_t partition = request->partition;
    while (strlen(path) > 1 && path[strlen(path) - 1] == '/') {
        path[strlen(path) - 1] = '\0';
    }
    if (topic.data == NULL) {
        is_partition(path, &topic, &partition);
    }
    dump.dir = path;
    int error = file_exists(path) ? 0 : -ENOENT;
    if (error != 0) {
        *ret_message = mem_sprintf("%s cannot be read: %s", path, strerror(-error));
        free(path);
        return error;
    }
    error = dump_load(&dump.state, path, topic, partition, request->records);
    if (error == 0) {
        show_all(&dump);
    } else {
        const char *why = dump.state.recovery->message;
        *ret_message = mem_sprintf("%s: %s", why ? why : path, strerror(-error));
    }
    dump_release(&dump.state);
    free(path);
    return error;
}
