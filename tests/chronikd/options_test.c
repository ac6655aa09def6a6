/* Command line, environment and properties file: what comes of them, and what is said about it. */
#include "../support/test.h"

#include <chronik/chronikd/options.h>

#include <stdarg.h>
#include <unistd.h>

/* ---- helpers ----------------------------------------------------------------------------------*/

struct scene {
    struct options options;
    char *argv[16];
    int argc;
    char *env[16];
    int n_env;
    char file[64];
};

static int set_up(void **state)
{
    struct scene *s = mem_zalloc(sizeof *s);
    s->argv[s->argc++] = mem_strdup("chronikd");
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    options_release(&s->options);
    for (int i = 0; i < s->argc; i++) {
        free(s->argv[i]);
    }
    for (int i = 0; i < s->n_env; i++) {
        free(s->env[i]);
    }
    if (s->file[0] != '\0') {
        unlink(s->file);
    }
    free(s);
    return 0;
}

static void arg(struct scene *s, const char *text)
{
    s->argv[s->argc++] = mem_strdup(text);
}

static void env(struct scene *s, const char *text)
{
    s->env[s->n_env++] = mem_strdup(text);
}

/* Writes the properties file and names it on the command line. */
static void file(struct scene *s, const char *content)
{
    snprintf(s->file, sizeof s->file, "/tmp/chronikd-options-XXXXXX");
    int fd = mkstemp(s->file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    arg(s, s->file);
}

static int run(struct scene *s)
{
    options_release(&s->options);
    const struct options_source source = { s->argc, s->argv, s->env, "myhost" };
    return options_read(&s->options, &source);
}

static const char *value(const struct scene *s, const char *name)
{
    return config_set_get(&s->options.settings, text_of(name));
}

static bool said(const struct scene *s, enum diag_level level, const char *part)
{
    for (size_t i = 0; i < s->options.n_messages; i++) {
        const struct options_message *m = &s->options.messages[i];
        if (m->level == level && strstr(m->text, part) != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < s->options.n_messages; i++) {
        print_message("said: %s\n", s->options.messages[i].text);
    }
    return false;
}

static void refused(struct scene *s, const char *part)
{
    assert_int_equal(run(s), EXIT_CONFIG);
    assert_true(said(s, DIAG_ERROR, part));
}

static void is_listener(const struct options_listener *l, const char *name, const char *host,
                        uint16_t port, const char *advertised_host, uint16_t advertised_port)
{
    assert_string_equal(l->name, name);
    assert_string_equal(l->host, host);
    assert_int_equal(l->port, port);
    assert_string_equal(l->advertised_host, advertised_host);
    assert_int_equal(l->advertised_port, advertised_port);
}

/* ---- defaults and sources ---------------------------------------------------------------------*/

static void no_arguments_are_one_node_on_loopback(void **state)
{
    struct scene *s = *state;
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.action, OPTIONS_SERVE);
    assert_int_equal(s->options.node_id, -1);
    assert_string_equal(s->options.data_dir, "data");
    assert_string_equal(s->options.raft_dir, "data/raft");
    assert_int_equal(s->options.n_listeners, 1);
    is_listener(&s->options.listeners[0], "PLAINTEXT", "localhost", 9092, "localhost", 9092);
    assert_null(s->options.nodes);
    assert_int_equal(s->options.n_voters, 0);
    assert_string_equal(s->options.admin_host, "localhost");
    assert_int_equal(s->options.admin_port, 9644);
    assert_int_equal(s->options.io, LOOP_AUTO);
    assert_int_equal(s->options.log_levels[DIAG_RAFT], DIAG_INFO);
    assert_null(s->options.secret);
    assert_int_equal(s->options.n_messages, 0);
}

static void flags_are_stronger_than_the_environment_and_that_than_the_file(void **state)
{
    struct scene *s = *state;
    file(s, "num.partitions=1\nbroker.rack=file\nlog.dirs=/file\nmax.connections=10\n");
    env(s, "KAFKA_NUM_PARTITIONS=2");
    env(s, "KAFKA_BROKER_RACK=kafka");
    env(s, "CHRONIKD_BROKER_RACK=chronikd");
    env(s, "KAFKA_LOG_DIRS=/kafka");
    arg(s, "--data-dir=/flag");
    assert_int_equal(run(s), 0);
    assert_string_equal(value(s, "max.connections"), "10");
    assert_string_equal(value(s, "num.partitions"), "2");
    assert_string_equal(value(s, "broker.rack"), "chronikd");
    assert_string_equal(s->options.data_dir, "/flag");
    assert_string_equal(config_set_get(&s->options.origins, text_of("broker.rack")),
                        "CHRONIKD_BROKER_RACK");
}

static void names_of_the_environment_follow_the_rule_of_kafkas_container(void **state)
{
    struct scene *s = *state;
    env(s, "KAFKA_LISTENER_NAME_MY__INSIDE_SSL_KEY_PASSWORD=x");
    env(s, "CHRONIKD_ADMIN_LISTENER=127.0.0.1:1");
    env(s, "CLUSTER_ID=abcdefghijklmnopqrstuv");
    env(s, "KAFKA_HEAP_OPTS=-Xmx1G");
    env(s, "KAFKA_SERVICE_HOST=10.0.0.1");
    env(s, "CHRONIKD_NONSENSE=1");
    env(s, "PATH=/bin");
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.admin_host, "127.0.0.1");
    assert_string_equal(s->options.cluster_id, "abcdefghijklmnopqrstuv");
    assert_true(said(s, DIAG_DEBUG, "KAFKA_SERVICE_HOST"));
    assert_true(said(s, DIAG_WARN, "CHRONIKD_NONSENSE: unknown setting nonsense"));
    assert_true(said(s, DIAG_INFO, "listener.name.my_inside.ssl.key.password"));
    assert_int_equal(s->options.n_messages, 3);
}

static void the_data_directory_is_systemds_when_nobody_names_one(void **state)
{
    struct scene *s = *state;
    env(s, "STATE_DIRECTORY=/var/lib/one:/var/lib/two");
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.data_dir, "/var/lib/one");
    env(s, "KAFKA_LOG_DIR=/older");
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.data_dir, "/older");
    env(s, "KAFKA_METADATA_LOG_DIR=/meta");
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.raft_dir, "/meta/raft");
}

static void every_flag_is_understood(void **state)
{
    struct scene *s = *state;
    static const char *const ARGS[] = {
        "--node-id",    "7",       "--listen", "0.0.0.0:19092",         "--io=threads",
        "--log-format", "json",    "--dev",    "--log-level",           "warn,raft=debug",
        "--override",   "a=b=c",   "--strict", "--override=broker.rack=x=y",
    };
    for (unsigned i = 0; i < countof(ARGS); i++) {
        if (strcmp(ARGS[i], "a=b=c") != 0 && strcmp(ARGS[i], "--override") != 0) {
            arg(s, ARGS[i]);
        }
    }
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.node_id, 7);
    is_listener(&s->options.listeners[0], "PLAINTEXT", "", 19092, "myhost", 19092);
    assert_int_equal(s->options.io, LOOP_THREADS);
    assert_true(s->options.log_json);
    assert_int_equal(s->options.log_levels[DIAG_RAFT], DIAG_DEBUG);
    assert_int_equal(s->options.log_levels[DIAG_STORE], DIAG_WARN);
    assert_string_equal(value(s, "broker.rack"), "x=y");
    assert_string_equal(value(s, "chronik.memory.bytes"), "268435456");
    assert_true(s->options.strict);
}

static void dev_is_weaker_than_the_file(void **state)
{
    struct scene *s = *state;
    file(s, "chronik.memory.bytes=5\n");
    arg(s, "--dev");
    assert_int_equal(run(s), 0);
    assert_string_equal(value(s, "chronik.memory.bytes"), "5");
}

static void actions_are_told_apart(void **state)
{
    struct scene *s = *state;
    static const struct {
        const char *flag;
        enum options_action action;
    } ACTIONS[] = {
        { "--help", OPTIONS_HELP },
        { "--version", OPTIONS_VERSION },
        { "--check-config", OPTIONS_CHECK },
        { "--print-config", OPTIONS_PRINT },
    };
    arg(s, "");
    for (unsigned i = 0; i < countof(ACTIONS); i++) {
        free(s->argv[1]);
        s->argv[1] = mem_strdup(ACTIONS[i].flag);
        assert_int_equal(run(s), 0);
        assert_int_equal(s->options.action, ACTIONS[i].action);
    }
}

static void a_wrong_command_line_is_a_usage_error(void **state)
{
    struct scene *s = *state;
    static const char *const WRONG[][2] = {
        { "--nonsense", "unknown flag" },      { "--node-id", "needs a value" },
        { "--strict=1", "takes no value" },    { "--override=x", "is not KEY=VALUE" },
        { "--override==x", "is not KEY=VALUE" }, { "-x", "unknown flag" },
    };
    arg(s, "");
    for (unsigned i = 0; i < countof(WRONG); i++) {
        free(s->argv[1]);
        s->argv[1] = mem_strdup(WRONG[i][0]);
        assert_int_equal(run(s), EXIT_USAGE);
        assert_true(said(s, DIAG_ERROR, WRONG[i][1]));
    }
    free(s->argv[1]);
    s->argv[1] = mem_strdup("one.properties");
    arg(s, "--config=two.properties");
    assert_int_equal(run(s), EXIT_USAGE);
}

/* ---- settings ---------------------------------------------------------------------------------*/

static void a_wrong_value_names_file_line_key_value_and_what_is_allowed(void **state)
{
    struct scene *s = *state;
    file(s, "# comment\n\nnum.partitions = 1\nlog.retention.hours = abc\nprocess.roles=x\n");
    assert_int_equal(run(s), EXIT_CONFIG);
    char want[256];
    snprintf(want, sizeof want, "%s:4: log.retention.hours=abc: allowed is an int, at least -1",
             s->file);
    assert_true(said(s, DIAG_ERROR, want));
    assert_true(said(s, DIAG_ERROR, "process.roles=x: allowed is a list of: broker, controller"));
}

static void a_missing_file_is_an_error(void **state)
{
    struct scene *s = *state;
    arg(s, "/nonexistent/server.properties");
    refused(s, "/nonexistent/server.properties: cannot read the properties file: No such file");
}

static void an_unknown_setting_is_warned_about_with_the_nearest_one(void **state)
{
    struct scene *s = *state;
    file(s, "nun.partitions=3\nretention.ms=5\n");
    assert_int_equal(run(s), 0);
    assert_true(said(s, DIAG_WARN, "nun.partitions, ignored: did you mean num.partitions?"));
    assert_true(said(s, DIAG_WARN, "did you mean log.retention.ms?"));
    arg(s, "--strict");
    refused(s, "unknown setting nun.partitions: did you mean num.partitions?");
}

static void settings_that_change_nothing_are_noted_once(void **state)
{
    struct scene *s = *state;
    file(s, "zookeeper.connect=x\nnum.io.threads=8\nnum.partitions=2\n");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.n_messages, 1);
    assert_true(said(s, DIAG_INFO, "2 settings of Apache Kafka change nothing here: "
                                   "num.io.threads, zookeeper.connect"));
}

static void a_setting_that_comes_twice_is_warned_about(void **state)
{
    struct scene *s = *state;
    file(s, "num.partitions=2\nnum.partitions=3\n");
    assert_int_equal(run(s), 0);
    assert_string_equal(value(s, "num.partitions"), "3");
    assert_true(said(s, DIAG_WARN, ":2: num.partitions is set at"));
}

static void secrets_are_not_repeated(void **state)
{
    struct scene *s = *state;
    file(s, "chronik.cluster.secret=hush\nssl.key.password=hush2\n");
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.secret, "hush");
    struct buf out = { 0 };
    options_print(&s->options, &out);
    assert_null(memmem(out.data, out.len, "hush", 4));
    buf_release(&out);
}

static void the_secret_may_lie_in_a_file(void **state)
{
    struct scene *s = *state;
    char setting[128];
    file(s, "from the file \nsecond line\n");
    free(s->argv[--s->argc]);
    snprintf(setting, sizeof setting, "KAFKA_CHRONIK_CLUSTER_SECRET_FILE=%s", s->file);
    env(s, setting);
    assert_int_equal(run(s), 0);
    assert_string_equal(s->options.secret, "from the file");
    unlink(s->file);
    refused(s, "cannot read it");
}

static void what_would_leave_the_broker_open_is_refused(void **state)
{
    struct scene *s = *state;
    file(s, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n");
    refused(s, "no authorization");
}

static void a_heartbeat_must_fit_into_the_session(void **state)
{
    struct scene *s = *state;
    arg(s, "--override=broker.heartbeat.interval.ms=1500");
    refused(s, "must be below broker.session.timeout.ms");
}

static void several_data_directories_are_refused(void **state)
{
    struct scene *s = *state;
    arg(s, "--data-dir=/a,/b");
    refused(s, "one data directory per daemon");
}

static void levels_and_modules_must_exist(void **state)
{
    struct scene *s = *state;
    arg(s, "--log-level=loud");
    refused(s, "a level is error, warn, info or debug");
    free(s->argv[1]);
    s->argv[1] = mem_strdup("--log-level=info,nobody=debug");
    refused(s, "there is no module nobody");
}

static void both_names_of_the_node_id_must_agree(void **state)
{
    struct scene *s = *state;
    file(s, "node.id=3\nbroker.id=3\n");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.node_id, 3);
    arg(s, "--override=broker.id=4");
    refused(s, "node.id says 3");
}

static void a_printed_configuration_gives_the_same_one(void **state)
{
    struct scene *s = *state;
    struct buf first = { 0 }, second = { 0 };
    file(s, "broker.rack= C:\\\\dir\nnum.partitions=7\n");
    assert_int_equal(run(s), 0);
    options_print(&s->options, &first);
    buf_put_u8(&first, '\0');
    unlink(s->file);
    free(s->argv[--s->argc]);
    file(s, (char *)first.data);
    assert_int_equal(run(s), 0);
    assert_string_equal(value(s, "broker.rack"), "C:\\dir");
    assert_string_equal(value(s, "num.partitions"), "7");
    options_print(&s->options, &second);
    assert_true(second.len > first.len);
    buf_release(&first);
    buf_release(&second);
}

static void help_names_every_flag(void **state)
{
    (void)state;
    struct buf out = { 0 };
    options_help(&out);
    assert_non_null(memmem(out.data, out.len, "--peers", 7));
    assert_non_null(memmem(out.data, out.len, "--print-config", 14));
    buf_release(&out);
}

/* ---- listeners and voters ---------------------------------------------------------------------*/

static void kafkas_sample_file_is_a_single_node(void **state)
{
    struct scene *s = *state;
    file(s, "process.roles=broker,controller\nnode.id=1\n"
            "controller.quorum.bootstrap.servers=localhost:9093\n"
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
            "inter.broker.listener.name=PLAINTEXT\n"
            "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
            "controller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n"
            "num.network.threads=3\nlog.dirs=/tmp/kraft-combined-logs\n");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.node_id, 1);
    assert_int_equal(s->options.n_listeners, 1);
    is_listener(&s->options.listeners[0], "PLAINTEXT", "", 9092, "localhost", 9092);
    assert_null(s->options.nodes);
}

static void several_listeners_each_advertise_their_own(void **state)
{
    struct scene *s = *state;
    file(s, "listeners=IN://10.0.0.1:9092, OUT://[::]:9094,ANY://0.0.0.0:0\n"
            "listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,ANY:PLAINTEXT\n"
            "advertised.listeners=OUT://broker.example:19094\n");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.n_listeners, 3);
    is_listener(&s->options.listeners[0], "IN", "10.0.0.1", 9092, "10.0.0.1", 9092);
    is_listener(&s->options.listeners[1], "OUT", "", 9094, "broker.example", 19094);
    is_listener(&s->options.listeners[2], "ANY", "", 0, "myhost", 0);
}

static void bad_listeners_are_refused(void **state)
{
    struct scene *s = *state;
    static const char *const BAD[][2] = {
        { "listeners=9092", "is not NAME://host:port" },
        { "listeners=PLAINTEXT://host", "is not NAME://host:port" },
        { "listeners=PLAINTEXT://host:99999", "is not NAME://host:port" },
        { "listeners=PLAINTEXT://::1:9092", "is not NAME://host:port" },
        { "listeners=://h:1", "is not NAME://host:port" },
        { "listeners=CONTROLLER://:9093", "there is none for clients" },
        { "listeners=PLAINTEXT://:1,PLAINTEXT://:2", "comes twice" },
        { "listeners=SSL://:9093", "listener SSL needs SSL" },
        { "listeners=MINE://:9093", "add MINE:PLAINTEXT" },
        { "advertised.listeners=PLAINTEXT://0.0.0.0:9092", "clients cannot connect to '0.0.0.0'" },
        { "advertised.listeners=OTHER://h:1", "there is no listener OTHER" },
        { "chronik.admin.listener=9644", "it must be host:port" },
    };
    arg(s, "");
    for (unsigned i = 0; i < countof(BAD); i++) {
        free(s->argv[1]);
        s->argv[1] = mem_sprintf("--override=%s", BAD[i][0]);
        refused(s, BAD[i][1]);
    }
}

static void a_cluster_of_three_takes_its_listener_from_the_voters(void **state)
{
    struct scene *s = *state;
    arg(s, "--node-id=2");
    arg(s, "--peers=1@a:9093,2@b:9094,3@[::1]:9093");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.n_voters, 3);
    assert_int_equal(s->options.voters[2].id, 3);
    assert_string_equal(s->options.voters[2].host, "::1");
    assert_int_equal(s->options.voters[2].port, 9093);
    is_listener(s->options.nodes, "CONTROLLER", "b", 9094, "b", 9094);
}

static void a_named_controller_listener_is_the_one_between_nodes(void **state)
{
    struct scene *s = *state;
    file(s, "node.id=1\ncontroller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\n"
            "listeners=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093\n");
    assert_int_equal(run(s), 0);
    is_listener(s->options.nodes, "CONTROLLER", "", 9093, "a", 9093);
    assert_int_equal(s->options.n_listeners, 1);
}

static void a_lone_voter_is_a_single_node(void **state)
{
    struct scene *s = *state;
    arg(s, "--peers=5@localhost:9093");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.node_id, 5);
    assert_null(s->options.nodes);
}

static void bad_voters_are_refused(void **state)
{
    struct scene *s = *state;
    static const char *const BAD[][2] = {
        { "controller.quorum.voters=a:1", "'a:1' is not id@host:port" },
        { "controller.quorum.voters=1@a", "is not id@host:port" },
        { "controller.quorum.voters=1@:9093", "is not id@host:port" },
        { "controller.quorum.voters=-1@a:1", "is not id@host:port" },
        { "controller.quorum.voters=1@a:1,1@b:1,2@c:1", "id 1 comes twice" },
        { "controller.quorum.voters=1@a:1,2@b:1", "a cluster is of 1, 3 or 5" },
        { "controller.quorum.voters=1@a:1,2@b:1,3@c:1", "which of these is this node?" },
        { "controller.quorum.bootstrap.servers=a:1,b:1", "needs their ids" },
    };
    arg(s, "");
    for (unsigned i = 0; i < countof(BAD); i++) {
        free(s->argv[1]);
        s->argv[1] = mem_sprintf("--override=%s", BAD[i][0]);
        refused(s, BAD[i][1]);
    }
    arg(s, "--node-id=9");
    free(s->argv[1]);
    s->argv[1] = mem_strdup("--peers=1@a:1,2@b:1,3@c:1");
    refused(s, "this node, 9, is not among them");
}

/* ---- --dump-log -------------------------------------------------------------------------------*/

static void a_dump_may_be_asked_for_one_partition(void **state)
{
    struct scene *s = *state;
    env(s, "KAFKA_BROKER_ID=nonsense"); /* settings are none of its business */
    arg(s, "--dump-log");
    arg(s, "/data");
    arg(s, "--partition=a-topic-12");
    arg(s, "--records");
    arg(s, "--json");
    assert_int_equal(run(s), 0);
    assert_int_equal(s->options.action, OPTIONS_DUMP);
    assert_string_equal(s->options.dump.dir, "/data");
    assert_string_equal(s->options.dump.topic, "a-topic");
    assert_int_equal(s->options.dump.partition, 12);
    assert_true(s->options.dump.records && s->options.dump.json);
}

static void what_goes_with_a_dump_goes_with_nothing_else(void **state)
{
    static const char *const ALONE[] = { "--partition=t-1", "--records", "--json" };
    struct scene *s = *state;
    arg(s, "--partition=t");
    assert_int_equal(run(s), EXIT_USAGE);
    for (unsigned i = 0; i < countof(ALONE); i++) {
        options_release(&s->options);
        free(s->argv[--s->argc]);
        arg(s, ALONE[i]);
        assert_int_equal(run(s), EXIT_USAGE);
        assert_true(said(s, DIAG_ERROR, "goes with --dump-log only"));
    }
}

#define SCENE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(no_arguments_are_one_node_on_loopback),
        SCENE_TEST(flags_are_stronger_than_the_environment_and_that_than_the_file),
        SCENE_TEST(names_of_the_environment_follow_the_rule_of_kafkas_container),
        SCENE_TEST(the_data_directory_is_systemds_when_nobody_names_one),
        SCENE_TEST(every_flag_is_understood),
        SCENE_TEST(dev_is_weaker_than_the_file),
        SCENE_TEST(actions_are_told_apart),
        SCENE_TEST(a_wrong_command_line_is_a_usage_error),
        SCENE_TEST(a_wrong_value_names_file_line_key_value_and_what_is_allowed),
        SCENE_TEST(a_missing_file_is_an_error),
        SCENE_TEST(an_unknown_setting_is_warned_about_with_the_nearest_one),
        SCENE_TEST(settings_that_change_nothing_are_noted_once),
        SCENE_TEST(a_setting_that_comes_twice_is_warned_about),
        SCENE_TEST(secrets_are_not_repeated),
        SCENE_TEST(the_secret_may_lie_in_a_file),
        SCENE_TEST(what_would_leave_the_broker_open_is_refused),
        SCENE_TEST(a_heartbeat_must_fit_into_the_session),
        SCENE_TEST(several_data_directories_are_refused),
        SCENE_TEST(levels_and_modules_must_exist),
        SCENE_TEST(both_names_of_the_node_id_must_agree),
        SCENE_TEST(a_printed_configuration_gives_the_same_one),
        SCENE_TEST(help_names_every_flag),
        SCENE_TEST(kafkas_sample_file_is_a_single_node),
        SCENE_TEST(several_listeners_each_advertise_their_own),
        SCENE_TEST(bad_listeners_are_refused),
        SCENE_TEST(a_cluster_of_three_takes_its_listener_from_the_voters),
        SCENE_TEST(a_named_controller_listener_is_the_one_between_nodes),
        SCENE_TEST(a_lone_voter_is_a_single_node),
        SCENE_TEST(bad_voters_are_refused),
        SCENE_TEST(a_dump_may_be_asked_for_one_partition),
        SCENE_TEST(what_goes_with_a_dump_goes_with_nothing_else),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
