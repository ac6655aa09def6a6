/* The writes of a Raft directory.
 *
 * Votes, groups of entries and snapshots from a leader are performed in the order in which they
 * were asked for, one at a time: a log write that was asked for behind a vote is never on disk
 * without it. Entries that wait go out as one group. A snapshot that this node took itself does not
 * hold them up: a job writes it beside, and what it makes superfluous is removed afterwards.
 *
 * What can go wrong: a failed write or sync ends the store, whose owner ends the process. A full
 * disk is met only where something new is made (a segment, a snapshot): that is tried again every
 * second, and everything behind it waits. */
#include "raft_load.h"

#include <chronik/base/random.h>
#include <chronik/io/disk.h>
#include <chronik/io/job.h>
#include <chronik/io/timer.h>

#include <errno.h>
#include <stdio.h>

enum { SEGMENT_BYTES = 256 * 1024, GROUP_BYTES_MAX = 1024 * 1024 };

enum op_kind { OP_VOTE, OP_LOG, OP_SNAPSHOT };

/* A write that was asked for. */
struct op {
    struct list link;
    struct raft_store *store;
    enum op_kind kind;
    uint64_t ticket;
    uint64_t term, vote;       /* OP_VOTE */
    uint64_t first;            /* OP_LOG: index of the first entry */
    uint32_t n;                /* OP_LOG: entries */
    struct buf body;           /* OP_LOG: the entries; OP_SNAPSHOT: the file */
    uint64_t index, keep_from; /* OP_SNAPSHOT */
    bool install;              /* OP_SNAPSHOT */
    struct job job;            /* OP_SNAPSHOT */
    struct timer retry;        /* OP_SNAPSHOT */
    int error;                 /* of the job */
};

/* A file that nobody needs any more. */
struct removal {
    struct list link;
    char *path;
};

struct raft_store {
    struct loop *loop;
    char *path;
    const struct raft_store_events *events;
    void *arg;
    struct raft_load load; /* and where the log ends since */
    struct job job;        /* of opening, then of making files */
    void (*run)(struct job *job), (*done)(struct job *job); /* what it does, to do it again */
    struct timer retry;    /* of the job, when the disk was full */
    int job_error;
    struct prng salts;

    struct list ops;       /* votes, entries, snapshots from a leader: in order */
    struct op *taking;     /* a snapshot that was taken here, being written; NULL: none */
    struct list taken;     /* more of them, waiting */
    struct list removals;
    bool opened, busy, removing, failed;

    struct disk_request write, remove;
    struct raft_vote_head vote;   /* being written */
    unsigned vote_slot;
    uint8_t *buffer;              /* of the write under way; aligned */
    struct iovec iov[2];
    struct raft_group_head group; /* being written */
    uint32_t group_ops;           /* operations that it holds the entries of */
    struct raft_segment_head new_segment;
    char *new_path;
    struct file *new_file;

    void (*closed)(void *arg);
    void *closed_arg;
    struct loop_task close_task;
};

static void advance(struct raft_store *store);

/* ---- opening ----------------------------------------------------------------------------------*/

static void run_load(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    raft_load(&store->load);
}

static void loaded(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    store->opened = store->load.error == 0;
    store->busy = false;
    store->events->opened(store->arg, store->load.error, store->load.message);
    loop_defer(store->loop, LOOP_ADVANCE, &store->close_task);
}

static void retry_job(struct timer *timer);
static void check_closed(struct loop_task *task);

struct raft_store *raft_store_open(struct loop *loop, const char *path, uint64_t node_id,
                                   const struct raft_store_events *events, void *arg)
{
    struct raft_store *store = mem_zalloc(sizeof *store);
    uint8_t random[16];
    uint64_t seed;
    store->loop = loop;
    store->path = mem_strdup(path);
    store->events = events;
    store->arg = arg;
    list_init(&store->ops);
    list_init(&store->taken);
    list_init(&store->removals);
    timer_init(&store->retry, loop, retry_job);
    loop_task_init(&store->close_task, check_closed);
    loop_random(loop, random, sizeof random);
    loop_random(loop, &seed, sizeof seed);
    prng_init(&store->salts, seed);
    store->load = (struct raft_load){ .path = store->path, .node_id = node_id,
                                      .new_directory = uuid_from_random(random) };
    store->busy = true;
    job_start(loop, &store->job, run_load, loaded);
    return store;
}

const struct raft_store_state *raft_store_state(const struct raft_store *store)
{
    return &store->load.state;
}

void raft_store_forget_state(struct raft_store *store)
{
    raft_load_forget(&store->load);
}

/* ---- the end of operations --------------------------------------------------------------------*/

static void free_op(struct op *op)
{
    if (op->kind == OP_SNAPSHOT) {
        timer_cancel(&op->retry);
    }
    list_remove(&op->link);
    buf_release(&op->body);
    free(op);
}

static void fail(struct raft_store *store, int error, const char *what)
{
    char message[256];
    if (store->failed) {
        return;
    }
    store->failed = true;
    snprintf(message, sizeof message,
             "%s: %s failed: %s. Nothing more can be promised on this disk: check it, then start "
             "again",
             store->path, what, strerror(-error));
    store->events->failed(store->arg, error, message);
}

/* The operation in front is done. */
static void finish_op(struct raft_store *store)
{
    struct op *op = container_of(list_first(&store->ops), struct op, link);
    uint64_t ticket = op->ticket;
    free_op(op);
    store->events->written(store->arg, ticket);
}

static void go_on(struct raft_store *store)
{
    store->busy = false;
    free(store->buffer);
    store->buffer = NULL;
    advance(store);
}

static void start_job(struct raft_store *store, void (*run)(struct job *job),
                      void (*done)(struct job *job))
{
    store->run = run;
    store->done = done;
    job_start(store->loop, &store->job, run, done);
}

static void retry_job(struct timer *timer)
{
    struct raft_store *store = container_of(timer, struct raft_store, retry);
    job_start(store->loop, &store->job, store->run, store->done);
}

static void wait_for_space(struct raft_store *store, struct timer *retry)
{
    timer_set_in(retry, NS_PER_S);
    loop_defer(store->loop, LOOP_ADVANCE, &store->close_task);
}

/* ---- removing files ---------------------------------------------------------------------------*/

static void remove_next(struct raft_store *store);

static void removed(struct disk_request *req, int64_t result)
{
    struct raft_store *store = container_of(req, struct raft_store, remove);
    struct removal *removal = container_of(list_pop_front(&store->removals), struct removal, link);
    (void)result; /* it is tried again when the directory is opened */
    free(removal->path);
    free(removal);
    store->removing = false;
    remove_next(store);
    loop_defer(store->loop, LOOP_ADVANCE, &store->close_task);
}

/* One after the other: the oldest goes first, so that what is left has no gaps. */
static void remove_next(struct raft_store *store)
{
    struct list *first = list_first(&store->removals);
    if (first != NULL && !store->removing) {
        store->removing = true;
        disk_unlink(store->loop, &store->remove, container_of(first, struct removal, link)->path,
                    removed);
    }
}

/* Takes the path over. */
static void remove_file(struct raft_store *store, char *path)
{
    struct removal *removal = mem_zalloc(sizeof *removal);
    removal->path = path;
    list_push_back(&store->removals, &removal->link);
    remove_next(store);
}

/* Drops the first segments that hold nothing at or above `keep_from`, never the last one. */
static void trim(struct raft_store *store, uint64_t keep_from)
{
    struct raft_load *load = &store->load;
    size_t n = 0;
    while (n + 1 < load->n_segments && load->segments[n].last_index < keep_from) {
        remove_file(store, load->segments[n].path);
        n++;
    }
    if (n > 0) {
        load->n_segments -= n;
        memmove(load->segments, load->segments + n, load->n_segments * sizeof *load->segments);
    }
}

/* ---- votes ------------------------------------------------------------------------------------*/

static void vote_written(struct disk_request *req, int64_t result);

static void write_vote_slot(struct raft_store *store)
{
    store->iov[0] = (struct iovec){ store->buffer, RAFT_BLOCK };
    disk_write(store->loop, &store->write, store->load.vote_file, store->iov, 1,
               (uint64_t)store->vote_slot * RAFT_BLOCK, vote_written);
}

/* The second slot is written when the first is durable, so that one of them is always whole. */
static void vote_written(struct disk_request *req, int64_t result)
{
    struct raft_store *store = container_of(req, struct raft_store, write);
    if (result < 0) {
        fail(store, (int)result, "writing the vote");
    } else if (store->vote_slot == 0) {
        store->vote_slot = 1;
        write_vote_slot(store);
        return;
    } else {
        finish_op(store);
    }
    go_on(store);
}

static void run_make_vote(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    store->job_error = raft_vote_create(store->path, &store->vote, &store->load.vote_file);
}

static void vote_made(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    if (store->job_error == -ENOSPC) {
        wait_for_space(store, &store->retry);
        return;
    }
    if (store->job_error != 0) {
        fail(store, store->job_error, "making the vote's file");
    } else {
        finish_op(store);
    }
    go_on(store);
}

/* The first vote makes the file: a directory without it has promised nothing. */
static void write_vote(struct raft_store *store, const struct op *op)
{
    store->vote = (struct raft_vote_head){ .identity = store->load.state.identity,
                                           .sequence = ++store->load.vote_sequence,
                                           .term = op->term, .vote = op->vote };
    if (store->load.vote_file == NULL) {
        start_job(store, run_make_vote, vote_made);
        return;
    }
    store->buffer = mem_alloc_aligned(RAFT_BLOCK, RAFT_BLOCK);
    memset(store->buffer, 0, RAFT_BLOCK);
    raft_vote_put(&store->vote, store->buffer);
    store->vote_slot = 0;
    write_vote_slot(store);
}

/* ---- groups of entries ------------------------------------------------------------------------*/

static struct raft_segment *last_segment(struct raft_store *store)
{
    struct raft_load *load = &store->load;
    return load->n_segments > 0 ? &load->segments[load->n_segments - 1] : NULL;
}

/* Which entries that wait follow one another, and go out as one group. */
static struct raft_group_head plan_group(struct raft_store *store)
{
    const struct op *first = container_of(list_first(&store->ops), struct op, link);
    struct raft_group_head head = { .sequence = store->load.next_sequence,
                                    .first_index = first->first };
    store->group_ops = 0;
    list_each (it, &store->ops) {
        const struct op *op = container_of(it, struct op, link);
        if (op->kind != OP_LOG || op->first != head.first_index + head.n ||
            (head.n > 0 && head.body_len + op->body.len > GROUP_BYTES_MAX)) {
            break;
        }
        head.n += op->n;
        head.body_len += op->body.len;
        store->group_ops++;
    }
    return head;
}

/* Fills the buffer with one copy of the group. */
static void encode_group(struct raft_store *store)
{
    struct buf body = { 0 };
    uint32_t n = 0;
    list_each (it, &store->ops) {
        const struct op *op = container_of(it, struct op, link);
        if (n++ == store->group_ops) {
            break;
        }
        buf_put(&body, op->body.data, op->body.len);
    }
    store->buffer = mem_alloc_aligned(RAFT_BLOCK, raft_copy_len(body.len));
    raft_group_put(&store->group, buf_bytes(&body), store->buffer);
    buf_release(&body);
}

/* The group is on its way into the last segment. */
static void group_placed(struct raft_store *store)
{
    struct raft_segment *segment = last_segment(store);
    const struct raft_group_head *group = &store->group;
    segment->end += 2 * raft_copy_len(group->body_len);
    segment->last_index = max_u64(segment->last_index, group->first_index + group->n - 1);
    store->load.next_sequence++;
}

static void finish_group(struct raft_store *store)
{
    for (uint32_t n = store->group_ops; n > 0; n--) {
        finish_op(store);
    }
}

static void group_written(struct disk_request *req, int64_t result)
{
    struct raft_store *store = container_of(req, struct raft_store, write);
    if (result < 0) {
        fail(store, (int)result, "writing the log");
    } else {
        finish_group(store);
    }
    go_on(store);
}

static void write_group(struct raft_store *store)
{
    struct raft_segment *segment = last_segment(store);
    size_t len = raft_copy_len(store->group.body_len);
    store->group.salt = segment->head.salt;
    encode_group(store);
    store->iov[0] = store->iov[1] = (struct iovec){ store->buffer, len };
    disk_write(store->loop, &store->write, store->load.segment_file, store->iov, 2, segment->end,
               group_written);
    group_placed(store);
}

/* ---- segments ---------------------------------------------------------------------------------*/

static void run_make_segment(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    size_t len = raft_copy_len(store->group.body_len);
    store->job_error = raft_segment_create(store->path, &store->new_segment,
                                           bytes_of(store->buffer, len), &store->new_path,
                                           &store->new_file);
}

static void segment_made(struct job *job)
{
    struct raft_store *store = container_of(job, struct raft_store, job);
    struct raft_load *load = &store->load;
    if (store->job_error == -ENOSPC) {
        wait_for_space(store, &store->retry);
        return;
    }
    if (store->job_error != 0) {
        fail(store, store->job_error, "making a file of the log");
        go_on(store);
        return;
    }
    struct raft_segment *last = last_segment(store);
    if (last != NULL && last->head.first_sequence == store->new_segment.first_sequence) {
        free(last->path); /* it was empty, and has been replaced */
        load->n_segments--;
    }
    disk_close(store->loop, load->segment_file);
    load->segment_file = store->new_file;
    load->segments = mem_grow(load->segments, &load->segments_cap, load->n_segments + 1,
                              sizeof *load->segments);
    load->segments[load->n_segments++] = (struct raft_segment){
        .path = store->new_path, .head = store->new_segment, .end = 2 * RAFT_BLOCK,
        .last_index = store->new_segment.first_index - 1 };
    if (store->new_segment.restart) {
        trim(store, UINT64_MAX);
        load->restart = false;
    }
    group_placed(store);
    finish_group(store);
    go_on(store);
}

/* A new segment, with its first group. */
static void make_segment(struct raft_store *store)
{
    uint64_t need = 2 * RAFT_BLOCK + 2 * raft_copy_len(store->group.body_len);
    store->new_segment = (struct raft_segment_head){
        .directory = store->load.state.identity.directory, .salt = prng_u64(&store->salts),
        .first_sequence = store->group.sequence, .first_index = store->group.first_index,
        .capacity = max_u64(need, SEGMENT_BYTES), .restart = store->load.restart };
    store->group.salt = store->new_segment.salt;
    encode_group(store);
    start_job(store, run_make_segment, segment_made);
}

static void write_entries(struct raft_store *store)
{
    const struct raft_segment *segment = last_segment(store);
    store->group = plan_group(store);
    if (segment == NULL || store->load.restart ||
        2 * raft_copy_len(store->group.body_len) > segment->head.capacity - segment->end) {
        make_segment(store);
    } else {
        write_group(store);
    }
}

/* ---- snapshots --------------------------------------------------------------------------------*/

static void start_taken(struct raft_store *store);

static void run_write_snapshot(struct job *job)
{
    struct op *op = container_of(job, struct op, job);
    char *path = raft_snapshot_path(op->store->path, op->index);
    op->error = file_replace(path, buf_bytes(&op->body));
    free(path);
}

static void snapshot_done(struct raft_store *store, const struct op *op)
{
    struct raft_load *load = &store->load;
    if (load->snapshot_path != NULL) {
        remove_file(store, load->snapshot_path);
    }
    load->snapshot_path = raft_snapshot_path(store->path, op->index);
    load->snapshot_bytes = op->body.len;
    if (op->install) {
        load->restart = load->n_segments > 0;
    } else {
        trim(store, op->keep_from);
    }
}

static void snapshot_written(struct job *job)
{
    struct op *op = container_of(job, struct op, job);
    struct raft_store *store = op->store;
    if (op->error == -ENOSPC) {
        wait_for_space(store, &op->retry);
        return;
    }
    if (op->error != 0) {
        fail(store, op->error, "writing a snapshot");
    } else {
        snapshot_done(store, op);
    }
    if (op->install) {
        if (!store->failed) {
            finish_op(store);
        }
        go_on(store);
        return;
    }
    uint64_t ticket = op->ticket;
    store->taking = NULL;
    free_op(op);
    if (!store->failed) {
        store->events->written(store->arg, ticket);
    }
    start_taken(store);
    advance(store);
}

static void retry_snapshot(struct timer *timer)
{
    struct op *op = container_of(timer, struct op, retry);
    job_start(op->store->loop, &op->job, run_write_snapshot, snapshot_written);
}

/* The snapshots taken here, one after the other; one from a leader waits for them, being newer. */
static void start_taken(struct raft_store *store)
{
    struct list *first = store->taking == NULL ? list_pop_front(&store->taken) : NULL;
    if (first != NULL) {
        store->taking = container_of(first, struct op, link);
        job_start(store->loop, &store->taking->job, run_write_snapshot, snapshot_written);
    }
}

/* ---- the queue --------------------------------------------------------------------------------*/

static void start_op(struct raft_store *store, struct op *op)
{
    store->busy = true;
    switch (op->kind) {
    case OP_VOTE:
        write_vote(store, op);
        break;
    case OP_LOG:
        write_entries(store);
        break;
    case OP_SNAPSHOT:
        job_start(store->loop, &op->job, run_write_snapshot, snapshot_written);
        break;
    }
}

static void advance(struct raft_store *store)
{
    struct list *first = list_first(&store->ops);
    if (first != NULL && !store->busy && !store->failed) {
        struct op *op = container_of(first, struct op, link);
        if (op->kind != OP_SNAPSHOT || store->taking == NULL) {
            start_op(store, op);
        }
    }
    loop_defer(store->loop, LOOP_ADVANCE, &store->close_task);
}

static struct op *new_op(struct raft_store *store, enum op_kind kind, uint64_t ticket)
{
    struct op *op = mem_zalloc(sizeof *op);
    op->store = store;
    op->kind = kind;
    op->ticket = ticket;
    list_init(&op->link);
    return op;
}

void raft_store_save_vote(struct raft_store *store, uint64_t ticket, uint64_t term, uint64_t vote)
{
    struct op *op = new_op(store, OP_VOTE, ticket);
    op->term = term;
    op->vote = vote;
    list_push_back(&store->ops, &op->link);
    advance(store);
}

void raft_store_write_log(struct raft_store *store, uint64_t ticket, uint64_t first,
                          const struct raft_item *items, size_t n)
{
    struct op *op = new_op(store, OP_LOG, ticket);
    op->first = first;
    op->n = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        raft_entry_put(&items[i], &op->body);
    }
    list_push_back(&store->ops, &op->link);
    advance(store);
}

void raft_store_write_snapshot(struct raft_store *store, uint64_t ticket,
                               const struct raft_image *snapshot, uint64_t keep_from, bool install)
{
    struct op *op = new_op(store, OP_SNAPSHOT, ticket);
    op->index = snapshot->index;
    op->keep_from = keep_from;
    op->install = install;
    timer_init(&op->retry, store->loop, retry_snapshot);
    raft_snapshot_put(&store->load.state.identity.directory, snapshot, &op->body);
    list_push_back(install ? &store->ops : &store->taken, &op->link);
    start_taken(store);
    advance(store);
}

/* ---- closing ----------------------------------------------------------------------------------*/

static bool waits_for_space(const struct op *op)
{
    return op->kind == OP_SNAPSHOT && timer_is_set(&op->retry);
}

/* Nothing is under way: everything is done, or what is left is given up, because the store failed
 * or waits for space on the disk. */
static bool is_idle(const struct raft_store *store)
{
    const struct list *first = list_first(&store->ops);
    bool front_rests = !store->busy || timer_is_set(&store->retry) ||
                       (first != NULL && waits_for_space(container_of(first, struct op, link)));
    bool taking_rests = store->taking == NULL || waits_for_space(store->taking);
    bool nothing_left = first == NULL && list_empty(&store->taken);
    bool given_up = store->failed || store->busy || store->taking != NULL;
    return front_rests && taking_rests && !store->removing && (nothing_left || given_up);
}

static void check_closed(struct loop_task *task)
{
    struct raft_store *store = container_of(task, struct raft_store, close_task);
    if (store->closed != NULL && is_idle(store)) {
        void (*closed)(void *arg) = store->closed;
        store->closed = NULL;
        closed(store->closed_arg);
    }
}

void raft_store_close(struct raft_store *store, void (*closed)(void *arg), void *arg)
{
    store->closed = closed;
    store->closed_arg = arg;
    loop_defer(store->loop, LOOP_ADVANCE, &store->close_task);
}

static void free_ops(struct list *ops)
{
    list_each (it, ops) {
        free_op(container_of(it, struct op, link));
    }
}

void raft_store_free(struct raft_store *store)
{
    loop_task_cancel(&store->close_task);
    timer_cancel(&store->retry);
    free_ops(&store->ops);
    free_ops(&store->taken);
    if (store->taking != NULL) {
        free_op(store->taking);
    }
    list_each (it, &store->removals) {
        struct removal *removal = container_of(it, struct removal, link);
        free(removal->path);
        free(removal);
    }
    raft_load_release(&store->load);
    free(store->buffer);
    free(store->path);
    free(store);
}

uint64_t raft_store_bytes(const struct raft_store *store)
{
    uint64_t total = 2 * RAFT_BLOCK + store->load.snapshot_bytes;
    for (size_t i = 0; i < store->load.n_segments; i++) {
        total += store->load.segments[i].head.capacity;
    }
    return total;
}
