/* Latencies, good to 1 %: buckets of equal width inside each power of two, as in HdrHistogram. */
#ifndef CHRONIK_TESTS_BENCH_HISTOGRAM_H
#define CHRONIK_TESTS_BENCH_HISTOGRAM_H

#include <chronik/base/mem.h>

enum { HISTOGRAM_SUB = 128, HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 40 };

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t n, max, sum; /* values in ns */
};

void histogram_add(struct histogram *h, uint64_t ns);

/* The value that `percent` of all do not exceed; 0 when there is none. */
uint64_t histogram_at(const struct histogram *h, double percent);

/* Prints " NAMEp50_us=… NAMEp99_us=… …". */
void histogram_print(const struct histogram *h, const char *name);

#endif
