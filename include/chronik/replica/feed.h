/* Feeding a follower: the leader's side of a replication stream.
 *
 * A follower opens one stream (a link of the channel PEER_FETCH) to each leader, and one more for
 * partitions that are far behind, so that catching up does not hold up the rest. Frames on it:
 *
 *   fetch    follower to leader: a Kafka Fetch request (version 18). From where on partitions are
 *            wanted: new ones, those that begin anew, forgotten ones. `session_epoch` counts up.
 *   progress follower to leader: up to where partitions are written, and are on stable storage.
 *            Sent as soon as the latter moves (rule 7 of docs/durability.md).
 *   records  leader to follower: a Kafka Fetch response: batches, errors, high watermarks.
 *            `session_id` is the `session_epoch` of the newest fetch that the leader had taken: the
 *            follower throws away what answers an older one than its last of that partition.
 *
 * From a fetch on the leader sends all that comes, in the very turn in which it was appended and
 * before its own write is durable, so that all replicas write at the same time. It does not wait
 * for the follower, as long as less than two chunks of the partition (of replica.fetch.max.bytes)
 * are on the way. An error ends this, until the follower fetches anew. */
#ifndef CHRONIK_REPLICA_FEED_H
#define CHRONIK_REPLICA_FEED_H

#include <chronik/replica/table.h>

struct feed;

/* The first byte of every frame of a replication stream. */
enum feed_frame { FEED_FETCH = 1, FEED_PROGRESS, FEED_RECORDS };

enum { FEED_VERSION = 18 }; /* of Fetch */

/* How a feed sends. `queued`: bytes that have not left yet; a feed stops at its limit and goes on
 * when feed_drained() is called. */
struct feed_transport {
    void (*send)(void *link, struct chain *frame);
    size_t (*queued)(void *link);
};

/* `catches_up`: the stream is for partitions that are far behind, and throttled. */
struct feed *feed_new(struct replicas *replicas, int32_t follower, bool catches_up,
                      const struct feed_transport *transport, void *link);
void feed_free(struct feed *feed);

/* The link has room again. */
void feed_drained(struct feed *feed);

/* A frame from the follower: 0, or -EBADMSG: close the link. */
int feed_receive(struct feed *feed, struct bytes frame);

#endif
