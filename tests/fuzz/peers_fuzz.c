/* The handshake between nodes, and what follows it, on both sides at once: two nodes that dial each
 * other, and strangers. Their real frames are delivered in pieces, repeated on other links,
 * changed, cut off and mixed with the fuzzer's own bytes, while time passes.
 *
 * Whatever comes: nothing crashes or hangs, a link opens only where both know the secret and the
 * cluster, and only frames of open links are handed on. */
#include "fake_io.h"

#include "../../src/server/peer_link.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES = 2, PORT = 9000 };

struct node {
    struct peers *peers;
    struct diag diag;
    int32_t id, other;
    struct fuzz *fuzz;
    unsigned n_open;
    bool closed;
};

struct fuzz {
    struct loop loop;
    struct bytes in;
    struct node nodes[NODES];
    bool strangers; /* the two must not get together */
};

static uint8_t take(struct fuzz *f)
{
    uint8_t byte = f->in.len > 0 ? f->in.data[0] : 0;
    f->in = f->in.len > 0 ? bytes_part(f->in, 1, f->in.len - 1) : f->in;
    return byte;
}

/* ---- handlers ---------------------------------------------------------------------------------*/

static void opened(void *arg, struct peer_link *link)
{
    struct node *node = arg;
    check(!node->fuzz->strangers);
    check(link_peer(link) == node->other);
    check(link_owner(link) == NULL);
    link_set_owner(link, node);
    node->n_open++;
}

static int received(void *arg, struct peer_link *link, struct bytes frame)
{
    check(link_owner(link) == arg);
    return frame.data[0] == 0xee ? -EBADMSG : 0;
}

static void drained(void *arg, struct peer_link *link)
{
    check(link_owner(link) == arg);
}

static void closed(void *arg, struct peer_link *link)
{
    struct node *node = arg;
    check(link_owner(link) == arg && node->n_open > 0);
    node->n_open--;
}

static void unreachable(void *arg, int32_t peer)
{
    const struct node *node = arg;
    check(peer == node->other);
}

static bool knows(void *arg, int32_t peer, const struct uuid *raft_directory)
{
    const struct node *node = arg;
    check(peer == node->other);
    return raft_directory->bytes[0] != 0xff;
}

static void disowned(void *arg, int32_t peer)
{
    unreachable(arg, peer);
}

static const struct peers_handler HANDLER = { opened,      received, drained, closed,
                                              unreachable, knows,    disowned };

static void silence(struct diag *diag, enum diag_level level, enum diag_module module,
                    const char *message)
{
    (void)diag, (void)level, (void)module, (void)message;
}

/* ---- the two nodes ----------------------------------------------------------------------------*/

static void open_node(struct fuzz *f, unsigned i, uint8_t how)
{
    struct node *node = &f->nodes[i];
    const struct peer_address other = { (int32_t)(2 - i), "x", (uint16_t)(PORT + 1 - i) };
    const struct peers_config config = {
        .node_id = (int32_t)i + 1,
        .incarnation = { .bytes = { (uint8_t)(i + 1) } },
        .secret = how & 1 && i == 1 ? "another" : "secret",
        .host = "",
        .port = (uint16_t)(PORT + i),
        .peers = &other,
        .n_peers = 1,
    };
    *node = (struct node){ .id = config.node_id, .other = other.node_id, .fuzz = f };
    diag_init(&node->diag, DIAG_DEBUG, silence);
    check(peers_open(&f->loop, &node->diag, &config, &HANDLER, node, &node->peers) == 0);
    struct uuid directory = { .bytes = { (uint8_t)(10 + i) } };
    peers_join(node->peers, how & 2 && i == 1 ? "cluster B" : "cluster A", &directory);
}

static void all_closed(void *arg)
{
    struct node *node = arg;
    node->closed = true;
}

static void close_nodes(struct fuzz *f)
{
    for (unsigned i = 0; i < NODES; i++) {
        peers_close(f->nodes[i].peers, all_closed, &f->nodes[i]);
    }
    list_each (link, &f->loop.streams) {
        struct stream *stream = container_of(link, struct stream, link);
        stream->closing |= stream->handler == NULL;
    }
    for (unsigned turn = 0; turn < 8; turn++) {
        net_run(&f->loop);
    }
    for (unsigned i = 0; i < NODES; i++) {
        check(f->nodes[i].closed && f->nodes[i].n_open == 0);
        peers_free(f->nodes[i].peers);
    }
}

/* ---- steps ------------------------------------------------------------------------------------*/

/* Everything that waits arrives, and what is said about it, too, for a few turns. */
static void let_it_flow(struct fuzz *f)
{
    for (unsigned turn = 0; turn < 8; turn++) {
        list_each (link, &f->loop.streams) {
            net_deliver(container_of(link, struct stream, link), SIZE_MAX);
        }
        net_run(&f->loop);
    }
}

static void inject(struct fuzz *f, struct stream *stream)
{
    uint8_t prefix[4], how = take(f);
    size_t len = min_u64(take(f), f->in.len);
    struct bytes bytes = bytes_part(f->in, 0, len);
    f->in = bytes_part(f->in, len, f->in.len - len);
    store_be32(prefix, (uint32_t)len);
    if (how & 1) {
        net_inject(stream, bytes_of(prefix, sizeof prefix));
    }
    net_inject(stream, bytes);
}

static void replay(struct fuzz *f, struct stream *stream)
{
    const struct buf *copy = &f->loop.sent[take(f) % countof(f->loop.sent)];
    if (copy->len > 0) {
        net_inject(stream, buf_bytes(copy));
    }
}

static void change(struct fuzz *f, struct stream *stream)
{
    size_t at = (size_t)take(f) << 8 | take(f);
    if (stream->in.len > 0) {
        stream->in.data[at % stream->in.len] ^= (uint8_t)(1 << (take(f) & 7));
    }
}

static void use(struct fuzz *f)
{
    struct node *node = &f->nodes[take(f) % NODES];
    uint8_t how = take(f);
    enum peer_channel channel = (enum peer_channel)(how % PEER_CHANNELS);
    struct peer_link *link = peers_link(node->peers, node->other, channel);
    if (how & 0x80) {
        peers_want(node->peers, node->other, channel, (how & 0x40) != 0);
    } else if (link != NULL) {
        struct chain frame = { 0 };
        chain_put(&frame, &how, 1);
        link_send(link, &frame);
    }
}

static void one_step(struct fuzz *f)
{
    uint8_t step = take(f);
    struct stream *stream = net_stream(&f->loop, step >> 4);
    switch (stream != NULL ? step & 15 : 8 + step % 4) {
    case 0:
        net_deliver(stream, take(f));
        break;
    case 1:
        net_deliver(stream, SIZE_MAX);
        break;
    case 2:
    case 3:
        inject(f, stream);
        break;
    case 4:
    case 5:
        replay(f, stream);
        break;
    case 6:
        change(f, stream);
        break;
    case 7:
        stream->closing = true;
        stream->error = step & 16 ? -ECONNRESET : 0;
        break;
    case 8:
        net_stranger(&f->loop, (uint16_t)(PORT + take(f) % NODES));
        break;
    case 9:
        use(f);
        break;
    case 10:
        f->loop.now_ns += take(f) * 25 * NS_PER_MS;
        break;
    default:
        let_it_flow(f);
    }
    net_run(&f->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = { .in = bytes_of(data, size) };
    uint8_t how = take(&f);
    net_init(&f.loop);
    f.strangers = (how & 3) != 0;
    for (unsigned i = 0; i < NODES; i++) {
        open_node(&f, i, how);
    }
    net_run(&f.loop);
    for (unsigned i = 0; i < 400 && f.in.len > 0; i++) {
        one_step(&f);
    }
    close_nodes(&f);
    net_release(&f.loop);
    return 0;
}
