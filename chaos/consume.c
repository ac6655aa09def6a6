/* Consumers that are assigned all partitions: those that read along with the producers, and the
 * last reading, from start to end, that is held against what was acknowledged. */
#include "chaos_load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void consumer_open(struct consumer *c, const struct options *o, struct history *history,
                   unsigned process, bool final)
{
    static const struct client_setting SETTINGS[] = {
        { "group.id", "chaos" },       { "enable.auto.commit", "false" },
        { "check.crcs", "true" },      { "auto.offset.reset", "error" },
        { "fetch.wait.max.ms", "50" }, { NULL, NULL },
    };
    *c = (struct consumer){ .options = o, .history = history, .process = process, .final = final };
    history_begin(history, process, "consumer", false);
    c->rk = kafka_client_new(RD_KAFKA_CONSUMER, o->bootstrap, SETTINGS, o->settings, NULL);
    rd_kafka_poll_set_consumer(c->rk);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(o->partitions);
    for (int i = 0; i < o->partitions; i++) {
        rd_kafka_topic_partition_list_add(list, o->topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void consumer_close(struct consumer *c)
{
    rd_kafka_queue_destroy(c->queue);
    rd_kafka_consumer_close(c->rk);
    rd_kafka_destroy(c->rk);
}

/* The value in a record that is what its producer sent to this partition; else -1. */
static int64_t value_in(const struct consumer *c, const rd_kafka_message_t *m)
{
    uint64_t id;
    if (!record_value_check(m->payload, m->len, (size_t)c->options->record_bytes, &id)) {
        return -1;
    }
    struct record_id parts = record_id_unpack(id);
    return parts.partition == (unsigned)m->partition ? value_of(parts.producer, parts.n) : -1;
}

static bool is_record(const rd_kafka_message_t *m)
{
    return m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void write_poll(struct consumer *c, rd_kafka_message_t **messages, ssize_t n)
{
    bool begun = false;
    for (ssize_t i = 0; i < n; i++) {
        if (is_record(messages[i])) {
            if (!begun) {
                history_poll_begin(c->history, c->process, c->final);
                begun = true;
            }
            history_poll_record(c->history, messages[i]->partition, messages[i]->offset,
                                value_in(c, messages[i]));
            c->next[messages[i]->partition] = messages[i]->offset + 1;
        }
    }
    if (begun) {
        history_poll_end(c->history);
    }
}

/* Errors of connections pass; a refused position does not. */
static bool position_was_refused(struct consumer *c, const rd_kafka_message_t *m)
{
    if (m->err != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET &&
        m->err != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        return false;
    }
    fprintf(stderr, "consumer %u: partition %d: %s\n", c->process, (int)m->partition,
            rd_kafka_message_errstr(m));
    history_broken(c->history, c->process, c->final ? "final" : "poll", rd_kafka_err2name(m->err));
    return true;
}

int consumer_turn(struct consumer *c, int wait_ms)
{
    rd_kafka_message_t *messages[1000];
    bool refused = false;
    int n_records = 0;
    ssize_t n = rd_kafka_consume_batch_queue(c->queue, wait_ms, messages, countof(messages));
    write_poll(c, messages, n);
    for (ssize_t i = 0; i < n; i++) {
        n_records += is_record(messages[i]);
        refused = refused || position_was_refused(c, messages[i]);
        rd_kafka_message_destroy(messages[i]);
    }
    return refused ? -1 : n_records;
}

/* ---- the last reading ------------------------------------------------------------------------ */

/* A leader that hands over at that moment is asked again, for ten seconds at most. */
static rd_kafka_resp_err_t learn_end(const struct consumer *c, int partition, int64_t *end)
{
    enum { TRIES = 100, PAUSE_US = 100000 };
    const struct options *o = c->options;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int64_t start;
    for (int i = 0; i < TRIES; i++) {
        code = rd_kafka_query_watermark_offsets(c->rk, o->topic, partition, &start, end,
                                                o->timeout_ms);
        if (code != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
            code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
            break;
        }
        usleep(PAUSE_US);
    }
    return code;
}

static bool learn_ends(const struct consumer *c, int64_t *ends)
{
    const struct options *o = c->options;
    for (int i = 0; i < o->partitions; i++) {
        rd_kafka_resp_err_t code = learn_end(c, i, &ends[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "ends of partition %d: %s\n", i, rd_kafka_err2name(code));
            return false;
        }
    }
    return true;
}

static bool is_behind(const struct consumer *c, const int64_t *ends)
{
    for (int i = 0; i < c->options->partitions; i++) {
        if (c->next[i] < ends[i]) {
            return true;
        }
    }
    return false;
}

static void say_where(const struct consumer *c, const int64_t *ends)
{
    for (int i = 0; i < c->options->partitions; i++) {
        if (c->next[i] < ends[i]) {
            fprintf(stderr, "partition %d: read up to %" PRId64 " of %" PRId64 "\n", i, c->next[i],
                    ends[i]);
        }
    }
}

static int read_to_ends(struct consumer *c, const int64_t *ends)
{
    int idle_ms = 0;
    while (is_behind(c, ends)) {
        int n = consumer_turn(c, 100);
        if (n < 0) {
            return 1;
        }
        idle_ms = n > 0 ? 0 : idle_ms + 100;
        if (idle_ms > c->options->timeout_ms) {
            fprintf(stderr, "no record in %d ms\n", c->options->timeout_ms);
            say_where(c, ends);
            return 2;
        }
    }
    return 0;
}

int run_read(const struct options *o)
{
    struct history history;
    struct consumer *c = mem_zalloc(sizeof *c);
    int64_t *ends = mem_zalloc_array((size_t)o->partitions, sizeof *ends);
    history_open(&history, o->history);
    consumer_open(c, o, &history, (unsigned)o->first_process, true);
    int code = learn_ends(c, ends) ? read_to_ends(c, ends) : 2;
    consumer_close(c);
    history_close(&history);
    free(ends);
    free(c);
    return code;
}
