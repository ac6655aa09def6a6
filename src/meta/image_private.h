/* The inside of an image, shared by image.c (finding and keeping), image_apply.c (commands) and
 * image_state.c (snapshots, comparison). */
#ifndef CHRONIK_SRC_META_IMAGE_PRIVATE_H
#define CHRONIK_SRC_META_IMAGE_PRIVATE_H

#include <chronik/meta/config.h>
#include <chronik/meta/image.h>

struct image_result {
    int64_t sequence;
    struct apply_result result;
};

/* A broker, and what became of its requests. */
struct broker_entry {
    struct image_broker broker;
    int64_t open;                 /* results are kept from this number on */
    struct image_result *results; /* by sequence number */
    size_t n_results, results_cap;
};

/* The settings of something that is not a topic. */
struct resource_entry {
    enum image_resource type;
    char *name;
    struct image_configs configs;
};

struct image {
    uint64_t index, base;
    char *cluster_id;
    int64_t next_producer_id;
    struct image_feature *features; /* by name */
    size_t n_features;
    struct broker_entry **brokers;  /* by id */
    size_t n_brokers;
    struct image_topic **topics;    /* by name */
    size_t n_topics, topics_cap, n_partitions;
    struct map topics_by_id;
    struct resource_entry *resources; /* by type and name */
    size_t n_resources;
    const struct image_listener *listener;
    void *listener_arg;
};

/* Calls one function of the listener, where it is set. */
#define TELL(image, event, ...)                                                                    \
    do {                                                                                           \
        if ((image)->listener != NULL && (image)->listener->event != NULL) {                       \
            (image)->listener->event((image)->listener_arg, ##__VA_ARGS__);                        \
        }                                                                                          \
    } while (0)

/* Names are kept as C strings, and sorted: one with a zero byte in it would have another place when
 * it is read back. */
static inline bool image_name_fits(struct text name)
{
    return memchr(name.data ? name.data : "", '\0', name.len) == NULL;
}

/* Finds or makes a broker; a new one is fenced. */
struct broker_entry *image_broker_entry(const struct image *image, int32_t id);
struct broker_entry *image_add_broker(struct image *image, int32_t id);

/* Empties what a registration sets. */
void image_clear_broker(struct image_broker *broker);

struct image_topic *image_find_topic(const struct image *image, const struct uuid *id);
struct image_topic *image_add_topic(struct image *image, const struct uuid *id, struct text name);
void image_remove_topic(struct image *image, struct image_topic *topic);

/* Makes room for `n` more partitions, without replicas; the first of them. */
struct image_partition *image_add_partitions(struct image *image, struct image_topic *topic,
                                             int32_t n);

/* A set of broker ids. */
struct id_list {
    const int32_t *ids;
    int32_t n;
};

/* Sets all lists of a partition at once; they may be parts of those it has. */
void image_set_lists(struct image_partition *p, struct id_list replicas, struct id_list isr,
                     struct id_list elr, struct id_list adding, struct id_list removing);

/* `directories` NULL: unassigned. */
void image_set_directories(struct image_partition *p, const struct uuid *directories);

/* The settings of a resource, made when missing; NULL for a topic that is not there. */
struct image_configs *image_own_configs(struct image *image, enum image_resource type,
                                        struct text name);
/* Forgets a resource that has no settings any more. */
void image_tidy_configs(struct image *image, enum image_resource type, struct text name);

void image_put_feature(struct image *image, struct text name, int16_t level);

void image_put_result(struct broker_entry *entry, int64_t sequence, struct apply_result result);

#endif
