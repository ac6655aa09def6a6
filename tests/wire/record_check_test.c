/* Validation of producers' batches: each fault has its error code, and names its record. */
#include "batches.h"

static const struct bytes NOTHING = { .data = NULL, .len = 0 };

/* Encodes one record field by field, so that each can be wrong. */
struct fields {
    int64_t len_more; /* added to the length that would be right */
    int64_t timestamp_delta, offset_delta;
    const char *key, *value;
    int64_t n_headers;
    struct bytes headers;
};

static void put_varint(struct buf *to, int64_t n)
{
    to->len += varint_put_i64(buf_reserve(to, VARINT64_MAX), n);
}

static void put_text(struct buf *to, const char *text)
{
    put_varint(to, text == NULL ? -1 : (int64_t)strlen(text));
    buf_put(to, text, text == NULL ? 0 : strlen(text));
}

static void put_record(struct buf *to, struct fields f)
{
    struct buf body = { 0 };
    buf_put_u8(&body, 0);
    put_varint(&body, f.timestamp_delta);
    put_varint(&body, f.offset_delta);
    put_text(&body, f.key);
    put_text(&body, f.value);
    put_varint(&body, f.n_headers);
    buf_put(&body, f.headers.data, f.headers.len);
    put_varint(to, (int64_t)body.len + f.len_more);
    buf_put(to, body.data, body.len);
    buf_release(&body);
}

/* Validates `payload` as it is and in gzip, which must not make a difference; returns the error. */
static enum kafka_error check_payload(struct buf *payload, int32_t count,
                                      const struct batch_rules *rules, struct batch_verdict *ret)
{
    struct buf zipped = { 0 };
    struct batch_verdict other;
    codec_compress(CODEC_GZIP, 0, buf_bytes(payload), &zipped);
    struct buf plain = wrap_payload(CODEC_NONE, buf_bytes(payload), count);
    struct buf packed = wrap_payload(CODEC_GZIP, buf_bytes(&zipped), count);
    enum kafka_error error = check_bytes(buf_bytes(&plain), rules, ret);
    assert_int_equal(check_bytes(buf_bytes(&packed), rules, &other), error);
    assert_int_equal(other.record, ret->record);
    assert_int_equal(other.max_timestamp, ret->max_timestamp);
    assert_ptr_equal(other.text, ret->text);
    buf_release(&zipped);
    buf_release(&plain);
    buf_release(&packed);
    buf_release(payload);
    return error;
}

/* A batch of one record as given. */
static enum kafka_error check_one(struct fields f, struct batch_verdict *ret)
{
    struct buf payload = { 0 };
    put_record(&payload, f);
    return check_payload(&payload, 1, &ANY_RULES, ret);
}

static void records_tile_the_payload_exactly(void **state)
{
    (void)state;
    struct batch_verdict v;
    assert_int_equal(check_one((struct fields){ .key = "k", .value = "v" }, &v), KAFKA_NONE);
    assert_int_equal(v.max_timestamp, 1000);
    const int64_t wrong[] = { -1, 1, -7, 100000, INT32_MAX - 8, -100 };
    for (size_t i = 0; i < countof(wrong); i++) {
        struct fields f = { .len_more = wrong[i], .key = "k", .value = "v" };
        assert_int_equal(check_one(f, &v), KAFKA_INVALID_RECORD);
        assert_int_equal(v.record, 0);
    }
    for (int32_t count = 1; count <= 4; count++) { /* three records are there */
        struct buf payload = { 0 };
        for (int i = 0; i < 3; i++) {
            put_record(&payload, (struct fields){ .offset_delta = i, .key = "k" });
        }
        enum kafka_error want = count == 3 ? KAFKA_NONE : KAFKA_INVALID_RECORD;
        assert_int_equal(check_payload(&payload, count, &ANY_RULES, &v), want);
        assert_int_equal(v.record, count == 4 ? 3 : -1);
    }
}

static void offset_deltas_count_up_from_zero(void **state)
{
    (void)state;
    struct batch_verdict v;
    const int64_t wrong[][3] = { { 1, 2, 3 }, { 0, 2, 1 }, { 0, 1, 1 }, { 0, 1, 3 }, { 0, 1, -2 } };
    const int32_t at[] = { 0, 1, 2, 2, 2 };
    for (size_t i = 0; i < countof(wrong); i++) {
        struct buf payload = { 0 };
        for (int r = 0; r < 3; r++) {
            put_record(&payload, (struct fields){ .offset_delta = wrong[i][r], .key = "k" });
        }
        assert_int_equal(check_payload(&payload, 3, &ANY_RULES, &v), KAFKA_INVALID_RECORD);
        assert_int_equal(v.record, at[i]);
    }
}

static void headers_are_well_formed(void **state)
{
    (void)state;
    struct batch_verdict v;
    const struct {
        const char *hex; /* as characters */
        size_t len;
        int64_t n;
        bool ok;
    } cases[] = {
        { "\x02k\x02v", 4, 1, true },
        { "\x02k\x01", 3, 1, true },          /* a null value */
        { "\x00\x00", 2, 1, true },           /* an empty key and an empty value */
        { "\x02k\x02v\x02k\x01", 7, 2, true },
        { "\x01\x02v", 3, 1, false },         /* a null key */
        { "\x03k\x02v", 4, 1, false },        /* a key of -2 bytes */
        { "\x02k\x03v", 4, 1, false },        /* a value of -2 bytes */
        { "\x02k\x04v", 4, 1, false },        /* longer than the record */
        { "\x02k\x02v", 4, 2, false },        /* one is missing */
        { "\x02k\x02v", 4, 0, false },        /* one too many */
        { "\x02k\x02v", 4, -1, false },
        { "\x02k\x02v", 4, INT32_MAX, false }, /* never counted, never allocated */
        { "", 0, 1, false },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct fields f = { .n_headers = cases[i].n,
                            .headers = bytes_of(cases[i].hex, cases[i].len) };
        enum kafka_error error = check_one(f, &v);
        assert_int_equal(error, cases[i].ok ? KAFKA_NONE : KAFKA_INVALID_RECORD);
    }
}

static void numbers_may_be_long_but_must_fit(void **state)
{
    (void)state;
    struct batch_verdict v;
    /* length, attributes, timestamp delta, offset delta, key, value, header count */
    const struct {
        const char *hex;
        size_t len;
        bool ok;
    } cases[] = {
        { "\x0c\x00\x00\x00\x01\x01\x00", 7, true },
        { "\x0e\x00\x80\x00\x00\x01\x01\x00", 8, true }, /* longer than need be */
        { "\x1e\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00\x01\x01\x00", 16, true },
        { "\x1e\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00\x01\x01\x00", 16, false },
        { "\x20\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00\x01\x01\x00", 17, false },
        { "\x14\x00\x00\x80\x80\x80\x80\x00\x01\x01\x00", 11, true },
        { "\x14\x00\x00\x80\x80\x80\x80\x10\x01\x01\x00", 11, false }, /* does not fit 32 bits */
        { "\x16\x00\x00\x80\x80\x80\x80\x80\x00\x01\x01\x00", 12, false },
        { "\x0c\x00\x00\x00\x01\x01\x80", 7, false }, /* ends in the middle of a number */
        { "\x0c\x00\x00\x00\x03\x01\x00", 7, false }, /* a key of -2 bytes */
        { "\x00", 1, false },                         /* a record of no bytes */
        { "\x01", 1, false },                         /* of -1 byte */
        { "\xff\xff\xff\xff\x0f", 5, false },         /* of INT32_MIN bytes */
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct buf payload = { 0 };
        buf_put(&payload, cases[i].hex, cases[i].len);
        enum kafka_error error = check_payload(&payload, 1, &ANY_RULES, &v);
        assert_int_equal(error, cases[i].ok ? KAFKA_NONE : KAFKA_INVALID_RECORD);
    }
}

/* Changes one field of a good batch, puts the CRC right and validates. */
static enum kafka_error check_changed(size_t at, uint64_t n, size_t len, struct batch_verdict *ret)
{
    struct buf payload = { 0 };
    put_record(&payload, (struct fields){ .key = "k" });
    put_record(&payload, (struct fields){ .offset_delta = 1, .key = "k" });
    struct buf raw = wrap_payload(CODEC_NONE, buf_bytes(&payload), 2);
    for (size_t i = 0; i < len; i++) {
        raw.data[at + i] = (uint8_t)(n >> (8 * (len - 1 - i)));
    }
    fix_crc(raw.data, raw.len);
    enum kafka_error error = check_bytes(buf_bytes(&raw), &ANY_RULES, ret);
    buf_release(&raw);
    buf_release(&payload);
    return error;
}

static void headers_of_batches_agree_with_themselves(void **state)
{
    (void)state;
    enum { ATTRIBUTES = 21, LAST_DELTA = 23, PRODUCER = 43, COUNT = 57 };
    struct batch_verdict v;
    assert_int_equal(check_changed(COUNT, 2, 4, &v), KAFKA_NONE);
    const uint32_t counts[] = { 0, 1, 3, INT32_MAX, UINT32_MAX, (uint32_t)INT32_MIN };
    for (size_t i = 0; i < countof(counts); i++) {
        assert_int_equal(check_changed(COUNT, counts[i], 4, &v), KAFKA_INVALID_RECORD);
        assert_int_equal(v.record, -1);
        assert_int_equal(check_changed(LAST_DELTA, counts[i] - (counts[i] == 1), 4, &v),
                         KAFKA_INVALID_RECORD);
    }
    for (uint64_t codec = CODEC_COUNT; codec < 8; codec++) {
        assert_int_equal(check_changed(ATTRIBUTES, codec, 2, &v),
                         KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    }
    assert_int_equal(check_changed(ATTRIBUTES, BATCH_CONTROL, 2, &v), KAFKA_INVALID_RECORD);
    assert_int_equal(check_changed(ATTRIBUTES, BATCH_LOG_APPEND_TIME, 2, &v),
                     KAFKA_INVALID_TIMESTAMP);
    /* The producer's id alone: epoch and sequence are still -1. */
    assert_int_equal(check_changed(PRODUCER, 7, 8, &v), KAFKA_INVALID_RECORD);
}

static void producers_bring_epoch_and_sequence(void **state)
{
    (void)state;
    const struct {
        int64_t id;
        int16_t epoch, attributes;
        int32_t sequence;
        bool ok;
    } cases[] = {
        { 7, 0, 0, 0, true },
        { 7, 3, BATCH_TRANSACTIONAL, 5, true },
        { 7, -1, 0, 0, false },
        { 7, 0, 0, -1, false },
        { -1, -1, 0, -1, true },
        { -1, -1, BATCH_TRANSACTIONAL, -1, false },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct batch_builder builder;
        struct batch_verdict v;
        batch_builder_init(&builder);
        builder.producer_id = cases[i].id;
        builder.producer_epoch = cases[i].epoch;
        builder.base_sequence = cases[i].sequence;
        builder.attributes = cases[i].attributes;
        batch_builder_add(&builder, 1, NOTHING, NOTHING, NOTHING, 0);
        enum kafka_error error = check_bytes(batch_builder_finish(&builder), &ANY_RULES, &v);
        assert_int_equal(error, cases[i].ok ? KAFKA_NONE : KAFKA_INVALID_RECORD);
        batch_builder_release(&builder);
    }
}

static void control_batches_are_for_ourselves(void **state)
{
    (void)state;
    struct batch_builder builder;
    struct batch_verdict v;
    struct batch_rules rules = ANY_RULES;
    batch_builder_init(&builder);
    builder.attributes = BATCH_CONTROL;
    batch_builder_add(&builder, 1, bytes_of("\0\0\0\1", 4), bytes_of("\0\0\0\0\0\0", 6), NOTHING,
                      0);
    struct bytes raw = batch_builder_finish(&builder);
    assert_int_equal(check_bytes(raw, &rules, &v), KAFKA_INVALID_RECORD);
    rules.allow_control = true;
    assert_int_equal(check_bytes(raw, &rules, &v), KAFKA_NONE);
    batch_builder_release(&builder);
}

static void sizes_are_limited(void **state)
{
    (void)state;
    struct batch_builder builder;
    struct batch_verdict v;
    uint8_t *zeros = mem_zalloc(100000);
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct batch_rules rules = ANY_RULES;
        batch_builder_init(&builder);
        builder.codec = codec;
        batch_builder_add(&builder, 1, NOTHING, bytes_of(zeros, 100000), NOTHING, 0);
        size_t inflated = builder.payload.len;
        struct bytes raw = batch_builder_finish(&builder);
        rules.max_bytes = raw.len;
        rules.max_inflated = inflated;
        assert_int_equal(check_bytes(raw, &rules, &v), KAFKA_NONE);
        rules.max_bytes = raw.len - 1;
        assert_int_equal(check_bytes(raw, &rules, &v), KAFKA_MESSAGE_TOO_LARGE);
        rules.max_bytes = raw.len;
        rules.max_inflated = inflated - 1;
        assert_int_equal(check_bytes(raw, &rules, &v),
                         codec == CODEC_NONE ? KAFKA_NONE : KAFKA_MESSAGE_TOO_LARGE);
        batch_builder_release(&builder);
    }
    free(zeros);
}

/* Five records; the rules ask for keys and for timestamps from 500 to 2000. */
static enum kafka_error check_five(const int64_t timestamps[5], const char *keys, int32_t faults[5],
                                   size_t *ret_n, struct batch_verdict *ret)
{
    struct batch_rules rules = ANY_RULES;
    struct batch_builder builder;
    struct batch b;
    struct batch_fault list[5];
    struct codec_scratch scratch = { 0 };
    rules.need_keys = true;
    rules.timestamp_min = 500;
    rules.timestamp_max = 2000;
    batch_builder_init(&builder);
    for (int i = 0; i < 5; i++) {
        struct bytes key = keys[i] == 'k' ? bytes_of_text("k") : NOTHING;
        batch_builder_add(&builder, timestamps[i], key, NOTHING, NOTHING, 0);
    }
    assert_int_equal(batch_parse(batch_builder_finish(&builder), &b), KAFKA_NONE);
    enum kafka_error error = batch_validate(&b, &rules, &scratch, ret);
    *ret_n = batch_faults(&b, &rules, &scratch, list, 5);
    for (size_t i = 0; i < *ret_n; i++) {
        faults[i] = list[i].record;
        assert_non_null(list[i].text);
    }
    assert_int_equal(batch_faults(&b, &rules, &scratch, list, 1), min_u64(*ret_n, 1));
    batch_builder_release(&builder);
    codec_scratch_release(&scratch);
    return error;
}

static void every_record_that_breaks_a_rule_is_named(void **state)
{
    (void)state;
    struct batch_verdict v;
    int32_t faults[5];
    size_t n;
    const int64_t good[5] = { 500, 2000, -1, 1000, 1000 }, late[5] = { 600, 600, 600, 2001, 499 };
    assert_int_equal(check_five(good, "kkkkk", faults, &n, &v), KAFKA_NONE);
    assert_int_equal(n, 0);
    assert_int_equal(v.max_timestamp, 2000);

    assert_int_equal(check_five(good, "k-k-k", faults, &n, &v), KAFKA_INVALID_RECORD);
    assert_int_equal(v.record, 1);
    assert_int_equal(n, 2);
    assert_memory_equal(faults, ((int32_t[]){ 1, 3 }), 2 * sizeof(int32_t));

    assert_int_equal(check_five(late, "kkkkk", faults, &n, &v), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(v.record, 3);
    assert_int_equal(n, 2);
    assert_memory_equal(faults, ((int32_t[]){ 3, 4 }), 2 * sizeof(int32_t));

    /* A timestamp outranks a key, whichever comes first. */
    assert_int_equal(check_five(late, "-kkkk", faults, &n, &v), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(v.record, 0);
    assert_int_equal(n, 3);
}

static void structure_outranks_the_rules_of_the_topic(void **state)
{
    (void)state;
    struct batch_rules rules = ANY_RULES;
    struct batch_verdict v;
    struct buf payload = { 0 };
    rules.need_keys = true;
    put_record(&payload, (struct fields){ .offset_delta = 0 });
    put_record(&payload, (struct fields){ .offset_delta = 5, .key = "k" });
    assert_int_equal(check_payload(&payload, 2, &rules, &v), KAFKA_INVALID_RECORD);
    assert_int_equal(v.record, 1);
}

static void log_append_time_lifts_the_limits_of_timestamps(void **state)
{
    (void)state;
    struct batch_rules rules = ANY_RULES;
    struct batch_verdict v;
    struct buf payload = { 0 };
    rules.timestamp_max = 10;
    put_record(&payload, (struct fields){ .key = "k" });
    assert_int_equal(check_payload(&payload, 1, &rules, &v), KAFKA_INVALID_TIMESTAMP);
    rules.log_append_time = true;
    put_record(&payload, (struct fields){ .key = "k" });
    assert_int_equal(check_payload(&payload, 1, &rules, &v), KAFKA_NONE);
}

static void a_wrong_maximum_is_accepted_and_found(void **state)
{
    (void)state;
    struct buf payload = { 0 };
    struct batch_verdict v;
    put_record(&payload, (struct fields){ .timestamp_delta = 234, .key = "k" });
    struct buf raw = wrap_payload(CODEC_NONE, buf_bytes(&payload), 1); /* says 1000 */
    assert_int_equal(check_bytes(buf_bytes(&raw), &ANY_RULES, &v), KAFKA_NONE);
    assert_int_equal(v.max_timestamp, 1234);
    buf_release(&payload);
    buf_release(&raw);
}

static void payloads_that_cannot_be_opened_are_refused(void **state)
{
    (void)state;
    struct batch_verdict v;
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf raw = wrap_payload(codec, bytes_of_text("not compressed at all"), 1);
        assert_int_equal(check_bytes(buf_bytes(&raw), &ANY_RULES, &v), KAFKA_INVALID_RECORD);
        assert_int_equal(v.record, -1);
        buf_release(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_tile_the_payload_exactly),
        cmocka_unit_test(offset_deltas_count_up_from_zero),
        cmocka_unit_test(headers_are_well_formed),
        cmocka_unit_test(numbers_may_be_long_but_must_fit),
        cmocka_unit_test(headers_of_batches_agree_with_themselves),
        cmocka_unit_test(producers_bring_epoch_and_sequence),
        cmocka_unit_test(control_batches_are_for_ourselves),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(every_record_that_breaks_a_rule_is_named),
        cmocka_unit_test(structure_outranks_the_rules_of_the_topic),
        cmocka_unit_test(log_append_time_lifts_the_limits_of_timestamps),
        cmocka_unit_test(a_wrong_maximum_is_accepted_and_found),
        cmocka_unit_test(payloads_that_cannot_be_opened_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
