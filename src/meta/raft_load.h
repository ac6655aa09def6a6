/* Opening a Raft directory: reads and repairs what is there. Blocking, for a job. */
#ifndef CHRONIK_SRC_META_RAFT_LOAD_H
#define CHRONIK_SRC_META_RAFT_LOAD_H

#include "raft_format.h"

/* A segment on disk. */
struct raft_segment {
    char *path;
    struct raft_segment_head head;
    uint64_t last_index;  /* of its last entry; first_index - 1: none */
    uint64_t end;         /* place behind its last group */
};

/* A group in a segment. */
struct raft_group_at {
    struct raft_group_head head;
    struct bytes body;
    uint64_t at, len; /* of the first copy; of one copy */
    bool first_whole, second_whole;
};

struct file;

struct raft_load {
    /* in */
    const char *path;
    uint64_t node_id;
    struct uuid new_directory; /* for a directory that is made now */

    /* out */
    int error;
    char message[512]; /* what to do, when `error` is not 0 */
    struct raft_store_state state;
    uint64_t vote_sequence;
    uint64_t next_sequence;        /* of the next group */
    struct raft_segment *segments; /* in order */
    size_t n_segments, segments_cap;
    char *snapshot_path;           /* NULL: none */
    uint64_t snapshot_bytes;       /* of its file */
    struct file *vote_file, *segment_file; /* of the vote, of the last segment; NULL: none yet */
    bool restart; /* the log on disk is older than the snapshot: the next group begins a new one */

    /* what `state` points into */
    struct buf *files;
    size_t n_files, files_cap;
    struct raft_item *items;
    size_t n_items, items_cap;
    struct raft_image snapshot;
    struct raft_group_at last_group;
    const char *last_path; /* of the segment that holds it; NULL: there is none */
};

/* Creates the directory when it is missing; else reads everything, rewrites damaged copies, writes
 * the last group again (it may be in a cache only), and syncs names. What it reads becomes
 * durable. */
void raft_load(struct raft_load *load);

void raft_load_release(struct raft_load *load);

/* Frees what `state` points into. */
void raft_load_forget(struct raft_load *load);

/* "DIR/log-0000000000000000042". */
char *raft_segment_path(const char *dir, uint64_t first_sequence);
char *raft_snapshot_path(const char *dir, uint64_t index);

/* Creates a segment with its first group (one copy is given), and zeros up to its capacity,
 * durably: 0 or -errno. */
int raft_segment_create(const char *dir, const struct raft_segment_head *head, struct bytes group,
                        char **ret_path, struct file **ret_file);

/* Creates the vote's file. */
int raft_vote_create(const char *dir, const struct raft_vote_head *head, struct file **ret_file);

#endif
