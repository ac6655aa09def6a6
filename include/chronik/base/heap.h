/* An intrusive binary min-heap of nodes with a 64-bit key, ties in order of insertion: the
 * structure behind the timers. */
#ifndef CHRONIK_BASE_HEAP_H
#define CHRONIK_BASE_HEAP_H

#include <chronik/base/mem.h>

struct heap_node {
    uint64_t key;
    uint64_t seq;  /* order among equal keys */
    size_t place;  /* 1 + index in the heap; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t n, cap;
    uint64_t seq;
};

static inline void heap_init(struct heap *heap)
{
    *heap = (struct heap){ 0 };
}

static inline bool heap_contains(const struct heap_node *node)
{
    return node->place != 0;
}

/* The node with the smallest key, or NULL. */
static inline struct heap_node *heap_min(const struct heap *heap)
{
    return heap->n > 0 ? heap->nodes[0] : NULL;
}

/* Inserts a node that is in no heap. */
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *heap, struct heap_node *node);

/* Frees the array, not the nodes. */
void heap_release(struct heap *heap);

#endif
