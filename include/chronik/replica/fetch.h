/* One fetch under way: reads what its session's dirty entries have, and waits where that is too
 * little.
 *
 * Done as soon as min_bytes are there, an entry has an error, or the wait is over; with everything
 * collected by then. Reads from disk do not hold up the loop or other entries. The first batch
 * comes even when it is larger than every limit (KIP-74). A client in the rack of another replica
 * is sent there instead (KIP-392), where replica.selector.class says so. */
#ifndef CHRONIK_REPLICA_FETCH_H
#define CHRONIK_REPLICA_FETCH_H

#include <chronik/io/timer.h>
#include <chronik/replica/session.h>

struct fetch {
    struct replicas *replicas;
    struct fetch_session *session;
    uint64_t min_bytes, max_bytes;
    uint64_t wait_ns;
    bool any_replica; /* the client may read from followers (Fetch version 11 and later) */
    struct text rack; /* of the client; null: none. Kept until `done` */
    void (*done)(struct fetch *fetch); /* once, in the events or advance step */
    void *arg;

    struct list replies;    /* struct fetch_entry: with records, an error, or a moved end */
    struct timer timer;
    struct loop_task look;  /* queued when a dirty entry has to be looked at */
    unsigned reading;       /* reads under way */
    uint64_t bytes;         /* collected */
    uint64_t asked;         /* bytes that reads under way may bring */
    bool looked, any_error, expired;
    bool full; /* a read brought nothing: what comes next does not fit any more */
};

/* Starts; everything above `replies` is set. The session has no running fetch. */
void fetch_start(struct fetch *fetch);

/* Ends the waiting: `done` follows with what is there (the connection closes, the broker stops). */
void fetch_hurry(struct fetch *fetch);

/* After `done`, when the reply has taken the batches out of the entries: forgets the results; the
 * session is ready for the next fetch. */
void fetch_finish(struct fetch *fetch);

#endif
