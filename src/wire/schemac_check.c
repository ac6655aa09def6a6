/* What can only be checked once an API is read as a whole: version ranges, tags, name clashes; and
 * what is computed from the whole: the versions that use a struct, its least size. */
#include "schemac.h"

static struct versions overlap(struct versions a, struct versions b)
{
    return (struct versions){
        .since = a.since > b.since ? a.since : b.since,
        .until = a.until < b.until ? a.until : b.until,
    };
}

static bool is_none(struct versions v)
{
    return v.since > v.until;
}

/* Notes that `shape` is used in versions `v`, and what it contains too. */
static void use_shape(struct shape *shape, struct versions v)
{
    if (is_none(v)) {
        return;
    }
    shape->in.since = v.since < shape->in.since ? v.since : shape->in.since;
    shape->in.until = v.until > shape->in.until ? v.until : shape->in.until;
    for (struct field *f = shape->fields; f != NULL; f = f->next) {
        if (f->of != NULL) {
            use_shape(f->of, overlap(f->in, v));
        }
    }
}

static void check_field(const struct api *api, const struct shape *shape, const struct field *f)
{
    struct versions in = overlap(f->in, shape->in);
    if (is_none(in)) {
        fail(api->file, f->line, "no version has this field: its struct is used in %d-%d",
             shape->in.since, shape->in.until);
    }
    if (!is_none(f->nullable) && is_none(overlap(f->nullable, in))) {
        fail(api->file, f->line, "no version of this field can be null");
    }
    if (f->default_null && (f->nullable.since > in.since || f->nullable.until < in.until)) {
        fail(api->file, f->line, "null is the default, but not in every version allowed");
    }
    if (f->tag >= 0 && in.since < api->flexible_since) {
        fail(api->file, f->line, "a tagged field before version %d, the first flexible one",
             api->flexible_since);
    }
    for (const struct field *g = f->next; g != NULL && f->tag >= 0; g = g->next) {
        if (g->tag == f->tag && !is_none(overlap(g->in, f->in))) {
            fail(api->file, f->line, "tag %d is also used at line %d", f->tag, g->line);
        }
    }
    if (f->kind == WIRE_ARRAY && f->of != NULL && shape_min_size(api, f->of) == 0) {
        fail(api->file, f->line, "the elements of this array take no bytes in some version");
    }
}

static void check_message(const struct api *api, struct message *message)
{
    use_shape(message->root, api->in);
    for (struct shape *shape = message->shapes; shape != NULL; shape = shape->next) {
        for (struct field *f = shape->fields; f != NULL; f = f->next) {
            check_field(api, shape, f);
        }
    }
}

void schema_check(struct schema *schema)
{
    for (struct api *api = schema->apis; api != NULL; api = api->next) {
        if (api->request.root == NULL || (!api->is_record && api->response.root == NULL)) {
            fail(api->file, api->line, "an api has a 'request' and a 'response'");
        }
        for (struct api *other = api->next; other != NULL; other = other->next) {
            if (text_equal(api->name, other->name) || (api->key >= 0 && api->key == other->key)) {
                fail(other->file, other->line, "name or key is also used at %s:%d", api->file,
                     api->line);
            }
        }
        check_message(api, &api->request);
        if (!api->is_record) {
            check_message(api, &api->response);
        }
    }
}

/* ---- least sizes ------------------------------------------------------------------------------*/

static unsigned size_in(const struct api *api, const struct shape *shape, int version);

static unsigned field_size_in(const struct api *api, const struct field *f, int version)
{
    static const unsigned fixed[] = {
        [WIRE_BOOL] = 1,   [WIRE_INT8] = 1,    [WIRE_INT16] = 2,
        [WIRE_INT32] = 4,  [WIRE_INT64] = 8,   [WIRE_UINT16] = 2,
        [WIRE_UINT32] = 4, [WIRE_FLOAT64] = 8, [WIRE_UUID] = 16,
    };
    bool flexible = version >= api->flexible_since;
    if (f->tag >= 0 || !versions_have(f->in, version)) {
        return 0;
    }
    switch (f->kind) {
    case WIRE_STRING:
        return flexible ? 1 : 2;
    case WIRE_BYTES:
    case WIRE_RECORDS:
    case WIRE_ARRAY:
        return flexible ? 1 : 4;
    case WIRE_STRUCT:
        return is_none(f->nullable) ? size_in(api, f->of, version) : 1;
    default:
        return fixed[f->kind];
    }
}

static unsigned size_in(const struct api *api, const struct shape *shape, int version)
{
    unsigned size = version >= api->flexible_since ? 1 : 0;
    for (const struct field *f = shape->fields; f != NULL; f = f->next) {
        size += field_size_in(api, f, version);
    }
    return size;
}

unsigned shape_min_size(const struct api *api, const struct shape *shape)
{
    unsigned least = size_in(api, shape, shape->in.since);
    for (int v = shape->in.since + 1; v <= shape->in.until; v++) {
        unsigned size = size_in(api, shape, v);
        least = size < least ? size : least;
    }
    return least;
}
