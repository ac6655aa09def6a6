/* The server: listeners, limits over all connections, the orderly end.
 *
 * Memory: frames that are complete may use all of `memory_bytes`, incomplete ones three quarters. A
 * connection whose incomplete frame does not fit waits its turn; while somebody waits, the
 * incomplete frame that has not moved for the longest time (and for five seconds at least) is given
 * up, so that clients which announce much and send little cannot keep others out. */
#include "conn.h"

#include <errno.h>

struct server_listener {
    struct list link;
    struct server *server;
    struct listener *listener;
    char *name;
};

enum { STALL_S = 5 }; /* an incomplete frame may stand still this long while others wait */

/* ---- memory ----------------------------------------------------------------------------------*/

void server_memory_add(struct server *server, uint64_t bytes)
{
    server->counters.memory_bytes += bytes;
}

static void wake_waiting(struct server *server)
{
    struct list *first = list_first(&server->waiting);
    if (first != NULL && server_partial_fits(server, KIB(64))) {
        conn_resume_memory(container_of(first, struct conn, waiting));
    }
}

void server_memory_sub(struct server *server, uint64_t bytes)
{
    check(bytes <= server->counters.memory_bytes);
    server->counters.memory_bytes -= bytes;
    wake_waiting(server);
}

bool server_partial_fits(const struct server *server, uint64_t bytes)
{
    uint64_t limit = server->limits.memory_bytes;
    /* One frame always fits, however large: otherwise it would wait for ever. */
    return server->partial_bytes == 0 ||
           (server->partial_bytes + bytes <= limit / 4 * 3 &&
            server->counters.memory_bytes + bytes <= limit);
}

void server_partial_add(struct server *server, uint64_t bytes)
{
    server->partial_bytes += bytes;
    server_memory_add(server, bytes);
}

void server_partial_sub(struct server *server, uint64_t bytes)
{
    check(bytes <= server->partial_bytes);
    server->partial_bytes -= bytes;
    server_memory_sub(server, bytes);
}

static void evict_stalled(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, evict);
    uint64_t now = loop_now_ns(server->loop);

    list_each (it, &server->partials) {
        struct conn *conn = container_of(it, struct conn, partial.link);
        if (conn->partial.progress_ns + STALL_S * NS_PER_S > now) {
            break;
        }
        if ((conn->paused & PAUSE_MEMORY) == 0) {
            server->counters.slow_closed_total++;
            conn_abort(conn);
        }
    }
    if (!list_empty(&server->waiting)) {
        timer_set_in(timer, NS_PER_S);
    }
}

/* ---- connections -----------------------------------------------------------------------------*/

static bool ip_is(const struct map_node *node, const void *key)
{
    return memcmp(container_of(node, struct ip_count, node)->ip, key, 16) == 0;
}

static struct ip_count *count_ip(struct server *server, const uint8_t ip[16])
{
    uint64_t hash = hash_bytes(server->seed, ip, 16);
    struct map_node *node = map_find(&server->ips, hash, ip_is, ip);
    struct ip_count *count = node ? container_of(node, struct ip_count, node) : NULL;
    if (count == NULL) {
        count = mem_zalloc(sizeof *count);
        memcpy(count->ip, ip, 16);
        map_insert(&server->ips, &count->node, hash);
    }
    count->connections++;
    return count;
}

static void uncount_ip(struct server *server, struct ip_count *count)
{
    if (--count->connections == 0) {
        map_remove(&server->ips, &count->node);
        free(count);
    }
}

static void accepted(void *arg, struct stream *stream)
{
    struct server_listener *listener = arg;
    struct server *server = listener->server;
    struct ip_count *ip = count_ip(server, stream_peer(stream)->ip);
    const char *limit = NULL;

    if (server->counters.connections_open >= server->limits.connections_max) {
        limit = "max.connections";
    } else if (ip->connections > server->limits.connections_per_ip_max) {
        limit = "max.connections.per.ip";
    }
    if (limit != NULL || server->stopping) {
        char peer[NET_ADDRESS_TEXT];
        uint32_t left_out;
        server->counters.connections_refused++;
        if (limit != NULL && diag_allow(&server->refused_limit, loop_now_ns(server->loop),
                                        NS_PER_S, &left_out)) {
            diag_warn(server->diag, DIAG_SERVER,
                      "connection refused: %s is reached; close connections or raise it peer=%s "
                      "open=%llu not_shown=%u",
                      limit, net_format(stream_peer(stream), peer),
                      (unsigned long long)server->counters.connections_open, left_out);
        }
        uncount_ip(server, ip);
        stream_close(stream);
        return;
    }
    server->counters.connections_open++;
    server->counters.connections_total++;
    conn_new(server, stream, listener->name, ip);
}

static void finish_stop(struct server *server)
{
    timer_cancel(&server->stop_timer);
    server->stopped(server->stopped_arg);
}

void server_conn_closed(struct server *server, struct conn *conn)
{
    list_remove(&conn->link);
    uncount_ip(server, conn->ip);
    server->counters.connections_open--;
    if (server->stopping && list_empty(&server->conns)) {
        finish_stop(server);
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

static void grace_is_over(struct timer *timer)
{
    struct server *server = container_of(timer, struct server, stop_timer);
    list_each (it, &server->conns) {
        conn_abort(container_of(it, struct conn, link));
    }
}

struct server *server_new(struct loop *loop, struct diag *diag, struct api *api,
                          const struct server_limits *limits)
{
    struct server *server = mem_zalloc(sizeof *server);
    server->loop = loop;
    server->diag = diag;
    server->api = api;
    server->limits = *limits;
    list_init(&server->listeners);
    list_init(&server->conns);
    list_init(&server->partials);
    list_init(&server->waiting);
    map_init(&server->ips);
    loop_random(loop, &server->seed, sizeof server->seed);
    timer_init(&server->evict, loop, evict_stalled);
    timer_init(&server->stop_timer, loop, grace_is_over);
    return server;
}

int server_listen(struct server *server, const char *name, const char *host, uint16_t port,
                  uint16_t *ret_port)
{
    struct server_listener *listener = mem_zalloc(sizeof *listener);
    int error = listener_open(server->loop, host, port, accepted, listener, &listener->listener);
    if (error != 0) {
        free(listener);
        return error;
    }
    listener->server = server;
    listener->name = mem_strdup(name);
    list_push_back(&server->listeners, &listener->link);
    *ret_port = listener_port(listener->listener);
    return 0;
}

void server_stop(struct server *server, uint64_t grace_ns, void (*stopped)(void *arg), void *arg)
{
    server->stopping = true;
    server->stopped = stopped;
    server->stopped_arg = arg;
    list_each (it, &server->listeners) {
        struct server_listener *listener = container_of(it, struct server_listener, link);
        listener_close(listener->listener);
        listener->listener = NULL;
    }
    if (list_empty(&server->conns)) {
        finish_stop(server);
        return;
    }
    list_each (it, &server->conns) {
        conn_stop(container_of(it, struct conn, link));
    }
    timer_set_in(&server->stop_timer, grace_ns);
}

void server_free(struct server *server)
{
    struct list *it;
    if (server == NULL) {
        return;
    }
    check(list_empty(&server->conns));
    timer_cancel(&server->evict);
    timer_cancel(&server->stop_timer);
    while ((it = list_pop_front(&server->listeners)) != NULL) {
        struct server_listener *listener = container_of(it, struct server_listener, link);
        if (listener->listener != NULL) {
            listener_close(listener->listener);
        }
        free(listener->name);
        free(listener);
    }
    map_release(&server->ips);
    free(server);
}

const struct server_counters *server_counters(const struct server *server)
{
    return &server->counters;
}

const struct server_limits *server_limits(const struct server *server)
{
    return &server->limits;
}

static double read_u64(const void *arg)
{
    return (double)*(const uint64_t *)arg;
}

void server_metrics(struct server *server, struct metrics *metrics)
{
    const struct server_counters *c = &server->counters;
    metrics_gauge(metrics, "kafka_server_socket_server_metrics_connection_count",
                  "Open client connections.", "", read_u64, &c->connections_open);
    metrics_counter(metrics, "chronikd_connections_total", "Client connections accepted.", "",
                    &c->connections_total);
    metrics_counter(metrics, "chronikd_connections_refused_total",
                    "Client connections refused because a limit was reached.", "",
                    &c->connections_refused);
    metrics_counter(metrics, "chronikd_requests_total", "Requests received.", "",
                    &c->requests_total);
    metrics_counter(metrics, "chronikd_bad_frames_total",
                    "Connections closed because of a frame that is no request.", "",
                    &c->bad_frames_total);
    metrics_counter(metrics, "chronikd_idle_connections_closed_total",
                    "Connections closed after connections.max.idle.ms.", "",
                    &c->idle_closed_total);
    metrics_counter(metrics, "chronikd_slow_connections_closed_total",
                    "Connections closed because a frame did not get complete in time.", "",
                    &c->slow_closed_total);
    metrics_counter(metrics, "chronikd_received_bytes_total", "Bytes of request frames.", "",
                    &c->bytes_in);
    metrics_counter(metrics, "chronikd_sent_bytes_total", "Bytes of response frames.", "",
                    &c->bytes_out);
    metrics_gauge(metrics, "chronikd_request_memory_bytes",
                  "Memory of requests under way and of incomplete frames.", "", read_u64,
                  &c->memory_bytes);
}
