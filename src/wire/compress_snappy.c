/* Snappy, raw and in the framing of xerial's snappy-java, which Java clients write:
 *
 *   0 magic    0x82 "SNAPPY" 0x00
 *   8 version  int32  1
 *  12 compatible from  int32  1
 *  16 blocks   each: length int32, raw snappy of at most 32 KiB (as Java writes it)
 *
 * librdkafka and others write raw snappy: no frame, one block. A block begins with its length, so
 * the cap is checked before room is made, and so is whether the input can hold that much at all. */
#include "compress_codecs.h"

#include <errno.h>
#include <snappy-c.h>

enum { XERIAL_HEADER = 16, XERIAL_BLOCK = 32 * 1024 };

static const uint8_t XERIAL[XERIAL_HEADER] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                               0,    0,   0,   1,   0,   0,   0,   1 };

/* The densest element is a copy of 64 bytes in three. */
enum { SNAPPY_RATIO_MAX = 22 };

static int block_decompress(struct bytes in, size_t max, struct buf *out)
{
    size_t len;
    if (snappy_uncompressed_length((const char *)in.data, in.len, &len) != SNAPPY_OK ||
        len > in.len * SNAPPY_RATIO_MAX) {
        return -EINVAL;
    }
    if (len > max) {
        return -EFBIG;
    }
    char *to = buf_reserve(out, len);
    if (snappy_uncompress((const char *)in.data, in.len, to, &len) != SNAPPY_OK) {
        return -EINVAL;
    }
    out->len += len;
    return 0;
}

int snappy_decompress(struct bytes in, size_t max, struct codec_scratch *s)
{
    if (in.len < 8 || memcmp(in.data, XERIAL, 8) != 0) {
        return block_decompress(in, max, &s->out);
    }
    if (in.len < XERIAL_HEADER || memcmp(in.data, XERIAL, XERIAL_HEADER) != 0) {
        return -EINVAL;
    }
    for (size_t at = XERIAL_HEADER; at < in.len;) {
        if (in.len - at < 4) {
            return -EINVAL;
        }
        size_t len = load_be32(in.data + at);
        at += 4;
        if (len > in.len - at) {
            return -EINVAL;
        }
        int rc = block_decompress(bytes_part(in, at, len), max - s->out.len, &s->out);
        if (rc < 0) {
            return rc;
        }
        at += len;
    }
    return 0;
}

void snappy_compress_framed(int level, struct bytes in, struct buf *out)
{
    (void)level;
    buf_put(out, XERIAL, XERIAL_HEADER);
    for (size_t at = 0; at < in.len;) {
        size_t part = min_u64(in.len - at, XERIAL_BLOCK);
        size_t len = snappy_max_compressed_length(part);
        uint8_t *to = buf_reserve(out, 4 + len);
        check(snappy_compress((const char *)in.data + at, part, (char *)to + 4, &len) ==
              SNAPPY_OK);
        store_be32(to, (uint32_t)len);
        out->len += 4 + len;
        at += part;
    }
}
