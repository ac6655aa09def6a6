/* Coming to rest: a clean stop, or the end of a store that has failed.
 *
 * Whatever ends calls store_settle(); the task looks what is still under way, and takes the next
 * step when nothing is:
 *
 *     everything under way ends -> the last checkpoint, marked clean -> .kafka_cleanshutdown, the
 *     journal is removed -> closed
 *
 * The journal goes as a whole, by a new name: some of its chunks would be damage to the next start.
 *
 * If the last checkpoint does not succeed the stop is not a clean one: the journal stays. */
#include "checkpoint.h"

#include <errno.h>

/* ---- what is under way ------------------------------------------------------------------------*/

static bool at_rest(const struct store *store)
{
    return store->n_writing == 0 && store->reads == 0 && store->jobs == 0 &&
           list_empty(&store->cuts) && !files_busy(&store->files) &&
           (store->checkpoint == NULL || store_offline(store));
}

static void finish(struct store *store, int error)
{
    store->state = STORE_CLOSED;
    void (*closed)(void *arg, int error) = store->closed;
    store->closed = NULL;
    closed(store->closed_arg, error);
}

/* ---- the last step ----------------------------------------------------------------------------*/

struct last_step {
    struct job job;
    struct store *store;
    char *journal_dir, *gone_dir, *mark_path;
    struct uuid stop_id;
    int64_t broker_epoch;
    int error;
};

/* Kafka's mark, with one more member that ties it to the checkpoint: who starts on this directory
 * removes the file, so it is known at the next start whether anybody did. */
static int write_mark(const struct last_step *step)
{
    struct buf content = { 0 };
    char id[UUID_TEXT_LEN + 1];
    clean_shutdown_encode(step->broker_epoch, &content);
    check(content.data[content.len - 1] == '}');
    content.len--;
    buf_printf(&content, ",\"stopId\":\"%s\"}", uuid_format(&step->stop_id, id));
    int error = file_replace(step->mark_path, buf_bytes(&content));
    buf_release(&content);
    return error;
}

static int remove_journal(const struct last_step *step)
{
    int error = file_rename(step->journal_dir, step->gone_dir);
    if (error == 0) {
        error = dir_sync(step->store->path);
    }
    return error == 0 ? dir_remove_all(step->gone_dir) : error;
}

static void run(struct job *job)
{
    struct last_step *step = container_of(job, struct last_step, job);
    step->error = write_mark(step);
    if (step->error == 0) {
        step->error = remove_journal(step);
    }
}

static void done(struct job *job)
{
    struct last_step *step = container_of(job, struct last_step, job);
    struct store *store = step->store;
    int error = step->error;
    free(step->journal_dir);
    free(step->gone_dir);
    free(step->mark_path);
    free(step);
    store->jobs--;
    finish(store, error);
}

static void start_last_step(struct store *store)
{
    struct last_step *step = mem_zalloc(sizeof *step);
    step->store = store;
    step->journal_dir = store_file_path(store, JOURNAL_DIR);
    step->gone_dir = store_file_path(store, JOURNAL_GONE_DIR);
    step->mark_path = store_file_path(store, FILE_CLEAN_SHUTDOWN);
    step->stop_id = store->stop_id;
    step->broker_epoch = store->broker_epoch;
    store->jobs++;
    job_start(store->loop, &step->job, run, done);
}

/* ---- step by step -----------------------------------------------------------------------------*/

static void journal_idle(void *arg)
{
    struct store *store = arg;
    store->journal_idle = true;
    store_settle(store);
}

static void stop_journal(struct store *store)
{
    if (!store->journal_stopped) {
        store->journal_stopped = true;
        journal_stop(store->journal, journal_idle, store);
    }
}

static void settle(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, settle_task);
    if (store->closed == NULL || store->state == STORE_OPENING) {
        return;
    }
    if (store_offline(store)) {
        stop_journal(store);
        if (at_rest(store) && store->journal_idle) {
            finish(store, store->error);
        }
        return;
    }
    if (!at_rest(store)) {
        return;
    }
    if (removals_pending(store)) {
        removals_hurry(store);
    } else if (!store->clean && store->full) {
        /* No space for the last checkpoint: the next start replays the journal. */
        store_fail(store, -ENOSPC, "write the last checkpoint");
    } else if (!store->clean) {
        checkpoint_start(store);
    } else if (!store->journal_idle) {
        stop_journal(store);
    } else {
        start_last_step(store);
    }
}

void store_settle(struct store *store)
{
    if (store->closed != NULL) {
        loop_defer(store->loop, LOOP_ADVANCE, &store->settle_task);
    }
}

void settle_init(struct store *store)
{
    loop_task_init(&store->settle_task, settle);
}

static void begin_stop(struct store *store, void (*closed)(void *arg, int error), void *arg)
{
    check(store->closed == NULL && store->state != STORE_OPENING && store->state != STORE_CLOSED);
    store->closed = closed;
    store->closed_arg = arg;
    timer_cancel(&store->checkpoint_timer);
    timer_cancel(&store->room_timer);
    retention_stop(store);
}

void store_close(struct store *store, int64_t broker_epoch, void (*closed)(void *arg, int error),
                 void *arg)
{
    begin_stop(store, closed, arg);
    store->broker_epoch = broker_epoch;
    if (store->state == STORE_OPEN) {
        store->state = STORE_CLOSING;
        files_hurry(&store->files, true);
        writer_force(store);
        removals_hurry(store);
    }
    store_settle(store);
}

void store_abandon(struct store *store, void (*closed)(void *arg, int error), void *arg)
{
    store->abandoned = true;
    begin_stop(store, closed, arg);
    store_fail(store, -ESHUTDOWN, "go on");
    store_settle(store);
}
