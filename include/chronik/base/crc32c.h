/* CRC-32C (Castagnoli, RFC 3720), by ISA-L: the checksum of record batches and of our files. */
#ifndef CHRONIK_BASE_CRC32C_H
#define CHRONIK_BASE_CRC32C_H

#include <chronik/base/bytes.h>

/* The CRC of `len` bytes that follow bytes whose CRC is `crc` (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
