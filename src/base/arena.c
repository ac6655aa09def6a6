/* The arena: a chain of blocks, each twice the one before, up to 64 KiB; larger pieces get a block
 * of their own behind the newest one, so that its free part is not lost. */
#include <chronik/base/arena.h>

#include <stdarg.h>
#include <stdio.h>

struct arena_block {
    struct arena_block *next;
    size_t len; /* of `data`, bytes */
    _Alignas(16) uint8_t data[];
};

enum { BLOCK_MIN = 1024 - sizeof(struct arena_block), BLOCK_MAX = 64 * 1024 };

void arena_init(struct arena *arena, size_t budget)
{
    *arena = (struct arena){ .budget = budget };
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    arena->at = block->data;
    arena->end = block->data + block->len;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    if (keep == NULL) {
        arena->used = 0;
        return;
    }
    for (struct arena_block *b = keep->next, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    keep->next = NULL;
    use_block(arena, keep);
    arena->used = 0;
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *b = arena->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *arena = (struct arena){ .budget = arena->budget };
}

static struct arena_block *new_block(size_t len)
{
    struct arena_block *block = mem_alloc(sizeof *block + len);
    block->len = len;
    return block;
}

static void *alloc_slow(struct arena *arena, size_t len)
{
    size_t size = arena->blocks ? arena->blocks->len * 2 : BLOCK_MIN;
    size = size > BLOCK_MAX ? BLOCK_MAX : size;

    if (len > size / 2 && arena->blocks != NULL) {
        struct arena_block *own = new_block(len);
        own->next = arena->blocks->next;
        arena->blocks->next = own;
        return own->data;
    }
    struct arena_block *block = new_block(len > size ? len : size);
    block->next = arena->blocks;
    arena->blocks = block;
    use_block(arena, block);
    arena->at += len;
    return block->data;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    if (len > SIZE_MAX / 2) {
        return NULL;
    }
    len = len == 0 ? 8 : (len + 7) & ~(size_t)7;
    if (arena->budget != 0 && len > arena->budget - arena->used) {
        return NULL;
    }
    arena->used += len;
    if (len <= (size_t)(arena->end - arena->at)) {
        void *ptr = arena->at;
        arena->at += len;
        return ptr;
    }
    return alloc_slow(arena, len);
}

void *arena_zalloc(struct arena *arena, size_t len)
{
    void *ptr = arena_alloc(arena, len);
    if (ptr != NULL) {
        memset(ptr, 0, len);
    }
    return ptr;
}

void *arena_zalloc_array(struct arena *arena, size_t n, size_t size)
{
    size_t len;
    return __builtin_mul_overflow(n, size, &len) ? NULL : arena_zalloc(arena, len);
}

void *arena_dup(struct arena *arena, const void *data, size_t len)
{
    void *copy = arena_alloc(arena, len);
    check(copy != NULL);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

struct text arena_text(struct arena *arena, struct text t)
{
    return t.data == NULL ? t : text_part(arena_dup(arena, t.data, t.len), t.len);
}

struct text arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    check(len >= 0);
    char *s = arena_alloc(arena, (size_t)len + 1);
    check(s != NULL);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text_part(s, (size_t)len);
}
