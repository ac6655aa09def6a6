/* Dispatch, the wait until the broker is ready, and what handlers share. */
#include <chronik/api/api.h>

#include <stdio.h>

enum { PATIENCE_S = 30 }; /* a request that has waited this long for readiness is given up */

/* ---- dispatch ---------------------------------------------------------------------------------*/

static void waiting_cancel(struct request *request)
{
    request_finish(request, REQUEST_CLOSE);
}

/* A waiting request has no state yet: its place in the queue is kept there. */
struct waiting {
    struct list link;
    struct request *request;
};

static void drop_waiting(struct request *request)
{
    struct waiting *waiting = request->state;
    list_remove(&waiting->link);
    waiting_cancel(request);
}

void api_handle(struct request *request)
{
    struct api *api = request->api;
    if (api->ready || (request->entry->flags & API_ANYTIME) != 0) {
        request->entry->handle(request);
        return;
    }
    struct waiting *waiting = request_alloc(request, 1, sizeof *waiting);
    waiting->request = request;
    request->state = waiting;
    request->cancel = drop_waiting;
    list_push_back(&api->waiting, &waiting->link);
    if (!timer_is_set(&api->patience)) {
        timer_set_in(&api->patience, PATIENCE_S * NS_PER_S);
    }
}

/* The protocol has no "not yet": a closed connection makes every client try again, here or
 * elsewhere. */
static void lose_patience(struct timer *timer)
{
    struct api *api = container_of(timer, struct api, patience);
    uint64_t now = loop_now_ns(api->loop);
    list_each (it, &api->waiting) {
        struct request *request = container_of(it, struct waiting, link)->request;
        if (request->received_ns + PATIENCE_S * NS_PER_S > now) {
            timer_set_at(timer, request->received_ns + PATIENCE_S * NS_PER_S);
            return;
        }
        drop_waiting(request);
    }
}

void api_start(struct api *api)
{
    struct config_layers config = api_config(api);
    struct list *it;

    session_cache_init(&api->sessions, api->replicas,
                       (uint64_t)config_number(
                           &config, "max.incremental.fetch.session.cache.slots"));
    producer_ids_start(&api->producer_ids, api->meta);
    api->ready = true;
    timer_cancel(&api->patience);
    while ((it = list_pop_front(&api->waiting)) != NULL) {
        struct request *request = container_of(it, struct waiting, link)->request;
        request->state = NULL;
        request->cancel = NULL;
        request->entry->handle(request);
    }
}

const struct api_entry *api_find(int16_t key)
{
    for (unsigned i = 0; i < api_table_count; i++) {
        if (api_table[i].wire->key == key) {
            return &api_table[i];
        }
    }
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------*/

void api_init(struct api *api, struct loop *loop, struct diag *diag,
              const struct image_configs *file)
{
    *api = (struct api){ .loop = loop, .diag = diag, .node_id = -1, .file = file };
    memcpy(api->start_levels, diag->level, sizeof api->start_levels);
    list_init(&api->waiting);
    list_init(&api->no_room);
    producer_ids_init(&api->producer_ids, loop);
    timer_init(&api->patience, loop, lose_patience);
}

void api_release(struct api *api)
{
    timer_cancel(&api->patience);
    list_each (it, &api->waiting) {
        drop_waiting(container_of(it, struct waiting, link)->request);
    }
    if (api->ready) {
        session_cache_release(&api->sessions);
    }
    codec_scratch_release(&api->scratch);
}

/* ---- shared by handlers -----------------------------------------------------------------------*/

struct config_layers api_config(const struct api *api)
{
    return config_layers_of(meta_image(api->meta), api->node_id, api->file);
}

const struct image_endpoint *api_endpoint(const struct image_broker *broker, const char *listener)
{
    for (unsigned i = 0; i < broker->n_endpoints; i++) {
        if (strcmp(broker->endpoints[i].listener, listener) == 0) {
            return &broker->endpoints[i];
        }
    }
    return NULL;
}

const struct image_topic *api_topic(const struct api *api, const struct uuid *id, struct text name,
                                    enum kafka_error *ret_error)
{
    const struct image *image = meta_image(api->meta);
    const struct image_topic *topic;
    if (id != NULL && !uuid_is_zero(id)) {
        topic = image_topic_by_id(image, id);
        *ret_error = topic ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_ID;
    } else {
        topic = image_topic(image, name);
        *ret_error = topic ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return topic;
}

struct partition *api_partition(const struct topic_replicas *topic, int32_t index,
                                enum kafka_error *ret_error)
{
    struct partition *p = topic_partition(topic, index);
    *ret_error = p != NULL                                        ? KAFKA_NONE
                 : index >= 0 && index < topic->n_partitions ? KAFKA_NOT_LEADER_OR_FOLLOWER
                                                             : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return p;
}


void api_replicas(struct request *request, const struct image_partition *partition,
                  struct api_replicas *ret_sets)
{
    const struct image *image = meta_image(request->api->meta);
    size_t n = partition->n_replicas;
    struct api_replicas sets = {
        .replicas = request_alloc(request, n, sizeof(int32_t)),
        .isr = request_alloc(request, partition->n_isr, sizeof(int32_t)),
        .offline = request_alloc(request, n, sizeof(int32_t)),
        .n_replicas = partition->n_replicas,
        .n_isr = partition->n_isr,
    };
    memcpy(sets.replicas, partition->replicas, n * sizeof(int32_t));
    memcpy(sets.isr, partition->isr, partition->n_isr * sizeof(int32_t));
    for (size_t i = 0; i < n; i++) {
        const struct image_broker *broker = image_broker(image, partition->replicas[i]);
        if (broker == NULL || broker->fenced) {
            sets.offline[sets.n_offline++] = partition->replicas[i];
        }
    }
    *ret_sets = sets;
}

uint64_t api_deadline(const struct api *api, int32_t timeout_ms)
{
    int64_t ms = max_i64(1, min_i64(timeout_ms, 3600000));
    return loop_now_ns(api->loop) + (uint64_t)ms * NS_PER_MS;
}

/* ---- metrics ----------------------------------------------------------------------------------*/

/* Request times under the name that jmx_exporter gives Kafka's. */
static void collect_latency(struct buf *out, void *arg)
{
    static const double QUANTILES[] = { 0.5, 0.95, 0.99, 0.999 };
    const struct api *api = arg;
    const char *name = "kafka_network_requestmetrics_totaltimems";
    char labels[80];

    metrics_write_head(out, name, "gauge", "Time from a request's last byte to its answer, ms.");
    for (unsigned i = 0; i < api_table_count; i++) {
        const struct wire_api *wire = api_table[i].wire;
        for (size_t q = 0; q < countof(QUANTILES); q++) {
            uint64_t ns = metric_quantile(&api->latency[wire->key], QUANTILES[q]);
            snprintf(labels, sizeof labels, "request=\"%s\",quantile=\"%g\"", wire->name,
                     QUANTILES[q]);
            metrics_write_value(out, name, labels, (double)ns / 1e6);
        }
    }
}

static double read_sessions(const void *arg)
{
    return (double)((const struct session_cache *)arg)->by_id.n;
}

void api_metrics(struct api *api, struct metrics *metrics)
{
    metrics_collector(metrics, collect_latency, api);
    metrics_gauge(metrics, "chronikd_fetch_sessions", "Fetch sessions that are remembered.", "",
                  read_sessions, &api->sessions);
    metrics_counter(metrics, "chronikd_fetch_sessions_evicted_total",
                    "Fetch sessions that made room for others.", "",
                    &api->sessions.evicted_total);
}
