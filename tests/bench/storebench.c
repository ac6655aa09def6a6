/* The storage layer by itself: what an append, a round of partitions, a read and a start cost.
 *
 *     storebench DIR [appends|batches|rounds|reads|start]…
 *
 * Prints one line per figure. CPU is of the whole process. Compare figures of one run with each
 * other, and with diskloop's; never with another machine's. */
#include <chronik/io/file.h>
#include <chronik/io/process.h>
#include <chronik/io/timer.h>
#include <chronik/storage/log.h>

#include <errno.h>
#include <stdio.h>

enum { LOGS_MAX = 10000 };

struct bench {
    struct loop *loop;
    const char *dir;
    struct store *store;
    bool opened, closed;
    struct log *logs[LOGS_MAX];
    unsigned n_logs;
    unsigned waiting; /* logs whose durable end has not reached their end */
    struct buf batch;
    void (*next)(struct bench *bench);
    uint64_t done, wanted;
    unsigned per_turn, in_flight;
    struct log_read read;
    uint64_t bytes;
    struct loop_task task;
};

/* ---- running ----------------------------------------------------------------------------------*/

static void opened(void *arg, int error, const char *message)
{
    struct bench *b = arg;
    if (error != 0) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
    b->opened = true;
    loop_stop(b->loop);
}

static void failed(void *arg, int error, const char *message)
{
    (void)arg;
    (void)error;
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static void room(void *arg)
{
    struct bench *b = arg;
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
}

static const struct store_events EVENTS = { opened, failed, room };

static void closed(void *arg, int error)
{
    struct bench *b = arg;
    (void)error;
    loop_stop(b->loop);
}

static void run_task(struct loop_task *task)
{
    struct bench *b = container_of(task, struct bench, task);
    b->next(b);
}

static void open_store(struct bench *b)
{
    struct store_config config = { .tail_bytes = MIB(256), .reserve_bytes = UINT64_MAX };
    b->store = store_open(b->loop, b->dir, &config, &EVENTS, b);
    loop_run(b->loop);
}

static void close_store(struct bench *b, bool clean)
{
    if (clean) {
        store_close(b->store, 1, closed, b);
    } else {
        store_abandon(b->store, closed, b);
    }
    loop_run(b->loop);
    store_free(b->store);
    b->n_logs = 0;
}

static void create_logs(struct bench *b, unsigned n, uint8_t topic)
{
    struct uuid id;
    memset(id.bytes, topic, sizeof id.bytes);
    for (b->n_logs = 0; b->n_logs < n; b->n_logs++) {
        b->logs[b->n_logs] = store_create(b->store, &id, text_of("bench"), (int32_t)b->n_logs,
                                          &LOG_CONFIG_DEFAULT);
    }
}

static double cpu_s(void)
{
    struct process_usage usage;
    process_usage(&usage);
    return usage.cpu_s;
}

static void make_batch(struct bench *b, unsigned records, size_t len)
{
    struct batch_builder builder;
    uint8_t *value = mem_zalloc(len);
    batch_builder_init(&builder);
    for (unsigned i = 0; i < records; i++) {
        batch_builder_add(&builder, 1700000000000, bytes_of(NULL, 0), bytes_of(value, len),
                          bytes_of(NULL, 0), 0);
    }
    struct bytes batch = batch_builder_finish(&builder);
    buf_clear(&b->batch);
    buf_put(&b->batch, batch.data, batch.len);
    batch_builder_release(&builder);
    free(value);
}

/* ---- appends to one log -----------------------------------------------------------------------*/

static int append(struct bench *b, struct log *log)
{
    struct log_append append = {
        .batches = buf_bytes(&b->batch), .leader_epoch = 1, .as_leader = true, .log_append_ms = -1
    };
    return log_append(log, &append);
}

static void append_some(struct bench *b)
{
    struct log *log = b->logs[0];
    while (b->done < b->wanted &&
           log_end(log) - log_durable_end(log) < (int64_t)b->in_flight && append(b, log) == 0) {
        b->done++;
    }
    if (b->done == b->wanted && log_durable_end(log) == log_end(log)) {
        loop_stop(b->loop);
    }
}

static void log_moved(void *arg)
{
    struct bench *b = arg;
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
}

static void bench_appends(struct bench *b, const char *name, unsigned records, size_t len,
                          uint64_t wanted, unsigned in_flight)
{
    open_store(b);
    create_logs(b, 1, 1);
    make_batch(b, records, len);
    b->next = append_some;
    b->done = 0;
    b->wanted = wanted;
    b->in_flight = in_flight * records;
    log_listen(b->logs[0], log_moved, b);
    uint64_t began = loop_clock_ns(b->loop);
    double cpu = cpu_s();
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    loop_run(b->loop);
    double s = (double)(loop_clock_ns(b->loop) - began) / 1e9;
    cpu = cpu_s() - cpu;
    double gb = (double)wanted * (double)b->batch.len / 1e9;
    printf("%-28s %9.0f appends/s %7.3f GB/s %7.3f CPU-s/GB %7.3f us CPU/append\n", name,
           (double)wanted / s, gb / s, cpu / gb, cpu * 1e6 / (double)wanted);
    close_store(b, true);
    dir_remove_all(b->dir);
}

/* ---- rounds -----------------------------------------------------------------------------------*/

static void round_moved(void *arg)
{
    struct bench *b = arg;
    if (--b->waiting == 0) {
        loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    }
}

static void start_round(struct bench *b)
{
    if (b->done++ == b->wanted) {
        loop_stop(b->loop);
        return;
    }
    b->waiting = b->n_logs;
    for (unsigned i = 0; i < b->n_logs; i++) {
        if (append(b, b->logs[i]) != 0) {
            fprintf(stderr, "no room\n");
            exit(1);
        }
    }
}

static void bench_round(struct bench *b, unsigned n)
{
    open_store(b);
    create_logs(b, n, 2);
    make_batch(b, 1, 100);
    for (unsigned i = 0; i < n; i++) {
        log_listen(b->logs[i], round_moved, b);
    }
    b->next = start_round;
    b->done = 0;
    b->wanted = 50; /* the first touches memory */
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    loop_run(b->loop);
    b->done = 0;
    b->wanted = 500;
    uint64_t began = loop_clock_ns(b->loop);
    double cpu = cpu_s();
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    loop_run(b->loop);
    printf("round of %-5u partitions     %9.3f ms each, %.3f us CPU/append\n", n,
           (double)(loop_clock_ns(b->loop) - began) / 1e6 / 500,
           (cpu_s() - cpu) * 1e6 / 500 / n);
    close_store(b, true);
    dir_remove_all(b->dir);
}

/* ---- reads ------------------------------------------------------------------------------------*/

static void read_done(struct log_read *read, int error);

static void read_on(struct bench *b)
{
    for (;;) {
        b->read = (struct log_read){ .offset = b->read.next,
                                     .below = INT64_MAX,
                                     .max_bytes = MIB(1),
                                     .at_least_one = true,
                                     .done = read_done,
                                     .arg = b };
        int error = log_read(b->logs[0], &b->read);
        if (error == -EINPROGRESS) {
            return;
        }
        read_done(&b->read, error);
        if (b->bytes >= b->wanted) {
            return;
        }
    }
}

static void read_done(struct log_read *read, int error)
{
    struct bench *b = read->arg;
    bool at_end = read->batches.len == 0;
    if (error != 0) {
        fprintf(stderr, "read: %s\n", strerror(-error));
        exit(1);
    }
    b->bytes += read->batches.len;
    chain_release(&read->batches);
    if (at_end) {
        read->next = (int64_t)b->done;
    }
    if (b->bytes >= b->wanted) {
        loop_stop(b->loop);
    } else {
        loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    }
}

static void read_from(struct bench *b, const char *name, int64_t offset, uint64_t bytes)
{
    b->next = read_on;
    b->done = (uint64_t)offset;
    b->read.next = offset;
    b->bytes = 0;
    b->wanted = bytes;
    uint64_t began = loop_clock_ns(b->loop);
    double cpu = cpu_s();
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    loop_run(b->loop);
    printf("%-28s %7.3f GB/s %7.3f CPU-s/GB\n", name,
           (double)b->bytes / (double)(loop_clock_ns(b->loop) - began),
           (cpu_s() - cpu) * 1e9 / (double)b->bytes);
}

static void bench_reads(struct bench *b)
{
    open_store(b);
    create_logs(b, 1, 3);
    make_batch(b, 16, 1000);
    b->next = append_some;
    b->done = 0;
    b->wanted = GIB(1) / b->batch.len;
    b->in_flight = 64 * 16;
    log_listen(b->logs[0], log_moved, b);
    loop_defer(b->loop, LOOP_ADVANCE, &b->task);
    loop_run(b->loop);
    log_listen(b->logs[0], NULL, NULL);
    int64_t end = log_end(b->logs[0]);
    read_from(b, "read, tail", end - 16 * 4000, GIB(8));
    read_from(b, "read, page cache", 0, (uint64_t)(end - 16 * 20000) / 16 * b->batch.len);
    close_store(b, true);
    dir_remove_all(b->dir);
}

/* ---- start ------------------------------------------------------------------------------------*/

static void print_start(struct bench *b, const char *name, uint64_t began)
{
    struct process_usage usage;
    process_usage(&usage);
    printf("%-28s %9.1f ms, %.1f MB resident, %llu logs, clean %d, replayed %llu bytes\n", name,
           (double)(loop_clock_ns(b->loop) - began) / 1e6, (double)usage.resident / 1e6,
           (unsigned long long)store_recovery(b->store)->logs, store_recovery(b->store)->clean,
           (unsigned long long)store_recovery(b->store)->replayed_bytes);
}

static void bench_start(struct bench *b, const char *step)
{
    uint64_t began = loop_clock_ns(b->loop);
    open_store(b);
    print_start(b, step, began);
    if (store_recovery(b->store)->logs == 0) {
        make_batch(b, 1, 100);
        create_logs(b, LOGS_MAX, 4);
        for (unsigned i = 0; i < LOGS_MAX; i++) {
            log_listen(b->logs[i], round_moved, b);
        }
        b->next = start_round;
        b->done = 0;
        b->wanted = 3;
        began = loop_clock_ns(b->loop);
        loop_defer(b->loop, LOOP_ADVANCE, &b->task);
        loop_run(b->loop);
        printf("%-28s %9.1f ms a round, first touch\n", "10000 partitions",
               (double)(loop_clock_ns(b->loop) - began) / 1e6 / 3);
    }
    began = loop_clock_ns(b->loop);
    close_store(b, strcmp(step, "start, to be killed") != 0);
    printf("%-28s %9.1f ms\n", "stop", (double)(loop_clock_ns(b->loop) - began) / 1e6);
}

int main(int argc, char **argv)
{
    struct bench b = { .dir = argc > 1 ? argv[1] : "." };
    if (argc < 3 || loop_new(LOOP_AUTO, &b.loop) != 0) {
        fprintf(stderr, "usage: storebench DIR appends|batches|rounds|reads|start|restart…\n");
        return 2;
    }
    process_raise_file_limit();
    loop_task_init(&b.task, run_task);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "appends") == 0) {
            bench_appends(&b, "1 record, 1 in flight", 1, 100, 20000, 1);
            bench_appends(&b, "1 record, 1024 in flight", 1, 100, 3000000, 1024);
        } else if (strcmp(argv[i], "batches") == 0) {
            bench_appends(&b, "15 KB, 20 in flight", 15, 1000, 200000, 20);
            bench_appends(&b, "100 KB, 8 in flight", 1000, 90, 40000, 8);
            bench_appends(&b, "1 MB, 8 in flight", 1000, 1000, 4000, 8);
        } else if (strcmp(argv[i], "rounds") == 0) {
            bench_round(&b, 100);
            bench_round(&b, 1000);
        } else if (strcmp(argv[i], "reads") == 0) {
            bench_reads(&b);
        } else if (strcmp(argv[i], "start") == 0) {
            bench_start(&b, "start, 10000 partitions");
        } else if (strcmp(argv[i], "kill") == 0) {
            bench_start(&b, "start, to be killed");
        }
    }
    buf_release(&b.batch);
    loop_free(b.loop);
    return 0;
}
