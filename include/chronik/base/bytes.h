/* Views of bytes, big-endian numbers, and a buffer that grows.
 *
 * `struct bytes` owns nothing: whoever hands one out says how long it stays valid. A null view
 * (`data == NULL`) differs from an empty one, as in the Kafka protocol. */
#ifndef CHRONIK_BASE_BYTES_H
#define CHRONIK_BASE_BYTES_H

#include <chronik/base/mem.h>

struct bytes {
    const uint8_t *data; /* NULL: no value at all */
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){ .data = data, .len = len };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The part of `b` from `at` on, `len` bytes long. The caller has checked that it lies inside. */
static inline struct bytes bytes_part(struct bytes b, size_t at, size_t len)
{
    check(at <= b.len && len <= b.len - at);
    return bytes_of(b.data + at, len);
}

/* Big-endian numbers at any address: the byte order of the Kafka protocol and of every file. */
static inline uint16_t load_be16(const void *at)
{
    uint16_t n;
    memcpy(&n, at, sizeof n);
    return __builtin_bswap16(n);
}

static inline uint32_t load_be32(const void *at)
{
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return __builtin_bswap32(n);
}

static inline uint64_t load_be64(const void *at)
{
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return __builtin_bswap64(n);
}

static inline void store_be16(void *at, uint16_t n)
{
    n = __builtin_bswap16(n);
    memcpy(at, &n, sizeof n);
}

static inline void store_be32(void *at, uint32_t n)
{
    n = __builtin_bswap32(n);
    memcpy(at, &n, sizeof n);
}

static inline void store_be64(void *at, uint64_t n)
{
    n = __builtin_bswap64(n);
    memcpy(at, &n, sizeof n);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_be* assume a little-endian CPU");

/* A growing buffer that owns its bytes. Zero-initialised is empty and valid. */
struct buf {
    uint8_t *data;
    size_t len, cap; /* bytes */
};

/* Makes room for `len` more bytes and returns where they go, never NULL; `buf->len` is not
 * moved. */
void *buf_reserve(struct buf *buf, size_t len);

/* Appends; the numbers are big-endian. */
void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_u8(struct buf *buf, uint8_t n);
void buf_put_be16(struct buf *buf, uint16_t n);
void buf_put_be32(struct buf *buf, uint32_t n);
void buf_put_be64(struct buf *buf, uint64_t n);
void buf_put_zeros(struct buf *buf, size_t len);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->len);
}

/* Empties without giving the memory back; `_release` gives it back and leaves an empty buffer. */
static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_release(struct buf *buf);

#endif
