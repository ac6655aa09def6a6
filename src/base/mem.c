/* Allocation that ends the process instead of failing, and the failure of a check. */
#include <chronik/base/mem.h>

#include <stdarg.h>
#include <stdio.h>

_Noreturn void check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "chronikd: bug: check failed: %s (%s:%d); please report it with this line\n",
            cond, file, line);
    abort();
}

static void *or_die(void *ptr)
{
    if (ptr == NULL) {
        fprintf(stderr, "chronikd: out of memory; give the process more, or lower "
                        "chronik.memory.bytes\n");
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t len)
{
    return or_die(malloc(len ? len : 1));
}

void *mem_zalloc(size_t len)
{
    return or_die(calloc(1, len ? len : 1));
}

void *mem_zalloc_array(size_t n, size_t size)
{
    check(size > 0);
    return or_die(calloc(n ? n : 1, size));
}

void *mem_realloc_array(void *ptr, size_t n, size_t size)
{
    check(size > 0 && n <= SIZE_MAX / size);
    return or_die(realloc(ptr, n ? n * size : 1));
}

void *mem_alloc_aligned(size_t align, size_t len)
{
    void *ptr = NULL;
    check(align >= sizeof(void *) && (align & (align - 1)) == 0);
    return or_die(posix_memalign(&ptr, align, len ? len : align) == 0 ? ptr : NULL);
}

void *mem_dup(const void *data, size_t len)
{
    void *copy = mem_alloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

void *mem_grow(void *array, size_t *cap, size_t need, size_t size)
{
    size_t n = *cap;
    if (need <= n) {
        return array;
    }
    check(need <= SIZE_MAX / 2);
    n = n < 8 ? 8 : n * 2;
    n = n < need ? need : n;
    *cap = n;
    return mem_realloc_array(array, n, size);
}

char *mem_sprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    check(len >= 0);
    char *s = mem_alloc((size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return s;
}
