/* Writes the C header: a struct for each message and each nested element, with the documentation of
 * the schema text, and the declaration of its table. */
#include "schemac.h"

#include <stdio.h>

enum { COLUMNS = 100 };

struct text versions_text(struct arena *arena, struct versions v)
{
    if (v.until == WIRE_NEVER) {
        return arena_printf(arena, "%d+", v.since);
    }
    return v.since == v.until ? arena_printf(arena, "%d", v.since)
                              : arena_printf(arena, "%d-%d", v.since, v.until);
}

static struct text c_type(struct arena *arena, const struct field *f, uint8_t kind)
{
    static const char *const types[] = {
        [WIRE_BOOL] = "bool ",         [WIRE_INT8] = "int8_t ",      [WIRE_INT16] = "int16_t ",
        [WIRE_INT32] = "int32_t ",     [WIRE_INT64] = "int64_t ",    [WIRE_UINT16] = "uint16_t ",
        [WIRE_UINT32] = "uint32_t ",   [WIRE_FLOAT64] = "double ",   [WIRE_UUID] = "struct uuid ",
        [WIRE_STRING] = "struct text ", [WIRE_BYTES] = "struct bytes ",
        [WIRE_RECORDS] = "struct records ",
    };
    if (kind == WIRE_STRUCT) {
        return arena_printf(arena, "struct %.*s ", TEXT_ARG(f->of->c_name));
    }
    return text_of(types[kind]);
}

static struct text declaration(struct arena *arena, const struct field *f)
{
    uint8_t kind = f->kind == WIRE_ARRAY ? f->element : f->kind;
    struct text type = c_type(arena, f, kind);
    bool pointer = f->kind == WIRE_ARRAY ||
                   (f->kind == WIRE_STRUCT && f->nullable.since <= f->nullable.until);
    return arena_printf(arena, "%.*s%s%.*s;", TEXT_ARG(type), pointer ? "*" : "",
                        TEXT_ARG(f->name));
}

static void add_remark(struct buf *to, struct text remark)
{
    if (remark.len > 0) {
        buf_printf(to, "%s%.*s", to->len > 0 ? "; " : "", TEXT_ARG(remark));
    }
}

/* "3+; can be null; default -1; what it means", or empty. */
static void remarks(struct arena *arena, const struct field *f, struct buf *to)
{
    if (f->in.since != 0 || f->in.until != WIRE_NEVER) {
        add_remark(to, arena_printf(arena, "v%.*s", TEXT_ARG(versions_text(arena, f->in))));
    }
    if (f->nullable.since <= f->nullable.until) {
        bool always = f->nullable.since <= f->in.since && f->nullable.until >= f->in.until;
        add_remark(to, always ? text_of("can be null")
                              : arena_printf(arena, "can be null in v%.*s",
                                             TEXT_ARG(versions_text(arena, f->nullable))));
    }
    if (f->default_null || f->default_int != 0) {
        add_remark(to, f->default_null
                           ? text_of("default null")
                           : arena_printf(arena, "default %lld", (long long)f->default_int));
    }
    if (f->tag >= 0) {
        add_remark(to, arena_printf(arena, "tag %d", f->tag));
    }
    if (f->is_error) {
        add_remark(to, text_of("enum kafka_error"));
    }
    if (f->secret) {
        add_remark(to, text_of("secret"));
    }
    if (f->doc.data != NULL) {
        add_remark(to, f->doc);
    }
}

/* Appends `text` as a comment, broken into lines of at most COLUMNS, each behind `indent` spaces. */
static void put_comment(struct buf *out, int indent, struct text text)
{
    size_t room = (size_t)(COLUMNS - indent - 6);
    const char *begin = "/*";
    while (text.len > 0) {
        size_t len = text.len;
        if (len > room) {
            for (len = room; len > 0 && text.data[len] != ' ';) {
                len--;
            }
            len = len == 0 ? room : len;
        }
        struct text line = text_trim(text_part(text.data, len));
        buf_printf(out, "%*s%s %.*s", indent, "", begin, TEXT_ARG(line));
        text = text_trim(text_part(text.data + len, text.len - len));
        buf_printf(out, "%s\n", text.len > 0 ? "" : " */");
        begin = " *";
    }
}

static void put_field(struct arena *arena, struct buf *out, const struct field *f, int width)
{
    struct buf note = { 0 };
    struct text line = declaration(arena, f);
    remarks(arena, f, &note);
    struct text text = text_part((const char *)note.data, note.len);

    if (note.len == 0) {
        buf_printf(out, "    %.*s\n", TEXT_ARG(line));
    } else if (4 + (size_t)width + 7 + note.len <= COLUMNS) {
        buf_printf(out, "    %-*.*s /* %.*s */\n", width, TEXT_ARG(line), TEXT_ARG(text));
    } else {
        put_comment(out, 4, text);
        buf_printf(out, "    %.*s\n", TEXT_ARG(line));
    }
    if (f->kind == WIRE_ARRAY) {
        buf_printf(out, "    int32_t n_%.*s;\n", TEXT_ARG(f->name));
    }
    buf_release(&note);
}

static void put_shape(struct arena *arena, struct buf *out, const struct shape *shape)
{
    size_t width = 0;
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        size_t len = declaration(arena, f).len;
        width = len > width ? len : width;
    }
    buf_printf(out, "struct %.*s {\n", TEXT_ARG(shape->c_name));
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        put_field(arena, out, f, (int)width);
    }
    if (shape->fields == NULL) {
        buf_printf(out, "    char nothing; /* no version has a field */\n");
    }
    buf_printf(out, "};\nextern const struct %.*s %.*s_default;\n\n", TEXT_ARG(shape->c_name),
               TEXT_ARG(shape->c_name));
}

static void put_api(struct arena *arena, struct buf *out, const struct schema *schema,
                    const struct api *api)
{
    struct text versions = versions_text(arena, api->in);
    struct text flexible = api->flexible_since == WIRE_NEVER
                               ? text_of("never flexible")
                               : arena_printf(arena, "flexible %d+", api->flexible_since);
    struct text head =
        arena_printf(arena, "%.*s%s%sKey %d, versions %.*s, %.*s.", TEXT_ARG(api->doc),
                     api->doc.len > 0 ? " " : "", api->is_record ? "A record. " : "", api->key,
                     TEXT_ARG(versions), TEXT_ARG(flexible));
    put_comment(out, 0, head);
    for (const struct shape *s = api->request.shapes; s != NULL; s = s->next) {
        put_shape(arena, out, s);
    }
    for (const struct shape *s = api->response.shapes; s != NULL; s = s->next) {
        put_shape(arena, out, s);
    }
    buf_printf(out, "extern const struct wire_api %.*s_%.*s;\n\n", TEXT_ARG(schema->layer),
               TEXT_ARG(api->name));
}

static struct text upper(struct arena *arena, struct text t)
{
    char *copy = arena_dup(arena, t.data, t.len);
    for (size_t i = 0; i < t.len; i++) {
        copy[i] = (char)(copy[i] >= 'a' && copy[i] <= 'z' ? copy[i] - 'a' + 'A' : copy[i]);
    }
    return text_part(copy, t.len);
}

void schema_write_header(const struct schema *schema, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text layer = upper(&arena, schema->layer), unit = upper(&arena, schema->unit);

    buf_printf(out,
               "/* Written by schemac from the schema texts of src/%.*s: change those.\n"
               " *\n"
               " * In the comments: the versions that have the field (all, where none are given),\n"
               " * null, default, tag, meaning. <chronik/wire/schema.h> says how types look in C. */\n"
               "#ifndef CHRONIK_%.*s_%.*s_H\n#define CHRONIK_%.*s_%.*s_H\n\n"
               "#include <chronik/wire/schema.h>\n\n",
               TEXT_ARG(schema->layer), TEXT_ARG(layer), TEXT_ARG(unit), TEXT_ARG(layer),
               TEXT_ARG(unit));
    for (const struct api *api = schema->apis; api != NULL; api = api->next) {
        put_api(&arena, out, schema, api);
    }
    buf_printf(out,
               "/* All of them, by key. */\n"
               "extern const struct wire_api *const %.*s_%.*ss[];\n"
               "extern const unsigned %.*s_%.*s_count;\n\n#endif\n",
               TEXT_ARG(schema->layer), TEXT_ARG(schema->unit), TEXT_ARG(schema->layer),
               TEXT_ARG(schema->unit));
    arena_release(&arena);
}
