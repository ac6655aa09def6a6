/* The history checker of the simulator: see history.h for the list of what cannot be. */
#include "history.h"

#include <chronik/base/map.h>
#include <inttypes.h>
#include <stdio.h>

#include "world.h"

void history_init(struct history *history)
{
    *history = (struct history){ 0 };
}

void history_release(struct history *history)
{
    for (unsigned i = 0; i < history->n_keys; i++) {
        free(history->keys[i].values);
        free(history->keys[i].log);
    }
    free(history->keys);
}

unsigned history_add_key(struct history *history, const char *topic, int32_t partition)
{
    size_t cap = history->cap_keys;
    history->keys = mem_grow(history->keys, &cap, history->n_keys + 1, sizeof *history->keys);
    history->cap_keys = (unsigned)cap;
    struct key *key = &history->keys[history->n_keys];
    *key = (struct key){ .partition = partition, .seen = -1, .final_end = -1 };
    snprintf(key->topic, sizeof key->topic, "%s", topic);
    return history->n_keys++;
}

static void complain(const struct key *key, const char *what, int64_t offset, int32_t value,
                     int64_t other)
{
    world_fail("%s: %s-%" PRId32 " offset %" PRId64 " value %" PRId32 " (%" PRId64 ")", what,
               key->topic, key->partition, offset, value, other);
}

int32_t history_send(struct history *history, unsigned key_index, unsigned producer, bool ordered)
{
    struct key *key = &history->keys[key_index];
    key->values = mem_grow(key->values, &key->cap_values, key->n_values + 1, sizeof *key->values);
    key->values[key->n_values] = (struct value){
        .producer = (uint8_t)producer,
        .ordered = ordered,
        .offset = -1,
        .floor = key->seen,
    };
    return (int32_t)key->n_values++;
}

/* Where a value is: must be nowhere else, and nothing else there. */
static void place(struct key *key, int64_t offset, int32_t value)
{
    struct value *v = &key->values[value];
    if (offset < 0) {
        complain(key, "impossible offset", offset, value, -1);
        return;
    }
    if (v->offset >= 0 && v->offset != offset) {
        complain(key, "duplicate", offset, value, v->offset);
    }
    if (offset <= v->floor) {
        complain(key, "order", offset, value, v->floor);
    }
    v->offset = offset;
    key->seen = max_i64(key->seen, offset);
    if ((size_t)offset >= key->n_log) {
        size_t n = (size_t)offset + 1;
        key->log = mem_grow(key->log, &key->cap_log, n, sizeof *key->log);
        for (size_t i = key->n_log; i < n; i++) {
            key->log[i] = -1;
        }
        key->n_log = n;
    }
    if (key->log[offset] >= 0 && key->log[offset] != value) {
        complain(key, "inconsistent offsets", offset, value, key->log[offset]);
    }
    key->log[offset] = value;
}

void history_refuse(struct history *history, unsigned key_index, int32_t value)
{
    struct key *key = &history->keys[key_index];
    if (key->values[value].read) {
        complain(key, "refused, and read", key->values[value].offset, value, -1);
    }
    key->values[value].state = VALUE_REFUSED;
}

void history_acknowledge(struct history *history, unsigned key_index, int32_t value, int64_t offset,
                         bool by_all)
{
    struct key *key = &history->keys[key_index];
    struct value *v = &key->values[value];
    note_number(hash_u64((uint64_t)offset, (uint64_t)value));
    v->state = by_all ? VALUE_SAFE : VALUE_WRITTEN;
    v->acknowledged_ns = world->now_ns;
    history->n_acknowledged++;
    if (by_all) { /* what only one has may give its place to something else */
        place(key, offset, value);
    }
}

void history_read(struct history *history, unsigned key_index, int64_t offset, int32_t value,
                  bool final)
{
    struct key *key = &history->keys[key_index];
    if (value < 0 || (size_t)value >= key->n_values) {
        complain(key, "invented or damaged", offset, value, -1);
        return;
    }
    struct value *v = &key->values[value];
    if (v->state == VALUE_REFUSED) {
        complain(key, "refused, and read", offset, value, -1);
    }
    place(key, offset, value);
    v->read = true;
    v->in_final |= final;
    history->n_reads++;
    note_number(hash_u64((uint64_t)offset, (uint64_t)value));
}

/* Values of an idempotent producer come in the order in which they were sent. */
static void check_order(const struct key *key)
{
    int64_t last[256];
    for (unsigned i = 0; i < countof(last); i++) {
        last[i] = -1;
    }
    for (size_t i = 0; i < key->n_values; i++) {
        const struct value *v = &key->values[i];
        if (!v->ordered || v->offset < 0 || !v->in_final) {
            continue;
        }
        if (v->offset <= last[v->producer]) {
            complain(key, "order", v->offset, (int32_t)i, last[v->producer]);
        }
        last[v->producer] = v->offset;
    }
}

void history_finish(struct history *history, unsigned key_index)
{
    struct key *key = &history->keys[key_index];
    for (size_t i = 0; i < key->n_values && !world->failed; i++) {
        const struct value *v = &key->values[i];
        bool deleted = v->offset >= 0 && v->offset < key->first;
        if (v->in_final || deleted || key->lossy) {
            continue;
        }
        if (v->state == VALUE_SAFE) {
            complain(key, "lost write", v->offset, (int32_t)i,
                     (int64_t)(v->acknowledged_ns / 1000000));
        } else if (v->read) {
            complain(key, "unseen read", v->offset, (int32_t)i, -1);
        }
    }
    check_order(key);
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
