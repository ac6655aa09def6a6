/* A Kafka client that is as thin as can be: connections over raw sockets, with our own codec for
 * the bodies. Blocking calls to set things up, an epoll loop for the load. It belongs to the tests:
 * here sockets and clocks are used directly, and what goes wrong ends the program. */
#ifndef CHRONIK_TESTS_BENCH_CLIENT_H
#define CHRONIK_TESTS_BENCH_CLIENT_H

#include <chronik/base/arena.h>
#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>
#include <chronik/wire/records.h>

#include <netinet/in.h>

/* Ends the program with a message. */
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

uint64_t now_ns(void);

struct conn {
    int fd;
    int32_t correlation;  /* of the next request */
    struct buf in, out;
    size_t in_at, out_at; /* done with, in bytes */
    bool polls_out;       /* waits until the socket takes more */
    void *owner;
};

/* "host:port", an IPv4 address. */
struct sockaddr_in client_address(const char *text);

/* Connects, blocking. `conn_try` gives -errno instead of ending the program. */
void conn_open(struct conn *conn, const struct sockaddr_in *at);
int conn_try(struct conn *conn, const struct sockaddr_in *at);
void conn_close(struct conn *conn);

/* One request and its response, blocking. The response lives in `arena`, which is cleared first.
 * `conn_try_call` gives false when the connection breaks. */
void conn_call(struct conn *conn, const struct wire_api *api, int16_t version, const void *request,
               struct arena *arena, void *response);
bool conn_try_call(struct conn *conn, const struct wire_api *api, int16_t version,
                   const void *request, struct arena *arena, void *response);

/* Encodes a request as one flat frame; its correlation id is at FRAME_CORRELATION. */
enum { FRAME_CORRELATION = 8 };
struct buf client_frame(const struct wire_api *api, int16_t version, const void *request);

/* Decodes the body of a response frame (without the length). */
void client_decode(const struct wire_api *api, int16_t version, struct bytes frame,
                   struct arena *arena, void *response);

/* ---- the loop ------------------------------------------------------------------------------- */

struct poller {
    int fd;
};

void poller_open(struct poller *poller);

/* From now on the connection does not block; it belongs to the poller until it is closed. */
void poller_add(struct poller *poller, struct conn *conn);

/* Waits until something can be read, or `until_ns` has come. For each connection that can be read
 * `on_frame` is called with every whole frame behind its length, then what it left in `out` is
 * sent. Returns the number of connections served. */
int poller_turn(struct poller *poller, uint64_t until_ns,
                void (*on_frame)(struct conn *conn, struct bytes frame));

/* Sends what is in `out`, as far as the socket takes it. */
void poller_flush(struct poller *poller, struct conn *conn);

/* ---- what the broker costs ------------------------------------------------------------------ */

/* CPU time used so far by a process in ns (0 for pid 0), and by all of the machine. */
uint64_t cpu_of(int pid);
uint64_t cpu_of_all(void);

/* Resident memory of a process in bytes. */
uint64_t memory_of(int pid);

#endif
