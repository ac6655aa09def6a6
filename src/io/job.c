/* Jobs: each gets a piece of work for the pool, which knows how many may run at a time. */
#include <chronik/io/job.h>

#include "inside.h"

struct job_work {
    struct work work;
    struct job *job;
};

static void run(struct work *work)
{
    struct job *job = container_of(work, struct job_work, work)->job;
    job->run(job);
}

static void done(struct work *work)
{
    struct job_work *holder = container_of(work, struct job_work, work);
    struct job *job = holder->job;
    free(holder);
    job->done(job);
}

void job_start(struct loop *loop, struct job *job, void (*job_run)(struct job *job),
               void (*job_done)(struct job *job))
{
    struct job_work *holder = mem_zalloc(sizeof *holder);
    holder->job = job;
    job->run = job_run;
    job->done = job_done;
    pool_start(loop, &holder->work, LANE_JOB, run, done);
}
