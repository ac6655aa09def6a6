/* Fetchers: saying positions, taking records, cutting what diverged.
 *
 * What can go wrong: the leader answers with an error: the partition asks again after a moment,
 * with whatever the metadata says by then. Our log has left the leader's: it is cut where they part
 * (KIP-101, KIP-279), journal first, and never below what is committed (rule 14): that takes the
 * replica offline instead. The leader's log begins above our end: ours is emptied and goes on from
 * there. The store has no room: the partition waits; its leader will drop it from the in-sync set
 * if that takes long. */
#include <chronik/replica/feed.h>

#include <chronik/meta/meta.h>
#include <chronik/replica/durable.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>
#include <errno.h>
#include <inttypes.h>

enum {
    RETRY_MS = 20,      /* after an error that the next metadata may cure */
    ROOM_RETRY_MS = 200,
    FULL_CHUNKS = 4,    /* in a row: the partition is far behind */
};

struct fetcher {
    struct list link; /* in replicas->fetchers */
    struct replicas *replicas;
    int32_t leader;
    enum fetcher_kind kind;
    bool open;
    struct list partitions, say, durable;
    struct loop_task task;  /* says what is on the lists */
    struct timer retry;     /* for the earliest retry_ns */
    uint64_t paid_until_ns; /* throttle of catching up: nothing is asked for before */
    struct arena forgotten; /* of the next fetch */
    struct fetch_request_forgotten_topic *forgotten_topics;
    size_t n_forgotten, cap_forgotten;
};

static struct partition *partition_of(struct list *link, size_t offset)
{
    struct followed *followed = (struct followed *)((char *)link - offset);
    return container_of(followed, struct partition, followed);
}

#define PARTITION_OF(it, list) partition_of(it, offsetof(struct followed, list))

void followed_init(struct followed *followed)
{
    *followed = (struct followed){ .leader_high_watermark = -1, .said_durable = -1 };
    list_init(&followed->link);
    list_init(&followed->say);
    list_init(&followed->durable);
}

/* ---- saying ----------------------------------------------------------------------------------*/

static void soon(struct fetcher *fetcher)
{
    loop_defer(fetcher->replicas->loop, LOOP_FLUSH, &fetcher->task);
}

static void say_position(struct partition *p)
{
    struct fetcher *fetcher = p->followed.fetcher;
    if (fetcher != NULL && !p->followed.truncating && list_empty(&p->followed.say)) {
        list_push_back(&fetcher->say, &p->followed.say);
        soon(fetcher);
    }
}

static void say_later(struct partition *p, unsigned ms)
{
    struct fetcher *fetcher = p->followed.fetcher;
    p->followed.retry_ns = loop_now_ns(fetcher->replicas->loop) + ms * NS_PER_MS;
    if (!timer_is_set(&fetcher->retry)) {
        timer_set_at(&fetcher->retry, p->followed.retry_ns);
    }
}

static void retry(struct timer *timer)
{
    struct fetcher *fetcher = container_of(timer, struct fetcher, retry);
    uint64_t now = loop_now_ns(fetcher->replicas->loop), next = UINT64_MAX;
    list_each (it, &fetcher->partitions) {
        struct partition *p = PARTITION_OF(it, link);
        if (p->followed.retry_ns != 0 && p->followed.retry_ns <= now) {
            p->followed.retry_ns = 0;
            say_position(p);
            p->followed.said_durable = -1; /* of that, too, no note was taken */
            fetcher_durable_moved(p);
        } else if (p->followed.retry_ns != 0) {
            next = min_u64(next, p->followed.retry_ns);
        }
    }
    soon(fetcher);
    if (next != UINT64_MAX) {
        timer_set_at(timer, next);
    }
}

static void send(struct fetcher *fetcher, enum feed_frame kind, const struct wire_struct *s,
                 int16_t version, const void *message)
{
    const struct replicas *r = fetcher->replicas;
    struct chain frame = { 0 };
    uint8_t first = (uint8_t)kind;
    chain_put(&frame, &first, 1);
    wire_encode(s, version, true, message, &frame);
    r->transport->send(r->transport_arg, fetcher->leader, fetcher->kind, &frame);
}

static int64_t broker_epoch(const struct replicas *r)
{
    const struct image_broker *self = image_broker(meta_image(r->meta), r->node_id);
    return self ? self->epoch : -1;
}

static void fill_position(const struct fetcher *fetcher, const struct partition *p,
                          struct fetch_request_partition *out)
{
    *out = fetch_request_partition_default;
    out->partition_index = p->index;
    out->current_leader_epoch = p->leader_epoch;
    out->fetch_offset = log_end(p->log);
    out->last_fetched_epoch = log_last_epoch(p->log);
    out->log_start_offset = log_start_offset(p->log);
    out->partition_max_bytes = fetcher->replicas->fetch_max_bytes;
}

static void say_positions(struct fetcher *fetcher)
{
    struct fetch_request request = fetch_request_default;
    struct fetch_request_topic *topics = NULL;
    struct fetch_request_partition *partitions;
    size_t n = 0;
    struct list *it;

    list_each (each, &fetcher->say) {
        n++;
    }
    if (n == 0 && fetcher->n_forgotten == 0) {
        return;
    }
    topics = mem_zalloc_array(n, sizeof *topics);
    partitions = mem_zalloc_array(n, sizeof *partitions);
    for (size_t i = 0; (it = list_pop_front(&fetcher->say)) != NULL; i++) {
        const struct partition *p = PARTITION_OF(it, say);
        fill_position(fetcher, p, &partitions[i]);
        topics[i] = fetch_request_topic_default;
        topics[i].topic_id = p->topic->id;
        topics[i].partitions = &partitions[i];
        topics[i].n_partitions = 1;
    }
    request.replica_state.replica_id = fetcher->replicas->node_id;
    request.replica_state.replica_epoch = broker_epoch(fetcher->replicas);
    request.topics = topics;
    request.n_topics = (int32_t)n;
    request.forgotten_topics = fetcher->forgotten_topics;
    request.n_forgotten_topics = (int32_t)fetcher->n_forgotten;
    send(fetcher, FEED_FETCH, wire_fetch.request, FEED_VERSION, &request);
    fetcher->n_forgotten = 0;
    arena_reset(&fetcher->forgotten);
    free(topics);
    free(partitions);
}

static void say_durable_ends(struct fetcher *fetcher)
{
    struct replica_durable_request request = replica_durable_request_default;
    struct replica_durable_request_topic *topics;
    struct replica_durable_request_partition *partitions;
    size_t n = 0, i = 0;
    struct list *it;

    list_each (each, &fetcher->durable) {
        n++;
    }
    if (n == 0) {
        return;
    }
    topics = mem_zalloc_array(n, sizeof *topics);
    partitions = mem_zalloc_array(n, sizeof *partitions);
    for (; (it = list_pop_front(&fetcher->durable)) != NULL; i++) {
        struct partition *p = PARTITION_OF(it, durable);
        p->followed.said_durable = log_durable_end(p->log);
        partitions[i] = (struct replica_durable_request_partition){
            .partition = p->index,
            .leader_epoch = p->leader_epoch,
            .durable_end = p->followed.said_durable,
        };
        topics[i] = (struct replica_durable_request_topic){
            .topic_id = p->topic->id,
            .partitions = &partitions[i],
            .n_partitions = 1,
        };
    }
    request.broker_epoch = broker_epoch(fetcher->replicas);
    request.topics = topics;
    request.n_topics = (int32_t)n;
    send(fetcher, FEED_DURABLE, replica_replica_durable.request, 0, &request);
    free(topics);
    free(partitions);
}

/* Positions first: a durable end counts only up to what was said to be written. */
static void say(struct loop_task *task)
{
    struct fetcher *fetcher = container_of(task, struct fetcher, task);
    uint64_t now = loop_now_ns(fetcher->replicas->loop);
    if (!fetcher->open) {
        return;
    }
    if (fetcher->kind == FETCHER_HOT || now >= fetcher->paid_until_ns) {
        say_positions(fetcher);
    } else if (!list_empty(&fetcher->say) && !timer_is_set(&fetcher->retry)) {
        timer_set_at(&fetcher->retry, fetcher->paid_until_ns);
    }
    say_durable_ends(fetcher);
}

/* ---- following and leaving -------------------------------------------------------------------*/

static struct fetcher *find(const struct replicas *r, int32_t leader, enum fetcher_kind kind)
{
    list_each (it, &r->fetchers) {
        struct fetcher *fetcher = container_of(it, struct fetcher, link);
        if (fetcher->leader == leader && fetcher->kind == kind) {
            return fetcher;
        }
    }
    return NULL;
}

static struct fetcher *find_or_make(struct replicas *r, int32_t leader, enum fetcher_kind kind)
{
    struct fetcher *fetcher = find(r, leader, kind);
    if (fetcher != NULL) {
        return fetcher;
    }
    fetcher = mem_zalloc(sizeof *fetcher);
    fetcher->replicas = r;
    fetcher->leader = leader;
    fetcher->kind = kind;
    list_init(&fetcher->partitions);
    list_init(&fetcher->say);
    list_init(&fetcher->durable);
    loop_task_init(&fetcher->task, say);
    timer_init(&fetcher->retry, r->loop, retry);
    arena_init(&fetcher->forgotten, 0);
    list_push_back(&r->fetchers, &fetcher->link);
    r->transport->want(r->transport_arg, leader, kind, true);
    return fetcher;
}

static void join(struct fetcher *fetcher, struct partition *p)
{
    p->followed.fetcher = fetcher;
    p->followed.full_chunks = 0;
    p->followed.retry_ns = 0;
    p->followed.said_durable = -1;
    list_push_back(&fetcher->partitions, &p->followed.link);
    say_position(p);
    fetcher_durable_moved(p);
}

/* The leader is told to forget it: it must not keep a place in that stream. */
static void leave(struct partition *p)
{
    struct fetcher *fetcher = p->followed.fetcher;
    list_remove(&p->followed.link);
    list_remove(&p->followed.say);
    list_remove(&p->followed.durable);
    p->followed.fetcher = NULL;
    if (fetcher->open) {
        fetcher->forgotten_topics =
            mem_grow(fetcher->forgotten_topics, &fetcher->cap_forgotten, fetcher->n_forgotten + 1,
                     sizeof *fetcher->forgotten_topics);
        struct fetch_request_forgotten_topic *topic =
            &fetcher->forgotten_topics[fetcher->n_forgotten++];
        *topic = fetch_request_forgotten_topic_default;
        topic->topic_id = p->topic->id;
        topic->partitions = arena_dup(&fetcher->forgotten, &p->index, sizeof p->index);
        topic->n_partitions = 1;
        soon(fetcher);
    }
}

void fetcher_follow(struct partition *p)
{
    struct replicas *r = p->replicas;
    if (p->followed.fetcher != NULL) {
        leave(p);
    }
    if (r->transport != NULL && p->log != NULL) {
        join(find_or_make(r, p->leader, FETCHER_HOT), p);
    }
}

void fetcher_unfollow(struct partition *p)
{
    if (p->followed.fetcher != NULL) {
        leave(p);
    }
}

void fetcher_durable_moved(struct partition *p)
{
    struct fetcher *fetcher = p->followed.fetcher;
    if (fetcher != NULL && !p->followed.truncating &&
        log_durable_end(p->log) != p->followed.said_durable && list_empty(&p->followed.durable)) {
        list_push_back(&fetcher->durable, &p->followed.durable);
        soon(fetcher);
    }
}

void fetchers_resume(struct replicas *r)
{
    list_each (it, &r->fetchers) {
        struct fetcher *fetcher = container_of(it, struct fetcher, link);
        timer_set_in(&fetcher->retry, 0);
    }
}

void fetchers_release(struct replicas *r)
{
    struct list *it;
    while ((it = list_pop_front(&r->fetchers)) != NULL) {
        struct fetcher *fetcher = container_of(it, struct fetcher, link);
        check(list_empty(&fetcher->partitions));
        loop_task_cancel(&fetcher->task);
        timer_cancel(&fetcher->retry);
        arena_release(&fetcher->forgotten);
        free(fetcher->forgotten_topics);
        free(fetcher);
    }
}

/* ---- records ---------------------------------------------------------------------------------*/

/* Far behind: to the throttled stream. Caught up: back to the hot one. */
static void choose_stream(struct partition *p, size_t bytes)
{
    struct replicas *r = p->replicas;
    struct fetcher *fetcher = p->followed.fetcher;
    bool full = bytes >= (size_t)r->fetch_max_bytes / 4 * 3;

    p->followed.full_chunks = full ? p->followed.full_chunks + 1 : 0;
    if (fetcher->kind == FETCHER_HOT && p->followed.full_chunks >= FULL_CHUNKS) {
        leave(p);
        join(find_or_make(r, fetcher->leader, FETCHER_CATCH_UP), p);
    } else if (fetcher->kind == FETCHER_CATCH_UP && !full) {
        leave(p);
        join(find_or_make(r, fetcher->leader, FETCHER_HOT), p);
    }
    if (fetcher->kind == FETCHER_CATCH_UP && r->catch_up_bytes_per_s > 0) {
        uint64_t now = loop_now_ns(r->loop);
        fetcher->paid_until_ns = max_u64(fetcher->paid_until_ns, now) +
                                 (uint64_t)bytes * NS_PER_S / r->catch_up_bytes_per_s;
    }
}

/* Every batch is whole, is what the leader wrote, and follows the one before. */
static bool batches_fit(const struct partition *p, struct bytes records)
{
    int64_t next = log_end(p->log);
    while (records.len > 0) {
        struct batch b;
        if (batch_parse(records, &b) != KAFKA_NONE || !batch_crc_ok(&b) || b.base_offset < next) {
            return false;
        }
        next = batch_last_offset(&b) + 1;
        records = bytes_part(records, b.raw.len, records.len - b.raw.len);
    }
    return true;
}

static void take_records(struct partition *p, struct bytes records)
{
    struct log_append append = { .batches = records, .log_append_ms = -1 };
    if (!batches_fit(p, records)) {
        diag_error(p->replicas->diag, DIAG_REPLICA,
                   "the leader sent damaged records; asking again topic=%s partition=%" PRId32
                   " offset=%" PRId64 " leader=%" PRId32,
                   p->topic->name, p->index, log_end(p->log), p->leader);
        say_later(p, ROOM_RETRY_MS);
        return;
    }
    int error = log_append(p->log, &append);
    if (error != 0) {
        say_later(p, ROOM_RETRY_MS);
        return;
    }
    partition_appended(p);
    choose_stream(p, records.len);
    say_position(p);
}

static void take_state(struct partition *p, const struct fetch_response_partition *from)
{
    p->followed.leader_high_watermark = from->high_watermark;
    if (from->log_start_offset > log_start_offset(p->log)) {
        log_move_start(p->log, from->log_start_offset, NULL, NULL);
    }
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

/* ---- truncation ------------------------------------------------------------------------------*/

static void truncated(void *arg, int error)
{
    struct partition *p = arg;
    p->followed.truncating = false;
    if (error == 0) {
        say_position(p);
        p->followed.said_durable = -1;
        fetcher_durable_moved(p);
    }
}

/* Where the logs part: the leader knows the end of the largest epoch at or below our last one
 * (KIP-279). */
static int64_t parting_offset(const struct partition *p, int32_t epoch, int64_t end)
{
    int32_t own_epoch;
    int64_t own_end;
    if (epoch < 0) {
        return log_start_offset(p->log);
    }
    log_epoch_end(p->log, epoch, &own_epoch, &own_end);
    if (own_epoch < 0) {
        return log_start_offset(p->log);
    }
    return own_epoch == epoch ? min_i64(end, own_end) : own_end;
}

static void truncate(struct partition *p, int64_t offset)
{
    if (offset < p->high_watermark && !p->recovering) {
        diag_error(p->replicas->diag, DIAG_REPLICA,
                   "the leader's log lacks committed records of this replica, which goes offline; "
                   "compare both with --dump-log topic=%s partition=%" PRId32 " leader=%" PRId32
                   " leader_end=%" PRId64 " committed=%" PRId64,
                   p->topic->name, p->index, p->leader, offset, p->high_watermark);
        partition_fail(p);
        return;
    }
    diag_info(p->replicas->diag, DIAG_REPLICA,
              "cutting what the leader does not have topic=%s partition=%" PRId32 " from=%" PRId64
              " to=%" PRId64,
              p->topic->name, p->index, log_end(p->log), offset);
    p->followed.truncating = true;
    int error = log_truncate(p->log, offset, truncated, p);
    if (error != 0) {
        p->followed.truncating = false;
        say_later(p, ROOM_RETRY_MS);
    }
}

/* ---- answers ---------------------------------------------------------------------------------*/

static void take_error(struct partition *p, const struct fetch_response_partition *from)
{
    int64_t start = from->log_start_offset, end = log_end(p->log);
    if (from->error != KAFKA_OFFSET_OUT_OF_RANGE || start < 0) {
        say_later(p, from->error == KAFKA_KAFKA_STORAGE_ERROR ? 10 * ROOM_RETRY_MS : RETRY_MS);
    } else if (end > start) { /* nothing of ours is known there: of a history that was given up */
        truncate(p, max_i64(start, log_start_offset(p->log)));
    } else {
        diag_info(p->replicas->diag, DIAG_REPLICA,
                  "the leader's log begins above this replica's end, which starts over there "
                  "topic=%s partition=%" PRId32 " end=%" PRId64 " start=%" PRId64,
                  p->topic->name, p->index, end, start);
        log_move_start(p->log, start, NULL, NULL);
        say_position(p);
    }
}

static void take_answer(struct fetcher *fetcher, const struct uuid *topic_id,
                        const struct fetch_response_partition *from)
{
    struct topic_replicas *topic = replicas_topic_by_id(fetcher->replicas, topic_id);
    struct partition *p = topic ? topic_partition(topic, from->partition_index) : NULL;
    if (p == NULL || p->followed.fetcher != fetcher || p->followed.truncating || p->log == NULL) {
        return;
    }
    if (from->error != KAFKA_NONE) {
        take_error(p, from);
        return;
    }
    if (from->current_leader.leader_epoch != p->leader_epoch) {
        return; /* of an epoch that we do not follow: never act on it (rule 13) */
    }
    if (from->diverging_epoch.epoch >= 0 || from->diverging_epoch.end_offset >= 0) {
        truncate(p, parting_offset(p, from->diverging_epoch.epoch,
                                   from->diverging_epoch.end_offset));
        return;
    }
    if (from->records.view.len > 0) {
        take_records(p, from->records.view);
    }
    take_state(p, from);
}

int fetcher_receive(struct replicas *r, int32_t leader, enum fetcher_kind kind, struct bytes frame)
{
    struct fetcher *fetcher = find(r, leader, kind);
    struct fetch_response in;
    struct arena arena;

    if (frame.len == 0 || frame.data[0] != FEED_RECORDS) {
        return -EBADMSG;
    }
    arena_init(&arena, frame.len * 16 + KIB(4));
    struct wire_error error = wire_decode(wire_fetch.response, FEED_VERSION, true,
                                          bytes_part(frame, 1, frame.len - 1), &arena, &in, NULL);
    for (int32_t t = 0; error.result == WIRE_OK && fetcher != NULL && t < in.n_topics; t++) {
        for (int32_t i = 0; i < in.topics[t].n_partitions; i++) {
            take_answer(fetcher, &in.topics[t].topic_id, &in.topics[t].partitions[i]);
        }
    }
    arena_release(&arena);
    return error.result == WIRE_OK ? 0 : -EBADMSG;
}

void fetcher_opened(struct replicas *r, int32_t leader, enum fetcher_kind kind)
{
    struct fetcher *fetcher = find(r, leader, kind);
    if (fetcher == NULL) {
        return;
    }
    fetcher->open = true;
    fetcher->n_forgotten = 0;
    arena_reset(&fetcher->forgotten);
    list_each (it, &fetcher->partitions) {
        struct partition *p = PARTITION_OF(it, link);
        p->followed.said_durable = -1;
        say_position(p);
        fetcher_durable_moved(p);
    }
    soon(fetcher); /* positions may have waited for this */
}

void fetcher_closed(struct replicas *r, int32_t leader, enum fetcher_kind kind)
{
    struct fetcher *fetcher = find(r, leader, kind);
    if (fetcher != NULL) {
        fetcher->open = false;
    }
}
