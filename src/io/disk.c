/* Disk requests: what they have in common, and the thread-pool backend.
 *
 * A request becomes a `disk_op`, which goes to the ring, or, where there is no ring or the kernel's
 * ring does not know the operation, to a pool thread that runs the blocking call of io/file.h.
 * Either way disk_complete() is called in the events step. In both backends requests on durable
 * files have a lane of their own: they wait for nothing else. */
#include "disk_op.h"

/* ---- on a pool thread -------------------------------------------------------------------------*/

static int64_t run_open(struct disk_op *op)
{
    return file_open(op->path, op->flags, op->ret_file);
}

static int64_t run_close(struct disk_op *op)
{
    file_close(op->file);
    return 0;
}

static int64_t run_read(struct disk_op *op)
{
    return file_readv_at(op->file, op->transfer.iov, op->transfer.n, op->transfer.at);
}

static int64_t run_write(struct disk_op *op)
{
    return file_writev_at(op->file, op->transfer.iov, op->transfer.n, op->transfer.at);
}

static int64_t run_sync(struct disk_op *op)
{
    return file_sync(op->file);
}

static int64_t run_truncate(struct disk_op *op)
{
    return file_truncate(op->file, op->len);
}

static int64_t run_rename(struct disk_op *op)
{
    return file_rename(op->path, op->to_path);
}

static int64_t run_unlink(struct disk_op *op)
{
    return file_remove(op->path);
}

static int64_t run_mkdir(struct disk_op *op)
{
    return dir_make(op->path);
}

static int64_t run_rmdir(struct disk_op *op)
{
    return dir_remove(op->path);
}

static int64_t run_sync_dir(struct disk_op *op)
{
    return dir_sync(op->path);
}

static int64_t (*const RUN[DISK_KINDS])(struct disk_op *op) = {
    [DISK_OPEN] = run_open,     [DISK_CLOSE] = run_close,       [DISK_READ] = run_read,
    [DISK_WRITE] = run_write,   [DISK_SYNC] = run_sync,         [DISK_TRUNCATE] = run_truncate,
    [DISK_RENAME] = run_rename, [DISK_UNLINK] = run_unlink,     [DISK_MKDIR] = run_mkdir,
    [DISK_RMDIR] = run_rmdir,   [DISK_SYNC_DIR] = run_sync_dir,
};

static void run_on_thread(struct work *work)
{
    struct disk_op *op = container_of(work, struct disk_op, work);
    op->result = RUN[op->kind](op);
}

static void ran_on_thread(struct work *work)
{
    disk_complete(container_of(work, struct disk_op, work));
}

/* ---- in common --------------------------------------------------------------------------------*/

static struct disk_op *new_op(enum disk_kind kind, struct disk_request *req, disk_done *done)
{
    struct disk_op *op = mem_zalloc(sizeof *op);
    op->kind = kind;
    op->req = req;
    if (req != NULL) {
        req->done = done;
        req->op = op;
    }
    return op;
}

static void start(struct loop *loop, struct disk_op *op)
{
    bool durable = op->file != NULL ? op->file->durable : (op->flags & FILE_DURABLE) != 0;
    op->work.lane = durable ? LANE_DURABLE : LANE_DISK;
    if (loop->ring == NULL || !ring_start(loop->ring, op)) {
        pool_start(loop, &op->work, op->work.lane, run_on_thread, ran_on_thread);
    }
}

void disk_complete(struct disk_op *op)
{
    struct disk_request *req = op->req;
    int64_t result = op->result;

    free(op->path);
    free(op->to_path);
    free(op);
    if (req != NULL) {
        req->op = NULL;
        req->done(req, result);
    }
}

/* What O_DIRECT asks for, asked for everywhere, so that a mistake shows on any file system. */
static void check_aligned(const struct file *file, const struct iovec *iov, unsigned n, uint64_t at)
{
    if (file->durable) {
        check(at % FILE_BLOCK == 0);
        for (unsigned i = 0; i < n; i++) {
            check((uintptr_t)iov[i].iov_base % FILE_BLOCK == 0);
            check(iov[i].iov_len % FILE_BLOCK == 0);
        }
    }
}

/* ---- the requests -----------------------------------------------------------------------------*/

void disk_open(struct loop *loop, struct disk_request *req, const char *path, unsigned flags,
               struct file **ret_file, disk_done *done)
{
    struct disk_op *op = new_op(DISK_OPEN, req, done);
    op->path = mem_strdup(path);
    op->flags = flags;
    op->direct = flags & FILE_DURABLE;
    op->ret_file = ret_file;
    start(loop, op);
}

void disk_close(struct loop *loop, struct file *file)
{
    if (file != NULL) {
        struct disk_op *op = new_op(DISK_CLOSE, NULL, NULL);
        op->file = file;
        start(loop, op);
    }
}

void disk_read(struct loop *loop, struct disk_request *req, struct file *file, void *to, size_t len,
               uint64_t at, disk_done *done)
{
    struct disk_op *op = new_op(DISK_READ, req, done);
    op->file = file;
    op->single = (struct iovec){ to, len };
    check_aligned(file, &op->single, 1, at);
    transfer_start(&op->transfer, &op->single, 1, at);
    start(loop, op);
}

void disk_write(struct loop *loop, struct disk_request *req, struct file *file,
                const struct iovec *iov, unsigned n, uint64_t at, disk_done *done)
{
    struct disk_op *op = new_op(DISK_WRITE, req, done);
    op->file = file;
    check_aligned(file, iov, n, at);
    transfer_start(&op->transfer, iov, n, at);
    start(loop, op);
}

void disk_sync(struct loop *loop, struct disk_request *req, struct file *file, disk_done *done)
{
    struct disk_op *op = new_op(DISK_SYNC, req, done);
    op->file = file;
    start(loop, op);
}

void disk_truncate(struct loop *loop, struct disk_request *req, struct file *file, uint64_t len,
                   disk_done *done)
{
    struct disk_op *op = new_op(DISK_TRUNCATE, req, done);
    op->file = file;
    op->len = len;
    start(loop, op);
}

static void start_on_path(struct loop *loop, enum disk_kind kind, struct disk_request *req,
                          const char *path, disk_done *done)
{
    struct disk_op *op = new_op(kind, req, done);
    op->path = mem_strdup(path);
    start(loop, op);
}

void disk_rename(struct loop *loop, struct disk_request *req, const char *from, const char *to,
                 disk_done *done)
{
    struct disk_op *op = new_op(DISK_RENAME, req, done);
    op->path = mem_strdup(from);
    op->to_path = mem_strdup(to);
    start(loop, op);
}

void disk_unlink(struct loop *loop, struct disk_request *req, const char *path, disk_done *done)
{
    start_on_path(loop, DISK_UNLINK, req, path, done);
}

void disk_mkdir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done)
{
    start_on_path(loop, DISK_MKDIR, req, path, done);
}

void disk_rmdir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done)
{
    start_on_path(loop, DISK_RMDIR, req, path, done);
}

void disk_sync_dir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done)
{
    start_on_path(loop, DISK_SYNC_DIR, req, path, done);
}
