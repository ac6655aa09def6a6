/* crash_load: the load generator of the crash tests, through librdkafka.
 *
 *     crash_load create -b HOST:PORT -t TOPIC -n PARTITIONS [-c name=value]…
 *     crash_load write  -b … -t … -n … -a ACKED -i 2 -p 1 -r 0 -s 1000    until SIGTERM
 *     crash_load check  -b … -t … -n … -a ACKED                          compares
 *     crash_load trim   -b … -t … -n … -a ACKED -o OFFSET                DeleteRecords
 */
#include "client.h"

#include <stdio.h>

/* librdkafka is quiet unless $LOAD_DEBUG is set. */
static void be_silent(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    if (getenv("LOAD_DEBUG") != NULL) {
        fprintf(stderr, "%%%d|%s|%s| %s\n", level, facility, rd_kafka_name(rk), text);
    }
}

static void set(rd_kafka_conf_t *conf, const struct client_setting *settings)
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

rd_kafka_t *client_new(const struct load_options *options, rd_kafka_type_t type,
                       const struct client_setting *extra,
                       void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    const struct client_setting SETTINGS[] = {
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
    static const struct client_setting DEBUG[] = { { "debug", "eos,msg" }, { NULL, NULL } };
    set(conf, SETTINGS);
    if (getenv("LOAD_DEBUG") != NULL) {
        set(conf, DEBUG);
    }
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

static const struct client_setting NOTHING[] = { { NULL, NULL } };

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

int client_create(const struct load_options *options)
{
    rd_kafka_t *rk = client_new(options, RD_KAFKA_PRODUCER, NOTHING, NULL);
    rd_kafka_resp_err_t code = create_topic(rk, options);
    rd_kafka_destroy(rk);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "crash_load: creating %s: %s\n", options->topic, rd_kafka_err2name(code));
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 2;
}

/* Says in the second acknowledgement log that records below the offset may go. */
static void note_trim(const struct load_options *options)
{
    char *path = mem_sprintf("%s.trims", options->acked);
    FILE *file = fopen(path, "a");
    for (int i = 0; file != NULL && i < options->partitions; i++) {
        fprintf(file, "trim %d %d\n", i, options->offset);
    }
    if (file == NULL || fclose(file) != 0) {
        perror(path);
        exit(2);
    }
    free(path);
}

int client_trim(const struct load_options *options)
{
    note_trim(options);
    rd_kafka_t *rk = client_new(options, RD_KAFKA_PRODUCER, NOTHING, NULL);
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

int main(int argc, char **argv)
{
    static const struct load_command COMMANDS[] = {
        { "create", client_create },
        { "write", client_write },
        { "check", client_check },
        { "trim", client_trim },
    };
    return load_main(argc, argv, COMMANDS, countof(COMMANDS));
}
