/* SyncGroup (key 14): the leader brings the assignment, every member gets its part of it, once it
 * is committed to the log (src/coord/sync.c).
 *
 * Version notes: static members from 3 on; from 5 on protocol type and name have to be there, and
 * those of the group. */
#include "handlers.h"

struct sync_state {
    struct group_sync sync;
    struct request *request;
};

static void synced(struct group_sync *sync)
{
    request_reply(container_of(sync, struct sync_state, sync)->request);
}

void handle_sync_group(struct request *request)
{
    const struct sync_group_request *in = request->body;
    struct sync_state *state = request_alloc(request, 1, sizeof *state);
    struct sync_group_response *out = request->reply;
    bool complete = request->header.api_version < 5 ||
                    (in->protocol_type.data != NULL && in->protocol_name.data != NULL);
    enum kafka_error error;

    state->request = request;
    state->sync = (struct group_sync){
        .request = in, .reply = out, .arena = &request->arena, .done = synced
    };
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);
    if (complete && in->group_id.len > 0 && groups != NULL) {
        groups_sync(groups, &state->sync);
        return;
    }
    out->error = (int16_t)(!complete                ? KAFKA_INCONSISTENT_GROUP_PROTOCOL
                           : in->group_id.len == 0 ? KAFKA_INVALID_GROUP_ID
                                                    : error);
    request_reply(request);
}
