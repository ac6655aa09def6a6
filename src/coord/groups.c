/* All groups of a partition: what the log says of them, and how that comes to life.
 *
 * While the log is read only groups_apply() runs: it keeps the bytes of each group's last record
 * and the offsets. groups_loaded() then makes the members out of those bytes and starts their
 * timers. From there on the same function applies what this coordinator itself appends, and the
 * members are ahead of what is saved. */
#include "group.h"

#include <inttypes.h>

const struct state GROUP_STATES[] = {
    [GROUP_EMPTY] = { .name = "Empty", .next = STATE(GROUP_PREPARING), .initial = true },
    [GROUP_PREPARING] = {
        .name = "PreparingRebalance",
        .next = STATE(GROUP_COMPLETING) | STATE(GROUP_EMPTY),
    },
    [GROUP_COMPLETING] = {
        .name = "CompletingRebalance",
        .next = STATE(GROUP_STABLE) | STATE(GROUP_PREPARING),
    },
    [GROUP_STABLE] = { .name = "Stable", .next = STATE(GROUP_PREPARING), .initial = true },
};

struct text text_keep(struct text t)
{
    return t.data != NULL ? text_part(mem_dup(t.data, t.len), t.len) : TEXT_NULL;
}

/* ---- finding and making -----------------------------------------------------------------------*/

static bool id_is(const struct map_node *node, const void *id)
{
    return text_equal(container_of(node, struct group, node)->id, *(const struct text *)id);
}

struct group *groups_find(const struct groups *groups, struct text id)
{
    struct map_node *node = map_find(&groups->map, groups_hash_text(groups, id), id_is, &id);
    return node ? container_of(node, struct group, node) : NULL;
}

void group_hold(struct group *group, size_t bytes)
{
    group->bytes += bytes;
    group->groups->log->memory->used += bytes;
}

void group_let_go(struct group *group, size_t bytes)
{
    group->bytes -= bytes;
    group->groups->log->memory->used -= bytes;
}

struct group *groups_make(struct groups *groups, struct text id)
{
    struct group *group = groups_find(groups, id);
    if (group != NULL) {
        return group;
    }
    group = mem_zalloc(sizeof *group);
    group->groups = groups;
    group->id = text_keep(id);
    group->state_since_ms = -1;
    map_init(&group->topics);
    map_init(&group->members);
    map_init(&group->instances);
    map_init(&group->pending);
    list_init(&group->saves);
    list_init(&group->pending_offsets);
    arena_init(&group->subscriptions, 0);
    timer_init(&group->timer, groups->log->loop, group_time_is_up);
    state_start(GROUP_STATES, &group->state, GROUP_EMPTY, group);
    map_insert(&groups->map, &group->node, groups_hash_text(groups, group->id));
    group_hold(group, sizeof *group + id.len);
    return group;
}

static void group_free(struct group *group)
{
    struct list *it;
    map_each (node, &group->members) {
        struct group_member *member = container_of(node, struct group_member, node);
        member_finish_join(member, KAFKA_NOT_COORDINATOR, member->id);
        member_finish_sync(member, KAFKA_NOT_COORDINATOR);
        member_free(member);
    }
    map_each (node, &group->pending) {
        pending_free(container_of(node, struct group_pending, node));
    }
    while ((it = list_pop_front(&group->saves)) != NULL) {
        struct group_save *save = container_of(it, struct group_save, link);
        coord_wait_cancel(&save->wait);
        text_drop(&save->member_id);
        text_drop(&save->former_id);
        free(save);
    }
    offsets_free(group);
    pending_forget(group);
    expire_group_gone(group->groups, group);
    group_let_go(group, sizeof *group + group->id.len);
    check(group->bytes == 0);
    map_remove(&group->groups->map, &group->node);
    timer_cancel(&group->timer);
    map_release(&group->topics);
    map_release(&group->members);
    map_release(&group->instances);
    map_release(&group->pending);
    arena_release(&group->subscriptions);
    free(group->subscribed);
    text_drop(&group->id);
    free((uint8_t *)group->saved.data);
    free(group->protocol_type);
    free(group->protocol);
    free(group);
}

bool group_drop_if_gone(struct group *group)
{
    bool gone = group->saved.data == NULL && group->n_offsets == 0 && group->members.n == 0 &&
                group->pending.n == 0 && group->state == GROUP_EMPTY && list_empty(&group->saves) &&
                list_empty(&group->pending_offsets);
    if (gone) {
        group_free(group);
    }
    return gone;
}

void group_move(struct group *group, enum group_state state)
{
    group->was_empty = group->state == GROUP_EMPTY;
    state_move(GROUP_STATES, &group->state, state, group);
    group->state_since_ms = loop_wall_ms(group->groups->log->loop);
}

/* ---- applying the log -------------------------------------------------------------------------*/

static void apply_group(struct groups *groups, const struct coord_record *record)
{
    struct group_metadata_key key;
    if (!coord_decode(&coord_group_metadata_key, 0, record->key, &groups->scratch, &key)) {
        return;
    }
    struct group *group =
        record->value.data ? groups_make(groups, key.group) : groups_find(groups, key.group);
    if (group == NULL) {
        return;
    }
    free((uint8_t *)group->saved.data);
    group->saved = bytes_of(NULL, 0);
    if (record->value.data != NULL) {
        group->saved =
            bytes_of(mem_dup(record->value.data, record->value.len), record->value.len);
        return;
    }
    if (group->state == GROUP_EMPTY) { /* what may be left is a simple group */
        free(group->protocol_type);
        group->protocol_type = NULL;
        group->generation = 0;
    }
    group_drop_if_gone(group);
}

void groups_apply(void *state, const struct coord_record *record)
{
    struct groups *groups = state;
    if (record->key.data == NULL) {
        return;
    }
    if (record->control) {
        pending_end(groups, record);
        return;
    }
    arena_reset(&groups->scratch);
    switch (coord_record_kind(record->key)) {
    case 0:
    case 1:
        offsets_apply(groups, record);
        break;
    case 2:
        apply_group(groups, record);
        break;
    default: /* of a newer kind of group: not ours */
        break;
    }
}

/* A sum, since the order in which groups were met depends on what was compacted away. */
uint64_t groups_hash(const void *state)
{
    const struct groups *groups = state;
    uint64_t sum = pending_hash(groups);
    map_each (node, &groups->map) {
        const struct group *group = container_of(node, struct group, node);
        uint64_t id = hash_bytes(0, group->id.data, group->id.len);
        if (group->saved.data != NULL) {
            sum += hash_bytes(id, group->saved.data, group->saved.len);
        }
        sum += offsets_hash(group);
    }
    return sum;
}

/* ---- coming to life ---------------------------------------------------------------------------*/

static void revive_member(struct group *group, const struct group_metadata_value *value,
                          const struct group_metadata_value_member *from)
{
    const struct member_identity identity = {
        .id = from->member_id,
        .instance_id = from->group_instance_id,
        .client_id = from->client_id,
        .client_host = from->client_host,
    };
    if (group_member(group, from->member_id) != NULL ||
        group_instance(group, from->group_instance_id) != NULL) {
        return; /* twice in one record: nobody writes that */
    }
    struct group_member *member = member_new(group, &identity);
    const struct group_protocol protocol = {
        .name = value->protocol.data != NULL ? value->protocol : text_of(""),
        .metadata = from->subscription,
    };
    member->session_ms = from->session_timeout;
    member->rebalance_ms =
        from->rebalance_timeout >= 0 ? from->rebalance_timeout : from->session_timeout;
    member_set_protocols(member, &protocol, 1);
    member_set_assignment(member, from->assignment);
    member_expect(member, member->session_ms);
    if (text_equal(member->id, value->leader)) {
        group->leader = member;
    }
}

static void revive(struct group *group)
{
    struct groups *groups = group->groups;
    struct group_metadata_value value;
    int32_t version = coord_record_kind(group->saved);

    arena_reset(&groups->scratch);
    if (version < 0 || !coord_decode(&coord_group_metadata_value, (int16_t)version, group->saved,
                                     &groups->scratch, &value)) {
        diag_warn(groups->log->diag, DIAG_COORD,
                  "the record of a group cannot be read: its members join anew group=%.*s "
                  "version=%" PRId32,
                  TEXT_ARG(group->id), version);
        return;
    }
    group->generation = value.generation;
    group->state_since_ms = value.current_state_timestamp;
    if (value.protocol_type.len > 0) {
        group->protocol_type = text_dup(value.protocol_type);
    }
    if (value.n_members > 0) {
        group->protocol = text_dup(value.protocol.data ? value.protocol : text_of(""));
        state_start(GROUP_STATES, &group->state, GROUP_STABLE, group);
    }
    for (int32_t i = 0; i < value.n_members; i++) {
        revive_member(group, &value, &value.members[i]);
    }
    if (group->leader == NULL && group->members.n > 0) {
        group->leader = container_of(map_first(&group->members), struct group_member, node);
    }
    group_learn_topics(group);
}

void groups_loaded(void *state)
{
    struct groups *groups = state;
    struct config_layers config = coord_config(groups->log);

    groups->retention_ms = config_number(&config, "offsets.retention.minutes") * 60000;
    groups->check_interval_ns =
        (uint64_t)config_number(&config, "offsets.retention.check.interval.ms") * NS_PER_MS;
    groups->initial_delay_ms = (int32_t)config_number(&config, "group.initial.rebalance.delay.ms");
    groups->size_max = (int32_t)config_number(&config, "group.max.size");
    groups->metadata_max = (int32_t)max_i64(0, config_number(&config, "offset.metadata.max.bytes"));
    groups->session_min_ms = (int32_t)config_number(&config, "group.min.session.timeout.ms");
    groups->session_max_ms = (int32_t)config_number(&config, "group.max.session.timeout.ms");
    map_each (node, &groups->map) {
        struct group *group = container_of(node, struct group, node);
        if (group->saved.data != NULL) {
            revive(group);
        }
        if (group->members.n > (size_t)groups->size_max) {
            group_begin_rebalance(group); /* the limit is lower than it was */
        }
    }
    expire_start(groups);
}

/* ---- life -------------------------------------------------------------------------------------*/

void *groups_new(struct coord_log *log)
{
    struct groups *groups = mem_zalloc(sizeof *groups);
    groups->log = log;
    loop_random(log->loop, &groups->seed, sizeof groups->seed);
    map_init(&groups->map);
    map_init(&groups->transactions);
    arena_init(&groups->scratch, 0);
    expire_init(groups);
    return groups;
}

void groups_free(void *state)
{
    struct groups *groups = state;
    expire_release(groups);
    map_each (node, &groups->map) {
        group_free(container_of(node, struct group, node));
    }
    map_release(&groups->map);
    transactions_release(groups);
    arena_release(&groups->scratch);
    free(groups);
}

struct coord_log *groups_log(struct groups *groups)
{
    return groups->log;
}
