/* Histories of simulated clients: operations go to the judge at once, so that a life ends where
 * something went wrong. */
#include "history.h"

#include <chronik/base/map.h>
#include <stdio.h>

#include "world.h"

enum { FIRST_READER = 100 }; /* names of processes: producers have smaller ones */

static void found(void *arg, enum fault_kind kind, uint64_t time_ns, const char *text)
{
    const struct history *history = arg;
    char names[200] = "";
    size_t len = 0;
    for (unsigned k = 0; k < history->n_keys && len < sizeof names; k++) {
        len += (size_t)snprintf(names + len, sizeof names - len, " %u=%s-%d", k,
                                history->keys[k].topic, history->keys[k].partition);
    }
    world_fail("%s: %s (time %.6f; keys%s)", fault_name(kind), text, (double)time_ns / 1e9, names);
}

void history_init(struct history *history)
{
    *history = (struct history){ .judge = judge_new(found, history) };
    judge_process(history->judge, FIRST_READER + READS_ALONG);
    judge_process(history->judge, FIRST_READER + READS_AT_THE_END);
}

unsigned history_add_key(struct history *history, const char *topic, int32_t partition)
{
    size_t cap = history->cap_keys;
    unsigned k = judge_key(history->judge, history->n_keys);
    check(k == history->n_keys);
    history->keys = mem_grow(history->keys, &cap, k + 1, sizeof *history->keys);
    history->cap_keys = (unsigned)cap;
    history->keys[k] = (struct history_key){ .partition = partition };
    snprintf(history->keys[k].topic, sizeof history->keys[k].topic, "%s", topic);
    return history->n_keys++;
}

void history_add_producer(struct history *history, unsigned producer, bool ordered, bool weak)
{
    check(producer < FIRST_READER);
    judge_producer(history->judge, judge_process(history->judge, producer),
                   PRODUCER_ONCE | (ordered ? PRODUCER_ORDERED : 0) | (weak ? PRODUCER_WEAK : 0));
}

static unsigned process_of(const struct history *history, enum history_reader reader)
{
    return judge_process(history->judge, FIRST_READER + (int64_t)reader);
}

/* ---- what happens -----------------------------------------------------------------------------*/

int32_t history_send(struct history *history, unsigned key, unsigned producer)
{
    int32_t value = history->keys[key].n_values++;
    judge_at(history->judge, world->now_ns);
    judge_send(history->judge, judge_process(history->judge, producer), key, value);
    return value;
}

void history_refuse(struct history *history, unsigned key, int32_t value)
{
    judge_at(history->judge, world->now_ns);
    judge_refuse(history->judge, key, value);
}

void history_acknowledge(struct history *history, unsigned key, int32_t value, int64_t offset)
{
    if (offset < 0) {
        world_fail("an acknowledgement without an offset: key %u value %d", key, value);
        return;
    }
    note_number(hash_u64((uint64_t)offset, (uint64_t)value));
    history->n_acknowledged++;
    judge_at(history->judge, world->now_ns);
    judge_acknowledge(history->judge, key, value, offset);
}

void history_read(struct history *history, enum history_reader reader, unsigned key, int64_t offset,
                  int32_t value)
{
    note_number(hash_u64((uint64_t)offset, (uint64_t)value));
    history->n_reads++;
    judge_at(history->judge, world->now_ns);
    judge_read(history->judge, process_of(history, reader), key, offset, value,
               reader == READS_AT_THE_END);
}

void history_watermark(struct history *history, enum history_reader reader, unsigned key,
                       int32_t epoch, int64_t high_watermark, int64_t last)
{
    judge_at(history->judge, world->now_ns);
    judge_watermark(history->judge, process_of(history, reader), key, epoch, high_watermark, last);
}

int64_t history_known_end(const struct history *history, unsigned key)
{
    return judge_known_end(history->judge, key);
}

void history_finish(struct history *history)
{
    for (unsigned k = 0; k < history->n_keys; k++) {
        judge_allow(history->judge, k, history->keys[k].lossy ? KEY_LOSSY : 0);
    }
    judge_finish(history->judge);
}

/* ---- records ----------------------------------------------------------------------------------*/

/* key uint32, value int32, length uint32, check uint32, then filler that follows from them. */
void value_encode(unsigned key, int32_t value, size_t len, struct buf *to)
{
    uint8_t *at = buf_reserve(to, len);
    uint64_t seed = hash_u64(key, (uint64_t)value);
    check(len >= VALUE_BYTES_MIN);
    store_be32(at, key);
    store_be32(at + 4, (uint32_t)value);
    store_be32(at + 8, (uint32_t)len);
    for (size_t i = 12; i < len; i++) {
        at[i] = (uint8_t)(seed >> (i % 8 * 8)) + (uint8_t)(i >> 3);
    }
    to->len += len;
}

int32_t value_decode(unsigned key, struct bytes from)
{
    if (from.len < VALUE_BYTES_MIN || load_be32(from.data) != key ||
        load_be32(from.data + 8) != from.len) {
        return -1;
    }
    int32_t value = (int32_t)load_be32(from.data + 4);
    uint64_t seed = hash_u64(key, (uint64_t)value);
    for (size_t i = 12; i < from.len; i++) {
        if (from.data[i] != (uint8_t)((uint8_t)(seed >> (i % 8 * 8)) + (uint8_t)(i >> 3))) {
            return -1;
        }
    }
    return value;
}
