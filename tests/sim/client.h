/* A simulated client: connections to the nodes, requests and their answers, through our own codec.
 *
 * One connection per node, made when it is needed. Requests on it are answered in order; when one
 * is not answered in time, or the connection breaks, all that are under way on it fail. */
#ifndef CHRONIK_TESTS_SIM_CLIENT_H
#define CHRONIK_TESTS_SIM_CLIENT_H

#include <chronik/io/timer.h>
#include <chronik/wire/api.h>

#include "machine.h"

enum { CLIENT_NODES_MAX = 5 };

struct client;
struct client_link;

/* The response of that API, valid during the call, or NULL: there is none. */
typedef void client_answer(void *arg, const void *response);

struct client {
    struct machine *machine;
    unsigned n_nodes;
    struct client_link *links[CLIENT_NODES_MAX]; /* NULL: not connected */
    uint64_t n_requests, n_failed;
};

/* The machine has a loop. */
void client_init(struct client *client, struct machine *machine, unsigned n_nodes);

/* Asks node number `node` (from 0 on). `done` is called exactly once, never from inside. */
void client_ask(struct client *client, unsigned node, const struct wire_api *api, int16_t version,
                const void *request, uint64_t timeout_ns, client_answer *done, void *arg);

/* Closes the connection to a node, as an impatient client does. */
void client_drop(struct client *client, unsigned node);

#endif
