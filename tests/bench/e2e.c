/* Mode e2e: from the moment at which a record is due at the producer until a consumer that waits
 * for it has it. One connection sends a record at a time in an open loop with acks=all, the other
 * one polls the same partition. Records arrive in the order in which they were sent: the offset
 * says which one it is. */
#include "loadgen.h"

#include <stdio.h>

enum { FETCH_VERSION = 11, MAX_WAIT_MS = 500, RING = 1 << 16, DRAIN_S = 10 };

struct e2e {
    const struct options *options;
    struct window window;
    struct poller poller;
    struct histogram latency;
    struct arena arena;
    struct template template;
    struct conn producer, consumer;
    uint64_t due[RING]; /* by number of the record */
    uint64_t n_sent, n_seen, next_id;
    int64_t offset;     /* of the next record to come */
};

static void send_fetch(struct e2e *e)
{
    struct fetch_request_partition partition = fetch_request_partition_default;
    struct fetch_request_topic topic = fetch_request_topic_default;
    struct fetch_request request = fetch_request_default;
    partition.fetch_offset = e->offset;
    partition.partition_max_bytes = (int32_t)e->options->max_bytes;
    topic.name = text_of(e->options->topic);
    topic.partitions = &partition;
    topic.n_partitions = 1;
    request.max_wait_ms = MAX_WAIT_MS;
    request.min_bytes = 1;
    request.max_bytes = (int32_t)e->options->max_bytes;
    request.topics = &topic;
    request.n_topics = 1;
    struct buf frame = client_frame(&wire_fetch, FETCH_VERSION, &request);
    store_be32(frame.data + FRAME_CORRELATION, (uint32_t)e->consumer.correlation++);
    buf_put(&e->consumer.out, frame.data, frame.len);
    buf_release(&frame);
}

static void take_records(struct e2e *e, struct bytes records)
{
    uint64_t now = now_ns();
    struct batch batch;
    while (records.len > 0 && batch_parse(records, &batch) == KAFKA_NONE) {
        for (; e->offset <= batch_last_offset(&batch); e->offset++, e->n_seen++) {
            if (window_open(&e->window)) {
                histogram_add(&e->latency, now - e->due[e->n_seen % RING]);
            }
        }
        records = bytes_part(records, batch.raw.len, records.len - batch.raw.len);
    }
}

static void on_answer(struct conn *conn, struct bytes frame)
{
    struct e2e *e = conn->owner;
    struct fetch_response response;
    if (conn == &e->producer) {
        int16_t error = (int16_t)load_be16(frame.data + e->template.error_at);
        if (error != KAFKA_NONE) {
            fail("e2e: %s", kafka_error_name((enum kafka_error)error));
        }
        return;
    }
    client_decode(&wire_fetch, FETCH_VERSION, frame, &e->arena, &response);
    if (response.n_topics == 1 && response.topics[0].n_partitions == 1) {
        const struct fetch_response_partition *p = &response.topics[0].partitions[0];
        if (p->error != KAFKA_NONE) {
            fail("e2e: fetch: %s", kafka_error_name((enum kafka_error)p->error));
        }
        take_records(e, p->records.view);
    }
    send_fetch(e);
}

/* Sends what is due; returns when the next one is. */
static uint64_t send_due(struct e2e *e, uint64_t begin)
{
    for (;;) {
        uint64_t due = begin + e->n_sent * UINT64_C(1000000000) / (uint64_t)e->options->rate;
        if (due > now_ns()) {
            return due;
        }
        if (e->n_sent - e->n_seen >= RING) {
            fail("e2e: the consumer is %d records behind", RING);
        }
        e->due[e->n_sent++ % RING] = due;
        template_put(&e->template, e->producer.correlation++, &e->next_id, &e->producer.out);
        poller_flush(&e->poller, &e->producer);
    }
}

static void open_both(struct e2e *e)
{
    const struct options *o = e->options;
    struct sockaddr_in at = client_address(o->connect), leader;
    template_init(&e->template, o, o->topic, 0, 1);
    conn_open(&e->producer, &at);
    if (!topics_create(&e->producer, o->topic, 1, 1)) {
        fail("e2e: the connection broke");
    }
    topics_leaders(&e->producer, o, &leader);
    conn_close(&e->producer);
    conn_open(&e->producer, &leader);
    conn_open(&e->consumer, &leader);
    e->producer.owner = e->consumer.owner = e;
    poller_add(&e->poller, &e->producer);
    poller_add(&e->poller, &e->consumer);
    send_fetch(e);
    poller_flush(&e->poller, &e->consumer);
}

/* The topic is new: its first record has the offset 0. */
void run_e2e(const struct options *o)
{
    struct e2e *e = mem_zalloc(sizeof *e);
    if (o->rate <= 0) {
        fail("e2e: --rate says how many records a second");
    }
    e->options = o;
    arena_init(&e->arena, 0);
    poller_open(&e->poller);
    open_both(e);
    window_plan(&e->window, o);
    uint64_t begin = now_ns();
    while (!e->window.ended) {
        uint64_t next = send_due(e, begin);
        poller_turn(&e->poller, min_u64(next, window_next(&e->window)), on_answer);
        window_tick(&e->window, now_ns());
    }
    uint64_t deadline = now_ns() + DRAIN_S * UINT64_C(1000000000);
    while (e->n_seen < e->n_sent && now_ns() < deadline) {
        poller_turn(&e->poller, deadline, on_answer);
    }
    if (e->n_seen < e->n_sent) {
        fail("e2e: %lu records did not come", (unsigned long)(e->n_sent - e->n_seen));
    }
    printf("mode=e2e records=%lu", (unsigned long)e->n_seen);
    histogram_print(&e->latency, "");
    window_print(&e->window);
    printf("\n");
    conn_close(&e->producer);
    conn_close(&e->consumer);
    template_release(&e->template);
    arena_release(&e->arena);
    free(e);
}
