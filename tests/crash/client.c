/* crash_load: the load generator of the crash tests, through librdkafka.
 *
 *     crash_load create -b HOST:PORT -t TOPIC -n PARTITIONS [-c name=value]…
 *     crash_load write  -b … -t … -n … -a ACKED -i 2 -p 1 -r 0 -s 1000    until SIGTERM
 *     crash_load check  -b … -t … -n … -a ACKED                          compares
 *     crash_load trim   -b … -t … -n … -a ACKED -o OFFSET                DeleteRecords
 */
#include "client.h"

#include <stdio.h>

rd_kafka_t *client_new(const struct load_options *options, rd_kafka_type_t type,
                       const struct client_setting *extra, client_delivered *delivered)
{
    static const struct client_setting SETTINGS[] = {
        { "client.id", "crash_load" },
        { "reconnect.backoff.ms", "20" },
        { "reconnect.backoff.max.ms", "200" },
        { "topic.metadata.refresh.interval.ms", "1000" },
        { "socket.timeout.ms", "10000" },
        { NULL, NULL },
    };
    return kafka_client_new(type, options->bootstrap, SETTINGS, extra, delivered);
}

int client_create(const struct load_options *options)
{
    rd_kafka_t *rk = client_new(options, RD_KAFKA_PRODUCER, NULL, NULL);
    rd_kafka_resp_err_t code =
        kafka_create_topic(rk, options->topic, options->partitions, 1, options->configs,
                           options->n_configs);
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
    rd_kafka_t *rk = client_new(options, RD_KAFKA_PRODUCER, NULL, NULL);
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
