/* What the tests of Raft directories share: a store on a loop, and entries to write. */
#ifndef CHRONIK_TESTS_META_RAFT_STORE_CASE_H
#define CHRONIK_TESTS_META_RAFT_STORE_CASE_H

#include "../io/io_test.h"

#include <chronik/meta/raft_store.h>

/* On a file system in memory where there is one: these tests open directories thousands of
 * times. */
static inline char *fast_dir(void)
{
    char *dir = mem_strdup("/dev/shm/chronik-raft-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        free(dir);
        dir = test_dir();
    }
    return dir;
}

struct store_case {
    struct loop *loop;
    struct raft_store *store;
    int error; /* of opening */
    char message[512];
    bool opened, failed, closed;
    uint64_t written[64]; /* tickets, in order */
    size_t n_written;
    uint64_t tickets;
};

static inline void case_opened(void *arg, int error, const char *message)
{
    struct store_case *c = arg;
    c->error = error;
    c->opened = true;
    snprintf(c->message, sizeof c->message, "%s", message);
    loop_stop(c->loop);
}

static inline void case_written(void *arg, uint64_t ticket)
{
    struct store_case *c = arg;
    c->written[c->n_written++ % countof(c->written)] = ticket;
    loop_stop(c->loop);
}

static inline void case_failed(void *arg, int error, const char *message)
{
    struct store_case *c = arg;
    c->error = error;
    c->failed = true;
    snprintf(c->message, sizeof c->message, "%s", message);
    loop_stop(c->loop);
}

static inline void case_closed(void *arg)
{
    struct store_case *c = arg;
    c->closed = true;
    loop_stop(c->loop);
}

static const struct raft_store_events case_events = { case_opened, case_written, case_failed };

/* Opens the directory: true when that went well. */
static inline bool case_open(struct store_case *c, struct loop *loop, const char *dir)
{
    *c = (struct store_case){ .loop = loop };
    c->store = raft_store_open(loop, dir, 7, &case_events, c);
    while (!c->opened) {
        loop_run(loop);
    }
    return c->error == 0;
}

static inline void case_wait(struct store_case *c)
{
    while (c->n_written < c->tickets && !c->failed) {
        loop_run(c->loop);
    }
}

static inline void case_close(struct store_case *c)
{
    if (c->error == 0) {
        raft_store_close(c->store, case_closed, c);
        while (!c->closed) {
            loop_run(c->loop);
        }
    }
    raft_store_free(c->store);
    c->store = NULL;
}

/* The first vote: it makes a directory. */
static inline void case_vote(struct store_case *c)
{
    raft_store_save_vote(c->store, ++c->tickets, 1, 0);
    case_wait(c);
}

/* An entry whose data says which one it is. */
static inline struct raft_item entry_of(uint64_t index, uint64_t term, char text[32])
{
    int len = snprintf(text, 32, "entry %llu of term %llu", (unsigned long long)index,
                       (unsigned long long)term);
    return (struct raft_item){ .term = term, .kind = RAFT_ENTRY_COMMAND,
                               .data = bytes_of(text, (size_t)len) };
}

/* Asks for entries [first, first + n) to be written. */
static inline void case_append(struct store_case *c, uint64_t first, size_t n, uint64_t term)
{
    struct raft_item items[64];
    char texts[64][32];
    for (size_t i = 0; i < n; i++) {
        items[i] = entry_of(first + i, term, texts[i]);
    }
    raft_store_write_log(c->store, ++c->tickets, first, items, n);
}

static inline void case_snapshot(struct store_case *c, uint64_t index, uint64_t term,
                                 uint64_t keep_from, bool install)
{
    struct raft_image image = { .index = index, .term = term, .members_index = 1,
                                .members = bytes_of("members", 7),
                                .data = bytes_of("the state", 9) };
    raft_store_write_snapshot(c->store, ++c->tickets, &image, keep_from, install);
}

static inline const struct raft_disk_state *case_disk(const struct store_case *c)
{
    return &raft_store_state(c->store)->disk;
}

/* The state on disk holds exactly the entries [first, last], those from `second_from` on of term
 * `second`, the others of term `term`. */
static inline void assert_entries(const struct raft_disk_state *disk, uint64_t first, uint64_t last,
                                  uint64_t term, uint64_t second_from, uint64_t second)
{
    assert_int_equal(disk->first, first);
    assert_int_equal(disk->n_items, last + 1 - first);
    for (size_t i = 0; i < disk->n_items; i++) {
        char text[32];
        uint64_t index = first + i;
        struct raft_item e = entry_of(index, index < second_from ? term : second, text);
        assert_int_equal(disk->items[i].term, e.term);
        assert_int_equal(disk->items[i].kind, e.kind);
        assert_true(bytes_equal(disk->items[i].data, e.data));
    }
}

#endif
