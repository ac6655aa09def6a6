/* schemac: reads the arguments, runs the parts.
 *
 *   schemac --header|--source|--doc LAYER/UNIT OUT FILE…
 *
 * Writes the C header, the tables or the documentation of all schema texts given. Nothing is
 * written when a text has a mistake: the message names file, line and what is allowed. */
#include "schemac.h"

#include <stdarg.h>
#include <stdio.h>

_Noreturn void fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* ---- words of the schema texts ----------------------------------------------------------------*/

static const struct {
    int64_t n;
    const char *name;
} limits[] = {
    { INT32_MIN, "INT32_MIN" },
    { INT32_MAX, "INT32_MAX" },
    { INT64_MAX, "INT64_MAX" },
};

struct text number_text(struct arena *arena, int64_t n)
{
    for (size_t i = 0; i < countof(limits); i++) {
        if (limits[i].n == n) {
            return text_of(limits[i].name);
        }
    }
    return arena_printf(arena, "%lld", (long long)n);
}

bool number_parse(struct text word, int64_t *ret_n)
{
    for (size_t i = 0; i < countof(limits); i++) {
        if (text_is(word, limits[i].name)) {
            *ret_n = limits[i].n;
            return true;
        }
    }
    return text_to_i64(word, ret_n);
}

struct text versions_text(struct arena *arena, struct versions v)
{
    if (v.until == WIRE_NEVER) {
        return arena_printf(arena, "%d+", v.since);
    }
    return v.since == v.until ? arena_printf(arena, "%d", v.since)
                              : arena_printf(arena, "%d-%d", v.since, v.until);
}

/* ---- the program ------------------------------------------------------------------------------*/

static void save(const char *path, const struct buf *out)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(out->data, 1, out->len, file) != out->len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static const struct output {
    const char *option;
    void (*write)(const struct schema *schema, struct buf *out);
} outputs[] = {
    { "--header", schema_write_header },
    { "--source", schema_write_source },
    { "--doc", schema_write_doc },
};

/* The output that an option asks for, or NULL. */
static const struct output *find_output(const char *option)
{
    for (size_t i = 0; i < countof(outputs); i++) {
        if (strcmp(option, outputs[i].option) == 0) {
            return &outputs[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct output *output = argc < 5 ? NULL : find_output(argv[1]);
    struct schema schema = { .unit = output != NULL ? text_of(argv[2]) : TEXT_NULL };
    struct buf out = { 0 };

    schema.layer = text_cut(&schema.unit, '/');
    if (schema.unit.data == NULL) {
        fputs("usage: schemac --header|--source|--doc LAYER/UNIT OUT FILE...\n", stderr);
        return 2;
    }
    arena_init(&schema.arena, 0);
    for (int i = 4; i < argc; i++) {
        schema_read(&schema, argv[i]);
    }
    schema_check(&schema);
    output->write(&schema, &out);
    save(argv[3], &out);
    buf_release(&out);
    arena_release(&schema.arena);
    return 0;
}
