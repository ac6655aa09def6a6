/* Topics for the load: created, and waited for. */
#include "loadgen.h"

#include <stdio.h>
#include <unistd.h>

enum { CREATE_VERSION = 5, METADATA_VERSION = 9, LIST_VERSION = 5, POLL_US = 2000 };

static void name_topic(const char *name, int64_t i, int64_t n, char *to, size_t size)
{
    snprintf(to, size, n == 1 ? "%s" : "%s-%ld", name, (long)i);
}

/* 1 when the topic is there, 0 when that has to be tried again, as while a broker starts (no broker
 * has registered yet: INVALID_REPLICATION_FACTOR), -1 when the connection broke. */
static int create(struct conn *conn, const char *name, int64_t n_partitions, struct arena *arena)
{
    struct create_topics_request_topic topic = create_topics_request_topic_default;
    struct create_topics_request request = create_topics_request_default;
    struct create_topics_response response;
    topic.name = text_of(name);
    topic.num_partitions = (int32_t)n_partitions;
    topic.replication_factor = -1;
    request.topics = &topic;
    request.n_topics = 1;
    if (!conn_try_call(conn, &wire_create_topics, CREATE_VERSION, &request, arena, &response)) {
        return -1;
    }
    enum kafka_error error = (enum kafka_error)response.topics[0].error;
    if (error == KAFKA_NONE || error == KAFKA_TOPIC_ALREADY_EXISTS) {
        return 1;
    }
    if (!kafka_error_retriable(error) && error != KAFKA_INVALID_REPLICATION_FACTOR) {
        fail("cannot create %s: %s", name, kafka_error_name(error));
    }
    return 0;
}

/* Has every partition of the topic a leader? -1, 0, 1 as above. */
static int is_led(struct conn *conn, const char *name, int64_t n_partitions, struct arena *arena)
{
    struct metadata_request_topic topic = metadata_request_topic_default;
    struct metadata_request request = metadata_request_default;
    struct metadata_response response;
    topic.name = text_of(name);
    request.topics = &topic;
    request.n_topics = 1;
    request.allow_auto_topic_creation = false;
    if (!conn_try_call(conn, &wire_metadata, METADATA_VERSION, &request, arena, &response)) {
        return -1;
    }
    const struct metadata_response_topic *t = response.topics;
    if (response.n_topics != 1 || t->error != KAFKA_NONE || t->n_partitions < n_partitions) {
        return 0;
    }
    for (int32_t i = 0; i < t->n_partitions; i++) {
        if (t->partitions[i].error != KAFKA_NONE || t->partitions[i].leader_id < 0) {
            return 0;
        }
    }
    return 1;
}

/* Does the leader of every partition know that it is? What Metadata says may run ahead of that.
 * Only those that this node leads can be asked. */
static int is_served(struct conn *conn, const char *name, int64_t n_partitions,
                     struct arena *arena)
{
    struct list_offsets_request_partition *partitions =
        mem_alloc((size_t)n_partitions * sizeof *partitions);
    for (int64_t i = 0; i < n_partitions; i++) {
        partitions[i] = list_offsets_request_partition_default;
        partitions[i].partition_index = (int32_t)i;
        partitions[i].timestamp = -1; /* the latest */
    }
    struct list_offsets_request_topic topic = { .name = text_of(name),
                                                .partitions = partitions,
                                                .n_partitions = (int32_t)n_partitions };
    struct list_offsets_request request = list_offsets_request_default;
    struct list_offsets_response response;
    request.replica_id = -1;
    request.topics = &topic;
    request.n_topics = 1;
    bool ok = conn_try_call(conn, &wire_list_offsets, LIST_VERSION, &request, arena, &response);
    free(partitions);
    if (!ok) {
        return -1;
    }
    for (int32_t i = 0; i < response.topics[0].n_partitions; i++) {
        enum kafka_error error = (enum kafka_error)response.topics[0].partitions[i].error;
        if (error != KAFKA_NONE && error != KAFKA_NOT_LEADER_OR_FOLLOWER) {
            return 0;
        }
    }
    return 1;
}

/* The null sink lists no brokers: it is where we are connected to. */
static struct sockaddr_in address_of(const struct metadata_response *response, int32_t node,
                                     const struct options *o)
{
    for (int32_t i = 0; i < response->n_brokers; i++) {
        const struct metadata_response_broker *broker = &response->brokers[i];
        if (broker->node_id == node) {
            char text[300];
            snprintf(text, sizeof text, "%.*s:%d", TEXT_ARG(broker->host), (int)broker->port);
            return client_address(text);
        }
    }
    return client_address(o->connect);
}

void topics_leaders(struct conn *conn, const struct options *o, struct sockaddr_in *ret_at)
{
    struct metadata_request_topic topic = metadata_request_topic_default;
    struct metadata_request request = metadata_request_default;
    struct metadata_response response;
    struct arena arena;
    topic.name = text_of(o->topic);
    request.topics = &topic;
    request.n_topics = 1;
    request.allow_auto_topic_creation = false;
    arena_init(&arena, 0);
    conn_call(conn, &wire_metadata, METADATA_VERSION, &request, &arena, &response);
    const struct metadata_response_topic *t = response.topics;
    for (int32_t i = 0; i < t->n_partitions; i++) {
        const struct metadata_response_partition *p = &t->partitions[i];
        if (p->partition_index < o->partitions) {
            ret_at[p->partition_index] = address_of(&response, p->leader_id, o);
        }
    }
    arena_release(&arena);
}

bool topics_create(struct conn *conn, const char *name, int64_t n_topics, int64_t n_partitions)
{
    static int (*const STEPS[])(struct conn *, const char *, int64_t, struct arena *) = {
        create, is_led, is_served
    };
    struct arena arena;
    int done = 1;
    arena_init(&arena, 0);
    for (int64_t i = 0; done == 1 && i < n_topics; i++) {
        char full[300];
        name_topic(name, i, n_topics, full, sizeof full);
        for (size_t s = 0; done == 1 && s < countof(STEPS); s++) {
            while ((done = STEPS[s](conn, full, n_partitions, &arena)) == 0) {
                usleep(POLL_US);
            }
        }
    }
    arena_release(&arena);
    return done == 1;
}

void run_create(const struct options *o)
{
    struct sockaddr_in at = client_address(o->connect);
    struct conn conn;
    conn_open(&conn, &at);
    uint64_t begin = now_ns();
    if (!topics_create(&conn, o->topic, o->topics, o->partitions)) {
        fail("create: the connection broke");
    }
    printf("mode=create topics=%ld partitions=%ld ms=%.1f\n", (long)o->topics,
           (long)(o->topics * o->partitions), (double)(now_ns() - begin) / 1e6);
    conn_close(&conn);
}
