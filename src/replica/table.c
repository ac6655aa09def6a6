/* The table of replicas: topics by name and id, partitions by index, in step with the image. */
#include <chronik/replica/table.h>

#include <chronik/meta/meta.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- finding ---------------------------------------------------------------------------------*/

static bool name_is(const struct map_node *node, const void *arg)
{
    const struct text *name = arg;
    return text_is(*name, container_of(node, struct topic_replicas, by_name)->name);
}

static bool id_is(const struct map_node *node, const void *arg)
{
    return uuid_equal(&container_of(node, struct topic_replicas, by_id)->id, arg);
}

static uint64_t hash_name(const struct replicas *r, struct text name)
{
    return hash_bytes(r->seed, name.data, name.len);
}

static uint64_t hash_id(const struct replicas *r, const struct uuid *id)
{
    return hash_bytes(r->seed, id->bytes, sizeof id->bytes);
}

struct topic_replicas *replicas_topic(const struct replicas *r, struct text name)
{
    struct map_node *node = map_find(&r->by_name, hash_name(r, name), name_is, &name);
    return node ? container_of(node, struct topic_replicas, by_name) : NULL;
}

struct topic_replicas *replicas_topic_by_id(const struct replicas *r, const struct uuid *id)
{
    struct map_node *node = map_find(&r->by_id, hash_id(r, id), id_is, id);
    return node ? container_of(node, struct topic_replicas, by_id) : NULL;
}

/* ---- following the metadata ------------------------------------------------------------------*/

static void resolve_config(struct replicas *r, const struct image_topic *from,
                           struct topic_config *ret_config)
{
    struct config_layers layers = config_layers_of(meta_image(r->meta), r->node_id, r->file);
    layers.topic = &from->configs;
    topic_config_resolve(&layers, ret_config);
    if (from->adopted) { /* its old settings are unknown: keep everything until they are set */
        ret_config->log.retention_ms = ret_config->log.retention_bytes = -1;
        ret_config->log.compact = false;
    }
}

static struct topic_replicas *topic_new(struct replicas *r, const struct image_topic *from)
{
    struct topic_replicas *topic = mem_zalloc(sizeof *topic);
    topic->id = from->id;
    topic->name = mem_strdup(from->name);
    topic->internal = from->internal;
    resolve_config(r, from, &topic->config);
    map_insert(&r->by_name, &topic->by_name, hash_name(r, text_of(topic->name)));
    map_insert(&r->by_id, &topic->by_id, hash_id(r, &topic->id));
    return topic;
}

static void topic_free(struct replicas *r, struct topic_replicas *topic, bool deleted)
{
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        if (topic->partitions[i] != NULL) {
            partition_free(topic->partitions[i], deleted);
        }
    }
    map_remove(&r->by_name, &topic->by_name);
    map_remove(&r->by_id, &topic->by_id);
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

static void follow_partition(struct replicas *r, struct topic_replicas *topic, int32_t index,
                             const struct image_partition *state)
{
    struct partition *p = topic->partitions[index];
    bool ours = image_has(state->replicas, state->n_replicas, r->node_id);
    if (ours) {
        if (p == NULL) {
            p = topic->partitions[index] = partition_new(r, topic, index);
        }
        partition_follow(p, state);
    } else if (p != NULL) {
        topic->partitions[index] = NULL;
        partition_free(p, true);
    }
}

void replicas_topic_changed(struct replicas *r, const struct image_topic *from)
{
    struct topic_replicas *topic = replicas_topic_by_id(r, &from->id);
    if (topic == NULL) {
        topic = topic_new(r, from);
    }
    if (topic->n_partitions < from->n_partitions) {
        size_t n = (size_t)from->n_partitions, had = (size_t)topic->n_partitions;
        topic->partitions = mem_realloc_array(topic->partitions, n, sizeof *topic->partitions);
        memset(topic->partitions + had, 0, (n - had) * sizeof *topic->partitions);
        topic->n_partitions = from->n_partitions;
    }
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        follow_partition(r, topic, i, &from->partitions[i]);
    }
}

void replicas_partition_changed(struct replicas *r, const struct image_topic *from, int32_t index)
{
    struct topic_replicas *topic = replicas_topic_by_id(r, &from->id);
    if (topic == NULL || index >= topic->n_partitions) {
        replicas_topic_changed(r, from);
    } else {
        follow_partition(r, topic, index, &from->partitions[index]);
    }
}

void replicas_topic_deleted(struct replicas *r, const struct uuid *id)
{
    struct topic_replicas *topic = replicas_topic_by_id(r, id);
    if (topic != NULL) {
        topic_free(r, topic, true);
    }
}

void replicas_config_changed(struct replicas *r)
{
    map_each (node, &r->by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        const struct image_topic *from = image_topic_by_id(meta_image(r->meta), &topic->id);
        if (from == NULL) {
            continue;
        }
        resolve_config(r, from, &topic->config);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            struct partition *p = topic->partitions[i];
            if (p != NULL && p->log != NULL) {
                log_configure(p->log, &topic->config.log);
            }
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

static void send_proposals(struct loop_task *task)
{
    isr_send_proposals(container_of(task, struct replicas, send_proposals));
}

/* Half the time after which a follower lags. */
static void check_lag(struct timer *timer)
{
    struct replicas *r = container_of(timer, struct replicas, lag);
    struct config_layers config = config_layers_of(meta_image(r->meta), r->node_id, r->file);
    uint64_t limit_ms = (uint64_t)config_number(&config, "replica.lag.time.max.ms");
    isr_check_lag(r);
    timer_set_in(timer, limit_ms * NS_PER_MS / 2);
}

void replicas_init(struct replicas *r, struct loop *loop, struct diag *diag, int32_t node_id,
                   const struct image_configs *file)
{
    *r = (struct replicas){ .loop = loop,
                            .diag = diag,
                            .node_id = node_id,
                            .file = file,
                            .trusted_until_ns = UINT64_MAX };
    loop_random(loop, &r->seed, sizeof r->seed);
    map_init(&r->by_name);
    map_init(&r->by_id);
    list_init(&r->fetchers);
    list_init(&r->proposals);
    loop_task_init(&r->send_proposals, send_proposals);
    timer_init(&r->lag, loop, check_lag);
}

void replicas_release(struct replicas *r)
{
    map_each (node, &r->by_id) {
        topic_free(r, container_of(node, struct topic_replicas, by_id), false);
    }
    map_release(&r->by_name);
    map_release(&r->by_id);
    fetchers_release(r);
    loop_task_cancel(&r->send_proposals);
    timer_cancel(&r->lag);
}

/* A log in a known directory that the metadata does not place here was deleted or moved meanwhile.
 * */
static void drop_if_foreign(struct log *log, void *arg)
{
    struct replicas *r = arg;
    const struct image_partition *state =
        image_partition(meta_image(r->meta), log_topic_id(log), log_partition(log));
    if (state != NULL && image_has(state->replicas, state->n_replicas, r->node_id)) {
        return;
    }
    struct text topic = log_topic(log);
    diag_info(r->diag, DIAG_REPLICA,
              "removing a log that the cluster deleted or moved while this node was away "
              "topic=%.*s partition=%" PRId32 " end=%" PRId64,
              TEXT_ARG(topic), log_partition(log), log_end(log));
    store_delete(r->store, log);
}

/* Kafka's name for it; another class is one that we do not have: consumers read from leaders. */
static bool selects_by_rack(const struct replicas *r)
{
    static const char NAME[] = "RackAwareReplicaSelector";
    struct config_layers config = config_layers_of(meta_image(r->meta), r->node_id, r->file);
    struct text class = config_text(&config, "replica.selector.class");
    size_t len = sizeof NAME - 1;
    return class.len >= len && memcmp(class.data + class.len - len, NAME, len) == 0;
}

void replicas_start(struct replicas *r, struct store *store, struct meta *meta)
{
    const struct image *image = meta_image(meta);

    r->store = store;
    r->meta = meta;
    r->started = true;
    r->rack_aware = selects_by_rack(r);
    store_each(store, drop_if_foreign, r);
    for (size_t i = 0; i < image_topic_count(image); i++) {
        replicas_topic_changed(r, image_topic_at(image, i));
    }
    if (r->transport != NULL) {
        check_lag(&r->lag);
    }
}

static void each_partition(struct replicas *r, void (*visit)(struct partition *p))
{
    map_each (node, &r->by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            if (topic->partitions[i] != NULL) {
                visit(topic->partitions[i]);
            }
        }
    }
}

void replicas_suspend(struct replicas *r, bool on)
{
    r->suspended = on;
}

void replicas_trust(struct replicas *r, uint64_t until_ns)
{
    r->trusted_until_ns = until_ns;
}

void replicas_fail(struct replicas *r)
{
    each_partition(r, partition_fail);
}

/* ---- metrics ---------------------------------------------------------------------------------*/

static double read_u64(const void *arg)
{
    return (double)*(const uint64_t *)arg;
}

static void topic_series(struct buf *out, struct replicas *r, const char *name, const char *help,
                         size_t offset)
{
    metrics_write_head(out, name, "counter", help);
    map_each (node, &r->by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        uint64_t value;
        char labels[300];
        memcpy(&value, (char *)topic + offset, sizeof value);
        snprintf(labels, sizeof labels, "topic=\"%s\"", topic->name);
        metrics_write_value(out, name, labels, (double)value);
    }
}

/* Kafka's BrokerTopicMetrics under the names that jmx_exporter gives them. */
static void collect_topics(struct buf *out, void *arg)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } SERIES[] = {
        { "kafka_server_brokertopicmetrics_messagesin_total", "Records appended.",
          offsetof(struct topic_replicas, records_in) },
        { "kafka_server_brokertopicmetrics_bytesin_total", "Bytes of record batches appended.",
          offsetof(struct topic_replicas, bytes_in) },
        { "kafka_server_brokertopicmetrics_bytesout_total", "Bytes of record batches fetched.",
          offsetof(struct topic_replicas, bytes_out) },
        { "kafka_server_brokertopicmetrics_totalproducerequests_total",
          "Produce requests, counted for each topic in them.",
          offsetof(struct topic_replicas, produce_requests) },
        { "kafka_server_brokertopicmetrics_totalfetchrequests_total",
          "Fetch requests that brought records, counted for each topic in them.",
          offsetof(struct topic_replicas, fetch_requests) },
        { "kafka_server_brokertopicmetrics_failedproducerequests_total",
          "Partitions of Produce requests that were refused.",
          offsetof(struct topic_replicas, failed_produce) },
        { "kafka_server_brokertopicmetrics_failedfetchrequests_total",
          "Partitions of Fetch requests that were refused.",
          offsetof(struct topic_replicas, failed_fetch) },
    };
    for (size_t i = 0; i < countof(SERIES); i++) {
        topic_series(out, arg, SERIES[i].name, SERIES[i].help, SERIES[i].offset);
    }
}

void replicas_metrics(struct replicas *r, struct metrics *metrics)
{
    metrics_gauge(metrics, "kafka_server_replicamanager_partitioncount",
                  "Partitions with a replica on this node.", "", read_u64, &r->n_partitions);
    metrics_gauge(metrics, "kafka_server_replicamanager_leadercount",
                  "Partitions that this node leads.", "", read_u64, &r->n_leaders);
    metrics_collector(metrics, collect_topics, r);
}
