/* One request on its way through the broker.
 *
 * The server makes it when a whole frame has arrived; a handler (src/api/NN_name.c) fills in a
 * reply and finishes it, at once or much later; the server sends the replies of a connection in the
 * order of its requests. The request's arena holds the decoded body, the reply and whatever the
 * handler needs; all of it goes when the reply has been encoded.
 *
 * A connection may close while a request is under way. The handler is told through `cancel` when it
 * has set one (a parked fetch need not stay parked); otherwise it goes on and finishes as usual,
 * and the reply is dropped. */
#ifndef CHRONIK_API_REQUEST_H
#define CHRONIK_API_REQUEST_H

#include <chronik/base/arena.h>
#include <chronik/base/list.h>
#include <chronik/io/net.h>
#include <chronik/wire/error.h>
#include <chronik/wire/frame.h>

struct api;
struct api_entry;

enum request_outcome {
    REQUEST_OPEN,   /* under way */
    REQUEST_REPLY,  /* `reply` is to be sent */
    REQUEST_SILENT, /* no answer at all (acks=0) */
    REQUEST_CLOSE,  /* the connection is to be closed: the protocol has no better answer */
};

struct request {
    struct list link; /* server: in the connection's queue, oldest first */
    void *server;     /* server: itself */
    void *conn;       /* server: the connection, NULL once it has closed */
    struct api *api;
    const struct api_entry *entry;
    struct request_header header;
    const struct net_address *peer; /* NULL once the connection has closed */
    const char *listener;           /* the name of the listener it came through: "PLAINTEXT" */
    struct arena arena;
    struct blob *frame;   /* what the views in `body` point into, unless it is in the arena */
    void *body;           /* decoded: struct <api>_request */
    void *reply;          /* struct <api>_response with defaults; the handler fills it in */
    uint64_t received_ns; /* loop time at which the frame was complete */
    uint64_t frame_bytes;

    void *state;                              /* of the handler */
    void (*cancel)(struct request *request);  /* of the handler: the connection has closed */
    void (*finished)(struct request *request); /* of the server: takes the request back */
    void (*hold)(struct request *request, bool on); /* of the server; see request_hold() */
    enum request_outcome outcome;
};

/* Ends a request; it must not be used any more. May be called from inside the handler. */
void request_finish(struct request *request, enum request_outcome outcome);

static inline void request_reply(struct request *request)
{
    request_finish(request, REQUEST_REPLY);
}

/* While on, no later request of the connection begins, not even a pipelined one: its batches must
 * be appended behind those of this one. Off again before the request ends. */
static inline void request_hold(struct request *request, bool on)
{
    request->hold(request, on);
}

/* `n` zeroed items that live as long as the request. Never NULL: a budget bounds what a client's
 * bytes decode to, not what the broker answers. */
void *request_alloc(struct request *request, size_t n, size_t size);

/* The same for elements of a reply, with the defaults of their schema:
 *     out->topics = request_items(request, n, fetch_response_topic); */
#define request_items(request, n, type)                                                            \
    ((struct type *)request_fill(request, n, sizeof(struct type), &type##_default))
void *request_fill(struct request *request, size_t n, size_t size, const void *item);

/* A copy of a string that lives as long as the request: for what the metadata owns, which may
 * change before the reply is encoded. NULL gives a null text. */
struct text request_text(struct request *request, const char *s);

#endif
