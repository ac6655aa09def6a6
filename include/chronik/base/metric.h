/* Metrics: numbers that live in the structs that own them, and a registry that knows their names.
 *
 * Counting is a plain addition; nothing is computed until somebody asks. Rendering gives the
 * Prometheus text format 0.0.4. Every metric name carries its unit. */
#ifndef CHRONIK_BASE_METRIC_H
#define CHRONIK_BASE_METRIC_H

#include <chronik/base/bytes.h>
#include <chronik/base/list.h>

/* A histogram of durations: bucket i counts values below 2^i microseconds, the last one the rest.
 * Good to a factor of two, 200 bytes, one instruction to find the bucket. */
enum { METRIC_BUCKETS = 24 };

struct metric_histogram {
    uint64_t count[METRIC_BUCKETS];
    uint64_t sum_ns;
};

/* Counts one duration. */
void metric_observe(struct metric_histogram *h, uint64_t ns);

/* The upper bound of the bucket that holds quantile `q` (0 to 1), in nanoseconds; 0 when empty. */
uint64_t metric_quantile(const struct metric_histogram *h, double q);

struct metrics {
    struct list families; /* in order of registration */
};

void metrics_init(struct metrics *metrics);
void metrics_release(struct metrics *metrics);

/* Registration: `value` must outlive the registry. `labels` is ready text, "" or `a="b",c="d"`;
 * several values may share a name, then `help` of the first one counts. */
void metrics_counter(struct metrics *m, const char *name, const char *help, const char *labels,
                     const uint64_t *value);
void metrics_gauge(struct metrics *m, const char *name, const char *help, const char *labels,
                   double (*read)(const void *arg), const void *arg);
void metrics_histogram(struct metrics *m, const char *name, const char *help, const char *labels,
                       const struct metric_histogram *h);

/* A collector writes whole families itself, with the two functions below: for series that come and
 * go, such as one per partition. */
void metrics_collector(struct metrics *m, void (*collect)(struct buf *out, void *arg), void *arg);
void metrics_write_head(struct buf *out, const char *name, const char *type, const char *help);
void metrics_write_value(struct buf *out, const char *name, const char *labels, double value);

/* Appends everything in the text format. */
void metrics_render(const struct metrics *m, struct buf *out);

#endif
