/* Rebalances: the join phase, the sync phase, and the clocks of both.
 *
 * A rebalance begins when somebody comes, changes, leaves or goes silent. Members hear of it by
 * their heartbeats and join again; their joins wait. The phase ends the moment all known members
 * have joined, at the latest after the longest rebalance time-out: who has not joined by then is
 * out (static members stay: KIP-345). The very first one waits group.initial.rebalance.delay.ms for
 * more members, and again for each that comes, within that time-out. Then the group has a new
 * generation, the leader learns all members, and everybody syncs; the leader's sync brings the
 * assignment, which is appended to the log and told when it is committed.
 *
 * Nobody can hold the others up for longer: a member that does not join, does not sync, or whose
 * session ends is taken out by a timer. */
#include "group.h"

#include <inttypes.h>


/* ---- answers ----------------------------------------------------------------------------------*/

void member_finish_join(struct group_member *member, enum kafka_error error, struct text id)
{
    struct group_join *join = member->join;
    if (join == NULL) {
        return;
    }
    member->join = NULL;
    member->group->n_awaiting_join--;
    if (error != KAFKA_NONE) {
        join->reply->error = (int16_t)error;
        join->reply->member_id = arena_text(join->arena, id);
    }
    join->done(join);
}

static struct text reply_text(struct arena *arena, const char *s)
{
    return arena_text(arena, text_of(s != NULL ? s : ""));
}

void member_finish_sync(struct group_member *member, enum kafka_error error)
{
    struct group_sync *sync = member->sync;
    const struct group *group = member->group;
    if (sync == NULL) {
        return;
    }
    member->sync = NULL;
    sync->reply->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        struct bytes got = member->assignment;
        sync->reply->protocol_type = reply_text(sync->arena, group->protocol_type);
        sync->reply->protocol_name = reply_text(sync->arena, group->protocol);
        sync->reply->assignment =
            bytes_of(arena_dup(sync->arena, got.data, got.len), got.len);
    }
    sync->done(sync);
}

static void list_members(const struct group *group, struct group_join *join)
{
    struct join_group_response *reply = join->reply;
    struct arena *arena = join->arena;
    reply->members = arena_zalloc_array(arena, group->members.n, sizeof *reply->members);
    map_each (node, &group->members) {
        const struct group_member *member = container_of(node, struct group_member, node);
        struct join_group_response_member *to = &reply->members[reply->n_members++];
        struct bytes said = member_metadata(member, group->protocol);
        *to = join_group_response_member_default;
        to->member_id = arena_text(arena, member->id);
        if (member->instance_id.data != NULL) {
            to->group_instance_id = arena_text(arena, member->instance_id);
        }
        to->metadata = bytes_of(arena_dup(arena, said.data, said.len), said.len);
    }
}

void member_welcome(struct group_member *member, struct group_join *join, bool with_members)
{
    const struct group *group = member->group;
    struct join_group_response *reply = join->reply;
    reply->error = KAFKA_NONE;
    reply->generation = group->generation;
    reply->protocol_type = reply_text(join->arena, group->protocol_type);
    reply->protocol_name = reply_text(join->arena, group->protocol);
    reply->leader = arena_text(join->arena, group->leader->id);
    reply->member_id = arena_text(join->arena, member->id);
    if (with_members) {
        list_members(group, join);
    }
}

/* ---- sessions ---------------------------------------------------------------------------------*/

void member_expect(struct group_member *member, int64_t timeout_ms)
{
    timer_set_in(&member->session, (uint64_t)max_i64(timeout_ms, 0) * NS_PER_MS);
}

static void after_a_loss(struct group *group)
{
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING) {
        group_begin_rebalance(group);
    } else {
        group_end_join_if_complete(group);
    }
}

static void say_silent(const struct group_member *member)
{
    struct groups *groups = member->group->groups;
    uint32_t suppressed;
    if (diag_allow(&groups->silent, loop_now_ns(groups->log->loop), NS_PER_S, &suppressed)) {
        diag_info(groups->log->diag, DIAG_COORD,
                  "a member of a group went silent: it is taken out group=%.*s member=%.*s "
                  "others=%" PRIu32,
                  TEXT_ARG(member->group->id), TEXT_ARG(member->id), suppressed);
    }
}

void member_expired(struct timer *timer)
{
    struct group_member *member = container_of(timer, struct group_member, session);
    struct group *group = member->group;

    /* Who waits for us is not silent; but somebody new may have given up long ago. */
    if (!member->is_new && (member->join != NULL || member->sync != NULL)) {
        return;
    }
    say_silent(member);
    member_finish_join(member, KAFKA_UNKNOWN_MEMBER_ID, text_of(""));
    member_finish_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
    member_free(member);
    after_a_loss(group);
    group_drop_if_gone(group);
}

void pending_expired(struct timer *timer)
{
    struct group_pending *pending = container_of(timer, struct group_pending, session);
    struct group *group = pending->group;
    pending_free(pending);
    group_end_join_if_complete(group);
    group_drop_if_gone(group);
}

/* ---- the record of a generation ---------------------------------------------------------------*/

static void put_members(const struct group *group, struct arena *arena,
                        struct group_metadata_value *value)
{
    value->members = arena_zalloc_array(arena, group->members.n, sizeof *value->members);
    map_each (node, &group->members) {
        const struct group_member *member = container_of(node, struct group_member, node);
        value->members[value->n_members++] = (struct group_metadata_value_member){
            .member_id = member->id,
            .group_instance_id = member->instance_id,
            .client_id = member->client_id.data ? member->client_id : text_of(""),
            .client_host = member->client_host.data ? member->client_host : text_of(""),
            .rebalance_timeout = member->rebalance_ms,
            .session_timeout = member->session_ms,
            .subscription = member_metadata(member, group->protocol),
            .assignment = member->assignment,
        };
    }
}

enum kafka_error group_append(struct group *group)
{
    enum { VALUE_VERSION = 3 }; /* what Kafka 4.4 writes */
    struct coord_batch batch = { 0 };
    struct group_metadata_key key = { .group = group->id };
    struct group_metadata_value value = {
        .protocol_type = text_of(group->protocol_type ? group->protocol_type : ""),
        .generation = group->generation,
        .protocol = text_of(group->protocol),
        .leader = group->leader ? group->leader->id : TEXT_NULL,
        .current_state_timestamp = group->state_since_ms,
    };
    put_members(group, &batch.arena, &value);
    coord_batch_add(&batch, &coord_group_metadata_key, &key, &coord_group_metadata_value,
                    VALUE_VERSION, &value);
    enum kafka_error error = coord_append(group->groups->log, &batch);
    coord_batch_release(&batch);
    return error;
}

static void saved(struct coord_wait *wait, enum kafka_error error)
{
    struct group_save *save = container_of(wait, struct group_save, wait);
    list_remove(&save->link);
    save->done(save, error);
    text_drop(&save->member_id);
    text_drop(&save->former_id);
    free(save);
}

void group_wait(struct group *group, const struct group_save *template)
{
    struct group_save *save = mem_dup(template, sizeof *save);
    save->group = group;
    save->generation = group->generation;
    save->member_id = text_keep(template->member_id);
    save->former_id = text_keep(template->former_id);
    save->wait.done = saved;
    list_init(&save->wait.link);
    list_push_back(&group->saves, &save->link);
    if (coord_wait(group->groups->log, &save->wait)) {
        saved(&save->wait, KAFKA_NONE);
    }
}

/* ---- the join phase ---------------------------------------------------------------------------*/

int32_t group_rebalance_ms(const struct group *group)
{
    int32_t longest = 0;
    map_each (node, &group->members) {
        const struct group_member *member = container_of(node, struct group_member, node);
        longest = member->rebalance_ms > longest ? member->rebalance_ms : longest;
    }
    return longest;
}

static void set_timer(struct group *group, int32_t delay_ms)
{
    timer_set_in(&group->timer, (uint64_t)max_i64(delay_ms, 0) * NS_PER_MS);
}

static bool all_have_joined(const struct group *group)
{
    return group->n_awaiting_join == group->members.n && group->pending.n == 0;
}

/* Dynamic members that have not joined in time are out. */
static void remove_absent(struct group *group)
{
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        if (member->join == NULL && member->instance_id.data == NULL) {
            member_free(member);
        }
    }
}

/* The leader has to be somebody who has joined. False: nobody has. */
static bool elect_leader(struct group *group)
{
    if (group->leader != NULL && group->leader->join != NULL) {
        return true;
    }
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        if (member->join != NULL) {
            group->leader = member;
            return true;
        }
    }
    return false;
}

/* The last member is gone. The log learns it; who fails to write that loses nothing: the members in
 * the log have no session. */
static void become_empty(struct group *group)
{
    group->generation++;
    free(group->protocol);
    group->protocol = NULL;
    group_learn_topics(group);
    group_move(group, GROUP_EMPTY);
    if (group->saved.data != NULL || group->n_offsets > 0) {
        group_append(group);
    }
}

static void begin_generation(struct group *group)
{
    char *protocol = text_dup(group_vote(group));
    group->generation++;
    free(group->protocol);
    group->protocol = protocol;
    group_learn_topics(group);
    group_move(group, GROUP_COMPLETING);
    group->n_pending_sync = 0;
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        member->is_new = false;
        member->pending_sync = true;
        group->n_pending_sync++;
        member_expect(member, member->session_ms);
        if (member->join != NULL) {
            member_welcome(member, member->join, member == group->leader);
            member_finish_join(member, KAFKA_NONE, member->id);
        }
    }
    set_timer(group, group_rebalance_ms(group));
}

/* Ends the join phase with those who are in. */
static void end_join(struct group *group)
{
    timer_cancel(&group->timer);
    remove_absent(group);
    if (group->members.n == 0) {
        become_empty(group);
    } else if (elect_leader(group)) {
        begin_generation(group);
    } else {
        set_timer(group, group_rebalance_ms(group)); /* static members only, all of them away */
    }
}

void group_end_join_if_complete(struct group *group)
{
    if (group->state == GROUP_PREPARING && all_have_joined(group) &&
        (!group->was_empty || group->members.n == 0)) {
        end_join(group);
    }
}

/* The delay of a first rebalance is over: once more, if somebody came meanwhile and there is time.
 * */
static void end_first_join(struct group *group)
{
    if (group->new_member_added && group->remaining_ms > 0) {
        int32_t delay_ms =
            (int32_t)min_i64(group->groups->initial_delay_ms, group->remaining_ms);
        group->new_member_added = false;
        group->remaining_ms = (int32_t)max_i64(group->remaining_ms - group->delay_ms, 0);
        group->delay_ms = delay_ms;
        set_timer(group, delay_ms);
    } else {
        end_join(group);
    }
}

/* ---- beginning --------------------------------------------------------------------------------*/

static void forget_syncs(struct group *group, bool answer)
{
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        member->pending_sync = false;
        if (answer) {
            member_set_assignment(member, bytes_of("", 0));
            if (member->sync != NULL) {
                member_expect(member, member->session_ms);
                member_finish_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
            }
        }
    }
    group->n_pending_sync = 0;
}

void group_begin_rebalance(struct group *group)
{
    bool first = group->state == GROUP_EMPTY;
    forget_syncs(group, group->state == GROUP_COMPLETING);
    timer_cancel(&group->timer);
    group_move(group, GROUP_PREPARING);
    if (first) {
        int32_t delay_ms = group->groups->initial_delay_ms;
        group->new_member_added = false;
        group->delay_ms = delay_ms;
        group->remaining_ms = (int32_t)max_i64(group_rebalance_ms(group) - (int64_t)delay_ms, 0);
        set_timer(group, delay_ms);
    } else if (all_have_joined(group)) {
        end_join(group);
    } else {
        set_timer(group, group_rebalance_ms(group));
    }
}

void group_rebalance(struct group *group)
{
    if (group->state == GROUP_PREPARING) {
        group_end_join_if_complete(group);
    } else {
        group_begin_rebalance(group);
    }
}

/* Who has been welcomed and does not sync is taken out. */
static void end_sync(struct group *group)
{
    if (group->n_pending_sync == 0) {
        return;
    }
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        if (member->pending_sync) {
            member_finish_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
            member_finish_join(member, KAFKA_UNKNOWN_MEMBER_ID, text_of(""));
            member_free(member);
        }
    }
    group_begin_rebalance(group);
    group_drop_if_gone(group);
}

void group_time_is_up(struct timer *timer)
{
    struct group *group = container_of(timer, struct group, timer);
    if (group->state == GROUP_PREPARING) {
        if (group->was_empty) {
            end_first_join(group);
        } else {
            end_join(group);
        }
        group_drop_if_gone(group);
    } else {
        end_sync(group);
    }
}
