/* What the tests of the store share: a directory with a store in it, appends of records with known
 * ids, and reading them back. */
#ifndef CHRONIK_TESTS_STORAGE_STORE_TEST_H
#define CHRONIK_TESTS_STORAGE_STORE_TEST_H

#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/io/file.h>
#include <chronik/io/timer.h>
#include <chronik/storage/log.h>
#include <chronik/storage/producers.h>
#include <chronik/storage/store.h>
#include <errno.h>
#include <unistd.h>

struct bed {
    enum loop_backend backend;
    struct loop *loop;
    char *dir;
    struct store *store;
    struct store_config config;
    bool opened, closed, failed, room;
    int error;
    char message[512];
    struct timer tick;
    bool (*until)(struct bed *bed);
    struct log *log; /* the first partition of the topic "t" */
    struct uuid topic;
    struct log *watched;
    int64_t want;
    bool done;
    int done_error;
    int64_t now_ms; /* time stamps of appended records */
};

/* Creates a loop and an empty directory; the store is not open. */
void bed_init(struct bed *bed, enum loop_backend backend);
void bed_release(struct bed *bed);

/* Fixtures: a bed as the test's state, for each backend. */
int bed_set_up_uring(void **state);
int bed_set_up_threads(void **state);
int bed_tear_down(void **state);

#define BOTH_BACKENDS(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, bed_set_up_uring, bed_tear_down),                        \
        cmocka_unit_test_setup_teardown(test, bed_set_up_threads, bed_tear_down)

/* Opens the store; fails the test if it does not open. `bed->log` is found, or created. */
void bed_open(struct bed *bed);

/* Opens, and returns the error. */
int bed_try_open(struct bed *bed);

/* Stops cleanly (which may be looked at while it goes on), or as a kill would, and frees the
 * store. */
void bed_close(struct bed *bed);
void bed_begin_close(struct bed *bed);
void bed_end_close(struct bed *bed);
void bed_crash(struct bed *bed);

/* Runs the loop until the condition holds. */
void bed_run(struct bed *bed, bool (*until)(struct bed *bed));
void bed_run_ms(struct bed *bed, uint64_t ms);
void bed_run_durable(struct bed *bed, struct log *log);

/* For `done` callbacks: sets bed->done. */
void bed_done(void *arg, int error);
void bed_run_done(struct bed *bed);

struct log *bed_create(struct bed *bed, const char *topic, uint8_t id, int32_t partition,
                       const struct log_config *config);

/* A batch of `n` records whose values are the ids from `first` on, each padded to `len` bytes. The
 * caller frees it. */
struct buf bed_batch(struct bed *bed, uint64_t first, unsigned n, size_t len);

struct buf bed_batch_producer(struct bed *bed, uint64_t first, unsigned n, size_t len,
                              int64_t producer, int32_t sequence);

/* Appends such a batch as a leader of epoch 1; returns what log_append() does. */
int bed_append(struct bed *bed, struct log *log, uint64_t first, unsigned n, size_t len);

/* Batches as they come from a leader: offsets, epoch and all. */
int bed_follow(struct bed *bed, struct log *log, int64_t base, int32_t epoch, uint64_t first,
               unsigned n, size_t len);

/* The same, with a producer. */
int bed_append_producer(struct bed *bed, struct log *log, uint64_t first, unsigned n, size_t len,
                        int64_t producer, int32_t sequence);

/* Ids of all records from `offset` on, in order; the caller frees them. Offsets must rise by one
 * from record to record when `dense`. */
struct ids {
    uint64_t *id;
    int64_t *offset;
    size_t n, cap;
    int error;
};

struct ids bed_read(struct bed *bed, struct log *log, int64_t offset, uint64_t max_bytes);
void ids_release(struct ids *ids);

/* Fails unless the log holds exactly the ids first, …, first + n - 1, at offsets offset, … */
void bed_expect(struct bed *bed, struct log *log, int64_t offset, uint64_t first, size_t n);

/* Copies a directory with all that is in it; `to` must not exist. */
void copy_tree(const char *from, const char *to);

/* A file in the directory of the store, as it is; and back. */
struct buf bed_load(const struct bed *bed, const char *name);
void bed_save(const struct bed *bed, const char *name, const struct buf *content);

/* One read; the caller releases read->batches. */
int bed_read_once(struct bed *bed, struct log *log, struct log_read *read);

#endif
