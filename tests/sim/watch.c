/* The watch over partitions; that over Raft is in watch_raft.c.
 *
 * For each replica it keeps a mirror: the batches that were seen in its log, as (base offset, last
 * offset, epoch, CRC). A mirror grows when the log's end moves, from what the log's tail says, and
 * is cut when the log is. All mirrors feed one table of contents per partition and one list of what
 * is committed. */
#include "watch_inside.h"

#include <inttypes.h>

#include "../../src/storage/state.h"

/* ---- partitions -------------------------------------------------------------------------------*/

static struct watched *find_partition(struct watch *watch, const struct partition *p)
{
    for (size_t i = 0; i < watch->n_partitions; i++) {
        struct watched *w = watch->partitions[i];
        if (w->index == p->index && uuid_equal(&w->topic, &p->topic->id)) {
            return w;
        }
    }
    struct watched *w = mem_zalloc(sizeof *w);
    w->topic = p->topic->id;
    w->index = p->index;
    w->name = mem_sprintf("%s-%" PRId32, p->topic->name, p->index);
    for (size_t i = 0; i < watch->n_lossy; i++) {
        w->lossy |= strcmp(watch->lossy[i], p->topic->name) == 0;
    }
    map_init(&w->contents);
    map_init(&w->producers);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        w->replicas[i].leads_epoch = -1;
    }
    watch->partitions = mem_grow(watch->partitions, &watch->cap_partitions, watch->n_partitions + 1,
                                 sizeof *watch->partitions);
    watch->partitions[watch->n_partitions++] = w;
    return w;
}

/* ---- contents ---------------------------------------------------------------------------------*/

struct content_key {
    int64_t base;
    int32_t epoch;
};

static bool is_content(const struct map_node *node, const void *arg)
{
    const struct content_key *key = arg;
    const struct seen_batch *b = &container_of(node, struct known_batch, node)->batch;
    return b->base == key->base && b->epoch == key->epoch;
}

/* An offset and an epoch have one content. */
static void know(struct watched *w, const struct node *node, const struct seen_batch *b)
{
    struct content_key key = { b->base, b->epoch };
    uint64_t hash = hash_u64((uint64_t)b->base, (uint64_t)b->epoch);
    struct map_node *found = map_find(&w->contents, hash, is_content, &key);
    if (found == NULL) {
        struct known_batch *known = mem_zalloc(sizeof *known);
        known->batch = *b;
        map_insert(&w->contents, &known->node, hash);
        return;
    }
    const struct seen_batch *other = &container_of(found, struct known_batch, node)->batch;
    if (other->crc != b->crc || other->last != b->last) {
        world_fail("log matching: %s offset %" PRId64 " epoch %" PRId32 " differs on n%" PRId32,
                   w->name, b->base, b->epoch, node->id);
    }
}

/* The first batch of a list that ends at or above an offset. */
static size_t list_find(const struct batch_list *list, int64_t offset)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->items[middle].last < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void list_add(struct batch_list *list, const struct seen_batch *b)
{
    list->items = mem_grow(list->items, &list->cap, list->n + 1, sizeof *list->items);
    list->items[list->n++] = *b;
}

static int64_t list_end(const struct batch_list *list)
{
    return list->n > 0 ? list->items[list->n - 1].last + 1 : 0;
}

/* ---- mirrors ----------------------------------------------------------------------------------*/

/* Reads what the log has in memory from an offset on, and calls `take` for each batch. */
static void read_tail(struct watch *watch, struct log *log, int64_t from,
                      void (*take)(struct watch *watch, void *arg, const struct seen_batch *b),
                      void *arg)
{
    struct log_read read = {
        .offset = from, .below = INT64_MAX, .max_bytes = MIB(64), .at_least_one = true
    };
    if (from >= log_end(log) || from < tail_start(&log->tail) || log_read(log, &read) != 0) {
        return;
    }
    struct buf all = { 0 };
    chain_copy(&read.batches, buf_reserve(&all, read.batches.len));
    struct bytes rest = bytes_of(all.data, read.batches.len);
    chain_release(&read.batches);
    while (rest.len > 0) {
        struct batch b;
        check(batch_parse(rest, &b) == KAFKA_NONE);
        const struct seen_batch seen = {
            .base = b.base_offset,
            .last = batch_last_offset(&b),
            .epoch = b.leader_epoch,
            .crc = b.crc,
        };
        take(watch, arg, &seen);
        rest = bytes_part(rest, b.raw.len, rest.len - b.raw.len);
    }
    buf_release(&all);
}

struct taking {
    const struct node *node;
    struct watched *w;
    struct replica_seen *r;
};

static void take_new(struct watch *watch, void *arg, const struct seen_batch *b)
{
    struct taking *t = arg;
    (void)watch;
    if (b->base >= list_end(&t->r->mirror)) {
        list_add(&t->r->mirror, b);
        know(t->w, t->node, b);
    }
}

/* After a start: what is found in memory must be what was there; below what was durable at least.
 * The rest is what the file system has kept of it, and may be anything that was ever written. */
static void take_recovered(struct watch *watch, void *arg, const struct seen_batch *b)
{
    struct taking *t = arg;
    struct batch_list *mirror = &t->r->mirror;
    size_t i = list_find(mirror, b->base);
    bool same = i < mirror->n && mirror->items[i].base == b->base &&
                mirror->items[i].epoch == b->epoch && mirror->items[i].crc == b->crc;
    (void)watch;
    if (same) {
        return;
    }
    if (b->base < t->r->durable_end && i < mirror->n && !t->r->forgiven) {
        world_fail("recovery: %s on n%" PRId32 " has something else at offset %" PRId64, t->w->name,
                   t->node->id, b->base);
    }
    mirror->n = i;
    list_add(mirror, b);
    know(t->w, t->node, b);
}

static void check_recovered(struct watch *watch, const struct node *node, struct watched *w,
                            struct replica_seen *r, struct log *log)
{
    struct taking taking = { node, w, r };
    if (log_durable_end(log) < r->durable_end && log_start_offset(log) <= r->durable_end &&
        !r->forgiven) {
        world_fail("recovery: %s on n%" PRId32 " ends at %" PRId64 ", it was durable up to %" PRId64
                   " (%s)",
                   w->name, node->id, log_durable_end(log), r->durable_end,
                   log_damage(log) ? log_damage(log) : "no damage");
    }
    int64_t from = max_i64(log_start_offset(log), tail_start(&log->tail));
    read_tail(watch, log, from, take_recovered, &taking);
    r->mirror.n = min_u64(r->mirror.n, list_find(&r->mirror, log_end(log)));
}

/* A log that was found damaged keeps no promise until it has been fetched again: until its node was
 * out of the in-sync set. It may have been thrown away before anybody looks. */
static bool is_damaged(const struct replica_seen *r, const struct log *log)
{
    return log_damage(log) != NULL ||
           (!r->alive && store_recovery(log->store)->damaged_logs > 0);
}

static void forgive_damage(const struct node *node, const struct watched *w,
                           struct replica_seen *r, const struct log *log)
{
    if (is_damaged(r, log)) {
        if (!node->machine.drive.harmed) {
            world_fail("damage: %s on n%" PRId32 ", whose drive is sound: %s", w->name, node->id,
                       log_damage(log) ? log_damage(log) : "found at its start");
        }
        r->forgiven = true;
    } else if (r->alive && !image_has(w->isr, w->n_isr, node->id)) {
        r->forgiven = false;
    }
}

/* Who is in sync does not cut off what is committed. */
static void check_cut(const struct watched *w, const struct node *node,
                      const struct replica_seen *r, const struct log *log)
{
    if (log_end(log) < w->committed_end && r->end > log_end(log) && !w->lossy && !r->forgiven &&
        image_has(w->isr, w->n_isr, node->id)) {
        world_fail("truncation: %s on n%" PRId32 ", which is in sync, is cut at %" PRId64
                   ", committed is %" PRId64 " (by n%" PRId32 ")",
                   w->name, node->id, log_end(log), w->committed_end, w->committed_by);
    }
}

static void follow_log(struct watch *watch, const struct node *node, struct watched *w,
                       struct replica_seen *r, struct log *log)
{
    struct taking taking = { node, w, r };
    forgive_damage(node, w, r, log);
    if (!r->alive) {
        check_recovered(watch, node, w, r, log);
        r->alive = true;
        r->producers_end = -1;
        r->end = log_end(log);
    }
    if (log_end(log) < r->end) {
        check_cut(w, node, r, log);
        r->mirror.n = list_find(&r->mirror, log_end(log));
    }
    r->end = log_end(log);
    r->durable_end = log_durable_end(log);
    if (list_end(&r->mirror) < log_end(log)) {
        int64_t from = max_i64(list_end(&r->mirror), log_start_offset(log));
        read_tail(watch, log, max_i64(from, tail_start(&log->tail)), take_new, &taking);
    }
}

/* ---- what is committed ------------------------------------------------------------------------*/

/* How much is committed by the leaders of earlier epochs. */
static int64_t committed_before(const struct watched *w, int32_t epoch)
{
    int64_t end = 0;
    for (int32_t i = 0; i < epoch && (size_t)i < w->n_leaders; i++) {
        end = max_i64(end, w->committed_in[i]);
    }
    return end;
}

/* Who leads a later epoch has what an earlier leader finds committed only now. */
static void check_later_leaders(const struct watched *w, const struct node *node, int32_t epoch,
                                int64_t end)
{
    for (size_t i = (size_t)epoch + 1; i < w->n_leaders; i++) {
        int32_t leader = w->leaders[i];
        if (leader > 0 && w->replicas[leader - 1].end < end && !w->lossy &&
            !w->replicas[leader - 1].forgiven) {
            world_fail("high watermark: %s on n%" PRId32 " is %" PRId64 " in epoch %" PRId32
                       "; n%" PRId32 ", the leader of epoch %zu, ends at %" PRId64,
                       w->name, node->id, end, epoch, leader, i, w->replicas[leader - 1].end);
        }
    }
}

/* A leader has moved its high watermark: what it has below is committed for ever. */
static void commit(struct watched *w, const struct node *node, const struct batch_list *mirror,
                   int32_t epoch, int64_t end)
{
    check_later_leaders(w, node, epoch, end);
    w->committed_in[epoch] = end;
    for (size_t i = list_find(mirror, w->committed_end);
         i < mirror->n && mirror->items[i].last < end; i++) {
        if (mirror->items[i].base >= list_end(&w->committed)) {
            list_add(&w->committed, &mirror->items[i]);
        }
    }
    if (end > w->committed_end) {
        w->committed_end = end;
        w->committed_by = node->id;
    }
}

/* Everything committed before its epoch must be in a new leader's log, unchanged. It may come to
 * know late that it leads, and others may have led since. */
static void check_has_committed(const struct watched *w, const struct node *node,
                                const struct replica_seen *r, const struct log *log, int32_t epoch)
{
    int64_t committed = committed_before(w, epoch);
    if (w->lossy || r->forgiven) {
        return;
    }
    if (log_end(log) < committed) {
        world_fail("election: %s on n%" PRId32 " ends at %" PRId64 ", committed is %" PRId64
                   " before epoch %" PRId32,
                   w->name, node->id, log_end(log), committed, epoch);
        return;
    }
    for (size_t i = list_find(&w->committed, log_start_offset(log));
         i < w->committed.n && w->committed.items[i].last < committed; i++) {
        const struct seen_batch *b = &w->committed.items[i];
        size_t j = list_find(&r->mirror, b->base);
        if (j < r->mirror.n && r->mirror.items[j].base <= b->base &&
            (r->mirror.items[j].crc != b->crc || r->mirror.items[j].epoch != b->epoch)) {
            world_fail("election: %s on n%" PRId32 " has something else at committed %" PRId64,
                       w->name, node->id, b->base);
        }
    }
}

/* ---- roles ------------------------------------------------------------------------------------*/

static struct replica_seen *replica_of(struct watch *watch, struct watched *w, int32_t broker)
{
    check(broker >= 1 && (unsigned)broker <= watch->n_nodes);
    return &w->replicas[broker - 1];
}

static void check_only_leader(struct watched *w, const struct node *node, int32_t epoch)
{
    while ((size_t)epoch >= w->n_leaders) {
        w->leaders = mem_grow(w->leaders, &w->cap_leaders, w->n_leaders + 1, sizeof *w->leaders);
        w->committed_in =
            mem_grow(w->committed_in, &w->cap_ends, w->n_leaders + 1, sizeof *w->committed_in);
        w->committed_in[w->n_leaders] = 0;
        w->leaders[w->n_leaders++] = -1;
    }
    if (w->leaders[epoch] >= 0 && w->leaders[epoch] != node->id) {
        world_fail("two leaders: %s epoch %" PRId32 " on n%" PRId32 " and n%" PRId32, w->name,
                   epoch, w->leaders[epoch], node->id);
    }
    w->leaders[epoch] = node->id;
}

/* No member of the in-sync set has less than the high watermark, durably. */
static void check_in_sync(struct watch *watch, struct watched *w, const struct node *node,
                          const struct partition *p)
{
    const struct image_partition *state =
        image_partition(meta_image(node->broker->meta), &w->topic, w->index);
    if (state == NULL || state->epoch != p->partition_epoch) {
        return;
    }
    for (unsigned i = 0; i < state->n_isr; i++) {
        const struct replica_seen *r = replica_of(watch, w, state->isr[i]);
        if (r->durable_end < p->high_watermark && !r->forgiven && !w->lossy) {
            world_fail("high watermark: %s on n%" PRId32 " is %" PRId64 ", n%" PRId32
                       " is in sync and durable up to %" PRId64,
                       w->name, node->id, p->high_watermark, state->isr[i], r->durable_end);
        }
    }
}

static void follow_role(struct watch *watch, struct watched *w, const struct node *node,
                        struct replica_seen *r, const struct partition *p)
{
    bool leads = p->role == PARTITION_LEADER || p->role == PARTITION_BECOMING;
    if (!leads) {
        r->leads_epoch = -1;
        return;
    }
    if (r->leads_epoch != p->leader_epoch) {
        r->leads_epoch = p->leader_epoch;
        r->high_watermark = -1;
        check_only_leader(w, node, p->leader_epoch);
        check_has_committed(w, node, r, p->log, p->leader_epoch);
    }
    if (p->role != PARTITION_LEADER || p->high_watermark == r->high_watermark) {
        return;
    }
    if (p->high_watermark < r->high_watermark) {
        world_fail("high watermark: %s on n%" PRId32 " goes back from %" PRId64 " to %" PRId64,
                   w->name, node->id, r->high_watermark, p->high_watermark);
    }
    r->high_watermark = p->high_watermark;
    commit(w, node, &r->mirror, p->leader_epoch, p->high_watermark);
    check_in_sync(watch, w, node, p);
}

/* ---- the image --------------------------------------------------------------------------------*/

/* A change of the in-sync set that this node has applied, and nobody before. */
static void check_new_state(struct watch *watch, struct watched *w, const struct node *node)
{
    const struct image_partition *state =
        image_partition(meta_image(node->broker->meta), &w->topic, w->index);
    if (state == NULL || state->epoch <= w->image_epoch) {
        return;
    }
    w->image_epoch = state->epoch;
    w->n_isr = state->n_isr;
    memcpy(w->isr, state->isr, state->n_isr * sizeof *w->isr);
    for (unsigned i = 0; i < state->n_isr && !w->lossy; i++) {
        const struct replica_seen *r = replica_of(watch, w, state->isr[i]);
        if (r->durable_end < w->committed_end && !r->forgiven) {
            world_fail("in-sync set: %s has n%" PRId32 ", durable up to %" PRId64
                       "; committed is %" PRId64 " (by n%" PRId32 ")",
                       w->name, state->isr[i], r->durable_end, w->committed_end, w->committed_by);
        }
    }
    if (state->leader >= 0 && !image_has(state->isr, state->n_isr, state->leader)) {
        world_fail("in-sync set: %s is led by n%" PRId32 ", which is not in sync", w->name,
                   state->leader);
    }
}

/* ---- turns ------------------------------------------------------------------------------------*/

static void look_at_partition(struct watch *watch, struct node *node, struct partition *p)
{
    struct watched *w = find_partition(watch, p);
    struct replica_seen *r = replica_of(watch, w, node->id);
    if (p->log == NULL || p->log->store->error != 0) { /* what has failed means nothing any more */
        return;
    }
    follow_log(watch, node, w, r, p->log);
    watch_producers(w, node, r, p->log);
    follow_role(watch, w, node, r, p);
    check_new_state(watch, w, node);
}

void watch_turn(struct watch *watch, struct node *node)
{
    struct machine *was = machine_enter(NULL);
    struct replicas *replicas = &node->broker->replicas;
    watch_raft_turn(watch, node);
    if (replicas->started) {
        map_each (it, &replicas->by_id) {
            struct topic_replicas *topic = container_of(it, struct topic_replicas, by_id);
            for (int32_t i = 0; i < topic->n_partitions && !world->failed; i++) {
                if (topic->partitions[i] != NULL) {
                    look_at_partition(watch, node, topic->partitions[i]);
                }
            }
        }
    }
    machine_leave(was);
}

void watch_ended(struct watch *watch, const struct node *node)
{
    struct raft_seen *raft = &watch->raft[node->id - 1];
    *raft = (struct raft_seen){ 0 };
    for (size_t i = 0; i < watch->n_partitions; i++) {
        struct replica_seen *r = replica_of(watch, watch->partitions[i], node->id);
        r->alive = false;
        r->leads_epoch = -1;
    }
}

void watch_allow_loss(struct watch *watch, const char *topic)
{
    check(watch->n_lossy < countof(watch->lossy));
    watch->lossy[watch->n_lossy++] = mem_strdup(topic);
}

struct watch *watch_new(struct node *nodes, unsigned n_nodes)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    watch->nodes = nodes;
    watch->n_nodes = n_nodes;
    return watch;
}
