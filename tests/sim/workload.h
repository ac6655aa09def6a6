/* What simulated clients do: make topics, produce to them, consume from them. */
#ifndef CHRONIK_TESTS_SIM_WORKLOAD_H
#define CHRONIK_TESTS_SIM_WORKLOAD_H

#include <chronik/wire/records.h>

#include "client.h"
#include "history.h"

/* ---- who leads what, as one client knows it ---------------------------------------------------*/

/* Keys are partitions of a few topics; key k is partition `k - first key of the topic`. */
struct map_of_leaders {
    struct client *client;
    const struct history *history;
    int32_t *leaders; /* node number (from 0 on) of each key; -1: not known */
    int32_t *epochs;  /* in which it leads */
    bool asking;
    struct timer again;
    void (*changed)(void *arg);
    void *arg;
};

void leaders_init(struct map_of_leaders *leaders, struct client *client,
                  const struct history *history, void (*changed)(void *arg), void *arg);
void leaders_release(struct map_of_leaders *leaders);

/* Asks some node, soon. */
void leaders_refresh(struct map_of_leaders *leaders);

/* ---- producers --------------------------------------------------------------------------------*/

struct producer_habits {
    int16_t acks;
    bool idempotent;
    unsigned window;      /* batches under way for a key */
    unsigned records_max; /* of a batch */
    size_t bytes_max;     /* of a value */
    uint64_t pause_ns;    /* between batches, about */
    uint64_t timeout_ns;
    enum codec codec;
};

struct producer;

struct producer *producer_new(struct client *client, struct history *history, unsigned number,
                              const struct producer_habits *habits);
void producer_free(struct producer *producer);

/* Writes no new records, and finishes what it has begun. Is that done? */
void producer_finish(struct producer *producer);
bool producer_is_done(const struct producer *producer);

/* ---- consumers --------------------------------------------------------------------------------*/

struct consumer;

/* Reads every key from its beginning, and tells the history under that name. */
struct consumer *consumer_new(struct client *client, struct history *history,
                              enum history_reader name);
void consumer_free(struct consumer *consumer);

/* Has it read everything that was acknowledged, or read by others, and as far as the nodes say
 * there is something? */
bool consumer_is_done(const struct consumer *consumer);

/* Says on the trace what it waits for. */
void consumer_explain(const struct consumer *consumer);

/* ---- topics -----------------------------------------------------------------------------------*/

struct topic_maker;

/* Makes a topic, again and again until it is there. `configs`: "name=value name=value". */
struct topic_maker *topic_maker_new(struct client *client, const char *topic, int32_t partitions,
                                    int16_t replication, const char *configs);
void topic_maker_free(struct topic_maker *maker);
bool topic_maker_is_done(const struct topic_maker *maker);

#endif
