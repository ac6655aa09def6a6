/* Variable-length integers of the Kafka protocol: seven bits a byte, least significant first;
 * signed ones are zig-zag encoded. (Kafka protocol guide, "Protocol Primitive Types".) */
#ifndef CHRONIK_BASE_VARINT_H
#define CHRONIK_BASE_VARINT_H

#include <chronik/base/bytes.h>

enum { VARINT32_MAX = 5, VARINT64_MAX = 10 }; /* bytes */

/* Reads at `*at`, before `end`. On success moves `*at` behind the number. False when the number
 * does not end before `end`, is longer than it can be, or does not fit. */
bool varint_get_u32(const uint8_t **at, const uint8_t *end, uint32_t *ret_n);
bool varint_get_u64(const uint8_t **at, const uint8_t *end, uint64_t *ret_n);

static inline int64_t zigzag_decode(uint64_t n)
{
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static inline uint64_t zigzag_encode(int64_t n)
{
    return ((uint64_t)n << 1) ^ (uint64_t)(n >> 63);
}

static inline bool varint_get_i32(const uint8_t **at, const uint8_t *end, int32_t *ret_n)
{
    uint32_t n;
    if (!varint_get_u32(at, end, &n)) {
        return false;
    }
    *ret_n = (int32_t)zigzag_decode(n);
    return true;
}

static inline bool varint_get_i64(const uint8_t **at, const uint8_t *end, int64_t *ret_n)
{
    uint64_t n;
    if (!varint_get_u64(at, end, &n)) {
        return false;
    }
    *ret_n = zigzag_decode(n);
    return true;
}

/* Writes at `at`, which has room for VARINT64_MAX bytes; returns the number of bytes. */
size_t varint_put_u64(uint8_t *at, uint64_t n);

static inline size_t varint_put_i64(uint8_t *at, int64_t n)
{
    return varint_put_u64(at, zigzag_encode(n));
}

/* The number of bytes that varint_put_u64() writes. */
static inline size_t varint_len_u64(uint64_t n)
{
    return (size_t)(63 - __builtin_clzll(n | 1)) / 7 + 1;
}

#endif
