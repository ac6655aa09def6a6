/* Putting one flipped bit right, by the CRC-32C of the bytes it is in. */
#ifndef CHRONIK_STORAGE_REPAIR_H
#define CHRONIK_STORAGE_REPAIR_H

#include <chronik/base/bytes.h>

/* If exactly one bit of the bytes is wrong (their CRC should be `crc`), flips it back and returns
 * true. Up to 2^28 bytes; longer ones are left alone. */
bool repair_bit(uint8_t *data, size_t len, uint32_t crc);

#endif
