/* Producers and, beside them, the consumers that read along.
 *
 * Each producer goes round the partitions. A record that the client gives up on is written down as
 * unknown: it may have been written. A client that meets a fatal error has broken its promise, but
 * for a fault of librdkafka before 2.4.0 (its change 4438): when a connection breaks it takes what
 * was under way for written, and when that is then refused by a node that does not lead yet, and
 * the next record is not, it finds that the sequences do not fit. Such a producer ends, what it had
 * sent is unknown, and another one takes its place. */
#include "chaos_load.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct producer {
    const struct options *options;
    struct history *history;
    unsigned process;
    bool idempotent, broken;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    uint32_t next[PARTITIONS_MAX]; /* by partition */
    unsigned turn;
    double credit; /* records it may send now, when there is a rate */
};

static int64_t value_sent(const rd_kafka_message_t *m, unsigned *ret_process)
{
    char digits[RECORD_ID_DIGITS + 1] = { 0 };
    memcpy(digits, m->payload, RECORD_ID_DIGITS);
    struct record_id id = record_id_unpack(strtoull(digits, NULL, 16));
    *ret_process = id.producer;
    return value_of(id.producer, id.n);
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct history *history = m->_private;
    unsigned process;
    int64_t value = value_sent(m, &process);
    (void)rk;
    (void)opaque;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        history_ok(history, process, m->partition, value, m->offset);
    } else {
        history_unknown(history, process, m->partition, value, rd_kafka_err2name(m->err));
    }
}

static void producer_open(struct producer *p, const struct options *o, struct history *history,
                          unsigned process, bool idempotent)
{
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", o->timeout_ms);
    const struct client_setting settings[] = {
        { "acks", "all" },
        { "enable.idempotence", idempotent ? "true" : "false" },
        { "max.in.flight", idempotent ? "5" : "1" },
        { "retries", "1000000" },
        { "message.timeout.ms", timeout },
        { NULL, NULL },
    };
    p->options = o;
    p->history = history;
    p->process = process;
    p->idempotent = idempotent;
    history_begin(history, process, "producer", idempotent);
    p->rk = kafka_client_new(RD_KAFKA_PRODUCER, o->bootstrap, settings, o->settings, delivered);
    p->topic = rd_kafka_topic_new(p->rk, o->topic, NULL);
}

static void producer_close(struct producer *p)
{
    rd_kafka_topic_destroy(p->topic);
    rd_kafka_destroy(p->rk);
}

/* Sends one record; false when the client's queue is full. */
static bool send_one(struct producer *p, char *value)
{
    const struct options *o = p->options;
    unsigned partition = p->turn % (unsigned)o->partitions;
    uint32_t n = p->next[partition];
    uint64_t id = record_id_pack((struct record_id){
        .producer = p->process, .partition = partition, .n = n, .idempotent = p->idempotent });
    size_t len = record_value(id, (size_t)o->record_bytes, value);
    history_invoke(p->history, p->process, (int)partition, value_of(p->process, n));
    if (rd_kafka_produce(p->topic, (int32_t)partition, RD_KAFKA_MSG_F_COPY, value, len, NULL, 0,
                         p->history) != 0) {
        history_unknown(p->history, p->process, (int)partition, value_of(p->process, n), "QUEUE");
        return false;
    }
    p->next[partition]++;
    p->turn++;
    return true;
}

static bool has_sent_all(const struct producer *p)
{
    const struct options *o = p->options;
    return o->count > 0 && p->turn >= (unsigned)o->count * (unsigned)o->partitions;
}

/* Another producer instead, under a number that nobody has. */
static void replace(struct producer *p)
{
    static unsigned n_replaced;
    unsigned process = REPLACEMENTS_FROM + n_replaced++;
    check(process < REPLACEMENTS_FROM + REPLACEMENTS_MAX);
    history_end(p->history, p->process, "librdkafka #4438");
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(p->rk, 1000);
    producer_close(p);
    memset(p->next, 0, sizeof p->next);
    producer_open(p, p->options, p->history, process, p->idempotent);
}

static void notice_fatal(struct producer *p)
{
    char text[500];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->rk, text, sizeof text);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || p->broken) {
        return;
    }
    fprintf(stderr, "producer %u: fatal %s: %s\n", p->process, rd_kafka_err2name(code), text);
    if (code == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && rd_kafka_version() < 0x02040000) {
        replace(p);
    } else {
        history_broken(p->history, p->process, "send", rd_kafka_err2name(code));
        p->broken = true;
    }
}

/* Lets a producer send what it may; true when it did. */
static bool producer_turn(struct producer *p, double elapsed, char *value)
{
    const struct options *o = p->options;
    bool sent = false;
    p->credit = o->rate > 0 ? p->credit + elapsed * o->rate : 100;
    while (p->credit >= 1 && !p->broken && !has_sent_all(p) &&
           rd_kafka_outq_len(p->rk) < 2000 && send_one(p, value)) {
        p->credit -= 1;
        sent = true;
    }
    p->credit = p->credit > 100 ? 100 : p->credit;
    rd_kafka_poll(p->rk, 0);
    notice_fatal(p);
    return sent;
}

/* ---- all together ---------------------------------------------------------------------------- */

struct load {
    const struct options *options;
    struct history history;
    struct producer *producers;
    struct consumer *consumers;
    unsigned n_producers, n_consumers;
    bool broken;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load_open(struct load *load, const struct options *o)
{
    unsigned process = (unsigned)o->first_process;
    history_open(&load->history, o->history);
    load->n_producers = (unsigned)(o->idempotent + o->plain);
    load->n_consumers = (unsigned)o->consumers;
    load->producers = mem_zalloc_array(load->n_producers + 1, sizeof *load->producers);
    load->consumers = mem_zalloc_array(load->n_consumers + 1, sizeof *load->consumers);
    for (unsigned i = 0; i < load->n_producers; i++) {
        producer_open(&load->producers[i], o, &load->history, process++,
                      i < (unsigned)o->idempotent);
    }
    for (unsigned i = 0; i < load->n_consumers; i++) {
        consumer_open(&load->consumers[i], o, &load->history, process++, false);
    }
}

static void load_close(struct load *load)
{
    for (unsigned i = 0; i < load->n_producers; i++) {
        producer_close(&load->producers[i]);
    }
    for (unsigned i = 0; i < load->n_consumers; i++) {
        consumer_close(&load->consumers[i]);
    }
    history_close(&load->history);
    free(load->producers);
    free(load->consumers);
}

static bool turn(struct load *load, double elapsed, char *value)
{
    bool busy = false;
    for (unsigned i = 0; i < load->n_producers; i++) {
        busy = producer_turn(&load->producers[i], elapsed, value) || busy;
        load->broken = load->broken || load->producers[i].broken;
    }
    for (unsigned i = 0; i < load->n_consumers; i++) {
        int n = consumer_turn(&load->consumers[i], 0);
        busy = n > 0 || busy;
        load->broken = load->broken || n < 0;
    }
    history_flush(&load->history);
    return busy;
}

static bool is_done(const struct load *load)
{
    bool done = load->options->count > 0;
    for (unsigned i = 0; i < load->n_producers; i++) {
        done = done && has_sent_all(&load->producers[i]);
    }
    return done || stopped();
}

/* Nothing more is sent; answers are waited for. */
static void drain(struct load *load)
{
    for (unsigned i = 0; i < load->n_producers; i++) {
        rd_kafka_flush(load->producers[i].rk, load->options->timeout_ms);
        notice_fatal(&load->producers[i]);
        load->broken = load->broken || load->producers[i].broken;
    }
    history_flush(&load->history);
}

int run_send(const struct options *o)
{
    struct load load = { .options = o };
    char *value = mem_alloc((size_t)o->record_bytes);
    double last = now_seconds();
    load_open(&load, o);
    while (!is_done(&load) && !load.broken) {
        double now = now_seconds();
        if (!turn(&load, now - last, value)) {
            usleep(500);
        }
        last = now;
    }
    drain(&load);
    load_close(&load);
    free(value);
    return load.broken ? 1 : 0;
}
