/* The decoder: walks the table of a struct along the bytes.
 *
 * Nothing is trusted. Each length and count is compared with the bytes that are left before memory
 * is taken: `count` elements need at least `count` times the least size of one. What remains
 * possible, small messages that grow into large C structs, is bounded by the arena's budget. How
 * deep the calls nest is set by the schema, never by the input.
 *
 * The first error ends the walk: `fail()` notes it, every function returns false up to the top. */
#include <chronik/base/varint.h>
#include <chronik/wire/codec.h>

#include "fields.h"

struct decoder {
    const uint8_t *at, *end;
    struct arena *arena;
    int16_t version;
    bool flexible;
    struct wire_error error;
};

const char *wire_result_text(enum wire_result result)
{
    static const char *const texts[] = {
        [WIRE_OK] = "fine",
        [WIRE_SHORT] = "ends too early",
        [WIRE_MALFORMED] = "malformed",
        [WIRE_TOO_LARGE] = "needs too much memory",
    };
    return texts[result];
}

static bool fail(struct decoder *d, enum wire_result result, const char *field)
{
    d->error = (struct wire_error){ .result = result, .field = field };
    return false;
}

static size_t left(const struct decoder *d)
{
    return (size_t)(d->end - d->at);
}

static inline bool get_varint(struct decoder *d, const char *field, uint32_t *ret_n)
{
    if (d->at < d->end && *d->at < 0x80) {
        *ret_n = *d->at++;
        return true;
    }
    if (!varint_get_u32(&d->at, d->end, ret_n)) {
        bool cut = left(d) < VARINT32_MAX;
        return fail(d, cut ? WIRE_SHORT : WIRE_MALFORMED, field);
    }
    return true;
}

/* ---- values -----------------------------------------------------------------------------------*/

/* The length or count in front of a string, bytes, records or an array; -1 for null. Not yet
 * compared with what is left. */
static bool get_length(struct decoder *d, const struct wire_field *f, uint8_t kind,
                       int64_t *ret_len)
{
    int64_t len;
    if (d->flexible) {
        uint32_t n;
        if (!get_varint(d, f->name, &n)) {
            return false;
        }
        len = (int64_t)n - 1;
    } else {
        size_t size = kind == WIRE_STRING ? 2 : 4;
        if (left(d) < size) {
            return fail(d, WIRE_SHORT, f->name);
        }
        len = size == 2 ? (int16_t)load_be16(d->at) : (int32_t)load_be32(d->at);
        d->at += size;
    }
    int64_t max = kind == WIRE_STRING ? INT16_MAX : INT32_MAX;
    if (len > max || len < -1 || (len == -1 && !field_can_be_null(f, d->version))) {
        return fail(d, WIRE_MALFORMED, f->name);
    }
    *ret_len = len;
    return true;
}

/* A string, bytes or records: a view. */
static bool get_view(struct decoder *d, const struct wire_field *f, uint8_t kind, void *to)
{
    int64_t len;
    if (!get_length(d, f, kind, &len)) {
        return false;
    }
    if (len > (int64_t)left(d)) {
        return fail(d, WIRE_SHORT, f->name);
    }
    struct bytes view = { .data = len < 0 ? NULL : d->at, .len = len < 0 ? 0 : (size_t)len };
    d->at += view.len;

    if (kind == WIRE_STRING) {
        *(struct text *)to = text_part((const char *)view.data, view.len);
    } else if (kind == WIRE_BYTES) {
        *(struct bytes *)to = view;
    } else {
        *(struct records *)to = (struct records){ .view = view };
    }
    return true;
}

/* A value of fixed size: where it is, or NULL when fewer bytes are left. */
static inline const uint8_t *take(struct decoder *d, const struct wire_field *f, size_t size)
{
    if (left(d) < size) {
        fail(d, WIRE_SHORT, f->name);
        return NULL;
    }
    d->at += size;
    return d->at - size;
}

static inline bool get_number(struct decoder *d, const struct wire_field *f, uint8_t kind, void *to)
{
    uint64_t bits;
    const uint8_t *at = take(d, f, kind_wire_size[kind]);
    if (at == NULL) {
        return false;
    }
    switch (kind) {
    case WIRE_BOOL:
        *(bool *)to = *at != 0;
        break;
    case WIRE_INT8:
        *(int8_t *)to = (int8_t)*at;
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        *(uint16_t *)to = load_be16(at);
        break;
    case WIRE_INT32:
    case WIRE_UINT32:
        *(uint32_t *)to = load_be32(at);
        break;
    case WIRE_INT64:
        *(uint64_t *)to = load_be64(at);
        break;
    case WIRE_FLOAT64:
        bits = load_be64(at);
        memcpy(to, &bits, sizeof bits);
        break;
    default:
        memcpy(to, at, sizeof(struct uuid));
        break;
    }
    return true;
}

static bool get_struct(struct decoder *d, const struct wire_struct *s, void *out);

/* One value of a kind that is no array: of a field, or an element of an array. */
static bool get_value(struct decoder *d, const struct wire_field *f, uint8_t kind, void *to)
{
    if (kind < WIRE_STRING) {
        return get_number(d, f, kind, to);
    }
    return kind == WIRE_STRUCT ? get_struct(d, f->of, to) : get_view(d, f, kind, to);
}

static bool get_array(struct decoder *d, const struct wire_field *f, void *to, int32_t *ret_n)
{
    int64_t n;
    if (!get_length(d, f, WIRE_ARRAY, &n)) {
        return false;
    }
    store_pointer(to, NULL);
    *ret_n = (int32_t)n;
    if (n <= 0) {
        return true;
    }
    if ((uint64_t)n > left(d) / element_min_size(f, d->flexible)) {
        return fail(d, WIRE_SHORT, f->name);
    }
    size_t size = element_size(f);
    uint8_t *at = arena_alloc(d->arena, (size_t)n * size);
    if (at == NULL) {
        return fail(d, WIRE_TOO_LARGE, f->name);
    }
    store_pointer(to, at);
    for (; n > 0; n--, at += size) {
        if (!get_value(d, f, f->element, at)) {
            return false;
        }
    }
    return true;
}

/* A struct that can be null: a byte tells, then the struct. */
static bool get_struct_pointer(struct decoder *d, const struct wire_field *f, void *to)
{
    if (field_can_be_null(f, d->version)) {
        if (left(d) < 1) {
            return fail(d, WIRE_SHORT, f->name);
        }
        if ((int8_t)*d->at++ < 0) {
            store_pointer(to, NULL);
            return true;
        }
    }
    void *inner = arena_alloc(d->arena, f->of->size);
    if (inner == NULL) {
        return fail(d, WIRE_TOO_LARGE, f->name);
    }
    store_pointer(to, inner);
    return get_struct(d, f->of, inner);
}

/* ---- fields and structs -----------------------------------------------------------------------*/

static bool get_field(struct decoder *d, const struct wire_field *f, uint8_t *out)
{
    void *to = out + f->offset;
    if (f->kind == WIRE_ARRAY) {
        return get_array(d, f, to, field_count(f, out));
    }
    if (field_is_pointer(f)) {
        return get_struct_pointer(d, f, to);
    }
    return get_value(d, f, f->kind, to);
}

static const struct wire_field *find_tag(const struct decoder *d, const struct wire_struct *s,
                                         uint32_t tag)
{
    for (unsigned i = s->n_untagged; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        if ((uint32_t)f->tag == tag && field_in(f, d->version)) {
            return f;
        }
    }
    return NULL;
}

/* One tagged field of a known size, which it must fill exactly; unknown ones are skipped. */
static bool get_tagged(struct decoder *d, const struct wire_struct *s, uint32_t tag, uint32_t size,
                       uint8_t *out)
{
    const struct wire_field *f = find_tag(d, s, tag);
    if (size > left(d)) {
        return fail(d, WIRE_SHORT, f ? f->name : s->name);
    }
    if (f == NULL) {
        d->at += size;
        return true;
    }
    const uint8_t *end = d->end;
    d->end = d->at + size;
    if (!get_field(d, f, out)) {
        d->error.result = d->error.result == WIRE_SHORT ? WIRE_MALFORMED : d->error.result;
        return false;
    }
    if (d->at != d->end) {
        return fail(d, WIRE_MALFORMED, f->name);
    }
    d->end = end;
    return true;
}

/* The tagged fields at the end of a struct: their number, then tag, size and value of each, in
 * ascending order of their tags. */
static bool get_tags(struct decoder *d, const struct wire_struct *s, uint8_t *out)
{
    uint32_t n, tag, size;
    int64_t last = -1;
    if (!get_varint(d, s->name, &n)) {
        return false;
    }
    if (n > left(d) / 2) {
        return fail(d, WIRE_SHORT, s->name);
    }
    for (; n > 0; n--) {
        if (!get_varint(d, s->name, &tag) || !get_varint(d, s->name, &size)) {
            return false;
        }
        if ((int64_t)tag <= last) {
            return fail(d, WIRE_MALFORMED, s->name);
        }
        last = tag;
        if (!get_tagged(d, s, tag, size, out)) {
            return false;
        }
    }
    return true;
}

/* Fields that the version lacks, and tagged ones that are not sent, keep their defaults. */
static bool get_struct(struct decoder *d, const struct wire_struct *s, void *out)
{
    wire_defaults(s, out);
    for (unsigned i = 0; i < s->n_untagged; i++) {
        const struct wire_field *f = &s->fields[i];
        if (field_in(f, d->version) && !get_field(d, f, out)) {
            return false;
        }
    }
    return !d->flexible || get_tags(d, s, out);
}

struct wire_error wire_decode(const struct wire_struct *s, int16_t version, bool flexible,
                              struct bytes in, struct arena *arena, void *out, size_t *ret_left)
{
    struct decoder d = {
        .at = in.data,
        .end = in.data + in.len,
        .arena = arena,
        .version = version,
        .flexible = flexible,
    };
    if (get_struct(&d, s, out) && ret_left != NULL) {
        *ret_left = left(&d);
    }
    return d.error;
}
