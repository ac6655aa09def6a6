/* JoinGroup (key 11): makes a client a member of a classic group and has it wait for the others
 * (src/coord/join.c, src/coord/rebalance.c).
 *
 * Version notes: in 0 the session time-out counts for rebalances, too; a member id has to be asked
 * for from 4 on, static members from 5 on; a missing protocol name is null from 7 on, "" before;
 * skip_assignment from 9 on. */
#include "handlers.h"

struct join_state {
    struct group_join join;
    struct request *request;
};

static void joined(struct group_join *join)
{
    struct join_state *state = container_of(join, struct join_state, join);
    struct join_group_response *out = join->reply;
    bool named = out->protocol_name.len > 0;
    if (!named) {
        out->protocol_name = join->version >= 7 ? TEXT_NULL : text_of("");
    }
    request_reply(state->request);
}

void handle_join_group(struct request *request)
{
    const struct join_group_request *in = request->body;
    struct join_state *state = request_alloc(request, 1, sizeof *state);
    enum kafka_error error;

    state->request = request;
    state->join = (struct group_join){
        .request = in,
        .reply = request->reply,
        .version = request->header.api_version,
        .client_id = request->header.client_id,
        .client_host = api_client_host(request),
        .arena = &request->arena,
        .done = joined,
    };
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);
    if (groups != NULL) {
        groups_join(groups, &state->join);
        return;
    }
    state->join.reply->error = (int16_t)(in->group_id.len == 0 ? KAFKA_INVALID_GROUP_ID : error);
    state->join.reply->member_id = in->member_id;
    joined(&state->join);
}
