/* Changes of configs, for AlterConfigs and IncrementalAlterConfigs.
 *
 * What can be seen from the request is checked here: kinds and names of resources, a resource
 * that comes twice, another broker's name. Levels of messages are changed at once. The rest is
 * one request to the controller, which checks names and values and changes each resource by
 * itself; its answer comes when the changes are in this node's metadata. */
#include "configs.h"

struct alter *alter_new(struct request *request, size_t n)
{
    struct alter *alter = request_alloc(request, 1, sizeof *alter);
    alter->request = request;
    alter->n = n;
    alter->resources = request_items(request, n, meta_change_configs_request_resource);
    alter->results = request_alloc(request, n, sizeof *alter->results);
    return alter;
}

static const uint8_t *find_repeats(struct alter *alter)
{
    struct text *keys = request_alloc(alter->request, alter->n, sizeof *keys);
    for (size_t i = 0; i < alter->n; i++) {
        keys[i] = arena_printf(&alter->request->arena, "%d %.*s", alter->resources[i].type,
                               TEXT_ARG(alter->resources[i].name));
    }
    return api_repeats(alter->request, keys, alter->n);
}

static bool is_too_much(const struct alter *alter)
{
    size_t n = alter->n;
    for (size_t i = 0; i < alter->n; i++) {
        n += (size_t)alter->resources[i].n_changes;
    }
    return n > API_BATCH_MAX;
}

static enum kafka_error check_topic(struct alter *alter, struct text name,
                                    struct text *ret_message)
{
    if (name.len == 0) {
        *ret_message = text_of("Topics have no common default here: name one, or change the "
                               "brokers' log.* configs.");
        return KAFKA_INVALID_REQUEST;
    }
    return api_topic_name_ok(alter->request, name, ret_message) ? KAFKA_NONE
                                                                : KAFKA_INVALID_TOPIC_EXCEPTION;
}

/* May the controller decide about it? */
static enum kafka_error check_resource(struct alter *alter,
                                       const struct meta_change_configs_request_resource *resource,
                                       struct text *ret_message)
{
    switch (resource->type) {
    case IMAGE_TOPIC:
        return check_topic(alter, resource->name, ret_message);
    case IMAGE_BROKER:
        return resource->name.len == 0
                   ? KAFKA_NONE
                   : api_check_node(alter->request, resource->name, ret_message);
    case API_BROKER_LOGGER:
        if (alter->replace) {
            *ret_message = text_of("Levels of messages are changed with IncrementalAlterConfigs.");
            return KAFKA_INVALID_REQUEST;
        }
        return api_check_node(alter->request, resource->name, ret_message);
    default:
        *ret_message = arena_printf(&alter->request->arena,
                                    "Resources of type %d have no configs here.", resource->type);
        return KAFKA_INVALID_REQUEST;
    }
}

/* Finishes what can be finished here; else adds it to what the controller is asked. */
static struct alter_result take(struct alter *alter, size_t i)
{
    const struct meta_change_configs_request_resource *resource = &alter->resources[i];
    struct alter_result result = { 0 };

    result.error = check_resource(alter, resource, &result.message);
    if (result.error != KAFKA_NONE) {
        return result;
    }
    if (resource->type == API_BROKER_LOGGER) {
        result.error =
            loggers_alter(alter->request, resource, alter->validate_only, &result.message);
    } else {
        alter->places[alter->ask.n_resources] = i;
        alter->ask.resources[alter->ask.n_resources++] = *resource;
    }
    return result;
}

/* Kafka answers a wrong value of a broker with INVALID_REQUEST, one of a topic with INVALID_CONFIG
 * (KAFKA-13609). */
static enum kafka_error outcome(const struct meta_change_configs_response_resource *from)
{
    bool broker = from->type == IMAGE_BROKER;
    return broker && from->error == KAFKA_INVALID_CONFIG ? KAFKA_INVALID_REQUEST
                                                         : (enum kafka_error)from->error;
}

static void changed(void *arg, enum kafka_error error, const void *response)
{
    struct alter *alter = arg;
    const struct meta_change_configs_response *out = response;
    for (int32_t i = 0; i < alter->ask.n_resources; i++) {
        struct alter_result *result = &alter->results[alter->places[i]];
        result->error = error != KAFKA_NONE ? error : outcome(&out->resources[i]);
        if (error == KAFKA_NONE) {
            result->message = api_message(alter->request, out->resources[i].message);
        }
    }
    alter->done(alter);
}

void alter_run(struct alter *alter)
{
    struct request *request = alter->request;
    struct config_layers config = api_config(request->api);
    const uint8_t *repeats = find_repeats(alter);
    bool too_much = is_too_much(alter);

    alter->places = request_alloc(request, alter->n, sizeof *alter->places);
    alter->ask.resources = request_items(request, alter->n, meta_change_configs_request_resource);
    alter->ask.validate_only = alter->validate_only;
    alter->ask.replace = alter->replace;
    for (size_t i = 0; i < alter->n; i++) {
        if (too_much) {
            alter->results[i] =
                (struct alter_result){ KAFKA_POLICY_VIOLATION, text_of(API_BATCH_MESSAGE) };
        } else if (repeats[i] != API_ONCE) {
            alter->results[i] = (struct alter_result){
                KAFKA_INVALID_REQUEST, text_of("The resource comes twice in the request.")
            };
        } else {
            alter->results[i] = take(alter, i);
        }
    }
    if (alter->ask.n_resources == 0) {
        alter->done(alter);
        return;
    }
    /* These APIs have no time-out of their own. */
    int64_t timeout_ms = config_number(&config, "request.timeout.ms");
    meta_change_configs(request->api->meta, &alter->ask,
                        api_deadline(request->api, (int32_t)min_i64(timeout_ms, INT32_MAX)),
                        changed, alter);
}
