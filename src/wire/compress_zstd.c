/* zstd (RFC 8878): one or several frames, skippable ones among them. A frame whose window spans its
 * content, as with every batch of usual size, is decoded in one call straight into the output; only
 * a smaller window costs memory, and never more than the content.
 *
 * Java's producer streams and does not say how large the content is. So the frames are measured
 * first, from their headers and the headers of their blocks:
 *
 *   0 magic       uint32 LE 0xFD2FB528 (skippable: 0x184D2A50 to 5F, then a uint32 length)
 *   4 descriptor  bits 7-6 size of the content size field, 5 single segment, 3 reserved,
 *                 2 checksum, 1-0 size of the dictionary id
 *     window      uint8, unless single segment: 2^(10 + bits 7-3) * (1 + bits 2-0 / 8)
 *     dictionary id, content size
 *     blocks      3 bytes LE: bit 0 last, bits 2-1 type (stored, run, compressed), then the size
 *     checksum    uint32, when flagged
 *
 * A block gives 128 KiB at most, so room is made for what the input can hold, whatever a header
 * claims. Windows above 2^27 bytes are refused: no consumer accepts them by default. */
#include "compress_codecs.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    FRAME_MAGIC = (int)0xFD2FB528,
    SKIPPABLE_MAGIC = 0x184D2A50, /* the low four bits are free */
    BLOCK_MAX = 128 * 1024,
};

static const uint64_t WINDOW_MAX = UINT64_C(1) << 27;
static const uint64_t SIZE_UNKNOWN = UINT64_MAX;

struct reader {
    const uint8_t *at, *end;
};

static bool skip(struct reader *r, size_t len)
{
    if ((size_t)(r->end - r->at) < len) {
        return false;
    }
    r->at += len;
    return true;
}

/* A little-endian number of 0 to 8 bytes. */
static bool take(struct reader *r, size_t len, uint64_t *ret_n)
{
    uint64_t n = 0;
    const uint8_t *from = r->at;
    if (!skip(r, len)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        n |= (uint64_t)from[i] << (8 * i);
    }
    *ret_n = n;
    return true;
}

/* Behind the magic: window, content size (or SIZE_UNKNOWN), whether a checksum ends the frame. */
static bool read_frame_header(struct reader *r, uint64_t *ret_window, uint64_t *ret_size,
                              bool *ret_checksum)
{
    static const uint8_t ID_LEN[] = { 0, 1, 2, 4 }, SIZE_LEN[] = { 0, 2, 4, 8 };
    uint64_t descriptor, window = 0, id, size;
    if (!take(r, 1, &descriptor) || (descriptor & 0x08) != 0) {
        return false;
    }
    bool single = descriptor & 0x20;
    if (!single) {
        if (!take(r, 1, &window)) {
            return false;
        }
        uint64_t base = UINT64_C(1) << (10 + (window >> 3));
        window = base + base / 8 * (window & 7);
    }
    size_t size_len = SIZE_LEN[descriptor >> 6];
    if (size_len == 0 && single) {
        size_len = 1;
    }
    if (!take(r, ID_LEN[descriptor & 3], &id) || !take(r, size_len, &size)) {
        return false;
    }
    if (size_len == 2) {
        size += 256;
    }
    *ret_size = size_len == 0 ? SIZE_UNKNOWN : size;
    *ret_window = single ? size : window;
    *ret_checksum = descriptor & 0x04;
    return true;
}

/* The most that the blocks can hold. */
static bool measure_blocks(struct reader *r, uint64_t *ret_most)
{
    uint64_t most = 0, head = 0;
    while ((head & 1) == 0) {
        if (!take(r, 3, &head)) {
            return false;
        }
        uint64_t type = head >> 1 & 3, len = head >> 3;
        if (type == 3 || len > BLOCK_MAX || !skip(r, type == 1 ? 1 : len)) {
            return false;
        }
        most += type == 2 ? BLOCK_MAX : len;
    }
    *ret_most = most;
    return true;
}

struct frame {
    struct bytes raw;
    bool skippable;
    uint64_t window, most; /* bytes: what it asks for, what it can hold */
};

/* Cuts the frame at `r` off. */
static int measure_frame(struct reader *r, struct frame *ret)
{
    uint64_t magic, size, blocks;
    bool checksum;
    struct frame f = { .raw.data = r->at };
    if (!take(r, 4, &magic)) {
        return -EINVAL;
    }
    if ((magic & ~UINT64_C(15)) == SKIPPABLE_MAGIC) {
        f.skippable = true;
        *ret = f;
        return take(r, 4, &size) && skip(r, size) ? 0 : -EINVAL;
    }
    if (magic != (uint32_t)FRAME_MAGIC || !read_frame_header(r, &f.window, &size, &checksum) ||
        !measure_blocks(r, &blocks) || (checksum && !skip(r, 4))) {
        return -EINVAL;
    }
    if (size != SIZE_UNKNOWN && size > blocks) {
        return -EINVAL; /* it claims more than it can hold */
    }
    f.most = size != SIZE_UNKNOWN ? size : blocks;
    f.raw.len = (size_t)(r->at - f.raw.data);
    *ret = f;
    return f.window > WINDOW_MAX ? -EFBIG : 0;
}

/* The window spans all there is: it need not exist. */
static int decode_at_once(const struct frame *f, size_t max, struct codec_scratch *s)
{
    size_t room = min_u64(f->most, max - s->out.len);
    size_t len = ZSTD_decompressDCtx(s->zstd, buf_reserve(&s->out, room), room, f->raw.data,
                                     f->raw.len);
    if (ZSTD_isError(len)) {
        bool full = ZSTD_getErrorCode(len) == ZSTD_error_dstSize_tooSmall;
        return full && room < f->most ? -EFBIG : -EINVAL;
    }
    s->out.len += len;
    return 0;
}

/* The window is smaller than the content, and nothing may reach back beyond it: decoding at once
 * would let that pass, where a consumer that streams fails. The steps are no larger than the
 * window, else the library decodes at once by itself. */
static int decode_in_steps(const struct frame *f, size_t max, struct codec_scratch *s)
{
    ZSTD_inBuffer in = { .src = f->raw.data, .size = f->raw.len };
    size_t left = 1;
    while (left > 0) {
        size_t room = min_u64(f->window, max + 1 - s->out.len);
        ZSTD_outBuffer out = { .dst = buf_reserve(&s->out, room), .size = room };
        left = ZSTD_decompressStream(s->zstd, &out, &in);
        s->out.len += out.pos;
        if (s->out.len > max) {
            return -EFBIG;
        }
        if (ZSTD_isError(left) || (left > 0 && in.pos == in.size && out.pos < room)) {
            return -EINVAL;
        }
    }
    return 0;
}

static int decode_frame(const struct frame *f, size_t max, struct codec_scratch *s)
{
    if (f->window >= f->most) {
        return decode_at_once(f, max, s);
    }
    ZSTD_DCtx_reset(s->zstd, ZSTD_reset_session_only);
    int rc = decode_in_steps(f, max, s);
    ZSTD_freeDCtx(s->zstd); /* its window is not worth keeping */
    s->zstd = NULL;
    return rc;
}

int zstd_decompress(struct bytes in, size_t max, struct codec_scratch *s)
{
    struct reader r = { .at = in.data, .end = in.data + in.len };
    if (in.len == 0) {
        return -EINVAL;
    }
    while (r.at < r.end) {
        struct frame frame;
        int rc = measure_frame(&r, &frame);
        if (rc < 0) {
            return rc;
        }
        if (s->zstd == NULL) {
            s->zstd = ZSTD_createDCtx();
            check(s->zstd != NULL);
        }
        rc = frame.skippable ? 0 : decode_frame(&frame, max, s);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void zstd_compress(int level, struct bytes in, struct buf *out)
{
    size_t room = ZSTD_compressBound(in.len);
    void *to = buf_reserve(out, room);
    size_t len = ZSTD_compress(to, room, in.data, in.len, level);
    check(!ZSTD_isError(len));
    out->len += len;
}
