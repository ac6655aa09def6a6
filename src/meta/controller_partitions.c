/* In-sync sets that leaders change, elections that somebody asks for, producer ids.
 *
 * The checks of a changed in-sync set, in Kafka's order (KIP-497, KIP-841, KIP-903): epochs that
 * are ahead of ours mean that this is no longer the controller; behind, that the sender no longer
 * leads. Members must be replicas, serving, and still in the life in which they fetched; a leader
 * that is about to stop, though, may let in who is to take over. */
#include "controller.h"

enum { PRODUCER_ID_BLOCK = 1000 };

/* ---- in-sync sets -----------------------------------------------------------------------------*/

static enum kafka_error check_epochs(const struct image_partition *p,
                                     const struct meta_change_isr_request_partition *asked,
                                     int32_t sender)
{
    if (asked->leader_epoch > p->leader_epoch || asked->partition_epoch > p->epoch) {
        return KAFKA_NOT_CONTROLLER;
    }
    if (asked->leader_epoch < p->leader_epoch) {
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (p->leader != sender) {
        return KAFKA_INVALID_REQUEST;
    }
    return asked->partition_epoch < p->epoch ? KAFKA_INVALID_UPDATE_VERSION : KAFKA_NONE;
}

static enum kafka_error check_members(const struct image *image,
                                      const struct meta_change_isr_request_partition *asked,
                                      int32_t sender)
{
    for (int32_t i = 0; i < asked->n_isr; i++) {
        const struct image_broker *b = image_broker(image, asked->isr[i].broker);
        if (b == NULL || b->fenced || (b->stopping && b->id != sender) ||
            (asked->isr[i].epoch != -1 && asked->isr[i].epoch != b->epoch)) {
            return KAFKA_INELIGIBLE_REPLICA;
        }
    }
    return KAFKA_NONE;
}

static bool is_isr(const struct image_partition *p, const int32_t *isr, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (!image_has(p->replicas, p->n_replicas, isr[i]) || image_has(isr, (unsigned)i, isr[i])) {
            return false;
        }
    }
    return n > 0 && image_has(isr, (unsigned)n, p->leader);
}

static enum kafka_error change_one(struct controller *c, struct decision *d, struct elector *e,
                                   const struct meta_change_isr_request_partition *asked)
{
    const struct image_topic *topic = image_topic_by_id(c->image, &asked->topic_id);
    int32_t isr[IMAGE_REPLICAS_MAX];
    if (topic == NULL) {
        return KAFKA_UNKNOWN_TOPIC_ID;
    }
    if (asked->partition < 0 || asked->partition >= topic->n_partitions) {
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    const struct image_partition *p = &topic->partitions[asked->partition];
    enum kafka_error error = check_epochs(p, asked, d->id.node);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (asked->n_isr > IMAGE_REPLICAS_MAX) {
        return KAFKA_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < asked->n_isr; i++) {
        isr[i] = asked->isr[i].broker;
    }
    bool recovers = asked->recovery == IMAGE_RECOVERING;
    if (!is_isr(p, isr, asked->n_isr) || (recovers && asked->n_isr > 1) ||
        (recovers && p->recovery == IMAGE_RECOVERED)) {
        return KAFKA_INVALID_REQUEST;
    }
    error = check_members(c->image, asked, d->id.node);
    if (error == KAFKA_NONE) {
        c->came_in_sync = c->came_in_sync || asked->n_isr > p->n_isr;
        elector_set_isr(e, topic, asked->partition, isr, asked->n_isr, asked->recovery);
    }
    return error;
}

enum decide_result decide_change_isr(struct controller *c, const void *in, struct decision *d,
                                     void *out)
{
    const struct meta_change_isr_request *request = in;
    struct meta_change_isr_response *r = out;
    struct elector e;
    if (!controller_epoch_is(c, d, request->epoch)) {
        r->error = KAFKA_STALE_BROKER_EPOCH;
        return DECIDE_DONE;
    }
    bool repeats = decision_repeats(c, d, 0);
    r->partitions =
        arena_zalloc_array(d->arena, (size_t)request->n_partitions, sizeof *r->partitions);
    r->n_partitions = request->n_partitions;
    controller_elector(c, d, &e);
    for (int32_t i = 0; i < request->n_partitions; i++) {
        r->partitions[i].topic_id = request->partitions[i].topic_id;
        r->partitions[i].partition = request->partitions[i].partition;
        if (!repeats) {
            r->partitions[i].error = (int16_t)change_one(c, d, &e, &request->partitions[i]);
        }
    }
    if (e.n > 0) {
        struct command_change_partitions command = elector_command(&e);
        decision_add(d, COMMAND_CHANGE_PARTITIONS, 0, &command);
    }
    elector_release(&e);
    return DECIDE_DONE;
}

/* ---- elections on request ---------------------------------------------------------------------*/

static void elect_topic(struct elector *e, enum election election, const struct image_topic *topic,
                        const int32_t *partitions, int32_t n, struct decision *d,
                        struct meta_elect_leaders_response_topic *out)
{
    out->partitions = arena_zalloc_array(d->arena, (size_t)n, sizeof *out->partitions);
    out->n_partitions = n;
    for (int32_t i = 0; i < n; i++) {
        int32_t partition = partitions ? partitions[i] : i;
        bool there = topic != NULL && partition >= 0 && partition < topic->n_partitions;
        enum kafka_error error =
            there ? elector_elect(e, topic, partition, election) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        out->partitions[i].partition = partition;
        out->partitions[i].error = (int16_t)error;
        out->partitions[i].message =
            error == KAFKA_NONE ? TEXT_NULL : text_of(kafka_error_text(error));
    }
}

static void elect_named(struct controller *c, struct elector *e,
                        const struct meta_elect_leaders_request *request, struct decision *d,
                        struct meta_elect_leaders_response *r)
{
    r->topics = arena_zalloc_array(d->arena, (size_t)request->n_topics, sizeof *r->topics);
    r->n_topics = request->n_topics;
    for (int32_t t = 0; t < request->n_topics; t++) {
        const struct meta_elect_leaders_request_topic *asked = &request->topics[t];
        r->topics[t].name = asked->name;
        elect_topic(e, (enum election)request->type, image_topic(c->image, asked->name),
                    asked->partitions, asked->n_partitions, d, &r->topics[t]);
    }
}

/* All partitions; those that need no election are not in the answer. */
static void elect_all(struct controller *c, struct elector *e,
                      const struct meta_elect_leaders_request *request, struct decision *d,
                      struct meta_elect_leaders_response *r)
{
    size_t n = image_topic_count(c->image);
    r->topics = arena_zalloc_array(d->arena, n, sizeof *r->topics);
    for (size_t t = 0; t < n; t++) {
        const struct image_topic *topic = image_topic_at(c->image, t);
        struct meta_elect_leaders_response_topic *to = &r->topics[r->n_topics];
        int32_t kept = 0;
        to->name = arena_text(d->arena, text_of(topic->name));
        elect_topic(e, (enum election)request->type, topic, NULL, topic->n_partitions, d, to);
        for (int32_t i = 0; i < to->n_partitions; i++) {
            if (to->partitions[i].error != KAFKA_ELECTION_NOT_NEEDED) {
                to->partitions[kept++] = to->partitions[i];
            }
        }
        to->n_partitions = kept;
        r->n_topics += kept > 0;
    }
}

enum decide_result decide_elect_leaders(struct controller *c, const void *in, struct decision *d,
                                        void *out)
{
    const struct meta_elect_leaders_request *request = in;
    struct elector e;
    controller_elector(c, d, &e);
    if (request->n_topics >= 0) {
        elect_named(c, &e, request, d, out);
    } else {
        elect_all(c, &e, request, d, out);
    }
    if (e.n > 0 && !decision_repeats(c, d, 0)) {
        struct command_change_partitions command = elector_command(&e);
        decision_add(d, COMMAND_CHANGE_PARTITIONS, 0, &command);
    }
    elector_release(&e);
    return DECIDE_DONE;
}

/* ---- producer ids -----------------------------------------------------------------------------*/

enum decide_result decide_allocate_producer_ids(struct controller *c, const void *in,
                                                struct decision *d, void *out)
{
    const struct meta_allocate_producer_ids_request *request = in;
    struct meta_allocate_producer_ids_response *r = out;
    const struct command_allocate_producer_ids command = { .count = PRODUCER_ID_BLOCK };
    if (!controller_epoch_is(c, d, request->epoch)) {
        r->error = KAFKA_STALE_BROKER_EPOCH;
        return DECIDE_DONE;
    }
    r->count = PRODUCER_ID_BLOCK;
    if (!decision_repeats(c, d, 0)) {
        decision_add(d, COMMAND_ALLOCATE_PRODUCER_IDS, 0, &command);
    }
    return DECIDE_DONE;
}
