/* What is known of the metadata: for the rest of the broker, for DescribeQuorum, for metrics. */
#include "meta_private.h"

const struct image *meta_image(const struct meta *meta)
{
    return meta->image;
}

int32_t meta_node_id(const struct meta *meta)
{
    return meta->node_id;
}

int32_t meta_controller(const struct meta *meta)
{
    return meta->role.leader != 0 ? (int32_t)meta->role.leader : -1;
}

bool meta_is_controller(const struct meta *meta)
{
    return meta->role.ready;
}

int64_t meta_broker_epoch(const struct meta *meta)
{
    const struct image_broker *b = image_broker(meta->image, meta->node_id);
    return b != NULL && uuid_equal(&b->incarnation, &meta->incarnation) ? b->epoch : -1;
}

struct uuid meta_directory_id(const struct meta *meta)
{
    return raft_store_state(meta->store)->identity.directory;
}

/* ---- the quorum -------------------------------------------------------------------------------*/

/* What the leader knows of a voter; of itself, everybody knows. */
static struct meta_quorum_voter voter(struct meta *meta, struct meta_peer *peer)
{
    struct meta_quorum_voter v = { .id = peer->id, .end = -1, .caught_up_ms = peer->caught_up_ms };
    if (peer->id == meta->node_id) {
        v.end = (int64_t)raft_node_stored(meta->node) + 1;
        v.caught_up_ms = meta->role.leads ? loop_wall_ms(meta->loop) : -1;
    } else if (meta->role.leads) {
        uint64_t match = raft_node_match(meta->node, (uint64_t)peer->id);
        v.end = (int64_t)match + 1;
        if (match >= raft_node_last(meta->node)) {
            v.caught_up_ms = peer->caught_up_ms = loop_wall_ms(meta->loop);
        }
    }
    return v;
}

void meta_quorum(struct meta *meta, struct meta_quorum *ret_quorum)
{
    struct meta_quorum q = { .leader = meta_controller(meta), .n_voters = meta->n_peers };
    for (unsigned i = 0; i < meta->n_peers; i++) {
        q.voters[i] = (struct meta_quorum_voter){ .id = meta->peers[i].id, .end = -1,
                                                  .caught_up_ms = -1 };
        if (meta->node != NULL) {
            q.voters[i] = voter(meta, &meta->peers[i]);
        }
    }
    if (meta->node != NULL) {
        q.term = (int64_t)raft_node_term(meta->node);
        q.committed = (int64_t)raft_node_committed(meta->node);
        q.applied = (int64_t)raft_node_applied(meta->node);
        q.snapshot = (int64_t)raft_node_snapshot_index(meta->node);
    }
    *ret_quorum = q;
}

/* ---- metrics ----------------------------------------------------------------------------------*/

#define READ(name, expression)                                                                     \
    static double read_##name(const void *arg)                                                     \
    {                                                                                              \
        const struct meta *meta = arg;                                                             \
        return (double)(expression);                                                               \
    }

READ(term, meta->node ? raft_node_term(meta->node) : 0)
READ(committed, meta->node ? raft_node_committed(meta->node) : 0)
READ(applied, meta->node ? raft_node_applied(meta->node) : 0)
READ(snapshot, meta->node ? raft_node_snapshot_index(meta->node) : 0)
READ(disk_bytes, raft_store_bytes(meta->store))
READ(controller, meta_controller(meta))
READ(is_controller, meta->role.ready)
/* As much of it as a metric's number can hold. It takes milliseconds where there are thousands of
 * topics, so it is worked out only when something has changed since the last scrape. */
static double read_hash(const void *arg)
{
    const struct meta *meta = arg;
    struct meta_hash *cached = meta->hash;
    if (cached->index != image_index(meta->image)) {
        cached->index = image_index(meta->image);
        cached->hash = image_hash(meta->image) & 0xffffffffffff;
    }
    return (double)cached->hash;
}

READ(topics, image_topic_count(meta->image))
READ(partitions, image_partition_count(meta->image))

static double count_brokers(const struct image *image, bool fenced)
{
    double n = 0;
    for (size_t i = 0; i < image_broker_count(image); i++) {
        n += image_broker_at(image, i)->fenced == fenced;
    }
    return n;
}

READ(fenced, count_brokers(meta->image, true))
READ(serving, count_brokers(meta->image, false))

static double read_offline(const void *arg)
{
    const struct meta *meta = arg;
    double n = 0;
    for (size_t t = 0; t < image_topic_count(meta->image); t++) {
        const struct image_topic *topic = image_topic_at(meta->image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            n += topic->partitions[i].leader < 0;
        }
    }
    return n;
}

static const struct {
    const char *name, *help;
    double (*read)(const void *arg);
} GAUGES[] = {
    { "chronikd_raft_term", "Term of the metadata group.", read_term },
    { "chronikd_raft_committed_index", "Last entry known to be committed.", read_committed },
    { "chronikd_raft_applied_index", "Last entry applied on this node.", read_applied },
    { "chronikd_metadata_image_hash", "Hash of the metadata, 48 bits of it: equal on all nodes "
      "that have applied the same index.", read_hash },
    { "chronikd_raft_snapshot_index", "Entry of the last snapshot.", read_snapshot },
    { "chronikd_raft_disk_bytes", "Size of the Raft directory.", read_disk_bytes },
    { "kafka_server_raftmetrics_current_leader", "Node that leads the metadata group; -1: none.",
      read_controller },
    { "kafka_server_raftmetrics_current_epoch", "Term of the metadata group.", read_term },
    { "kafka_server_raftmetrics_high_watermark", "Last entry known to be committed.",
      read_committed },
    { "kafka_controller_kafkacontroller_activecontrollercount", "1 on the controller, else 0.",
      read_is_controller },
    { "kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.", read_topics },
    { "kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster.",
      read_partitions },
    { "kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.",
      read_offline },
    { "kafka_controller_kafkacontroller_fencedbrokercount", "Brokers that are registered, and "
      "fenced.", read_fenced },
    { "kafka_controller_kafkacontroller_activebrokercount", "Brokers that serve.", read_serving },
};

void meta_metrics(struct meta *meta, struct metrics *metrics)
{
    for (size_t i = 0; i < countof(GAUGES); i++) {
        metrics_gauge(metrics, GAUGES[i].name, GAUGES[i].help, "", GAUGES[i].read, meta);
    }
    metrics_counter(metrics, "chronikd_metadata_entries_applied_total",
                    "Entries of the metadata log applied on this node.", "",
                    &meta->entries_applied);
    metrics_counter(metrics, "chronikd_metadata_requests_total",
                    "Requests of this node to the controller.", "", &meta->requests_asked);
    metrics_counter(metrics, "chronikd_metadata_requests_timed_out_total",
                    "Requests of this node to the controller that were not answered in time.", "",
                    &meta->requests_timed_out);
    metrics_histogram(metrics, "chronikd_metadata_commit_seconds",
                      "From the proposal of an entry to its being applied, on the controller.", "",
                      &meta->commit_time);
}
