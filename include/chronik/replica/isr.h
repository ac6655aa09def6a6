/* The in-sync set of a partition, as its leader sees it.
 *
 * The committed set is in the metadata and changes only there (KIP-497): the leader proposes, with
 * the broker epoch in which each member fetched (KIP-903), and until the answer is known it counts
 * both the old and the proposed members: the *maximal* set (rule 9 of docs/durability.md).
 *
 *     committed end = the smallest durable end over the maximal set, the leader's own included
 *
 * It stands still while the committed set is smaller than min.insync.replicas (KIP-966). A follower
 * is proposed for the set when it durably has everything that is committed and everything from
 * before this leader; it is proposed to leave when it has not durably caught up for
 * replica.lag.time.max.ms. */
#ifndef CHRONIK_REPLICA_ISR_H
#define CHRONIK_REPLICA_ISR_H

#include <chronik/base/list.h>
#include <chronik/base/text.h>

struct partition;
struct image_partition;
struct replicas;

/* What a leader knows of another replica in its epoch. */
struct follower {
    int32_t broker;
    bool in_isr;          /* of the committed set */
    bool proposed;        /* of the set that was proposed, while one is */
    int64_t broker_epoch; /* in which it fetched last; -1: it has not fetched in this epoch */
    int64_t log_start;    /* what it has begins here, as far as known */
    int64_t end;          /* it has written everything below, as far as known; -1: not known */
    int64_t durable_end;  /* and has it on stable storage */
    uint64_t caught_up_ns; /* when it last durably had all there was */
    int64_t mark_end;     /* the leader's end at `mark_ns`: once the follower has that, it was */
    uint64_t mark_ns;     /* caught up then */
};

struct isr {
    struct follower *followers; /* every replica but the leader */
    unsigned n_followers;
    unsigned n_committed;       /* members, the leader included */
    bool proposing;             /* a proposal is under way, or may have been applied */
    bool unknown;               /* an earlier one timed out: whatever was proposed still counts */
    int32_t proposed_epoch;     /* partition epoch that it was made for */
    struct list link;           /* in replicas->proposals while it waits to be sent */
};

void isr_init(struct isr *isr);
void isr_release(struct isr *isr);

/* The metadata has changed. `new_epoch`: this leader begins; what followers had said is forgotten.
 * */
void isr_follow(struct partition *p, const struct image_partition *state, bool new_epoch);

/* Is the broker another replica of the partition? */
bool isr_knows(const struct partition *p, int32_t broker);

/* The committed end as defined above; at most the leader's durable end. */
int64_t isr_committed_end(const struct partition *p);

/* Enough members for acks=all (rule 5)? */
bool isr_is_large_enough(const struct partition *p);

/* A follower's log, up to `end`, is a prefix of the leader's: it goes on from there, in that broker
 * epoch. What it had said before counts no more where it is above. */
void isr_begins(struct partition *p, int32_t broker, int64_t broker_epoch, int64_t end);

/* What a follower has: from `log_start` on it is there, below `end` it is written, below
 * `durable_end` on stable storage. */
struct isr_ends {
    int64_t log_start, end, durable_end;
};

/* Since it began a follower has come so far. */
void isr_progress(struct partition *p, int32_t broker, int64_t broker_epoch,
                  const struct isr_ends *ends);

/* The member of the set, not the leader, that a consumer in that rack should read from at that
 * offset (KIP-392): one in the same rack that has it, the one that has most. -1: none, or the
 * leader is in that rack itself. */
int32_t isr_preferred(const struct partition *p, struct text rack, int64_t offset);

/* Proposes followers that may join: what they have said may count only now. */
void isr_consider(struct partition *p);

/* A broker serves from now on: what it had said before may count. */
void isr_broker_serves(struct replicas *replicas, int32_t broker);

/* Looks for followers that lag, in all partitions that this node leads. Called every half of
 * replica.lag.time.max.ms. */
void isr_check_lag(struct replicas *replicas);

/* Sends the proposals that wait, in one request. */
void isr_send_proposals(struct replicas *replicas);

#endif
