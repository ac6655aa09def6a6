/* Fuzzes the decompressors: the first byte chooses the codec, the second the cap. Nothing comes out
 * above the cap, and what comes out survives being compressed again. */
#include <chronik/wire/compress.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const enum codec codec = (enum codec)(data[0] % CODEC_COUNT);
    const size_t max = (size_t)data[1] << 14; /* up to 4 MiB */
    struct codec_scratch scratch = { 0 }, again = { 0 };
    struct bytes out, same;
    uint8_t *in = mem_dup(data + 2, size - 2); /* its own block: reading beyond it shows */
    if (codec_decompress(codec, bytes_of(in, size - 2), max, &scratch, &out) == 0) {
        struct buf packed = { 0 };
        check(out.len <= max);
        codec_compress(codec, 0, out, &packed);
        check(codec_decompress(codec, buf_bytes(&packed), out.len, &again, &same) == 0);
        check(bytes_equal(out, same));
        buf_release(&packed);
    }
    codec_scratch_release(&scratch);
    codec_scratch_release(&again);
    free(in);
    return 0;
}
