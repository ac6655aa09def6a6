/* The set of servers: libraft's encoding of it, and which changes are allowed.
 *
 *   0 format  uint8     1
 *   1 count   uint64    little-endian, as are all numbers here
 *   9 count times: id uint64, address (ended by a zero byte), role uint8
 *     zeros up to a multiple of 8
 *
 * The core decodes it without looking at its length, so everything is checked here first. Roles
 * have the core's numbers.
 *
 * Of a change, the core asks only that the last one is committed. Two voters that change in one
 * step, a change before the last one has reached every voter (rule 7), a change by a leader that
 * has not yet committed anything of its own term, and a group that shrinks to one voter (rule 6)
 * are refused here. */
#include "raft_private.h"

#include <errno.h>

_Static_assert((int)RAFT_MEMBER_STANDBY == (int)RAFT_STANDBY &&
                   (int)RAFT_MEMBER_VOTER == (int)RAFT_VOTER &&
                   (int)RAFT_MEMBER_SPARE == (int)RAFT_SPARE,
               "roles have the core's numbers");

enum { MEMBERS_HEAD = 9 };

static uint64_t load_le64(const uint8_t *at)
{
    return __builtin_bswap64(load_be64(at));
}

/* The bytes that the member at the start of `left` takes, 0 when it cannot be. */
static size_t member_len(struct bytes left)
{
    const uint8_t *end = left.len > 8 ? memchr(left.data + 8, 0, left.len - 8) : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t len = (size_t)(end - left.data) + 2;
    bool valid = len <= left.len && load_le64(left.data) != 0 && end[1] <= RAFT_MEMBER_SPARE;
    return valid ? len : 0;
}

/* Decoding succeeds for these bytes: the core adds one member after the other, and refuses equal
 * ids and addresses. */
static bool members_decode(struct bytes encoded, struct raft_configuration *ret_members)
{
    struct raft_buffer buffer = { .base = (void *)(uintptr_t)encoded.data, .len = encoded.len };
    return raft_configuration_decode(&buffer, ret_members) == 0;
}

bool raft_members_valid(struct bytes encoded)
{
    if (encoded.len < MEMBERS_HEAD || encoded.data[0] != 1) {
        return false;
    }
    uint64_t n = load_le64(encoded.data + 1);
    if (n == 0 || n > RAFT_MEMBERS_MAX) {
        return false;
    }
    struct bytes left = bytes_part(encoded, MEMBERS_HEAD, encoded.len - MEMBERS_HEAD);
    for (uint64_t i = 0; i < n; i++) {
        size_t len = member_len(left);
        if (len == 0) {
            return false;
        }
        left = bytes_part(left, len, left.len - len);
    }
    struct raft_configuration members;
    bool valid = members_decode(encoded, &members);
    if (valid) {
        raft_configuration_close(&members);
    }
    return valid;
}

void raft_members_decode(struct bytes encoded, struct raft_configuration *ret_members)
{
    check(members_decode(encoded, ret_members));
}

void raft_members_encode(const struct raft_member *members, size_t n, struct buf *to)
{
    struct raft_configuration set;
    struct raft_buffer encoded;
    raft_configuration_init(&set);
    for (size_t i = 0; i < n; i++) {
        check(raft_configuration_add(&set, members[i].id, members[i].address,
                                     (int)members[i].role) == 0);
    }
    check(raft_configuration_encode(&set, &encoded) == 0);
    buf_put(to, encoded.base, encoded.len);
    raft_free(encoded.base);
    raft_configuration_close(&set);
}

void raft_node_bootstrap(const struct raft_member *members, size_t n, struct buf *to)
{
    raft_members_encode(members, n, to);
}

static unsigned count_voters(const struct raft_configuration *set)
{
    unsigned n = 0;
    for (unsigned i = 0; i < set->n; i++) {
        n += set->servers[i].role == RAFT_VOTER;
    }
    return n;
}

bool raft_node_is_sole_voter(const struct raft_disk_state *disk, uint64_t id)
{
    struct bytes encoded = disk->snapshot ? disk->snapshot->members : bytes_of(NULL, 0);
    for (size_t i = 0; i < disk->n_items; i++) {
        if (disk->items[i].kind == RAFT_ENTRY_MEMBERS) {
            encoded = disk->items[i].data;
        }
    }
    struct raft_configuration set;
    if (!raft_members_valid(encoded)) {
        return false;
    }
    raft_members_decode(encoded, &set);
    bool sole = count_voters(&set) == 1;
    for (unsigned i = 0; i < set.n; i++) {
        sole = sole && (set.servers[i].role != RAFT_VOTER || set.servers[i].id == id);
    }
    raft_configuration_close(&set);
    return sole;
}

size_t raft_node_members(const struct raft_node *node, struct raft_member to[RAFT_MEMBERS_MAX])
{
    const struct raft_configuration *set = &node->raft.configuration;
    for (unsigned i = 0; i < set->n; i++) {
        to[i] = (struct raft_member){ .id = set->servers[i].id,
                                      .address = set->servers[i].address,
                                      .role = (enum raft_member_role)set->servers[i].role };
    }
    return set->n;
}

/* ---- changes ----------------------------------------------------------------------------------*/

static bool votes(const struct raft_member *members, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (members[i].id == id) {
            return members[i].role == RAFT_MEMBER_VOTER;
        }
    }
    return false;
}

/* At most one vote gained or lost, and never down to a single voter. */
static bool change_is_small(const struct raft_configuration *now, const struct raft_member *members,
                            size_t n)
{
    unsigned kept = 0, voters_now = count_voters(now), voters = 0;
    for (size_t i = 0; i < n; i++) {
        voters += members[i].role == RAFT_MEMBER_VOTER;
    }
    for (unsigned i = 0; i < now->n; i++) {
        kept += now->servers[i].role == RAFT_VOTER && votes(members, n, now->servers[i].id);
    }
    return voters >= 1 && (voters >= 2 || voters_now == 1) &&
           (voters_now - kept) + (voters - kept) <= 1;
}

/* Has the last change reached every voter (rule 7)? */
static bool last_change_is_everywhere(struct raft_node *node)
{
    const struct raft_configuration *set = &node->raft.configuration;
    for (unsigned i = 0; i < set->n; i++) {
        if (set->servers[i].role == RAFT_VOTER &&
            raft_node_match(node, set->servers[i].id) < node->raft.configuration_committed_index) {
            return false;
        }
    }
    return true;
}

int raft_node_change(struct raft_node *node, uint64_t now_ms, const struct raft_member *members,
                     size_t n)
{
    node->now_ms = max_u64(node->now_ms, now_ms);
    if (!change_is_small(&node->raft.configuration, members, n) || n > RAFT_MEMBERS_MAX) {
        return -EINVAL;
    }
    bool may = node->vote_ticket == 0 && node->role.ready &&
               node->raft.configuration_uncommitted_index == 0 &&
               node->raft.leader_state.promotee_id == 0 && last_change_is_everywhere(node);
    if (!may) {
        return -EAGAIN;
    }
    struct buf encoded = { 0 };
    raft_members_encode(members, n, &encoded);
    int error = raft_node_append(node, RAFT_ENTRY_MEMBERS, buf_bytes(&encoded));
    buf_release(&encoded);
    if (error == 0) {
        error = raft_node_settle(node);
    }
    return error;
}
