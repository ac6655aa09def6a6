/* What the tests of the metadata as a whole share: a node on a loop, and requests that are waited
 * for. */
#ifndef CHRONIK_TESTS_META_META_CASE_H
#define CHRONIK_TESTS_META_META_CASE_H

#include "../io/io_test.h"

#include <chronik/base/arena.h>
#include <chronik/io/timer.h>
#include <chronik/meta/meta.h>
#include <chronik/wire/codec.h>

struct meta_case {
    struct loop *loop;
    struct meta *meta;
    struct diag diag;
    int error;         /* of opening, or of failing */
    char message[512];
    bool opened, failed, closed, lost;
    unsigned contacts_changed;
    unsigned topics_created, topics_deleted, partitions_changed, configs_changed, brokers_changed;
};

static inline void quiet(struct diag *diag, enum diag_level level, enum diag_module module,
                         const char *message)
{
    (void)diag, (void)level, (void)module, (void)message;
}

static inline void meta_case_opened(void *arg, int error, const char *message)
{
    struct meta_case *c = arg;
    c->opened = true;
    c->error = error;
    snprintf(c->message, sizeof c->message, "%s", message);
    loop_stop(c->loop);
}

static inline void meta_case_failed(void *arg, int error, const char *message)
{
    struct meta_case *c = arg;
    c->failed = true;
    c->error = error;
    snprintf(c->message, sizeof c->message, "%s", message);
    loop_stop(c->loop);
}

static inline void meta_case_controller(void *arg, int32_t controller)
{
    (void)arg, (void)controller;
}

static inline void meta_case_contact(void *arg, bool lost)
{
    struct meta_case *c = arg;
    c->lost = lost;
    c->contacts_changed++;
}

static inline void meta_case_created(void *arg, const struct image_topic *topic)
{
    (void)topic;
    ((struct meta_case *)arg)->topics_created++;
}

static inline void meta_case_deleted(void *arg, const struct image_topic *topic)
{
    (void)topic;
    ((struct meta_case *)arg)->topics_deleted++;
}

static inline void meta_case_partition(void *arg, const struct image_topic *topic,
                                       int32_t partition)
{
    (void)topic, (void)partition;
    ((struct meta_case *)arg)->partitions_changed++;
}

static inline void meta_case_configs(void *arg, enum image_resource type, struct text name)
{
    (void)type, (void)name;
    ((struct meta_case *)arg)->configs_changed++;
}

static inline void meta_case_broker(void *arg, const struct image_broker *broker)
{
    (void)broker;
    ((struct meta_case *)arg)->brokers_changed++;
}

static const struct meta_events META_CASE_EVENTS = {
    .opened = meta_case_opened,
    .failed = meta_case_failed,
    .controller_changed = meta_case_controller,
    .contact_changed = meta_case_contact,
    .changes = { .topic_created = meta_case_created, .topic_deleted = meta_case_deleted,
                 .partition_changed = meta_case_partition, .configs_changed = meta_case_configs,
                 .broker_changed = meta_case_broker },
};

static inline void meta_case_begin(struct meta_case *c, struct loop *loop)
{
    *c = (struct meta_case){ .loop = loop };
    diag_init(&c->diag, DIAG_ERROR, quiet);
}

/* A node of a group of one; `life` tells its lives apart. */
static inline struct meta_config meta_case_config(struct meta_case *c, uint8_t life)
{
    static const struct meta_voter self = { .id = 7, .address = "localhost:9093" };
    return (struct meta_config){ .node_id = 7, .incarnation = { { 1, life } }, .voters = &self,
                                 .n_voters = 1, .default_partitions = 1,
                                 .default_replication = 3, .diag = &c->diag };
}

/* Opens a directory: true when that went well. */
static inline bool meta_case_open(struct meta_case *c, struct loop *loop, const char *dir,
                                  uint8_t life)
{
    meta_case_begin(c, loop);
    struct meta_config config = meta_case_config(c, life);
    c->meta = meta_open(loop, dir, &config, &META_CASE_EVENTS, c);
    while (!c->opened) {
        loop_run(loop);
    }
    return c->error == 0;
}

static inline void meta_case_closed(void *arg)
{
    struct meta_case *c = arg;
    c->closed = true;
    loop_stop(c->loop);
}

static inline void meta_case_close(struct meta_case *c)
{
    meta_close(c->meta, meta_case_closed, c);
    while (!c->closed) {
        loop_run(c->loop);
    }
    meta_free(c->meta);
    c->meta = NULL;
}

/* An answer that is waited for: a copy of the response. */
struct answer {
    struct loop *loop;
    enum meta_request_kind kind;
    struct arena arena;
    void *response; /* NULL: none */
    enum kafka_error error;
    unsigned times;
};

extern const struct wire_api *const meta_requests[];

static inline void answered(void *arg, enum kafka_error error, const void *response)
{
    struct answer *a = arg;
    a->times++;
    a->error = error;
    if (response != NULL) {
        const struct wire_struct *s = meta_requests[a->kind - 1]->response;
        struct chain chain = { 0 };
        wire_encode(s, 0, true, response, &chain);
        uint8_t *bytes = arena_alloc(&a->arena, chain.len);
        chain_copy(&chain, bytes);
        a->response = arena_zalloc(&a->arena, s->size);
        wire_decode(s, 0, true, bytes_of(bytes, chain.len), &a->arena, a->response, NULL);
        chain_release(&chain);
    }
    loop_stop(a->loop);
}

static inline void answer_init(struct answer *a, struct loop *loop, enum meta_request_kind kind)
{
    *a = (struct answer){ .loop = loop, .kind = kind };
    arena_init(&a->arena, 0);
}

/* Asks, and waits for the answer; the caller releases it. */
static inline void ask_and_wait(struct meta_case *c, enum meta_request_kind kind,
                                const void *request, struct answer *a)
{
    answer_init(a, c->loop, kind);
    meta_ask(c->meta, kind, request, loop_now_ns(c->loop) + 20 * NS_PER_S, answered, a);
    while (a->times == 0) {
        loop_run(c->loop);
    }
    assert_int_equal(a->times, 1);
}

static inline void answer_release(struct answer *a)
{
    arena_release(&a->arena);
}

static inline int64_t meta_case_register(struct meta_case *c, int64_t previous_epoch, uint8_t life)
{
    struct uuid directory = { { 9, 9 } };
    struct meta_register_broker_request_endpoint endpoint = {
        .listener = text_of("PLAINTEXT"), .host = text_of("localhost"), .port = 9092 };
    const struct meta_register_broker_request request = {
        .incarnation = { { 1, life } }, .raft_directory = meta_directory_id(c->meta),
        .cluster_id = text_of(""), .previous_epoch = previous_epoch, .endpoints = &endpoint,
        .n_endpoints = 1, .directories = &directory, .n_directories = 1 };
    struct answer a;
    ask_and_wait(c, META_REGISTER_BROKER, &request, &a);
    const struct meta_register_broker_response *r = a.response;
    assert_int_equal(a.error, KAFKA_NONE);
    assert_int_equal(r->error, KAFKA_NONE);
    int64_t epoch = r->epoch;
    answer_release(&a);
    return epoch;
}

static inline void meta_case_serve(struct meta_case *c, bool fenced, bool stopping)
{
    const struct meta_broker_state_request request = { .epoch = meta_broker_epoch(c->meta),
                                                       .fenced = fenced, .stopping = stopping };
    struct answer a;
    ask_and_wait(c, META_BROKER_STATE, &request, &a);
    const struct meta_broker_state_response *r = a.response;
    assert_int_equal(r->error, KAFKA_NONE);
    answer_release(&a);
}

/* Creates one topic; the error that the answer gives. */
static inline enum kafka_error meta_case_create(struct meta_case *c, const char *name,
                                                int32_t partitions)
{
    struct meta_create_topics_request_topic topic = { .name = text_of(name),
                                                      .partitions = partitions,
                                                      .replication = -1 };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    struct answer a;
    ask_and_wait(c, META_CREATE_TOPICS, &request, &a);
    enum kafka_error error = a.error;
    if (error == KAFKA_NONE) {
        const struct meta_create_topics_response *r = a.response;
        assert_int_equal(r->n_topics, 1);
        error = (enum kafka_error)r->topics[0].error;
    }
    answer_release(&a);
    return error;
}

#endif
