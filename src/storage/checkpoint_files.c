/* The files of a checkpoint. */
#include "checkpoint.h"

#include <errno.h>

/* ---- for Kafka --------------------------------------------------------------------------------*/

static int64_t end_of(const struct log *log)
{
    return log->end;
}

static int64_t start_of(const struct log *log)
{
    return log->start;
}

static int64_t high_watermark_of(const struct log *log)
{
    return log->high_watermark;
}

static void add_offsets(struct checkpoint *c, const char *name, int64_t (*of)(const struct log *))
{
    struct store *store = c->store;
    c->files = mem_grow(c->files, &c->cap_files, c->n_files + 1, sizeof *c->files);
    struct small_file *file = &c->files[c->n_files++];
    *file = (struct small_file){ .path = store_file_path(store, name), .sync = true };
    checkpoint_begin(&file->content, store->logs.n);
    map_each (node, &store->logs) {
        const struct log *log = container_of(node, struct log, node);
        struct offset_entry entry = { text_of(log->topic), log->partition, of(log) };
        offset_checkpoint_put(&file->content, &entry);
    }
}

void checkpoint_kafka_files(struct checkpoint *c)
{
    add_offsets(c, FILE_RECOVERY_POINTS, end_of);
    add_offsets(c, FILE_LOG_STARTS, start_of);
    add_offsets(c, FILE_HIGH_WATERMARKS, high_watermark_of);
}

/* ---- in the job -------------------------------------------------------------------------------*/

int checkpoint_save_file(const struct small_file *small)
{
    struct file *file = NULL;
    unsigned flags = FILE_WRITE | FILE_CREATE | (small->at == 0 ? FILE_TRUNCATE : 0);
    int error;
    if (small->skip) {
        return 0;
    }
    if (small->remove) {
        error = file_remove(small->path);
        return error == -ENOENT ? 0 : error;
    }
    error = file_open(small->path, flags, &file);
    if (error == 0) {
        error = file_write_at(file, small->content.data, small->content.len, small->at);
    }
    if (error == 0 && small->sync) {
        error = file_sync(file);
    }
    file_close(file);
    if (error == -ENOENT) {
        return 0; /* the log was emptied or deleted meanwhile: the journal knows */
    }
    if (error == 0 && small->sync_dir) {
        char *dir = mem_strdup(small->path);
        *strrchr(dir, '/') = '\0';
        error = dir_sync(dir);
        free(dir);
    }
    return error;
}
