/* LeaveGroup (key 13): members leave without waiting for their sessions to end.
 *
 * Version notes: one member up to 2, and its error is that of the whole; from 3 on many members,
 * each with an error of its own (KIP-345). */
#include "handlers.h"

static enum kafka_error leave(struct request *request,
                              const struct leave_group_request_member *members, size_t n,
                              struct leave_group_response_member *results)
{
    const struct leave_group_request *in = request->body;
    enum kafka_error error;
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);

    for (size_t i = 0; i < n; i++) {
        results[i].member_id = members[i].member_id;
        results[i].group_instance_id = members[i].group_instance_id;
    }
    if (in->group_id.len == 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    return groups ? groups_leave(groups, in->group_id, members, n, results) : error;
}

/* No such group: then no member of it is known, either. */
static void nobody_known(struct leave_group_response_member *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        results[i].error = KAFKA_UNKNOWN_MEMBER_ID;
    }
}

void handle_leave_group(struct request *request)
{
    const struct leave_group_request *in = request->body;
    struct leave_group_response *out = request->reply;
    bool one = request->header.api_version < 3;
    const struct leave_group_request_member self = { .member_id = in->member_id };
    size_t n = one ? 1 : (size_t)in->n_members;
    struct leave_group_response_member *results =
        request_items(request, n, leave_group_response_member);

    enum kafka_error error = leave(request, one ? &self : in->members, n, results);
    if (error == KAFKA_UNKNOWN_MEMBER_ID) {
        nobody_known(results, n);
        error = KAFKA_NONE;
    }
    out->error = (int16_t)error;
    if (one) {
        out->error = error != KAFKA_NONE ? (int16_t)error : results[0].error;
    } else if (error == KAFKA_NONE) {
        out->members = results;
        out->n_members = (int32_t)n;
    }
    request_reply(request);
}
