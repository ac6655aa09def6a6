/* Applying entries: the state machine.
 *
 * An entry is decoded as a whole first, so that one that cannot be read changes nothing. Then its
 * commands are applied one by one. Each checks what must hold for it whatever was decided: names
 * are unique, what it names exists, epochs are those it was decided on, leaders are in sync and
 * serve.
 *
 * Two rules hold here by construction, whatever the controller proposes: a broker that is fenced,
 * or has just been registered, leads nothing; and each change of a partition raises its epochs. */
#include "command_kind.h"
#include "image_private.h"

#include <chronik/base/arena.h>
#include <chronik/meta/command.h>
#include <chronik/wire/codec.h>

#include <errno.h>

enum { LEADER_STAYS = -2, RECOVERY_STAYS = -1 };

static const struct apply_result APPLIED = { .error = KAFKA_NONE };

static struct apply_result refused(enum kafka_error error)
{
    return (struct apply_result){ .error = error };
}

/* ---- brokers ----------------------------------------------------------------------------------*/

static void raise_epochs(struct image_partition *p, bool of_leader)
{
    p->epoch++;
    p->leader_epoch += of_leader;
}

static void set_leader(struct image_partition *p, int32_t leader)
{
    if (leader < 0 && p->leader >= 0) {
        p->last_leader = p->leader;
    } else if (leader >= 0) {
        p->last_leader = -1;
    }
    p->leader = leader;
}

/* Takes away whatever a broker leads. */
static void depose(struct image *image, int32_t id)
{
    for (size_t t = 0; t < image->n_topics; t++) {
        struct image_topic *topic = image->topics[t];
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            struct image_partition *p = &topic->partitions[i];
            if (p->leader == id) {
                set_leader(p, -1);
                raise_epochs(p, true);
                TELL(image, partition_changed, topic, i);
            }
        }
    }
}

static struct apply_result form_cluster(struct image *image, const void *body)
{
    const struct command_form_cluster *c = body;
    if (image->cluster_id[0] != '\0' || c->cluster_id.len == 0) {
        return refused(KAFKA_INCONSISTENT_CLUSTER_ID);
    }
    free(image->cluster_id);
    image->cluster_id = text_dup(c->cluster_id);
    return APPLIED;
}

/* A directory that was known in the broker's last life still is. */
static struct image_directory *directories_of(const struct image_broker *before,
                                              const struct command_register_broker *c)
{
    struct image_directory *to = mem_zalloc_array((size_t)c->n_directories, sizeof *to);
    for (int32_t i = 0; i < c->n_directories; i++) {
        const struct image_directory *known = image_directory(before, &c->directories[i]);
        to[i] = (struct image_directory){ .id = c->directories[i],
                                          .known = known != NULL && known->known };
    }
    return to;
}

static struct image_endpoint *endpoints_of(const struct command_register_broker *c)
{
    struct image_endpoint *to = mem_zalloc_array((size_t)c->n_endpoints, sizeof *to);
    for (int32_t i = 0; i < c->n_endpoints; i++) {
        const struct command_register_broker_endpoint *e = &c->endpoints[i];
        to[i] = (struct image_endpoint){ .listener = text_dup(e->listener),
                                         .host = text_dup(e->host),
                                         .port = e->port, .security = e->security };
    }
    return to;
}

static struct apply_result register_broker(struct image *image, const void *body)
{
    const struct command_register_broker *c = body;
    if (c->id < 0) {
        return refused(KAFKA_INVALID_REQUEST);
    }
    struct broker_entry *entry = image_add_broker(image, c->id);
    struct image_broker *b = &entry->broker;
    struct image_directory *directories = directories_of(b, c);
    image_clear_broker(b);
    if (!uuid_equal(&b->incarnation, &c->incarnation)) {
        entry->open = 0;
        entry->n_results = 0;
    }
    *b = (struct image_broker){
        .id = c->id, .epoch = (int64_t)image->index, .incarnation = c->incarnation,
        .raft_directory = c->raft_directory, .fenced = true,
        .rack = c->rack.data ? text_dup(c->rack) : NULL,
        .endpoints = endpoints_of(c), .n_endpoints = (unsigned)c->n_endpoints,
        .directories = directories, .n_directories = (unsigned)c->n_directories };
    depose(image, c->id);
    TELL(image, broker_changed, b);
    return (struct apply_result){ .value = b->epoch };
}

static struct image_broker *broker_in_epoch(struct image *image, int32_t id, int64_t epoch)
{
    struct broker_entry *entry = image_broker_entry(image, id);
    return entry != NULL && entry->broker.epoch == epoch ? &entry->broker : NULL;
}

static struct apply_result set_broker_state(struct image *image, const void *body)
{
    const struct command_set_broker_state *c = body;
    struct image_broker *b = broker_in_epoch(image, c->id, c->epoch);
    if (b == NULL) {
        return refused(KAFKA_STALE_BROKER_EPOCH);
    }
    b->fenced = c->fenced;
    b->stopping = c->stopping;
    if (b->fenced) {
        depose(image, b->id);
    }
    TELL(image, broker_changed, b);
    return APPLIED;
}

static struct apply_result settle_directory(struct image *image, const void *body)
{
    const struct command_settle_directory *c = body;
    struct image_broker *b = broker_in_epoch(image, c->broker, c->epoch);
    const struct image_directory *found = b ? image_directory(b, &c->directory) : NULL;
    if (found == NULL) {
        return refused(b ? KAFKA_LOG_DIR_NOT_FOUND : KAFKA_STALE_BROKER_EPOCH);
    }
    b->directories[found - b->directories].known = true;
    TELL(image, broker_changed, b);
    return APPLIED;
}

/* ---- sets of replicas -------------------------------------------------------------------------*/

static struct id_list list_of(const int32_t *ids, int32_t n)
{
    return (struct id_list){ ids, n };
}

/* What a command says, or what there is where it says nothing. */
static struct id_list said_or(const int32_t *ids, int32_t n, const int32_t *now, unsigned n_now)
{
    return n >= 0 ? list_of(ids, n) : list_of(now, (int32_t)n_now);
}

static bool is_set(struct id_list list)
{
    for (int32_t i = 0; i < list.n; i++) {
        if (list.ids[i] < 0 || image_has(list.ids, (unsigned)i, list.ids[i])) {
            return false;
        }
    }
    return list.n <= IMAGE_REPLICAS_MAX;
}

static bool is_subset(struct id_list part, struct id_list whole)
{
    for (int32_t i = 0; i < part.n; i++) {
        if (!image_has(whole.ids, (unsigned)whole.n, part.ids[i])) {
            return false;
        }
    }
    return is_set(part);
}

static bool leader_fits(const struct image *image, int32_t leader, struct id_list isr)
{
    const struct image_broker *b = leader >= 0 ? image_broker(image, leader) : NULL;
    return leader == -1 ||
           (b != NULL && !b->fenced && image_has(isr.ids, (unsigned)isr.n, leader));
}

/* ---- topics -----------------------------------------------------------------------------------*/

static bool partitions_valid(const struct image *image, const struct command_create_partitions *c)
{
    for (int32_t i = 0; i < c->n_partitions; i++) {
        const struct command_create_partitions_partition *p = &c->partitions[i];
        struct id_list replicas = list_of(p->replicas, p->n_replicas);
        struct id_list isr = list_of(p->isr, p->n_isr);
        bool valid = replicas.n > 0 && is_set(replicas) && is_subset(isr, replicas) &&
                     leader_fits(image, p->leader, isr) && p->leader_epoch >= 0 &&
                     (p->n_directories < 0 || p->n_directories == p->n_replicas);
        if (!valid) {
            return false;
        }
    }
    return c->n_partitions > 0;
}

/* In the order of Kafka's answers: an id or a name that is taken, then what cannot be. */
static enum kafka_error check_create(const struct image *image,
                                     const struct command_create_partitions *c)
{
    const struct image_topic *topic = image_topic_by_id(image, &c->topic_id);
    int32_t now = topic ? topic->n_partitions : 0;
    if (c->made == NULL && topic == NULL) {
        return KAFKA_UNKNOWN_TOPIC_ID;
    }
    if (c->made != NULL && (topic != NULL || image_topic(image, c->made->name) != NULL)) {
        return KAFKA_TOPIC_ALREADY_EXISTS;
    }
    if (c->made != NULL && (c->made->name.len == 0 || c->made->name.len > IMAGE_TOPIC_NAME_MAX ||
                            !image_name_fits(c->made->name))) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    bool fits = c->first == now && c->n_partitions <= INT32_MAX - now;
    return fits && partitions_valid(image, c) ? KAFKA_NONE : KAFKA_INVALID_PARTITIONS;
}

static void fill_partition(struct image_partition *p,
                           const struct command_create_partitions_partition *from)
{
    p->leader = from->leader;
    p->leader_epoch = from->leader_epoch;
    p->last_leader = -1;
    image_set_lists(p, list_of(from->replicas, from->n_replicas), list_of(from->isr, from->n_isr),
                    list_of(NULL, 0), list_of(NULL, 0), list_of(NULL, 0));
    if (from->n_directories > 0) {
        image_set_directories(p, from->directories);
    }
}

static struct image_topic *make_topic(struct image *image, const struct uuid *id,
                                      const struct command_create_partitions_made *made)
{
    struct image_topic *topic = image_add_topic(image, id, made->name);
    topic->internal = made->internal;
    topic->adopted = made->adopted;
    for (int32_t i = 0; i < made->n_configs; i++) {
        config_set_put(&topic->configs, made->configs[i].name, made->configs[i].value);
    }
    return topic;
}

static struct apply_result create_partitions(struct image *image, const void *body)
{
    const struct command_create_partitions *c = body;
    enum kafka_error error = check_create(image, c);
    if (error != KAFKA_NONE) {
        return refused(error);
    }
    struct image_topic *topic = c->made ? make_topic(image, &c->topic_id, c->made)
                                        : image_find_topic(image, &c->topic_id);
    struct image_partition *p = image_add_partitions(image, topic, c->n_partitions);
    for (int32_t i = 0; i < c->n_partitions; i++) {
        fill_partition(&p[i], &c->partitions[i]);
    }
    if (c->made != NULL) {
        TELL(image, topic_created, topic);
        return APPLIED;
    }
    for (int32_t i = c->first; i < topic->n_partitions; i++) {
        TELL(image, partition_changed, topic, i);
    }
    return APPLIED;
}

static struct apply_result delete_topic(struct image *image, const void *body)
{
    const struct command_delete_topic *c = body;
    struct image_topic *topic = image_find_topic(image, &c->topic_id);
    if (topic == NULL) {
        return refused(KAFKA_UNKNOWN_TOPIC_ID);
    }
    TELL(image, topic_deleted, topic);
    image_remove_topic(image, topic);
    return APPLIED;
}

/* ---- partitions -------------------------------------------------------------------------------*/

static bool change_partition(struct image *image, const struct command_change_partitions_change *c)
{
    struct image_topic *topic = image_find_topic(image, &c->topic_id);
    if (topic == NULL || c->partition < 0 || c->partition >= topic->n_partitions) {
        return false;
    }
    struct image_partition *p = &topic->partitions[c->partition];
    struct id_list replicas = said_or(c->replicas, c->n_replicas, p->replicas, p->n_replicas);
    struct id_list isr = said_or(c->isr, c->n_isr, p->isr, p->n_isr);
    struct id_list elr = said_or(c->elr, c->n_elr, p->elr, p->n_elr);
    struct id_list adding = said_or(c->adding, c->n_adding, p->adding, p->n_adding);
    struct id_list removing = said_or(c->removing, c->n_removing, p->removing, p->n_removing);
    int32_t leader = c->leader == LEADER_STAYS ? p->leader : c->leader;
    bool valid = c->leader_epoch == p->leader_epoch && c->partition_epoch == p->epoch &&
                 replicas.n > 0 && is_set(replicas) && is_subset(isr, replicas) &&
                 is_subset(elr, replicas) && is_subset(adding, replicas) &&
                 is_subset(removing, replicas) && leader_fits(image, leader, isr) &&
                 (c->n_directories < 0 || c->n_directories == replicas.n);
    if (!valid) {
        return false;
    }
    bool moved = c->n_replicas >= 0;
    image_set_lists(p, replicas, isr, elr, adding, removing);
    if (c->n_directories >= 0 || moved) {
        image_set_directories(p, c->n_directories >= 0 ? c->directories : NULL);
    }
    if (c->recovery != RECOVERY_STAYS) {
        p->recovery = (uint8_t)c->recovery;
    }
    set_leader(p, leader);
    raise_epochs(p, c->leader != LEADER_STAYS);
    TELL(image, partition_changed, topic, c->partition);
    return true;
}

static struct apply_result change_partitions(struct image *image, const void *body)
{
    const struct command_change_partitions *c = body;
    struct apply_result result = APPLIED;
    for (int32_t i = 0; i < c->n_changes; i++) {
        if (!change_partition(image, &c->changes[i])) {
            result.error = KAFKA_INVALID_UPDATE_VERSION;
        }
    }
    return result;
}

/* ---- the rest ---------------------------------------------------------------------------------*/

static struct apply_result change_configs(struct image *image, const void *body)
{
    const struct command_change_configs *c = body;
    enum image_resource type = (enum image_resource)c->type;
    bool fits = image_name_fits(c->name);
    for (int32_t i = 0; i < c->n_changes; i++) {
        fits = fits && image_name_fits(c->changes[i].name);
    }
    struct image_configs *configs = fits ? image_own_configs(image, type, c->name) : NULL;
    if (configs == NULL) {
        return refused(fits ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_INVALID_REQUEST);
    }
    for (int32_t i = 0; i < c->n_changes; i++) {
        const struct command_change_configs_change *change = &c->changes[i];
        if (change->value.data != NULL) {
            config_set_put(configs, change->name, change->value);
        } else {
            config_set_remove(configs, change->name);
        }
    }
    if (type == IMAGE_TOPIC) {
        image_find_topic(image, &image_topic(image, c->name)->id)->adopted = false;
    } else {
        image_tidy_configs(image, type, c->name);
    }
    TELL(image, configs_changed, type, c->name);
    return APPLIED;
}

static struct apply_result allocate_producer_ids(struct image *image, const void *body)
{
    const struct command_allocate_producer_ids *c = body;
    if (c->count <= 0 || image->next_producer_id > INT64_MAX - c->count) {
        return refused(KAFKA_INVALID_REQUEST);
    }
    struct apply_result result = { .value = image->next_producer_id };
    image->next_producer_id += c->count;
    return result;
}

static struct apply_result set_features(struct image *image, const void *body)
{
    const struct command_set_features *c = body;
    for (int32_t i = 0; i < c->n_features; i++) {
        if (!image_name_fits(c->features[i].name)) {
            return refused(KAFKA_INVALID_REQUEST);
        }
    }
    for (int32_t i = 0; i < c->n_features; i++) {
        image_put_feature(image, c->features[i].name, c->features[i].level);
    }
    TELL(image, features_changed);
    return APPLIED;
}

/* ---- entries ----------------------------------------------------------------------------------*/

static struct apply_result (*const APPLY[])(struct image *image, const void *body) = {
    [COMMAND_FORM_CLUSTER] = form_cluster,
    [COMMAND_REGISTER_BROKER] = register_broker,
    [COMMAND_SET_BROKER_STATE] = set_broker_state,
    [COMMAND_CREATE_PARTITIONS] = create_partitions,
    [COMMAND_DELETE_TOPIC] = delete_topic,
    [COMMAND_CHANGE_PARTITIONS] = change_partitions,
    [COMMAND_CHANGE_CONFIGS] = change_configs,
    [COMMAND_ALLOCATE_PRODUCER_IDS] = allocate_producer_ids,
    [COMMAND_SETTLE_DIRECTORY] = settle_directory,
    [COMMAND_SET_FEATURES] = set_features,
};

/* A second copy of a command, or one that its sender has given up, is not applied. */
static bool is_repeated(const struct image *image, const struct command_id *id,
                        struct apply_result *ret_result)
{
    const struct broker_entry *entry = image_broker_entry(image, id->node);
    if (entry != NULL && uuid_equal(&entry->broker.incarnation, &id->incarnation) &&
        id->sequence < entry->open) {
        *ret_result = refused(KAFKA_REQUEST_TIMED_OUT);
        return true;
    }
    return image_find_result(image, id, ret_result);
}

static void remember(struct image *image, const struct command_id *id, struct apply_result result)
{
    struct broker_entry *entry = image_broker_entry(image, id->node);
    if (entry == NULL || !uuid_equal(&entry->broker.incarnation, &id->incarnation)) {
        return;
    }
    size_t dropped = 0;
    entry->open = max_i64(entry->open, id->open);
    while (dropped < entry->n_results && entry->results[dropped].sequence < entry->open) {
        dropped++;
    }
    if (dropped > 0) {
        entry->n_results -= dropped;
        memmove(entry->results, entry->results + dropped,
                entry->n_results * sizeof *entry->results);
    }
    image_put_result(entry, id->sequence, result);
}

static struct apply_result apply_command(struct image *image, const struct command_id *id,
                                         int16_t kind, const void *body)
{
    struct apply_result result;
    if (id->node < 0) {
        return APPLY[kind](image, body);
    }
    if (!is_repeated(image, id, &result)) {
        result = APPLY[kind](image, body);
        remember(image, id, result);
    }
    return result;
}

/* Decodes all commands: 0 and their bodies, or why it cannot. */
static int decode_entry(struct bytes in, struct arena *arena, struct command_entry *entry,
                        void ***ret_bodies)
{
    struct wire_error error = wire_decode(meta_command_entry.request, 0, true, in, arena, entry,
                                          NULL);
    if (error.result != WIRE_OK) {
        return -EBADMSG;
    }
    void **bodies = arena_zalloc_array(arena, (size_t)entry->n_commands, sizeof *bodies);
    for (int32_t i = 0; i < entry->n_commands; i++) {
        const struct command_entry_command *c = &entry->commands[i];
        if (c->kind <= 0 || c->kind >= (int16_t)countof(APPLY) ||
            c->version > meta_commands[c->kind]->max_version) {
            return -ENOTSUP;
        }
        const struct wire_struct *s = meta_commands[c->kind]->request;
        bodies[i] = arena_zalloc(arena, s->size);
        error = wire_decode(s, c->version, true, c->body, arena, bodies[i], NULL);
        if (error.result != WIRE_OK || c->version < 0) {
            return -EBADMSG;
        }
    }
    *ret_bodies = bodies;
    return 0;
}

int image_apply(struct image *image, uint64_t index, struct bytes in, image_applied *applied,
                void *arg)
{
    struct command_entry entry;
    struct arena arena;
    void **bodies;
    check(index > image->index);
    arena_init(&arena, 0);
    int error = in.len > 0 ? decode_entry(in, &arena, &entry, &bodies) : 0;
    if (error != -ENOTSUP) {
        image->index = index;
    }
    if (error == 0 && in.len > 0) {
        bool exact = entry.base == (int64_t)image->base;
        for (int32_t i = 0; i < entry.n_commands; i++) {
            const struct command_entry_command *c = &entry.commands[i];
            struct command_id id = { .node = c->node, .incarnation = c->incarnation,
                                     .sequence = c->sequence, .open = c->open };
            applied(arg, &id, exact ? apply_command(image, &id, c->kind, bodies[i])
                                    : refused(KAFKA_NOT_CONTROLLER));
        }
        image->base = exact ? index : image->base;
    }
    arena_release(&arena);
    return error;
}
