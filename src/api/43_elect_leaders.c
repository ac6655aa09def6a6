/* ElectLeaders (key 43): elections on request (KIP-183, KIP-460).
 *
 * Type 0 gives leadership to the preferred replica, if it is in sync; 1 elects where there is no
 * leader, an eligible replica or else any that serves, which may lose records. Without a list of
 * topics all partitions are meant, and those that need no election are not in the answer. A
 * partition that comes twice is an INVALID_REQUEST.
 *
 * Version 0 has type 0 only and no error of the whole. */
#include "handlers.h"

#include <chronik/wire/api.h>

enum { UNCLEAN = 1 };

static void copy_partitions(struct request *request, const struct meta_elect_leaders_response *from,
                            int32_t t, struct elect_leaders_response_topic *to)
{
    const struct meta_elect_leaders_response_topic *topic = &from->topics[t];
    size_t n = (size_t)topic->n_partitions;
    to->name = api_message(request, topic->name);
    to->partition_results = request_items(request, n, elect_leaders_response_partition);
    to->n_partition_results = topic->n_partitions;
    for (size_t i = 0; i < n; i++) {
        to->partition_results[i].partition_id = topic->partitions[i].partition;
        to->partition_results[i].error = topic->partitions[i].error;
        to->partition_results[i].error_message =
            api_message(request, topic->partitions[i].message);
    }
}

static void elected(void *arg, enum kafka_error error, const void *response)
{
    struct request *request = arg;
    const struct meta_elect_leaders_response *from = response;
    struct elect_leaders_response *out = request->reply;
    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        size_t n = (size_t)from->n_topics;
        out->replica_election_results = request_items(request, n, elect_leaders_response_topic);
        out->n_replica_election_results = from->n_topics;
        for (int32_t t = 0; t < from->n_topics; t++) {
            copy_partitions(request, from, t, &out->replica_election_results[t]);
        }
    }
    request_reply(request);
}

static enum kafka_error check_request(struct request *request)
{
    const struct elect_leaders_request *in = request->body;
    size_t n_topics = (size_t)max_i64(in->n_topics, 0);
    struct text *names = request_alloc(request, n_topics, sizeof *names);
    int64_t n = in->n_topics;
    for (size_t t = 0; t < n_topics; t++) {
        names[t] = in->topics[t].name;
        n += in->topics[t].n_partitions;
    }
    if (n > API_BATCH_MAX) {
        return KAFKA_POLICY_VIOLATION;
    }
    const uint8_t *repeats = api_repeats(request, names, n_topics);
    bool valid = in->election_type >= 0 && in->election_type <= UNCLEAN;
    for (size_t t = 0; t < n_topics; t++) {
        const struct elect_leaders_request_topic *topic = &in->topics[t];
        valid = valid && repeats[t] == API_ONCE &&
                !api_number_repeats(request, topic->partitions, (size_t)topic->n_partitions);
    }
    return valid ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
}

void handle_elect_leaders(struct request *request)
{
    const struct elect_leaders_request *in = request->body;
    struct elect_leaders_response *out = request->reply;
    size_t n = (size_t)max_i64(in->n_topics, 0);
    struct meta_elect_leaders_request ask = { .type = in->election_type,
                                              .n_topics = in->n_topics };

    out->error = (int16_t)check_request(request);
    if (out->error != KAFKA_NONE) {
        request_reply(request);
        return;
    }
    ask.topics = request_items(request, n, meta_elect_leaders_request_topic);
    for (size_t t = 0; t < n; t++) {
        ask.topics[t].name = in->topics[t].name;
        ask.topics[t].partitions = in->topics[t].partitions;
        ask.topics[t].n_partitions = in->topics[t].n_partitions;
    }
    meta_elect_leaders(request->api->meta, &ask, api_deadline(request->api, in->timeout_ms),
                       elected, request);
}
