/* OffsetDelete (key 47): deletes committed offsets of topics that no member of the group subscribes
 * to (KIP-496). Told when the deletion is committed. */
#include "handlers.h"

struct delete_state {
    struct coord_wait wait;
    struct request *request;
    struct group_offset *offsets;
    int16_t *errors, **to;
    size_t n;
};

static void collect_topic(struct delete_state *state, const struct offset_delete_request_topic *in,
                          struct offset_delete_response_topic *out)
{
    struct request *request = state->request;
    const struct image_topic *topic = image_topic(meta_image(request->api->meta), in->name);

    out->name = in->name;
    out->n_partitions = in->n_partitions;
    out->partitions =
        request_items(request, (size_t)in->n_partitions, offset_delete_response_partition);
    for (int32_t i = 0; i < in->n_partitions; i++) {
        int32_t index = in->partitions[i].partition_index;
        out->partitions[i].partition_index = index;
        if (topic == NULL || index < 0 || index >= topic->n_partitions) {
            out->partitions[i].error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            state->to[state->n] = &out->partitions[i].error;
            state->offsets[state->n++] =
                (struct group_offset){ .topic = in->name, .partition = index };
        }
    }
}

static void answer(struct delete_state *state, enum kafka_error error)
{
    struct offset_delete_response *out = state->request->reply;
    out->error = (int16_t)error;
    for (size_t i = 0; i < state->n; i++) {
        *state->to[i] = state->errors[i];
    }
    if (error != KAFKA_NONE) {
        out->n_topics = 0;
    }
    request_reply(state->request);
}

static void deleted(struct coord_wait *wait, enum kafka_error error)
{
    answer(container_of(wait, struct delete_state, wait), error);
}

static void collect(struct delete_state *state)
{
    struct request *request = state->request;
    const struct offset_delete_request *in = request->body;
    struct offset_delete_response *out = request->reply;
    size_t n = 0;
    for (int32_t i = 0; i < in->n_topics; i++) {
        n += (size_t)in->topics[i].n_partitions;
    }
    state->offsets = request_alloc(request, n, sizeof *state->offsets);
    state->errors = request_alloc(request, n, sizeof *state->errors);
    state->to = request_alloc(request, n, sizeof *state->to);
    out->n_topics = in->n_topics;
    out->topics = request_items(request, (size_t)in->n_topics, offset_delete_response_topic);
    for (int32_t i = 0; i < in->n_topics; i++) {
        collect_topic(state, &in->topics[i], &out->topics[i]);
    }
}

void handle_offset_delete(struct request *request)
{
    const struct offset_delete_request *in = request->body;
    struct delete_state *state = request_alloc(request, 1, sizeof *state);
    enum kafka_error error;

    state->request = request;
    state->wait.done = deleted;
    list_init(&state->wait.link);
    collect(state);
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);
    if (groups != NULL) {
        error = groups_delete_offsets(groups, in->group_id, state->offsets, state->errors,
                                      state->n);
    }
    if (error != KAFKA_NONE || coord_wait(groups_log(groups), &state->wait)) {
        answer(state, error);
    }
}
