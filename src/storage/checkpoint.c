/* Checkpoints: what the files hold is written down, so that the journal may forget it.
 *
 * A checkpoint is a cut through the store at one LSN. The journal's open group is closed, and the
 * whole image is encoded as things are at that moment; then it waits until all that the image
 * claims is true:
 *
 *     WRITING   what is unwritten up to the LSN gets into the segments
 *     SYNCING   the segments are synced, one at a time
 *     NAMING    directories with new names are synced
 *     CUTTING   truncations and deletions up to the LSN are done in files
 *     SEALING   what was cut meanwhile, and so excuses files that are shorter than the image says,
 *               is durable in the journal
 *     SAVING    a job writes indexes and snapshots, then the image itself
 *
 * The image replaces the old one with one rename; a crash before that leaves the old one, with all
 * the journal that it needs. What can go wrong: no space (the checkpoint is given up, and begun
 * again a second later), any other error (the directory goes offline). */
#include "checkpoint.h"

#include <chronik/base/states.h>

#include <errno.h>

#define RETRY_NS NS_PER_S
#define BYTES_A_SECOND MIB(1) /* of images */

enum { INDEX_ENTRIES_MIN = 64 }; /* unsaved: fewer are left for the next checkpoint */

static const uint64_t SNAPSHOT_BYTES = 16 * 1024 * 1024;

static const struct state STATES[] = {
    [CHECKPOINT_WRITING] = { "writing", .next = STATE(CHECKPOINT_SYNCING), .initial = true },
    [CHECKPOINT_SYNCING] = { "syncing", .next = STATE(CHECKPOINT_NAMING) },
    [CHECKPOINT_NAMING] = { "naming", .next = STATE(CHECKPOINT_CUTTING) },
    [CHECKPOINT_CUTTING] = { "cutting", .next = STATE(CHECKPOINT_SEALING) },
    [CHECKPOINT_SEALING] = { "sealing", .next = STATE(CHECKPOINT_SAVING) },
    [CHECKPOINT_SAVING] = { "saving", .next = 0 },
};

/* ---- when -------------------------------------------------------------------------------------*/

static void arm(struct store *store)
{
    uint64_t at = min_u64(store->last_change_ns + store->config.checkpoint_idle_ns,
                          store->first_change_ns + store->config.checkpoint_max_ns);
    timer_set_at(&store->checkpoint_timer, max_u64(at, store->next_checkpoint_ns));
}

void store_changed(struct store *store)
{
    store->last_change_ns = loop_now_ns(store->loop);
    if (store->first_change_ns == 0) {
        store->first_change_ns = store->last_change_ns;
        if (store->state == STORE_OPEN) {
            arm(store);
        }
    }
}

static void timer_fired(struct timer *timer)
{
    struct store *store = container_of(timer, struct store, checkpoint_timer);
    uint64_t now = loop_now_ns(store->loop);
    if (store->first_change_ns == 0 || store->state != STORE_OPEN) {
        return;
    }
    if (now >= store->last_change_ns + store->config.checkpoint_idle_ns ||
        now >= store->first_change_ns + store->config.checkpoint_max_ns) {
        checkpoint_start(store);
    } else {
        arm(store);
    }
}

void checkpoint_init(struct store *store)
{
    list_init(&store->new_names);
    timer_init(&store->checkpoint_timer, store->loop, timer_fired);
}

bool checkpoint_writing(const struct store *store)
{
    return store->checkpoint != NULL && store->checkpoint->state == CHECKPOINT_SAVING;
}

/* ---- the end ----------------------------------------------------------------------------------*/

static void free_checkpoint(struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_files; i++) {
        free(c->files[i].path);
        buf_release(&c->files[i].content);
        segment_unref(c->files[i].segment);
    }
    for (size_t i = 0; i < c->n_saves; i++) {
        segment_unref(c->saves[i].segment);
        log_unref(c->saves[i].log);
    }
    for (size_t i = 0; i < c->n_dirs; i++) {
        free(c->dirs[i]);
    }
    free(c->dirs);
    free(c->files);
    free(c->saves);
    free(c->path);
    buf_release(&c->image);
    free(c);
}

void checkpoint_drop(struct store *store)
{
    if (store->checkpoint != NULL) {
        free_checkpoint(store->checkpoint);
        store->checkpoint = NULL;
    }
}

/* What was written is known to be in files now. */
static void learn(struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_saves; i++) {
        struct saved_segment *save = &c->saves[i];
        struct segment *segment = save->segment;
        if (!segment->removed && save->log->n_cuts == save->n_cuts) {
            segment->saved = save->saved;
            segment->time_saved = save->time_saved;
            index_cache_touch(c->store, segment);
        }
    }
}

static void give_up(struct checkpoint *c)
{
    struct store *store = c->store;
    map_each (node, &store->logs) {
        struct log *log = container_of(node, struct log, node);
        log->producers_new |= log->producers != NULL;
        log->epochs_new = true;
    }
    if (store->first_change_ns == 0) {
        store->first_change_ns = c->began_ns;
    }
    store->full = true; /* until there is room; see store_check_room() */
    store->next_checkpoint_ns = loop_now_ns(store->loop) + RETRY_NS;
}

/* The image is written, or could not be. */
static void end(struct checkpoint *c)
{
    struct store *store = c->store;
    uint64_t now = loop_now_ns(store->loop), lsn = c->lsn;
    int error = c->error;

    store->checkpoint = NULL;
    if (error == 0) {
        learn(c);
        metric_observe(&store->stats.checkpoint_ns, now - c->began_ns);
        store->stats.checkpoints++;
        store->next_checkpoint_ns = now + c->image.len * NS_PER_S / BYTES_A_SECOND;
        store->clean = c->clean;
    } else if (error == -ENOSPC || error == -EDQUOT) {
        give_up(c);
    } else {
        store_fail(store, error, "write the checkpoint");
    }
    free_checkpoint(c);
    if (error == 0 && !store_offline(store)) {
        journal_release(store->journal, lsn);
    }
    if (store->first_change_ns != 0 && store->state == STORE_OPEN) {
        arm(store);
    }
    cuts_resume(store);
    removals_resume(store);
    store_check_room(store);
    store_settle(store);
}

/* ---- the steps --------------------------------------------------------------------------------*/

static void share_done(struct job *job);

/* Spreads `n` pieces of work over jobs. */
static void spread(struct checkpoint *c, size_t n, void (*run)(struct job *job))
{
    for (unsigned i = 0; i < SHARES && (i == 0 || i < n); i++) {
        c->shares[i] = (struct share){ .checkpoint = c, .first = i };
        c->n_shares++;
        c->store->jobs++;
        job_start(c->store->loop, &c->shares[i].job, run, share_done);
    }
}

static void save_files(struct job *job)
{
    struct share *share = container_of(job, struct share, job);
    struct checkpoint *c = share->checkpoint;
    for (size_t i = share->first; i < c->n_files && share->error == 0; i += SHARES) {
        share->error = checkpoint_save_file(&c->files[i]);
    }
}

static void save_image(struct job *job)
{
    struct share *share = container_of(job, struct share, job);
    struct checkpoint *c = share->checkpoint;
    share->error = file_replace(c->path, buf_bytes(&c->image));
}

/* The files of segments that are not in their logs any more would be left behind. */
static void skip_removed(struct checkpoint *c)
{
    for (size_t i = 0; i < c->n_files; i++) {
        struct small_file *file = &c->files[i];
        file->skip = file->segment != NULL && file->segment->removed;
    }
}

static void sealed(struct checkpoint *c)
{
    struct store *store = c->store;
    struct image_head head = {
        .directory_id = store->identity.directory_id,
        .broker_epoch = c->clean ? store->broker_epoch : -1,
        .lsn = c->lsn,
        .durable_lsn = journal_durable_lsn(store->journal),
    };
    if (c->clean) {
        uint8_t random[16];
        loop_random(store->loop, random, sizeof random);
        head.stop_id = store->stop_id = uuid_from_random(random);
    }
    image_seal(&c->image, &head, c->n_logs);
    skip_removed(c);
    state_move(STATES, &c->state, CHECKPOINT_SAVING, c);
    c->path = store_file_path(store, CHECKPOINT_FILE);
    spread(c, c->n_files, save_files);
}

/* Goes on as far as it can. */
static void advance(struct checkpoint *c)
{
    struct store *store = c->store;
    if (c->state == CHECKPOINT_WRITING && c->owed == 0 &&
        journal_durable_lsn(store->journal) >= c->lsn) {
        state_move(STATES, &c->state, CHECKPOINT_SYNCING, c);
        files_sync_all(&store->files);
        return; /* checkpoint_synced() comes, or has come */
    }
    if (c->state == CHECKPOINT_CUTTING && cuts_done(store, c->lsn)) {
        state_move(STATES, &c->state, CHECKPOINT_SEALING, c);
        c->seal_lsn = journal_seal(store->journal);
    }
    if (c->state == CHECKPOINT_SEALING && journal_durable_lsn(store->journal) >= c->seal_lsn &&
        !cuts_running(store) && !removals_busy(store)) {
        sealed(c);
    }
}

void checkpoint_poke(struct store *store)
{
    struct checkpoint *c = store->checkpoint;
    if (c == NULL) {
        if (store->checkpoint_wanted) {
            checkpoint_start(store);
        }
        return;
    }
    if (!store_offline(store)) {
        advance(c);
    }
}

static void sync_names(struct job *job)
{
    struct share *share = container_of(job, struct share, job);
    struct checkpoint *c = share->checkpoint;
    for (size_t i = share->first; i < c->n_dirs && share->error == 0; i += SHARES) {
        int error = log_dir_sync(c->dirs[i]);
        /* One that has been renamed meanwhile is on its way out. */
        share->error = error == -ENOENT ? 0 : error;
    }
    if (share->first == 0 && share->error == 0 && c->sync_parent) {
        share->error = dir_sync(c->store->path);
    }
}

static void share_done(struct job *job)
{
    struct share *share = container_of(job, struct share, job);
    struct checkpoint *c = share->checkpoint;
    struct store *store = c->store;
    store->jobs--;
    c->n_shares--;
    c->error = c->error != 0 ? c->error : share->error;
    if (c->n_shares > 0) {
        return;
    }
    if (c->state == CHECKPOINT_NAMING && c->error != 0) {
        store_fail(store, c->error, "sync a directory");
    } else if (c->state == CHECKPOINT_NAMING && !store_offline(store)) {
        state_move(STATES, &c->state, CHECKPOINT_CUTTING, c);
        advance(c);
    } else if (c->state == CHECKPOINT_SAVING && !c->files_saved && c->error == 0) {
        c->files_saved = true;
        spread(c, 1, save_image);
    } else if (c->state == CHECKPOINT_SAVING) {
        end(c);
    }
    store_settle(store);
}

void checkpoint_synced(struct store *store)
{
    struct checkpoint *c = store->checkpoint;
    if (c == NULL || store_offline(store)) {
        return;
    }
    state_move(STATES, &c->state, CHECKPOINT_NAMING, c);
    struct list *link;
    size_t cap = 0;
    while ((link = list_pop_front(&store->new_names)) != NULL) {
        c->dirs = mem_grow(c->dirs, &cap, c->n_dirs + 1, sizeof *c->dirs);
        c->dirs[c->n_dirs++] = log_dir_path(container_of(link, struct log, dir_link));
    }
    c->sync_parent = store->new_dirs;
    store->new_dirs = false;
    if (c->n_dirs == 0 && !c->sync_parent) {
        state_move(STATES, &c->state, CHECKPOINT_CUTTING, c);
        advance(c);
        return;
    }
    spread(c, c->n_dirs, sync_names);
}

void checkpoint_paid(struct log *log)
{
    struct store *store = log->store;
    if (log->owes) {
        log->owes = false;
        check(store->checkpoint != NULL && store->checkpoint->owed > 0);
        store->checkpoint->owed--;
        checkpoint_poke(store);
    }
}

/* ---- the cut ----------------------------------------------------------------------------------*/

static struct small_file *add_file(struct checkpoint *c, char *path)
{
    c->files = mem_grow(c->files, &c->cap_files, c->n_files + 1, sizeof *c->files);
    struct small_file *file = &c->files[c->n_files++];
    *file = (struct small_file){ .path = path };
    return file;
}

static struct small_file *add_segment_file(struct checkpoint *c, const struct log *log,
                                           struct segment *segment, enum log_file_kind kind)
{
    struct small_file *file = add_file(c, log_file_path(log, kind, segment->base));
    file->segment = segment_ref(segment);
    return file;
}

/* An index file grows, or is written anew. */
static void add_index(struct checkpoint *c, const struct log *log, struct segment *segment,
                      bool times, struct index_saved *ret_saved)
{
    enum log_file_kind kind = times ? LOG_FILE_TIME_INDEX : LOG_FILE_INDEX;
    uint32_t n = times ? segment->time_saved.n : segment->saved.n;
    struct small_file *file = add_segment_file(c, log, segment, kind);
    file->at = (uint64_t)n * (times ? TIME_INDEX_ENTRY : INDEX_ENTRY);
    file->sync = segment->closed;
    if (times) {
        segment_save_times(segment, &file->content, ret_saved);
    } else {
        segment_save_index(segment, &file->content, ret_saved);
    }
}

static void save_segment(struct checkpoint *c, struct log *log, struct segment *segment)
{
    uint32_t unsaved = segment_unsaved(segment);
    bool new_files = c->clean && !segment->index_made;
    segment->saving = segment->saved;
    segment->time_saving = segment->time_saved;
    if (segment->snapshot != NULL) {
        add_segment_file(c, log, segment, LOG_FILE_SNAPSHOT)->content = *segment->snapshot;
        add_segment_file(c, log, segment, LOG_FILE_WINDOW)->content = *segment->window;
        free(segment->snapshot);
        free(segment->window);
        segment->snapshot = segment->window = NULL;
    }
    if (!new_files && (unsaved == 0 || (!segment->closed && !c->clean &&
                                        unsaved < INDEX_ENTRIES_MIN))) {
        return;
    }
    add_index(c, log, segment, false, &segment->saving);
    add_index(c, log, segment, true, &segment->time_saving);
    segment->index_made = true;
    c->saves = mem_grow(c->saves, &c->cap_saves, c->n_saves + 1, sizeof *c->saves);
    c->saves[c->n_saves++] = (struct saved_segment){
        .log = log_ref(log),
        .segment = segment_ref(segment),
        .n_cuts = log->n_cuts,
        .saved = segment->saving,
        .time_saved = segment->time_saving,
    };
}

static bool is_segment_base(const struct log *log, int64_t offset)
{
    struct segment *segment = log_segment_of(log, offset, NULL);
    return segment != NULL && segment->base == offset;
}

static void forget_snapshot(struct checkpoint *c, const struct log *log, int64_t offset)
{
    if (offset >= 0 && !is_segment_base(log, offset)) {
        add_file(c, log_file_path(log, LOG_FILE_SNAPSHOT, offset))->remove = true;
        add_file(c, log_file_path(log, LOG_FILE_WINDOW, offset))->remove = true;
    }
}

/* A snapshot of the producers as they are now: where there are too many for the image, where it
 * would be long to work them out from the one before, and at a clean stop. */
static void save_producers(struct checkpoint *c, struct log *log)
{
    size_t n = log->producers ? producers_count(log->producers) : 0;
    bool wanted = c->clean || n > IMAGE_PRODUCERS_MAX || log->since_snapshot >= SNAPSHOT_BYTES;
    if (!log->producers_new || !wanted || (n == 0 && log->snapshot < 0)) {
        return;
    }
    struct small_file *snapshot = add_file(c, log_file_path(log, LOG_FILE_SNAPSHOT, log->end));
    snapshot->sync = true;
    producers_encode(log->producers, &snapshot->content);
    struct small_file *window = add_file(c, log_file_path(log, LOG_FILE_WINDOW, log->end));
    window->sync = window->sync_dir = true;
    producers_encode_window(log->producers, &window->content);
    if (log->snapshot != log->end) {
        forget_snapshot(c, log, log->snapshot_before);
        log->snapshot_before = log->snapshot;
        log->snapshot = log->end;
    }
    log->since_snapshot = 0;
    log->producers_new = false;
}

static void save_epochs(struct checkpoint *c, struct log *log)
{
    if (c->clean && log->epochs_new && (log->dir_made || log->n_segments > 0)) {
        char *dir = log_dir_path(log);
        struct small_file *file =
            add_file(c, mem_sprintf("%s/%s", dir, FILE_LEADER_EPOCHS));
        epochs_encode(&log->epochs, &file->content);
        log->epochs_new = false;
        free(dir);
    }
}

static void save_log(struct checkpoint *c, struct log *log)
{
    for (uint32_t i = 0; i < log->n_segments; i++) {
        save_segment(c, log, log->segments[i]);
    }
    if (log->dir_made || log->n_segments > 0) {
        save_producers(c, log);
    }
    save_epochs(c, log);
    image_add(&c->image, log);
    c->n_logs++;
    if (log->tail.written < log->tail.end) {
        log->owes = true;
        c->owed++;
    }
}

void checkpoint_start(struct store *store)
{
    store->checkpoint_wanted = true;
    if (store->checkpoint != NULL || store_offline(store) || store->held ||
        cuts_truncating(store)) {
        return; /* checkpoint_poke() comes */
    }
    struct checkpoint *c = mem_zalloc(sizeof *c);
    c->store = store;
    c->clean = store->state == STORE_CLOSING;
    c->began_ns = loop_now_ns(store->loop);
    c->lsn = journal_seal(store->journal);
    state_start(STATES, &c->state, CHECKPOINT_WRITING, c);
    store->checkpoint = c;
    store->checkpoint_wanted = false;
    store->checkpoint_lsn = c->lsn;
    store->first_change_ns = 0;

    image_begin(&c->image);
    map_each (node, &store->logs) {
        save_log(c, container_of(node, struct log, node));
    }
    image_add_removals(&c->image, store);
    if (c->clean) {
        checkpoint_kafka_files(c);
    }
    writer_force(store);
    writer_retry(store);
    advance(c);
}
