/* Whole groups of Raft replicas under faults (raft_sim.h). More seeds than the few of every day:
 *
 *     CHRONIK_SEEDS=10000 CHRONIK_SEED=1 build/meta-raft_sim_test
 */
#include "../support/test.h"
#include "image_machine.h"

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static struct sim_counts run_seeds(struct sim_options options, uint64_t n_default)
{
    struct sim_counts counts = { 0 };
    uint64_t first = from_environment("CHRONIK_SEED", 1);
    uint64_t n = from_environment("CHRONIK_SEEDS", n_default), bad = 0;
    char why[256];
    for (uint64_t seed = first; seed < first + n; seed++) {
        if (!sim_run(&options, seed, &counts, why)) {
            print_message("seed %llu: %s\n", (unsigned long long)seed, why);
            bad++;
        }
    }
    print_message("%llu seeds: %llu committed, %llu elections, %llu crashes, %llu partitions, %llu "
                  "snapshots, %llu installed, %llu changes, %llu transfers, %llu frames lost, %llu "
                  "of older connections\n",
                  (unsigned long long)n, (unsigned long long)counts.committed,
                  (unsigned long long)counts.elections, (unsigned long long)counts.crashes,
                  (unsigned long long)counts.partitions, (unsigned long long)counts.snapshots,
                  (unsigned long long)counts.installs, (unsigned long long)counts.changes,
                  (unsigned long long)counts.transfers, (unsigned long long)counts.dropped,
                  (unsigned long long)counts.old_frames);
    assert_int_equal(bad, 0);
    return counts;
}

/* A fault that never happened shows nothing. */
static void assert_faults_happened(const struct sim_counts *counts)
{
    assert_true(counts->committed > 1000 && counts->elections > 50 && counts->crashes > 50);
    assert_true(counts->partitions > 50 && counts->snapshots > 50 && counts->installs > 5);
    assert_true(counts->old_frames > 5 && counts->dropped > 100);
}

static void three_servers_survive_everything(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    struct sim_counts counts = run_seeds(options, 40);
    assert_faults_happened(&counts);
    assert_true(counts.changes > 50 && counts.transfers > 5);
}

static void five_servers_survive_everything(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    options.voters = 5;
    struct sim_counts counts = run_seeds(options, 20);
    assert_faults_happened(&counts);
}

static void a_fixed_group_of_three_survives_everything(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    options.spares = 0;
    options.changes = false;
    struct sim_counts counts = run_seeds(options, 40);
    assert_faults_happened(&counts);
}

static void images_are_equal_at_equal_index(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    options.machine = &sim_image_machine;
    options.duration_ms = 10000;
    struct sim_counts counts = run_seeds(options, 20);
    assert_true(counts.committed > 1000 && counts.crashes > 50 && counts.installs > 5);
}

static void a_group_of_one_survives_its_crashes(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    options.voters = 1;
    options.spares = 0;
    options.changes = options.partitions = options.transfers = false;
    struct sim_counts counts = run_seeds(options, 20);
    assert_true(counts.committed > 1000 && counts.crashes > 50 && counts.snapshots > 50);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    struct sim_counts a = { 0 }, b = { 0 };
    char why[256];
    assert_true(sim_run(&options, 77, &a, why));
    assert_true(sim_run(&options, 77, &b, why));
    assert_memory_equal(&a, &b, sizeof a);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median_failover(bool hint)
{
    struct sim_options options = SIM_OPTIONS_DEFAULT;
    uint64_t ms[21];
    options.spares = 0;
    options.drop_percent = 0;
    options.disk_ms_max = options.network_ms_max = 2;
    options.crashes = options.partitions = options.changes = options.transfers = false;
    for (unsigned i = 0; i < countof(ms); i++) {
        ms[i] = sim_failover(&options, 1000 + i, hint);
        assert_true(ms[i] > 0);
    }
    qsort(ms, countof(ms), sizeof ms[0], by_size);
    print_message("failover %s the hint: median %llu, maximum %llu ms\n", hint ? "with" : "without",
                  (unsigned long long)ms[countof(ms) / 2],
                  (unsigned long long)ms[countof(ms) - 1]);
    return ms[countof(ms) / 2];
}

static void a_closed_connection_makes_failover_fast(void **state)
{
    (void)state;
    assert_true(median_failover(false) < 700);
    assert_true(median_failover(true) < 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_servers_survive_everything),
        cmocka_unit_test(five_servers_survive_everything),
        cmocka_unit_test(a_fixed_group_of_three_survives_everything),
        cmocka_unit_test(images_are_equal_at_equal_index),
        cmocka_unit_test(a_group_of_one_survives_its_crashes),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(a_closed_connection_makes_failover_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
