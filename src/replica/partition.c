/* A partition's replica: leading, following, appending, and waking who waits.
 *
 * The happy path of a produce: the handler has validated the batch; partition_produce() asks the
 * producer state whether it is new, appends it, and parks the produce in offset order. When the
 * journal's write has returned, the log's listener marks the partition dirty; the advance step
 * moves the high watermark and answers every produce it has passed, and tells the fetches that
 * watch.
 *
 * A retried batch that is in the log already is parked on the original's offsets: it is
 * acknowledged when, and only when, the original is (rule 11).
 *
 * What is parked is in the log, and whoever leads next may have it. So it is not given up while
 * nobody else leads: a client takes NOT_LEADER_OR_FOLLOWER for "not written", and one that begins
 * another producer epoch meanwhile sends the records under new numbers, as new ones. */
#include <chronik/replica/table.h>

#include <chronik/base/states.h>
#include <chronik/meta/image.h>
#include <chronik/storage/producers.h>
#include <errno.h>
#include <inttypes.h>

static const struct state PARTITION_STATES[] = {
    [PARTITION_OFFLINE] = {
        .name = "offline",
        .next = STATE(PARTITION_BECOMING) | STATE(PARTITION_FOLLOWER),
        .initial = true,
    },
    [PARTITION_BECOMING] = {
        .name = "becoming leader",
        .next = STATE(PARTITION_LEADER) | STATE(PARTITION_BECOMING) | STATE(PARTITION_FOLLOWER) |
                STATE(PARTITION_OFFLINE),
    },
    [PARTITION_LEADER] = {
        .name = "leader",
        .next = STATE(PARTITION_BECOMING) | STATE(PARTITION_FOLLOWER) | STATE(PARTITION_OFFLINE),
    },
    [PARTITION_FOLLOWER] = {
        .name = "follower",
        .next = STATE(PARTITION_BECOMING) | STATE(PARTITION_FOLLOWER) | STATE(PARTITION_OFFLINE),
    },
};

/* ---- waking ----------------------------------------------------------------------------------*/

static void finish(struct partition *p, struct produce *produce, enum kafka_error error)
{
    list_remove(&produce->link);
    produce->error = error;
    produce->log_start = p->log ? log_start_offset(p->log) : -1;
    produce->done(produce);
}

/* Answers what lies wholly below `end`; the lists are in offset order. */
static void acknowledge(struct partition *p, struct list *waits, int64_t end)
{
    struct list *first;
    while ((first = list_first(waits)) != NULL) {
        struct produce *produce = container_of(first, struct produce, link);
        if (produce->last_offset >= end) {
            break;
        }
        finish(p, produce, KAFKA_NONE);
    }
}

static void fail_waits(struct partition *p, enum kafka_error error)
{
    struct list *first;
    while ((first = list_first(&p->committed_waits)) != NULL ||
           (first = list_first(&p->durable_waits)) != NULL) {
        finish(p, container_of(first, struct produce, link), error);
    }
}

static void tell_watches(struct partition *p)
{
    list_each (it, &p->watches) {
        struct partition_watch *watch = container_of(it, struct partition_watch, link);
        watch->news(watch);
    }
}

static void tell_followers(struct partition *p)
{
    list_each (it, &p->watches) {
        struct partition_watch *watch = container_of(it, struct partition_watch, link);
        if (watch->of_follower) {
            watch->news(watch);
        }
    }
}

/* ---- the advance step ------------------------------------------------------------------------*/

/* A leader's is what its in-sync set has; a follower's what its leader says, as far as it is
 * durable. */
static int64_t committed_end(const struct partition *p)
{
    switch (p->role) {
    case PARTITION_LEADER:
        return isr_committed_end(p);
    case PARTITION_FOLLOWER:
        return min_i64(p->followed.leader_high_watermark, log_durable_end(p->log));
    default:
        return p->high_watermark;
    }
}

/* Nothing below the log start is wanted any more, whether it was committed or not. */
static void move_high_watermark(struct partition *p)
{
    int64_t end = max_i64(committed_end(p), log_start_offset(p->log));
    if (end > p->high_watermark) {
        p->high_watermark = end;
        log_set_high_watermark(p->log, end);
        tell_watches(p);
    }
}

/* The epoch begins where the log ends now; a truncation under way may still move that. */
static void begin_epoch(struct partition *p)
{
    if (p->followed.truncation != NULL) {
        p->epoch_start = INT64_MAX;
    } else {
        log_begin_epoch(p->log, p->leader_epoch);
        p->epoch_start = log_end(p->log);
    }
}

static void advance(struct loop_task *task)
{
    struct partition *p = container_of(task, struct partition, advance);
    if (p->log == NULL) {
        return;
    }
    if (p->appended) {
        p->appended = false;
        tell_followers(p);
    }
    if (p->role == PARTITION_BECOMING && log_durable_end(p->log) >= p->epoch_start) {
        state_move(PARTITION_STATES, &p->role, PARTITION_LEADER, p);
        p->replicas->n_leaders++;
        isr_consider(p);
        tell_watches(p);
    }
    move_high_watermark(p);
    if (p->role == PARTITION_LEADER) {
        acknowledge(p, &p->durable_waits, log_durable_end(p->log));
        acknowledge(p, &p->committed_waits, p->high_watermark);
    } else if (p->role == PARTITION_FOLLOWER) {
        fetcher_durable_moved(p);
    }
}

void partition_appended(struct partition *p)
{
    p->appended = true;
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

static void log_moved(void *arg)
{
    struct partition *p = arg;
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

/* ---- life ------------------------------------------------------------------------------------*/

static void open_log(struct partition *p)
{
    struct store *store = p->replicas->store;
    const struct topic_replicas *topic = p->topic;
    p->log = store_find(store, &topic->id, p->index);
    if (p->log == NULL) {
        p->log = store_create(store, &topic->id, text_of(topic->name), p->index,
                              &topic->config.log);
    }
    if (p->log != NULL) {
        log_configure(p->log, &topic->config.log);
        log_listen(p->log, log_moved, p);
        p->high_watermark = log_high_watermark(p->log);
    }
}

struct partition *partition_new(struct replicas *replicas, struct topic_replicas *topic,
                                int32_t index)
{
    struct partition *p = mem_zalloc(sizeof *p);
    p->replicas = replicas;
    p->topic = topic;
    p->index = index;
    p->leader = p->leader_epoch = p->partition_epoch = -1;
    list_init(&p->committed_waits);
    list_init(&p->durable_waits);
    list_init(&p->watches);
    isr_init(&p->isr);
    followed_init(&p->followed);
    loop_task_init(&p->advance, advance);
    state_start(PARTITION_STATES, &p->role, PARTITION_OFFLINE, p);

    open_log(p);
    replicas->n_partitions++;
    return p;
}

static void leave_role(struct partition *p, enum partition_role role)
{
    if (p->role == PARTITION_LEADER) {
        p->replicas->n_leaders--;
    }
    state_move(PARTITION_STATES, &p->role, role, p);
}

void partition_free(struct partition *p, bool deleted)
{
    struct list *it;
    if (p->role != PARTITION_OFFLINE) {
        leave_role(p, PARTITION_OFFLINE);
    }
    fail_waits(p, deleted ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NOT_LEADER_OR_FOLLOWER);
    while ((it = list_pop_front(&p->watches)) != NULL) {
        struct partition_watch *watch = container_of(it, struct partition_watch, link);
        watch->partition = NULL;
        watch->news(watch);
    }
    if (p->log != NULL) {
        log_listen(p->log, NULL, NULL);
        if (deleted) {
            store_delete(p->replicas->store, p->log);
        }
    }
    fetcher_unfollow(p);
    followed_release(&p->followed);
    isr_release(&p->isr);
    free(p->refusals);
    loop_task_cancel(&p->advance);
    p->replicas->n_partitions--;
    free(p);
}

static void lead(struct partition *p, const struct image_partition *state, bool new_epoch)
{
    bool leads = p->role == PARTITION_LEADER || p->role == PARTITION_BECOMING;
    if (new_epoch || !leads) {
        fetcher_unfollow(p);
        leave_role(p, PARTITION_BECOMING);
        begin_epoch(p);
    }
    isr_follow(p, state, new_epoch || !leads);
    isr_consider(p);
}

/* Somebody else leads, and this replica is not in sync: what it has may be thrown away, and is when
 * recovery found that acknowledged records are missing in it (rule 18). */
static void replace_damaged_log(struct partition *p, const struct image_partition *state)
{
    const char *damage = log_damage(p->log);
    if (damage == NULL || p->followed.truncation != NULL ||
        image_has(state->isr, state->n_isr, p->replicas->node_id)) {
        return;
    }
    diag_warn(p->replicas->diag, DIAG_REPLICA,
              "a damaged log is thrown away and fetched anew from the leader: %s topic=%s "
              "partition=%" PRId32 " end=%" PRId64 " leader=%" PRId32,
              damage, p->topic->name, p->index, log_end(p->log), state->leader);
    log_listen(p->log, NULL, NULL);
    store_delete(p->replicas->store, p->log);
    open_log(p);
}

static void follow(struct partition *p, const struct image_partition *state, bool new_epoch)
{
    bool follows = p->role == PARTITION_FOLLOWER;
    isr_release(&p->isr);
    if (state->leader < 0) {
        fetcher_unfollow(p);
        if (p->role != PARTITION_OFFLINE) {
            leave_role(p, PARTITION_OFFLINE);
        }
    } else if (new_epoch || !follows) {
        p->followed.leader_high_watermark = -1;
        leave_role(p, PARTITION_FOLLOWER);
        replace_damaged_log(p, state);
        fetcher_follow(p);
    }
}

void partition_follow(struct partition *p, const struct image_partition *state)
{
    bool new_epoch = state->leader_epoch != p->leader_epoch;

    p->leader = state->leader;
    p->leader_epoch = state->leader_epoch;
    p->partition_epoch = state->epoch;
    p->recovering = state->recovery == IMAGE_RECOVERING;
    if (p->log == NULL) {
        return;
    }
    if (state->leader == p->replicas->node_id) {
        lead(p, state, new_epoch);
    } else {
        follow(p, state, new_epoch);
    }
    if (state->leader >= 0 && state->leader != p->replicas->node_id) {
        fail_waits(p, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
    if (new_epoch) {
        tell_watches(p);
    } else {
        tell_followers(p); /* there may be other ones */
    }
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

void partition_was_cut(struct partition *p)
{
    p->high_watermark = min_i64(p->high_watermark, log_end(p->log));
    if (p->role == PARTITION_BECOMING) {
        begin_epoch(p);
    }
    loop_defer(p->replicas->loop, LOOP_ADVANCE, &p->advance);
}

void partition_fail(struct partition *p)
{
    if (p->role != PARTITION_OFFLINE) {
        leave_role(p, PARTITION_OFFLINE);
    }
    fetcher_unfollow(p);
    fail_waits(p, KAFKA_KAFKA_STORAGE_ERROR);
    tell_watches(p);
}

/* ---- what clients ask ------------------------------------------------------------------------*/

enum kafka_error partition_check_leader(const struct partition *p, int32_t client_epoch)
{
    if (client_epoch >= 0 && client_epoch != p->leader_epoch) {
        return client_epoch < p->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH
                                              : KAFKA_UNKNOWN_LEADER_EPOCH;
    }
    if (p->log == NULL || (p->role == PARTITION_OFFLINE && p->leader == p->replicas->node_id)) {
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    return p->role == PARTITION_LEADER ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

enum kafka_error partition_check_replica(const struct partition *p, int32_t client_epoch)
{
    enum kafka_error error = partition_check_leader(p, client_epoch);
    return error == KAFKA_NOT_LEADER_OR_FOLLOWER && p->role == PARTITION_FOLLOWER ? KAFKA_NONE
                                                                                  : error;
}

int64_t partition_visible_end(const struct partition *p)
{
    return p->high_watermark;
}

bool partition_offsets_settled(const struct partition *p)
{
    return p->high_watermark >= p->epoch_start;
}

/* ---- producing -------------------------------------------------------------------------------*/

static enum produce_outcome refuse(struct produce *produce, enum kafka_error error,
                                   const char *message)
{
    produce->error = error;
    produce->message = message;
    return PRODUCE_DONE;
}

/* It may be taken when it comes again; what the producer has sent behind it waits for that. */
static enum produce_outcome refuse_for_now(struct partition *p, struct produce *produce,
                                           enum kafka_error error, const char *message)
{
    refusals_note(&p->refusals, produce->batch, error, loop_now_ns(p->replicas->loop));
    return refuse(produce, error, message);
}

/* Parks in offset order. Only a duplicate can belong before others that already wait. */
static void park(struct list *waits, struct produce *produce)
{
    struct list *at = waits->prev;
    while (at != waits &&
           container_of(at, struct produce, link)->last_offset > produce->last_offset) {
        at = at->prev;
    }
    list_insert_after(at, &produce->link);
}

static enum produce_outcome wait_or_answer(struct partition *p, struct produce *produce)
{
    bool all = produce->acks < 0;
    int64_t end = all ? p->high_watermark : log_durable_end(p->log);
    produce->error = KAFKA_NONE;
    if (produce->acks == 0 || produce->last_offset < end) {
        return PRODUCE_DONE;
    }
    park(all ? &p->committed_waits : &p->durable_waits, produce);
    return PRODUCE_WAITS;
}

/* May anything be appended here now? `committed`: the in-sync set has to be large enough. */
static enum kafka_error check_append(const struct partition *p, bool committed)
{
    enum kafka_error error = partition_check_leader(p, -1);
    if (error == KAFKA_NONE && p->replicas->suspended) {
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (error == KAFKA_NONE && committed && !isr_is_large_enough(p)) {
        error = KAFKA_NOT_ENOUGH_REPLICAS;
    }
    return error;
}

static int append_batch(struct partition *p, const struct batch *batch, struct log_append *ret)
{
    *ret = (struct log_append){
        .batches = batch->raw,
        .leader_epoch = p->leader_epoch,
        .as_leader = true,
        .log_append_ms =
            p->topic->config.log_append_time ? loop_wall_ms(p->replicas->loop) : -1,
    };
    int result = log_append(p->log, ret);
    if (result == 0) {
        partition_appended(p);
    }
    return result;
}

enum kafka_error partition_append(struct partition *p, const struct batch *batch,
                                  int64_t *ret_base_offset)
{
    struct log_append append;
    enum kafka_error error = check_append(p, true);
    if (error != KAFKA_NONE) {
        return error;
    }
    switch (append_batch(p, batch, &append)) {
    case 0:
        *ret_base_offset = append.base_offset;
        return KAFKA_NONE;
    case -EAGAIN:
    case -ENOSPC:
        return KAFKA_THROTTLING_QUOTA_EXCEEDED;
    case -EFBIG:
        return KAFKA_MESSAGE_TOO_LARGE;
    default:
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
}

/* Whoever leads by now may have what seems to be missing here: see replicas_trust(). */
static bool is_in_doubt(const struct replicas *r)
{
    return loop_now_ns(r->loop) > r->trusted_until_ns;
}

enum produce_outcome partition_produce(struct partition *p, struct produce *produce)
{
    const struct topic_config *config = &p->topic->config;

    produce->base_offset = produce->last_offset = produce->log_append_ms = -1;
    produce->message = NULL;
    produce->log_start = p->log ? log_start_offset(p->log) : -1;
    enum kafka_error error = check_append(p, produce->acks < 0);
    if (error != KAFKA_NONE) {
        return refuse_for_now(p, produce, error, NULL);
    }
    error = refusals_decide(p->refusals, produce->batch, loop_now_ns(p->replicas->loop));
    if (error != KAFKA_NONE) {
        return refuse(produce, error, "a batch in front of this one was refused: send that first");
    }
    struct producer_verdict verdict = producers_decide(log_producers(p->log), produce->batch);
    if (verdict.error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && is_in_doubt(p->replicas)) {
        return refuse_for_now(p, produce, KAFKA_NOT_LEADER_OR_FOLLOWER, NULL);
    }
    if (verdict.error != KAFKA_NONE) {
        return refuse(produce, verdict.error, NULL);
    }
    if (verdict.duplicate) {
        produce->base_offset = verdict.base_offset;
        produce->last_offset = verdict.last_offset;
        produce->log_append_ms = config->log_append_time ? verdict.timestamp : -1;
        return wait_or_answer(p, produce);
    }
    struct log_append append;
    int result = append_batch(p, produce->batch, &append);
    if (result == -EAGAIN) {
        return PRODUCE_NO_ROOM;
    }
    if (result == -EFBIG) {
        return refuse(produce, KAFKA_MESSAGE_TOO_LARGE, "the journal could never hold it");
    }
    if (result != 0) {
        return refuse_for_now(p, produce, KAFKA_KAFKA_STORAGE_ERROR,
                              result == -ENOSPC ? "the disk is full" : NULL);
    }
    refusals_forget(p->refusals, produce->batch);
    produce->base_offset = append.base_offset;
    produce->last_offset = append.last_offset;
    produce->log_append_ms = append.log_append_ms;
    return wait_or_answer(p, produce);
}

/* Which error an append that was not answered in time gets: too few replicas are in sync since, or
 * they are slow. */
enum kafka_error partition_produce_cancel(struct partition *p, struct produce *produce)
{
    list_remove(&produce->link);
    return produce->acks < 0 && !isr_is_large_enough(p) ? KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND
                                                        : KAFKA_REQUEST_TIMED_OUT;
}

/* ---- watching --------------------------------------------------------------------------------*/

void partition_watch_start(struct partition *p, struct partition_watch *watch)
{
    watch->partition = p;
    list_push_back(&p->watches, &watch->link);
}

void partition_watch_stop(struct partition_watch *watch)
{
    if (watch->partition != NULL) {
        watch->partition = NULL;
        list_remove(&watch->link);
    }
}
