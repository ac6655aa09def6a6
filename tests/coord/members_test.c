/* Members of classic groups: joining, syncing, leaving, going silent, coming back; what survives a
 * change of the coordinator. */
#include "group_bed.h"

#include <chronik/base/random.h>

#define NEW text_of("")

/* ---- joining ----------------------------------------------------------------------------------*/

static void from_version_4_on_a_member_asks_for_its_id_first(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *first = bed_join(&bed, "g", NEW, NULL, 4);
    assert_true(first->done);
    assert_error(first->out.error, KAFKA_MEMBER_ID_REQUIRED);
    assert_true(text_starts_with(first->out.member_id, "client-"));
    assert_string_equal(bed_state(&bed, "g"), "Empty");

    struct bed_join *second =
        bed_joined(&bed, bed_join(&bed, "g", first->out.member_id, NULL, 4));
    assert_error(second->out.error, KAFKA_NONE);
    assert_int_equal(second->out.generation, 1);
    assert_true(text_equal(second->out.leader, first->out.member_id));
    assert_true(text_is(second->out.protocol_name, "range"));
    assert_int_equal(second->out.n_members, 1);
    bed_close(&bed);
}

static void an_id_that_nobody_gave_out_is_unknown(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *stranger = bed_join(&bed, "g", text_of("stranger"), NULL, 4);
    assert_error(stranger->out.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_null(bed_state(&bed, "g"));
    bed_stable(&bed, "h");
    stranger = bed_join(&bed, "h", text_of("stranger"), NULL, 4);
    assert_error(stranger->out.error, KAFKA_UNKNOWN_MEMBER_ID);
    bed_close(&bed);
}

static void who_cannot_be_a_member_is_told_why(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "group.max.session.timeout.ms=50000", NULL });
    bed_stable(&bed, "g");
    struct bed_join *join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->in.session_timeout_ms = 50001;
    bed_send_join(&bed, join);
    assert_error(join->out.error, KAFKA_INVALID_SESSION_TIMEOUT);

    join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->in.protocol_type = text_of("connect");
    bed_send_join(&bed, join);
    assert_error(join->out.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);

    join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->protocols[0].name = join->protocols[1].name = text_of("sticky");
    bed_send_join(&bed, join);
    assert_error(join->out.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);

    join = bed_prepare_join(&bed, "new", NEW, NULL, 3);
    join->in.n_protocols = 0;
    bed_send_join(&bed, join);
    assert_error(join->out.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_null(bed_state(&bed, "new"));

    join = bed_join(&bed, "", NEW, NULL, 3);
    assert_error(join->out.error, KAFKA_INVALID_GROUP_ID);
    bed_close(&bed);
}

static void a_group_has_no_more_members_than_it_may(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "group.max.size=1", NULL });
    bed_stable(&bed, "g");
    struct bed_join *second = bed_join(&bed, "g", NEW, NULL, 3);
    assert_true(second->done);
    assert_error(second->out.error, KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    bed_close(&bed);
}

static void what_members_say_is_bounded(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    char *large = mem_zalloc(GROUP_BYTES_MAX);
    struct bed_join *join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->protocols[0].metadata = bytes_of(large, GROUP_BYTES_MAX);
    bed_send_join(&bed, join);
    assert_error(join->out.error, KAFKA_GROUP_MAX_SIZE_REACHED);
    free(large);
    bed_close(&bed);
}

static void groups_that_anybody_founds_are_bounded_in_all(void **state)
{
    struct bed bed;
    enum kafka_error error;
    unsigned n = 0;
    (void)state;
    bed_open(&bed, NULL);
    bed.memory.max = 100000;
    do {
        char group[16];
        snprintf(group, sizeof group, "g-%u", n++);
        error = (enum kafka_error)bed_join(&bed, group, NEW, NULL, 4)->out.error;
    } while (error == KAFKA_MEMBER_ID_REQUIRED);
    assert_error(error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_true(n > 10 && bed.memory.used <= bed.memory.max);
    bed_close(&bed);
}

/* ---- rebalances -------------------------------------------------------------------------------*/

/* Two members in a stable group; the first leads. */
struct pair {
    struct bed_join *leader, *other;
};

static struct pair make_pair(struct bed *bed, const char *group)
{
    struct bed_join *first = bed_stable(bed, group);
    struct bed_join *second = bed_join(bed, group, NEW, NULL, 3);
    struct bed_join *again = bed_join(bed, group, first->out.member_id, NULL, 3);
    assert_true(second->done && again->done);
    struct bed_sync *follower = bed_sync(bed, group, &second->out, false);
    assert_false(follower->done);
    assert_true(bed_sync(bed, group, &again->out, true)->done);
    assert_true(follower->done);
    return (struct pair){ again, second };
}

static void a_rebalance_ends_the_moment_all_known_members_are_in(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *first = bed_stable(&bed, "g");
    struct bed_join *second = bed_join(&bed, "g", NEW, NULL, 3);
    assert_false(second->done);
    assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
    assert_error(bed_heartbeat(&bed, "g", first->out.member_id, 1), KAFKA_REBALANCE_IN_PROGRESS);

    struct bed_join *again = bed_join(&bed, "g", first->out.member_id, NULL, 3);
    assert_true(second->done && again->done);
    assert_int_equal(again->out.generation, 2);
    assert_int_equal(again->out.n_members, 2);
    assert_int_equal(second->out.n_members, 0);
    assert_true(text_equal(second->out.leader, first->out.member_id));
    assert_string_equal(bed_state(&bed, "g"), "CompletingRebalance");
    bed_close(&bed);
}

static void everybody_gets_its_own_assignment_once_it_is_committed(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *first = bed_stable(&bed, "g");
    struct bed_join *second = bed_join(&bed, "g", NEW, NULL, 3);
    struct bed_join *again = bed_join(&bed, "g", first->out.member_id, NULL, 3);
    bed.commits_at_once = false;
    struct bed_sync *follower = bed_sync(&bed, "g", &second->out, false);
    struct bed_sync *leader = bed_sync(&bed, "g", &again->out, true);
    assert_false(follower->done);
    assert_false(leader->done);
    bed_commit(&bed);
    assert_true(follower->done && leader->done);
    assert_true(bytes_equal(follower->out.assignment, bytes_of(second->out.member_id.data,
                                                               second->out.member_id.len)));
    assert_true(bytes_equal(leader->out.assignment, bytes_of(first->out.member_id.data,
                                                             first->out.member_id.len)));
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    bed_close(&bed);
}

static void an_assignment_that_cannot_be_kept_sends_all_into_another_rebalance(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_joined(&bed, bed_join(&bed, "g", NEW, NULL, 3));
    bed.refuse = KAFKA_COORDINATOR_NOT_AVAILABLE;
    struct bed_sync *sync = bed_sync(&bed, "g", &join->out, true);
    assert_true(sync->done);
    assert_error(sync->out.error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
    bed.refuse = KAFKA_NONE;
    join = bed_join(&bed, "g", join->out.member_id, NULL, 3);
    assert_true(join->done);
    assert_int_equal(join->out.generation, 2);
    assert_error(bed_sync(&bed, "g", &join->out, true)->out.error, KAFKA_NONE);
    bed_close(&bed);
}

static void an_assignment_that_is_not_committed_in_time_is_not_told(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_joined(&bed, bed_join(&bed, "g", NEW, NULL, 3));
    bed.commits_at_once = false;
    struct bed_sync *sync = bed_sync(&bed, "g", &join->out, true);
    bed_fail_waits(&bed, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_true(sync->done);
    assert_error(sync->out.error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(sync->out.assignment.len, 0);
    bed_close(&bed);
}

static void the_first_rebalance_waits_for_more_members(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "group.initial.rebalance.delay.ms=30", NULL });
    struct bed_join *first = bed_join(&bed, "g", NEW, NULL, 3);
    struct bed_join *second = bed_join(&bed, "g", NEW, NULL, 3);
    assert_false(first->done || second->done);
    bed_joined(&bed, first);
    assert_true(second->done);
    assert_int_equal(first->out.n_members, 2);
    assert_int_equal(first->out.generation, 1);
    bed_close(&bed);
}

static void who_does_not_join_in_time_is_out(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *lazy = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    lazy->in.rebalance_timeout_ms = 20;
    bed_send_join(&bed, lazy);
    bed_joined(&bed, lazy);
    bed_sync(&bed, "g", &lazy->out, true);
    struct bed_join *eager = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    eager->in.rebalance_timeout_ms = 20;
    bed_send_join(&bed, eager);
    assert_false(eager->done);
    bed_joined(&bed, eager);
    assert_error(eager->out.error, KAFKA_NONE);
    assert_int_equal(eager->out.n_members, 1);
    assert_error(bed_heartbeat(&bed, "g", lazy->out.member_id, 2), KAFKA_UNKNOWN_MEMBER_ID);
    bed_close(&bed);
}

static bool is_preparing(void *arg)
{
    return strcmp(bed_state(arg, "g"), "PreparingRebalance") == 0;
}

static void who_does_not_sync_in_time_is_out(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *one = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    struct bed_join *two = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    one->in.rebalance_timeout_ms = two->in.rebalance_timeout_ms = 20;
    bed_send_join(&bed, one);
    bed_send_join(&bed, two);
    bed_joined(&bed, one);
    assert_int_equal(one->out.n_members, 2);
    struct bed_sync *sync = bed_sync(&bed, "g", &one->out, true);
    assert_true(sync->done);
    bed_run_until(&bed, is_preparing, &bed);
    assert_error(bed_heartbeat(&bed, "g", one->out.member_id, 1), KAFKA_REBALANCE_IN_PROGRESS);
    assert_error(bed_heartbeat(&bed, "g", two->out.member_id, 1), KAFKA_UNKNOWN_MEMBER_ID);
    bed_close(&bed);
}

static bool is_empty(void *arg)
{
    return strcmp(bed_state(arg, "g"), "Empty") == 0;
}

static void a_silent_member_is_taken_out(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->in.session_timeout_ms = 20;
    bed_send_join(&bed, join);
    bed_joined(&bed, join);
    bed_sync(&bed, "g", &join->out, true);
    bed_run_until(&bed, is_empty, &bed);
    assert_error(bed_heartbeat(&bed, "g", join->out.member_id, 1), KAFKA_UNKNOWN_MEMBER_ID);
    bed_close(&bed);
}

static void the_leader_may_ask_for_a_rebalance_and_others_only_with_news(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    struct bed_join *same = bed_join(&bed, "g", pair.other->out.member_id, NULL, 3);
    assert_true(same->done);
    assert_int_equal(same->out.generation, 2);
    assert_string_equal(bed_state(&bed, "g"), "Stable");

    struct bed_join *changed =
        bed_prepare_join(&bed, "g", pair.other->out.member_id, NULL, 3);
    changed->protocols[0].metadata = bytes_of("news", 4);
    bed_send_join(&bed, changed);
    assert_false(changed->done);
    assert_true(bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3)->done);
    assert_int_equal(changed->out.generation, 3);
    bed_close(&bed);
}

static void the_protocol_that_most_prefer_is_chosen_among_those_that_all_know(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "group.initial.rebalance.delay.ms=5", NULL });
    struct bed_join *joins[3];
    for (size_t i = 0; i < 3; i++) {
        joins[i] = bed_prepare_join(&bed, "g", NEW, NULL, 3);
        joins[i]->protocols[0].name = text_of(i == 0 ? "range" : "roundrobin");
        joins[i]->protocols[1].name = text_of(i == 0 ? "roundrobin" : "range");
        bed_send_join(&bed, joins[i]);
    }
    bed_joined(&bed, joins[0]);
    assert_true(text_is(joins[0]->out.protocol_name, "roundrobin"));
    bed_close(&bed);
}

static void old_generations_and_other_protocols_cannot_sync(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_joined(&bed, bed_join(&bed, "g", NEW, NULL, 3));
    struct join_group_response old = join->out;
    old.generation = 0;
    assert_error(bed_sync(&bed, "g", &old, true)->out.error, KAFKA_ILLEGAL_GENERATION);
    old = join->out;
    old.member_id = text_of("stranger");
    assert_error(bed_sync(&bed, "g", &old, true)->out.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(bed_sync(&bed, "nowhere", &old, true)->out.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(bed_heartbeat(&bed, "g", join->out.member_id, 7), KAFKA_ILLEGAL_GENERATION);
    bed_close(&bed);
}

static void a_retried_request_answers_the_one_before(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    struct bed_join *once = bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3);
    struct bed_join *twice = bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3);
    assert_true(once->done);
    assert_error(once->out.error, KAFKA_REBALANCE_IN_PROGRESS);
    assert_false(twice->done);
    struct bed_join *other = bed_join(&bed, "g", pair.other->out.member_id, NULL, 3);
    assert_true(twice->done && other->done);
    struct bed_sync *first = bed_sync(&bed, "g", &other->out, false);
    struct bed_sync *second = bed_sync(&bed, "g", &other->out, false);
    assert_true(first->done);
    assert_false(second->done);
    assert_true(bed_sync(&bed, "g", &twice->out, true)->done);
    assert_true(second->done);
    bed_close(&bed);
}

/* ---- leaving ----------------------------------------------------------------------------------*/

static void who_leaves_makes_way_at_once(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    assert_error(bed_leave(&bed, "g", pair.leader->out.member_id), KAFKA_NONE);
    assert_error(bed_leave(&bed, "g", pair.leader->out.member_id), KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(bed_leave(&bed, "nowhere", NEW), KAFKA_UNKNOWN_MEMBER_ID);
    assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
    struct bed_join *again = bed_join(&bed, "g", pair.other->out.member_id, NULL, 3);
    assert_true(again->done);
    assert_true(text_equal(again->out.leader, pair.other->out.member_id));

    assert_error(bed_leave(&bed, "g", pair.other->out.member_id), KAFKA_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_close(&bed);
}

static void a_leaving_member_that_waits_is_answered(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    struct bed_join *waiting = bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3);
    assert_error(bed_leave(&bed, "g", pair.leader->out.member_id), KAFKA_NONE);
    assert_true(waiting->done);
    assert_error(waiting->out.error, KAFKA_UNKNOWN_MEMBER_ID);
    bed_close(&bed);
}

/* ---- static members ---------------------------------------------------------------------------*/

static struct bed_join *stable_static(struct bed *bed, const char *group, const char *instance)
{
    struct bed_join *join = bed_joined(bed, bed_join(bed, group, NEW, instance, 5));
    assert_error(join->out.error, KAFKA_NONE);
    assert_true(bed_sync(bed, group, &join->out, true)->done);
    return join;
}

static void a_static_member_comes_back_without_a_rebalance(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *before = stable_static(&bed, "g", "one");
    struct bed_join *after = bed_join(&bed, "g", NEW, "one", 5);
    assert_true(after->done);
    assert_error(after->out.error, KAFKA_NONE);
    assert_int_equal(after->out.generation, 1);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    assert_false(text_equal(after->out.member_id, before->out.member_id));
    /* An old client must not think that it leads: its assignment would be dropped. */
    assert_true(text_equal(after->out.leader, before->out.member_id));

    struct bed_sync *sync = bed_sync(&bed, "g", &after->out, false);
    assert_true(sync->done);
    assert_true(bytes_equal(sync->out.assignment, bytes_of(before->out.member_id.data,
                                                           before->out.member_id.len)));
    bed_close(&bed);
}

static void a_static_leader_that_knows_how_skips_the_assignment(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    stable_static(&bed, "g", "one");
    struct bed_join *after = bed_join(&bed, "g", NEW, "one", 9);
    assert_true(after->done);
    assert_true(after->out.skip_assignment);
    assert_true(text_equal(after->out.leader, after->out.member_id));
    assert_int_equal(after->out.n_members, 1);
    bed_close(&bed);
}

static void the_new_id_of_a_static_member_is_told_when_it_is_committed(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    stable_static(&bed, "g", "one");
    bed.commits_at_once = false;
    struct bed_join *after = bed_join(&bed, "g", NEW, "one", 5);
    assert_false(after->done);
    bed_commit(&bed);
    assert_true(after->done);
    bed.commits_at_once = true;
    bed_reload(&bed);
    struct heartbeat_request in = heartbeat_request_default;
    in.group_id = text_of("g");
    in.group_instance_id = text_of("one");
    in.member_id = after->out.member_id;
    in.generation = 1;
    assert_error(groups_heartbeat(bed.groups, &in), KAFKA_NONE);
    bed_close(&bed);
}

static void a_duplicate_of_a_static_member_fences_the_one_before(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *before = stable_static(&bed, "g", "one");
    bed_join(&bed, "g", NEW, "one", 5);
    struct heartbeat_request in = heartbeat_request_default;
    in.group_id = text_of("g");
    in.group_instance_id = text_of("one");
    in.member_id = before->out.member_id;
    in.generation = 1;
    assert_error(groups_heartbeat(bed.groups, &in), KAFKA_FENCED_INSTANCE_ID);
    in.group_instance_id = text_of("two");
    assert_error(groups_heartbeat(bed.groups, &in), KAFKA_UNKNOWN_MEMBER_ID);
    struct bed_join *old = bed_join(&bed, "g", before->out.member_id, "one", 5);
    assert_error(old->out.error, KAFKA_FENCED_INSTANCE_ID);
    bed_close(&bed);
}

static void a_static_member_that_waits_is_fenced_by_its_duplicate(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "group.initial.rebalance.delay.ms=20", NULL });
    struct bed_join *before = bed_join(&bed, "g", NEW, "one", 5);
    struct bed_join *after = bed_join(&bed, "g", NEW, "one", 5);
    assert_true(before->done);
    assert_error(before->out.error, KAFKA_FENCED_INSTANCE_ID);
    bed_joined(&bed, after);
    assert_error(after->out.error, KAFKA_NONE);
    assert_int_equal(after->out.n_members, 1);
    bed_close(&bed);
}

static void a_static_member_that_is_away_keeps_its_place_in_a_rebalance(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *away = bed_prepare_join(&bed, "g", NEW, "one", 5);
    away->in.rebalance_timeout_ms = 20;
    bed_send_join(&bed, away);
    bed_joined(&bed, away);
    bed_sync(&bed, "g", &away->out, true);
    struct bed_join *other = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    other->in.rebalance_timeout_ms = 20;
    bed_send_join(&bed, other);
    bed_joined(&bed, other);
    assert_int_equal(other->out.n_members, 2);
    assert_true(text_equal(other->out.leader, other->out.member_id));
    bed_close(&bed);
}

static void an_operator_removes_static_members_by_their_instance(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    stable_static(&bed, "g", "one");
    const struct leave_group_request_member who[] = {
        { .member_id = text_of(""), .group_instance_id = text_of("two") },
        { .member_id = text_of(""), .group_instance_id = text_of("one") },
    };
    struct leave_group_response_member results[2] = { leave_group_response_member_default,
                                                      leave_group_response_member_default };
    assert_error(groups_leave(bed.groups, text_of("g"), who, 2, results), KAFKA_NONE);
    assert_error(results[0].error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(results[1].error, KAFKA_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_close(&bed);
}

/* ---- another coordinator ----------------------------------------------------------------------*/

static void a_new_coordinator_knows_the_last_stable_generation(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    bed_reload(&bed);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    assert_error(bed_heartbeat(&bed, "g", pair.leader->out.member_id, 2), KAFKA_NONE);
    assert_error(bed_heartbeat(&bed, "g", pair.other->out.member_id, 2), KAFKA_NONE);
    struct bed_sync *sync = bed_sync(&bed, "g", &pair.other->out, false);
    assert_true(sync->done);
    assert_true(bytes_equal(sync->out.assignment, bytes_of(pair.other->out.member_id.data,
                                                           pair.other->out.member_id.len)));
    struct bed_join *join = bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3);
    assert_true(bed_join(&bed, "g", pair.other->out.member_id, NULL, 3)->done);
    assert_true(join->done);
    assert_int_equal(join->out.generation, 3);
    bed_close(&bed);
}

static void a_new_coordinator_waits_a_session_for_each_member(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_prepare_join(&bed, "g", NEW, NULL, 3);
    join->in.session_timeout_ms = 30;
    bed_send_join(&bed, join);
    bed_joined(&bed, join);
    bed_sync(&bed, "g", &join->out, true);
    bed_reload(&bed);
    bed_run_until(&bed, is_empty, &bed);
    bed_reload(&bed);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_close(&bed);
}

static void whoever_waits_when_the_coordinator_goes_is_told(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct pair pair = make_pair(&bed, "g");
    struct bed_join *leader = bed_join(&bed, "g", pair.leader->out.member_id, NULL, 3);
    struct bed_join *join = bed_join(&bed, "g", pair.other->out.member_id, NULL, 3);
    assert_true(join->done && leader->done);
    struct bed_sync *sync = bed_sync(&bed, "g", &join->out, false);
    struct bed_join *newcomer = bed_join(&bed, "h", NEW, NULL, 3);
    bed_reload(&bed);
    assert_true(sync->done && newcomer->done);
    assert_error(sync->out.error, KAFKA_NOT_COORDINATOR);
    assert_error(newcomer->out.error, KAFKA_NOT_COORDINATOR);
    bed_close(&bed);
}

/* ---- anything ---------------------------------------------------------------------------------*/

enum { ACTORS = 8 };

struct actor {
    struct text id;
    const char *instance;
    struct bed_join *join;
    struct bed_sync *sync;
    int32_t generation;
};

static void hear(struct actor *actor)
{
    if (actor->join != NULL && actor->join->done) {
        if (actor->join->out.error == KAFKA_NONE ||
            actor->join->out.error == KAFKA_MEMBER_ID_REQUIRED) {
            actor->id = actor->join->out.member_id;
            actor->generation = actor->join->out.generation;
        }
        if (actor->join->out.error == KAFKA_UNKNOWN_MEMBER_ID ||
            actor->join->out.error == KAFKA_FENCED_INSTANCE_ID) {
            actor->id = NEW;
        }
    }
}

static void act(struct bed *bed, struct actor *actor, struct prng *prng)
{
    const char *group = prng_percent(prng, 80) ? "g" : "h";
    bool idle = actor->join == NULL || actor->join->done;
    hear(actor);
    switch (prng_below(prng, 7)) {
    case 0:
    case 1:
        if (idle && (actor->sync == NULL || actor->sync->done)) {
            actor->join = bed_prepare_join(bed, group, actor->id, actor->instance,
                                           (int16_t)(5 * prng_below(prng, 2)));
            actor->join->in.rebalance_timeout_ms = 3;
            actor->join->in.session_timeout_ms = 10;
            bed_send_join(bed, actor->join);
        }
        break;
    case 2:
        if (actor->join != NULL && idle && actor->join->out.error == KAFKA_NONE) {
            actor->sync = bed_sync(bed, group, &actor->join->out,
                                   text_equal(actor->id, actor->join->out.leader));
        }
        break;
    case 3:
        bed_heartbeat(bed, group, actor->id, actor->generation);
        break;
    case 4:
        bed_commit_offset(bed, group, actor->id, actor->generation, "t",
                          (int64_t)prng_below(prng, 100));
        break;
    case 5:
        if (prng_percent(prng, 20)) {
            bed_leave(bed, group, actor->id);
        }
        break;
    default:
        bed_commit(bed);
    }
}

/* Nobody is ever answered twice (the bed sees to it), and the state is what the log says. */
static void whatever_members_do_the_log_gives_the_same_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct actor actors[ACTORS] = { { .id = { 0 } } };
        struct prng prng;
        struct bed bed;
        prng_init(&prng, seed);
        bed_open(&bed, NULL);
        for (size_t i = 0; i < ACTORS; i++) {
            actors[i].id = NEW;
            actors[i].instance = i < 2 ? "i" : NULL;
        }
        for (unsigned step = 0; step < 400; step++) {
            bed.commits_at_once = prng_percent(&prng, 70);
            bed.refuse = prng_percent(&prng, 5) ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NONE;
            act(&bed, &actors[prng_below(&prng, ACTORS)], &prng);
            if (prng_percent(&prng, 10)) {
                bed_run_ms(&bed, 1);
            }
            if (prng_percent(&prng, 1)) {
                bed.refuse = KAFKA_NONE;
                bed_reload(&bed);
            }
        }
        assert_true(groups_hash(bed.groups) == bed_replay_hash(&bed, false));
        assert_true(groups_hash(bed.groups) == bed_replay_hash(&bed, true));
        bed_close(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_version_4_on_a_member_asks_for_its_id_first),
        cmocka_unit_test(an_id_that_nobody_gave_out_is_unknown),
        cmocka_unit_test(who_cannot_be_a_member_is_told_why),
        cmocka_unit_test(a_group_has_no_more_members_than_it_may),
        cmocka_unit_test(what_members_say_is_bounded),
        cmocka_unit_test(groups_that_anybody_founds_are_bounded_in_all),
        cmocka_unit_test(a_rebalance_ends_the_moment_all_known_members_are_in),
        cmocka_unit_test(everybody_gets_its_own_assignment_once_it_is_committed),
        cmocka_unit_test(an_assignment_that_cannot_be_kept_sends_all_into_another_rebalance),
        cmocka_unit_test(an_assignment_that_is_not_committed_in_time_is_not_told),
        cmocka_unit_test(the_first_rebalance_waits_for_more_members),
        cmocka_unit_test(who_does_not_join_in_time_is_out),
        cmocka_unit_test(who_does_not_sync_in_time_is_out),
        cmocka_unit_test(a_silent_member_is_taken_out),
        cmocka_unit_test(the_leader_may_ask_for_a_rebalance_and_others_only_with_news),
        cmocka_unit_test(the_protocol_that_most_prefer_is_chosen_among_those_that_all_know),
        cmocka_unit_test(old_generations_and_other_protocols_cannot_sync),
        cmocka_unit_test(a_retried_request_answers_the_one_before),
        cmocka_unit_test(who_leaves_makes_way_at_once),
        cmocka_unit_test(a_leaving_member_that_waits_is_answered),
        cmocka_unit_test(a_static_member_comes_back_without_a_rebalance),
        cmocka_unit_test(a_static_leader_that_knows_how_skips_the_assignment),
        cmocka_unit_test(the_new_id_of_a_static_member_is_told_when_it_is_committed),
        cmocka_unit_test(a_duplicate_of_a_static_member_fences_the_one_before),
        cmocka_unit_test(a_static_member_that_waits_is_fenced_by_its_duplicate),
        cmocka_unit_test(a_static_member_that_is_away_keeps_its_place_in_a_rebalance),
        cmocka_unit_test(an_operator_removes_static_members_by_their_instance),
        cmocka_unit_test(a_new_coordinator_knows_the_last_stable_generation),
        cmocka_unit_test(a_new_coordinator_waits_a_session_for_each_member),
        cmocka_unit_test(whoever_waits_when_the_coordinator_goes_is_told),
        cmocka_unit_test(whatever_members_do_the_log_gives_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
