/* The controller's queue.
 *
 * While this node leads and is ready, requests are decided in the order in which they came, one at
 * a time: a decision with commands is proposed as one Raft entry, and the next one is made when
 * that has been applied. So each is made on exactly the image that it will be applied to. What the
 * controller has to do by itself comes before all requests. A request that has to wait for
 * something stays in the queue, and is looked at again with every change ("news").
 *
 * The answer goes out with the proposal; it names the items whose results are to come. When this
 * node stops leading, the queue is dropped: everybody asks the next controller. */
#include "meta_private.h"

#include <chronik/wire/codec.h>

#include <errno.h>
#include <inttypes.h>

enum {
    PATIENCE_S = 5,        /* for voters that have never come, and for where logs end */
    BALANCE_SOON_MS = 500, /* after a replica has come in sync: others may follow */
};

static void patience_ended(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, impatience);
    meta->controller.impatient = true;
    meta_controller_news(meta);
}

static void hurry(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, hurry);
    meta->controller.hurried = true;
    meta_controller_news(meta);
}

static void set_balance(struct meta *meta, uint64_t in_ns)
{
    meta->balance_at_ns = loop_now_ns(meta->loop) + in_ns;
    timer_set_at(&meta->balance, meta->balance_at_ns);
}

static void balance(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, balance);
    struct config_layers layers = controller_layers(&meta->controller);
    int64_t every_s = config_number(&layers, "leader.imbalance.check.interval.seconds");
    meta->controller.balances = true;
    meta_controller_news(meta);
    set_balance(meta, (uint64_t)every_s * NS_PER_S);
}

/* What a decision has left to be done later. */
static void set_timers(struct meta *meta)
{
    struct controller *c = &meta->controller;
    uint64_t soon_ns = BALANCE_SOON_MS * NS_PER_MS;
    if (c->elects && !timer_is_set(&meta->hurry)) {
        timer_set_in(&meta->hurry, PATIENCE_S * NS_PER_S);
    } else if (!c->elects) {
        timer_cancel(&meta->hurry);
    }
    if (c->came_in_sync && meta->balance_at_ns > loop_now_ns(meta->loop) + soon_ns) {
        set_balance(meta, soon_ns);
    }
    c->came_in_sync = false;
}

static void cancel_timers(struct meta *meta)
{
    timer_cancel(&meta->impatience);
    timer_cancel(&meta->hurry);
    timer_cancel(&meta->balance);
}

void meta_controller_news(struct meta *meta)
{
    meta->news++;
    loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
}

void meta_controller_init(struct meta *meta, const struct meta_config *config)
{
    struct controller *c = &meta->controller;
    uint64_t seed;
    loop_random(meta->loop, &seed, sizeof seed);
    *c = (struct controller){ .image = meta->image, .node_id = meta->node_id,
                              .n_voters = meta->n_peers, .file = config->file,
                              .default_partitions = config->default_partitions,
                              .default_replication = config->default_replication };
    prng_init(&c->prng, seed);
    list_init(&meta->asked);
    meta->news = 1;
    timer_init(&meta->impatience, meta->loop, patience_ended);
    timer_init(&meta->hurry, meta->loop, hurry);
    timer_init(&meta->balance, meta->loop, balance);
}

/* ---- the queue --------------------------------------------------------------------------------*/

static void drop(struct asked *asked)
{
    list_remove(&asked->link);
    if (asked->local == NULL) {
        arena_release(&asked->arena);
    }
    free(asked);
}

static void drop_all(struct meta *meta)
{
    list_each (it, &meta->asked) {
        drop(container_of(it, struct asked, link));
    }
}

void meta_controller_release(struct meta *meta)
{
    drop_all(meta);
    cancel_timers(meta);
    controller_forget(&meta->controller);
    free(meta->controller.reports);
}

static struct asked *find(struct meta *meta, const struct command_id *id)
{
    list_each (it, &meta->asked) {
        struct asked *a = container_of(it, struct asked, link);
        if (a->id.node == id->node && a->id.sequence == id->sequence &&
            uuid_equal(&a->id.incarnation, &id->incarnation)) {
            return a;
        }
    }
    return NULL;
}

/* False when it is not such a message. */
static bool decode(struct asked *asked, struct bytes encoded)
{
    const struct wire_struct *s = meta_request_schema(asked->kind)->request;
    arena_init(&asked->arena, 0);
    void *copy = arena_dup(&asked->arena, encoded.data, encoded.len);
    asked->message = arena_zalloc(&asked->arena, s->size);
    return wire_decode(s, 0, true, bytes_of(copy, encoded.len), &asked->arena, asked->message, NULL)
               .result == WIRE_OK;
}

void meta_controller_ask(struct meta *meta, enum meta_request_kind kind,
                         const struct command_id *id, struct meta_request *local,
                         struct bytes encoded, uint64_t deadline_ns)
{
    if (!meta->role.leads || find(meta, id) != NULL) {
        return;
    }
    struct asked *asked = mem_zalloc(sizeof *asked);
    asked->kind = kind;
    asked->id = *id;
    asked->local = local;
    asked->deadline_ns = deadline_ns;
    list_push_back(&meta->asked, &asked->link);
    if (local != NULL) {
        asked->message = local->message;
    } else if (!decode(asked, encoded)) {
        drop(asked);
        return;
    }
    meta_controller_news(meta);
}

void meta_controller_forget(struct meta *meta, const struct meta_request *request)
{
    list_each (it, &meta->asked) {
        struct asked *a = container_of(it, struct asked, link);
        if (a->local == request) {
            drop(a);
            return;
        }
    }
}

void meta_controller_forget_lives(struct meta *meta, int32_t node, const struct uuid *incarnation)
{
    list_each (it, &meta->asked) {
        struct asked *a = container_of(it, struct asked, link);
        if (a->id.node == node && !uuid_equal(&a->id.incarnation, incarnation)) {
            drop(a);
        }
    }
}

/* ---- office -----------------------------------------------------------------------------------*/

void meta_controller_role(struct meta *meta)
{
    struct controller *c = &meta->controller;
    if (!meta->role.leads) {
        drop_all(meta);
        meta->in_flight = meta->office_term = 0;
        controller_forget(c);
        cancel_timers(meta);
        return;
    }
    if (meta->office_term != meta->role.term) {
        meta->office_term = meta->role.term;
        meta->office_said = false;
        controller_forget(c);
        balance(&meta->balance);
    }
    if (meta->role.ready && !meta->office_said) {
        meta->office_said = true;
        diag_info(meta->diag, DIAG_ELECTOR, "in office term=%" PRIu64, meta->role.term);
    }
    if (meta->n_peers > 1 && image_cluster_id(meta->image)[0] == '\0') {
        timer_set_in(&meta->impatience, PATIENCE_S * NS_PER_S);
    }
}

static bool may_succeed(const struct meta *meta, const struct controller_voter *v)
{
    return v->id != meta->node_id && !v->gone && broker_usable(meta->image, v->id);
}

/* Of those that are there and serve, the one that is furthest in the log is asked. */
bool meta_resign(struct meta *meta)
{
    uint64_t best = 0, best_match = 0;
    bool somebody = false;
    for (unsigned i = 0; meta_runs(meta) && meta->role.leads && i < meta->n_peers; i++) {
        const struct controller_voter *v = &meta->controller.voters[i];
        uint64_t match = raft_node_match(meta->node, (uint64_t)v->id);
        bool fits = may_succeed(meta, v);
        somebody = somebody || fits;
        if (fits && match > best_match) {
            best = (uint64_t)v->id;
            best_match = match;
        }
    }
    if (best != 0) {
        meta_after_raft(meta, raft_node_transfer(meta->node, meta_now_ms(meta), best));
    }
    return somebody;
}

void meta_controller_applied(struct meta *meta, uint64_t index)
{
    if (meta->in_flight != 0 && index >= meta->in_flight) {
        metric_observe(&meta->commit_time, loop_clock_ns(meta->loop) - meta->proposed_ns);
        meta->in_flight = 0;
    }
    meta->news++;
}

/* ---- deciding ---------------------------------------------------------------------------------*/

/* What is reported of directories at the moment: the requests that wait. */
static void gather_reports(struct meta *meta)
{
    struct controller *c = &meta->controller;
    c->n_reports = 0;
    list_each (it, &meta->asked) {
        const struct asked *a = container_of(it, struct asked, link);
        if (a->kind == META_REPORT_DIRECTORY) {
            c->reports = mem_realloc_array(c->reports, c->n_reports + 1, sizeof *c->reports);
            c->reports[c->n_reports++] = (struct controller_report){ .node = a->id.node,
                                                                     .request = a->message };
        }
    }
}

/* False when this node cannot propose now: it is handing its office over, or writes down that there
 * is a new term. Nothing has happened then that calls for more work in this turn; what comes of it
 * does. */
static bool propose(struct meta *meta, const struct decision *d)
{
    struct buf entry = { 0 };
    uint64_t index = 0;
    decision_encode(d, image_base(meta->image), &entry);
    int error = raft_node_submit(meta->node, meta_now_ms(meta), buf_bytes(&entry), &index);
    buf_release(&entry);
    if (error == 0 && image_index(meta->image) < index) {
        meta->in_flight = index;
        meta->proposed_ns = loop_clock_ns(meta->loop);
        meta->entries_proposed++;
    }
    if (error != -EAGAIN) {
        meta_after_raft(meta, error);
    }
    return error == 0;
}

static void answer(struct meta *meta, const struct asked *asked, void *response,
                   const struct decision *d)
{
    if (asked->local != NULL) {
        meta_request_answer(asked->local, response, d->waits);
    } else {
        meta_send_answer(meta, asked, response, d);
    }
}

static enum decide_result decide(struct meta *meta, struct asked *asked)
{
    struct arena *arena = asked->local ? &asked->local->arena : &asked->arena;
    struct decision d;
    void *response;
    decision_init(&d, arena, &asked->id, meta_request_items(asked->kind, asked->message));
    if (asked->kind == META_REPORT_DIRECTORY) {
        gather_reports(meta);
    }
    enum decide_result result = controller_decide(&meta->controller, asked->kind, asked->message,
                                                  &d, &response);
    if (result == DECIDE_DONE && d.n > 0 && !propose(meta, &d)) {
        result = DECIDE_LATER;
    }
    if (result == DECIDE_LATER) {
        asked->seen = meta->news;
    } else {
        answer(meta, asked, response, &d);
    }
    decision_release(&d);
    return result;
}

/* While it hands its office over, a leader names none, and takes no entries. */
static bool may_decide(const struct meta *meta)
{
    return meta_runs(meta) && meta->role.ready && meta->in_flight == 0 &&
           meta_controller(meta) == meta->node_id;
}

/* One duty after the other, until there is none left. */
static void do_duties(struct meta *meta)
{
    const struct command_id id = { .node = -1 };
    bool proposes = true;
    while (proposes && may_decide(meta) && meta->duties_seen != meta->news) {
        struct arena arena;
        struct decision d;
        arena_init(&arena, 0);
        decision_init(&d, &arena, &id, 0);
        controller_decide_duty(&meta->controller, &d);
        if (d.n == 0) {
            meta->duties_seen = meta->news;
        } else {
            proposes = propose(meta, &d);
        }
        decision_release(&d);
        arena_release(&arena);
    }
}

static void look_at(struct meta *meta, struct asked *asked)
{
    if (asked->deadline_ns < loop_now_ns(meta->loop) ||
        (asked->seen != meta->news && decide(meta, asked) == DECIDE_DONE)) {
        drop(asked);
    }
}

void meta_controller_work(struct meta *meta)
{
    do_duties(meta);
    list_each (it, &meta->asked) {
        if (!may_decide(meta)) {
            break;
        }
        look_at(meta, container_of(it, struct asked, link));
    }
    if (meta->role.ready) {
        set_timers(meta);
    }
}
