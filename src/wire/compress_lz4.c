/* lz4 in its frame format (version 1.6), as narrow as Kafka's Java client reads it:
 *
 *   0 magic  0x184D2204, little-endian as everything here
 *   4 FLG    bits 7-6 version 01, 5 independent blocks, 4 block checksums, 3 content size,
 *            2 content checksum, 1 reserved, 0 dictionary
 *   5 BD     bits 6-4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
 *     content size  uint64, when flagged
 *     HC     second byte of the XXH32 of FLG up to here
 *     blocks: size uint32 (top bit: stored as it is), data, XXH32 of the data when flagged
 *     end    uint32 0, then the XXH32 of the content when flagged
 *
 * The frame is walked here, not by liblz4's frame functions: those take linked blocks and empty
 * blocks, which no Java consumer can read, and buffer a block inside. Stricter than Java: content
 * size and content checksum must fit (other consumers check them), and nothing may follow the end.
 * The wrong header checksum of clients from before Kafka 0.10 belongs to magic 0 and is refused. */
#include "compress_codecs.h"

#include <errno.h>
#include <lz4.h>
#include <lz4frame.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    LZ4_MAGIC = 0x184D2204,
    LZ4_RATIO_MAX = 255, /* a length byte stands for 255 bytes at most */
};

static const uint32_t STORED = UINT32_C(1) << 31;

struct lz4_frame {
    bool block_checksum, has_size, content_checksum;
    size_t block_max; /* bytes */
    uint64_t size;    /* when has_size */
};

/* A reader that stops at the end rather than beyond it. */
struct reader {
    const uint8_t *at, *end;
};

static bool take_le32(struct reader *r, uint32_t *ret_n)
{
    if (r->end - r->at < 4) {
        return false;
    }
    *ret_n = load_le32(r->at);
    r->at += 4;
    return true;
}

static bool read_header(struct reader *r, struct lz4_frame *f)
{
    uint32_t magic;
    if (!take_le32(r, &magic) || magic != LZ4_MAGIC || r->end - r->at < 3) {
        return false;
    }
    const uint8_t *descriptor = r->at;
    uint8_t flg = descriptor[0], bd = descriptor[1];
    r->at += 2;
    if ((flg & 0xe3) != 0x60 || (bd & 0x8f) != 0 || bd >> 4 < 4) {
        return false;
    }
    *f = (struct lz4_frame){ .block_checksum = flg & 0x10,
                             .has_size = flg & 0x08,
                             .content_checksum = flg & 0x04,
                             .block_max = (size_t)1 << (8 + 2 * (bd >> 4)) };
    if (f->has_size) {
        if (r->end - r->at < 9) {
            return false;
        }
        f->size = load_le64(r->at);
        r->at += 8;
    }
    uint32_t hash = XXH32(descriptor, (size_t)(r->at - descriptor), 0);
    return *r->at++ == (uint8_t)(hash >> 8);
}

static bool open_block(const struct lz4_frame *f, struct bytes block, bool stored, struct buf *out)
{
    if (stored) {
        buf_put(out, block.data, block.len);
        return true;
    }
    size_t room = min_u64(f->block_max, block.len * LZ4_RATIO_MAX);
    int len = LZ4_decompress_safe((const char *)block.data, buf_reserve(out, room),
                                  (int)block.len, (int)room);
    if (len <= 0) {
        return false;
    }
    out->len += (size_t)len;
    return true;
}

/* Reads one block, or the end mark: then `*ret_last`. */
static bool read_block(const struct lz4_frame *f, struct reader *r, struct buf *out,
                       bool *ret_last)
{
    uint32_t word, hash;
    if (!take_le32(r, &word)) {
        return false;
    }
    *ret_last = word == 0;
    if (word == 0) {
        return true;
    }
    size_t len = word & ~STORED;
    if (len == 0 || len > f->block_max || len > (size_t)(r->end - r->at)) {
        return false;
    }
    struct bytes block = bytes_of(r->at, len);
    r->at += len;
    if (f->block_checksum && (!take_le32(r, &hash) || hash != XXH32(block.data, len, 0))) {
        return false;
    }
    return open_block(f, block, word & STORED, out);
}

int lz4_decompress(struct bytes in, size_t max, struct codec_scratch *s)
{
    struct reader r = { .at = in.data, .end = in.data + in.len };
    struct lz4_frame f;
    struct buf *out = &s->out;
    if (!read_header(&r, &f)) {
        return -EINVAL;
    }
    for (bool last = false; !last;) {
        if (!read_block(&f, &r, out, &last)) {
            return -EINVAL;
        }
        if (out->len > max) {
            return -EFBIG; /* by one block at most */
        }
    }
    uint32_t hash;
    if (f.content_checksum &&
        (!take_le32(&r, &hash) || hash != XXH32(out->data, out->len, 0))) {
        return -EINVAL;
    }
    return r.at == r.end && (!f.has_size || f.size == out->len) ? 0 : -EINVAL;
}

/* Kafka's default level 9 means the fast compressor, as in Java. */
void lz4_compress(int level, struct bytes in, struct buf *out)
{
    const LZ4F_preferences_t preferences = {
        .frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
        .compressionLevel = level == 9 ? 0 : level,
    };
    size_t room = LZ4F_compressFrameBound(in.len, &preferences);
    void *to = buf_reserve(out, room);
    size_t len = LZ4F_compressFrame(to, room, in.data, in.len, &preferences);
    check(!LZ4F_isError(len));
    out->len += len;
}
