/* Mode produce: connections that keep requests in flight (closed loop), or send them when they are
 * due (open loop), and check every answer.
 *
 * Ids: connection number in the upper 24 bits, a counter in the lower 40, so that a reader can tell
 * what is missing, doubled or out of order. */
#include "loadgen.h"

#include <stdio.h>

enum { INFLIGHT_MAX = 1 << 16, INFLIGHT_BYTES = 64 << 20, DRAIN_S = 30 };

struct load {
    const struct options *options;
    struct window window;
    struct poller poller;
    struct histogram latency;
    uint64_t requests; /* acknowledged in the window */
    uint64_t in_flight;
    uint64_t acknowledged; /* in all */
    bool stopping;
};

struct producer {
    struct load *load;
    struct conn conn;
    struct template template;
    uint64_t *due;           /* of each request in flight, a ring */
    size_t head, tail, room; /* room: a power of two */
    uint64_t next_id;
};

static size_t in_flight(const struct producer *p)
{
    return p->head - p->tail;
}

static void send_one(struct producer *p, uint64_t due)
{
    template_put(&p->template, p->conn.correlation++, &p->next_id, &p->conn.out);
    p->due[p->head++ & (p->room - 1)] = due;
    p->load->in_flight++;
}

static void check_answer(const struct producer *p, struct bytes frame)
{
    if (frame.len < p->template.error_at + 2) {
        fail("produce: the response is too short");
    }
    const uint8_t *at = frame.data + p->template.error_at;
    enum kafka_error error = (enum kafka_error)(int16_t)load_be16(at);
    if (error != KAFKA_NONE) {
        fail("produce: %s", kafka_error_name(error));
    }
}

static void on_answer(struct conn *conn, struct bytes frame)
{
    struct producer *p = conn->owner;
    struct load *load = p->load;
    uint64_t now = now_ns();
    check_answer(p, frame);
    if (in_flight(p) == 0 ||
        load_be32(frame.data) != (uint32_t)conn->correlation - (uint32_t)in_flight(p)) {
        fail("produce: answers are out of order");
    }
    uint64_t due = p->due[p->tail++ & (p->room - 1)];
    load->in_flight--;
    load->acknowledged++;
    if (window_open(&load->window)) {
        histogram_add(&load->latency, now - due);
        load->requests++;
    }
    if (load->options->rate == 0 && !load->stopping) {
        send_one(p, now);
    }
}

/* How many requests a connection may have in flight, a power of two. In an open loop against a slow
 * broker they would pile up without end: what is due then waits, and its latency shows it. */
static size_t room_of(const struct options *o, size_t frame_len)
{
    size_t most = INFLIGHT_BYTES / (size_t)o->connections / frame_len, room = 1;
    most = o->rate > 0 ? min_u64(most, INFLIGHT_MAX) : (size_t)o->inflight;
    while (room < most) {
        room *= 2;
    }
    return room;
}

/* Where the leader of each partition listens; the caller frees it. */
static struct sockaddr_in *find_leaders(const struct options *o)
{
    struct sockaddr_in at = client_address(o->connect);
    struct sockaddr_in *leaders = mem_zalloc_array((size_t)o->partitions, sizeof *leaders);
    struct conn conn;
    conn_open(&conn, &at);
    if (!topics_create(&conn, o->topic, 1, o->partitions)) {
        fail("produce: the connection broke");
    }
    topics_leaders(&conn, o, leaders);
    conn_close(&conn);
    return leaders;
}

static void open_producers(struct load *load, struct producer *producers)
{
    const struct options *o = load->options;
    struct sockaddr_in *leaders = find_leaders(o);
    for (int64_t i = 0; i < o->connections; i++) {
        struct producer *p = &producers[i];
        p->load = load;
        p->next_id = (uint64_t)i << 40;
        template_init(&p->template, o, o->topic, (int32_t)(i % o->partitions), 1);
        p->room = room_of(o, p->template.frame.len);
        p->due = mem_alloc(p->room * sizeof *p->due);
        conn_open(&p->conn, &leaders[i % o->partitions]);
        p->conn.owner = p;
        poller_add(&load->poller, &p->conn);
    }
    free(leaders);
}

/* Open loop: sends all that is due, in turn over the connections; returns when the next one is. */
static uint64_t send_due(struct load *load, struct producer *producers, uint64_t begin,
                         uint64_t *n_sent)
{
    const uint64_t n = (uint64_t)load->options->connections, rate = (uint64_t)load->options->rate;
    for (;;) {
        uint64_t due = begin + (uint64_t)((double)*n_sent * 1e9 / (double)rate);
        struct producer *p = &producers[*n_sent % n];
        if (due > now_ns()) {
            return due;
        }
        if (in_flight(p) >= p->room) {
            return UINT64_MAX; /* until an answer comes */
        }
        send_one(p, due);
        poller_flush(&load->poller, &p->conn);
        ++*n_sent;
    }
}

static void run_load(struct load *load, struct producer *producers)
{
    const struct options *o = load->options;
    const uint64_t begin = now_ns();
    uint64_t n_sent = 0;
    window_plan(&load->window, o);
    for (int64_t i = 0; o->rate == 0 && i < o->connections; i++) {
        for (int64_t k = 0; k < o->inflight; k++) {
            send_one(&producers[i], begin);
        }
        poller_flush(&load->poller, &producers[i].conn);
    }
    while (!load->window.ended) {
        uint64_t until = window_next(&load->window);
        if (o->rate > 0) {
            until = min_u64(until, send_due(load, producers, begin, &n_sent));
        }
        poller_turn(&load->poller, until, on_answer);
        window_tick(&load->window, now_ns());
    }
    load->stopping = true;
    uint64_t deadline = now_ns() + DRAIN_S * UINT64_C(1000000000);
    while (load->in_flight > 0 && now_ns() < deadline) {
        poller_turn(&load->poller, deadline, on_answer);
    }
    if (load->in_flight > 0) {
        fail("produce: %lu requests were not answered in %d s", (unsigned long)load->in_flight,
             DRAIN_S);
    }
}

static void print_result(const struct load *load)
{
    const struct options *o = load->options;
    double seconds = window_seconds(&load->window), requests = (double)load->requests;
    double records = requests * (double)o->records, bytes = records * (double)o->size;
    double cpu = (double)load->window.broker_ns / 1e9;
    printf("mode=produce requests_s=%.0f records_s=%.0f mb_s=%.2f cpu_s_gb=%.3f cpu_s_m=%.3f",
           requests / seconds, records / seconds, bytes / seconds / 1e6,
           bytes > 0 ? cpu / (bytes / 1e9) : 0, requests > 0 ? cpu / (requests / 1e6) : 0);
    histogram_print(&load->latency, "");
    window_print(&load->window);
    printf(" acked_records=%lu\n", (unsigned long)load->acknowledged * (unsigned long)o->records);
}

void run_produce(const struct options *o)
{
    struct load *load = mem_zalloc(sizeof *load);
    struct producer *producers = mem_zalloc_array((size_t)o->connections, sizeof *producers);
    if (o->inflight < 1 || o->inflight > INFLIGHT_MAX) {
        fail("1 to %d requests in flight", INFLIGHT_MAX);
    }
    load->options = o;
    poller_open(&load->poller);
    open_producers(load, producers);
    run_load(load, producers);
    print_result(load);
    for (int64_t i = 0; i < o->connections; i++) {
        conn_close(&producers[i].conn);
        template_release(&producers[i].template);
        free(producers[i].due);
    }
    free(producers);
    free(load);
}
