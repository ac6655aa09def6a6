/* The table of codecs.
 *
 * Each codec has a file of its own; here is only the choice, and the codec that does nothing. What
 * can go wrong is in the input alone: damaged, cut short, larger than allowed. */
#include "compress_codecs.h"

#include <errno.h>

static int none_decompress(struct bytes in, size_t max, struct buf *out)
{
    if (in.len > max) {
        return -EFBIG;
    }
    buf_put(out, in.data, in.len);
    return 0;
}

static void none_compress(int level, struct bytes in, struct buf *out)
{
    (void)level;
    buf_put(out, in.data, in.len);
}

static const struct {
    const char *name;
    int (*decompress)(struct bytes in, size_t max, struct buf *out);
    void (*compress)(int level, struct bytes in, struct buf *out);
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = { "none", none_decompress, none_compress },
    [CODEC_GZIP] = { "gzip", gzip_decompress, gzip_compress },
    [CODEC_SNAPPY] = { "snappy", snappy_decompress, snappy_compress_framed },
    [CODEC_LZ4] = { "lz4", lz4_decompress, lz4_compress },
    [CODEC_ZSTD] = { "zstd", zstd_decompress, zstd_compress },
};

const char *codec_name(enum codec codec)
{
    return codec < CODEC_COUNT ? codecs[codec].name : "unknown";
}

int codec_decompress(enum codec codec, struct bytes in, size_t max, struct buf *out)
{
    check(codec < CODEC_COUNT);
    return codecs[codec].decompress(in, max, out);
}

void codec_compress(enum codec codec, int level, struct bytes in, struct buf *out)
{
    check(codec < CODEC_COUNT);
    codecs[codec].compress(level, in, out);
}
