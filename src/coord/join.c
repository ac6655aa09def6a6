/* JoinGroup: becoming a member, saying something new, coming back.
 *
 * The cases, in the order in which they are told apart:
 *
 *   no member id, an instance id    a static member: it takes the place of the one that had its
 *                                   instance id before, whatever that one is doing (KIP-345)
 *   no member id                    from version 4 on it gets an id and has to come again with it
 *                                   (MEMBER_ID_REQUIRED, KIP-394), else it is a member at once
 *   an id that was given out so     a member now
 *   a member's id                   it joins the rebalance; where none is under way, and nothing is
 *                                   new, it gets the generation as it is. The leader's join always
 *                                   begins one: it has seen a change of the topics
 *
 * A static member that returns to a stable group, and does not change the choice of the protocol,
 * causes no rebalance: its new member id is saved, and the old assignment waits for its sync. From
 * version 9 on the leader is told to skip the assignment (KIP-814), before that it is not told that
 * it leads. */
#include "group.h"

#include <stdio.h>

static void refuse(struct group_join *join, enum kafka_error error, struct text member_id)
{
    join->reply->error = (int16_t)error;
    join->reply->member_id = member_id;
    join->done(join);
}

/* ---- a new id ---------------------------------------------------------------------------------*/

/* The instance id or the client id, and a random UUID in its usual form. */
static struct text make_member_id(struct groups *groups, const struct group_join *join)
{
    struct text instance = join->request->group_instance_id;
    struct text name = instance.data != NULL ? instance : join->client_id;
    uint8_t r[16];
    loop_random(groups->log->loop, r, sizeof r);
    struct uuid u = uuid_from_random(r);
    const uint8_t *b = u.bytes;
    return arena_printf(
        join->arena,
        "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        TEXT_ARG(text_head(name, GROUP_CLIENT_ID_MAX)), b[0], b[1], b[2], b[3], b[4], b[5], b[6],
        b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* ---- joining the join phase -------------------------------------------------------------------*/

/* The member waits for the end of the join phase. A join of it that waits already came over a
 * connection that it has given up. */
static void await(struct group_member *member, struct group_join *join)
{
    member_finish_join(member, KAFKA_REBALANCE_IN_PROGRESS, member->id);
    member->join = join;
    member->group->n_awaiting_join++;
}

static void add_member(struct group *group, struct group_join *join, struct text id)
{
    const struct member_identity identity = {
        .id = id,
        .instance_id = join->request->group_instance_id,
        .client_id = join->client_id,
        .client_host = join->client_host,
    };
    struct group_pending *pending = group_pending(group, id);
    if (pending != NULL) {
        pending_free(pending);
    }
    if (group->members.n == 0) {
        free(group->protocol_type);
        group->protocol_type = text_dup(join->request->protocol_type);
    }
    struct group_member *member = member_new(group, &identity);
    member_update(member, join->request, join->version);
    member->is_new = true;
    if (group->leader == NULL) {
        group->leader = member;
    }
    if (group->state == GROUP_PREPARING && group->was_empty) {
        group->new_member_added = true;
    }
    await(member, join);
    member_expect(member, NEW_MEMBER_JOIN_MS);
    group_rebalance(group);
}

static void update_member(struct group_member *member, struct group_join *join)
{
    member_update(member, join->request, join->version);
    await(member, join);
    group_rebalance(member->group);
}

/* The generation as it is; nothing is new. */
static void answer_now(struct group_member *member, struct group_join *join)
{
    bool as_leader =
        member->group->leader == member && member->group->state == GROUP_COMPLETING;
    member_welcome(member, join, as_leader);
    join->done(join);
}

/* ---- static members ---------------------------------------------------------------------------*/

static void replaced(struct group_save *save, enum kafka_error error)
{
    struct group *group = save->group;
    struct group_member *member = group_member(group, save->member_id);
    if (member == NULL || member->join == NULL || group->state != GROUP_STABLE) {
        return; /* a rebalance has begun meanwhile: the join waits for its end */
    }
    struct group_join *join = member->join;
    if (error != KAFKA_NONE) {
        member_finish_join(member, error, text_of(""));
        return;
    }
    bool leads = group->leader == member;
    bool skips = leads && save->version >= 9;
    member_welcome(member, join, skips);
    join->reply->skip_assignment = skips;
    if (leads && !skips) {
        join->reply->leader = arena_text(join->arena, save->former_id);
    }
    member_finish_join(member, KAFKA_NONE, member->id);
}

/* Saves the new member id; nobody else hears of it. */
static void replace_quietly(struct group_member *member, struct group_join *join,
                            struct text former_id)
{
    struct group *group = member->group;
    const struct group_save save = {
        .done = replaced,
        .member_id = member->id,
        .former_id = former_id,
        .version = join->version,
    };
    await(member, join);
    enum kafka_error error = group_append(group);
    if (error != KAFKA_NONE) {
        member_finish_join(member, error, text_of(""));
        return;
    }
    group_wait(group, &save);
}

static void replace_static(struct group_member *member, struct group_join *join, struct text id)
{
    struct group *group = member->group;
    struct text former_id = arena_text(join->arena, member->id);
    member_rename(member, id);
    member_update(member, join->request, join->version);
    member_expect(member, member->session_ms);
    if (group->state == GROUP_STABLE && text_is(group_vote(group), group->protocol)) {
        replace_quietly(member, join, former_id);
        return;
    }
    await(member, join);
    group_rebalance(group); /* COMPLETING: the leader assigns to the old member id */
}

/* ---- the cases --------------------------------------------------------------------------------*/

static void join_new(struct group *group, struct group_join *join)
{
    const struct join_group_request *in = join->request;
    struct text id = make_member_id(group->groups, join);
    struct group_member *before = group_instance(group, in->group_instance_id);
    if (before != NULL) {
        replace_static(before, join, id);
    } else if (in->group_instance_id.data == NULL && join->version >= 4) {
        pending_new(group, id, in->session_timeout_ms);
        refuse(join, KAFKA_MEMBER_ID_REQUIRED, id);
    } else {
        add_member(group, join, id);
    }
}

static void join_known(struct group *group, struct group_join *join)
{
    const struct join_group_request *in = join->request;
    if (in->group_instance_id.data == NULL && group_pending(group, in->member_id) != NULL) {
        add_member(group, join, in->member_id);
        return;
    }
    enum kafka_error error = group_check_member(group, in->member_id, in->group_instance_id);
    if (error != KAFKA_NONE) {
        refuse(join, error, in->member_id);
        return;
    }
    struct group_member *member = group_member(group, in->member_id);
    bool says_nothing_new = member_says(member, in);
    bool leads_stable = group->state == GROUP_STABLE && group->leader == member;
    if (group->state == GROUP_PREPARING || leads_stable || !says_nothing_new) {
        update_member(member, join);
    } else {
        answer_now(member, join);
    }
}

/* Is there a place for it? Members that have one are not counted against it. */
static bool has_place(const struct group *group, const struct group_join *join)
{
    const struct group_member *member = group_member(group, join->request->member_id);
    const struct group_member *before = group_instance(group, join->request->group_instance_id);
    size_t max = (size_t)group->groups->size_max;
    size_t held = before != NULL ? before->bytes : member != NULL ? member->bytes : 0;

    if (group->bytes - held + member_bytes(join->request) > GROUP_BYTES_MAX) {
        return false;
    }
    switch (group->state) {
    case GROUP_EMPTY:
        return true;
    case GROUP_PREPARING:
        return (member != NULL && member->join != NULL) || group->n_awaiting_join < max;
    default:
        return member != NULL || before != NULL || group->members.n < max;
    }
}

/* Who is refused is no member any more. */
static void make_way(struct group *group, struct text member_id)
{
    struct group_member *member = group_member(group, member_id);
    if (member != NULL) {
        member_finish_join(member, KAFKA_GROUP_MAX_SIZE_REACHED, text_of(""));
        member_finish_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
        member_free(member);
        group_end_join_if_complete(group);
    }
}

static enum kafka_error check_join(const struct groups *groups,
                                   const struct join_group_request *in)
{
    if (in->group_id.len == 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    if (in->session_timeout_ms < groups->session_min_ms ||
        in->session_timeout_ms > groups->session_max_ms) {
        return KAFKA_INVALID_SESSION_TIMEOUT;
    }
    const struct coord_memory *memory = groups->log->memory;
    if (memory->used + sizeof(struct group) + in->group_id.len + member_bytes(in) > memory->max) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return KAFKA_NONE;
}

void groups_join(struct groups *groups, struct group_join *join)
{
    const struct join_group_request *in = join->request;
    bool is_new = in->member_id.len == 0;
    enum kafka_error error = check_join(groups, in);
    if (error != KAFKA_NONE) {
        refuse(join, error, in->member_id);
        return;
    }
    struct group *group =
        is_new ? groups_make(groups, in->group_id) : groups_find(groups, in->group_id);
    if (group == NULL) {
        refuse(join, KAFKA_UNKNOWN_MEMBER_ID, in->member_id);
        return;
    }
    if (!has_place(group, join)) {
        make_way(group, in->member_id);
        refuse(join, KAFKA_GROUP_MAX_SIZE_REACHED, text_of(""));
    } else if (!group_supports(group, in->protocol_type, in->protocols, in->n_protocols)) {
        refuse(join, KAFKA_INCONSISTENT_GROUP_PROTOCOL, in->member_id);
    } else if (is_new) {
        join_new(group, join);
    } else {
        join_known(group, join);
    }
    group_drop_if_gone(group);
}
