/* What the tests of the store share. */
#include "store_test.h"

#include "dump_bed.h"

/* ---- events -----------------------------------------------------------------------------------*/

static void opened(void *arg, int error, const char *message)
{
    struct bed *bed = arg;
    bed->opened = true;
    bed->error = error;
    snprintf(bed->message, sizeof bed->message, "%s", message);
}

static void failed(void *arg, int error, const char *message)
{
    struct bed *bed = arg;
    assert_false(bed->failed);
    bed->failed = true;
    bed->error = error;
    snprintf(bed->message, sizeof bed->message, "%s", message);
    print_message("%s\n", message);
}

static void room(void *arg)
{
    struct bed *bed = arg;
    bed->room = true;
}

static const struct store_events EVENTS = { opened, failed, room };

static void closed(void *arg, int error)
{
    struct bed *bed = arg;
    bed->closed = true;
    bed->error = error;
}

/* ---- running ----------------------------------------------------------------------------------*/

static void ticked(struct timer *timer)
{
    struct bed *bed = container_of(timer, struct bed, tick);
    if (bed->until(bed)) {
        loop_stop(bed->loop);
    } else {
        timer_set_in(timer, NS_PER_MS / 2);
    }
}

void bed_run(struct bed *bed, bool (*until)(struct bed *bed))
{
    bed->until = until;
    timer_set_in(&bed->tick, 0);
    loop_run(bed->loop);
}

static bool always(struct bed *bed)
{
    (void)bed;
    return true;
}

void bed_run_ms(struct bed *bed, uint64_t ms)
{
    bed->until = always;
    timer_set_in(&bed->tick, ms * NS_PER_MS);
    loop_run(bed->loop);
}

static bool is_durable(struct bed *bed)
{
    return log_durable_end(bed->watched) >= bed->want || bed->failed;
}

void bed_run_durable(struct bed *bed, struct log *log)
{
    bed->watched = log;
    bed->want = log_end(log);
    bed_run(bed, is_durable);
}

void bed_done(void *arg, int error)
{
    struct bed *bed = arg;
    bed->done = true;
    bed->done_error = error;
}

static bool is_done(struct bed *bed)
{
    return bed->done;
}

void bed_run_done(struct bed *bed)
{
    bed_run(bed, is_done);
    bed->done = false;
}

static bool is_opened(struct bed *bed)
{
    return bed->opened;
}

static bool is_closed(struct bed *bed)
{
    return bed->closed;
}

/* ---- life -------------------------------------------------------------------------------------*/

void bed_init(struct bed *bed, enum loop_backend backend)
{
    const char *under = getenv("TMPDIR");
    *bed = (struct bed){ .backend = backend, .now_ms = INT64_C(1700000000000) };
    bed->config.tail_bytes = MIB(8);
    bed->config.journal_bytes_max = MIB(16);
    bed->config.reserve_bytes = 0;
    memset(bed->topic.bytes, 1, sizeof bed->topic.bytes);
    assert_int_equal(loop_new(backend, &bed->loop), 0);
    timer_init(&bed->tick, bed->loop, ticked);
    bed->dir = mem_sprintf("%s/chronik-store-XXXXXX", under ? under : "/tmp");
    assert_non_null(mkdtemp(bed->dir));
}

void bed_release(struct bed *bed)
{
    assert_null(bed->store);
    loop_free(bed->loop);
    assert_int_equal(dir_remove_all(bed->dir), 0);
    free(bed->dir);
}

int bed_set_up_uring(void **state)
{
    struct bed *bed = mem_zalloc(sizeof *bed);
    bed_init(bed, LOOP_AUTO);
    *state = bed;
    return 0;
}

int bed_set_up_threads(void **state)
{
    struct bed *bed = mem_zalloc(sizeof *bed);
    bed_init(bed, LOOP_THREADS);
    *state = bed;
    return 0;
}

int bed_tear_down(void **state)
{
    bed_release(*state);
    free(*state);
    return 0;
}

/* Whoever opens a store, a dump has told before what will be found. */
int bed_try_open(struct bed *bed)
{
    struct dumped_dir dumped;
    int error = dir_dump(&dumped, bed->dir, NULL, 0);
    bed->opened = bed->closed = bed->failed = bed->room = false;
    bed->store = store_open(bed->loop, bed->dir, &bed->config, &EVENTS, bed);
    bed_run(bed, is_opened);
    if (bed->error != 0) {
        store_free(bed->store);
        bed->store = NULL;
    } else {
        assert_int_equal(error, 0);
        dir_dump_compare(&dumped, bed->store);
    }
    dir_dump_release(&dumped);
    return bed->error;
}

void bed_open(struct bed *bed)
{
    if (bed_try_open(bed) != 0) {
        fail_msg("%s", bed->message);
    }
    bed->log = store_find(bed->store, &bed->topic, 0);
    if (bed->log == NULL) {
        bed->log = bed_create(bed, "t", 1, 0, &LOG_CONFIG_DEFAULT);
    }
}

void bed_begin_close(struct bed *bed)
{
    store_close(bed->store, 7, closed, bed);
}

void bed_close(struct bed *bed)
{
    bed_begin_close(bed);
    bed_end_close(bed);
}

void bed_end_close(struct bed *bed)
{
    bed_run(bed, is_closed);
    assert_int_equal(bed->error, 0);
    store_free(bed->store);
    bed->store = NULL;
}

void bed_crash(struct bed *bed)
{
    store_abandon(bed->store, closed, bed);
    bed_run(bed, is_closed);
    store_free(bed->store);
    bed->store = NULL;
}

struct log *bed_create(struct bed *bed, const char *topic, uint8_t id, int32_t partition,
                       const struct log_config *config)
{
    struct uuid topic_id;
    memset(topic_id.bytes, id, sizeof topic_id.bytes);
    return store_create(bed->store, &topic_id, text_of(topic), partition, config);
}

/* ---- appending --------------------------------------------------------------------------------*/

struct buf bed_batch_producer(struct bed *bed, uint64_t first, unsigned n, size_t len,
                              int64_t producer, int32_t sequence)
{
    struct batch_builder b;
    struct buf out;
    uint8_t *value = mem_zalloc(len < 8 ? 8 : len);
    batch_builder_init(&b);
    b.producer_id = producer;
    b.producer_epoch = producer >= 0 ? 0 : -1;
    b.base_sequence = sequence;
    for (unsigned i = 0; i < n; i++) {
        store_be64(value, first + i);
        batch_builder_add(&b, bed->now_ms++, bytes_of(NULL, 0), bytes_of(value, len < 8 ? 8 : len),
                          bytes_of(NULL, 0), 0);
    }
    batch_builder_finish(&b);
    out = b.out;
    b.out = (struct buf){ 0 };
    batch_builder_release(&b);
    free(value);
    return out;
}

struct buf bed_batch(struct bed *bed, uint64_t first, unsigned n, size_t len)
{
    return bed_batch_producer(bed, first, n, len, -1, -1);
}

static bool has_room(struct bed *bed)
{
    return bed->room || bed->failed;
}

/* Appends; waits while there is no room. */
static int append(struct bed *bed, struct log *log, struct buf *batch)
{
    struct log_append append = {
        .batches = buf_bytes(batch), .leader_epoch = 1, .as_leader = true, .log_append_ms = -1
    };
    int64_t end = log_end(log);
    bed->room = false;
    int error = log_append(log, &append);
    while (error == -EAGAIN) {
        bed_run(bed, has_room);
        bed->room = false;
        error = log_append(log, &append);
    }
    if (error == 0) {
        assert_int_equal(append.base_offset, end);
        assert_int_equal(append.last_offset, log_end(log) - 1);
    }
    buf_release(batch);
    return error;
}

int bed_append(struct bed *bed, struct log *log, uint64_t first, unsigned n, size_t len)
{
    struct buf batch = bed_batch_producer(bed, first, n, len, -1, -1);
    return append(bed, log, &batch);
}

int bed_follow(struct bed *bed, struct log *log, int64_t base, int32_t epoch, uint64_t first,
               unsigned n, size_t len)
{
    struct buf batch = bed_batch_producer(bed, first, n, len, -1, -1);
    struct log_append append = { .batches = buf_bytes(&batch), .log_append_ms = -1 };
    batch_stamp(batch.data, base, epoch);
    int error = log_append(log, &append);
    buf_release(&batch);
    return error;
}

int bed_append_producer(struct bed *bed, struct log *log, uint64_t first, unsigned n, size_t len,
                        int64_t producer, int32_t sequence)
{
    struct buf batch = bed_batch_producer(bed, first, n, len, producer, sequence);
    return append(bed, log, &batch);
}

/* ---- reading ----------------------------------------------------------------------------------*/

static void read_done(struct log_read *read, int error)
{
    bed_done(read->arg, error);
}

int bed_read_once(struct bed *bed, struct log *log, struct log_read *read)
{
    read->done = read_done;
    read->arg = bed;
    int error = log_read(log, read);
    if (error == -EINPROGRESS) {
        bed_run_done(bed);
        error = bed->done_error;
    }
    return error;
}

static void add_id(struct ids *ids, const struct record *record)
{
    size_t cap = ids->cap;
    ids->id = mem_grow(ids->id, &cap, ids->n + 1, sizeof *ids->id);
    ids->offset = mem_realloc_array(ids->offset, cap, sizeof *ids->offset);
    ids->cap = cap;
    assert_true(record->value.len >= 8);
    ids->id[ids->n] = load_be64(record->value.data);
    ids->offset[ids->n++] = record->offset;
}

/* Adds the records at or above `offset` of whole batches. */
static void add_batches(struct ids *ids, struct bytes batches, int64_t offset)
{
    struct codec_scratch scratch = { 0 };
    while (batches.len > 0) {
        struct batch b;
        struct record_iter it;
        struct record record;
        assert_int_equal(batch_parse(batches, &b), KAFKA_NONE);
        assert_true(batch_crc_ok(&b));
        assert_int_equal(record_iter_init(&it, &b, MIB(64), &scratch), 0);
        while (record_iter_next(&it, &record)) {
            if (record.offset >= offset) {
                add_id(ids, &record);
            }
        }
        assert_int_equal(it.next, it.n);
        batches = bytes_part(batches, b.raw.len, batches.len - b.raw.len);
    }
    codec_scratch_release(&scratch);
}

struct ids bed_read(struct bed *bed, struct log *log, int64_t offset, uint64_t max_bytes)
{
    struct ids ids = { 0 };
    while (offset < log_end(log)) {
        struct log_read read = { .offset = offset,
                                 .below = INT64_MAX,
                                 .max_bytes = max_bytes,
                                 .at_least_one = true };
        ids.error = bed_read_once(bed, log, &read);
        if (ids.error != 0) {
            chain_release(&read.batches);
            return ids;
        }
        uint8_t *bytes = mem_alloc(read.batches.len);
        chain_copy(&read.batches, bytes);
        add_batches(&ids, bytes_of(bytes, read.batches.len), offset);
        free(bytes);
        chain_release(&read.batches);
        assert_true(read.next > offset);
        offset = read.next;
    }
    return ids;
}

void ids_release(struct ids *ids)
{
    free(ids->id);
    free(ids->offset);
}

void bed_expect(struct bed *bed, struct log *log, int64_t offset, uint64_t first, size_t n)
{
    struct ids ids = bed_read(bed, log, offset, 100000);
    assert_int_equal(ids.error, 0);
    assert_int_equal(ids.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids.id[i], first + i);
        assert_int_equal(ids.offset[i], offset + (int64_t)i);
    }
    ids_release(&ids);
}

/* ---- files ------------------------------------------------------------------------------------*/

static void save(const char *path, const struct buf *content)
{
    struct file *file;
    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file), 0);
    assert_int_equal(file_write_at(file, content->data, content->len, 0), 0);
    file_close(file);
}

void copy_tree(const char *from, const char *to)
{
    struct dir_entry *entries;
    size_t n;
    assert_int_equal(dir_make(to), 0);
    assert_int_equal(dir_list(from, &entries, &n), 0);
    for (size_t i = 0; i < n; i++) {
        char *source = mem_sprintf("%s/%s", from, entries[i].name);
        char *target = mem_sprintf("%s/%s", to, entries[i].name);
        if (entries[i].is_dir) {
            copy_tree(source, target);
        } else {
            struct buf content = { 0 };
            assert_int_equal(file_load(source, GIB(1), &content), 0);
            save(target, &content);
            buf_release(&content);
        }
        free(source);
        free(target);
    }
    dir_list_free(entries, n);
}

struct buf bed_load(const struct bed *bed, const char *name)
{
    char *path = mem_sprintf("%s/%s", bed->dir, name);
    struct buf content = { 0 };
    if (file_load(path, GIB(1), &content) != 0) {
        fail_msg("%s cannot be loaded", path);
    }
    free(path);
    return content;
}

void bed_save(const struct bed *bed, const char *name, const struct buf *content)
{
    char *path = mem_sprintf("%s/%s", bed->dir, name);
    save(path, content);
    free(path);
}
