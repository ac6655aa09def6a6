/* Fuzzes record batches: whatever the bytes, parsing, checking and reading them stays inside the
 * batch and inside its caps, and a batch that validation accepts can be read to its end.
 *
 * The first byte chooses the rules. Unless its top bit is set the frame around the records is put
 * right (length, magic, CRC), since no fuzzer guesses a CRC. */
#include <chronik/base/crc32c.h>
#include <chronik/wire/records.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INFLATED_MAX = 4 << 20 };

static void put_frame_right(uint8_t *raw, size_t len)
{
    if (len >= BATCH_HEADER) {
        store_be32(raw + 8, (uint32_t)(len - BATCH_PREFIX));
        raw[16] = 2;
        store_be32(raw + 17, crc32c(0, raw + BATCH_CRC_FROM, len - BATCH_CRC_FROM));
    }
}

/* Reads every record and header; returns how many records there were, and their largest time. */
static int32_t read_all(const struct batch *b, struct codec_scratch *scratch, int64_t *ret_max)
{
    struct record_iter it;
    struct record r;
    *ret_max = -1;
    if (record_iter_init(&it, b, INFLATED_MAX, scratch) < 0) {
        return -1;
    }
    int32_t n = 0;
    while (record_iter_next(&it, &r)) {
        struct bytes headers = r.headers, key, value;
        while (record_header_next(&headers, &key, &value)) {
            check(key.data != NULL && key.len <= r.headers.len);
        }
        *ret_max = max_i64(*ret_max, r.timestamp);
        n++;
    }
    return n;
}

/* What was accepted can be read, and still is what it was in another codec. */
static void check_accepted(const struct batch *b, const struct batch_rules *rules,
                           int64_t max_timestamp, struct codec_scratch *scratch)
{
    struct buf other = { 0 };
    struct batch changed;
    struct batch_verdict verdict;
    int64_t max;
    check(read_all(b, scratch, &max) == b->count && max == max_timestamp);
    check(batch_recompress(b, (enum codec)(b->crc % CODEC_COUNT), INFLATED_MAX, scratch, &other) ==
          0);
    check(batch_parse(buf_bytes(&other), &changed) == KAFKA_NONE);
    check(batch_validate(&changed, rules, scratch, &verdict) == KAFKA_NONE);
    check(verdict.max_timestamp == max_timestamp && changed.count == b->count);
    batch_stamp_max(other.data, max_timestamp);
    check(batch_parse(buf_bytes(&other), &changed) == KAFKA_NONE && batch_crc_ok(&changed));
    buf_release(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const uint8_t flags = data[0];
    const struct batch_rules rules = {
        .max_bytes = MIB(1),
        .max_inflated = INFLATED_MAX,
        .need_keys = flags & 1,
        .allow_control = flags & 2,
        .timestamp_min = flags & 4 ? 0 : INT64_MIN,
        .timestamp_max = flags & 4 ? INT64_C(1) << 41 : INT64_MAX,
        .log_append_time = flags & 8,
    };
    struct codec_scratch scratch = { 0 };
    struct batch b;
    struct batch_verdict verdict;
    struct batch_fault faults[8];
    uint8_t *raw = mem_dup(data + 1, size - 1);
    if ((flags & 0x80) == 0) {
        put_frame_right(raw, size - 1);
    }
    if (batch_parse(bytes_of(raw, size - 1), &b) == KAFKA_NONE) {
        int64_t max;
        read_all(&b, &scratch, &max); /* as from a damaged segment: never checked before */
        enum kafka_error error = batch_validate(&b, &rules, &scratch, &verdict);
        if (error == KAFKA_NONE) {
            check_accepted(&b, &rules, verdict.max_timestamp, &scratch);
        } else {
            check(verdict.text != NULL);
            check(verdict.record == -1 || (verdict.record >= 0 && verdict.record < b.count));
            size_t n = batch_faults(&b, &rules, &scratch, faults, countof(faults));
            check(n <= countof(faults));
        }
    }
    codec_scratch_release(&scratch);
    free(raw);
    return 0;
}
