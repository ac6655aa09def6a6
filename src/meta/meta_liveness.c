/* Who is there.
 *
 * The controller hears of every other node many times a second: each heartbeat is answered. A node
 * is gone when it was silent for a session (broker.session.timeout.ms), at once when its
 * connections have ended and nobody answers where it listened, and its registered life is over when
 * another life is connected. What follows is decided in controller_duties.c. A new controller gives
 * whoever it has not heard yet a full session, but not those whose process it knows to have ended:
 * every node keeps an eye on that.
 *
 * The other way round, each node notes when a controller last spoke. Silence for a session means
 * that this node may be fenced and cannot know: `contact_changed` tells the broker.
 *
 * Only frames that show both directions to work count: a node that cannot hear the controller may
 * still ask the whole group for votes, and is as good as gone.
 *
 * What can go wrong: this process itself may have been stopped for a while. A timer that fires late
 * says so, and the sessions of the others begin anew: their answers wait in our sockets. */
#include "meta_private.h"

#include <inttypes.h>

enum { SESSION_MS = 1500, DOUBT_MS = 500 };

static void session_ended(struct timer *timer);

struct meta_peer *meta_peer(struct meta *meta, int32_t id)
{
    for (unsigned i = 0; i < meta->n_peers; i++) {
        if (meta->peers[i].id == id) {
            return &meta->peers[i];
        }
    }
    return NULL;
}

static struct controller_voter *voter_of(struct meta *meta, const struct meta_peer *peer)
{
    return &meta->controller.voters[peer - meta->peers];
}

void meta_liveness_init(struct meta *meta, unsigned session_ms)
{
    struct meta_liveness *l = &meta->liveness;
    l->session_ns = (session_ms ? session_ms : SESSION_MS) * NS_PER_MS;
    l->leader_heard_ns = loop_now_ns(meta->loop);
    timer_init(&l->timer, meta->loop, session_ended);
    for (unsigned i = 0; i < meta->n_peers; i++) {
        if (meta->peers[i].id == meta->node_id) {
            meta->peers[i].incarnation = meta->incarnation;
        }
        meta->controller.voters[i] = (struct controller_voter){
            .id = meta->peers[i].id, .incarnation = meta->peers[i].incarnation };
    }
}

void meta_liveness_end(struct meta *meta)
{
    timer_cancel(&meta->liveness.timer);
}

static void look_soon(struct meta *meta)
{
    meta->liveness.dirty = true;
    loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
}

/* ---- the conclusions --------------------------------------------------------------------------*/

static void say_gone(struct meta *meta, const struct meta_peer *peer)
{
    if (peer->ended) {
        diag_warn(meta->diag, DIAG_ELECTOR,
                  "a node has ended: nobody answers at its address node=%" PRId32, peer->id);
    } else {
        diag_warn(meta->diag, DIAG_ELECTOR, "a node is silent node=%" PRId32 " for_ms=%" PRIu64,
                  peer->id, meta->liveness.session_ns / NS_PER_MS);
    }
}

/* When the next session ends, if nothing is heard until then. */
static uint64_t judge_peer(struct meta *meta, const struct meta_peer *peer, uint64_t now)
{
    struct meta_liveness *l = &meta->liveness;
    struct controller_voter *v = voter_of(meta, peer);
    uint64_t ends = max_u64(peer->heard_ns, l->office_ns) + l->session_ns;
    bool gone = peer->ended || now >= ends, silent = peer->heard_ns < l->office_ns;
    if (gone && !v->gone) {
        say_gone(meta, peer);
    }
    if (gone != v->gone || silent != v->silent) {
        v->gone = gone;
        v->silent = silent;
        meta_controller_news(meta);
    }
    return gone ? UINT64_MAX : ends;
}

/* What was proposed a session ago, and the group follows, and is not applied here: this node's own
 * disk hangs. Somebody else is to lead. */
static uint64_t judge_office(struct meta *meta, uint64_t now)
{
    const struct meta_liveness *l = &meta->liveness;
    uint64_t since = meta->in_flight != 0 ? meta->proposed_ns : l->office_ns;
    bool waits = meta->in_flight != 0 || !meta->role.ready;
    if (waits && now >= since + l->session_ns) {
        diag_warn(meta->diag, DIAG_ELECTOR,
                  "this node's disk hangs: the metadata gets another leader pending_ms=%" PRIu64,
                  (now - since) / NS_PER_MS);
        meta_resign(meta);
        return now + l->session_ns / 4;
    }
    return waits ? since + l->session_ns : UINT64_MAX;
}

static uint64_t judge_leader(struct meta *meta, uint64_t now)
{
    struct meta_liveness *l = &meta->liveness;
    uint64_t ends = l->leader_heard_ns + l->session_ns;
    bool lost = now >= ends;
    if (lost != l->lost) {
        l->lost = lost;
        meta->events->contact_changed(meta->arg, lost);
    }
    return lost ? UINT64_MAX : ends;
}

static void judge(struct meta *meta)
{
    struct meta_liveness *l = &meta->liveness;
    uint64_t now = loop_now_ns(meta->loop), next = UINT64_MAX;
    l->dirty = false;
    if (l->office_ns != 0) {
        l->leader_heard_ns = now;
        for (unsigned i = 0; i < meta->n_peers; i++) {
            if (meta->peers[i].id != meta->node_id) {
                next = min_u64(next, judge_peer(meta, &meta->peers[i], now));
            }
        }
        judge_leader(meta, now);
        next = min_u64(next, judge_office(meta, now));
    } else {
        next = judge_leader(meta, now);
    }
    l->timer_ns = next;
    if (next != UINT64_MAX) {
        timer_set_at(&l->timer, next);
    } else {
        timer_cancel(&l->timer);
    }
}

void meta_liveness_work(struct meta *meta)
{
    if (meta->liveness.dirty) {
        judge(meta);
    }
}

static void session_ended(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, liveness.timer);
    struct meta_liveness *l = &meta->liveness;
    uint64_t now = loop_now_ns(meta->loop);
    if (l->office_ns != 0 && now > l->timer_ns + l->session_ns / 3) {
        l->office_ns = now;
    }
    look_soon(meta);
}

void meta_liveness_role(struct meta *meta)
{
    struct meta_liveness *l = &meta->liveness;
    uint64_t now = loop_now_ns(meta->loop);
    bool leads = meta->role.leads && meta->n_peers > 1;
    if (leads && l->office_ns == 0) {
        l->office_ns = now;
        for (unsigned i = 0; i < meta->n_peers; i++) {
            meta->controller.voters[i].gone = false;
            meta->controller.voters[i].silent = meta->peers[i].id != meta->node_id;
        }
    } else if (!leads && l->office_ns != 0) {
        l->office_ns = 0;
        l->leader_heard_ns = now;
    }
    l->dirty = meta->n_peers > 1;
}

/* ---- what is heard ----------------------------------------------------------------------------*/

void meta_liveness_heard(struct meta *meta, struct meta_peer *peer, enum raft_voice voice)
{
    struct meta_liveness *l = &meta->liveness;
    const struct controller_voter *v = voter_of(meta, peer);
    uint64_t now = loop_now_ns(meta->loop);
    if (voice == RAFT_VOICE_FOLLOWER) {
        peer->heard_ns = now;
        if (peer->ended || v->gone || v->silent) {
            peer->ended = false;
            look_soon(meta);
        }
    } else if (voice == RAFT_VOICE_LEADER && meta->role.leader == (uint64_t)peer->id) {
        l->leader_heard_ns = now;
        if (l->lost) {
            look_soon(meta);
        }
    }
}

bool meta_peer_is_in_doubt(struct meta *meta, int32_t id)
{
    const struct meta_peer *peer = meta_peer(meta, id);
    return peer != NULL && peer->broke_ns != 0 &&
           loop_now_ns(meta->loop) < peer->broke_ns + DOUBT_MS * NS_PER_MS;
}

bool meta_any_peer_is_in_doubt(struct meta *meta)
{
    for (unsigned i = 0; i < meta->n_peers; i++) {
        if (meta_peer_is_in_doubt(meta, meta->peers[i].id)) {
            return true;
        }
    }
    return false;
}

void meta_peer_opened(struct meta *meta, int32_t id, const struct uuid *incarnation)
{
    struct meta_peer *peer = meta_peer(meta, id);
    if (peer == NULL) {
        return;
    }
    if (!uuid_equal(&peer->incarnation, incarnation)) {
        peer->incarnation = voter_of(meta, peer)->incarnation = *incarnation;
        meta_controller_forget_lives(meta, id, incarnation);
        meta_controller_news(meta);
    }
    peer->ended = false;
    peer->broke_ns = 0;
    peer->heard_ns = loop_now_ns(meta->loop);
    meta_requests_ask_anew(meta, id);
    look_soon(meta);
}

void meta_peer_closed(struct meta *meta, int32_t id)
{
    struct meta_peer *peer = meta_peer(meta, id);
    if (peer != NULL) {
        peer->broke_ns = loop_now_ns(meta->loop);
    }
    if (meta_runs(meta)) {
        meta_after_raft(meta, raft_node_peer_closed(meta->node, meta_now_ms(meta), (uint64_t)id));
    }
}

void meta_peer_unreachable(struct meta *meta, int32_t id)
{
    struct meta_peer *peer = meta_peer(meta, id);
    if (peer != NULL && meta_runs(meta) && !peer->ended) {
        peer->ended = true;
        look_soon(meta);
        meta_after_raft(meta, raft_node_peer_closed(meta->node, meta_now_ms(meta), (uint64_t)id));
    }
}
