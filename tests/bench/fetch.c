/* Mode fetch: reads partitions from their start to the end, then again (--loop 1), or waits at the
 * end for what comes (--loop 0). One fetch in flight per connection.
 *
 * With --ids 1 the ids that mode produce wrote are checked: within a partition the ids of each
 * connection that wrote to it count up by one. */
#include "loadgen.h"

#include <stdio.h>

enum { FETCH_VERSION = 11, LIST_VERSION = 5, MAX_WAIT_MS = 500, SOURCES = 1024 };

struct fetching {
    const struct options *options;
    struct window window;
    struct poller poller;
    struct histogram latency;
    uint64_t bytes, records; /* in the window */
    uint64_t checked, id_errors;
    struct arena arena;
    struct codec_scratch scratch;
};

struct consumer {
    struct fetching *fetching;
    struct conn conn;
    int32_t partition;
    int64_t start, offset;
    uint64_t sent_ns;
    uint64_t *last_id; /* by connection that wrote it; only in the first pass */
    bool again;
};

static void send_fetch(struct consumer *c)
{
    const struct options *o = c->fetching->options;
    struct fetch_request_partition partition = fetch_request_partition_default;
    struct fetch_request_topic topic = fetch_request_topic_default;
    struct fetch_request request = fetch_request_default;
    partition.partition_index = c->partition;
    partition.fetch_offset = c->offset;
    partition.partition_max_bytes = (int32_t)o->max_bytes;
    topic.name = text_of(o->topic);
    topic.partitions = &partition;
    topic.n_partitions = 1;
    request.max_wait_ms = MAX_WAIT_MS;
    request.min_bytes = 1;
    request.max_bytes = (int32_t)o->max_bytes;
    request.topics = &topic;
    request.n_topics = 1;
    struct buf frame = client_frame(&wire_fetch, FETCH_VERSION, &request);
    store_be32(frame.data + FRAME_CORRELATION, (uint32_t)c->conn.correlation++);
    buf_put(&c->conn.out, frame.data, frame.len);
    buf_release(&frame);
    c->sent_ns = now_ns();
}

static void check_ids(struct consumer *c, const struct batch *batch)
{
    struct fetching *f = c->fetching;
    struct record_iter it;
    struct record record;
    if (record_iter_init(&it, batch, MIB(64), &f->scratch) < 0) {
        fail("fetch: a batch cannot be opened");
    }
    while (record_iter_next(&it, &record)) {
        uint64_t id = record.value.len >= 8 ? load_be64(record.value.data) : 0;
        uint64_t source = (id >> 40) % SOURCES;
        if (record.offset < c->offset) {
            continue; /* the batch began earlier */
        }
        if (c->last_id[source] != 0 && id != c->last_id[source] + 1) {
            f->id_errors++;
        }
        c->last_id[source] = id;
        f->checked++;
    }
    if (it.next < it.n) {
        fail("fetch: a batch is damaged");
    }
}

/* Steps over the whole batches; the last one may be cut off. */
static void take_records(struct consumer *c, struct bytes records)
{
    struct fetching *f = c->fetching;
    struct batch batch;
    while (records.len > 0 && batch_parse(records, &batch) == KAFKA_NONE) {
        if (f->options->ids && !c->again) {
            check_ids(c, &batch);
        }
        c->offset = batch_last_offset(&batch) + 1;
        records = bytes_part(records, batch.raw.len, records.len - batch.raw.len);
        if (window_open(&f->window)) {
            f->bytes += batch.raw.len;
            f->records += (uint64_t)batch.count;
        }
    }
}

static void on_answer(struct conn *conn, struct bytes frame)
{
    struct consumer *c = conn->owner;
    struct fetching *f = c->fetching;
    struct fetch_response response;
    client_decode(&wire_fetch, FETCH_VERSION, frame, &f->arena, &response);
    if (response.n_topics != 1 || response.topics[0].n_partitions != 1) {
        fail("fetch: the response has no partition");
    }
    const struct fetch_response_partition *p = &response.topics[0].partitions[0];
    if (p->error != KAFKA_NONE) {
        fail("fetch: %s", kafka_error_name((enum kafka_error)p->error));
    }
    if (window_open(&f->window)) {
        histogram_add(&f->latency, now_ns() - c->sent_ns);
    }
    int64_t before = c->offset;
    take_records(c, p->records.view);
    if (f->options->loop && c->offset >= p->high_watermark && c->offset > before) {
        c->offset = c->start;
        c->again = true;
    }
    if (!f->window.ended) {
        send_fetch(c);
    }
}

static int64_t log_start(struct conn *conn, const struct options *o, int32_t index,
                         struct arena *arena)
{
    struct list_offsets_request_partition partition = list_offsets_request_partition_default;
    struct list_offsets_request_topic topic = list_offsets_request_topic_default;
    struct list_offsets_request request = list_offsets_request_default;
    struct list_offsets_response response;
    partition.partition_index = index;
    partition.timestamp = -2; /* the earliest */
    topic.name = text_of(o->topic);
    topic.partitions = &partition;
    topic.n_partitions = 1;
    request.replica_id = -1;
    request.topics = &topic;
    request.n_topics = 1;
    conn_call(conn, &wire_list_offsets, LIST_VERSION, &request, arena, &response);
    enum kafka_error error = (enum kafka_error)response.topics[0].partitions[0].error;
    if (error != KAFKA_NONE) {
        fail("list offsets: %s", kafka_error_name(error));
    }
    return response.topics[0].partitions[0].offset;
}

static void open_consumer(struct fetching *f, struct consumer *c, int64_t i)
{
    const struct options *o = f->options;
    struct sockaddr_in at = client_address(o->connect);
    c->fetching = f;
    c->partition = (int32_t)(i % o->partitions);
    c->last_id = mem_zalloc_array(SOURCES, sizeof *c->last_id);
    conn_open(&c->conn, &at);
    c->offset = c->start = log_start(&c->conn, o, c->partition, &f->arena);
    c->conn.owner = c;
    poller_add(&f->poller, &c->conn);
    send_fetch(c);
    poller_flush(&f->poller, &c->conn);
}

static void print_result(const struct fetching *f)
{
    double seconds = window_seconds(&f->window), bytes = (double)f->bytes;
    printf("mode=fetch mb_s=%.2f records_s=%.0f cpu_s_gb=%.3f", bytes / seconds / 1e6,
           (double)f->records / seconds,
           bytes > 0 ? (double)f->window.broker_ns / 1e9 / (bytes / 1e9) : 0);
    histogram_print(&f->latency, "");
    window_print(&f->window);
    printf(" checked=%lu id_errors=%lu\n", (unsigned long)f->checked,
           (unsigned long)f->id_errors);
}

void run_fetch(const struct options *o)
{
    struct fetching *f = mem_zalloc(sizeof *f);
    struct consumer *consumers = mem_zalloc_array((size_t)o->connections, sizeof *consumers);
    f->options = o;
    arena_init(&f->arena, 0);
    poller_open(&f->poller);
    for (int64_t i = 0; i < o->connections; i++) {
        open_consumer(f, &consumers[i], i);
    }
    window_plan(&f->window, o);
    while (!f->window.ended) {
        poller_turn(&f->poller, window_next(&f->window), on_answer);
        window_tick(&f->window, now_ns());
    }
    print_result(f);
    for (int64_t i = 0; i < o->connections; i++) {
        conn_close(&consumers[i].conn);
        free(consumers[i].last_id);
    }
    codec_scratch_release(&f->scratch);
    arena_release(&f->arena);
    free(consumers);
    free(f);
}
