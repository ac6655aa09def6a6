/* InitProducerId (key 22): a producer id for an idempotent producer.
 *
 * Each call gives a new id with epoch 0, whatever id the client had before: an idempotent producer
 * bumps its epoch by itself (KIP-360). Transactional ids belong to a coordinator, which this broker
 * is not: COORDINATOR_NOT_AVAILABLE, which clients try again. */
#include "handlers.h"

#include <chronik/wire/api.h>

struct init_state {
    struct producer_id_wait wait;
    struct request *request;
};

static void refuse(struct request *request, enum kafka_error error)
{
    struct init_producer_id_response *out = request->reply;
    out->error = (int16_t)error;
    out->producer_id = out->producer_epoch = -1;
    request_reply(request);
}

static void got_id(struct producer_id_wait *wait, enum kafka_error error, int64_t id)
{
    struct init_state *state = container_of(wait, struct init_state, wait);
    struct init_producer_id_response *out = state->request->reply;
    if (error != KAFKA_NONE) {
        refuse(state->request, error);
        return;
    }
    out->producer_id = id;
    out->producer_epoch = 0;
    request_reply(state->request);
}

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *in = request->body;

    if (in->transactional_id.data != NULL) {
        refuse(request, in->transactional_id.len == 0 ? KAFKA_INVALID_REQUEST
                                                      : KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    struct init_state *state = request_alloc(request, 1, sizeof *state);
    state->request = request;
    state->wait.done = got_id;
    producer_ids_take(&request->api->producer_ids, &state->wait);
}
