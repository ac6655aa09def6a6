/* Reading histories: each line is one operation, whose `f` and `type` say what to make of it.
 *
 * Members may come in any order and there may be others; so `value` is noted first, and read when
 * it is known what it is. Operations of other kinds are left out; but whatever fails, and is not a
 * record that was refused, is a client that gave up. */
#include "read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "scan.h"

struct operation {
    int64_t process, time, generation;
    struct text f, type, error, group, value;
};

typedef void operation_reader(struct judge *judge, const struct operation *op, struct scan *value);

/* ---- clients and keys -------------------------------------------------------------------------*/

/* {"role":"producer","idempotent":true,"acks":-1}; "once": it repeats nothing. */
static void read_begin(struct judge *judge, const struct operation *op, struct scan *value)
{
    unsigned promises = 0;
    scan_open(value, '{');
    while (scan_more(value, '}')) {
        struct text name = scan_name(value);
        if (text_is(name, "idempotent")) {
            promises |= scan_bool(value) ? PRODUCER_ONCE | PRODUCER_ORDERED : 0;
        } else if (text_is(name, "once")) {
            promises |= scan_bool(value) ? PRODUCER_ONCE : 0;
        } else if (text_is(name, "acks")) {
            promises |= scan_i64(value) == -1 ? 0 : PRODUCER_WEAK;
        } else {
            scan_value(value);
        }
    }
    judge_producer(judge, judge_process(judge, op->process), promises);
}

static void read_end(struct judge *judge, const struct operation *op, struct scan *value)
{
    (void)op;
    scan_value(value);
    judge_ended(judge);
}

/* {"key":7,"gaps":true,"lossy":true} */
static void read_key(struct judge *judge, const struct operation *op, struct scan *value)
{
    int64_t key = -1;
    unsigned allowed = 0;
    (void)op;
    scan_open(value, '{');
    while (scan_more(value, '}')) {
        struct text name = scan_name(value);
        if (text_is(name, "key")) {
            key = scan_i64(value);
        } else if (text_is(name, "gaps")) {
            allowed |= scan_bool(value) ? KEY_GAPS : 0;
        } else if (text_is(name, "lossy")) {
            allowed |= scan_bool(value) ? KEY_LOSSY : 0;
        } else {
            scan_value(value);
        }
    }
    judge_allow(judge, judge_key(judge, key), allowed);
}

/* ---- records ----------------------------------------------------------------------------------*/

/* A part of an operation: ["send",7,…], ["poll",7,…]: the name is as the operation's, or nearly. */
static unsigned read_part(struct judge *judge, struct scan *value)
{
    scan_open(value, '[');
    scan_more(value, ']');
    scan_string(value);
    scan_more(value, ']');
    int64_t key = scan_i64(value);
    scan_more(value, ']');
    return judge_key(judge, key);
}

static void end_part(struct scan *value)
{
    while (scan_more(value, ']')) { /* what else there is */
        scan_value(value);
    }
}

static void read_send(struct judge *judge, const struct operation *op, struct scan *value)
{
    unsigned process = judge_process(judge, op->process);
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        judge_send(judge, process, key, scan_i64(value));
        end_part(value);
    }
}

/* ["send",7,[4711,17]]; null when the broker did not say where. */
static void read_acknowledged(struct judge *judge, const struct operation *op, struct scan *value)
{
    (void)op;
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        scan_open(value, '[');
        scan_more(value, ']');
        int64_t offset = scan_null(value) ? -1 : scan_i64(value);
        scan_more(value, ']');
        judge_acknowledge(judge, key, scan_i64(value), offset);
        end_part(value);
        end_part(value);
    }
}

static void read_unknown(struct judge *judge, const struct operation *op, struct scan *value)
{
    (void)op;
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        scan_value(value);
        judge_unknown(judge);
    }
}

/* Refused records; or null: the producer gave up. */
static void read_refused(struct judge *judge, const struct operation *op, struct scan *value)
{
    if (!scan_is(value, '[')) {
        scan_value(value);
        judge_broken(judge, judge_process(judge, op->process), op->f, op->error);
        return;
    }
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        judge_refuse(judge, key, scan_i64(value));
        end_part(value);
    }
}

/* ["poll",7,[[4711,17],[4712,18]]], and maybe the high watermark and the leader epoch. */
static void read_records(struct judge *judge, const struct operation *op, struct scan *value,
                         bool final)
{
    unsigned process = judge_process(judge, op->process);
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        int64_t offset = -1;
        scan_open(value, '[');
        while (scan_more(value, ']')) {
            scan_open(value, '[');
            scan_more(value, ']');
            offset = scan_i64(value);
            scan_more(value, ']');
            judge_read(judge, process, key, offset, scan_i64(value), final);
            end_part(value);
        }
        if (scan_more(value, ']')) {
            int64_t high_watermark = scan_i64(value);
            bool has_epoch = scan_more(value, ']');
            int64_t epoch = has_epoch ? scan_i64(value) : -1;
            judge_watermark(judge, process, key, (int32_t)epoch, high_watermark, offset);
            if (has_epoch) {
                end_part(value);
            }
        }
    }
}

static void read_poll(struct judge *judge, const struct operation *op, struct scan *value)
{
    read_records(judge, op, value, false);
}

static void read_final(struct judge *judge, const struct operation *op, struct scan *value)
{
    read_records(judge, op, value, true);
}

static void read_move(struct judge *judge, const struct operation *op, struct scan *value)
{
    scan_value(value);
    judge_move(judge, judge_process(judge, op->process));
}

/* ["delete",7,100] */
static void read_delete(struct judge *judge, const struct operation *op, struct scan *value)
{
    (void)op;
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        judge_delete(judge, key, scan_i64(value));
        end_part(value);
    }
}

/* ---- groups -----------------------------------------------------------------------------------*/

typedef void group_step(struct judge *judge, unsigned process, unsigned group, unsigned key,
                        int64_t offset);

/* ["commit",7,100]; of `told`, null is nothing. */
static void read_offsets(struct judge *judge, const struct operation *op, struct scan *value,
                         group_step *step)
{
    unsigned process = judge_process(judge, op->process);
    unsigned group = judge_group(judge, op->group);
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = read_part(judge, value);
        step(judge, process, group, key, scan_null(value) ? -1 : scan_i64(value));
        end_part(value);
    }
}

static void read_commit(struct judge *judge, const struct operation *op, struct scan *value)
{
    read_offsets(judge, op, value, judge_commit);
}

static void read_committed(struct judge *judge, const struct operation *op, struct scan *value)
{
    read_offsets(judge, op, value, judge_committed);
}

static void read_ask(struct judge *judge, const struct operation *op, struct scan *value)
{
    scan_value(value);
    judge_ask_committed(judge, judge_process(judge, op->process));
}

static void read_told(struct judge *judge, const struct operation *op, struct scan *value)
{
    read_offsets(judge, op, value, judge_told_committed);
}

/* [7,8], with a group and a generation: what the process owns from now on. */
static void read_own(struct judge *judge, const struct operation *op, struct scan *value)
{
    unsigned process = judge_process(judge, op->process);
    unsigned group = judge_group(judge, op->group);
    judge_move(judge, process);
    scan_open(value, '[');
    while (scan_more(value, ']')) {
        unsigned key = judge_key(judge, scan_i64(value));
        judge_own(judge, process, group, (int32_t)op->generation, key);
    }
}

/* Nobody knows, or nothing is to be judged. */
static void read_nothing(struct judge *judge, const struct operation *op, struct scan *value)
{
    (void)judge;
    (void)op;
    scan_value(value);
}

/* ---- lines ------------------------------------------------------------------------------------*/

static const struct {
    const char *f, *type;
    operation_reader *read;
} READERS[] = {
    { "send", "invoke", read_send },     { "send", "ok", read_acknowledged },
    { "send", "info", read_unknown },    { "send", "fail", read_refused },
    { "poll", "ok", read_poll },         { "final", "ok", read_final },
    { "begin", "info", read_begin },     { "end", "info", read_end },
    { "key", "info", read_key },         { "assign", "ok", read_move },
    { "delete", "invoke", read_delete }, { "commit", "invoke", read_commit },
    { "commit", "ok", read_committed },  { "commit", "fail", read_nothing },
    { "fetch", "invoke", read_ask },     { "fetch", "ok", read_told },
    { "fetch", "fail", read_nothing },   { "own", "ok", read_own },
    { "delete", "fail", read_nothing },
};

static bool take_operation(struct judge *judge, const struct operation *op)
{
    struct scan value = scan_of(op->value);
    judge_at(judge, (uint64_t)op->time);
    for (size_t i = 0; i < countof(READERS); i++) {
        if (text_is(op->f, READERS[i].f) && text_is(op->type, READERS[i].type)) {
            READERS[i].read(judge, op, &value);
            return scan_is_done(&value);
        }
    }
    if (text_is(op->type, "fail")) {
        judge_broken(judge, judge_process(judge, op->process), op->f, op->error);
    }
    return true;
}

bool read_operation(struct judge *judge, struct text line)
{
    struct operation op = { .f = text_of(""), .type = text_of(""), .error = text_of(""),
                            .group = text_of(""), .value = text_of("null") };
    struct scan scan = scan_of(line);
    scan_open(&scan, '{');
    while (scan_more(&scan, '}')) {
        struct text name = scan_name(&scan);
        if (text_is(name, "value")) {
            op.value = scan_value(&scan);
        } else if (text_is(name, "f")) {
            op.f = scan_string(&scan);
        } else if (text_is(name, "type")) {
            op.type = scan_string(&scan);
        } else if (text_is(name, "process")) {
            op.process = scan_i64(&scan);
        } else if (text_is(name, "time")) {
            op.time = scan_i64(&scan);
        } else if (text_is(name, "error")) {
            op.error = scan_string(&scan);
        } else if (text_is(name, "group")) {
            op.group = scan_string(&scan);
        } else if (text_is(name, "generation")) {
            op.generation = scan_i64(&scan);
        } else {
            scan_value(&scan);
        }
    }
    return scan_is_done(&scan) && op.f.len > 0 && op.type.len > 0 && take_operation(judge, &op);
}

uint64_t read_history(struct judge *judge, const char *path, char **ret_error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL, *error = NULL;
    size_t cap = 0;
    uint64_t n = 0;
    ssize_t len;
    if (file == NULL) {
        *ret_error = mem_sprintf("%s cannot be read: %s", path, strerror(errno));
        return 0;
    }
    while (error == NULL && (len = getline(&line, &cap, file)) > 0 && line[len - 1] == '\n') {
        n++;
        if (len > 1 && !read_operation(judge, text_part(line, (size_t)len - 1))) {
            error = mem_sprintf("%s:%" PRIu64 ": not an operation: %.*s", path, n,
                                (int)min_u64((uint64_t)len - 1, 200), line);
        }
    }
    if (error == NULL && ferror(file)) {
        error = mem_sprintf("%s cannot be read: %s", path, strerror(errno));
    }
    if (file != stdin) {
        fclose(file);
    }
    free(line);
    *ret_error = error;
    return error == NULL ? n : 0;
}
