/* Inside src/wire only: one pair of functions per codec, behind the table in compress.c.
 *
 * All of them append to `out`, keep no state between calls, and never make room for more than about
 * `max` bytes nor for more than the input could possibly hold. */
#ifndef CHRONIK_WIRE_COMPRESS_CODECS_H
#define CHRONIK_WIRE_COMPRESS_CODECS_H

#include <chronik/wire/compress.h>

int gzip_decompress(struct bytes in, size_t max, struct buf *out);
void gzip_compress(int level, struct bytes in, struct buf *out);

int snappy_decompress(struct bytes in, size_t max, struct buf *out);
void snappy_compress_framed(int level, struct bytes in, struct buf *out);

int lz4_decompress(struct bytes in, size_t max, struct buf *out);
void lz4_compress(int level, struct bytes in, struct buf *out);

int zstd_decompress(struct bytes in, size_t max, struct buf *out);
void zstd_compress(int level, struct bytes in, struct buf *out);

/* Little-endian numbers, as in the frames of lz4 and zstd. */
static inline uint32_t load_le32(const void *at)
{
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

static inline uint64_t load_le64(const void *at)
{
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

#endif
