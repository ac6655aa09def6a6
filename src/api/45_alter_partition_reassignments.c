/* AlterPartitionReassignments (key 45): moves partitions to other brokers (KIP-455).
 *
 * The controller decides, each partition by itself. The answer comes when the move has begun; key
 * 46 shows what is under way. Null replicas cancel a move. Version 1 may forbid that the number of
 * replicas changes (KIP-860). */
#include "handlers.h"

#include <chronik/wire/api.h>

static void copy_results(struct request *request, const struct meta_reassign_response_topic *from,
                         struct alter_partition_reassignments_response_topic *to)
{
    size_t n = (size_t)from->n_partitions;
    to->name = api_message(request, from->name);
    to->partitions =
        request_items(request, n, alter_partition_reassignments_response_partition);
    to->n_partitions = from->n_partitions;
    for (size_t i = 0; i < n; i++) {
        to->partitions[i].partition_index = from->partitions[i].partition;
        to->partitions[i].error = from->partitions[i].error;
        to->partitions[i].error_message = api_message(request, from->partitions[i].message);
    }
}

static void reassigned(void *arg, enum kafka_error error, const void *response)
{
    struct request *request = arg;
    const struct meta_reassign_response *from = response;
    struct alter_partition_reassignments_response *out = request->reply;
    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        size_t n = (size_t)from->n_topics;
        out->topics = request_items(request, n, alter_partition_reassignments_response_topic);
        out->n_topics = from->n_topics;
        for (size_t t = 0; t < n; t++) {
            copy_results(request, &from->topics[t], &out->topics[t]);
        }
    }
    request_reply(request);
}

static void copy_topic(struct request *request,
                       const struct alter_partition_reassignments_request_topic *from,
                       struct meta_reassign_request_topic *to)
{
    size_t n = (size_t)from->n_partitions;
    to->name = from->name;
    to->partitions = request_items(request, n, meta_reassign_request_partition);
    to->n_partitions = from->n_partitions;
    for (size_t i = 0; i < n; i++) {
        to->partitions[i].partition = from->partitions[i].partition_index;
        to->partitions[i].replicas = from->partitions[i].replicas;
        to->partitions[i].n_replicas = from->partitions[i].n_replicas;
    }
}

static bool comes_twice(struct request *request,
                        const struct alter_partition_reassignments_request_topic *topic)
{
    size_t n = (size_t)topic->n_partitions;
    int32_t *partitions = request_alloc(request, n, sizeof *partitions);
    for (size_t i = 0; i < n; i++) {
        partitions[i] = topic->partitions[i].partition_index;
    }
    return api_number_repeats(request, partitions, n);
}

static enum kafka_error check_request(struct request *request, const char **ret_message)
{
    const struct alter_partition_reassignments_request *in = request->body;
    size_t n_topics = (size_t)in->n_topics;
    struct text *names = request_alloc(request, n_topics, sizeof *names);
    int64_t n = in->n_topics;
    for (size_t t = 0; t < n_topics; t++) {
        names[t] = in->topics[t].name;
        n += in->topics[t].n_partitions;
    }
    if (n > API_BATCH_MAX) {
        *ret_message = API_BATCH_MESSAGE;
        return KAFKA_POLICY_VIOLATION;
    }
    /* Two moves of a partition in one command would shut each other out. */
    const uint8_t *repeats = api_repeats(request, names, n_topics);
    for (size_t t = 0; t < n_topics; t++) {
        if (repeats[t] != API_ONCE || comes_twice(request, &in->topics[t])) {
            *ret_message = "A topic or a partition comes twice in the request.";
            return KAFKA_INVALID_REQUEST;
        }
    }
    return KAFKA_NONE;
}

void handle_alter_partition_reassignments(struct request *request)
{
    const struct alter_partition_reassignments_request *in = request->body;
    struct alter_partition_reassignments_response *out = request->reply;
    size_t n = (size_t)in->n_topics;
    const char *message = NULL;
    enum kafka_error error = check_request(request, &message);

    out->error_message = TEXT_NULL;
    out->allow_replication_factor_change = in->allow_replication_factor_change;
    if (error != KAFKA_NONE) {
        out->error = (int16_t)error;
        out->error_message = text_of(message);
        request_reply(request);
        return;
    }
    struct meta_reassign_request ask = {
        .allow_factor_change = in->allow_replication_factor_change, .n_topics = in->n_topics };
    ask.topics = request_items(request, n, meta_reassign_request_topic);
    for (size_t t = 0; t < n; t++) {
        copy_topic(request, &in->topics[t], &ask.topics[t]);
    }
    meta_reassign(request->api->meta, &ask, api_deadline(request->api, in->timeout_ms),
                  reassigned, request);
}
