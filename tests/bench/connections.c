/* Modes storm and idle: many connections that each ask for ApiVersions.
 *
 * storm closes each one as soon as it is answered and opens the next; a reset instead of a normal
 * close keeps ports from running out. idle holds them all, then says how much memory the broker has
 * grown by. */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { API_VERSIONS_VERSION = 0 };

struct storm {
    const struct options *options;
    struct sockaddr_in at;
    struct window window;
    struct poller poller;
    struct histogram latency;
    struct buf frame; /* the request */
    uint64_t done;    /* in the window */
};

struct visitor {
    struct storm *storm;
    struct conn conn;
    uint64_t begin_ns;
};

static struct buf api_versions_frame(void)
{
    struct api_versions_request request = api_versions_request_default;
    return client_frame(&wire_api_versions, API_VERSIONS_VERSION, &request);
}

/* Connects without waiting; the request goes as soon as the socket takes it. */
static void visit(struct visitor *v)
{
    struct storm *s = v->storm;
    v->begin_ns = now_ns();
    v->conn.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (v->conn.fd < 0 || (connect(v->conn.fd, (struct sockaddr *)&s->at, sizeof s->at) < 0 &&
                           errno != EINPROGRESS)) {
        fail("connect: %s", strerror(errno));
    }
    v->conn.in_at = v->conn.out_at = 0;
    buf_clear(&v->conn.in);
    buf_clear(&v->conn.out);
    buf_put(&v->conn.out, s->frame.data, s->frame.len);
    v->conn.polls_out = true;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = &v->conn };
    check(epoll_ctl(s->poller.fd, EPOLL_CTL_ADD, v->conn.fd, &event) == 0);
}

static void leave(struct visitor *v)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(v->conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(v->conn.fd);
    v->conn.fd = -1;
}

static void on_answer(struct conn *conn, struct bytes frame)
{
    struct visitor *v = conn->owner;
    struct storm *s = v->storm;
    if (frame.len < 6 || load_be16(frame.data + 4) != KAFKA_NONE) {
        fail("storm: ApiVersions was refused");
    }
    if (window_open(&s->window)) {
        histogram_add(&s->latency, now_ns() - v->begin_ns);
        s->done++;
    }
    leave(v);
}

void run_storm(const struct options *o)
{
    struct storm *s = mem_zalloc(sizeof *s);
    struct visitor *visitors = mem_zalloc_array((size_t)o->connections, sizeof *visitors);
    s->options = o;
    s->at = client_address(o->connect);
    s->frame = api_versions_frame();
    poller_open(&s->poller);
    window_plan(&s->window, o);
    for (int64_t i = 0; i < o->connections; i++) {
        visitors[i].storm = s;
        visitors[i].conn.owner = &visitors[i];
        visit(&visitors[i]);
    }
    while (!s->window.ended) {
        poller_turn(&s->poller, window_next(&s->window), on_answer);
        for (int64_t i = 0; i < o->connections; i++) {
            if (visitors[i].conn.fd < 0) {
                visit(&visitors[i]);
            }
        }
        window_tick(&s->window, now_ns());
    }
    printf("mode=storm connections_s=%.0f", (double)s->done / window_seconds(&s->window));
    histogram_print(&s->latency, "");
    window_print(&s->window);
    printf("\n");
    for (int64_t i = 0; i < o->connections; i++) {
        conn_close(&visitors[i].conn);
    }
    buf_release(&s->frame);
    free(visitors);
    free(s);
}

void run_idle(const struct options *o)
{
    struct sockaddr_in at = client_address(o->connect);
    struct conn *conns = mem_zalloc_array((size_t)o->count, sizeof *conns);
    struct arena arena;
    struct api_versions_request request = api_versions_request_default;
    struct api_versions_response response;
    struct window window;
    arena_init(&arena, 0);
    uint64_t before = memory_of((int)o->pid), begin = now_ns();
    for (int64_t i = 0; i < o->count; i++) {
        conn_open(&conns[i], &at);
        conn_call(&conns[i], &wire_api_versions, API_VERSIONS_VERSION, &request, &arena, &response);
        buf_release(&conns[i].in);
    }
    double opened_s = (double)(now_ns() - begin) / 1e9;
    window_plan(&window, o);
    while (!window.ended) {
        usleep(1000);
        window_tick(&window, now_ns());
    }
    int64_t grown = (int64_t)(memory_of((int)o->pid) - before);
    printf("mode=idle count=%ld bytes_each=%.0f opened_s=%.0f broker_cpu_percent=%.3f",
           (long)o->count, o->count > 0 ? (double)grown / (double)o->count : 0,
           (double)o->count / opened_s,
           (double)window.broker_ns / 1e7 / window_seconds(&window));
    window_print(&window);
    printf("\n");
    for (int64_t i = 0; i < o->count; i++) {
        conn_close(&conns[i]);
    }
    arena_release(&arena);
    free(conns);
}
