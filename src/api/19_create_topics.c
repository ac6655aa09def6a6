/* CreateTopics (key 19): creates topics, each by itself; one that cannot be created does not
 * keep the others from it.
 *
 * The controller decides (names, numbers, assignments, configs) and the answer comes when the
 * topics are in this node's metadata, or when the request's time-out has passed
 * (REQUEST_TIMED_OUT; they may be created yet). A name that comes twice is refused, and answered
 * once.
 *
 * Version notes: from 5 on the answer tells partitions, replication factor and every config with
 * its source (KIP-525), from 7 on the id (KIP-516). */
#include "handlers.h"

#include <chronik/wire/api.h>

struct create_state {
    struct request *request;
    struct meta_create_topics_request ask;
    const struct create_topics_request_topic **from;  /* what each topic of `ask` came from */
    struct create_topics_response_topic **to;         /* and where its result goes */
    int32_t n_told; /* whose configs were looked after */
};

/* ---- the answer -------------------------------------------------------------------------------*/

static void fill_config(const struct config_description *from,
                        struct create_topics_response_config *to)
{
    to->name = text_of(from->def->name);
    to->value = from->value;
    to->read_only = from->read_only;
    to->config_source = (int8_t)from->source;
    to->is_sensitive = from->sensitive;
}

/* All that is in force for the topic, what was asked for first. */
static void fill_configs(struct request *request, const struct create_topics_request_topic *from,
                         struct create_topics_response_topic *to)
{
    struct image_configs own = { 0 };
    struct config_layers layers = api_config(request->api);
    size_t n;
    const struct config_def *defs = config_table(CONFIG_TOPIC, &n);

    for (int32_t i = 0; i < from->n_configs; i++) {
        config_set_put(&own, from->configs[i].name, from->configs[i].value);
    }
    layers.topic = &own;
    to->configs = request_items(request, n, create_topics_response_config);
    for (size_t i = 0; i < n; i++) {
        struct config_description description;
        config_describe(&defs[i], &layers, &request->arena, &description);
        if (!defs[i].hidden || description.source == CONFIG_FROM_TOPIC) {
            fill_config(&description, &to->configs[to->n_configs++]);
        }
    }
    config_set_release(&own);
}

static void fill_result(struct request *request,
                        const struct meta_create_topics_response_topic *result,
                        struct create_topics_response_topic *to)
{
    to->error = result->error;
    to->error_message = api_message(request, result->message);
    if (result->error == KAFKA_NONE) {
        to->topic_id = result->id;
        to->num_partitions = result->partitions;
        to->replication_factor = result->replication;
    }
}

/* Tells the configs of created topics, so many a turn. */
static void tell_configs(struct request *request)
{
    struct create_state *state = request->state;
    for (int32_t n_configs = 0; state->n_told < state->ask.n_topics; state->n_told++) {
        struct create_topics_response_topic *to = state->to[state->n_told];
        if (n_configs > API_CONFIGS_PER_TURN) {
            api_yield(request, tell_configs);
            return;
        }
        if (to->error == KAFKA_NONE) {
            fill_configs(request, state->from[state->n_told], to);
            n_configs += to->n_configs;
        }
    }
    request_reply(request);
}

static void created(void *arg, enum kafka_error error, const void *response)
{
    struct create_state *state = arg;
    const struct meta_create_topics_response *out = response;
    for (int32_t i = 0; i < state->ask.n_topics; i++) {
        if (error != KAFKA_NONE) {
            state->to[i]->error = (int16_t)error;
        } else {
            fill_result(state->request, &out->topics[i], state->to[i]);
        }
    }
    if (state->request->header.api_version >= 5) {
        tell_configs(state->request);
    } else {
        request_reply(state->request);
    }
}

/* ---- the request ------------------------------------------------------------------------------*/

static void copy_assignments(struct request *request,
                             const struct create_topics_request_topic *from,
                             struct meta_create_topics_request_topic *to)
{
    to->assignments = request_items(request, (size_t)from->n_assignments,
                                    meta_create_topics_request_assignment);
    to->n_assignments = from->n_assignments;
    for (int32_t i = 0; i < from->n_assignments; i++) {
        to->assignments[i].partition = from->assignments[i].partition_index;
        to->assignments[i].replicas = from->assignments[i].broker_ids;
        to->assignments[i].n_replicas = from->assignments[i].n_broker_ids;
    }
}

static void copy_topic(struct request *request, const struct create_topics_request_topic *from,
                       struct meta_create_topics_request_topic *to)
{
    to->name = from->name;
    to->partitions = from->num_partitions;
    to->replication = from->replication_factor;
    copy_assignments(request, from, to);
    to->configs =
        request_items(request, (size_t)from->n_configs, meta_create_topics_request_config);
    to->n_configs = from->n_configs;
    for (int32_t i = 0; i < from->n_configs; i++) {
        to->configs[i].name = from->configs[i].name;
        to->configs[i].value = from->configs[i].value;
    }
}

/* How many topics and partitions, all together? */
static bool is_too_much(const struct request *request)
{
    const struct create_topics_request *in = request->body;
    struct config_layers config = api_config(request->api);
    int64_t n = in->n_topics, by_default = config_number(&config, "num.partitions");
    for (int32_t i = 0; i < in->n_topics; i++) {
        const struct create_topics_request_topic *topic = &in->topics[i];
        n += topic->n_assignments > 0     ? topic->n_assignments
             : topic->num_partitions == -1 ? by_default
                                           : max_i64(0, topic->num_partitions);
    }
    return n > API_BATCH_MAX;
}

static bool has_null_config(const struct create_topics_request_topic *topic)
{
    for (int32_t i = 0; i < topic->n_configs; i++) {
        if (topic->configs[i].value.data == NULL) {
            return true;
        }
    }
    return false;
}

static enum kafka_error check_topic(const struct create_topics_request_topic *topic, bool too_much,
                                    enum api_repeat repeat, struct text *ret_message)
{
    if (too_much) {
        *ret_message = text_of(API_BATCH_MESSAGE);
        return KAFKA_POLICY_VIOLATION;
    }
    if (repeat != API_ONCE) {
        *ret_message = text_of("The name comes twice in the request.");
        return KAFKA_INVALID_REQUEST;
    }
    if (text_is(topic->name, "__cluster_metadata")) {
        *ret_message = text_of("The name stands for the metadata of the cluster.");
        return KAFKA_INVALID_REQUEST;
    }
    if (has_null_config(topic)) {
        *ret_message = text_of("A config has no value: leave it out to get the default.");
        return KAFKA_INVALID_CONFIG;
    }
    return KAFKA_NONE;
}

static void collect(struct create_state *state)
{
    struct request *request = state->request;
    const struct create_topics_request *in = request->body;
    struct create_topics_response *out = request->reply;
    size_t n = (size_t)in->n_topics;
    struct text *names = request_alloc(request, n, sizeof *names);
    bool too_much = is_too_much(request);

    for (size_t i = 0; i < n; i++) {
        names[i] = in->topics[i].name;
    }
    const uint8_t *repeats = api_repeats(request, names, n);
    out->topics = request_items(request, n, create_topics_response_topic);
    state->ask.topics = request_items(request, n, meta_create_topics_request_topic);
    state->from = request_alloc(request, n, sizeof *state->from);
    state->to = request_alloc(request, n, sizeof *state->to);
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] == API_AGAIN) {
            continue;
        }
        struct create_topics_response_topic *to = &out->topics[out->n_topics++];
        to->name = names[i];
        to->error_message = TEXT_NULL;
        to->error =
            (int16_t)check_topic(&in->topics[i], too_much, repeats[i], &to->error_message);
        if (to->error == KAFKA_NONE) {
            size_t at = (size_t)state->ask.n_topics++;
            state->from[at] = &in->topics[i];
            state->to[at] = to;
            copy_topic(request, &in->topics[i], &state->ask.topics[at]);
        }
    }
}

void handle_create_topics(struct request *request)
{
    const struct create_topics_request *in = request->body;
    struct create_state *state = request_alloc(request, 1, sizeof *state);

    state->request = request;
    request->state = state;
    state->ask.validate_only = in->validate_only;
    collect(state);
    if (state->ask.n_topics == 0) {
        request_reply(request);
        return;
    }
    meta_create_topics(request->api->meta, &state->ask, api_deadline(request->api, in->timeout_ms),
                       created, state);
}
