/* Writing groups, and the journal's life.
 *
 * The happy path, once a turn: submit() takes the oldest closed group (the open one is closed for
 * it), computes the CRC and starts one durable write at the end of the current chunk. When it
 * returns, the group's marks are reported, and submit() is deferred again for what was gathered
 * meanwhile.
 *
 * What can go wrong: the group does not fit into the chunk (the next chunk is begun first; its
 * header is durable before its first group); no chunk is ready (groups wait); a write fails (the
 * journal stops, nothing after that is ever reported durable). */
#include "journal_inside.h"

#include <chronik/base/crc32c.h>

/* ---- stopping ---------------------------------------------------------------------------------*/

void journal_settle(struct journal *j)
{
    if (j->idle != NULL && !j->writing && j->maker == NULL && j->removing == 0) {
        void (*idle)(void *arg) = j->idle;
        j->idle = NULL;
        idle(j->idle_arg);
    }
}

void journal_stop(struct journal *j, void (*idle)(void *arg), void *arg)
{
    j->stopped = true;
    j->idle = idle;
    j->idle_arg = arg;
    journal_settle(j);
}

void journal_fail(struct journal *j, int error, const char *what)
{
    if (!j->failed) {
        j->failed = true;
        j->events->failed(j->arg, error, what);
    }
}

/* ---- writing ----------------------------------------------------------------------------------*/

static void seal_group(struct group *group, const struct journal_salt *salt)
{
    struct journal_group_header header = {
        .salt = *salt,
        .lsn = group->lsn,
        .len = (uint32_t)group->len,
        .n_records = group->n_records,
    };
    uint64_t left = JOURNAL_GROUP_HEADER + group->len - JOURNAL_CRC_FROM;

    journal_group_encode(&header, group->header);
    for (size_t i = 0; i < group->n_pieces; i++) {
        size_t skip = i == 0 ? JOURNAL_CRC_FROM : 0;
        size_t len = min_u64(group->pieces[i].len - skip, left);
        header.crc = crc32c(header.crc, group->pieces[i].from + skip, len);
        left -= len;
    }
    journal_group_encode(&header, group->header);
}

static uint64_t group_bytes(const struct group *group)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < group->n_pieces; i++) {
        bytes += group->pieces[i].len;
    }
    return bytes;
}

static void wrote(struct disk_request *req, int64_t result)
{
    struct journal *j = container_of(req, struct journal, write);
    struct group *group = j->flying;
    j->flying = NULL;
    j->writing = false;
    if (result < 0) {
        journal_fail(j, (int)result, "write to the journal");
    } else if (!j->failed) {
        metric_observe(&j->stats.write_ns, loop_clock_ns(j->loop) - j->write_began_ns);
        j->durable_lsn = group->lsn;
        j->events->durable(j->arg, group->lsn, group->marks, group->n_marks);
        if (!list_empty(&j->queue) || j->open != NULL) {
            loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
        }
    }
    group_free(group);
    journal_settle(j);
}

static void write_group(struct journal *j, struct group *group, uint64_t bytes)
{
    struct journal_chunk *chunk = current_chunk(j);

    list_remove(&group->link);
    seal_group(group, &chunk->salt);
    j->iov = mem_grow(j->iov, &j->cap_iov, group->n_pieces, sizeof *j->iov);
    for (size_t i = 0; i < group->n_pieces; i++) {
        j->iov[i] = (struct iovec){ group->pieces[i].from, group->pieces[i].len };
    }
    j->flying = group;
    j->writing = true;
    j->queued -= bytes;
    j->stats.groups++;
    j->stats.bytes += bytes;
    j->stats.records += group->n_records;
    j->write_began_ns = loop_clock_ns(j->loop);
    disk_write(j->loop, &j->write, chunk->file, j->iov, (unsigned)group->n_pieces, j->at, wrote);
    j->at += bytes;
}

static void submit(struct loop_task *task)
{
    struct journal *j = container_of(task, struct journal, submit);
    if (j->writing || j->failed || j->stopped) {
        return;
    }
    if (list_empty(&j->queue) && j->open != NULL) {
        group_close(j);
        loop_task_cancel(&j->submit);
    }
    struct list *first = list_first(&j->queue);
    if (first == NULL) {
        return;
    }
    struct group *group = container_of(first, struct group, link);
    uint64_t bytes = group_bytes(group);
    struct journal_chunk *chunk = current_chunk(j);
    if (chunk == NULL || j->at + bytes > chunk->bytes) {
        journal_next_chunk(j);
    } else {
        write_group(j, group, bytes);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

/* Takes the chunks over; slots go on above the highest one in use. */
static void adopt_chunks(struct journal *j, struct journal_chunks *chunks)
{
    list_splice_back(&j->used, &chunks->used);
    list_each (link, &j->used) {
        struct journal_chunk *chunk = container_of(link, struct journal_chunk, link);
        j->used_bytes += chunk->bytes;
        j->next_slot = chunk->slot >= j->next_slot ? chunk->slot + 1 : j->next_slot;
        j->stats.chunks++;
    }
    list_each (link, &chunks->free) {
        struct journal_chunk *chunk = container_of(link, struct journal_chunk, link);
        list_remove(link);
        j->next_slot = chunk->slot >= j->next_slot ? chunk->slot + 1 : j->next_slot;
        j->stats.chunks++;
        journal_put_free(j, chunk);
    }
    j->stats.chunk_bytes = j->used_bytes + j->free_bytes;
}

struct journal *journal_new(struct loop *loop, const struct journal_config *config,
                            struct slabs *slabs, struct journal_chunks *chunks,
                            const struct journal_events *events, void *arg)
{
    struct journal *j = mem_zalloc(sizeof *j);
    j->loop = loop;
    j->slabs = slabs;
    j->events = events;
    j->arg = arg;
    j->dir = mem_strdup(config->dir);
    j->directory_id = config->directory_id;
    j->bytes_max = config->bytes_max;
    j->chunk_bytes = config->chunk_bytes;
    j->group_max = config->group_bytes_max;
    j->next_lsn = chunks->next_lsn;
    j->durable_lsn = chunks->next_lsn - 1;
    j->next_number = chunks->next_number;
    j->at = JOURNAL_BLOCK;
    j->block = mem_alloc_aligned(FILE_BLOCK, JOURNAL_BLOCK);
    list_init(&j->queue);
    list_init(&j->used);
    list_init(&j->free);
    adopt_chunks(j, chunks);
    loop_task_init(&j->submit, submit);
    journal_prepare(j);
    return j;
}

static void free_chunks(struct list *chunks)
{
    list_each (link, chunks) {
        journal_chunk_free(container_of(link, struct journal_chunk, link));
    }
}

void journal_free(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    check(!j->writing && j->maker == NULL && j->removing == 0);
    loop_task_cancel(&j->submit);
    list_each (link, &j->queue) {
        group_free(container_of(link, struct group, link));
    }
    group_free(j->open);
    free_chunks(&j->used);
    free_chunks(&j->free);
    free(j->iov);
    free(j->block);
    free(j->dir);
    free(j);
}

const struct journal_stats *journal_stats(const struct journal *j)
{
    return &j->stats;
}

uint64_t journal_write_pending_ns(const struct journal *j)
{
    return j->writing ? max_u64(loop_clock_ns(j->loop) - j->write_began_ns, 1) : 0;
}
