/* Writes the tables: for each struct its fields, for each API its head, and the list of all. */
#include "schemac.h"

static const char *kind_constant(uint8_t kind)
{
    static const char *const names[] = {
        [WIRE_BOOL] = "WIRE_BOOL",     [WIRE_INT8] = "WIRE_INT8",
        [WIRE_INT16] = "WIRE_INT16",   [WIRE_INT32] = "WIRE_INT32",
        [WIRE_INT64] = "WIRE_INT64",   [WIRE_UINT16] = "WIRE_UINT16",
        [WIRE_UINT32] = "WIRE_UINT32", [WIRE_FLOAT64] = "WIRE_FLOAT64",
        [WIRE_UUID] = "WIRE_UUID",     [WIRE_STRING] = "WIRE_STRING",
        [WIRE_BYTES] = "WIRE_BYTES",   [WIRE_RECORDS] = "WIRE_RECORDS",
        [WIRE_STRUCT] = "WIRE_STRUCT", [WIRE_ARRAY] = "WIRE_ARRAY",
    };
    return names[kind];
}

static void put_field(struct buf *out, const struct shape *shape, const struct field *f)
{
    buf_printf(out, "    { .name = \"%.*s\", .kind = %s,", TEXT_ARG(f->name),
               kind_constant(f->kind));
    buf_printf(out, " .offset = offsetof(struct %.*s, %.*s),\n     ", TEXT_ARG(shape->c_name),
               TEXT_ARG(f->name));
    buf_printf(out, " .since = %d, .until = %d, .nullable_since = %d, .nullable_until = %d,",
               f->in.since, f->in.until, f->nullable.since, f->nullable.until);
    buf_printf(out, " .tag = %d,", f->tag);
    if (f->kind == WIRE_ARRAY) {
        buf_printf(out, "\n      .element = %s, .count_offset = offsetof(struct %.*s, n_%.*s),",
                   kind_constant(f->element), TEXT_ARG(shape->c_name), TEXT_ARG(f->name));
    }
    if (f->of != NULL) {
        buf_printf(out, " .of = &%.*s_table,", TEXT_ARG(f->of->c_name));
    }
    if (f->is_error) {
        buf_printf(out, " .is_error = true,");
    }
    if (f->secret) {
        buf_printf(out, " .secret = true,");
    }
    buf_printf(out, " },\n");
}

/* The initialisers of what does not begin as zero: .a = 1, .b = { .c = 2, }, */
static void put_defaults(struct buf *out, const struct shape *shape)
{
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        bool null = f->default_null;
        bool pointer = f->nullable.since <= f->nullable.until;

        if (f->kind == WIRE_ARRAY && null) {
            buf_printf(out, " .n_%.*s = -1,", TEXT_ARG(f->name));
        } else if (f->kind == WIRE_STRING && !null) {
            buf_printf(out, " .%.*s = { .data = \"\" },", TEXT_ARG(f->name));
        } else if (f->kind == WIRE_BYTES && !null) {
            buf_printf(out, " .%.*s = { .data = (const uint8_t *)\"\" },", TEXT_ARG(f->name));
        } else if (f->kind == WIRE_RECORDS && !null) {
            buf_printf(out, " .%.*s = { .view = { .data = (const uint8_t *)\"\" } },",
                       TEXT_ARG(f->name));
        } else if (f->kind == WIRE_STRUCT && !pointer) {
            buf_printf(out, " .%.*s = {", TEXT_ARG(f->name));
            put_defaults(out, f->of);
            buf_printf(out, " },");
        } else if (f->default_int != 0) {
            buf_printf(out, " .%.*s = %lld,", TEXT_ARG(f->name), (long long)f->default_int);
        }
    }
}

static void put_shape(struct buf *out, const struct api *api, const struct shape *shape)
{
    unsigned n_fields = 0, n_untagged = 0;
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        n_fields++;
        n_untagged += f->tag < 0;
    }
    if (n_fields > 0) {
        buf_printf(out, "static const struct wire_field %.*s_fields[] = {\n",
                   TEXT_ARG(shape->c_name));
        for (const struct field *f = shape->fields; f != NULL; f = f->next) {
            put_field(out, shape, f);
        }
        buf_printf(out, "};\n");
    }
    buf_printf(out, "const struct %.*s %.*s_default = {", TEXT_ARG(shape->c_name),
               TEXT_ARG(shape->c_name));
    put_defaults(out, shape);
    buf_printf(out, " };\n");
    buf_printf(out, "static const struct wire_struct %.*s_table = {\n", TEXT_ARG(shape->c_name));
    buf_printf(out, "    .name = \"%.*s\", .size = sizeof(struct %.*s), .min_size = %u,\n",
               TEXT_ARG(shape->c_name), TEXT_ARG(shape->c_name), shape_min_size(api, shape));
    buf_printf(out, "    .defaults = &%.*s_default,\n", TEXT_ARG(shape->c_name));
    if (n_fields > 0) {
        buf_printf(out, "    .fields = %.*s_fields, .n_fields = %u, .n_untagged = %u,\n",
                   TEXT_ARG(shape->c_name), n_fields, n_untagged);
    }
    buf_printf(out, "};\n\n");
}

static void put_api(struct buf *out, const struct schema *schema, const struct api *api)
{
    for (const struct shape *s = api->request.shapes; s != NULL; s = s->next) {
        put_shape(out, api, s);
    }
    for (const struct shape *s = api->response.shapes; s != NULL; s = s->next) {
        put_shape(out, api, s);
    }
    buf_printf(out, "const struct wire_api %.*s_%.*s = {\n", TEXT_ARG(schema->layer),
               TEXT_ARG(api->name));
    buf_printf(out, "    .key = %d, .name = \"%.*s\", .min_version = %d, .max_version = %d,\n",
               api->key, TEXT_ARG(api->name), api->in.since, api->in.until);
    buf_printf(out, "    .advertised_min = %d, .advertised_max = %d, .flexible_since = %d,\n",
               api->advertised.since, api->advertised.until, api->flexible_since);
    buf_printf(out, "    .request = &%.*s_table,", TEXT_ARG(api->request.root->c_name));
    if (!api->is_record) {
        buf_printf(out, " .response = &%.*s_table,", TEXT_ARG(api->response.root->c_name));
    }
    buf_printf(out, "\n};\n\n");
}

void schema_write_source(const struct schema *schema, struct buf *out)
{
    unsigned n = 0;
    buf_printf(out, "/* Written by schemac: the tables of <chronik/%.*s/%.*s.h>. */\n",
               TEXT_ARG(schema->layer), TEXT_ARG(schema->unit));
    buf_printf(out, "#include <chronik/%.*s/%.*s.h>\n\n", TEXT_ARG(schema->layer),
               TEXT_ARG(schema->unit));
    for (const struct api *api = schema->apis; api != NULL; api = api->next) {
        put_api(out, schema, api);
        n++;
    }
    buf_printf(out, "const struct wire_api *const %.*s_%.*ss[] = {\n", TEXT_ARG(schema->layer),
               TEXT_ARG(schema->unit));
    for (const struct api *api = schema->apis; api != NULL; api = api->next) {
        buf_printf(out, "    &%.*s_%.*s,\n", TEXT_ARG(schema->layer), TEXT_ARG(api->name));
    }
    buf_printf(out, "};\nconst unsigned %.*s_%.*s_count = %u;\n", TEXT_ARG(schema->layer),
               TEXT_ARG(schema->unit), n);
}
