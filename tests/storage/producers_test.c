/* The producers of one log: against a naive model that looks through all of the log every time. */
#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/storage/producers.h>

#include <errno.h>

enum { LOG_MAX = 400 };

/* What a test writes: a batch of `count` records, or a marker. */
struct write {
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence, count;
    int64_t timestamp;
    bool transactional, marker;
    int32_t coordinator_epoch; /* of a marker */
};

static struct write data(int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct write){
        .producer_id = producer_id, .epoch = epoch, .sequence = sequence, .count = count
    };
}

static void put_marker(struct batch_builder *builder, const struct write *w)
{
    uint8_t key[4] = { 0, 0, 0, 1 }, value[6] = { 0 };
    store_be32(value + 2, (uint32_t)w->coordinator_epoch);
    builder->attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    builder->base_sequence = -1;
    batch_builder_add(builder, w->timestamp, bytes_of(key, 4), bytes_of(value, 6),
                      bytes_of(NULL, 0), 0);
}

/* The batch as it would lie in the log at `offset`; `builder` keeps its bytes. */
static struct batch make(struct batch_builder *builder, const struct write *w, int64_t offset)
{
    struct batch b;
    batch_builder_init(builder);
    builder->base_offset = offset;
    builder->producer_id = w->producer_id;
    builder->producer_epoch = w->epoch;
    builder->base_sequence = w->sequence;
    if (w->marker) {
        put_marker(builder, w);
    } else {
        builder->attributes = w->transactional ? BATCH_TRANSACTIONAL : 0;
        for (int32_t i = 0; i < w->count; i++) {
            batch_builder_add(builder, w->timestamp, bytes_of(NULL, 0), bytes_of("v", 1),
                              bytes_of(NULL, 0), 0);
        }
    }
    assert_int_equal(batch_parse(batch_builder_finish(builder), &b), KAFKA_NONE);
    return b;
}

static struct producer_verdict decide(const struct producers *producers, struct write w)
{
    struct batch_builder builder;
    struct batch b = make(&builder, &w, 0);
    struct producer_verdict verdict = producers_decide(producers, &b);
    batch_builder_release(&builder);
    return verdict;
}

static void apply(struct producers *producers, struct write w, int64_t offset, int64_t now_ms)
{
    struct batch_builder builder;
    struct batch b = make(&builder, &w, offset);
    producers_apply(producers, &b, now_ms);
    batch_builder_release(&builder);
}

static int error_of(const struct producers *producers, struct write w)
{
    struct producer_verdict verdict = decide(producers, w);
    assert_false(verdict.duplicate);
    return verdict.error;
}

/* ---- single rules --------------------------------------------------------------------------- */

static void unseen_producers_may_begin_anywhere(void **state)
{
    (void)state;
    struct producers producers;
    producers_init(&producers, 1);
    assert_int_equal(error_of(&producers, data(7, 3, 500, 1)), KAFKA_NONE);
    assert_int_equal(error_of(&producers, data(-1, -1, -1, 1)), KAFKA_NONE);
    apply(&producers, data(-1, -1, -1, 1), 0, 0);
    assert_int_equal(producers_count(&producers), 0);
    producers_release(&producers);
}

static void the_five_last_batches_are_known_again(void **state)
{
    (void)state;
    struct producers producers;
    producers_init(&producers, 1);
    for (int i = 0; i < 7; i++) {
        apply(&producers, (struct write){ 7, 0, i * 10, 10, .timestamp = i }, 100 + i * 10, 0);
    }
    for (int i = 2; i < 7; i++) {
        struct producer_verdict v = decide(&producers, data(7, 0, i * 10, 10));
        assert_int_equal(v.error, KAFKA_NONE);
        assert_true(v.duplicate);
        assert_int_equal(v.base_offset, 100 + i * 10);
        assert_int_equal(v.last_offset, 109 + i * 10);
        assert_int_equal(v.timestamp, i);
    }
    /* Older than the window, or not the same batch: no duplicate, and not in order. */
    assert_int_equal(error_of(&producers, data(7, 0, 10, 10)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(error_of(&producers, data(7, 0, 60, 9)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(error_of(&producers, data(7, 0, 71, 1)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(error_of(&producers, data(7, 0, 70, 1)), KAFKA_NONE);
    producers_release(&producers);
}

static void sequences_wrap_to_zero(void **state)
{
    (void)state;
    struct producers producers;
    producers_init(&producers, 1);
    apply(&producers, data(7, 0, INT32_MAX - 1, 5), 100, 0); /* up to sequence 2 */
    struct producer_verdict v = decide(&producers, data(7, 0, INT32_MAX - 1, 5));
    assert_true(v.duplicate);
    assert_int_equal(v.base_offset, 100);
    assert_int_equal(error_of(&producers, data(7, 0, 3, 1)), KAFKA_NONE);
    assert_int_equal(error_of(&producers, data(7, 0, 2, 1)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);

    apply(&producers, data(8, 0, INT32_MAX, 1), 105, 0);
    assert_int_equal(error_of(&producers, data(8, 0, 0, 1)), KAFKA_NONE);
    assert_int_equal(error_of(&producers, data(8, 0, 1, 1)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    producers_release(&producers);
}

static void epochs_only_rise_and_begin_at_zero(void **state)
{
    (void)state;
    struct producers producers;
    producers_init(&producers, 1);
    apply(&producers, data(7, 3, 40, 2), 0, 0);
    assert_int_equal(error_of(&producers, data(7, 2, 42, 1)), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(error_of(&producers, data(7, 2, 40, 2)), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(error_of(&producers, data(7, 4, 42, 1)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(error_of(&producers, data(7, 4, 0, 1)), KAFKA_NONE);
    producers_release(&producers);
}

static void markers_end_transactions_and_begin_epochs(void **state)
{
    (void)state;
    struct producers producers;
    struct write first = data(7, 3, 40, 2);
    struct write marker = { 7, 3, .marker = true, .coordinator_epoch = 5 };
    producers_init(&producers, 1);
    first.transactional = true;
    apply(&producers, first, 0, 0);
    assert_int_equal(error_of(&producers, data(7, 3, 42, 1)), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(error_of(&producers, marker), KAFKA_NONE);
    apply(&producers, marker, 2, 0);

    /* The same epoch goes on where it was, and its batches are still known. */
    assert_true(decide(&producers, first).duplicate);
    assert_int_equal(error_of(&producers, data(7, 3, 42, 1)), KAFKA_NONE);
    marker.coordinator_epoch = 4;
    assert_int_equal(error_of(&producers, marker), KAFKA_TRANSACTION_COORDINATOR_FENCED);
    marker.epoch = 2;
    assert_int_equal(error_of(&producers, marker), KAFKA_INVALID_PRODUCER_EPOCH);

    /* A marker of a higher epoch begins it: the next sequence is 0. */
    marker.epoch = 4;
    marker.coordinator_epoch = 6;
    apply(&producers, marker, 3, 0);
    assert_int_equal(error_of(&producers, first), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(error_of(&producers, data(7, 4, 42, 1)), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(error_of(&producers, data(7, 4, 0, 1)), KAFKA_NONE);
    producers_release(&producers);
}

static void control_batches_that_are_no_markers_change_nothing(void **state)
{
    (void)state;
    struct producers producers;
    struct batch_builder builder;
    struct write marker = { 7, 3, .marker = true, .coordinator_epoch = 5 };
    producers_init(&producers, 1);
    struct batch b = make(&builder, &marker, 0);
    b.count = 0; /* compaction took the record */
    producers_apply(&producers, &b, 0);
    assert_int_equal(producers_count(&producers), 0);
    batch_builder_release(&builder);
    producers_release(&producers);
}

static void coordinators_write_without_sequences(void **state)
{
    (void)state;
    struct producers producers;
    struct write w = { 7, 3, -1, 1, .transactional = true };
    producers_init(&producers, 1);
    apply(&producers, w, 0, 0);
    assert_int_equal(error_of(&producers, w), KAFKA_NONE);
    w.epoch = 2;
    assert_int_equal(error_of(&producers, w), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(error_of(&producers, (struct write){ 7, 3, 0, 1, .transactional = true }),
                     KAFKA_NONE);
    producers_release(&producers);
}

static void producers_expire_by_the_time_of_the_append(void **state)
{
    (void)state;
    struct producers producers;
    producers_init(&producers, 1);
    apply(&producers, (struct write){ 1, 0, 0, 1, .timestamp = 1 }, 0, 1000);
    apply(&producers, (struct write){ 2, 0, 0, 1, .timestamp = INT64_MAX / 2 }, 1, 1500);
    apply(&producers, (struct write){ 3, 0, 0, 1, .transactional = true }, 2, 1000);
    producers_expire(&producers, 1099, 100);
    assert_int_equal(producers_count(&producers), 3);
    producers_expire(&producers, 1100, 100);
    assert_int_equal(producers_count(&producers), 2);
    assert_int_equal(error_of(&producers, data(1, 0, 9, 1)), KAFKA_NONE);
    producers_expire(&producers, 99999, 100);
    assert_int_equal(producers_count(&producers), 1); /* its transaction is open */
    apply(&producers, (struct write){ 3, 0, .marker = true }, 3, 99999);
    producers_expire(&producers, 100098, 100);
    assert_int_equal(producers_count(&producers), 1);
    producers_expire(&producers, 100099, 100);
    assert_int_equal(producers_count(&producers), 0);
    producers_release(&producers);
}

/* ---- the files ---------------------------------------------------------------------------------
 * */

static void snapshots_have_kafkas_bytes(void **state)
{
    (void)state;
    /* What Kafka 4.4's ProducerStateManager.writeSnapshot() writes for these two producers. */
    static const uint8_t EXPECTED[] = {
        0x00, 0x01, 0xc0, 0x1c, 0x7d, 0x56, 0x00, 0x00, 0x00, 0x02,

        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x03, 0x00, 0x00,
        0x00, 0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00,
        0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xe8, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,

        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x01, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0xd0, 0x00, 0x00,
        0x00, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    };
    struct producers producers;
    struct buf file = { 0 };
    producers_init(&producers, 1);
    apply(&producers, (struct write){ 7, 3, 40, 2, .timestamp = 1000 }, 10, 0);
    apply(&producers,
          (struct write){ 8, 1, .marker = true, .coordinator_epoch = 9, .timestamp = 2000 }, 12, 0);
    producers_encode(&producers, &file);
    assert_int_equal(file.len, sizeof EXPECTED);
    assert_memory_equal(file.data, EXPECTED, sizeof EXPECTED);
    buf_release(&file);
    producers_release(&producers);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct producers producers, copy;
    struct buf snapshot = { 0 }, window = { 0 };
    producers_init(&producers, 1);
    producers_init(&copy, 2);
    for (int i = 0; i < 3; i++) {
        apply(&producers, data(7, 3, i, 1), i, 0);
    }
    producers_encode(&producers, &snapshot);
    producers_encode_window(&producers, &window);
    for (size_t i = 0; i < snapshot.len; i++) {
        snapshot.data[i] ^= 0x10;
        assert_int_equal(producers_decode(&copy, buf_bytes(&snapshot)), -EINVAL);
        assert_int_equal(producers_count(&copy), 0);
        assert_int_equal(producers_decode(&copy, bytes_of(snapshot.data, i)), -EINVAL);
        snapshot.data[i] ^= 0x10;
    }
    assert_int_equal(producers_decode(&copy, buf_bytes(&snapshot)), 0);
    for (size_t i = 0; i < window.len; i++) {
        window.data[i] ^= 0x10;
        int error = producers_decode_window(&copy, buf_bytes(&window));
        assert_int_equal(error, i == 4 || i == 5 ? -ENOTSUP : -EINVAL);
        assert_int_equal(producers_decode_window(&copy, bytes_of(window.data, i)), -EINVAL);
        window.data[i] ^= 0x10;
    }
    assert_false(decide(&copy, data(7, 3, 1, 1)).duplicate);
    assert_int_equal(producers_decode_window(&copy, buf_bytes(&window)), 0);
    assert_true(decide(&copy, data(7, 3, 1, 1)).duplicate);
    buf_release(&snapshot);
    buf_release(&window);
    producers_release(&producers);
    producers_release(&copy);
}

static void windows_of_other_snapshots_are_refused(void **state)
{
    (void)state;
    struct producers producers, copy;
    struct buf snapshot = { 0 }, window = { 0 };
    producers_init(&producers, 1);
    producers_init(&copy, 2);
    apply(&producers, data(7, 3, 0, 1), 0, 0);
    producers_encode(&producers, &snapshot);
    apply(&producers, data(7, 3, 1, 1), 1, 0);
    producers_encode_window(&producers, &window);
    assert_int_equal(producers_decode(&copy, buf_bytes(&snapshot)), 0);
    assert_int_equal(producers_decode_window(&copy, buf_bytes(&window)), -EINVAL);
    assert_int_equal(error_of(&copy, data(7, 3, 1, 1)), KAFKA_NONE);
    apply(&producers, data(8, 3, 1, 1), 2, 0);
    buf_clear(&snapshot);
    producers_encode(&producers, &snapshot);
    assert_int_equal(producers_decode(&copy, buf_bytes(&snapshot)), 0);
    assert_int_equal(producers_decode_window(&copy, buf_bytes(&window)), -EINVAL);
    buf_release(&snapshot);
    buf_release(&window);
    producers_release(&producers);
    producers_release(&copy);
}

static void the_clock_of_a_bare_snapshot_starts_when_it_is_first_looked_at(void **state)
{
    (void)state;
    struct producers producers;
    struct buf snapshot = { 0 }, window = { 0 };
    producers_init(&producers, 1);
    apply(&producers, (struct write){ 7, 3, 0, 1, .timestamp = 5 }, 0, 1000);
    producers_encode(&producers, &snapshot);
    producers_encode_window(&producers, &window);

    assert_int_equal(producers_decode(&producers, buf_bytes(&snapshot)), 0);
    producers_expire(&producers, 5000, 100);
    producers_expire(&producers, 5099, 100);
    assert_int_equal(producers_count(&producers), 1);
    producers_expire(&producers, 5100, 100);
    assert_int_equal(producers_count(&producers), 0);

    assert_int_equal(producers_decode(&producers, buf_bytes(&snapshot)), 0);
    assert_int_equal(producers_decode_window(&producers, buf_bytes(&window)), 0);
    producers_expire(&producers, 1099, 100);
    assert_int_equal(producers_count(&producers), 1);
    producers_expire(&producers, 1100, 100);
    assert_int_equal(producers_count(&producers), 0);
    buf_release(&snapshot);
    buf_release(&window);
    producers_release(&producers);
}

/* ---- the model ----------------------------------------------------------------------------------
 * */

/* The log as it is: the naive answer to everything is to look through it. */
struct model {
    struct write log[LOG_MAX];
    int64_t offset[LOG_MAX];
    size_t n;
};

static int32_t nth_sequence(int32_t base, int32_t n)
{
    return (int32_t)(((int64_t)base + n) % ((int64_t)INT32_MAX + 1));
}

struct facts {
    bool seen, open;
    int16_t epoch;
    int32_t coordinator_epoch;
    size_t batches[LOG_MAX], n; /* of the current epoch */
};

static void look_through(const struct model *m, int64_t producer_id, struct facts *f)
{
    f->seen = f->open = false;
    f->coordinator_epoch = -1;
    f->n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct write *w = &m->log[i];
        if (w->producer_id != producer_id) {
            continue;
        }
        if (!f->seen || w->epoch != f->epoch) {
            f->n = 0;
        }
        f->seen = true;
        f->epoch = w->epoch;
        if (w->marker) {
            f->coordinator_epoch = w->coordinator_epoch;
            f->open = false;
        } else {
            f->batches[f->n++] = i;
            f->open = f->open || w->transactional;
        }
    }
}

static struct producer_verdict refused(enum kafka_error error)
{
    return (struct producer_verdict){ .error = error };
}

static struct producer_verdict judge(const struct model *m, const struct write *w)
{
    static struct facts f;
    look_through(m, w->producer_id, &f);
    if (!f.seen) {
        return refused(KAFKA_NONE);
    }
    for (size_t i = f.n > 5 ? f.n - 5 : 0; i < f.n && !w->marker; i++) {
        const struct write *old = &m->log[f.batches[i]];
        int64_t base = m->offset[f.batches[i]];
        if (w->epoch == old->epoch && w->sequence == old->sequence && w->count == old->count) {
            return (struct producer_verdict){ KAFKA_NONE, true, base, base + old->count - 1,
                                              old->timestamp };
        }
    }
    if (w->epoch < f.epoch) {
        return refused(KAFKA_INVALID_PRODUCER_EPOCH);
    }
    if (w->marker) {
        bool fenced = w->coordinator_epoch < f.coordinator_epoch;
        return refused(fenced ? KAFKA_TRANSACTION_COORDINATOR_FENCED : KAFKA_NONE);
    }
    int32_t expected = 0;
    if (w->epoch == f.epoch && f.n > 0) {
        const struct write *last = &m->log[f.batches[f.n - 1]];
        expected = nth_sequence(last->sequence, last->count);
    }
    if (w->sequence != expected) {
        return refused(KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    return refused(f.open && !w->transactional ? KAFKA_INVALID_TXN_STATE : KAFKA_NONE);
}

/* A write that often makes sense: mostly the next one, or a repetition of one of the last eight. */
static struct write draw(const struct model *m, struct prng *prng)
{
    static struct facts f;
    struct write w = { .producer_id = (int64_t)prng_below(prng, 4), .timestamp = (int64_t)m->n };
    look_through(m, w.producer_id, &f);
    w.epoch = f.seen ? f.epoch : (int16_t)prng_below(prng, 3);
    w.count = 1 + (int32_t)prng_below(prng, 3);
    w.transactional = prng_percent(prng, f.open ? 90 : 10);
    w.coordinator_epoch = f.coordinator_epoch + (int32_t)prng_below(prng, 4) - 1;
    unsigned what = (unsigned)prng_below(prng, 100);
    if (what < 25 && f.n > 0) {
        w = m->log[f.batches[f.n - 1 - prng_below(prng, min_u64(f.n, 8))]];
    } else if (what < 35) {
        w.marker = true;
        w.epoch = (int16_t)(w.epoch + prng_percent(prng, 30));
        w.coordinator_epoch = (int32_t)max_i64(w.coordinator_epoch, 0);
    } else if (f.n > 0) {
        const struct write *last = &m->log[f.batches[f.n - 1]];
        w.sequence = nth_sequence(last->sequence, last->count + (what < 45));
    } else {
        w.sequence = prng_percent(prng, 50) ? 0 : INT32_MAX - (int32_t)prng_below(prng, 8);
    }
    if (what >= 90) {
        w.epoch = (int16_t)max_i64(0, w.epoch + (int64_t)prng_below(prng, 3) - 1);
        w.sequence = prng_percent(prng, 70) && !w.marker ? 0 : w.sequence;
    }
    return w;
}

/* As a restart does it: files of some earlier offset, then the rest of the log. */
static void restart(struct producers *producers, const struct model *m, size_t cut,
                    struct prng *prng)
{
    struct producers before;
    struct buf snapshot = { 0 }, window = { 0 };
    producers_init(&before, prng_u64(prng));
    for (size_t i = 0; i < cut; i++) {
        apply(&before, m->log[i], m->offset[i], (int64_t)i);
    }
    producers_encode(&before, &snapshot);
    producers_encode_window(&before, &window);
    assert_int_equal(producers_decode(producers, buf_bytes(&snapshot)), 0);
    assert_int_equal(producers_decode_window(producers, buf_bytes(&window)), 0);
    for (size_t i = cut; i < m->n; i++) {
        apply(producers, m->log[i], m->offset[i], (int64_t)i);
    }
    buf_release(&snapshot);
    buf_release(&window);
    producers_release(&before);
}

struct counts {
    unsigned appended, duplicates, old_epochs, fenced, out_of_order, txn_states, wraps, restarts;
};

static void count(struct counts *counts, struct producer_verdict v, const struct write *w)
{
    counts->duplicates += v.duplicate;
    counts->old_epochs += v.error == KAFKA_INVALID_PRODUCER_EPOCH;
    counts->fenced += v.error == KAFKA_TRANSACTION_COORDINATOR_FENCED;
    counts->out_of_order += v.error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    counts->txn_states += v.error == KAFKA_INVALID_TXN_STATE;
    counts->appended += v.error == KAFKA_NONE && !v.duplicate;
    counts->wraps += v.error == KAFKA_NONE && nth_sequence(w->sequence, w->count) < w->sequence;
}

static void history(uint64_t seed, struct counts *counts)
{
    static struct model m;
    struct producers producers;
    struct prng prng;
    int64_t end = 0;
    prng_init(&prng, seed);
    producers_init(&producers, seed);
    m.n = 0;
    for (unsigned step = 0; step < 400; step++) {
        struct write w = draw(&m, &prng);
        struct producer_verdict expected = judge(&m, &w), got = decide(&producers, w);
        count(counts, expected, &w);
        assert_int_equal(got.error, expected.error);
        assert_int_equal(got.duplicate, expected.duplicate);
        assert_int_equal(got.base_offset, expected.base_offset);
        assert_int_equal(got.last_offset, expected.last_offset);
        assert_int_equal(got.timestamp, expected.timestamp);
        if (expected.error == KAFKA_NONE && !expected.duplicate) {
            m.log[m.n] = w;
            m.offset[m.n++] = end;
            apply(&producers, w, end, (int64_t)m.n);
            end += w.marker ? 1 : w.count;
        }
        if (prng_percent(&prng, 3)) {
            restart(&producers, &m, prng_below(&prng, m.n + 1), &prng);
            counts->restarts++;
        } else if (prng_percent(&prng, 2)) { /* a truncation */
            m.n = prng_below(&prng, m.n + 1);
            end = m.n > 0 ? m.offset[m.n - 1] + m.log[m.n - 1].count : 0;
            restart(&producers, &m, prng_below(&prng, m.n + 1), &prng);
        }
    }
    producers_release(&producers);
}

static void verdicts_are_those_of_the_whole_log(void **state)
{
    (void)state;
    struct counts counts = { 0 };
    for (uint64_t seed = 1; seed <= 60; seed++) {
        history(seed, &counts);
    }
    assert_true(counts.appended > 5000);
    assert_true(counts.duplicates > 500);
    assert_true(counts.old_epochs > 100);
    assert_true(counts.fenced > 100);
    assert_true(counts.out_of_order > 500);
    assert_true(counts.txn_states > 50);
    assert_true(counts.wraps > 50);
    assert_true(counts.restarts > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unseen_producers_may_begin_anywhere),
        cmocka_unit_test(the_five_last_batches_are_known_again),
        cmocka_unit_test(sequences_wrap_to_zero),
        cmocka_unit_test(epochs_only_rise_and_begin_at_zero),
        cmocka_unit_test(markers_end_transactions_and_begin_epochs),
        cmocka_unit_test(control_batches_that_are_no_markers_change_nothing),
        cmocka_unit_test(coordinators_write_without_sequences),
        cmocka_unit_test(producers_expire_by_the_time_of_the_append),
        cmocka_unit_test(snapshots_have_kafkas_bytes),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(windows_of_other_snapshots_are_refused),
        cmocka_unit_test(the_clock_of_a_bare_snapshot_starts_when_it_is_first_looked_at),
        cmocka_unit_test(verdicts_are_those_of_the_whole_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
