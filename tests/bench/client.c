/* Connections, blocking calls and the epoll loop of the load generator. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, FRAME_MAX = 1 << 30 };

void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct sockaddr_in client_address(const char *text)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        fail("not host:port: %s", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1) {
        fail("not an IPv4 address: %s", host);
    }
    return at;
}

int conn_try(struct conn *conn, const struct sockaddr_in *at)
{
    *conn = (struct conn){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if (conn->fd < 0) {
        fail("socket: %s", strerror(errno));
    }
    if (connect(conn->fd, (const struct sockaddr *)at, sizeof *at) < 0) {
        int error = -errno;
        close(conn->fd);
        return error;
    }
    int on = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}

void conn_open(struct conn *conn, const struct sockaddr_in *at)
{
    int error = conn_try(conn, at);
    if (error < 0) {
        fail("cannot connect: %s", strerror(-error));
    }
}

void conn_close(struct conn *conn)
{
    close(conn->fd);
    buf_release(&conn->in);
    buf_release(&conn->out);
    conn->fd = -1;
}

struct buf client_frame(const struct wire_api *api, int16_t version, const void *request)
{
    struct chain chain = { 0 };
    struct buf flat = { 0 };
    const struct request_header header = {
        .api_key = api->key,
        .api_version = version,
        .client_id = text_of("loadgen"),
    };
    frame_put_request(&chain, api, &header, request);
    chain_copy(&chain, buf_reserve(&flat, chain.len));
    flat.len = chain.len;
    chain_release(&chain);
    return flat;
}

void client_decode(const struct wire_api *api, int16_t version, struct bytes frame,
                   struct arena *arena, void *response)
{
    size_t skip = wire_response_header_version(api, version) >= 1 ? 5 : 4; /* an empty tag list */
    arena_reset(arena);
    if (frame.len < skip) {
        fail("%s: the response is too short", api->name);
    }
    struct wire_error error =
        wire_decode(api->response, version, wire_is_flexible(api, version),
                    bytes_part(frame, skip, frame.len - skip), arena, response, NULL);
    if (error.result != WIRE_OK) {
        fail("%s: the response is %s", api->name, wire_result_text(error.result));
    }
}

static bool read_fully(int fd, void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (char *)to + done, len - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

bool conn_try_call(struct conn *conn, const struct wire_api *api, int16_t version,
                   const void *request, struct arena *arena, void *response)
{
    struct buf frame = client_frame(api, version, request);
    store_be32(frame.data + FRAME_CORRELATION, (uint32_t)conn->correlation++);
    ssize_t sent = write(conn->fd, frame.data, frame.len);
    bool ok = sent == (ssize_t)frame.len;
    buf_release(&frame);
    uint8_t prefix[4];
    if (!ok || !read_fully(conn->fd, prefix, 4)) {
        return false;
    }
    size_t len = load_be32(prefix);
    buf_clear(&conn->in);
    if (len > FRAME_MAX || !read_fully(conn->fd, buf_reserve(&conn->in, len), len)) {
        return false;
    }
    client_decode(api, version, bytes_of(conn->in.data, len), arena, response);
    return true;
}

void conn_call(struct conn *conn, const struct wire_api *api, int16_t version, const void *request,
               struct arena *arena, void *response)
{
    if (!conn_try_call(conn, api, version, request, arena, response)) {
        fail("%s: the connection broke", api->name);
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

void poller_open(struct poller *poller)
{
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        fail("epoll: %s", strerror(errno));
    }
}

static void poll_for(struct poller *poller, struct conn *conn, int op, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = conn };
    if (epoll_ctl(poller->fd, op, conn->fd, &event) < 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

void poller_add(struct poller *poller, struct conn *conn)
{
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    buf_clear(&conn->in);
    poll_for(poller, conn, EPOLL_CTL_ADD, EPOLLIN);
}

void poller_flush(struct poller *poller, struct conn *conn)
{
    while (conn->out_at < conn->out.len) {
        ssize_t n = write(conn->fd, conn->out.data + conn->out_at, conn->out.len - conn->out_at);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            fail("write: %s", strerror(errno));
        }
        conn->out_at += (size_t)n;
    }
    bool done = conn->out_at == conn->out.len;
    if (done) {
        conn->out_at = 0;
        buf_clear(&conn->out);
    }
    if (done == conn->polls_out) {
        conn->polls_out = !done;
        poll_for(poller, conn, EPOLL_CTL_MOD, EPOLLIN | (done ? 0 : (uint32_t)EPOLLOUT));
    }
}

/* Reads once, as much as there is room for: the loop comes back for the rest. */
static void read_some(struct conn *conn)
{
    if (conn->in_at == conn->in.len) {
        conn->in_at = 0;
        buf_clear(&conn->in);
    } else if (conn->in_at > READ_SIZE) {
        memmove(conn->in.data, conn->in.data + conn->in_at, conn->in.len - conn->in_at);
        conn->in.len -= conn->in_at;
        conn->in_at = 0;
    }
    size_t room = READ_SIZE;
    if (conn->in.len - conn->in_at >= 4) {
        room = max_u64(room, 4 + (size_t)load_be32(conn->in.data + conn->in_at));
    }
    ssize_t n = read(conn->fd, buf_reserve(&conn->in, room), room);
    if (n == 0) {
        fail("the broker closed the connection");
    }
    if (n < 0 && errno != EAGAIN) {
        fail("read: %s", strerror(errno));
    }
    conn->in.len += n > 0 ? (size_t)n : 0;
}

static void take_frames(struct conn *conn, void (*on_frame)(struct conn *, struct bytes))
{
    while (conn->fd >= 0 && conn->in.len - conn->in_at >= 4) {
        size_t len = load_be32(conn->in.data + conn->in_at);
        if (len > FRAME_MAX) {
            fail("a frame of %zu bytes", len);
        }
        if (conn->in.len - conn->in_at - 4 < len) {
            return;
        }
        struct bytes frame = bytes_of(conn->in.data + conn->in_at + 4, len);
        conn->in_at += 4 + len;
        on_frame(conn, frame);
    }
}

int poller_turn(struct poller *poller, uint64_t until_ns,
                void (*on_frame)(struct conn *conn, struct bytes frame))
{
    struct epoll_event events[64];
    uint64_t now = now_ns(), wait = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(wait / 1000000000),
                                .tv_nsec = (long)(wait % 1000000000) };
    int n = epoll_pwait2(poller->fd, events, countof(events), &timeout, NULL);
    for (int i = 0; i < n; i++) {
        struct conn *conn = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            read_some(conn);
            take_frames(conn, on_frame);
        }
        if (conn->fd >= 0) {
            poller_flush(poller, conn);
        }
    }
    return n;
}

/* ---- what the broker costs ------------------------------------------------------------------ */

/* The file's content, terminated; empty when it cannot be read. */
static const char *read_proc(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, to, size - 1);
    to[n > 0 ? n : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
    return to;
}

static uint64_t ticks_ns(uint64_t ticks)
{
    return ticks * 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t cpu_of(int pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *behind_name = pid == 0 ? NULL : strrchr(read_proc(path, text, sizeof text), ')');
    if (behind_name != NULL) {
        sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system);
    }
    return ticks_ns(user + system);
}

uint64_t cpu_of_all(void)
{
    char text[1024];
    unsigned long user = 0, nice = 0, system = 0, irq = 0, softirq = 0;
    sscanf(read_proc("/proc/stat", text, sizeof text), "cpu %lu %lu %lu %*u %*u %lu %lu", &user,
           &nice, &system, &irq, &softirq);
    return ticks_ns(user + nice + system + irq + softirq);
}

uint64_t memory_of(int pid)
{
    char path[64], text[4096];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    const char *line = strstr(read_proc(path, text, sizeof text), "VmRSS:");
    if (line != NULL) {
        sscanf(line, "VmRSS: %lu", &kib);
    }
    return (uint64_t)kib * 1024;
}
