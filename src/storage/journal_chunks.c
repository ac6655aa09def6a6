/* The chunk files of the journal.
 *
 * A chunk is made by a job (zeros, synced), waits in the free list, is begun (a new header with a
 * new salt, durable before its first group), filled, and free again once a checkpoint has passed
 * its last group. A chunk that is smaller than the others, the first one of a new directory, is
 * removed then.
 *
 * Room: an append is let in only when all that is gathered, and the append, fit into the chunks
 * there are or may be made, without the last one. Each chunk counts without its header and the
 * longest group, which may not fit into its end. */
#include "journal_inside.h"

#include <errno.h>

enum { CHUNKS_MIN = 4, GROUPS_A_CHUNK = 8 };

void journal_sizes(struct journal_config *c, uint64_t total)
{
    uint64_t smallest = CHUNKS_MIN * GROUPS_A_CHUNK * 4 * JOURNAL_BLOCK;
    if (c->bytes_max == 0) {
        c->bytes_max = min_u64(MIB(512), total / 8);
    }
    c->bytes_max = max_u64(c->bytes_max, smallest);
    if (c->chunk_bytes == 0) {
        c->chunk_bytes = min_u64(MIB(16), c->bytes_max / CHUNKS_MIN);
    }
    c->chunk_bytes = min_u64(c->chunk_bytes, c->bytes_max / CHUNKS_MIN);
    c->chunk_bytes = max_u64(c->chunk_bytes / JOURNAL_BLOCK * JOURNAL_BLOCK, smallest / CHUNKS_MIN);
    if (c->group_bytes_max == 0) {
        c->group_bytes_max = MIB(2);
    }
    c->group_bytes_max = min_u64(c->group_bytes_max, c->chunk_bytes / GROUPS_A_CHUNK);
    c->group_bytes_max = max_u64(c->group_bytes_max / JOURNAL_BLOCK, 4) * JOURNAL_BLOCK;
}

/* ---- blocking ---------------------------------------------------------------------------------*/

char *journal_chunk_path(const char *dir, unsigned slot)
{
    return mem_sprintf("%s/%04u", dir, slot);
}

static int write_zeros(struct file *file, uint64_t bytes)
{
    size_t step = min_u64(bytes, MIB(1));
    uint8_t *zeros = mem_alloc_aligned(FILE_BLOCK, step);
    int error = 0;
    memset(zeros, 0, step);
    for (uint64_t at = 0; error == 0 && at < bytes; at += step) {
        error = file_write_at(file, zeros, min_u64(step, bytes - at), at);
    }
    free(zeros);
    return error;
}

int journal_chunk_create(const char *dir, unsigned slot, uint64_t bytes,
                         struct journal_chunk **ret_chunk)
{
    char *path = journal_chunk_path(dir, slot);
    struct file *file = NULL;
    int error = file_open(path, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_TRUNCATE | FILE_DURABLE,
                          &file);
    if (error == 0) {
        error = write_zeros(file, bytes);
    }
    if (error == 0) {
        error = file_sync(file);
    }
    if (error == 0) {
        error = dir_sync(dir);
    }
    if (error == 0) {
        struct journal_chunk *chunk = mem_zalloc(sizeof *chunk);
        *chunk = (struct journal_chunk){ .file = file, .slot = slot, .bytes = bytes };
        list_init(&chunk->link);
        *ret_chunk = chunk;
    } else {
        file_close(file);
        file_remove(path);
    }
    free(path);
    return error;
}

static void encode_header(const struct journal_chunk *chunk, const struct uuid *directory_id,
                          uint8_t *block)
{
    struct journal_chunk_header header = {
        .directory_id = *directory_id,
        .number = chunk->number,
        .first_lsn = chunk->first_lsn,
        .salt = chunk->salt,
    };
    journal_chunk_encode(&header, block);
}

int journal_chunk_begin(struct journal_chunk *chunk, const struct uuid *directory_id)
{
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, JOURNAL_BLOCK);
    encode_header(chunk, directory_id, block);
    int error = file_write_at(chunk->file, block, JOURNAL_BLOCK, 0);
    free(block);
    return error;
}

void journal_chunk_free(struct journal_chunk *chunk)
{
    if (chunk != NULL) {
        file_close(chunk->file);
        free(chunk);
    }
}

/* ---- free chunks ------------------------------------------------------------------------------*/

void journal_put_free(struct journal *j, struct journal_chunk *chunk)
{
    check(chunk->bytes == j->chunk_bytes);
    list_push_back(&j->free, &chunk->link);
    j->free_bytes += chunk->bytes;
    j->n_free++;
}

static struct journal_chunk *take_free(struct journal *j)
{
    struct list *link = list_pop_front(&j->free);
    if (link == NULL) {
        return NULL;
    }
    struct journal_chunk *chunk = container_of(link, struct journal_chunk, link);
    j->free_bytes -= chunk->bytes;
    j->n_free--;
    return chunk;
}

/* ---- making chunks ----------------------------------------------------------------------------*/

struct chunk_maker {
    struct job job;
    struct journal *journal;
    const char *dir;
    unsigned slot;
    uint64_t bytes;
    struct journal_chunk *chunk;
    int error;
};

static void make(struct job *job)
{
    struct chunk_maker *maker = container_of(job, struct chunk_maker, job);
    maker->error = journal_chunk_create(maker->dir, maker->slot, maker->bytes, &maker->chunk);
}

static void made(struct job *job)
{
    struct chunk_maker *maker = container_of(job, struct chunk_maker, job);
    struct journal *j = maker->journal;
    int error = maker->error;

    j->maker = NULL;
    if (error == 0) {
        journal_put_free(j, maker->chunk);
        j->stats.chunks++;
        j->stats.chunk_bytes += maker->chunk->bytes;
        j->next_slot++;
        loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
        j->events->room(j->arg);
    } else if (error == -ENOSPC || error == -EDQUOT) {
        j->no_space = true;
    } else {
        journal_fail(j, error, "make a chunk of the journal");
    }
    free(maker);
    journal_settle(j);
}

static void start_maker(struct journal *j)
{
    struct chunk_maker *maker = mem_zalloc(sizeof *maker);
    maker->journal = j;
    maker->dir = j->dir;
    maker->slot = j->next_slot;
    maker->bytes = j->chunk_bytes;
    j->maker = maker;
    job_start(j->loop, &maker->job, make, made);
}

static bool may_grow(const struct journal *j)
{
    return !j->no_space && j->used_bytes + j->free_bytes + j->chunk_bytes <= j->bytes_max;
}

void journal_prepare(struct journal *j)
{
    if (j->maker == NULL && !j->stopped && !j->failed && list_empty(&j->free) && may_grow(j)) {
        start_maker(j);
    }
}

void journal_retry(struct journal *j)
{
    j->no_space = false;
    journal_prepare(j);
    loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
}

/* ---- the next chunk ---------------------------------------------------------------------------*/

static void began(struct disk_request *req, int64_t result)
{
    struct journal *j = container_of(req, struct journal, write);
    struct journal_chunk *chunk = j->beginning;

    j->beginning = NULL;
    j->writing = false;
    list_push_back(&j->used, &chunk->link);
    j->used_bytes += chunk->bytes;
    if (result < 0) {
        journal_fail(j, (int)result, "begin a chunk of the journal");
    } else {
        j->at = JOURNAL_BLOCK;
        journal_prepare(j);
        loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
    }
    journal_settle(j);
}

void journal_next_chunk(struct journal *j)
{
    struct journal_chunk *chunk = take_free(j);
    if (chunk == NULL) {
        /* Groups that were let in and do not fit after all: rather one chunk too many than a
         * journal that waits for itself. */
        if (j->maker == NULL && !j->no_space) {
            start_maker(j);
        }
        return;
    }
    struct group *first = container_of(list_first(&j->queue), struct group, link);
    chunk->number = j->next_number++;
    chunk->first_lsn = first->lsn;
    loop_random(j->loop, chunk->salt.bytes, sizeof chunk->salt.bytes);
    encode_header(chunk, &j->directory_id, j->block);

    j->iov = mem_grow(j->iov, &j->cap_iov, 1, sizeof *j->iov);
    j->iov[0] = (struct iovec){ j->block, JOURNAL_BLOCK };
    j->beginning = chunk;
    j->writing = true;
    j->write_began_ns = loop_clock_ns(j->loop);
    disk_write(j->loop, &j->write, chunk->file, j->iov, 1, 0, began);
}

/* ---- room -------------------------------------------------------------------------------------*/

/* Bytes of groups that surely fit into a chunk of this size. */
static uint64_t usable(const struct journal *j, uint64_t chunk_bytes)
{
    uint64_t lost = JOURNAL_BLOCK + j->group_max;
    return chunk_bytes > lost ? chunk_bytes - lost : 0;
}

/* The journal's bytes for `len` bytes of payload: headers, padding, and blocks that are not
 * full. */
static uint64_t cost(const struct journal *j, uint64_t len)
{
    return len + (len / (j->group_max - JOURNAL_BLOCK) + 2) * 2 * JOURNAL_BLOCK;
}

static uint64_t room_beyond_current(const struct journal *j)
{
    uint64_t files = j->used_bytes + j->free_bytes, n = j->n_free;
    if (!j->no_space && files < j->bytes_max) {
        n += (j->bytes_max - files) / j->chunk_bytes;
    }
    return n * usable(j, j->chunk_bytes);
}

bool journal_room(const struct journal *j, uint64_t len)
{
    const struct journal_chunk *current = current_chunk(j);
    uint64_t room = room_beyond_current(j);
    uint64_t reserve = usable(j, j->chunk_bytes);
    uint64_t gathered = j->queued + (j->open ? j->open->len + 2 * JOURNAL_BLOCK : 0);

    if (current != NULL) {
        uint64_t left = current->bytes - j->at;
        room += left > j->group_max ? left - j->group_max : 0;
    }
    return room >= reserve + gathered + cost(j, len);
}

/* cost() the other way round. */
uint64_t journal_hold_max(const struct journal *j)
{
    uint64_t room = (j->bytes_max / j->chunk_bytes - 2) * usable(j, j->chunk_bytes);
    uint64_t payload = j->group_max - JOURNAL_BLOCK, each = 2 * JOURNAL_BLOCK;
    return room > 2 * each ? (room - 2 * each) / (payload + each) * payload : 0;
}

bool journal_half_full(const struct journal *j)
{
    const struct journal_chunk *current = current_chunk(j);
    uint64_t used = j->used_bytes - (current ? current->bytes - j->at : 0);
    return used >= j->bytes_max / 2 || !journal_room(j, j->chunk_bytes);
}

/* ---- chunks that are not needed any more ------------------------------------------------------*/

struct chunk_remover {
    struct job job;
    struct journal *journal;
    struct journal_chunk *chunk;
    char *path;
};

static void remove_file(struct job *job)
{
    struct chunk_remover *remover = container_of(job, struct chunk_remover, job);
    file_remove(remover->path); /* one that stays is found, and used, by the next start */
}

static void removed(struct job *job)
{
    struct chunk_remover *remover = container_of(job, struct chunk_remover, job);
    struct journal *j = remover->journal;
    journal_chunk_free(remover->chunk);
    free(remover->path);
    free(remover);
    j->removing--;
    journal_settle(j);
}

static void remove_chunk(struct journal *j, struct journal_chunk *chunk)
{
    struct chunk_remover *remover = mem_zalloc(sizeof *remover);
    remover->journal = j;
    remover->chunk = chunk;
    remover->path = journal_chunk_path(j->dir, chunk->slot);
    j->stats.chunks--;
    j->stats.chunk_bytes -= chunk->bytes;
    j->removing++;
    job_start(j->loop, &remover->job, remove_file, removed);
}

static void retire(struct journal *j, struct journal_chunk *chunk)
{
    list_remove(&chunk->link);
    j->used_bytes -= chunk->bytes;
    if (chunk->bytes == j->chunk_bytes) {
        journal_put_free(j, chunk);
    } else {
        remove_chunk(j, chunk);
    }
}

void journal_release(struct journal *j, uint64_t lsn)
{
    bool some = false;
    for (;;) {
        struct list *first = list_first(&j->used), *last = list_last(&j->used);
        if (first == last) {
            break;
        }
        struct journal_chunk *next = container_of(first->next, struct journal_chunk, link);
        if (next->first_lsn > lsn + 1) {
            break;
        }
        retire(j, container_of(first, struct journal_chunk, link));
        some = true;
    }
    if (some && !j->stopped) {
        journal_prepare(j);
        loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
        j->events->room(j->arg);
    }
}
