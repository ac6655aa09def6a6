/* groups: how long consumer groups need to find themselves again.
 *
 *     groups share HOST:PORT,… TOPIC PARTITIONS MEMBERS MS
 *         One group. The time until it is stable when all members join at once, when one leaves,
 *         when one vanishes; then every member commits in a closed loop for MS.
 *     groups survive HOST:PORT,… TOPIC PARTITIONS MEMBERS GROUPS
 *         That many groups commit every 20 ms until SIGTERM; then all must be stable again, and no
 *         committed offset may lie below an acknowledged one. Prints the longest time without an
 *         acknowledged commit of each group whose coordinator moved, and of all others the longest.
 *
 * tests/bench/groups.py starts the brokers, makes the topic, kills nodes. Prints one line. */
#include "fleet.h"

#include <signal.h>
#include <stdio.h>

static const uint64_t MS = 1000000, SECOND = 1000000000;

enum { SESSION_MS = 6000, HEARTBEAT_MS = 500, COMMIT_MS = 20, PATIENCE_S = 90 };

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

static int32_t number(const char *text)
{
    long n = strtol(text, NULL, 10);
    if (n <= 0 || n > 1000000) {
        fail("not a number: %s", text);
    }
    return (int32_t)n;
}

static bool all_stable(const struct fleet *f)
{
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        if (!fleet_is_stable(f, &f->groups[i])) {
            return false;
        }
    }
    return true;
}

/* Runs until every group is stable; the time that took in ms. */
static double until_stable(struct fleet *f)
{
    uint64_t begin = now_ns();
    do {
        fleet_turn(f);
        if (now_ns() > begin + PATIENCE_S * SECOND) {
            fail("not stable within %d s", PATIENCE_S);
        }
    } while (!all_stable(f));
    return (double)(now_ns() - begin) / 1e6;
}

static void run_for(struct fleet *f, uint64_t ns)
{
    for (uint64_t end = now_ns() + ns; now_ns() < end;) {
        fleet_turn(f);
    }
}

static void run_share(struct fleet *f, int32_t ms)
{
    double join_ms = until_stable(f);
    run_for(f, SECOND);
    fleet_leave(f, &f->members[f->n_members / 2]);
    double leave_ms = until_stable(f);
    run_for(f, SECOND);
    fleet_vanish(&f->members[f->n_members / 3]);
    double vanish_ms = until_stable(f);
    f->commits = true;
    run_for(f, SECOND);
    f->latency = (struct histogram){ 0 };
    f->n_acked = 0;
    run_for(f, (uint64_t)ms * MS);
    printf("mode=share join_ms=%.1f leave_ms=%.1f vanish_ms=%.1f commits_s=%.0f", join_ms, leave_ms,
           vanish_ms, (double)f->n_acked * 1000 / ms);
    histogram_print(&f->latency, "commit_");
    f->commits = false;
    run_for(f, SECOND / 10);
    printf(" lost=%ld\n", (long)fleet_count_lost(f));
}

/* Every group has an acknowledged commit since `since`. */
static bool all_committed(const struct fleet *f, uint64_t since)
{
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        if (f->groups[i].last_ack_ns < since) {
            return false;
        }
    }
    return true;
}

static void run_survive(struct fleet *f)
{
    until_stable(f);
    f->commits = true;
    run_for(f, SECOND);
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        f->groups[i].longest_ns = 0;
        f->groups[i].n_moves = 0;
    }
    printf("ready\n");
    fflush(stdout);
    while (!stop_signal) {
        fleet_turn(f);
    }
    uint64_t since = now_ns();
    while (!all_stable(f) || !all_committed(f, since)) {
        fleet_turn(f);
        if (now_ns() > since + PATIENCE_S * SECOND) {
            fail("not all groups go on within %d s", PATIENCE_S);
        }
    }
    f->commits = false;
    run_for(f, SECOND / 10);
    uint64_t others = 0;
    printf("mode=survive acked=%lu lost=%ld gaps_ms=", (unsigned long)f->n_acked,
           (long)fleet_count_lost(f));
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        const struct group *g = &f->groups[i];
        if (g->n_moves > 0) {
            printf("%.1f,", (double)g->longest_ns / 1e6);
        } else {
            others = max_u64(others, g->longest_ns);
        }
    }
    printf(" others_ms=%.1f\n", (double)others / 1e6);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fail("usage: groups share|survive HOST:PORT,… TOPIC PARTITIONS MEMBERS MS|GROUPS");
    }
    bool survive = strcmp(argv[1], "survive") == 0;
    const struct fleet_settings settings = {
        .nodes = argv[2],
        .topic = argv[3],
        .n_partitions = number(argv[4]),
        .members = number(argv[5]),
        .n_groups = survive ? number(argv[6]) : 1,
        .session_ms = SESSION_MS,
        .heartbeat_ns = HEARTBEAT_MS * MS,
        .commit_ns = survive ? COMMIT_MS * MS : 0,
    };
    struct fleet *f = mem_zalloc(sizeof *f);
    signal(SIGTERM, on_signal);
    fleet_init(f, &settings);
    if (survive) {
        run_survive(f);
    } else {
        run_share(f, number(argv[6]));
    }
    fleet_release(f);
    free(f);
    return 0;
}
