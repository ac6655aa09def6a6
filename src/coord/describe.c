/* Groups as administrators see them: listed, described, deleted. */
#include "group.h"

void groups_each(const struct groups *groups,
                 void (*visit)(void *arg, const struct group_listing *listing), void *arg)
{
    map_each (node, &groups->map) {
        const struct group *group = container_of(node, struct group, node);
        const struct group_listing listing = {
            .id = group->id,
            .protocol_type = text_of(group->protocol_type ? group->protocol_type : ""),
            .state = GROUP_STATES[group->state].name,
        };
        visit(arg, &listing);
    }
}

static struct bytes keep(struct arena *arena, struct bytes bytes)
{
    return bytes_of(arena_dup(arena, bytes.data, bytes.len), bytes.len);
}

static struct text keep_text(struct arena *arena, struct text t)
{
    return arena_text(arena, t.data != NULL ? t : text_of(""));
}

/* What members say, and have, is shown while it is settled. */
static void describe_member(const struct group_member *member, struct arena *arena,
                            struct describe_groups_response_member *to)
{
    const struct group *group = member->group;
    bool settled = group->state == GROUP_STABLE;
    *to = describe_groups_response_member_default;
    to->member_id = keep_text(arena, member->id);
    if (member->instance_id.data != NULL) {
        to->group_instance_id = keep_text(arena, member->instance_id);
    }
    to->client_id = keep_text(arena, member->client_id);
    to->client_host = keep_text(arena, member->client_host);
    if (settled) {
        to->member_metadata = keep(arena, member_metadata(member, group->protocol));
        to->member_assignment = keep(arena, member->assignment);
    }
}

bool groups_describe(const struct groups *groups, struct text group_id, struct arena *arena,
                     struct describe_groups_response_group *ret_group)
{
    const struct group *group = groups_find(groups, group_id);
    if (group == NULL) {
        return false;
    }
    ret_group->group_state = text_of(GROUP_STATES[group->state].name);
    ret_group->protocol_type = keep_text(arena, text_of(group->protocol_type));
    ret_group->protocol_data =
        keep_text(arena, group->state == GROUP_STABLE ? text_of(group->protocol) : TEXT_NULL);
    ret_group->members = arena_zalloc_array(arena, group->members.n, sizeof *ret_group->members);
    map_each (node, &group->members) {
        describe_member(container_of(node, struct group_member, node), arena,
                        &ret_group->members[ret_group->n_members++]);
    }
    return true;
}

enum kafka_error groups_delete(struct groups *groups, struct text group_id)
{
    const struct group *group = groups_find(groups, group_id);
    struct coord_batch batch = { 0 };
    if (group == NULL) {
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (group->state != GROUP_EMPTY) {
        return KAFKA_NON_EMPTY_GROUP;
    }
    map_each (topic_node, &group->topics) {
        const struct offset_topic *topic = container_of(topic_node, struct offset_topic, node);
        map_each (node, &topic->partitions) {
            offset_put_tombstone(&batch, group_id, topic->name,
                                 container_of(node, struct committed, node)->partition);
        }
    }
    if (group->saved.data != NULL) {
        group_put_tombstone(&batch, group_id);
    }
    enum kafka_error error = coord_append(groups->log, &batch);
    coord_batch_release(&batch);
    return error;
}
