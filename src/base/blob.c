/* Refcounted bytes. */
#include <chronik/base/blob.h>

static void release_inline(struct blob *blob)
{
    free(blob);
}

static void release_adopted(struct blob *blob)
{
    free(blob->data);
    free(blob);
}

struct blob *blob_new(size_t len)
{
    size_t head = round_up(sizeof(struct blob), 16);
    check(len <= SIZE_MAX - head);
    struct blob *blob = mem_alloc(head + len);
    *blob = (struct blob){
        .data = (uint8_t *)blob + head,
        .len = len,
        .refs = 1,
        .release = release_inline,
    };
    return blob;
}

struct blob *blob_adopt(void *data, size_t len)
{
    struct blob *blob = mem_alloc(sizeof *blob);
    *blob = (struct blob){ .data = data, .len = len, .refs = 1, .release = release_adopted };
    return blob;
}

/* Small pieces share blocks: the first has CHAIN_BLOCK bytes, later ones grow with the chain. */
enum { CHAIN_BLOCK = 512, CHAIN_BLOCK_MAX = 64 * 1024 };

static void push(struct chain *chain, struct blob *blob, struct bytes part)
{
    chain->slices = mem_grow(chain->slices, &chain->cap, chain->n + 1, sizeof *chain->slices);
    chain->slices[chain->n++] = (struct slice){ .blob = blob, .bytes = part };
    chain->len += part.len;
}

void chain_add(struct chain *chain, struct blob *blob, struct bytes part)
{
    push(chain, blob ? blob_ref(blob) : NULL, part);
}

uint8_t *chain_room(struct chain *chain, size_t len, uint8_t **ret_end)
{
    if (chain->open == NULL || len > chain->open->len - chain->open_used) {
        size_t size = max_u64(len, min_u64(max_u64(chain->len, CHAIN_BLOCK), CHAIN_BLOCK_MAX));
        blob_unref(chain->open);
        chain->open = blob_new(size);
        chain->open_used = 0;
    }
    *ret_end = chain->open->data + chain->open->len;
    return chain->open->data + chain->open_used;
}

void chain_commit(struct chain *chain, size_t len)
{
    if (len == 0) {
        return;
    }
    uint8_t *at = chain->open->data + chain->open_used;
    struct slice *last = chain->n > 0 ? &chain->slices[chain->n - 1] : NULL;

    check(len <= chain->open->len - chain->open_used);
    chain->open_used += len;
    if (last != NULL && last->blob == chain->open && last->bytes.data + last->bytes.len == at) {
        last->bytes.len += len;
        chain->len += len;
    } else {
        push(chain, blob_ref(chain->open), bytes_of(at, len));
    }
}

uint8_t *chain_reserve(struct chain *chain, size_t len)
{
    uint8_t *end;
    uint8_t *at = chain_room(chain, len, &end);
    chain_commit(chain, len);
    return at;
}

void chain_put(struct chain *chain, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(chain_reserve(chain, len), data, len);
    }
}

void chain_append(struct chain *to, struct chain *from)
{
    if (from->n == 0) {
        chain_release(from);
        return;
    }
    if (to->n == 0) {
        chain_release(to);
        *to = *from;
    } else if (from->n == 0) {
        chain_release(from);
    } else {
        to->slices = mem_grow(to->slices, &to->cap, to->n + from->n, sizeof *to->slices);
        memcpy(to->slices + to->n, from->slices, from->n * sizeof *from->slices);
        to->n += from->n;
        to->len += from->len;
        free(from->slices);
        blob_unref(from->open);
    }
    *from = (struct chain){ 0 };
}

void chain_release(struct chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        blob_unref(chain->slices[i].blob);
    }
    free(chain->slices);
    blob_unref(chain->open);
    *chain = (struct chain){ 0 };
}

void chain_copy(const struct chain *chain, void *to)
{
    uint8_t *at = to;
    for (size_t i = 0; i < chain->n; i++) {
        memcpy(at, chain->slices[i].bytes.data, chain->slices[i].bytes.len);
        at += chain->slices[i].bytes.len;
    }
}
