/* Makes librdkafka clients and topics. */
#include "kafka_client.h"

#include <chronik/base/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void write_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    if (getenv("LOAD_DEBUG") != NULL) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        fprintf(stderr, "%%%d|%lld.%06ld|%s|%s| %s\n", level, (long long)t.tv_sec,
                t.tv_nsec / 1000, facility, rd_kafka_name(rk), text);
    }
}

static void set(rd_kafka_conf_t *conf, const struct client_setting *settings)
{
    char error[200];
    for (; settings != NULL && settings->name != NULL; settings++) {
        if (rd_kafka_conf_set(conf, settings->name, settings->value, error, sizeof error) !=
            RD_KAFKA_CONF_OK) {
            fprintf(stderr, "librdkafka: %s\n", error);
            exit(2);
        }
    }
}

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *bootstrap,
                             const struct client_setting *settings,
                             const struct client_setting *stronger, client_delivered *delivered)
{
    static const struct client_setting DEBUG[] = { { "debug", "eos,msg" }, { NULL, NULL } };
    const struct client_setting basic[] = { { "bootstrap.servers", bootstrap }, { NULL, NULL } };
    char error[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, basic);
    if (getenv("LOAD_DEBUG") != NULL) {
        set(conf, DEBUG);
    }
    set(conf, settings);
    set(conf, stronger);
    rd_kafka_conf_set_log_cb(conf, write_log);
    if (delivered != NULL) {
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (rk == NULL) {
        fprintf(stderr, "librdkafka: %s\n", error);
        exit(2);
    }
    return rk;
}

static void add_config(rd_kafka_NewTopic_t *topic, const char *config)
{
    struct text value = text_of(config);
    char *name = text_dup(text_cut(&value, '='));
    rd_kafka_NewTopic_set_config(topic, name, value.data);
    free(name);
}

static rd_kafka_resp_err_t result_of(rd_kafka_event_t *event)
{
    size_t n;
    if (event == NULL) {
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return rd_kafka_event_error(event);
    }
    const rd_kafka_CreateTopics_result_t *result =
        rd_kafka_event_CreateTopics_result(event);
    return rd_kafka_topic_result_error(rd_kafka_CreateTopics_result_topics(result, &n)[0]);
}

rd_kafka_resp_err_t kafka_create_topic(rd_kafka_t *rk, const char *name, int partitions,
                                       int replication, const char *const *configs,
                                       size_t n_configs)
{
    char error[200];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, partitions, replication, error, sizeof error);
    if (topic == NULL) {
        fprintf(stderr, "librdkafka: %s\n", error);
        exit(2);
    }
    for (size_t i = 0; i < n_configs; i++) {
        add_config(topic, configs[i]);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    rd_kafka_resp_err_t code = result_of(event);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return code;
}
