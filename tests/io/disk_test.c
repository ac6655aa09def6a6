/* Disk requests, every test with both backends. */
#include "io_test.h"

#include "mounts.h"

#include <chronik/io/disk.h>
#include <chronik/io/job.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct disk_case {
    enum loop_backend backend;
    struct loop *loop;
    char *dir;
    struct wait wait;
};

static int set_up(void **state)
{
    struct disk_case *c = *state;
    c->dir = test_dir();
    int err = loop_new(c->backend, &c->loop);
    if (err != 0) {
        c->loop = NULL;
        print_message("io_uring is refused here: %s\n", strerror(-err));
    }
    return 0;
}

static int tear_down(void **state)
{
    struct disk_case *c = *state;
    loop_free(c->loop);
    test_dir_remove(c->dir);
    return 0;
}

static struct disk_case *case_of(void **state)
{
    struct disk_case *c = *state;
    if (c->loop == NULL) {
        skip();
    }
    return c;
}

static char *in(const struct disk_case *c, const char *name)
{
    return mem_sprintf("%s/%s", c->dir, name);
}

/* A request that is waited for. */
struct one {
    struct disk_request req;
    struct wait *wait;
    int64_t result;
    unsigned times;
};

static void one_done(struct disk_request *req, int64_t result)
{
    struct one *one = container_of(req, struct one, req);
    assert_false(disk_busy(req));
    one->result = result;
    one->times++;
    happened(one->wait);
}

static void one_init(struct disk_case *c, struct one *one)
{
    *one = (struct one){ .wait = &c->wait };
    wait_for(&c->wait, c->loop, 1);
}

/* Runs the loop until the request is done: its result. */
static int64_t one_result(struct disk_case *c, struct one *one)
{
    assert_true(disk_busy(&one->req));
    assert_int_equal(one->times, 0); /* never from inside the call */
    loop_run(c->loop);
    assert_int_equal(one->times, 1);
    return one->result;
}

#define AWAIT(c, call, ...)                                                                        \
    ({                                                                                             \
        struct one one;                                                                            \
        one_init(c, &one);                                                                         \
        call((c)->loop, &one.req, __VA_ARGS__, one_done);                                          \
        one_result(c, &one);                                                                       \
    })

static int64_t write_one(struct disk_case *c, struct file *file, const void *data, size_t len,
                         uint64_t at)
{
    struct iovec iov = { (void *)data, len };
    return AWAIT(c, disk_write, file, &iov, 1, at);
}

static void what_is_written_is_read_back(void **state)
{
    struct disk_case *c = case_of(state);
    char *path = in(c, "a"), back[32] = "";
    struct file *file = NULL;
    struct iovec iov[] = { { "hel", 3 }, { "", 0 }, { "lo ", 3 }, { "world", 5 } };
    unsigned flags = FILE_READ | FILE_WRITE | FILE_CREATE;
    assert_int_equal(AWAIT(c, disk_open, path, flags, &file), 0);
    assert_int_equal(AWAIT(c, disk_write, file, iov, 4, 2), 0);
    assert_int_equal(AWAIT(c, disk_write, file, iov, 0, 2), 0);
    assert_int_equal(AWAIT(c, disk_sync, file), 0);
    assert_int_equal(file_size(file), 13);
    assert_int_equal(AWAIT(c, disk_read, file, back, 13, 0), 13);
    assert_memory_equal(back, "\0\0hello world", 13);
    assert_int_equal(AWAIT(c, disk_read, file, back, 32, 10), 3);
    assert_memory_equal(back, "rld", 3);
    assert_int_equal(AWAIT(c, disk_read, file, back, 32, 13), 0);
    assert_int_equal(AWAIT(c, disk_read, file, back, 0, 0), 0);
    assert_int_equal(AWAIT(c, disk_truncate, file, 5), 0);
    assert_int_equal(file_size(file), 5);
    disk_close(c->loop, file);
    disk_close(c->loop, NULL);
    assert_int_equal(AWAIT(c, disk_open, path, flags | FILE_EXCLUSIVE, &file), -EEXIST);
    assert_int_equal(AWAIT(c, disk_open, path, FILE_WRITE | FILE_TRUNCATE, &file), 0);
    assert_int_equal(file_size(file), 0);
    disk_close(c->loop, file);
    free(path);
}

static void names_change_and_go(void **state)
{
    struct disk_case *c = case_of(state);
    char *dir = in(c, "dir"), *a = in(c, "dir/a"), *b = in(c, "dir/b");
    struct file *file = NULL;
    assert_int_equal(AWAIT(c, disk_mkdir, dir), 0);
    assert_int_equal(AWAIT(c, disk_mkdir, dir), -EEXIST);
    assert_int_equal(AWAIT(c, disk_open, a, FILE_WRITE | FILE_CREATE, &file), 0);
    disk_close(c->loop, file);
    assert_int_equal(AWAIT(c, disk_rename, a, b), 0);
    assert_int_equal(AWAIT(c, disk_rename, a, b), -ENOENT);
    assert_false(file_exists(a));
    assert_true(file_exists(b));
    assert_int_equal(AWAIT(c, disk_sync_dir, dir), 0);
    assert_int_equal(AWAIT(c, disk_sync_dir, b), -ENOTDIR);
    assert_int_equal(AWAIT(c, disk_rmdir, dir), -ENOTEMPTY);
    assert_int_equal(AWAIT(c, disk_unlink, b), 0);
    assert_int_equal(AWAIT(c, disk_unlink, b), -ENOENT);
    assert_int_equal(AWAIT(c, disk_rmdir, dir), 0);
    assert_false(file_exists(dir));
    free(dir);
    free(a);
    free(b);
}

static void errors_say_what_happened(void **state)
{
    struct disk_case *c = case_of(state);
    char *path = in(c, "none"), byte = 0;
    struct file *file = NULL, *directory = NULL, *full = NULL;
    assert_int_equal(AWAIT(c, disk_open, path, FILE_READ, &file), -ENOENT);
    assert_int_equal(AWAIT(c, disk_open, c->dir, FILE_WRITE, &file), -EISDIR);
    assert_null(file);
    assert_int_equal(AWAIT(c, disk_open, c->dir, FILE_READ, &directory), 0);
    assert_int_equal(AWAIT(c, disk_read, directory, &byte, 1, 0), -EISDIR);
    assert_int_equal(write_one(c, directory, "x", 1, 0), -EBADF);
    assert_int_equal(AWAIT(c, disk_open, "/dev/full", FILE_WRITE, &full), 0);
    assert_int_equal(write_one(c, full, "x", 1, 0), -ENOSPC);
    disk_close(c->loop, directory);
    disk_close(c->loop, full);
    free(path);
}

static void a_full_disk_is_an_error_of_the_write(void **state)
{
    struct disk_case *c = case_of(state);
    if (!mount_here("tmpfs", c->dir, "size=64k")) {
        skip();
    }
    struct file *file = NULL;
    char *path = in(c, "a");
    uint8_t *data = mem_zalloc(KIB(128));
    assert_int_equal(AWAIT(c, disk_open, path, FILE_WRITE | FILE_CREATE, &file), 0);
    assert_int_equal(write_one(c, file, data, KIB(128), 0), -ENOSPC);
    assert_int_equal(AWAIT(c, disk_truncate, file, 0), 0);
    assert_int_equal(write_one(c, file, data, KIB(32), 0), 0);
    file_close(file);
    free(data);
    free(path);
    unmount_here(c->dir);
}

/* ---- whole transfers --------------------------------------------------------------------------*/

static void more_pieces_than_a_call_takes_are_written(void **state)
{
    struct disk_case *c = case_of(state);
    enum { N = 3000 };
    char *path = in(c, "a");
    struct file *file = NULL;
    struct iovec iov[N];
    uint32_t numbers[N], back[N];
    for (uint32_t i = 0; i < N; i++) {
        numbers[i] = i;
        iov[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
    }
    unsigned flags = FILE_READ | FILE_WRITE | FILE_CREATE;
    assert_int_equal(AWAIT(c, disk_open, path, flags, &file), 0);
    assert_int_equal(AWAIT(c, disk_write, file, iov, N, 0), 0);
    assert_int_equal(AWAIT(c, disk_read, file, back, sizeof back, 0), sizeof back);
    assert_memory_equal(back, numbers, sizeof numbers);
    disk_close(c->loop, file);
    free(path);
}

/* In a process of its own, whose files may have 10,000 bytes: the write is cut short there, and
 * what is left fails. */
static int write_beyond_the_limit(const struct disk_case *parent, const char *path)
{
    struct disk_case c = { .backend = parent->backend };
    struct rlimit limit = { .rlim_cur = 10000, .rlim_max = 10000 };
    struct file *file = NULL;
    static uint8_t data[6000];
    struct iovec iov[3] = { { data, 6000 }, { data, 6000 }, { data, 6000 } };
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || loop_new(c.backend, &c.loop) != 0) {
        return 1;
    }
    if (AWAIT(&c, disk_open, path, FILE_WRITE | FILE_CREATE, &file) != 0) {
        return 2;
    }
    int64_t result = AWAIT(&c, disk_write, file, iov, 3, 0);
    return result != -EFBIG ? 3 : file_size(file) != 10000 ? 4 : 0;
}

static void a_short_write_goes_on(void **state)
{
    struct disk_case *c = case_of(state);
    char *path = in(c, "limited");
    pid_t child = fork();
    if (child == 0) {
        _exit(write_beyond_the_limit(c, path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    free(path);
}

/* ---- many at a time ---------------------------------------------------------------------------*/

static void every_request_of_a_turn_completes_once(void **state)
{
    struct disk_case *c = case_of(state);
    enum { N = 500 };
    char *path = in(c, "a");
    struct file *file = NULL;
    struct one *many = mem_zalloc_array(N, sizeof *many);
    struct iovec *iov = mem_zalloc_array(N, sizeof *iov);
    uint32_t back[N];
    unsigned flags = FILE_READ | FILE_WRITE | FILE_CREATE;
    assert_int_equal(AWAIT(c, disk_open, path, flags, &file), 0);
    wait_for(&c->wait, c->loop, N);
    uint32_t *numbers = mem_zalloc_array(N, sizeof *numbers);
    for (uint32_t i = 0; i < N; i++) {
        numbers[i] = i * 7;
        many[i].wait = &c->wait;
        iov[i] = (struct iovec){ &numbers[i], 4 };
        disk_write(c->loop, &many[i].req, file, &iov[i], 1, i * 4, one_done);
    }
    loop_run(c->loop);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(many[i].times, 1);
        assert_int_equal(many[i].result, 0);
    }
    assert_int_equal(AWAIT(c, disk_read, file, back, sizeof back, 0), sizeof back);
    assert_memory_equal(back, numbers, sizeof back);
    disk_close(c->loop, file);
    free(numbers);
    free(many);
    free(iov);
    free(path);
}

struct repeated {
    struct disk_request req;
    struct loop *loop;
    struct file *file;
    struct iovec iov;
    unsigned left;
    struct wait *wait;
};

static void repeat(struct disk_request *req, int64_t result)
{
    struct repeated *r = container_of(req, struct repeated, req);
    assert_int_equal(result, 0);
    if (--r->left > 0) {
        disk_write(r->loop, req, r->file, &r->iov, 1, r->left * r->iov.iov_len, repeat);
    } else {
        happened(r->wait);
    }
}

static void a_request_may_be_used_again_when_done(void **state)
{
    struct disk_case *c = case_of(state);
    char *path = in(c, "a");
    struct file *file = NULL;
    assert_int_equal(AWAIT(c, disk_open, path, FILE_WRITE | FILE_CREATE, &file), 0);
    wait_for(&c->wait, c->loop, 1);
    struct repeated r = {
        .loop = c->loop,
        .file = file,
        .iov = { "abc", 3 },
        .left = 200,
        .wait = &c->wait,
    };
    disk_write(c->loop, &r.req, file, &r.iov, 1, 3 * r.left, repeat);
    loop_run(c->loop);
    assert_int_equal(file_size(file), 3 * 201);
    disk_close(c->loop, file);
    free(path);
}

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static void closing_gives_every_descriptor_back(void **state)
{
    struct disk_case *c = case_of(state);
    enum { N = 100 };
    char *path = in(c, "a");
    struct file *file[N] = { NULL };
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(AWAIT(c, disk_open, path, FILE_WRITE | FILE_CREATE, &file[i]), 0);
    }
    unsigned before = open_files();
    for (unsigned i = 0; i < N; i++) {
        disk_close(c->loop, file[i]);
    }
    loop_free(c->loop); /* waits for them */
    c->loop = NULL;
    assert_true(open_files() <= before - N);
    free(path);
}

/* ---- durable files ----------------------------------------------------------------------------*/

static const unsigned DURABLE =
    FILE_READ | FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE | FILE_DURABLE;

static void a_durable_file_is_written_and_read_in_blocks(void **state)
{
    struct disk_case *c = case_of(state);
    char *path = in(c, "journal");
    struct file *file = NULL;
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, 4 * FILE_BLOCK);
    struct iovec iov[2] = { { block + FILE_BLOCK, FILE_BLOCK }, { block, FILE_BLOCK } };
    memset(block, 1, FILE_BLOCK);
    memset(block + FILE_BLOCK, 2, FILE_BLOCK);
    assert_int_equal(AWAIT(c, disk_open, path, DURABLE, &file), 0);
    assert_int_equal(AWAIT(c, disk_write, file, iov, 2, FILE_BLOCK), 0);
    assert_int_equal(AWAIT(c, disk_read, file, block, 4 * FILE_BLOCK, 0), 3 * FILE_BLOCK);
    assert_int_equal(block[0], 0);
    assert_int_equal(block[FILE_BLOCK], 2);
    assert_int_equal(block[2 * FILE_BLOCK], 1);
    assert_int_equal(AWAIT(c, disk_truncate, file, 2 * FILE_BLOCK + 100), 0);
    assert_int_equal(AWAIT(c, disk_read, file, block, 4 * FILE_BLOCK, 0), 2 * FILE_BLOCK + 100);
    disk_close(c->loop, file);
    free(block);
    free(path);
}

static void without_o_direct_a_durable_file_is_buffered_and_synced(void **state)
{
    struct disk_case *c = case_of(state);
    if (!mount_here("ramfs", c->dir, "")) {
        skip();
    }
    struct file *file = NULL;
    char *path = in(c, "journal");
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, FILE_BLOCK);
    memset(block, 9, FILE_BLOCK);
    assert_int_equal(AWAIT(c, disk_open, path, DURABLE, &file), 0);
    assert_false(file_is_direct(file));
    assert_int_equal(write_one(c, file, block, FILE_BLOCK, FILE_BLOCK), 0);
    assert_int_equal(AWAIT(c, disk_read, file, block, FILE_BLOCK, 0), FILE_BLOCK);
    assert_int_equal(block[0], 0);
    file_close(file);
    assert_int_equal(AWAIT(c, disk_open, path, DURABLE, &file), -EEXIST);
    free(block);
    free(path);
    unmount_here(c->dir);
}

/* /dev/null takes any write but cannot be synced: so the sync behind the write is there, and its
 * failure is the write's. */
static void the_sync_behind_a_durable_write_counts(void **state)
{
    struct disk_case *c = case_of(state);
    struct file *file = NULL;
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, FILE_BLOCK);
    memset(block, 0, FILE_BLOCK);
    assert_int_equal(AWAIT(c, disk_open, "/dev/null", FILE_WRITE | FILE_DURABLE, &file), 0);
    assert_false(file_is_direct(file));
    assert_int_equal(write_one(c, file, block, FILE_BLOCK, 0), -EINVAL);
    file_close(file);
    free(block);
}

static void sleep_a_little(struct job *job)
{
    (void)job;
    usleep(20 * 1000);
}

struct sleeper {
    struct job job;
    struct wait *wait;
};

static void slept(struct job *job)
{
    happened(container_of(job, struct sleeper, job)->wait);
}

/* Two hundred background requests that block, since opening a file waits for who holds a lease on
 * it, and two hundred jobs that sleep: a durable write passes them all. */
static void a_durable_write_overtakes_everything_else(void **state)
{
    struct disk_case *c = case_of(state);
    enum { N = 200 };
    char *leased_path = in(c, "leased"), *path = in(c, "journal");
    int leased = open(leased_path, O_RDWR | O_CREAT, 0600);
    signal(SIGIO, SIG_IGN);
    if (fcntl(leased, F_SETLEASE, F_WRLCK) != 0) {
        print_message("no leases here: %s\n", strerror(errno));
        skip();
    }
    struct file *journal = NULL, *files[N] = { NULL };
    struct one *opens = mem_zalloc_array(N, sizeof *opens);
    struct sleeper *sleepers = mem_zalloc_array(N, sizeof *sleepers);
    struct wait background;
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, FILE_BLOCK);

    memset(block, 0, FILE_BLOCK);
    assert_int_equal(AWAIT(c, disk_open, path, DURABLE, &journal), 0);
    wait_for(&background, c->loop, 2 * N);
    for (unsigned i = 0; i < N; i++) {
        opens[i].wait = sleepers[i].wait = &background;
        disk_open(c->loop, &opens[i].req, leased_path, FILE_READ, &files[i], one_done);
        job_start(c->loop, &sleepers[i].job, sleep_a_little, slept);
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(write_one(c, journal, block, FILE_BLOCK, i * FILE_BLOCK), 0);
    }
    assert_true(background.pending > N); /* no open, and not all of the jobs */
    fcntl(leased, F_SETLEASE, F_UNLCK);
    close(leased);
    loop_run(c->loop);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(opens[i].result, 0);
        disk_close(c->loop, files[i]);
    }
    disk_close(c->loop, journal);
    free(block);
    free(opens);
    free(sleepers);
    free(leased_path);
    free(path);
}

static const struct {
    const char *name;
    CMUnitTestFunction run;
} TESTS[] = {
#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
    TEST(what_is_written_is_read_back),
    TEST(names_change_and_go),
    TEST(errors_say_what_happened),
    TEST(a_full_disk_is_an_error_of_the_write),
    TEST(more_pieces_than_a_call_takes_are_written),
    TEST(a_short_write_goes_on),
    TEST(every_request_of_a_turn_completes_once),
    TEST(a_request_may_be_used_again_when_done),
    TEST(closing_gives_every_descriptor_back),
    TEST(a_durable_file_is_written_and_read_in_blocks),
    TEST(without_o_direct_a_durable_file_is_buffered_and_synced),
    TEST(the_sync_behind_a_durable_write_counts),
    TEST(a_durable_write_overtakes_everything_else),
};

int main(void)
{
    struct disk_case uring = { .backend = LOOP_URING }, threads = { .backend = LOOP_THREADS };
    struct CMUnitTest tests[2 * countof(TESTS)];
    for (unsigned i = 0; i < countof(tests); i++) {
        bool first = i < countof(TESTS);
        tests[i] = (struct CMUnitTest){
            .name =
                mem_sprintf("%s_%s", TESTS[i % countof(TESTS)].name, first ? "uring" : "threads"),
            .test_func = TESTS[i % countof(TESTS)].run,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = first ? &uring : &threads,
        };
    }
    mounts_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (unsigned i = 0; i < countof(tests); i++) {
        free((char *)tests[i].name);
    }
    return failed;
}
