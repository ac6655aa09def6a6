/* Fuzzes settings: as a command line, as a properties file, and as the changes that a client asks
 * for. Whatever the text, it ends in settings or in a message; what was accepted means the same
 * when it is read back or set again.
 *
 * The input is lines. The first byte says whether they are flags and the environment, or changes of
 * a topic: then the first byte of each line is the operation. */
#include <chronik/base/properties.h>
#include <chronik/chronikd/options.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 32 };

static size_t cut_lines(struct text rest, struct text lines[LINES_MAX])
{
    size_t n = 0;
    while (rest.data != NULL && n < LINES_MAX) {
        lines[n++] = text_cut(&rest, '\n');
    }
    return n;
}

/* ---- the command line -------------------------------------------------------------------------*/

/* What is printed is read by the parser of files, and gives the same settings. */
static void check_printed(const struct options *options)
{
    struct buf out = { 0 };
    struct arena arena;
    struct text key, value;
    options_print(options, &out);
    arena_init(&arena, 0);
    struct properties p = { .rest = text_part((char *)out.data, out.len) };
    while (properties_next(&p, &arena, &key, &value)) {
        struct config_layers layers = options_layers(options);
        char *name = text_dup(key);
        struct buf again = { 0 };
        check(config_parse(config_find(CONFIG_BROKER, key), value, &again));
        struct text was = config_text(&layers, name);
        check(text_equal(text_part(again.len ? (char *)again.data : "", again.len), was));
        buf_release(&again);
        free(name);
    }
    arena_release(&arena);
    buf_release(&out);
}

static void fuzz_command_line(struct text input)
{
    struct text lines[LINES_MAX];
    size_t n = cut_lines(input, lines);
    char *argv[LINES_MAX + 1] = { "chronikd" }, *env[LINES_MAX + 1];
    struct options_source source = { .argc = 1, .argv = argv, .env = env, .hostname = "host" };
    size_t n_env = 0;
    struct options options;
    for (size_t i = 0; i < n; i++) {
        char *line = text_dup(lines[i]);
        if (line[0] == '-') {
            argv[source.argc++] = line;
        } else {
            env[n_env++] = line;
        }
    }
    env[n_env] = NULL;
    if (options_read(&options, &source) == 0 && options.action != OPTIONS_HELP &&
        options.action != OPTIONS_VERSION) {
        check(options.n_listeners > 0 && options.data_dir != NULL);
        check_printed(&options);
    } else {
        check(options.n_messages > 0 || options.action != OPTIONS_SERVE);
    }
    options_release(&options);
    for (int i = 1; i < source.argc; i++) {
        free(argv[i]);
    }
    for (size_t i = 0; i < n_env; i++) {
        free(env[i]);
    }
}

/* ---- changes ----------------------------------------------------------------------------------*/

static struct config_op op_of(struct text line)
{
    struct config_op op = { .kind = CONFIG_SET, .name = line, .value = TEXT_NULL };
    if (line.len > 0) {
        op.kind = (int8_t)(line.data[0] - '0');
        struct text rest = text_part(line.data + 1, line.len - 1);
        op.name = text_cut(&rest, '=');
        op.value = rest;
    }
    return op;
}

static void apply(struct image_configs *own, const struct config_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        const struct config_change *c = &changes->items[i];
        if (c->value.data != NULL) {
            config_set_put(own, c->name, c->value);
        } else {
            config_set_remove(own, c->name);
        }
    }
}

static void fuzz_changes(enum config_scope scope, struct text input)
{
    struct text lines[LINES_MAX], message = TEXT_NULL;
    struct config_op ops[LINES_MAX];
    struct image_configs own = { 0 };
    struct config_layers below = { 0 };
    struct config_target target = { scope, scope == CONFIG_BROKER, &own, &below };
    struct config_changes changes;
    struct topic_config config;
    struct arena arena;
    size_t n = cut_lines(input, lines);
    for (size_t i = 0; i < n; i++) {
        ops[i] = op_of(lines[i]);
    }
    arena_init(&arena, 0);
    if (config_alter(&target, ops, n, &arena, &changes, &message) != KAFKA_NONE) {
        check(message.data != NULL);
    } else {
        apply(&own, &changes);
        if (scope == CONFIG_TOPIC) {
            below.topic = &own;
        } else {
            below.cluster = &own;
        }
        topic_config_resolve(&below, &config);
        for (size_t i = 0; i < own.n; i++) {
            ops[i] = (struct config_op){ CONFIG_SET, text_of(own.items[i].name),
                                         text_of(own.items[i].value) };
        }
        check(config_replace(&target, ops, own.n, &arena, &changes, &message) == KAFKA_NONE);
        check(changes.n == 0);
    }
    config_set_release(&own);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text input = text_part((const char *)data + 1, size - 1);
    if (data[0] == 'c') {
        fuzz_command_line(input);
    } else {
        fuzz_changes(data[0] == 't' ? CONFIG_TOPIC : CONFIG_BROKER, input);
    }
    return 0;
}
