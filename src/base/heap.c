/* The binary min-heap. */
#include <chronik/base/heap.h>

static bool less(const struct heap_node *a, const struct heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static void put(struct heap *heap, size_t i, struct heap_node *node)
{
    heap->nodes[i] = node;
    node->place = i + 1;
}

static void sift_up(struct heap *heap, size_t i, struct heap_node *node)
{
    while (i > 0 && less(node, heap->nodes[(i - 1) / 2])) {
        put(heap, i, heap->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(heap, i, node);
}

static void sift_down(struct heap *heap, size_t i, struct heap_node *node)
{
    for (size_t child; (child = 2 * i + 1) < heap->n; i = child) {
        if (child + 1 < heap->n && less(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!less(heap->nodes[child], node)) {
            break;
        }
        put(heap, i, heap->nodes[child]);
    }
    put(heap, i, node);
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    check(node->place == 0);
    node->key = key;
    node->seq = heap->seq++;
    heap->nodes = mem_grow(heap->nodes, &heap->cap, heap->n + 1, sizeof *heap->nodes);
    sift_up(heap, heap->n++, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t i = node->place - 1;
    check(node->place > 0 && i < heap->n && heap->nodes[i] == node);
    struct heap_node *last = heap->nodes[--heap->n];
    node->place = 0;
    if (last != node) {
        if (i > 0 && less(last, heap->nodes[(i - 1) / 2])) {
            sift_up(heap, i, last);
        } else {
            sift_down(heap, i, last);
        }
    }
}

void heap_release(struct heap *heap)
{
    free(heap->nodes);
    heap_init(heap);
}
