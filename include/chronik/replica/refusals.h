/* What a partition has just refused to idempotent producers.
 *
 * A producer sends several batches before it hears of the first one. When the first is refused for
 * a moment (nobody leads yet, too few replicas in sync, no space) and the second arrives behind
 * that moment, the second has a gap in front of it. Apache Kafka appends it for a producer that it
 * does not know, and answers OUT_OF_ORDER_SEQUENCE_NUMBER otherwise; librdkafka then begins another
 * producer epoch on all partitions, and sends what was under way on others a second time under new
 * numbers. So what comes behind a batch that was refused is refused with the same error, until the
 * first one has come again, or a second has passed. */
#ifndef CHRONIK_REPLICA_REFUSALS_H
#define CHRONIK_REPLICA_REFUSALS_H

#include <chronik/wire/records.h>
#include <chronik/wire/error.h>

struct refusals;

/* The batch was refused at `now_ns`. `*refusals` is made when it is NULL; free() releases it. Only
 * the newest are kept, REFUSALS_MAX. */
enum { REFUSALS_MAX = 32 };
void refusals_note(struct refusals **refusals, const struct batch *batch, enum kafka_error error,
                   uint64_t now_ns);

/* The error of the batch in front of this one that was refused; KAFKA_NONE: there is none. */
enum kafka_error refusals_decide(const struct refusals *refusals, const struct batch *batch,
                                 uint64_t now_ns);

/* The batch is in the log. */
void refusals_forget(struct refusals *refusals, const struct batch *batch);

#endif
