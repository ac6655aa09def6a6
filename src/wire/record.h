/* Inside src/wire only: the fields of one record, for those who check records and who read them. */
#ifndef CHRONIK_WIRE_RECORD_H
#define CHRONIK_WIRE_RECORD_H

#include <chronik/wire/records.h>

struct record_fields {
    int64_t timestamp_delta;
    int32_t offset_delta;
    struct bytes key, value; /* null: data == NULL */
    int32_t n_headers;
    struct bytes headers;    /* encoded, behind the count; not looked into */
};

/* Reads the record at `*at`, of which nothing may lie behind `end`, and moves behind it: NULL, or a
 * static text that says what is wrong with it. */
const char *record_read(const uint8_t **at, const uint8_t *end, struct record_fields *ret);

/* Are there exactly `n` well-formed headers? */
bool record_headers_ok(struct bytes headers, int32_t n);

/* The record's time: that of the batch under log-append time. */
int64_t record_timestamp(const struct batch *b, const struct record_fields *f);

/* The encoded records: a part of the batch, or decompressed in `scratch`. 0, or as
 * codec_decompress(); -EINVAL for an unknown codec. */
int batch_open(const struct batch *b, size_t max_inflated, struct codec_scratch *scratch,
               struct bytes *ret_records);

#endif
