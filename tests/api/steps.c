/* Steps of the tests, written against the codec and nothing else. */
#include "steps.h"

#include <chronik/wire/records.h>

#include <time.h>

const char *const GROUP_SETTINGS[] = { "group.initial.rebalance.delay.ms=0",
                                       "group.min.session.timeout.ms=10", NULL };

static int start_with(void **state, const char *const *settings)
{
    struct daemon *daemon = mem_zalloc(sizeof *daemon);
    daemon_init(daemon);
    daemon_start(daemon, settings);
    *state = daemon;
    return 0;
}

int start_daemon(void **state)
{
    return start_with(state, NULL);
}

int start_daemon_for_groups(void **state)
{
    return start_with(state, GROUP_SETTINGS);
}

int stop_daemon(void **state)
{
    struct daemon *daemon = *state;
    daemon_stop(daemon);
    daemon_release(daemon);
    free(daemon);
    return 0;
}

struct uuid make_topic(struct client *client, const char *name, int32_t partitions,
                       const char *const *configs)
{
    struct create_topics_request_config items[16];
    struct create_topics_request_topic topic = create_topics_request_topic_default;
    struct create_topics_request in = create_topics_request_default;

    topic.name = text_of(name);
    topic.num_partitions = partitions;
    topic.replication_factor = -1;
    topic.configs = items;
    for (; configs != NULL && configs[topic.n_configs] != NULL; topic.n_configs++) {
        struct text value = text_of(configs[topic.n_configs]);
        items[topic.n_configs].name = text_cut(&value, '=');
        items[topic.n_configs].value = value.data ? value : text_of("");
    }
    in.topics = &topic;
    in.n_topics = 1;
    struct create_topics_response *out = CALL(client, create_topics, 7, &in);
    assert_int_equal(out->n_topics, 1);
    assert_error(out->topics[0].error, KAFKA_NONE);
    return out->topics[0].topic_id;
}

/* ---- records ----------------------------------------------------------------------------------*/

struct bytes make_batch(struct client *client, const char *prefix, int32_t n, int64_t timestamp)
{
    struct batch_builder b;
    batch_builder_init(&b);
    for (int32_t i = 0; i < n; i++) {
        char value[64];
        int len = snprintf(value, sizeof value, "%s-%d", prefix, i);
        batch_builder_add(&b, timestamp + i, bytes_of(NULL, 0), bytes_of(value, (size_t)len),
                          bytes_of(NULL, 0), 0);
    }
    struct bytes done = batch_builder_finish(&b);
    struct bytes copy = bytes_of(arena_dup(&client->arena, done.data, done.len), done.len);
    batch_builder_release(&b);
    return copy;
}

struct produce_response_partition *produce(struct client *client, int16_t version,
                                           const char *topic, int32_t partition, int16_t acks,
                                           struct bytes batch)
{
    struct produce_request_partition p = produce_request_partition_default;
    struct produce_request_topic t = produce_request_topic_default;
    struct produce_request in = produce_request_default;

    p.partition_index = partition;
    p.records.view = batch;
    t.name = text_of(topic);
    t.partitions = &p;
    t.n_partitions = 1;
    in.acks = acks;
    in.timeout_ms = 30000;
    in.topics = &t;
    in.n_topics = 1;
    struct produce_response *out = CALL(client, produce, version, &in);
    assert_int_equal(out->n_topics, 1);
    assert_int_equal(out->topics[0].n_partitions, 1);
    return &out->topics[0].partitions[0];
}

int64_t produce_some(struct client *client, const char *topic, int32_t partition, int32_t n)
{
    int64_t last = -1, now_ms = (int64_t)time(NULL) * 1000;
    for (int32_t i = 0; i < n; i++) {
        struct produce_response_partition *p =
            produce(client, 9, topic, partition, -1, make_batch(client, "record", 1, now_ms + i));
        assert_error(p->error, KAFKA_NONE);
        last = p->base_offset;
    }
    return last;
}

int64_t list_offset(struct client *client, const char *topic, int32_t partition,
                    int64_t timestamp)
{
    struct list_offsets_request_partition p = list_offsets_request_partition_default;
    struct list_offsets_request_topic t = list_offsets_request_topic_default;
    struct list_offsets_request in = list_offsets_request_default;

    p.partition_index = partition;
    p.current_leader_epoch = -1;
    p.timestamp = timestamp;
    t.name = text_of(topic);
    t.partitions = &p;
    t.n_partitions = 1;
    in.replica_id = -1;
    in.topics = &t;
    in.n_topics = 1;
    struct list_offsets_response *out = CALL(client, list_offsets, 7, &in);
    assert_error(out->topics[0].partitions[0].error, KAFKA_NONE);
    return out->topics[0].partitions[0].offset;
}
