/* A controller that decides requests on an image of its own. */
#ifndef CHRONIK_TESTS_META_DECIDE_CASE_H
#define CHRONIK_TESTS_META_DECIDE_CASE_H

#include "image_case.h"

struct decide_case {
    struct image *image;
    struct controller c;
    struct arena arena;
    struct decision d;
    void *response;
    int64_t sequence;
};

static inline void begin(struct decide_case *t, unsigned brokers, const char *racks)
{
    *t = (struct decide_case){ .image = image_with_brokers(brokers, racks), .sequence = 1 };
    arena_init(&t->arena, 0);
    t->c = (struct controller){ .image = t->image, .node_id = 1, .n_voters = brokers,
                                .default_partitions = 4, .default_replication = 3 };
    for (unsigned i = 0; i < brokers; i++) {
        t->c.voters[i].id = (int32_t)i + 1;
    }
    prng_init(&t->c.prng, 1);
}

static inline void end(struct decide_case *t)
{
    decision_release(&t->d);
    arena_release(&t->arena);
    image_free(t->image);
}

/* Decides a request of a node in its first life. */
static inline enum decide_result decide_as(struct decide_case *t, int32_t node,
                                    enum meta_request_kind kind, const void *request)
{
    const struct command_id id = { .node = node, .incarnation = { { (uint8_t)node, 1 } },
                                   .sequence = t->sequence, .open = t->sequence };
    decision_release(&t->d);
    decision_init(&t->d, &t->arena, &id, meta_request_items(kind, request));
    return controller_decide(&t->c, kind, request, &t->d, &t->response);
}

/* Decides, applies, and puts the results into the response. */
static inline void decide_and_apply(struct decide_case *t, enum meta_request_kind kind,
                             const void *request)
{
    assert_int_equal(decide_as(t, 1, kind, request), DECIDE_DONE);
    if (t->d.n > 0) {
        apply_decision(t->image, &t->d);
    }
    for (size_t i = 0; i < t->d.n_items; i++) {
        struct apply_result result;
        struct command_id id = t->d.id;
        id.sequence += (int64_t)i;
        if (t->d.waits[i]) {
            assert_true(image_find_result(t->image, &id, &result));
            meta_response_settle(kind, t->response, i, result);
        }
    }
    t->sequence += (int64_t)t->d.n_items;
}

/* A leader of partition 0 of topic 1 changes its in-sync set; epochs are given relative to what
 * they are. */
static inline enum kafka_error change_isr(struct decide_case *t, int32_t sender,
                                          int32_t leader_epoch, int32_t partition_epoch,
                                          struct meta_change_isr_request_member *isr, int32_t n)
{
    const struct image_partition *p = image_partition(t->image, &(struct uuid){ { 1 } }, 0);
    struct meta_change_isr_request_partition partition = {
        .topic_id = { { 1 } }, .leader_epoch = p->leader_epoch + leader_epoch,
        .partition_epoch = p->epoch + partition_epoch, .isr = isr, .n_isr = n };
    const struct meta_change_isr_request request = {
        .epoch = image_broker(t->image, sender)->epoch, .partitions = &partition,
        .n_partitions = 1 };
    assert_int_equal(decide_as(t, sender, META_CHANGE_ISR, &request), DECIDE_DONE);
    if (t->d.n > 0) {
        apply_decision(t->image, &t->d);
    }
    t->sequence++;
    return (enum kafka_error)((struct meta_change_isr_response *)t->response)->partitions[0].error;
}

#endif
