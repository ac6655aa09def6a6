/* Feeding a follower: the leader's side of a replication stream.
 *
 * A follower opens one stream (a link of the channel PEER_FETCH) to each leader, and one more for
 * partitions that are far behind, so that catching up does not hold up the rest. Frames on it:
 *
 *   fetch    follower to leader: a Kafka Fetch request (version 18). Says from where on partitions
 *            are wanted: new ones, moved ones, forgotten ones; all others stay as said last.
 *   durable  follower to leader: up to where partitions are on its stable storage. Sent as soon as
 *            that moves; it never waits for a fetch (rule 7 of docs/durability.md).
 *   records  leader to follower: a Kafka Fetch response: batches, errors, high watermarks.
 *
 * The leader answers each `fetch` of a partition once: as soon as it has anything new, in the very
 * turn in which it was appended and before its own write is durable, so that all replicas write at
 * the same time. Then it waits for the follower's next one: at most one chunk of a partition is on
 * the way. */
#ifndef CHRONIK_REPLICA_FEED_H
#define CHRONIK_REPLICA_FEED_H

#include <chronik/replica/table.h>

struct feed;

/* The first byte of every frame of a replication stream. */
enum feed_frame { FEED_FETCH = 1, FEED_DURABLE, FEED_RECORDS };

enum { FEED_VERSION = 18 }; /* of Fetch */

/* How a feed sends. `queued`: bytes that have not left yet; a feed stops at its limit and goes on
 * when feed_drained() is called. */
struct feed_transport {
    void (*send)(void *link, struct chain *frame);
    size_t (*queued)(void *link);
};

struct feed *feed_new(struct replicas *replicas, int32_t follower,
                      const struct feed_transport *transport, void *link);
void feed_free(struct feed *feed);

/* The link has room again. */
void feed_drained(struct feed *feed);

/* A frame from the follower: 0, or -EBADMSG: close the link. */
int feed_receive(struct feed *feed, struct bytes frame);

#endif
