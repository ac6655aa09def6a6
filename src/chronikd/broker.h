/* The broker: everything that one process is (private to the daemon).
 *
 * A start goes through these states; what a step needs, the steps before have made:
 *
 *   RECOVERING   listeners are open (they wait for nobody); the store recovers its directory
 *   JOINING      the metadata's Raft replica runs; the broker asks to be registered, which waits
 *                for a leader
 *   REPORTING    directories that the cluster does not know say what they hold, and it is settled
 *   SERVING      requests are answered
 *   STOPPING     connections, then the store, then the metadata are closed
 *
 * Nothing is proposed before there is a Raft leader; requests that need metadata wait for SERVING.
 * */
#ifndef CHRONIK_CHRONIKD_BROKER_H
#define CHRONIK_CHRONIKD_BROKER_H

#include <chronik/api/api.h>
#include <chronik/chronikd/options.h>
#include <chronik/coord/coord.h>
#include <chronik/io/http.h>
#include <chronik/io/process.h>
#include <chronik/server/peers.h>
#include <chronik/server/server.h>

enum broker_state {
    BROKER_RECOVERING,
    BROKER_JOINING,
    BROKER_REPORTING,
    BROKER_SERVING,
    BROKER_STOPPING,
    BROKER_STOPPED,
};

struct broker {
    unsigned state; /* enum broker_state, moved along a table */
    struct loop *loop;
    struct process_log *log;
    struct diag *diag;
    const struct options *options;
    struct metrics metrics;
    uint64_t started_ns;

    int32_t node_id;
    struct uuid incarnation;
    struct store *store;
    struct meta *meta;
    struct replicas replicas;
    struct coord coord;
    struct api api;
    struct server *server;
    struct peers *peers; /* links to the other nodes; NULL: this node is alone */
    struct http_server *http;
    uint16_t *ports; /* of options->listeners, in order */

    struct timer retention; /* every log.retention.check.interval.ms */
    struct timer hand_over; /* of a stop: looks whether others lead by now */
    uint64_t stop_ns;       /* when the stop began */
    struct timer patience;  /* says what a start waits for; bounds a stop */
    struct arena scratch;   /* of requests to the metadata during the start */
    bool store_open;   /* it was opened, and has to be closed */
    struct timer presence;  /* looks whether the disk hangs */
    struct meta_request *asking; /* to be fenced, or let in again; NULL: nothing is asked */
    bool lost, hangs;       /* no controller is heard; the journal's write does not return */
    uint64_t looked_ns;     /* when that was looked at last */
    uint64_t doubt_until_ns; /* the metadata may be behind: we stood still, or were alone */
    bool store_failed;
    bool store_rests;  /* it was closed, or could not be opened: it may be freed */
    int exit_code;
};

/* Opens the listeners and begins to start; the loop does the rest. 0, or the code to exit with,
 * after the reason was logged. */
int broker_start(struct broker *broker, struct loop *loop, struct process_log *log,
                 const struct options *options);

/* Begins a clean stop (SIGTERM); a second call ends the loop at once. */
void broker_stop(struct broker *broker);

/* After loop_run(): gives everything back; returns the exit code. */
int broker_finish(struct broker *broker);

/* The listener for the other nodes, and what goes over their links; nothing in a cluster of one. 0,
 * or the code to exit with. */
int cluster_open(struct broker *broker);

/* The metadata's directory is open: links to the other nodes may open, too. */
void cluster_join(struct broker *broker);

/* Begins to stop because something is wrong, which was logged. */
void broker_fail(struct broker *broker, int exit_code);

/* The broker's place in the cluster (presence.c): from serving to stopping; what the metadata says
 * of a broker; whether a controller is heard. */
void presence_init(struct broker *broker);
void presence_start(struct broker *broker);
void presence_stop(struct broker *broker);
void presence_changed(struct broker *broker, const struct image_broker *changed);
void presence_contact(struct broker *broker, bool lost);

extern const struct meta_transport CLUSTER_META;
extern const struct fetcher_transport CLUSTER_FETCH;

/* The HTTP listener: /livez, /readyz, /metrics. */
int admin_open(struct broker *broker);

#endif
