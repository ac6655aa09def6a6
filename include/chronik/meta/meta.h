/* The metadata of the cluster, for the rest of the broker: what is applied here, and how to ask for
 * changes.
 *
 * Every node holds the whole image (meta/image.h), kept equal by a Raft group of which every node
 * is a member. The node that leads the group is the controller: it decides requests against its
 * applied image and proposes commands. A request may be made on any node at any time: it waits for
 * a leader, is sent to it, is repeated when the leader changes, and is answered when what it led to
 * is applied on *this* node (or was refused, or its deadline has passed). Nothing is applied twice.
 * A group of one goes the same way.
 *
 * The order of a start (chronikd): meta_open() and store_open(); when both are open,
 * meta_register_broker() forms the cluster if need be; with its answer the image is caught up and
 * `changes` start; meta_report_directory() for each directory that is not known;
 * meta_broker_state() when the broker is ready to serve.
 *
 * Who may call: the loop's thread. Callbacks come in the events and advance steps, never from
 * inside the call that asked for them. */
#ifndef CHRONIK_META_META_H
#define CHRONIK_META_META_H

#include <chronik/base/diag.h>
#include <chronik/base/metric.h>
#include <chronik/io/loop.h>
#include <chronik/meta/image.h>
#include <chronik/meta/request.h> /* generated from src/meta/schema/request.api */

struct meta;
struct meta_transport;

struct meta_voter {
    int32_t id;
    const char *address; /* "host:port" of the listener between brokers; for people */
};

struct meta_config {
    int32_t node_id;
    struct uuid incarnation; /* of this life of the process; random */
    const struct meta_voter *voters; /* this node is one of them */
    unsigned n_voters;               /* 1, 3, 5 */
    unsigned election_ms, heartbeat_ms; /* 0: 200, 40 */
    unsigned session_ms;         /* silence that counts as absence; 0: 1500 */
    uint64_t snapshot_entries; /* 0: 1024 */
    const char *cluster_id;      /* what a new cluster is to be called; NULL or "": made up */
    const struct image_configs *file; /* this broker's properties; by reference; NULL: none */
    int32_t default_partitions;  /* num.partitions */
    int16_t default_replication; /* default.replication.factor */
    struct diag *diag;
    const struct meta_transport *transport; /* NULL: a group of one */
    void *transport_arg;
};

struct meta_events {
    /* The Raft directory is open and the replica runs, or it could not be: -errno and a sentence
     * that says what to do; then meta_close() and meta_free(). */
    void (*opened)(void *arg, int error, const char *message);

    /* The Raft directory failed, or the replica found what cannot be: the process must end. */
    void (*failed)(void *arg, int error, const char *message);

    /* The controller changed: its node, or -1 when none is known. */
    void (*controller_changed)(void *arg, int32_t controller);

    /* No controller was heard for a session (`lost`), or one is heard again: meanwhile others may
     * have got what this node leads, and it cannot know. */
    void (*contact_changed)(void *arg, bool lost);

    /* Changes of the image, from the moment on at which this broker's registration was applied.
     * They also come, as differences, when a snapshot replaced the image. */
    struct image_listener changes;
};

/* Opens the Raft directory, creating it when missing; `opened` follows. Events are kept by
 * reference, all else is copied. */
struct meta *meta_open(struct loop *loop, const char *dir, const struct meta_config *config,
                       const struct meta_events *events, void *arg);

/* Stops: requests under way are answered with a time-out, the disk finishes; then `closed`. */
void meta_close(struct meta *meta, void (*closed)(void *arg), void *arg);
void meta_free(struct meta *meta);

/* ---- what is known ----------------------------------------------------------------------------*/

/* The image that is applied here. It may be replaced when a snapshot arrives: fetch it anew in each
 * turn. Not caught up before this broker's registration was answered. */
const struct image *meta_image(const struct meta *meta);

int32_t meta_node_id(const struct meta *meta);
int32_t meta_controller(const struct meta *meta); /* -1: unknown */
bool meta_is_controller(const struct meta *meta);

/* Hands the controller's office to another node that serves, if this one has it. True while that is
 * under way: call it again after some milliseconds, until it is done or nobody else is there. */
bool meta_resign(struct meta *meta);

/* Broker epoch of this node; -1 before it is registered. */
int64_t meta_broker_epoch(const struct meta *meta);

/* What the Raft directory is called; valid once it is open. Another one under the same node id has
 * lost what the node promised. */
struct uuid meta_directory_id(const struct meta *meta);

/* Where the Raft group stands, for DescribeQuorum and for people. */
struct meta_quorum_voter {
    int32_t id;
    int64_t end;          /* index behind its durable log; -1: not known */
    int64_t caught_up_ms; /* wall-clock time when it last had everything; -1: not known */
};

struct meta_quorum {
    int32_t leader; /* -1: unknown */
    int64_t term, committed, applied, snapshot;
    struct meta_quorum_voter voters[16];
    unsigned n_voters;
};

/* Fills it with how things stand right now. */
void meta_quorum(struct meta *meta, struct meta_quorum *ret_quorum);

void meta_metrics(struct meta *meta, struct metrics *metrics);

/* ---- requests ---------------------------------------------------------------------------------*/

struct meta_request;

/* The answer: KAFKA_NONE and the response of that kind, valid during the call; or why there is
 * none: REQUEST_TIMED_OUT (it may yet be applied, once). */
typedef void meta_done(void *arg, enum kafka_error error, const void *response);

/* Forgets a request: `done` will not be called. What was asked for may still happen. */
void meta_cancel(struct meta *meta, struct meta_request *request);

/* One function per request of request.api: copies the request, gives up at `deadline_ns` (of
 * loop_now_ns()), and calls `done` exactly once with a `const struct meta_X_response *`.
 *
 * For example:
 *     meta_create_topics(meta, &(struct meta_create_topics_request){ .topics = t, .n_topics = 1 },
 *                        loop_now_ns(loop) + 30 * NS_PER_S, created, conn); */
enum meta_request_kind {
    META_REGISTER_BROKER = 1,
    META_BROKER_STATE,
    META_CREATE_TOPICS,
    META_DELETE_TOPICS,
    META_CREATE_PARTITIONS,
    META_CHANGE_CONFIGS,
    META_CHANGE_ISR,
    META_ALLOCATE_PRODUCER_IDS,
    META_REPORT_DIRECTORY,
    META_SET_FEATURES,
    META_ELECT_LEADERS,
    META_REASSIGN,
};

/* What the functions below are made of. */
struct meta_request *meta_ask(struct meta *meta, enum meta_request_kind kind, const void *request,
                              uint64_t deadline_ns, meta_done *done, void *arg);

#define META_REQUEST(name, kind)                                                                   \
    static inline struct meta_request *name(struct meta *meta,                                     \
                                            const struct name##_request *request,                  \
                                            uint64_t deadline_ns, meta_done *done, void *arg)      \
    {                                                                                              \
        return meta_ask(meta, kind, request, deadline_ns, done, arg);                              \
    }

META_REQUEST(meta_register_broker, META_REGISTER_BROKER)
META_REQUEST(meta_broker_state, META_BROKER_STATE)
META_REQUEST(meta_create_topics, META_CREATE_TOPICS)
META_REQUEST(meta_delete_topics, META_DELETE_TOPICS)
META_REQUEST(meta_create_partitions, META_CREATE_PARTITIONS)
META_REQUEST(meta_change_configs, META_CHANGE_CONFIGS)
META_REQUEST(meta_change_isr, META_CHANGE_ISR)
META_REQUEST(meta_allocate_producer_ids, META_ALLOCATE_PRODUCER_IDS)
META_REQUEST(meta_report_directory, META_REPORT_DIRECTORY)
META_REQUEST(meta_set_features, META_SET_FEATURES)
META_REQUEST(meta_elect_leaders, META_ELECT_LEADERS)
META_REQUEST(meta_reassign, META_REASSIGN)

/* ---- the other nodes --------------------------------------------------------------------------*/

/* How frames reach the other members. A frame may get lost, never be reordered within a peer. */
struct meta_transport {
    /* Takes the frame over. */
    void (*send)(void *arg, int32_t peer, struct chain *frame);
};

/* A frame from a peer; `connection` rises with each connection to that peer. 0, or -EBADMSG: close
 * that connection. */
int meta_receive(struct meta *meta, int32_t peer, uint64_t connection, struct bytes frame);

/* A connection to or from a peer opened; `incarnation` is the life of the process there. */
void meta_peer_opened(struct meta *meta, int32_t peer, const struct uuid *incarnation);

/* One broke. */
void meta_peer_closed(struct meta *meta, int32_t peer);

/* The connections to a peer are gone, and nobody answers where it listened: its process has
 * ended. */
void meta_peer_unreachable(struct meta *meta, int32_t peer);

/* A connection to that node has just broken, and none was made since: what it leads will soon be
 * led by others, or the connection comes back. Half a second at most. */
bool meta_peer_is_in_doubt(struct meta *meta, int32_t node);
bool meta_any_peer_is_in_doubt(struct meta *meta);

#endif
