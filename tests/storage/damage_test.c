/* Torn writes and flipped bits: a journal that is cut at any byte of its last group loses nothing
 * that was acknowledged before; a bit that is flipped anywhere is put right, or reported as damage,
 * and never makes a record vanish or change silently. */
#include "store_test.h"

#include "../../src/storage/journal_format.h"

#include <chronik/base/crc32c.h>

enum { GROUPS = 6, RECORDS = 4, STEP = 13 };

static const struct log_config SMALL = {
    .segment_bytes = 3000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 200,
    .retention_ms = -1,
    .retention_bytes = -1,
};

/* A directory to be damaged again and again: the original, and a bed over a copy of it. */
struct scene {
    struct bed bed;
    char *original;
    uint64_t n; /* records in the log, ids from 0 on */
};

static void scene_init(struct scene *s)
{
    *s = (struct scene){ .original = NULL };
    bed_init(&s->bed, LOOP_AUTO);
    s->bed.config.journal_bytes_max = MIB(1);
    s->bed.config.checkpoint_idle_ns = 3600 * NS_PER_S;
}

/* Appends a group of its own: RECORDS records in one batch. */
static void append_group(struct scene *s)
{
    assert_int_equal(bed_append(&s->bed, s->bed.log, s->n, RECORDS, 30), 0);
    s->n += RECORDS;
    bed_run_durable(&s->bed, s->bed.log);
}

/* What is in the directory now is the original. */
static void scene_keep(struct scene *s)
{
    s->original = mem_sprintf("%s-original", s->bed.dir);
    copy_tree(s->bed.dir, s->original);
}

static void scene_restore(struct scene *s)
{
    assert_int_equal(dir_remove_all(s->bed.dir), 0);
    copy_tree(s->original, s->bed.dir);
}

static void scene_release(struct scene *s)
{
    assert_int_equal(dir_remove_all(s->original), 0);
    free(s->original);
    bed_release(&s->bed);
}

/* The last chunk of the journal with a group in it, and where its groups begin. */
struct chunk {
    char *name;
    struct buf bytes;
    size_t at[64], len[64];
    size_t n;
};

static struct chunk load_chunk(const struct bed *bed)
{
    struct chunk found = { 0 };
    char *dir = mem_sprintf("%s/journal", bed->dir);
    struct dir_entry *entries;
    size_t n;
    assert_int_equal(dir_list(dir, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        struct chunk chunk = { .name = mem_sprintf("journal/%s", entries[i].name) };
        struct journal_chunk_header header;
        struct journal_group_header group;
        size_t at = JOURNAL_BLOCK;
        chunk.bytes = bed_load(bed, chunk.name);
        bool begun = journal_chunk_decode(chunk.bytes.data, &header) == 0;
        while (begun && at < chunk.bytes.len &&
               journal_group_decode(chunk.bytes.data + at, &group)) {
            chunk.at[chunk.n] = at;
            chunk.len[chunk.n++] = JOURNAL_GROUP_HEADER + group.len;
            at = round_up(at + JOURNAL_GROUP_HEADER + group.len, JOURNAL_BLOCK);
        }
        struct chunk *other = chunk.n > found.n ? &found : &chunk;
        free(other->name);
        buf_release(&other->bytes);
        found = other == &found ? chunk : found;
    }
    dir_list_free(entries, n);
    free(dir);
    assert_true(found.n >= GROUPS);
    return found;
}

static void chunk_release(struct chunk *chunk)
{
    free(chunk->name);
    buf_release(&chunk->bytes);
}

/* A log that was appended to and killed: all in the journal, some of it in the segment as well. */
static void scene_killed(struct scene *s)
{
    scene_init(s);
    bed_open(&s->bed);
    log_configure(s->bed.log, &SMALL);
    for (unsigned i = 0; i < GROUPS; i++) {
        append_group(s);
    }
    bed_run_ms(&s->bed, 50);
    bed_crash(&s->bed);
    scene_keep(s);
}

/* ---- the last group torn ----------------------------------------------------------------------*/

/* Opens a journal whose last group was only written in part: all before it must be there. */
static void check_torn(struct scene *s)
{
    bed_open(&s->bed);
    assert_null(log_damage(s->bed.log));
    int64_t end = log_end(s->bed.log);
    assert_true(end == (int64_t)s->n || end == (int64_t)(s->n - RECORDS));
    bed_expect(&s->bed, s->bed.log, 0, 0, (size_t)end);
    assert_int_equal(log_durable_end(s->bed.log), end);
    bed_crash(&s->bed);
}

static void a_journal_cut_at_any_byte_of_its_last_group_keeps_all_before_it(void **state)
{
    struct scene s;
    (void)state;
    scene_killed(&s);
    struct chunk chunk = load_chunk(&s.bed);
    size_t at = chunk.at[chunk.n - 1], len = chunk.len[chunk.n - 1];
    for (size_t cut = 0; cut < len; cut++) {
        scene_restore(&s);
        struct buf torn = { 0 };
        buf_put(&torn, chunk.bytes.data, chunk.bytes.len);
        memset(torn.data + at + cut, 0, round_up(len, JOURNAL_BLOCK) - cut);
        bed_save(&s.bed, chunk.name, &torn);
        buf_release(&torn);
        check_torn(&s);
    }
    chunk_release(&chunk);
    scene_release(&s);
}

static void sectors_of_the_last_group_may_arrive_in_any_order(void **state)
{
    struct scene s;
    struct prng prng;
    (void)state;
    scene_init(&s);
    prng_init(&prng, 5);
    bed_open(&s.bed);
    for (unsigned i = 0; i < GROUPS; i++) {
        append_group(&s);
    }
    assert_int_equal(bed_append(&s.bed, s.bed.log, s.n, RECORDS, 3000), 0);
    s.n += RECORDS;
    bed_run_durable(&s.bed, s.bed.log);
    bed_crash(&s.bed);
    scene_keep(&s);
    struct chunk chunk = load_chunk(&s.bed);
    size_t at = chunk.at[chunk.n - 1], len = chunk.len[chunk.n - 1];
    for (unsigned round = 0; round < 60; round++) {
        scene_restore(&s);
        struct buf torn = { 0 };
        buf_put(&torn, chunk.bytes.data, chunk.bytes.len);
        for (size_t sector = 0; sector < len; sector += 512) {
            if (prng_percent(&prng, 40)) {
                prng_fill(&prng, torn.data + at + sector, 512);
            }
        }
        bed_save(&s.bed, chunk.name, &torn);
        buf_release(&torn);
        check_torn(&s);
    }
    chunk_release(&chunk);
    scene_release(&s);
}

/* ---- flipped bits -----------------------------------------------------------------------------*/

/* Every record is there and right, or the log says that it is damaged; what is served is right. */
static void check_flipped(struct scene *s, bool must_repair)
{
    if (bed_try_open(&s->bed) != 0) {
        fail_msg("%s", s->bed.message);
    }
    struct log *log = store_find(s->bed.store, &s->bed.topic, 0);
    assert_non_null(log);
    struct ids ids = bed_read(&s->bed, log, log_start_offset(log), 500);
    bool whole = ids.error == 0 && ids.n == s->n && log_end(log) == (int64_t)s->n;
    for (size_t i = 0; i < ids.n; i++) {
        assert_int_equal(ids.id[i], (uint64_t)ids.offset[i]);
        assert_true(ids.id[i] < s->n);
    }
    if (must_repair || log_damage(log) == NULL) {
        assert_true(whole);
    }
    assert_true(ids.error == 0 || ids.error == -EIO);
    ids_release(&ids);
    bed_crash(&s->bed);
}

/* Flips a bit of every STEP-th byte of a part of a file, one at a time. */
static void flip_all(struct scene *s, const char *name, size_t from, size_t to, size_t step,
                     bool must_repair)
{
    struct prng prng;
    prng_init(&prng, from + 1);
    scene_restore(s);
    struct buf content = bed_load(&s->bed, name);
    for (size_t at = from; at < to && at < content.len; at += step) {
        uint8_t bit = (uint8_t)(1 << prng_below(&prng, 8));
        scene_restore(s);
        content.data[at] ^= bit;
        bed_save(&s->bed, name, &content);
        content.data[at] ^= bit;
        check_flipped(s, must_repair);
    }
    buf_release(&content);
}

static void a_flipped_bit_in_the_journal_is_put_right(void **state)
{
    struct scene s;
    (void)state;
    scene_killed(&s);
    struct chunk chunk = load_chunk(&s.bed);
    flip_all(&s, chunk.name, 0, 72, 1, true);
    flip_all(&s, chunk.name, 2048, 2120, STEP, true);
    flip_all(&s, chunk.name, chunk.at[0], chunk.at[0] + chunk.len[0], STEP, true);
    size_t last = chunk.n - 1;
    flip_all(&s, chunk.name, chunk.at[last], chunk.at[last] + JOURNAL_GROUP_HEADER, 1, true);
    flip_all(&s, chunk.name, chunk.at[last], chunk.at[last] + chunk.len[last], 3, true);
    chunk_release(&chunk);
    scene_release(&s);
}

/* Everything is there but the RECORDS records from `lost` on. */
static void check_all_but(struct bed *bed, uint64_t n, uint64_t lost)
{
    struct ids ids = bed_read(bed, bed->log, log_start_offset(bed->log), 500);
    assert_int_equal(ids.error, 0);
    assert_int_equal(ids.n, n - RECORDS);
    for (size_t i = 0; i < ids.n; i++) {
        assert_int_equal(ids.id[i], i < lost ? i : i + RECORDS);
        assert_int_equal(ids.offset[i], ids.id[i]);
    }
    ids_release(&ids);
}

static void a_damaged_group_in_the_middle_of_the_journal_is_reported(void **state)
{
    struct scene s;
    (void)state;
    scene_killed(&s);
    struct chunk chunk = load_chunk(&s.bed);
    for (size_t i = 0; i + 1 < chunk.n; i++) {
        scene_restore(&s);
        struct buf bytes = { 0 };
        buf_put(&bytes, chunk.bytes.data, chunk.bytes.len);
        memset(bytes.data + chunk.at[i] + 20, 0x5a, chunk.len[i] - 20);
        bed_save(&s.bed, chunk.name, &bytes);
        buf_release(&bytes);
        bed_open(&s.bed);
        assert_true(store_recovery(s.bed.store)->damaged);
        if (i == 0) {
            bed_crash(&s.bed); /* nothing says any more that the log was there */
            continue;
        }
        assert_non_null(log_damage(s.bed.log));
        assert_int_equal(store_recovery(s.bed.store)->damaged_logs, 1);
        check_all_but(&s.bed, s.n, i * RECORDS);
        bed_crash(&s.bed);
        /* It stays reported. */
        bed_open(&s.bed);
        assert_non_null(log_damage(s.bed.log));
        bed_close(&s.bed);
        bed_open(&s.bed);
        assert_non_null(log_damage(s.bed.log));
        bed_crash(&s.bed);
    }
    chunk_release(&chunk);
    scene_release(&s);
}

static void a_missing_journal_or_checkpoint_is_reported(void **state)
{
    struct scene s;
    (void)state;
    scene_killed(&s);
    char *journal = mem_sprintf("%s/journal", s.bed.dir);
    char *checkpoint = mem_sprintf("%s/chronik-checkpoint", s.bed.dir);

    scene_restore(&s);
    assert_int_equal(file_remove(checkpoint), 0);
    bed_open(&s.bed);
    assert_non_null(log_damage(s.bed.log));
    bed_expect(&s.bed, s.bed.log, 0, 0, s.n); /* the journal had it */
    bed_crash(&s.bed);

    scene_restore(&s);
    bed_open(&s.bed);
    append_group(&s);
    s.bed.config.checkpoint_idle_ns = NS_PER_MS;
    bed_crash(&s.bed);
    bed_open(&s.bed);
    bed_run_ms(&s.bed, 100); /* a checkpoint */
    bed_crash(&s.bed);
    assert_int_equal(dir_remove_all(journal), 0);
    bed_open(&s.bed);
    assert_non_null(log_damage(s.bed.log));
    bed_expect(&s.bed, s.bed.log, 0, 0, s.n); /* the segments had it */
    bed_crash(&s.bed);
    free(journal);
    free(checkpoint);
    scene_release(&s);
}

/* A log that lies in several segments and was stopped cleanly. */
static void scene_stopped(struct scene *s)
{
    scene_init(s);
    bed_open(&s->bed);
    log_configure(s->bed.log, &SMALL);
    for (unsigned i = 0; i < 40; i++) {
        append_group(s);
    }
    log_set_high_watermark(s->bed.log, (int64_t)s->n);
    bed_close(&s->bed);
    scene_keep(s);
}

static void a_flipped_bit_in_the_checkpoint_is_put_right(void **state)
{
    struct scene s;
    (void)state;
    scene_stopped(&s);
    struct buf content = bed_load(&s.bed, "chronik-checkpoint");
    flip_all(&s, "chronik-checkpoint", 0, 88, 1, true);
    flip_all(&s, "chronik-checkpoint", 88, content.len, 7, true);
    buf_release(&content);
    scene_release(&s);
}

/* Its CRC is right: whoever wrote it was wrong, or the CRC was. */
static void a_checkpoint_that_says_what_cannot_be_is_not_believed(void **state)
{
    enum { CRC_AT = 8, CRC_FROM = 12, OFFSET_AT = 32, INDEXED_AT = 40 };
    struct scene s;
    (void)state;
    scene_stopped(&s);
    struct buf segment = bed_load(&s.bed, "t-0/00000000000000000000.log");
    struct buf content = bed_load(&s.bed, "chronik-checkpoint");
    uint8_t row[16] = { 0 }; /* base offset, bytes */
    store_be64(row + 8, segment.len);
    uint8_t *at = memmem(content.data, content.len, row, sizeof row);
    assert_non_null(at);
    store_be64(at + OFFSET_AT, INT64_MAX);
    store_be64(at + INDEXED_AT, UINT64_MAX);
    uint32_t crc = crc32c(0, content.data + CRC_FROM, content.len - CRC_FROM);
    store_be32(content.data + CRC_AT, crc);
    bed_save(&s.bed, "chronik-checkpoint", &content);
    check_flipped(&s, true);
    buf_release(&content);
    buf_release(&segment);
    scene_release(&s);
}

static void a_flipped_bit_in_a_segment_is_never_served(void **state)
{
    struct scene s;
    (void)state;
    scene_stopped(&s);
    const char *first = "t-0/00000000000000000000.log";
    struct buf content = bed_load(&s.bed, first);
    size_t batch = (size_t)batch_peek_length(buf_bytes(&content));
    flip_all(&s, first, 0, batch, 1, false);
    flip_all(&s, first, batch * 3, batch * 4, 1, false);
    flip_all(&s, first, content.len - batch, content.len, 3, false);
    buf_release(&content);
    scene_release(&s);
}

static void a_flipped_bit_in_an_index_changes_nothing(void **state)
{
    struct scene s;
    (void)state;
    scene_stopped(&s);
    flip_all(&s, "t-0/00000000000000000000.index", 0, 1000, 1, true);
    flip_all(&s, "t-0/00000000000000000000.timeindex", 0, 1000, 5, true);
    scene_release(&s);
}

static void a_missing_or_short_segment_is_reported(void **state)
{
    struct scene s;
    (void)state;
    scene_stopped(&s);
    const char *first = "t-0/00000000000000000000.log";
    struct buf content = bed_load(&s.bed, first);
    char *path = mem_sprintf("%s/%s", s.bed.dir, first);
    uint64_t in_first = content.len / (size_t)batch_peek_length(buf_bytes(&content)) * RECORDS;

    assert_int_equal(file_remove(path), 0);
    bed_open(&s.bed);
    assert_non_null(log_damage(s.bed.log));
    bed_crash(&s.bed);

    scene_restore(&s);
    content.len -= 100;
    bed_save(&s.bed, first, &content);
    bed_open(&s.bed);
    assert_non_null(log_damage(s.bed.log));
    check_all_but(&s.bed, s.n, in_first - RECORDS);
    bed_crash(&s.bed);
    buf_release(&content);
    free(path);
    scene_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_cut_at_any_byte_of_its_last_group_keeps_all_before_it),
        cmocka_unit_test(sectors_of_the_last_group_may_arrive_in_any_order),
        cmocka_unit_test(a_flipped_bit_in_the_journal_is_put_right),
        cmocka_unit_test(a_damaged_group_in_the_middle_of_the_journal_is_reported),
        cmocka_unit_test(a_missing_journal_or_checkpoint_is_reported),
        cmocka_unit_test(a_flipped_bit_in_the_checkpoint_is_put_right),
        cmocka_unit_test(a_checkpoint_that_says_what_cannot_be_is_not_believed),
        cmocka_unit_test(a_flipped_bit_in_a_segment_is_never_served),
        cmocka_unit_test(a_flipped_bit_in_an_index_changes_nothing),
        cmocka_unit_test(a_missing_or_short_segment_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
