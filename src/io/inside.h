/* What the files of the io layer share: the inside of the loop, the thread pool, the ring. */
#ifndef CHRONIK_IO_INSIDE_H
#define CHRONIK_IO_INSIDE_H

#include <chronik/base/heap.h>
#include <chronik/base/text.h>
#include <chronik/io/file.h>
#include <chronik/io/loop.h>
#include <sys/uio.h>
#include <uv.h>

struct ring;

/* ---- the thread pool --------------------------------------------------------------------------*/

/* Work for the pool's threads goes in lanes. Each has a cap on the threads it may hold, so that a
 * name server that does not answer never holds up a job, nor a job a disk request, nor anything a
 * durable write. */
enum lane { LANE_NAMES, LANE_JOB, LANE_DISK, LANE_DURABLE, LANES };

struct work {
    struct list link; /* waiting for its lane to have a thread */
    uv_work_t uv;
    struct loop *loop;
    enum lane lane;
    void (*run)(struct work *work);  /* on a pool thread */
    void (*done)(struct work *work); /* on the loop, in the events step */
};

struct pool {
    unsigned running[LANES];
    struct list waiting[LANES];
};

void pool_init(struct pool *pool);
void pool_start(struct loop *loop, struct work *work, enum lane lane,
                void (*run)(struct work *work), void (*done)(struct work *work));

/* ---- the loop ---------------------------------------------------------------------------------*/

enum { LOOP_STEPS = LOOP_SUBMIT + 1 };

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_sleep;
    struct list steps[LOOP_STEPS]; /* deferred tasks */
    uint64_t now_ns;               /* 0: nobody has asked in this turn */
    bool running;

    struct heap timers;
    uv_timer_t alarm;  /* rings when the first of `timers` is due */
    uint64_t armed_ms; /* what it is set to, in time of the uv loop; UINT64_MAX: it is not */

    struct list signals;
    struct pool pool;
    struct ring *ring;    /* NULL: disk requests go through the pool */
    uint8_t *read_buffer; /* NET_READ_BUFFER bytes; NULL before the first stream reads */
};

static inline struct loop *loop_of(const uv_loop_t *uv)
{
    return container_of(uv, struct loop, uv);
}

/* Sets the alarm for the earliest timer; the loop calls it before it sleeps. */
void timers_arm(struct loop *loop);
void timers_open(struct loop *loop);
void timers_close(struct loop *loop);

/* ---- files ------------------------------------------------------------------------------------*/

struct file {
    int fd;
    bool durable; /* FILE_DURABLE */
    bool direct;  /* and the file system allows O_DIRECT */
};

enum { FILE_MODE = 0644, DIR_MODE = 0755 };

/* The flags of open(2), first to be tried with O_DIRECT (where asked for), then, after -EINVAL,
 * without. */
int file_open_flags(unsigned flags, bool direct);
struct file *file_of(int fd, unsigned flags, bool direct);

/* How far a read or write has come. Each system call is offered the pieces that are left; the rest
 * of a piece that was cut short goes by itself. */
struct transfer {
    const struct iovec *iov;
    unsigned n, i;        /* pieces, the first that is not wholly transferred */
    size_t skip;          /* bytes of that one which are */
    uint64_t at;          /* place in the file of what is left */
    uint64_t moved;       /* bytes transferred */
    struct iovec partial; /* see transfer_offer() */
};

void transfer_start(struct transfer *t, const struct iovec *iov, unsigned n, uint64_t at);
const struct iovec *transfer_offer(struct transfer *t, unsigned *ret_n);
void transfer_advance(struct transfer *t, size_t len);

static inline bool transfer_complete(const struct transfer *t)
{
    return t->i == t->n;
}

/* A read was short: is that the end of the file? O_DIRECT cannot go on from the middle of a block,
 * so there the file's size has to tell. 1, 0 or -errno. */
int transfer_at_end(const struct transfer *t, const struct file *file, size_t len);

/* Whole transfers, blocking: bytes or -errno. */
int64_t file_readv_at(struct file *file, const struct iovec *iov, unsigned n, uint64_t at);
int file_writev_at(struct file *file, const struct iovec *iov, unsigned n, uint64_t at);

/* The directory that holds `path`, as a copy; "." and "/" hold themselves. */
char *path_parent(const char *path);

/* ---- the ring ---------------------------------------------------------------------------------*/

/* Creates the ring: 0, or what the kernel refuses it with. */
int ring_open(struct loop *loop);
void ring_close(struct loop *loop);

/* Hands all requests gathered since the last call to the kernel. */
void ring_submit(struct ring *ring);

#endif
