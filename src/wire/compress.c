/* The table of codecs.
 *
 * Each codec has a file of its own; here is only the choice, and the codec that does nothing. What
 * can go wrong is in the input alone: damaged, cut short, larger than allowed. */
#include "compress_codecs.h"

#include <errno.h>
#include <zstd.h>

enum { KEPT_MAX = 1 << 20 }; /* bytes of output room that are kept for the next call */

static void none_compress(int level, struct bytes in, struct buf *out)
{
    (void)level;
    buf_put(out, in.data, in.len);
}

static const struct {
    const char *name;
    int (*decompress)(struct bytes in, size_t max, struct codec_scratch *s);
    void (*compress)(int level, struct bytes in, struct buf *out);
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = { "none", NULL, none_compress },
    [CODEC_GZIP] = { "gzip", gzip_decompress, gzip_compress },
    [CODEC_SNAPPY] = { "snappy", snappy_decompress, snappy_compress_framed },
    [CODEC_LZ4] = { "lz4", lz4_decompress, lz4_compress },
    [CODEC_ZSTD] = { "zstd", zstd_decompress, zstd_compress },
};

const char *codec_name(enum codec codec)
{
    return codec < CODEC_COUNT ? codecs[codec].name : "unknown";
}

void codec_scratch_release(struct codec_scratch *scratch)
{
    buf_release(&scratch->out);
    ZSTD_freeDCtx(scratch->zstd);
    *scratch = (struct codec_scratch){ 0 };
}

int codec_decompress(enum codec codec, struct bytes in, size_t max, struct codec_scratch *scratch,
                     struct bytes *ret_out)
{
    check(codec < CODEC_COUNT);
    if (codec == CODEC_NONE) {
        *ret_out = in;
        return in.len <= max ? 0 : -EFBIG;
    }
    if (scratch->out.cap > KEPT_MAX) {
        buf_release(&scratch->out);
    }
    buf_clear(&scratch->out);
    int rc = codecs[codec].decompress(in, max, scratch);
    if (rc == 0) {
        buf_reserve(&scratch->out, 0); /* no bytes are still not a null */
        *ret_out = buf_bytes(&scratch->out);
    }
    return rc;
}

void codec_compress(enum codec codec, int level, struct bytes in, struct buf *out)
{
    check(codec < CODEC_COUNT);
    codecs[codec].compress(level, in, out);
}
