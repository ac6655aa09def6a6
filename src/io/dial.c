/* Outgoing connections: resolve the name off the loop, then try its addresses one after the other.
 *
 * A numeric address needs no thread. `opened` and `closed` come in later steps, never from inside
 * stream_connect(). Whoever wants a time limit closes the stream when it is over. */
#include "net_inside.h"

#include <errno.h>
#include <unistd.h>

struct dial {
    struct work work;
    struct stream *stream; /* NULL: given up while the name was being resolved */
    char *host;
    uint16_t port;
    bool resolving;
    struct addrinfo *list, *next; /* addresses: all, and those not tried yet */
    int error;                    /* of resolving, or of the last attempt */
};

static void dial_free(struct dial *dial)
{
    if (dial->list != NULL) {
        freeaddrinfo(dial->list);
    }
    free(dial->host);
    free(dial);
}

void dial_abandon(struct dial *dial)
{
    if (dial->resolving) {
        dial->stream = NULL; /* resolved() frees it */
    } else {
        dial_free(dial);
    }
}

/* ---- one address after the other --------------------------------------------------------------*/

static void attempted(uv_poll_t *poll, int status, int events);

static int connect_to(struct stream *stream, const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    socket_set_options(fd);
    int err = connect(fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS ? 0 : -errno;
    if (err == 0) {
        err = uv_poll_init(&stream->loop->uv, &stream->poll, fd);
    }
    if (err != 0) {
        close(fd);
        return err;
    }
    stream->fd = fd;
    stream->polled = true;
    stream->interest = 0;
    stream->peer = address_of(to->ai_addr);
    stream_poll(stream, attempted);
    return 0;
}

static void attempt(struct stream *stream)
{
    struct dial *dial = stream->dial;
    while (dial->next != NULL) {
        const struct addrinfo *to = dial->next;
        dial->next = to->ai_next;
        dial->error = connect_to(stream, to);
        if (dial->error == 0) {
            return;
        }
    }
    stream_end(stream, dial->error);
}

static void attempt_closed(uv_handle_t *poll)
{
    struct stream *stream = container_of(poll, struct stream, poll);
    if (stream->state == STREAM_CLOSED) {
        stream_finish(stream);
        return;
    }
    stream->polled = false;
    attempt(stream);
}

static void attempted(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = container_of(poll, struct stream, poll);
    struct dial *dial = stream->dial;
    int err = socket_error(stream->fd);
    (void)events;
    if (err != 0 || status != 0) {
        dial->error = err != 0 ? err : -ECONNREFUSED;
        uv_close((uv_handle_t *)&stream->poll, attempt_closed);
        close(stream->fd);
        stream->fd = -1;
        return;
    }
    struct sockaddr_storage local = { 0 };
    socklen_t len = sizeof local;
    getsockname(stream->fd, (struct sockaddr *)&local, &len);
    stream->local = address_of((struct sockaddr *)&local);
    stream->dial = NULL;
    dial_free(dial);
    stream->interest = 0; /* polling goes on with the callback of an open stream */
    stream_opened(stream);
    stream->handler->opened(stream);
}

/* ---- the name ---------------------------------------------------------------------------------*/

static void resolve(struct work *work)
{
    struct dial *dial = container_of(work, struct dial, work);
    dial->error = address_resolve(dial->host, dial->port, 0, &dial->list);
}

static void resolved(struct work *work)
{
    struct dial *dial = container_of(work, struct dial, work);
    dial->resolving = false;
    if (dial->stream == NULL) {
        dial_free(dial);
        return;
    }
    dial->next = dial->list;
    attempt(dial->stream);
}

struct stream *stream_connect(struct loop *loop, const char *host, uint16_t port,
                              const struct stream_handler *handler, void *owner)
{
    struct stream *stream = stream_new(loop, STREAM_DIALING);
    struct dial *dial = mem_zalloc(sizeof *dial);
    stream->handler = handler;
    stream->owner = owner;
    stream->dial = dial;
    dial->stream = stream;
    dial->host = mem_strdup(host);
    dial->port = port;
    if (address_resolve(host, port, AI_NUMERICHOST, &dial->list) == 0) {
        dial->next = dial->list;
        attempt(stream);
    } else {
        dial->resolving = true;
        pool_start(loop, &dial->work, LANE_NAMES, resolve, resolved);
    }
    return stream;
}
