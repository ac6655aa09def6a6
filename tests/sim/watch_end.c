/* The watch at the end of a life: when nothing goes wrong any more, everything must come to rest as
 * one. */
#include "watch_inside.h"

#include <chronik/meta/image.h>
#include <inttypes.h>

#include "../../src/meta/meta_private.h"

/* ---- whole ------------------------------------------------------------------------------------*/

static const struct image *image_of(const struct node *node)
{
    return node_serves(node) ? node->broker->meta->image : NULL;
}

static bool all_brokers_serve(const struct watch *watch, const struct image *image, bool explain)
{
    bool whole = true;
    for (unsigned i = 0; i < watch->n_nodes; i++) {
        const struct image_broker *b = image_broker(image, watch->nodes[i].id);
        if (b == NULL || b->fenced || b->stopping) {
            whole = false;
            if (explain) {
                note("n%" PRId32 " is %s", watch->nodes[i].id,
                     b == NULL ? "unknown" : b->fenced ? "fenced" : "stopping");
            }
        }
    }
    return whole;
}

static bool all_are_in_sync(const struct image *image, bool explain)
{
    bool whole = true;
    for (size_t t = 0; t < image_topic_count(image); t++) {
        const struct image_topic *topic = image_topic_at(image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            const struct image_partition *p = &topic->partitions[i];
            if (p->leader < 0 || p->n_isr != p->n_replicas) {
                whole = false;
                if (explain) {
                    note("%s-%" PRId32 " is led by n%" PRId32 ", %u of %u replicas are in sync",
                         topic->name, i, p->leader, (unsigned)p->n_isr, (unsigned)p->n_replicas);
                }
            }
        }
    }
    return whole;
}

/* Everything that was appended is committed, durably everywhere. */
static bool all_is_committed(const struct watch *watch, const struct image *image, bool explain)
{
    bool whole = true;
    for (size_t i = 0; i < watch->n_partitions; i++) {
        const struct watched *w = watch->partitions[i];
        const struct image_partition *p = image_partition(image, &w->topic, w->index);
        for (unsigned r = 0; p != NULL && r < p->n_replicas; r++) {
            const struct replica_seen *seen = &w->replicas[p->replicas[r] - 1];
            if (seen->end != w->committed_end || seen->durable_end != w->committed_end) {
                whole = false;
                if (explain) {
                    note("%s on n%" PRId32 " ends at %" PRId64 ", durable %" PRId64
                         ", committed is %" PRId64,
                         w->name, p->replicas[r], seen->end, seen->durable_end, w->committed_end);
                }
            }
        }
    }
    return whole;
}

bool watch_is_whole(struct watch *watch, bool explain)
{
    const struct image *first = image_of(&watch->nodes[0]);
    for (unsigned i = 0; i < watch->n_nodes; i++) {
        const struct image *image = image_of(&watch->nodes[i]);
        if (image == NULL || image_index(image) != image_index(first)) {
            if (explain) {
                note("n%" PRId32 " does not serve, or has other metadata", watch->nodes[i].id);
            }
            return false;
        }
    }
    bool serve = all_brokers_serve(watch, first, explain);
    bool in_sync = all_are_in_sync(first, explain);
    bool committed = all_is_committed(watch, first, explain);
    return serve && in_sync && committed; /* each explains what it misses */
}

/* ---- equal ------------------------------------------------------------------------------------*/

static void check_equal(const struct watched *w, int32_t broker, const struct batch_list *mirror)
{
    size_t i = 0;
    for (size_t c = 0; c < w->committed.n; c++) {
        const struct seen_batch *b = &w->committed.items[c];
        while (i < mirror->n && mirror->items[i].last < b->base) {
            i++;
        }
        /* Of either, some may not have been seen: what is read from files only. */
        const struct seen_batch *a = i < mirror->n ? &mirror->items[i] : NULL;
        if (a != NULL && a->base <= b->last && (a->epoch != b->epoch || a->crc != b->crc)) {
            world_fail("end: %s on n%" PRId32 " has something else at committed offset %" PRId64,
                       w->name, broker, b->base);
            return;
        }
    }
}

void watch_finish(struct watch *watch)
{
    const struct image *image = image_of(&watch->nodes[0]);
    for (size_t i = 0; i < watch->n_partitions && image != NULL; i++) {
        const struct watched *w = watch->partitions[i];
        const struct image_partition *p = image_partition(image, &w->topic, w->index);
        for (unsigned r = 0; p != NULL && r < p->n_replicas && !w->lossy; r++) {
            check_equal(w, p->replicas[r], &w->replicas[p->replicas[r] - 1].mirror);
        }
    }
}
