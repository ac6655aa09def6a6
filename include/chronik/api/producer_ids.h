/* Producer ids: taken from the metadata in blocks, given out one by one. Ids that were not given
 * out when the process ends are lost; there are 2^63. */
#ifndef CHRONIK_API_PRODUCER_IDS_H
#define CHRONIK_API_PRODUCER_IDS_H

#include <chronik/meta/meta.h>

struct producer_ids {
    struct loop *loop;
    struct meta *meta;
    int64_t next, end;  /* what is left of the block */
    bool asking;
    struct list waiting; /* struct producer_id_wait */
};

/* Embedded by whoever needs an id. */
struct producer_id_wait {
    struct list link;
    /* KAFKA_NONE and the id, or COORDINATOR_NOT_AVAILABLE: try again. */
    void (*done)(struct producer_id_wait *wait, enum kafka_error error, int64_t id);
};

void producer_ids_init(struct producer_ids *ids, struct loop *loop);
void producer_ids_start(struct producer_ids *ids, struct meta *meta);

/* Gives the next id: at once, or when a new block has come. */
void producer_ids_take(struct producer_ids *ids, struct producer_id_wait *wait);

#endif
