/* CRC-32C: ISA-L's kernel, which takes the bit-inverted state and an int length. */
#include <chronik/base/crc32c.h>

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *at = data;
    crc = ~crc;
    while (len > 0) {
        size_t part = len > (1 << 30) ? (1 << 30) : len;
        crc = crc32_iscsi((unsigned char *)at, (int)part, crc);
        at += part;
        len -= part;
    }
    return ~crc;
}
