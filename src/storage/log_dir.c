/* A log's directory, blocking: for jobs and recovery. */
#include "state.h"

#include <errno.h>

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

int log_dir_make(const char *path, const struct uuid *topic_id, const char *stray)
{
    struct uuid id;
    int error = dir_make(path);
    if (error == -EEXIST && log_dir_id(path, &id) && uuid_equal(&id, topic_id)) {
        return 0;
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
