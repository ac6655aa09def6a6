/* One Raft replica as a pure state machine: no clock, no files, no sockets, no threads.
 *
 * It wraps the core of libraft 0.22.1 (raft_step) and does around it what the core leaves to its
 * user: the entries in memory, the order of term, entries, messages and acknowledgements,
 * snapshots, the connection-loss hint, and the rules that keep clear of the core's known defects
 * (docs/decisions/raft.md). Whoever runs it is the host: it performs what the callbacks of struct
 * raft_host ask for, and reports back with raft_node_*() calls.
 *
 *   host                              node
 *   raft_node_receive(frame)   ->     save_vote, write_log, write_snapshot   (each with a ticket)
 *   raft_node_tick(now)        ->     send(peer, frame)
 *   raft_node_submit(entry)    ->     apply(entry), role_changed, restore, take_snapshot
 *   raft_node_written(ticket)  ->
 *
 * Time is in milliseconds and never goes back. Ids are positive. Callbacks come only from inside
 * raft_node_*() calls, and must not call back into the node.
 *
 * Results: 0, or a negative errno. -EBADMSG (a frame that cannot be), -EAGAIN (not the leader, or
 * not yet) and -EINVAL (what was asked for is not allowed now) leave the node as it was. Anything
 * else is fatal: the replica must not go on, and the process ends. A disk write has no way to fail:
 * retry it or end the process. */
#ifndef CHRONIK_META_RAFT_NODE_H
#define CHRONIK_META_RAFT_NODE_H

#include <chronik/base/blob.h>

struct raft_node;

enum raft_entry_kind { RAFT_ENTRY_COMMAND = 1, RAFT_ENTRY_BARRIER = 2, RAFT_ENTRY_MEMBERS = 3 };

/* An entry of the log. The data is borrowed: it is valid during the call it is passed to. */
struct raft_item {
    uint64_t term;
    enum raft_entry_kind kind;
    struct bytes data;
};

/* The state at an index. `members` is the encoded set of servers that was committed last at that
 * index, `members_index` where it is in the log. */
struct raft_image {
    uint64_t index, term;
    uint64_t members_index;
    struct bytes members;
    struct bytes data;
};

enum { RAFT_MEMBERS_MAX = 64 };

enum raft_member_role { RAFT_MEMBER_STANDBY = 0, RAFT_MEMBER_VOTER = 1, RAFT_MEMBER_SPARE = 2 };

struct raft_member {
    uint64_t id;
    const char *address; /* for people; not interpreted */
    enum raft_member_role role;
};

struct raft_role {
    bool leads;      /* this node is the leader */
    bool ready;      /* and has applied an entry of its own term: its state is the newest */
    uint64_t term;
    uint64_t leader; /* 0: unknown */
};

struct raft_host {
    /* Make term and vote durable, then call raft_node_written(ticket). Nothing that depends on them
     * leaves the node before; a host that holds up other nodes' heartbeats meanwhile is a bug. */
    void (*save_vote)(void *host, uint64_t ticket, uint64_t term, uint64_t vote);

    /* Cut the log at `first` (which is at most one behind its end), append, make durable. */
    void (*write_log)(void *host, uint64_t ticket, uint64_t first, const struct raft_item *items,
                      size_t n);

    /* Make the snapshot durable. `keep_from`: entries below it are not needed once that is done.
     * `install`: it came from the leader and replaces the whole log, which goes on behind it. */
    void (*write_snapshot)(void *host, uint64_t ticket, const struct raft_image *snapshot,
                           uint64_t keep_from, bool install);

    /* Send, in order per peer. Frames may get lost; they must not be delivered out of order, and
     * none of an older connection after one of a newer (raft_node_receive). Takes the frame
     * over. */
    void (*send)(void *host, uint64_t peer, struct chain *frame);

    /* Apply a committed entry; each index comes once, in order. Barriers and members come too. */
    void (*apply)(void *host, uint64_t index, const struct raft_item *item);

    /* Replace the state by that of a snapshot. */
    void (*restore)(void *host, const struct raft_image *snapshot);

    /* Append the encoded state, as of the entry applied last, to `to`. */
    void (*take_snapshot)(void *host, struct buf *to);

    void (*role_changed)(void *host, const struct raft_role *role);
};

struct raft_node_config {
    uint64_t id;
    const char *address;
    unsigned election_ms;  /* a follower waits one to two of these; 200 */
    unsigned heartbeat_ms; /* 40 */
    unsigned hint_ms;      /* what a follower waits when the connection to its leader broke; 30 */
    unsigned inflight_max; /* entries on their way to a follower without an answer; 64 */
    size_t frame_bytes_max; /* entries are sent in frames of about this size; 1 MiB */
    uint64_t snapshot_entries, snapshot_bytes; /* take a snapshot after so many; 1024, 4 MiB */
    uint64_t trailing;     /* entries kept behind a snapshot, well above inflight_max; 256 */
    uint64_t seed;         /* of the election timers */
};

/* What the host found on disk. A pristine server (all zero) waits to be added to a group. */
struct raft_disk_state {
    uint64_t term, vote;
    const struct raft_image *snapshot; /* NULL: none */
    uint64_t first;                    /* index of items[0]; at most one behind the snapshot */
    const struct raft_item *items;
    size_t n_items;
};

/* Appends the entry with which the log of every member of a new group begins: index 1, term 1, kind
 * RAFT_ENTRY_MEMBERS. A host makes it durable, with term 1 and no vote, on an empty disk. */
void raft_node_bootstrap(const struct raft_member *members, size_t n, struct buf *to);

/* Whether a disk state has this node as its group's only voter. Such a host must first make term +
 * 1 and a vote for itself durable, and open the node with them. */
bool raft_node_is_sole_voter(const struct raft_disk_state *disk, uint64_t id);

/* Starts a replica from what is on disk and durable (sync what may be in the page cache only). The
 * state of the snapshot is restored within the call, entries are applied as they become committed.
 * Config and disk state are copied; `host` is kept. */
int raft_node_open(const struct raft_node_config *config, const struct raft_host *host,
                   void *host_arg, const struct raft_disk_state *disk, uint64_t now_ms,
                   struct raft_node **ret_node);
void raft_node_close(struct raft_node *node);

/* When raft_node_tick() must be called next; UINT64_MAX: never, until something else happened. */
uint64_t raft_node_deadline(const struct raft_node *node);
int raft_node_tick(struct raft_node *node, uint64_t now_ms);

/* What a frame says about its sender: a leader speaks to its followers, a follower answers its
 * leader; all else says nothing. */
enum raft_voice { RAFT_VOICE_OTHER, RAFT_VOICE_LEADER, RAFT_VOICE_FOLLOWER };
enum raft_voice raft_frame_voice(struct bytes frame);

/* A frame from a peer. `connection` rises with each connection that peer made (or we to it): frames
 * of an older one are dropped. Frames of unknown kinds and versions: -EBADMSG. */
int raft_node_receive(struct raft_node *node, uint64_t now_ms, uint64_t peer, uint64_t connection,
                      struct bytes frame);

/* The connection to a peer broke. If it is the leader, an election begins soon (a hint: votes and
 * terms follow the usual rules, so that a false alarm does no harm). */
int raft_node_peer_closed(struct raft_node *node, uint64_t now_ms, uint64_t peer);

/* The write with that ticket is durable. Tickets may be reported in any order between vote, log and
 * snapshot; log writes in the order in which they were asked for. */
int raft_node_written(struct raft_node *node, uint64_t now_ms, uint64_t ticket);

/* Appends one command to the log; `*ret_index` is where. It may still be replaced by another
 * leader's entry: what counts is what is applied. -EAGAIN when this node does not lead. The data is
 * copied. */
int raft_node_submit(struct raft_node *node, uint64_t now_ms, struct bytes data,
                     uint64_t *ret_index);

/* Hands leadership to another voter (0: the one that is furthest). -EAGAIN, -EINVAL. */
int raft_node_transfer(struct raft_node *node, uint64_t now_ms, uint64_t to);

/* Brings a standby or spare server up to date before it is made a voter; raft_node_caught_up() says
 * when that is done. */
int raft_node_catch_up(struct raft_node *node, uint64_t now_ms, uint64_t id);
bool raft_node_caught_up(const struct raft_node *node, uint64_t id);

/* Proposes another set of members. -EAGAIN as long as the last change is not on every voter or this
 * leader has not committed an entry of its own term; -EINVAL when more than one server would gain
 * or lose its vote, or fewer than two voters would remain of more than one. */
int raft_node_change(struct raft_node *node, uint64_t now_ms, const struct raft_member *members,
                     size_t n);

/* What went wrong when a call returned a fatal error: a sentence for the log. */
const char *raft_node_fault(const struct raft_node *node);

/* ---- what it knows ----------------------------------------------------------------------------*/

const struct raft_role *raft_node_role(const struct raft_node *node);
uint64_t raft_node_term(const struct raft_node *node);
uint64_t raft_node_applied(const struct raft_node *node);
uint64_t raft_node_committed(const struct raft_node *node);
uint64_t raft_node_first(const struct raft_node *node); /* index of the first entry in memory */
uint64_t raft_node_last(const struct raft_node *node);
uint64_t raft_node_stored(const struct raft_node *node); /* durable here up to this index */
uint64_t raft_node_snapshot_index(const struct raft_node *node); /* 0: none */

/* The term of an entry in memory or of the snapshot; 0 when it is neither. */
uint64_t raft_node_term_of(const struct raft_node *node, uint64_t index);

/* The members in use, committed or not: how many there are. Addresses stay until the set
 * changes. */
size_t raft_node_members(const struct raft_node *node, struct raft_member to[RAFT_MEMBERS_MAX]);

/* Up to which index a member has everything durably; 0 when this node does not lead. */
uint64_t raft_node_match(const struct raft_node *node, uint64_t id);

#endif
