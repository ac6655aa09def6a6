/* The metrics registry and its text format. */
#include <chronik/base/metric.h>

#include <math.h>

enum kind { COUNTER, GAUGE, HISTOGRAM, COLLECTOR };

struct series {
    struct list link;
    char *labels;
    const void *value; /* what it is depends on the family's kind */
    double (*read)(const void *arg);
};

struct family {
    struct list link;
    enum kind kind;
    char *name, *help;
    struct list series;
    void (*collect)(struct buf *out, void *arg);
    void *arg;
};

void metric_observe(struct metric_histogram *h, uint64_t ns)
{
    uint64_t us = ns / 1000;
    unsigned bucket = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);
    h->count[bucket < METRIC_BUCKETS ? bucket : METRIC_BUCKETS - 1]++;
    h->sum_ns += ns;
}

static uint64_t total(const struct metric_histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        n += h->count[i];
    }
    return n;
}

uint64_t metric_quantile(const struct metric_histogram *h, double q)
{
    uint64_t seen = 0, n = total(h);
    double want = q * (double)n;
    for (unsigned i = 0; i < METRIC_BUCKETS && n > 0; i++) {
        seen += h->count[i];
        if ((double)seen >= want && seen > 0) {
            return (UINT64_C(1000) << i);
        }
    }
    return 0;
}

void metrics_init(struct metrics *metrics)
{
    list_init(&metrics->families);
}

void metrics_release(struct metrics *metrics)
{
    struct list *f, *s;
    while ((f = list_pop_front(&metrics->families)) != NULL) {
        struct family *family = container_of(f, struct family, link);
        while ((s = list_pop_front(&family->series)) != NULL) {
            struct series *series = container_of(s, struct series, link);
            free(series->labels);
            free(series);
        }
        free(family->name);
        free(family->help);
        free(family);
    }
}

static struct family *family_new(struct metrics *m, enum kind kind, const char *name,
                                 const char *help)
{
    struct family *family = mem_zalloc(sizeof *family);
    family->kind = kind;
    family->name = mem_strdup(name);
    family->help = mem_strdup(help);
    list_init(&family->series);
    list_push_back(&m->families, &family->link);
    return family;
}

static struct series *add(struct metrics *m, enum kind kind, const char *name, const char *help,
                          const char *labels, const void *value)
{
    struct family *family = NULL;
    list_each (it, &m->families) {
        struct family *f = container_of(it, struct family, link);
        if (f->kind == kind && strcmp(f->name, name) == 0) {
            family = f;
        }
    }
    if (family == NULL) {
        family = family_new(m, kind, name, help);
    }
    struct series *series = mem_zalloc(sizeof *series);
    series->labels = mem_strdup(labels);
    series->value = value;
    list_push_back(&family->series, &series->link);
    return series;
}

void metrics_counter(struct metrics *m, const char *name, const char *help, const char *labels,
                     const uint64_t *value)
{
    add(m, COUNTER, name, help, labels, value);
}

void metrics_gauge(struct metrics *m, const char *name, const char *help, const char *labels,
                   double (*read)(const void *arg), const void *arg)
{
    add(m, GAUGE, name, help, labels, arg)->read = read;
}

void metrics_histogram(struct metrics *m, const char *name, const char *help, const char *labels,
                       const struct metric_histogram *h)
{
    add(m, HISTOGRAM, name, help, labels, h);
}

void metrics_collector(struct metrics *m, void (*collect)(struct buf *out, void *arg), void *arg)
{
    struct family *family = family_new(m, COLLECTOR, "", "");
    family->collect = collect;
    family->arg = arg;
}

void metrics_write_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_write_value(struct buf *out, const char *name, const char *labels, double value)
{
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    if (value == floor(value) && fabs(value) < 1e15) {
        buf_printf(out, "%s%s%s%s %.0f\n", name, open, labels, close, value);
    } else {
        buf_printf(out, "%s%s%s%s %.9g\n", name, open, labels, close, value);
    }
}

static void write_histogram(struct buf *out, const char *name, const char *labels,
                            const struct metric_histogram *h)
{
    const char *comma = labels[0] ? "," : "";
    const char *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    uint64_t seen = 0;
    for (unsigned i = 0; i + 1 < METRIC_BUCKETS; i++) {
        seen += h->count[i];
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                   ldexp(1e-6, (int)i), (unsigned long long)seen);
    }
    uint64_t all = total(h);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
               (unsigned long long)all);
    buf_printf(out, "%s_sum%s%s%s %.9g\n", name, open, labels, close, (double)h->sum_ns / 1e9);
    buf_printf(out, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)all);
}

static void render_family(const struct family *family, struct buf *out)
{
    static const char *const TYPES[] = { "counter", "gauge", "histogram", "" };
    metrics_write_head(out, family->name, TYPES[family->kind], family->help);
    list_each (it, &family->series) {
        const struct series *s = container_of(it, struct series, link);
        if (family->kind == COUNTER) {
            metrics_write_value(out, family->name, s->labels, (double)*(const uint64_t *)s->value);
        } else if (family->kind == GAUGE) {
            metrics_write_value(out, family->name, s->labels, s->read(s->value));
        } else {
            write_histogram(out, family->name, s->labels, s->value);
        }
    }
}

void metrics_render(const struct metrics *m, struct buf *out)
{
    list_each (it, &m->families) {
        const struct family *family = container_of(it, struct family, link);
        if (family->kind == COLLECTOR) {
            family->collect(out, family->arg);
        } else {
            render_family(family, out);
        }
    }
}
