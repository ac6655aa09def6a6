/* xoshiro256**, seeded by splitmix64. */
#include <chronik/base/random.h>

static uint64_t rotate(uint64_t n, unsigned k)
{
    return n << k | n >> (64 - k);
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < countof(prng->s); i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        prng->s[i] = z ^ z >> 31;
    }
}

uint64_t prng_u64(struct prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t n)
{
    check(n > 0);
    return (uint64_t)((unsigned __int128)prng_u64(prng) * n >> 64);
}

void prng_fill(struct prng *prng, void *to, size_t len)
{
    uint8_t *at = to;
    while (len > 0) {
        uint64_t n = prng_u64(prng);
        size_t part = len < sizeof n ? len : sizeof n;
        memcpy(at, &n, part);
        at += part;
        len -= part;
    }
}
