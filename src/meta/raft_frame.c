/* Raft messages as bytes. Numbers are big-endian.
 *
 *   0 version  uint8    1
 *   1 type     uint8    libraft's number
 *   2 zero     uint16
 *   4 term     uint64
 *  12 body
 *
 *   AppendEntries         previous index, previous term, commit index  uint64, count uint32,
 *                         count times: term uint64, kind uint8, length uint32, data
 *   AppendEntries result  rejected index (0: none), last index         uint64
 *   RequestVote           last index, last term  uint64, disrupt leader, pre-vote  uint8
 *   RequestVote result    granted, pre-vote      uint8
 *   InstallSnapshot       last index, last term, index of the members  uint64,
 *                         members, data: each a length uint32 and bytes
 *   TimeoutNow            last index, last term  uint64
 *
 * A frame comes from a peer that has proven who it is, but is checked like any input: lengths
 * against what is there, and everything the core takes for granted. */
#include "raft_private.h"

#include <errno.h>

enum { FRAME_VERSION = 1, FRAME_HEAD = 12, ENTRY_HEAD = 13 };

/* What the core calls the protocol's version of each message; it asks for it in vote results
 * only. */
enum { CORE_VERSION = 2 };

/* ---- writing ----------------------------------------------------------------------------------*/

static void put_entries(const struct raft_node *node, uint64_t first, size_t n, struct buf *to)
{
    buf_put_be32(to, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        const struct raft_cached *e = raft_cache_find(&node->cache, first + i);
        check(e != NULL);
        buf_put_be64(to, e->term);
        buf_put_u8(to, (uint8_t)e->kind);
        buf_put_be32(to, e->len);
        buf_put(to, e->data, e->len);
    }
}

static void put_append(const struct raft_node *node, const struct raft_append_entries *m,
                       uint64_t first, size_t n, struct buf *to)
{
    const struct raft_cached *before = raft_cache_find(&node->cache, first - 1);
    buf_put_be64(to, first - 1);
    buf_put_be64(to, first - 1 == m->prev_log_index ? m->prev_log_term : before->term);
    buf_put_be64(to, m->leader_commit);
    put_entries(node, first, n, to);
}

static void put_snapshot(const struct raft_node *node, struct buf *to)
{
    const struct raft_kept *s = &node->snapshot;
    buf_put_be64(to, s->index);
    buf_put_be64(to, s->term);
    buf_put_be64(to, s->members_index);
    buf_put_be32(to, (uint32_t)s->members.len);
    buf_put(to, s->members.data, s->members.len);
    buf_put_be32(to, (uint32_t)s->data.len);
    buf_put(to, s->data.data, s->data.len);
}

static uint64_t term_of_message(const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        return m->append_entries.term;
    case RAFT_APPEND_ENTRIES_RESULT:
        return m->append_entries_result.term;
    case RAFT_REQUEST_VOTE:
        return m->request_vote.term;
    case RAFT_REQUEST_VOTE_RESULT:
        return m->request_vote_result.term;
    case RAFT_INSTALL_SNAPSHOT:
        return m->install_snapshot.term;
    case RAFT_TIMEOUT_NOW:
        return m->timeout_now.term;
    }
    return 0;
}

void raft_frame_put(const struct raft_node *node, const struct raft_message *message,
                    uint64_t first, size_t n, struct buf *to)
{
    buf_put_u8(to, FRAME_VERSION);
    buf_put_u8(to, (uint8_t)message->type);
    buf_put_be16(to, 0);
    buf_put_be64(to, term_of_message(message));
    switch (message->type) {
    case RAFT_APPEND_ENTRIES:
        put_append(node, &message->append_entries, first, n, to);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        buf_put_be64(to, message->append_entries_result.rejected);
        buf_put_be64(to, message->append_entries_result.last_log_index);
        break;
    case RAFT_REQUEST_VOTE:
        buf_put_be64(to, message->request_vote.last_log_index);
        buf_put_be64(to, message->request_vote.last_log_term);
        buf_put_u8(to, message->request_vote.disrupt_leader);
        buf_put_u8(to, message->request_vote.pre_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        buf_put_u8(to, message->request_vote_result.vote_granted);
        buf_put_u8(to, message->request_vote_result.pre_vote);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        put_snapshot(node, to);
        break;
    case RAFT_TIMEOUT_NOW:
        buf_put_be64(to, message->timeout_now.last_log_index);
        buf_put_be64(to, message->timeout_now.last_log_term);
        break;
    }
}

/* ---- reading ----------------------------------------------------------------------------------*/

/* Once `failed`, everything read is zero. */
struct reader {
    struct bytes left;
    bool failed;
};

static const uint8_t *take(struct reader *r, size_t len)
{
    if (r->failed || len > r->left.len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->left.data;
    r->left = bytes_of(at + len, r->left.len - len);
    return at;
}

static uint64_t take_u64(struct reader *r)
{
    const uint8_t *at = take(r, 8);
    return at ? load_be64(at) : 0;
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *at = take(r, 4);
    return at ? load_be32(at) : 0;
}

static uint8_t take_u8(struct reader *r)
{
    const uint8_t *at = take(r, 1);
    return at ? *at : 0;
}

static bool take_bool(struct reader *r)
{
    uint8_t n = take_u8(r);
    r->failed |= n > 1;
    return n == 1;
}

static struct bytes take_bytes(struct reader *r)
{
    uint32_t len = take_u32(r);
    const uint8_t *at = take(r, len);
    return bytes_of(at, at ? len : 0);
}

/* Reads the entries twice: once to check them and to learn how much they hold, once to copy them
 * into the one block of memory that the core wants. */
static size_t check_entries(struct reader r, size_t n, uint64_t term_min, uint64_t term_max)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t term = take_u64(&r);
        uint8_t kind = take_u8(&r);
        struct bytes data = take_bytes(&r);
        bool valid = !r.failed && term >= term_min && term <= term_max &&
                     kind >= RAFT_ENTRY_COMMAND && kind <= RAFT_ENTRY_MEMBERS &&
                     (kind != RAFT_ENTRY_MEMBERS || raft_members_valid(data));
        if (!valid) {
            return SIZE_MAX;
        }
        term_min = term;
        len += data.len;
    }
    return r.left.len == 0 ? len : SIZE_MAX;
}

static void copy_entries(struct reader *r, struct raft_append_entries *m, size_t len)
{
    uint8_t *batch = raft_malloc(len + 1);
    m->entries = raft_malloc(m->n_entries * sizeof *m->entries);
    check(batch != NULL && m->entries != NULL);
    uint8_t *to = batch;
    for (unsigned i = 0; i < m->n_entries; i++) {
        struct raft_entry *e = &m->entries[i];
        *e = (struct raft_entry){ .term = take_u64(r), .batch = batch };
        e->type = take_u8(r);
        struct bytes data = take_bytes(r);
        e->buf = (struct raft_buffer){ .base = to, .len = data.len };
        if (data.len > 0) {
            memcpy(to, data.data, data.len);
        }
        to += data.len;
    }
}

static void parse_append(struct reader *r, struct raft_append_entries *m)
{
    m->prev_log_index = take_u64(r);
    m->prev_log_term = take_u64(r);
    m->leader_commit = take_u64(r);
    uint32_t n = take_u32(r);
    bool valid = !r->failed && (m->prev_log_index == 0) == (m->prev_log_term == 0) &&
                 m->prev_log_term <= m->term && n <= r->left.len / ENTRY_HEAD &&
                 m->prev_log_index <= UINT64_MAX / 2;
    size_t len = valid ? check_entries(*r, n, max_u64(m->prev_log_term, 1), m->term) : SIZE_MAX;
    if (len == SIZE_MAX) {
        r->failed = true;
        return;
    }
    m->n_entries = n;
    if (n > 0) {
        copy_entries(r, m, len);
    }
}

static void parse_snapshot(struct reader *r, struct raft_install_snapshot *m)
{
    m->last_index = take_u64(r);
    m->last_term = take_u64(r);
    m->conf_index = take_u64(r);
    struct bytes members = take_bytes(r), data = take_bytes(r);
    r->failed |= m->last_index == 0 || m->last_index > UINT64_MAX / 2 || m->last_term == 0 ||
                 m->last_term > m->term || m->conf_index == 0 || m->conf_index > m->last_index ||
                 !raft_members_valid(members) || r->left.len > 0;
    if (r->failed) {
        return;
    }
    raft_members_decode(members, &m->conf);
    m->data = (struct raft_buffer){ .base = raft_malloc(data.len + 1), .len = data.len };
    check(m->data.base != NULL);
    if (data.len > 0) {
        memcpy(m->data.base, data.data, data.len);
    }
}

static void parse_vote(struct reader *r, uint64_t term, struct raft_request_vote *m)
{
    m->version = CORE_VERSION;
    m->term = term;
    m->last_log_index = take_u64(r);
    m->last_log_term = take_u64(r);
    m->disrupt_leader = take_bool(r);
    m->pre_vote = take_bool(r);
}

static void parse_body(struct reader *r, uint64_t term, struct raft_message *m)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        m->append_entries.term = term;
        parse_append(r, &m->append_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        m->append_entries_result.term = term;
        m->append_entries_result.rejected = take_u64(r);
        m->append_entries_result.last_log_index = take_u64(r);
        break;
    case RAFT_REQUEST_VOTE:
        parse_vote(r, term, &m->request_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        m->request_vote_result.version = CORE_VERSION;
        m->request_vote_result.term = term;
        m->request_vote_result.vote_granted = take_bool(r);
        m->request_vote_result.pre_vote = take_bool(r);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        m->install_snapshot.term = term;
        parse_snapshot(r, &m->install_snapshot);
        break;
    case RAFT_TIMEOUT_NOW:
        m->timeout_now.term = term;
        m->timeout_now.last_log_index = take_u64(r);
        m->timeout_now.last_log_term = take_u64(r);
        break;
    default:
        r->failed = true;
    }
}

int raft_frame_parse(struct bytes frame, struct raft_message *ret_message)
{
    if (frame.len < FRAME_HEAD || frame.data[0] != FRAME_VERSION ||
        load_be16(frame.data + 2) != 0) {
        return -EBADMSG;
    }
    struct raft_message m = { .type = frame.data[1], .server_address = "" };
    uint64_t term = load_be64(frame.data + 4);
    struct reader r = { .left = bytes_part(frame, FRAME_HEAD, frame.len - FRAME_HEAD) };
    if (term == 0 || term > UINT64_MAX / 2) {
        return -EBADMSG;
    }
    parse_body(&r, term, &m);
    if (r.failed || r.left.len > 0) {
        raft_message_release(&m);
        return -EBADMSG;
    }
    *ret_message = m;
    return 0;
}

void raft_message_release(struct raft_message *message)
{
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    }
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
}

enum raft_voice raft_frame_voice(struct bytes frame)
{
    switch (frame.len >= FRAME_HEAD ? frame.data[1] : 0) {
    case RAFT_APPEND_ENTRIES:
    case RAFT_INSTALL_SNAPSHOT:
        return RAFT_VOICE_LEADER;
    case RAFT_APPEND_ENTRIES_RESULT:
        return RAFT_VOICE_FOLLOWER;
    default:
        return RAFT_VOICE_OTHER;
    }
}
