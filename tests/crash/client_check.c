/* Reads every partition from its start to its end and compares with the acknowledgement log. */
#include "client.h"
#include "compare.h"

#include <stdio.h>

struct reader {
    const struct load_options *options;
    struct comparison *comparison;
    rd_kafka_t *rk;
    int64_t end[LOAD_PARTITIONS_MAX]; /* by partition */
    int open;                         /* partitions that are not at their end yet */
};

/* Learns where a partition starts and ends; it is added to `list` when there is something to read.
 * */
static bool open_partition(struct reader *r, int partition, rd_kafka_topic_partition_list_t *list)
{
    int64_t start, *end = &r->end[partition];
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
        r->rk, r->options->topic, partition, &start, end, r->options->timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "ends of partition %d: %s\n", partition, rd_kafka_err2name(code));
        return false;
    }
    comparison_open(r->comparison, (unsigned)partition, start, *end);
    if (*end > start) {
        r->open++;
        rd_kafka_topic_partition_list_add(list, r->options->topic, partition)->offset = start;
    }
    return true;
}

static bool open_partitions(struct reader *r)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(r->options->partitions);
    bool ok = true;
    for (int i = 0; ok && i < r->options->partitions; i++) {
        ok = open_partition(r, i, list);
    }
    rd_kafka_assign(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

static void take(struct reader *r, const rd_kafka_message_t *m)
{
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "reading: %s\n", rd_kafka_message_errstr(m));
    } else if (m->offset < r->end[m->partition]) {
        comparison_take(r->comparison, (unsigned)m->partition, m->offset, m->payload, m->len);
        r->open -= m->offset == r->end[m->partition] - 1;
    }
}

static bool read_partitions(struct reader *r)
{
    while (r->open > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, r->options->timeout_ms);
        if (m == NULL) {
            fprintf(stderr, "no record in %d ms, %d partitions not at their end\n",
                    r->options->timeout_ms, r->open);
            return false;
        }
        take(r, m);
        rd_kafka_message_destroy(m);
    }
    return true;
}

int client_check(const struct load_options *options)
{
    static const struct client_setting SETTINGS[] = {
        { "group.id", "crash_load" },  { "enable.auto.commit", "false" },
        { "check.crcs", "true" },      { "auto.offset.reset", "error" },
        { "fetch.wait.max.ms", "50" }, { NULL, NULL },
    };
    struct reader r = { .options = options, .comparison = comparison_new(options) };
    if (r.comparison == NULL) {
        return 2;
    }
    r.rk = client_new(options, RD_KAFKA_CONSUMER, SETTINGS, NULL);
    rd_kafka_poll_set_consumer(r.rk);
    int code = 2;
    if (open_partitions(&r) && read_partitions(&r)) {
        code = comparison_close(r.comparison) ? 0 : 1;
    }
    rd_kafka_destroy(r.rk);
    comparison_free(r.comparison);
    return code;
}
