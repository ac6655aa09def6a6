/* The writes of a Raft directory, with both io backends. */
#include "raft_store_case.h"

#include "../io/mounts.h"

#include <chronik/io/timer.h>

#include <signal.h>
#include <sys/resource.h>

struct backend_case {
    enum loop_backend backend;
    struct loop *loop;
    char *dir, *raft;
};

static int set_up(void **state)
{
    struct backend_case *b = *state;
    int error = loop_new(b->backend, &b->loop);
    if (error != 0) {
        b->loop = NULL;
        print_message("io_uring is refused here: %s\n", strerror(-error));
    }
    b->dir = test_dir();
    b->raft = mem_sprintf("%s/raft", b->dir);
    return 0;
}

static int tear_down(void **state)
{
    struct backend_case *b = *state;
    loop_free(b->loop);
    test_dir_remove(b->dir);
    free(b->raft);
    return 0;
}

static struct backend_case *backend_of(void **state)
{
    struct backend_case *b = *state;
    if (b->loop == NULL) {
        skip();
    }
    return b;
}

static size_t count_files(const char *dir, const char *prefix)
{
    struct dir_entry *entries;
    size_t n, count = 0;
    assert_int_equal(dir_list(dir, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        count += strncmp(entries[i].name, prefix, strlen(prefix)) == 0;
    }
    dir_list_free(entries, n);
    return count;
}

static void a_fresh_directory_gets_an_identity_that_stays(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    assert_true(raft_store_state(c.store)->fresh);
    struct uuid directory = raft_store_state(c.store)->identity.directory;
    assert_false(uuid_is_zero(&directory));
    assert_int_equal(case_disk(&c)->term, 0);
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft)); /* nothing was promised: still fresh */
    assert_true(raft_store_state(c.store)->fresh);
    directory = raft_store_state(c.store)->identity.directory;
    raft_store_save_vote(c.store, ++c.tickets, 1, 0);
    case_wait(&c);
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_false(raft_store_state(c.store)->fresh);
    assert_true(uuid_equal(&raft_store_state(c.store)->identity.directory, &directory));
    assert_int_equal(raft_store_state(c.store)->identity.node_id, 7);
    case_close(&c);
}

static void votes_and_entries_come_back(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    raft_store_save_vote(c.store, ++c.tickets, 3, 7);
    case_append(&c, 1, 5, 3);
    case_append(&c, 6, 1, 3);
    raft_store_save_vote(c.store, ++c.tickets, 4, 2);
    case_append(&c, 7, 2, 4);
    case_wait(&c);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(c.written[i], i + 1);
    }
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->term, 4);
    assert_int_equal(case_disk(&c)->vote, 2);
    assert_entries(case_disk(&c), 1, 8, 3, 7, 4);
    assert_int_equal(raft_store_state(c.store)->repaired, 0);
    case_close(&c);
}

static void later_entries_replace_earlier_ones(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    case_append(&c, 1, 20, 1);
    case_append(&c, 11, 2, 2);
    case_wait(&c);
    case_append(&c, 13, 3, 2);
    case_wait(&c);
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_entries(case_disk(&c), 1, 15, 1, 11, 2);
    case_append(&c, 16, 1, 2);
    case_wait(&c);
    case_close(&c);
    assert_true(case_open(&c, b->loop, b->raft));
    assert_entries(case_disk(&c), 1, 16, 1, 11, 2);
    case_close(&c);
}

static void what_waits_goes_out_together(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    for (uint64_t i = 1; i <= 60; i++) {
        case_append(&c, i, 1, 1);
    }
    case_wait(&c);
    case_close(&c);
    assert_int_equal(count_files(b->raft, "log-"), 1); /* 60 groups would need two segments */
    assert_true(case_open(&c, b->loop, b->raft));
    assert_entries(case_disk(&c), 1, 60, 1, UINT64_MAX, 0);
    case_close(&c);
}

/* One group each. */
static void append_one_by_one(struct store_case *c, uint64_t first, uint64_t last, uint64_t term)
{
    for (uint64_t i = first; i <= last; i++) {
        case_append(c, i, 1, term);
        case_wait(c);
    }
}

static void segments_follow_one_another_and_are_removed_behind_a_snapshot(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    append_one_by_one(&c, 1, 100, 1);
    assert_int_equal(count_files(b->raft, "log-"), 4);
    uint64_t before = raft_store_bytes(c.store);
    case_snapshot(&c, 90, 1, 81, false);
    case_wait(&c);
    assert_true(raft_store_bytes(c.store) < before);
    append_one_by_one(&c, 101, 120, 1);
    case_close(&c);
    assert_int_equal(count_files(b->raft, "log-"), 2);

    assert_true(case_open(&c, b->loop, b->raft));
    const struct raft_disk_state *disk = case_disk(&c);
    assert_int_equal(disk->snapshot->index, 90);
    assert_int_equal(disk->snapshot->term, 1);
    assert_int_equal(disk->snapshot->members_index, 1);
    assert_true(bytes_equal(disk->snapshot->data, bytes_of("the state", 9)));
    assert_true(bytes_equal(disk->snapshot->members, bytes_of("members", 7)));
    assert_true(disk->first > 1 && disk->first <= 81);
    assert_entries(disk, disk->first, 120, 1, UINT64_MAX, 0);
    case_close(&c);
}

static void a_newer_snapshot_replaces_the_older_one(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    append_one_by_one(&c, 1, 10, 1);
    case_snapshot(&c, 4, 1, 1, false);
    case_snapshot(&c, 9, 1, 1, false);
    case_wait(&c);
    case_close(&c);
    assert_int_equal(count_files(b->raft, "snapshot-"), 1);
    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->snapshot->index, 9);
    case_close(&c);
}

static void a_leaders_snapshot_begins_a_new_log(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    append_one_by_one(&c, 1, 40, 1);
    case_snapshot(&c, 20, 2, 21, true); /* contradicts entry 20 */
    case_wait(&c);
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->first, 21);
    assert_int_equal(case_disk(&c)->n_items, 0);
    append_one_by_one(&c, 21, 23, 2);
    case_close(&c);
    assert_int_equal(count_files(b->raft, "log-"), 1);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->snapshot->index, 20);
    assert_entries(case_disk(&c), 21, 23, 2, UINT64_MAX, 0);
    case_snapshot(&c, 500, 5, 501, true); /* far ahead */
    case_append(&c, 501, 2, 5);
    case_wait(&c);
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->snapshot->index, 500);
    assert_entries(case_disk(&c), 501, 502, 5, UINT64_MAX, 0);
    case_close(&c);
}

static void large_groups_get_a_segment_of_their_own_size(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    uint8_t *large = mem_zalloc(900000);
    struct raft_item item = { .term = 1, .kind = RAFT_ENTRY_COMMAND,
                              .data = bytes_of(large, 900000) };
    memset(large, 'x', 900000);
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    for (uint64_t i = 1; i <= 3; i++) {
        raft_store_write_log(c.store, ++c.tickets, i, &item, 1);
    }
    case_wait(&c);
    case_close(&c);
    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->n_items, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(bytes_equal(case_disk(&c)->items[i].data, item.data));
    }
    case_close(&c);
    free(large);
}

static void a_directory_begins_small(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    case_append(&c, 1, 1, 1);
    case_wait(&c);
    assert_true(raft_store_bytes(c.store) <= 300000);
    case_close(&c);
}

/* ---- what goes wrong --------------------------------------------------------------------------*/

static void a_failed_write_acknowledges_nothing_more(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    struct rlimit before, none;
    assert_true(case_open(&c, b->loop, b->raft));
    raft_store_save_vote(c.store, ++c.tickets, 1, 7);
    case_wait(&c);

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){ 4096, before.rlim_max }; /* the second slot lies above it */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    raft_store_save_vote(c.store, ++c.tickets, 2, 7);
    raft_store_save_vote(c.store, ++c.tickets, 3, 7);
    case_wait(&c);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(c.failed);
    assert_int_equal(c.n_written, 1);
    assert_non_null(strstr(c.message, "check it"));
    c.error = 0;
    case_close(&c);
}

/* Frees space on the disk a little later. */
struct ballast {
    struct timer timer;
    char *path;
};

static void drop_ballast(struct timer *timer)
{
    assert_int_equal(file_remove(container_of(timer, struct ballast, timer)->path), 0);
}

static void a_full_disk_is_waited_for(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    struct ballast ballast;
    struct buf zeros = { 0 };
    if (!mount_here("tmpfs", b->dir, "size=600k")) {
        skip();
    }
    ballast.path = mem_sprintf("%s/ballast", b->dir);
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    append_one_by_one(&c, 1, 31, 1);

    buf_put_zeros(&zeros, 200 * 1024);
    assert_int_equal(file_replace(ballast.path, buf_bytes(&zeros)), 0);
    buf_release(&zeros);
    timer_init(&ballast.timer, b->loop, drop_ballast);
    timer_set_in(&ballast.timer, 300 * NS_PER_MS);
    case_append(&c, 32, 1, 1); /* needs a segment, for which there is no space */
    case_wait(&c);
    assert_false(c.failed);
    assert_false(file_exists(ballast.path));
    case_close(&c);

    assert_true(case_open(&c, b->loop, b->raft));
    assert_entries(case_disk(&c), 1, 32, 1, UINT64_MAX, 0);
    case_close(&c);
    free(ballast.path);
    unmount_here(b->dir);
}

static void closing_gives_up_what_waits_for_space(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    if (!mount_here("tmpfs", b->dir, "size=200k")) {
        skip();
    }
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    case_append(&c, 1, 1, 1);
    case_close(&c);
    assert_true(case_open(&c, b->loop, b->raft));
    assert_int_equal(case_disk(&c)->n_items, 0);
    case_close(&c);
    unmount_here(b->dir);
}

static void a_directory_of_another_node_is_refused(void **state)
{
    struct backend_case *b = backend_of(state);
    struct store_case c;
    assert_true(case_open(&c, b->loop, b->raft));
    case_vote(&c);
    case_close(&c);
    c = (struct store_case){ .loop = b->loop };
    c.store = raft_store_open(b->loop, b->raft, 8, &case_events, &c);
    while (!c.opened) {
        loop_run(b->loop);
    }
    assert_int_equal(c.error, -EINVAL);
    assert_non_null(strstr(c.message, "node.id=7"));
    case_close(&c);
}

static const struct {
    const char *name;
    CMUnitTestFunction run;
} TESTS[] = {
#define TEST(name) { #name, name }
    TEST(a_fresh_directory_gets_an_identity_that_stays),
    TEST(votes_and_entries_come_back),
    TEST(later_entries_replace_earlier_ones),
    TEST(what_waits_goes_out_together),
    TEST(segments_follow_one_another_and_are_removed_behind_a_snapshot),
    TEST(a_newer_snapshot_replaces_the_older_one),
    TEST(a_leaders_snapshot_begins_a_new_log),
    TEST(large_groups_get_a_segment_of_their_own_size),
    TEST(a_directory_begins_small),
    TEST(a_failed_write_acknowledges_nothing_more),
    TEST(a_full_disk_is_waited_for),
    TEST(closing_gives_up_what_waits_for_space),
    TEST(a_directory_of_another_node_is_refused),
};

int main(void)
{
    struct backend_case uring = { .backend = LOOP_URING }, threads = { .backend = LOOP_THREADS };
    struct CMUnitTest tests[2 * countof(TESTS)];
    for (unsigned i = 0; i < countof(tests); i++) {
        bool first = i < countof(TESTS);
        tests[i] = (struct CMUnitTest){
            .name = mem_sprintf("%s_%s", TESTS[i % countof(TESTS)].name,
                                first ? "uring" : "threads"),
            .test_func = TESTS[i % countof(TESTS)].run,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = first ? &uring : &threads,
        };
    }
    mounts_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (unsigned i = 0; i < countof(tests); i++) {
        free((char *)tests[i].name);
    }
    return failed;
}
