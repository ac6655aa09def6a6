/* librdkafka clients of the crash and chaos tests. What cannot be ends the program with code 2. */
#ifndef CHRONIK_TESTS_SUPPORT_KAFKA_CLIENT_H
#define CHRONIK_TESTS_SUPPORT_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include <stddef.h>

struct client_setting {
    const char *name, *value; /* of librdkafka; a list ends with a NULL name */
};

/* Tells a producer's owner what became of a message. */
typedef void client_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* A client with librdkafka's defaults and the settings of two lists, the later ones stronger; both
 * lists may be NULL. Quiet, unless $LOAD_DEBUG is set. */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *bootstrap,
                             const struct client_setting *settings,
                             const struct client_setting *stronger, client_delivered *delivered);

/* Creates a topic; `configs` are "name=value". The broker's answer, or the client's when there is
 * none. */
rd_kafka_resp_err_t kafka_create_topic(rd_kafka_t *rk, const char *topic, int partitions,
                                       int replication, const char *const *configs,
                                       size_t n_configs);

#endif
