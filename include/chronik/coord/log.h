/* What a coordinator's state machine sees of the log that it lives in.
 *
 * Everything a coordinator promises is a record in a partition of an internal topic. A machine
 * *decides* (reads its state, may refuse), *appends* what it decided, and hears of its own records
 * through the same apply function that replays the log on another node: so its state is a function
 * of the log alone. What it tells a client it tells when the records are committed.
 *
 *     decide ─> coord_append() ─> log, then apply() ─> coord_wait() ─> committed: the answer
 *
 * An append that is refused changes nothing. One that is not committed in the end (another node
 * leads now) takes the whole state with it: it is loaded anew where the log is led. */
#ifndef CHRONIK_COORD_LOG_H
#define CHRONIK_COORD_LOG_H

#include <chronik/base/arena.h>
#include <chronik/base/diag.h>
#include <chronik/base/list.h>
#include <chronik/io/loop.h>
#include <chronik/meta/config.h>
#include <chronik/wire/error.h>
#include <chronik/wire/schema.h>

/* One record, as it is appended or as it was read. */
struct coord_record {
    int64_t offset;      /* in the log */
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    bool transactional;  /* counts when its transaction is committed */
    bool control;        /* the marker that ends a transaction */
    struct bytes key;
    struct bytes value;  /* data NULL: a tombstone: the key is no more */
};

/* Records to be appended together. Views live in the batch's arena, or as long as the caller says.
 * Zero-initialised is empty and valid. */
struct coord_batch {
    struct arena arena;
    struct coord_record *records;
    size_t n, cap;
    size_t bytes; /* of all keys and values */
};

void coord_batch_release(struct coord_batch *batch);

/* Adds a record whose key and value are messages of <chronik/coord/record.h>, in these versions;
 * `value` NULL: a tombstone. */
void coord_batch_add(struct coord_batch *batch, const struct wire_api *key_type, const void *key,
                     const struct wire_api *value_type, int16_t version, const void *value);

/* The number that stands before a key and says what kind of record it is: Kafka's; before a value
 * it is the value's version. -1: too short. */
int32_t coord_record_kind(struct bytes bytes);

/* Decodes what follows that number, in the version given. False: damaged, or of a version that is
 * not known. */
bool coord_decode(const struct wire_api *type, int16_t version, struct bytes bytes,
                  struct arena *arena, void *out);

/* Somebody who waits until all that is appended so far is committed. Embedded; in no list but while
 * it waits. */
struct coord_wait {
    struct list link;
    int64_t end;          /* private: committed when the high watermark is here */
    uint64_t deadline_ns; /* private */
    /* KAFKA_NONE; or NOT_COORDINATOR: another node leads now; COORDINATOR_NOT_AVAILABLE: not
     * committed within offsets.commit.timeout.ms, and it may yet be. */
    void (*done)(struct coord_wait *wait, enum kafka_error error);
};

/* What clients make all coordinators of a node hold in memory that is in no log: bounded, since
 * anybody can found groups. */
struct coord_memory {
    uint64_t used, max; /* bytes */
};

struct coord_log {
    struct loop *loop;
    struct diag *diag;
    struct coord_memory *memory;
    const struct coord_log_ops *ops;
};

struct coord_log_ops {
    enum kafka_error (*append)(struct coord_log *log, const struct coord_batch *batch);
    bool (*wait)(struct coord_log *log, struct coord_wait *wait);
    struct config_layers (*config)(struct coord_log *log);
    const struct image *(*image)(struct coord_log *log);
};

/* Appends and applies the records. Else nothing has changed and the error is fit for a client:
 * NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE (too few replicas, no room), UNKNOWN_SERVER_ERROR (too
 * large to be kept). An empty batch does nothing. */
static inline enum kafka_error coord_append(struct coord_log *log, const struct coord_batch *batch)
{
    return batch->n > 0 ? log->ops->append(log, batch) : KAFKA_NONE;
}

/* True: all that was appended is committed, `done` will not be called. Else it will be. */
static inline bool coord_wait(struct coord_log *log, struct coord_wait *wait)
{
    return log->ops->wait(log, wait);
}

/* Stops waiting; harmless for one that does not (but was initialised with list_init). */
static inline void coord_wait_cancel(struct coord_wait *wait)
{
    list_remove(&wait->link);
}

/* The broker's settings, and the cluster; valid until the metadata changes. */
static inline struct config_layers coord_config(struct coord_log *log)
{
    return log->ops->config(log);
}

static inline const struct image *coord_image(struct coord_log *log)
{
    return log->ops->image(log);
}

#endif
