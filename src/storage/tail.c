/* The tails of all logs, and the slabs under them.
 *
 * tail_push() puts an entry at the end of its log's ring and counts it in its slab; tail_wrote()
 * says that a segment has it. slabs_evict() takes the oldest slab once all its entries are written
 * and drops them from the front of their rings: since slabs are filled in order, these are the
 * oldest of each log. Readers that still refer to the slab's blob keep it alive by themselves. */
#include "tail.h"

#include <chronik/io/file.h>

enum { RING_MIN = 4 };

void slabs_init(struct slabs *slabs, struct recycler *recycler, uint64_t budget)
{
    *slabs = (struct slabs){ .recycler = recycler, .budget = budget };
    list_init(&slabs->fifo);
}

/* Memory that a slab stands for. */
static uint64_t weight(const struct slab *slab)
{
    return slab->blob->len + sizeof *slab + slab->cap_users * sizeof *slab->users;
}

static void remove_slab(struct slabs *slabs, struct slab *slab)
{
    slabs->bytes -= weight(slab);
    list_remove(&slab->link);
    blob_unref(slab->blob);
    free(slab->users);
    free(slab);
}

void slabs_release(struct slabs *slabs)
{
    list_each (link, &slabs->fifo) {
        remove_slab(slabs, container_of(link, struct slab, link));
    }
}

/* ---- rings ------------------------------------------------------------------------------------*/

static void resize_ring(struct tail *tail, struct slabs *slabs, uint32_t cap)
{
    struct tail_entry *ring = cap ? mem_zalloc_array(cap, sizeof *ring) : NULL;
    for (uint64_t i = tail->first; i < tail->end; i++) {
        ring[i & (cap - 1)] = tail->ring[i & (tail->cap - 1)];
    }
    free(tail->ring);
    slabs->bytes = slabs->bytes + cap * sizeof *ring - tail->cap * sizeof *ring;
    tail->ring = ring;
    tail->cap = cap;
}

/* Gives a ring's memory back that is no longer needed. */
static void settle_ring(struct tail *tail, struct slabs *slabs)
{
    uint64_t n = tail->end - tail->first;
    if (n == 0) {
        resize_ring(tail, slabs, 0);
        tail->slab = NULL;
    } else if (tail->cap > RING_MIN && n < tail->cap / 8) {
        resize_ring(tail, slabs, tail->cap / 4);
    }
}

/* ---- the users of a slab ----------------------------------------------------------------------*/

static struct slab_user *user_of(struct slab *slab, const struct tail *tail)
{
    if (tail->slab == slab) {
        return &slab->users[tail->user];
    }
    size_t i = slab->n_users;
    while (slab->users[i - 1].tail != tail) {
        i--;
        check(i > 0);
    }
    return &slab->users[i - 1];
}

static void count_entry(struct tail *tail, struct slabs *slabs, struct slab *slab)
{
    if (tail->slab != slab) {
        slabs->bytes -= slab->cap_users * sizeof *slab->users;
        slab->users =
            mem_grow(slab->users, &slab->cap_users, slab->n_users + 1, sizeof *slab->users);
        slabs->bytes += slab->cap_users * sizeof *slab->users;
        slab->users[slab->n_users] = (struct slab_user){ .tail = tail };
        tail->slab = slab;
        tail->user = (uint32_t)slab->n_users++;
    }
    slab->users[tail->user].n++;
    slab->unwritten++;
}

/* An entry leaves its tail other than by eviction. */
static void uncount_entry(struct tail *tail, struct slabs *slabs, uint64_t number)
{
    struct tail_entry *entry = tail_entry(tail, number);
    struct slab_user *user = user_of(entry->slab, tail);
    check(user->n > 0);
    if (--user->n == 0) {
        user->tail = NULL;
        if (tail->slab == entry->slab) {
            tail->slab = NULL;
        }
    }
    if (number >= tail->written) {
        entry->slab->unwritten--;
        tail->unwritten_bytes -= entry->len;
        slabs->unwritten_bytes -= entry->len;
    }
}

/* ---- eviction ---------------------------------------------------------------------------------*/

static void evict(struct slabs *slabs, struct slab *slab)
{
    for (size_t i = 0; i < slab->n_users; i++) {
        struct tail *tail = slab->users[i].tail;
        if (tail == NULL) {
            continue;
        }
        for (uint32_t n = slab->users[i].n; n > 0; n--) {
            check(tail->first < tail->written && tail_entry(tail, tail->first)->slab == slab);
            tail->first++;
        }
        if (tail->slab == slab) {
            tail->slab = NULL;
        }
        settle_ring(tail, slabs);
    }
    slabs->evicted++;
    remove_slab(slabs, slab);
}

static bool may_evict(const struct slabs *slabs, const struct slab *slab)
{
    return slab->unwritten == 0 && &slab->link != list_last(&slabs->fifo);
}

static void evict_to(struct slabs *slabs, uint64_t bytes)
{
    struct slab *oldest = slabs_oldest(slabs);
    while (slabs->bytes > bytes && oldest != NULL && may_evict(slabs, oldest)) {
        evict(slabs, oldest);
        oldest = slabs_oldest(slabs);
    }
}

void slabs_evict(struct slabs *slabs)
{
    evict_to(slabs, slabs->budget);
}

struct slab *slabs_for(struct slabs *slabs, size_t len, size_t align)
{
    struct list *last = list_last(&slabs->fifo);
    if (last != NULL) {
        struct slab *slab = container_of(last, struct slab, link);
        uint64_t from = round_up(slab->used, align);
        if (from + len <= slab->blob->len) {
            return slab;
        }
    }
    size_t size = recycler_size(len > SLAB_BYTES ? len : SLAB_BYTES);
    struct slab *slab = mem_zalloc(sizeof *slab);
    check(size <= UINT32_MAX);
    list_push_back(&slabs->fifo, &slab->link);
    evict_to(slabs, slabs->budget > size ? slabs->budget - size : 0);
    slab->blob = recycler_get(slabs->recycler, size);
    slabs->opened++;
    slabs->bytes += weight(slab);
    return slab;
}

/* ---- tails ------------------------------------------------------------------------------------*/

void tail_push(struct tail *tail, struct slabs *slabs, const struct tail_entry *entry)
{
    if (tail->end - tail->first == tail->cap) {
        resize_ring(tail, slabs, tail->cap ? tail->cap * 2 : RING_MIN);
    }
    tail->ring[tail->end & (tail->cap - 1)] = *entry;
    tail->end++;
    tail->unwritten_bytes += entry->len;
    slabs->unwritten_bytes += entry->len;
    count_entry(tail, slabs, entry->slab);
}

uint64_t tail_find(const struct tail *tail, int64_t offset)
{
    uint64_t from = tail->first, to = tail->end;
    while (from < to) {
        uint64_t middle = from + (to - from) / 2;
        if (tail_entry(tail, middle)->last < offset) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

void tail_wrote(struct tail *tail, struct slabs *slabs, uint64_t number)
{
    for (; tail->written < number; tail->written++) {
        struct tail_entry *entry = tail_entry(tail, tail->written);
        entry->slab->unwritten--;
        tail->unwritten_bytes -= entry->len;
        slabs->unwritten_bytes -= entry->len;
    }
}

void tail_cut(struct tail *tail, struct slabs *slabs, uint64_t number)
{
    for (uint64_t i = tail->end; i > number; i--) {
        uncount_entry(tail, slabs, i - 1);
        tail->end--;
    }
    if (tail->written > tail->end) {
        tail->written = tail->end;
    }
    settle_ring(tail, slabs);
}

void tail_drop(struct tail *tail, struct slabs *slabs, uint64_t number)
{
    for (; tail->first < number; tail->first++) {
        uncount_entry(tail, slabs, tail->first);
        if (tail->written == tail->first) {
            tail->written++;
        }
    }
    settle_ring(tail, slabs);
}

void tail_shorten(struct tail *tail, struct slabs *slabs, uint32_t len, int64_t last)
{
    struct tail_entry *entry = tail_entry(tail, tail->end - 1);
    check(len > 0 && len < entry->len);
    if (tail->end - 1 >= tail->written) {
        tail->unwritten_bytes -= entry->len - len;
        slabs->unwritten_bytes -= entry->len - len;
    }
    entry->len = len;
    entry->last = last;
}
