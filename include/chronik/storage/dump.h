/* What a directory holds, read without opening it as a store: of a broker that runs, was killed, or
 * is damaged. Nothing is written and no lock is taken. Blocking; for a tool, and for tests.
 *
 * What is shown is what a recovery would make of the directory at this moment: what segments hold
 * up to the checkpoint, and what the journal holds behind it, without what was truncated, deleted
 * or lies below the log start. Of a broker that runs, everything is there that it has acknowledged
 * before dump_run() was called. */
#ifndef CHRONIK_STORAGE_DUMP_H
#define CHRONIK_STORAGE_DUMP_H

#include <chronik/base/text.h>
#include <chronik/base/uuid.h>
#include <chronik/storage/epochs.h>
#include <chronik/wire/records.h>

struct dump_log {
    const struct uuid *topic_id;
    const char *topic;
    int32_t partition;
    int64_t start, end;
    int64_t high_watermark; /* as of the checkpoint: the journal has none */
    const struct epochs *epochs;
};

struct dump_batch {
    struct batch batch; /* `raw.data` is valid during the call; NULL where records are not wanted */
    bool crc_ok;
    const char *file; /* in the directory: "t-0/00000000000000000000.log", "journal/0003" */
    uint64_t at;      /* where in it: of the batch in a segment, of its group in a chunk */
    uint64_t lsn;     /* of that group; 0: it is in a segment */
};

/* What is called, with the `arg` of the request. Batches follow their log, in the order of their
 * offsets. */
struct dump_visitor {
    void (*log)(void *arg, const struct dump_log *log);
    void (*batch)(void *arg, const struct dump_log *log, const struct dump_batch *batch);

    /* Something is wrong, or worth knowing, at a byte of a file. */
    void (*remark)(void *arg, const char *file, uint64_t at, const char *what, bool damage);
};

struct dump_request {
    const char *dir;   /* a data directory, or the directory of one partition in it */
    struct text topic; /* null: every partition */
    int32_t partition;
    bool records; /* they will be looked at: without, less memory is used */
    const struct dump_visitor *visitor;
    void *arg;
};

/* 0 when everything could be looked at, damaged or not. -errno when it could not, with a sentence
 * in `*ret_message`, which the caller frees: there is no such directory, a newer version wrote it.
 * */
int dump_run(const struct dump_request *request, char **ret_message);

#endif
