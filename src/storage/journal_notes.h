/* What records of the journal add up to: for whoever reads it back. */
#ifndef CHRONIK_STORAGE_JOURNAL_NOTES_H
#define CHRONIK_STORAGE_JOURNAL_NOTES_H

#include "journal_read.h"

/* Reads the journal from the beginning to its end; `visit` sees every record, with its number: they
 * are numbered from 1 on, the same way each time. It returns false to stop. A group that holds
 * something else is damage of the reader. */
void journal_each(struct journal_reader *reader,
                  bool (*visit)(void *arg, const struct journal_record *record, uint64_t number),
                  void *arg);

/* What may have changed the files of a log since the checkpoint. Only this excuses files that are
 * not as the checkpoint says. */
struct log_notes {
    uint64_t deletion;   /* the number of the last deletion; 0: none */
    int64_t cut;         /* the lowest truncation since; INT64_MAX: none */
    uint64_t cut_number; /* of that truncation */
    int64_t start;       /* the highest log start since; INT64_MIN: none */
};

void log_notes_init(struct log_notes *notes);
void log_notes_add(struct log_notes *notes, const struct journal_record *record, uint64_t number);

/* Gathers the pieces of a batch: true when it is complete in `parts`. The last pieces of a batch
 * whose first ones are void are passed over. */
bool journal_part_add(struct buf *parts, const struct journal_record *part);

#endif
