/* The judge of what consumers get: each record in its place, one offset after the other, and
 * nothing that was not committed. */
#include "judge_inside.h"

#include <inttypes.h>

/* Where a consumer is. */
static bool is_position(const struct map_node *node, const void *key)
{
    const struct position *a = container_of(node, struct position, node), *b = key;
    return a->process == b->process && a->key == b->key;
}

static struct position *position_of(struct judge *judge, unsigned process, unsigned key)
{
    struct position wanted = { .process = process, .key = key, .last = -1, .epoch = -1 };
    uint64_t hash = hash_u64(process, key);
    if (judge->recent != NULL && is_position(&judge->recent->node, &wanted)) {
        return judge->recent;
    }
    struct map_node *node = map_find(&judge->position_map, hash, is_position, &wanted);
    if (node == NULL) {
        struct position *position = mem_dup(&wanted, sizeof wanted);
        map_insert(&judge->position_map, &position->node, hash);
        node = &position->node;
    }
    return judge->recent = container_of(node, struct position, node);
}

/* A consumer reads one offset after the other, but for what was deleted, and for what is missing
 * where gaps are allowed. */
static void follow(struct judge *judge, unsigned process, unsigned k, int64_t offset, bool final)
{
    struct position *at = position_of(judge, process, k);
    const struct key *key = judge->keys[k];
    int64_t last = at->last;
    at->last = offset;
    if (last < 0 || offset == last + 1 || (offset > last && offset <= key->deleted)) {
        return;
    }
    if (offset > last && (key->allowed & KEY_GAPS)) {
        judge->jumps = mem_grow(judge->jumps, &judge->cap_jumps, judge->n_jumps + 1,
                                sizeof *judge->jumps);
        judge->jumps[judge->n_jumps++] =
            (struct jump){ process, k, last, offset, judge->now_ns };
        return;
    }
    judge_fault(judge, final && offset > last ? FAULT_GAP : FAULT_SKIPPED, judge->now_ns,
                "process %" PRId64 ", key %" PRId64 ": offset %" PRId64 " behind %" PRId64,
                judge->processes[process]->name, key->name, offset, last);
}

/* What an earlier last reading has found is something that somebody has read. */
static void begin_last_reading(struct key *key, unsigned process)
{
    for (size_t p = 0; p < key->n_pages && key->n_final > 0; p++) {
        for (unsigned i = 0; i < PAGE_SLOTS; i++) {
            struct slot *slot = &key->pages[p]->slots[i];
            slot->read |= slot->final;
            slot->final = 0;
        }
    }
    key->n_final = 0;
    key->final_process = process;
}

void judge_read(struct judge *judge, unsigned process, unsigned k, int64_t offset, int64_t id,
                bool final)
{
    struct key *key = judge->keys[k];
    struct value *v = judge_value(judge, k, id);
    judge->totals.n_read += !final;
    if (offset < 0) {
        judge_fault(judge, FAULT_INVENTED, judge->now_ns, "key %" PRId64 " offset %" PRId64,
                    key->name, offset);
        return;
    }
    follow(judge, process, k, offset, final);
    if (final && key->final_process != process) {
        begin_last_reading(key, process);
    }
    if (v == NULL) {
        judge_fault(judge, id == VALUE_DAMAGED ? FAULT_DAMAGED : FAULT_INVENTED, judge->now_ns,
                    "key %" PRId64 " offset %" PRId64 ": %" PRId64, key->name, offset, id);
        key->known_end = max_i64(key->known_end, offset);
        return;
    }
    struct slot *slot = judge_place(judge, v, offset);
    slot->value = (uint32_t)(v - judge->values) & (VALUES_MAX - 1); /* the last word */
    v->read = 1;
    judge_check_refused(judge, v);
    if (final) {
        key->n_final += !slot->final;
        slot->final = 1;
    } else {
        slot->read = 1;
    }
}

void judge_watermark(struct judge *judge, unsigned process, unsigned k, int32_t epoch,
                     int64_t high_watermark, int64_t last)
{
    struct position *at = position_of(judge, process, k);
    int64_t process_name = judge->processes[process]->name, key_name = judge->keys[k]->name;
    if (last >= high_watermark) {
        judge_fault(judge, FAULT_BEYOND, judge->now_ns,
                    "process %" PRId64 ", key %" PRId64 ": offset %" PRId64
                    " with a high watermark of %" PRId64,
                    process_name, key_name, last, high_watermark);
    }
    if (epoch >= 0 && at->epoch == epoch && high_watermark < at->high_watermark) {
        judge_fault(judge, FAULT_RECEDED, judge->now_ns,
                    "process %" PRId64 ", key %" PRId64 ": a high watermark of %" PRId64
                    " behind %" PRId64 " in epoch %" PRId32,
                    process_name, key_name, high_watermark, at->high_watermark, epoch);
    }
    if (epoch >= at->epoch) {
        at->epoch = epoch;
        at->high_watermark = high_watermark;
    }
}

void judge_move(struct judge *judge, unsigned process)
{
    map_each (node, &judge->position_map) {
        struct position *at = container_of(node, struct position, node);
        if (at->process == process) {
            at->last = -1;
        }
    }
}
