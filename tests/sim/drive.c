/* Names and contents of a simulated drive. The power cut is in drive_crash.c. */
#include "drive_inside.h"

#include <errno.h>

#include "world.h"

/* ---- contents ---------------------------------------------------------------------------------*/

void content_resize(struct content *c, size_t len)
{
    if (len > c->cap) {
        c->data = mem_grow(c->data, &c->cap, len, 1);
    }
    if (len > c->len) {
        memset(c->data + c->len, 0, len - c->len);
    }
    c->len = len;
}

void content_write(struct content *c, const void *data, size_t len, uint64_t at)
{
    if (at + len > c->len) {
        content_resize(c, at + len);
    }
    if (len > 0) {
        memcpy(c->data + at, data, len);
    }
}

void content_copy(struct content *to, const struct content *from)
{
    content_resize(to, 0);
    content_write(to, from->data, from->len, 0);
}

static void content_release(struct content *c)
{
    free(c->data);
    *c = (struct content){ 0 };
}

/* ---- tables of names --------------------------------------------------------------------------*/

/* Where the name is, or would be. */
static size_t names_place(const struct names *names, const char *text)
{
    size_t low = 0, high = names->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(names->items[middle].text, text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct inode *names_find(const struct names *names, const char *text)
{
    size_t at = names_place(names, text);
    bool found = at < names->n && strcmp(names->items[at].text, text) == 0;
    return found ? names->items[at].inode : NULL;
}

void names_set(struct names *names, const char *text, struct inode *inode)
{
    size_t at = names_place(names, text);
    bool found = at < names->n && strcmp(names->items[at].text, text) == 0;
    if (found && inode != NULL) {
        names->items[at].inode = inode;
    } else if (found) {
        free(names->items[at].text);
        memmove(names->items + at, names->items + at + 1, (--names->n - at) * sizeof *names->items);
    } else if (inode != NULL) {
        names->items = mem_grow(names->items, &names->cap, names->n + 1, sizeof *names->items);
        memmove(names->items + at + 1, names->items + at, (names->n++ - at) * sizeof *names->items);
        names->items[at] = (struct name){ mem_strdup(text), inode };
    }
}

void names_release(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->items[i].text);
    }
    free(names->items);
    *names = (struct names){ 0 };
}

void names_copy(struct names *to, const struct names *from)
{
    names_release(to);
    for (size_t i = 0; i < from->n; i++) {
        names_set(to, from->items[i].text, from->items[i].inode);
    }
}

/* ---- inodes -----------------------------------------------------------------------------------*/

static struct inode *inode_new(struct drive *drive, bool is_dir)
{
    struct inode *inode = mem_zalloc(sizeof *inode);
    inode->is_dir = is_dir;
    inode->linked = true;
    list_init(&inode->changes);
    list_push_back(&drive->inodes, &inode->link);
    return inode;
}

void inode_drop_changes(struct inode *inode)
{
    for (struct list *link; (link = list_pop_front(&inode->changes)) != NULL;) {
        free(container_of(link, struct change, link));
    }
}

static void inode_free(struct inode *inode)
{
    list_remove(&inode->link);
    inode_drop_changes(inode);
    content_release(&inode->content);
    content_release(&inode->durable);
    names_release(&inode->names);
    names_release(&inode->durable_names);
    free(inode);
}

void name_change_free(struct name_change *change)
{
    list_remove(&change->link);
    for (unsigned i = 0; i < change->n; i++) {
        free(change->edits[i].name);
    }
    free(change);
}

static void mark(struct inode *inode)
{
    if (inode == NULL || inode->marked) {
        return;
    }
    inode->marked = true;
    for (size_t i = 0; i < inode->names.n; i++) {
        mark(inode->names.items[i].inode);
    }
    for (size_t i = 0; i < inode->durable_names.n; i++) {
        mark(inode->durable_names.items[i].inode);
    }
}

void drive_collect(struct drive *drive)
{
    mark(drive->root);
    list_each (it, &drive->changes) {
        struct name_change *change = container_of(it, struct name_change, link);
        for (unsigned i = 0; i < change->n; i++) {
            mark(change->edits[i].dir);
            mark(change->edits[i].inode);
        }
    }
    list_each (it, &drive->inodes) {
        struct inode *inode = container_of(it, struct inode, link);
        if (inode->opens > 0) {
            mark(inode);
        }
    }
    list_each (it, &drive->inodes) {
        struct inode *inode = container_of(it, struct inode, link);
        if (!inode->marked) {
            inode_free(inode);
        } else {
            inode->marked = false;
        }
    }
}

void drive_init(struct drive *drive, uint64_t capacity)
{
    *drive = (struct drive){ .capacity = capacity };
    list_init(&drive->inodes);
    list_init(&drive->changes);
    drive->root = inode_new(drive, true);
}

void drive_release(struct drive *drive)
{
    while (!list_empty(&drive->changes)) {
        name_change_free(container_of(list_first(&drive->changes), struct name_change, link));
    }
    while (!list_empty(&drive->inodes)) {
        inode_free(container_of(list_first(&drive->inodes), struct inode, link));
    }
}

void drive_wipe(struct drive *drive)
{
    uint64_t capacity = drive->capacity;
    struct drive_faults faults = drive->faults;
    drive_release(drive);
    drive_init(drive, capacity);
    drive->faults = faults;
}

/* ---- paths ------------------------------------------------------------------------------------*/

enum { NAME_MAX_LEN = 255 };

/* The directory that holds the last name of a path. */
static int find_parent(const struct drive *drive, const char *path, struct inode **ret_dir,
                       char ret_name[NAME_MAX_LEN + 1])
{
    struct inode *dir = drive->root;
    struct text rest = text_of(path);
    ret_name[0] = '\0';
    while (rest.data != NULL) {
        struct text part = text_cut(&rest, '/');
        if (part.len == 0) {
            continue;
        }
        if (part.len > NAME_MAX_LEN) {
            return -ENAMETOOLONG;
        }
        if (ret_name[0] != '\0') {
            dir = names_find(&dir->names, ret_name);
            if (dir == NULL || !dir->is_dir) {
                return dir == NULL ? -ENOENT : -ENOTDIR;
            }
        }
        memcpy(ret_name, part.data, part.len);
        ret_name[part.len] = '\0';
    }
    *ret_dir = dir;
    return 0;
}

struct inode *drive_find(const struct drive *drive, const char *path)
{
    struct inode *dir;
    char name[NAME_MAX_LEN + 1];
    if (find_parent(drive, path, &dir, name) != 0) {
        return NULL;
    }
    return name[0] != '\0' ? names_find(&dir->names, name) : drive->root;
}

static struct name_change *change_names(struct drive *drive)
{
    struct name_change *change = mem_zalloc(sizeof *change);
    change->seq = ++drive->seq;
    list_push_back(&drive->changes, &change->link);
    return change;
}

static void edit(struct name_change *change, struct inode *dir, const char *name,
                 struct inode *inode)
{
    names_set(&dir->names, name, inode);
    change->edits[change->n++] = (struct name_edit){ dir, mem_strdup(name), inode };
}

int drive_create(struct drive *drive, const char *path, bool is_dir, struct inode **ret_inode)
{
    struct inode *dir;
    char name[NAME_MAX_LEN + 1];
    int err = find_parent(drive, path, &dir, name);
    if (err != 0) {
        return err;
    }
    if (name[0] == '\0' || names_find(&dir->names, name) != NULL) {
        return -EEXIST;
    }
    if (drive_room(drive) == 0) {
        return -ENOSPC;
    }
    struct inode *inode = inode_new(drive, is_dir);
    edit(change_names(drive), dir, name, inode);
    if (ret_inode != NULL) {
        *ret_inode = inode;
    }
    return 0;
}

static void unlinked(struct drive *drive, struct inode *inode)
{
    inode->linked = false;
    drive->used -= inode->content.len;
}

int drive_remove(struct drive *drive, const char *path, bool is_dir)
{
    struct inode *dir;
    char name[NAME_MAX_LEN + 1];
    int err = find_parent(drive, path, &dir, name);
    struct inode *inode = err == 0 ? names_find(&dir->names, name) : NULL;
    if (inode == NULL) {
        return err ? err : -ENOENT;
    }
    if (inode->is_dir != is_dir) {
        return is_dir ? -ENOTDIR : -EISDIR;
    }
    if (inode->names.n > 0) {
        return -ENOTEMPTY;
    }
    edit(change_names(drive), dir, name, NULL);
    unlinked(drive, inode);
    return 0;
}

int drive_rename(struct drive *drive, const char *from, const char *to)
{
    struct inode *from_dir, *to_dir;
    char from_name[NAME_MAX_LEN + 1], to_name[NAME_MAX_LEN + 1];
    int err = find_parent(drive, from, &from_dir, from_name);
    err = err ? err : find_parent(drive, to, &to_dir, to_name);
    struct inode *inode = err == 0 ? names_find(&from_dir->names, from_name) : NULL;
    if (inode == NULL) {
        return err ? err : -ENOENT;
    }
    struct inode *old = names_find(&to_dir->names, to_name);
    if (old != NULL && old->is_dir && (!inode->is_dir || old->names.n > 0)) {
        return inode->is_dir ? -ENOTEMPTY : -EISDIR;
    }
    if (old != NULL && old != inode) {
        unlinked(drive, old);
    }
    struct name_change *change = change_names(drive);
    edit(change, from_dir, from_name, NULL);
    edit(change, to_dir, to_name, inode);
    return 0;
}

/* ---- making names durable ---------------------------------------------------------------------*/

void name_change_keep(struct name_change *change)
{
    for (unsigned i = 0; i < change->n; i++) {
        struct name_edit *e = &change->edits[i];
        names_set(&e->dir->durable_names, e->name, e->inode);
    }
    name_change_free(change);
}

bool name_changes_touch(const struct name_change *a, const struct name_change *b)
{
    for (unsigned i = 0; i < a->n; i++) {
        for (unsigned j = 0; j < b->n; j++) {
            if (a->edits[i].dir == b->edits[j].dir &&
                strcmp(a->edits[i].name, b->edits[j].name) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* What an earlier change of the same name has to become durable with a later one. */
static bool mark_dependencies(struct drive *drive)
{
    bool more = false;
    list_each (it, &drive->changes) {
        struct name_change *late = container_of(it, struct name_change, link);
        for (struct list *e = drive->changes.next; late->wanted && e != it; e = e->next) {
            struct name_change *early = container_of(e, struct name_change, link);
            if (!early->wanted && name_changes_touch(early, late)) {
                early->wanted = more = true;
            }
        }
    }
    return more;
}

void drive_sync_names(struct drive *drive, struct inode *dir, uint64_t seq)
{
    list_each (it, &drive->changes) {
        struct name_change *change = container_of(it, struct name_change, link);
        for (unsigned i = 0; i < change->n; i++) {
            change->wanted |= change->edits[i].dir == dir && change->seq <= seq;
        }
    }
    while (mark_dependencies(drive)) {
    }
    list_each (it, &drive->changes) {
        struct name_change *change = container_of(it, struct name_change, link);
        if (change->wanted) {
            name_change_keep(change);
        }
    }
}

/* ---- data -------------------------------------------------------------------------------------*/

size_t inode_read(const struct inode *inode, void *to, size_t len, uint64_t at)
{
    const struct content *c = &inode->content;
    size_t n = at < c->len ? min_u64(len, c->len - at) : 0;
    if (n > 0) {
        memcpy(to, c->data + at, n);
    }
    return n;
}

/* Lengthens or shortens what is seen, if there is space. */
static int account(struct drive *drive, struct inode *inode, uint64_t len)
{
    if (!inode->linked) {
        return 0;
    }
    uint64_t used = drive->used - inode->content.len + len;
    if (len > inode->content.len && len - inode->content.len > drive_room(drive)) {
        drive->n_faults++;
        return -ENOSPC;
    }
    drive->used = used;
    return 0;
}

static void add_change(struct drive *drive, struct inode *inode, bool truncate, uint64_t at,
                       const void *data, size_t len)
{
    struct change *change = mem_zalloc(sizeof *change + len);
    change->seq = ++drive->seq;
    change->truncate = truncate;
    change->at = at;
    change->len = len;
    if (len > 0) {
        memcpy(change->data, data, len);
    }
    list_push_back(&inode->changes, &change->link);
}

int drive_write(struct drive *drive, struct inode *inode, const void *data, size_t len, uint64_t at)
{
    int err = account(drive, inode, max_u64(at + len, inode->content.len));
    if (err == 0) {
        content_write(&inode->content, data, len, at);
        add_change(drive, inode, false, at, data, len);
    }
    return err;
}

int drive_truncate(struct drive *drive, struct inode *inode, uint64_t len)
{
    int err = account(drive, inode, len);
    if (err == 0 && len != inode->content.len) {
        content_resize(&inode->content, len);
        add_change(drive, inode, true, len, NULL, 0);
    }
    return err;
}

void change_apply(const struct change *change, struct content *to)
{
    if (change->truncate) {
        content_resize(to, change->at);
    } else {
        content_write(to, change->data, change->len, change->at);
    }
}

void drive_sync(struct inode *inode, uint64_t seq)
{
    struct list *link;
    while ((link = list_first(&inode->changes)) != NULL) {
        struct change *change = container_of(link, struct change, link);
        if (change->seq > seq) {
            break;
        }
        change_apply(change, &inode->durable);
        list_remove(link);
        free(change);
    }
}

/* Takes a range out of earlier writes: it has just been written over, durably. */
static void clip(struct change *change, uint64_t from, uint64_t to, struct list *before)
{
    uint64_t end = change->at + change->len;
    if (to <= change->at || from >= end) {
        return;
    }
    if (from > change->at) {
        struct change *head = mem_zalloc(sizeof *head + (from - change->at));
        *head = (struct change){ .seq = change->seq, .at = change->at, .len = from - change->at };
        memcpy(head->data, change->data, head->len);
        list_insert_after(before, &head->link);
    }
    uint64_t cut = to < end ? to - change->at : change->len;
    memmove(change->data, change->data + cut, change->len - cut);
    change->at += cut;
    change->len -= cut;
}

int drive_write_durable(struct drive *drive, struct inode *inode, const void *data, size_t len,
                        uint64_t at)
{
    int err = account(drive, inode, max_u64(at + len, inode->content.len));
    if (err != 0) {
        return err;
    }
    bool truncates = false;
    list_each (it, &inode->changes) {
        truncates |= container_of(it, struct change, link)->truncate;
    }
    if (truncates) { /* lengths become durable in order */
        drive_sync(inode, UINT64_MAX);
    }
    list_each (it, &inode->changes) {
        clip(container_of(it, struct change, link), at, at + len, it->prev);
    }
    content_write(&inode->content, data, len, at);
    content_write(&inode->durable, data, len, at);
    return 0;
}

void drive_lose(struct drive *drive, struct inode *inode, uint64_t seq)
{
    bool evicted = chance(50);
    uint64_t had = inode->content.len;
    struct list *link;
    drive->n_faults++;
    while ((link = list_first(&inode->changes)) != NULL) {
        struct change *change = container_of(link, struct change, link);
        if (change->seq > seq) {
            break;
        }
        if (change->truncate) {
            change_apply(change, &inode->durable);
        }
        list_remove(link);
        free(change);
    }
    if (!evicted) {
        return;
    }
    content_copy(&inode->content, &inode->durable);
    list_each (it, &inode->changes) {
        change_apply(container_of(it, struct change, link), &inode->content);
    }
    content_resize(&inode->content, had); /* the length is the file system's, which knows it */
}

void drive_rot(struct inode *inode, uint64_t at, unsigned bit)
{
    uint8_t mask = (uint8_t)(1u << bit);
    if (at < inode->content.len) {
        inode->content.data[at] ^= mask;
    }
    if (at < inode->durable.len) {
        inode->durable.data[at] ^= mask;
    }
}
