/* Files, the blocking way: for start-up and for jobs, never on a loop that serves.
 *
 * The same `struct file` serves the asynchronous requests of io/disk.h. Paths are plain C strings.
 * All functions return 0 or a count on success, -errno on failure, unless they say otherwise. */
#ifndef CHRONIK_IO_FILE_H
#define CHRONIK_IO_FILE_H

#include <chronik/base/bytes.h>

struct file;

enum file_flags {
    FILE_READ = 1,
    FILE_WRITE = 2,
    FILE_CREATE = 4,     /* create it when it is not there */
    FILE_EXCLUSIVE = 8,  /* with FILE_CREATE: -EEXIST when it is there */
    FILE_TRUNCATE = 16,  /* cut to nothing */
    FILE_DURABLE = 32,   /* each write is on stable storage when it returns: O_DIRECT and O_DSYNC,
                            or, where O_DIRECT is refused, a buffered write and fdatasync. Buffers,
                            lengths and places are multiples of FILE_BLOCK. Requests on such a file
                            never wait behind requests on others. */
};

enum { FILE_BLOCK = 4096 }; /* bytes */

int file_open(const char *path, unsigned flags, struct file **ret_file);

/* Closes; NULL is fine. No asynchronous request may be under way. */
void file_close(struct file *file);

/* Does FILE_DURABLE go through O_DIRECT here? */
bool file_is_direct(const struct file *file);

/* Bytes read, fewer than `len` only at the end of the file. */
int64_t file_read_at(struct file *file, void *to, size_t len, uint64_t at);

/* Writes all of it. */
int file_write_at(struct file *file, const void *data, size_t len, uint64_t at);

/* Data and whatever metadata is needed to read it back (fdatasync). After a failure the file must
 * not be trusted: what was dirty may be gone (rule 19 of docs/durability.md). */
int file_sync(struct file *file);

/* Cuts the file, or lengthens it with zeros, to `len` bytes. Its size in bytes. */
int file_truncate(struct file *file, uint64_t len);
int64_t file_size(const struct file *file);

/* ---- whole files and names --------------------------------------------------------------------*/

/* Appends the whole content to `to`; -EFBIG beyond `max` bytes. */
int file_load(const char *path, size_t max, struct buf *to);

/* Replaces the content durably and at once: temporary name, sync, rename, sync of the directory. */
int file_replace(const char *path, struct bytes content);

/* Names. None of these is durable before the directory is synced. */
bool file_exists(const char *path);
int64_t file_length(const char *path); /* bytes of a file that need not be open */
int file_rename(const char *from, const char *to);
int file_remove(const char *path);

/* Creates the directory and its parents; an existing one is fine. New names are synced. */
int dir_create(const char *path);

int dir_make(const char *path);       /* one directory; the name is not synced */
int dir_remove(const char *path);     /* an empty one */
int dir_remove_all(const char *path); /* with all that is in it; a missing one is fine */
int dir_sync(const char *path);

struct dir_entry {
    char *name;
    bool is_dir;
};

/* The entries of a directory, without "." and "..", sorted by name. */
int dir_list(const char *path, struct dir_entry **ret_entries, size_t *ret_n);
void dir_list_free(struct dir_entry *entries, size_t n);

struct disk_space {
    uint64_t total, available; /* bytes of the file system; for us, without root's reserve */
};

/* Of the file system that holds `path`. */
int dir_space(const char *path, struct disk_space *ret_space);

/* Takes an exclusive lock on a file that is created when missing; -EWOULDBLOCK when another process
 * holds it. The lock goes with the file's close, or with the process. */
int file_lock(const char *path, struct file **ret_file);

#endif
