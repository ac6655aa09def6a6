/* What clients were told, given to the judge of histories (chaos/check/judge.h), which says what
 * cannot be; here that ends the life.
 *
 * A key is one partition of one topic. Each record carries a value that is unique within its key:
 * they are counted from 0 on. */
#ifndef CHRONIK_TESTS_SIM_HISTORY_H
#define CHRONIK_TESTS_SIM_HISTORY_H

#include <chronik/base/bytes.h>

#include "judge.h"

struct history_key {
    char topic[32];
    int32_t partition;
    bool lossy; /* unclean elections are allowed, or too much was destroyed: losses do not count */
    int32_t n_values;
};

struct history {
    struct judge *judge;
    struct history_key *keys; /* numbered as the judge numbers them */
    unsigned n_keys, cap_keys;
    uint64_t n_acknowledged, n_reads;
};

void history_init(struct history *history);

unsigned history_add_key(struct history *history, const char *topic, int32_t partition);

/* A new producer. No simulated one repeats what it was not idempotent for. */
void history_add_producer(struct history *history, unsigned producer, bool ordered, bool weak);

/* A new value, which `producer` is about to send. */
int32_t history_send(struct history *history, unsigned key, unsigned producer);
void history_refuse(struct history *history, unsigned key, int32_t value);
void history_acknowledge(struct history *history, unsigned key, int32_t value, int64_t offset);

/* Consumers have numbers of their own. */
enum history_reader { READS_ALONG, READS_AT_THE_END };

/* A consumer has got a record, or an answer with a high watermark and `last` as its last record
 * (-1: none), from who leads in `epoch`. */
void history_read(struct history *history, enum history_reader reader, unsigned key, int64_t offset,
                  int32_t value);
void history_watermark(struct history *history, enum history_reader reader, unsigned key,
                       int32_t epoch, int64_t high_watermark, int64_t last);

/* The largest offset that was acknowledged by all, or read; -1: none. */
int64_t history_known_end(const struct history *history, unsigned key);

/* All keys were read to their ends. */
void history_finish(struct history *history);

/* ---- records ----------------------------------------------------------------------------------*/

/* The bytes of a value, `len` of them (at least VALUE_BYTES_MIN), and back; -1: damaged. */
enum { VALUE_BYTES_MIN = 24 };
void value_encode(unsigned key, int32_t value, size_t len, struct buf *to);
int32_t value_decode(unsigned key, struct bytes from);

#endif
