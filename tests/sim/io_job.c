/* Jobs run on fibers: a job begins a little later, and goes on whenever a blocking call of its has
 * taken its time. A few run at once, like the threads of the pool. */
#include "io_inside.h"

enum { AT_ONCE = 4 };

struct running_job {
    struct list link; /* in machine->jobs, in order of their start */
    struct loop *loop;
    struct job *job;
    struct fiber *fiber; /* NULL: waits for a thread */
    struct event go_on;
    struct ready ended;
};

static void run(void *arg)
{
    struct running_job *running = arg;
    running->job->run(running->job);
}

static void start_some(struct machine *machine)
{
    unsigned n = 0;
    list_each (it, &machine->jobs) {
        struct running_job *running = container_of(it, struct running_job, link);
        if (running->fiber == NULL && n < AT_ONCE) {
            running->fiber = fiber_new(run, running);
            event_in(&running->go_on, between(1, 50000));
        }
        n++;
    }
}

static void go_on(struct event *event)
{
    struct running_job *running = container_of(event, struct running_job, go_on);
    struct machine *machine = running->loop->machine;
    if (world->now_ns < machine->paused_until_ns) {
        event_at(event, machine->paused_until_ns);
        return;
    }
    struct machine *was = machine_enter(machine);
    bool ended = fiber_resume(running->fiber);
    machine_leave(was);
    if (ended) {
        fiber_free(running->fiber);
        running->fiber = NULL;
        list_remove(&running->link);
        loop_ready(running->loop, &running->ended);
        start_some(machine);
    }
}

static void ended(struct ready *ready)
{
    struct running_job *running = container_of(ready, struct running_job, ended);
    struct job *job = running->job;
    free(running);
    job->done(job);
}

void job_sleep(uint64_t ns)
{
    struct running_job *running = fiber_arg(fiber_current());
    event_in(&running->go_on, ns);
    fiber_yield();
}

/* The holder belongs to the process, like the job that it is for. */
void job_start(struct loop *loop, struct job *job, void (*job_run)(struct job *job),
               void (*job_done)(struct job *job))
{
    struct running_job *running = mem_zalloc(sizeof *running);
    job->run = job_run;
    job->done = job_done;
    running->loop = loop;
    running->job = job;
    event_init(&running->go_on, go_on);
    ready_init(&running->ended, ended);
    list_push_back(&loop->machine->jobs, &running->link);
    start_some(loop->machine);
}

void jobs_die(struct machine *machine)
{
    list_each (it, &machine->jobs) {
        struct running_job *running = container_of(it, struct running_job, link);
        event_cancel(&running->go_on);
        fiber_free(running->fiber);
    }
    list_init(&machine->jobs);
}
