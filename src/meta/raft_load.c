/* Reading a Raft directory.
 *
 * The vote first: without it, the directory must be empty. Then the newest
 * snapshot, then the segments, group by group. Where one copy is damaged, it is written again from
 * the other.
 *
 * The log ends at the first place where neither copy of the next group is whole. Whether that is
 * the end of what was acknowledged shows in what follows: a group is written only when the one
 * before it is durable, so a later group there, or a segment that does not go on with exactly the
 * next sequence number, means damage. The directory is then not opened: this voter no longer knows
 * what it promised.
 *
 * After a torn group the log goes on in a new segment, so that nothing is ever written where a
 * write may have been interrupted. */
#include "raft_load.h"

#include <chronik/io/file.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const uint64_t FILE_MAX = UINT64_C(1) << 31; /* bytes of one file that are read */

static const char REMEDY[] = "this node no longer knows what it promised. Remove the directory and "
                             "start again: a single node takes its topics over from its log "
                             "directories, a node of a cluster joins it anew";

static bool __attribute__((format(printf, 3, 4))) fail(struct raft_load *load, int error,
                                                       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(load->message, sizeof load->message, fmt, ap);
    va_end(ap);
    load->error = error;
    return false;
}

static bool damaged(struct raft_load *load, const char *path, const char *what)
{
    return fail(load, -EUCLEAN, "%s: %s; %s", path, what, REMEDY);
}

static bool too_new(struct raft_load *load, const char *path)
{
    return fail(load, -ENOTSUP, "%s was written by a newer version of chronikd: start that one",
                path);
}

static bool io_failed(struct raft_load *load, const char *path, int error)
{
    return fail(load, error, "%s: %s", path, strerror(-error));
}

/* ---- names ------------------------------------------------------------------------------------*/

char *raft_segment_path(const char *dir, uint64_t first_sequence)
{
    return mem_sprintf("%s/log-%020llu", dir, (unsigned long long)first_sequence);
}

char *raft_snapshot_path(const char *dir, uint64_t index)
{
    return mem_sprintf("%s/snapshot-%020llu", dir, (unsigned long long)index);
}

static bool is_named(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    int64_t n;
    return strncmp(name, prefix, len) == 0 && text_to_i64(text_of(name + len), &n);
}

static bool is_temporary(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".tmp") == 0;
}

/* ---- writing ----------------------------------------------------------------------------------*/

/* Writes whole blocks durably into a file that is there. */
static int rewrite(const char *path, const void *data, size_t len, uint64_t at)
{
    struct file *file;
    uint8_t *aligned = mem_alloc_aligned(RAFT_BLOCK, len);
    memcpy(aligned, data, len);
    int error = file_open(path, FILE_WRITE | FILE_DURABLE, &file);
    if (error == 0) {
        error = file_write_at(file, aligned, len, at);
        file_close(file);
    }
    free(aligned);
    return error;
}

/* Makes a file of whole blocks that is complete under its name, or not there. */
static int create(const char *dir, const char *path, const uint8_t *content, size_t len,
                  struct file **ret_file)
{
    char *temporary = mem_sprintf("%s.tmp", path);
    unsigned flags = FILE_WRITE | FILE_CREATE | FILE_TRUNCATE | FILE_DURABLE;
    struct file *file;
    int error = file_open(temporary, flags, &file);
    if (error == 0) {
        error = file_write_at(file, content, len, 0);
        error = error ? error : file_rename(temporary, path);
        error = error ? error : dir_sync(dir);
        if (error == 0) {
            *ret_file = file;
        } else {
            file_close(file);
            file_remove(temporary);
        }
    }
    free(temporary);
    return error;
}

int raft_segment_create(const char *dir, const struct raft_segment_head *head, struct bytes group,
                        char **ret_path, struct file **ret_file)
{
    char *path = raft_segment_path(dir, head->first_sequence);
    uint8_t *content = mem_alloc_aligned(RAFT_BLOCK, head->capacity);
    memset(content, 0, head->capacity);
    raft_segment_put(head, content);
    raft_segment_put(head, content + RAFT_BLOCK);
    memcpy(content + 2 * RAFT_BLOCK, group.data, group.len);
    memcpy(content + 2 * RAFT_BLOCK + group.len, group.data, group.len);
    int error = create(dir, path, content, head->capacity, ret_file);
    if (error == 0) {
        *ret_path = path;
    } else {
        free(path);
    }
    free(content);
    return error;
}

int raft_vote_create(const char *dir, const struct raft_vote_head *head, struct file **ret_file)
{
    char *path = mem_sprintf("%s/vote", dir);
    uint8_t *content = mem_alloc_aligned(RAFT_BLOCK, 2 * RAFT_BLOCK);
    memset(content, 0, 2 * RAFT_BLOCK);
    raft_vote_put(head, content);
    raft_vote_put(head, content + RAFT_BLOCK);
    int error = create(dir, path, content, 2 * RAFT_BLOCK, ret_file);
    free(content);
    free(path);
    return error;
}

/* Writes both slots again, one after the other: one of them is whole at any time. */
static int rewrite_vote(const char *path, const struct raft_vote_head *head)
{
    uint8_t block[RAFT_BLOCK] = { 0 };
    raft_vote_put(head, block);
    int error = rewrite(path, block, RAFT_BLOCK, 0);
    return error ? error : rewrite(path, block, RAFT_BLOCK, RAFT_BLOCK);
}

/* ---- reading ----------------------------------------------------------------------------------*/

/* The content of a file, kept until the state is forgotten. */
static bool read_file(struct raft_load *load, const char *path, struct bytes *ret_content)
{
    load->files = mem_grow(load->files, &load->files_cap, load->n_files + 1, sizeof *load->files);
    struct buf *content = &load->files[load->n_files++];
    *content = (struct buf){ 0 };
    int error = file_load(path, FILE_MAX, content);
    if (error != 0) {
        return io_failed(load, path, error);
    }
    *ret_content = buf_bytes(content);
    return true;
}

static struct bytes from(struct bytes b, uint64_t at)
{
    at = min_u64(at, b.len);
    return bytes_part(b, at, b.len - at);
}

/* ---- vote -------------------------------------------------------------------------------------*/

/* Nothing was promised here: the first vote will make the directory this node's. */
static bool begin_anew(struct raft_load *load)
{
    load->state.fresh = true;
    load->state.identity = (struct raft_identity){ load->node_id, load->new_directory };
    load->next_sequence = 1;
    return true;
}

/* Both slots hold the same unless a write was interrupted between them: the newer one counts, and
 * is written to both before anything relies on it. */
static bool load_vote(struct raft_load *load, const char *path)
{
    struct raft_vote_head slots[2], *newest;
    struct bytes content;
    int errors[2];
    if (!read_file(load, path, &content)) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        errors[i] = raft_vote_get(from(content, i * RAFT_BLOCK), &slots[i]);
        if (errors[i] == -ENOTSUP) {
            return too_new(load, path);
        }
    }
    if (errors[0] != 0 && errors[1] != 0) {
        return damaged(load, path, "both copies of the vote are damaged");
    }
    newest = errors[0] != 0 || (errors[1] == 0 && slots[1].sequence > slots[0].sequence)
                 ? &slots[1] : &slots[0];
    load->state.identity = newest->identity;
    load->state.disk.term = newest->term;
    load->state.disk.vote = newest->vote;
    load->vote_sequence = newest->sequence;
    if (newest->identity.node_id != load->node_id) {
        return fail(load, -EINVAL,
                    "%s belongs to node %llu, and this is node %llu: give each node its own "
                    "directory, or set node.id=%llu",
                    load->path, (unsigned long long)newest->identity.node_id,
                    (unsigned long long)load->node_id,
                    (unsigned long long)newest->identity.node_id);
    }
    if (errors[0] != 0 || errors[1] != 0 || slots[0].sequence != slots[1].sequence) {
        int error = rewrite_vote(path, newest);
        load->state.repaired += errors[0] != 0 || errors[1] != 0;
        return error == 0 || io_failed(load, path, error);
    }
    return true;
}

/* ---- snapshot ---------------------------------------------------------------------------------*/

static bool load_snapshot(struct raft_load *load, const char *path)
{
    struct raft_snapshot_head head;
    struct raft_image images[2];
    struct bytes content;
    int errors[2];
    if (!read_file(load, path, &content)) {
        return false;
    }
    uint64_t half = content.len / 2;
    load->snapshot_bytes = content.len;
    for (unsigned i = 0; i < 2; i++) {
        errors[i] = raft_snapshot_get(from(content, i * half), &head, &images[i]);
        if (errors[i] == -ENOTSUP) {
            return too_new(load, path);
        }
    }
    if (errors[0] != 0 && errors[1] != 0) {
        return damaged(load, path, "both copies of the snapshot are damaged");
    }
    load->snapshot = images[errors[0] == 0 ? 0 : 1];
    load->state.disk.snapshot = &load->snapshot;
    if (!uuid_equal(&head.directory, &load->state.identity.directory)) {
        return damaged(load, path, "the snapshot is of another directory");
    }
    if (errors[0] != 0 || errors[1] != 0) {
        struct buf whole = { 0 };
        raft_snapshot_put(&head.directory, &load->snapshot, &whole);
        int error = file_replace(path, buf_bytes(&whole));
        buf_release(&whole);
        load->state.repaired++;
        return error == 0 || io_failed(load, path, error);
    }
    return true;
}

/* ---- segments ---------------------------------------------------------------------------------*/

static void add_items(struct raft_load *load, const struct raft_group_head *group,
                      struct bytes body)
{
    uint64_t *first = &load->state.disk.first;
    struct raft_item item;
    if (group->first_index < *first) {
        *first = group->first_index;
    }
    load->n_items = (size_t)min_u64(load->n_items, group->first_index - *first);
    while (raft_entry_get(&body, &item)) {
        load->items = mem_grow(load->items, &load->items_cap, load->n_items + 1,
                               sizeof *load->items);
        load->items[load->n_items++] = item;
    }
}

/* Finds the group with that sequence number: at `at`, or a second copy further on when the first
 * one is damaged (its length cannot be trusted then). */
static int find_group(struct bytes content, const struct raft_segment_head *segment, uint64_t at,
                      uint64_t sequence, struct raft_group_at *ret)
{
    for (uint64_t place = at; place + RAFT_BLOCK <= content.len; place += RAFT_BLOCK) {
        struct raft_group_at g = { .at = at };
        int error = raft_group_get(from(content, place), segment->salt, &g.head, &g.body);
        if (error == -ENOTSUP) {
            return error;
        }
        if (error != 0 || g.head.sequence != sequence) {
            continue;
        }
        g.len = raft_copy_len(g.head.body_len);
        g.first_whole = place == at;
        if (!g.first_whole && place - at != g.len) {
            continue;
        }
        struct raft_group_head second;
        struct bytes body;
        g.second_whole = !g.first_whole || (raft_group_get(from(content, at + g.len), segment->salt,
                                                           &second, &body) == 0 &&
                                            second.sequence == sequence);
        *ret = g;
        return 0;
    }
    return -EBADMSG;
}

/* Is there a whole group of a higher number further on? */
static bool has_later_group(struct bytes content, const struct raft_segment_head *segment,
                            uint64_t at, uint64_t sequence)
{
    for (; at + RAFT_BLOCK <= content.len; at += RAFT_BLOCK) {
        struct raft_group_head head;
        struct bytes body;
        if (raft_group_get(from(content, at), segment->salt, &head, &body) == 0 &&
            head.sequence > sequence) {
            return true;
        }
    }
    return false;
}

static bool all_zero(struct bytes b)
{
    return b.len == 0 || (b.data[0] == 0 && memcmp(b.data, b.data + 1, b.len - 1) == 0);
}

static bool rewrite_group(struct raft_load *load, const char *path, const struct raft_group_at *g)
{
    uint8_t *copies = mem_alloc(2 * g->len);
    raft_group_put(&g->head, g->body, copies);
    memcpy(copies + g->len, copies, g->len);
    int error = rewrite(path, copies, 2 * g->len, g->at);
    free(copies);
    return error == 0 || io_failed(load, path, error);
}

/* A group goes on behind the entries that are there, or replaces them from some index on; what lies
 * below the first of them may be gone already. */
static bool group_follows(const struct raft_load *load, const struct raft_group_head *group)
{
    return group->first_index <= load->state.disk.first + load->n_items;
}

static bool read_groups(struct raft_load *load, struct raft_segment *segment, struct bytes content)
{
    for (;;) {
        struct raft_group_at g;
        int error = find_group(content, &segment->head, segment->end, load->next_sequence, &g);
        if (error == -ENOTSUP) {
            return too_new(load, segment->path);
        }
        if (error != 0) {
            return !has_later_group(content, &segment->head, segment->end, load->next_sequence) ||
                   damaged(load, segment->path, "a group of entries is damaged");
        }
        if (!group_follows(load, &g.head)) {
            return damaged(load, segment->path, "entries are missing");
        }
        if (!(g.first_whole && g.second_whole)) {
            load->state.repaired++;
            if (!rewrite_group(load, segment->path, &g)) {
                return false;
            }
        }
        add_items(load, &g.head, g.body);
        load->last_group = g;
        load->last_path = segment->path;
        segment->last_index = load->state.disk.first + load->n_items - 1;
        segment->end = g.at + 2 * g.len;
        load->next_sequence++;
    }
}

static bool read_segment_head(struct raft_load *load, struct raft_segment *segment,
                              struct bytes content)
{
    struct raft_segment_head heads[2];
    int errors[2];
    for (unsigned i = 0; i < 2; i++) {
        errors[i] = raft_segment_get(from(content, i * RAFT_BLOCK), &heads[i]);
        if (errors[i] == -ENOTSUP) {
            return too_new(load, segment->path);
        }
    }
    if (errors[0] != 0 && errors[1] != 0) {
        return damaged(load, segment->path, "both copies of the head are damaged");
    }
    segment->head = heads[errors[0] == 0 ? 0 : 1];
    if (errors[0] != 0 || errors[1] != 0) {
        uint8_t *blocks = mem_zalloc(2 * RAFT_BLOCK);
        raft_segment_put(&segment->head, blocks);
        raft_segment_put(&segment->head, blocks + RAFT_BLOCK);
        int error = rewrite(segment->path, blocks, 2 * RAFT_BLOCK, 0);
        free(blocks);
        load->state.repaired++;
        return error == 0 || io_failed(load, segment->path, error);
    }
    return true;
}

/* A segment must go on exactly where the one before it ended, unless what is before it does not
 * matter: it is the first one that is left, or begins the log anew, or the snapshot has everything
 * below it (old segments are removed one by one). */
static bool begins_log(const struct raft_load *load, const struct raft_segment_head *head)
{
    bool covered = head->first_sequence > load->next_sequence &&
                   head->first_index <= load->snapshot.index + 1;
    return load->n_segments == 1 || head->restart || covered;
}

static bool load_segment(struct raft_load *load, const char *path)
{
    load->segments = mem_grow(load->segments, &load->segments_cap, load->n_segments + 1,
                              sizeof *load->segments);
    struct raft_segment *segment = &load->segments[load->n_segments++];
    struct bytes content;
    *segment = (struct raft_segment){ .path = mem_strdup(path), .end = 2 * RAFT_BLOCK };
    if (!read_file(load, path, &content) || !read_segment_head(load, segment, content)) {
        return false;
    }
    const struct raft_segment_head *head = &segment->head;
    if (!uuid_equal(&head->directory, &load->state.identity.directory)) {
        return damaged(load, path, "the segment is of another directory");
    }
    if (content.len != head->capacity) {
        return damaged(load, path, "the segment has not the length it was made with");
    }
    if (begins_log(load, head)) {
        load->n_items = 0;
        load->state.disk.first = head->first_index;
    } else if (head->first_sequence != load->next_sequence) {
        return damaged(load, path, "the segment before it is missing or damaged");
    }
    load->next_sequence = head->first_sequence;
    segment->last_index = head->first_index - 1;
    if (!read_groups(load, segment, content)) {
        return false;
    }
    bool torn = !all_zero(from(content, segment->end));
    segment->end = torn ? head->capacity : segment->end; /* full: a new one follows */
    return true;
}

/* One write is under way at a time, so only the last group can be in a cache and not on the disk:
 * it is written again. */
static bool harden_last_group(struct raft_load *load)
{
    return load->last_path == NULL || rewrite_group(load, load->last_path, &load->last_group);
}

/* ---- the whole --------------------------------------------------------------------------------*/

/* What the log and the snapshot say together. A log that ends below the snapshot, or contradicts
 * it, was about to be replaced when the process ended. */
static bool reconcile(struct raft_load *load)
{
    struct raft_disk_state *disk = &load->state.disk;
    const struct raft_image *s = disk->snapshot;
    disk->items = load->items;
    disk->n_items = load->n_items;
    if (load->n_segments == 0 || load->n_items == 0) {
        disk->n_items = 0;
        disk->first = s ? s->index + 1 : 1;
        load->restart = load->n_segments > 0 &&
                        load->segments[load->n_segments - 1].head.first_index != disk->first;
    }
    if (disk->n_items == 0) {
        return true;
    }
    uint64_t last = disk->first + disk->n_items - 1, index = s ? s->index : 0;
    if (disk->first > index + 1) {
        return damaged(load, load->path, "the snapshot in front of the log is missing");
    }
    if (s != NULL && (last < index || (disk->first <= index &&
                                       disk->items[index - disk->first].term != s->term))) {
        disk->n_items = 0;
        disk->first = index + 1;
        load->restart = true;
    }
    return true;
}

static bool load_files(struct raft_load *load, const struct dir_entry *entries, size_t n)
{
    const char *snapshot = NULL;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        snapshot = is_named(entries[i].name, "snapshot-") ? entries[i].name : snapshot;
    }
    if (snapshot != NULL) {
        load->snapshot_path = mem_sprintf("%s/%s", load->path, snapshot);
        ok = load_snapshot(load, load->snapshot_path);
    }
    load->next_sequence = 1;
    for (size_t i = 0; ok && i < n; i++) {
        char *path = mem_sprintf("%s/%s", load->path, entries[i].name);
        if (is_named(entries[i].name, "log-")) {
            ok = load_segment(load, path);
        } else if (is_temporary(entries[i].name) ||
                   (is_named(entries[i].name, "snapshot-") && entries[i].name != snapshot)) {
            file_remove(path); /* left over from a write that was interrupted */
        }
        free(path);
    }
    return ok && harden_last_group(load) && reconcile(load);
}

static bool has_state(const struct dir_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_named(entries[i].name, "log-") || is_named(entries[i].name, "snapshot-")) {
            return true;
        }
    }
    return false;
}

static void load_entries(struct raft_load *load, const char *vote, const struct dir_entry *entries,
                         size_t n)
{
    if (!file_exists(vote)) {
        (void)(has_state(entries, n) ? damaged(load, vote, "the vote is missing")
                                     : begin_anew(load));
    } else if (load_vote(load, vote) && load_files(load, entries, n)) {
        int error = dir_sync(load->path);
        (void)(error == 0 || io_failed(load, load->path, error));
    }
}

/* The files that are written next. */
static void open_files(struct raft_load *load, const char *vote)
{
    if (load->state.fresh) {
        return;
    }
    int error = file_open(vote, FILE_WRITE | FILE_DURABLE, &load->vote_file);
    if (error != 0) {
        io_failed(load, vote, error);
        return;
    }
    if (load->n_segments > 0) {
        const char *path = load->segments[load->n_segments - 1].path;
        error = file_open(path, FILE_WRITE | FILE_DURABLE, &load->segment_file);
        (void)(error == 0 || io_failed(load, path, error));
    }
}

void raft_load(struct raft_load *load)
{
    char *vote = mem_sprintf("%s/vote", load->path);
    struct dir_entry *entries = NULL;
    size_t n = 0;
    load->state.disk.first = 1;
    int error = dir_create(load->path);
    if (error == 0) {
        error = dir_list(load->path, &entries, &n);
    }
    if (error != 0) {
        io_failed(load, load->path, error);
    } else {
        load_entries(load, vote, entries, n);
    }
    if (load->error == 0) {
        open_files(load, vote);
    }
    dir_list_free(entries, n);
    free(vote);
}

void raft_load_forget(struct raft_load *load)
{
    for (size_t i = 0; i < load->n_files; i++) {
        buf_release(&load->files[i]);
    }
    free(load->files);
    free(load->items);
    load->files = NULL;
    load->items = NULL;
    load->n_files = load->n_items = 0;
    load->state.disk = (struct raft_disk_state){ 0 };
}

void raft_load_release(struct raft_load *load)
{
    raft_load_forget(load);
    for (size_t i = 0; i < load->n_segments; i++) {
        free(load->segments[i].path);
    }
    free(load->segments);
    free(load->snapshot_path);
    file_close(load->vote_file);
    file_close(load->segment_file);
}
