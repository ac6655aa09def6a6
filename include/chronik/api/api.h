/* What the handlers work with: the parts of the broker, and what several handlers need.
 *
 * Requests come in through api_handle(). Until the broker has its metadata and its logs, those that
 * need them wait; ApiVersions does not. */
#ifndef CHRONIK_API_API_H
#define CHRONIK_API_API_H

#include <chronik/api/producer_ids.h>
#include <chronik/api/table.h>
#include <chronik/base/diag.h>
#include <chronik/base/metric.h>
#include <chronik/meta/meta.h>
#include <chronik/replica/fetch.h>
#include <chronik/wire/compress.h>

enum { API_KEYS = 128 }; /* above every key that is served */

struct coord;

struct api {
    struct loop *loop;
    struct diag *diag;
    int32_t node_id;
    struct meta *meta;
    struct store *store;
    struct replicas *replicas;
    struct coord *coord;
    const struct image_configs *file; /* settings of file, environment and command line */
    uint8_t start_levels[DIAG_MODULE_COUNT]; /* of messages, when the broker started */

    struct session_cache sessions;
    struct producer_ids producer_ids;
    bool ready;
    struct list waiting; /* struct request, until the broker is ready */
    struct list no_room; /* Produce requests that wait until the logs have room, first come first */
    struct timer patience;
    struct codec_scratch scratch; /* of whoever opens a batch on the loop */
    struct metric_histogram latency[API_KEYS]; /* by key, of requests that are answered */
};

void api_init(struct api *api, struct loop *loop, struct diag *diag,
              const struct image_configs *file);
void api_release(struct api *api);

/* The broker can serve: the waiting requests begin. `meta`, `store` and `replicas` are set. */
void api_start(struct api *api);

/* The store has room again. */
void produce_has_room(struct api *api);

/* Hands a request to its handler, now or when the broker is ready. */
void api_handle(struct request *request);

void api_metrics(struct api *api, struct metrics *metrics);

/* ---- shared by handlers -----------------------------------------------------------------------*/

/* The broker configs in force here: file under what was changed at run time. */
struct config_layers api_config(const struct api *api);

/* Where clients of that listener reach a broker; NULL when it has no such listener. */
const struct image_endpoint *api_endpoint(const struct image_broker *broker, const char *listener);

/* A topic that a request names by id (where it is not zero), or else by name. NULL: unknown, then
 * `*ret_error` is UNKNOWN_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION. */
const struct image_topic *api_topic(const struct api *api, const struct uuid *id, struct text name,
                                    enum kafka_error *ret_error);

/* The replica on this node; else NULL and why: UNKNOWN_TOPIC_OR_PARTITION or
 * NOT_LEADER_OR_FOLLOWER. */
struct partition *api_partition(const struct topic_replicas *topic, int32_t index,
                                enum kafka_error *ret_error);

/* Node ids of a partition's replicas, of those in sync, and of those whose broker is down;
 * copies that live as long as the request. */
struct api_replicas {
    int32_t *replicas, *isr, *offline;
    int32_t n_replicas, n_isr, n_offline;
};

/* Fills the sets; they live as long as the request. */
void api_replicas(struct request *request, const struct image_partition *partition,
                  struct api_replicas *ret_sets);

/* What may be done with a topic and with the cluster when there is no authorizer: all there is.
 * Bit n is operation n of the ACL protocol (3 read, 4 write, 5 create, 6 delete, 7 alter, 8
 * describe, 9 cluster action, 10 and 11 describe and alter configs, 12 idempotent write). */
enum { API_TOPIC_OPERATIONS = 0x0df8, API_CLUSTER_OPERATIONS = 0x1fa0 };

/* Which of a request's names come more than once: Kafka refuses those, or answers them once. */
enum api_repeat {
    API_ONCE,
    API_FIRST, /* comes again further down */
    API_AGAIN, /* came before */
};

/* For each of `n` names, an enum api_repeat; lives as long as the request. */
const uint8_t *api_repeats(struct request *request, const struct text *names, size_t n);

/* Does a number come more than once? */
bool api_number_repeats(struct request *request, const int32_t *numbers, size_t n);

/* Topics, partitions or settings that one request may create, delete or change; beyond it all of
 * the request is refused with POLICY_VIOLATION and this message, as with Apache Kafka. */
enum { API_BATCH_MAX = 10000 };
#define API_BATCH_MESSAGE                                                                          \
    "Too much for one request: it may concern 10000 topics, partitions or settings in all."

/* Has the answer grown so large in memory that nothing more may be added to it? What a short
 * request makes a broker say has to end somewhere; the rest gets POLICY_VIOLATION and this
 * message. */
bool api_reply_is_full(const struct request *request);
#define API_REPLY_MESSAGE "Too much for one answer: ask for fewer at a time."

/* A message for a reply: a copy that lives as long as the request, cut where it gets long (it
 * may repeat what a client sent, and older versions carry no more than 32767 bytes). Null stays
 * null. */
struct text api_message(struct request *request, struct text message);

/* May a topic have this name? Else a sentence that says why not, in the request's memory. */
bool api_topic_name_ok(struct request *request, struct text name, struct text *ret_message);

/* Does the name of a broker resource mean this node? KAFKA_NONE, or INVALID_REQUEST and why not:
 * the settings of a broker are asked of, and changed at, the broker itself. */
enum kafka_error api_check_node(struct request *request, struct text name,
                                struct text *ret_message);

/* Goes on with a long answer in the next turn of the loop: one request must not hold up the others.
 * `go_on` is called in the events step. */
void api_yield(struct request *request, void (*go_on)(struct request *request));

/* Configs that are described in one turn, about a millisecond's worth. */
enum { API_CONFIGS_PER_TURN = 500 };

/* Where a client is, as Kafka writes it: "/127.0.0.1". */
struct text api_client_host(struct request *request);

/* When a request with that time-out has to be given up: loop time in ns; at least 1 ms, at most an
 * hour from now. */
uint64_t api_deadline(const struct api *api, int32_t timeout_ms);

#endif
