/* Decoding, encoding, printing and inventing messages, driven by the tables of wire/schema.h.
 *
 * The decoder trusts nothing: every length and count is checked against the bytes that are left
 * before anything is allocated, and the arena's budget bounds the rest: a message can grow in
 * memory to about 19 times its bytes, where it consists of nothing but short array elements. Bytes
 * left over behind a complete body are ignored, as Kafka does. Text is not checked to be UTF-8.
 *
 * src/wire: decode.c, encode.c, print.c, random.c, equal.c; defaults in schema.c. */
#ifndef CHRONIK_WIRE_CODEC_H
#define CHRONIK_WIRE_CODEC_H

#include <chronik/base/arena.h>
#include <chronik/base/random.h>
#include <chronik/wire/schema.h>

enum wire_result {
    WIRE_OK,
    WIRE_SHORT,     /* ends before the message does */
    WIRE_MALFORMED, /* a length, count, varint or tag that cannot be */
    WIRE_TOO_LARGE, /* the arena's budget is used up */
};

const char *wire_result_text(enum wire_result result);

struct wire_error {
    enum wire_result result;
    const char *field; /* where it happened, or NULL */
};

/* Decodes one struct. `*out` is an uninitialised C struct of `s`; fields that the version lacks get
 * their defaults. `*ret_left` (may be NULL) is the number of bytes behind it.
 * On failure `*out` must not be used. */
struct wire_error wire_decode(const struct wire_struct *s, int16_t version, bool flexible,
                              struct bytes in, struct arena *arena, void *out, size_t *ret_left);

/* Appends the encoded struct to `out`. Fields that the version lacks are left out. Records given as
 * a chain are moved, not copied. Strings and arrays too long for their length field, and null where
 * null is not allowed, are bugs. */
void wire_encode(const struct wire_struct *s, int16_t version, bool flexible, const void *in,
                 struct chain *out);

/* Sets every field to its default. */
void wire_defaults(const struct wire_struct *s, void *out);

/* Appends one line of readable text: {topics=[{name="a", …}]}; secret fields as "***", records and
 * bytes by their length, errors by name; tagged fields at their defaults are left out, long text
 * and long arrays cut. */
void wire_print(const struct wire_struct *s, int16_t version, const void *in, struct buf *to);

/* Fills `*out` with random content that is valid for that version; small, with nulls, empty and
 * missing things now and then. Fields that the version lacks get their defaults. */
void wire_random(const struct wire_struct *s, int16_t version, struct prng *prng,
                 struct arena *arena, void *out);

/* Equal in all fields that the version has? Chains and views of records compare by content. */
bool wire_equal(const struct wire_struct *s, int16_t version, const void *a, const void *b);

#endif
