/* Following a leader: the follower's side of replication streams (replica/feed.h has the frames).
 *
 * A fetcher is one stream to one leader, for all partitions that it leads. A partition that gets
 * full chunks and stays below what is committed is far behind: it moves to the leader's second
 * stream, which may be throttled, and comes back when it has caught up.
 *
 *   records come ─> appended (written, not durable yet); the next ones may be on the way already
 *   the journal's write returns ─> written and durable ends are said at once, on the same stream
 *
 * A partition asks where it begins, or begins anew: after an error, a truncation, another epoch. */
#ifndef CHRONIK_REPLICA_FETCHER_H
#define CHRONIK_REPLICA_FETCHER_H

#include <chronik/base/list.h>
#include <chronik/base/blob.h>
#include <chronik/io/timer.h>

struct partition;
struct replicas;
struct fetcher;

enum fetcher_kind { FETCHER_HOT, FETCHER_CATCH_UP, FETCHER_KINDS };

/* How fetchers reach leaders; given by the daemon. */
struct fetcher_transport {
    /* Keeps a stream to that node open, or no longer. fetcher_opened() and fetcher_closed() follow.
     * */
    void (*want)(void *arg, int32_t leader, enum fetcher_kind kind, bool wanted);

    /* Sends one frame on the open stream: takes the chain over. */
    void (*send)(void *arg, int32_t leader, enum fetcher_kind kind, struct chain *frame);
};

struct truncation;

/* A partition's part in this; embedded in struct partition. */
struct followed {
    struct list link;     /* in fetcher->partitions */
    struct list say;      /* in fetcher->say: it has to ask */
    struct list progress; /* in fetcher->progress: its ends have to be said */
    struct fetcher *fetcher; /* NULL: follows nobody */
    bool streaming;       /* it has asked, and no answer has ended that */
    int32_t asked;        /* with the fetch of this number: answers to earlier ones are void */
    unsigned full_chunks; /* in a row, while far behind */
    struct truncation *truncation; /* under way; NULL: none */
    uint64_t retry_ns;    /* asks again, not before; 0: it does not wait */
    bool no_room;         /* waits for room in the store */
    int64_t leader_high_watermark;
    int64_t said_durable;
};

void followed_init(struct followed *followed);

/* The partition goes away: a truncation under way must not come back to it. */
void followed_release(struct followed *followed);

/* The partition follows `p->leader` in `p->leader_epoch` from now on; or nobody. */
void fetcher_follow(struct partition *p);
void fetcher_unfollow(struct partition *p);

/* The durable end of a followed partition has moved. */
void fetcher_durable_moved(struct partition *p);

/* The store has room again: partitions that waited for it go on. */
void fetchers_resume(struct replicas *replicas);
void fetchers_release(struct replicas *replicas);

/* What the daemon reports of streams. A frame: 0, or -EBADMSG: close the stream. */
void fetcher_opened(struct replicas *replicas, int32_t leader, enum fetcher_kind kind);
void fetcher_closed(struct replicas *replicas, int32_t leader, enum fetcher_kind kind);
int fetcher_receive(struct replicas *replicas, int32_t leader, enum fetcher_kind kind,
                    struct bytes frame);

#endif
