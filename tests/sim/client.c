/* Requests out, answers in. What a node sends must be whole, in order, and decode to its last byte;
 * else the life fails. */
#include "client.h"

#include <chronik/io/net.h>
#include <chronik/wire/frame.h>
#include <stdio.h>

#include "node.h"

struct call {
    struct list link; /* in client_link->calls, in order */
    const struct wire_api *api;
    int16_t version;
    int32_t correlation_id;
    uint64_t give_up_ns;
    client_answer *done;
    void *arg;
};

struct client_link {
    struct client *client;
    unsigned node;
    struct stream *stream;
    struct list calls;
    struct buf in;
    int32_t correlation_id;
    struct timer patience; /* of the oldest call */
    bool closing;
};

void client_init(struct client *client, struct machine *machine, unsigned n_nodes)
{
    *client = (struct client){ .machine = machine, .n_nodes = n_nodes };
}

static void be_patient(struct client_link *link)
{
    uint64_t first = UINT64_MAX;
    list_each (it, &link->calls) {
        first = min_u64(first, container_of(it, struct call, link)->give_up_ns);
    }
    timer_cancel(&link->patience);
    if (first != UINT64_MAX) {
        timer_set_at(&link->patience, first);
    }
}

static void lose_patience(struct timer *timer)
{
    struct client_link *link = container_of(timer, struct client_link, patience);
    client_drop(link->client, link->node);
}

/* ---- answers ----------------------------------------------------------------------------------*/

static void answer(struct client_link *link, struct bytes frame)
{
    struct list *first = list_pop_front(&link->calls);
    if (first == NULL) {
        world_fail("node %u answers without having been asked", link->node + 1);
        return;
    }
    struct call *call = container_of(first, struct call, link);
    size_t header = wire_response_header_version(call->api, call->version) > 0 ? 5 : 4, left = 0;
    if (frame.len < header || (int32_t)load_be32(frame.data) != call->correlation_id) {
        world_fail("node %u answers %s out of order", link->node + 1, call->api->name);
        return;
    }
    struct arena arena;
    arena_init(&arena, 0);
    void *body = arena_alloc(&arena, call->api->response->size);
    struct wire_error error =
        wire_decode(call->api->response, call->version, wire_is_flexible(call->api, call->version),
                    bytes_part(frame, header, frame.len - header), &arena, body, &left);
    if (error.result != WIRE_OK || left != 0) {
        world_fail("node %u answers %s v%d with what cannot be decoded: %s, %zu bytes left",
                   link->node + 1, call->api->name, call->version, wire_result_text(error.result),
                   left);
    } else {
        call->done(call->arg, body);
    }
    arena_release(&arena);
    free(call);
}

static void on_data(struct stream *stream, struct bytes data)
{
    struct client_link *link = stream_owner(stream);
    size_t at = 0;
    buf_put(&link->in, data.data, data.len);
    while (!link->closing && link->in.len - at >= FRAME_PREFIX) {
        uint32_t len = load_be32(link->in.data + at);
        if (link->in.len - at - FRAME_PREFIX < len) {
            break;
        }
        at += FRAME_PREFIX + len;
        answer(link, bytes_of(link->in.data + at - len, len));
    }
    memmove(link->in.data, link->in.data + at, link->in.len - at);
    link->in.len -= at;
    if (!link->closing) {
        be_patient(link);
    }
}

static void on_opened(struct stream *stream)
{
    (void)stream;
}

static void on_closed(struct stream *stream, int error)
{
    struct client_link *link = stream_owner(stream);
    struct list *first;
    (void)error;
    timer_cancel(&link->patience);
    if (link->client->links[link->node] == link) {
        link->client->links[link->node] = NULL;
    }
    while ((first = list_pop_front(&link->calls)) != NULL) {
        struct call *call = container_of(first, struct call, link);
        link->client->n_failed++;
        call->done(call->arg, NULL);
        free(call);
    }
    buf_release(&link->in);
    free(link);
}

static const struct stream_handler HANDLER = {
    .opened = on_opened,
    .data = on_data,
    .closed = on_closed,
};

/* ---- requests ---------------------------------------------------------------------------------*/

static struct client_link *link_to(struct client *client, unsigned node)
{
    struct client_link *link = client->links[node];
    char host[16];
    if (link != NULL) {
        return link;
    }
    link = client->links[node] = mem_zalloc(sizeof *link);
    link->client = client;
    link->node = node;
    list_init(&link->calls);
    timer_init(&link->patience, client->machine->loop, lose_patience);
    snprintf(host, sizeof host, "n%u", node + 1);
    link->stream = stream_connect(client->machine->loop, host, NODE_CLIENT_PORT, &HANDLER, link);
    return link;
}

void client_ask(struct client *client, unsigned node, const struct wire_api *api, int16_t version,
                const void *request, uint64_t timeout_ns, client_answer *done, void *arg)
{
    struct client_link *link = link_to(client, node);
    struct call *call = mem_zalloc(sizeof *call);
    struct chain out = { 0 };
    call->api = api;
    call->version = version;
    call->correlation_id = ++link->correlation_id;
    call->give_up_ns = loop_now_ns(client->machine->loop) + timeout_ns;
    call->done = done;
    call->arg = arg;
    list_push_back(&link->calls, &call->link);
    if (link->closing) {
        return; /* it fails with all others, in order */
    }
    const struct request_header header = {
        .api_key = api->key,
        .api_version = version,
        .correlation_id = call->correlation_id,
        .client_id = text_of("sim"),
    };
    frame_put_request(&out, api, &header, request);
    stream_send(link->stream, &out);
    client->n_requests++;
    be_patient(link);
}

void client_drop(struct client *client, unsigned node)
{
    struct client_link *link = client->links[node];
    if (link != NULL && !link->closing) {
        link->closing = true;
        stream_close(link->stream);
    }
}
