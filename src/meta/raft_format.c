/* Heads, groups and snapshots as bytes: raft_format.h has the pictures.
 *
 * A damaged byte is found by one of the two checksums. The body's length is in the head, so it is
 * trusted only once the head's checksum was right, and only as far as there are bytes. */
#include "raft_format.h"

#include <chronik/base/crc32c.h>

#include <errno.h>

enum { FORMAT_VERSION = 1, BODY_CRC_AT = 56, HEAD_CRC_AT = 60 };

static const char VOTE_MAGIC[4] = "CKRv", SEGMENT_MAGIC[4] = "CKRl", GROUP_MAGIC[4] = "CKRg",
                  SNAPSHOT_MAGIC[4] = "CKRs";

/* ---- heads ------------------------------------------------------------------------------------*/

static void seal(uint8_t *head, const char magic[4], struct bytes body)
{
    memcpy(head, magic, 4);
    store_be16(head + 4, FORMAT_VERSION);
    store_be32(head + BODY_CRC_AT, crc32c(0, body.data, body.len));
    store_be32(head + HEAD_CRC_AT, crc32c(0, head, HEAD_CRC_AT));
}

static int open_head(struct bytes in, const char magic[4])
{
    if (in.len < RAFT_HEAD || memcmp(in.data, magic, 4) != 0 ||
        load_be32(in.data + HEAD_CRC_AT) != crc32c(0, in.data, HEAD_CRC_AT)) {
        return -EBADMSG;
    }
    return load_be16(in.data + 4) > FORMAT_VERSION ? -ENOTSUP : 0;
}

static int open_body(struct bytes in, uint64_t len, struct bytes *ret_body)
{
    if (len > in.len - RAFT_HEAD ||
        load_be32(in.data + BODY_CRC_AT) != crc32c(0, in.data + RAFT_HEAD, len)) {
        return -EBADMSG;
    }
    *ret_body = bytes_part(in, RAFT_HEAD, len);
    return 0;
}

/* ---- votes and segments -----------------------------------------------------------------------*/

void raft_vote_put(const struct raft_vote_head *head, uint8_t *to)
{
    store_be64(to + 8, head->identity.node_id);
    memcpy(to + 16, head->identity.directory.bytes, 16);
    store_be64(to + 32, head->sequence);
    store_be64(to + 40, head->term);
    store_be64(to + 48, head->vote);
    seal(to, VOTE_MAGIC, bytes_of(NULL, 0));
}

int raft_vote_get(struct bytes in, struct raft_vote_head *ret_head)
{
    struct raft_vote_head head;
    int error = open_head(in, VOTE_MAGIC);
    if (error != 0) {
        return error;
    }
    head.identity.node_id = load_be64(in.data + 8);
    memcpy(head.identity.directory.bytes, in.data + 16, 16);
    head.sequence = load_be64(in.data + 32);
    head.term = load_be64(in.data + 40);
    head.vote = load_be64(in.data + 48);
    *ret_head = head;
    return 0;
}

void raft_segment_put(const struct raft_segment_head *head, uint8_t *to)
{
    store_be16(to + 6, head->restart);
    store_be64(to + 8, head->salt);
    memcpy(to + 16, head->directory.bytes, 16);
    store_be64(to + 32, head->first_sequence);
    store_be64(to + 40, head->first_index);
    store_be64(to + 48, head->capacity);
    seal(to, SEGMENT_MAGIC, bytes_of(NULL, 0));
}

int raft_segment_get(struct bytes in, struct raft_segment_head *ret_head)
{
    struct raft_segment_head head;
    int error = open_head(in, SEGMENT_MAGIC);
    if (error != 0) {
        return error;
    }
    head.restart = load_be16(in.data + 6) != 0;
    head.salt = load_be64(in.data + 8);
    memcpy(head.directory.bytes, in.data + 16, 16);
    head.first_sequence = load_be64(in.data + 32);
    head.first_index = load_be64(in.data + 40);
    head.capacity = load_be64(in.data + 48);
    *ret_head = head;
    return 0;
}

/* ---- groups -----------------------------------------------------------------------------------*/

void raft_group_put(const struct raft_group_head *head, struct bytes body, uint8_t *to)
{
    size_t used = RAFT_HEAD + body.len;
    memset(to, 0, RAFT_HEAD);
    store_be64(to + 8, head->salt);
    store_be64(to + 16, head->sequence);
    store_be64(to + 24, head->first_index);
    store_be32(to + 32, head->n);
    store_be64(to + 40, body.len);
    seal(to, GROUP_MAGIC, body);
    memcpy(to + RAFT_HEAD, body.data, body.len);
    memset(to + used, 0, raft_copy_len(body.len) - used);
}

/* Do the entries fill the body exactly? */
static bool entries_fit(struct bytes body, uint32_t n)
{
    struct raft_item item;
    uint64_t found = 0;
    while (raft_entry_get(&body, &item)) {
        found++;
    }
    return body.len == 0 && found == n && n > 0;
}

int raft_group_get(struct bytes in, uint64_t salt, struct raft_group_head *ret_head,
                   struct bytes *ret_body)
{
    struct raft_group_head head;
    struct bytes body;
    int error = open_head(in, GROUP_MAGIC);
    if (error != 0) {
        return error;
    }
    head.salt = load_be64(in.data + 8);
    head.sequence = load_be64(in.data + 16);
    head.first_index = load_be64(in.data + 24);
    head.n = load_be32(in.data + 32);
    head.body_len = load_be64(in.data + 40);
    if (head.salt != salt || open_body(in, head.body_len, &body) != 0 ||
        !entries_fit(body, head.n) || head.first_index == 0) {
        return -EBADMSG;
    }
    *ret_head = head;
    *ret_body = body;
    return 0;
}

void raft_entry_put(const struct raft_item *item, struct buf *to)
{
    buf_put_be64(to, item->term);
    buf_put_u8(to, (uint8_t)item->kind);
    buf_put_be32(to, (uint32_t)item->data.len);
    buf_put(to, item->data.data, item->data.len);
}

bool raft_entry_get(struct bytes *left, struct raft_item *ret_item)
{
    if (left->len < RAFT_ENTRY_HEAD) {
        return false;
    }
    uint32_t len = load_be32(left->data + 9);
    if (len > left->len - RAFT_ENTRY_HEAD) {
        return false;
    }
    *ret_item = (struct raft_item){ .term = load_be64(left->data),
                                    .kind = (enum raft_entry_kind)left->data[8],
                                    .data = bytes_part(*left, RAFT_ENTRY_HEAD, len) };
    *left = bytes_part(*left, RAFT_ENTRY_HEAD + len, left->len - RAFT_ENTRY_HEAD - len);
    return true;
}

/* ---- snapshots --------------------------------------------------------------------------------*/

void raft_snapshot_put(const struct uuid *directory, const struct raft_image *snapshot,
                       struct buf *to)
{
    size_t body_len = 4 + snapshot->members.len + snapshot->data.len;
    size_t len = raft_copy_len(body_len);
    uint8_t *at = buf_reserve(to, 2 * len), *body = at + RAFT_HEAD;

    memset(at, 0, len);
    store_be32(body, (uint32_t)snapshot->members.len);
    memcpy(body + 4, snapshot->members.data, snapshot->members.len);
    if (snapshot->data.len > 0) {
        memcpy(body + 4 + snapshot->members.len, snapshot->data.data, snapshot->data.len);
    }
    store_be64(at + 8, snapshot->data.len);
    memcpy(at + 16, directory->bytes, 16);
    store_be64(at + 32, snapshot->index);
    store_be64(at + 40, snapshot->term);
    store_be64(at + 48, snapshot->members_index);
    seal(at, SNAPSHOT_MAGIC, bytes_of(body, body_len));
    memcpy(at + len, at, len);
    to->len += 2 * len;
}

/* The body's length follows from the two lengths that are known: that of the data is in the head,
 * that of the members in the body's first bytes. */
static int snapshot_body(struct bytes in, uint64_t data_len, struct bytes *ret_body)
{
    if (in.len < RAFT_HEAD + 4 || data_len > in.len) {
        return -EBADMSG;
    }
    return open_body(in, 4 + (uint64_t)load_be32(in.data + RAFT_HEAD) + data_len, ret_body);
}

int raft_snapshot_get(struct bytes in, struct raft_snapshot_head *ret_head,
                      struct raft_image *ret_image)
{
    struct raft_snapshot_head head;
    struct bytes body;
    int error = open_head(in, SNAPSHOT_MAGIC);
    if (error != 0) {
        return error;
    }
    head.data_len = load_be64(in.data + 8);
    memcpy(head.directory.bytes, in.data + 16, 16);
    head.index = load_be64(in.data + 32);
    head.term = load_be64(in.data + 40);
    head.members_index = load_be64(in.data + 48);
    error = snapshot_body(in, head.data_len, &body);
    if (error != 0) {
        return error;
    }
    uint32_t members_len = load_be32(body.data);
    *ret_image = (struct raft_image){
        .index = head.index, .term = head.term, .members_index = head.members_index,
        .members = bytes_part(body, 4, members_len),
        .data = bytes_part(body, 4 + members_len, head.data_len) };
    *ret_head = head;
    return 0;
}
