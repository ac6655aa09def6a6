/* Files, the asynchronous way: every request completes exactly once, in the events step.
 *
 * Requests gathered in a turn go to the kernel together, in one io_uring submission, or to the
 * thread pool where io_uring is refused. Reads and writes are whole: a short transfer is carried on
 * inside. Two requests on one file may complete in any order; whoever needs an order waits. Only so
 * many requests are under way at a time, the rest follows in order; those on FILE_DURABLE files are
 * counted apart and never wait for others.
 *
 * Memory: the request is embedded in whatever it belongs to and stays until `done`, as do buffers
 * and the array of iovecs; paths are copied. Close a file only when nothing is under way on it. */
#ifndef CHRONIK_IO_DISK_H
#define CHRONIK_IO_DISK_H

#include <chronik/io/file.h>
#include <chronik/io/loop.h>
#include <sys/uio.h>

struct disk_op;

struct disk_request {
    /* `result`: bytes for reads (fewer only at the end of the file), 0 for all else, or -errno. The
     * request may be used again, or freed, from here on. */
    void (*done)(struct disk_request *req, int64_t result);
    struct disk_op *op; /* of the backend; NULL when nothing is under way */
};

static inline bool disk_busy(const struct disk_request *req)
{
    return req->op != NULL;
}

typedef void disk_done(struct disk_request *req, int64_t result);

/* Opens a file: on success `*ret_file` is set before `done` is called. */
void disk_open(struct loop *loop, struct disk_request *req, const char *path, unsigned flags,
               struct file **ret_file, disk_done *done);

/* Closes without waiting, off the loop. NULL is fine. */
void disk_close(struct loop *loop, struct file *file);

/* Fills `to` from `at` on, up to the end of the file. */
void disk_read(struct loop *loop, struct disk_request *req, struct file *file, void *to, size_t len,
               uint64_t at, disk_done *done);

/* Writes the `n` pieces one after the other from `at` on. On a FILE_DURABLE file they are on stable
 * storage when the request completes with 0. */
void disk_write(struct loop *loop, struct disk_request *req, struct file *file,
                const struct iovec *iov, unsigned n, uint64_t at, disk_done *done);

/* As file_sync() and file_truncate(). */
void disk_sync(struct loop *loop, struct disk_request *req, struct file *file, disk_done *done);
void disk_truncate(struct loop *loop, struct disk_request *req, struct file *file, uint64_t len,
                   disk_done *done);

/* Names. None of them is durable before the directory is synced. */
void disk_rename(struct loop *loop, struct disk_request *req, const char *from, const char *to,
                 disk_done *done);
void disk_unlink(struct loop *loop, struct disk_request *req, const char *path, disk_done *done);
void disk_mkdir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done);
void disk_rmdir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done);
void disk_sync_dir(struct loop *loop, struct disk_request *req, const char *path, disk_done *done);

#endif
