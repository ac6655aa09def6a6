/* What drive.c and drive_crash.c share. */
#ifndef CHRONIK_TESTS_SIM_DRIVE_INSIDE_H
#define CHRONIK_TESTS_SIM_DRIVE_INSIDE_H

#include <chronik/base/text.h>

#include "drive.h"

/* A write, or a truncation to `at`. */
struct change {
    struct list link;
    uint64_t seq;
    bool truncate;
    uint64_t at, len;
    uint8_t data[];
};

struct name_edit {
    struct inode *dir;
    char *name;
    struct inode *inode; /* NULL: the name goes */
};

/* One or two names that change at once. */
struct name_change {
    struct list link;
    uint64_t seq;
    bool wanted; /* while choosing */
    struct name_edit edits[2];
    unsigned n;
};

void content_resize(struct content *c, size_t len);
void content_write(struct content *c, const void *data, size_t len, uint64_t at);
void content_copy(struct content *to, const struct content *from);
void change_apply(const struct change *change, struct content *to);
void inode_drop_changes(struct inode *inode);

struct inode *names_find(const struct names *names, const char *text);
void names_set(struct names *names, const char *text, struct inode *inode);
void names_copy(struct names *to, const struct names *from);
void names_release(struct names *names);

/* Does it, durably, and frees it; or just frees it. */
void name_change_keep(struct name_change *change);
void name_change_free(struct name_change *change);

/* Do the two concern a name in common? */
bool name_changes_touch(const struct name_change *a, const struct name_change *b);

#endif
