/* Which partition a key belongs to: the same as in Apache Kafka, for any text. */
#include "../support/test.h"

#include <chronik/coord/coord.h>

/* Expected: abs(key.hashCode()) % 50 in Java. */
static void keys_go_where_kafka_puts_them(void **state)
{
    static const struct {
        const char *key;
        int32_t hash; /* of Java */
    } CASES[] = {
        { "", 0 },
        { "a", 97 },
        { "abc", 96354 },
        { "hello world", 1794106052 },
        { "polygenelubricants", INT32_MIN },
        { "\xc3\xa9", 233 },              /* é */
        { "\xe2\x82\xac", 8364 },         /* € */
        { "\xf0\x9f\x98\x80", 1772899 },  /* a pair of surrogates */
        { "\xff", 0xfffd },               /* no UTF-8 */
    };
    (void)state;
    for (size_t i = 0; i < countof(CASES); i++) {
        int32_t hash = CASES[i].hash;
        int32_t want = hash == INT32_MIN ? 0 : abs(hash) % 50;
        assert_int_equal(coord_partition_of(text_of(CASES[i].key), 50), want);
    }
}

static void damaged_utf8_is_never_read_beyond_its_end(void **state)
{
    (void)state;
    for (int first = 0; first < 256; first++) {
        for (size_t len = 1; len <= 3; len++) {
            char *key = mem_alloc(len);
            memset(key, 0x80, len);
            key[0] = (char)first;
            int32_t partition = coord_partition_of(text_part(key, len), 7);
            assert_true(partition >= 0 && partition < 7);
            free(key);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_go_where_kafka_puts_them),
        cmocka_unit_test(damaged_utf8_is_never_read_beyond_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
