/* Coordinators: finding them, making their topics, following the replicas.
 *
 * The shards of a topic are made with its replicas on this node and stay until the topic goes; each
 * of them follows its own partition. */
#include "shard.h"

#include <inttypes.h>

enum { CREATE_TIMEOUT_S = 15 };

/* ---- keys -------------------------------------------------------------------------------------*/

enum { REPLACEMENT = 0xfffd }; /* what Java makes of bytes that are no UTF-8 */

/* The next character of UTF-8; one byte is taken where there is none. */
static uint32_t next_char(const uint8_t *data, size_t len, size_t *ret_taken)
{
    static const uint32_t SMALLEST[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t first = data[0];
    size_t n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = n == 1 ? first : first & (0x7fu >> n);

    *ret_taken = 1;
    if ((first >= 0x80 && first < 0xc0) || first > 0xf4 || n > len) {
        return REPLACEMENT;
    }
    for (size_t i = 1; i < n; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return REPLACEMENT;
        }
        c = c << 6 | (data[i] & 0x3f);
    }
    if ((n > 1 && c < SMALLEST[n]) || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff) {
        return REPLACEMENT;
    }
    *ret_taken = n;
    return c;
}

int32_t coord_partition_of(struct text key, int32_t n)
{
    uint32_t hash = 0;
    for (size_t at = 0, taken; at < key.len; at += taken) {
        uint32_t c = next_char((const uint8_t *)key.data + at, key.len - at, &taken);
        if (c >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + c;
    }
    int32_t sum = (int32_t)hash;
    return (sum == INT32_MIN ? 0 : abs(sum)) % n;
}

static const struct image_topic *find_topic(const struct coord *coord, enum coord_kind kind)
{
    return coord->meta != NULL
               ? image_topic(meta_image(coord->meta), text_of(coord_machines[kind].topic))
               : NULL;
}

int32_t coord_leader_of(const struct coord *coord, enum coord_kind kind, struct text key)
{
    const struct image_topic *topic = find_topic(coord, kind);
    return topic ? topic->partitions[coord_partition_of(key, topic->n_partitions)].leader : -1;
}

void *coord_state_at(const struct coord *coord, enum coord_kind kind, int32_t partition,
                     enum kafka_error *ret_error)
{
    const struct coord_topic *topic = &coord->topics[kind];
    const struct coord_shard *shard =
        partition < topic->n_shards ? topic->shards[partition] : NULL;
    *ret_error = shard ? shard_check(shard) : KAFKA_NOT_COORDINATOR;
    return *ret_error == KAFKA_NONE ? shard->machine : NULL;
}

void *coord_state(const struct coord *coord, enum coord_kind kind, struct text key,
                  enum kafka_error *ret_error)
{
    int32_t n = coord->topics[kind].n_shards;
    if (n == 0) {
        *ret_error = KAFKA_NOT_COORDINATOR;
        return NULL;
    }
    return coord_state_at(coord, kind, coord_partition_of(key, n), ret_error);
}

bool coord_is_sure(const struct coord *coord)
{
    return loop_now_ns(coord->loop) <= coord->replicas->trusted_until_ns;
}

uint64_t coord_hash(const struct coord *coord, enum coord_kind kind, int32_t partition)
{
    enum kafka_error error;
    void *state = coord_state_at(coord, kind, partition, &error);
    return state ? coord_machines[kind].hash(state) : 0;
}

/* ---- making a topic ---------------------------------------------------------------------------*/

static void wake_wants(struct coord_topic *topic)
{
    struct list *it;
    while ((it = list_pop_front(&topic->wants)) != NULL) {
        struct coord_want *want = container_of(it, struct coord_want, link);
        want->done(want);
    }
}

static void created(void *arg, enum kafka_error error, const void *response)
{
    struct coord_topic *topic = arg;
    const struct meta_create_topics_response *answer = response;
    topic->creating = NULL;
    if (error == KAFKA_NONE) {
        error = (enum kafka_error)answer->topics[0].error;
    }
    if (error != KAFKA_NONE && error != KAFKA_TOPIC_ALREADY_EXISTS) {
        diag_warn(topic->coord->diag, DIAG_COORD,
                  "an internal topic cannot be created: %s; clients try again topic=%s",
                  kafka_error_text(error), topic->machine->topic);
    }
    wake_wants(topic);
}

/* As many as configured, but no more than the cluster has nodes: those that are registered, and
 * those that it is made of and that have yet to come. */
static int16_t replication(const struct coord *coord, int64_t configured)
{
    struct meta_quorum quorum;
    meta_quorum(coord->meta, &quorum);
    int64_t nodes = max_i64((int64_t)image_broker_count(meta_image(coord->meta)),
                            (int64_t)quorum.n_voters);
    return (int16_t)min_i64(configured, nodes);
}

static const struct coord_machine *machine_named(struct text name)
{
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        if (text_is(name, coord_machines[kind].topic)) {
            return &coord_machines[kind];
        }
    }
    return NULL;
}

/* Compacted from the first day, in the codec of whoever writes, never led by a replica that may
 * lack something. */
bool coord_creation(const struct coord *coord, struct text name, struct arena *arena,
                    struct meta_create_topics_request_topic *ret_topic)
{
    const struct coord_machine *machine = machine_named(name);
    if (machine == NULL || coord->meta == NULL) {
        return false;
    }
    struct config_layers layers =
        config_layers_of(meta_image(coord->meta), coord->replicas->node_id, coord->file);
    const struct meta_create_topics_request_config configs[] = {
        { .name = text_of("cleanup.policy"), .value = text_of("compact") },
        { .name = text_of("compression.type"), .value = text_of("producer") },
        { .name = text_of("segment.bytes"),
          .value = arena_printf(arena, "%" PRId64,
                                config_number(&layers, machine->segment_bytes)) },
        { .name = text_of("unclean.leader.election.enable"), .value = text_of("false") },
    };
    *ret_topic = (struct meta_create_topics_request_topic){
        .name = text_of(machine->topic),
        .partitions = (int32_t)config_number(&layers, machine->partitions),
        .replication = replication(coord, config_number(&layers, machine->replication)),
        .internal = true,
        .configs = arena_dup(arena, configs, sizeof configs),
        .n_configs = countof(configs),
    };
    return true;
}

static void create(struct coord_topic *topic)
{
    struct coord *coord = topic->coord;
    struct meta_create_topics_request_topic wanted;
    struct arena arena;
    arena_init(&arena, 0);
    check(coord_creation(coord, text_of(topic->machine->topic), &arena, &wanted));
    const struct meta_create_topics_request request = { .topics = &wanted, .n_topics = 1 };
    topic->creating = meta_create_topics(
        coord->meta, &request, loop_now_ns(coord->loop) + CREATE_TIMEOUT_S * NS_PER_S, created,
        topic);
    arena_release(&arena);
}

bool coord_topic_want(struct coord *coord, enum coord_kind kind, struct coord_want *want)
{
    struct coord_topic *topic = &coord->topics[kind];
    if (coord->meta == NULL || find_topic(coord, kind) != NULL) {
        return true; /* or never will be */
    }
    list_push_back(&topic->wants, &want->link);
    if (topic->creating == NULL) {
        create(topic);
    }
    return false;
}

/* ---- following the replicas -------------------------------------------------------------------*/

static void follow(struct coord_topic *topic, const struct topic_replicas *replicas)
{
    if (replicas->n_partitions > topic->n_shards) {
        size_t had = (size_t)topic->n_shards, n = (size_t)replicas->n_partitions;
        topic->shards = mem_realloc_array(topic->shards, n, sizeof *topic->shards);
        memset(topic->shards + had, 0, (n - had) * sizeof *topic->shards);
        topic->n_shards = replicas->n_partitions;
    }
    for (int32_t i = 0; i < replicas->n_partitions; i++) {
        struct partition *p = replicas->partitions[i];
        if (p != NULL && topic->shards[i] == NULL) {
            topic->shards[i] = shard_new(topic, p);
        } else if (p != NULL) {
            shard_attach(topic->shards[i], p);
        }
    }
}

static void drop(struct coord_topic *topic)
{
    for (int32_t i = 0; i < topic->n_shards; i++) {
        if (topic->shards[i] != NULL) {
            shard_free(topic->shards[i]);
        }
    }
    free(topic->shards);
    topic->shards = NULL;
    topic->n_shards = 0;
}

static struct coord_topic *topic_named(struct coord *coord, const char *name)
{
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        if (strcmp(coord_machines[kind].topic, name) == 0) {
            return &coord->topics[kind];
        }
    }
    return NULL;
}

void coord_topic_changed(struct coord *coord, const struct image_topic *changed)
{
    struct coord_topic *topic = topic_named(coord, changed->name);
    const struct topic_replicas *replicas =
        topic != NULL && coord->meta != NULL ? replicas_topic_by_id(coord->replicas, &changed->id)
                                             : NULL;
    if (replicas != NULL) {
        follow(topic, replicas);
    }
}

void coord_topic_deleted(struct coord *coord, const struct image_topic *deleted)
{
    struct coord_topic *topic = topic_named(coord, deleted->name);
    if (topic != NULL) {
        drop(topic);
        return;
    }
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        for (int32_t i = 0; i < coord->topics[kind].n_shards; i++) {
            struct coord_shard *shard = coord->topics[kind].shards[i];
            if (shard != NULL && shard->state == SHARD_ACTIVE) {
                coord_machines[kind].topic_deleted(shard->machine, deleted);
            }
        }
    }
}

/* ---- life -------------------------------------------------------------------------------------*/

void coord_init(struct coord *coord, struct loop *loop, struct diag *diag,
                struct replicas *replicas, const struct image_configs *file, uint64_t memory_max)
{
    *coord = (struct coord){ .loop = loop, .diag = diag, .replicas = replicas, .file = file };
    coord->memory.max = memory_max;
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        coord->topics[kind].coord = coord;
        coord->topics[kind].machine = &coord_machines[kind];
        list_init(&coord->topics[kind].wants);
    }
}

void coord_start(struct coord *coord, struct meta *meta)
{
    coord->meta = meta;
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        const struct image_topic *topic = find_topic(coord, kind);
        if (topic != NULL) {
            coord_topic_changed(coord, topic);
        }
    }
}

void coord_stop(struct coord *coord)
{
    struct meta *meta = coord->meta;
    coord->meta = NULL;
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        if (coord->topics[kind].creating != NULL) {
            meta_cancel(meta, coord->topics[kind].creating);
            coord->topics[kind].creating = NULL;
        }
        wake_wants(&coord->topics[kind]);
        drop(&coord->topics[kind]);
    }
}

static double read_shards(const void *arg)
{
    const struct coord_topic *topic = arg;
    unsigned n = 0;
    for (int32_t i = 0; i < topic->n_shards; i++) {
        n += topic->shards[i] != NULL && topic->shards[i]->state == SHARD_ACTIVE;
    }
    return n;
}

static double read_memory(const void *arg)
{
    return (double)((const struct coord_memory *)arg)->used;
}

void coord_metrics(struct coord *coord, struct metrics *metrics)
{
    metrics_gauge(metrics, "chronikd_coordinator_members_bytes",
                  "Memory of groups and their members.", "", read_memory, &coord->memory);
    for (int kind = 0; kind < COORD_KINDS; kind++) {
        metrics_gauge(metrics, "chronikd_coordinator_partitions",
                      "Partitions of internal topics that this node coordinates.",
                      kind == COORD_GROUPS ? "kind=\"groups\"" : "", read_shards,
                      &coord->topics[kind]);
    }
    metrics_counter(metrics, "chronikd_coordinator_loads_total",
                    "Coordinators that were loaded from their logs.", "", &coord->loads_total);
    metrics_counter(metrics, "chronikd_coordinator_loaded_records_total",
                    "Records that were applied for it.", "", &coord->loaded_records_total);
}
