/* Every block has a header in front of it, which links it to those of the same owner. */
#include "memory.h"

#include <errno.h>

void *__real_malloc(size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
void __real_free(void *ptr);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t len);
int __wrap_posix_memalign(void **ret_ptr, size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
void __wrap_free(void *ptr);

struct block {
    struct list link;
    void *start; /* of what malloc() gave */
    size_t len;  /* of the user's bytes */
    struct memory *owner;
    uint64_t magic;
};

enum { HEADER = 48 };
#define MAGIC UINT64_C(0x5e1f0b10cc0ffee5)

_Static_assert(sizeof(struct block) <= HEADER && HEADER % 16 == 0, "blocks stay aligned");

static struct memory own = { { &own.blocks, &own.blocks }, 0 };
static struct memory *current = &own;

void memory_init(struct memory *memory)
{
    list_init(&memory->blocks);
    memory->n = 0;
}

struct memory *memory_enter(struct memory *memory)
{
    struct memory *was = current;
    current = memory != NULL ? memory : &own;
    return was;
}

static struct block *block_of(void *ptr)
{
    struct block *block = (struct block *)((char *)ptr - HEADER);
    if (block->magic != MAGIC) {
        abort(); /* freed twice, overwritten, or not from here */
    }
    return block;
}

static void *finish(void *start, size_t before, size_t len)
{
    if (start == NULL) {
        return NULL;
    }
    char *ptr = (char *)start + before;
    struct block *block = (struct block *)(ptr - HEADER);
    block->start = start;
    block->len = len;
    block->owner = current;
    block->magic = MAGIC;
    list_push_back(&current->blocks, &block->link);
    current->n++;
    return ptr;
}

void *__wrap_malloc(size_t len)
{
    return finish(__real_malloc(len + HEADER), HEADER, len);
}

void *__wrap_calloc(size_t n, size_t size)
{
    size_t len;
    if (__builtin_mul_overflow(n, size, &len)) {
        return NULL;
    }
    void *ptr = __wrap_malloc(len);
    return ptr ? memset(ptr, 0, len) : NULL;
}

void *__wrap_realloc(void *ptr, size_t len)
{
    void *to = __wrap_malloc(len);
    if (ptr != NULL && to != NULL) {
        size_t had = block_of(ptr)->len;
        memcpy(to, ptr, had < len ? had : len);
        __wrap_free(ptr);
    }
    return to;
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
    size_t before = align < HEADER ? HEADER : align; /* a multiple of `align` up to 16 */
    return finish(__real_aligned_alloc(align, round_up(before + len, align)), before, len);
}

int __wrap_posix_memalign(void **ret_ptr, size_t align, size_t len)
{
    void *ptr = __wrap_aligned_alloc(align, len);
    if (ptr == NULL) {
        return ENOMEM;
    }
    *ret_ptr = ptr;
    return 0;
}

void __wrap_free(void *ptr)
{
    if (ptr != NULL) {
        struct block *block = block_of(ptr);
        list_remove(&block->link);
        block->owner->n--;
        block->magic = 0;
        __real_free(block->start);
    }
}

void memory_drop(struct memory *memory)
{
    memory = memory != NULL ? memory : &own;
    for (struct list *link; (link = list_pop_front(&memory->blocks)) != NULL;) {
        struct block *block = container_of(link, struct block, link);
        block->magic = 0;
        __real_free(block->start);
    }
    memory->n = 0;
}
