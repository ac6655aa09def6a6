/* Reads: any offset, from the tail and from segments, cut where the reader says. */
#include "store_test.h"

enum { BATCHES = 60, RECORDS = 5 };

static const struct log_config SMALL = {
    .segment_bytes = 4000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 300,
    .retention_ms = -1,
    .retention_bytes = -1,
};

/* BATCHES batches of RECORDS records each, ids equal to offsets; in the tail. */
static void fill(struct bed *bed)
{
    bed_open(bed);
    log_configure(bed->log, &SMALL);
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * RECORDS, RECORDS, 20), 0);
    }
    bed_run_durable(bed, bed->log);
}

/* Moves everything from the tail into segments. */
static void restart(struct bed *bed)
{
    bed_close(bed);
    bed_open(bed);
    log_configure(bed->log, &SMALL);
}

/* Reads once and checks that the result is whole batches from the one that holds the offset on. */
static void check_read(struct bed *bed, int64_t offset, int64_t below, uint64_t max_bytes,
                       bool at_least_one, uint64_t batch_bytes)
{
    struct log_read read = {
        .offset = offset, .below = below, .max_bytes = max_bytes, .at_least_one = at_least_one
    };
    assert_int_equal(bed_read_once(bed, bed->log, &read), 0);
    int64_t base = offset / RECORDS * RECORDS;
    int64_t whole_below = min_i64(below, BATCHES * RECORDS + 1);
    uint64_t n = read.batches.len / batch_bytes;
    assert_int_equal(read.batches.len % batch_bytes, 0);
    assert_int_equal(read.next, n > 0 ? base + (int64_t)n * RECORDS : offset);
    assert_true(read.next <= whole_below || n == 0);
    if (base + RECORDS - 1 < below && offset < BATCHES * RECORDS &&
        (at_least_one || max_bytes >= batch_bytes)) {
        assert_true(n >= 1);
    }
    assert_true(n <= 1 || read.batches.len <= max_bytes);
    if (n == 1 && !at_least_one) {
        assert_true(max_bytes >= batch_bytes);
    }
    if (n > 0) {
        uint8_t *bytes = mem_alloc(read.batches.len);
        chain_copy(&read.batches, bytes);
        assert_int_equal((int64_t)load_be64(bytes), base);
        free(bytes);
    }
    chain_release(&read.batches);
}

static void check_all_reads(struct bed *bed)
{
    struct buf one = bed_batch(bed, 0, RECORDS, 20);
    for (int64_t offset = 0; offset <= BATCHES * RECORDS; offset++) {
        check_read(bed, offset, INT64_MAX, 1, true, one.len);
        check_read(bed, offset, INT64_MAX, 1, false, one.len);
        check_read(bed, offset, INT64_MAX, 1000, true, one.len);
        check_read(bed, offset, offset + 7, 100000, false, one.len);
        check_read(bed, offset, 103, 100000, true, one.len);
    }
    buf_release(&one);
    for (int64_t offset = 0; offset < BATCHES * RECORDS; offset += 7) {
        bed_expect(bed, bed->log, offset, (uint64_t)offset, (size_t)(BATCHES * RECORDS - offset));
    }
}

static void every_offset_is_read_from_the_tail(void **state)
{
    struct bed *bed = *state;
    fill(bed);
    check_all_reads(bed);
    bed_close(bed);
}

static void every_offset_is_read_from_segments(void **state)
{
    struct bed *bed = *state;
    fill(bed);
    restart(bed);
    check_all_reads(bed);
    bed_close(bed);
}

static void a_read_goes_on_from_segments_into_the_tail(void **state)
{
    struct bed *bed = *state;
    fill(bed);
    restart(bed);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t id = (BATCHES + i) * RECORDS;
        assert_int_equal(bed_append(bed, bed->log, id, RECORDS, 20), 0);
        bed_expect(bed, bed->log, 3, 3, (size_t)log_end(bed->log) - 3);
    }
    bed_close(bed);
}

static void reads_outside_the_log_are_refused(void **state)
{
    struct bed *bed = *state;
    struct log_read read = { .offset = BATCHES * RECORDS + 1, .below = INT64_MAX, .max_bytes = 9 };
    fill(bed);
    assert_int_equal(log_read(bed->log, &read), -ERANGE);
    read.offset = -1;
    assert_int_equal(log_read(bed->log, &read), -ERANGE);
    assert_int_equal(log_move_start(bed->log, 50, bed_done, bed), 0);
    bed_run_done(bed);
    read.offset = 49;
    assert_int_equal(log_read(bed->log, &read), -ERANGE);
    bed_expect(bed, bed->log, 50, 50, BATCHES * RECORDS - 50);
    bed_close(bed);
}

static void a_batch_larger_than_a_read_is_read_as_a_whole(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 3, 10), 0);
    assert_int_equal(bed_append(bed, bed->log, 3, 3, 900000), 0);
    assert_int_equal(bed_append(bed, bed->log, 6, 3, 10), 0);
    bed_run_durable(bed, bed->log);
    bed_expect(bed, bed->log, 0, 0, 9);
    restart(bed);
    for (int64_t offset = 0; offset < 9; offset++) {
        bed_expect(bed, bed->log, offset, (uint64_t)offset, (size_t)(9 - offset));
    }
    bed_close(bed);
}

static void a_cancelled_read_is_not_reported(void **state)
{
    struct bed *bed = *state;
    fill(bed);
    restart(bed);
    struct log_read read = { .below = INT64_MAX, .max_bytes = 1000, .done = NULL };
    assert_int_equal(log_read(bed->log, &read), -EINPROGRESS);
    log_read_cancel(&read);
    log_read_cancel(&read);
    bed_run_ms(bed, 20);
    bed_close(bed);
}

static void ended(struct log_read *read, int error)
{
    assert_int_equal(read->batches.len, 0);
    bed_done(read->arg, error);
}

static void reading_a_log_that_is_deleted_meanwhile_ends_with_enoent(void **state)
{
    struct bed *bed = *state;
    fill(bed);
    restart(bed);
    struct log_read read = {
        .below = INT64_MAX, .max_bytes = 1000, .done = ended, .arg = bed
    };
    assert_int_equal(log_read(bed->log, &read), -EINPROGRESS);
    store_delete(bed->store, bed->log);
    bed_run_done(bed);
    assert_int_equal(bed->done_error, -ENOENT);
    bed_close(bed);
}

static void results_outlive_the_store(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 10, 10000), 0);
    struct log_read read = { .below = INT64_MAX, .max_bytes = MIB(1) };
    assert_int_equal(log_read(bed->log, &read), 0);
    bed_close(bed);
    assert_int_equal(load_be64(read.batches.slices[0].bytes.data), 0);
    chain_release(&read.batches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(every_offset_is_read_from_the_tail),
        BOTH_BACKENDS(every_offset_is_read_from_segments),
        BOTH_BACKENDS(a_read_goes_on_from_segments_into_the_tail),
        BOTH_BACKENDS(reads_outside_the_log_are_refused),
        BOTH_BACKENDS(a_batch_larger_than_a_read_is_read_as_a_whole),
        BOTH_BACKENDS(a_cancelled_read_is_not_reported),
        BOTH_BACKENDS(reading_a_log_that_is_deleted_meanwhile_ends_with_enoent),
        BOTH_BACKENDS(results_outlive_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
