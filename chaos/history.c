/* Writes the history: one JSON object a line, times in ns of the monotonic clock.
 *
 *     {"process":0,"time":1,"type":"invoke","f":"send","value":[["send",2,17]]}
 *     {"process":0,"time":9,"type":"ok","f":"send","value":[["send",2,[4711,17]]]}
 *     {"process":5,"time":9,"type":"ok","f":"poll","value":[["poll",2,[[4711,17],[4712,18]]]]}
 *
 * A poll has an entry for every run of records of one partition. */
#include "chaos_load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { VALUES_OF_A_PROCESS = 1000000000 };

int64_t value_of(unsigned process, uint32_t n)
{
    return (int64_t)process * VALUES_OF_A_PROCESS + n;
}

void history_open(struct history *h, const char *path)
{
    h->file = fopen(path, "a");
    if (h->file == NULL) {
        perror(path);
        exit(2);
    }
}

void history_flush(struct history *h)
{
    if (fflush(h->file) != 0) {
        perror("history");
        exit(2);
    }
}

void history_close(struct history *h)
{
    history_flush(h);
    fclose(h->file);
}

static void begin_line(struct history *h, unsigned process, const char *type, const char *f)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    fprintf(h->file, "{\"process\":%u,\"time\":%lld%09ld,\"type\":\"%s\",\"f\":\"%s\",\"value\":",
            process, (long long)t.tv_sec, t.tv_nsec, type, f);
}

void history_begin(struct history *h, unsigned process, const char *role, bool idempotent)
{
    begin_line(h, process, "info", "begin");
    fprintf(h->file, "{\"role\":\"%s\",\"idempotent\":%s}}\n", role, idempotent ? "true" : "false");
}

void history_invoke(struct history *h, unsigned process, int partition, int64_t value)
{
    begin_line(h, process, "invoke", "send");
    fprintf(h->file, "[[\"send\",%d,%" PRId64 "]]}\n", partition, value);
}

void history_ok(struct history *h, unsigned process, int partition, int64_t value, int64_t offset)
{
    begin_line(h, process, "ok", "send");
    if (offset >= 0) {
        fprintf(h->file, "[[\"send\",%d,[%" PRId64 ",%" PRId64 "]]]}\n", partition, offset, value);
    } else {
        fprintf(h->file, "[[\"send\",%d,[null,%" PRId64 "]]]}\n", partition, value);
    }
}

void history_unknown(struct history *h, unsigned process, int partition, int64_t value,
                     const char *why)
{
    begin_line(h, process, "info", "send");
    fprintf(h->file, "[[\"send\",%d,%" PRId64 "]],\"error\":\"%s\"}\n", partition, value, why);
}

void history_end(struct history *h, unsigned process, const char *why)
{
    begin_line(h, process, "info", "end");
    fprintf(h->file, "null,\"error\":\"%s\"}\n", why);
}

void history_broken(struct history *h, unsigned process, const char *f, const char *why)
{
    begin_line(h, process, "fail", f);
    fprintf(h->file, "null,\"error\":\"%s\"}\n", why);
}

/* ---- polls ----------------------------------------------------------------------------------- */

void history_poll_begin(struct history *h, unsigned process, bool final)
{
    begin_line(h, process, "ok", final ? "final" : "poll");
    fputc('[', h->file);
    h->partition = -1;
}

void history_poll_record(struct history *h, int partition, int64_t offset, int64_t value)
{
    if (partition == h->partition) {
        fputc(',', h->file);
    } else {
        fprintf(h->file, "%s[\"poll\",%d,[", h->partition >= 0 ? "]]," : "", partition);
    }
    h->partition = partition;
    fprintf(h->file, "[%" PRId64 ",%" PRId64 "]", offset, value);
}

void history_poll_end(struct history *h)
{
    fputs(h->partition >= 0 ? "]]]}\n" : "]}\n", h->file);
}
