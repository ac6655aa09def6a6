/* From the tails into the segments.
 *
 * An entry may wait in its tail for a while, so that writes are few and large. It is written when
 * it is old enough, when its log has gathered enough, when its slab is needed, or when a
 * checkpoint asks for it; never before the journal holds it durably, since what a torn journal
 * loses must not be in a segment. One write at a time is under way for a log.
 *
 * The happy path of a log: writer_note() (AGING), writer_ready() or the timer (READY), the pump
 * takes it and starts a write of the entries that are durable and lie in one segment (BUSY): make
 * the directory, open the file, write; then again, or NONE when nothing is left.
 *
 * What can go wrong: no space (STUCK: the bytes stay in tail and journal, appends are refused, the
 * write is repeated); any other error: the directory goes offline. */
#include "state.h"

#include <errno.h>

enum {
    WRITES_MAX = 32,                /* under way at a time */
    WRITE_BYTES = 1024 * 1024,      /* a log that has gathered so much is written */
    WRITE_PIECES = 64,              /* pieces of one write */
    COPY_BYTES = 4096,              /* shorter entries are gathered in a buffer */
};

/* One write of one log. */
struct writing {
    struct log *log;         /* a reference */
    struct segment *segment; /* a reference */
    uint64_t until;          /* entries below this number are in it */
    uint64_t at, len;        /* where in the file; bytes */
    struct iovec iov[WRITE_PIECES];
    struct blob *hold[WRITE_PIECES]; /* what keeps the piece in memory */
    unsigned n;
    struct blob *gather; /* short entries are copied here */
    size_t gathered;
    struct disk_request req;
    struct file_wait wait;
    struct job job; /* making the directory */
    char *path, *stray_path;
    int error;
};

static void start_write(struct log *log);

/* ---- lists ------------------------------------------------------------------------------------*/

static void move_to(struct log *log, enum write_state state)
{
    struct store *store = log->store;
    struct list *lists[] = {
        [WRITE_AGING] = &store->aging,
        [WRITE_READY] = &store->ready,
        [WRITE_STUCK] = &store->stuck,
    };
    list_remove(&log->write_link);
    log->write_state = state;
    if (state != WRITE_NONE && state != WRITE_BUSY) {
        list_push_back(lists[state], &log->write_link);
    }
    if (state == WRITE_READY) {
        loop_defer(store->loop, LOOP_SUBMIT, &store->pump);
    }
}

static void age(struct log *log)
{
    struct store *store = log->store;
    log->write_at_ns = loop_now_ns(store->loop) + store->config.write_age_ns;
    move_to(log, WRITE_AGING);
    if (!timer_is_set(&store->write_timer)) {
        timer_set_at(&store->write_timer, log->write_at_ns);
    }
}

static bool has_unwritten(const struct log *log)
{
    return log->tail.written < log->tail.end;
}

static bool has_writable(const struct log *log)
{
    return has_unwritten(log) && tail_entry(&log->tail, log->tail.written)->lsn <=
                                     journal_durable_lsn(log->store->journal);
}

void writer_note(struct log *log)
{
    if (log->write_state == WRITE_NONE && has_unwritten(log)) {
        age(log);
    }
}

void writer_ready(struct log *log)
{
    bool wanted = log->owes || log->store->want_room; /* not before it is durable, but now */
    if (log->write_state == WRITE_AGING &&
        (wanted || log->tail.unwritten_bytes >= WRITE_BYTES)) {
        move_to(log, WRITE_READY);
    }
}

void writer_forget(struct log *log)
{
    if (log->write_state == WRITE_BUSY) {
        return; /* the write under way sees to it when it ends */
    }
    move_to(log, WRITE_NONE);
    writer_note(log);
    if (!has_unwritten(log)) {
        checkpoint_paid(log);
    }
}

static void make_ready(struct list *logs)
{
    list_each (link, logs) {
        move_to(container_of(link, struct log, write_link), WRITE_READY);
    }
}

void writer_force(struct store *store)
{
    make_ready(&store->aging);
}

void writer_retry(struct store *store)
{
    make_ready(&store->stuck);
}

static void write_users(struct slab *slab)
{
    for (size_t i = 0; i < slab->n_users; i++) {
        struct tail *tail = slab->users[i].tail;
        struct log *log = tail ? container_of(tail, struct log, tail) : NULL;
        if (log != NULL && log->write_state == WRITE_AGING) {
            move_to(log, WRITE_READY);
        }
    }
}

void writer_relieve(struct store *store)
{
    uint64_t bytes = 0;
    list_each (link, &store->slabs.fifo) {
        struct slab *slab = container_of(link, struct slab, link);
        if (slab->unwritten > 0) {
            write_users(slab);
            bytes += slab->blob->len;
        }
        if (bytes > store->slabs.budget / 4) {
            return;
        }
    }
}

static void too_old(struct timer *timer)
{
    struct store *store = container_of(timer, struct store, write_timer);
    uint64_t now = loop_now_ns(store->loop);
    list_each (link, &store->aging) {
        struct log *log = container_of(link, struct log, write_link);
        if (log->write_at_ns > now) {
            timer_set_at(timer, log->write_at_ns);
            return;
        }
        move_to(log, WRITE_READY);
    }
}

/* ---- the end of a write -----------------------------------------------------------------------*/

static void end_writing(struct writing *w)
{
    struct log *log = w->log;
    struct store *store = log->store;

    for (unsigned i = 0; i < w->n; i++) {
        blob_unref(w->hold[i]);
    }
    blob_unref(w->gather);
    segment_unref(w->segment);
    free(w->path);
    free(w->stray_path);
    free(w);
    log->writing = NULL;
    store->n_writing--;
    loop_defer(store->loop, LOOP_SUBMIT, &store->pump);
    cuts_resume(store);
    checkpoint_poke(store);
    store_settle(store);
    log_unref(log);
}

static bool no_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static bool out_of_files(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

static void failed(struct writing *w, int error)
{
    struct log *log = w->log;
    struct store *store = log->store;

    log->write_state = WRITE_NONE;
    if (log->deleted || w->segment->removed) {
        writer_forget(log);
    } else if (no_space(error) && store->state == STORE_OPEN) {
        move_to(log, WRITE_STUCK);
        store_check_room(store);
    } else if (out_of_files(error) || error == -EBUSY) {
        age(log);
    } else {
        store_fail(store, error, "write a segment");
    }
    end_writing(w);
}

/* The entries of the write are in the file now. */
static void account(struct writing *w)
{
    struct log *log = w->log;
    struct store *store = log->store;

    store->stats.segment_writes++;
    store->stats.segment_bytes += w->len;
    if (!w->segment->removed) {
        w->segment->written += w->len;
        files_wrote(&store->files, w->segment, w->len);
    }
    uint64_t until = min_u64(w->until, log->tail.end);
    if (until > log->tail.written) {
        tail_wrote(&log->tail, &store->slabs, until);
    }
    slabs_evict(&store->slabs);
}

static bool still_owes(const struct log *log)
{
    return has_unwritten(log) && tail_entry(&log->tail, log->tail.written)->lsn <=
                                     log->store->checkpoint_lsn;
}

static void wrote(struct disk_request *req, int64_t result)
{
    struct writing *w = container_of(req, struct writing, req);
    struct log *log = w->log;
    struct store *store = log->store;

    if (result == 0 && !store_offline(store)) {
        account(w);
    }
    files_put(&store->files, w->segment);
    if (store_offline(store)) {
        end_writing(w);
        return;
    }
    if (result < 0) {
        failed(w, (int)result);
        return;
    }
    log->write_state = WRITE_NONE;
    if (log->cut != NULL) {
        move_to(log, WRITE_NONE); /* the cut goes on now, and notes what is left */
    } else if (has_writable(log) &&
               (log->owes || log->tail.unwritten_bytes >= WRITE_BYTES)) {
        move_to(log, WRITE_READY);
    } else if (has_unwritten(log)) {
        age(log);
    }
    if (log->owes && !still_owes(log)) {
        checkpoint_paid(log);
    }
    store_check_room(store);
    end_writing(w);
}

/* ---- the steps of a write ---------------------------------------------------------------------*/

static void write_entries(struct writing *w)
{
    struct store *store = w->log->store;
    if (store_offline(store)) {
        files_put(&store->files, w->segment);
        end_writing(w);
        return;
    }
    disk_write(store->loop, &w->req, files_of(w->segment), w->iov, w->n, w->at, wrote);
}

/* The log's directory has a name that is not synced. */
static void name_added(struct log *log)
{
    if (list_empty(&log->dir_link)) {
        list_push_back(&log->store->new_names, &log->dir_link);
    }
}

static void file_ready(struct file_wait *wait, int error)
{
    struct writing *w = container_of(wait, struct writing, wait);
    struct log *log = w->log;
    if (error != 0) {
        failed(w, error);
        return;
    }
    if (!w->segment->made) {
        w->segment->made = true;
        name_added(log);
    }
    write_entries(w);
}

static void open_segment(struct writing *w)
{
    struct log *log = w->log;
    struct store *store = log->store;
    unsigned flags = w->segment->made ? 0 : FILE_CREATE | FILE_TRUNCATE;

    char *path = log_file_path(log, LOG_FILE_SEGMENT, w->segment->base);
    w->wait.ready = file_ready;
    int error = files_get(&store->files, w->segment, path, flags, &w->wait);
    free(path);
    if (error == 0) {
        file_ready(&w->wait, 0);
    }
}

/* Creates the log's directory with its partition.metadata; both are synced with the next
 * checkpoint. */
static void make_dir(struct job *job)
{
    struct writing *w = container_of(job, struct writing, job);
    w->error = log_dir_make(w->path, &w->log->topic_id, w->stray_path);
}

static void made_dir(struct job *job)
{
    struct writing *w = container_of(job, struct writing, job);
    struct log *log = w->log;
    struct store *store = log->store;

    if (w->error == 0) {
        log->dir_made = true;
        store->new_dirs = true;
        name_added(log);
    }
    if (store_offline(store)) {
        end_writing(w);
    } else if (w->error != 0) {
        failed(w, w->error);
    } else {
        open_segment(w);
    }
}

/* ---- what to write ----------------------------------------------------------------------------*/

static bool add_piece(struct writing *w, const uint8_t *data, size_t len, struct blob *blob)
{
    struct iovec *last = w->n > 0 ? &w->iov[w->n - 1] : NULL;
    if (last != NULL && w->hold[w->n - 1] == blob &&
        (uint8_t *)last->iov_base + last->iov_len == data) {
        last->iov_len += len;
        return true;
    }
    if (w->n == WRITE_PIECES) {
        return false;
    }
    w->iov[w->n] = (struct iovec){ (void *)data, len };
    w->hold[w->n++] = blob_ref(blob);
    return true;
}

/* Short entries are copied: a few long pieces are cheaper than many short ones. */
static bool add_entry(struct writing *w, const struct tail_entry *entry)
{
    if (entry->len >= COPY_BYTES) {
        return add_piece(w, entry_data(entry), entry->len, entry->slab->blob);
    }
    if (w->gather == NULL) {
        w->gather = recycler_get(w->log->store->recycler, WRITE_BYTES / 4);
    }
    uint8_t *to = w->gather->data + w->gathered;
    if (w->gathered + entry->len > w->gather->len || !add_piece(w, to, entry->len, w->gather)) {
        return false;
    }
    memcpy(to, entry_data(entry), entry->len);
    w->gathered += entry->len;
    return true;
}

/* Collects the entries that are durable and lie in one segment. */
static void collect(struct writing *w)
{
    struct log *log = w->log;
    struct tail *tail = &log->tail;
    uint64_t durable = journal_durable_lsn(log->store->journal);
    uint32_t i;
    struct segment *segment =
        log_segment_of(log, tail_entry(tail, tail->written)->base, &i);
    int64_t next_base = i + 1 < log->n_segments ? log->segments[i + 1]->base : INT64_MAX;

    w->segment = segment_ref(segment);
    w->at = segment->written;
    for (w->until = tail->written; w->until < tail->end; w->until++) {
        struct tail_entry *entry = tail_entry(tail, w->until);
        if (entry->lsn > durable || entry->base >= next_base || w->len >= WRITE_BYTES ||
            !add_entry(w, entry)) {
            break;
        }
        w->len += entry->len;
    }
}

static void start_write(struct log *log)
{
    struct store *store = log->store;
    struct writing *w = mem_zalloc(sizeof *w);

    w->log = log_ref(log);
    log->writing = w;
    store->n_writing++;
    move_to(log, WRITE_BUSY);
    collect(w);
    if (log->dir_made) {
        open_segment(w);
    } else if (cuts_deleting(store, log->topic, log->partition)) {
        failed(w, -EBUSY);
    } else {
        w->path = log_dir_path(log);
        w->stray_path = log_renamed_path(log, LOG_DIR_STRAY);
        job_start(store->loop, &w->job, make_dir, made_dir);
    }
}

static void pump(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, pump);
    while (store->n_writing < WRITES_MAX && !store->held && !store_offline(store) &&
           files_room(&store->files)) {
        struct list *link = list_first(&store->ready);
        if (link == NULL) {
            return;
        }
        struct log *log = container_of(link, struct log, write_link);
        if (log->cut != NULL) {
            move_to(log, WRITE_NONE);
        } else if (has_writable(log)) {
            start_write(log);
        } else {
            move_to(log, WRITE_NONE);
            writer_note(log);
        }
    }
}

void writer_init(struct store *store)
{
    list_init(&store->aging);
    list_init(&store->ready);
    list_init(&store->stuck);
    loop_task_init(&store->pump, pump);
    timer_init(&store->write_timer, store->loop, too_old);
}
