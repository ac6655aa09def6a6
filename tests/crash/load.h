/* The load generators of the crash tests: records that carry their own ids.
 *
 * crash_load writes through librdkafka to a broker, crash_store straight to the
 * storage layer; both leave an acknowledgement log and compare with it afterwards (compare.h). */
#ifndef CHRONIK_TESTS_CRASH_LOAD_H
#define CHRONIK_TESTS_CRASH_LOAD_H

#include "record.h"

#include <chronik/base/text.h>

enum { LOAD_PRODUCERS_MAX = 64, LOAD_PARTITIONS_MAX = 1024, LOAD_CONFIGS_MAX = 16 };

struct load_options {
    const char *bootstrap;                 /* -b */
    const char *topic;                     /* -t */
    const char *acked;                     /* -a: file of the acknowledgement log */
    const char *configs[LOAD_CONFIGS_MAX]; /* -c: of the topic to create: "name=value" */
    size_t n_configs;
    const char *directory; /* -d: crash_store's data */
    const char *io;        /* -I: crash_store's backend: auto, uring, threads */
    int partitions;        /* -n */
    int run;               /* -R: part of the ids: lets one topic take several runs */
    int idempotent;        /* -i: so many idempotent producers … */
    int plain;             /* -p: … and so many without, of one request at a time */
    int record_bytes;      /* -s: the largest */
    int rate;              /* -r: records a second and producer; 0: as fast as it goes */
    int count;             /* -k: stop after so many records; 0: at SIGTERM */
    int timeout_ms;        /* -T: of a record, until it counts as failed; of `check`: without one */
    int offset;            /* -o: of `trim`: the new log start of each partition */
    int seed;              /* -S: of what crash_store does */
    int unordered;         /* -u: of `check`, not 0: plain producers' records may change places */
};

struct load_command {
    const char *name;
    int (*run)(const struct load_options *options);
};

/* Runs the command that the arguments name. Commands return the exit code: 0 as it should be, 1 a
 * promise was broken, 2 it could not be found out. */
int load_main(int argc, char **argv, const struct load_command *commands, size_t n);

#endif
