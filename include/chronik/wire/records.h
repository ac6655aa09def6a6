/* Record batches, format 2 (KIP-98; Kafka documentation, "Message Format").
 *
 *   0 base_offset   int64  \ stamped by the leader: outside the CRC
 *   8 length        int32   |  bytes behind this field
 *  12 leader_epoch  int32  /
 *  16 magic         int8      2
 *  17 crc           uint32    CRC-32C of everything from attributes on
 *  21 attributes    int16     bits 0-2 codec, 3 log-append time, 4 transactional, 5 control,
 *                             6 delete horizon
 *  23 last_offset_delta int32
 *  27 base_timestamp    int64
 *  35 max_timestamp     int64
 *  43 producer_id       int64
 *  51 producer_epoch    int16
 *  53 base_sequence     int32
 *  57 count             int32
 *  61 records: each  length varint, attributes int8, timestamp_delta varlong, offset_delta varint,
 *              key (varint length, bytes), value, headers (varint count; key, value)
 *
 * A batch is never re-encoded on its way through the broker: checked once, stamped in place. */
#ifndef CHRONIK_WIRE_RECORDS_H
#define CHRONIK_WIRE_RECORDS_H

#include <chronik/wire/compress.h>
#include <chronik/wire/error.h>

enum {
    BATCH_HEADER = 61,    /* bytes up to the first record */
    BATCH_PREFIX = 12,    /* base offset and length: what `length` does not count */
    BATCH_CRC_FROM = 21,
};

enum { BATCH_LOG_APPEND_TIME = 1 << 3, BATCH_TRANSACTIONAL = 1 << 4, BATCH_CONTROL = 1 << 5 };

/* A parsed header; `raw` is the whole batch. */
struct batch {
    struct bytes raw;
    int64_t base_offset;
    int32_t leader_epoch;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp, max_timestamp; /* ms since 1970; -1: none */
    int64_t producer_id;                   /* -1: not idempotent */
    int16_t producer_epoch;
    int32_t base_sequence;                 /* -1: none */
    int32_t count;
};

static inline enum codec batch_codec(const struct batch *b)
{
    return (enum codec)(b->attributes & 7);
}

static inline int64_t batch_last_offset(const struct batch *b)
{
    return (int64_t)((uint64_t)b->base_offset + (uint64_t)b->last_offset_delta);
}

/* The sequence number of the last record: wraps to 0 behind INT32_MAX. */
int32_t batch_last_sequence(const struct batch *b);

/* Length in bytes of the batch that begins at `in`, or 0 when `in` is too short to tell, or -1 when
 * the length field cannot be. Looks at the first 12 bytes only. */
int64_t batch_peek_length(struct bytes in);

/* Parses the header of the batch at the start of `in`. KAFKA_NONE, or what Kafka answers to
 * Produce: INVALID_RECORD when it is cut short or in an old format (magic 0 and 1), CORRUPT_MESSAGE
 * when its length cannot be or its magic is unknown. No CRC check. What follows the batch begins at
 * raw.len in `in`. */
enum kafka_error batch_parse(struct bytes in, struct batch *ret_batch);

/* Does the CRC match? */
bool batch_crc_ok(const struct batch *b);

/* What a producer's batch must satisfy. */
struct batch_rules {
    size_t max_bytes;            /* of the whole batch: else MESSAGE_TOO_LARGE */
    size_t max_inflated;         /* of its decompressed records: else MESSAGE_TOO_LARGE */
    bool need_keys;              /* compacted topic: each record has a key, else INVALID_RECORD */
    bool allow_control;          /* markers written by ourselves */
    int64_t timestamp_min, timestamp_max; /* else INVALID_TIMESTAMP; INT64_MIN/MAX: any */
    bool log_append_time;        /* the broker sets the time: the limits do not apply */
};

/* What batch_validate() found. */
struct batch_verdict {
    int32_t record;        /* refused: index of the first record at fault, -1: the whole batch */
    const char *text;      /* refused: why; static. Accepted: NULL */
    int64_t max_timestamp; /* accepted: the largest one of the records. Where the header says other
                            * than that, batch_stamp_max() puts it right, as Kafka does */
};

/* Validates a whole batch from a producer: header, CRC-32C, codec, counts, sequence fields, record
 * lengths and offset deltas that tile the payload exactly, timestamps. A compressed batch is opened
 * into `scratch` for that. Safe to call in a job, with a scratch of its own.
 *
 * KAFKA_NONE; MESSAGE_TOO_LARGE; CORRUPT_MESSAGE when the CRC does not match;
 * UNSUPPORTED_COMPRESSION_TYPE; INVALID_TIMESTAMP; INVALID_RECORD for all else. `*ret` is always
 * written. That a producer's base offset must be 0, and that there is one batch only, is for the
 * caller to check. */
enum kafka_error batch_validate(const struct batch *b, const struct batch_rules *rules,
                                struct codec_scratch *scratch, struct batch_verdict *ret);

/* A record that breaks a rule of the topic: for Produce v8's record_errors. */
struct batch_fault {
    int32_t record;
    const char *text; /* static */
};

/* After batch_validate() refused single records (`record` >= 0): every record with a missing key or
 * a timestamp out of range, in order, at most `max` of them; returns how many. 0 when the fault is
 * one of structure: then nothing behind it can be read, and Kafka names no record either. */
size_t batch_faults(const struct batch *b, const struct batch_rules *rules,
                    struct codec_scratch *scratch, struct batch_fault *faults, size_t max);

/* Stamps base offset and leader epoch in place; neither is covered by the CRC. */
void batch_stamp(uint8_t *raw, int64_t base_offset, int32_t leader_epoch);

/* Both need the whole batch and compute the CRC anew. Log-append time: sets max_timestamp and the
 * attribute bit. Maximum: sets max_timestamp and clears that bit. */
void batch_stamp_time(uint8_t *raw, int64_t now_ms);
void batch_stamp_max(uint8_t *raw, int64_t max_timestamp);

/* ---- single records ------------------------------------------------------------------------- */

struct record {
    int64_t offset, timestamp;
    struct bytes key, value; /* null: data == NULL */
    int32_t n_headers;
    struct bytes headers; /* encoded, behind the count: record_header_next() */
};

struct record_iter {
    const struct batch *batch;
    const uint8_t *at, *end;
    int32_t next, n;
};

/* Starts over the records of a validated batch; a compressed one is opened into `scratch`, which
 * serves nothing else during the iteration. 0 or -errno of codec_decompress(). */
int record_iter_init(struct record_iter *it, const struct batch *b, size_t max_inflated,
                     struct codec_scratch *scratch);

/* The next record; false at the end, or where the batch is damaged (`it->next < it->n` then). */
bool record_iter_next(struct record_iter *it, struct record *ret_record);

/* Takes the first header off `*headers`; false at the end or where it is damaged (something is left
 * of `*headers` then). A key is never null, a value may be. */
bool record_header_next(struct bytes *headers, struct bytes *ret_key, struct bytes *ret_value);

/* ---- building ------------------------------------------------------------------------------- */

/* Builds a batch: fill in the public fields, add records, finish. */
struct batch_builder {
    /* Public. */
    enum codec codec;
    int level;          /* of the codec; 0: its default */
    int16_t attributes; /* besides the codec */
    int64_t base_offset, producer_id;
    int32_t leader_epoch, base_sequence;
    int16_t producer_epoch;
    /* Kept by the functions; `payload.len` tells how large the records have grown. */
    int64_t base_timestamp, max_timestamp;
    int32_t count;
    struct buf payload; /* records so far, not compressed */
    struct buf out;     /* the finished batch */
};

/* No codec, base offset 0, leader epoch -1, no producer. `_init` is for new storage, `_reset` for
 * the next batch: it keeps the memory of the one before. */
void batch_builder_init(struct batch_builder *b);
void batch_builder_reset(struct batch_builder *b);
void batch_builder_release(struct batch_builder *b);

/* Adds a record: null key and value have data == NULL; `headers` is encoded, without the count. */
void batch_builder_add(struct batch_builder *b, int64_t timestamp, struct bytes key,
                       struct bytes value, struct bytes headers, int32_t n_headers);

/* Appends one header in that encoding. */
void record_header_put(struct buf *headers, struct bytes key, struct bytes value);

/* Writes header and payload to `b->out` and returns a view of it: valid until the next reset. */
struct bytes batch_builder_finish(struct batch_builder *b);

/* Replaces `out` by a copy of a validated batch whose records are in another codec: for a topic
 * whose compression.type is not the producer's. Everything but codec, length and CRC stays. 0 or
 * -errno of codec_decompress(). Safe to call in a job, with a scratch of its own. */
int batch_recompress(const struct batch *b, enum codec codec, size_t max_inflated,
                     struct codec_scratch *scratch, struct buf *out);

#endif
