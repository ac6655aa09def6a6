/* IncrementalAlterConfigs (key 44): sets and deletes single configs, and adds words to lists and
 * takes them away (KIP-339).
 *
 * Topics, this broker (by its id), all brokers together (the empty name), and the levels of this
 * broker's messages (KIP-412, loggers.c). Each resource changes wholly or not at all: an unknown
 * config, a wrong value, or a list operation on something else is an INVALID_CONFIG; an unknown
 * operation, a value of null, a config or resource that comes twice, and what cannot be changed
 * at run time are an INVALID_REQUEST. Adding to a list that is not set begins with its default. */
#include "configs.h"
#include "handlers.h"

#include <chronik/wire/api.h>

static void answer(struct alter *alter)
{
    const struct incremental_alter_configs_request *in = alter->request->body;
    struct incremental_alter_configs_response *out = alter->request->reply;

    out->responses =
        request_items(alter->request, alter->n, incremental_alter_configs_response_response);
    out->n_responses = in->n_resources;
    for (size_t i = 0; i < alter->n; i++) {
        out->responses[i] = (struct incremental_alter_configs_response_response){
            .error = (int16_t)alter->results[i].error,
            .error_message = alter->results[i].message,
            .resource_type = in->resources[i].resource_type,
            .resource_name = in->resources[i].resource_name,
        };
    }
    request_reply(alter->request);
}

void handle_incremental_alter_configs(struct request *request)
{
    const struct incremental_alter_configs_request *in = request->body;
    struct alter *alter = alter_new(request, (size_t)in->n_resources);

    for (size_t i = 0; i < alter->n; i++) {
        const struct incremental_alter_configs_request_resource *from = &in->resources[i];
        struct meta_change_configs_request_resource *to = &alter->resources[i];
        to->type = from->resource_type;
        to->name = from->resource_name;
        to->changes = request_items(request, (size_t)from->n_configs,
                                    meta_change_configs_request_change);
        to->n_changes = from->n_configs;
        for (int32_t k = 0; k < from->n_configs; k++) {
            to->changes[k].op = from->configs[k].config_operation;
            to->changes[k].name = from->configs[k].name;
            to->changes[k].value = from->configs[k].value;
        }
    }
    alter->validate_only = in->validate_only;
    alter->done = answer;
    alter_run(alter);
}
