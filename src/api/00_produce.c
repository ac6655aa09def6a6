/* Produce (key 0): checks record batches, appends them, answers when they are safe.
 *
 * First every partition's batch is validated: inline, or in a job when it has to be opened and is
 * large (later requests of the connection are held meanwhile: batches are appended in the order in
 * which they arrived). Then all are appended; each part waits for its durable end (acks=1) or the
 * high watermark (acks=all). The answer goes when no part waits any more, or the time-out has
 * passed.
 *
 * Versions 0 to 2 are advertised, since old librdkafka reads its codecs from that, and close the
 * connection, as with Apache Kafka 4. */
#include "handlers.h"

#include <chronik/io/job.h>
#include <chronik/wire/api.h>

enum { INLINE_BYTES = 64 * 1024 }; /* a compressed batch up to this size is opened on the loop */

/* One partition of the request. */
struct part {
    struct produce produce;
    struct produce_state *state;
    struct produce_response_partition *reply;
    struct topic_replicas *topic;
    struct partition *partition;
    struct batch batch;
    struct batch_rules rules;
    bool recompress;    /* compression.type asks for another codec: `codec` */
    enum codec codec;
    struct buf rebuilt; /* the batch in the other codec */
    enum kafka_error error;
    struct batch_verdict verdict;
    const char *message; /* static */
    bool waits;
};

struct produce_state {
    struct request *request;
    struct part *parts;
    size_t n_parts, next; /* parts below `next` are appended, or have their error */
    size_t n_waiting;     /* parts that are appended and not safe yet */
    bool failed;          /* a part had an error */
    struct timer timer;
    struct job job;       /* validates the large parts */
    struct list no_room;  /* in api->no_room */
};

static const struct produce_request *body(const struct produce_state *state)
{
    return state->request->body;
}

/* ---- validation -------------------------------------------------------------------------------*/

static struct batch_rules rules_of(const struct topic_config *config, int64_t now_ms)
{
    int64_t before = config->timestamp_before_max_ms, after = config->timestamp_after_max_ms;
    return (struct batch_rules){
        .max_bytes = config->max_message_bytes,
        .max_inflated = config->max_decompressed_bytes,
        .need_keys = config->log.compact,
        .timestamp_min = before >= now_ms ? INT64_MIN : now_ms - before,
        .timestamp_max = after >= INT64_MAX - now_ms ? INT64_MAX : now_ms + after,
        .log_append_time = config->log_append_time,
    };
}

/* What can be said of a batch without looking at its records. */
static enum kafka_error check_header(struct part *part, size_t records_len, int16_t version)
{
    const struct batch *b = &part->batch;
    if (b->raw.len != records_len) {
        part->message = "a Produce request carries exactly one batch for each partition";
        return KAFKA_INVALID_RECORD;
    }
    if (b->base_offset != 0) {
        part->message = "the base offset of a producer's batch must be 0";
        return KAFKA_INVALID_RECORD;
    }
    if ((b->attributes & BATCH_TRANSACTIONAL) != 0) {
        part->message = "no transaction is open: this broker does not coordinate transactions";
        return KAFKA_INVALID_TXN_STATE;
    }
    if (batch_codec(b) == CODEC_ZSTD && version < 7) {
        part->message = "zstd needs Produce version 7 or later";
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    return KAFKA_NONE;
}

/* Finds partition and batch; what is wrong with either ends in `part->error`. */
static void open_part(struct request *request, struct part *part, int32_t index,
                      struct bytes records)
{
    part->reply->partition_index = index;
    if (part->topic == NULL) {
        return;
    }
    const struct topic_config *config = &part->topic->config;
    part->partition = api_partition(part->topic, index, &part->error);
    if (part->error == KAFKA_NONE && part->topic->internal) {
        part->error = KAFKA_INVALID_TOPIC_EXCEPTION;
        part->message = "the topic belongs to the coordinators: clients do not write to it";
    }
    if (part->error != KAFKA_NONE) {
        return;
    }
    if (records.data == NULL) {
        part->error = KAFKA_INVALID_RECORD;
        part->message = "no records";
        return;
    }
    part->error = batch_parse(records, &part->batch);
    if (part->error == KAFKA_NONE) {
        part->error = check_header(part, records.len, request->header.api_version);
    }
    part->rules = rules_of(config, loop_wall_ms(request->api->loop));
    part->codec = config->codec;
    part->recompress = !config->keep_codec && batch_codec(&part->batch) != config->codec;
}

static bool is_heavy(const struct part *part)
{
    return part->recompress ||
           (batch_codec(&part->batch) != CODEC_NONE && part->batch.raw.len > INLINE_BYTES);
}

/* May run in a job, with a scratch of its own: touches this part only. */
static void validate(struct part *part, struct codec_scratch *scratch)
{
    part->error = batch_validate(&part->batch, &part->rules, scratch, &part->verdict);
    if (part->error != KAFKA_NONE) {
        part->message = part->verdict.text;
        return;
    }
    if (part->verdict.max_timestamp != part->batch.max_timestamp) {
        batch_stamp_max((uint8_t *)part->batch.raw.data, part->verdict.max_timestamp);
        part->batch.max_timestamp = part->verdict.max_timestamp;
    }
    if (part->recompress) {
        int result = batch_recompress(&part->batch, part->codec, part->rules.max_inflated,
                                      scratch, &part->rebuilt);
        part->error = result == 0 ? batch_parse(buf_bytes(&part->rebuilt), &part->batch)
                                  : KAFKA_CORRUPT_MESSAGE;
    }
}

/* ---- the answer -------------------------------------------------------------------------------*/

static void fill_record_errors(struct produce_state *state, struct part *part)
{
    enum { MAX_FAULTS = 100 };
    struct batch_fault faults[MAX_FAULTS];
    bool by_records = part->message != NULL && part->message == part->verdict.text;
    if (!by_records || part->verdict.record < 0) {
        return;
    }
    size_t n = batch_faults(&part->batch, &part->rules, &state->request->api->scratch, faults,
                            MAX_FAULTS);
    part->reply->record_errors =
        request_items(state->request, n, produce_response_record_error);
    part->reply->n_record_errors = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        part->reply->record_errors[i].batch_index = faults[i].record;
        part->reply->record_errors[i].message = text_of(faults[i].text);
    }
}

static void add_node(struct produce_state *state, int32_t node_id)
{
    struct produce_response *reply = state->request->reply;
    const struct image *image = meta_image(state->request->api->meta);
    const struct image_broker *broker = image_broker(image, node_id);
    const struct image_endpoint *at =
        broker ? api_endpoint(broker, state->request->listener) : NULL;
    if (at == NULL) {
        return;
    }
    for (int32_t i = 0; i < reply->n_node_endpoints; i++) {
        if (reply->node_endpoints[i].node_id == node_id) {
            return;
        }
    }
    if (reply->node_endpoints == NULL) {
        reply->node_endpoints =
            request_items(state->request, state->n_parts, produce_response_node_endpoint);
    }
    struct produce_response_node_endpoint *node = &reply->node_endpoints[reply->n_node_endpoints++];
    node->node_id = node_id;
    node->host = request_text(state->request, at->host);
    node->port = at->port;
    node->rack = request_text(state->request, broker->rack);
}

/* Tells the client where the leader is now, so that it need not ask (KIP-951). */
static void fill_leader(struct produce_state *state, struct part *part)
{
    const struct image_partition *now =
        part->topic ? image_partition(meta_image(state->request->api->meta), &part->topic->id,
                                      part->reply->partition_index)
                    : NULL;
    if (now != NULL && now->leader >= 0 && now->leader != state->request->api->node_id) {
        part->reply->current_leader.leader_id = now->leader;
        part->reply->current_leader.leader_epoch = now->leader_epoch;
        add_node(state, now->leader);
    }
}

/* The part has its result. Called once, while topic and partition are there. */
static void settle(struct produce_state *state, struct part *part)
{
    struct produce_response_partition *reply = part->reply;
    state->failed = state->failed || part->error != KAFKA_NONE;
    reply->error = (int16_t)part->error;
    reply->base_offset = reply->log_append_time_ms = reply->log_start_offset = -1;
    if (part->error == KAFKA_NONE) {
        reply->base_offset = part->produce.base_offset;
        reply->log_append_time_ms = part->produce.log_append_ms;
        reply->log_start_offset = part->produce.log_start;
        return;
    }
    if (part->topic != NULL) {
        part->topic->failed_produce++;
    }
    if (part->message != NULL) {
        reply->error_message = text_of(part->message);
    }
    if (part->error == KAFKA_NOT_LEADER_OR_FOLLOWER) {
        fill_leader(state, part);
    }
    fill_record_errors(state, part);
}

static void answer(struct produce_state *state)
{
    struct request *request = state->request;
    bool silent = body(state)->acks == 0;

    timer_cancel(&state->timer);
    for (size_t i = 0; i < state->n_parts; i++) {
        buf_release(&state->parts[i].rebuilt);
    }
    /* With acks=0 a closed connection is the only way to tell that something went wrong. */
    request_finish(request, !silent         ? REQUEST_REPLY
                            : state->failed ? REQUEST_CLOSE
                                            : REQUEST_SILENT);
}

/* ---- appending --------------------------------------------------------------------------------*/

static void part_done(struct produce *produce)
{
    struct part *part = container_of(produce, struct part, produce);
    struct produce_state *state = part->state;
    part->error = produce->error;
    part->message = produce->message;
    part->waits = false;
    settle(state, part);
    if (--state->n_waiting == 0 && state->next == state->n_parts) {
        answer(state);
    }
}

/* False: the log has no room now. */
static bool append(struct produce_state *state, struct part *part)
{
    part->produce.batch = &part->batch;
    part->produce.acks = body(state)->acks;
    part->produce.done = part_done;
    switch (partition_produce(part->partition, &part->produce)) {
    case PRODUCE_NO_ROOM:
        return false;
    case PRODUCE_WAITS:
        part->waits = true;
        state->n_waiting++;
        break;
    case PRODUCE_DONE:
        part->error = part->produce.error;
        part->message = part->produce.message;
        break;
    }
    part->topic->produce_requests++;
    if (part->waits || part->error == KAFKA_NONE) {
        part->topic->bytes_in += part->batch.raw.len;
        part->topic->records_in += (uint64_t)part->batch.count;
    }
    return true;
}

/* Appends from the part on that comes next. False: it has to wait for room. */
static bool append_rest(struct produce_state *state)
{
    for (; state->next < state->n_parts; state->next++) {
        struct part *part = &state->parts[state->next];
        if (part->error == KAFKA_NONE && !append(state, part)) {
            return false;
        }
        if (!part->waits) {
            settle(state, part);
        }
    }
    if (state->n_waiting == 0) {
        answer(state);
    } else {
        timer_set_at(&state->timer, api_deadline(state->request->api, body(state)->timeout_ms));
    }
    return true;
}

/* Later requests stand in line behind those that wait: on the connection, and for the room. Nobody
 * gives up waiting for room: the next batch of an idempotent producer could then be taken for its
 * first one. A client that has no patience left closes the connection. */
static void append_all(struct produce_state *state)
{
    struct api *api = state->request->api;
    if (!list_empty(&api->no_room) || !append_rest(state)) {
        request_hold(state->request, true);
        list_push_back(&api->no_room, &state->no_room);
    }
}

/* Topics and partitions may have gone while the request waited. */
static void look_again(struct produce_state *state)
{
    const struct produce_request *request = body(state);
    struct replicas *r = state->request->api->replicas;
    size_t i = 0;
    for (int32_t t = 0; t < request->n_topics; t++) {
        const struct produce_request_topic *asked = &request->topics[t];
        struct topic_replicas *topic = asked->name.data != NULL && asked->name.len > 0
                                           ? replicas_topic(r, asked->name)
                                           : replicas_topic_by_id(r, &asked->topic_id);
        for (int32_t p = 0; p < asked->n_partitions; p++, i++) {
            struct part *part = &state->parts[i];
            if (i < state->next) {
                continue;
            }
            part->topic = topic;
            if (part->error == KAFKA_NONE) {
                part->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                part->partition =
                    topic ? api_partition(topic, part->reply->partition_index, &part->error)
                          : NULL;
            }
        }
    }
}

void produce_has_room(struct api *api)
{
    struct list *first;
    while ((first = list_first(&api->no_room)) != NULL) {
        struct produce_state *state = container_of(first, struct produce_state, no_room);
        struct request *request = state->request;
        look_again(state);
        list_remove(&state->no_room);
        request_hold(request, false);
        if (!append_rest(state)) {
            request_hold(request, true);
            list_push_front(&api->no_room, &state->no_room);
            return;
        }
    }
}

static void time_is_up(struct timer *timer)
{
    struct produce_state *state = container_of(timer, struct produce_state, timer);
    for (size_t i = 0; i < state->n_parts; i++) {
        struct part *part = &state->parts[i];
        if (part->waits) {
            part->error = partition_produce_cancel(part->partition, &part->produce);
            settle(state, part);
        }
    }
    answer(state);
}

static void run_job(struct job *job)
{
    struct produce_state *state = container_of(job, struct produce_state, job);
    struct codec_scratch scratch = { 0 };
    for (size_t i = 0; i < state->n_parts; i++) {
        struct part *part = &state->parts[i];
        if (part->error == KAFKA_NONE && is_heavy(part)) {
            validate(part, &scratch);
        }
    }
    codec_scratch_release(&scratch);
}

static void job_done(struct job *job)
{
    struct produce_state *state = container_of(job, struct produce_state, job);
    look_again(state);
    request_hold(state->request, false);
    append_all(state);
}

/* ---- the request ------------------------------------------------------------------------------*/

static size_t count_parts(const struct produce_request *request)
{
    size_t n = 0;
    for (int32_t t = 0; t < request->n_topics; t++) {
        n += (size_t)request->topics[t].n_partitions;
    }
    return n;
}

/* Mirrors the request's topics in the reply, and makes a part of each partition. */
static void open_parts(struct produce_state *state, bool by_id)
{
    struct request *request = state->request;
    const struct produce_request *in = request->body;
    struct produce_response *out = request->reply;
    struct part *part = state->parts;

    out->topics = request_items(request, (size_t)in->n_topics, produce_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t t = 0; t < in->n_topics; t++) {
        const struct produce_request_topic *from = &in->topics[t];
        struct produce_response_topic *to = &out->topics[t];
        struct replicas *r = request->api->replicas;
        struct topic_replicas *topic =
            by_id ? replicas_topic_by_id(r, &from->topic_id) : replicas_topic(r, from->name);

        to->name = from->name;
        to->topic_id = from->topic_id;
        to->n_partitions = from->n_partitions;
        to->partitions = request_items(request, (size_t)to->n_partitions,
                                       produce_response_partition);
        for (int32_t p = 0; p < from->n_partitions; p++, part++) {
            part->state = state;
            part->reply = &to->partitions[p];
            part->topic = topic;
            part->error = topic ? KAFKA_NONE
                          : by_id ? KAFKA_UNKNOWN_TOPIC_ID
                                  : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            open_part(request, part, from->partitions[p].partition_index,
                      from->partitions[p].records.view);
        }
    }
}

static void refuse_all(struct produce_state *state, enum kafka_error error)
{
    for (size_t i = 0; i < state->n_parts; i++) {
        state->parts[i].error = error;
        settle(state, &state->parts[i]);
    }
    answer(state);
}

void handle_produce(struct request *request)
{
    const struct produce_request *in = request->body;
    struct produce_state *state = request_alloc(request, 1, sizeof *state);
    bool heavy = false;

    state->request = request;
    state->n_parts = count_parts(in);
    state->parts = request_alloc(request, state->n_parts, sizeof *state->parts);
    request->state = state;
    list_init(&state->no_room);
    timer_init(&state->timer, request->api->loop, time_is_up);
    open_parts(state, request->header.api_version >= 13);
    if (in->acks < -1 || in->acks > 1) {
        refuse_all(state, KAFKA_INVALID_REQUIRED_ACKS);
        return;
    }
    if (in->transactional_id.data != NULL) { /* there is no transaction coordinator here */
        refuse_all(state, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    for (size_t i = 0; i < state->n_parts; i++) {
        struct part *part = &state->parts[i];
        if (part->error == KAFKA_NONE && is_heavy(part)) {
            heavy = true;
        } else if (part->error == KAFKA_NONE) {
            validate(part, &request->api->scratch);
        }
    }
    if (heavy) {
        request_hold(request, true);
        job_start(request->api->loop, &state->job, run_job, job_done);
    } else {
        append_all(state);
    }
}
