/* AlterConfigs (key 33): replaces all configs that are set on a resource: what is not named goes
 * back to its default. IncrementalAlterConfigs changes single ones, and should be preferred.
 *
 * Topics, this broker (by its id), and all brokers together (the empty name). A value of null, a
 * config or a resource that comes twice, and levels of messages are an INVALID_REQUEST; an
 * unknown config or a wrong value is an INVALID_CONFIG; then nothing of that resource changes. */
#include "configs.h"
#include "handlers.h"

#include <chronik/wire/api.h>

static void answer(struct alter *alter)
{
    const struct alter_configs_request *in = alter->request->body;
    struct alter_configs_response *out = alter->request->reply;

    out->responses = request_items(alter->request, alter->n, alter_configs_response_response);
    out->n_responses = in->n_resources;
    for (size_t i = 0; i < alter->n; i++) {
        out->responses[i] = (struct alter_configs_response_response){
            .error = (int16_t)alter->results[i].error,
            .error_message = alter->results[i].message,
            .resource_type = in->resources[i].resource_type,
            .resource_name = in->resources[i].resource_name,
        };
    }
    request_reply(alter->request);
}

void handle_alter_configs(struct request *request)
{
    const struct alter_configs_request *in = request->body;
    struct alter *alter = alter_new(request, (size_t)in->n_resources);

    for (size_t i = 0; i < alter->n; i++) {
        const struct alter_configs_request_resource *from = &in->resources[i];
        struct meta_change_configs_request_resource *to = &alter->resources[i];
        to->type = from->resource_type;
        to->name = from->resource_name;
        to->changes = request_items(request, (size_t)from->n_configs,
                                    meta_change_configs_request_change);
        to->n_changes = from->n_configs;
        for (int32_t k = 0; k < from->n_configs; k++) {
            to->changes[k].op = CONFIG_SET;
            to->changes[k].name = from->configs[k].name;
            to->changes[k].value = from->configs[k].value;
        }
    }
    alter->validate_only = in->validate_only;
    alter->replace = true;
    alter->done = answer;
    alter_run(alter);
}
