/* Writes docs/protocol.md: every message, field by field, for readers. */
#include "schemac.h"

static struct text type_text(struct arena *arena, const struct field *f)
{
    const char *kind =
        f->is_error ? "error" : kind_text(f->kind == WIRE_ARRAY ? f->element : f->kind);
    struct text base = f->of != NULL ? f->of->name : text_of(kind);
    return arena_printf(arena, "%s%.*s", f->kind == WIRE_ARRAY ? "[]" : "", TEXT_ARG(base));
}

static struct text null_text(struct arena *arena, const struct field *f)
{
    if (f->nullable.since > f->nullable.until) {
        return text_of("");
    }
    bool always = f->nullable.since <= f->in.since && f->nullable.until >= f->in.until;
    return always ? text_of("yes") : versions_text(arena, f->nullable);
}

static struct text default_text(struct arena *arena, const struct field *f)
{
    if (f->default_null) {
        return text_of("null");
    }
    if (f->default_int == 0) {
        return text_of("");
    }
    return f->kind == WIRE_BOOL ? text_of("true") : number_text(arena, f->default_int);
}

/* The rows of one struct, and below each field of a new struct the rows of that. */
static void put_rows(struct arena *arena, struct buf *out, const struct shape *shape,
                     unsigned level)
{
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        struct text in = versions_text(arena, f->in);
        bool all = f->in.since == 0 && f->in.until == WIRE_NEVER;

        buf_printf(out, "| ");
        for (unsigned i = 0; i < level; i++) {
            buf_printf(out, "&nbsp;&nbsp;");
        }
        buf_printf(out, "`%.*s` | %.*s | %.*s | %.*s | %.*s | ", TEXT_ARG(f->name),
                   TEXT_ARG(type_text(arena, f)), TEXT_ARG(all ? text_of("") : in),
                   TEXT_ARG(null_text(arena, f)), TEXT_ARG(default_text(arena, f)));
        struct text tag = f->tag < 0 ? text_of("") : arena_printf(arena, "%d", f->tag);
        struct text doc = f->doc.data != NULL ? f->doc : text_of("");
        const char *secret = f->secret ? "secret" : "";
        buf_printf(out, "%.*s | %s%s%.*s |\n", TEXT_ARG(tag), secret,
                   f->secret && doc.len > 0 ? "; " : "", TEXT_ARG(doc));
        if (f->of != NULL && f->of->line == f->line) {
            put_rows(arena, out, f->of, level + 1);
        }
    }
}

static void put_message(struct arena *arena, struct buf *out, const char *what,
                        const struct message *message)
{
    if (message->root->fields == NULL) {
        buf_printf(out, "%s: no fields.\n\n", what);
        return;
    }
    buf_printf(out,
               "%s:\n\n| field | type | versions | null | default | tag | |\n"
               "|---|---|---|---|---|---|---|\n",
               what);
    put_rows(arena, out, message->root, 0);
    buf_printf(out, "\n");
}

static void put_head(struct arena *arena, struct buf *out, const struct api *api)
{
    struct text key = api->key < 0 ? text_of("") : arena_printf(arena, "%d ", api->key);

    buf_printf(out, "## %.*s%.*s\n\n", TEXT_ARG(key), TEXT_ARG(api->name));
    if (api->doc.len > 0) {
        buf_printf(out, "%.*s\n\n", TEXT_ARG(api->doc));
    }
    buf_printf(out, "Versions %.*s", TEXT_ARG(versions_text(arena, api->in)));
    if (memcmp(&api->advertised, &api->in, sizeof api->in) != 0) {
        buf_printf(out, ", advertised %.*s", TEXT_ARG(versions_text(arena, api->advertised)));
    }
    if (api->flexible_since == WIRE_NEVER) {
        buf_printf(out, ", never flexible.\n\n");
    } else {
        buf_printf(out, ", flexible from %d on.\n\n", api->flexible_since);
    }
}

void schema_write_doc(const struct schema *schema, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    buf_printf(out,
               "# Messages\n\n"
               "Written by `schemac --doc` from the schema texts in `src/%.*s`; do not edit.\n"
               "An empty cell under *versions* means all versions. An API is advertised once it\n"
               "has a handler (`src/api/table.c`).\n\n",
               TEXT_ARG(schema->layer));
    for (const struct api *api = schema->apis; api != NULL; api = api->next) {
        put_head(&arena, out, api);
        put_message(&arena, out, api->is_record ? "Record" : "Request", &api->request);
        if (!api->is_record) {
            put_message(&arena, out, "Response", &api->response);
        }
    }
    arena_release(&arena);
}
