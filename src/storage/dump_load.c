/* Looking at a directory that is not ours.
 *
 * The checkpoint is loaded and the journal read to its end, as recovery does, into lists of what it
 * says of each log. A broker may be at work meanwhile: it frees chunks only after it has written
 * another checkpoint, so the two belong together when the checkpoint is still the same afterwards.
 * If it is not, or the journal looks damaged, everything is done again, a few times: a group that
 * is just being written looks torn.
 *
 * Then the lists are applied to the logs as replay does, but nothing is read from segments and
 * nothing is written. */
#include "dump_load.h"

#include "scan.h"

#include <errno.h>
#include <stdio.h>

enum { ATTEMPTS = 5 };

/* ---- entries ----------------------------------------------------------------------------------*/

struct key {
    const struct uuid *topic_id;
    int32_t partition;
};

static bool has_key(const struct map_node *node, const void *key)
{
    const struct dumped *d = container_of(node, struct dumped, node);
    const struct key *k = key;
    return d->partition == k->partition && uuid_equal(&d->topic_id, k->topic_id);
}

struct dumped *dump_entry(struct dump_state *s, const struct uuid *topic_id, int32_t partition)
{
    struct key key = { topic_id, partition };
    uint64_t hash = log_hash(&s->store, topic_id, partition);
    struct map_node *node = map_find(&s->logs, hash, has_key, &key);
    if (node != NULL) {
        return container_of(node, struct dumped, node);
    }
    struct dumped *d = mem_zalloc(sizeof *d);
    d->topic_id = *topic_id;
    d->partition = partition;
    log_notes_init(&d->said);
    map_insert(&s->logs, &d->node, hash);
    return d;
}

struct dumped *dump_find(const struct dump_state *s, const char *topic, int32_t partition)
{
    map_each (node, &s->logs) {
        struct dumped *d = container_of(node, struct dumped, node);
        if (d->log != NULL && d->partition == partition && strcmp(d->log->topic, topic) == 0) {
            return d;
        }
    }
    return NULL;
}

bool dump_wants(const struct dump_state *s, struct text topic, int32_t partition)
{
    return s->topic.data == NULL || (partition == s->partition && text_equal(topic, s->topic));
}

static void free_items(struct dumped *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->items[i].bytes);
    }
    d->n = 0;
}

static void free_dumped(struct dump_state *s, struct dumped *d)
{
    map_remove(&s->logs, &d->node);
    free_items(d);
    free(d->items);
    buf_release(&d->parts);
    free(d->topic);
    if (d->log != NULL) {
        log_unref(d->log);
    }
    free(d);
}

void dump_remark(struct dump_state *s, const char *file, uint64_t at, bool damage, const char *what)
{
    s->remarks = mem_grow(s->remarks, &s->cap_remarks, s->n_remarks + 1, sizeof *s->remarks);
    s->remarks[s->n_remarks++] =
        (struct dump_remark){ mem_strdup(file), at, mem_strdup(what), damage };
}

char *dump_segment_name(const struct log *log, int64_t base)
{
    char name[LOG_FILE_NAME_SIZE];
    struct log_file_name parsed = { .kind = LOG_FILE_SEGMENT, .offset = base };
    return mem_sprintf("%s-%d/%s", log->topic, (int)log->partition, log_file_format(&parsed, name));
}

/* ---- the journal ------------------------------------------------------------------------------*/

static void remark_journal(struct dump_state *s, unsigned slot, uint64_t at, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%s/%04u", JOURNAL_DIR, slot);
    dump_remark(s, name, at, true, what);
}

static struct dump_item *add_item(struct dump_state *s, struct dumped *d, uint64_t number,
                                  const struct journal_record *record)
{
    const struct journal_reader *reader = &s->recovery->reader;
    d->items = mem_grow(d->items, &d->cap, d->n + 1, sizeof *d->items);
    struct dump_item *item = &d->items[d->n++];
    *item = (struct dump_item){ .kind = record->kind,
                                .epoch = record->epoch,
                                .offset = record->offset,
                                .number = number,
                                .slot = reader->chunks[reader->chunk].slot,
                                .at = reader->group_at,
                                .lsn = reader->lsn };
    return item;
}

static void add_batches(struct dump_state *s, struct dumped *d, uint64_t number,
                        const struct journal_record *record, struct bytes batches)
{
    while (batches.len > 0) {
        struct dump_item *item = add_item(s, d, number, record);
        struct batch *b = &item->batch;
        item->kind = JOURNAL_APPEND;
        if (batch_parse(batches, b) != KAFKA_NONE || b->base_offset < 0 ||
            b->last_offset_delta < 0 || b->base_offset > INT64_MAX - 1 - b->last_offset_delta) {
            remark_journal(s, item->slot, item->at, "the group holds what is not a batch");
            d->n--;
            return;
        }
        item->crc_ok = batch_crc_ok(b);
        item->bytes = s->keep_bytes ? mem_dup(b->raw.data, b->raw.len) : NULL;
        batches = bytes_part(batches, b->raw.len, batches.len - b->raw.len);
        b->raw.data = item->bytes;
    }
}

static bool take_record(void *arg, const struct journal_record *record, uint64_t number)
{
    struct dump_state *s = arg;
    struct dumped *d = dump_entry(s, &record->topic_id, record->partition);
    log_notes_add(&d->said, record, number);
    if (record->kind == JOURNAL_CREATE && d->topic == NULL) {
        d->topic = text_dup(text_part((const char *)record->payload.data, record->payload.len));
    }
    if (d->topic == NULL || !dump_wants(s, text_of(d->topic), d->partition)) {
        return true;
    }
    if (record->kind == JOURNAL_APPEND) {
        add_batches(s, d, number, record, record->payload);
    } else if (record->kind != JOURNAL_PART) {
        add_item(s, d, number, record);
    } else if (journal_part_add(&d->parts, record)) {
        add_batches(s, d, number, record, buf_bytes(&d->parts));
        buf_release(&d->parts);
    }
    return true;
}

/* Reads it once; where it is damaged, a second time, for all that verifies. */
static void read_journal(struct dump_state *s)
{
    struct recovery *r = s->recovery;
    struct journal_reader *reader = &r->reader;
    journal_each(reader, take_record, s);
    unsigned slot = reader->n_begun > 0 ? reader->chunks[reader->chunk].slot : 0;
    uint64_t at = reader->at;
    const char *damage = journal_reader_verdict(reader, r->has_image ? r->head.durable_lsn : 0);
    if (damage == NULL && r->has_image && !r->head.clean && reader->n_begun == 0) {
        damage = "the journal is missing";
    }
    if (damage != NULL) {
        remark_journal(s, slot, at, damage);
        r->damage = r->damage != NULL ? r->damage : damage;
    }
    if (r->damage != NULL && reader->n_begun > 0) {
        map_each (node, &s->logs) {
            free_items(container_of(node, struct dumped, node));
        }
        reader->salvage = true;
        journal_each(reader, take_record, s);
    }
}

/* ---- what it makes of the logs ----------------------------------------------------------------*/

static int64_t last_of(const struct dump_item *item)
{
    return batch_last_offset(&item->batch);
}

static void learn(struct log *log, const struct batch *b)
{
    if (b->leader_epoch > epochs_last(&log->epochs)) {
        epochs_assign(&log->epochs, b->leader_epoch, b->base_offset);
    }
    log->end = batch_last_offset(b) + 1;
}

static void set_end(struct log *log, int64_t end)
{
    log->end = max_i64(end, log->start);
    log->high_watermark = min_i64(log->high_watermark, log->end);
    epochs_truncate(&log->epochs, log->end);
}

/* Where a log ends that is cut at `offset` in this segment: there, or where the batch begins that
 * reaches beyond it. The file may have been cut already, and written again. */
static int64_t end_below(const struct log *log, const struct segment *segment, int64_t offset)
{
    char *path = log_file_path(log, LOG_FILE_SEGMENT, segment->base);
    struct file *file = NULL;
    int64_t end = offset;
    struct scan scan;
    struct batch b;
    if (file_open(path, FILE_READ, &file) == 0) {
        scan_init(&scan, file, 0, (uint64_t)max_i64(file_size(file), 0), false);
        while (scan.next_offset < offset && scan_next(&scan, &b) == 1) {
            end = batch_last_offset(&b) < offset ? offset : min_i64(offset, b.base_offset);
        }
        scan_release(&scan);
        file_close(file);
    }
    free(path);
    return end;
}

/* The truncation that reaches furthest down, before all that came later. */
static void cut_segments(struct dumped *d)
{
    struct log *log = d->log;
    struct segment *last;
    int64_t cut = d->said.cut;
    d->cut_short = cut < log->end;
    if (max_i64(d->said.start, log->start) >= cut) {
        log_take_segments(log, 0, log->n_segments);
    }
    while ((last = log_last_segment(log)) != NULL && last->base >= cut) {
        log_take_segments(log, log->n_segments - 1, 1);
    }
    set_end(log, d->cut_short && last != NULL ? end_below(log, last, cut) : cut);
}

static void append(struct dump_state *s, struct dumped *d, struct dump_item *item)
{
    bool begins = d->log->start == d->log->end; /* log_begins() */
    if ((begins ? last_of(item) : item->batch.base_offset) >= d->log->end) {
        learn(d->log, &item->batch);
        return;
    }
    if (s->recovery->damage == NULL) {
        remark_journal(s, item->slot, item->at, "a batch of the group does not go on where the "
                                                "log ends");
    }
    item->kind = JOURNAL_PAD; /* else the segments have it */
}

/* What was appended at and above the offset before counts no more. */
static void truncate_items(struct dumped *d, size_t n, int64_t offset)
{
    int64_t end = offset;
    for (size_t i = n; i > 0; i--) {
        struct dump_item *item = &d->items[i - 1];
        if (item->kind == JOURNAL_APPEND && last_of(item) < offset) {
            break;
        }
        if (item->kind == JOURNAL_APPEND) {
            end = min_i64(end, item->batch.base_offset);
            item->kind = JOURNAL_PAD;
        }
    }
    set_end(d->log, end);
}

static void start_log(struct dumped *d, int64_t offset, bool cut)
{
    struct log *log = d->log;
    if (offset <= log->start) {
        return;
    }
    if (offset > log->end && !cut) {
        epochs_truncate(&log->epochs, 0);
    }
    log->start = offset;
    log->end = max_i64(log->end, offset);
    log->high_watermark = max_i64(log->high_watermark, offset);
    epochs_trim(&log->epochs, offset);
}

static void apply_item(struct dump_state *s, struct dumped *d, size_t i, uint64_t skip)
{
    const struct log_config config = LOG_CONFIG_UNKNOWN;
    struct dump_item *item = &d->items[i];
    if (item->kind == JOURNAL_CREATE && d->log == NULL && topic_name_ok(text_of(d->topic))) {
        d->log = log_new(&s->store, &d->topic_id, text_of(d->topic), d->partition, &config);
    } else if (item->kind == JOURNAL_LOG_START && d->log != NULL) {
        start_log(d, item->offset, item->number <= skip);
    } else if (item->number <= skip || d->log == NULL) {
        item->kind = JOURNAL_PAD;
    } else if (item->kind == JOURNAL_APPEND) {
        append(s, d, item);
    } else if (item->kind == JOURNAL_EPOCH && item->offset >= 0 &&
               item->epoch > epochs_last(&d->log->epochs)) {
        epochs_assign(&d->log->epochs, item->epoch, item->offset);
    } else if (item->kind == JOURNAL_TRUNCATE && item->offset < d->log->end &&
               s->recovery->damage == NULL) {
        truncate_items(d, i, item->offset);
    }
}

/* Segments that hold nothing at or above the log start; all of them where it lies above them. */
static void drop_below(struct dumped *d)
{
    struct log *log = d->log;
    uint32_t n = 0;
    while (n + 1 < log->n_segments && log->segments[n + 1]->base <= log->start) {
        n++;
    }
    log_take_segments(log, 0, log->start >= d->segments_end ? log->n_segments : n);
}

static void apply(struct dump_state *s, struct dumped *d)
{
    uint64_t skip = d->said.deletion;
    if (d->log != NULL && skip > 0) {
        log_unref(d->log);
        d->log = NULL;
    }
    if (d->log != NULL && s->recovery->damage == NULL && d->said.cut <= d->log->end) {
        skip = max_u64(skip, d->said.cut_number);
        cut_segments(d);
    } else if (d->log != NULL && s->recovery->damage != NULL && s->recovery->has_image) {
        dump_extend(s, d->log);
    }
    d->segments_end = d->log != NULL ? d->log->end : 0;
    for (size_t i = 0; i < d->n; i++) {
        if (d->items[i].number > d->said.deletion) {
            apply_item(s, d, i, skip);
        } else {
            d->items[i].kind = JOURNAL_PAD;
        }
    }
    if (d->log != NULL) {
        drop_below(d);
    }
}

/* ---- the whole --------------------------------------------------------------------------------*/

static void enter_logs(struct dump_state *s)
{
    map_each (node, &s->store.logs) {
        struct log *log = container_of(node, struct log, node);
        map_remove(&s->store.logs, &log->node);
        struct dumped *d = dump_entry(s, &log->topic_id, log->partition);
        d->log = log;
        d->topic = mem_strdup(log->topic);
        if (log->damage != NULL) {
            char *name = mem_sprintf("%s-%d", log->topic, (int)log->partition);
            dump_remark(s, name, 0, true, log->damage);
            free(name);
        }
    }
}

/* Is the checkpoint still the one that was loaded? */
static bool same_checkpoint(const struct dump_state *s)
{
    const struct recovery *r = s->recovery;
    struct image_head head;
    struct buf content = { 0 };
    char *path = store_file_path(&s->store, CHECKPOINT_FILE);
    bool there = file_load(path, SIZE_MAX / 2, &content) == 0 && image_open(&content, &head) == 0;
    free(path);
    buf_release(&content);
    return there == r->has_image && (!there || (head.lsn == r->head.lsn &&
                                                head.durable_lsn == r->head.durable_lsn &&
                                                uuid_equal(&head.stop_id, &r->head.stop_id)));
}

static void begin(struct dump_state *s, const char *dir)
{
    s->store.path = mem_strdup(dir);
    map_init(&s->store.logs);
    list_init(&s->store.cache.segments);
    map_init(&s->logs);
    s->recovery = recovery_blank(&s->store);
}

static int look(struct dump_state *s)
{
    struct recovery *r = s->recovery;
    bool known;
    s->error = recovery_look(r, &known);
    if (s->error != 0) {
        return s->error;
    }
    bool begun = r->reader.n_begun > 0;
    if (r->damage == NULL && begun && !r->has_image) {
        r->damage = "the checkpoint is missing";
    }
    if (r->damage != NULL) {
        dump_remark(s, CHECKPOINT_FILE, 0, true, r->damage);
    }
    if (r->has_image && !begun && r->head.clean && !recovery_same_stop(r)) {
        recovery_drop_all(r); /* somebody else was here since */
        r->has_image = false;
    }
    enter_logs(s);
    read_journal(s);
    if (!r->has_image || r->damage != NULL) {
        s->error = dump_found(s);
    }
    return s->error;
}

int dump_load(struct dump_state *s, const char *dir, struct text topic, int32_t partition,
              bool keep_bytes)
{
    *s = (struct dump_state){ .topic = topic, .partition = partition, .keep_bytes = keep_bytes };
    begin(s, dir);
    for (unsigned attempt = 1; look(s) == 0 && attempt < ATTEMPTS; attempt++) {
        if (same_checkpoint(s) && s->recovery->damage == NULL) {
            break;
        }
        dump_release(s);
        *s = (struct dump_state){ .topic = topic, .partition = partition,
                                  .keep_bytes = keep_bytes };
        begin(s, dir);
    }
    map_each (node, &s->logs) {
        struct dumped *d = container_of(node, struct dumped, node);
        if (s->error == 0 && d->topic != NULL && dump_wants(s, text_of(d->topic), d->partition)) {
            apply(s, d);
        }
    }
    return s->error;
}

void dump_release(struct dump_state *s)
{
    map_each (node, &s->logs) {
        free_dumped(s, container_of(node, struct dumped, node));
    }
    map_release(&s->logs);
    recovery_drop_all(s->recovery);
    map_release(&s->store.logs);
    recovery_free(s->recovery);
    for (size_t i = 0; i < s->n_remarks; i++) {
        free(s->remarks[i].file);
        free(s->remarks[i].what);
    }
    free(s->remarks);
    free(s->store.path);
}
