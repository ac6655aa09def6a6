/* Reads a schema text, line by line, into the model of schemac.h.
 *
 * The reader keeps a stack of the structs whose fields may follow: a line's indentation says to
 * which of them it belongs. Mistakes end the program with a message; there is no recovery. */
#include "schemac.h"

#include <stdio.h>

enum { DEPTH_MAX = 8, WORDS_MAX = 16, INDENT = 2 };

struct reader {
    struct schema *schema;
    const char *file;
    int line;
    struct text words[WORDS_MAX];
    unsigned n_words, next_word;
    struct text trailing; /* the comment at the end of the line */
    struct text doc;      /* the comments above the line */
    struct api *api;
    struct message *message; /* NULL: outside of one */
    struct shape *stack[DEPTH_MAX];
    unsigned depth; /* structs on the stack */
};

#define FAIL(r, ...) fail((r)->file, (r)->line, __VA_ARGS__)

static const struct {
    const char *text;
    enum wire_kind kind;
} kinds[] = {
    { "bool", WIRE_BOOL },     { "int8", WIRE_INT8 },       { "int16", WIRE_INT16 },
    { "int32", WIRE_INT32 },   { "int64", WIRE_INT64 },     { "uint16", WIRE_UINT16 },
    { "uint32", WIRE_UINT32 }, { "float64", WIRE_FLOAT64 }, { "uuid", WIRE_UUID },
    { "string", WIRE_STRING }, { "bytes", WIRE_BYTES },     { "records", WIRE_RECORDS },
};

const char *kind_text(uint8_t kind)
{
    for (size_t i = 0; i < countof(kinds); i++) {
        if (kinds[i].kind == kind) {
            return kinds[i].text;
        }
    }
    return "struct";
}

/* ---- words ------------------------------------------------------------------------------------*/

static struct text peek(const struct reader *r)
{
    return r->next_word < r->n_words ? r->words[r->next_word] : TEXT_NULL;
}

static bool accept(struct reader *r, const char *word)
{
    if (text_is(peek(r), word)) {
        r->next_word++;
        return true;
    }
    return false;
}

static struct text expect(struct reader *r, const char *what)
{
    struct text word = peek(r);
    if (word.data == NULL) {
        FAIL(r, "%s is missing here", what);
    }
    r->next_word++;
    return word;
}

static int64_t parse_number(struct reader *r, struct text word, int64_t min, int64_t max)
{
    int64_t n;
    if (!number_parse(word, &n) || n < min || n > max) {
        FAIL(r, "'%.*s' is not a number from %lld to %lld", TEXT_ARG(word), (long long)min,
             (long long)max);
    }
    return n;
}

/* N+, A-B or N. */
static struct versions parse_versions(struct reader *r, struct text word)
{
    struct versions v;
    struct text rest = word;
    if (word.len > 1 && word.data[word.len - 1] == '+') {
        v.since = (int16_t)parse_number(r, text_part(word.data, word.len - 1), 0, WIRE_NEVER - 1);
        v.until = WIRE_NEVER;
        return v;
    }
    v.since = (int16_t)parse_number(r, text_cut(&rest, '-'), 0, WIRE_NEVER - 1);
    v.until = v.since;
    if (rest.data != NULL) {
        v.until = (int16_t)parse_number(r, rest, v.since, WIRE_NEVER - 1);
    }
    return v;
}

static void check_name(struct reader *r, struct text name)
{
    static const char *const keywords[] = {
        "auto",  "bool",     "break",  "case",     "char",   "const",    "continue", "default",
        "do",    "double",   "else",   "enum",     "extern", "false",    "float",    "for",
        "goto",  "if",       "inline", "int",      "long",   "register", "restrict", "return",
        "short", "signed",   "sizeof", "static",   "struct", "switch",   "true",     "typedef",
        "union", "unsigned", "void",   "volatile", "while",
    };
    for (size_t i = 0; i < countof(keywords); i++) {
        if (text_is(name, keywords[i])) {
            FAIL(r, "'%s' is a keyword of C: choose another name", keywords[i]);
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool letter = c >= 'a' && c <= 'z';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_'))) {
            FAIL(r, "'%.*s' is not a name: a-z, then a-z 0-9 _", TEXT_ARG(name));
        }
    }
}

/* ---- structs and fields -----------------------------------------------------------------------*/

static void push_shape(struct reader *r, struct text name, struct text c_name)
{
    struct shape *shape = arena_zalloc(&r->schema->arena, sizeof *shape);
    *shape = (struct shape){
        .name = name,
        .c_name = c_name,
        .in = VERSIONS_NONE,
        .open = true,
        .line = r->line,
    };
    if (r->depth == DEPTH_MAX) {
        FAIL(r, "structs may be nested %d deep", DEPTH_MAX);
    }
    r->stack[r->depth++] = shape;
}

/* Ends the definitions deeper than `depth`: adds them to the message. */
static void pop_shapes(struct reader *r, unsigned depth)
{
    while (r->depth > depth) {
        struct shape *shape = r->stack[--r->depth];
        if (shape->fields == NULL && shape->name.data != NULL) {
            fail(r->file, shape->line,
                 "'%.*s' is neither a type (bool, int8 to int64, uint16, uint32, float64, uuid, "
                 "string, bytes, records, error), nor a struct defined above, nor are there fields "
                 "below, indented by %d more",
                 TEXT_ARG(shape->name), INDENT);
        }
        shape->open = false;
        if (r->depth == 0) {
            r->message->root = shape;
        }
        *r->message->tail = shape;
        r->message->tail = &shape->next;
    }
}

static struct shape *find_shape(struct reader *r, struct text name)
{
    for (struct shape *s = r->message->shapes; s != NULL; s = s->next) {
        if (text_equal(s->name, name)) {
            return s;
        }
    }
    for (unsigned i = 0; i < r->depth; i++) {
        if (text_equal(r->stack[i]->name, name)) {
            FAIL(r, "struct '%.*s' would contain itself", TEXT_ARG(name));
        }
    }
    return NULL;
}

/* The type without [] and ?: a kind, or a struct that is defined above or from here on. */
static uint8_t parse_kind(struct reader *r, struct field *field, struct text word)
{
    if (text_is(word, "error")) {
        field->is_error = true;
        return WIRE_INT16;
    }
    for (size_t i = 0; i < countof(kinds); i++) {
        if (text_is(word, kinds[i].text)) {
            return (uint8_t)kinds[i].kind;
        }
    }
    check_name(r, word);
    field->of = find_shape(r, word);
    if (field->of == NULL) {
        push_shape(r, word,
                   arena_printf(&r->schema->arena, "%.*s_%.*s", TEXT_ARG(r->stack[0]->c_name),
                                TEXT_ARG(word)));
        field->of = r->stack[r->depth - 1];
    }
    return WIRE_STRUCT;
}

static void parse_type(struct reader *r, struct field *field)
{
    struct text rest = expect(r, "a type");
    struct text base = text_cut(&rest, '?');

    field->nullable = VERSIONS_NONE;
    if (rest.data != NULL) {
        field->nullable = rest.len == 0 ? VERSIONS_ALL : parse_versions(r, rest);
    }
    if (text_starts_with(base, "[]")) {
        field->kind = WIRE_ARRAY;
        field->element = parse_kind(r, field, text_part(base.data + 2, base.len - 2));
    } else {
        field->kind = parse_kind(r, field, base);
    }
    bool can = field->kind >= WIRE_STRING;
    if (!can && rest.data != NULL) {
        FAIL(r, "%s cannot be null: string, bytes, records, structs and arrays can",
             kind_text(field->kind));
    }
}

static void parse_default(struct reader *r, struct field *field)
{
    static const struct {
        int64_t min, max;
    } limits[] = {
        [WIRE_INT8] = { INT8_MIN, INT8_MAX },    [WIRE_INT16] = { INT16_MIN, INT16_MAX },
        [WIRE_INT32] = { INT32_MIN, INT32_MAX }, [WIRE_INT64] = { INT64_MIN, INT64_MAX },
        [WIRE_UINT16] = { 0, UINT16_MAX },       [WIRE_UINT32] = { 0, UINT32_MAX },
    };
    struct text word = expect(r, "a default");

    if (field->kind >= WIRE_INT8 && field->kind <= WIRE_UINT32) {
        field->default_int =
            parse_number(r, word, limits[field->kind].min, limits[field->kind].max);
    } else if (field->kind == WIRE_BOOL && text_is(word, "true")) {
        field->default_int = 1;
    } else if (field->kind >= WIRE_STRING && text_is(word, "null")) {
        if (field->nullable.since > field->nullable.until) {
            FAIL(r, "a field that cannot be null has null as its default");
        }
        field->default_null = true;
    } else {
        FAIL(r,
             "'%.*s' is no default for this type: numbers take a number, bool takes true, types "
             "that can be null take null; 0, false and empty need no mention",
             TEXT_ARG(word));
    }
}

/* Untagged fields keep their order; tagged ones come behind them, by tag. */
static void add_field(struct reader *r, struct shape *shape, struct field *field)
{
    struct field **at = &shape->fields;
    for (; *at != NULL; at = &(*at)->next) {
        struct field *other = *at;
        if (text_equal(other->name, field->name)) {
            FAIL(r, "field '%.*s' is already defined at line %d", TEXT_ARG(field->name),
                 other->line);
        }
    }
    at = &shape->fields;
    while (*at != NULL && (field->tag < 0 ? (*at)->tag < 0 : (*at)->tag <= field->tag)) {
        at = &(*at)->next;
    }
    field->next = *at;
    *at = field;
}

static void parse_field(struct reader *r, unsigned level)
{
    if (level > r->depth) {
        FAIL(r, "indented too far: the fields of a struct stand right below the field that has it, "
                "and a struct that is defined above is not defined again");
    }
    pop_shapes(r, level);
    struct shape *shape = r->stack[level - 1];
    struct field *field = arena_zalloc(&r->schema->arena, sizeof *field);

    *field = (struct field){ .in = VERSIONS_ALL, .tag = -1, .line = r->line, .doc = r->doc };
    field->name = expect(r, "a name");
    check_name(r, field->name);
    parse_type(r, field);
    if (peek(r).data != NULL && peek(r).data[0] >= '0' && peek(r).data[0] <= '9') {
        field->in = parse_versions(r, expect(r, "versions"));
    }
    if (accept(r, "tag")) {
        field->tag = (int16_t)parse_number(r, expect(r, "a tag"), 0, INT16_MAX);
    }
    if (accept(r, "=")) {
        parse_default(r, field);
    }
    field->secret = accept(r, "secret");
    if (r->trailing.data != NULL) {
        field->doc = r->trailing;
    }
    add_field(r, shape, field);
}

/* ---- the lines at the left edge ---------------------------------------------------------------*/

static void end_message(struct reader *r)
{
    if (r->message != NULL) {
        pop_shapes(r, 0);
        r->message = NULL;
    }
}

static void begin_message(struct reader *r, struct message *message, struct text c_name)
{
    end_message(r);
    if (message->root != NULL) {
        FAIL(r, "this message is already defined at line %d", message->root->line);
    }
    message->tail = &message->shapes;
    r->message = message;
    push_shape(r, TEXT_NULL, c_name);
}

static void parse_head(struct reader *r, bool is_record)
{
    struct api *api = arena_zalloc(&r->schema->arena, sizeof *api);
    *api = (struct api){
        .key = -1,
        .is_record = is_record,
        .file = r->file,
        .line = r->line,
        .doc = r->doc,
        .flexible_since = WIRE_NEVER,
    };
    end_message(r);
    struct text word = expect(r, "a name");
    if (!is_record || (word.data[0] >= '0' && word.data[0] <= '9')) {
        api->key = (int16_t)parse_number(r, word, 0, INT16_MAX);
        word = expect(r, "a name");
    }
    api->name = word;
    check_name(r, word);
    if (!accept(r, "versions")) {
        FAIL(r, "'versions A-B' must follow the name");
    }
    api->in = parse_versions(r, expect(r, "A-B"));
    if (!accept(r, "flexible")) {
        FAIL(r, "'flexible N+' or 'flexible never' must follow the versions");
    }
    if (!accept(r, "never")) {
        api->flexible_since = parse_versions(r, expect(r, "N+")).since;
    }
    api->advertised = api->in;
    if (accept(r, "advertised")) {
        api->advertised = parse_versions(r, expect(r, "A-B"));
    }
    r->api = api;

    struct api **at = &r->schema->apis;
    while (*at != NULL && (*at)->key <= api->key) {
        at = &(*at)->next;
    }
    api->next = *at;
    *at = api;
    if (is_record) {
        begin_message(r, &api->request, api->name);
    }
}

static void parse_left_edge(struct reader *r)
{
    struct text word = expect(r, "a word");
    bool request = text_is(word, "request");

    if (text_is(word, "api") || text_is(word, "record")) {
        parse_head(r, text_is(word, "record"));
    } else if ((request || text_is(word, "response")) && r->api != NULL && !r->api->is_record) {
        begin_message(
            r, request ? &r->api->request : &r->api->response,
            arena_printf(&r->schema->arena, "%.*s_%.*s", TEXT_ARG(r->api->name), TEXT_ARG(word)));
    } else {
        FAIL(r,
             "'%.*s' at the left edge: 'api' or 'record' begins a schema; within an api, "
             "'request' and 'response' begin its messages; fields are indented by %d",
             TEXT_ARG(word), INDENT);
    }
}

/* ---- lines and files --------------------------------------------------------------------------*/

static void split_words(struct reader *r, struct text line)
{
    r->n_words = r->next_word = 0;
    r->trailing = TEXT_NULL;
    while (line = text_trim(line), line.len > 0) {
        if (line.data[0] == '#') {
            r->trailing = text_trim(text_part(line.data + 1, line.len - 1));
            return;
        }
        if (r->n_words == WORDS_MAX) {
            FAIL(r, "too many words");
        }
        size_t len = 0;
        while (len < line.len && line.data[len] != ' ' && line.data[len] != '\t') {
            len++;
        }
        r->words[r->n_words++] = text_part(line.data, len);
        line = text_part(line.data + len, line.len - len);
    }
}

/* Collects a comment line for what follows. */
static void add_doc(struct reader *r)
{
    r->doc = r->doc.data == NULL ? r->trailing
                                 : arena_printf(&r->schema->arena, "%.*s %.*s", TEXT_ARG(r->doc),
                                                TEXT_ARG(r->trailing));
}

static void parse_line(struct reader *r, struct text line)
{
    size_t indent = 0;
    while (indent < line.len && line.data[indent] == ' ') {
        indent++;
    }
    split_words(r, line);
    if (r->n_words == 0) {
        if (r->trailing.data != NULL) {
            add_doc(r);
        }
        return;
    }
    if (indent == 0) {
        parse_left_edge(r);
    } else if (indent % INDENT != 0 || line.data[indent] == '\t') {
        FAIL(r, "indent by multiples of %d spaces", INDENT);
    } else if (r->message == NULL) {
        FAIL(r, "a field outside of a message: 'request', 'response' or 'record' begins one");
    } else {
        parse_field(r, (unsigned)(indent / INDENT));
    }
    if (peek(r).data != NULL) {
        FAIL(r,
             "'%.*s' is not expected here; a field is: name, type, versions, tag N, = default, "
             "secret, # documentation",
             TEXT_ARG(peek(r)));
    }
    r->doc = TEXT_NULL;
}

static struct text read_file(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "r");
    struct buf buf = { 0 };
    size_t n;
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    while ((n = fread(buf_reserve(&buf, 4096), 1, 4096, file)) > 0) {
        buf.len += n;
    }
    fclose(file);
    struct text all = text_part(arena_dup(arena, buf.data, buf.len), buf.len);
    buf_release(&buf);
    return all;
}

void schema_read(struct schema *schema, const char *file)
{
    struct reader r = { .schema = schema, .file = file };
    struct text rest = read_file(&schema->arena, file);
    while (rest.data != NULL) {
        r.line++;
        parse_line(&r, text_cut(&rest, '\n'));
    }
    end_message(&r);
}
