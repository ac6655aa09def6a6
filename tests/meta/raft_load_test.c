/* Opening Raft directories that a crash, or the disk, has damaged. */
#include "raft_store_case.h"

#include "../../src/meta/raft_load.h"

#include <chronik/base/crc32c.h>
#include <errno.h>

/* A directory with a vote, a snapshot at 4 and entries 1 to 10 in ten groups, of which
 * the last one replaces the last entry; and its files as they were. */
enum { FILES = 3, LAST = 10, GROUPS = 10 };

struct damage_case {
    char *dir;
    char *path[FILES];
    struct buf whole[FILES];
};

enum { VOTE, SEGMENT, SNAPSHOT };

static void build(struct damage_case *d)
{
    struct store_case c;
    struct loop *loop;
    assert_int_equal(loop_new(LOOP_THREADS, &loop), 0);
    d->dir = fast_dir();
    assert_true(case_open(&c, loop, d->dir));
    raft_store_save_vote(c.store, ++c.tickets, 5, 7);
    case_wait(&c);
    for (uint64_t i = 1; i <= LAST; i += i < 3 ? 2 : 1) {
        case_append(&c, i, i < 3 ? 2 : 1, 1);
        case_wait(&c);
    }
    case_append(&c, LAST, 1, 2); /* replaces the last one */
    case_snapshot(&c, 4, 1, 1, false);
    case_wait(&c);
    case_close(&c);
    loop_free(loop);

    d->path[VOTE] = mem_sprintf("%s/vote", d->dir);
    d->path[SEGMENT] = raft_segment_path(d->dir, 1);
    d->path[SNAPSHOT] = raft_snapshot_path(d->dir, 4);
    for (unsigned i = 0; i < FILES; i++) {
        d->whole[i] = (struct buf){ 0 };
        assert_int_equal(file_load(d->path[i], SIZE_MAX / 2, &d->whole[i]), 0);
    }
}

static int set_up(void **state)
{
    static struct damage_case d;
    build(&d);
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    struct damage_case *d = *state;
    for (unsigned i = 0; i < FILES; i++) {
        free(d->path[i]);
        buf_release(&d->whole[i]);
    }
    assert_int_equal(dir_remove_all(d->dir), 0);
    free(d->dir);
    return 0;
}

/* Writes into a file in place, without any of the care of the product. */
static void overwrite(const char *path, const void *data, size_t len, uint64_t at)
{
    struct file *file;
    assert_int_equal(file_open(path, FILE_WRITE, &file), 0);
    assert_int_equal(file_write_at(file, data, len, at), 0);
    file_close(file);
}

static void cut(const char *path, uint64_t len)
{
    struct file *file;
    assert_int_equal(file_open(path, FILE_WRITE, &file), 0);
    assert_int_equal(file_truncate(file, len), 0);
    file_close(file);
}

static void restore(const struct damage_case *d, unsigned file)
{
    if (file_exists(d->path[file])) {
        cut(d->path[file], d->whole[file].len);
        overwrite(d->path[file], d->whole[file].data, d->whole[file].len, 0);
    } else {
        assert_int_equal(file_replace(d->path[file], buf_bytes(&d->whole[file])), 0);
    }
}

static void load(const struct damage_case *d, struct raft_load *l)
{
    *l = (struct raft_load){ .path = d->dir, .node_id = 7 };
    raft_load(l);
}

static void assert_everything(const struct raft_load *l)
{
    assert_int_equal(l->error, 0);
    assert_int_equal(l->state.disk.term, 5);
    assert_int_equal(l->state.disk.vote, 7);
    assert_int_equal(l->state.disk.snapshot->index, 4);
    assert_true(bytes_equal(l->state.disk.snapshot->data, bytes_of("the state", 9)));
    assert_entries(&l->state.disk, 1, LAST, 1, LAST, 2);
    assert_false(l->restart);
}

static void assert_refused(const struct damage_case *d, int error, const char *with)
{
    struct raft_load l;
    load(d, &l);
    assert_int_equal(l.error, error);
    if (strstr(l.message, with) == NULL) {
        fail_msg("'%s' does not say '%s'", l.message, with);
    }
    raft_load_release(&l);
}

/* ---- damage -----------------------------------------------------------------------------------*/

static void every_flipped_bit_is_repaired(void **state)
{
    const struct damage_case *d = *state;
    struct raft_load l;
    unsigned flips = 0;
    for (unsigned f = 0; f < FILES; f++) {
        const struct buf *whole = &d->whole[f];
        for (size_t at = 0; at < whole->len; at++) {
            if (whole->data[at] == 0 && at % 97 != 0) {
                continue; /* mostly padding: a sample of it will do */
            }
            uint8_t damaged = whole->data[at] ^ (uint8_t)(1u << at % 8);
            overwrite(d->path[f], &damaged, 1, at);
            load(d, &l);
            assert_everything(&l);
            bool noticed = l.state.repaired == 1;
            raft_load_release(&l);

            struct buf now = { 0 };
            assert_int_equal(file_load(d->path[f], SIZE_MAX / 2, &now), 0);
            assert_int_equal(now.len, whole->len);
            if (noticed) {
                assert_memory_equal(now.data, whole->data, now.len);
            } else {
                assert_int_equal(whole->data[at], 0); /* nothing depends on it */
                overwrite(d->path[f], &whole->data[at], 1, at);
            }
            buf_release(&now);
            flips++;
        }
    }
    print_message("%u flips\n", flips);
    assert_true(flips > 2000);
}

/* Damages both copies of whatever lies at `at` and at `other`. */
static void damage_twice(const struct damage_case *d, unsigned file, uint64_t at, uint64_t other)
{
    uint8_t first = (uint8_t)~d->whole[file].data[at];
    uint8_t second = (uint8_t)~d->whole[file].data[other];
    overwrite(d->path[file], &first, 1, at);
    overwrite(d->path[file], &second, 1, other);
}

static void damage_of_both_copies_is_reported(void **state)
{
    const struct damage_case *d = *state;
    damage_twice(d, VOTE, 40, RAFT_BLOCK + 40);
    assert_refused(d, -EUCLEAN, "copies of the vote");
    restore(d, VOTE);
    damage_twice(d, SNAPSHOT, 70, d->whole[SNAPSHOT].len / 2 + 70);
    assert_refused(d, -EUCLEAN, "copies of the snapshot");
    restore(d, SNAPSHOT);
    damage_twice(d, SEGMENT, 8, RAFT_BLOCK + 8);
    assert_refused(d, -EUCLEAN, "copies of the head");
    restore(d, SEGMENT);
    for (unsigned group = 0; group < GROUPS - 1; group++) { /* all but the last one */
        uint64_t at = 2 * RAFT_BLOCK + group * 2 * RAFT_BLOCK + RAFT_HEAD + 3;
        damage_twice(d, SEGMENT, at, at + RAFT_BLOCK);
        assert_refused(d, -EUCLEAN, "a group of entries is damaged");
        restore(d, SEGMENT);
    }
}

static void missing_and_short_files_are_reported(void **state)
{
    const struct damage_case *d = *state;
    assert_int_equal(file_remove(d->path[VOTE]), 0);
    assert_refused(d, -EUCLEAN, "the vote is missing");
    restore(d, VOTE);
    for (uint64_t len = 0; len < d->whole[SEGMENT].len; len += 1021) {
        cut(d->path[SEGMENT], len);
        assert_refused(d, -EUCLEAN, len < 64 ? "copies of the head" : "length");
        restore(d, SEGMENT);
    }
    cut(d->path[SNAPSHOT], 60);
    assert_refused(d, -EUCLEAN, "copies of the snapshot");
    restore(d, SNAPSHOT);
    struct raft_load l;
    load(d, &l);
    assert_everything(&l);
    raft_load_release(&l);
}

static void a_missing_snapshot_is_reported_when_the_log_needs_it(void **state)
{
    const struct damage_case *d = *state;
    struct store_case c;
    struct loop *loop;
    assert_int_equal(loop_new(LOOP_THREADS, &loop), 0);
    assert_true(case_open(&c, loop, d->dir));
    for (uint64_t i = LAST + 1; i <= 60; i++) {
        case_append(&c, i, 1, 2);
        case_wait(&c);
    }
    case_snapshot(&c, 55, 2, 54, false);
    case_wait(&c);
    case_close(&c);
    loop_free(loop);
    char *path = raft_snapshot_path(d->dir, 55);
    assert_int_equal(file_remove(path), 0);
    assert_refused(d, -EUCLEAN, "the snapshot in front of the log is missing");
    free(path);
}

/* ---- crashes ----------------------------------------------------------------------------------*/

enum { SECTOR = 512 };

/* Of the last group's write, only those sectors have reached the disk whose bits are set. */
static void tear(const struct damage_case *d, uint64_t at, uint64_t len, uint64_t sectors)
{
    struct buf torn = { 0 };
    buf_put(&torn, d->whole[SEGMENT].data + at, len);
    for (uint64_t i = 0; i < len / SECTOR; i++) {
        if ((sectors >> i & 1) == 0) {
            memset(torn.data + i * SECTOR, 0, SECTOR);
        }
    }
    overwrite(d->path[SEGMENT], torn.data, torn.len, at);
    buf_release(&torn);
}

/* The entries of `load` are all those that were acknowledged, and maybe the torn one. */
static bool has_torn_entry(const struct raft_load *l)
{
    assert_int_equal(l->error, 0);
    bool there = l->state.disk.items[l->state.disk.n_items - 1].term == 2;
    assert_entries(&l->state.disk, 1, LAST, 1, there ? LAST : UINT64_MAX, 2);
    return there;
}

static void a_torn_last_group_is_there_or_not(void **state)
{
    const struct damage_case *d = *state;
    uint64_t at = 2 * RAFT_BLOCK + (GROUPS - 1) * 2 * RAFT_BLOCK, len = 2 * RAFT_BLOCK;
    unsigned there = 0, gone = 0;
    assert_memory_equal(d->whole[SEGMENT].data + at, "CKRg", 4);
    assert_int_equal(d->whole[SEGMENT].data[at + len], 0);
    for (uint64_t sectors = 0; sectors < UINT64_C(1) << (len / SECTOR); sectors += 173) {
        struct raft_load l;
        tear(d, at, len, sectors);
        load(d, &l);
        bool first = has_torn_entry(&l);
        raft_load_release(&l);
        load(d, &l); /* and it stays like that */
        assert_int_equal(has_torn_entry(&l), first);
        raft_load_release(&l);
        there += first;
        gone += !first;
        restore(d, SEGMENT);
    }
    assert_true(there > 50 && gone > 50);
}

static void writing_goes_on_behind_a_torn_group(void **state)
{
    const struct damage_case *d = *state;
    struct store_case c;
    struct loop *loop;
    assert_int_equal(loop_new(LOOP_THREADS, &loop), 0);
    tear(d, 2 * RAFT_BLOCK + (GROUPS - 1) * 2 * RAFT_BLOCK, 2 * RAFT_BLOCK, 0x0202);
    for (uint64_t next = LAST + 1; next < LAST + 4; next++) {
        assert_true(case_open(&c, loop, d->dir));
        assert_entries(case_disk(&c), 1, next - 1, 1, LAST + 1, 3);
        case_append(&c, next, 1, 3);
        case_wait(&c);
        case_close(&c);
    }
    loop_free(loop);
}

static void a_vote_that_was_interrupted_is_the_old_or_the_new_one(void **state)
{
    const struct damage_case *d = *state;
    struct raft_vote_head next = { .sequence = 100, .term = 6, .vote = 2 };
    struct raft_load l;
    load(d, &l);
    next.identity = l.state.identity;
    raft_load_release(&l);
    uint8_t block[RAFT_BLOCK] = { 0 };
    raft_vote_put(&next, block);
    for (size_t len = 0; len <= RAFT_HEAD; len++) {
        for (unsigned slot = 0; slot < 2; slot++) {
            if (slot == 1) {
                overwrite(d->path[VOTE], block, RAFT_BLOCK, 0); /* the first one is complete */
            }
            overwrite(d->path[VOTE], block, len, (uint64_t)slot * RAFT_BLOCK);
            load(d, &l);
            assert_int_equal(l.error, 0);
            uint64_t term = l.state.disk.term;
            assert_true(term == 6 || (term == 5 && slot == 0 && len < RAFT_HEAD));
            raft_load_release(&l);
            load(d, &l); /* told once, it stays */
            assert_int_equal(l.state.disk.term, term);
            assert_int_equal(l.state.repaired, 0);
            raft_load_release(&l);
            restore(d, VOTE);
        }
    }
}

static void a_creation_that_was_interrupted_begins_anew(void **state)
{
    const struct damage_case *d = *state;
    struct raft_load l;
    char *temporary = mem_sprintf("%s.tmp", d->path[VOTE]);
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(file_remove(d->path[i]), 0);
    }
    assert_int_equal(file_replace(temporary, bytes_of("half a vote", 11)), 0);
    free(temporary);
    load(d, &l);
    assert_int_equal(l.error, 0);
    assert_true(l.state.fresh);
    raft_load_release(&l);
}

static void left_over_files_are_removed(void **state)
{
    const struct damage_case *d = *state;
    struct raft_load l;
    const char *const names[] = { "log-00000000000000000099.tmp", "snapshot-00000000000000000003",
                                  "snapshot-00000000000000000009.tmp" };
    for (unsigned i = 0; i < countof(names); i++) {
        char *path = mem_sprintf("%s/%s", d->dir, names[i]);
        assert_int_equal(file_replace(path, bytes_of("junk", 4)), 0);
        free(path);
    }
    load(d, &l);
    assert_everything(&l);
    raft_load_release(&l);
    for (unsigned i = 0; i < countof(names); i++) {
        char *path = mem_sprintf("%s/%s", d->dir, names[i]);
        assert_false(file_exists(path));
        free(path);
    }
}

/* ---- versions and owners ----------------------------------------------------------------------*/

static void make_newer(const struct damage_case *d, unsigned file, uint64_t at)
{
    uint8_t head[RAFT_HEAD];
    memcpy(head, d->whole[file].data + at, sizeof head);
    store_be16(head + 4, 2);
    store_be32(head + 60, crc32c(0, head, 60));
    overwrite(d->path[file], head, sizeof head, at);
}

static void newer_versions_are_refused(void **state)
{
    const struct damage_case *d = *state;
    const uint64_t places[FILES] = { 0, 0, 0 };
    for (unsigned f = 0; f < FILES; f++) {
        make_newer(d, f, places[f]);
        assert_refused(d, -ENOTSUP, "newer version");
        restore(d, f);
    }
    make_newer(d, SEGMENT, 4 * RAFT_BLOCK); /* a group */
    assert_refused(d, -ENOTSUP, "newer version");
}

static void files_of_another_directory_are_refused(void **state)
{
    const struct damage_case *d = *state;
    struct raft_image image = { .index = 4, .term = 1, .members_index = 1,
                                .members = bytes_of("members", 7) };
    struct uuid other = { { 1 } };
    struct buf file = { 0 };
    raft_snapshot_put(&other, &image, &file);
    assert_int_equal(file_replace(d->path[SNAPSHOT], buf_bytes(&file)), 0);
    assert_refused(d, -EUCLEAN, "another directory");
    buf_release(&file);
}

#define DAMAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DAMAGED(every_flipped_bit_is_repaired),
        DAMAGED(damage_of_both_copies_is_reported),
        DAMAGED(missing_and_short_files_are_reported),
        DAMAGED(a_missing_snapshot_is_reported_when_the_log_needs_it),
        DAMAGED(a_torn_last_group_is_there_or_not),
        DAMAGED(writing_goes_on_behind_a_torn_group),
        DAMAGED(a_vote_that_was_interrupted_is_the_old_or_the_new_one),
        DAMAGED(a_creation_that_was_interrupted_begins_anew),
        DAMAGED(left_over_files_are_removed),
        DAMAGED(newer_versions_are_refused),
        DAMAGED(files_of_another_directory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
