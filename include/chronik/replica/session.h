/* Fetch sessions (KIP-227): what a client fetches, remembered, so that it need not say it each time
 * and so that partitions without news cost nothing.
 *
 * Every fetch runs on a session; one without a cached session has its own for as long as it takes.
 * An entry is *dirty* while there may be something to tell about it: it is new or has a new offset,
 * its partition has news (replica/partition.h), or there was more than fitted. A fetch looks at
 * dirty entries only: ten thousand idle partitions cost nothing. */
#ifndef CHRONIK_REPLICA_SESSION_H
#define CHRONIK_REPLICA_SESSION_H

#include <chronik/replica/table.h>

struct fetch;

struct fetch_entry {
    struct map_node node;  /* in the session, by topic and partition */
    struct list dirty;     /* in session->dirty */
    struct fetch_session *session;
    struct partition_watch watch; /* `partition` NULL: not known (yet, or any more) */
    struct uuid topic_id;  /* zero where the client names topics */
    char *topic;           /* NULL where it sends ids */
    int32_t index;

    int32_t leader_epoch;       /* the client's idea of it; -1: none */
    int32_t last_fetched_epoch; /* -1: none */
    int64_t offset;
    uint32_t max_bytes;

    /* Of the running fetch. */
    struct list reply;    /* in fetch->replies: the client has to hear of it */
    struct fetch *fetch;  /* reading for it now */
    struct log_read read;
    struct chain batches; /* collected so far */
    int64_t next;         /* offset behind them */
    enum kafka_error error;
    int32_t diverging_epoch; /* -1: not diverging (KIP-595) */
    int64_t diverging_end;
    int32_t preferred; /* the replica where to read instead (KIP-392); -1: this one */

    /* What the client was told last. */
    int64_t told_high_watermark, told_log_start;
};

struct fetch_session {
    struct map_node node; /* in the cache, by id */
    struct list lru;
    int32_t id;           /* 0: not cached */
    int32_t epoch;        /* that the next request must have */
    bool by_id;           /* entries have topic ids */
    uint64_t used_ns;
    struct map entries;
    struct list dirty;
    struct fetch *running; /* NULL: none */
    bool closed;           /* to be freed when the running fetch ends */
};

struct session_cache {
    struct replicas *replicas;
    struct map by_id;
    struct list lru; /* least recently used first */
    uint64_t n_max;  /* max.incremental.fetch.session.cache.slots */
    uint64_t evicted_total, entries_total;
};

void session_cache_init(struct session_cache *cache, struct replicas *replicas, uint64_t n_max);
void session_cache_release(struct session_cache *cache);

/* A session that is not cached. */
struct fetch_session *session_new(struct session_cache *cache, bool by_id);

/* Puts it into the cache under a new id; false when the cache is full of sessions that were used in
 * the last two minutes: then it stays uncached. */
bool session_cache_add(struct session_cache *cache, struct fetch_session *session);

/* NULL: no such session, or it was evicted. */
struct fetch_session *session_cache_find(struct session_cache *cache, int32_t id);

/* Removes it from the cache, and frees it once no fetch runs on it. */
void session_close(struct session_cache *cache, struct fetch_session *session);

/* The entry of a partition, or NULL; `topic` counts unless the session is by id. */
struct fetch_entry *session_find(struct fetch_session *session, const struct uuid *topic_id,
                                 struct text topic, int32_t index);
struct fetch_entry *session_add(struct session_cache *cache, struct fetch_session *session,
                                const struct uuid *topic_id, struct text topic, int32_t index);
void session_remove(struct fetch_session *session, struct fetch_entry *entry);
void session_mark_dirty(struct fetch_entry *entry);

#endif
