/* Listening sockets.
 *
 * A listener is one socket, or several where a name means several addresses ("localhost": both
 * loopback addresses). "All addresses" is one IPv6 socket that takes IPv4 too, or an IPv4 socket
 * where the machine has no IPv6. Each readable event accepts a bounded number of connections, so
 * that a storm of them does not starve those that are there.
 *
 * What can go wrong: out of descriptors or memory, accept(2) fails while the socket stays readable;
 * the listener then stops polling for a moment, and the kernel keeps who waits. */
#include "net_inside.h"

#include <chronik/io/timer.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    SOCKETS_MAX = 8,        /* addresses of one listener */
    ACCEPTS_PER_EVENT = 64, /* connections */
    PORT_ATTEMPTS = 10,     /* to find a port that is free on all addresses */
};

struct listening {
    uv_poll_t poll;
    int fd;
    struct listener *listener;
};

struct listener {
    struct loop *loop;
    accepted_socket *accepted_socket;
    void *arg;
    void (*accepted_stream)(void *arg, struct stream *stream);
    void *stream_arg;
    struct listening sockets[SOCKETS_MAX];
    unsigned n, n_closed; /* sockets */
    struct timer moment;  /* pauses for want of descriptors */
    uint16_t port;
    bool paused, closing;
};

void socket_set_options(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* ---- accepting --------------------------------------------------------------------------------*/

static void accept_some(uv_poll_t *poll, int status, int events);

static void update_polling(struct listener *listener)
{
    bool wanted = !listener->paused && !timer_is_set(&listener->moment);
    for (unsigned i = 0; i < listener->n; i++) {
        if (wanted) {
            uv_poll_start(&listener->sockets[i].poll, UV_READABLE, accept_some);
        } else {
            uv_poll_stop(&listener->sockets[i].poll);
        }
    }
}

static void moment_over(struct timer *timer)
{
    update_polling(container_of(timer, struct listener, moment));
}

static bool is_shortage(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static void accept_some(uv_poll_t *poll, int status, int events)
{
    struct listening *socket = container_of(poll, struct listening, poll);
    struct listener *listener = socket->listener;
    (void)status;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_PER_EVENT && !listener->paused && !listener->closing; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(socket->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted_socket(listener->arg, fd, (struct sockaddr *)&peer, len);
        } else if (errno == EAGAIN) {
            return;
        } else if (is_shortage(errno)) {
            timer_set_in(&listener->moment, 100 * NS_PER_MS);
            update_polling(listener);
            return;
        } /* else this one connection failed before we got to it */
    }
}

void listener_pause(struct listener *listener)
{
    listener->paused = true;
    update_polling(listener);
}

void listener_resume(struct listener *listener)
{
    listener->paused = false;
    update_polling(listener);
}

/* ---- opening ----------------------------------------------------------------------------------*/

static int open_socket(struct sockaddr *address, socklen_t len, bool dual_stack, int *ret_fd)
{
    int on = 1, only_ipv6 = !dual_stack;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6);
    }
    socket_set_options(fd);
    if (bind(fd, address, len) != 0 || listen(fd, SOMAXCONN) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    check(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    return address_of((struct sockaddr *)&address).port;
}

static void set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    }
}

static int add_socket(struct listener *listener, struct sockaddr *address, socklen_t len,
                      bool dual_stack)
{
    struct listening *socket = &listener->sockets[listener->n];
    set_port(address, listener->port);
    int err = open_socket(address, len, dual_stack, &socket->fd);
    if (err == 0) {
        socket->listener = listener;
        listener->port = port_of(socket->fd);
        listener->n++;
    }
    return err;
}

static bool is_missing_family(int err)
{
    return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

static int bind_all(struct listener *listener)
{
    struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
    struct sockaddr_in any4 = { .sin_family = AF_INET };
    int err = add_socket(listener, (struct sockaddr *)&any6, sizeof any6, true);
    return is_missing_family(err)
               ? add_socket(listener, (struct sockaddr *)&any4, sizeof any4, false)
               : err;
}

static int bind_loopback(struct listener *listener)
{
    struct sockaddr_in loop4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr_in6 loop6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    int err4 = add_socket(listener, (struct sockaddr *)&loop4, sizeof loop4, false);
    if (err4 != 0 && !is_missing_family(err4)) {
        return err4;
    }
    int err6 = add_socket(listener, (struct sockaddr *)&loop6, sizeof loop6, false);
    return is_missing_family(err6) ? err4 : err6;
}

static int bind_name(struct listener *listener, const char *host)
{
    struct addrinfo *list;
    int err = address_resolve(host, 0, AI_PASSIVE, &list);
    if (err != 0) {
        return err;
    }
    for (struct addrinfo *at = list; at && listener->n < SOCKETS_MAX; at = at->ai_next) {
        err = add_socket(listener, at->ai_addr, at->ai_addrlen, false);
        if (err != 0 && !is_missing_family(err)) {
            break;
        }
        err = listener->n > 0 ? 0 : err;
    }
    freeaddrinfo(list);
    return err;
}

static void unbind(struct listener *listener)
{
    while (listener->n > 0) {
        close(listener->sockets[--listener->n].fd);
    }
}

static int bind_host(struct listener *listener, const char *host, uint16_t port)
{
    int err = 0;
    for (unsigned i = 0; i < PORT_ATTEMPTS; i++) {
        listener->port = port;
        if (host == NULL || *host == '\0' || !strcmp(host, "0.0.0.0") || !strcmp(host, "::")) {
            err = bind_all(listener);
        } else if (strcmp(host, "localhost") == 0) {
            err = bind_loopback(listener);
        } else {
            err = bind_name(listener, host);
        }
        if (err == 0) {
            return 0;
        }
        unbind(listener);
        if (err != -EADDRINUSE || port != 0) {
            break; /* else the port that was free on the first address is not on the second */
        }
    }
    return err;
}

static int open_listener(struct loop *loop, const char *host, uint16_t port,
                         accepted_socket *accepted, struct listener **ret_listener)
{
    struct listener *listener = mem_zalloc(sizeof *listener);
    listener->loop = loop;
    listener->accepted_socket = accepted;
    timer_init(&listener->moment, loop, moment_over);
    int err = bind_host(listener, host, port);
    if (err != 0) {
        free(listener);
        return err;
    }
    for (unsigned i = 0; i < listener->n; i++) {
        check(uv_poll_init(&loop->uv, &listener->sockets[i].poll, listener->sockets[i].fd) == 0);
    }
    update_polling(listener);
    *ret_listener = listener;
    return 0;
}

int listener_open_sockets(struct loop *loop, const char *host, uint16_t port,
                          accepted_socket *accepted, void *arg, struct listener **ret_listener)
{
    int err = open_listener(loop, host, port, accepted, ret_listener);
    if (err == 0) {
        (*ret_listener)->arg = arg;
    }
    return err;
}

static void accepted_as_stream(void *arg, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct listener *listener = arg;
    struct stream *stream = stream_new(listener->loop, STREAM_ACCEPTED);
    struct sockaddr_storage local = { 0 };
    (void)len;
    len = sizeof local;
    getsockname(fd, (struct sockaddr *)&local, &len);
    stream->fd = fd;
    stream->peer = address_of(peer);
    stream->local = address_of((struct sockaddr *)&local);
    listener->accepted_stream(listener->stream_arg, stream);
}

int listener_open(struct loop *loop, const char *host, uint16_t port,
                  void (*accepted)(void *arg, struct stream *stream), void *arg,
                  struct listener **ret_listener)
{
    int err = open_listener(loop, host, port, accepted_as_stream, ret_listener);
    if (err == 0) {
        (*ret_listener)->arg = *ret_listener;
        (*ret_listener)->accepted_stream = accepted;
        (*ret_listener)->stream_arg = arg;
    }
    return err;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

/* ---- closing ----------------------------------------------------------------------------------*/

static void socket_closed(uv_handle_t *poll)
{
    struct listener *listener = container_of(poll, struct listening, poll)->listener;
    if (++listener->n_closed == listener->n) {
        free(listener);
    }
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    listener->closing = true;
    timer_cancel(&listener->moment);
    for (unsigned i = 0; i < listener->n; i++) {
        uv_close((uv_handle_t *)&listener->sockets[i].poll, socket_closed);
        close(listener->sockets[i].fd);
    }
}
