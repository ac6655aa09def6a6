/* librdkafka from C: records there and back, with each codec, plain and idempotent.
 *
 * The content of a record follows from its number, so that what comes back is compared byte by byte
 * without keeping what was sent. Records are spread over three partitions; within each one the
 * numbers must rise. Acknowledged offsets must be those at which the records are found. The
 * broker's address is in $BOOTSTRAP. Ends with 1 and a sentence when something is wrong. */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTITIONS = 3, RECORDS = 3000, BIG = RECORDS - 1, MIB = 1 << 20, WAIT_MS = 60000 };

static const char *const CODECS[] = { "none", "gzip", "snappy", "lz4", "zstd" };

struct run {
    const char *bootstrap, *codec;
    bool idempotent;
    char topic[64];
    int64_t acknowledged[RECORDS]; /* offset; -1: not yet */
    bool seen[RECORDS];
    int64_t last_number[PARTITIONS];
    int n_acknowledged, n_seen;
};

__attribute__((format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "rdkafka_roundtrip: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

/* ---- records ----------------------------------------------------------------------------------*/

struct content {
    char *key, *value; /* NULL: a null one */
    size_t key_len, value_len;
    char number[16]; /* in the header "number" */
};

static char *fill(int seed, size_t len)
{
    char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)((size_t)seed * 31 + i / 3 + i % 7);
    }
    return bytes;
}

/* Every hundredth key and every seventy-first value is null, some are empty, one has 1 MiB. */
static void content_of(int number, struct content *ret_content)
{
    struct content c = { .key_len = (size_t)number % 13, .value_len = (size_t)number % 400 };
    if (number == BIG) {
        c.value_len = MIB;
    }
    c.key = number % 100 == 0 ? NULL : fill(number, c.key_len);
    c.value = number % 71 == 0 ? NULL : fill(number + 1, c.value_len);
    c.key_len = c.key != NULL ? c.key_len : 0;
    c.value_len = c.value != NULL ? c.value_len : 0;
    snprintf(c.number, sizeof c.number, "%d", number);
    *ret_content = c;
}

static void content_release(struct content *c)
{
    free(c->key);
    free(c->value);
}

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    bool null_a = a == NULL, null_b = b == NULL;
    return null_a == null_b && a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* ---- clients ----------------------------------------------------------------------------------*/

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fail("%s=%s: %s", name, value, error);
    }
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct run *run = opaque;
    int number = (int)(intptr_t)m->_private;
    (void)rk;
    if (m->err) {
        fail("%s: record %d: %s", run->topic, number, rd_kafka_err2str(m->err));
    }
    if (run->acknowledged[number] != -1) {
        fail("%s: record %d was acknowledged twice", run->topic, number);
    }
    run->acknowledged[number] = m->offset;
    run->n_acknowledged++;
}

static rd_kafka_t *new_client(struct run *run, rd_kafka_type_t type)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", run->bootstrap);
    set(conf, "message.max.bytes", "2000000");
    rd_kafka_conf_set_opaque(conf, run);
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "compression.codec", run->codec);
        set(conf, "acks", "all");
        set(conf, "linger.ms", "20");
        set(conf, "enable.idempotence", run->idempotent ? "true" : "false");
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    } else {
        set(conf, "group.id", "unused");
        set(conf, "enable.partition.eof", "true");
        set(conf, "enable.auto.commit", "false");
        set(conf, "auto.offset.reset", "error");
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (rk == NULL) {
        fail("%s", error);
    }
    return rk;
}

static void create_topic(rd_kafka_t *rk, const char *name)
{
    char error[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, PARTITIONS, 1, error, sizeof error);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    size_t n = 0;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &n);
    if (n != 1 || rd_kafka_topic_result_error(topics[0])) {
        fail("%s: cannot create it: %s", name, rd_kafka_event_error_string(event));
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

/* ---- there ------------------------------------------------------------------------------------*/

static void produce_one(struct run *run, rd_kafka_t *rk, int number)
{
    struct content c;
    content_of(number, &c);
    rd_kafka_resp_err_t error;
    do {
        error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(run->topic), RD_KAFKA_V_PARTITION(number % PARTITIONS),
            RD_KAFKA_V_KEY(c.key, c.key_len), RD_KAFKA_V_VALUE(c.value, c.value_len),
            RD_KAFKA_V_HEADER("number", c.number, -1), RD_KAFKA_V_HEADER("null", NULL, 0),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_OPAQUE((void *)(intptr_t)number), RD_KAFKA_V_END);
        rd_kafka_poll(rk, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
    } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    if (error) {
        fail("%s: record %d: %s", run->topic, number, rd_kafka_err2str(error));
    }
    content_release(&c);
}

static void produce(struct run *run)
{
    rd_kafka_t *rk = new_client(run, RD_KAFKA_PRODUCER);
    create_topic(rk, run->topic);
    for (int i = 0; i < RECORDS; i++) {
        produce_one(run, rk, i);
    }
    if (rd_kafka_flush(rk, WAIT_MS) || run->n_acknowledged != RECORDS) {
        fail("%s: %d of %d records were acknowledged", run->topic, run->n_acknowledged, RECORDS);
    }
    rd_kafka_destroy(rk);
}

/* ---- and back ---------------------------------------------------------------------------------*/

static int number_of(struct run *run, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(m, &headers) ||
        rd_kafka_header_get_last(headers, "number", &value, &len)) {
        fail("%s: a record without its header at offset %" PRId64, run->topic, m->offset);
    }
    int number = (int)strtol(value, NULL, 10);
    if (number < 0 || number >= RECORDS) {
        fail("%s: nobody sent the record at offset %" PRId64, run->topic, m->offset);
    }
    if (rd_kafka_header_get_last(headers, "null", &value, &len) || value != NULL) {
        fail("%s: record %d: the null header came back changed", run->topic, number);
    }
    return number;
}

static void check_one(struct run *run, const rd_kafka_message_t *m)
{
    struct content c;
    int number = number_of(run, m);
    content_of(number, &c);
    if (run->seen[number]) {
        fail("%s: record %d comes twice", run->topic, number);
    }
    if (m->partition != number % PARTITIONS || m->offset != run->acknowledged[number]) {
        fail("%s: record %d is at %d/%" PRId64 ", but was acknowledged at %" PRId64, run->topic,
             number, m->partition, m->offset, run->acknowledged[number]);
    }
    if (number <= run->last_number[m->partition]) {
        fail("%s: record %d comes after %" PRId64, run->topic, number,
             run->last_number[m->partition]);
    }
    if (!same(m->key, m->key_len, c.key, c.key_len) ||
        !same(m->payload, m->len, c.value, c.value_len)) {
        fail("%s: record %d came back changed", run->topic, number);
    }
    run->seen[number] = true;
    run->last_number[m->partition] = number;
    run->n_seen++;
    content_release(&c);
}

static void consume(struct run *run)
{
    rd_kafka_t *rk = new_client(run, RD_KAFKA_CONSUMER);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        rd_kafka_topic_partition_list_add(list, run->topic, p)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (int ended = 0; ended < PARTITIONS;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, WAIT_MS);
        if (m == NULL) {
            fail("%s: nothing comes after %d records", run->topic, run->n_seen);
        }
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ended++;
        } else if (m->err) {
            fail("%s: %s", run->topic, rd_kafka_message_errstr(m));
        } else {
            check_one(run, m);
        }
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    if (run->n_seen != RECORDS) {
        fail("%s: %d of %d acknowledged records came back", run->topic, run->n_seen, RECORDS);
    }
}

static void round_trip(const char *bootstrap, const char *codec, bool idempotent)
{
    struct run run = { .bootstrap = bootstrap, .codec = codec, .idempotent = idempotent };
    const char *kind = idempotent ? "idempotent" : "plain";
    snprintf(run.topic, sizeof run.topic, "rdkafka-%s-%s-%lx", codec, kind, (long)time(NULL));
    memset(run.acknowledged, -1, sizeof run.acknowledged);
    memset(run.last_number, -1, sizeof run.last_number);
    produce(&run);
    consume(&run);
    printf("librdkafka %s, %s, %s: %d records, each once, in order, unchanged\n",
           rd_kafka_version_str(), codec, kind, run.n_seen);
}

int main(void)
{
    const char *bootstrap = getenv("BOOTSTRAP");
    if (bootstrap == NULL) {
        fail("set BOOTSTRAP to host:port");
    }
    for (size_t i = 0; i < sizeof CODECS / sizeof *CODECS; i++) {
        round_trip(bootstrap, CODECS[i], false);
        round_trip(bootstrap, CODECS[i], true);
    }
    return 0;
}
