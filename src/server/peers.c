/* The links to all other nodes: who is dialled, who may dial, which link counts.
 *
 * Every peer's PEER_META link is kept dialled; a lost or refused one is dialled again after 100 ms,
 * one that was refused in the handshake after five seconds. An accepted link replaces an older one
 * of the same peer and channel: the peer has opened a new one because it has given the old one up.
 * */
#include "peer_link.h"

#include <errno.h>

enum { RETRY_MS = 100, RETRY_REFUSED_MS = 5000 };

/* One link that we want to keep dialled. */
struct dial {
    struct peers *peers;
    const struct peer_address *address;
    enum peer_channel channel;
    bool wanted, refused;
    struct peer_link *link; /* dialling or open; NULL: none */
    struct timer retry;
};

const struct peer_address *peers_address(const struct peers *peers, int32_t node_id)
{
    for (unsigned i = 0; i < peers->config.n_peers; i++) {
        if (peers->config.peers[i].node_id == node_id) {
            return &peers->config.peers[i];
        }
    }
    return NULL;
}

static struct dial *find_dial(const struct peers *peers, int32_t node_id, enum peer_channel channel)
{
    for (unsigned i = 0; i < peers->config.n_peers * PEER_CHANNELS; i++) {
        struct dial *dial = &peers->dials[i];
        if (dial->address->node_id == node_id && dial->channel == channel) {
            return dial;
        }
    }
    return NULL;
}

static void dial_now(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, retry);
    if (dial->wanted && dial->link == NULL) {
        dial->refused = false;
        dial->link = link_dial(dial->peers, dial->address, dial->channel);
    }
}

void peers_want(struct peers *peers, int32_t peer, enum peer_channel channel, bool wanted)
{
    struct dial *dial = find_dial(peers, peer, channel);
    if (dial == NULL || dial->wanted == wanted) {
        return;
    }
    dial->wanted = wanted;
    if (wanted) {
        dial_now(&dial->retry);
    } else {
        timer_cancel(&dial->retry);
        if (dial->link != NULL) {
            link_close(dial->link);
        }
    }
}

struct peer_link *peers_link(const struct peers *peers, int32_t peer, enum peer_channel channel)
{
    const struct dial *dial = find_dial(peers, peer, channel);
    struct peer_link *link = dial ? dial->link : NULL;
    return link != NULL && link->state == LINK_OPEN && !link->closing ? link : NULL;
}

/* ---- what links report -----------------------------------------------------------------------*/

bool peers_opened(struct peers *peers, struct peer_link *link)
{
    list_each (it, &peers->links) {
        struct peer_link *other = container_of(it, struct peer_link, link);
        if (other == link || other->dialled || other->peer != link->peer ||
            other->channel != link->channel || other->state != LINK_OPEN || other->closing) {
            continue;
        }
        if (uuid_equal(&other->incarnation, &link->incarnation) &&
            other->connection > link->connection) {
            return false;
        }
        link_close(other);
    }
    return true;
}

static void dial_lost(struct dial *dial, int error)
{
    struct peers *peers = dial->peers;
    dial->link = NULL;
    if (!dial->wanted || peers->closing) {
        return;
    }
    if (error == -ECONNREFUSED && dial->channel == PEER_META && !dial->refused) {
        peers->handler->unreachable(peers->arg, dial->address->node_id);
    }
    timer_set_in(&dial->retry,
                 (dial->refused ? RETRY_REFUSED_MS : RETRY_MS) * (uint64_t)NS_PER_MS);
}

static void finish_close(struct loop_task *task)
{
    struct peers *peers = container_of(task, struct peers, closed_task);
    peers->closed(peers->closed_arg);
}

void peers_closed(struct peers *peers, struct peer_link *link, int error)
{
    bool was_open = link->state == LINK_OPEN;
    list_remove(&link->link);
    if (was_open && !peers->closing) {
        peers->handler->closed(peers->arg, link);
    }
    if (link->dialled) {
        dial_lost(find_dial(peers, link->peer, link->channel), error);
    }
    if (peers->closing && list_empty(&peers->links)) {
        loop_defer(peers->loop, LOOP_ADVANCE, &peers->closed_task);
    }
}

void peers_say_refused(struct peers *peers, const struct peer_link *link, bool by_us,
                       const char *why)
{
    char at[NET_ADDRESS_TEXT];
    uint32_t left_out;

    peers->refused_total++;
    if (link->dialled) {
        find_dial(peers, link->peer, link->channel)->refused = true;
    }
    if (diag_allow(&peers->refused_limit, loop_now_ns(peers->loop), NS_PER_S, &left_out)) {
        diag_warn(peers->diag, DIAG_SERVER,
                  "link between nodes refused %s: %s node=%d at=%s not_shown=%u",
                  by_us ? "here" : "by the other side", why, link->peer,
                  net_format(stream_peer(link->stream), at), left_out);
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

static void accepted(void *arg, struct stream *stream)
{
    struct peers *peers = arg;
    enum { LINKS_MAX = 256 }; /* more than any cluster needs: strangers may connect, too */
    size_t n = 0;
    list_each (it, &peers->links) {
        n++;
    }
    if (peers->closing || n >= LINKS_MAX) {
        stream_close(stream);
        return;
    }
    link_accept(peers, stream);
}

static void copy_config(struct peers *peers, const struct peers_config *config)
{
    struct peer_address *addresses = mem_zalloc_array(config->n_peers, sizeof *addresses);
    for (unsigned i = 0; i < config->n_peers; i++) {
        addresses[i] = config->peers[i];
        addresses[i].host = mem_strdup(config->peers[i].host);
    }
    peers->config = *config;
    peers->config.peers = addresses;
    peers->config.cluster_id = mem_strdup(config->cluster_id);
    peers->config.secret = config->secret ? mem_strdup(config->secret) : NULL;
    peers->config.host = mem_strdup(config->host);
}

static void make_dials(struct peers *peers)
{
    unsigned n = peers->config.n_peers * PEER_CHANNELS;
    peers->dials = mem_zalloc_array(n, sizeof *peers->dials);
    for (unsigned i = 0; i < n; i++) {
        struct dial *dial = &peers->dials[i];
        dial->peers = peers;
        dial->address = &peers->config.peers[i / PEER_CHANNELS];
        dial->channel = (enum peer_channel)(i % PEER_CHANNELS);
        timer_init(&dial->retry, peers->loop, dial_now);
    }
}

int peers_open(struct loop *loop, struct diag *diag, const struct peers_config *config,
               const struct peers_handler *handler, void *arg, struct peers **ret_peers)
{
    struct peers *peers = mem_zalloc(sizeof *peers);
    const char *host = config->host;
    peers->loop = loop;
    peers->diag = diag;
    peers->handler = handler;
    peers->arg = arg;
    list_init(&peers->links);
    loop_task_init(&peers->closed_task, finish_close);
    copy_config(peers, config);
    make_dials(peers);
    if (config->secret == NULL) {
        diag_warn(diag, DIAG_SERVER,
                  "nodes are accepted on loopback only, since there is no cluster secret; set "
                  "chronik.cluster.secret on every node to listen on other addresses");
        host = "localhost";
    }
    int error = listener_open(loop, host, config->port, accepted, peers, &peers->listener);
    if (error != 0) {
        peers_free(peers);
        return error;
    }
    *ret_peers = peers;
    for (unsigned i = 0; i < config->n_peers; i++) {
        peers_want(peers, config->peers[i].node_id, PEER_META, true);
    }
    return 0;
}

void peers_close(struct peers *peers, void (*closed)(void *arg), void *arg)
{
    peers->closing = true;
    peers->closed = closed;
    peers->closed_arg = arg;
    listener_close(peers->listener);
    peers->listener = NULL;
    for (unsigned i = 0; i < peers->config.n_peers * PEER_CHANNELS; i++) {
        timer_cancel(&peers->dials[i].retry);
    }
    list_each (it, &peers->links) {
        link_close(container_of(it, struct peer_link, link));
    }
    if (list_empty(&peers->links)) {
        loop_defer(peers->loop, LOOP_ADVANCE, &peers->closed_task);
    }
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    check(list_empty(&peers->links));
    for (unsigned i = 0; i < peers->config.n_peers; i++) {
        free((char *)peers->config.peers[i].host);
    }
    free((struct peer_address *)peers->config.peers);
    free((char *)peers->config.cluster_id);
    free((char *)peers->config.secret);
    free((char *)peers->config.host);
    free(peers->dials);
    free(peers);
}

uint16_t peers_port(const struct peers *peers)
{
    return listener_port(peers->listener);
}

void peers_set_cluster(struct peers *peers, const char *cluster_id)
{
    free((char *)peers->config.cluster_id);
    peers->config.cluster_id = mem_strdup(cluster_id);
}

static double count_open(const void *arg)
{
    const struct peers *peers = arg;
    double n = 0;
    list_each (it, &peers->links) {
        n += container_of(it, struct peer_link, link)->state == LINK_OPEN;
    }
    return n;
}

void peers_metrics(struct peers *peers, struct metrics *metrics)
{
    metrics_gauge(metrics, "chronikd_peer_links", "Open links to and from other nodes.", "",
                  count_open, peers);
    metrics_counter(metrics, "chronikd_peer_links_opened_total", "Links that were opened.", "",
                    &peers->opened_total);
    metrics_counter(metrics, "chronikd_peer_links_refused_total",
                    "Links that were refused, here or by the other side.", "",
                    &peers->refused_total);
}
