/* Files the blocking way: transfers, durability flags, replacing, directories, locks, errors. */
#include "io_test.h"

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/wait.h>

static int set_up(void **state)
{
    *state = test_dir();
    return 0;
}

static int tear_down(void **state)
{
    test_dir_remove(*state);
    return 0;
}

static char *in(void **state, const char *name)
{
    return mem_sprintf("%s/%s", (char *)*state, name);
}

/* The flags that the kernel holds for the last opened descriptor of `path`. */
static int kernel_flags(const char *path)
{
    char *real = realpath(path, NULL);
    int flags = -1;
    for (int fd = 0; fd < 64; fd++) {
        char link[64], target[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target - 1);
        if (len < 0 || (size_t)len != strlen(real) || memcmp(target, real, (size_t)len) != 0) {
            continue;
        }
        char info[64], line[256];
        snprintf(info, sizeof info, "/proc/self/fdinfo/%d", fd);
        FILE *f = fopen(info, "r");
        while (fgets(line, sizeof line, f)) {
            if (strncmp(line, "flags:", 6) == 0) {
                flags = (int)strtol(line + 6, NULL, 8);
            }
        }
        fclose(f);
    }
    free(real);
    return flags;
}

static void what_is_written_is_read_back(void **state)
{
    char *path = in(state, "a");
    struct file *file;
    char back[32] = "";
    assert_int_equal(file_open(path, FILE_READ, &file), -ENOENT);
    assert_int_equal(file_open(path, FILE_READ | FILE_WRITE | FILE_CREATE, &file), 0);
    assert_int_equal(file_write_at(file, "hello", 5, 0), 0);
    assert_int_equal(file_write_at(file, "world", 5, 10), 0);
    assert_int_equal(file_size(file), 15);
    assert_int_equal(file_read_at(file, back, sizeof back, 0), 15);
    assert_memory_equal(back, "hello\0\0\0\0\0world", 15);
    assert_int_equal(file_read_at(file, back, 3, 1), 3);
    assert_memory_equal(back, "ell", 3);
    assert_int_equal(file_read_at(file, back, 3, 15), 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(file_truncate(file, 5), 0);
    assert_int_equal(file_size(file), 5);
    assert_false(file_is_direct(file));
    assert_true(kernel_flags(path) & O_CLOEXEC);
    file_close(file);
    file_close(NULL);
    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &file), -EEXIST);
    assert_int_equal(file_open(path, FILE_WRITE | FILE_TRUNCATE, &file), 0);
    assert_int_equal(file_size(file), 0);
    assert_int_equal(file_read_at(file, back, 1, 0), -EBADF);
    file_close(file);
    free(path);
}

static void a_durable_file_has_the_flags_that_make_it_so(void **state)
{
    char *path = in(state, "journal");
    struct file *file;
    unsigned flags = FILE_READ | FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE | FILE_DURABLE;
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, 2 * FILE_BLOCK);
    memset(block, 7, 2 * FILE_BLOCK);
    assert_int_equal(file_open(path, flags, &file), 0);
    if (file_is_direct(file)) {
        assert_int_equal(kernel_flags(path) & (O_DIRECT | O_DSYNC), O_DIRECT | O_DSYNC);
    } else {
        print_message("this file system refuses O_DIRECT\n");
    }
    assert_int_equal(file_write_at(file, block, 2 * FILE_BLOCK, FILE_BLOCK), 0);
    memset(block, 0, 2 * FILE_BLOCK);
    assert_int_equal(file_read_at(file, block, 2 * FILE_BLOCK, 2 * FILE_BLOCK), FILE_BLOCK);
    assert_int_equal(block[0], 7);
    assert_int_equal(file_truncate(file, 3 * FILE_BLOCK - 10), 0);
    assert_int_equal(file_read_at(file, block, 2 * FILE_BLOCK, 2 * FILE_BLOCK), FILE_BLOCK - 10);
    file_close(file);
    free(block);
    free(path);
}

static void without_o_direct_a_durable_file_is_buffered_and_synced(void **state)
{
    if (!mount_here("ramfs", *state, "")) {
        skip();
    }
    struct file *file;
    char *path = in(state, "journal");
    uint8_t *block = mem_alloc_aligned(FILE_BLOCK, FILE_BLOCK);
    unsigned flags = FILE_READ | FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE | FILE_DURABLE;
    memset(block, 9, FILE_BLOCK);
    assert_int_equal(file_open(path, flags, &file), 0);
    assert_false(file_is_direct(file));
    assert_int_equal(kernel_flags(path) & O_DIRECT, 0);
    assert_int_equal(file_write_at(file, block, FILE_BLOCK, 0), 0);
    assert_int_equal(file_size(file), FILE_BLOCK);
    file_close(file);
    assert_int_equal(file_open(path, flags, &file), -EEXIST);
    free(block);
    free(path);
    unmount_here(*state);
}

static void a_full_disk_is_an_error_of_the_write(void **state)
{
    if (!mount_here("tmpfs", *state, "size=64k")) {
        skip();
    }
    struct file *file;
    char *a = in(state, "a"), *b = in(state, "b"), *temporary = in(state, "b.tmp");
    uint8_t *data = mem_zalloc(KIB(128));
    struct disk_space space;
    struct buf buf = { 0 };
    assert_int_equal(dir_space(*state, &space), 0);
    assert_int_equal(space.total, KIB(64));
    assert_int_equal(space.available, KIB(64));
    assert_int_equal(file_open(a, FILE_WRITE | FILE_CREATE, &file), 0);
    assert_int_equal(file_write_at(file, data, KIB(128), 0), -ENOSPC);
    assert_int_equal(file_truncate(file, 0), 0);
    file_close(file);
    assert_int_equal(file_replace(b, bytes_of("old", 3)), 0);
    assert_int_equal(file_replace(b, bytes_of(data, KIB(128))), -ENOSPC);
    assert_int_equal(file_load(b, 100, &buf), 0);
    assert_int_equal(buf.len, 3);
    assert_false(file_exists(temporary));
    buf_release(&buf);
    free(data);
    free(a);
    free(b);
    free(temporary);
    unmount_here(*state);
}

/* Writes are cut short at the limit on file sizes; what is left then fails. */
static void a_short_write_goes_on(void **state)
{
    char *path = in(state, "limited");
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { .rlim_cur = 10000, .rlim_max = 10000 };
        struct file *file;
        static uint8_t data[20000];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        int err = file_open(path, FILE_WRITE | FILE_CREATE, &file);
        err = err != 0 ? err : file_write_at(file, data, sizeof data, 0);
        bool right = err == -EFBIG && file_size(file) == 10000;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    free(path);
}

static void files_are_loaded_whole_or_not_at_all(void **state)
{
    char *path = in(state, "a");
    struct buf content = { 0 }, back = { 0 };
    for (unsigned i = 0; i < 50000; i++) {
        buf_put_be32(&content, i);
    }
    assert_int_equal(file_load(path, 1 << 20, &back), -ENOENT);
    assert_int_equal(file_replace(path, buf_bytes(&content)), 0);
    buf_put(&back, "x", 1);
    assert_int_equal(file_load(path, content.len - 1, &back), -EFBIG);
    assert_int_equal(back.len, 1);
    assert_int_equal(file_load(path, content.len, &back), 0);
    assert_int_equal(back.len, 1 + content.len);
    assert_memory_equal(back.data + 1, content.data, content.len);
    buf_release(&content);
    buf_release(&back);
    free(path);
}

static void replacing_leaves_one_file_with_the_new_content(void **state)
{
    char *path = in(state, "checkpoint");
    struct buf back = { 0 };
    struct dir_entry *entries;
    size_t n;
    assert_int_equal(file_replace(path, bytes_of("first", 5)), 0);
    assert_int_equal(file_replace(path, bytes_of("second", 6)), 0);
    assert_int_equal(file_load(path, 100, &back), 0);
    assert_true(bytes_equal(buf_bytes(&back), bytes_of("second", 6)));
    assert_int_equal(dir_list(*state, &entries, &n), 0);
    assert_int_equal(n, 1);
    dir_list_free(entries, n);
    buf_release(&back);
    free(path);
    path = in(state, "none/checkpoint");
    assert_int_equal(file_replace(path, bytes_of("x", 1)), -ENOENT);
    free(path);
}

static void directories_are_made_with_their_parents_and_listed_by_name(void **state)
{
    char *deep = in(state, "x/y//z/");
    char *file = in(state, "x/b");
    char *dir = in(state, "x");
    struct dir_entry *entries;
    size_t n;
    assert_int_equal(dir_create(deep), 0);
    assert_int_equal(dir_create(deep), 0);
    assert_int_equal(file_replace(file, bytes_of("", 0)), 0);
    assert_int_equal(dir_list(dir, &entries, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(entries[0].name, "b");
    assert_false(entries[0].is_dir);
    assert_string_equal(entries[1].name, "y");
    assert_true(entries[1].is_dir);
    dir_list_free(entries, n);
    assert_int_equal(dir_list(file, &entries, &n), -ENOTDIR);
    assert_int_equal(dir_create(file), -EEXIST);
    assert_int_equal(dir_remove(dir), -ENOTEMPTY);
    assert_int_equal(dir_sync(dir), 0);
    assert_int_equal(dir_remove_all(dir), 0);
    assert_int_equal(dir_remove_all(dir), 0);
    assert_false(file_exists(dir));
    assert_int_equal(dir_sync(dir), -ENOENT);
    free(deep);
    free(file);
    free(dir);
}

static void removing_all_does_not_follow_links(void **state)
{
    char *kept = in(state, "kept"), *dir = in(state, "dir"), *link = in(state, "dir/link");
    char *file = in(state, "kept/file");
    assert_int_equal(dir_create(kept), 0);
    assert_int_equal(dir_create(dir), 0);
    assert_int_equal(file_replace(file, bytes_of("x", 1)), 0);
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(dir_remove_all(dir), 0);
    assert_false(file_exists(dir));
    assert_true(file_exists(file));
    free(kept);
    free(dir);
    free(link);
    free(file);
}

static void names_change_and_go(void **state)
{
    char *a = in(state, "a"), *b = in(state, "b");
    assert_int_equal(file_replace(a, bytes_of("x", 1)), 0);
    assert_int_equal(file_rename(a, b), 0);
    assert_int_equal(file_rename(a, b), -ENOENT);
    assert_false(file_exists(a));
    assert_true(file_exists(b));
    assert_int_equal(file_remove(b), 0);
    assert_int_equal(file_remove(b), -ENOENT);
    free(a);
    free(b);
}

static void a_lock_has_one_holder(void **state)
{
    char *path = in(state, ".lock");
    struct file *mine, *other;
    assert_int_equal(file_lock(path, &mine), 0);
    assert_int_equal(file_lock(path, &other), -EWOULDBLOCK);
    file_close(mine);
    assert_int_equal(file_lock(path, &other), 0);
    file_close(other);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        WITH_DIR(what_is_written_is_read_back),
        WITH_DIR(a_durable_file_has_the_flags_that_make_it_so),
        WITH_DIR(without_o_direct_a_durable_file_is_buffered_and_synced),
        WITH_DIR(a_full_disk_is_an_error_of_the_write),
        WITH_DIR(a_short_write_goes_on),
        WITH_DIR(files_are_loaded_whole_or_not_at_all),
        WITH_DIR(replacing_leaves_one_file_with_the_new_content),
        WITH_DIR(directories_are_made_with_their_parents_and_listed_by_name),
        WITH_DIR(removing_all_does_not_follow_links),
        WITH_DIR(names_change_and_go),
        WITH_DIR(a_lock_has_one_holder),
    };
    mounts_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
