/* Entries in memory: an array that grows at its end, is cut when a leader overwrites, and loses its
 * head when a snapshot has made it superfluous. */
#include "raft_private.h"

void raft_cache_init(struct raft_cache *cache, uint64_t first)
{
    *cache = (struct raft_cache){ .first = first };
}

void raft_cache_release(struct raft_cache *cache)
{
    raft_cache_restart(cache, 0);
    free(cache->items);
    raft_cache_init(cache, 0);
}

const struct raft_cached *raft_cache_find(const struct raft_cache *cache, uint64_t index)
{
    bool here = index >= cache->first && index - cache->first < cache->n;
    return here ? &cache->items[index - cache->first] : NULL;
}

void raft_cache_append(struct raft_cache *cache, uint64_t term, enum raft_entry_kind kind,
                       struct bytes data)
{
    cache->items = mem_grow(cache->items, &cache->cap, cache->n + 1, sizeof *cache->items);
    cache->items[cache->n++] = (struct raft_cached){ .term = term, .kind = kind,
                                                     .len = (uint32_t)data.len,
                                                     .data = mem_dup(data.data, data.len) };
}

void raft_cache_cut(struct raft_cache *cache, uint64_t from)
{
    while (cache->n > 0 && raft_cache_last(cache) >= from) {
        free(cache->items[--cache->n].data);
    }
}

void raft_cache_drop_below(struct raft_cache *cache, uint64_t index)
{
    if (index <= cache->first) {
        return;
    }
    size_t n = (size_t)min_u64(index - cache->first, cache->n);
    for (size_t i = 0; i < n; i++) {
        free(cache->items[i].data);
    }
    memmove(cache->items, cache->items + n, (cache->n - n) * sizeof *cache->items);
    cache->n -= n;
    cache->first = index;
}

void raft_cache_restart(struct raft_cache *cache, uint64_t first)
{
    raft_cache_cut(cache, 0);
    cache->first = first;
}
