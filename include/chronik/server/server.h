/* The front door: listeners, connections, frames in and out.
 *
 * A connection reads frames, turns each into a request (api/request.h) and sends replies in request
 * order. What clients can make the broker hold is bounded here: the number of connections, the size
 * of frames before and after they arrive, the bytes of all requests under way, the requests of one
 * connection, the replies that a slow client does not read. At a bound the broker stops reading the
 * sockets concerned; it does not grow (docs/hardening.md). */
#ifndef CHRONIK_SERVER_SERVER_H
#define CHRONIK_SERVER_SERVER_H

#include <chronik/api/request.h>
#include <chronik/base/diag.h>
#include <chronik/base/map.h>
#include <chronik/base/metric.h>
#include <chronik/io/timer.h>

struct server;

struct server_limits {
    uint64_t frame_bytes_max;       /* socket.request.max.bytes */
    uint64_t memory_bytes;          /* of all requests under way: queued.max.request.bytes */
    unsigned connections_max;       /* max.connections */
    unsigned connections_per_ip_max; /* max.connections.per.ip */
    unsigned pipeline_max;          /* requests of one connection under way */
    uint64_t idle_ns;               /* connections.max.idle.ms */
    uint64_t frame_ns;              /* a frame must be complete this long after its first byte, plus
                                       one second for each 64 KiB */
};

#define SERVER_LIMITS_DEFAULT                                                                      \
    (struct server_limits)                                                                         \
    {                                                                                              \
        .frame_bytes_max = MIB(100), .memory_bytes = MIB(256), .connections_max = 10000,           \
        .connections_per_ip_max = 10000, .pipeline_max = 64, .idle_ns = 600 * NS_PER_S,            \
        .frame_ns = 30 * NS_PER_S,                                                                 \
    }

struct server_counters {
    uint64_t connections_open, connections_total, connections_refused;
    uint64_t requests_total, bad_frames_total, idle_closed_total, slow_closed_total;
    uint64_t bytes_in, bytes_out;
    uint64_t memory_bytes; /* of requests under way */
};

struct server *server_new(struct loop *loop, struct diag *diag, struct api *api,
                          const struct server_limits *limits);

/* Opens one listener; `name` as in `listeners`. 0 or -errno. Port 0 takes a free one. */
int server_listen(struct server *server, const char *name, const char *host, uint16_t port,
                  uint16_t *ret_port);

/* Stops accepting, lets requests under way finish for up to `grace_ns`, closes everything, then
 * calls `stopped`. */
void server_stop(struct server *server, uint64_t grace_ns, void (*stopped)(void *arg), void *arg);
void server_free(struct server *server);

const struct server_counters *server_counters(const struct server *server);
const struct server_limits *server_limits(const struct server *server);
void server_metrics(struct server *server, struct metrics *metrics);

#endif
