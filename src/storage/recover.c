/* Opening a directory.
 *
 *     checkpoint   journal    .kafka_cleanshutdown
 *     none         none       any                   new, or Kafka's: adopt what is there
 *     clean        none       of that stop          clean: the checkpoint is all
 *     clean        none       another, or none      somebody else was here since: adopt
 *     any          chunks     any                   compare files with it, replay the journal
 *     not clean    none       any                   damage
 *     none or bad  chunks     any                   damage
 *
 * Damage of the directory as a whole does not keep the store from opening: what verifies is served,
 * but every log says that it is damaged (rule 18). */
#include "recover.h"

#include "scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_CHUNK_BYTES = 1024 * 1024 };

/* ---- tools ------------------------------------------------------------------------------------*/

int recovery_fail(struct recovery *r, int error, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    free(r->message);
    r->message = mem_strdup(text);
    r->error = error;
    return error;
}

void log_damaged(struct log *log, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (log->damage == NULL) {
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        log->damage = mem_strdup(text);
    }
}

struct key {
    const struct uuid *topic_id;
    int32_t partition;
};

static bool has_key(const struct map_node *node, const void *key)
{
    const struct log *log = container_of(node, struct log, node);
    const struct key *k = key;
    return log->partition == k->partition && uuid_equal(&log->topic_id, k->topic_id);
}

struct log *recovery_find(const struct recovery *r, const struct uuid *topic_id, int32_t partition)
{
    struct key key = { topic_id, partition };
    struct map_node *node =
        map_find(&r->store->logs, log_hash(r->store, topic_id, partition), has_key, &key);
    return node != NULL ? container_of(node, struct log, node) : NULL;
}

bool recovery_add_log(struct recovery *r, struct log *log)
{
    if (recovery_find(r, &log->topic_id, log->partition) != NULL) {
        return false;
    }
    map_insert(&r->store->logs, &log->node, log_hash(r->store, &log->topic_id, log->partition));
    return true;
}

void recovery_drop_log(struct recovery *r, struct log *log)
{
    map_remove(&r->store->logs, &log->node);
    log_unref(log);
}

void recovery_keep(struct recovery *r, struct segment *segment, struct file *file,
                   uint64_t unsynced)
{
    r->replayed = true;
    for (size_t i = 0; i < r->n_kept; i++) {
        if (r->kept[i].segment == segment) {
            r->kept[i].unsynced += unsynced; /* a sync through either counts for both */
            file_close(file);
            return;
        }
    }
    r->kept = mem_grow(r->kept, &r->cap_kept, r->n_kept + 1, sizeof *r->kept);
    r->kept[r->n_kept++] = (struct open_segment){ segment_ref(segment), file, unsynced };
}

bool recovery_directory_id(const struct recovery *r, const char *topic, int32_t partition,
                           struct uuid *ret_id)
{
    struct log_dir_name name = { .topic = text_of(topic), .partition = partition };
    char dir[LOG_DIR_NAME_SIZE];
    if (!log_dir_format(&name, NULL, dir)) {
        return false;
    }
    char *path = store_file_path(r->store, dir);
    bool ok = log_dir_id(path, ret_id);
    free(path);
    return ok;
}

/* Renames a partition's directory, if it is there. */
static int rename_to(struct recovery *r, const char *topic, int32_t partition,
                     enum log_dir_state state)
{
    struct log_dir_name name = { .topic = text_of(topic), .partition = partition };
    char from_name[LOG_DIR_NAME_SIZE], to_name[LOG_DIR_NAME_SIZE];
    struct uuid unique;
    memcpy(unique.bytes, r->random + 32, sizeof unique.bytes);
    store_be64(unique.bytes, load_be64(unique.bytes) + r->n_renamed++);
    if (!log_dir_format(&name, NULL, from_name)) {
        return 0;
    }
    name.state = state;
    check(log_dir_format(&name, &unique, to_name));
    char *from = store_file_path(r->store, from_name), *to = store_file_path(r->store, to_name);
    int error = file_rename(from, to);
    if (error == 0) {
        r->store->new_dirs = true;
        r->replayed = true;
    }
    free(from);
    free(to);
    return error == -ENOENT ? 0 : error;
}

int recovery_doom(struct recovery *r, const char *topic, int32_t partition)
{
    return rename_to(r, topic, partition, LOG_DIR_DELETE);
}

int recovery_set_aside(struct recovery *r, const struct log *log)
{
    struct uuid id;
    bool foreign = recovery_directory_id(r, log->topic, log->partition, &id) &&
                   !uuid_equal(&id, &log->topic_id);
    return rename_to(r, log->topic, log->partition, foreign ? LOG_DIR_STRAY : LOG_DIR_DELETE);
}

/* Finds the directories that are to be removed. */
static int find_doomed(struct recovery *r)
{
    struct dir_entry *entries;
    size_t n, cap = 0;
    int error = dir_list(r->store->path, &entries, &n);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < n; i++) {
        struct log_dir_name name;
        if (entries[i].is_dir && log_dir_parse(text_of(entries[i].name), &name) &&
            name.state == LOG_DIR_DELETE) {
            r->doomed = mem_grow(r->doomed, &cap, r->n_doomed + 1, sizeof *r->doomed);
            r->doomed[r->n_doomed++] = store_file_path(r->store, entries[i].name);
        }
    }
    dir_list_free(entries, n);
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------*/

struct recovery *recovery_blank(struct store *store)
{
    struct recovery *r = mem_zalloc(sizeof *r);
    r->store = store;
    r->journal_dir = store_file_path(store, JOURNAL_DIR);
    r->head.broker_epoch = -1;
    map_init(&r->traces);
    list_init(&r->open);
    list_init(&r->chunks.used);
    list_init(&r->chunks.free);
    return r;
}

struct recovery *recovery_new(struct store *store)
{
    struct recovery *r = recovery_blank(store);
    r->now_ms = loop_wall_ms(store->loop);
    r->began_ns = loop_clock_ns(store->loop);
    loop_random(store->loop, r->random, sizeof r->random);
    return r;
}

static void free_chunks(struct list *chunks)
{
    list_each (link, chunks) {
        journal_chunk_free(container_of(link, struct journal_chunk, link));
    }
}

void recovery_free(struct recovery *r)
{
    recovery_release_traces(r);
    journal_reader_close(&r->reader);
    free_chunks(&r->chunks.used);
    free_chunks(&r->chunks.free);
    for (size_t i = 0; i < r->n_kept; i++) {
        file_close(r->kept[i].file);
        segment_unref(r->kept[i].segment);
    }
    for (size_t i = 0; i < r->n_doomed; i++) {
        free(r->doomed[i]);
    }
    free(r->kept);
    free(r->doomed);
    free(r->removals);
    free(r->journal_dir);
    free(r->message);
    free(r);
}

/* ---- what is there ----------------------------------------------------------------------------*/

static int save_identity(struct recovery *r)
{
    char *path = store_file_path(r->store, FILE_META_PROPERTIES);
    struct buf content = { 0 };
    meta_properties_encode(&r->store->identity, &content);
    int error = file_replace(path, buf_bytes(&content));
    if (error != 0) {
        recovery_fail(r, error, "%s cannot be written", path);
    }
    buf_release(&content);
    free(path);
    return error;
}

void recovery_rebuild_producers(struct recovery *r, struct log *log)
{
    char *dir = log_dir_path(log);
    struct segment_file *files = mem_zalloc_array(log->n_segments, sizeof *files);
    struct producers *producers = NULL;
    int64_t snapshot;
    for (uint32_t i = 0; i < log->n_segments; i++) {
        files[i] = (struct segment_file){ log->segments[i]->base, log->segments[i]->bytes };
    }
    if (producers_rebuild(dir, files, log->n_segments, log->end, r->store->seed, r->now_ms,
                          &producers, &snapshot) == 0) {
        producers_free(log->producers);
        log->producers = producers;
    }
    log->producers_new = true;
    free(files);
    free(dir);
}

/* Producers that were too many for the checkpoint are in a snapshot; else they are worked out. */
static void load_producers(struct recovery *r, struct log *log)
{
    char *dir = log_dir_path(log);
    bool whole;
    int error = producers_load(log_producers(log), dir, log->snapshot, &whole);
    free(dir);
    if (error != 0) {
        recovery_rebuild_producers(r, log);
    }
}

static void load_all_producers(struct recovery *r)
{
    map_each (node, &r->store->logs) {
        struct log *log = container_of(node, struct log, node);
        if (log->producers_in_file) {
            load_producers(r, log);
        }
    }
}

/* A clean stop that was cut short has left some of it. */
static int remove_gone_journal(struct recovery *r)
{
    char *gone = store_file_path(r->store, JOURNAL_GONE_DIR);
    int error = dir_remove_all(gone);
    free(gone);
    return error;
}

/* ---- the way back -----------------------------------------------------------------------------*/

static int sync_kept(struct recovery *r)
{
    int error = 0;
    for (size_t i = 0; i < r->n_kept && error == 0; i++) {
        error = file_sync(r->kept[i].file);
        r->kept[i].unsynced = 0;
    }
    map_each (node, &r->store->logs) {
        struct log *log = container_of(node, struct log, node);
        if (error == 0 && log->dir_made && !list_empty(&log->dir_link)) {
            char *dir = log_dir_path(log);
            error = dir_sync(dir);
            list_remove(&log->dir_link);
            free(dir);
        }
    }
    return error;
}

/* Writes a checkpoint of what is there now: for directories that had none, or none that counts. */
static int save_image(struct recovery *r)
{
    struct store *store = r->store;
    struct image_head head = {
        .directory_id = store->identity.directory_id,
        .stop_id = uuid_from_random(r->random + 48), /* nothing is in a journal yet */
        .broker_epoch = -1,
        .lsn = r->chunks.next_lsn - 1,
        .durable_lsn = r->chunks.next_lsn - 1,
    };
    struct buf image = { 0 };
    int error = sync_kept(r);
    image_begin(&image);
    map_each (node, &store->logs) {
        struct log *log = container_of(node, struct log, node);
        for (uint32_t i = 0; i < log->n_segments; i++) {
            log->segments[i]->saving = log->segments[i]->saved;
            log->segments[i]->time_saving = log->segments[i]->time_saved;
        }
        image_add(&image, log);
    }
    image_add_removals(&image, store);
    image_seal(&image, &head, (uint32_t)store->logs.n);
    char *path = store_file_path(store, CHECKPOINT_FILE);
    if (error == 0) {
        error = file_replace(path, buf_bytes(&image));
    }
    if (error != 0) {
        recovery_fail(r, error, "%s cannot be written", path);
    }
    free(path);
    buf_release(&image);
    return error;
}

/* Sorts the chunks that are there into those still needed and those that may be used again. */
static int sort_chunks(struct recovery *r)
{
    struct journal_reader *reader = &r->reader;
    for (size_t i = 0; i < reader->n; i++) {
        struct found_chunk *found = &reader->chunks[i];
        char *path = journal_chunk_path(r->journal_dir, found->slot);
        if (found->begun) {
            r->chunks.next_number = max_u64(r->chunks.next_number, found->header.number + 1);
        }
        bool needed = r->keep_chunks && reader->any && i >= reader->first_chunk &&
                      i <= reader->last_chunk;
        if (!needed && found->bytes != r->journal_config.chunk_bytes) {
            file_remove(path);
            free(path);
            continue;
        }
        struct journal_chunk *chunk = mem_zalloc(sizeof *chunk);
        *chunk = (struct journal_chunk){ .slot = found->slot, .bytes = found->bytes,
                                         .number = found->header.number,
                                         .first_lsn = found->header.first_lsn };
        list_push_back(needed ? &r->chunks.used : &r->chunks.free, &chunk->link);
        int error = file_open(path, FILE_READ | FILE_WRITE | FILE_DURABLE, &chunk->file);
        free(path);
        if (error != 0) {
            return recovery_fail(r, error, "a chunk of the journal cannot be opened");
        }
    }
    return 0;
}

/* Begins a fresh chunk: an earlier one may end in a torn write. */
static int begin_chunk(struct recovery *r)
{
    struct list *link = list_pop_front(&r->chunks.free);
    struct journal_chunk *chunk = NULL;
    unsigned slot = 0;
    int error = 0;
    if (link != NULL) {
        chunk = container_of(link, struct journal_chunk, link);
    } else {
        list_each (used, &r->chunks.used) {
            unsigned taken = container_of(used, struct journal_chunk, link)->slot;
            slot = taken >= slot ? taken + 1 : slot;
        }
        uint64_t bytes = min_u64(FIRST_CHUNK_BYTES, r->journal_config.chunk_bytes);
        error = journal_chunk_create(r->journal_dir, slot, bytes, &chunk);
    }
    if (error == 0) {
        chunk->number = r->chunks.next_number++;
        chunk->first_lsn = r->chunks.next_lsn;
        memcpy(chunk->salt.bytes, r->random + 16, sizeof chunk->salt.bytes);
        error = journal_chunk_begin(chunk, &r->store->identity.directory_id);
        list_push_back(&r->chunks.used, &chunk->link);
    }
    return error == 0 ? 0
                      : recovery_fail(r, error, "a chunk of the journal cannot be made in %s",
                                      r->journal_dir);
}

static int open_journal(struct recovery *r)
{
    int error = dir_create(r->journal_dir);
    if (error != 0) {
        return recovery_fail(r, error, "%s cannot be created", r->journal_dir);
    }
    error = sort_chunks(r);
    if (error == 0) {
        error = begin_chunk(r);
    }
    if (error == 0) {
        char *path = store_file_path(r->store, FILE_CLEAN_SHUTDOWN);
        error = file_remove(path);
        error = error == -ENOENT ? 0 : error;
        error = error == 0 ? dir_sync(r->store->path) : error;
        if (error != 0) {
            recovery_fail(r, error, "%s cannot be removed", path);
        }
        free(path);
    }
    return error;
}

/* ---- the cases --------------------------------------------------------------------------------*/

/* Everything is in the files, and the checkpoint says what they must look like. */
static int recover_clean(struct recovery *r)
{
    r->store->recovery.clean = true;
    r->store->recovery.broker_epoch = r->head.broker_epoch;
    map_each (node, &r->store->logs) {
        int error = recover_files(r, container_of(node, struct log, node), INT64_MIN, false);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int recover_as_found(struct recovery *r)
{
    bool some = false;
    int error = recovery_has_logs(r, &some);
    if (error == 0 && some) {
        r->store->recovery.adopted = true;
        error = recovery_adopt(r);
    } else if (error == 0) {
        r->store->recovery.fresh = r->damage == NULL;
    }
    return error;
}

static void spread_damage(struct recovery *r)
{
    r->store->recovery.damaged = r->damage != NULL;
    map_each (node, &r->store->logs) {
        if (r->damage != NULL) {
            log_damaged(container_of(node, struct log, node), "the directory is damaged: %s",
                        r->damage);
        }
    }
}

/* The next LSN: above all that was ever given away. */
static void choose_lsn(struct recovery *r)
{
    uint64_t lsn;
    struct bytes records;
    if (!r->reader.any) {
        journal_reader_rewind(&r->reader);
        while (journal_reader_next(&r->reader, &lsn, &records) == 1) {
        }
    }
    r->chunks.next_lsn = max_u64(r->reader.next_lsn, r->head.durable_lsn + 1);
    r->chunks.next_number = 1;
    for (size_t i = 0; i < r->reader.n_begun && r->damage != NULL; i++) {
        const struct found_chunk *chunk = &r->reader.chunks[i];
        r->chunks.next_lsn = max_u64(r->chunks.next_lsn,
                                     chunk->header.first_lsn + chunk->bytes / JOURNAL_BLOCK);
    }
}

static int recover_logs(struct recovery *r)
{
    struct store *store = r->store;
    bool begun = r->reader.n_begun > 0;
    bool anew = true; /* a checkpoint has to be written before anything else */
    int error = 0;

    if (r->has_image && !begun && r->head.clean && recovery_same_stop(r)) {
        error = recover_clean(r);
        anew = false;
    } else if (r->has_image && !begun && r->head.clean) {
        recovery_drop_all(r);
        error = recover_as_found(r);
    } else if (r->has_image) {
        error = recovery_replay(r);
        if (error == 0 && r->damage != NULL) {
            error = recovery_adopt(r); /* logs that the journal does not know any more */
        }
        anew = r->damage != NULL;
        r->keep_chunks = !anew;
        store->recovery.clean = r->head.clean && !r->reader.any && r->damage == NULL;
        store->recovery.broker_epoch = store->recovery.clean ? r->head.broker_epoch : -1;
    } else {
        if (begun && r->damage == NULL) {
            r->damage = "the checkpoint is missing";
        }
        error = recover_as_found(r);
        if (error == 0 && begun) {
            error = recovery_salvage(r);
        }
    }
    choose_lsn(r);
    spread_damage(r);
    return error == 0 && anew ? save_image(r) : error;
}

static int prepare(struct recovery *r)
{
    struct store *store = r->store;
    struct disk_space space;
    char *lock = store_file_path(store, LOCK_FILE);
    int error = dir_create(store->path);
    if (error != 0) {
        recovery_fail(r, error, "%s cannot be created", store->path);
    } else if ((error = file_lock(lock, &store->lock)) != 0) {
        recovery_fail(r, error, "%s is locked: another broker uses this directory", lock);
    } else if ((error = dir_space(store->path, &space)) != 0) {
        recovery_fail(r, error, "the file system of %s does not say how large it is", store->path);
    } else {
        journal_sizes(&r->journal_config, space.total);
        store->space_total = space.total;
        store->space_available = space.available;
    }
    free(lock);
    return error;
}

void recovery_run(struct job *job)
{
    struct recovery *r = container_of(job, struct recovery, job);
    struct store *store = r->store;
    bool known = false;
    int error = prepare(r);
    if (error == 0) {
        error = recovery_look(r, &known);
    }
    if (error == 0) {
        load_all_producers(r);
        error = remove_gone_journal(r);
    }
    if (error == 0 && !known) {
        error = save_identity(r);
    }
    if (error == 0) {
        error = recover_logs(r);
    }
    if (error == 0) {
        error = open_journal(r);
    }
    if (error == 0) {
        error = find_doomed(r);
    }
    if (error != 0 && r->error == 0) {
        recovery_fail(r, error, "%s cannot be opened", store->path);
    }
}
