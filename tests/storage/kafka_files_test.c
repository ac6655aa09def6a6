/* The small files and the file names of a Kafka log directory. */
#include "../support/test.h"

#include <chronik/storage/kafka_files.h>
#include <chronik/storage/store.h>

#include <errno.h>

#define TOPIC_249                                                                                  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"          \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"          \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void file_names_are_made_and_understood(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "00000000000000000042.log",      "00000000000000000000.index",
        "00000000000000000042.snapshot", "09223372036854775807.timeindex.deleted",
        "00000000000000000042.window",   "00000000000000000042.txnindex.cleaned",
        "00000000000000000042.log.swap", "00000000000000000042.window.deleted",
    };
    for (size_t i = 0; i < countof(NAMES); i++) {
        struct log_file_name name;
        char again[LOG_FILE_NAME_SIZE];
        assert_true(log_file_parse(text_of(NAMES[i]), &name));
        assert_string_equal(log_file_format(&name, again), NAMES[i]);
    }
    struct log_file_name name;
    assert_true(log_file_parse(text_of("00000000000000000042.timeindex.deleted"), &name));
    assert_int_equal(name.kind, LOG_FILE_TIME_INDEX);
    assert_int_equal(name.state, LOG_FILE_DELETED);
    assert_int_equal(name.offset, 42);
}

static void other_file_names_are_not(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "",
        "partition.metadata",
        "leader-epoch-checkpoint",
        "42.log",
        "00000000000000000042",
        "00000000000000000042.",
        "00000000000000000042.logs",
        "00000000000000000042.log.",
        "00000000000000000042.log.bak",
        "00000000000000000042.log.deleted.deleted",
        "000000000000000000042.log",
        "0000000000000000004x.log",
        "+0000000000000000042.log",
        "99999999999999999999.log",
    };
    for (size_t i = 0; i < countof(NAMES); i++) {
        struct log_file_name name;
        assert_false(log_file_parse(text_of(NAMES[i]), &name));
    }
}

static void directory_names_are_made_and_understood(void **state)
{
    (void)state;
    static const struct {
        const char *name, *topic;
        int32_t partition;
        enum log_dir_state state;
    } CASES[] = {
        { "orders-0", "orders", 0, LOG_DIR_LIVE },
        { "a-b.c_d-2147483647", "a-b.c_d", 2147483647, LOG_DIR_LIVE },
        { "x--1", "x-", 1, LOG_DIR_LIVE },
        { "t-3.00112233445566778899aabbccddeeff-delete", "t", 3, LOG_DIR_DELETE },
        { "t-3.00112233445566778899aabbccddeeff-future", "t", 3, LOG_DIR_FUTURE },
        { "t-3.00112233445566778899aabbccddeeff-stray", "t", 3, LOG_DIR_STRAY },
        /* A topic that is called like a deleted one. */
        { "t-3.00112233445566778899aabbccddeeff-delete-7",
          "t-3.00112233445566778899aabbccddeeff-delete", 7, LOG_DIR_LIVE },
    };
    const struct uuid unique = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
                                   0xbb, 0xcc, 0xdd, 0xee, 0xff } };
    for (size_t i = 0; i < countof(CASES); i++) {
        struct log_dir_name name;
        char again[LOG_DIR_NAME_SIZE];
        assert_true(log_dir_parse(text_of(CASES[i].name), &name));
        assert_true(text_is(name.topic, CASES[i].topic));
        assert_int_equal(name.partition, CASES[i].partition);
        assert_int_equal(name.state, CASES[i].state);
        assert_true(log_dir_format(&name, &unique, again));
        assert_string_equal(again, CASES[i].name);
    }
}

static void other_directory_names_are_not(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "",
        "journal",
        "-0",
        "t-",
        "t-01",
        "t-+1",
        "t-1x",
        "t-2147483648",
        "t t-0",
        "..-0",
        "t-3.0011-delete",
        "t-3-delete",
        "t-3.0011223344556677 899aabbccddeef-delete",
        "t-3.00112233445566778899AABBCCDDEEFF-delete",
        TOPIC_249 "aaaa-0",
    };
    for (size_t i = 0; i < countof(NAMES); i++) {
        struct log_dir_name name;
        assert_false(log_dir_parse(text_of(NAMES[i]), &name));
    }
}

static void long_names_are_cut_only_where_kafka_cuts_them(void **state)
{
    (void)state;
    const struct uuid unique = { { 1 } };
    struct log_dir_name name = { text_part(TOPIC_249 "aaa", 249), 12345, LOG_DIR_LIVE }, again;
    char to[LOG_DIR_NAME_SIZE];
    assert_true(log_dir_format(&name, &unique, to));
    assert_int_equal(strlen(to), 255);
    name.partition = 123456;
    assert_false(log_dir_format(&name, &unique, to));
    name.state = LOG_DIR_FUTURE;
    assert_false(log_dir_format(&name, &unique, to));
    name.state = LOG_DIR_STRAY;
    assert_true(log_dir_format(&name, &unique, to));
    name.state = LOG_DIR_DELETE;
    assert_true(log_dir_format(&name, &unique, to));
    assert_int_equal(strlen(to), 255);
    assert_true(log_dir_parse(text_of(to), &again));
    assert_int_equal(again.partition, 123456);
    assert_int_equal(again.state, LOG_DIR_DELETE);
    assert_true(again.topic.len < 249);
}

static void offset_checkpoints_are_read_back(void **state)
{
    (void)state;
    struct buf file = { 0 };
    struct checkpoint_reader reader;
    struct offset_entry entry;
    checkpoint_begin(&file, 2);
    offset_checkpoint_put(&file, &(struct offset_entry){ text_of("orders"), 0, 42 });
    offset_checkpoint_put(&file, &(struct offset_entry){ text_of("x-y"), INT32_MAX, INT64_MAX });
    assert_int_equal(offset_checkpoint_open(&reader, buf_bytes(&file)), 0);
    assert_true(offset_checkpoint_next(&reader, &entry));
    assert_true(text_is(entry.topic, "orders"));
    assert_int_equal(entry.offset, 42);
    assert_true(offset_checkpoint_next(&reader, &entry));
    assert_true(text_is(entry.topic, "x-y"));
    assert_int_equal(entry.partition, INT32_MAX);
    assert_int_equal(entry.offset, INT64_MAX);
    assert_false(offset_checkpoint_next(&reader, &entry));
    buf_release(&file);
}

static void wrong_checkpoints_are_refused_before_their_first_entry(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int error;
    } CASES[] = {
        { "", 0 },
        { "0\n", 0 },
        { "0\n0\n", 0 },
        { "0\n1\nt 0 5\n", 0 },
        { "7\n1\nt 0 5\n", -ENOTSUP },
        { "-1\n1\nt 0 5\n", -EINVAL },
        { "0\n2\nt 0 5\n", -EINVAL },
        { "0\n1\nt 0 5\nt 1 5\n", -EINVAL },
        { "0\n2\nt 0 5\nt 1 x\n", -EINVAL },
        { "0\n2\nt 0 5\nt -1 5\n", -EINVAL },
        { "0\n2\nt 0 5\nt 1 -5\n", -EINVAL },
        { "0\n2\nt 0 5\nt 1\n", -EINVAL },
        { "0\n2\nt 0 5\n\n", -EINVAL },
    };
    for (size_t i = 0; i < countof(CASES); i++) {
        struct checkpoint_reader reader;
        struct bytes file = bytes_of(CASES[i].file, strlen(CASES[i].file));
        assert_int_equal(offset_checkpoint_open(&reader, file), CASES[i].error);
    }
}

static int decode_partition(const char *file, struct uuid *ret_id)
{
    return partition_metadata_decode(bytes_of(file, strlen(file)), ret_id);
}

static void partition_metadata_is_kafkas_text(void **state)
{
    (void)state;
    struct uuid id, again;
    struct buf file = { 0 };
    assert_true(uuid_parse(text_of("M8lg9ZgCTZOnUzpYIFbrlA"), &id));
    partition_metadata_encode(&id, &file);
    buf_put_u8(&file, 0);
    assert_string_equal((char *)file.data, "version: 0\ntopic_id: M8lg9ZgCTZOnUzpYIFbrlA");
    assert_int_equal(decode_partition((char *)file.data, &again), 0);
    assert_true(uuid_equal(&id, &again));
    assert_int_equal(decode_partition("version: 3\ntopic_id:  M8lg9ZgCTZOnUzpYIFbrlA\nmore", &id),
                     0);
    assert_int_equal(decode_partition("version: 0\n", &id), -EINVAL);
    assert_int_equal(decode_partition("version: -1\ntopic_id: M8lg9ZgCTZOnUzpYIFbrlA", &id),
                     -EINVAL);
    assert_int_equal(decode_partition("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", &id),
                     -EINVAL);
    assert_int_equal(decode_partition("version: 0\ntopic_id: M8lg9ZgC", &id), -EINVAL);
    assert_int_equal(decode_partition("", &id), -EINVAL);
    buf_release(&file);
}

static int decode_meta(const char *file, struct store_identity *ret_identity)
{
    return meta_properties_decode(bytes_of(file, strlen(file)), ret_identity);
}

static void meta_properties_are_read_back(void **state)
{
    (void)state;
    struct store_identity identity = { .cluster_id = "a = b\\c", .node_id = 7 }, again;
    struct buf file = { 0 };
    assert_true(uuid_parse(text_of("M8lg9ZgCTZOnUzpYIFbrlA"), &identity.directory_id));
    meta_properties_encode(&identity, &file);
    assert_int_equal(meta_properties_decode(buf_bytes(&file), &again), 0);
    assert_string_equal(again.cluster_id, identity.cluster_id);
    assert_int_equal(again.node_id, 7);
    assert_true(uuid_equal(&again.directory_id, &identity.directory_id));

    buf_clear(&file);
    meta_properties_encode(&(struct store_identity){ .node_id = -1 }, &file);
    assert_int_equal(meta_properties_decode(buf_bytes(&file), &again), 0);
    assert_string_equal(again.cluster_id, "");
    assert_int_equal(again.node_id, -1);
    assert_true(uuid_is_zero(&again.directory_id));
    buf_release(&file);
}

static void meta_properties_of_kafka_are_understood(void **state)
{
    (void)state;
    struct store_identity identity;
    assert_int_equal(decode_meta("#\n#Sat Jan 01 00:00:00 UTC 2022\nnode.id=1\n"
                                 "directory.id=M8lg9ZgCTZOnUzpYIFbrlA\nversion=1\n"
                                 "cluster.id=5L6g3nShT-eMCtK--X86sw\n",
                                 &identity),
                     0);
    assert_int_equal(identity.node_id, 1);
    assert_string_equal(identity.cluster_id, "5L6g3nShT-eMCtK--X86sw");
    assert_int_equal(decode_meta("version=0\nbroker.id=5\ncluster.id=x\n", &identity), 0);
    assert_int_equal(identity.node_id, 5);
    assert_int_equal(decode_meta("version=2\n", &identity), -ENOTSUP);
    assert_int_equal(decode_meta("version=one\n", &identity), -EINVAL);
    assert_int_equal(decode_meta("version=1\nnode.id=-4\n", &identity), -EINVAL);
    assert_int_equal(decode_meta("version=1\ndirectory.id=short\n", &identity), -EINVAL);
}

static int decode_clean(const char *file, int64_t *ret_epoch)
{
    return clean_shutdown_decode(bytes_of(file, strlen(file)), ret_epoch);
}

static void clean_shutdown_files_name_the_broker_epoch(void **state)
{
    (void)state;
    struct buf file = { 0 };
    int64_t epoch = 0;
    clean_shutdown_encode(8000000000, &file);
    assert_int_equal(clean_shutdown_decode(buf_bytes(&file), &epoch), 0);
    assert_int_equal(epoch, 8000000000);
    assert_int_equal(decode_clean("{\"version\":0,\"brokerEpoch\":-1}", &epoch), 0);
    assert_int_equal(epoch, -1);
    assert_int_equal(decode_clean("{ \"brokerEpoch\" : 12 , \"version\" : 0 }\n", &epoch), 0);
    assert_int_equal(epoch, 12);
    assert_int_equal(decode_clean("", &epoch), -EINVAL);
    assert_int_equal(decode_clean("{}", &epoch), -EINVAL);
    assert_int_equal(decode_clean("{\"brokerEpoch\"}", &epoch), -EINVAL);
    assert_int_equal(decode_clean("{\"brokerEpoch\":null}", &epoch), -EINVAL);
    assert_int_equal(decode_clean("{\"brokerEpoch\":", &epoch), -EINVAL);
    buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_names_are_made_and_understood),
        cmocka_unit_test(other_file_names_are_not),
        cmocka_unit_test(directory_names_are_made_and_understood),
        cmocka_unit_test(other_directory_names_are_not),
        cmocka_unit_test(long_names_are_cut_only_where_kafka_cuts_them),
        cmocka_unit_test(offset_checkpoints_are_read_back),
        cmocka_unit_test(wrong_checkpoints_are_refused_before_their_first_entry),
        cmocka_unit_test(partition_metadata_is_kafkas_text),
        cmocka_unit_test(meta_properties_are_read_back),
        cmocka_unit_test(meta_properties_of_kafka_are_understood),
        cmocka_unit_test(clean_shutdown_files_name_the_broker_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
