/* Producing to a leader: what is refused, what waits, what a change of leaders does to it
 * (docs/durability.md, rules 5, 8, 10 and 11). */
#include "replica_bed.h"

#include <chronik/storage/log.h>

static struct replica_bed bed;
static struct partition *p;

static void begin(bool in_sync)
{
    replica_bed_init(&bed, 2);
    make_topic(&bed, 3, in_sync);
    p = partition_at(&bed, 1);
}

static void end(void)
{
    replica_bed_release(&bed);
}

static void both_have(int64_t offset)
{
    for (int32_t id = 2; id <= 3; id++) {
        isr_begins(p, id, epoch_of(&bed, id), offset);
        isr_progress(p, id, epoch_of(&bed, id), &(struct isr_ends){ 0, offset, offset });
    }
    run_ms(&bed, 1);
}

static void too_few_replicas_are_refused_before_the_append(void **state)
{
    struct sent all, one;
    (void)state;
    begin(false);
    send_batch(&bed, 1, &all, -1, -1, -1);
    assert_true(all.done);
    assert_int_equal(all.produce.error, KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(end_at(&bed, 1), 0);
    send_batch(&bed, 1, &one, 1, -1, -1); /* acks=1 does not ask for them */
    run_durable(&bed, 1);
    assert_true(one.done);
    assert_int_equal(one.produce.error, KAFKA_NONE);
    sent_release(&all);
    sent_release(&one);
    end();
}

/* Its second batch has a gap in front of it: to say so would make a client give up its numbers. */
static void what_is_sent_behind_a_refused_batch_is_refused_like_it(void **state)
{
    struct sent first, second, again, next;
    (void)state;
    begin(false);
    send_batch(&bed, 1, &first, -1, 7, 0);
    assert_int_equal(first.produce.error, KAFKA_NOT_ENOUGH_REPLICAS);
    send_batch(&bed, 1, &second, 1, 7, 1); /* acks=1: that replicas are missing is no reason */
    assert_true(second.done);
    assert_int_equal(second.produce.error, KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(end_at(&bed, 1), 0);
    send_batch(&bed, 1, &again, 1, 7, 0);
    send_batch(&bed, 1, &next, 1, 7, 1);
    run_durable(&bed, 1);
    assert_int_equal(again.produce.error, KAFKA_NONE);
    assert_int_equal(next.produce.error, KAFKA_NONE);
    assert_int_equal(end_at(&bed, 1), 2);
    sent_release(&first);
    sent_release(&second);
    sent_release(&again);
    sent_release(&next);
    end();
}

static void each_acks_waits_for_what_it_asks_for(void **state)
{
    struct sent none, one, all;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &none, 0, -1, -1);
    assert_true(none.done);
    send_batch(&bed, 1, &one, 1, -1, -1);
    send_batch(&bed, 1, &all, -1, -1, -1);
    assert_false(one.done);
    run_durable(&bed, 1);
    assert_true(one.done);
    assert_false(all.done);
    both_have(2);
    assert_false(all.done);
    both_have(3);
    assert_true(all.done);
    assert_int_equal(all.produce.error, KAFKA_NONE);
    assert_int_equal(all.produce.base_offset, 2);
    sent_release(&none);
    sent_release(&one);
    sent_release(&all);
    end();
}

static void waits_are_answered_at_once_when_the_leader_changes(void **state)
{
    struct sent all;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &all, -1, -1, -1);
    run_durable(&bed, 1);
    assert_false(all.done);
    change(&bed, 2, "23");
    tell(&bed, 1);
    assert_true(all.done);
    assert_int_equal(all.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    sent_release(&all);
    send_batch(&bed, 1, &all, -1, -1, -1);
    assert_int_equal(all.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    sent_release(&all);
    end();
}

static void what_waits_too_long_says_whether_replicas_are_missing(void **state)
{
    struct sent slow, few;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &slow, -1, -1, -1);
    send_batch(&bed, 1, &few, -1, -1, -1);
    assert_int_equal(partition_produce_cancel(p, &slow.produce), KAFKA_REQUEST_TIMED_OUT);
    change(&bed, 1, "1");
    tell(&bed, 1);
    run_durable(&bed, 1);
    assert_false(few.done);
    assert_int_equal(partition_produce_cancel(p, &few.produce),
                     KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    slow.done = few.done = true;
    sent_release(&slow);
    sent_release(&few);
    end();
}

static void a_suspended_node_sends_producers_elsewhere(void **state)
{
    struct sent before, after;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &before, -1, 7, 0);
    replicas_suspend(&bed.nodes[1].replicas, true);
    run_durable(&bed, 1);
    send_batch(&bed, 1, &after, -1, 7, 1);
    assert_true(after.done);
    assert_int_equal(after.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(end_at(&bed, 1), 1);
    assert_false(before.done); /* it is written: only another leader could make that untrue */
    replicas_suspend(&bed.nodes[1].replicas, false);
    assert_false(before.done);
    both_have(1);
    assert_true(before.done);
    assert_int_equal(before.produce.error, KAFKA_NONE);
    sent_release(&before);
    sent_release(&after);
    end();
}

/* What the producer has sent before may lie with whoever leads by now. */
static void a_node_in_doubt_sends_producers_elsewhere_that_are_ahead_of_it(void **state)
{
    struct sent first, ahead, sure;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &first, -1, 7, 0);
    replicas_trust(&bed.nodes[1].replicas, 0);
    send_batch(&bed, 1, &ahead, -1, 7, 5);
    assert_true(ahead.done);
    assert_int_equal(ahead.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    replicas_trust(&bed.nodes[1].replicas, UINT64_MAX);
    send_batch(&bed, 1, &sure, -1, 7, 5);
    assert_int_equal(sure.produce.error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(end_at(&bed, 1), 1);
    run_durable(&bed, 1);
    both_have(1);
    sent_release(&first);
    sent_release(&ahead);
    sent_release(&sure);
    end();
}

static void waits_end_when_a_suspended_node_hears_of_another_leader(void **state)
{
    struct sent all;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &all, -1, -1, -1);
    replicas_suspend(&bed.nodes[1].replicas, true);
    change(&bed, 2, "23");
    tell(&bed, 1);
    assert_true(all.done);
    assert_int_equal(all.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    sent_release(&all);
    end();
}

static void waits_go_on_while_nobody_else_leads(void **state)
{
    struct sent all;
    int32_t epoch;
    (void)state;
    begin(true);
    epoch = p->leader_epoch;
    send_batch(&bed, 1, &all, -1, -1, -1);
    run_durable(&bed, 1);
    change(&bed, -1, "1");
    tell(&bed, 1);
    assert_int_equal(p->role, PARTITION_OFFLINE);
    assert_false(all.done);
    change(&bed, 1, "123");
    tell(&bed, 1);
    assert_true(p->leader_epoch > epoch);
    assert_false(all.done);
    both_have(1);
    assert_true(all.done);
    assert_int_equal(all.produce.error, KAFKA_NONE);
    assert_int_equal(all.produce.base_offset, 0);
    sent_release(&all);
    end();
}

static void a_new_leader_waits_until_its_own_log_is_durable(void **state)
{
    struct sent sent;
    (void)state;
    begin(true);
    put_records(&bed, 2, 3); /* on their way to the journal */
    change(&bed, 2, "12");
    tell(&bed, 2);
    assert_int_equal(partition_at(&bed, 2)->role, PARTITION_BECOMING);
    send_batch(&bed, 2, &sent, -1, -1, -1);
    assert_int_equal(sent.produce.error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    sent_release(&sent);
    run_durable(&bed, 2);
    assert_int_equal(partition_at(&bed, 2)->role, PARTITION_LEADER);
    assert_int_equal(partition_at(&bed, 2)->epoch_start, 3);
    assert_false(partition_offsets_settled(partition_at(&bed, 2)));
    end();
}

static void a_duplicate_waits_for_the_original(void **state)
{
    struct sent first, again, next;
    (void)state;
    begin(true);
    send_batch(&bed, 1, &first, -1, 7, 0);
    send_batch(&bed, 1, &again, -1, 7, 0);
    send_batch(&bed, 1, &next, -1, 7, 1);
    run_durable(&bed, 1);
    assert_int_equal(end_at(&bed, 1), 2);
    assert_false(first.done || again.done || next.done);
    both_have(1);
    assert_true(first.done && again.done);
    assert_int_equal(again.produce.error, KAFKA_NONE);
    assert_int_equal(again.produce.base_offset, 0);
    both_have(2);
    assert_true(next.done);
    sent_release(&first);
    sent_release(&again);
    sent_release(&next);
    end();
}

static bool node_2_has_two(struct replica_bed *b)
{
    const struct log *log = partition_at(b, 2)->log;
    return log_durable_end(log) == 2;
}

/* The state comes out of the replicated log: the next leader knows what the last one knew. */
static void sequences_go_on_at_the_next_leader(void **state)
{
    struct sent sent[2], again, next, gap;
    (void)state;
    begin(true);
    connect_nodes(&bed);
    send_batch(&bed, 1, &sent[0], -1, 7, 0);
    send_batch(&bed, 1, &sent[1], -1, 7, 1);
    run_until(&bed, node_2_has_two);
    change(&bed, 2, "23");
    tell_all(&bed);
    connect_nodes(&bed);
    run_durable(&bed, 2);
    send_batch(&bed, 2, &gap, -1, 7, 5);
    assert_int_equal(gap.produce.error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    send_batch(&bed, 2, &again, 1, 7, 1);
    send_batch(&bed, 2, &next, 1, 7, 2);
    run_durable(&bed, 2);
    assert_int_equal(again.produce.error, KAFKA_NONE);
    assert_int_equal(again.produce.base_offset, 1);
    assert_int_equal(next.produce.base_offset, 2);
    sent_release(&sent[0]);
    sent_release(&sent[1]);
    sent_release(&gap);
    sent_release(&again);
    sent_release(&next);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_few_replicas_are_refused_before_the_append),
        cmocka_unit_test(what_is_sent_behind_a_refused_batch_is_refused_like_it),
        cmocka_unit_test(each_acks_waits_for_what_it_asks_for),
        cmocka_unit_test(waits_are_answered_at_once_when_the_leader_changes),
        cmocka_unit_test(what_waits_too_long_says_whether_replicas_are_missing),
        cmocka_unit_test(a_suspended_node_sends_producers_elsewhere),
        cmocka_unit_test(a_node_in_doubt_sends_producers_elsewhere_that_are_ahead_of_it),
        cmocka_unit_test(waits_end_when_a_suspended_node_hears_of_another_leader),
        cmocka_unit_test(waits_go_on_while_nobody_else_leads),
        cmocka_unit_test(a_new_leader_waits_until_its_own_log_is_durable),
        cmocka_unit_test(a_duplicate_waits_for_the_original),
        cmocka_unit_test(sequences_go_on_at_the_next_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
