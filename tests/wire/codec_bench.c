/* How long the codec takes for what a broker does most: codec_bench [ROUNDS]
 *
 *   produce  decode a Produce request with one record batch, encode the response
 *   fetch    decode a Fetch request for one partition, encode the response around records
 *   metadata encode a Metadata response of 1,000 topics with 10 partitions each
 *
 * Prints nanoseconds for each round. Count instructions with
 * `valgrind --tool=callgrind --toggle-collect=produce codec_bench 1000`. */
#include <stdio.h>
#include <time.h>

#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>

struct bench {
    struct arena arena;
    struct bytes request; /* a frame without its length */
    struct blob *records;
};

static struct bytes flatten(struct chain *chain)
{
    uint8_t *data = mem_alloc(chain->len);
    chain_copy(chain, data);
    struct bytes bytes = bytes_of(data + FRAME_PREFIX, chain->len - FRAME_PREFIX);
    chain_release(chain);
    return bytes;
}

/* ---- produce ---------------------------------------------------------------------------------*/

static struct bytes produce_request(const struct blob *records)
{
    struct produce_request_partition partition = { .partition_index = 3,
                                                   .records.view =
                                                       bytes_of(records->data, records->len) };
    struct produce_request_topic topic = { .partitions = &partition, .n_partitions = 1 };
    struct produce_request r = produce_request_default;
    struct request_header header = { 0, 13, 1, text_of("bench-producer-1") };
    struct chain chain = { 0 };

    topic.name = text_of("");
    topic.topic_id.bytes[3] = 9;
    r.acks = -1;
    r.timeout_ms = 30000;
    r.topics = &topic;
    r.n_topics = 1;
    frame_put_request(&chain, &wire_produce, &header, &r);
    return flatten(&chain);
}

__attribute__((noinline)) static void produce(struct bench *b)
{
    struct request_header header;
    struct bytes body;
    struct produce_request r;
    struct chain out = { 0 };

    check(frame_parse(b->request, &wire_produce, &header, &body).result == WIRE_OK);
    check(wire_decode(wire_produce.request, header.api_version, true, body, &b->arena, &r, NULL)
              .result == WIRE_OK);

    struct produce_response_topic *topic = arena_alloc(&b->arena, sizeof *topic);
    struct produce_response_partition *partition = arena_alloc(&b->arena, sizeof *partition);
    struct produce_response reply = produce_response_default;
    *partition = produce_response_partition_default;
    partition->partition_index = r.topics[0].partitions[0].partition_index;
    partition->base_offset = 12345;
    partition->log_start_offset = 0;
    *topic = produce_response_topic_default;
    topic->topic_id = r.topics[0].topic_id;
    topic->partitions = partition;
    topic->n_partitions = 1;
    reply.topics = topic;
    reply.n_topics = 1;
    frame_put_response(&out, &wire_produce, header.api_version, header.correlation_id, &reply);
    chain_release(&out);
    arena_reset(&b->arena);
}

/* ---- fetch -----------------------------------------------------------------------------------*/

static struct bytes fetch_request(void)
{
    struct fetch_request_partition partition = fetch_request_partition_default;
    struct fetch_request_topic topic = { .partitions = &partition, .n_partitions = 1 };
    struct fetch_request r = fetch_request_default;
    struct request_header header = { 1, 17, 1, text_of("bench-consumer-1") };
    struct chain chain = { 0 };

    partition.fetch_offset = 1000;
    partition.partition_max_bytes = 1 << 20;
    topic.name = text_of("");
    r.max_wait_ms = 500;
    r.topics = &topic;
    r.n_topics = 1;
    frame_put_request(&chain, &wire_fetch, &header, &r);
    return flatten(&chain);
}

__attribute__((noinline)) static void fetch(struct bench *b)
{
    struct request_header header;
    struct bytes body;
    struct fetch_request r;
    struct chain records = { 0 }, out = { 0 };

    check(frame_parse(b->request, &wire_fetch, &header, &body).result == WIRE_OK);
    check(wire_decode(wire_fetch.request, header.api_version, true, body, &b->arena, &r, NULL)
              .result == WIRE_OK);
    chain_add(&records, b->records, bytes_of(b->records->data, b->records->len));

    struct fetch_response_partition partition = fetch_response_partition_default;
    struct fetch_response_topic topic = fetch_response_topic_default;
    struct fetch_response reply = fetch_response_default;
    partition.high_watermark = 5000;
    partition.records.chain = &records;
    topic.topic_id = r.topics[0].topic_id;
    topic.partitions = &partition;
    topic.n_partitions = 1;
    reply.topics = &topic;
    reply.n_topics = 1;
    frame_put_response(&out, &wire_fetch, header.api_version, header.correlation_id, &reply);
    chain_release(&out);
    arena_reset(&b->arena);
}

/* ---- metadata --------------------------------------------------------------------------------*/

enum { TOPICS = 1000, PARTITIONS = 10 };

__attribute__((noinline)) static void metadata(struct bench *b)
{
    int32_t nodes[3] = { 1, 2, 3 };
    struct metadata_response_topic *topics = arena_zalloc_array(&b->arena, TOPICS, sizeof *topics);
    struct metadata_response_partition *partitions =
        arena_zalloc_array(&b->arena, PARTITIONS, sizeof *partitions);
    struct metadata_response reply = metadata_response_default;
    struct chain out = { 0 };

    for (int i = 0; i < PARTITIONS; i++) {
        partitions[i] = metadata_response_partition_default;
        partitions[i].partition_index = i;
        partitions[i].replica_nodes = partitions[i].isr_nodes = nodes;
        partitions[i].n_replica_nodes = partitions[i].n_isr_nodes = 3;
    }
    for (int i = 0; i < TOPICS; i++) {
        topics[i] = metadata_response_topic_default;
        topics[i].name = text_of("a-topic-with-a-name");
        topics[i].partitions = partitions;
        topics[i].n_partitions = PARTITIONS;
    }
    reply.topics = topics;
    reply.n_topics = TOPICS;
    frame_put_response(&out, &wire_metadata, 12, 1, &reply);
    chain_release(&out);
    arena_reset(&b->arena);
}

/* ---- the program -----------------------------------------------------------------------------*/

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, void (*round)(struct bench *), struct bench *b, long n)
{
    double best = 0;
    for (int repeat = 0; repeat < 5; repeat++) {
        double start = now();
        for (long i = 0; i < n; i++) {
            round(b);
        }
        double each = (now() - start) / (double)n;
        best = repeat == 0 || each < best ? each : best;
    }
    printf("%-9s %8.0f ns\n", name, best);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 500000;
    struct blob *records = blob_new(170);
    memset(records->data, 'r', records->len);
    struct bench b = { .records = records };
    arena_init(&b.arena, MIB(64));

    b.request = produce_request(records);
    measure("produce", produce, &b, n);
    free((void *)(uintptr_t)(b.request.data - FRAME_PREFIX));
    b.request = fetch_request();
    measure("fetch", fetch, &b, n);
    free((void *)(uintptr_t)(b.request.data - FRAME_PREFIX));
    measure("metadata", metadata, &b, n / 2000 + 1);
    arena_release(&b.arena);
    blob_unref(records);
    return 0;
}
