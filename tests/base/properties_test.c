/* Java's properties files. */
#include "../support/test.h"

#include <chronik/base/properties.h>

/* Reads `file` and writes each entry as "line:[key][value]". */
static void expect(const char *file, const char *expected)
{
    struct properties p = { .rest = text_of(file) };
    struct arena arena;
    struct text key, value;
    struct buf out = { 0 };
    arena_init(&arena, 0);
    while (properties_next(&p, &arena, &key, &value)) {
        buf_printf(&out, "%u:[%.*s][%.*s]", p.line, TEXT_ARG(key), TEXT_ARG(value));
    }
    buf_put_u8(&out, 0);
    assert_string_equal((char *)out.data, expected);
    buf_release(&out);
    arena_release(&arena);
}

static void separators_are_equals_colon_or_blanks(void **state)
{
    (void)state;
    expect("a=1\nb = 2\nc: 3\nd 4\n  e\t=\t5", "1:[a][1]2:[b][2]3:[c][3]4:[d][4]5:[e][5]");
    expect("a==1\nb= : 2\nc = =\n=v", "1:[a][=1]2:[b][: 2]3:[c][=]4:[][v]");
    expect("alone\nempty=\n", "1:[alone][]2:[empty][]");
}

static void comments_and_blank_lines_do_not_count(void **state)
{
    (void)state;
    expect("# a=1\r\n\r\n  ! b=2\n\n c=3 # kept\n", "5:[c][3 # kept]");
    expect("# ends in a backslash \\\na=1", "2:[a][1]");
    expect("", "");
}

static void a_backslash_joins_lines(void **state)
{
    (void)state;
    expect("a=1,\\\n   2,\\\r\n\t3\nb=4", "1:[a][1,2,3]4:[b][4]");
    expect("a=1\\\\\nb=2", "1:[a][1\\]2:[b][2]");
    expect("a=1\\", "1:[a][1]");
    expect("\\", "1:[][]");
}

static void escapes_are_undone(void **state)
{
    (void)state;
    expect("a\\=b\\:c\\ d=\\ e\\tf", "1:[a=b:c d][ e\tf]");
    expect("u=\\u0041\\u00e9\\u20ac\\u12", "1:[u][A\xc3\xa9\xe2\x82\xac"
                                           "u12]");
}

static void what_is_put_is_read_back(void **state)
{
    (void)state;
    const char *values[] = { "",         "plain", " leading", "back\\slash", "two\nlines\r",
                             "a=b:c #d", "\t" };
    struct buf out = { 0 };
    for (size_t i = 0; i < countof(values); i++) {
        properties_put(&out, "some.key", text_of(values[i]));
    }
    struct properties p = { .rest = text_part((char *)out.data, out.len) };
    struct arena arena;
    struct text key, value;
    arena_init(&arena, 0);
    for (size_t i = 0; i < countof(values); i++) {
        assert_true(properties_next(&p, &arena, &key, &value));
        assert_true(text_is(key, "some.key"));
        assert_true(text_is(value, values[i]));
    }
    assert_false(properties_next(&p, &arena, &key, &value));
    arena_release(&arena);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separators_are_equals_colon_or_blanks),
        cmocka_unit_test(comments_and_blank_lines_do_not_count),
        cmocka_unit_test(a_backslash_joins_lines),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(what_is_put_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
