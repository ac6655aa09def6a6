/* The error table: no gaps, no doubles, and what is not in it. */
#include "../support/test.h"

#include <chronik/wire/error.h>

static void every_code_has_its_name_and_a_text(void **state)
{
    (void)state;
#define X(code, name, retriable, text)                                                             \
    assert_int_equal(KAFKA_##name, code);                                                          \
    assert_string_equal(kafka_error_name((enum kafka_error)(code)), #name);                        \
    assert_string_equal(kafka_error_text((enum kafka_error)(code)), text);                         \
    assert_int_equal(kafka_error_retriable((enum kafka_error)(code)), retriable);
#include <chronik/wire/error.def>
#undef X
}

static void codes_have_no_gaps(void **state)
{
    (void)state;
    int next = KAFKA_UNKNOWN_SERVER_ERROR;
#define X(code, name, retriable, text) assert_int_equal(code, next++);
#include <chronik/wire/error.def>
#undef X
    assert_int_equal(next, 137); /* Kafka 4.4 ends with 136 */
}

static void texts_are_one_sentence_without_a_full_stop(void **state)
{
    (void)state;
#define X(code, name, retriable, text)                                                             \
    assert_true(sizeof text > 5 && text[sizeof text - 2] != '.' && strchr(text, '\n') == NULL);
#include <chronik/wire/error.def>
#undef X
}

static void unknown_codes_are_named_so_and_never_retriable(void **state)
{
    (void)state;
    const int unknown[] = { -2, 137, INT16_MAX, INT16_MIN };
    for (size_t i = 0; i < countof(unknown); i++) {
        enum kafka_error e = (enum kafka_error)unknown[i];
        assert_string_equal(kafka_error_name(e), "UNKNOWN_ERROR_CODE");
        assert_false(kafka_error_retriable(e));
        assert_non_null(kafka_error_text(e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_name_and_a_text),
        cmocka_unit_test(codes_have_no_gaps),
        cmocka_unit_test(texts_are_one_sentence_without_a_full_stop),
        cmocka_unit_test(unknown_codes_are_named_so_and_never_retriable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
