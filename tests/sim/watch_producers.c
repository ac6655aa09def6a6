/* The watch over producers: what a log knows of them follows from what is in it, and from nothing
 * else. So replicas that end with the same batch must know the same, however each of them came
 * there: by appends, by a cut, from a snapshot, or by replaying the journal. */
#include "watch_inside.h"

#include <chronik/storage/producers.h>
#include <inttypes.h>

#include "../../src/storage/state.h"

enum { HEADER = 14, ENTRY = 17, BATCH = 24, COUNT_AT = 16 }; /* storage/producers.c: NNN.window */

/* The last batch of a log, and what it knows of producers. */
struct known_producers {
    struct map_node node;
    struct seen_batch last;
    uint64_t hash;
    int32_t seen_on;
};

static bool ends_with(const struct map_node *node, const void *arg)
{
    const struct seen_batch *a = &container_of(node, struct known_producers, node)->last, *b = arg;
    return a->base == b->base && a->last == b->last && a->epoch == b->epoch && a->crc == b->crc;
}

/* Of all entries, in any order; without the time of the last append. */
static uint64_t hash_of(const struct producers *producers)
{
    struct buf window = { 0 };
    uint64_t hash = 0;
    producers_encode_window(producers, &window);
    for (size_t at = HEADER; at < window.len;) {
        const uint8_t *entry = window.data + at;
        size_t batches = (size_t)entry[COUNT_AT] * BATCH;
        hash += hash_bytes(load_be64(entry), entry + COUNT_AT, 1 + batches);
        at += ENTRY + batches;
    }
    buf_release(&window);
    return hash;
}

void watch_producers(struct watched *w, const struct node *node, struct replica_seen *r,
                     const struct log *log)
{
    const struct batch_list *mirror = &r->mirror;
    if (log->cut != NULL || log->damage != NULL || mirror->n == 0 ||
        mirror->items[mirror->n - 1].last + 1 != log->end ||
        (r->producers_end == log->end && r->producers_cuts == log->n_cuts)) {
        return;
    }
    const struct seen_batch *last = &mirror->items[mirror->n - 1];
    uint64_t hash = log->producers != NULL ? hash_of(log->producers) : 0;
    struct map_node *found = map_find(&w->producers, last->crc, ends_with, last);
    r->producers_end = log->end;
    r->producers_cuts = log->n_cuts;
    if (found == NULL) {
        struct known_producers *known = mem_zalloc(sizeof *known);
        known->last = *last;
        known->hash = hash;
        known->seen_on = node->id;
        map_insert(&w->producers, &known->node, last->crc);
        return;
    }
    const struct known_producers *known = container_of(found, struct known_producers, node);
    if (known->hash != hash) {
        world_fail("producers: %s on n%" PRId32 " does not know what n%" PRId32
                   " knew at the same end, %" PRId64,
                   w->name, node->id, known->seen_on, log->end);
    }
}
