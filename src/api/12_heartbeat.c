/* Heartbeat (key 12): a member is alive, and hears whether a rebalance is under way.
 *
 * While the coordinator loads there is no error: the member's session starts anew when it has. */
#include "handlers.h"

void handle_heartbeat(struct request *request)
{
    const struct heartbeat_request *in = request->body;
    struct heartbeat_response *out = request->reply;
    enum kafka_error error;
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, in->group_id, &error);

    if (in->group_id.len == 0) {
        error = KAFKA_INVALID_GROUP_ID;
    } else if (groups != NULL) {
        error = groups_heartbeat(groups, in);
    } else if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
        error = KAFKA_NONE;
    }
    out->error = (int16_t)error;
    request_reply(request);
}
