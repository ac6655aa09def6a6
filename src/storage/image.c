/* The checkpoint file.
 *
 *     0 magic         8 bytes "CHRONCKP"
 *     8 crc           uint32   CRC-32C of all that follows
 *    12 version       uint16   1
 *    14 (zero)        uint16
 *    16 length        uint64   of the file
 *    24 directory id  16 bytes
 *    40 stop id       16 bytes zero unless clean
 *    56 broker epoch  int64    -1: none
 *    64 LSN           uint64
 *    72 durable LSN   uint64
 *    80 logs          uint32   how many
 *    84 (zero)        uint32
 *    88 the logs, the number of removals (uint32), the removals
 *
 * log:
 *    topic id 16 bytes, partition int32, flags uint32 (1: its directory is there),
 *    topic (uint16 length, bytes), damage (the same; empty: none),
 *    log start, end, high watermark, last snapshot, the one before: int64 each,
 *    epochs: uint32 count, then epoch int32, start offset int64 each,
 *    segments: uint32 count, then each
 *        base, bytes, first time stamp, largest time stamp, its offset, last time stamp in the time
 *        index, created, modified: int64 each; entries and CRC-32C of the index file, the same of
 *        the time index file, flags (1: there are index files): uint32 each
 *    producers: uint32 length and bytes of a snapshot, the same of a window; both empty when there
 *        are none or when they are in the snapshot file (flags 2)
 *
 * removal: topic id 16 bytes, partition int32, base int64 */
#include "image.h"

#include "repair.h"

#include <chronik/base/crc32c.h>

#include <errno.h>

enum {
    IMAGE_VERSION = 1,
    IMAGE_HEAD = 88,
    CRC_AT = 8,
    CRC_FROM = 12, /* in any version */
    LOG_DIR_MADE = 1,
    LOG_PRODUCERS_IN_FILE = 2,
    SEGMENT_INDEX_MADE = 1,
    SEGMENT_ROW = 84,
    EPOCH_ROW = 12,
    REMOVAL_ROW = 28,
};

static const char MAGIC[8] = "CHRONCKP";

/* ---- writing ----------------------------------------------------------------------------------*/

void image_begin(struct buf *out)
{
    buf_put_zeros(out, IMAGE_HEAD);
}

static void put_text(struct buf *out, const char *text)
{
    size_t len = text ? min_u64(strlen(text), UINT16_MAX) : 0;
    buf_put_be16(out, (uint16_t)len);
    buf_put(out, text, len);
}

static void put_segment(struct buf *out, const struct segment *segment)
{
    buf_put_be64(out, (uint64_t)segment->base);
    buf_put_be64(out, segment->bytes);
    buf_put_be64(out, (uint64_t)segment->first_timestamp);
    buf_put_be64(out, (uint64_t)segment->max_timestamp);
    buf_put_be64(out, (uint64_t)segment->max_timestamp_offset);
    buf_put_be64(out, (uint64_t)segment->indexed_timestamp);
    buf_put_be64(out, (uint64_t)segment->created_ms);
    buf_put_be64(out, (uint64_t)segment->modified_ms);
    buf_put_be32(out, segment->saving.n);
    buf_put_be32(out, segment->saving.crc);
    buf_put_be32(out, segment->time_saving.n);
    buf_put_be32(out, segment->time_saving.crc);
    buf_put_be32(out, segment->index_made ? SEGMENT_INDEX_MADE : 0);
}

/* A block of bytes behind its length, written by `encode`. */
static void put_producers(struct buf *out, const struct producers *producers,
                          void (*encode)(const struct producers *producers, struct buf *out))
{
    size_t at = out->len;
    buf_put_be32(out, 0);
    if (producers != NULL) {
        encode(producers, out);
        store_be32(out->data + at, (uint32_t)(out->len - at - 4));
    }
}

void image_add(struct buf *out, const struct log *log)
{
    size_t n_producers = log->producers ? producers_count(log->producers) : 0;
    bool in_file = n_producers > IMAGE_PRODUCERS_MAX;
    const struct producers *inside = n_producers > 0 && !in_file ? log->producers : NULL;

    buf_put(out, log->topic_id.bytes, sizeof log->topic_id.bytes);
    buf_put_be32(out, (uint32_t)log->partition);
    bool dir = log->dir_made || log->n_segments > 0; /* it will be when the image is written */
    buf_put_be32(out, (dir ? LOG_DIR_MADE : 0) | (in_file ? LOG_PRODUCERS_IN_FILE : 0));
    put_text(out, log->topic);
    put_text(out, log->damage);
    buf_put_be64(out, (uint64_t)log->start);
    buf_put_be64(out, (uint64_t)log->end);
    buf_put_be64(out, (uint64_t)log->high_watermark);
    buf_put_be64(out, (uint64_t)log->snapshot);
    buf_put_be64(out, (uint64_t)log->snapshot_before);
    buf_put_be32(out, (uint32_t)log->epochs.n);
    for (size_t i = 0; i < log->epochs.n; i++) {
        buf_put_be32(out, (uint32_t)log->epochs.entries[i].epoch);
        buf_put_be64(out, (uint64_t)log->epochs.entries[i].start_offset);
    }
    buf_put_be32(out, log->n_segments);
    for (uint32_t i = 0; i < log->n_segments; i++) {
        put_segment(out, log->segments[i]);
    }
    put_producers(out, inside, producers_encode);
    put_producers(out, inside, producers_encode_window);
}

struct removal_writer {
    struct buf *out;
    uint32_t n;
};

static void put_removal(void *arg, const struct log *log, int64_t base)
{
    struct removal_writer *writer = arg;
    buf_put(writer->out, log->topic_id.bytes, sizeof log->topic_id.bytes);
    buf_put_be32(writer->out, (uint32_t)log->partition);
    buf_put_be64(writer->out, (uint64_t)base);
    writer->n++;
}

void image_add_removals(struct buf *out, const struct store *store)
{
    struct removal_writer writer = { .out = out };
    size_t at = out->len;
    buf_put_be32(out, 0);
    removals_each(store, put_removal, &writer);
    store_be32(out->data + at, writer.n);
}

void image_seal(struct buf *out, const struct image_head *head, uint32_t n_logs)
{
    uint8_t *to = out->data;
    memcpy(to, MAGIC, sizeof MAGIC);
    store_be16(to + 12, IMAGE_VERSION);
    store_be64(to + 16, out->len);
    memcpy(to + 24, head->directory_id.bytes, sizeof head->directory_id.bytes);
    memcpy(to + 40, head->stop_id.bytes, sizeof head->stop_id.bytes);
    store_be64(to + 56, (uint64_t)head->broker_epoch);
    store_be64(to + 64, head->lsn);
    store_be64(to + 72, head->durable_lsn);
    store_be32(to + 80, n_logs);
    store_be32(to + CRC_AT, crc32c(0, to + CRC_FROM, out->len - CRC_FROM));
}

/* ---- reading ----------------------------------------------------------------------------------*/

/* The magic is not covered by the CRC: one flipped bit in it does no harm. */
static bool close_to(const uint8_t *a, const uint8_t *b, size_t len)
{
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        bits += (unsigned)__builtin_popcount(a[i] ^ b[i]);
    }
    return bits <= 1;
}

int image_open(struct buf *file, struct image_head *ret_head)
{
    uint8_t *from = file->data;
    if (file->len < IMAGE_HEAD || !close_to(from, (const uint8_t *)MAGIC, sizeof MAGIC)) {
        return -EBADMSG;
    }
    uint32_t crc = crc32c(0, from + CRC_FROM, file->len - CRC_FROM);
    if (crc != load_be32(from + CRC_AT) &&
        __builtin_popcount(crc ^ load_be32(from + CRC_AT)) > 1 &&
        !repair_bit(from + CRC_FROM, file->len - CRC_FROM, load_be32(from + CRC_AT))) {
        return -EBADMSG;
    }
    if (load_be16(from + 12) > IMAGE_VERSION) {
        return -ENOTSUP;
    }
    if (load_be64(from + 16) != file->len) {
        return -EBADMSG;
    }
    memcpy(ret_head->directory_id.bytes, from + 24, sizeof ret_head->directory_id.bytes);
    memcpy(ret_head->stop_id.bytes, from + 40, sizeof ret_head->stop_id.bytes);
    ret_head->clean = !uuid_is_zero(&ret_head->stop_id);
    ret_head->broker_epoch = (int64_t)load_be64(from + 56);
    ret_head->lsn = load_be64(from + 64);
    ret_head->durable_lsn = load_be64(from + 72);
    return 0;
}

/* Takes `len` bytes off the front; NULL when there are not so many. */
static const uint8_t *take(struct bytes *rest, uint64_t len)
{
    if (len > rest->len) {
        return NULL;
    }
    const uint8_t *at = rest->data;
    *rest = bytes_part(*rest, len, rest->len - len);
    return at;
}

static bool take_block(struct bytes *rest, size_t length_bytes, struct bytes *ret_block)
{
    const uint8_t *at = take(rest, length_bytes);
    if (at == NULL) {
        return false;
    }
    size_t len = length_bytes == 2 ? load_be16(at) : load_be32(at);
    at = take(rest, len);
    *ret_block = bytes_of(at, len);
    return at != NULL;
}

static bool read_epochs(struct bytes *rest, struct log *log)
{
    const uint8_t *at = take(rest, 4);
    uint32_t n = at ? load_be32(at) : 0;
    if (at == NULL || (at = take(rest, (uint64_t)n * EPOCH_ROW)) == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++, at += EPOCH_ROW) {
        int32_t epoch = (int32_t)load_be32(at);
        int64_t start = (int64_t)load_be64(at + 4);
        if (epoch <= epochs_last(&log->epochs) || start < 0) {
            return false;
        }
        epochs_assign(&log->epochs, epoch, start);
    }
    return log->epochs.n == n;
}

static void read_segment(const uint8_t *at, struct segment *segment)
{
    segment->bytes = segment->written = load_be64(at + 8);
    segment->first_timestamp = (int64_t)load_be64(at + 16);
    segment->max_timestamp = (int64_t)load_be64(at + 24);
    segment->max_timestamp_offset = (int64_t)load_be64(at + 32);
    segment->indexed_timestamp = (int64_t)load_be64(at + 40);
    segment->created_ms = (int64_t)load_be64(at + 48);
    segment->modified_ms = (int64_t)load_be64(at + 56);
    segment->saved = (struct index_saved){ load_be32(at + 64), load_be32(at + 68) };
    segment->time_saved = (struct index_saved){ load_be32(at + 72), load_be32(at + 76) };
    segment->lead = segment->saved;
    segment->time_lead = segment->time_saved;
    segment->index_made = (load_be32(at + 80) & SEGMENT_INDEX_MADE) != 0;
    segment->made = true;
}

/* What is still to go into the time index lies in the segment. */
static bool times_are_possible(const struct segment *segment, int64_t end)
{
    int64_t offset = segment->max_timestamp_offset;
    return segment->max_timestamp <= segment->indexed_timestamp ||
           (offset >= segment->base && offset < end && offset - segment->base <= INT32_MAX);
}

static bool read_segments(struct bytes *rest, struct log *log)
{
    const uint8_t *at = take(rest, 4);
    uint32_t n = at ? load_be32(at) : 0;
    int64_t base = -1;
    if (at == NULL || (at = take(rest, (uint64_t)n * SEGMENT_ROW)) == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++, at += SEGMENT_ROW) {
        int64_t before = base, bytes = (int64_t)load_be64(at + 8);
        base = (int64_t)load_be64(at);
        /* The last one is empty when a truncation took the batch that it began with. */
        bool empty = base == log->end && bytes == 0 && i + 1 == n;
        if (base <= before || (base >= log->end && !empty) || bytes < 0) {
            return false;
        }
        struct segment *segment = log_add_segment(log, base);
        read_segment(at, segment);
        if (!times_are_possible(segment, log->end)) {
            return false;
        }
    }
    return true;
}

static bool read_producers(struct bytes *rest, struct log *log, bool in_file)
{
    struct bytes snapshot, window;
    if (!take_block(rest, 4, &snapshot) || !take_block(rest, 4, &window)) {
        return false;
    }
    log->producers_in_file = in_file;
    if (snapshot.len == 0) {
        return true;
    }
    return producers_decode(log_producers(log), snapshot) == 0 &&
           producers_decode_window(log->producers, window) == 0;
}

static bool read_log(struct bytes *rest, struct store *store, struct log **ret_log)
{
    const struct log_config config = LOG_CONFIG_UNKNOWN;
    struct bytes topic, damage;
    struct uuid topic_id;
    const uint8_t *at = take(rest, 24);
    if (at == NULL || !take_block(rest, 2, &topic) || !take_block(rest, 2, &damage)) {
        return false;
    }
    memcpy(topic_id.bytes, at, sizeof topic_id.bytes);
    int32_t partition = (int32_t)load_be32(at + 16);
    uint32_t flags = load_be32(at + 20);
    struct log *log = log_new(store, &topic_id, text_part((const char *)topic.data, topic.len),
                              partition, &config);
    *ret_log = log;
    log->dir_made = (flags & LOG_DIR_MADE) != 0;
    if (damage.len > 0) {
        log->damage = text_dup(text_part((const char *)damage.data, damage.len));
    }
    if ((at = take(rest, 40)) == NULL) {
        return false;
    }
    log->start = (int64_t)load_be64(at);
    log->end = log->durable_end = (int64_t)load_be64(at + 8);
    log->high_watermark = (int64_t)load_be64(at + 16);
    log->snapshot = (int64_t)load_be64(at + 24);
    log->snapshot_before = (int64_t)load_be64(at + 32);
    return topic_name_ok(text_of(log->topic)) && partition >= 0 && log->start >= 0 &&
           log->start <= log->high_watermark && log->high_watermark <= log->end &&
           read_epochs(rest, log) && read_segments(rest, log) &&
           read_producers(rest, log, (flags & LOG_PRODUCERS_IN_FILE) != 0);
}

static bool read_removals(struct bytes *rest,
                          void (*visit)(void *arg, const struct image_removal *removal), void *arg)
{
    const uint8_t *at = take(rest, 4);
    uint32_t n = at ? load_be32(at) : 0;
    if (at == NULL || (at = take(rest, (uint64_t)n * REMOVAL_ROW)) == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++, at += REMOVAL_ROW) {
        struct image_removal removal;
        memcpy(removal.topic_id.bytes, at, sizeof removal.topic_id.bytes);
        removal.partition = (int32_t)load_be32(at + 16);
        removal.base = (int64_t)load_be64(at + 20);
        visit(arg, &removal);
    }
    return rest->len == 0;
}

int image_read(struct bytes file, struct store *store, void (*add)(void *arg, struct log *log),
               void (*removal)(void *arg, const struct image_removal *removal), void *arg)
{
    uint32_t n = load_be32(file.data + 80);
    struct bytes rest = bytes_part(file, IMAGE_HEAD, file.len - IMAGE_HEAD);
    for (uint32_t i = 0; i < n; i++) {
        struct log *log = NULL;
        if (!read_log(&rest, store, &log)) {
            if (log != NULL) {
                log_unref(log);
            }
            return -EBADMSG;
        }
        add(arg, log);
    }
    return read_removals(&rest, removal, arg) ? 0 : -EBADMSG;
}
