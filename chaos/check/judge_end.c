/* The judge's end: everything that was acknowledged or read is held against the last reading. */
#include "judge_inside.h"

#include <inttypes.h>

static bool may_be_gone(const struct key *key, int64_t offset)
{
    return (key->allowed & KEY_LOSSY) != 0 || (key->deleted > 0 && offset < key->deleted);
}

static bool is_unread(const struct key *key)
{
    return key->final_process < 0 && key->n_acknowledged > 0;
}

/* Values of a producer that promises it come in the order in which they were sent. `newest` has the
 * latest one of each process so far: values are numbered in that order, from 1 on. */
static void check_order(struct judge *judge, const struct key *key, int64_t offset, uint32_t index,
                        uint32_t *newest)
{
    const struct value *v = &judge->values[index];
    bool ordered = (judge->processes[v->process]->promises & PRODUCER_ORDERED) != 0;
    if (ordered && index + 1 < newest[v->process]) {
        judge_fault(judge, FAULT_REORDERED, v->acknowledged_ns,
                    "key %" PRId64 ": %" PRId64 " at offset %" PRId64 " behind %" PRId64
                    ", which its producer sent later",
                    key->name, v->id, offset, judge->values[newest[v->process] - 1].id);
    }
    if (index + 1 > newest[v->process]) {
        newest[v->process] = index + 1;
    }
}

static void finish_slot(struct judge *judge, const struct key *key, int64_t offset,
                        const struct slot *slot, uint32_t *newest)
{
    struct value *v = &judge->values[slot->value];
    if (slot->final && !v->in_final) {
        check_order(judge, key, offset, slot->value, newest);
        v->in_final = 1;
    }
    if (slot->read && !slot->final && !may_be_gone(key, offset)) {
        judge_fault(judge, FAULT_VANISHED, v->acknowledged_ns,
                    "key %" PRId64 " offset %" PRId64 ": %" PRId64, key->name, offset, v->id);
    }
}

static void finish_key(struct judge *judge, const struct key *key, uint32_t *newest)
{
    if (is_unread(key)) {
        judge_fault(judge, FAULT_UNREAD, 0,
                    "key %" PRId64 ": %" PRIu64 " values were acknowledged", key->name,
                    key->n_acknowledged);
        return;
    }
    memset(newest, 0, judge->n_processes * sizeof *newest);
    for (size_t p = 0; p < key->n_pages; p++) {
        const struct page *page = key->pages[p];
        for (unsigned i = 0; i < PAGE_SLOTS; i++) {
            if (page->slots[i].known) {
                finish_slot(judge, key, page->number * PAGE_SLOTS + i, &page->slots[i], newest);
            }
        }
    }
}

static void find_lost(struct judge *judge)
{
    for (size_t i = 0; i < judge->n_values; i++) {
        const struct value *v = &judge->values[i];
        const struct key *key = judge->keys[v->key];
        if (v->acknowledged && !v->in_final && !is_unread(key) && !may_be_gone(key, v->offset)) {
            judge_fault(judge, FAULT_LOST, v->acknowledged_ns,
                        "key %" PRId64 ": %" PRId64 ", acknowledged at offset %" PRId64, key->name,
                        v->id, v->offset);
        }
    }
}

/* A consumer that went over a record which is there to the end has left it out. */
static void check_jump(struct judge *judge, const struct jump *jump)
{
    const struct key *key = judge->keys[jump->key];
    for (size_t p = 0; p < key->n_pages; p++) {
        const struct page *page = key->pages[p];
        int64_t base = page->number * PAGE_SLOTS;
        if (base + PAGE_SLOTS <= jump->from || base >= jump->to) {
            continue;
        }
        for (unsigned i = 0; i < PAGE_SLOTS; i++) {
            int64_t offset = base + i;
            if (page->slots[i].final && offset > jump->from && offset < jump->to) {
                judge_fault(judge, FAULT_SKIPPED, jump->time_ns,
                            "process %" PRId64 ", key %" PRId64 ": offset %" PRId64
                            " behind %" PRId64 ", and not %" PRId64,
                            judge->processes[jump->process]->name, key->name, jump->to, jump->from,
                            offset);
                return;
            }
        }
    }
}

void judge_finish(struct judge *judge)
{
    uint32_t *newest = mem_alloc((judge->n_processes + 1) * sizeof *newest);
    for (size_t k = 0; k < judge->n_keys; k++) {
        finish_key(judge, judge->keys[k], newest);
    }
    find_lost(judge);
    for (size_t i = 0; i < judge->n_jumps; i++) {
        check_jump(judge, &judge->jumps[i]);
    }
    free(newest);
}
