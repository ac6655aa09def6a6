/* Refcounted bytes, and slices of them: what crosses from one request, connection or file to
 * another without a copy. A frame read from a socket, a slab of the journal and a chunk fetched
 * from a segment are blobs. One thread owns them all: counts are plain. */
#ifndef CHRONIK_BASE_BLOB_H
#define CHRONIK_BASE_BLOB_H

#include <chronik/base/bytes.h>

struct blob {
    uint8_t *data;
    size_t len; /* usable bytes */
    uint32_t refs;
    void (*release)(struct blob *blob); /* called when the last reference goes */
};

/* A blob of `len` uninitialised bytes with one reference; bytes and header are one allocation. */
struct blob *blob_new(size_t len);

/* Takes over memory from malloc: free() is called on `data` in the end. */
struct blob *blob_adopt(void *data, size_t len);

static inline struct blob *blob_ref(struct blob *blob)
{
    blob->refs++;
    return blob;
}

/* Drops one reference; NULL is fine. */
static inline void blob_unref(struct blob *blob)
{
    if (blob != NULL) {
        check(blob->refs > 0);
        if (--blob->refs == 0) {
            blob->release(blob);
        }
    }
}

/* A part of a blob. Holding a slice means holding one reference, unless `blob` is NULL: then the
 * bytes are static, or kept by somebody who outlives the slice. */
struct slice {
    struct blob *blob;
    struct bytes bytes;
};

/* A sequence of slices: bytes that are not contiguous, such as a reply with records in it.
 * Zero-initialised is empty and valid. */
struct chain {
    struct slice *slices;
    size_t n, cap;
    size_t len;        /* bytes in all */
    struct blob *open; /* the block that small pieces are copied to */
    size_t open_used;  /* bytes of it that are in use */
};

/* Appends a part of `blob`, taking a reference of its own; `blob` NULL: see struct slice. */
void chain_add(struct chain *chain, struct blob *blob, struct bytes part);

/* Appends `len` bytes that the caller writes to the result, which stays where it is until the chain
 * is released: lengths and checksums can be filled in later. */
uint8_t *chain_reserve(struct chain *chain, size_t len);

/* The same in two steps, for those who write many small pieces: first at least `len` bytes of room,
 * up to `*ret_end`, then so many of them as have been written, from its start. Nothing else may be
 * done with the chain in between. */
uint8_t *chain_room(struct chain *chain, size_t len, uint8_t **ret_end);
void chain_commit(struct chain *chain, size_t len);

/* Appends a copy. */
void chain_put(struct chain *chain, const void *data, size_t len);

/* Moves everything in `from` to the end of `to`; `from` is empty afterwards. */
void chain_append(struct chain *to, struct chain *from);

/* Drops every reference and the array. */
void chain_release(struct chain *chain);

/* Copies everything, in order, to `to`, which has room for `chain->len` bytes. */
void chain_copy(const struct chain *chain, void *to);

#endif
