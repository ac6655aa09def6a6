/* What a life is like: every seed draws sizes, features and faults. */
#include "life.h"

#include <stdio.h>

static bool maybe(unsigned percent)
{
    return chance(percent);
}

static uint64_t seconds(uint64_t low, uint64_t high)
{
    return between(low * 1000, high * 1000) * NS_PER_MS;
}

static void draw_producer(struct producer_habits *h)
{
    *h = (struct producer_habits){
        .acks = maybe(80) ? -1 : 1,
        .idempotent = maybe(60),
        .window = (unsigned)between(1, 5),
        .records_max = (unsigned)between(1, 10),
        .bytes_max = maybe(80) ? between(30, 300) : between(300, 3000),
        .pause_ns = between(5, 60) * NS_PER_MS,
        .timeout_ns = between(300, 2000) * NS_PER_MS,
        .codec = maybe(70) ? CODEC_NONE : (enum codec)between(0, CODEC_COUNT - 1),
    };
    if (h->idempotent) {
        h->acks = -1;
    }
}

void plan_draw(struct life_plan *plan)
{
    *plan = (struct life_plan){
        .n_nodes = maybe(25)   ? 1
                   : maybe(75) ? 3
                               : 5,
        .n_topics = (unsigned)between(1, 2),
        .n_partitions = (unsigned)between(1, 3),
        .n_producers = (unsigned)between(1, 3),
        .chaos_ns = seconds(3, 10),
        .liveness_ns = 30 * NS_PER_S,
        .drive_bytes = MIB(64),
    };
    plan->lag_ms = maybe(50) ? 10000 : (int)between(300, 3000);
    plan->replication = (int16_t)(maybe(70) ? plan->n_nodes : between(1, plan->n_nodes));
    for (unsigned i = 0; i < plan->n_producers; i++) {
        draw_producer(&plan->producers[i]);
    }
    unsigned min_isr = maybe(50) ? 2 : (unsigned)between(1, (uint64_t)plan->replication);
    snprintf(plan->topic_configs, sizeof plan->topic_configs,
             "internal.segment.bytes=%d index.interval.bytes=%d min.insync.replicas=%u "
             "message.timestamp.after.max.ms=9223372036854775807",
             maybe(50) ? 4096 : 65536, maybe(50) ? 100 : 4096, min_isr);
    plan->kill_ns = maybe(60) ? seconds(1, 4) : 0;
    plan->power_ns = maybe(60) ? seconds(1, 4) : 0;
    plan->stop_ns = maybe(30) ? seconds(2, 6) : 0;
    plan->pause_ns = maybe(30) ? seconds(1, 4) : 0;
    plan->break_ns = maybe(30) ? seconds(1, 2) : 0;
    plan->clog_ns = maybe(30) ? seconds(1, 2) : 0;
    plan->partition_ns = plan->n_nodes > 1 && maybe(40) ? seconds(1, 3) : 0;
    plan->jump_ns = maybe(20) ? seconds(1, 4) : 0;
    plan->full_ns = maybe(25) ? seconds(1, 4) : 0;
    plan->all_at_once = (unsigned)between(0, 50);
    plan->relapse = maybe(50) ? (unsigned)between(10, 80) : 0;
    plan->tend_ns = seconds(1, 3);
    /* Who has a bad drive may lose its logs: somebody else must have all that is committed. */
    plan->bad_drive = min_isr > 1 && plan->replication > 1 && maybe(40)
                          ? (int)between(0, plan->n_nodes - 1)
                          : -1;
    plan->write_error = maybe(50) ? between(50, 1000) : 0;
    plan->sync_error = maybe(50) ? between(20, 500) : 0;
    plan->raft_entries = maybe(60) ? between(4, 60) : 0;
}

void plan_apply(const struct life_plan *plan, struct life *life)
{
    for (unsigned i = 0; i < plan->n_nodes; i++) {
        struct node *node = &life->nodes[i];
        struct drive_faults *faults = &node->machine.drive.faults;
        faults->write_ns = between(50, 300) * 1000;
        faults->sync_ns = between(100, 2000) * 1000;
        faults->read_ns = between(30, 150) * 1000;
        faults->slow = maybe(30) ? between(20, 300) : 0;
        faults->hang = maybe(10) ? between(500, 3000) : 0;
        faults->no_direct = maybe(20);
        node->raft_entries = plan->raft_entries;
        node->machine.manners.backend = maybe(50) ? LOOP_URING : LOOP_THREADS;
        node->machine.manners.turn_ns = between(5000, 60000);
        node->machine.manners.stall = maybe(20) ? between(100, 2000) : 0;
        node_set(node, "chronik.cluster.secret=s");
        node_set(node, "chronik.admin.listener=");
        node_set(node, "chronik.journal.chunk.bytes=%d", 64 << 10);
        node_set(node, "chronik.journal.bytes=%d", 512 << 10);
        node_set(node, "chronik.disk.reserve.bytes=%d", 1 << 20);
        node_set(node, "chronik.tail.bytes=%d", 1 << 20);
        node_set(node, "replica.lag.time.max.ms=%d", plan->lag_ms);
        node_set(node, "chronik.shutdown.timeout.ms=%d", 10000); /* less than liveness takes */
    }
}

void plan_describe(const struct life_plan *plan, struct buf *to)
{
    buf_printf(to, "%u nodes, %u x %u partitions, replication %d, %u producers", plan->n_nodes,
               plan->n_topics, plan->n_partitions, plan->replication, plan->n_producers);
}
