/* What the daemon needs before it serves, worked out from the settings. */
#include "options_inside.h"

#include <chronik/io/file.h>

#include <stdio.h>

static void derive_node_id(struct options *o)
{
    static const char *const NAMES[] = { "node.id", "broker.id" };
    for (unsigned i = 0; i < countof(NAMES); i++) {
        const char *value = config_set_get(&o->settings, text_of(NAMES[i]));
        int64_t id;
        if (value == NULL || !text_to_i64(text_of(value), &id) || id < 0) {
            continue;
        }
        if (o->node_id >= 0 && o->node_id != id) {
            options_refuse(o, NAMES[i], "node.id says %d: they mean the same, keep one",
                           (int)o->node_id);
        }
        o->node_id = (int32_t)id;
    }
}

static const char *find_env(char *const *env, const char *name)
{
    for (size_t i = 0; env[i] != NULL; i++) {
        struct text value = text_of(env[i]), variable = text_cut(&value, '=');
        if (text_is(variable, name)) {
            return value.data;
        }
    }
    return NULL;
}

/* One directory per daemon: the strength of several disks is several daemons, or RAID. */
static void derive_directories(struct options *o, char *const *env)
{
    const char *name = "log.dirs";
    struct text dirs = options_get(o, name), raft = options_get(o, "metadata.log.dir");
    const char *state = find_env(env, "STATE_DIRECTORY");
    if (dirs.len == 0) {
        name = "log.dir";
        dirs = options_get(o, name);
    }
    if (dirs.len == 0) {
        struct text state_dirs = text_of(state != NULL && *state != '\0' ? state : "data");
        dirs = text_cut(&state_dirs, ':');
    } else if (memchr(dirs.data, ',', dirs.len) != NULL) {
        options_refuse(o, name, "there is one data directory per daemon: name one, and run a "
                                "daemon for each further disk");
    }
    o->data_dir = text_dup(dirs);
    o->raft_dir = mem_sprintf("%.*s/raft", TEXT_ARG(raft.len > 0 ? raft : dirs));
}

static void derive_cluster_id(struct options *o)
{
    struct text id = options_get(o, "cluster.id");
    if (id.len >= 64) {
        options_refuse(o, "cluster.id", "it is longer than 63 characters");
    }
    o->cluster_id = text_dup(id);
}

/* "info", "info,raft=debug" */
static void derive_log_levels(struct options *o)
{
    struct text rest = options_get(o, "chronik.log.level");
    while (rest.data != NULL) {
        struct text level_text = text_trim(text_cut(&rest, ',')), module_text = TEXT_NULL;
        enum diag_level level;
        enum diag_module module;
        if (level_text.len > 0 && memchr(level_text.data, '=', level_text.len) != NULL) {
            module_text = text_cut(&level_text, '=');
        }
        if (!diag_parse_level(level_text, &level)) {
            options_refuse(o, "chronik.log.level", "a level is error, warn, info or debug");
        } else if (module_text.data == NULL) {
            memset(o->log_levels, level, sizeof o->log_levels);
        } else if (diag_parse_module(module_text, &module)) {
            o->log_levels[module] = level;
        } else {
            options_refuse(o, "chronik.log.level", "there is no module %.*s",
                           TEXT_ARG(module_text));
        }
    }
}

static void derive_io(struct options *o)
{
    struct text io = options_get(o, "chronik.io");
    o->io = text_is(io, "uring") ? LOOP_URING : text_is(io, "threads") ? LOOP_THREADS : LOOP_AUTO;
    o->log_json = text_is(options_get(o, "chronik.log.format"), "json");
}

static void derive_admin(struct options *o)
{
    struct text listener = options_get(o, "chronik.admin.listener"), host;
    if (listener.len == 0) {
        return;
    }
    if (options_parse_endpoint(listener, &host, &o->admin_port)) {
        o->admin_host = text_dup(host);
    } else {
        options_refuse(o, "chronik.admin.listener", "it must be host:port, or empty for none");
    }
}

enum { SECRET_BYTES_MAX = 64 << 10 };

static void derive_secret(struct options *o)
{
    struct text secret = options_get(o, "chronik.cluster.secret");
    struct text path = options_get(o, "chronik.cluster.secret.file");
    struct buf content = { 0 };
    if (path.len > 0) {
        char *file = text_dup(path);
        int error = file_load(file, SECRET_BYTES_MAX, &content);
        if (error != 0) {
            options_refuse(o, "chronik.cluster.secret.file", "cannot read it: %s",
                           strerror(-error));
        }
        struct text rest = text_part((char *)content.data, content.len);
        secret = text_trim(text_cut(&rest, '\n'));
        if (error == 0 && secret.len == 0) {
            options_refuse(o, "chronik.cluster.secret.file", "its first line is empty");
        }
        free(file);
    }
    o->secret = secret.len > 0 ? text_dup(secret) : NULL;
    buf_release(&content);
}

/* Settings that would leave a broker open which its operator believes closed. */
static void refuse_unprotected(struct options *o)
{
    if (options_get(o, "authorizer.class.name").len > 0) {
        options_refuse(o, "authorizer.class.name",
                       "this version has no authorization and would let everybody in: remove the "
                       "line, and keep the listeners away from those you do not trust");
    }
}

static void check_heartbeats(struct options *o)
{
    struct config_layers layers = options_layers(o);
    if (config_number(&layers, "broker.heartbeat.interval.ms") >=
        config_number(&layers, "broker.session.timeout.ms")) {
        options_refuse(o, "broker.heartbeat.interval.ms",
                       "it must be below broker.session.timeout.ms, at best a fifth of it");
    }
}

void options_derive(struct options *o, const struct options_source *source)
{
    derive_node_id(o);
    derive_directories(o, source->env);
    derive_cluster_id(o);
    derive_log_levels(o);
    derive_io(o);
    derive_admin(o);
    derive_secret(o);
    options_derive_endpoints(o, source->hostname);
    refuse_unprotected(o);
    check_heartbeats(o);
}
