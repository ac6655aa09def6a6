/* What the three APIs of configs share (private to the api layer). */
#ifndef CHRONIK_API_CONFIGS_H
#define CHRONIK_API_CONFIGS_H

#include <chronik/api/api.h>

/* One more kind of resource than the metadata knows (enum image_resource): the levels of a broker's
 * messages. They are the process's own and gone with it. */
enum { API_BROKER_LOGGER = 8 };

/* ---- changes (alter.c) ------------------------------------------------------------------------*/

struct alter_result {
    enum kafka_error error;
    struct text message; /* null: none */
};

/* A request that changes configs, in the form that the metadata has for both APIs. */
struct alter {
    struct request *request;
    struct meta_change_configs_request_resource *resources; /* in: as the client gave them */
    size_t n;
    bool validate_only, replace; /* in */
    struct alter_result *results; /* out: of each resource, in their order */
    void (*done)(struct alter *alter);

    struct meta_change_configs_request ask; /* private: what the controller has to decide */
    size_t *places;                         /* private: where in `resources` it came from */
};

/* Room for `n` resources, in the request's memory. */
struct alter *alter_new(struct request *request, size_t n);

/* Checks every resource and changes those that are right, each by itself; `done` once, perhaps from
 * inside the call. */
void alter_run(struct alter *alter);

/* ---- levels of messages (loggers.c) -----------------------------------------------------------*/

/* The level of a module by Kafka's name for it: "INFO". */
const char *logger_level(const struct api *api, enum diag_module module);

/* Changes levels of this broker, all or none. */
enum kafka_error loggers_alter(struct request *request,
                               const struct meta_change_configs_request_resource *resource,
                               bool validate_only, struct text *ret_message);

#endif
