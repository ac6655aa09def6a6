/* DescribeConfigs (key 32): the settings of topics and brokers, where each comes from, and what
 * else would give it a value.
 *
 * A topic, this broker (by its id), all brokers together (the empty name: only what was set for
 * them), or the levels of this broker's messages (type 8). All settings, or those of a list of
 * names (an empty list means all; unknown names are left out). Secrets are told without their
 * value. Each resource has an error of its own: INVALID_TOPIC_EXCEPTION,
 * UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST for another broker and for kinds that have no
 * configs here.
 *
 * Version notes: types and documentation from 3 on (KIP-569). */
#include "configs.h"
#include "handlers.h"

#include <chronik/wire/api.h>

/* One resource being described. */
struct describe {
    struct request *request;
    const struct describe_configs_request_resource *from;
    struct describe_configs_response_result *to;
    struct config_layers layers;
    bool all_brokers; /* only what was set for all brokers counts */
};

/* ---- one setting ------------------------------------------------------------------------------*/

/* A value of the properties file may be longer than any version can carry: better none than a part
 * of it. */
static struct text fit(struct text value)
{
    return value.len <= CONFIG_VALUE_MAX ? value : TEXT_NULL;
}

static void fill_synonyms(struct describe *d, const struct config_description *from,
                          struct describe_configs_response_config *to)
{
    to->synonyms =
        request_items(d->request, from->n_origins, describe_configs_response_synonym);
    for (size_t i = 0; i < from->n_origins; i++) {
        const struct config_origin *origin = &from->origins[i];
        if (d->all_brokers && origin->source != CONFIG_FROM_CLUSTER) {
            continue;
        }
        to->synonyms[to->n_synonyms++] = (struct describe_configs_response_synonym){
            .name = text_of(origin->name),
            .value = arena_text(&d->request->arena, fit(origin->value)),
            .source = (int8_t)origin->source,
        };
    }
}

static struct text documentation(struct describe *d, const struct config_def *def)
{
    return def->unused == NULL
               ? text_of(def->doc)
               : arena_printf(&d->request->arena, "%s Changes nothing here: %s", def->doc,
                              def->unused);
}

static void put(struct describe *d, const struct config_def *def)
{
    const struct describe_configs_request *in = d->request->body;
    struct config_description description;
    config_describe(def, &d->layers, &d->request->arena, &description);
    if (def->hidden && description.source == CONFIG_FROM_DEFAULT) {
        return;
    }
    struct describe_configs_response_config *to = &d->to->configs[d->to->n_configs++];
    to->name = text_of(def->name);
    to->value = fit(description.value);
    to->read_only = description.read_only;
    to->config_source = (int8_t)description.source;
    to->is_sensitive = description.sensitive;
    to->config_type = (int8_t)def->type;
    to->documentation = in->include_documentation ? documentation(d, def) : TEXT_NULL;
    if (in->include_synonyms) {
        fill_synonyms(d, &description, to);
    }
}

/* ---- all settings of a resource ---------------------------------------------------------------*/

/* Marks the settings that are asked for, by their place in the table. */
static const bool *find_wanted(const struct describe *d, enum config_scope scope)
{
    size_t n;
    const struct config_def *defs = config_table(scope, &n);
    bool *wanted = request_alloc(d->request, n, sizeof *wanted);

    memset(wanted, d->from->n_configuration_keys <= 0, n * sizeof *wanted);
    for (int32_t i = 0; i < d->from->n_configuration_keys; i++) {
        const struct config_def *def = config_find(scope, d->from->configuration_keys[i]);
        if (def != NULL) {
            wanted[def - defs] = true;
        }
    }
    return wanted;
}

static void put_table(struct describe *d, enum config_scope scope)
{
    size_t n;
    const struct config_def *defs = config_table(scope, &n);
    const bool *wanted = find_wanted(d, scope);

    d->to->configs = request_items(d->request, n, describe_configs_response_config);
    for (size_t i = 0; i < n; i++) {
        bool set = !d->all_brokers ||
                   config_set_get(d->layers.cluster, text_of(defs[i].name)) != NULL;
        if (wanted[i] && set) {
            put(d, &defs[i]);
        }
    }
}

static enum kafka_error describe_topic(struct describe *d)
{
    enum kafka_error error;
    struct text name = d->from->resource_name;
    if (!api_topic_name_ok(d->request, name, &d->to->error_message)) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    const struct image_topic *topic = api_topic(d->request->api, NULL, name, &error);
    if (topic != NULL) {
        d->layers = api_config(d->request->api);
        d->layers.topic = &topic->configs;
        put_table(d, CONFIG_TOPIC);
    }
    return error;
}

static enum kafka_error describe_broker(struct describe *d)
{
    struct config_layers layers = api_config(d->request->api);
    d->all_brokers = d->from->resource_name.len == 0;
    if (d->all_brokers) {
        d->layers = (struct config_layers){ .cluster = layers.cluster };
    } else {
        enum kafka_error error =
            api_check_node(d->request, d->from->resource_name, &d->to->error_message);
        if (error != KAFKA_NONE) {
            return error;
        }
        d->layers = layers;
    }
    put_table(d, CONFIG_BROKER);
    return KAFKA_NONE;
}

static enum kafka_error describe_loggers(struct describe *d)
{
    enum { DYNAMIC_BROKER_LOGGER = 6 };
    bool wanted[DIAG_MODULE_COUNT];
    enum kafka_error error =
        api_check_node(d->request, d->from->resource_name, &d->to->error_message);
    if (error != KAFKA_NONE) {
        return error;
    }
    memset(wanted, d->from->n_configuration_keys <= 0, sizeof wanted);
    for (int32_t i = 0; i < d->from->n_configuration_keys; i++) {
        enum diag_module module;
        if (diag_parse_module(d->from->configuration_keys[i], &module)) {
            wanted[module] = true;
        }
    }
    d->to->configs =
        request_items(d->request, DIAG_MODULE_COUNT, describe_configs_response_config);
    for (int m = 0; m < DIAG_MODULE_COUNT; m++) {
        if (wanted[m]) {
            struct describe_configs_response_config *to = &d->to->configs[d->to->n_configs++];
            to->name = text_of(diag_module_name((enum diag_module)m));
            to->value = text_of(logger_level(d->request->api, (enum diag_module)m));
            to->config_source = DYNAMIC_BROKER_LOGGER;
        }
    }
    return KAFKA_NONE;
}

/* ---- the request ------------------------------------------------------------------------------*/

static enum kafka_error describe(struct describe *d)
{
    if (api_reply_is_full(d->request)) {
        d->to->error_message = text_of(API_REPLY_MESSAGE);
        return KAFKA_POLICY_VIOLATION;
    }
    switch (d->from->resource_type) {
    case IMAGE_TOPIC:
        return describe_topic(d);
    case IMAGE_BROKER:
        return describe_broker(d);
    case API_BROKER_LOGGER:
        return describe_loggers(d);
    default:
        d->to->error_message =
            arena_printf(&d->request->arena, "Resources of type %d have no configs here.",
                         d->from->resource_type);
        return KAFKA_INVALID_REQUEST;
    }
}

/* Describes resources until the turn's share is used up. */
static void go_on(struct request *request)
{
    const struct describe_configs_request *in = request->body;
    struct describe_configs_response *out = request->reply;
    for (int32_t n_configs = 0; out->n_results < in->n_resources; out->n_results++) {
        if (n_configs > API_CONFIGS_PER_TURN) {
            api_yield(request, go_on);
            return;
        }
        struct describe d = {
            .request = request,
            .from = &in->resources[out->n_results],
            .to = &out->results[out->n_results],
        };
        d.to->resource_type = d.from->resource_type;
        d.to->resource_name = d.from->resource_name;
        d.to->error = (int16_t)describe(&d);
        n_configs += 1 + d.to->n_configs;
    }
    request_reply(request);
}

void handle_describe_configs(struct request *request)
{
    const struct describe_configs_request *in = request->body;
    struct describe_configs_response *out = request->reply;
    out->results =
        request_items(request, (size_t)in->n_resources, describe_configs_response_result);
    go_on(request);
}
