/* Open segment files: the budget, and the paced syncs. */
#include "files.h"

#include <errno.h>

enum {
    SYNC_BYTES = 4 * 1024 * 1024, /* more are not left to gather */
    OPEN_MORE = 64,               /* files, than there should be: while others are synced */
    SYNCS_HURRY = 16,             /* under way at a time, when it matters more than the journal */
};

struct open_file {
    struct segment *segment; /* a reference */
    struct file *file;
    struct list idle;    /* when nobody uses it */
    struct list dirty;   /* in `dirty` or `due` of the files */
    struct list in_sync; /* while it is being synced */
    struct list waiters; /* for it to be open */
    struct disk_request req; /* opening, syncing */
    unsigned users;
    uint64_t unsynced; /* bytes, roughly; 0: nothing */
    bool opening, due;
    bool owed;      /* files_sync_all() waits for it */
    bool again;     /* what is being synced now is not all of what is owed */
    bool forgotten;
    struct files *files;
};

void files_init(struct files *files, struct loop *loop, unsigned n_max,
                const struct files_events *events, void *arg)
{
    *files = (struct files){ .loop = loop, .events = events, .arg = arg, .n_max = n_max };
    list_init(&files->idle);
    list_init(&files->dirty);
    list_init(&files->due);
    list_init(&files->in_sync);
}

static bool is_syncing(const struct open_file *of)
{
    return !list_empty(&of->in_sync);
}

struct file *files_of(const struct segment *segment)
{
    return segment->open->file;
}

static void start_sync(struct files *files);

static void close_file(struct files *files, struct open_file *of)
{
    struct segment *segment = of->segment;
    check(of->users == 0 && !of->opening && !is_syncing(of));
    list_remove(&of->idle);
    list_remove(&of->dirty);
    files->n--;
    if (of->file != NULL && files->ending) {
        file_close(of->file);
    } else if (of->file != NULL) {
        disk_close(files->loop, of->file);
    }
    segment->open = NULL;
    free(of);
    segment_unref(segment);
    if (files->refused && files_room(files)) {
        files->events->room(files->arg);
    }
}

static bool is_dirty(const struct open_file *of)
{
    return !list_empty(&of->dirty) || is_syncing(of);
}

static void make_due(struct files *files, struct open_file *of)
{
    if (!of->due) {
        of->due = true;
        list_remove(&of->dirty);
        list_push_back(&files->due, &of->dirty);
    }
}

/* Closes idle files while there are too many; those that are not synced are made due. */
static void trim(struct files *files)
{
    list_each (link, &files->idle) {
        struct open_file *of = container_of(link, struct open_file, idle);
        if (files->n <= files->n_max) {
            return;
        }
        if (!is_dirty(of)) {
            close_file(files, of);
        } else if (!is_syncing(of)) {
            make_due(files, of);
            break;
        }
    }
    start_sync(files);
}

bool files_room(struct files *files)
{
    files->refused = files->n >= files->n_max + OPEN_MORE && files->n_dirty > 0;
    return !files->refused;
}

static void settle(struct files *files, struct open_file *of)
{
    if (of->users > 0 || of->opening || is_syncing(of)) {
        return;
    }
    if (of->forgotten) {
        close_file(files, of);
        return;
    }
    list_remove(&of->idle);
    list_push_back(&files->idle, &of->idle);
    trim(files);
}

/* ---- opening ----------------------------------------------------------------------------------*/

static void opened(struct disk_request *req, int64_t result)
{
    struct open_file *of = container_of(req, struct open_file, req);
    struct files *files = of->files;
    struct list waiters, *link;

    of->opening = false;
    list_init(&waiters);
    list_splice_back(&waiters, &of->waiters);
    if (result < 0) {
        of->forgotten = true;
        of->users = 0;
    }
    struct segment *segment = segment_ref(of->segment);
    if (result < 0) {
        settle(files, of);
    }
    while ((link = list_pop_front(&waiters)) != NULL) {
        struct file_wait *wait = container_of(link, struct file_wait, link);
        wait->ready(wait, (int)result);
    }
    segment_unref(segment);
}

static struct open_file *new_open_file(struct files *files, struct segment *segment)
{
    check(segment->open == NULL);
    struct open_file *of = mem_zalloc(sizeof *of);
    of->files = files;
    of->segment = segment_ref(segment);
    list_init(&of->idle);
    list_init(&of->dirty);
    list_init(&of->in_sync);
    list_init(&of->waiters);
    segment->open = of;
    files->n++;
    return of;
}

int files_get(struct files *files, struct segment *segment, const char *path, unsigned flags,
              struct file_wait *wait)
{
    struct open_file *of = segment->open;
    if (of == NULL) {
        of = new_open_file(files, segment);
        of->opening = true;
        disk_open(files->loop, &of->req, path, flags | FILE_READ | FILE_WRITE, &of->file, opened);
    }
    of->users++;
    list_remove(&of->idle);
    if (of->opening) {
        list_push_back(&of->waiters, &wait->link);
        return -EINPROGRESS;
    }
    return 0;
}

void files_put(struct files *files, struct segment *segment)
{
    struct open_file *of = segment->open;
    check(of->users > 0);
    of->users--;
    settle(files, of);
}

void files_adopt(struct files *files, struct segment *segment, struct file *file,
                 uint64_t unsynced)
{
    struct open_file *of = new_open_file(files, segment);
    of->file = file;
    of->users = 1;
    if (unsynced > 0) {
        files_wrote(files, segment, unsynced);
    }
    files_put(files, segment);
}

/* ---- syncing ----------------------------------------------------------------------------------*/

/* Takes a file out of what files_sync_all() waits for. */
static void settle_debt(struct files *files, struct open_file *of)
{
    if (of->owed) {
        of->owed = false;
        files->owed--;
    }
    if (files->waiting && files->owed == 0) {
        files->waiting = false;
        files->events->synced(files->arg);
    }
}

static void synced(struct disk_request *req, int64_t result)
{
    struct open_file *of = container_of(req, struct open_file, req);
    struct files *files = of->files;

    list_remove(&of->in_sync);
    files->n_syncing--;
    files->n_dirty -= list_empty(&of->dirty);
    if (result < 0) {
        files->stopped = true;
        files->events->failed(files->arg, (int)result, "sync a segment");
    } else if (of->again && !of->forgotten) {
        of->again = false;
        make_due(files, of);
    } else {
        settle_debt(files, of);
    }
    settle(files, of);
    start_sync(files);
    if (files->n_syncing == 0) {
        files->events->rested(files->arg);
    }
}

/* Goes on with what is due; a file that is being synced already waits for its turn. */
static void start_sync(struct files *files)
{
    unsigned most = files->hurry ? SYNCS_HURRY : 1;
    list_each (link, &files->due) {
        struct open_file *of = container_of(link, struct open_file, dirty);
        if (files->n_syncing >= most || files->stopped) {
            return;
        }
        if (is_syncing(of)) {
            continue;
        }
        list_remove(&of->dirty);
        list_push_back(&files->in_sync, &of->in_sync);
        of->due = false;
        of->unsynced = 0;
        of->again = false;
        files->n_syncing++;
        files->syncs++;
        disk_sync(files->loop, &of->req, of->file, synced);
    }
}

void files_hurry(struct files *files, bool hurry)
{
    files->hurry = hurry;
    start_sync(files);
}

void files_wrote(struct files *files, struct segment *segment, uint64_t bytes)
{
    struct open_file *of = segment->open;
    if (of->forgotten) {
        return;
    }
    of->unsynced += bytes;
    if (list_empty(&of->dirty)) {
        files->n_dirty += !is_syncing(of);
        list_push_back(&files->dirty, &of->dirty);
    }
    if (of->unsynced >= SYNC_BYTES) {
        make_due(files, of);
        start_sync(files);
    }
}

void files_forget(struct files *files, struct segment *segment)
{
    struct open_file *of = segment->open;
    if (of == NULL || of->forgotten) {
        return;
    }
    of->forgotten = true;
    if (!list_empty(&of->dirty)) {
        files->n_dirty -= !is_syncing(of);
        list_remove(&of->dirty);
    }
    segment_ref(segment);
    if (!is_syncing(of)) {
        settle_debt(files, of);
    }
    if (segment->open != NULL) {
        settle(files, of);
    }
    segment_unref(segment);
}

void files_sync_all(struct files *files)
{
    files->waiting = true;
    list_each (link, &files->dirty) {
        make_due(files, container_of(link, struct open_file, dirty));
    }
    list_each (link, &files->due) {
        struct open_file *of = container_of(link, struct open_file, dirty);
        files->owed += !of->owed;
        of->owed = true;
    }
    list_each (link, &files->in_sync) {
        /* What was written since this sync began is in `due`; the sync itself is owed as well. */
        struct open_file *of = container_of(link, struct open_file, in_sync);
        of->again = of->due;
        files->owed += !of->owed;
        of->owed = true;
    }
    if (files->owed == 0) {
        files->waiting = false;
        files->events->synced(files->arg);
        return;
    }
    start_sync(files);
}

void files_end(struct files *files)
{
    files->ending = true;
}

void files_release(struct files *files)
{
    check(files->n_syncing == 0);
    list_each (link, &files->idle) {
        close_file(files, container_of(link, struct open_file, idle));
    }
    check(files->n == 0);
}
