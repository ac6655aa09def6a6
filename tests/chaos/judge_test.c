/* Histories of records, and what the judge must say of them. */
#include "story.h"

static void what_was_acknowledged_and_is_there_is_fine(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, 0);
    story_sent(&s, PLAIN, 11, 1);
    story_read(&s, READER, 10, 0);
    story_read(&s, READER, 11, 1);
    story_read(&s, LAST_READER, 10, 0);
    story_read(&s, LAST_READER, 11, 1);
    story_is_fine(&s);
}

static void an_empty_history_is_fine(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_is_fine(&s);
}

static void what_nobody_knows_of_may_be_there_or_not(void **state)
{
    struct story s;
    (void)state;
    for (int there = 0; there < 2; there++) {
        story_begin(&s);
        story_sent(&s, IDEMPOTENT, 10, 0);
        story_send(&s, IDEMPOTENT, 11);
        judge_unknown(s.judge);
        story_read(&s, LAST_READER, 10, 0);
        if (there) {
            story_read(&s, LAST_READER, 11, 1);
        }
        story_is_fine(&s);
    }
}

static void an_acknowledged_record_that_is_gone_is_lost(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, 0);
    story_sent(&s, IDEMPOTENT, 11, 1);
    story_read(&s, LAST_READER, 10, 0);
    story_says(&s, FAULT_LOST);
}

/* Cut after it was acknowledged, and something else took its place. */
static void a_record_that_was_replaced_is_seen(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, 0);
    story_sent(&s, IDEMPOTENT, 11, 1);
    story_send(&s, PLAIN, 12);
    story_read(&s, LAST_READER, 10, 0);
    story_read(&s, LAST_READER, 12, 1);
    story_says(&s, FAULT_LOST, FAULT_INCONSISTENT, FAULT_REORDERED);
}

static void an_acknowledgement_without_an_offset_counts(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, -1);
    story_read(&s, LAST_READER, 10, 0);
    story_is_fine(&s);
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, -1);
    story_sent(&s, PLAIN, 11, 0);
    story_read(&s, LAST_READER, 11, 0);
    story_says(&s, FAULT_LOST);
}

static void what_only_the_leader_acknowledged_may_be_gone(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, WEAK, 10, 0);
    story_sent(&s, IDEMPOTENT, 11, 0);
    story_read(&s, LAST_READER, 11, 0);
    story_is_fine(&s);
}

static void what_was_read_must_stay(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, 0);
    story_send(&s, IDEMPOTENT, 11);
    story_read(&s, READER, 10, 0);
    story_read(&s, READER, 11, 1);
    story_read(&s, LAST_READER, 10, 0);
    story_says(&s, FAULT_VANISHED);
}

static void what_an_earlier_last_reading_found_must_stay(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, IDEMPOTENT, 10);
    story_send(&s, IDEMPOTENT, 11);
    story_read(&s, LAST_READER, 10, 0);
    story_read(&s, LAST_READER, 11, 1);
    unsigned another = judge_process(s.judge, 100);
    judge_read(s.judge, another, s.key, 0, 10, true);
    story_says(&s, FAULT_VANISHED);
}

static void an_offset_has_one_value(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    story_send(&s, PLAIN, 11);
    story_read(&s, READER, 10, 0);
    story_read(&s, LAST_READER, 11, 0);
    story_says(&s, FAULT_INCONSISTENT);
}

static void idempotence_promises_once(void **state)
{
    struct story s;
    (void)state;
    for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
        story_begin(&s);
        story_send(&s, IDEMPOTENT, 10);
        if (acknowledged) {
            story_ack(&s, 10, 0);
        }
        story_read(&s, LAST_READER, 10, 0);
        story_read(&s, LAST_READER, 10, 1);
        story_says(&s, FAULT_REPEATED);
    }
}

static void a_plain_producer_may_repeat(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    story_ack(&s, 10, 1);
    story_read(&s, LAST_READER, 10, 0);
    story_read(&s, LAST_READER, 10, 1);
    story_is_fine(&s);
}

static void an_idempotent_producer_s_order_is_kept(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, IDEMPOTENT, 10);
    story_send(&s, IDEMPOTENT, 11);
    story_ack(&s, 11, 0);
    story_ack(&s, 10, 1);
    story_read(&s, LAST_READER, 11, 0);
    story_read(&s, LAST_READER, 10, 1);
    story_says(&s, FAULT_REORDERED);
}

static void a_plain_producer_may_swap_what_is_under_way(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    story_send(&s, PLAIN, 11);
    story_ack(&s, 11, 0);
    story_ack(&s, 10, 1);
    story_read(&s, LAST_READER, 11, 0);
    story_read(&s, LAST_READER, 10, 1);
    story_is_fine(&s);
}

static void nothing_comes_in_front_of_what_was_known_before(void **state)
{
    struct story s;
    (void)state;
    for (int read = 0; read < 2; read++) {
        story_begin(&s);
        story_send(&s, PLAIN, 10);
        if (read) {
            story_read(&s, READER, 10, 1);
        } else {
            story_ack(&s, 10, 1);
        }
        story_send(&s, PLAIN, 11);
        story_read(&s, LAST_READER, 11, 0);
        story_read(&s, LAST_READER, 10, 1);
        story_says(&s, FAULT_REORDERED);
    }
}

static void a_record_that_was_given_up_may_come_late(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    judge_unknown(s.judge);
    story_sent(&s, PLAIN, 11, 0);
    story_read(&s, LAST_READER, 11, 0);
    story_read(&s, LAST_READER, 10, 1);
    story_is_fine(&s);
}

static void what_was_refused_is_never_read(void **state)
{
    struct story s;
    (void)state;
    for (int read_first = 0; read_first < 2; read_first++) {
        story_begin(&s);
        story_send(&s, PLAIN, 10);
        if (read_first) {
            story_read(&s, LAST_READER, 10, 0);
        }
        judge_refuse(s.judge, s.key, 10);
        if (!read_first) {
            story_read(&s, LAST_READER, 10, 0);
        }
        story_says(&s, FAULT_REFUSED);
    }
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    judge_refuse(s.judge, s.key, 10);
    story_is_fine(&s);
}

static void nobody_sent_it(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, IDEMPOTENT, 10, 0);
    story_read(&s, LAST_READER, 10, 0);
    story_read(&s, LAST_READER, 99, 1);
    story_says(&s, FAULT_INVENTED);
    story_begin(&s);
    story_ack(&s, 10, 0);
    story_says(&s, FAULT_INVENTED);
}

static void another_key_s_record_is_invented(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    judge_read(s.judge, READER, judge_key(s.judge, 8), 0, 10, false);
    story_says(&s, FAULT_INVENTED);
}

static void damage_is_seen(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    story_read(&s, LAST_READER, VALUE_DAMAGED, 0);
    story_says(&s, FAULT_DAMAGED);
}

static void offsets_have_no_gaps(void **state)
{
    struct story s;
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        story_begin(&s);
        judge_allow(s.judge, s.key, allowed ? KEY_GAPS : 0);
        story_sent(&s, PLAIN, 10, 0);
        story_sent(&s, PLAIN, 12, 2);
        story_read(&s, LAST_READER, 10, 0);
        story_read(&s, LAST_READER, 12, 2);
        if (allowed) {
            story_is_fine(&s);
        } else {
            story_says(&s, FAULT_GAP);
        }
    }
}

/* Where gaps are allowed, the end tells whether there was a record. */
static void a_consumer_leaves_nothing_out(void **state)
{
    struct story s;
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        story_begin(&s);
        judge_allow(s.judge, s.key, allowed ? KEY_GAPS : 0);
        for (int i = 0; i < 3; i++) {
            story_sent(&s, PLAIN, 10 + i, i);
        }
        story_read(&s, READER, 10, 0);
        story_read(&s, READER, 12, 2);
        for (int i = 0; i < 3; i++) {
            story_read(&s, LAST_READER, 10 + i, i);
        }
        story_says(&s, FAULT_SKIPPED);
    }
}

static void a_consumer_does_not_go_back(void **state)
{
    struct story s;
    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        story_begin(&s);
        story_sent(&s, PLAIN, 10, 0);
        story_read(&s, READER, 10, 0);
        if (moved) {
            judge_move(s.judge, READER);
        }
        story_read(&s, READER, 10, 0);
        story_read(&s, LAST_READER, 10, 0);
        if (moved) {
            story_is_fine(&s);
        } else {
            story_says(&s, FAULT_SKIPPED);
        }
    }
}

static void what_was_deleted_on_demand_may_be_gone(void **state)
{
    struct story s;
    (void)state;
    for (int64_t deleted = 1; deleted <= 2; deleted++) {
        story_begin(&s);
        for (int i = 0; i < 3; i++) {
            story_sent(&s, PLAIN, 10 + i, i);
        }
        story_read(&s, READER, 10, 0);
        judge_delete(s.judge, s.key, deleted);
        story_read(&s, READER, 12, 2);
        story_read(&s, LAST_READER, 12, 2);
        if (deleted == 2) {
            story_is_fine(&s);
        } else {
            story_says(&s, FAULT_SKIPPED, FAULT_LOST);
        }
    }
}

static void a_lossy_key_may_lose(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    judge_allow(s.judge, s.key, KEY_LOSSY);
    story_sent(&s, PLAIN, 10, 0);
    story_read(&s, READER, 10, 0);
    story_sent(&s, PLAIN, 11, 1);
    story_read(&s, LAST_READER, 11, 1);
    story_is_fine(&s);
}

static void nothing_is_read_beyond_the_high_watermark(void **state)
{
    struct story s;
    (void)state;
    for (int64_t high_watermark = 1; high_watermark <= 2; high_watermark++) {
        story_begin(&s);
        story_send(&s, PLAIN, 10);
        story_send(&s, PLAIN, 11);
        story_read(&s, LAST_READER, 10, 0);
        story_read(&s, LAST_READER, 11, 1);
        judge_watermark(s.judge, LAST_READER, s.key, 3, high_watermark, 1);
        if (high_watermark == 2) {
            story_is_fine(&s);
        } else {
            story_says(&s, FAULT_BEYOND);
        }
    }
}

static void a_high_watermark_stays_or_rises_within_an_epoch(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    judge_watermark(s.judge, READER, s.key, 3, 5, -1);
    judge_watermark(s.judge, READER, s.key, 3, 5, -1);
    judge_watermark(s.judge, READER, s.key, 4, 2, -1); /* who leads anew does not know yet */
    judge_watermark(s.judge, READER, s.key, 3, 4, -1); /* an answer that is late */
    judge_watermark(s.judge, READER, s.key, 4, 6, -1);
    story_is_fine(&s);
    story_begin(&s);
    judge_watermark(s.judge, READER, s.key, 3, 5, -1);
    judge_watermark(s.judge, READER, s.key, 3, 4, -1);
    story_says(&s, FAULT_RECEDED);
}

static void a_client_that_gave_up_is_seen(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    judge_broken(s.judge, IDEMPOTENT, text_of("send"), text_of("FATAL"));
    story_says(&s, FAULT_BROKEN);
}

static void a_value_that_is_sent_twice_makes_no_history(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_send(&s, PLAIN, 10);
    story_send(&s, PLAIN, 10);
    story_says(&s, FAULT_BROKEN);
}

static void without_a_last_reading_there_is_no_verdict(void **state)
{
    struct story s;
    (void)state;
    story_begin(&s);
    story_sent(&s, PLAIN, 10, 0);
    story_read(&s, READER, 10, 0);
    story_says(&s, FAULT_UNREAD);
}

/* Many values in many keys, at offsets of any size, in any order. */
static void every_value_is_found_again(void **state)
{
    enum { KEYS = 20, VALUES = 3000 };
    const int64_t far = INT64_C(1) << 40;
    struct story s;
    (void)state;
    for (int64_t missing = -1; missing < 2; missing++) {
        story_begin(&s);
        for (int64_t i = 0; i < KEYS * VALUES; i++) {
            unsigned key = judge_key(s.judge, 100 + i % KEYS);
            judge_send(s.judge, PLAIN, key, -2 - i);
            judge_acknowledge(s.judge, key, -2 - i, far - i / KEYS);
            /* each is sent when a later one is known: so is what the order of offsets says */
        }
        for (int64_t i = KEYS * VALUES - 1; i >= 0; i--) {
            if (i != missing) {
                judge_read(s.judge, LAST_READER, judge_key(s.judge, 100 + i % KEYS),
                           far - i / KEYS, -2 - i, true);
            }
        }
        assert_int_equal(judge_totals(s.judge)->n_faults[FAULT_REORDERED], KEYS * (VALUES - 1));
        if (missing >= 0) {
            story_says(&s, FAULT_REORDERED, FAULT_LOST);
        } else {
            story_says(&s, FAULT_REORDERED);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_and_is_there_is_fine),
        cmocka_unit_test(an_empty_history_is_fine),
        cmocka_unit_test(what_nobody_knows_of_may_be_there_or_not),
        cmocka_unit_test(an_acknowledged_record_that_is_gone_is_lost),
        cmocka_unit_test(a_record_that_was_replaced_is_seen),
        cmocka_unit_test(an_acknowledgement_without_an_offset_counts),
        cmocka_unit_test(what_only_the_leader_acknowledged_may_be_gone),
        cmocka_unit_test(what_was_read_must_stay),
        cmocka_unit_test(what_an_earlier_last_reading_found_must_stay),
        cmocka_unit_test(an_offset_has_one_value),
        cmocka_unit_test(idempotence_promises_once),
        cmocka_unit_test(a_plain_producer_may_repeat),
        cmocka_unit_test(an_idempotent_producer_s_order_is_kept),
        cmocka_unit_test(a_plain_producer_may_swap_what_is_under_way),
        cmocka_unit_test(nothing_comes_in_front_of_what_was_known_before),
        cmocka_unit_test(a_record_that_was_given_up_may_come_late),
        cmocka_unit_test(what_was_refused_is_never_read),
        cmocka_unit_test(nobody_sent_it),
        cmocka_unit_test(another_key_s_record_is_invented),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(offsets_have_no_gaps),
        cmocka_unit_test(a_consumer_leaves_nothing_out),
        cmocka_unit_test(a_consumer_does_not_go_back),
        cmocka_unit_test(what_was_deleted_on_demand_may_be_gone),
        cmocka_unit_test(a_lossy_key_may_lose),
        cmocka_unit_test(nothing_is_read_beyond_the_high_watermark),
        cmocka_unit_test(a_high_watermark_stays_or_rises_within_an_epoch),
        cmocka_unit_test(a_client_that_gave_up_is_seen),
        cmocka_unit_test(a_value_that_is_sent_twice_makes_no_history),
        cmocka_unit_test(without_a_last_reading_there_is_no_verdict),
        cmocka_unit_test(every_value_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
