/* FindCoordinator, DescribeCluster, DescribeQuorum, DescribeLogDirs; and the order of replies. */
#include "steps.h"

/* ---- FindCoordinator --------------------------------------------------------------------------*/

static void transactional_ids_have_no_coordinator_yet_in_any_version(void **state)
{
    struct client client;
    client_open(&client, *state);
    for (int16_t v = 1; v < 4; v++) {
        struct find_coordinator_request in = { .key = text_of("id"), .key_type = 1 };
        struct find_coordinator_response *out = CALL(&client, find_coordinator, v, &in);
        assert_error(out->error, KAFKA_COORDINATOR_NOT_AVAILABLE);
        assert_int_equal(out->node_id, -1);
        assert_int_equal(out->port, -1);
        assert_int_equal(out->host.len, 0);
    }
    for (int16_t v = 4; v <= 6; v++) {
        struct text keys[] = { text_of("one"), text_of(""), text_of("two") };
        struct find_coordinator_request in = { .key_type = 1, .coordinator_keys = keys,
                                               .n_coordinator_keys = countof(keys) };
        struct find_coordinator_response *out = CALL(&client, find_coordinator, v, &in);
        assert_int_equal(out->n_coordinators, countof(keys));
        for (size_t i = 0; i < countof(keys); i++) {
            assert_true(text_equal(out->coordinators[i].key, keys[i]));
            assert_error(out->coordinators[i].error, KAFKA_COORDINATOR_NOT_AVAILABLE);
            assert_int_equal(out->coordinators[i].node_id, -1);
        }
    }
    client_close(&client);
}

static void kinds_of_coordinators_that_do_not_exist_are_refused(void **state)
{
    static const struct {
        int16_t version;
        int8_t type;
        const char *key;
        enum kafka_error error;
    } CASES[] = {
        { 1, 7, "key", KAFKA_INVALID_REQUEST },
        { 1, 2, "key", KAFKA_INVALID_REQUEST },
        { 5, 2, "group:AAAAAAAAAAAAAAAAAAAAAQ:0", KAFKA_INVALID_REQUEST },
        { 6, 2, "group:AAAAAAAAAAAAAAAAAAAAAQ:0", KAFKA_COORDINATOR_NOT_AVAILABLE },
        { 6, 2, "group:topic:0", KAFKA_INVALID_REQUEST },
        { 6, 2, "group", KAFKA_INVALID_REQUEST },
        { 6, -1, "key", KAFKA_INVALID_REQUEST },
    };
    struct client client;
    client_open(&client, *state);
    for (size_t i = 0; i < countof(CASES); i++) {
        struct text key = text_of(CASES[i].key);
        struct find_coordinator_request in = { .key = key, .key_type = CASES[i].type,
                                               .coordinator_keys = &key,
                                               .n_coordinator_keys = 1 };
        struct find_coordinator_response *out =
            CALL(&client, find_coordinator, CASES[i].version, &in);
        assert_error(CASES[i].version < 4 ? out->error : out->coordinators[0].error,
                     CASES[i].error);
    }
    client_close(&client);
}

/* ---- DescribeCluster --------------------------------------------------------------------------*/

static void the_cluster_has_an_id_a_controller_and_this_broker(void **state)
{
    const struct daemon *daemon = *state;
    struct client client;
    client_open(&client, daemon);
    for (int16_t v = 0; v <= 2; v++) {
        struct describe_cluster_request in = describe_cluster_request_default;
        struct describe_cluster_response *out = CALL(&client, describe_cluster, v, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_true(out->cluster_id.len > 0);
        assert_int_equal(out->controller_id, 1);
        assert_int_equal(out->n_brokers, 1);
        assert_int_equal(out->brokers[0].broker_id, 1);
        assert_int_equal(out->brokers[0].port, daemon->port);
        assert_int_equal(out->cluster_authorized_operations, INT32_MIN);
        in.include_cluster_authorized_operations = true;
        out = CALL(&client, describe_cluster, v, &in);
        assert_int_equal(out->cluster_authorized_operations, 8096);
    }
    client_close(&client);
}

static void controllers_are_not_asked_for_at_a_brokers_listener(void **state)
{
    struct client client;
    struct describe_cluster_request in = describe_cluster_request_default;
    client_open(&client, *state);
    in.endpoint_type = 2;
    struct describe_cluster_response *out = CALL(&client, describe_cluster, 1, &in);
    assert_error(out->error, KAFKA_MISMATCHED_ENDPOINT_TYPE);
    assert_true(out->error_message.len > 0);
    assert_int_equal(out->n_brokers, 0);
    in.endpoint_type = 3;
    assert_error(CALL(&client, describe_cluster, 2, &in)->error, KAFKA_UNSUPPORTED_ENDPOINT_TYPE);
    client_close(&client);
}

/* ---- DescribeQuorum ---------------------------------------------------------------------------*/

static struct describe_quorum_response *ask_quorum(struct client *client, int16_t version,
                                                   const char *topic, int32_t partition)
{
    struct describe_quorum_request_partition p = { .partition_index = partition };
    struct describe_quorum_request_topic t = { .topic_name = text_of(topic), .partitions = &p,
                                               .n_partitions = 1 };
    struct describe_quorum_request in = { .topics = &t, .n_topics = 1 };
    return CALL(client, describe_quorum, version, &in);
}

static void the_quorum_is_this_node_and_it_has_everything(void **state)
{
    struct client client;
    client_open(&client, *state);
    for (int16_t v = 0; v <= 2; v++) {
        struct describe_quorum_response *out = ask_quorum(&client, v, "__cluster_metadata", 0);
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->n_topics, 1);
        struct describe_quorum_response_partition *p = out->topics[0].partitions;
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->leader_id, 1);
        assert_true(p->leader_epoch >= 1);
        assert_true(p->high_watermark > 0);
        assert_int_equal(p->n_observers, 0);
        assert_int_equal(p->n_current_voters, 1);
        assert_int_equal(p->current_voters[0].replica_id, 1);
        assert_true(p->current_voters[0].log_end_offset >= p->high_watermark);
        if (v >= 1) {
            assert_true(p->current_voters[0].last_caught_up_timestamp > 1600000000000);
        }
        assert_int_equal(out->n_nodes, v >= 2 ? 1 : 0);
    }
    client_close(&client);
}

static void only_the_metadata_partition_has_a_quorum(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct describe_quorum_response *out = ask_quorum(&client, 2, "__cluster_metadata", 1);
    assert_error(out->error, KAFKA_NONE);
    assert_error(out->topics[0].partitions[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    out = ask_quorum(&client, 2, "topic", 0);
    assert_text(out->topics[0].topic_name, "topic");
    assert_error(out->topics[0].partitions[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
}

/* ---- DescribeLogDirs --------------------------------------------------------------------------*/

static void log_dirs_tell_sizes_and_space(void **state)
{
    struct client client;
    int32_t indexes[] = { 0, 1, 7 };
    struct describe_log_dirs_request_topic topics[] = {
        { .name = text_of("measured"), .partitions = indexes, .n_partitions = countof(indexes) },
        { .name = text_of("missing"), .partitions = indexes, .n_partitions = 1 },
    };
    struct describe_log_dirs_request in = { .topics = topics, .n_topics = countof(topics) };
    client_open(&client, *state);
    make_topic(&client, "measured", 2, NULL);
    struct bytes batch = make_batch(&client, "a value", 100, 1);
    assert_error(produce(&client, 9, "measured", 0, -1, batch)->error, KAFKA_NONE);
    for (int16_t v = 1; v <= 5; v++) {
        struct describe_log_dirs_response *out = CALL(&client, describe_log_dirs, v, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->n_results, 1);
        struct describe_log_dirs_response_result *dir = &out->results[0];
        assert_error(dir->error, KAFKA_NONE);
        assert_true(text_starts_with(dir->log_dir, "/"));
        assert_int_equal(dir->n_topics, 1);
        assert_text(dir->topics[0].name, "measured");
        assert_int_equal(dir->topics[0].n_partitions, 2);
        assert_int_equal(dir->topics[0].partitions[0].partition_size, batch.len);
        assert_int_equal(dir->topics[0].partitions[0].offset_lag, 0);
        assert_false(dir->topics[0].partitions[0].is_future_key);
        assert_int_equal(dir->topics[0].partitions[1].partition_size, 0);
        assert_true(v < 4 ? dir->total_bytes == -1 : dir->total_bytes > dir->usable_bytes);
        assert_true(v < 4 || dir->usable_bytes > 0);
        assert_false(dir->is_cordoned);
    }
    client_close(&client);
}

static void null_means_all_topics_and_an_empty_list_none(void **state)
{
    struct client client;
    struct describe_log_dirs_request in = { .n_topics = -1 };
    unsigned seen = 0;
    client_open(&client, *state);
    make_topic(&client, "listed-1", 2, NULL);
    make_topic(&client, "listed-2", 1, NULL);
    struct describe_log_dirs_response *out = CALL(&client, describe_log_dirs, 4, &in);
    for (int32_t i = 0; i < out->results[0].n_topics; i++) {
        struct describe_log_dirs_response_topic *topic = &out->results[0].topics[i];
        if (text_is(topic->name, "listed-1")) {
            assert_int_equal(topic->n_partitions, 2);
            seen++;
        } else if (text_is(topic->name, "listed-2")) {
            assert_int_equal(topic->n_partitions, 1);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    in.n_topics = 0;
    assert_int_equal(CALL(&client, describe_log_dirs, 4, &in)->results[0].n_topics, 0);
    client_close(&client);
}

/* ---- order ------------------------------------------------------------------------------------*/

/* Requests of all kinds in one go, slow ones among them: replies come in their order. */
static void replies_come_in_the_order_of_the_requests(void **state)
{
    enum { N = 200 };
    struct client client;
    const struct wire_api *apis[N];
    int16_t versions[N];
    int32_t ids[N];
    client_open(&client, *state);
    make_topic(&client, "ordered", 1, NULL);
    struct fetch_request_partition fp = fetch_request_partition_default;
    struct fetch_request_topic ft = { .name = text_of("ordered"), .partitions = &fp,
                                      .n_partitions = 1 };
    struct fetch_request fetch = fetch_request_default;
    fp.partition_max_bytes = 1000;
    fp.fetch_offset = 0;
    fetch.replica_id = -1;
    fetch.max_wait_ms = 3;
    fetch.min_bytes = 1000000;
    fetch.topics = &ft;
    fetch.n_topics = 1;
    struct produce_request_partition pp = { .records.view = make_batch(&client, "v", 1, 1) };
    struct produce_request_topic pt = { .name = text_of("ordered"), .partitions = &pp,
                                        .n_partitions = 1 };
    struct produce_request put = { .acks = -1, .timeout_ms = 30000, .topics = &pt,
                                   .n_topics = 1 };
    struct metadata_request list = { .n_topics = -1 };
    struct prng prng;
    prng_init(&prng, 4);
    for (unsigned i = 0; i < N; i++) {
        const void *bodies[] = { &put, &put, &fetch, &list };
        const struct wire_api *kinds[] = { &wire_produce, &wire_produce, &wire_fetch,
                                           &wire_metadata };
        const int16_t of_kind[] = { 9, 3, 11, 12 };
        uint64_t kind = prng_below(&prng, countof(kinds));
        apis[i] = kinds[kind];
        versions[i] = of_kind[kind];
        ids[i] = client_send(&client, apis[i], versions[i], bodies[kind]);
    }
    int64_t next = 0;
    for (unsigned i = 0; i < N; i++) {
        void *out = client_receive(&client, apis[i], versions[i], ids[i]);
        if (apis[i] == &wire_produce) { /* appended in the order in which they were sent */
            struct produce_response *p = out;
            assert_error(p->topics[0].partitions[0].error, KAFKA_NONE);
            assert_int_equal(p->topics[0].partitions[0].base_offset, next++);
        }
    }
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactional_ids_have_no_coordinator_yet_in_any_version),
        cmocka_unit_test(kinds_of_coordinators_that_do_not_exist_are_refused),
        cmocka_unit_test(the_cluster_has_an_id_a_controller_and_this_broker),
        cmocka_unit_test(controllers_are_not_asked_for_at_a_brokers_listener),
        cmocka_unit_test(the_quorum_is_this_node_and_it_has_everything),
        cmocka_unit_test(only_the_metadata_partition_has_a_quorum),
        cmocka_unit_test(log_dirs_tell_sizes_and_space),
        cmocka_unit_test(null_means_all_topics_and_an_empty_list_none),
        cmocka_unit_test(replies_come_in_the_order_of_the_requests),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
