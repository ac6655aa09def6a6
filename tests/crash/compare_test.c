/* The comparison itself: it sees each kind of fault, and sees none where there is none. */
#include "../support/test.h"

#include "compare.h"

#include <unistd.h>

enum { RECORD_BYTES = 100 };

static char path[] = "/tmp/compare_test.XXXXXX";

static uint64_t id_of(unsigned n, bool idempotent)
{
    return record_id_pack((struct record_id){ .run = 1, .n = n, .idempotent = idempotent });
}

/* Begins a comparison with an acknowledgement log of these lines. */
static struct comparison *begin_with(const char *lines, const struct load_options *options)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(lines, file);
    fclose(file);
    struct comparison *c = comparison_new(options);
    assert_non_null(c);
    return c;
}

static struct comparison *begin(const char *lines)
{
    static const struct load_options OPTIONS = { .acked = path, .record_bytes = RECORD_BYTES };
    return begin_with(lines, &OPTIONS);
}

static char *acked(unsigned n, bool idempotent, int offset)
{
    return mem_sprintf("%016lx %d\n", (unsigned long)id_of(n, idempotent), offset);
}

/* A log of records 0 to 3 of an idempotent producer at offsets 0 to 3, and `more` lines. */
static struct comparison *begin_with_four(const char *more)
{
    struct buf lines = { 0 };
    for (unsigned i = 0; i < 4; i++) {
        char *line = acked(i, true, (int)i);
        buf_printf(&lines, "%s", line);
        free(line);
    }
    buf_printf(&lines, "%s", more);
    buf_put_u8(&lines, 0);
    struct comparison *c = begin((char *)lines.data);
    buf_release(&lines);
    return c;
}

static void take(struct comparison *c, int64_t offset, uint64_t id)
{
    char value[RECORD_BYTES];
    comparison_take(c, 0, offset, value, record_value(id, RECORD_BYTES, value));
}

/* Gives the comparison these records of the idempotent producer, from `start` on. */
static bool close_with(struct comparison *c, int64_t start, const int *numbers, size_t n)
{
    comparison_open(c, 0, start, start + (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        take(c, start + (int64_t)i, id_of((unsigned)numbers[i], true));
    }
    bool ok = comparison_close(c);
    comparison_free(c);
    return ok;
}

#define CLOSE_WITH(c, start, ...)                                                                  \
    close_with(c, start, (const int[]){ __VA_ARGS__ },                                             \
               sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))

static void what_was_acknowledged_must_be_there(void **state)
{
    (void)state;
    assert_true(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2, 3));
    assert_true(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2, 3, 4, 5));
    assert_false(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2));
    assert_false(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2, 4));
}

static void it_must_be_there_once_in_order_in_its_place(void **state)
{
    (void)state;
    assert_false(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2, 3, 3));
    assert_false(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 3, 2));
    assert_false(CLOSE_WITH(begin_with_four(""), 0, 0, 1, 2, 4, 3));
}

static void plain_producers_may_repeat_but_not_reorder(void **state)
{
    (void)state;
    static const struct {
        unsigned n[6];
        bool ok;
    } CASES[] = {
        { { 0, 1, 2, 0, 1, 2 }, true },  /* a batch sent again; the second one was acknowledged */
        { { 0, 0, 1, 1, 2, 2 }, false }, /* 0 and 1 are not where they were acknowledged */
        { { 1, 2, 3, 0, 1, 2 }, false }, /* 0 comes for the first time behind 3 */
    };
    for (size_t i = 0; i < countof(CASES); i++) {
        char *a = acked(0, false, 3), *b = acked(1, false, 4), *c = acked(2, false, 5);
        char *lines = mem_sprintf("%s%s%s", a, b, c);
        struct comparison *comparison = begin(lines);
        comparison_open(comparison, 0, 0, 6);
        for (int k = 0; k < 6; k++) {
            take(comparison, k, id_of(CASES[i].n[k], false));
        }
        assert_int_equal(comparison_close(comparison), CASES[i].ok);
        comparison_free(comparison);
        free(a);
        free(b);
        free(c);
        free(lines);
    }
}

static void plain_producers_may_be_allowed_to_reorder(void **state)
{
    (void)state;
    static const struct load_options UNORDERED = {
        .acked = path,
        .record_bytes = RECORD_BYTES,
        .unordered = 1,
    };
    static const unsigned NUMBERS[] = { 1, 0, 2 };
    for (unsigned idempotent = 0; idempotent < 2; idempotent++) {
        struct comparison *comparison = begin_with("", &UNORDERED);
        comparison_open(comparison, 0, 0, countof(NUMBERS));
        for (size_t i = 0; i < countof(NUMBERS); i++) {
            take(comparison, (int64_t)i, id_of(NUMBERS[i], idempotent != 0));
        }
        assert_int_equal(comparison_close(comparison), idempotent == 0);
        comparison_free(comparison);
    }
}

static void bytes_and_offsets_count(void **state)
{
    (void)state;
    char value[RECORD_BYTES];
    struct comparison *c = begin_with_four("");
    comparison_open(c, 0, 0, 5);
    for (unsigned i = 0; i < 4; i++) {
        take(c, i, id_of(i, true));
    }
    size_t len = record_value(id_of(4, true), RECORD_BYTES, value);
    value[len - 1] ^= 1;
    comparison_take(c, 0, 4, value, len);
    assert_false(comparison_close(c));
    comparison_free(c);

    c = begin_with_four("");
    comparison_open(c, 0, 0, 6);
    for (unsigned i = 0; i < 4; i++) {
        take(c, i, id_of(i, true));
    }
    take(c, 5, id_of(5, true)); /* offset 4 is not there */
    assert_false(comparison_close(c));
    comparison_free(c);
}

static void trimmed_records_may_go(void **state)
{
    (void)state;
    assert_true(CLOSE_WITH(begin_with_four("trim 0 2\n"), 0, 0, 1, 2, 3));
    assert_true(CLOSE_WITH(begin_with_four("trim 0 2\n"), 2, 2, 3));
    assert_false(CLOSE_WITH(begin_with_four("trim 0 2\n"), 3, 3));
    assert_false(CLOSE_WITH(begin_with_four(""), 1, 1, 2, 3));
}

static void cut_records_may_go_and_then_must_not_return(void **state)
{
    (void)state;
    assert_true(CLOSE_WITH(begin_with_four("cut 0 2\n"), 0, 0, 1, 2, 3));
    assert_true(CLOSE_WITH(begin_with_four("cut 0 2\n"), 0, 0, 1));
    assert_false(CLOSE_WITH(begin_with_four("cut 0 2\n"), 0, 0));
    assert_true(CLOSE_WITH(begin_with_four("cut 0 2\ncutdone 0 0\n"), 0, 0, 1));
    assert_true(CLOSE_WITH(begin_with_four("cut 0 2\ncutdone 0 0\n"), 0, 0, 1, 9));
    assert_false(CLOSE_WITH(begin_with_four("cut 0 2\ncutdone 0 0\n"), 0, 0, 1, 2));
}

static void a_line_that_was_cut_short_does_not_count(void **state)
{
    (void)state;
    assert_true(CLOSE_WITH(begin_with_four("0018000000000004 4"), 0, 0, 1, 2, 3));
    assert_true(CLOSE_WITH(begin_with_four("0018"), 0, 0, 1, 2, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_must_be_there),
        cmocka_unit_test(it_must_be_there_once_in_order_in_its_place),
        cmocka_unit_test(plain_producers_may_repeat_but_not_reorder),
        cmocka_unit_test(plain_producers_may_be_allowed_to_reorder),
        cmocka_unit_test(bytes_and_offsets_count),
        cmocka_unit_test(trimmed_records_may_go),
        cmocka_unit_test(cut_records_may_go_and_then_must_not_return),
        cmocka_unit_test(a_line_that_was_cut_short_does_not_count),
    };
    close(mkstemp(path));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
