/* What the controller does without being asked.
 *
 * Duties are looked at before requests, whenever something has changed that may call for one. Each
 * is decided like a request: on the image as it is, into commands for one Raft entry. One that was
 * not applied is simply found again.
 *
 *   fencing   brokers whose life is over lose their places in in-sync sets and what they led: all
 *             of them, and all their partitions, in one entry
 *   electing  where an election waited for others that may come (rule 17 b)
 *   balance   leadership goes back to the preferred replicas that are in sync: some at a time, so
 *             that requests are not held up */
#include "controller.h"

/* ---- fencing ----------------------------------------------------------------------------------*/

static void fence_the_missing(struct controller *c, struct decision *d)
{
    struct elector e;
    size_t n = 0;
    for (size_t i = 0; i < image_broker_count(c->image); i++) {
        const struct image_broker *b = image_broker_at(c->image, i);
        n += !b->fenced && controller_misses(c, b);
    }
    if (n == 0) {
        return;
    }
    controller_elector(c, d, &e);
    elector_fence(&e);
    controller_add_changes(c, d, &e);
    for (size_t i = 0; i < image_broker_count(c->image); i++) {
        const struct image_broker *b = image_broker_at(c->image, i);
        const struct command_set_broker_state command = { .id = b->id, .epoch = b->epoch,
                                                          .fenced = true };
        if (!b->fenced && controller_misses(c, b)) {
            decision_add(d, COMMAND_SET_BROKER_STATE, -1, &command);
        }
    }
}

/* ---- electing ---------------------------------------------------------------------------------*/

static void elect_the_leaderless(struct controller *c, struct decision *d)
{
    struct elector e;
    if (!c->elects) {
        return;
    }
    controller_elector(c, d, &e);
    elector_elect_leaderless(&e);
    c->elects = c->hurried = false;
    controller_add_changes(c, d, &e); /* it waits again, if one has to */
}

/* ---- balance ----------------------------------------------------------------------------------*/

static void balance_leaders(struct controller *c, struct decision *d)
{
    enum { CHANGES_MAX = 1000 };
    struct config_layers layers = controller_layers(c);
    struct elector e;
    if (!c->balances || !config_bool(&layers, "auto.leader.rebalance.enable")) {
        return;
    }
    controller_elector(c, d, &e);
    elector_balance(&e, CHANGES_MAX);
    c->balances = e.n == CHANGES_MAX;
    controller_add_changes(c, d, &e);
}

/* ---- the table --------------------------------------------------------------------------------*/

static void (*const DUTIES[])(struct controller *c, struct decision *d) = {
    fence_the_missing,
    elect_the_leaderless,
    balance_leaders,
};

void controller_decide_duty(struct controller *c, struct decision *d)
{
    for (size_t i = 0; i < countof(DUTIES) && d->n == 0; i++) {
        DUTIES[i](c, d);
    }
}
