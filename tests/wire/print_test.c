/* What people get to see of a message. */
#include "../support/test.h"

#include <chronik/test/sample.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

static void assert_prints(const struct wire_struct *s, int16_t version, const void *in,
                          const char *expected)
{
    struct buf line = { 0 };
    wire_print(s, version, in, &line);
    buf_put_u8(&line, 0);
    assert_string_equal((const char *)line.data, expected);
    buf_release(&line);
}

static void messages_print_with_names_and_values(void **state)
{
    (void)state;
    struct metadata_request_topic topics[] = { { .name = text_of("a") }, { .name = text_of("b") } };
    struct metadata_request r = metadata_request_default;
    r.topics = topics;
    r.n_topics = 2;
    assert_prints(wire_metadata.request, 4, &r,
                  "{topics=[{name=\"a\"}, {name=\"b\"}], allow_auto_topic_creation=true}");
    r.n_topics = -1;
    assert_prints(wire_metadata.request, 1, &r, "{topics=null}");
}

static void errors_print_by_name(void **state)
{
    (void)state;
    struct heartbeat_response r = { .throttle_ms = 3, .error = 27 };
    assert_prints(wire_heartbeat.response, 0, &r, "{error=REBALANCE_IN_PROGRESS}");
}

static void uuids_print_as_kafka_prints_them(void **state)
{
    (void)state;
    struct push_telemetry_request r = push_telemetry_request_default;
    r.client_instance_id.bytes[0] = 0xff;
    r.metrics = bytes_of("abc", 3);
    assert_prints(wire_push_telemetry.request, 0, &r,
                  "{client_instance_id=_wAAAAAAAAAAAAAAAAAAAA, subscription_id=0, "
                  "terminating=false, compression_type=0, metrics=<3 bytes>}");
}

static void secrets_are_not_printed(void **state)
{
    (void)state;
    struct sasl_authenticate_request r = { .auth_bytes = bytes_of("\0me\0secret", 10) };
    assert_prints(wire_sasl_authenticate.request, 0, &r, "{auth_bytes=***}");

    struct incremental_alter_configs_request_config config = { .name =
                                                                   text_of("ssl.keystore.password"),
                                                               .value = text_of("hunter2") };
    struct incremental_alter_configs_request_resource resource = {
        .resource_type = 4, .resource_name = text_of("1"), .configs = &config, .n_configs = 1
    };
    struct incremental_alter_configs_request alter = { .resources = &resource, .n_resources = 1 };
    assert_prints(wire_incremental_alter_configs.request, 0, &alter,
                  "{resources=[{resource_type=4, resource_name=\"1\", "
                  "configs=[{name=\"ssl.keystore.password\", config_operation=0, value=***}]}], "
                  "validate_only=false}");
}

/* Nobody forges a second line, or the end of a text. */
static void text_is_escaped(void **state)
{
    (void)state;
    struct heartbeat_request r = heartbeat_request_default;
    r.group_id = text_of("a\"b\\c\nd\x1b");
    assert_prints(wire_heartbeat.request, 0, &r,
                  "{group_id=\"a\\\"b\\\\c\\x0ad\\x1b\", generation=0, member_id=\"\"}");
}

static void what_is_long_is_cut(void **state)
{
    (void)state;
    char name[301];
    int32_t numbers[50] = { 0 };
    memset(name, 'x', 300);
    name[300] = '\0';
    struct buf line = { 0 };

    struct heartbeat_request r = heartbeat_request_default;
    r.group_id = text_of(name);
    wire_print(wire_heartbeat.request, 0, &r, &line);
    assert_non_null(memmem(line.data, line.len, "x\"… (300 bytes)", 17));
    assert_true(line.len < 330);
    buf_clear(&line);

    struct offset_fetch_request_topic topic = { .name = text_of("t"),
                                                .partition_indexes = numbers,
                                                .n_partition_indexes = 50 };
    struct offset_fetch_request fetch = offset_fetch_request_default;
    fetch.topics = &topic;
    fetch.n_topics = 1;
    wire_print(wire_offset_fetch.request, 1, &fetch, &line);
    assert_non_null(memmem(line.data, line.len, "0, … (50 elements)]", 21));
    buf_release(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_print_with_names_and_values),
        cmocka_unit_test(errors_print_by_name),
        cmocka_unit_test(uuids_print_as_kafka_prints_them),
        cmocka_unit_test(secrets_are_not_printed),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(what_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
