/* CreateTopics, DeleteTopics, CreatePartitions, Metadata and DescribeTopicPartitions: topics
 * come, are seen, and go. */
#include "steps.h"

/* ---- creating ---------------------------------------------------------------------------------*/

/* One topic of a CreateTopics request; what is not said has its default. */
struct wish {
    const char *name;
    int32_t partitions;
    int16_t replication;
    const char *config, *value;
    const int32_t *assigned; /* for partition 0, 1, …: one broker each; -1 ends */
};

static struct create_topics_response *create(struct client *client, int16_t version,
                                             bool validate_only, const struct wish *wishes,
                                             size_t n)
{
    struct create_topics_request in = create_topics_request_default;
    struct create_topics_request_topic *topics =
        arena_zalloc_array(&client->arena, n, sizeof *topics);
    for (size_t i = 0; i < n; i++) {
        topics[i].name = text_of(wishes[i].name);
        topics[i].num_partitions = wishes[i].partitions;
        topics[i].replication_factor = wishes[i].replication;
        if (wishes[i].config != NULL) {
            topics[i].configs = arena_zalloc(&client->arena, sizeof *topics[i].configs);
            topics[i].configs->name = text_of(wishes[i].config);
            topics[i].configs->value = text_of(wishes[i].value);
            topics[i].n_configs = 1;
        }
        for (const int32_t *id = wishes[i].assigned; id != NULL && *id >= 0; id++) {
            topics[i].n_assignments++;
        }
        topics[i].assignments = arena_zalloc_array(
            &client->arena, (size_t)topics[i].n_assignments, sizeof *topics[i].assignments);
        for (int32_t k = 0; k < topics[i].n_assignments; k++) {
            topics[i].assignments[k].partition_index = k;
            topics[i].assignments[k].broker_ids =
                arena_dup(&client->arena, &wishes[i].assigned[k], sizeof(int32_t));
            topics[i].assignments[k].n_broker_ids = 1;
        }
    }
    in.topics = topics;
    in.n_topics = (int32_t)n;
    in.timeout_ms = 30000;
    in.validate_only = validate_only;
    return CALL(client, create_topics, version, &in);
}

static struct metadata_response_topic *describe(struct client *client, const char *name)
{
    struct metadata_request_topic topic = metadata_request_topic_default;
    struct metadata_request in = metadata_request_default;
    topic.name = text_of(name);
    in.topics = &topic;
    in.n_topics = 1;
    in.allow_auto_topic_creation = false;
    return &CALL(client, metadata, 12, &in)->topics[0];
}

static void a_created_topic_is_there_at_once_with_leaders_for_all_partitions(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "created", 7, NULL);
    struct metadata_response_topic *topic = describe(&client, "created");
    assert_error(topic->error, KAFKA_NONE);
    assert_true(uuid_equal(&topic->topic_id, &id));
    assert_int_equal(topic->n_partitions, 7);
    for (int32_t i = 0; i < 7; i++) {
        assert_int_equal(topic->partitions[i].partition_index, i);
        assert_error(topic->partitions[i].error, KAFKA_NONE);
        assert_true(topic->partitions[i].leader_id >= 0);
        assert_int_equal(topic->partitions[i].n_replica_nodes, 1);
        assert_int_equal(topic->partitions[i].n_isr_nodes, 1);
        assert_int_equal(topic->partitions[i].n_offline_replicas, 0);
    }
    client_close(&client);
}

static void minus_one_asks_for_the_configured_numbers(void **state)
{
    static const int16_t VERSIONS[] = { 2, 4, 7 };
    struct client client;
    client_open(&client, *state);
    for (size_t i = 0; i < countof(VERSIONS); i++) {
        char name[32];
        snprintf(name, sizeof name, "defaults-%zu", i);
        const struct wish wish = { .name = name, .partitions = -1, .replication = -1 };
        struct create_topics_response *out = create(&client, VERSIONS[i], false, &wish, 1);
        assert_error(out->topics[0].error, KAFKA_NONE);
        assert_int_equal(describe(&client, name)->n_partitions, 1);
    }
    client_close(&client);
}

static void the_answer_tells_numbers_id_and_configs(void **state)
{
    struct client client;
    client_open(&client, *state);
    const struct wish wish = { "told", 3, -1, "retention.ms", "1000", NULL };
    struct create_topics_response_topic *topic = create(&client, 7, false, &wish, 1)->topics;
    assert_error(topic->error, KAFKA_NONE);
    assert_null(topic->error_message.data);
    assert_false(uuid_is_zero(&topic->topic_id));
    assert_int_equal(topic->num_partitions, 3);
    assert_int_equal(topic->replication_factor, 1);
    assert_int_equal(topic->topic_config_error, 0);
    unsigned seen = 0;
    for (int32_t i = 0; i < topic->n_configs; i++) {
        struct create_topics_response_config *c = &topic->configs[i];
        assert_non_null(c->value.data); /* null values crash ksqlDB */
        if (text_is(c->name, "retention.ms")) {
            assert_text(c->value, "1000");
            assert_int_equal(c->config_source, 1);
            seen++;
        } else if (text_is(c->name, "cleanup.policy")) {
            assert_text(c->value, "delete");
            assert_int_equal(c->config_source, 5);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    client_close(&client);
}

static void each_topic_of_a_batch_has_an_error_of_its_own(void **state)
{
    char longest[250] = { 0 }, too_long[251] = { 0 };
    static const int32_t HERE[] = { 1, -1 }, NOBODY[] = { 77, -1 };
    struct client client;
    client_open(&client, *state);
    memset(longest, 'a', 249);
    memset(too_long, 'b', 250);
    make_topic(&client, "taken", 1, NULL);
    make_topic(&client, "dotted.name", 1, NULL);
    const struct wish wishes[] = {
        { .name = "taken", .partitions = 1, .replication = 1 },
        { .name = "fine", .partitions = 1, .replication = 1 },
        { "odd-config", 1, 1, "no.such.config", "1", NULL },
        { "odd-value", 1, 1, "retention.ms", "soon", NULL },
        { "null-value", 1, 1, "retention.ms", NULL, NULL },
        { .name = "a name", .partitions = 1, .replication = 1 },
        { .name = ".", .partitions = 1, .replication = 1 },
        { .name = "..", .partitions = 1, .replication = 1 },
        { .name = "", .partitions = 1, .replication = 1 },
        { .name = longest, .partitions = 1, .replication = 1 },
        { .name = too_long, .partitions = 1, .replication = 1 },
        { .name = "dotted_name", .partitions = 1, .replication = 1 },
        { .name = "replicas-2", .partitions = 1, .replication = 2 },
        { .name = "replicas-0", .partitions = 1, .replication = 0 },
        { .name = "partitions-0", .partitions = 0, .replication = 1 },
        { .name = "partitions-5", .partitions = -5, .replication = 1 },
        { "assigned", -1, -1, NULL, NULL, HERE },
        { "assigned-elsewhere", -1, -1, NULL, NULL, NOBODY },
        { "assigned-and-counted", 1, -1, NULL, NULL, HERE },
        { "assigned-and-replicated", -1, 1, NULL, NULL, HERE },
        { .name = "__cluster_metadata", .partitions = 1, .replication = 1 },
    };
    static const enum kafka_error ERRORS[] = {
        KAFKA_TOPIC_ALREADY_EXISTS,
        KAFKA_NONE,
        KAFKA_INVALID_CONFIG,
        KAFKA_INVALID_CONFIG,
        KAFKA_INVALID_CONFIG,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_NONE,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_INVALID_TOPIC_EXCEPTION,
        KAFKA_INVALID_REPLICATION_FACTOR,
        KAFKA_INVALID_REPLICATION_FACTOR,
        KAFKA_INVALID_PARTITIONS,
        KAFKA_INVALID_PARTITIONS,
        KAFKA_NONE,
        KAFKA_INVALID_REPLICA_ASSIGNMENT,
        KAFKA_INVALID_REQUEST,
        KAFKA_INVALID_REQUEST,
        KAFKA_INVALID_REQUEST,
    };
    _Static_assert(countof(wishes) == countof(ERRORS), "one error for each");
    for (int pass = 0; pass < 2; pass++) { /* to check and to do are answered alike */
        struct create_topics_response *out =
            create(&client, 7, pass == 0, wishes, countof(wishes));
        assert_int_equal(out->n_topics, countof(wishes));
        for (size_t i = 0; i < countof(wishes); i++) {
            assert_text(out->topics[i].name, wishes[i].name);
            assert_error(out->topics[i].error, ERRORS[i]);
            assert_int_equal(out->topics[i].error_message.data != NULL, ERRORS[i] != KAFKA_NONE);
        }
        assert_error(describe(&client, "fine")->error,
                     pass == 0 ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NONE);
    }
    client_close(&client);
}

static void a_name_that_comes_twice_is_refused_and_answered_once(void **state)
{
    struct client client;
    client_open(&client, *state);
    const struct wish wishes[] = {
        { .name = "twice", .partitions = 1, .replication = 1 },
        { .name = "once", .partitions = 1, .replication = 1 },
        { .name = "twice", .partitions = 2, .replication = 1 },
    };
    struct create_topics_response *out = create(&client, 5, false, wishes, countof(wishes));
    assert_int_equal(out->n_topics, 2);
    assert_text(out->topics[0].name, "twice");
    assert_error(out->topics[0].error, KAFKA_INVALID_REQUEST);
    assert_error(out->topics[1].error, KAFKA_NONE);
    assert_error(describe(&client, "twice")->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
}

static struct create_partitions_response_result *grow(struct client *client, const char *name,
                                                      int32_t count, int32_t n_assignments);

static void more_partitions_than_a_batch_may_make_are_refused(void **state)
{
    struct client client;
    client_open(&client, *state);
    const struct wish wishes[] = {
        { .name = "huge-1", .partitions = 6000, .replication = 1 },
        { .name = "huge-2", .partitions = 6000, .replication = 1 },
        { .name = "huge-3", .partitions = INT32_MAX, .replication = 1 },
    };
    for (size_t first = 0; first < countof(wishes); first += 2) {
        size_t n = first == 0 ? 2 : 1;
        struct create_topics_response *out = create(&client, 7, false, &wishes[first], n);
        for (size_t i = 0; i < n; i++) {
            assert_error(out->topics[i].error, KAFKA_POLICY_VIOLATION);
            assert_error(describe(&client, wishes[first + i].name)->error,
                         KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
    make_topic(&client, "small", 1, NULL);
    assert_error(grow(&client, "small", INT32_MAX, -1)->error, KAFKA_POLICY_VIOLATION);
    client_close(&client);
}

/* ---- auto-creation ----------------------------------------------------------------------------*/

static void metadata_creates_what_a_client_allows_it_to(void **state)
{
    struct client client;
    struct metadata_request_topic topic = metadata_request_topic_default;
    struct metadata_request in = metadata_request_default;
    client_open(&client, *state);
    topic.name = text_of("by-itself");
    in.topics = &topic;
    in.n_topics = 1;
    in.allow_auto_topic_creation = false;
    assert_error(CALL(&client, metadata, 9, &in)->topics[0].error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    in.allow_auto_topic_creation = true;
    struct metadata_response *out = CALL(&client, metadata, 9, &in);
    for (int i = 0; i < 50 && out->topics[0].error == KAFKA_LEADER_NOT_AVAILABLE; i++) {
        out = CALL(&client, metadata, 9, &in);
    }
    assert_error(out->topics[0].error, KAFKA_NONE);
    assert_int_equal(out->topics[0].n_partitions, 1);
    topic.name = text_of("not a name");
    assert_error(CALL(&client, metadata, 9, &in)->topics[0].error, KAFKA_INVALID_TOPIC_EXCEPTION);
    client_close(&client);
}

/* ---- partitions -------------------------------------------------------------------------------*/

static struct create_partitions_response_result *grow(struct client *client, const char *name,
                                                      int32_t count, int32_t n_assignments)
{
    static int32_t here[] = { 1 };
    struct create_partitions_request_assignment assignments[4];
    struct create_partitions_request_topic topic = create_partitions_request_topic_default;
    struct create_partitions_request in = create_partitions_request_default;
    for (size_t i = 0; i < countof(assignments); i++) {
        assignments[i].broker_ids = here;
        assignments[i].n_broker_ids = 1;
    }
    topic.name = text_of(name);
    topic.count = count;
    topic.assignments = n_assignments < 0 ? NULL : assignments;
    topic.n_assignments = n_assignments;
    in.topics = &topic;
    in.n_topics = 1;
    in.timeout_ms = 30000;
    struct create_partitions_response *out = CALL(client, create_partitions, 3, &in);
    assert_int_equal(out->n_results, 1);
    assert_text(out->results[0].name, name);
    return &out->results[0];
}

static void topics_get_more_partitions_never_fewer(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "growing", 1, NULL);
    assert_error(grow(&client, "growing", 3, -1)->error, KAFKA_NONE);
    assert_int_equal(describe(&client, "growing")->n_partitions, 3);
    assert_error(grow(&client, "growing", 5, 2)->error, KAFKA_NONE);
    assert_int_equal(describe(&client, "growing")->n_partitions, 5);
    assert_error(grow(&client, "growing", 5, -1)->error, KAFKA_INVALID_PARTITIONS);
    assert_error(grow(&client, "growing", 4, -1)->error, KAFKA_INVALID_PARTITIONS);
    assert_error(grow(&client, "growing", -1, -1)->error, KAFKA_INVALID_PARTITIONS);
    assert_error(grow(&client, "growing", 7, 1)->error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_error(grow(&client, "growing", 7, 0)->error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_error(grow(&client, "missing", 7, -1)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(describe(&client, "growing")->n_partitions, 5);
    produce_some(&client, "growing", 4, 1); /* the new ones work */
    client_close(&client);
}

static void checking_partitions_makes_none(void **state)
{
    struct client client;
    struct create_partitions_request_topic topics[3];
    struct create_partitions_request in = create_partitions_request_default;
    client_open(&client, *state);
    make_topic(&client, "checked", 1, NULL);
    for (size_t i = 0; i < countof(topics); i++) {
        topics[i] = create_partitions_request_topic_default;
        topics[i].name = text_of(i == 0 ? "checked" : "named-twice");
        topics[i].count = 9;
        topics[i].n_assignments = -1;
    }
    in.topics = topics;
    in.n_topics = countof(topics);
    in.timeout_ms = 30000;
    in.validate_only = true;
    struct create_partitions_response *out = CALL(&client, create_partitions, 3, &in);
    assert_int_equal(out->n_results, 2);
    assert_error(out->results[0].error, KAFKA_NONE);
    assert_error(out->results[1].error, KAFKA_INVALID_REQUEST);
    assert_int_equal(describe(&client, "checked")->n_partitions, 1);
    client_close(&client);
}

/* ---- deleting ---------------------------------------------------------------------------------*/

static void topics_are_deleted_by_name(void **state)
{
    struct client client;
    struct text names[] = { text_of("goes-by-name"), text_of("missing") };
    struct delete_topics_request in = delete_topics_request_default;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "goes-by-name", 2, NULL);
    in.topic_names = names;
    in.n_topic_names = countof(names);
    in.timeout_ms = 30000;
    struct delete_topics_response *out = CALL(&client, delete_topics, 5, &in);
    assert_int_equal(out->n_topics, 2);
    assert_text(out->topics[0].name, "goes-by-name");
    assert_error(out->topics[0].error, KAFKA_NONE);
    assert_error(out->topics[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(describe(&client, "goes-by-name")->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* The name may come again, as another topic. */
    struct uuid again = make_topic(&client, "goes-by-name", 1, NULL);
    assert_false(uuid_equal(&id, &again));
    assert_int_equal(list_offset(&client, "goes-by-name", 0, -1), 0);
    client_close(&client);
}

static void topics_are_deleted_by_id_and_every_odd_request_is_told_apart(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "goes-by-id", 1, NULL);
    struct uuid other = make_topic(&client, "both-ways", 1, NULL);
    const struct uuid nobody = { { 1, 2, 3 } };
    struct delete_topics_request_topic topics[] = {
        { .name = TEXT_NULL, .topic_id = id },
        { .name = TEXT_NULL, .topic_id = nobody },
        { .name = TEXT_NULL },
        { .name = text_of("both-ways"), .topic_id = nobody },
        { .name = text_of("both-ways") },
        { .name = TEXT_NULL, .topic_id = other },
        { .name = text_of("twice") },
        { .name = text_of("twice") },
        { .name = text_of("missing") },
    };
    static const enum kafka_error ERRORS[] = {
        KAFKA_NONE,
        KAFKA_UNKNOWN_TOPIC_ID,
        KAFKA_INVALID_REQUEST,
        KAFKA_INVALID_REQUEST,
        KAFKA_INVALID_REQUEST, /* by name and, further down, by id: answered once */
        KAFKA_INVALID_REQUEST, /* so is the name that comes twice */
        KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
    };
    struct delete_topics_request in = delete_topics_request_default;
    in.topics = topics;
    in.n_topics = countof(topics);
    in.timeout_ms = 30000;
    struct delete_topics_response *out = CALL(&client, delete_topics, 6, &in);
    assert_int_equal(out->n_topics, countof(ERRORS));
    for (size_t i = 0; i < countof(ERRORS); i++) {
        assert_error(out->topics[i].error, ERRORS[i]);
    }
    assert_text(out->topics[0].name, "goes-by-id");
    assert_null(out->topics[1].name.data);
    assert_error(describe(&client, "goes-by-id")->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(describe(&client, "both-ways")->error, KAFKA_NONE);
    client_close(&client);
}

static void deletion_can_be_forbidden(void **state)
{
    struct daemon daemon;
    struct client client;
    struct text name = text_of("kept");
    struct delete_topics_request in = delete_topics_request_default;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, (const char *[]){ "delete.topic.enable=false", NULL });
    client_open(&client, &daemon);
    make_topic(&client, "kept", 1, NULL);
    in.topic_names = &name;
    in.n_topic_names = 1;
    in.timeout_ms = 30000;
    assert_error(CALL(&client, delete_topics, 2, &in)->topics[0].error, KAFKA_INVALID_REQUEST);
    assert_error(CALL(&client, delete_topics, 3, &in)->topics[0].error,
                 KAFKA_TOPIC_DELETION_DISABLED);
    assert_error(describe(&client, "kept")->error, KAFKA_NONE);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

/* ---- DescribeTopicPartitions ------------------------------------------------------------------*/

static struct describe_topic_partitions_response *
page(struct client *client, const char *const *names, int32_t limit, const char *cursor,
     int32_t partition)
{
    struct describe_topic_partitions_request_topic topics[8];
    struct describe_topic_partitions_request_cursor start = {
        .topic_name = text_of(cursor),
        .partition_index = partition,
    };
    struct describe_topic_partitions_request in = describe_topic_partitions_request_default;
    in.topics = topics;
    for (; names != NULL && names[in.n_topics] != NULL; in.n_topics++) {
        topics[in.n_topics].name = text_of(names[in.n_topics]);
    }
    in.response_partition_limit = limit;
    in.cursor = cursor != NULL ? &start : NULL;
    return CALL(client, describe_topic_partitions, 0, &in);
}

static void pages_are_sorted_and_errors_told_for_each_topic(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "page-b", 3, NULL);
    make_topic(&client, "page-a", 1, NULL);
    const char *const names[] = { "page-b", "missing", "page-a", "bad name", "page-b", NULL };
    struct describe_topic_partitions_response *out = page(&client, names, 2000, NULL, 0);
    static const struct {
        const char *name;
        enum kafka_error error;
        int32_t n;
    } EXPECTED[] = {
        { "bad name", KAFKA_INVALID_TOPIC_EXCEPTION, 0 },
        { "missing", KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0 },
        { "page-a", KAFKA_NONE, 1 },
        { "page-b", KAFKA_NONE, 3 },
    };
    assert_int_equal(out->n_topics, countof(EXPECTED));
    assert_null(out->next_cursor);
    for (size_t i = 0; i < countof(EXPECTED); i++) {
        assert_text(out->topics[i].name, EXPECTED[i].name);
        assert_error(out->topics[i].error, EXPECTED[i].error);
        assert_int_equal(out->topics[i].n_partitions, EXPECTED[i].n);
        assert_int_equal(out->topics[i].topic_authorized_operations, 3576);
    }
    client_close(&client);
}

/* Walks all pages of any size: each partition comes once. */
static void pages_together_are_everything(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "walked-1", 4, NULL);
    make_topic(&client, "walked-2", 1, NULL);
    make_topic(&client, "walked-3", 5, NULL);
    const char *const names[] = { "walked-1", "walked-2", "walked-3", NULL };
    for (int32_t limit = 1; limit <= 11; limit++) {
        const char *const all[] = { "walked-1/0", "walked-1/1", "walked-1/2", "walked-1/3",
                                    "walked-2/0", "walked-3/0", "walked-3/1", "walked-3/2",
                                    "walked-3/3", "walked-3/4" };
        char cursor[32] = "walked-1";
        int32_t at = 0;
        size_t seen = 0;
        for (bool more = true; more;) {
            struct describe_topic_partitions_response *out =
                page(&client, names, limit, cursor, at);
            int32_t n = 0;
            for (int32_t t = 0; t < out->n_topics; t++) {
                for (int32_t p = 0; p < out->topics[t].n_partitions; p++, n++) {
                    char who[48];
                    snprintf(who, sizeof who, "%.*s/%d", TEXT_ARG(out->topics[t].name),
                             out->topics[t].partitions[p].partition_index);
                    assert_true(seen < countof(all));
                    assert_string_equal(who, all[seen++]);
                }
            }
            assert_true(n <= limit);
            more = out->next_cursor != NULL;
            if (more) {
                snprintf(cursor, sizeof cursor, "%.*s", TEXT_ARG(out->next_cursor->topic_name));
                at = out->next_cursor->partition_index;
            }
        }
        assert_int_equal(seen, countof(all));
        client_forget(&client);
    }
    client_close(&client);
}

static void a_cursor_that_cannot_be_is_an_invalid_request(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "cursed", 2, NULL);
    const char *const names[] = { "cursed", NULL };
    assert_error(page(&client, names, 9, "elsewhere", 0)->topics[0].error, KAFKA_INVALID_REQUEST);
    assert_error(page(&client, names, 9, "cursed", -1)->topics[0].error, KAFKA_INVALID_REQUEST);
    /* Behind the last partition there is nothing, which is no error. */
    struct describe_topic_partitions_response *out = page(&client, names, 9, "cursed", 99);
    assert_error(out->topics[0].error, KAFKA_NONE);
    assert_int_equal(out->topics[0].n_partitions, 0);
    assert_null(out->next_cursor);
    /* A limit below 1 counts as 1. */
    assert_int_equal(page(&client, names, -3, NULL, 0)->topics[0].n_partitions, 1);
    client_close(&client);
}

/* ---- Metadata ---------------------------------------------------------------------------------*/

static void metadata_answers_ids_and_operations_only_when_asked(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "asked-by-id", 1, NULL);
    struct metadata_request_topic topics[] = {
        { .topic_id = id, .name = TEXT_NULL },
        { .topic_id = { { 9, 9 } }, .name = TEXT_NULL },
    };
    struct metadata_request in = metadata_request_default;
    in.topics = topics;
    in.n_topics = countof(topics);
    struct metadata_response *out = CALL(&client, metadata, 12, &in);
    assert_text(out->topics[0].name, "asked-by-id");
    assert_error(out->topics[0].error, KAFKA_NONE);
    assert_error(out->topics[1].error, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(out->topics[0].topic_authorized_operations, INT32_MIN);
    in.include_topic_authorized_operations = true;
    out = CALL(&client, metadata, 12, &in);
    assert_int_equal(out->topics[0].topic_authorized_operations, 3576);
    assert_true(out->cluster_id.len > 0);
    assert_int_equal(out->controller_id, out->brokers[0].node_id);
    client_close(&client);
}

static void an_empty_list_means_all_topics_in_version_0_and_none_later(void **state)
{
    struct client client;
    struct metadata_request in = metadata_request_default;
    client_open(&client, *state);
    make_topic(&client, "one-of-all", 1, NULL);
    assert_true(CALL(&client, metadata, 0, &in)->n_topics > 0);
    assert_int_equal(CALL(&client, metadata, 1, &in)->n_topics, 0);
    in.n_topics = -1;
    assert_true(CALL(&client, metadata, 1, &in)->n_topics > 0);
    client_close(&client);
}

static void a_coordinators_topic_that_is_asked_for_is_as_the_coordinator_wants_it(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct metadata_request_topic names[] = {
        { .name = text_of("__consumer_offsets") },
        { .name = text_of("__transaction_state") }, /* has no coordinator here */
    };
    struct metadata_request in = { .topics = names, .n_topics = countof(names),
                                   .allow_auto_topic_creation = true };
    CALL(&client, metadata, 9, &in);
    struct metadata_response *out = CALL(&client, metadata, 9, &in);
    assert_error(out->topics[0].error, KAFKA_NONE);
    assert_true(out->topics[0].is_internal);
    assert_int_equal(out->topics[0].n_partitions, 50);
    assert_error(out->topics[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_created_topic_is_there_at_once_with_leaders_for_all_partitions),
        cmocka_unit_test(minus_one_asks_for_the_configured_numbers),
        cmocka_unit_test(the_answer_tells_numbers_id_and_configs),
        cmocka_unit_test(each_topic_of_a_batch_has_an_error_of_its_own),
        cmocka_unit_test(a_name_that_comes_twice_is_refused_and_answered_once),
        cmocka_unit_test(more_partitions_than_a_batch_may_make_are_refused),
        cmocka_unit_test(metadata_creates_what_a_client_allows_it_to),
        cmocka_unit_test(topics_get_more_partitions_never_fewer),
        cmocka_unit_test(checking_partitions_makes_none),
        cmocka_unit_test(topics_are_deleted_by_name),
        cmocka_unit_test(topics_are_deleted_by_id_and_every_odd_request_is_told_apart),
        cmocka_unit_test(deletion_can_be_forbidden),
        cmocka_unit_test(pages_are_sorted_and_errors_told_for_each_topic),
        cmocka_unit_test(pages_together_are_everything),
        cmocka_unit_test(a_cursor_that_cannot_be_is_an_invalid_request),
        cmocka_unit_test(metadata_answers_ids_and_operations_only_when_asked),
        cmocka_unit_test(an_empty_list_means_all_topics_in_version_0_and_none_later),
        cmocka_unit_test(a_coordinators_topic_that_is_asked_for_is_as_the_coordinator_wants_it),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
