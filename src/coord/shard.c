/* A shard's life: load, serve, unload.
 *
 * Its watch on the partition hears of every change of leader and of the high watermark; the look
 * task, in the advance step, draws the conclusions. Loading reads up to a mebibyte, applies it, and
 * goes on in the next turn of the loop: the broker serves others meanwhile. When the log's end is
 * reached the shard serves: whatever it says waits until the high watermark has passed what it
 * rests on, so a tail that was not committed when it was loaded promises nothing.
 *
 * A log that cannot be read leaves the shard without a state: clients are told that the coordinator
 * loads, and it is tried again. */
#include "shard.h"

#include <chronik/base/states.h>
#include <errno.h>
#include <inttypes.h>

enum { LOAD_BYTES = 1 << 20, RETRY_S = 5, INFLATED_MAX = 256 << 20 };

static const struct state SHARD_STATES[] = {
    [SHARD_IDLE] = { .name = "idle", .next = STATE(SHARD_LOADING), .initial = true },
    [SHARD_LOADING] = {
        .name = "loading",
        .next = STATE(SHARD_ACTIVE) | STATE(SHARD_FAILED) | STATE(SHARD_IDLE),
    },
    [SHARD_ACTIVE] = { .name = "active", .next = STATE(SHARD_IDLE) },
    [SHARD_FAILED] = { .name = "failed", .next = STATE(SHARD_IDLE) },
};

static const struct coord_machine *machine_of(const struct coord_shard *shard)
{
    return shard->topic->machine;
}

static bool leads(const struct coord_shard *shard)
{
    const struct partition *p = shard->watch.partition;
    return p != NULL && p->role == PARTITION_LEADER;
}

enum kafka_error shard_check(const struct coord_shard *shard)
{
    const struct partition *p = shard->watch.partition;
    bool is_leader = p != NULL && (p->role == PARTITION_LEADER || p->role == PARTITION_BECOMING);
    if (!is_leader || p->replicas->suspended) {
        return KAFKA_NOT_COORDINATOR;
    }
    return shard->state == SHARD_ACTIVE && leads(shard) && shard->leader_epoch == p->leader_epoch
               ? KAFKA_NONE
               : KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
}

/* ---- waiting ----------------------------------------------------------------------------------*/

static void finish(struct coord_wait *wait, enum kafka_error error)
{
    list_remove(&wait->link);
    wait->done(wait, error);
}

static struct coord_wait *first_wait(const struct coord_shard *shard)
{
    struct list *first = list_first(&shard->waits);
    return first ? container_of(first, struct coord_wait, link) : NULL;
}

static void arm_timeout(struct coord_shard *shard)
{
    struct coord_wait *first = first_wait(shard);
    if (first == NULL) {
        timer_cancel(&shard->timeout);
    } else if (!timer_is_set(&shard->timeout)) {
        timer_set_at(&shard->timeout, first->deadline_ns);
    }
}

static void timed_out(struct timer *timer)
{
    struct coord_shard *shard = container_of(timer, struct coord_shard, timeout);
    uint64_t now = loop_now_ns(shard->log.loop);
    struct coord_wait *first;
    while ((first = first_wait(shard)) != NULL && first->deadline_ns <= now) {
        finish(first, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    arm_timeout(shard);
}

static void complete_waits(struct coord_shard *shard)
{
    struct coord_wait *first;
    while ((first = first_wait(shard)) != NULL &&
           first->end <= shard->watch.partition->high_watermark) {
        finish(first, KAFKA_NONE);
    }
    arm_timeout(shard);
}

static bool wait_for_commit(struct coord_log *log, struct coord_wait *wait)
{
    struct coord_shard *shard = container_of(log, struct coord_shard, log);
    const struct partition *p = shard->watch.partition;
    wait->end = log_end(p->log);
    if (p->high_watermark >= wait->end) {
        return true;
    }
    wait->deadline_ns = loop_now_ns(log->loop) + shard->timeout_ns;
    list_push_back(&shard->waits, &wait->link);
    arm_timeout(shard);
    return false;
}

/* ---- appending --------------------------------------------------------------------------------*/

static enum kafka_error for_clients(enum kafka_error error)
{
    switch (error) {
    case KAFKA_NONE:
        return KAFKA_NONE;
    case KAFKA_MESSAGE_TOO_LARGE:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_THROTTLING_QUOTA_EXCEEDED:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    default:
        return KAFKA_NOT_COORDINATOR;
    }
}

static struct batch build(struct coord_shard *shard, const struct coord_batch *from)
{
    struct batch_builder *builder = &shard->builder;
    int64_t now_ms = loop_wall_ms(shard->log.loop);
    struct batch batch;
    batch_builder_reset(builder);
    for (size_t i = 0; i < from->n; i++) {
        batch_builder_add(builder, now_ms, from->records[i].key, from->records[i].value,
                          bytes_of(NULL, 0), 0);
    }
    check(batch_parse(batch_builder_finish(builder), &batch) == KAFKA_NONE);
    return batch;
}

static enum kafka_error append(struct coord_log *log, const struct coord_batch *records)
{
    struct coord_shard *shard = container_of(log, struct coord_shard, log);
    enum kafka_error error = shard_check(shard);
    int64_t base;

    if (error != KAFKA_NONE) {
        return error;
    }
    if (records->bytes > INT32_MAX / 2) {
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    struct batch batch = build(shard, records);
    error = partition_append(shard->watch.partition, &batch, &base);
    if (error != KAFKA_NONE) {
        return for_clients(error);
    }
    for (size_t i = 0; i < records->n; i++) {
        struct coord_record record = records->records[i];
        record.offset = base + (int64_t)i;
        machine_of(shard)->apply(shard->machine, &record);
    }
    return KAFKA_NONE;
}

static struct config_layers config(struct coord_log *log)
{
    const struct coord *coord = container_of(log, struct coord_shard, log)->topic->coord;
    return config_layers_of(meta_image(coord->meta), coord->replicas->node_id, coord->file);
}

static const struct image *image(struct coord_log *log)
{
    return meta_image(container_of(log, struct coord_shard, log)->topic->coord->meta);
}

static const struct coord_log_ops SHARD_LOG = {
    .append = append,
    .wait = wait_for_commit,
    .config = config,
    .image = image,
};

/* ---- loading ----------------------------------------------------------------------------------*/

static void unload(struct coord_shard *shard)
{
    struct coord_wait *wait;
    if (shard->state == SHARD_IDLE) {
        return;
    }
    state_move(SHARD_STATES, &shard->state, SHARD_IDLE, shard); /* no more appends */
    log_read_cancel(&shard->read);
    timer_cancel(&shard->go_on);
    while ((wait = first_wait(shard)) != NULL) {
        finish(wait, KAFKA_NOT_COORDINATOR);
    }
    timer_cancel(&shard->timeout);
    if (shard->machine != NULL) {
        machine_of(shard)->state_free(shard->machine);
        shard->machine = NULL;
    }
    codec_scratch_release(&shard->scratch);
}

static void fail(struct coord_shard *shard, const char *what)
{
    const struct partition *p = shard->watch.partition;
    diag_error(shard->log.diag, DIAG_COORD,
               "cannot load a coordinator's state: %s; its clients wait, and it is tried again "
               "topic=%s partition=%" PRId32 " offset=%" PRId64,
               what, machine_of(shard)->topic, p->index, shard->next);
    machine_of(shard)->state_free(shard->machine);
    shard->machine = NULL;
    state_move(SHARD_STATES, &shard->state, SHARD_FAILED, shard);
    timer_set_in(&shard->go_on, RETRY_S * NS_PER_S);
}

static bool apply_batch(struct coord_shard *shard, const struct batch *batch)
{
    struct record_iter it;
    struct record from;
    if (record_iter_init(&it, batch, INFLATED_MAX, &shard->scratch) != 0) {
        return false;
    }
    while (record_iter_next(&it, &from)) {
        if (from.offset < shard->next) {
            continue; /* below the log start */
        }
        const struct coord_record record = {
            .offset = from.offset,
            .producer_id = batch->producer_id,
            .producer_epoch = batch->producer_epoch,
            .transactional = (batch->attributes & BATCH_TRANSACTIONAL) != 0,
            .control = (batch->attributes & BATCH_CONTROL) != 0,
            .key = from.key,
            .value = from.value,
        };
        machine_of(shard)->apply(shard->machine, &record);
        shard->n_loaded++;
    }
    return it.next == it.n;
}

static bool apply_batches(struct coord_shard *shard, struct bytes rest)
{
    while (rest.len > 0) {
        struct batch batch;
        if (batch_parse(rest, &batch) != KAFKA_NONE || !apply_batch(shard, &batch)) {
            return false;
        }
        shard->next = max_i64(shard->next, batch_last_offset(&batch) + 1);
        rest = bytes_part(rest, batch.raw.len, rest.len - batch.raw.len);
    }
    return true;
}

static void loaded(struct coord_shard *shard)
{
    const struct partition *p = shard->watch.partition;
    uint64_t took_ns = loop_clock_ns(shard->log.loop) - shard->load_began_ns;
    state_move(SHARD_STATES, &shard->state, SHARD_ACTIVE, shard);
    codec_scratch_release(&shard->scratch);
    shard->topic->coord->loads_total++;
    shard->topic->coord->loaded_records_total += shard->n_loaded;
    diag_debug(shard->log.diag, DIAG_COORD,
               "coordinator loaded topic=%s partition=%" PRId32 " epoch=%" PRId32
               " records=%" PRIu64 " took_ms=%" PRIu64,
               machine_of(shard)->topic, p->index, shard->leader_epoch, shard->n_loaded,
               took_ns / NS_PER_MS);
    machine_of(shard)->loaded(shard->machine);
}

static void take_read(struct coord_shard *shard, int error)
{
    struct log_read *read = &shard->read;
    bool ok = error == 0;
    if (error == -ERANGE) { /* the log start has moved up meanwhile */
        shard->next = max_i64(shard->next, log_start_offset(shard->watch.partition->log));
        timer_set_in(&shard->go_on, 0);
        return;
    }
    for (size_t i = 0; ok && i < read->batches.n; i++) {
        ok = apply_batches(shard, read->batches.slices[i].bytes);
    }
    chain_release(&read->batches);
    if (!ok) {
        fail(shard, error != 0 ? strerror(-error) : "a batch of it is damaged");
    } else if (shard->next >= log_end(shard->watch.partition->log)) {
        loaded(shard);
    } else {
        timer_set_in(&shard->go_on, 0);
    }
}

static void read_done(struct log_read *read, int error)
{
    take_read(read->arg, error);
}

static void load_more(struct coord_shard *shard)
{
    struct log *log = shard->watch.partition->log;
    if (shard->next >= log_end(log)) {
        loaded(shard);
        return;
    }
    shard->read = (struct log_read){
        .offset = shard->next,
        .below = log_end(log),
        .max_bytes = LOAD_BYTES,
        .at_least_one = true,
        .done = read_done,
        .arg = shard,
    };
    int error = log_read(log, &shard->read);
    if (error != -EINPROGRESS) {
        take_read(shard, error);
    }
}

static void load(struct coord_shard *shard)
{
    const struct partition *p = shard->watch.partition;
    struct config_layers layers = config(&shard->log);

    state_move(SHARD_STATES, &shard->state, SHARD_LOADING, shard);
    shard->leader_epoch = p->leader_epoch;
    shard->next = log_start_offset(p->log);
    shard->n_loaded = 0;
    shard->load_began_ns = loop_clock_ns(shard->log.loop);
    shard->timeout_ns =
        (uint64_t)config_number(&layers, "offsets.commit.timeout.ms") * NS_PER_MS;
    shard->builder.codec =
        (enum codec)config_number(&layers, "offsets.topic.compression.codec");
    shard->machine = machine_of(shard)->state_new(&shard->log);
    load_more(shard);
}

static void go_on(struct timer *timer)
{
    struct coord_shard *shard = container_of(timer, struct coord_shard, go_on);
    if (shard->state == SHARD_LOADING) {
        load_more(shard);
    } else if (shard->state == SHARD_FAILED) {
        unload(shard);
        loop_defer(shard->log.loop, LOOP_ADVANCE, &shard->look);
    }
}

/* ---- following the partition ------------------------------------------------------------------*/

static void look(struct loop_task *task)
{
    struct coord_shard *shard = container_of(task, struct coord_shard, look);
    const struct partition *p = shard->watch.partition;

    if (shard->state != SHARD_IDLE && (!leads(shard) || shard->leader_epoch != p->leader_epoch)) {
        unload(shard);
    }
    if (shard->state == SHARD_IDLE && leads(shard)) {
        load(shard);
    }
    if (shard->state == SHARD_ACTIVE) {
        complete_waits(shard);
    }
}

static void news(struct partition_watch *watch)
{
    struct coord_shard *shard = container_of(watch, struct coord_shard, watch);
    if (watch->partition == NULL) {
        unload(shard); /* the replica goes, and its log */
    } else {
        loop_defer(shard->log.loop, LOOP_ADVANCE, &shard->look);
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

struct coord_shard *shard_new(struct coord_topic *topic, struct partition *partition)
{
    struct coord_shard *shard = mem_zalloc(sizeof *shard);
    struct coord *coord = topic->coord;
    shard->topic = topic;
    shard->log = (struct coord_log){
        .loop = coord->loop, .diag = coord->diag, .memory = &coord->memory, .ops = &SHARD_LOG
    };
    shard->watch.news = news;
    list_init(&shard->waits);
    loop_task_init(&shard->look, look);
    timer_init(&shard->timeout, coord->loop, timed_out);
    timer_init(&shard->go_on, coord->loop, go_on);
    batch_builder_init(&shard->builder);
    state_start(SHARD_STATES, &shard->state, SHARD_IDLE, shard);
    shard_attach(shard, partition);
    return shard;
}

void shard_attach(struct coord_shard *shard, struct partition *partition)
{
    if (shard->watch.partition != partition) {
        partition_watch_stop(&shard->watch);
        unload(shard);
        partition_watch_start(partition, &shard->watch);
        loop_defer(shard->log.loop, LOOP_ADVANCE, &shard->look);
    }
}

void shard_free(struct coord_shard *shard)
{
    unload(shard);
    partition_watch_stop(&shard->watch);
    loop_task_cancel(&shard->look);
    batch_builder_release(&shard->builder);
    free(shard);
}
