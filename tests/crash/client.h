/* librdkafka clients of the crash tests. */
#ifndef CHRONIK_TESTS_CRASH_CLIENT_H
#define CHRONIK_TESTS_CRASH_CLIENT_H

#include "load.h"

#include <librdkafka/rdkafka.h>

struct client_setting {
    const char *name, *value; /* of librdkafka; a list ends with a NULL name */
};

/* A client with settings that reconnect fast, and `extra` ones. Ends the process when librdkafka
 * refuses. */
rd_kafka_t *client_new(const struct load_options *options, rd_kafka_type_t type,
                       const struct client_setting *extra,
                       void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *));

/* crash_load's commands. */
int client_write(const struct load_options *options);
int client_check(const struct load_options *options);
int client_create(const struct load_options *options);
int client_trim(const struct load_options *options);

#endif
