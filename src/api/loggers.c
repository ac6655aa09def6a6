/* The levels of the broker's messages, as configs of the resource "broker logger" (KIP-412).
 *
 * Every module of base/diag.h is a logger. Setting a level takes any of Kafka's names for it,
 * TRACE and FATAL as the nearest there is; deleting it goes back to the level of the broker's
 * start. */
#include "configs.h"

enum { NAME_SHOWN_MAX = 100 }; /* bytes of a name or value that a message repeats */

static const struct {
    const char *name; /* the first of a level is the one that is shown */
    enum diag_level level;
} LEVELS[] = {
    { "ERROR", DIAG_ERROR }, { "WARN", DIAG_WARN },   { "INFO", DIAG_INFO },
    { "DEBUG", DIAG_DEBUG }, { "FATAL", DIAG_ERROR }, { "TRACE", DIAG_DEBUG },
};

const char *logger_level(const struct api *api, enum diag_module module)
{
    return LEVELS[api->diag->level[module]].name;
}

static bool parse_level(struct text name, enum diag_level *ret_level)
{
    for (size_t i = 0; i < countof(LEVELS); i++) {
        if (text_is(name, LEVELS[i].name)) {
            *ret_level = LEVELS[i].level;
            return true;
        }
    }
    return false;
}

static struct text list_modules(struct request *request)
{
    struct text list = text_of(diag_module_name(0));
    for (int m = 1; m < DIAG_MODULE_COUNT; m++) {
        list = arena_printf(&request->arena, "%.*s, %s", TEXT_ARG(list),
                            diag_module_name((enum diag_module)m));
    }
    return list;
}

/* What one operation makes of which level. */
static enum kafka_error decide(struct request *request,
                               const struct meta_change_configs_request_change *op,
                               enum diag_module *ret_module, enum diag_level *ret_level,
                               struct text *ret_message)
{
    struct arena *arena = &request->arena;
    struct text name = text_head(op->name, NAME_SHOWN_MAX);
    struct text value = text_head(op->value, NAME_SHOWN_MAX);
    if (op->op != CONFIG_SET && op->op != CONFIG_DELETE) {
        *ret_message = text_of("A level can be set and deleted, nothing else.");
        return KAFKA_INVALID_REQUEST;
    }
    if (!diag_parse_module(op->name, ret_module)) {
        struct text modules = list_modules(request);
        *ret_message = arena_printf(arena, "There is no logger %.*s: there are %.*s.",
                                    TEXT_ARG(name), TEXT_ARG(modules));
        return KAFKA_INVALID_CONFIG;
    }
    if (op->op == CONFIG_DELETE) {
        *ret_level = request->api->start_levels[*ret_module];
        return KAFKA_NONE;
    }
    if (op->value.data == NULL) {
        *ret_message = arena_printf(arena, "%.*s has no value: delete it to go back.",
                                    TEXT_ARG(name));
        return KAFKA_INVALID_REQUEST;
    }
    if (!parse_level(op->value, ret_level)) {
        *ret_message = arena_printf(arena,
                                    "%.*s cannot be set to %.*s: the levels are ERROR, WARN, INFO "
                                    "and DEBUG.",
                                    TEXT_ARG(name), TEXT_ARG(value));
        return KAFKA_INVALID_CONFIG;
    }
    return KAFKA_NONE;
}

enum kafka_error loggers_alter(struct request *request,
                               const struct meta_change_configs_request_resource *resource,
                               bool validate_only, struct text *ret_message)
{
    struct api *api = request->api;
    bool changed[DIAG_MODULE_COUNT] = { false };
    uint8_t levels[DIAG_MODULE_COUNT];

    for (int32_t i = 0; i < resource->n_changes; i++) {
        enum diag_module module;
        enum diag_level level;
        enum kafka_error error =
            decide(request, &resource->changes[i], &module, &level, ret_message);
        if (error == KAFKA_NONE && changed[module]) {
            *ret_message = arena_printf(&request->arena, "%s comes twice.",
                                        diag_module_name(module));
            error = KAFKA_INVALID_REQUEST;
        }
        if (error != KAFKA_NONE) {
            return error;
        }
        changed[module] = true;
        levels[module] = (uint8_t)level;
    }
    for (int m = 0; m < DIAG_MODULE_COUNT && !validate_only; m++) {
        if (changed[m]) {
            api->diag->level[m] = levels[m];
            diag_info(api->diag, DIAG_API, "level of messages changed module=%s level=%s",
                      diag_module_name((enum diag_module)m),
                      logger_level(api, (enum diag_module)m));
        }
    }
    return KAFKA_NONE;
}
