/* schemac: the host tool that turns schema texts into C structs, tables and documentation.
 *
 * A schema text, line by line (docs/adding-an-api.md has an example):
 *
 *   # What it is for.                          comments above a line document what follows
 *   api KEY NAME  versions A-B  flexible N+    [advertised A-B]
 *   record [KEY] NAME  versions A-B  flexible N+
 *   request | response                         the two messages of an api, at the left edge
 *     NAME TYPE [VERSIONS] [tag N] [= DEFAULT] [secret]   [# documentation]
 *
 * `flexible never` where no version is. Fields are indented by two spaces; a field of a struct type
 * is followed by the fields of the struct, indented by two more. A struct is defined where its name
 * is used first, and can be used again further down in the same message.
 *
 *   TYPE      bool int8 int16 int32 int64 uint16 uint32 float64 uuid string bytes records error,
 *             the name of a struct, or [] and one of these: an array
 *   TYPE?     can be null; TYPE?N+ can be null from version N on
 *   VERSIONS  N+ or A-B or N: the versions that have the field; all when left out
 *   tag N     a tagged field (KIP-482)
 *   = VALUE   the default where it is not 0, false, empty: a number, true or null
 *   secret    never printed */
#ifndef CHRONIK_WIRE_SCHEMAC_H
#define CHRONIK_WIRE_SCHEMAC_H

#include <chronik/base/arena.h>
#include <chronik/wire/schema.h>

struct versions {
    int16_t since, until; /* both included; until == WIRE_NEVER: open; since > until: none */
};

#define VERSIONS_ALL  ((struct versions){ 0, WIRE_NEVER })
#define VERSIONS_NONE ((struct versions){ WIRE_NEVER, 0 })

static inline bool versions_have(struct versions v, int version)
{
    return version >= v.since && version <= v.until;
}

struct shape;

struct field {
    struct field *next;
    struct text name;
    uint8_t kind, element; /* enum wire_kind */
    bool is_error, secret, default_null;
    struct versions in, nullable;
    int16_t tag; /* -1: none */
    int64_t default_int;
    struct shape *of;
    struct text doc; /* null: none */
    int line;
};

/* A struct of a message. */
struct shape {
    struct shape *next;   /* of the message: inner ones before those that use them, the root last */
    struct text name;     /* "topic"; of the root: null */
    struct text c_name;   /* "produce_request_topic" */
    struct field *fields; /* untagged ones as written, then tagged ones by their tag */
    struct versions in;   /* the versions that use it */
    bool open;            /* its definition is being read */
    int line;
};

struct message {
    struct shape *shapes, **tail;
    struct shape *root;
};

struct api {
    struct api *next; /* by key */
    int16_t key;      /* -1: a record without a key */
    bool is_record;
    struct text name, doc;
    struct versions in, advertised;
    int16_t flexible_since;
    struct message request, response; /* of a record: `request` is the record */
    const char *file;
    int line;
};

struct schema {
    struct arena arena;
    struct text layer, unit; /* "wire", "api": of the header <chronik/wire/api.h> */
    struct api *apis;
};

/* Ends the program with "file:line: message". */
_Noreturn void fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads one file and adds what it defines. */
void schema_read(struct schema *schema, const char *file);

/* Finds what is wrong with an API as a whole, and the versions that use each struct. */
void schema_check(struct schema *schema);

/* The least number of bytes that a struct takes on the wire, in any version that uses it. */
unsigned shape_min_size(const struct api *api, const struct shape *shape);

void schema_write_header(const struct schema *schema, struct buf *out);
void schema_write_source(const struct schema *schema, struct buf *out);
void schema_write_doc(const struct schema *schema, struct buf *out);

/* Words of the schema texts: "3+", "0-4", "2"; "-1", "INT64_MAX"; "int32", "string". */
struct text versions_text(struct arena *arena, struct versions v);
struct text number_text(struct arena *arena, int64_t n);
bool number_parse(struct text word, int64_t *ret_n);
const char *kind_text(uint8_t kind);

#endif
