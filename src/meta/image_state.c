/* An image as a whole: as bytes, as a hash, and what differs between two of them.
 *
 * The bytes are one record (schema/state.api), filled with views into the image and encoded.
 * Everything is in sorted order, so that equal images give equal bytes: the hash is taken over
 * them.
 *
 * Bytes that come from a snapshot carry checksums, and were written by ourselves; all the same they
 * are decoded like any input, and what the rest of the code relies on is checked. */
#include "image_private.h"

#include <chronik/base/arena.h>
#include <chronik/meta/state.h>
#include <chronik/wire/codec.h>

#include <errno.h>

enum { STATE_VERSION = 0, VERSION_BYTES = 2 };

/* ---- to bytes ---------------------------------------------------------------------------------*/

static void put_configs(struct arena *arena, const struct image_configs *configs,
                        struct image_state_config **ret_items, int32_t *ret_n)
{
    struct image_state_config *to = arena_zalloc_array(arena, configs->n, sizeof *to);
    for (size_t i = 0; i < configs->n; i++) {
        to[i] = (struct image_state_config){ .name = text_of(configs->items[i].name),
                                             .value = text_of(configs->items[i].value) };
    }
    *ret_items = to;
    *ret_n = (int32_t)configs->n;
}

static struct image_state_endpoint *put_endpoints(struct arena *arena, const struct image_broker *b)
{
    struct image_state_endpoint *to = arena_zalloc_array(arena, b->n_endpoints, sizeof *to);
    for (unsigned i = 0; i < b->n_endpoints; i++) {
        const struct image_endpoint *e = &b->endpoints[i];
        to[i] = (struct image_state_endpoint){ .listener = text_of(e->listener),
                                               .host = text_of(e->host),
                                               .port = e->port, .security = e->security };
    }
    return to;
}

static struct image_state_directory *put_directories(struct arena *arena,
                                                     const struct image_broker *b)
{
    struct image_state_directory *to = arena_zalloc_array(arena, b->n_directories, sizeof *to);
    for (unsigned i = 0; i < b->n_directories; i++) {
        to[i] = (struct image_state_directory){ .id = b->directories[i].id,
                                                .known = b->directories[i].known };
    }
    return to;
}

static void put_broker(struct arena *arena, const struct broker_entry *entry,
                       struct image_state_broker *to)
{
    const struct image_broker *b = &entry->broker;
    struct image_state_result *results = arena_zalloc_array(arena, entry->n_results,
                                                            sizeof *results);
    for (size_t i = 0; i < entry->n_results; i++) {
        const struct image_result *r = &entry->results[i];
        results[i] = (struct image_state_result){ .sequence = r->sequence,
                                                  .error = (int16_t)r->result.error,
                                                  .value = r->result.value };
    }
    *to = (struct image_state_broker){
        .id = b->id, .epoch = b->epoch, .incarnation = b->incarnation,
        .raft_directory = b->raft_directory, .fenced = b->fenced, .stopping = b->stopping,
        .rack = text_of(b->rack),
        .endpoints = put_endpoints(arena, b), .n_endpoints = (int32_t)b->n_endpoints,
        .directories = put_directories(arena, b), .n_directories = (int32_t)b->n_directories,
        .open = entry->open, .results = results, .n_results = (int32_t)entry->n_results };
}

static void put_partition(const struct image_partition *p, struct image_state_partition *to)
{
    *to = (struct image_state_partition){
        .leader = p->leader, .leader_epoch = p->leader_epoch, .epoch = p->epoch,
        .last_leader = p->last_leader, .recovery = (int8_t)p->recovery,
        .replicas = p->replicas, .n_replicas = p->n_replicas,
        .isr = p->isr, .n_isr = p->n_isr,
        .elr = p->elr, .n_elr = p->n_elr,
        .adding = p->adding, .n_adding = p->n_adding,
        .removing = p->removing, .n_removing = p->n_removing,
        .directories = p->directories, .n_directories = p->directories ? p->n_replicas : -1 };
}

static void put_topic(struct arena *arena, const struct image_topic *t,
                      struct image_state_topic *to)
{
    *to = (struct image_state_topic){ .id = t->id, .name = text_of(t->name),
                                      .internal = t->internal, .adopted = t->adopted,
                                      .n_partitions = t->n_partitions };
    to->partitions = arena_zalloc_array(arena, (size_t)t->n_partitions, sizeof *to->partitions);
    for (int32_t i = 0; i < t->n_partitions; i++) {
        put_partition(&t->partitions[i], &to->partitions[i]);
    }
    put_configs(arena, &t->configs, &to->configs, &to->n_configs);
}

static void put_all(struct arena *arena, const struct image *image, struct image_state *to)
{
    *to = (struct image_state){
        .index = (int64_t)image->index, .base = (int64_t)image->base,
        .cluster_id = text_of(image->cluster_id), .next_producer_id = image->next_producer_id,
        .n_features = (int32_t)image->n_features, .n_brokers = (int32_t)image->n_brokers,
        .n_topics = (int32_t)image->n_topics, .n_resources = (int32_t)image->n_resources };
    to->features = arena_zalloc_array(arena, image->n_features, sizeof *to->features);
    to->brokers = arena_zalloc_array(arena, image->n_brokers, sizeof *to->brokers);
    to->topics = arena_zalloc_array(arena, image->n_topics, sizeof *to->topics);
    to->resources = arena_zalloc_array(arena, image->n_resources, sizeof *to->resources);
    for (size_t i = 0; i < image->n_features; i++) {
        to->features[i] = (struct image_state_feature){ text_of(image->features[i].name),
                                                        image->features[i].level };
    }
    for (size_t i = 0; i < image->n_brokers; i++) {
        put_broker(arena, image->brokers[i], &to->brokers[i]);
    }
    for (size_t i = 0; i < image->n_topics; i++) {
        put_topic(arena, image->topics[i], &to->topics[i]);
    }
    for (size_t i = 0; i < image->n_resources; i++) {
        const struct resource_entry *r = &image->resources[i];
        to->resources[i].type = (int8_t)r->type;
        to->resources[i].name = text_of(r->name);
        put_configs(arena, &r->configs, &to->resources[i].configs, &to->resources[i].n_configs);
    }
}

void image_encode(const struct image *image, struct buf *to)
{
    struct image_state state;
    struct arena arena;
    struct chain chain = { 0 };
    arena_init(&arena, 0);
    put_all(&arena, image, &state);
    wire_encode(meta_image_state.request, STATE_VERSION, true, &state, &chain);
    buf_put_be16(to, STATE_VERSION);
    chain_copy(&chain, buf_reserve(to, chain.len));
    to->len += chain.len;
    chain_release(&chain);
    arena_release(&arena);
}

uint64_t image_hash(const struct image *image)
{
    struct buf state = { 0 };
    image_encode(image, &state);
    uint64_t hash = hash_bytes(0, state.data, state.len);
    buf_release(&state);
    return hash;
}

/* ---- from bytes -------------------------------------------------------------------------------*/

static struct id_list list_of(const int32_t *ids, int32_t n)
{
    return (struct id_list){ ids, n };
}

static bool get_partition(const struct image_state_partition *from, struct image_partition *p)
{
    bool valid = from->n_replicas > 0 && from->n_replicas <= IMAGE_REPLICAS_MAX &&
                 from->n_isr <= from->n_replicas && from->n_elr <= from->n_replicas &&
                 from->n_adding <= from->n_replicas && from->n_removing <= from->n_replicas &&
                 (from->n_directories < 0 || from->n_directories == from->n_replicas);
    if (!valid) {
        return false;
    }
    p->leader = from->leader;
    p->leader_epoch = from->leader_epoch;
    p->epoch = from->epoch;
    p->last_leader = from->last_leader;
    p->recovery = (uint8_t)from->recovery;
    image_set_lists(p, list_of(from->replicas, from->n_replicas), list_of(from->isr, from->n_isr),
                    list_of(from->elr, from->n_elr), list_of(from->adding, from->n_adding),
                    list_of(from->removing, from->n_removing));
    if (from->n_directories > 0) {
        image_set_directories(p, from->directories);
    }
    return true;
}

static bool get_configs(struct image_configs *to, const struct image_state_config *items, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (!image_name_fits(items[i].name)) {
            return false;
        }
        config_set_put(to, items[i].name, items[i].value);
    }
    return true;
}

static bool get_topic(struct image *image, const struct image_state_topic *from)
{
    if (image_topic_by_id(image, &from->id) != NULL || image_topic(image, from->name) != NULL ||
        from->name.len == 0 || !image_name_fits(from->name)) {
        return false;
    }
    struct image_topic *topic = image_add_topic(image, &from->id, from->name);
    topic->internal = from->internal;
    topic->adopted = from->adopted;
    if (!get_configs(&topic->configs, from->configs, from->n_configs)) {
        return false;
    }
    struct image_partition *p = image_add_partitions(image, topic, from->n_partitions);
    for (int32_t i = 0; i < from->n_partitions; i++) {
        if (!get_partition(&from->partitions[i], &p[i])) {
            return false;
        }
    }
    return true;
}

static void get_broker(struct image *image, const struct image_state_broker *from)
{
    struct broker_entry *entry = image_add_broker(image, from->id);
    struct image_broker *b = &entry->broker;
    image_clear_broker(b);
    *b = (struct image_broker){
        .id = from->id, .epoch = from->epoch, .incarnation = from->incarnation,
        .raft_directory = from->raft_directory, .fenced = from->fenced,
        .stopping = from->stopping, .rack = from->rack.data ? text_dup(from->rack) : NULL,
        .n_endpoints = (unsigned)from->n_endpoints,
        .n_directories = (unsigned)from->n_directories };
    b->endpoints = mem_zalloc_array(b->n_endpoints, sizeof *b->endpoints);
    for (unsigned i = 0; i < b->n_endpoints; i++) {
        const struct image_state_endpoint *e = &from->endpoints[i];
        b->endpoints[i] = (struct image_endpoint){ .listener = text_dup(e->listener),
                                                   .host = text_dup(e->host),
                                                   .port = e->port, .security = e->security };
    }
    b->directories = mem_zalloc_array(b->n_directories, sizeof *b->directories);
    for (unsigned i = 0; i < b->n_directories; i++) {
        b->directories[i] = (struct image_directory){ .id = from->directories[i].id,
                                                      .known = from->directories[i].known };
    }
    entry->open = from->open;
    for (int32_t i = 0; i < from->n_results; i++) {
        const struct image_state_result *r = &from->results[i];
        image_put_result(entry, r->sequence,
                         (struct apply_result){ (enum kafka_error)r->error, r->value });
    }
}

static bool get_all(struct image *image, const struct image_state *from)
{
    image->index = (uint64_t)from->index;
    image->base = (uint64_t)from->base;
    image->next_producer_id = from->next_producer_id;
    free(image->cluster_id);
    image->cluster_id = text_dup(from->cluster_id);
    for (int32_t i = 0; i < from->n_features; i++) {
        if (!image_name_fits(from->features[i].name)) {
            return false;
        }
        image_put_feature(image, from->features[i].name, from->features[i].level);
    }
    for (int32_t i = 0; i < from->n_brokers; i++) {
        get_broker(image, &from->brokers[i]);
    }
    for (int32_t i = 0; i < from->n_topics; i++) {
        if (!get_topic(image, &from->topics[i])) {
            return false;
        }
    }
    for (int32_t i = 0; i < from->n_resources; i++) {
        const struct image_state_resource *r = &from->resources[i];
        enum image_resource type = (enum image_resource)r->type;
        if (type == IMAGE_TOPIC || !image_name_fits(r->name) || r->n_configs == 0 ||
            !get_configs(image_own_configs(image, type, r->name), r->configs, r->n_configs)) {
            return false;
        }
    }
    return from->index >= from->base && from->base >= 0;
}

int image_decode(struct bytes from, struct image **ret_image)
{
    struct image_state state;
    struct arena arena;
    if (from.len < VERSION_BYTES) {
        return -EBADMSG;
    }
    int16_t version = (int16_t)load_be16(from.data);
    if (version > STATE_VERSION) {
        return -ENOTSUP;
    }
    arena_init(&arena, 0);
    struct bytes body = bytes_part(from, VERSION_BYTES, from.len - VERSION_BYTES);
    struct wire_error error =
        wire_decode(meta_image_state.request, version, true, body, &arena, &state, NULL);
    struct image *image = image_new();
    bool valid = version >= 0 && error.result == WIRE_OK && get_all(image, &state);
    arena_release(&arena);
    if (!valid) {
        image_free(image);
        return -EBADMSG;
    }
    *ret_image = image;
    return 0;
}

/* ---- what differs -----------------------------------------------------------------------------*/

/* A listener that is told of differences. */
struct teller {
    const struct image_listener *listener;
    void *listener_arg;
};

static bool ids_equal(const int32_t *a, unsigned n_a, const int32_t *b, unsigned n_b)
{
    return n_a == n_b && memcmp(a, b, n_a * sizeof *a) == 0;
}

static bool partition_equal(const struct image_partition *a, const struct image_partition *b)
{
    return a->epoch == b->epoch && a->leader_epoch == b->leader_epoch && a->leader == b->leader &&
           ids_equal(a->replicas, a->n_replicas, b->replicas, b->n_replicas) &&
           ids_equal(a->isr, a->n_isr, b->isr, b->n_isr);
}

static bool configs_equal(const struct image_configs *a, const struct image_configs *b)
{
    size_t n_a = a ? a->n : 0, n_b = b ? b->n : 0;
    for (size_t i = 0; i < n_a && n_a == n_b; i++) {
        if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
            strcmp(a->items[i].value, b->items[i].value) != 0) {
            return false;
        }
    }
    return n_a == n_b;
}

static void compare_topic(const struct teller *teller, const struct image_topic *before,
                          const struct image_topic *after)
{
    for (int32_t i = 0; i < after->n_partitions; i++) {
        if (i >= before->n_partitions ||
            !partition_equal(&before->partitions[i], &after->partitions[i])) {
            TELL(teller, partition_changed, after, i);
        }
    }
    if (!configs_equal(&before->configs, &after->configs)) {
        TELL(teller, configs_changed, IMAGE_TOPIC, text_of(after->name));
    }
}

static void compare_topics(const struct teller *teller, const struct image *from,
                           const struct image *to)
{
    for (size_t i = 0; i < from->n_topics; i++) {
        if (image_topic_by_id(to, &from->topics[i]->id) == NULL) {
            TELL(teller, topic_deleted, from->topics[i]);
        }
    }
    for (size_t i = 0; i < to->n_topics; i++) {
        const struct image_topic *after = to->topics[i];
        const struct image_topic *before = image_topic_by_id(from, &after->id);
        if (before == NULL) {
            TELL(teller, topic_created, after);
        } else {
            compare_topic(teller, before, after);
        }
    }
}

/* Settings of brokers and the like that `a` has, and `b` has not or has otherwise; those that both
 * have are told of once, when `both` is set. */
static void compare_resources(const struct teller *teller, const struct image *a,
                              const struct image *b, bool both)
{
    for (size_t i = 0; i < a->n_resources; i++) {
        const struct resource_entry *r = &a->resources[i];
        const struct image_configs *other = image_configs(b, r->type, text_of(r->name));
        if (other == NULL || (both && !configs_equal(&r->configs, other))) {
            TELL(teller, configs_changed, r->type, text_of(r->name));
        }
    }
}

static bool brokers_equal(const struct image_broker *a, const struct image_broker *b)
{
    bool equal = a->epoch == b->epoch && a->fenced == b->fenced && a->stopping == b->stopping &&
                 a->n_directories == b->n_directories;
    for (unsigned i = 0; equal && i < a->n_directories; i++) {
        equal = a->directories[i].known == b->directories[i].known;
    }
    return equal;
}

static void compare_brokers(const struct teller *teller, const struct image *from,
                            const struct image *to)
{
    for (size_t i = 0; i < to->n_brokers; i++) {
        const struct image_broker *after = &to->brokers[i]->broker;
        const struct image_broker *before = image_broker(from, after->id);
        if (before == NULL || !brokers_equal(before, after)) {
            TELL(teller, broker_changed, after);
        }
    }
}

static bool features_equal(const struct image *a, const struct image *b)
{
    for (size_t i = 0; i < a->n_features && a->n_features == b->n_features; i++) {
        if (strcmp(a->features[i].name, b->features[i].name) != 0 ||
            a->features[i].level != b->features[i].level) {
            return false;
        }
    }
    return a->n_features == b->n_features;
}

void image_compare(const struct image *from, const struct image *to,
                   const struct image_listener *listener, void *arg)
{
    const struct teller teller = { listener, arg };
    compare_brokers(&teller, from, to);
    compare_resources(&teller, to, from, true);
    compare_resources(&teller, from, to, false);
    compare_topics(&teller, from, to);
    if (!features_equal(from, to)) {
        TELL(&teller, features_changed);
    }
}
