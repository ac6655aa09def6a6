/* Mode round: one record to each of N partitions, in one or several requests sent at once; the
 * round ends when all are acknowledged, and the next one begins. */
#include "loadgen.h"

#include <stdio.h>

struct rounds {
    const struct options *options;
    struct window window;
    struct poller poller;
    struct conn conn;
    struct template *templates;
    struct histogram latency;
    struct arena arena;
    uint64_t begin_ns, next_id;
    int64_t open; /* requests of this round without an answer */
};

static void begin_round(struct rounds *r)
{
    r->begin_ns = now_ns();
    r->open = r->options->requests;
    for (int64_t i = 0; i < r->options->requests; i++) {
        template_put(&r->templates[i], r->conn.correlation++, &r->next_id, &r->conn.out);
    }
}

static void check_answer(struct rounds *r, struct bytes frame)
{
    struct produce_response response;
    client_decode(&wire_produce, PRODUCE_VERSION, frame, &r->arena, &response);
    for (int32_t t = 0; t < response.n_topics; t++) {
        for (int32_t p = 0; p < response.topics[t].n_partitions; p++) {
            enum kafka_error error = (enum kafka_error)response.topics[t].partitions[p].error;
            if (error != KAFKA_NONE) {
                fail("round: %s", kafka_error_name(error));
            }
        }
    }
}

static void on_answer(struct conn *conn, struct bytes frame)
{
    struct rounds *r = conn->owner;
    uint64_t now = now_ns();
    check_answer(r, frame);
    if (--r->open > 0) {
        return;
    }
    if (window_open(&r->window)) {
        histogram_add(&r->latency, now - r->begin_ns);
    }
    if (!r->window.ended) {
        begin_round(r);
    }
}

void run_round(const struct options *o)
{
    struct rounds *r = mem_zalloc(sizeof *r);
    struct sockaddr_in at = client_address(o->connect);
    r->options = o;
    arena_init(&r->arena, 0);
    conn_open(&r->conn, &at);
    if (!topics_create(&r->conn, o->topic, 1, o->partitions)) {
        fail("round: the connection broke");
    }
    r->templates = mem_zalloc_array((size_t)o->requests, sizeof *r->templates);
    for (int64_t i = 0; i < o->requests; i++) {
        int32_t from = (int32_t)(o->partitions * i / o->requests);
        int32_t to = (int32_t)(o->partitions * (i + 1) / o->requests);
        template_init(&r->templates[i], o, o->topic, from, to - from);
    }
    r->conn.owner = r;
    poller_open(&r->poller);
    poller_add(&r->poller, &r->conn);
    window_plan(&r->window, o);
    begin_round(r);
    poller_flush(&r->poller, &r->conn);
    while (!r->window.ended) {
        poller_turn(&r->poller, window_next(&r->window), on_answer);
        window_tick(&r->window, now_ns());
    }
    printf("mode=round partitions=%ld rounds_s=%.1f", (long)o->partitions,
           (double)r->latency.n / window_seconds(&r->window));
    histogram_print(&r->latency, "");
    window_print(&r->window);
    printf("\n");
    conn_close(&r->conn);
    for (int64_t i = 0; i < o->requests; i++) {
        template_release(&r->templates[i]);
    }
    free(r->templates);
    arena_release(&r->arena);
    free(r);
}
