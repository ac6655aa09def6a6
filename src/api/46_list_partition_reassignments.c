/* ListPartitionReassignments (key 46): the moves that are under way (KIP-455), from this node's
 * metadata. Topics and partitions that do not move, or do not exist, are left out. */
#include "handlers.h"

#include <chronik/wire/api.h>

static int32_t *copy_ids(struct request *request, const int32_t *ids, unsigned n)
{
    int32_t *copy = request_alloc(request, n, sizeof *copy);
    for (unsigned i = 0; i < n; i++) {
        copy[i] = ids[i];
    }
    return copy;
}

/* The i-th partition that is asked for. */
static int32_t number(const struct list_partition_reassignments_request_topic *asked, int32_t i)
{
    return asked ? asked->partition_indexes[i] : i;
}

static bool moves(const struct image_topic *topic, int32_t i)
{
    return i >= 0 && i < topic->n_partitions &&
           topic->partitions[i].n_adding + topic->partitions[i].n_removing > 0;
}

static void add_partition(struct request *request, const struct image_topic *topic, int32_t index,
                          struct list_partition_reassignments_response_topic *to)
{
    const struct image_partition *p = &topic->partitions[index];
    struct list_partition_reassignments_response_partition *out =
        &to->partitions[to->n_partitions++];
    out->partition_index = index;
    out->replicas = copy_ids(request, p->replicas, p->n_replicas);
    out->n_replicas = p->n_replicas;
    out->adding_replicas = copy_ids(request, p->adding, p->n_adding);
    out->n_adding_replicas = p->n_adding;
    out->removing_replicas = copy_ids(request, p->removing, p->n_removing);
    out->n_removing_replicas = p->n_removing;
}

/* `asked` NULL: all of its partitions. */
static void add_topic(struct request *request, const struct image_topic *topic,
                      const struct list_partition_reassignments_request_topic *asked)
{
    struct list_partition_reassignments_response *out = request->reply;
    struct list_partition_reassignments_response_topic *to = &out->topics[out->n_topics];
    int32_t n = asked ? asked->n_partition_indexes : topic->n_partitions;
    size_t n_moving = 0;
    for (int32_t i = 0; i < n; i++) {
        n_moving += moves(topic, number(asked, i));
    }
    to->name = request_text(request, topic->name);
    to->partitions =
        request_items(request, n_moving, list_partition_reassignments_response_partition);
    for (int32_t i = 0; i < n; i++) {
        if (moves(topic, number(asked, i))) {
            add_partition(request, topic, number(asked, i), to);
        }
    }
    out->n_topics += to->n_partitions > 0;
}

void handle_list_partition_reassignments(struct request *request)
{
    const struct list_partition_reassignments_request *in = request->body;
    struct list_partition_reassignments_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);
    size_t n = in->n_topics < 0 ? image_topic_count(image) : (size_t)in->n_topics;

    out->error_message = TEXT_NULL;
    if (in->n_topics > API_BATCH_MAX) {
        out->error = KAFKA_POLICY_VIOLATION;
        out->error_message = text_of(API_BATCH_MESSAGE);
        request_reply(request);
        return;
    }
    out->topics = request_items(request, n, list_partition_reassignments_response_topic);
    for (size_t t = 0; t < n; t++) {
        const struct image_topic *topic = in->n_topics < 0
                                              ? image_topic_at(image, t)
                                              : image_topic(image, in->topics[t].name);
        if (topic != NULL) {
            add_topic(request, topic, in->n_topics < 0 ? NULL : &in->topics[t]);
        }
    }
    request_reply(request);
}
