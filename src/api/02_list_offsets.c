/* ListOffsets (key 2): the first and last offsets of a partition, and offsets by time.
 *
 * Negative time stamps ask for special ones; a version may ask only for those that it knows (else
 * UNSUPPORTED_VERSION, as Kafka answers):
 *
 *     -1 latest                 the end of what may be read
 *     -2 earliest               the log start
 *     -3 max timestamp     v7+  the record with the largest time stamp
 *     -4 earliest local    v8+  without tiered storage: the log start
 *     -5 latest tiered     v9+  without tiered storage: none (offset -1)
 *     -6 earliest pending  v11+ without tiered storage: none (offset -1)
 *
 * The leader epoch in the answer is that of the record found, and the leader's own for the
 * latest.
 *
 * A new leader may not know yet how far the records reach that a client may have seen (KIP-207):
 * the latest offset, and a time for which no record is found below the high watermark, get a
 * retriable error until it does. */
#include "handlers.h"

#include <chronik/wire/api.h>
#include <errno.h>

enum special { LATEST = -1, EARLIEST = -2, MAX_TIME = -3, LOCAL = -4, TIERED = -5, PENDING = -6 };

struct list_state;

struct search {
    struct log_find find;
    struct list_state *state;
    struct list_offsets_response_partition *out;
    bool settled; /* below the high watermark lies all that a client may have seen */
};

struct list_state {
    struct request *request;
    struct search *searches;
    size_t n_searches, n_open;
};

static bool version_knows(int64_t timestamp, int16_t version)
{
    static const int16_t SINCE[] = { [-LATEST] = 0, [-EARLIEST] = 0, [-MAX_TIME] = 7,
                                     [-LOCAL] = 8,  [-TIERED] = 9,   [-PENDING] = 11 };
    return timestamp >= 0 || (timestamp >= PENDING && version >= SINCE[-timestamp]);
}

static enum kafka_error not_available(const struct list_state *state)
{
    return state->request->header.api_version >= 5 ? KAFKA_OFFSET_NOT_AVAILABLE
                                                   : KAFKA_LEADER_NOT_AVAILABLE;
}

static void found(struct log_find *find, int error)
{
    struct search *search = container_of(find, struct search, find);
    struct list_offsets_response_partition *out = search->out;
    if (error != 0) {
        out->error = error == -ENOENT ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                      : KAFKA_KAFKA_STORAGE_ERROR;
    } else if (find->offset >= 0) {
        out->offset = find->offset;
        out->timestamp = find->found_timestamp;
        out->leader_epoch = find->leader_epoch;
    } else if (!search->settled) {
        out->error = (int16_t)not_available(search->state);
    }
}

static void search_done(struct log_find *find, int error)
{
    struct list_state *state = container_of(find, struct search, find)->state;
    found(find, error);
    if (--state->n_open == 0) {
        request_reply(state->request);
    }
}

static void search(struct list_state *state, struct partition *p, int64_t timestamp,
                   struct list_offsets_response_partition *out)
{
    struct search *s = &state->searches[state->n_searches++];
    s->state = state;
    s->out = out;
    s->settled = partition_offsets_settled(p);
    s->find.timestamp = timestamp == MAX_TIME ? INT64_MAX : timestamp;
    s->find.below = partition_visible_end(p);
    s->find.done = search_done;
    int error = log_find(p->log, &s->find);
    if (error == -EINPROGRESS) {
        state->n_open++;
    } else {
        found(&s->find, error);
    }
}

static void answer(struct list_state *state, struct partition *p, int64_t timestamp,
                   struct list_offsets_response_partition *out)
{
    switch (timestamp) {
    case LATEST:
        if (!partition_offsets_settled(p)) {
            out->error = (int16_t)not_available(state);
            return;
        }
        out->offset = partition_visible_end(p);
        out->leader_epoch = p->leader_epoch;
        return;
    case EARLIEST:
    case LOCAL:
        out->offset = log_start_offset(p->log);
        out->leader_epoch = log_epoch_at(p->log, out->offset);
        return;
    case TIERED:
    case PENDING:
        return;
    default:
        search(state, p, timestamp, out);
    }
}

static void handle_partition(struct list_state *state, struct text topic_name,
                             const struct list_offsets_request_partition *in,
                             struct list_offsets_response_partition *out)
{
    struct api *api = state->request->api;
    struct topic_replicas *topic = replicas_topic(api->replicas, topic_name);
    enum kafka_error error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *p = topic ? api_partition(topic, in->partition_index, &error) : NULL;

    out->partition_index = in->partition_index;
    if (!version_knows(in->timestamp, state->request->header.api_version)) {
        error = KAFKA_UNSUPPORTED_VERSION;
    } else if (p != NULL) {
        error = partition_check_leader(p, in->current_leader_epoch);
    }
    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        answer(state, p, in->timestamp, out);
    }
}

void handle_list_offsets(struct request *request)
{
    const struct list_offsets_request *in = request->body;
    struct list_offsets_response *out = request->reply;
    struct list_state *state = request_alloc(request, 1, sizeof *state);
    size_t n = 0;

    for (int32_t t = 0; t < in->n_topics; t++) {
        n += (size_t)in->topics[t].n_partitions;
    }
    state->request = request;
    state->searches = request_alloc(request, n, sizeof *state->searches);
    state->n_open = 1; /* this function's own share */
    request->state = state;
    out->topics = request_items(request, (size_t)in->n_topics, list_offsets_response_topic);
    out->n_topics = in->n_topics;
    for (int32_t t = 0; t < in->n_topics; t++) {
        const struct list_offsets_request_topic *from = &in->topics[t];
        struct list_offsets_response_topic *to = &out->topics[t];
        to->name = from->name;
        to->n_partitions = from->n_partitions;
        to->partitions = request_items(request, (size_t)from->n_partitions,
                                       list_offsets_response_partition);
        for (int32_t i = 0; i < from->n_partitions; i++) {
            handle_partition(state, from->name, &from->partitions[i], &to->partitions[i]);
        }
    }
    if (--state->n_open == 0) {
        request_reply(request);
    }
}
