/* Streams and listeners on the simulated network, with the manners of src/io/stream.c: bounded
 * reading per turn, one flush per turn, back-pressure, an end that still sends what is queued. */
#include <chronik/base/states.h>
#include <errno.h>
#include <stdio.h>

#include "network_inside.h"

enum {
    READ_BUFFER = 256 * 1024,   /* bytes */
    READ_PER_TURN = 512 * 1024, /* bytes of one stream */
    BACKLOG = 128,
};

enum stream_state { STREAM_DIALING, STREAM_ACCEPTED, STREAM_OPEN, STREAM_ENDING, STREAM_CLOSED };

static const struct state STATES[] = {
    [STREAM_DIALING] = { .name = "dialing",
                         .next = STATE(STREAM_OPEN) | STATE(STREAM_CLOSED),
                         .initial = true },
    [STREAM_ACCEPTED] = { .name = "accepted",
                          .next = STATE(STREAM_OPEN) | STATE(STREAM_CLOSED),
                          .initial = true },
    [STREAM_OPEN] = { .name = "open", .next = STATE(STREAM_ENDING) | STATE(STREAM_CLOSED) },
    [STREAM_ENDING] = { .name = "ending", .next = STATE(STREAM_CLOSED) },
    [STREAM_CLOSED] = { .name = "closed" },
};

struct stream {
    struct loop *loop;
    struct side *side; /* NULL: closed, or the name is unknown */
    const struct stream_handler *handler;
    void *owner;
    struct chain out;
    struct loop_task flush;
    struct ready ready;
    struct net_address peer, local;
    unsigned state;
    int error;
    bool paused, blocked, above_high;
};

struct listener {
    struct list link; /* in machine->listeners */
    struct loop *loop;
    struct list backlog; /* struct side */
    struct ready ready;
    void (*accepted)(void *arg, struct stream *stream);
    void *arg;
    uint16_t port;
    bool paused;
};

/* ---- addresses --------------------------------------------------------------------------------*/

static struct net_address address_of(const struct machine *machine, uint16_t port)
{
    struct net_address address = { .port = port };
    address.ip[10] = address.ip[11] = 0xff;
    address.ip[12] = 10;
    address.ip[15] = (uint8_t)(machine->index + 1);
    return address;
}

const char *net_format(const struct net_address *address, char to[NET_ADDRESS_TEXT])
{
    snprintf(to, NET_ADDRESS_TEXT, "10.0.0.%u:%u", address->ip[15], address->port);
    return to;
}

bool net_is_loopback(const struct net_address *address)
{
    (void)address;
    return false;
}

static struct machine *machine_named(const char *host)
{
    for (unsigned i = 0; i < world->n_machines; i++) {
        if (strcmp(world->machines[i]->name, host) == 0) {
            return world->machines[i];
        }
    }
    return strcmp(host, "localhost") == 0 ? world->running : NULL;
}

/* ---- the end ----------------------------------------------------------------------------------*/

static void end(struct stream *stream, int error, bool reset)
{
    state_move(STATES, &stream->state, STREAM_CLOSED, stream);
    stream->error = error;
    chain_release(&stream->out);
    loop_task_cancel(&stream->flush);
    if (stream->side != NULL) {
        side_close(stream->side, reset);
        stream->side = NULL;
    }
    loop_ready(stream->loop, &stream->ready);
}

void stream_close(struct stream *stream)
{
    if (stream->handler == NULL) {
        side_close(stream->side, false);
        free(stream);
    } else if (stream->state != STREAM_CLOSED) {
        end(stream, 0, false);
    }
}

static void begin_ending(struct stream *stream)
{
    state_move(STATES, &stream->state, STREAM_ENDING, stream);
    loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
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

/* The other kernel may send again. */
static void tell_sender(struct stream *stream)
{
    struct side *other = other_side(stream->side);
    if (other->stream != NULL && other->stream->blocked &&
        !path_between(stream->side, other)->cut) {
        stream_happens(other->stream);
    }
}

static void read_some(struct stream *stream)
{
    static uint8_t buffer[READ_BUFFER];
    size_t left = READ_PER_TURN;
    while (stream->state == STREAM_OPEN && !stream->paused && left > 0) {
        struct side *side = stream->side;
        size_t len = side->in.len - side->in_at, room_len = sizeof buffer;
        if (len == 0) {
            if (side->ended) {
                begin_ending(stream);
            }
            return;
        }
        uint8_t *room = stream->handler->room ? stream->handler->room(stream, &room_len) : NULL;
        if (room == NULL) {
            room = buffer;
            room_len = sizeof buffer;
        }
        len = min_u64(len, room_len);
        memcpy(room, side->in.data + side->in_at, len);
        side->in_at += len;
        left -= min_u64(len, left);
        tell_sender(stream);
        stream->handler->data(stream, bytes_of(room, len));
    }
    if (stream->state == STREAM_OPEN && !stream->paused) {
        loop_ready(stream->loop, &stream->ready);
    }
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
}

void stream_resume(struct stream *stream)
{
    stream->paused = false;
    if (stream->state == STREAM_OPEN) {
        loop_ready(stream->loop, &stream->ready);
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

static void drop_sent(struct chain *out, size_t len)
{
    size_t i = 0;
    out->len -= len;
    for (; i < out->n && len >= out->slices[i].bytes.len; i++) {
        len -= out->slices[i].bytes.len;
        blob_unref(out->slices[i].blob);
    }
    out->n -= i;
    memmove(out->slices, out->slices + i, out->n * sizeof *out->slices);
    if (out->n > 0) {
        struct slice *first = &out->slices[0];
        first->bytes = bytes_part(first->bytes, len, first->bytes.len - len);
    } else {
        chain_release(out);
    }
}

static void send_some(struct stream *stream)
{
    size_t len = min_u64(stream->out.len, side_room(stream->side));
    while (len > 0) {
        size_t part = len > 1 && chance(network->shred) ? between(1, len - 1) : len;
        side_send(stream->side, SEGMENT_DATA, stream->out.slices, stream->out.n, part);
        drop_sent(&stream->out, part);
        len -= part;
    }
}

static void flush(struct loop_task *task)
{
    struct stream *stream = container_of(task, struct stream, flush);
    if (stream->state == STREAM_CLOSED || stream->state == STREAM_DIALING) {
        return;
    }
    send_some(stream);
    stream->blocked = stream->out.len > 0;
    if (stream->state == STREAM_ENDING && !stream->blocked) {
        stream->side->in_at = stream->side->in.len;
        end(stream, 0, false);
        return;
    }
    if (stream->above_high && stream->out.len <= NET_LOW_WATER) {
        stream->above_high = false;
        if (stream->handler->drained != NULL) {
            stream->handler->drained(stream);
        }
    }
}

/* ---- what happens -----------------------------------------------------------------------------*/

static void opened(struct stream *stream)
{
    state_move(STATES, &stream->state, STREAM_OPEN, stream);
    loop_ready(stream->loop, &stream->ready);
    if (stream->out.len > 0) {
        loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
    }
}

static void look(struct ready *ready)
{
    struct stream *stream = container_of(ready, struct stream, ready);
    if (stream->state == STREAM_CLOSED) {
        stream->handler->closed(stream, stream->error);
        free(stream);
    } else if (stream->side == NULL) {
        end(stream, -EADDRNOTAVAIL, false);
    } else if (stream->side->reset) {
        end(stream, -ECONNRESET, true);
    } else if (stream->state == STREAM_DIALING) {
        if (stream->side->refused) {
            end(stream, -ECONNREFUSED, false);
        } else if (stream->side->connected) {
            opened(stream);
            stream->handler->opened(stream);
        }
    } else {
        if (stream->blocked && side_room(stream->side) > 0) {
            stream->blocked = false;
            loop_defer(stream->loop, LOOP_FLUSH, &stream->flush);
        }
        read_some(stream);
    }
}

void stream_happens(struct stream *stream)
{
    if (stream->handler != NULL) {
        loop_ready(stream->loop, &stream->ready);
    }
}

/* ---- the beginning ----------------------------------------------------------------------------*/

static struct stream *stream_new(struct loop *loop, enum stream_state state)
{
    struct stream *stream = mem_zalloc(sizeof *stream);
    stream->loop = loop;
    loop_task_init(&stream->flush, flush);
    ready_init(&stream->ready, look);
    state_start(STATES, &stream->state, state, stream);
    return stream;
}

struct stream *stream_connect(struct loop *loop, const char *host, uint16_t port,
                              const struct stream_handler *handler, void *owner)
{
    struct stream *stream = stream_new(loop, STREAM_DIALING);
    struct machine *to = machine_named(host);
    stream->handler = handler;
    stream->owner = owner;
    if (to == NULL) {
        loop_ready(loop, &stream->ready);
        return stream;
    }
    stream->side = network_dial(loop->machine, to, port, stream);
    stream->local = address_of(loop->machine, stream->side->connection->from_port);
    stream->peer = address_of(to, port);
    return stream;
}

void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner)
{
    check(stream->state == STREAM_ACCEPTED && stream->handler == NULL);
    stream->handler = handler;
    stream->owner = owner;
    opened(stream);
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

/* ---- listeners --------------------------------------------------------------------------------*/

struct listener *listener_find(const struct machine *machine, uint16_t port)
{
    list_each (it, &machine->listeners) {
        struct listener *listener = container_of(it, struct listener, link);
        if (listener->port == port) {
            return listener;
        }
    }
    return NULL;
}

static void accept_some(struct ready *ready)
{
    struct listener *listener = container_of(ready, struct listener, ready);
    struct list *link;
    while (!listener->paused && (link = list_pop_front(&listener->backlog)) != NULL) {
        struct side *side = container_of(link, struct side, accept);
        struct stream *stream = stream_new(listener->loop, STREAM_ACCEPTED);
        stream->side = side;
        side->stream = stream;
        stream->local = address_of(side->machine, listener->port);
        stream->peer = address_of(other_side(side)->machine, side->connection->from_port);
        listener->accepted(listener->arg, stream);
    }
}

void listener_offer(struct listener *listener, struct side *side)
{
    list_push_back(&listener->backlog, &side->accept);
    loop_ready(listener->loop, &listener->ready);
}

int listener_open(struct loop *loop, const char *host, uint16_t port,
                  void (*accepted)(void *arg, struct stream *stream), void *arg,
                  struct listener **ret_listener)
{
    struct machine *machine = loop->machine;
    (void)host;
    if (port == 0) {
        port = machine->next_port++;
    }
    if (listener_find(machine, port) != NULL) {
        return -EADDRINUSE;
    }
    struct listener *listener = mem_zalloc(sizeof *listener);
    listener->loop = loop;
    listener->port = port;
    listener->accepted = accepted;
    listener->arg = arg;
    list_init(&listener->backlog);
    ready_init(&listener->ready, accept_some);
    list_push_back(&machine->listeners, &listener->link);
    *ret_listener = listener;
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    list_remove(&listener->link);
    list_remove(&listener->ready.link);
    for (struct list *link; (link = list_pop_front(&listener->backlog)) != NULL;) {
        side_close(container_of(link, struct side, accept), true);
    }
    free(listener);
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

void listener_pause(struct listener *listener)
{
    listener->paused = true;
}

void listener_resume(struct listener *listener)
{
    listener->paused = false;
    loop_ready(listener->loop, &listener->ready);
}
