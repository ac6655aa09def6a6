/* gzip (RFC 1952), by zlib.
 *
 * Several members may follow each other, and count as one stream: Java's GZIPInputStream reads them
 * so. Whatever else stands behind a member is refused, where Java ignores it. zlib checks header,
 * CRC-32 and length of each member. */
#include "compress_codecs.h"

#include <errno.h>
#include <zlib.h>

enum {
    GZIP_WRAPPER = 16 + MAX_WBITS,
    LEN_MAX = 1 << 30, /* zlib counts in 32 bits */
};

/* Room is made in steps: gzip does not say in front how much there will be. One byte more than
 * `max` is let out, so that "too much" shows. */
static int inflate_members(z_stream *z, size_t in_len, size_t max, struct buf *out)
{
    const size_t step = max_u64(in_len * 4, KIB(16));
    for (;;) {
        size_t room = min_u64(step, max + 1 - out->len);
        z->next_out = buf_reserve(out, room);
        z->avail_out = (uInt)room;
        int rc = inflate(z, Z_NO_FLUSH);
        out->len += room - z->avail_out;
        if (out->len > max) {
            return -EFBIG;
        }
        if (rc == Z_STREAM_END && z->avail_in == 0) {
            return 0;
        }
        if (rc == Z_STREAM_END) {
            check(inflateReset(z) == Z_OK);
        } else if (rc != Z_OK) {
            return -EINVAL; /* Z_BUF_ERROR too: it wants input, and there is none */
        }
    }
}

int gzip_decompress(struct bytes in, size_t max, struct codec_scratch *s)
{
    if (in.len > LEN_MAX) {
        return -EFBIG;
    }
    max = min_u64(max, LEN_MAX);
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in.data, .avail_in = (uInt)in.len };
    check(inflateInit2(&z, GZIP_WRAPPER) == Z_OK);
    int rc = inflate_members(&z, in.len, max, &s->out);
    inflateEnd(&z);
    return rc;
}

void gzip_compress(int level, struct bytes in, struct buf *out)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in.data, .avail_in = (uInt)in.len };
    level = level < Z_BEST_SPEED       ? Z_DEFAULT_COMPRESSION
            : level > Z_BEST_COMPRESSION ? Z_BEST_COMPRESSION
                                         : level;
    check(in.len <= LEN_MAX);
    check(deflateInit2(&z, level, Z_DEFLATED, GZIP_WRAPPER, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t room = deflateBound(&z, in.len);
    z.next_out = buf_reserve(out, room);
    z.avail_out = (uInt)room;
    check(deflate(&z, Z_FINISH) == Z_STREAM_END);
    out->len += room - z.avail_out;
    deflateEnd(&z);
}
