/* Elections and placement. */
#include "image_case.h"

#include "../../src/meta/elector.h"
#include "../../src/meta/placement.h"

struct elector_case {
    struct image *image;
    struct arena arena;
    struct elector e;
    struct config_layers layers;
};

static void begin(struct elector_case *t, unsigned brokers)
{
    *t = (struct elector_case){ .image = image_with_brokers(brokers, NULL) };
    arena_init(&t->arena, 0);
}

static void end(struct elector_case *t)
{
    arena_release(&t->arena);
    image_free(t->image);
}

/* A fresh elector, for the image as it is now. */
static struct elector *elect_on(struct elector_case *t)
{
    t->layers = config_layers_of(t->image, 1, NULL);
    elector_init(&t->e, t->image, &t->arena, &t->layers);
    return &t->e;
}

/* Applies what was worked out, before (a broker goes) or after (a broker comes) it changes
 * state. */
static void apply_changes(struct elector_case *t)
{
    if (t->e.n > 0) {
        struct command_change_partitions c = elector_command(&t->e);
        assert_int_equal(apply_one(t->image, COMMAND_CHANGE_PARTITIONS, &c).error, KAFKA_NONE);
    }
    elector_release(&t->e);
}

static void fence(struct elector_case *t, int32_t broker)
{
    elector_take_down(elect_on(t), broker);
    elector_fence(&t->e);
    apply_changes(t);
    apply_state(t->image, broker, true);
}

static void unfence(struct elector_case *t, int32_t broker)
{
    elector_unfence(elect_on(t), broker);
    apply_state(t->image, broker, false);
    apply_changes(t);
}

static void restart(struct elector_case *t, int32_t broker, bool clean, bool proven)
{
    elector_restart(elect_on(t), broker, clean, proven);
    apply_changes(t);
    apply_register(t->image, broker, 2, NULL);
}

static const int32_t ABC[] = { 1, 2, 3 };

/* ---- going and coming -------------------------------------------------------------------------*/

static void the_next_in_sync_replica_leads_when_a_broker_dies(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 20, ABC, 3);
    apply_topic(t.image, "u", 2, 1, (int32_t[]){ 3, 2 }, 2);
    uint64_t entries = image_index(t.image);
    fence(&t, 1);
    assert_int_equal(image_index(t.image), entries + 2); /* one command for all partitions */
    for (int32_t i = 0; i < 20; i++) {
        const struct image_partition *p = partition_of(t.image, "t", i);
        assert_int_equal(p->leader, 2);
        assert_int_equal(p->leader_epoch, 1);
        assert_isr(p, "2 3");
        assert_elr(p, "");
    }
    assert_int_equal(partition_of(t.image, "u", 0)->epoch, 0); /* does not concern it */
    end(&t);
}

static void whoever_was_in_sync_below_the_minimum_stays_eligible(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, ABC, 3);
    fence(&t, 1);
    fence(&t, 2);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "3");
    assert_elr(p, "2"); /* min.insync.replicas is 2 */
    assert_int_equal(p->leader, 3);
    fence(&t, 3);
    p = partition_of(t.image, "t", 0);
    assert_isr(p, "");
    assert_elr(p, "2 3");
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->last_leader, 3);

    unfence(&t, 1); /* it may lack what was acknowledged since */
    assert_int_equal(partition_of(t.image, "t", 0)->leader, -1);
    unfence(&t, 2);
    p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 2);
    assert_isr(p, "2");
    assert_elr(p, "3");
    end(&t);
}

static void a_dead_leader_is_not_replaced_by_one_that_is_not_in_sync(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 2);
    const struct command_change_configs c = {
        .type = IMAGE_TOPIC, .name = text_of("t"), .n_changes = 1,
        .changes = &(struct command_change_configs_change){ text_of("min.insync.replicas"),
                                                            text_of("1") } };
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    apply_one(t.image, COMMAND_CHANGE_CONFIGS, &c);
    fence(&t, 2);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "1");
    assert_elr(p, ""); /* one in sync is enough for this topic */
    unfence(&t, 2);
    fence(&t, 1);
    p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, -1);
    assert_elr(p, "1");
    end(&t);
}

static void unclean_elections_need_leave(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 2);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    restart(&t, 2, false, true); /* 1 is up: 2 is in sync no more */
    apply_state(t.image, 2, false);
    assert_isr(partition_of(t.image, "t", 0), "1");
    assert_elr(partition_of(t.image, "t", 0), "");
    fence(&t, 1);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, -1);

    const struct image_topic *topic = image_topic(t.image, text_of("t"));
    struct elector *e = elect_on(&t);
    assert_int_equal(elector_elect(e, topic, 0, ELECT_PREFERRED),
                     KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    assert_int_equal(elector_elect(e, topic, 0, ELECT_UNCLEAN), KAFKA_NONE);
    apply_changes(&t);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 2);
    assert_isr(p, "2");
    assert_elr(p, "");
    assert_int_equal(p->recovery, IMAGE_RECOVERING);
    e = elect_on(&t);
    assert_int_equal(elector_elect(e, topic, 0, ELECT_UNCLEAN), KAFKA_ELECTION_NOT_NEEDED);
    elector_release(e);
    end(&t);
}

static void a_topic_may_allow_unclean_elections(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 2);
    const struct command_change_configs c = {
        .type = IMAGE_TOPIC, .name = text_of("t"), .n_changes = 1,
        .changes = &(struct command_change_configs_change){
            text_of("unclean.leader.election.enable"), text_of("true") } };
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    restart(&t, 2, false, true);
    apply_one(t.image, COMMAND_CHANGE_CONFIGS, &c);
    apply_state(t.image, 2, false);
    fence(&t, 1);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 2);
    assert_int_equal(partition_of(t.image, "t", 0)->recovery, IMAGE_RECOVERING);
    end(&t);
}

/* ---- new lives --------------------------------------------------------------------------------*/

static void an_unclean_restart_costs_the_place_when_others_are_up(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, ABC, 3);
    restart(&t, 1, false, true);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "2 3");
    assert_elr(p, "");
    assert_int_equal(p->leader, 2);
    end(&t);
}

static void one_of_the_last_keeps_its_place_with_proof(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1 }, 1);
    restart(&t, 1, false, true);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "");
    assert_elr(p, "1");
    assert_int_equal(p->leader, -1);
    int32_t epoch = p->leader_epoch;
    unfence(&t, 1);
    p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 1);
    assert_isr(p, "1");
    assert_true(p->leader_epoch > epoch);
    end(&t);
}

static void without_proof_nobody_leads(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1 }, 1);
    restart(&t, 1, false, false);
    unfence(&t, 1);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "");
    assert_elr(p, "");
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->last_leader, 1);
    end(&t);
}

static void a_clean_restart_stays_eligible(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 2);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    restart(&t, 2, true, true);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "1");
    assert_elr(p, "2");
    end(&t);
}

/* Brokers 2 and 3 were restarted, after a cut in which everybody has gone. */
static void begin_after_a_cut(struct elector_case *t, struct log_ends ends[2])
{
    begin(t, 3);
    apply_topic(t->image, "t", 1, 1, ABC, 3);
    fence(t, 1);
    fence(t, 2);
    fence(t, 3);
    assert_elr(partition_of(t->image, "t", 0), "2 3");
    for (int32_t i = 0; i < 2; i++) {
        ends[i].broker = i + 2;
        ends[i].epoch = image_broker(t->image, i + 2)->epoch;
    }
}

static void unfence_with_ends(struct elector_case *t, int32_t broker, const struct log_ends *ends,
                              size_t n)
{
    elect_on(t)->ends = ends;
    t->e.n_ends = n;
    elector_unfence(&t->e, broker);
    apply_state(t->image, broker, false);
    apply_changes(t);
}

static void after_a_power_cut_the_longest_log_leads(void **state)
{
    (void)state;
    struct elector_case t;
    struct log_end logs[2] = { { { { 1 } }, 0, 4, 100 }, { { { 1 } }, 0, 5, 90 } };
    struct log_ends ends[2] = { { .items = &logs[0], .n = 1 }, { .items = &logs[1], .n = 1 } };
    begin_after_a_cut(&t, ends);
    unfence_with_ends(&t, 2, ends, 1);
    assert_true(t.e.waits); /* for 3 */
    assert_int_equal(partition_of(t.image, "t", 0)->leader, -1);
    unfence_with_ends(&t, 3, ends, 2);
    assert_false(t.e.waits);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 3); /* the later epoch counts, before the offset */
    assert_isr(p, "3");
    assert_elr(p, "2");
    end(&t);
}

static void a_recovery_election_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct elector_case t;
    struct log_end log = { { { 1 } }, 0, 4, 100 };
    struct log_ends ends[2] = { { .items = &log, .n = 1 } };
    begin_after_a_cut(&t, ends);
    unfence_with_ends(&t, 2, ends, 1);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, -1);
    elect_on(&t)->ends = ends;
    t.e.n_ends = 1;
    t.e.hurried = true;
    elector_elect_leaderless(&t.e);
    apply_changes(&t);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 2);
    assert_elr(partition_of(t.image, "t", 0), "3");
    end(&t);
}

/* What was said in an earlier life is nothing: this one was not restarted since. */
static void an_eligible_replica_that_was_up_all_the_time_leads_at_once(void **state)
{
    (void)state;
    struct elector_case t;
    struct log_end log = { { { 1 } }, 0, 4, 100 };
    struct log_ends ends[2] = { { .items = &log, .n = 1 } };
    begin_after_a_cut(&t, ends);
    ends[0].epoch--;
    unfence_with_ends(&t, 2, ends, 1);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 2);
    end(&t);
}

/* ---- stopping and balancing -------------------------------------------------------------------*/

static void a_broker_that_stops_hands_over_first(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, ABC, 3);
    apply_topic(t.image, "alone", 2, 1, (int32_t[]){ 1 }, 1);
    apply_topic(t.image, "follows", 3, 1, (int32_t[]){ 2, 1 }, 2);
    elector_stop(elect_on(&t), 1);
    apply_changes(&t);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 2);
    assert_isr(partition_of(t.image, "t", 0), "2 3");
    assert_int_equal(partition_of(t.image, "alone", 0)->leader, 1); /* serves to the end */
    assert_isr(partition_of(t.image, "follows", 0), "2");
    end(&t);
}

static void a_leader_that_stops_gives_way_to_whoever_comes_in_sync(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 1, ABC, 3);
    fence(&t, 2);
    fence(&t, 3);
    elector_stop(elect_on(&t), 1);
    apply_changes(&t);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 1); /* nobody else is in sync */
    assert_int_equal(p->leader_epoch, 0);

    unfence(&t, 3);
    elector_take_down(elect_on(&t), 1);
    elector_set_isr(&t.e, image_topic(t.image, text_of("t")), 0, (int32_t[]){ 1, 3 }, 2, -1);
    apply_changes(&t);
    p = partition_of(t.image, "t", 0);
    assert_int_equal(p->leader, 3);
    assert_isr(p, "3");
    assert_elr(p, "1"); /* it has everything, and min.insync.replicas is 2 */
    end(&t);
}

static void preferred_leaders_get_their_partitions_back(void **state)
{
    (void)state;
    struct elector_case t;
    begin(&t, 3);
    apply_topic(t.image, "t", 1, 10, ABC, 3);
    fence(&t, 1);
    unfence(&t, 1);
    elector_balance(elect_on(&t), 100);
    assert_int_equal(t.e.n, 0); /* not in sync yet */
    elector_release(&t.e);
    struct elector *e = elect_on(&t);
    for (int32_t i = 0; i < 10; i++) {
        elector_set_isr(e, image_topic(t.image, text_of("t")), i, (int32_t[]){ 2, 3, 1 }, 3, -1);
    }
    apply_changes(&t);
    elector_balance(elect_on(&t), 4);
    assert_int_equal(t.e.n, 4);
    apply_changes(&t);
    elector_balance(elect_on(&t), 100);
    assert_int_equal(t.e.n, 6);
    apply_changes(&t);
    for (int32_t i = 0; i < 10; i++) {
        assert_int_equal(partition_of(t.image, "t", i)->leader, 1);
    }
    end(&t);
}

/* Whatever happens: who leads is in sync and serves, who is in sync is a replica, nobody is both in
 * sync and only eligible, and epochs rise. */
static void elections_keep_their_promises_whatever_happens(void **state)
{
    (void)state;
    struct elector_case t;
    struct prng prng;
    int32_t epochs[8] = { 0 };
    unsigned leaderless = 0, led = 0;
    begin(&t, 5);
    prng_init(&prng, 9);
    for (int32_t i = 0; i < 8; i++) {
        char name[8];
        int32_t ids[3] = { 1 + i % 5, 1 + (i + 1) % 5, 1 + (i + 3) % 5 };
        snprintf(name, sizeof name, "t%d", i);
        apply_topic(t.image, name, (uint8_t)(i + 1), 1, ids, 3);
    }
    for (unsigned round = 0; round < 3000; round++) {
        int32_t broker = (int32_t)(1 + prng_below(&prng, 5));
        bool fenced = image_broker(t.image, broker)->fenced;
        if (prng_percent(&prng, 20)) {
            restart(&t, broker, prng_percent(&prng, 50), true);
        } else if (fenced) {
            unfence(&t, broker);
        } else {
            fence(&t, broker);
        }
        for (int32_t i = 0; i < 8; i++) {
            char name[8];
            snprintf(name, sizeof name, "t%d", i);
            const struct image_partition *p = partition_of(t.image, name, 0);
            assert_true(p->epoch >= epochs[i]);
            epochs[i] = p->epoch;
            for (unsigned k = 0; k < p->n_isr; k++) {
                assert_true(image_has(p->replicas, p->n_replicas, p->isr[k]));
                assert_false(image_has(p->elr, p->n_elr, p->isr[k]));
                assert_false(image_broker(t.image, p->isr[k])->fenced);
            }
            assert_true(p->n_isr + p->n_elr > 0); /* somebody has what was acknowledged */
            if (p->leader >= 0) {
                assert_true(image_has(p->isr, p->n_isr, p->leader));
                led++;
            } else {
                assert_int_equal(p->n_isr, 0);
                leaderless++;
            }
        }
    }
    assert_true(led > 1000 && leaderless > 100);
    end(&t);
}

/* ---- placement --------------------------------------------------------------------------------*/

struct placement_case {
    struct image *image;
    struct arena arena;
    struct prng prng;
    struct placement p;
};

static void place_on(struct placement_case *t, unsigned brokers, const char *racks, uint64_t seed)
{
    *t = (struct placement_case){ .image = image_with_brokers(brokers, racks) };
    arena_init(&t->arena, 0);
    prng_init(&t->prng, seed);
    placement_init(&t->p, t->image, &t->prng, &t->arena);
}

static void placed(struct placement_case *t)
{
    arena_release(&t->arena);
    image_free(t->image);
}

static void leaders_and_replicas_are_spread_evenly(void **state)
{
    (void)state;
    struct placement_case t;
    for (unsigned brokers = 1; brokers <= 7; brokers++) {
        for (unsigned width = 1; width <= brokers; width++) {
            unsigned leads[8] = { 0 }, holds[8] = { 0 };
            place_on(&t, brokers, NULL, brokers * 10 + width);
            for (unsigned i = 0; i < 20 * brokers; i++) {
                int32_t ids[IMAGE_REPLICAS_MAX];
                assert_true(placement_choose(&t.p, width, ids));
                leads[ids[0]]++;
                for (unsigned k = 0; k < width; k++) {
                    assert_false(image_has(ids, k, ids[k]));
                    holds[ids[k]]++;
                }
            }
            for (unsigned id = 1; id <= brokers; id++) {
                assert_int_equal(leads[id], 20);
                assert_true(holds[id] + 2 >= 20 * width && holds[id] <= 20 * width + 2);
            }
            placed(&t);
        }
    }
}

static void replicas_go_to_different_racks(void **state)
{
    (void)state;
    struct placement_case t;
    const char *racks = "aaabbc";
    unsigned leads[8] = { 0 };
    place_on(&t, 6, racks, 4);
    for (unsigned i = 0; i < 120; i++) {
        int32_t ids[IMAGE_REPLICAS_MAX];
        assert_true(placement_choose(&t.p, 3, ids));
        leads[ids[0]]++;
        assert_int_not_equal(racks[ids[0] - 1], racks[ids[1] - 1]);
        assert_int_not_equal(racks[ids[0] - 1], racks[ids[2] - 1]);
        assert_int_not_equal(racks[ids[1] - 1], racks[ids[2] - 1]);
    }
    for (unsigned id = 1; id <= 6; id++) {
        assert_int_equal(leads[id], 20);
    }
    int32_t ids[IMAGE_REPLICAS_MAX];
    assert_true(placement_choose(&t.p, 5, ids)); /* more replicas than racks */
    placed(&t);
}

static void what_is_there_already_counts(void **state)
{
    (void)state;
    struct placement_case t;
    int32_t ids[IMAGE_REPLICAS_MAX];
    place_on(&t, 3, NULL, 1);
    apply_topic(t.image, "old", 1, 10, (int32_t[]){ 2, 3 }, 2);
    placement_init(&t.p, t.image, &t.prng, &t.arena);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(placement_choose(&t.p, 2, ids));
        assert_int_not_equal(ids[0], 2); /* which is first choice ten times already */
    }
    placed(&t);
}

static void fenced_brokers_are_the_last_resort(void **state)
{
    (void)state;
    struct placement_case t;
    int32_t ids[IMAGE_REPLICAS_MAX];
    place_on(&t, 3, NULL, 1);
    apply_state(t.image, 2, true);
    placement_init(&t.p, t.image, &t.prng, &t.arena);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(placement_choose(&t.p, 2, ids));
        assert_false(image_has(ids, 2, 2));
        assert_true(placement_choose(&t.p, 3, ids));
        assert_int_not_equal(ids[0], 2);
    }
    assert_false(placement_choose(&t.p, 4, ids));
    apply_state(t.image, 1, true);
    apply_state(t.image, 3, true);
    placement_init(&t.p, t.image, &t.prng, &t.arena);
    assert_false(placement_choose(&t.p, 1, ids)); /* nobody could lead */
    placed(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_in_sync_replica_leads_when_a_broker_dies),
        cmocka_unit_test(whoever_was_in_sync_below_the_minimum_stays_eligible),
        cmocka_unit_test(a_dead_leader_is_not_replaced_by_one_that_is_not_in_sync),
        cmocka_unit_test(unclean_elections_need_leave),
        cmocka_unit_test(a_topic_may_allow_unclean_elections),
        cmocka_unit_test(an_unclean_restart_costs_the_place_when_others_are_up),
        cmocka_unit_test(one_of_the_last_keeps_its_place_with_proof),
        cmocka_unit_test(without_proof_nobody_leads),
        cmocka_unit_test(a_clean_restart_stays_eligible),
        cmocka_unit_test(after_a_power_cut_the_longest_log_leads),
        cmocka_unit_test(a_recovery_election_does_not_wait_for_ever),
        cmocka_unit_test(an_eligible_replica_that_was_up_all_the_time_leads_at_once),
        cmocka_unit_test(a_broker_that_stops_hands_over_first),
        cmocka_unit_test(a_leader_that_stops_gives_way_to_whoever_comes_in_sync),
        cmocka_unit_test(preferred_leaders_get_their_partitions_back),
        cmocka_unit_test(elections_keep_their_promises_whatever_happens),
        cmocka_unit_test(leaders_and_replicas_are_spread_evenly),
        cmocka_unit_test(replicas_go_to_different_racks),
        cmocka_unit_test(what_is_there_already_counts),
        cmocka_unit_test(fenced_brokers_are_the_last_resort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
