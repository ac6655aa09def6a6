/* What the controller decides: requests in, commands out.
 *
 * The controller is the node that leads the Raft group. It decides one request at a time, on the
 * image that the one before has produced: nothing it decides on can be out of date when it is
 * applied. Everything here is pure: it reads the image, may refuse, and writes down commands for
 * one Raft entry, and the answer. Nothing is changed before the entry is applied.
 *
 * A request has items (topics, resources, …), and each item leads to one command at most; the
 * command carries the number of the item, and its result becomes the item's. What a second copy of
 * a request asks for is found in the image as applied, and not done again.
 *
 *   controller.c            the table of requests, decisions as bytes
 *   controller_brokers.c    register, serve, stop; log directories that bring topics
 *   controller_topics.c     create, delete, add partitions
 *   controller_configs.c    settings, features
 *   controller_partitions.c in-sync sets, elections asked for, producer ids
 *   controller_reassign.c   replicas that move
 *   controller_duties.c     what it does without being asked: fences, elects, balances
 *   placement.c             which brokers hold which replica
 *   elector.c               which replica leads */
#ifndef CHRONIK_SRC_META_CONTROLLER_H
#define CHRONIK_SRC_META_CONTROLLER_H

#include "command_kind.h"

#include "elector.h"

#include <chronik/base/arena.h>
#include <chronik/base/random.h>
#include <chronik/meta/command.h>
#include <chronik/meta/config.h>
#include <chronik/meta/meta.h>

enum { CONTROLLER_VOTERS_MAX = 16 };

/* How a node looks from here (meta_liveness.c). */
struct controller_voter {
    int32_t id;
    struct uuid incarnation; /* of the process that is there now; zero: not known */
    bool gone;   /* nobody is there, or nobody was heard for a session */
    bool silent; /* was not heard since this node leads: it may live or not */
};

/* A node that asked to be registered before there was a cluster. */
struct controller_hello {
    int32_t node;
    char cluster_id[64]; /* of its directories; "": none */
};

/* What a node reported of a directory that is not known yet; borrowed from its request. */
struct controller_report {
    int32_t node;
    const struct meta_report_directory_request *request;
};

struct controller {
    const struct image *image; /* the one that is applied here */
    int32_t node_id;
    struct controller_voter voters[CONTROLLER_VOTERS_MAX]; /* this node too */
    unsigned n_voters;
    const struct image_configs *file; /* this node's properties file; NULL: empty */
    int32_t default_partitions;
    int16_t default_replication;
    struct prng prng; /* ids, and where placement begins */

    /* Known to the controller only, and forgotten with its office. */
    struct controller_hello hellos[CONTROLLER_VOTERS_MAX];
    unsigned n_hellos;
    bool impatient; /* form the cluster with the majority that is there */
    struct controller_report *reports;
    size_t n_reports;
    struct log_ends ends[CONTROLLER_VOTERS_MAX]; /* as brokers have said when they began to serve */
    size_t n_ends;
    bool elects;        /* there may be partitions without a leader that wait for others */
    bool hurried;       /* they have waited long enough */
    bool balances;      /* preferred leaders are to lead again */
    bool came_in_sync;  /* a replica has: there may be something to balance soon */
};

/* Forgets what only the controller knows: at the beginning and at the end of its office. */
void controller_forget(struct controller *c);

/* One decision under way. */
struct decision {
    struct arena *arena;
    struct command_id id; /* of the request's first item */
    struct command_entry_command *commands;
    size_t n, cap;
    bool *waits; /* of each item: its command's result is still to come */
    size_t n_items;
    int64_t n_partitions; /* that the request adds so far */
};

enum decide_result {
    DECIDE_DONE,
    DECIDE_LATER, /* something must happen first: ask again when the image has changed */
};

/* How many items a request has: so many sequence numbers it takes. */
size_t meta_request_items(enum meta_request_kind kind, const void *request);

/* Decides a request of node `id->node`. The response is allocated and filled; items that lead to a
 * command have no error yet and wait for its result. */
enum decide_result controller_decide(struct controller *c, enum meta_request_kind kind,
                                     const void *request, struct decision *d, void **ret_response);

/* Puts the result of an item's command into the response. */
void meta_response_settle(enum meta_request_kind kind, void *response, size_t item,
                          struct apply_result result);

/* The schema of a request. */
const struct wire_api *meta_request_schema(enum meta_request_kind kind);

/* ---- decisions --------------------------------------------------------------------------------*/

void decision_init(struct decision *d, struct arena *arena, const struct command_id *id,
                   size_t n_items);
void decision_release(struct decision *d);

/* Adds a command. `item` -1: of the controller itself; else that item waits for its result. */
void decision_add(struct decision *d, enum command_kind kind, int item, const void *command);

/* Was this item's command applied already? Then it waits for nothing but this node. */
bool decision_repeats(struct controller *c, struct decision *d, size_t item);

/* Appends the entry. */
void decision_encode(const struct decision *d, uint64_t base, struct buf *to);

/* ---- for the parts ----------------------------------------------------------------------------*/

/* The response's fields of an item that is refused. */
#define REFUSE_ITEM(d, item, code, ...)                                                            \
    ((item)->error = (code), (item)->message = arena_printf((d)->arena, __VA_ARGS__))

struct config_layers controller_layers(const struct controller *c);

/* Does this node have that broker epoch now? Else the request is of an earlier life. */
bool controller_epoch_is(const struct controller *c, const struct decision *d, int64_t epoch);

/* Of each name: does it come more than once? Null ones do not count. */
bool *find_repeated(struct arena *arena, const struct text *names, size_t n);

/* May the broker get replicas to lead, now? */
bool broker_usable(const struct image *image, int32_t id);

/* Is the registered life of a broker over, or as good as that? */
bool controller_misses(const struct controller *c, const struct image_broker *broker);

/* An elector that knows what the controller knows of the brokers' lives. */
void controller_elector(const struct controller *c, struct decision *d, struct elector *ret_e);

/* Checks replicas that a client names, `n_expected` of them (-1: any number): a message, or
 * NULL. */
const char *controller_check_replicas(const struct controller *c, const int32_t *ids, int32_t n,
                                      int32_t n_expected);

/* Adds all changes that were worked out, as one command of the controller itself, and releases the
 * elector. */
void controller_add_changes(struct controller *c, struct decision *d, struct elector *e);

/* A broker says where its logs end. */
void controller_note_ends(struct controller *c, int32_t node,
                          const struct meta_broker_state_request *request);

/* ---- duties -----------------------------------------------------------------------------------*/

/* What the controller has to do by itself, the most urgent thing first: adds commands if there is
 * anything. */
void controller_decide_duty(struct controller *c, struct decision *d);

enum decide_result decide_register_broker(struct controller *c, const void *request,
                                          struct decision *d, void *response);
enum decide_result decide_broker_state(struct controller *c, const void *request,
                                       struct decision *d, void *response);
enum decide_result decide_report_directory(struct controller *c, const void *request,
                                           struct decision *d, void *response);
enum decide_result decide_create_topics(struct controller *c, const void *request,
                                        struct decision *d, void *response);
enum decide_result decide_delete_topics(struct controller *c, const void *request,
                                        struct decision *d, void *response);
enum decide_result decide_create_partitions(struct controller *c, const void *request,
                                            struct decision *d, void *response);
enum decide_result decide_change_configs(struct controller *c, const void *request,
                                         struct decision *d, void *response);
enum decide_result decide_set_features(struct controller *c, const void *request,
                                       struct decision *d, void *response);
enum decide_result decide_change_isr(struct controller *c, const void *request,
                                     struct decision *d, void *response);
enum decide_result decide_allocate_producer_ids(struct controller *c, const void *request,
                                                struct decision *d, void *response);
enum decide_result decide_reassign(struct controller *c, const void *request, struct decision *d,
                                   void *response);
enum decide_result decide_elect_leaders(struct controller *c, const void *request,
                                        struct decision *d, void *response);

#endif
