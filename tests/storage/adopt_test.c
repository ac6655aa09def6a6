/* Directories that somebody else wrote: Apache Kafka's, and our own after Kafka has been there. */
#include "store_test.h"

#include <chronik/base/crc32c.h>

static const struct log_config SMALL = {
    .segment_bytes = 3000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 300,
    .retention_ms = -1,
    .retention_bytes = -1,
};

static void fill(struct bed *bed, uint64_t first, unsigned n)
{
    log_configure(bed->log, &SMALL);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(bed_append_producer(bed, bed->log, first + i * 5, 5, 20, 7,
                                             (int32_t)(first + i * 5)), 0);
    }
    bed_run_durable(bed, bed->log);
    log_set_high_watermark(bed->log, log_end(bed->log));
}

static void remove_in(const struct bed *bed, const char *name)
{
    char *path = mem_sprintf("%s/%s", bed->dir, name);
    assert_int_equal(file_remove(path), 0);
    free(path);
}

/* A directory as Kafka leaves it: nothing of ours, no indexes. */
static void leave_as_kafka(struct bed *bed, bool clean)
{
    remove_in(bed, "chronik-checkpoint");
    if (!clean) {
        remove_in(bed, ".kafka_cleanshutdown");
    }
}

static void a_directory_of_kafkas_is_adopted(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 60);
    bed_close(bed);
    leave_as_kafka(bed, true);
    remove_in(bed, "t-0/00000000000000000000.index");

    bed_open(bed);
    assert_true(store_recovery(bed->store)->adopted);
    assert_false(store_recovery(bed->store)->clean);
    assert_int_equal(store_recovery(bed->store)->logs, 1);
    assert_null(log_damage(bed->log));
    assert_int_equal(log_end(bed->log), 300);
    assert_int_equal(log_durable_end(bed->log), 300);
    assert_int_equal(log_high_watermark(bed->log), 300);
    assert_int_equal(log_last_epoch(bed->log), 1);
    assert_int_equal(producers_count(log_producers(bed->log)), 1);
    bed_expect(bed, bed->log, 0, 0, 300);
    fill(bed, 300, 10);
    bed_crash(bed);
    bed_open(bed);
    assert_false(store_recovery(bed->store)->adopted);
    bed_expect(bed, bed->log, 0, 0, 350);
    bed_close(bed);
}

static void a_torn_tail_of_a_crashed_kafka_is_cut_off(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 10);
    bed_close(bed);
    leave_as_kafka(bed, false);
    remove_in(bed, "recovery-point-offset-checkpoint");
    struct buf segment = bed_load(bed, "t-0/00000000000000000000.log");
    segment.len -= 30;
    bed_save(bed, "t-0/00000000000000000000.log", &segment);
    buf_release(&segment);
    bed_open(bed);
    assert_null(log_damage(bed->log));
    bed_expect(bed, bed->log, 0, 0, 45);
    fill(bed, 45, 1);
    bed_close(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 50);
    bed_close(bed);
}

static void what_a_clean_stop_left_damaged_is_reported_and_kept(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 60);
    bed_close(bed);
    leave_as_kafka(bed, true);
    struct buf segment = bed_load(bed, "t-0/00000000000000000000.log");
    segment.data[segment.len / 2] ^= 1;
    bed_save(bed, "t-0/00000000000000000000.log", &segment);
    bed_open(bed);
    assert_non_null(log_damage(bed->log));
    assert_int_equal(store_recovery(bed->store)->damaged_logs, 1);
    bed_close(bed);
    struct buf after = bed_load(bed, "t-0/00000000000000000000.log");
    assert_true(bytes_equal(buf_bytes(&after), buf_bytes(&segment)));
    buf_release(&after);
    buf_release(&segment);
}

static void what_kafka_appended_after_a_clean_stop_is_found(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 10);
    bed_close(bed);
    /* Kafka starts, appends a batch, stops: the mark is a new one. */
    struct buf batch = bed_batch(bed, 50, 5, 20), mark = { 0 };
    struct buf segment = bed_load(bed, "t-0/00000000000000000000.log");
    batch_stamp(batch.data, 50, 9);
    buf_put(&segment, batch.data, batch.len);
    bed_save(bed, "t-0/00000000000000000000.log", &segment);
    buf_printf(&mark, "{\"version\":0,\"brokerEpoch\":7}");
    bed_save(bed, ".kafka_cleanshutdown", &mark);
    bed_open(bed);
    assert_true(store_recovery(bed->store)->adopted);
    bed_expect(bed, bed->log, 0, 0, 55);
    assert_int_equal(log_last_epoch(bed->log), 9);
    bed_close(bed);
    buf_release(&segment);
    buf_release(&batch);
    buf_release(&mark);
}

static void an_identity_is_kept(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    struct uuid id = store_identity(bed->store)->directory_id;
    assert_int_equal(store_identity(bed->store)->node_id, -1);
    store_set_identity(bed->store, "a-cluster", 42, bed_done, bed);
    bed_run_done(bed);
    assert_int_equal(bed->done_error, 0);
    bed_crash(bed);
    bed_open(bed);
    assert_string_equal(store_identity(bed->store)->cluster_id, "a-cluster");
    assert_int_equal(store_identity(bed->store)->node_id, 42);
    assert_true(uuid_equal(&store_identity(bed->store)->directory_id, &id));
    bed_close(bed);
}

static void a_directory_in_use_is_refused(void **state)
{
    struct bed *bed = *state;
    struct file *lock;
    char *path = mem_sprintf("%s/.lock", bed->dir);
    assert_int_equal(file_lock(path, &lock), 0);
    assert_int_equal(bed_try_open(bed), -EWOULDBLOCK);
    assert_non_null(strstr(bed->message, "another broker"));
    file_close(lock);
    free(path);
    bed_open(bed);
    bed_close(bed);
}

static void a_newer_checkpoint_is_refused(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 3);
    bed_close(bed);
    struct buf content = bed_load(bed, "chronik-checkpoint");
    store_be16(content.data + 12, 2);
    store_be32(content.data + 8, crc32c(0, content.data + 12, content.len - 12));
    bed_save(bed, "chronik-checkpoint", &content);
    assert_int_equal(bed_try_open(bed), -ENOTSUP);
    assert_non_null(strstr(bed->message, "newer version"));
    buf_release(&content);
}

static void a_clean_stop_leaves_what_kafka_needs(void **state)
{
    struct bed *bed = *state;
    static const char *const NAMES[] = {
        "meta.properties",
        ".kafka_cleanshutdown",
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
        "t-0/partition.metadata",
        "t-0/leader-epoch-checkpoint",
        "t-0/00000000000000000000.log",
        "t-0/00000000000000000000.index",
        "t-0/00000000000000000000.timeindex",
        "t-0/00000000000000000300.snapshot",
    };
    bed_open(bed);
    fill(bed, 0, 60);
    bed_close(bed);
    for (unsigned i = 0; i < countof(NAMES); i++) {
        struct buf content = bed_load(bed, NAMES[i]);
        assert_true(content.len > 0);
        buf_release(&content);
    }
    char *journal = mem_sprintf("%s/journal", bed->dir);
    assert_false(file_exists(journal));
    free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(a_directory_of_kafkas_is_adopted),
        BOTH_BACKENDS(a_torn_tail_of_a_crashed_kafka_is_cut_off),
        BOTH_BACKENDS(what_a_clean_stop_left_damaged_is_reported_and_kept),
        BOTH_BACKENDS(what_kafka_appended_after_a_clean_stop_is_found),
        BOTH_BACKENDS(an_identity_is_kept),
        BOTH_BACKENDS(a_directory_in_use_is_refused),
        BOTH_BACKENDS(a_newer_checkpoint_is_refused),
        BOTH_BACKENDS(a_clean_stop_leaves_what_kafka_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
