/* What clients were told, and what must follow from it.
 *
 * A key is one partition of one topic. Each record carries a value that is unique within its key.
 * What is checked, at once or at the end of a life:
 *
 *   inconsistent offsets   two values at one offset of a key
 *   duplicate              one value at two offsets
 *   invented               a value that nobody sent to that key, or a damaged one
 *   refused read           a value whose producer was told that it was not written
 *   lost write             acknowledged by all in-sync replicas, and not there in the end
 *   unseen read            somebody has read it, and it is not there in the end
 *   order                  a value sent after another one was acknowledged or read, and in front
 *                          of it; or two of an idempotent producer, in another order than sent
 *   hole                   an offset below the end of a key without a record
 */
#ifndef CHRONIK_TESTS_SIM_HISTORY_H
#define CHRONIK_TESTS_SIM_HISTORY_H

#include <chronik/base/bytes.h>
#include <chronik/base/uuid.h>

enum value_state {
    VALUE_SENT,    /* under way, or nobody knows */
    VALUE_REFUSED, /* certainly not written */
    VALUE_WRITTEN, /* acknowledged by the leader only */
    VALUE_SAFE,    /* acknowledged by all in-sync replicas */
};

struct value {
    uint8_t state; /* enum value_state */
    uint8_t producer;
    bool ordered; /* its producer is idempotent */
    bool read, in_final;
    int64_t offset; /* -1: not known */
    int64_t floor;  /* it was sent when all up to here was acknowledged or read */
    uint64_t acknowledged_ns;
};

struct key {
    char topic[32];
    int32_t partition;
    bool lossy; /* unclean elections are allowed, or too much was destroyed: losses do not count */
    struct value *values;
    size_t n_values, cap_values;
    int32_t *log; /* value at each offset that is known; -1: not known */
    size_t n_log, cap_log;
    int64_t seen;      /* the largest offset that was acknowledged by all, or read; -1: none */
    int64_t first;     /* below it records were deleted, as asked for */
    int64_t final_end; /* -1: not read to the end yet */
};

struct history {
    struct key *keys;
    unsigned n_keys, cap_keys;
    uint64_t n_acknowledged, n_reads;
};

void history_init(struct history *history);
void history_release(struct history *history);

unsigned history_add_key(struct history *history, const char *topic, int32_t partition);

/* A new value, which `producer` is about to send. */
int32_t history_send(struct history *history, unsigned key, unsigned producer, bool ordered);
void history_refuse(struct history *history, unsigned key, int32_t value);
void history_acknowledge(struct history *history, unsigned key, int32_t value, int64_t offset,
                         bool by_all);

/* A consumer has got it. `final`: it reads everything, once all has healed. */
void history_read(struct history *history, unsigned key, int64_t offset, int32_t value, bool final);

/* All of a key was read. */
void history_finish(struct history *history, unsigned key);

/* ---- records ----------------------------------------------------------------------------------*/

/* The bytes of a value, `len` of them (at least VALUE_BYTES_MIN), and back; -1: damaged. */
enum { VALUE_BYTES_MIN = 24 };
void value_encode(unsigned key, int32_t value, size_t len, struct buf *to);
int32_t value_decode(unsigned key, struct bytes from);

#endif
