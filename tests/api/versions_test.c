/* Every API in every version that the broker advertises: random requests get replies that decode to
 * their last byte and hold only errors that exist. And what is advertised. */
#include "steps.h"

#include "../support/walk.h"

enum { ROUNDS = 12 };

/* The ranges of Apache Kafka 4.4 for the keys that are served here. */
static const struct {
    int16_t key, min, max;
} KAFKA[] = {
    { 0, 0, 13 }, { 1, 4, 18 }, { 2, 1, 11 }, { 3, 0, 13 }, { 8, 2, 10 }, { 9, 1, 10 },
    { 10, 0, 6 }, { 11, 0, 9 }, { 12, 0, 4 }, { 13, 0, 5 }, { 14, 0, 5 }, { 15, 0, 6 },
    { 16, 0, 5 }, { 18, 0, 5 }, { 19, 2, 7 }, { 20, 1, 6 }, { 21, 0, 2 }, { 22, 0, 5 },
    { 23, 2, 4 }, { 32, 1, 4 }, { 33, 0, 2 }, { 35, 1, 5 }, { 37, 0, 3 }, { 42, 0, 3 },
    { 43, 0, 2 }, { 44, 0, 1 }, { 45, 0, 1 }, { 46, 0, 0 }, { 47, 0, 0 }, { 55, 0, 2 },
    { 60, 0, 2 }, { 75, 0, 0 },
};

static struct api_versions_response *ask_versions(struct client *client, int16_t version)
{
    struct api_versions_request in = api_versions_request_default;
    in.client_software_name = text_of("test");
    in.client_software_version = text_of("1");
    in.node_id = -1;
    return CALL(client, api_versions, version, &in);
}

static void the_advertised_ranges_are_those_of_kafka(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct api_versions_response *out = ask_versions(&client, 4);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->n_api_keys, countof(KAFKA));
    for (size_t i = 0; i < countof(KAFKA); i++) {
        assert_int_equal(out->api_keys[i].api_key, KAFKA[i].key);
        assert_int_equal(out->api_keys[i].min_version, KAFKA[i].min);
        assert_int_equal(out->api_keys[i].max_version, KAFKA[i].max);
    }
    client_close(&client);
}

/* Below version 4 clients cannot take a feature whose minimum is 0. */
static void features_are_told_from_version_3_on(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct api_versions_response *v3 = ask_versions(&client, 3), *v4 = ask_versions(&client, 4);
    assert_true(v3->n_supported_features < v4->n_supported_features);
    for (int32_t i = 0; i < v3->n_supported_features; i++) {
        assert_true(v3->supported_features[i].min_version > 0);
    }
    bool found = false;
    for (int32_t i = 0; i < v4->n_finalized_features; i++) {
        if (text_is(v4->finalized_features[i].name, "metadata.version")) {
            assert_int_equal(v4->finalized_features[i].max_version_level, 33);
            found = true;
        }
    }
    assert_true(found);
    assert_true(v4->finalized_features_epoch >= 0);
    client_close(&client);
}

static void a_client_that_means_another_cluster_is_told_so(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct api_versions_request in = api_versions_request_default;
    in.client_software_name = in.client_software_version = text_of("test");
    struct describe_cluster_request ask = describe_cluster_request_default;
    struct text here = CALL(&client, describe_cluster, 1, &ask)->cluster_id;
    const struct {
        struct text cluster;
        int32_t node;
        enum kafka_error error;
    } targets[] = {
        { TEXT_NULL, -1, KAFKA_NONE },
        { here, 1, KAFKA_NONE },
        { here, 2, KAFKA_REBOOTSTRAP_REQUIRED },
        { text_of("another"), 1, KAFKA_REBOOTSTRAP_REQUIRED },
        { text_of("another"), -1, KAFKA_INVALID_REQUEST }, /* both or neither */
        { here, -1, KAFKA_INVALID_REQUEST },
        { TEXT_NULL, 1, KAFKA_INVALID_REQUEST },
    };
    for (size_t i = 0; i < countof(targets); i++) {
        in.cluster_id = targets[i].cluster;
        in.node_id = targets[i].node;
        assert_error(CALL(&client, api_versions, 5, &in)->error, targets[i].error);
    }
    client_close(&client);
}

/* ---- random requests --------------------------------------------------------------------------*/

static struct text some_text(struct prng *prng)
{
    static const char *const TEXTS[] = {
        "known", "known", "other", "absent", "1", "", "retention.ms", "cleanup.policy", "compact",
        "604800000", "INFO", "server", "bad name", "consumer",
        ".", "__cluster_metadata", "60000", "delete",
    };
    return text_of(TEXTS[prng_below(prng, countof(TEXTS))]);
}

/* Limits on what a random request may ask for, so that a test stays small: NAME, largest value. */
static const struct {
    const char *name;
    int64_t max;
} TAMED[] = {
    { "max_wait_ms", 3 }, { "timeout_ms", 2000 }, { "num_partitions", 3 }, { "count", 4 },
    { "replication_factor", 2 }, { "session_timeout_ms", 100 }, { "rebalance_timeout_ms", 100 },
};

static void tame_number(const struct wire_field *f, uint8_t kind, void *value)
{
    int16_t acks;
    for (size_t i = 0; i < countof(TAMED); i++) {
        if (strcmp(f->name, TAMED[i].name) != 0) {
            continue;
        }
        if (kind == WIRE_INT32) {
            *(int32_t *)value = (int32_t)min_i64(*(int32_t *)value, TAMED[i].max);
        } else if (kind == WIRE_INT16) {
            *(int16_t *)value = (int16_t)min_i64(*(int16_t *)value, TAMED[i].max);
        }
    }
    if (strcmp(f->name, "acks") == 0) { /* with 0 there is no answer */
        memcpy(&acks, value, sizeof acks);
        *(int16_t *)value = acks == 0 ? 1 : acks;
    }
}

static void tame(void *arg, const struct wire_field *f, uint8_t kind, void *value)
{
    struct prng *prng = arg;
    if (kind == WIRE_STRING) {
        if (((struct text *)value)->data != NULL && prng_percent(prng, 70)) {
            *(struct text *)value = some_text(prng);
        }
    } else if (kind == WIRE_INT32 && strcmp(f->name, "partition_index") == 0) {
        *(int32_t *)value = (int32_t)prng_below(prng, 3);
    } else if (kind == WIRE_INT8 && strcmp(f->name, "resource_type") == 0) {
        static const int8_t TYPES[] = { 2, 2, 4, 8, 16, 32, 99 };
        *(int8_t *)value = TYPES[prng_below(prng, countof(TYPES))];
    } else {
        tame_number(f, kind, value);
    }
}

/* Which API and version is looked through now: for the message. */
struct reply {
    const struct wire_api *api;
    int16_t version;
};

static void check_error_field(void *arg, const struct wire_field *f, uint8_t kind, void *value)
{
    const struct reply *reply = arg;
    if (!f->is_error || kind != WIRE_INT16) {
        return;
    }
    int16_t error;
    memcpy(&error, value, sizeof error);
    const char *name = kafka_error_name((enum kafka_error)error);
    if (error == KAFKA_UNKNOWN_SERVER_ERROR || strcmp(name, "UNKNOWN_ERROR_CODE") == 0) {
        fail_msg("%s v%d answers %s (%d)", reply->api->name, reply->version, name, error);
    }
}

static void ask_at_random(struct client *client, const struct wire_api *api, int16_t version,
                          struct prng *prng)
{
    struct arena arena;
    arena_init(&arena, 0);
    void *in = arena_alloc(&arena, api->request->size);
    wire_random(api->request, version, prng, &arena, in);
    walk(api->request, version, in, tame, prng);
    void *out = client_call(client, api, version, in);
    walk(api->response, version, out, check_error_field, &(struct reply){ api, version });
    client_forget(client);
    arena_release(&arena);
}

static void random_requests_of_every_version_are_answered(void **state)
{
    struct client client;
    struct prng prng;
    prng_init(&prng, 1);
    client_open(&client, *state);
    make_topic(&client, "known", 2, NULL);
    make_topic(&client, "other", 1, (const char *[]){ "cleanup.policy=compact", NULL });
    for (size_t i = 0; i < countof(KAFKA); i++) {
        const struct wire_api *api = wire_api_find(KAFKA[i].key);
        int16_t from = api->min_version > KAFKA[i].min ? api->min_version : KAFKA[i].min;
        for (int16_t version = from; version <= KAFKA[i].max; version++) {
            for (unsigned round = 0; round < ROUNDS; round++) {
                ask_at_random(&client, api, version, &prng);
            }
        }
    }
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_advertised_ranges_are_those_of_kafka),
        cmocka_unit_test(features_are_told_from_version_3_on),
        cmocka_unit_test(a_client_that_means_another_cluster_is_told_so),
        cmocka_unit_test(random_requests_of_every_version_are_answered),
    };
    return cmocka_run_group_tests(tests, start_daemon_for_groups, stop_daemon);
}
