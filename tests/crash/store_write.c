/* Appends to several logs at random until it is told to stop, and cuts, trims and changes epochs.
 *
 * Each log has one idempotent producer. A record is acknowledged once it lies below the durable
 * end; what a truncation takes is announced before it is asked for. */
#include "store.h"

#include <chronik/base/random.h>
#include <chronik/io/timer.h>
#include <chronik/storage/producers.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum { WAITING_MAX = 2000, RECORDS_MAX = 20, BASES = 64 };

struct waiting {
    uint64_t id;
    int64_t offset;
};

struct written_log {
    struct writer *writer;
    struct log *log;
    unsigned index;
    uint32_t n;                          /* of the next record */
    uint32_t first_n;                    /* of the producer: a cut makes a new one */
    unsigned producers;                  /* so many before it */
    bool cutting;                        /* a truncation is under way */
    int64_t bases[BASES];                /* where the last batches of this run begin */
    size_t n_bases;                      /* in all */
    struct waiting waiting[WAITING_MAX]; /* not durable yet, in order */
    size_t n_waiting;
};

struct writer {
    struct store_session session;
    struct written_log *logs;
    struct prng prng;
    struct timer timer;
    struct batch_builder builder;
    char *value;
    FILE *acked;
    int64_t n_appended;
    bool stopping;
};

/* ---- acknowledgements -------------------------------------------------------------------------*/

static void moved(void *arg)
{
    struct written_log *l = arg;
    int64_t durable_end = log_durable_end(l->log);
    size_t n = 0;
    while (n < l->n_waiting && l->waiting[n].offset < durable_end) {
        fprintf(l->writer->acked, "%016" PRIx64 " %" PRId64 "\n", l->waiting[n].id,
                l->waiting[n].offset);
        n++;
    }
    fflush(l->writer->acked);
    l->n_waiting -= n;
    memmove(l->waiting, l->waiting + n, l->n_waiting * sizeof *l->waiting);
    log_set_high_watermark(l->log, durable_end);
}

/* ---- what it does -----------------------------------------------------------------------------*/

static uint64_t id_of(const struct written_log *l, uint32_t n)
{
    return record_id_pack((struct record_id){ .run = (unsigned)l->writer->session.options->run,
                                          .partition = l->index,
                                          .n = n,
                                          .idempotent = true });
}

static struct bytes build(struct written_log *l, uint32_t n_records)
{
    struct writer *w = l->writer;
    int64_t now_ms = loop_wall_ms(w->session.loop);
    batch_builder_reset(&w->builder);
    w->builder.producer_id = (int64_t)w->session.options->run << 32 | l->producers << 16 | l->index;
    w->builder.producer_epoch = 0;
    w->builder.base_sequence = (int32_t)(l->n - l->first_n);
    for (uint32_t i = 0; i < n_records; i++) {
        uint64_t id = id_of(l, l->n + i);
        size_t len = record_value(id, (size_t)w->session.options->record_bytes, w->value);
        batch_builder_add(&w->builder, now_ms, bytes_of(NULL, 0), bytes_of(w->value, len),
                          bytes_of(NULL, 0), 0);
    }
    return batch_builder_finish(&w->builder);
}

static void append(struct written_log *l)
{
    uint32_t n_records = 1 + (uint32_t)prng_below(&l->writer->prng, RECORDS_MAX);
    if (l->cutting || l->n_waiting + n_records > WAITING_MAX) {
        return;
    }
    struct log_append append = { .batches = build(l, n_records),
                                 .leader_epoch = log_last_epoch(l->log),
                                 .as_leader = true,
                                 .log_append_ms = -1 };
    struct batch b;
    check(batch_parse(append.batches, &b) == KAFKA_NONE);
    struct producer_verdict verdict = producers_decide(log_producers(l->log), &b);
    check(verdict.error == KAFKA_NONE && !verdict.duplicate);
    if (log_append(l->log, &append) != 0) {
        return;
    }
    for (uint32_t i = 0; i < n_records; i++) {
        l->waiting[l->n_waiting++] = (struct waiting){ id_of(l, l->n + i), append.base_offset + i };
    }
    l->bases[l->n_bases++ % BASES] = append.base_offset;
    l->n += n_records;
    l->writer->n_appended += n_records;
}

static void begin_epoch(struct written_log *l)
{
    if (!l->cutting) {
        log_begin_epoch(l->log, log_last_epoch(l->log) + 1);
    }
}

static void trim(struct written_log *l)
{
    int64_t start = log_start_offset(l->log), end = log_durable_end(l->log);
    int64_t offset = start + (int64_t)prng_below(&l->writer->prng, (uint64_t)(end - start) + 1);
    if (!l->cutting) {
        fprintf(l->writer->acked, "trim %u %" PRId64 "\n", l->index, offset);
        fflush(l->writer->acked);
        log_move_start(l->log, offset, NULL, NULL);
    }
}

static void cut_done(void *arg, int error)
{
    struct written_log *l = arg;
    if (error == 0) {
        fprintf(l->writer->acked, "cutdone %u 0\n", l->index);
        fflush(l->writer->acked);
    }
    l->cutting = false;
}

/* Cuts at the start of one of the last batches, as a follower does. Its producer lost the thread:
 * the next records come from a new one. */
static void cut(struct written_log *l)
{
    size_t known = l->n_bases < BASES ? l->n_bases : BASES;
    if (l->cutting || known == 0) {
        return;
    }
    size_t back = 1 + prng_below(&l->writer->prng, known);
    int64_t offset = l->bases[(l->n_bases - back) % BASES];
    if (offset < log_start_offset(l->log)) {
        return;
    }
    fprintf(l->writer->acked, "cut %u %" PRId64 "\n", l->index, offset);
    fflush(l->writer->acked);
    while (l->n_waiting > 0 && l->waiting[l->n_waiting - 1].offset >= offset) {
        l->n_waiting--;
    }
    l->n_bases = 0;
    l->first_n = l->n;
    l->producers++;
    l->cutting = log_truncate(l->log, offset, cut_done, l) == 0;
}

static void do_something(struct writer *w)
{
    struct written_log *l =
        &w->logs[prng_below(&w->prng, (uint64_t)w->session.options->partitions)];
    uint64_t what = prng_below(&w->prng, 1000);
    if (what < 990) {
        append(l);
    } else if (what < 993) {
        begin_epoch(l);
    } else if (what < 996) {
        trim(l);
    } else {
        cut(l);
    }
}

static void tick(struct timer *timer)
{
    struct writer *w = container_of(timer, struct writer, timer);
    uint64_t n = prng_below(&w->prng, 10);
    for (uint64_t i = 0; i < n && store_writable(w->session.store) == 0; i++) {
        do_something(w);
    }
    timer_set_in(timer, NS_PER_MS);
}

/* ---- its life ---------------------------------------------------------------------------------*/

static void open_log(struct writer *w, unsigned index)
{
    const struct log_config config = {
        .segment_bytes = KIB(64),
        .segment_ms = INT64_MAX,
        .segment_index_bytes = KIB(4),
        .index_interval_bytes = 1024,
        .retention_ms = -1,
        .retention_bytes = -1,
        .file_delete_delay_ms = 20,
    };
    struct written_log *l = &w->logs[index];
    l->writer = w;
    l->index = index;
    l->log = store_find(w->session.store, &STORE_TOPIC, (int32_t)index);
    if (l->log == NULL) {
        l->log =
            store_create(w->session.store, &STORE_TOPIC, text_of("crash"), (int32_t)index, &config);
    } else {
        log_configure(l->log, &config);
    }
    log_listen(l->log, moved, l);
    begin_epoch(l);
}

static void asked_to_stop(void *arg, int signum)
{
    struct writer *w = arg;
    (void)signum;
    if (!w->stopping && timer_is_set(&w->timer)) {
        w->stopping = true;
        timer_cancel(&w->timer);
        store_session_close(&w->session);
    }
}

static void ready(struct store_session *session)
{
    struct writer *w = session->arg;
    for (unsigned i = 0; i < (unsigned)session->options->partitions; i++) {
        open_log(w, i);
    }
    loop_on_signal(session->loop, SIGTERM, asked_to_stop, w);
    timer_init(&w->timer, session->loop, tick);
    timer_set_in(&w->timer, NS_PER_MS);
}

int store_write(const struct load_options *options)
{
    struct writer w = { .session = { .options = options, .ready = ready } };
    w.session.arg = &w;
    w.logs = mem_zalloc_array((size_t)options->partitions, sizeof *w.logs);
    w.value = mem_alloc((size_t)options->record_bytes);
    w.acked = fopen(options->acked, "a");
    if (w.acked == NULL) {
        perror(options->acked);
        return 2;
    }
    prng_init(&w.prng, (uint64_t)options->seed);
    batch_builder_init(&w.builder);
    int code = store_session_run(&w.session);
    printf("appended %" PRId64 "\n", w.n_appended);
    batch_builder_release(&w.builder);
    fclose(w.acked);
    free(w.value);
    free(w.logs);
    return code;
}
