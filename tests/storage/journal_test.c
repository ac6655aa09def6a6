/* The bytes of the journal, and putting single bits right. */
#include "../support/test.h"

#include "../../src/storage/journal_format.h"
#include "../../src/storage/repair.h"

#include <chronik/base/crc32c.h>
#include <chronik/base/random.h>
#include <errno.h>

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
    struct prng prng;
    uint8_t data[5000], good[sizeof data];
    (void)state;
    prng_init(&prng, 1);
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = 1 + prng_below(&prng, sizeof data);
        prng_fill(&prng, good, len);
        memcpy(data, good, len);
        uint32_t crc = crc32c(0, data, len);
        assert_false(repair_bit(data, len, crc)); /* nothing is wrong */
        data[prng_below(&prng, len)] ^= (uint8_t)(1 << prng_below(&prng, 8));
        assert_true(repair_bit(data, len, crc));
        assert_memory_equal(data, good, len);
    }
}

static void more_than_a_bit_is_left_alone(void **state)
{
    struct prng prng;
    uint8_t data[3000], bad[sizeof data];
    (void)state;
    prng_init(&prng, 2);
    for (unsigned i = 0; i < 500; i++) {
        prng_fill(&prng, data, sizeof data);
        uint32_t crc = crc32c(0, data, sizeof data);
        size_t sector = prng_below(&prng, sizeof data / 512) * 512;
        memset(data + sector, 0, 512);
        memcpy(bad, data, sizeof data);
        assert_false(repair_bit(data, sizeof data, crc));
        assert_memory_equal(data, bad, sizeof data);
    }
}

static void chunk_headers_come_back(void **state)
{
    struct journal_chunk_header header = { .number = 7, .first_lsn = 123456789 }, back;
    uint8_t block[JOURNAL_BLOCK];
    (void)state;
    memset(header.directory_id.bytes, 3, sizeof header.directory_id.bytes);
    memset(header.salt.bytes, 5, sizeof header.salt.bytes);
    journal_chunk_encode(&header, block);
    assert_int_equal(journal_chunk_decode(block, &back), 0);
    assert_memory_equal(&back, &header, sizeof back);

    memset(block, 0xff, 512); /* one of the two copies */
    assert_int_equal(journal_chunk_decode(block, &back), 0);
    assert_memory_equal(&back, &header, sizeof back);
    memset(block, 0, sizeof block);
    assert_int_equal(journal_chunk_decode(block, &back), -EINVAL);

    journal_chunk_encode(&header, block);
    store_be16(block + 8, JOURNAL_VERSION + 1);
    store_be16(block + JOURNAL_BLOCK / 2 + 8, JOURNAL_VERSION + 1);
    assert_int_equal(journal_chunk_decode(block, &back), -ENOTSUP);
}

static void records_come_back(void **state)
{
    uint8_t bytes[1000] = { 0 };
    size_t at = 0;
    (void)state;
    for (enum journal_kind kind = JOURNAL_CREATE; kind <= JOURNAL_DELETE; kind++) {
        struct journal_record record = { .kind = kind,
                                         .begins_segment = kind == JOURNAL_APPEND,
                                         .partition = 4,
                                         .epoch = -1,
                                         .offset = INT64_MAX - (int64_t)kind };
        record.payload = bytes_of("payload", kind);
        record.total = record.at = kind == JOURNAL_PART ? 77 : 0;
        journal_record_encode(&record, bytes + at);
        memcpy(bytes + at + journal_record_header(kind), "payload", kind);
        at += journal_record_size(kind, kind);
    }
    journal_pad_encode(bytes + at, 16);
    struct bytes rest = bytes_of(bytes, at + 16);
    struct journal_record record;
    for (enum journal_kind kind = JOURNAL_CREATE; kind <= JOURNAL_DELETE; kind++) {
        assert_int_equal(journal_record_next(&rest, &record), 1);
        assert_int_equal(record.kind, kind);
        assert_int_equal(record.begins_segment, kind == JOURNAL_APPEND);
        assert_int_equal(record.partition, 4);
        assert_int_equal(record.epoch, -1);
        assert_int_equal(record.offset, INT64_MAX - (int64_t)kind);
        assert_true(bytes_equal(record.payload, bytes_of("payload", kind)));
    }
    assert_int_equal(journal_record_next(&rest, &record), 1);
    assert_int_equal(record.kind, JOURNAL_PAD);
    assert_int_equal(journal_record_next(&rest, &record), 0);
}

static void whatever_is_not_a_record_is_refused(void **state)
{
    struct prng prng;
    (void)state;
    prng_init(&prng, 4);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[200];
        struct journal_record record;
        size_t len = prng_below(&prng, sizeof bytes);
        prng_fill(&prng, bytes, len);
        if (len > 5) {
            store_be32(bytes, (uint32_t)prng_below(&prng, 2 * len));
            bytes[4] = (uint8_t)prng_below(&prng, 10);
        }
        struct bytes rest = bytes_of(bytes, len);
        int found;
        while ((found = journal_record_next(&rest, &record)) == 1) {
            assert_true(rest.len < len);
            assert_true(record.payload.data >= bytes);
            assert_true(record.payload.data + record.payload.len <= bytes + len);
        }
        assert_true(found == 0 || found == -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_is_found_wherever_it_is),
        cmocka_unit_test(more_than_a_bit_is_left_alone),
        cmocka_unit_test(chunk_headers_come_back),
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(whatever_is_not_a_record_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
