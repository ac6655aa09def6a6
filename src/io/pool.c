/* The thread pool: libuv's, with a cap on what each lane of work may occupy.
 *
 * libuv's pool is one queue: 200 slow reads in it would make a journal write wait for all of them.
 * So only as much is handed to it as has a thread to run on, the rest waits here in order. The caps
 * leave two threads that only durable files use. The threads start with the first work that is
 * handed out: a broker on io_uring may never have any. */
#include "inside.h"

/* Threads that a lane may hold at a time. Durable files have no cap: nothing else can fill the
 * pool up, and among themselves they are few. */
static const unsigned CAPS[LANES] = {
    [LANE_NAMES] = 2,
    [LANE_JOB] = 4,
    [LANE_DISK] = 6,
    [LANE_DURABLE] = UINT32_MAX,
};

#define POOL_THREADS "14" /* all caps together, and two */

void pool_init(struct pool *pool)
{
    for (unsigned lane = 0; lane < LANES; lane++) {
        list_init(&pool->waiting[lane]);
    }
    check(setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 1) == 0);
}

static void run_on_thread(uv_work_t *uv)
{
    struct work *work = container_of(uv, struct work, uv);
    work->run(work);
}

static void ran(uv_work_t *uv, int status);

static void hand_out(struct loop *loop, enum lane lane)
{
    struct pool *pool = &loop->pool;
    while (pool->running[lane] < CAPS[lane] && !list_empty(&pool->waiting[lane])) {
        struct list *link = list_pop_front(&pool->waiting[lane]);
        struct work *work = container_of(link, struct work, link);
        pool->running[lane]++;
        check(uv_queue_work(&loop->uv, &work->uv, run_on_thread, ran) == 0);
    }
}

static void ran(uv_work_t *uv, int status)
{
    struct work *work = container_of(uv, struct work, uv);
    struct loop *loop = work->loop;
    enum lane lane = work->lane;

    check(status == 0); /* nothing is ever cancelled */
    loop->pool.running[lane]--;
    hand_out(loop, lane);
    work->done(work); /* may free it */
}

void pool_start(struct loop *loop, struct work *work, enum lane lane,
                void (*run)(struct work *work), void (*done)(struct work *work))
{
    work->loop = loop;
    work->lane = lane;
    work->run = run;
    work->done = done;
    list_push_back(&loop->pool.waiting[lane], &work->link);
    hand_out(loop, lane);
}
