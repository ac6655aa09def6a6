/* The producers of one log.
 *
 * Each producer has its epoch and a window of its last five batches, oldest first. A client's batch
 * is either one of those (a duplicate), or must begin where the newest ends. Everything is learnt
 * from batches that are in the log, so replay and replication give the same state.
 *
 * NNN.snapshot (Kafka's), big-endian:
 *     0 version  int16   1
 *     2 crc      uint32  CRC-32C of everything behind it
 *     6 count    int32
 *    10 entries: producer_id int64, epoch int16, last_sequence int32, last_offset int64 (-1: none),
 *       offset_delta int32, timestamp int64, coordinator_epoch int32, txn_first_offset int64 (-1:
 *       none)
 *
 * NNN.window (ours), big-endian:
 *     0 magic    uint32  "CKpw"
 *     4 version  uint16  1
 *     6 crc      uint32  CRC-32C of everything behind it
 *    10 count    int32   as in the snapshot, in the same order
 *    14 entries: producer_id int64, applied_ms int64, n uint8, then n batches, oldest first:
 *       last_sequence int32, offset_delta int32, last_offset int64, timestamp int64
 *
 * Either file may be torn or stale: the CRC finds the one, the comparison of each producer's newest
 * batch with the snapshot the other. */
#include <chronik/storage/producers.h>

#include <chronik/base/crc32c.h>

#include <errno.h>

enum {
    WINDOW = 5,        /* batches */
    MARKER_MAX = 1024, /* bytes of a control batch's records, when they are compressed */
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER = 10,
    SNAPSHOT_CRC_FROM = 6,
    SNAPSHOT_ENTRY = 46,
    WINDOW_MAGIC = 0x434b7077, /* "CKpw" */
    WINDOW_VERSION = 1,
    WINDOW_HEADER = 14,
    WINDOW_CRC_FROM = 10,
    WINDOW_ENTRY = 17,
    WINDOW_BATCH = 24,
};

struct sent_batch {
    int32_t last_sequence;
    int32_t offset_delta; /* last offset minus first */
    int64_t last_offset;
    int64_t timestamp; /* the largest, ms */
};

struct producer {
    struct map_node node;
    int64_t id;
    int32_t coordinator_epoch; /* of the last marker; -1: none */
    int16_t epoch;             /* -1: none */
    uint8_t n;
    int64_t last_timestamp;   /* ms; of the last batch or marker */
    int64_t txn_first_offset; /* of the open transaction; -1: none */
    int64_t applied_ms;       /* when the last batch was; -1: not known yet */
    struct sent_batch batches[WINDOW];
};

struct marker {
    int32_t coordinator_epoch;
    int64_t timestamp;
};

/* ---- the table --------------------------------------------------------------------------------*/

static struct producer *of_node(const struct map_node *node)
{
    return container_of(node, struct producer, node);
}

static bool has_id(const struct map_node *node, const void *id)
{
    return of_node(node)->id == *(const int64_t *)id;
}

static struct producer *find(const struct producers *producers, int64_t id)
{
    struct map_node *node =
        map_find(&producers->map, hash_u64(producers->seed, (uint64_t)id), has_id, &id);
    return node != NULL ? of_node(node) : NULL;
}

static struct producer *add(struct producers *producers, int64_t id)
{
    struct producer *p = mem_alloc(sizeof *p);
    *p = (struct producer){ .id = id,
                            .coordinator_epoch = -1,
                            .epoch = -1,
                            .last_timestamp = -1,
                            .txn_first_offset = -1,
                            .applied_ms = -1 };
    map_insert(&producers->map, &p->node, hash_u64(producers->seed, (uint64_t)id));
    return p;
}

static void forget(struct producers *producers, struct producer *p)
{
    map_remove(&producers->map, &p->node);
    free(p);
}

void producers_init(struct producers *producers, uint64_t seed)
{
    *producers = (struct producers){ .seed = seed };
    map_init(&producers->map);
}

void producers_clear(struct producers *producers)
{
    map_each (node, &producers->map) {
        forget(producers, of_node(node));
    }
}

void producers_release(struct producers *producers)
{
    producers_clear(producers);
    map_release(&producers->map);
}

void producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms)
{
    map_each (node, &producers->map) {
        struct producer *p = of_node(node);
        if (p->applied_ms < 0) {
            p->applied_ms = now_ms;
        } else if (p->txn_first_offset < 0 && now_ms - p->applied_ms >= expiration_ms) {
            forget(producers, p);
        }
    }
}

size_t producers_count(const struct producers *producers)
{
    return producers->map.n;
}

/* ---- sequences and batches --------------------------------------------------------------------*/

/* Sequence numbers are counted modulo 2^31. */
static int32_t sequence_before(int32_t sequence, int32_t n)
{
    return (int32_t)(((uint32_t)sequence - (uint32_t)n) & INT32_MAX);
}

static int32_t sequence_after(int32_t sequence)
{
    return sequence == INT32_MAX ? 0 : sequence + 1;
}

static bool is_control(const struct batch *b)
{
    return (b->attributes & BATCH_CONTROL) != 0;
}

static bool is_transactional(const struct batch *b)
{
    return (b->attributes & BATCH_TRANSACTIONAL) != 0;
}

static const struct sent_batch *newest(const struct producer *p)
{
    return p->n > 0 ? &p->batches[p->n - 1] : NULL;
}

/* Reads the end-of-transaction marker of a control batch: key {version, type}, value {version,
 * coordinator epoch}. False for other control records, and where compaction left none. */
static bool read_marker(const struct batch *b, struct marker *ret_marker)
{
    struct record_iter it;
    struct record record;
    struct codec_scratch scratch = { 0 };
    bool found = record_iter_init(&it, b, MARKER_MAX, &scratch) == 0 &&
                 record_iter_next(&it, &record) && record.key.len >= 4 && record.value.len >= 6 &&
                 load_be16(record.key.data + 2) <= 1;
    if (found) {
        ret_marker->coordinator_epoch = (int32_t)load_be32(record.value.data + 2);
        ret_marker->timestamp = record.timestamp;
    }
    codec_scratch_release(&scratch);
    return found;
}

/* ---- deciding ---------------------------------------------------------------------------------*/

static const struct sent_batch *find_duplicate(const struct producer *p, const struct batch *b)
{
    if (b->producer_epoch != p->epoch || b->base_sequence < 0) {
        return NULL;
    }
    int32_t last = batch_last_sequence(b);
    for (unsigned i = 0; i < p->n; i++) {
        const struct sent_batch *sent = &p->batches[i];
        int32_t first = sequence_before(sent->last_sequence, sent->offset_delta);
        if (sent->last_sequence == last && first == b->base_sequence) {
            return sent;
        }
    }
    return NULL;
}

static bool in_sequence(const struct producer *p, const struct batch *b)
{
    if (b->base_sequence < 0 || p->epoch < 0) {
        return true;
    }
    if (b->producer_epoch != p->epoch || p->n == 0) {
        return b->base_sequence == 0;
    }
    return b->base_sequence == sequence_after(newest(p)->last_sequence);
}

static enum kafka_error judge_marker(const struct producer *p, const struct batch *b)
{
    struct marker marker;
    if (b->producer_epoch < p->epoch) {
        return KAFKA_INVALID_PRODUCER_EPOCH;
    }
    if (read_marker(b, &marker) && marker.coordinator_epoch < p->coordinator_epoch) {
        return KAFKA_TRANSACTION_COORDINATOR_FENCED;
    }
    return KAFKA_NONE;
}

static enum kafka_error judge_data(const struct producer *p, const struct batch *b)
{
    if (b->producer_epoch < p->epoch) {
        return KAFKA_INVALID_PRODUCER_EPOCH;
    }
    if (!in_sequence(p, b)) {
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    if (p->txn_first_offset >= 0 && !is_transactional(b)) {
        return KAFKA_INVALID_TXN_STATE;
    }
    return KAFKA_NONE;
}

struct producer_verdict producers_decide(const struct producers *producers, const struct batch *b)
{
    struct producer_verdict verdict = { .error = KAFKA_NONE };
    const struct producer *p = b->producer_id >= 0 ? find(producers, b->producer_id) : NULL;
    if (p == NULL) {
        return verdict;
    }
    if (is_control(b)) {
        verdict.error = judge_marker(p, b);
        return verdict;
    }
    const struct sent_batch *sent = find_duplicate(p, b);
    if (sent != NULL) {
        verdict.duplicate = true;
        verdict.base_offset = sent->last_offset - sent->offset_delta;
        verdict.last_offset = sent->last_offset;
        verdict.timestamp = sent->timestamp;
    } else {
        verdict.error = judge_data(p, b);
    }
    return verdict;
}

/* ---- applying ---------------------------------------------------------------------------------*/

static void set_epoch(struct producer *p, int16_t epoch)
{
    if (p->epoch != epoch) {
        p->epoch = epoch;
        p->n = 0;
    }
}

static void push(struct producer *p, struct sent_batch sent)
{
    if (p->n == WINDOW) {
        memmove(p->batches, p->batches + 1, (WINDOW - 1) * sizeof *p->batches);
        p->n--;
    }
    p->batches[p->n++] = sent;
}

static void apply_data(struct producer *p, const struct batch *b)
{
    set_epoch(p, b->producer_epoch);
    push(p,
         (struct sent_batch){ .last_sequence = b->base_sequence < 0 ? -1 : batch_last_sequence(b),
                              .offset_delta = b->last_offset_delta,
                              .last_offset = batch_last_offset(b),
                              .timestamp = b->max_timestamp });
    p->last_timestamp = b->max_timestamp;
    if (p->txn_first_offset < 0 && is_transactional(b)) {
        p->txn_first_offset = b->base_offset;
    }
}

static void apply_marker(struct producer *p, const struct batch *b, const struct marker *marker)
{
    set_epoch(p, b->producer_epoch);
    p->coordinator_epoch = marker->coordinator_epoch;
    p->last_timestamp = marker->timestamp;
    p->txn_first_offset = -1;
}

void producers_apply(struct producers *producers, const struct batch *b, int64_t now_ms)
{
    struct marker marker;
    if (b->producer_id < 0 || (is_control(b) && !read_marker(b, &marker))) {
        return;
    }
    struct producer *p = find(producers, b->producer_id);
    if (p == NULL) {
        p = add(producers, b->producer_id);
    }
    if (is_control(b)) {
        apply_marker(p, b, &marker);
    } else {
        apply_data(p, b);
    }
    p->applied_ms = now_ms;
}

/* ---- the snapshot -----------------------------------------------------------------------------*/

static void encode_producer(const struct producer *p, struct buf *out)
{
    const struct sent_batch none = { .last_sequence = -1, .last_offset = -1 };
    const struct sent_batch *last = p->n > 0 ? newest(p) : &none;
    buf_put_be64(out, (uint64_t)p->id);
    buf_put_be16(out, (uint16_t)p->epoch);
    buf_put_be32(out, (uint32_t)last->last_sequence);
    buf_put_be64(out, (uint64_t)last->last_offset);
    buf_put_be32(out, (uint32_t)last->offset_delta);
    buf_put_be64(out, (uint64_t)p->last_timestamp);
    buf_put_be32(out, (uint32_t)p->coordinator_epoch);
    buf_put_be64(out, (uint64_t)p->txn_first_offset);
}

/* Fills in the CRC at `at` of what follows it, in a file that began at `start`. */
static void seal(struct buf *out, size_t start, size_t at)
{
    uint8_t *crc = out->data + start + at;
    store_be32(crc, crc32c(0, crc + 4, out->len - start - at - 4));
}

void producers_encode(const struct producers *producers, struct buf *out)
{
    size_t start = out->len;
    buf_put_be16(out, SNAPSHOT_VERSION);
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)producers->map.n);
    map_each (node, &producers->map) {
        encode_producer(of_node(node), out);
    }
    seal(out, start, SNAPSHOT_CRC_FROM - 4);
}

/* Takes one entry over; false when it cannot be one. */
static bool decode_producer(struct producers *producers, const uint8_t *at)
{
    int64_t id = (int64_t)load_be64(at);
    struct sent_batch last = { .last_sequence = (int32_t)load_be32(at + 10),
                               .last_offset = (int64_t)load_be64(at + 14),
                               .offset_delta = (int32_t)load_be32(at + 22),
                               .timestamp = (int64_t)load_be64(at + 26) };
    int64_t txn_first_offset = (int64_t)load_be64(at + 38);
    if (id < 0 || last.offset_delta < 0 || find(producers, id) != NULL) {
        return false;
    }
    struct producer *p = add(producers, id);
    p->epoch = (int16_t)load_be16(at + 8);
    p->coordinator_epoch = (int32_t)load_be32(at + 34);
    p->last_timestamp = last.timestamp;
    p->txn_first_offset = txn_first_offset >= 0 ? txn_first_offset : -1;
    if (last.last_offset >= 0) {
        push(p, last);
    }
    return true;
}

int producers_decode(struct producers *producers, struct bytes file)
{
    producers_clear(producers);
    if (file.len < SNAPSHOT_HEADER || load_be16(file.data) != SNAPSHOT_VERSION ||
        load_be32(file.data + 2) !=
            crc32c(0, file.data + SNAPSHOT_CRC_FROM, file.len - SNAPSHOT_CRC_FROM) ||
        file.len - SNAPSHOT_HEADER != (uint64_t)load_be32(file.data + 6) * SNAPSHOT_ENTRY) {
        return -EINVAL;
    }
    for (size_t at = SNAPSHOT_HEADER; at < file.len; at += SNAPSHOT_ENTRY) {
        if (!decode_producer(producers, file.data + at)) {
            producers_clear(producers);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- the window file --------------------------------------------------------------------------*/

void producers_encode_window(const struct producers *producers, struct buf *out)
{
    size_t start = out->len;
    buf_put_be32(out, WINDOW_MAGIC);
    buf_put_be16(out, WINDOW_VERSION);
    buf_put_be32(out, 0);
    buf_put_be32(out, (uint32_t)producers->map.n);
    map_each (node, &producers->map) {
        const struct producer *p = of_node(node);
        buf_put_be64(out, (uint64_t)p->id);
        buf_put_be64(out, (uint64_t)p->applied_ms);
        buf_put_u8(out, p->n);
        for (unsigned i = 0; i < p->n; i++) {
            buf_put_be32(out, (uint32_t)p->batches[i].last_sequence);
            buf_put_be32(out, (uint32_t)p->batches[i].offset_delta);
            buf_put_be64(out, (uint64_t)p->batches[i].last_offset);
            buf_put_be64(out, (uint64_t)p->batches[i].timestamp);
        }
    }
    seal(out, start, WINDOW_CRC_FROM - 4);
}

static struct sent_batch decode_batch(const uint8_t *at)
{
    return (struct sent_batch){ .last_sequence = (int32_t)load_be32(at),
                                .offset_delta = (int32_t)load_be32(at + 4),
                                .last_offset = (int64_t)load_be64(at + 8),
                                .timestamp = (int64_t)load_be64(at + 16) };
}

/* Is the entry of `n` batches at `at` one of `p`, as the snapshot has it? */
static bool same_producer(const struct producer *p, const uint8_t *at, unsigned n)
{
    if (n > WINDOW || (int64_t)load_be64(at) != p->id || (n > 0) != (p->n > 0)) {
        return false;
    }
    if (n == 0) {
        return true;
    }
    struct sent_batch last = decode_batch(at + WINDOW_ENTRY + (n - 1) * WINDOW_BATCH);
    return last.last_sequence == newest(p)->last_sequence &&
           last.last_offset == newest(p)->last_offset &&
           last.offset_delta == newest(p)->offset_delta;
}

static void take_window(struct producer *p, const uint8_t *at, unsigned n)
{
    p->applied_ms = (int64_t)load_be64(at + 8);
    p->n = 0;
    for (unsigned i = 0; i < n; i++) {
        push(p, decode_batch(at + WINDOW_ENTRY + i * WINDOW_BATCH));
    }
}

/* Walks the entries beside the table, which has them in the same order; changes it only if `take`.
 * */
static bool walk_window(struct producers *producers, struct bytes entries, bool take)
{
    size_t at = 0;
    map_each (node, &producers->map) {
        struct producer *p = of_node(node);
        if (entries.len - at < WINDOW_ENTRY) {
            return false;
        }
        const uint8_t *entry = entries.data + at;
        unsigned n = entry[WINDOW_ENTRY - 1];
        size_t len = WINDOW_ENTRY + (size_t)n * WINDOW_BATCH;
        if (entries.len - at < len || !same_producer(p, entry, n)) {
            return false;
        }
        if (take) {
            take_window(p, entry, n);
        }
        at += len;
    }
    return at == entries.len;
}

int producers_decode_window(struct producers *producers, struct bytes file)
{
    if (file.len < WINDOW_HEADER || load_be32(file.data) != WINDOW_MAGIC ||
        load_be16(file.data + 4) == 0) {
        return -EINVAL;
    }
    if (load_be16(file.data + 4) > WINDOW_VERSION) {
        return -ENOTSUP;
    }
    if (load_be32(file.data + 6) !=
            crc32c(0, file.data + WINDOW_CRC_FROM, file.len - WINDOW_CRC_FROM) ||
        load_be32(file.data + 10) != producers->map.n) {
        return -EINVAL;
    }
    struct bytes entries = bytes_part(file, WINDOW_HEADER, file.len - WINDOW_HEADER);
    if (!walk_window(producers, entries, false)) {
        return -EINVAL;
    }
    check(walk_window(producers, entries, true));
    return 0;
}
