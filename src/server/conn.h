/* One client connection (private to the server layer).
 *
 * Bytes become frames, frames become requests, requests become replies in the same order.
 *
 *   stream ──data──> conn_take(): whole frames straight from the loop's buffer,
 *                    the rest into `partial`, or `stash` while something holds the connection up
 *   frame  ────────> request: copied to its arena (small) or kept as a blob (large)
 *   request ───────> handler, unless it has to wait for earlier ones (`blocked`)
 *     f i n i s h e d   ─ ─ ─ ─ ─ ─ >   t h e   a d v a n c e   s t e p   e n c o d e s   a n d   s
 * e n d s   w h a t   i s   f i n i s h e d   a t   t h e   h e a d   o f   t h e   q u e u e */
#ifndef CHRONIK_SERVER_CONN_H
#define CHRONIK_SERVER_CONN_H

#include <chronik/server/server.h>

/* Why a connection is not read: any bit set means paused. */
enum conn_pause {
    PAUSE_ORDER = 1,   /* a request waits for earlier ones, or too many are under way */
    PAUSE_OUTPUT = 2,  /* the client does not read its replies */
    PAUSE_MEMORY = 4,  /* the memory for incomplete frames is used up */
    PAUSE_CLOSING = 8, /* nothing more is wanted */
};

struct ip_count {
    struct map_node node;
    uint8_t ip[16];
    unsigned connections;
};

/* A frame that has begun to arrive. */
struct partial {
    struct blob *blob;     /* room for what has come and a little more; NULL: no length yet */
    uint32_t have, len;    /* bytes of it here, and bytes in all */
    uint8_t prefix[FRAME_PREFIX];
    uint8_t prefix_have;
    struct list link;      /* in server->partials, the one with the oldest progress first */
    uint64_t progress_ns;  /* when bytes last came */
};

struct conn {
    struct list link; /* in server->conns */
    struct server *server;
    struct stream *stream;
    struct ip_count *ip;
    const char *listener;
    struct list requests;    /* under way, oldest first */
    unsigned n_requests;
    unsigned n_exclusive;    /* started requests that are not API_PIPELINED, or hold the others */
    struct request *blocked; /* the newest one, not started yet */
    struct partial partial;
    struct buf stash;        /* bytes behind what could be taken */
    unsigned paused;         /* set of enum conn_pause */
    struct loop_task advance; /* queued when a request has finished or a pause may end */
    struct list waiting;     /* in server->waiting while PAUSE_MEMORY */
    struct timer timer;      /* idle, or the frame's deadline */
    uint64_t active_ns;      /* when bytes last came or a reply went */
    uint64_t frame_deadline_ns;
};

enum { SMALL_FRAME = 64 * 1024 }; /* bytes: up to this a frame is copied to the request's arena */

/* Takes over a stream that was accepted. */
void conn_new(struct server *server, struct stream *stream, const char *listener,
              struct ip_count *ip);

/* Goes on after memory for incomplete frames has become free. */
void conn_resume_memory(struct conn *conn);

/* Ends the connection when its requests have been answered; asks parked ones to hurry. */
void conn_stop(struct conn *conn);

/* Ends it now. */
void conn_abort(struct conn *conn);

/* ---- of the server, for the connection -------------------------------------------------------*/

struct server {
    struct loop *loop;
    struct diag *diag;
    struct api *api;
    struct server_limits limits;
    struct server_counters counters;
    struct list listeners;
    struct list conns;
    struct map ips; /* struct ip_count */
    uint64_t seed;

    uint64_t partial_bytes; /* of incomplete frames; a part of counters.memory_bytes */
    struct list partials;   /* struct partial, oldest progress first */
    struct list waiting;    /* struct conn: want memory for an incomplete frame, first come first */
    struct timer evict;     /* set while somebody waits */

    struct diag_limit bad_frame_limit, refused_limit, slow_limit;
    struct timer stop_timer;
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* Memory of requests under way: `bytes` more, or fewer. */
void server_memory_add(struct server *server, uint64_t bytes);
void server_memory_sub(struct server *server, uint64_t bytes);

/* May an incomplete frame grow by that much? Incomplete frames get three quarters of the memory:
 * the rest is for frames that are complete, so that clients which never finish cannot starve
 * others. */
bool server_partial_fits(const struct server *server, uint64_t bytes);
void server_partial_add(struct server *server, uint64_t bytes);
void server_partial_sub(struct server *server, uint64_t bytes);

/* The connection is gone: forget it. */
void server_conn_closed(struct server *server, struct conn *conn);

#endif
