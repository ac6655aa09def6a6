/* One setting: is it known, is its value allowed, where was it set. And the environment, which is a
 * list of settings under other names: KAFKA_LOG_DIRS is log.dirs, "__" is '_' and "___" is '-', as
 * in the container image of Apache Kafka. */
#include "options_inside.h"

#include <stdarg.h>
#include <stdio.h>

void options_say(struct options *o, enum diag_level level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    o->messages = mem_realloc_array(o->messages, o->n_messages + 1, sizeof *o->messages);
    o->messages[o->n_messages++] = (struct options_message){ level, mem_strdup(line) };
}

bool options_failed(const struct options *o)
{
    for (size_t i = 0; i < o->n_messages; i++) {
        if (o->messages[i].level == DIAG_ERROR) {
            return true;
        }
    }
    return false;
}

struct text options_get(const struct options *o, const char *name)
{
    struct config_layers layers = options_layers(o);
    return config_text(&layers, name);
}

const char *options_origin(const struct options *o, const char *name)
{
    const char *where = config_set_get(&o->origins, text_of(name));
    return where != NULL ? where : "the default";
}

void options_refuse(struct options *o, const char *name, const char *fmt, ...)
{
    char problem[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(problem, sizeof problem, fmt, ap);
    va_end(ap);
    struct text value = options_get(o, name);
    bool secret = config_find(CONFIG_BROKER, text_of(name))->type == CONFIG_PASSWORD;
    options_say(o, DIAG_ERROR, "%s: %s%s%.*s: %s", options_origin(o, name), name,
                value.data && !secret ? "=" : "", secret ? 0 : (int)value.len,
                value.data ? value.data : "", problem);
}

static void say_unknown(struct options *o, const char *where, struct text name)
{
    const char *nearest = config_suggest(name);
    enum diag_level level = o->strict ? DIAG_ERROR : DIAG_WARN;
    const char *ignored = o->strict ? "" : ", ignored";
    if (nearest != NULL) {
        options_say(o, level, "%s: unknown setting %.*s%s: did you mean %s?", where,
                    TEXT_ARG(name), ignored, nearest);
    } else {
        options_say(o, level, "%s: unknown setting %.*s%s: docs/config.md lists those there are",
                    where, TEXT_ARG(name), ignored);
    }
}

void options_set(struct options *o, const char *where, struct text name, struct text value)
{
    const struct config_def *def = config_find(CONFIG_BROKER, name);
    struct buf parsed = { 0 };
    if (def == NULL && config_kafka_only(name) == NULL) {
        say_unknown(o, where, name);
        return;
    }
    config_set_put(&o->origins, name, text_of(where));
    if (def == NULL) {
        return;
    }
    bool ok = config_parse(def, value, &parsed);
    buf_put_u8(&parsed, '\0');
    if (ok) {
        config_set_put(&o->settings, name, text_of((char *)parsed.data));
    } else if (def->type == CONFIG_PASSWORD) {
        options_say(o, DIAG_ERROR, "%s: %s: %s", where, def->name, (char *)parsed.data);
    } else {
        options_say(o, DIAG_ERROR, "%s: %s=%.*s: %s", where, def->name, TEXT_ARG(value),
                    (char *)parsed.data);
    }
    buf_release(&parsed);
}

void options_note_unused(struct options *o)
{
    struct buf names = { 0 };
    unsigned n = 0;
    for (size_t i = 0; i < o->origins.n; i++) {
        const char *name = o->origins.items[i].name;
        const struct config_def *def = config_find(CONFIG_BROKER, text_of(name));
        if (def == NULL || def->unused != NULL) {
            buf_printf(&names, "%s%s", n++ > 0 ? ", " : "", name);
        }
    }
    if (n > 0) {
        options_say(o, DIAG_INFO, "%u setting%s of Apache Kafka change%s nothing here: %.*s", n,
                    n == 1 ? "" : "s", n == 1 ? "s" : "", (int)names.len, (char *)names.data);
    }
    buf_release(&names);
}

/* ---- the environment --------------------------------------------------------------------------*/

/* What the scripts of Apache Kafka read themselves: no settings. */
static const char *const FOR_SCRIPTS[] = {
    "KAFKA_DEBUG",       "KAFKA_GC_LOG_OPTS",          "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",        "KAFKA_JMX_OPTS",             "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_LOG4J_CONFIG_FILE", "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",  "KAFKA_LOG4J_ROOT_LOGLEVEL",  "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL", "KAFKA_VERSION",
};

static bool is_for_scripts(struct text variable)
{
    for (unsigned i = 0; i < countof(FOR_SCRIPTS); i++) {
        if (text_is(variable, FOR_SCRIPTS[i])) {
            return true;
        }
    }
    return false;
}

/* "LOG_DIRS" to "log.dirs". */
static void name_of(struct text variable, struct buf *out)
{
    static const char FOR_RUN[] = { '.', '_', '-' };
    size_t i = 0;
    while (i < variable.len) {
        size_t run = 0;
        while (i + run < variable.len && variable.data[i + run] == '_' && run < sizeof FOR_RUN) {
            run++;
        }
        char c = variable.data[i];
        if (run > 0) {
            c = FOR_RUN[run - 1];
        } else if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        buf_put_u8(out, (uint8_t)c);
        i += run > 0 ? run : 1;
    }
}

static bool is_setting(struct text name)
{
    return config_find(CONFIG_BROKER, name) != NULL || config_kafka_only(name) != NULL;
}

/* A cluster manager may put other variables beside ours (KAFKA_SERVICE_HOST): no warning. */
static void read_kafka(struct options *o, const char *where, struct text name, struct text value)
{
    if (is_setting(name)) {
        options_set(o, where, name, value);
    } else {
        options_say(o, DIAG_DEBUG, "%s is no setting (%.*s) and is ignored", where, TEXT_ARG(name));
    }
}

/* CHRONIKD_IO means chronik.io, unless there is a setting named io. */
static void read_own(struct options *o, const char *where, struct text name, struct text value)
{
    char own[128];
    snprintf(own, sizeof own, "chronik.%.*s", TEXT_ARG(name));
    bool prefixed = !is_setting(name) && config_find(CONFIG_BROKER, text_of(own)) != NULL;
    options_set(o, where, prefixed ? text_of(own) : name, value);
}

static void read_prefix(struct options *o, char *const *env, const char *prefix,
                        void (*read)(struct options *, const char *, struct text, struct text))
{
    struct buf name = { 0 };
    for (size_t i = 0; env[i] != NULL; i++) {
        struct text value = text_of(env[i]), variable = text_cut(&value, '=');
        if (value.data == NULL || !text_starts_with(variable, prefix) || is_for_scripts(variable)) {
            continue;
        }
        char *where = text_dup(variable);
        size_t skip = strlen(prefix);
        buf_clear(&name);
        name_of(text_part(variable.data + skip, variable.len - skip), &name);
        read(o, where, text_part((char *)name.data, name.len), value);
        free(where);
    }
    buf_release(&name);
}

static void read_cluster_id(struct options *o, const char *where, struct text name,
                            struct text value)
{
    if (name.len == 0) {
        options_set(o, where, text_of("cluster.id"), value);
    }
}

void options_read_env(struct options *o, char *const *env)
{
    read_prefix(o, env, "CLUSTER_ID", read_cluster_id);
    read_prefix(o, env, "KAFKA_", read_kafka);
    read_prefix(o, env, "CHRONIKD_", read_own);
}
