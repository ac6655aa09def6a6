/* Validation of a producer's batch, in Kafka's order and with Kafka's error codes (LogValidator of
 * Apache Kafka 4.4): size, CRC, header, then every record.
 *
 * A record can be wrong in two ways. Its structure: then nothing behind it can be read, and the
 * batch is refused at once. Or it breaks a rule of the topic (a missing key, a timestamp out of
 * range): then the rest is still looked at, since a fault of structure outranks it, a timestamp
 * outranks a key, and the client is told of every record that breaks a rule.
 *
 * Stricter than Kafka, because these would reach consumers as they are: offset deltas that do not
 * count up from 0, bytes behind the end of a compressed payload, lengths below -1, a mark of
 * log-append time (Kafka takes it off), a producer id without an epoch, a transactional batch
 * without a producer id. More precise than Kafka, which answers UNKNOWN_SERVER_ERROR: codecs that
 * are unknown, payloads that cannot be decompressed. */
#include "record.h"

#include <errno.h>

static enum kafka_error refuse(struct batch_verdict *ret, int32_t record, enum kafka_error error,
                               const char *text)
{
    *ret = (struct batch_verdict){ .record = record, .text = text, .max_timestamp = -1 };
    return error;
}

static const char *header_fault(const struct batch *b, const struct batch_rules *rules)
{
    if (b->count <= 0) {
        return "The batch claims to hold no records";
    }
    if (b->last_offset_delta != b->count - 1) {
        return "The batch's last offset delta and number of records do not agree";
    }
    if ((b->attributes & BATCH_CONTROL) && !rules->allow_control) {
        return "Clients may not write control batches";
    }
    if (b->producer_id >= 0 && (b->base_sequence < 0 || b->producer_epoch < 0)) {
        return "A batch with a producer id needs an epoch and a sequence number";
    }
    if ((b->attributes & BATCH_TRANSACTIONAL) && b->producer_id < 0) {
        return "A transactional batch needs a producer id";
    }
    return NULL;
}

/* What can be told without looking at a record. */
static enum kafka_error check_whole(const struct batch *b, const struct batch_rules *rules,
                                    struct batch_verdict *ret)
{
    if (b->raw.len > rules->max_bytes) {
        return refuse(ret, -1, KAFKA_MESSAGE_TOO_LARGE,
                      "The batch is larger than max.message.bytes of the topic");
    }
    if (!batch_crc_ok(b)) {
        return refuse(ret, -1, KAFKA_CORRUPT_MESSAGE, "The CRC of the batch does not match");
    }
    if (batch_codec(b) >= CODEC_COUNT) {
        return refuse(ret, -1, KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
                      "The compression codec of the batch is unknown");
    }
    const char *fault = header_fault(b, rules);
    if (fault != NULL) {
        return refuse(ret, -1, KAFKA_INVALID_RECORD, fault);
    }
    if (b->attributes & BATCH_LOG_APPEND_TIME) {
        return refuse(ret, -1, KAFKA_INVALID_TIMESTAMP,
                      "Producers may not mark timestamps as log-append time");
    }
    return KAFKA_NONE;
}

static enum kafka_error open_records(const struct batch *b, const struct batch_rules *rules,
                                     struct codec_scratch *scratch, struct bytes *ret_records,
                                     struct batch_verdict *ret)
{
    switch (batch_open(b, rules->max_inflated, scratch, ret_records)) {
    case 0:
        return KAFKA_NONE;
    case -EFBIG:
        return refuse(ret, -1, KAFKA_MESSAGE_TOO_LARGE,
                      "The records are too large when decompressed");
    default:
        return refuse(ret, -1, KAFKA_INVALID_RECORD, "The records cannot be decompressed");
    }
}

/* Which rule of the topic a record breaks: KAFKA_NONE when none. */
static enum kafka_error rule_fault(const struct batch_rules *rules, const struct record_fields *f,
                                   int64_t timestamp, const char **ret_text)
{
    if (rules->need_keys && f->key.data == NULL) {
        *ret_text = "A compacted topic takes no records without a key";
        return KAFKA_INVALID_RECORD;
    }
    bool in_range = timestamp >= rules->timestamp_min && timestamp <= rules->timestamp_max;
    if (!in_range && timestamp != -1 && !rules->log_append_time) {
        *ret_text = "The timestamp is further from the broker's clock than the topic allows";
        return KAFKA_INVALID_TIMESTAMP;
    }
    return KAFKA_NONE;
}

/* Reads the record that must have offset delta `i`: NULL, or what is wrong with its structure. */
static const char *read_record(const uint8_t **at, const uint8_t *end, int32_t i,
                               struct record_fields *ret)
{
    const char *fault = record_read(at, end, ret);
    if (fault != NULL) {
        return fault;
    }
    if (ret->offset_delta != i) {
        return "The offset deltas of the records do not count up from 0";
    }
    if (!record_headers_ok(ret->headers, ret->n_headers)) {
        return "The headers of the record do not fill it";
    }
    return NULL;
}

static enum kafka_error check_records(const struct batch *b, const struct batch_rules *rules,
                                      struct bytes records, struct batch_verdict *ret)
{
    const uint8_t *at = records.data, *end = at + records.len;
    enum kafka_error error = KAFKA_NONE;
    struct batch_verdict verdict = { .record = -1, .max_timestamp = -1 };
    for (int32_t i = 0; i < b->count; i++) {
        struct record_fields f;
        const char *text = read_record(&at, end, i, &f);
        if (text != NULL) {
            return refuse(ret, i, KAFKA_INVALID_RECORD, text);
        }
        int64_t timestamp = record_timestamp(b, &f);
        enum kafka_error fault = rule_fault(rules, &f, timestamp, &text);
        if (fault != KAFKA_NONE && (error == KAFKA_NONE || fault == KAFKA_INVALID_TIMESTAMP)) {
            error = fault;
        }
        if (fault != KAFKA_NONE && verdict.text == NULL) {
            verdict.record = i;
            verdict.text = text;
        }
        verdict.max_timestamp = max_i64(verdict.max_timestamp, timestamp);
    }
    if (at != end) {
        return refuse(ret, -1, KAFKA_INVALID_RECORD, "There are bytes behind the last record");
    }
    *ret = verdict;
    return error;
}

enum kafka_error batch_validate(const struct batch *b, const struct batch_rules *rules,
                                struct codec_scratch *scratch, struct batch_verdict *ret)
{
    struct bytes records;
    enum kafka_error error = check_whole(b, rules, ret);
    if (error == KAFKA_NONE) {
        error = open_records(b, rules, scratch, &records, ret);
    }
    return error == KAFKA_NONE ? check_records(b, rules, records, ret) : error;
}

size_t batch_faults(const struct batch *b, const struct batch_rules *rules,
                    struct codec_scratch *scratch, struct batch_fault *faults, size_t max)
{
    struct bytes records;
    if (batch_open(b, rules->max_inflated, scratch, &records) < 0) {
        return 0;
    }
    const uint8_t *at = records.data, *end = at + records.len;
    size_t n = 0;
    for (int32_t i = 0; i < b->count; i++) {
        struct record_fields f;
        const char *text;
        if (read_record(&at, end, i, &f) != NULL) {
            return 0;
        }
        if (n < max && rule_fault(rules, &f, record_timestamp(b, &f), &text) != KAFKA_NONE) {
            faults[n++] = (struct batch_fault){ .record = i, .text = text };
        }
    }
    return at == end ? n : 0;
}
