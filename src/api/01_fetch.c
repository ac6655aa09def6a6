/* Fetch (key 1): reads record batches, waits for more where there are too few, remembers what a
 * client fetches (KIP-227).
 *
 * The request is turned into changes of a session (its own, or one from the cache); the session's
 * fetch runs (replica/fetch.h); the entries that it has something for become the reply. Record
 * bytes go from the log's memory, or from a chunk read from disk, to the socket without a copy.
 *
 * Version notes: topics by id from 13 on; diverging epochs from 12 on; the leader's address in
 * errors from 16 on (KIP-951). */
#include "handlers.h"

#include <chronik/wire/api.h>

enum {
    EPOCH_INITIAL = 0, /* a full fetch that asks for a new session */
    EPOCH_FINAL = -1,  /* a full fetch that wants none; closes the one it names */
    WAIT_MS_MAX = 3600000,
};

struct fetch_state {
    struct request *request;
    struct fetch fetch;
    bool full; /* every partition is in the reply, even without news */
};

static bool by_id(const struct request *request)
{
    return request->header.api_version >= 13;
}

/* ---- the session ------------------------------------------------------------------------------*/

static void update_entry(struct api *api, struct fetch_session *session,
                         const struct fetch_request_topic *topic,
                         const struct fetch_request_partition *from)
{
    int32_t index = from->partition_index;
    struct fetch_entry *entry = session_find(session, &topic->topic_id, topic->name, index);
    if (entry == NULL) {
        entry = session_add(&api->sessions, session, &topic->topic_id, topic->name, index);
    }
    entry->offset = entry->next = from->fetch_offset;
    entry->leader_epoch = from->current_leader_epoch;
    entry->last_fetched_epoch = from->last_fetched_epoch;
    entry->max_bytes = (uint32_t)max_i64(from->partition_max_bytes, 0);
    session_mark_dirty(entry);
}

static void update_session(struct request *request, struct fetch_session *session)
{
    const struct fetch_request *in = request->body;
    for (int32_t t = 0; t < in->n_forgotten_topics; t++) {
        const struct fetch_request_forgotten_topic *topic = &in->forgotten_topics[t];
        for (int32_t p = 0; p < topic->n_partitions; p++) {
            struct fetch_entry *entry =
                session_find(session, &topic->topic_id, topic->name, topic->partitions[p]);
            if (entry != NULL) {
                session_remove(session, entry);
            }
        }
    }
    for (int32_t t = 0; t < in->n_topics; t++) {
        for (int32_t p = 0; p < in->topics[t].n_partitions; p++) {
            update_entry(request->api, session, &in->topics[t], &in->topics[t].partitions[p]);
        }
    }
}

static struct fetch_session *full_session(struct request *request)
{
    const struct fetch_request *in = request->body;
    struct api *api = request->api;
    struct fetch_session *old =
        in->session_id != 0 ? session_cache_find(&api->sessions, in->session_id) : NULL;
    if (old != NULL) {
        session_close(&api->sessions, old);
    }
    struct fetch_session *session = session_new(&api->sessions, by_id(request));
    update_session(request, session);
    if (in->session_epoch == EPOCH_INITIAL && session->entries.n > 0) {
        session_cache_add(&api->sessions, session);
    }
    return session;
}

static struct fetch_session *continued_session(struct request *request, enum kafka_error *ret_error)
{
    const struct fetch_request *in = request->body;
    struct fetch_session *session = session_cache_find(&request->api->sessions, in->session_id);
    if (session == NULL) {
        *ret_error = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
        return NULL;
    }
    if (session->epoch != in->session_epoch || session->running != NULL) {
        *ret_error = KAFKA_INVALID_FETCH_SESSION_EPOCH;
        return NULL;
    }
    if (session->by_id != by_id(request)) {
        *ret_error = KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
        return NULL;
    }
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    list_remove(&session->lru);
    list_push_back(&request->api->sessions.lru, &session->lru);
    update_session(request, session);
    return session;
}

/* ---- the reply --------------------------------------------------------------------------------*/

static void add_node(struct request *request, int32_t node_id)
{
    enum { NODES_MAX = 64 };
    struct fetch_response *reply = request->reply;
    const struct image_broker *broker = image_broker(meta_image(request->api->meta), node_id);
    const struct image_endpoint *at = broker ? api_endpoint(broker, request->listener) : NULL;
    if (at == NULL || reply->n_node_endpoints == NODES_MAX) {
        return;
    }
    for (int32_t i = 0; i < reply->n_node_endpoints; i++) {
        if (reply->node_endpoints[i].node_id == node_id) {
            return;
        }
    }
    if (reply->node_endpoints == NULL) {
        reply->node_endpoints =
            request_items(request, NODES_MAX, fetch_response_node_endpoint);
    }
    struct fetch_response_node_endpoint *node = &reply->node_endpoints[reply->n_node_endpoints++];
    node->node_id = node_id;
    node->host = request_text(request, at->host);
    node->port = at->port;
    node->rack = request_text(request, broker->rack);
}

static void fill_leader(struct request *request, const struct fetch_entry *entry,
                        struct fetch_response_partition *out)
{
    enum kafka_error error;
    const struct image_topic *topic =
        api_topic(request->api, &entry->topic_id, text_of(entry->topic), &error);
    if (topic == NULL || entry->index >= topic->n_partitions || entry->index < 0) {
        return;
    }
    const struct image_partition *now = &topic->partitions[entry->index];
    if (now->leader >= 0) {
        out->current_leader.leader_id = now->leader;
        out->current_leader.leader_epoch = now->leader_epoch;
        add_node(request, now->leader);
    }
}

static void fill_partition(struct request *request, struct fetch_entry *entry,
                           struct fetch_response_partition *out)
{
    const struct fetch_request *in = request->body;
    const struct partition *p = entry->watch.partition;

    out->partition_index = entry->index;
    out->error = (int16_t)entry->error;
    out->high_watermark = out->last_stable_offset = out->log_start_offset = -1;
    out->n_aborted_transactions = in->isolation_level == 1 ? 0 : -1;
    out->records.chain = request_alloc(request, 1, sizeof *out->records.chain);
    if (entry->error != KAFKA_NONE) {
        if (entry->error == KAFKA_NOT_LEADER_OR_FOLLOWER ||
            entry->error == KAFKA_FENCED_LEADER_EPOCH) {
            fill_leader(request, entry, out);
        }
        if (p != NULL) {
            p->topic->failed_fetch++;
        }
        return;
    }
    if (p == NULL || p->log == NULL) { /* deleted while the fetch waited */
        out->error = entry->topic ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID;
        return;
    }
    out->high_watermark = entry->told_high_watermark = p->high_watermark;
    out->last_stable_offset = partition_visible_end(p);
    out->log_start_offset = entry->told_log_start = log_start_offset(p->log);
    out->preferred_read_replica = entry->preferred;
    if (entry->diverging_epoch >= 0) {
        out->diverging_epoch.epoch = entry->diverging_epoch;
        out->diverging_epoch.end_offset = entry->diverging_end;
        return;
    }
    p->topic->bytes_out += entry->batches.len;
    p->topic->fetch_requests += entry->batches.len > 0;
    chain_append(out->records.chain, &entry->batches);
}

static bool same_topic(const struct fetch_entry *a, const struct fetch_entry *b)
{
    return a->topic != NULL ? b->topic != NULL && strcmp(a->topic, b->topic) == 0
                            : uuid_equal(&a->topic_id, &b->topic_id);
}

/* One after the other, entries of the same topic share its element of the reply. */
struct reply_writer {
    struct request *request;
    struct fetch_response_topic *topic;
    const struct fetch_entry *last;
    struct fetch_response_partition *partitions; /* of all topics, one behind the other */
    size_t next;
};

static void write_entry(struct reply_writer *w, struct fetch_entry *entry)
{
    struct fetch_response *reply = w->request->reply;
    if (w->last == NULL || !same_topic(w->last, entry)) {
        w->topic = &reply->topics[reply->n_topics++];
        w->topic->name = entry->topic
                             ? request_text(w->request, entry->topic)
                             : text_of("");
        w->topic->topic_id = entry->topic_id;
        w->topic->partitions = &w->partitions[w->next];
    }
    fill_partition(w->request, entry, &w->partitions[w->next++]);
    w->topic->n_partitions++;
    w->last = entry;
}

static void write_reply(struct fetch_state *state)
{
    struct request *request = state->request;
    struct fetch_response *reply = request->reply;
    struct fetch_session *session = state->fetch.session;
    size_t n = 0;

    if (state->full) {
        n = session->entries.n;
    } else {
        list_each (it, &state->fetch.replies) {
            n++;
        }
    }
    struct reply_writer w = {
        .request = request,
        .partitions = request_items(request, n, fetch_response_partition),
    };
    reply->topics = request_items(request, n, fetch_response_topic);
    reply->n_topics = 0;
    reply->session_id = session->closed ? 0 : session->id;
    if (state->full) {
        map_each (node, &session->entries) {
            write_entry(&w, container_of(node, struct fetch_entry, node));
        }
    } else {
        list_each (it, &state->fetch.replies) {
            write_entry(&w, container_of(it, struct fetch_entry, reply));
        }
    }
}

/* ---- the request ------------------------------------------------------------------------------*/

static void fetch_done(struct fetch *fetch)
{
    struct fetch_state *state = container_of(fetch, struct fetch_state, fetch);
    struct fetch_session *session = fetch->session;
    struct request *request = state->request;

    write_reply(state);
    fetch_finish(fetch);
    if (session->id == 0) {
        session_close(&request->api->sessions, session);
    }
    request_reply(request);
}

static void cancel(struct request *request)
{
    struct fetch_state *state = request->state;
    fetch_hurry(&state->fetch);
}

void handle_fetch(struct request *request)
{
    const struct fetch_request *in = request->body;
    struct fetch_response *reply = request->reply;
    struct api *api = request->api;
    enum kafka_error error = KAFKA_NONE;
    bool full = in->session_epoch == EPOCH_INITIAL || in->session_epoch == EPOCH_FINAL;

    if (in->replica_id >= 0 || in->replica_state.replica_id >= 0) {
        /* Followers use the listener between brokers; here the field changes nothing that
         * matters. */
        error = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    }
    struct fetch_session *session = error != KAFKA_NONE ? NULL
                                    : full              ? full_session(request)
                                                        : continued_session(request, &error);
    if (session == NULL) {
        reply->error = (int16_t)error;
        request_reply(request);
        return;
    }
    struct fetch_state *state = request_alloc(request, 1, sizeof *state);
    struct config_layers config = api_config(api);
    uint64_t limit = (uint64_t)config_number(&config, "fetch.max.bytes");
    state->request = request;
    state->full = full;
    state->fetch = (struct fetch){
        .replicas = api->replicas,
        .session = session,
        .min_bytes = (uint64_t)max_i64(in->min_bytes, 0),
        .max_bytes = min_u64((uint64_t)max_i64(in->max_bytes, 0), limit),
        .wait_ns = (uint64_t)max_i64(0, min_i64(in->max_wait_ms, WAIT_MS_MAX)) * NS_PER_MS,
        .any_replica = request->header.api_version >= 11,
        .rack = in->rack_id,
        .done = fetch_done,
    };
    state->fetch.min_bytes = min_u64(state->fetch.min_bytes, state->fetch.max_bytes);
    request->state = state;
    request->cancel = cancel;
    fetch_start(&state->fetch);
}
