/* The checkpoint file: what is safe in the files of a directory, as of one LSN
 * (docs/data-files.md).
 *
 * An image is a cut through the whole store: every log as it was when the journal's group `lsn`
 * was closed. All that was appended, truncated or deleted up to there is in the files and synced
 * when the image is written; recovery replays what the journal holds behind it. */
#ifndef CHRONIK_STORAGE_IMAGE_H
#define CHRONIK_STORAGE_IMAGE_H

#include "state.h"

struct image_head {
    struct uuid directory_id;
    bool clean;           /* the store was stopped; nothing is in the journal */
    struct uuid stop_id;  /* of that stop, as .kafka_cleanshutdown has it as well */
    int64_t broker_epoch; /* of the life that stopped cleanly; -1: none */
    uint64_t lsn;         /* the cut */
    uint64_t durable_lsn; /* what the journal had when the image was written: at least `lsn` */
};

/* Begins an image: room for the head, which image_seal() fills in. */
void image_begin(struct buf *out);

/* A log's producers: in the image, or in a snapshot file of offset `log->snapshot`. */
enum { IMAGE_PRODUCERS_MAX = 64 };

/* Adds a log as it is now. */
void image_add(struct buf *out, const struct log *log);

/* Ends the logs; then come the segments whose files are still to be removed. */
void image_add_removals(struct buf *out, const struct store *store);

/* Fills in the head and the CRC. Once the rest is complete; may be called again. */
void image_seal(struct buf *out, const struct image_head *head, uint32_t n_logs);

/* A segment that waits to be removed. */
struct image_removal {
    struct uuid topic_id;
    int32_t partition;
    int64_t base;
};

/* Reads the head: 0; -EBADMSG: damaged; -ENOTSUP: of a newer version. A single flipped bit anywhere
 * in the file is put right in place. */
int image_open(struct buf *file, struct image_head *ret_head);

/* Reads the logs of an image that image_open() has accepted, and calls `add` for each, which takes
 * it over; then `removal` for each removal. -EBADMSG when the image contradicts itself. */
int image_read(struct bytes file, struct store *store, void (*add)(void *arg, struct log *log),
               void (*removal)(void *arg, const struct image_removal *removal), void *arg);

#endif
