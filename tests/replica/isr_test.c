/* The in-sync set as the leader sees it: what is committed, who is proposed (docs/durability.md,
 * rules 5, 6, 7 and 9). Followers are made up: the tests say what they say. */
#include "replica_bed.h"

#include <chronik/storage/log.h>

static struct replica_bed bed;
static struct partition *p;

/* Node 1 leads with ten records that are durable there. */
static void begin(int min_isr, bool in_sync)
{
    replica_bed_init(&bed, min_isr);
    make_topic(&bed, 3, in_sync);
    p = partition_at(&bed, 1);
    put_records(&bed, 1, 10);
    run_durable(&bed, 1);
}

static void end(void)
{
    replica_bed_release(&bed);
}

static void hear(int32_t follower, int64_t broker_epoch, int64_t end_offset, int64_t durable_end)
{
    const struct isr_ends ends = { .end = end_offset, .durable_end = durable_end };
    isr_progress(p, follower, broker_epoch, &ends);
}

static void says(int32_t follower, int64_t end_offset, int64_t durable_end)
{
    hear(follower, epoch_of(&bed, follower), end_offset, durable_end);
    run_ms(&bed, 1);
}

static void begins(int32_t follower, int64_t offset)
{
    isr_begins(p, follower, epoch_of(&bed, follower), offset);
}

static const struct asked *proposal(unsigned i)
{
    assert_true(i < bed.nodes[1].meta.n_asked);
    return &bed.nodes[1].meta.asked[i];
}

static void answer(unsigned i, enum kafka_error error)
{
    const struct asked asked = *proposal(i);
    struct meta_change_isr_response_partition one = { .error = (int16_t)error };
    const struct meta_change_isr_response response = { .partitions = &one, .n_partitions = 1 };
    bed.nodes[1].meta.n_asked--;
    assert_int_equal(bed.nodes[1].meta.n_asked, i);
    asked.done(asked.arg, error == KAFKA_REQUEST_TIMED_OUT ? error : KAFKA_NONE,
               error == KAFKA_REQUEST_TIMED_OUT ? NULL : &response);
    run_ms(&bed, 1);
}

static void committed_is_what_all_in_sync_replicas_have_durably(void **state)
{
    (void)state;
    begin(2, true);
    assert_int_equal(p->high_watermark, 0);
    begins(2, 10);
    begins(3, 10);
    says(2, 10, 7);
    assert_int_equal(p->high_watermark, 0); /* nothing is known of node 3 */
    says(3, 10, 5);
    assert_int_equal(p->high_watermark, 5);
    says(3, 10, 9);
    assert_int_equal(p->high_watermark, 7);
    says(2, 10, 10);
    says(3, 10, 10);
    assert_int_equal(p->high_watermark, 10);
    end();
}

static void nobody_counts_for_more_than_the_leader_has_durably(void **state)
{
    (void)state;
    begin(2, true);
    begins(2, 10);
    begins(3, 10);
    put_records(&bed, 1, 1);
    hear(2, epoch_of(&bed, 2), 11, 11);
    hear(3, epoch_of(&bed, 3), 11, 11);
    assert_int_equal(log_durable_end(p->log), 10);
    assert_int_equal(isr_committed_end(p), 10);
    hear(2, epoch_of(&bed, 2), 12, 12); /* more than there is: nonsense */
    hear(2, epoch_of(&bed, 2), 10, 11); /* durable, but not written: nonsense */
    assert_int_equal(p->isr.followers[0].durable_end, 11);
    run_durable(&bed, 1);
    assert_int_equal(p->high_watermark, 11);
    end();
}

static void nothing_is_committed_while_the_set_is_too_small(void **state)
{
    (void)state;
    begin(2, false);
    assert_false(isr_is_large_enough(p));
    begins(2, 10);
    says(2, 10, 10);
    assert_int_equal(p->high_watermark, 0);
    change(&bed, 1, "12");
    tell(&bed, 1);
    run_ms(&bed, 1);
    assert_int_equal(p->high_watermark, 10);
    change(&bed, 1, "1"); /* and it does not go back, nor on */
    tell(&bed, 1);
    put_records(&bed, 1, 1);
    run_durable(&bed, 1);
    assert_int_equal(p->high_watermark, 10);
    end();
}

static void min_isr_is_never_more_than_there_are_replicas(void **state)
{
    (void)state;
    replica_bed_init(&bed, 3);
    make_topic(&bed, 2, true);
    p = partition_at(&bed, 1);
    assert_true(isr_is_large_enough(p));
    change(&bed, 1, "1");
    tell(&bed, 1);
    assert_false(isr_is_large_enough(p));
    end();
}

static void a_follower_joins_when_it_has_what_is_committed(void **state)
{
    (void)state;
    begin(1, false);
    assert_int_equal(p->high_watermark, 10);
    begins(2, 4);
    says(2, 9, 9);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0);
    says(2, 10, 10);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1);
    const struct asked *asked = proposal(0);
    assert_int_equal(asked->partition.n_isr, 2);
    assert_int_equal(asked->partition.leader_epoch, p->leader_epoch);
    assert_int_equal(asked->partition.partition_epoch, p->partition_epoch);
    assert_int_equal(asked->members[0].broker, 1);
    assert_int_equal(asked->members[0].epoch, epoch_of(&bed, 1));
    assert_int_equal(asked->members[1].broker, 2);
    assert_int_equal(asked->members[1].epoch, epoch_of(&bed, 2));
    end();
}

static void a_proposed_member_counts_until_the_answer_is_known(void **state)
{
    (void)state;
    begin(1, false);
    begins(2, 10);
    says(2, 10, 10);
    put_records(&bed, 1, 5);
    run_durable(&bed, 1);
    assert_int_equal(p->high_watermark, 10); /* old members only: it would be 15 */
    answer(0, KAFKA_REQUEST_TIMED_OUT);      /* it may yet be applied */
    assert_int_equal(p->high_watermark, 10);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1); /* asked again */
    answer(0, KAFKA_INELIGIBLE_REPLICA);
    assert_int_equal(p->high_watermark, 10); /* this one was refused, the other is not known */
    change(&bed, 1, "1"); /* the partition epoch moves on: both are void, and it is asked anew */
    tell(&bed, 1);
    run_ms(&bed, 1);
    assert_int_equal(proposal(0)->partition.partition_epoch, p->partition_epoch);
    assert_int_equal(p->high_watermark, 10);
    answer(0, KAFKA_INELIGIBLE_REPLICA);
    assert_int_equal(p->high_watermark, 15);
    end();
}

static void a_refused_proposal_is_forgotten(void **state)
{
    (void)state;
    begin(1, false);
    begins(2, 10);
    says(2, 10, 10);
    answer(0, KAFKA_INELIGIBLE_REPLICA);
    put_records(&bed, 1, 5);
    run_durable(&bed, 1);
    assert_int_equal(p->high_watermark, 15);
    end();
}

static void a_member_that_lags_counts_until_it_has_left(void **state)
{
    (void)state;
    begin(1, true);
    config_set_put(&bed.file, text_of("replica.lag.time.max.ms"), text_of("40"));
    begins(2, 10);
    says(2, 10, 10); /* node 3 never comes */
    isr_check_lag(&bed.nodes[1].replicas);
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0); /* it has its time */
    run_ms(&bed, 60);
    isr_check_lag(&bed.nodes[1].replicas);
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1);
    assert_int_equal(proposal(0)->partition.n_isr, 2);
    assert_int_equal(proposal(0)->members[1].broker, 2);
    assert_int_equal(p->high_watermark, 0);
    change(&bed, 1, "12");
    tell(&bed, 1);
    run_ms(&bed, 1);
    assert_int_equal(p->high_watermark, 10);
    end();
}

static void what_an_earlier_life_had_does_not_count(void **state)
{
    (void)state;
    begin(1, false);
    begins(2, 10);
    says(2, 10, 8);
    int64_t earlier = epoch_of(&bed, 2);
    begin_new_life(&bed, 2);
    hear(2, earlier, 10, 10); /* still on its way when the process ended */
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0); /* it fetched in another life (KIP-903) */
    hear(2, epoch_of(&bed, 2), 10, 10);  /* nor has the new one begun to fetch */
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0);
    begins(2, 3);
    assert_int_equal(p->isr.followers[0].durable_end, -1);
    says(2, 10, 10);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1);
    assert_int_equal(proposal(0)->members[1].epoch, epoch_of(&bed, 2));
    end();
}

static void who_begins_further_down_has_lost_the_rest(void **state)
{
    (void)state;
    begin(2, true);
    begins(2, 10);
    begins(3, 10);
    says(2, 10, 10);
    begins(2, 6);
    says(3, 10, 10);
    assert_int_equal(p->high_watermark, 6);
    end();
}

static void a_fenced_broker_is_not_proposed(void **state)
{
    (void)state;
    begin(1, false);
    const struct image_broker *broker = image_broker(bed.image, 2);
    ((struct image_broker *)broker)->fenced = true;
    begins(2, 10);
    says(2, 10, 10);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0);
    ((struct image_broker *)broker)->fenced = false;
    ((struct image_broker *)broker)->stopping = true;
    isr_broker_serves(&bed.nodes[1].replicas, 2);
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 0);
    ((struct image_broker *)broker)->stopping = false;
    isr_broker_serves(&bed.nodes[1].replicas, 2);
    run_ms(&bed, 1);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1);
    end();
}

static void a_new_epoch_forgets_what_followers_said(void **state)
{
    (void)state;
    begin(1, true);
    begins(2, 10);
    begins(3, 10);
    says(2, 10, 10);
    says(3, 10, 10);
    assert_int_equal(p->high_watermark, 10);
    change(&bed, -1, "12");
    tell(&bed, 1);
    change(&bed, 1, "12");
    tell(&bed, 1);
    put_records(&bed, 1, 1);
    run_durable(&bed, 1);
    says(2, 11, 11); /* of the epoch before, or of a link that has not begun in this one */
    assert_int_equal(p->high_watermark, 10);
    begins(2, 11);
    says(2, 11, 11);
    assert_int_equal(p->high_watermark, 11);
    end();
}

static void give_racks(const char *racks)
{
    for (int32_t id = 1; id <= 3; id++) {
        struct image_broker *broker = (struct image_broker *)image_broker(bed.image, id);
        free(broker->rack);
        broker->rack = mem_sprintf("%c", racks[id - 1]);
    }
}

static void consumers_are_sent_to_a_replica_in_their_rack(void **state)
{
    (void)state;
    begin(2, true);
    begins(2, 10);
    begins(3, 10);
    says(2, 10, 10);
    says(3, 10, 10);
    struct text b = text_of("b");
    assert_int_equal(isr_preferred(p, b, 5), -1); /* nobody is anywhere */
    give_racks("abc");
    assert_int_equal(isr_preferred(p, b, 5), 2);
    assert_int_equal(isr_preferred(p, text_of("c"), 5), 3);
    assert_int_equal(isr_preferred(p, text_of("a"), 5), -1);
    assert_int_equal(isr_preferred(p, text_of("d"), 5), -1);
    assert_int_equal(isr_preferred(p, TEXT_NULL, 5), -1);
    assert_int_equal(isr_preferred(p, b, 10), 2);
    assert_int_equal(isr_preferred(p, b, 11), -1); /* it has not so much */
    isr_progress(p, 2, epoch_of(&bed, 2), &(struct isr_ends){ 6, 10, 10 });
    assert_int_equal(isr_preferred(p, b, 5), -1); /* nor any more what is older */
    assert_int_equal(isr_preferred(p, b, 6), 2);
    give_racks("bbb");
    assert_int_equal(isr_preferred(p, b, 6), -1); /* the leader is as near */
    give_racks("abb");
    put_records(&bed, 1, 1);
    isr_progress(p, 3, epoch_of(&bed, 3), &(struct isr_ends){ 0, 11, 10 });
    assert_int_equal(isr_preferred(p, b, 6), 3); /* it has more */
    change(&bed, 1, "12");
    tell(&bed, 1);
    assert_int_equal(isr_preferred(p, b, 6), 2); /* the other is not in sync */
    run_durable(&bed, 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_is_what_all_in_sync_replicas_have_durably),
        cmocka_unit_test(nobody_counts_for_more_than_the_leader_has_durably),
        cmocka_unit_test(nothing_is_committed_while_the_set_is_too_small),
        cmocka_unit_test(min_isr_is_never_more_than_there_are_replicas),
        cmocka_unit_test(a_follower_joins_when_it_has_what_is_committed),
        cmocka_unit_test(a_proposed_member_counts_until_the_answer_is_known),
        cmocka_unit_test(a_refused_proposal_is_forgotten),
        cmocka_unit_test(a_member_that_lags_counts_until_it_has_left),
        cmocka_unit_test(what_an_earlier_life_had_does_not_count),
        cmocka_unit_test(who_begins_further_down_has_lost_the_rest),
        cmocka_unit_test(a_fenced_broker_is_not_proposed),
        cmocka_unit_test(a_new_epoch_forgets_what_followers_said),
        cmocka_unit_test(consumers_are_sent_to_a_replica_in_their_rack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
