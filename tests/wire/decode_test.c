/* The decoder and the encoder, byte by byte: the forms of null, lengths that lie, tagged fields,
 * budgets, defaults. Messages are written by hand here. */
#include "../support/test.h"

#include <chronik/test/sample.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

#define BYTES(s) bytes_of(s, sizeof(s) - 1)

static struct arena arena;

static int start(void **state)
{
    (void)state;
    arena_init(&arena, KIB(4));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum wire_result decode(const struct wire_api *api, const struct wire_struct *s,
                               int16_t version, struct bytes in, void *out)
{
    size_t left;
    arena_reset(&arena);
    return wire_decode(s, version, wire_is_flexible(api, version), in, &arena, out, &left).result;
}

static void assert_encodes(const struct wire_api *api, const struct wire_struct *s, int16_t version,
                           const void *in, struct bytes expected)
{
    struct chain chain = { 0 };
    uint8_t bytes[400];
    wire_encode(s, version, wire_is_flexible(api, version), in, &chain);
    assert_true(chain.len <= sizeof bytes);
    chain_copy(&chain, bytes);
    assert_int_equal(chain.len, expected.len);
    assert_memory_equal(bytes, expected.data, expected.len);
    chain_release(&chain);
}

/* ---- values -----------------------------------------------------------------------------------*/

static void heartbeats_look_as_documented(void **state)
{
    (void)state;
    struct heartbeat_request r;
    struct bytes v3 = BYTES("\0\1g" "\0\0\0\7" "\0\2mm" "\0\1i");
    struct bytes v4 = BYTES("\2g" "\0\0\0\7" "\3mm" "\0" "\0");

    assert_int_equal(decode(&wire_heartbeat, wire_heartbeat.request, 3, v3, &r), WIRE_OK);
    assert_true(text_is(r.group_id, "g"));
    assert_int_equal(r.generation, 7);
    assert_true(text_is(r.member_id, "mm"));
    assert_true(text_is(r.group_instance_id, "i"));
    assert_encodes(&wire_heartbeat, wire_heartbeat.request, 3, &r, v3);

    assert_int_equal(decode(&wire_heartbeat, wire_heartbeat.request, 4, v4, &r), WIRE_OK);
    assert_null(r.group_instance_id.data);
    assert_encodes(&wire_heartbeat, wire_heartbeat.request, 4, &r, v4);
}

static void null_is_refused_where_it_is_not_allowed(void **state)
{
    (void)state;
    struct heartbeat_request r;
    const struct wire_struct *s = wire_heartbeat.request;
    assert_int_equal(decode(&wire_heartbeat, s, 0, BYTES("\377\377" "\0\0\0\7" "\0\0"), &r),
                     WIRE_MALFORMED);
    assert_int_equal(decode(&wire_heartbeat, s, 4, BYTES("\0" "\0\0\0\7" "\1" "\0" "\0"), &r),
                     WIRE_MALFORMED);

    /* Metadata: null topics from version 1 on. */
    struct metadata_request m;
    s = wire_metadata.request;
    assert_int_equal(decode(&wire_metadata, s, 0, BYTES("\377\377\377\377"), &m), WIRE_MALFORMED);
    assert_int_equal(decode(&wire_metadata, s, 1, BYTES("\377\377\377\377"), &m), WIRE_OK);
    assert_int_equal(m.n_topics, -1);
    assert_int_equal(decode(&wire_metadata, s, 1, BYTES("\0\0\0\0"), &m), WIRE_OK);
    assert_int_equal(m.n_topics, 0);
}

static void lengths_below_minus_one_are_refused(void **state)
{
    (void)state;
    struct heartbeat_request r;
    struct metadata_request m;
    const struct wire_struct *s = wire_metadata.request;
    assert_int_equal(decode(&wire_heartbeat, wire_heartbeat.request, 3,
                            BYTES("\0\1g" "\0\0\0\7" "\0\0" "\377\376"), &r),
                     WIRE_MALFORMED);
    assert_int_equal(decode(&wire_metadata, s, 1, BYTES("\377\377\377\376"), &m),
                     WIRE_MALFORMED);
}

static void strings_are_at_most_32767_bytes_long(void **state)
{
    (void)state;
    struct heartbeat_request r;
    uint8_t *in = calloc(1, 70000);
    const struct wire_struct *s = wire_heartbeat.request;

    memcpy(in, "\x80\x80\x02", 3); /* 32767 + 1 */
    assert_int_equal(decode(&wire_heartbeat, s, 4, bytes_of(in, 70000), &r), WIRE_MALFORMED);
    in[3 + 32767 + 4] = 1;
    assert_int_equal(decode(&wire_heartbeat, s, 4, bytes_of(in, 70000), &r), WIRE_OK);
    assert_int_equal(r.group_id.len, 32767);
    memcpy(in, "\x81\x80\x02", 3);
    in[3 + 32768 + 4] = 1;
    assert_int_equal(decode(&wire_heartbeat, s, 4, bytes_of(in, 70000), &r), WIRE_MALFORMED);
    free(in);
}

static void varints_longer_than_five_bytes_are_refused(void **state)
{
    (void)state;
    struct heartbeat_request r;
    const struct wire_struct *s = wire_heartbeat.request;
    assert_int_equal(decode(&wire_heartbeat, s, 4, BYTES("\x80\x80\x80\x80\x80\x01 more"), &r),
                     WIRE_MALFORMED);
    assert_int_equal(decode(&wire_heartbeat, s, 4, BYTES("\xff\xff\xff\xff\x1f more"), &r),
                     WIRE_MALFORMED);
    assert_int_equal(decode(&wire_heartbeat, s, 4, BYTES("\x80\x80"), &r), WIRE_SHORT);
}

static void bytes_left_over_are_counted(void **state)
{
    (void)state;
    struct heartbeat_response r;
    size_t left = 0;
    struct bytes in = BYTES("\0\0\0\5" "\0\31" "left");
    struct wire_error e =
        wire_decode(wire_heartbeat.response, 1, false, in, &arena, &r, &left);
    assert_int_equal(e.result, WIRE_OK);
    assert_int_equal(left, 4);
    assert_int_equal(r.throttle_ms, 5);
    assert_int_equal(r.error, 25);
}

static void errors_name_the_field(void **state)
{
    (void)state;
    struct heartbeat_request r;
    struct wire_error e = wire_decode(wire_heartbeat.request, 0, false, BYTES("\0\1g" "\0\0"),
                                      &arena, &r, NULL);
    assert_int_equal(e.result, WIRE_SHORT);
    assert_string_equal(e.field, "generation");
}

/* ---- memory -----------------------------------------------------------------------------------*/

/* A count is believed only as far as the bytes that follow could hold. */
static void counts_that_cannot_be_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct metadata_request m;
    const struct wire_struct *s = wire_metadata.request;
    size_t left;

    arena_reset(&arena);
    arena.budget = 0; /* no limit: the count alone must be refused */
    assert_int_equal(
        wire_decode(s, 1, false, BYTES("\x7f\xff\xff\xff" "\0\1a"), &arena, &m, &left).result,
        WIRE_SHORT);
    assert_int_equal(
        wire_decode(s, 9, true, BYTES("\xff\xff\xff\xff\x07" "\2a\0"), &arena, &m, &left).result,
        WIRE_SHORT);
    /* A topic takes at least two bytes in version 9: three bytes cannot hold two. */
    assert_int_equal(wire_decode(s, 9, true, BYTES("\3" "\1\0" "\1"), &arena, &m, &left).result,
                     WIRE_SHORT);
    assert_int_equal(arena.used, 0);
    arena.budget = KIB(4);
}

static void the_budget_bounds_what_a_message_can_take(void **state)
{
    (void)state;
    struct metadata_request m;
    uint8_t in[1000] = { 0xc8, 0x01 }; /* 199 topics with empty names: many bytes each in memory */
    for (int i = 0; i < 199; i++) {
        in[2 + 2 * i] = 1;
    }
    assert_int_equal(decode(&wire_metadata, wire_metadata.request, 9, bytes_of(in, sizeof in), &m),
                     WIRE_TOO_LARGE);
    assert_true(arena.used <= arena.budget);
}

static void numbers_in_arrays_take_what_they_need(void **state)
{
    (void)state;
    struct add_partitions_to_txn_request r;
    struct bytes in = BYTES("\0\1t" "\0\0\0\0\0\0\0\1" "\0\2" "\0\0\0\1" "\0\1n" "\0\0\0\3"
                            "\0\0\0\1" "\0\0\0\2" "\0\0\0\3");
    assert_int_equal(decode(&wire_add_partitions_to_txn, wire_add_partitions_to_txn.request, 0, in,
                            &r),
                     WIRE_OK);
    assert_int_equal(r.v3_and_below_topics[0].n_partitions, 3);
    assert_int_equal(r.v3_and_below_topics[0].partitions[2], 3);
    assert_encodes(&wire_add_partitions_to_txn, wire_add_partitions_to_txn.request, 0, &r, in);
}

/* ---- tagged fields ----------------------------------------------------------------------------*/

/* An ApiVersions response of version 3 up to its tagged fields: no error, no APIs, no wait. */
#define API_VERSIONS "\0\0" "\1" "\0\0\0\0"

static enum wire_result decode_tags(struct bytes in, struct api_versions_response *out)
{
    return decode(&wire_api_versions, wire_api_versions.response, 3, in, out);
}

static void tagged_fields_are_found_by_their_tags(void **state)
{
    (void)state;
    struct api_versions_response r;
    struct bytes in = BYTES(API_VERSIONS "\2" "\1\10" "\0\0\0\0\0\0\0\11" "\3\1\1");
    assert_int_equal(decode_tags(in, &r), WIRE_OK);
    assert_int_equal(r.finalized_features_epoch, 9);
    assert_true(r.zk_migration_ready);
    assert_int_equal(r.n_supported_features, 0);
    assert_encodes(&wire_api_versions, wire_api_versions.response, 3, &r, in);
}

static void unknown_tags_are_skipped(void **state)
{
    (void)state;
    struct api_versions_response r;
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\3" "\1\10" "\0\0\0\0\0\0\0\11" "\3\1\1"
                                                    "\x90\x01\4abcd"),
                                 &r),
                     WIRE_OK);
    assert_int_equal(r.finalized_features_epoch, 9);
    assert_encodes(&wire_api_versions, wire_api_versions.response, 3, &r,
                   BYTES(API_VERSIONS "\2" "\1\10" "\0\0\0\0\0\0\0\11" "\3\1\1"));
}

static void tags_must_ascend(void **state)
{
    (void)state;
    struct api_versions_response r;
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\2" "\3\1\1" "\3\1\1"), &r), WIRE_MALFORMED);
    assert_int_equal(
        decode_tags(BYTES(API_VERSIONS "\2" "\3\1\1" "\1\10" "\0\0\0\0\0\0\0\11"), &r),
        WIRE_MALFORMED);
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\2" "\7\0" "\7\0"), &r), WIRE_MALFORMED);
}

static void a_tagged_field_fills_its_size_exactly(void **state)
{
    (void)state;
    struct api_versions_response r;
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\1" "\3\2\1\1"), &r), WIRE_MALFORMED);
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\1" "\1\7" "\0\0\0\0\0\0\0\11"), &r),
                     WIRE_MALFORMED);
}

static void sizes_and_counts_of_tags_are_checked(void **state)
{
    (void)state;
    struct api_versions_response r;
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\1" "\x40\x20" "abcd"), &r), WIRE_SHORT);
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\xff\xff\xff\xff\x0f" "\7\0"), &r),
                     WIRE_SHORT);
    assert_int_equal(decode_tags(BYTES(API_VERSIONS "\2" "\7\0" "\x8"), &r), WIRE_SHORT);
}

/* ---- defaults ---------------------------------------------------------------------------------*/

static void fields_that_a_version_lacks_get_their_defaults(void **state)
{
    (void)state;
    struct grown g = { .old_number = 1, .new_text = text_of("rubbish") };
    struct offset_commit_request r;

    assert_int_equal(decode(&test_grown, test_grown.request, 0, BYTES("\0\0\0\5"), &g), WIRE_OK);
    assert_int_equal(g.old_number, 5);
    assert_non_null(g.new_text.data);
    assert_int_equal(g.new_text.len, 0);
    assert_int_equal(decode(&test_grown, test_grown.request, 1, BYTES("\0\1x"), &g), WIRE_OK);
    assert_int_equal(g.old_number, 42);

    assert_int_equal(decode(&wire_offset_commit, wire_offset_commit.request, 5,
                            BYTES("\0\1g" "\0\0\0\3" "\0\1m" "\0\0\0\0"), &r),
                     WIRE_OK);
    assert_int_equal(r.retention_time_ms, -1);
    assert_null(r.group_instance_id.data);
}

static void defaults_are_the_ones_of_the_schema(void **state)
{
    (void)state;
    struct sample s;
    wire_defaults(test_sample.request, &s);
    assert_int_equal(s.small, -5);
    assert_int_equal(s.number, INT32_MIN);
    assert_true(s.large == INT64_MAX);
    assert_int_equal(s.port, 65535);
    assert_int_equal(s.mask, UINT32_MAX);
    assert_true(s.yes);
    assert_false(s.flag);
    assert_null(s.alias.data);
    assert_non_null(s.name.data);
    assert_non_null(s.blob.data);
    assert_non_null(s.batches.view.data);
    assert_int_equal(s.n_counts, -1);
    assert_int_equal(s.n_numbers, 0);
    assert_int_equal(s.leader.id, -1);
    assert_null(s.spare);
    assert_memory_equal(&s, &sample_default, sizeof s);
}

static void tagged_fields_at_their_defaults_are_not_sent(void **state)
{
    (void)state;
    struct api_versions_response r = api_versions_response_default;
    assert_encodes(&wire_api_versions, wire_api_versions.response, 3, &r,
                   BYTES(API_VERSIONS "\0"));
}

/* Encodes a sample in one version and decodes it in another; both are flexible. */
static void send_sample(const struct sample *in, int16_t from, int16_t to, struct sample *out)
{
    struct chain chain = { 0 };
    arena.budget = 0;
    wire_encode(test_sample.request, from, true, in, &chain);
    uint8_t *bytes = arena_alloc(&arena, chain.len);
    chain_copy(&chain, bytes);
    size_t left = 1;
    struct wire_error e = wire_decode(test_sample.request, to, true, bytes_of(bytes, chain.len),
                                      &arena, out, &left);
    assert_int_equal(e.result, WIRE_OK);
    assert_int_equal(left, 0);
    chain_release(&chain);
}

/* Sizes stand in front of tagged fields: right also where the length of a length changes. */
static void tagged_fields_of_any_length_survive(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 125, 126, 127, 128, 129, 16381, 16382, 16383, 16384, 32767 };
    struct sample_leader leaders[200];
    struct sample s = sample_default, copy;
    char *text = malloc(32767);
    memset(text, 'x', 32767);
    for (size_t i = 0; i < countof(leaders); i++) {
        leaders[i] = sample_leader_default;
    }
    s.extra = leaders;

    for (size_t i = 0; i < countof(lens); i++) {
        s.note = leaders[0].zone = text_part(text, lens[i]);
        s.n_extra = i % 2 ? 1 : 200;
        send_sample(&s, 2, 2, &copy);
        assert_true(wire_equal(test_sample.request, 2, &s, &copy));
    }
    free(text);
}

static void tags_of_other_versions_are_unknown(void **state)
{
    (void)state;
    struct sample s = sample_default, copy;
    s.third = &s.leader; /* version 3 alone has it */
    send_sample(&s, 3, 3, &copy);
    assert_non_null(copy.third);
    send_sample(&s, 3, 2, &copy);
    assert_null(copy.third);
}

static void null_and_empty_differ(void **state)
{
    (void)state;
    const struct wire_struct *t = test_sample.request;
    struct sample a = sample_default, b = sample_default;
    assert_true(wire_equal(t, 2, &a, &b));

    a.alias = text_of("");
    assert_false(wire_equal(t, 2, &a, &b));
    a = b;
    a.opaque = (struct bytes){ .data = NULL };
    assert_false(wire_equal(t, 2, &a, &b));
    a = b;
    a.maybe = (struct records){ .view = { .data = NULL } };
    assert_false(wire_equal(t, 2, &a, &b));
    a = b;
    a.n_numbers = -1;
    assert_false(wire_equal(t, 2, &a, &b));
    a = b;
    a.third = &a.leader;
    assert_false(wire_equal(t, 3, &a, &b));
    assert_true(wire_equal(t, 2, &a, &b)); /* version 2 does not have it */
}

/* ---- records ----------------------------------------------------------------------------------*/

static void records_given_as_a_chain_are_moved(void **state)
{
    (void)state;
    struct blob *blob = blob_new(9);
    memset(blob->data, 'r', 9);
    struct chain records = { 0 }, out = { 0 };
    chain_add(&records, blob, bytes_of(blob->data, 9));

    struct produce_request_partition p = { .partition_index = 1, .records = { .chain = &records } };
    struct produce_request_topic t = {
        .name = text_of("t"), .partitions = &p, .n_partitions = 1
    };
    struct produce_request r = produce_request_default;
    r.topics = &t;
    r.n_topics = 1;
    wire_encode(wire_produce.request, 9, true, &r, &out);

    assert_int_equal(records.len, 0);
    assert_int_equal(records.n, 0);
    bool shared = false;
    for (size_t i = 0; i < out.n; i++) {
        shared = shared || out.slices[i].bytes.data == blob->data;
    }
    assert_true(shared);

    uint8_t bytes[100];
    assert_true(out.len <= sizeof bytes);
    chain_copy(&out, bytes);
    struct produce_request copy;
    struct bytes sent = bytes_of(bytes, out.len);
    assert_int_equal(decode(&wire_produce, wire_produce.request, 9, sent, &copy), WIRE_OK);
    struct bytes view = copy.topics[0].partitions[0].records.view;
    assert_true(bytes_equal(view, bytes_of(blob->data, 9)));
    assert_true(view.data >= bytes && view.data < bytes + sizeof bytes);
    chain_release(&out);
    blob_unref(blob);
}

static void records_compare_by_content(void **state)
{
    (void)state;
    struct chain chain = { 0 };
    struct produce_request_partition a = { .records = { .view = BYTES("hello world") } }, b = a;
    struct produce_request_topic t[] = { { .name = text_of("") }, { .name = text_of("") } };
    const struct wire_struct *s = wire_produce.request->fields[3].of;
    t[0].partitions = &a;
    t[1].partitions = &b;
    t[0].n_partitions = t[1].n_partitions = 1;

    chain_add(&chain, NULL, BYTES("hell"));
    chain_add(&chain, NULL, BYTES("o wo"));
    chain_add(&chain, NULL, BYTES("rld"));
    b.records = (struct records){ .chain = &chain };
    assert_true(wire_equal(s, 9, &t[0], &t[1]));
    a.records.view = BYTES("hello worle");
    assert_false(wire_equal(s, 9, &t[0], &t[1]));
    assert_false(wire_equal(s, 9, &t[1], &t[0]));
    a.records.view = BYTES("hello worl");
    assert_false(wire_equal(s, 9, &t[0], &t[1]));
    chain_release(&chain);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(heartbeats_look_as_documented),
        TEST(null_is_refused_where_it_is_not_allowed),
        TEST(lengths_below_minus_one_are_refused),
        TEST(strings_are_at_most_32767_bytes_long),
        TEST(varints_longer_than_five_bytes_are_refused),
        TEST(bytes_left_over_are_counted),
        TEST(errors_name_the_field),
        TEST(counts_that_cannot_be_are_refused_before_memory_is_taken),
        TEST(the_budget_bounds_what_a_message_can_take),
        TEST(numbers_in_arrays_take_what_they_need),
        TEST(tagged_fields_are_found_by_their_tags),
        TEST(unknown_tags_are_skipped),
        TEST(tags_must_ascend),
        TEST(a_tagged_field_fills_its_size_exactly),
        TEST(sizes_and_counts_of_tags_are_checked),
        TEST(fields_that_a_version_lacks_get_their_defaults),
        TEST(defaults_are_the_ones_of_the_schema),
        TEST(tagged_fields_at_their_defaults_are_not_sent),
        TEST(tagged_fields_of_any_length_survive),
        TEST(tags_of_other_versions_are_unknown),
        TEST(null_and_empty_differ),
        TEST(records_given_as_a_chain_are_moved),
        TEST(records_compare_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
