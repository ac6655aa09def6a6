/* CreatePartitions (key 37): gives topics more partitions (KIP-195).
 *
 * The controller decides, each topic by itself: INVALID_PARTITIONS unless the number rises,
 * INVALID_REPLICA_ASSIGNMENT unless there is exactly one assignment for each new partition where
 * any are given. A name that comes twice is an INVALID_REQUEST, answered once. */
#include "handlers.h"

#include <chronik/wire/api.h>

struct partitions_state {
    struct request *request;
    struct meta_create_partitions_request ask;
    struct create_partitions_response_result **to; /* where the result of each of `ask` goes */
};

static void created(void *arg, enum kafka_error error, const void *response)
{
    struct partitions_state *state = arg;
    const struct meta_create_partitions_response *out = response;
    for (int32_t i = 0; i < state->ask.n_topics; i++) {
        if (error != KAFKA_NONE) {
            state->to[i]->error = (int16_t)error;
        } else {
            state->to[i]->error = out->topics[i].error;
            state->to[i]->error_message =
                api_message(state->request, out->topics[i].message);
        }
    }
    request_reply(state->request);
}

/* An empty list of assignments is one for none of the new partitions; the controller takes it for
 * "place them yourself", which only null means here. */
static bool assigns_nothing(const struct request *request,
                            const struct create_partitions_request_topic *topic)
{
    const struct image_topic *now = image_topic(meta_image(request->api->meta), topic->name);
    return topic->n_assignments == 0 && now != NULL && topic->count > now->n_partitions;
}

/* How many topics and new partitions, all together? */
static bool is_too_much(const struct request *request)
{
    const struct create_partitions_request *in = request->body;
    int64_t n = in->n_topics;
    for (int32_t i = 0; i < in->n_topics; i++) {
        const struct image_topic *now =
            image_topic(meta_image(request->api->meta), in->topics[i].name);
        n += now != NULL ? max_i64(0, (int64_t)in->topics[i].count - now->n_partitions) : 0;
    }
    return n > API_BATCH_MAX;
}

static enum kafka_error check_topic(const struct request *request, bool too_much,
                                    const struct create_partitions_request_topic *topic,
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
    if (assigns_nothing(request, topic)) {
        *ret_message = text_of("The list of assignments is empty: give one for each new partition, "
                               "or no list.");
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    return KAFKA_NONE;
}

static void copy_topic(struct request *request, const struct create_partitions_request_topic *from,
                       struct meta_create_partitions_request_topic *to)
{
    size_t n = (size_t)max_i64(0, from->n_assignments);
    to->name = from->name;
    to->count = from->count;
    to->assignments = request_items(request, n, meta_create_partitions_request_assignment);
    to->n_assignments = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        to->assignments[i].replicas = from->assignments[i].broker_ids;
        to->assignments[i].n_replicas = from->assignments[i].n_broker_ids;
    }
}

static void collect(struct partitions_state *state)
{
    struct request *request = state->request;
    const struct create_partitions_request *in = request->body;
    struct create_partitions_response *out = request->reply;
    size_t n = (size_t)in->n_topics;
    struct text *names = request_alloc(request, n, sizeof *names);
    bool too_much = is_too_much(request);

    for (size_t i = 0; i < n; i++) {
        names[i] = in->topics[i].name;
    }
    const uint8_t *repeats = api_repeats(request, names, n);
    out->results = request_items(request, n, create_partitions_response_result);
    state->ask.topics = request_items(request, n, meta_create_partitions_request_topic);
    state->to = request_alloc(request, n, sizeof *state->to);
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] == API_AGAIN) {
            continue;
        }
        struct create_partitions_response_result *to = &out->results[out->n_results++];
        to->name = names[i];
        to->error = (int16_t)check_topic(request, too_much, &in->topics[i], repeats[i],
                                         &to->error_message);
        if (to->error == KAFKA_NONE) {
            size_t at = (size_t)state->ask.n_topics++;
            state->to[at] = to;
            copy_topic(request, &in->topics[i], &state->ask.topics[at]);
        }
    }
}

void handle_create_partitions(struct request *request)
{
    const struct create_partitions_request *in = request->body;
    struct partitions_state *state = request_alloc(request, 1, sizeof *state);

    state->request = request;
    state->ask.validate_only = in->validate_only;
    collect(state);
    if (state->ask.n_topics == 0) {
        request_reply(request);
        return;
    }
    meta_create_partitions(request->api->meta, &state->ask,
                           api_deadline(request->api, in->timeout_ms), created, state);
}
