/* Record batches: what real clients write, parsing, stamping, building and reading back. */
#include "batches.h"

static struct buf read_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/batches/%s.bin", CHRONIK_GOLDEN, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buf buf = { 0 };
    buf.len = fread(buf_reserve(&buf, 65536), 1, 65536, file);
    fclose(file);
    assert_true(buf.len > BATCH_HEADER && buf.len < 65536);
    return buf;
}

/* golden/batches/README.md says what is in there. */
static void assert_golden_record(const struct record *r, int i, bool null_header_is_empty)
{
    char key[16], value[400], header[16];
    int at = snprintf(value, sizeof value, "value-%d ", i);
    for (int j = 0; j < 40; j++) {
        at += snprintf(value + at, sizeof value - (size_t)at, "chronik ");
    }
    snprintf(key, sizeof key, "key-%d", i);
    snprintf(header, sizeof header, "v-%d", i);
    assert_int_equal(r->offset, i);
    assert_int_equal(r->timestamp, INT64_C(1700000000000) + i * 1000);
    assert_int_equal(r->key.data == NULL, i % 5 == 0);
    assert_true(r->key.data == NULL || bytes_equal(r->key, bytes_of_text(key)));
    assert_int_equal(r->value.data == NULL, i % 4 == 3);
    assert_true(r->value.data == NULL || bytes_equal(r->value, bytes_of_text(value)));
    assert_int_equal(r->n_headers, i % 2 * 2);
    struct bytes rest = r->headers, k, v;
    if (i % 2 != 0) {
        assert_true(record_header_next(&rest, &k, &v));
        assert_true(bytes_equal(k, bytes_of_text("h")) && bytes_equal(v, bytes_of_text(header)));
        assert_true(record_header_next(&rest, &k, &v));
        assert_true(bytes_equal(k, bytes_of_text("null")));
        assert_int_equal(v.data == NULL, !null_header_is_empty);
        assert_int_equal(v.len, 0);
    }
    assert_false(record_header_next(&rest, &k, &v));
    assert_int_equal(rest.len, 0);
}

static const char *const CLIENTS[] = { "java", "librdkafka", "python" };

static void batches_of_real_clients_are_accepted_and_read(void **state)
{
    (void)state;
    for (size_t c = 0; c < countof(CLIENTS); c++) {
        for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%s", CLIENTS[c], codec_name(codec));
            struct buf raw = read_golden(name);
            struct codec_scratch scratch = { 0 };
            struct batch b;
            struct batch_verdict verdict;
            struct record_iter it;
            struct record r;
            assert_int_equal(check_bytes(buf_bytes(&raw), &ANY_RULES, &verdict), KAFKA_NONE);
            assert_int_equal(verdict.max_timestamp, INT64_C(1700000009000));
            assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
            assert_int_equal(b.max_timestamp, verdict.max_timestamp);
            assert_int_equal(batch_codec(&b), codec);
            assert_int_equal(b.producer_id >= 0, c == 0);
            assert_int_equal(record_iter_init(&it, &b, 1 << 20, &scratch), 0);
            for (int i = 0; i < 10; i++) {
                assert_true(record_iter_next(&it, &r));
                assert_golden_record(&r, i, c == 2);
            }
            assert_false(record_iter_next(&it, &r));
            assert_int_equal(it.next, it.n);
            buf_release(&raw);
            codec_scratch_release(&scratch);
        }
    }
}

static void large_batches_of_real_clients_span_blocks(void **state)
{
    (void)state;
    const char *names[] = {
        "java-gzip-big",   "java-snappy-big",   "java-lz4-big",   "java-zstd-big",
        "python-gzip-big", "python-snappy-big", "python-lz4-big", "python-zstd-big",
    };
    for (size_t i = 0; i < countof(names); i++) {
        struct buf raw = read_golden(names[i]);
        struct codec_scratch scratch = { 0 };
        struct batch b;
        struct record_iter it;
        struct record r;
        struct batch_verdict verdict;
        assert_int_equal(check_bytes(buf_bytes(&raw), &ANY_RULES, &verdict), KAFKA_NONE);
        assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
        assert_int_equal(record_iter_init(&it, &b, 1 << 20, &scratch), 0);
        assert_true(record_iter_next(&it, &r));
        assert_int_equal(r.value.len, 18750 * 8);
        for (size_t at = 0; at < r.value.len; at += 8) {
            assert_memory_equal(r.value.data + at, "chronik ", 8);
        }
        assert_false(record_iter_next(&it, &r));
        buf_release(&raw);
        codec_scratch_release(&scratch);
    }
}

static void every_truncation_is_detected(void **state)
{
    (void)state;
    struct buf raw = read_golden("java-zstd");
    struct batch_verdict verdict;
    for (size_t len = 0; len < raw.len; len++) {
        uint8_t *exact = mem_dup(raw.data, len); /* its own block: reading beyond it shows */
        assert_int_not_equal(check_bytes(bytes_of(exact, len), &ANY_RULES, &verdict), KAFKA_NONE);
        free(exact);
    }
    buf_release(&raw);
}

static void every_flipped_bit_under_the_crc_is_detected(void **state)
{
    (void)state;
    struct buf raw = read_golden("java-none");
    struct batch_verdict verdict;
    for (size_t at = 8; at < raw.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            raw.data[at] ^= (uint8_t)(1 << bit);
            enum kafka_error error = check_bytes(buf_bytes(&raw), &ANY_RULES, &verdict);
            bool leader_epoch = at >= 12 && at < 16;
            assert_int_equal(error == KAFKA_NONE, leader_epoch);
            assert_true(at < 17 || error == KAFKA_CORRUPT_MESSAGE);
            raw.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    buf_release(&raw);
}

static void stamps_leave_the_crc_right(void **state)
{
    (void)state;
    struct buf raw = read_golden("librdkafka-none");
    struct batch b;
    batch_stamp(raw.data, INT64_C(1) << 40, 77);
    assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
    assert_true(batch_crc_ok(&b));
    assert_int_equal(b.base_offset, INT64_C(1) << 40);
    assert_int_equal(b.leader_epoch, 77);
    assert_int_equal(batch_last_offset(&b), (INT64_C(1) << 40) + 9);

    batch_stamp_time(raw.data, 1234567);
    assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
    assert_true(batch_crc_ok(&b));
    assert_int_equal(b.max_timestamp, 1234567);
    assert_true(b.attributes & BATCH_LOG_APPEND_TIME);
    struct record_iter it;
    struct record r;
    assert_int_equal(record_iter_init(&it, &b, 0, NULL), 0);
    for (int i = 0; i < 10; i++) {
        assert_true(record_iter_next(&it, &r));
        assert_int_equal(r.timestamp, 1234567); /* the batch's time is every record's */
    }

    batch_stamp_max(raw.data, INT64_C(1700000009000));
    assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
    assert_true(batch_crc_ok(&b));
    assert_int_equal(b.max_timestamp, INT64_C(1700000009000));
    assert_int_equal(b.attributes, 0);
    buf_release(&raw);
}

static void lengths_are_peeked_from_twelve_bytes(void **state)
{
    (void)state;
    uint8_t head[12] = { 0 };
    assert_int_equal(batch_peek_length(bytes_of(head, 11)), 0);
    store_be32(head + 8, 49);
    assert_int_equal(batch_peek_length(bytes_of(head, 12)), 61);
    store_be32(head + 8, 48);
    assert_int_equal(batch_peek_length(bytes_of(head, 12)), -1);
    store_be32(head + 8, UINT32_MAX);
    assert_int_equal(batch_peek_length(bytes_of(head, 12)), -1);
    store_be32(head + 8, INT32_MAX);
    assert_int_equal(batch_peek_length(bytes_of(head, 12)), INT64_C(12) + INT32_MAX);
}

static void magics_are_answered_as_kafka_does(void **state)
{
    (void)state;
    struct buf raw = read_golden("java-none");
    struct batch b;
    const enum kafka_error answers[] = { KAFKA_INVALID_RECORD, KAFKA_INVALID_RECORD, KAFKA_NONE,
                                         KAFKA_CORRUPT_MESSAGE, KAFKA_CORRUPT_MESSAGE };
    for (uint8_t magic = 0; magic < countof(answers); magic++) {
        raw.data[16] = magic;
        assert_int_equal(batch_parse(buf_bytes(&raw), &b), answers[magic]);
    }
    buf_release(&raw);
}

static void sequence_numbers_wrap_to_zero(void **state)
{
    (void)state;
    struct batch b = { .base_sequence = INT32_MAX - 1, .last_offset_delta = 1 };
    assert_int_equal(batch_last_sequence(&b), INT32_MAX);
    b.last_offset_delta = 2;
    assert_int_equal(batch_last_sequence(&b), 0);
    b.last_offset_delta = 5;
    assert_int_equal(batch_last_sequence(&b), 3);
    b.base_sequence = -1;
    assert_int_equal(batch_last_sequence(&b), -1);
}

/* ---- round trips of random batches ------------------------------------------------------------*/

enum { RECORDS_MAX = 40, BYTES_MAX = 3000 };

/* Invents a value: null, empty, compressible or not. The bytes are appended to `pool`. */
static struct bytes invent_bytes(struct prng *prng, uint8_t *pool, size_t *used)
{
    if (prng_percent(prng, 15)) {
        return bytes_of(NULL, 0);
    }
    size_t len = prng_percent(prng, 10) ? 0 : prng_below(prng, BYTES_MAX);
    uint8_t *to = pool + *used;
    *used += len;
    if (prng_percent(prng, 50)) {
        prng_fill(prng, to, len);
    } else {
        memset(to, (int)prng_below(prng, 256), len);
    }
    return bytes_of(to, len);
}

static void assert_same_bytes(struct bytes a, struct bytes b)
{
    assert_int_equal(a.data == NULL, b.data == NULL);
    assert_true(bytes_equal(a, b));
}

static void round_trip(struct prng *prng, struct batch_builder *builder, enum codec codec,
                       uint8_t *pool)
{
    struct record want[RECORDS_MAX];
    struct buf headers[RECORDS_MAX];
    struct codec_scratch scratch = { 0 };
    size_t used = 0;
    int32_t n = 1 + (int32_t)prng_below(prng, RECORDS_MAX);
    int64_t max = -1;
    batch_builder_reset(builder);
    builder->codec = codec;
    builder->base_offset = (int64_t)prng_below(prng, INT64_MAX / 2);
    for (int32_t i = 0; i < n; i++) {
        headers[i] = (struct buf){ 0 };
        want[i] = (struct record){
            .offset = builder->base_offset + i,
            .timestamp = prng_percent(prng, 10) ? -1 : (int64_t)prng_below(prng, INT64_MAX),
            .key = invent_bytes(prng, pool, &used),
            .value = invent_bytes(prng, pool, &used),
            .n_headers = (int32_t)prng_below(prng, 4),
        };
        for (int32_t h = 0; h < want[i].n_headers; h++) {
            record_header_put(&headers[i], bytes_of_text("name"),
                              invent_bytes(prng, pool, &used));
        }
        want[i].headers = buf_bytes(&headers[i]);
        max = max_i64(max, want[i].timestamp);
        batch_builder_add(builder, want[i].timestamp, want[i].key, want[i].value, want[i].headers,
                          want[i].n_headers);
    }
    struct bytes raw = batch_builder_finish(builder);
    struct batch_verdict verdict;
    struct batch b;
    struct record_iter it;
    struct record r;
    assert_int_equal(check_bytes(raw, &ANY_RULES, &verdict), KAFKA_NONE);
    assert_int_equal(verdict.max_timestamp, max);
    assert_int_equal(batch_parse(raw, &b), KAFKA_NONE);
    assert_int_equal(b.max_timestamp, max);
    assert_int_equal(b.leader_epoch, -1);
    assert_int_equal(record_iter_init(&it, &b, 16 << 20, &scratch), 0);
    for (int32_t i = 0; i < n; i++) {
        assert_true(record_iter_next(&it, &r));
        assert_int_equal(r.offset, want[i].offset);
        assert_int_equal(r.timestamp, want[i].timestamp);
        assert_same_bytes(r.key, want[i].key);
        assert_same_bytes(r.value, want[i].value);
        assert_int_equal(r.n_headers, want[i].n_headers);
        assert_true(bytes_equal(r.headers, want[i].headers));
        buf_release(&headers[i]);
    }
    assert_false(record_iter_next(&it, &r));
    codec_scratch_release(&scratch);
}

static void random_batches_survive_a_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    struct batch_builder builder;
    uint8_t *pool = mem_alloc((size_t)RECORDS_MAX * 6 * BYTES_MAX);
    prng_init(&prng, 42);
    batch_builder_init(&builder);
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        for (int round = 0; round < 60; round++) {
            round_trip(&prng, &builder, codec, pool);
        }
    }
    batch_builder_release(&builder);
    free(pool);
}

static void builders_write_what_is_asked_for(void **state)
{
    (void)state;
    struct batch_builder builder;
    struct batch b;
    batch_builder_init(&builder);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = 99;
    builder.producer_epoch = 3;
    builder.base_sequence = 17;
    builder.leader_epoch = 5;
    batch_builder_add(&builder, 5, bytes_of_text("k"), bytes_of_text("v"), bytes_of(NULL, 0), 0);
    batch_builder_add(&builder, 4, bytes_of_text("k"), bytes_of_text("v"), bytes_of(NULL, 0), 0);
    assert_int_equal(batch_parse(batch_builder_finish(&builder), &b), KAFKA_NONE);
    assert_int_equal(b.attributes, BATCH_TRANSACTIONAL);
    assert_int_equal(b.producer_id, 99);
    assert_int_equal(b.producer_epoch, 3);
    assert_int_equal(b.base_sequence, 17);
    assert_int_equal(batch_last_sequence(&b), 18);
    assert_int_equal(b.leader_epoch, 5);
    assert_int_equal(b.base_timestamp, 5);
    assert_int_equal(b.max_timestamp, 5);
    assert_int_equal(b.count, 2);

    /* Nothing of it is left in the next batch. */
    batch_builder_reset(&builder);
    batch_builder_add(&builder, 9, bytes_of(NULL, 0), bytes_of(NULL, 0), bytes_of(NULL, 0), 0);
    assert_int_equal(batch_parse(batch_builder_finish(&builder), &b), KAFKA_NONE);
    assert_int_equal(b.attributes, 0);
    assert_int_equal(b.producer_id, -1);
    assert_int_equal(b.base_sequence, -1);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.raw.len, BATCH_HEADER + 7); /* the smallest batch there is */
    batch_builder_release(&builder);
}

static void iterators_stop_where_a_batch_is_damaged(void **state)
{
    (void)state;
    struct buf raw = read_golden("java-none");
    struct batch b;
    struct record_iter it;
    struct record r;
    assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
    assert_int_equal(record_iter_init(&it, &b, 0, NULL), 0);
    assert_true(record_iter_next(&it, &r));
    raw.data[it.at - raw.data] = 0x7f; /* the length of the second record: negative */
    assert_false(record_iter_next(&it, &r));
    assert_true(it.next < it.n);
    buf_release(&raw);
}

static void batches_change_their_codec_and_nothing_else(void **state)
{
    (void)state;
    struct codec_scratch scratch = { 0 };
    struct buf raw = read_golden("java-lz4"), out = { 0 };
    struct batch before, after;
    struct batch_verdict verdict;
    assert_int_equal(batch_parse(buf_bytes(&raw), &before), KAFKA_NONE);
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        assert_int_equal(batch_recompress(&before, codec, 1 << 20, &scratch, &out), 0);
        assert_int_equal(check_bytes(buf_bytes(&out), &ANY_RULES, &verdict), KAFKA_NONE);
        assert_int_equal(batch_parse(buf_bytes(&out), &after), KAFKA_NONE);
        assert_int_equal(batch_codec(&after), codec);
        assert_memory_equal(out.data + 23, raw.data + 23, BATCH_HEADER - 23);
        assert_memory_equal(out.data, raw.data, 8);
        struct record_iter it;
        struct record r;
        assert_int_equal(record_iter_init(&it, &after, 1 << 20, &scratch), 0);
        for (int i = 0; i < 10; i++) {
            assert_true(record_iter_next(&it, &r));
            assert_golden_record(&r, i, false);
        }
    }
    assert_int_equal(batch_recompress(&before, CODEC_GZIP, 100, &scratch, &out), -EFBIG);
    codec_scratch_release(&scratch);
    buf_release(&raw);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_real_clients_are_accepted_and_read),
        cmocka_unit_test(large_batches_of_real_clients_span_blocks),
        cmocka_unit_test(every_truncation_is_detected),
        cmocka_unit_test(every_flipped_bit_under_the_crc_is_detected),
        cmocka_unit_test(stamps_leave_the_crc_right),
        cmocka_unit_test(lengths_are_peeked_from_twelve_bytes),
        cmocka_unit_test(magics_are_answered_as_kafka_does),
        cmocka_unit_test(sequence_numbers_wrap_to_zero),
        cmocka_unit_test(random_batches_survive_a_round_trip),
        cmocka_unit_test(builders_write_what_is_asked_for),
        cmocka_unit_test(batches_change_their_codec_and_nothing_else),
        cmocka_unit_test(iterators_stop_where_a_batch_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
