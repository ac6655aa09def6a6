/* What the tests of replicas share. */
#include "replica_bed.h"

#include "../meta/image_case.h"

#include <chronik/storage/log.h>

/* ---- the metadata, as the test writes it -----------------------------------------------------*/

const struct image *meta_image(const struct meta *meta)
{
    return meta->image;
}

struct meta_request *meta_ask(struct meta *meta, enum meta_request_kind kind, const void *request,
                              uint64_t deadline_ns, meta_done *done, void *arg)
{
    const struct meta_change_isr_request *in = request;
    (void)deadline_ns;
    assert_int_equal(kind, META_CHANGE_ISR);
    for (int32_t i = 0; i < in->n_partitions; i++) {
        assert_true(meta->n_asked < PROPOSALS);
        struct asked *asked = &meta->asked[meta->n_asked++];
        assert_true(in->partitions[i].n_isr <= NODES);
        *asked = (struct asked){ .partition = in->partitions[i], .done = done, .arg = arg };
        memcpy(asked->members, in->partitions[i].isr,
               (size_t)in->partitions[i].n_isr * sizeof *asked->members);
        asked->partition.isr = asked->members;
    }
    return NULL;
}

static const struct image_partition *state_of(const struct replica_bed *bed)
{
    return partition_of(bed->image, "t", 0);
}

static void change_with(struct replica_bed *bed, int32_t leader, const char *isr, int8_t recovery)
{
    const struct image_partition *now = state_of(bed);
    struct command_change_partitions_change c = command_change_partitions_change_default;
    int32_t members[NODES];
    c.n_elr = c.n_replicas = c.n_adding = c.n_removing = c.n_directories = -1;
    c.topic_id = image_topic(bed->image, text_of("t"))->id;
    c.leader_epoch = now->leader_epoch;
    c.partition_epoch = now->epoch;
    c.leader = leader == now->leader ? c.leader : leader;
    c.recovery = recovery;
    c.isr = members;
    c.n_isr = (int32_t)strlen(isr);
    for (int32_t i = 0; i < c.n_isr; i++) {
        members[i] = isr[i] - '0';
    }
    const struct command_change_partitions command = { .changes = &c, .n_changes = 1 };
    assert_int_equal(apply_one(bed->image, COMMAND_CHANGE_PARTITIONS, &command).error, KAFKA_NONE);
}

void change(struct replica_bed *bed, int32_t leader, const char *isr)
{
    change_with(bed, leader, isr, -1);
}

void change_uncleanly(struct replica_bed *bed, int32_t leader)
{
    char isr[2] = { (char)('0' + leader), 0 };
    change_with(bed, leader, isr, IMAGE_RECOVERING);
}

void tell(struct replica_bed *bed, int32_t id)
{
    replicas_topic_changed(&bed->nodes[id].replicas, image_topic(bed->image, text_of("t")));
}

void tell_all(struct replica_bed *bed)
{
    for (int32_t id = 1; id <= NODES; id++) {
        tell(bed, id);
    }
}

void begin_new_life(struct replica_bed *bed, int32_t id)
{
    apply_register(bed->image, id, (uint8_t)image_index(bed->image), NULL);
    apply_state(bed->image, id, false);
}

int64_t epoch_of(const struct replica_bed *bed, int32_t id)
{
    return image_broker(bed->image, id)->epoch;
}

void make_topic(struct replica_bed *bed, int32_t n, bool in_sync)
{
    static const int32_t replicas[] = { 1, 2, 3 };
    assert_int_equal(apply_topic(bed->image, "t", 1, 1, replicas, n).error, KAFKA_NONE);
    if (!in_sync) {
        change(bed, 1, "1");
    }
    tell_all(bed);
    run_ms(bed, 1);
}

/* ---- links ------------------------------------------------------------------------------------*/

struct frame {
    struct list link;
    struct line *line;
    bool to_leader;
    struct buf bytes;
};

static void put_frame(struct line *line, bool to_leader, struct chain *chain)
{
    struct frame *frame = mem_zalloc(sizeof *frame);
    frame->line = line;
    frame->to_leader = to_leader;
    chain_copy(chain, buf_reserve(&frame->bytes, chain->len));
    frame->bytes.len = chain->len;
    chain_release(chain);
    list_push_back(&line->bed->frames, &frame->link);
    if (!timer_is_set(&line->bed->deliver)) {
        timer_set_in(&line->bed->deliver, 0);
    }
}

static void count_frame(struct line *line, const struct frame *frame)
{
    line->n_fetches += frame->bytes.data[0] == FEED_FETCH;
    line->n_progress += frame->bytes.data[0] == FEED_PROGRESS;
    line->n_records += frame->bytes.data[0] == FEED_RECORDS;
    if (!frame->to_leader) {
        line->record_bytes_most = max_u64(line->record_bytes_most, frame->bytes.len);
    }
}

static void drop_frame(struct frame *frame)
{
    list_remove(&frame->link);
    buf_release(&frame->bytes);
    free(frame);
}

static void deliver_frame(struct frame *frame)
{
    struct line *line = frame->line;
    int error = 0;
    count_frame(line, frame);
    if (frame->to_leader && line->feed != NULL) {
        error = feed_receive(line->feed, buf_bytes(&frame->bytes));
    } else if (!frame->to_leader) {
        error = fetcher_receive(&line->follower->replicas, line->leader->id, line->kind,
                                buf_bytes(&frame->bytes));
    }
    assert_int_equal(error, 0);
    drop_frame(frame);
}

static void deliver(struct timer *timer)
{
    struct replica_bed *bed = container_of(timer, struct replica_bed, deliver);
    struct list ready;
    list_init(&ready);
    list_splice_back(&ready, &bed->frames);
    list_each (it, &ready) {
        struct frame *frame = container_of(it, struct frame, link);
        if (frame->line->hold && !frame->to_leader) {
            list_remove(&frame->link);
            list_push_back(&bed->frames, &frame->link);
        } else {
            deliver_frame(frame);
        }
    }
    if (!list_empty(&bed->frames)) {
        timer_set_in(timer, NS_PER_MS);
    }
}

static void send_records(void *link, struct chain *frame)
{
    put_frame(link, false, frame);
}

static size_t count_unsent(void *link)
{
    return ((struct line *)link)->unsent;
}

static const struct feed_transport FEED = { send_records, count_unsent };

struct line *line_of(struct replica_bed *bed, int32_t follower, int32_t leader,
                     enum fetcher_kind kind)
{
    return &bed->lines[follower][leader][kind];
}

void open_line(struct line *line)
{
    line->feed = feed_new(&line->leader->replicas, line->follower->id,
                          line->kind == FETCHER_CATCH_UP, &FEED, line);
    fetcher_opened(&line->follower->replicas, line->leader->id, line->kind);
}

void close_line(struct line *line)
{
    list_each (it, &line->bed->frames) {
        struct frame *frame = container_of(it, struct frame, link);
        if (frame->line == line) {
            drop_frame(frame);
        }
    }
    if (line->feed != NULL) {
        feed_free(line->feed);
        line->feed = NULL;
        fetcher_closed(&line->follower->replicas, line->leader->id, line->kind);
    }
}

static void want(void *arg, int32_t leader, enum fetcher_kind kind, bool wanted)
{
    struct node *node = arg;
    struct line *line = line_of(node->bed, node->id, leader, kind);
    assert_true(wanted);
    line->bed = node->bed;
    line->follower = node;
    line->leader = &node->bed->nodes[leader];
    line->kind = kind;
}

static void send_to_leader(void *arg, int32_t leader, enum fetcher_kind kind, struct chain *frame)
{
    struct node *node = arg;
    put_frame(line_of(node->bed, node->id, leader, kind), true, frame);
}

static const struct fetcher_transport TRANSPORT = { want, send_to_leader };

static void each_line(struct replica_bed *bed, void (*visit)(struct line *line))
{
    struct line *lines = &bed->lines[0][0][0];
    for (size_t i = 0; i < sizeof bed->lines / sizeof *lines; i++) {
        if (lines[i].bed != NULL) {
            visit(&lines[i]);
        }
    }
}

static void open_if_closed(struct line *line)
{
    if (line->feed == NULL && line->leader->store != NULL) {
        open_line(line);
    }
}

void connect_nodes(struct replica_bed *bed)
{
    each_line(bed, open_if_closed);
}

/* ---- running ----------------------------------------------------------------------------------*/

static void ticked(struct timer *timer)
{
    struct replica_bed *bed = container_of(timer, struct replica_bed, tick);
    if (bed->until(bed)) {
        loop_stop(bed->loop);
    } else {
        timer_set_in(timer, NS_PER_MS);
    }
}

void run_until(struct replica_bed *bed, bool (*until)(struct replica_bed *bed))
{
    bed->until = until;
    timer_set_in(&bed->tick, 0);
    loop_run(bed->loop);
}

static bool always(struct replica_bed *bed)
{
    (void)bed;
    return true;
}

void run_ms(struct replica_bed *bed, uint64_t ms)
{
    bed->until = always;
    timer_set_in(&bed->tick, ms * NS_PER_MS);
    loop_run(bed->loop);
}

void run_durable(struct replica_bed *bed, int32_t id)
{
    const struct log *log = partition_at(bed, id)->log;
    while (log_durable_end(log) < log_end(log)) {
        run_ms(bed, 1);
    }
    run_ms(bed, 1);
}

/* ---- nodes ------------------------------------------------------------------------------------*/

static void store_opened(void *arg, int error, const char *message)
{
    struct node *node = arg;
    if (error != 0) {
        print_message("%s\n", message);
    }
    assert_int_equal(error, 0);
    node->opened = true;
    loop_stop(node->bed->loop);
}

static void store_failed(void *arg, int error, const char *message)
{
    (void)arg, (void)error;
    fail_msg("%s", message);
}

static void store_has_room(void *arg)
{
    fetchers_resume(&((struct node *)arg)->replicas);
}

static const struct store_events EVENTS = { store_opened, store_failed, store_has_room };

static void store_closed(void *arg, int error)
{
    struct node *node = arg;
    (void)error;
    node->closed = true;
    loop_stop(node->bed->loop);
}

static void start_node(struct replica_bed *bed, int32_t id)
{
    struct node *node = &bed->nodes[id];
    const struct store_config config = { .tail_bytes = MIB(8), .journal_chunk_bytes = MIB(2),
                                         .journal_bytes_max = MIB(64), .write_age_ns = NS_PER_MS };
    node->opened = node->closed = false;
    node->meta = (struct meta){ .image = bed->image };
    replicas_init(&node->replicas, bed->loop, &bed->diag, id, &bed->file);
    node->replicas.fetch_max_bytes = 64 * 1024;
    node->replicas.fetch_response_max_bytes = MIB(1);
    node->replicas.fetch_wait_max_ms = 5;
    node->replicas.transport = &TRANSPORT;
    node->replicas.transport_arg = node;
    node->store = store_open(bed->loop, node->dir, &config, &EVENTS, node);
    while (!node->opened) {
        loop_run(bed->loop);
    }
    replicas_start(&node->replicas, node->store, &node->meta);
}

static void stop_node(struct replica_bed *bed, int32_t id)
{
    struct node *node = &bed->nodes[id];
    for (int32_t other = 1; other <= NODES; other++) {
        for (unsigned kind = 0; kind < FETCHER_KINDS; kind++) {
            struct line *as_follower = line_of(bed, id, other, (enum fetcher_kind)kind);
            struct line *as_leader = line_of(bed, other, id, (enum fetcher_kind)kind);
            if (as_follower->bed != NULL) {
                close_line(as_follower);
            }
            if (as_leader->bed != NULL) {
                close_line(as_leader);
            }
            *as_follower = (struct line){ .bed = NULL };
        }
    }
    for (unsigned i = 0; i < node->meta.n_asked; i++) {
        node->meta.asked[i].done(node->meta.asked[i].arg, KAFKA_REQUEST_TIMED_OUT, NULL);
    }
    replicas_release(&node->replicas);
    store_abandon(node->store, store_closed, node);
    while (!node->closed) {
        loop_run(bed->loop);
    }
    store_free(node->store);
    node->store = NULL;
}

void node_restart(struct replica_bed *bed, int32_t id)
{
    stop_node(bed, id);
    start_node(bed, id);
}

static void note_said(struct diag *diag, enum diag_level level, enum diag_module module,
                      const char *message)
{
    struct replica_bed *bed = container_of(diag, struct replica_bed, diag);
    (void)module;
    if (level <= DIAG_WARN) {
        snprintf(bed->said, sizeof bed->said, "%s", message);
    }
}

void replica_bed_init(struct replica_bed *bed, int min_isr)
{
    char value[2] = { (char)('0' + min_isr), 0 };
    *bed = (struct replica_bed){ .loop = new_loop(), .dir = test_dir() };
    config_set_put(&bed->file, text_of("min.insync.replicas"), text_of(value));
    bed->image = image_with_brokers(NODES, NULL);
    diag_init(&bed->diag, DIAG_INFO, note_said);
    list_init(&bed->frames);
    timer_init(&bed->deliver, bed->loop, deliver);
    timer_init(&bed->tick, bed->loop, ticked);
    for (int32_t id = 1; id <= NODES; id++) {
        bed->nodes[id].bed = bed;
        bed->nodes[id].id = id;
        bed->nodes[id].dir = mem_sprintf("%s/%d", bed->dir, (int)id);
        start_node(bed, id);
    }
}

void replica_bed_release(struct replica_bed *bed)
{
    for (int32_t id = 1; id <= NODES; id++) {
        stop_node(bed, id);
        free(bed->nodes[id].dir);
    }
    timer_cancel(&bed->deliver);
    timer_cancel(&bed->tick);
    image_free(bed->image);
    config_set_release(&bed->file);
    loop_free(bed->loop);
    test_dir_remove(bed->dir);
}

/* ---- records ----------------------------------------------------------------------------------*/

struct partition *partition_at(struct replica_bed *bed, int32_t id)
{
    struct topic_replicas *topic = replicas_topic(&bed->nodes[id].replicas, text_of("t"));
    struct partition *p = topic ? topic_partition(topic, 0) : NULL;
    assert_non_null(p);
    return p;
}

int64_t end_at(struct replica_bed *bed, int32_t id)
{
    return log_end(partition_at(bed, id)->log);
}

static struct buf make_batch(struct replica_bed *bed, unsigned n, size_t len, int64_t producer,
                             int32_t sequence)
{
    struct batch_builder b;
    char *value = mem_zalloc(len < 32 ? 32 : len);
    batch_builder_init(&b);
    b.producer_id = producer;
    b.producer_epoch = producer >= 0 ? 0 : -1;
    b.base_sequence = sequence;
    for (unsigned i = 0; i < n; i++) {
        snprintf(value, 32, "%lld", (long long)bed->ids++);
        batch_builder_add(&b, 1000, bytes_of(NULL, 0), bytes_of(value, len < 32 ? 32 : len),
                          bytes_of(NULL, 0), 0);
    }
    batch_builder_finish(&b);
    struct buf out = b.out;
    b.out = (struct buf){ 0 };
    batch_builder_release(&b);
    free(value);
    return out;
}

static void append(struct replica_bed *bed, int32_t id, int32_t epoch, unsigned n, size_t len)
{
    struct partition *p = partition_at(bed, id);
    struct buf bytes = make_batch(bed, n, len, -1, -1);
    struct log_append in = { .batches = buf_bytes(&bytes), .leader_epoch = epoch,
                             .as_leader = true, .log_append_ms = -1 };
    while (log_append(p->log, &in) == -EAGAIN) {
        run_ms(bed, 1);
    }
    partition_appended(p);
    buf_release(&bytes);
}

void put_batch(struct replica_bed *bed, int32_t id, unsigned n, size_t value_len)
{
    append(bed, id, partition_at(bed, id)->leader_epoch, n, value_len);
}

void put_records(struct replica_bed *bed, int32_t id, unsigned n)
{
    put_batch(bed, id, n, 32);
}

void put_of_epoch(struct replica_bed *bed, int32_t id, int32_t epoch, unsigned n)
{
    append(bed, id, epoch, n, 32);
}

static void stop_loop(struct log_read *read, int error)
{
    assert_int_equal(error, 0);
    loop_stop(read->arg);
}

struct buf content_of(struct replica_bed *bed, int32_t id, int64_t offset)
{
    const struct partition *p = partition_at(bed, id);
    struct buf out = { 0 };
    while (offset < log_end(p->log)) {
        struct log_read read = { .offset = offset, .below = INT64_MAX, .max_bytes = MIB(1),
                                 .at_least_one = true, .done = stop_loop, .arg = bed->loop };
        int error = log_read(p->log, &read);
        if (error == -EINPROGRESS) {
            loop_run(bed->loop);
            error = 0;
        }
        assert_int_equal(error, 0);
        chain_copy(&read.batches, buf_reserve(&out, read.batches.len));
        out.len += read.batches.len;
        offset = read.next;
        chain_release(&read.batches);
    }
    return out;
}

void assert_same_logs(struct replica_bed *bed, int32_t a, int32_t b)
{
    int64_t start = log_start_offset(partition_at(bed, a)->log);
    assert_int_equal(end_at(bed, a), end_at(bed, b));
    assert_int_equal(start, log_start_offset(partition_at(bed, b)->log));
    struct buf left = content_of(bed, a, start), right = content_of(bed, b, start);
    assert_true(bytes_equal(buf_bytes(&left), buf_bytes(&right)));
    buf_release(&left);
    buf_release(&right);
}

static void produced(struct produce *produce)
{
    struct sent *sent = container_of(produce, struct sent, produce);
    assert_true(sent->waits && !sent->done);
    sent->done = true;
}

void send_batch(struct replica_bed *bed, int32_t id, struct sent *sent, int16_t acks,
                int64_t producer, int32_t sequence)
{
    *sent = (struct sent){ .bytes = make_batch(bed, 1, 32, producer, sequence) };
    assert_int_equal(batch_parse(buf_bytes(&sent->bytes), &sent->batch), KAFKA_NONE);
    sent->produce = (struct produce){ .batch = &sent->batch, .acks = acks, .done = produced };
    list_init(&sent->produce.link);
    enum produce_outcome outcome = partition_produce(partition_at(bed, id), &sent->produce);
    assert_int_not_equal(outcome, PRODUCE_NO_ROOM);
    sent->waits = outcome == PRODUCE_WAITS;
    sent->done = outcome == PRODUCE_DONE;
}

void sent_release(struct sent *sent)
{
    assert_true(sent->done);
    buf_release(&sent->bytes);
}
