/* The histogram: value v lies in row = its power of two, column = the next 7 bits. */
#include "histogram.h"

#include <stdio.h>

static size_t bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB) {
        return ns;
    }
    unsigned shift = (unsigned)(63 - __builtin_clzll(ns)) - 7;
    size_t at = (size_t)(shift + 1) * HISTOGRAM_SUB + (ns >> shift) - HISTOGRAM_SUB;
    return min_u64(at, HISTOGRAM_BUCKETS - 1);
}

/* The largest value of a bucket. */
static uint64_t top_of(size_t bucket)
{
    if (bucket < HISTOGRAM_SUB) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / HISTOGRAM_SUB) - 1;
    return ((bucket % HISTOGRAM_SUB + HISTOGRAM_SUB + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count[bucket_of(ns)]++;
    h->n++;
    h->sum += ns;
    h->max = max_u64(h->max, ns);
}

uint64_t histogram_at(const struct histogram *h, double percent)
{
    uint64_t want = (uint64_t)((double)h->n * percent / 100.0 + 0.5), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && h->n > 0; i++) {
        seen += h->count[i];
        if (seen >= max_u64(want, 1)) {
            return min_u64(top_of(i), h->max);
        }
    }
    return h->max;
}

void histogram_print(const struct histogram *h, const char *name)
{
    static const struct {
        const char *name;
        double percent;
    } QUANTILES[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p99.9", 99.9 } };
    for (size_t i = 0; i < countof(QUANTILES); i++) {
        printf(" %s%s_us=%.1f", name, QUANTILES[i].name,
               (double)histogram_at(h, QUANTILES[i].percent) / 1e3);
    }
    printf(" %smax_us=%.1f %smean_us=%.1f", name, (double)h->max / 1e3, name,
           h->n > 0 ? (double)h->sum / (double)h->n / 1e3 : 0);
}
