/* The producers of one log: what makes a retried batch not a second one (KIP-98, KIP-360).
 *
 * A pure function of the log: producers_decide() only reads, producers_apply() is called with every
 * batch that is appended, replayed or fetched, and for the same batches gives the same state. The
 * last five batches of each producer are remembered. A producer expires `expiration_ms` after its
 * last batch, by the time of that batch's append (Kafka goes by the records' own time stamps, and
 * forgets a producer at once that writes old ones).
 *
 * (Kafka 4.4: ProducerStateManager, ProducerAppendInfo, ProducerStateEntry) */
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
    enum kafka_error error; /* KAFKA_NONE: append it, unless it is a duplicate */
    bool duplicate;         /* the batch is in the log: answer with the offsets below once they are
                               committed, append nothing */
    int64_t base_offset, last_offset; /* of the original */
    int64_t timestamp;                /* its largest, ms */
};

/* Judges a batch that wants to be appended, in this order:
 *   - no producer id: fine;
 *   - same epoch, and first and last sequence are those of a remembered batch: a duplicate;
 *   - epoch below the producer's: INVALID_PRODUCER_EPOCH;
 *   - a marker of a coordinator epoch below the last one's: TRANSACTION_COORDINATOR_FENCED;
 *   - a higher epoch must begin at sequence 0, the same one must go on behind the last batch (0
 *     follows INT32_MAX, and a marker that began the epoch): else OUT_OF_ORDER_SEQUENCE_NUMBER;
 *   - while a transaction is open, not transactional: INVALID_TXN_STATE.
 * A producer that the log has not seen (or forgot) may start at any sequence, so
 * UNKNOWN_PRODUCER_ID does not arise, as in Kafka 4.4. A coordinator's own batches have no
 * sequence (-1): for them duplicates and order do not count. */
struct producer_verdict producers_decide(const struct producers *producers, const struct batch *b);

/* Learns a batch that is in the log at its final offsets, whatever producers_decide() would say.
 * A batch of another epoch than the last one's forgets the earlier batches, and so does a marker
 * (control batch) of another epoch; a marker ends the transaction. `now_ms` counts for expiry. */
void producers_apply(struct producers *producers, const struct batch *b, int64_t now_ms);

/* Forgets everything. (Truncation loads a snapshot below the cut and applies what follows it.) */
void producers_clear(struct producers *producers);

/* Forgets producers without an open transaction whose last batch was applied at or before
 * `now_ms - expiration_ms`. */
void producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms);

size_t producers_count(const struct producers *producers);

/* Kafka's producer snapshot (file NNN.snapshot: version int16 = 1, crc uint32 = CRC-32C of what
 * follows, entries). Decoding replaces what was there; -EINVAL leaves it empty. A producer's clock
 * starts anew with the first producers_expire(), until the window file says more. */
void producers_encode(const struct producers *producers, struct buf *out);
int producers_decode(struct producers *producers, struct bytes file);

/* A snapshot's entries remember one batch each; all five, and when the last was applied, are in a
 * file of our own beside it (NNN.window; docs/data-files.md), which Kafka ignores. Decode it behind
 * the snapshot of the same offset: -EINVAL when it is damaged or not of this snapshot (nothing is
 * changed then), -ENOTSUP when its version is newer. */
void producers_encode_window(const struct producers *producers, struct buf *out);
int producers_decode_window(struct producers *producers, struct bytes file);

#endif
