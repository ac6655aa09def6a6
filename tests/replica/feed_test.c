/* The leader's side of a stream, frame by frame, with a follower that the test plays. */
#include "replica_bed.h"

#include <chronik/replica/progress.h>
#include <chronik/storage/log.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

static struct replica_bed bed;
static struct partition *p;

/* What the feed has sent, decoded: one partition in each answer. */
enum { ANSWERS = 64 };
static struct {
    struct fetch_response_partition partition;
    int32_t number;
    size_t bytes;
} answers[ANSWERS];
static unsigned n_answers;
static size_t unsent;
static bool news_count; /* answers without records, error or end, too */
static struct feed *feed;

static bool is_news(const struct fetch_response_partition *answer)
{
    return answer->error == KAFKA_NONE && answer->records.view.len == 0 &&
           answer->diverging_epoch.epoch < 0;
}

static void take_frame(void *link, struct chain *frame)
{
    struct fetch_response in;
    struct arena arena;
    (void)link;
    uint8_t *bytes = mem_alloc(frame->len);
    chain_copy(frame, bytes);
    assert_int_equal(bytes[0], FEED_RECORDS);
    arena_init(&arena, 0);
    assert_int_equal(wire_decode(wire_fetch.response, FEED_VERSION, true,
                                 bytes_of(bytes + 1, frame->len - 1), &arena, &in, NULL).result,
                     WIRE_OK);
    for (int32_t t = 0; t < in.n_topics; t++) {
        assert_true(n_answers < ANSWERS);
        if (is_news(&in.topics[t].partitions[0]) && !news_count) {
            continue;
        }
        answers[n_answers].partition = in.topics[t].partitions[0];
        answers[n_answers].number = in.session_id;
        answers[n_answers++].bytes = in.topics[t].partitions[0].records.view.len;
    }
    chain_release(frame);
    arena_release(&arena);
    free(bytes);
}

static size_t count_unsent(void *link)
{
    (void)link;
    return unsent;
}

static const struct feed_transport TRANSPORT = { take_frame, count_unsent };

static void begin(void)
{
    replica_bed_init(&bed, 1);
    make_topic(&bed, 3, false);
    p = partition_at(&bed, 1);
    n_answers = 0;
    unsent = 0;
    news_count = false;
    feed = feed_new(&bed.nodes[1].replicas, 2, false, &TRANSPORT, &bed);
}

static void end(void)
{
    feed_free(feed);
    replica_bed_release(&bed);
}

static int give(enum feed_frame kind, const struct wire_struct *s, int16_t version,
                const void *message)
{
    struct chain chain = { 0 };
    uint8_t first = (uint8_t)kind;
    chain_put(&chain, &first, 1);
    wire_encode(s, version, true, message, &chain);
    uint8_t *bytes = mem_alloc(chain.len);
    chain_copy(&chain, bytes);
    int error = feed_receive(feed, bytes_of(bytes, chain.len));
    free(bytes);
    chain_release(&chain);
    run_ms(&bed, 1);
    return error;
}

struct position {
    int64_t offset;
    int32_t last_epoch, leader_epoch, number;
    int32_t max_bytes;
};

static void fetch(struct position at)
{
    struct fetch_request_partition partition = fetch_request_partition_default;
    struct fetch_request_topic topic = fetch_request_topic_default;
    struct fetch_request in = fetch_request_default;
    partition.fetch_offset = at.offset;
    partition.last_fetched_epoch = at.last_epoch;
    partition.current_leader_epoch = at.leader_epoch;
    partition.partition_max_bytes = at.max_bytes ? at.max_bytes : 1000;
    topic.topic_id = (struct uuid){ { 1 } };
    topic.partitions = &partition;
    topic.n_partitions = 1;
    in.topics = &topic;
    in.n_topics = 1;
    in.session_epoch = at.number;
    in.replica_state.replica_id = 2;
    in.replica_state.replica_epoch = epoch_of(&bed, 2);
    assert_int_equal(give(FEED_FETCH, wire_fetch.request, FEED_VERSION, &in), 0);
}

static void progress(int64_t end_offset, int64_t durable_end, int32_t leader_epoch)
{
    struct replica_progress_request_partition partition = {
        .leader_epoch = leader_epoch, .end = end_offset, .durable_end = durable_end };
    struct replica_progress_request_topic topic = { .topic_id = { { 1 } },
                                                    .partitions = &partition,
                                                    .n_partitions = 1 };
    struct replica_progress_request in = { .broker_epoch = epoch_of(&bed, 2), .topics = &topic,
                                           .n_topics = 1 };
    assert_int_equal(give(FEED_PROGRESS, replica_replica_progress.request, 0, &in), 0);
}

static const struct fetch_response_partition *last_answer(void)
{
    assert_true(n_answers > 0);
    return &answers[n_answers - 1].partition;
}

static void records_come_without_being_asked_for_again(void **state)
{
    (void)state;
    begin();
    fetch((struct position){ .last_epoch = -1, .number = 3 });
    assert_int_equal(n_answers, 0);
    for (unsigned i = 1; i <= 5; i++) {
        put_records(&bed, 1, 1);
        run_ms(&bed, 1);
        assert_int_equal(n_answers, i);
        assert_true(answers[i - 1].bytes > 0);
        assert_int_equal(answers[i - 1].number, 3);
    }
    end();
}

static void so_much_is_on_the_way_and_no_more(void **state)
{
    (void)state;
    begin();
    fetch((struct position){ .last_epoch = -1, .max_bytes = 150 });
    for (unsigned i = 0; i < 8; i++) { /* batches of about 110 bytes */
        put_records(&bed, 1, 1);
        run_ms(&bed, 1);
    }
    assert_int_equal(n_answers, 3); /* the third one goes over two chunks */
    progress(1, 0, 0);
    assert_int_equal(n_answers, 4);
    progress(4, 0, 0);
    assert_int_equal(n_answers, 7);
    progress(8, 0, 0); /* it has not been sent so much: nonsense */
    assert_int_equal(n_answers, 7);
    progress(7, 0, 0);
    assert_int_equal(n_answers, 8);
    end();
}

static void a_slow_link_is_waited_for(void **state)
{
    (void)state;
    begin();
    fetch((struct position){ .last_epoch = -1 });
    unsent = MIB(100);
    put_records(&bed, 1, 1);
    run_ms(&bed, 1);
    assert_int_equal(n_answers, 0);
    unsent = 0;
    feed_drained(feed);
    run_ms(&bed, 1);
    assert_int_equal(n_answers, 1);
    end();
}

static void the_high_watermark_comes_without_records_too(void **state)
{
    (void)state;
    begin();
    news_count = true;
    put_records(&bed, 1, 1);
    fetch((struct position){ .last_epoch = -1 });
    run_durable(&bed, 1);
    while (n_answers == 0 || last_answer()->high_watermark < 1) {
        run_ms(&bed, 1);
    }
    unsigned n = n_answers;
    run_ms(&bed, 60);
    assert_int_equal(n_answers, n); /* once */
    end();
}

/* Leader: epoch 0 from 0, epoch 2 from 5, epoch 4 from 9, end 12. */
static void diverging_logs_are_told_where(void **state)
{
    static const struct {
        int64_t offset;
        int32_t epoch;
        int32_t diverges; /* -1: it does not */
        int64_t end;
        enum kafka_error error;
    } CASES[] = {
        { 12, 4, -1, -1, KAFKA_NONE }, { 10, 4, -1, -1, KAFKA_NONE },
        { 9, 2, -1, -1, KAFKA_NONE },  { 7, 2, -1, -1, KAFKA_NONE },
        { 10, 2, 2, 9, KAFKA_NONE },   { 11, 3, 2, 9, KAFKA_NONE },
        { 7, 0, 0, 5, KAFKA_NONE },    { 7, 1, 0, 5, KAFKA_NONE },
        { 0, -1, -1, -1, KAFKA_NONE }, { 13, 4, 4, 12, KAFKA_NONE },
        { 13, -1, -1, -1, KAFKA_OFFSET_OUT_OF_RANGE },
    };
    (void)state;
    begin();
    put_of_epoch(&bed, 1, 0, 5);
    put_of_epoch(&bed, 1, 2, 4);
    put_of_epoch(&bed, 1, 4, 3);
    run_durable(&bed, 1);
    for (size_t i = 0; i < countof(CASES); i++) {
        n_answers = 0;
        fetch((struct position){ .offset = CASES[i].offset, .last_epoch = CASES[i].epoch });
        bool silent = CASES[i].offset == 12 && CASES[i].epoch == 4;
        assert_int_equal(n_answers > 0, !silent);
        if (!silent) {
            assert_int_equal(answers[0].partition.error, CASES[i].error);
            assert_int_equal(answers[0].partition.diverging_epoch.epoch, CASES[i].diverges);
            assert_int_equal(answers[0].partition.diverging_epoch.end_offset, CASES[i].end);
        }
        if (CASES[i].diverges >= 0) { /* and nothing is believed of it (KAFKA-13141) */
            progress(CASES[i].offset, CASES[i].offset, 0);
            assert_int_equal(p->isr.followers[0].durable_end, -1);
            assert_int_equal(answers[0].bytes, 0);
        }
        if (CASES[i].error == KAFKA_NONE && CASES[i].diverges < 0) {
            progress(CASES[i].offset, CASES[i].offset, 0);
            assert_int_equal(p->isr.followers[0].durable_end, CASES[i].offset);
        }
        begin_new_life(&bed, 2);
        isr_begins(p, 2, epoch_of(&bed, 2), 0); /* forgets what was said */
    }
    end();
}

static void what_is_said_right_behind_a_fetch_counts(void **state)
{
    (void)state;
    begin();
    put_records(&bed, 1, 3);
    run_durable(&bed, 1);
    fetch((struct position){ .offset = 3, .last_epoch = 0 });
    progress(3, 3, 0);
    assert_int_equal(p->isr.followers[0].durable_end, 3);
    assert_int_equal(bed.nodes[1].meta.n_asked, 1);
    end();
}

static void followers_of_other_epochs_are_told_or_waited_for(void **state)
{
    (void)state;
    begin();
    put_records(&bed, 1, 1);
    change(&bed, -1, "1");
    change(&bed, 1, "1"); /* epoch 2 */
    tell(&bed, 1);
    run_durable(&bed, 1);
    fetch((struct position){ .last_epoch = -1, .leader_epoch = 0 });
    assert_int_equal(last_answer()->error, KAFKA_FENCED_LEADER_EPOCH);
    progress(1, 1, 0);
    assert_int_equal(p->isr.followers[0].durable_end, -1);
    n_answers = 0;
    fetch((struct position){ .last_epoch = -1, .leader_epoch = 4 }); /* it knows more than we */
    assert_int_equal(n_answers, 0);
    change(&bed, -1, "1");
    change(&bed, 1, "1");
    tell(&bed, 1);
    run_ms(&bed, 2);
    assert_int_equal(n_answers, 1);
    assert_int_equal(last_answer()->error, KAFKA_NONE);
    assert_true(answers[0].bytes > 0);
    end();
}

/* Its log is still being cut, and knows nothing of an epoch that the follower has led. */
static void a_leader_whose_epoch_has_not_begun_asks_for_patience(void **state)
{
    (void)state;
    begin();
    put_records(&bed, 1, 5);
    run_durable(&bed, 1);
    p->followed.truncation = (struct truncation *)&bed; /* nobody looks into it */
    change(&bed, -1, "1");
    change(&bed, 1, "1"); /* epoch 2 */
    tell(&bed, 1);
    assert_int_equal(p->role, PARTITION_BECOMING);
    fetch((struct position){ .offset = 5, .last_epoch = 1, .leader_epoch = 2 });
    assert_int_equal(last_answer()->error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    p->followed.truncation = NULL;
    partition_was_cut(p);
    run_durable(&bed, 1);
    fetch((struct position){ .offset = 5, .last_epoch = 1, .leader_epoch = 2 });
    assert_int_equal(last_answer()->error, KAFKA_NONE);
    assert_int_equal(last_answer()->diverging_epoch.epoch, 0);
    assert_int_equal(last_answer()->diverging_epoch.end_offset, 5);
    end();
}

static void unknown_partitions_are_refused(void **state)
{
    (void)state;
    begin();
    replicas_topic_deleted(&bed.nodes[1].replicas, &(struct uuid){ { 1 } });
    fetch((struct position){ .last_epoch = -1 });
    assert_int_equal(last_answer()->error, KAFKA_UNKNOWN_TOPIC_ID);
    end();
}

static void a_partition_that_is_forgotten_gets_nothing_more(void **state)
{
    (void)state;
    begin();
    fetch((struct position){ .last_epoch = -1 });
    int32_t index = 0;
    struct fetch_request in = fetch_request_default;
    struct fetch_request_forgotten_topic topic = fetch_request_forgotten_topic_default;
    topic.topic_id = (struct uuid){ { 1 } };
    topic.partitions = &index;
    topic.n_partitions = 1;
    in.forgotten_topics = &topic;
    in.n_forgotten_topics = 1;
    assert_int_equal(give(FEED_FETCH, wire_fetch.request, FEED_VERSION, &in), 0);
    put_records(&bed, 1, 1);
    run_ms(&bed, 2);
    assert_int_equal(n_answers, 0);
    end();
}

/* Two small chunks are on the way, and the next ones come when those are written, or given up. */
static void who_catches_up_gets_little_at_a_time(void **state)
{
    (void)state;
    begin();
    feed_free(feed);
    feed = feed_new(&bed.nodes[1].replicas, 2, true, &TRANSPORT, &bed);
    for (unsigned i = 0; i < 8; i++) {
        put_batch(&bed, 1, 1, 250000);
    }
    run_durable(&bed, 1);
    fetch((struct position){ .last_epoch = -1, .max_bytes = MIB(1) });
    while (n_answers < 2) {
        run_ms(&bed, 1);
    }
    run_ms(&bed, 20);
    unsigned n = n_answers;
    assert_true(n <= 3);
    assert_true(answers[0].bytes < 300000);
    progress(n, n, 0);
    while (n_answers == n) {
        run_ms(&bed, 1);
    }
    n_answers = 0; /* it begins anew: what was on the way is not */
    fetch((struct position){ .last_epoch = -1, .max_bytes = MIB(1) });
    while (n_answers < 2) {
        run_ms(&bed, 1);
    }
    end();
}

static void nonsense_ends_the_stream(void **state)
{
    static const uint8_t FRAMES[][6] = { { 0 }, { FEED_FETCH, 1, 2, 3 }, { FEED_PROGRESS, 0xff },
                                         { FEED_RECORDS, 0, 0 },         { 77, 1, 2, 3, 4, 5 } };
    (void)state;
    begin();
    assert_int_equal(feed_receive(feed, bytes_of(FRAMES[0], 0)), -EBADMSG);
    for (size_t i = 0; i < countof(FRAMES); i++) {
        assert_int_equal(feed_receive(feed, bytes_of(FRAMES[i], sizeof FRAMES[i])), -EBADMSG);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_without_being_asked_for_again),
        cmocka_unit_test(so_much_is_on_the_way_and_no_more),
        cmocka_unit_test(a_slow_link_is_waited_for),
        cmocka_unit_test(the_high_watermark_comes_without_records_too),
        cmocka_unit_test(diverging_logs_are_told_where),
        cmocka_unit_test(what_is_said_right_behind_a_fetch_counts),
        cmocka_unit_test(followers_of_other_epochs_are_told_or_waited_for),
        cmocka_unit_test(a_leader_whose_epoch_has_not_begun_asks_for_patience),
        cmocka_unit_test(unknown_partitions_are_refused),
        cmocka_unit_test(a_partition_that_is_forgotten_gets_nothing_more),
        cmocka_unit_test(who_catches_up_gets_little_at_a_time),
        cmocka_unit_test(nonsense_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
