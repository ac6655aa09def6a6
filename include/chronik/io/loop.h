/* The event loop: one per process (one per broker in the simulator); it owns all state.
 *
 * A turn has four steps (docs/architecture.md):
 *   1. events    sockets, disk completions, timers and finished jobs run their callbacks: they
 *                change memory and defer tasks, nothing else;
 *   2. advance   tasks deferred to LOOP_ADVANCE: recompute what became dirty, wake who waits;
 *   3. flush     tasks deferred to LOOP_FLUSH: one gathered write per dirty connection;
 *   4. submit    tasks deferred to LOOP_SUBMIT (the journal's one write), then one submission of
 *                every disk request of the turn.
 * Steps 2 to 4 repeat until no task is left; then the loop sleeps until the next event. */
#ifndef CHRONIK_IO_LOOP_H
#define CHRONIK_IO_LOOP_H

#include <chronik/base/list.h>

struct loop;

enum loop_backend {
    LOOP_AUTO,   /* io_uring where the kernel allows it, else threads */
    LOOP_URING,  /* io_uring, or fail */
    LOOP_THREADS /* the thread pool */
};

/* Creates a loop. 0, or -errno: with LOOP_URING what io_uring was refused with (-EPERM, -ENOSYS).
 * Must be called before anything starts threads: the pool takes its size from here. The thread that
 * creates a loop is the one that runs it. */
int loop_new(enum loop_backend backend, struct loop **ret_loop);

/* Everything opened on the loop has been closed, and the loop has run until idle. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);

/* Makes loop_run() return after the current turn. */
void loop_stop(struct loop *loop);

/* What the disk requests of this loop go through: LOOP_URING or LOOP_THREADS. */
enum loop_backend loop_backend(const struct loop *loop);

/* Monotonic time in nanoseconds. It stands still during a turn; outside loop_run() it moves. */
uint64_t loop_now_ns(const struct loop *loop);

/* Monotonic time right now: for measuring within a turn. */
uint64_t loop_clock_ns(const struct loop *loop);

/* Wall-clock time since 1970 in milliseconds: Kafka's timestamps. May jump; never for time-outs. */
int64_t loop_wall_ms(const struct loop *loop);

/* Fills `to` with bytes good enough for keys (getrandom). */
void loop_random(struct loop *loop, void *to, size_t len);

/* ---- deferred tasks ---------------------------------------------------------------------------*/

enum loop_step { LOOP_ADVANCE, LOOP_FLUSH, LOOP_SUBMIT };

/* Embedded in what has to be done; in the queue at most once. */
struct loop_task {
    struct list link;
    void (*run)(struct loop_task *task);
};

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));

/* Queues the task for that step of this turn; nothing happens when it is queued already. Tasks of a
 * step run in the order in which they were queued. */
void loop_defer(struct loop *loop, enum loop_step step, struct loop_task *task);

/* Takes the task out of the queue; harmless when it is not in one. */
void loop_task_cancel(struct loop_task *task);

/* ---- signals ----------------------------------------------------------------------------------*/

/* Calls `caught` in the events step whenever the process gets `signum`. One handler per signal. */
int loop_on_signal(struct loop *loop, int signum, void (*caught)(void *arg, int signum), void *arg);

#endif
