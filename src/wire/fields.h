/* What the decoder, the encoder, the printer and the others ask of a field's table entry. */
#ifndef CHRONIK_WIRE_FIELDS_H
#define CHRONIK_WIRE_FIELDS_H

#include <chronik/wire/schema.h>

/* Bytes of a value of fixed size on the wire; and of any value in memory. By enum wire_kind. */
extern const uint8_t kind_wire_size[];
extern const uint8_t kind_c_size[];

static inline bool field_in(const struct wire_field *f, int16_t version)
{
    return version >= f->since && version <= f->until;
}

static inline bool field_can_be_null(const struct wire_field *f, int16_t version)
{
    return version >= f->nullable_since && version <= f->nullable_until;
}

/* A struct that can be null in some version is a pointer in C. */
static inline bool field_is_pointer(const struct wire_field *f)
{
    return f->kind == WIRE_STRUCT && f->nullable_since <= f->nullable_until;
}

/* Of an array: bytes of an element in memory. */
static inline size_t element_size(const struct wire_field *f)
{
    return f->element == WIRE_STRUCT ? f->of->size : kind_c_size[f->element];
}

/* Of an array: the least bytes that an element takes on the wire. */
static inline size_t element_min_size(const struct wire_field *f, bool flexible)
{
    if (f->element == WIRE_STRUCT) {
        return f->of->min_size;
    }
    if (f->element < WIRE_STRING) {
        return kind_wire_size[f->element];
    }
    return flexible ? 1 : f->element == WIRE_STRING ? 2 : 4;
}

/* Of an array in the C struct `out` or `in`: its number of elements. */
static inline int32_t *field_count(const struct wire_field *f, void *out)
{
    return (int32_t *)(void *)((uint8_t *)out + f->count_offset);
}

static inline int32_t field_n(const struct wire_field *f, const void *in)
{
    return *(const int32_t *)(const void *)((const uint8_t *)in + f->count_offset);
}

/* A pointer in a C struct, whatever it points to. */
static inline void *load_pointer(const void *at)
{
    void *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

static inline void store_pointer(void *at, void *pointer)
{
    memcpy(at, &pointer, sizeof pointer);
}

/* Has a field of the C struct `in` its default? */
bool field_is_default(const struct wire_struct *s, const struct wire_field *f, const void *in);

#endif
