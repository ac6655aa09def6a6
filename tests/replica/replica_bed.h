/* What the tests of replicas share: nodes in one process, each with a store of its own on real
 * files, metadata that the test writes, and links in memory. Node n has the broker id n. */
#ifndef CHRONIK_TESTS_REPLICA_REPLICA_BED_H
#define CHRONIK_TESTS_REPLICA_REPLICA_BED_H

#include "../io/io_test.h"

#include <chronik/io/timer.h>
#include <chronik/meta/meta.h>
#include <chronik/replica/feed.h>
#include <chronik/replica/table.h>
#include <errno.h>

enum { NODES = 3, PROPOSALS = 32 };

/* A proposal of another in-sync set; the test answers it, or never. */
struct asked {
    struct meta_change_isr_request_partition partition;
    struct meta_change_isr_request_member members[NODES];
    meta_done *done;
    void *arg;
};

/* Stands in for the metadata of one node: the image, and requests that are only noted. */
struct meta {
    struct image *image; /* of all nodes */
    struct asked asked[PROPOSALS];
    unsigned n_asked;
};

struct node {
    struct replica_bed *bed;
    int32_t id;
    char *dir;
    struct store *store;
    struct meta meta;
    struct replicas replicas;
    bool opened, closed;
};

/* A stream from a follower to a leader: the two ends, and what is on the way. */
struct line {
    struct replica_bed *bed;
    struct node *follower, *leader;
    enum fetcher_kind kind;
    struct feed *feed; /* NULL: closed */
    bool hold;         /* keeps records on the way */
    size_t unsent;     /* said of the link to the leader */
    unsigned n_fetches, n_progress, n_records;
    uint64_t record_bytes_most; /* in one frame */
};

struct replica_bed {
    struct loop *loop;
    struct diag diag;
    char *dir;
    char said[512]; /* the last warning or error */
    struct image *image;
    struct node nodes[NODES + 1]; /* [0] is unused */
    struct line lines[NODES + 1][NODES + 1][FETCHER_KINDS];
    struct list frames;
    struct timer deliver, tick;
    bool (*until)(struct replica_bed *bed);
    struct image_configs file;
    int64_t ids; /* records made so far */
};

/* Every node is there, all brokers serve, no topic. `min_isr`: of topics. */
void replica_bed_init(struct replica_bed *bed, int min_isr);
void replica_bed_release(struct replica_bed *bed);

/* Stops a node as a kill would, and starts it again, without telling anybody. */
void node_restart(struct replica_bed *bed, int32_t id);

/* The topic "t" with one partition on the nodes 1 to `n`, led by node 1, all in sync or only the
 * leader; every node of it hears of it. */
void make_topic(struct replica_bed *bed, int32_t n, bool in_sync);

/* Changes the partition's leader and in-sync set (a string of ids, such as "12"; "": nobody) in the
 * image; nodes hear of it with tell(). */
void change(struct replica_bed *bed, int32_t leader, const char *isr);
void change_uncleanly(struct replica_bed *bed, int32_t leader);
void tell(struct replica_bed *bed, int32_t id);
void tell_all(struct replica_bed *bed);

/* A broker registers anew: another broker epoch. */
void begin_new_life(struct replica_bed *bed, int32_t id);
int64_t epoch_of(const struct replica_bed *bed, int32_t id);

struct partition *partition_at(struct replica_bed *bed, int32_t id);
int64_t end_at(struct replica_bed *bed, int32_t id);

/* Puts `n` records, one batch, into a log as a leader of the current epoch would, past everything
 * else: what a node has that others do not. And as somebody who leads in that epoch has written. */
void put_records(struct replica_bed *bed, int32_t id, unsigned n);
void put_batch(struct replica_bed *bed, int32_t id, unsigned n, size_t value_len);
void put_of_epoch(struct replica_bed *bed, int32_t id, int32_t epoch, unsigned n);

/* Connects the nodes' streams, as soon as they are wanted. */
void connect_nodes(struct replica_bed *bed);
struct line *line_of(struct replica_bed *bed, int32_t follower, int32_t leader,
                     enum fetcher_kind kind);
void close_line(struct line *line);
void open_line(struct line *line);

/* Runs the loop until the condition holds, or for so long. */
void run_until(struct replica_bed *bed, bool (*until)(struct replica_bed *bed));
void run_ms(struct replica_bed *bed, uint64_t ms);
void run_durable(struct replica_bed *bed, int32_t id);

/* The bytes of a log from `offset` on; the caller releases them. */
struct buf content_of(struct replica_bed *bed, int32_t id, int64_t offset);
void assert_same_logs(struct replica_bed *bed, int32_t a, int32_t b);

/* A produce request of one batch, and what came of it. */
struct sent {
    struct produce produce;
    struct buf bytes;
    struct batch batch;
    bool waits, done;
};

void send_batch(struct replica_bed *bed, int32_t id, struct sent *sent, int16_t acks,
                int64_t producer, int32_t sequence);
void sent_release(struct sent *sent);


#endif
