/* DeleteGroups (key 42): deletes groups that have no members, and their offsets. Each is told when
 * its deletion is committed.
 *
 * Version notes: a message beside each error from 3 on. */
#include "handlers.h"

struct deletion {
    struct coord_wait wait;
    struct deletions *all;
    struct delete_groups_response_result *reply;
};

struct deletions {
    struct request *request;
    size_t n_waiting;
    bool all_asked;
};

static void answer(struct deletions *all)
{
    if (all->all_asked && all->n_waiting == 0) {
        request_reply(all->request);
    }
}

static void refuse(struct delete_groups_response_result *reply, enum kafka_error error)
{
    reply->error = (int16_t)error;
    reply->error_message = text_of(kafka_error_text(error));
}

static void deleted(struct coord_wait *wait, enum kafka_error error)
{
    struct deletion *deletion = container_of(wait, struct deletion, wait);
    if (error != KAFKA_NONE) {
        refuse(deletion->reply, error);
    }
    deletion->all->n_waiting--;
    answer(deletion->all);
}

static void delete_one(struct deletions *all, struct text id,
                       struct delete_groups_response_result *reply)
{
    struct request *request = all->request;
    struct deletion *deletion = request_alloc(request, 1, sizeof *deletion);
    enum kafka_error error;
    struct groups *groups = coord_state(request->api->coord, COORD_GROUPS, id, &error);

    *deletion = (struct deletion){ .all = all, .reply = reply };
    deletion->wait.done = deleted;
    list_init(&deletion->wait.link);
    reply->group_id = id;
    if (groups != NULL) {
        error = groups_delete(groups, id);
    }
    if (error != KAFKA_NONE) {
        refuse(reply, error);
    } else if (!coord_wait(groups_log(groups), &deletion->wait)) {
        all->n_waiting++;
    }
}

void handle_delete_groups(struct request *request)
{
    const struct delete_groups_request *in = request->body;
    struct delete_groups_response *out = request->reply;
    struct deletions *all = request_alloc(request, 1, sizeof *all);
    size_t n = (size_t)in->n_group_ids;
    const uint8_t *repeats = api_repeats(request, in->group_ids, n);

    all->request = request;
    out->results = request_items(request, n, delete_groups_response_result);
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] != API_AGAIN) {
            delete_one(all, in->group_ids[i], &out->results[out->n_results++]);
        }
    }
    all->all_asked = true;
    answer(all);
}
