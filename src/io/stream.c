/* Streams: non-blocking TCP sockets, polled by the loop.
 *
 * Why uv_poll and not uv_tcp: we read into one shared buffer or straight into the owner's memory,
 * and send everything a turn has queued with one sendmsg(2); uv_tcp would own both.
 *
 * The happy path: the socket is readable, recv(2), `data`; the owner queues a reply with
 * stream_send(); the flush step sends it. Only when the kernel does not take all of it is the
 * socket polled for writability. An idle stream is its struct and nothing else.
 *
 * What can go wrong:
 * - The peer ends its side: what is queued by the end of the turn is still sent, then the stream
 *   closes. The peer resets the connection, or it breaks: the stream closes with the error, also
 *   when reading is paused.
 * - One peer sends without pause: a stream reads a bounded number of bytes per turn.
 * - Closing while the peer still sends makes the kernel reset the connection, which may destroy our
 *   last reply on its way; so a flushed close first says that we are done and throws away input. */
#include "net_inside.h"

#include <chronik/base/states.h>
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_BUFFER = 256 * 1024,   /* bytes, one per loop */
    READ_PER_TURN = 512 * 1024, /* bytes of one stream */
    SEND_SLICES = 64,           /* per system call */
};

static const struct state STATES[] = {
    [STREAM_DIALING] = { .name = "dialing",
                         .next = STATE(STREAM_OPEN) | STATE(STREAM_CLOSED),
                         .initial = true },
    [STREAM_ACCEPTED] = { .name = "accepted", /* and not started */
                          .next = STATE(STREAM_OPEN) | STATE(STREAM_CLOSED),
                          .initial = true },
    [STREAM_OPEN] = { .name = "open", .next = STATE(STREAM_ENDING) | STATE(STREAM_CLOSED) },
    [STREAM_ENDING] = { .name = "ending", /* sends what is queued, reads no more */
                        .next = STATE(STREAM_CLOSED) },
    [STREAM_CLOSED] = { .name = "closed" },
};

/* ---- polling ----------------------------------------------------------------------------------*/

int socket_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof err;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? -err : -errno;
}

static void polled(uv_poll_t *poll, int status, int events);

void stream_poll(struct stream *stream, uv_poll_cb callback)
{
    int events = 0;
    if (stream->state == STREAM_DIALING || stream->blocked) {
        events |= UV_WRITABLE;
    }
    if (stream->state == STREAM_OPEN) {
        /* A paused stream still notices a reset, and once that the peer has ended its side: from
         * then on the kernel would report that without end. */
        events |= !stream->paused ? UV_READABLE : !stream->peer_ended ? UV_DISCONNECT : 0;
    }
    if (events != stream->interest) {
        stream->interest = (uint8_t)events;
        if (events != 0) {
            uv_poll_start(&stream->poll, events, callback);
        } else {
            uv_poll_stop(&stream->poll);
        }
    }
}

void stream_update(struct stream *stream)
{
    stream_poll(stream, polled);
}

/* ---- the end ----------------------------------------------------------------------------------*/

void stream_finish(struct stream *stream)
{
    stream->handler->closed(stream, stream->error);
    free(stream);
}

static void poll_closed(uv_handle_t *poll)
{
    stream_finish(container_of(poll, struct stream, poll));
}

static void finish_later(struct loop_task *task)
{
    stream_finish(container_of(task, struct stream, flush));
}

void stream_end(struct stream *stream, int error)
{
    state_move(STATES, &stream->state, STREAM_CLOSED, stream);
    stream->error = error;
    chain_release(&stream->out);
    loop_task_cancel(&stream->flush);
    if (stream->dial != NULL) {
        dial_abandon(stream->dial);
        stream->dial = NULL;
    }
    if (stream->polled && !uv_is_closing((uv_handle_t *)&stream->poll)) {
        uv_close((uv_handle_t *)&stream->poll, poll_closed);
    } else if (!stream->polled) {
        loop_task_init(&stream->flush, finish_later);
        loop_defer(stream->loop, LOOP_ADVANCE, &stream->flush);
    }
    if (stream->fd >= 0) {
        close(stream->fd);
        stream->fd = -1;
    }
}

/* All that was queued has been sent. */
static void end_politely(struct stream *stream)
{
    enum { DISCARD = 1024 * 1024 }; /* bytes */
    shutdown(stream->fd, SHUT_WR);
    recv(stream->fd, NULL, DISCARD, MSG_TRUNC | MSG_DONTWAIT); /* TCP: drops without copying */
    stream_end(stream, 0);
}

static void begin_ending(struct stream *stream)
{
    state_move(STATES, &stream->state, STREAM_ENDING, stream);
    stream_update(stream);
    loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
}

void stream_close(struct stream *stream)
{
    if (stream->handler == NULL) { /* never started: nobody is waiting to hear of its end */
        close(stream->fd);
        free(stream);
    } else if (stream->state != STREAM_CLOSED) {
        stream_end(stream, 0);
    }
}

void stream_close_after_flush(struct stream *stream)
{
    if (stream->state == STREAM_OPEN) {
        begin_ending(stream);
    } else if (stream->state != STREAM_ENDING) {
        stream_close(stream);
    }
}

/* ---- reading ----------------------------------------------------------------------------------*/

static uint8_t *room_for(struct stream *stream, size_t *ret_len)
{
    struct loop *loop = stream->loop;
    uint8_t *room = stream->handler->room ? stream->handler->room(stream, ret_len) : NULL;
    if (room != NULL) {
        return room;
    }
    if (loop->read_buffer == NULL) {
        loop->read_buffer = mem_alloc(READ_BUFFER);
    }
    *ret_len = READ_BUFFER;
    return loop->read_buffer;
}

static void read_some(struct stream *stream)
{
    size_t left = READ_PER_TURN;
    while (stream->state == STREAM_OPEN && !stream->paused && left > 0) {
        size_t room_len;
        uint8_t *room = room_for(stream, &room_len);
        ssize_t len = recv(stream->fd, room, room_len, 0);
        if (len > 0) {
            stream->handler->data(stream, bytes_of(room, (size_t)len));
            if ((size_t)len < room_len) {
                return; /* that was all; if not, the next turn gets it */
            }
            left -= min_u64((size_t)len, left);
        } else if (len == 0) {
            begin_ending(stream);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            stream_end(stream, -errno);
        }
    }
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct stream *stream = container_of(poll, struct stream, poll);
    if (status != 0) { /* libuv's word for an error of the socket; it has stopped polling */
        int err = socket_error(stream->fd);
        stream_end(stream, err != 0 ? err : -ECONNRESET);
        return;
    }
    if (events & UV_WRITABLE) {
        stream->blocked = false;
        loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
    }
    if (events & UV_DISCONNECT) {
        stream->peer_ended = true;
        stream_update(stream);
    }
    if (events & UV_READABLE) {
        read_some(stream);
    }
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
    if (stream->state == STREAM_OPEN) {
        stream_update(stream);
    }
}

void stream_resume(struct stream *stream)
{
    stream->paused = false;
    if (stream->state == STREAM_OPEN) {
        stream_update(stream);
    }
}

/* ---- sending ----------------------------------------------------------------------------------*/

void stream_send(struct stream *stream, struct chain *chain)
{
    if (stream->state == STREAM_CLOSED || chain->len == 0) {
        chain_release(chain);
        return;
    }
    chain_append(&stream->out, chain);
    stream->above_high |= stream->out.len > NET_HIGH_WATER;
    if (stream->state >= STREAM_OPEN && !stream->blocked) {
        loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
    }
}

size_t stream_queued(const struct stream *stream)
{
    return stream->out.len;
}

static void drop_sent(struct stream *stream, size_t len)
{
    struct chain *out = &stream->out;
    struct slice *slice = &out->slices[stream->out_first], *end = &out->slices[out->n];
    out->len -= len;
    for (; slice < end && len >= slice->bytes.len; slice++) {
        len -= slice->bytes.len;
        blob_unref(slice->blob);
        slice->blob = NULL;
    }
    if (slice == end) {
        stream->out_first = 0;
        chain_release(out);
        return;
    }
    slice->bytes = bytes_part(slice->bytes, len, slice->bytes.len - len);
    stream->out_first = (size_t)(slice - out->slices);
    if (stream->out_first > out->n / 2) {
        out->n -= stream->out_first;
        memmove(out->slices, slice, out->n * sizeof *slice);
        stream->out_first = 0;
    }
}

/* Sends up to SEND_SLICES slices. Did the kernel take all of them? */
static bool send_some(struct stream *stream)
{
    struct iovec iov[SEND_SLICES];
    struct msghdr message = { .msg_iov = iov };
    struct chain *out = &stream->out;
    size_t offered = 0;
    for (size_t i = stream->out_first; i < out->n && message.msg_iovlen < SEND_SLICES; i++) {
        struct bytes part = out->slices[i].bytes;
        iov[message.msg_iovlen++] = (struct iovec){ (void *)part.data, part.len };
        offered += part.len;
    }
    ssize_t len = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        stream_end(stream, -errno);
        return false;
    }
    if (len < 0) {
        return errno == EINTR;
    }
    drop_sent(stream, (size_t)len);
    return (size_t)len == offered;
}

static void flush(struct loop_task *task)
{
    struct stream *stream = container_of(task, struct stream, flush);
    if (stream->blocked) {
        return;
    }
    while (stream->out.len > 0) {
        if (!send_some(stream)) {
            break;
        }
    }
    if (stream->state == STREAM_CLOSED) {
        return;
    }
    stream->blocked = stream->out.len > 0;
    if (stream->state == STREAM_ENDING && !stream->blocked) {
        end_politely(stream);
        return;
    }
    stream_update(stream);
    if (stream->above_high && stream->out.len <= NET_LOW_WATER) {
        stream->above_high = false;
        if (stream->handler->drained != NULL) {
            stream->handler->drained(stream);
        }
    }
}

/* ---- the beginning ----------------------------------------------------------------------------*/

struct stream *stream_new(struct loop *loop, enum stream_state state)
{
    struct stream *stream = mem_zalloc(sizeof *stream);
    stream->loop = loop;
    stream->fd = -1;
    loop_task_init(&stream->flush, flush);
    state_start(STATES, &stream->state, state, stream);
    return stream;
}

/* The socket is connected and polled. */
void stream_opened(struct stream *stream)
{
    state_move(STATES, &stream->state, STREAM_OPEN, stream);
    stream_update(stream);
    if (stream->out.len > 0) {
        loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
    }
}

void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner)
{
    check(stream->state == STREAM_ACCEPTED && stream->handler == NULL);
    stream->handler = handler;
    stream->owner = owner;
    int err = uv_poll_init(&stream->loop->uv, &stream->poll, stream->fd);
    if (err != 0) {
        stream_end(stream, err);
        return;
    }
    stream->polled = true;
    stream_opened(stream);
}

void *stream_owner(const struct stream *stream)
{
    return stream->owner;
}

const struct net_address *stream_peer(const struct stream *stream)
{
    return &stream->peer;
}

const struct net_address *stream_local(const struct stream *stream)
{
    return &stream->local;
}
