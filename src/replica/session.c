/* Fetch sessions and their cache. */
#include <chronik/replica/fetch.h>

enum { SESSION_IDLE_S = 120 }; /* after this a session may be evicted for a new one */

struct entry_key {
    const struct uuid *topic_id;
    struct text topic; /* null: the id counts */
    int32_t index;
};

static bool entry_is(const struct map_node *node, const void *arg)
{
    const struct fetch_entry *entry = container_of(node, struct fetch_entry, node);
    const struct entry_key *key = arg;
    if (entry->index != key->index) {
        return false;
    }
    return entry->topic != NULL ? text_is(key->topic, entry->topic)
                                : uuid_equal(&entry->topic_id, key->topic_id);
}

static uint64_t hash_key(uint64_t seed, const struct entry_key *key)
{
    seed = hash_u64(seed, (uint64_t)key->index);
    return key->topic.data != NULL ? hash_bytes(seed, key->topic.data, key->topic.len)
                                   : hash_bytes(seed, key->topic_id->bytes, 16);
}

static bool session_is(const struct map_node *node, const void *id)
{
    return container_of(node, struct fetch_session, node)->id == *(const int32_t *)id;
}

void session_cache_init(struct session_cache *cache, struct replicas *replicas, uint64_t n_max)
{
    *cache = (struct session_cache){ .replicas = replicas, .n_max = n_max };
    map_init(&cache->by_id);
    list_init(&cache->lru);
}

static void session_free(struct fetch_session *session)
{
    map_each (node, &session->entries) {
        session_remove(session, container_of(node, struct fetch_entry, node));
    }
    map_release(&session->entries);
    free(session);
}

void session_cache_release(struct session_cache *cache)
{
    map_each (node, &cache->by_id) {
        session_close(cache, container_of(node, struct fetch_session, node));
    }
    map_release(&cache->by_id);
}

struct fetch_session *session_new(struct session_cache *cache, bool by_id)
{
    struct fetch_session *session = mem_zalloc(sizeof *session);
    session->by_id = by_id;
    session->used_ns = loop_now_ns(cache->replicas->loop);
    map_init(&session->entries);
    list_init(&session->dirty);
    list_init(&session->lru);
    return session;
}

/* Makes room by dropping the session that has not been used for the longest time. */
static bool evict_one(struct session_cache *cache)
{
    uint64_t now = loop_now_ns(cache->replicas->loop);
    struct list *first = list_first(&cache->lru);
    if (first == NULL) {
        return false;
    }
    struct fetch_session *oldest = container_of(first, struct fetch_session, lru);
    if (oldest->running != NULL || oldest->used_ns + SESSION_IDLE_S * NS_PER_S > now) {
        return false;
    }
    cache->evicted_total++;
    session_close(cache, oldest);
    return true;
}

bool session_cache_add(struct session_cache *cache, struct fetch_session *session)
{
    struct replicas *r = cache->replicas;
    if (cache->by_id.n >= cache->n_max && !evict_one(cache)) {
        return false;
    }
    do {
        uint32_t random;
        loop_random(r->loop, &random, sizeof random);
        session->id = (int32_t)(random & INT32_MAX);
    } while (session->id == 0 || session_cache_find(cache, session->id) != NULL);
    session->epoch = 1;
    map_insert(&cache->by_id, &session->node, hash_u64(r->seed, (uint64_t)session->id));
    list_push_back(&cache->lru, &session->lru);
    return true;
}

struct fetch_session *session_cache_find(struct session_cache *cache, int32_t id)
{
    uint64_t hash = hash_u64(cache->replicas->seed, (uint64_t)id);
    struct map_node *node = map_find(&cache->by_id, hash, session_is, &id);
    return node ? container_of(node, struct fetch_session, node) : NULL;
}

void session_close(struct session_cache *cache, struct fetch_session *session)
{
    if (session->id != 0) {
        map_remove(&cache->by_id, &session->node);
        list_remove(&session->lru);
        session->id = 0;
    }
    if (session->running != NULL) {
        session->closed = true;
    } else {
        session_free(session);
    }
}

struct fetch_entry *session_find(struct fetch_session *session, const struct uuid *topic_id,
                                 struct text topic, int32_t index)
{
    struct entry_key key = { topic_id, session->by_id ? TEXT_NULL : topic, index };
    struct map_node *node = map_find(&session->entries, hash_key(0, &key), entry_is, &key);
    return node ? container_of(node, struct fetch_entry, node) : NULL;
}

static void has_news(struct partition_watch *watch)
{
    session_mark_dirty(container_of(watch, struct fetch_entry, watch));
}

struct fetch_entry *session_add(struct session_cache *cache, struct fetch_session *session,
                                const struct uuid *topic_id, struct text topic, int32_t index)
{
    struct entry_key key = { topic_id, session->by_id ? TEXT_NULL : topic, index };
    struct fetch_entry *entry = mem_zalloc(sizeof *entry);
    entry->session = session;
    entry->topic_id = session->by_id ? *topic_id : UUID_ZERO;
    entry->topic = session->by_id ? NULL : text_dup(topic);
    entry->index = index;
    entry->watch.news = has_news;
    entry->diverging_epoch = entry->preferred = -1;
    entry->told_high_watermark = entry->told_log_start = -1;
    list_init(&entry->dirty);
    list_init(&entry->reply);
    map_insert(&session->entries, &entry->node, hash_key(0, &key));
    cache->entries_total++;
    return entry;
}

void session_remove(struct fetch_session *session, struct fetch_entry *entry)
{
    check(entry->fetch == NULL && list_empty(&entry->reply));
    chain_release(&entry->batches);
    partition_watch_stop(&entry->watch);
    list_remove(&entry->dirty);
    map_remove(&session->entries, &entry->node);
    free(entry->topic);
    free(entry);
}

void session_mark_dirty(struct fetch_entry *entry)
{
    struct fetch_session *session = entry->session;
    if (list_empty(&entry->dirty)) {
        list_push_back(&session->dirty, &entry->dirty);
    }
    if (session->running != NULL) {
        loop_defer(session->running->replicas->loop, LOOP_ADVANCE, &session->running->look);
    }
}
