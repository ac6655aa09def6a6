/* Runs lives: sim [--seed S] [--seeds N] [--seconds T] [--first] [--twice]
 *                      [--verbose] [--detail]
 *
 * One line for each seed that fails, and a last line with counts; exit code 1 when one has failed.
 * Lives run in child processes, a few dozen each, so that one that crashes is one failure and
 * nothing it leaves behind matters. */
#include "life.h"

#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct totals {
    uint64_t lives, bad, events, acknowledged, reads, faults, virtual_ns;
};

struct run {
    uint64_t first, n;
    double seconds; /* 0: no limit */
    bool first_only; /* stop when one has failed */
    bool twice, verbose, detail;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct life_result live_once(const struct run *run, uint64_t seed)
{
    const struct life_options options = {
        .verbose = run->verbose,
        .detail = run->detail,
        .trace = run->n == 1,
    };
    struct life_result result;
    life_run(seed, &options, &result);
    return result;
}

static bool judge(const struct run *run, uint64_t seed, struct life_result *ret_result)
{
    *ret_result = live_once(run, seed);
    if (ret_result->ok && run->twice) {
        struct life_result again = live_once(run, seed);
        if (again.hash != ret_result->hash) {
            snprintf(ret_result->why, sizeof ret_result->why,
                     "not deterministic: trace hashes %016llx and %016llx",
                     (unsigned long long)ret_result->hash, (unsigned long long)again.hash);
            ret_result->ok = false;
        }
    }
    return ret_result->ok;
}

static void say_failed(uint64_t seed, const char *why)
{
    printf("FAILED seed %llu: %s\n    tests/sim/run --replay %llu\n", (unsigned long long)seed, why,
           (unsigned long long)seed);
    fflush(stdout);
}

/* A life that takes a minute of the processor hangs. */
static void limit_cpu(void)
{
    const struct itimerval limit = { .it_value.tv_sec = 60 };
    check(setitimer(ITIMER_PROF, &limit, NULL) == 0);
}

/* In the child: says over the pipe which seed it is at, and what came of it. */
static void run_some(const struct run *run, uint64_t from, uint64_t to, int pipe)
{
    for (uint64_t seed = from; seed < to; seed++) {
        struct life_result result;
        limit_cpu();
        judge(run, seed, &result);
        check(write(pipe, &result, sizeof result) == (ssize_t)sizeof result);
    }
    _exit(0);
}

static void add(struct totals *totals, const struct life_result *result)
{
    totals->lives++;
    totals->bad += !result->ok;
    totals->events += result->events;
    totals->acknowledged += result->acknowledged;
    totals->reads += result->reads;
    totals->faults += result->faults;
    totals->virtual_ns += result->virtual_ns;
}

/* Returns the first seed that is left. */
static uint64_t run_child(const struct run *run, uint64_t from, uint64_t to, struct totals *totals)
{
    int ends[2], status;
    struct life_result result;
    uint64_t seed = from;
    fflush(stdout);
    check(pipe(ends) == 0);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_some(run, from, to, ends[1]);
    }
    close(ends[1]);
    while (read(ends[0], &result, sizeof result) == (ssize_t)sizeof result) {
        add(totals, &result);
        if (!result.ok) {
            say_failed(seed, result.why);
        }
        seed++;
    }
    close(ends[0]);
    check(waitpid(child, &status, 0) == child);
    if (seed < to) {
        char why[64];
        snprintf(why, sizeof why, "the process died: signal %d, code %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
        say_failed(seed, why);
        totals->lives++;
        totals->bad++;
        seed++;
    }
    return seed;
}

static bool parse(int argc, char **argv, struct run *run)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seed") == 0) {
            run->first = strtoull(value, NULL, 0);
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            run->n = strtoull(value, NULL, 0);
            i++;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            run->seconds = strtod(value, NULL);
            i++;
        } else if (strcmp(argv[i], "--first") == 0) {
            run->first_only = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            run->twice = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            run->verbose = true;
        } else if (strcmp(argv[i], "--detail") == 0) {
            run->verbose = run->detail = true;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    enum { PER_CHILD = 50 };
    struct run run = { .first = 1, .n = 1 };
    struct totals totals = { 0 };
    double started = now_s();
    if (!parse(argc, argv, &run)) {
        fprintf(stderr, "usage: sim [--seed S] [--seeds N] [--seconds T] [--first] [--twice] "
                        "[--verbose] [--detail]\n");
        return 2;
    }
    if (run.n == 1) { /* in this process, for a debugger */
        struct life_result result;
        if (!judge(&run, run.first, &result)) {
            say_failed(run.first, result.why);
        }
        add(&totals, &result);
    }
    for (uint64_t seed = run.first; run.n > 1 && seed < run.first + run.n;) {
        if ((run.seconds > 0 && now_s() - started > run.seconds) ||
            (run.first_only && totals.bad > 0)) {
            break;
        }
        seed = run_child(&run, seed, min_u64(seed + PER_CHILD, run.first + run.n), &totals);
    }
    double took = now_s() - started;
    printf("%llu lives, %llu failed, in %.1f s (%.0f a minute); %.1f virtual s, %llu events, "
           "%llu acknowledged, %llu reads, %llu faults\n",
           (unsigned long long)totals.lives, (unsigned long long)totals.bad, took,
           (double)totals.lives * 60 / took, (double)totals.virtual_ns / 1e9,
           (unsigned long long)totals.events, (unsigned long long)totals.acknowledged,
           (unsigned long long)totals.reads, (unsigned long long)totals.faults);
    return totals.bad > 0;
}
