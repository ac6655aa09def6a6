/* Replicas that move to other brokers (KIP-455).
 *
 * A move begins with the new replicas beside the old ones. When the new ones are in sync, which is
 * looked at whenever the leader changes the in-sync set (elector.c), those that are to go, go. A
 * new request for a partition that moves replaces the one before; null takes it back. All changes
 * of a request are one command. */
#include "controller.h"

static enum kafka_error check_move(const struct controller *c, bool allow_factor_change,
                                   const struct image_partition *now,
                                   const struct meta_reassign_request_partition *asked,
                                   const char **ret_message)
{
    int32_t n_now = now->n_replicas - now->n_adding;
    *ret_message = controller_check_replicas(c, asked->replicas, asked->n_replicas, -1);
    if (*ret_message != NULL) {
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    }
    if (!allow_factor_change && asked->n_replicas != n_now) {
        *ret_message = "The number of replicas would change, which the request does not allow";
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    return KAFKA_NONE;
}

static enum kafka_error move_one(struct controller *c, struct elector *e,
                                 const struct meta_reassign_request *request,
                                 const struct image_topic *topic,
                                 const struct meta_reassign_request_partition *asked,
                                 const char **ret_message)
{
    enum kafka_error error;
    if (topic == NULL || asked->partition < 0 || asked->partition >= topic->n_partitions) {
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (asked->n_replicas < 0) {
        error = elector_cancel_move(e, topic, asked->partition);
        *ret_message = error == KAFKA_INVALID_REPLICA_ASSIGNMENT
                           ? "None of the earlier replicas could lead: that would be an unclean "
                             "election"
                           : NULL;
        return error;
    }
    error = check_move(c, request->allow_factor_change, &topic->partitions[asked->partition],
                       asked, ret_message);
    if (error == KAFKA_NONE) {
        elector_reassign(e, topic, asked->partition, asked->replicas, asked->n_replicas);
    }
    return error;
}

static void move_topic(struct controller *c, struct elector *e,
                       const struct meta_reassign_request *request,
                       const struct meta_reassign_request_topic *asked, struct decision *d,
                       struct meta_reassign_response_topic *out)
{
    const struct image_topic *topic = image_topic(c->image, asked->name);
    out->name = asked->name;
    out->n_partitions = asked->n_partitions;
    out->partitions =
        arena_zalloc_array(d->arena, (size_t)asked->n_partitions, sizeof *out->partitions);
    for (int32_t i = 0; i < asked->n_partitions; i++) {
        const char *message = NULL;
        enum kafka_error error =
            move_one(c, e, request, topic, &asked->partitions[i], &message);
        message = error == KAFKA_NONE ? NULL : message ? message : kafka_error_text(error);
        out->partitions[i] = (struct meta_reassign_response_partition){
            .partition = asked->partitions[i].partition, .error = (int16_t)error,
            .message = text_of(message) };
    }
}

enum decide_result decide_reassign(struct controller *c, const void *in, struct decision *d,
                                   void *out)
{
    const struct meta_reassign_request *request = in;
    struct meta_reassign_response *r = out;
    struct elector e;
    bool repeats = decision_repeats(c, d, 0);
    controller_elector(c, d, &e);
    r->topics = arena_zalloc_array(d->arena, (size_t)request->n_topics, sizeof *r->topics);
    r->n_topics = request->n_topics;
    for (int32_t t = 0; t < request->n_topics; t++) {
        move_topic(c, &e, request, &request->topics[t], d, &r->topics[t]);
    }
    if (e.n > 0 && !repeats) {
        struct command_change_partitions command = elector_command(&e);
        decision_add(d, COMMAND_CHANGE_PARTITIONS, 0, &command);
        c->came_in_sync = true; /* there may be other preferred leaders now */
    }
    elector_release(&e);
    return DECIDE_DONE;
}
