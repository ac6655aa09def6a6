/* Where replicas go: evenly over brokers, and over racks.
 *
 * The first replica of a partition is its preferred leader: it goes to the broker that is first
 * choice for the fewest partitions. Each further one goes to a rack that the partition does not use
 * yet where there is one, and there to the broker with the fewest replicas. Ties go round, from a
 * random beginning. Fenced brokers get further replicas only when there are not enough others. */
#ifndef CHRONIK_SRC_META_PLACEMENT_H
#define CHRONIK_SRC_META_PLACEMENT_H

#include <chronik/base/arena.h>
#include <chronik/base/random.h>
#include <chronik/meta/image.h>

struct placement_broker {
    int32_t id;
    bool usable;            /* serves, and is not about to stop */
    unsigned rack;          /* number of its rack; brokers without one have one of their own */
    uint64_t leads, holds;  /* partitions that prefer it, and all replicas */
};

struct placement {
    struct placement_broker *brokers;
    size_t n, n_usable;
    size_t turn; /* where ties begin */
};

/* Counts what the image has; further choices count too, so that one placement serves a whole
 * request. */
void placement_init(struct placement *p, const struct image *image, struct prng *prng,
                    struct arena *arena);

/* Chooses `n` different brokers, the preferred leader first. False when there are not so many, or
 * none of them serves. */
bool placement_choose(struct placement *p, unsigned n, int32_t to[IMAGE_REPLICAS_MAX]);

/* Adds brokers to `n_now` that are given, up to `n`; false when there are not so many. */
bool placement_extend(struct placement *p, unsigned n_now, unsigned n,
                      int32_t to[IMAGE_REPLICAS_MAX]);

#endif
