/* The bytes of the journal.
 *
 * chunk header, at 0 and again at 2048:
 *     0 magic         8 bytes "CHRONIKJ"
 *     8 version       uint16
 *    10 (zero)        uint16
 *    12 crc           uint32   CRC-32C of the next 56 bytes
 *    16 directory id  16 bytes
 *    32 chunk number  uint64
 *    40 first LSN     uint64
 *    48 salt          16 bytes
 *    64 (zero)        uint64
 *
 * group header:
 *     0 magic         uint32   "CKgr"
 *     4 crc           uint32   CRC-32C of all that follows in the group
 *     8 salt          16 bytes
 *    24 LSN           uint64
 *    32 length        uint32   bytes of records
 *    36 records       uint32   how many
 *
 * record, padded to a multiple of 8 bytes:
 *     0 length        uint32   without the padding
 *     4 kind          uint8
 *     5 flags         uint8    1: a segment begins with it
 *     6 (zero)        uint16
 *     8 partition     int32
 *    12 leader epoch  int32
 *    16 topic id      16 bytes
 *    32 offset        int64
 *   [40 total         uint64   JOURNAL_PART only
 *    48 at            uint64]
 *    payload */
#include "journal_format.h"

#include <chronik/base/crc32c.h>

#include <errno.h>

enum {
    GROUP_MAGIC = 0x434b6772, /* "CKgr" */
    COPY_AT = JOURNAL_BLOCK / 2,
    CHUNK_CRC_FROM = 16,
    CHUNK_HEADER = 72,
    PAD_HEADER = 8,
    BEGINS_SEGMENT = 1,
};

static const char CHUNK_MAGIC[8] = "CHRONIKJ";

/* ---- chunk headers ----------------------------------------------------------------------------*/

void journal_chunk_encode(const struct journal_chunk_header *header, uint8_t block[JOURNAL_BLOCK])
{
    memset(block, 0, JOURNAL_BLOCK);
    memcpy(block, CHUNK_MAGIC, sizeof CHUNK_MAGIC);
    store_be16(block + 8, JOURNAL_VERSION);
    memcpy(block + 16, header->directory_id.bytes, sizeof header->directory_id.bytes);
    store_be64(block + 32, header->number);
    store_be64(block + 40, header->first_lsn);
    memcpy(block + 48, header->salt.bytes, sizeof header->salt.bytes);
    store_be32(block + 12, crc32c(0, block + CHUNK_CRC_FROM, CHUNK_HEADER - CHUNK_CRC_FROM));
    memcpy(block + COPY_AT, block, CHUNK_HEADER);
}

static int decode_chunk(const uint8_t *from, struct journal_chunk_header *ret_header)
{
    uint32_t crc = crc32c(0, from + CHUNK_CRC_FROM, CHUNK_HEADER - CHUNK_CRC_FROM);
    if (memcmp(from, CHUNK_MAGIC, sizeof CHUNK_MAGIC) != 0) {
        return -EINVAL;
    }
    if (load_be16(from + 8) > JOURNAL_VERSION) {
        return -ENOTSUP;
    }
    if (load_be16(from + 8) == 0 || load_be32(from + 12) != crc) {
        return -EINVAL;
    }
    memcpy(ret_header->directory_id.bytes, from + 16, sizeof ret_header->directory_id.bytes);
    ret_header->number = load_be64(from + 32);
    ret_header->first_lsn = load_be64(from + 40);
    memcpy(ret_header->salt.bytes, from + 48, sizeof ret_header->salt.bytes);
    return 0;
}

int journal_chunk_decode(const uint8_t block[JOURNAL_BLOCK],
                         struct journal_chunk_header *ret_header)
{
    int first = decode_chunk(block, ret_header);
    if (first == 0) {
        return 0;
    }
    int second = decode_chunk(block + COPY_AT, ret_header);
    /* Both must say that they are newer: one may have been hit in its version. */
    return second == 0 ? 0 : first == second ? first : -EINVAL;
}

/* ---- group headers ----------------------------------------------------------------------------*/

void journal_group_encode(const struct journal_group_header *header,
                          uint8_t to[JOURNAL_GROUP_HEADER])
{
    store_be32(to, GROUP_MAGIC);
    store_be32(to + 4, header->crc);
    memcpy(to + 8, header->salt.bytes, sizeof header->salt.bytes);
    store_be64(to + 24, header->lsn);
    store_be32(to + 32, header->len);
    store_be32(to + 36, header->n_records);
}

bool journal_group_decode(const uint8_t from[JOURNAL_GROUP_HEADER],
                          struct journal_group_header *ret_header)
{
    if (load_be32(from) != GROUP_MAGIC) {
        return false;
    }
    ret_header->crc = load_be32(from + 4);
    memcpy(ret_header->salt.bytes, from + 8, sizeof ret_header->salt.bytes);
    ret_header->lsn = load_be64(from + 24);
    ret_header->len = load_be32(from + 32);
    ret_header->n_records = load_be32(from + 36);
    return true;
}

uint32_t journal_group_crc(const uint8_t *group, size_t len)
{
    return crc32c(0, group + JOURNAL_CRC_FROM, len - JOURNAL_CRC_FROM);
}

/* ---- records ----------------------------------------------------------------------------------*/

size_t journal_record_header(enum journal_kind kind)
{
    return kind == JOURNAL_PART  ? JOURNAL_PART_HEADER
           : kind == JOURNAL_PAD ? PAD_HEADER
                                 : JOURNAL_RECORD_HEADER;
}

size_t journal_record_size(enum journal_kind kind, size_t len)
{
    return round_up(journal_record_header(kind) + len, JOURNAL_ALIGN);
}

void journal_record_encode(const struct journal_record *record, uint8_t *to)
{
    size_t header = journal_record_header(record->kind);
    check(record->payload.len <= UINT32_MAX - header);
    store_be32(to, (uint32_t)(header + record->payload.len));
    to[4] = (uint8_t)record->kind;
    to[5] = record->begins_segment ? BEGINS_SEGMENT : 0;
    store_be16(to + 6, 0);
    store_be32(to + 8, (uint32_t)record->partition);
    store_be32(to + 12, (uint32_t)record->epoch);
    memcpy(to + 16, record->topic_id.bytes, sizeof record->topic_id.bytes);
    store_be64(to + 32, (uint64_t)record->offset);
    if (record->kind == JOURNAL_PART) {
        store_be64(to + 40, record->total);
        store_be64(to + 48, record->at);
    }
}

void journal_pad_encode(uint8_t *to, size_t len)
{
    check(len >= PAD_HEADER && len % JOURNAL_ALIGN == 0);
    memset(to, 0, len);
    store_be32(to, (uint32_t)len);
    to[4] = JOURNAL_PAD;
}

int journal_record_next(struct bytes *rest, struct journal_record *ret_record)
{
    const uint8_t *from = rest->data;
    if (rest->len == 0) {
        return 0;
    }
    if (rest->len < PAD_HEADER) {
        return -EINVAL;
    }
    uint64_t len = load_be32(from);
    uint8_t kind = from[4];
    if (kind < JOURNAL_CREATE || kind > JOURNAL_PAD) {
        return -EINVAL;
    }
    size_t header = journal_record_header(kind);
    if (len < header || round_up(len, JOURNAL_ALIGN) > rest->len) {
        return -EINVAL;
    }
    *ret_record = (struct journal_record){ .kind = kind };
    ret_record->payload = bytes_of(from + header, len - header);
    if (kind != JOURNAL_PAD) {
        ret_record->begins_segment = (from[5] & BEGINS_SEGMENT) != 0;
        ret_record->partition = (int32_t)load_be32(from + 8);
        ret_record->epoch = (int32_t)load_be32(from + 12);
        memcpy(ret_record->topic_id.bytes, from + 16, sizeof ret_record->topic_id.bytes);
        ret_record->offset = (int64_t)load_be64(from + 32);
    }
    if (kind == JOURNAL_PART) {
        ret_record->total = load_be64(from + 40);
        ret_record->at = load_be64(from + 48);
    }
    len = round_up(len, JOURNAL_ALIGN);
    *rest = bytes_part(*rest, len, rest->len - len);
    return 1;
}
