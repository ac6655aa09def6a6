/* Elections: elector.h has the rules.
 *
 * For each partition concerned a plan is made from what the image says: the sets as they would be,
 * and the leader that follows. Where the plan differs from what there is, it becomes a change,
 * bound to the two epochs. All changes of one event go into one command. */
#include "elector.h"

enum { LEADER_STAYS = -2, RECOVERY_STAYS = -1, NOBODY = -1, WAITS = -2 };

/* Who the replicas are to be, while they change. */
struct move {
    struct elector_set replicas, adding, removing;
};

/* What a partition is to become. */
struct plan {
    const struct image_topic *topic;
    int32_t partition;
    const struct image_partition *now;
    struct elector_set isr, elr;
    struct move *move; /* NULL: the replicas stay */
    int32_t leader;
    int8_t recovery;
    unsigned min_isr;
    bool unclean_allowed;
    bool waits; /* the election does, for others */
};

void elector_init(struct elector *e, const struct image *image, struct arena *arena,
                  const struct config_layers *layers)
{
    struct topic_config defaults;
    topic_config_resolve(layers, &defaults);
    *e = (struct elector){ .image = image, .arena = arena, .up = NOBODY,
                           .min_isr = defaults.min_insync_replicas,
                           .unclean = defaults.unclean_leader_election };
}

void elector_release(struct elector *e)
{
    free(e->changes);
    e->changes = NULL;
    e->n = e->cap = 0;
}

struct command_change_partitions elector_command(const struct elector *e)
{
    return (struct command_change_partitions){ .changes = e->changes, .n_changes = (int32_t)e->n };
}

/* ---- sets -------------------------------------------------------------------------------------*/

static struct elector_set set_of(const int32_t *ids, unsigned n)
{
    struct elector_set set;
    set.n = n;
    memcpy(set.ids, ids, n * sizeof *ids);
    return set;
}

static bool has(const struct elector_set *set, int32_t id)
{
    return image_has(set->ids, set->n, id);
}

static void add(struct elector_set *set, int32_t id)
{
    if (!has(set, id) && set->n < IMAGE_REPLICAS_MAX) {
        set->ids[set->n++] = id;
    }
}

static void drop(struct elector_set *set, int32_t id)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < set->n; i++) {
        if (set->ids[i] != id) {
            set->ids[kept++] = set->ids[i];
        }
    }
    set->n = kept;
}

static bool same(const struct elector_set *set, const int32_t *ids, unsigned n)
{
    return set->n == n && memcmp(set->ids, ids, n * sizeof *ids) == 0;
}

/* ---- plans ------------------------------------------------------------------------------------*/

static bool serves(const struct elector *e, int32_t id)
{
    const struct image_broker *b = image_broker(e->image, id);
    return !has(&e->down, id) && (id == e->up || (b != NULL && !b->fenced && !b->stopping));
}

static unsigned min_isr_of(const struct elector *e, const struct image_topic *topic,
                           const struct image_partition *p)
{
    int64_t n = e->min_isr;
    struct text own = image_config(&topic->configs, text_of("min.insync.replicas"));
    if (own.data == NULL || !text_to_i64(own, &n)) {
        n = e->min_isr;
    }
    return (unsigned)min_i64(max_i64(n, 1), p->n_replicas);
}

static bool unclean_allowed(const struct elector *e, const struct image_topic *topic)
{
    struct text own = image_config(&topic->configs, text_of("unclean.leader.election.enable"));
    return own.data != NULL ? text_is(own, "true") : e->unclean;
}

static struct plan plan_for(const struct elector *e, const struct image_topic *topic,
                            int32_t partition)
{
    const struct image_partition *now = &topic->partitions[partition];
    return (struct plan){ .topic = topic, .partition = partition, .now = now,
                          .isr = set_of(now->isr, now->n_isr),
                          .elr = set_of(now->elr, now->n_elr),
                          .leader = now->leader, .recovery = RECOVERY_STAYS,
                          .min_isr = min_isr_of(e, topic, now),
                          .unclean_allowed = unclean_allowed(e, topic) };
}

/* Who was in sync and no longer is becomes eligible while the set is too small to acknowledge
 * anything without it. */
static void settle_eligible(struct plan *plan)
{
    if (plan->isr.n >= plan->min_isr) {
        plan->elr.n = 0;
        return;
    }
    for (unsigned i = 0; i < plan->now->n_isr; i++) {
        if (!has(&plan->isr, plan->now->isr[i])) {
            add(&plan->elr, plan->now->isr[i]);
        }
    }
    for (unsigned i = 0; i < plan->isr.n; i++) {
        drop(&plan->elr, plan->isr.ids[i]);
    }
}

static const int32_t *replicas_of(const struct plan *plan, unsigned *ret_n)
{
    *ret_n = plan->move ? plan->move->replicas.n : plan->now->n_replicas;
    return plan->move ? plan->move->replicas.ids : plan->now->replicas;
}

/* The first replica, in order of preference, that is in the set and serves. */
static int32_t first_serving(const struct elector *e, const struct plan *plan,
                             const struct elector_set *set)
{
    unsigned n;
    const int32_t *replicas = replicas_of(plan, &n);
    for (unsigned i = 0; i < n; i++) {
        int32_t id = replicas[i];
        if ((set == NULL || has(set, id)) && serves(e, id)) {
            return id;
        }
    }
    return NOBODY;
}

int log_end_compare(const void *a, const void *b)
{
    const struct log_end *x = a, *y = b;
    int order = memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof x->topic_id.bytes);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* Where a replica's log ended when its broker was started; NULL: it was not restarted. */
static const struct log_end *find_end(const struct elector *e, const struct plan *plan, int32_t id)
{
    const struct image_broker *b = image_broker(e->image, id);
    const struct log_end key = { .topic_id = plan->topic->id, .partition = plan->partition };
    for (size_t i = 0; b != NULL && i < e->n_ends; i++) {
        const struct log_ends *ends = &e->ends[i];
        if (ends->broker == id && ends->epoch == b->epoch && ends->n > 0) {
            return bsearch(&key, ends->items, ends->n, sizeof key, log_end_compare);
        }
    }
    return NULL;
}

static bool goes_further(const struct log_end *a, const struct log_end *b)
{
    return b == NULL || a->last_epoch > b->last_epoch ||
           (a->last_epoch == b->last_epoch && a->offset > b->offset);
}

/* Any of the eligible has all that was acknowledged. Who was restarted may have lost it all the
 * same, if its disk has lied: of those, the one with the most, when all have come, or time is
 * up. */
static int32_t first_eligible(struct elector *e, const struct plan *plan)
{
    const struct log_end *best_end = NULL;
    int32_t best = NOBODY;
    unsigned n_serving = 0, n;
    const int32_t *replicas = replicas_of(plan, &n);
    for (unsigned i = 0; i < n; i++) {
        int32_t id = replicas[i];
        if (!has(&plan->elr, id) || !serves(e, id)) {
            continue;
        }
        const struct log_end *end = find_end(e, plan, id);
        n_serving++;
        if (end == NULL) {
            return id;
        }
        if (goes_further(end, best_end)) {
            best = id;
            best_end = end;
        }
    }
    bool waits = best != NOBODY && n_serving < plan->elr.n && !e->hurried;
    e->waits = e->waits || waits;
    return waits ? WAITS : best;
}

static void elect_eligible(struct elector *e, struct plan *plan)
{
    int32_t leader = first_eligible(e, plan);
    plan->waits = leader == WAITS;
    if (leader >= 0) {
        plan->leader = leader;
        drop(&plan->elr, leader);
        add(&plan->isr, leader);
    }
}

static void elect(struct elector *e, struct plan *plan)
{
    if (plan->leader != NOBODY && has(&plan->isr, plan->leader) && serves(e, plan->leader)) {
        return;
    }
    plan->leader = first_serving(e, plan, &plan->isr);
    if (plan->leader == NOBODY && plan->isr.n == 0) {
        elect_eligible(e, plan);
    }
    if (plan->leader == NOBODY && !plan->waits && plan->unclean_allowed) {
        plan->leader = first_serving(e, plan, NULL);
        if (plan->leader != NOBODY) {
            plan->isr = set_of(&plan->leader, 1);
            plan->elr.n = 0;
            plan->recovery = IMAGE_RECOVERING;
        }
    }
}

static int32_t *keep(struct elector *e, const struct elector_set *set)
{
    return arena_dup(e->arena, set->ids, set->n * sizeof set->ids[0]);
}

static bool moves(const struct plan *plan)
{
    const struct move *m = plan->move;
    const struct image_partition *now = plan->now;
    return m != NULL && !(same(&m->replicas, now->replicas, now->n_replicas) &&
                          same(&m->adding, now->adding, now->n_adding) &&
                          same(&m->removing, now->removing, now->n_removing));
}

static void add_move(struct elector *e, const struct move *m,
                     struct command_change_partitions_change *change)
{
    change->replicas = keep(e, &m->replicas);
    change->n_replicas = (int32_t)m->replicas.n;
    change->adding = keep(e, &m->adding);
    change->n_adding = (int32_t)m->adding.n;
    change->removing = keep(e, &m->removing);
    change->n_removing = (int32_t)m->removing.n;
}

/* A plan that changes something becomes a change. */
static void propose(struct elector *e, const struct plan *plan)
{
    const struct image_partition *now = plan->now;
    bool isr_differs = !same(&plan->isr, now->isr, now->n_isr);
    bool elr_differs = !same(&plan->elr, now->elr, now->n_elr);
    bool leader_differs = plan->leader != now->leader;
    bool recovery_differs = plan->recovery != RECOVERY_STAYS && plan->recovery != now->recovery;
    if (!isr_differs && !elr_differs && !leader_differs && !recovery_differs && !moves(plan)) {
        return;
    }
    struct command_change_partitions_change change = command_change_partitions_change_default;
    change.topic_id = plan->topic->id;
    change.partition = plan->partition;
    change.leader_epoch = now->leader_epoch;
    change.partition_epoch = now->epoch;
    change.leader = leader_differs ? plan->leader : LEADER_STAYS;
    change.recovery = recovery_differs ? plan->recovery : RECOVERY_STAYS;
    change.n_isr = change.n_elr = change.n_replicas = change.n_adding = change.n_removing =
        change.n_directories = -1;
    if (isr_differs) {
        change.isr = keep(e, &plan->isr);
        change.n_isr = (int32_t)plan->isr.n;
    }
    if (elr_differs) {
        change.elr = keep(e, &plan->elr);
        change.n_elr = (int32_t)plan->elr.n;
    }
    if (moves(plan)) {
        add_move(e, plan->move, &change);
    }
    e->changes = mem_grow(e->changes, &e->cap, e->n + 1, sizeof *e->changes);
    e->changes[e->n++] = change;
}

/* ---- events -----------------------------------------------------------------------------------*/

void elector_take_down(struct elector *e, int32_t broker)
{
    add(&e->down, broker);
}

void elector_doubt(struct elector *e, int32_t broker)
{
    add(&e->doubtful, broker);
}

static bool concerns(const struct image_partition *p, const struct elector_set *brokers)
{
    for (unsigned i = 0; i < brokers->n; i++) {
        if (image_has(p->replicas, p->n_replicas, brokers->ids[i])) {
            return true;
        }
    }
    return false;
}

/* Calls `plan_one` for every partition of which one of the brokers is a replica. */
static void each_replica(struct elector *e, const struct elector_set *brokers,
                         void (*plan_one)(struct elector *e, struct plan *plan,
                                          const struct elector_set *brokers))
{
    for (size_t t = 0; t < image_topic_count(e->image); t++) {
        const struct image_topic *topic = image_topic_at(e->image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            if (concerns(&topic->partitions[i], brokers)) {
                struct plan plan = plan_for(e, topic, i);
                plan_one(e, &plan, brokers);
                propose(e, &plan);
            }
        }
    }
}

static struct elector_set only(int32_t broker)
{
    return set_of(&broker, 1);
}

/* All at once: whoever was in sync with the others when they went is eligible together with
 * them. */
static void plan_fence(struct elector *e, struct plan *plan, const struct elector_set *brokers)
{
    for (unsigned i = 0; i < brokers->n; i++) {
        drop(&plan->isr, brokers->ids[i]);
    }
    settle_eligible(plan);
    elect(e, plan);
}

void elector_fence(struct elector *e)
{
    each_replica(e, &e->down, plan_fence);
}

/* Is anybody else known to be up who has what was acknowledged? */
static bool another_is_up(const struct elector *e, const struct plan *plan, int32_t broker)
{
    for (unsigned i = 0; i < plan->now->n_replicas; i++) {
        int32_t id = plan->now->replicas[i];
        if (id != broker && serves(e, id) && !has(&e->doubtful, id) &&
            (has(&plan->isr, id) || has(&plan->elr, id))) {
            return true;
        }
    }
    return false;
}

/* Whoever may have lost what it acknowledged, and can be done without, is done without: it fetches
 * and comes back. One of the last with proof stays eligible. */
static void plan_unproven(struct elector *e, struct plan *plan, const struct elector_set *broker)
{
    drop(&plan->isr, broker->ids[0]);
    settle_eligible(plan);
    drop(&plan->elr, broker->ids[0]);
    elect(e, plan);
}

static void plan_unclean(struct elector *e, struct plan *plan, const struct elector_set *broker)
{
    if (another_is_up(e, plan, broker->ids[0])) {
        plan_unproven(e, plan, broker);
    } else {
        plan_fence(e, plan, broker);
    }
}

void elector_restart(struct elector *e, int32_t broker, bool clean, bool proven)
{
    struct elector_set one = only(broker);
    elector_take_down(e, broker);
    each_replica(e, &one, !proven ? plan_unproven : clean ? plan_fence : plan_unclean);
}

static void plan_unfence(struct elector *e, struct plan *plan, const struct elector_set *broker)
{
    (void)broker;
    if (plan->now->leader == NOBODY) {
        elect(e, plan);
    }
}

void elector_unfence(struct elector *e, int32_t broker)
{
    struct elector_set one = only(broker);
    e->up = broker;
    each_replica(e, &one, plan_unfence);
}

void elector_elect_leaderless(struct elector *e)
{
    for (size_t t = 0; t < image_topic_count(e->image); t++) {
        const struct image_topic *topic = image_topic_at(e->image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            if (topic->partitions[i].leader == NOBODY) {
                struct plan plan = plan_for(e, topic, i);
                elect(e, &plan);
                propose(e, &plan);
            }
        }
    }
}

/* A broker that stops gives way: others lead, and the in-sync set does without it. Where nobody can
 * take over it stays: until it is fenced, it serves. */
static void give_way(const struct elector *e, struct plan *plan, int32_t broker)
{
    if (plan->leader == broker) {
        int32_t other = first_serving(e, plan, &plan->isr);
        plan->leader = other == NOBODY ? broker : other;
    }
    if (plan->leader != broker && plan->isr.n > 1) {
        drop(&plan->isr, broker);
        settle_eligible(plan);
    }
}

static void plan_stop(struct elector *e, struct plan *plan, const struct elector_set *brokers)
{
    give_way(e, plan, brokers->ids[0]);
}

void elector_stop(struct elector *e, int32_t broker)
{
    struct elector_set one = only(broker);
    elector_take_down(e, broker);
    each_replica(e, &one, plan_stop);
}

void elector_balance(struct elector *e, size_t max)
{
    for (size_t t = 0; t < image_topic_count(e->image); t++) {
        const struct image_topic *topic = image_topic_at(e->image, t);
        for (int32_t i = 0; i < topic->n_partitions && e->n < max; i++) {
            elector_elect(e, topic, i, ELECT_PREFERRED);
        }
    }
}

/* ---- replicas that move -----------------------------------------------------------------------*/

static void drop_all(struct elector_set *from, const struct elector_set *ids)
{
    for (unsigned i = 0; i < ids->n; i++) {
        drop(from, ids->ids[i]);
    }
}

/* Those of `a` that are not in `b`. */
static struct elector_set without(const struct elector_set *a, const struct elector_set *b)
{
    struct elector_set rest = *a;
    drop_all(&rest, b);
    return rest;
}

static int by_id(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void sort(struct elector_set *set)
{
    qsort(set->ids, set->n, sizeof set->ids[0], by_id);
}

static struct move *move_of(struct elector *e, const struct image_partition *now)
{
    struct move *m = arena_zalloc(e->arena, sizeof *m);
    m->replicas = set_of(now->replicas, now->n_replicas);
    m->adding = set_of(now->adding, now->n_adding);
    m->removing = set_of(now->removing, now->n_removing);
    return m;
}

/* Takes replicas away, from all sets; another one leads if need be. */
static void take_away(struct elector *e, struct plan *plan, const struct elector_set *ids)
{
    drop_all(&plan->move->replicas, ids);
    drop_all(&plan->isr, ids);
    drop_all(&plan->elr, ids);
    plan->min_isr = min_u64(plan->min_isr, plan->move->replicas.n);
    plan->move->adding.n = plan->move->removing.n = 0;
    if (has(ids, plan->leader) || plan->leader == NOBODY) {
        elect(e, plan);
    }
}

/* A move is complete when all new replicas are in sync, and one of those that stay can lead: then
 * those that go, go. */
static void finish_move(struct elector *e, struct plan *plan)
{
    if (plan->move == NULL && plan->now->n_adding + plan->now->n_removing > 0) {
        plan->move = move_of(e, plan->now);
    }
    struct move *m = plan->move;
    if (m == NULL || m->adding.n + m->removing.n == 0) {
        return;
    }
    struct elector_set stay = without(&plan->isr, &m->removing);
    struct elector_set late = without(&m->adding, &plan->isr);
    if (late.n == 0 && first_serving(e, plan, &stay) != NOBODY) {
        struct elector_set go = m->removing;
        take_away(e, plan, &go);
    }
}

void elector_reassign(struct elector *e, const struct image_topic *topic, int32_t partition,
                      const int32_t *replicas, int32_t n)
{
    struct plan plan = plan_for(e, topic, partition);
    struct elector_set target = set_of(replicas, (unsigned)n);
    struct elector_set now = set_of(plan.now->replicas, plan.now->n_replicas);
    struct move *m = plan.move = move_of(e, plan.now);
    m->adding = without(&target, &now);
    m->removing = without(&now, &target);
    m->replicas = target;
    sort(&m->adding);
    sort(&m->removing);
    for (unsigned i = 0; i < m->removing.n; i++) {
        add(&m->replicas, m->removing.ids[i]);
    }
    finish_move(e, &plan);
    propose(e, &plan);
}

enum kafka_error elector_cancel_move(struct elector *e, const struct image_topic *topic,
                                     int32_t partition)
{
    struct plan plan = plan_for(e, topic, partition);
    if (plan.now->n_adding + plan.now->n_removing == 0) {
        return KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
    }
    plan.move = move_of(e, plan.now);
    struct elector_set go = plan.move->adding;
    bool was_led = plan.leader != NOBODY;
    take_away(e, &plan, &go);
    if (was_led && plan.leader == NOBODY) {
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    propose(e, &plan);
    return KAFKA_NONE;
}

void elector_set_isr(struct elector *e, const struct image_topic *topic, int32_t partition,
                     const int32_t *isr, int32_t n_isr, int8_t recovery)
{
    struct plan plan = plan_for(e, topic, partition);
    plan.isr = set_of(isr, (unsigned)n_isr);
    plan.recovery = recovery;
    settle_eligible(&plan);
    finish_move(e, &plan);
    if (plan.leader != NOBODY && !serves(e, plan.leader)) {
        give_way(e, &plan, plan.leader);
    }
    propose(e, &plan);
}

static enum kafka_error elect_preferred(struct elector *e, struct plan *plan)
{
    int32_t preferred = plan->now->replicas[0];
    if (plan->now->leader == preferred) {
        return KAFKA_ELECTION_NOT_NEEDED;
    }
    if (!has(&plan->isr, preferred) || !serves(e, preferred)) {
        return KAFKA_PREFERRED_LEADER_NOT_AVAILABLE;
    }
    plan->leader = preferred;
    propose(e, plan);
    return KAFKA_NONE;
}

enum kafka_error elector_elect(struct elector *e, const struct image_topic *topic,
                               int32_t partition, enum election election)
{
    struct plan plan = plan_for(e, topic, partition);
    if (election == ELECT_PREFERRED) {
        return elect_preferred(e, &plan);
    }
    if (plan.now->leader != NOBODY) {
        return KAFKA_ELECTION_NOT_NEEDED;
    }
    plan.unclean_allowed = true;
    e->hurried = true;
    elect(e, &plan);
    if (plan.leader == NOBODY) {
        return KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    }
    propose(e, &plan);
    return KAFKA_NONE;
}
