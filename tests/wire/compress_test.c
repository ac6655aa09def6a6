/* The codecs: round trips, damage, caps, and the details of each frame that readers disagree on. */
#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/wire/compress.h>

#include <errno.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#pragma GCC diagnostic ignored "-Warray-bounds" /* gcc 12 is wrong about XXH32_update() */

enum { PLENTY = 32 << 20 };

/* Decompresses and gives the length, or the error. */
static int64_t length_of(enum codec codec, struct bytes in, size_t max)
{
    struct codec_scratch scratch = { 0 };
    struct bytes out;
    int rc = codec_decompress(codec, in, max, &scratch, &out);
    int64_t len = rc < 0 ? rc : (int64_t)out.len;
    codec_scratch_release(&scratch);
    return len;
}

/* Half noise, half runs. */
static struct buf invent(struct prng *prng, size_t len)
{
    struct buf b = { 0 };
    prng_fill(prng, buf_reserve(&b, len), len);
    for (size_t at = 0; at + 64 < len; at += 128) {
        memset(b.data + at, (int)prng_below(prng, 3), 64);
    }
    b.len = len;
    return b;
}

static void all_codecs_survive_a_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    struct codec_scratch scratch = { 0 };
    const size_t lengths[] = { 0, 1, 2, 100, 32767, 32768, 32769, 65536, 65537, 1000000 };
    prng_init(&prng, 1);
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        for (size_t i = 0; i < countof(lengths); i++) {
            struct buf in = invent(&prng, lengths[i]), packed = { 0 };
            struct bytes out;
            buf_put(&packed, "before", 6);
            codec_compress(codec, 0, buf_bytes(&in), &packed);
            struct bytes body = bytes_part(buf_bytes(&packed), 6, packed.len - 6);
            assert_int_equal(codec_decompress(codec, body, in.len, &scratch, &out), 0);
            assert_non_null(out.data); /* also where nothing comes out */
            assert_true(bytes_equal(out, buf_bytes(&in)));
            if (in.len > 0) {
                assert_int_equal(length_of(codec, body, in.len - 1), -EFBIG);
            }
            buf_release(&in);
            buf_release(&packed);
        }
    }
    codec_scratch_release(&scratch); /* one for all of them, as on the loop */
}

static void levels_out_of_range_are_limited(void **state)
{
    (void)state;
    struct prng prng;
    const int levels[] = { INT32_MIN, -1000000, -5, -1, 0, 1, 9, 12, 17, 22, 100, INT32_MAX };
    prng_init(&prng, 2);
    struct buf in = invent(&prng, 20000);
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        for (size_t i = 0; i < countof(levels); i++) {
            struct buf packed = { 0 };
            codec_compress(codec, levels[i], buf_bytes(&in), &packed);
            assert_int_equal(length_of(codec, buf_bytes(&packed), PLENTY), in.len);
            buf_release(&packed);
        }
    }
    buf_release(&in);
}

static void truncations_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    struct buf in = invent(&prng, 700);
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf packed = { 0 };
        codec_compress(codec, 0, buf_bytes(&in), &packed);
        for (size_t len = 0; len < packed.len; len++) {
            if (codec == CODEC_SNAPPY && len == 16) {
                continue; /* xerial's header alone: no blocks, no bytes */
            }
            uint8_t *exact = mem_dup(packed.data, len);
            assert_int_equal(length_of(codec, bytes_of(exact, len), PLENTY), -EINVAL);
            free(exact);
        }
        for (int i = 0; i < 40; i++) {
            buf_put_u8(&packed, (uint8_t)(i % 3));
            assert_int_equal(length_of(codec, buf_bytes(&packed), PLENTY), -EINVAL);
        }
        buf_release(&packed);
    }
    buf_release(&in);
}

static void damage_never_gives_more_than_the_cap(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    struct buf in = invent(&prng, 3000);
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf packed = { 0 };
        codec_compress(codec, 0, buf_bytes(&in), &packed);
        for (size_t at = 0; at < packed.len; at++) {
            for (int bit = 0; bit < 8; bit++) {
                packed.data[at] ^= (uint8_t)(1 << bit);
                int64_t len = length_of(codec, buf_bytes(&packed), 3500);
                assert_true(len == -EINVAL || len == -EFBIG || (len >= 0 && len <= 3500));
                packed.data[at] ^= (uint8_t)(1 << bit);
            }
        }
        buf_release(&packed);
    }
    buf_release(&in);
}

static void bombs_are_capped(void **state)
{
    (void)state;
    const size_t len = 10 << 20;
    uint8_t *zeros = mem_zalloc(len);
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf packed = { 0 };
        struct codec_scratch scratch = { 0 };
        struct bytes out;
        codec_compress(codec, 0, bytes_of(zeros, len), &packed);
        assert_true(packed.len < len / 20);
        assert_int_equal(codec_decompress(codec, buf_bytes(&packed), 1 << 20, &scratch, &out),
                         -EFBIG);
        assert_true(scratch.out.cap <= 3 << 20);
        assert_int_equal(codec_decompress(codec, buf_bytes(&packed), len, &scratch, &out), 0);
        assert_int_equal(codec_decompress(CODEC_GZIP, bytes_of("", 0), len, &scratch, &out),
                         -EINVAL);
        assert_true(scratch.out.cap < 1 << 20); /* much room is not kept for long */
        codec_scratch_release(&scratch);
        assert_int_equal(length_of(codec, buf_bytes(&packed), len), len);
        buf_release(&packed);
    }
    free(zeros);
}

/* ---- gzip ----------------------------------------------------------------------------------- */

static void gzip_members_follow_each_other(void **state)
{
    (void)state;
    struct buf packed = { 0 };
    struct codec_scratch scratch = { 0 };
    struct bytes out;
    codec_compress(CODEC_GZIP, 0, bytes_of("one ", 4), &packed);
    codec_compress(CODEC_GZIP, 0, bytes_of("", 0), &packed);
    codec_compress(CODEC_GZIP, 9, bytes_of("two", 3), &packed);
    assert_int_equal(codec_decompress(CODEC_GZIP, buf_bytes(&packed), 7, &scratch, &out), 0);
    assert_true(bytes_equal(out, bytes_of("one two", 7)));
    assert_int_equal(length_of(CODEC_GZIP, buf_bytes(&packed), 6), -EFBIG);
    buf_release(&packed);
    codec_scratch_release(&scratch);
}

static void gzip_is_not_zlib_nor_bare_deflate(void **state)
{
    (void)state;
    uint8_t packed[100];
    uLongf len = sizeof packed;
    assert_int_equal(compress(packed, &len, (const Bytef *)"hello", 5), Z_OK);
    assert_int_equal(length_of(CODEC_GZIP, bytes_of(packed, len), 100), -EINVAL);
    assert_int_equal(length_of(CODEC_GZIP, bytes_of(packed + 2, len - 6), 100), -EINVAL);
}

/* ---- snappy --------------------------------------------------------------------------------- */

static void snappy_is_read_raw_and_framed(void **state)
{
    (void)state;
    char raw[100];
    size_t len = sizeof raw;
    struct buf framed = { 0 };
    assert_int_equal(snappy_compress("hello hello hello", 17, raw, &len), SNAPPY_OK);
    assert_int_equal(length_of(CODEC_SNAPPY, bytes_of(raw, len), 17), 17);
    assert_int_equal(length_of(CODEC_SNAPPY, bytes_of(raw, len), 16), -EFBIG);

    buf_put(&framed, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    for (int i = 0; i < 3; i++) {
        buf_put_be32(&framed, (uint32_t)len);
        buf_put(&framed, raw, len);
    }
    assert_int_equal(length_of(CODEC_SNAPPY, buf_bytes(&framed), 51), 51);
    assert_int_equal(length_of(CODEC_SNAPPY, buf_bytes(&framed), 50), -EFBIG);
    store_be32(framed.data + 16, UINT32_MAX); /* a length that cannot be (CVE-2023-34455) */
    assert_int_equal(length_of(CODEC_SNAPPY, buf_bytes(&framed), 51), -EINVAL);
    store_be32(framed.data + 16, 0);
    assert_int_equal(length_of(CODEC_SNAPPY, buf_bytes(&framed), 51), -EINVAL);
    store_be32(framed.data + 8, 2); /* another version of the frame */
    assert_int_equal(length_of(CODEC_SNAPPY, buf_bytes(&framed), 51), -EINVAL);
    buf_release(&framed);
}

static void snappy_lengths_are_not_believed(void **state)
{
    (void)state;
    /* 16 MiB promised by 7 bytes: no room is made for it. */
    struct codec_scratch scratch = { 0 };
    struct bytes lie = bytes_of("\x80\x80\x80\x08\x08" "abc", 8), out;
    assert_int_equal(codec_decompress(CODEC_SNAPPY, lie, PLENTY, &scratch, &out), -EINVAL);
    assert_int_equal(scratch.out.cap, 0);
}

/* ---- lz4 ------------------------------------------------------------------------------------ */

/* A frame of stored blocks, each of 5 bytes; `bd` and `size` go into the header as they are. */
static struct buf lz4_frame(uint8_t flg, uint8_t bd, uint64_t size, int n_blocks)
{
    struct buf f = { 0 };
    buf_put(&f, "\x04\x22\x4d\x18", 4);
    buf_put_u8(&f, flg);
    buf_put_u8(&f, bd);
    if (flg & 0x08) {
        buf_put(&f, &size, 8);
    }
    buf_put_u8(&f, (uint8_t)(XXH32(f.data + 4, f.len - 4, 0) >> 8));
    XXH32_state_t content;
    XXH32_reset(&content, 0);
    for (int i = 0; i < n_blocks; i++) {
        uint32_t hash = XXH32("block", 5, 0);
        buf_put(&f, "\x05\0\0\x80" "block", 9);
        if (flg & 0x10) {
            buf_put(&f, &hash, 4);
        }
        XXH32_update(&content, "block", 5);
    }
    buf_put_be32(&f, 0);
    if (flg & 0x04) {
        uint32_t hash = XXH32_digest(&content);
        buf_put(&f, &hash, 4);
    }
    return f;
}

static int64_t length_of_lz4_frame(uint8_t flg, uint8_t bd, uint64_t size, int n_blocks)
{
    struct buf f = lz4_frame(flg, bd, size, n_blocks);
    int64_t len = length_of(CODEC_LZ4, buf_bytes(&f), PLENTY);
    buf_release(&f);
    return len;
}

static void lz4_frames_are_what_java_reads(void **state)
{
    (void)state;
    assert_int_equal(length_of_lz4_frame(0x60, 0x40, 0, 3), 15);
    assert_int_equal(length_of_lz4_frame(0x7c, 0x70, 15, 3), 15); /* with all there can be */
    assert_int_equal(length_of_lz4_frame(0x60, 0x40, 0, 0), 0);
    assert_int_equal(length_of_lz4_frame(0x68, 0x40, 14, 3), -EINVAL); /* content size */
    assert_int_equal(length_of_lz4_frame(0x40, 0x40, 0, 3), -EINVAL);  /* linked blocks */
    assert_int_equal(length_of_lz4_frame(0x61, 0x40, 0, 3), -EINVAL);  /* dictionary */
    assert_int_equal(length_of_lz4_frame(0x62, 0x40, 0, 3), -EINVAL);  /* reserved */
    assert_int_equal(length_of_lz4_frame(0xa0, 0x40, 0, 3), -EINVAL);  /* version */
    assert_int_equal(length_of_lz4_frame(0x60, 0x30, 0, 3), -EINVAL);  /* block size */
    assert_int_equal(length_of_lz4_frame(0x60, 0x41, 0, 3), -EINVAL);
    assert_int_equal(length_of_lz4_frame(0x60, 0xc0, 0, 3), -EINVAL);
}

static void lz4_checksums_are_all_checked(void **state)
{
    (void)state;
    struct buf f = lz4_frame(0x7c, 0x70, 5, 1);
    /* The header's checksum, the block, the block's checksum, the content's checksum. */
    const size_t places[] = { 14, 19, 25, f.len - 1 };
    for (size_t i = 0; i < countof(places); i++) {
        f.data[places[i]] ^= 1;
        assert_int_equal(length_of(CODEC_LZ4, buf_bytes(&f), PLENTY), -EINVAL);
        f.data[places[i]] ^= 1;
    }
    assert_int_equal(length_of(CODEC_LZ4, buf_bytes(&f), PLENTY), 5);
    buf_release(&f);
}

static void lz4_blocks_are_never_empty_nor_too_large(void **state)
{
    (void)state;
    struct buf f = lz4_frame(0x60, 0x40, 0, 1);
    memcpy(f.data + 7, "\0\0\0\x80", 4); /* Java takes it for the end, others for no bytes */
    assert_int_equal(length_of(CODEC_LZ4, buf_bytes(&f), PLENTY), -EINVAL);
    f.len = 7;
    buf_put(&f, "\x01\0\1\x80", 4); /* 64 KiB and 1 byte in a frame of 64 KiB */
    buf_put_zeros(&f, 65537 + 4);
    assert_int_equal(length_of(CODEC_LZ4, buf_bytes(&f), PLENTY), -EINVAL);
    f.len = 7;
    buf_put(&f, "\1\0\0\0\0\0\0\0\0", 9); /* a compressed block of no bytes */
    assert_int_equal(length_of(CODEC_LZ4, buf_bytes(&f), PLENTY), -EINVAL);
    buf_release(&f);
}

/* ---- zstd ----------------------------------------------------------------------------------- */

/* Compresses as a stream does: without telling the length. */
static struct buf zstd_stream(struct bytes in, int window_log, int checksum)
{
    struct buf f = { 0 };
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, checksum);
    size_t room = ZSTD_compressBound(in.len);
    f.len = ZSTD_compress2(ctx, buf_reserve(&f, room), room, in.data, in.len);
    assert_false(ZSTD_isError(f.len));
    ZSTD_freeCCtx(ctx);
    return f;
}

static void zstd_streams_of_unknown_length_are_read(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    struct buf in = invent(&prng, 500000);
    struct buf f = zstd_stream(buf_bytes(&in), 0, 1);
    assert_int_equal(ZSTD_getFrameContentSize(f.data, f.len), ZSTD_CONTENTSIZE_UNKNOWN);
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), in.len), in.len);
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), in.len - 1), -EFBIG);
    f.data[f.len - 1] ^= 1; /* the checksum */
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), in.len), -EINVAL);
    buf_release(&f);
    buf_release(&in);
}

static void zstd_frames_follow_each_other(void **state)
{
    (void)state;
    struct buf f = { 0 };
    struct codec_scratch scratch = { 0 };
    struct bytes out;
    codec_compress(CODEC_ZSTD, 0, bytes_of("one ", 4), &f);
    buf_put(&f, "\x5f\x2a\x4d\x18\3\0\0\0xyz", 11); /* to be skipped */
    struct buf stream = zstd_stream(bytes_of("two", 3), 0, 0);
    buf_put(&f, stream.data, stream.len);
    assert_int_equal(codec_decompress(CODEC_ZSTD, buf_bytes(&f), 7, &scratch, &out), 0);
    assert_true(bytes_equal(out, bytes_of("one two", 7)));
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), 6), -EFBIG);
    buf_release(&f);
    buf_release(&stream);
    codec_scratch_release(&scratch);
}

static void zstd_windows_are_limited(void **state)
{
    (void)state;
    /* One stored block of 5 bytes in a frame with the window 2^27, and one step above. */
    char frame[] = "\x28\xb5\x2f\xfd\x00\x88\x29\0\0hello";
    assert_int_equal(length_of(CODEC_ZSTD, bytes_of(frame, 14), PLENTY), 5);
    frame[5] = (char)0x89;
    assert_int_equal(length_of(CODEC_ZSTD, bytes_of(frame, 14), PLENTY), -EFBIG);
}

static void zstd_windows_are_kept_to(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 6);
    struct buf in = invent(&prng, 500000);
    struct buf f = zstd_stream(buf_bytes(&in), 10, 1); /* a window of 1 KiB */
    struct codec_scratch scratch = { 0 };
    struct bytes out;
    assert_int_equal(codec_decompress(CODEC_ZSTD, buf_bytes(&f), in.len, &scratch, &out), 0);
    assert_true(bytes_equal(out, buf_bytes(&in)));
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), in.len - 1), -EFBIG);
    assert_int_equal(length_of(CODEC_ZSTD, bytes_of(f.data, f.len - 1), in.len), -EINVAL);
    f.data[f.len - 1] ^= 1; /* the checksum */
    assert_int_equal(length_of(CODEC_ZSTD, buf_bytes(&f), in.len), -EINVAL);

    /* A run of 1 KiB fits a window of 1 KiB; one of 2 KiB decodes, but not for a consumer. */
    struct bytes fits = bytes_of("\x28\xb5\x2f\xfd\0\0\x03\x20\0a", 10);
    struct bytes exceeds = bytes_of("\x28\xb5\x2f\xfd\0\0\x03\x40\0a", 10);
    assert_int_equal(length_of(CODEC_ZSTD, fits, PLENTY), 1024);
    assert_int_equal(length_of(CODEC_ZSTD, exceeds, PLENTY), -EINVAL);
    codec_scratch_release(&scratch);
    buf_release(&f);
    buf_release(&in);
}

static void zstd_lengths_are_not_believed(void **state)
{
    (void)state;
    /* A content size of 16 MiB over one stored block of 5 bytes: no room is made for it. */
    struct codec_scratch scratch = { 0 };
    struct bytes lie = bytes_of("\x28\xb5\x2f\xfd\xa0\0\0\0\1\x29\0\0hello", 17), out;
    assert_int_equal(codec_decompress(CODEC_ZSTD, lie, PLENTY, &scratch, &out), -EINVAL);
    assert_int_equal(scratch.out.cap, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_codecs_survive_a_round_trip),
        cmocka_unit_test(levels_out_of_range_are_limited),
        cmocka_unit_test(truncations_and_trailing_bytes_are_refused),
        cmocka_unit_test(damage_never_gives_more_than_the_cap),
        cmocka_unit_test(bombs_are_capped),
        cmocka_unit_test(gzip_members_follow_each_other),
        cmocka_unit_test(gzip_is_not_zlib_nor_bare_deflate),
        cmocka_unit_test(snappy_is_read_raw_and_framed),
        cmocka_unit_test(snappy_lengths_are_not_believed),
        cmocka_unit_test(lz4_frames_are_what_java_reads),
        cmocka_unit_test(lz4_checksums_are_all_checked),
        cmocka_unit_test(lz4_blocks_are_never_empty_nor_too_large),
        cmocka_unit_test(zstd_streams_of_unknown_length_are_read),
        cmocka_unit_test(zstd_frames_follow_each_other),
        cmocka_unit_test(zstd_windows_are_limited),
        cmocka_unit_test(zstd_windows_are_kept_to),
        cmocka_unit_test(zstd_lengths_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
