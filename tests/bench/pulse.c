/* pulse: a record every millisecond with acks=all, whatever happens, and the longest time without
 * an acknowledgement.
 *
 *     pulse HOST:PORT,… TOPIC PARTITION        until SIGTERM
 *
 * A client that follows the leader as fast as one can: it keeps a connection to every node, goes
 * where an answer points to (KIP-951), and asks the other nodes for metadata as soon as the
 * leader's connection breaks or nothing was acknowledged for a while. Records are due on the clock
 * (open loop); those that were not acknowledged are sent again to the next leader.
 *
 * Prints one line: acked=N longest_ms=X from_ns=T moves=N. What cannot be ends the program. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { NODES_MAX = 8, WAITING_MAX = 1 << 16, PRODUCE_VERSION = 10, METADATA_VERSION = 9 };

static const uint64_t MS = 1000000;
static const uint64_t PERIOD_NS = 1000000;  /* of records */
static const uint64_t ASK_NS = 5000000;     /* between two questions for metadata to a node */
static const uint64_t DOUBT_NS = 100000000; /* so long without an acknowledgement: who leads? */

struct node {
    int32_t id; /* -1: not known yet */
    struct sockaddr_in at;
    struct conn conn; /* fd -1: closed */
    uint64_t tried_ns, asked_ns;
    bool asking;
    unsigned n_sent; /* Produce requests that wait for an answer here */
    bool is_produce[WAITING_MAX]; /* of each request in flight, a ring */
    unsigned head, tail;
};

struct pulse {
    const char *topic;
    int32_t partition;
    struct node nodes[NODES_MAX];
    unsigned n_nodes;
    struct node *leader; /* NULL: not known */
    int32_t epoch;       /* of the leader */
    uint64_t n_waiting;  /* records that are due and not acknowledged */
    uint64_t n_acked, n_moves;
    uint64_t last_ack_ns, longest_ns, longest_from_ns;
    struct batch_builder builder;
    struct bytes batch;
    struct arena arena;
};

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void lead(struct pulse *p, struct node *node, int32_t epoch);

static void node_close(struct pulse *p, struct node *node)
{
    if (node->conn.fd >= 0) {
        conn_close(&node->conn);
    }
    node->head = node->tail = node->n_sent = 0;
    node->asking = false;
    if (p->leader == node) {
        p->leader = NULL;
    }
}

/* On loopback a connection is accepted or refused at once. */
static void node_connect(struct node *node, uint64_t now)
{
    node->tried_ns = now;
    if (conn_try(&node->conn, &node->at) < 0) {
        node->conn.fd = -1;
    }
}

static void node_send(struct pulse *p, struct node *node, const struct wire_api *api,
                      int16_t version, const void *request)
{
    struct buf frame = client_frame(api, version, request);
    store_be32(frame.data + FRAME_CORRELATION, (uint32_t)node->conn.correlation++);
    node->is_produce[node->head++ % WAITING_MAX] = api == &wire_produce;
    if (send(node->conn.fd, frame.data, frame.len, MSG_NOSIGNAL) != (ssize_t)frame.len) {
        node_close(p, node);
    }
    buf_release(&frame);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static void ask(struct pulse *p, struct node *node, uint64_t now)
{
    if (node->conn.fd < 0 || node->asking || now < node->asked_ns + ASK_NS) {
        return;
    }
    struct metadata_request_topic topic = metadata_request_topic_default;
    struct metadata_request request = metadata_request_default;
    topic.name = text_of(p->topic);
    request.topics = &topic;
    request.n_topics = 1;
    request.allow_auto_topic_creation = false;
    node->asking = true;
    node->asked_ns = now;
    node_send(p, node, &wire_metadata, METADATA_VERSION, &request);
}

static struct node *node_at(struct pulse *p, int32_t id, int32_t port)
{
    for (unsigned i = 0; i < p->n_nodes; i++) {
        struct node *node = &p->nodes[i];
        if (node->at.sin_port == htons((uint16_t)port)) {
            node->id = id;
            return node;
        }
    }
    return NULL;
}

static void take_metadata(struct pulse *p, struct bytes frame)
{
    struct metadata_response in;
    client_decode(&wire_metadata, METADATA_VERSION, frame, &p->arena, &in);
    for (int32_t i = 0; in.n_topics == 1 && i < in.topics[0].n_partitions; i++) {
        const struct metadata_response_partition *of = &in.topics[0].partitions[i];
        if (of->partition_index != p->partition || of->leader_epoch <= p->epoch) {
            continue;
        }
        for (int32_t b = 0; b < in.n_brokers; b++) {
            if (in.brokers[b].node_id == of->leader_id) {
                lead(p, node_at(p, of->leader_id, in.brokers[b].port), of->leader_epoch);
            }
        }
    }
}

/* ---- records --------------------------------------------------------------------------------- */

static void send_one(struct pulse *p)
{
    struct produce_request_partition partition = { .partition_index = p->partition,
                                                   .records.view = p->batch };
    struct produce_request_topic topic = { .name = text_of(p->topic),
                                           .partitions = &partition,
                                           .n_partitions = 1 };
    struct produce_request request = {
        .acks = -1, .timeout_ms = 30000, .topics = &topic, .n_topics = 1
    };
    p->leader->n_sent++;
    node_send(p, p->leader, &wire_produce, PRODUCE_VERSION, &request);
}

static void send_waiting(struct pulse *p)
{
    while (p->leader != NULL && p->leader->n_sent < p->n_waiting &&
           p->leader->n_sent < WAITING_MAX / 2) {
        send_one(p);
    }
}

/* From now on this node leads. What the old one has not answered is sent again. */
static void lead(struct pulse *p, struct node *node, int32_t epoch)
{
    if (node == NULL || epoch <= p->epoch) {
        return;
    }
    if (p->leader != NULL && p->leader != node) {
        node_close(p, p->leader);
    }
    p->epoch = epoch;
    p->n_moves++;
    if (node->conn.fd < 0) {
        node_connect(node, now_ns());
    }
    if (node->conn.fd >= 0) {
        p->leader = node;
        send_waiting(p);
    } else {
        p->epoch = epoch - 1; /* it may lead, but is not there: to be told again */
    }
}

static void acknowledged(struct pulse *p)
{
    uint64_t now = now_ns();
    if (p->last_ack_ns != 0 && now - p->last_ack_ns > p->longest_ns) {
        p->longest_ns = now - p->last_ack_ns;
        p->longest_from_ns = p->last_ack_ns;
    }
    p->last_ack_ns = now;
    p->n_acked++;
    p->n_waiting--;
}

/* Where an error points to, if it does. */
static void follow_hint(struct pulse *p, const struct produce_response *in)
{
    const struct produce_response_leader *hint = &in->topics[0].partitions[0].current_leader;
    for (int32_t i = 0; i < in->n_node_endpoints; i++) {
        if (in->node_endpoints[i].node_id == hint->leader_id) {
            lead(p, node_at(p, hint->leader_id, in->node_endpoints[i].port), hint->leader_epoch);
        }
    }
}

static void take_produced(struct pulse *p, struct node *node, struct bytes frame)
{
    struct produce_response in;
    client_decode(&wire_produce, PRODUCE_VERSION, frame, &p->arena, &in);
    node->n_sent--;
    enum kafka_error error = (enum kafka_error)in.topics[0].partitions[0].error;
    if (p->leader != node) {
        return; /* sent again to the next one */
    }
    if (error == KAFKA_NONE) {
        acknowledged(p);
        return;
    }
    if (!kafka_error_retriable(error)) {
        fail("produce: %s", kafka_error_name(error));
    }
    follow_hint(p, &in);
    if (p->leader == node) {
        node_close(p, node); /* with all that is under way: it is sent again, to whoever leads */
        p->epoch--;          /* which may be the same node again */
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void take_frames(struct pulse *p, struct node *node)
{
    while (node->conn.fd >= 0 && node->conn.in.len - node->conn.in_at >= 4) {
        size_t len = load_be32(node->conn.in.data + node->conn.in_at);
        if (node->conn.in.len - node->conn.in_at - 4 < len) {
            return;
        }
        struct bytes frame = bytes_of(node->conn.in.data + node->conn.in_at + 4, len);
        node->conn.in_at += 4 + len;
        if (node->is_produce[node->tail++ % WAITING_MAX]) {
            take_produced(p, node, frame);
        } else {
            node->asking = false;
            take_metadata(p, frame);
        }
    }
}

static void node_read(struct pulse *p, struct node *node)
{
    enum { ROOM = 1 << 16 };
    struct conn *conn = &node->conn;
    memmove(conn->in.data, conn->in.data + conn->in_at, conn->in.len - conn->in_at);
    conn->in.len -= conn->in_at;
    conn->in_at = 0;
    ssize_t n = recv(conn->fd, buf_reserve(&conn->in, ROOM), ROOM, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        node_close(p, node);
        return;
    }
    conn->in.len += n > 0 ? (size_t)n : 0;
    take_frames(p, node);
}

/* Who leads is asked of all others; a node that was lost is tried again. */
static void look_around(struct pulse *p, uint64_t now)
{
    bool doubt = p->leader == NULL || (p->n_waiting > 0 && now > p->last_ack_ns + DOUBT_NS);
    for (unsigned i = 0; i < p->n_nodes; i++) {
        struct node *node = &p->nodes[i];
        if (node->conn.fd < 0 && now > node->tried_ns + 10 * MS) {
            node_connect(node, now);
        }
        if (doubt && node != p->leader) {
            ask(p, node, now);
        }
    }
}

static void wait_and_read(struct pulse *p, uint64_t until)
{
    struct pollfd fds[NODES_MAX];
    for (unsigned i = 0; i < p->n_nodes; i++) {
        fds[i] = (struct pollfd){ .fd = p->nodes[i].conn.fd, .events = POLLIN };
    }
    uint64_t now = now_ns(), ns = until > now ? until - now : 0;
    struct timespec timeout = { .tv_nsec = (long)(ns < 1000 * MS ? ns : 999 * MS) };
    if (ppoll(fds, p->n_nodes, &timeout, NULL) <= 0) {
        return;
    }
    for (unsigned i = 0; i < p->n_nodes; i++) {
        if (fds[i].revents != 0 && p->nodes[i].conn.fd == fds[i].fd) {
            node_read(p, &p->nodes[i]);
        }
    }
}

static void run(struct pulse *p)
{
    uint64_t due = now_ns();
    while (!stop_signal) {
        uint64_t now = now_ns();
        for (; due <= now; due += PERIOD_NS) {
            p->n_waiting++;
        }
        send_waiting(p);
        look_around(p, now);
        wait_and_read(p, due);
    }
}

static void open_nodes(struct pulse *p, const char *list)
{
    struct text rest = text_of(list);
    while (rest.len > 0 && p->n_nodes < NODES_MAX) {
        char *one = text_dup(text_cut(&rest, ','));
        p->nodes[p->n_nodes++] =
            (struct node){ .id = -1, .at = client_address(one), .conn.fd = -1 };
        free(one);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fail("usage: pulse HOST:PORT,… TOPIC PARTITION");
    }
    struct pulse *p = mem_zalloc(sizeof *p);
    p->topic = argv[2];
    p->partition = (int32_t)strtol(argv[3], NULL, 10);
    p->epoch = -1;
    arena_init(&p->arena, 0);
    batch_builder_init(&p->builder);
    batch_builder_add(&p->builder, (int64_t)time(NULL) * 1000, bytes_of(NULL, 0),
                      bytes_of("pulse", 5), bytes_of(NULL, 0), 0);
    p->batch = batch_builder_finish(&p->builder);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    open_nodes(p, argv[1]);
    run(p);
    printf("acked=%lu longest_ms=%.1f from_ns=%lu moves=%lu\n", (unsigned long)p->n_acked,
           (double)p->longest_ns / 1e6, (unsigned long)p->longest_from_ns,
           (unsigned long)p->n_moves);
    for (unsigned i = 0; i < p->n_nodes; i++) {
        node_close(p, &p->nodes[i]);
    }
    batch_builder_release(&p->builder);
    arena_release(&p->arena);
    free(p);
    return 0;
}
