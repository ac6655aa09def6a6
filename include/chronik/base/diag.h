/* Messages for the person who runs the daemon.
 *
 * One line each: what happened, with `key=value` pairs behind, and what to do next where something
 * is wrong. Layers up to `storage` return errors and do not log; `meta` and up log, once. Never one
 * line per request above DEBUG. The sink (stderr, or the simulator's buffer) adds time and
 * level. */
#ifndef CHRONIK_BASE_DIAG_H
#define CHRONIK_BASE_DIAG_H

#include <chronik/base/text.h>

enum diag_level { DIAG_ERROR, DIAG_WARN, DIAG_INFO, DIAG_DEBUG };

/* name: what --log-level and the log line call it */
#define DIAG_MODULES(X)                                                                            \
    X(BROKER, "broker")   /* start, stop, configuration */                                         \
    X(SERVER, "server")   /* connections, listeners, HTTP */                                       \
    X(API, "api")         /* requests */                                                           \
    X(STORE, "store")     /* journal, logs, recovery, retention */                                 \
    X(RAFT, "raft")       /* the metadata group */                                                 \
    X(META, "meta")       /* metadata changes, controller, configs */                              \
    X(ELECTOR, "elector") /* partition leaders */                                                  \
    X(REPLICA, "replica") /* replication, in-sync sets */                                          \
    X(COORD, "coord")     /* coordinators of groups */

enum diag_module {
#define X(id, name) DIAG_##id,
    DIAG_MODULES(X)
#undef X
        DIAG_MODULE_COUNT
};

struct diag {
    uint8_t level[DIAG_MODULE_COUNT]; /* the most detailed level that is let through */
    void (*sink)(struct diag *diag, enum diag_level level, enum diag_module module,
                 const char *message);
};

/* All modules at `level`. */
void diag_init(struct diag *diag, enum diag_level level,
               void (*sink)(struct diag *, enum diag_level, enum diag_module, const char *));

static inline bool diag_enabled(const struct diag *diag, enum diag_module module,
                                enum diag_level level)
{
    return level <= diag->level[module];
}

/* Formats and hands one line to the sink; lines are cut at 1 KiB, control bytes become '?'. */
void diag_log(struct diag *diag, enum diag_module module, enum diag_level level, const char *fmt,
              ...) __attribute__((format(printf, 4, 5)));

#define diag_error(diag, module, ...) diag_log(diag, module, DIAG_ERROR, __VA_ARGS__)
#define diag_warn(diag, module, ...) diag_log(diag, module, DIAG_WARN, __VA_ARGS__)
#define diag_info(diag, module, ...) diag_log(diag, module, DIAG_INFO, __VA_ARGS__)
#define diag_debug(diag, module, ...)                                                              \
    do {                                                                                           \
        if (diag_enabled(diag, module, DIAG_DEBUG)) {                                              \
            diag_log(diag, module, DIAG_DEBUG, __VA_ARGS__);                                       \
        }                                                                                          \
    } while (0)

/* Keeps what a client can cause from flooding the log: at most one line per `interval_ns`. */
struct diag_limit {
    uint64_t next_ns;
    uint32_t suppressed; /* lines not written since the last one that was */
};

/* May a line be written now? When it may, `*ret_suppressed` says how many were left out before. */
bool diag_allow(struct diag_limit *limit, uint64_t now_ns, uint64_t interval_ns,
                uint32_t *ret_suppressed);

const char *diag_module_name(enum diag_module module);
const char *diag_level_name(enum diag_level level);

/* Names as above, in any case; false when there is no such level or module. */
bool diag_parse_level(struct text t, enum diag_level *ret_level);
bool diag_parse_module(struct text t, enum diag_module *ret_module);

#endif
