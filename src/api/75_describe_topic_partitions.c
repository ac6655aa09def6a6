/* DescribeTopicPartitions (key 75): topics with their partitions, page by page (KIP-966).
 *
 * Topics are the named ones, or all when none is named; either way in order of their names, each
 * once. A page holds as many partitions as the client allows, at most
 * max.request.partition.size.limit and at least one; topics that do not exist take no room. The
 * cursor of an answer says where the next page begins: a partition of a topic, or the beginning
 * of one (which need not exist).
 *
 * A cursor must be of a named topic, when topics are named, and not of a negative partition:
 * else every topic of the answer is INVALID_REQUEST. Authorized operations are always told. */
#include "handlers.h"

#include <chronik/wire/api.h>

/* One page being filled. */
struct page {
    struct request *request;
    struct text start;       /* the cursor's topic; empty: from the beginning */
    int32_t start_partition; /* of that topic */
    int64_t room;            /* partitions that still fit */
    bool full;               /* the cursor is set */
};

/* ---- partitions -------------------------------------------------------------------------------*/

static int32_t *copy_ids(struct request *request, const int32_t *ids, size_t n)
{
    return arena_dup(&request->arena, ids, n * sizeof *ids);
}

/* Without a leader, who led last is the last known eligible replica. */
static void fill_eligible(struct request *request, const struct image_partition *from,
                          struct describe_topic_partitions_response_partition *to)
{
    bool known = from->leader < 0 && from->n_elr == 0 && from->last_leader >= 0;
    to->eligible_leader_replicas = copy_ids(request, from->elr, from->n_elr);
    to->n_eligible_leader_replicas = from->n_elr;
    to->last_known_elr = copy_ids(request, &from->last_leader, known ? 1 : 0);
    to->n_last_known_elr = known ? 1 : 0;
}

/* A leader that clients of this listener cannot reach is none for them. */
static int32_t reachable_leader(const struct request *request, int32_t leader)
{
    const struct image_broker *broker = image_broker(meta_image(request->api->meta), leader);
    bool reachable =
        broker != NULL && !broker->fenced && api_endpoint(broker, request->listener) != NULL;
    return reachable ? leader : -1;
}

static void fill_partition(struct request *request, const struct image_partition *from,
                           int32_t index, struct describe_topic_partitions_response_partition *to)
{
    struct api_replicas sets;
    api_replicas(request, from, &sets);
    to->partition_index = index;
    to->leader_id = reachable_leader(request, from->leader);
    to->leader_epoch = from->leader_epoch;
    to->replica_nodes = sets.replicas;
    to->n_replica_nodes = sets.n_replicas;
    to->isr_nodes = sets.isr;
    to->n_isr_nodes = sets.n_isr;
    to->offline_replicas = sets.offline;
    to->n_offline_replicas = sets.n_offline;
    fill_eligible(request, from, to);
}

/* ---- topics -----------------------------------------------------------------------------------*/

static void set_cursor(struct page *page, struct text topic, int32_t partition)
{
    struct describe_topic_partitions_response *out = page->request->reply;
    out->next_cursor = request_alloc(page->request, 1, sizeof *out->next_cursor);
    out->next_cursor->topic_name = topic;
    out->next_cursor->partition_index = partition;
    page->full = true;
}

static struct describe_topic_partitions_response_topic *next_topic(struct page *page,
                                                                   struct text name)
{
    struct describe_topic_partitions_response *out = page->request->reply;
    struct describe_topic_partitions_response_topic *topic = &out->topics[out->n_topics++];
    topic->name = name;
    topic->topic_authorized_operations = API_TOPIC_OPERATIONS;
    return topic;
}

static void put_topic(struct page *page, const struct image_topic *from)
{
    struct request *request = page->request;
    struct text name = request_text(request, from->name);
    int32_t first = text_equal(name, page->start) ? page->start_partition : 0;

    if (page->room == 0) {
        set_cursor(page, name, 0);
        return;
    }
    struct describe_topic_partitions_response_topic *to = next_topic(page, name);
    int64_t n = max_i64(0, min_i64(page->room, (int64_t)from->n_partitions - first));
    to->topic_id = from->id;
    to->is_internal = from->internal;
    to->partitions =
        request_items(request, (size_t)n, describe_topic_partitions_response_partition);
    to->n_partitions = (int32_t)n;
    for (int32_t i = 0; i < n; i++) {
        fill_partition(request, &from->partitions[first + i], first + i, &to->partitions[i]);
    }
    page->room -= n;
    if (first + n < from->n_partitions) {
        set_cursor(page, name, (int32_t)(first + n));
    }
}

static void put_missing(struct page *page, struct text name)
{
    struct text message;
    if (page->room == 0) {
        set_cursor(page, name, 0);
        return;
    }
    next_topic(page, name)->error = api_topic_name_ok(page->request, name, &message)
                                        ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                        : KAFKA_INVALID_TOPIC_EXCEPTION;
}

/* No topic is without partitions, but the cursor's may have none left to tell. */
static void put_all(struct page *page)
{
    struct describe_topic_partitions_response *out = page->request->reply;
    const struct image *image = meta_image(page->request->api->meta);
    size_t first = image_topic_from(image, page->start), end = image_topic_count(image);

    out->topics = request_items(page->request, min_u64((uint64_t)page->room + 1, end - first),
                                describe_topic_partitions_response_topic);
    for (size_t i = first; i < end && !page->full; i++) {
        put_topic(page, image_topic_at(image, i));
    }
}

static int by_name(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

static void put_named(struct page *page)
{
    const struct describe_topic_partitions_request *in = page->request->body;
    struct describe_topic_partitions_response *out = page->request->reply;
    const struct image *image = meta_image(page->request->api->meta);
    size_t n = (size_t)in->n_topics;
    struct text *names = request_alloc(page->request, n, sizeof *names);

    for (size_t i = 0; i < n; i++) {
        names[i] = in->topics[i].name;
    }
    qsort(names, n, sizeof *names, by_name);
    out->topics = request_items(page->request, n, describe_topic_partitions_response_topic);
    for (size_t i = 0; i < n && !page->full; i++) {
        if (text_compare(names[i], page->start) < 0 ||
            (i > 0 && text_equal(names[i], names[i - 1]))) {
            continue;
        }
        const struct image_topic *topic = image_topic(image, names[i]);
        if (topic != NULL) {
            put_topic(page, topic);
        } else {
            put_missing(page, names[i]);
        }
    }
}

/* ---- the request ------------------------------------------------------------------------------*/

static bool cursor_ok(const struct describe_topic_partitions_request *in)
{
    bool named = in->n_topics == 0;
    if (in->cursor == NULL) {
        return true;
    }
    for (int32_t i = 0; i < in->n_topics && !named; i++) {
        named = text_equal(in->topics[i].name, in->cursor->topic_name);
    }
    return named && in->cursor->partition_index >= 0;
}

static void refuse(struct request *request)
{
    const struct describe_topic_partitions_request *in = request->body;
    struct describe_topic_partitions_response *out = request->reply;
    out->topics = request_items(request, (size_t)in->n_topics,
                                describe_topic_partitions_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t i = 0; i < in->n_topics; i++) {
        out->topics[i].name = in->topics[i].name;
        out->topics[i].error = KAFKA_INVALID_REQUEST;
    }
}

void handle_describe_topic_partitions(struct request *request)
{
    const struct describe_topic_partitions_request *in = request->body;
    struct config_layers config = api_config(request->api);
    struct page page = {
        .request = request,
        .start = in->cursor ? in->cursor->topic_name : text_of(""),
        .start_partition = in->cursor ? in->cursor->partition_index : 0,
        .room = max_i64(1, min_i64(config_number(&config, "max.request.partition.size.limit"),
                                   in->response_partition_limit)),
    };
    if (!cursor_ok(in)) {
        refuse(request);
    } else if (in->n_topics == 0) {
        put_all(&page);
    } else {
        put_named(&page);
    }
    request_reply(request);
}
