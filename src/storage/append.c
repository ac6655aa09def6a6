/* Appends.
 *
 * The happy path, for one batch of a leader: look at its header, decide whether a segment begins
 * with it, plan its place in the segment and the indexes, learn its epoch and producer, copy it
 * into the journal's group, stamp offset and epoch into the copy, and put the copy into the tail.
 * Nothing waits; the durable end follows when the group is written.
 *
 * A row of batches (a follower's append) is cut where a segment begins and where a group would
 * grow too long: each run is a record of the journal and an entry of the tail. */
#include "state.h"

#include <errno.h>

/* A row of batches that become one record and one entry. */
struct run {
    struct bytes bytes;
    int64_t base, last;
    int32_t epoch; /* of the last batch */
    bool begins_segment;
};

/* Looks at all batches before anything is done with them. */
static int inspect(const struct log *log, const struct log_append *append)
{
    struct bytes rest = append->batches;
    int64_t next = log->end;
    int32_t epoch = epochs_last(&log->epochs);
    bool begins = log_begins(log);
    struct batch b;

    if (rest.len == 0) {
        return -EINVAL;
    }
    while (rest.len > 0) {
        if (batch_parse(rest, &b) != KAFKA_NONE || b.last_offset_delta < 0) {
            return -EINVAL;
        }
        if (!append->as_leader &&
            (b.base_offset < 0 || (begins ? batch_last_offset(&b) : b.base_offset) < next ||
             (b.leader_epoch >= 0 && b.leader_epoch < epoch))) {
            return -EINVAL;
        }
        begins = false;
        if (!append->as_leader) {
            next = b.base_offset;
            epoch = b.leader_epoch >= 0 ? b.leader_epoch : epoch;
        }
        if (next > INT64_MAX - 1 - b.last_offset_delta) {
            return -EINVAL;
        }
        next += b.last_offset_delta + INT64_C(1);
        rest = bytes_part(rest, b.raw.len, rest.len - b.raw.len);
    }
    return 0;
}

/* A leader's batches get their offsets, epoch and time in the copy. */
static void stamp(const struct log_append *append, const struct run *run, uint8_t *data)
{
    int64_t base = run->base;
    for (size_t at = 0; at < run->bytes.len;) {
        struct batch b;
        check(batch_parse(bytes_of(data + at, run->bytes.len - at), &b) == KAFKA_NONE);
        batch_stamp(data + at, base, append->leader_epoch);
        if (append->log_append_ms >= 0) {
            batch_stamp_time(data + at, append->log_append_ms);
        }
        base += b.last_offset_delta + INT64_C(1);
        at += b.raw.len;
    }
}

/* Writes the run to the journal's group and the tail. */
static void flush(struct log *log, const struct log_append *append, struct run *run)
{
    struct store *store = log->store;
    struct journal_place place;
    struct journal_record record = {
        .kind = JOURNAL_APPEND,
        .begins_segment = run->begins_segment,
        .partition = log->partition,
        .topic_id = log->topic_id,
        .epoch = run->epoch,
        .offset = run->base,
        .payload = run->bytes,
    };

    if (run->bytes.len == 0) {
        return;
    }
    journal_add(store->journal, &record, &place);
    if (append->as_leader) {
        stamp(append, run, place.slab->blob->data + place.at);
    }
    struct tail_entry entry = {
        .base = run->base,
        .last = run->last,
        .lsn = place.lsn,
        .slab = place.slab,
        .at = place.at,
        .len = (uint32_t)run->bytes.len,
    };
    tail_push(&log->tail, &store->slabs, &entry);
    journal_mark(store->journal, &log->owner, run->last + 1);
    run->bytes.len = 0;
}

/* Begins a segment with this batch. The producers' state is kept as it is now, to be written beside
 * the segment: what is appended from here on can be applied to it again. */
static struct segment *begin_segment(struct log *log, const struct batch *b)
{
    struct segment *segment = log_add_segment(log, b->base_offset);
    if (log->n_segments > 1) {
        log->store->stats.rolls++;
    }
    if (log->producers != NULL && producers_count(log->producers) > 0) {
        segment->snapshot = mem_zalloc(sizeof *segment->snapshot);
        segment->window = mem_zalloc(sizeof *segment->window);
        producers_encode(log->producers, segment->snapshot);
        producers_encode_window(log->producers, segment->window);
        log->since_snapshot = 0;
    }
    return segment;
}

static void add_batch(struct log *log, const struct log_append *append, struct run *run,
                      const struct batch *b, int64_t now_ms)
{
    int64_t last = batch_last_offset(b);
    struct segment *segment = log_last_segment(log);
    /* The last segment is closed only when recovery found that those behind it are gone. */
    bool roll = segment == NULL || segment->closed ||
                segment_must_roll(segment, &log->config, b, last, now_ms);

    if (roll || run->bytes.len + b->raw.len > journal_payload_max(log->store->journal)) {
        flush(log, append, run);
    }
    if (roll) {
        segment = begin_segment(log, b);
    }
    if (run->bytes.len == 0) {
        *run = (struct run){ .bytes = bytes_of(b->raw.data, 0),
                             .base = b->base_offset,
                             .begins_segment = roll };
    }
    run->bytes.len += b->raw.len;
    run->last = last;
    run->epoch = b->leader_epoch;
    segment_add(segment, &log->config, b, last, now_ms);
    log_learn(log, b, now_ms);
    log->end = last + 1;
}

static int admit(struct log *log, const struct log_append *append)
{
    struct store *store = log->store;
    int error = log->deleted ? -ENOENT : inspect(log, append);
    if (error != 0) {
        return error;
    }
    error = store_writable(store);
    if (error != -EIO && append->batches.len > store_append_max(store)) {
        return -EFBIG; /* nobody waits for room that never comes */
    }
    if (error == 0 && !journal_room(store->journal, append->batches.len)) {
        error = -EAGAIN;
    }
    if (error == -EAGAIN || error == -ENOSPC) {
        store->stats.refused++;
        store->want_room = true;
        store->want_bytes = max_u64(store->want_bytes, append->batches.len);
        store_check_room(store);
    }
    return error;
}

int log_append(struct log *log, struct log_append *append)
{
    struct store *store = log->store;
    struct bytes rest = append->batches;
    struct run run = { .bytes = { 0 } };
    int64_t now_ms = loop_wall_ms(store->loop);

    check(log->cut == NULL);
    int error = admit(log, append);
    if (error != 0) {
        return error;
    }
    append->base_offset = -1;
    while (rest.len > 0) {
        struct batch b;
        check(batch_parse(rest, &b) == KAFKA_NONE);
        rest = bytes_part(rest, b.raw.len, rest.len - b.raw.len);
        if (append->as_leader) {
            b.base_offset = log->end;
            b.leader_epoch = append->leader_epoch;
        }
        if (append->as_leader && append->log_append_ms >= 0) {
            b.max_timestamp = append->log_append_ms;
        }
        append->base_offset = append->base_offset < 0 ? b.base_offset : append->base_offset;
        add_batch(log, append, &run, &b, now_ms);
    }
    flush(log, append, &run);
    append->last_offset = log->end - 1;
    store->stats.appends++;
    store->stats.append_bytes += append->batches.len;
    store_changed(store);
    room_appended(store);
    writer_note(log);
    return 0;
}
