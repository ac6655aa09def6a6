/* The codecs of record batches behind one pair of functions (gzip, snappy raw and in xerial's
 * framing, lz4 frames, zstd), with caps on what comes out and on what a decoder may allocate. */
#ifndef CHRONIK_WIRE_COMPRESS_H
#define CHRONIK_WIRE_COMPRESS_H

#include <chronik/base/bytes.h>

enum codec {
    CODEC_NONE,
    CODEC_GZIP,
    CODEC_SNAPPY,
    CODEC_LZ4,
    CODEC_ZSTD,
    CODEC_COUNT, /* numbers from here on are unknown */
};

const char *codec_name(enum codec codec);

/* What decompression needs, kept from one call to the next to be quick: room for the output, and
 * zstd's context (making one takes 8 us on a virtual machine, 60 times what a small batch takes).
 * Zero-initialised is valid; one per thread. */
struct codec_scratch {
    struct buf out;
    struct ZSTD_DCtx_s *zstd;
};

void codec_scratch_release(struct codec_scratch *scratch);

/* Decompresses; `*ret_out` lies in `scratch` until its next use, or is `in` itself for CODEC_NONE.
 * 0; -EINVAL when the input is damaged, incomplete or has bytes behind its end; -EFBIG when more
 * than `max` bytes would come out, or its window is larger than allowed. */
int codec_decompress(enum codec codec, struct bytes in, size_t max,
                     struct codec_scratch *scratch, struct bytes *ret_out);

/* Appends the compressed bytes. Cannot fail. `level` 0 is the codec's default, else as in Kafka's
 * compression.{gzip,lz4,zstd}.level, limited to what the codec knows. Snappy has no levels and is
 * written in xerial's framing, as Java clients do. */
void codec_compress(enum codec codec, int level, struct bytes in, struct buf *out);

#endif
