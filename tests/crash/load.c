/* crash_load: the load generator of the crash tests.
 *
 *     crash_load create -b HOST:PORT -t TOPIC -n PARTITIONS [-c name=value]…
 *     crash_load write  -b … -t … -n … -a ACKED -i 2 -p 1 -r 0 -s 1000    until SIGTERM
 *     crash_load check  -b … -t … -n … -a ACKED                          compares
 *     crash_load trim   -b … -t … -n … -o OFFSET                         DeleteRecords
 */
#include "load.h"

#include <chronik/base/random.h>

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* ---- ids ------------------------------------------------------------------------------------ */

uint64_t load_id_pack(struct load_id id)
{
    return (uint64_t)id.run << 52 | (uint64_t)id.idempotent << 51 | (uint64_t)id.producer << 44 |
           (uint64_t)id.partition << 32 | id.n;
}

struct load_id load_id_unpack(uint64_t id)
{
    return (struct load_id){
        .run = (unsigned)(id >> 52),
        .idempotent = (id >> 51 & 1) != 0,
        .producer = (unsigned)(id >> 44 & 0x7f),
        .partition = (unsigned)(id >> 32 & 0xfff),
        .n = (uint32_t)id,
    };
}

size_t load_value(uint64_t id, size_t max_bytes, char *to)
{
    struct prng prng;
    prng_init(&prng, id);
    size_t len = LOAD_ID_DIGITS + 1 + prng_below(&prng, max_bytes - LOAD_ID_DIGITS);
    char digits[LOAD_ID_DIGITS + 2];
    snprintf(digits, sizeof digits, "%016" PRIx64 ".", id);
    memcpy(to, digits, LOAD_ID_DIGITS + 1);
    uint64_t letters = 0;
    for (size_t i = LOAD_ID_DIGITS + 1; i < len; i++) {
        letters = letters < 16 ? prng_u64(&prng) : letters >> 4;
        to[i] = (char)('a' + (letters & 15));
    }
    return len;
}

bool load_value_check(const void *value, size_t len, size_t max_bytes, uint64_t *ret_id)
{
    char digits[LOAD_ID_DIGITS + 1] = { 0 }, *end;
    if (len <= LOAD_ID_DIGITS || len > max_bytes) {
        return false;
    }
    memcpy(digits, value, LOAD_ID_DIGITS);
    uint64_t id = strtoull(digits, &end, 16);
    char *expected = mem_alloc(max_bytes);
    bool ok = *end == 0 && load_value(id, max_bytes, expected) == len &&
              memcmp(expected, value, len) == 0;
    free(expected);
    *ret_id = id;
    return ok;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void be_silent(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    if (getenv("LOAD_DEBUG") != NULL) {
        fprintf(stderr, "%%%d|%s|%s| %s\n", level, facility, rd_kafka_name(rk), text);
    }
}

static void set(rd_kafka_conf_t *conf, const struct load_setting *settings)
{
    char error[200];
    for (; settings->name != NULL; settings++) {
        if (rd_kafka_conf_set(conf, settings->name, settings->value, error, sizeof error) !=
            RD_KAFKA_CONF_OK) {
            fprintf(stderr, "crash_load: %s\n", error);
            exit(2);
        }
    }
}

rd_kafka_t *load_client(const struct load_options *options, rd_kafka_type_t type,
                        const struct load_setting *extra,
                        void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    const struct load_setting SETTINGS[] = {
        { "bootstrap.servers", options->bootstrap },
        { "client.id", "crash_load" },
        { "reconnect.backoff.ms", "20" },
        { "reconnect.backoff.max.ms", "200" },
        { "topic.metadata.refresh.interval.ms", "1000" },
        { "socket.timeout.ms", "10000" },
        { NULL, NULL },
    };
    char error[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, SETTINGS);
    set(conf, extra);
    rd_kafka_conf_set_log_cb(conf, be_silent);
    if (delivered != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (rk == NULL) {
        fprintf(stderr, "crash_load: %s\n", error);
        exit(2);
    }
    return rk;
}

/* ---- admin ------------------------------------------------------------------------------------
 * */

static const struct load_setting NOTHING[] = { { NULL, NULL } };

static void add_config(rd_kafka_NewTopic_t *topic, const char *config)
{
    struct text value = text_of(config);
    char *name = text_dup(text_cut(&value, '='));
    rd_kafka_NewTopic_set_config(topic, name, value.data);
    free(name);
}

/* Asks for the topic; the broker's answer, or the client's when there is none. */
static rd_kafka_resp_err_t create_topic(rd_kafka_t *rk, const struct load_options *options)
{
    char error[200];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(options->topic, options->partitions, 1, error, sizeof error);
    for (size_t i = 0; i < options->n_configs; i++) {
        add_config(topic, options->configs[i]);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    rd_kafka_resp_err_t code =
        event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        size_t n;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        code = rd_kafka_topic_result_error(results[0]);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return code;
}

int load_create(const struct load_options *options)
{
    rd_kafka_t *rk = load_client(options, RD_KAFKA_PRODUCER, NOTHING, NULL);
    rd_kafka_resp_err_t code = create_topic(rk, options);
    rd_kafka_destroy(rk);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "crash_load: creating %s: %s\n", options->topic, rd_kafka_err2name(code));
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 2;
}

int load_trim(const struct load_options *options)
{
    rd_kafka_t *rk = load_client(options, RD_KAFKA_PRODUCER, NOTHING, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(options->partitions);
    for (int i = 0; i < options->partitions; i++) {
        rd_kafka_topic_partition_list_add(list, options->topic, i)->offset = options->offset;
    }
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    bool ok = event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (ok) {
        const rd_kafka_topic_partition_list_t *done =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        for (int i = 0; i < done->cnt; i++) {
            ok = ok && done->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        }
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return ok ? 0 : 2;
}

/* ---- arguments
 * ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(const struct load_options *);
} COMMANDS[] = {
    { "create", load_create },
    { "write", load_write },
    { "check", load_check },
    { "trim", load_trim },
};

static int number(const char *text)
{
    int64_t n;
    if (!text_to_i64(text_of(text), &n) || n < INT32_MIN || n > INT32_MAX) {
        fprintf(stderr, "crash_load: not a number: %s\n", text);
        exit(2);
    }
    return (int)n;
}

/* Each option is one letter with a value. */
static void parse(int argc, char **argv, struct load_options *o)
{
    const struct {
        int letter;
        const char **text;
        int *number;
    } OPTIONS[] = {
        { 'b', &o->bootstrap, NULL },  { 't', &o->topic, NULL },
        { 'a', &o->acked, NULL },      { 'n', NULL, &o->partitions },
        { 'R', NULL, &o->run },        { 'i', NULL, &o->idempotent },
        { 'p', NULL, &o->plain },      { 's', NULL, &o->record_bytes },
        { 'r', NULL, &o->rate },       { 'k', NULL, &o->count },
        { 'T', NULL, &o->timeout_ms }, { 'o', NULL, &o->offset },
    };
    int letter;
    while ((letter = getopt(argc, argv, "b:t:a:n:R:i:p:s:r:k:T:o:c:")) != -1) {
        size_t i = 0;
        while (i < countof(OPTIONS) && OPTIONS[i].letter != letter) {
            i++;
        }
        if (letter == 'c' && o->n_configs < LOAD_CONFIGS_MAX) {
            o->configs[o->n_configs++] = optarg;
        } else if (i == countof(OPTIONS)) {
            exit(2);
        } else if (OPTIONS[i].text != NULL) {
            *OPTIONS[i].text = optarg;
        } else {
            *OPTIONS[i].number = number(optarg);
        }
    }
}

int main(int argc, char **argv)
{
    struct load_options o = { .bootstrap = "127.0.0.1:9092",
                              .topic = "crash",
                              .partitions = 1,
                              .record_bytes = 1000,
                              .timeout_ms = 120000 };
    if (argc < 2) {
        fprintf(stderr, "usage: crash_load create|write|check|trim [options]; see load.c\n");
        return 2;
    }
    o.command = argv[1];
    parse(argc - 1, argv + 1, &o);
    check(o.partitions <= LOAD_PARTITIONS_MAX && o.record_bytes > LOAD_ID_DIGITS);
    for (size_t i = 0; i < countof(COMMANDS); i++) {
        if (strcmp(o.command, COMMANDS[i].name) == 0) {
            return COMMANDS[i].run(&o);
        }
    }
    fprintf(stderr, "crash_load: no command %s\n", o.command);
    return 2;
}
