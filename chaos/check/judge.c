/* The judge while a history goes by: where each value lies, and what contradicts that.
 *
 * Values are in one array, in the order in which they were sent, and found by a hash table of
 * numbers. Each key has pages of slots, one for each offset, in order: so the end is a walk. */
#include "judge_inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const FAULTS[FAULT_KINDS] = {
    [FAULT_LOST] = "lost",           /* acknowledged by all, and not there in the end */
    [FAULT_VANISHED] = "vanished",   /* somebody read it, and it is not there in the end */
    [FAULT_INCONSISTENT] = "inconsistent", /* two values at one offset */
    [FAULT_REPEATED] = "repeated",   /* a value at two offsets, of a producer that forbids it */
    [FAULT_REORDERED] = "reordered", /* in front of what was known, or sent, before it */
    [FAULT_REFUSED] = "refused",     /* certainly not written, and read */
    [FAULT_INVENTED] = "invented",   /* nobody sent it to that key */
    [FAULT_DAMAGED] = "damaged",     /* its bytes are not what was sent */
    [FAULT_GAP] = "gap",             /* an offset without a record, in the last reading */
    [FAULT_SKIPPED] = "skipped",     /* a consumer goes back, or leaves something out */
    [FAULT_BEYOND] = "beyond",       /* a record at or behind the high watermark it came with */
    [FAULT_RECEDED] = "receded",     /* a high watermark that goes back within an epoch */
    [FAULT_REWOUND] = "rewound",     /* a committed offset that had been replaced before */
    [FAULT_UNCOMMITTED] = "uncommitted", /* a committed offset that nobody committed */
    [FAULT_SHARED] = "shared",       /* two members own a key in one generation */
    [FAULT_BROKEN] = "broken",       /* a client gave up */
    [FAULT_UNREAD] = "unread",       /* acknowledged values, and no last reading */
};

const char *fault_name(enum fault_kind kind)
{
    return FAULTS[kind];
}

void judge_fault(struct judge *judge, enum fault_kind kind, uint64_t time_ns, const char *fmt, ...)
{
    char text[300];
    va_list args;
    if (judge->totals.n_faults[kind]++ < FAULTS_TOLD && judge->found != NULL) {
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        judge->found(judge->arg, kind, time_ns, text);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

struct judge *judge_new(judge_found *found, void *arg)
{
    struct judge *judge = mem_zalloc(sizeof *judge);
    judge->found = found;
    judge->arg = arg;
    map_init(&judge->key_map);
    map_init(&judge->process_map);
    map_init(&judge->position_map);
    map_init(&judge->group_map);
    map_init(&judge->claim_map);
    return judge;
}

static void key_free(struct key *key)
{
    for (size_t i = 0; i < key->n_pages; i++) {
        free(key->pages[i]);
    }
    free(key->pages);
    free(key);
}

void judge_free(struct judge *judge)
{
    judge_groups_release(judge);
    for (size_t i = 0; i < judge->n_keys; i++) {
        key_free(judge->keys[i]);
    }
    for (size_t i = 0; i < judge->n_processes; i++) {
        free(judge->processes[i]->floors);
        free(judge->processes[i]);
    }
    map_each (node, &judge->position_map) {
        map_remove(&judge->position_map, node);
        free(container_of(node, struct position, node));
    }
    map_release(&judge->key_map);
    map_release(&judge->process_map);
    map_release(&judge->position_map);
    free(judge->keys);
    free(judge->processes);
    free(judge->values);
    free(judge->table);
    free(judge->jumps);
    free(judge);
}

/* ---- who and where ----------------------------------------------------------------------------*/

/* Keys and processes are found by the numbers that the caller gave them. */
static bool key_has_name(const struct map_node *node, const void *name)
{
    return container_of(node, struct key, node)->name == *(const int64_t *)name;
}

static bool process_has_name(const struct map_node *node, const void *name)
{
    return container_of(node, struct process, node)->name == *(const int64_t *)name;
}

unsigned judge_key(struct judge *judge, int64_t name)
{
    uint64_t hash = hash_u64(0, (uint64_t)name);
    struct map_node *node = map_find(&judge->key_map, hash, key_has_name, &name);
    if (node != NULL) {
        return container_of(node, struct key, node)->index;
    }
    struct key *key = mem_zalloc(sizeof *key);
    key->name = name;
    key->index = (unsigned)judge->n_keys;
    key->known_end = key->final_process = -1;
    map_insert(&judge->key_map, &key->node, hash);
    judge->keys = mem_grow(judge->keys, &judge->cap_keys, judge->n_keys + 1,
                           sizeof(struct key *));
    judge->keys[judge->n_keys++] = key;
    return key->index;
}

unsigned judge_process(struct judge *judge, int64_t name)
{
    uint64_t hash = hash_u64(0, (uint64_t)name);
    struct map_node *node = map_find(&judge->process_map, hash, process_has_name, &name);
    if (node != NULL) {
        return container_of(node, struct process, node)->index;
    }
    struct process *process = mem_zalloc(sizeof *process);
    process->name = name;
    process->index = (unsigned)judge->n_processes;
    map_insert(&judge->process_map, &process->node, hash);
    judge->processes = mem_grow(judge->processes, &judge->cap_processes, judge->n_processes + 1,
                                sizeof(struct process *));
    judge->processes[judge->n_processes++] = process;
    return process->index;
}

void judge_allow(struct judge *judge, unsigned key, unsigned allowed)
{
    judge->keys[key]->allowed |= allowed;
}

void judge_producer(struct judge *judge, unsigned process, unsigned promises)
{
    judge->processes[process]->promises = promises;
}

void judge_at(struct judge *judge, uint64_t time_ns)
{
    judge->now_ns = time_ns;
    judge->n_operations++;
}

/* ---- values -----------------------------------------------------------------------------------*/

static uint64_t value_hash(unsigned key, int64_t id)
{
    return hash_u64(key, (uint64_t)id);
}

/* The place of a value in the table, or the free one where it belongs. */
static uint32_t *table_find(const struct judge *judge, unsigned key, int64_t id)
{
    size_t mask = judge->table_size - 1;
    for (size_t at = value_hash(key, id) & mask;; at = (at + 1) & mask) {
        uint32_t *entry = &judge->table[at];
        if (*entry == 0 ||
            (judge->values[*entry - 1].id == id && judge->values[*entry - 1].key == key)) {
            return entry;
        }
    }
}

static void table_grow(struct judge *judge)
{
    judge->table_size = judge->table_size == 0 ? 1024 : judge->table_size * 2;
    free(judge->table);
    judge->table = mem_zalloc_array(judge->table_size, sizeof *judge->table);
    for (size_t i = 0; i < judge->n_values; i++) {
        const struct value *v = &judge->values[i];
        *table_find(judge, v->key, v->id) = (uint32_t)i + 1;
    }
}

struct value *judge_value(const struct judge *judge, unsigned key, int64_t id)
{
    uint32_t entry = judge->table_size > 0 ? *table_find(judge, key, id) : 0;
    return entry > 0 ? &judge->values[entry - 1] : NULL;
}

void judge_send(struct judge *judge, unsigned process, unsigned key, int64_t id)
{
    if (judge_value(judge, key, id) != NULL) {
        judge_fault(judge, FAULT_BROKEN, judge->now_ns,
                    "key %" PRId64 ": %" PRId64 " was sent twice: no history can be judged so",
                    judge->keys[key]->name, id);
        return;
    }
    if (judge->n_values * 4 >= judge->table_size * 3) {
        table_grow(judge);
    }
    check(judge->n_values < VALUES_MAX);
    size_t i = judge->n_values++;
    judge->values =
        mem_grow(judge->values, &judge->cap_values, judge->n_values, sizeof *judge->values);
    judge->values[i] = (struct value){
        .id = id,
        .offset = -1,
        .floor = judge->keys[key]->known_end,
        .key = key,
        .process = process & ((1u << 28) - 1),
    };
    *table_find(judge, key, id) = (uint32_t)i + 1;
}

/* ---- offsets ----------------------------------------------------------------------------------*/

static struct page *page_of(struct key *key, int64_t number)
{
    size_t low = 0, high = key->n_pages;
    if (high > 0 && key->pages[high - 1]->number == number) {
        return key->pages[high - 1];
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (key->pages[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < key->n_pages && key->pages[low]->number == number) {
        return key->pages[low];
    }
    struct page *page = mem_zalloc(sizeof *page);
    page->number = number;
    key->pages =
        mem_grow(key->pages, &key->cap_pages, key->n_pages + 1, sizeof(struct page *));
    memmove(&key->pages[low + 1], &key->pages[low], (key->n_pages - low) * sizeof(struct page *));
    key->pages[low] = page;
    key->n_pages++;
    return page;
}

struct slot *judge_place(struct judge *judge, struct value *v, int64_t offset)
{
    struct key *key = judge->keys[v->key];
    struct slot *slot = &page_of(key, offset / PAGE_SLOTS)->slots[offset % PAGE_SLOTS];
    uint32_t index = (uint32_t)(v - judge->values);
    if (slot->known && slot->value == index) {
        return slot;
    }
    if (slot->known) {
        judge_fault(judge, FAULT_INCONSISTENT, judge->now_ns,
                    "key %" PRId64 " offset %" PRId64 ": %" PRId64 ", and %" PRId64, key->name,
                    offset, judge->values[slot->value].id, v->id);
    }
    if (v->offset >= 0 && (judge->processes[v->process]->promises & PRODUCER_ONCE)) {
        judge_fault(judge, FAULT_REPEATED, judge->now_ns,
                    "key %" PRId64 ": %" PRId64 " at offsets %" PRId64 " and %" PRId64, key->name,
                    v->id, v->offset, offset);
    }
    if (offset <= v->floor) {
        judge_fault(judge, FAULT_REORDERED, judge->now_ns,
                    "key %" PRId64 ": %" PRId64 " at offset %" PRId64 ", sent when %" PRId64
                    " was known",
                    key->name, v->id, offset, v->floor);
    }
    if (v->offset < 0) {
        v->offset = offset;
    }
    slot->known = 1;
    slot->value = index & (VALUES_MAX - 1);
    key->known_end = max_i64(key->known_end, offset);
    return slot;
}

void judge_acknowledge(struct judge *judge, unsigned key, int64_t id, int64_t offset)
{
    struct value *v = judge_value(judge, key, id);
    judge->totals.n_acknowledged++;
    if (v == NULL) {
        judge_fault(judge, FAULT_INVENTED, judge->now_ns,
                    "key %" PRId64 ": %" PRId64 " is acknowledged, and was not sent",
                    judge->keys[key]->name, id);
        judge->keys[key]->known_end = max_i64(judge->keys[key]->known_end, offset);
    } else if (!(judge->processes[v->process]->promises & PRODUCER_WEAK)) {
        judge->keys[key]->n_acknowledged += !v->acknowledged;
        v->acknowledged = 1;
        v->acknowledged_ns = judge->now_ns;
        if (offset >= 0) {
            judge_place(judge, v, offset);
        }
    }
}

void judge_check_refused(struct judge *judge, const struct value *v)
{
    if (v->refused && v->read) {
        judge_fault(judge, FAULT_REFUSED, judge->now_ns,
                    "key %" PRId64 " offset %" PRId64 ": %" PRId64, judge->keys[v->key]->name,
                    v->offset, v->id);
    }
}

void judge_refuse(struct judge *judge, unsigned key, int64_t id)
{
    struct value *v = judge_value(judge, key, id);
    if (v != NULL && !v->refused) {
        v->refused = 1;
        judge_check_refused(judge, v);
    }
}

void judge_unknown(struct judge *judge)
{
    judge->totals.n_unknown++;
}

void judge_delete(struct judge *judge, unsigned key, int64_t offset)
{
    judge->keys[key]->deleted = max_i64(judge->keys[key]->deleted, offset);
}

void judge_broken(struct judge *judge, unsigned process, struct text what, struct text why)
{
    judge_fault(judge, FAULT_BROKEN, judge->now_ns, "process %" PRId64 ", %.*s: %.*s",
                judge->processes[process]->name, TEXT_ARG(what), TEXT_ARG(why));
}

void judge_ended(struct judge *judge)
{
    judge->totals.n_ended++;
}

/* ---- what comes out ---------------------------------------------------------------------------*/

const struct judge_totals *judge_totals(const struct judge *judge)
{
    return &judge->totals;
}

bool judge_is_fine(const struct judge *judge)
{
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        if (judge->totals.n_faults[i] > 0) {
            return false;
        }
    }
    return true;
}

int64_t judge_known_end(const struct judge *judge, unsigned key)
{
    return judge->keys[key]->known_end;
}

size_t judge_n_keys(const struct judge *judge)
{
    return judge->n_keys;
}

struct judge_key_totals judge_key_at(const struct judge *judge, size_t i)
{
    const struct key *key = judge->keys[i];
    return (struct judge_key_totals){ key->name, key->n_acknowledged, key->n_final };
}
