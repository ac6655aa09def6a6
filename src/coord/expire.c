/* What goes by itself: offsets of groups without members after offsets.retention.minutes, offsets
 * of deleted topics, and groups of which nothing else is left.
 *
 * A pass over all groups begins every offsets.retention.check.interval.ms and when a topic is
 * deleted. It looks at some thousand offsets and goes on in the next turn of the loop; what has to
 * go is appended as tombstones. A pass that cannot append ends: the next one finds the same.
 *
 * When an offset expires: at the time that its commit named (OffsetCommit 2 to 4), if any. Else the
 * retention after the group lost its last member; in a simple group after the commit; in a stable
 * group of consumers after the commit, and only in topics that nobody subscribes to any more. */
#include "group.h"

#include <chronik/meta/image.h>

enum { PER_TURN = 5000 /* offsets and groups */ };

/* ---- what has to go ---------------------------------------------------------------------------*/

static bool topic_was_deleted(const struct groups *groups, const struct offset_topic *topic,
                              const struct committed *c)
{
    for (size_t i = 0; i < groups->n_deleted; i++) {
        const struct deleted_topic *deleted = &groups->deleted[i];
        if (uuid_is_zero(&c->topic_id) ? text_is(topic->name, deleted->name)
                                       : uuid_equal(&c->topic_id, &deleted->id)) {
            return true;
        }
    }
    return false;
}

/* Since when the retention runs, or -1: it does not. */
static int64_t idle_since_ms(const struct group *group, const struct committed *c)
{
    if (group->protocol_type == NULL) {
        return group->members.n + group->pending.n == 0 ? c->committed_ms : -1;
    }
    if (group->state == GROUP_EMPTY) {
        return group->state_since_ms >= 0 ? group->state_since_ms : c->committed_ms;
    }
    return group->state == GROUP_STABLE && group->topics_known ? c->committed_ms : -1;
}

static bool is_expired(const struct group *group, const struct offset_topic *topic,
                       const struct committed *c, int64_t now_ms)
{
    int64_t since_ms = idle_since_ms(group, c);
    if (since_ms < 0 || group_subscribes(group, topic->name)) {
        return false;
    }
    return c->expires_ms >= 0 ? now_ms >= c->expires_ms
                              : now_ms - since_ms >= group->groups->retention_ms;
}

static void look_at_topic(const struct group *group, const struct offset_topic *topic,
                          int64_t now_ms, struct coord_batch *batch)
{
    const struct groups *groups = group->groups;
    const struct image_topic *now = image_topic(coord_image(groups->log), topic->name);
    map_each (node, &topic->partitions) {
        const struct committed *c = container_of(node, struct committed, node);
        bool idle = is_expired(group, topic, c, now_ms) &&
                    !pending_has(group, topic->name, c->partition);
        if (idle || offset_is_stale(now, c) || topic_was_deleted(groups, topic, c)) {
            offset_put_tombstone(batch, group->id, topic->name, c->partition);
        }
    }
}

/* The tombstones of a group: its offsets, and itself when all of them go. */
static void look_at_group(const struct group *group, int64_t now_ms, struct coord_batch *batch)
{
    size_t before = batch->n;
    map_each (node, &group->topics) {
        look_at_topic(group, container_of(node, struct offset_topic, node), now_ms, batch);
    }
    if (batch->n - before == group->n_offsets && group->state == GROUP_EMPTY &&
        group->saved.data != NULL && group->pending.n == 0 &&
        list_empty(&group->pending_offsets)) {
        group_put_tombstone(batch, group->id);
    }
}

/* ---- passes -----------------------------------------------------------------------------------*/

static void forget_deleted(struct groups *groups)
{
    for (size_t i = 0; i < groups->n_deleted; i++) {
        free(groups->deleted[i].name);
    }
    groups->n_deleted = 0;
}

static void end_pass(struct groups *groups, bool complete)
{
    groups->cursor = NULL;
    if (complete) {
        forget_deleted(groups);
    }
    timer_set_in(&groups->expire, groups->check_interval_ns);
}

/* Cut into batches, so that no record batch grows without end. */
static bool append_all(struct groups *groups, const struct coord_batch *batch)
{
    enum { PER_BATCH = 1000 };
    for (size_t at = 0; at < batch->n; at += PER_BATCH) {
        struct coord_batch part = *batch;
        part.records = batch->records + at;
        part.n = batch->n - at < PER_BATCH ? batch->n - at : PER_BATCH;
        if (coord_append(groups->log, &part) != KAFKA_NONE) {
            return false;
        }
    }
    return true;
}

static void pass(struct timer *timer)
{
    struct groups *groups = container_of(timer, struct groups, expire);
    struct coord_batch batch = { 0 };
    int64_t now_ms = loop_wall_ms(groups->log->loop);
    size_t looked = 0;

    if (groups->cursor == NULL) {
        groups->cursor = map_first(&groups->map);
    }
    while (groups->cursor != NULL && looked < PER_TURN) {
        const struct group *group = container_of(groups->cursor, struct group, node);
        groups->cursor = map_next(&groups->map, groups->cursor);
        looked += 1 + group->n_offsets;
        look_at_group(group, now_ms, &batch);
    }
    bool appended = append_all(groups, &batch);
    coord_batch_release(&batch);
    if (!appended || groups->cursor == NULL) {
        end_pass(groups, appended);
    } else {
        timer_set_in(timer, 0);
    }
}

void groups_topic_deleted(void *state, const struct image_topic *topic)
{
    struct groups *groups = state;
    groups->deleted = mem_grow(groups->deleted, &groups->deleted_cap, groups->n_deleted + 1,
                               sizeof *groups->deleted);
    groups->deleted[groups->n_deleted++] =
        (struct deleted_topic){ .id = topic->id, .name = mem_strdup(topic->name) };
    groups->cursor = NULL; /* from the beginning */
    timer_set_in(&groups->expire, 0);
}

/* ---- life -------------------------------------------------------------------------------------*/

void expire_init(struct groups *groups)
{
    timer_init(&groups->expire, groups->log->loop, pass);
}

void expire_start(struct groups *groups)
{
    timer_set_in(&groups->expire, groups->check_interval_ns);
}

void expire_release(struct groups *groups)
{
    timer_cancel(&groups->expire);
    groups->cursor = NULL;
    forget_deleted(groups);
    free(groups->deleted);
}

void expire_group_gone(struct groups *groups, struct group *group)
{
    if (groups->cursor == &group->node) {
        groups->cursor = map_next(&groups->map, &group->node);
    }
}
