/* Walking a message by its table. */
#include "walk.h"

/* In memory; 0: not a plain value. */
static const size_t SIZE[] = {
    [WIRE_BOOL] = sizeof(bool),          [WIRE_INT8] = 1,
    [WIRE_INT16] = 2,                    [WIRE_INT32] = 4,
    [WIRE_INT64] = 8,                    [WIRE_UINT16] = 2,
    [WIRE_UINT32] = 4,                   [WIRE_FLOAT64] = 8,
    [WIRE_UUID] = sizeof(struct uuid),   [WIRE_STRING] = sizeof(struct text),
    [WIRE_BYTES] = sizeof(struct bytes), [WIRE_RECORDS] = sizeof(struct records),
    [WIRE_STRUCT] = 0,                   [WIRE_ARRAY] = 0,
};

static void walk_value(const struct wire_field *f, uint8_t kind, int16_t version, void *value,
                       walk_visit *visit, void *arg)
{
    if (kind == WIRE_STRUCT) {
        walk(f->of, version, value, visit, arg);
    } else {
        visit(arg, f, kind, value);
    }
}

static void walk_array(const struct wire_field *f, int16_t version, uint8_t *body,
                       walk_visit *visit, void *arg)
{
    size_t size = f->element == WIRE_STRUCT ? f->of->size : SIZE[f->element];
    uint8_t *items;
    int32_t n;
    memcpy(&items, body + f->offset, sizeof items);
    memcpy(&n, body + f->count_offset, sizeof n);
    for (int32_t i = 0; i < n; i++) {
        walk_value(f, f->element, version, items + (size_t)i * size, visit, arg);
    }
}

void walk(const struct wire_struct *s, int16_t version, void *body, walk_visit *visit, void *arg)
{
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        void *value = (uint8_t *)body + f->offset;
        if (version < f->since || version > f->until) {
            continue;
        }
        if (f->kind == WIRE_ARRAY) {
            walk_array(f, version, body, visit, arg);
        } else if (f->kind == WIRE_STRUCT && f->nullable_since <= f->nullable_until) {
            void *inner;
            memcpy(&inner, value, sizeof inner);
            if (inner != NULL) {
                walk(f->of, version, inner, visit, arg);
            }
        } else {
            walk_value(f, f->kind, version, value, visit, arg);
        }
    }
}
