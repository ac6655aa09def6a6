/* Fetchers: asking, taking records, cutting what diverged, saying how far they have come.
 *
 * What can go wrong: the leader answers with an error: the partition asks again after a moment,
 * with whatever the metadata says by then. Our log has left the leader's: it is cut where they part
 * (KIP-101, KIP-279), journal first, and never below what is committed (rule 14): that takes the
 * replica offline instead. The leader's log begins above our end: ours is emptied and goes on from
 * there. The store has no room: what comes is thrown away, and asked for again when there is; the
 * leader will drop us from the in-sync set if that takes long. */
#include <chronik/replica/feed.h>

#include <chronik/meta/meta.h>
#include <chronik/replica/progress.h>
#include <chronik/replica/throttle.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>
#include <errno.h>
#include <inttypes.h>

enum {
    RETRY_MS = 20,   /* after an error that the next metadata may cure */
    REPAIR_MS = 200, /* after one that it will not */
    BROKEN_MS = 2000, /* the leader cannot read */
    FULL_CHUNKS = 4, /* in a row: the partition is far behind */
};

struct fetcher {
    struct list link; /* in replicas->fetchers */
    struct replicas *replicas;
    int32_t leader;
    enum fetcher_kind kind;
    bool open;
    int32_t n_fetches; /* the number of the last one */
    struct list partitions, say, progress;
    struct loop_task task;  /* says what is on the lists */
    struct timer wake;      /* for the earliest retry_ns, and for the throttle */
    uint64_t wake_ns;       /* what it is set for */
    struct throttle throttle;
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
    list_init(&followed->progress);
}

/* ---- saying ----------------------------------------------------------------------------------*/

static void soon(struct fetcher *fetcher)
{
    loop_defer(fetcher->replicas->loop, LOOP_FLUSH, &fetcher->task);
}

/* What comes until then is void. */
static void ask(struct partition *p)
{
    struct fetcher *fetcher = p->followed.fetcher;
    p->followed.streaming = false;
    p->followed.retry_ns = 0;
    p->followed.no_room = false;
    list_remove(&p->followed.progress);
    if (fetcher != NULL && p->followed.truncation == NULL && list_empty(&p->followed.say)) {
        list_push_back(&fetcher->say, &p->followed.say);
        soon(fetcher);
    }
}

static void wake_at(struct fetcher *fetcher, uint64_t at_ns)
{
    if (!timer_is_set(&fetcher->wake) || at_ns < fetcher->wake_ns) {
        fetcher->wake_ns = at_ns;
        timer_set_at(&fetcher->wake, at_ns);
    }
}

static void ask_later(struct partition *p, unsigned ms)
{
    struct fetcher *fetcher = p->followed.fetcher;
    p->followed.streaming = false;
    p->followed.retry_ns = loop_now_ns(fetcher->replicas->loop) + ms * NS_PER_MS;
    wake_at(fetcher, p->followed.retry_ns);
}

static void wake(struct timer *timer)
{
    struct fetcher *fetcher = container_of(timer, struct fetcher, wake);
    uint64_t now = loop_now_ns(fetcher->replicas->loop), next = UINT64_MAX;
    list_each (it, &fetcher->partitions) {
        struct partition *p = PARTITION_OF(it, link);
        if (p->followed.retry_ns != 0 && p->followed.retry_ns <= now) {
            ask(p);
        } else if (p->followed.retry_ns != 0) {
            next = min_u64(next, p->followed.retry_ns);
        }
    }
    if (next != UINT64_MAX) {
        wake_at(fetcher, next);
    }
    soon(fetcher); /* the throttle may be over */
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

static size_t count(const struct list *list)
{
    size_t n = 0;
    list_each (it, (struct list *)list) {
        n++;
    }
    return n;
}

/* No more than can be appended in one piece. */
static uint64_t fetch_max(const struct replicas *r)
{
    return min_u64((uint64_t)r->fetch_max_bytes, store_append_max(r->store));
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
    out->partition_max_bytes = (int32_t)fetch_max(fetcher->replicas);
}

/* Of each partition that asks, the durable end is said right behind. */
static void note_asked(struct fetcher *fetcher, struct partition *p)
{
    p->followed.streaming = true;
    p->followed.asked = fetcher->n_fetches;
    list_push_back(&fetcher->progress, &p->followed.progress);
}

static void say_fetch(struct fetcher *fetcher)
{
    const struct replicas *r = fetcher->replicas;
    struct fetch_request request = fetch_request_default;
    size_t n = count(&fetcher->say);
    struct list *it;

    if (n == 0 && fetcher->n_forgotten == 0) {
        return;
    }
    struct fetch_request_topic *topics = mem_zalloc_array(n, sizeof *topics);
    struct fetch_request_partition *partitions = mem_zalloc_array(n, sizeof *partitions);
    fetcher->n_fetches = fetcher->n_fetches == INT32_MAX ? 1 : fetcher->n_fetches + 1;
    for (size_t i = 0; (it = list_pop_front(&fetcher->say)) != NULL; i++) {
        struct partition *p = PARTITION_OF(it, say);
        fill_position(fetcher, p, &partitions[i]);
        note_asked(fetcher, p);
        topics[i] = fetch_request_topic_default;
        topics[i].topic_id = p->topic->id;
        topics[i].partitions = &partitions[i];
        topics[i].n_partitions = 1;
    }
    request.replica_state.replica_id = r->node_id;
    request.replica_state.replica_epoch = broker_epoch(r);
    request.session_epoch = fetcher->n_fetches;
    request.max_wait_ms = r->fetch_wait_max_ms;
    request.max_bytes = r->fetch_response_max_bytes;
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

static void say_progress(struct fetcher *fetcher)
{
    struct replica_progress_request request = replica_progress_request_default;
    size_t n = count(&fetcher->progress);
    struct list *it;

    if (n == 0) {
        return;
    }
    struct replica_progress_request_topic *topics = mem_zalloc_array(n, sizeof *topics);
    struct replica_progress_request_partition *partitions =
        mem_zalloc_array(n, sizeof *partitions);
    for (size_t i = 0; (it = list_pop_front(&fetcher->progress)) != NULL; i++) {
        struct partition *p = PARTITION_OF(it, progress);
        p->followed.said_durable = log_durable_end(p->log);
        partitions[i] = (struct replica_progress_request_partition){
            .partition = p->index,
            .leader_epoch = p->leader_epoch,
            .log_start = log_start_offset(p->log),
            .end = log_end(p->log),
            .durable_end = p->followed.said_durable,
        };
        topics[i] = (struct replica_progress_request_topic){
            .topic_id = p->topic->id,
            .partitions = &partitions[i],
            .n_partitions = 1,
        };
    }
    request.broker_epoch = broker_epoch(fetcher->replicas);
    request.topics = topics;
    request.n_topics = (int32_t)n;
    send(fetcher, FEED_PROGRESS, replica_replica_progress.request, 0, &request);
    free(topics);
    free(partitions);
}

/* The leader sends no more than is on the way before it hears of progress: to say it later slows it
 * down. */
static void say(struct loop_task *task)
{
    struct fetcher *fetcher = container_of(task, struct fetcher, task);
    if (!fetcher->open) {
        return;
    }
    say_fetch(fetcher);
    if (!throttle_holds(&fetcher->throttle, loop_now_ns(fetcher->replicas->loop))) {
        say_progress(fetcher);
    } else if (!list_empty(&fetcher->progress)) {
        wake_at(fetcher, fetcher->throttle.paid_until_ns);
    }
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
    list_init(&fetcher->progress);
    loop_task_init(&fetcher->task, say);
    timer_init(&fetcher->wake, r->loop, wake);
    arena_init(&fetcher->forgotten, 0);
    list_push_back(&r->fetchers, &fetcher->link);
    r->transport->want(r->transport_arg, leader, kind, true);
    return fetcher;
}

static void join(struct fetcher *fetcher, struct partition *p)
{
    p->followed.fetcher = fetcher;
    p->followed.full_chunks = 0;
    list_push_back(&fetcher->partitions, &p->followed.link);
    ask(p);
}

/* The leader is told to forget it: it must not keep a place in that stream. */
static void leave(struct partition *p)
{
    struct fetcher *fetcher = p->followed.fetcher;
    list_remove(&p->followed.link);
    list_remove(&p->followed.say);
    list_remove(&p->followed.progress);
    p->followed.fetcher = NULL;
    p->followed.streaming = false;
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
    if (p->followed.streaming && log_durable_end(p->log) != p->followed.said_durable &&
        list_empty(&p->followed.progress)) {
        list_push_back(&fetcher->progress, &p->followed.progress);
        soon(fetcher);
    }
}

void fetchers_resume(struct replicas *r)
{
    list_each (it, &r->fetchers) {
        struct fetcher *fetcher = container_of(it, struct fetcher, link);
        list_each (each, &fetcher->partitions) {
            struct partition *p = PARTITION_OF(each, link);
            if (p->followed.no_room) {
                ask(p);
            }
        }
    }
}

void fetchers_release(struct replicas *r)
{
    struct list *it;
    while ((it = list_pop_front(&r->fetchers)) != NULL) {
        struct fetcher *fetcher = container_of(it, struct fetcher, link);
        check(list_empty(&fetcher->partitions));
        loop_task_cancel(&fetcher->task);
        timer_cancel(&fetcher->wake);
        arena_release(&fetcher->forgotten);
        free(fetcher->forgotten_topics);
        free(fetcher);
    }
}

/* ---- records ---------------------------------------------------------------------------------*/

/* Far behind: to the stream for that. Caught up: back to the other one. Who is in the in-sync set
 * has all that is committed, so it stays. */
static void choose_stream(struct partition *p, size_t bytes)
{
    struct replicas *r = p->replicas;
    struct fetcher *fetcher = p->followed.fetcher;
    bool behind = log_end(p->log) < p->followed.leader_high_watermark;
    bool full = bytes >= fetch_max(r) / 4 * 3;

    p->followed.full_chunks = behind && full ? p->followed.full_chunks + 1 : 0;
    if (fetcher->kind == FETCHER_CATCH_UP) {
        throttle_pay(&fetcher->throttle, loop_now_ns(r->loop), bytes,
                     throttle_rate(p, THROTTLE_FOLLOWER));
    }
    if (fetcher->kind == FETCHER_HOT && p->followed.full_chunks >= FULL_CHUNKS) {
        leave(p);
        join(find_or_make(r, fetcher->leader, FETCHER_CATCH_UP), p);
    } else if (fetcher->kind == FETCHER_CATCH_UP && !behind) {
        leave(p);
        join(find_or_make(r, fetcher->leader, FETCHER_HOT), p);
    }
}

/* Every batch is whole, is what the leader wrote, and follows the one before. The first one of an
 * empty log may begin below its start. */
static bool batches_fit(const struct partition *p, struct bytes records)
{
    int64_t next = log_end(p->log);
    bool empty = log_start_offset(p->log) == next;
    while (records.len > 0) {
        struct batch b;
        if (batch_parse(records, &b) != KAFKA_NONE || !batch_crc_ok(&b) ||
            b.base_offset < 0 || b.last_offset_delta < 0 ||
            b.base_offset > INT64_MAX - 1 - b.last_offset_delta ||
            (empty ? batch_last_offset(&b) : b.base_offset) < next) {
            return false;
        }
        empty = false;
        next = batch_last_offset(&b) + 1;
        records = bytes_part(records, b.raw.len, records.len - b.raw.len);
    }
    return true;
}

/* False: not taken; it is asked for again. */
static bool take_records(struct partition *p, struct bytes records)
{
    struct log_append append = { .batches = records, .log_append_ms = -1 };
    if (!batches_fit(p, records)) {
        diag_error(p->replicas->diag, DIAG_REPLICA,
                   "the leader sent damaged records; asking again topic=%s partition=%" PRId32
                   " offset=%" PRId64 " leader=%" PRId32,
                   p->topic->name, p->index, log_end(p->log), p->leader);
        ask_later(p, REPAIR_MS);
        return false;
    }
    int error = log_append(p->log, &append);
    if (error != 0) {
        p->followed.no_room = error == -EAGAIN || error == -ENOSPC;
        ask_later(p, REPAIR_MS);
        return false;
    }
    partition_appended(p);
    return true;
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

struct truncation {
    struct partition *partition; /* NULL: it is gone */
};

void followed_release(struct followed *followed)
{
    if (followed->truncation != NULL) {
        followed->truncation->partition = NULL;
    }
}

static void truncated(void *arg, int error)
{
    struct truncation *truncation = arg;
    struct partition *p = truncation->partition;
    free(truncation);
    if (p == NULL) {
        return;
    }
    p->followed.truncation = NULL;
    if (error == 0) {
        ask(p);
        partition_was_cut(p);
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

/* Of an unclean election (KIP-704) committed records may be cut. */
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
    struct truncation *truncation = mem_zalloc(sizeof *truncation);
    truncation->partition = p;
    p->followed.streaming = false;
    p->followed.truncation = truncation;
    int error = log_truncate(p->log, offset, truncated, truncation);
    if (error != 0) {
        p->followed.truncation = NULL;
        free(truncation);
        ask_later(p, REPAIR_MS);
        return;
    }
    partition_was_cut(p);
}

/* ---- answers ---------------------------------------------------------------------------------*/

static void take_out_of_range(struct partition *p, int64_t start)
{
    int64_t end = log_end(p->log);
    if (end > start) { /* nothing of ours is known there: of a history that was given up */
        truncate(p, max_i64(start, log_start_offset(p->log)));
        return;
    }
    diag_info(p->replicas->diag, DIAG_REPLICA,
              "the leader's log begins above this replica's end, which starts over there "
              "topic=%s partition=%" PRId32 " end=%" PRId64 " start=%" PRId64,
              p->topic->name, p->index, end, start);
    if (log_move_start(p->log, start, NULL, NULL) != 0) {
        ask_later(p, REPAIR_MS);
    } else {
        ask(p);
    }
}

static void take_answer(struct partition *p, const struct fetch_response_partition *from)
{
    bool same_epoch = from->current_leader.leader_epoch == p->leader_epoch;
    if (from->error == KAFKA_OFFSET_OUT_OF_RANGE && same_epoch && from->log_start_offset >= 0) {
        take_out_of_range(p, from->log_start_offset);
    } else if (from->error != KAFKA_NONE) {
        ask_later(p, from->error == KAFKA_KAFKA_STORAGE_ERROR ? BROKEN_MS : RETRY_MS);
    } else if (!same_epoch) {
        return; /* of an epoch that we do not follow: never act on it (rule 13) */
    } else if (from->diverging_epoch.epoch >= 0 || from->diverging_epoch.end_offset >= 0) {
        truncate(p, parting_offset(p, from->diverging_epoch.epoch,
                                   from->diverging_epoch.end_offset));
    } else if (from->records.view.len == 0) {
        take_state(p, from);
    } else if (take_records(p, from->records.view)) {
        take_state(p, from);
        choose_stream(p, from->records.view.len);
    }
}

/* `number`: of the newest fetch that the leader had taken when it answered. */
static void find_and_take(struct fetcher *fetcher, int32_t number, const struct uuid *topic_id,
                          const struct fetch_response_partition *from)
{
    struct topic_replicas *topic = replicas_topic_by_id(fetcher->replicas, topic_id);
    struct partition *p = topic ? topic_partition(topic, from->partition_index) : NULL;
    if (p != NULL && p->followed.fetcher == fetcher && p->followed.streaming &&
        (int32_t)((uint32_t)number - (uint32_t)p->followed.asked) >= 0) {
        take_answer(p, from);
    }
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
            find_and_take(fetcher, in.session_id, &in.topics[t].topic_id,
                          &in.topics[t].partitions[i]);
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
        ask(PARTITION_OF(it, link));
    }
    soon(fetcher); /* who asked before has waited for this */
}

void fetcher_closed(struct replicas *r, int32_t leader, enum fetcher_kind kind)
{
    struct fetcher *fetcher = find(r, leader, kind);
    if (fetcher != NULL) {
        fetcher->open = false;
    }
}
