/* Writes the C header: a struct for each message and each nested element, with the documentation of
 * the schema text, and the declaration of its table. */
#include "schemac.h"

#include <stdio.h>

enum { COLUMNS = 100, WIDTH = 36 }; /* of a line; of declarations whose comments are aligned */

static struct text c_type(struct arena *arena, const struct field *f, uint8_t kind)
{
    static const char *const types[] = {
        [WIRE_BOOL] = "bool ",          [WIRE_INT8] = "int8_t ",
        [WIRE_INT16] = "int16_t ",      [WIRE_INT32] = "int32_t ",
        [WIRE_INT64] = "int64_t ",      [WIRE_UINT16] = "uint16_t ",
        [WIRE_UINT32] = "uint32_t ",    [WIRE_FLOAT64] = "double ",
        [WIRE_UUID] = "struct uuid ",   [WIRE_STRING] = "struct text ",
        [WIRE_BYTES] = "struct bytes ", [WIRE_RECORDS] = "struct records ",
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
    bool pointer =
        f->kind == WIRE_ARRAY || (f->kind == WIRE_STRUCT && f->nullable.since <= f->nullable.until);
    return arena_printf(arena, "%.*s%s%.*s;", TEXT_ARG(type), pointer ? "*" : "",
                        TEXT_ARG(f->name));
}

static void add_remark(struct buf *to, struct text remark)
{
    buf_printf(to, "%s%.*s", to->len > 0 ? ", " : "", TEXT_ARG(remark));
}

static void add_null_remark(struct arena *arena, const struct field *f, struct buf *to)
{
    if (f->nullable.since > f->nullable.until) {
        return;
    }
    if (f->default_null) {
        add_remark(to, text_of("null by default"));
    } else {
        add_remark(to, text_of("can be null"));
    }
    if (f->nullable.since > f->in.since || f->nullable.until < f->in.until) {
        buf_printf(to, " in v%.*s", TEXT_ARG(versions_text(arena, f->nullable)));
    }
}

/* "v3+, default -1; what it means", or empty. */
static void remarks(struct arena *arena, const struct field *f, struct buf *to)
{
    if (f->in.since != 0 || f->in.until != WIRE_NEVER) {
        add_remark(to, arena_printf(arena, "v%.*s", TEXT_ARG(versions_text(arena, f->in))));
    }
    if (f->tag >= 0) {
        add_remark(to, arena_printf(arena, "tag %d", f->tag));
    }
    if (f->is_error) {
        add_remark(to, text_of("enum kafka_error"));
    }
    add_null_remark(arena, f, to);
    if (f->default_int != 0) {
        add_remark(
            to, arena_printf(arena, "default %.*s", TEXT_ARG(number_text(arena, f->default_int))));
    }
    if (f->secret) {
        add_remark(to, text_of("secret"));
    }
    if (f->doc.data != NULL) {
        buf_printf(to, "%s%.*s", to->len > 0 ? "; " : "", TEXT_ARG(f->doc));
    }
}

/* Appends `text` as a comment, broken into lines of at most COLUMNS, behind `indent` spaces. */
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
    } else if (4 + max_u64((uint64_t)width, line.len) + 7 + note.len <= COLUMNS) {
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
        width = len > width && len <= WIDTH ? len : width;
    }
    buf_printf(out, "struct %.*s {\n", TEXT_ARG(shape->c_name));
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        put_field(arena, out, f, (int)width);
    }
    if (shape->fields == NULL) {
        buf_printf(out, "    char nothing; /* no version has a field */\n");
    }
    buf_printf(out, "};\n\n");
}

static void put_externs(struct buf *out, const struct message *message)
{
    for (const struct shape *s = message->shapes; s != NULL; s = s->next) {
        bool fits = 2 * s->c_name.len + strlen("extern const struct  _default;") <= COLUMNS;
        buf_printf(out, "extern const struct %.*s%s%.*s_default;\n", TEXT_ARG(s->c_name),
                   fits ? " " : "\n    ", TEXT_ARG(s->c_name));
    }
}

static void put_api(struct arena *arena, struct buf *out, const struct schema *schema,
                    const struct api *api)
{
    struct text versions = versions_text(arena, api->in);
    struct text flexible = api->flexible_since == WIRE_NEVER
                               ? text_of("never flexible")
                               : arena_printf(arena, "flexible %d+", api->flexible_since);
    struct text key = api->key < 0 ? text_of("A record") : arena_printf(arena, "Key %d", api->key);
    struct text head = arena_printf(arena, "%.*s%s%.*s, versions %.*s, %.*s.", TEXT_ARG(api->doc),
                                    api->doc.len > 0 ? " " : "", TEXT_ARG(key), TEXT_ARG(versions),
                                    TEXT_ARG(flexible));
    put_comment(out, 0, head);
    for (const struct shape *s = api->request.shapes; s != NULL; s = s->next) {
        put_shape(arena, out, s);
    }
    for (const struct shape *s = api->response.shapes; s != NULL; s = s->next) {
        put_shape(arena, out, s);
    }
    put_externs(out, &api->request);
    put_externs(out, &api->response);
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
               " * tag, null, default; meaning. How types look in C: <chronik/wire/schema.h>. */\n"
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
