/* The inside of the journal, as its files share it. */
#ifndef CHRONIK_STORAGE_JOURNAL_INSIDE_H
#define CHRONIK_STORAGE_JOURNAL_INSIDE_H

#include <chronik/io/disk.h>
#include <chronik/io/job.h>

#include "journal.h"

/* A part of a slab that belongs to a group: whole blocks once the group is closed. */
struct piece {
    struct blob *blob; /* a reference */
    uint8_t *from;
    size_t len;
};

struct group {
    struct list link;
    uint64_t lsn;
    uint8_t *header; /* in the first piece */
    uint64_t len;    /* bytes of records so far */
    uint32_t n_records;
    struct piece *pieces;
    size_t n_pieces, cap_pieces;
    struct journal_mark *marks;
    size_t n_marks, cap_marks;
};

struct chunk_maker; /* a chunk being made by a job */

struct journal {
    struct loop *loop;
    struct slabs *slabs;
    const struct journal_events *events;
    void *arg;
    char *dir;
    struct uuid directory_id;
    uint64_t bytes_max, chunk_bytes, group_max;

    /* gathering */
    struct group *open;   /* NULL: nothing was added since the last one was closed */
    struct group *latest; /* the one that got the last record */
    struct slab *slab;    /* of the open group's last piece */
    struct list queue;    /* closed groups, oldest first */
    uint64_t queued;      /* bytes of them */
    uint64_t next_lsn, durable_lsn;
    struct loop_task submit;

    /* writing */
    struct group *flying; /* taken off the queue */
    struct iovec *iov;
    size_t cap_iov;
    struct disk_request write;
    uint64_t write_began_ns;
    bool writing; /* a group or a chunk's header */
    bool failed, stopped;

    /* chunks */
    struct list used, free;          /* the free ones are all of `chunk_bytes` */
    uint64_t used_bytes, free_bytes; /* of whole files */
    uint64_t n_free;
    uint64_t at;                     /* where the next group goes in the current chunk */
    uint64_t next_number;
    unsigned next_slot;
    struct chunk_maker *maker;
    struct journal_chunk *beginning; /* its header is being written */
    uint8_t *block;                  /* that header */
    unsigned removing;               /* chunk files being removed */
    bool no_space;                   /* the last chunk could not be made */

    void (*idle)(void *arg); /* stopping: call it when nothing is under way */
    void *idle_arg;
    struct journal_stats stats;
};

/* The chunk that groups are written to; NULL before the first. */
static inline struct journal_chunk *current_chunk(const struct journal *j)
{
    struct list *last = list_last(&j->used);
    return last ? container_of(last, struct journal_chunk, link) : NULL;
}

/* Closes the open group and puts it into the queue. */
void group_close(struct journal *j);
void group_free(struct group *group);

/* Puts a chunk of the usual size into the free list. */
void journal_put_free(struct journal *j, struct journal_chunk *chunk);

/* Begins the next chunk, or has one made: submits again when it is there. */
void journal_next_chunk(struct journal *j);

/* Sees to it that a chunk is ready for when the current one is full. */
void journal_prepare(struct journal *j);

void journal_fail(struct journal *j, int error, const char *what);

/* Tells who waits for the journal to stop. */
void journal_settle(struct journal *j);

#endif
