/* The judge of histories: what clients were told, and what must follow from it.
 *
 * A key is one partition; a value is sent once to one key. Operations are given in the order of
 * real time. Most of what cannot be is seen at once; what was lost, when judge_finish() compares
 * everything with the last reading of each key. What was sent and never acknowledged may be there
 * or not. The list of faults, with what each means, is FAULTS in judge.c and in docs/history.md.
 *
 * The simulator calls these functions; chaos_check reads operations from a file (read.h). It needs
 * about 50 bytes for each value sent, and little else. */
#ifndef CHRONIK_CHAOS_JUDGE_H
#define CHRONIK_CHAOS_JUDGE_H

#include <chronik/base/text.h>

enum fault_kind {
    FAULT_LOST,
    FAULT_VANISHED,
    FAULT_INCONSISTENT,
    FAULT_REPEATED,
    FAULT_REORDERED,
    FAULT_REFUSED,
    FAULT_INVENTED,
    FAULT_DAMAGED,
    FAULT_GAP,
    FAULT_SKIPPED,
    FAULT_BEYOND,
    FAULT_RECEDED,
    FAULT_REWOUND,
    FAULT_UNCOMMITTED,
    FAULT_SHARED,
    FAULT_BROKEN,
    FAULT_UNREAD,
    FAULT_KINDS
};

/* Its name, for people and in the output of chaos_check. */
const char *fault_name(enum fault_kind kind);

/* `time_ns` is that of the operation, or of the acknowledgement; 0: none. Called for the first
 * FAULTS_TOLD of each kind; `text` lives until the call ends. */
enum { FAULTS_TOLD = 5 };
typedef void judge_found(void *arg, enum fault_kind kind, uint64_t time_ns, const char *text);

struct judge;

struct judge *judge_new(judge_found *found, void *arg);
void judge_free(struct judge *judge);

/* ---- who and where ----------------------------------------------------------------------------*/

/* Names are numbers of the caller's choice; the result is what the other functions take. */
unsigned judge_key(struct judge *judge, int64_t name);
unsigned judge_process(struct judge *judge, int64_t name);
unsigned judge_group(struct judge *judge, struct text name);

/* What is special about a key. */
enum {
    KEY_GAPS = 1,  /* offsets may be missing: records of transactions, compaction */
    KEY_LOSSY = 2, /* records may be missing: unclean elections, retention */
};
void judge_allow(struct judge *judge, unsigned key, unsigned allowed);

/* What a producer promises. */
enum {
    PRODUCER_ONCE = 1,    /* no value twice */
    PRODUCER_ORDERED = 2, /* values are in the order in which they were sent */
    PRODUCER_WEAK = 4,    /* its acknowledgements are of the leader only, and promise nothing */
};
void judge_producer(struct judge *judge, unsigned process, unsigned promises);

/* ---- what happens -----------------------------------------------------------------------------*/

/* The time of what follows. */
void judge_at(struct judge *judge, uint64_t time_ns);

void judge_send(struct judge *judge, unsigned process, unsigned key, int64_t value);

/* Offset -1: the broker did not say. */
void judge_acknowledge(struct judge *judge, unsigned key, int64_t value, int64_t offset);

/* It was certainly not written; or nobody knows. */
void judge_refuse(struct judge *judge, unsigned key, int64_t value);
void judge_unknown(struct judge *judge);

/* A consumer got a record. `final`: it reads everything, when all is over; a second such consumer
 * begins a new last reading of the key. VALUE_DAMAGED: its bytes are not what was sent. */
enum { VALUE_DAMAGED = -1 };
void judge_read(struct judge *judge, unsigned process, unsigned key, int64_t offset, int64_t value,
                bool final);

/* The high watermark that came with an answer, from who leads in `epoch`; `last` is the last offset
 * in that answer, -1: it had no record. */
void judge_watermark(struct judge *judge, unsigned process, unsigned key, int32_t epoch,
                     int64_t high_watermark, int64_t last);

/* A consumer goes elsewhere: what it reads next has nothing to do with what it read before. */
void judge_move(struct judge *judge, unsigned process);

/* Somebody asks for deletion of what is below `offset`. */
void judge_delete(struct judge *judge, unsigned key, int64_t offset);

/* A client gave up, though nothing may make it do that; and one whose end proves nothing. */
void judge_broken(struct judge *judge, unsigned process, struct text what, struct text why);
void judge_ended(struct judge *judge);

/* ---- groups -----------------------------------------------------------------------------------*/

/* A process has one commit and one reading of committed offsets under way at a time. A commit that
 * ends in any other way than by judge_committed() may take effect at any later time. */
void judge_commit(struct judge *judge, unsigned process, unsigned group, unsigned key,
                  int64_t offset);
void judge_committed(struct judge *judge, unsigned process, unsigned group, unsigned key,
                     int64_t offset);

/* Asks what is committed, and is told; offset -1: nothing. */
void judge_ask_committed(struct judge *judge, unsigned process);
void judge_told_committed(struct judge *judge, unsigned process, unsigned group, unsigned key,
                          int64_t offset);

/* A member of a group has got a key, in a generation of it. */
void judge_own(struct judge *judge, unsigned process, unsigned group, int32_t generation,
               unsigned key);

/* ---- the verdict ------------------------------------------------------------------------------*/

/* Compares with the last reading. Once, at the end. */
void judge_finish(struct judge *judge);

struct judge_totals {
    uint64_t n_acknowledged, n_unknown, n_read; /* records; read along, not the last reading */
    uint64_t n_ended;                           /* clients */
    uint64_t n_faults[FAULT_KINDS];
};
const struct judge_totals *judge_totals(const struct judge *judge);
bool judge_is_fine(const struct judge *judge);

/* The largest offset of a key that was acknowledged by all, or read; -1: none. */
int64_t judge_known_end(const struct judge *judge, unsigned key);

/* For each key in the order in which they appeared: its name, how many of its values were
 * acknowledged by all, and how many records the last reading has found. */
struct judge_key_totals {
    int64_t name;
    uint64_t n_acknowledged, n_final;
};
size_t judge_n_keys(const struct judge *judge);
struct judge_key_totals judge_key_at(const struct judge *judge, size_t i);

#endif
