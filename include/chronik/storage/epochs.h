/* The leader epochs of a log (KIP-101, KIP-279): where each began.
 *
 * Epochs and start offsets rise strictly. The file `leader-epoch-checkpoint` is only a cache: it is
 * built again from batch headers when missing or wrong (rule 15). Its text: a version line "0", a
 * line with the number of entries, then "epoch start_offset" lines. (Kafka 4.4,
 * LeaderEpochFileCache) */
#ifndef CHRONIK_STORAGE_EPOCHS_H
#define CHRONIK_STORAGE_EPOCHS_H

#include <chronik/base/bytes.h>

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

/* Zero-initialised is empty and valid. */
struct epochs {
    struct epoch_entry *entries;
    size_t n, cap;
};

/* Records that `epoch` begins at `start_offset`, neither of them negative. Entries at or above
 * either are dropped first, since they can only be of a history that was given up; an epoch that is
 * already the last one with a start at or below the offset changes nothing. True when something
 * changed. */
bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start_offset);

int32_t epochs_last(const struct epochs *epochs);                /* -1: none */
int32_t epochs_at(const struct epochs *epochs, int64_t offset);  /* -1: none */

/* The answer to OffsetForLeaderEpoch: the largest known epoch at or below `epoch`, and where it
 * ends, which is the start of the next one, or the log's end for the last one. Below the first
 * known epoch: `epoch` itself and the start of the first. Above the last one, or -1: both -1. */
void epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                int64_t *ret_end);

/* Drops what begins at or above `offset`; and what ends at or below a new log start, whose own
 * entry then begins there. True when something changed. */
bool epochs_truncate(struct epochs *epochs, int64_t offset);
bool epochs_trim(struct epochs *epochs, int64_t log_start);

/* The file, and back. Decoding replaces what was there; -EINVAL leaves it empty: build it again. */
void epochs_encode(const struct epochs *epochs, struct buf *out);
int epochs_decode(struct epochs *epochs, struct bytes file);

void epochs_release(struct epochs *epochs);

#endif
