/* What the controller decides when replicas move to other brokers. */
#include "decide_case.h"

/* Asks for other replicas of partition 0 of "t"; `n` -1 cancels. */
static enum kafka_error move_to(struct decide_case *t, const int32_t *replicas, int32_t n,
                                bool allow_factor_change)
{
    struct meta_reassign_request_partition partition = {
        .replicas = (int32_t *)(uintptr_t)replicas, .n_replicas = n };
    struct meta_reassign_request_topic topic = { .name = text_of("t"), .partitions = &partition,
                                                 .n_partitions = 1 };
    const struct meta_reassign_request request = { .topics = &topic, .n_topics = 1,
                                                   .allow_factor_change = allow_factor_change };
    decide_and_apply(t, META_REASSIGN, &request);
    const struct meta_reassign_response *r = t->response;
    assert_int_equal(r->topics[0].partitions[0].message.data != NULL,
                     r->topics[0].partitions[0].error != KAFKA_NONE);
    return (enum kafka_error)r->topics[0].partitions[0].error;
}

static void assert_moves(const struct decide_case *t, const char *replicas, const char *isr,
                         const char *adding, const char *removing)
{
    const struct image_partition *p = partition_of(t->image, "t", 0);
    assert_ids(p->replicas, p->n_replicas, replicas);
    assert_isr(p, isr);
    assert_ids(p->adding, p->n_adding, adding);
    assert_ids(p->removing, p->n_removing, removing);
}

/* The leader's new in-sync set. */
static void sync(struct decide_case *t, const int32_t *ids, int32_t n)
{
    const struct image_partition *p = partition_of(t->image, "t", 0);
    struct meta_change_isr_request_member members[8];
    for (int32_t i = 0; i < n; i++) {
        members[i] = (struct meta_change_isr_request_member){ ids[i], -1 };
    }
    assert_int_equal(change_isr(t, p->leader, 0, 0, members, n), KAFKA_NONE);
}

static void a_move_ends_when_all_new_replicas_are_in_sync(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 5, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2, 3 }, 3);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, 4, 5 }, 3, false), KAFKA_NONE);
    assert_moves(&t, "1 4 5 2 3", "1 2 3", "4 5", "2 3");
    sync(&t, (int32_t[]){ 1, 2, 3, 4 }, 4);
    assert_moves(&t, "1 4 5 2 3", "1 2 3 4", "4 5", "2 3");
    int32_t epoch = partition_of(t.image, "t", 0)->leader_epoch;
    sync(&t, (int32_t[]){ 1, 2, 3, 4, 5 }, 5);
    assert_moves(&t, "1 4 5", "1 4 5", "", "");
    assert_elr(partition_of(t.image, "t", 0), "");
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 1);
    assert_int_equal(partition_of(t.image, "t", 0)->leader_epoch, epoch); /* it goes on */
    end(&t);
}

static void a_leader_that_is_to_go_hands_over_at_the_end(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1 }, 1);
    assert_int_equal(move_to(&t, (int32_t[]){ 3 }, 1, false), KAFKA_NONE);
    assert_moves(&t, "3 1", "1", "3", "1");
    sync(&t, (int32_t[]){ 1, 3 }, 2);
    assert_moves(&t, "3", "3", "", "");
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 3);
    end(&t);
}

static void replicas_are_taken_away_and_reordered_at_once(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2, 3 }, 3);
    assert_int_equal(move_to(&t, (int32_t[]){ 3, 2, 1 }, 3, false), KAFKA_NONE);
    assert_moves(&t, "3 2 1", "1 2 3", "", "");
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 1);
    assert_int_equal(move_to(&t, (int32_t[]){ 3 }, 1, false), KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(move_to(&t, (int32_t[]){ 3 }, 1, true), KAFKA_NONE);
    assert_moves(&t, "3", "3", "", "");
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 3);
    end(&t);
}

static void a_move_can_be_cancelled_and_replaced(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 5, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    assert_int_equal(move_to(&t, NULL, -1, true), KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(move_to(&t, (int32_t[]){ 3, 4 }, 2, false), KAFKA_NONE);
    assert_moves(&t, "3 4 1 2", "1 2", "3 4", "1 2");
    sync(&t, (int32_t[]){ 1, 2, 3 }, 3);
    assert_int_equal(move_to(&t, NULL, -1, true), KAFKA_NONE);
    assert_moves(&t, "1 2", "1 2", "", "");
    assert_int_equal(move_to(&t, (int32_t[]){ 3, 4 }, 2, false), KAFKA_NONE);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, 5 }, 2, false), KAFKA_NONE);
    assert_moves(&t, "1 5 2 3 4", "1 2", "5", "2 3 4");
    sync(&t, (int32_t[]){ 1, 2, 5 }, 3);
    assert_moves(&t, "1 5", "1 5", "", "");
    end(&t);
}

static void moves_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    assert_int_equal(move_to(&t, NULL, 0, true), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, 1 }, 2, true), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, 9 }, 2, true), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, -1 }, 2, true), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_moves(&t, "1 2", "1 2", "", "");
    assert_int_equal(partition_of(t.image, "t", 0)->epoch, 0);
    assert_int_equal(move_to(&t, (int32_t[]){ 1, 2 }, 2, true), KAFKA_NONE); /* as it is */
    assert_int_equal(partition_of(t.image, "t", 0)->epoch, 0);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_ends_when_all_new_replicas_are_in_sync),
        cmocka_unit_test(a_leader_that_is_to_go_hands_over_at_the_end),
        cmocka_unit_test(replicas_are_taken_away_and_reordered_at_once),
        cmocka_unit_test(a_move_can_be_cancelled_and_replaced),
        cmocka_unit_test(moves_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
