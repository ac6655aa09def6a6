/* Producer ids in blocks. */
#include <chronik/api/producer_ids.h>

#include <chronik/io/timer.h>

enum { BLOCK_TIMEOUT_S = 30 };

static void give(struct producer_ids *ids, enum kafka_error error)
{
    while (!list_empty(&ids->waiting) && (error != KAFKA_NONE || ids->next < ids->end)) {
        struct producer_id_wait *wait =
            container_of(list_pop_front(&ids->waiting), struct producer_id_wait, link);
        wait->done(wait, error, error == KAFKA_NONE ? ids->next++ : -1);
    }
}

static void block_came(void *arg, enum kafka_error error, const void *response)
{
    struct producer_ids *ids = arg;
    const struct meta_allocate_producer_ids_response *block = response;
    ids->asking = false;
    if (error == KAFKA_NONE && block->error == KAFKA_NONE) {
        ids->next = block->first;
        ids->end = block->first + block->count;
        give(ids, KAFKA_NONE);
    } else {
        give(ids, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
}

static void ask(struct producer_ids *ids)
{
    if (!ids->asking && !list_empty(&ids->waiting)) {
        const struct meta_allocate_producer_ids_request request = {
            .epoch = meta_broker_epoch(ids->meta),
        };
        ids->asking = true;
        meta_allocate_producer_ids(ids->meta, &request,
                                   loop_now_ns(ids->loop) + BLOCK_TIMEOUT_S * NS_PER_S, block_came,
                                   ids);
    }
}

void producer_ids_init(struct producer_ids *ids, struct loop *loop)
{
    *ids = (struct producer_ids){ .loop = loop };
    list_init(&ids->waiting);
}

void producer_ids_start(struct producer_ids *ids, struct meta *meta)
{
    ids->meta = meta;
}

void producer_ids_take(struct producer_ids *ids, struct producer_id_wait *wait)
{
    list_push_back(&ids->waiting, &wait->link);
    if (ids->next < ids->end) {
        give(ids, KAFKA_NONE);
    }
    ask(ids);
}
