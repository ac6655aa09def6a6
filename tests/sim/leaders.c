/* A client's map of leaders, filled by Metadata requests to random nodes. A node that is behind may
 * name an earlier leader: that is no news. */
#include "workload.h"

enum { METADATA_VERSION = 9 };

static void ask(struct timer *timer);

void leaders_init(struct map_of_leaders *leaders, struct client *client,
                  const struct history *history, void (*changed)(void *arg), void *arg)
{
    *leaders = (struct map_of_leaders){
        .client = client, .history = history, .changed = changed, .arg = arg
    };
    leaders->leaders = mem_alloc(history->n_keys * sizeof *leaders->leaders);
    leaders->epochs = mem_alloc(history->n_keys * sizeof *leaders->epochs);
    for (unsigned k = 0; k < history->n_keys; k++) {
        leaders->leaders[k] = leaders->epochs[k] = -1;
    }
    timer_init(&leaders->again, client->machine->loop, ask);
}

void leaders_release(struct map_of_leaders *leaders)
{
    timer_cancel(&leaders->again);
    free(leaders->leaders);
    free(leaders->epochs);
}

static void take(struct map_of_leaders *leaders, const struct metadata_response *in)
{
    const struct history *history = leaders->history;
    for (int32_t t = 0; t < in->n_topics; t++) {
        for (int32_t p = 0; p < in->topics[t].n_partitions; p++) {
            const struct metadata_response_partition *from = &in->topics[t].partitions[p];
            for (unsigned k = 0; k < history->n_keys; k++) {
                if (text_is(in->topics[t].name, history->keys[k].topic) &&
                    history->keys[k].partition == from->partition_index &&
                    from->leader_epoch >= leaders->epochs[k]) {
                    leaders->leaders[k] = from->leader_id > 0 ? from->leader_id - 1 : -1;
                    leaders->epochs[k] = from->leader_epoch;
                }
            }
        }
    }
}

static void answered(void *arg, const void *response)
{
    struct map_of_leaders *leaders = arg;
    leaders->asking = false;
    if (response != NULL) {
        take(leaders, response);
    }
    leaders->changed(leaders->arg);
}

static void ask(struct timer *timer)
{
    struct map_of_leaders *leaders = container_of(timer, struct map_of_leaders, again);
    const struct metadata_request request = { .n_topics = -1 };
    unsigned node = (unsigned)prng_below(&world->prng, leaders->client->n_nodes);
    leaders->asking = true;
    client_ask(leaders->client, node, &wire_metadata, METADATA_VERSION, &request, 500 * NS_PER_MS,
               answered, leaders);
}

void leaders_refresh(struct map_of_leaders *leaders)
{
    if (!leaders->asking && !timer_is_set(&leaders->again)) {
        timer_set_in(&leaders->again, between(5, 100) * NS_PER_MS);
    }
}
