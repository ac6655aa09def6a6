/* The state of a directory that is only looked at: dump.c shows it. */
#ifndef CHRONIK_STORAGE_DUMP_LOAD_H
#define CHRONIK_STORAGE_DUMP_LOAD_H

#include "journal_notes.h"
#include "recover.h"

#include <chronik/storage/dump.h>

/* What the journal says of a log: appended batches one by one, the rest as it is. */
struct dump_item {
    enum journal_kind kind; /* JOURNAL_PAD: it counts no more */
    int32_t epoch;
    int64_t offset;
    uint64_t number;
    struct batch batch; /* JOURNAL_APPEND */
    uint8_t *bytes;     /* the whole batch; NULL: not kept */
    bool crc_ok;
    unsigned slot; /* of the chunk, and the group in it */
    uint64_t at, lsn;
};

struct dumped {
    struct map_node node;
    struct uuid topic_id;
    int32_t partition;
    char *topic; /* NULL: not known */
    struct log_notes said;
    struct log *log; /* NULL: there is none (any more) */
    int64_t segments_end; /* where they end: where the journal goes on */
    bool cut_short;       /* a truncation reached into the last one: its file was cut, or will be */
    struct buf parts;
    struct dump_item *items;
    size_t n, cap;
};

struct dump_remark {
    char *file;
    uint64_t at;
    char *what;
    bool damage;
};

struct dump_state {
    struct text topic; /* wanted; null: all */
    int32_t partition;
    bool keep_bytes;
    struct store store; /* was never opened: there to hang logs on */
    struct recovery *recovery;
    struct map logs; /* of struct dumped */
    struct dump_remark *remarks;
    size_t n_remarks, cap_remarks;
    int error; /* of what could not be looked at; the recovery has a message */
};

/* Looks at a directory; `topic`: null, or the partition that is wanted. Release it in any case. */
int dump_load(struct dump_state *state, const char *dir, struct text topic, int32_t partition,
              bool keep_bytes);
void dump_release(struct dump_state *state);

/* A log by its topic and number; NULL. */
struct dumped *dump_find(const struct dump_state *state, const char *topic, int32_t partition);

/* Adds a remark; `file` lies in the directory. */
void dump_remark(struct dump_state *state, const char *file, uint64_t at, bool damage,
                 const char *what);

/* The name of a file of a log, in the directory; the caller frees it. */
char *dump_segment_name(const struct log *log, int64_t base);

/* ---- dump_found.c: logs that no checkpoint tells of -------------------------------------------*/

/* Adds what lies in the directory and is not known yet, as it is. */
int dump_found(struct dump_state *state);

/* Takes over what verifies behind the known end of the last segment. */
void dump_extend(struct dump_state *state, struct log *log);

/* ---- between the two --------------------------------------------------------------------------*/

/* The log that a key stands for; made when there is none yet. */
struct dumped *dump_entry(struct dump_state *state, const struct uuid *topic_id, int32_t partition);

/* Is it the one that is wanted? */
bool dump_wants(const struct dump_state *state, struct text topic, int32_t partition);

#endif
