/* Followers on streams from their leaders: everything arrives, what diverged is cut, what is
 * committed is not (docs/durability.md, rules 7, 13, 14 and 18). */
#include "replica_bed.h"

#include <chronik/storage/log.h>

static struct replica_bed bed;

static void begin(bool in_sync)
{
    replica_bed_init(&bed, 1);
    make_topic(&bed, 3, in_sync);
}

static void end(void)
{
    replica_bed_release(&bed);
}

static bool same_ends(struct replica_bed *b)
{
    int64_t want = end_at(b, 1);
    return log_durable_end(partition_at(b, 2)->log) == want &&
           log_durable_end(partition_at(b, 3)->log) == want;
}

static bool all_committed(struct replica_bed *b)
{
    return same_ends(b) && partition_at(b, 1)->high_watermark == end_at(b, 1) &&
           partition_at(b, 2)->high_watermark == end_at(b, 1) &&
           partition_at(b, 3)->high_watermark == end_at(b, 1);
}

static bool node_2_follows(struct replica_bed *b)
{
    int32_t leader = partition_at(b, 2)->leader;
    return log_durable_end(partition_at(b, 2)->log) == end_at(b, leader);
}

static void followers_get_everything_and_hear_what_is_committed(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    for (unsigned i = 0; i < 50; i++) {
        put_records(&bed, 1, 1 + i % 3);
        if (i % 7 == 0) {
            run_ms(&bed, 1);
        }
    }
    run_until(&bed, all_committed);
    assert_same_logs(&bed, 1, 2);
    assert_same_logs(&bed, 1, 3);
    /* The stream was asked for once, and ends came back. */
    assert_int_equal(line_of(&bed, 2, 1, FETCHER_HOT)->n_fetches, 1);
    assert_true(line_of(&bed, 2, 1, FETCHER_HOT)->n_progress > 1);
    end();
}

static void a_broken_link_loses_nothing(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    struct line *line = line_of(&bed, 2, 1, FETCHER_HOT);
    for (unsigned i = 0; i < 40; i++) {
        put_records(&bed, 1, 2);
        run_ms(&bed, i % 3);
        if (i % 5 == 4) {
            close_line(line);
            put_records(&bed, 1, 1);
            open_line(line);
        }
    }
    run_until(&bed, all_committed);
    assert_same_logs(&bed, 1, 2);
    end();
}

static void a_follower_that_lags_takes_the_stream_for_that_and_comes_back(void **state)
{
    (void)state;
    begin(false);
    for (unsigned i = 0; i < 120; i++) { /* ~3.6 MB in chunks of 64 KiB */
        put_batch(&bed, 1, 1, 30000);
        if (i % 10 == 0) {
            run_durable(&bed, 1);
        }
    }
    run_durable(&bed, 1);
    connect_nodes(&bed);
    for (unsigned i = 0; !same_ends(&bed); i++) {
        connect_nodes(&bed); /* what was wanted meanwhile */
        run_ms(&bed, 2);
    }
    assert_true(line_of(&bed, 2, 1, FETCHER_CATCH_UP)->n_records > 3);
    put_records(&bed, 1, 1);
    run_until(&bed, same_ends);
    uint64_t before = line_of(&bed, 2, 1, FETCHER_CATCH_UP)->n_records;
    put_records(&bed, 1, 1);
    run_until(&bed, same_ends);
    assert_int_equal(line_of(&bed, 2, 1, FETCHER_CATCH_UP)->n_records, before);
    assert_same_logs(&bed, 1, 2);
    assert_same_logs(&bed, 1, 3);
    end();
}

/* Node 1 led in epoch 0 and wrote on its own; node 2 leads in epoch 1. */
static void begin_diverged(unsigned common, unsigned own)
{
    begin(true);
    connect_nodes(&bed);
    put_records(&bed, 1, common);
    run_until(&bed, all_committed);
    for (int32_t follower = 2; follower <= 3; follower++) {
        close_line(line_of(&bed, follower, 1, FETCHER_HOT));
    }
    put_records(&bed, 1, own);
    run_durable(&bed, 1);
    change(&bed, 2, "23");
    tell(&bed, 2);
    tell(&bed, 3);
    run_durable(&bed, 2);
}

static bool node_1_follows(struct replica_bed *b)
{
    return log_durable_end(partition_at(b, 1)->log) == end_at(b, 2);
}

static void what_only_an_old_leader_has_is_cut(void **state)
{
    (void)state;
    begin_diverged(5, 4);
    put_records(&bed, 2, 7);
    run_durable(&bed, 2);
    tell(&bed, 1);
    connect_nodes(&bed);
    run_until(&bed, node_1_follows);
    assert_same_logs(&bed, 1, 2);
    assert_int_equal(end_at(&bed, 1), 12);
    end();
}

/* Node 1 has epochs that node 2 lacks, in between ones that it has: cut step by step (KIP-279). */
static void logs_part_at_the_last_epoch_that_both_have(void **state)
{
    (void)state;
    begin(true);
    put_of_epoch(&bed, 1, 0, 3);
    put_of_epoch(&bed, 1, 2, 3);
    put_of_epoch(&bed, 1, 4, 3);
    put_of_epoch(&bed, 2, 0, 2);
    run_durable(&bed, 1);
    run_durable(&bed, 2);
    for (unsigned i = 0; i < 5; i++) { /* epoch 5 */
        change(&bed, i % 2 == 0 ? 2 : 3, "23");
    }
    struct buf content = content_of(&bed, 1, 0);
    struct log_append in = { .as_leader = false, .log_append_ms = -1 };
    struct batch b;
    assert_int_equal(batch_parse(buf_bytes(&content), &b), KAFKA_NONE);
    in.batches = b.raw; /* node 3 has the same first batch, then another history */
    assert_int_equal(log_append(partition_at(&bed, 3)->log, &in), 0);
    buf_release(&content);
    put_of_epoch(&bed, 3, 3, 4);
    change(&bed, 3, "3");
    tell_all(&bed);
    run_durable(&bed, 3);
    put_records(&bed, 3, 1);
    connect_nodes(&bed);
    struct partition *p = partition_at(&bed, 1);
    while (log_durable_end(p->log) != end_at(&bed, 3)) {
        run_ms(&bed, 1);
    }
    assert_same_logs(&bed, 1, 3);
    end();
}

static void committed_records_are_never_cut(void **state)
{
    (void)state;
    begin_diverged(5, 4);
    struct partition *p = partition_at(&bed, 1);
    p->high_watermark = 8; /* as if node 2 had been elected although it lacked three of them */
    put_records(&bed, 2, 7);
    tell(&bed, 1);
    connect_nodes(&bed);
    while (p->role != PARTITION_OFFLINE) {
        run_ms(&bed, 1);
    }
    assert_int_equal(log_end(p->log), 9);
    assert_non_null(strstr(bed.said, "lacks committed records"));
    assert_int_equal(partition_check_leader(p, -1), KAFKA_NOT_LEADER_OR_FOLLOWER);
    end();
}

static void after_an_unclean_election_they_are(void **state)
{
    (void)state;
    begin_diverged(5, 4);
    struct partition *p = partition_at(&bed, 1);
    p->high_watermark = 8;
    change(&bed, -1, "");
    change_uncleanly(&bed, 2);
    tell_all(&bed);
    put_records(&bed, 2, 1);
    connect_nodes(&bed);
    run_until(&bed, node_1_follows);
    assert_int_equal(end_at(&bed, 1), 6);
    assert_true(p->high_watermark <= 6);
    assert_same_logs(&bed, 1, 2);
    end();
}

static void a_leader_elected_during_a_truncation_waits_for_its_end(void **state)
{
    struct sent sent;
    (void)state;
    begin_diverged(5, 4);
    struct partition *p = partition_at(&bed, 1);
    tell(&bed, 1);
    connect_nodes(&bed);
    while (p->followed.truncation == NULL) {
        run_ms(&bed, 0);
        assert_true(log_end(p->log) == 9 || p->followed.truncation != NULL);
    }
    change(&bed, 1, "1");
    tell(&bed, 1);
    assert_int_equal(p->role, PARTITION_BECOMING);
    send_batch(&bed, 1, &sent, -1, -1, -1);
    assert_int_equal(sent.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    sent_release(&sent);
    while (p->role != PARTITION_LEADER) {
        run_ms(&bed, 1);
    }
    assert_int_equal(p->epoch_start, 5);
    send_batch(&bed, 1, &sent, -1, -1, -1);
    run_durable(&bed, 1);
    assert_int_equal(sent.produce.base_offset, 5);
    sent_release(&sent);
    end();
}

static void a_partition_may_go_during_a_truncation(void **state)
{
    (void)state;
    begin_diverged(5, 4);
    struct partition *p = partition_at(&bed, 1);
    tell(&bed, 1);
    connect_nodes(&bed);
    while (p->followed.truncation == NULL) {
        run_ms(&bed, 0);
    }
    replicas_topic_deleted(&bed.nodes[1].replicas, &(struct uuid){ { 1 } });
    run_ms(&bed, 50);
    end();
}

static void a_follower_below_the_leaders_start_begins_there(void **state)
{
    (void)state;
    begin(false);
    put_records(&bed, 1, 10);
    put_records(&bed, 1, 10);
    put_records(&bed, 1, 10);
    run_durable(&bed, 1);
    log_move_start(partition_at(&bed, 1)->log, 14, NULL, NULL); /* in the middle of a batch */
    connect_nodes(&bed);
    run_until(&bed, node_2_follows);
    assert_int_equal(log_start_offset(partition_at(&bed, 2)->log), 14);
    assert_int_equal(log_end(partition_at(&bed, 2)->log), 30);
    assert_same_logs(&bed, 1, 2);
    end();
}

static void a_moved_start_reaches_followers(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    put_records(&bed, 1, 10);
    run_until(&bed, all_committed);
    log_move_start(partition_at(&bed, 1)->log, 4, NULL, NULL);
    put_records(&bed, 1, 1);
    run_until(&bed, all_committed);
    assert_int_equal(log_start_offset(partition_at(&bed, 3)->log), 4);
    end();
}

static void a_follower_without_room_goes_on_when_there_is_some(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    for (unsigned i = 0; i < 800; i++) { /* 24 MB through tails of 8 MiB */
        put_batch(&bed, 1, 1, 30000);
    }
    run_until(&bed, all_committed);
    assert_same_logs(&bed, 1, 2);
    assert_same_logs(&bed, 1, 3);
    end();
}

static void a_restarted_follower_goes_on_where_it_was(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    put_records(&bed, 1, 10);
    run_until(&bed, all_committed);
    node_restart(&bed, 2);
    begin_new_life(&bed, 2);
    put_records(&bed, 1, 10);
    connect_nodes(&bed);
    run_until(&bed, same_ends);
    assert_same_logs(&bed, 1, 2);
    end();
}

static void a_stopped_follower_holds_up_nobody(void **state)
{
    (void)state;
    begin(true);
    connect_nodes(&bed);
    run_ms(&bed, 2);
    struct line *line = line_of(&bed, 2, 1, FETCHER_HOT);
    line->hold = true;
    put_records(&bed, 1, 1);
    for (unsigned i = 0; i < 100; i++) {
        put_batch(&bed, 1, 1, 30000);
    }
    struct log *other = partition_at(&bed, 3)->log;
    while (log_durable_end(other) != end_at(&bed, 1)) {
        run_ms(&bed, 1);
    }
    size_t held = 0;
    list_each (it, &bed.frames) {
        held++;
    }
    assert_true(held > 0 && held <= 16); /* and what is kept for it is bounded */
    line->hold = false;
    run_until(&bed, all_committed);
    assert_same_logs(&bed, 1, 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(followers_get_everything_and_hear_what_is_committed),
        cmocka_unit_test(a_broken_link_loses_nothing),
        cmocka_unit_test(a_follower_that_lags_takes_the_stream_for_that_and_comes_back),
        cmocka_unit_test(what_only_an_old_leader_has_is_cut),
        cmocka_unit_test(logs_part_at_the_last_epoch_that_both_have),
        cmocka_unit_test(committed_records_are_never_cut),
        cmocka_unit_test(after_an_unclean_election_they_are),
        cmocka_unit_test(a_leader_elected_during_a_truncation_waits_for_its_end),
        cmocka_unit_test(a_partition_may_go_during_a_truncation),
        cmocka_unit_test(a_follower_below_the_leaders_start_begins_there),
        cmocka_unit_test(a_moved_start_reaches_followers),
        cmocka_unit_test(a_follower_without_room_goes_on_when_there_is_some),
        cmocka_unit_test(a_restarted_follower_goes_on_where_it_was),
        cmocka_unit_test(a_stopped_follower_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
