/* The growing buffer. */
#include <chronik/base/bytes.h>

#include <stdarg.h>
#include <stdio.h>

void *buf_reserve(struct buf *buf, size_t len)
{
    check(len <= SIZE_MAX / 4 - buf->len);
    buf->data = mem_grow(buf->data, &buf->cap, max_u64(buf->len + len, 1), 1);
    return buf->data + buf->len;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(buf_reserve(buf, len), data, len);
        buf->len += len;
    }
}

void buf_put_u8(struct buf *buf, uint8_t n)
{
    *(uint8_t *)buf_reserve(buf, 1) = n;
    buf->len += 1;
}

void buf_put_be16(struct buf *buf, uint16_t n)
{
    store_be16(buf_reserve(buf, 2), n);
    buf->len += 2;
}

void buf_put_be32(struct buf *buf, uint32_t n)
{
    store_be32(buf_reserve(buf, 4), n);
    buf->len += 4;
}

void buf_put_be64(struct buf *buf, uint64_t n)
{
    store_be64(buf_reserve(buf, 8), n);
    buf->len += 8;
}

void buf_put_zeros(struct buf *buf, size_t len)
{
    memset(buf_reserve(buf, len), 0, len);
    buf->len += len;
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    check(len >= 0);
    va_start(ap, fmt);
    vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, fmt, ap);
    va_end(ap);
    buf->len += (size_t)len;
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ 0 };
}
