/* Appends: what leaders and followers may write, how batches of any size get through the journal,
 * what happens when there is no room. Every test with both backends. */
#include "store_test.h"

static void large_batches_go_through_the_journal_in_parts(void **state)
{
    struct bed *bed = *state;
    bed->config.group_bytes_max = KIB(64);
    bed_open(bed);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * 20, 20, 50000), 0); /* 1 MB */
        assert_int_equal(bed_append(bed, bed->log, 1000 + i, 1, 10), 0);
    }
    bed_run_durable(bed, bed->log);
    bed_crash(bed);
    bed_open(bed);
    assert_int_equal(log_durable_end(bed->log), 84);
    struct ids ids = bed_read(bed, bed->log, 0, 100);
    assert_int_equal(ids.n, 84);
    for (unsigned i = 0; i < 84; i++) {
        assert_int_equal(ids.id[i], i % 21 < 20 ? i / 21 * 20 + i % 21 : 1000 + i / 21);
    }
    ids_release(&ids);
    bed_close(bed);
}

static void a_batch_that_was_not_wholly_written_is_not_there(void **state)
{
    struct bed *bed = *state;
    bed->config.group_bytes_max = KIB(64);
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 1, 10), 0);
    bed_run_durable(bed, bed->log);
    assert_int_equal(bed_append(bed, bed->log, 1, 20, 50000), 0);
    bed_crash(bed); /* its first group may be under way, not more */
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 1);
    assert_int_equal(bed_append(bed, bed->log, 1, 1, 10), 0);
    bed_run_durable(bed, bed->log);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 2);
    bed_close(bed);
}

static void a_batch_that_the_journal_could_never_hold_is_refused(void **state)
{
    struct bed *bed = *state;
    bed->config.journal_bytes_max = MIB(1);
    bed_open(bed);
    assert_int_equal(bed_append(bed, bed->log, 0, 20, 60000), -EFBIG);
    assert_int_equal(bed_append(bed, bed->log, 0, 1, 60000), 0);
    bed_run_durable(bed, bed->log);
    bed_expect(bed, bed->log, 0, 0, 1);
    bed_close(bed);
}

static bool has_room(struct bed *bed)
{
    return bed->room;
}

static void it_is_refused_while_others_wait_too(void **state)
{
    struct bed *bed = *state;
    struct buf large = bed_batch(bed, 0, 140, 60000), small = bed_batch(bed, 0, 10, 3000);
    struct log_append refused = { .batches = buf_bytes(&large), .leader_epoch = 1,
                                  .as_leader = true, .log_append_ms = -1 };
    struct log_append waits = { .batches = buf_bytes(&small), .leader_epoch = 1,
                                .as_leader = true, .log_append_ms = -1 };
    bed->config.tail_bytes = MIB(2);
    bed->config.journal_bytes_max = MIB(8);
    bed_open(bed);
    while (log_append(bed->log, &waits) == 0) {
    }
    assert_int_equal(store_writable(bed->store), -EAGAIN);
    assert_int_equal(log_append(bed->log, &refused), -EFBIG);
    bed->room = false;
    bed_run(bed, has_room);
    assert_int_equal(log_append(bed->log, &waits), 0);
    buf_release(&large);
    buf_release(&small);
    bed_close(bed);
}

static void a_follower_keeps_offsets_and_epochs(void **state)
{
    struct bed *bed = *state;
    int32_t epoch;
    int64_t end;
    bed_open(bed);
    assert_int_equal(bed_follow(bed, bed->log, -3, 3, 0, 5, 10), -EINVAL); /* -3..1 */
    assert_int_equal(bed_follow(bed, bed->log, 10, 3, 0, 5, 10), 0);  /* 10..14 */
    assert_int_equal(bed_follow(bed, bed->log, 20, 5, 5, 5, 10), 0);  /* a gap */
    assert_int_equal(bed_follow(bed, bed->log, 24, 5, 9, 5, 10), -EINVAL); /* overlaps */
    assert_int_equal(bed_follow(bed, bed->log, 25, 4, 9, 5, 10), -EINVAL); /* falls back */
    assert_int_equal(log_end(bed->log), 25);
    assert_int_equal(log_last_epoch(bed->log), 5);
    assert_int_equal(log_epoch_at(bed->log, 12), 3);
    assert_int_equal(log_epoch_at(bed->log, 20), 5);
    log_epoch_end(bed->log, 4, &epoch, &end);
    assert_int_equal(epoch, 3);
    assert_int_equal(end, 20);
    bed_run_durable(bed, bed->log);
    bed_crash(bed);
    bed_open(bed);
    assert_int_equal(log_end(bed->log), 25);
    assert_int_equal(log_epoch_at(bed->log, 12), 3);
    assert_int_equal(log_epoch_at(bed->log, 20), 5);
    struct ids ids = bed_read(bed, bed->log, 0, 100);
    assert_int_equal(ids.n, 10);
    assert_int_equal(ids.offset[4], 14);
    assert_int_equal(ids.offset[5], 20);
    ids_release(&ids);
    bed_close(bed);
}

static void a_row_of_batches_is_one_append(void **state)
{
    struct bed *bed = *state;
    struct buf row = { 0 };
    bed_open(bed);
    struct log_config small = LOG_CONFIG_DEFAULT;
    small.segment_bytes = 5000;
    log_configure(bed->log, &small);
    for (unsigned i = 0; i < 200; i++) {
        struct buf batch = bed_batch(bed, i * 3, 3, 100);
        batch_stamp(batch.data, i * 3, (int32_t)(i / 50));
        buf_put(&row, batch.data, batch.len);
        buf_release(&batch);
    }
    struct log_append append = { .batches = buf_bytes(&row), .log_append_ms = -1 };
    assert_int_equal(log_append(bed->log, &append), 0);
    assert_int_equal(append.base_offset, 0);
    assert_int_equal(append.last_offset, 599);
    bed_expect(bed, bed->log, 0, 0, 600);
    bed_run_durable(bed, bed->log);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 600);
    assert_int_equal(log_epoch_at(bed->log, 150), 1);
    assert_int_equal(log_last_epoch(bed->log), 3);
    buf_release(&row);
    bed_close(bed);
}

static void the_log_append_time_is_stamped(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    struct buf batch = bed_batch(bed, 0, 3, 10);
    struct log_append append = { .batches = buf_bytes(&batch),
                                 .leader_epoch = 7,
                                 .as_leader = true,
                                 .log_append_ms = 123456 };
    assert_int_equal(log_append(bed->log, &append), 0);
    struct log_read read = { .below = INT64_MAX, .max_bytes = 1000 };
    assert_int_equal(bed_read_once(bed, bed->log, &read), 0);
    uint8_t bytes[500];
    struct batch b;
    chain_copy(&read.batches, bytes);
    assert_int_equal(batch_parse(bytes_of(bytes, read.batches.len), &b), KAFKA_NONE);
    assert_true(batch_crc_ok(&b));
    assert_int_equal(b.max_timestamp, 123456);
    assert_int_equal(b.leader_epoch, 7);
    assert_true((b.attributes & BATCH_LOG_APPEND_TIME) != 0);
    chain_release(&read.batches);
    buf_release(&batch);
    bed_close(bed);
}

static void bad_batches_change_nothing(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    struct buf batch = bed_batch(bed, 0, 3, 10);
    struct log_append append = { .batches = bytes_of(batch.data, batch.len - 1),
                                 .leader_epoch = 1,
                                 .as_leader = true,
                                 .log_append_ms = -1 };
    assert_int_equal(log_append(bed->log, &append), -EINVAL);
    append.batches = bytes_of(batch.data, 0);
    assert_int_equal(log_append(bed->log, &append), -EINVAL);
    assert_int_equal(log_end(bed->log), 0);
    buf_release(&batch);
    bed_close(bed);
}

static void appends_wait_while_the_tail_is_full_and_lose_nothing(void **state)
{
    struct bed *bed = *state;
    unsigned refused = 0;
    bed->config.tail_bytes = MIB(2);
    bed->config.write_age_ns = 3600 * NS_PER_S; /* only pressure makes segments grow */
    bed->config.checkpoint_idle_ns = 3600 * NS_PER_S;
    bed_open(bed);
    for (unsigned i = 0; i < 400; i++) {
        struct buf batch = bed_batch(bed, i * 10, 10, 3000);
        struct log_append append = { .batches = buf_bytes(&batch),
                                     .leader_epoch = 1,
                                     .as_leader = true,
                                     .log_append_ms = -1 };
        while (log_append(bed->log, &append) == -EAGAIN) {
            assert_int_equal(store_writable(bed->store), -EAGAIN);
            refused++;
            bed_run(bed, has_room);
            bed->room = false;
        }
        buf_release(&batch);
    }
    assert_true(refused > 0);
    bed_run_durable(bed, bed->log);
    bed_expect(bed, bed->log, 0, 0, 4000);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 4000);
    bed_close(bed);
}

static void chunks_are_used_again(void **state)
{
    struct bed *bed = *state;
    bed->config.journal_bytes_max = MIB(1);
    bed_open(bed);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(bed_append(bed, bed->log, i * 10, 10, 1000), 0);
    }
    bed_run_durable(bed, bed->log);
    bed_crash(bed);
    bed_open(bed);
    assert_null(log_damage(bed->log));
    bed_expect(bed, bed->log, 0, 0, 5000);
    bed_close(bed);
}

static unsigned moves;

static void count_move(void *arg)
{
    (void)arg;
    moves++;
}

static void a_round_of_partitions_is_durable_with_one_write(void **state)
{
    struct bed *bed = *state;
    struct log *logs[200];
    bed_open(bed);
    moves = 0;
    for (unsigned i = 0; i < countof(logs); i++) {
        logs[i] = bed_create(bed, "round", 9, (int32_t)i, &LOG_CONFIG_DEFAULT);
        log_listen(logs[i], count_move, NULL);
        assert_int_equal(bed_append(bed, logs[i], i, 1, 10), 0);
        assert_int_equal(bed_append(bed, logs[i], 1000 + i, 1, 10), 0);
    }
    bed_run_durable(bed, logs[0]);
    assert_int_equal(moves, countof(logs)); /* all at once, and each once */
    for (unsigned i = 0; i < countof(logs); i++) {
        assert_int_equal(log_durable_end(logs[i]), 2);
    }
    bed_close(bed);
}

static void producers_are_known_after_every_kind_of_restart(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    for (unsigned round = 0; round < 4; round++) {
        for (int64_t producer = 0; producer < 100; producer++) {
            uint64_t id = round * 1000 + (uint64_t)producer;
            assert_int_equal(bed_append_producer(bed, bed->log, id, 2, 10, producer,
                                                 (int32_t)round * 2), 0);
        }
        bed_run_durable(bed, bed->log);
        if (round % 2 == 0) {
            bed_run_ms(bed, round * 20); /* perhaps a checkpoint: more than fit into its image */
            bed_crash(bed);
        } else {
            bed_close(bed);
        }
        bed->config.checkpoint_idle_ns = NS_PER_MS;
        bed_open(bed);
        assert_int_equal(producers_count(log_producers(bed->log)), 100);
        for (int64_t producer = 0; producer < 100; producer++) {
            struct buf raw = bed_batch_producer(bed, 0, 2, 10, producer, (int32_t)round * 2);
            struct batch b;
            assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
            struct producer_verdict verdict = producers_decide(log_producers(bed->log), &b);
            assert_true(verdict.duplicate);
            assert_int_equal(verdict.base_offset, round * 200 + producer * 2);
            buf_release(&raw);
        }
    }
    bed_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(large_batches_go_through_the_journal_in_parts),
        BOTH_BACKENDS(a_batch_that_was_not_wholly_written_is_not_there),
        BOTH_BACKENDS(a_batch_that_the_journal_could_never_hold_is_refused),
        BOTH_BACKENDS(it_is_refused_while_others_wait_too),
        BOTH_BACKENDS(a_follower_keeps_offsets_and_epochs),
        BOTH_BACKENDS(a_row_of_batches_is_one_append),
        BOTH_BACKENDS(the_log_append_time_is_stamped),
        BOTH_BACKENDS(bad_batches_change_nothing),
        BOTH_BACKENDS(appends_wait_while_the_tail_is_full_and_lose_nothing),
        BOTH_BACKENDS(chunks_are_used_again),
        BOTH_BACKENDS(a_round_of_partitions_is_durable_with_one_write),
        BOTH_BACKENDS(producers_are_known_after_every_kind_of_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
