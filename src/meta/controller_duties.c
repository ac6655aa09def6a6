/* What the controller does without being asked.
 *
 * Duties are looked at before requests, whenever something has changed that may call for one. Each
 * is decided like a request: on the image as it is, into commands for one Raft entry. One that was
 * not applied is simply found again.
 *
 *   fencing   brokers whose life is over lose their places in in-sync sets and what they led: all
 *             of them, and all their partitions, in one entry */
#include "controller.h"

#include "elector.h"

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
    decision_add_changes(d, &e);
    elector_release(&e);
    for (size_t i = 0; i < image_broker_count(c->image); i++) {
        const struct image_broker *b = image_broker_at(c->image, i);
        const struct command_set_broker_state command = { .id = b->id, .epoch = b->epoch,
                                                          .fenced = true };
        if (!b->fenced && controller_misses(c, b)) {
            decision_add(d, COMMAND_SET_BROKER_STATE, -1, &command);
        }
    }
}

/* ---- the table --------------------------------------------------------------------------------*/

static void (*const DUTIES[])(struct controller *c, struct decision *d) = {
    fence_the_missing,
};

void controller_decide_duty(struct controller *c, struct decision *d)
{
    for (size_t i = 0; i < countof(DUTIES) && d->n == 0; i++) {
        DUTIES[i](c, d);
    }
}
