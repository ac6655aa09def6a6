/* The io_uring backend of the disk requests.
 *
 * Requests of a turn become submission entries; ring_submit(), called right before the loop sleeps,
 * hands them to the kernel with one system call. The ring's descriptor is polled by the loop like a
 * socket; when it is readable, every completion there is gets handled in one place. A request may
 * take several entries: transfers that were cut short, the second open without O_DIRECT, the
 * fdatasync behind a buffered durable write.
 *
 * What can go wrong:
 * - The kernel forbids io_uring or lacks an operation: the pool does it (see disk.c).
 * - COOP_TASKRUN needs Linux 5.19, SINGLE_ISSUER 6.0: older kernels get fewer flags. DEFER_TASKRUN
 *   is not used: with it, polling the ring's descriptor hangs.
 * - The kernel runs what blocks on worker threads of its own, and durable writes may block too.
 *   So background requests in flight are capped below the number of workers, as in the pool.
 * - The submission queue holds all requests that the caps let in flight: it is never full. */
#include "disk_op.h"

#include <chronik/io/timer.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>

enum {
    RING_ENTRIES = 256, /* at least all caps together */
    RING_WORKERS = 64,  /* kernel threads for what blocks; they exist only while needed */
};

/* Requests in flight, by lane. The rest of the workers is for durable writes. */
static const unsigned CAPS[LANES] = { [LANE_DISK] = 48, [LANE_DURABLE] = 128 };

struct ring {
    struct io_uring uring;
    uv_poll_t poll;
    struct timer retry;
    unsigned running[LANES];
    struct list waiting[LANES];
    uint32_t kinds; /* bit set of what this kernel's ring can do */
};

/* ---- entries and completions, by kind ---------------------------------------------------------*/

static void prepare_open(struct io_uring_sqe *sqe, struct disk_op *op)
{
    int os_flags = file_open_flags(op->flags, op->direct);
    io_uring_prep_openat(sqe, AT_FDCWD, op->path, os_flags, FILE_MODE);
}

static bool opened(struct disk_op *op, int res)
{
    if (res == -EINVAL && op->direct) {
        op->direct = false;
        return false;
    }
    if (res >= 0) {
        *op->ret_file = file_of(res, op->flags, op->direct);
        op->result = 0;
    }
    return true;
}

static void prepare_close(struct io_uring_sqe *sqe, struct disk_op *op)
{
    io_uring_prep_close(sqe, op->file->fd);
}

static bool closed(struct disk_op *op, int res)
{
    (void)res;
    free(op->file);
    return true;
}

static void prepare_read(struct io_uring_sqe *sqe, struct disk_op *op)
{
    if (transfer_complete(&op->transfer)) {
        io_uring_prep_nop(sqe);
        return;
    }
    unsigned n;
    const struct iovec *iov = transfer_offer(&op->transfer, &n);
    io_uring_prep_read(sqe, op->file->fd, iov->iov_base, (unsigned)iov->iov_len, op->transfer.at);
}

static bool have_read(struct disk_op *op, int res)
{
    struct transfer *t = &op->transfer;
    if (res < 0) {
        return true;
    }
    transfer_advance(t, (size_t)res);
    int end = transfer_complete(t) ? 1 : transfer_at_end(t, op->file, (size_t)res);
    op->result = end < 0 ? end : (int64_t)t->moved;
    return end != 0;
}

static void prepare_write(struct io_uring_sqe *sqe, struct disk_op *op)
{
    int fd = op->file->fd;
    if (op->syncing) {
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        return;
    }
    if (transfer_complete(&op->transfer)) {
        io_uring_prep_nop(sqe);
        return;
    }
    unsigned n;
    const struct iovec *iov = transfer_offer(&op->transfer, &n);
    if (n == 1) {
        io_uring_prep_write(sqe, fd, iov->iov_base, (unsigned)iov->iov_len, op->transfer.at);
    } else {
        io_uring_prep_writev(sqe, fd, iov, n, op->transfer.at);
    }
}

static bool written(struct disk_op *op, int res)
{
    struct transfer *t = &op->transfer;
    if (res < 0 || op->syncing) {
        return true;
    }
    if (res == 0 && !transfer_complete(t)) {
        op->result = -EIO;
        return true;
    }
    transfer_advance(t, (size_t)res);
    op->result = 0;
    op->syncing = transfer_complete(t) && op->file->durable && !op->file->direct;
    return transfer_complete(t) && !op->syncing;
}

static void prepare_sync(struct io_uring_sqe *sqe, struct disk_op *op)
{
    op->syncing = true;
    io_uring_prep_fsync(sqe, op->file->fd, IORING_FSYNC_DATASYNC);
}

static void prepare_rename(struct io_uring_sqe *sqe, struct disk_op *op)
{
    io_uring_prep_renameat(sqe, AT_FDCWD, op->path, AT_FDCWD, op->to_path, 0);
}

static void prepare_unlink(struct io_uring_sqe *sqe, struct disk_op *op)
{
    io_uring_prep_unlinkat(sqe, AT_FDCWD, op->path, op->kind == DISK_RMDIR ? AT_REMOVEDIR : 0);
}

static void prepare_mkdir(struct io_uring_sqe *sqe, struct disk_op *op)
{
    io_uring_prep_mkdirat(sqe, AT_FDCWD, op->path, DIR_MODE);
}

/* Kinds without `prepare` always go to the pool: io_uring learned to truncate late, and the sync of
 * a directory is three calls. `completed` says whether the request is done or needs another entry;
 * NULL: one entry is all. */
static const struct {
    uint8_t opcode;
    void (*prepare)(struct io_uring_sqe *sqe, struct disk_op *op);
    bool (*completed)(struct disk_op *op, int res);
} KINDS[DISK_KINDS] = {
    [DISK_OPEN] = { IORING_OP_OPENAT, prepare_open, opened },
    [DISK_CLOSE] = { IORING_OP_CLOSE, prepare_close, closed },
    [DISK_READ] = { IORING_OP_READ, prepare_read, have_read },
    [DISK_WRITE] = { IORING_OP_WRITE, prepare_write, written },
    [DISK_SYNC] = { IORING_OP_FSYNC, prepare_sync, NULL },
    [DISK_RENAME] = { IORING_OP_RENAMEAT, prepare_rename, NULL },
    [DISK_UNLINK] = { IORING_OP_UNLINKAT, prepare_unlink, NULL },
    [DISK_MKDIR] = { IORING_OP_MKDIRAT, prepare_mkdir, NULL },
    [DISK_RMDIR] = { IORING_OP_UNLINKAT, prepare_unlink, NULL },
};

/* ---- the queues -------------------------------------------------------------------------------*/

static void add_entry(struct ring *ring, struct disk_op *op)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    check(sqe != NULL);
    KINDS[op->kind].prepare(sqe, op);
    io_uring_sqe_set_data(sqe, op);
}

static void let_in(struct ring *ring, enum lane lane)
{
    while (ring->running[lane] < CAPS[lane] && !list_empty(&ring->waiting[lane])) {
        struct list *link = list_pop_front(&ring->waiting[lane]);
        ring->running[lane]++;
        add_entry(ring, container_of(link, struct disk_op, work.link));
    }
}

bool ring_start(struct ring *ring, struct disk_op *op)
{
    if ((ring->kinds & (UINT32_C(1) << op->kind)) == 0) {
        return false;
    }
    list_push_back(&ring->waiting[op->work.lane], &op->work.link);
    let_in(ring, op->work.lane);
    return true;
}

static void handle(struct ring *ring, struct disk_op *op, int res)
{
    /* A sync that failed, in whatever way, is never tried again. */
    bool interrupted = (res == -EINTR || res == -EAGAIN) && !op->syncing;
    op->result = res;
    if (interrupted || (KINDS[op->kind].completed && !KINDS[op->kind].completed(op, res))) {
        add_entry(ring, op);
        return;
    }
    enum lane lane = op->work.lane;
    ring->running[lane]--;
    let_in(ring, lane);
    disk_complete(op);
}

static void drain(struct ring *ring)
{
    for (struct io_uring_cqe *cqe; io_uring_peek_cqe(&ring->uring, &cqe) == 0;) {
        struct disk_op *op = io_uring_cqe_get_data(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&ring->uring, cqe);
        handle(ring, op, res);
    }
}

static void polled(uv_poll_t *poll, int status, int events)
{
    (void)events;
    check(status == 0);
    drain(container_of(poll, struct ring, poll));
}

static void retry(struct timer *timer)
{
    (void)timer; /* the turn that it starts ends with ring_submit() */
}

void ring_submit(struct ring *ring)
{
    while (io_uring_sq_ready(&ring->uring) > 0) {
        int n = io_uring_submit(&ring->uring);
        if (n == -EAGAIN || n == -EBUSY || n == -ENOMEM) {
            timer_set_in(&ring->retry, NS_PER_MS); /* the kernel is short of memory */
            return;
        }
        check(n >= 0 || n == -EINTR);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

static int set_up(struct io_uring *uring)
{
    static const unsigned FLAGS[] = {
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
        0,
    };
    int err = -EINVAL;
    for (unsigned i = 0; i < countof(FLAGS) && err == -EINVAL; i++) {
        struct io_uring_params params = { .flags = FLAGS[i] };
        err = io_uring_queue_init_params(RING_ENTRIES, uring, &params);
    }
    return err;
}

static uint32_t probe_kinds(struct io_uring *uring)
{
    uint32_t kinds = 0;
    struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
    for (unsigned kind = 0; probe != NULL && kind < DISK_KINDS; kind++) {
        if (KINDS[kind].prepare && io_uring_opcode_supported(probe, KINDS[kind].opcode)) {
            kinds |= UINT32_C(1) << kind;
        }
    }
    io_uring_free_probe(probe);
    return kinds;
}

int ring_open(struct loop *loop)
{
    const uint32_t needed = UINT32_C(1) << DISK_READ | UINT32_C(1) << DISK_WRITE;
    struct ring *ring = mem_zalloc(sizeof *ring);
    int err = set_up(&ring->uring);
    if (err != 0) {
        free(ring);
        return err;
    }
    ring->kinds = probe_kinds(&ring->uring);
    if ((ring->kinds & needed) != needed) {
        io_uring_queue_exit(&ring->uring);
        free(ring);
        return -ENOSYS;
    }
    /* Refused by old kernels: then they have as many workers as they like. */
    io_uring_register_iowq_max_workers(&ring->uring, (unsigned[]){ RING_WORKERS, 0 });

    for (unsigned lane = 0; lane < LANES; lane++) {
        list_init(&ring->waiting[lane]);
    }
    timer_init(&ring->retry, loop, retry);
    check(uv_poll_init(&loop->uv, &ring->poll, ring->uring.ring_fd) == 0);
    check(uv_poll_start(&ring->poll, UV_READABLE, polled) == 0);
    loop->ring = ring;
    return 0;
}

static void free_ring(uv_handle_t *poll)
{
    free(container_of(poll, struct ring, poll));
}

void ring_close(struct loop *loop)
{
    struct ring *ring = loop->ring;
    while (ring->running[LANE_DISK] + ring->running[LANE_DURABLE] > 0) {
        io_uring_submit_and_wait(&ring->uring, 1); /* files that are still closing */
        drain(ring);
    }
    timer_cancel(&ring->retry);
    uv_close((uv_handle_t *)&ring->poll, free_ring);
    io_uring_queue_exit(&ring->uring);
    loop->ring = NULL;
}
