/* The offset index and the time index of a segment. */
#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/storage/time_index.h>

#include <errno.h>

static void lookups_give_the_last_entry_at_or_below(void **state)
{
    (void)state;
    struct index index = { 0 };
    assert_int_equal(index_lookup(&index, 7), 0);
    index_add(&index, 10, 100);
    index_add(&index, 20, 300);
    index_add(&index, 21, 400);
    assert_int_equal(index_lookup(&index, 9), 0);
    assert_int_equal(index_lookup(&index, 10), 100);
    assert_int_equal(index_lookup(&index, 19), 100);
    assert_int_equal(index_lookup(&index, 20), 300);
    assert_int_equal(index_lookup(&index, INT32_MAX), 400);
    assert_int_equal(index_lookup(&index, UINT32_MAX), 400);
    index_release(&index);
}

static void truncation_drops_the_offset_itself(void **state)
{
    (void)state;
    struct index index = { 0 };
    for (uint32_t i = 1; i <= 10; i++) {
        index_add(&index, i * 10, i * 1000);
    }
    index_truncate(&index, 1000);
    assert_int_equal(index.n, 10);
    index_truncate(&index, 95);
    assert_int_equal(index.n, 9);
    index_truncate(&index, 90);
    assert_int_equal(index.n, 8);
    index_truncate(&index, 0);
    assert_int_equal(index.n, 0);
    index_release(&index);
}

static void index_files_are_read_back(void **state)
{
    (void)state;
    struct prng prng;
    struct index index = { 0 }, copy = { 0 };
    struct buf file = { 0 };
    uint32_t offset = 0, place = 0;
    prng_init(&prng, 3);
    for (unsigned i = 0; i < 1000; i++) {
        offset += 1 + (uint32_t)prng_below(&prng, 9);
        place += 1 + (uint32_t)prng_below(&prng, 5000);
        index_add(&index, offset, place);
        index_encode(&index, index.n - 1, &file);
    }
    assert_int_equal(file.len, 1000 * INDEX_ENTRY);
    assert_int_equal(index_decode(&copy, buf_bytes(&file), place + 1), 0);
    assert_int_equal(copy.n, index.n);
    assert_memory_equal(copy.entries, index.entries, index.n * sizeof *index.entries);
    assert_int_equal(index_decode(&copy, bytes_of(NULL, 0), 0), 0);
    assert_int_equal(copy.n, 0);
    index_release(&index);
    index_release(&copy);
    buf_release(&file);
}

static int decode_pairs(const uint32_t *numbers, size_t n, uint64_t segment_bytes)
{
    struct index index = { 0 };
    struct buf file = { 0 };
    index_add(&index, 1, 1);
    for (size_t i = 0; i < n; i++) {
        buf_put_be32(&file, numbers[i]);
    }
    int error = index_decode(&index, buf_bytes(&file), segment_bytes);
    assert_int_equal(index.n, error == 0 ? n / 2 : 0);
    buf_release(&file);
    index_release(&index);
    return error;
}

static void wrong_index_files_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 6, 60 }, 4, 61), 0);
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 6, 60 }, 4, 60), -EINVAL);
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 5, 60 }, 4, 100), -EINVAL);
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 6, 50 }, 4, 100), -EINVAL);
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 0, 0 }, 4, 100), -EINVAL);
    assert_int_equal(decode_pairs((uint32_t[]){ 5, 50, 6 }, 3, 100), -EINVAL);
    assert_int_equal(decode_pairs((uint32_t[]){ 0x80000000, 50 }, 2, 100), -EINVAL);
}

static void time_entries_need_a_larger_time_stamp(void **state)
{
    (void)state;
    struct time_index index = { 0 };
    assert_int_equal(time_index_last(&index).timestamp, -1);
    time_index_add(&index, -1, 5);
    assert_int_equal(index.n, 0);
    time_index_add(&index, 1000, 5);
    time_index_add(&index, 1000, 9);
    time_index_add(&index, 999, 9);
    time_index_add(&index, 1001, 5);
    assert_int_equal(index.n, 2);
    assert_int_equal(time_index_last(&index).timestamp, 1001);
    assert_int_equal(time_index_last(&index).relative_offset, 5);
    time_index_release(&index);
}

static void time_lookups_give_the_last_entry_at_or_below(void **state)
{
    (void)state;
    struct time_index index = { 0 };
    assert_int_equal(time_index_lookup(&index, 5).relative_offset, 0);
    time_index_add(&index, 100, 5);
    time_index_add(&index, 200, 7);
    assert_int_equal(time_index_lookup(&index, 99).timestamp, -1);
    assert_int_equal(time_index_lookup(&index, 99).relative_offset, 0);
    assert_int_equal(time_index_lookup(&index, 100).relative_offset, 5);
    assert_int_equal(time_index_lookup(&index, 199).relative_offset, 5);
    assert_int_equal(time_index_lookup(&index, INT64_MAX).relative_offset, 7);
    time_index_truncate(&index, 8);
    assert_int_equal(index.n, 2);
    time_index_truncate(&index, 7);
    assert_int_equal(index.n, 1);
    time_index_truncate(&index, 0);
    assert_int_equal(index.n, 0);
    time_index_release(&index);
}

static void time_index_files_are_read_back_or_refused(void **state)
{
    (void)state;
    struct time_index index = { 0 }, copy = { 0 };
    struct buf file = { 0 };
    time_index_add(&index, 0, 3);
    time_index_add(&index, 7, 3);
    time_index_add(&index, INT64_MAX, INT32_MAX);
    time_index_encode(&index, 0, &file);
    assert_int_equal(file.len, 3 * TIME_INDEX_ENTRY);
    assert_int_equal(time_index_decode(&copy, buf_bytes(&file)), 0);
    assert_int_equal(copy.n, 3);
    assert_int_equal(copy.entries[1].timestamp, 7);
    assert_int_equal(copy.entries[2].relative_offset, INT32_MAX);

    assert_int_equal(time_index_decode(&copy, bytes_of(file.data, file.len - 1)), -EINVAL);
    assert_int_equal(copy.n, 0);
    store_be32(file.data + TIME_INDEX_ENTRY + 8, 2); /* an offset that falls */
    assert_int_equal(time_index_decode(&copy, buf_bytes(&file)), -EINVAL);
    store_be32(file.data + TIME_INDEX_ENTRY + 8, 3);
    store_be64(file.data + TIME_INDEX_ENTRY, 0); /* a time stamp that does not rise */
    assert_int_equal(time_index_decode(&copy, buf_bytes(&file)), -EINVAL);
    time_index_release(&index);
    time_index_release(&copy);
    buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups_give_the_last_entry_at_or_below),
        cmocka_unit_test(truncation_drops_the_offset_itself),
        cmocka_unit_test(index_files_are_read_back),
        cmocka_unit_test(wrong_index_files_are_refused),
        cmocka_unit_test(time_entries_need_a_larger_time_stamp),
        cmocka_unit_test(time_lookups_give_the_last_entry_at_or_below),
        cmocka_unit_test(time_index_files_are_read_back_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
