/* The records of a batch, one after another. One record:
 *
 *   length           varint   bytes behind this field
 *   attributes       int8     no bit has a meaning yet
 *   timestamp_delta  varlong
 *   offset_delta     varint
 *   key, value       varint length (-1: null), bytes
 *   header count     varint
 *   headers          key: varint length, bytes; value as above
 *
 * Every length is held against what is left of its record before it is used, and the fields have to
 * fill the record exactly. Varints may be longer than they need be: Kafka takes them. */
#include "record.h"

#include <chronik/base/varint.h>

#include <errno.h>

/* Takes bytes behind a varint length; -1 means null. */
static bool take_bytes(const uint8_t **at, const uint8_t *end, struct bytes *ret)
{
    int32_t len;
    if (!varint_get_i32(at, end, &len) || len < -1 || len > end - *at) {
        return false;
    }
    *ret = len < 0 ? bytes_of(NULL, 0) : bytes_of(*at, (size_t)len);
    *at += ret->len;
    return true;
}

const char *record_read(const uint8_t **at, const uint8_t *end, struct record_fields *ret)
{
    int32_t len;
    if (!varint_get_i32(at, end, &len)) {
        return "The records end too early";
    }
    if (len < 1 || len > end - *at) {
        return "The length of the record is wrong";
    }
    const uint8_t *p = *at + 1; /* attributes */
    end = *at + len;
    if (!varint_get_i64(&p, end, &ret->timestamp_delta) ||
        !varint_get_i32(&p, end, &ret->offset_delta)) {
        return "A number of the record is malformed";
    }
    if (!take_bytes(&p, end, &ret->key) || !take_bytes(&p, end, &ret->value)) {
        return "The key or the value of the record does not fit into it";
    }
    if (!varint_get_i32(&p, end, &ret->n_headers) || ret->n_headers < 0) {
        return "The number of headers of the record is wrong";
    }
    ret->headers = bytes_of(p, (size_t)(end - p));
    *at = end;
    return NULL;
}

bool record_header_next(struct bytes *headers, struct bytes *ret_key, struct bytes *ret_value)
{
    if (headers->len == 0) {
        return false;
    }
    const uint8_t *at = headers->data, *end = at + headers->len;
    struct bytes key, value;
    if (!take_bytes(&at, end, &key) || key.data == NULL || !take_bytes(&at, end, &value)) {
        return false;
    }
    *headers = bytes_of(at, (size_t)(end - at));
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool record_headers_ok(struct bytes headers, int32_t n)
{
    struct bytes key, value;
    while (n > 0 && record_header_next(&headers, &key, &value)) {
        n--;
    }
    return n == 0 && headers.len == 0;
}

/* Timestamps and offsets of a damaged or hostile batch may overflow: they wrap, as in Java. */
static int64_t wrapping_sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

int64_t record_timestamp(const struct batch *b, const struct record_fields *f)
{
    bool log_append_time = b->attributes & BATCH_LOG_APPEND_TIME;
    return log_append_time ? b->max_timestamp
                           : wrapping_sum(b->base_timestamp, f->timestamp_delta);
}

int batch_open(const struct batch *b, size_t max_inflated, struct codec_scratch *scratch,
               struct bytes *ret_records)
{
    struct bytes payload = bytes_part(b->raw, BATCH_HEADER, b->raw.len - BATCH_HEADER);
    enum codec codec = batch_codec(b);
    if (codec >= CODEC_COUNT) {
        return -EINVAL;
    }
    size_t max = codec == CODEC_NONE ? payload.len : max_inflated;
    return codec_decompress(codec, payload, max, scratch, ret_records);
}

int record_iter_init(struct record_iter *it, const struct batch *b, size_t max_inflated,
                     struct codec_scratch *scratch)
{
    struct bytes records;
    int rc = batch_open(b, max_inflated, scratch, &records);
    if (rc < 0) {
        return rc;
    }
    *it = (struct record_iter){
        .batch = b,
        .at = records.data,
        .end = records.data + records.len,
        .n = b->count,
    };
    return 0;
}

bool record_iter_next(struct record_iter *it, struct record *ret_record)
{
    struct record_fields f;
    const struct batch *b = it->batch;
    if (it->next >= it->n || record_read(&it->at, it->end, &f) != NULL) {
        return false;
    }
    it->next++;
    *ret_record = (struct record){
        .offset = wrapping_sum(b->base_offset, f.offset_delta),
        .timestamp = record_timestamp(b, &f),
        .key = f.key,
        .value = f.value,
        .n_headers = f.n_headers,
        .headers = f.headers,
    };
    return true;
}
