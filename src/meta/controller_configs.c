/* Settings and features. What a client's operations come to is worked out on what is set now
 * (chronik/meta/config.h); the command holds final values only. */
#include "controller.h"

#include <chronik/meta/features.h>

static bool *find_named_twice(struct decision *d, const struct meta_change_configs_request *request)
{
    struct text *names = arena_zalloc_array(d->arena, (size_t)request->n_resources, sizeof *names);
    for (int32_t i = 0; i < request->n_resources; i++) {
        names[i] = arena_printf(d->arena, "%d:%.*s", (int)request->resources[i].type,
                                TEXT_ARG(request->resources[i].name));
    }
    return find_repeated(d->arena, names, (size_t)request->n_resources);
}

/* Is there such a thing, and what may be set on it? */
static bool find_target(const struct controller *c, struct decision *d,
                        const struct meta_change_configs_request_resource *asked,
                        struct config_target *target,
                        struct meta_change_configs_response_resource *out)
{
    int64_t id;
    switch ((enum image_resource)asked->type) {
    case IMAGE_TOPIC:
        target->scope = CONFIG_TOPIC;
        if (image_topic(c->image, asked->name) == NULL) {
            REFUSE_ITEM(d, out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                        "The topic '%.*s' does not exist.", TEXT_ARG(asked->name));
            return false;
        }
        return true;
    case IMAGE_BROKER:
        target->scope = CONFIG_BROKER;
        target->all_brokers = asked->name.len == 0;
        if (!target->all_brokers && (!text_to_i64(asked->name, &id) || id < 0 || id > INT32_MAX)) {
            REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "'%.*s' is not the id of a broker.",
                        TEXT_ARG(asked->name));
            return false;
        }
        return true;
    default:
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "Unexpected resource type %d.",
                    (int)asked->type);
        return false;
    }
}

static enum kafka_error work_out(struct controller *c, struct decision *d, bool replace,
                                 const struct meta_change_configs_request_resource *asked,
                                 struct config_target *target, struct config_changes *ret_changes,
                                 struct text *ret_message)
{
    enum image_resource type = (enum image_resource)asked->type;
    struct config_layers layers = config_layers_of(c->image, c->node_id, c->file);
    struct config_op *ops = arena_zalloc_array(d->arena, (size_t)asked->n_changes, sizeof *ops);
    size_t n = (size_t)asked->n_changes;
    for (size_t i = 0; i < n; i++) {
        ops[i] = (struct config_op){ .kind = asked->changes[i].op,
                                     .name = asked->changes[i].name,
                                     .value = asked->changes[i].value };
    }
    target->own = image_configs(c->image, type, asked->name);
    target->below = &layers;
    return replace ? config_replace(target, ops, n, d->arena, ret_changes, ret_message)
                   : config_alter(target, ops, n, d->arena, ret_changes, ret_message);
}

static void change_resource(struct controller *c, struct decision *d,
                            const struct meta_change_configs_request *request, int32_t item,
                            bool repeated, struct meta_change_configs_response_resource *out)
{
    const struct meta_change_configs_request_resource *asked = &request->resources[item];
    struct config_target target = { .scope = CONFIG_TOPIC };
    struct config_changes changes;
    struct text message;
    if (repeated) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "Duplicate resource.");
        return;
    }
    if (!find_target(c, d, asked, &target, out)) {
        return;
    }
    enum kafka_error error = work_out(c, d, request->replace, asked, &target, &changes, &message);
    if (error != KAFKA_NONE) {
        out->error = (int16_t)error;
        out->message = message;
        return;
    }
    if (request->validate_only || changes.n == 0) {
        return;
    }
    struct command_change_configs command = { .type = asked->type, .name = asked->name };
    command.changes = arena_zalloc_array(d->arena, changes.n, sizeof *command.changes);
    for (size_t i = 0; i < changes.n; i++) {
        command.changes[command.n_changes++] =
            (struct command_change_configs_change){ .name = changes.items[i].name,
                                                    .value = changes.items[i].value };
    }
    decision_add(d, COMMAND_CHANGE_CONFIGS, item, &command);
}

enum decide_result decide_change_configs(struct controller *c, const void *in, struct decision *d,
                                         void *out)
{
    const struct meta_change_configs_request *request = in;
    struct meta_change_configs_response *r = out;
    bool *repeated = find_named_twice(d, request);
    r->resources = arena_zalloc_array(d->arena, (size_t)request->n_resources, sizeof *r->resources);
    r->n_resources = request->n_resources;
    for (int32_t i = 0; i < request->n_resources; i++) {
        r->resources[i].type = request->resources[i].type;
        r->resources[i].name = request->resources[i].name;
        if (!decision_repeats(c, d, (size_t)i)) {
            change_resource(c, d, request, i, repeated[i], &r->resources[i]);
        }
    }
    return DECIDE_DONE;
}

enum decide_result decide_set_features(struct controller *c, const void *in, struct decision *d,
                                       void *out)
{
    const struct meta_set_features_request *request = in;
    struct meta_set_features_response *r = out;
    struct command_set_features command = { .n_features = request->n_features };
    if (decision_repeats(c, d, 0)) {
        return DECIDE_DONE;
    }
    command.features =
        arena_zalloc_array(d->arena, (size_t)request->n_features, sizeof *command.features);
    for (int32_t i = 0; i < request->n_features; i++) {
        const struct meta_set_features_request_feature *f = &request->features[i];
        const struct meta_feature *known = meta_feature_find(f->name);
        if (known == NULL || f->level > known->max || (f->level < known->min && f->level != 0)) {
            REFUSE_ITEM(d, r, KAFKA_INVALID_UPDATE_VERSION,
                        "Invalid update version %d for feature %.*s: this cluster can do %d to %d.",
                        (int)f->level, TEXT_ARG(f->name), known ? (int)known->min : 0,
                        known ? (int)known->max : 0);
            return DECIDE_DONE;
        }
        command.features[i] =
            (struct command_set_features_feature){ .name = f->name, .level = f->level };
    }
    if (!request->validate_only) {
        decision_add(d, COMMAND_SET_FEATURES, 0, &command);
    }
    return DECIDE_DONE;
}
