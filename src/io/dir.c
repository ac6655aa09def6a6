/* Names and directories, the blocking way. */
#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int result(int ret)
{
    return ret == 0 ? 0 : -errno;
}

int64_t file_length(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -errno;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int file_rename(const char *from, const char *to)
{
    return result(rename(from, to));
}

int file_remove(const char *path)
{
    return result(unlink(path));
}

/* ---- directories ------------------------------------------------------------------------------*/

int dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int err = result(fsync(fd));
    close(fd);
    return err;
}

int dir_make(const char *path)
{
    return result(mkdir(path, DIR_MODE));
}

char *path_parent(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len > 0 ? text_dup(text_part(path, len)) : mem_strdup(".");
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int dir_create(const char *path)
{
    if (is_dir(path)) {
        return 0;
    }
    char *parent = path_parent(path);
    int err = dir_make(path);
    if (err == -ENOENT && strcmp(parent, path) != 0) {
        err = dir_create(parent);
        if (err == 0) {
            err = dir_make(path);
        }
    }
    if (err == 0) {
        err = dir_sync(parent);
    } else if (err == -EEXIST && is_dir(path)) {
        err = 0; /* somebody else was faster */
    }
    free(parent);
    return err;
}

int dir_remove(const char *path)
{
    return result(rmdir(path));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)where;
    return result(kind == FTW_DP ? rmdir(path) : unlink(path));
}

int dir_remove_all(const char *path)
{
    enum { OPEN_DIRS = 16 };
    int ret = nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
    int err = ret == -1 ? -errno : ret; /* its own error, or that of remove_one() */
    return err == -ENOENT ? 0 : err;
}

/* ---- listing ----------------------------------------------------------------------------------*/

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct dir_entry *)a)->name, ((const struct dir_entry *)b)->name);
}

static bool entry_is_dir(DIR *dir, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int dir_list(const char *path, struct dir_entry **ret_entries, size_t *ret_n)
{
    struct dir_entry *entries = NULL;
    size_t n = 0, cap = 0;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -errno;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
        if (!is_dot(entry->d_name)) {
            entries = mem_grow(entries, &cap, n + 1, sizeof *entries);
            entries[n++] = (struct dir_entry){
                .name = mem_strdup(entry->d_name),
                .is_dir = entry_is_dir(dir, entry),
            };
        }
    }
    int err = -errno;
    closedir(dir);
    if (err != 0) {
        dir_list_free(entries, n);
        return err;
    }
    if (n > 0) {
        qsort(entries, n, sizeof *entries, by_name);
    }
    *ret_entries = entries;
    *ret_n = n;
    return 0;
}

void dir_list_free(struct dir_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(entries[i].name);
    }
    free(entries);
}

int dir_space(const char *path, struct disk_space *ret_space)
{
    struct statvfs fs;
    if (statvfs(path, &fs) != 0) {
        return -errno;
    }
    *ret_space = (struct disk_space){
        .total = (uint64_t)fs.f_blocks * fs.f_frsize,
        .available = (uint64_t)fs.f_bavail * fs.f_frsize,
    };
    return 0;
}
