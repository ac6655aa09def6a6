/* The encoder: walks the table of a struct and appends its bytes to a chain.
 *
 * It writes into room of the chain and asks for more when that is full. Only a tagged field needs
 * its size in front: it is computed first, by the functions size_*(). What cannot be encoded is our
 * own bug, and checked: null where null is not allowed, lengths beyond their length field. */
#include <chronik/base/varint.h>
#include <chronik/wire/codec.h>

#include "fields.h"

struct encoder {
    struct chain *out;
    uint8_t *start, *at, *end; /* of the room; what lies before `at` is not yet committed */
    int16_t version;
    bool flexible;
};

/* ---- sizes ------------------------------------------------------------------------------------*/

static size_t size_struct(const struct wire_struct *s, int16_t version, const void *in);

/* Tagged fields occur in flexible versions only: so do these sizes. */
static size_t size_value(const struct wire_field *f, uint8_t kind, int16_t version, const void *at)
{
    const struct text *text = at;
    const struct bytes *bytes = at;
    const struct records *records = at;
    bool null;
    size_t len;

    if (kind < WIRE_STRING) {
        return kind_wire_size[kind];
    }
    if (kind == WIRE_STRUCT) {
        return size_struct(f->of, version, at);
    }
    if (kind == WIRE_STRING) {
        null = text->data == NULL;
        len = text->len;
    } else if (kind == WIRE_RECORDS && records->chain != NULL) {
        null = false;
        len = records->chain->len;
    } else {
        null = bytes->data == NULL;
        len = bytes->len;
    }
    return varint_len_u64(null ? 0 : len + 1) + len;
}

static size_t size_field(const struct wire_field *f, int16_t version, const void *in)
{
    const uint8_t *at = (const uint8_t *)in + f->offset;
    if (f->kind == WIRE_ARRAY) {
        int32_t n = field_n(f, in);
        size_t step = element_size(f);
        size_t size = varint_len_u64(n < 0 ? 0 : (uint64_t)n + 1);
        at = load_pointer(at);
        for (; n > 0; n--, at += step) {
            size += size_value(f, f->element, version, at);
        }
        return size;
    }
    if (field_is_pointer(f)) {
        const void *inner = load_pointer(at);
        size_t marker = field_can_be_null(f, version) ? 1 : 0;
        return marker + (inner != NULL ? size_struct(f->of, version, inner) : 0);
    }
    return size_value(f, f->kind, version, at);
}

static bool tag_is_sent(const struct wire_struct *s, const struct wire_field *f, int16_t version,
                        const void *in)
{
    return field_in(f, version) && !field_is_default(s, f, in);
}

static size_t size_struct(const struct wire_struct *s, int16_t version, const void *in)
{
    size_t size = 0;
    unsigned n_tags = 0;
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        if (i < s->n_untagged && field_in(f, version)) {
            size += size_field(f, version, in);
        } else if (i >= s->n_untagged && tag_is_sent(s, f, version, in)) {
            size_t len = size_field(f, version, in);
            size += varint_len_u64((uint64_t)f->tag) + varint_len_u64(len) + len;
            n_tags++;
        }
    }
    return size + varint_len_u64(n_tags);
}

/* ---- values -----------------------------------------------------------------------------------*/

static void commit(struct encoder *e)
{
    chain_commit(e->out, (size_t)(e->at - e->start));
    e->start = e->at = e->end = NULL;
}

static void more_room(struct encoder *e, size_t len)
{
    commit(e);
    e->start = e->at = chain_room(e->out, len, &e->end);
}

/* Room for `len` bytes, counted as written. */
static inline uint8_t *put(struct encoder *e, size_t len)
{
    if (len > (size_t)(e->end - e->at)) {
        more_room(e, len);
    }
    e->at += len;
    return e->at - len;
}

static inline void put_varint(struct encoder *e, uint64_t n)
{
    if (n < 0x80) {
        *put(e, 1) = (uint8_t)n;
    } else {
        varint_put_u64(put(e, varint_len_u64(n)), n);
    }
}

static void put_length(struct encoder *e, const struct wire_field *f, uint8_t kind, bool null,
                       size_t len)
{
    check(len <= (kind == WIRE_STRING ? INT16_MAX : INT32_MAX - 1));
    check(!null || field_can_be_null(f, e->version));
    if (e->flexible) {
        put_varint(e, null ? 0 : len + 1);
    } else if (kind == WIRE_STRING) {
        store_be16(put(e, 2), (uint16_t)(null ? -1 : (int)len));
    } else {
        store_be32(put(e, 4), (uint32_t)(null ? -1 : (int)len));
    }
}

static void put_bytes(struct encoder *e, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(put(e, len), data, len);
    }
}

static void put_records(struct encoder *e, const struct wire_field *f,
                        const struct records *records)
{
    if (records->chain == NULL) {
        put_length(e, f, WIRE_RECORDS, records->view.data == NULL, records->view.len);
        put_bytes(e, records->view.data, records->view.len);
    } else {
        put_length(e, f, WIRE_RECORDS, false, records->chain->len);
        commit(e);
        chain_append(e->out, records->chain);
    }
}

static void put_struct(struct encoder *e, const struct wire_struct *s, const void *in);

/* One value of a kind that is no array: of a field, or an element of an array. */
static void put_value(struct encoder *e, const struct wire_field *f, uint8_t kind, const void *at)
{
    const struct text *text = at;
    const struct bytes *bytes = at;
    uint64_t bits;

    switch (kind) {
    case WIRE_BOOL:
        *put(e, 1) = *(const bool *)at;
        break;
    case WIRE_INT8:
        *put(e, 1) = *(const uint8_t *)at;
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        store_be16(put(e, 2), *(const uint16_t *)at);
        break;
    case WIRE_INT32:
    case WIRE_UINT32:
        store_be32(put(e, 4), *(const uint32_t *)at);
        break;
    case WIRE_INT64:
        store_be64(put(e, 8), *(const uint64_t *)at);
        break;
    case WIRE_FLOAT64:
        memcpy(&bits, at, sizeof bits);
        store_be64(put(e, 8), bits);
        break;
    case WIRE_UUID:
        memcpy(put(e, sizeof(struct uuid)), at, sizeof(struct uuid));
        break;
    case WIRE_STRING:
        put_length(e, f, kind, text->data == NULL, text->len);
        put_bytes(e, text->data, text->len);
        break;
    case WIRE_BYTES:
        put_length(e, f, kind, bytes->data == NULL, bytes->len);
        put_bytes(e, bytes->data, bytes->len);
        break;
    case WIRE_RECORDS:
        put_records(e, f, at);
        break;
    default:
        put_struct(e, f->of, at);
        break;
    }
}

static void put_array(struct encoder *e, const struct wire_field *f, const uint8_t *at, int32_t n)
{
    size_t step = element_size(f);
    put_length(e, f, WIRE_ARRAY, n < 0, n < 0 ? 0 : (size_t)n);
    for (; n > 0; n--, at += step) {
        put_value(e, f, f->element, at);
    }
}

static void put_struct_pointer(struct encoder *e, const struct wire_field *f, const void *inner)
{
    bool can_be_null = field_can_be_null(f, e->version);
    check(inner != NULL || can_be_null);
    if (can_be_null) {
        *put(e, 1) = inner != NULL ? 1 : 0xff;
    }
    if (inner != NULL) {
        put_struct(e, f->of, inner);
    }
}

/* ---- fields and structs -----------------------------------------------------------------------*/

static void put_field(struct encoder *e, const struct wire_field *f, const void *in)
{
    const uint8_t *at = (const uint8_t *)in + f->offset;
    if (f->kind == WIRE_ARRAY) {
        put_array(e, f, load_pointer(at), field_n(f, in));
    } else if (field_is_pointer(f)) {
        put_struct_pointer(e, f, load_pointer(at));
    } else {
        put_value(e, f, f->kind, at);
    }
}

/* The tagged fields whose values are not their defaults. */
static void put_tags(struct encoder *e, const struct wire_struct *s, const void *in)
{
    unsigned n = 0;
    for (unsigned i = s->n_untagged; i < s->n_fields; i++) {
        n += tag_is_sent(s, &s->fields[i], e->version, in);
    }
    put_varint(e, n);
    for (unsigned i = s->n_untagged; i < s->n_fields && n > 0; i++) {
        const struct wire_field *f = &s->fields[i];
        if (tag_is_sent(s, f, e->version, in)) {
            put_varint(e, (uint64_t)f->tag);
            put_varint(e, size_field(f, e->version, in));
            put_field(e, f, in);
        }
    }
}

static void put_struct(struct encoder *e, const struct wire_struct *s, const void *in)
{
    for (unsigned i = 0; i < s->n_untagged; i++) {
        if (field_in(&s->fields[i], e->version)) {
            put_field(e, &s->fields[i], in);
        }
    }
    if (e->flexible) {
        put_tags(e, s, in);
    }
}

void wire_encode(const struct wire_struct *s, int16_t version, bool flexible, const void *in,
                 struct chain *out)
{
    struct encoder e = { .out = out, .version = version, .flexible = flexible };
    put_struct(&e, s, in);
    commit(&e);
}
