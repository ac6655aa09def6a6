/* A log's directory, blocking: for jobs and recovery. */
#include "state.h"

#include <errno.h>
#include <string.h>

bool log_dir_id(const char *path, struct uuid *ret_id)
{
    char *file = mem_sprintf("%s/%s", path, FILE_PARTITION_METADATA);
    struct buf content = { 0 };
    bool ok = file_load(file, KIB(64), &content) == 0 &&
              partition_metadata_decode(buf_bytes(&content), ret_id) == 0;
    buf_release(&content);
    free(file);
    return ok;
}

static int write_metadata(const char *path, const struct uuid *topic_id)
{
    char *name = mem_sprintf("%s/%s", path, FILE_PARTITION_METADATA);
    struct buf content = { 0 };
    struct file *file;
    partition_metadata_encode(topic_id, &content);
    int error = file_open(name, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (error == 0) {
        error = file_write_at(file, content.data, content.len, 0);
        file_close(file);
    }
    buf_release(&content);
    free(name);
    return error;
}

/* Was the directory begun, but never got an id nor data? A full disk leaves such. */
static bool is_half_made(const char *path)
{
    struct dir_entry *entries;
    struct uuid id;
    size_t n;
    if (log_dir_id(path, &id) || dir_list(path, &entries, &n) != 0) {
        return false;
    }
    bool half_made = n == 0 || (n == 1 && strcmp(entries[0].name, FILE_PARTITION_METADATA) == 0);
    dir_list_free(entries, n);
    return half_made;
}

int log_dir_make(const char *path, const struct uuid *topic_id, const char *stray)
{
    struct uuid id;
    int error = dir_make(path);
    if (error == -EEXIST && log_dir_id(path, &id) && uuid_equal(&id, topic_id)) {
        return 0;
    }
    if (error == -EEXIST && is_half_made(path)) {
        return write_metadata(path, topic_id);
    }
    if (error == -EEXIST) {
        error = file_rename(path, stray);
        error = error == 0 ? dir_make(path) : error;
    }
    return error == 0 ? write_metadata(path, topic_id) : error;
}

int log_dir_sync(const char *path)
{
    char *name = mem_sprintf("%s/%s", path, FILE_PARTITION_METADATA);
    struct file *file;
    int error = file_open(name, FILE_READ, &file);
    if (error == 0) {
        error = file_sync(file);
        file_close(file);
    }
    free(name);
    error = error == -ENOENT ? 0 : error;
    return error == 0 ? dir_sync(path) : error;
}
