/* Formatting and filtering of messages. */
#include <chronik/base/diag.h>

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const char *const MODULE_NAMES[] = {
#define X(id, name) [DIAG_##id] = name,
    DIAG_MODULES(X)
#undef X
};

static const char *const LEVEL_NAMES[] = {
    [DIAG_ERROR] = "ERROR",
    [DIAG_WARN] = "WARN",
    [DIAG_INFO] = "INFO",
    [DIAG_DEBUG] = "DEBUG",
};

void diag_init(struct diag *diag, enum diag_level level,
               void (*sink)(struct diag *, enum diag_level, enum diag_module, const char *))
{
    memset(diag->level, level, sizeof diag->level);
    diag->sink = sink;
}

void diag_log(struct diag *diag, enum diag_module module, enum diag_level level, const char *fmt,
              ...)
{
    char line[1024];
    va_list ap;

    if (!diag_enabled(diag, module, level)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    diag->sink(diag, level, module, line);
}

bool diag_allow(struct diag_limit *limit, uint64_t now_ns, uint64_t interval_ns,
                uint32_t *ret_suppressed)
{
    if (now_ns < limit->next_ns) {
        limit->suppressed++;
        return false;
    }
    *ret_suppressed = limit->suppressed;
    *limit = (struct diag_limit){ .next_ns = now_ns + interval_ns };
    return true;
}

const char *diag_module_name(enum diag_module module)
{
    return MODULE_NAMES[module];
}

const char *diag_level_name(enum diag_level level)
{
    return LEVEL_NAMES[level];
}

static bool find(struct text t, const char *const *names, unsigned n, unsigned *ret_index)
{
    for (unsigned i = 0; i < n; i++) {
        if (t.len == strlen(names[i]) && strncasecmp(t.data, names[i], t.len) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

bool diag_parse_level(struct text t, enum diag_level *ret_level)
{
    unsigned i;
    if (!find(t, LEVEL_NAMES, countof(LEVEL_NAMES), &i)) {
        return false;
    }
    *ret_level = (enum diag_level)i;
    return true;
}

bool diag_parse_module(struct text t, enum diag_module *ret_module)
{
    unsigned i;
    if (!find(t, MODULE_NAMES, countof(MODULE_NAMES), &i)) {
        return false;
    }
    *ret_module = (enum diag_module)i;
    return true;
}
