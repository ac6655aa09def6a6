/* Memory that never fails, and checks that never go away.
 *
 * Allocation either succeeds or ends the process: a broker that is out of memory cannot keep its
 * promises, so what a client can make us hold is bounded *before* it is allocated (arena budgets,
 * frame limits), and everything else is small.
 *
 * Checks guard against our own bugs and stay on in release builds. They are never reachable from
 * input: bad input is an error value. */
#ifndef CHRONIK_BASE_MEM_H
#define CHRONIK_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The address of the struct that embeds `ptr` as its field `member`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define countof(array) (sizeof(array) / sizeof((array)[0]))

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* Ends the process with a message when `cond` is false. For bugs, never for input. */
#define check(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            check_failed(#cond, __FILE__, __LINE__);                                               \
        }                                                                                          \
    } while (0)

/* Says what failed on stderr, and aborts. */
_Noreturn void check_failed(const char *cond, const char *file, int line);

/* Uninitialised, zeroed, and resized memory; `_array` forms check the product for overflow.
 * The caller owns the result and releases it with free(). Zero bytes give a valid pointer. */
void *mem_alloc(size_t len);
void *mem_zalloc(size_t len);
void *mem_zalloc_array(size_t n, size_t size);
void *mem_realloc_array(void *ptr, size_t n, size_t size);

/* `len` bytes aligned to `align` (a power of two), for O_DIRECT. Released with free(). */
void *mem_alloc_aligned(size_t align, size_t len);

/* Copies of `len` bytes and of a C string. Released with free(). */
void *mem_dup(const void *data, size_t len);
char *mem_strdup(const char *s);

/* Makes room for `need` items in an array of `*cap` items of `size` bytes, at least doubling it;
 * updates `*cap` and returns the array, which may have moved. */
void *mem_grow(void *array, size_t *cap, size_t need, size_t size);

/* A formatted string. Released with free(). */
char *mem_sprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
