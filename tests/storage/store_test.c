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

/* The journal leaves under another name: some of its chunks alone would be damage. */
static void a_clean_stop_that_was_cut_short_is_clean(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 10, 50), 0);
    bed_run_durable(bed, bed->log);
    char *journal = mem_sprintf("%s/journal", bed->dir);
    char *gone = mem_sprintf("%s/journal.gone", bed->dir);
    char *chunk = mem_sprintf("%s/0000", journal), *left = mem_sprintf("%s/0000", gone);
    struct buf content = { 0 };
    assert_int_equal(file_load(chunk, MIB(64), &content), 0);
    bed_close(bed);
    assert_int_equal(access(journal, F_OK), -1);
    assert_int_equal(access(gone, F_OK), -1);
    assert_int_equal(dir_create(gone), 0);
    assert_int_equal(file_replace(left, buf_bytes(&content)), 0);
    bed_open(bed);
    assert_true(store_recovery(bed->store)->clean);
    assert_null(log_damage(bed->log));
    assert_int_equal(access(gone, F_OK), -1);
    bed_expect(bed, bed->log, 0, 0, 10);
    bed_close(bed);
    buf_release(&content);
    free(journal), free(gone), free(chunk), free(left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(an_append_becomes_durable_and_is_read_back),
        BOTH_BACKENDS(records_survive_a_clean_stop),
        BOTH_BACKENDS(records_survive_a_crash),
        BOTH_BACKENDS(a_clean_stop_that_was_cut_short_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
