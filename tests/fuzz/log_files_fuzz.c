/* Fuzzes the small files of a log directory, and its names: whatever the bytes, decoding stays
 * inside them, and what was decoded is written and read back as the same.
 *
 * The first byte chooses the file. Unless its top bit is set the checksum is put right, since no
 * fuzzer guesses a CRC. */
#include <chronik/base/crc32c.h>
#include <chronik/storage/epochs.h>
#include <chronik/storage/kafka_files.h>
#include <chronik/storage/producers.h>
#include <chronik/storage/store.h>
#include <chronik/storage/time_index.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_index(struct bytes file)
{
    struct index index = { 0 };
    struct buf again = { 0 };
    if (index_decode(&index, file, MIB(1)) == 0) {
        index_encode(&index, 0, &again);
        check(bytes_equal(buf_bytes(&again), file));
        index_truncate(&index, index_lookup(&index, UINT32_MAX));
    }
    index_release(&index);
    buf_release(&again);
}

static void try_time_index(struct bytes file)
{
    struct time_index index = { 0 };
    struct buf again = { 0 };
    if (time_index_decode(&index, file) == 0) {
        time_index_encode(&index, 0, &again);
        check(bytes_equal(buf_bytes(&again), file));
        time_index_truncate(&index, time_index_lookup(&index, INT64_MAX).relative_offset);
    }
    time_index_release(&index);
    buf_release(&again);
}

static void try_epochs(struct bytes file)
{
    struct epochs epochs = { 0 }, copy = { 0 };
    struct buf again = { 0 };
    if (epochs_decode(&epochs, file) == 0) {
        epochs_encode(&epochs, &again);
        check(epochs_decode(&copy, buf_bytes(&again)) == 0 && copy.n == epochs.n);
    }
    epochs_release(&epochs);
    epochs_release(&copy);
    buf_release(&again);
}

/* A snapshot, and behind it (the split is in the first two bytes) a window file. */
static void try_producers(struct bytes input)
{
    struct producers producers;
    struct buf again = { 0 };
    if (input.len < 2) {
        return;
    }
    size_t len = load_be16(input.data) % (input.len - 1);
    struct bytes snapshot = bytes_part(input, 2, len);
    struct bytes window = bytes_part(input, 2 + len, input.len - 2 - len);
    producers_init(&producers, 1);
    if (producers_decode(&producers, snapshot) == 0) {
        producers_encode(&producers, &again);
        check(again.len == snapshot.len);
        producers_decode_window(&producers, window);
        buf_clear(&again);
        producers_encode_window(&producers, &again);
        check(producers_decode_window(&producers, buf_bytes(&again)) == 0);
    }
    producers_release(&producers);
    buf_release(&again);
}

static void try_checkpoint(struct bytes file)
{
    struct checkpoint_reader reader;
    struct offset_entry entry;
    if (offset_checkpoint_open(&reader, file) == 0) {
        while (offset_checkpoint_next(&reader, &entry)) {
            check(entry.partition >= 0 && entry.offset >= 0 && entry.topic.len > 0);
        }
    }
}

static void try_single_values(struct bytes file)
{
    struct uuid id;
    struct store_identity identity, copy;
    struct buf again = { 0 };
    int64_t epoch;
    partition_metadata_decode(file, &id);
    clean_shutdown_decode(file, &epoch);
    if (meta_properties_decode(file, &identity) == 0) {
        meta_properties_encode(&identity, &again);
        check(meta_properties_decode(buf_bytes(&again), &copy) == 0);
        check(strcmp(copy.cluster_id, identity.cluster_id) == 0 &&
              copy.node_id == identity.node_id);
    }
    buf_release(&again);
}

static void try_names(struct bytes input)
{
    struct text text = text_part((const char *)input.data, input.len);
    struct log_file_name file;
    struct log_dir_name dir;
    const struct uuid unique = { { 7 } };
    char again[LOG_DIR_NAME_SIZE];
    if (log_file_parse(text, &file)) {
        check(text_is(text, log_file_format(&file, again)));
    }
    if (log_dir_parse(text, &dir) && log_dir_format(&dir, &unique, again)) {
        check(dir.state != LOG_DIR_LIVE || text_is(text, again));
    }
}

static void (*const TRIES[])(struct bytes) = {
    try_index,      try_time_index,    try_epochs, try_producers,
    try_checkpoint, try_single_values, try_names,
};

/* Puts the CRC of a producer snapshot, and of a window file behind it, right. */
static void put_crcs_right(uint8_t *input, size_t len)
{
    size_t split = len >= 2 ? load_be16(input) % (len - 1) : 0;
    if (split >= 6) {
        uint8_t *snapshot = input + 2;
        store_be32(snapshot + 2, crc32c(0, snapshot + 6, split - 6));
    }
    if (len >= 2 + split + 10) {
        uint8_t *window = input + 2 + split;
        store_be32(window + 6, crc32c(0, window + 10, len - 2 - split - 10));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return -1;
    }
    uint8_t *input = mem_dup(data + 1, size - 1);
    unsigned which = (data[0] & 0x7fu) % countof(TRIES);
    if (TRIES[which] == try_producers && (data[0] & 0x80) == 0) {
        put_crcs_right(input, size - 1);
    }
    TRIES[which](bytes_of(input, size - 1));
    free(input);
    return 0;
}
