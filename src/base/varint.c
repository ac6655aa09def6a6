/* Variable-length integers. */
#include <chronik/base/varint.h>

bool varint_get_u64(const uint8_t **at, const uint8_t *end, uint64_t *ret_n)
{
    const uint8_t *p = *at;
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == end) {
            return false;
        }
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *at = p;
            *ret_n = n;
            return true;
        }
    }
    return false;
}

bool varint_get_u32(const uint8_t **at, const uint8_t *end, uint32_t *ret_n)
{
    const uint8_t *p = *at;
    const uint8_t *stop = end - p > VARINT32_MAX ? p + VARINT32_MAX : end;
    uint64_t n;
    if (!varint_get_u64(&p, stop, &n) || n > UINT32_MAX) {
        return false;
    }
    *at = p;
    *ret_n = (uint32_t)n;
    return true;
}

size_t varint_put_u64(uint8_t *at, uint64_t n)
{
    size_t len = 0;
    while (n >= 0x80) {
        at[len++] = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    at[len++] = (uint8_t)n;
    return len;
}
