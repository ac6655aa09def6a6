/* The table of settings, and what is made of it. */
#include "../support/test.h"

#include <chronik/meta/config.h>

#include <stdbool.h>

/* ---- helpers ----------------------------------------------------------------------------------*/

#define TOPIC_DEF(name)  config_find(CONFIG_TOPIC, text_of(name))
#define BROKER_DEF(name) config_find(CONFIG_BROKER, text_of(name))

static void put(struct image_configs *set, const char *name, const char *value)
{
    config_set_put(set, text_of(name), text_of(value));
}

/* The canonical value, or NULL when it is refused. Valid until the next call. */
static const char *parsed(const struct config_def *def, const char *value)
{
    static char result[256];
    struct buf out = { 0 };
    bool ok = config_parse(def, text_of(value), &out);
    snprintf(result, sizeof result, "%.*s", (int)out.len, out.data ? (char *)out.data : "");
    buf_release(&out);
    return ok ? result : NULL;
}

static const char *refusal(const struct config_def *def, const char *value)
{
    static char result[256];
    struct buf out = { 0 };
    bool ok = config_parse(def, text_of(value), &out);
    assert_false(ok);
    snprintf(result, sizeof result, "%.*s", (int)out.len, (char *)out.data);
    buf_release(&out);
    return result;
}

struct scene {
    struct image_configs topic, broker, cluster, file;
    struct config_layers layers;
    struct arena arena;
};

static int set_up(void **state)
{
    struct scene *s = mem_zalloc(sizeof *s);
    s->layers = (struct config_layers){ &s->topic, &s->broker, &s->cluster, &s->file, 0 };
    arena_init(&s->arena, 0);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    config_set_release(&s->topic);
    config_set_release(&s->broker);
    config_set_release(&s->cluster);
    config_set_release(&s->file);
    arena_release(&s->arena);
    free(s);
    return 0;
}

static struct topic_config resolved(const struct scene *s)
{
    struct topic_config config;
    topic_config_resolve(&s->layers, &config);
    return config;
}

static struct config_description described(struct scene *s, const struct config_def *def)
{
    struct config_description d;
    config_describe(def, &s->layers, &s->arena, &d);
    return d;
}

/* ---- the table --------------------------------------------------------------------------------*/

static void each(void (*visit)(const struct config_def *def))
{
    for (int scope = CONFIG_TOPIC; scope <= CONFIG_BROKER; scope++) {
        size_t n;
        const struct config_def *table = config_table((enum config_scope)scope, &n);
        assert_true(n > 30);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(table[i].scope, scope);
            visit(&table[i]);
        }
    }
}

static void in_order(const struct config_def *def)
{
    assert_ptr_equal(config_find(def->scope, text_of(def->name)), def);
    size_t n;
    const struct config_def *table = config_table(def->scope, &n);
    if (def > table) {
        assert_true(strcmp(def[-1].name, def->name) < 0);
    }
}

static void the_table_is_sorted_and_every_row_is_found(void **state)
{
    (void)state;
    each(in_order);
    assert_null(TOPIC_DEF("retention"));
    assert_null(TOPIC_DEF("zzz"));
    assert_null(TOPIC_DEF(""));
}

static void default_is_allowed(const struct config_def *def)
{
    if (def->value != NULL) {
        const char *value = parsed(def, def->value);
        assert_non_null(value);
        assert_string_equal(value, def->value);
    }
    assert_true(strlen(def->doc) > 10);
    assert_true(strlen(def->name) <= 96);
}

static void every_default_is_allowed_and_written_in_the_one_way(void **state)
{
    (void)state;
    each(default_is_allowed);
}

static void synonyms_exist(const struct config_def *def)
{
    for (unsigned i = 0; i < CONFIG_SYNONYMS_MAX && def->synonyms[i].name != NULL; i++) {
        const struct config_def *from = BROKER_DEF(def->synonyms[i].name);
        assert_non_null(from);
        assert_true(def->synonyms[i].factor >= 1);
        if (def->type != CONFIG_LONG) {
            assert_int_equal(from->type, def->type);
        }
    }
}

static void every_synonym_is_a_broker_config(void **state)
{
    (void)state;
    each(synonyms_exist);
}

static void a_topic_inherits_the_defaults_that_the_table_shows(void **state)
{
    struct scene *s = *state;
    size_t n;
    const struct config_def *table = config_table(CONFIG_TOPIC, &n);
    for (size_t i = 0; i < n; i++) {
        struct text value = described(s, &table[i]).value;
        assert_true(text_equal(value, text_of(table[i].value)));
    }
}

static void an_empty_table_of_layers_gives_the_defaults_of_the_storage_layer(void **state)
{
    const struct topic_config config = resolved(*state);
    const struct log_config want = LOG_CONFIG_DEFAULT;
    assert_int_equal(config.log.segment_bytes, want.segment_bytes);
    assert_int_equal(config.log.segment_ms, want.segment_ms);
    assert_int_equal(config.log.segment_jitter_ms, want.segment_jitter_ms);
    assert_int_equal(config.log.segment_index_bytes, want.segment_index_bytes);
    assert_int_equal(config.log.index_interval_bytes, want.index_interval_bytes);
    assert_int_equal(config.log.retention_ms, want.retention_ms);
    assert_int_equal(config.log.retention_bytes, want.retention_bytes);
    assert_int_equal(config.log.file_delete_delay_ms, want.file_delete_delay_ms);
    assert_true(config.log.delete_old);
    assert_false(config.log.compact);
    assert_int_equal(config.min_insync_replicas, 2);
    assert_int_equal(config.max_message_bytes, 1048588);
    assert_int_equal(config.timestamp_before_max_ms, INT64_MAX);
    assert_int_equal(config.timestamp_after_max_ms, 3600000);
    assert_true(config.keep_codec);
    assert_false(config.log_append_time);
    assert_false(config.unclean_leader_election);
}

/* ---- values -----------------------------------------------------------------------------------*/

static void values_are_written_in_one_way(void **state)
{
    (void)state;
    assert_string_equal(parsed(TOPIC_DEF("preallocate"), " TRUE "), "true");
    assert_string_equal(parsed(TOPIC_DEF("retention.ms"), "+007"), "7");
    assert_string_equal(parsed(TOPIC_DEF("cleanup.policy"), "compact, delete"), "compact,delete");
    assert_string_equal(parsed(TOPIC_DEF("cleanup.policy"), "delete,delete"), "delete");
    assert_string_equal(parsed(TOPIC_DEF("cleanup.policy"), ""), "");
    assert_string_equal(parsed(TOPIC_DEF("min.cleanable.dirty.ratio"), "5e-1"), "5e-1");
    assert_string_equal(parsed(TOPIC_DEF("compression.gzip.level"), "-1"), "-1");
    assert_string_equal(parsed(TOPIC_DEF("retention.bytes"), "-9"), "-9");
    assert_string_equal(parsed(TOPIC_DEF("leader.replication.throttled.replicas"), "*"), "*");
    assert_string_equal(parsed(TOPIC_DEF("leader.replication.throttled.replicas"), "0:1, 12:34"),
                        "0:1,12:34");
    assert_string_equal(parsed(BROKER_DEF("broker.rack"), " rack one "), "rack one");
}

static void values_that_are_not_allowed_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[][2] = {
        { "preallocate", "yes" },
        { "retention.ms", "-2" },
        { "retention.ms", "abc" },
        { "retention.ms", "" },
        { "retention.ms", "1.5" },
        { "retention.ms", "9223372036854775808" },
        { "segment.bytes", "99999999999" },
        { "segment.bytes", "100" },
        { "cleanup.policy", "Compact" },
        { "cleanup.policy", "delete," },
        { "cleanup.policy", "x" },
        { "compression.type", "GZIP" },
        { "compression.type", "none" },
        { "compression.gzip.level", "0" },
        { "compression.gzip.level", "10" },
        { "min.cleanable.dirty.ratio", "1.1" },
        { "min.cleanable.dirty.ratio", "NaN" },
        { "min.cleanable.dirty.ratio", "" },
        { "min.cleanable.dirty.ratio", "0.5x" },
        { "message.timestamp.type", "createtime" },
        { "leader.replication.throttled.replicas", "a:b" },
        { "leader.replication.throttled.replicas", "1:" },
        { "leader.replication.throttled.replicas", "1:2:3" },
        { "remote.storage.enable", "true" },
    };
    for (unsigned i = 0; i < countof(BAD); i++) {
        assert_non_null(TOPIC_DEF(BAD[i][0]));
        if (parsed(TOPIC_DEF(BAD[i][0]), BAD[i][1]) != NULL) {
            fail_msg("%s=%s was allowed", BAD[i][0], BAD[i][1]);
        }
    }
    struct buf out = { 0 };
    assert_false(config_parse(TOPIC_DEF("retention.ms"), text_part("5\0 6", 4), &out));
    buf_release(&out);
}

static void a_refusal_says_what_is_allowed(void **state)
{
    (void)state;
    assert_string_equal(refusal(TOPIC_DEF("retention.ms"), "x"), "allowed is a long, at least -1");
    assert_string_equal(refusal(TOPIC_DEF("compression.gzip.level"), "0"),
                        "allowed is an int, from 1 to 9, or -1");
    assert_string_equal(refusal(TOPIC_DEF("cleanup.policy"), "x"),
                        "allowed is a list of: compact, delete");
    assert_string_equal(refusal(TOPIC_DEF("message.timestamp.type"), "x"),
                        "allowed is one of: CreateTime, LogAppendTime");
    assert_string_equal(refusal(TOPIC_DEF("preallocate"), "x"), "allowed is true or false");
}

static void names_of_kafka_are_told_from_typing_errors(void **state)
{
    (void)state;
    assert_non_null(config_kafka_only(text_of("zookeeper.connect")));
    assert_non_null(config_kafka_only(text_of("sasl.kerberos.kinit.cmd")));
    assert_non_null(config_kafka_only(text_of("listener.name.internal.ssl.key.password")));
    assert_non_null(config_kafka_only(text_of("listener.name.in.plain.sasl.jaas.config")));
    assert_non_null(config_kafka_only(text_of("confluent.license")));
    assert_null(config_kafka_only(text_of("num.partitions")));
    assert_null(config_kafka_only(text_of("nun.partitions")));
    assert_null(config_kafka_only(text_of("listener.name.x.nonsense")));
    assert_string_equal(config_suggest(text_of("nun.partitions")), "num.partitions");
    assert_string_equal(config_suggest(text_of("log.retention.hour")), "log.retention.hours");
    assert_string_equal(config_suggest(text_of("lgo.dirs")), "log.dirs");
    assert_string_equal(config_suggest(text_of("retention.ms")), "log.retention.ms");
    assert_null(config_suggest(text_of("completely.different.thing")));
    assert_null(config_suggest(text_of("")));
    char longest[300];
    memset(longest, 'a', sizeof longest);
    assert_null(config_suggest(text_part(longest, sizeof longest)));
}

static void no_name_is_both_known_and_ignored(void **state)
{
    (void)state;
    size_t n;
    const struct config_def *table = config_table(CONFIG_BROKER, &n);
    for (size_t i = 0; i < n; i++) {
        assert_null(config_kafka_only(text_of(table[i].name)));
    }
}

/* ---- layers -----------------------------------------------------------------------------------*/

static void sets_keep_their_names_sorted(void **state)
{
    (void)state;
    struct image_configs set = { 0 };
    static const char *const NAMES[] = { "m", "a", "z", "b", "y", "m" };
    for (unsigned i = 0; i < countof(NAMES); i++) {
        char value[2] = { (char)('0' + i), '\0' };
        put(&set, NAMES[i], value);
    }
    assert_int_equal(set.n, 5);
    for (size_t i = 1; i < set.n; i++) {
        assert_true(strcmp(set.items[i - 1].name, set.items[i].name) < 0);
    }
    assert_string_equal(config_set_get(&set, text_of("m")), "5");
    config_set_remove(&set, text_of("a"));
    config_set_remove(&set, text_of("nothing"));
    assert_null(config_set_get(&set, text_of("a")));
    assert_int_equal(set.n, 4);
    assert_string_equal(config_set_get(&set, text_of("z")), "2");
    assert_null(config_set_get(NULL, text_of("z")));
    config_set_release(&set);
}

static void nearer_layers_win(void **state)
{
    struct scene *s = *state;
    put(&s->file, "log.retention.hours", "1");
    assert_int_equal(resolved(s).log.retention_ms, 3600000);
    put(&s->file, "log.retention.minutes", "2");
    assert_int_equal(resolved(s).log.retention_ms, 120000);
    put(&s->file, "log.retention.ms", "3");
    assert_int_equal(resolved(s).log.retention_ms, 3);
    put(&s->cluster, "log.retention.ms", "4");
    assert_int_equal(resolved(s).log.retention_ms, 4);
    put(&s->broker, "log.retention.ms", "5");
    assert_int_equal(resolved(s).log.retention_ms, 5);
    put(&s->topic, "retention.ms", "6");
    assert_int_equal(resolved(s).log.retention_ms, 6);
}

static void no_limit_means_the_same_in_every_unit(void **state)
{
    struct scene *s = *state;
    put(&s->file, "log.retention.hours", "-1");
    assert_int_equal(resolved(s).log.retention_ms, -1);
}

static void a_value_that_is_no_longer_allowed_is_passed_over(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "retention.ms", "-77");
    put(&s->file, "log.retention.ms", "8");
    assert_int_equal(resolved(s).log.retention_ms, 8);
}

static void every_honoured_topic_setting_changes_what_the_broker_acts_on(void **state)
{
    struct scene *s = *state;
    size_t n;
    const struct config_def *table = config_table(CONFIG_TOPIC, &n);
    for (size_t i = 0; i < n; i++) {
        static const char *const TRIES[] = {
            "12345678", "true", "compact", "LogAppendTime", "0.7", "zstd",
        };
        struct topic_config before = resolved(s), after;
        /* Quotas are looked up when they are needed (replica/throttle.h). */
        if (table[i].unused != NULL || strstr(table[i].name, ".throttled.replicas") != NULL) {
            continue;
        }
        for (unsigned t = 0; t < countof(TRIES); t++) {
            if (parsed(&table[i], TRIES[t]) != NULL) {
                put(&s->topic, table[i].name, TRIES[t]);
            }
        }
        after = resolved(s);
        if (memcmp(&before, &after, sizeof before) == 0) {
            fail_msg("%s changes nothing", table[i].name);
        }
        config_set_release(&s->topic);
    }
}

static void codecs_and_policies_are_understood(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "compression.type", "zstd");
    put(&s->topic, "cleanup.policy", "compact,delete");
    put(&s->topic, "message.timestamp.type", "LogAppendTime");
    put(&s->topic, "internal.segment.bytes", "4096");
    struct topic_config config = resolved(s);
    assert_false(config.keep_codec);
    assert_int_equal(config.codec, CODEC_ZSTD);
    assert_true(config.log.compact && config.log.delete_old);
    assert_true(config.log_append_time);
    assert_int_equal(config.log.segment_bytes, 4096);
    put(&s->topic, "compression.type", "uncompressed");
    put(&s->topic, "cleanup.policy", "");
    config = resolved(s);
    assert_false(config.keep_codec);
    assert_int_equal(config.codec, CODEC_NONE);
    assert_false(config.log.compact || config.log.delete_old);
}

static void min_insync_replicas_never_asks_for_more_than_there_are(void **state)
{
    struct topic_config config = resolved(*state);
    assert_int_equal(topic_config_min_isr(&config, 1), 1);
    assert_int_equal(topic_config_min_isr(&config, 2), 2);
    assert_int_equal(topic_config_min_isr(&config, 3), 2);
}

static void broker_values_are_read_by_name(void **state)
{
    struct scene *s = *state;
    assert_true(config_bool(&s->layers, "auto.create.topics.enable"));
    assert_int_equal(config_number(&s->layers, "num.partitions"), 1);
    assert_true(config_double(&s->layers, "log.cleaner.min.cleanable.ratio") == 0.5);
    assert_null(config_text(&s->layers, "broker.rack").data);
    put(&s->file, "broker.rack", "a");
    put(&s->file, "num.partitions", "4");
    put(&s->cluster, "max.connections", "10");
    assert_true(text_is(config_text(&s->layers, "broker.rack"), "a"));
    assert_int_equal(config_number(&s->layers, "num.partitions"), 4);
    assert_int_equal(config_number(&s->layers, "max.connections"), 10);
}

static void replication_factors_are_bounded_by_the_cluster(void **state)
{
    struct scene *s = *state;
    assert_int_equal(config_number(&s->layers, "default.replication.factor"), 3);
    s->layers.n_brokers = 1;
    assert_int_equal(config_number(&s->layers, "default.replication.factor"), 1);
    assert_true(text_is(described(s, BROKER_DEF("default.replication.factor")).value, "1"));
    s->layers.n_brokers = 5;
    assert_int_equal(config_number(&s->layers, "default.replication.factor"), 3);
}

/* ---- descriptions -----------------------------------------------------------------------------*/

static void a_description_names_every_origin_in_order(void **state)
{
    struct scene *s = *state;
    put(&s->file, "log.retention.hours", "24");
    put(&s->cluster, "log.retention.ms", "5000");
    put(&s->topic, "retention.ms", "77");
    struct config_description d = described(s, TOPIC_DEF("retention.ms"));
    static const struct {
        const char *name, *value;
        enum config_source source;
    } WANT[] = {
        { "retention.ms", "77", CONFIG_FROM_TOPIC },
        { "log.retention.ms", "5000", CONFIG_FROM_CLUSTER },
        { "log.retention.hours", "24", CONFIG_FROM_FILE },
        { "log.retention.hours", "168", CONFIG_FROM_DEFAULT },
    };
    assert_true(text_is(d.value, "77"));
    assert_int_equal(d.source, CONFIG_FROM_TOPIC);
    assert_false(d.read_only || d.sensitive);
    assert_int_equal(d.n_origins, countof(WANT));
    for (size_t i = 0; i < countof(WANT); i++) {
        assert_string_equal(d.origins[i].name, WANT[i].name);
        assert_true(text_is(d.origins[i].value, WANT[i].value));
        assert_int_equal(d.origins[i].source, WANT[i].source);
    }
}

static void an_inherited_value_is_described_in_the_unit_of_the_topic(void **state)
{
    struct scene *s = *state;
    put(&s->file, "log.retention.hours", "1");
    struct config_description d = described(s, TOPIC_DEF("retention.ms"));
    assert_true(text_is(d.value, "3600000"));
    assert_int_equal(d.source, CONFIG_FROM_FILE);
    assert_true(text_is(d.origins[0].value, "1"));
}

static void secrets_are_never_described(void **state)
{
    struct scene *s = *state;
    put(&s->file, "chronik.cluster.secret", "hush");
    struct config_description d = described(s, BROKER_DEF("chronik.cluster.secret"));
    assert_true(d.sensitive);
    assert_null(d.value.data);
    assert_int_equal(d.source, CONFIG_FROM_FILE);
    assert_int_equal(d.n_origins, 1);
    assert_null(d.origins[0].value.data);
}

static void an_empty_list_is_described_as_empty_not_as_missing(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "cleanup.policy", "");
    struct config_description d = described(s, TOPIC_DEF("cleanup.policy"));
    assert_non_null(d.value.data);
    assert_int_equal(d.value.len, 0);
}

static void settings_that_need_a_restart_are_read_only(void **state)
{
    struct scene *s = *state;
    assert_true(described(s, BROKER_DEF("num.partitions")).read_only);
    assert_false(described(s, BROKER_DEF("log.retention.ms")).read_only);
}

/* ---- changes ----------------------------------------------------------------------------------*/

struct outcome {
    enum kafka_error error;
    struct config_changes changes;
    struct text message;
};

static struct outcome alter(struct scene *s, bool replace, const struct config_op *ops, size_t n)
{
    const struct config_target target = { CONFIG_TOPIC, false, &s->topic, &s->layers };
    struct outcome o = { 0 };
    o.error = (replace ? config_replace : config_alter)(&target, ops, n, &s->arena, &o.changes,
                                                        &o.message);
    return o;
}

static struct config_op op(int kind, const char *name, const char *value)
{
    return (struct config_op){ (int8_t)kind, text_of(name), text_of(value) };
}

static struct outcome alter_one(struct scene *s, int kind, const char *name, const char *value)
{
    struct config_op o = op(kind, name, value);
    return alter(s, false, &o, 1);
}

static void changes_hold_only_what_differs_sorted(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "retention.ms", "5");
    put(&s->topic, "segment.ms", "7");
    const struct config_op ops[] = {
        op(CONFIG_SET, "segment.bytes", " 2097152 "), op(CONFIG_SET, "retention.ms", "05"),
        op(CONFIG_DELETE, "segment.ms", NULL),        op(CONFIG_DELETE, "flush.ms", NULL),
        op(CONFIG_SET, "max.message.bytes", "9"),
    };
    struct outcome o = alter(s, false, ops, countof(ops));
    assert_int_equal(o.error, KAFKA_NONE);
    assert_int_equal(o.changes.n, 3);
    assert_true(text_is(o.changes.items[0].name, "max.message.bytes"));
    assert_true(text_is(o.changes.items[1].name, "segment.bytes"));
    assert_true(text_is(o.changes.items[1].value, "2097152"));
    assert_true(text_is(o.changes.items[2].name, "segment.ms"));
    assert_null(o.changes.items[2].value.data);
}

static void lists_can_be_added_to_and_taken_from(void **state)
{
    struct scene *s = *state;
    struct outcome o = alter_one(s, CONFIG_APPEND, "cleanup.policy", "compact");
    assert_int_equal(o.error, KAFKA_NONE);
    assert_true(text_is(o.changes.items[0].value, "delete,compact"));
    put(&s->topic, "cleanup.policy", "delete,compact");
    o = alter_one(s, CONFIG_APPEND, "cleanup.policy", "compact");
    assert_int_equal(o.changes.n, 0);
    o = alter_one(s, CONFIG_SUBTRACT, "cleanup.policy", "delete");
    assert_true(text_is(o.changes.items[0].value, "compact"));
    o = alter_one(s, CONFIG_SUBTRACT, "cleanup.policy", "delete, compact");
    assert_true(text_is(o.changes.items[0].value, ""));
    o = alter_one(s, CONFIG_APPEND, "leader.replication.throttled.replicas", "0:1,1:2");
    assert_true(text_is(o.changes.items[0].value, "0:1,1:2"));
    o = alter_one(s, CONFIG_APPEND, "retention.ms", "1");
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
    o = alter_one(s, CONFIG_APPEND, "cleanup.policy", "nonsense");
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
}

/* Every reply that shows a value must be able to carry it. */
static void values_and_messages_do_not_get_too_long(void **state)
{
    struct scene *s = *state;
    struct buf list = { 0 };
    for (int i = 0; list.len < CONFIG_VALUE_MAX; i++) {
        buf_printf(&list, "%s%d:1", i > 0 ? "," : "", i);
    }
    buf_put_u8(&list, 0);
    const char *value = (char *)list.data;
    struct outcome o = alter_one(s, CONFIG_SET, "leader.replication.throttled.replicas", value);
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
    assert_true(o.message.len < 1000);
    *strrchr((char *)list.data, ',') = 0;
    o = alter_one(s, CONFIG_SET, "leader.replication.throttled.replicas", value);
    assert_int_equal(o.error, KAFKA_NONE);
    o = alter_one(s, CONFIG_SET, value, "1");
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
    assert_true(o.message.len < 1000);
    buf_release(&list);
}

static void one_bad_change_refuses_them_all(void **state)
{
    struct scene *s = *state;
    const struct config_op ops[] = {
        op(CONFIG_SET, "retention.ms", "5"),
        op(CONFIG_SET, "segment.bytes", "1"),
    };
    struct outcome o = alter(s, false, ops, countof(ops));
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
    assert_int_equal(o.changes.n, 0);
    assert_true(text_is(o.message, "Invalid value 1 of segment.bytes: allowed is an int, at least "
                                   "1048576."));
}

static void malformed_changes_are_invalid_requests(void **state)
{
    struct scene *s = *state;
    const struct config_op twice[] = {
        op(CONFIG_SET, "retention.ms", "5"),
        op(CONFIG_DELETE, "retention.ms", NULL),
    };
    assert_int_equal(alter(s, false, twice, 2).error, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter_one(s, CONFIG_SET, "retention.ms", NULL).error, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter_one(s, 9, "retention.ms", "5").error, KAFKA_INVALID_REQUEST);
    assert_int_equal(alter_one(s, -1, "retention.ms", "5").error, KAFKA_INVALID_REQUEST);
}

static void unknown_names_can_be_removed_but_not_set(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "from.an.older.version", "1");
    struct outcome o = alter_one(s, CONFIG_SET, "foo", "1");
    assert_int_equal(o.error, KAFKA_INVALID_CONFIG);
    assert_true(text_is(o.message, "Unknown topic config name: foo."));
    o = alter_one(s, CONFIG_DELETE, "from.an.older.version", NULL);
    assert_int_equal(o.error, KAFKA_NONE);
    assert_int_equal(o.changes.n, 1);
    assert_int_equal(alter_one(s, CONFIG_SET, "num.partitions", "1").error, KAFKA_INVALID_CONFIG);
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "min.compaction.lag.ms", "10");
    assert_int_equal(alter_one(s, CONFIG_SET, "max.compaction.lag.ms", "5").error,
                     KAFKA_INVALID_CONFIG);
    assert_int_equal(alter_one(s, CONFIG_SET, "max.compaction.lag.ms", "50").error, KAFKA_NONE);
}

static void replacing_removes_what_is_not_named(void **state)
{
    struct scene *s = *state;
    put(&s->topic, "retention.ms", "5");
    put(&s->topic, "segment.ms", "7");
    const struct config_op ops[] = {
        op(CONFIG_SET, "retention.ms", "5"),
        op(CONFIG_SET, "flush.ms", "1"),
    };
    struct outcome o = alter(s, true, ops, countof(ops));
    assert_int_equal(o.error, KAFKA_NONE);
    assert_int_equal(o.changes.n, 2);
    assert_true(text_is(o.changes.items[0].name, "flush.ms"));
    assert_true(text_is(o.changes.items[1].name, "segment.ms"));
    assert_null(o.changes.items[1].value.data);
    assert_int_equal(alter(s, true, NULL, 0).changes.n, 2);
}

static enum kafka_error alter_broker(struct scene *s, bool all, const char *name, const char *value,
                                     struct text *ret_message)
{
    const struct config_target target = { CONFIG_BROKER, all, all ? &s->cluster : &s->broker,
                                          &s->layers };
    struct config_op o = op(CONFIG_SET, name, value);
    struct config_changes changes;
    return config_alter(&target, &o, 1, &s->arena, &changes, ret_message);
}

static void broker_settings_change_only_where_they_can(void **state)
{
    struct scene *s = *state;
    struct text message = TEXT_NULL;
    assert_int_equal(alter_broker(s, true, "log.retention.ms", "5", &message), KAFKA_NONE);
    assert_int_equal(alter_broker(s, false, "log.retention.ms", "5", &message), KAFKA_NONE);
    assert_int_equal(alter_broker(s, false, "num.partitions", "5", &message),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(alter_broker(s, true, "nonsense", "5", &message), KAFKA_INVALID_CONFIG);
    assert_int_equal(alter_broker(s, true, "zookeeper.connect", "5", &message),
                     KAFKA_INVALID_CONFIG);
    assert_non_null(strstr(message.data, "no longer has it"));
    assert_int_equal(alter_broker(s, true, "log.retention.ms", "x", &message),
                     KAFKA_INVALID_CONFIG);
}

#define SCENE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted_and_every_row_is_found),
        cmocka_unit_test(every_default_is_allowed_and_written_in_the_one_way),
        cmocka_unit_test(every_synonym_is_a_broker_config),
        SCENE_TEST(a_topic_inherits_the_defaults_that_the_table_shows),
        SCENE_TEST(an_empty_table_of_layers_gives_the_defaults_of_the_storage_layer),
        cmocka_unit_test(values_are_written_in_one_way),
        cmocka_unit_test(values_that_are_not_allowed_are_refused),
        cmocka_unit_test(a_refusal_says_what_is_allowed),
        cmocka_unit_test(names_of_kafka_are_told_from_typing_errors),
        cmocka_unit_test(no_name_is_both_known_and_ignored),
        cmocka_unit_test(sets_keep_their_names_sorted),
        SCENE_TEST(nearer_layers_win),
        SCENE_TEST(no_limit_means_the_same_in_every_unit),
        SCENE_TEST(a_value_that_is_no_longer_allowed_is_passed_over),
        SCENE_TEST(every_honoured_topic_setting_changes_what_the_broker_acts_on),
        SCENE_TEST(codecs_and_policies_are_understood),
        SCENE_TEST(min_insync_replicas_never_asks_for_more_than_there_are),
        SCENE_TEST(broker_values_are_read_by_name),
        SCENE_TEST(replication_factors_are_bounded_by_the_cluster),
        SCENE_TEST(a_description_names_every_origin_in_order),
        SCENE_TEST(an_inherited_value_is_described_in_the_unit_of_the_topic),
        SCENE_TEST(secrets_are_never_described),
        SCENE_TEST(an_empty_list_is_described_as_empty_not_as_missing),
        SCENE_TEST(settings_that_need_a_restart_are_read_only),
        SCENE_TEST(changes_hold_only_what_differs_sorted),
        SCENE_TEST(lists_can_be_added_to_and_taken_from),
        SCENE_TEST(values_and_messages_do_not_get_too_long),
        SCENE_TEST(one_bad_change_refuses_them_all),
        SCENE_TEST(malformed_changes_are_invalid_requests),
        SCENE_TEST(unknown_names_can_be_removed_but_not_set),
        SCENE_TEST(settings_that_contradict_each_other_are_refused),
        SCENE_TEST(replacing_removes_what_is_not_named),
        SCENE_TEST(broker_settings_change_only_where_they_can),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
