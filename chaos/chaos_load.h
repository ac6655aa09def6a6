/* chaos_load: the load of the chaos tests. Producers and consumers on librdkafka, in one thread,
 * that write down everything they do and are told: the history (docs/chaos.md has its format). */
#ifndef CHRONIK_CHAOS_LOAD_H
#define CHRONIK_CHAOS_LOAD_H

#include "kafka_client.h"
#include "record.h"

#include <chronik/base/mem.h>

#include <stdio.h>

enum { PROCESSES_MAX = 64, PARTITIONS_MAX = 1024, SETTINGS_MAX = 32 };

/* Numbers of producers that take the place of others; ids have room up to 127. */
enum { REPLACEMENTS_FROM = 64, REPLACEMENTS_MAX = 64 };

struct options {
    const char *bootstrap; /* -b HOST:PORT,… */
    const char *topic;     /* -t */
    const char *history;   /* -H: file to append to */
    int partitions;        /* -n */
    int replication;       /* -r: of the topic to create */
    int first_process;     /* -P: number of the first process in the history */
    int idempotent;        /* -i: so many idempotent producers … */
    int plain;             /* -p: … and so many without, of one request at a time */
    int consumers;         /* -c: that read along */
    int rate;              /* -R: records a second and producer; 0: as fast as it goes */
    int count;             /* -k: records of a producer to each partition; 0: until SIGTERM */
    int record_bytes;      /* -s: the largest */
    int timeout_ms;        /* -T: of a record; of `read`: without one */
    struct client_setting settings[SETTINGS_MAX]; /* -X name=value: of every client */
    size_t n_settings;
    const char *configs[SETTINGS_MAX]; /* -C name=value: of the topic to create */
    size_t n_configs;
};

/* Has SIGTERM or SIGINT come? */
bool stopped(void);

/* ---- the history ----------------------------------------------------------------------------- */

/* A value in the history: unique within its partition, and readable. */
int64_t value_of(unsigned process, uint32_t n);

struct history {
    FILE *file;
    int partition; /* of the poll that is being written: the last one; -1: none */
};

void history_open(struct history *h, const char *path);
void history_close(struct history *h);
void history_flush(struct history *h);

/* A process begins: it is a producer (idempotent or not) or a consumer. */
void history_begin(struct history *h, unsigned process, const char *role, bool idempotent);

void history_invoke(struct history *h, unsigned process, int partition, int64_t value);

/* Acknowledged; offset -1: the broker did not say. */
void history_ok(struct history *h, unsigned process, int partition, int64_t value, int64_t offset);

/* Nobody knows whether it was written. */
void history_unknown(struct history *h, unsigned process, int partition, int64_t value,
                     const char *why);

/* A process ends before the others, for a reason that is not the cluster's. */
void history_end(struct history *h, unsigned process, const char *why);

/* Something that must not be happened to a process: its client has given up. */
void history_broken(struct history *h, unsigned process, const char *f, const char *why);

/* One poll of a consumer; `final` polls are those of a last reading from start to end. A damaged
 * record has the value -1. The functions are called in turn. */
void history_poll_begin(struct history *h, unsigned process, bool final);
void history_poll_record(struct history *h, int partition, int64_t offset, int64_t value);
void history_poll_end(struct history *h);

/* ---- commands -------------------------------------------------------------------------------- */

/* Exit codes: 0 done; 1 a client gave up; 2 it could not be done. */
int run_create(const struct options *o);
int run_send(const struct options *o);
int run_read(const struct options *o);

/* ---- consumers ------------------------------------------------------------------------------- */

struct consumer {
    const struct options *options;
    struct history *history;
    unsigned process;
    bool final;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int64_t next[PARTITIONS_MAX]; /* offset behind the last record of a partition */
};

/* Begins to read all partitions from their starts. */
void consumer_open(struct consumer *c, const struct options *o, struct history *history,
                   unsigned process, bool final);
void consumer_close(struct consumer *c);

/* Takes what has come within `wait_ms`; returns how many records, or -1 when the position was
 * refused: what had been there is gone. */
int consumer_turn(struct consumer *c, int wait_ms);

#endif
