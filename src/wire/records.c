/* The headers of record batches: 61 bytes at fixed places (wire/records.h has the diagram).
 *
 * batch_parse() cuts a batch off untrusted bytes and is the only place that looks at the length;
 * everything else works inside `raw`. Base offset and leader epoch are stamped freely, they lie
 * before the CRC; a change of the timestamp costs a new CRC over the whole batch. */
#include <chronik/base/crc32c.h>
#include <chronik/wire/records.h>

/* Where the fields of the header are. */
enum {
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_COUNT = 57,
};

enum { MAGIC = 2 };

int32_t batch_last_sequence(const struct batch *b)
{
    if (b->base_sequence < 0) {
        return b->base_sequence;
    }
    return (int32_t)(((int64_t)b->base_sequence + b->last_offset_delta) & INT32_MAX);
}

int64_t batch_peek_length(struct bytes in)
{
    if (in.len < BATCH_PREFIX) {
        return 0;
    }
    int32_t length = (int32_t)load_be32(in.data + AT_LENGTH);
    return length < BATCH_HEADER - BATCH_PREFIX ? -1 : (int64_t)BATCH_PREFIX + length;
}

enum kafka_error batch_parse(struct bytes in, struct batch *ret_batch)
{
    /* The old formats have their magic at the same place; their header is shorter. */
    if (in.len > AT_MAGIC && in.data[AT_MAGIC] < MAGIC) {
        return KAFKA_INVALID_RECORD;
    }
    int64_t len = batch_peek_length(in);
    if (len < 0 || (in.len > AT_MAGIC && in.data[AT_MAGIC] != MAGIC)) {
        return KAFKA_CORRUPT_MESSAGE;
    }
    if (len == 0 || (uint64_t)len > in.len) {
        return KAFKA_INVALID_RECORD;
    }
    const uint8_t *raw = in.data;
    *ret_batch = (struct batch){
        .raw = bytes_of(raw, (size_t)len),
        .base_offset = (int64_t)load_be64(raw),
        .leader_epoch = (int32_t)load_be32(raw + AT_LEADER_EPOCH),
        .crc = load_be32(raw + AT_CRC),
        .attributes = (int16_t)load_be16(raw + AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)load_be32(raw + AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)load_be64(raw + AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)load_be64(raw + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)load_be64(raw + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)load_be16(raw + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)load_be32(raw + AT_BASE_SEQUENCE),
        .count = (int32_t)load_be32(raw + AT_COUNT),
    };
    return KAFKA_NONE;
}

static uint32_t compute_crc(const uint8_t *raw, size_t len)
{
    return crc32c(0, raw + BATCH_CRC_FROM, len - BATCH_CRC_FROM);
}

bool batch_crc_ok(const struct batch *b)
{
    return compute_crc(b->raw.data, b->raw.len) == b->crc;
}

void batch_stamp(uint8_t *raw, int64_t base_offset, int32_t leader_epoch)
{
    store_be64(raw, (uint64_t)base_offset);
    store_be32(raw + AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

static void stamp_max(uint8_t *raw, int64_t max_timestamp, bool log_append_time)
{
    uint16_t attributes = load_be16(raw + AT_ATTRIBUTES) & (uint16_t)~BATCH_LOG_APPEND_TIME;
    if (log_append_time) {
        attributes |= BATCH_LOG_APPEND_TIME;
    }
    store_be16(raw + AT_ATTRIBUTES, attributes);
    store_be64(raw + AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    store_be32(raw + AT_CRC, compute_crc(raw, BATCH_PREFIX + load_be32(raw + AT_LENGTH)));
}

void batch_stamp_time(uint8_t *raw, int64_t now_ms)
{
    stamp_max(raw, now_ms, true);
}

void batch_stamp_max(uint8_t *raw, int64_t max_timestamp)
{
    stamp_max(raw, max_timestamp, false);
}
