/* The hash map: chained buckets, doubled when there is more than one item a bucket. */
#include <chronik/base/map.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void map_init(struct map *map)
{
    *map = (struct map){ 0 };
    list_init(&map->order);
}

void map_release(struct map *map)
{
    free(map->buckets);
    map_init(map);
}

struct map_node *map_find(const struct map *map, uint64_t hash, map_equal *equal, const void *key)
{
    if (map->n == 0) {
        return NULL;
    }
    struct map_node *node = map->buckets[hash & (map->n_buckets - 1)];
    while (node != NULL && !(node->hash == hash && equal(node, key))) {
        node = node->chain;
    }
    return node;
}

static void put_in_bucket(struct map *map, struct map_node *node)
{
    struct map_node **bucket = &map->buckets[node->hash & (map->n_buckets - 1)];
    node->chain = *bucket;
    *bucket = node;
}

static void grow(struct map *map)
{
    map->n_buckets = map->n_buckets ? map->n_buckets * 2 : 8;
    free(map->buckets);
    map->buckets = mem_zalloc_array(map->n_buckets, sizeof *map->buckets);
    map_each (node, map) {
        put_in_bucket(map, node);
    }
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
    node->hash = hash;
    if (map->n >= map->n_buckets) {
        grow(map);
    }
    list_push_back(&map->order, &node->order);
    put_in_bucket(map, node);
    map->n++;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **at = &map->buckets[node->hash & (map->n_buckets - 1)];
    while (*at != node) {
        check(*at != NULL);
        at = &(*at)->chain;
    }
    *at = node->chain;
    list_remove(&node->order);
    map->n--;
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

uint64_t hash_u64(uint64_t seed, uint64_t n)
{
    return XXH3_64bits_withSeed(&n, sizeof n, seed);
}
