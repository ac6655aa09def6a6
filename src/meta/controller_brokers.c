/* Brokers come, serve and go; log directories bring topics.
 *
 * Register: the first registrations form the cluster. All voters are waited for, so that a cluster
 * id that one of them brings in its log directories is taken over, and two different ones are
 * noticed; a majority is enough when the others do not come. A new life of a broker is let in when
 * its earlier one is fenced; that of the controller's own node at once.
 *
 * Report: a directory that the metadata does not know may bring topics. They are settled when every
 * voter has told what its unknown directories hold: for each partition, the replica with the
 * highest last epoch and durable end becomes its in-sync set. */
#include "controller.h"

#include "placement.h"
#include "topic_name.h"

#include <chronik/meta/features.h>

#include <stdio.h>

/* ---- forming the cluster ----------------------------------------------------------------------*/

static void hear(struct controller *c, int32_t node, struct text cluster_id)
{
    struct controller_hello *hello = NULL;
    for (unsigned i = 0; i < c->n_hellos; i++) {
        if (c->hellos[i].node == node) {
            hello = &c->hellos[i];
        }
    }
    if (hello == NULL && c->n_hellos < CONTROLLER_VOTERS_MAX) {
        hello = &c->hellos[c->n_hellos++];
        hello->node = node;
    }
    if (hello != NULL) {
        snprintf(hello->cluster_id, sizeof hello->cluster_id, "%.*s", TEXT_ARG(cluster_id));
    }
}

/* The cluster id that the directories bring; "" when none does; NULL when two differ. */
static const char *brought_cluster_id(const struct controller *c)
{
    const char *id = "";
    for (unsigned i = 0; i < c->n_hellos; i++) {
        const char *other = c->hellos[i].cluster_id;
        if (id[0] != '\0' && other[0] != '\0' && strcmp(id, other) != 0) {
            return NULL;
        }
        id = other[0] != '\0' ? other : id;
    }
    return id;
}

static void add_first_commands(struct controller *c, struct decision *d, const char *brought)
{
    char made[UUID_TEXT_LEN + 1];
    uint8_t random[16];
    prng_fill(&c->prng, random, sizeof random);
    struct uuid id = uuid_from_random(random);
    uuid_format(&id, made);
    const struct command_form_cluster form = {
        .cluster_id = arena_text(d->arena, text_of(brought[0] != '\0' ? brought : made))
    };
    struct command_set_features set = { .n_features = (int32_t)meta_feature_count };
    set.features = arena_zalloc_array(d->arena, meta_feature_count, sizeof *set.features);
    for (unsigned i = 0; i < meta_feature_count; i++) {
        set.features[i].name = text_of(meta_features[i].name);
        set.features[i].level = meta_features[i].max;
    }
    decision_add(d, COMMAND_FORM_CLUSTER, -1, &form);
    decision_add(d, COMMAND_SET_FEATURES, -1, &set);
}

/* Adds what forms the cluster; false when it must wait, or cannot be (the response says so). */
static bool form_cluster(struct controller *c, const struct meta_register_broker_request *request,
                         struct decision *d, struct meta_register_broker_response *r)
{
    hear(c, d->id.node, request->cluster_id);
    const char *brought = brought_cluster_id(c);
    if (brought == NULL) {
        REFUSE_ITEM(d, r, KAFKA_INCONSISTENT_CLUSTER_ID,
                    "the log directories of the nodes belong to different clusters (here: %.*s): "
                    "start this node with the data of the others' cluster, or with none",
                    TEXT_ARG(request->cluster_id));
        return false;
    }
    bool all = c->n_hellos >= c->n_voters;
    bool majority = c->n_hellos > c->n_voters / 2;
    if (!all && !(majority && c->impatient)) {
        return false;
    }
    add_first_commands(c, d, brought);
    return true;
}

/* ---- registering ------------------------------------------------------------------------------*/

/* Refuses a node that cannot be one of this cluster. */
static bool may_register(struct controller *c, const struct meta_register_broker_request *request,
                         struct decision *d, struct meta_register_broker_response *r)
{
    const char *cluster_id = image_cluster_id(c->image);
    const struct image_broker *b = image_broker(c->image, d->id.node);
    if (cluster_id[0] != '\0' && request->cluster_id.len > 0 &&
        !text_is(request->cluster_id, cluster_id)) {
        REFUSE_ITEM(d, r, KAFKA_INCONSISTENT_CLUSTER_ID,
                    "the log directories belong to cluster %.*s, and this is cluster %s: start the "
                    "node with other directories, or with empty ones",
                    TEXT_ARG(request->cluster_id), cluster_id);
        return false;
    }
    if (b != NULL && !uuid_equal(&b->raft_directory, &request->raft_directory)) {
        REFUSE_ITEM(
            d, r, KAFKA_INVALID_REGISTRATION,
            "node %d has lost its Raft directory, and with it what it promised: it must not "
            "vote. Give it back the directory, or add the node under a new id",
            (int)d->id.node);
        return false;
    }
    return true;
}

/* Does another life of this node hold its place? It is fenced as soon as it is known to be over. */
static bool place_is_taken(const struct controller *c, const struct decision *d)
{
    const struct image_broker *b = image_broker(c->image, d->id.node);
    return b != NULL && !b->fenced;
}

static void leave_partitions(struct controller *c,
                             const struct meta_register_broker_request *request, struct decision *d)
{
    const struct image_broker *b = image_broker(c->image, d->id.node);
    struct elector e;
    if (b == NULL) {
        return;
    }
    bool proven = true;
    for (unsigned i = 0; i < b->n_directories; i++) {
        bool there = false;
        for (int32_t k = 0; k < request->n_directories; k++) {
            there = there || uuid_equal(&b->directories[i].id, &request->directories[k]);
        }
        proven = proven && there;
    }
    controller_elector(c, d, &e);
    elector_restart(&e, b->id, request->previous_epoch == b->epoch, proven && !request->damaged);
    controller_add_changes(c, d, &e);
}

static void add_registration(const struct meta_register_broker_request *request, struct decision *d)
{
    struct command_register_broker_endpoint *endpoints =
        arena_zalloc_array(d->arena, (size_t)request->n_endpoints, sizeof *endpoints);
    for (int32_t i = 0; i < request->n_endpoints; i++) {
        const struct meta_register_broker_request_endpoint *from = &request->endpoints[i];
        endpoints[i] = (struct command_register_broker_endpoint){ .listener = from->listener,
                                                                  .host = from->host,
                                                                  .port = from->port,
                                                                  .security = from->security };
    }
    const struct command_register_broker command = { .id = d->id.node,
                                                     .incarnation = request->incarnation,
                                                     .raft_directory = request->raft_directory,
                                                     .rack = request->rack,
                                                     .endpoints = endpoints,
                                                     .n_endpoints = request->n_endpoints,
                                                     .directories = request->directories,
                                                     .n_directories = request->n_directories };
    decision_add(d, COMMAND_REGISTER_BROKER, 0, &command);
}

enum decide_result decide_register_broker(struct controller *c, const void *in, struct decision *d,
                                          void *out)
{
    const struct meta_register_broker_request *request = in;
    struct meta_register_broker_response *r = out;
    const struct image_broker *b = image_broker(c->image, d->id.node);
    if (!may_register(c, request, d, r)) {
        return DECIDE_DONE;
    }
    if (b != NULL && uuid_equal(&b->incarnation, &request->incarnation)) {
        r->epoch = b->epoch; /* a second copy of the request */
        return DECIDE_DONE;
    }
    if (place_is_taken(c, d)) {
        return DECIDE_LATER;
    }
    if (image_cluster_id(c->image)[0] == '\0' && !form_cluster(c, request, d, r)) {
        return r->error != KAFKA_NONE ? DECIDE_DONE : DECIDE_LATER;
    }
    leave_partitions(c, request, d);
    add_registration(request, d);
    return DECIDE_DONE;
}

/* ---- serving and stopping ---------------------------------------------------------------------*/

enum decide_result decide_broker_state(struct controller *c, const void *in, struct decision *d,
                                       void *out)
{
    const struct meta_broker_state_request *request = in;
    struct meta_broker_state_response *r = out;
    const struct image_broker *b = image_broker(c->image, d->id.node);
    if (!controller_epoch_is(c, d, request->epoch)) {
        REFUSE_ITEM(d, r, KAFKA_STALE_BROKER_EPOCH, "the broker has been registered anew");
        return DECIDE_DONE;
    }
    if (decision_repeats(c, d, 0) ||
        (b->fenced == request->fenced && b->stopping == request->stopping)) {
        return DECIDE_DONE;
    }
    const struct command_set_broker_state command = {
        .id = b->id, .epoch = b->epoch, .fenced = request->fenced, .stopping = request->stopping
    };
    struct elector e;
    if (request->n_ends > 0) {
        controller_note_ends(c, b->id, request);
    }
    controller_elector(c, d, &e);
    if (request->fenced) {
        elector_take_down(&e, b->id);
        elector_fence(&e);
        controller_add_changes(c, d, &e);
        decision_add(d, COMMAND_SET_BROKER_STATE, 0, &command);
    } else {
        decision_add(d, COMMAND_SET_BROKER_STATE, 0, &command);
        if (request->stopping) {
            elector_stop(&e, b->id);
        } else {
            elector_unfence(&e, b->id);
        }
        controller_add_changes(c, d, &e);
    }
    return DECIDE_DONE;
}

/* ---- directories that bring topics ------------------------------------------------------------*/

static bool has_reported(const struct controller *c, int32_t node, const struct uuid *directory)
{
    for (size_t i = 0; i < c->n_reports; i++) {
        if (c->reports[i].node == node &&
            uuid_equal(&c->reports[i].request->directory, directory)) {
            return true;
        }
    }
    return false;
}

/* Has every voter told what its unknown directories hold? */
static bool all_have_reported(const struct controller *c)
{
    for (unsigned v = 0; v < c->n_voters; v++) {
        const struct image_broker *b = image_broker(c->image, c->voters[v].id);
        if (b == NULL) {
            return false;
        }
        for (unsigned i = 0; i < b->n_directories; i++) {
            if (!b->directories[i].known && !has_reported(c, b->id, &b->directories[i].id)) {
                return false;
            }
        }
    }
    return true;
}

/* What all reports together say of one partition. */
struct holders {
    int32_t ids[IMAGE_REPLICAS_MAX]; /* the best one first */
    struct uuid directories[IMAGE_REPLICAS_MAX];
    unsigned n;
    int32_t last_epoch;
    int64_t end_offset;
};

static bool is_better(const struct meta_report_directory_request_log *log, const struct holders *h)
{
    return h->n == 0 || log->last_epoch > h->last_epoch ||
           (log->last_epoch == h->last_epoch && log->end_offset > h->end_offset);
}

static void add_holder(struct holders *h, int32_t node, const struct uuid *directory,
                       const struct meta_report_directory_request_log *log)
{
    if (h->n == IMAGE_REPLICAS_MAX || image_has(h->ids, h->n, node)) {
        return;
    }
    unsigned at = h->n++;
    if (is_better(log, &(struct holders){
                           .n = at, .last_epoch = h->last_epoch, .end_offset = h->end_offset })) {
        h->ids[at] = h->ids[0];
        h->directories[at] = h->directories[0];
        at = 0;
        h->last_epoch = log->last_epoch;
        h->end_offset = log->end_offset;
    }
    h->ids[at] = node;
    h->directories[at] = *directory;
}

/* A topic in a report, NULL when it is not there; `hint` is where it may be. */
static const struct meta_report_directory_request_topic *
find_reported(const struct meta_report_directory_request *request, const struct uuid *topic_id,
              int32_t hint)
{
    if (hint < request->n_topics && uuid_equal(&request->topics[hint].id, topic_id)) {
        return &request->topics[hint];
    }
    for (int32_t t = 0; t < request->n_topics; t++) {
        if (uuid_equal(&request->topics[t].id, topic_id)) {
            return &request->topics[t];
        }
    }
    return NULL;
}

/* Calls `visit` for every log that was reported for a topic. */
static void each_log(const struct controller *c, const struct uuid *topic_id, int32_t hint,
                     void (*visit)(void *arg, const struct controller_report *report,
                                   const struct meta_report_directory_request_log *log),
                     void *arg)
{
    for (size_t i = 0; i < c->n_reports; i++) {
        const struct meta_report_directory_request_topic *topic =
            find_reported(c->reports[i].request, topic_id, hint);
        for (int32_t k = 0; topic != NULL && k < topic->n_logs; k++) {
            visit(arg, &c->reports[i], &topic->logs[k]);
        }
    }
}

struct adoption {
    struct holders *partitions;
    int32_t n;
};

static void count_partition(void *arg, const struct controller_report *report,
                            const struct meta_report_directory_request_log *log)
{
    struct adoption *a = arg;
    (void)report;
    if (log->partition >= a->n && log->partition < IMAGE_PARTITIONS_MAX) {
        a->n = log->partition + 1;
    }
}

static void note_holder(void *arg, const struct controller_report *report,
                        const struct meta_report_directory_request_log *log)
{
    struct adoption *a = arg;
    if (log->partition >= 0 && log->partition < a->n) {
        add_holder(&a->partitions[log->partition], report->node, &report->request->directory, log);
    }
}

/* The best holder is in sync; the others, and as many more as the replication asks for, follow. */
static struct command_create_partitions_partition adopted_partition(struct controller *c,
                                                                    struct decision *d,
                                                                    struct placement *placement,
                                                                    struct holders *h)
{
    unsigned wanted = (unsigned)max_i64(
        min_i64(c->default_replication, (int64_t)image_broker_count(c->image)), 1);
    int32_t isr = h->n > 0 ? h->ids[0] : -1;
    unsigned n = h->n > wanted ? h->n : wanted;
    placement_extend(placement, h->n, n, h->ids);
    isr = isr < 0 ? h->ids[0] : isr;
    struct uuid *directories = NULL;
    if (h->n > 0) {
        directories = arena_zalloc_array(d->arena, n, sizeof *directories);
        memcpy(directories, h->directories, h->n * sizeof *directories);
    }
    bool leads = broker_usable(c->image, isr);
    return (struct command_create_partitions_partition){
        .leader = leads ? isr : -1,
        .leader_epoch = (int32_t)max_i64(h->last_epoch, 0),
        .replicas = arena_dup(d->arena, h->ids, n * sizeof h->ids[0]),
        .n_replicas = (int32_t)n,
        .isr = arena_dup(d->arena, &isr, sizeof isr),
        .n_isr = 1,
        .directories = directories,
        .n_directories = directories ? (int32_t)n : -1
    };
}

static void adopt(struct controller *c, struct decision *d, struct placement *placement, int item,
                  const struct meta_report_directory_request_topic *topic)
{
    struct adoption a = { .n = 0 };
    each_log(c, &topic->id, item, count_partition, &a);
    a.n = a.n > 0 ? a.n : 1;
    a.partitions = arena_zalloc_array(d->arena, (size_t)a.n, sizeof *a.partitions);
    each_log(c, &topic->id, item, note_holder, &a);
    struct command_create_partitions_partition *partitions =
        arena_zalloc_array(d->arena, (size_t)a.n, sizeof *partitions);
    for (int32_t i = 0; i < a.n; i++) {
        partitions[i] = adopted_partition(c, d, placement, &a.partitions[i]);
    }
    struct command_create_partitions_made made = {
        .name = topic->name,
        .adopted = true,
        .internal = image_name_is_internal(topic->name)
    };
    const struct command_create_partitions command = {
        .topic_id = topic->id, .made = &made, .partitions = partitions, .n_partitions = a.n
    };
    decision_add(d, COMMAND_CREATE_PARTITIONS, item, &command);
}

static void refuse_topic(struct meta_report_directory_response *r,
                         const struct meta_report_directory_request_topic *topic,
                         enum kafka_error error, struct text message)
{
    r->topics[r->n_topics++] = (struct meta_report_directory_response_topic){
        .id = topic->id, .name = topic->name, .error = (int16_t)error, .message = message
    };
}

static void settle_topic(struct controller *c, struct decision *d, struct placement *placement,
                         int item, const struct meta_report_directory_request_topic *topic,
                         struct meta_report_directory_response *r)
{
    struct text message;
    if (image_topic_by_id(c->image, &topic->id) != NULL) {
        return; /* settled with another directory, or in a first copy of this request */
    }
    if (image_topic(c->image, topic->name) != NULL) {
        refuse_topic(r, topic, KAFKA_TOPIC_ALREADY_EXISTS,
                     text_of("another topic has this name: delete it, or keep this one's files for "
                             "another cluster"));
        return;
    }
    if (topic_name_check(topic->name, NULL, d->arena, &message) != KAFKA_NONE) {
        refuse_topic(r, topic, KAFKA_INVALID_TOPIC_EXCEPTION, message);
        return;
    }
    adopt(c, d, placement, item, topic);
}

enum decide_result decide_report_directory(struct controller *c, const void *in, struct decision *d,
                                           void *out)
{
    const struct meta_report_directory_request *request = in;
    struct meta_report_directory_response *r = out;
    const struct image_broker *b = image_broker(c->image, d->id.node);
    if (!controller_epoch_is(c, d, request->epoch)) {
        REFUSE_ITEM(d, r, KAFKA_STALE_BROKER_EPOCH, "the broker has been registered anew");
        return DECIDE_DONE;
    }
    const struct image_directory *directory = image_directory(b, &request->directory);
    if (directory == NULL) {
        REFUSE_ITEM(d, r, KAFKA_LOG_DIR_NOT_FOUND,
                    "the broker has not been registered with this directory");
        return DECIDE_DONE;
    }
    if (directory->known) {
        decision_repeats(c, d, d->n_items - 1);
        return DECIDE_DONE;
    }
    if (!all_have_reported(c)) {
        return DECIDE_LATER;
    }
    struct placement placement;
    placement_init(&placement, c->image, &c->prng, d->arena);
    r->topics = arena_zalloc_array(d->arena, (size_t)request->n_topics, sizeof *r->topics);
    for (int32_t i = 0; i < request->n_topics; i++) {
        settle_topic(c, d, &placement, i, &request->topics[i], r);
    }
    const struct command_settle_directory settle = { .broker = b->id,
                                                     .epoch = b->epoch,
                                                     .directory = request->directory };
    decision_add(d, COMMAND_SETTLE_DIRECTORY, (int)d->n_items - 1, &settle);
    return DECIDE_DONE;
}
