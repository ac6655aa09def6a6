/* Retention by time and by size, below the high watermark only; rolling by size and by time. */
#include "store_test.h"

static const struct log_config SMALL = {
    .segment_bytes = 3000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 300,
    .retention_ms = -1,
    .retention_bytes = -1,
    .delete_old = true,
};

static void fill(struct bed *bed, const struct log_config *config)
{
    bed_open(bed);
    log_configure(bed->log, config);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * 5, 5, 20), 0);
    }
    bed_run_durable(bed, bed->log);
}

static void retain(struct bed *bed, int64_t now_ms)
{
    store_retain(bed->store, now_ms, INT64_MAX);
    bed_run_ms(bed, 30);
}

static void old_segments_go(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    int64_t first_ms = bed->now_ms;
    config.retention_ms = 1000;
    fill(bed, &config); /* a record each ms: 500 ms in all */
    log_set_high_watermark(bed->log, 500);

    retain(bed, first_ms + 1000);
    assert_int_equal(log_start_offset(bed->log), 0);
    retain(bed, first_ms + 1250); /* those of the first 250 ms are too old */
    int64_t start = log_start_offset(bed->log);
    assert_true(start > 150 && start <= 250);
    bed_expect(bed, bed->log, start, (uint64_t)start, (size_t)(500 - start));
    bed_crash(bed);
    bed_open(bed);
    assert_int_equal(log_start_offset(bed->log), start);
    retain(bed, first_ms + 100000); /* nobody has said what its settings are */
    assert_int_equal(log_start_offset(bed->log), start);
    log_configure(bed->log, &config);
    log_set_high_watermark(bed->log, 500);
    retain(bed, first_ms + 100000);
    assert_int_equal(log_start_offset(bed->log), 500);
    assert_int_equal(log_size(bed->log), 0);
    bed_close(bed);
}

static void a_log_that_is_too_large_loses_its_oldest_segments(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    config.retention_bytes = 8000;
    fill(bed, &config);
    log_set_high_watermark(bed->log, 500);
    uint64_t before = log_size(bed->log);
    retain(bed, bed->now_ms);
    assert_true(before > 12000);
    assert_true(log_size(bed->log) >= 8000 && log_size(bed->log) < 8000 + config.segment_bytes);
    int64_t start = log_start_offset(bed->log);
    bed_expect(bed, bed->log, start, (uint64_t)start, (size_t)(500 - start));
    bed_close(bed);
}

static void nothing_above_the_high_watermark_goes(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    config.retention_ms = 1;
    config.retention_bytes = 0;
    fill(bed, &config);
    log_set_high_watermark(bed->log, 123);
    retain(bed, bed->now_ms + 1000000);
    assert_true(log_start_offset(bed->log) > 0);
    assert_true(log_start_offset(bed->log) <= 123);
    bed_close(bed);
}

static void silent_producers_are_forgotten(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_int_equal(bed_append_producer(bed, bed->log, 0, 5, 20, 77, 0), 0);
    bed_run_durable(bed, bed->log);
    int64_t applied_ms = loop_wall_ms(bed->loop);
    const struct {
        int64_t after_ms, producer_ms;
        size_t left;
    } looks[] = {
        { 0, 60000, 1 }, { 59000, 60000, 1 }, { 80000, 90000, 1 }, { 80000, 60000, 0 }
    };
    for (size_t i = 0; i < countof(looks); i++) {
        store_retain(bed->store, applied_ms + looks[i].after_ms, looks[i].producer_ms);
        bed_run_ms(bed, 30);
        assert_int_equal(producers_count(log_producers(bed->log)), looks[i].left);
    }
    bed_close(bed);
}

static void readers_go_on_while_segments_go(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    config.retention_bytes = 3000;
    fill(bed, &config);
    log_set_high_watermark(bed->log, 500);
    bed_close(bed);
    bed_open(bed);
    log_configure(bed->log, &config);
    log_set_high_watermark(bed->log, 500);
    int64_t offset = 0;
    while (offset < 500) {
        struct log_read read = {
            .offset = offset, .below = INT64_MAX, .max_bytes = 600, .at_least_one = true
        };
        store_retain(bed->store, bed->now_ms, INT64_MAX);
        int error = bed_read_once(bed, bed->log, &read);
        assert_true(error == 0 || error == -ERANGE);
        offset = error == 0 ? read.next : log_start_offset(bed->log);
        chain_release(&read.batches);
    }
    bed_close(bed);
}

static unsigned segments_in(const struct bed *bed)
{
    char *path = mem_sprintf("%s/t-0", bed->dir);
    struct dir_entry *entries;
    size_t n;
    unsigned segments = 0;
    assert_int_equal(dir_list(path, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        segments += strstr(entries[i].name, ".log") != NULL;
    }
    dir_list_free(entries, n);
    free(path);
    return segments;
}

static void segments_roll_by_the_time_of_their_records(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    config.segment_bytes = GIB(1);
    config.segment_ms = 100;
    fill(bed, &config); /* 500 ms */
    bed_close(bed);
    assert_int_equal(segments_in(bed), 5);
}

static void a_full_index_rolls_a_segment(void **state)
{
    struct bed *bed = *state;
    struct log_config config = SMALL;
    config.segment_bytes = GIB(1);
    config.segment_index_bytes = 80; /* 10 entries, or 6 - 1 of the time index */
    fill(bed, &config);
    bed_close(bed);
    assert_true(segments_in(bed) > 5);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 500);
    bed_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(old_segments_go),
        BOTH_BACKENDS(a_log_that_is_too_large_loses_its_oldest_segments),
        BOTH_BACKENDS(nothing_above_the_high_watermark_goes),
        BOTH_BACKENDS(silent_producers_are_forgotten),
        BOTH_BACKENDS(readers_go_on_while_segments_go),
        BOTH_BACKENDS(segments_roll_by_the_time_of_their_records),
        BOTH_BACKENDS(a_full_index_rolls_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
