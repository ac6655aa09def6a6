/* Messages as tables.
 *
 * src/wire/schema/NN_name.api holds the fields of one API; the host tool `schemac` turns each into
 *   - C structs:  struct <api>_request, <api>_response, and for a nested element
 *                 struct <api>_request_<element> / <api>_response_<element>
 *   - defaults:   const struct <struct> <struct>_default, to begin with when one is filled in
 *   - tables:     const struct wire_api wire_<api>, which the codec, the printer and the random
 *                 generator read.
 * All APIs together are declared in the generated <chronik/wire/api.h>.
 *
 * How a field looks in C:
 *   bool, int8 … int64, uint16, uint32, float64   the C type
 *   error     int16_t (an enum kafka_error)
 *   uuid      struct uuid
 *   string    struct text     null: data == NULL
 *   bytes     struct bytes    null: data == NULL
 *   records   struct records  a view when decoded, a view or a chain when encoded
 *   []x       X *name; int32_t n_name;   null: n_name == -1
 *   struct    struct X name; where it can be null: struct X *name;
 *
 * Decoded messages live in an arena; strings, bytes and records are views into the frame. */
#ifndef CHRONIK_WIRE_SCHEMA_H
#define CHRONIK_WIRE_SCHEMA_H

#include <chronik/base/blob.h>
#include <chronik/base/text.h>
#include <chronik/base/uuid.h>

/* Record batches inside a message. */
struct records {
    struct bytes view;   /* null: view.data == NULL and chain == NULL */
    struct chain *chain; /* encoding: moved into the frame, no copy; NULL: `view` counts */
};

enum wire_kind {
    WIRE_BOOL,
    WIRE_INT8,
    WIRE_INT16,
    WIRE_INT32,
    WIRE_INT64,
    WIRE_UINT16,
    WIRE_UINT32,
    WIRE_FLOAT64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_STRUCT,
    WIRE_ARRAY,
};

enum { WIRE_NEVER = 0x7fff }; /* a version that never comes */

struct wire_struct;

struct wire_field {
    const char *name;
    const struct wire_struct *of; /* of a struct, or of an array of structs */
    int16_t since, until;         /* versions that have the field, both included */
    int16_t nullable_since, nullable_until; /* in which it can be null; since > until: in none */
    uint16_t offset;              /* in the C struct, bytes */
    uint16_t count_offset;        /* of an array: where n_<name> is */
    int16_t tag;                  /* -1: not a tagged field */
    uint8_t kind;                 /* enum wire_kind */
    uint8_t element;              /* of an array: enum wire_kind */
    bool is_error;                /* an int16 that holds an enum kafka_error: printed by name */
    bool secret;                  /* never printed */
};

struct wire_struct {
    const char *name;
    const struct wire_field *fields; /* untagged ones in wire order, then tagged ones by tag */
    const void *defaults;            /* a C struct with each field at its default */
    uint16_t n_fields, n_untagged;
    uint16_t size;     /* of the C struct, bytes */
    uint16_t min_size; /* bytes that it takes on the wire at least, in any version */
};

/* One API, or one kind of record when the text begins with `record` (key -1 where it has none). */
struct wire_api {
    int16_t key;
    const char *name;                       /* "produce" */
    int16_t min_version, max_version;       /* that the tables describe */
    int16_t advertised_min, advertised_max; /* in ApiVersions, once there is a handler */
    int16_t flexible_since;                 /* WIRE_NEVER: no version is flexible */
    const struct wire_struct *request;      /* of a record: the record itself */
    const struct wire_struct *response;     /* of a record: NULL */
};

/* The API with that key, or NULL; and all of them, in order of their keys. */
const struct wire_api *wire_api_find(int16_t key);
extern const struct wire_api *const wire_apis[];
extern const unsigned wire_api_count;

static inline bool wire_is_flexible(const struct wire_api *api, int16_t version)
{
    return version >= api->flexible_since;
}

/* Header versions (KIP-482): requests 1 or 2, responses 0 or 1. The response header of ApiVersions
 * is always 0, so that a client can read it whatever the broker's age. */
int16_t wire_request_header_version(const struct wire_api *api, int16_t version);
int16_t wire_response_header_version(const struct wire_api *api, int16_t version);

#endif
