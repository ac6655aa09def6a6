/* Building images by commands, as the controller would. */
#ifndef CHRONIK_TESTS_META_IMAGE_CASE_H
#define CHRONIK_TESTS_META_IMAGE_CASE_H

#include "../support/test.h"

#include "../../src/meta/controller.h"

/* Applies what a decision holds, as the next entry; the result of the last command. */
struct applying {
    struct apply_result last;
    unsigned n, n_refused;
};

static inline void note_applied(void *arg, const struct command_id *id, struct apply_result result)
{
    struct applying *a = arg;
    (void)id;
    a->last = result;
    a->n++;
    a->n_refused += result.error != KAFKA_NONE;
}

static inline struct applying apply_decision(struct image *image, const struct decision *d)
{
    struct applying a = { .n = 0 };
    struct buf entry = { 0 };
    decision_encode(d, image_base(image), &entry);
    assert_int_equal(entry.len % 8, 0);
    uint64_t next = image_index(image) + 1;
    assert_int_equal(image_apply(image, next, buf_bytes(&entry), note_applied, &a), 0);
    assert_int_equal(a.n, d->n);
    buf_release(&entry);
    return a;
}

/* One command of the controller itself as an entry. */
static inline struct apply_result apply_one(struct image *image, enum command_kind kind,
                                            const void *command)
{
    struct arena arena;
    struct decision d;
    const struct command_id id = { .node = -1 };
    arena_init(&arena, 0);
    decision_init(&d, &arena, &id, 1);
    decision_add(&d, kind, -1, command);
    struct apply_result result = apply_decision(image, &d).last;
    decision_release(&d);
    arena_release(&arena);
    return result;
}

static inline int64_t apply_register(struct image *image, int32_t id, uint8_t life,
                                     const char *rack)
{
    struct uuid directory = { { (uint8_t)id, 100 } };
    struct command_register_broker_endpoint endpoint = { .listener = text_of("PLAINTEXT"),
                                                         .host = text_of("h"),
                                                         .port = (uint16_t)(9000 + id) };
    const struct command_register_broker command = {
        .id = id, .incarnation = { { (uint8_t)id, life } }, .raft_directory = { { (uint8_t)id } },
        .rack = text_of(rack), .endpoints = &endpoint, .n_endpoints = 1,
        .directories = &directory, .n_directories = 1 };
    struct apply_result result = apply_one(image, COMMAND_REGISTER_BROKER, &command);
    assert_int_equal(result.error, KAFKA_NONE);
    return result.value;
}

static inline void apply_state(struct image *image, int32_t id, bool fenced)
{
    const struct command_set_broker_state command = {
        .id = id, .epoch = image_broker(image, id)->epoch, .fenced = fenced };
    assert_int_equal(apply_one(image, COMMAND_SET_BROKER_STATE, &command).error, KAFKA_NONE);
}

/* A cluster with brokers 1 to n, all serving; racks NULL or one letter for each. */
static inline struct image *image_with_brokers(unsigned n, const char *racks)
{
    struct image *image = image_new();
    const struct command_form_cluster form = { .cluster_id = text_of("cluster") };
    assert_int_equal(apply_one(image, COMMAND_FORM_CLUSTER, &form).error, KAFKA_NONE);
    for (unsigned i = 1; i <= n; i++) {
        char rack[2] = { racks ? racks[i - 1] : 0, 0 };
        apply_register(image, (int32_t)i, 1, racks ? rack : NULL);
        apply_state(image, (int32_t)i, false);
    }
    return image;
}

/* A topic whose partitions all have these replicas, all in sync. */
static inline struct apply_result apply_topic(struct image *image, const char *name, uint8_t id,
                                              int32_t partitions, const int32_t *replicas,
                                              int32_t n)
{
    struct command_create_partitions_partition p[64];
    struct command_create_partitions_made made = { .name = text_of(name) };
    assert_true(partitions <= 64);
    for (int32_t i = 0; i < partitions; i++) {
        p[i] = (struct command_create_partitions_partition){
            .leader = replicas[0], .replicas = (int32_t *)(uintptr_t)replicas, .n_replicas = n,
            .isr = (int32_t *)(uintptr_t)replicas, .n_isr = n, .n_directories = -1 };
    }
    const struct command_create_partitions command = { .topic_id = { { id } }, .made = &made,
                                                       .partitions = p,
                                                       .n_partitions = partitions };
    return apply_one(image, COMMAND_CREATE_PARTITIONS, &command);
}

static inline const struct image_partition *partition_of(const struct image *image,
                                                         const char *name, int32_t partition)
{
    const struct image_topic *topic = image_topic(image, text_of(name));
    return topic && partition < topic->n_partitions ? &topic->partitions[partition] : NULL;
}

static inline void assert_ids(const int32_t *ids, unsigned n, const char *expected)
{
    char text[256] = "";
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%d", i ? " " : "", (int)ids[i]);
    }
    assert_string_equal(text, expected);
}

#define assert_isr(p, expected) assert_ids((p)->isr, (p)->n_isr, expected)
#define assert_elr(p, expected) assert_ids((p)->elr, (p)->n_elr, expected)

#endif
