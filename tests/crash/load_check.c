/* Reads every partition from its start to its end and compares with the acknowledgement log.
 *
 *   lost        an acknowledged record is not there
 *   misplaced   an acknowledged record is not at the offset that was acknowledged
 *   repeated    a record of an idempotent producer is there twice, or behind a later one
 *   reordered   a record of a plain producer is there for the first time behind a later one
 *   damaged     a record's bytes are not what was sent
 *   gaps        offsets that do not follow each other
 *
 * What was sent and not acknowledged may be there or not. */
#include "load.h"

#include <chronik/base/map.h>

#include <inttypes.h>
#include <stdio.h>

enum { EXAMPLES_MAX = 5, STALL_MS = 20000 };

enum fault { LOST, MISPLACED, REPEATED, REORDERED, DAMAGED, GAP, FAULTS };

static const char *const FAULT_NAME[FAULTS] = {
    [LOST] = "lost",           [MISPLACED] = "misplaced", [REPEATED] = "repeated",
    [REORDERED] = "reordered", [DAMAGED] = "damaged",     [GAP] = "gaps",
};

struct acked {
    struct map_node node;
    uint64_t id;
    int64_t offset; /* -1: not told */
    bool met;       /* somewhere */
    bool in_place;
};

/* The last record seen of one producer in one partition. */
struct progress {
    struct map_node node;
    uint64_t stream; /* an id without its number */
    int64_t last;
};

struct comparison {
    const struct load_options *options;
    struct map acked, progress;
    int64_t n_acked, n_read, faults[FAULTS];
    int64_t next[LOAD_PARTITIONS_MAX]; /* by partition: the offset expected next */
    int64_t start[LOAD_PARTITIONS_MAX], end[LOAD_PARTITIONS_MAX];
    int open; /* partitions that are not at their end yet */
};

static bool is_acked(const struct map_node *node, const void *id)
{
    return container_of(node, struct acked, node)->id == *(const uint64_t *)id;
}

static bool is_stream(const struct map_node *node, const void *stream)
{
    return container_of(node, struct progress, node)->stream == *(const uint64_t *)stream;
}

static void found(struct comparison *c, enum fault fault, uint64_t id, int64_t offset)
{
    if (c->faults[fault]++ < EXAMPLES_MAX) {
        struct load_id parts = load_id_unpack(id);
        printf("%s: record %016" PRIx64 " (partition %u, producer %u%s, number %" PRIu32
               ") at offset %" PRId64 "\n",
               FAULT_NAME[fault], id, parts.partition, parts.producer,
               parts.idempotent ? ", idempotent" : "", parts.n, offset);
    }
}

static struct acked *find_acked(struct comparison *c, uint64_t id)
{
    struct map_node *node = map_find(&c->acked, hash_u64(0, id), is_acked, &id);
    return node != NULL ? container_of(node, struct acked, node) : NULL;
}

/* Reads the acknowledgement log. A last line without its end does not count: it was not complete
 * when the writer was killed. */
static bool read_acked(struct comparison *c)
{
    char line[64];
    FILE *file = c->options->acked != NULL ? fopen(c->options->acked, "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "crash_load: no acknowledgement log\n");
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
        char *rest;
        int64_t offset;
        uint64_t id = strtoull(line, &rest, 16);
        if (rest != line + LOAD_ID_DIGITS || !text_to_i64(text_trim(text_of(rest)), &offset)) {
            fprintf(stderr, "crash_load: not a line of an acknowledgement log: %s", line);
            return false;
        }
        struct acked *acked = find_acked(c, id);
        if (acked == NULL) {
            acked = mem_zalloc(sizeof *acked);
            acked->id = id;
            map_insert(&c->acked, &acked->node, hash_u64(0, id));
            c->n_acked++;
        }
        acked->offset = offset;
    }
    fclose(file);
    return true;
}

static struct progress *find_progress(struct comparison *c, uint64_t id)
{
    uint64_t stream = id >> 32;
    struct map_node *node = map_find(&c->progress, hash_u64(0, stream), is_stream, &stream);
    if (node != NULL) {
        return container_of(node, struct progress, node);
    }
    struct progress *progress = mem_zalloc(sizeof *progress);
    *progress = (struct progress){ .stream = stream, .last = -1 };
    map_insert(&c->progress, &progress->node, hash_u64(0, stream));
    return progress;
}

/* A plain producer may repeat a record, but not bring one for the first time behind a later one. */
static void check_order(struct comparison *c, uint64_t id, int64_t offset, bool first_time)
{
    struct load_id parts = load_id_unpack(id);
    struct progress *progress = find_progress(c, id);
    if ((int64_t)parts.n > progress->last) {
        progress->last = parts.n;
    } else if (parts.idempotent) {
        found(c, REPEATED, id, offset);
    } else if (first_time) {
        found(c, REORDERED, id, offset);
    }
}

static void take(struct comparison *c, const rd_kafka_message_t *m)
{
    uint64_t id = 0;
    c->n_read++;
    if (m->offset != c->next[m->partition]) {
        found(c, GAP, (uint64_t)m->partition << 32, c->next[m->partition]);
    }
    c->next[m->partition] = m->offset + 1;
    if (!load_value_check(m->payload, m->len, (size_t)c->options->record_bytes, &id) ||
        load_id_unpack(id).partition != (unsigned)m->partition) {
        found(c, DAMAGED, id, m->offset);
        return;
    }
    struct acked *acked = find_acked(c, id);
    check_order(c, id, m->offset, acked != NULL && !acked->met);
    if (acked != NULL) {
        acked->met = true;
        acked->in_place = acked->in_place || acked->offset < 0 || acked->offset == m->offset;
    }
}

/* What was acknowledged above the log start is in its place. */
static void check_places(struct comparison *c)
{
    map_each (node, &c->acked) {
        struct acked *acked = container_of(node, struct acked, node);
        struct load_id parts = load_id_unpack(acked->id);
        if (!acked->in_place && acked->offset >= c->start[parts.partition]) {
            found(c, acked->met ? MISPLACED : LOST, acked->id, acked->offset);
        }
    }
}

/* Learns where each partition starts and ends, and begins to read it. */
static bool open_partitions(struct comparison *c, rd_kafka_t *rk)
{
    const struct load_options *o = c->options;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(o->partitions);
    for (int i = 0; i < o->partitions; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(rk, o->topic, i, &c->start[i], &c->end[i], STALL_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "crash_load: ends of partition %d: %s\n", i, rd_kafka_err2name(code));
            rd_kafka_topic_partition_list_destroy(list);
            return false;
        }
        c->next[i] = c->start[i];
        if (c->end[i] > c->start[i]) {
            c->open++;
            rd_kafka_topic_partition_list_add(list, o->topic, i)->offset = c->start[i];
        }
    }
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return true;
}

static bool read_partitions(struct comparison *c, rd_kafka_t *rk)
{
    while (c->open > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, STALL_MS);
        if (m == NULL) {
            fprintf(stderr, "crash_load: no record in %d ms, %d partitions not at their end\n",
                    STALL_MS, c->open);
            return false;
        }
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset < c->end[m->partition]) {
            take(c, m);
            c->open -= m->offset == c->end[m->partition] - 1;
        } else if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "crash_load: reading: %s\n", rd_kafka_message_errstr(m));
        }
        rd_kafka_message_destroy(m);
    }
    return true;
}

static void forget(struct comparison *c)
{
    map_each (node, &c->acked) {
        free(container_of(node, struct acked, node));
    }
    map_each (node, &c->progress) {
        free(container_of(node, struct progress, node));
    }
    map_release(&c->acked);
    map_release(&c->progress);
}

/* Prints the counts; true when nothing is wrong. */
static bool report(const struct comparison *c)
{
    bool ok = true;
    printf("acknowledged %" PRId64 " read %" PRId64, c->n_acked, c->n_read);
    for (unsigned i = 0; i < FAULTS; i++) {
        printf(" %s %" PRId64, FAULT_NAME[i], c->faults[i]);
        ok = ok && c->faults[i] == 0;
    }
    printf("\n");
    return ok;
}

int load_check(const struct load_options *options)
{
    static const struct load_setting SETTINGS[] = {
        { "group.id", "crash_load" },  { "enable.auto.commit", "false" },
        { "check.crcs", "true" },      { "auto.offset.reset", "error" },
        { "fetch.wait.max.ms", "50" }, { NULL, NULL },
    };
    struct comparison c = { .options = options };
    map_init(&c.acked);
    map_init(&c.progress);
    if (!read_acked(&c)) {
        return 2;
    }
    rd_kafka_t *rk = load_client(options, RD_KAFKA_CONSUMER, SETTINGS, NULL);
    rd_kafka_poll_set_consumer(rk);
    int code = 2;
    if (open_partitions(&c, rk) && read_partitions(&c, rk)) {
        check_places(&c);
        code = report(&c) ? 0 : 1;
    }
    rd_kafka_destroy(rk);
    forget(&c);
    return code;
}
