/* DescribeCluster (key 60): the brokers, the controller and the id of the cluster (KIP-700).
 *
 * Brokers are told with the address of the listener that the request came through; one without
 * such a listener is left out. Every listener here is one of brokers: who asks for the
 * controllers (type 2, KIP-919) gets MISMATCHED_ENDPOINT_TYPE, any other type is
 * UNSUPPORTED_ENDPOINT_TYPE.
 *
 * Version notes: the type of endpoint from 1 on; fenced brokers on demand from 2 on (KIP-1073). */
#include "handlers.h"

#include <chronik/wire/api.h>

enum { BROKERS = 1, CONTROLLERS = 2 };

static enum kafka_error check_type(struct request *request)
{
    const struct describe_cluster_request *in = request->body;
    struct describe_cluster_response *out = request->reply;
    switch (in->endpoint_type) {
    case BROKERS:
        return KAFKA_NONE;
    case CONTROLLERS:
        out->error_message = text_of("This is a listener of brokers, not of controllers.");
        return KAFKA_MISMATCHED_ENDPOINT_TYPE;
    default:
        out->error_message = arena_printf(
            &request->arena, "There is no endpoint type %d: 1 is brokers, 2 is controllers.",
            in->endpoint_type);
        return KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
    }
}

/* The controller is told only with its address: an id alone would lead clients nowhere. */
static void fill_brokers(struct request *request)
{
    const struct describe_cluster_request *in = request->body;
    struct describe_cluster_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);
    int32_t controller = meta_controller(request->api->meta);
    size_t n = image_broker_count(image);

    out->brokers = request_items(request, n, describe_cluster_response_broker);
    for (size_t i = 0; i < n; i++) {
        const struct image_broker *broker = image_broker_at(image, i);
        const struct image_endpoint *at = api_endpoint(broker, request->listener);
        if (at == NULL || (broker->fenced && !in->include_fenced_brokers)) {
            continue;
        }
        struct describe_cluster_response_broker *to = &out->brokers[out->n_brokers++];
        to->broker_id = broker->id;
        to->host = request_text(request, at->host);
        to->port = at->port;
        to->rack = request_text(request, broker->rack);
        to->is_fenced = broker->fenced;
        if (broker->id == controller) {
            out->controller_id = controller;
        }
    }
}

void handle_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *in = request->body;
    struct describe_cluster_response *out = request->reply;
    enum kafka_error error = check_type(request);

    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        out->cluster_id = request_text(request, image_cluster_id(meta_image(request->api->meta)));
        fill_brokers(request);
        if (in->include_cluster_authorized_operations) {
            out->cluster_authorized_operations = API_CLUSTER_OPERATIONS;
        }
    }
    request_reply(request);
}
