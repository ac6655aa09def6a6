/* What the files of the network part share: addresses, sockets, the inside of a stream. */
#ifndef CHRONIK_IO_NET_INSIDE_H
#define CHRONIK_IO_NET_INSIDE_H

#include <chronik/io/net.h>
#include <netdb.h>
#include <sys/socket.h>

#include "inside.h"

/* ---- addresses (address.c) --------------------------------------------------------------------*/

/* From a socket address of IPv4 or IPv6. */
struct net_address address_of(const struct sockaddr *from);

/* getaddrinfo() with errors as -errno; -EADDRNOTAVAIL when there is no such name. */
int address_resolve(const char *host, uint16_t port, int flags, struct addrinfo **ret_list);

/* ---- listeners (listener.c) -------------------------------------------------------------------*/

typedef void accepted_socket(void *arg, int fd, const struct sockaddr *peer, socklen_t len);

/* listener_open() for those who want the sockets themselves, non-blocking. */
int listener_open_sockets(struct loop *loop, const char *host, uint16_t port,
                          accepted_socket *accepted, void *arg, struct listener **ret_listener);

/* What every socket of ours gets; accepted ones inherit it from the listening one. */
void socket_set_options(int fd);

/* ---- streams (stream.c, dial.c) ---------------------------------------------------------------*/

enum stream_state { STREAM_DIALING, STREAM_ACCEPTED, STREAM_OPEN, STREAM_ENDING, STREAM_CLOSED };

struct stream {
    uv_poll_t poll; /* of `fd`, while `polled` */
    struct loop *loop;
    const struct stream_handler *handler; /* NULL: accepted, not started */
    void *owner;
    struct dial *dial; /* while it connects */
    struct chain out;  /* to be sent; what has been sent is cut off or skipped */
    size_t out_first;  /* the first slice of it that has not been sent */
    struct loop_task flush;
    struct net_address peer, local;
    int fd;
    int error;        /* for `closed` */
    unsigned state;   /* enum stream_state */
    uint8_t interest; /* events that are polled for */
    bool polled, paused;
    bool peer_ended; /* noticed while paused */
    bool blocked;    /* the kernel takes no more: wait until it does */
    bool above_high; /* `drained` is due */
};

struct stream *stream_new(struct loop *loop, enum stream_state state);

/* Polls the socket for what the state asks for. */
void stream_poll(struct stream *stream, uv_poll_cb callback);
void stream_update(struct stream *stream);
void stream_opened(struct stream *stream);

/* Begins the end: 0 or the -errno that `closed` will tell. */
void stream_end(struct stream *stream, int error);

/* Calls `closed` and frees the stream. */
void stream_finish(struct stream *stream);

/* The stream is closed while it connects. */
void dial_abandon(struct dial *dial);

int socket_error(int fd);

#endif
