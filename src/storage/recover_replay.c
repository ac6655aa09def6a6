/* A directory with a journal: the files are compared with the checkpoint, and what came after it
 * is done again.
 *
 * The journal is read twice. The first time to its end, noting for each log what may have changed
 * its files: deletions, truncations, new log starts; only these excuse files that are not as the
 * checkpoint says. Then the chunks are synced, since what is done next relies on them; deletions
 * are done, every log is cut to the checkpoint, or to the lowest truncation below it, and the
 * second reading appends what comes after.
 *
 * Everything may be interrupted and begun again: nothing is done to a file that the records do not
 * say, and the checkpoint stays as it is. */
#include "recover.h"

#include "journal_notes.h"
#include "scan.h"

#include <errno.h>

enum {
    PENDING_BYTES = 128 * 1024, /* of one log, gathered before they are written */
};

/* What the journal says of a log, and where its replay is. */
struct trace {
    struct map_node node;
    struct uuid topic_id;
    int32_t partition;
    char *topic; /* NULL: not known yet */
    struct log_notes said; /* of the first reading */
    uint64_t skip; /* appends, epochs and truncations up to this number are void */
    struct log *log;   /* NULL: none (any more, or yet) */
    struct buf parts;  /* of a batch that came in pieces */
    struct buf pending; /* bytes of `writing` that are not written yet */
    struct segment *writing;
    struct file *file; /* of `writing`; NULL: not open */
    uint64_t unsynced;
    struct list open;
};

/* ---- traces -----------------------------------------------------------------------------------*/

struct key {
    const struct uuid *topic_id;
    int32_t partition;
};

static bool has_key(const struct map_node *node, const void *key)
{
    const struct trace *trace = container_of(node, struct trace, node);
    const struct key *k = key;
    return trace->partition == k->partition && uuid_equal(&trace->topic_id, k->topic_id);
}

static struct trace *find(const struct recovery *r, const struct uuid *topic_id, int32_t partition)
{
    struct key key = { topic_id, partition };
    struct map_node *node =
        map_find(&r->traces, log_hash(r->store, topic_id, partition), has_key, &key);
    return node != NULL ? container_of(node, struct trace, node) : NULL;
}

static struct trace *trace_of(struct recovery *r, const struct journal_record *record)
{
    struct trace *trace = find(r, &record->topic_id, record->partition);
    if (trace == NULL) {
        trace = mem_zalloc(sizeof *trace);
        trace->topic_id = record->topic_id;
        trace->partition = record->partition;
        log_notes_init(&trace->said);
        list_init(&trace->open);
        map_insert(&r->traces, &trace->node,
                   log_hash(r->store, &trace->topic_id, trace->partition));
    }
    return trace;
}

void recovery_release_traces(struct recovery *r)
{
    map_each (node, &r->traces) {
        struct trace *trace = container_of(node, struct trace, node);
        map_remove(&r->traces, node);
        file_close(trace->file);
        segment_unref(trace->writing);
        buf_release(&trace->parts);
        buf_release(&trace->pending);
        free(trace->topic);
        free(trace);
    }
    map_release(&r->traces);
}

/* ---- the first reading ------------------------------------------------------------------------*/

static bool note(void *arg, const struct journal_record *record, uint64_t number)
{
    struct recovery *r = arg;
    struct trace *trace = trace_of(r, record);
    log_notes_add(&trace->said, record, number);
    if (record->kind == JOURNAL_CREATE) {
        free(trace->topic);
        trace->topic = text_dup(text_part((const char *)record->payload.data,
                                          record->payload.len));
    }
    return true;
}

/* ---- before the second reading ----------------------------------------------------------------*/

/* Deletes what the journal says is deleted. Its directory may be gone already, and another log may
 * have taken the name. */
static int delete_log(struct recovery *r, struct trace *trace)
{
    struct uuid id;
    if (trace->log != NULL) {
        recovery_drop_log(r, trace->log);
        trace->log = NULL;
    }
    trace->skip = trace->said.deletion;
    if (trace->topic == NULL || (recovery_directory_id(r, trace->topic, trace->partition, &id) &&
                                 !uuid_equal(&id, &trace->topic_id))) {
        return 0;
    }
    int error = recovery_doom(r, trace->topic, trace->partition);
    return error == 0 ? 0 : recovery_fail(r, error, "the directory of a deleted partition of %s "
                                                    "cannot be renamed", trace->topic);
}

/* Segments below a later log start: their files may be gone, and will be. */
static void drop_below(struct log *log, int64_t start)
{
    uint32_t n = 0;
    while (n + 1 < log->n_segments && log->segments[n + 1]->base <= start) {
        n++;
    }
    log_take_segments(log, 0, n);
}

static int prepare_log(struct recovery *r, struct log *log)
{
    struct trace *trace = find(r, &log->topic_id, log->partition);
    int error = 0;
    if (trace == NULL) {
        return recover_files(r, log, INT64_MIN, false);
    }
    char *dir = log_dir_path(log);
    log->dir_made = file_exists(dir); /* it may have been made, or have gone, since */
    free(dir);
    if (r->damage != NULL) {
        return recover_files(r, log, trace->said.start, false);
    }
    drop_below(log, trace->said.start);
    if (trace->said.cut <= log->end) {
        /* What lay above the truncation may be gone from the files, or something else; and all of
         * it where the log starts there or further up. */
        trace->skip = max_u64(trace->skip, trace->said.cut_number);
        epochs_truncate(&log->epochs, trace->said.cut); /* one may have begun at the very end */
        if (max_i64(trace->said.start, log->start) >= trace->said.cut) {
            log_take_segments(log, 0, log->n_segments);
        }
    }
    if (trace->said.cut < log->end) {
        error = recover_truncate(r, log, max_i64(trace->said.cut, log->start));
    }
    if (error == 0) {
        error = recover_files(r, log, trace->said.start, true);
    }
    return error == 0 ? recover_tidy(log) : error;
}

static void name_logs(struct recovery *r)
{
    map_each (node, &r->store->logs) {
        struct log *log = container_of(node, struct log, node);
        struct trace *trace = find(r, &log->topic_id, log->partition);
        if (trace != NULL) {
            trace->log = log;
            free(trace->topic);
            trace->topic = mem_strdup(log->topic);
        }
    }
}

static int prepare_logs(struct recovery *r)
{
    int error = 0;
    map_each (node, &r->traces) {
        struct trace *trace = container_of(node, struct trace, node);
        if (error == 0 && trace->said.deletion > 0) {
            error = delete_log(r, trace);
        }
    }
    map_each (node, &r->store->logs) {
        error = error == 0 ? prepare_log(r, container_of(node, struct log, node)) : error;
    }
    return error;
}

/* ---- writing ----------------------------------------------------------------------------------*/

/* The segment is complete: its file stays open, to be synced later, or is synced and closed where
 * there are too many of them. */
static void hand_over(struct recovery *r, struct trace *trace)
{
    if (trace->file != NULL && r->n_kept >= r->store->config.open_files_max / 2) {
        int error = file_sync(trace->file);
        file_close(trace->file);
        if (error != 0) {
            recovery_fail(r, error, "a segment of %s cannot be synced", trace->topic);
        }
    } else if (trace->file != NULL) {
        recovery_keep(r, trace->writing, trace->file, trace->unsynced);
    }
    if (trace->file != NULL) {
        trace->file = NULL;
        list_remove(&trace->open);
        r->n_open--;
    }
    segment_unref(trace->writing);
    trace->writing = NULL;
    trace->unsynced = 0;
}

/* Too many files are open: the one used longest ago is synced and closed. */
static int close_oldest(struct recovery *r)
{
    struct trace *oldest = container_of(list_pop_front(&r->open), struct trace, open);
    int error = file_sync(oldest->file);
    file_close(oldest->file);
    oldest->file = NULL;
    oldest->unsynced = 0;
    r->n_open--;
    return error;
}

static int open_file(struct recovery *r, struct trace *trace)
{
    struct segment *segment = trace->writing;
    char *path = log_file_path(trace->log, LOG_FILE_SEGMENT, segment->base);
    unsigned flags = FILE_READ | FILE_WRITE;
    bool too_many = r->n_open > 0 && r->n_open >= r->store->config.open_files_max / 2;
    int error = too_many ? close_oldest(r) : 0;
    if (!segment->made) {
        flags |= FILE_CREATE | FILE_TRUNCATE;
    }
    if (error == 0) {
        error = file_open(path, flags, &trace->file);
    }
    if (error == 0) {
        segment->made = true;
        r->n_open++;
        list_push_back(&r->open, &trace->open);
    }
    free(path);
    return error;
}

static int flush(struct recovery *r, struct trace *trace)
{
    int error = 0;
    if (trace->pending.len == 0) {
        return 0;
    }
    if (trace->file == NULL) {
        error = open_file(r, trace);
    }
    if (error == 0) {
        error = file_write_at(trace->file, trace->pending.data, trace->pending.len,
                              trace->writing->written);
    }
    if (error != 0) {
        return recovery_fail(r, error, "a segment of %s-%d cannot be written", trace->topic,
                             (int)trace->partition);
    }
    trace->writing->written += trace->pending.len;
    trace->unsynced += trace->pending.len;
    buf_clear(&trace->pending);
    if (list_empty(&trace->log->dir_link)) {
        list_push_back(&r->store->new_names, &trace->log->dir_link);
    }
    r->replayed = true;
    return 0;
}

/* ---- the second reading -----------------------------------------------------------------------*/

static int make_directory(struct recovery *r, struct log *log)
{
    char *dir = log_dir_path(log), *stray = mem_sprintf("%s-stray", dir);
    int error = log_dir_make(dir, &log->topic_id, stray);
    if (error != 0) {
        recovery_fail(r, error, "%s cannot be created", dir);
    }
    log->dir_made = true;
    r->store->new_dirs = true;
    free(dir);
    free(stray);
    return error;
}

/* A log begins: what a life before this one has written of it is written anew. */
static void replay_create(struct recovery *r, struct trace *trace,
                          const struct journal_record *record)
{
    const struct log_config config = LOG_CONFIG_UNKNOWN;
    struct text topic = text_part((const char *)record->payload.data, record->payload.len);
    if (trace->log != NULL) {
        return;
    }
    if (!topic_name_ok(topic) || record->partition < 0) {
        r->damage = "a record of the journal makes no sense";
        return;
    }
    trace->log = log_new(r->store, &trace->topic_id, topic, trace->partition, &config);
    check(recovery_add_log(r, trace->log));
    int error = recovery_set_aside(r, trace->log);
    if (error != 0) {
        recovery_fail(r, error, "the directory of %s-%d cannot be renamed", trace->log->topic,
                      (int)trace->partition);
    }
}

static int begin_segment(struct recovery *r, struct trace *trace, int64_t base)
{
    int error = flush(r, trace);
    hand_over(r, trace);
    log_add_segment(trace->log, base);
    return error;
}

static void replay_append(struct recovery *r, struct trace *trace, bool begins_segment,
                          struct bytes batches)
{
    struct log *log = trace->log;
    struct batch b;
    int error = 0;

    if (r->damage != NULL && batches.len >= 8 && (int64_t)load_be64(batches.data) < log->end) {
        return; /* the files have it */
    }
    if (batches.len == 0 || !batches_go_on(batches, log->end, log_begins(log))) {
        log_damaged(log, "the journal holds a batch that does not go on at offset %lld",
                    (long long)log->end);
        return;
    }
    if (!log->dir_made) {
        error = make_directory(r, log);
    }
    check(batch_parse(batches, &b) == KAFKA_NONE);
    struct segment *last = log_last_segment(log);
    /* A closed segment is the last one only when those behind it are below a new log start. */
    if (error == 0 && (last == NULL || last->closed ||
                       (begins_segment && last->base < b.base_offset) ||
                       batch_last_offset(&b) - last->base > INT32_MAX ||
                       last->bytes + batches.len > INT32_MAX)) {
        error = begin_segment(r, trace, b.base_offset);
    }
    last = log_last_segment(log);
    if (error == 0 && trace->writing != last) {
        error = flush(r, trace);
        hand_over(r, trace);
        trace->writing = segment_ref(last);
    }
    if (error != 0) {
        return;
    }
    buf_put(&trace->pending, batches.data, batches.len);
    while (batches.len > 0) {
        check(batch_parse(batches, &b) == KAFKA_NONE);
        segment_add(last, &log->config, &b, batch_last_offset(&b), r->now_ms);
        log_learn(log, &b, r->now_ms);
        log->end = log->durable_end = batch_last_offset(&b) + 1;
        batches = bytes_part(batches, b.raw.len, batches.len - b.raw.len);
    }
    if (trace->pending.len >= PENDING_BYTES) {
        flush(r, trace);
    }
}

static void replay_part(struct recovery *r, struct trace *trace, const struct journal_record *part)
{
    if (journal_part_add(&trace->parts, part)) {
        replay_append(r, trace, part->begins_segment, buf_bytes(&trace->parts));
        buf_release(&trace->parts);
    }
}

/* `cut`: a truncation that came later has been done already; the log was longer then. */
static void replay_start(struct recovery *r, struct trace *trace, int64_t offset, bool cut)
{
    struct log *log = trace->log;
    uint32_t n = 0;
    if (offset <= log->start || flush(r, trace) != 0) {
        return;
    }
    if (cut) {
        log->end = log->durable_end = max_i64(log->end, offset);
    }
    if (offset >= log->end && !cut) {
        hand_over(r, trace);
        n = log->n_segments;
        if (offset > log->end) {
            epochs_truncate(&log->epochs, 0);
            if (log->producers != NULL) {
                producers_clear(log->producers);
            }
        }
        log->end = log->durable_end = offset;
    } else {
        while (n + 1 < log->n_segments && log->segments[n + 1]->base <= offset) {
            n++;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        struct image_removal removal = { log->topic_id, log->partition, log->segments[i]->base };
        r->removals =
            mem_grow(r->removals, &r->cap_removals, r->n_removals + 1, sizeof *r->removals);
        r->removals[r->n_removals++] = removal;
    }
    log_take_segments(log, 0, n);
    log->start = offset;
    log->high_watermark = max_i64(log->high_watermark, offset);
    epochs_trim(&log->epochs, offset);
}

static void replay_truncate(struct recovery *r, struct trace *trace, int64_t offset)
{
    struct log *log = trace->log;
    epochs_truncate(&log->epochs, offset); /* also where only an epoch began, at the very end */
    if (offset >= log->end || flush(r, trace) != 0) {
        return;
    }
    hand_over(r, trace);
    recover_truncate(r, log, max_i64(offset, log->start));
}

static void replay(struct recovery *r, const struct journal_record *record, uint64_t number)
{
    struct trace *trace = trace_of(r, record);
    if (number <= trace->said.deletion) {
        return;
    }
    if (record->kind == JOURNAL_CREATE) {
        replay_create(r, trace, record);
        return;
    }
    if (trace->log == NULL) {
        return;
    }
    if (record->kind == JOURNAL_LOG_START) {
        replay_start(r, trace, record->offset, number <= trace->skip);
        return;
    }
    if (number <= trace->skip) {
        return;
    }
    switch (record->kind) {
    case JOURNAL_APPEND:
        replay_append(r, trace, record->begins_segment, record->payload);
        break;
    case JOURNAL_PART:
        replay_part(r, trace, record);
        break;
    case JOURNAL_EPOCH:
        if (record->epoch > epochs_last(&trace->log->epochs) && record->offset >= 0) {
            epochs_assign(&trace->log->epochs, record->epoch, record->offset);
        }
        break;
    case JOURNAL_TRUNCATE:
        if (r->damage == NULL) {
            replay_truncate(r, trace, record->offset);
        }
        break;
    default:
        break;
    }
}

static bool replay_next(void *arg, const struct journal_record *record, uint64_t number)
{
    struct recovery *r = arg;
    replay(r, record, number);
    return r->error == 0;
}

/* ---- the whole --------------------------------------------------------------------------------*/

static int finish(struct recovery *r)
{
    int error = 0;
    map_each (node, &r->traces) {
        struct trace *trace = container_of(node, struct trace, node);
        if (trace->log != NULL && error == 0) {
            error = flush(r, trace);
            hand_over(r, trace);
        }
    }
    return error;
}

static int sync_journal(struct recovery *r)
{
    int error = journal_reader_sync(&r->reader);
    return error == 0 ? 0 : recovery_fail(r, error, "the journal in %s cannot be synced",
                                          r->journal_dir);
}

int recovery_replay(struct recovery *r)
{
    journal_each(&r->reader, note, r);
    if (r->damage == NULL) {
        r->damage = journal_reader_verdict(&r->reader, r->head.durable_lsn);
    }
    if (r->damage == NULL && !r->head.clean && r->reader.n_begun == 0) {
        r->damage = "the journal is missing";
    }
    r->reader.salvage = r->damage != NULL;
    int error = sync_journal(r);
    name_logs(r);
    if (error == 0) {
        error = prepare_logs(r);
    }
    if (error == 0) {
        journal_each(&r->reader, replay_next, r);
        error = r->error;
    }
    r->store->recovery.replayed_bytes = r->reader.bytes;
    return error == 0 ? finish(r) : error;
}

int recovery_salvage(struct recovery *r)
{
    check(r->damage != NULL);
    r->reader.salvage = true;
    journal_each(&r->reader, note, r);
    int error = sync_journal(r);
    name_logs(r);
    if (error == 0) {
        journal_each(&r->reader, replay_next, r);
        error = r->error;
    }
    return error == 0 ? finish(r) : error;
}
