/* What records of the journal add up to. */
#include "journal_notes.h"

enum { PART_BYTES_MAX = 1 << 30 };

void journal_each(struct journal_reader *reader,
                  bool (*visit)(void *arg, const struct journal_record *record, uint64_t number),
                  void *arg)
{
    struct journal_record record;
    struct bytes records;
    uint64_t lsn, number = 0;

    journal_reader_rewind(reader);
    while (journal_reader_next(reader, &lsn, &records) == 1) {
        int more;
        while ((more = journal_record_next(&records, &record)) == 1) {
            if (record.kind != JOURNAL_PAD && !visit(arg, &record, ++number)) {
                return;
            }
        }
        if (more < 0) {
            reader->damage = "a group holds what is not a record";
        }
    }
}

static void forget_cuts(struct log_notes *notes)
{
    notes->cut = INT64_MAX;
    notes->start = INT64_MIN;
}

void log_notes_init(struct log_notes *notes)
{
    *notes = (struct log_notes){ .deletion = 0 };
    forget_cuts(notes);
}

void log_notes_add(struct log_notes *notes, const struct journal_record *record, uint64_t number)
{
    switch (record->kind) {
    case JOURNAL_DELETE:
        notes->deletion = number;
        forget_cuts(notes);
        break;
    case JOURNAL_TRUNCATE:
        if (record->offset <= notes->cut) {
            notes->cut = record->offset;
            notes->cut_number = number;
        }
        break;
    case JOURNAL_LOG_START:
        notes->start = max_i64(notes->start, record->offset);
        break;
    default:
        break;
    }
}

bool journal_part_add(struct buf *parts, const struct journal_record *part)
{
    if (part->at == 0) {
        buf_clear(parts);
    }
    if (part->at != parts->len || part->total > PART_BYTES_MAX || part->at > part->total ||
        part->payload.len > part->total - part->at) {
        return false;
    }
    buf_put(parts, part->payload.data, part->payload.len);
    return parts->len == part->total;
}
