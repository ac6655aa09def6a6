/* What a broker is doing, on the trace: for whoever looks at a life that failed. */
#include "node.h"

#include <chronik/base/uuid.h>
#include <inttypes.h>

#include "../../src/meta/meta_private.h"
#include "../../src/storage/state.h"

static const char *const ROLES[] = {
    [PARTITION_OFFLINE] = "offline",
    [PARTITION_BECOMING] = "becoming leader",
    [PARTITION_LEADER] = "leader",
    [PARTITION_FOLLOWER] = "follower",
};

static void explain_partition(const struct node *node, const struct partition *p)
{
    const struct log *log = p->log;
    note("%s %s-%" PRId32 " %s of epoch %" PRId32 " (leader n%" PRId32 "), start %" PRId64
         " high watermark %" PRId64 " durable %" PRId64 " end %" PRId64 "%s%s",
         node->machine.name, p->topic->name, p->index, ROLES[p->role], p->leader_epoch, p->leader,
         log ? log->start : -1, p->high_watermark, log ? log->durable_end : -1, log ? log->end : -1,
         log && log->damage ? ", damaged: " : "", log && log->damage ? log->damage : "");
    for (unsigned i = 0; i < p->isr.n_followers && p->role == PARTITION_LEADER; i++) {
        const struct follower *f = &p->isr.followers[i];
        note("    follower n%" PRId32 "%s%s: broker epoch %" PRId64 " end %" PRId64
             " durable %" PRId64,
             f->broker, f->in_isr ? " in sync" : "", f->proposed ? " proposed" : "",
             f->broker_epoch, f->end, f->durable_end);
    }
    if (p->role == PARTITION_FOLLOWER) {
        note("    %s%s, leader's high watermark %" PRId64 ", said durable %" PRId64,
             p->followed.fetcher ? "fetches" : "fetches from nobody",
             p->followed.truncation != NULL ? ", truncating" : "",
             p->followed.leader_high_watermark, p->followed.said_durable);
    }
}

static void explain_store(const struct node *node, const struct store *store)
{
    note("%s store: state %u%s%s, writable %d, tail %" PRIu64 " of %" PRIu64 " bytes, %" PRIu64
         " unwritten, %u reads",
         node->machine.name, store->state, store->full ? ", full" : "",
         list_empty(&store->stuck) ? "" : ", stuck", store_writable(store), store->slabs.bytes,
         store->slabs.budget, store->slabs.unwritten_bytes, store->reads);
    const struct machine *m = &node->machine;
    note("    drive: %u requests under way, %u on durable files, %u wait; the journal's write "
         "takes %.3f s",
         m->running[0], m->running[1], m->waiting_ops,
         (double)store_write_pending_ns(store) / 1e9);
}

void node_explain(const struct node *node)
{
    if (node->broker == NULL) {
        note("%s does not run; its last exit code was %d", node->machine.name, node->exit_code);
        return;
    }
    const struct meta *meta = node->broker->meta;
    note("%s is in state %u; controller n%" PRId32 ", image at %" PRIu64, node->machine.name,
         node->broker->state, meta ? meta_controller(meta) : -1,
         meta ? image_index(meta->image) : 0);
    if (node->broker->store != NULL) {
        explain_store(node, node->broker->store);
    }
    map_each (it, &node->broker->replicas.by_id) {
        const struct topic_replicas *topic = container_of(it, struct topic_replicas, by_id);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            if (topic->partitions[i] != NULL) {
                explain_partition(node, topic->partitions[i]);
            }
        }
    }
}
