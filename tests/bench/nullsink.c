/* nullsink: what no broker can beat. nullsink PORT serves 127.0.0.1 and keeps nothing
 * (port 0: any; it is printed):
 *
 *   Produce 8     read as bytes, acknowledged at once
 *   Fetch 11      answered with one canned batch of 1 MiB, stamped with the offset asked for
 *   others that loadgen needs are answered so that it goes on
 *
 * One thread, epoll, one write per connection and turn. Produce requests are walked by hand rather
 * than decoded: this is the ceiling, not a broker. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CANNED_BYTES = 1 << 20, CANNED_RECORDS = 1000, PARTITIONS = 1000, READ_SIZE = 256 * 1024 };

struct sink {
    int epoll, listener;
    struct buf canned; /* a record batch */
    struct buf fetched; /* the response to a fetch, with that batch at its end */
    struct arena arena;
};

struct peer {
    int fd;
    struct buf in, out;
    size_t in_at, out_at;
    bool polls_out;
};

/* ---- answers -------------------------------------------------------------------------------- */

/* Version 8 has fixed places: behind the header, a null transactional id, acks, time-out, then
 * topics of name and partitions of index and records. */
static void answer_produce(struct peer *peer, struct bytes frame, int32_t correlation)
{
    const uint8_t *at = frame.data + 8;
    at += 2 + load_be16(at) + 2 + 2 + 4; /* client id, transactional id, acks, time-out */
    uint32_t n_topics = load_be32(at);
    at += 4;
    size_t begin = peer->out.len;
    buf_put_be32(&peer->out, 0);
    buf_put_be32(&peer->out, (uint32_t)correlation);
    buf_put_be32(&peer->out, n_topics);
    for (uint32_t t = 0; t < n_topics; t++) {
        size_t name = load_be16(at);
        uint32_t n_partitions = load_be32(at + 2 + name);
        buf_put(&peer->out, at, 2 + name + 4);
        at += 2 + name + 4;
        for (uint32_t p = 0; p < n_partitions; p++) {
            buf_put(&peer->out, at, 4);
            buf_put_be16(&peer->out, KAFKA_NONE);
            buf_put_be64(&peer->out, 0);          /* base offset */
            buf_put_be64(&peer->out, UINT64_MAX); /* log append time */
            buf_put_be64(&peer->out, 0);          /* log start */
            buf_put_be32(&peer->out, 0);          /* record errors */
            buf_put_be16(&peer->out, UINT16_MAX); /* error message */
            at += 8 + load_be32(at + 4);
        }
    }
    buf_put_be32(&peer->out, 0); /* throttle */
    store_be32(peer->out.data + begin, (uint32_t)(peer->out.len - begin - 4));
}

static void put_response(struct peer *peer, const struct wire_api *api,
                         const struct request_header *header, const void *response)
{
    struct chain chain = { 0 };
    frame_put_response(&chain, api, header->api_version, header->correlation_id, response);
    chain_copy(&chain, buf_reserve(&peer->out, chain.len));
    peer->out.len += chain.len;
    chain_release(&chain);
}

/* Sends without a copy what the socket takes at once, when nothing else waits to be sent. */
static void send_or_keep(struct peer *peer, struct bytes frame)
{
    ssize_t n = 0;
    while (peer->out.len == 0 && frame.len > 0 &&
           (n = write(peer->fd, frame.data, frame.len)) > 0) {
        frame = bytes_part(frame, (size_t)n, frame.len - (size_t)n);
    }
    buf_put(&peer->out, frame.data, frame.len);
}

static void can_response(struct sink *sink, const struct request_header *header,
                         const struct fetch_request *request)
{
    struct fetch_response_partition partition = fetch_response_partition_default;
    struct fetch_response_topic topic = fetch_response_topic_default;
    struct fetch_response response = fetch_response_default;
    struct peer nobody = { .fd = -1 };
    partition.partition_index = request->topics[0].partitions[0].partition_index;
    partition.high_watermark = INT64_MAX;
    partition.records.view = buf_bytes(&sink->canned);
    topic.name = request->topics[0].name;
    topic.partitions = &partition;
    topic.n_partitions = 1;
    response.topics = &topic;
    response.n_topics = 1;
    put_response(&nobody, &wire_fetch, header, &response);
    sink->fetched = nobody.out;
}

/* The response to the first fetch serves all: only correlation id and offset are put in anew. */
static void answer_fetch(struct sink *sink, struct peer *peer, const struct request_header *header,
                         const struct fetch_request *request)
{
    if (sink->fetched.len == 0) {
        can_response(sink, header, request);
    }
    uint8_t *frame = sink->fetched.data;
    store_be32(frame + 4, (uint32_t)header->correlation_id);
    batch_stamp(frame + sink->fetched.len - sink->canned.len,
                request->topics[0].partitions[0].fetch_offset, 0);
    send_or_keep(peer, buf_bytes(&sink->fetched));
}

static void answer_metadata(struct peer *peer, const struct request_header *header,
                            const struct metadata_request *request)
{
    static struct metadata_response_partition partitions[PARTITIONS];
    struct metadata_response_topic topic = metadata_response_topic_default;
    struct metadata_response response = metadata_response_default;
    for (int32_t i = 0; i < PARTITIONS; i++) {
        partitions[i] = metadata_response_partition_default;
        partitions[i].partition_index = i;
    }
    topic.name = request->topics[0].name;
    topic.partitions = partitions;
    topic.n_partitions = PARTITIONS;
    response.topics = &topic;
    response.n_topics = 1;
    put_response(peer, &wire_metadata, header, &response);
}

static void answer_create(struct peer *peer, const struct request_header *header,
                          const struct create_topics_request *request)
{
    struct create_topics_response_topic topic = create_topics_response_topic_default;
    struct create_topics_response response = create_topics_response_default;
    topic.name = request->topics[0].name;
    response.topics = &topic;
    response.n_topics = 1;
    put_response(peer, &wire_create_topics, header, &response);
}

static void answer_list_offsets(struct peer *peer, const struct request_header *header,
                                const struct list_offsets_request *request)
{
    static struct list_offsets_response_partition partitions[PARTITIONS];
    struct list_offsets_response_topic topic = list_offsets_response_topic_default;
    struct list_offsets_response response = list_offsets_response_default;
    int32_t n = request->topics[0].n_partitions;
    for (int32_t i = 0; i < n && i < PARTITIONS; i++) {
        partitions[i] = list_offsets_response_partition_default;
        partitions[i].partition_index = request->topics[0].partitions[i].partition_index;
        partitions[i].offset = 0;
    }
    topic.name = request->topics[0].name;
    topic.partitions = partitions;
    topic.n_partitions = n < PARTITIONS ? n : PARTITIONS;
    response.topics = &topic;
    response.n_topics = 1;
    put_response(peer, &wire_list_offsets, header, &response);
}

static void answer(struct sink *sink, struct peer *peer, struct bytes frame)
{
    struct request_header header;
    struct bytes body;
    union {
        struct fetch_request fetch;
        struct metadata_request metadata;
        struct create_topics_request create;
        struct list_offsets_request list;
        struct api_versions_request versions;
    } request;
    if (!frame_peek(frame, &header)) {
        fail("a frame of %zu bytes", frame.len);
    }
    if (header.api_key == wire_produce.key) {
        answer_produce(peer, frame, header.correlation_id);
        return;
    }
    const struct wire_api *api = wire_api_find(header.api_key);
    arena_reset(&sink->arena);
    if (api == NULL || frame_parse(frame, api, &header, &body).result != WIRE_OK ||
        wire_decode(api->request, header.api_version, wire_is_flexible(api, header.api_version),
                    body, &sink->arena, &request, NULL)
                .result != WIRE_OK) {
        fail("api key %d is not served", header.api_key);
    }
    if (api == &wire_fetch) {
        answer_fetch(sink, peer, &header, &request.fetch);
    } else if (api == &wire_metadata) {
        answer_metadata(peer, &header, &request.metadata);
    } else if (api == &wire_create_topics) {
        answer_create(peer, &header, &request.create);
    } else if (api == &wire_list_offsets) {
        answer_list_offsets(peer, &header, &request.list);
    } else if (api == &wire_api_versions) {
        struct api_versions_response response = api_versions_response_default;
        put_response(peer, api, &header, &response);
    } else {
        fail("%s is not served", api->name);
    }
}

/* ---- connections ---------------------------------------------------------------------------- */

static void set_poll(struct sink *sink, struct peer *peer, int op)
{
    struct epoll_event event = { .events = EPOLLIN | (peer->polls_out ? (uint32_t)EPOLLOUT : 0),
                                 .data.ptr = peer };
    check(epoll_ctl(sink->epoll, op, peer->fd, &event) == 0);
}

static void accept_all(struct sink *sink)
{
    int fd;
    while ((fd = accept4(sink->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *peer = mem_zalloc(sizeof *peer);
        peer->fd = fd;
        set_poll(sink, peer, EPOLL_CTL_ADD);
    }
}

/* Answers every whole frame. A partial one moves to the front, so that the buffer does not grow. */
static void take_frames(struct sink *sink, struct peer *peer)
{
    while (peer->in.len - peer->in_at >= 4) {
        size_t len = load_be32(peer->in.data + peer->in_at);
        if (peer->in.len - peer->in_at - 4 < len) {
            break;
        }
        answer(sink, peer, bytes_of(peer->in.data + peer->in_at + 4, len));
        peer->in_at += 4 + len;
    }
    memmove(peer->in.data, peer->in.data + peer->in_at, peer->in.len - peer->in_at);
    peer->in.len -= peer->in_at;
    peer->in_at = 0;
}

static bool flush(struct sink *sink, struct peer *peer)
{
    while (peer->out_at < peer->out.len) {
        ssize_t n = write(peer->fd, peer->out.data + peer->out_at, peer->out.len - peer->out_at);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            return false;
        }
        peer->out_at += (size_t)n;
    }
    bool done = peer->out_at == peer->out.len;
    if (done) {
        peer->out_at = 0;
        buf_clear(&peer->out);
    }
    if (done == peer->polls_out) {
        peer->polls_out = !done;
        set_poll(sink, peer, EPOLL_CTL_MOD);
    }
    return true;
}

/* False when the peer has gone. */
static bool serve(struct sink *sink, struct peer *peer, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = read(peer->fd, buf_reserve(&peer->in, READ_SIZE), READ_SIZE);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return false;
        }
        peer->in.len += n > 0 ? (size_t)n : 0;
        take_frames(sink, peer);
    }
    return flush(sink, peer);
}

static void forget(struct peer *peer)
{
    close(peer->fd);
    buf_release(&peer->in);
    buf_release(&peer->out);
    free(peer);
}

static void open_sink(struct sink *sink, uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN };
    int on = 1;
    sink->epoll = epoll_create1(EPOLL_CLOEXEC);
    sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(sink->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(sink->listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(sink->listener, 4096) < 0 ||
        epoll_ctl(sink->epoll, EPOLL_CTL_ADD, sink->listener, &event) < 0) {
        fail("port %u: %s", port, strerror(errno));
    }
    socklen_t len = sizeof at;
    getsockname(sink->listener, (struct sockaddr *)&at, &len);
    printf("port=%u\n", ntohs(at.sin_port));
    fflush(stdout);
}

static void can_batch(struct sink *sink)
{
    struct batch_builder builder;
    uint8_t *value = mem_zalloc(CANNED_BYTES / CANNED_RECORDS);
    batch_builder_init(&builder);
    for (int i = 0; i < CANNED_RECORDS; i++) {
        batch_builder_add(&builder, 1, bytes_of(NULL, 0),
                          bytes_of(value, CANNED_BYTES / CANNED_RECORDS), bytes_of(NULL, 0), 0);
    }
    struct bytes raw = batch_builder_finish(&builder);
    buf_put(&sink->canned, raw.data, raw.len);
    batch_builder_release(&builder);
    free(value);
}

int main(int argc, char **argv)
{
    struct sink sink = { 0 };
    if (argc != 2) {
        fail("usage: nullsink PORT");
    }
    signal(SIGPIPE, SIG_IGN);
    arena_init(&sink.arena, 0);
    can_batch(&sink);
    open_sink(&sink, (uint16_t)strtoul(argv[1], NULL, 10));
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(sink.epoll, events, countof(events), -1);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == NULL) {
                accept_all(&sink);
            } else if (!serve(&sink, peer, events[i].events)) {
                forget(peer);
            }
        }
    }
}
