/* Reads JSON that stands in memory, front to back, without making anything of it.
 *
 * The first thing that is not as asked for sets `bad`; from then on every call gives zeros and
 * ends every loop, so it is enough to look once at the end. Numbers are whole ones; a string is
 * what stands between its quotes, escapes and all. */
#ifndef CHRONIK_CHAOS_SCAN_H
#define CHRONIK_CHAOS_SCAN_H

#include <chronik/base/text.h>

struct scan {
    const char *at, *end;
    bool fresh; /* an array or object has begun, and had no item yet */
    bool bad;
};

struct scan scan_of(struct text text);

/* An array or object: scan_open(s, '['); while (scan_more(s, ']')) { one item } */
void scan_open(struct scan *scan, char open);
bool scan_more(struct scan *scan, char close);

/* The name of an object's next member, and the colon behind it. */
struct text scan_name(struct scan *scan);

int64_t scan_i64(struct scan *scan);
struct text scan_string(struct scan *scan);
bool scan_bool(struct scan *scan);

/* Is the next thing null, or does it begin with `c`? A null is taken. */
bool scan_null(struct scan *scan);
bool scan_is(struct scan *scan, char c);

/* Goes over any value, and returns it as text. */
struct text scan_value(struct scan *scan);

/* Is nothing left but white space, and was all as asked for? */
bool scan_is_done(struct scan *scan);

#endif
