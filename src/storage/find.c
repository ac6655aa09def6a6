/* Searching a log by time stamp.
 *
 * The wanted record is in the first batch, from some place on, whose largest time stamp is not
 * below the wanted one. The segments say whether they can have it, the time index says where to
 * begin, and from there the headers of batches are looked at, piece by piece; what no segment has
 * yet is looked at in the tail. The records of the batch that was found are then looked at one by
 * one, in a job if they have to be decompressed.
 *
 * The largest time stamp of all is found by first working out what it is. That is known of every
 * segment, unless its youngest record does not count: in the segment that holds the log start, and
 * in the one that holds the limit (`below`), the headers may have to be walked. */
#include "state.h"

#include <errno.h>

enum { STEP = 64 * 1024, INFLATED_MAX = 1 << 30 };

struct find_op {
    struct list link;
    struct log *log;         /* a reference */
    struct log_find *find;   /* NULL: cancelled */
    struct segment *segment; /* a reference; NULL: the tail, or not begun */
    uint32_t n_cuts;
    int64_t wanted; /* time stamp */
    int64_t from;   /* no offset below this one */
    bool measuring; /* `wanted` is not known yet: the largest below the limit */
    int64_t largest_left; /* of a batch that begins below the log start: what of it is in the log;
                             -1: there is no such batch */
    uint64_t place, len;
    struct blob *blob;
    struct disk_request req;
    struct file_wait file;
    struct index_wait index;
    bool in_use, starting, ended;
    int error;
    struct job job; /* the records of one batch */
    struct buf batch;
    int64_t batch_last; /* its last offset */
    int search_error;
    bool found_it;
    int64_t found_offset, found_timestamp;
};

/* The part of a batch's header that matters here. */
struct header {
    int64_t last, max_timestamp;
    uint64_t len;
    bool compressed;
};

static bool read_header(struct bytes in, struct header *ret)
{
    int64_t len = in.len >= BATCH_HEADER ? batch_peek_length(in) : -1;
    if (len < BATCH_HEADER || in.data[16] != 2) {
        return false;
    }
    int64_t base = (int64_t)load_be64(in.data);
    int32_t delta = (int32_t)load_be32(in.data + 23);
    if (base < 0 || delta < 0 || base > INT64_MAX - 1 - delta) {
        return false;
    }
    *ret = (struct header){
        .last = base + delta,
        .max_timestamp = (int64_t)load_be64(in.data + 35),
        .len = (uint64_t)len,
        .compressed = (load_be16(in.data + 21) & 7) != 0,
    };
    return true;
}

/* ---- the end ----------------------------------------------------------------------------------*/

static void release_segment(struct find_op *op)
{
    if (op->in_use) {
        files_put(&op->log->store->files, op->segment);
        op->in_use = false;
    }
    segment_unref(op->segment);
    op->segment = NULL;
}

static void free_op(struct find_op *op)
{
    struct log *log = op->log;
    struct store *store = log->store;
    list_remove(&op->link);
    blob_unref(op->blob);
    buf_release(&op->batch);
    free(op);
    log_unref(log);
    store->reads--;
    store_settle(store);
}

static void end(struct find_op *op, int error)
{
    struct log_find *find = op->find;
    release_segment(op);
    if (op->starting) {
        op->ended = true;
        op->error = error;
        return;
    }
    if (find != NULL) {
        find->op = NULL;
        find->done(find, error);
    }
    free_op(op);
}

static void begin(struct find_op *op);

/* Is there still anything to do after a wait? */
static bool goes_on(struct find_op *op, int error)
{
    if (op->find == NULL) {
        end(op, 0);
        return false;
    }
    if (op->log->deleted) {
        end(op, -ENOENT);
        return false;
    }
    if (error != 0) {
        end(op, error);
        return false;
    }
    if (op->n_cuts != op->log->n_cuts || (op->segment != NULL && op->segment->removed)) {
        release_segment(op);
        begin(op);
        return false;
    }
    return true;
}

static void damaged(struct find_op *op)
{
    log_set_damage(op->log, mem_sprintf("segment %020lld is damaged near byte %llu",
                                        (long long)op->segment->base,
                                        (unsigned long long)op->place));
    end(op, -EIO);
}

/* ---- the records of one batch -----------------------------------------------------------------*/

static void search(struct find_op *op)
{
    struct codec_scratch scratch = { 0 };
    struct record_iter it;
    struct record record;
    struct batch b;
    op->found_it = false;
    op->search_error = batch_parse(buf_bytes(&op->batch), &b) == KAFKA_NONE && batch_crc_ok(&b)
                           ? record_iter_init(&it, &b, INFLATED_MAX, &scratch)
                           : -EBADMSG;
    while (op->search_error == 0 && !op->found_it && record_iter_next(&it, &record)) {
        if (record.timestamp >= op->wanted && record.offset >= op->from) {
            op->found_it = true;
            op->found_offset = record.offset;
            op->found_timestamp = record.timestamp;
        }
    }
    codec_scratch_release(&scratch);
}

static void measure(struct find_op *op, int64_t at_least);

/* The largest time stamp among the records of the batch looked into last that are in the log. */
static int64_t largest_in_batch(const struct find_op *op)
{
    struct codec_scratch scratch = { 0 };
    struct record_iter it;
    struct record record;
    struct batch b;
    int64_t largest = -1;
    if (batch_parse(buf_bytes(&op->batch), &b) == KAFKA_NONE &&
        record_iter_init(&it, &b, INFLATED_MAX, &scratch) == 0) {
        while (record_iter_next(&it, &record)) {
            if (record.offset >= op->log->start && record.offset < op->find->below) {
                largest = max_i64(largest, record.timestamp);
            }
        }
    }
    codec_scratch_release(&scratch);
    return largest;
}

/* There is no such record. When the largest time stamp was looked for, it was that of a record in
 * front of the log start, in a batch that reaches beyond it: that batch counts with what is left.
 */
static void end_without(struct find_op *op)
{
    int64_t left = op->largest_left;
    op->largest_left = -1;
    if (op->find->timestamp == INT64_MAX && left >= 0) {
        release_segment(op);
        measure(op, left);
    } else {
        end(op, 0);
    }
}

/* True when the search has come to its end. */
static bool ends_with(struct find_op *op)
{
    struct log_find *find = op->find;
    if (op->search_error != 0 && op->segment != NULL) {
        damaged(op);
    } else if (op->search_error != 0) {
        end(op, -EIO);
    } else if (op->found_it) {
        if (op->found_offset >= find->below) {
            end_without(op);
            return true;
        }
        find->offset = op->found_offset;
        find->found_timestamp = op->found_timestamp;
        find->leader_epoch = (int32_t)load_be32(op->batch.data + 12);
        end(op, 0);
    } else {
        if ((int64_t)load_be64(op->batch.data) < op->log->start) {
            op->largest_left = largest_in_batch(op);
        }
        op->place += op->batch.len;
        op->from = max_i64(op->from, op->batch_last + 1);
        return false;
    }
    return true;
}

static void next_batch(struct find_op *op);

static void run(struct job *job)
{
    search(container_of(job, struct find_op, job));
}

static void done(struct job *job)
{
    struct find_op *op = container_of(job, struct find_op, job);
    if (goes_on(op, 0) && !ends_with(op)) {
        next_batch(op);
    }
}

/* Looks into a batch that must hold the record, unless only records below `from` are so young.
 * False when the search goes on behind it; else it has ended, or a job is at it. */
static bool look_into(struct find_op *op, struct bytes batch, const struct header *header)
{
    buf_clear(&op->batch);
    buf_put(&op->batch, batch.data, batch.len);
    op->batch_last = header->last;
    if (header->compressed) {
        job_start(op->log->store->loop, &op->job, run, done);
        return true;
    }
    search(op);
    return ends_with(op);
}

/* ---- the tail ---------------------------------------------------------------------------------*/

static bool is_candidate(const struct find_op *op, const struct header *header)
{
    return header->last >= op->from && header->max_timestamp >= op->wanted;
}

/* What no segment has yet. */
static void look_in_tail(struct find_op *op)
{
    const struct tail *tail = &op->log->tail;
    for (uint64_t i = tail->written; i < tail->end; i++) {
        const struct tail_entry *entry = tail_entry(tail, i);
        const uint8_t *data = entry_data(entry);
        struct header header;
        for (size_t at = 0; at < entry->len; at += header.len) {
            check(read_header(bytes_of(data + at, entry->len - at), &header));
            if (is_candidate(op, &header) &&
                look_into(op, bytes_of(data + at, header.len), &header)) {
                return;
            }
        }
    }
    end_without(op);
}

/* ---- a segment --------------------------------------------------------------------------------*/

static void next_segment(struct find_op *op);
static void start_read(struct find_op *op, uint64_t len);
static void measured(struct find_op *op);

/* What to do about a batch whose header is at the current place, and `piece` begins there. */
enum step { STEP_OVER, STEP_READ, STEP_ENDED };

static enum step consider(struct find_op *op, struct bytes piece, const struct header *header)
{
    if (op->measuring) {
        if (header->last >= op->find->below) {
            measured(op);
            return STEP_ENDED;
        }
        if (header->last >= op->from) {
            op->wanted = max_i64(op->wanted, header->max_timestamp);
        }
        return STEP_OVER;
    }
    if (!is_candidate(op, header)) {
        return STEP_OVER;
    }
    if (header->len > piece.len) {
        return STEP_READ;
    }
    /* When it is not there after all, ends_with() has moved on already. */
    if (look_into(op, bytes_part(piece, 0, header->len), header)) {
        return STEP_ENDED;
    }
    op->place -= header->len;
    return STEP_OVER;
}

static void read_done(struct disk_request *req, int64_t result)
{
    struct find_op *op = container_of(req, struct find_op, req);
    if (!goes_on(op, result < 0 ? (int)result : 0)) {
        return;
    }
    if ((uint64_t)result < op->len) {
        damaged(op);
        return;
    }
    struct bytes piece = bytes_of(op->blob->data, (size_t)result);
    while (piece.len >= BATCH_HEADER) {
        struct header header;
        if (!read_header(piece, &header) || header.len > op->segment->written - op->place) {
            damaged(op);
            return;
        }
        enum step step = consider(op, piece, &header);
        if (step == STEP_READ) {
            start_read(op, header.len);
        }
        if (step != STEP_OVER) {
            return;
        }
        uint64_t skip = min_u64(header.len, piece.len);
        op->place += header.len;
        piece = bytes_part(piece, skip, piece.len - skip);
    }
    next_batch(op);
}

static void start_read(struct find_op *op, uint64_t len)
{
    struct store *store = op->log->store;
    op->len = min_u64(len, op->segment->written - op->place);
    blob_unref(op->blob);
    op->blob = recycler_get(store->recycler, op->len);
    disk_read(store->loop, &op->req, files_of(op->segment), op->blob->data, op->len, op->place,
              read_done);
}

/* Goes on at the current place: in the segment, in the next one, or in the tail. */
static void next_batch(struct find_op *op)
{
    if (op->segment == NULL) {
        look_in_tail(op);
    } else if (op->place >= op->segment->written && op->measuring) {
        measured(op);
    } else if (op->place >= op->segment->written) {
        next_segment(op);
    } else {
        start_read(op, STEP);
    }
}

static void file_ready(struct file_wait *wait, int error)
{
    struct find_op *op = container_of(wait, struct find_op, file);
    op->in_use = error == 0;
    if (goes_on(op, error)) {
        next_batch(op);
    }
}

/* Where to begin to measure: behind an entry of the time index whose records all count and end
 * below the limit. */
static struct time_entry last_entry_below(const struct find_op *op)
{
    const struct segment *segment = op->segment;
    struct time_entry last = { .timestamp = -1 };
    for (size_t i = 0; i < segment->times.n && segment->base >= op->from; i++) {
        if (segment->base + segment->times.entries[i].relative_offset < op->find->below) {
            last = segment->times.entries[i];
        }
    }
    return last;
}

static void index_ready(struct index_wait *wait, int error)
{
    struct find_op *op = container_of(wait, struct find_op, index);
    if (!goes_on(op, error)) {
        return;
    }
    struct log *log = op->log;
    struct segment *segment = op->segment;
    struct time_entry entry = op->measuring
                                  ? last_entry_below(op)
                                  : time_index_lookup(&segment->times, op->wanted - 1);
    int64_t offset = max_i64(segment->base + entry.relative_offset, op->from);
    op->wanted = max_i64(op->wanted, op->measuring ? entry.timestamp : -1);
    op->place = index_lookup(&segment->index, (uint32_t)min_i64(offset - segment->base,
                                                                INT32_MAX));
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    op->file.ready = file_ready;
    error = files_get(&log->store->files, segment, path, 0, &op->file);
    free(path);
    if (error == 0) {
        file_ready(&op->file, 0);
    }
}

static void enter(struct find_op *op, struct segment *segment)
{
    op->segment = segment_ref(segment);
    op->index.ready = index_ready;
    if (index_want(op->log, segment, &op->index) == 0) {
        index_ready(&op->index, 0);
    }
}

/* The next segment that can have the record; behind the last one, the tail. */
static void next_segment(struct find_op *op)
{
    struct log *log = op->log;
    uint32_t i = 0;
    if (op->segment != NULL) {
        log_segment_of(log, op->segment->base, &i);
        i++;
        release_segment(op);
    }
    for (; i < log->n_segments; i++) {
        struct segment *segment = log->segments[i];
        bool below = i + 1 < log->n_segments && log->segments[i + 1]->base <= op->from;
        if (!below && segment->written > 0 && segment->max_timestamp >= op->wanted) {
            enter(op, segment);
            return;
        }
    }
    look_in_tail(op);
}

/* ---- the largest time stamp -------------------------------------------------------------------*/

static int64_t largest_in_tail(const struct log *log, int64_t below)
{
    const struct tail *tail = &log->tail;
    int64_t largest = -1;
    for (uint64_t i = tail->written; i < tail->end; i++) {
        const struct tail_entry *entry = tail_entry(tail, i);
        const uint8_t *data = entry_data(entry);
        struct header header;
        for (size_t at = 0; at < entry->len && entry->base < below; at += header.len) {
            check(read_header(bytes_of(data + at, entry->len - at), &header));
            if (header.last < below) {
                largest = max_i64(largest, header.max_timestamp);
            }
        }
    }
    return largest;
}

/* Works out the largest time stamp of segments from `i` on, and of the tail; walks a segment whose
 * youngest record does not count, unless it cannot change the result. */
static void measure_from(struct find_op *op, uint32_t i)
{
    const struct log *log = op->log;
    int64_t below = op->find->below;
    for (; i < log->n_segments && log->segments[i]->base < below; i++) {
        struct segment *segment = log->segments[i];
        bool counts =
            segment->max_timestamp_offset >= op->from && segment->max_timestamp_offset < below;
        if (counts) {
            op->wanted = max_i64(op->wanted, segment->max_timestamp);
        } else if (segment->max_timestamp > op->wanted && segment->written > 0) {
            enter(op, segment);
            return;
        }
    }
    op->measuring = false;
    op->from = log->start;
    op->wanted = max_i64(op->wanted, largest_in_tail(log, below));
    if (op->wanted < 0) {
        end(op, 0);
    } else {
        next_segment(op);
    }
}

static void measure(struct find_op *op, int64_t at_least)
{
    op->measuring = true;
    op->wanted = at_least;
    measure_from(op, 0);
}

/* All of the segment's file that counts has been looked at. */
static void measured(struct find_op *op)
{
    uint32_t i;
    log_segment_of(op->log, op->segment->base, &i);
    release_segment(op);
    measure_from(op, i + 1);
}

/* ---- the door ---------------------------------------------------------------------------------*/

static void begin(struct find_op *op)
{
    op->n_cuts = op->log->n_cuts;
    op->largest_left = -1;
    op->from = op->log->start;
    op->wanted = op->find->timestamp;
    if (op->wanted == INT64_MAX) {
        measure(op, -1);
    } else {
        next_segment(op);
    }
}

int log_find(struct log *log, struct log_find *find)
{
    find->op = NULL;
    find->offset = find->found_timestamp = -1;
    find->leader_epoch = -1;
    if (log->deleted) {
        return -ENOENT;
    }
    struct find_op *op = mem_zalloc(sizeof *op);
    op->log = log_ref(log);
    op->find = find;
    find->op = op;
    list_push_back(&log->reads, &op->link);
    log->store->reads++;
    op->starting = true;
    begin(op);
    op->starting = false;
    if (!op->ended) {
        return -EINPROGRESS;
    }
    int error = op->error;
    find->op = NULL;
    free_op(op);
    return error;
}

void log_find_cancel(struct log_find *find)
{
    struct find_op *op = find->op;
    if (op != NULL) {
        op->find = NULL;
        find->op = NULL;
    }
}
