/* Replication frames, on both sides: a node that leads one partition and follows another one, and a
 * peer that has proven who it is and sends what it likes: fetches, progress and records that lie
 * near the truth, changed ones, and the fuzzer's own bytes; meanwhile leaders change.
 *
 * Whatever comes: nothing crashes, every answer is well formed, and what counts as committed is
 * there. The logs are real ones, in memory; each input has its own topic. */
#include <chronik/io/file.h>
#include <chronik/meta/image.h>
#include <chronik/meta/meta.h>
#include <chronik/replica/progress.h>
#include <chronik/replica/feed.h>
#include <chronik/storage/store.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SELF = 1, PEER = 2, LED = 0, FOLLOWED = 1, PARTITIONS = 2, APPENDS_MAX = 64 };

/* What stays from input to input. */
struct bench {
    struct loop *loop;
    struct store *store;
    struct image *image;
    struct replicas replicas;
    struct diag diag;
    struct timer turn;
    uint64_t n_topics;
    int32_t n_fetches;
    char dir[64];
};

struct fuzz {
    struct bench *bench;
    struct bytes in;
    struct feed *feed;
    struct image_topic topic;
    struct image_partition states[PARTITIONS];
    int32_t brokers[2];
    struct uuid directories[2];
    unsigned n_appends;
};

/* ---- in the place of the metadata -------------------------------------------------------------*/

const struct image *meta_image(const struct meta *meta)
{
    return (const struct image *)meta;
}

struct meta_request *meta_ask(struct meta *meta, enum meta_request_kind kind, const void *request,
                              uint64_t deadline_ns, meta_done *done, void *arg)
{
    (void)meta, (void)kind, (void)request, (void)deadline_ns;
    done(arg, KAFKA_NOT_CONTROLLER, NULL);
    return NULL;
}

/* ---- the bench --------------------------------------------------------------------------------*/

static void opened(void *arg, int error, const char *message)
{
    struct bench *bench = arg;
    (void)message;
    check(error == 0);
    loop_stop(bench->loop);
}

static void failed(void *arg, int error, const char *message)
{
    (void)arg, (void)error, (void)message;
    check(!"the store must not fail");
}

static void room(void *arg)
{
    struct bench *bench = arg;
    fetchers_resume(&bench->replicas);
}

static const struct store_events EVENTS = { opened, failed, room };

static void silence(struct diag *diag, enum diag_level level, enum diag_module module,
                    const char *message)
{
    (void)diag, (void)level, (void)module, (void)message;
}

static void turned(struct timer *timer)
{
    struct bench *bench = container_of(timer, struct bench, turn);
    loop_stop(bench->loop);
}

static void want(void *arg, int32_t leader, enum fetcher_kind kind, bool wanted)
{
    (void)arg, (void)kind, (void)wanted;
    check(leader == PEER);
}

static void check_message(const struct wire_struct *s, int16_t version, struct chain *frame)
{
    struct arena arena;
    uint8_t *bytes = mem_alloc(frame->len);
    size_t len = frame->len;
    void *message = mem_alloc(s->size);
    chain_copy(frame, bytes);
    arena_init(&arena, 0);
    check(wire_decode(s, version, true, bytes_of(bytes + 1, len - 1), &arena, message, NULL)
              .result == WIRE_OK);
    arena_release(&arena);
    chain_release(frame);
    free(message);
    free(bytes);
}

static uint8_t kind_of(const struct chain *frame)
{
    uint8_t *bytes = mem_alloc(frame->len), kind;
    chain_copy(frame, bytes);
    kind = bytes[0];
    free(bytes);
    return kind;
}

static void send_to_leader(void *arg, int32_t leader, enum fetcher_kind kind, struct chain *frame)
{
    struct bench *bench = arg;
    (void)leader, (void)kind;
    bool fetch = kind_of(frame) == FEED_FETCH;
    bench->n_fetches += fetch;
    check_message(fetch ? wire_fetch.request : replica_replica_progress.request,
                  fetch ? FEED_VERSION : 0, frame);
}

static void send_to_follower(void *link, struct chain *frame)
{
    (void)link;
    check(kind_of(frame) == FEED_RECORDS);
    check_message(wire_fetch.response, FEED_VERSION, frame);
}

static size_t nothing_queued(void *link)
{
    (void)link;
    return 0;
}

static const struct fetcher_transport TO_LEADER = { want, send_to_leader };
static const struct feed_transport TO_FOLLOWER = { send_to_follower, nothing_queued };

static struct bench *bench_new(void)
{
    static const struct image_configs NOTHING;
    const struct store_config config = { .tail_bytes = MIB(4),
                                         .journal_bytes_max = MIB(4),
                                         .checkpoint_idle_ns = 3600 * NS_PER_S };
    struct bench *bench = mem_zalloc(sizeof *bench);
    snprintf(bench->dir, sizeof bench->dir, "/dev/shm/chronik-replica-fuzz-%d", getpid());
    check(loop_new(LOOP_THREADS, &bench->loop) == 0);
    check(dir_remove_all(bench->dir) == 0);
    timer_init(&bench->turn, bench->loop, turned);
    diag_init(&bench->diag, DIAG_DEBUG, silence);
    bench->image = image_new();
    bench->store = store_open(bench->loop, bench->dir, &config, &EVENTS, bench);
    loop_run(bench->loop);
    replicas_init(&bench->replicas, bench->loop, &bench->diag, SELF, &NOTHING);
    bench->replicas.transport = &TO_LEADER;
    bench->replicas.transport_arg = bench;
    bench->replicas.fetch_max_bytes = 4096;
    replicas_start(&bench->replicas, bench->store, (struct meta *)bench->image);
    return bench;
}

static void one_turn(struct bench *bench)
{
    timer_set_in(&bench->turn, 0);
    loop_run(bench->loop);
}

/* ---- the input --------------------------------------------------------------------------------*/

static uint8_t take(struct fuzz *f)
{
    uint8_t byte = f->in.len > 0 ? f->in.data[0] : 0;
    f->in = f->in.len > 0 ? bytes_part(f->in, 1, f->in.len - 1) : f->in;
    return byte;
}

static struct bytes take_bytes(struct fuzz *f, size_t len)
{
    len = min_u64(len, f->in.len);
    struct bytes taken = bytes_part(f->in, 0, len);
    f->in = bytes_part(f->in, len, f->in.len - len);
    return taken;
}

/* Near `base`, or one of the numbers that break arithmetic. */
static int64_t take_near(struct fuzz *f, int64_t base)
{
    static const int64_t EXTREME[] = { INT64_MAX, INT64_MIN,     INT64_MAX - 1, INT32_MAX,
                                       INT32_MIN, INT64_MIN + 1, -1,            0 };
    uint8_t by = take(f);
    uint64_t near = (uint64_t)base + (by & 15) - (by >> 5); /* may wrap */
    return by >= 0xf8 ? EXTREME[by & 7] : (int64_t)near;
}

static struct partition *partition_of(const struct fuzz *f, int32_t index)
{
    struct topic_replicas *topic = replicas_topic_by_id(&f->bench->replicas, &f->topic.id);
    return topic_partition(topic, index);
}

/* ---- what the follower says -------------------------------------------------------------------*/

static int receive(struct fuzz *f, uint8_t kind, const struct wire_struct *s, int16_t version,
                   const void *message)
{
    struct chain chain = { 0 };
    chain_put(&chain, &kind, 1);
    wire_encode(s, version, true, message, &chain);
    size_t len = chain.len;
    uint8_t *bytes = mem_alloc(len);
    chain_copy(&chain, bytes);
    chain_release(&chain);
    uint8_t flip = take(f);
    if (flip >= 0xf0) {
        bytes[1 + take(f) % (len - 1)] ^= (uint8_t)(1 << (flip & 7));
    }
    int result = kind == FEED_RECORDS
                     ? fetcher_receive(&f->bench->replicas, PEER, FETCHER_HOT, bytes_of(bytes, len))
                     : feed_receive(f->feed, bytes_of(bytes, len));
    free(bytes);
    return result;
}

static int fetch(struct fuzz *f)
{
    struct partition *p = partition_of(f, LED);
    struct fetch_request request = fetch_request_default;
    struct fetch_request_topic topic = fetch_request_topic_default;
    struct fetch_request_partition part = fetch_request_partition_default;
    struct fetch_request_forgotten_topic forgotten = fetch_request_forgotten_topic_default;
    uint8_t how = take(f);
    int32_t index = how & 1 ? take(f) : LED;
    part.partition_index = index;
    part.current_leader_epoch = (int32_t)take_near(f, p->leader_epoch);
    part.last_fetched_epoch = (int32_t)take_near(f, log_last_epoch(p->log));
    part.fetch_offset = take_near(f, log_end(p->log));
    part.partition_max_bytes = how & 2 ? (int32_t)take_near(f, 0) : 4096;
    topic.topic_id = forgotten.topic_id = f->topic.id;
    topic.topic_id.bytes[0] ^= how & 4 ? take(f) : 0;
    topic.partitions = &part;
    topic.n_partitions = 1;
    forgotten.partitions = &index;
    forgotten.n_partitions = 1;
    request.replica_state.replica_id = PEER;
    request.replica_state.replica_epoch = take_near(f, 5);
    request.topics = &topic;
    request.n_topics = how & 8 ? 0 : 1;
    request.forgotten_topics = &forgotten;
    request.n_forgotten_topics = how & 16 ? 1 : 0;
    request.session_epoch = take(f);
    request.max_bytes = how & 32 ? (int32_t)take_near(f, 0) : 1 << 20;
    return receive(f, FEED_FETCH, wire_fetch.request, FEED_VERSION, &request);
}

static int progress(struct fuzz *f)
{
    struct partition *p = partition_of(f, LED);
    struct replica_progress_request request = replica_progress_request_default;
    struct replica_progress_request_partition part = {
        .partition = LED,
        .leader_epoch = (int32_t)take_near(f, p->leader_epoch),
        .end = take_near(f, log_end(p->log)),
        .durable_end = take_near(f, log_end(p->log)),
    };
    struct replica_progress_request_topic topic = { .topic_id = f->topic.id,
                                                   .partitions = &part,
                                                   .n_partitions = 1 };
    request.broker_epoch = take_near(f, 5);
    request.topics = &topic;
    request.n_topics = 1;
    return receive(f, FEED_PROGRESS, replica_replica_progress.request, 0, &request);
}

/* ---- what the leader says ---------------------------------------------------------------------*/

/* One batch of a few records, or something like one. */
static void put_batch(struct fuzz *f, const struct partition *p, struct buf *to)
{
    struct batch_builder b;
    uint8_t how = take(f);
    batch_builder_init(&b);
    b.producer_id = how & 0x20 ? 7 : -1;
    b.producer_epoch = how & 0x20 ? 0 : -1;
    b.base_sequence = how & 0x20 ? (int32_t)take_near(f, 0) : -1;
    for (unsigned i = 0; i <= how % 4; i++) {
        batch_builder_add(&b, 1000, bytes_of(NULL, 0), bytes_of("value", 5), bytes_of(NULL, 0), 0);
    }
    struct bytes raw = batch_builder_finish(&b);
    size_t at = to->len;
    buf_put(to, raw.data, raw.len);
    batch_stamp(to->data + at, take_near(f, log_end(p->log)),
                (int32_t)take_near(f, p->leader_epoch));
    if (how & 0x40) { /* last_offset_delta, with the right CRC */
        store_be32(to->data + at + 23, (uint32_t)take_near(f, 0));
        batch_stamp_time(to->data + at, 1000);
    }
    if (how & 0x80) {
        to->data[at + take(f) % raw.len] ^= (uint8_t)(1 << take(f) % 8);
    }
    batch_builder_release(&b);
}

static int records(struct fuzz *f)
{
    struct partition *p = partition_of(f, FOLLOWED);
    struct fetch_response response = fetch_response_default;
    struct fetch_response_topic topic = fetch_response_topic_default;
    struct fetch_response_partition part = fetch_response_partition_default;
    struct buf batches = { 0 };
    uint8_t how = take(f), session = take(f);
    /* The newest fetch is answered, or, now and then, an older one. */
    response.session_id = f->bench->n_fetches - (session < 0xe0 ? 0 : session & 3);
    part.partition_index = how & 1 ? (int32_t)take_near(f, 1) : FOLLOWED;
    part.error = how & 2 ? take(f) : 0;
    part.error = how & 4 ? KAFKA_OFFSET_OUT_OF_RANGE : part.error;
    part.high_watermark = take_near(f, log_end(p->log));
    part.log_start_offset = how & 8 ? take_near(f, log_start_offset(p->log)) : 0;
    part.current_leader.leader_epoch = how & 16 ? (int32_t)take_near(f, 0) : p->leader_epoch;
    if (how & 32) {
        part.diverging_epoch.epoch = (int32_t)take_near(f, log_last_epoch(p->log));
        part.diverging_epoch.end_offset = take_near(f, log_end(p->log));
    }
    for (unsigned i = 0; i < how >> 6; i++) {
        put_batch(f, p, &batches);
    }
    part.records.view = buf_bytes(&batches);
    topic.topic_id = f->topic.id;
    topic.partitions = &part;
    topic.n_partitions = 1;
    response.topics = &topic;
    response.n_topics = 1;
    int result = receive(f, FEED_RECORDS, wire_fetch.response, FEED_VERSION, &response);
    buf_release(&batches);
    return result;
}

/* ---- the node ---------------------------------------------------------------------------------*/

static void append(struct fuzz *f)
{
    struct partition *p = partition_of(f, LED);
    struct batch_builder b;
    if (f->n_appends++ >= APPENDS_MAX || p->role != PARTITION_LEADER) {
        return;
    }
    batch_builder_init(&b);
    for (unsigned i = 0; i <= take(f) % 8u; i++) {
        batch_builder_add(&b, 1000, bytes_of(NULL, 0), bytes_of("value", 5), bytes_of(NULL, 0), 0);
    }
    struct log_append append = { .batches = batch_builder_finish(&b),
                                 .leader_epoch = p->leader_epoch,
                                 .as_leader = true,
                                 .log_append_ms = -1 };
    if (log_append(p->log, &append) == 0) {
        partition_appended(p);
    }
    batch_builder_release(&b);
}

static void change_leader(struct fuzz *f)
{
    uint8_t how = take(f);
    int32_t index = how & 1;
    struct image_partition *state = &f->states[index];
    state->leader = how & 2 ? state->leader : how & 4 ? SELF : PEER;
    state->leader_epoch += how & 8 ? 1 : 0;
    state->epoch++;
    state->n_isr = how & 16 ? 2 : 1;
    state->isr = state->leader == PEER && state->n_isr == 1 ? f->brokers + 1 : f->brokers;
    state->recovery = how & 32 ? IMAGE_RECOVERING : IMAGE_RECOVERED;
    if (state->leader != partition_of(f, index)->leader) {
        state->leader_epoch++;
    }
    replicas_partition_changed(&f->bench->replicas, &f->topic, index);
}

static void reconnect(struct fuzz *f)
{
    feed_free(f->feed);
    f->feed = feed_new(&f->bench->replicas, PEER, false, &TO_FOLLOWER, f);
    fetcher_closed(&f->bench->replicas, PEER, FETCHER_HOT);
    fetcher_opened(&f->bench->replicas, PEER, FETCHER_HOT);
}

static void raw_frame(struct fuzz *f, bool to_feed)
{
    struct bytes frame = take_bytes(f, take(f));
    if (to_feed) {
        feed_receive(f->feed, frame);
    } else {
        fetcher_receive(&f->bench->replicas, PEER, FETCHER_HOT, frame);
    }
}

static void one_step(struct fuzz *f)
{
    uint8_t step = take(f);
    switch (step % 12) {
    case 0:
        append(f);
        break;
    case 1:
    case 2:
    case 3:
        one_turn(f->bench);
        break;
    case 4:
    case 5:
        fetch(f);
        break;
    case 6:
        progress(f);
        break;
    case 7:
    case 8:
        records(f);
        break;
    case 9:
        change_leader(f);
        break;
    case 10:
        raw_frame(f, step & 16);
        break;
    default:
        reconnect(f);
    }
}

static void check_partitions(const struct fuzz *f)
{
    for (int32_t i = 0; i < PARTITIONS; i++) {
        const struct partition *p = partition_of(f, i);
        check(p->high_watermark >= 0);
        check(log_start_offset(p->log) >= 0 && log_start_offset(p->log) <= log_end(p->log));
        check(p->role != PARTITION_LEADER || p->high_watermark <= log_end(p->log));
    }
}

/* ---- one input --------------------------------------------------------------------------------*/

static void begin(struct fuzz *f)
{
    struct bench *bench = f->bench;
    f->brokers[0] = SELF;
    f->brokers[1] = PEER;
    for (int32_t i = 0; i < PARTITIONS; i++) {
        f->states[i] = (struct image_partition){ .leader = i == LED ? SELF : PEER,
                                                 .last_leader = -1,
                                                 .n_replicas = 2,
                                                 .n_isr = 2,
                                                 .replicas = f->brokers,
                                                 .isr = f->brokers,
                                                 .directories = f->directories };
    }
    f->topic = (struct image_topic){ .name = (char *)"topic",
                                     .n_partitions = PARTITIONS,
                                     .partitions = f->states };
    store_be64(f->topic.id.bytes, ++bench->n_topics);
    replicas_topic_changed(&bench->replicas, &f->topic);
    reconnect(f);
    one_turn(bench);
    one_turn(bench);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench *bench;
    bench = bench != NULL ? bench : bench_new();
    struct fuzz f = { .bench = bench, .in = bytes_of(data, size) };
    begin(&f);
    for (unsigned i = 0; i < 200 && f.in.len > 0; i++) {
        one_step(&f);
        check_partitions(&f);
    }
    one_turn(bench);
    feed_free(f.feed);
    replicas_topic_deleted(&bench->replicas, &f.topic.id);
    one_turn(bench);
    return 0;
}
