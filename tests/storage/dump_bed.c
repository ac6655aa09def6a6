/* What a dump says of a directory, kept for comparison. */
#include "dump_bed.h"

#include "../support/test.h"

#include <chronik/storage/log.h>
#include <stdio.h>

static void keep_log(void *arg, const struct dump_log *log)
{
    struct dumped_dir *d = arg;
    d->logs = mem_grow(d->logs, &d->cap, d->n + 1, sizeof *d->logs);
    struct dumped_log *kept = &d->logs[d->n++];
    *kept = (struct dumped_log){ .topic_id = *log->topic_id,
                                 .partition = log->partition,
                                 .start = log->start,
                                 .end = log->end,
                                 .last_epoch = epochs_last(log->epochs),
                                 .crc_ok = true };
    snprintf(kept->topic, sizeof kept->topic, "%s", log->topic);
}

static void keep_record(struct dumped_log *kept, const struct record *record)
{
    size_t cap = kept->cap;
    if (record->offset < kept->start || record->value.len < 8) {
        return;
    }
    kept->id = mem_grow(kept->id, &cap, kept->n + 1, sizeof *kept->id);
    kept->offset = mem_realloc_array(kept->offset, cap, sizeof *kept->offset);
    kept->cap = cap;
    kept->id[kept->n] = load_be64(record->value.data);
    kept->offset[kept->n++] = record->offset;
}

static void keep_batch(void *arg, const struct dump_log *log, const struct dump_batch *found)
{
    struct dumped_dir *d = arg;
    struct dumped_log *kept = &d->logs[d->n - 1];
    struct record_iter it;
    struct record record;
    assert_true(found->batch.base_offset < log->end);
    assert_true(batch_last_offset(&found->batch) >= log->start);
    kept->n_journal += found->lsn != 0;
    kept->n_segment += found->lsn == 0;
    kept->crc_ok = kept->crc_ok && found->crc_ok;
    assert_non_null(found->batch.raw.data);
    if (found->crc_ok && record_iter_init(&it, &found->batch, MIB(64), &d->scratch) == 0) {
        while (record_iter_next(&it, &record)) {
            keep_record(kept, &record);
        }
    }
}

static void keep_remark(void *arg, const char *file, uint64_t at, const char *what, bool damage)
{
    struct dumped_dir *d = arg;
    if (damage && d->n_damage == 0) {
        snprintf(d->damage, sizeof d->damage, "%s at %llu: %s", file, (unsigned long long)at, what);
    }
    d->n_damage += damage;
    d->n_notes += !damage;
}

int dir_dump(struct dumped_dir *dumped, const char *dir, const char *topic, int32_t partition)
{
    static const struct dump_visitor VISITOR = { keep_log, keep_batch, keep_remark };
    *dumped = (struct dumped_dir){ .n = 0 };
    const struct dump_request request = { .dir = dir,
                                          .topic = text_of(topic),
                                          .partition = partition,
                                          .records = true,
                                          .visitor = &VISITOR,
                                          .arg = dumped };
    char *message = NULL;
    int error = dump_run(&request, &message);
    assert_int_equal(error != 0, message != NULL);
    free(message);
    return error;
}

void dir_dump_release(struct dumped_dir *dumped)
{
    for (size_t i = 0; i < dumped->n; i++) {
        free(dumped->logs[i].id);
        free(dumped->logs[i].offset);
    }
    free(dumped->logs);
    codec_scratch_release(&dumped->scratch);
}

const struct dumped_log *dir_dump_find(const struct dumped_dir *dumped, const struct uuid *topic_id,
                                       int32_t partition)
{
    for (size_t i = 0; i < dumped->n; i++) {
        if (dumped->logs[i].partition == partition &&
            uuid_equal(&dumped->logs[i].topic_id, topic_id)) {
            return &dumped->logs[i];
        }
    }
    return NULL;
}

/* ---- comparing --------------------------------------------------------------------------------*/

struct comparison {
    const struct dumped_dir *dumped;
    size_t n;
    bool damaged; /* as a whole */
};

static void compare(struct log *log, void *arg)
{
    struct comparison *c = arg;
    const struct dumped_log *found =
        dir_dump_find(c->dumped, log_topic_id(log), log_partition(log));
    c->n++;
    if (log_damage(log) != NULL && c->dumped->n_damage == 0) {
        fail_msg("%s-%d: %s", found ? found->topic : "?", (int)log_partition(log),
                 log_damage(log));
    }
    if (log_damage(log) != NULL || c->damaged) {
        return;
    }
    assert_non_null(found);
    assert_int_equal(found->start, log_start_offset(log));
    assert_int_equal(found->end, log_end(log));
    assert_int_equal(found->last_epoch, log_last_epoch(log));
}

void dir_dump_compare(const struct dumped_dir *dumped, struct store *store)
{
    struct comparison c = { .dumped = dumped, .damaged = store_recovery(store)->damaged };
    store_each(store, compare, &c);
    if (!c.damaged) {
        assert_int_equal(dumped->n, c.n);
    }
    if (c.damaged) {
        assert_true(dumped->n_damage > 0);
    }
}
