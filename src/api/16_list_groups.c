/* ListGroups (key 16): the groups that this broker coordinates, simple ones among them.
 *
 * Clients ask every broker. While a part of the groups is being loaded the answer is
 * COORDINATOR_LOAD_IN_PROGRESS: a list with gaps would be taken for complete.
 *
 * Version notes: only groups in some states from 4 on, of some types from 5 on; both names in any
 * case. */
#include "handlers.h"

#include <strings.h>

struct listing {
    struct request *request;
    size_t cap;
};

static bool wanted(const struct text *filter, int32_t n, const char *value)
{
    for (int32_t i = 0; i < n; i++) {
        if (filter[i].len == strlen(value) &&
            strncasecmp(filter[i].data, value, filter[i].len) == 0) {
            return true;
        }
    }
    return n <= 0;
}

static void add(void *arg, const struct group_listing *group)
{
    struct listing *listing = arg;
    struct request *request = listing->request;
    const struct list_groups_request *in = request->body;
    struct list_groups_response *out = request->reply;
    if (!wanted(in->states_filter, in->n_states_filter, group->state)) {
        return;
    }
    out->groups = mem_grow(out->groups, &listing->cap, (size_t)out->n_groups + 1,
                           sizeof *out->groups);
    out->groups[out->n_groups++] = (struct list_groups_response_group){
        .group_id = arena_text(&request->arena, group->id),
        .protocol_type = arena_text(&request->arena, group->protocol_type),
        .group_state = text_of(group->state),
        .group_type = text_of("classic"),
    };
}

void handle_list_groups(struct request *request)
{
    const struct list_groups_request *in = request->body;
    struct list_groups_response *out = request->reply;
    const struct coord *coord = request->api->coord;
    struct listing listing = { .request = request };

    for (int32_t i = 0; i < coord->topics[COORD_GROUPS].n_shards; i++) {
        enum kafka_error error;
        const struct groups *groups = coord_state_at(coord, COORD_GROUPS, i, &error);
        if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
            out->error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
        } else if (groups != NULL && wanted(in->types_filter, in->n_types_filter, "classic")) {
            groups_each(groups, add, &listing);
        }
    }
    struct list_groups_response_group *found = out->groups;
    out->n_groups = out->error == KAFKA_NONE ? out->n_groups : 0;
    out->groups =
        arena_dup(&request->arena, found, (size_t)out->n_groups * sizeof *out->groups);
    free(found);
    request_reply(request);
}
