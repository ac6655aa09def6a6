/* Files and directories that have to go.
 *
 * One job at a time removes what is due: the files of one segment, or a renamed directory with all
 * that is in it. Segments wait here for file.delete.delay.ms; a checkpoint lists those that still
 * wait, so that the next start knows of them. Directories are known by their names. What cannot be
 * removed stays, and is found by the next start. */
#include "state.h"

#include "cut_job.h"

struct removal {
    struct list link;
    struct job job;
    struct store *store;
    struct log *log; /* a reference; NULL: a directory */
    int64_t base;
    char *path; /* a directory: of the log, or to be removed */
    uint64_t due_ns;
    bool running;
};

static void release(struct removal *removal)
{
    list_remove(&removal->link);
    if (removal->log != NULL) {
        log_unref(removal->log);
    }
    free(removal->path);
    free(removal);
}

static void run(struct job *job)
{
    struct removal *removal = container_of(job, struct removal, job);
    if (removal->log != NULL) {
        segment_files_remove(removal->path, removal->base);
    } else {
        dir_remove_all(removal->path);
    }
}

static void done(struct job *job)
{
    struct removal *removal = container_of(job, struct removal, job);
    struct store *store = removal->store;
    release(removal);
    store->jobs--;
    store_check_room(store);
    cuts_resume(store);
    checkpoint_poke(store);
    removals_resume(store);
    store_settle(store);
}

static void add(struct store *store, struct removal *removal)
{
    removal->store = store;
    list_push_back(&store->removals, &removal->link);
    removals_resume(store);
}

void remove_segment(struct log *log, struct segment *segment, uint64_t delay_ns)
{
    if (segment->made || segment->saved.n > 0) {
        struct removal *removal = mem_zalloc(sizeof *removal);
        removal->log = log_ref(log);
        removal->base = segment->base;
        removal->path = log_dir_path(log);
        removal->due_ns = loop_now_ns(log->store->loop) + delay_ns;
        add(log->store, removal);
    }
}

void remove_directory(struct store *store, char *path)
{
    struct removal *removal = mem_zalloc(sizeof *removal);
    removal->path = path;
    add(store, removal);
}

static struct removal *running(const struct store *store)
{
    list_each (link, &store->removals) {
        struct removal *removal = container_of(link, struct removal, link);
        if (removal->running) {
            return removal;
        }
    }
    return NULL;
}

/* Has the log gone on with a segment of the same name? Its files are not to be removed. (A log that
 * was emptied may go on in the midst of a batch, which begins below: log_begins().) */
static bool is_overtaken(const struct removal *removal)
{
    const struct log *log = removal->log;
    const struct segment *segment =
        log != NULL ? log_segment_of(log, removal->base, NULL) : NULL;
    return segment != NULL && segment->base == removal->base;
}

void removals_resume(struct store *store)
{
    uint64_t now = loop_now_ns(store->loop), next = UINT64_MAX;
    if (running(store) != NULL || checkpoint_writing(store) || store_offline(store) ||
        store->abandoned) {
        return;
    }
    list_each (link, &store->removals) {
        struct removal *removal = container_of(link, struct removal, link);
        if (removal->log != NULL && removal->log->deleted) {
            release(removal); /* its directory goes as a whole */
        } else if (is_overtaken(removal)) {
            release(removal);
        } else if (store->hurry ? removal->log != NULL : removal->due_ns <= now) {
            removal->running = true;
            store->jobs++;
            job_start(store->loop, &removal->job, run, done);
            return;
        } else {
            next = min_u64(next, removal->due_ns);
        }
    }
    if (next != UINT64_MAX && !store->hurry) {
        timer_set_at(&store->removal_timer, next);
    }
}

void removals_hurry(struct store *store)
{
    store->hurry = true;
    timer_cancel(&store->removal_timer);
    removals_resume(store);
}

bool remove_busy(const struct log *log)
{
    struct removal *removal = running(log->store);
    return removal != NULL && removal->log == log;
}

bool removals_busy(const struct store *store)
{
    struct removal *removal = running(store);
    return removal != NULL && removal->log != NULL;
}

bool removals_pending(const struct store *store)
{
    list_each (link, &store->removals) {
        struct removal *removal = container_of(link, struct removal, link);
        if (removal->log != NULL && !removal->log->deleted) {
            return true;
        }
    }
    return false;
}

void removals_each(const struct store *store,
                   void (*visit)(void *arg, const struct log *log, int64_t base), void *arg)
{
    list_each (link, &store->removals) {
        struct removal *removal = container_of(link, struct removal, link);
        if (removal->log != NULL && !removal->log->deleted) {
            visit(arg, removal->log, removal->base);
        }
    }
}

static void due(struct timer *timer)
{
    removals_resume(container_of(timer, struct store, removal_timer));
}

void removals_init(struct store *store)
{
    list_init(&store->removals);
    timer_init(&store->removal_timer, store->loop, due);
}

void removals_release(struct store *store)
{
    timer_cancel(&store->removal_timer);
    list_each (link, &store->removals) {
        release(container_of(link, struct removal, link));
    }
}
