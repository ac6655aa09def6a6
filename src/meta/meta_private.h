/* The inside of the metadata (chronik/meta/meta.h).
 *
 *   meta.c             opens, closes; what the Raft replica wants done, and what comes of it
 *   meta_requests.c    requests of this node: asked, repeated, answered
 *   meta_controller.c  the controller's queue: decide, propose, answer
 *   meta_frames.c      requests and answers as bytes, to and from other nodes
 *   meta_liveness.c    who is there: the other nodes for the controller, the controller for each
 *   meta_status.c      where the group stands, metrics
 *
 * Callbacks of the replica and of the disk only change memory; whatever follows is done by one task
 * in the advance step (meta_work). */
#ifndef CHRONIK_SRC_META_META_PRIVATE_H
#define CHRONIK_SRC_META_META_PRIVATE_H

#include "controller.h"

#include <chronik/io/timer.h>
#include <chronik/meta/raft_node.h>
#include <chronik/meta/raft_store.h>

/* A request of this node. */
struct meta_request {
    struct list link;            /* in meta->requests, by sequence number */
    struct meta *meta;
    enum meta_request_kind kind;
    struct arena arena;          /* of everything below */
    struct bytes encoded;
    void *message;               /* decoded */
    int64_t sequence;            /* of its first item */
    size_t n_items;
    uint64_t deadline_ns;
    struct timer deadline;
    meta_done *done;
    void *arg;

    int32_t asked;               /* the node that it was sent to; -1: none yet */
    uint64_t asked_ns;
    void *response;              /* NULL: no answer yet */
    bool *waits;                 /* of each item: its result counts, and is still to come */
    bool *seen;                  /* of each item: its result is known */
    struct apply_result *results;
};

/* A request in the controller's queue. */
struct asked {
    struct list link;
    enum meta_request_kind kind;
    struct command_id id;
    struct meta_request *local;  /* of this node; NULL: of another one */
    struct arena arena;          /* of a request of another node */
    void *message;
    uint64_t deadline_ns;
    uint64_t seen;               /* meta->news when it was decided to wait */
};

struct meta_peer {
    int32_t id;
    int64_t caught_up_ms; /* when it had everything, as the leader saw it; -1: never */
    struct uuid incarnation; /* of the process that its connections lead to; zero: not known */
    uint64_t connection;  /* the newest that a frame came from */
    uint64_t heard_ns;    /* when it last answered as a follower, or asked; 0: never */
    bool ended;           /* its connections are gone, and nobody answers there */
    uint64_t broke_ns;    /* when a connection to it broke; 0: one was made since */
};

/* Who is there (meta_liveness.c). */
struct meta_liveness {
    uint64_t session_ns;
    uint64_t office_ns;       /* when this node began to lead; 0: it does not */
    uint64_t leader_heard_ns; /* when a leader last spoke, or this node led */
    bool lost;                /* no leader was heard for a session */
    bool dirty;               /* something was heard, or has ended, that may change this */
    struct timer timer;       /* the earliest end of a session */
    uint64_t timer_ns;
};

enum meta_state {
    META_OPENING,
    META_STARTING, /* the directory is open; the first vote, or the first entry, is being written */
    META_RUNNING,
    META_FAILED,
    META_CLOSING,
};

struct meta {
    struct loop *loop;
    struct diag *diag;
    const struct meta_events *events;
    void *arg;
    unsigned state; /* enum meta_state */
    char *dir, *cluster_id;
    int32_t node_id;
    struct uuid incarnation;
    struct raft_node_config raft_config;
    struct meta_peer peers[CONTROLLER_VOTERS_MAX]; /* all voters, by id */
    unsigned n_peers;
    const struct meta_transport *transport;
    void *transport_arg;

    struct raft_store *store;
    struct raft_node *node;     /* NULL before it runs */
    uint64_t starting_ticket;   /* the last write before it runs */
    struct raft_disk_state disk; /* to run it with */
    struct buf first_entry;
    struct raft_item first_item;
    struct timer tick;
    struct loop_task work;

    struct image *image;
    bool caught_up;             /* this broker's registration was applied: changes are told */
    struct raft_role role;
    bool role_changed;
    uint64_t term_known;        /* the term, and the controller, that requests were asked in */
    int32_t controller_known;

    struct list requests;
    int64_t next_sequence;
    struct timer again;         /* asks anew what was not answered */

    struct meta_liveness liveness;

    struct controller controller;
    struct list asked;
    uint64_t news;              /* counts what may change a decision */
    uint64_t duties_seen;       /* `news` when there was no duty left */
    uint64_t in_flight;         /* index of the entry that was proposed; 0: none */
    uint64_t proposed_ns;
    struct timer impatience;
    uint64_t office_term;       /* in which it leads; 0: it does not */
    bool office_said;           /* that it is the controller */
    struct timer hurry;         /* elections have waited long enough for others */
    struct timer balance;       /* preferred leaders */
    uint64_t balance_at_ns;

    struct meta_hash {
        uint64_t index, hash;   /* of the image, when it was asked for last */
    } *hash;
    uint64_t entries_applied, entries_proposed, requests_asked, requests_timed_out;
    struct metric_histogram commit_time;

    void (*closed)(void *arg);
    void *closed_arg;
};

static inline uint64_t meta_now_ms(const struct meta *meta)
{
    return loop_now_ns(meta->loop) / NS_PER_MS;
}

/* After every call of the replica: looks at its result, sets the clock, queues the work. */
void meta_after_raft(struct meta *meta, int error);

/* Ends it: once. */
void meta_fail(struct meta *meta, int error, const char *message);

static inline bool meta_runs(const struct meta *meta)
{
    return meta->state == META_RUNNING;
}

/* ---- requests (meta_requests.c) ---------------------------------------------------------------*/

void meta_requests_init(struct meta *meta);

/* Ends all of them with a time-out. */
void meta_requests_end(struct meta *meta);

/* Asks what was not asked of the controller there is; finishes what is complete. */
void meta_requests_work(struct meta *meta);

/* Asks anew what this node was asked and has not answered: it may have got lost. */
void meta_requests_ask_anew(struct meta *meta, int32_t peer);

/* The controller changed: answers of the earlier one count no longer. */
void meta_requests_renew(struct meta *meta);

/* A command with this id was applied here. */
void meta_requests_applied(struct meta *meta, const struct command_id *id,
                           struct apply_result result);

/* A snapshot replaced the image: what was applied on the way is found in it. */
void meta_requests_restored(struct meta *meta);

/* The controller's answer, allocated in the request's arena. */
void meta_request_answer(struct meta_request *request, void *response, const bool *waits);
struct meta_request *meta_request_find(struct meta *meta, int64_t sequence);
struct command_id meta_request_id(const struct meta_request *request);

/* ---- the controller (meta_controller.c) -------------------------------------------------------*/

void meta_controller_init(struct meta *meta, const struct meta_config *config);
void meta_controller_release(struct meta *meta);

/* Takes office, or leaves it. */
void meta_controller_role(struct meta *meta);

/* Decides and proposes what can be. */
void meta_controller_work(struct meta *meta);

/* An entry was applied. */
void meta_controller_applied(struct meta *meta, uint64_t index);

/* Queues a request, unless it is in the queue. A request of another node is `encoded`. */
void meta_controller_ask(struct meta *meta, enum meta_request_kind kind,
                         const struct command_id *id, struct meta_request *local,
                         struct bytes encoded, uint64_t deadline_ns);

/* Forgets a request of this node; all requests of other lives of a node than this one. */
void meta_controller_forget(struct meta *meta, const struct meta_request *request);
void meta_controller_forget_lives(struct meta *meta, int32_t node, const struct uuid *incarnation);

/* Something has changed that a decision may depend on. */
void meta_controller_news(struct meta *meta);

/* ---- liveness (meta_liveness.c) ---------------------------------------------------------------*/

struct meta_peer *meta_peer(struct meta *meta, int32_t id);

void meta_liveness_init(struct meta *meta, unsigned session_ms);
void meta_liveness_end(struct meta *meta);

/* A frame has come from a peer: a Raft frame that says so much of it, or a request. */
void meta_liveness_heard(struct meta *meta, struct meta_peer *peer, enum raft_voice voice);

/* Takes or leaves office. */
void meta_liveness_role(struct meta *meta);

/* Draws the conclusions. */
void meta_liveness_work(struct meta *meta);

/* ---- frames (meta_frames.c) -------------------------------------------------------------------*/

void meta_send_raft(struct meta *meta, int32_t peer, struct chain *frame);
void meta_send_request(struct meta *meta, int32_t peer, const struct meta_request *request);
void meta_send_answer(struct meta *meta, const struct asked *asked, const void *response,
                      const struct decision *d);

#endif
