/* Building record batches, and putting them into another codec.
 *
 * Records are encoded into `payload` as they are added, with their deltas to the first one;
 * `_finish` writes the header and the payload, compressed or not, and computes the CRC last.
 * Everything comes from ourselves: what does not fit is a bug. */
#include "record.h"

#include <chronik/base/crc32c.h>
#include <chronik/base/varint.h>

void batch_builder_init(struct batch_builder *b)
{
    *b = (struct batch_builder){ 0 };
    batch_builder_reset(b);
}

void batch_builder_reset(struct batch_builder *b)
{
    struct buf payload = b->payload, out = b->out;
    buf_clear(&payload);
    buf_clear(&out);
    *b = (struct batch_builder){
        .leader_epoch = -1,
        .base_timestamp = -1,
        .max_timestamp = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .payload = payload,
        .out = out,
    };
}

void batch_builder_release(struct batch_builder *b)
{
    buf_release(&b->payload);
    buf_release(&b->out);
}

static void put_varint(struct buf *to, int64_t n)
{
    to->len += varint_put_i64(buf_reserve(to, VARINT64_MAX), n);
}

static void put_bytes(struct buf *to, struct bytes bytes)
{
    check(bytes.len <= INT32_MAX);
    put_varint(to, bytes.data == NULL ? -1 : (int64_t)bytes.len);
    buf_put(to, bytes.data, bytes.len);
}

static size_t varint_len(int64_t n)
{
    return varint_len_u64(zigzag_encode(n));
}

static size_t bytes_len(struct bytes bytes)
{
    return varint_len(bytes.data == NULL ? -1 : (int64_t)bytes.len) + bytes.len;
}

void record_header_put(struct buf *headers, struct bytes key, struct bytes value)
{
    check(key.data != NULL);
    put_bytes(headers, key);
    put_bytes(headers, value);
}

void batch_builder_add(struct batch_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, struct bytes headers, int32_t n_headers)
{
    check(b->count < INT32_MAX && n_headers >= 0);
    if (b->count == 0) {
        b->base_timestamp = timestamp;
    }
    int64_t timestamp_delta = (int64_t)((uint64_t)timestamp - (uint64_t)b->base_timestamp);
    size_t len = 1 + varint_len(timestamp_delta) + varint_len(b->count) + bytes_len(key) +
                 bytes_len(value) + varint_len(n_headers) + headers.len;
    check(len <= INT32_MAX);
    buf_reserve(&b->payload, VARINT32_MAX + len);
    put_varint(&b->payload, (int64_t)len);
    buf_put_u8(&b->payload, 0); /* attributes */
    put_varint(&b->payload, timestamp_delta);
    put_varint(&b->payload, b->count);
    put_bytes(&b->payload, key);
    put_bytes(&b->payload, value);
    put_varint(&b->payload, n_headers);
    buf_put(&b->payload, headers.data, headers.len);
    b->max_timestamp = max_i64(b->max_timestamp, timestamp);
    b->count++;
}

/* Length and CRC, once everything behind them is there. */
static void finish_header(struct buf *out)
{
    check(out->len - BATCH_PREFIX <= INT32_MAX);
    store_be32(out->data + BATCH_PREFIX - 4, (uint32_t)(out->len - BATCH_PREFIX));
    store_be32(out->data + BATCH_CRC_FROM - 4,
               crc32c(0, out->data + BATCH_CRC_FROM, out->len - BATCH_CRC_FROM));
}

struct bytes batch_builder_finish(struct batch_builder *b)
{
    struct buf *out = &b->out;
    check(b->count > 0 && (b->attributes & 7) == 0);
    buf_clear(out);
    buf_put_be64(out, (uint64_t)b->base_offset);
    buf_put_be32(out, 0); /* length */
    buf_put_be32(out, (uint32_t)b->leader_epoch);
    buf_put_u8(out, 2);   /* magic */
    buf_put_be32(out, 0); /* CRC */
    buf_put_be16(out, (uint16_t)(b->attributes | (int16_t)b->codec));
    buf_put_be32(out, (uint32_t)(b->count - 1));
    buf_put_be64(out, (uint64_t)b->base_timestamp);
    buf_put_be64(out, (uint64_t)b->max_timestamp);
    buf_put_be64(out, (uint64_t)b->producer_id);
    buf_put_be16(out, (uint16_t)b->producer_epoch);
    buf_put_be32(out, (uint32_t)b->base_sequence);
    buf_put_be32(out, (uint32_t)b->count);
    codec_compress(b->codec, b->level, buf_bytes(&b->payload), out);
    finish_header(out);
    return buf_bytes(out);
}

int batch_recompress(const struct batch *b, enum codec codec, size_t max_inflated,
                     struct codec_scratch *scratch, struct buf *out)
{
    struct bytes records;
    int rc = batch_open(b, max_inflated, scratch, &records);
    if (rc < 0) {
        return rc;
    }
    buf_clear(out);
    buf_put(out, b->raw.data, BATCH_HEADER);
    store_be16(out->data + BATCH_CRC_FROM, (uint16_t)((b->attributes & ~7) | (int)codec));
    codec_compress(codec, 0, records, out);
    finish_header(out);
    return 0;
}
