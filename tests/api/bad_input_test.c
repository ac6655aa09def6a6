/* What is not a request: cut short, too long, unknown, with counts that cannot be. The
 * connection is closed, or the protocol's own answer comes; another client never notices. */
#include "steps.h"

#include <unistd.h>

/* The frame of a random request, without its prefix. */
static struct bytes random_frame(struct client *client, const struct wire_api *api,
                                 int16_t version, struct prng *prng)
{
    const struct request_header header = {
        .api_key = api->key,
        .api_version = version,
        .correlation_id = 7,
        .client_id = text_of("test"),
    };
    struct chain out = { 0 };
    void *body = arena_alloc(&client->arena, api->request->size);
    wire_random(api->request, version, prng, &client->arena, body);
    frame_put_request(&out, api, &header, body);
    uint8_t *bytes = arena_alloc(&client->arena, out.len);
    chain_copy(&out, bytes);
    size_t len = out.len - FRAME_PREFIX;
    chain_release(&out);
    return bytes_of(bytes + FRAME_PREFIX, len);
}

static void expect_shut(const struct daemon *daemon, struct bytes frame)
{
    struct client client;
    client_open(&client, daemon);
    client_send_frame(&client, frame);
    assert_true(client_is_shut(&client));
    client_close(&client);
}

static void expect_served(const struct daemon *daemon)
{
    struct client client;
    struct metadata_request in = metadata_request_default;
    client_open(&client, daemon);
    in.n_topics = -1;
    assert_int_equal(CALL(&client, metadata, 12, &in)->n_brokers, 1);
    client_close(&client);
}

/* A frame by hand: header of a key and version, no client id, then whatever is put behind. */
static void put_header(struct buf *frame, const struct wire_api *api, int16_t version)
{
    buf_put_be16(frame, (uint16_t)api->key);
    buf_put_be16(frame, (uint16_t)version);
    buf_put_be32(frame, 7);
    buf_put_be16(frame, UINT16_MAX);
    if (wire_request_header_version(api, version) == 2) {
        buf_put_u8(frame, 0);
    }
}

static void a_body_cut_short_closes_the_connection(void **state)
{
    const struct daemon *daemon = *state;
    struct prng prng;
    prng_init(&prng, 3);
    for (unsigned i = 0; i < wire_api_count; i++) {
        const struct wire_api *api = wire_apis[i];
        struct client client;
        client_open(&client, daemon);
        for (int16_t v = api->min_version; v <= api->advertised_max; v++) {
            struct bytes frame = random_frame(&client, api, v, &prng);
            size_t header = wire_request_header_version(api, v) == 2 ? 15 : 14;
            if (frame.len > header) {
                frame.len = header + prng_below(&prng, frame.len - header);
                expect_shut(daemon, frame);
            }
        }
        client_close(&client);
    }
    expect_served(daemon);
}

static void bytes_behind_a_body_are_ignored(void **state)
{
    struct client client;
    struct buf frame = { 0 };
    client_open(&client, *state);
    put_header(&frame, &wire_metadata, 0);
    buf_put_be32(&frame, 0);
    buf_put(&frame, "left over", 9);
    client_send_frame(&client, buf_bytes(&frame));
    struct metadata_response *out = client_receive(&client, &wire_metadata, 0, 7);
    assert_int_equal(out->n_brokers, 1);
    buf_release(&frame);
    client_close(&client);
}

static void an_unknown_version_of_api_versions_is_answered_in_version_0(void **state)
{
    static const int16_t VERSIONS[] = { 6, 99, INT16_MAX, -1 };
    for (size_t i = 0; i < countof(VERSIONS); i++) {
        struct client client;
        struct buf frame = { 0 };
        client_open(&client, *state);
        put_header(&frame, &wire_api_versions, VERSIONS[i]);
        client_send_frame(&client, buf_bytes(&frame));
        struct api_versions_response *out = client_receive(&client, &wire_api_versions, 0, 7);
        assert_error(out->error, KAFKA_UNSUPPORTED_VERSION);
        assert_int_equal(out->n_api_keys, 1);
        assert_int_equal(out->api_keys[0].api_key, 18);
        assert_int_equal(out->api_keys[0].max_version, 5);
        /* The connection goes on: the client tries an older one. */
        struct metadata_request ask = metadata_request_default;
        ask.n_topics = -1;
        assert_int_equal(CALL(&client, metadata, 9, &ask)->n_brokers, 1);
        buf_release(&frame);
        client_close(&client);
    }
}

static void unknown_keys_and_versions_close_the_connection(void **state)
{
    static const struct {
        int16_t key, version;
    } FRAMES[] = {
        { 999, 0 }, { -1, 0 }, { 4, 0 }, { 3, 14 }, { 3, -1 }, { 1, 3 }, { 1, 19 },
        { 0, 0 },   { 0, 2 },  { 22, 6 }, { 19, 1 },
    };
    for (size_t i = 0; i < countof(FRAMES); i++) {
        struct buf frame = { 0 };
        buf_put_be16(&frame, (uint16_t)FRAMES[i].key);
        buf_put_be16(&frame, (uint16_t)FRAMES[i].version);
        buf_put_be32(&frame, 7);
        buf_put_zeros(&frame, 40);
        expect_shut(*state, buf_bytes(&frame));
        buf_release(&frame);
    }
    expect_served(*state);
}

static void frames_shorter_than_a_header_close_the_connection(void **state)
{
    for (size_t len = 0; len < FRAME_HEADER_MIN; len++) {
        static const uint8_t ZEROS[FRAME_HEADER_MIN] = { 0, 3 };
        expect_shut(*state, bytes_of(ZEROS, len));
    }
    expect_served(*state);
}

static void lengths_that_cannot_be_close_the_connection(void **state)
{
    static const uint32_t LENGTHS[] = { 0xffffffff, 0x80000000, 104857601, 0x7fffffff };
    for (size_t i = 0; i < countof(LENGTHS); i++) {
        struct client client;
        uint8_t prefix[4];
        client_open(&client, *state);
        store_be32(prefix, LENGTHS[i]);
        client_send_bytes(&client, bytes_of(prefix, sizeof prefix));
        assert_true(client_is_shut(&client));
        client_close(&client);
    }
    expect_served(*state);
}

/* Each byte in a packet of its own, the length prefix too. */
static void a_frame_may_come_byte_by_byte(void **state)
{
    struct client client;
    struct chain out = { 0 };
    const struct request_header header = { .api_key = 3, .api_version = 4, .correlation_id = 9 };
    const struct metadata_request in = { .n_topics = -1 };
    client_open(&client, *state);
    frame_put_request(&out, &wire_metadata, &header, &in);
    uint8_t *bytes = mem_alloc(out.len);
    chain_copy(&out, bytes);
    for (size_t i = 0; i < out.len; i++) {
        client_send_bytes(&client, bytes_of(bytes + i, 1));
        usleep(1000);
    }
    client_receive(&client, &wire_metadata, 4, 9);
    free(bytes);
    chain_release(&out);
    client_close(&client);
}

static void what_is_not_kafka_closes_the_connection(void **state)
{
    static const char *const WORDS[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" };
    for (size_t i = 0; i < countof(WORDS); i++) {
        struct client client;
        client_open(&client, *state);
        client_send_bytes(&client, bytes_of(WORDS[i], strlen(WORDS[i])));
        assert_true(client_is_shut(&client));
        client_close(&client);
    }
}

static void counts_beyond_the_frame_close_the_connection(void **state)
{
    static const uint32_t COUNTS[] = { 0x7fffffff, 1000000, 0x80000000, 0xfffffffe };
    for (size_t i = 0; i < countof(COUNTS); i++) {
        struct buf frame = { 0 };
        put_header(&frame, &wire_create_topics, 4);
        buf_put_be32(&frame, COUNTS[i]);
        buf_put_zeros(&frame, 100);
        expect_shut(*state, buf_bytes(&frame));
        buf_release(&frame);
    }
    /* The same as a varint, in a flexible version. */
    struct buf frame = { 0 };
    put_header(&frame, &wire_create_topics, 7);
    buf_put(&frame, "\xff\xff\xff\xff\x0f", 5);
    buf_put_zeros(&frame, 100);
    expect_shut(*state, buf_bytes(&frame));
    buf_release(&frame);
    expect_served(*state);
}

/* CreateTopics v4: topics null; and a topic whose assignments are null. */
static void null_arrays_where_null_is_not_allowed_close_the_connection(void **state)
{
    struct buf frame = { 0 };
    put_header(&frame, &wire_create_topics, 4);
    buf_put_be32(&frame, UINT32_MAX);
    buf_put_be32(&frame, 1000);
    buf_put_u8(&frame, 0);
    expect_shut(*state, buf_bytes(&frame));

    buf_clear(&frame);
    put_header(&frame, &wire_create_topics, 4);
    buf_put_be32(&frame, 1);
    buf_put_be16(&frame, 4);
    buf_put(&frame, "null", 4);
    buf_put_be32(&frame, 1);
    buf_put_be16(&frame, 1);
    buf_put_be32(&frame, UINT32_MAX); /* assignments */
    buf_put_be32(&frame, 0);          /* configs */
    buf_put_be32(&frame, 1000);
    buf_put_u8(&frame, 0);
    expect_shut(*state, buf_bytes(&frame));
    buf_release(&frame);
    expect_served(*state);
}

/* Resident memory of the broker, in bytes. */
static uint64_t memory_of(const struct daemon *daemon)
{
    char path[64], line[256];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", daemon->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    pages = strtoul(strchr(line, ' '), NULL, 10);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Each announces 100 MiB and sends little of it: memory follows what came, not what was said. */
static void half_sent_frames_cost_what_was_sent(void **state)
{
    enum { N = 300, SENT = 20000 };
    const struct daemon *daemon = *state;
    static struct client clients[N];
    uint8_t *piece = mem_zalloc(4 + SENT);
    uint64_t before = memory_of(daemon);

    store_be32(piece, 100 << 20);
    store_be16(piece + 6, 9); /* key 0, version 9 */
    for (unsigned i = 0; i < N; i++) {
        client_open(&clients[i], daemon);
        client_send_bytes(&clients[i], bytes_of(piece, 4 + SENT));
    }
    expect_served(daemon);
    assert_true(memory_of(daemon) - before < MIB(64));
    for (unsigned i = 0; i < N; i++) {
        client_close(&clients[i]);
    }
    free(piece);
    expect_served(daemon);
}

/* Bytes that begin like requests and go on at random. */
static void noise_is_survived(void **state)
{
    struct prng prng;
    prng_init(&prng, 9);
    for (unsigned round = 0; round < 300; round++) {
        struct client client;
        uint8_t frame[200];
        size_t len = 8 + prng_below(&prng, sizeof frame - 8);
        const struct wire_api *api = wire_apis[prng_below(&prng, wire_api_count)];
        prng_fill(&prng, frame, len);
        store_be16(frame, (uint16_t)api->key);
        store_be16(frame + 2, (uint16_t)prng_below(&prng, (uint64_t)api->max_version + 1));
        client_open(&client, *state);
        client_send_frame(&client, bytes_of(frame, len));
        client_close(&client);
    }
    expect_served(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_cut_short_closes_the_connection),
        cmocka_unit_test(bytes_behind_a_body_are_ignored),
        cmocka_unit_test(an_unknown_version_of_api_versions_is_answered_in_version_0),
        cmocka_unit_test(unknown_keys_and_versions_close_the_connection),
        cmocka_unit_test(frames_shorter_than_a_header_close_the_connection),
        cmocka_unit_test(lengths_that_cannot_be_close_the_connection),
        cmocka_unit_test(a_frame_may_come_byte_by_byte),
        cmocka_unit_test(what_is_not_kafka_closes_the_connection),
        cmocka_unit_test(counts_beyond_the_frame_close_the_connection),
        cmocka_unit_test(null_arrays_where_null_is_not_allowed_close_the_connection),
        cmocka_unit_test(half_sent_frames_cost_what_was_sent),
        cmocka_unit_test(noise_is_survived),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
