/* The links to all other nodes: who is dialled, who may dial, which link counts.
 *
 * Every peer's PEER_META link is kept dialled. One that was open and is lost is dialled again at
 * once: if that is refused, the process there has ended. From then on it is dialled every 100 ms,
 * after a refusal in the handshake every five seconds, and as soon as the peer dials us.
 *
 * An accepted link replaces an older one of the same peer and channel: the peer has opened a new
 * one because it has given the old one up. Another life of the peer does so, too, unless the one
 * before is still heard: that would be two processes with one node id. */
#include "peer_link.h"

#include <chronik/base/map.h>
#include <errno.h>

enum {
    RETRY_LOST_MS = 2, /* the kernel may still be closing what a killed process had open */
    RETRY_MS = 100,
    RETRY_REFUSED_MS = 5000,
    LIFE_MS = 1000,   /* who was heard so recently lives */
    SAY_AGAIN_S = 60,
};

/* One link that we want to keep dialled. */
struct dial {
    struct peers *peers;
    const struct peer_address *address;
    enum peer_channel channel;
    bool wanted, refused, starting;
    struct peer_link *link; /* dialling or open; NULL: none */
    struct timer retry;
    uint64_t said, said_ns; /* a hash of the last refusal that was logged, and when */
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
    if (dial->wanted && dial->link == NULL && dial->peers->joined) {
        dial->refused = dial->starting = false;
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

/* Which of two accepted links of one peer and channel counts? PEER_ACCEPTED: the new one. */
static enum peer_refusal compare(const struct peer_link *other, const struct peer_link *link,
                                 uint64_t now)
{
    if (uuid_equal(&other->incarnation, &link->incarnation)) {
        return other->connection > link->connection ? PEER_STALE : PEER_ACCEPTED;
    }
    return now < other->heard_ns + LIFE_MS * NS_PER_MS ? PEER_TAKEN : PEER_ACCEPTED;
}

enum peer_refusal peers_opened(struct peers *peers, struct peer_link *link)
{
    list_each (it, &peers->links) {
        struct peer_link *other = container_of(it, struct peer_link, link);
        if (other == link || other->dialled || other->peer != link->peer ||
            other->channel != link->channel || other->state != LINK_OPEN || other->closing) {
            continue;
        }
        enum peer_refusal why = compare(other, link, loop_now_ns(peers->loop));
        if (why != PEER_ACCEPTED) {
            return why;
        }
        link_close(other);
    }
    for (unsigned channel = 0; channel < PEER_CHANNELS; channel++) {
        struct dial *dial = find_dial(peers, link->peer, (enum peer_channel)channel);
        if (dial->wanted && dial->link == NULL) {
            timer_set_in(&dial->retry, 0);
        }
    }
    return PEER_ACCEPTED;
}

static void dial_lost(struct dial *dial, int error, bool was_open)
{
    struct peers *peers = dial->peers;
    bool ended = dial->starting || (error == -ECONNREFUSED && !dial->refused);
    dial->link = NULL;
    if (!dial->wanted || peers->closing) {
        return;
    }
    if (ended && dial->channel == PEER_META) {
        peers->handler->unreachable(peers->arg, dial->address->node_id);
    }
    unsigned ms = dial->refused ? RETRY_REFUSED_MS : was_open ? RETRY_LOST_MS : RETRY_MS;
    timer_set_in(&dial->retry, ms * NS_PER_MS);
}

void peers_note_starting(struct peers *peers, const struct peer_link *link)
{
    find_dial(peers, link->peer, link->channel)->starting = true;
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
    if (was_open) {
        peers->handler->closed(peers->arg, link);
    }
    if (link->dialled) {
        dial_lost(find_dial(peers, link->peer, link->channel), error, was_open);
    }
    if (peers->closing && list_empty(&peers->links)) {
        loop_defer(peers->loop, LOOP_ADVANCE, &peers->closed_task);
    }
}

/* The same about the same peer is said once a minute, whichever link it is about. */
static bool was_said(struct peers *peers, int32_t peer, const char *why)
{
    struct dial *dial = find_dial(peers, peer, PEER_META);
    uint64_t now = loop_now_ns(peers->loop), said = hash_bytes(0, why, strlen(why));
    if (dial == NULL) {
        return false; /* of a stranger: the limit for all is enough */
    }
    if (dial->said == said && now < dial->said_ns + SAY_AGAIN_S * NS_PER_S) {
        return true;
    }
    dial->said = said;
    dial->said_ns = now;
    return false;
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
    if (was_said(peers, link->peer, why)) {
        return;
    }
    if (diag_allow(&peers->refused_limit, loop_now_ns(peers->loop), NS_PER_S, &left_out)) {
        diag_warn(peers->diag, DIAG_SERVER,
                  "link between nodes refused %s: %s node=%d at=%s not_shown=%u",
                  by_us ? "here" : "by the other side", why, link->peer,
                  net_format(stream_peer(link->stream), at), left_out);
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

/* Of those that have not proven who they are, the one that is here for longest makes room: it may
 * be a stranger who says nothing. */
static void make_room(struct peers *peers)
{
    list_each (it, &peers->links) {
        struct peer_link *link = container_of(it, struct peer_link, link);
        if (!link->dialled && link->state != LINK_OPEN && !link->closing) {
            link_close(link);
            return;
        }
    }
}

static void accepted(void *arg, struct stream *stream)
{
    struct peers *peers = arg;
    enum { LINKS_MAX = 256 }; /* more than any cluster needs */
    size_t n = 0;
    if (peers->closing) {
        stream_close(stream);
        return;
    }
    list_each (it, &peers->links) {
        n += !container_of(it, struct peer_link, link)->closing;
    }
    if (n >= LINKS_MAX) {
        make_room(peers);
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
    peers->cluster_id = mem_strdup("");
    peers->config.secret = config->secret ? mem_strdup(config->secret) : NULL;
    peers->config.host = mem_strdup(config->host);
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Of the ids only: nodes may know each other under different addresses. */
static uint64_t hash_voters(const struct peers_config *config)
{
    size_t n = (size_t)config->n_peers + 1;
    int32_t *ids = mem_zalloc_array(n, sizeof *ids);
    ids[0] = config->node_id;
    for (unsigned i = 0; i < config->n_peers; i++) {
        ids[i + 1] = config->peers[i].node_id;
    }
    qsort(ids, n, sizeof *ids, by_id);
    uint64_t hash = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t id[4];
        store_be32(id, (uint32_t)ids[i]);
        hash = hash_bytes(hash, id, sizeof id);
    }
    free(ids);
    return hash;
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
    peers->voters = hash_voters(config);
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
    return 0;
}

void peers_join(struct peers *peers, const char *cluster_id, const struct uuid *raft_directory)
{
    peers_set_cluster(peers, cluster_id);
    peers->raft_directory = *raft_directory;
    peers->joined = true;
    for (unsigned i = 0; i < peers->config.n_peers; i++) {
        peers_want(peers, peers->config.peers[i].node_id, PEER_META, true);
    }
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
    free(peers->cluster_id);
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
    free(peers->cluster_id);
    peers->cluster_id = mem_strdup(cluster_id);
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
