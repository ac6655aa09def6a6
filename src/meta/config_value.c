/* Values as text: checked against the table and written in one way.
 *
 * Numbers are whole and in decimal, lists are words between commas, white space around a value or a
 * word does not count. What is wrong with a value is said in one sentence, with what is allowed. */
#include <chronik/meta/config.h>

#include <math.h>
#include <strings.h>

static const char *const TYPE_NAMES[] = {
    [CONFIG_BOOLEAN] = "boolean", [CONFIG_STRING] = "string",     [CONFIG_INT] = "int",
    [CONFIG_SHORT] = "short",     [CONFIG_LONG] = "long",         [CONFIG_DOUBLE] = "double",
    [CONFIG_LIST] = "list",       [CONFIG_CLASS] = "class",       [CONFIG_PASSWORD] = "password",
};

const char *config_type_name(enum config_type type)
{
    return TYPE_NAMES[type];
}

/* The largest number of a type: the smallest one is -max - 1. */
static int64_t type_max(enum config_type type)
{
    return type == CONFIG_SHORT ? INT16_MAX : type == CONFIG_INT ? INT32_MAX : INT64_MAX;
}

static bool is_number(enum config_type type)
{
    return type == CONFIG_INT || type == CONFIG_SHORT || type == CONFIG_LONG ||
           type == CONFIG_DOUBLE;
}

static void describe_range(const struct config_def *def, struct buf *out)
{
    bool from = def->min != INT64_MIN, to = def->max != INT64_MAX;
    if (from && to) {
        buf_printf(out, ", from %lld to %lld", (long long)def->min, (long long)def->max);
    } else if (from) {
        buf_printf(out, ", at least %lld", (long long)def->min);
    }
    if (def->also != 0) {
        buf_printf(out, ", or %lld", (long long)def->also);
    }
}

static void describe_words(const char *words, struct buf *out)
{
    struct text rest = text_of(words);
    const char *comma = "";
    while (rest.data != NULL) {
        struct text word = text_cut(&rest, '|');
        buf_printf(out, "%s", comma);
        if (text_is(word, "#:#")) {
            buf_printf(out, "partition:broker");
        } else {
            buf_printf(out, "%.*s", TEXT_ARG(word));
        }
        comma = ", ";
    }
}

void config_allowed(const struct config_def *def, struct buf *out)
{
    const char *name = TYPE_NAMES[def->type];
    if (def->words != NULL) {
        buf_printf(out, def->type == CONFIG_LIST ? "a list of: " : "one of: ");
        describe_words(def->words, out);
    } else if (def->type == CONFIG_BOOLEAN) {
        buf_printf(out, "true or false");
    } else if (is_number(def->type)) {
        buf_printf(out, "%s %s", def->type == CONFIG_INT ? "an" : "a", name);
        describe_range(def, out);
    } else {
        buf_printf(out, "a %s", name);
    }
}

/* What has been appended since the buffer was `start` bytes long. */
static struct text since(const struct buf *out, size_t start)
{
    return out->len > start ? text_part((const char *)out->data + start, out->len - start)
                            : text_of("");
}

static bool refuse(const struct config_def *def, size_t keep, struct buf *out)
{
    out->len = keep;
    buf_printf(out, "allowed is ");
    config_allowed(def, out);
    return false;
}

/* "12:3" against "#:#": each '#' stands for one or more digits. */
static bool matches(struct text word, struct text pattern)
{
    size_t at = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.data[i] == '#') {
            size_t from = at;
            while (at < word.len && word.data[at] >= '0' && word.data[at] <= '9') {
                at++;
            }
            if (at == from) {
                return false;
            }
        } else if (at == word.len || word.data[at++] != pattern.data[i]) {
            return false;
        }
    }
    return at == word.len;
}

static bool word_allowed(const struct config_def *def, struct text word)
{
    struct text rest = text_of(def->words);
    while (def->words != NULL && rest.data != NULL) {
        if (matches(word, text_cut(&rest, '|'))) {
            return true;
        }
    }
    return def->words == NULL;
}

static bool in_range(const struct config_def *def, int64_t n)
{
    return (n >= def->min && n <= def->max) || (def->also != 0 && n == def->also);
}

static bool parse_boolean(struct text value, struct buf *out)
{
    static const char *const WORDS[] = { "false", "true" };
    for (unsigned i = 0; i < countof(WORDS); i++) {
        if (value.len == strlen(WORDS[i]) && strncasecmp(value.data, WORDS[i], value.len) == 0) {
            buf_printf(out, "%s", WORDS[i]);
            return true;
        }
    }
    return false;
}

static bool parse_whole(const struct config_def *def, struct text value, struct buf *out)
{
    int64_t n, max = type_max(def->type);
    if (!text_to_i64(value, &n) || n > max || n < -max - 1 || !in_range(def, n)) {
        return false;
    }
    buf_printf(out, "%lld", (long long)n);
    return true;
}

/* Keeps the way a double is written: there is no shortest form that everybody agrees on. */
static bool parse_double(const struct config_def *def, struct text value, struct buf *out)
{
    char *copy = text_dup(value), *end;
    double n = strtod(copy, &end);
    bool ok = value.len > 0 && *end == '\0' && isfinite(n);
    ok = ok && (def->min == INT64_MIN || n >= (double)def->min);
    ok = ok && (def->max == INT64_MAX || n <= (double)def->max);
    if (ok) {
        buf_printf(out, "%s", copy);
    }
    free(copy);
    return ok;
}

bool config_list_has(struct text list, const char *word)
{
    while (list.data != NULL) {
        if (text_is(text_cut(&list, ','), word)) {
            return true;
        }
    }
    return false;
}

/* A word that comes twice counts once, as in Kafka. A list that is too long already is not read to
 * its end: each word is compared with those before it. */
static bool parse_list(const struct config_def *def, struct text value, struct buf *out)
{
    size_t start = out->len;
    struct text rest = value;
    if (value.len == 0) {
        return true;
    }
    while (rest.data != NULL && out->len - start <= CONFIG_VALUE_MAX) {
        struct text word = text_trim(text_cut(&rest, ','));
        if (word.len == 0 || !word_allowed(def, word)) {
            return false;
        }
        char *copy = text_dup(word);
        if (!config_list_has(since(out, start), copy)) {
            buf_printf(out, "%s%s", out->len == start ? "" : ",", copy);
        }
        free(copy);
    }
    return true;
}

bool config_parse(const struct config_def *def, struct text value, struct buf *out)
{
    size_t keep = out->len;
    bool ok = false;
    value = text_trim(value);
    if (value.len > 0 && memchr(value.data, '\0', value.len) != NULL) {
        return refuse(def, keep, out);
    }
    switch (def->type) {
    case CONFIG_BOOLEAN:
        ok = parse_boolean(value, out);
        break;
    case CONFIG_INT:
    case CONFIG_SHORT:
    case CONFIG_LONG:
        ok = parse_whole(def, value, out);
        break;
    case CONFIG_DOUBLE:
        ok = parse_double(def, value, out);
        break;
    case CONFIG_LIST:
        ok = parse_list(def, value, out);
        break;
    case CONFIG_STRING:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        ok = true;
        buf_printf(out, "%.*s", TEXT_ARG(value));
        break;
    }
    if (def->type != CONFIG_LIST) {
        ok = ok && word_allowed(def, since(out, keep));
    }
    if (ok && out->len - keep > CONFIG_VALUE_MAX) {
        out->len = keep;
        buf_printf(out, "at most %d bytes are allowed", CONFIG_VALUE_MAX);
        return false;
    }
    return ok || refuse(def, keep, out);
}
