/* A fast pseudo-random generator (xoshiro256**, Blackman and Vigna). Not for secrets: those, and
 * the seed of this one, come from loop_random(). */
#ifndef CHRONIK_BASE_RANDOM_H
#define CHRONIK_BASE_RANDOM_H

#include <chronik/base/mem.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_u64(struct prng *prng);

/* Uniform in [0, n), n > 0. */
uint64_t prng_below(struct prng *prng, uint64_t n);

/* True with a chance of `percent` in 100. */
static inline bool prng_percent(struct prng *prng, unsigned percent)
{
    return prng_below(prng, 100) < percent;
}

/* Fills `to` with random bytes. */
void prng_fill(struct prng *prng, void *to, size_t len);

#endif
