/* DescribeQuorum (key 55): where the Raft group of the metadata stands (KIP-595, KIP-836).
 *
 * There is one partition to ask for: partition 0 of __cluster_metadata, by itself; everything
 * else is UNKNOWN_TOPIC_OR_PARTITION. Every node answers with what it knows: the leader knows
 * how far each voter has come, the others only their own end (-1: unknown). Every node is a
 * voter, so there are no observers. Voters are sent entries instead of fetching them; the time
 * of a voter's last fetch is told only where it is certain, when it has everything.
 *
 * Version notes: times from 1 on; directories and the voters' addresses from 2 on (KIP-853). */
#include "handlers.h"

#include <chronik/wire/api.h>

#define METADATA_TOPIC "__cluster_metadata"

static bool asks_for_metadata(const struct describe_quorum_request *in)
{
    return in->n_topics == 1 && text_is(in->topics[0].topic_name, METADATA_TOPIC) &&
           in->topics[0].n_partitions == 1 && in->topics[0].partitions[0].partition_index == 0;
}

static void refuse(struct request *request)
{
    const struct describe_quorum_request *in = request->body;
    struct describe_quorum_response *out = request->reply;

    out->topics = request_items(request, (size_t)in->n_topics, describe_quorum_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t t = 0; t < in->n_topics; t++) {
        const struct describe_quorum_request_topic *from = &in->topics[t];
        struct describe_quorum_response_topic *to = &out->topics[t];
        to->topic_name = from->topic_name;
        to->partitions = request_items(request, (size_t)from->n_partitions,
                                       describe_quorum_response_partition);
        to->n_partitions = from->n_partitions;
        for (int32_t i = 0; i < from->n_partitions; i++) {
            to->partitions[i].partition_index = from->partitions[i].partition_index;
            to->partitions[i].error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            to->partitions[i].error_message = text_of("Ask for partition 0 of " METADATA_TOPIC ".");
        }
    }
}

static void fill_voters(struct request *request, const struct meta_quorum *quorum,
                        struct describe_quorum_response_partition *out)
{
    const struct image *image = meta_image(request->api->meta);

    out->current_voters =
        request_items(request, quorum->n_voters, describe_quorum_response_replica_state);
    out->n_current_voters = (int32_t)quorum->n_voters;
    for (unsigned i = 0; i < quorum->n_voters; i++) {
        const struct meta_quorum_voter *from = &quorum->voters[i];
        struct describe_quorum_response_replica_state *to = &out->current_voters[i];
        const struct image_broker *broker = image_broker(image, from->id);
        to->replica_id = from->id;
        to->replica_directory_id = broker ? broker->raft_directory : UUID_ZERO;
        to->log_end_offset = from->end;
        to->last_caught_up_timestamp = from->caught_up_ms;
        to->last_fetch_timestamp = from->end > quorum->committed ? from->caught_up_ms : -1;
    }
}

static bool is_controller_listener(const struct request *request, const char *name)
{
    struct config_layers config = api_config(request->api);
    return config_list_has(config_text(&config, "controller.listener.names"), name);
}

/* The addresses at which the voters talk to each other; a node alone has none. */
static void fill_nodes(struct request *request, const struct meta_quorum *quorum)
{
    struct describe_quorum_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);

    out->nodes = request_items(request, quorum->n_voters, describe_quorum_response_node);
    out->n_nodes = (int32_t)quorum->n_voters;
    for (unsigned i = 0; i < quorum->n_voters; i++) {
        struct describe_quorum_response_node *to = &out->nodes[i];
        const struct image_broker *broker = image_broker(image, quorum->voters[i].id);
        size_t n = broker ? broker->n_endpoints : 0;
        to->node_id = quorum->voters[i].id;
        to->listeners = request_items(request, n, describe_quorum_response_listener);
        for (size_t k = 0; k < n; k++) {
            const struct image_endpoint *at = &broker->endpoints[k];
            if (is_controller_listener(request, at->listener)) {
                to->listeners[to->n_listeners++] = (struct describe_quorum_response_listener){
                    .name = request_text(request, at->listener),
                    .host = request_text(request, at->host),
                    .port = at->port,
                };
            }
        }
    }
}

void handle_describe_quorum(struct request *request)
{
    struct describe_quorum_response *out = request->reply;
    struct meta_quorum quorum;

    if (!asks_for_metadata(request->body)) {
        refuse(request);
        request_reply(request);
        return;
    }
    meta_quorum(request->api->meta, &quorum);
    out->topics = request_items(request, 1, describe_quorum_response_topic);
    out->n_topics = 1;
    out->topics->topic_name = text_of(METADATA_TOPIC);
    out->topics->partitions = request_items(request, 1, describe_quorum_response_partition);
    out->topics->n_partitions = 1;
    struct describe_quorum_response_partition *partition = out->topics->partitions;
    partition->leader_id = quorum.leader;
    partition->leader_epoch = (int32_t)quorum.term;
    partition->high_watermark = quorum.committed + 1;
    fill_voters(request, &quorum, partition);
    fill_nodes(request, &quorum);
    request_reply(request);
}
