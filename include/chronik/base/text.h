/* Views of text: UTF-8 with a length, no terminator, owned by somebody else. */
#ifndef CHRONIK_BASE_TEXT_H
#define CHRONIK_BASE_TEXT_H

#include <chronik/base/bytes.h>

struct text {
    const char *data; /* NULL: no text at all (a null string of the protocol) */
    size_t len;       /* bytes */
};

#define TEXT_NULL ((struct text){ .data = NULL, .len = 0 })

/* For printf: printf("%.*s", TEXT_ARG(t)). */
#define TEXT_ARG(t) (int)(t).len, ((t).data ? (t).data : "")

static inline struct text text_of(const char *s)
{
    return (struct text){ .data = s, .len = s ? strlen(s) : 0 };
}

static inline struct text text_part(const char *data, size_t len)
{
    return (struct text){ .data = data, .len = len };
}

/* Equality; a null text equals only a null text. */
bool text_equal(struct text a, struct text b);
bool text_is(struct text a, const char *s);

/* Order by bytes, like memcmp: negative, zero, positive. A null text comes first. */
int text_compare(struct text a, struct text b);

/* A null text starts with nothing but "". */
bool text_starts_with(struct text t, const char *prefix);

/* Without white space at both ends. */
struct text text_trim(struct text t);

/* Cuts the part before the first `sep` off `*rest` (all of it when there is none) and returns it;
 * `*rest` becomes null when nothing is left. */
struct text text_cut(struct text *rest, char sep);

/* The beginning of it, at most `max` bytes, and no half of a character (in UTF-8). */
struct text text_head(struct text t, size_t max);

/* A whole decimal number that fits, with an optional sign and nothing around it; else false. */
bool text_to_i64(struct text t, int64_t *ret_n);

/* Is all of it valid UTF-8? */
bool text_is_utf8(struct text t);

/* Appends a JSON string, with its quotes; what is not valid UTF-8 becomes U+FFFD. */
void text_put_json(struct text t, struct buf *out);

/* A terminated copy. The caller frees it. */
char *text_dup(struct text t);

#endif
