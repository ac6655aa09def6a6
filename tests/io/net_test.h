/* Two ends of a connection on one loop, for the tests of listeners and streams. */
#ifndef CHRONIK_TESTS_IO_NET_TEST_H
#define CHRONIK_TESTS_IO_NET_TEST_H

#include "io_test.h"

#include <arpa/inet.h>
#include <chronik/io/net.h>
#include <errno.h>
#include <sys/socket.h>

/* One end: what it got, what was called, what it does when it is called. */
struct end {
    struct net *net;
    struct stream *stream;
    struct buf got;
    unsigned opened, drained, closed;
    int error;
    bool echo;    /* sends back what it gets */
    bool forget;  /* only counts the bytes */
    size_t want;  /* stops the loop when that many bytes are there */
    size_t n_got; /* bytes */
    bool close_on_open, close_on_data, flush_on_data, close_on_drained, pause_on_data;
    uint8_t *room; /* NULL: the loop's buffer */
    size_t room_len;
};

/* A server that keeps its first connection, a client, a loop that stops when something happens. */
struct net {
    struct loop *loop;
    struct listener *listener;
    struct end server, client;
    unsigned accepted;
    bool in_call; /* of the interface: callbacks must not come now */
    bool stop_on_accept;
};

static inline void chain_of(struct chain *chain, const void *data, size_t len)
{
    *chain = (struct chain){ 0 };
    chain_put(chain, data, len);
}

static inline void end_send(struct end *end, const void *data, size_t len)
{
    struct chain chain;
    chain_of(&chain, data, len);
    stream_send(end->stream, &chain);
    assert_int_equal(chain.len, 0);
}

/* A pattern that shows lost, doubled and swapped bytes. */
static inline uint8_t *pattern(size_t len)
{
    uint8_t *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 31 + i / 251);
    }
    return data;
}

static inline void end_opened(struct stream *stream)
{
    struct end *end = stream_owner(stream);
    assert_false(end->net->in_call);
    end->opened++;
    if (end->close_on_open) {
        stream_close(stream);
    } else {
        loop_stop(end->net->loop);
    }
}

static inline void end_data(struct stream *stream, struct bytes data)
{
    struct end *end = stream_owner(stream);
    assert_int_equal(end->closed, 0);
    assert_true(data.len > 0);
    end->n_got += data.len;
    if (!end->forget) {
        buf_put(&end->got, data.data, data.len);
    }
    if (end->echo) {
        end_send(end, data.data, data.len);
    }
    if (end->pause_on_data) {
        stream_pause(stream);
    }
    if (end->flush_on_data) {
        stream_close_after_flush(stream);
        stream_close_after_flush(stream);
    }
    if (end->close_on_data) {
        stream_close(stream);
        stream_close(stream);
        stream_close_after_flush(stream);
    }
    if (end->want != 0 && end->n_got >= end->want) {
        loop_stop(end->net->loop);
    }
}

static inline void end_drained(struct stream *stream)
{
    struct end *end = stream_owner(stream);
    assert_true(stream_queued(stream) <= NET_LOW_WATER);
    end->drained++;
    if (end->close_on_drained) {
        stream_close(stream);
    }
}

static inline void end_closed(struct stream *stream, int error)
{
    struct end *end = stream_owner(stream);
    assert_false(end->net->in_call);
    end->closed++;
    end->error = error;
    end->stream = NULL;
    loop_stop(end->net->loop);
}

static inline uint8_t *end_room(struct stream *stream, size_t *ret_len)
{
    struct end *end = stream_owner(stream);
    *ret_len = end->room_len;
    return end->room;
}

static const struct stream_handler END_HANDLER = {
    .opened = end_opened,
    .room = end_room,
    .data = end_data,
    .drained = end_drained,
    .closed = end_closed,
};

/* Keeps the first connection as net->server; closes all others. */
static inline void net_accepted(void *arg, struct stream *stream)
{
    struct net *net = arg;
    if (net->accepted++ == 0) {
        net->server.stream = stream;
        stream_start(stream, &END_HANDLER, &net->server);
    } else {
        stream_close(stream);
    }
    if (net->stop_on_accept) {
        loop_stop(net->loop);
    }
}

static inline struct net *net_new(void)
{
    struct net *net = mem_zalloc(sizeof *net);
    net->loop = new_loop();
    net->server.net = net->client.net = net;
    assert_int_equal(listener_open(net->loop, "127.0.0.1", 0, net_accepted, net, &net->listener),
                     0);
    return net;
}

/* Runs until `*count` is at least `n`; every callback of an end stops the loop. */
static inline void run_until(struct net *net, const unsigned *count, unsigned n)
{
    while (*count < n) {
        loop_run(net->loop);
    }
}

static inline void run_until_got(struct end *end, size_t len)
{
    end->want = len;
    while (end->n_got < len) {
        loop_run(end->net->loop);
    }
    assert_int_equal(end->n_got, len);
}

static inline void net_connect(struct net *net)
{
    net->in_call = true;
    net->client.stream = stream_connect(net->loop, "127.0.0.1", listener_port(net->listener),
                                        &END_HANDLER, &net->client);
    net->in_call = false;
    net->stop_on_accept = true;
    run_until(net, &net->client.opened, 1);
    run_until(net, &net->accepted, 1);
}

static inline void end_release(struct end *end)
{
    if (end->stream != NULL) {
        stream_close(end->stream);
        run_until(end->net, &end->closed, 1);
    }
    assert_true(end->closed <= 1);
    buf_release(&end->got);
}

static inline void net_free(struct net *net)
{
    end_release(&net->client);
    end_release(&net->server);
    listener_close(net->listener);
    loop_free(net->loop);
    free(net);
}

/* A blocking socket that is connected to the port on loopback. */
static inline int raw_connect(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = { htonl(INADDR_LOOPBACK) },
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Closes with a reset. */
static inline void raw_reset(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

#endif
