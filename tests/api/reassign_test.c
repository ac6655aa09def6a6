/* ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments against one broker: what
 * needs several is in tests/cluster. */
#include "steps.h"

/* ---- ElectLeaders -----------------------------------------------------------------------------*/

static struct elect_leaders_response *elect(struct client *client, int16_t version, int8_t type,
                                            struct elect_leaders_request_topic *topics, int32_t n)
{
    struct elect_leaders_request in = elect_leaders_request_default;
    in.election_type = type;
    in.topics = topics;
    in.n_topics = n;
    return CALL(client, elect_leaders, version, &in);
}

static void elections_that_are_not_needed_are_said_so_in_every_version(void **state)
{
    struct client client;
    int32_t partitions[] = { 0, 7 };
    struct elect_leaders_request_topic topics[] = {
        { .name = text_of("elected"), .partitions = partitions, .n_partitions = 2 },
        { .name = text_of("absent"), .partitions = partitions, .n_partitions = 1 },
    };
    client_open(&client, *state);
    make_topic(&client, "elected", 1, NULL);
    for (int16_t v = 0; v <= 2; v++) {
        for (int8_t type = 0; type <= (v > 0); type++) {
            struct elect_leaders_response *out = elect(&client, v, type, topics, 2);
            assert_error(out->error, KAFKA_NONE);
            assert_int_equal(out->n_replica_election_results, 2);
            struct elect_leaders_response_topic *r = out->replica_election_results;
            assert_text(r[0].name, "elected");
            assert_error(r[0].partition_results[0].error, KAFKA_ELECTION_NOT_NEEDED);
            assert_int_equal(r[0].partition_results[1].partition_id, 7);
            assert_error(r[0].partition_results[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
            assert_non_null(r[0].partition_results[1].error_message.data);
            assert_error(r[1].partition_results[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        }
        struct elect_leaders_response *all = elect(&client, v, 0, NULL, -1);
        assert_error(all->error, KAFKA_NONE);
        assert_int_equal(all->n_replica_election_results, 0); /* nothing needs one */
    }
    client_close(&client);
}

static void elections_that_make_no_sense_are_refused(void **state)
{
    struct client client;
    int32_t twice[] = { 0, 0 };
    struct elect_leaders_request_topic topics[] = {
        { .name = text_of("a"), .partitions = twice, .n_partitions = 2 },
        { .name = text_of("a"), .partitions = twice, .n_partitions = 1 },
    };
    client_open(&client, *state);
    assert_error(elect(&client, 2, 0, topics, 1)->error, KAFKA_INVALID_REQUEST);
    topics[0].n_partitions = 1;
    assert_error(elect(&client, 2, 0, topics, 2)->error, KAFKA_INVALID_REQUEST);
    assert_error(elect(&client, 2, 2, topics, 1)->error, KAFKA_INVALID_REQUEST);
    assert_error(elect(&client, 2, -1, topics, 1)->error, KAFKA_INVALID_REQUEST);
    client_close(&client);
}

/* ---- moves ------------------------------------------------------------------------------------*/

static struct alter_partition_reassignments_response *
move(struct client *client, int16_t version, const char *topic, int32_t partition,
     int32_t *replicas, int32_t n)
{
    struct alter_partition_reassignments_request in =
        alter_partition_reassignments_request_default;
    struct alter_partition_reassignments_request_partition p =
        alter_partition_reassignments_request_partition_default;
    struct alter_partition_reassignments_request_topic t = { .name = text_of(topic),
                                                             .partitions = &p,
                                                             .n_partitions = 1 };
    p.partition_index = partition;
    p.replicas = replicas;
    p.n_replicas = n;
    in.allow_replication_factor_change = version == 0;
    in.topics = &t;
    in.n_topics = 1;
    return CALL(client, alter_partition_reassignments, version, &in);
}

static void moves_are_answered_in_every_version(void **state)
{
    struct client client;
    int32_t here[] = { 1 }, nowhere[] = { 1, 9 };
    client_open(&client, *state);
    make_topic(&client, "moved", 1, NULL);
    const struct {
        const char *topic;
        int32_t partition, *replicas, n;
        enum kafka_error error;
    } cases[] = {
        { "moved", 0, here, 1, KAFKA_NONE },
        { "moved", 0, nowhere, 2, KAFKA_INVALID_REPLICA_ASSIGNMENT },
        { "moved", 0, here, 0, KAFKA_INVALID_REPLICA_ASSIGNMENT },
        { "moved", 0, NULL, -1, KAFKA_NO_REASSIGNMENT_IN_PROGRESS },
        { "moved", 1, here, 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION },
        { "moved", -1, here, 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION },
        { "absent", 0, here, 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION },
    };
    for (int16_t v = 0; v <= 1; v++) {
        for (size_t i = 0; i < countof(cases); i++) {
            struct alter_partition_reassignments_response *out =
                move(&client, v, cases[i].topic, cases[i].partition, cases[i].replicas,
                     cases[i].n);
            assert_error(out->error, KAFKA_NONE);
            assert_int_equal(out->n_topics, 1);
            assert_text(out->topics[0].name, cases[i].topic);
            assert_int_equal(out->topics[0].partitions[0].partition_index, cases[i].partition);
            assert_error(out->topics[0].partitions[0].error, cases[i].error);
            assert_int_equal(out->topics[0].partitions[0].error_message.data != NULL,
                             cases[i].error != KAFKA_NONE);
        }
    }
    client_close(&client);
}

static void what_moves_is_listed(void **state)
{
    struct client client;
    int32_t partitions[] = { 0, 0, 5, -1 };
    struct list_partition_reassignments_request_topic topics[] = {
        { .name = text_of("still"), .partition_indexes = partitions, .n_partition_indexes = 4 },
        { .name = text_of("absent"), .partition_indexes = partitions, .n_partition_indexes = 4 },
    };
    struct list_partition_reassignments_request in = list_partition_reassignments_request_default;
    client_open(&client, *state);
    make_topic(&client, "still", 1, NULL);
    for (int i = 0; i < 2; i++) {
        in.topics = i ? topics : NULL;
        in.n_topics = i ? 2 : -1;
        struct list_partition_reassignments_response *out =
            CALL(&client, list_partition_reassignments, 0, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->n_topics, 0); /* a cluster of one has nowhere to go */
    }
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elections_that_are_not_needed_are_said_so_in_every_version),
        cmocka_unit_test(elections_that_make_no_sense_are_refused),
        cmocka_unit_test(moves_are_answered_in_every_version),
        cmocka_unit_test(what_moves_is_listed),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
