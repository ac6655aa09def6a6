/* The handshake of a link, and its frames.
 *
 * The happy path is drawn in peer_link.h. What can go wrong: bytes that are no frame, a frame that
 * is too long for the state, a wrong proof, another cluster, another node than meant, a handshake
 * that takes too long: the link is closed, the reason is told to the peer where it speaks our
 * protocol and logged on both sides. Nothing else is disturbed. */
#include "peer_link.h"

#include <chronik/base/states.h>
#include <chronik/server/peer_message.h>
#include <chronik/wire/codec.h>
#include <errno.h>

enum { FIRST_BYTES = 1 << 20 }; /* held of a larger frame, until more has come */

static const struct state LINK_STATES[] = {
    [LINK_DIALLING] = {
        .name = "dialling",
        .next = STATE(LINK_GREETING),
        .initial = true,
    },
    [LINK_GREETING] = {
        .name = "greeting",
        .next = STATE(LINK_PROVING),
        .initial = true,
    },
    [LINK_PROVING] = { .name = "proving", .next = STATE(LINK_OPEN) },
    [LINK_OPEN] = { .name = "open" },
};

static const char *const REFUSALS[] = {
    [PEER_ACCEPTED] = "accepted",
    [PEER_WRONG_SECRET] = "the cluster secret differs; give every node the same "
                          "chronik.cluster.secret",
    [PEER_WRONG_CLUSTER] = "it belongs to another cluster; check the addresses of the nodes and "
                           "the data directories",
    [PEER_WRONG_NODE] = "another node answers at that address; check the node ids and addresses of "
                        "controller.quorum.voters",
    [PEER_UNKNOWN_NODE] = "the node is not one of controller.quorum.voters; add it on every node",
    [PEER_WRONG_VERSION] = "it speaks another version; run the same release on every node",
    [PEER_STALE] = "a newer link of that node is open",
    [PEER_WRONG_VOTERS] = "it was started with other voters; give every node the same "
                          "controller.quorum.voters (--peers)",
    [PEER_WIPED] = "its Raft directory is not the one that the cluster knows, so it has lost what "
                   "it promised and must not vote; give the node its directory back",
    [PEER_TAKEN] = "another process with the same node id is connected; stop one of the two, or "
                   "give it an id of its own",
    [PEER_STARTING] = "it has only begun to start",
};

static void move(struct peer_link *link, enum link_state state)
{
    state_move(LINK_STATES, &link->state, state, link);
}

void link_close(struct peer_link *link)
{
    link->closing = true;
    stream_close(link->stream);
}

/* ---- frames out ------------------------------------------------------------------------------*/

void link_send(struct peer_link *link, struct chain *frame)
{
    struct chain whole = { 0 };
    store_be32(chain_reserve(&whole, 4), (uint32_t)frame->len);
    chain_append(&whole, frame);
    stream_send(link->stream, &whole);
}

static void send_message(struct peer_link *link, const struct wire_struct *s, const void *message)
{
    struct chain frame = { 0 };
    wire_encode(s, 0, true, message, &frame);
    link_send(link, &frame);
}

/* ---- the handshake ---------------------------------------------------------------------------*/

static void compute_proof(const struct peer_link *link, bool of_dialler,
                          uint8_t ret_proof[CRYPTO_SHA256])
{
    const char *secret = link->peers->config.secret ? link->peers->config.secret : "";
    struct buf said = { 0 };
    buf_put(&said, of_dialler ? "dialler " : "acceptor", 8);
    buf_put(&said, link->hello.data, link->hello.len);
    crypto_hmac(bytes_of(secret, strlen(secret)), buf_bytes(&said),
                bytes_of(link->nonce, sizeof link->nonce), ret_proof);
    buf_release(&said);
}

static bool proof_fits(const struct peer_link *link, bool of_dialler, struct bytes proof)
{
    uint8_t expected[CRYPTO_SHA256];
    compute_proof(link, of_dialler, expected);
    return proof.len == sizeof expected && crypto_equal(proof.data, expected, sizeof expected);
}

/* Refuses an accepted link: the peer is told, the link closes when that has been sent. */
static int refuse(struct peer_link *link, enum peer_refusal why)
{
    struct peer_proof_response proof = { .error = (int16_t)why, .message = text_of(REFUSALS[why]) };
    struct peer_hello_response hello = { .error = (int16_t)why, .message = text_of(REFUSALS[why]) };
    hello.nonce = hello.proof = bytes_of("", 0);
    if (why != PEER_STARTING) {
        peers_say_refused(link->peers, link, true, REFUSALS[why]);
    }
    if (link->state == LINK_GREETING) {
        send_message(link, server_peer_hello.response, &hello);
    } else {
        send_message(link, server_peer_proof.response, &proof);
    }
    link->closing = true;
    stream_close_after_flush(link->stream);
    return 0;
}

static void send_hello(struct peer_link *link)
{
    struct peers *peers = link->peers;
    uint8_t nonce[PEER_NONCE];
    struct chain frame = { 0 };

    loop_random(peers->loop, nonce, sizeof nonce);
    const struct peer_hello_request hello = {
        .node_id = peers->config.node_id,
        .peer_id = link->peer,
        .incarnation = peers->config.incarnation,
        .connection = link->connection,
        .channel = (int8_t)link->channel,
        .cluster_id = text_of(peers->cluster_id),
        .raft_directory = peers->raft_directory,
        .voters = (int64_t)peers->voters,
        .nonce = bytes_of(nonce, sizeof nonce),
    };
    buf_put(&link->hello, "CHRK", 4);
    buf_put_be16(&link->hello, PEER_PROTOCOL);
    wire_encode(server_peer_hello.request, 0, true, &hello, &frame);
    size_t at = link->hello.len;
    chain_copy(&frame, buf_reserve(&link->hello, frame.len));
    link->hello.len = at + frame.len;
    chain_release(&frame);
    chain_put(&frame, link->hello.data, link->hello.len);
    link_send(link, &frame);
}

static enum peer_refusal check_hello(struct peer_link *link, const struct peer_hello_request *hello)
{
    const struct peers *peers = link->peers;
    if (hello->peer_id != peers->config.node_id) {
        return PEER_WRONG_NODE;
    }
    if (peers_address(peers, hello->node_id) == NULL) {
        return PEER_UNKNOWN_NODE;
    }
    if (!peers->joined) {
        return PEER_STARTING;
    }
    if (hello->cluster_id.len > 0 && peers->cluster_id[0] != '\0' &&
        !text_is(hello->cluster_id, peers->cluster_id)) {
        return PEER_WRONG_CLUSTER;
    }
    return hello->voters == (int64_t)peers->voters ? PEER_ACCEPTED : PEER_WRONG_VOTERS;
}

/* Who the acceptor is becomes part of what is proven. */
static void add_acceptor(struct peer_link *link, const struct uuid *incarnation,
                         const struct uuid *raft_directory)
{
    buf_put(&link->hello, incarnation->bytes, sizeof incarnation->bytes);
    buf_put(&link->hello, raft_directory->bytes, sizeof raft_directory->bytes);
}

static int answer_hello(struct peer_link *link)
{
    const struct peers *peers = link->peers;
    uint8_t proof[CRYPTO_SHA256];
    loop_random(peers->loop, link->nonce, sizeof link->nonce);
    add_acceptor(link, &peers->config.incarnation, &peers->raft_directory);
    compute_proof(link, false, proof);
    const struct peer_hello_response answer = {
        .message = text_of(""),
        .incarnation = peers->config.incarnation,
        .raft_directory = peers->raft_directory,
        .nonce = bytes_of(link->nonce, sizeof link->nonce),
        .proof = bytes_of(proof, sizeof proof),
    };
    send_message(link, server_peer_hello.response, &answer);
    move(link, LINK_PROVING);
    return 0;
}

/* Acceptor: the first frame. */
static int take_hello(struct peer_link *link, struct bytes frame)
{
    struct peer_hello_request hello;
    struct arena arena;

    if (frame.len < 6 || memcmp(frame.data, "CHRK", 4) != 0) {
        return -EBADMSG;
    }
    buf_put(&link->hello, frame.data, frame.len);
    if (load_be16(frame.data + 4) != PEER_PROTOCOL) {
        return refuse(link, PEER_WRONG_VERSION);
    }
    arena_init(&arena, KIB(16));
    struct bytes body = bytes_part(frame, 6, frame.len - 6);
    struct wire_error error =
        wire_decode(server_peer_hello.request, 0, true, body, &arena, &hello, NULL);
    if (error.result != WIRE_OK || hello.channel < 0 || hello.channel >= PEER_CHANNELS ||
        hello.nonce.len != PEER_NONCE) {
        arena_release(&arena);
        return -EBADMSG;
    }
    link->peer = hello.node_id;
    link->channel = (enum peer_channel)hello.channel;
    link->incarnation = hello.incarnation;
    link->raft_directory = hello.raft_directory;
    link->connection = hello.connection;
    enum peer_refusal why = check_hello(link, &hello);
    arena_release(&arena);
    return why == PEER_ACCEPTED ? answer_hello(link) : refuse(link, why);
}

static int refused_by_peer(struct peer_link *link, struct text message)
{
    char *why = text_dup(message);
    peers_say_refused(link->peers, link, false, why);
    free(why);
    return -ECONNREFUSED;
}

/* Dialler: the acceptor has proven who it is: is it the node that it was, too? */
static int prove(struct peer_link *link)
{
    struct peers *peers = link->peers;
    uint8_t proof[CRYPTO_SHA256];
    if (!peers->handler->knows(peers->arg, link->peer, &link->raft_directory)) {
        peers_say_refused(peers, link, true, REFUSALS[PEER_WIPED]);
        return -ECONNREFUSED;
    }
    compute_proof(link, true, proof);
    const struct peer_proof_request request = { .proof = bytes_of(proof, sizeof proof) };
    send_message(link, server_peer_proof.request, &request);
    move(link, LINK_PROVING);
    return 0;
}

/* Dialler: the answer to the hello. */
static int take_hello_answer(struct peer_link *link, struct bytes frame)
{
    struct peer_hello_response answer;
    struct arena arena;
    int result = -EBADMSG;

    arena_init(&arena, KIB(16));
    struct wire_error error =
        wire_decode(server_peer_hello.response, 0, true, frame, &arena, &answer, NULL);
    if (error.result == WIRE_OK && answer.error == PEER_STARTING) {
        peers_note_starting(link->peers, link);
        result = -ECONNREFUSED;
    } else if (error.result == WIRE_OK && answer.error != PEER_ACCEPTED) {
        result = refused_by_peer(link, answer.message);
    } else if (error.result == WIRE_OK && answer.nonce.len == PEER_NONCE) {
        memcpy(link->nonce, answer.nonce.data, PEER_NONCE);
        link->incarnation = answer.incarnation;
        link->raft_directory = answer.raft_directory;
        add_acceptor(link, &link->incarnation, &link->raft_directory);
        if (proof_fits(link, false, answer.proof)) {
            result = prove(link);
        } else {
            peers_say_refused(link->peers, link, true, REFUSALS[PEER_WRONG_SECRET]);
            result = -ECONNREFUSED;
        }
    }
    arena_release(&arena);
    return result;
}

static void give_sign(struct timer *timer)
{
    struct peer_link *link = container_of(timer, struct peer_link, timer);
    struct chain nothing = { 0 };
    if (loop_now_ns(link->peers->loop) - link->heard_ns > PEER_SILENCE_MS * NS_PER_MS) {
        diag_debug(link->peers->diag, DIAG_SERVER,
                   "link between nodes is silent: closing it node=%d", link->peer);
        link_close(link);
        return;
    }
    link_send(link, &nothing);
    timer_set_in(timer, PEER_SIGN_MS * NS_PER_MS);
}

static int open_link(struct peer_link *link)
{
    timer_cancel(&link->timer);
    timer_init(&link->timer, link->peers->loop, give_sign);
    timer_set_in(&link->timer, PEER_SIGN_MS * NS_PER_MS);
    buf_release(&link->hello);
    move(link, LINK_OPEN);
    link->number = ++link->peers->n_links;
    link->peers->opened_total++;
    link->peers->handler->opened(link->peers->arg, link);
    return 0;
}

/* Acceptor: the dialler's proof. */
static int take_proof(struct peer_link *link, struct bytes frame)
{
    struct peer_proof_request request;
    struct arena arena;

    arena_init(&arena, KIB(16));
    struct wire_error error =
        wire_decode(server_peer_proof.request, 0, true, frame, &arena, &request, NULL);
    bool fits = error.result == WIRE_OK && proof_fits(link, true, request.proof);
    arena_release(&arena);
    if (error.result != WIRE_OK) {
        return -EBADMSG;
    }
    if (!fits) {
        return refuse(link, PEER_WRONG_SECRET);
    }
    if (!link->peers->handler->knows(link->peers->arg, link->peer, &link->raft_directory)) {
        return refuse(link, PEER_WIPED);
    }
    enum peer_refusal why = peers_opened(link->peers, link);
    if (why != PEER_ACCEPTED) {
        return refuse(link, why);
    }
    const struct peer_proof_response answer = { .message = text_of("") };
    send_message(link, server_peer_proof.response, &answer);
    return open_link(link);
}

/* Dialler: open, or refused. */
static int take_proof_answer(struct peer_link *link, struct bytes frame)
{
    struct peer_proof_response answer;
    struct arena arena;

    arena_init(&arena, KIB(16));
    struct wire_error error =
        wire_decode(server_peer_proof.response, 0, true, frame, &arena, &answer, NULL);
    bool disowned = error.result == WIRE_OK && answer.error == PEER_WIPED;
    int result = error.result != WIRE_OK           ? -EBADMSG
                 : answer.error != PEER_ACCEPTED ? refused_by_peer(link, answer.message)
                                                 : 0;
    arena_release(&arena);
    if (disowned) {
        link->peers->handler->disowned(link->peers->arg, link->peer);
    }
    return result == 0 ? open_link(link) : result;
}

/* ---- frames in -------------------------------------------------------------------------------*/

static int take_frame(struct peer_link *link, struct bytes frame)
{
    if (link->state == LINK_OPEN && frame.len == 0) {
        return 0; /* a sign of life */
    }
    switch (link->state) {
    case LINK_GREETING:
        return link->dialled ? take_hello_answer(link, frame) : take_hello(link, frame);
    case LINK_PROVING:
        return link->dialled ? take_proof_answer(link, frame) : take_proof(link, frame);
    default:
        return link->peers->handler->received(link->peers->arg, link, frame);
    }
}

static void drop_frame(struct peer_link *link)
{
    blob_unref(link->frame);
    link->frame = NULL;
    link->have = 0;
    link->prefix_have = 0;
}

/* Takes the length prefix; 1 when it is complete. */
static int take_prefix(struct peer_link *link, struct bytes *in)
{
    size_t len = min_u64(sizeof link->prefix - link->prefix_have, in->len);
    memcpy(link->prefix + link->prefix_have, in->data, len);
    link->prefix_have += (uint8_t)len;
    *in = bytes_part(*in, len, in->len - len);
    if (link->prefix_have < sizeof link->prefix) {
        return 0;
    }
    uint32_t limit = link->state == LINK_OPEN ? PEER_FRAME_MAX : PEER_GREETING_MAX;
    return load_be32(link->prefix) <= limit ? 1 : -EBADMSG;
}

/* Makes room for more of a frame of `len` bytes: what is held grows with what has come. */
static void grow_frame(struct peer_link *link, uint32_t len)
{
    struct blob *had = link->frame;
    if (had == NULL) {
        link->frame = blob_new(min_u64(len, FIRST_BYTES));
    } else if (link->have == had->len) {
        link->frame = blob_new(min_u64(len, 2 * (uint64_t)had->len));
        memcpy(link->frame->data, had->data, link->have);
        blob_unref(had);
    }
}

/* Takes frames off `*in`, whole ones without a copy. */
static int take(struct peer_link *link, struct bytes in)
{
    while (in.len > 0 && !link->closing) {
        int result = link->prefix_have < sizeof link->prefix ? take_prefix(link, &in) : 1;
        if (result <= 0) {
            return result;
        }
        uint32_t len = load_be32(link->prefix);
        if (link->frame == NULL && len <= in.len) {
            struct bytes frame = bytes_part(in, 0, len);
            in = bytes_part(in, len, in.len - len);
            drop_frame(link);
            result = take_frame(link, frame);
        } else {
            grow_frame(link, len);
            size_t part = min_u64(in.len, link->frame->len - link->have);
            if (in.data != link->frame->data + link->have) { /* else on_room() has led it there */
                memcpy(link->frame->data + link->have, in.data, part);
            }
            link->have += (uint32_t)part;
            in = bytes_part(in, part, in.len - part);
            if (link->have < len) {
                continue;
            }
            struct blob *blob = blob_ref(link->frame);
            drop_frame(link);
            result = take_frame(link, bytes_of(blob->data, len));
            blob_unref(blob);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static void on_data(struct stream *stream, struct bytes data)
{
    struct peer_link *link = stream_owner(stream);
    link->heard_ns = loop_now_ns(link->peers->loop);
    int result = take(link, data);
    if (result < 0 && !link->closing) {
        if (result == -EBADMSG) {
            peers_say_refused(link->peers, link, true,
                              "what it sends is not of this protocol; check that only nodes of the "
                              "cluster connect to this port");
        }
        link_close(link);
    }
}

/* What is left of a large frame is read where it belongs. */
static uint8_t *on_room(struct stream *stream, size_t *ret_len)
{
    enum { WORTH_IT = 64 * 1024 };
    const struct peer_link *link = stream_owner(stream);
    size_t left = link->frame ? link->frame->len - link->have : 0;
    if (left < WORTH_IT) {
        return NULL;
    }
    *ret_len = left;
    return link->frame->data + link->have;
}

static void on_opened(struct stream *stream)
{
    struct peer_link *link = stream_owner(stream);
    move(link, LINK_GREETING);
    send_hello(link);
}

static void on_drained(struct stream *stream)
{
    struct peer_link *link = stream_owner(stream);
    if (link->state == LINK_OPEN) {
        link->peers->handler->drained(link->peers->arg, link);
    }
}

static void on_closed(struct stream *stream, int error)
{
    struct peer_link *link = stream_owner(stream);
    timer_cancel(&link->timer);
    drop_frame(link);
    buf_release(&link->hello);
    peers_closed(link->peers, link, error);
    free(link);
}

static void took_too_long(struct timer *timer)
{
    struct peer_link *link = container_of(timer, struct peer_link, timer);
    peers_say_refused(link->peers, link, true, "the handshake took too long");
    link_close(link);
}

static const struct stream_handler HANDLER = {
    .opened = on_opened,
    .room = on_room,
    .data = on_data,
    .drained = on_drained,
    .closed = on_closed,
};

static struct peer_link *link_new(struct peers *peers, bool dialled)
{
    struct peer_link *link = mem_zalloc(sizeof *link);
    link->peers = peers;
    link->dialled = dialled;
    link->peer = -1;
    timer_init(&link->timer, peers->loop, took_too_long);
    timer_set_in(&link->timer, PEER_GREETING_S * NS_PER_S);
    state_start(LINK_STATES, &link->state, dialled ? LINK_DIALLING : LINK_GREETING, link);
    list_push_back(&peers->links, &link->link);
    return link;
}

struct peer_link *link_dial(struct peers *peers, const struct peer_address *address,
                            enum peer_channel channel)
{
    struct peer_link *link = link_new(peers, true);
    link->peer = address->node_id;
    link->channel = channel;
    link->connection = ++peers->n_connections;
    link->stream = stream_connect(peers->loop, address->host, address->port, &HANDLER, link);
    return link;
}

void link_accept(struct peers *peers, struct stream *stream)
{
    struct peer_link *link = link_new(peers, false);
    link->stream = stream;
    stream_start(stream, &HANDLER, link);
}

/* ---- what is known of a link -----------------------------------------------------------------*/

int32_t link_peer(const struct peer_link *link)
{
    return link->peer;
}

enum peer_channel link_channel(const struct peer_link *link)
{
    return link->channel;
}

bool link_dialled(const struct peer_link *link)
{
    return link->dialled;
}

const struct uuid *link_incarnation(const struct peer_link *link)
{
    return &link->incarnation;
}

uint64_t link_number(const struct peer_link *link)
{
    return link->number;
}

void link_set_owner(struct peer_link *link, void *owner)
{
    link->owner = owner;
}

void *link_owner(const struct peer_link *link)
{
    return link->owner;
}

size_t link_queued(const struct peer_link *link)
{
    return stream_queued(link->stream);
}
