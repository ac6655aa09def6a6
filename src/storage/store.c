/* A log directory: opening, its logs, room, closing.
 *
 * The happy path: store_open() starts a job that recovers the directory; what it has worked out is
 * put in place on the loop, and `opened` is called. From then on the parts named in state.h do the
 * work. store_close() lets everything come to rest, step by step (settle()): what is under way
 * ends, a last checkpoint says that all is in files, the journal goes.
 *
 * A failed journal write or sync takes the directory offline (store_fail()): nothing is written
 * any more, nothing more becomes durable, reads go on. */
#include "recover.h"

#include "checkpoint.h"

#include <errno.h>

static const uint64_t CACHE_BYTES = UINT64_C(16) << 20, KEPT_BYTES = UINT64_C(16) << 20;

/* ---- paths ------------------------------------------------------------------------------------*/

char *store_file_path(const struct store *store, const char *name)
{
    return mem_sprintf("%s/%s", store->path, name);
}

char *log_dir_path(const struct log *log)
{
    return mem_sprintf("%s/%s-%d", log->store->path, log->topic, (int)log->partition);
}

char *log_renamed_path(const struct log *log, enum log_dir_state state)
{
    struct log_dir_name name = {
        .topic = text_of(log->topic), .partition = log->partition, .state = state
    };
    char to[LOG_DIR_NAME_SIZE];
    uint8_t random[16];
    loop_random(log->store->loop, random, sizeof random);
    struct uuid unique = uuid_from_random(random);
    check(log_dir_format(&name, &unique, to));
    return store_file_path(log->store, to);
}

char *log_file_path(const struct log *log, enum log_file_kind kind, int64_t offset)
{
    char name[LOG_FILE_NAME_SIZE];
    struct log_file_name parsed = { .kind = kind, .offset = offset };
    return mem_sprintf("%s/%s-%d/%s", log->store->path, log->topic, (int)log->partition,
                       log_file_format(&parsed, name));
}

/* ---- the journal's news -----------------------------------------------------------------------*/

static void durable(void *arg, uint64_t lsn, const struct journal_mark *marks, size_t n)
{
    struct store *store = arg;
    if (store_offline(store)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct log *log = container_of(marks[i].owner, struct log, owner);
        /* What was truncated since is not in the log any more. */
        int64_t end = min_i64(marks[i].end, log->end);
        if (!log->deleted) {
            log_set_durable(log, max_i64(end, log->durable_end));
            writer_ready(log);
        }
    }
    cuts_durable(store, lsn);
    checkpoint_poke(store);
    if (journal_half_full(store->journal)) {
        checkpoint_start(store);
    }
    if (store->slabs.opened != store->slabs_seen &&
        store->slabs.bytes > store->slabs.budget / 2) {
        store->slabs_seen = store->slabs.opened;
        writer_relieve(store);
    }
}

static void journal_failed(void *arg, int error, const char *what)
{
    store_fail(arg, error, what);
}

static void journal_has_room(void *arg)
{
    store_check_room(arg);
}

static const struct journal_events JOURNAL_EVENTS = { durable, journal_failed, journal_has_room };

static void files_failed(void *arg, int error, const char *what)
{
    store_fail(arg, error, what);
}

static void files_synced(void *arg)
{
    checkpoint_synced(arg);
}

static void files_rested(void *arg)
{
    store_settle(arg);
}

static void files_have_room(void *arg)
{
    struct store *store = arg;
    loop_defer(store->loop, LOOP_SUBMIT, &store->pump);
}

static const struct files_events FILES_EVENTS = {
    files_failed,
    files_synced,
    files_rested,
    files_have_room,
};

void store_fail(struct store *store, int error, const char *what)
{
    if (store->state == STORE_FAILED || store->state == STORE_CLOSED) {
        return;
    }
    bool open = store->state == STORE_OPEN;
    char *message = mem_sprintf("%s: cannot %s: %s; the directory is offline until the broker is "
                                "started again", store->path, what, strerror(-error));
    store->state = STORE_FAILED;
    store->error = error;
    store->files.stopped = true;
    store->held = true;
    cuts_resume(store);
    store_settle(store);
    if (open && !store->abandoned) {
        store->events->failed(store->arg, error, message);
    }
    free(message);
}

/* ---- opening ----------------------------------------------------------------------------------*/

static void default_to(uint64_t *value, uint64_t otherwise)
{
    *value = *value != 0 ? *value : otherwise;
}

static void set_defaults(struct store_config *config)
{
    default_to(&config->tail_bytes, MIB(64));
    default_to(&config->checkpoint_max_ns, 60 * NS_PER_S);
    default_to(&config->checkpoint_idle_ns, NS_PER_S);
    default_to(&config->write_age_ns, 500 * NS_PER_MS);
    config->open_files_max = config->open_files_max != 0 ? config->open_files_max : 1000;
}

static void take_over(struct store *store, struct recovery *r)
{
    struct journal_config config = r->journal_config;
    config.dir = r->journal_dir;
    config.directory_id = store->identity.directory_id;
    store->journal =
        journal_new(store->loop, &config, &store->slabs, &r->chunks, &JOURNAL_EVENTS, store);
    for (size_t i = 0; i < r->n_kept; i++) {
        struct open_segment *kept = &r->kept[i];
        files_adopt(&store->files, kept->segment, kept->file, kept->unsynced);
        segment_unref(kept->segment);
    }
    r->n_kept = 0;
    for (size_t i = 0; i < r->n_removals; i++) {
        struct image_removal *removal = &r->removals[i];
        struct log *log = recovery_find(r, &removal->topic_id, removal->partition);
        if (log != NULL) {
            struct segment *segment = segment_new(removal->base);
            segment->made = true;
            remove_segment(log, segment, 0);
            segment_unref(segment);
        }
    }
    for (size_t i = 0; i < r->n_doomed; i++) {
        remove_directory(store, r->doomed[i]);
        r->doomed[i] = NULL;
    }
    map_each (node, &store->logs) {
        store->n_damaged += container_of(node, struct log, node)->damage != NULL;
    }
    store->recovery.logs = store->logs.n;
    store->recovery.damaged_logs = store->n_damaged;
    store->recovery.duration_ns = loop_clock_ns(store->loop) - r->began_ns;
    if (r->replayed) {
        store_changed(store);
        store_check_room(store);
    }
}

static void recovered(struct job *job)
{
    struct recovery *r = container_of(job, struct recovery, job);
    struct store *store = r->store;
    int error = r->error;
    if (error == 0) {
        store->state = STORE_OPEN;
        take_over(store, r);
        store->events->opened(store->arg, 0, "");
    } else {
        char *message = mem_sprintf("%s: %s", r->message, strerror(-error));
        store->state = STORE_CLOSED;
        store->error = error;
        store->events->opened(store->arg, error, message);
        free(message);
    }
    recovery_free(r);
}

struct store *store_open(struct loop *loop, const char *path, const struct store_config *config,
                         const struct store_events *events, void *arg)
{
    struct store *store = mem_zalloc(sizeof *store);
    store->loop = loop;
    store->path = mem_strdup(path);
    store->config = *config;
    set_defaults(&store->config);
    store->events = events;
    store->arg = arg;
    store->state = STORE_OPENING;
    store->recovery.broker_epoch = -1;
    loop_random(loop, &store->seed, sizeof store->seed);
    map_init(&store->logs);
    list_init(&store->cache.segments);
    list_init(&store->loads);
    store->cache.bytes_max = CACHE_BYTES;
    store->recycler = recycler_new(KEPT_BYTES);
    slabs_init(&store->slabs, store->recycler, store->config.tail_bytes);
    files_init(&store->files, loop, store->config.open_files_max, &FILES_EVENTS, store);
    writer_init(store);
    cuts_init(store);
    removals_init(store);
    checkpoint_init(store);
    room_init(store);
    settle_init(store);
    retention_init(store);

    struct recovery *r = recovery_new(store);
    r->journal_config.bytes_max = store->config.journal_bytes_max;
    r->journal_config.chunk_bytes = store->config.journal_chunk_bytes;
    r->journal_config.group_bytes_max = store->config.group_bytes_max;
    job_start(loop, &r->job, recovery_run, recovered);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    check(store->state == STORE_CLOSED);
    timer_cancel(&store->write_timer);
    timer_cancel(&store->checkpoint_timer);
    timer_cancel(&store->room_timer);
    loop_task_cancel(&store->pump);
    loop_task_cancel(&store->cut_task);
    loop_task_cancel(&store->room_task);
    loop_task_cancel(&store->settle_task);
    files_end(&store->files);
    checkpoint_drop(store);
    removals_release(store);
    map_each (node, &store->logs) {
        struct log *log = container_of(node, struct log, node);
        map_remove(&store->logs, node);
        log_unref(log);
    }
    map_release(&store->logs);
    journal_free(store->journal);
    files_release(&store->files);
    slabs_release(&store->slabs);
    recycler_free(store->recycler);
    file_close(store->lock);
    free(store->path);
    free(store);
}

/* ---- logs -------------------------------------------------------------------------------------*/

struct log_key {
    const struct uuid *topic_id;
    int32_t partition;
};

static bool has_key(const struct map_node *node, const void *key)
{
    const struct log *log = container_of(node, struct log, node);
    const struct log_key *k = key;
    return log->partition == k->partition && uuid_equal(&log->topic_id, k->topic_id);
}

struct log *store_find(const struct store *store, const struct uuid *topic_id, int32_t partition)
{
    struct log_key key = { topic_id, partition };
    struct map_node *node =
        map_find(&store->logs, log_hash(store, topic_id, partition), has_key, &key);
    return node != NULL ? container_of(node, struct log, node) : NULL;
}

struct log *store_create(struct store *store, const struct uuid *topic_id, struct text topic,
                         int32_t partition, const struct log_config *config)
{
    check(topic_name_ok(topic) && partition >= 0);
    if (store->state != STORE_OPEN) {
        return NULL;
    }
    check(store_find(store, topic_id, partition) == NULL);
    struct log *log = log_new(store, topic_id, topic, partition, config);
    map_insert(&store->logs, &log->node, log_hash(store, topic_id, partition));
    log_journal(log, JOURNAL_CREATE, -1, 0);
    return log;
}

void store_each(struct store *store, void (*visit)(struct log *log, void *arg), void *arg)
{
    map_each (node, &store->logs) {
        visit(container_of(node, struct log, node), arg);
    }
}

/* ---- what can be asked ------------------------------------------------------------------------*/

const char *store_path(const struct store *store)
{
    return store->path;
}

const struct store_recovery *store_recovery(const struct store *store)
{
    return &store->recovery;
}

const struct store_identity *store_identity(const struct store *store)
{
    return &store->identity;
}

uint64_t store_write_pending_ns(const struct store *store)
{
    return store->journal != NULL ? journal_write_pending_ns(store->journal) : 0;
}

struct identity_job {
    struct job job;
    struct store *store;
    struct store_identity identity;
    char *path;
    int error;
    void (*done)(void *arg, int error);
    void *arg;
};

static void write_identity(struct job *job)
{
    struct identity_job *i = container_of(job, struct identity_job, job);
    struct buf content = { 0 };
    meta_properties_encode(&i->identity, &content);
    i->error = file_replace(i->path, buf_bytes(&content));
    buf_release(&content);
}

static void wrote_identity(struct job *job)
{
    struct identity_job *i = container_of(job, struct identity_job, job);
    struct store *store = i->store;
    if (i->error == 0) {
        store->identity = i->identity;
    }
    store->jobs--;
    i->done(i->arg, i->error);
    free(i->path);
    free(i);
    store_settle(store);
}

void store_set_identity(struct store *store, const char *cluster_id, int32_t node_id,
                        void (*done)(void *arg, int error), void *arg)
{
    struct identity_job *i = mem_zalloc(sizeof *i);
    size_t len = strlen(cluster_id);
    check(len < sizeof i->identity.cluster_id);
    i->store = store;
    i->identity = store->identity;
    memcpy(i->identity.cluster_id, cluster_id, len + 1);
    i->identity.node_id = node_id;
    i->path = store_file_path(store, FILE_META_PROPERTIES);
    i->done = done;
    i->arg = arg;
    store->jobs++;
    job_start(store->loop, &i->job, write_identity, wrote_identity);
}
