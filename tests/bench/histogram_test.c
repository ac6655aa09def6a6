/* The histogram of the load generator: quantiles are good to 1 %, whatever the values. */
#include "../support/test.h"
#include "histogram.h"


static void quantiles_of_a_straight_line(void **state)
{
    (void)state;
    struct histogram *h = mem_zalloc(sizeof *h);
    for (uint64_t i = 1; i <= 100000; i++) {
        histogram_add(h, i * 1000);
    }
    const double percents[] = { 1, 50, 90, 99, 99.9, 100 };
    for (size_t i = 0; i < countof(percents); i++) {
        double want = percents[i] * 1e6, got = (double)histogram_at(h, percents[i]);
        assert_true(got >= want * 0.999 && got <= want * 1.01);
    }
    assert_int_equal(h->n, 100000);
    assert_int_equal(h->max, 100000000);
    free(h);
}

static void one_value_is_every_quantile(void **state)
{
    (void)state;
    const uint64_t values[] = { 0, 1, 127, 128, 129, 255, 256, 12345, UINT64_C(1) << 40 };
    for (size_t i = 0; i < countof(values); i++) {
        struct histogram *h = mem_zalloc(sizeof *h);
        histogram_add(h, values[i]);
        assert_int_equal(histogram_at(h, 0), values[i]);
        assert_int_equal(histogram_at(h, 50), values[i]);
        assert_int_equal(histogram_at(h, 100), values[i]);
        free(h);
    }
}

static void an_empty_histogram_gives_zero(void **state)
{
    (void)state;
    struct histogram *h = mem_zalloc(sizeof *h);
    assert_int_equal(histogram_at(h, 99), 0);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_of_a_straight_line),
        cmocka_unit_test(one_value_is_every_quantile),
        cmocka_unit_test(an_empty_histogram_gives_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
