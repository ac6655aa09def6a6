/* DeleteTopics (key 20): deletes topics, each by itself, by name or (from version 6 on) by id.
 *
 * The answer comes when the topics are gone from this node's metadata; their files follow. With
 * delete.topic.enable=false every topic is refused: TOPIC_DELETION_DISABLED, below version 3
 * INVALID_REQUEST. One item with both name and id, or with neither, and a topic that comes twice,
 * in whichever way, are an INVALID_REQUEST; what comes twice is answered once.
 *
 * Version notes: messages from 5 on; ids, and both in the answer, from 6 on (KIP-516). */
#include "handlers.h"

#include <chronik/wire/api.h>

struct delete_state {
    struct request *request;
    struct meta_delete_topics_request ask;
    struct delete_topics_response_topic **to; /* where the result of each topic of `ask` goes */
};

static void refuse(struct delete_topics_response_topic *to, enum kafka_error error,
                   const char *message)
{
    to->error = (int16_t)error;
    to->error_message = text_of(message);
}

static void deleted(void *arg, enum kafka_error error, const void *response)
{
    struct delete_state *state = arg;
    const struct meta_delete_topics_response *out = response;
    for (int32_t i = 0; i < state->ask.n_topics; i++) {
        if (error != KAFKA_NONE) {
            refuse(state->to[i], error, NULL);
        } else {
            state->to[i]->error = out->topics[i].error;
            state->to[i]->error_message =
                api_message(state->request, out->topics[i].message);
        }
    }
    request_reply(state->request);
}

/* ---- which topics are meant -------------------------------------------------------------------*/

/* One way to name topics for all versions. */
static struct delete_topics_request_topic *list_topics(struct request *request, size_t *ret_n)
{
    const struct delete_topics_request *in = request->body;
    if (request->header.api_version >= 6) {
        *ret_n = (size_t)in->n_topics;
        return in->topics;
    }
    size_t n = (size_t)in->n_topic_names;
    struct delete_topics_request_topic *topics =
        request_items(request, n, delete_topics_request_topic);
    for (size_t i = 0; i < n; i++) {
        topics[i].name = in->topic_names[i];
    }
    *ret_n = n;
    return topics;
}

/* How a topic was named, and which one that is. */
struct target {
    const struct image_topic *topic; /* NULL: `error` says why not */
    enum kafka_error error;
    const char *message;
    struct text key; /* equal for two items that mean the same */
};

/* Bytes as a key; `kind` keeps ids, places and names apart. */
static struct text key_of(struct request *request, char kind, const void *data, size_t len)
{
    char *key = request_alloc(request, 1, 1 + len);
    key[0] = kind;
    memcpy(key + 1, data, len);
    return text_part(key, 1 + len);
}

static struct target find_target(struct request *request,
                                 const struct delete_topics_request_topic *from, size_t place)
{
    bool by_name = from->name.data != NULL, by_id = !uuid_is_zero(&from->topic_id);
    struct target target = { .topic = NULL };

    if (by_name == by_id) {
        target.error = KAFKA_INVALID_REQUEST;
        target.message = by_name ? "Give a name or an id, not both."
                                 : "Neither a name nor an id was given.";
        target.key = key_of(request, 'p', &place, sizeof place);
        return target;
    }
    target.topic = api_topic(request->api, &from->topic_id, from->name, &target.error);
    if (target.topic != NULL) {
        target.key = key_of(request, 'i', &target.topic->id, sizeof target.topic->id);
    } else {
        target.message = kafka_error_text(target.error);
        target.key = by_id ? key_of(request, 'i', &from->topic_id, sizeof from->topic_id)
                           : key_of(request, 'n', from->name.data, from->name.len);
    }
    return target;
}

static const uint8_t *find_repeats(struct request *request, const struct target *targets, size_t n)
{
    struct text *keys = request_alloc(request, n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = targets[i].key;
    }
    return api_repeats(request, keys, n);
}

/* ---- the request ------------------------------------------------------------------------------*/

static enum kafka_error check_request(struct request *request, size_t n, const char **ret_message)
{
    struct config_layers config = api_config(request->api);
    if (!config_bool(&config, "delete.topic.enable")) {
        *ret_message = "Topics cannot be deleted here: delete.topic.enable is false.";
        return request->header.api_version >= 3 ? KAFKA_TOPIC_DELETION_DISABLED
                                                : KAFKA_INVALID_REQUEST;
    }
    if (n > API_BATCH_MAX) {
        *ret_message = API_BATCH_MESSAGE;
        return KAFKA_POLICY_VIOLATION;
    }
    return KAFKA_NONE;
}

static void fill_identity(struct request *request, const struct delete_topics_request_topic *from,
                          const struct target *target, struct delete_topics_response_topic *to)
{
    to->name = target->topic ? request_text(request, target->topic->name) : from->name;
    to->topic_id = target->topic ? target->topic->id : from->topic_id;
}

static void collect(struct delete_state *state)
{
    struct request *request = state->request;
    struct delete_topics_response *out = request->reply;
    size_t n;
    const char *message = NULL;
    const struct delete_topics_request_topic *topics = list_topics(request, &n);
    enum kafka_error refused = check_request(request, n, &message);
    struct target *targets = request_alloc(request, n, sizeof *targets);

    for (size_t i = 0; i < n; i++) {
        targets[i] = find_target(request, &topics[i], i);
    }
    const uint8_t *repeats = find_repeats(request, targets, n);
    out->topics = request_items(request, n, delete_topics_response_topic);
    state->ask.topics = request_items(request, n, meta_delete_topics_request_topic);
    state->to = request_alloc(request, n, sizeof *state->to);
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] == API_AGAIN) {
            continue;
        }
        struct delete_topics_response_topic *to = &out->topics[out->n_topics++];
        fill_identity(request, &topics[i], &targets[i], to);
        if (refused != KAFKA_NONE) {
            refuse(to, refused, message);
        } else if (repeats[i] == API_FIRST) {
            refuse(to, KAFKA_INVALID_REQUEST, "The topic comes twice in the request.");
        } else if (targets[i].error != KAFKA_NONE) {
            refuse(to, targets[i].error, targets[i].message);
        } else {
            state->to[state->ask.n_topics] = to;
            state->ask.topics[state->ask.n_topics++] =
                (struct meta_delete_topics_request_topic){ .id = to->topic_id };
        }
    }
}

void handle_delete_topics(struct request *request)
{
    const struct delete_topics_request *in = request->body;
    struct delete_state *state = request_alloc(request, 1, sizeof *state);

    state->request = request;
    collect(state);
    if (state->ask.n_topics == 0) {
        request_reply(request);
        return;
    }
    meta_delete_topics(request->api->meta, &state->ask, api_deadline(request->api, in->timeout_ms),
                       deleted, state);
}
