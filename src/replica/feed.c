/* The leader's side of a replication stream.
 *
 * The happy path: a fetch names a partition and an offset, the entry waits; an append in this turn
 * marks it dirty, run() reads the new batches from the log's memory and sends them. The follower
 * has written them, says the next offset, and later how far it is durable; both go to the in-sync
 * set (replica/isr.h).
 *
 * What can go wrong: the follower's log has left ours: it is told where, and nothing it says about
 * its progress counts before it has come back (rule 13). A read fails: the error is the answer, and
 * the follower asks again later. The link is slow: the feed waits until it has drained. */
#include <chronik/replica/feed.h>

#include <chronik/io/timer.h>
#include <chronik/meta/image.h>
#include <chronik/replica/durable.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>
#include <errno.h>

enum {
    FRAME_BYTES = 4 << 20,  /* records in one frame, about */
    QUEUED_BYTES = 8 << 20, /* not yet sent: then the feed waits */
    NEWS_MS = 50,           /* a moved high watermark without records is told this much later */
};

struct feed_entry {
    struct map_node node; /* in feed->entries */
    struct list dirty;    /* in feed->dirty: there may be something to send */
    struct list moved;    /* in feed->moved: only the high watermark has */
    struct feed *feed;
    struct partition_watch watch;
    struct uuid topic_id;
    int32_t index;

    bool waiting;  /* the follower has asked and was not answered */
    bool verified; /* its log is a prefix of ours, in this epoch */
    int32_t leader_epoch, last_epoch;
    int64_t offset;
    uint32_t max_bytes;
    int64_t told_high_watermark;
    int64_t durable_end; /* said for this epoch before it was verified; -1: nothing */

    bool reading, have; /* a read is under way; has come and was not sent */
    int read_error;
    struct log_read read;
};

struct feed {
    struct replicas *replicas;
    int32_t follower;
    int64_t broker_epoch; /* of the follower, as it says */
    const struct feed_transport *transport;
    void *link;
    struct map entries;
    struct list dirty, moved;
    struct loop_task run;
    struct timer news;
};

/* ---- entries ---------------------------------------------------------------------------------*/

struct entry_key {
    const struct uuid *topic_id;
    int32_t index;
};

static bool entry_is(const struct map_node *node, const void *arg)
{
    const struct feed_entry *entry = container_of(node, struct feed_entry, node);
    const struct entry_key *key = arg;
    return entry->index == key->index && uuid_equal(&entry->topic_id, key->topic_id);
}

static uint64_t hash_key(const struct entry_key *key)
{
    return hash_bytes((uint64_t)key->index, key->topic_id->bytes, sizeof key->topic_id->bytes);
}

static struct feed_entry *find(const struct feed *feed, const struct uuid *topic_id, int32_t index)
{
    struct entry_key key = { topic_id, index };
    struct map_node *node = map_find(&feed->entries, hash_key(&key), entry_is, &key);
    return node ? container_of(node, struct feed_entry, node) : NULL;
}

static void mark_dirty(struct feed_entry *entry)
{
    if (list_empty(&entry->dirty)) {
        list_push_back(&entry->feed->dirty, &entry->dirty);
    }
    loop_defer(entry->feed->replicas->loop, LOOP_ADVANCE, &entry->feed->run);
}

static void has_news(struct partition_watch *watch)
{
    mark_dirty(container_of(watch, struct feed_entry, watch));
}

static struct feed_entry *add(struct feed *feed, const struct uuid *topic_id, int32_t index)
{
    struct entry_key key = { topic_id, index };
    struct feed_entry *entry = mem_zalloc(sizeof *entry);
    entry->feed = feed;
    entry->topic_id = *topic_id;
    entry->index = index;
    entry->watch.news = has_news;
    entry->watch.of_follower = true;
    entry->told_high_watermark = entry->durable_end = -1;
    list_init(&entry->dirty);
    list_init(&entry->moved);
    map_insert(&feed->entries, &entry->node, hash_key(&key));
    return entry;
}

static void remove_entry(struct feed_entry *entry)
{
    log_read_cancel(&entry->read);
    chain_release(&entry->read.batches);
    partition_watch_stop(&entry->watch);
    list_remove(&entry->dirty);
    list_remove(&entry->moved);
    map_remove(&entry->feed->entries, &entry->node);
    free(entry);
}

/* The partition, if this node leads it in the epoch in which the follower follows. */
static struct partition *find_partition(struct feed_entry *entry, enum kafka_error *ret_error)
{
    struct partition *p = entry->watch.partition;
    if (p == NULL) {
        struct topic_replicas *topic =
            replicas_topic_by_id(entry->feed->replicas, &entry->topic_id);
        p = topic ? topic_partition(topic, entry->index) : NULL;
        if (p == NULL) {
            *ret_error = KAFKA_UNKNOWN_TOPIC_ID;
            return NULL;
        }
        partition_watch_start(p, &entry->watch);
    }
    if (entry->leader_epoch != p->leader_epoch) {
        *ret_error = entry->leader_epoch < p->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH
                                                           : KAFKA_UNKNOWN_LEADER_EPOCH;
        return NULL;
    }
    if (p->log == NULL || (p->role != PARTITION_LEADER && p->role != PARTITION_BECOMING)) {
        *ret_error = KAFKA_NOT_LEADER_OR_FOLLOWER;
        return NULL;
    }
    return p;
}

/* ---- answers ---------------------------------------------------------------------------------*/

/* A frame in the making. */
struct writer {
    struct feed *feed;
    struct arena arena;
    struct fetch_response reply;
    struct fetch_response_topic *topics;
    size_t cap, bytes;
};

static struct fetch_response_partition *put(struct writer *w, struct feed_entry *entry,
                                            enum kafka_error error)
{
    size_t n = (size_t)w->reply.n_topics;
    w->topics = mem_grow(w->topics, &w->cap, n + 1, sizeof *w->topics);
    struct fetch_response_partition *out = arena_alloc(&w->arena, sizeof *out);
    *out = fetch_response_partition_default;
    out->partition_index = entry->index;
    out->error = (int16_t)error;
    out->high_watermark = out->last_stable_offset = -1;
    out->n_aborted_transactions = -1;
    out->records.chain = arena_zalloc(&w->arena, sizeof *out->records.chain);
    w->topics[n] = fetch_response_topic_default;
    w->topics[n].topic_id = entry->topic_id;
    w->topics[n].partitions = out;
    w->topics[n].n_partitions = 1;
    w->reply.n_topics++;
    return out;
}

static void put_state(const struct partition *p, struct feed_entry *entry,
                      struct fetch_response_partition *out)
{
    out->high_watermark = entry->told_high_watermark = p->high_watermark;
    out->log_start_offset = log_start_offset(p->log);
    out->current_leader.leader_epoch = p->leader_epoch;
    list_remove(&entry->moved);
}

static void refuse(struct writer *w, struct feed_entry *entry, enum kafka_error error)
{
    const struct partition *p = entry->watch.partition;
    struct fetch_response_partition *out = put(w, entry, error);
    if (p != NULL && p->log != NULL && error == KAFKA_OFFSET_OUT_OF_RANGE) {
        put_state(p, entry, out);
    }
    entry->waiting = false;
    list_remove(&entry->dirty);
}

static void flush(struct writer *w)
{
    struct chain frame = { 0 };
    uint8_t kind = FEED_RECORDS;
    if (w->reply.n_topics > 0) {
        w->reply.topics = w->topics;
        chain_put(&frame, &kind, 1);
        wire_encode(wire_fetch.response, FEED_VERSION, true, &w->reply, &frame);
        w->feed->transport->send(w->feed->link, &frame);
    }
    free(w->topics);
    arena_release(&w->arena);
    *w = (struct writer){ .feed = w->feed, .reply = fetch_response_default };
    arena_init(&w->arena, 0);
}

/* ---- reading ---------------------------------------------------------------------------------*/

static enum kafka_error error_of_read(int error)
{
    switch (error) {
    case 0:
        return KAFKA_NONE;
    case -ERANGE:
        return KAFKA_OFFSET_OUT_OF_RANGE;
    case -ENOENT:
        return KAFKA_UNKNOWN_TOPIC_ID;
    default:
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
}

static void read_done(struct log_read *read, int error)
{
    struct feed_entry *entry = container_of(read, struct feed_entry, read);
    entry->reading = false;
    entry->have = true;
    entry->read_error = error;
    mark_dirty(entry);
}

/* Has the follower's log left ours? Its last epoch must reach at least up to its end here. Where
 * our log begins there is nothing to compare. */
static bool diverges(struct writer *w, const struct partition *p, struct feed_entry *entry)
{
    int32_t epoch;
    int64_t end;
    if (entry->verified || entry->last_epoch < 0 || entry->offset <= log_start_offset(p->log)) {
        return false;
    }
    log_epoch_end(p->log, entry->last_epoch, &epoch, &end);
    if (epoch == entry->last_epoch && end >= entry->offset) {
        return false;
    }
    if (epoch < 0) { /* all our epochs are later ones */
        refuse(w, entry, KAFKA_OFFSET_OUT_OF_RANGE);
        return true;
    }
    struct fetch_response_partition *out = put(w, entry, KAFKA_NONE);
    put_state(p, entry, out);
    entry->durable_end = -1;
    out->diverging_epoch.epoch = epoch;
    out->diverging_epoch.end_offset = end;
    entry->waiting = false;
    list_remove(&entry->dirty);
    return true;
}

static bool in_range(const struct partition *p, const struct feed_entry *entry)
{
    return entry->offset >= log_start_offset(p->log) && entry->offset <= log_end(p->log);
}

static void send_read(struct writer *w, const struct partition *p, struct feed_entry *entry)
{
    struct fetch_response_partition *out = put(w, entry, KAFKA_NONE);
    put_state(p, entry, out);
    w->bytes += entry->read.batches.len;
    chain_append(out->records.chain, &entry->read.batches);
    entry->waiting = entry->have = false;
    list_remove(&entry->dirty);
}

static void start_read(struct writer *w, struct partition *p, struct feed_entry *entry)
{
    entry->read.offset = entry->offset;
    entry->read.below = INT64_MAX;
    entry->read.max_bytes = entry->max_bytes;
    entry->read.at_least_one = true;
    entry->read.done = read_done;
    int error = log_read(p->log, &entry->read);
    if (error == -EINPROGRESS) {
        entry->reading = true;
        list_remove(&entry->dirty);
    } else if (error != 0) {
        refuse(w, entry, error_of_read(error));
    } else {
        send_read(w, p, entry);
    }
}

/* The follower's log is a prefix of ours: what it says of its progress counts from now on. */
static void verify(struct feed_entry *entry, struct partition *p)
{
    const struct feed *feed = entry->feed;
    entry->verified = true;
    isr_fetched(p, feed->follower, feed->broker_epoch, entry->offset);
    if (entry->durable_end >= 0) {
        isr_became_durable(p, feed->follower, feed->broker_epoch, entry->durable_end);
    }
}

/* One dirty entry: sends what there is, or takes it off the list. */
static void serve(struct writer *w, struct feed_entry *entry)
{
    enum kafka_error error = KAFKA_NONE;
    if (!entry->waiting || entry->reading) {
        list_remove(&entry->dirty);
        return;
    }
    struct partition *p = find_partition(entry, &error);
    if (p == NULL) {
        refuse(w, entry, error);
        return;
    }
    if (entry->have && entry->read_error != 0) {
        entry->have = false;
        refuse(w, entry, error_of_read(entry->read_error));
        return;
    }
    if (entry->have) {
        send_read(w, p, entry);
        return;
    }
    if (diverges(w, p, entry)) {
        return;
    }
    if (!in_range(p, entry)) {
        refuse(w, entry, KAFKA_OFFSET_OUT_OF_RANGE);
        return;
    }
    if (!entry->verified) {
        verify(entry, p);
    }
    if (entry->offset < log_end(p->log)) {
        start_read(w, p, entry);
        return;
    }
    list_remove(&entry->dirty);
    if (entry->told_high_watermark != p->high_watermark && list_empty(&entry->moved)) {
        list_push_back(&entry->feed->moved, &entry->moved);
        if (!timer_is_set(&entry->feed->news)) {
            timer_set_in(&entry->feed->news, NEWS_MS * NS_PER_MS);
        }
    }
}

static void run(struct loop_task *task)
{
    struct feed *feed = container_of(task, struct feed, run);
    struct writer w = { .feed = feed, .reply = fetch_response_default };
    arena_init(&w.arena, 0);
    while (!list_empty(&feed->dirty) && feed->transport->queued(feed->link) < QUEUED_BYTES) {
        serve(&w, container_of(list_first(&feed->dirty), struct feed_entry, dirty));
        if (w.bytes >= FRAME_BYTES) {
            flush(&w);
        }
    }
    flush(&w);
}

/* Moved high watermarks that no records have carried. The follower need not answer. */
static void tell_moved(struct timer *timer)
{
    struct feed *feed = container_of(timer, struct feed, news);
    struct writer w = { .feed = feed, .reply = fetch_response_default };
    struct list *it;
    arena_init(&w.arena, 0);
    while ((it = list_pop_front(&feed->moved)) != NULL) {
        struct feed_entry *entry = container_of(it, struct feed_entry, moved);
        enum kafka_error error;
        const struct partition *p = find_partition(entry, &error);
        if (p != NULL && entry->verified) {
            put_state(p, entry, put(&w, entry, KAFKA_NONE));
        }
    }
    flush(&w);
}

/* ---- what the follower says ------------------------------------------------------------------*/

static void take_partition(struct feed *feed, const struct uuid *topic_id,
                           const struct fetch_request_partition *from)
{
    struct feed_entry *entry = find(feed, topic_id, from->partition_index);
    enum kafka_error error;
    if (entry == NULL) {
        entry = add(feed, topic_id, from->partition_index);
    }
    log_read_cancel(&entry->read);
    chain_release(&entry->read.batches);
    entry->reading = entry->have = false;
    /* It goes on where our last records ended: still a prefix. Anything else is checked anew. */
    bool goes_on = entry->verified && entry->leader_epoch == from->current_leader_epoch &&
                   from->fetch_offset == entry->read.next;
    entry->verified = goes_on;
    entry->durable_end = -1;
    entry->waiting = true;
    entry->leader_epoch = from->current_leader_epoch;
    entry->last_epoch = from->last_fetched_epoch;
    entry->offset = from->fetch_offset;
    entry->max_bytes = (uint32_t)max_i64(from->partition_max_bytes, 0);
    if (goes_on) {
        struct partition *p = find_partition(entry, &error);
        if (p != NULL) {
            isr_fetched(p, feed->follower, feed->broker_epoch, entry->offset);
        }
    }
    mark_dirty(entry);
}

static int take_fetch(struct feed *feed, struct bytes body)
{
    struct fetch_request in;
    struct arena arena;
    arena_init(&arena, body.len * 16 + KIB(4));
    if (wire_decode(wire_fetch.request, FEED_VERSION, true, body, &arena, &in, NULL).result !=
        WIRE_OK) {
        arena_release(&arena);
        return -EBADMSG;
    }
    feed->broker_epoch = in.replica_state.replica_epoch;
    for (int32_t t = 0; t < in.n_forgotten_topics; t++) {
        const struct fetch_request_forgotten_topic *topic = &in.forgotten_topics[t];
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            struct feed_entry *entry = find(feed, &topic->topic_id, topic->partitions[i]);
            if (entry != NULL) {
                remove_entry(entry);
            }
        }
    }
    for (int32_t t = 0; t < in.n_topics; t++) {
        for (int32_t i = 0; i < in.topics[t].n_partitions; i++) {
            take_partition(feed, &in.topics[t].topic_id, &in.topics[t].partitions[i]);
        }
    }
    arena_release(&arena);
    return 0;
}

static void take_durable_end(struct feed *feed, const struct uuid *topic_id, int64_t broker_epoch,
                             const struct replica_durable_request_partition *from)
{
    struct feed_entry *entry = find(feed, topic_id, from->partition);
    enum kafka_error error;
    if (entry == NULL || entry->leader_epoch != from->leader_epoch ||
        broker_epoch != feed->broker_epoch) {
        return;
    }
    if (!entry->verified) { /* said right behind the fetch that is to be looked at */
        entry->durable_end = from->durable_end;
        return;
    }
    struct partition *p = find_partition(entry, &error);
    if (p != NULL) {
        isr_became_durable(p, feed->follower, broker_epoch, from->durable_end);
    }
}

static int take_durable(struct feed *feed, struct bytes body)
{
    struct replica_durable_request in;
    struct arena arena;
    arena_init(&arena, body.len * 16 + KIB(4));
    if (wire_decode(replica_replica_durable.request, 0, true, body, &arena, &in, NULL).result !=
        WIRE_OK) {
        arena_release(&arena);
        return -EBADMSG;
    }
    for (int32_t t = 0; t < in.n_topics; t++) {
        for (int32_t i = 0; i < in.topics[t].n_partitions; i++) {
            take_durable_end(feed, &in.topics[t].topic_id, in.broker_epoch,
                             &in.topics[t].partitions[i]);
        }
    }
    arena_release(&arena);
    return 0;
}

int feed_receive(struct feed *feed, struct bytes frame)
{
    if (frame.len == 0) {
        return -EBADMSG;
    }
    struct bytes body = bytes_part(frame, 1, frame.len - 1);
    switch (frame.data[0]) {
    case FEED_FETCH:
        return take_fetch(feed, body);
    case FEED_DURABLE:
        return take_durable(feed, body);
    default:
        return -EBADMSG;
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

struct feed *feed_new(struct replicas *replicas, int32_t follower,
                      const struct feed_transport *transport, void *link)
{
    struct feed *feed = mem_zalloc(sizeof *feed);
    feed->replicas = replicas;
    feed->follower = follower;
    feed->broker_epoch = -1;
    feed->transport = transport;
    feed->link = link;
    map_init(&feed->entries);
    list_init(&feed->dirty);
    list_init(&feed->moved);
    loop_task_init(&feed->run, run);
    timer_init(&feed->news, replicas->loop, tell_moved);
    return feed;
}

void feed_drained(struct feed *feed)
{
    loop_defer(feed->replicas->loop, LOOP_ADVANCE, &feed->run);
}

void feed_free(struct feed *feed)
{
    if (feed == NULL) {
        return;
    }
    loop_task_cancel(&feed->run);
    timer_cancel(&feed->news);
    map_each (node, &feed->entries) {
        remove_entry(container_of(node, struct feed_entry, node));
    }
    map_release(&feed->entries);
    free(feed);
}
