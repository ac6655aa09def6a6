/* Committed offsets: what a group has read, by topic and partition.
 *
 * Offsets need no members: a consumer that assigns partitions to itself commits to a "simple"
 * group, which exists as long as it has offsets. A member commits in its generation, or is told
 * what is wrong with it.
 *
 * Each offset remembers the id of its topic. When the topic is deleted its offsets go, too; and
 * where that was missed, an offset whose id is not that of the topic of this name is as good as
 * none.
 *
 * An offset that came with a transaction (TxnOffsetCommit) counts from the marker on that commits
 * it; until then it is pending, and readers that require stable offsets are told so. */
#include "group.h"

#include <chronik/meta/image.h>

/* ---- keeping ----------------------------------------------------------------------------------*/

static bool name_is(const struct map_node *node, const void *name)
{
    return text_equal(container_of(node, struct offset_topic, node)->name,
                      *(const struct text *)name);
}

static bool partition_is(const struct map_node *node, const void *partition)
{
    return container_of(node, struct committed, node)->partition == *(const int32_t *)partition;
}

static struct offset_topic *find_topic(const struct group *group, struct text name)
{
    struct map_node *node =
        map_find(&group->topics, groups_hash_text(group->groups, name), name_is, &name);
    return node ? container_of(node, struct offset_topic, node) : NULL;
}

static uint64_t hash_partition(const struct groups *groups, int32_t partition)
{
    return hash_u64(groups->seed, (uint32_t)partition);
}

static struct committed *find_offset(const struct group *group, const struct offset_topic *topic,
                                     int32_t partition)
{
    struct map_node *node =
        topic != NULL ? map_find(&topic->partitions, hash_partition(group->groups, partition),
                                 partition_is, &partition)
                      : NULL;
    return node ? container_of(node, struct committed, node) : NULL;
}

static struct offset_topic *make_topic(struct group *group, struct text name)
{
    struct offset_topic *topic = find_topic(group, name);
    if (topic == NULL) {
        topic = mem_zalloc(sizeof *topic);
        topic->name = text_keep(name);
        map_init(&topic->partitions);
        map_insert(&group->topics, &topic->node, groups_hash_text(group->groups, name));
    }
    return topic;
}

static void remove_offset(struct group *group, struct offset_topic *topic, int32_t partition)
{
    struct committed *committed = find_offset(group, topic, partition);
    if (committed == NULL) {
        return;
    }
    map_remove(&topic->partitions, &committed->node);
    free(committed);
    group->n_offsets--;
    if (topic->partitions.n == 0) {
        map_remove(&group->topics, &topic->node);
        map_release(&topic->partitions);
        text_drop(&topic->name);
        free(topic);
    }
}

/* In the memory of what was there, if that is of the right size. */
void offset_put(struct group *group, const struct offset_commit_key *key,
                const struct offset_commit_value *value, int64_t record_offset)
{
    struct offset_topic *topic = make_topic(group, key->topic);
    struct committed *committed = find_offset(group, topic, key->partition);
    size_t len = value->metadata.len;
    if (committed != NULL && committed->record_offset > record_offset) {
        return;
    }
    if (committed != NULL && committed->metadata_len != len) {
        map_remove(&topic->partitions, &committed->node);
        free(committed);
        group->n_offsets--;
        committed = NULL;
    }
    if (committed == NULL) {
        committed = mem_zalloc(sizeof *committed + len);
        committed->partition = key->partition;
        committed->metadata_len = (uint32_t)len;
        map_insert(&topic->partitions, &committed->node,
                   hash_partition(group->groups, key->partition));
        group->n_offsets++;
    }
    committed->offset = value->offset;
    committed->leader_epoch = value->leader_epoch;
    committed->committed_ms = value->commit_timestamp;
    committed->expires_ms = value->expire_timestamp;
    committed->topic_id = value->topic_id;
    committed->record_offset = record_offset;
    memcpy(committed->metadata, value->metadata.data, len);
}

void offsets_apply(struct groups *groups, const struct coord_record *record)
{
    struct offset_commit_key key;
    struct offset_commit_value value;
    int32_t version = coord_record_kind(record->value);

    if (!coord_decode(&coord_offset_commit_key, 0, record->key, &groups->scratch, &key)) {
        return;
    }
    if (record->value.data == NULL) {
        struct group *group = groups_find(groups, key.group);
        if (group != NULL) {
            pending_remove(group, key.topic, key.partition);
            remove_offset(group, find_topic(group, key.topic), key.partition);
            group_drop_if_gone(group);
        }
        return;
    }
    if (!coord_decode(&coord_offset_commit_value, (int16_t)version, record->value,
                      &groups->scratch, &value)) {
        return;
    }
    struct group *group = groups_make(groups, key.group);
    if (record->transactional) {
        pending_add(group, record, &key, &value);
    } else {
        offset_put(group, &key, &value, record->offset);
    }
}

void offsets_free(struct group *group)
{
    map_each (topic_node, &group->topics) {
        struct offset_topic *topic = container_of(topic_node, struct offset_topic, node);
        map_each (node, &topic->partitions) {
            free(container_of(node, struct committed, node));
        }
        map_release(&topic->partitions);
        text_drop(&topic->name);
        free(topic);
    }
}

static uint64_t hash_offset(uint64_t seed, const struct committed *c)
{
    const uint64_t facts[] = {
        (uint32_t)c->partition,     (uint64_t)c->offset,       (uint32_t)c->leader_epoch,
        (uint64_t)c->committed_ms, (uint64_t)c->expires_ms,
    };
    uint64_t hash = hash_bytes(seed, facts, sizeof facts);
    hash = hash_bytes(hash, c->topic_id.bytes, sizeof c->topic_id.bytes);
    return hash_bytes(hash, c->metadata, c->metadata_len);
}

uint64_t offsets_hash(const struct group *group)
{
    uint64_t sum = 0, id = hash_bytes(1, group->id.data, group->id.len);
    map_each (topic_node, &group->topics) {
        const struct offset_topic *topic = container_of(topic_node, struct offset_topic, node);
        uint64_t seed = hash_bytes(id, topic->name.data, topic->name.len);
        map_each (node, &topic->partitions) {
            sum += hash_offset(seed, container_of(node, struct committed, node));
        }
    }
    return sum;
}

bool offset_is_stale(const struct image_topic *now, const struct committed *committed)
{
    return now != NULL && !uuid_is_zero(&committed->topic_id) &&
           !uuid_equal(&committed->topic_id, &now->id);
}

/* ---- records ----------------------------------------------------------------------------------*/

void offset_put_tombstone(struct coord_batch *batch, struct text group_id, struct text topic,
                          int32_t partition)
{
    const struct offset_commit_key key = {
        .group = group_id, .topic = topic, .partition = partition
    };
    coord_batch_add(batch, &coord_offset_commit_key, &key, NULL, 0, NULL);
}

void group_put_tombstone(struct coord_batch *batch, struct text group_id)
{
    const struct group_metadata_key key = { .group = group_id };
    coord_batch_add(batch, &coord_group_metadata_key, &key, NULL, 0, NULL);
}

static void put_commit(struct coord_batch *batch, const struct group_commit *commit,
                       const struct group_offset *offset, int64_t now_ms)
{
    enum { PLAIN = 4, WITH_EXPIRY = 1 }; /* versions that Kafka 4.4 writes */
    bool expires = commit->retention_ms >= 0;
    const struct offset_commit_key key = { .group = commit->group_id,
                                           .topic = offset->topic,
                                           .partition = offset->partition };
    struct offset_commit_value value = offset_commit_value_default;
    value.offset = offset->offset;
    value.leader_epoch = offset->leader_epoch;
    value.metadata = offset->metadata.data != NULL ? offset->metadata : text_of("");
    value.commit_timestamp = now_ms;
    value.topic_id = offset->topic_id;
    if (expires) {
        value.expire_timestamp =
            commit->retention_ms < INT64_MAX - now_ms ? now_ms + commit->retention_ms : INT64_MAX;
    }
    coord_batch_add(batch, &coord_offset_commit_key, &key, &coord_offset_commit_value,
                    expires ? WITH_EXPIRY : PLAIN, &value);
}

/* ---- committing -------------------------------------------------------------------------------*/

static enum kafka_error check_commit(const struct group *group, const struct group_commit *commit)
{
    bool from_member = commit->generation >= 0 || commit->member_id.len > 0 ||
                       commit->instance_id.data != NULL;
    if (group == NULL) {
        return commit->generation < 0  ? KAFKA_NONE
               : commit->version >= 9 ? KAFKA_GROUP_ID_NOT_FOUND
                                      : KAFKA_ILLEGAL_GENERATION;
    }
    if (commit->generation < 0 && group->state == GROUP_EMPTY) {
        return KAFKA_NONE;
    }
    if (!from_member) { /* from outside, into a group with members */
        return group->state == GROUP_EMPTY ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
    }
    enum kafka_error error = group_check_member(group, commit->member_id, commit->instance_id);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (commit->generation != group->generation) {
        return KAFKA_ILLEGAL_GENERATION;
    }
    return group->state == GROUP_COMPLETING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

/* UTF-16 units, as Kafka counts. */
static size_t text_units(struct text t)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++) {
        uint8_t c = (uint8_t)t.data[i];
        n += (c & 0xc0) != 0x80;
        n += c >= 0xf0;
    }
    return n;
}

enum kafka_error groups_commit(struct groups *groups, const struct group_commit *commit)
{
    struct group *group = groups_find(groups, commit->group_id);
    enum kafka_error error = check_commit(group, commit);
    struct coord_batch batch = { 0 };
    int64_t now_ms = loop_wall_ms(groups->log->loop);

    if (error != KAFKA_NONE) {
        return error;
    }
    struct group_member *member = group ? group_member(group, commit->member_id) : NULL;
    if (member != NULL) {
        member_expect(member, member->session_ms); /* a commit is a sign of life */
    }
    for (size_t i = 0; i < commit->n; i++) {
        struct text metadata = commit->offsets[i].metadata;
        bool too_large = metadata.len > INT16_MAX ||
                         text_units(metadata) > (size_t)groups->metadata_max;
        commit->errors[i] = too_large ? KAFKA_OFFSET_METADATA_TOO_LARGE : KAFKA_NONE;
        if (!too_large) {
            put_commit(&batch, commit, &commit->offsets[i], now_ms);
        }
    }
    error = coord_append(groups->log, &batch);
    coord_batch_release(&batch);
    return error;
}

/* ---- reading ----------------------------------------------------------------------------------*/

static struct group_offset view(const struct offset_topic *topic, const struct committed *c)
{
    return (struct group_offset){
        .topic = topic->name,
        .topic_id = c->topic_id,
        .partition = c->partition,
        .offset = c->offset,
        .leader_epoch = c->leader_epoch,
        .metadata = text_part(c->metadata, c->metadata_len),
    };
}

bool groups_offset_is_pending(const struct groups *groups, struct text group_id,
                              struct text topic, int32_t partition)
{
    const struct group *group = groups_find(groups, group_id);
    return group != NULL && pending_has(group, topic, partition);
}

bool groups_offset(const struct groups *groups, struct text group_id, struct text name,
                   int32_t partition, struct group_offset *ret_offset)
{
    const struct group *group = groups_find(groups, group_id);
    const struct offset_topic *topic = group ? find_topic(group, name) : NULL;
    const struct committed *c = topic ? find_offset(group, topic, partition) : NULL;
    if (c == NULL || offset_is_stale(image_topic(coord_image(groups->log), name), c)) {
        return false;
    }
    *ret_offset = view(topic, c);
    return true;
}

void groups_each_offset(const struct groups *groups, struct text group_id,
                        void (*visit)(void *arg, const struct group_offset *offset), void *arg)
{
    const struct group *group = groups_find(groups, group_id);
    if (group == NULL) {
        return;
    }
    map_each (topic_node, &group->topics) {
        const struct offset_topic *topic = container_of(topic_node, struct offset_topic, node);
        const struct image_topic *now = image_topic(coord_image(groups->log), topic->name);
        map_each (node, &topic->partitions) {
            const struct committed *c = container_of(node, struct committed, node);
            if (!offset_is_stale(now, c)) {
                struct group_offset offset = view(topic, c);
                visit(arg, &offset);
            }
        }
    }
}

/* ---- deleting ---------------------------------------------------------------------------------*/

enum kafka_error groups_delete_offsets(struct groups *groups, struct text group_id,
                                       const struct group_offset *offsets, int16_t *errors,
                                       size_t n)
{
    const struct group *group = groups_find(groups, group_id);
    struct coord_batch batch = { 0 };
    if (group_id.len == 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    if (group == NULL) {
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (group->state != GROUP_EMPTY && !group_of_consumers(group)) {
        return KAFKA_NON_EMPTY_GROUP;
    }
    for (size_t i = 0; i < n; i++) {
        const struct offset_topic *topic = find_topic(group, offsets[i].topic);
        errors[i] = KAFKA_NONE;
        if (group_subscribes(group, offsets[i].topic)) {
            errors[i] = KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
        } else if (find_offset(group, topic, offsets[i].partition) != NULL ||
                   pending_has(group, offsets[i].topic, offsets[i].partition)) {
            offset_put_tombstone(&batch, group_id, offsets[i].topic, offsets[i].partition);
        }
    }
    enum kafka_error error = coord_append(groups->log, &batch);
    coord_batch_release(&batch);
    return error;
}
