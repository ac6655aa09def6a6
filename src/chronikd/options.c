/* The command line, and the order in which everything is read.
 *
 * The command line is taken apart first: what asks for an action, what names the properties file,
 * and settings under short names (--listen) or their own (--override). Then all sources are read
 * from the weakest to the strongest: --dev, the file, the environment, the flags; the later one
 * wins. A command line that cannot be understood ends at once with EXIT_USAGE; wrong settings are
 * gathered and end with EXIT_CONFIG. */
#include "options_inside.h"

#include <chronik/base/properties.h>
#include <chronik/io/file.h>
#include <chronik/storage/kafka_files.h>

#include <stdio.h>

/* ---- the flags --------------------------------------------------------------------------------*/

enum flag_kind {
    FLAG_SETTING,  /* takes a value: the setting */
    FLAG_OVERRIDE, /* takes key=value */
    FLAG_CONFIG,   /* takes the name of the properties file */
    FLAG_ACTION,
    FLAG_STRICT,
    FLAG_DEV,
    FLAG_DUMP,      /* takes a directory */
    FLAG_PARTITION, /* takes topic-number */
    FLAG_RECORDS,
    FLAG_JSON,
};

struct flag {
    const char *name, *value; /* value: what --help calls it; NULL: takes none */
    enum flag_kind kind;
    const char *setting;      /* of FLAG_SETTING */
    enum options_action action;
    const char *help;
};

static const struct flag FLAGS[] = {
    { "--node-id", "N", FLAG_SETTING, "node.id", 0, "this node's number in the cluster" },
    { "--data-dir", "DIR", FLAG_SETTING, "log.dirs", 0, "where the data lies" },
    { "--listen", "HOST:PORT", FLAG_SETTING, "listeners", 0, "where to listen for clients" },
    { "--peers", "ID@HOST:PORT,...", FLAG_SETTING, "controller.quorum.voters", 0,
      "all nodes of the cluster, this one too" },
    { "--override", "KEY=VALUE", FLAG_OVERRIDE, NULL, 0, "any setting; may be repeated" },
    { "--io", "auto|uring|threads", FLAG_SETTING, "chronik.io", 0, "how to read and write files" },
    { "--log-format", "text|json", FLAG_SETTING, "chronik.log.format", 0, "how messages look" },
    { "--log-level", "LEVEL[,MODULE=LEVEL...]", FLAG_SETTING, "chronik.log.level", 0,
      "error, warn, info or debug" },
    { "--config", "FILE", FLAG_CONFIG, NULL, 0, "the properties file" },
    { "--strict", NULL, FLAG_STRICT, NULL, 0, "an unknown setting is an error" },
    { "--dev", NULL, FLAG_DEV, NULL, 0, "small: for a laptop or a test" },
    { "--check-config", NULL, FLAG_ACTION, NULL, OPTIONS_CHECK, "check the settings and stop" },
    { "--print-config", NULL, FLAG_ACTION, NULL, OPTIONS_PRINT, "print what counts and stop" },
    { "--dump-log", "DIR", FLAG_DUMP, NULL, OPTIONS_DUMP,
      "print what a data directory holds, and what is damaged" },
    { "--partition", "TOPIC-N", FLAG_PARTITION, NULL, 0, "of --dump-log: only this partition" },
    { "--records", NULL, FLAG_RECORDS, NULL, 0, "of --dump-log: keys, values and headers as well" },
    { "--json", NULL, FLAG_JSON, NULL, 0, "of --dump-log: a JSON object in each line" },
    { "--version", NULL, FLAG_ACTION, NULL, OPTIONS_VERSION, "print the version and stop" },
    { "--help", NULL, FLAG_ACTION, NULL, OPTIONS_HELP, "print this and stop" },
};

/* What --dev sets, weaker than everything else. */
static const char *const DEV[][2] = {
    { "chronik.memory.bytes", "268435456" },
    { "chronik.journal.bytes", "67108864" },
    { "chronik.disk.reserve.bytes", "0" },
    { "group.initial.rebalance.delay.ms", "0" },
};

/* Settings of the command line, kept until the weaker sources are read. */
struct given {
    char *where, *name, *value;
};

struct command_line {
    struct options *options;
    struct given *given;
    size_t n_given;
};

static int usage(struct options *o, const char *problem, const char *argument)
{
    options_say(o, DIAG_ERROR, "%s: %s. `chronikd --help` lists what there is.", argument, problem);
    return EXIT_USAGE;
}

static void give(struct command_line *line, const char *where, const char *name, const char *value)
{
    line->given = mem_realloc_array(line->given, line->n_given + 1, sizeof *line->given);
    line->given[line->n_given++] =
        (struct given){ mem_strdup(where), mem_strdup(name), mem_strdup(value) };
}

static int take_file(struct options *o, const char *name)
{
    if (o->file != NULL) {
        return usage(o, "there is a properties file already", name);
    }
    o->file = mem_strdup(name);
    return 0;
}

static int take_override(struct command_line *line, const char *value)
{
    struct text rest = text_of(value), key = text_cut(&rest, '=');
    if (rest.data == NULL || key.len == 0) {
        return usage(line->options, "is not KEY=VALUE", value);
    }
    char *name = text_dup(key);
    give(line, "--override", name, rest.data);
    free(name);
    return 0;
}

static void take_setting(struct command_line *line, const struct flag *flag, const char *value)
{
    char listener[300];
    if (strcmp(flag->setting, "listeners") == 0 && strstr(value, "://") == NULL) {
        snprintf(listener, sizeof listener, "PLAINTEXT://%s", value);
        value = listener;
    }
    give(line, flag->name, flag->setting, value);
}

static int take_partition(struct options *o, const char *value)
{
    struct log_dir_name name;
    if (!log_dir_parse(text_of(value), &name) || name.state != LOG_DIR_LIVE) {
        return usage(o, "is not TOPIC-NUMBER", value);
    }
    free(o->dump.topic);
    o->dump.topic = text_dup(name.topic);
    o->dump.partition = name.partition;
    return 0;
}

static int take_flag(struct command_line *line, const struct flag *flag, const char *value)
{
    struct options *o = line->options;
    switch (flag->kind) {
    case FLAG_SETTING:
        take_setting(line, flag, value);
        return 0;
    case FLAG_OVERRIDE:
        return take_override(line, value);
    case FLAG_CONFIG:
        return take_file(o, value);
    case FLAG_ACTION:
        o->action = flag->action;
        return 0;
    case FLAG_STRICT:
        o->strict = true;
        return 0;
    case FLAG_DEV:
        o->dev = true;
        return 0;
    case FLAG_DUMP:
        free(o->dump.dir);
        o->dump.dir = mem_strdup(value);
        o->action = flag->action;
        return 0;
    case FLAG_PARTITION:
        return take_partition(o, value);
    case FLAG_RECORDS:
        o->dump.records = true;
        return 0;
    case FLAG_JSON:
        o->dump.json = true;
        return 0;
    }
    return 0;
}

static const struct flag *find_flag(struct text name)
{
    for (unsigned i = 0; i < countof(FLAGS); i++) {
        if (text_is(name, FLAGS[i].name)) {
            return &FLAGS[i];
        }
    }
    return NULL;
}

/* "--flag value", "--flag=value", "--flag", or the properties file. */
static int take_apart(struct command_line *line, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct text rest = text_of(argv[i]);
        if (argv[i][0] != '-') {
            int error = take_file(line->options, argv[i]);
            if (error != 0) {
                return error;
            }
            continue;
        }
        const struct flag *flag = find_flag(text_cut(&rest, '='));
        const char *value = rest.data;
        if (flag == NULL) {
            return usage(line->options, "unknown flag", argv[i]);
        }
        if (flag->value == NULL && value != NULL) {
            return usage(line->options, "takes no value", argv[i]);
        }
        if (flag->value != NULL && value == NULL && i + 1 == argc) {
            return usage(line->options, "needs a value", argv[i]);
        }
        if (flag->value != NULL && value == NULL) {
            value = argv[++i];
        }
        int error = take_flag(line, flag, value);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* ---- the file ---------------------------------------------------------------------------------*/

enum { FILE_BYTES_MAX = 4 << 20 };

static void set_from_file(struct options *o, unsigned line, struct text key, struct text value)
{
    char where[300];
    snprintf(where, sizeof where, "%s:%u", o->file, line);
    const char *before = config_set_get(&o->origins, key);
    if (before != NULL && strncmp(before, o->file, strlen(o->file)) == 0) {
        options_say(o, DIAG_WARN, "%s: %.*s is set at %s already: this line counts", where,
                    TEXT_ARG(key), before);
    }
    options_set(o, where, key, value);
}

static void read_file(struct options *o)
{
    struct buf content = { 0 };
    struct arena arena;
    struct text key, value;
    int error = file_load(o->file, FILE_BYTES_MAX, &content);
    struct properties properties = { .rest = text_part((char *)content.data, content.len) };
    if (error != 0) {
        options_say(o, DIAG_ERROR, "%s: cannot read the properties file: %s", o->file,
                    strerror(-error));
    }
    arena_init(&arena, 0);
    while (error == 0 && properties_next(&properties, &arena, &key, &value)) {
        set_from_file(o, properties.line, key, value);
    }
    arena_release(&arena);
    buf_release(&content);
}

/* ---- all together -----------------------------------------------------------------------------*/

static int read_all(struct command_line *line, const struct options_source *source)
{
    struct options *o = line->options;
    int error = take_apart(line, source->argc, source->argv);
    if (error != 0 || o->action == OPTIONS_HELP || o->action == OPTIONS_VERSION ||
        o->action == OPTIONS_DUMP) {
        return error;
    }
    if (o->dump.topic != NULL || o->dump.records || o->dump.json) {
        return usage(o, "goes with --dump-log only", o->dump.topic  ? "--partition"
                                                    : o->dump.records ? "--records"
                                                                      : "--json");
    }
    for (unsigned i = 0; o->dev && i < countof(DEV); i++) {
        options_set(o, "--dev", text_of(DEV[i][0]), text_of(DEV[i][1]));
    }
    if (o->file != NULL) {
        read_file(o);
    }
    options_read_env(o, source->env);
    for (size_t i = 0; i < line->n_given; i++) {
        struct given *g = &line->given[i];
        options_set(o, g->where, text_of(g->name), text_of(g->value));
    }
    options_note_unused(o);
    options_derive(o, source);
    return options_failed(o) ? EXIT_CONFIG : 0;
}

int options_read(struct options *options, const struct options_source *source)
{
    *options = (struct options){ .node_id = -1 };
    struct command_line line = { .options = options };
    int error = read_all(&line, source);
    for (size_t i = 0; i < line.n_given; i++) {
        free(line.given[i].where);
        free(line.given[i].name);
        free(line.given[i].value);
    }
    free(line.given);
    return error;
}

static void release_listener(struct options_listener *l)
{
    free(l->name);
    free(l->host);
    free(l->advertised_host);
}

void options_release(struct options *o)
{
    for (unsigned i = 0; i < o->n_listeners; i++) {
        release_listener(&o->listeners[i]);
    }
    if (o->nodes != NULL) {
        release_listener(o->nodes);
    }
    for (unsigned i = 0; i < o->n_voters; i++) {
        free(o->voters[i].host);
    }
    for (size_t i = 0; i < o->n_messages; i++) {
        free(o->messages[i].text);
    }
    config_set_release(&o->settings);
    config_set_release(&o->origins);
    free(o->listeners);
    free(o->nodes);
    free(o->voters);
    free(o->messages);
    free(o->cluster_id);
    free(o->data_dir);
    free(o->raft_dir);
    free(o->secret);
    free(o->admin_host);
    free(o->file);
    free(o->dump.dir);
    free(o->dump.topic);
    *o = (struct options){ .node_id = -1 };
}

void options_help(struct buf *out)
{
    buf_printf(out, "chronikd %s: a Kafka-compatible broker\n\n"
                    "usage: chronikd [server.properties] [flags]\n\n"
                    "Without arguments: one node, listening on localhost:9092, data in\n"
                    "$STATE_DIRECTORY or ./data.\n\n",
               CHRONIK_VERSION);
    for (unsigned i = 0; i < countof(FLAGS); i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", FLAGS[i].name, FLAGS[i].value ? FLAGS[i].value : "");
        buf_printf(out, "  %-36s %s\n", left, FLAGS[i].help);
    }
    buf_printf(out, "\nSettings are those of Kafka's server.properties (docs/config.md), and in\n"
                    "the environment KAFKA_NUM_PARTITIONS or CHRONIKD_NUM_PARTITIONS.\n"
                    "Stronger first: flag, CHRONIKD_*, KAFKA_*, file, default.\n\n"
                    "A cluster of three: the same on each node, with its own --node-id:\n"
                    "  chronikd --node-id 1 --peers 1@a:9093,2@b:9093,3@c:9093\n");
}
