/* Aligned buffers, recycled.
 *
 * A few size classes, each with a list of free buffers; a larger buffer is made to measure and not
 * kept. Buffers outlive their recycler when a reply still refers to them: the recycler's memory
 * goes with the last one. */
#include "recycler.h"

#include <chronik/base/list.h>
#include <chronik/io/file.h>

static const size_t CLASSES[] = { KIB(16), KIB(64), KIB(256), MIB(1), MIB(2), MIB(4) };

struct recycler {
    struct list free[countof(CLASSES)];
    uint64_t kept, keep_max; /* bytes */
    uint64_t out;            /* buffers in use */
    bool closed;
};

struct recycled {
    struct blob blob;
    struct list link;
    struct recycler *recycler;
    unsigned class; /* countof(CLASSES): none */
};

struct recycler *recycler_new(uint64_t keep_bytes)
{
    struct recycler *recycler = mem_zalloc(sizeof *recycler);
    recycler->keep_max = keep_bytes;
    for (unsigned i = 0; i < countof(CLASSES); i++) {
        list_init(&recycler->free[i]);
    }
    return recycler;
}

static void destroy(struct recycled *buffer)
{
    free(buffer->blob.data);
    free(buffer);
}

void recycler_free(struct recycler *recycler)
{
    if (recycler == NULL) {
        return;
    }
    for (unsigned i = 0; i < countof(CLASSES); i++) {
        list_each (link, &recycler->free[i]) {
            destroy(container_of(link, struct recycled, link));
        }
    }
    recycler->closed = true;
    if (recycler->out == 0) {
        free(recycler);
    }
}

static unsigned class_of(size_t len)
{
    unsigned class = 0;
    while (class < countof(CLASSES) && CLASSES[class] < len) {
        class++;
    }
    return class;
}

size_t recycler_size(size_t len)
{
    unsigned class = class_of(len);
    return class < countof(CLASSES) ? CLASSES[class] : round_up(len, FILE_BLOCK);
}

static void come_back(struct blob *blob)
{
    struct recycled *buffer = container_of(blob, struct recycled, blob);
    struct recycler *recycler = buffer->recycler;

    recycler->out--;
    if (!recycler->closed && buffer->class < countof(CLASSES) &&
        recycler->kept + blob->len <= recycler->keep_max) {
        recycler->kept += blob->len;
        list_push_front(&recycler->free[buffer->class], &buffer->link);
        return;
    }
    destroy(buffer);
    if (recycler->closed && recycler->out == 0) {
        free(recycler);
    }
}

struct blob *recycler_get(struct recycler *recycler, size_t len)
{
    unsigned class = class_of(len);
    struct list *link = class < countof(CLASSES) ? list_pop_front(&recycler->free[class]) : NULL;
    struct recycled *buffer;

    if (link != NULL) {
        buffer = container_of(link, struct recycled, link);
        recycler->kept -= buffer->blob.len;
    } else {
        size_t size = recycler_size(len);
        buffer = mem_alloc(sizeof *buffer);
        *buffer = (struct recycled){ .recycler = recycler, .class = class };
        buffer->blob = (struct blob){ .data = mem_alloc_aligned(FILE_BLOCK, size),
                                      .len = size,
                                      .release = come_back };
    }
    buffer->blob.refs = 1;
    recycler->out++;
    return &buffer->blob;
}

uint64_t recycler_kept(const struct recycler *recycler)
{
    return recycler->kept;
}
