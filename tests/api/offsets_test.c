/* ListOffsets, OffsetForLeaderEpoch and DeleteRecords: where a log begins and ends, and when. */
#include "steps.h"

/* ---- ListOffsets ------------------------------------------------------------------------------*/

static struct list_offsets_response_partition *ask(struct client *client, int16_t version,
                                                   const char *topic, int32_t partition,
                                                   int32_t leader_epoch, int64_t timestamp)
{
    struct list_offsets_request_partition p = {
        .partition_index = partition,
        .current_leader_epoch = leader_epoch,
        .timestamp = timestamp,
    };
    struct list_offsets_request_topic t = { .name = text_of(topic), .partitions = &p,
                                            .n_partitions = 1 };
    struct list_offsets_request in = { .replica_id = -1, .topics = &t, .n_topics = 1,
                                       .timeout_ms = 1000 };
    return &CALL(client, list_offsets, version, &in)->topics[0].partitions[0];
}

static void an_empty_log_begins_and_ends_at_0(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "empty", 1, NULL);
    for (int16_t v = 1; v <= 11; v++) {
        assert_int_equal(ask(&client, v, "empty", 0, -1, -1)->offset, 0);
        assert_int_equal(ask(&client, v, "empty", 0, -1, -2)->offset, 0);
        struct list_offsets_response_partition *none = ask(&client, v, "empty", 0, -1, 5);
        assert_error(none->error, KAFKA_NONE);
        assert_int_equal(none->offset, -1);
        assert_int_equal(none->timestamp, -1);
    }
    assert_int_equal(ask(&client, 7, "empty", 0, -1, -3)->offset, -1);
    client_close(&client);
}

/* Three batches: times 1000–1004, 3000–3004 and 2000–2004. */
static void fill(struct client *client, const char *topic)
{
    static const int64_t TIMES[] = { 1000, 3000, 2000 };
    make_topic(client, topic, 1, (const char *[]){ "retention.ms=-1", NULL });
    for (size_t i = 0; i < countof(TIMES); i++) {
        struct bytes batch = make_batch(client, "v", 5, TIMES[i]);
        assert_error(produce(client, 9, topic, 0, -1, batch)->error, KAFKA_NONE);
    }
}

static void offsets_are_found_by_time(void **state)
{
    static const struct {
        int64_t timestamp, offset, found;
    } CASES[] = {
        { 0, 0, 1000 },    { 1000, 0, 1000 }, { 1002, 2, 1002 },  { 1005, 5, 3000 },
        { 2001, 5, 3000 }, { 3004, 9, 3004 }, { 3005, -1, -1 },
    };
    struct client client;
    client_open(&client, *state);
    fill(&client, "by-time");
    for (size_t i = 0; i < countof(CASES); i++) {
        struct list_offsets_response_partition *p =
            ask(&client, 7, "by-time", 0, -1, CASES[i].timestamp);
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->offset, CASES[i].offset);
        assert_int_equal(p->timestamp, CASES[i].found);
        assert_int_equal(p->leader_epoch >= 0, CASES[i].offset >= 0);
    }
    client_close(&client);
}

static void special_times_need_their_versions(void **state)
{
    static const struct {
        int64_t timestamp;
        int16_t since;
        int64_t offset;
    } CASES[] = {
        { -1, 1, 15 }, { -2, 1, 0 }, { -3, 7, 9 }, { -4, 8, 0 }, { -5, 9, -1 }, { -6, 11, -1 },
        { -7, 99, -1 }, { INT64_MIN, 99, -1 },
    };
    struct client client;
    client_open(&client, *state);
    fill(&client, "special");
    for (size_t i = 0; i < countof(CASES); i++) {
        for (int16_t v = 1; v <= 11; v++) {
            struct list_offsets_response_partition *p =
                ask(&client, v, "special", 0, -1, CASES[i].timestamp);
            bool known = v >= CASES[i].since;
            assert_error(p->error, known ? KAFKA_NONE : KAFKA_UNSUPPORTED_VERSION);
            assert_int_equal(p->offset, known ? CASES[i].offset : -1);
        }
    }
    assert_int_equal(ask(&client, 7, "special", 0, -1, -3)->timestamp, 3004);
    client_close(&client);
}

static void leader_epochs_of_clients_are_checked(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "fenced", 1, NULL);
    struct list_offsets_response_partition *p = ask(&client, 7, "fenced", 0, -1, -1);
    int32_t epoch = p->leader_epoch;
    assert_true(epoch >= 0);
    assert_error(ask(&client, 7, "fenced", 0, epoch, -1)->error, KAFKA_NONE);
    assert_error(ask(&client, 7, "fenced", 0, epoch + 1, -1)->error, KAFKA_UNKNOWN_LEADER_EPOCH);
    if (epoch > 0) {
        assert_error(ask(&client, 7, "fenced", 0, epoch - 1, -1)->error,
                     KAFKA_FENCED_LEADER_EPOCH);
    }
    assert_error(ask(&client, 7, "fenced", 1, -1, -1)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(ask(&client, 7, "missing", 0, -1, -1)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
}

/* ---- OffsetForLeaderEpoch ---------------------------------------------------------------------*/

static struct offset_for_leader_epoch_response_partition *
ask_epoch(struct client *client, int16_t version, const char *topic, int32_t partition,
          int32_t current, int32_t epoch)
{
    struct offset_for_leader_epoch_request_partition p = {
        .partition_index = partition,
        .current_leader_epoch = current,
        .leader_epoch = epoch,
    };
    struct offset_for_leader_epoch_request_topic t = { .name = text_of(topic), .partitions = &p,
                                                       .n_partitions = 1 };
    struct offset_for_leader_epoch_request in = { .replica_id = -1, .topics = &t,
                                                  .n_topics = 1 };
    return &CALL(client, offset_for_leader_epoch, version, &in)->topics[0].partitions[0];
}

static void an_epoch_ends_where_the_next_begins(void **state)
{
    struct daemon daemon;
    struct client client;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    make_topic(&client, "epochs", 1, NULL);
    produce_some(&client, "epochs", 0, 3);
    int32_t first = ask(&client, 7, "epochs", 0, -1, -1)->leader_epoch;
    for (int16_t v = 2; v <= 4; v++) {
        struct offset_for_leader_epoch_response_partition *p =
            ask_epoch(&client, v, "epochs", 0, -1, first);
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->leader_epoch, first);
        assert_int_equal(p->end_offset, 3);
    }
    assert_int_equal(ask_epoch(&client, 4, "epochs", 0, -1, first + 7)->end_offset, -1);
    assert_error(ask_epoch(&client, 4, "epochs", 0, first + 1, first)->error,
                 KAFKA_UNKNOWN_LEADER_EPOCH);
    assert_error(ask_epoch(&client, 4, "missing", 0, -1, 0)->error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);

    daemon_kill(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    produce_some(&client, "epochs", 0, 2);
    int32_t second = ask(&client, 7, "epochs", 0, -1, -1)->leader_epoch;
    assert_true(second >= first);
    struct offset_for_leader_epoch_response_partition *p =
        ask_epoch(&client, 4, "epochs", 0, -1, first);
    assert_int_equal(p->end_offset, second > first ? 3 : 5);
    /* The epoch in an answer is that of the record found, not the leader's. */
    assert_int_equal(ask(&client, 7, "epochs", 0, -1, -2)->leader_epoch, first);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

/* ---- DeleteRecords ----------------------------------------------------------------------------*/

static struct delete_records_response_partition *trim(struct client *client, const char *topic,
                                                      int32_t partition, int64_t offset)
{
    struct delete_records_request_partition p = { .partition_index = partition,
                                                  .offset = offset };
    struct delete_records_request_topic t = { .name = text_of(topic), .partitions = &p,
                                              .n_partitions = 1 };
    struct delete_records_request in = { .topics = &t, .n_topics = 1, .timeout_ms = 30000 };
    struct delete_records_response *out = CALL(client, delete_records, 2, &in);
    assert_int_equal(out->n_topics, 1);
    assert_text(out->topics[0].name, topic);
    assert_int_equal(out->topics[0].partitions[0].partition_index, partition);
    return &out->topics[0].partitions[0];
}

static void the_log_start_moves_up_and_never_back(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "trimmed", 1, NULL);
    produce_some(&client, "trimmed", 0, 10);
    static const int64_t STEPS[][2] = { { 0, 0 }, { 4, 4 }, { 2, 4 }, { 4, 4 }, { -1, 10 } };
    for (size_t i = 0; i < countof(STEPS); i++) {
        struct delete_records_response_partition *p = trim(&client, "trimmed", 0, STEPS[i][0]);
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->low_watermark, STEPS[i][1]);
        assert_int_equal(list_offset(&client, "trimmed", 0, -2), STEPS[i][1]);
    }
    assert_int_equal(produce_some(&client, "trimmed", 0, 1), 10); /* the log goes on */
    client_close(&client);
}

static void offsets_that_are_not_in_the_log_are_out_of_range(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "bounded", 1, NULL);
    produce_some(&client, "bounded", 0, 3);
    static const int64_t WRONG[] = { 4, INT64_MAX, -2, INT64_MIN };
    for (size_t i = 0; i < countof(WRONG); i++) {
        struct delete_records_response_partition *p = trim(&client, "bounded", 0, WRONG[i]);
        assert_error(p->error, KAFKA_OFFSET_OUT_OF_RANGE);
        assert_int_equal(p->low_watermark, -1);
    }
    assert_error(trim(&client, "bounded", 1, 0)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(trim(&client, "bounded", -1, 0)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(trim(&client, "missing", 0, 0)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(list_offset(&client, "bounded", 0, -2), 0);
    client_close(&client);
}

static void topics_that_are_only_compacted_keep_their_records(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "compacted", 1, (const char *[]){ "cleanup.policy=compact", NULL });
    make_topic(&client, "both", 1, (const char *[]){ "cleanup.policy=compact,delete", NULL });
    make_topic(&client, "kept", 1, (const char *[]){ "cleanup.policy=", NULL });
    assert_error(trim(&client, "compacted", 0, 0)->error, KAFKA_POLICY_VIOLATION);
    assert_error(trim(&client, "both", 0, 0)->error, KAFKA_NONE);
    assert_error(trim(&client, "kept", 0, 0)->error, KAFKA_NONE);
    client_close(&client);
}

static void many_partitions_are_answered_each_by_itself(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "wide", 3, NULL);
    produce_some(&client, "wide", 0, 2);
    produce_some(&client, "wide", 2, 5);
    struct delete_records_request_partition parts[] = { { 0, 1 }, { 1, 1 }, { 2, -1 }, { 9, 0 } };
    struct delete_records_request_topic topics[] = {
        { .name = text_of("wide"), .partitions = parts, .n_partitions = countof(parts) },
        { .name = text_of("missing"), .partitions = parts, .n_partitions = 1 },
        { .name = text_of("wide"), .partitions = parts, .n_partitions = 0 },
    };
    struct delete_records_request in = { .topics = topics, .n_topics = countof(topics),
                                         .timeout_ms = 30000 };
    struct delete_records_response *out = CALL(&client, delete_records, 0, &in);
    assert_int_equal(out->n_topics, 2);
    struct delete_records_response_partition *p = out->topics[0].partitions;
    assert_error(p[0].error, KAFKA_NONE);
    assert_int_equal(p[0].low_watermark, 1);
    assert_error(p[1].error, KAFKA_OFFSET_OUT_OF_RANGE);
    assert_error(p[2].error, KAFKA_NONE);
    assert_int_equal(p[2].low_watermark, 5);
    assert_error(p[3].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(out->topics[1].partitions[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
}

static void a_time_out_of_0_leaves_the_disk_its_time(void **state)
{
    struct client client;
    struct delete_records_request_partition p = { .offset = 2 };
    struct delete_records_request_topic t = { .name = text_of("hasty"), .partitions = &p,
                                              .n_partitions = 1 };
    struct delete_records_request in = { .topics = &t, .n_topics = 1, .timeout_ms = 0 };
    client_open(&client, *state);
    make_topic(&client, "hasty", 1, NULL);
    produce_some(&client, "hasty", 0, 3);
    struct delete_records_response *out = CALL(&client, delete_records, 1, &in);
    assert_error(out->topics[0].partitions[0].error, KAFKA_NONE);
    assert_int_equal(out->topics[0].partitions[0].low_watermark, 2);
    client_close(&client);
}

static void an_answered_log_start_survives_kill_9(void **state)
{
    struct daemon daemon;
    struct client client;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    make_topic(&client, "lasting", 1, NULL);
    produce_some(&client, "lasting", 0, 10);
    assert_error(trim(&client, "lasting", 0, 6)->error, KAFKA_NONE);
    client_close(&client);
    daemon_kill(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    assert_int_equal(list_offset(&client, "lasting", 0, -2), 6);
    assert_int_equal(list_offset(&client, "lasting", 0, -1), 10);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_log_begins_and_ends_at_0),
        cmocka_unit_test(offsets_are_found_by_time),
        cmocka_unit_test(special_times_need_their_versions),
        cmocka_unit_test(leader_epochs_of_clients_are_checked),
        cmocka_unit_test(an_epoch_ends_where_the_next_begins),
        cmocka_unit_test(the_log_start_moves_up_and_never_back),
        cmocka_unit_test(offsets_that_are_not_in_the_log_are_out_of_range),
        cmocka_unit_test(topics_that_are_only_compacted_keep_their_records),
        cmocka_unit_test(many_partitions_are_answered_each_by_itself),
        cmocka_unit_test(a_time_out_of_0_leaves_the_disk_its_time),
        cmocka_unit_test(an_answered_log_start_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
