/* Jobs: off the loop, back on it, a few at a time, in order. */
#include "io_test.h"

#include <chronik/io/job.h>
#include <pthread.h>
#include <stdatomic.h>

struct shared {
    struct wait wait;
    pthread_t loop_thread;
    atomic_uint running, most, started;
};

struct sleeper {
    struct job job;
    struct shared *shared;
    unsigned number, place; /* in the order of starting */
    bool off_loop, done_on_loop;
};

static void sleep_a_little(struct job *job)
{
    struct sleeper *sleeper = container_of(job, struct sleeper, job);
    struct shared *shared = sleeper->shared;
    sleeper->place = atomic_fetch_add(&shared->started, 1);
    sleeper->off_loop = !pthread_equal(pthread_self(), shared->loop_thread);
    unsigned now = atomic_fetch_add(&shared->running, 1) + 1;
    unsigned most = atomic_load(&shared->most);
    while (now > most && !atomic_compare_exchange_weak(&shared->most, &most, now)) {
    }
    usleep(1000);
    atomic_fetch_sub(&shared->running, 1);
}

static void woke(struct job *job)
{
    struct sleeper *sleeper = container_of(job, struct sleeper, job);
    sleeper->done_on_loop = pthread_equal(pthread_self(), sleeper->shared->loop_thread);
    happened(&sleeper->shared->wait);
}

static void jobs_run_off_the_loop_and_a_few_at_a_time(void **state)
{
    (void)state;
    enum { N = 60 };
    struct loop *loop = new_loop();
    struct shared shared = { .loop_thread = pthread_self() };
    struct sleeper sleepers[N];
    wait_for(&shared.wait, loop, N);
    for (unsigned i = 0; i < N; i++) {
        sleepers[i] = (struct sleeper){ .shared = &shared, .number = i };
        job_start(loop, &sleepers[i].job, sleep_a_little, woke);
    }
    loop_run(loop);
    for (unsigned i = 0; i < N; i++) {
        assert_true(sleepers[i].off_loop && sleepers[i].done_on_loop);
        /* First come, first served: at most the other three threads have not counted theirs yet. */
        assert_true(sleepers[i].place + 3 >= i);
    }
    assert_true(shared.most >= 2 && shared.most <= 4);
    loop_free(loop);
}

struct chain_job {
    struct job job;
    struct loop *loop;
    struct wait *wait;
    unsigned left;
};

static void nothing(struct job *job)
{
    (void)job;
}

static void again(struct job *job)
{
    struct chain_job *chain = container_of(job, struct chain_job, job);
    if (chain->left-- > 1) {
        job_start(chain->loop, job, nothing, again);
    } else {
        happened(chain->wait);
        free(chain);
    }
}

static void a_job_may_be_started_again_or_freed_when_done(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct wait wait;
    wait_for(&wait, loop, 1);
    struct chain_job *chain = mem_zalloc(sizeof *chain);
    *chain = (struct chain_job){ .loop = loop, .wait = &wait, .left = 10 };
    job_start(loop, &chain->job, nothing, again);
    loop_run(loop);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_off_the_loop_and_a_few_at_a_time),
        cmocka_unit_test(a_job_may_be_started_again_or_freed_when_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
