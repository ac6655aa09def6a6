/* Truncation, log start, deletion and re-creation: in memory at once, in files once the journal
 * has it, and the same after a crash at any time. */
#include "store_test.h"

#include <chronik/storage/kafka_files.h>

static const struct log_config SMALL = {
    .segment_bytes = 3000,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10000,
    .index_interval_bytes = 300,
    .retention_ms = -1,
    .retention_bytes = -1,
};

/* `n` batches of 5 records, ids from `first` on; durable. */
static void fill(struct bed *bed, uint64_t first, unsigned n)
{
    log_configure(bed->log, &SMALL);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(bed_append(bed, bed->log, first + i * 5, 5, 20), 0);
    }
    bed_run_durable(bed, bed->log);
}

static void truncate_to(struct bed *bed, int64_t offset)
{
    assert_int_equal(log_truncate(bed->log, offset, bed_done, bed), 0);
    bed_run_done(bed);
    assert_int_equal(bed->done_error, 0);
}

static unsigned files_in(const struct bed *bed, const char *name)
{
    char *path = mem_sprintf("%s/%s", bed->dir, name);
    struct dir_entry *entries;
    size_t n = 0;
    if (dir_list(path, &entries, &n) == 0) {
        dir_list_free(entries, n);
    }
    free(path);
    return (unsigned)n;
}

static void a_truncated_log_goes_on_from_the_cut(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 40);
    truncate_to(bed, 100); /* in the tail */
    assert_int_equal(log_end(bed->log), 100);
    assert_int_equal(log_durable_end(bed->log), 100);
    fill(bed, 100, 10);
    bed_close(bed);
    bed_open(bed);
    truncate_to(bed, 50); /* in segments that are closed */
    assert_int_equal(log_end(bed->log), 50);
    bed_expect(bed, bed->log, 0, 0, 50);
    fill(bed, 50, 20);
    bed_expect(bed, bed->log, 0, 0, 150);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 150);
    truncate_to(bed, 0);
    assert_int_equal(log_end(bed->log), 0);
    fill(bed, 0, 2);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 10);
    bed_close(bed);
}

static void a_cut_inside_a_batch_takes_the_whole_batch(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 10);
    truncate_to(bed, 43);
    assert_int_equal(log_end(bed->log), 40);
    bed_close(bed);
    bed_open(bed);
    truncate_to(bed, 22);
    assert_int_equal(log_end(bed->log), 20);
    fill(bed, 20, 2);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 30);
    bed_close(bed);
}

/* With a checkpoint that knows the epoch, and with the journal alone. */
static void an_epoch_that_began_where_the_log_is_cut_is_forgotten(void **state)
{
    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        struct bed *bed = *state;
        bed_open(bed);
        struct log *log = bed_create(bed, "epochs", (uint8_t)(20 + checkpointed), 0, &SMALL);
        assert_int_equal(bed_append(bed, log, 0, 10, 20), 0);
        assert_int_equal(log_begin_epoch(log, 2), 0);
        bed_run_durable(bed, log);
        struct uuid id = *log_topic_id(log);
        if (checkpointed) {
            bed_close(bed);
            bed_open(bed);
            log = store_find(bed->store, &id, 0);
        }
        assert_int_equal(log_truncate(log, 10, bed_done, bed), 0);
        bed_run_done(bed);
        assert_int_equal(bed_append(bed, log, 10, 5, 20), 0);
        assert_int_equal(log_begin_epoch(log, 2), 0);
        bed_run_durable(bed, log);
        bed_crash(bed);
        bed_open(bed);
        log = store_find(bed->store, &id, 0);
        assert_int_equal(log_epoch_at(log, 14), 1);
        assert_int_equal(log_last_epoch(log), 2);
        bed_expect(bed, log, 0, 0, 15);
        bed_close(bed);
    }
}

/* What is cut and appended again and again within a segment is replayed into one file. */
static void a_segment_that_is_replayed_in_pieces_is_opened_once(void **state)
{
    struct bed *bed = *state;
    bed->config.checkpoint_idle_ns = 3600 * NS_PER_S;
    bed_open(bed);
    fill(bed, 0, 4);
    truncate_to(bed, 5);
    fill(bed, 5, 3);
    truncate_to(bed, 10);
    fill(bed, 10, 3);
    truncate_to(bed, 15);
    fill(bed, 15, 1);
    bed_crash(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 20);
    fill(bed, 20, 1);
    bed_close(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 25);
    bed_close(bed);
}

static void ids_from(struct bed *bed, int64_t start, size_t n)
{
    struct ids ids = bed_read(bed, bed->log, start, 100000);
    assert_int_equal(ids.error, 0);
    assert_int_equal(ids.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids.offset[i], start + (int64_t)i);
        assert_int_equal(ids.id[i], 100 + (uint64_t)(start + (int64_t)i));
    }
    ids_release(&ids);
}

/* A follower whose log was given up goes on in the midst of a batch that begins where one of its
 * segments did. The files of the old segment are still to be removed then. */
static void a_segment_may_take_the_name_of_one_that_waits_to_be_removed(void **state)
{
    struct bed *bed = *state;
    bed->config.delete_delay_ns = 60 * NS_PER_MS;
    bed->config.write_age_ns = NS_PER_MS;
    bed->config.checkpoint_idle_ns = NS_PER_MS;
    bed_open(bed);
    fill(bed, 0, 1);
    bed_run_ms(bed, 30); /* it is in a file */
    assert_int_equal(log_move_start(bed->log, 7, bed_done, bed), 0);
    bed_run_done(bed);
    assert_int_equal(bed_follow(bed, bed->log, 0, 3, 100, 11, 20), 0);
    bed_run_durable(bed, bed->log);
    bed_run_ms(bed, 30); /* that, too */
    bed_crash(bed);
    bed_open(bed);
    ids_from(bed, 7, 4);
    bed_run_ms(bed, 120); /* the removal is due */
    ids_from(bed, 7, 4);
    bed_close(bed);
    bed_open(bed);
    assert_null(log_damage(bed->log));
    ids_from(bed, 7, 4);
    bed_close(bed);
}

/* The offset that the second segment begins with. */
static int64_t second_segment(const struct bed *bed)
{
    char *path = mem_sprintf("%s/t-0", bed->dir);
    struct dir_entry *entries;
    size_t n;
    int64_t base = 0;
    assert_int_equal(dir_list(path, &entries, &n), 0);
    for (size_t i = 0; i < n && base == 0; i++) {
        struct log_file_name name;
        if (log_file_parse(text_of(entries[i].name), &name) && name.kind == LOG_FILE_SEGMENT) {
            base = name.offset;
        }
    }
    dir_list_free(entries, n);
    free(path);
    assert_true(base > 0);
    return base;
}

static void a_cut_inside_the_first_batch_of_a_segment_leaves_it_empty(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 40);
    bed_close(bed);
    int64_t base = second_segment(bed);
    for (unsigned round = 0; round < 2; round++) {
        bed_open(bed);
        truncate_to(bed, base + 2);
        assert_int_equal(log_end(bed->log), base);
        bed_close(bed);
        bed_open(bed);
        assert_null(log_damage(bed->log));
        bed_expect(bed, bed->log, 0, 0, (size_t)base);
        fill(bed, (uint64_t)base, 1);
        bed_crash(bed);
        bed_open(bed);
        assert_null(log_damage(bed->log));
        bed_expect(bed, bed->log, 0, 0, (size_t)base + 5);
        bed_close(bed);
    }
}

/* 40 batches of 5 records of producer 77, each in an epoch of its own; durable. */
static void fill_as_producer(struct bed *bed)
{
    log_configure(bed->log, &SMALL);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(log_begin_epoch(bed->log, i + 1), 0);
        struct buf batch = bed_batch_producer(bed, (uint64_t)i * 5, 5, 20, 77, i * 5);
        struct log_append append = { .batches = buf_bytes(&batch),
                                     .leader_epoch = i + 1,
                                     .as_leader = true,
                                     .log_append_ms = -1 };
        assert_int_equal(log_append(bed->log, &append), 0);
        buf_release(&batch);
    }
    bed_run_durable(bed, bed->log);
}

static void epochs_and_producers_are_cut_as_well(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill_as_producer(bed);
    static const int64_t CUTS[] = { 190, 120, 45, 5 };
    for (unsigned i = 0; i < countof(CUTS); i++) {
        if (i == 2) {
            bed_close(bed);
            bed_open(bed);
        }
        truncate_to(bed, CUTS[i]);
        assert_int_equal(log_last_epoch(bed->log), CUTS[i] / 5);
        /* The producer goes on where the log ends, and its last batch is a duplicate; nothing of
         * it is old. */
        producers_expire(log_producers(bed->log), loop_wall_ms(bed->loop), 60 * 60 * 1000);
        struct buf raw = bed_batch_producer(bed, 0, 5, 20, 77, (int32_t)CUTS[i] - 5);
        struct batch b;
        assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
        struct producer_verdict v = producers_decide(log_producers(bed->log), &b);
        assert_true(v.duplicate);
        assert_int_equal(v.base_offset, CUTS[i] - 5);
        b.base_sequence += 5;
        v = producers_decide(log_producers(bed->log), &b);
        assert_false(v.duplicate);
        assert_int_equal(v.error, KAFKA_NONE);
        buf_release(&raw);
    }
    bed_close(bed);
}

/* After a crash a snapshot may be there without its window. */
static void a_lost_window_is_worked_out_from_the_log(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill_as_producer(bed);
    bed_close(bed);
    char *dir = mem_sprintf("%s/t-0", bed->dir);
    struct dir_entry *entries;
    size_t n, removed = 0;
    assert_int_equal(dir_list(dir, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        char *path = mem_sprintf("%s/%s", dir, entries[i].name);
        removed += strstr(path, ".window") != NULL && file_remove(path) == 0;
        free(path);
    }
    assert_true(removed > 1);
    dir_list_free(entries, n);
    free(dir);
    bed_open(bed);
    truncate_to(bed, 190);
    struct buf raw = bed_batch_producer(bed, 0, 5, 20, 77, 190 - 25);
    struct batch b;
    assert_int_equal(batch_parse(buf_bytes(&raw), &b), KAFKA_NONE);
    struct producer_verdict v = producers_decide(log_producers(bed->log), &b);
    assert_true(v.duplicate);
    assert_int_equal(v.base_offset, 190 - 25);
    buf_release(&raw);
    bed_close(bed);
}

static void a_moved_start_hides_and_then_removes(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 40);
    bed_close(bed);
    bed_open(bed);
    unsigned files = files_in(bed, "t-0");
    assert_int_equal(log_move_start(bed->log, 120, bed_done, bed), 0);
    assert_int_equal(log_start_offset(bed->log), 120);
    assert_int_equal(log_high_watermark(bed->log), 120);
    bed_run_done(bed);
    bed_expect(bed, bed->log, 120, 120, 80);
    bed_run_ms(bed, 50);
    assert_true(files_in(bed, "t-0") < files);
    assert_int_equal(log_move_start(bed->log, 60, bed_done, bed), 0); /* never back */
    bed_run_done(bed);
    assert_int_equal(log_start_offset(bed->log), 120);
    bed_crash(bed);
    bed_open(bed);
    assert_int_equal(log_start_offset(bed->log), 120);
    bed_expect(bed, bed->log, 120, 120, 80);
    bed_close(bed);
}

static void a_start_behind_the_end_empties_the_log(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 20);
    assert_int_equal(log_move_start(bed->log, 1000, NULL, NULL), 0);
    assert_int_equal(log_end(bed->log), 1000);
    assert_int_equal(log_durable_end(bed->log), 1000);
    assert_int_equal(bed_append(bed, bed->log, 1000, 5, 20), 0);
    bed_run_durable(bed, bed->log);
    bed_expect(bed, bed->log, 1000, 1000, 5);
    bed_crash(bed);
    bed_open(bed);
    assert_int_equal(log_start_offset(bed->log), 1000);
    bed_expect(bed, bed->log, 1000, 1000, 5);
    assert_int_equal(log_move_start(bed->log, log_end(bed->log), bed_done, bed), 0);
    bed_run_done(bed);
    bed_close(bed);
    bed_open(bed);
    assert_int_equal(log_start_offset(bed->log), 1005);
    assert_int_equal(log_end(bed->log), 1005);
    assert_int_equal(log_size(bed->log), 0);
    fill(bed, 1005, 3);
    bed_expect(bed, bed->log, 1005, 1005, 15);
    bed_close(bed);
}

static void expect_half_a_batch(struct bed *bed)
{
    assert_int_equal(log_start_offset(bed->log), 1005);
    assert_int_equal(log_end(bed->log), 1013);
    bed_expect(bed, bed->log, 1005, 1005, 8);
}

static void a_followers_log_may_begin_inside_a_batch(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 20);
    assert_int_equal(log_move_start(bed->log, 1005, NULL, NULL), 0);
    assert_int_equal(bed_follow(bed, bed->log, 995, 2, 995, 10, 20), -EINVAL);
    assert_int_equal(bed_follow(bed, bed->log, 1000, 2, 1000, 10, 20), 0);
    assert_int_equal(bed_follow(bed, bed->log, 1005, 2, 1005, 10, 20), -EINVAL);
    assert_int_equal(bed_follow(bed, bed->log, 1010, 2, 1010, 3, 20), 0);
    bed_run_durable(bed, bed->log);
    expect_half_a_batch(bed);
    bed_crash(bed);
    bed_open(bed);
    assert_null(log_damage(bed->log));
    expect_half_a_batch(bed);
    bed_close(bed);
    bed_open(bed);
    assert_null(log_damage(bed->log));
    expect_half_a_batch(bed);
    bed_close(bed);
}

static bool is_deleted(struct bed *bed)
{
    return files_in(bed, ".") == bed->want;
}

static void a_deleted_log_goes_with_its_files(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    bed_run_ms(bed, 20);
    unsigned before = files_in(bed, ".");
    fill(bed, 0, 40);
    bed_close(bed);
    bed_open(bed);
    assert_true(files_in(bed, "t-0") > 0);
    store_delete(bed->store, bed->log);
    assert_null(store_find(bed->store, &bed->topic, 0));
    bed->want = before + 3; /* Kafka's three checkpoints, from the clean stop */
    bed_run(bed, is_deleted);
    bed_crash(bed);
    assert_int_equal(bed_try_open(bed), 0);
    assert_null(store_find(bed->store, &bed->topic, 0));
    bed_close(bed);
}

static void a_topic_may_be_made_again_under_its_name(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    for (unsigned round = 0; round < 8; round++) {
        fill(bed, round * 1000, 10 + round);
        bed_expect(bed, bed->log, 0, round * 1000, (10 + round) * 5);
        if (round % 3 == 0) {
            bed_run_ms(bed, 10);
        }
        store_delete(bed->store, bed->log);
        memset(bed->topic.bytes, (int)round + 20, sizeof bed->topic.bytes);
        bed->log = bed_create(bed, "t", (uint8_t)(round + 20), 0, &SMALL);
        if (round % 2 == 1) {
            fill(bed, (round + 1) * 1000, 3);
            bed_crash(bed);
            bed_open(bed);
            assert_int_equal(store_recovery(bed->store)->logs, 1);
            bed_expect(bed, bed->log, 0, (round + 1) * 1000, 15);
            truncate_to(bed, 0);
        }
    }
    bed_close(bed);
    bed_open(bed);
    assert_int_equal(log_end(bed->log), 0);
    assert_int_equal(store_recovery(bed->store)->logs, 1);
    bed_close(bed);
}

/* The name of a directory that was put aside; NULL: none was. */
static char *find_stray(const struct bed *bed)
{
    struct dir_entry *entries;
    size_t n;
    char *found = NULL;
    assert_int_equal(dir_list(bed->dir, &entries, &n), 0);
    for (size_t i = 0; i < n && found == NULL; i++) {
        if (strstr(entries[i].name, "-stray") != NULL) {
            found = mem_strdup(entries[i].name);
        }
    }
    dir_list_free(entries, n);
    return found;
}

static void somebody_elses_directory_is_kept(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    char *dir = mem_sprintf("%s/t-0", bed->dir);
    struct buf content = { 0 };
    assert_int_equal(dir_create(dir), 0);
    buf_put(&content, "keep me", 7);
    bed_save(bed, "t-0/00000000000000000000.log", &content);
    bed->config.write_age_ns = NS_PER_MS;
    fill(bed, 0, 10);
    bed_close(bed);
    bed_open(bed);
    bed_expect(bed, bed->log, 0, 0, 50);
    bed_close(bed);
    char *stray = find_stray(bed);
    assert_non_null(stray);
    char *name = mem_sprintf("%s/00000000000000000000.log", stray);
    struct buf back = bed_load(bed, name);
    assert_true(bytes_equal(buf_bytes(&back), buf_bytes(&content)));
    buf_release(&back);
    buf_release(&content);
    free(name);
    free(stray);
    free(dir);
}

/* A full disk lets a directory be made, and not what belongs in it. */
static void a_directory_that_was_only_begun_is_used(void **state)
{
    struct bed *bed = *state;
    struct buf nothing = { 0 };
    for (unsigned with_file = 0; with_file < 2; with_file++) {
        bed_open(bed);
        char *name = mem_sprintf("begun%u", with_file);
        char *dir = mem_sprintf("%s/%s-0", bed->dir, name);
        char *file = mem_sprintf("%s-0/partition.metadata", name);
        assert_int_equal(dir_create(dir), 0);
        if (with_file != 0) {
            bed_save(bed, file, &nothing);
        }
        bed->log = bed_create(bed, name, (uint8_t)(7 + with_file), 0, &SMALL);
        fill(bed, 0, 10);
        bed_close(bed);
        assert_null(find_stray(bed));
        free(file);
        free(dir);
        free(name);
    }
}

static void expect_no_changes(struct bed *bed)
{
    assert_int_equal(log_truncate(bed->log, 100, bed_done, bed), -EIO);
    assert_int_equal(log_move_start(bed->log, 100, NULL, NULL), -EIO);
    assert_int_equal(log_begin_epoch(bed->log, 9), -EIO);
    store_delete(bed->store, bed->log);
}

/* What came behind the last checkpoint would be lost with the journal. */
static void a_store_that_closes_takes_no_changes(void **state)
{
    struct bed *bed = *state;
    bed_open(bed);
    fill(bed, 0, 40);
    bed_begin_close(bed);
    expect_no_changes(bed);
    while (!bed->closed) {
        bed_run_ms(bed, 1);
        expect_no_changes(bed);
    }
    bed_end_close(bed);
    bed_open(bed);
    assert_true(store_recovery(bed->store)->clean);
    assert_null(log_damage(bed->log));
    assert_int_equal(log_last_epoch(bed->log), 1);
    bed_expect(bed, bed->log, 0, 0, 200);
    bed_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_BACKENDS(a_truncated_log_goes_on_from_the_cut),
        BOTH_BACKENDS(a_cut_inside_a_batch_takes_the_whole_batch),
        BOTH_BACKENDS(an_epoch_that_began_where_the_log_is_cut_is_forgotten),
        BOTH_BACKENDS(a_cut_inside_the_first_batch_of_a_segment_leaves_it_empty),
        BOTH_BACKENDS(a_segment_that_is_replayed_in_pieces_is_opened_once),
        BOTH_BACKENDS(a_segment_may_take_the_name_of_one_that_waits_to_be_removed),
        BOTH_BACKENDS(epochs_and_producers_are_cut_as_well),
        BOTH_BACKENDS(a_lost_window_is_worked_out_from_the_log),
        BOTH_BACKENDS(a_moved_start_hides_and_then_removes),
        BOTH_BACKENDS(a_start_behind_the_end_empties_the_log),
        BOTH_BACKENDS(a_followers_log_may_begin_inside_a_batch),
        BOTH_BACKENDS(a_deleted_log_goes_with_its_files),
        BOTH_BACKENDS(a_topic_may_be_made_again_under_its_name),
        BOTH_BACKENDS(somebody_elses_directory_is_kept),
        BOTH_BACKENDS(a_directory_that_was_only_begun_is_used),
        BOTH_BACKENDS(a_store_that_closes_takes_no_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
