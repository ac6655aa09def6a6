/* Making topics: the request is repeated until somebody says that the topic is there. */
#include "workload.h"

#include "world.h"

enum { CREATE_VERSION = 5, CONFIGS_MAX = 16 };

struct topic_maker {
    struct client *client;
    char *topic, *configs;
    int32_t partitions;
    int16_t replication;
    struct timer again;
    bool done;
};

static void answered(void *arg, const void *response)
{
    struct topic_maker *maker = arg;
    const struct create_topics_response *in = response;
    int16_t error = in != NULL && in->n_topics == 1 ? in->topics[0].error : KAFKA_REQUEST_TIMED_OUT;
    if (error == KAFKA_NONE || error == KAFKA_TOPIC_ALREADY_EXISTS) {
        maker->done = true;
        return;
    }
    if (error != KAFKA_REQUEST_TIMED_OUT && error != KAFKA_INVALID_REPLICATION_FACTOR &&
        error != KAFKA_NOT_CONTROLLER) {
        world_fail("cannot make topic %s: %s %.*s", maker->topic,
                   kafka_error_name((enum kafka_error)error),
                   TEXT_ARG(in->topics[0].error_message));
    }
    timer_set_in(&maker->again, between(20, 200) * NS_PER_MS);
}

static void ask(struct timer *timer)
{
    struct topic_maker *maker = container_of(timer, struct topic_maker, again);
    struct create_topics_request_config configs[CONFIGS_MAX];
    struct text rest = text_of(maker->configs);
    int32_t n = 0;
    while (rest.data != NULL && rest.len > 0) {
        struct text value = text_cut(&rest, ' '), name = text_cut(&value, '=');
        check(n < CONFIGS_MAX);
        configs[n++] = (struct create_topics_request_config){ .name = name, .value = value };
    }
    struct create_topics_request_topic topic = {
        .name = text_of(maker->topic),
        .num_partitions = maker->partitions,
        .replication_factor = maker->replication,
        .configs = configs,
        .n_configs = n,
    };
    const struct create_topics_request request = { .topics = &topic,
                                                   .n_topics = 1,
                                                   .timeout_ms = 1000 };
    unsigned node = (unsigned)prng_below(&world->prng, maker->client->n_nodes);
    client_ask(maker->client, node, &wire_create_topics, CREATE_VERSION, &request, 1200 * NS_PER_MS,
               answered, maker);
}

struct topic_maker *topic_maker_new(struct client *client, const char *topic, int32_t partitions,
                                    int16_t replication, const char *configs)
{
    struct topic_maker *maker = mem_zalloc(sizeof *maker);
    maker->client = client;
    maker->topic = mem_strdup(topic);
    maker->configs = mem_strdup(configs);
    maker->partitions = partitions;
    maker->replication = replication;
    timer_init(&maker->again, client->machine->loop, ask);
    timer_set_in(&maker->again, 0);
    return maker;
}

void topic_maker_free(struct topic_maker *maker)
{
    timer_cancel(&maker->again);
    free(maker->topic);
    free(maker->configs);
    free(maker);
}

bool topic_maker_is_done(const struct topic_maker *maker)
{
    return maker->done;
}
