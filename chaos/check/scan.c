/* A reader of JSON for millions of short lines: it looks at each byte once and allocates nothing.
 *
 * Values that nobody asks for are gone over by counting brackets outside of strings; whether such
 * a value is well-formed inside is not looked at. */
#include "scan.h"

struct scan scan_of(struct text text)
{
    return (struct scan){ .at = text.data, .end = text.data + text.len };
}

static void fail(struct scan *scan)
{
    scan->bad = true;
    scan->at = scan->end;
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' ||
                                    *scan->at == '\n')) {
        scan->at++;
    }
}

bool scan_is(struct scan *scan, char c)
{
    skip_space(scan);
    return scan->at < scan->end && *scan->at == c;
}

static bool take(struct scan *scan, char c)
{
    bool there = scan_is(scan, c);
    scan->at += there;
    return there;
}

static void expect(struct scan *scan, char c)
{
    if (!take(scan, c)) {
        fail(scan);
    }
}

void scan_open(struct scan *scan, char open)
{
    expect(scan, open);
    scan->fresh = true;
}

bool scan_more(struct scan *scan, char close)
{
    bool fresh = scan->fresh;
    scan->fresh = false;
    if (scan->bad || take(scan, close)) {
        return false;
    }
    if (!fresh) {
        expect(scan, ',');
    }
    return !scan->bad;
}

struct text scan_name(struct scan *scan)
{
    struct text name = scan_string(scan);
    expect(scan, ':');
    return name;
}

int64_t scan_i64(struct scan *scan)
{
    bool minus = take(scan, '-');
    const char *digits = scan->at;
    uint64_t n = 0;
    bool fits = true;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        n = n * 10 + (uint64_t)(*scan->at - '0');
        fits = fits && n <= INT64_MAX;
        scan->at++;
        if (!fits) {
            break;
        }
    }
    if (scan->at == digits || !fits) {
        fail(scan);
        return 0;
    }
    return minus ? -(int64_t)n : (int64_t)n;
}

struct text scan_string(struct scan *scan)
{
    expect(scan, '"');
    const char *begin = scan->at;
    while (scan->at < scan->end && *scan->at != '"') {
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    }
    struct text text = text_part(begin, (size_t)(scan->at - begin));
    expect(scan, '"');
    return scan->bad ? text_of("") : text;
}

/* Takes a word when it is what comes next. */
static bool take_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    skip_space(scan);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0) {
        return false;
    }
    scan->at += len;
    return true;
}

bool scan_null(struct scan *scan)
{
    return take_word(scan, "null");
}

bool scan_bool(struct scan *scan)
{
    bool yes = take_word(scan, "true");
    if (!yes && !take_word(scan, "false")) {
        fail(scan);
    }
    return yes;
}

static bool ends_a_value(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ':';
}

struct text scan_value(struct scan *scan)
{
    unsigned depth = 0;
    skip_space(scan);
    const char *begin = scan->at;
    while (scan->at < scan->end && (depth > 0 || !ends_a_value(*scan->at))) {
        char c = *scan->at;
        if (c == '"') {
            scan_string(scan);
            continue;
        }
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        scan->at++;
    }
    if (depth > 0 || scan->at == begin) {
        fail(scan);
    }
    return scan->bad ? text_of("") : text_part(begin, (size_t)(scan->at - begin));
}

bool scan_is_done(struct scan *scan)
{
    skip_space(scan);
    return !scan->bad && scan->at == scan->end;
}
