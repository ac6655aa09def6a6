/* Offsets that came with a transaction: they count when its marker says that it was committed.
 *
 * Each producer with an open transaction has a list of them. The marker (a control batch of that
 * producer in this partition) moves them over or drops them. An offset that was committed behind
 * one, without a transaction, stays: the order in the log decides, also when compaction has taken
 * out what lay between. (Kafka 4.4: OffsetMetadataManager.replayEndTransactionMarker) */
#include "group.h"

enum { MARKER_COMMIT = 1 }; /* 0: aborted */

struct transaction {
    struct map_node node; /* in groups->transactions */
    int64_t producer_id;
    struct list offsets; /* struct pending_offset, oldest first */
};

struct pending_offset {
    struct list link;       /* in its transaction */
    struct list group_link; /* in group->pending_offsets */
    struct group *group;
    struct text topic;
    struct text metadata;
    int32_t partition;
    int64_t record_offset;
    struct offset_commit_value value;
};

static bool producer_is(const struct map_node *node, const void *id)
{
    return container_of(node, struct transaction, node)->producer_id == *(const int64_t *)id;
}

static struct transaction *find(const struct groups *groups, int64_t producer_id)
{
    struct map_node *node =
        map_find(&groups->transactions, hash_u64(groups->seed, (uint64_t)producer_id),
                 producer_is, &producer_id);
    return node ? container_of(node, struct transaction, node) : NULL;
}

static struct transaction *make(struct groups *groups, int64_t producer_id)
{
    struct transaction *t = find(groups, producer_id);
    if (t == NULL) {
        t = mem_zalloc(sizeof *t);
        t->producer_id = producer_id;
        list_init(&t->offsets);
        map_insert(&groups->transactions, &t->node,
                   hash_u64(groups->seed, (uint64_t)producer_id));
    }
    return t;
}

static void drop(struct pending_offset *p)
{
    list_remove(&p->link);
    list_remove(&p->group_link);
    text_drop(&p->topic);
    text_drop(&p->metadata);
    free(p);
}

void pending_add(struct group *group, const struct coord_record *record,
                 const struct offset_commit_key *key, const struct offset_commit_value *value)
{
    struct pending_offset *p = mem_zalloc(sizeof *p);
    p->group = group;
    p->topic = text_keep(key->topic);
    p->partition = key->partition;
    p->record_offset = record->offset;
    p->value = *value;
    p->metadata = text_keep(value->metadata);
    p->value.metadata = p->metadata;
    list_push_back(&make(group->groups, record->producer_id)->offsets, &p->link);
    list_push_back(&group->pending_offsets, &p->group_link);
}

/* The marker's key: int16 version, int16 what. */
void pending_end(struct groups *groups, const struct coord_record *marker)
{
    struct transaction *t = find(groups, marker->producer_id);
    if (t == NULL || marker->key.len < 4) {
        return;
    }
    bool commit = load_be16(marker->key.data + 2) == MARKER_COMMIT;
    list_each (it, &t->offsets) {
        struct pending_offset *p = container_of(it, struct pending_offset, link);
        struct group *group = p->group;
        if (commit) {
            const struct offset_commit_key key = { .topic = p->topic, .partition = p->partition };
            offset_put(group, &key, &p->value, p->record_offset);
        }
        drop(p);
        group_drop_if_gone(group);
    }
    map_remove(&groups->transactions, &t->node);
    free(t);
}

static bool is_of(const struct pending_offset *p, struct text topic, int32_t partition)
{
    return p->partition == partition && text_equal(p->topic, topic);
}

bool pending_has(const struct group *group, struct text topic, int32_t partition)
{
    list_each (it, &group->pending_offsets) {
        if (is_of(container_of(it, struct pending_offset, group_link), topic, partition)) {
            return true;
        }
    }
    return false;
}

void pending_remove(struct group *group, struct text topic, int32_t partition)
{
    list_each (it, &group->pending_offsets) {
        struct pending_offset *p = container_of(it, struct pending_offset, group_link);
        if (is_of(p, topic, partition)) {
            drop(p);
        }
    }
}

void pending_forget(struct group *group)
{
    list_each (it, &group->pending_offsets) {
        drop(container_of(it, struct pending_offset, group_link));
    }
}

void transactions_release(struct groups *groups)
{
    map_each (node, &groups->transactions) {
        free(container_of(node, struct transaction, node));
    }
    map_release(&groups->transactions);
}

uint64_t pending_hash(const struct groups *groups)
{
    uint64_t sum = 0;
    map_each (node, &groups->transactions) {
        const struct transaction *t = container_of(node, struct transaction, node);
        list_each (it, &t->offsets) {
            const struct pending_offset *p = container_of(it, struct pending_offset, link);
            uint64_t hash = hash_u64((uint64_t)t->producer_id, (uint64_t)p->value.offset);
            hash = hash_bytes(hash, p->group->id.data, p->group->id.len);
            hash = hash_bytes(hash, p->topic.data, p->topic.len);
            sum += hash_u64(hash, (uint32_t)p->partition);
        }
    }
    return sum;
}
