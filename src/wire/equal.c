/* Are two messages the same, as far as a version can tell? */
#include <chronik/wire/codec.h>

#include "fields.h"

/* The bytes of records from `at` on that lie together; at most `max`. */
static struct bytes records_part(const struct records *r, size_t at, size_t max)
{
    if (r->chain == NULL) {
        return bytes_part(r->view, at, max);
    }
    const struct slice *slice = r->chain->slices;
    while (at >= slice->bytes.len) {
        at -= slice->bytes.len;
        slice++;
    }
    return bytes_part(slice->bytes, at, min_u64(max, slice->bytes.len - at));
}

static bool records_equal(const struct records *a, const struct records *b)
{
    size_t len = a->chain != NULL ? a->chain->len : a->view.len;
    bool null_a = a->chain == NULL && a->view.data == NULL;
    bool null_b = b->chain == NULL && b->view.data == NULL;

    if (null_a != null_b || len != (b->chain != NULL ? b->chain->len : b->view.len)) {
        return false;
    }
    for (size_t at = 0; at < len;) {
        struct bytes part = records_part(a, at, len - at);
        struct bytes other = records_part(b, at, part.len);
        if (memcmp(part.data, other.data, other.len) != 0) {
            return false;
        }
        at += other.len;
    }
    return true;
}

static bool value_equal(const struct wire_field *f, uint8_t kind, int16_t version, const void *a,
                        const void *b)
{
    const struct bytes *x = a, *y = b;
    switch (kind) {
    case WIRE_STRING:
        return text_equal(*(const struct text *)a, *(const struct text *)b);
    case WIRE_BYTES:
        return (x->data == NULL) == (y->data == NULL) && bytes_equal(*x, *y);
    case WIRE_RECORDS:
        return records_equal(a, b);
    case WIRE_STRUCT:
        return wire_equal(f->of, version, a, b);
    default:
        return memcmp(a, b, kind_c_size[kind]) == 0;
    }
}

static bool array_equal(const struct wire_field *f, int16_t version, const void *a, const void *b)
{
    int32_t n = field_n(f, a);
    const uint8_t *x = load_pointer((const uint8_t *)a + f->offset);
    const uint8_t *y = load_pointer((const uint8_t *)b + f->offset);
    size_t size = element_size(f);

    if (n != field_n(f, b)) {
        return false;
    }
    for (; n > 0; n--, x += size, y += size) {
        if (!value_equal(f, f->element, version, x, y)) {
            return false;
        }
    }
    return true;
}

static bool field_equal(const struct wire_field *f, int16_t version, const void *a, const void *b)
{
    const void *x = (const uint8_t *)a + f->offset, *y = (const uint8_t *)b + f->offset;
    if (f->kind == WIRE_ARRAY) {
        return array_equal(f, version, a, b);
    }
    if (field_is_pointer(f)) {
        x = load_pointer(x);
        y = load_pointer(y);
        if (x == NULL || y == NULL) {
            return x == y;
        }
    }
    return value_equal(f, f->kind, version, x, y);
}

bool wire_equal(const struct wire_struct *s, int16_t version, const void *a, const void *b)
{
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        if (field_in(f, version) && !field_equal(f, version, a, b)) {
            return false;
        }
    }
    return true;
}
