/* A dump tells what a directory holds: of a store at work, one that was killed, a damaged one. That
 * it agrees with every recovery in the other tests of this directory is checked where they open a
 * store (store_bed.c). */
#include "dump_bed.h"
#include "store_test.h"

static const struct log_config SMALL = {
    .segment_bytes = 3000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 200,
    .retention_ms = -1,
    .retention_bytes = -1,
};

static void cut_done(void *arg, int error)
{
    assert_int_equal(error, 0);
    bed_done(arg, error);
}

/* The log holds exactly the ids from `from` to below `to`, each at the offset of its number. */
static void expect_ids(const struct dumped_log *log, uint64_t from, uint64_t to)
{
    assert_non_null(log);
    assert_true(log->crc_ok);
    assert_int_equal(log->n, to - from);
    for (size_t i = 0; i < log->n; i++) {
        assert_int_equal(log->id[i], from + i);
        assert_int_equal(log->offset[i], from + i);
    }
}

static void expect(struct bed *bed, uint64_t from, uint64_t to)
{
    struct dumped_dir dumped;
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    if (dumped.n_damage > 0) {
        fail_msg("%s", dumped.damage);
    }
    assert_int_equal(dumped.n, 1);
    expect_ids(dir_dump_find(&dumped, &bed->topic, 0), from, to);
    dir_dump_release(&dumped);
}

/* ---- a store at work --------------------------------------------------------------------------*/

static void what_is_durable_is_shown_at_once(void **state)
{
    struct bed *bed = *state;
    bed->config.write_age_ns = 3 * NS_PER_MS;
    bed->config.checkpoint_idle_ns = 5 * NS_PER_MS;
    bed->config.journal_bytes_max = MIB(1);
    bed_open(bed);
    log_configure(bed->log, &SMALL);
    for (uint64_t n = 0; n < 600; n += 6) {
        assert_int_equal(bed_append(bed, bed->log, n, 6, 100), 0);
        bed_run_durable(bed, bed->log);
        expect(bed, 0, n + 6);
        bed_run_ms(bed, n % 4);
    }
    bed_close(bed);
    expect(bed, 0, 600);
}

static void it_says_what_is_in_the_journal_and_what_in_segments(void **state)
{
    struct bed *bed = *state;
    struct dumped_dir dumped;
    bed->config.checkpoint_idle_ns = 3600 * NS_PER_S;
    bed_open(bed);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(bed_append(bed, bed->log, i, 1, 30), 0);
    }
    bed_run_durable(bed, bed->log);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_int_equal(dumped.logs[0].n_journal, 5);
    assert_int_equal(dumped.logs[0].n_segment, 0);
    dir_dump_release(&dumped);
    bed_close(bed);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_int_equal(dumped.logs[0].n_journal, 0);
    assert_int_equal(dumped.logs[0].n_segment, 5);
    dir_dump_release(&dumped);
}

static void a_batch_larger_than_a_group_is_shown_as_a_whole(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 4, 1500000), 0);
    bed_run_durable(bed, bed->log);
    expect(bed, 0, 4);
    bed_crash(bed);
    expect(bed, 0, 4);
}

static void what_was_cut_off_is_not_shown(void **state)
{
    struct bed *bed = *state;
    struct dumped_dir dumped;
    bed->config.write_age_ns = NS_PER_MS;
    bed->config.checkpoint_idle_ns = NS_PER_MS;
    bed_open(bed);
    log_configure(bed->log, &SMALL);
    for (uint64_t n = 0; n < 100; n++) {
        assert_int_equal(bed_append(bed, bed->log, n, 1, 200), 0);
    }
    bed_run_durable(bed, bed->log);
    bed_run_ms(bed, 50); /* a checkpoint */
    assert_int_equal(log_truncate(bed->log, 60, cut_done, bed), 0);
    bed_run_done(bed);
    expect(bed, 0, 60);
    assert_int_equal(log_move_start(bed->log, 33, cut_done, bed), 0);
    bed_run_done(bed);
    expect(bed, 33, 60);
    assert_int_equal(bed_append(bed, bed->log, 60, 10, 100), 0);
    bed_run_durable(bed, bed->log);
    expect(bed, 33, 70);
    store_delete(bed->store, bed->log);
    bed_run_ms(bed, 50);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_int_equal(dumped.n, 0);
    assert_int_equal(dumped.n_damage, 0);
    dir_dump_release(&dumped);
    bed_crash(bed);
}

/* ---- what is asked for ------------------------------------------------------------------------*/

static void one_partition_may_be_asked_for_by_name_or_by_directory(void **state)
{
    struct bed *bed = *state;
    struct dumped_dir dumped;
    bed_open(bed);
    for (int32_t i = 1; i < 4; i++) {
        struct log *log = bed_create(bed, "t", 1, i, &LOG_CONFIG_DEFAULT);
        assert_int_equal(bed_append(bed, log, (uint64_t)i, 1, 30), 0);
        bed_run_durable(bed, log);
    }
    bed_run_ms(bed, 50);
    assert_int_equal(dir_dump(&dumped, bed->dir, "t", 2), 0);
    assert_int_equal(dumped.n, 1);
    assert_int_equal(dumped.logs[0].partition, 2);
    assert_int_equal(dumped.logs[0].id[0], 2);
    dir_dump_release(&dumped);
    bed_close(bed);

    char *path = mem_sprintf("%s/t-3/", bed->dir);
    assert_int_equal(dir_dump(&dumped, path, NULL, 0), 0);
    assert_int_equal(dumped.n, 1);
    assert_int_equal(dumped.logs[0].partition, 3);
    assert_int_equal(dumped.logs[0].id[0], 3);
    dir_dump_release(&dumped);
    free(path);
    assert_int_equal(dir_dump(&dumped, bed->dir, "t", 7), 0);
    assert_int_equal(dumped.n, 0);
    dir_dump_release(&dumped);
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    static const struct dump_visitor NONE = { NULL, NULL, NULL };
    const struct dump_request request = { .dir = "/nowhere/at/all", .visitor = &NONE };
    char *message = NULL;
    (void)state;
    assert_int_equal(dump_run(&request, &message), -ENOENT);
    assert_non_null(strstr(message, "/nowhere/at/all"));
    free(message);
}

/* ---- what is damaged --------------------------------------------------------------------------*/

static void append_many(struct bed *bed, uint64_t n)
{
    bed_open(bed);
    log_configure(bed->log, &SMALL);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(bed_append(bed, bed->log, i, 1, 300), 0);
        bed_run_durable(bed, bed->log);
    }
}

static void a_flipped_bit_in_a_segment_is_reported_with_its_place(void **state)
{
    struct bed *bed = *state;
    struct dumped_dir dumped;
    const char *name = "t-0/00000000000000000000.log";
    append_many(bed, 20);
    bed_close(bed);
    struct buf content = bed_load(bed, name);
    size_t batch = (size_t)batch_peek_length(buf_bytes(&content));
    content.data[batch + 100] ^= 4;
    bed_save(bed, name, &content);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    char *place = mem_sprintf("%s at %zu: ", name, batch);
    assert_int_equal(dumped.n_damage, 1);
    assert_non_null(strstr(dumped.damage, place));
    assert_false(dumped.logs[0].crc_ok);
    assert_int_equal(dumped.logs[0].n, 19); /* all but the one */
    assert_int_equal(dumped.logs[0].id[1], 2);
    dir_dump_release(&dumped);
    free(place);

    content.len -= 10;
    content.data[batch + 100] ^= 4;
    bed_save(bed, name, &content);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_int_equal(dumped.n_damage, 1);
    assert_non_null(strstr(dumped.damage, name));
    assert_int_equal(dumped.logs[0].n, 19);
    dir_dump_release(&dumped);
    buf_release(&content);
}

static void a_damaged_group_is_reported_and_the_rest_is_shown(void **state)
{
    enum { BLOCK = 4096 };
    struct bed *bed = *state;
    struct dumped_dir dumped;
    bed->config.checkpoint_idle_ns = 3600 * NS_PER_S;
    bed->config.write_age_ns = 3600 * NS_PER_S;
    append_many(bed, 20);
    bed_crash(bed);
    struct buf content = bed_load(bed, "journal/0000");
    memset(content.data + 10 * BLOCK + 20, 0x5a, 200);
    bed_save(bed, "journal/0000", &content);
    buf_release(&content);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_true(dumped.n_damage > 0);
    assert_string_equal(dumped.damage, "journal/0000 at 40960: a group is damaged in the middle");
    assert_int_equal(dumped.logs[0].n, 19);
    dir_dump_release(&dumped);
}

/* ---- it only looks ----------------------------------------------------------------------------*/

/* Names and contents of everything below a directory. */
static void gather(const char *dir, struct buf *out)
{
    struct dir_entry *entries;
    size_t n;
    assert_int_equal(dir_list(dir, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        char *path = mem_sprintf("%s/%s", dir, entries[i].name);
        buf_printf(out, "%s\n", path);
        if (entries[i].is_dir) {
            gather(path, out);
        } else {
            assert_int_equal(file_load(path, GIB(1), out), 0);
        }
        free(path);
    }
    dir_list_free(entries, n);
}

static void check_unchanged(struct bed *bed)
{
    struct buf before = { 0 }, after = { 0 };
    struct dumped_dir dumped;
    gather(bed->dir, &before);
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    dir_dump_release(&dumped);
    gather(bed->dir, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_release(&before);
    buf_release(&after);
}

static void nothing_is_changed_by_a_dump(void **state)
{
    struct bed *bed = *state;
    struct dumped_dir dumped;
    assert_int_equal(dir_dump(&dumped, bed->dir, NULL, 0), 0);
    assert_int_equal(dumped.n, 0);
    assert_int_equal(dumped.n_damage, 0);
    dir_dump_release(&dumped);
    append_many(bed, 30);
    check_unchanged(bed);
    bed_crash(bed);
    check_unchanged(bed);
    bed_open(bed);
    bed_close(bed);
    check_unchanged(bed);
    char *checkpoint = mem_sprintf("%s/chronik-checkpoint", bed->dir);
    assert_int_equal(file_remove(checkpoint), 0);
    check_unchanged(bed);
    free(checkpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(what_is_durable_is_shown_at_once),
        BOTH_BACKENDS(it_says_what_is_in_the_journal_and_what_in_segments),
        BOTH_BACKENDS(a_batch_larger_than_a_group_is_shown_as_a_whole),
        BOTH_BACKENDS(what_was_cut_off_is_not_shown),
        BOTH_BACKENDS(one_partition_may_be_asked_for_by_name_or_by_directory),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
        BOTH_BACKENDS(a_flipped_bit_in_a_segment_is_reported_with_its_place),
        BOTH_BACKENDS(a_damaged_group_is_reported_and_the_rest_is_shown),
        BOTH_BACKENDS(nothing_is_changed_by_a_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
