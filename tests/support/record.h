/* Records that carry their own ids: what the load generators of the crash and chaos tests send.
 *
 * A record's value is its id (16 hexadecimal digits) and letters that follow from the id, so that a
 * record in the wrong place or with the wrong bytes is seen. Ids of one producer and partition
 * count upwards. */
#ifndef CHRONIK_TESTS_SUPPORT_RECORD_H
#define CHRONIK_TESTS_SUPPORT_RECORD_H

#include <chronik/base/bytes.h>

struct record_id {
    unsigned run, producer, partition; /* below 4096, 128 and 4096 */
    uint32_t n;
    bool idempotent;
};

uint64_t record_id_pack(struct record_id id);
struct record_id record_id_unpack(uint64_t id);

enum { RECORD_ID_DIGITS = 16 };

/* Writes the value of record `id` to `to`, which has room for `max_bytes`; returns its length. */
size_t record_value(uint64_t id, size_t max_bytes, char *to);

/* Reads an id back; false when the value is not exactly what record_value() wrote. */
bool record_value_check(const void *value, size_t len, size_t max_bytes, uint64_t *ret_id);

#endif
