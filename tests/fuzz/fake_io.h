/* What src/io is to the server's links, in memory: time, tasks, timers, listeners, streams. Linked
 * in front of the real one, for fuzzing without sockets: everything happens when the fuzzer says.
 *
 * A connection is a pair of streams. What one sends waits at the other until net_deliver(). */
#ifndef CHRONIK_TESTS_FUZZ_FAKE_IO_H
#define CHRONIK_TESTS_FUZZ_FAKE_IO_H

#include <chronik/base/heap.h>
#include <chronik/io/net.h>
#include <chronik/io/timer.h>

struct loop {
    uint64_t now_ns, random;
    struct heap timers;
    struct list tasks;
    struct list streams, listeners;
    struct buf sent[64]; /* copies of what was sent, the newest over the oldest */
    size_t n_sent;
};

struct stream {
    struct list link; /* in loop->streams */
    struct loop *loop;
    struct stream *other; /* NULL: gone */
    const struct stream_handler *handler;
    void *owner;
    uint16_t port;   /* to be dialled */
    struct buf in;   /* waits to be delivered */
    bool dialling, closing, flushing, stranger;
    int error;
};

void net_init(struct loop *loop);

/* Everything has been closed. */
void net_release(struct loop *loop);

/* Fires what is due, runs what is deferred, opens what is dialled, closes what is to be closed. */
void net_run(struct loop *loop);

/* The stream of that number, modulo how many there are; NULL when there is none. */
struct stream *net_stream(struct loop *loop, size_t i);

/* Gives up to `len` of the bytes that wait to the stream's owner. */
void net_deliver(struct stream *stream, size_t len);

/* Bytes from nowhere, behind those that wait. */
void net_inject(struct stream *stream, struct bytes bytes);

/* Somebody connects who is no node, and can only be spoken for by net_inject(). */
void net_stranger(struct loop *loop, uint16_t port);

#endif
