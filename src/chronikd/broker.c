/* The life of the broker: start and stop, in the order that broker.h draws. */
#include "broker.h"

#include <chronik/base/states.h>
#include <errno.h>
#include <inttypes.h>

static const struct state STATES[] = {
    [BROKER_RECOVERING] = {
        .name = "recovering",
        .next = STATE(BROKER_JOINING) | STATE(BROKER_STOPPING),
        .initial = true,
    },
    [BROKER_JOINING] = {
        .name = "joining",
        .next = STATE(BROKER_REPORTING) | STATE(BROKER_STOPPING),
    },
    [BROKER_REPORTING] = {
        .name = "reporting",
        .next = STATE(BROKER_SERVING) | STATE(BROKER_STOPPING),
    },
    [BROKER_SERVING] = { .name = "serving", .next = STATE(BROKER_STOPPING) },
    [BROKER_STOPPING] = { .name = "stopping", .next = STATE(BROKER_STOPPED) },
    [BROKER_STOPPED] = { .name = "stopped" },
};

enum { REGISTER_WAIT_S = 3600, COMPLAIN_S = 5 };

/* Of the tails, unless set: memory that is used again and again stays in the caches, memory that is
 * touched for the first time costs more than everything else that is done with a record. */
enum { TAIL_BYTES = 128 * 1024 * 1024 };

/* Of requests under way, unless set. */
enum { REQUEST_BYTES = 256 * 1024 * 1024 };

static void look_at_leadership(struct timer *timer);

static void move(struct broker *broker, enum broker_state state)
{
    state_move(STATES, &broker->state, state, broker);
}

void broker_fail(struct broker *broker, int exit_code)
{
    broker->exit_code = exit_code;
    broker_stop(broker);
}

static uint64_t far_deadline(const struct broker *broker)
{
    return loop_now_ns(broker->loop) + REGISTER_WAIT_S * NS_PER_S;
}

static int64_t setting(const struct broker *broker, const char *name)
{
    struct config_layers layers = options_layers(broker->options);
    return config_number(&layers, name);
}

/* ---- serving ---------------------------------------------------------------------------------*/

static void say_serving(struct broker *broker)
{
    const struct store_recovery *recovery = store_recovery(broker->store);
    for (unsigned i = 0; i < broker->options->n_listeners; i++) {
        const struct options_listener *l = &broker->options->listeners[i];
        diag_info(broker->diag, DIAG_BROKER, "listening name=%s at=%s:%u advertised=%s:%u", l->name,
                  l->host[0] ? l->host : "*", broker->ports[i], l->advertised_host,
                  l->advertised_port ? l->advertised_port : broker->ports[i]);
    }
    diag_info(broker->diag, DIAG_BROKER,
              "serving cluster=%s node=%" PRId32 " data=%s logs=%" PRIu64 " start_ms=%" PRIu64
              " recovery_ms=%" PRIu64 " io=%s",
              image_cluster_id(meta_image(broker->meta)), broker->node_id,
              broker->options->data_dir, recovery->logs,
              (loop_clock_ns(broker->loop) - broker->started_ns) / NS_PER_MS,
              recovery->duration_ns / NS_PER_MS,
              loop_backend(broker->loop) == LOOP_URING ? "io_uring" : "threads");
}

static void retain(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, retention);
    struct config_layers config = api_config(&broker->api);
    int64_t interval_ms = config_number(&config, "log.retention.check.interval.ms");
    store_retain(broker->store, loop_wall_ms(broker->loop),
                 config_number(&config, "producer.id.expiration.ms"));
    timer_set_in(timer, (uint64_t)interval_ms * NS_PER_MS);
}

static void unfenced(void *arg, enum kafka_error error, const void *response)
{
    struct broker *broker = arg;
    const struct meta_broker_state_response *answer = response;
    if (broker->state != BROKER_REPORTING) {
        return;
    }
    if (error != KAFKA_NONE || answer->error != KAFKA_NONE) {
        diag_error(broker->diag, DIAG_BROKER, "the cluster does not let this node serve error=%s",
                   kafka_error_name(error != KAFKA_NONE ? error
                                                        : (enum kafka_error)answer->error));
        broker_fail(broker, EXIT_FATAL);
        return;
    }
    move(broker, BROKER_SERVING);
    timer_cancel(&broker->patience);
    api_start(&broker->api);
    retain(&broker->retention);
    say_serving(broker);
    process_notify("READY=1");
    presence_start(broker);
}

struct ends {
    const struct broker *broker;
    struct meta_broker_state_request *request;
    size_t cap;
};

/* Where a log ends that is in sync, or may lead: somebody has to, if all were restarted. */
static void add_end(struct log *log, void *arg)
{
    struct ends *ends = arg;
    int32_t id = ends->broker->node_id, index = log_partition(log);
    const struct image_partition *p =
        image_partition(meta_image(ends->broker->meta), log_topic_id(log), index);
    if (p == NULL || !(image_has(p->isr, p->n_isr, id) || image_has(p->elr, p->n_elr, id))) {
        return;
    }
    struct meta_broker_state_request *request = ends->request;
    request->ends = mem_grow(request->ends, &ends->cap, (size_t)request->n_ends + 1,
                             sizeof *request->ends);
    request->ends[request->n_ends++] = (struct meta_broker_state_request_end){
        .topic_id = *log_topic_id(log),
        .partition = index,
        .last_epoch = log_last_epoch(log),
        .end_offset = log_durable_end(log),
    };
}

static void serve(struct broker *broker)
{
    struct meta_broker_state_request request = {
        .epoch = meta_broker_epoch(broker->meta),
        .fenced = false,
    };
    struct ends ends = { .broker = broker, .request = &request };
    replicas_start(&broker->replicas, broker->store, broker->meta);
    coord_start(&broker->coord, broker->meta);
    store_each(broker->store, add_end, &ends);
    meta_broker_state(broker->meta, &request, far_deadline(broker), unfenced, broker);
    free(request.ends);
}

/* ---- reporting what a directory holds --------------------------------------------------------*/

struct report {
    struct broker *broker;
    struct meta_report_directory_request *request;
    size_t cap_topics;
};

static struct meta_report_directory_request_topic *report_topic(struct report *report,
                                                                const struct log *log)
{
    struct meta_report_directory_request *request = report->request;
    for (int32_t i = 0; i < request->n_topics; i++) {
        if (uuid_equal(&request->topics[i].id, log_topic_id(log))) {
            return &request->topics[i];
        }
    }
    request->topics = mem_grow(request->topics, &report->cap_topics, (size_t)request->n_topics + 1,
                               sizeof *request->topics);
    struct meta_report_directory_request_topic *topic = &request->topics[request->n_topics++];
    *topic = (struct meta_report_directory_request_topic){
        .id = *log_topic_id(log),
        .name = log_topic(log),
    };
    return topic;
}

static void report_log(struct log *log, void *arg)
{
    struct report *report = arg;
    const struct image *image = meta_image(report->broker->meta);
    if (image_topic_by_id(image, log_topic_id(log)) != NULL) {
        return;
    }
    struct meta_report_directory_request_topic *topic = report_topic(report, log);
    topic->logs = mem_realloc_array(topic->logs, (size_t)topic->n_logs + 1, sizeof *topic->logs);
    topic->logs[topic->n_logs++] = (struct meta_report_directory_request_log){
        .partition = log_partition(log),
        .last_epoch = log_last_epoch(log),
        .end_offset = log_durable_end(log),
    };
}

static void reported(void *arg, enum kafka_error error, const void *response)
{
    struct broker *broker = arg;
    const struct meta_report_directory_response *answer = response;
    if (broker->state != BROKER_REPORTING) {
        return;
    }
    if (error != KAFKA_NONE || answer->error != KAFKA_NONE) {
        diag_error(broker->diag, DIAG_BROKER, "the cluster refused this directory error=%s %.*s",
                   kafka_error_name(error != KAFKA_NONE ? error
                                                        : (enum kafka_error)answer->error),
                   TEXT_ARG(error == KAFKA_NONE ? answer->message : TEXT_NULL));
        broker_fail(broker, EXIT_STORAGE);
        return;
    }
    for (int32_t i = 0; i < answer->n_topics; i++) {
        diag_error(broker->diag, DIAG_BROKER,
                   "a topic in the directory was not taken over: %.*s; its files are kept aside "
                   "until the directory is known topic=%.*s",
                   TEXT_ARG(answer->topics[i].message), TEXT_ARG(answer->topics[i].name));
    }
    serve(broker);
}

static void report(struct broker *broker)
{
    struct meta_report_directory_request request = {
        .epoch = meta_broker_epoch(broker->meta),
        .directory = store_identity(broker->store)->directory_id,
    };
    struct report report = { .broker = broker, .request = &request };

    move(broker, BROKER_REPORTING);
    store_each(broker->store, report_log, &report);
    if (request.n_topics > 0) {
        diag_info(broker->diag, DIAG_BROKER,
                  "reporting topics that the cluster does not know topics=%" PRId32,
                  request.n_topics);
    }
    meta_report_directory(broker->meta, &request, far_deadline(broker), reported, broker);
    for (int32_t i = 0; i < request.n_topics; i++) {
        free(request.topics[i].logs);
    }
    free(request.topics);
}

/* Only a directory that the cluster does not know may bring topics; from a known one, what the
 * metadata does not place here was deleted or moved while the node was away. */
static void report_or_serve(struct broker *broker)
{
    const struct image_broker *self = image_broker(meta_image(broker->meta), broker->node_id);
    const struct image_directory *directory =
        self ? image_directory(self, &store_identity(broker->store)->directory_id) : NULL;
    if (directory != NULL && directory->known) {
        move(broker, BROKER_REPORTING);
        serve(broker);
    } else {
        report(broker);
    }
}

/* ---- joining ---------------------------------------------------------------------------------*/

static void identity_written(void *arg, int error)
{
    struct broker *broker = arg;
    if (broker->state != BROKER_JOINING) {
        return;
    }
    if (error != 0) {
        diag_error(broker->diag, DIAG_BROKER,
                   "cannot write meta.properties: %s; check the directory", strerror(-error));
        broker_fail(broker, EXIT_STORAGE);
        return;
    }
    report_or_serve(broker);
}

static void registered(void *arg, enum kafka_error error, const void *response)
{
    struct broker *broker = arg;
    const struct meta_register_broker_response *answer = response;
    if (broker->state != BROKER_JOINING) {
        return;
    }
    if (error != KAFKA_NONE || answer->error != KAFKA_NONE) {
        diag_error(broker->diag, DIAG_BROKER, "cannot join the cluster: %s %.*s",
                   kafka_error_name(error != KAFKA_NONE ? error
                                                        : (enum kafka_error)answer->error),
                   TEXT_ARG(error == KAFKA_NONE ? answer->message : TEXT_NULL));
        broker_fail(broker, EXIT_FATAL);
        return;
    }
    const struct store_identity *identity = store_identity(broker->store);
    char *cluster_id = text_dup(answer->cluster_id);
    if (broker->peers != NULL) {
        peers_set_cluster(broker->peers, cluster_id);
    }
    if (strcmp(cluster_id, identity->cluster_id) == 0 && identity->node_id == broker->node_id) {
        report_or_serve(broker);
    } else {
        store_set_identity(broker->store, cluster_id, broker->node_id, identity_written, broker);
    }
    free(cluster_id);
}

static struct text rack_of(const struct broker *broker)
{
    struct config_layers layers = options_layers(broker->options);
    return config_text(&layers, "broker.rack");
}

static void register_self(struct broker *broker)
{
    const struct options *options = broker->options;
    const struct store_recovery *recovery = store_recovery(broker->store);
    struct uuid directory = store_identity(broker->store)->directory_id;
    struct meta_register_broker_request_endpoint *endpoints =
        mem_zalloc_array(options->n_listeners, sizeof *endpoints);

    for (unsigned i = 0; i < options->n_listeners; i++) {
        const struct options_listener *l = &options->listeners[i];
        endpoints[i].listener = text_of(l->name);
        endpoints[i].host = text_of(l->advertised_host);
        endpoints[i].port = l->advertised_port ? l->advertised_port : broker->ports[i];
    }
    const struct meta_register_broker_request request = {
        .incarnation = broker->incarnation,
        .raft_directory = meta_directory_id(broker->meta),
        .cluster_id = text_of(store_identity(broker->store)->cluster_id),
        .previous_epoch = recovery->clean ? recovery->broker_epoch : -1,
        .damaged = recovery->damaged_logs > 0,
        .rack = rack_of(broker),
        .endpoints = endpoints,
        .n_endpoints = (int32_t)options->n_listeners,
        .directories = &directory,
        .n_directories = 1,
    };
    meta_register_broker(broker->meta, &request, far_deadline(broker), registered, broker);
    free(endpoints);
}

static void meta_opened(void *arg, int error, const char *message)
{
    struct broker *broker = arg;
    if (error != 0) {
        diag_error(broker->diag, DIAG_META, "cannot open the metadata: %s", message);
        broker_fail(broker, EXIT_STORAGE);
    } else if (broker->state == BROKER_JOINING) {
        cluster_join(broker);
        register_self(broker);
    }
}

static void meta_failed(void *arg, int error, const char *message)
{
    struct broker *broker = arg;
    diag_error(broker->diag, DIAG_META, "the metadata failed: %s", message);
    broker->exit_code = error == -EIO || error == -ENOSPC ? EXIT_STORAGE : EXIT_FATAL;
    loop_stop(broker->loop); /* a replica that cannot trust its disk must not go on */
}

static void controller_changed(void *arg, int32_t controller)
{
    struct broker *broker = arg;
    diag_info(broker->diag, DIAG_META, "controller node=%" PRId32, controller);
}

/* ---- changes of the metadata -----------------------------------------------------------------*/

static void topic_created(void *arg, const struct image_topic *topic)
{
    struct broker *broker = arg;
    if (broker->replicas.started) {
        replicas_topic_changed(&broker->replicas, topic);
        coord_topic_changed(&broker->coord, topic);
    }
}

static void topic_deleted(void *arg, const struct image_topic *topic)
{
    struct broker *broker = arg;
    coord_topic_deleted(&broker->coord, topic);
    replicas_topic_deleted(&broker->replicas, &topic->id);
}

static void partition_changed(void *arg, const struct image_topic *topic, int32_t partition)
{
    struct broker *broker = arg;
    if (broker->replicas.started) {
        replicas_partition_changed(&broker->replicas, topic, partition);
        coord_topic_changed(&broker->coord, topic);
    }
}

static void broker_changed(void *arg, const struct image_broker *changed)
{
    struct broker *broker = arg;
    presence_changed(broker, changed);
    if (broker->replicas.started && !changed->fenced) {
        isr_broker_serves(&broker->replicas, changed->id);
    }
}

static void contact_changed(void *arg, bool lost)
{
    presence_contact(arg, lost);
}

static void configs_changed(void *arg, enum image_resource type, struct text name)
{
    struct broker *broker = arg;
    (void)type;
    (void)name;
    if (broker->replicas.started) {
        replicas_config_changed(&broker->replicas);
    }
}

static const struct meta_events META_EVENTS = {
    .opened = meta_opened,
    .failed = meta_failed,
    .controller_changed = controller_changed,
    .contact_changed = contact_changed,
    .changes = {
        .topic_created = topic_created,
        .topic_deleted = topic_deleted,
        .partition_changed = partition_changed,
        .configs_changed = configs_changed,
        .broker_changed = broker_changed,
    },
};

/* The members of the metadata group: those of the configuration, or this node alone. */
static struct meta_voter *voters(const struct broker *broker, unsigned *ret_n)
{
    const struct options *options = broker->options;
    unsigned n = options->n_voters > 0 ? options->n_voters : 1;
    struct meta_voter *members = mem_zalloc_array(n, sizeof *members);
    members[0] = (struct meta_voter){ .id = broker->node_id, .address = "localhost" };
    for (unsigned i = 0; i < options->n_voters; i++) {
        members[i].id = options->voters[i].id;
        members[i].address = options->voters[i].host;
    }
    *ret_n = n;
    return members;
}

static void join(struct broker *broker)
{
    struct meta_config config = {
        .node_id = broker->node_id,
        .incarnation = broker->incarnation,
        .cluster_id = broker->options->cluster_id,
        .file = &broker->options->settings,
        .election_ms = (unsigned)setting(broker, "controller.quorum.election.timeout.ms"),
        .session_ms = (unsigned)setting(broker, "broker.session.timeout.ms"),
        .default_partitions = (int32_t)setting(broker, "num.partitions"),
        .default_replication = (int16_t)setting(broker, "default.replication.factor"),
        .diag = broker->diag,
        .transport = broker->peers ? &CLUSTER_META : NULL,
        .transport_arg = broker,
    };
    struct meta_voter *members = voters(broker, &config.n_voters);
    config.voters = members;
    move(broker, BROKER_JOINING);
    broker->meta =
        meta_open(broker->loop, broker->options->raft_dir, &config, &META_EVENTS, broker);
    free(members);
    broker->api.meta = broker->meta;
    meta_metrics(broker->meta, &broker->metrics);
}

/* ---- recovering ------------------------------------------------------------------------------*/

static bool identity_fits(struct broker *broker)
{
    const struct store_identity *identity = store_identity(broker->store);
    const struct options *options = broker->options;
    if (options->node_id >= 0 && identity->node_id >= 0 && options->node_id != identity->node_id) {
        diag_error(broker->diag, DIAG_BROKER,
                   "the directory belongs to another node; use --node-id %" PRId32
                   " or another --data-dir data=%s node.id=%" PRId32,
                   identity->node_id, options->data_dir, options->node_id);
        return false;
    }
    if (options->cluster_id[0] != '\0' && identity->cluster_id[0] != '\0' &&
        strcmp(options->cluster_id, identity->cluster_id) != 0) {
        diag_error(broker->diag, DIAG_BROKER,
                   "the directory belongs to another cluster; use its cluster.id or another "
                   "--data-dir data=%s cluster.id=%s directory=%s",
                   options->data_dir, options->cluster_id, identity->cluster_id);
        return false;
    }
    broker->node_id = options->node_id >= 0    ? options->node_id
                      : identity->node_id >= 0 ? identity->node_id
                                               : 1;
    return true;
}

static void say_recovered(struct broker *broker)
{
    const struct store_recovery *r = store_recovery(broker->store);
    diag_info(broker->diag, DIAG_STORE,
              "directory open data=%s state=%s logs=%" PRIu64 " replayed_bytes=%" PRIu64
              " damaged=%" PRIu64,
              broker->options->data_dir,
              r->fresh     ? "new"
              : r->adopted ? "adopted"
              : r->clean   ? "clean"
                           : "recovered",
              r->logs, r->replayed_bytes, r->damaged_logs);
}

static void store_opened(void *arg, int error, const char *message)
{
    struct broker *broker = arg;
    if (error != 0) {
        diag_error(broker->diag, DIAG_STORE, "cannot open the log directory: %s", message);
        broker->store_failed = broker->store_rests = true;
        broker_fail(broker, EXIT_STORAGE);
        return;
    }
    if (broker->state != BROKER_RECOVERING) {
        return;
    }
    broker->store_open = true;
    say_recovered(broker);
    if (!identity_fits(broker)) {
        broker_fail(broker, EXIT_CONFIG);
        return;
    }
    broker->api.node_id = broker->replicas.node_id = broker->node_id;
    broker->api.store = broker->store;
    join(broker);
}

/* Nothing of the only directory can be acknowledged any more. Who waits is told; a restart
 * recovers. */
static void store_broke(void *arg, int error, const char *message)
{
    struct broker *broker = arg;
    diag_error(broker->diag, DIAG_STORE,
               "the log directory is offline: %s (%s); check the disk, then start again", message,
               strerror(-error));
    broker->store_failed = true;
    replicas_fail(&broker->replicas);
    broker_fail(broker, EXIT_STORAGE);
}

static void store_has_room(void *arg)
{
    struct broker *broker = arg;
    produce_has_room(&broker->api);
    fetchers_resume(&broker->replicas);
}

static const struct store_events STORE_EVENTS = {
    .opened = store_opened,
    .failed = store_broke,
    .room = store_has_room,
};

static void complain(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, patience);
    if (broker->state == BROKER_STOPPING) {
        diag_error(broker->diag, DIAG_BROKER,
                   "the stop took longer than chronik.shutdown.timeout.ms; ending as it is");
        loop_stop(broker->loop);
        return;
    }
    diag_warn(broker->diag, DIAG_BROKER, "not serving yet: %s",
              broker->state == BROKER_RECOVERING ? "the log directory is being recovered"
              : broker->state == BROKER_JOINING
                  ? "waiting for a leader of the metadata group"
                  : "waiting until the topics of this directory are settled");
    timer_set_in(timer, COMPLAIN_S * NS_PER_S);
}

/* ---- start -----------------------------------------------------------------------------------*/

static uint64_t memory_bytes(const struct broker *broker)
{
    uint64_t bytes = (uint64_t)setting(broker, "chronik.memory.bytes");
    return bytes != 0 ? bytes : min_u64(process_memory_total() / 4, GIB(4));
}

static int listen_all(struct broker *broker)
{
    const struct options *options = broker->options;
    struct server_limits limits = SERVER_LIMITS_DEFAULT;
    limits.frame_bytes_max = (uint64_t)setting(broker, "socket.request.max.bytes");
    int64_t request_bytes = setting(broker, "queued.max.request.bytes");
    limits.memory_bytes = request_bytes >= 0 ? (uint64_t)request_bytes
                                             : min_u64(memory_bytes(broker) / 4, REQUEST_BYTES);
    limits.connections_max = (unsigned)setting(broker, "max.connections");
    limits.connections_per_ip_max = (unsigned)setting(broker, "max.connections.per.ip");
    limits.idle_ns = (uint64_t)setting(broker, "connections.max.idle.ms") * NS_PER_MS;
    broker->server = server_new(broker->loop, broker->diag, &broker->api, &limits);
    broker->ports = mem_zalloc_array(options->n_listeners, sizeof *broker->ports);
    for (unsigned i = 0; i < options->n_listeners; i++) {
        const struct options_listener *l = &options->listeners[i];
        int error = server_listen(broker->server, l->name, l->host, l->port, &broker->ports[i]);
        if (error != 0) {
            diag_error(broker->diag, DIAG_BROKER,
                       "cannot listen: %s; free the port or change `listeners` name=%s at=%s:%u",
                       strerror(-error), l->name, l->host, l->port);
            return EXIT_UNAVAILABLE;
        }
    }
    return 0;
}

static void open_store(struct broker *broker)
{
    uint64_t tail = (uint64_t)setting(broker, "chronik.tail.bytes");
    int64_t reserve = setting(broker, "chronik.disk.reserve.bytes");
    const struct store_config config = {
        .tail_bytes = tail != 0 ? tail : min_u64(memory_bytes(broker) / 2, TAIL_BYTES),
        .journal_bytes_max = (uint64_t)setting(broker, "chronik.journal.bytes"),
        .journal_chunk_bytes = (uint64_t)setting(broker, "chronik.journal.chunk.bytes"),
        .open_files_max = (unsigned)setting(broker, "chronik.open.files.max"),
        .reserve_bytes = reserve < 0 ? UINT64_MAX : (uint64_t)reserve,
    };
    broker->store =
        store_open(broker->loop, broker->options->data_dir, &config, &STORE_EVENTS, broker);
    store_metrics(broker->store, &broker->metrics);
}

int broker_start(struct broker *broker, struct loop *loop, struct process_log *log,
                 const struct options *options)
{
    uint8_t random[16];
    *broker = (struct broker){ .loop = loop, .log = log, .diag = &log->diag, .options = options };
    broker->started_ns = loop_clock_ns(loop);
    loop_random(loop, random, sizeof random);
    broker->incarnation = uuid_from_random(random);
    state_start(STATES, &broker->state, BROKER_RECOVERING, broker);
    timer_init(&broker->retention, loop, retain);
    timer_init(&broker->patience, loop, complain);
    timer_init(&broker->hand_over, loop, look_at_leadership);
    presence_init(broker);
    metrics_init(&broker->metrics);
    replicas_init(&broker->replicas, loop, broker->diag, -1, &options->settings);
    api_init(&broker->api, loop, broker->diag, &options->settings);
    coord_init(&broker->coord, loop, broker->diag, &broker->replicas, &options->settings,
               memory_bytes(broker) / 8);
    broker->api.replicas = &broker->replicas;
    broker->api.coord = &broker->coord;

    int code = listen_all(broker);
    code = code ? code : cluster_open(broker);
    code = code ? code : admin_open(broker);
    if (code != 0) {
        broker->exit_code = code;
        return code;
    }
    server_metrics(broker->server, &broker->metrics);
    replicas_metrics(&broker->replicas, &broker->metrics);
    coord_metrics(&broker->coord, &broker->metrics);
    api_metrics(&broker->api, &broker->metrics);
    timer_set_in(&broker->patience, COMPLAIN_S * NS_PER_S);
    open_store(broker);
    return 0;
}

/* ---- stop ------------------------------------------------------------------------------------*/

static void all_closed(void *arg)
{
    struct broker *broker = arg;
    move(broker, BROKER_STOPPED);
    timer_cancel(&broker->patience);
    loop_stop(broker->loop);
}

static void meta_closed(void *arg)
{
    struct broker *broker = arg;
    if (broker->peers != NULL) {
        peers_close(broker->peers, all_closed, broker);
    } else {
        all_closed(broker);
    }
}

static void close_meta(struct broker *broker)
{
    if (broker->meta != NULL) {
        meta_close(broker->meta, meta_closed, broker);
    } else {
        meta_closed(broker);
    }
}

static void store_closed(void *arg, int error)
{
    struct broker *broker = arg;
    broker->store_rests = true;
    if (error != 0 && !broker->store_failed) {
        diag_error(broker->diag, DIAG_STORE,
                   "the log directory could not be closed cleanly: %s; the next start recovers it",
                   strerror(-error));
    }
    if (error != 0) {
        broker->exit_code = EXIT_STORAGE;
    }
    close_meta(broker);
}

/* The life that a clean stop closes: this one, or, before it was registered, the one before, if
 * that ended cleanly. */
static int64_t closing_epoch(const struct broker *broker)
{
    const struct store_recovery *recovery = store_recovery(broker->store);
    int64_t epoch = broker->meta != NULL ? meta_broker_epoch(broker->meta) : -1;
    return epoch >= 0 ? epoch : recovery->clean ? recovery->broker_epoch : -1;
}

static void server_stopped(void *arg)
{
    struct broker *broker = arg;
    if (broker->store_open) {
        store_close(broker->store, closing_epoch(broker), store_closed, broker);
    } else {
        close_meta(broker); /* recovery is not waited for: the next start begins it again */
    }
}

static void stop_server(struct broker *broker)
{
    uint64_t limit_ns = (uint64_t)setting(broker, "chronik.shutdown.timeout.ms") * NS_PER_MS;
    timer_cancel(&broker->hand_over);
    coord_stop(&broker->coord);
    server_stop(broker->server, limit_ns / 4, server_stopped, broker);
}

/* Is there a partition that this node leads and that somebody else may take over, once in sync? */
static bool others_can_lead(const struct broker *broker)
{
    const struct image *image = meta_image(broker->meta);
    for (size_t t = 0; t < image_topic_count(image); t++) {
        const struct image_topic *topic = image_topic_at(image, t);
        for (int32_t i = 0; i < topic->n_partitions; i++) {
            const struct image_partition *p = &topic->partitions[i];
            for (unsigned k = 0; p->leader == broker->node_id && k < p->n_replicas; k++) {
                const struct image_broker *other = image_broker(image, p->replicas[k]);
                if (other != NULL && !other->fenced && !other->stopping) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* Waits until others lead what this node has led, and then, if it is the controller, until another
 * one is. Not for ever: others may be there and never come in sync. */
static void look_at_leadership(struct timer *timer)
{
    enum { LOOK_MS = 2, HAND_OVER_S = 5 };
    struct broker *broker = container_of(timer, struct broker, hand_over);
    bool in_time = loop_now_ns(broker->loop) < broker->stop_ns + HAND_OVER_S * NS_PER_S;
    if (in_time && (others_can_lead(broker) || meta_resign(broker->meta))) {
        timer_set_in(timer, LOOK_MS * NS_PER_MS);
        return;
    }
    diag_info(broker->diag, DIAG_BROKER, "handed over leaders_left=%" PRIu64 " after_ms=%" PRIu64,
              broker->replicas.n_leaders,
              (loop_now_ns(broker->loop) - broker->stop_ns) / NS_PER_MS);
    stop_server(broker);
}

static void stopping_known(void *arg, enum kafka_error error, const void *response)
{
    struct broker *broker = arg;
    (void)response;
    if (error != KAFKA_NONE) {
        diag_warn(broker->diag, DIAG_BROKER,
                  "leadership could not be handed over: no controller; the others notice error=%s",
                  kafka_error_name(error));
        stop_server(broker);
    } else {
        look_at_leadership(&broker->hand_over);
    }
}

/* Tells the controller, which moves the leadership of all partitions to others that are in sync.
 * Requests are served meanwhile: who asks for a partition that has moved is told where it is now.
 * */
static void hand_over_leadership(struct broker *broker)
{
    enum { ASK_S = 3 };
    const struct image_broker *self = image_broker(meta_image(broker->meta), broker->node_id);
    const struct meta_broker_state_request request = {
        .epoch = meta_broker_epoch(broker->meta),
        .fenced = self != NULL && self->fenced,
        .stopping = true,
    };
    broker->stop_ns = loop_now_ns(broker->loop);
    meta_broker_state(broker->meta, &request, broker->stop_ns + ASK_S * NS_PER_S, stopping_known,
                      broker);
}

void broker_stop(struct broker *broker)
{
    uint64_t limit_ns = (uint64_t)setting(broker, "chronik.shutdown.timeout.ms") * NS_PER_MS;
    if (broker->state == BROKER_STOPPING) {
        diag_warn(broker->diag, DIAG_BROKER, "asked again: stopping at once");
        broker->exit_code = broker->exit_code ? broker->exit_code : EXIT_FATAL;
        loop_stop(broker->loop);
        return;
    }
    diag_info(broker->diag, DIAG_BROKER, "stopping");
    process_notify("STOPPING=1");
    bool hand_over = broker->state == BROKER_SERVING && broker->peers != NULL;
    move(broker, BROKER_STOPPING);
    timer_cancel(&broker->retention);
    presence_stop(broker);
    timer_set_in(&broker->patience, limit_ns);
    if (hand_over) {
        hand_over_leadership(broker);
    } else {
        stop_server(broker);
    }
}

int broker_finish(struct broker *broker)
{
    bool orderly = broker->state == BROKER_STOPPED;
    int exit_code = broker->exit_code;
    if (orderly) {
        diag_info(broker->diag, DIAG_BROKER, "stopped");
        http_close(broker->http);
        server_free(broker->server);
        peers_free(broker->peers);
        api_release(&broker->api);
        replicas_release(&broker->replicas);
        if (broker->store_rests) {
            store_free(broker->store);
        }
        meta_free(broker->meta);
    }
    metrics_release(&broker->metrics);
    free(broker->ports);
    return exit_code;
}
