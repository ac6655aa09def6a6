/* DeleteRecords (key 21): moves the log start of partitions up, so that older records are gone.
 *
 * An offset of -1 means the high watermark; below 0 or above the high watermark is an
 * OFFSET_OUT_OF_RANGE, below the log start nothing changes. A partition whose topic is only
 * compacted is a POLICY_VIOLATION, an internal topic an INVALID_TOPIC_EXCEPTION, as with Apache
 * Kafka. The answer comes when every new log start is durable, or when the time-out has passed:
 * REQUEST_TIMED_OUT for those that are not (they will be).
 *
 * The log's callbacks cannot be called off; so what they need lives by itself, until the last
 * one. */
#include "handlers.h"

#include <chronik/wire/api.h>
#include <errno.h>

/* Clients give a time-out for replicas that lag; the own disk gets this long in any case. */
enum { DISK_MS = 1000 };

/* One partition of the request. */
struct move {
    struct moves *all;
    struct uuid topic_id;
    int32_t index;
    bool waits;
    struct delete_records_response_partition *reply;
};

struct moves {
    struct request *request; /* NULL once it is answered */
    struct loop *loop;
    struct timer timer;
    size_t n, n_waiting;
    struct move items[];
};

static void answer(struct moves *all)
{
    timer_cancel(&all->timer);
    for (size_t i = 0; i < all->n; i++) {
        if (all->items[i].waits) {
            all->items[i].reply->error = KAFKA_REQUEST_TIMED_OUT;
        }
    }
    request_reply(all->request);
    all->request = NULL;
}

static void time_is_up(struct timer *timer)
{
    answer(container_of(timer, struct moves, timer));
}

/* One share of the waiting is over. */
static void settle(struct moves *all)
{
    if (--all->n_waiting > 0) {
        return;
    }
    if (all->request != NULL) {
        answer(all);
    }
    free(all);
}

/* The replica may have gone, or its log start may have moved on. */
static void fill_low_watermark(struct move *move)
{
    enum kafka_error error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    const struct topic_replicas *topic =
        replicas_topic_by_id(move->all->request->api->replicas, &move->topic_id);
    const struct partition *p = topic ? api_partition(topic, move->index, &error) : NULL;

    if (p != NULL && p->log == NULL) {
        error = KAFKA_KAFKA_STORAGE_ERROR;
    }
    move->reply->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        move->reply->low_watermark = log_start_offset(p->log);
    }
}

static void moved(void *arg, int error)
{
    struct move *move = arg;
    move->waits = false;
    if (move->all->request == NULL) {
        settle(move->all);
        return;
    }
    if (error != 0 && error != -ENOENT) {
        move->reply->error = KAFKA_KAFKA_STORAGE_ERROR;
    } else {
        fill_low_watermark(move);
    }
    settle(move->all);
}

/* Which offset is meant, and may it become the log start? */
static enum kafka_error check_offset(const struct topic_replicas *topic, const struct partition *p,
                                     int64_t asked, int64_t *ret_offset)
{
    const struct log_config *config = &topic->config.log;
    int64_t offset = asked == -1 ? p->high_watermark : asked;
    if (config->compact && !config->delete_old) {
        return KAFKA_POLICY_VIOLATION;
    }
    if (offset < 0 || offset > p->high_watermark) {
        return KAFKA_OFFSET_OUT_OF_RANGE;
    }
    *ret_offset = offset;
    return KAFKA_NONE;
}

static bool is_internal(const struct request *request, const struct topic_replicas *topic)
{
    const struct image_topic *now =
        image_topic_by_id(meta_image(request->api->meta), &topic->id);
    return now != NULL && now->internal;
}

static enum kafka_error start_move(struct move *move, const struct topic_replicas *topic,
                                   int64_t asked)
{
    enum kafka_error error;
    int64_t offset;
    if (is_internal(move->all->request, topic)) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    struct partition *p = api_partition(topic, move->index, &error);
    if (p != NULL) {
        error = partition_check_leader(p, -1);
    }
    if (error == KAFKA_NONE) {
        error = check_offset(topic, p, asked, &offset);
    }
    if (error != KAFKA_NONE) {
        return error;
    }
    move->topic_id = topic->id;
    move->waits = true;
    move->all->n_waiting++;
    if (log_move_start(p->log, offset, moved, move) != 0) {
        move->waits = false;
        move->all->n_waiting--;
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    return KAFKA_NONE;
}

/* Mirrors the request in the reply and starts every move that may be. */
static void start_all(struct moves *all)
{
    struct request *request = all->request;
    const struct delete_records_request *in = request->body;
    struct delete_records_response *out = request->reply;
    struct move *move = all->items;

    out->topics = request_items(request, (size_t)in->n_topics, delete_records_response_topic);
    for (int32_t t = 0; t < in->n_topics; t++) {
        const struct delete_records_request_topic *from = &in->topics[t];
        if (from->n_partitions == 0) {
            continue;
        }
        struct delete_records_response_topic *to = &out->topics[out->n_topics++];
        const struct topic_replicas *topic = replicas_topic(request->api->replicas, from->name);
        to->name = from->name;
        to->n_partitions = from->n_partitions;
        to->partitions = request_items(request, (size_t)from->n_partitions,
                                       delete_records_response_partition);
        for (int32_t i = 0; i < from->n_partitions; i++, move++) {
            move->all = all;
            move->index = from->partitions[i].partition_index;
            move->reply = &to->partitions[i];
            move->reply->partition_index = move->index;
            move->reply->low_watermark = -1;
            move->reply->error =
                topic ? (int16_t)start_move(move, topic, from->partitions[i].offset)
                      : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        }
    }
}

void handle_delete_records(struct request *request)
{
    const struct delete_records_request *in = request->body;
    int32_t timeout_ms = in->timeout_ms < DISK_MS ? DISK_MS : in->timeout_ms;
    size_t n = 0;

    for (int32_t t = 0; t < in->n_topics; t++) {
        n += (size_t)in->topics[t].n_partitions;
    }
    struct moves *all = mem_zalloc(sizeof *all + n * sizeof all->items[0]);
    all->request = request;
    all->n = n;
    all->n_waiting = 1; /* this function's own share */
    timer_init(&all->timer, request->api->loop, time_is_up);
    timer_set_at(&all->timer, api_deadline(request->api, timeout_ms));
    start_all(all);
    settle(all);
}
