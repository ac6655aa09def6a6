/* The leader's side of a replication stream.
 *
 * The happy path: a fetch names a partition and an offset; from then on everything that is appended
 * is read from the log's memory and sent in the same turn, chunk after chunk, without waiting for
 * the follower. It says how far it has written and how far that is durable; both go to the in-sync
 * set (replica/isr.h), and make room for further chunks.
 *
 * What can go wrong: the follower's log has left ours: it is told where, and nothing it says about
 * its progress counts before it has come back (rule 13). A read fails: the error is the answer, and
 * the follower begins again later. It is slow: chunks on the way are bounded for each partition,
 * unsent bytes and reads from disk for the whole feed; what is over waits. */
#include <chronik/replica/feed.h>

#include <chronik/io/timer.h>
#include <chronik/meta/image.h>
#include <chronik/replica/progress.h>
#include <chronik/replica/throttle.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>
#include <errno.h>

enum {
    FRAME_BYTES = 4 << 20,  /* records in one frame, about; a follower may want less */
    CHUNK_BYTES = 64 << 20, /* of one partition in a frame: more, a follower cannot ask for */
    QUEUED_BYTES = 8 << 20, /* not yet sent: then the feed waits */
    CHUNKS = 16,            /* of one partition on the way */
    READS = 4,              /* from disk at a time, of all partitions */
    /* Of a stream for partitions that are far behind: small pieces, and few of them in all, since
     * the follower's journal has other partitions to make durable meanwhile. */
    CATCH_UP_CHUNK = 256 << 10,
    CATCH_UP_ON_THE_WAY = 512 << 10,
    NEWS_MS = 20,           /* a moved high watermark without records is told this much later */
};

/* Records that were sent, and that the follower has not said to have. */
struct chunk {
    int64_t next; /* offset behind them */
    uint64_t bytes;
};

struct feed_entry {
    struct map_node node; /* in feed->entries */
    struct list dirty;    /* in feed->dirty: there may be something to send; or in feed->held */
    struct list moved;    /* in feed->moved: only the high watermark has */
    struct feed *feed;
    struct partition_watch watch;
    struct uuid topic_id;
    int32_t index;

    bool wanted;   /* the follower has asked, and was not refused since */
    bool verified; /* its log is a prefix of ours, in this epoch */
    int32_t leader_epoch, last_epoch;
    int64_t offset; /* of what is sent next */
    uint32_t max_bytes;
    int64_t told_high_watermark;
    int64_t durable_end; /* said for this epoch before it was verified; -1: nothing */
    int64_t log_start;   /* of the follower */

    struct chunk chunks[CHUNKS]; /* on the way, a ring */
    unsigned first_chunk, n_chunks;
    uint64_t on_the_way; /* bytes of them */

    bool reading, have; /* a read is under way; has come and was not sent */
    int read_error;
    struct log_read read;
};

struct feed {
    struct replicas *replicas;
    int32_t follower;
    bool catches_up;      /* carries partitions that are far behind: throttled */
    int64_t broker_epoch; /* of the follower, as it says */
    int32_t n_fetches;    /* the number of the newest fetch */
    uint64_t frame_bytes; /* of one frame, as the follower wants */
    uint64_t news_ns;
    const struct feed_transport *transport;
    void *link;
    struct map entries;
    struct list dirty, moved;
    struct list held;     /* wait for a read to end, for the throttle, or for others' progress */
    unsigned n_reads;
    uint64_t on_the_way;  /* bytes, of all partitions */
    struct throttle throttle;
    struct loop_task run;
    struct timer news, pace;
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

static void run_soon(struct feed *feed)
{
    loop_defer(feed->replicas->loop, LOOP_ADVANCE, &feed->run);
}

/* One that is held stays so: its turn comes. */
static void mark_dirty(struct feed_entry *entry)
{
    if (list_empty(&entry->dirty)) {
        list_push_back(&entry->feed->dirty, &entry->dirty);
    }
    run_soon(entry->feed);
}

static void has_news(struct partition_watch *watch)
{
    mark_dirty(container_of(watch, struct feed_entry, watch));
}

static void forget_read(struct feed_entry *entry)
{
    log_read_cancel(&entry->read);
    chain_release(&entry->read.batches);
    entry->feed->n_reads -= entry->reading;
    entry->reading = entry->have = false;
}

static void hold(struct feed_entry *entry)
{
    list_remove(&entry->dirty);
    list_push_back(&entry->feed->held, &entry->dirty);
}

static void release_held(struct feed *feed)
{
    list_splice_back(&feed->dirty, &feed->held);
    run_soon(feed);
}

static void release_held_unless_throttled(struct feed *feed)
{
    if (!list_empty(&feed->held) &&
        !throttle_holds(&feed->throttle, loop_now_ns(feed->replicas->loop))) {
        release_held(feed);
    }
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

/* What it had on the way, others may have now. */
static void remove_entry(struct feed_entry *entry)
{
    struct feed *feed = entry->feed;
    feed->on_the_way -= entry->on_the_way;
    forget_read(entry);
    partition_watch_stop(&entry->watch);
    list_remove(&entry->dirty);
    list_remove(&entry->moved);
    map_remove(&feed->entries, &entry->node);
    free(entry);
    release_held_unless_throttled(feed);
}

/* The partition, if this node leads it in the epoch in which the follower follows, and knows that
 * it does. */
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
    /* Before its epoch has begun in its log, a leader cannot say what a follower lacks. */
    if (p->log == NULL || (p->role != PARTITION_LEADER && p->role != PARTITION_BECOMING) ||
        log_last_epoch(p->log) < p->leader_epoch) {
        *ret_error = KAFKA_NOT_LEADER_OR_FOLLOWER;
        return NULL;
    }
    if (!isr_knows(p, entry->feed->follower)) { /* it is a new replica, and heard of it first */
        *ret_error = KAFKA_UNKNOWN_LEADER_EPOCH;
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

/* What was on the way, others may have now. */
static void forget_chunks(struct feed_entry *entry)
{
    entry->feed->on_the_way -= entry->on_the_way;
    entry->n_chunks = 0;
    entry->on_the_way = 0;
    release_held_unless_throttled(entry->feed);
}

/* Nothing more is sent until the follower asks anew. */
static void stop(struct feed_entry *entry)
{
    forget_chunks(entry);
    entry->wanted = entry->verified = false;
    entry->durable_end = -1;
    list_remove(&entry->dirty);
}

static void refuse(struct writer *w, struct feed_entry *entry, enum kafka_error error)
{
    const struct partition *p = entry->watch.partition;
    struct fetch_response_partition *out = put(w, entry, error);
    if (p != NULL && p->log != NULL && error == KAFKA_OFFSET_OUT_OF_RANGE) {
        put_state(p, entry, out);
    }
    stop(entry);
    if (p == NULL) {
        remove_entry(entry); /* of something that is not known here: nothing is kept for it */
    }
}

static void writer_init(struct writer *w, struct feed *feed)
{
    *w = (struct writer){ .feed = feed, .reply = fetch_response_default };
    arena_init(&w->arena, 0);
}

/* Sends what was put into the frame, if anything. */
static void flush(struct writer *w)
{
    struct feed *feed = w->feed;
    struct chain frame = { 0 };
    uint8_t kind = FEED_RECORDS;
    if (w->reply.n_topics > 0) {
        w->reply.session_id = feed->n_fetches;
        w->reply.topics = w->topics;
        chain_put(&frame, &kind, 1);
        wire_encode(wire_fetch.response, FEED_VERSION, true, &w->reply, &frame);
        feed->transport->send(feed->link, &frame);
    }
    free(w->topics);
    arena_release(&w->arena);
}

/* ---- chunks on the way -----------------------------------------------------------------------*/

static void note_sent(struct feed_entry *entry, int64_t next, uint64_t bytes)
{
    entry->chunks[(entry->first_chunk + entry->n_chunks++) % CHUNKS] =
        (struct chunk){ next, bytes };
    entry->on_the_way += bytes;
    entry->feed->on_the_way += bytes;
}

static void note_written(struct feed_entry *entry, int64_t end)
{
    while (entry->n_chunks > 0 && entry->chunks[entry->first_chunk].next <= end) {
        uint64_t bytes = entry->chunks[entry->first_chunk].bytes;
        entry->on_the_way -= bytes;
        entry->feed->on_the_way -= bytes;
        entry->first_chunk = (entry->first_chunk + 1) % CHUNKS;
        entry->n_chunks--;
    }
}

/* One chunk travels while the one before it is written. */
static bool may_send(const struct feed_entry *entry)
{
    return entry->n_chunks == 0 ||
           (entry->n_chunks < CHUNKS && entry->on_the_way < 2 * (uint64_t)entry->max_bytes);
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
    struct feed *feed = entry->feed;
    entry->reading = false;
    entry->have = true;
    entry->read_error = error;
    feed->n_reads--;
    release_held_unless_throttled(feed);
    mark_dirty(entry);
}

/* Has the follower's log left ours? Its last epoch must reach at least up to its end here. Where
 * our log begins there is nothing to compare. */
static bool diverges(struct writer *w, const struct partition *p, struct feed_entry *entry)
{
    int32_t epoch;
    int64_t end;
    if (entry->last_epoch < 0 || entry->offset <= log_start_offset(p->log)) {
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
    out->diverging_epoch.epoch = epoch;
    out->diverging_epoch.end_offset = end;
    stop(entry);
    return true;
}

static bool in_range(const struct partition *p, const struct feed_entry *entry)
{
    return entry->offset >= log_start_offset(p->log) && entry->offset <= log_end(p->log);
}

static void say_progress(const struct feed_entry *entry, struct partition *p, int64_t end,
                         int64_t durable_end)
{
    const struct isr_ends ends = { entry->log_start, end, durable_end };
    isr_progress(p, entry->feed->follower, entry->feed->broker_epoch, &ends);
}

/* Compares the follower's log with ours. If it is a prefix, what it says of its progress counts
 * from now on. */
static bool verify(struct writer *w, struct feed_entry *entry, struct partition *p)
{
    const struct feed *feed = entry->feed;
    if (entry->verified) {
        return true;
    }
    if (diverges(w, p, entry)) {
        return false;
    }
    if (!in_range(p, entry)) {
        refuse(w, entry, KAFKA_OFFSET_OUT_OF_RANGE);
        return false;
    }
    entry->verified = true;
    isr_begins(p, feed->follower, feed->broker_epoch, entry->offset);
    if (entry->durable_end >= 0) {
        say_progress(entry, p, entry->offset, entry->durable_end);
    }
    return true;
}

/* The entry goes behind the others: each gets a chunk in turn. */
static void send_read(struct writer *w, const struct partition *p, struct feed_entry *entry)
{
    struct feed *feed = entry->feed;
    struct fetch_response_partition *out = put(w, entry, KAFKA_NONE);
    uint64_t bytes = entry->read.batches.len;
    put_state(p, entry, out);
    w->bytes += bytes;
    chain_append(out->records.chain, &entry->read.batches);
    entry->have = false;
    entry->offset = entry->read.next;
    note_sent(entry, entry->offset, bytes);
    if (feed->catches_up) {
        throttle_pay(&feed->throttle, loop_now_ns(feed->replicas->loop), bytes,
                     throttle_rate(p, THROTTLE_LEADER));
    }
    list_remove(&entry->dirty);
    list_push_back(&feed->dirty, &entry->dirty);
}

/* Must it wait: for the throttle, for what is on the way, or because enough others are read from
 * disk? */
static bool is_held(struct feed_entry *entry, const struct partition *p)
{
    struct feed *feed = entry->feed;
    if (throttle_holds(&feed->throttle, loop_now_ns(feed->replicas->loop))) {
        hold(entry);
        timer_set_at(&feed->pace, feed->throttle.paid_until_ns);
        return true;
    }
    bool enough = feed->catches_up && feed->on_the_way >= CATCH_UP_ON_THE_WAY;
    if (enough || (feed->n_reads >= READS && entry->offset < log_memory_start(p->log))) {
        hold(entry);
        return true;
    }
    return false;
}

static void start_read(struct writer *w, struct partition *p, struct feed_entry *entry)
{
    if (is_held(entry, p)) {
        return;
    }
    entry->read.offset = entry->offset;
    entry->read.below = INT64_MAX;
    entry->read.max_bytes = entry->max_bytes;
    entry->read.at_least_one = true;
    entry->read.done = read_done;
    int error = log_read(p->log, &entry->read);
    if (error == -EINPROGRESS) {
        entry->reading = true;
        entry->feed->n_reads++;
        list_remove(&entry->dirty);
    } else if (error != 0) {
        refuse(w, entry, error_of_read(error));
    } else {
        send_read(w, p, entry);
    }
}

/* Nothing to send: the follower hears of the high watermark a little later. */
static void rest(struct feed_entry *entry, const struct partition *p)
{
    struct feed *feed = entry->feed;
    list_remove(&entry->dirty);
    if (entry->told_high_watermark != p->high_watermark && list_empty(&entry->moved)) {
        list_push_back(&feed->moved, &entry->moved);
        if (!timer_is_set(&feed->news)) {
            timer_set_in(&feed->news, feed->news_ns);
        }
    }
}

/* One dirty entry: sends what there is, or takes it off the list. */
static void serve(struct writer *w, struct feed_entry *entry)
{
    enum kafka_error error = KAFKA_NONE;
    if (!entry->wanted || entry->reading) {
        list_remove(&entry->dirty);
        return;
    }
    struct partition *p = find_partition(entry, &error);
    if (p == NULL && error == KAFKA_UNKNOWN_LEADER_EPOCH) {
        list_remove(&entry->dirty); /* the follower has heard of it first: until we do */
    } else if (p == NULL) {
        forget_read(entry);
        refuse(w, entry, error);
    } else if (entry->have && entry->read_error != 0) {
        entry->have = false;
        refuse(w, entry, error_of_read(entry->read_error));
    } else if (entry->have) {
        send_read(w, p, entry);
    } else if (verify(w, entry, p)) {
        if (entry->offset < log_end(p->log) && may_send(entry)) {
            start_read(w, p, entry);
        } else {
            rest(entry, p);
        }
    }
}

static void run(struct loop_task *task)
{
    struct feed *feed = container_of(task, struct feed, run);
    struct writer w;
    writer_init(&w, feed);
    while (!list_empty(&feed->dirty) && feed->transport->queued(feed->link) < QUEUED_BYTES) {
        serve(&w, container_of(list_first(&feed->dirty), struct feed_entry, dirty));
        if (w.bytes >= feed->frame_bytes) {
            flush(&w);
            writer_init(&w, feed);
        }
    }
    flush(&w);
}

/* Moved high watermarks that no records have carried. The follower need not answer. */
static void tell_moved(struct timer *timer)
{
    struct feed *feed = container_of(timer, struct feed, news);
    struct writer w;
    struct list *it;
    writer_init(&w, feed);
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

static void pace(struct timer *timer)
{
    release_held(container_of(timer, struct feed, pace));
}

/* ---- what the follower says ------------------------------------------------------------------*/

/* From there on, whatever was sent before. */
static void begin(struct feed *feed, const struct uuid *topic_id,
                  const struct fetch_request_partition *from)
{
    struct feed_entry *entry = find(feed, topic_id, from->partition_index);
    if (entry == NULL) {
        entry = add(feed, topic_id, from->partition_index);
    }
    forget_read(entry);
    forget_chunks(entry);
    entry->wanted = true;
    entry->verified = false;
    entry->durable_end = -1;
    entry->leader_epoch = from->current_leader_epoch;
    entry->last_epoch = from->last_fetched_epoch;
    entry->offset = from->fetch_offset;
    int64_t most = feed->catches_up ? CATCH_UP_CHUNK : CHUNK_BYTES;
    entry->max_bytes = (uint32_t)max_i64(min_i64(from->partition_max_bytes, most), 1);
    mark_dirty(entry);
}

static void forget(struct feed *feed, const struct fetch_request_forgotten_topic *topic)
{
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        struct feed_entry *entry = find(feed, &topic->topic_id, topic->partitions[i]);
        if (entry != NULL) {
            remove_entry(entry);
        }
    }
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
    feed->n_fetches = in.session_epoch;
    feed->frame_bytes = min_u64(FRAME_BYTES, (uint64_t)max_i64(in.max_bytes, 1));
    feed->news_ns = min_u64(NEWS_MS, (uint64_t)max_i64(in.max_wait_ms, 0)) * NS_PER_MS;
    for (int32_t t = 0; t < in.n_forgotten_topics; t++) {
        forget(feed, &in.forgotten_topics[t]);
    }
    for (int32_t t = 0; t < in.n_topics; t++) {
        for (int32_t i = 0; i < in.topics[t].n_partitions; i++) {
            begin(feed, &in.topics[t].topic_id, &in.topics[t].partitions[i]);
        }
    }
    arena_release(&arena);
    return 0;
}

static void note_progress(struct feed *feed, const struct uuid *topic_id, int64_t broker_epoch,
                          const struct replica_progress_request_partition *from)
{
    struct feed_entry *entry = find(feed, topic_id, from->partition);
    enum kafka_error error;
    if (entry == NULL || !entry->wanted || entry->leader_epoch != from->leader_epoch ||
        broker_epoch != feed->broker_epoch) {
        return;
    }
    entry->log_start = from->log_start;
    if (!entry->verified) { /* said right behind the fetch that is to be looked at */
        entry->durable_end = from->durable_end;
        return;
    }
    struct partition *p = find_partition(entry, &error);
    if (p != NULL && from->end <= entry->offset) {
        note_written(entry, from->end);
        release_held_unless_throttled(feed);
        say_progress(entry, p, from->end, from->durable_end);
        if (entry->offset < log_end(p->log)) {
            mark_dirty(entry);
        }
    }
}

static int take_progress(struct feed *feed, struct bytes body)
{
    struct replica_progress_request in;
    struct arena arena;
    arena_init(&arena, body.len * 16 + KIB(4));
    if (wire_decode(replica_replica_progress.request, 0, true, body, &arena, &in, NULL).result !=
        WIRE_OK) {
        arena_release(&arena);
        return -EBADMSG;
    }
    for (int32_t t = 0; t < in.n_topics; t++) {
        for (int32_t i = 0; i < in.topics[t].n_partitions; i++) {
            note_progress(feed, &in.topics[t].topic_id, in.broker_epoch,
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
    case FEED_PROGRESS:
        return take_progress(feed, body);
    default:
        return -EBADMSG;
    }
}

/* ---- life ------------------------------------------------------------------------------------*/

struct feed *feed_new(struct replicas *replicas, int32_t follower, bool catches_up,
                      const struct feed_transport *transport, void *link)
{
    struct feed *feed = mem_zalloc(sizeof *feed);
    feed->replicas = replicas;
    feed->follower = follower;
    feed->catches_up = catches_up;
    feed->broker_epoch = -1;
    feed->frame_bytes = FRAME_BYTES;
    feed->news_ns = NEWS_MS * NS_PER_MS;
    feed->transport = transport;
    feed->link = link;
    map_init(&feed->entries);
    list_init(&feed->dirty);
    list_init(&feed->moved);
    list_init(&feed->held);
    loop_task_init(&feed->run, run);
    timer_init(&feed->news, replicas->loop, tell_moved);
    timer_init(&feed->pace, replicas->loop, pace);
    return feed;
}

void feed_drained(struct feed *feed)
{
    run_soon(feed);
}

void feed_free(struct feed *feed)
{
    if (feed == NULL) {
        return;
    }
    map_each (node, &feed->entries) {
        remove_entry(container_of(node, struct feed_entry, node));
    }
    map_release(&feed->entries);
    loop_task_cancel(&feed->run);
    timer_cancel(&feed->news);
    timer_cancel(&feed->pace);
    free(feed);
}
