/* Visits every field of a message, by its schema: tames random requests, looks through replies. */
#ifndef CHRONIK_TESTS_SUPPORT_WALK_H
#define CHRONIK_TESTS_SUPPORT_WALK_H

#include <chronik/wire/schema.h>

/* A field that is not an array or a struct, or one element of an array of such. `kind` is the
 * kind of the value. */
typedef void walk_visit(void *arg, const struct wire_field *field, uint8_t kind, void *value);

/* Visits all fields that the version has, those of nested structs and of arrays too. */
void walk(const struct wire_struct *s, int16_t version, void *body, walk_visit *visit, void *arg);

#endif
