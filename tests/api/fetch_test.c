/* Fetch: what is read, how much of it, how long it waits, and sessions (KIP-227). */
#include "steps.h"

#include <chronik/wire/records.h>

#include <time.h>

/* ---- one partition, without a session ---------------------------------------------------------*/

struct ask {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int32_t epoch;         /* 0: the default, none */
    int32_t wait_ms, min_bytes;
    int32_t max_bytes, partition_max_bytes; /* 0: a lot */
};

static struct fetch_request_partition part_of(const struct ask *ask)
{
    struct fetch_request_partition p = fetch_request_partition_default;
    p.partition_index = ask->partition;
    p.fetch_offset = ask->offset;
    p.current_leader_epoch = ask->epoch ? ask->epoch : -1;
    p.partition_max_bytes = ask->partition_max_bytes ? ask->partition_max_bytes : 1 << 20;
    return p;
}

static struct fetch_request request_of(const struct ask *ask)
{
    struct fetch_request in = fetch_request_default;
    in.replica_id = -1;
    in.max_wait_ms = ask->wait_ms;
    in.min_bytes = ask->min_bytes;
    in.max_bytes = ask->max_bytes ? ask->max_bytes : 1 << 24;
    return in;
}

static struct fetch_response_partition *fetch(struct client *client, int16_t version,
                                              struct ask ask)
{
    struct fetch_request_partition p = part_of(&ask);
    struct fetch_request_topic t = { .name = text_of(ask.topic), .partitions = &p,
                                     .n_partitions = 1 };
    struct fetch_request in = request_of(&ask);
    in.topics = &t;
    in.n_topics = 1;
    struct fetch_response *out = CALL(client, fetch, version, &in);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->n_topics, 1);
    assert_int_equal(out->topics[0].n_partitions, 1);
    assert_int_equal(out->topics[0].partitions[0].partition_index, ask.partition);
    return &out->topics[0].partitions[0];
}

/* The offsets of the records, first and last; they follow each other and every batch is sound. */
struct range {
    int64_t first, last; /* -1: none */
};

static struct range read_records(const struct fetch_response_partition *p)
{
    struct bytes rest = p->records.view;
    struct range range = { -1, -1 };
    while (rest.len > 0) {
        struct batch batch;
        struct record_iter it;
        struct record record;
        assert_int_equal(batch_parse(rest, &batch), KAFKA_NONE);
        assert_true(batch_crc_ok(&batch));
        assert_int_equal(record_iter_init(&it, &batch, MIB(16), NULL), 0);
        while (record_iter_next(&it, &record)) {
            assert_true(range.last < 0 || record.offset == range.last + 1);
            range.first = range.first < 0 ? record.offset : range.first;
            range.last = record.offset;
        }
        assert_int_equal(it.next, it.n);
        rest = bytes_part(rest, batch.raw.len, rest.len - batch.raw.len);
    }
    return range;
}

static void assert_records(const struct fetch_response_partition *p, int64_t first, int64_t last)
{
    assert_error(p->error, KAFKA_NONE);
    struct range range = read_records(p);
    assert_int_equal(range.first, first);
    assert_int_equal(range.last, last);
}

/* `n` batches of five records each. */
static void make_filled_topic(struct client *client, const char *topic, unsigned n)
{
    make_topic(client, topic, 1, (const char *[]){ "retention.ms=-1", NULL });
    for (unsigned i = 0; i < n; i++) {
        struct bytes batch = make_batch(client, "v", 5, 1000 + i * 10);
        assert_error(produce(client, 9, topic, 0, -1, batch)->error, KAFKA_NONE);
    }
}

static void every_version_reads_what_was_written(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_filled_topic(&client, "read", 3);
    for (int16_t v = 4; v <= 12; v++) {
        struct fetch_response_partition *p = fetch(&client, v, (struct ask){ .topic = "read" });
        assert_records(p, 0, 14);
        assert_int_equal(p->high_watermark, 15);
        assert_int_equal(p->last_stable_offset, 15);
        assert_int_equal(p->log_start_offset, v >= 5 ? 0 : -1);
        assert_int_equal(p->n_aborted_transactions, -1);
        assert_int_equal(p->preferred_read_replica, -1);
    }
    client_close(&client);
}

static void topics_are_fetched_by_id_from_version_13_on(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "by-id", 1, NULL);
    produce_some(&client, "by-id", 0, 2);
    for (int16_t v = 13; v <= 18; v++) {
        struct ask ask = { .offset = 0 };
        struct fetch_request_partition p = part_of(&ask);
        struct fetch_request_topic topics[] = {
            { .topic_id = id, .partitions = &p, .n_partitions = 1 },
            { .topic_id = { { 5, 5 } }, .partitions = &p, .n_partitions = 1 },
        };
        struct fetch_request in = request_of(&ask);
        in.topics = topics;
        in.n_topics = 2;
        struct fetch_response *out = CALL(&client, fetch, v, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->n_topics, 2);
        for (int32_t t = 0; t < 2; t++) {
            if (uuid_equal(&out->topics[t].topic_id, &id)) {
                assert_records(&out->topics[t].partitions[0], 0, 1);
            } else {
                assert_error(out->topics[t].partitions[0].error, KAFKA_UNKNOWN_TOPIC_ID);
            }
        }
    }
    client_close(&client);
}

static void an_offset_inside_a_batch_gets_the_whole_batch(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_filled_topic(&client, "inside", 3);
    for (int64_t offset = 0; offset < 15; offset++) {
        struct ask ask = { .topic = "inside", .offset = offset };
        assert_records(fetch(&client, 11, ask), offset / 5 * 5, 14);
    }
    client_close(&client);
}

static void the_end_is_an_offset_and_beyond_it_there_is_none(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_filled_topic(&client, "ranged", 2);
    assert_records(fetch(&client, 11, (struct ask){ .topic = "ranged", .offset = 10 }), -1, -1);
    struct fetch_response_partition *p =
        fetch(&client, 11, (struct ask){ .topic = "ranged", .offset = 11 });
    assert_error(p->error, KAFKA_OFFSET_OUT_OF_RANGE);
    p = fetch(&client, 11, (struct ask){ .topic = "ranged", .offset = -1 });
    assert_error(p->error, KAFKA_OFFSET_OUT_OF_RANGE);
    /* Below the log start as well. */
    struct delete_records_request_partition trim = { 0, 5 };
    struct delete_records_request_topic t = { .name = text_of("ranged"), .partitions = &trim,
                                              .n_partitions = 1 };
    struct delete_records_request in = { .topics = &t, .n_topics = 1, .timeout_ms = 30000 };
    CALL(&client, delete_records, 2, &in);
    p = fetch(&client, 11, (struct ask){ .topic = "ranged", .offset = 4 });
    assert_error(p->error, KAFKA_OFFSET_OUT_OF_RANGE);
    p = fetch(&client, 11, (struct ask){ .topic = "ranged", .offset = 5 });
    assert_records(p, 5, 9);
    assert_int_equal(p->log_start_offset, 5);
    client_close(&client);
}

static void unknown_partitions_and_other_epochs_are_told_apart(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_filled_topic(&client, "checked", 1);
    struct ask ask = { .topic = "checked", .partition = 3 };
    assert_error(fetch(&client, 11, ask)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask = (struct ask){ .topic = "missing" };
    assert_error(fetch(&client, 11, ask)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask = (struct ask){ .topic = "checked", .epoch = 1000 };
    assert_error(fetch(&client, 11, ask)->error, KAFKA_UNKNOWN_LEADER_EPOCH);
    client_close(&client);
}

static void a_consumer_cannot_pose_as_a_follower(void **state)
{
    struct client client;
    struct ask ask = { .topic = "posed" };
    struct fetch_request_partition p = part_of(&ask);
    struct fetch_request_topic t = { .name = text_of("posed"), .partitions = &p,
                                     .n_partitions = 1 };
    struct fetch_request in = request_of(&ask);
    client_open(&client, *state);
    make_filled_topic(&client, "posed", 1);
    in.replica_id = 2;
    in.topics = &t;
    in.n_topics = 1;
    struct fetch_response *out = CALL(&client, fetch, 11, &in);
    assert_true(out->error != KAFKA_NONE || out->topics[0].partitions[0].error != KAFKA_NONE);
    client_close(&client);
}

/* Apache Kafka 4.4 does not ask whether a client that old can know the codec. */
static void zstd_batches_go_out_on_every_version(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "zstd", 1, (const char *[]){ "compression.type=zstd", NULL });
    produce_some(&client, "zstd", 0, 1);
    for (int16_t v = 4; v <= 12; v += 4) {
        struct fetch_response_partition *p = fetch(&client, v, (struct ask){ .topic = "zstd" });
        struct batch batch;
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(batch_parse(p->records.view, &batch), KAFKA_NONE);
        assert_int_equal(batch_codec(&batch), CODEC_ZSTD); /* the topic's, not the producer's */
    }
    client_close(&client);
}

/* ---- limits -----------------------------------------------------------------------------------*/

static void a_partition_gets_whole_batches_up_to_its_limit_and_one_at_least(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_filled_topic(&client, "limited", 4);
    struct fetch_response_partition *p = fetch(&client, 11, (struct ask){ .topic = "limited" });
    size_t all = p->records.view.len, one = all / 4;
    struct ask ask = { .topic = "limited", .partition_max_bytes = 1 };
    assert_records(fetch(&client, 11, ask), 0, 4);
    ask.partition_max_bytes = (int32_t)(2 * one + one / 2);
    assert_records(fetch(&client, 11, ask), 0, 9);
    ask = (struct ask){ .topic = "limited", .max_bytes = 1 };
    assert_records(fetch(&client, 11, ask), 0, 4);
    ask.max_bytes = (int32_t)(3 * one);
    assert_records(fetch(&client, 11, ask), 0, 14);
    client_close(&client);
}

/* The first partition may exceed the limit with one batch; then there is nothing for the others. */
static void the_limit_of_a_request_is_shared_by_its_partitions(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "shared", 2, NULL);
    for (int32_t i = 0; i < 2; i++) {
        produce_some(&client, "shared", i, 3);
    }
    struct ask ask = { .topic = "shared", .max_bytes = 1 };
    struct fetch_request_partition parts[] = { part_of(&ask), part_of(&ask) };
    struct fetch_request_topic t = { .name = text_of("shared"), .partitions = parts,
                                     .n_partitions = 2 };
    struct fetch_request in = request_of(&ask);
    parts[1].partition_index = 1;
    in.topics = &t;
    in.n_topics = 1;
    struct fetch_response *out = CALL(&client, fetch, 11, &in);
    unsigned with_records = 0;
    for (int32_t i = 0; i < out->topics[0].n_partitions; i++) {
        with_records += out->topics[0].partitions[i].records.view.len > 0;
    }
    assert_int_equal(with_records, 1);
    client_close(&client);
}

/* ---- waiting ----------------------------------------------------------------------------------*/

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void without_records_a_fetch_waits_as_long_as_it_may(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "silent", 1, NULL);
    int64_t begin = clock_ms();
    struct ask ask = { .topic = "silent", .wait_ms = 120, .min_bytes = 1 };
    assert_records(fetch(&client, 11, ask), -1, -1);
    assert_true(clock_ms() - begin >= 115);
    /* Nothing to wait for: no bytes are wanted, or there is an error to tell. */
    ask = (struct ask){ .topic = "silent", .wait_ms = 60000, .min_bytes = 0 };
    assert_records(fetch(&client, 11, ask), -1, -1);
    ask = (struct ask){ .topic = "missing", .wait_ms = 60000, .min_bytes = 1 };
    fetch(&client, 11, ask);
    client_close(&client);
}

/* Sends a fetch that has to wait, and returns its correlation id. */
static int32_t send_waiting(struct client *client, const char *topic, int32_t min_bytes)
{
    struct ask ask = { .topic = topic, .wait_ms = 60000, .min_bytes = min_bytes };
    struct fetch_request_partition p = part_of(&ask);
    struct fetch_request_topic t = { .name = text_of(topic), .partitions = &p,
                                     .n_partitions = 1 };
    struct fetch_request in = request_of(&ask);
    in.topics = &t;
    in.n_topics = 1;
    return client_send(client, &wire_fetch, 11, &in);
}

static void a_waiting_fetch_is_woken_by_a_record(void **state)
{
    struct client reader, writer;
    client_open(&reader, *state);
    client_open(&writer, *state);
    make_topic(&writer, "awaited", 1, NULL);
    for (int64_t i = 0; i < 5; i++) {
        int32_t id = send_waiting(&reader, "awaited", i == 0 ? 1 : (int32_t)i * 75);
        produce_some(&writer, "awaited", 0, 1);
        struct fetch_response *out = client_receive(&reader, &wire_fetch, 11, id);
        assert_true(read_records(&out->topics[0].partitions[0]).last >= 0);
    }
    client_close(&reader);
    client_close(&writer);
}

static void a_waiting_fetch_waits_for_as_many_bytes_as_it_wants(void **state)
{
    struct client reader, writer;
    client_open(&reader, *state);
    client_open(&writer, *state);
    make_topic(&writer, "gathered", 1, NULL);
    struct bytes batch = make_batch(&writer, "v", 1, 1);
    int32_t id = send_waiting(&reader, "gathered", (int32_t)batch.len * 3);
    produce_some(&writer, "gathered", 0, 6);
    struct fetch_response *out = client_receive(&reader, &wire_fetch, 11, id);
    assert_true(out->topics[0].partitions[0].records.view.len >= batch.len * 3);
    client_close(&reader);
    client_close(&writer);
}

static void deleting_the_topic_ends_the_waiting(void **state)
{
    struct client reader, writer;
    struct text name = text_of("doomed");
    struct delete_topics_request gone = { .topic_names = &name, .n_topic_names = 1,
                                          .timeout_ms = 30000 };
    client_open(&reader, *state);
    client_open(&writer, *state);
    make_topic(&writer, "doomed", 1, NULL);
    int32_t id = send_waiting(&reader, "doomed", 1);
    /* A second request of the reader would wait behind the first: the writer looks instead. */
    assert_error(CALL(&writer, delete_topics, 5, &gone)->topics[0].error, KAFKA_NONE);
    struct fetch_response *out = client_receive(&reader, &wire_fetch, 11, id);
    assert_true(out->topics[0].partitions[0].error != KAFKA_NONE);
    client_close(&reader);
    client_close(&writer);
}

/* ---- sessions ---------------------------------------------------------------------------------*/

/* A fetch on the topic "session" with partitions 0 to 2. */
static struct fetch_response *session_fetch(struct client *client, const char *topic,
                                            int32_t session, int32_t epoch,
                                            const int64_t *offsets, int32_t forget)
{
    struct ask ask = { .topic = topic };
    struct fetch_request_partition parts[3];
    struct fetch_request_topic t = { .name = text_of(topic), .partitions = parts };
    struct fetch_request_forgotten_topic f = { .name = text_of(topic), .partitions = &forget,
                                               .n_partitions = 1 };
    struct fetch_request in = request_of(&ask);
    for (int32_t i = 0; offsets != NULL && i < 3; i++) {
        if (offsets[i] >= 0) {
            parts[t.n_partitions] = part_of(&ask);
            parts[t.n_partitions].partition_index = i;
            parts[t.n_partitions++].fetch_offset = offsets[i];
        }
    }
    in.session_id = session;
    in.session_epoch = epoch;
    in.topics = &t;
    in.n_topics = t.n_partitions > 0 ? 1 : 0;
    in.forgotten_topics = &f;
    in.n_forgotten_topics = forget >= 0 ? 1 : 0;
    return CALL(client, fetch, 12, &in);
}

static unsigned count_partitions(const struct fetch_response *out)
{
    unsigned n = 0;
    for (int32_t t = 0; t < out->n_topics; t++) {
        n += (unsigned)out->topics[t].n_partitions;
    }
    return n;
}

static void a_session_tells_what_is_new_and_nothing_else(void **state)
{
    static const int64_t START[] = { 0, 0, 0 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "session", 3, NULL);
    produce_some(&client, "session", 1, 2);

    struct fetch_response *out = session_fetch(&client, "session", 0, 0, START, -1);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(count_partitions(out), 3); /* the first answer has everything */
    int32_t id = out->session_id;
    assert_true(id > 0);

    /* Partition 1 goes on behind what was read; nothing is new. */
    out = session_fetch(&client, "session", id, 1, (const int64_t[]){ -1, 2, -1 }, -1);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->session_id, id);
    assert_int_equal(count_partitions(out), 0);

    produce_some(&client, "session", 2, 1);
    out = session_fetch(&client, "session", id, 2, NULL, -1);
    assert_int_equal(count_partitions(out), 1);
    assert_int_equal(out->topics[0].partitions[0].partition_index, 2);
    assert_records(&out->topics[0].partitions[0], 0, 0);

    /* It was not told to go on: the same comes again. */
    out = session_fetch(&client, "session", id, 3, NULL, -1);
    assert_int_equal(count_partitions(out), 1);

    /* Forgotten partitions are not heard of any more. */
    out = session_fetch(&client, "session", id, 4, NULL, 2);
    assert_int_equal(count_partitions(out), 0);
    produce_some(&client, "session", 2, 1);
    out = session_fetch(&client, "session", id, 5, NULL, -1);
    assert_int_equal(count_partitions(out), 0);
    client_close(&client);
}

static void sessions_have_ids_and_epochs_that_must_fit(void **state)
{
    static const int64_t START[] = { 0, -1, -1 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "numbered", 3, NULL);
    int32_t id = session_fetch(&client, "numbered", 0, 0, START, -1)->session_id;
    assert_true(id > 0);
    assert_error(session_fetch(&client, "numbered", id, 2, NULL, -1)->error,
                 KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_error(session_fetch(&client, "numbered", id, 1, NULL, -1)->error, KAFKA_NONE);
    assert_error(session_fetch(&client, "numbered", id, 1, NULL, -1)->error,
                 KAFKA_INVALID_FETCH_SESSION_EPOCH);
    int32_t other = id == 12345 ? 54321 : 12345;
    assert_error(session_fetch(&client, "numbered", other, 1, NULL, -1)->error,
                 KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    client_close(&client);
}

static void the_final_epoch_closes_a_session(void **state)
{
    static const int64_t START[] = { 0, 0, -1 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "closed", 3, NULL);
    int32_t id = session_fetch(&client, "closed", 0, 0, START, -1)->session_id;
    struct fetch_response *out = session_fetch(&client, "closed", id, -1, START, -1);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->session_id, 0);
    assert_int_equal(count_partitions(out), 2);
    assert_error(session_fetch(&client, "closed", id, 1, NULL, -1)->error,
                 KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    client_close(&client);
}

static void a_new_session_takes_the_place_of_the_one_it_names(void **state)
{
    static const int64_t START[] = { 0, -1, -1 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "renewed", 3, NULL);
    int32_t first = session_fetch(&client, "renewed", 0, 0, START, -1)->session_id;
    int32_t second = session_fetch(&client, "renewed", first, 0, START, -1)->session_id;
    assert_true(second > 0 && second != first);
    assert_error(session_fetch(&client, "renewed", first, 1, NULL, -1)->error,
                 KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_error(session_fetch(&client, "renewed", second, 1, NULL, -1)->error, KAFKA_NONE);
    client_close(&client);
}

static void errors_of_a_session_are_told_each_time(void **state)
{
    static const int64_t FAR[] = { 99, -1, -1 };
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "astray", 3, NULL);
    struct fetch_response *out = session_fetch(&client, "astray", 0, 0, FAR, -1);
    int32_t id = out->session_id;
    assert_error(out->topics[0].partitions[0].error, KAFKA_OFFSET_OUT_OF_RANGE);
    out = session_fetch(&client, "astray", id, 1, NULL, -1);
    assert_int_equal(count_partitions(out), 1);
    assert_error(out->topics[0].partitions[0].error, KAFKA_OFFSET_OUT_OF_RANGE);
    client_close(&client);
}

/* Many fetches through one session, a little at a time: every record comes, once, in order. */
static void a_session_reads_a_partition_to_its_end(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "whole", 3, NULL);
    for (int32_t i = 0; i < 3; i++) {
        produce_some(&client, "whole", i, 40);
    }
    int64_t next[] = { 0, 0, 0 };
    int32_t id = 0;
    for (int32_t epoch = 0; next[0] + next[1] + next[2] < 120; epoch++) {
        struct ask ask = { .topic = "whole", .max_bytes = 500, .partition_max_bytes = 200 };
        struct fetch_request_partition parts[3];
        struct fetch_request_topic t = { .name = text_of("whole"), .partitions = parts,
                                         .n_partitions = 3 };
        struct fetch_request in = request_of(&ask);
        for (int32_t i = 0; i < 3; i++) {
            parts[i] = part_of(&ask);
            parts[i].partition_index = i;
            parts[i].fetch_offset = next[i];
        }
        in.session_id = id;
        in.session_epoch = epoch;
        in.topics = &t;
        in.n_topics = 1;
        struct fetch_response *out = CALL(&client, fetch, 12, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_true(epoch < 200);
        id = out->session_id;
        for (int32_t k = 0; k < out->n_topics; k++) {
            for (int32_t i = 0; i < out->topics[k].n_partitions; i++) {
                struct fetch_response_partition *p = &out->topics[k].partitions[i];
                struct range range = read_records(p);
                if (range.first >= 0) {
                    assert_int_equal(range.first, next[p->partition_index]);
                    next[p->partition_index] = range.last + 1;
                }
            }
        }
        client_forget(&client);
    }
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_reads_what_was_written),
        cmocka_unit_test(topics_are_fetched_by_id_from_version_13_on),
        cmocka_unit_test(an_offset_inside_a_batch_gets_the_whole_batch),
        cmocka_unit_test(the_end_is_an_offset_and_beyond_it_there_is_none),
        cmocka_unit_test(unknown_partitions_and_other_epochs_are_told_apart),
        cmocka_unit_test(a_consumer_cannot_pose_as_a_follower),
        cmocka_unit_test(zstd_batches_go_out_on_every_version),
        cmocka_unit_test(a_partition_gets_whole_batches_up_to_its_limit_and_one_at_least),
        cmocka_unit_test(the_limit_of_a_request_is_shared_by_its_partitions),
        cmocka_unit_test(without_records_a_fetch_waits_as_long_as_it_may),
        cmocka_unit_test(a_waiting_fetch_is_woken_by_a_record),
        cmocka_unit_test(a_waiting_fetch_waits_for_as_many_bytes_as_it_wants),
        cmocka_unit_test(deleting_the_topic_ends_the_waiting),
        cmocka_unit_test(a_session_tells_what_is_new_and_nothing_else),
        cmocka_unit_test(sessions_have_ids_and_epochs_that_must_fit),
        cmocka_unit_test(the_final_epoch_closes_a_session),
        cmocka_unit_test(a_new_session_takes_the_place_of_the_one_it_names),
        cmocka_unit_test(errors_of_a_session_are_told_each_time),
        cmocka_unit_test(a_session_reads_a_partition_to_its_end),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
