/* Reading a journal back, blocking: for recovery (docs/data-files.md; rules 18, 20 and 22 of
 * docs/durability.md).
 *
 * The journal goes on from group to group, and from chunk to chunk: a chunk counts up to where the
 * next begun one says that it goes on. It ends at the first group that does not verify. That end is
 * a torn write, unless something proves that there was more: then it is damage. */
#ifndef CHRONIK_STORAGE_JOURNAL_READ_H
#define CHRONIK_STORAGE_JOURNAL_READ_H

#include "journal.h"

/* A chunk file as it is found. */
struct found_chunk {
    unsigned slot;
    uint64_t bytes;
    bool begun; /* it has a header, of this directory */
    struct journal_chunk_header header;
};

struct journal_reader {
    char *dir;
    struct found_chunk *chunks; /* those that are begun first, by number */
    size_t n_begun, n;
    uint64_t first_lsn; /* what is asked for */

    /* where the walk is */
    size_t chunk;
    struct file *file; /* of `chunk`; NULL: not open */
    uint64_t at;
    uint64_t next_lsn;
    size_t first_chunk, last_chunk; /* those that groups came from */
    bool any;
    bool salvage; /* go on behind what is damaged, with what verifies */
    uint64_t bytes; /* of groups, in this walk */
    struct buf group;
    uint64_t lsn, group_at; /* of the group read last, which lies in `chunk` */
    const char *damage; /* why the journal does not end where it seems to; NULL */
};

/* Finds the chunks in a directory; groups from `first_lsn` on are wanted. A missing directory is an
 * empty journal. 0, -ENOTSUP: a chunk is of a newer version, or another -errno. */
int journal_reader_open(struct journal_reader *reader, const char *dir,
                        const struct uuid *directory_id, uint64_t first_lsn);
void journal_reader_close(struct journal_reader *reader);

/* Begins the walk (again). */
void journal_reader_rewind(struct journal_reader *reader);

/* The records of the next group, valid until the next call: 1, or 0 at the end. Groups with one
 * flipped bit are put right in memory. */
int journal_reader_next(struct journal_reader *reader, uint64_t *ret_lsn,
                        struct bytes *ret_records);

/* At the end of the walk: what proves that the journal is damaged, or NULL. `durable_lsn`: what the
 * checkpoint knows to have been there. */
const char *journal_reader_verdict(struct journal_reader *reader, uint64_t durable_lsn);

/* Syncs the chunks that groups came from; where writes are not direct, writes them again first: the
 * page cache may hold what the disk has lost. */
int journal_reader_sync(struct journal_reader *reader);

#endif
