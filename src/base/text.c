/* Views of text. */
#include <chronik/base/text.h>

bool text_equal(struct text a, struct text b)
{
    if (a.data == NULL || b.data == NULL) {
        return a.data == b.data;
    }
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

bool text_is(struct text a, const char *s)
{
    return text_equal(a, text_of(s));
}

int text_compare(struct text a, struct text b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    if (a.data == NULL || b.data == NULL) {
        return (a.data != NULL) - (b.data != NULL);
    }
    int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool text_starts_with(struct text t, const char *prefix)
{
    size_t n = strlen(prefix);
    return t.len >= n && memcmp(t.data, prefix, n) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct text text_trim(struct text t)
{
    while (t.len > 0 && is_space(t.data[0])) {
        t.data++;
        t.len--;
    }
    while (t.len > 0 && is_space(t.data[t.len - 1])) {
        t.len--;
    }
    return t;
}

struct text text_cut(struct text *rest, char sep)
{
    struct text part = *rest;
    const char *at = part.len > 0 ? memchr(part.data, sep, part.len) : NULL;
    if (at == NULL) {
        *rest = TEXT_NULL;
        return part;
    }
    part.len = (size_t)(at - part.data);
    *rest = text_part(at + 1, rest->len - part.len - 1);
    return part;
}

struct text text_head(struct text t, size_t max)
{
    if (t.len > max) {
        t.len = max;
        while (t.len > 0 && ((uint8_t)t.data[t.len] & 0xc0) == 0x80) {
            t.len--;
        }
    }
    return t;
}

bool text_to_i64(struct text t, int64_t *ret_n)
{
    bool negative = t.len > 0 && t.data[0] == '-';
    size_t at = negative || (t.len > 0 && t.data[0] == '+') ? 1 : 0;
    int64_t n = 0;

    if (at == t.len) {
        return false;
    }
    for (; at < t.len; at++) {
        int digit = t.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_sub_overflow(n, digit, &n)) {
            return false;
        }
    }
    /* Counted downwards, so that INT64_MIN fits. */
    if (!negative && __builtin_sub_overflow((int64_t)0, n, &n)) {
        return false;
    }
    *ret_n = n;
    return true;
}

char *text_dup(struct text t)
{
    char *s = mem_alloc(t.len + 1);
    if (t.len > 0) {
        memcpy(s, t.data, t.len);
    }
    s[t.len] = '\0';
    return s;
}

/* Bytes of the UTF-8 character at the front of the text, 0 when there is none. */
static size_t utf8_length(struct text t)
{
    const uint8_t *c = (const uint8_t *)t.data;
    size_t len = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (len == 0 || c[0] > 0xf4 || len > t.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool surrogate = c[0] == 0xed && c[1] > 0x9f;
    bool too_large = c[0] == 0xf4 && c[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : len;
}

bool text_is_utf8(struct text t)
{
    while (t.len > 0) {
        size_t len = utf8_length(t);
        if (len == 0) {
            return false;
        }
        t = text_part(t.data + len, t.len - len);
    }
    return true;
}

void text_put_json(struct text t, struct buf *out)
{
    buf_put_u8(out, '"');
    while (t.len > 0) {
        size_t len = utf8_length(t);
        uint8_t c = (uint8_t)t.data[0];
        if (len == 0) {
            buf_put(out, "\\ufffd", 6);
            len = 1;
        } else if (c < ' ') {
            buf_printf(out, "\\u%04x", c);
        } else {
            if (c == '"' || c == '\\') {
                buf_put_u8(out, '\\');
            }
            buf_put(out, t.data, len);
        }
        t = text_part(t.data + len, t.len - len);
    }
    buf_put_u8(out, '"');
}
