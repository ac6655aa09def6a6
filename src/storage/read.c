/* Reads.
 *
 * What is in the tail is answered at once, from memory. Else the happy path is: the place, from
 * the index or from where the last read ended; the file; one read of about as many bytes as are
 * wanted; whole batches cut out of it, each checked with its CRC.
 *
 * What can go wrong: the wanted batch is not in the piece that was read (further on: read there;
 * too long: read again, just as long), the offset lies in a gap (go on in the next segment or the
 * tail), the log is cut meanwhile (begin again), a batch does not verify (-EIO; the log is
 * damaged). */
#include "state.h"

#include <errno.h>

enum {
    READ_MIN = 16 * 1024,
    READ_MAX = 4 * 1024 * 1024,
    COPY_READ = 32 * 1024, /* a short result is copied rather than keeping whole slabs alive */
    COPY_PIECE = 4 * 1024,
};

struct read_op {
    struct list link;
    struct log *log;       /* a reference */
    struct log_read *read; /* NULL: cancelled */
    struct segment *segment; /* a reference; NULL: not chosen yet */
    uint32_t n_cuts;
    uint64_t place;    /* where to read; the start of a batch */
    int64_t base_min;  /* no batch there begins below this offset */
    int64_t last_there; /* and the first one ends with this one; -1: not known */
    uint64_t len;
    struct blob *blob;
    struct disk_request req;
    struct file_wait file;
    struct index_wait index;
    bool in_use;   /* the segment's file */
    bool starting; /* log_read() has not returned yet: it gives the answer */
    bool ended;
    int error;
};

/* ---- from the tail ----------------------------------------------------------------------------*/

/* A row of entries: the first without `skip` bytes, the last only up to `last_len`. */
struct cut_out {
    uint64_t from, to; /* numbers of entries */
    size_t skip, last_len;
    uint64_t bytes;
    int64_t next;
};

/* Takes as many batches of an entry as are wanted, from `at` on. False: no further entry. */
static bool take_batches(const struct tail_entry *entry, size_t at, const struct log_read *read,
                         int64_t below, struct cut_out *cut)
{
    const uint8_t *data = entry_data(entry);
    while (at < entry->len) {
        struct batch b;
        check(batch_parse(bytes_of(data + at, entry->len - at), &b) == KAFKA_NONE);
        bool first = cut->bytes == 0 && read->at_least_one;
        if (batch_last_offset(&b) >= below ||
            (!first && cut->bytes + b.raw.len > read->max_bytes)) {
            return false;
        }
        at += b.raw.len;
        cut->bytes += b.raw.len;
        cut->last_len = at;
        cut->next = batch_last_offset(&b) + 1;
    }
    return true;
}

/* Bytes of batches in front of the one that holds the offset. */
static size_t bytes_before(const struct tail_entry *entry, int64_t offset)
{
    const uint8_t *data = entry_data(entry);
    size_t at = 0;
    struct batch b;
    for (;;) {
        check(batch_parse(bytes_of(data + at, entry->len - at), &b) == KAFKA_NONE);
        if (batch_last_offset(&b) >= offset) {
            return at;
        }
        at += b.raw.len;
    }
}

static void cut_out(const struct tail *tail, const struct log_read *read, int64_t below,
                    struct cut_out *cut)
{
    *cut = (struct cut_out){ .from = tail_find(tail, read->offset), .next = read->offset };
    cut->to = cut->from;
    if (cut->from == tail->end) {
        return;
    }
    const struct tail_entry *entry = tail_entry(tail, cut->from);
    size_t at = cut->skip = entry->base < read->offset ? bytes_before(entry, read->offset) : 0;
    for (uint64_t i = cut->from; i < tail->end; i++, at = 0) {
        uint64_t before = cut->bytes;
        entry = tail_entry(tail, i);
        bool whole = at == 0 && entry->last < below &&
                     cut->bytes + entry->len <= read->max_bytes;
        if (whole) {
            cut->bytes += entry->len;
            cut->last_len = entry->len;
            cut->next = entry->last + 1;
        }
        bool more = whole || take_batches(entry, at, read, below, cut);
        cut->to = cut->bytes > before ? i + 1 : cut->to;
        if (!more) {
            return;
        }
    }
}

static struct bytes piece_of(const struct tail *tail, const struct cut_out *cut, uint64_t number)
{
    const struct tail_entry *entry = tail_entry(tail, number);
    size_t from = number == cut->from ? cut->skip : 0;
    size_t to = number == cut->to - 1 ? cut->last_len : entry->len;
    return bytes_of(entry_data(entry) + from, to - from);
}

/* Puts the pieces into the chain: long ones by reference, rows of short ones as one copy. */
static void emit(const struct tail *tail, const struct cut_out *cut, struct chain *out)
{
    size_t copy_below = cut->bytes < COPY_READ ? SIZE_MAX : COPY_PIECE;
    for (uint64_t i = cut->from; i < cut->to;) {
        struct bytes piece = piece_of(tail, cut, i);
        if (piece.len >= copy_below) {
            chain_add(out, tail_entry(tail, i)->slab->blob, piece);
            i++;
            continue;
        }
        size_t len = 0;
        uint64_t to = i;
        while (to < cut->to && piece_of(tail, cut, to).len < copy_below) {
            len += piece_of(tail, cut, to++).len;
        }
        uint8_t *at = chain_reserve(out, len);
        for (; i < to; i++) {
            piece = piece_of(tail, cut, i);
            memcpy(at, piece.data, piece.len);
            at += piece.len;
        }
    }
}

static void read_tail(struct log *log, struct log_read *read, int64_t below)
{
    struct cut_out cut;
    cut_out(&log->tail, read, below, &cut);
    emit(&log->tail, &cut, &read->batches);
    read->next = cut.next;
    log->store->stats.tail_reads++;
    log->store->stats.tail_read_bytes += cut.bytes;
}

/* ---- from a segment ---------------------------------------------------------------------------*/

static void release_segment(struct read_op *op)
{
    if (op->in_use) {
        files_put(&op->log->store->files, op->segment);
        op->in_use = false;
    }
    segment_unref(op->segment);
    op->segment = NULL;
}

static void free_op(struct read_op *op)
{
    struct log *log = op->log;
    struct store *store = log->store;
    list_remove(&op->link);
    blob_unref(op->blob);
    free(op);
    log_unref(log);
    store->reads--;
    store_settle(store);
}

/* Ends the operation; tells the reader unless it has gone. */
static void end(struct read_op *op, int error)
{
    struct log_read *read = op->read;
    release_segment(op);
    if (op->starting) {
        op->ended = true;
        op->error = error;
        return;
    }
    if (read != NULL) {
        read->op = NULL;
        read->done(read, error);
    }
    free_op(op);
}

static int begin(struct read_op *op);

/* Begins anew, or in the next place; ends the operation when that is answered at once. */
static void again(struct read_op *op)
{
    release_segment(op);
    int error = op->read == NULL ? 0 : begin(op);
    if (error != -EINPROGRESS) {
        end(op, error);
    }
}

/* Is there still anything to do after a wait? If not, ends the operation or begins anew. */
static bool goes_on(struct read_op *op, int error)
{
    if (op->read == NULL) {
        end(op, 0);
        return false;
    }
    if (error != 0 && !op->log->deleted) {
        end(op, error);
        return false;
    }
    if (op->log->deleted || op->n_cuts != op->log->n_cuts || op->segment->removed) {
        again(op);
        return false;
    }
    return true;
}

static void remember(struct log *log, int64_t base, int64_t offset, uint64_t place)
{
    if (log->hints[0].base != base || log->hints[0].offset != offset) {
        log->hints[1] = log->hints[0];
        log->hints[0] = (struct read_hint){ offset, base, place };
    }
}

static void start_read(struct read_op *op);

static void damaged(struct read_op *op, uint64_t at)
{
    char *damage = mem_sprintf("segment %020lld is damaged at byte %llu",
                               (long long)op->segment->base, (unsigned long long)at);
    log_set_damage(op->log, damage);
    end(op, -EIO);
}

/* What is in the piece that was read. */
struct found {
    size_t from, to; /* the batches to return, in the piece */
    size_t at;       /* the first byte not looked at */
    int64_t next;    /* offset behind them */
    int64_t base_min, last_there; /* as in the operation, for the batch at `at` */
    uint64_t need;   /* bytes of the batch at `at`, which is not there as a whole; 0: none */
    bool bad;        /* what is at `at` does not verify */
    bool full;       /* the batch at `at` is not wanted any more */
};

/* The CRC does not cover base offset and leader epoch: these are compared with what is known. */
static bool in_its_place(const struct read_op *op, const struct found *f, const struct batch *b)
{
    const struct log *log = op->log;
    int64_t last = batch_last_offset(b);
    uint32_t i;
    log_segment_of(log, op->segment->base, &i);
    int64_t bound = i + 1 < log->n_segments ? log->segments[i + 1]->base : log->end;
    int32_t epoch = epochs_at(&log->epochs, b->base_offset);
    return b->base_offset >= f->base_min && last < bound &&
           (f->last_there < 0 || f->last_there == last) &&
           (b->leader_epoch < 0 || epoch < 0 || epoch == b->leader_epoch);
}

/* Verifies the batch at `f->at` and what is seen of the one behind it, whose base offset must be
 * higher. True with a good one; else says in `*f` what is wrong or missing. */
static bool verify(const struct read_op *op, struct bytes piece, struct found *f, struct batch *b)
{
    struct bytes rest = bytes_part(piece, f->at, piece.len - f->at);
    int64_t len = batch_peek_length(rest);
    if (len == 0 || (len > 0 && (uint64_t)len > rest.len)) {
        f->need = len > 0 ? (uint64_t)len : BATCH_HEADER;
        return false;
    }
    f->bad = len < 0 || batch_parse(rest, b) != KAFKA_NONE || !batch_crc_ok(b) ||
             !in_its_place(op, f, b);
    if (f->bad) {
        return false;
    }
    uint64_t behind = rest.len - b->raw.len;
    bool is_last = op->place + f->at + b->raw.len == op->segment->written;
    if (behind >= 8) {
        f->bad = (int64_t)load_be64(rest.data + b->raw.len) <= batch_last_offset(b);
    } else if (!is_last && f->at > 0) {
        f->need = b->raw.len; /* read from here on, the one behind it may be seen */
        return false;
    }
    return !f->bad;
}

static struct found look(const struct read_op *op, struct bytes piece)
{
    const struct log_read *read = op->read;
    int64_t below = min_i64(read->below, op->log->end);
    struct found f = { .next = read->offset,
                       .base_min = op->base_min,
                       .last_there = op->last_there };

    while (f.at < piece.len && !f.full) {
        struct batch b;
        if (!verify(op, piece, &f, &b)) {
            return f;
        }
        bool before = batch_last_offset(&b) < read->offset;
        bool first = f.to == f.from && read->at_least_one;
        f.full = !before && (batch_last_offset(&b) >= below ||
                             (!first && f.to - f.from + b.raw.len > read->max_bytes));
        if (f.full) {
            return f;
        }
        f.at += b.raw.len;
        f.to = f.at;
        f.from = before ? f.at : f.from;
        f.next = before ? f.next : batch_last_offset(&b) + 1;
        f.base_min = batch_last_offset(&b) + 1;
        f.last_there = -1;
    }
    return f;
}

static void answer(struct read_op *op, const struct found *f)
{
    struct log_read *read = op->read;
    struct store *store = op->log->store;
    struct bytes bytes = bytes_of(op->blob->data + f->from, f->to - f->from);
    if (bytes.len < COPY_PIECE) {
        chain_put(&read->batches, bytes.data, bytes.len);
    } else {
        chain_add(&read->batches, op->blob, bytes);
    }
    read->next = f->next;
    if (bytes.len > 0) {
        remember(op->log, op->segment->base, f->next, op->place + f->to);
    }
    store->stats.segment_reads++;
    store->stats.segment_read_bytes += bytes.len;
    end(op, 0);
}

static void read_done(struct disk_request *req, int64_t result)
{
    struct read_op *op = container_of(req, struct read_op, req);
    if (!goes_on(op, result < 0 ? (int)result : 0)) {
        return;
    }
    struct found f = look(op, bytes_of(op->blob->data, (size_t)result));
    bool short_file = (uint64_t)result < op->len;
    if (f.to > f.from || f.full) {
        answer(op, &f);
    } else if (f.bad || (short_file && f.at == (size_t)result) || (short_file && f.need > 0)) {
        damaged(op, op->place + f.at);
    } else if (f.need > 0 && op->place + f.at + f.need > op->segment->written) {
        damaged(op, op->place + f.at);
    } else if (f.need > 0 && !op->read->at_least_one && f.need > op->read->max_bytes) {
        answer(op, &f);
    } else {
        op->place += f.at;
        op->base_min = f.base_min;
        op->last_there = f.last_there;
        op->len = max_u64(f.need, op->len);
        start_read(op);
    }
}

static void start_read(struct read_op *op)
{
    struct store *store = op->log->store;
    struct segment *segment = op->segment;
    if (op->place >= segment->written) {
        /* The offset lies in a gap behind the last batch of this segment. */
        uint32_t i;
        log_segment_of(op->log, segment->base, &i);
        struct segment *next =
            i + 1 < op->log->n_segments ? op->log->segments[i + 1] : NULL;
        if (next == NULL || next->written == 0) {
            read_tail(op->log, op->read, min_i64(op->read->below, op->log->end));
            end(op, 0);
            return;
        }
        remember(op->log, next->base, op->read->offset, 0);
        again(op);
        return;
    }
    op->len = min_u64(op->len, segment->written - op->place);
    if (op->blob == NULL || op->blob->len < op->len || op->blob->refs > 1) {
        blob_unref(op->blob);
        op->blob = recycler_get(store->recycler, op->len);
    }
    disk_read(store->loop, &op->req, files_of(segment), op->blob->data, op->len, op->place,
              read_done);
}

static void file_ready(struct file_wait *wait, int error)
{
    struct read_op *op = container_of(wait, struct read_op, file);
    op->in_use = error == 0;
    if (goes_on(op, error)) {
        start_read(op);
    }
}

static void open_file_of(struct read_op *op)
{
    struct log *log = op->log;
    char *path = log_file_path(log, LOG_FILE_SEGMENT, op->segment->base);
    op->file.ready = file_ready;
    int error = files_get(&log->store->files, op->segment, path, 0, &op->file);
    free(path);
    if (error == 0) {
        op->in_use = true;
        start_read(op);
    }
}

static void index_ready(struct index_wait *wait, int error)
{
    struct read_op *op = container_of(wait, struct read_op, index);
    if (!goes_on(op, error)) {
        return;
    }
    const struct segment *segment = op->segment;
    int64_t relative = min_i64(op->read->offset - segment->base, INT32_MAX);
    const struct index_entry *entry = index_find(&segment->index, (uint32_t)relative);
    if (entry != NULL) {
        op->place = entry->place;
        op->last_there = segment->base + entry->relative_offset;
    }
    open_file_of(op);
}

static bool use_hint(struct read_op *op)
{
    const struct log *log = op->log;
    for (unsigned i = 0; i < countof(log->hints); i++) {
        const struct read_hint *hint = &log->hints[i];
        uint32_t k;
        if (hint->offset != op->read->offset) {
            continue;
        }
        struct segment *segment = log_segment_of(log, hint->base, &k);
        if (segment != NULL && segment->base == hint->base) {
            op->segment = segment_ref(segment);
            op->place = hint->place;
            op->base_min = hint->offset;
            return true;
        }
    }
    return false;
}

/* Finds out where to read, and goes on from there. */
static void locate(struct read_op *op)
{
    struct log *log = op->log;
    int64_t offset = op->read->offset;

    op->n_cuts = log->n_cuts;
    op->last_there = -1;
    op->len = min_u64(max_u64(op->read->max_bytes, READ_MIN), READ_MAX);
    if (use_hint(op)) {
        open_file_of(op);
        return;
    }
    op->segment = segment_ref(log_segment_of(log, offset, NULL));
    op->place = 0;
    op->base_min = op->segment->base;
    if (offset <= op->segment->base || op->segment->written <= READ_MIN) {
        open_file_of(op);
        return;
    }
    op->index.ready = index_ready;
    if (index_want(log, op->segment, &op->index) == 0) {
        index_ready(&op->index, 0);
    }
}

/* ---- the door ---------------------------------------------------------------------------------*/

int64_t log_memory_start(const struct log *log)
{
    return log->n_segments > 0 ? tail_start(&log->tail) : log->start;
}

/* Answers from what is in memory: 0 or an error; -EINPROGRESS when it takes a segment. */
static int read_now(struct log *log, struct log_read *read)
{
    int64_t below = min_i64(read->below, log->end);
    read->next = read->offset;
    if (log->deleted) {
        return -ENOENT;
    }
    if (read->offset < log->start || read->offset > log->end) {
        return -ERANGE;
    }
    if (read->offset >= below) {
        return 0;
    }
    if (read->offset < log_memory_start(log)) {
        return -EINPROGRESS;
    }
    read_tail(log, read, below);
    return 0;
}

/* -EINPROGRESS: goes on by itself. */
static int begin(struct read_op *op)
{
    int error = read_now(op->log, op->read);
    if (error == -EINPROGRESS) {
        locate(op);
    }
    return error;
}

int log_read(struct log *log, struct log_read *read)
{
    read->op = NULL;
    read->batches = (struct chain){ 0 };
    int error = read_now(log, read);
    if (error != -EINPROGRESS) {
        return error;
    }
    struct read_op *op = mem_zalloc(sizeof *op);
    op->log = log_ref(log);
    op->read = read;
    read->op = op;
    list_push_back(&log->reads, &op->link);
    log->store->reads++;
    op->starting = true;
    locate(op);
    op->starting = false;
    if (op->ended) {
        error = op->error;
        read->op = NULL;
        free_op(op);
    }
    return error;
}

void log_read_cancel(struct log_read *read)
{
    struct read_op *op = read->op;
    if (op != NULL) {
        op->read = NULL;
        read->op = NULL;
    }
}
