/* An intrusive hash map that remembers the order of insertion.
 *
 * Nothing may depend on hash order (the simulator replays bit by bit), so the only iteration there
 * is visits items in the order in which they were inserted. Keys stay inside the items; the caller
 * gives the hash and an equality. The hash is seeded, since clients choose many of the keys. */
#ifndef CHRONIK_BASE_MAP_H
#define CHRONIK_BASE_MAP_H

#include <chronik/base/bytes.h>
#include <chronik/base/list.h>

struct map_node {
    struct map_node *chain; /* next in the same bucket */
    uint64_t hash;
    struct list order;
};

struct map {
    struct map_node **buckets; /* a power of two of them; NULL while the map is empty */
    size_t n_buckets, n;
    struct list order;
};

/* Does `node` hold the key? */
typedef bool map_equal(const struct map_node *node, const void *key);

void map_init(struct map *map);

/* Frees the table, not the items. */
void map_release(struct map *map);

/* The node with an equal key, or NULL. */
struct map_node *map_find(const struct map *map, uint64_t hash, map_equal *equal, const void *key);

/* The caller has made sure that no equal key is inside. */
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);

/* Visits every node, oldest first; the body may remove the visited one. */
#define map_each(it, map)                                                                          \
    for (struct map_node *it = map_first(map), *it##_next;                                         \
         it && (it##_next = map_next(map, it), 1); it = it##_next)

static inline struct map_node *map_first(const struct map *map)
{
    struct list *first = list_first(&map->order);
    return first ? container_of(first, struct map_node, order) : NULL;
}

static inline struct map_node *map_next(const struct map *map, const struct map_node *node)
{
    struct list *next = node->order.next;
    return next == &map->order ? NULL : container_of(next, struct map_node, order);
}

/* A good 64-bit hash of bytes and of a number (XXH3). `seed` comes from the loop's randomness. */
uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);
uint64_t hash_u64(uint64_t seed, uint64_t n);

#endif
