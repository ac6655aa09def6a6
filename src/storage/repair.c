/* Putting one flipped bit right.
 *
 * CRC-32C is linear: the CRC of damaged bytes differs from the right one by the CRC of the error
 * alone (without the initial and final inversion). For a single bit that is x^n mod P, n being its
 * distance from the end; all these differ for fewer than 2^31 bits. So the difference is run back,
 * bit by bit, until it is that of the last bit of the last byte: the number of steps tells the
 * place.
 *
 * A torn write has a random difference: it passes for a single bit once in 2^32 / bits, and then
 * still fails the CRC of the batch that lies there. */
#include "repair.h"

#include <chronik/base/crc32c.h>

enum { LEN_MAX = 1 << 28 };

/* Castagnoli's polynomial, reflected: the CRC of a single 1 bit that is the last one of all. */
static const uint32_t POLYNOMIAL = 0x82f63b78;

bool repair_bit(uint8_t *data, size_t len, uint32_t crc)
{
    uint32_t difference = crc32c(0, data, len) ^ crc;
    if (len > LEN_MAX || difference == 0) {
        return false;
    }
    /* In reflected order the bits of a byte go in lowest first: the last bit is the highest one of
     * the last byte, and leaves the polynomial itself behind. */
    for (uint64_t n = 0; n < (uint64_t)len * 8; n++) {
        if (difference == POLYNOMIAL) {
            data[len - 1 - n / 8] ^= (uint8_t)(0x80 >> n % 8);
            return crc32c(0, data, len) == crc;
        }
        /* One step back: undo shifting one zero bit in. */
        difference = difference & UINT32_C(0x80000000)
                         ? ((difference ^ POLYNOMIAL) << 1) | 1
                         : difference << 1;
    }
    return false;
}
