/* OffsetCommit (key 8): stores how far a group has read.
 *
 * Offsets of topics and partitions that exist are appended to the group's partition of
 * __consumer_offsets and acknowledged when that is committed; the others are refused one by one,
 * and do not hold up the rest.
 *
 * Version notes: a retention of its own up to 4; topics by id from 10 on. */
#include "handlers.h"

struct commit_state {
    struct coord_wait wait;
    struct request *request;
    struct group_offset *offsets;
    int16_t *errors;
    int16_t **to; /* where the errors go in the reply */
    size_t n;
};

/* An unknown topic or partition is told at once; what is known is collected. */
static void collect_topic(struct commit_state *state, const struct offset_commit_request_topic *in,
                          struct offset_commit_response_topic *out)
{
    struct request *request = state->request;
    enum kafka_error error;
    const struct uuid *id = request->header.api_version >= 10 ? &in->topic_id : NULL;
    const struct image_topic *topic = api_topic(request->api, id, in->name, &error);

    if (id != NULL && topic == NULL) {
        error = KAFKA_UNKNOWN_TOPIC_ID;
    }
    out->name = in->name;
    out->topic_id = in->topic_id;
    out->n_partitions = in->n_partitions;
    out->partitions =
        request_items(request, (size_t)in->n_partitions, offset_commit_response_partition);
    for (int32_t i = 0; i < in->n_partitions; i++) {
        const struct offset_commit_request_partition *from = &in->partitions[i];
        struct offset_commit_response_partition *to = &out->partitions[i];
        to->partition_index = from->partition_index;
        if (topic == NULL) {
            to->error = (int16_t)error;
        } else if (from->partition_index < 0 || from->partition_index >= topic->n_partitions) {
            to->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            state->to[state->n] = &to->error;
            state->offsets[state->n++] = (struct group_offset){
                .topic = text_of(topic->name),
                .topic_id = topic->id,
                .partition = from->partition_index,
                .offset = from->committed_offset,
                .leader_epoch = from->committed_leader_epoch,
                .metadata = from->committed_metadata,
            };
        }
    }
}

static void collect(struct commit_state *state)
{
    struct request *request = state->request;
    const struct offset_commit_request *in = request->body;
    struct offset_commit_response *out = request->reply;
    size_t n = 0;

    for (int32_t i = 0; i < in->n_topics; i++) {
        n += (size_t)in->topics[i].n_partitions;
    }
    state->offsets = request_alloc(request, n, sizeof *state->offsets);
    state->errors = request_alloc(request, n, sizeof *state->errors);
    state->to = request_alloc(request, n, sizeof *state->to);
    out->topics = request_items(request, (size_t)in->n_topics, offset_commit_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t i = 0; i < in->n_topics; i++) {
        collect_topic(state, &in->topics[i], &out->topics[i]);
    }
}

/* `error`: of all that were collected; NONE: each has its own. */
static void answer(struct commit_state *state, enum kafka_error error)
{
    for (size_t i = 0; i < state->n; i++) {
        *state->to[i] = error != KAFKA_NONE ? (int16_t)error : state->errors[i];
    }
    request_reply(state->request);
}

static void committed(struct coord_wait *wait, enum kafka_error error)
{
    answer(container_of(wait, struct commit_state, wait), error);
}

void handle_offset_commit(struct request *request)
{
    const struct offset_commit_request *in = request->body;
    struct commit_state *state = request_alloc(request, 1, sizeof *state);
    enum kafka_error error;

    state->request = request;
    state->wait.done = committed;
    list_init(&state->wait.link);
    collect(state);
    const struct group_commit commit = {
        .group_id = in->group_id,
        .member_id = in->member_id,
        .instance_id = in->group_instance_id,
        .generation = in->generation_id_or_member_epoch,
        .version = request->header.api_version,
        .retention_ms = in->retention_time_ms,
        .offsets = state->offsets,
        .errors = state->errors,
        .n = state->n,
    };
    if (state->n == 0) {
        request_reply(request);
        return;
    }
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);
    if (groups != NULL) {
        error = groups_commit(groups, &commit);
    }
    if (error != KAFKA_NONE || coord_wait(groups_log(groups), &state->wait)) {
        answer(state, error);
    }
}
