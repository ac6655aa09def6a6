/* Frames of real clients and of a real broker (golden/README.md): each decodes without a byte left
 * over, prints, and is encoded again to the same bytes. */
#include "../support/test.h"

#include <chronik/base/bytes.h>
#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>

static struct bytes read_file(const char *name)
{
    char path[500];
    struct buf all = { 0 };
    size_t n;
    snprintf(path, sizeof path, "%s/%s", CHRONIK_GOLDEN, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((n = fread(buf_reserve(&all, 65536), 1, 65536, file)) > 0) {
        all.len += n;
    }
    fclose(file);
    return buf_bytes(&all);
}

/* The next frame with its prefix; moves on. */
static struct bytes next_frame(struct bytes *rest)
{
    assert_true(rest->len >= FRAME_PREFIX);
    struct bytes frame = bytes_part(*rest, 0, FRAME_PREFIX + load_be32(rest->data));
    *rest = bytes_part(*rest, frame.len, rest->len - frame.len);
    return frame;
}

static void assert_same(const struct chain *chain, struct bytes expected, const char *what,
                        const struct wire_api *api, int16_t version)
{
    uint8_t *bytes = malloc(chain->len);
    chain_copy(chain, bytes);
    if (chain->len != expected.len || memcmp(bytes, expected.data, expected.len) != 0) {
        fail_msg("%s %s v%d is encoded differently", api->name, what, version);
    }
    free(bytes);
}

static void decode_and_print(const struct wire_struct *table, const struct wire_api *api,
                             int16_t version, struct bytes body, struct arena *arena, void *out)
{
    struct buf line = { 0 };
    size_t left = 1;
    struct wire_error e =
        wire_decode(table, version, wire_is_flexible(api, version), body, arena, out, &left);
    if (e.result != WIRE_OK || left != 0) {
        fail_msg("%s v%d: %s at %s, %zu bytes left", table->name, version,
                 wire_result_text(e.result), e.field ? e.field : "the end", left);
    }
    wire_print(table, version, out, &line);
    if (getenv("PRINT_GOLDEN") != NULL) {
        printf("%s v%d %.*s\n", table->name, version, (int)line.len, (char *)line.data);
    }
    assert_null(memchr(line.data, '\n', line.len));
    buf_release(&line);
}

static const struct wire_api *check_request(struct bytes frame, struct arena *arena,
                                            struct request_header *ret_header)
{
    struct bytes inner = bytes_part(frame, FRAME_PREFIX, frame.len - FRAME_PREFIX), body;
    struct chain again = { 0 };

    assert_true(frame_peek(inner, ret_header));
    const struct wire_api *api = wire_api_find(ret_header->api_key);
    assert_non_null(api);
    assert_in_range(ret_header->api_version, api->min_version, api->max_version);
    assert_int_equal(frame_parse(inner, api, ret_header, &body).result, WIRE_OK);

    void *request = arena_alloc(arena, api->request->size);
    decode_and_print(api->request, api, ret_header->api_version, body, arena, request);
    frame_put_request(&again, api, ret_header, request);
    assert_same(&again, frame, "request", api, ret_header->api_version);
    chain_release(&again);
    return api;
}

static void check_response(struct bytes frame, const struct wire_api *api,
                           const struct request_header *header, struct arena *arena)
{
    size_t skip = FRAME_PREFIX + 4;
    skip += wire_response_header_version(api, header->api_version) >= 1 ? 1 : 0;
    struct bytes body = bytes_part(frame, skip, frame.len - skip);
    struct chain again = { 0 };
    void *response = arena_alloc(arena, api->response->size);

    assert_int_equal(load_be32(frame.data + FRAME_PREFIX), header->correlation_id);
    decode_and_print(api->response, api, header->api_version, body, arena, response);
    frame_put_response(&again, api, header->api_version, header->correlation_id, response);
    assert_same(&again, frame, "response", api, header->api_version);
    chain_release(&again);
}

/* Returns the number of exchanges; counts those of each API. */
static unsigned check_file(const char *name, unsigned n_by_key[static 128])
{
    struct bytes all = read_file(name), rest = all;
    struct arena arena;
    unsigned n = 0;
    arena_init(&arena, 0);
    for (; rest.len > 0; n++) {
        struct request_header header;
        struct bytes request = next_frame(&rest);
        const struct wire_api *api = check_request(request, &arena, &header);
        check_response(next_frame(&rest), api, &header, &arena);
        n_by_key[api->key]++;
        arena_reset(&arena);
    }
    arena_release(&arena);
    free((void *)(uintptr_t)all.data);
    return n;
}

static void frames_of_real_clients_are_encoded_to_the_same_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned n;
    } files[] = {
        { "librdkafka.bin", 29 }, { "librdkafka-sasl.bin", 5 },
        { "python-kafka.bin", 32 },   { "java-tools.bin", 51 },
        { "java.bin", 67 },             { "java-sasl.bin", 13 },
    };
    unsigned n_by_key[128] = { 0 };
    for (size_t i = 0; i < countof(files); i++) {
        assert_int_equal(check_file(files[i].name, n_by_key), files[i].n);
    }
    for (unsigned i = 0; i < wire_api_count; i++) {
        bool there = n_by_key[wire_apis[i]->key] > 0;
        assert_int_equal(there, wire_apis[i] != &wire_push_telemetry);
    }
}

/* What our tables say is advertised is what the broker in the capture advertised. */
static void advertised_versions_are_those_of_apache_kafka(void **state)
{
    (void)state;
    struct bytes all = read_file("java.bin"), rest = all;
    struct arena arena;
    unsigned n = 0;
    arena_init(&arena, 0);
    while (rest.len > 0) {
        struct request_header header;
        const struct wire_api *api = check_request(next_frame(&rest), &arena, &header);
        struct bytes frame = next_frame(&rest);
        if (api != &wire_api_versions || header.api_version < 3) {
            continue;
        }
        struct api_versions_response r;
        struct bytes body = bytes_part(frame, FRAME_PREFIX + 4, frame.len - FRAME_PREFIX - 4);
        decode_and_print(api->response, api, header.api_version, body, &arena, &r);
        for (int32_t i = 0; i < r.n_api_keys; i++) {
            const struct wire_api *ours = wire_api_find(r.api_keys[i].api_key);
            if (ours != NULL) {
                assert_int_equal(r.api_keys[i].min_version, ours->advertised_min);
                assert_int_equal(r.api_keys[i].max_version, ours->advertised_max);
                n++;
            }
        }
    }
    assert_true(n >= wire_api_count);
    arena_release(&arena);
    free((void *)(uintptr_t)all.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_real_clients_are_encoded_to_the_same_bytes),
        cmocka_unit_test(advertised_versions_are_those_of_apache_kafka),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
