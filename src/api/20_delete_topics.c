/* DeleteTopics (key 20): deletes topics, each by itself, by name or (from version 6 on) by id.
 *
 * The answer comes when the topics are gone from this node's metadata; their files follow. With
 * delete.topic.enable=false every topic is refused: TOPIC_DELETION_DISABLED, below version 3
 * INVALID_REQUEST. A name or id that comes twice, a topic named by both name and id, or by
 * neither, and a name whose id is in the request as well are an INVALID_REQUEST; duplicates are
 * answered once.
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

/* An id as a key that no name is equal to. */
static struct text id_key(struct request *request, const struct uuid *id)
{
    char *key = request_alloc(request, 1, 1 + sizeof id->bytes);
    memcpy(key + 1, id->bytes, sizeof id->bytes);
    return text_part(key, 1 + sizeof id->bytes);
}

/* Names and ids as they were written, marked where they come again. */
static const uint8_t *find_repeats(struct request *request,
                                   const struct delete_topics_request_topic *topics, size_t n)
{
    struct text *keys = request_alloc(request, n, sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = topics[i].name.data != NULL ? topics[i].name
                                              : id_key(request, &topics[i].topic_id);
    }
    return api_repeats(request, keys, n);
}

/* Ids that stand in the request as such, sorted. */
struct ids {
    struct uuid *items;
    size_t n;
};

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static struct ids collect_ids(struct request *request,
                              const struct delete_topics_request_topic *topics, size_t n)
{
    struct ids ids = { .items = request_alloc(request, n, sizeof *ids.items) };
    for (size_t i = 0; i < n; i++) {
        if (topics[i].name.data == NULL) {
            ids.items[ids.n++] = topics[i].topic_id;
        }
    }
    qsort(ids.items, ids.n, sizeof *ids.items, by_bytes);
    return ids;
}

/* Looks the topic up and checks how it was named; `to` gets name and id as far as known. */
static enum kafka_error check_topic(struct request *request, const struct ids *ids,
                                    const struct delete_topics_request_topic *from,
                                    struct delete_topics_response_topic *to)
{
    enum kafka_error error;
    bool by_name = from->name.data != NULL, by_id = !uuid_is_zero(&from->topic_id);

    if (by_name == by_id) {
        to->error_message = text_of(by_name ? "Give a name or an id, not both."
                                            : "Neither a name nor an id was given.");
        return KAFKA_INVALID_REQUEST;
    }
    const struct image_topic *topic =
        api_topic(request->api, &from->topic_id, from->name, &error);
    if (topic == NULL) {
        to->error_message = text_of(kafka_error_text(error));
        return error;
    }
    to->name = request_text(request, topic->name);
    to->topic_id = topic->id;
    if (by_name && bsearch(&topic->id, ids->items, ids->n, sizeof *ids->items, by_bytes) != NULL) {
        to->error_message = text_of("The request has the topic's id as well.");
        return KAFKA_INVALID_REQUEST;
    }
    return KAFKA_NONE;
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

static void collect(struct delete_state *state)
{
    struct request *request = state->request;
    struct delete_topics_response *out = request->reply;
    size_t n;
    const char *message = NULL;
    const struct delete_topics_request_topic *topics = list_topics(request, &n);
    const uint8_t *repeats = find_repeats(request, topics, n);
    struct ids ids = collect_ids(request, topics, n);
    enum kafka_error refused = check_request(request, n, &message);

    out->topics = request_items(request, n, delete_topics_response_topic);
    state->ask.topics = request_items(request, n, meta_delete_topics_request_topic);
    state->to = request_alloc(request, n, sizeof *state->to);
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] == API_AGAIN) {
            continue;
        }
        struct delete_topics_response_topic *to = &out->topics[out->n_topics++];
        to->name = topics[i].name;
        to->topic_id = topics[i].topic_id;
        if (refused != KAFKA_NONE) {
            refuse(to, refused, message);
        } else if (repeats[i] == API_FIRST) {
            refuse(to, KAFKA_INVALID_REQUEST, "The topic comes twice in the request.");
        } else if ((to->error = (int16_t)check_topic(request, &ids, &topics[i], to)) ==
                   KAFKA_NONE) {
            state->to[state->ask.n_topics] = to;
            state->ask.topics[state->ask.n_topics++].id = to->topic_id;
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
