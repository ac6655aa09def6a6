/* Requests to the drive: each takes its time, then has its effect, then is reported.
 *
 * With io_uring many are under way at once and end in any order; with the thread pool only as many
 * as it has threads. Requests on durable files never wait for others. A process that dies while one
 * is under way does not stop it: it may still have its effect, or half of it. */
#include <errno.h>

#include "io_inside.h"

enum lane { LANE_DISK, LANE_DURABLE };

enum disk_kind {
    DISK_OPEN,
    DISK_CLOSE,
    DISK_READ,
    DISK_WRITE,
    DISK_SYNC,
    DISK_TRUNCATE,
    DISK_RENAME,
    DISK_UNLINK,
    DISK_MKDIR,
    DISK_RMDIR,
    DISK_SYNC_DIR,
    DISK_KINDS
};

struct disk_op {
    struct list link; /* in machine->ops, in order of their start */
    struct loop *loop;
    enum disk_kind kind;
    enum lane lane;
    struct disk_request *req; /* NULL: nobody waits for it */
    struct file *file;
    const struct iovec *iov;
    struct iovec single; /* of a read */
    unsigned n;
    uint64_t at, len;
    char *path, *to_path;
    unsigned flags;
    struct file **ret_file;

    bool started;
    uint64_t seq; /* what a sync covers */
    int error;    /* of the drive */
    int64_t result;
    struct event effect;
    struct ready report;
};

static const enum drive_work WORK[DISK_KINDS] = {
    [DISK_OPEN] = DRIVE_NAMES,   [DISK_CLOSE] = DRIVE_NAMES,   [DISK_READ] = DRIVE_READ,
    [DISK_WRITE] = DRIVE_WRITE,  [DISK_SYNC] = DRIVE_SYNC,     [DISK_TRUNCATE] = DRIVE_NAMES,
    [DISK_RENAME] = DRIVE_NAMES, [DISK_UNLINK] = DRIVE_NAMES,  [DISK_MKDIR] = DRIVE_NAMES,
    [DISK_RMDIR] = DRIVE_NAMES,  [DISK_SYNC_DIR] = DRIVE_SYNC,
};

/* ---- what they do -----------------------------------------------------------------------------*/

static size_t length_of(const struct disk_op *op)
{
    size_t len = 0;
    for (unsigned i = 0; i < op->n; i++) {
        len += op->iov[i].iov_len;
    }
    return len;
}

static int64_t do_open(struct disk_op *op)
{
    return file_open_now(op->loop->machine, op->path, op->flags, op->ret_file);
}

static int64_t do_close(struct disk_op *op)
{
    file_close(op->file);
    return 0;
}

static int64_t do_read(struct disk_op *op)
{
    return (int64_t)inode_read(op->file->inode, op->iov->iov_base, op->iov->iov_len, op->at);
}

static int64_t do_write(struct disk_op *op)
{
    uint64_t at = op->at;
    int err = 0;
    for (unsigned i = 0; i < op->n && err == 0; i++) {
        err = file_write_now(op->file, op->iov[i].iov_base, op->iov[i].iov_len, at);
        at += op->iov[i].iov_len;
    }
    return err;
}

static int64_t do_sync(struct disk_op *op)
{
    return file_sync_now(op->file, op->seq, 0);
}

static int64_t do_truncate(struct disk_op *op)
{
    return drive_truncate(&op->loop->machine->drive, op->file->inode, op->len);
}

static int64_t do_rename(struct disk_op *op)
{
    return drive_rename(&op->loop->machine->drive, op->path, op->to_path);
}

static int64_t do_remove(struct disk_op *op)
{
    return drive_remove(&op->loop->machine->drive, op->path, op->kind == DISK_RMDIR);
}

static int64_t do_mkdir(struct disk_op *op)
{
    return drive_create(&op->loop->machine->drive, op->path, true, NULL);
}

static int64_t do_sync_dir(struct disk_op *op)
{
    struct drive *drive = &op->loop->machine->drive;
    struct inode *dir = drive_find(drive, op->path);
    if (dir == NULL) {
        return -ENOENT;
    }
    drive_sync_names(drive, dir, op->seq);
    return 0;
}

static int64_t (*const DO[DISK_KINDS])(struct disk_op *op) = {
    [DISK_OPEN] = do_open,     [DISK_CLOSE] = do_close,       [DISK_READ] = do_read,
    [DISK_WRITE] = do_write,   [DISK_SYNC] = do_sync,         [DISK_TRUNCATE] = do_truncate,
    [DISK_RENAME] = do_rename, [DISK_UNLINK] = do_remove,     [DISK_MKDIR] = do_mkdir,
    [DISK_RMDIR] = do_remove,  [DISK_SYNC_DIR] = do_sync_dir,
};

/* What an error of the drive leaves behind. */
static void spoil(struct disk_op *op)
{
    if (op->kind == DISK_WRITE) {
        file_write_cut(op->file, op->iov, op->n, op->at);
    } else if (op->kind == DISK_SYNC) {
        file_sync_now(op->file, op->seq, op->error);
    }
}

/* ---- their way --------------------------------------------------------------------------------*/

static void start_some(struct machine *machine);

static void op_free(struct disk_op *op)
{
    list_remove(&op->link);
    event_cancel(&op->effect);
    free(op->path);
    free(op->to_path);
    free(op);
}

static void report(struct ready *ready)
{
    struct disk_op *op = container_of(ready, struct disk_op, report);
    struct disk_request *req = op->req;
    int64_t result = op->result;
    op_free(op);
    if (req != NULL) {
        req->op = NULL;
        req->done(req, result);
    }
}

/* Files that it opens or closes are the process's; all else that it makes is the drive's. */
static void take_effect(struct event *event)
{
    struct disk_op *op = container_of(event, struct disk_op, effect);
    struct machine *machine = op->loop->machine;
    bool of_process = op->kind == DISK_OPEN || op->kind == DISK_CLOSE;
    struct machine *was = machine_enter(of_process ? machine : NULL);
    if (op->error != 0 && op->kind != DISK_CLOSE) {
        spoil(op);
        op->result = op->error;
    } else {
        op->result = DO[op->kind](op);
    }
    machine_leave(was);
    machine->running[op->lane]--;
    note_number((uint64_t)op->result);
    start_some(machine);
    loop_ready(op->loop, &op->report);
}

static unsigned cap(const struct loop *loop, enum lane lane)
{
    static const unsigned CAPS[][2] = {
        [LOOP_URING] = { [LANE_DISK] = 48, [LANE_DURABLE] = 128 },
        [LOOP_THREADS] = { [LANE_DISK] = 6, [LANE_DURABLE] = 128 },
    };
    return CAPS[loop->backend][lane];
}

static void start_some(struct machine *machine)
{
    list_each (it, &machine->ops) {
        struct disk_op *op = container_of(it, struct disk_op, link);
        if (machine->waiting_ops == 0) {
            return;
        }
        if (!op->started && machine->running[op->lane] < cap(op->loop, op->lane)) {
            struct drive_verdict verdict = drive_decide(machine, WORK[op->kind], length_of(op));
            op->started = true;
            op->error = verdict.error;
            op->seq = machine->drive.seq;
            machine->running[op->lane]++;
            machine->waiting_ops--;
            event_in(&op->effect, verdict.ns);
        }
    }
}

static struct disk_op *new_op(struct loop *loop, enum disk_kind kind, struct disk_request *req,
                              disk_done *done)
{
    struct memory *was = memory_enter(NULL);
    struct disk_op *op = mem_zalloc(sizeof *op);
    memory_enter(was);
    op->loop = loop;
    op->kind = kind;
    op->req = req;
    event_init(&op->effect, take_effect);
    ready_init(&op->report, report);
    if (req != NULL) {
        check(req->op == NULL);
        req->done = done;
        req->op = op;
    }
    return op;
}

static void start(struct disk_op *op)
{
    struct machine *machine = op->loop->machine;
    bool durable = op->file != NULL ? op->file->durable : (op->flags & FILE_DURABLE) != 0;
    op->lane = durable ? LANE_DURABLE : LANE_DISK;
    list_push_back(&machine->ops, &op->link);
    machine->waiting_ops++;
    start_some(machine);
}

bool machine_writes_durably(const struct machine *machine)
{
    return machine->running[LANE_DURABLE] > 0;
}

void disk_die(struct machine *machine)
{
    list_each (it, &machine->ops) {
        struct disk_op *op = container_of(it, struct disk_op, link);
        bool on_its_way = op->started && event_is_set(&op->effect);
        if (on_its_way && op->kind == DISK_WRITE) {
            file_write_cut(op->file, op->iov, op->n, op->at);
        } else if (on_its_way && op->kind >= DISK_TRUNCATE && op->kind < DISK_SYNC_DIR &&
                   chance(50)) {
            DO[op->kind](op);
        }
        op_free(op);
    }
    machine->running[LANE_DISK] = machine->running[LANE_DURABLE] = machine->waiting_ops = 0;
}

/* ---- the requests -----------------------------------------------------------------------------*/

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

static char *copy_path(const char *path)
{
    struct memory *was = memory_enter(NULL);
    char *copy = mem_strdup(path);
    memory_enter(was);
    return copy;
}

void disk_open(struct loop *loop, struct disk_request *req, const char *path, unsigned flags,
               struct file **ret_file, disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_OPEN, req, done);
    op->path = copy_path(path);
    op->flags = flags;
    op->ret_file = ret_file;
    start(op);
}

void disk_close(struct loop *loop, struct file *file)
{
    if (file != NULL) {
        struct disk_op *op = new_op(loop, DISK_CLOSE, NULL, NULL);
        op->file = file;
        start(op);
    }
}

void disk_read(struct loop *loop, struct disk_request *req, struct file *file, void *to, size_t len,
               uint64_t at, disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_READ, req, done);
    op->file = file;
    op->single = (struct iovec){ to, len };
    op->iov = &op->single;
    op->n = 1;
    op->at = at;
    check_aligned(file, op->iov, 1, at);
    start(op);
}

void disk_write(struct loop *loop, struct disk_request *req, struct file *file,
                const struct iovec *iov, unsigned n, uint64_t at, disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_WRITE, req, done);
    op->file = file;
    op->iov = iov;
    op->n = n;
    op->at = at;
    check_aligned(file, iov, n, at);
    start(op);
}

void disk_sync(struct loop *loop, struct disk_request *req, struct file *file, disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_SYNC, req, done);
    op->file = file;
    start(op);
}

void disk_truncate(struct loop *loop, struct disk_request *req, struct file *file, uint64_t len,
                   disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_TRUNCATE, req, done);
    op->file = file;
    op->len = len;
    start(op);
}

static void start_on_path(struct loop *loop, enum disk_kind kind, struct disk_request *req,
                          const char *path, disk_done *done)
{
    struct disk_op *op = new_op(loop, kind, req, done);
    op->path = copy_path(path);
    start(op);
}

void disk_rename(struct loop *loop, struct disk_request *req, const char *from, const char *to,
                 disk_done *done)
{
    struct disk_op *op = new_op(loop, DISK_RENAME, req, done);
    op->path = copy_path(from);
    op->to_path = copy_path(to);
    start(op);
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
