/* SyncGroup, Heartbeat, LeaveGroup: what members of a generation say.
 *
 * The leader's sync brings everybody's assignment: it is written to the log, and when that is
 * committed everybody who waits gets theirs and the group is stable. Who syncs later gets it at
 * once. If it cannot be written, all are sent into another rebalance. */
#include "group.h"

/* ---- SyncGroup --------------------------------------------------------------------------------*/

static void answer(struct group_sync *sync, enum kafka_error error)
{
    sync->reply->error = (int16_t)error;
    sync->done(sync);
}

static bool differs(struct text said, const char *is)
{
    return said.data != NULL && is != NULL && !text_is(said, is);
}

static enum kafka_error check_sync(const struct group *group, const struct sync_group_request *in)
{
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (in->generation != group->generation) {
        return KAFKA_ILLEGAL_GENERATION;
    }
    if (differs(in->protocol_type, group->protocol_type) ||
        differs(in->protocol_name, group->protocol)) {
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    }
    return group->state == GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static void synced(struct group_member *member)
{
    struct group *group = member->group;
    group->n_pending_sync -= member->pending_sync;
    member->pending_sync = false;
    if (group->n_pending_sync == 0) {
        timer_cancel(&group->timer);
    }
}

/* The assignment could not be written: all who wait are told, and come again. */
static void fail_sync(struct group *group, enum kafka_error error)
{
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        if (member->sync != NULL) {
            member_expect(member, member->session_ms);
            member_finish_sync(member, error);
        }
    }
    group_begin_rebalance(group);
}

static void assignment_saved(struct group_save *save, enum kafka_error error)
{
    struct group *group = save->group;
    if (group->state != GROUP_COMPLETING || group->generation != save->generation) {
        return; /* another rebalance has begun meanwhile */
    }
    if (error != KAFKA_NONE) {
        fail_sync(group, error);
        return;
    }
    group_move(group, GROUP_STABLE);
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        if (member->sync != NULL) {
            member_expect(member, member->session_ms);
            member_finish_sync(member, KAFKA_NONE);
        }
    }
}

static void take_assignments(struct group *group, const struct sync_group_request *in)
{
    map_each (node, &group->members) {
        member_set_assignment(container_of(node, struct group_member, node), bytes_of("", 0));
    }
    for (int32_t i = 0; i < in->n_assignments; i++) {
        struct group_member *member = group_member(group, in->assignments[i].member_id);
        if (member != NULL) {
            member_set_assignment(member, in->assignments[i].assignment);
        }
    }
}

static bool fits(const struct sync_group_request *in)
{
    size_t sum = 0;
    for (int32_t i = 0; i < in->n_assignments; i++) {
        sum += in->assignments[i].assignment.len;
    }
    return sum <= GROUP_BYTES_MAX;
}

static void lead(struct group *group, const struct sync_group_request *in)
{
    const struct group_save save = { .done = assignment_saved };
    take_assignments(group, in);
    enum kafka_error error = fits(in) ? group_append(group) : KAFKA_UNKNOWN_SERVER_ERROR;
    if (error != KAFKA_NONE) {
        take_assignments(group, &sync_group_request_default);
        fail_sync(group, error);
    } else {
        group_wait(group, &save);
    }
}

void groups_sync(struct groups *groups, struct group_sync *sync)
{
    const struct sync_group_request *in = sync->request;
    struct group *group = groups_find(groups, in->group_id);
    if (in->group_id.len == 0) {
        answer(sync, KAFKA_INVALID_GROUP_ID);
        return;
    }
    if (group == NULL || group->state == GROUP_EMPTY) {
        answer(sync, KAFKA_UNKNOWN_MEMBER_ID);
        return;
    }
    enum kafka_error error = check_sync(group, in);
    if (error != KAFKA_NONE) {
        answer(sync, error);
        return;
    }
    struct group_member *member = group_member(group, in->member_id);
    bool leads_now = group->leader == member && group->state == GROUP_COMPLETING;
    synced(member);
    member_finish_sync(member, KAFKA_REBALANCE_IN_PROGRESS); /* of a connection it has given up */
    member->sync = sync;
    if (group->state == GROUP_STABLE) {
        member_finish_sync(member, KAFKA_NONE);
    } else if (leads_now) {
        lead(group, in);
    }
}

/* ---- Heartbeat --------------------------------------------------------------------------------*/

enum kafka_error groups_heartbeat(struct groups *groups, const struct heartbeat_request *in)
{
    struct group *group = groups_find(groups, in->group_id);
    if (in->group_id.len == 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    if (group == NULL) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (in->generation != group->generation) {
        return KAFKA_ILLEGAL_GENERATION;
    }
    struct group_member *member = group_member(group, in->member_id);
    member_expect(member, member->session_ms);
    return group->state == GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

/* ---- LeaveGroup -------------------------------------------------------------------------------*/

static void remove_member(struct group_member *member)
{
    member_finish_join(member, KAFKA_UNKNOWN_MEMBER_ID, text_of(""));
    member_finish_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
    member_free(member);
}

/* An operator removes static members by their instance ids, without a member id. */
static enum kafka_error leave(struct group *group, const struct leave_group_request_member *who)
{
    struct group_pending *pending = group_pending(group, who->member_id);
    if (who->member_id.len == 0) {
        struct group_member *member = group_instance(group, who->group_instance_id);
        if (member == NULL) {
            return KAFKA_UNKNOWN_MEMBER_ID;
        }
        remove_member(member);
        return KAFKA_NONE;
    }
    if (pending != NULL) {
        pending_free(pending);
        return KAFKA_NONE;
    }
    enum kafka_error error = group_check_member(group, who->member_id, who->group_instance_id);
    if (error == KAFKA_NONE) {
        remove_member(group_member(group, who->member_id));
    }
    return error;
}

enum kafka_error groups_leave(struct groups *groups, struct text group_id,
                              const struct leave_group_request_member *members, size_t n,
                              struct leave_group_response_member *results)
{
    struct group *group = groups_find(groups, group_id);
    bool somebody_left = false;
    if (group_id.len == 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    if (group == NULL) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    size_t n_members = group->members.n;
    for (size_t i = 0; i < n; i++) {
        enum kafka_error error = leave(group, &members[i]);
        results[i].error = (int16_t)error;
        somebody_left = somebody_left || error == KAFKA_NONE;
    }
    bool stood = group->state == GROUP_STABLE || group->state == GROUP_COMPLETING;
    if (stood && group->members.n < n_members) {
        group_begin_rebalance(group);
    } else if (somebody_left) {
        group_end_join_if_complete(group);
    }
    group_drop_if_gone(group);
    return KAFKA_NONE;
}
