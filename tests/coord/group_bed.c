/* The bed: a log in memory that applies what is appended. */
#include "group_bed.h"

#include <chronik/base/random.h>

/* ---- the log ----------------------------------------------------------------------------------*/

static struct bytes keep(struct bytes b)
{
    return b.data != NULL ? bytes_of(mem_dup(b.data, b.len), b.len) : b;
}

static enum kafka_error append(struct coord_log *log, const struct coord_batch *batch)
{
    struct bed *bed = container_of(log, struct bed, log);
    if (bed->refuse != KAFKA_NONE) {
        return bed->refuse;
    }
    for (size_t i = 0; i < batch->n; i++) {
        bed->records = mem_grow(bed->records, &bed->cap, bed->n_records + 1, sizeof *bed->records);
        struct coord_record *record = &bed->records[bed->n_records].record;
        *record = batch->records[i];
        record->key = keep(record->key);
        record->value = keep(record->value);
        record->offset = (int64_t)bed->n_records++;
        struct coord_record copy = *record;
        groups_apply(bed->groups, &copy);
    }
    if (bed->commits_at_once) {
        bed->n_committed = bed->n_records;
    }
    return KAFKA_NONE;
}

static bool wait_for(struct coord_log *log, struct coord_wait *wait)
{
    struct bed *bed = container_of(log, struct bed, log);
    wait->end = (int64_t)bed->n_records;
    if (bed->n_committed == bed->n_records) {
        return true;
    }
    list_push_back(&bed->waits, &wait->link);
    return false;
}

static struct config_layers config(struct coord_log *log)
{
    struct bed *bed = container_of(log, struct bed, log);
    return config_layers_of(bed->image, 1, &bed->settings);
}

static const struct image *image(struct coord_log *log)
{
    return container_of(log, struct bed, log)->image;
}

static const struct coord_log_ops OPS = {
    .append = append, .wait = wait_for, .config = config, .image = image
};

void bed_fail_waits(struct bed *bed, enum kafka_error error)
{
    struct list *it;
    while ((it = list_pop_front(&bed->waits)) != NULL) {
        struct coord_wait *wait = container_of(it, struct coord_wait, link);
        wait->done(wait, error);
    }
}

void bed_commit(struct bed *bed)
{
    bed->n_committed = bed->n_records;
    bed_fail_waits(bed, KAFKA_NONE);
}

/* ---- life -------------------------------------------------------------------------------------*/

static void quiet(struct diag *diag, enum diag_level level, enum diag_module module,
                  const char *message)
{
    (void)diag, (void)level, (void)module, (void)message;
}

static void set(struct bed *bed, const char *setting)
{
    struct text value = text_of(setting);
    struct text name = text_cut(&value, '=');
    config_set_put(&bed->settings, name, value);
}

void bed_open(struct bed *bed, const char *const *settings)
{
    *bed = (struct bed){ .commits_at_once = true };
    assert_int_equal(loop_new(LOOP_THREADS, &bed->loop), 0);
    diag_init(&bed->diag, DIAG_ERROR, quiet);
    bed->memory.max = MIB(64);
    bed->log = (struct coord_log){
        .loop = bed->loop, .diag = &bed->diag, .memory = &bed->memory, .ops = &OPS
    };
    bed->image = image_new();
    list_init(&bed->waits);
    arena_init(&bed->arena, 0);
    set(bed, "group.initial.rebalance.delay.ms=0");
    set(bed, "group.min.session.timeout.ms=1");
    for (size_t i = 0; settings != NULL && settings[i] != NULL; i++) {
        set(bed, settings[i]);
    }
    bed->groups = groups_new(&bed->log);
    groups_loaded(bed->groups);
}

static struct groups *replay(struct bed *bed, bool compacted)
{
    struct groups *groups = groups_new(&bed->log);
    for (size_t i = 0; i < bed->n_records; i++) {
        bool is_last = true;
        for (size_t k = i + 1; compacted && is_last && k < bed->n_records; k++) {
            is_last = !bytes_equal(bed->records[i].record.key, bed->records[k].record.key);
        }
        if (is_last) {
            groups_apply(groups, &bed->records[i].record);
        }
    }
    return groups;
}

uint64_t bed_replay_hash(struct bed *bed, bool compacted)
{
    struct groups *groups = replay(bed, compacted);
    uint64_t hash = groups_hash(groups);
    groups_free(groups);
    return hash;
}

void bed_reload(struct bed *bed)
{
    bed_fail_waits(bed, KAFKA_NOT_COORDINATOR);
    groups_free(bed->groups);
    bed->groups = replay(bed, false);
    groups_loaded(bed->groups);
}

void bed_close(struct bed *bed)
{
    bed_fail_waits(bed, KAFKA_NOT_COORDINATOR);
    groups_free(bed->groups);
    assert_int_equal(bed->memory.used, 0);
    for (size_t i = 0; i < bed->n_records; i++) {
        free((uint8_t *)bed->records[i].record.key.data);
        free((uint8_t *)bed->records[i].record.value.data);
    }
    free(bed->records);
    config_set_release(&bed->settings);
    image_free(bed->image);
    arena_release(&bed->arena);
    bed_run_ms(bed, 1);
    loop_free(bed->loop);
}

/* ---- the loop ---------------------------------------------------------------------------------*/

struct run {
    struct timer timer;
    bool (*is_true)(void *arg);
    void *arg;
};

static void look(struct timer *timer)
{
    struct run *run = container_of(timer, struct run, timer);
    if (run->is_true(run->arg)) {
        loop_stop(timer->loop);
    } else {
        timer_set_in(timer, NS_PER_MS);
    }
}

void bed_run_until(struct bed *bed, bool (*is_true)(void *arg), void *arg)
{
    struct run run = { .is_true = is_true, .arg = arg };
    timer_init(&run.timer, bed->loop, look);
    timer_set_in(&run.timer, 0);
    loop_run(bed->loop);
}

struct pause {
    struct loop *loop;
    uint64_t until_ns;
};

static bool is_over(void *arg)
{
    const struct pause *pause = arg;
    return loop_now_ns(pause->loop) >= pause->until_ns;
}

void bed_run_ms(struct bed *bed, unsigned ms)
{
    struct pause pause = { bed->loop, loop_now_ns(bed->loop) + ms * NS_PER_MS };
    bed_run_until(bed, is_over, &pause);
}

/* ---- joining ----------------------------------------------------------------------------------*/

static void joined(struct group_join *join)
{
    struct bed_join *mine = container_of(join, struct bed_join, join);
    assert_false(mine->done);
    mine->done = true;
}

struct bed_join *bed_prepare_join(struct bed *bed, const char *group, struct text member,
                                  const char *instance, int16_t version)
{
    /* version 0, one topic "t", no user data */
    static const uint8_t SUBSCRIPTION[] = { 0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff };
    struct bed_join *join = arena_zalloc(&bed->arena, sizeof *join);
    join->in = join_group_request_default;
    join->out = join_group_response_default;
    join->in.group_id = text_of(group);
    join->in.member_id = arena_text(&bed->arena, member);
    join->in.group_instance_id = text_of(instance);
    join->in.session_timeout_ms = 30000;
    join->in.rebalance_timeout_ms = 30000;
    join->in.protocol_type = text_of("consumer");
    join->in.protocols = join->protocols;
    join->in.n_protocols = 2;
    join->protocols[0].name = text_of("range");
    join->protocols[1].name = text_of("roundrobin");
    join->protocols[0].metadata = join->protocols[1].metadata =
        bytes_of(SUBSCRIPTION, sizeof SUBSCRIPTION);
    join->join = (struct group_join){
        .request = &join->in,
        .reply = &join->out,
        .version = version,
        .client_id = text_of("client"),
        .client_host = text_of("/127.0.0.1"),
        .arena = &bed->arena,
        .done = joined,
    };
    return join;
}

void bed_send_join(struct bed *bed, struct bed_join *join)
{
    groups_join(bed->groups, &join->join);
}

struct bed_join *bed_join(struct bed *bed, const char *group, struct text member,
                          const char *instance, int16_t version)
{
    struct bed_join *join = bed_prepare_join(bed, group, member, instance, version);
    bed_send_join(bed, join);
    return join;
}

static bool is_joined(void *arg)
{
    return ((struct bed_join *)arg)->done;
}

struct bed_join *bed_joined(struct bed *bed, struct bed_join *join)
{
    bed_run_until(bed, is_joined, join);
    return join;
}

/* ---- the others -------------------------------------------------------------------------------*/

static void synced(struct group_sync *sync)
{
    struct bed_sync *mine = container_of(sync, struct bed_sync, sync);
    assert_false(mine->done);
    mine->done = true;
}

struct bed_sync *bed_sync(struct bed *bed, const char *group, const struct join_group_response *me,
                          bool leads)
{
    struct bed_sync *sync = arena_zalloc(&bed->arena, sizeof *sync);
    sync->in = sync_group_request_default;
    sync->out = sync_group_response_default;
    sync->in.group_id = text_of(group);
    sync->in.generation = me->generation;
    sync->in.member_id = me->member_id;
    if (leads) {
        sync->in.n_assignments = me->n_members;
        sync->in.assignments = arena_zalloc_array(&bed->arena, (size_t)me->n_members,
                                                  sizeof *sync->in.assignments);
        for (int32_t i = 0; i < me->n_members; i++) { /* everybody gets its own name */
            struct text id = me->members[i].member_id;
            sync->in.assignments[i].member_id = id;
            sync->in.assignments[i].assignment = bytes_of(id.data, id.len);
        }
    }
    sync->sync = (struct group_sync){
        .request = &sync->in, .reply = &sync->out, .arena = &bed->arena, .done = synced
    };
    groups_sync(bed->groups, &sync->sync);
    return sync;
}

struct bed_join *bed_stable(struct bed *bed, const char *group)
{
    struct bed_join *join = bed_joined(bed, bed_join(bed, group, text_of(""), NULL, 3));
    assert_error(join->out.error, KAFKA_NONE);
    struct bed_sync *sync = bed_sync(bed, group, &join->out, true);
    assert_true(sync->done);
    assert_error(sync->out.error, KAFKA_NONE);
    return join;
}

enum kafka_error bed_heartbeat(struct bed *bed, const char *group, struct text member,
                               int32_t generation)
{
    struct heartbeat_request in = heartbeat_request_default;
    in.group_id = text_of(group);
    in.member_id = member;
    in.generation = generation;
    return groups_heartbeat(bed->groups, &in);
}

enum kafka_error bed_leave(struct bed *bed, const char *group, struct text member)
{
    struct leave_group_request_member who = { .member_id = member };
    struct leave_group_response_member result = leave_group_response_member_default;
    enum kafka_error error =
        groups_leave(bed->groups, text_of(group), &who, 1, &result);
    return error != KAFKA_NONE ? error : (enum kafka_error)result.error;
}

enum kafka_error bed_commit_offset(struct bed *bed, const char *group, struct text member,
                                   int32_t generation, const char *topic, int64_t offset)
{
    const struct group_offset one = {
        .topic = text_of(topic), .offset = offset, .leader_epoch = 3, .metadata = text_of("note")
    };
    int16_t error = KAFKA_NONE;
    const struct group_commit commit = {
        .group_id = text_of(group),
        .member_id = member,
        .generation = generation,
        .version = 8,
        .retention_ms = -1,
        .offsets = &one,
        .errors = &error,
        .n = 1,
    };
    enum kafka_error all = groups_commit(bed->groups, &commit);
    return all != KAFKA_NONE ? all : (enum kafka_error)error;
}

int64_t bed_offset(struct bed *bed, const char *group, const char *topic)
{
    struct group_offset found;
    return groups_offset(bed->groups, text_of(group), text_of(topic), 0, &found) ? found.offset
                                                                                : -1;
}

const char *bed_state(struct bed *bed, const char *group)
{
    struct describe_groups_response_group described = describe_groups_response_group_default;
    if (!groups_describe(bed->groups, text_of(group), &bed->arena, &described)) {
        return NULL;
    }
    return described.group_state.data;
}
