/* What network.c (kernels and wires) and io_net.c (streams and listeners) share. */
#ifndef CHRONIK_TESTS_SIM_NETWORK_INSIDE_H
#define CHRONIK_TESTS_SIM_NETWORK_INSIDE_H

#include <chronik/io/net.h>

#include "io_inside.h"
#include "network.h"

enum segment_kind { SEGMENT_DATA, SEGMENT_END, SEGMENT_RESET };

struct segment {
    struct list link;
    enum segment_kind kind;
    uint64_t at_ns; /* when it arrives */
    size_t len;
    uint8_t data[];
};

/* One end of a connection, as its kernel sees it; and what it has sent. */
struct side {
    struct connection *connection;
    struct machine *machine;
    struct stream *stream;   /* NULL: not accepted yet, or closed */
    struct list accept;      /* in listener->backlog */
    bool closed;             /* by the process, or with it */
    bool vanished;           /* with its machine's power */
    bool connected, refused; /* of the side that dials */
    bool ended, reset;       /* by the other one */

    struct list sent; /* segments on their way */
    size_t in_flight;
    size_t unacknowledged; /* has arrived, but the sender cannot know */
    uint64_t last_ns;      /* when the last one arrives */
    uint64_t retry_ms;
    struct event arrival; /* of the first one */

    struct buf in; /* received */
    size_t in_at;  /* read so far */
};

struct connection {
    struct list link;
    struct side sides[2]; /* the one that dials first */
    uint16_t port, from_port;
    bool greeted; /* the other kernel knows of it */
    struct event greeting;
    uint64_t greeting_ms;
};

struct path *path_between(const struct side *from, const struct side *to);
uint64_t travel_ns(const struct path *path);
struct side *other_side(struct side *side);

struct side *network_dial(struct machine *from, struct machine *to, uint16_t port,
                          struct stream *stream);

/* Sends the first `len` bytes of the slices. */
void side_send(struct side *side, enum segment_kind kind, const struct slice *slices, size_t n,
               size_t len);

/* Bytes that the kernel takes now. */
size_t side_room(struct side *side);

/* The process has done with it. */
void side_close(struct side *side, bool reset);

/* Something has happened to the stream's side. */
void stream_happens(struct stream *stream);

struct listener *listener_find(const struct machine *machine, uint16_t port);
void listener_offer(struct listener *listener, struct side *side);

#endif
