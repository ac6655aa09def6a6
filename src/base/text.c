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
