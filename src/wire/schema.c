/* Tables of messages: looking them up, header versions, defaults. */
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

#include "fields.h"

const uint8_t kind_wire_size[] = {
    [WIRE_BOOL] = 1,   [WIRE_INT8] = 1,   [WIRE_INT16] = 2,   [WIRE_INT32] = 4, [WIRE_INT64] = 8,
    [WIRE_UINT16] = 2, [WIRE_UINT32] = 4, [WIRE_FLOAT64] = 8, [WIRE_UUID] = 16,
};

const uint8_t kind_c_size[] = {
    [WIRE_BOOL] = sizeof(bool),          [WIRE_INT8] = sizeof(int8_t),
    [WIRE_INT16] = sizeof(int16_t),      [WIRE_INT32] = sizeof(int32_t),
    [WIRE_INT64] = sizeof(int64_t),      [WIRE_UINT16] = sizeof(uint16_t),
    [WIRE_UINT32] = sizeof(uint32_t),    [WIRE_FLOAT64] = sizeof(double),
    [WIRE_UUID] = sizeof(struct uuid),   [WIRE_STRING] = sizeof(struct text),
    [WIRE_BYTES] = sizeof(struct bytes), [WIRE_RECORDS] = sizeof(struct records),
};

const struct wire_api *wire_api_find(int16_t key)
{
    unsigned from = 0, to = wire_api_count;
    while (from < to) {
        unsigned middle = (from + to) / 2;
        if (wire_apis[middle]->key < key) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < wire_api_count && wire_apis[from]->key == key ? wire_apis[from] : NULL;
}

int16_t wire_request_header_version(const struct wire_api *api, int16_t version)
{
    return wire_is_flexible(api, version) ? 2 : 1;
}

int16_t wire_response_header_version(const struct wire_api *api, int16_t version)
{
    return wire_is_flexible(api, version) && api != &wire_api_versions ? 1 : 0;
}

/* ---- defaults ---------------------------------------------------------------------------------*/

void wire_defaults(const struct wire_struct *s, void *out)
{
    memcpy(out, s->defaults, s->size);
}

static bool struct_is_default(const struct wire_struct *s, const void *in)
{
    for (unsigned i = 0; i < s->n_fields; i++) {
        if (!field_is_default(s, &s->fields[i], in)) {
            return false;
        }
    }
    return true;
}

bool field_is_default(const struct wire_struct *s, const struct wire_field *f, const void *in)
{
    const void *at = (const uint8_t *)in + f->offset;
    const void *usual = (const uint8_t *)s->defaults + f->offset;
    const struct text *text = at, *usual_text = usual;
    const struct bytes *bytes = at, *usual_bytes = usual;
    const struct records *records = at, *usual_records = usual;

    switch (f->kind) {
    case WIRE_STRING:
        return text_equal(*text, *usual_text);
    case WIRE_BYTES:
        return bytes->len == 0 && (bytes->data == NULL) == (usual_bytes->data == NULL);
    case WIRE_RECORDS:
        return records->chain == NULL && records->view.len == 0 &&
               (records->view.data == NULL) == (usual_records->view.data == NULL);
    case WIRE_ARRAY:
        return field_n(f, in) == field_n(f, s->defaults);
    case WIRE_STRUCT:
        return field_is_pointer(f) ? load_pointer(at) == NULL : struct_is_default(f->of, at);
    default:
        return memcmp(at, usual, kind_c_size[f->kind]) == 0;
    }
}
