/* Aligned buffers that are used again and again: slabs of the journal, chunks read from segments,
 * pieces gathered for a segment write. The first touch of a page costs more than anything done with
 * it afterwards, so what comes back is kept, up to a limit. One thread owns a recycler. */
#ifndef CHRONIK_STORAGE_RECYCLER_H
#define CHRONIK_STORAGE_RECYCLER_H

#include <chronik/base/blob.h>

struct recycler;

/* Keeps at most `keep_bytes` of buffers that nobody uses. */
struct recycler *recycler_new(uint64_t keep_bytes);

/* Frees what is kept. Buffers that are still out are freed when their last reference goes. */
void recycler_free(struct recycler *recycler);

/* A buffer of at least `len` bytes, aligned to FILE_BLOCK, its length a multiple of it; the content
 * is whatever it was used for before. One reference. */
struct blob *recycler_get(struct recycler *recycler, size_t len);

/* The length of the buffer that recycler_get() would give. */
size_t recycler_size(size_t len);

/* Bytes of buffers that nobody uses. */
uint64_t recycler_kept(const struct recycler *recycler);

#endif
