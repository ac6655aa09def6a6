/* The bytes of the files in a Raft directory (chronik/meta/raft_store.h); nothing here does I/O.
 *
 * Numbers are big-endian. Everything is in blocks of 4 KiB and stored twice, in different blocks; a
 * copy begins with a head of 64 bytes:
 *
 *    0 magic     4 bytes  "CKRv" vote, "CKRl" segment, "CKRg" group, "CKRs" snapshot
 *    4 version   uint16   1
 *    6 fields             of the kind, below
 *   56 body CRC  uint32   CRC-32C of the body behind the head
 *   60 head CRC  uint32   CRC-32C of the 60 bytes before; it has this place in every version
 *
 *   vote       6 zero uint16, 8 node id, 16 directory (uuid), 32 sequence, 40 term, 48 vote
 *   uint64 segment    6 restart uint16, 8 salt, 16 directory, 32 first sequence, 40 first index,
 *              48 capacity   uint64
 *   group      6 zero uint16, 8 salt, 16 sequence, 24 first index, 32 entries uint32,
 *              36 zero uint32, 40 length of the body   uint64
 *   snapshot   6 zero uint16, 8 length of the data, 16 directory, 32 index, 40 term,
 *              48 index of the members   uint64
 *
 * A group's body is its entries, one behind the other: term uint64, kind uint8, length uint32,
 * data. A snapshot's body: length of the members uint32, the members, the data.
 *
 * A segment is its head (twice), then groups (each twice, one copy right behind the other), then
 * zeros up to its capacity. The salt is random: what an earlier segment left in the same blocks of
 * the disk is never taken for a group. Sequence numbers have no gaps, across segments too. A group
 * may begin at an index that was there before: it replaces all from there on. A segment marked
 * `restart` begins a new log behind a snapshot that came from the leader. */
#ifndef CHRONIK_SRC_META_RAFT_FORMAT_H
#define CHRONIK_SRC_META_RAFT_FORMAT_H

#include <chronik/base/uuid.h>
#include <chronik/meta/raft_store.h>

enum { RAFT_BLOCK = 4096, RAFT_HEAD = 64, RAFT_ENTRY_HEAD = 13 }; /* bytes */

struct raft_vote_head {
    struct raft_identity identity;
    uint64_t sequence, term, vote;
};

struct raft_segment_head {
    struct uuid directory;
    uint64_t salt, first_sequence, first_index, capacity;
    bool restart;
};

struct raft_group_head {
    uint64_t salt, sequence, first_index, body_len;
    uint32_t n;
};

struct raft_snapshot_head {
    struct uuid directory;
    uint64_t index, term, members_index, data_len;
};

/* Bytes that a head with a body takes, once. */
static inline uint64_t raft_copy_len(uint64_t body_len)
{
    return round_up(RAFT_HEAD + body_len, RAFT_BLOCK);
}

/* Writes a head; the rest of the block must be zero already. */
void raft_vote_put(const struct raft_vote_head *head, uint8_t *to);
void raft_segment_put(const struct raft_segment_head *head, uint8_t *to);

/* Writes head and body and pads with zeros: raft_copy_len() bytes. */
void raft_group_put(const struct raft_group_head *head, struct bytes body, uint8_t *to);

/* Appends a whole snapshot file: both copies. */
void raft_snapshot_put(const struct uuid *directory, const struct raft_image *snapshot,
                       struct buf *to);

/* Each reads the copy at the start of `in`: 0; -EBADMSG: it is not one, or is damaged; -ENOTSUP: it
 * was written by a newer version. `*ret_body` is a part of `in`. */
int raft_vote_get(struct bytes in, struct raft_vote_head *ret_head);
int raft_segment_get(struct bytes in, struct raft_segment_head *ret_head);
int raft_group_get(struct bytes in, uint64_t salt, struct raft_group_head *ret_head,
                   struct bytes *ret_body);
int raft_snapshot_get(struct bytes in, struct raft_snapshot_head *ret_head,
                      struct raft_image *ret_image);

/* Appends an entry to a group's body; takes the first one off, false at the end. */
void raft_entry_put(const struct raft_item *item, struct buf *to);
bool raft_entry_get(struct bytes *left, struct raft_item *ret_item);

#endif
