/* Java's properties files: server.properties, meta.properties.
 *
 * One "key = value" (or "key: value", or "key value") per logical line; lines that begin with # or
 * ! are comments; a backslash at the end of a line joins it with the next one; \t \n \r \f \uXXXX
 * and a backslash before any other character are escapes. Text is taken as UTF-8 as it stands.
 * (Java SE, java.util.Properties.load) */
#ifndef CHRONIK_BASE_PROPERTIES_H
#define CHRONIK_BASE_PROPERTIES_H

#include <chronik/base/arena.h>

/* Begin with `rest` as the whole file and `line` 0. */
struct properties {
    struct text rest;
    unsigned line; /* where the last entry began, from 1 */
    unsigned lines; /* physical lines read so far */
};

/* The next entry; false at the end. Key and value lie in the file's text, or in `arena` (without a
 * budget) where they have escapes. */
bool properties_next(struct properties *properties, struct arena *arena, struct text *ret_key,
                     struct text *ret_value);

/* Appends the line "key=value", with the escapes that a reader needs. */
void properties_put(struct buf *out, const char *key, struct text value);

#endif
