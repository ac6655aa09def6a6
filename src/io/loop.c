/* The event loop: a libuv loop with the four steps of a turn around it.
 *
 * libuv polls and runs the callbacks of the events step. Right before it sleeps again, its prepare
 * callback runs the deferred tasks, step by step until none is left, hands the gathered disk
 * requests to the kernel in one go, and sets the alarm for the earliest timer. A loop with nothing
 * to do sleeps in epoll_wait without a time limit: there is no tick.
 *
 * What can go wrong: a task that defers itself to its own step again and again never lets the turn
 * end; that is a bug of the task. */
#include "inside.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

/* ---- the turn ---------------------------------------------------------------------------------*/

static bool tasks_left(const struct loop *loop)
{
    for (unsigned step = LOOP_ADVANCE; step < LOOP_STEPS; step++) {
        if (!list_empty(&loop->steps[step])) {
            return true;
        }
    }
    return false;
}

/* Steps 2 to 4. A step is drained before the next one begins; what a later step defers to an
 * earlier one runs in the next round. */
static void run_steps(struct loop *loop)
{
    while (tasks_left(loop)) {
        for (unsigned step = LOOP_ADVANCE; step < LOOP_STEPS; step++) {
            for (struct list *link; (link = list_pop_front(&loop->steps[step])) != NULL;) {
                struct loop_task *task = container_of(link, struct loop_task, link);
                task->run(task);
            }
        }
    }
    if (loop->ring != NULL) {
        ring_submit(loop->ring);
    }
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct loop *loop = loop_of(prepare->loop);
    run_steps(loop);
    timers_arm(loop);
    loop->now_ns = 0;
}

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->link);
    task->run = run;
}

void loop_defer(struct loop *loop, enum loop_step step, struct loop_task *task)
{
    if (list_empty(&task->link)) {
        list_push_back(&loop->steps[step], &task->link);
    }
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

/* ---- life -------------------------------------------------------------------------------------*/

int loop_new(enum loop_backend backend, struct loop **ret_loop)
{
    struct loop *loop = mem_zalloc(sizeof *loop);

    check(uv_loop_init(&loop->uv) == 0);
    check(uv_prepare_init(&loop->uv, &loop->before_sleep) == 0);
    check(uv_prepare_start(&loop->before_sleep, before_sleep) == 0);
    for (unsigned step = 0; step < LOOP_STEPS; step++) {
        list_init(&loop->steps[step]);
    }
    list_init(&loop->signals);
    timers_open(loop);
    pool_init(&loop->pool);
    if (backend != LOOP_THREADS) {
        int err = ring_open(loop);
        if (err != 0 && backend == LOOP_URING) {
            loop_free(loop);
            return err;
        }
    }
    *ret_loop = loop;
    return 0;
}

void loop_run(struct loop *loop)
{
    loop->running = true;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    run_steps(loop); /* of the turn that was stopped during its events */
    loop->running = false;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

enum loop_backend loop_backend(const struct loop *loop)
{
    return loop->ring != NULL ? LOOP_URING : LOOP_THREADS;
}

/* ---- time and randomness ----------------------------------------------------------------------*/

uint64_t loop_clock_ns(const struct loop *loop)
{
    (void)loop;
    return uv_hrtime();
}

/* Read when it is first asked for in a turn: most turns never ask. Outside loop_run() there are no
 * turns, and start-up may take long: there it is the time right now. */
uint64_t loop_now_ns(const struct loop *loop)
{
    if (!loop->running) {
        return uv_hrtime();
    }
    if (loop->now_ns == 0) {
        ((struct loop *)loop)->now_ns = uv_hrtime(); /* a cache: the loop is const to the caller */
    }
    return loop->now_ns;
}

int64_t loop_wall_ms(const struct loop *loop)
{
    struct timespec now;
    (void)loop;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void loop_random(struct loop *loop, void *to, size_t len)
{
    (void)loop;
    for (size_t at = 0; at < len;) {
        ssize_t n = getrandom((char *)to + at, len - at, 0);
        check(n > 0 || errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
}

/* ---- signals ----------------------------------------------------------------------------------*/

struct signal_handler {
    struct list link;
    uv_signal_t uv;
    void (*caught)(void *arg, int signum);
    void *arg;
};

static void signal_caught(uv_signal_t *uv, int signum)
{
    struct signal_handler *handler = container_of(uv, struct signal_handler, uv);
    handler->caught(handler->arg, signum);
}

static void signal_closed(uv_handle_t *uv)
{
    free(container_of(uv, struct signal_handler, uv));
}

int loop_on_signal(struct loop *loop, int signum, void (*caught)(void *arg, int signum), void *arg)
{
    struct signal_handler *handler = mem_zalloc(sizeof *handler);
    handler->caught = caught;
    handler->arg = arg;
    list_push_back(&loop->signals, &handler->link);
    check(uv_signal_init(&loop->uv, &handler->uv) == 0);
    int err = uv_signal_start(&handler->uv, signal_caught, signum);
    if (err != 0) {
        list_remove(&handler->link);
        uv_close((uv_handle_t *)&handler->uv, signal_closed);
    }
    return err;
}

static void close_signals(struct loop *loop)
{
    for (struct list *link; (link = list_pop_front(&loop->signals)) != NULL;) {
        struct signal_handler *handler = container_of(link, struct signal_handler, link);
        uv_close((uv_handle_t *)&handler->uv, signal_closed);
    }
}

/* ---- the end ----------------------------------------------------------------------------------*/

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    close_signals(loop);
    if (loop->ring != NULL) {
        ring_close(loop);
    }
    timers_close(loop);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        /* until every handle is closed and the pool has nothing of ours */
    }
    check(!tasks_left(loop));
    check(uv_loop_close(&loop->uv) == 0);
    free(loop->read_buffer);
    free(loop);
}
