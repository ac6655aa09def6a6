/* Truncation, log start, deletion: journal first, files second.
 *
 * What memory says changes at once; a record goes to the journal; once that is durable, files are
 * cut, removed or renamed. A checkpoint does not pass a record before that is done and synced, so
 * a crash in between finds the record and does it again.
 *
 * A truncation works on the last segment that is left: first the segment's index has to be in
 * memory as a whole, then a job finds the place (unless it lies in the tail), cuts the file,
 * removes later ones, and works out what can only be known from the file: the largest time stamp,
 * and the producers as of the cut. Until it has ended nothing is appended to the log and nothing
 * written.
 *
 * Of one log one cut at a time works on files; not while a segment write or a removal is under
 * way, nor while a checkpoint writes. */
#include "state.h"

#include "cut_job.h"

#include <errno.h>

struct cut {
    struct list link;    /* in the store's list */
    struct list of_log;  /* in the log's list */
    struct log *log;     /* a reference */
    enum journal_kind kind;
    uint64_t lsn;
    int64_t offset;
    void (*done)(void *arg, int error);
    void *arg;
    bool durable, running;
    struct segment **gone; /* segments that were taken out, with references */
    uint32_t n_gone;
    struct segment *segment; /* truncation: the one to be cut; NULL: none is left */
    bool place_known;
    bool nothing; /* truncation at the end: nothing is to be done in files */
    struct index_wait index;
    struct cut_job job;
};

/* ---- the end ----------------------------------------------------------------------------------*/

static void free_cut(struct cut *cut)
{
    for (uint32_t i = 0; i < cut->n_gone; i++) {
        segment_unref(cut->gone[i]);
    }
    free(cut->gone);
    segment_unref(cut->segment);
    cut_job_release(&cut->job);
    free(cut);
}

static void end(struct cut *cut, int error)
{
    struct log *log = cut->log;
    struct store *store = log->store;

    list_remove(&cut->link);
    list_remove(&cut->of_log);
    if (log->cut == cut) {
        log->cut = NULL;
        writer_forget(log);
    }
    if (log->moved != NULL) {
        log->moved(log->moved_arg);
    }
    if (cut->done != NULL) {
        cut->done(cut->arg, error);
    }
    free_cut(cut);
    cuts_resume(store);
    checkpoint_poke(store);
    store_settle(store);
    log_unref(log);
}

/* ---- in files ---------------------------------------------------------------------------------*/

static void remove_gone(struct cut *cut)
{
    struct store *store = cut->log->store;
    for (uint32_t i = 0; i < cut->n_gone; i++) {
        remove_segment(cut->log, cut->gone[i], store->config.delete_delay_ns);
        store->stats.deleted_segments++;
    }
}

/* Applies what of the log is in the tail only. */
static void apply_tail(struct cut *cut)
{
    struct log *log = cut->log;
    int64_t now_ms = loop_wall_ms(log->store->loop);
    struct segment *segment = cut->segment;
    for (uint64_t i = log->tail.written; i < log->tail.end; i++) {
        struct tail_entry *entry = tail_entry(&log->tail, i);
        struct bytes rest = bytes_of(entry_data(entry), entry->len);
        struct batch b;
        while (rest.len > 0) {
            check(batch_parse(rest, &b) == KAFKA_NONE);
            if (b.producer_id >= 0) {
                producers_apply(log_producers(log), &b, now_ms);
            }
            if (segment != NULL && b.base_offset >= segment->base &&
                b.max_timestamp > segment->max_timestamp) {
                segment->max_timestamp = b.max_timestamp;
                segment->max_timestamp_offset = batch_last_offset(&b);
            }
            rest = bytes_part(rest, b.raw.len, rest.len - b.raw.len);
        }
    }
}

static void job_done(struct job *job)
{
    struct cut *cut = container_of(job, struct cut, job.job);
    struct log *log = cut->log;
    struct store *store = log->store;
    int error = cut->job.error;

    cut->running = false;
    store->jobs--;
    if (cut->job.damaged) {
        log_set_damage(log, mem_strdup("a segment does not verify where the log was to be cut"));
    }
    if (error != 0) {
        store_fail(store, error, "cut or remove the files of a log");
    } else if (cut->kind == JOURNAL_TRUNCATE) {
        cut_job_install(&cut->job, log, cut->segment);
        if (log->end < cut->offset) {
            /* The batch at the cut began further down; what is appended next goes on there. */
            log_journal(log, JOURNAL_TRUNCATE, epochs_last(&log->epochs), log->end);
        }
        apply_tail(cut);
    } else {
        remove_directory(store, cut->job.to_dir);
        cut->job.to_dir = NULL;
    }
    end(cut, error);
}

static void start_job(struct cut *cut)
{
    cut->running = true;
    cut->log->store->jobs++;
    job_start(cut->log->store->loop, &cut->job.job, cut_job_run, job_done);
}

/* ---- truncation -------------------------------------------------------------------------------*/

/* The segment's index is in memory: everything for the job can be said. */
static void prepare_job(struct cut *cut)
{
    cut_job_prepare(&cut->job, cut->log, cut->gone, cut->n_gone, cut->segment, cut->place_known);
    start_job(cut);
}

static void index_ready(struct index_wait *wait, int error)
{
    struct cut *cut = container_of(wait, struct cut, index);
    cut->running = false;
    if (error != 0) {
        segment_forget_index(cut->segment); /* the job says whether the segment is damaged */
    }
    prepare_job(cut);
}

static void start_truncation(struct cut *cut)
{
    cut->index.ready = index_ready;
    cut->running = true;
    if (cut->segment == NULL || index_want(cut->log, cut->segment, &cut->index) == 0) {
        prepare_job(cut);
    }
}

static void start_deletion(struct cut *cut)
{
    cut->job.kind = CUT_DELETE;
    cut->job.dir = log_dir_path(cut->log);
    cut->job.to_dir = log_renamed_path(cut->log, LOG_DIR_DELETE);
    cut->job.parent = cut->log->store->path;
    start_job(cut);
}

/* ---- when -------------------------------------------------------------------------------------*/

static void try(struct cut *cut)
{
    struct log *log = cut->log;
    struct store *store = log->store;
    if (cut->running || list_first(&log->cuts) != &cut->of_log) {
        return;
    }
    if (store_offline(store)) {
        end(cut, -EIO);
    } else if (!cut->durable) {
        return;
    } else if (cut->kind == JOURNAL_LOG_START) {
        remove_gone(cut);
        end(cut, 0);
    } else if (cut->nothing) {
        end(cut, 0);
    } else if (log->writing != NULL || checkpoint_writing(store) || remove_busy(log)) {
        return; /* cuts_resume() comes */
    } else if (cut->kind == JOURNAL_TRUNCATE) {
        start_truncation(cut);
    } else if (log->dir_made) {
        start_deletion(cut);
    } else {
        end(cut, 0);
    }
}

static void try_all(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, cut_task);
    list_each (link, &store->cuts) {
        try(container_of(link, struct cut, link));
    }
}

void cuts_init(struct store *store)
{
    list_init(&store->cuts);
    loop_task_init(&store->cut_task, try_all);
}

void cuts_resume(struct store *store)
{
    if (!list_empty(&store->cuts)) {
        loop_defer(store->loop, LOOP_ADVANCE, &store->cut_task);
    }
}

void cuts_durable(struct store *store, uint64_t lsn)
{
    list_each (link, &store->cuts) {
        struct cut *cut = container_of(link, struct cut, link);
        if (cut->lsn > lsn) {
            break;
        }
        cut->durable = true;
    }
    cuts_resume(store);
}

bool cuts_done(const struct store *store, uint64_t lsn)
{
    struct list *first = list_first(&store->cuts);
    return first == NULL || container_of(first, struct cut, link)->lsn > lsn;
}

bool cuts_running(const struct store *store)
{
    list_each (link, &store->cuts) {
        if (container_of(link, struct cut, link)->running) {
            return true;
        }
    }
    return false;
}

bool cuts_truncating(const struct store *store)
{
    list_each (link, &store->cuts) {
        if (container_of(link, struct cut, link)->kind == JOURNAL_TRUNCATE) {
            return true;
        }
    }
    return false;
}

bool cuts_deleting(const struct store *store, const char *topic, int32_t partition)
{
    list_each (link, &store->cuts) {
        struct cut *cut = container_of(link, struct cut, link);
        if (cut->kind == JOURNAL_DELETE && cut->log->partition == partition &&
            strcmp(cut->log->topic, topic) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- in memory --------------------------------------------------------------------------------*/

static struct cut *new_cut(struct log *log, enum journal_kind kind, int64_t offset,
                           void (*done)(void *arg, int error), void *arg)
{
    struct cut *cut = mem_zalloc(sizeof *cut);
    cut->log = log_ref(log);
    cut->kind = kind;
    cut->offset = offset;
    cut->done = done;
    cut->arg = arg;
    cut->lsn = log_journal(log, kind, epochs_last(&log->epochs), offset);
    list_push_back(&log->store->cuts, &cut->link);
    list_push_back(&log->cuts, &cut->of_log);
    return cut;
}

/* Takes segments [from, from + n) out of the log; the cut keeps them until their files go. */
static void take_segments(struct cut *cut, uint32_t from, uint32_t n)
{
    cut->gone = mem_zalloc_array(n, sizeof(struct segment *));
    for (uint32_t i = 0; i < n; i++) {
        cut->gone[cut->n_gone++] = segment_ref(cut->log->segments[from + i]);
    }
    log_take_segments(cut->log, from, n);
}

static void forget_hints(struct log *log)
{
    for (unsigned i = 0; i < countof(log->hints); i++) {
        log->hints[i].offset = -1;
    }
}

/* Cuts the tail; `*offset` becomes the start of the batch that held it. Returns the bytes
 * dropped. */
static uint64_t cut_tail(struct log *log, int64_t *offset)
{
    struct tail *tail = &log->tail;
    uint64_t number = tail_find(tail, *offset), dropped = 0;

    for (uint64_t i = number; i < tail->end; i++) {
        dropped += tail_entry(tail, i)->len;
    }
    if (number < tail->end && tail_entry(tail, number)->base < *offset) {
        struct tail_entry *entry = tail_entry(tail, number);
        int64_t last = entry->base - 1;
        uint32_t at = 0;
        struct batch b;
        for (;; at += (uint32_t)b.raw.len, last = batch_last_offset(&b)) {
            check(batch_parse(bytes_of(entry_data(entry) + at, entry->len - at), &b) ==
                  KAFKA_NONE);
            if (batch_last_offset(&b) >= *offset) {
                break;
            }
        }
        *offset = max_i64(min_i64(*offset, b.base_offset), log->start);
        if (at > 0) {
            dropped -= at;
            tail_cut(tail, &log->store->slabs, number + 1);
            tail_shorten(tail, &log->store->slabs, at, last);
            return dropped;
        }
    }
    tail_cut(tail, &log->store->slabs, number);
    return dropped;
}

int log_truncate(struct log *log, int64_t offset, void (*done)(void *arg, int error), void *arg)
{
    struct store *store = log->store;
    check(log->cut == NULL && !log->deleted);
    if (!store_takes_changes(store)) {
        return -EIO;
    }
    offset = max_i64(log->start, min_i64(offset, log->end));
    bool in_tail = offset >= tail_start(&log->tail) || offset == log->end;
    bool nothing = offset == log->end;
    uint64_t dropped = cut_tail(log, &offset);
    epochs_truncate(&log->epochs, offset);
    struct cut *cut = new_cut(log, JOURNAL_TRUNCATE, offset, done, arg);
    log->cut = cut;
    cut->nothing = nothing;
    log->n_cuts++;
    store->stats.truncations++;
    forget_hints(log);

    uint32_t keep = log->n_segments;
    while (keep > 0 && log->segments[keep - 1]->base >= offset) {
        keep--;
    }
    uint64_t taken = 0;
    for (uint32_t i = keep; i < log->n_segments; i++) {
        taken += log->segments[i]->bytes;
    }
    take_segments(cut, keep, log->n_segments - keep);
    struct segment *last = log_last_segment(log);
    if (last != NULL) {
        cut->segment = segment_ref(last);
        cut->place_known = in_tail;
        last->bytes -= in_tail ? dropped - taken : 0;
    }
    log->epochs_new = true;
    log->end = offset;
    log->durable_end = min_i64(log->durable_end, offset);
    log->high_watermark = min_i64(log->high_watermark, offset);
    return 0;
}

static void empty(struct log *log, int64_t offset)
{
    tail_drop(&log->tail, &log->store->slabs, log->tail.end);
    if (offset > log->end) {
        epochs_truncate(&log->epochs, 0);
        if (log->producers != NULL) {
            producers_clear(log->producers);
        }
    }
    log->end = offset;
}

int log_move_start(struct log *log, int64_t offset, void (*done)(void *arg, int error), void *arg)
{
    if (!store_takes_changes(log->store)) {
        return -EIO;
    }
    check(!log->deleted);
    offset = max_i64(offset, log->start);
    struct cut *cut = new_cut(log, JOURNAL_LOG_START, offset, done, arg);
    uint32_t n = 0;
    if (offset >= log->end) {
        n = log->n_segments;
        empty(log, offset);
    } else {
        while (n + 1 < log->n_segments && log->segments[n + 1]->base <= offset) {
            n++;
        }
        if (n > 0) {
            tail_drop(&log->tail, &log->store->slabs,
                      tail_find(&log->tail, log->segments[n]->base));
        }
    }
    take_segments(cut, 0, n);
    log->start = offset;
    log->epochs_new |= epochs_trim(&log->epochs, offset);
    log->high_watermark = max_i64(log->high_watermark, offset);
    log->durable_end = max_i64(log->durable_end, offset);
    if (!tail_is_empty(&log->tail) || log->write_state != WRITE_NONE) {
        writer_forget(log);
    }
    return 0;
}

/* A log that is gone from memory; what is left of it waits for the journal and the files. */
void store_delete(struct store *store, struct log *log)
{
    struct cut *cut = NULL;
    check(!log->deleted);
    if (store->state == STORE_CLOSING || store->state == STORE_CLOSED) {
        log->moved = NULL;
        return; /* the next start finds it, and that nobody wants it */
    }
    if (!store_offline(store)) {
        cut = new_cut(log, JOURNAL_DELETE, log->end, NULL, NULL);
    }
    log->deleted = true;
    log->moved = NULL;
    map_remove(&store->logs, &log->node);
    store->n_damaged -= log->damage != NULL;
    tail_cut(&log->tail, &store->slabs, log->tail.first);
    if (cut != NULL) {
        take_segments(cut, 0, log->n_segments);
    } else {
        log_take_segments(log, 0, log->n_segments);
    }
    list_remove(&log->dir_link);
    writer_forget(log);
    if (log->owes) {
        checkpoint_paid(log);
    }
    log_unref(log);
}
