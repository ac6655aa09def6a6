/* What came behind a batch that was refused is refused as well: for a second, for that producer, in
 * the order of sequences. */
#include "../support/test.h"

#include <chronik/io/timer.h>
#include <chronik/replica/refusals.h>

#include <stdlib.h>

static const uint64_t NOW = 5 * NS_PER_S;

static struct batch batch_of(int64_t producer, int16_t epoch, int32_t sequence)
{
    return (struct batch){
        .producer_id = producer, .producer_epoch = epoch, .base_sequence = sequence };
}

static void note(struct refusals **r, int64_t producer, int32_t sequence, uint64_t now)
{
    struct batch b = batch_of(producer, 0, sequence);
    refusals_note(r, &b, KAFKA_NOT_ENOUGH_REPLICAS, now);
}

static enum kafka_error decide(const struct refusals *r, int64_t producer, int16_t epoch,
                               int32_t sequence, uint64_t now)
{
    struct batch b = batch_of(producer, epoch, sequence);
    return refusals_decide(r, &b, now);
}

static void what_comes_behind_gets_the_same_error(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    assert_int_equal(decide(r, 7, 0, 10, NOW), KAFKA_NONE);
    note(&r, 7, 10, NOW);
    assert_int_equal(decide(r, 7, 0, 15, NOW), KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(decide(r, 7, 0, 10, NOW), KAFKA_NONE); /* it has come again */
    assert_int_equal(decide(r, 7, 0, 5, NOW), KAFKA_NONE);
    assert_int_equal(decide(r, 7, 1, 15, NOW), KAFKA_NONE); /* another epoch of the producer */
    assert_int_equal(decide(r, 8, 0, 15, NOW), KAFKA_NONE);
    free(r);
}

static void the_lowest_sequence_counts(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    note(&r, 7, 10, NOW);
    note(&r, 7, 15, NOW);
    assert_int_equal(decide(r, 7, 0, 15, NOW), KAFKA_NOT_ENOUGH_REPLICAS);
    note(&r, 7, 3, NOW);
    assert_int_equal(decide(r, 7, 0, 10, NOW), KAFKA_NOT_ENOUGH_REPLICAS);
    free(r);
}

static void it_is_forgotten_once_the_first_one_is_in_the_log(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    struct batch first = batch_of(7, 0, 10);
    refusals_forget(r, &first);
    note(&r, 7, 10, NOW);
    refusals_forget(r, &first);
    assert_int_equal(decide(r, 7, 0, 15, NOW), KAFKA_NONE);
    free(r);
}

static void it_is_forgotten_after_a_second(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    note(&r, 7, 10, NOW);
    assert_int_equal(decide(r, 7, 0, 15, NOW + NS_PER_S - 1), KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(decide(r, 7, 0, 15, NOW + NS_PER_S), KAFKA_NONE);
    note(&r, 7, 15, NOW + NS_PER_S); /* an old one is replaced by a later sequence, too */
    assert_int_equal(decide(r, 7, 0, 15, NOW + NS_PER_S), KAFKA_NONE);
    free(r);
}

static void sequences_go_round(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    note(&r, 7, INT32_MAX - 2, NOW);
    assert_int_equal(decide(r, 7, 0, 2, NOW), KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(decide(r, 7, 0, INT32_MAX - 4, NOW), KAFKA_NONE);
    free(r);
}

static void plain_producers_are_not_kept_and_the_oldest_goes(void **state)
{
    (void)state;
    struct refusals *r = NULL;
    note(&r, -1, -1, NOW);
    assert_null(r);
    for (int64_t producer = 0; producer <= REFUSALS_MAX; producer++) {
        note(&r, producer, 10, NOW);
    }
    assert_int_equal(decide(r, 0, 0, 15, NOW), KAFKA_NONE);
    assert_int_equal(decide(r, 1, 0, 15, NOW), KAFKA_NOT_ENOUGH_REPLICAS);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_behind_gets_the_same_error),
        cmocka_unit_test(the_lowest_sequence_counts),
        cmocka_unit_test(it_is_forgotten_once_the_first_one_is_in_the_log),
        cmocka_unit_test(it_is_forgotten_after_a_second),
        cmocka_unit_test(sequences_go_round),
        cmocka_unit_test(plain_producers_are_not_kept_and_the_oldest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
