/* A simulated drive with a file system: what programs see, and what would be left after a power
 * cut.
 *
 * Each file has two contents: what reads give, and what is durable. Between them lie *changes*, in
 * order: writes and truncations that no sync has covered. Directories are the same with names:
 * creating, renaming and removing are changes until their directory is synced.
 *
 * A power cut keeps some of it. Of a file's data, every page of 4 KiB is as it was at some moment
 * since the last sync, or torn between two such moments in sectors of 512 bytes; lengths change in
 * order. Of names, a set of changes is kept that no other change depends on; nobody promises more.
 * The death of a process loses nothing, but makes nothing durable either. */
#ifndef CHRONIK_TESTS_SIM_DRIVE_H
#define CHRONIK_TESTS_SIM_DRIVE_H

#include <chronik/base/bytes.h>
#include <chronik/base/list.h>

enum { DRIVE_SECTOR = 512, DRIVE_PAGE = 4096 }; /* bytes */

struct content {
    uint8_t *data;
    size_t len, cap;
};

struct name {
    char *text;
    struct inode *inode;
};

struct names {
    struct name *items; /* in order of their texts */
    size_t n, cap;
};

struct inode {
    struct list link; /* in drive->inodes */
    bool is_dir, linked, marked, locked;
    unsigned opens;

    struct content content, durable; /* of a file */
    struct list changes;             /* struct change, oldest first */

    struct names names, durable_names; /* of a directory */
};

/* What the drive does wrong. A probability of one in n; 0: never. */
struct drive_faults {
    uint64_t write_ns, sync_ns, read_ns; /* typical times */
    uint64_t write_error, sync_error, read_error;
    uint64_t slow, hang; /* requests that take a hundred times as long, and seconds */
    bool no_direct;      /* O_DIRECT is refused here */
    bool dead;           /* every request fails */
};

struct drive {
    struct inode *root;
    struct list inodes;
    struct list changes;     /* struct name_change, oldest first */
    uint64_t seq;            /* of the last change of data or names */
    uint64_t used, capacity; /* bytes */
    uint64_t taken;          /* of the capacity, by something else */
    struct drive_faults faults;
    uint64_t n_faults; /* that have happened */
    bool harmed;       /* a request has failed, or what is stored has changed by itself */
};

static inline uint64_t drive_room(const struct drive *drive)
{
    uint64_t used = drive->used + drive->taken;
    return drive->capacity > used ? drive->capacity - used : 0;
}

void drive_init(struct drive *drive, uint64_t capacity);
void drive_release(struct drive *drive);

/* Everything is gone, as on a new drive. */
void drive_wipe(struct drive *drive);

/* The power goes off: what is left is what is seen and durable from then on. */
void drive_crash(struct drive *drive);

/* Frees what no name and no open file leads to. */
void drive_collect(struct drive *drive);

/* ---- names ------------------------------------------------------------------------------------*/

/* NULL: there is none. */
struct inode *drive_find(const struct drive *drive, const char *path);

/* All of these: 0 or -errno. */
int drive_create(struct drive *drive, const char *path, bool is_dir, struct inode **ret_inode);
int drive_remove(struct drive *drive, const char *path, bool is_dir);
int drive_rename(struct drive *drive, const char *from, const char *to);

/* Makes the names in a directory durable that were changed up to `seq`. */
void drive_sync_names(struct drive *drive, struct inode *dir, uint64_t seq);

/* ---- data -------------------------------------------------------------------------------------*/

size_t inode_read(const struct inode *inode, void *to, size_t len, uint64_t at);

/* 0 or -ENOSPC. */
int drive_write(struct drive *drive, struct inode *inode, const void *data, size_t len,
                uint64_t at);
int drive_write_durable(struct drive *drive, struct inode *inode, const void *data, size_t len,
                        uint64_t at);
int drive_truncate(struct drive *drive, struct inode *inode, uint64_t len);

/* Makes changes of the file up to `seq` durable. */
void drive_sync(struct inode *inode, uint64_t seq);

/* A sync has failed: the changes up to `seq` will never become durable, and later syncs know
 * nothing of it. What reads give from now on is anybody's guess. */
void drive_lose(struct drive *drive, struct inode *inode, uint64_t seq);

/* Turns over one bit of what is stored, at rest. */
void drive_rot(struct inode *inode, uint64_t at, unsigned bit);

#endif
