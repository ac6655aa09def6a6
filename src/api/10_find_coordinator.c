/* FindCoordinator (key 10): who coordinates a group (type 0), a transactional id (1) or a share
 * partition (2).
 *
 * The leader of the key's partition of an internal topic does. The topic of the groups is created
 * when it is asked for the first time; the answer waits for that. Where nobody leads the partition,
 * and for transactional ids and share partitions, it is COORDINATOR_NOT_AVAILABLE, which clients
 * try again. A type that does not exist in the request's version, or a share key that is not
 * group:topic id:partition, is an INVALID_REQUEST.
 *
 * Version notes: the type from 1 on (before: groups), many keys at once from 4 on, share
 * partitions from 6 on (KIP-932). */
#include "handlers.h"

enum { GROUP = 0, TRANSACTION = 1, SHARE = 2 };

struct find_state {
    struct coord_want want;
    struct request *request;
};

static bool is_share_key(struct text key)
{
    struct text group = text_cut(&key, ':'), topic = text_cut(&key, ':');
    struct uuid id;
    int64_t partition;
    return group.len > 0 && uuid_parse(topic, &id) && text_to_i64(key, &partition) &&
           partition >= 0 && partition <= INT32_MAX;
}

/* Where the group's coordinator listens. */
static enum kafka_error find_group(const struct request *request, struct text key,
                                   int32_t *ret_node, const struct image_endpoint **ret_endpoint)
{
    const struct api *api = request->api;
    int32_t leader = coord_leader_of(api->coord, COORD_GROUPS, key);
    const struct image_broker *broker = image_broker(meta_image(api->meta), leader);
    const struct image_endpoint *endpoint =
        broker != NULL && !broker->fenced ? api_endpoint(broker, request->listener) : NULL;
    if (endpoint == NULL) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    *ret_node = leader;
    *ret_endpoint = endpoint;
    return KAFKA_NONE;
}

static enum kafka_error look_up(const struct request *request, struct text key, int32_t *ret_node,
                                const struct image_endpoint **ret_endpoint)
{
    const struct find_coordinator_request *in = request->body;
    switch (in->key_type) {
    case GROUP:
        return find_group(request, key, ret_node, ret_endpoint);
    case TRANSACTION:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case SHARE:
        return request->header.api_version >= 6 && is_share_key(key)
                   ? KAFKA_COORDINATOR_NOT_AVAILABLE
                   : KAFKA_INVALID_REQUEST;
    default:
        return KAFKA_INVALID_REQUEST;
    }
}

static void find_one(struct request *request, struct text key,
                     struct find_coordinator_response_coordinator *to)
{
    const struct image_endpoint *endpoint = NULL;
    enum kafka_error error = look_up(request, key, &to->node_id, &endpoint);
    to->key = key;
    to->error = (int16_t)error;
    if (error != KAFKA_NONE) {
        to->error_message = text_of(kafka_error_text(error));
        to->node_id = to->port = -1;
    } else {
        to->host = request_text(request, endpoint->host);
        to->port = endpoint->port;
    }
}

static void answer(struct request *request)
{
    const struct find_coordinator_request *in = request->body;
    struct find_coordinator_response *out = request->reply;

    if (request->header.api_version < 4) {
        struct find_coordinator_response_coordinator found =
            find_coordinator_response_coordinator_default;
        find_one(request, in->key, &found);
        out->error = found.error;
        out->error_message = found.error_message;
        out->node_id = found.node_id;
        out->host = found.host;
        out->port = found.port;
    } else {
        out->n_coordinators = in->n_coordinator_keys;
        out->coordinators = request_items(request, (size_t)in->n_coordinator_keys,
                                          find_coordinator_response_coordinator);
        for (int32_t i = 0; i < in->n_coordinator_keys; i++) {
            find_one(request, in->coordinator_keys[i], &out->coordinators[i]);
        }
    }
    request_reply(request);
}

static void topic_is_there(struct coord_want *want)
{
    answer(container_of(want, struct find_state, want)->request);
}

void handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *in = request->body;
    struct find_state *state = request_alloc(request, 1, sizeof *state);

    state->request = request;
    state->want.done = topic_is_there;
    if (in->key_type != GROUP ||
        coord_topic_want(request->api->coord, COORD_GROUPS, &state->want)) {
        answer(request);
    }
}
