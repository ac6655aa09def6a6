/* Frames and their headers. */
#include "../support/test.h"

#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>

#define BYTES(s) bytes_of(s, sizeof(s) - 1)

static void the_fixed_part_is_read_first(void **state)
{
    (void)state;
    struct request_header h;
    assert_true(frame_peek(BYTES("\0\22\0\77\1\2\3\4"), &h));
    assert_int_equal(h.api_key, 18);
    assert_int_equal(h.api_version, 63);
    assert_int_equal(h.correlation_id, 0x01020304);
    assert_null(h.client_id.data);
    assert_false(frame_peek(BYTES("\0\22\0\77\1\2\3"), &h));
    assert_false(frame_peek(bytes_of(NULL, 0), &h));
}

static void old_headers_end_with_the_client_id(void **state)
{
    (void)state;
    struct request_header h;
    struct bytes body;
    struct bytes frame = BYTES("\0\14\0\0\0\0\0\1" "\0\2me" "body");
    assert_int_equal(frame_parse(frame, &wire_heartbeat, &h, &body).result, WIRE_OK);
    assert_true(text_is(h.client_id, "me"));
    assert_true(bytes_equal(body, BYTES("body")));

    frame = BYTES("\0\14\0\0\0\0\0\1" "\377\377" "body");
    assert_int_equal(frame_parse(frame, &wire_heartbeat, &h, &body).result, WIRE_OK);
    assert_null(h.client_id.data);
    assert_true(bytes_equal(body, BYTES("body")));
}

static void flexible_headers_have_tags(void **state)
{
    (void)state;
    struct request_header h;
    struct bytes body;
    struct bytes frame = BYTES("\0\14\0\4\0\0\0\1" "\0\2me" "\0" "body");
    assert_int_equal(frame_parse(frame, &wire_heartbeat, &h, &body).result, WIRE_OK);
    assert_true(bytes_equal(body, BYTES("body")));

    frame = BYTES("\0\14\0\4\0\0\0\1" "\0\2me" "\1\5\3abc" "body");
    assert_int_equal(frame_parse(frame, &wire_heartbeat, &h, &body).result, WIRE_OK);
    assert_true(bytes_equal(body, BYTES("body")));
}

static void headers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct request_header h;
    struct bytes body, whole = BYTES("\0\14\0\4\0\0\0\1" "\0\2me" "\1\5\3abc");
    for (size_t n = 0; n < whole.len; n++) {
        assert_int_equal(frame_parse(bytes_of(whole.data, n), &wire_heartbeat, &h, &body).result,
                         WIRE_SHORT);
    }
    struct bytes negative = BYTES("\0\14\0\0\0\0\0\1" "\377\376" "body");
    assert_int_equal(frame_parse(negative, &wire_heartbeat, &h, &body).result, WIRE_MALFORMED);
}

/* So that a client of any age can read the answer to its very first question. */
static void the_response_header_of_api_versions_is_the_oldest(void **state)
{
    (void)state;
    assert_int_equal(wire_response_header_version(&wire_api_versions, 3), 0);
    assert_int_equal(wire_response_header_version(&wire_api_versions, 0), 0);
    assert_int_equal(wire_response_header_version(&wire_heartbeat, 4), 1);
    assert_int_equal(wire_response_header_version(&wire_heartbeat, 3), 0);
    assert_int_equal(wire_response_header_version(&wire_sasl_handshake, 1), 0);
    assert_int_equal(wire_request_header_version(&wire_api_versions, 3), 2);
    assert_int_equal(wire_request_header_version(&wire_sasl_handshake, 1), 1);
}

static void assert_frame(struct chain *chain, size_t from, struct bytes expected)
{
    uint8_t bytes[200];
    assert_true(chain->len <= sizeof bytes);
    chain_copy(chain, bytes);
    assert_int_equal(chain->len - from, expected.len);
    assert_memory_equal(bytes + from, expected.data, expected.len);
}

static void responses_follow_each_other_in_one_chain(void **state)
{
    (void)state;
    struct chain out = { 0 };
    struct heartbeat_response r = { .throttle_ms = 1, .error = 27 };
    struct api_versions_response v = api_versions_response_default;

    frame_put_response(&out, &wire_heartbeat, 4, 7, &r);
    assert_frame(&out, 0, BYTES("\0\0\0\14" "\0\0\0\7" "\0" "\0\0\0\1\0\33" "\0"));
    frame_put_response(&out, &wire_heartbeat, 0, 8, &r);
    assert_frame(&out, 16, BYTES("\0\0\0\6" "\0\0\0\10" "\0\33"));
    frame_put_response(&out, &wire_api_versions, 3, 9, &v);
    assert_frame(&out, 26, BYTES("\0\0\0\14" "\0\0\0\11" "\0\0" "\1" "\0\0\0\0" "\0"));
    chain_release(&out);
}

static void requests_are_parsed_as_they_were_put(void **state)
{
    (void)state;
    struct heartbeat_request r = heartbeat_request_default;
    r.generation = 5;
    for (int16_t version = 0; version <= 4; version++) {
        struct request_header header = { 12, version, 3, version % 2 ? TEXT_NULL : text_of("c") };
        struct request_header h;
        struct chain out = { 0 };
        struct bytes body;
        uint8_t bytes[100];

        frame_put_request(&out, &wire_heartbeat, &header, &r);
        assert_true(out.len <= sizeof bytes);
        chain_copy(&out, bytes);
        assert_int_equal(load_be32(bytes), out.len - FRAME_PREFIX);
        struct bytes frame = bytes_of(bytes + FRAME_PREFIX, out.len - FRAME_PREFIX);
        assert_int_equal(frame_parse(frame, &wire_heartbeat, &h, &body).result, WIRE_OK);
        assert_int_equal(h.api_key, 12);
        assert_int_equal(h.api_version, version);
        assert_int_equal(h.correlation_id, 3);
        assert_true(text_equal(h.client_id, header.client_id));
        chain_release(&out);
    }
}

static void apis_are_found_by_key(void **state)
{
    (void)state;
    for (unsigned i = 0; i < wire_api_count; i++) {
        assert_ptr_equal(wire_api_find(wire_apis[i]->key), wire_apis[i]);
        assert_true(i == 0 || wire_apis[i - 1]->key < wire_apis[i]->key);
    }
    assert_null(wire_api_find(-1));
    assert_null(wire_api_find(4));
    assert_null(wire_api_find(27));
    assert_null(wire_api_find(93));
    assert_null(wire_api_find(INT16_MAX));
}

static void advertised_ranges_are_those_of_the_tables_but_for_two(void **state)
{
    (void)state;
    for (unsigned i = 0; i < wire_api_count; i++) {
        const struct wire_api *api = wire_apis[i];
        int16_t min = api == &wire_produce ? 0 : api->min_version;
        int16_t max = api == &wire_init_producer_id ? 5 : api->max_version;
        assert_int_equal(api->advertised_min, min);
        assert_int_equal(api->advertised_max, max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fixed_part_is_read_first),
        cmocka_unit_test(old_headers_end_with_the_client_id),
        cmocka_unit_test(flexible_headers_have_tags),
        cmocka_unit_test(headers_that_cannot_be_are_refused),
        cmocka_unit_test(the_response_header_of_api_versions_is_the_oldest),
        cmocka_unit_test(responses_follow_each_other_in_one_chain),
        cmocka_unit_test(requests_are_parsed_as_they_were_put),
        cmocka_unit_test(apis_are_found_by_key),
        cmocka_unit_test(advertised_ranges_are_those_of_the_tables_but_for_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
