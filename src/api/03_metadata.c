/* Metadata (key 3): the brokers, and who leads each partition.
 *
 * Topics are named, or given by id (from version 10 on), or all are meant: null, and in version
 * 0 an empty list. A named topic that does not exist is created when both the client and
 * auto.create.topics.enable allow it; the answer then comes when the creation is settled. Where
 * it is refused the topic's error says why. A topic that comes twice is answered once. Every
 * node answers from its own copy of the metadata.
 *
 * A client whose leader dies asks at once who leads now, and when it hears that it is still the
 * dead one it may not ask again for a second. So in a cluster an answer waits two milliseconds, in
 * which this node hears of the death as well; and where its own connection to the leader of a topic
 * in question has just broken, it waits a moment for the election.
 *
 * Authorized operations are INT32_MIN unless asked for; asked for without an authorizer, all
 * that exist for the resource, as Apache Kafka answers. */
#include "handlers.h"

#include <chronik/wire/api.h>

struct metadata_state {
    struct request *request;
    struct meta_create_topics_request create;
    struct meta_create_topics_request_topic *topics;
    int32_t *places;                 /* of each of them: where in the request it is */
    enum kafka_error *create_errors; /* of each topic of the request; KAFKA_NONE: none was tried */
    struct timer timer;              /* while an election is waited for */
    uint64_t patience_ns;            /* until then */
};

/* ---- brokers ----------------------------------------------------------------------------------*/

static void fill_brokers(struct request *request)
{
    struct metadata_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);
    size_t n = image_broker_count(image);

    out->brokers = request_items(request, n, metadata_response_broker);
    for (size_t i = 0; i < n; i++) {
        const struct image_broker *broker = image_broker_at(image, i);
        const struct image_endpoint *at = api_endpoint(broker, request->listener);
        if (broker->fenced || at == NULL) {
            continue;
        }
        struct metadata_response_broker *b = &out->brokers[out->n_brokers++];
        b->node_id = broker->id;
        b->host = request_text(request, at->host);
        b->port = at->port;
        b->rack = request_text(request, broker->rack);
    }
    out->cluster_id = request_text(request, image_cluster_id(image));
    out->controller_id = meta_controller(request->api->meta);
}

/* ---- topics -----------------------------------------------------------------------------------*/

static void fill_partition(struct request *request, const struct image_partition *from,
                           int32_t index, struct metadata_response_partition *to)
{
    struct api_replicas sets;
    api_replicas(request, from, &sets);
    to->error = from->leader < 0 ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    to->partition_index = index;
    to->leader_id = from->leader;
    to->leader_epoch = from->leader_epoch;
    to->replica_nodes = sets.replicas;
    to->n_replica_nodes = sets.n_replicas;
    to->isr_nodes = sets.isr;
    to->n_isr_nodes = sets.n_isr;
    to->offline_replicas = sets.offline;
    to->n_offline_replicas = sets.n_offline;
}

static void fill_topic(struct request *request, const struct image_topic *from,
                       struct metadata_response_topic *to)
{
    const struct metadata_request *in = request->body;
    to->error = KAFKA_NONE;
    to->name = request_text(request, from->name);
    to->topic_id = from->id;
    to->is_internal = from->internal;
    to->partitions =
        request_items(request, (size_t)from->n_partitions, metadata_response_partition);
    to->n_partitions = from->n_partitions;
    for (int32_t i = 0; i < from->n_partitions; i++) {
        fill_partition(request, &from->partitions[i], i, &to->partitions[i]);
    }
    if (in->include_topic_authorized_operations) {
        to->topic_authorized_operations = API_TOPIC_OPERATIONS;
    }
}

static void fill_all_topics(struct request *request)
{
    struct metadata_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);
    size_t n = image_topic_count(image);
    out->topics = request_items(request, n, metadata_response_topic);
    out->n_topics = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        fill_topic(request, image_topic_at(image, i), &out->topics[i]);
    }
}

static void fill_unknown(struct metadata_state *state, int32_t i, enum kafka_error error,
                         struct metadata_response_topic *to)
{
    const struct metadata_request *in = state->request->body;
    bool tried = state->create_errors[i] != KAFKA_NONE;
    to->error = (int16_t)(tried ? state->create_errors[i] : error);
    to->topic_id = in->topics[i].topic_id;
    to->name = in->topics[i].name;
    /* The name can be null only where ids exist. */
    if (to->name.data == NULL && state->request->header.api_version < 12) {
        to->name = text_of("");
    }
}

/* Marks topics that come again, by name or id: they are answered once, as with Apache Kafka. */
static const uint8_t *find_repeats(struct request *request)
{
    const struct metadata_request *in = request->body;
    size_t n = (size_t)in->n_topics;
    struct text *keys = request_alloc(request, n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        const struct metadata_request_topic *asked = &in->topics[i];
        enum kafka_error error;
        const struct image_topic *topic =
            api_topic(request->api, &asked->topic_id, asked->name, &error);
        keys[i] = topic != NULL             ? text_of(topic->name)
                  : asked->name.data != NULL ? asked->name
                                             : text_part((const char *)asked->topic_id.bytes,
                                                         sizeof asked->topic_id.bytes);
    }
    return api_repeats(request, keys, n);
}

static void fill_named_topics(struct metadata_state *state)
{
    struct request *request = state->request;
    const struct metadata_request *in = request->body;
    struct metadata_response *out = request->reply;
    const uint8_t *repeats = find_repeats(request);

    out->topics = request_items(request, (size_t)in->n_topics, metadata_response_topic);
    for (int32_t i = 0; i < in->n_topics; i++) {
        enum kafka_error error;
        if (repeats[i] == API_AGAIN) {
            continue;
        }
        struct metadata_response_topic *to = &out->topics[out->n_topics++];
        const struct image_topic *topic =
            api_topic(request->api, &in->topics[i].topic_id, in->topics[i].name, &error);
        if (topic != NULL) {
            fill_topic(request, topic, to);
        } else {
            fill_unknown(state, i, error, to);
        }
    }
}

static bool asks_for_all(const struct request *request)
{
    const struct metadata_request *in = request->body;
    return in->n_topics < 0 || (in->n_topics == 0 && request->header.api_version == 0);
}

static void answer(struct metadata_state *state)
{
    const struct metadata_request *in = state->request->body;
    struct metadata_response *out = state->request->reply;

    fill_brokers(state->request);
    if (asks_for_all(state->request)) {
        fill_all_topics(state->request);
    } else {
        fill_named_topics(state);
    }
    if (in->include_cluster_authorized_operations) {
        out->cluster_authorized_operations = API_CLUSTER_OPERATIONS;
    }
    request_reply(state->request);
}

/* ---- elections --------------------------------------------------------------------------------*/

static bool has_a_leader_in_doubt(struct api *api, const struct image_topic *topic)
{
    for (int32_t i = 0; topic != NULL && i < topic->n_partitions; i++) {
        if (topic->partitions[i].leader >= 0 &&
            meta_peer_is_in_doubt(api->meta, topic->partitions[i].leader)) {
            return true;
        }
    }
    return false;
}

/* Is an election to come that the client should not miss? */
static bool is_in_doubt(struct request *request)
{
    const struct metadata_request *in = request->body;
    const struct image *image = meta_image(request->api->meta);
    enum kafka_error error;
    for (size_t i = 0; asks_for_all(request) && i < image_topic_count(image); i++) {
        if (has_a_leader_in_doubt(request->api, image_topic_at(image, i))) {
            return true;
        }
    }
    for (int32_t i = 0; i < in->n_topics; i++) {
        const struct metadata_request_topic *asked = &in->topics[i];
        if (has_a_leader_in_doubt(request->api, api_topic(request->api, &asked->topic_id,
                                                          asked->name, &error))) {
            return true;
        }
    }
    return false;
}

static void answer_when_settled(struct metadata_state *state)
{
    enum { LOOK_AGAIN_MS = 5 };
    struct loop *loop = state->request->api->loop;
    if (!meta_any_peer_is_in_doubt(state->request->api->meta) ||
        loop_now_ns(loop) >= state->patience_ns || !is_in_doubt(state->request)) {
        answer(state);
    } else {
        timer_set_in(&state->timer, LOOK_AGAIN_MS * NS_PER_MS);
    }
}

static void look_again(struct timer *timer)
{
    answer_when_settled(container_of(timer, struct metadata_state, timer));
}

static void hear_first(struct metadata_state *state)
{
    enum { HEAR_MS = 2 };
    if (state->request->api->replicas->transport != NULL) {
        timer_set_in(&state->timer, HEAR_MS * NS_PER_MS);
    } else {
        answer(state);
    }
}

/* ---- auto-creation ----------------------------------------------------------------------------*/

/* A topic that somebody else has just created is found when the answer is made; a creation that
 * did not come through in time is worth another try. */
static enum kafka_error creation_error(enum kafka_error error)
{
    switch (error) {
    case KAFKA_NONE:
    case KAFKA_TOPIC_ALREADY_EXISTS:
        return KAFKA_LEADER_NOT_AVAILABLE;
    case KAFKA_REQUEST_TIMED_OUT:
    case KAFKA_NOT_CONTROLLER:
        return KAFKA_LEADER_NOT_AVAILABLE;
    default:
        return error;
    }
}

static void created(void *arg, enum kafka_error error, const void *response)
{
    struct metadata_state *state = arg;
    const struct meta_create_topics_response *out = response;

    for (int32_t i = 0; i < state->create.n_topics; i++) {
        state->create_errors[state->places[i]] = creation_error(
            error != KAFKA_NONE ? error : (enum kafka_error)out->topics[i].error);
    }
    answer(state);
}

static bool may_create(const struct request *request)
{
    const struct metadata_request *in = request->body;
    struct config_layers config = api_config(request->api);
    return in->n_topics > 0 && in->allow_auto_topic_creation &&
           config_bool(&config, "auto.create.topics.enable");
}

/* A coordinator's topic is as the coordinator wants it, or not created in passing. */
static bool fill_creation(struct request *request, struct text name,
                          struct meta_create_topics_request_topic *topic)
{
    if (coord_creation(request->api->coord, name, &request->arena, topic)) {
        return true;
    }
    topic->name = name;
    topic->partitions = topic->replication = -1;
    return !image_name_is_internal(name);
}

static void collect_missing(struct metadata_state *state)
{
    enum { AUTO_CREATE_MAX = 1000 }; /* topics a request; who asks again gets more */
    struct request *request = state->request;
    const struct metadata_request *in = request->body;
    size_t n = (size_t)in->n_topics;
    const uint8_t *repeats = find_repeats(request);

    state->topics = request_items(request, n, meta_create_topics_request_topic);
    state->places = request_alloc(request, n, sizeof *state->places);
    state->create.topics = state->topics;
    for (int32_t i = 0; i < in->n_topics && state->create.n_topics < AUTO_CREATE_MAX; i++) {
        struct text name = in->topics[i].name;
        enum kafka_error error;
        if (name.data == NULL || !uuid_is_zero(&in->topics[i].topic_id) ||
            repeats[i] == API_AGAIN || api_topic(request->api, NULL, name, &error) != NULL) {
            continue;
        }
        struct meta_create_topics_request_topic *topic = &state->topics[state->create.n_topics];
        if (fill_creation(request, name, topic)) {
            state->places[state->create.n_topics++] = i;
        }
    }
}

void handle_metadata(struct request *request)
{
    enum { CREATE_TIMEOUT_MS = 15000, PATIENCE_MS = 200 };
    const struct metadata_request *in = request->body;
    struct metadata_state *state = request_alloc(request, 1, sizeof *state);

    state->request = request;
    state->patience_ns = loop_now_ns(request->api->loop) + PATIENCE_MS * NS_PER_MS;
    timer_init(&state->timer, request->api->loop, look_again);
    state->create_errors =
        request_alloc(request, (size_t)max_i64(in->n_topics, 0), sizeof *state->create_errors);
    if (may_create(request)) {
        collect_missing(state);
    }
    if (state->create.n_topics == 0) {
        hear_first(state);
        return;
    }
    meta_create_topics(request->api->meta, &state->create,
                       api_deadline(request->api, CREATE_TIMEOUT_MS), created, state);
}
