/* diskloop: what the disk can do. diskloop FILE BLOCK_BYTES MILLISECONDS writes blocks one after
 * another, O_DIRECT | O_DSYNC, round and round in a file that was written before: the bare form of
 * a journal. Prints one line of key=value. The file is removed. */
#include "client.h"
#include "histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, ALIGN = 4096 };

static void write_at(int fd, const void *data, size_t len, size_t at)
{
    if (pwrite(fd, data, len, (off_t)at) != (ssize_t)len) {
        fail("write: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    size_t block = argc == 4 ? (size_t)strtoull(argv[2], NULL, 10) : 0;
    if (block == 0 || block % ALIGN != 0 || FILE_BYTES % block != 0) {
        fail("usage: diskloop FILE BLOCK_BYTES MILLISECONDS");
    }
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT | O_DSYNC, 0666);
    if (fd < 0) {
        fail("%s: %s", argv[1], strerror(errno));
    }
    uint8_t *data = mem_alloc_aligned(ALIGN, 1 << 20);
    struct histogram *latency = mem_zalloc(sizeof *latency);
    memset(data, 0x5a, 1 << 20);
    for (size_t at = 0; at < FILE_BYTES; at += 1 << 20) {
        write_at(fd, data, 1 << 20, at);
    }
    const uint64_t begin = now_ns(), end = begin + (uint64_t)strtoull(argv[3], NULL, 10) * 1000000;
    uint64_t now = begin;
    for (size_t at = 0; now < end; at = (at + block) % FILE_BYTES) {
        write_at(fd, data, block, at);
        uint64_t done = now_ns();
        histogram_add(latency, done - now);
        now = done;
    }
    double seconds = (double)(now - begin) / 1e9, writes = (double)latency->n;
    printf("mode=disk block=%zu writes_s=%.0f mb_s=%.1f", block, writes / seconds,
           writes * (double)block / seconds / 1e6);
    histogram_print(latency, "");
    printf("\n");
    unlink(argv[1]);
    close(fd);
    free(data);
    free(latency);
    return 0;
}
