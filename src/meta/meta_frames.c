/* Frames between nodes. The first byte says what it is; numbers are big-endian.
 *
 *   0 kind  uint8   0 Raft, 1 request, 2 answer
 *   1 a Raft message (raft_frame.c), or
 *
 *   request   1 request kind uint16, 3 incarnation 16 bytes, 19 sequence, 27 open int64,
 *             35 time-out in ms uint32, 39 the request (schema/request.api)
 *   answer    1 request kind uint16, 3 sequence int64, 11 items uint32, then a byte for each item
 *             (1: its result is to come), then the response
 *
 * Whoever gets a frame that it cannot use drops it: everything is repeated until it is answered. */
#include "meta_private.h"

#include <chronik/wire/codec.h>

#include <errno.h>

enum { FRAME_RAFT, FRAME_REQUEST, FRAME_ANSWER };
enum { REQUEST_HEAD = 39, ANSWER_HEAD = 15 };

/* ---- out --------------------------------------------------------------------------------------*/

static void send(struct meta *meta, int32_t peer, struct chain *frame)
{
    if (meta->transport != NULL) {
        meta->transport->send(meta->transport_arg, peer, frame);
    }
    chain_release(frame);
}

void meta_send_raft(struct meta *meta, int32_t peer, struct chain *raft)
{
    struct chain frame = { 0 };
    *chain_reserve(&frame, 1) = FRAME_RAFT;
    chain_append(&frame, raft);
    send(meta, peer, &frame);
}

void meta_send_request(struct meta *meta, int32_t peer, const struct meta_request *request)
{
    struct chain frame = { 0 };
    struct command_id id = meta_request_id(request);
    uint8_t *head = chain_reserve(&frame, REQUEST_HEAD);
    uint64_t now_ns = loop_now_ns(meta->loop);
    uint64_t left_ns = request->deadline_ns > now_ns ? request->deadline_ns - now_ns : 0;
    head[0] = FRAME_REQUEST;
    store_be16(head + 1, (uint16_t)request->kind);
    memcpy(head + 3, id.incarnation.bytes, 16);
    store_be64(head + 19, (uint64_t)id.sequence);
    store_be64(head + 27, (uint64_t)id.open);
    store_be32(head + 35, (uint32_t)min_u64(left_ns / NS_PER_MS, UINT32_MAX));
    chain_put(&frame, request->encoded.data, request->encoded.len);
    send(meta, peer, &frame);
}

void meta_send_answer(struct meta *meta, const struct asked *asked, const void *response,
                      const struct decision *d)
{
    struct chain frame = { 0 };
    uint8_t *head = chain_reserve(&frame, ANSWER_HEAD + d->n_items);
    head[0] = FRAME_ANSWER;
    store_be16(head + 1, (uint16_t)asked->kind);
    store_be64(head + 3, (uint64_t)asked->id.sequence);
    store_be32(head + 11, (uint32_t)d->n_items);
    for (size_t i = 0; i < d->n_items; i++) {
        head[ANSWER_HEAD + i] = d->waits[i];
    }
    wire_encode(meta_request_schema(asked->kind)->response, 0, true, response, &frame);
    send(meta, asked->id.node, &frame);
}

/* ---- in ---------------------------------------------------------------------------------------*/

static int receive_request(struct meta *meta, struct meta_peer *peer, struct bytes frame)
{
    if (frame.len < REQUEST_HEAD) {
        return -EBADMSG;
    }
    enum meta_request_kind kind = (enum meta_request_kind)load_be16(frame.data + 1);
    struct command_id id = { .node = peer->id, .sequence = (int64_t)load_be64(frame.data + 19),
                             .open = (int64_t)load_be64(frame.data + 27) };
    memcpy(id.incarnation.bytes, frame.data + 3, 16);
    uint64_t left_ns = load_be32(frame.data + 35) * NS_PER_MS;
    if (meta_request_schema(kind) == NULL || id.sequence <= 0 || id.open > id.sequence) {
        return -EBADMSG;
    }
    if (!uuid_is_zero(&peer->incarnation) && !uuid_equal(&peer->incarnation, &id.incarnation)) {
        return 0; /* of an earlier life, which waits for nothing any more */
    }
    meta_liveness_heard(meta, peer, RAFT_VOICE_FOLLOWER);
    meta_controller_ask(meta, kind, &id, NULL,
                        bytes_part(frame, REQUEST_HEAD, frame.len - REQUEST_HEAD),
                        loop_now_ns(meta->loop) + left_ns);
    return 0;
}

/* The response is a copy in the request's arena. */
static int take_answer(struct meta_request *request, const uint8_t *waits, struct bytes body)
{
    const struct wire_struct *s = meta_request_schema(request->kind)->response;
    void *response = arena_zalloc(&request->arena, s->size);
    void *copy = arena_dup(&request->arena, body.data, body.len);
    bool *flags = arena_zalloc_array(&request->arena, request->n_items, sizeof *flags);
    struct wire_error error = wire_decode(s, 0, true, bytes_of(copy, body.len), &request->arena,
                                          response, NULL);
    if (error.result != WIRE_OK) {
        return -EBADMSG;
    }
    for (size_t i = 0; i < request->n_items; i++) {
        flags[i] = waits[i] != 0;
    }
    meta_request_answer(request, response, flags);
    return 0;
}

static int receive_answer(struct meta *meta, int32_t peer, struct bytes frame)
{
    if (frame.len < ANSWER_HEAD) {
        return -EBADMSG;
    }
    enum meta_request_kind kind = (enum meta_request_kind)load_be16(frame.data + 1);
    int64_t sequence = (int64_t)load_be64(frame.data + 3);
    uint32_t n = load_be32(frame.data + 11);
    struct meta_request *request = meta_request_find(meta, sequence);
    if (n > frame.len - ANSWER_HEAD) {
        return -EBADMSG;
    }
    if (request == NULL || request->sequence != sequence || request->asked != peer) {
        return 0; /* it was answered, given up, or asked of somebody else meanwhile */
    }
    if (request->kind != kind || request->n_items != n) {
        return -EBADMSG;
    }
    size_t at = ANSWER_HEAD + n;
    return take_answer(request, frame.data + ANSWER_HEAD,
                       bytes_part(frame, at, frame.len - at));
}

static int receive_raft(struct meta *meta, struct meta_peer *peer, struct bytes frame)
{
    int error = raft_node_receive(meta->node, meta_now_ms(meta), (uint64_t)peer->id,
                                  peer->connection, frame);
    meta_after_raft(meta, error);
    if (error == 0) {
        meta_liveness_heard(meta, peer, raft_frame_voice(frame));
    }
    return error == -EBADMSG ? error : 0;
}

int meta_receive(struct meta *meta, int32_t id, uint64_t connection, struct bytes frame)
{
    struct meta_peer *peer = meta_peer(meta, id);
    if (peer == NULL || id == meta->node_id || frame.len == 0) {
        return -EBADMSG;
    }
    if (!meta_runs(meta) || connection < peer->connection) {
        return 0;
    }
    peer->connection = connection;
    switch (frame.data[0]) {
    case FRAME_RAFT:
        return receive_raft(meta, peer, bytes_part(frame, 1, frame.len - 1));
    case FRAME_REQUEST:
        return receive_request(meta, peer, frame);
    case FRAME_ANSWER:
        return receive_answer(meta, id, frame);
    default:
        return -EBADMSG;
    }
}
