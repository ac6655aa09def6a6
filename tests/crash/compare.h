/* What was acknowledged, against what is there.
 *
 * The acknowledgement log has a line for each event, in order:
 *   <id> <offset>               the record was acknowledged at this offset (-1: not told)
 *   trim <partition> <offset>   what lies below may go from now on (a second file, <log>.trims, may
 *                               have such lines too)
 *   cut <partition> <offset>    what lies at or above may go from now on: a truncation was asked
 *                               for
 *   cutdone <partition> 0       what that truncation cut is gone for good
 *
 * The faults:
 *   lost        an acknowledged record is not there
 *   misplaced   an acknowledged record is not at the offset that was acknowledged
 *   repeated    a record of an idempotent producer is there twice, or behind a later one
 *   reordered   a record of a plain producer is there for the first time behind a later one
 *   damaged     a record's bytes are not what was sent
 *   gaps        offsets that do not follow each other
 *   returned    a record is there that had been cut off
 * What was sent and not acknowledged may be there or not. */
#ifndef CHRONIK_TESTS_CRASH_COMPARE_H
#define CHRONIK_TESTS_CRASH_COMPARE_H

#include "load.h"

struct comparison;

/* Reads the acknowledgement log of the options; NULL, and a message, when it cannot be read. */
struct comparison *comparison_new(const struct load_options *options);
void comparison_free(struct comparison *c);

/* Where a partition starts and ends; before its first record. */
void comparison_open(struct comparison *c, unsigned partition, int64_t start, int64_t end);

/* The next record of a partition, in the order of the log. */
void comparison_take(struct comparison *c, unsigned partition, int64_t offset, const void *value,
                     size_t len);

/* After the last record: judges and prints. True when nothing is wrong. */
bool comparison_close(struct comparison *c);

#endif
