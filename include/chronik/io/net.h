/* Sockets: listeners and streams of bytes.
 *
 * Reading costs an idle connection no buffer: bytes arrive in one buffer of the loop, or where the
 * owner wants them (`room`). Sending only queues; the turn's flush step writes everything queued on
 * a stream with one writev. Back-pressure both ways: stream_pause() stops reading, `drained` says
 * when a long queue has gone. */
#ifndef CHRONIK_IO_NET_H
#define CHRONIK_IO_NET_H

#include <chronik/base/blob.h>
#include <chronik/base/text.h>
#include <chronik/io/loop.h>

struct stream;
struct listener;

struct net_address {
    uint8_t ip[16]; /* IPv4 addresses are mapped (::ffff:a.b.c.d) */
    uint16_t port;
};

enum { NET_ADDRESS_TEXT = 64 };

/* "192.0.2.1:9092" or "[2001:db8::1]:9092". Returns `to`. */
const char *net_format(const struct net_address *address, char to[NET_ADDRESS_TEXT]);
bool net_is_loopback(const struct net_address *address);

struct stream_handler {
    /* The connection that stream_connect() asked for is there. */
    void (*opened)(struct stream *stream);

    /* Optional: where the next bytes should go, at least one byte of room; NULL: in the loop's
     * buffer. Lets a large frame be read without a copy. */
    uint8_t *(*room)(struct stream *stream, size_t *ret_len);

    /* Bytes have arrived; they are valid during the call (or lie in the room given above). */
    void (*data)(struct stream *stream, struct bytes data);

    /* The queue of bytes to send has fallen to NET_LOW_WATER or below, after having been above
     * NET_HIGH_WATER. Called in the flush step. Optional. */
    void (*drained)(struct stream *stream);

    /* The stream is gone: 0 when the peer or stream_close() ended it, else -errno. The last call;
     * never made from inside another call of this API. What was queued is dropped, except that a
     * peer that ends its side still gets what is queued by the end of that turn. */
    void (*closed)(struct stream *stream, int error);
};

enum { NET_LOW_WATER = 256 * 1024, NET_HIGH_WATER = 1024 * 1024 }; /* bytes */

/* Opens a listening socket. `host`: an address or a name; NULL, "", "0.0.0.0" and "::" mean all
 * addresses, IPv4 and IPv6; "localhost" means both loopback addresses. Port 0 takes a free one.
 * `accepted` gets each new stream, not reading yet; it answers with stream_start() or
 * stream_close(). 0 or -errno (-EADDRINUSE, -EADDRNOTAVAIL, …). Blocks for name resolution. */
int listener_open(struct loop *loop, const char *host, uint16_t port,
                  void (*accepted)(void *arg, struct stream *stream), void *arg,
                  struct listener **ret_listener);
void listener_close(struct listener *listener);
uint16_t listener_port(const struct listener *listener);

/* Stops and goes on accepting. Out of descriptors the listener pauses itself for a moment. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Connects; `opened` or `closed` follows: -EADDRNOTAVAIL when there is no such name. Resolves names
 * off the loop and tries each address of a name. What is sent before `opened` waits for it. */
struct stream *stream_connect(struct loop *loop, const char *host, uint16_t port,
                              const struct stream_handler *handler, void *owner);

/* Starts a stream that was accepted. */
void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner);
void *stream_owner(const struct stream *stream);

const struct net_address *stream_peer(const struct stream *stream);
const struct net_address *stream_local(const struct stream *stream);

/* Stops and goes on reading. A stream starts reading. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Queues bytes: takes over all slices of the chain, which is empty afterwards. */
void stream_send(struct stream *stream, struct chain *chain);

/* Queued bytes that the kernel has not taken yet. */
size_t stream_queued(const struct stream *stream);

/* Closes at once (`closed` follows, in a later step), or when all that is queued has been sent;
 * either may be called again. Nothing is read any more. A stream that was never started is simply
 * gone, without `closed`. */
void stream_close(struct stream *stream);
void stream_close_after_flush(struct stream *stream);

#endif
