/* Ids packed into 64 bits, and values that a generator makes of them and checks. */
#include "record.h"

#include <chronik/base/mem.h>
#include <chronik/base/random.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t record_id_pack(struct record_id id)
{
    return (uint64_t)id.run << 52 | (uint64_t)id.idempotent << 51 | (uint64_t)id.producer << 44 |
           (uint64_t)id.partition << 32 | id.n;
}

struct record_id record_id_unpack(uint64_t id)
{
    return (struct record_id){
        .run = (unsigned)(id >> 52),
        .idempotent = (id >> 51 & 1) != 0,
        .producer = (unsigned)(id >> 44 & 0x7f),
        .partition = (unsigned)(id >> 32 & 0xfff),
        .n = (uint32_t)id,
    };
}

size_t record_value(uint64_t id, size_t max_bytes, char *to)
{
    struct prng prng;
    prng_init(&prng, id);
    size_t len = RECORD_ID_DIGITS + 1 + prng_below(&prng, max_bytes - RECORD_ID_DIGITS);
    char digits[RECORD_ID_DIGITS + 2];
    snprintf(digits, sizeof digits, "%016" PRIx64 ".", id);
    memcpy(to, digits, RECORD_ID_DIGITS + 1);
    uint64_t letters = 0;
    for (size_t i = RECORD_ID_DIGITS + 1; i < len; i++) {
        letters = letters < 16 ? prng_u64(&prng) : letters >> 4;
        to[i] = (char)('a' + (letters & 15));
    }
    return len;
}

bool record_value_check(const void *value, size_t len, size_t max_bytes, uint64_t *ret_id)
{
    char digits[RECORD_ID_DIGITS + 1] = { 0 }, *end;
    if (len <= RECORD_ID_DIGITS || len > max_bytes) {
        return false;
    }
    memcpy(digits, value, RECORD_ID_DIGITS);
    uint64_t id = strtoull(digits, &end, 16);
    char *expected = mem_alloc(max_bytes);
    bool ok = *end == 0 && record_value(id, max_bytes, expected) == len &&
              memcmp(expected, value, len) == 0;
    free(expected);
    *ret_id = id;
    return ok;
}
