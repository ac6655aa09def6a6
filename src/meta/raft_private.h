/* The inside of a Raft replica (chronik/meta/raft_node.h), shared by the files raft_*.c.
 *
 *   raft_node.c     the public calls: each becomes an input, inputs are worked off one after the
 *   other raft_step.c     one step of the core and what has to follow from it, in order
 *   raft_receive.c  messages from peers: what is done to them before the core sees them
 *   raft_frame.c    messages as bytes
 *   raft_members.c  the set of servers as bytes, and which changes of it are allowed
 *   raft_cache.c    the entries that may still be needed, in memory */
#ifndef CHRONIK_SRC_META_RAFT_PRIVATE_H
#define CHRONIK_SRC_META_RAFT_PRIVATE_H

#include <chronik/base/list.h>
#include <chronik/base/random.h>
#include <chronik/meta/raft_node.h>

#include <raft.h>

_Static_assert(RAFT_VERSION_NUMBER == 2201,
               "the rules below are for libraft 0.22.1; another version has other defects, and "
               "another ownership of memory");

/* ---- entries in memory ------------------------------------------------------------------------*/

struct raft_cached {
    uint64_t term;
    enum raft_entry_kind kind;
    uint32_t len;
    uint8_t *data;
};

struct raft_cache {
    struct raft_cached *items;
    size_t n, cap;
    uint64_t first; /* index of items[0] */
};

void raft_cache_init(struct raft_cache *cache, uint64_t first);
void raft_cache_release(struct raft_cache *cache);

static inline uint64_t raft_cache_last(const struct raft_cache *cache)
{
    return cache->first + cache->n - 1;
}

/* NULL when it is not in memory. */
const struct raft_cached *raft_cache_find(const struct raft_cache *cache, uint64_t index);
void raft_cache_append(struct raft_cache *cache, uint64_t term, enum raft_entry_kind kind,
                       struct bytes data);
/* Drop what is at or above `from`; below `index`; everything. */
void raft_cache_cut(struct raft_cache *cache, uint64_t from);
void raft_cache_drop_below(struct raft_cache *cache, uint64_t index);
void raft_cache_restart(struct raft_cache *cache, uint64_t first);

static inline struct raft_item raft_cached_item(const struct raft_cached *cached)
{
    return (struct raft_item){ .term = cached->term, .kind = cached->kind,
                               .data = bytes_of(cached->data, cached->len) };
}

/* ---- the node ---------------------------------------------------------------------------------*/

/* A snapshot that is kept in memory. */
struct raft_kept {
    uint64_t index, term, members_index; /* index 0: there is none */
    struct buf members, data;
};

/* A write that the host was asked for. */
struct raft_write {
    struct list link;
    uint64_t ticket;
    enum { RAFT_WRITE_LOG, RAFT_WRITE_TAKEN, RAFT_WRITE_INSTALL } kind;
    uint64_t first, last;   /* of a log write: `last` falls when entries are cut off again */
    struct raft_kept taken; /* of a snapshot */
};

/* Something that happened, waiting for its turn: while a vote is on its way to the disk, no step is
 * made. */
struct raft_input {
    struct list link;
    enum { RAFT_INPUT_MESSAGE, RAFT_INPUT_WRITTEN } kind;
    struct raft_message message;
    uint64_t ticket;
};

/* A frame that waits for the vote. */
struct raft_parcel {
    struct list link;
    uint64_t peer;
    struct chain frame;
};

/* What is known of the way to another server. */
struct raft_peer {
    uint64_t id;
    uint64_t connection;     /* newest that a frame came from */
    uint64_t snapshot_index; /* sent last on this connection; 0: none */
    uint64_t snapshot_ms;    /* when */
    uint64_t told_committed; /* it was told that so much is committed */
};

struct raft_node {
    struct raft raft;
    struct raft_tracer tracer;
    const struct raft_host *host;
    void *host_arg;
    struct raft_node_config config;
    char *address;
    struct prng prng;
    uint64_t now_ms;
    char fault[256]; /* why the core gave up; "": it did not. Nothing may be done any more */

    struct raft_cache cache;
    struct raft_kept snapshot;      /* the one that the core knows about */
    uint64_t applied;
    uint64_t applied_bytes;         /* since the snapshot */
    uint64_t members_index;         /* of the set of servers that was applied last */
    struct buf members;
    uint64_t lead_index;            /* first entry of the term in which this node leads; 0: none */
    bool taking, installing;        /* a snapshot is being written */
    bool stale_sender;              /* the message of this step has an older term than ours */
    struct raft_role role;          /* as reported last */

    uint64_t next_ticket;
    uint64_t vote_ticket;           /* 0: no vote is being written */
    struct list writes, inputs, parcels;

    uint64_t tick_from_ms;          /* no tick before, whatever the core says */
    uint64_t hint_until_ms;         /* until then the short election timeout counts; 0: no */

    struct raft_peer *peers;
    size_t n_peers, peers_cap;
};

struct raft_peer *raft_peer(struct raft_node *node, uint64_t id);
uint64_t raft_ticket(struct raft_node *node);

/* One step of the core, with everything that must follow from it at once. 0, the core's error where
 * the event may be refused (submit, transfer), or -ENOTRECOVERABLE. */
int raft_node_step(struct raft_node *node, struct raft_event *event);

/* What follows once no vote is being written: entries are applied, a snapshot is begun, the role is
 * reported. */
int raft_node_settle(struct raft_node *node);

int raft_node_write_done(struct raft_node *node, uint64_t ticket);

/* Appends a barrier or a command or a set of servers as leader. */
int raft_node_append(struct raft_node *node, enum raft_entry_kind kind, struct bytes data);

/* Sends what had to wait for the vote. */
void raft_node_send_parcels(struct raft_node *node);

/* Hands the core the long election timeout again. */
void raft_node_end_hint(struct raft_node *node);

/* ---- messages ---------------------------------------------------------------------------------*/

/* Appends a message as a frame. AppendEntries takes entries [first, first + n) from the cache;
 * InstallSnapshot the snapshot of the node. */
void raft_frame_put(const struct raft_node *node, const struct raft_message *message,
                    uint64_t first, size_t n, struct buf *to);

/* Parses a frame; what it allocates belongs to the message. 0 or -EBADMSG. */
int raft_frame_parse(struct bytes frame, struct raft_message *ret_message);
void raft_message_release(struct raft_message *message);

/* Queues a message for the core, in pieces where it has to be (rule 1). */
void raft_queue_message(struct raft_node *node, struct raft_message *message);

/* Gives a message to the core. The message is used up. */
int raft_deliver(struct raft_node *node, struct raft_message *message);

/* ---- sets of servers --------------------------------------------------------------------------*/

/* Whether the bytes are a set of servers that the core can decode. */
bool raft_members_valid(struct bytes encoded);
void raft_members_decode(struct bytes encoded, struct raft_configuration *ret_members);
void raft_members_encode(const struct raft_member *members, size_t n, struct buf *to);

#endif
