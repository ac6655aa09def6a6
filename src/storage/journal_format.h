/* The bytes of the journal (docs/data-files.md): chunk headers, group headers, records.
 *
 * A chunk is a file: a header block, then groups, each beginning on a block of its own. A group is
 * what one write made durable: a header and records. All numbers are big-endian. */
#ifndef CHRONIK_STORAGE_JOURNAL_FORMAT_H
#define CHRONIK_STORAGE_JOURNAL_FORMAT_H

#include <chronik/base/bytes.h>
#include <chronik/base/uuid.h>
#include <chronik/io/file.h>

enum {
    JOURNAL_VERSION = 1,
    JOURNAL_BLOCK = FILE_BLOCK, /* groups begin at multiples of it */
    JOURNAL_GROUP_HEADER = 40,  /* bytes */
    JOURNAL_RECORD_HEADER = 40,
    JOURNAL_PART_HEADER = 56,
    JOURNAL_ALIGN = 8, /* records begin at multiples of it */
};

/* What a group of a chunk must carry to be believed: made anew whenever the chunk is begun, so that
 * neither an older use of the file nor bytes that a client sent can pass for a group. */
struct journal_salt {
    uint8_t bytes[16];
};

struct journal_chunk_header {
    struct uuid directory_id;
    uint64_t number;    /* of the chunk: rises with each one that is begun */
    uint64_t first_lsn; /* of its first group */
    struct journal_salt salt;
};

/* Fills a block. The header is there twice, so that one damaged sector does no harm. */
void journal_chunk_encode(const struct journal_chunk_header *header, uint8_t block[JOURNAL_BLOCK]);

/* 0; -EINVAL: it is not a chunk that was begun (a free one, or a damaged header); -ENOTSUP: of a
 * newer version. */
int journal_chunk_decode(const uint8_t block[JOURNAL_BLOCK],
                         struct journal_chunk_header *ret_header);

struct journal_group_header {
    struct journal_salt salt;
    uint64_t lsn;
    uint32_t len;       /* bytes of records behind the header */
    uint32_t n_records;
    uint32_t crc; /* CRC-32C of the header behind this field, and of the records */
};

void journal_group_encode(const struct journal_group_header *header,
                          uint8_t to[JOURNAL_GROUP_HEADER]);

/* False when the magic number is not there. */
bool journal_group_decode(const uint8_t from[JOURNAL_GROUP_HEADER],
                          struct journal_group_header *ret_header);

/* The CRC of a group that begins with an encoded header. `len` bytes of it, at least a header. */
uint32_t journal_group_crc(const uint8_t *group, size_t len);

/* The header up to here is not covered by the CRC, but known: magic and the CRC itself. */
enum { JOURNAL_CRC_FROM = 8 };

enum journal_kind {
    JOURNAL_CREATE = 1, /* a log is there; payload: the topic's name */
    JOURNAL_APPEND,     /* payload: whole batches; offset: the first one's */
    JOURNAL_PART,       /* a piece of one batch that is too long for a group; the batch counts when
                           its last piece is there */
    JOURNAL_EPOCH,      /* `epoch` begins at `offset` */
    JOURNAL_TRUNCATE,   /* all at and above `offset` is gone */
    JOURNAL_LOG_START,  /* all below `offset` is gone; above the end: everything */
    JOURNAL_DELETE,     /* the log is gone */
    JOURNAL_PAD,        /* nothing; fills a slab up to a block */
};

struct journal_record {
    enum journal_kind kind;
    bool begins_segment; /* JOURNAL_APPEND, JOURNAL_PART */
    int32_t partition;
    struct uuid topic_id;
    int32_t epoch;
    int64_t offset;
    uint64_t total, at; /* JOURNAL_PART: length of the batch, place of this piece in it */
    struct bytes payload;
};

/* Bytes in front of the payload. */
size_t journal_record_header(enum journal_kind kind);

/* Bytes of a record with `len` bytes of payload, up to where the next one may begin. */
size_t journal_record_size(enum journal_kind kind, size_t len);

/* Writes what lies before the payload, for a payload of `record->payload.len` bytes. */
void journal_record_encode(const struct journal_record *record, uint8_t *to);

/* Writes a record that stands for nothing and takes `len` bytes, a multiple of JOURNAL_ALIGN. */
void journal_pad_encode(uint8_t *to, size_t len);

/* Takes the record at the start of `*rest` off it: 1, 0 at the end, -EINVAL when it cannot be
 * one. */
int journal_record_next(struct bytes *rest, struct journal_record *ret_record);

#endif
