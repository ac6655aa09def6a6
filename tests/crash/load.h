/* The load generator of the crash tests: records that carry their own ids, through librdkafka.
 *
 * A record's value is its id (16 hexadecimal digits) and letters that follow from the id, so that a
 * record in the wrong place or with the wrong bytes is seen. Ids of one producer and partition
 * count upwards. The acknowledgement log has one line for each acknowledged record: "id offset". */
#ifndef CHRONIK_TESTS_CRASH_LOAD_H
#define CHRONIK_TESTS_CRASH_LOAD_H

#include <chronik/base/text.h>

#include <librdkafka/rdkafka.h>

enum { LOAD_PRODUCERS_MAX = 64, LOAD_PARTITIONS_MAX = 1024, LOAD_CONFIGS_MAX = 16 };

struct load_options {
    const char *command;
    const char *bootstrap;
    const char *topic;
    const char *acked;                     /* file of the acknowledgement log; may be NULL */
    const char *configs[LOAD_CONFIGS_MAX]; /* of the topic to create: "name=value" */
    size_t n_configs;
    int partitions;
    int run;          /* part of the ids: lets one topic take several runs */
    int idempotent;   /* so many idempotent producers … */
    int plain;        /* … and so many without, of one request at a time */
    int record_bytes; /* the largest */
    int rate;         /* records a second and producer; 0: as fast as it goes */
    int count;        /* stop after so many records; 0: at SIGTERM */
    int timeout_ms;   /* of a record, until it counts as failed */
    int offset;       /* of `trim`: the new log start of each partition */
};

struct load_id {
    unsigned run, producer, partition;
    uint32_t n;
    bool idempotent;
};

uint64_t load_id_pack(struct load_id id);
struct load_id load_id_unpack(uint64_t id);

enum { LOAD_ID_DIGITS = 16 };

/* Writes the value of record `id` to `to`, which has room for `max_bytes`; returns its length. */
size_t load_value(uint64_t id, size_t max_bytes, char *to);

/* Reads an id back; false when the value is not exactly what load_value() wrote. */
bool load_value_check(const void *value, size_t len, size_t max_bytes, uint64_t *ret_id);

struct load_setting {
    const char *name, *value; /* of librdkafka; a list ends with a NULL name */
};

/* A client with settings that reconnect fast, and `extra` ones. Ends the process when librdkafka
 * refuses. */
rd_kafka_t *load_client(const struct load_options *options, rd_kafka_type_t type,
                        const struct load_setting *extra,
                        void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *));

/* The commands. They return the exit code: 0 as it should be, 1 a promise was broken, 2 it could
 * not be found out. */
int load_write(const struct load_options *options);
int load_check(const struct load_options *options);
int load_create(const struct load_options *options);
int load_trim(const struct load_options *options);

#endif
