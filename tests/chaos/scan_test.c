/* The reader of JSON. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#include "scan.h"

static struct scan of(const char *text)
{
    return scan_of(text_of(text));
}

static void whole_numbers_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t n;
    } GOOD[] = { { "0", 0 },
                 { " -17 ", -17 },
                 { "9223372036854775807", INT64_MAX },
                 { "-9223372036854775807", -INT64_MAX } };
    static const char *const BAD[] = { "", "-", "x", "1x", "1.5", "9223372036854775808",
                                       "99999999999999999999999", "\"1\"" };
    (void)state;
    for (size_t i = 0; i < countof(GOOD); i++) {
        struct scan s = of(GOOD[i].text);
        assert_int_equal(scan_i64(&s), GOOD[i].n);
        assert_true(scan_is_done(&s));
    }
    for (size_t i = 0; i < countof(BAD); i++) {
        struct scan s = of(BAD[i]);
        scan_i64(&s);
        assert_false(scan_is_done(&s));
    }
}

static void arrays_are_read_item_by_item(void **state)
{
    struct scan s = of("[[1, 2],[ ],[3]]");
    int64_t sum = 0, n = 0;
    (void)state;
    scan_open(&s, '[');
    while (scan_more(&s, ']')) {
        n++;
        scan_open(&s, '[');
        while (scan_more(&s, ']')) {
            sum = sum * 10 + scan_i64(&s);
        }
    }
    assert_true(scan_is_done(&s));
    assert_int_equal(n, 3);
    assert_int_equal(sum, 123);
}

static void broken_arrays_end_every_loop(void **state)
{
    static const char *const BAD[] = { "[", "[1", "[1,", "[1 2]", "[1,]", "[,1]", "1]", "[1]]" };
    (void)state;
    for (size_t i = 0; i < countof(BAD); i++) {
        struct scan s = of(BAD[i]);
        scan_open(&s, '[');
        while (scan_more(&s, ']')) {
            scan_i64(&s);
        }
        assert_false(scan_is_done(&s));
    }
}

static void objects_are_read_member_by_member(void **state)
{
    struct scan s = of("{\"a\": null, \"b\":true,\"c\":false}");
    unsigned seen = 0;
    (void)state;
    scan_open(&s, '{');
    while (scan_more(&s, '}')) {
        struct text name = scan_name(&s);
        if (text_is(name, "a")) {
            seen += scan_null(&s) ? 1 : 0;
        } else {
            seen += scan_bool(&s) == text_is(name, "b") ? 10 : 0;
        }
    }
    assert_true(scan_is_done(&s));
    assert_int_equal(seen, 21);
}

static void strings_keep_their_escapes(void **state)
{
    struct scan s = of("\"a\\\"b\\\\\"");
    (void)state;
    assert_true(text_is(scan_string(&s), "a\\\"b\\\\"));
    assert_true(scan_is_done(&s));
    s = of("\"a\\\"");
    scan_string(&s);
    assert_false(scan_is_done(&s));
}

static void any_value_can_be_gone_over(void **state)
{
    static const char *const VALUES[] = { "1.5e3", "\"]\"", "[1,{\"a\":[\"}\"]}]", "null", "{}" };
    static const char *const BAD[] = { "", ",", "]", "[", "[\"]", "{\"a\":1" };
    (void)state;
    for (size_t i = 0; i < countof(VALUES); i++) {
        struct scan s = of(VALUES[i]);
        assert_true(text_is(scan_value(&s), VALUES[i]));
        assert_true(scan_is_done(&s));
    }
    for (size_t i = 0; i < countof(BAD); i++) {
        struct scan s = of(BAD[i]);
        scan_value(&s);
        assert_false(scan_is_done(&s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_read),
        cmocka_unit_test(arrays_are_read_item_by_item),
        cmocka_unit_test(broken_arrays_end_every_loop),
        cmocka_unit_test(objects_are_read_member_by_member),
        cmocka_unit_test(strings_keep_their_escapes),
        cmocka_unit_test(any_value_can_be_gone_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
