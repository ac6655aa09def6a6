/* The producers of one log: what makes a retried batch not a second one (KIP-98, KIP-360).
 *
 * A pure function of the log: producers_decide() only reads, producers_apply() is called with every
 * batch that is appended, replayed or fetched, and for the same batches gives the same state. The
 * last five batches of each producer are remembered. A producer expires `expiration_ms` after its
 * last batch, by the time of that batch's append. */
#ifndef CHRONIK_STORAGE_PRODUCERS_H
#define CHRONIK_STORAGE_PRODUCERS_H

#include <chronik/base/map.h>
#include <chronik/wire/records.h>

struct producers {
    struct map map; /* by producer id */
    uint64_t seed;
};

void producers_init(struct producers *producers, uint64_t seed);
void producers_release(struct producers *producers);

struct producer_verdict {
    enum kafka_error error;   /* KAFKA_NONE: append it, unless it is a duplicate */
    bool duplicate;           /* the batch is in the log: answer with the offsets below once they are
                                 committed, append nothing */
    int64_t base_offset, last_offset, timestamp; /* of the original */
};

/* What Kafka's ProducerStateManager decides: duplicates within the window of five batches,
 * OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID. Batches without a
 * producer id are fine. A producer that the log has not seen may start at any sequence. */
struct producer_verdict producers_decide(const struct producers *producers, const struct batch *b);

/* Learns a batch that is in the log at its final offsets. `now_ms` counts for expiry. */
void producers_apply(struct producers *producers, const struct batch *b, int64_t now_ms);

/* Forgets everything. (Truncation loads a snapshot below the cut and applies what follows it.) */
void producers_clear(struct producers *producers);

/* Forgets producers whose last batch was applied before `now_ms - expiration_ms`. */
void producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms);

size_t producers_count(const struct producers *producers);

/* Kafka's producer snapshot (file NNN.snapshot: version int16 = 1, crc uint32 = CRC-32C of what
 * follows, entries). Its entries remember one batch each; the other four of the window are in a file
 * of our own beside it (docs/data-files.md), which Kafka ignores. */
void producers_encode(const struct producers *producers, struct buf *out);
int producers_decode(struct producers *producers, struct bytes file); /* -EINVAL: do not use it */
void producers_encode_window(const struct producers *producers, struct buf *out);
int producers_decode_window(struct producers *producers, struct bytes file);

#endif
