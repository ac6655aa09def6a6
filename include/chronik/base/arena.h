/* An arena: memory that is given back all at once.
 *
 * A request owns one; its decoded message, its reply and its scratch live there. A byte budget
 * bounds what a client's message can make us allocate: past it `arena_alloc` returns NULL, which a
 * decoder turns into an error. Memory comes in blocks; a small first block may be embedded. */
#ifndef CHRONIK_BASE_ARENA_H
#define CHRONIK_BASE_ARENA_H

#include <chronik/base/text.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    uint8_t *at, *end;          /* free part of the newest block */
    size_t used, budget;        /* bytes handed out, and the most that may be (0: no limit) */
};

void arena_init(struct arena *arena, size_t budget);

/* Gives everything back; the arena is empty and usable again, with the same budget.
 * `_reset` keeps one block for the next use, `_release` keeps nothing. */
void arena_reset(struct arena *arena);
void arena_release(struct arena *arena);

/* `len` bytes aligned to 8, or NULL when the budget does not allow them. `_zalloc` zeroes them.
 * `_array` checks the product; it too returns NULL rather than overflow. */
void *arena_alloc(struct arena *arena, size_t len);
void *arena_zalloc(struct arena *arena, size_t len);
void *arena_zalloc_array(struct arena *arena, size_t n, size_t size);

/* Copies into an arena without a budget (checked). `_text` copies without a terminator. */
void *arena_dup(struct arena *arena, const void *data, size_t len);
struct text arena_text(struct arena *arena, struct text t);
struct text arena_printf(struct arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
