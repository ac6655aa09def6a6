/* OffsetFetch (key 9): the offsets that groups have committed.
 *
 * The reply is filled in from what the coordinator has, which may be ahead of what is committed in
 * its log; so it is sent when everything up to there is, and not at all by a node that may have
 * been replaced without knowing it. An offset that a client has seen does not go back. Partitions
 * without an offset have -1, and no error.
 *
 * Version notes: null for all topics and an error for the whole from 2 on (before: in each
 * partition), leader epochs from 5 on, many groups from 8 on, topics by id from 10 on. */
#include "handlers.h"

struct group_state_wait {
    struct coord_wait wait;
    struct fetch_groups *all;
    struct offset_fetch_response_group *reply;
    bool waits;
};

struct fetch_groups {
    struct request *request;
    struct group_state_wait *waits;
    size_t n_waiting;
    bool filled;
};

static bool by_id(const struct request *request)
{
    return request->header.api_version >= 10;
}

static bool requires_stable(const struct request *request)
{
    return ((const struct offset_fetch_request *)request->body)->require_stable;
}

/* ---- one group --------------------------------------------------------------------------------*/

static void put(struct request *request, const struct group_offset *from,
                struct offset_fetch_response_group_partition *to)
{
    to->partition_index = from->partition;
    to->committed_offset = from->offset;
    to->committed_leader_epoch = from->leader_epoch;
    to->metadata = arena_text(&request->arena, from->metadata);
}

static void fetch_topic(struct request *request, const struct groups *groups, struct text group_id,
                        const struct offset_fetch_request_group_topic *in,
                        struct offset_fetch_response_group_topic *out)
{
    enum kafka_error error = KAFKA_NONE;
    struct text name = in->name;
    if (by_id(request)) {
        const struct image_topic *topic = api_topic(request->api, &in->topic_id, TEXT_NULL, &error);
        error = topic ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_ID;
        name = topic ? text_of(topic->name) : TEXT_NULL;
    }
    out->name = in->name;
    out->topic_id = in->topic_id;
    out->n_partitions = in->n_partition_indexes;
    out->partitions = request_items(request, (size_t)out->n_partitions,
                                    offset_fetch_response_group_partition);
    for (int32_t i = 0; i < out->n_partitions; i++) {
        const struct group_offset none = { .partition = in->partition_indexes[i],
                                           .offset = -1,
                                           .leader_epoch = -1,
                                           .metadata = text_of("") };
        struct group_offset found = none;
        if (error == KAFKA_NONE) {
            groups_offset(groups, group_id, name, none.partition, &found);
        }
        bool unstable = requires_stable(request) && error == KAFKA_NONE &&
                        groups_offset_is_pending(groups, group_id, name, none.partition);
        put(request, unstable ? &none : &found, &out->partitions[i]);
        out->partitions[i].error = (int16_t)(unstable ? KAFKA_UNSTABLE_OFFSET_COMMIT : error);
    }
}

/* All offsets of a group, first counted, then filled in. */
struct all_offsets {
    struct request *request;
    const struct groups *groups;
    struct offset_fetch_response_group *to;
    struct text topic; /* of the one before */
    int32_t *counts;   /* partitions of each topic; NULL: counting topics */
    size_t n_topics;
    bool filling;
};

static bool is_next_topic(struct all_offsets *all, const struct group_offset *offset)
{
    bool is_next = all->topic.data != offset->topic.data; /* views of the same name are the same */
    all->topic = offset->topic;
    return is_next;
}

static void count_topics(void *arg, const struct group_offset *offset)
{
    struct all_offsets *all = arg;
    all->n_topics += is_next_topic(all, offset);
}

static void count_partitions(void *arg, const struct group_offset *offset)
{
    struct all_offsets *all = arg;
    all->n_topics += is_next_topic(all, offset);
    all->counts[all->n_topics - 1]++;
}

static void fill(void *arg, const struct group_offset *offset)
{
    struct all_offsets *all = arg;
    struct offset_fetch_response_group *to = all->to;
    if (is_next_topic(all, offset)) {
        struct offset_fetch_response_group_topic *topic = &to->topics[to->n_topics++];
        const struct image_topic *now =
            image_topic(meta_image(all->request->api->meta), offset->topic);
        topic->name = arena_text(&all->request->arena, offset->topic);
        topic->topic_id = now ? now->id : offset->topic_id;
        topic->partitions =
            request_items(all->request, (size_t)all->counts[to->n_topics - 1],
                          offset_fetch_response_group_partition);
    }
    struct offset_fetch_response_group_topic *topic = &to->topics[to->n_topics - 1];
    struct offset_fetch_response_group_partition *out =
        &topic->partitions[topic->n_partitions++];
    put(all->request, offset, out);
    if (requires_stable(all->request) &&
        groups_offset_is_pending(all->groups, to->group_id, offset->topic, offset->partition)) {
        out->committed_offset = out->committed_leader_epoch = -1;
        out->metadata = text_of("");
        out->error = KAFKA_UNSTABLE_OFFSET_COMMIT;
    }
}

static void fetch_all(struct request *request, const struct groups *groups,
                      struct offset_fetch_response_group *to)
{
    struct all_offsets all = { .request = request, .groups = groups, .to = to };
    groups_each_offset(groups, to->group_id, count_topics, &all);
    all.counts = request_alloc(request, all.n_topics, sizeof *all.counts);
    to->topics = request_items(request, all.n_topics, offset_fetch_response_group_topic);
    all.n_topics = 0;
    all.topic = TEXT_NULL;
    groups_each_offset(groups, to->group_id, count_partitions, &all);
    all.topic = TEXT_NULL;
    groups_each_offset(groups, to->group_id, fill, &all);
}

/* ---- older versions ---------------------------------------------------------------------------*/

/* The one group of a request up to version 7, in the shape of the newer ones. */
static struct offset_fetch_request_group *newer_request(struct request *request)
{
    const struct offset_fetch_request *in = request->body;
    struct offset_fetch_request_group *group =
        request_items(request, 1, offset_fetch_request_group);
    group->group_id = in->group_id;
    group->n_topics = in->n_topics;
    if (in->n_topics >= 0) {
        group->topics =
            request_items(request, (size_t)in->n_topics, offset_fetch_request_group_topic);
    }
    for (int32_t i = 0; i < in->n_topics; i++) {
        group->topics[i].name = in->topics[i].name;
        group->topics[i].partition_indexes = in->topics[i].partition_indexes;
        group->topics[i].n_partition_indexes = in->topics[i].n_partition_indexes;
    }
    return group;
}

static void older_reply(struct request *request, const struct offset_fetch_response_group *group)
{
    struct offset_fetch_response *out = request->reply;
    int16_t everywhere = request->header.api_version < 2 ? group->error : (int16_t)KAFKA_NONE;

    out->error = group->error;
    out->n_topics = group->n_topics;
    out->topics = request_items(request, (size_t)group->n_topics, offset_fetch_response_topic);
    for (int32_t t = 0; t < group->n_topics; t++) {
        const struct offset_fetch_response_group_topic *from = &group->topics[t];
        struct offset_fetch_response_topic *to = &out->topics[t];
        to->name = from->name;
        to->n_partitions = from->n_partitions;
        to->partitions = request_items(request, (size_t)from->n_partitions,
                                       offset_fetch_response_partition);
        for (int32_t p = 0; p < from->n_partitions; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].committed_offset = from->partitions[p].committed_offset;
            to->partitions[p].committed_leader_epoch = from->partitions[p].committed_leader_epoch;
            to->partitions[p].metadata = from->partitions[p].metadata;
            to->partitions[p].error =
                everywhere != KAFKA_NONE ? everywhere : from->partitions[p].error;
        }
    }
}

/* ---- the request ------------------------------------------------------------------------------*/

/* Nothing but the error is told. (Version 1 has it in the partitions, which are kept for that.) */
static void fail(struct fetch_groups *all, struct offset_fetch_response_group *group,
                 const struct offset_fetch_request_group *in, enum kafka_error error)
{
    group->error = (int16_t)error;
    group->n_topics = 0;
    if (all->request->header.api_version >= 2 || in == NULL) {
        return;
    }
    group->topics = request_items(all->request, (size_t)in->n_topics,
                                  offset_fetch_response_group_topic);
    group->n_topics = in->n_topics;
    for (int32_t i = 0; i < in->n_topics; i++) {
        group->topics[i].name = in->topics[i].name;
        group->topics[i].n_partitions = in->topics[i].n_partition_indexes;
        group->topics[i].partitions =
            request_items(all->request, (size_t)in->topics[i].n_partition_indexes,
                          offset_fetch_response_group_partition);
        for (int32_t p = 0; p < in->topics[i].n_partition_indexes; p++) {
            group->topics[i].partitions[p].partition_index = in->topics[i].partition_indexes[p];
            group->topics[i].partitions[p].committed_offset = -1;
            group->topics[i].partitions[p].metadata = text_of("");
        }
    }
}

static void answer(struct fetch_groups *all)
{
    if (all->filled && all->n_waiting == 0) {
        if (all->request->header.api_version < 8) {
            older_reply(all->request, all->waits[0].reply);
        }
        request_reply(all->request);
    }
}

static void settled(struct coord_wait *wait, enum kafka_error error)
{
    struct group_state_wait *group = container_of(wait, struct group_state_wait, wait);
    if (error != KAFKA_NONE) {
        /* Consumers before 3.9 try again after this one only. */
        group->reply->error = KAFKA_NOT_COORDINATOR;
        if (group->all->request->header.api_version >= 2) {
            group->reply->n_topics = 0;
        }
    }
    group->all->n_waiting--;
    answer(group->all);
}

static void fetch_group(struct fetch_groups *all, const struct offset_fetch_request_group *in,
                        struct group_state_wait *wait)
{
    struct request *request = all->request;
    struct offset_fetch_response_group *to = wait->reply;
    enum kafka_error error;
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);

    to->group_id = in->group_id;
    if (groups != NULL && !coord_is_sure(request->api->coord)) {
        groups = NULL;
        error = KAFKA_NOT_COORDINATOR;
    }
    if (groups == NULL) {
        fail(all, to, in->n_topics >= 0 ? in : NULL, error);
        return;
    }
    if (in->n_topics < 0) {
        fetch_all(request, groups, to);
    } else {
        to->topics = request_items(request, (size_t)in->n_topics,
                                   offset_fetch_response_group_topic);
        to->n_topics = in->n_topics;
        for (int32_t i = 0; i < in->n_topics; i++) {
            fetch_topic(request, groups, in->group_id, &in->topics[i], &to->topics[i]);
        }
    }
    if (!coord_wait(groups_log(groups), &wait->wait)) {
        all->n_waiting++;
    }
}

void handle_offset_fetch(struct request *request)
{
    const struct offset_fetch_request *in = request->body;
    struct offset_fetch_response *out = request->reply;
    bool older = request->header.api_version < 8;
    struct fetch_groups *all = request_alloc(request, 1, sizeof *all);
    const struct offset_fetch_request_group *asked = older ? newer_request(request) : in->groups;
    size_t n = older ? 1 : (size_t)in->n_groups;

    all->request = request;
    all->waits = request_alloc(request, n, sizeof *all->waits);
    struct offset_fetch_response_group *replies =
        request_items(request, n, offset_fetch_response_group);
    for (size_t i = 0; i < n; i++) {
        all->waits[i] = (struct group_state_wait){ .all = all, .reply = &replies[i] };
        all->waits[i].wait.done = settled;
        list_init(&all->waits[i].wait.link);
        fetch_group(all, &asked[i], &all->waits[i]);
    }
    if (!older) {
        out->groups = replies;
        out->n_groups = (int32_t)n;
    }
    all->filled = true;
    answer(all);
}
