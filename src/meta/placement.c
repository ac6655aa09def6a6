/* Placement by counting: placement.h says how. */
#include "placement.h"

static unsigned rack_of(const struct image *image, size_t i)
{
    const char *rack = image_broker_at(image, i)->rack;
    for (size_t k = 0; rack != NULL && k < i; k++) {
        const char *other = image_broker_at(image, k)->rack;
        if (other != NULL && strcmp(rack, other) == 0) {
            return (unsigned)k;
        }
    }
    return (unsigned)i;
}

static struct placement_broker *find(struct placement *p, int32_t id)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->brokers[i].id == id) {
            return &p->brokers[i];
        }
    }
    return NULL;
}

static void count(struct placement *p, const int32_t *replicas, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct placement_broker *b = find(p, replicas[i]);
        if (b != NULL) {
            b->holds++;
            b->leads += i == 0;
        }
    }
}

void placement_init(struct placement *p, const struct image *image, struct prng *prng,
                    struct arena *arena)
{
    size_t n = image_broker_count(image);
    *p = (struct placement){ .brokers = arena_zalloc_array(arena, n, sizeof *p->brokers), .n = n };
    for (size_t i = 0; i < n; i++) {
        const struct image_broker *b = image_broker_at(image, i);
        bool usable = !b->fenced && !b->stopping;
        p->brokers[i] = (struct placement_broker){ .id = b->id, .usable = usable,
                                                   .rack = rack_of(image, i) };
        p->n_usable += usable;
    }
    for (size_t t = 0; t < image_topic_count(image); t++) {
        const struct image_topic *topic = image_topic_at(image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            count(p, topic->partitions[i].replicas, topic->partitions[i].n_replicas);
        }
    }
    p->turn = n > 0 ? (size_t)prng_below(prng, n) : 0;
}

/* Is the rack of `b` free of the replicas chosen so far? */
static bool rack_is_new(struct placement *p, const struct placement_broker *b,
                        const int32_t *chosen, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct placement_broker *other = find(p, chosen[i]);
        if (other != NULL && other->rack == b->rack) {
            return false;
        }
    }
    return true;
}

/* What a broker costs as the next replica: the smallest counts, one after the other. */
struct cost {
    bool unusable, rack_taken;
    uint64_t first, second;
};

static bool is_less(const struct cost *a, const struct cost *b)
{
    if (a->unusable != b->unusable) {
        return b->unusable;
    }
    if (a->rack_taken != b->rack_taken) {
        return b->rack_taken;
    }
    return a->first != b->first ? a->first < b->first : a->second < b->second;
}

static struct cost cost_of(struct placement *p, const struct placement_broker *b,
                           const int32_t *chosen, unsigned n)
{
    return (struct cost){ .unusable = !b->usable, .rack_taken = !rack_is_new(p, b, chosen, n),
                          .first = n == 0 ? b->leads : b->holds,
                          .second = n == 0 ? b->holds : b->leads };
}

static struct placement_broker *cheapest(struct placement *p, const int32_t *chosen, unsigned n)
{
    struct placement_broker *best = NULL;
    struct cost least = { 0 };
    for (size_t k = 0; k < p->n; k++) {
        struct placement_broker *b = &p->brokers[(p->turn + k) % p->n];
        struct cost cost = cost_of(p, b, chosen, n);
        if (!image_has(chosen, n, b->id) && (best == NULL || is_less(&cost, &least))) {
            best = b;
            least = cost;
        }
    }
    return best;
}

bool placement_extend(struct placement *p, unsigned n_now, unsigned n,
                      int32_t to[IMAGE_REPLICAS_MAX])
{
    if (n > p->n || n > IMAGE_REPLICAS_MAX) {
        return false;
    }
    for (unsigned i = n_now; i < n; i++) {
        to[i] = cheapest(p, to, i)->id;
    }
    count(p, to, n);
    p->turn = (p->turn + 1) % p->n;
    return true;
}

bool placement_choose(struct placement *p, unsigned n, int32_t to[IMAGE_REPLICAS_MAX])
{
    return n > 0 && p->n_usable > 0 && placement_extend(p, 0, n, to);
}
