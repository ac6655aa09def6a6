/* A disk request under way, as disk.c and ring.c share it. */
#ifndef CHRONIK_IO_DISK_OP_H
#define CHRONIK_IO_DISK_OP_H

#include <chronik/io/disk.h>

#include "inside.h"

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
    struct work work; /* its place in the queue of its lane, in either backend */
    enum disk_kind kind;
    struct disk_request *req; /* NULL: nobody waits for it (closing) */
    int64_t result;

    struct file *file;
    struct transfer transfer; /* reads and writes */
    struct iovec single;      /* the one piece of a read */
    uint64_t len;             /* truncate */
    bool syncing;             /* a durable write without O_DIRECT: written, now fdatasync */

    char *path, *to_path;
    unsigned flags; /* open */
    bool direct;    /* open: try it with O_DIRECT */
    struct file **ret_file;
};

/* Frees the operation and calls `done`. */
void disk_complete(struct disk_op *op);

/* Takes the operation over when the ring can do its kind; else false. */
bool ring_start(struct ring *ring, struct disk_op *op);

#endif
