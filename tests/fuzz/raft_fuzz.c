/* Raft messages: what peers that have proven who they are may send, in any order, to a member of a
 * group of three, while it ticks, is asked to do things, and its writes end when they like.
 *
 * The input is a row of steps. Messages are built from a few bytes each, so that their terms and
 * indexes lie near the node's own; some are the input's bytes as they are. Peers may contradict
 * themselves: then the node may end with an error, never with a crash, and what was applied stays
 * applied, once, in order. */
#include <chronik/base/crc32c.h>
#include <chronik/meta/raft_node.h>

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SELF = 2, TICKETS_MAX = 64, MESSAGE_KINDS = 6 };

/* libraft's numbers of the messages. */
enum { APPEND = 1, APPEND_RESULT, VOTE, VOTE_RESULT, SNAPSHOT, TIMEOUT_NOW };

struct fuzz {
    struct bytes in;
    struct raft_node *node;
    uint64_t now_ms;
    uint64_t tickets[TICKETS_MAX]; /* of writes under way, oldest first */
    size_t n_tickets;
    uint64_t applied;
    uint32_t state; /* a CRC of all that was applied */
    struct buf frame;
};

/* ---- the input --------------------------------------------------------------------------------*/

static uint8_t take(struct fuzz *f)
{
    uint8_t byte = f->in.len > 0 ? f->in.data[0] : 0;
    f->in = f->in.len > 0 ? bytes_part(f->in, 1, f->in.len - 1) : f->in;
    return byte;
}

static struct bytes take_bytes(struct fuzz *f, size_t len)
{
    len = min_u64(len, f->in.len);
    struct bytes taken = bytes_part(f->in, 0, len);
    f->in = bytes_part(f->in, len, f->in.len - len);
    return taken;
}

/* A number near `base`, never below zero; or anything at all. */
static uint64_t take_near(struct fuzz *f, uint64_t base)
{
    uint8_t by = take(f);
    if (by == 0xff) {
        struct bytes raw = take_bytes(f, 8);
        return raw.len == 8 ? load_be64(raw.data) : UINT64_MAX;
    }
    uint64_t to = base + (by & 0x0f);
    uint64_t back = by >> 4;
    return to > back ? to - back : 0;
}

/* ---- the host ---------------------------------------------------------------------------------*/

static void note(struct fuzz *f, uint64_t ticket)
{
    check(f->n_tickets < TICKETS_MAX);
    f->tickets[f->n_tickets++] = ticket;
}

static void save_vote(void *arg, uint64_t ticket, uint64_t term, uint64_t vote)
{
    check(term > 0 && vote <= 3);
    note(arg, ticket);
}

static void write_log(void *arg, uint64_t ticket, uint64_t first, const struct raft_item *items,
                      size_t n)
{
    check(first > 0);
    for (size_t i = 0; i < n; i++) {
        check(items[i].term > 0);
    }
    note(arg, ticket);
}

static void write_snapshot(void *arg, uint64_t ticket, const struct raft_image *snapshot,
                           uint64_t keep_from, bool install)
{
    (void)install;
    check(snapshot->index > 0 && snapshot->term > 0 && snapshot->members.len > 0);
    check(keep_from <= snapshot->index + 1);
    note(arg, ticket);
}

static void send_frame(void *arg, uint64_t peer, struct chain *frame)
{
    (void)arg;
    check(peer == 1 || peer == 3);
    chain_release(frame);
}

static void apply(void *arg, uint64_t index, const struct raft_item *item)
{
    struct fuzz *f = arg;
    check(index == f->applied + 1);
    f->applied = index;
    f->state = crc32c(f->state, item->data.data, item->data.len);
}

static void restore(void *arg, const struct raft_image *snapshot)
{
    struct fuzz *f = arg;
    check(snapshot->index > f->applied);
    f->applied = snapshot->index;
    f->state = crc32c(0, snapshot->data.data, snapshot->data.len);
}

static void take_snapshot(void *arg, struct buf *to)
{
    const struct fuzz *f = arg;
    buf_put_be32(to, f->state);
}

static void role_changed(void *arg, const struct raft_role *role)
{
    (void)arg;
    check(role->ready <= role->leads && role->leader <= 3);
}

static const struct raft_host HOST = { save_vote, write_log, write_snapshot, send_frame,
                                       apply,     restore,   take_snapshot,  role_changed };

/* ---- messages ---------------------------------------------------------------------------------*/

static void put_members(struct fuzz *f, struct buf *to)
{
    struct raft_member members[3] = { { 1, "1", RAFT_MEMBER_VOTER },
                                      { SELF, "2", RAFT_MEMBER_VOTER },
                                      { 3, "3", RAFT_MEMBER_VOTER } };
    uint8_t how = take(f);
    members[2].role = how & 1 ? RAFT_MEMBER_SPARE : RAFT_MEMBER_VOTER;
    raft_node_bootstrap(members, how & 2 ? 2 : 3, to);
}

static void put_entries(struct fuzz *f, struct buf *to, uint64_t term)
{
    uint32_t n = take(f) % 8;
    buf_put_be32(to, n);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t kind = take(f);
        buf_put_be64(to, take_near(f, term));
        struct buf data = { 0 };
        if (kind % 8 == RAFT_ENTRY_MEMBERS) {
            put_members(f, &data);
        } else {
            struct bytes raw = take_bytes(f, kind >> 3);
            buf_put(&data, raw.data, raw.len);
        }
        buf_put_u8(to, kind % 8 == 0 ? RAFT_ENTRY_COMMAND : kind % 8);
        buf_put_be32(to, (uint32_t)data.len);
        buf_put(to, data.data, data.len);
        buf_release(&data);
    }
}

static void put_append(struct fuzz *f, struct buf *to, uint64_t term)
{
    uint64_t before = take_near(f, raft_node_last(f->node));
    uint64_t known = raft_node_term_of(f->node, before);
    buf_put_be64(to, before);
    buf_put_be64(to, known != 0 ? known : take_near(f, term));
    buf_put_be64(to, take_near(f, raft_node_committed(f->node)));
    put_entries(f, to, term);
}

static void put_snapshot(struct fuzz *f, struct buf *to)
{
    uint64_t index = take_near(f, raft_node_committed(f->node));
    struct buf members = { 0 };
    buf_put_be64(to, index);
    buf_put_be64(to, take_near(f, raft_node_term(f->node)));
    buf_put_be64(to, take_near(f, 1));
    put_members(f, &members);
    buf_put_be32(to, (uint32_t)members.len);
    buf_put(to, members.data, members.len);
    struct bytes state = take_bytes(f, take(f));
    buf_put_be32(to, (uint32_t)state.len);
    buf_put(to, state.data, state.len);
    buf_release(&members);
}

static void put_body(struct fuzz *f, struct buf *to, uint8_t type, uint64_t term)
{
    switch (type) {
    case APPEND:
        put_append(f, to, term);
        break;
    case APPEND_RESULT:
        buf_put_be64(to, take(f) % 2 ? take_near(f, raft_node_last(f->node)) : 0);
        buf_put_be64(to, take_near(f, raft_node_last(f->node)));
        break;
    case VOTE:
    case TIMEOUT_NOW:
        buf_put_be64(to, take_near(f, raft_node_last(f->node)));
        buf_put_be64(to, take_near(f, term));
        if (type == VOTE) {
            buf_put_u8(to, take(f) % 2);
            buf_put_u8(to, take(f) % 2);
        }
        break;
    case VOTE_RESULT:
        buf_put_u8(to, take(f) % 2);
        buf_put_u8(to, take(f) % 2);
        break;
    default:
        put_snapshot(f, to);
    }
}

static int receive(struct fuzz *f, uint8_t step)
{
    uint8_t type = (uint8_t)(step / 16 % MESSAGE_KINDS + 1);
    uint64_t peer = take(f) % 2 ? 1 : 3;
    uint64_t term = take_near(f, raft_node_term(f->node));
    buf_clear(&f->frame);
    buf_put_u8(&f->frame, 1);
    buf_put_u8(&f->frame, type);
    buf_put_be16(&f->frame, 0);
    buf_put_be64(&f->frame, term);
    put_body(f, &f->frame, type, term);
    return raft_node_receive(f->node, f->now_ms, peer, 1, buf_bytes(&f->frame));
}

/* ---- steps ------------------------------------------------------------------------------------*/

static int write_done(struct fuzz *f)
{
    if (f->n_tickets == 0) {
        return 0;
    }
    uint64_t ticket = f->tickets[0];
    memmove(f->tickets, f->tickets + 1, --f->n_tickets * sizeof f->tickets[0]);
    return raft_node_written(f->node, f->now_ms, ticket);
}

static int tick(struct fuzz *f, uint8_t step)
{
    uint64_t due = raft_node_deadline(f->node);
    f->now_ms = step & 0x10 && due != UINT64_MAX ? max_u64(due, f->now_ms) : f->now_ms + step / 16;
    return raft_node_tick(f->node, f->now_ms);
}

static int change(struct fuzz *f)
{
    struct raft_member members[3] = { { 1, "1", RAFT_MEMBER_VOTER },
                                      { SELF, "2", RAFT_MEMBER_VOTER },
                                      { 3, "3", take(f) % 3 } };
    return raft_node_change(f->node, f->now_ms, members, 2 + take(f) % 2);
}

static int one_step(struct fuzz *f)
{
    uint8_t step = take(f);
    uint64_t index;
    switch (step % 16) {
    case 0:
        return raft_node_receive(f->node, f->now_ms, take(f) % 2 ? 1 : 3, 1,
                                 take_bytes(f, take(f)));
    case 1:
    case 2:
        return tick(f, step);
    case 3:
        return raft_node_submit(f->node, f->now_ms, take_bytes(f, step / 16), &index);
    case 4:
        return raft_node_transfer(f->node, f->now_ms, take(f) % 4);
    case 5:
        return raft_node_catch_up(f->node, f->now_ms, take(f) % 4);
    case 6:
        return change(f);
    case 7:
        return raft_node_peer_closed(f->node, f->now_ms, take(f) % 2 ? 1 : 3);
    case 8:
    case 9:
    case 10:
        return write_done(f);
    default:
        return receive(f, step);
    }
}

static bool harmless(int error)
{
    return error == 0 || error == -EBADMSG || error == -EAGAIN || error == -EINVAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_member members[3] = { { 1, "1", RAFT_MEMBER_VOTER },
                                      { SELF, "2", RAFT_MEMBER_VOTER },
                                      { 3, "3", RAFT_MEMBER_VOTER } };
    struct fuzz f = { .in = bytes_of(data, size), .now_ms = 1 };
    struct buf first = { 0 };
    raft_node_bootstrap(members, 3, &first);
    const struct raft_item item = { 1, RAFT_ENTRY_MEMBERS, buf_bytes(&first) };
    const struct raft_disk_state disk = { .term = 1, .first = 1, .items = &item, .n_items = 1 };
    const struct raft_node_config config = {
        .id = SELF, .seed = 1, .snapshot_entries = 8, .trailing = 4, .inflight_max = 4
    };
    int error = raft_node_open(&config, &HOST, &f, &disk, f.now_ms, &f.node);
    buf_release(&first);
    check(error == 0);
    while (f.in.len > 0 && harmless(error)) {
        if (f.n_tickets > TICKETS_MAX / 2) {
            error = write_done(&f);
        } else {
            error = one_step(&f);
        }
    }
    if (!harmless(error)) {
        check(raft_node_fault(f.node) != NULL);
    }
    raft_node_close(f.node);
    buf_release(&f.frame);
    return 0;
}
