/* DescribeConfigs, AlterConfigs and IncrementalAlterConfigs, for topics, brokers and loggers. */
#include "steps.h"

enum { TOPIC = 2, BROKER = 4, LOGGER = 8 };

/* ---- asking -----------------------------------------------------------------------------------*/

static struct describe_configs_response_result *describe(struct client *client, int16_t version,
                                                         int8_t type, const char *name,
                                                         const char *only)
{
    struct text key = text_of(only);
    struct describe_configs_request_resource resource = describe_configs_request_resource_default;
    struct describe_configs_request in = describe_configs_request_default;
    resource.resource_type = type;
    resource.resource_name = text_of(name);
    resource.configuration_keys = &key;
    resource.n_configuration_keys = only != NULL ? 1 : -1;
    in.resources = &resource;
    in.n_resources = 1;
    in.include_synonyms = true;
    in.include_documentation = version >= 3;
    struct describe_configs_response *out = CALL(client, describe_configs, version, &in);
    assert_int_equal(out->n_results, 1);
    assert_int_equal(out->results[0].resource_type, type);
    assert_text(out->results[0].resource_name, name);
    return &out->results[0];
}

/* The one setting of that name; the resource must have it. */
static struct describe_configs_response_config *setting(struct client *client, int8_t type,
                                                        const char *resource, const char *name)
{
    struct describe_configs_response_result *result = describe(client, 4, type, resource, name);
    assert_error(result->error, KAFKA_NONE);
    assert_int_equal(result->n_configs, 1);
    assert_text(result->configs[0].name, name);
    return &result->configs[0];
}

static void assert_setting(struct client *client, int8_t type, const char *resource,
                           const char *name, const char *value, int8_t source)
{
    struct describe_configs_response_config *c = setting(client, type, resource, name);
    assert_text(c->value, value);
    assert_int_equal(c->config_source, source);
    if (c->n_synonyms > 0) {
        assert_int_equal(c->synonyms[0].source, source); /* the one in effect comes first */
    }
}

/* ---- changing ---------------------------------------------------------------------------------*/

struct op {
    const char *name;
    int8_t op; /* 0 set, 1 delete, 2 append, 3 subtract */
    const char *value;
};

static enum kafka_error change(struct client *client, int8_t type, const char *resource,
                               bool validate_only, const struct op *ops, int32_t n)
{
    struct incremental_alter_configs_request_config configs[8];
    struct incremental_alter_configs_request_resource r = {
        .resource_type = type,
        .resource_name = text_of(resource),
        .configs = configs,
        .n_configs = n,
    };
    struct incremental_alter_configs_request in = {
        .resources = &r,
        .n_resources = 1,
        .validate_only = validate_only,
    };
    for (int32_t i = 0; i < n; i++) {
        configs[i].name = text_of(ops[i].name);
        configs[i].config_operation = ops[i].op;
        configs[i].value = text_of(ops[i].value);
    }
    struct incremental_alter_configs_response *out =
        CALL(client, incremental_alter_configs, 1, &in);
    assert_int_equal(out->n_responses, 1);
    assert_int_equal(out->responses[0].resource_type, type);
    assert_text(out->responses[0].resource_name, resource);
    assert_int_equal(out->responses[0].error_message.data != NULL,
                     out->responses[0].error != KAFKA_NONE);
    return (enum kafka_error)out->responses[0].error;
}

static enum kafka_error change_one(struct client *client, int8_t type, const char *resource,
                                   const char *name, int8_t op, const char *value)
{
    return change(client, type, resource, false, &(struct op){ name, op, value }, 1);
}

static enum kafka_error replace(struct client *client, int8_t type, const char *resource,
                                const char *name, const char *value)
{
    struct alter_configs_request_config config = { text_of(name), text_of(value) };
    struct alter_configs_request_resource r = {
        .resource_type = type,
        .resource_name = text_of(resource),
        .configs = &config,
        .n_configs = name != NULL ? 1 : 0,
    };
    struct alter_configs_request in = { .resources = &r, .n_resources = 1 };
    struct alter_configs_response *out = CALL(client, alter_configs, 2, &in);
    assert_int_equal(out->n_responses, 1);
    assert_text(out->responses[0].resource_name, resource);
    return (enum kafka_error)out->responses[0].error;
}

/* ---- describing -------------------------------------------------------------------------------*/

static void a_topic_shows_every_setting_with_value_source_and_documentation(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "shown", 1, (const char *[]){ "retention.ms=1000", NULL });
    struct describe_configs_response_result *result = describe(&client, 4, TOPIC, "shown", NULL);
    assert_error(result->error, KAFKA_NONE);
    assert_true(result->n_configs >= 37);
    for (int32_t i = 0; i < result->n_configs; i++) {
        struct describe_configs_response_config *c = &result->configs[i];
        assert_non_null(c->value.data); /* null values of topics crash ksqlDB */
        assert_true(c->documentation.len > 0);
        assert_true(c->config_type >= 1 && c->config_type <= 9);
        assert_false(c->read_only);
        assert_false(c->is_sensitive);
        assert_true(i == 0 || text_compare(result->configs[i - 1].name, c->name) < 0);
    }
    assert_setting(&client, TOPIC, "shown", "retention.ms", "1000", 1);
    assert_setting(&client, TOPIC, "shown", "cleanup.policy", "delete", 5);
    client_close(&client);
}

static void named_settings_are_told_alone_and_unknown_ones_left_out(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "narrowed", 1, NULL);
    assert_int_equal(describe(&client, 4, TOPIC, "narrowed", "retention.ms")->n_configs, 1);
    assert_int_equal(describe(&client, 4, TOPIC, "narrowed", "no.such.config")->n_configs, 0);
    assert_int_equal(describe(&client, 1, BROKER, "1", "num.partitions")->n_configs, 1);
    client_close(&client);
}

static void unknown_resources_have_errors_of_their_own(void **state)
{
    struct client client;
    client_open(&client, *state);
    assert_error(describe(&client, 4, TOPIC, "missing", NULL)->error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(describe(&client, 4, TOPIC, "bad name", NULL)->error,
                 KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_error(describe(&client, 4, TOPIC, "", NULL)->error, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_error(describe(&client, 4, BROKER, "2", NULL)->error, KAFKA_INVALID_REQUEST);
    assert_error(describe(&client, 4, BROKER, "one", NULL)->error, KAFKA_INVALID_REQUEST);
    assert_error(describe(&client, 4, LOGGER, "", NULL)->error, KAFKA_INVALID_REQUEST);
    assert_error(describe(&client, 4, 99, "x", NULL)->error, KAFKA_INVALID_REQUEST);
    client_close(&client);
}

static void a_broker_shows_what_tools_look_for(void **state)
{
    static const char *const NAMES[] = {
        "default.replication.factor", "num.partitions", "delete.topic.enable",
        "auto.create.topics.enable", "message.max.bytes", "min.insync.replicas",
        "log.retention.hours", "offsets.topic.num.partitions", "transaction.max.timeout.ms",
        "listeners",
    };
    struct client client;
    client_open(&client, *state);
    for (size_t i = 0; i < countof(NAMES); i++) {
        assert_non_null(setting(&client, BROKER, "1", NAMES[i])->value.data);
    }
    assert_true(setting(&client, BROKER, "1", "num.partitions")->read_only);
    assert_false(setting(&client, BROKER, "1", "log.retention.ms")->read_only);
    struct describe_configs_response_config *secret =
        setting(&client, BROKER, "1", "ssl.keystore.password");
    assert_true(secret->is_sensitive);
    assert_null(secret->value.data);
    client_close(&client);
}

/* A short request must not make the broker build an answer without end. */
static void what_does_not_fit_into_one_answer_is_refused(void **state)
{
    enum { N = 40000 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "repeated", 1, NULL);
    struct describe_configs_request_resource *resources =
        arena_zalloc_array(&client.arena, N, sizeof *resources);
    for (int32_t i = 0; i < N; i++) {
        resources[i].resource_type = TOPIC;
        resources[i].resource_name = text_of("repeated");
        resources[i].n_configuration_keys = -1;
    }
    struct describe_configs_request in = { .resources = resources, .n_resources = N,
                                           .include_synonyms = true,
                                           .include_documentation = true };
    struct describe_configs_response *out = CALL(&client, describe_configs, 4, &in);
    assert_int_equal(out->n_results, N);
    int32_t n = 0;
    while (n < N && out->results[n].error == KAFKA_NONE) {
        assert_true(out->results[n++].n_configs > 30);
    }
    assert_true(n > 5000 && n < N);
    for (; n < N; n++) {
        assert_error(out->results[n].error, KAFKA_POLICY_VIOLATION);
    }
    client_close(&client);
}

/* ---- changing topics --------------------------------------------------------------------------*/

static void single_settings_are_set_and_deleted(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "single", 1, NULL);
    assert_error(change_one(&client, TOPIC, "single", "retention.ms", 0, "5000"), KAFKA_NONE);
    assert_error(change_one(&client, TOPIC, "single", "segment.bytes", 0, "2097152"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "single", "retention.ms", "5000", 1);
    assert_setting(&client, TOPIC, "single", "segment.bytes", "2097152", 1);
    assert_error(change_one(&client, TOPIC, "single", "retention.ms", 1, NULL), KAFKA_NONE);
    assert_setting(&client, TOPIC, "single", "retention.ms", "604800000", 5);
    assert_setting(&client, TOPIC, "single", "segment.bytes", "2097152", 1);
    client_close(&client);
}

static void words_are_added_to_lists_and_taken_away(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "listed", 1, NULL);
    assert_error(change_one(&client, TOPIC, "listed", "cleanup.policy", 2, "compact"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "listed", "cleanup.policy", "delete,compact", 1);
    assert_error(change_one(&client, TOPIC, "listed", "cleanup.policy", 3, "delete"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "listed", "cleanup.policy", "compact", 1);
    assert_error(change_one(&client, TOPIC, "listed", "retention.ms", 2, "1"),
                 KAFKA_INVALID_CONFIG);
    client_close(&client);
}

static void a_resource_changes_wholly_or_not_at_all(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "whole", 1, NULL);
    const struct op bad[] = { { "retention.ms", 0, "1" }, { "segment.bytes", 0, "many" } };
    const struct op twice[] = { { "retention.ms", 0, "1" }, { "retention.ms", 0, "2" } };
    const struct op null[] = { { "retention.ms", 0, NULL } };
    const struct op unknown[] = { { "retention.ms", 9, "1" } };
    assert_error(change(&client, TOPIC, "whole", false, bad, 2), KAFKA_INVALID_CONFIG);
    assert_error(change(&client, TOPIC, "whole", false, twice, 2), KAFKA_INVALID_REQUEST);
    assert_error(change(&client, TOPIC, "whole", false, null, 1), KAFKA_INVALID_REQUEST);
    assert_error(change(&client, TOPIC, "whole", false, unknown, 1), KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, TOPIC, "whole", "no.such.config", 0, "1"),
                 KAFKA_INVALID_CONFIG);
    assert_error(change_one(&client, TOPIC, "missing", "retention.ms", 0, "1"),
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(change_one(&client, TOPIC, "bad name", "retention.ms", 0, "1"),
                 KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_error(change_one(&client, TOPIC, "", "retention.ms", 0, "1"), KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, 32, "group", "consumer.session.timeout.ms", 0, "1"),
                 KAFKA_INVALID_REQUEST);
    /* Checked, not done. */
    assert_error(change(&client, TOPIC, "whole", true, bad, 1), KAFKA_NONE);
    assert_setting(&client, TOPIC, "whole", "retention.ms", "604800000", 5);
    client_close(&client);
}

static void mixed_batches_are_answered_for_each_resource_in_order(void **state)
{
    struct client client;
    struct incremental_alter_configs_request_config config = {
        .name = text_of("retention.ms"),
        .value = text_of("77"),
    };
    const char *const names[] = { "missing", "mixed-1", "mixed-2", "mixed-2", "mixed-3" };
    static const enum kafka_error ERRORS[] = {
        KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_NONE, KAFKA_INVALID_REQUEST,
        KAFKA_INVALID_REQUEST, KAFKA_NONE,
    };
    struct incremental_alter_configs_request_resource resources[countof(names)];
    struct incremental_alter_configs_request in = { .resources = resources,
                                                    .n_resources = countof(names) };
    client_open(&client, *state);
    for (int i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "mixed-%d", i);
        make_topic(&client, name, 1, NULL);
    }
    for (size_t i = 0; i < countof(names); i++) {
        resources[i] = (struct incremental_alter_configs_request_resource){
            .resource_type = TOPIC,
            .resource_name = text_of(names[i]),
            .configs = &config,
            .n_configs = 1,
        };
    }
    struct incremental_alter_configs_response *out =
        CALL(&client, incremental_alter_configs, 0, &in);
    assert_int_equal(out->n_responses, countof(names));
    for (size_t i = 0; i < countof(names); i++) {
        assert_text(out->responses[i].resource_name, names[i]);
        assert_error(out->responses[i].error, ERRORS[i]);
    }
    assert_setting(&client, TOPIC, "mixed-1", "retention.ms", "77", 1);
    assert_setting(&client, TOPIC, "mixed-2", "retention.ms", "604800000", 5);
    client_close(&client);
}

static void replacing_drops_what_is_not_named(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "replaced", 1, (const char *[]){ "retention.ms=1000", NULL });
    assert_error(replace(&client, TOPIC, "replaced", "segment.bytes", "3145728"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "replaced", "retention.ms", "604800000", 5);
    assert_setting(&client, TOPIC, "replaced", "segment.bytes", "3145728", 1);
    assert_error(replace(&client, TOPIC, "replaced", NULL, NULL), KAFKA_NONE);
    assert_setting(&client, TOPIC, "replaced", "segment.bytes", "1073741824", 5);
    assert_error(replace(&client, TOPIC, "replaced", "segment.bytes", NULL),
                 KAFKA_INVALID_REQUEST);
    assert_error(replace(&client, TOPIC, "replaced", "odd", "1"), KAFKA_INVALID_CONFIG);
    assert_error(replace(&client, TOPIC, "missing", NULL, NULL), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(replace(&client, LOGGER, "1", "server", "DEBUG"), KAFKA_INVALID_REQUEST);
    assert_error(replace(&client, BROKER, "7", NULL, NULL), KAFKA_INVALID_REQUEST);
    client_close(&client);
}

/* ---- brokers ----------------------------------------------------------------------------------*/

/* Own over broker over all brokers over default, in synonyms as well. */
static void the_strongest_layer_wins_and_synonyms_tell_the_others(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "layered", 1, NULL);
    assert_error(change_one(&client, BROKER, "", "log.retention.ms", 0, "3000"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "layered", "retention.ms", "3000", 3);
    assert_error(change_one(&client, BROKER, "1", "log.retention.ms", 0, "2000"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "layered", "retention.ms", "2000", 2);
    assert_error(change_one(&client, TOPIC, "layered", "retention.ms", 0, "1000"), KAFKA_NONE);
    assert_setting(&client, TOPIC, "layered", "retention.ms", "1000", 1);

    struct describe_configs_response_config *c =
        setting(&client, TOPIC, "layered", "retention.ms");
    static const struct {
        const char *name, *value;
        int8_t source;
    } SYNONYMS[] = {
        { "retention.ms", "1000", 1 },
        { "log.retention.ms", "2000", 2 },
        { "log.retention.ms", "3000", 3 },
        { "log.retention.hours", "168", 5 },
    };
    assert_int_equal(c->n_synonyms, countof(SYNONYMS));
    for (size_t i = 0; i < countof(SYNONYMS); i++) {
        assert_text(c->synonyms[i].name, SYNONYMS[i].name);
        assert_text(c->synonyms[i].value, SYNONYMS[i].value);
        assert_int_equal(c->synonyms[i].source, SYNONYMS[i].source);
    }
    /* The default of all brokers shows what was set for all, and nothing else. */
    struct describe_configs_response_result *all = describe(&client, 4, BROKER, "", NULL);
    assert_error(all->error, KAFKA_NONE);
    assert_int_equal(all->n_configs, 1);
    assert_text(all->configs[0].name, "log.retention.ms");
    assert_text(all->configs[0].value, "3000");
    assert_int_equal(all->configs[0].n_synonyms, 1);
    assert_error(change_one(&client, BROKER, "1", "log.retention.ms", 1, NULL), KAFKA_NONE);
    assert_error(change_one(&client, BROKER, "", "log.retention.ms", 1, NULL), KAFKA_NONE);
    client_close(&client);
}

static void what_a_broker_reads_at_start_cannot_be_changed_at_run_time(void **state)
{
    struct client client;
    client_open(&client, *state);
    assert_error(change_one(&client, BROKER, "1", "node.id", 0, "4"), KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, BROKER, "", "num.partitions", 0, "4"),
                 KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, BROKER, "2", "log.retention.ms", 0, "4"),
                 KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, BROKER, "one", "log.retention.ms", 0, "4"),
                 KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, BROKER, "1", "log.retention.ms", 0, "soon"),
                 KAFKA_INVALID_REQUEST);
    client_close(&client);
}

/* What a client sends comes back in messages only in part, and lists do not grow for ever: no reply
 * could carry them. */
static void long_values_are_refused_and_their_messages_are_short(void **state)
{
    enum { LONG = 32767, HALF = 20000 };
    struct client client;
    char *value = mem_alloc(LONG + 1);
    client_open(&client, *state);
    make_topic(&client, "lengthy", 1, NULL);
    memset(value, 'x', LONG);
    value[LONG] = '\0';
    assert_error(change_one(&client, TOPIC, "lengthy", "retention.ms", 0, value),
                 KAFKA_INVALID_CONFIG);
    assert_error(change_one(&client, TOPIC, "lengthy", value, 0, "1"), KAFKA_INVALID_CONFIG);
    assert_error(change_one(&client, TOPIC, value, "retention.ms", 0, "1"),
                 KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_error(change_one(&client, BROKER, value, "retention.ms", 0, "1"),
                 KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, LOGGER, "1", value, 0, value), KAFKA_INVALID_CONFIG);
    for (int part = 0; part < 2; part++) {
        size_t len = 0;
        for (int i = 0; len < HALF; i++) {
            len += (size_t)snprintf(value + len, LONG - len, "%s%d:%d", i > 0 ? "," : "", i, part);
        }
        assert_error(change_one(&client, TOPIC, "lengthy",
                                "leader.replication.throttled.replicas", 2, value),
                     part == 0 ? KAFKA_NONE : KAFKA_INVALID_CONFIG);
    }
    for (int16_t v = 1; v <= 4; v++) {
        assert_error(describe(&client, v, TOPIC, "lengthy", NULL)->error, KAFKA_NONE);
    }
    free(value);
    client_close(&client);
}

/* ---- loggers ----------------------------------------------------------------------------------*/

static void levels_of_messages_change_at_run_time_and_go_back(void **state)
{
    struct client client;
    client_open(&client, *state);
    assert_true(describe(&client, 4, LOGGER, "1", NULL)->n_configs >= 8);
    assert_setting(&client, LOGGER, "1", "server", "INFO", 6);
    assert_error(change_one(&client, LOGGER, "1", "server", 0, "DEBUG"), KAFKA_NONE);
    assert_setting(&client, LOGGER, "1", "server", "DEBUG", 6);
    assert_setting(&client, LOGGER, "1", "raft", "INFO", 6);
    assert_error(change_one(&client, LOGGER, "1", "server", 0, "FATAL"), KAFKA_NONE);
    assert_setting(&client, LOGGER, "1", "server", "ERROR", 6);
    assert_error(change_one(&client, LOGGER, "1", "server", 1, NULL), KAFKA_NONE);
    assert_setting(&client, LOGGER, "1", "server", "INFO", 6);
    assert_error(change_one(&client, LOGGER, "1", "kafka.server", 0, "INFO"),
                 KAFKA_INVALID_CONFIG);
    assert_error(change_one(&client, LOGGER, "1", "server", 0, "LOUD"), KAFKA_INVALID_CONFIG);
    assert_error(change_one(&client, LOGGER, "1", "server", 2, "INFO"), KAFKA_INVALID_REQUEST);
    assert_error(change_one(&client, LOGGER, "2", "server", 0, "INFO"), KAFKA_INVALID_REQUEST);
    assert_error(change(&client, LOGGER, "1", true, &(struct op){ "server", 0, "DEBUG" }, 1),
                 KAFKA_NONE);
    assert_setting(&client, LOGGER, "1", "server", "INFO", 6);
    client_close(&client);
}

/* ---- effects ----------------------------------------------------------------------------------*/

static void a_changed_topic_setting_takes_effect_at_once(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "effective", 1, NULL);
    struct bytes batch = make_batch(&client, "a value of some length", 100, 1000);
    assert_error(produce(&client, 9, "effective", 0, -1, batch)->error, KAFKA_NONE);
    assert_error(change_one(&client, TOPIC, "effective", "max.message.bytes", 0, "200"),
                 KAFKA_NONE);
    batch = make_batch(&client, "a value of some length", 100, 1000);
    assert_error(produce(&client, 9, "effective", 0, -1, batch)->error, KAFKA_MESSAGE_TOO_LARGE);
    client_close(&client);
}

static void settings_survive_a_restart(void **state)
{
    struct daemon daemon;
    struct client client;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    make_topic(&client, "kept", 1, (const char *[]){ "retention.ms=1000", NULL });
    assert_error(change_one(&client, TOPIC, "kept", "segment.bytes", 0, "4194304"), KAFKA_NONE);
    assert_error(change_one(&client, BROKER, "", "log.retention.ms", 0, "9000"), KAFKA_NONE);
    client_close(&client);
    daemon_kill(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    assert_setting(&client, TOPIC, "kept", "retention.ms", "1000", 1);
    assert_setting(&client, TOPIC, "kept", "segment.bytes", "4194304", 1);
    assert_setting(&client, BROKER, "1", "log.retention.ms", "9000", 3);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_shows_every_setting_with_value_source_and_documentation),
        cmocka_unit_test(named_settings_are_told_alone_and_unknown_ones_left_out),
        cmocka_unit_test(unknown_resources_have_errors_of_their_own),
        cmocka_unit_test(a_broker_shows_what_tools_look_for),
        cmocka_unit_test(what_does_not_fit_into_one_answer_is_refused),
        cmocka_unit_test(single_settings_are_set_and_deleted),
        cmocka_unit_test(words_are_added_to_lists_and_taken_away),
        cmocka_unit_test(a_resource_changes_wholly_or_not_at_all),
        cmocka_unit_test(mixed_batches_are_answered_for_each_resource_in_order),
        cmocka_unit_test(replacing_drops_what_is_not_named),
        cmocka_unit_test(the_strongest_layer_wins_and_synonyms_tell_the_others),
        cmocka_unit_test(what_a_broker_reads_at_start_cannot_be_changed_at_run_time),
        cmocka_unit_test(long_values_are_refused_and_their_messages_are_short),
        cmocka_unit_test(levels_of_messages_change_at_run_time_and_go_back),
        cmocka_unit_test(a_changed_topic_setting_takes_effect_at_once),
        cmocka_unit_test(settings_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
