/* OffsetForLeaderEpoch (key 23): where an epoch ends, so that a client can find out whether and
 * where its position left the log (KIP-101, KIP-320). */
#include "handlers.h"

#include <chronik/wire/api.h>

static void handle_partition(const struct api *api, struct text topic_name,
                             const struct offset_for_leader_epoch_request_partition *in,
                             struct offset_for_leader_epoch_response_partition *out)
{
    struct topic_replicas *topic = replicas_topic(api->replicas, topic_name);
    enum kafka_error error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *p = topic ? api_partition(topic, in->partition_index, &error) : NULL;

    if (p != NULL) {
        error = partition_check_leader(p, in->current_leader_epoch);
    }
    out->partition_index = in->partition_index;
    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        log_epoch_end(p->log, in->leader_epoch, &out->leader_epoch, &out->end_offset);
    }
}

void handle_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *in = request->body;
    struct offset_for_leader_epoch_response *out = request->reply;

    out->topics = request_items(request, (size_t)in->n_topics,
                                offset_for_leader_epoch_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t t = 0; t < in->n_topics; t++) {
        const struct offset_for_leader_epoch_request_topic *from = &in->topics[t];
        struct offset_for_leader_epoch_response_topic *to = &out->topics[t];
        to->name = from->name;
        to->n_partitions = from->n_partitions;
        to->partitions = request_items(request, (size_t)from->n_partitions,
                                       offset_for_leader_epoch_response_partition);
        for (int32_t i = 0; i < from->n_partitions; i++) {
            handle_partition(request->api, from->name, &from->partitions[i], &to->partitions[i]);
        }
    }
    request_reply(request);
}
