/* The loop and its timers, in virtual time.
 *
 * A loop sleeps until something is ready or a timer is due; then it has a turn: what is ready runs
 * in a random order (in which the kernel might report it), due timers before or after it, then the
 * deferred tasks, step by step, until none is left. A turn takes a little while during which no
 * other begins. A machine that is paused has its turns later. */
#include <errno.h>

#include "io_inside.h"

/* ---- being woken ------------------------------------------------------------------------------*/

void ready_init(struct ready *ready, void (*run)(struct ready *ready))
{
    list_init(&ready->link);
    ready->run = run;
}

static void wake_at(struct loop *loop, uint64_t at_ns)
{
    at_ns = max_u64(at_ns, max_u64(loop->busy_until_ns, loop->machine->paused_until_ns));
    if (!event_is_set(&loop->wake) || loop->wake.node.key > at_ns) {
        event_at(&loop->wake, at_ns);
    }
}

void loop_ready(struct loop *loop, struct ready *ready)
{
    if (list_empty(&ready->link)) {
        list_push_back(&loop->ready, &ready->link);
        if (loop->turn_ns == 0) {
            wake_at(loop, world->now_ns + between(0, 3000));
        }
    }
}

/* ---- the turn ---------------------------------------------------------------------------------*/

static void run_ready(struct loop *loop)
{
    struct list now;
    list_init(&now);
    list_splice_back(&now, &loop->ready);
    bool in_order = chance(50);
    while (!list_empty(&now)) {
        struct list *link = in_order || chance(50) ? list_first(&now) : list_last(&now);
        struct ready *ready = container_of(link, struct ready, link);
        list_remove(link);
        ready->run(ready);
    }
}

/* What the fired ones set meanwhile waits for the next turn. */
static void run_timers(struct loop *loop)
{
    uint64_t now_ns = loop_now_ns(loop), set_later = loop->timers.seq;
    for (struct heap_node *first; (first = heap_min(&loop->timers)) != NULL;) {
        if (first->key > now_ns || first->seq >= set_later) {
            break;
        }
        heap_remove(&loop->timers, first);
        struct timer *timer = container_of(first, struct timer, node);
        timer->fired(timer);
    }
}

static bool tasks_left(const struct loop *loop)
{
    for (unsigned step = LOOP_ADVANCE; step < LOOP_STEPS; step++) {
        if (!list_empty(&loop->steps[step])) {
            return true;
        }
    }
    return false;
}

/* A turn that makes itself more and more work never ends. */
static bool run_step(struct list *step, unsigned *left)
{
    for (struct list *link; (link = list_pop_front(step)) != NULL;) {
        struct loop_task *task = container_of(link, struct loop_task, link);
        if ((*left)-- == 0) {
            return false;
        }
        task->run(task);
    }
    return true;
}

static void run_steps(struct loop *loop)
{
    unsigned left = 100000;
    while (tasks_left(loop)) {
        for (unsigned step = LOOP_ADVANCE; step < LOOP_STEPS; step++) {
            if (!run_step(&loop->steps[step], &left)) {
                world_fail("a turn of %s does not end", loop->machine->name);
                return;
            }
        }
    }
}

static void sleep_again(struct loop *loop)
{
    struct heap_node *first = heap_min(&loop->timers);
    const struct machine_manners *manners = &loop->machine->manners;
    uint64_t took_ns = between(1, manners->turn_ns);
    loop->turn_ns = 0;
    if (once_in(manners->stall)) {
        took_ns *= 100;
    }
    loop->busy_until_ns = world->now_ns + took_ns;
    if (!list_empty(&loop->ready)) {
        wake_at(loop, world->now_ns);
    }
    if (first != NULL && first->key != UINT64_MAX) {
        uint64_t due_ns = round_up(first->key, NS_PER_MS) - loop->machine->boot_ns;
        wake_at(loop, due_ns + between(0, 100000));
    }
}

static void turn(struct event *event)
{
    struct loop *loop = container_of(event, struct loop, wake);
    struct machine *machine = loop->machine;
    if (world->now_ns < machine->paused_until_ns) {
        wake_at(loop, world->now_ns);
        return;
    }
    struct machine *was = machine_enter(machine);
    loop->turn_ns = machine->boot_ns + world->now_ns;
    bool timers_first = chance(50);
    if (timers_first) {
        run_timers(loop);
    }
    run_ready(loop);
    if (!timers_first) {
        run_timers(loop);
    }
    run_steps(loop);
    if (loop->stopped) {
        loop->turn_ns = 0;
        machine->ended(machine);
    } else {
        sleep_again(loop);
        if (machine->turned != NULL) {
            machine->turned(machine);
        }
    }
    machine_leave(was);
}

/* ---- life -------------------------------------------------------------------------------------*/

int loop_new(enum loop_backend backend, struct loop **ret_loop)
{
    struct machine *machine = world->running;
    struct loop *loop = mem_zalloc(sizeof *loop);
    check(machine != NULL && machine->loop == NULL);
    loop->machine = machine;
    loop->backend = backend == LOOP_AUTO ? machine->manners.backend : backend;
    for (unsigned step = 0; step < LOOP_STEPS; step++) {
        list_init(&loop->steps[step]);
    }
    heap_init(&loop->timers);
    list_init(&loop->ready);
    event_init(&loop->wake, turn);
    machine->loop = loop;
    *ret_loop = loop;
    return 0;
}

/* The process runs by its machine's events: this only begins it. */
void loop_run(struct loop *loop)
{
    wake_at(loop, world->now_ns);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    if (loop->turn_ns == 0) {
        wake_at(loop, world->now_ns);
    }
}

void loop_die(struct loop *loop)
{
    event_cancel(&loop->wake);
}

void loop_free(struct loop *loop)
{
    if (loop != NULL) {
        loop_die(loop);
        heap_release(&loop->timers);
        loop->machine->loop = NULL;
        free(loop);
    }
}

enum loop_backend loop_backend(const struct loop *loop)
{
    return loop->backend;
}

int loop_on_signal(struct loop *loop, int signum, void (*caught)(void *arg, int signum), void *arg)
{
    (void)loop;
    (void)signum;
    (void)caught;
    (void)arg;
    return 0;
}

/* ---- time and randomness ----------------------------------------------------------------------*/

uint64_t loop_clock_ns(const struct loop *loop)
{
    return loop->machine->boot_ns + world->now_ns;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->turn_ns != 0 ? loop->turn_ns : loop_clock_ns(loop);
}

int64_t loop_wall_ms(const struct loop *loop)
{
    return loop->machine->wall_ms + (int64_t)(world->now_ns / NS_PER_MS);
}

void loop_random(struct loop *loop, void *to, size_t len)
{
    (void)loop;
    prng_fill(&world->prng, to, len);
}

/* ---- tasks ------------------------------------------------------------------------------------*/

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->link);
    task->run = run;
}

void loop_defer(struct loop *loop, enum loop_step step, struct loop_task *task)
{
    if (list_empty(&task->link)) {
        list_push_back(&loop->steps[step], &task->link);
        if (loop->turn_ns == 0) {
            wake_at(loop, world->now_ns);
        }
    }
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

/* ---- timers -----------------------------------------------------------------------------------*/

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){ .loop = loop, .fired = fired };
}

void timer_set_at(struct timer *timer, uint64_t at_ns)
{
    struct loop *loop = timer->loop;
    timer_cancel(timer);
    heap_insert(&loop->timers, &timer->node, at_ns);
    if (loop->turn_ns == 0) {
        wake_at(loop, world->now_ns); /* that turn sets the alarm */
    }
}

void timer_set_in(struct timer *timer, uint64_t delay_ns)
{
    uint64_t now_ns = loop_now_ns(timer->loop);
    timer_set_at(timer, delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX);
}

void timer_cancel(struct timer *timer)
{
    if (timer_is_set(timer)) {
        heap_remove(&timer->loop->timers, &timer->node);
    }
}
