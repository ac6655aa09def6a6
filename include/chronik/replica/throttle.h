/* Replication quotas: how fast replicas that are far behind may be filled (KIP-73).
 *
 * The rates are {leader,follower}.replication.throttled.rate of the broker; they count for the
 * replicas that {leader,follower}.replication.throttled.replicas of the topic names, while they are
 * far behind. What is sent or taken is paid with time: the next chunk waits until then. */
#ifndef CHRONIK_REPLICA_THROTTLE_H
#define CHRONIK_REPLICA_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct partition;

struct throttle {
    uint64_t paid_until_ns;
};

enum throttle_side { THROTTLE_LEADER, THROTTLE_FOLLOWER };

/* Bytes per second that this node, on that side, may spend on the partition; UINT64_MAX: any. */
uint64_t throttle_rate(const struct partition *p, enum throttle_side side);

static inline bool throttle_holds(const struct throttle *throttle, uint64_t now_ns)
{
    return now_ns < throttle->paid_until_ns;
}

/* The bytes were spent. */
void throttle_pay(struct throttle *throttle, uint64_t now_ns, uint64_t bytes, uint64_t rate);

#endif
