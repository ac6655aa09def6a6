/* One link to another node (private to the server layer): handshake and frames.
 *
 *   dialler                              acceptor
 *   hello (who, whom, channel, nonce) ─>
 *                                     <─ hello answer (who, nonce, proof)
 *   proof                             ─>
 *                                     <─ proof answer: open, or refused and why
 *   frames                           <─> frames
 *
 * A link whose other end has gone without a word (a power cut, a firewall that forgot it) looks
 * open for as long as the kernel goes on trying, or for ever when this end has nothing to send. So
 * both ends send an empty frame each second, and close a link on which nothing has come for three.
 *
 * A proof is HMAC(secret, side ‖ the hello ‖ who the acceptor is ‖ its nonce): both know the
 * secret, both are the nodes they say, in this exchange. */
#ifndef CHRONIK_SERVER_PEER_LINK_H
#define CHRONIK_SERVER_PEER_LINK_H

#include <chronik/io/crypto.h>
#include <chronik/io/timer.h>
#include <chronik/server/peers.h>

enum link_state {
    LINK_DIALLING,   /* connecting */
    LINK_GREETING,   /* dialler: the hello is sent; acceptor: waits for it */
    LINK_PROVING,    /* dialler: the proof is sent; acceptor: waits for it */
    LINK_OPEN,
};

/* Why a link is refused; travels in answers. */
enum peer_refusal {
    PEER_ACCEPTED,
    PEER_WRONG_SECRET,
    PEER_WRONG_CLUSTER,
    PEER_WRONG_NODE,    /* of the one dialled */
    PEER_UNKNOWN_NODE,  /* of the dialler */
    PEER_WRONG_VERSION,
    PEER_STALE,         /* a newer link of that node is known */
    PEER_WRONG_VOTERS,  /* other nodes are to decide together there */
    PEER_WIPED,         /* of the dialler: its Raft directory is not the one it had */
    PEER_TAKEN,         /* another process with the dialler's node id is connected */
    PEER_STARTING,      /* come again: this node has only begun to start */
};

enum {
    PEER_PROTOCOL = 1,           /* rises when nodes of different versions cannot talk any more */
    PEER_NONCE = 32,             /* bytes */
    PEER_GREETING_MAX = 4096,    /* of a frame before the link is open */
    PEER_FRAME_MAX = 256 << 20,  /* after that; bounds what a broken peer can make us hold */
    PEER_GREETING_S = 5,         /* the handshake must be over by then */
    PEER_SIGN_MS = 1000,         /* an open link sends an empty frame so often, as a sign of life */
    PEER_SILENCE_MS = 3000,      /* and is closed when nothing has come for so long */
};

struct peer_link {
    struct list link; /* in peers->links */
    struct peers *peers;
    struct stream *stream;
    unsigned state;
    bool dialled, closing;
    int32_t peer; /* -1: not known yet */
    enum peer_channel channel;
    struct uuid incarnation, raft_directory; /* of the peer */
    int64_t connection;      /* the dialler's count */
    uint64_t heard_ns;       /* when bytes last came */
    uint64_t number;
    void *owner;

    struct blob *frame; /* the frame that is arriving */
    uint32_t have;      /* bytes of it */
    uint8_t prefix[4];
    uint8_t prefix_have;

    struct timer timer;  /* the handshake's end; then the next sign of life */
    struct buf hello;    /* what both sides have said of themselves, until the link is open */
    uint8_t nonce[PEER_NONCE]; /* the acceptor's */
};

/* Begins to dial; or takes over an accepted stream. */
struct peer_link *link_dial(struct peers *peers, const struct peer_address *address,
                            enum peer_channel channel);
void link_accept(struct peers *peers, struct stream *stream);

/* ---- of the peers, for the link --------------------------------------------------------------*/

struct peers {
    struct loop *loop;
    struct diag *diag;
    struct peers_config config; /* strings and addresses are copies */
    const struct peers_handler *handler;
    void *arg;
    struct listener *listener;
    struct list links;
    struct dial *dials;  /* n_peers × PEER_CHANNELS */
    bool joined;
    char *cluster_id;    /* "": none yet */
    struct uuid raft_directory;
    uint64_t voters;     /* a hash of all ids */
    uint64_t n_links;    /* numbers given out */
    int64_t n_connections;
    struct diag_limit refused_limit;
    uint64_t opened_total, refused_total;
    bool closing;
    struct loop_task closed_task;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* The address of a peer, or NULL: not a node of this cluster. */
const struct peer_address *peers_address(const struct peers *peers, int32_t node_id);

/* The handshake of an accepted link is done. PEER_STALE, PEER_TAKEN: another link of this peer and
 * channel counts. An older one is closed. */
enum peer_refusal peers_opened(struct peers *peers, struct peer_link *link);

/* The link is gone, for whatever reason; `error` as of the stream. */
void peers_closed(struct peers *peers, struct peer_link *link, int error);

/* One clear line about a link that was refused, by us or by the peer; not again for a minute. */
void peers_say_refused(struct peers *peers, const struct peer_link *link, bool by_us,
                       const char *why);

/* The peer has told that it has only begun to start. */
void peers_note_starting(struct peers *peers, const struct peer_link *link);

#endif
