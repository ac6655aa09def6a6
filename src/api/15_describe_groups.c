/* DescribeGroups (key 15): state and members of classic groups.
 *
 * A group that does not exist is "Dead" without an error up to version 5, a GROUP_ID_NOT_FOUND from
 * 6 on (KIP-1043). */
#include "handlers.h"

/* Read 3, delete 6, describe 8, describe and alter configs 10 and 11. */
enum { GROUP_OPERATIONS = 0x0d48 };

static void describe(struct request *request, struct text id,
                     struct describe_groups_response_group *to)
{
    enum kafka_error error;
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, id, &error);
    to->group_id = id;
    if (groups == NULL) {
        to->error = (int16_t)error;
        return;
    }
    if (!groups_describe(groups, id, &request->arena, to)) {
        to->group_state = text_of("Dead");
        if (request->header.api_version >= 6) {
            to->error = KAFKA_GROUP_ID_NOT_FOUND;
            to->error_message =
                api_message(request, arena_printf(&request->arena, "Group %.*s not found.",
                                                  TEXT_ARG(id)));
        }
    }
}

void handle_describe_groups(struct request *request)
{
    const struct describe_groups_request *in = request->body;
    struct describe_groups_response *out = request->reply;

    out->n_groups = in->n_groups;
    out->groups = request_items(request, (size_t)in->n_groups, describe_groups_response_group);
    for (int32_t i = 0; i < in->n_groups; i++) {
        struct describe_groups_response_group *to = &out->groups[i];
        if (api_reply_is_full(request)) {
            to->group_id = in->groups[i];
            to->error = KAFKA_POLICY_VIOLATION;
            continue;
        }
        describe(request, in->groups[i], to);
        if (in->include_authorized_operations && to->error == KAFKA_NONE) {
            to->authorized_operations = GROUP_OPERATIONS;
        }
    }
    request_reply(request);
}
