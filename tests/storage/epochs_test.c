/* The leader epochs of a log. */
#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/storage/epochs.h>

#include <errno.h>

/* Makes a list from "epoch start epoch start …", ended by -1. */
static struct epochs make(const int *numbers)
{
    struct epochs epochs = { 0 };
    for (; *numbers >= 0; numbers += 2) {
        epochs_assign(&epochs, numbers[0], numbers[1]);
    }
    return epochs;
}

static void expect(struct epochs *epochs, const char *file)
{
    struct buf out = { 0 };
    epochs_encode(epochs, &out);
    buf_put_u8(&out, 0);
    assert_string_equal((char *)out.data, file);
    buf_release(&out);
    epochs_release(epochs);
}

#define EPOCHS(...) make((const int[]){ __VA_ARGS__, -1 })

static void an_epoch_keeps_its_start(void **state)
{
    (void)state;
    struct epochs epochs = { 0 };
    assert_true(epochs_assign(&epochs, 2, 6));
    assert_false(epochs_assign(&epochs, 2, 6));
    assert_false(epochs_assign(&epochs, 2, 7));
    assert_true(epochs_assign(&epochs, 2, 5));
    assert_true(epochs_assign(&epochs, 3, 8));
    expect(&epochs, "0\n2\n2 5\n3 8\n");
}

static void contradicting_entries_are_dropped(void **state)
{
    (void)state;
    struct epochs epochs = EPOCHS(1, 0, 2, 6, 3, 8, 4, 11);
    assert_true(epochs_assign(&epochs, 5, 7)); /* a start below the last ones' */
    expect(&epochs, "0\n3\n1 0\n2 6\n5 7\n");

    epochs = EPOCHS(1, 0, 2, 6, 3, 8, 4, 11);
    assert_true(epochs_assign(&epochs, 2, 20)); /* an epoch below the last ones' */
    expect(&epochs, "0\n2\n1 0\n2 20\n");

    epochs = EPOCHS(1, 5, 2, 5);
    expect(&epochs, "0\n1\n2 5\n"); /* nothing was written in epoch 1 */
}

static void assert_end(const struct epochs *epochs, int32_t asked, int32_t epoch, int64_t end)
{
    int32_t got_epoch = 77;
    int64_t got_end = 77;
    epochs_end(epochs, asked, 100, &got_epoch, &got_end);
    assert_int_equal(got_epoch, epoch);
    assert_int_equal(got_end, end);
}

static void ends_are_what_kafka_answers(void **state)
{
    (void)state;
    struct epochs epochs = { 0 };
    assert_end(&epochs, -1, -1, -1);
    assert_end(&epochs, 0, -1, -1);
    epochs = EPOCHS(2, 10, 5, 20, 6, 30);
    assert_end(&epochs, -1, -1, -1);
    assert_end(&epochs, 1, 1, 10);
    assert_end(&epochs, 2, 2, 20);
    assert_end(&epochs, 4, 2, 20);
    assert_end(&epochs, 5, 5, 30);
    assert_end(&epochs, 6, 6, 100);
    assert_end(&epochs, 7, -1, -1);
    epochs_release(&epochs);
}

static void the_epoch_of_an_offset_is_the_last_that_began(void **state)
{
    (void)state;
    struct epochs epochs = EPOCHS(2, 10, 5, 20);
    assert_int_equal(epochs_at(&epochs, 9), -1);
    assert_int_equal(epochs_at(&epochs, 10), 2);
    assert_int_equal(epochs_at(&epochs, 19), 2);
    assert_int_equal(epochs_at(&epochs, 20), 5);
    assert_int_equal(epochs_at(&epochs, INT64_MAX), 5);
    epochs_release(&epochs);
}

static void truncation_drops_what_begins_there(void **state)
{
    (void)state;
    struct epochs epochs = EPOCHS(2, 6, 3, 8, 4, 11);
    assert_false(epochs_truncate(&epochs, 12));
    expect(&epochs, "0\n3\n2 6\n3 8\n4 11\n");
    epochs = EPOCHS(2, 6, 3, 8, 4, 11);
    assert_true(epochs_truncate(&epochs, 11));
    expect(&epochs, "0\n2\n2 6\n3 8\n");
    epochs = EPOCHS(2, 6, 3, 8, 4, 11);
    assert_true(epochs_truncate(&epochs, 0));
    expect(&epochs, "0\n0\n");
}

static void a_new_log_start_moves_the_epoch_that_holds_it(void **state)
{
    (void)state;
    static const struct {
        int64_t start;
        const char *file;
    } CASES[] = {
        { 5, "0\n3\n2 6\n3 8\n4 11\n" }, { 6, "0\n3\n2 6\n3 8\n4 11\n" },
        { 7, "0\n3\n2 7\n3 8\n4 11\n" }, { 8, "0\n2\n3 8\n4 11\n" },
        { 10, "0\n2\n3 10\n4 11\n" },    { 11, "0\n1\n4 11\n" },
        { 500, "0\n1\n4 500\n" },
    };
    for (size_t i = 0; i < countof(CASES); i++) {
        struct epochs epochs = EPOCHS(2, 6, 3, 8, 4, 11);
        assert_int_equal(epochs_trim(&epochs, CASES[i].start), CASES[i].start > 6);
        expect(&epochs, CASES[i].file);
    }
    struct epochs none = { 0 };
    assert_false(epochs_trim(&none, 5));
}

static void files_are_read_back_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int error;
        size_t n;
    } CASES[] = {
        { "", 0, 0 },
        { "0\n", 0, 0 },
        { "0\n0\n", 0, 0 },
        { "0\n2\n0 0\n3 17", 0, 2 },
        { "0\r\n1\r\n4  9\r\n", 0, 1 },
        { "1\n0\n", -ENOTSUP, 0 },
        { "x\n0\n", -EINVAL, 0 },
        { "0\n2\n0 0\n", -EINVAL, 0 },
        { "0\n1\n0 0\n1 5\n", -EINVAL, 0 },
        { "0\n1\n0\n", -EINVAL, 0 },
        { "0\n1\n0 0 0\n", -EINVAL, 0 },
        { "0\n2\n3 0\n3 5\n", -EINVAL, 0 },
        { "0\n2\n2 5\n3 5\n", -EINVAL, 0 },
        { "0\n1\n-1 5\n", -EINVAL, 0 },
        { "0\n1\n1 -5\n", -EINVAL, 0 },
        { "0\n1\n2147483648 5\n", -EINVAL, 0 },
    };
    for (size_t i = 0; i < countof(CASES); i++) {
        struct epochs epochs = EPOCHS(9, 9);
        int error = epochs_decode(&epochs, bytes_of(CASES[i].file, strlen(CASES[i].file)));
        assert_int_equal(error, CASES[i].error);
        assert_int_equal(epochs.n, CASES[i].n);
        epochs_release(&epochs);
    }
}

/* Against a plain array that holds the epoch of every offset. */
static void a_log_and_its_epochs_agree(void **state)
{
    (void)state;
    struct prng prng;
    struct epochs epochs = { 0 };
    int32_t model[300];
    int64_t start = 0, end = 0;
    int32_t epoch = 0;
    prng_init(&prng, 11);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned what = (unsigned)prng_below(&prng, 20);
        if (what == 0 && end > start) {
            end = start + (int64_t)prng_below(&prng, (uint64_t)(end - start) + 1);
            epochs_truncate(&epochs, end);
        } else if (what == 1) {
            start += (int64_t)prng_below(&prng, (uint64_t)(end - start) + 1);
            epochs_trim(&epochs, start);
        } else if (end < (int64_t)countof(model)) {
            epoch += what < 5 ? (int32_t)prng_below(&prng, 3) : 0;
            epochs_assign(&epochs, epoch, end);
            model[end++] = epoch;
        } else {
            start = end = epoch = 0;
            epochs_truncate(&epochs, 0);
        }
        for (int64_t at = start; at < end; at++) {
            assert_int_equal(epochs_at(&epochs, at), model[at]);
        }
    }
    epochs_release(&epochs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_keeps_its_start),
        cmocka_unit_test(contradicting_entries_are_dropped),
        cmocka_unit_test(ends_are_what_kafka_answers),
        cmocka_unit_test(the_epoch_of_an_offset_is_the_last_that_began),
        cmocka_unit_test(truncation_drops_what_begins_there),
        cmocka_unit_test(a_new_log_start_moves_the_epoch_that_holds_it),
        cmocka_unit_test(files_are_read_back_or_refused),
        cmocka_unit_test(a_log_and_its_epochs_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
