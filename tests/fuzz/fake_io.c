/* Time, tasks, timers, listeners and streams in memory. */
#include "fake_io.h"

#include <chronik/base/random.h>
#include <errno.h>
#include <stdio.h>

struct listener {
    struct list link;
    uint16_t port;
    void (*accepted)(void *arg, struct stream *stream);
    void *arg;
};

/* ---- time -------------------------------------------------------------------------------------*/

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

void loop_random(struct loop *loop, void *to, size_t len)
{
    struct prng prng;
    prng_init(&prng, loop->random++);
    prng_fill(&prng, to, len);
}

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->link);
    task->run = run;
}

void loop_defer(struct loop *loop, enum loop_step step, struct loop_task *task)
{
    (void)step;
    if (list_empty(&task->link)) {
        list_push_back(&loop->tasks, &task->link);
    }
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){ .loop = loop, .fired = fired };
}

void timer_cancel(struct timer *timer)
{
    if (timer_is_set(timer)) {
        heap_remove(&timer->loop->timers, &timer->node);
    }
}

void timer_set_at(struct timer *timer, uint64_t at_ns)
{
    timer_cancel(timer);
    heap_insert(&timer->loop->timers, &timer->node, at_ns);
}

void timer_set_in(struct timer *timer, uint64_t delay_ns)
{
    timer_set_at(timer, timer->loop->now_ns + delay_ns);
}

static void fire_timers(struct loop *loop)
{
    struct heap_node *first;
    uint64_t set_later = loop->timers.seq;
    while ((first = heap_min(&loop->timers)) != NULL && first->key <= loop->now_ns &&
           first->seq < set_later) {
        struct timer *timer = container_of(first, struct timer, node);
        heap_remove(&loop->timers, first);
        timer->fired(timer);
    }
}

/* ---- listeners --------------------------------------------------------------------------------*/

int listener_open(struct loop *loop, const char *host, uint16_t port,
                  void (*accepted)(void *arg, struct stream *stream), void *arg,
                  struct listener **ret_listener)
{
    struct listener *listener = mem_zalloc(sizeof *listener);
    (void)host;
    listener->port = port;
    listener->accepted = accepted;
    listener->arg = arg;
    list_push_back(&loop->listeners, &listener->link);
    *ret_listener = listener;
    return 0;
}

void listener_close(struct listener *listener)
{
    list_remove(&listener->link);
    free(listener);
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

/* ---- streams ----------------------------------------------------------------------------------*/

const char *net_format(const struct net_address *address, char to[NET_ADDRESS_TEXT])
{
    snprintf(to, NET_ADDRESS_TEXT, "[memory]:%u", address->port);
    return to;
}

const struct net_address *stream_peer(const struct stream *stream)
{
    static const struct net_address NOWHERE = { .port = 1 };
    (void)stream;
    return &NOWHERE;
}

static struct stream *stream_new(struct loop *loop)
{
    struct stream *stream = mem_zalloc(sizeof *stream);
    stream->loop = loop;
    list_push_back(&loop->streams, &stream->link);
    return stream;
}

struct stream *stream_connect(struct loop *loop, const char *host, uint16_t port,
                              const struct stream_handler *handler, void *owner)
{
    struct stream *stream = stream_new(loop);
    (void)host;
    stream->handler = handler;
    stream->owner = owner;
    stream->port = port;
    stream->dialling = true;
    return stream;
}

void stream_start(struct stream *stream, const struct stream_handler *handler, void *owner)
{
    stream->handler = handler;
    stream->owner = owner;
}

void *stream_owner(const struct stream *stream)
{
    return stream->owner;
}

void stream_send(struct stream *stream, struct chain *chain)
{
    struct loop *loop = stream->loop;
    struct buf *copy = &loop->sent[loop->n_sent++ % countof(loop->sent)];
    size_t len = chain->len;
    buf_clear(copy);
    chain_copy(chain, buf_reserve(copy, len));
    copy->len = len;
    chain_release(chain);
    if (stream->other != NULL && !stream->closing) {
        net_inject(stream->other, buf_bytes(copy));
    }
}

size_t stream_queued(const struct stream *stream)
{
    return stream->other ? stream->other->in.len : 0;
}

void stream_close(struct stream *stream)
{
    stream->closing = true;
}

void stream_close_after_flush(struct stream *stream)
{
    stream->flushing = true;
}

static void stream_end(struct stream *stream)
{
    list_remove(&stream->link);
    if (stream->other != NULL) {
        stream->other->other = NULL;
    }
    if (stream->handler != NULL) {
        stream->handler->closed(stream, stream->error);
    }
    buf_release(&stream->in);
    free(stream);
}

/* Both ends of a new connection to whoever listens there. */
static bool dial(struct loop *loop, struct stream *dialler, uint16_t port)
{
    list_each (it, &loop->listeners) {
        struct listener *listener = container_of(it, struct listener, link);
        if (listener->port == port) {
            struct stream *accepted = stream_new(loop);
            accepted->other = dialler;
            dialler->other = accepted;
            accepted->stranger = dialler->stranger;
            listener->accepted(listener->arg, accepted);
            return true;
        }
    }
    return false;
}

static void open_stream(struct stream *stream)
{
    stream->dialling = false;
    if (dial(stream->loop, stream, stream->port)) {
        stream->handler->opened(stream);
    } else {
        stream->closing = true;
        stream->error = -ECONNREFUSED;
    }
}

/* Has it been closed, by this end or by the other one? */
static bool has_ended(const struct stream *stream)
{
    bool flushed = stream->flushing && (stream->other == NULL || stream->other->in.len == 0);
    bool left = stream->other == NULL && stream->in.len == 0 && !stream->dialling;
    return stream->closing || flushed || left;
}

/* ---- what the fuzzer does ---------------------------------------------------------------------*/

void net_init(struct loop *loop)
{
    *loop = (struct loop){ .now_ns = NS_PER_S };
    heap_init(&loop->timers);
    list_init(&loop->tasks);
    list_init(&loop->streams);
    list_init(&loop->listeners);
}

void net_release(struct loop *loop)
{
    check(list_empty(&loop->streams) && list_empty(&loop->tasks) && list_empty(&loop->listeners));
    check(heap_min(&loop->timers) == NULL);
    heap_release(&loop->timers);
    for (size_t i = 0; i < countof(loop->sent); i++) {
        buf_release(&loop->sent[i]);
    }
}

void net_run(struct loop *loop)
{
    struct list *it;
    fire_timers(loop);
    list_each (link, &loop->streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (stream->dialling && !stream->closing) {
            open_stream(stream);
        }
    }
    while ((it = list_pop_front(&loop->tasks)) != NULL) {
        struct loop_task *task = container_of(it, struct loop_task, link);
        task->run(task);
    }
    list_each (link, &loop->streams) {
        struct stream *stream = container_of(link, struct stream, link);
        if (has_ended(stream)) {
            stream_end(stream);
        }
    }
}

struct stream *net_stream(struct loop *loop, size_t i)
{
    size_t n = 0;
    list_each (counted, &loop->streams) {
        n++;
    }
    i = n > 0 ? i % n : 0;
    list_each (link, &loop->streams) {
        if (i-- == 0) {
            return container_of(link, struct stream, link);
        }
    }
    return NULL;
}

void net_deliver(struct stream *stream, size_t len)
{
    if (stream->closing || stream->handler == NULL || stream->dialling) {
        buf_clear(&stream->in);
        return;
    }
    len = min_u64(len, stream->in.len);
    if (len == 0) {
        return;
    }
    struct buf now = stream->in;
    stream->in = (struct buf){ 0 };
    buf_put(&stream->in, now.data + len, now.len - len);
    if (!stream->flushing) {
        stream->handler->data(stream, bytes_of(now.data, len));
    }
    buf_release(&now);
}

void net_inject(struct stream *stream, struct bytes bytes)
{
    if (stream->in.len < MIB(1)) {
        buf_put(&stream->in, bytes.data, bytes.len);
    }
}

void net_stranger(struct loop *loop, uint16_t port)
{
    struct stream *outside = stream_new(loop);
    outside->stranger = true;
    if (!dial(loop, outside, port)) {
        outside->closing = true;
    }
}
