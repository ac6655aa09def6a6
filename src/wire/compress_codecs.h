/* Inside src/wire only: one pair of functions per codec, behind the table in compress.c.
 *
 * Decompression appends to `s->out`, which is empty; it never makes room for much more than `max`
 * bytes, nor for more than the input could possibly hold. */
#ifndef CHRONIK_WIRE_COMPRESS_CODECS_H
#define CHRONIK_WIRE_COMPRESS_CODECS_H

#include <chronik/wire/compress.h>

int gzip_decompress(struct bytes in, size_t max, struct codec_scratch *s);
void gzip_compress(int level, struct bytes in, struct buf *out);

int snappy_decompress(struct bytes in, size_t max, struct codec_scratch *s);
void snappy_compress_framed(int level, struct bytes in, struct buf *out);

int lz4_decompress(struct bytes in, size_t max, struct codec_scratch *s);
void lz4_compress(int level, struct bytes in, struct buf *out);

int zstd_decompress(struct bytes in, size_t max, struct codec_scratch *s);
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
