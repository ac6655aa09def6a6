/* The LeaderElector: who leads a partition, and who is in its in-sync set, when brokers come and
 * go.
 *
 * It is fed by applied state only and acts only where the Raft leader is; what it proposes is bound
 * to the leader and partition epoch that it saw. The order of an election (KIP-966; rules 16 and 17
 * of docs/durability.md):
 *
 *   1. the leader there is, if it is in sync and serves
 *   2. the first replica, in order of preference, that is in sync and serves
 *   3. when nobody is in sync any more: an eligible replica that serves. One that was up all the
 *      time leads at once. When all of them have been restarted (a power cut), the others are
 *      waited for, for a bounded time, and the one whose log goes furthest leads
 *   4. nobody. Where the topic allows it, or an operator asks, any replica that serves: unclean
 *
 * A replica that leaves the in-sync set while that is smaller than min.insync.replicas becomes
 * eligible: it has everything that was acknowledged. */
#ifndef CHRONIK_SRC_META_ELECTOR_H
#define CHRONIK_SRC_META_ELECTOR_H

#include <chronik/base/arena.h>
#include <chronik/meta/command.h>
#include <chronik/meta/config.h>
#include <chronik/meta/image.h>

/* Some brokers. */
struct elector_set {
    int32_t ids[IMAGE_REPLICAS_MAX];
    unsigned n;
};

/* Where a log ended, durably, when its broker was started. */
struct log_end {
    struct uuid topic_id;
    int32_t partition, last_epoch;
    int64_t offset;
};

/* What a broker has said of its logs, in this life; sorted by topic and partition. */
struct log_ends {
    int32_t broker;
    int64_t epoch;
    struct log_end *items;
    size_t n;
};

int log_end_compare(const void *a, const void *b);

/* Changes of partitions being worked out. */
struct elector {
    const struct image *image;
    struct arena *arena;
    int32_t min_isr;    /* of topics that set none themselves */
    bool unclean;
    int32_t up;         /* a broker to be taken as serving from now on; -1: none */
    struct elector_set down;     /* brokers that do not serve, whatever the image says */
    struct elector_set doubtful; /* brokers of which nobody knows whether they live: they may lead,
                                    but are no reason to do without another one */
    const struct log_ends *ends; /* of brokers that were restarted */
    size_t n_ends;
    bool hurried;       /* nobody is waited for any longer */
    bool waits;         /* out: an election waits for others to say where their logs end */
    struct command_change_partitions_change *changes;
    size_t n, cap;
};

/* `layers`: without a topic's. */
void elector_init(struct elector *e, const struct image *image, struct arena *arena,
                  const struct config_layers *layers);
void elector_release(struct elector *e);

/* Before an event: what is known of brokers beyond the image. */
void elector_take_down(struct elector *e, int32_t broker);
void elector_doubt(struct elector *e, int32_t broker);

/* Every broker that was taken down is fenced: it leaves all in-sync sets, and somebody else leads
 * where it did. */
void elector_fence(struct elector *e);

/* A broker begins a new life. `clean`: its last one ended cleanly. `proven`: it has everything it
 * ever promised (rule 17 b); otherwise it is in sync nowhere any more, and eligible nowhere. */
void elector_restart(struct elector *e, int32_t broker, bool clean, bool proven);

/* A broker serves from now on: partitions without a leader may get one. */
void elector_unfence(struct elector *e, int32_t broker);

/* Elects where there is no leader. */
void elector_elect_leaderless(struct elector *e);

/* A broker is about to stop: others lead where they can. */
void elector_stop(struct elector *e, int32_t broker);

/* Gives partitions back to their preferred leaders where these are in sync; at most `max`
 * changes. */
void elector_balance(struct elector *e, size_t max);

/* A leader's new in-sync set, already checked. A leader that is about to stop gives way to a
 * replica that has just come in sync. */
void elector_set_isr(struct elector *e, const struct image_topic *topic, int32_t partition,
                     const int32_t *isr, int32_t n_isr, int8_t recovery);

/* Moves a partition to these replicas, the preferred leader first (KIP-455): the new ones are added
 * at once, those that are not among them go when all new ones are in sync. */
void elector_reassign(struct elector *e, const struct image_topic *topic, int32_t partition,
                      const int32_t *replicas, int32_t n);

/* Takes a move that is under way back. NO_REASSIGNMENT_IN_PROGRESS; INVALID_REPLICA_ASSIGNMENT:
 * none of the earlier replicas could lead. */
enum kafka_error elector_cancel_move(struct elector *e, const struct image_topic *topic,
                                     int32_t partition);

enum election { ELECT_PREFERRED = 0, ELECT_UNCLEAN = 1 };

/* One partition's election on request. */
enum kafka_error elector_elect(struct elector *e, const struct image_topic *topic,
                               int32_t partition, enum election election);

/* All changes as one command. */
struct command_change_partitions elector_command(const struct elector *e);

#endif
