/* A consumer: reads every key from its beginning, one fetch per node under way at a time.
 *
 * What it gets must be next to what it had: every offset once, in order, whole. An offset that it
 * has come to is committed, so no node may ever say that there is no such place. */
#include "workload.h"

#include <inttypes.h>

#include "world.h"

enum { FETCH_VERSION = 12, WAIT_MS = 100 };

struct position {
    int64_t next;           /* offset */
    int64_t high_watermark; /* as last heard; -1: not heard of */
    int32_t epoch;          /* of the record before */
};

struct reader {
    struct consumer *consumer;
    unsigned node;
    bool asking;
    int32_t *epochs; /* of each key, in the fetch under way */
    struct timer again;
};

struct consumer {
    struct client *client;
    struct history *history;
    struct map_of_leaders leaders;
    struct position *positions; /* of each key */
    struct reader readers[CLIENT_NODES_MAX];
    struct codec_scratch scratch;
    enum history_reader name;
};

/* ---- what comes back --------------------------------------------------------------------------*/

static void take_record(struct consumer *c, unsigned k, const struct record *record)
{
    struct position *at = &c->positions[k];
    const struct history_key *key = &c->history->keys[k];
    if (record->offset < at->next) {
        return; /* a batch begins where it begins */
    }
    if (record->offset > at->next) {
        world_fail("hole: %s-%" PRId32 " offset %" PRId64 " follows %" PRId64, key->topic,
                   key->partition, record->offset, at->next - 1);
        return;
    }
    history_read(c->history, c->name, k, record->offset, value_decode(k, record->value));
    at->next++;
}

static void take_records(struct consumer *c, unsigned k, struct bytes records)
{
    while (records.len > 0 && !world->failed) {
        struct batch b;
        struct record record;
        struct record_iter it;
        int64_t len = batch_peek_length(records);
        if (len <= 0 || (size_t)len > records.len) {
            return; /* cut short, as it may be */
        }
        if (batch_parse(records, &b) != KAFKA_NONE || !batch_crc_ok(&b) ||
            record_iter_init(&it, &b, MIB(16), &c->scratch) != 0) {
            world_fail("damaged batch: key %u offset %" PRId64, k, c->positions[k].next);
            return;
        }
        while (record_iter_next(&it, &record)) {
            take_record(c, k, &record);
        }
        detail("consumer key %u has read %" PRId64 " to %" PRId64 " of epoch %" PRId32, k,
               b.base_offset, batch_last_offset(&b), b.leader_epoch);
        if (batch_last_offset(&b) + 1 == c->positions[k].next) { /* else an answer that is late */
            c->positions[k].epoch = b.leader_epoch;
        }
        records = bytes_part(records, b.raw.len, records.len - b.raw.len);
    }
}

static void take_partition(struct consumer *c, unsigned k, int32_t epoch,
                           const struct fetch_response_partition *in)
{
    int64_t before = c->positions[k].next;
    struct position *at = &c->positions[k];
    const struct history_key *key = &c->history->keys[k];
    switch (in->error) {
    case KAFKA_NONE:
        take_records(c, k, in->records.view);
        at->high_watermark = in->high_watermark;
        history_watermark(c->history, c->name, k, epoch, in->high_watermark,
                          at->next > before ? at->next - 1 : -1);
        if (in->diverging_epoch.epoch >= 0) {
            world_fail("diverging: %s-%" PRId32 " offset %" PRId64 " epoch %" PRId32
                       "; the leader's epoch %" PRId32 " ends at %" PRId64,
                       key->topic, key->partition, at->next, at->epoch, in->diverging_epoch.epoch,
                       in->diverging_epoch.end_offset);
        }
        break;
    case KAFKA_OFFSET_OUT_OF_RANGE:
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_UNKNOWN_SERVER_ERROR:
        world_fail("%s: %s-%" PRId32 " offset %" PRId64,
                   kafka_error_name((enum kafka_error)in->error), key->topic, key->partition,
                   at->next);
        break;
    default:
        leaders_refresh(&c->leaders);
        break;
    }
}

static void answered(void *arg, const void *response)
{
    struct reader *reader = arg;
    struct consumer *c = reader->consumer;
    const struct fetch_response *in = response;
    reader->asking = false;
    if (in == NULL || in->error != KAFKA_NONE) {
        leaders_refresh(&c->leaders);
    }
    for (int32_t t = 0; in != NULL && t < in->n_topics; t++) {
        for (int32_t p = 0; p < in->topics[t].n_partitions; p++) {
            const struct fetch_response_partition *from = &in->topics[t].partitions[p];
            for (unsigned k = 0; k < c->history->n_keys; k++) {
                if (text_is(in->topics[t].name, c->history->keys[k].topic) &&
                    c->history->keys[k].partition == from->partition_index) {
                    take_partition(c, k, reader->epochs[k], from);
                }
            }
        }
    }
    timer_set_in(&reader->again, between(0, c->name == READS_AT_THE_END ? 2 : 30) * NS_PER_MS);
}

/* ---- asking -----------------------------------------------------------------------------------*/

static void ask(struct timer *timer)
{
    struct reader *reader = container_of(timer, struct reader, again);
    struct consumer *c = reader->consumer;
    unsigned n_keys = c->history->n_keys;
    struct fetch_request_topic *topics = mem_zalloc_array(n_keys, sizeof *topics);
    struct fetch_request_partition *partitions = mem_zalloc_array(n_keys, sizeof *partitions);
    struct fetch_request request = fetch_request_default;
    for (unsigned k = 0; k < n_keys; k++) {
        if (c->leaders.leaders[k] != (int32_t)reader->node) {
            continue;
        }
        struct fetch_request_partition *p = &partitions[request.n_topics];
        *p = fetch_request_partition_default;
        p->partition_index = c->history->keys[k].partition;
        p->fetch_offset = c->positions[k].next;
        p->current_leader_epoch = reader->epochs[k] = c->leaders.epochs[k];
        p->last_fetched_epoch = c->positions[k].epoch;
        p->partition_max_bytes = (int32_t)between(1, c->name == READS_AT_THE_END ? 200000 : 20000);
        topics[request.n_topics++] = (struct fetch_request_topic){
            .name = text_of(c->history->keys[k].topic), .partitions = p, .n_partitions = 1
        };
    }
    request.max_wait_ms = WAIT_MS;
    request.min_bytes = 1;
    request.topics = topics;
    request.rack_id = text_of("");
    if (request.n_topics > 0) {
        reader->asking = true;
        client_ask(c->client, reader->node, &wire_fetch, FETCH_VERSION, &request, 1500 * NS_PER_MS,
                   answered, reader);
    }
    free(topics);
    free(partitions);
}

static void leaders_changed(void *arg)
{
    struct consumer *c = arg;
    bool all = true;
    for (unsigned k = 0; k < c->history->n_keys; k++) {
        all &= c->leaders.leaders[k] >= 0;
    }
    for (unsigned i = 0; i < c->client->n_nodes; i++) {
        struct reader *reader = &c->readers[i];
        if (!reader->asking && !timer_is_set(&reader->again)) {
            timer_set_in(&reader->again, between(1, 10) * NS_PER_MS);
        }
    }
    if (!all) {
        leaders_refresh(&c->leaders);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

struct consumer *consumer_new(struct client *client, struct history *history,
                              enum history_reader name)
{
    struct consumer *c = mem_zalloc(sizeof *c);
    c->client = client;
    c->history = history;
    c->name = name;
    leaders_init(&c->leaders, client, history, leaders_changed, c);
    c->positions = mem_zalloc_array(history->n_keys, sizeof *c->positions);
    for (unsigned k = 0; k < history->n_keys; k++) {
        c->positions[k] = (struct position){ .high_watermark = -1, .epoch = -1 };
    }
    for (unsigned i = 0; i < client->n_nodes; i++) {
        c->readers[i].consumer = c;
        c->readers[i].node = i;
        c->readers[i].epochs = mem_zalloc_array(history->n_keys, sizeof(int32_t));
        timer_init(&c->readers[i].again, client->machine->loop, ask);
    }
    leaders_refresh(&c->leaders);
    return c;
}

void consumer_free(struct consumer *c)
{
    for (unsigned i = 0; i < c->client->n_nodes; i++) {
        timer_cancel(&c->readers[i].again);
        free(c->readers[i].epochs);
    }
    leaders_release(&c->leaders);
    codec_scratch_release(&c->scratch);
    free(c->positions);
    free(c);
}

static bool is_done(const struct consumer *c, unsigned k)
{
    const struct position *at = &c->positions[k];
    return at->high_watermark >= 0 && at->next >= at->high_watermark &&
           at->next > history_known_end(c->history, k);
}

bool consumer_is_done(const struct consumer *c)
{
    for (unsigned k = 0; k < c->history->n_keys; k++) {
        if (!is_done(c, k)) {
            return false;
        }
    }
    return true;
}

void consumer_explain(const struct consumer *c)
{
    for (unsigned k = 0; k < c->history->n_keys; k++) {
        if (!is_done(c, k)) {
            note("%s-%" PRId32 " is read up to %" PRId64 " of %" PRId64 ", known up to %" PRId64
                 ", leader n%" PRId32,
                 c->history->keys[k].topic, c->history->keys[k].partition, c->positions[k].next,
                 c->positions[k].high_watermark, history_known_end(c->history, k),
                 c->leaders.leaders[k] + 1);
        }
    }
}
