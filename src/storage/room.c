/* Room: in the tails, in the journal, on the disk.
 *
 * Appends are refused while there is none (store_writable()), and who was refused is told when
 * there is room again, or when the disk turns out to be full: then waiting is no use. On the disk
 * a reserve is kept free for what was promised already: it is measured about once a second while
 * something is appended, and while it is touched. */
#include "state.h"

#include <errno.h>

#define CHECK_NS NS_PER_S
#define RESERVE_MAX GIB(5)

struct space_check {
    struct job job;
    struct store *store;
    const char *path;
    struct disk_space space;
    int error;
};

/* ---- the disk ---------------------------------------------------------------------------------*/

static uint64_t reserve(const struct store *store)
{
    uint64_t bytes = store->config.reserve_bytes;
    if (bytes == UINT64_MAX) {
        bytes = min_u64(RESERVE_MAX, store->space_total / 20);
    }
    return max_u64(bytes, store->slabs.unwritten_bytes);
}

static void measure(struct job *job)
{
    struct space_check *check = container_of(job, struct space_check, job);
    check->error = dir_space(check->path, &check->space);
}

static void measured(struct job *job)
{
    struct space_check *check = container_of(job, struct space_check, job);
    struct store *store = check->store;
    store->space_check = NULL;
    store->jobs--;
    if (check->error == 0) {
        store->space_total = check->space.total;
        store->space_available = check->space.available;
    }
    free(check);
    bool low = store->space_available < reserve(store);
    if (!low) { /* what failed for want of space may go now */
        writer_retry(store);
        journal_retry(store->journal);
    }
    store->full = low;
    store_check_room(store);
    store_settle(store);
}

static void start_measuring(struct store *store)
{
    if (store->space_check == NULL && store->state == STORE_OPEN) {
        struct space_check *check = mem_zalloc(sizeof *check);
        check->store = store;
        check->path = store->path;
        store->space_check = check;
        store->space_checked_ns = loop_now_ns(store->loop);
        store->jobs++;
        job_start(store->loop, &check->job, measure, measured);
    }
}

void room_appended(struct store *store)
{
    if (loop_now_ns(store->loop) >= store->space_checked_ns + CHECK_NS) {
        start_measuring(store);
    }
}

static void time_to_measure(struct timer *timer)
{
    start_measuring(container_of(timer, struct store, room_timer));
}

/* ---- in all -----------------------------------------------------------------------------------*/

static bool tail_has_room(const struct store *store)
{
    const struct slabs *slabs = &store->slabs;
    const struct slab *oldest = slabs_oldest(slabs);
    return slabs->bytes < slabs->budget || slabs->unwritten_bytes == 0 ||
           (oldest->unwritten == 0 && &oldest->link != list_last(&slabs->fifo));
}

int store_writable(const struct store *store)
{
    if (!store_takes_changes(store)) {
        return -EIO;
    }
    if (store->full || !list_empty(&store->stuck)) {
        return -ENOSPC;
    }
    return tail_has_room(store) && journal_room(store->journal, 0) ? 0 : -EAGAIN;
}

uint64_t store_append_max(const struct store *store)
{
    return journal_hold_max(store->journal);
}

static void look(struct loop_task *task)
{
    struct store *store = container_of(task, struct store, room_task);
    if (store->state != STORE_OPEN) {
        return;
    }
    int error = store_writable(store);
    if (error != 0 && !timer_is_set(&store->room_timer)) {
        /* Full, or waiting for files: that may be for want of space, which nobody has measured. */
        timer_set_in(&store->room_timer, CHECK_NS);
    }
    if (error == -EAGAIN && !tail_has_room(store)) {
        writer_relieve(store);
    }
    if (store->first_change_ns != 0 && journal_half_full(store->journal)) {
        checkpoint_start(store);
    }
    bool has_room = error == 0 && journal_room(store->journal, store->want_bytes);
    if (store->want_room && (has_room || error == -ENOSPC)) {
        store->want_room = false;
        store->want_bytes = 0;
        store->events->room(store->arg);
    }
}

void store_check_room(struct store *store)
{
    loop_defer(store->loop, LOOP_ADVANCE, &store->room_task);
}

void room_init(struct store *store)
{
    loop_task_init(&store->room_task, look);
    timer_init(&store->room_timer, store->loop, time_to_measure);
}
