/* The store: appends become durable, are read back, survive restarts. Every test with both
 * backends. */
#include "store_test.h"

static void an_append_becomes_durable_and_is_read_back(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_true(store_recovery(bed->store)->fresh);
    assert_int_equal(bed_append(bed, bed->log, 100, 3, 20), 0);
    assert_int_equal(log_end(bed->log), 3);
    assert_int_equal(log_durable_end(bed->log), 0);
    bed_expect(bed, bed->log, 0, 100, 3);
    bed_run_durable(bed, bed->log);
    assert_int_equal(log_durable_end(bed->log), 3);
    bed_expect(bed, bed->log, 1, 101, 2);
    bed_close(bed);
}

static void records_survive_a_clean_stop(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * 10, 10, 50), 0);
    }
    bed_run_durable(bed, bed->log);
    log_set_high_watermark(bed->log, 900);
    bed_close(bed);
    bed_open(bed);
    assert_true(store_recovery(bed->store)->clean);
    assert_int_equal(store_recovery(bed->store)->broker_epoch, 7);
    assert_int_equal(store_recovery(bed->store)->replayed_bytes, 0);
    assert_int_equal(log_end(bed->log), 1000);
    assert_int_equal(log_high_watermark(bed->log), 900);
    bed_expect(bed, bed->log, 0, 0, 1000);
    bed_close(bed);
}

static void records_survive_a_crash(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * 10, 10, 50), 0);
    }
    bed_run_durable(bed, bed->log);
    for (unsigned round = 0; round < 3; round++) {
        bed_crash(bed);
        bed_open(bed);
        assert_false(store_recovery(bed->store)->clean);
        assert_null(log_damage(bed->log));
        assert_int_equal(log_end(bed->log), 1000 + round * 10);
        assert_int_equal(log_durable_end(bed->log), 1000 + round * 10);
        bed_expect(bed, bed->log, 0, 0, 1000 + round * 10);
        assert_int_equal(bed_append(bed, bed->log, 1000 + round * 10, 10, 50), 0);
        bed_run_durable(bed, bed->log);
    }
    bed_close(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 1030);
    bed_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(an_append_becomes_durable_and_is_read_back),
        BOTH_BACKENDS(records_survive_a_clean_stop),
        BOTH_BACKENDS(records_survive_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
