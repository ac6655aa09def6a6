/* Random operations on a store, compared with a model in memory: appends small and large, with and
 * without producers, truncations, new log starts, deletions and re-creations, clean stops,
 * crashes.
 *
 * A crash may lose what was not durable, in order: what is found must be the state after some
 * prefix of the operations since all was known to be durable, and hold everything acknowledged. */
#include "dump_bed.h"
#include "store_test.h"

enum { LOGS = 4, PRODUCERS = 3, WINDOW = 5 };

struct model_batch {
    int64_t base;
    uint64_t first; /* id */
    unsigned n;
    int64_t producer;
    int32_t sequence;
};

/* A log as it should be. */
struct model {
    bool exists;
    uint8_t id; /* of the topic */
    int64_t start, end;
    struct model_batch *batches;
    size_t n, cap;
};

struct world {
    struct bed bed;
    struct prng prng;
    uint64_t next_id;
    uint8_t next_topic;
    struct model now[LOGS];
    struct model *past[LOGS]; /* states since all was durable, oldest first */
    size_t n_past[LOGS], cap_past[LOGS];
    int32_t sequence[LOGS][PRODUCERS];
    unsigned waiting; /* for cuts */
};

static const struct log_config SMALL = {
    .segment_bytes = 30000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 1000,
    .index_interval_bytes = 500,
    .retention_ms = -1,
    .retention_bytes = -1,
};

/* ---- the model --------------------------------------------------------------------------------*/

static void copy_model(struct model *to, const struct model *from)
{
    *to = *from;
    to->cap = from->n;
    to->batches = mem_zalloc_array(from->n, sizeof *to->batches);
    if (from->n > 0) {
        memcpy(to->batches, from->batches, from->n * sizeof *to->batches);
    }
}

static void remember(struct world *w, unsigned i)
{
    w->past[i] = mem_grow(w->past[i], &w->cap_past[i], w->n_past[i] + 1, sizeof *w->past[i]);
    copy_model(&w->past[i][w->n_past[i]++], &w->now[i]);
}

static void forget_past(struct world *w, unsigned i)
{
    for (size_t k = 0; k < w->n_past[i]; k++) {
        free(w->past[i][k].batches);
    }
    w->n_past[i] = 0;
}

static void model_append(struct model *m, const struct model_batch *batch)
{
    m->batches = mem_grow(m->batches, &m->cap, m->n + 1, sizeof *m->batches);
    m->batches[m->n++] = *batch;
    m->end = batch->base + batch->n;
}

static void model_truncate(struct model *m, int64_t offset)
{
    if (offset >= m->end) {
        return;
    }
    m->end = offset;
    while (m->n > 0 && m->batches[m->n - 1].base + m->batches[m->n - 1].n > offset) {
        m->n--;
        m->end = min_i64(m->end, m->batches[m->n].base);
    }
    m->end = max_i64(m->end, m->start);
}

static void model_start(struct model *m, int64_t offset)
{
    m->start = max_i64(m->start, offset);
    if (m->start >= m->end) {
        m->n = 0;
        m->end = m->start;
    }
}

static struct log *log_of(struct world *w, unsigned i)
{
    struct uuid id;
    memset(id.bytes, w->now[i].id, sizeof id.bytes);
    return store_find(w->bed.store, &id, (int32_t)i);
}

/* Is the log what the model says? With `complain`, a difference fails the test. */
static bool same(struct world *w, struct log *log, const struct model *m, bool complain)
{
    if ((log != NULL) != m->exists) {
        assert_false(complain);
        return false;
    }
    if (log == NULL) {
        return true;
    }
    if (log_start_offset(log) != m->start || log_end(log) != m->end) {
        if (complain) {
            fail_msg("log is [%lld, %lld), should be [%lld, %lld)",
                     (long long)log_start_offset(log), (long long)log_end(log),
                     (long long)m->start, (long long)m->end);
        }
        return false;
    }
    struct ids ids = bed_read(&w->bed, log, m->start, 1 + prng_below(&w->prng, 40000));
    assert_int_equal(ids.error, 0);
    size_t k = 0;
    bool ok = true;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_batch *b = &m->batches[i];
        for (unsigned j = 0; j < b->n; j++) {
            if (b->base + j < m->start) {
                continue;
            }
            ok = ok && k < ids.n && ids.id[k] == b->first + j && ids.offset[k] == b->base + j;
            k++;
        }
    }
    ok = ok && k == ids.n;
    ids_release(&ids);
    assert_true(ok || !complain);
    return ok;
}

/* Batches in the log that a producer's window must remember are duplicates, at their offsets. */
static void check_producers(struct world *w, unsigned i)
{
    const struct model *m = &w->now[i];
    struct log *log = log_of(w, i);
    unsigned seen[PRODUCERS] = { 0 };
    for (size_t k = m->n; k > 0 && log != NULL; k--) {
        const struct model_batch *b = &m->batches[k - 1];
        if (b->producer < 0 || b->base < m->start || seen[b->producer]++ >= WINDOW) {
            continue;
        }
        struct buf raw = bed_batch_producer(&w->bed, b->first, b->n, 8, b->producer, b->sequence);
        struct batch batch;
        assert_int_equal(batch_parse(buf_bytes(&raw), &batch), KAFKA_NONE);
        struct producer_verdict verdict = producers_decide(log_producers(log), &batch);
        if (!verdict.duplicate) {
            fail_msg("log %u: producer %d does not know sequence %d at offset %lld, number %u back",
                     i, (int)b->producer, (int)b->sequence, (long long)b->base,
                     seen[b->producer]);
        }
        assert_int_equal(verdict.base_offset, b->base);
        buf_release(&raw);
    }
}

/* With CHRONIK_TRACE every operation is printed. */
static void trace(const struct world *w, const char *what, unsigned i, int64_t offset)
{
    if (getenv("CHRONIK_TRACE") != NULL) {
        fprintf(stderr, "%s log %u offset %lld: [%lld, %lld)\n", what, i, (long long)offset,
                (long long)w->now[i].start, (long long)w->now[i].end);
    }
}

/* ---- operations -------------------------------------------------------------------------------*/

static bool all_durable(struct bed *bed)
{
    struct world *w = container_of(bed, struct world, bed);
    for (unsigned i = 0; i < LOGS; i++) {
        struct log *log = w->now[i].exists ? log_of(w, i) : NULL;
        if (log != NULL && log_durable_end(log) < log_end(log)) {
            return false;
        }
    }
    return w->waiting == 0;
}

static bool no_cut(struct bed *bed)
{
    return container_of(bed, struct world, bed)->waiting == 0;
}

/* Waits until everything done so far is durable: an append to each log comes last. */
static void settle(struct world *w);

static void op_append(struct world *w, unsigned i)
{
    struct log *log = log_of(w, i);
    struct model *m = &w->now[i];
    unsigned n = 1 + (unsigned)prng_below(&w->prng, 20);
    size_t len = prng_percent(&w->prng, 5) ? prng_below(&w->prng, 200000 / n)
                                           : prng_below(&w->prng, 300);
    struct model_batch b = { m->end, w->next_id, n, -1, -1 };
    if (log == NULL) {
        return;
    }
    if (prng_percent(&w->prng, 40)) {
        b.producer = (int64_t)prng_below(&w->prng, PRODUCERS);
        b.sequence = w->sequence[i][b.producer];
        w->sequence[i][b.producer] += (int32_t)n;
        assert_int_equal(bed_append_producer(&w->bed, log, b.first, n, len, b.producer,
                                             b.sequence), 0);
    } else {
        assert_int_equal(bed_append(&w->bed, log, b.first, n, len), 0);
    }
    w->next_id += n;
    model_append(m, &b);
    remember(w, i);
    trace(w, b.producer >= 0 ? "append, with a producer," : "append", i, b.base);
}

static void settle(struct world *w)
{
    bed_run(&w->bed, no_cut);
    for (unsigned i = 0; i < LOGS; i++) {
        if (w->now[i].exists) {
            op_append(w, i);
        }
    }
    bed_run(&w->bed, all_durable);
    for (unsigned i = 0; i < LOGS; i++) {
        forget_past(w, i);
        remember(w, i);
    }
}

static void cut_done(void *arg, int error)
{
    struct world *w = arg;
    if (error != 0 && error != -EIO) {
        fail_msg("a cut failed: %s", strerror(-error));
    }
    w->waiting--;
}

/* Producers may go on anywhere after a cut: the model begins new sequences at what is left. */
static void resume_sequences(struct world *w, unsigned i)
{
    for (unsigned p = 0; p < PRODUCERS; p++) {
        const struct model *m = &w->now[i];
        size_t k = m->n;
        while (k > 0 && m->batches[k - 1].producer != p) {
            k--;
        }
        if (k > 0) {
            w->sequence[i][p] = m->batches[k - 1].sequence + (int32_t)m->batches[k - 1].n;
        }
    }
}

static void op_truncate(struct world *w, unsigned i)
{
    struct log *log = log_of(w, i);
    struct model *m = &w->now[i];
    if (log == NULL || m->end == m->start) {
        return;
    }
    uint64_t back = prng_percent(&w->prng, 70) ? 30 : (uint64_t)(m->end - m->start);
    int64_t offset = max_i64(m->start, m->end - (int64_t)prng_below(&w->prng, back + 1));
    w->waiting++;
    assert_int_equal(log_truncate(log, offset, cut_done, w), 0);
    model_truncate(m, offset);
    remember(w, i);
    trace(w, "truncate", i, offset);
    if (prng_percent(&w->prng, 90)) {
        bed_run(&w->bed, no_cut);
        resume_sequences(w, i);
        same(w, log, m, true);
    }
}

static void op_start(struct world *w, unsigned i)
{
    struct log *log = log_of(w, i);
    struct model *m = &w->now[i];
    if (log == NULL) {
        return;
    }
    int64_t offset = m->start + (int64_t)prng_below(&w->prng, (uint64_t)(m->end - m->start) + 1);
    if (prng_percent(&w->prng, 10)) {
        offset = m->end + (int64_t)prng_below(&w->prng, 100);
    }
    w->waiting++;
    assert_int_equal(log_move_start(log, offset, cut_done, w), 0);
    model_start(m, offset);
    remember(w, i);
    trace(w, "move start", i, offset);
}

static void op_delete(struct world *w, unsigned i)
{
    struct log *log = log_of(w, i);
    if (log != NULL) {
        trace(w, "delete", i, -1);
        store_delete(w->bed.store, log);
        w->now[i].exists = false;
        w->now[i].n = 0;
        w->now[i].start = w->now[i].end = 0;
        remember(w, i);
    }
}

static void op_create(struct world *w, unsigned i)
{
    if (!w->now[i].exists) {
        w->now[i].exists = true;
        w->now[i].id = prng_percent(&w->prng, 80) || w->now[i].id == 0 ? ++w->next_topic
                                                                       : w->now[i].id;
        memset(w->sequence[i], 0, sizeof w->sequence[i]);
        assert_non_null(bed_create(&w->bed, "model", w->now[i].id, (int32_t)i, &SMALL));
        remember(w, i);
        trace(w, "create", i, w->now[i].id);
    }
}

/* ---- restarts ---------------------------------------------------------------------------------*/

static void no_damage(struct log *log, void *arg)
{
    (void)arg;
    if (log_damage(log) != NULL) {
        fail_msg("log %d is damaged: %s", (int)log_partition(log), log_damage(log));
    }
}

/* What is found, a dump has shown before, record by record. */
static void compare_records(struct world *w, const struct dumped_dir *dumped)
{
    for (size_t i = 0; i < dumped->n; i++) {
        const struct dumped_log *shown = &dumped->logs[i];
        struct log *log = store_find(w->bed.store, &shown->topic_id, shown->partition);
        assert_non_null(log);
        struct ids ids = bed_read(&w->bed, log, shown->start, 100000);
        assert_int_equal(ids.error, 0);
        assert_int_equal(ids.n, shown->n);
        for (size_t k = 0; k < ids.n; k++) {
            assert_int_equal(ids.id[k], shown->id[k]);
            assert_int_equal(ids.offset[k], shown->offset[k]);
        }
        ids_release(&ids);
    }
}

static void reopen(struct world *w)
{
    struct dumped_dir dumped;
    assert_int_equal(dir_dump(&dumped, w->bed.dir, NULL, 0), 0);
    if (dumped.n_damage > 0) {
        fail_msg("%s", dumped.damage);
    }
    if (bed_try_open(&w->bed) != 0) {
        fail_msg("%s", w->bed.message);
    }
    store_each(w->bed.store, no_damage, NULL);
    compare_records(w, &dumped);
    dir_dump_release(&dumped);
}

static void configure(struct log *log, void *arg)
{
    (void)arg;
    log_configure(log, &SMALL);
}

static void op_stop(struct world *w)
{
    settle(w);
    for (unsigned i = 0; i < LOGS; i++) {
        check_producers(w, i);
    }
    trace(w, "stop", 0, -1);
    bed_close(&w->bed);
    reopen(w);
    assert_true(store_recovery(w->bed.store)->clean);
    for (unsigned i = 0; i < LOGS; i++) {
        same(w, log_of(w, i), &w->now[i], true);
        check_producers(w, i);
    }
    store_each(w->bed.store, configure, NULL);
}

/* Takes over the state that was found, which must be one of those since all was durable. */
static void find_state(struct world *w, unsigned i)
{
    for (size_t k = w->n_past[i]; k > 0; k--) {
        struct model *m = &w->past[i][k - 1];
        uint8_t id = w->now[i].id;
        w->now[i].id = m->id;
        if (same(w, log_of(w, i), m, false)) {
            free(w->now[i].batches);
            copy_model(&w->now[i], m);
            return;
        }
        w->now[i].id = id;
    }
    struct log *log = log_of(w, i);
    fail_msg("log %u is in none of %zu states: [%lld, %lld)", i, w->n_past[i],
             log ? (long long)log_start_offset(log) : -1, log ? (long long)log_end(log) : -1);
}

static void op_crash(struct world *w)
{
    int64_t durable[LOGS];
    if (prng_percent(&w->prng, 50)) {
        settle(w);
    }
    for (unsigned i = 0; i < LOGS; i++) {
        struct log *log = log_of(w, i);
        durable[i] = log != NULL && w->waiting == 0 ? log_durable_end(log) : -1;
    }
    trace(w, "crash", 0, -1);
    bed_crash(&w->bed);
    assert_int_equal(w->waiting, 0);
    reopen(w);
    for (unsigned i = 0; i < LOGS; i++) {
        uint8_t id = w->now[i].id;
        find_state(w, i);
        if (w->now[i].exists && w->now[i].id == id && durable[i] >= 0) {
            assert_true(log_end(log_of(w, i)) >= durable[i]);
        }
        resume_sequences(w, i);
        check_producers(w, i);
        forget_past(w, i);
        remember(w, i);
    }
    store_each(w->bed.store, configure, NULL);
}

/* ---- the whole --------------------------------------------------------------------------------*/

static void step(struct world *w)
{
    unsigned i = (unsigned)prng_below(&w->prng, LOGS), dice = (unsigned)prng_below(&w->prng, 1000);
    if (w->waiting > 0 && dice < 990) {
        bed_run(&w->bed, no_cut);
        resume_sequences(w, i);
    }
    if (dice < 700) {
        op_append(w, i);
    } else if (dice < 780) {
        bed_run_ms(&w->bed, prng_below(&w->prng, 4));
    } else if (dice < 830) {
        op_truncate(w, i);
    } else if (dice < 870) {
        op_start(w, i);
    } else if (dice < 880) {
        op_delete(w, i);
    } else if (dice < 950) {
        op_create(w, i);
    } else if (dice < 970) {
        same(w, log_of(w, i), &w->now[i], true);
    } else if (dice < 980) {
        settle(w);
    } else if (dice < 985) {
        op_stop(w);
    } else {
        op_crash(w);
    }
}

static void run(enum loop_backend backend, uint64_t seed, unsigned steps)
{
    struct world *w = mem_zalloc(sizeof *w);
    prng_init(&w->prng, seed);
    bed_init(&w->bed, backend);
    w->bed.config.tail_bytes = MIB(1) + prng_below(&w->prng, MIB(2));
    w->bed.config.journal_bytes_max = MIB(1) + prng_below(&w->prng, MIB(4));
    w->bed.config.write_age_ns = 1 + prng_below(&w->prng, 20) * NS_PER_MS;
    w->bed.config.checkpoint_idle_ns = 1 + prng_below(&w->prng, 30) * NS_PER_MS;
    w->bed.config.open_files_max = 1 + (unsigned)prng_below(&w->prng, 10);
    w->next_topic = 1;
    if (bed_try_open(&w->bed) != 0) {
        fail_msg("%s", w->bed.message);
    }
    for (unsigned i = 0; i < LOGS; i++) {
        remember(w, i);
    }
    for (unsigned i = 0; i < steps; i++) {
        step(w);
    }
    settle(w);
    bed_close(&w->bed);
    for (unsigned i = 0; i < LOGS; i++) {
        forget_past(w, i);
        free(w->past[i]);
        free(w->now[i].batches);
    }
    bed_release(&w->bed);
    free(w);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void a_store_behaves_like_its_model(void **state)
{
    uint64_t seed = from_environment("CHRONIK_SEED", 1);
    uint64_t rounds = from_environment("CHRONIK_ROUNDS", 6);
    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        print_message("seed %llu\n", (unsigned long long)(seed + i));
        run((seed + i) % 2 ? LOOP_AUTO : LOOP_THREADS, seed + i, 1500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_behaves_like_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
