/* FindCoordinator (key 10): who coordinates a group (type 0), a transactional id (1) or a share
 * partition (2).
 *
 * Nobody does yet: COORDINATOR_NOT_AVAILABLE, which clients try again. A type that does not
 * exist in the request's version, or a share key that is not group:topic id:partition, is an
 * INVALID_REQUEST.
 *
 * Version notes: the type from 1 on (before: groups), many keys at once from 4 on, share
 * partitions from 6 on (KIP-932). */
#include "handlers.h"

#include <chronik/wire/api.h>

enum { GROUP = 0, TRANSACTION = 1, SHARE = 2 };

static bool is_share_key(struct text key)
{
    struct text group = text_cut(&key, ':'), topic = text_cut(&key, ':');
    struct uuid id;
    int64_t partition;
    return group.len > 0 && uuid_parse(topic, &id) && text_to_i64(key, &partition) &&
           partition >= 0 && partition <= INT32_MAX;
}

static enum kafka_error look_up(const struct request *request, struct text key)
{
    const struct find_coordinator_request *in = request->body;
    switch (in->key_type) {
    case GROUP:
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

static void answer_one(struct request *request)
{
    const struct find_coordinator_request *in = request->body;
    struct find_coordinator_response *out = request->reply;
    enum kafka_error error = look_up(request, in->key);
    out->error = (int16_t)error;
    out->error_message = text_of(kafka_error_text(error));
    out->node_id = out->port = -1;
}

static void answer_many(struct request *request)
{
    const struct find_coordinator_request *in = request->body;
    struct find_coordinator_response *out = request->reply;
    size_t n = (size_t)in->n_coordinator_keys;

    out->coordinators = request_items(request, n, find_coordinator_response_coordinator);
    out->n_coordinators = in->n_coordinator_keys;
    for (size_t i = 0; i < n; i++) {
        struct find_coordinator_response_coordinator *to = &out->coordinators[i];
        to->key = in->coordinator_keys[i];
        to->error = (int16_t)look_up(request, to->key);
        to->node_id = to->port = -1;
    }
}

void handle_find_coordinator(struct request *request)
{
    if (request->header.api_version >= 4) {
        answer_many(request);
    } else {
        answer_one(request);
    }
    request_reply(request);
}
