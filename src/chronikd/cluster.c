/* The other nodes: which link carries what.
 *
 *   PEER_META     dialled: our Raft messages and requests leave; accepted: those of the peer arrive
 *   PEER_FETCH    dialled: we follow that leader; accepted: the peer follows us
 *   PEER_CATCH_UP the same, for partitions that are far behind */
#include "broker.h"

#include <chronik/replica/feed.h>
#include <chronik/server/peers.h>
#include <errno.h>
#include <inttypes.h>

static enum fetcher_kind kind_of(enum peer_channel channel)
{
    return channel == PEER_FETCH ? FETCHER_HOT : FETCHER_CATCH_UP;
}

static enum peer_channel channel_of(enum fetcher_kind kind)
{
    return kind == FETCHER_HOT ? PEER_FETCH : PEER_CATCH_UP;
}

/* ---- out -------------------------------------------------------------------------------------*/

static void send_meta(void *arg, int32_t peer, struct chain *frame)
{
    struct broker *broker = arg;
    struct peer_link *link = peers_link(broker->peers, peer, PEER_META);
    if (link != NULL) {
        link_send(link, frame);
    } else {
        chain_release(frame); /* Raft and the requests repeat what gets lost */
    }
}

const struct meta_transport CLUSTER_META = { .send = send_meta };

static void want_stream(void *arg, int32_t leader, enum fetcher_kind kind, bool wanted)
{
    struct broker *broker = arg;
    peers_want(broker->peers, leader, channel_of(kind), wanted);
}

static void send_fetch(void *arg, int32_t leader, enum fetcher_kind kind, struct chain *frame)
{
    struct broker *broker = arg;
    struct peer_link *link = peers_link(broker->peers, leader, channel_of(kind));
    if (link != NULL) {
        link_send(link, frame);
    } else {
        chain_release(frame);
    }
}

const struct fetcher_transport CLUSTER_FETCH = { .want = want_stream, .send = send_fetch };

static void send_records(void *link, struct chain *frame)
{
    link_send(link, frame);
}

static size_t queued_records(void *link)
{
    return link_queued(link);
}

static const struct feed_transport FEED = { .send = send_records, .queued = queued_records };

/* ---- in --------------------------------------------------------------------------------------*/

static void link_opened(void *arg, struct peer_link *link)
{
    struct broker *broker = arg;
    int32_t peer = link_peer(link);
    if (link_channel(link) == PEER_META) {
        meta_peer_opened(broker->meta, peer, link_incarnation(link));
    } else if (link_dialled(link)) {
        fetcher_opened(&broker->replicas, peer, kind_of(link_channel(link)));
    } else {
        bool catches_up = link_channel(link) == PEER_CATCH_UP;
        link_set_owner(link, feed_new(&broker->replicas, peer, catches_up, &FEED, link));
    }
}

static int link_received(void *arg, struct peer_link *link, struct bytes frame)
{
    struct broker *broker = arg;
    int32_t peer = link_peer(link);
    if (link_channel(link) == PEER_META) {
        if (link_dialled(link)) {
            return -EBADMSG; /* the peer sends on the link that it dialled */
        }
        return meta_receive(broker->meta, peer, link_number(link), frame);
    }
    return link_dialled(link) ? fetcher_receive(&broker->replicas, peer,
                                                kind_of(link_channel(link)), frame)
                              : feed_receive(link_owner(link), frame);
}

static void link_drained(void *arg, struct peer_link *link)
{
    (void)arg;
    if (link_channel(link) != PEER_META && !link_dialled(link)) {
        feed_drained(link_owner(link));
    }
}

static void link_closed(void *arg, struct peer_link *link)
{
    struct broker *broker = arg;
    int32_t peer = link_peer(link);
    if (link_channel(link) == PEER_META) {
        meta_peer_closed(broker->meta, peer);
    } else if (link_dialled(link)) {
        fetcher_closed(&broker->replicas, peer, kind_of(link_channel(link)));
    } else {
        feed_free(link_owner(link));
    }
}

static void unreachable(void *arg, int32_t peer)
{
    struct broker *broker = arg;
    meta_peer_unreachable(broker->meta, peer);
}

/* A node that was never registered may come with any directory. */
static bool knows(void *arg, int32_t peer, const struct uuid *raft_directory)
{
    const struct broker *broker = arg;
    const struct image_broker *known = image_broker(meta_image(broker->meta), peer);
    return known == NULL || known->epoch < 0 || uuid_equal(&known->raft_directory, raft_directory);
}

static void disowned(void *arg, int32_t peer)
{
    struct broker *broker = arg;
    if (broker->state == BROKER_STOPPING) {
        return; /* another peer has said so before */
    }
    diag_error(broker->diag, DIAG_BROKER,
               "this node was a voter of the cluster with another Raft directory: without it, it "
               "has lost what it promised, and must not vote; give it back its directory, or set "
               "the node up under a new id raft=%s told_by=%" PRId32,
               broker->options->raft_dir, peer);
    broker_fail(broker, EXIT_STORAGE);
}

static const struct peers_handler HANDLER = {
    .opened = link_opened,
    .received = link_received,
    .drained = link_drained,
    .closed = link_closed,
    .unreachable = unreachable,
    .knows = knows,
    .disowned = disowned,
};

/* ---- life ------------------------------------------------------------------------------------*/

int cluster_open(struct broker *broker)
{
    const struct options *options = broker->options;
    struct peer_address *others;
    unsigned n = 0;
    if (options->nodes == NULL) {
        return 0;
    }
    others = mem_zalloc_array(options->n_voters, sizeof *others);
    for (unsigned i = 0; i < options->n_voters; i++) {
        const struct options_voter *voter = &options->voters[i];
        if (voter->id != options->node_id) {
            others[n++] = (struct peer_address){
                .node_id = voter->id,
                .host = voter->host,
                .port = voter->port,
            };
        }
    }
    const struct peers_config config = {
        .node_id = options->node_id,
        .incarnation = broker->incarnation,
        .secret = options->secret,
        .host = options->nodes->host,
        .port = options->nodes->port,
        .peers = others,
        .n_peers = n,
    };
    int error = peers_open(broker->loop, broker->diag, &config, &HANDLER, broker, &broker->peers);
    free(others);
    if (error != 0) {
        diag_error(broker->diag, DIAG_BROKER,
                   "cannot listen for the other nodes: %s; free the port or change the listener "
                   "at=%s:%u",
                   strerror(-error), options->nodes->host, options->nodes->port);
        return EXIT_UNAVAILABLE;
    }
    peers_metrics(broker->peers, &broker->metrics);
    struct config_layers layers = options_layers(options);
    broker->replicas.fetch_max_bytes = (int32_t)config_number(&layers, "replica.fetch.max.bytes");
    broker->replicas.fetch_response_max_bytes =
        (int32_t)config_number(&layers, "replica.fetch.response.max.bytes");
    broker->replicas.fetch_wait_max_ms =
        (int32_t)config_number(&layers, "replica.fetch.wait.max.ms");
    broker->replicas.transport = &CLUSTER_FETCH;
    broker->replicas.transport_arg = broker;
    return 0;
}

void cluster_join(struct broker *broker)
{
    const char *known = store_identity(broker->store)->cluster_id;
    struct uuid directory = meta_directory_id(broker->meta);
    if (broker->peers != NULL) {
        peers_join(broker->peers, known[0] != '\0' ? known : broker->options->cluster_id,
                   &directory);
    }
}
