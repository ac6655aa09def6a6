/* Produce and InitProducerId: what is appended, what is refused, and with which words. */
#include "steps.h"

#include <chronik/base/crc32c.h>
#include <chronik/wire/records.h>

#include <time.h>

static int64_t now_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

/* A batch of one record, kept until client_forget(). `producer`: id, or -1. */
static struct bytes batch_of(struct client *client, enum codec codec, const char *key,
                             const char *value, int64_t timestamp, int64_t producer,
                             int16_t epoch, int32_t sequence)
{
    struct batch_builder b;
    batch_builder_init(&b);
    b.codec = codec;
    b.producer_id = producer;
    b.producer_epoch = epoch;
    b.base_sequence = sequence;
    batch_builder_add(&b, timestamp, bytes_of(key, key ? strlen(key) : 0),
                      bytes_of(value, value ? strlen(value) : 0), bytes_of(NULL, 0), 0);
    struct bytes done = batch_builder_finish(&b);
    struct bytes copy = bytes_of(arena_dup(&client->arena, done.data, done.len), done.len);
    batch_builder_release(&b);
    return copy;
}

static struct bytes plain_batch(struct client *client)
{
    return batch_of(client, CODEC_NONE, NULL, "value", now_ms(), -1, -1, -1);
}

/* After the batch was changed behind the CRC field. */
static void renew_crc(struct bytes batch)
{
    uint8_t *raw = (uint8_t *)(uintptr_t)batch.data;
    store_be32(raw + 17, crc32c(0, raw + BATCH_CRC_FROM, batch.len - BATCH_CRC_FROM));
}

static void poke(struct bytes batch, size_t at, uint8_t byte)
{
    ((uint8_t *)(uintptr_t)batch.data)[at] = byte;
}

/* ---- appending --------------------------------------------------------------------------------*/

static void every_version_appends_and_tells_the_offset(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "appended", 1, NULL);
    for (int16_t v = 3; v <= 12; v++) {
        struct produce_response_partition *p =
            produce(&client, v, "appended", 0, v % 2 ? -1 : 1, plain_batch(&client));
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->base_offset, v - 3);
        assert_int_equal(p->log_append_time_ms, -1);
        assert_int_equal(p->log_start_offset, v >= 5 ? 0 : -1);
    }
    struct produce_request_partition p = { .records.view = plain_batch(&client) };
    struct produce_request_topic t = { .topic_id = id, .partitions = &p, .n_partitions = 1 };
    struct produce_request in = { .acks = -1, .timeout_ms = 30000, .topics = &t, .n_topics = 1 };
    struct produce_response *out = CALL(&client, produce, 13, &in);
    assert_error(out->topics[0].partitions[0].error, KAFKA_NONE);
    assert_int_equal(out->topics[0].partitions[0].base_offset, 10);
    assert_true(uuid_equal(&out->topics[0].topic_id, &id));
    assert_int_equal(list_offset(&client, "appended", 0, -1), 11);
    client_close(&client);
}

static void every_codec_is_taken(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "packed", 1, NULL);
    for (enum codec codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
        struct bytes batch = batch_of(&client, codec, NULL, "value", now_ms(), -1, -1, -1);
        assert_error(produce(&client, 7, "packed", 0, -1, batch)->error, KAFKA_NONE);
    }
    client_close(&client);
}

static void without_acks_there_is_no_answer_and_an_error_closes_the_connection(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "unheard", 1, NULL);
    struct produce_request_partition p = { .records.view = plain_batch(&client) };
    struct produce_request_topic t = { .name = text_of("unheard"), .partitions = &p,
                                       .n_partitions = 1 };
    struct produce_request in = { .acks = 0, .timeout_ms = 30000, .topics = &t, .n_topics = 1 };
    client_send(&client, &wire_produce, 9, &in);
    /* The next answer is that of the next request, whose record comes behind the one unheard. */
    assert_int_equal(produce(&client, 9, "unheard", 0, -1, plain_batch(&client))->base_offset, 1);
    assert_int_equal(list_offset(&client, "unheard", 0, -1), 2);
    struct bytes broken = plain_batch(&client);
    poke(broken, broken.len - 2, 'X');
    p.records.view = broken;
    client_send(&client, &wire_produce, 9, &in);
    assert_true(client_is_shut(&client));
    client_close(&client);
}

static void the_brokers_clock_stamps_where_the_topic_says_so(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "stamped", 1,
               (const char *[]){ "message.timestamp.type=LogAppendTime", NULL });
    struct bytes batch = batch_of(&client, CODEC_NONE, NULL, "value", 1, -1, -1, -1);
    struct produce_response_partition *p = produce(&client, 9, "stamped", 0, -1, batch);
    assert_error(p->error, KAFKA_NONE);
    assert_true(p->log_append_time_ms > now_ms() - 60000);
    client_close(&client);
}

static void more_in_sync_replicas_than_there_are_replicas_do_not_stop_writes(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "strict", 1, (const char *[]){ "min.insync.replicas=3", NULL });
    assert_error(produce(&client, 9, "strict", 0, -1, plain_batch(&client))->error, KAFKA_NONE);
    client_close(&client);
}

/* ---- refusing ---------------------------------------------------------------------------------*/

static void unknown_partitions_topics_and_ids_are_told_apart(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "known", 1, NULL);
    struct bytes batch = plain_batch(&client);
    assert_error(produce(&client, 9, "known", 1, -1, batch)->error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(produce(&client, 9, "known", -1, -1, batch)->error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(produce(&client, 9, "missing", 0, -1, batch)->error,
                 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct produce_request_partition p = { .records.view = batch };
    struct produce_request_topic t = { .topic_id = { { 4 } }, .partitions = &p,
                                       .n_partitions = 1 };
    struct produce_request in = { .acks = -1, .timeout_ms = 30000, .topics = &t, .n_topics = 1 };
    assert_error(CALL(&client, produce, 13, &in)->topics[0].partitions[0].error,
                 KAFKA_UNKNOWN_TOPIC_ID);
    client_close(&client);
}

static void numbers_of_acks_that_do_not_exist_are_refused(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "acked", 1, NULL);
    assert_error(produce(&client, 9, "acked", 0, 2, plain_batch(&client))->error,
                 KAFKA_INVALID_REQUIRED_ACKS);
    assert_error(produce(&client, 9, "acked", 0, -2, plain_batch(&client))->error,
                 KAFKA_INVALID_REQUIRED_ACKS);
    assert_int_equal(list_offset(&client, "acked", 0, -1), 0);
    client_close(&client);
}

static void damaged_batches_are_refused_and_nothing_is_appended(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "damaged", 1, NULL);
    struct bytes batch = plain_batch(&client);
    poke(batch, batch.len - 2, 'X');
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_CORRUPT_MESSAGE);

    batch = plain_batch(&client); /* a count that lies */
    poke(batch, 60, 9);
    renew_crc(batch);
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_INVALID_RECORD);

    batch = plain_batch(&client); /* a base offset of its own */
    poke(batch, 7, 5);
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_INVALID_RECORD);

    batch = plain_batch(&client); /* a codec that does not exist */
    poke(batch, 22, 6);
    renew_crc(batch);
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error,
                 KAFKA_UNSUPPORTED_COMPRESSION_TYPE);

    batch = plain_batch(&client); /* a control batch */
    poke(batch, 22, BATCH_CONTROL);
    renew_crc(batch);
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_INVALID_RECORD);

    batch = plain_batch(&client); /* an old format */
    poke(batch, 16, 1);
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_INVALID_RECORD);

    batch.len = 30; /* cut short */
    assert_error(produce(&client, 9, "damaged", 0, -1, batch)->error, KAFKA_INVALID_RECORD);
    assert_error(produce(&client, 9, "damaged", 0, -1, bytes_of(NULL, 0))->error,
                 KAFKA_INVALID_RECORD);
    assert_int_equal(list_offset(&client, "damaged", 0, -1), 0);
    client_close(&client);
}

static void one_batch_for_a_partition_and_no_more(void **state)
{
    struct client client;
    struct buf two = { 0 };
    client_open(&client, *state);
    make_topic(&client, "doubled", 1, NULL);
    struct bytes batch = plain_batch(&client);
    buf_put(&two, batch.data, batch.len);
    buf_put(&two, batch.data, batch.len);
    assert_error(produce(&client, 9, "doubled", 0, -1, buf_bytes(&two))->error,
                 KAFKA_INVALID_RECORD);
    assert_int_equal(list_offset(&client, "doubled", 0, -1), 0);
    buf_release(&two);
    client_close(&client);
}

static void zstd_needs_version_7(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "zstd", 1, NULL);
    struct bytes batch = batch_of(&client, CODEC_ZSTD, NULL, "value", now_ms(), -1, -1, -1);
    assert_error(produce(&client, 6, "zstd", 0, -1, batch)->error,
                 KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    assert_error(produce(&client, 7, "zstd", 0, -1, batch)->error, KAFKA_NONE);
    client_close(&client);
}

static void records_without_keys_are_named_on_compacted_topics(void **state)
{
    struct client client;
    struct batch_builder b;
    struct bytes none = bytes_of(NULL, 0), text = bytes_of("text", 4);
    client_open(&client, *state);
    make_topic(&client, "keyed", 1, (const char *[]){ "cleanup.policy=compact", NULL });
    batch_builder_init(&b);
    batch_builder_add(&b, now_ms(), text, text, none, 0);
    batch_builder_add(&b, now_ms(), none, text, none, 0);
    batch_builder_add(&b, now_ms(), none, text, none, 0);
    struct produce_response_partition *p =
        produce(&client, 8, "keyed", 0, -1, batch_builder_finish(&b));
    assert_error(p->error, KAFKA_INVALID_RECORD);
    assert_int_equal(p->base_offset, -1);
    assert_int_equal(p->n_record_errors, 2);
    assert_int_equal(p->record_errors[0].batch_index, 1);
    assert_int_equal(p->record_errors[1].batch_index, 2);
    assert_true(p->record_errors[0].message.len > 0);
    assert_true(p->error_message.len > 0);
    batch_builder_release(&b);
    client_close(&client);
}

static void records_from_the_future_are_refused(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "timely", 1, NULL);
    struct bytes batch =
        batch_of(&client, CODEC_NONE, NULL, "value", now_ms() + 2 * 3600000, -1, -1, -1);
    struct produce_response_partition *p = produce(&client, 8, "timely", 0, -1, batch);
    assert_error(p->error, KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(p->n_record_errors, 1);
    client_close(&client);
}

static void one_partitions_error_does_not_touch_the_others(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "several", 3, NULL);
    struct produce_request_partition parts[3];
    for (int32_t i = 0; i < 3; i++) {
        parts[i].partition_index = i;
        parts[i].records = (struct records){ .view = plain_batch(&client) };
    }
    poke(parts[1].records.view, 40, 0x55);
    struct produce_request_topic t = { .name = text_of("several"), .partitions = parts,
                                       .n_partitions = 3 };
    struct produce_request in = { .acks = -1, .timeout_ms = 30000, .topics = &t, .n_topics = 1 };
    struct produce_response_partition *out =
        CALL(&client, produce, 9, &in)->topics[0].partitions;
    assert_error(out[0].error, KAFKA_NONE);
    assert_error(out[1].error, KAFKA_CORRUPT_MESSAGE);
    assert_error(out[2].error, KAFKA_NONE);
    client_close(&client);
}

/* ---- idempotence ------------------------------------------------------------------------------*/

static int64_t new_producer(struct client *client, int16_t version)
{
    struct init_producer_id_request in = init_producer_id_request_default;
    in.transactional_id = TEXT_NULL;
    in.transaction_timeout_ms = 60000;
    struct init_producer_id_response *out = CALL(client, init_producer_id, version, &in);
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->producer_epoch, 0);
    return out->producer_id;
}

static void every_producer_gets_an_id_of_its_own(void **state)
{
    struct client client;
    int64_t last = -1;
    client_open(&client, *state);
    for (int i = 0; i < 3000; i++) { /* more than one block of ids */
        int64_t id = new_producer(&client, (int16_t)(i % 6));
        assert_true(id > last);
        last = id;
        client_forget(&client);
    }
    client_close(&client);
}

static void ids_are_not_given_again_after_a_restart(void **state)
{
    struct daemon daemon;
    struct client client;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    int64_t before = new_producer(&client, 4);
    client_close(&client);
    daemon_kill(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    assert_true(new_producer(&client, 4) > before);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

static void transactional_ids_get_a_retriable_error(void **state)
{
    struct client client;
    struct init_producer_id_request in = init_producer_id_request_default;
    client_open(&client, *state);
    in.transactional_id = text_of("transaction");
    in.transaction_timeout_ms = 1000;
    assert_error(CALL(&client, init_producer_id, 4, &in)->error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    in.transactional_id = text_of("");
    assert_error(CALL(&client, init_producer_id, 4, &in)->error, KAFKA_INVALID_REQUEST);
    client_close(&client);
}

static struct produce_response_partition *send_sequence(struct client *client, int64_t producer,
                                                        int16_t epoch, int32_t sequence)
{
    struct bytes batch = batch_of(client, CODEC_NONE, NULL, "value", now_ms(), producer, epoch,
                                  sequence);
    return produce(client, 9, "sequences", 0, -1, batch);
}

static void a_batch_sent_again_is_answered_with_its_first_offset(void **state)
{
    struct client client;
    client_open(&client, *state);
    make_topic(&client, "sequences", 1, NULL);
    int64_t id = new_producer(&client, 4), first = -1;
    for (int32_t i = 0; i < 7; i++) {
        struct produce_response_partition *p = send_sequence(&client, id, 0, i);
        assert_error(p->error, KAFKA_NONE);
        assert_int_equal(p->base_offset, i);
        first = i == 2 ? p->base_offset : first;
    }
    struct produce_response_partition *p = send_sequence(&client, id, 0, 2);
    assert_error(p->error, KAFKA_NONE); /* among the last five */
    assert_int_equal(p->base_offset, first);
    assert_error(send_sequence(&client, id, 0, 0)->error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_error(send_sequence(&client, id, 0, 9)->error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_error(send_sequence(&client, id, 1, 0)->error, KAFKA_NONE);
    assert_error(send_sequence(&client, id, 0, 7)->error, KAFKA_INVALID_PRODUCER_EPOCH);
    assert_error(send_sequence(&client, id, 2, 3)->error, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(list_offset(&client, "sequences", 0, -1), 8);
    /* A partition that has not seen a producer takes any sequence. */
    assert_error(send_sequence(&client, new_producer(&client, 4), 0, 1234)->error, KAFKA_NONE);
    client_close(&client);
}

static void duplicates_are_still_known_after_kill_9(void **state)
{
    struct daemon daemon;
    struct client client;
    (void)state;
    daemon_init(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    make_topic(&client, "sequences", 1, NULL);
    int64_t id = new_producer(&client, 4);
    for (int32_t i = 0; i < 3; i++) {
        assert_error(send_sequence(&client, id, 0, i)->error, KAFKA_NONE);
    }
    client_close(&client);
    daemon_kill(&daemon);
    daemon_start(&daemon, NULL);
    client_open(&client, &daemon);
    struct produce_response_partition *p = send_sequence(&client, id, 0, 1);
    assert_error(p->error, KAFKA_NONE);
    assert_int_equal(p->base_offset, 1);
    assert_error(send_sequence(&client, id, 0, 3)->error, KAFKA_NONE);
    assert_int_equal(list_offset(&client, "sequences", 0, -1), 4);
    client_close(&client);
    daemon_stop(&daemon);
    daemon_release(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_appends_and_tells_the_offset),
        cmocka_unit_test(every_codec_is_taken),
        cmocka_unit_test(without_acks_there_is_no_answer_and_an_error_closes_the_connection),
        cmocka_unit_test(the_brokers_clock_stamps_where_the_topic_says_so),
        cmocka_unit_test(more_in_sync_replicas_than_there_are_replicas_do_not_stop_writes),
        cmocka_unit_test(unknown_partitions_topics_and_ids_are_told_apart),
        cmocka_unit_test(numbers_of_acks_that_do_not_exist_are_refused),
        cmocka_unit_test(damaged_batches_are_refused_and_nothing_is_appended),
        cmocka_unit_test(one_batch_for_a_partition_and_no_more),
        cmocka_unit_test(zstd_needs_version_7),
        cmocka_unit_test(records_without_keys_are_named_on_compacted_topics),
        cmocka_unit_test(records_from_the_future_are_refused),
        cmocka_unit_test(one_partitions_error_does_not_touch_the_others),
        cmocka_unit_test(every_producer_gets_an_id_of_its_own),
        cmocka_unit_test(ids_are_not_given_again_after_a_restart),
        cmocka_unit_test(transactional_ids_get_a_retriable_error),
        cmocka_unit_test(a_batch_sent_again_is_answered_with_its_first_offset),
        cmocka_unit_test(duplicates_are_still_known_after_kill_9),
    };
    return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
