/* In-sync sets: progress of followers, the committed end, proposals.
 *
 * The happy path: a follower's durable end arrives, the partition becomes dirty, the advance step
 * moves the high watermark. A follower that has caught up is put on the list of proposals, which
 * the flush step sends as one request; the metadata's change comes back through isr_follow().
 *
 * What can go wrong: a proposal is refused, because the metadata has moved on: it is forgotten, and
 * made again if it still holds. Its outcome is unknown (time-out): the maximal set stays, and it is
 * made again. */
#include <chronik/replica/table.h>

#include <chronik/meta/meta.h>

enum { PROPOSAL_TIMEOUT_MS = 2000, PROPOSALS_MAX = 1000 };

void isr_init(struct isr *isr)
{
    *isr = (struct isr){ 0 };
    list_init(&isr->link);
}

void isr_release(struct isr *isr)
{
    list_remove(&isr->link);
    free(isr->followers);
    isr_init(isr);
}

static struct follower *find(struct partition *p, int32_t broker)
{
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        if (p->isr.followers[i].broker == broker) {
            return &p->isr.followers[i];
        }
    }
    return NULL;
}

/* ---- following the metadata ------------------------------------------------------------------*/

static struct follower follower_init(const struct partition *p, int32_t broker)
{
    uint64_t now = loop_now_ns(p->replicas->loop);
    return (struct follower){
        .broker = broker,
        .broker_epoch = -1,
        .end = -1,
        .durable_end = -1,
        .caught_up_ns = now, /* it gets a full time to show up */
        .mark_end = INT64_MAX,
    };
}

bool isr_knows(const struct partition *p, int32_t broker)
{
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        if (p->isr.followers[i].broker == broker) {
            return true;
        }
    }
    return false;
}

static bool knows_all(struct partition *p, const struct image_partition *state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < state->n_replicas; i++) {
        bool self = state->replicas[i] == p->replicas->node_id;
        if (!self && find(p, state->replicas[i]) == NULL) {
            return false;
        }
        n += !self;
    }
    return n == p->isr.n_followers;
}

static void rebuild(struct partition *p, const struct image_partition *state, bool forget)
{
    struct isr *isr = &p->isr;
    struct follower *followers = mem_zalloc_array(state->n_replicas, sizeof *followers);
    unsigned n = 0;
    for (unsigned i = 0; i < state->n_replicas; i++) {
        int32_t broker = state->replicas[i];
        if (broker == p->replicas->node_id) {
            continue;
        }
        const struct follower *known = forget ? NULL : find(p, broker);
        followers[n++] = known ? *known : follower_init(p, broker);
    }
    free(isr->followers);
    isr->followers = followers;
    isr->n_followers = n;
}

void isr_follow(struct partition *p, const struct image_partition *state, bool new_epoch)
{
    struct isr *isr = &p->isr;
    bool moved_on = state->epoch != isr->proposed_epoch;
    if (new_epoch || !knows_all(p, state)) {
        rebuild(p, state, new_epoch);
    }
    if (new_epoch || moved_on) {
        isr->proposing = isr->unknown = false;
        list_remove(&isr->link);
    }
    isr->n_committed = state->n_isr;
    for (unsigned i = 0; i < isr->n_followers; i++) {
        struct follower *f = &isr->followers[i];
        f->in_isr = image_has(state->isr, state->n_isr, f->broker);
        f->proposed = f->proposed && isr->proposing;
    }
}

/* ---- the committed end -----------------------------------------------------------------------*/

bool isr_is_large_enough(const struct partition *p)
{
    int32_t need = topic_config_min_isr(&p->topic->config, (int32_t)p->isr.n_followers + 1);
    return (int32_t)p->isr.n_committed >= need;
}

/* May it be a member: does it live, in the very life in which it fetched (rule 4, KIP-903)? */
static bool is_eligible(const struct partition *p, const struct follower *f)
{
    const struct image_broker *broker = image_broker(meta_image(p->replicas->meta), f->broker);
    return broker != NULL && !broker->fenced && !broker->stopping &&
           broker->epoch == f->broker_epoch;
}

static bool may_join(const struct partition *p, const struct follower *f)
{
    return !f->in_isr && f->durable_end >= p->high_watermark && f->durable_end >= p->epoch_start &&
           is_eligible(p, f);
}

/* Does it count: a member, one that may be a member already, or one that is about to be proposed?
 * The latter, so that the committed end does not run away from a follower that has caught up. */
static bool counts(const struct partition *p, const struct follower *f)
{
    return f->in_isr || (p->isr.proposing && f->proposed) ||
           (!list_empty(&p->isr.link) && may_join(p, f));
}

int64_t isr_committed_end(const struct partition *p)
{
    int64_t end = log_durable_end(p->log);
    if (!isr_is_large_enough(p)) {
        return p->high_watermark;
    }
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        const struct follower *f = &p->isr.followers[i];
        if (counts(p, f)) {
            end = min_i64(end, f->durable_end);
        }
    }
    return max_i64(end, p->high_watermark);
}

/* ---- proposals -------------------------------------------------------------------------------*/

static void want_proposal(struct partition *p)
{
    struct replicas *r = p->replicas;
    if ((!p->isr.proposing || p->isr.unknown) && list_empty(&p->isr.link)) {
        list_push_back(&r->proposals, &p->isr.link);
        loop_defer(r->loop, LOOP_FLUSH, &r->send_proposals);
    }
}

static bool lags(const struct partition *p, const struct follower *f, uint64_t now, uint64_t limit)
{
    return f->in_isr && f->durable_end < log_end(p->log) && f->caught_up_ns + limit < now;
}

static uint64_t lag_limit(const struct replicas *r)
{
    struct config_layers config = config_layers_of(meta_image(r->meta), r->node_id, r->file);
    return (uint64_t)config_number(&config, "replica.lag.time.max.ms") * NS_PER_MS;
}

/* Fills the set that is to be proposed; false when it is the committed one. */
static bool choose(struct partition *p, struct meta_change_isr_request_member *members,
                   int32_t *ret_n, uint64_t now, uint64_t limit)
{
    const struct replicas *r = p->replicas;
    const struct image_broker *self = image_broker(meta_image(r->meta), r->node_id);
    bool changed = false;
    members[0] = (struct meta_change_isr_request_member){
        .broker = r->node_id,
        .epoch = self ? self->epoch : -1,
    };
    *ret_n = 1;
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        struct follower *f = &p->isr.followers[i];
        bool member = f->in_isr ? !lags(p, f, now, limit) : may_join(p, f);
        changed = changed || member != f->in_isr;
        f->proposed = member || (p->isr.unknown && f->proposed);
        if (member) {
            members[(*ret_n)++] = (struct meta_change_isr_request_member){
                .broker = f->broker,
                .epoch = f->broker_epoch,
            };
        }
    }
    return changed;
}

static struct partition *find_partition(struct replicas *r, const struct uuid *topic_id,
                                        int32_t index)
{
    struct topic_replicas *topic = replicas_topic_by_id(r, topic_id);
    return topic ? topic_partition(topic, index) : NULL;
}

/* Applied proposals need nothing: isr_follow() came before the answer. */
static void settle(struct partition *p, enum kafka_error error)
{
    switch (error) {
    case KAFKA_NONE:
        return;
    case KAFKA_REQUEST_TIMED_OUT:
        p->isr.unknown = true;
        want_proposal(p);
        return;
    case KAFKA_INVALID_UPDATE_VERSION:
    case KAFKA_FENCED_LEADER_EPOCH: /* the metadata is ahead of this node, which will hear of it */
        return;
    default:
        p->isr.proposing = p->isr.unknown;
        loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance); /* fewer count */
    }
}

/* What was proposed, to find the partitions again when the answer is only an error. */
struct proposal {
    struct replicas *replicas;
    struct meta_change_isr_request request;
    struct arena arena;
};

static void answered(void *arg, enum kafka_error error, const void *response)
{
    struct proposal *proposal = arg;
    struct replicas *r = proposal->replicas;
    const struct meta_change_isr_response *answer = response;
    enum kafka_error whole = error != KAFKA_NONE ? error : (enum kafka_error)answer->error;

    for (int32_t i = 0; i < proposal->request.n_partitions; i++) {
        const struct meta_change_isr_request_partition *asked = &proposal->request.partitions[i];
        struct partition *p = find_partition(r, &asked->topic_id, asked->partition);
        bool ours = p != NULL && p->isr.proposing && p->leader_epoch == asked->leader_epoch &&
                    p->isr.proposed_epoch == asked->partition_epoch;
        if (ours) {
            settle(p, whole != KAFKA_NONE || i >= answer->n_partitions
                          ? whole
                          : (enum kafka_error)answer->partitions[i].error);
        }
    }
    arena_release(&proposal->arena);
    free(proposal);
}

static void add_partition(struct proposal *proposal, struct partition *p, uint64_t now,
                          uint64_t limit)
{
    struct meta_change_isr_request_partition *to =
        &proposal->request.partitions[proposal->request.n_partitions];
    struct meta_change_isr_request_member *members =
        arena_zalloc_array(&proposal->arena, p->isr.n_followers + 1, sizeof *members);
    int32_t n;
    if (p->role != PARTITION_LEADER || !choose(p, members, &n, now, limit)) {
        return;
    }
    *to = (struct meta_change_isr_request_partition){
        .topic_id = p->topic->id,
        .partition = p->index,
        .leader_epoch = p->leader_epoch,
        .partition_epoch = p->partition_epoch,
        .isr = members,
        .n_isr = n,
    };
    proposal->request.n_partitions++;
    p->isr.proposing = true;
    p->isr.proposed_epoch = p->partition_epoch;
}

void isr_send_proposals(struct replicas *r)
{
    const struct image_broker *self = image_broker(meta_image(r->meta), r->node_id);
    struct proposal *proposal = mem_zalloc(sizeof *proposal);
    uint64_t now = loop_now_ns(r->loop), limit = lag_limit(r);
    struct list *it;

    arena_init(&proposal->arena, 0);
    proposal->replicas = r;
    proposal->request.epoch = self ? self->epoch : -1;
    proposal->request.partitions = arena_zalloc_array(
        &proposal->arena, PROPOSALS_MAX, sizeof *proposal->request.partitions);
    while (proposal->request.n_partitions < PROPOSALS_MAX &&
           (it = list_pop_front(&r->proposals)) != NULL) {
        add_partition(proposal, container_of(it, struct partition, isr.link), now, limit);
    }
    if (!list_empty(&r->proposals)) {
        loop_defer(r->loop, LOOP_FLUSH, &r->send_proposals);
    }
    if (proposal->request.n_partitions == 0) {
        arena_release(&proposal->arena);
        free(proposal);
        return;
    }
    meta_change_isr(r->meta, &proposal->request, now + PROPOSAL_TIMEOUT_MS * NS_PER_MS, answered,
                    proposal);
}

/* ---- progress --------------------------------------------------------------------------------*/

static void note_progress(struct partition *p, struct follower *f)
{
    uint64_t now = loop_now_ns(p->replicas->loop);
    int64_t end = log_end(p->log);
    if (f->durable_end >= end) {
        f->caught_up_ns = now;
    } else if (f->durable_end >= f->mark_end) {
        f->caught_up_ns = max_u64(f->caught_up_ns, f->mark_ns);
    }
    if (f->durable_end >= f->mark_end || f->mark_end == INT64_MAX) {
        f->mark_end = end;
        f->mark_ns = now;
    }
}

void isr_begins(struct partition *p, int32_t broker, int64_t broker_epoch, int64_t end)
{
    struct follower *f = find(p, broker);
    if (f == NULL || end > log_end(p->log)) {
        return;
    }
    if (broker_epoch != f->broker_epoch) { /* another life: what the earlier one had may be lost */
        f->broker_epoch = broker_epoch;
        f->durable_end = -1;
        f->mark_end = INT64_MAX;
    }
    f->end = end;
    f->durable_end = min_i64(f->durable_end, end);
}

void isr_progress(struct partition *p, int32_t broker, int64_t broker_epoch,
                  const struct isr_ends *ends)
{
    struct follower *f = find(p, broker);
    if (f == NULL || f->broker_epoch != broker_epoch || ends->end > log_end(p->log) ||
        ends->durable_end > ends->end) {
        return;
    }
    f->log_start = ends->log_start;
    f->end = ends->end;
    f->durable_end = ends->durable_end;
    note_progress(p, f);
    if (may_join(p, f)) {
        want_proposal(p);
    }
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

/* ---- for consumers ---------------------------------------------------------------------------*/

static bool is_in_rack(const struct partition *p, int32_t id, struct text rack)
{
    const struct image_broker *broker = image_broker(meta_image(p->replicas->meta), id);
    return broker != NULL && !broker->fenced && broker->rack != NULL &&
           text_is(rack, broker->rack);
}

int32_t isr_preferred(const struct partition *p, struct text rack, int64_t offset)
{
    const struct follower *best = NULL;
    if (rack.len == 0 || is_in_rack(p, p->replicas->node_id, rack)) {
        return -1;
    }
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        const struct follower *f = &p->isr.followers[i];
        bool has = f->in_isr && f->end >= offset && f->log_start <= offset;
        if (has && is_in_rack(p, f->broker, rack) && (best == NULL || f->end > best->end)) {
            best = f;
        }
    }
    return best ? best->broker : -1;
}

/* ---- who lags --------------------------------------------------------------------------------*/

static void check_partition(struct partition *p, uint64_t now, uint64_t limit)
{
    for (unsigned i = 0; i < p->isr.n_followers; i++) {
        const struct follower *f = &p->isr.followers[i];
        if (lags(p, f, now, limit) || may_join(p, f)) {
            want_proposal(p);
            return;
        }
    }
}

void isr_consider(struct partition *p)
{
    for (unsigned i = 0; i < p->isr.n_followers && p->role == PARTITION_LEADER; i++) {
        if (may_join(p, &p->isr.followers[i])) {
            want_proposal(p);
            return;
        }
    }
}

void isr_broker_serves(struct replicas *r, int32_t broker)
{
    map_each (node, &r->by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            struct partition *p = topic->partitions[i];
            if (p != NULL && p->log != NULL && find(p, broker) != NULL) {
                isr_consider(p);
            }
        }
    }
}

void isr_check_lag(struct replicas *r)
{
    uint64_t now = loop_now_ns(r->loop), limit = lag_limit(r);
    map_each (node, &r->by_id) {
        struct topic_replicas *topic = container_of(node, struct topic_replicas, by_id);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            struct partition *p = topic->partitions[i];
            if (p != NULL && p->role == PARTITION_LEADER && p->log != NULL) {
                check_partition(p, now, limit);
            }
        }
    }
}
