/* Searches by time stamp, compared with a walk over all records. */
#include "store_test.h"

enum { BATCHES = 80, RECORDS = 4 };

static const struct log_config SMALL = {
    .segment_bytes = 4000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 300,
    .retention_ms = -1,
    .retention_bytes = -1,
};

struct sample {
    struct bed bed;
    struct prng prng;
    int64_t timestamp[BATCHES * RECORDS]; /* of the record at that offset */
    int64_t n;
};

static void append(struct sample *s, enum codec codec, bool rising)
{
    struct batch_builder b;
    uint8_t value[20] = { 0 };
    batch_builder_init(&b);
    b.codec = codec;
    for (unsigned i = 0; i < RECORDS; i++) {
        int64_t t = rising ? 1000 + s->n * 10 : (int64_t)prng_below(&s->prng, 5000);
        s->timestamp[s->n++] = t;
        batch_builder_add(&b, t, bytes_of(NULL, 0), bytes_of(value, sizeof value),
                          bytes_of(NULL, 0), 0);
    }
    struct log_append append = { .batches = batch_builder_finish(&b),
                                 .leader_epoch = 1 + (int32_t)s->n / 100,
                                 .as_leader = true,
                                 .log_append_ms = -1 };
    assert_int_equal(log_append(s->bed.log, &append), 0);
    batch_builder_release(&b);
}

static void found(struct log_find *find, int error)
{
    bed_done(find->arg, error);
}

static void check_find(struct sample *s, int64_t timestamp, int64_t below)
{
    struct log *log = s->bed.log;
    struct log_find find = {
        .timestamp = timestamp, .below = below, .done = found, .arg = &s->bed
    };
    int64_t expected = -1, largest = -1;
    for (int64_t i = log_start_offset(log); i < s->n && i < below; i++) {
        if (timestamp == INT64_MAX && s->timestamp[i] > largest) {
            largest = s->timestamp[i];
            expected = i;
        } else if (timestamp != INT64_MAX && s->timestamp[i] >= timestamp) {
            expected = i;
            break;
        }
    }
    int error = log_find(log, &find);
    if (error == -EINPROGRESS) {
        bed_run_done(&s->bed);
        error = s->bed.done_error;
    }
    assert_int_equal(error, 0);
    if (find.offset != expected) {
        fail_msg("time %lld below %lld: found %lld, not %lld", (long long)timestamp,
                 (long long)below, (long long)find.offset, (long long)expected);
    }
    if (expected >= 0) {
        assert_int_equal(find.found_timestamp, s->timestamp[expected]);
        assert_int_equal(find.leader_epoch, log_epoch_at(log, expected));
    }
}

static void check_all(struct sample *s)
{
    int64_t n = s->n / RECORDS * RECORDS;
    for (int64_t t = 0; t < 5500; t += 37) {
        check_find(s, t, INT64_MAX);
        check_find(s, t, n / 2);
    }
    for (int64_t below = 0; below <= n; below += 2 * RECORDS) {
        check_find(s, INT64_MAX, below);
    }
    check_find(s, INT64_MAX, INT64_MAX);
}

static void init(struct sample *s)
{
    *s = (struct sample){ .n = 0 };
    bed_init(&s->bed, LOOP_AUTO);
    prng_init(&s->prng, 3);
    bed_open(&s->bed);
    log_configure(s->bed.log, &SMALL);
}

/* Looks in the tail, in the segments of the same life, and in those of an earlier one. */
static void run(enum codec codec, bool rising)
{
    struct sample s;
    init(&s);
    for (unsigned i = 0; i < BATCHES; i++) {
        append(&s, codec, rising);
    }
    check_all(&s);
    bed_run_durable(&s.bed, s.bed.log);
    bed_crash(&s.bed);
    bed_open(&s.bed);
    check_all(&s);
    bed_close(&s.bed);
    bed_open(&s.bed);
    check_all(&s);
    for (int64_t start = 81; start < 120; start += 5) {
        assert_int_equal(log_move_start(s.bed.log, start, NULL, NULL), 0);
        check_all(&s);
    }
    bed_close(&s.bed);
    bed_release(&s.bed);
}

static void rising_time_stamps_are_found(void **state)
{
    (void)state;
    run(CODEC_NONE, true);
}

static void time_stamps_in_any_order_are_found(void **state)
{
    (void)state;
    run(CODEC_NONE, false);
}

static void compressed_batches_are_searched_too(void **state)
{
    (void)state;
    run(CODEC_ZSTD, false);
}

static void an_empty_log_has_nothing_to_find(void **state)
{
    struct sample s;
    (void)state;
    init(&s);
    check_find(&s, 0, INT64_MAX);
    check_find(&s, INT64_MAX, INT64_MAX);
    bed_close(&s.bed);
    bed_release(&s.bed);
}

static void a_cancelled_search_is_not_reported(void **state)
{
    struct sample s;
    (void)state;
    init(&s);
    for (unsigned i = 0; i < BATCHES; i++) {
        append(&s, CODEC_NONE, true);
    }
    bed_run_durable(&s.bed, s.bed.log);
    bed_close(&s.bed);
    bed_open(&s.bed);
    struct log_find find = { .timestamp = 1000, .below = INT64_MAX };
    assert_int_equal(log_find(s.bed.log, &find), -EINPROGRESS);
    log_find_cancel(&find);
    bed_run_ms(&s.bed, 20);
    bed_close(&s.bed);
    bed_release(&s.bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rising_time_stamps_are_found),
        cmocka_unit_test(time_stamps_in_any_order_are_found),
        cmocka_unit_test(compressed_batches_are_searched_too),
        cmocka_unit_test(an_empty_log_has_nothing_to_find),
        cmocka_unit_test(a_cancelled_search_is_not_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
