/* Retention by time and by size (retention.ms, retention.bytes).
 *
 * Old segments go from the front, whole ones, below the high watermark only: the log start moves
 * up to the first segment that stays, and the files follow the journal's record (cut.c). A few
 * logs are looked at in a turn. The age of a segment is that of its youngest record, or, when its
 * records have no time stamps, of its last append. (Kafka 4.4, UnifiedLog.deleteOldSegments)
 *
 * Producers that were silent for producer.id.expiration.ms are forgotten on the same tour. */
#include "state.h"

enum { LOGS_A_TURN = 64 };

struct retention {
    struct loop_task task;
    struct store *store;
    int64_t now_ms, producer_ms;
    struct uuid topic_id; /* the log to go on behind */
    int32_t partition;
    bool begun;
};

/* Offset behind a segment. */
static int64_t end_of(const struct log *log, uint32_t i)
{
    return i + 1 < log->n_segments ? log->segments[i + 1]->base : log->end;
}

static bool is_old(const struct log *log, const struct segment *segment, int64_t now_ms)
{
    int64_t newest =
        segment->max_timestamp >= 0 ? segment->max_timestamp : segment->modified_ms;
    return log->config.retention_ms >= 0 && now_ms - newest > log->config.retention_ms;
}

/* Where the log should begin. */
static int64_t keep_from(const struct log *log, int64_t now_ms)
{
    uint64_t bytes = log_size(log);
    int64_t start = log->start;
    for (uint32_t i = 0; i < log->n_segments && end_of(log, i) <= log->high_watermark; i++) {
        const struct segment *segment = log->segments[i];
        bool too_large = log->config.retention_bytes >= 0 &&
                         bytes - segment->bytes >= (uint64_t)log->config.retention_bytes;
        if (!is_old(log, segment, now_ms) && !too_large) {
            break;
        }
        bytes -= segment->bytes;
        start = end_of(log, i);
    }
    return start;
}

static void look_at(struct log *log, const struct retention *retention)
{
    int64_t now_ms = retention->now_ms;
    if (log->config.delete_old && list_empty(&log->cuts)) {
        int64_t start = keep_from(log, now_ms);
        if (start > log->start) {
            log_move_start(log, start, NULL, NULL);
        }
    }
    if (log->producers != NULL) {
        size_t n = producers_count(log->producers);
        producers_expire(log->producers, now_ms, retention->producer_ms);
        log->producers_new |= n != producers_count(log->producers);
    }
}

static void end(struct retention *retention)
{
    retention->store->retention = NULL;
    loop_task_cancel(&retention->task);
    free(retention);
}

static void slice(struct loop_task *task)
{
    struct retention *retention = container_of(task, struct retention, task);
    struct store *store = retention->store;
    struct log *last =
        retention->begun ? store_find(store, &retention->topic_id, retention->partition) : NULL;
    struct map_node *node = last != NULL ? map_next(&store->logs, &last->node)
                            : retention->begun ? NULL
                                               : map_first(&store->logs);
    if (store->state != STORE_OPEN || node == NULL) {
        end(retention);
        return;
    }
    for (unsigned n = 0; node != NULL && n < LOGS_A_TURN; n++) {
        struct log *log = container_of(node, struct log, node);
        look_at(log, retention);
        retention->topic_id = log->topic_id;
        retention->partition = log->partition;
        node = map_next(&store->logs, node);
    }
    retention->begun = true;
    timer_set_in(&store->retention_timer, 0);
}

void retention_stop(struct store *store)
{
    timer_cancel(&store->retention_timer);
    if (store->retention != NULL) {
        end(store->retention);
    }
}

static void go_on(struct timer *timer)
{
    struct store *store = container_of(timer, struct store, retention_timer);
    if (store->retention != NULL) {
        loop_defer(store->loop, LOOP_ADVANCE, &store->retention->task);
    }
}

void retention_init(struct store *store)
{
    timer_init(&store->retention_timer, store->loop, go_on);
}

void store_retain(struct store *store, int64_t now_ms, int64_t producer_ms)
{
    if (store->retention == NULL && store->state == STORE_OPEN) {
        struct retention *retention = mem_zalloc(sizeof *retention);
        retention->store = store;
        retention->now_ms = now_ms;
        retention->producer_ms = producer_ms;
        loop_task_init(&retention->task, slice);
        store->retention = retention;
        loop_defer(store->loop, LOOP_ADVANCE, &retention->task);
    }
}
