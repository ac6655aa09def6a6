/* What the tests of record batches share: files, rules that allow everything, batches to start
 * from, and a CRC put right after a batch was damaged on purpose. */
#ifndef CHRONIK_TESTS_WIRE_BATCHES_H
#define CHRONIK_TESTS_WIRE_BATCHES_H

#include "../support/test.h"

#include <chronik/base/crc32c.h>
#include <chronik/base/random.h>
#include <chronik/base/varint.h>
#include <chronik/wire/records.h>

#include <errno.h>

static const struct batch_rules ANY_RULES = {
    .max_bytes = 16 << 20,
    .max_inflated = 16 << 20,
    .timestamp_min = INT64_MIN,
    .timestamp_max = INT64_MAX,
};

static inline struct bytes bytes_of_text(const char *s)
{
    return bytes_of(s, s ? strlen(s) : 0);
}

/* Writes the CRC of a batch that was changed. */
static inline void fix_crc(uint8_t *raw, size_t len)
{
    store_be32(raw + 17, crc32c(0, raw + BATCH_CRC_FROM, len - BATCH_CRC_FROM));
}

/* Parses and validates in one go, as a producer's request would be. */
static inline enum kafka_error check_bytes(struct bytes in, const struct batch_rules *rules,
                                           struct batch_verdict *ret)
{
    struct batch b;
    struct codec_scratch scratch = { 0 };
    *ret = (struct batch_verdict){ .record = -2 };
    enum kafka_error error = batch_parse(in, &b);
    if (error == KAFKA_NONE && b.raw.len != in.len) {
        error = KAFKA_INVALID_RECORD;
    }
    if (error == KAFKA_NONE) {
        error = batch_validate(&b, rules, &scratch, ret);
        assert_int_equal(error == KAFKA_NONE, ret->text == NULL);
    }
    codec_scratch_release(&scratch);
    return error;
}

/* A batch around a payload that the test has put together: every field of the header agrees with
 * `count`, and the CRC matches. */
static inline struct buf wrap_payload(enum codec codec, struct bytes payload, int32_t count)
{
    struct buf raw = { 0 };
    buf_put_be64(&raw, 0);
    buf_put_be32(&raw, (uint32_t)(BATCH_HEADER - BATCH_PREFIX + payload.len));
    buf_put_be32(&raw, UINT32_MAX);
    buf_put_u8(&raw, 2);
    buf_put_be32(&raw, 0);
    buf_put_be16(&raw, (uint16_t)codec);
    buf_put_be32(&raw, (uint32_t)(count - 1));
    buf_put_be64(&raw, 1000);
    buf_put_be64(&raw, 1000);
    buf_put_be64(&raw, UINT64_MAX);
    buf_put_be16(&raw, UINT16_MAX);
    buf_put_be32(&raw, UINT32_MAX);
    buf_put_be32(&raw, (uint32_t)count);
    buf_put(&raw, payload.data, payload.len);
    fix_crc(raw.data, raw.len);
    return raw;
}

#endif
