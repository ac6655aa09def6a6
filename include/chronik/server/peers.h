/* Links to the other nodes of the cluster: proven, ordered, one per peer and channel in each
 * direction.
 *
 * A link carries frames (a four-byte length and bytes) both ways once both ends have proven the
 * cluster secret. Channels have links of their own, so that a large answer to a follower never
 * delays a heartbeat. Each node dials every other: what it sends on a link that it dialled arrives
 * in order, and a newer link replaces an older one of the same channel (docs/architecture.md). A
 * dead or slow peer delays nobody else: every link has its own queue. A node that has lost its Raft
 * directory, or was started with other voters, gets no link (rule 3 of docs/durability.md).
 *
 * Without a secret the listener is bound to loopback only: whoever can connect could join.
 *
 * Who may call: the loop's thread. Handlers are called in the events step. */
#ifndef CHRONIK_SERVER_PEERS_H
#define CHRONIK_SERVER_PEERS_H

#include <chronik/base/diag.h>
#include <chronik/base/metric.h>
#include <chronik/base/uuid.h>
#include <chronik/io/net.h>

struct peers;
struct peer_link;

enum peer_channel {
    PEER_META,     /* Raft messages and requests to the controller */
    PEER_FETCH,    /* a follower fetches from its leader */
    PEER_CATCH_UP, /* the same, for partitions that are far behind */
    PEER_CHANNELS,
};

struct peer_address {
    int32_t node_id;
    const char *host;
    uint16_t port;
};

struct peers_config {
    int32_t node_id;
    struct uuid incarnation;
    const char *secret;     /* NULL: none */
    const char *host;       /* to listen on; "": every address, with a secret only */
    uint16_t port;          /* 0: a free one */
    const struct peer_address *peers; /* the other voters */
    unsigned n_peers;
};

struct peers_handler {
    /* A link is open: `dialled` by us, or by the peer. */
    void (*opened)(void *arg, struct peer_link *link);

    /* A frame has come. 0, or -errno: close the link. */
    int (*received)(void *arg, struct peer_link *link, struct bytes frame);

    /* A long queue of frames has left. */
    void (*drained)(void *arg, struct peer_link *link);

    /* The link has ended; the last call for it. */
    void (*closed)(void *arg, struct peer_link *link);

    /* A peer that we dial refuses connections, or has only begun to start: the process that was
     * there has ended. */
    void (*unreachable)(void *arg, int32_t peer);

    /* Is that the Raft directory of this peer, as far as is known? */
    bool (*knows)(void *arg, int32_t peer, const struct uuid *raft_directory);

    /* A peer knows another Raft directory of this node, which must not go on: it has lost what it
     * promised. */
    void (*disowned)(void *arg, int32_t peer);
};

/* Listens; whoever connects before peers_join() is told to come again. The config is copied, the
 * handler kept by reference. 0 or -errno of the listener. */
int peers_open(struct loop *loop, struct diag *diag, const struct peers_config *config,
               const struct peers_handler *handler, void *arg, struct peers **ret_peers);

/* Ends all links at once; of the handler only its `closed` is called for them. Then calls
 * `closed`. */
void peers_close(struct peers *peers, void (*closed)(void *arg), void *arg);
void peers_free(struct peers *peers);

uint16_t peers_port(const struct peers *peers);

/* Begins to dial every peer on PEER_META, and lets peers in; PEER_FETCH is dialled when
 * peers_want() asks. `cluster_id` "": none yet. */
void peers_join(struct peers *peers, const char *cluster_id, const struct uuid *raft_directory);

/* The cluster is known now: peers of another one are refused. */
void peers_set_cluster(struct peers *peers, const char *cluster_id);

/* Keeps a link of that channel to the peer open from now on, or no longer. */
void peers_want(struct peers *peers, int32_t peer, enum peer_channel channel, bool wanted);

/* The link that we dialled, or NULL while it is not open. */
struct peer_link *peers_link(const struct peers *peers, int32_t peer, enum peer_channel channel);

int32_t link_peer(const struct peer_link *link);
enum peer_channel link_channel(const struct peer_link *link);
bool link_dialled(const struct peer_link *link);

/* Which life of the peer's process is at the other end. */
const struct uuid *link_incarnation(const struct peer_link *link);

/* Rises with every link: a frame of a lower number than the newest of that peer is stale. */
uint64_t link_number(const struct peer_link *link);

/* Whatever the owner wants to find again. */
void link_set_owner(struct peer_link *link, void *owner);
void *link_owner(const struct peer_link *link);

/* Sends one frame: takes over the chain, which is empty afterwards. */
void link_send(struct peer_link *link, struct chain *frame);

/* Bytes that the kernel has not taken yet. */
size_t link_queued(const struct peer_link *link);
void link_close(struct peer_link *link);

void peers_metrics(struct peers *peers, struct metrics *metrics);

#endif
