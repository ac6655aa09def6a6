/* Reads every log and compares with the acknowledgement log; and asks the logs' producer state
 * about the batches that were read: each of a producer's last five must be known again, at its
 * offset. */
#include "compare.h"
#include "store.h"

#include <chronik/storage/producers.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { WINDOW = 5, CHUNK = 1 << 20 };

struct checker {
    struct store_session session;
    struct comparison *comparison;
    struct log *log;
    int32_t partition;
    struct log_read read;
    struct buf window[WINDOW]; /* the last batches of the newest producer, by turns */
    size_t n_window;
    int64_t producer_id;
    int64_t n_known; /* batches that the producer state knew again */
    bool wrong;
};

static void read_on(struct checker *c);

static void say_wrong(struct checker *c, const char *what, int64_t offset)
{
    printf("%s: partition %" PRId32 ", offset %" PRId64 "\n", what, c->partition, offset);
    c->wrong = true;
}

/* ---- batches ----------------------------------------------------------------------------------*/

static void keep(struct checker *c, const struct batch *b)
{
    struct buf *slot;
    if (b->producer_id != c->producer_id) {
        c->producer_id = b->producer_id;
        c->n_window = 0;
    }
    slot = &c->window[c->n_window++ % WINDOW];
    buf_clear(slot);
    buf_put(slot, b->raw.data, b->raw.len);
}

static void ask_producers(struct checker *c)
{
    size_t n = c->n_window < WINDOW ? c->n_window : WINDOW;
    for (size_t i = 0; i < n; i++) {
        struct batch b;
        check(batch_parse(buf_bytes(&c->window[i]), &b) == KAFKA_NONE);
        struct producer_verdict verdict = producers_decide(log_producers(c->log), &b);
        if (!verdict.duplicate || verdict.base_offset != b.base_offset ||
            verdict.last_offset != batch_last_offset(&b)) {
            say_wrong(c, "not known again", b.base_offset);
        }
        c->n_known += verdict.duplicate;
    }
    c->n_window = 0;
    c->producer_id = -1;
}

static bool take_batch(struct checker *c, const struct batch *b)
{
    struct codec_scratch scratch = { 0 };
    struct record_iter it;
    struct record record;
    int64_t start = log_start_offset(c->log);
    bool ok = batch_crc_ok(b) && record_iter_init(&it, b, CHUNK, &scratch) == 0;
    while (ok && record_iter_next(&it, &record)) {
        if (record.offset >= start) {
            comparison_take(c->comparison, (unsigned)c->partition, record.offset,
                            record.value.data, record.value.len);
        }
    }
    codec_scratch_release(&scratch);
    if (!ok) {
        say_wrong(c, "not a batch", b->base_offset);
    } else if (log_epoch_at(c->log, max_i64(b->base_offset, start)) != b->leader_epoch) {
        say_wrong(c, "of another epoch", b->base_offset);
    }
    keep(c, b);
    return ok;
}

static bool take_batches(struct checker *c, struct bytes bytes)
{
    struct batch b;
    while (bytes.len > 0) {
        if (batch_parse(bytes, &b) != KAFKA_NONE || !take_batch(c, &b)) {
            say_wrong(c, "cannot be parsed", c->read.offset);
            return false;
        }
        bytes = bytes_part(bytes, b.raw.len, bytes.len - b.raw.len);
    }
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------*/

static void finish(struct checker *c)
{
    bool ok = comparison_close(c->comparison);
    printf("known again %" PRId64 "\n", c->n_known);
    c->session.code = ok && !c->wrong ? 0 : 1;
    store_session_close(&c->session);
}

static void next_log(struct checker *c)
{
    while (++c->partition < c->session.options->partitions) {
        c->log = store_find(c->session.store, &STORE_TOPIC, c->partition);
        if (c->log == NULL) {
            continue;
        }
        if (log_damage(c->log) != NULL) {
            printf("damage: partition %" PRId32 ": %s\n", c->partition, log_damage(c->log));
            c->wrong = true;
        }
        comparison_open(c->comparison, (unsigned)c->partition, log_start_offset(c->log),
                        log_end(c->log));
        c->read.offset = log_start_offset(c->log);
        read_on(c);
        return;
    }
    finish(c);
}

/* Takes what was read; true when there is more to read in this log. */
static bool take_read(struct checker *c, int error)
{
    if (error != 0) {
        printf("reading: %s\n", strerror(-error));
        say_wrong(c, "not readable", c->read.offset);
        return false;
    }
    struct buf bytes = { 0 };
    chain_copy(&c->read.batches, buf_reserve(&bytes, c->read.batches.len));
    bytes.len = c->read.batches.len;
    chain_release(&c->read.batches);
    bool ok = take_batches(c, buf_bytes(&bytes));
    buf_release(&bytes);
    if (ok && c->read.next == c->read.offset) {
        say_wrong(c, "nothing to read", c->read.offset);
        ok = false;
    }
    c->read.offset = c->read.next;
    return ok && c->read.offset < log_end(c->log);
}

static void read_done(struct log_read *read, int error)
{
    struct checker *c = read->arg;
    if (take_read(c, error)) {
        read_on(c);
    } else {
        ask_producers(c);
        next_log(c);
    }
}

static void read_on(struct checker *c)
{
    if (c->read.offset >= log_end(c->log)) {
        ask_producers(c);
        next_log(c);
        return;
    }
    int error = log_read(c->log, &c->read);
    if (error != -EINPROGRESS) {
        read_done(&c->read, error);
    }
}

static void ready(struct store_session *session)
{
    struct checker *c = session->arg;
    c->partition = -1;
    next_log(c);
}

int store_check(const struct load_options *options)
{
    struct checker c = {
        .session = { .options = options, .ready = ready },
        .comparison = comparison_new(options),
        .read = { .below = INT64_MAX, .max_bytes = CHUNK, .at_least_one = true, .done = read_done },
        .producer_id = -1
    };
    if (c.comparison == NULL) {
        return 2;
    }
    c.session.arg = c.read.arg = &c;
    int code = store_session_run(&c.session);
    comparison_free(c.comparison);
    for (size_t i = 0; i < WINDOW; i++) {
        buf_release(&c.window[i]);
    }
    return code;
}
