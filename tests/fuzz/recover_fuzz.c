/* Fuzzes recovery: a directory that was killed in the midst of work, with bytes of its journal,
 * checkpoint, segments, indexes and snapshots changed, files cut or missing.
 *
 * Whatever is in the files, opening ends, with a store or with a message; what is served verifies
 * and lies in its place; the store can be appended to, and opened again. Checksums of changed
 * groups and of the checkpoint are put right unless the first byte says otherwise: no fuzzer
 * guesses them. */
#include <chronik/base/crc32c.h>
#include <chronik/io/file.h>
#include <chronik/io/timer.h>
#include <chronik/storage/log.h>
#include <chronik/storage/producers.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../../src/storage/journal_format.h"

enum { FILES_MAX = 64, LOGS = 3 };

struct image_file {
    char *name; /* below the directory */
    struct buf content;
};

struct fuzz {
    struct loop *loop;
    struct store *store;
    char *dir;
    bool opened, closed, done;
    int error;
    struct image_file files[FILES_MAX];
    size_t n_files;
    int64_t ids;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- running a store --------------------------------------------------------------------------*/

static void opened(void *arg, int error, const char *message)
{
    struct fuzz *f = arg;
    check(error == 0 || message[0] != '\0');
    f->error = error;
    f->opened = true;
    loop_stop(f->loop);
}

static void failed(void *arg, int error, const char *message)
{
    (void)arg;
    (void)error;
    (void)message;
}

static void room(void *arg)
{
    (void)arg;
}

static const struct store_events EVENTS = { opened, failed, room };

static void closed(void *arg, int error)
{
    struct fuzz *f = arg;
    (void)error;
    f->closed = true;
    loop_stop(f->loop);
}

static bool open_store(struct fuzz *f)
{
    struct store_config config = { .tail_bytes = MIB(2),
                                   .journal_bytes_max = KIB(512),
                                   .open_files_max = 8,
                                   .checkpoint_idle_ns = 3600 * NS_PER_S };
    f->opened = false;
    f->store = store_open(f->loop, f->dir, &config, &EVENTS, f);
    loop_run(f->loop);
    if (f->error != 0) {
        store_free(f->store);
    }
    return f->error == 0;
}

static void stop(struct fuzz *f, bool clean)
{
    if (clean) {
        store_close(f->store, 1, closed, f);
    } else {
        store_abandon(f->store, closed, f);
    }
    f->closed = false;
    loop_run(f->loop);
    store_free(f->store);
}

static int append(struct fuzz *f, struct log *log, unsigned n)
{
    struct batch_builder b;
    batch_builder_init(&b);
    b.producer_id = n % 2 ? 5 : -1;
    b.producer_epoch = n % 2 ? 0 : -1;
    b.base_sequence = n % 2 ? (int32_t)log_end(log) : -1;
    for (unsigned i = 0; i < n; i++) {
        uint8_t value[24];
        store_be64(value, (uint64_t)f->ids++);
        batch_builder_add(&b, 1000 + f->ids, bytes_of(NULL, 0), bytes_of(value, sizeof value),
                          bytes_of(NULL, 0), 0);
    }
    struct log_append append = { .batches = batch_builder_finish(&b),
                                 .leader_epoch = 1 + (int32_t)(log_end(log) / 50),
                                 .as_leader = true,
                                 .log_append_ms = -1 };
    append.leader_epoch = append.leader_epoch > log_last_epoch(log) ? append.leader_epoch
                                                                    : log_last_epoch(log);
    int error = log_append(log, &append);
    batch_builder_release(&b);
    return error;
}

/* ---- the directory to be changed --------------------------------------------------------------*/

static void load_files(struct fuzz *f, const char *below)
{
    char *dir = mem_sprintf("%s/%s", f->dir, below);
    struct dir_entry *entries;
    size_t n;
    check(dir_list(dir, &entries, &n) == 0);
    for (size_t i = 0; i < n; i++) {
        char *name = mem_sprintf("%s%s%s", below, below[0] ? "/" : "", entries[i].name);
        if (entries[i].is_dir) {
            load_files(f, name);
            free(name);
        } else if (strcmp(name, ".lock") == 0) {
            free(name);
        } else {
            check(f->n_files < FILES_MAX);
            struct image_file *file = &f->files[f->n_files++];
            char *path = mem_sprintf("%s/%s", f->dir, name);
            file->name = name;
            check(file_load(path, MIB(8), &file->content) == 0);
            free(path);
        }
    }
    dir_list_free(entries, n);
    free(dir);
}

static void wait_a_moment(struct fuzz *f);

/* Segments, indexes and snapshots of a life that was stopped; a journal of one that was killed. */
static void make_directory(struct fuzz *f)
{
    struct log_config config = LOG_CONFIG_DEFAULT;
    struct uuid id;
    config.segment_bytes = 2000;
    config.index_interval_bytes = 100;
    check(open_store(f));
    for (unsigned i = 0; i < LOGS; i++) {
        memset(id.bytes, (int)i + 1, sizeof id.bytes);
        char *topic = mem_sprintf("t%u", i);
        struct log *log = store_create(f->store, &id, text_of(topic), 0, &config);
        free(topic);
        for (unsigned k = 0; k < 20; k++) {
            check(append(f, log, 1 + k % 4) == 0);
        }
    }
    wait_a_moment(f);
    stop(f, true);
    check(open_store(f));
    for (unsigned i = 0; i < LOGS; i++) {
        memset(id.bytes, (int)i + 1, sizeof id.bytes);
        struct log *log = store_find(f->store, &id, 0);
        log_configure(log, &config);
        for (unsigned k = 0; k < 6; k++) {
            check(append(f, log, 1 + k % 4) == 0);
            wait_a_moment(f);
        }
        if (i == 0) {
            check(log_truncate(log, log_end(log) - 3, NULL, NULL) == 0);
            wait_a_moment(f);
        } else if (i == 1) {
            check(log_move_start(log, 20, NULL, NULL) == 0);
        }
    }
    wait_a_moment(f);
    store_delete(f->store, store_find(f->store, &id, 0));
    wait_a_moment(f);
    stop(f, false);
    load_files(f, "");
}

/* ---- changing it ------------------------------------------------------------------------------*/

struct input {
    const uint8_t *at, *end;
};

static uint32_t take(struct input *in, unsigned n)
{
    uint32_t value = 0;
    for (; n > 0 && in->at < in->end; n--) {
        value = value << 8 | *in->at++;
    }
    return value;
}

static void change(struct buf *content, struct input *in)
{
    uint32_t kind = take(in, 1) % 6, at = take(in, 3);
    if (content->len == 0) {
        return;
    }
    at %= (uint32_t)content->len;
    size_t left = content->len - at;
    if (kind == 0) {
        content->data[at] ^= (uint8_t)take(in, 1);
    } else if (kind == 1) {
        content->len = at;
    } else if (kind == 2) {
        memset(content->data + at, 0, min_u64(left, 1 + take(in, 2)));
    } else if (kind == 3) {
        for (size_t i = 0; i < min_u64(left, 4); i++) {
            content->data[at + i] = (uint8_t)take(in, 1);
        }
    } else if (kind == 4) {
        uint32_t from = take(in, 3) % (uint32_t)content->len;
        memmove(content->data + at, content->data + from,
                min_u64(min_u64(left, content->len - from), take(in, 2)));
    } else {
        store_be64(content->data + min_u64(at, content->len - min_u64(content->len, 8)),
                   content->len >= 8 ? (uint64_t)1 << take(in, 1) % 64 : 0);
    }
}

static void mend_checksums(const char *name, struct buf *content)
{
    if (strcmp(name, "chronik-checkpoint") == 0 && content->len > 88) {
        store_be64(content->data + 16, content->len);
        store_be32(content->data + 8, crc32c(0, content->data + 12, content->len - 12));
    }
    for (size_t at = 0; strncmp(name, "journal/", 8) == 0 && at + JOURNAL_BLOCK <= content->len;
         at += JOURNAL_BLOCK) {
        struct journal_group_header group;
        uint8_t *from = content->data + at;
        if (at == 0) {
            store_be32(from + 12, crc32c(0, from + 16, 56));
        } else if (journal_group_decode(from, &group) &&
                   group.len <= content->len - at - JOURNAL_GROUP_HEADER) {
            store_be32(from + 4, journal_group_crc(from, JOURNAL_GROUP_HEADER + group.len));
        }
    }
}

static void write_files(struct fuzz *f, const struct buf *contents, const bool *missing)
{
    check(dir_remove_all(f->dir) == 0);
    check(dir_make(f->dir) == 0);
    for (size_t i = 0; i < f->n_files; i++) {
        char *path = mem_sprintf("%s/%s", f->dir, f->files[i].name);
        char *slash = strrchr(f->files[i].name, '/');
        struct file *file;
        if (slash != NULL) {
            char *dir = mem_sprintf("%s/%.*s", f->dir, (int)(slash - f->files[i].name),
                                    f->files[i].name);
            dir_make(dir);
            free(dir);
        }
        if (!missing[i]) {
            check(file_open(path, FILE_WRITE | FILE_CREATE, &file) == 0);
            check(file_write_at(file, contents[i].data, contents[i].len, 0) == 0);
            file_close(file);
        }
        free(path);
    }
}

static void change_files(struct fuzz *f, struct input *in)
{
    struct buf contents[FILES_MAX] = { 0 };
    bool missing[FILES_MAX] = { false };
    bool mend = (take(in, 1) & 128) == 0;
    for (size_t i = 0; i < f->n_files; i++) {
        buf_put(&contents[i], f->files[i].content.data, f->files[i].content.len);
    }
    while (in->at < in->end) {
        uint32_t i = take(in, 1) % (uint32_t)(f->n_files * 4);
        if (i % 4 == 3) {
            missing[i / 4] = take(in, 1) % 8 == 0;
        } else {
            change(&contents[i / 4], in);
        }
    }
    for (size_t i = 0; i < f->n_files && mend; i++) {
        mend_checksums(f->files[i].name, &contents[i]);
    }
    write_files(f, contents, missing);
    for (size_t i = 0; i < f->n_files; i++) {
        buf_release(&contents[i]);
    }
}

/* ---- looking at what comes out ----------------------------------------------------------------*/

static void read_done(struct log_read *read, int error)
{
    struct fuzz *f = read->arg;
    f->error = error;
    f->done = true;
    loop_stop(f->loop);
}

/* Walks the batches of a result: they verify, and offsets rise. */
static int64_t check_batches(const struct chain *chain, int64_t next)
{
    uint8_t *bytes = mem_alloc(chain->len);
    struct bytes rest = bytes_of(bytes, chain->len);
    chain_copy(chain, bytes);
    while (rest.len > 0) {
        struct batch b;
        check(batch_parse(rest, &b) == KAFKA_NONE && batch_crc_ok(&b));
        check(batch_last_offset(&b) >= next);
        next = batch_last_offset(&b) + 1;
        rest = bytes_part(rest, b.raw.len, rest.len - b.raw.len);
    }
    free(bytes);
    return next;
}

static void look_at(struct log *log, void *arg)
{
    struct fuzz *f = arg;
    int64_t offset = log_start_offset(log);
    check(offset >= 0 && offset <= log_high_watermark(log));
    check(log_high_watermark(log) <= log_durable_end(log));
    check(log_durable_end(log) == log_end(log));
    producers_count(log_producers(log));
    while (offset < log_end(log)) {
        struct log_read read = { .offset = offset,
                                 .below = INT64_MAX,
                                 .max_bytes = 700,
                                 .at_least_one = true,
                                 .done = read_done,
                                 .arg = f };
        f->error = log_read(log, &read);
        if (f->error == -EINPROGRESS) {
            loop_run(f->loop);
        }
        check(f->error == 0 || f->error == -EIO || f->error == -ENOENT);
        check_batches(&read.batches, offset);
        bool more = f->error == 0 && read.next > offset;
        offset = read.next;
        chain_release(&read.batches);
        if (!more) {
            return;
        }
    }
}

static void append_to(struct log *log, void *arg)
{
    append(arg, log, 2);
}

static void moment_over(struct timer *timer);

struct moment {
    struct timer timer;
    struct loop *loop;
};

static void moment_over(struct timer *timer)
{
    loop_stop(container_of(timer, struct moment, timer)->loop);
}

static void wait_a_moment(struct fuzz *f)
{
    struct moment moment = { .loop = f->loop };
    timer_init(&moment.timer, f->loop, moment_over);
    timer_set_in(&moment.timer, 3 * NS_PER_MS);
    loop_run(f->loop);
}

static void init(struct fuzz *f)
{
    const char *under = getenv("TMPDIR");
    char *template = mem_sprintf("%s/chronik-fuzz-XXXXXX", under ? under : "/dev/shm");
    check(loop_new(LOOP_THREADS, &f->loop) == 0);
    check(mkdtemp(template) != NULL);
    f->dir = mem_sprintf("%s/data", template);
    free(template);
    make_directory(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f; /* a directory that every input changes anew */
    struct input in = { data, data + size };
    if (f.loop == NULL) {
        init(&f);
    }
    change_files(&f, &in);
    if (open_store(&f)) {
        store_each(f.store, look_at, &f);
        store_each(f.store, append_to, &f);
        stop(&f, size % 2 == 0);
        check(open_store(&f));
        stop(&f, false);
    }
    return 0;
}
