/* Files, the blocking way: opening, whole reads and writes, syncs, whole-file helpers.
 *
 * The happy path of a write is one pwritev(2). What can go wrong: a call is interrupted or cut
 * short (it goes on where it stopped), the file system does not know O_DIRECT (opened without, and
 * fdatasync follows each write), or the device fails: that is reported, never tried again. */
#include <chronik/io/file.h>

#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- open and close ---------------------------------------------------------------------------*/

int file_open_flags(unsigned flags, bool direct)
{
    static const struct {
        unsigned flag;
        int os;
    } TABLE[] = {
        { FILE_CREATE, O_CREAT },
        { FILE_EXCLUSIVE, O_EXCL },
        { FILE_TRUNCATE, O_TRUNC },
    };
    unsigned access = flags & (FILE_READ | FILE_WRITE);
    int os = O_CLOEXEC | (access == (FILE_READ | FILE_WRITE) ? O_RDWR
                          : access == FILE_WRITE             ? O_WRONLY
                                                             : O_RDONLY);
    for (unsigned i = 0; i < countof(TABLE); i++) {
        os |= flags & TABLE[i].flag ? TABLE[i].os : 0;
    }
    if (flags & FILE_DURABLE) {
        /* The first attempt may have created the file before it found O_DIRECT unknown. */
        os = direct ? os | O_DIRECT | O_DSYNC : os & ~O_EXCL;
    }
    return os;
}

struct file *file_of(int fd, unsigned flags, bool direct)
{
    struct file *file = mem_alloc(sizeof *file);
    *file = (struct file){ .fd = fd, .durable = flags & FILE_DURABLE, .direct = direct };
    return file;
}

static int open_uninterrupted(const char *path, int os_flags)
{
    int fd;
    do {
        fd = open(path, os_flags, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int file_open(const char *path, unsigned flags, struct file **ret_file)
{
    bool direct = flags & FILE_DURABLE;
    int fd = open_uninterrupted(path, file_open_flags(flags, direct));
    if (fd == -EINVAL && direct) {
        direct = false;
        fd = open_uninterrupted(path, file_open_flags(flags, direct));
    }
    if (fd < 0) {
        return fd;
    }
    *ret_file = file_of(fd, flags, direct);
    return 0;
}

void file_close(struct file *file)
{
    if (file != NULL) {
        close(file->fd); /* EINTR: Linux has closed it all the same */
        free(file);
    }
}

bool file_is_direct(const struct file *file)
{
    return file->direct;
}

/* ---- transfers --------------------------------------------------------------------------------*/

enum {
    PIECES_MAX = IOV_MAX, /* per call */
    PIECE_MAX = 1 << 30,  /* bytes of one piece per call; the kernel takes less than 2 GiB */
};

void transfer_start(struct transfer *t, const struct iovec *iov, unsigned n, uint64_t at)
{
    *t = (struct transfer){ .iov = iov, .n = n, .at = at };
    transfer_advance(t, 0);
}

const struct iovec *transfer_offer(struct transfer *t, unsigned *ret_n)
{
    const struct iovec *piece = &t->iov[t->i];
    if (t->skip == 0 && piece->iov_len <= PIECE_MAX) {
        *ret_n = t->n - t->i < PIECES_MAX ? t->n - t->i : PIECES_MAX;
        return piece;
    }
    t->partial.iov_base = (char *)piece->iov_base + t->skip;
    t->partial.iov_len = min_u64(piece->iov_len - t->skip, PIECE_MAX);
    *ret_n = 1;
    return &t->partial;
}

void transfer_advance(struct transfer *t, size_t len)
{
    t->at += len;
    t->moved += len;
    t->skip += len;
    while (t->i < t->n && t->skip >= t->iov[t->i].iov_len) {
        t->skip -= t->iov[t->i].iov_len;
        t->i++;
    }
}

int transfer_at_end(const struct transfer *t, const struct file *file, size_t len)
{
    if (!file->direct || len % FILE_BLOCK == 0) {
        return len == 0;
    }
    int64_t size = file_size(file);
    return size < 0 ? (int)size : t->at >= (uint64_t)size ? 1 : -EIO;
}

int64_t file_readv_at(struct file *file, const struct iovec *iov, unsigned n, uint64_t at)
{
    struct transfer t;
    int end = 0;

    transfer_start(&t, iov, n, at);
    while (!transfer_complete(&t) && end == 0) {
        unsigned n_offered;
        const struct iovec *offered = transfer_offer(&t, &n_offered);
        ssize_t len = preadv(file->fd, offered, (int)n_offered, (off_t)t.at);
        if (len >= 0) {
            transfer_advance(&t, (size_t)len);
            end = transfer_at_end(&t, file, (size_t)len);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return end < 0 ? end : (int64_t)t.moved;
}

int file_writev_at(struct file *file, const struct iovec *iov, unsigned n, uint64_t at)
{
    struct transfer t;
    transfer_start(&t, iov, n, at);
    while (!transfer_complete(&t)) {
        unsigned n_offered;
        const struct iovec *offered = transfer_offer(&t, &n_offered);
        ssize_t len = pwritev(file->fd, offered, (int)n_offered, (off_t)t.at);
        if (len > 0) {
            transfer_advance(&t, (size_t)len);
        } else if (len == 0) {
            return -EIO;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return file->durable && !file->direct ? file_sync(file) : 0;
}

int64_t file_read_at(struct file *file, void *to, size_t len, uint64_t at)
{
    return file_readv_at(file, &(struct iovec){ to, len }, 1, at);
}

int file_write_at(struct file *file, const void *data, size_t len, uint64_t at)
{
    return file_writev_at(file, &(struct iovec){ (void *)data, len }, 1, at);
}

/* ---- the rest of a file's life ----------------------------------------------------------------*/

int file_sync(struct file *file)
{
    return fdatasync(file->fd) == 0 ? 0 : -errno;
}

int file_truncate(struct file *file, uint64_t len)
{
    int err;
    do {
        err = ftruncate(file->fd, (off_t)len);
    } while (err != 0 && errno == EINTR);
    return err == 0 ? 0 : -errno;
}

int64_t file_size(const struct file *file)
{
    struct stat st;
    return fstat(file->fd, &st) == 0 ? (int64_t)st.st_size : -errno;
}

int file_lock(const char *path, struct file **ret_file)
{
    struct file *file;
    int err = file_open(path, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
    if (err != 0) {
        return err;
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        err = -errno;
        file_close(file);
        return err;
    }
    *ret_file = file;
    return 0;
}

/* ---- whole files ------------------------------------------------------------------------------*/

static int load(struct file *file, size_t max, struct buf *to)
{
    enum { STEP = 64 * 1024 };
    size_t before = to->len;
    for (;;) {
        int64_t len = file_read_at(file, buf_reserve(to, STEP), STEP, to->len - before);
        if (len < 0) {
            return (int)len;
        }
        to->len += (size_t)len;
        if (to->len - before > max) {
            return -EFBIG;
        }
        if (len < STEP) {
            return 0;
        }
    }
}

int file_load(const char *path, size_t max, struct buf *to)
{
    struct file *file;
    size_t before = to->len;
    int err = file_open(path, FILE_READ, &file);
    if (err != 0) {
        return err;
    }
    err = load(file, max, to);
    file_close(file);
    if (err != 0) {
        to->len = before;
    }
    return err;
}

static int write_new(const char *path, struct bytes content)
{
    struct file *file;
    int err = file_open(path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (err != 0) {
        return err;
    }
    err = file_write_at(file, content.data, content.len, 0);
    if (err == 0) {
        err = file_sync(file);
    }
    file_close(file);
    return err;
}

int file_replace(const char *path, struct bytes content)
{
    char *temporary = mem_sprintf("%s.tmp", path);
    char *parent = path_parent(path);
    int err = write_new(temporary, content);
    if (err == 0) {
        err = file_rename(temporary, path);
    }
    if (err != 0) {
        file_remove(temporary);
    } else {
        err = dir_sync(parent);
    }
    free(parent);
    free(temporary);
    return err;
}
