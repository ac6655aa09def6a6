/* A producer: values in batches to random keys, a few batches of a key under way at a time.
 *
 * An idempotent one sends a batch again until it is acknowledged, in order: when one fails, it
 * waits until it knows of all others of that key, then sends all that are left. The other kind
 * sends each batch once; when no answer comes, nobody knows. */
#include "workload.h"

#include "world.h"

enum { PRODUCE_VERSION = 9, INIT_VERSION = 4, NO_SEQUENCE = -1 };

struct batch_sent {
    struct list link; /* in lane->batches, in order of sequence */
    struct lane *lane;
    int32_t first_value;
    unsigned n;
    int32_t sequence;
    uint64_t ordinal; /* which batch of its lane it is */
    size_t len;       /* of each value */
    bool under_way;
    unsigned attempts;
};

/* A producer's part in one key. */
struct lane {
    struct producer *producer;
    unsigned key;
    struct list batches;
    unsigned n_batches, n_under_way;
    uint64_t n_begun;
    bool known;  /* something was acknowledged: every leader knows the producer */
    bool failed; /* one has: nothing more before all are known */
    int32_t next_sequence;
    struct timer retry;
};

struct producer {
    struct client *client;
    struct history *history;
    struct map_of_leaders leaders;
    struct producer_habits habits;
    unsigned number;
    struct lane *lanes; /* of each key */
    struct timer next;
    int64_t id; /* -1: not known yet */
    int16_t epoch;
    bool asking_id, finishing;
};

static void send_batch(struct batch_sent *b, unsigned node);
static void send_lane(struct lane *lane);

/* ---- batches ----------------------------------------------------------------------------------*/

static void make_records(const struct batch_sent *b, struct batch_builder *builder)
{
    const struct producer *p = b->lane->producer;
    int64_t now_ms = loop_wall_ms(p->client->machine->loop);
    batch_builder_init(builder);
    builder->codec = p->habits.codec;
    builder->producer_id = p->habits.idempotent ? p->id : -1;
    builder->producer_epoch = p->habits.idempotent ? p->epoch : -1;
    builder->base_sequence = b->sequence;
    for (unsigned i = 0; i < b->n; i++) {
        struct buf value = { 0 };
        value_encode(b->lane->key, b->first_value + (int32_t)i, b->len, &value);
        batch_builder_add(builder, now_ms, bytes_of(NULL, 0), buf_bytes(&value), bytes_of("", 0),
                          0);
        buf_release(&value);
    }
}

static void batch_forget(struct batch_sent *b)
{
    list_remove(&b->link);
    b->lane->n_batches--;
    free(b);
}

static void acknowledged(struct batch_sent *b, int64_t base_offset)
{
    struct producer *p = b->lane->producer;
    b->lane->known = true;
    detail("producer %u key %u sequence %d values %d+%u: at %lld", p->number, b->lane->key,
           b->sequence, b->first_value, b->n, (long long)base_offset);
    for (unsigned i = 0; i < b->n; i++) {
        history_acknowledge(p->history, b->lane->key, b->first_value + (int32_t)i, base_offset + i);
    }
    batch_forget(b);
}

/* ---- errors -----------------------------------------------------------------------------------*/

/* What was certainly not appended. */
static bool is_definite(int16_t error)
{
    return error == KAFKA_NOT_ENOUGH_REPLICAS || error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
           error == KAFKA_MESSAGE_TOO_LARGE || error == KAFKA_INVALID_RECORD;
}

static bool is_impossible(const struct batch_sent *b, int16_t error)
{
    switch (error) {
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_INVALID_RECORD:
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_INVALID_REQUIRED_ACKS:
    case KAFKA_UNKNOWN_SERVER_ERROR:
        return true;
    case KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER:
        /* It may be refused behind one that failed; not if everything before it is there. */
        return list_first(&b->lane->batches) == &b->link &&
               !b->lane->producer->history->keys[b->lane->key].lossy;
    default:
        return false;
    }
}

static void failed(struct batch_sent *b, int16_t error)
{
    struct lane *lane = b->lane;
    struct producer *p = lane->producer;
    if (is_impossible(b, error)) {
        world_fail("producer %u: %s for %s-%d sequence %d", p->number,
                   kafka_error_name((enum kafka_error)error), p->history->keys[lane->key].topic,
                   p->history->keys[lane->key].partition, b->sequence);
        return;
    }
    detail("producer %u key %u sequence %d values %d+%u: %s", p->number, lane->key, b->sequence,
           b->first_value, b->n, kafka_error_name((enum kafka_error)error));
    leaders_refresh(&p->leaders);
    if (p->habits.idempotent) {
        lane->failed = true;
        return;
    }
    for (unsigned i = 0; i < b->n && is_definite(error); i++) {
        history_refuse(p->history, lane->key, b->first_value + (int32_t)i);
    }
    batch_forget(b);
}

static void answered(void *arg, const void *response)
{
    struct batch_sent *b = arg;
    struct lane *lane = b->lane;
    const struct produce_response *in = response;
    b->under_way = false;
    lane->n_under_way--;
    if (in == NULL) {
        failed(b, KAFKA_NONE);
    } else if (in->n_topics != 1 || in->topics[0].n_partitions != 1) {
        world_fail("an answer to produce without the partition");
    } else if (in->topics[0].partitions[0].error != KAFKA_NONE) {
        failed(b, in->topics[0].partitions[0].error);
    } else {
        acknowledged(b, in->topics[0].partitions[0].base_offset);
    }
    if (lane->failed && lane->n_under_way == 0) {
        timer_set_in(&lane->retry, between(1, 50) * NS_PER_MS);
    }
}

static void retry(struct timer *timer)
{
    struct lane *lane = container_of(timer, struct lane, retry);
    lane->failed = false;
    send_lane(lane);
}

/* ---- sending ----------------------------------------------------------------------------------*/

static void send_batch(struct batch_sent *b, unsigned node)
{
    struct lane *lane = b->lane;
    struct producer *p = lane->producer;
    const struct history_key *key = &p->history->keys[lane->key];
    struct batch_builder builder;
    make_records(b, &builder);
    struct produce_request_partition partition = {
        .partition_index = key->partition,
        .records.view = batch_builder_finish(&builder),
    };
    struct produce_request_topic topic = { .name = text_of(key->topic),
                                           .partitions = &partition,
                                           .n_partitions = 1 };
    const struct produce_request request = {
        .transactional_id = TEXT_NULL,
        .acks = p->habits.acks,
        .timeout_ms = (int32_t)(p->habits.timeout_ns / NS_PER_MS),
        .topics = &topic,
        .n_topics = 1,
    };
    detail("producer %u key %u sequence %d values %d+%u: to n%u", p->number, lane->key, b->sequence,
           b->first_value, b->n, node + 1);
    b->under_way = true;
    b->attempts++;
    lane->n_under_way++;
    client_ask(p->client, node, &wire_produce, PRODUCE_VERSION, &request,
               p->habits.timeout_ns + 100 * NS_PER_MS, answered, b);
    batch_builder_release(&builder);
}

/* Sends what is not under way, in order. */
static void send_lane(struct lane *lane)
{
    int32_t leader = lane->producer->leaders.leaders[lane->key];
    if (lane->failed) {
        return;
    }
    if (leader < 0) {
        leaders_refresh(&lane->producer->leaders);
        return;
    }
    list_each (it, &lane->batches) {
        struct batch_sent *b = container_of(it, struct batch_sent, link);
        if (!b->under_way) {
            send_batch(b, (unsigned)leader);
        }
    }
}

static void take_id(void *arg, const void *response)
{
    struct producer *p = arg;
    const struct init_producer_id_response *in = response;
    p->asking_id = false;
    if (in != NULL && in->error == KAFKA_NONE) {
        p->id = in->producer_id;
        p->epoch = in->producer_epoch;
    }
}

static void ask_for_id(struct producer *p)
{
    const struct init_producer_id_request request = { .transactional_id = TEXT_NULL,
                                                      .producer_id = -1,
                                                      .producer_epoch = -1 };
    unsigned node = (unsigned)prng_below(&world->prng, p->client->n_nodes);
    if (!p->asking_id) {
        p->asking_id = true;
        client_ask(p->client, node, &wire_init_producer_id, INIT_VERSION, &request, 500 * NS_PER_MS,
                   take_id, p);
    }
}

static void begin_batch(struct producer *p, struct lane *lane)
{
    struct batch_sent *b = mem_zalloc(sizeof *b);
    b->lane = lane;
    b->n = (unsigned)between(1, p->habits.records_max);
    b->len = between(VALUE_BYTES_MIN, p->habits.bytes_max);
    b->sequence = p->habits.idempotent ? lane->next_sequence : NO_SEQUENCE;
    lane->next_sequence += (int32_t)b->n;
    for (unsigned i = 0; i < b->n; i++) {
        int32_t value = history_send(p->history, lane->key, p->number);
        b->first_value = i == 0 ? value : b->first_value;
    }
    b->ordinal = lane->n_begun++;
    list_push_back(&lane->batches, &b->link);
    lane->n_batches++;
    send_lane(lane);
}

/* Brokers remember five batches of a producer: no new one begins when the oldest that is not
 * acknowledged would be forgotten. A broker takes any first sequence of a producer that it does not
 * know, as Kafka does: so a first batch goes alone. */
static bool may_begin(const struct producer *p, const struct lane *lane)
{
    if (p->habits.idempotent && !lane->known && lane->n_batches > 0) {
        return false;
    }
    const struct list *first = list_first(&lane->batches);
    uint64_t oldest = first ? container_of(first, struct batch_sent, link)->ordinal : lane->n_begun;
    return lane->n_begun - oldest < p->habits.window && p->leaders.leaders[lane->key] >= 0;
}

static void next(struct timer *timer)
{
    struct producer *p = container_of(timer, struct producer, next);
    struct lane *lane = &p->lanes[prng_below(&world->prng, p->history->n_keys)];
    if (p->finishing) {
        return;
    }
    if (p->habits.idempotent && p->id < 0) {
        ask_for_id(p);
    } else if (may_begin(p, lane)) {
        begin_batch(p, lane);
    } else if (p->leaders.leaders[lane->key] < 0) {
        leaders_refresh(&p->leaders);
    }
    timer_set_in(timer, duration_around(p->habits.pause_ns));
}

static void leaders_changed(void *arg)
{
    struct producer *p = arg;
    for (unsigned k = 0; k < p->history->n_keys; k++) {
        send_lane(&p->lanes[k]);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

struct producer *producer_new(struct client *client, struct history *history, unsigned number,
                              const struct producer_habits *habits)
{
    struct producer *p = mem_zalloc(sizeof *p);
    struct loop *loop = client->machine->loop;
    p->client = client;
    p->history = history;
    p->number = number;
    p->habits = *habits;
    p->id = -1;
    history_add_producer(history, number, habits->idempotent, habits->acks >= 0);
    leaders_init(&p->leaders, client, history, leaders_changed, p);
    p->lanes = mem_zalloc_array(history->n_keys, sizeof *p->lanes);
    for (unsigned k = 0; k < history->n_keys; k++) {
        p->lanes[k].producer = p;
        p->lanes[k].key = k;
        list_init(&p->lanes[k].batches);
        timer_init(&p->lanes[k].retry, loop, retry);
    }
    timer_init(&p->next, loop, next);
    timer_set_in(&p->next, duration_around(habits->pause_ns));
    return p;
}

void producer_free(struct producer *p)
{
    struct list *link;
    timer_cancel(&p->next);
    for (unsigned k = 0; k < p->history->n_keys; k++) {
        timer_cancel(&p->lanes[k].retry);
        while ((link = list_first(&p->lanes[k].batches)) != NULL) {
            batch_forget(container_of(link, struct batch_sent, link));
        }
    }
    leaders_release(&p->leaders);
    free(p->lanes);
    free(p);
}

void producer_finish(struct producer *p)
{
    p->finishing = true;
}

bool producer_is_done(const struct producer *p)
{
    for (unsigned k = 0; k < p->history->n_keys; k++) {
        if (p->lanes[k].n_batches > 0) {
            return false;
        }
    }
    return true;
}
