/* Topics: created, deleted, given more partitions.
 *
 * The order of the checks, and the errors, are Apache Kafka's, so that clients' retries and
 * messages fit. Source: Kafka documentation, "CreateTopics"; KIP-464 (defaults with -1), KIP-516
 * (ids). */
#include "controller.h"

#include "placement.h"
#include "topic_name.h"

enum { PARTITIONS_PER_REQUEST_MAX = 10000 };

/* ---- what both ways of making partitions share ------------------------------------------------*/

/* Those of the replicas that serve now, in order. */
static int32_t *in_sync(const struct controller *c, struct arena *arena, const int32_t *replicas,
                        int32_t n, int32_t *ret_n)
{
    int32_t *isr = arena_zalloc_array(arena, (size_t)n, sizeof *isr);
    *ret_n = 0;
    for (int32_t i = 0; i < n; i++) {
        if (broker_usable(c->image, replicas[i])) {
            isr[(*ret_n)++] = replicas[i];
        }
    }
    return isr;
}

static void fill(const struct controller *c, struct arena *arena, const int32_t *replicas,
                 int32_t n, struct command_create_partitions_partition *to)
{
    *to = (struct command_create_partitions_partition){ .n_directories = -1, .n_replicas = n };
    to->replicas = arena_dup(arena, replicas, (size_t)n * sizeof *replicas);
    to->isr = in_sync(c, arena, replicas, n, &to->n_isr);
    to->leader = to->n_isr > 0 ? to->isr[0] : -1;
}

/* Places `n` partitions of `replication` replicas; NULL when it cannot be done. */
static struct command_create_partitions_partition *place(const struct controller *c,
                                                         struct decision *d,
                                                         struct placement *placement, int32_t n,
                                                         int32_t replication)
{
    int32_t ids[IMAGE_REPLICAS_MAX];
    struct command_create_partitions_partition *partitions =
        arena_zalloc_array(d->arena, (size_t)n, sizeof *partitions);
    for (int32_t i = 0; i < n; i++) {
        if (!placement_choose(placement, (unsigned)replication, ids)) {
            return NULL;
        }
        fill(c, d->arena, ids, replication, &partitions[i]);
    }
    return partitions;
}

const char *controller_check_replicas(const struct controller *c, const int32_t *ids, int32_t n,
                                      int32_t n_expected)
{
    bool serves = false;
    if (n <= 0 || n > IMAGE_REPLICAS_MAX) {
        return "The manual partition assignment includes an empty replica list, or too many";
    }
    if (n_expected >= 0 && n != n_expected) {
        return "The manual partition assignment has partitions with different numbers of replicas";
    }
    for (int32_t i = 0; i < n; i++) {
        if (image_has(ids, (unsigned)i, ids[i])) {
            return "The manual partition assignment names a broker twice for one partition";
        }
        if (image_broker(c->image, ids[i]) == NULL) {
            return "The manual partition assignment names a broker that is not registered";
        }
        serves = serves || broker_usable(c->image, ids[i]);
    }
    return serves ? NULL
                  : "All brokers of a partition's manual assignment are fenced or shutting down";
}

/* May a request have so many more partitions? Those that it may are counted. */
static bool has_room(const struct controller *c, struct decision *d, int64_t n)
{
    int64_t all = d->n_partitions + n;
    if (all > PARTITIONS_PER_REQUEST_MAX ||
        all > IMAGE_PARTITIONS_MAX - (int64_t)image_partition_count(c->image)) {
        return false;
    }
    d->n_partitions = all;
    return true;
}

static const char TOO_MANY[] = "Too many partitions: a request may create 10000, a cluster may "
                               "have 200000";

/* ---- creating ---------------------------------------------------------------------------------*/

static struct command_create_partitions_partition *
manual(struct controller *c, struct decision *d,
       const struct meta_create_topics_request_topic *topic,
       struct meta_create_topics_response_topic *out)
{
    int32_t n = topic->n_assignments, width = -1;
    struct command_create_partitions_partition *partitions =
        arena_zalloc_array(d->arena, (size_t)n, sizeof *partitions);
    if (topic->replication != -1 || topic->partitions != -1) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST,
                    "A manual partition assignment was specified, but %s was not set to -1",
                    topic->replication != -1 ? "replication factor" : "the number of partitions");
        return NULL;
    }
    if (!has_room(c, d, n)) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_PARTITIONS, "%s", TOO_MANY);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        const struct meta_create_topics_request_assignment *a = &topic->assignments[i];
        const char *wrong = controller_check_replicas(c, a->replicas, a->n_replicas, width);
        if (a->partition < 0 || a->partition >= n || partitions[a->partition].n_replicas > 0) {
            wrong = "The partitions of a manual assignment must be numbered from 0, without gaps";
        }
        if (wrong != NULL) {
            REFUSE_ITEM(d, out, KAFKA_INVALID_REPLICA_ASSIGNMENT, "%s", wrong);
            return NULL;
        }
        width = a->n_replicas;
        fill(c, d->arena, a->replicas, a->n_replicas, &partitions[a->partition]);
    }
    out->partitions = n;
    out->replication = (int16_t)width;
    return partitions;
}

static struct command_create_partitions_partition *
automatic(struct controller *c, struct decision *d, struct placement *placement,
          const struct meta_create_topics_request_topic *topic,
          struct meta_create_topics_response_topic *out)
{
    int32_t n = topic->partitions == -1 ? c->default_partitions : topic->partitions;
    int32_t brokers = (int32_t)image_broker_count(c->image);
    int32_t replication = topic->replication == -1
                              ? (int32_t)min_i64(c->default_replication, brokers)
                              : topic->replication;
    if (topic->replication != -1 && topic->replication <= 0) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REPLICATION_FACTOR,
                    "Replication factor must be larger than 0, or -1 to use the default value");
        return NULL;
    }
    if (n <= 0) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_PARTITIONS,
                    "Number of partitions must be larger than 0, or -1 to use the default value");
        return NULL;
    }
    if (!has_room(c, d, n)) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_PARTITIONS, "%s", TOO_MANY);
        return NULL;
    }
    struct command_create_partitions_partition *partitions = place(c, d, placement, n, replication);
    if (partitions == NULL) {
        REFUSE_ITEM(
            d, out, KAFKA_INVALID_REPLICATION_FACTOR,
            "Unable to replicate the partition %d time(s): %d broker(s) are registered, %zu "
            "of them can take it",
            (int)replication, (int)brokers, placement->n_usable);
        return NULL;
    }
    out->partitions = n;
    out->replication = (int16_t)replication;
    return partitions;
}

/* The topic's settings, checked. */
static bool creation_configs(struct controller *c, struct decision *d,
                             const struct meta_create_topics_request_topic *topic,
                             struct command_create_partitions_made *made,
                             struct meta_create_topics_response_topic *out)
{
    struct config_layers layers = controller_layers(c);
    const struct config_target target = { .scope = CONFIG_TOPIC, .below = &layers };
    struct config_op *ops = arena_zalloc_array(d->arena, (size_t)topic->n_configs, sizeof *ops);
    struct config_changes changes;
    struct text message;
    for (int32_t i = 0; i < topic->n_configs; i++) {
        ops[i] = (struct config_op){ .kind = CONFIG_SET,
                                     .name = topic->configs[i].name,
                                     .value = topic->configs[i].value };
    }
    enum kafka_error error =
        config_replace(&target, ops, (size_t)topic->n_configs, d->arena, &changes, &message);
    if (error != KAFKA_NONE) {
        out->error = (int16_t)error;
        out->message = message;
        return false;
    }
    made->configs = arena_zalloc_array(d->arena, changes.n, sizeof *made->configs);
    for (size_t i = 0; i < changes.n; i++) {
        made->configs[made->n_configs++] =
            (struct command_create_partitions_config){ .name = changes.items[i].name,
                                                       .value = changes.items[i].value };
    }
    return true;
}

/* What all topics of a request share. */
struct creation {
    struct controller *c;
    struct decision *d;
    const struct meta_create_topics_request *request;
    struct placement placement;
    struct metric_names taken;
    bool *repeated; /* of each topic: its name comes more than once */
};

static bool name_is_free(struct creation *k, int32_t item,
                         struct meta_create_topics_response_topic *out)
{
    struct text name = k->request->topics[item].name, message;
    struct decision *d = k->d;
    if (k->repeated[item]) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        return false;
    }
    if (text_is(name, "__cluster_metadata")) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST,
                    "Creation of internal topic __cluster_metadata is prohibited.");
        return false;
    }
    if (image_topic(k->c->image, name) != NULL) {
        REFUSE_ITEM(d, out, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
                    TEXT_ARG(name));
        return false;
    }
    if (topic_name_check(name, &k->taken, d->arena, &message) != KAFKA_NONE) {
        out->error = KAFKA_INVALID_TOPIC_EXCEPTION;
        out->message = message;
        return false;
    }
    return true;
}

static void create_topic(struct creation *k, int32_t item,
                         struct meta_create_topics_response_topic *out)
{
    const struct meta_create_topics_request_topic *topic = &k->request->topics[item];
    struct command_create_partitions_made made = {
        .name = topic->name,
        .internal = topic->internal || image_name_is_internal(topic->name),
    };
    uint8_t random[16];
    if (!name_is_free(k, item, out) || !creation_configs(k->c, k->d, topic, &made, out)) {
        return;
    }
    struct command_create_partitions_partition *partitions =
        topic->n_assignments > 0 ? manual(k->c, k->d, topic, out)
                                 : automatic(k->c, k->d, &k->placement, topic, out);
    if (partitions == NULL || k->request->validate_only) {
        return;
    }
    prng_fill(&k->c->prng, random, sizeof random);
    out->id = uuid_from_random(random);
    const struct command_create_partitions command = { .topic_id = out->id,
                                                       .made = &made,
                                                       .partitions = partitions,
                                                       .n_partitions = out->partitions };
    decision_add(k->d, COMMAND_CREATE_PARTITIONS, item, &command);
}

/* What a first copy of the request has made. */
static void describe(const struct controller *c, struct text name,
                     struct meta_create_topics_response_topic *out)
{
    const struct image_topic *topic = image_topic(c->image, name);
    if (topic != NULL) {
        out->id = topic->id;
        out->partitions = topic->n_partitions;
        out->replication = topic->partitions[0].n_replicas;
    }
}

enum decide_result decide_create_topics(struct controller *c, const void *in, struct decision *d,
                                        void *out)
{
    const struct meta_create_topics_request *request = in;
    struct meta_create_topics_response *r = out;
    size_t n = (size_t)request->n_topics;
    struct creation k = { .c = c, .d = d, .request = request,
                          .taken = { .image = c->image, .arena = d->arena } };
    struct text *names = arena_zalloc_array(d->arena, n, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        names[i] = request->topics[i].name;
    }
    k.repeated = find_repeated(d->arena, names, n);
    placement_init(&k.placement, c->image, &c->prng, d->arena);
    r->topics = arena_zalloc_array(d->arena, n, sizeof *r->topics);
    r->n_topics = request->n_topics;
    for (int32_t i = 0; i < request->n_topics; i++) {
        r->topics[i].name = names[i];
        if (decision_repeats(c, d, (size_t)i)) {
            describe(c, names[i], &r->topics[i]);
        } else {
            create_topic(&k, i, &r->topics[i]);
        }
    }
    return DECIDE_DONE;
}

/* ---- deleting ---------------------------------------------------------------------------------*/

static const struct image_topic *topic_meant(const struct controller *c,
                                             const struct meta_delete_topics_request_topic *topic)
{
    return uuid_is_zero(&topic->id) ? image_topic(c->image, topic->name)
                                    : image_topic_by_id(c->image, &topic->id);
}

static void delete_topic(struct controller *c, struct decision *d,
                         const struct meta_delete_topics_request *request, int32_t item,
                         bool repeated, struct meta_delete_topics_response_topic *out)
{
    const struct meta_delete_topics_request_topic *topic = &request->topics[item];
    bool by_id = !uuid_is_zero(&topic->id);
    if (by_id == (topic->name.data != NULL)) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST,
                    by_id ? "You may not specify both topic name and topic id."
                          : "Neither topic name nor id were specified.");
        return;
    }
    const struct image_topic *found = topic_meant(c, topic);
    if (found == NULL) {
        REFUSE_ITEM(d, out, by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                    "This server does not host this topic.");
        return;
    }
    if (repeated) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "Duplicate topic %s.", by_id ? "id" : "name");
        return;
    }
    out->id = found->id;
    out->name = arena_text(d->arena, text_of(found->name));
    const struct command_delete_topic command = { .topic_id = found->id };
    decision_add(d, COMMAND_DELETE_TOPIC, item, &command);
}

/* Which topics are meant by more than one item, by name or id? */
static bool *find_meant_twice(struct controller *c, struct decision *d,
                              const struct meta_delete_topics_request *request)
{
    struct text *names = arena_zalloc_array(d->arena, (size_t)request->n_topics, sizeof *names);
    for (int32_t i = 0; i < request->n_topics; i++) {
        const struct image_topic *topic = topic_meant(c, &request->topics[i]);
        names[i] = topic ? text_of(topic->name) : TEXT_NULL;
    }
    return find_repeated(d->arena, names, (size_t)request->n_topics);
}

enum decide_result decide_delete_topics(struct controller *c, const void *in, struct decision *d,
                                        void *out)
{
    const struct meta_delete_topics_request *request = in;
    struct meta_delete_topics_response *r = out;
    bool *repeated = find_meant_twice(c, d, request);
    r->topics = arena_zalloc_array(d->arena, (size_t)request->n_topics, sizeof *r->topics);
    r->n_topics = request->n_topics;
    for (int32_t i = 0; i < request->n_topics; i++) {
        r->topics[i].id = request->topics[i].id;
        r->topics[i].name = request->topics[i].name;
        if (!decision_repeats(c, d, (size_t)i)) {
            delete_topic(c, d, request, i, repeated[i], &r->topics[i]);
        }
    }
    return DECIDE_DONE;
}

/* ---- more partitions --------------------------------------------------------------------------*/

static struct command_create_partitions_partition *
more_manual(struct controller *c, struct decision *d,
            const struct meta_create_partitions_request_topic *topic, int32_t n,
            int32_t replication, struct meta_create_partitions_response_topic *out)
{
    struct command_create_partitions_partition *partitions =
        arena_zalloc_array(d->arena, (size_t)n, sizeof *partitions);
    if (topic->n_assignments != n) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                    "Attempted to add %d additional partition(s), but %d assignment(s) were "
                    "specified.",
                    (int)n, (int)topic->n_assignments);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        const struct meta_create_partitions_request_assignment *a = &topic->assignments[i];
        const char *wrong = controller_check_replicas(c, a->replicas, a->n_replicas, replication);
        if (wrong != NULL) {
            REFUSE_ITEM(d, out, KAFKA_INVALID_REPLICA_ASSIGNMENT, "%s", wrong);
            return NULL;
        }
        fill(c, d->arena, a->replicas, a->n_replicas, &partitions[i]);
    }
    return partitions;
}

static struct command_create_partitions_partition *
more(struct controller *c, struct decision *d, struct placement *placement,
     const struct meta_create_partitions_request_topic *topic, const struct image_topic *now,
     struct meta_create_partitions_response_topic *out)
{
    int32_t n = topic->count - now->n_partitions, replication = now->partitions[0].n_replicas;
    if (n <= 0) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_PARTITIONS,
                    "The topic %s currently has %d partition(s); %d would not be an increase.",
                    now->name, (int)now->n_partitions, (int)topic->count);
        return NULL;
    }
    if (!has_room(c, d, n)) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_PARTITIONS, "%s", TOO_MANY);
        return NULL;
    }
    if (topic->n_assignments > 0) {
        return more_manual(c, d, topic, n, replication, out);
    }
    struct command_create_partitions_partition *partitions = place(c, d, placement, n, replication);
    if (partitions == NULL) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REPLICATION_FACTOR,
                    "Unable to replicate the partition %d time(s): %zu broker(s) can take it",
                    (int)replication, placement->n_usable);
    }
    return partitions;
}

static void create_partitions(struct controller *c, struct decision *d, struct placement *placement,
                              const struct meta_create_partitions_request *request, int32_t item,
                              bool repeated, struct meta_create_partitions_response_topic *out)
{
    const struct meta_create_partitions_request_topic *topic = &request->topics[item];
    const struct image_topic *now = image_topic(c->image, topic->name);
    if (repeated) {
        REFUSE_ITEM(d, out, KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        return;
    }
    if (now == NULL) {
        REFUSE_ITEM(d, out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                    "This server does not host this topic.");
        return;
    }
    struct command_create_partitions_partition *partitions = more(c, d, placement, topic, now, out);
    if (partitions == NULL || request->validate_only) {
        return;
    }
    const struct command_create_partitions command = { .topic_id = now->id,
                                                       .first = now->n_partitions,
                                                       .partitions = partitions,
                                                       .n_partitions =
                                                           topic->count - now->n_partitions };
    decision_add(d, COMMAND_CREATE_PARTITIONS, item, &command);
}

enum decide_result decide_create_partitions(struct controller *c, const void *in,
                                            struct decision *d, void *out)
{
    const struct meta_create_partitions_request *request = in;
    struct meta_create_partitions_response *r = out;
    size_t n = (size_t)request->n_topics;
    struct text *names = arena_zalloc_array(d->arena, n, sizeof *names);
    struct placement placement;
    for (size_t i = 0; i < n; i++) {
        names[i] = request->topics[i].name;
    }
    bool *repeated = find_repeated(d->arena, names, n);
    placement_init(&placement, c->image, &c->prng, d->arena);
    r->topics = arena_zalloc_array(d->arena, n, sizeof *r->topics);
    r->n_topics = request->n_topics;
    for (int32_t i = 0; i < request->n_topics; i++) {
        r->topics[i].name = names[i];
        if (!decision_repeats(c, d, (size_t)i)) {
            create_partitions(c, d, &placement, request, i, repeated[i], &r->topics[i]);
        }
    }
    return DECIDE_DONE;
}
