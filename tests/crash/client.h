/* librdkafka clients of the crash tests. */
#ifndef CHRONIK_TESTS_CRASH_CLIENT_H
#define CHRONIK_TESTS_CRASH_CLIENT_H

#include "kafka_client.h"
#include "load.h"

/* A client with settings that reconnect fast, and `extra` ones. */
rd_kafka_t *client_new(const struct load_options *options, rd_kafka_type_t type,
                       const struct client_setting *extra, client_delivered *delivered);

/* crash_load's commands. */
int client_write(const struct load_options *options);
int client_check(const struct load_options *options);
int client_create(const struct load_options *options);
int client_trim(const struct load_options *options);

#endif
