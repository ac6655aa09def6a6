/* Replication quotas: which replicas they are for, and what they cost. */
#include "replica_bed.h"

#include <chronik/replica/throttle.h>

static void set(struct replica_bed *bed, const char *name, const char *value)
{
    config_set_put(&bed->file, text_of(name), text_of(value));
}

static uint64_t rate(struct replica_bed *bed, enum throttle_side side, const char *list)
{
    struct image_topic *topic = (struct image_topic *)image_topic(bed->image, text_of("t"));
    const char *name = side == THROTTLE_LEADER ? "leader.replication.throttled.replicas"
                                               : "follower.replication.throttled.replicas";
    config_set_put(&topic->configs, text_of(name), text_of(list));
    return throttle_rate(partition_at(bed, 1), side);
}

static void only_replicas_that_are_named_are_throttled(void **state)
{
    struct replica_bed bed;
    (void)state;
    replica_bed_init(&bed, 1);
    make_topic(&bed, 3, true);
    assert_true(rate(&bed, THROTTLE_LEADER, "*") == UINT64_MAX); /* no rate is set */
    set(&bed, "leader.replication.throttled.rate", "1000");
    assert_int_equal(rate(&bed, THROTTLE_LEADER, "*"), 1000);
    assert_int_equal(rate(&bed, THROTTLE_LEADER, "0:1"), 1000);
    assert_int_equal(rate(&bed, THROTTLE_LEADER, "1:1,0:2, 0:1"), 1000);
    assert_true(rate(&bed, THROTTLE_LEADER, "0:2,1:1,0:11") == UINT64_MAX);
    assert_true(rate(&bed, THROTTLE_LEADER, "") == UINT64_MAX);
    assert_true(rate(&bed, THROTTLE_FOLLOWER, "*") == UINT64_MAX);
    set(&bed, "follower.replication.throttled.rate", "7");
    assert_int_equal(rate(&bed, THROTTLE_FOLLOWER, "*"), 7);
    replica_bed_release(&bed);
}

static void bytes_are_paid_with_time(void **state)
{
    struct throttle t = { 0 };
    (void)state;
    throttle_pay(&t, 5 * NS_PER_S, 1 << 20, UINT64_MAX);
    assert_false(throttle_holds(&t, 5 * NS_PER_S));
    throttle_pay(&t, 5 * NS_PER_S, 500, 1000);
    assert_true(throttle_holds(&t, 5 * NS_PER_S + NS_PER_S / 2 - 1));
    assert_false(throttle_holds(&t, 5 * NS_PER_S + NS_PER_S / 2));
    throttle_pay(&t, 5 * NS_PER_S, 500, 1000); /* on top */
    assert_false(throttle_holds(&t, 6 * NS_PER_S));
    assert_true(throttle_holds(&t, 6 * NS_PER_S - 1));
    throttle_pay(&t, 9 * NS_PER_S, 1, 1); /* what was not used is not saved up */
    assert_int_equal(t.paid_until_ns, 10 * NS_PER_S);
}

static bool is_full(struct replica_bed *bed)
{
    return end_at(bed, 2) == end_at(bed, 1);
}

/* One and a half megabytes with a megabyte a second, on either side. */
static void catching_up_takes_as_long_as_the_rate_says(void **state)
{
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        struct replica_bed bed;
        replica_bed_init(&bed, 1);
        make_topic(&bed, 2, false);
        set(&bed, side == THROTTLE_LEADER ? "leader.replication.throttled.rate"
                                          : "follower.replication.throttled.rate", "1000000");
        rate(&bed, THROTTLE_LEADER, "*");
        rate(&bed, THROTTLE_FOLLOWER, "*");
        for (unsigned i = 0; i < 50; i++) {
            put_batch(&bed, 1, 1, 30000);
        }
        run_durable(&bed, 1);
        uint64_t from = loop_now_ns(bed.loop);
        while (!is_full(&bed)) {
            connect_nodes(&bed);
            run_ms(&bed, 1);
        }
        /* The first chunks come on the other stream, the last ones are not waited for. */
        assert_true(loop_now_ns(bed.loop) - from > NS_PER_S / 2);
        replica_bed_release(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_replicas_that_are_named_are_throttled),
        cmocka_unit_test(bytes_are_paid_with_time),
        cmocka_unit_test(catching_up_takes_as_long_as_the_rate_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
