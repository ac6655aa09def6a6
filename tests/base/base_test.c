/* The base layer: arenas, chains, maps, heaps, varints, UUIDs, text, metrics, states. */
#include "../support/test.h"

#include <chronik/base/arena.h>
#include <chronik/base/blob.h>
#include <chronik/base/crc32c.h>
#include <chronik/base/diag.h>
#include <chronik/base/heap.h>
#include <chronik/base/map.h>
#include <chronik/base/metric.h>
#include <chronik/base/random.h>
#include <chronik/base/states.h>
#include <chronik/base/uuid.h>
#include <chronik/base/varint.h>

static void arena_honours_its_budget(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 104);
    assert_non_null(arena_alloc(&arena, 60));
    assert_null(arena_alloc(&arena, 60));
    assert_non_null(arena_alloc(&arena, 30));
    assert_non_null(arena_alloc(&arena, 0));
    assert_null(arena_zalloc_array(&arena, SIZE_MAX / 2, 8));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 96));
    arena_release(&arena);
}

static void arena_keeps_pieces_apart(void **state)
{
    (void)state;
    struct arena arena;
    struct prng prng;
    uint8_t *piece[500];
    size_t len[500];
    arena_init(&arena, 0);
    prng_init(&prng, 7);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < countof(piece); i++) {
            len[i] = prng_below(&prng, prng_percent(&prng, 5) ? 200000 : 300);
            piece[i] = arena_alloc(&arena, len[i]);
            assert_int_equal((uintptr_t)piece[i] % 8, 0);
            memset(piece[i], (int)i, len[i]);
        }
        for (unsigned i = 0; i < countof(piece); i++) {
            for (size_t k = 0; k < len[i]; k++) {
                assert_int_equal(piece[i][k], (uint8_t)i);
            }
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void chains_join_small_pieces_and_share_large_ones(void **state)
{
    (void)state;
    struct chain chain = { 0 }, more = { 0 };
    struct blob *blob = blob_new(5);
    memcpy(blob->data, "large", 5);
    uint8_t *length = chain_reserve(&chain, 4);
    chain_put(&chain, "ab", 2);
    assert_int_equal(chain.n, 1);
    chain_add(&chain, blob, bytes_of(blob->data, 5));
    chain_put(&more, "cd", 2);
    chain_append(&chain, &more);
    store_be32(length, (uint32_t)chain.len);
    assert_int_equal(chain.len, 13);
    assert_int_equal(blob->refs, 2);
    uint8_t out[13];
    chain_copy(&chain, out);
    assert_memory_equal(out, "\0\0\0\x0d" "ablargecd", 13);
    chain_release(&chain);
    assert_int_equal(blob->refs, 1);
    blob_unref(blob);
}

/* Written piece by piece into one room, across a slice of somebody else's bytes and a growing
 * block. */
static void chains_give_room_for_many_small_pieces(void **state)
{
    (void)state;
    struct chain chain = { 0 };
    uint8_t *end, *at, *out;
    size_t n = 0;
    for (int round = 0; round < 2000; round++) {
        at = chain_room(&chain, 3, &end);
        assert_true(end - at >= 3);
        for (int i = 0; i < 3; i++) {
            at[i] = (uint8_t)(n++ % 251);
        }
        chain_commit(&chain, 3);
    }
    chain_room(&chain, 100000, &end);
    chain_commit(&chain, 0);
    assert_int_equal(chain.len, 6000);
    assert_true(chain.n <= 6); /* 512 bytes, then blocks as large as all before them */
    out = malloc(chain.len);
    chain_copy(&chain, out);
    for (size_t i = 0; i < chain.len; i++) {
        assert_int_equal(out[i], i % 251);
    }
    free(out);
    chain_release(&chain);
}

struct item {
    struct map_node node;
    uint64_t key;
};

static bool item_is(const struct map_node *node, const void *key)
{
    return container_of(node, struct item, node)->key == *(const uint64_t *)key;
}

static void maps_find_and_keep_the_order_of_insertion(void **state)
{
    (void)state;
    static struct item items[1000];
    struct map map;
    map_init(&map);
    for (uint64_t i = 0; i < countof(items); i++) {
        items[i].key = i * 7919;
        map_insert(&map, &items[i].node, hash_u64(1, items[i].key));
    }
    for (uint64_t i = 0; i < countof(items); i += 2) {
        map_remove(&map, &items[i].node);
    }
    uint64_t expect = 1;
    map_each (it, &map) {
        assert_int_equal(container_of(it, struct item, node)->key, expect * 7919);
        expect += 2;
    }
    assert_int_equal(expect, 1001);
    for (uint64_t i = 0; i < countof(items); i++) {
        uint64_t key = i * 7919;
        struct map_node *found = map_find(&map, hash_u64(1, key), item_is, &key);
        assert_ptr_equal(found, i % 2 ? &items[i].node : NULL);
    }
    map_release(&map);
}

static void heaps_give_the_smallest_first_and_equals_in_order(void **state)
{
    (void)state;
    static struct heap_node nodes[300];
    struct heap heap;
    struct prng prng;
    heap_init(&heap);
    prng_init(&prng, 3);
    for (unsigned i = 0; i < countof(nodes); i++) {
        heap_insert(&heap, &nodes[i], prng_below(&prng, 20));
    }
    for (unsigned i = 0; i < countof(nodes); i += 3) {
        heap_remove(&heap, &nodes[i]);
    }
    struct heap_node *last = NULL;
    for (struct heap_node *n; (n = heap_min(&heap)) != NULL; last = n) {
        heap_remove(&heap, n);
        assert_true(last == NULL || last->key < n->key ||
                    (last->key == n->key && last->seq < n->seq));
        assert_false(heap_contains(n));
    }
    heap_release(&heap);
}

static void varints_survive_a_round_trip(void **state)
{
    (void)state;
    static const int64_t VALUES[] = { 0, -1, 1, 63, 64, -64, -65, INT32_MAX, INT32_MIN, INT64_MAX,
                                      INT64_MIN };
    for (unsigned i = 0; i < countof(VALUES); i++) {
        uint8_t bytes[VARINT64_MAX];
        const uint8_t *at = bytes;
        int64_t back = 0;
        size_t len = varint_put_i64(bytes, VALUES[i]);
        assert_int_equal(len, varint_len_u64(zigzag_encode(VALUES[i])));
        assert_true(varint_get_i64(&at, bytes + len, &back));
        assert_true(back == VALUES[i] && at == bytes + len);
        at = bytes;
        assert_false(varint_get_i64(&at, bytes + len - 1, &back));
        assert_ptr_equal(at, bytes);
        int32_t small;
        at = bytes;
        assert_int_equal(varint_get_i32(&at, bytes + len, &small),
                         VALUES[i] >= INT32_MIN && VALUES[i] <= INT32_MAX);
    }
    static const uint8_t TOO_LONG[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2 };
    const uint8_t *at = TOO_LONG;
    uint64_t n;
    assert_false(varint_get_u64(&at, TOO_LONG + sizeof TOO_LONG, &n));
}

static void uuids_print_as_kafka_prints_them(void **state)
{
    (void)state;
    struct uuid id, back;
    char text[UUID_TEXT_LEN + 1];
    struct prng prng;
    /* Kafka's METADATA_TOPIC_ID is ...0001 and prints like this. */
    id = (struct uuid){ .bytes = { [15] = 1 } };
    assert_string_equal(uuid_format(&id, text), "AAAAAAAAAAAAAAAAAAAAAQ");
    prng_init(&prng, 5);
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t random[16];
        prng_fill(&prng, random, sizeof random);
        id = uuid_from_random(random);
        uuid_format(&id, text);
        assert_true(text[0] != '-');
        assert_true(uuid_parse(text_of(text), &back) && uuid_equal(&id, &back));
    }
    assert_false(uuid_parse(text_of("AAAAAAAAAAAAAAAAAAAAA!"), &back));
    assert_false(uuid_parse(text_of("AAAAAAAAAAAAAAAAAAAAAB"), &back));
    assert_false(uuid_parse(text_of("short"), &back));
}

static void crc_is_castagnoli(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    assert_true(text_is(text_head(text_of("abc"), 3), "abc"));
    assert_true(text_is(text_head(text_of("abc"), 2), "ab"));
    assert_true(text_is(text_head(text_of("a\xc3\xa9"), 2), "a"));
    assert_true(text_is(text_head(text_of("\xe2\x82\xac"), 2), ""));
    assert_null(text_head(TEXT_NULL, 2).data);
}

static void text_becomes_valid_json(void **state)
{
    static const char BYTES[] = "a\"\\\n\xe2\x82\xac\xff\xc0\x80";
    struct buf out = { 0 };
    (void)state;
    text_put_json(text_of(BYTES), &out);
    assert_true(text_is(text_part((char *)out.data, out.len),
                        "\"a\\\"\\\\\\u000a\xe2\x82\xac\\ufffd\\ufffd\\ufffd\""));
    buf_release(&out);
    assert_false(text_is_utf8(text_of(BYTES)));
    assert_false(text_is_utf8(text_of("\xed\xa0\x80"))); /* half of a pair */
    assert_true(text_is_utf8(text_of("a\xe2\x82\xac")));
    assert_true(text_is_utf8(TEXT_NULL));
}

static void text_parses_whole_numbers_only(void **state)
{
    (void)state;
    int64_t n;
    assert_true(text_to_i64(text_of("-9223372036854775808"), &n) && n == INT64_MIN);
    assert_true(text_to_i64(text_of("+42"), &n) && n == 42);
    assert_false(text_to_i64(text_of("9223372036854775808"), &n));
    assert_false(text_to_i64(text_of("42 "), &n));
    assert_false(text_to_i64(text_of("-"), &n));
    struct text rest = text_of("a,,b");
    assert_true(text_is(text_cut(&rest, ','), "a"));
    assert_true(text_is(text_cut(&rest, ','), ""));
    assert_true(text_is(text_cut(&rest, ','), "b"));
    assert_null(rest.data);
    assert_true(text_is(text_trim(text_of(" \t x y\r\n")), "x y"));
}

static char sunk[200];

static void sink(struct diag *diag, enum diag_level level, enum diag_module module, const char *msg)
{
    (void)diag;
    snprintf(sunk, sizeof sunk, "%s %s %s", diag_level_name(level), diag_module_name(module), msg);
}

static void messages_are_filtered_and_cleaned(void **state)
{
    (void)state;
    struct diag diag;
    enum diag_module module;
    struct diag_limit limit = { 0 };
    uint32_t suppressed;
    diag_init(&diag, DIAG_INFO, sink);
    diag_info(&diag, DIAG_RAFT, "a%sb", "\n\x1b");
    assert_string_equal(sunk, "INFO raft a??b");
    diag_debug(&diag, DIAG_RAFT, "hidden");
    assert_string_equal(sunk, "INFO raft a??b");
    assert_true(diag_parse_module(text_of("RAFT"), &module) && module == DIAG_RAFT);
    assert_true(diag_allow(&limit, 10, 100, &suppressed));
    assert_false(diag_allow(&limit, 50, 100, &suppressed));
    assert_true(diag_allow(&limit, 110, 100, &suppressed));
    assert_int_equal(suppressed, 1);
}

static double read_seven(const void *arg)
{
    (void)arg;
    return 7;
}

static void metrics_render_in_the_text_format(void **state)
{
    (void)state;
    struct metrics m;
    struct buf out = { 0 };
    struct metric_histogram h = { 0 };
    uint64_t a = 3, b = 4;
    metrics_init(&m);
    metrics_counter(&m, "x_total", "Things.", "k=\"1\"", &a);
    metrics_gauge(&m, "y", "Level.", "", read_seven, NULL);
    metrics_counter(&m, "x_total", "Things.", "k=\"2\"", &b);
    metric_observe(&h, 1500);
    metric_observe(&h, 900000000000);
    metrics_histogram(&m, "z_seconds", "Time.", "", &h);
    metrics_render(&m, &out);
    buf_put_u8(&out, 0);
    assert_non_null(strstr((char *)out.data, "# TYPE x_total counter\nx_total{k=\"1\"} 3\n"
                                             "x_total{k=\"2\"} 4\n"));
    assert_non_null(strstr((char *)out.data, "y 7\n"));
    assert_non_null(strstr((char *)out.data, "z_seconds_bucket{le=\"2e-06\"} 1\n"));
    assert_non_null(strstr((char *)out.data, "z_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_int_equal(metric_quantile(&h, 0.5), 2000);
    buf_release(&out);
    metrics_release(&m);
}

enum { LAMP_OFF, LAMP_ON };

static void states_move_along_the_table(void **state)
{
    (void)state;
    static const struct state LAMP[] = {
        [LAMP_OFF] = { .name = "off", .next = STATE(LAMP_ON), .initial = true },
        [LAMP_ON] = { .name = "on", .next = STATE(LAMP_OFF) },
    };
    unsigned lamp;
    state_start(LAMP, &lamp, LAMP_OFF, NULL);
    state_move(LAMP, &lamp, LAMP_ON, NULL);
    assert_int_equal(lamp, LAMP_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_honours_its_budget),
        cmocka_unit_test(arena_keeps_pieces_apart),
        cmocka_unit_test(chains_join_small_pieces_and_share_large_ones),
        cmocka_unit_test(chains_give_room_for_many_small_pieces),
        cmocka_unit_test(maps_find_and_keep_the_order_of_insertion),
        cmocka_unit_test(heaps_give_the_smallest_first_and_equals_in_order),
        cmocka_unit_test(varints_survive_a_round_trip),
        cmocka_unit_test(uuids_print_as_kafka_prints_them),
        cmocka_unit_test(crc_is_castagnoli),
        cmocka_unit_test(text_parses_whole_numbers_only),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(messages_are_filtered_and_cleaned),
        cmocka_unit_test(text_becomes_valid_json),
        cmocka_unit_test(metrics_render_in_the_text_format),
        cmocka_unit_test(states_move_along_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
