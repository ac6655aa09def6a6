/* Producers that write records with known ids until they are told to stop.
 *
 * One thread serves all of them. What the broker acknowledged is in the acknowledgement log before
 * anything else happens, so a crash of the broker never takes an acknowledgement back. At the end
 * every record has been acknowledged or has failed; the counts go to standard output, with the
 * errors by name. */
#include "client.h"

#include <chronik/base/random.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

enum { ERRORS_MAX = 16 };

struct load {
    const struct load_options *options;
    FILE *acked;
    int64_t n_sent, n_acked, n_failed;
    struct {
        rd_kafka_resp_err_t code;
        int64_t n;
    } errors[ERRORS_MAX];
};

struct producer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct load *load;
    unsigned index;
    bool idempotent;
    uint32_t next[LOAD_PARTITIONS_MAX]; /* by partition */
    unsigned turn;
    double credit; /* records it may send now, when there is a rate */
};

static void count_error(struct load *load, rd_kafka_resp_err_t code)
{
    size_t i = 0;
    while (i < ERRORS_MAX - 1 && load->errors[i].n > 0 && load->errors[i].code != code) {
        i++;
    }
    load->errors[i].code = code;
    load->errors[i].n++;
    load->n_failed++;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct load *load = message->_private;
    char id[RECORD_ID_DIGITS + 1] = { 0 };
    (void)rk;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        count_error(load, message->err);
        return;
    }
    memcpy(id, message->payload, RECORD_ID_DIGITS);
    load->n_acked++;
    fprintf(load->acked, "%s %" PRId64 "\n", id, message->offset);
}

static void open_producer(struct load *load, struct producer *p, unsigned index)
{
    char timeout[16];
    const struct load_options *o = load->options;
    p->load = load;
    p->index = index;
    p->idempotent = index < (unsigned)o->idempotent;
    snprintf(timeout, sizeof timeout, "%d", o->timeout_ms);
    const struct client_setting settings[] = {
        { "enable.idempotence", p->idempotent ? "true" : "false" },
        { "max.in.flight", p->idempotent ? "5" : "1" },
        { "acks", "all" },
        { "linger.ms", "1" },
        { "retries", "1000000" },
        { "retry.backoff.ms", "20" },
        { "batch.num.messages", "20" },
        { "queue.buffering.max.messages", "2000" },
        { "message.timeout.ms", timeout },
        { NULL, NULL },
    };
    p->rk = client_new(o, RD_KAFKA_PRODUCER, settings, delivered);
    p->topic = rd_kafka_topic_new(p->rk, o->topic, NULL);
}

/* Sends one record; false when the client's queue is full. */
static bool send_one(struct producer *p, char *value)
{
    const struct load_options *o = p->load->options;
    unsigned partition = p->turn % (unsigned)o->partitions;
    uint64_t id = record_id_pack((struct record_id){ .run = (unsigned)o->run,
                                                 .producer = p->index,
                                                 .partition = partition,
                                                 .n = p->next[partition],
                                                 .idempotent = p->idempotent });
    size_t len = record_value(id, (size_t)o->record_bytes, value);
    if (rd_kafka_produce(p->topic, (int32_t)partition, RD_KAFKA_MSG_F_COPY, value, len, NULL, 0,
                         p->load) != 0) {
        return false;
    }
    p->next[partition]++;
    p->turn++;
    p->load->n_sent++;
    return true;
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Has librdkafka given up on this producer for good? */
static bool is_fatal(struct producer *p)
{
    char text[300];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->rk, text, sizeof text);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        printf("fatal %s: %s\n", rd_kafka_err2name(code), text);
    }
    return code != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Lets one producer send what it may; true when it did. */
static bool serve(struct producer *p, double elapsed, char *value)
{
    const struct load_options *o = p->load->options;
    bool sent = false;
    p->credit = o->rate > 0 ? p->credit + elapsed * o->rate : 100;
    for (int i = 0; i < 100 && p->credit >= 1; i++) {
        if ((o->count > 0 && p->load->n_sent >= o->count) || !send_one(p, value)) {
            break;
        }
        p->credit -= 1;
        sent = true;
    }
    p->credit = p->credit > 100 ? 100 : p->credit;
    rd_kafka_poll(p->rk, 0);
    return sent;
}

static bool run(struct load *load, struct producer *producers, unsigned n)
{
    char *value = mem_alloc((size_t)load->options->record_bytes);
    double last = now_seconds();
    bool fatal = false;
    while (!stopped && !fatal &&
           (load->options->count == 0 || load->n_sent < load->options->count)) {
        double now = now_seconds();
        bool sent = false;
        for (unsigned i = 0; i < n; i++) {
            sent = serve(&producers[i], now - last, value) || sent;
            fatal = fatal || is_fatal(&producers[i]);
        }
        last = now;
        fflush(load->acked);
        if (!sent) {
            usleep(1000);
        }
    }
    free(value);
    return !fatal;
}

static void report(const struct load *load)
{
    printf("sent %" PRId64 " acknowledged %" PRId64 " failed %" PRId64, load->n_sent, load->n_acked,
           load->n_failed);
    for (size_t i = 0; i < ERRORS_MAX && load->errors[i].n > 0; i++) {
        printf(" %s=%" PRId64, rd_kafka_err2name(load->errors[i].code), load->errors[i].n);
    }
    printf("\n");
}

int client_write(const struct load_options *options)
{
    struct load load = { .options = options };
    unsigned n = (unsigned)(options->idempotent + options->plain);
    check(n > 0 && n <= LOAD_PRODUCERS_MAX);
    struct producer *producers = mem_zalloc_array(n, sizeof *producers);
    load.acked = fopen(options->acked, "a");
    if (load.acked == NULL) {
        perror(options->acked);
        return 2;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    for (unsigned i = 0; i < n; i++) {
        open_producer(&load, &producers[i], i);
    }
    bool ok = run(&load, producers, n);
    for (unsigned i = 0; i < n; i++) {
        rd_kafka_flush(producers[i].rk, options->timeout_ms);
        ok = ok && !is_fatal(&producers[i]);
        rd_kafka_topic_destroy(producers[i].topic);
        rd_kafka_destroy(producers[i].rk);
    }
    fclose(load.acked);
    report(&load);
    free(producers);
    return ok ? 0 : 1;
}
