/* Where everything stands, as messages, when somebody asks for it with SIGUSR1. They are written
 * whatever the levels are. */
#include "signals.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const STATES[] = {
    [BROKER_RECOVERING] = "recovering", [BROKER_JOINING] = "joining",
    [BROKER_REPORTING] = "reporting",   [BROKER_SERVING] = "serving",
    [BROKER_STOPPING] = "stopping",     [BROKER_STOPPED] = "stopped",
};

static const char *const ROLES[] = {
    [PARTITION_OFFLINE] = "offline",
    [PARTITION_BECOMING] = "becoming leader",
    [PARTITION_LEADER] = "leader",
    [PARTITION_FOLLOWER] = "follower",
};

static void say(struct broker *broker, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct broker *broker, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    broker->diag->sink(broker->diag, DIAG_INFO, DIAG_BROKER, text);
}

/* ---- the node ---------------------------------------------------------------------------------*/

static void say_broker(struct broker *broker)
{
    uint64_t up_ns = loop_now_ns(broker->loop) - broker->started_ns;
    const char *back = broker->lost ? "no controller is heard" : broker->hangs ? "the disk hangs"
                                                                               : "no";
    say(broker,
        "state: %s node=%" PRId32 " broker_epoch=%" PRId64 " up=%" PRIu64 " s standing_back=%s "
        "version=" CHRONIK_VERSION,
        STATES[broker->state], broker->node_id,
        broker->meta != NULL ? meta_broker_epoch(broker->meta) : -1, up_ns / NS_PER_S, back);
}

static void say_raft(struct broker *broker)
{
    struct meta_quorum q;
    if (broker->meta == NULL || broker->state < BROKER_JOINING) {
        say(broker, "state of the metadata group: not joined yet");
        return;
    }
    meta_quorum(broker->meta, &q);
    say(broker,
        "state of the metadata group: %s leader=%" PRId32 " term=%" PRId64 " committed=%" PRId64
        " applied=%" PRId64 " snapshot=%" PRId64,
        meta_is_controller(broker->meta) ? "leads" : "follows", q.leader, q.term, q.committed,
        q.applied, q.snapshot);
    for (unsigned i = 0; i < q.n_voters; i++) {
        int32_t id = q.voters[i].id;
        bool linked = broker->peers != NULL && peers_link(broker->peers, id, PEER_META) != NULL;
        say(broker, "state of voter %" PRId32 ": link=%s end=%" PRId64, id,
            id == broker->node_id ? "itself" : linked ? "open" : "closed", q.voters[i].end);
    }
}

static void say_memory(struct broker *broker)
{
    const struct server_counters *server = server_counters(broker->server);
    const struct server_limits *limits = server_limits(broker->server);
    struct process_usage usage;
    process_usage(&usage);
    say(broker,
        "state of connections: open=%" PRIu64 " most=%u requests_bytes=%" PRIu64
        " most_bytes=%" PRIu64 " files=%" PRIu64,
        server->connections_open, limits->connections_max, server->memory_bytes,
        limits->memory_bytes, usage.open_files);
    if (broker->store_open) {
        struct store_memory store;
        store_memory(broker->store, &store);
        say(broker,
            "state of memory: tail_bytes=%" PRIu64 " most_bytes=%" PRIu64
            " unwritten_bytes=%" PRIu64 " journal_file_bytes=%" PRIu64 " resident_bytes=%" PRIu64,
            store.tail, store.tail_max, store.unwritten, store.journal, usage.resident);
    }
}

/* ---- partitions -------------------------------------------------------------------------------*/

struct tally {
    struct broker *broker;
    bool sound; /* which ones are shown now: those that are as they should be, or the others */
    unsigned shown, left_out;
};

static const struct image_partition *state_of(const struct broker *broker,
                                              const struct partition *p)
{
    return image_partition(meta_image(broker->meta), &p->topic->id, p->index);
}

static bool is_sound(const struct broker *broker, const struct partition *p)
{
    const struct image_partition *state = state_of(broker, p);
    return p->log != NULL && log_damage(p->log) == NULL && p->role != PARTITION_OFFLINE &&
           state != NULL && state->n_isr == state->n_replicas;
}

static void say_partition(struct broker *broker, const struct partition *p)
{
    const struct image_partition *state = state_of(broker, p);
    struct buf isr = { 0 };
    for (unsigned i = 0; state != NULL && i < state->n_isr; i++) {
        buf_printf(&isr, "%s%" PRId32, i > 0 ? "," : "", state->isr[i]);
    }
    say(broker,
        "state of %s-%" PRId32 ": %s leader=%" PRId32 " leader_epoch=%" PRId32 " isr=%.*s start=%"
        PRId64 " committed=%" PRId64 " durable=%" PRId64 " end=%" PRId64 "%s%s",
        p->topic->name, p->index, ROLES[p->role], p->leader, p->leader_epoch, (int)isr.len,
        isr.len > 0 ? (const char *)isr.data : "", p->log ? log_start_offset(p->log) : -1,
        p->high_watermark, p->log ? log_durable_end(p->log) : -1, p->log ? log_end(p->log) : -1,
        p->log && log_damage(p->log) ? " damage=" : "",
        p->log && log_damage(p->log) ? log_damage(p->log) : "");
    buf_release(&isr);
}

static void visit(struct tally *tally, const struct partition *p)
{
    if (is_sound(tally->broker, p) != tally->sound) {
        return;
    }
    if (tally->shown < STATE_PARTITIONS_MAX) {
        say_partition(tally->broker, p);
        tally->shown++;
    } else {
        tally->left_out++;
    }
}

static void visit_all(struct tally *tally)
{
    map_each (node, &tally->broker->replicas.by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            if (topic->partitions[i] != NULL) {
                visit(tally, topic->partitions[i]);
            }
        }
    }
}

static void say_partitions(struct broker *broker)
{
    struct tally tally = { .broker = broker };
    if (!broker->replicas.started) {
        return;
    }
    say(broker, "state of partitions: here=%" PRIu64 " led=%" PRIu64, broker->replicas.n_partitions,
        broker->replicas.n_leaders);
    visit_all(&tally);
    tally.sound = true;
    visit_all(&tally);
    if (tally.left_out > 0) {
        say(broker, "state: %u more partitions are not shown", tally.left_out);
    }
}

void state_dump(struct broker *broker)
{
    say_broker(broker);
    say_raft(broker);
    say_memory(broker);
    say_partitions(broker);
}
