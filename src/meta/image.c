/* What an image keeps, and how it is found: brokers, topics, resources and features in sorted
 * arrays, topics by id in a map. Arrays of pointers, so that what is pointed to stays where it
 * is. */
#include "image_private.h"

struct image *image_new(void)
{
    struct image *image = mem_zalloc(sizeof *image);
    image->cluster_id = mem_strdup("");
    map_init(&image->topics_by_id);
    return image;
}

static void free_partition(struct image_partition *p)
{
    free(p->replicas);
    free(p->directories);
}

static void free_topic(struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        free_partition(&topic->partitions[i]);
    }
    config_set_release(&topic->configs);
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

void image_clear_broker(struct image_broker *broker)
{
    for (unsigned i = 0; i < broker->n_endpoints; i++) {
        free(broker->endpoints[i].listener);
        free(broker->endpoints[i].host);
    }
    free(broker->endpoints);
    free(broker->directories);
    free(broker->rack);
    broker->endpoints = NULL;
    broker->directories = NULL;
    broker->rack = NULL;
    broker->n_endpoints = broker->n_directories = 0;
}

void image_free(struct image *image)
{
    if (image == NULL) {
        return;
    }
    for (size_t i = 0; i < image->n_topics; i++) {
        free_topic(image->topics[i]);
    }
    for (size_t i = 0; i < image->n_brokers; i++) {
        image_clear_broker(&image->brokers[i]->broker);
        free(image->brokers[i]->results);
        free(image->brokers[i]);
    }
    for (size_t i = 0; i < image->n_resources; i++) {
        config_set_release(&image->resources[i].configs);
        free(image->resources[i].name);
    }
    for (size_t i = 0; i < image->n_features; i++) {
        free(image->features[i].name);
    }
    map_release(&image->topics_by_id);
    free(image->topics);
    free(image->brokers);
    free(image->resources);
    free(image->features);
    free(image->cluster_id);
    free(image);
}

void image_listen(struct image *image, const struct image_listener *listener, void *arg)
{
    image->listener = listener;
    image->listener_arg = arg;
}

uint64_t image_index(const struct image *image)
{
    return image->index;
}

uint64_t image_base(const struct image *image)
{
    return image->base;
}

const char *image_cluster_id(const struct image *image)
{
    return image->cluster_id;
}

int64_t image_next_producer_id(const struct image *image)
{
    return image->next_producer_id;
}

/* ---- brokers ----------------------------------------------------------------------------------*/

/* The first broker whose id is not below `id`. */
static size_t broker_place(const struct image *image, int32_t id)
{
    size_t low = 0, high = image->n_brokers;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->brokers[middle]->broker.id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct broker_entry *image_broker_entry(const struct image *image, int32_t id)
{
    size_t at = broker_place(image, id);
    bool found = at < image->n_brokers && image->brokers[at]->broker.id == id;
    return found ? image->brokers[at] : NULL;
}

struct broker_entry *image_add_broker(struct image *image, int32_t id)
{
    struct broker_entry *entry = image_broker_entry(image, id);
    if (entry != NULL) {
        return entry;
    }
    size_t at = broker_place(image, id);
    entry = mem_zalloc(sizeof *entry);
    entry->broker = (struct image_broker){ .id = id, .epoch = -1, .fenced = true };
    image->brokers = mem_realloc_array(image->brokers, image->n_brokers + 1,
                                       sizeof(struct broker_entry *));
    memmove(&image->brokers[at + 1], &image->brokers[at],
            (image->n_brokers - at) * sizeof(struct broker_entry *));
    image->brokers[at] = entry;
    image->n_brokers++;
    return entry;
}

size_t image_broker_count(const struct image *image)
{
    return image->n_brokers;
}

const struct image_broker *image_broker_at(const struct image *image, size_t i)
{
    check(i < image->n_brokers);
    return &image->brokers[i]->broker;
}

const struct image_broker *image_broker(const struct image *image, int32_t id)
{
    const struct broker_entry *entry = image_broker_entry(image, id);
    return entry ? &entry->broker : NULL;
}

const struct image_directory *image_directory(const struct image_broker *broker,
                                              const struct uuid *id)
{
    for (unsigned i = 0; i < broker->n_directories; i++) {
        if (uuid_equal(&broker->directories[i].id, id)) {
            return &broker->directories[i];
        }
    }
    return NULL;
}

/* ---- results of requests ----------------------------------------------------------------------*/

void image_put_result(struct broker_entry *entry, int64_t sequence, struct apply_result result)
{
    entry->results = mem_grow(entry->results, &entry->results_cap, entry->n_results + 1,
                              sizeof *entry->results);
    size_t at = entry->n_results++;
    for (; at > 0 && entry->results[at - 1].sequence > sequence; at--) {
        entry->results[at] = entry->results[at - 1];
    }
    entry->results[at] = (struct image_result){ sequence, result };
}

bool image_find_result(const struct image *image, const struct command_id *id,
                       struct apply_result *ret_result)
{
    const struct broker_entry *entry = image_broker_entry(image, id->node);
    if (entry == NULL || !uuid_equal(&entry->broker.incarnation, &id->incarnation)) {
        return false;
    }
    for (size_t i = 0; i < entry->n_results; i++) {
        if (entry->results[i].sequence == id->sequence) {
            *ret_result = entry->results[i].result;
            return true;
        }
    }
    return false;
}

/* ---- topics -----------------------------------------------------------------------------------*/

size_t image_topic_count(const struct image *image)
{
    return image->n_topics;
}

size_t image_partition_count(const struct image *image)
{
    return image->n_partitions;
}

const struct image_topic *image_topic_at(const struct image *image, size_t i)
{
    check(i < image->n_topics);
    return image->topics[i];
}

size_t image_topic_from(const struct image *image, struct text name)
{
    size_t low = 0, high = image->n_topics;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (text_compare(text_of(image->topics[middle]->name), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct image_topic *image_topic(const struct image *image, struct text name)
{
    size_t at = image_topic_from(image, name);
    bool found = at < image->n_topics && text_equal(text_of(image->topics[at]->name), name);
    return found ? image->topics[at] : NULL;
}

static bool topic_has_id(const struct map_node *node, const void *key)
{
    return uuid_equal(&container_of(node, struct image_topic, by_id)->id, key);
}

static uint64_t id_hash(const struct uuid *id)
{
    return hash_bytes(0, id->bytes, sizeof id->bytes);
}

struct image_topic *image_find_topic(const struct image *image, const struct uuid *id)
{
    struct map_node *node = map_find(&image->topics_by_id, id_hash(id), topic_has_id, id);
    return node ? container_of(node, struct image_topic, by_id) : NULL;
}

const struct image_topic *image_topic_by_id(const struct image *image, const struct uuid *id)
{
    return image_find_topic(image, id);
}

const struct image_partition *image_partition(const struct image *image,
                                              const struct uuid *topic_id, int32_t partition)
{
    const struct image_topic *topic = image_topic_by_id(image, topic_id);
    bool there = topic != NULL && partition >= 0 && partition < topic->n_partitions;
    return there ? &topic->partitions[partition] : NULL;
}

struct image_topic *image_add_topic(struct image *image, const struct uuid *id, struct text name)
{
    size_t at = image_topic_from(image, name);
    struct image_topic *topic = mem_zalloc(sizeof *topic);
    topic->id = *id;
    topic->name = text_dup(name);
    image->topics = mem_grow(image->topics, &image->topics_cap, image->n_topics + 1,
                             sizeof(struct image_topic *));
    memmove(&image->topics[at + 1], &image->topics[at],
            (image->n_topics - at) * sizeof(struct image_topic *));
    image->topics[at] = topic;
    image->n_topics++;
    map_insert(&image->topics_by_id, &topic->by_id, id_hash(id));
    return topic;
}

void image_remove_topic(struct image *image, struct image_topic *topic)
{
    size_t at = image_topic_from(image, text_of(topic->name));
    check(image->topics[at] == topic);
    image->n_topics--;
    image->n_partitions -= (size_t)topic->n_partitions;
    memmove(&image->topics[at], &image->topics[at + 1],
            (image->n_topics - at) * sizeof(struct image_topic *));
    map_remove(&image->topics_by_id, &topic->by_id);
    free_topic(topic);
}

/* ---- partitions -------------------------------------------------------------------------------*/

struct image_partition *image_add_partitions(struct image *image, struct image_topic *topic,
                                             int32_t n)
{
    int32_t first = topic->n_partitions;
    topic->n_partitions += n;
    topic->partitions = mem_realloc_array(topic->partitions, (size_t)topic->n_partitions,
                                          sizeof *topic->partitions);
    memset(&topic->partitions[first], 0, (size_t)n * sizeof *topic->partitions);
    image->n_partitions += (size_t)n;
    return &topic->partitions[first];
}

static int32_t *put_ids(int32_t *to, struct id_list list)
{
    if (list.n > 0) {
        memcpy(to, list.ids, (size_t)list.n * sizeof *to);
    }
    return to + list.n;
}

void image_set_lists(struct image_partition *p, struct id_list replicas, struct id_list isr,
                     struct id_list elr, struct id_list adding, struct id_list removing)
{
    size_t n = (size_t)(replicas.n + isr.n + elr.n + adding.n + removing.n);
    int32_t *ids = mem_alloc(n * sizeof *ids), *before = p->replicas;
    p->replicas = ids;
    p->isr = put_ids(p->replicas, replicas);
    p->elr = put_ids(p->isr, isr);
    p->adding = put_ids(p->elr, elr);
    p->removing = put_ids(p->adding, adding);
    put_ids(p->removing, removing);
    p->n_replicas = (uint8_t)replicas.n;
    p->n_isr = (uint8_t)isr.n;
    p->n_elr = (uint8_t)elr.n;
    p->n_adding = (uint8_t)adding.n;
    p->n_removing = (uint8_t)removing.n;
    free(before);
}

void image_set_directories(struct image_partition *p, const struct uuid *directories)
{
    struct uuid *before = p->directories;
    p->directories = directories ? mem_dup(directories, p->n_replicas * sizeof *directories) : NULL;
    free(before);
}

/* ---- settings ---------------------------------------------------------------------------------*/

static int resource_order(const struct resource_entry *entry, enum image_resource type,
                          struct text name)
{
    return entry->type != type ? (int)entry->type - (int)type
                               : text_compare(text_of(entry->name), name);
}

static size_t resource_place(const struct image *image, enum image_resource type, struct text name)
{
    size_t low = 0, high = image->n_resources;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (resource_order(&image->resources[middle], type, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct resource_entry *find_resource(const struct image *image, enum image_resource type,
                                            struct text name)
{
    size_t at = resource_place(image, type, name);
    bool found = at < image->n_resources &&
                 resource_order(&image->resources[at], type, name) == 0;
    return found ? &image->resources[at] : NULL;
}

const struct image_configs *image_configs(const struct image *image, enum image_resource type,
                                          struct text name)
{
    if (type == IMAGE_TOPIC) {
        const struct image_topic *topic = image_topic(image, name);
        return topic && topic->configs.n > 0 ? &topic->configs : NULL;
    }
    const struct resource_entry *entry = find_resource(image, type, name);
    return entry ? &entry->configs : NULL;
}

struct text image_config(const struct image_configs *configs, struct text name)
{
    return text_of(config_set_get(configs, name));
}

struct image_configs *image_own_configs(struct image *image, enum image_resource type,
                                        struct text name)
{
    if (type == IMAGE_TOPIC) {
        struct image_topic *topic = (struct image_topic *)(uintptr_t)image_topic(image, name);
        return topic ? &topic->configs : NULL;
    }
    struct resource_entry *entry = find_resource(image, type, name);
    if (entry == NULL) {
        size_t at = resource_place(image, type, name);
        image->resources = mem_realloc_array(image->resources, image->n_resources + 1,
                                             sizeof *image->resources);
        entry = &image->resources[at];
        memmove(entry + 1, entry, (image->n_resources - at) * sizeof *entry);
        *entry = (struct resource_entry){ .type = type, .name = text_dup(name) };
        image->n_resources++;
    }
    return &entry->configs;
}

void image_tidy_configs(struct image *image, enum image_resource type, struct text name)
{
    struct resource_entry *entry = find_resource(image, type, name);
    if (entry != NULL && entry->configs.n == 0) {
        size_t at = (size_t)(entry - image->resources);
        config_set_release(&entry->configs);
        free(entry->name);
        image->n_resources--;
        memmove(entry, entry + 1, (image->n_resources - at) * sizeof *entry);
    }
}

/* ---- features ---------------------------------------------------------------------------------*/

static size_t feature_place(const struct image *image, struct text name, bool *ret_found)
{
    size_t at = 0;
    while (at < image->n_features &&
           text_compare(text_of(image->features[at].name), name) < 0) {
        at++;
    }
    *ret_found = at < image->n_features && text_is(name, image->features[at].name);
    return at;
}

int16_t image_feature(const struct image *image, struct text name)
{
    bool found;
    size_t at = feature_place(image, name, &found);
    return found ? image->features[at].level : 0;
}

size_t image_feature_count(const struct image *image)
{
    return image->n_features;
}

const struct image_feature *image_feature_at(const struct image *image, size_t i)
{
    check(i < image->n_features);
    return &image->features[i];
}

static void insert_feature(struct image *image, size_t at, struct text name, int16_t level)
{
    image->features = mem_realloc_array(image->features, image->n_features + 1,
                                        sizeof *image->features);
    struct image_feature *f = &image->features[at];
    memmove(f + 1, f, (image->n_features - at) * sizeof *f);
    *f = (struct image_feature){ .name = text_dup(name), .level = level };
    image->n_features++;
}

static void remove_feature(struct image *image, size_t at)
{
    struct image_feature *f = &image->features[at];
    free(f->name);
    image->n_features--;
    memmove(f, f + 1, (image->n_features - at) * sizeof *f);
}

void image_put_feature(struct image *image, struct text name, int16_t level)
{
    bool found;
    size_t at = feature_place(image, name, &found);
    if (found && level == 0) {
        remove_feature(image, at);
    } else if (found) {
        image->features[at].level = level;
    } else if (level != 0) {
        insert_feature(image, at, name, level);
    }
}
