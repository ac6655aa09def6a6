/* The broker's place in the cluster, while it serves.
 *
 * The controller fences a broker that it does not hear, and others lead from then on. A broker that
 * finds itself fenced in the metadata that it has applied asks to be let in again: it has caught up
 * that far. Two things make it step back by itself:
 *
 *   no controller was heard for a session   it may be fenced and cannot know
 *   the journal's write does not return     it acknowledges nothing, and holds up whoever waits for
 *                                           it: it asks to be fenced, and to be let in again when
 *                                           the disk goes on
 *
 * Meanwhile producers are sent elsewhere; reads go on. Those that wait for what was appended before
 * wait on: "not the leader" would tell them that it is not written.
 *
 * A process that stood still (SIGSTOP, a machine that was suspended) cannot know that before it
 * serves the requests that have queued up. So it holds a lease on what it believes, and renews it
 * every third of a session: who asks for what it does not have gets the benefit of the doubt when
 * the lease has run out, and for two sessions more (replicas_trust()). */
#include "broker.h"

#include <inttypes.h>

enum { ASK_AGAIN_S = 5 };

static uint64_t session_ns(const struct broker *broker)
{
    struct config_layers layers = options_layers(broker->options);
    return (uint64_t)config_number(&layers, "broker.session.timeout.ms") * NS_PER_MS;
}

static void step_back_or_forward(struct broker *broker)
{
    replicas_suspend(&broker->replicas, broker->lost || broker->hangs);
}

/* ---- asking ----------------------------------------------------------------------------------*/

static void ask(struct broker *broker);

static void answered(void *arg, enum kafka_error error, const void *response)
{
    struct broker *broker = arg;
    const struct meta_broker_state_response *answer = response;
    broker->asking = NULL;
    if (error == KAFKA_NONE && answer->error == KAFKA_STALE_BROKER_EPOCH) {
        diag_error(broker->diag, DIAG_BROKER,
                   "another process was registered with this node's id; stop one of the two");
        broker_fail(broker, EXIT_FATAL);
    } else {
        ask(broker); /* if it is still, or again, not as it should be */
    }
}

/* Asks for what should be, unless it is so, or was asked for. */
static void ask(struct broker *broker)
{
    const struct image_broker *self = image_broker(meta_image(broker->meta), broker->node_id);
    if (broker->state != BROKER_SERVING || broker->asking != NULL || self == NULL ||
        !uuid_equal(&self->incarnation, &broker->incarnation) || self->fenced == broker->hangs) {
        return;
    }
    const struct meta_broker_state_request request = { .epoch = self->epoch,
                                                       .fenced = broker->hangs };
    diag_info(broker->diag, DIAG_BROKER,
              broker->hangs ? "asking to be fenced: the disk hangs epoch=%" PRId64
                            : "asking to be let in again epoch=%" PRId64,
              self->epoch);
    broker->asking =
        meta_broker_state(broker->meta, &request,
                          loop_now_ns(broker->loop) + ASK_AGAIN_S * NS_PER_S, answered, broker);
}

void presence_changed(struct broker *broker, const struct image_broker *changed)
{
    if (changed->id == broker->node_id) {
        ask(broker);
    }
}

/* ---- stepping back, and doubts ---------------------------------------------------------------*/

static void doubt(struct broker *broker)
{
    broker->doubt_until_ns = loop_now_ns(broker->loop) + 2 * session_ns(broker);
    replicas_trust(&broker->replicas, 0);
}

void presence_contact(struct broker *broker, bool lost)
{
    broker->lost = lost;
    doubt(broker);
    if (broker->state == BROKER_SERVING) {
        diag_warn(broker->diag, DIAG_BROKER,
                  lost ? "no controller was heard for a session: producers are sent elsewhere"
                       : "a controller is heard again");
    }
    step_back_or_forward(broker);
}

/* The metadata lies on the same disk, in general: another node is to be the controller, too. */
static void watch_disk(struct broker *broker)
{
    bool hangs = store_write_pending_ns(broker->store) > session_ns(broker);
    if (hangs != broker->hangs) {
        broker->hangs = hangs;
        diag_warn(broker->diag, DIAG_BROKER,
                  hangs ? "the journal's write does not return: producers are sent elsewhere"
                        : "the disk goes on");
        step_back_or_forward(broker);
        ask(broker);
    }
    if (hangs) {
        meta_resign(broker->meta);
    }
}

/* Three times a session. What was under way when the process stood still may be done by now. */
static void look(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, presence);
    uint64_t session = session_ns(broker), now = loop_now_ns(broker->loop);
    if (now - broker->looked_ns > session) {
        doubt(broker);
    } else {
        watch_disk(broker);
    }
    if (!broker->lost && now >= broker->doubt_until_ns) {
        replicas_trust(&broker->replicas, now + session * 2 / 3);
    }
    broker->looked_ns = now;
    timer_set_in(timer, session / 3);
}

void presence_init(struct broker *broker)
{
    timer_init(&broker->presence, broker->loop, look);
}

void presence_start(struct broker *broker)
{
    if (broker->peers != NULL) { /* alone, nobody could take over */
        broker->looked_ns = loop_now_ns(broker->loop);
        look(&broker->presence);
        ask(broker);
    }
}

void presence_stop(struct broker *broker)
{
    timer_cancel(&broker->presence);
    if (broker->asking != NULL) {
        meta_cancel(broker->meta, broker->asking);
        broker->asking = NULL;
    }
}
