/* The power cut: which of the changes that no sync has covered are left.
 *
 * What is chosen is legal for some file system of this world, and no kinder than that: all of it,
 * none of it, a moment in the past, or page by page and name by name. */
#include "drive_inside.h"

#include "world.h"

#include <chronik/base/map.h>

/* ---- data -------------------------------------------------------------------------------------*/

/* How a power cut goes for one file. Changes are counted from its oldest one on. */
struct cut {
    uint64_t n;       /* changes */
    uint64_t lengths; /* changes of the length before this one are kept */
    uint64_t salt;    /* of what is chosen page by page */
    unsigned torn;    /* percent of pages */
    unsigned spread;  /* percent of pages that are not as new as can be */
};

static uint64_t chosen(const struct cut *cut, uint64_t page, uint64_t n)
{
    return hash_u64(cut->salt + n, page);
}

/* Up to which change a sector is as it was written. Pages are written at two moments; a torn one
 * has some of its sectors from each. */
static uint64_t moment_of(const struct cut *cut, uint64_t sector)
{
    uint64_t page = sector / (DRIVE_PAGE / DRIVE_SECTOR);
    if (chosen(cut, page, 0) % 100 >= cut->spread) {
        return cut->n;
    }
    uint64_t a = chosen(cut, page, 1) % (cut->n + 1);
    if (chosen(cut, page, 2) % 100 >= cut->torn) {
        return a;
    }
    uint64_t b = a + chosen(cut, page, 3) % (cut->n + 1 - a);
    return chosen(cut, sector, 4) % 2 != 0 ? a : b;
}

static void keep_write(const struct cut *cut, const struct change *change, uint64_t i,
                       struct content *to, uint64_t limit)
{
    uint64_t at = change->at, end = change->at + change->len;
    if (i < cut->lengths && end > to->len && end <= limit) {
        content_resize(to, end);
    }
    limit = min_u64(limit, to->len);
    while (at < end && at < limit) {
        uint64_t next = min_u64((at / DRIVE_SECTOR + 1) * DRIVE_SECTOR, min_u64(end, limit));
        if (i < moment_of(cut, at / DRIVE_SECTOR)) {
            memcpy(to->data + at, change->data + (at - change->at), next - at);
        }
        at = next;
    }
}

static void crash_file(struct inode *inode, unsigned mood)
{
    struct cut cut = { 0 };
    uint64_t i = 0, limit = UINT64_MAX;
    list_each (it, &inode->changes) {
        cut.n++;
    }
    if (cut.n > 0 && mood > 0) {
        cut.lengths = mood == 1 || chance(30) ? cut.n : between(0, cut.n);
        cut.salt = prng_u64(&world->prng);
        cut.torn = (unsigned)between(0, 100);
        cut.spread = mood == 1 ? 0 : (unsigned)between(0, 100);
        list_each (it, &inode->changes) {
            const struct change *change = container_of(it, struct change, link);
            if (!change->truncate) {
                keep_write(&cut, change, i, &inode->durable, limit);
            } else if (i < cut.lengths) {
                content_resize(&inode->durable, change->at);
            } else { /* what was written behind that place is in blocks that were never mapped */
                limit = min_u64(limit, change->at);
            }
            i++;
        }
    }
    inode_drop_changes(inode);
    content_copy(&inode->content, &inode->durable);
}

/* ---- names ------------------------------------------------------------------------------------*/

/* A change that touches a name of one that is lost is lost, too. */
static bool depends_on_lost(struct drive *drive, const struct name_change *change)
{
    list_each (it, &drive->changes) {
        const struct name_change *early = container_of(it, struct name_change, link);
        if (early == change) {
            return false;
        }
        if (!early->wanted && name_changes_touch(early, change)) {
            return true;
        }
    }
    return false;
}

static void crash_names(struct drive *drive, unsigned mood)
{
    uint64_t n = 0, i = 0;
    list_each (it, &drive->changes) {
        n++;
    }
    uint64_t prefix = mood == 0 ? 0 : mood == 1 ? n : between(0, n);
    unsigned percent = mood == 3 ? (unsigned)between(10, 90) : 0;
    list_each (it, &drive->changes) {
        struct name_change *change = container_of(it, struct name_change, link);
        bool keep = mood == 3 ? chance(percent) : i < prefix;
        change->wanted = keep && !depends_on_lost(drive, change);
        i++;
    }
    list_each (it, &drive->changes) {
        struct name_change *change = container_of(it, struct name_change, link);
        if (change->wanted) {
            name_change_keep(change);
        } else {
            name_change_free(change);
        }
    }
}

/* ---- all of it --------------------------------------------------------------------------------*/

static void see_what_is_durable(struct drive *drive, struct inode *dir)
{
    names_copy(&dir->names, &dir->durable_names);
    for (size_t i = 0; i < dir->names.n; i++) {
        struct inode *inode = dir->names.items[i].inode;
        inode->linked = true;
        if (inode->is_dir) {
            see_what_is_durable(drive, inode);
        }
        drive->used += inode->content.len;
    }
}

void drive_crash(struct drive *drive)
{
    /* 0: nothing is left of it, 1: everything, 2: some moments, 3: some of it. */
    unsigned mood = (unsigned)between(0, 3);
    crash_names(drive, mood);
    list_each (it, &drive->inodes) {
        struct inode *inode = container_of(it, struct inode, link);
        inode->opens = 0;
        inode->linked = inode->locked = false;
        if (!inode->is_dir) {
            crash_file(inode, mood);
        }
    }
    drive->used = 0;
    see_what_is_durable(drive, drive->root);
    drive_collect(drive);
}
