/* Java's properties files.
 *
 * A logical line is cut off first (joining continuations), then split at its first unescaped
 * separator, and each half is unescaped. Whatever the input, there is some result: the format has
 * no errors, a stray backslash is dropped. */
#include <chronik/base/properties.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static struct text skip_blanks(struct text t)
{
    while (t.len > 0 && is_blank(t.data[0])) {
        t.data++;
        t.len--;
    }
    return t;
}

/* Cuts one physical line off, without its \n, \r or \r\n. */
static struct text next_line(struct properties *p)
{
    size_t len = 0;
    while (len < p->rest.len && p->rest.data[len] != '\n' && p->rest.data[len] != '\r') {
        len++;
    }
    struct text line = text_part(p->rest.data, len);
    size_t end = len;
    if (end < p->rest.len) {
        bool pair =
            p->rest.data[end] == '\r' && end + 1 < p->rest.len && p->rest.data[end + 1] == '\n';
        end += pair ? 2 : 1;
    }
    p->rest = text_part(p->rest.data + end, p->rest.len - end);
    p->lines++;
    return line;
}

/* Does the line end in an odd number of backslashes? */
static bool goes_on(struct text line)
{
    size_t n = 0;
    while (n < line.len && line.data[line.len - 1 - n] == '\\') {
        n++;
    }
    return n % 2 == 1;
}

static struct text join(struct properties *p, struct arena *arena, struct text line)
{
    struct buf joined = { 0 };
    while (goes_on(line)) {
        buf_put(&joined, line.data, line.len - 1);
        line = p->rest.len > 0 ? skip_blanks(next_line(p)) : text_of("");
    }
    buf_put(&joined, line.data, line.len);
    line = joined.len > 0 ? arena_text(arena, text_part((char *)joined.data, joined.len))
                          : text_of("");
    buf_release(&joined);
    return line;
}

/* The code of \uXXXX at the start of `t` (behind the u), or -1. */
static int unicode(struct text t)
{
    int code = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = i < t.len ? t.data[i] : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *to, int code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static struct text unescape(struct arena *arena, struct text t)
{
    if (t.len == 0 || memchr(t.data, '\\', t.len) == NULL) {
        return t;
    }
    char *to = arena_alloc(arena, t.len), *start = to;
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] != '\\') {
            *to++ = t.data[i];
            continue;
        }
        if (++i == t.len) {
            break;
        }
        static const char NAMES[] = "tnrf", CODES[] = "\t\n\r\f";
        const char *name = strchr(NAMES, t.data[i]);
        int code = t.data[i] == 'u' ? unicode(text_part(t.data + i + 1, t.len - i - 1)) : -1;
        if (code >= 0) {
            to = put_utf8(to, code);
            i += 4;
        } else {
            *to++ = name != NULL && *name != 0 ? CODES[name - NAMES] : t.data[i];
        }
    }
    return text_part(start, (size_t)(to - start));
}

/* Length of the key at the start of a logical line. */
static size_t key_len(struct text line)
{
    size_t n = 0;
    while (n < line.len && !is_blank(line.data[n]) && line.data[n] != '=' && line.data[n] != ':') {
        n += line.data[n] == '\\' ? 2 : 1;
    }
    return n < line.len ? n : line.len;
}

bool properties_next(struct properties *p, struct arena *arena, struct text *ret_key,
                     struct text *ret_value)
{
    while (p->rest.len > 0) {
        struct text line = skip_blanks(next_line(p));
        p->line = p->lines;
        if (line.len == 0 || line.data[0] == '#' || line.data[0] == '!') {
            continue;
        }
        if (goes_on(line)) {
            line = join(p, arena, line);
        }
        size_t n = key_len(line);
        struct text value = skip_blanks(text_part(line.data + n, line.len - n));
        if (value.len > 0 && (value.data[0] == '=' || value.data[0] == ':')) {
            value = skip_blanks(text_part(value.data + 1, value.len - 1));
        }
        *ret_key = unescape(arena, text_part(line.data, n));
        *ret_value = unescape(arena, value);
        return true;
    }
    return false;
}

void properties_put(struct buf *out, const char *key, struct text value)
{
    buf_printf(out, "%s=", key);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\n') {
            buf_put(out, "\\n", 2);
        } else if (c == '\r') {
            buf_put(out, "\\r", 2);
        } else {
            if (c == '\\' || (i == 0 && is_blank(c))) {
                buf_put(out, "\\", 1);
            }
            buf_put(out, &c, 1);
        }
    }
    buf_put(out, "\n", 1);
}
