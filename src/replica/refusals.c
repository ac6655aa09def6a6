/* A ring of the newest refusals, one for each producer: the lowest sequence that is missing. */
#include <chronik/replica/refusals.h>

#include <chronik/base/mem.h>
#include <chronik/io/timer.h>

#define MEMORY_NS NS_PER_S

struct refusal {
    int64_t producer_id;
    uint64_t at_ns; /* 0: none */
    int32_t sequence;
    int16_t producer_epoch;
    int16_t error; /* enum kafka_error */
};

struct refusals {
    struct refusal ring[REFUSALS_MAX];
    unsigned next;
};

/* Sequences go round behind INT32_MAX. */
static bool is_behind(int32_t sequence, int32_t other)
{
    uint32_t distance = ((uint32_t)sequence - (uint32_t)other) & INT32_MAX;
    return distance > 0 && distance < INT32_MAX / 2;
}

static struct refusal *find(const struct refusals *refusals, const struct batch *b)
{
    for (unsigned i = 0; refusals != NULL && i < REFUSALS_MAX; i++) {
        const struct refusal *r = &refusals->ring[i];
        if (r->at_ns != 0 && r->producer_id == b->producer_id &&
            r->producer_epoch == b->producer_epoch) {
            return (struct refusal *)r;
        }
    }
    return NULL;
}

static bool is_fresh(const struct refusal *r, uint64_t now_ns)
{
    return now_ns < r->at_ns + MEMORY_NS;
}

void refusals_note(struct refusals **refusals, const struct batch *b, enum kafka_error error,
                   uint64_t now_ns)
{
    if (b->producer_id < 0 || b->base_sequence < 0) {
        return;
    }
    if (*refusals == NULL) {
        *refusals = mem_zalloc(sizeof **refusals);
    }
    struct refusal *r = find(*refusals, b);
    if (r == NULL) {
        r = &(*refusals)->ring[(*refusals)->next++ % REFUSALS_MAX];
    } else if (is_fresh(r, now_ns) && is_behind(b->base_sequence, r->sequence)) {
        r->at_ns = now_ns;
        return;
    }
    *r = (struct refusal){
        .producer_id = b->producer_id,
        .at_ns = now_ns,
        .sequence = b->base_sequence,
        .producer_epoch = b->producer_epoch,
        .error = (int16_t)error,
    };
}

enum kafka_error refusals_decide(const struct refusals *refusals, const struct batch *b,
                                 uint64_t now_ns)
{
    const struct refusal *r = find(refusals, b);
    return r != NULL && is_fresh(r, now_ns) && is_behind(b->base_sequence, r->sequence)
               ? (enum kafka_error)r->error
               : KAFKA_NONE;
}

void refusals_forget(struct refusals *refusals, const struct batch *b)
{
    struct refusal *r = find(refusals, b);
    if (r != NULL) {
        r->at_ns = 0;
    }
}
