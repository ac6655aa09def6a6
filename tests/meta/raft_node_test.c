/* One Raft replica, driven by hand: each of the rules that keep clear of libraft's defects
 * (docs/decisions/raft.md) shown at the boundary of the node, and the order of writes and messages.
 * Whole groups under faults are in raft_sim_test.c. */
#include "../support/test.h"

#include <chronik/base/random.h>
#include <chronik/meta/raft_node.h>
#include <errno.h>

enum { FRAMES_MAX = 64, WRITES_MAX = 64 };
enum { APPEND = 1, APPEND_RESULT, VOTE, VOTE_RESULT, INSTALL, TIMEOUT_NOW };

/* A node with a host that keeps everything it is asked for. */
struct bench {
    struct raft_node *node;
    uint64_t now_ms;
    struct sent {
        uint64_t peer;
        struct buf frame;
    } sent[FRAMES_MAX];
    size_t n_sent;
    struct asked_write {
        uint64_t ticket, first, index; /* of entries; of a snapshot */
        size_t n;
        bool is_vote, is_log, install;
        uint64_t term, vote;
    } writes[WRITES_MAX];
    size_t n_writes, n_done; /* asked for; reported as done */
    uint64_t applied, restored;
    struct raft_role role;
    unsigned snapshots_taken;
};

static struct asked_write *new_write(struct bench *b, uint64_t ticket)
{
    assert_true(b->n_writes < WRITES_MAX);
    b->writes[b->n_writes] = (struct asked_write){ .ticket = ticket };
    return &b->writes[b->n_writes++];
}

static void on_save_vote(void *host, uint64_t ticket, uint64_t term, uint64_t vote)
{
    struct asked_write *w = new_write(host, ticket);
    w->is_vote = true;
    w->term = term;
    w->vote = vote;
}

static void on_write_log(void *host, uint64_t ticket, uint64_t first, const struct raft_item *items,
                         size_t n)
{
    struct asked_write *w = new_write(host, ticket);
    (void)items;
    w->is_log = true;
    w->first = first;
    w->n = n;
}

static void on_write_snapshot(void *host, uint64_t ticket, const struct raft_image *snapshot,
                              uint64_t keep_from, bool install)
{
    struct asked_write *w = new_write(host, ticket);
    (void)keep_from;
    w->index = snapshot->index;
    w->install = install;
}

static void on_send(void *host, uint64_t peer, struct chain *frame)
{
    struct bench *b = host;
    assert_true(b->n_sent < FRAMES_MAX);
    struct sent *s = &b->sent[b->n_sent++];
    s->peer = peer;
    chain_copy(frame, buf_reserve(&s->frame, frame->len));
    s->frame.len = frame->len;
}

static void on_apply(void *host, uint64_t index, const struct raft_item *item)
{
    struct bench *b = host;
    (void)item;
    assert_int_equal(index, b->applied + 1);
    b->applied = index;
}

static void on_restore(void *host, const struct raft_image *snapshot)
{
    struct bench *b = host;
    b->applied = snapshot->index;
    b->restored++;
}

static void on_take_snapshot(void *host, struct buf *to)
{
    ((struct bench *)host)->snapshots_taken++;
    buf_put(to, "state", 5);
}

static void on_role_changed(void *host, const struct raft_role *role)
{
    ((struct bench *)host)->role = *role;
}

static const struct raft_host HOST = {
    .save_vote = on_save_vote, .write_log = on_write_log, .write_snapshot = on_write_snapshot,
    .send = on_send, .apply = on_apply, .restore = on_restore,
    .take_snapshot = on_take_snapshot, .role_changed = on_role_changed,
};

/* ---- opening ----------------------------------------------------------------------------------*/

static struct buf members_of(const char *roles)
{
    static const char *const names[] = { "1", "2", "3", "4", "5" };
    struct raft_member members[5];
    struct buf encoded = { 0 };
    size_t n = 0;
    for (; roles[n] != '\0'; n++) {
        members[n] = (struct raft_member){
            .id = n + 1, .address = names[n],
            .role = roles[n] == 'v' ? RAFT_MEMBER_VOTER : RAFT_MEMBER_SPARE };
    }
    raft_node_bootstrap(members, n, &encoded);
    return encoded;
}

static const char PAYLOAD[] = "command";

/* Opens node 2 of a group with `roles` ("vvv"), with entries 1 to `last` of term `log_term`. */
static void open_bench(struct bench *b, const char *roles, uint64_t term, uint64_t vote,
                       uint64_t last, uint64_t log_term)
{
    struct buf members = members_of(roles);
    struct raft_item items[100];
    struct raft_node_config config = { .id = 2, .seed = 3, .snapshot_entries = 1000,
                                       .trailing = 10 };
    *b = (struct bench){ .now_ms = 1000 };
    items[0] = (struct raft_item){ 1, RAFT_ENTRY_MEMBERS, buf_bytes(&members) };
    for (uint64_t i = 1; i < last; i++) {
        items[i] = (struct raft_item){ log_term, RAFT_ENTRY_COMMAND, bytes_of(PAYLOAD, 7) };
    }
    struct raft_disk_state disk = { .term = term, .vote = vote, .first = 1, .items = items,
                                    .n_items = last };
    assert_int_equal(raft_node_open(&config, &HOST, b, &disk, b->now_ms, &b->node), 0);
    buf_release(&members);
}

/* Opens node 2 with a snapshot at `index` and the entries behind `first - 1`, all of term 1. */
static void open_compacted(struct bench *b, uint64_t index, uint64_t first, uint64_t last)
{
    struct buf members = members_of("vvv");
    struct raft_item items[100];
    struct raft_node_config config = { .id = 2, .seed = 3 };
    struct raft_image snapshot = { .index = index, .term = 1, .members_index = 1,
                                   .members = buf_bytes(&members), .data = bytes_of("state", 5) };
    *b = (struct bench){ .now_ms = 1000 };
    for (uint64_t i = first; i <= last; i++) {
        items[i - first] = (struct raft_item){ 1, RAFT_ENTRY_COMMAND, bytes_of(PAYLOAD, 7) };
    }
    struct raft_disk_state disk = { .term = 1, .snapshot = &snapshot, .first = first,
                                    .items = items, .n_items = last + 1 - first };
    assert_int_equal(raft_node_open(&config, &HOST, b, &disk, b->now_ms, &b->node), 0);
    buf_release(&members);
}

static void forget_sent(struct bench *b)
{
    for (size_t i = 0; i < b->n_sent; i++) {
        buf_release(&b->sent[i].frame);
    }
    memset(b->sent, 0, sizeof b->sent);
    b->n_sent = 0;
}

static void close_bench(struct bench *b)
{
    raft_node_close(b->node);
    forget_sent(b);
}

/* Reports the next write as durable. */
static void written(struct bench *b)
{
    assert_true(b->n_done < b->n_writes);
    assert_int_equal(raft_node_written(b->node, b->now_ms, b->writes[b->n_done++].ticket), 0);
}

static void all_written(struct bench *b)
{
    while (b->n_done < b->n_writes) {
        written(b);
    }
}

/* ---- frames -----------------------------------------------------------------------------------*/

static struct buf frame_of(uint8_t type, uint64_t term)
{
    struct buf f = { 0 };
    buf_put_u8(&f, 1);
    buf_put_u8(&f, type);
    buf_put_be16(&f, 0);
    buf_put_be64(&f, term);
    return f;
}

static struct buf append_frame(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t commit,
                               uint32_t n)
{
    struct buf f = frame_of(APPEND, term);
    buf_put_be64(&f, prev);
    buf_put_be64(&f, prev_term);
    buf_put_be64(&f, commit);
    buf_put_be32(&f, n);
    return f;
}

static void put_entry(struct buf *f, uint64_t term, uint8_t kind, struct bytes data)
{
    buf_put_be64(f, term);
    buf_put_u8(f, kind);
    buf_put_be32(f, (uint32_t)data.len);
    buf_put(f, data.data, data.len);
}

static void put_commands(struct buf *f, uint64_t term, uint32_t n)
{
    while (n-- > 0) {
        put_entry(f, term, RAFT_ENTRY_COMMAND, bytes_of(PAYLOAD, 7));
    }
}

static struct buf vote_frame(uint64_t term, uint64_t last, uint64_t last_term, bool pre_vote)
{
    struct buf f = frame_of(VOTE, term);
    buf_put_be64(&f, last);
    buf_put_be64(&f, last_term);
    buf_put_u8(&f, 0);
    buf_put_u8(&f, pre_vote);
    return f;
}

static struct buf install_frame(uint64_t term, uint64_t index, uint64_t index_term)
{
    struct buf f = frame_of(INSTALL, term), members = members_of("vvv");
    buf_put_be64(&f, index);
    buf_put_be64(&f, index_term);
    buf_put_be64(&f, 1);
    buf_put_be32(&f, (uint32_t)members.len);
    buf_put(&f, members.data, members.len);
    buf_put_be32(&f, 5);
    buf_put(&f, "state", 5);
    buf_release(&members);
    return f;
}

/* Hands a frame over, and frees it. */
static int receive_on(struct bench *b, uint64_t peer, uint64_t connection, struct buf f)
{
    int error = raft_node_receive(b->node, b->now_ms, peer, connection, buf_bytes(&f));
    buf_release(&f);
    return error;
}

static void receive(struct bench *b, uint64_t peer, struct buf f)
{
    assert_int_equal(receive_on(b, peer, 1, f), 0);
}

static uint8_t type_of(const struct bench *b, size_t i)
{
    assert_true(i < b->n_sent);
    return b->sent[i].frame.data[1];
}

/* The k-th number of a frame behind its head. */
static uint64_t number_of(const struct bench *b, size_t i, unsigned k)
{
    return load_be64(b->sent[i].frame.data + 12 + 8 * k);
}

static uint64_t term_of(const struct bench *b, size_t i)
{
    return load_be64(b->sent[i].frame.data + 4);
}

static bool uses_members(const struct bench *b, const char *roles)
{
    struct raft_member members[RAFT_MEMBERS_MAX];
    size_t n = raft_node_members(b->node, members);
    for (size_t i = 0; i < n && n == strlen(roles); i++) {
        if (members[i].role != (roles[i] == 'v' ? RAFT_MEMBER_VOTER : RAFT_MEMBER_SPARE)) {
            return false;
        }
    }
    return n == strlen(roles);
}

/* ---- the rules --------------------------------------------------------------------------------*/

static void rule_1_a_truncated_set_of_servers_is_not_used(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = append_frame(1, 1, 1, 1, 2), more = members_of("vvvs");
    open_bench(&b, "vvv", 1, 0, 1, 1);
    put_commands(&f, 1, 1);
    put_entry(&f, 1, RAFT_ENTRY_MEMBERS, buf_bytes(&more)); /* second in its message */
    receive(&b, 1, f);
    all_written(&b);
    assert_true(uses_members(&b, "vvvs"));
    f = append_frame(2, 2, 1, 1, 1); /* another leader has another entry there */
    put_commands(&f, 2, 1);
    receive(&b, 3, f);
    all_written(&b);
    assert_true(uses_members(&b, "vvv"));
    assert_int_equal(raft_node_last(b.node), 3);
    buf_release(&more);
    close_bench(&b);
}

static void rule_2_a_rollback_goes_to_the_last_committed_set(void **state)
{
    (void)state;
    struct bench b;
    struct buf four = members_of("vvvs"), five = members_of("vvvss");
    open_bench(&b, "vvv", 1, 0, 1, 1);
    struct buf f = append_frame(1, 1, 1, 1, 1);
    put_entry(&f, 1, RAFT_ENTRY_MEMBERS, buf_bytes(&four));
    receive(&b, 1, f);
    f = append_frame(1, 2, 1, 2, 1); /* before the first is applied here: it waits for the disk */
    put_entry(&f, 1, RAFT_ENTRY_MEMBERS, buf_bytes(&five));
    receive(&b, 1, f);
    assert_true(uses_members(&b, "vvvss"));
    f = append_frame(2, 2, 1, 2, 1);
    put_commands(&f, 2, 1);
    receive(&b, 3, f);
    all_written(&b);
    assert_true(uses_members(&b, "vvvs"));
    buf_release(&four);
    buf_release(&five);
    close_bench(&b);
}

static void rule_3_the_commit_index_never_goes_back(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    receive(&b, 1, append_frame(1, 5, 1, 5, 0));
    assert_int_equal(raft_node_committed(b.node), 5);
    assert_int_equal(b.applied, 5);
    struct buf f = append_frame(1, 1, 1, 9, 1); /* late, and already it knows of more */
    put_commands(&f, 1, 1);
    receive(&b, 1, f);
    assert_int_equal(raft_node_committed(b.node), 5);
    close_bench(&b);
}

static void rule_4_a_refused_candidate_learns_of_the_higher_term(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 9, 0, 5, 9);
    receive(&b, 3, vote_frame(6, 3, 5, true));
    assert_int_equal(b.n_sent, 1);
    assert_int_equal(type_of(&b, 0), VOTE_RESULT);
    assert_int_equal(b.sent[0].frame.data[12], 0); /* not granted */
    assert_int_equal(term_of(&b, 0), 9);
    forget_sent(&b);
    receive(&b, 3, vote_frame(10, 5, 9, true)); /* granted: the answer keeps the asked term */
    assert_int_equal(b.sent[0].frame.data[12], 1);
    assert_int_equal(term_of(&b, 0), 10);
    close_bench(&b);
}

static void rule_5_what_lies_below_the_snapshot_is_taken_as_agreed(void **state)
{
    (void)state;
    struct bench b;
    for (uint64_t prev = 0; prev <= 40; prev += 10) {
        open_compacted(&b, 50, 46, 55);
        struct buf f = append_frame(1, prev, prev ? 1 : 0, 50, (uint32_t)(60 - prev));
        put_commands(&f, 1, (uint32_t)(60 - prev));
        receive(&b, 1, f);
        all_written(&b);
        assert_int_equal(raft_node_last(b.node), 60);
        assert_int_equal(type_of(&b, b.n_sent - 1), APPEND_RESULT);
        assert_int_equal(number_of(&b, b.n_sent - 1, 0), 0);  /* not rejected */
        assert_int_equal(number_of(&b, b.n_sent - 1, 1), 60);
        close_bench(&b);
    }
    open_compacted(&b, 50, 46, 55); /* all of it below: a heartbeat, in effect */
    struct buf f = append_frame(1, 10, 1, 50, 5);
    put_commands(&f, 1, 5);
    receive(&b, 1, f);
    assert_int_equal(number_of(&b, 0, 0), 0);
    assert_int_equal(raft_node_last(b.node), 55);
    close_bench(&b);
}

/* Makes node 2 the leader of term 2, in a group where the others are played by hand. */
static void become_leader(struct bench *b)
{
    b->now_ms += 1000;
    assert_int_equal(raft_node_tick(b->node, b->now_ms), 0);
    struct buf yes = frame_of(VOTE_RESULT, 2);
    buf_put_u8(&yes, 1);
    buf_put_u8(&yes, 1); /* pre-vote */
    receive(b, 1, yes);
    all_written(b);
    yes = frame_of(VOTE_RESULT, 2);
    buf_put_u8(&yes, 1);
    buf_put_u8(&yes, 0);
    receive(b, 1, yes);
    all_written(b);
    assert_true(b->role.leads);
    assert_false(b->role.ready); /* nothing of its own term is committed yet */
}

/* A follower says that it has everything up to `last`. */
static void acknowledge(struct bench *b, uint64_t peer, uint64_t last)
{
    struct buf f = frame_of(APPEND_RESULT, raft_node_term(b->node));
    buf_put_be64(&f, 0);
    buf_put_be64(&f, last);
    receive(b, peer, f);
    all_written(b);
}

static int change_to(struct bench *b, const char *roles)
{
    static const char *const names[] = { "1", "2", "3", "4", "5" };
    struct raft_member members[5];
    size_t n = 0;
    for (; roles[n] != '\0'; n++) {
        members[n] = (struct raft_member){
            .id = n + 1, .address = names[n],
            .role = roles[n] == 'v' ? RAFT_MEMBER_VOTER : RAFT_MEMBER_SPARE };
    }
    int error = raft_node_change(b->node, b->now_ms, members, n);
    if (error == 0) {
        all_written(b);
    }
    return error;
}

static void rule_6_voters_never_fall_to_one_and_a_sole_voter_is_known(void **state)
{
    (void)state;
    struct bench b;
    struct buf one = members_of("sv"), two = members_of("vv");
    struct raft_item item = { 1, RAFT_ENTRY_MEMBERS, buf_bytes(&one) };
    struct raft_disk_state disk = { .term = 1, .first = 1, .items = &item, .n_items = 1 };
    assert_true(raft_node_is_sole_voter(&disk, 2));
    assert_false(raft_node_is_sole_voter(&disk, 1));
    item.data = buf_bytes(&two);
    assert_false(raft_node_is_sole_voter(&disk, 2));
    buf_release(&one);
    buf_release(&two);

    open_bench(&b, "vv", 1, 0, 1, 1);
    become_leader(&b);
    acknowledge(&b, 1, raft_node_last(b.node));
    assert_true(b.role.ready);
    assert_int_equal(change_to(&b, "sv"), -EINVAL);
    close_bench(&b);
}

static void rule_7_a_change_waits_for_the_last_one_to_be_everywhere(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 1, 1);
    become_leader(&b);
    acknowledge(&b, 1, 1);
    acknowledge(&b, 3, 1);
    assert_int_equal(change_to(&b, "vvvs"), -EAGAIN); /* nothing of this term is committed */
    acknowledge(&b, 1, raft_node_last(b.node));
    acknowledge(&b, 3, raft_node_last(b.node));
    assert_int_equal(change_to(&b, "vvssv"), -EINVAL); /* two votes at once */
    assert_int_equal(change_to(&b, "vvvs"), 0);
    assert_int_equal(change_to(&b, "vvvss"), -EAGAIN); /* not committed */
    acknowledge(&b, 1, raft_node_last(b.node));
    assert_int_equal(b.applied, raft_node_last(b.node));
    assert_int_equal(change_to(&b, "vvvss"), -EAGAIN); /* 3 does not have it */
    acknowledge(&b, 3, raft_node_last(b.node));
    assert_int_equal(change_to(&b, "vvvss"), 0);
    close_bench(&b);
}

static void rule_8_frames_of_older_connections_are_dropped(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    assert_int_equal(receive_on(&b, 1, 7, append_frame(1, 5, 1, 5, 0)), 0);
    size_t before = b.n_sent;
    struct buf old = append_frame(1, 0, 0, 5, 0);
    assert_int_equal(receive_on(&b, 1, 6, old), 0);
    assert_int_equal(b.n_sent, before);
    assert_int_equal(receive_on(&b, 3, 1, append_frame(1, 5, 1, 5, 0)), 0); /* another peer's */
    assert_int_equal(b.n_sent, before + 1);
    close_bench(&b);
}

static void rule_8_one_snapshot_is_installed_at_a_time(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    receive(&b, 1, install_frame(1, 100, 1));
    assert_int_equal(b.n_writes, 1);
    assert_true(b.writes[0].install);
    receive(&b, 1, install_frame(1, 120, 1));
    assert_int_equal(b.n_writes, 1);
    assert_int_equal(b.restored, 0); /* not before it is durable */
    all_written(&b);
    assert_int_equal(b.restored, 1);
    assert_int_equal(raft_node_applied(b.node), 100);
    assert_int_equal(number_of(&b, b.n_sent - 1, 1), 100);
    close_bench(&b);
}

static void a_snapshot_of_what_is_committed_is_not_installed(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    receive(&b, 1, append_frame(1, 5, 1, 5, 0));
    all_written(&b);
    assert_int_equal(b.applied, 5);
    receive(&b, 1, install_frame(2, 3, 2)); /* another entry is committed there */
    all_written(&b);
    assert_int_equal(b.restored, 0);
    assert_int_equal(raft_node_applied(b.node), 5);
    receive(&b, 1, install_frame(2, 90, 2));
    all_written(&b);
    assert_int_equal(raft_node_applied(b.node), 90);
    close_bench(&b);
}

/* ---- the order of things ----------------------------------------------------------------------*/

static void nothing_is_told_before_the_vote_is_durable(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    receive(&b, 3, vote_frame(4, 5, 1, false));
    assert_int_equal(b.n_writes, 1);
    assert_true(b.writes[0].is_vote);
    assert_int_equal(b.writes[0].term, 4);
    assert_int_equal(b.writes[0].vote, 3);
    assert_int_equal(b.n_sent, 0);
    receive(&b, 1, vote_frame(4, 5, 1, false)); /* waits its turn */
    receive(&b, 1, append_frame(3, 5, 1, 5, 0));
    assert_int_equal(b.n_sent, 0);
    assert_int_equal(raft_node_deadline(b.node), UINT64_MAX);
    written(&b);
    assert_int_equal(b.n_sent, 3);
    assert_int_equal(b.sent[0].peer, 3);
    assert_int_equal(b.sent[0].frame.data[12], 1); /* granted */
    assert_int_equal(b.sent[1].frame.data[12], 0); /* the vote is given away */
    assert_int_equal(type_of(&b, 2), APPEND_RESULT);
    assert_int_equal(term_of(&b, 2), 4);
    assert_int_equal(b.n_writes, 1);
    close_bench(&b);
}

static void entries_are_acknowledged_when_durable_and_not_when_replaced(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 1, 1);
    struct buf f = append_frame(1, 1, 1, 1, 4);
    put_commands(&f, 1, 4);
    receive(&b, 1, f);
    assert_int_equal(b.n_writes, 1);
    assert_int_equal(b.n_sent, 0);
    f = append_frame(2, 3, 1, 1, 1); /* replaces entry 4 before it is written */
    put_commands(&f, 2, 1);
    receive(&b, 3, f);
    assert_int_equal(b.n_writes, 3); /* entries, term, entries */
    written(&b);
    assert_int_equal(b.n_sent, 0);
    written(&b);
    /* The first write answers for entries 2 and 3 only. */
    assert_int_equal(raft_node_stored(b.node), 3);
    assert_int_equal(number_of(&b, b.n_sent - 1, 1), 3);
    written(&b);
    assert_int_equal(raft_node_stored(b.node), 4);
    assert_int_equal(number_of(&b, b.n_sent - 1, 1), 4);
    close_bench(&b);
}

static void entries_are_applied_when_committed_and_durable_here(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 3, 1);
    assert_int_equal(b.applied, 1); /* the first entry is agreed by its nature */
    struct buf f = append_frame(1, 3, 1, 4, 2);
    put_commands(&f, 1, 2);
    receive(&b, 1, f);
    assert_int_equal(raft_node_committed(b.node), 4);
    assert_int_equal(b.applied, 3);
    all_written(&b);
    assert_int_equal(b.applied, 4);
    close_bench(&b);
}

static void a_lone_voter_is_ready_when_its_first_entry_is_durable(void **state)
{
    (void)state;
    struct bench b;
    uint64_t index;
    open_bench(&b, "sv", 2, 2, 3, 1);
    assert_true(b.role.leads);
    assert_false(b.role.ready);
    assert_int_equal(raft_node_submit(b.node, b.now_ms, bytes_of(PAYLOAD, 7), &index), 0);
    assert_int_equal(index, 5);
    all_written(&b);
    assert_true(b.role.ready);
    assert_int_equal(b.applied, 5);
    close_bench(&b);
}

static void a_group_of_one_needs_no_clock(void **state)
{
    (void)state;
    struct bench b;
    struct buf alone = { 0 };
    struct raft_member self = { .id = 2, .address = "2", .role = RAFT_MEMBER_VOTER };
    struct raft_node_config config = { .id = 2, .seed = 3 };
    raft_node_bootstrap(&self, 1, &alone);
    struct raft_item item = { 1, RAFT_ENTRY_MEMBERS, buf_bytes(&alone) };
    struct raft_disk_state disk = { .term = 2, .vote = 2, .first = 1, .items = &item,
                                    .n_items = 1 };
    b = (struct bench){ .now_ms = 1000 };
    assert_int_equal(raft_node_open(&config, &HOST, &b, &disk, b.now_ms, &b.node), 0);
    all_written(&b);
    assert_true(b.role.ready);
    assert_int_equal(raft_node_deadline(b.node), UINT64_MAX);
    buf_release(&alone);
    close_bench(&b);
}

static void only_a_leader_takes_entries(void **state)
{
    (void)state;
    struct bench b;
    uint64_t index = 0;
    open_bench(&b, "vvv", 1, 0, 3, 1);
    assert_int_equal(raft_node_submit(b.node, b.now_ms, bytes_of(PAYLOAD, 7), &index), -EAGAIN);
    assert_int_equal(raft_node_transfer(b.node, b.now_ms, 1), -EAGAIN);
    assert_int_equal(raft_node_catch_up(b.node, b.now_ms, 1), -EAGAIN);
    assert_int_equal(raft_node_last(b.node), 3);
    close_bench(&b);
}

static void followers_hear_at_once_what_is_committed(void **state)
{
    (void)state;
    struct bench b;
    uint64_t index;
    open_bench(&b, "vvv", 1, 0, 1, 1);
    become_leader(&b);
    assert_int_equal(raft_node_submit(b.node, b.now_ms, bytes_of("x", 1), &index), 0);
    all_written(&b);
    forget_sent(&b);
    acknowledge(&b, 1, index); /* that makes a majority */
    assert_int_equal(raft_node_committed(b.node), index);
    assert_int_equal(b.n_sent, 1); /* 3 may not have it yet */
    assert_int_equal(b.sent[0].peer, 1);
    assert_int_equal(type_of(&b, 0), APPEND);
    assert_int_equal(number_of(&b, 0, 0), index);
    assert_int_equal(number_of(&b, 0, 2), index);
    forget_sent(&b);
    acknowledge(&b, 1, index); /* nothing new */
    assert_int_equal(b.n_sent, 0);
    acknowledge(&b, 3, index);
    assert_int_equal(b.n_sent, 1);
    assert_int_equal(b.sent[0].peer, 3);
    assert_int_equal(number_of(&b, 0, 2), index);
    close_bench(&b);
}

static void the_leader_spins_on_no_deadline(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvvs", 1, 0, 1, 1);
    become_leader(&b);
    acknowledge(&b, 1, raft_node_last(b.node));
    acknowledge(&b, 3, raft_node_last(b.node));
    assert_int_equal(raft_node_catch_up(b.node, b.now_ms, 4), 0); /* which never answers */
    for (unsigned i = 0; i < 200; i++) {
        acknowledge(&b, 1, raft_node_last(b.node));
        uint64_t at = raft_node_deadline(b.node);
        b.now_ms = at > b.now_ms ? at : b.now_ms;
        assert_int_equal(raft_node_tick(b.node, b.now_ms), 0);
        assert_true(raft_node_deadline(b.node) > b.now_ms);
        forget_sent(&b);
    }
    close_bench(&b);
}

static void a_broken_connection_to_the_leader_shortens_the_wait(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 3, 1);
    receive(&b, 1, append_frame(1, 3, 1, 3, 0));
    assert_int_equal(b.role.leader, 1);
    assert_true(raft_node_deadline(b.node) >= b.now_ms + 200);
    raft_node_peer_closed(b.node, b.now_ms, 3); /* not the leader */
    assert_true(raft_node_deadline(b.node) >= b.now_ms + 200);
    raft_node_peer_closed(b.node, b.now_ms, 1);
    assert_true(raft_node_deadline(b.node) <= b.now_ms + 60);
    receive(&b, 1, append_frame(1, 3, 1, 3, 0)); /* a false alarm */
    b.now_ms += 400;
    assert_int_equal(raft_node_tick(b.node, b.now_ms), 0);
    receive(&b, 1, append_frame(raft_node_term(b.node) + 1, 3, 1, 3, 0));
    all_written(&b);
    assert_true(raft_node_deadline(b.node) >= b.now_ms + 200);
    close_bench(&b);
}

/* ---- what is sent -----------------------------------------------------------------------------*/

static void many_entries_go_out_in_frames_of_bounded_size(void **state)
{
    (void)state;
    struct bench b;
    uint64_t index;
    uint8_t *large = mem_zalloc(400000);
    open_bench(&b, "vvv", 1, 0, 1, 1);
    become_leader(&b);
    acknowledge(&b, 1, raft_node_last(b.node));
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(raft_node_submit(b.node, b.now_ms, bytes_of(large, 400000), &index), 0);
    }
    all_written(&b);
    forget_sent(&b);
    acknowledge(&b, 3, 2); /* is told everything now, in pieces that join */
    uint64_t next = 3;
    for (size_t i = 0; i < b.n_sent; i++) {
        if (b.sent[i].peer == 3 && type_of(&b, i) == APPEND) {
            assert_true(b.sent[i].frame.len < MIB(1) + 500000);
            uint32_t n = load_be32(b.sent[i].frame.data + 36);
            assert_int_equal(number_of(&b, i, 0) + 1, next);
            next += n;
        }
    }
    assert_int_equal(next, raft_node_last(b.node) + 1);
    free(large);
    close_bench(&b);
}

static size_t count_installs(const struct bench *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_sent; i++) {
        n += b->sent[i].frame.data[1] == INSTALL;
    }
    return n;
}

/* A follower refuses what follows entry `index`: it does not have it. */
static void reject(struct bench *b, uint64_t peer, uint64_t index)
{
    struct buf f = frame_of(APPEND_RESULT, raft_node_term(b->node));
    buf_put_be64(&f, index);
    buf_put_be64(&f, 0);
    receive(b, peer, f);
}

static void a_snapshot_is_sent_once_on_a_connection(void **state)
{
    (void)state;
    struct bench b;
    open_compacted(&b, 50, 46, 55);
    b.now_ms += 1000;
    become_leader(&b);
    acknowledge(&b, 1, raft_node_last(b.node));
    reject(&b, 3, 55);
    forget_sent(&b);
    for (unsigned i = 0; i < 5; i++) {
        reject(&b, 3, raft_node_snapshot_index(b.node)); /* one refusal for each heartbeat */
        reject(&b, 3, 0 + 55);
    }
    size_t first = count_installs(&b);
    assert_true(first <= 1);
    raft_node_peer_closed(b.node, b.now_ms, 3);
    reject(&b, 3, raft_node_snapshot_index(b.node));
    assert_true(count_installs(&b) <= first + 1);
    close_bench(&b);
}

/* ---- what cannot be ---------------------------------------------------------------------------*/

static void frames_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct bench b;
    struct buf f;
    open_bench(&b, "vvv", 3, 0, 5, 1);
    assert_int_equal(receive_on(&b, 1, 1, (struct buf){ 0 }), -EBADMSG);
    f = frame_of(APPEND, 3);
    f.data[0] = 2; /* a version of tomorrow */
    assert_int_equal(receive_on(&b, 1, 1, f), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, frame_of(99, 3)), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, frame_of(TIMEOUT_NOW, 3)), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, append_frame(0, 5, 1, 5, 0)), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, append_frame(3, 5, 0, 5, 0)), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, append_frame(3, 5, 4, 5, 0)), -EBADMSG);
    assert_int_equal(receive_on(&b, 1, 1, append_frame(3, 5, 1, 5, 1000000)), -EBADMSG);
    f = append_frame(3, 5, 1, 5, 1);
    put_entry(&f, 9, RAFT_ENTRY_COMMAND, bytes_of("x", 1)); /* of a term above the leader's */
    assert_int_equal(receive_on(&b, 1, 1, f), -EBADMSG);
    f = append_frame(3, 5, 1, 5, 1);
    put_entry(&f, 3, RAFT_ENTRY_MEMBERS, bytes_of("junk", 4));
    assert_int_equal(receive_on(&b, 1, 1, f), -EBADMSG);
    f = append_frame(3, 5, 1, 5, 1);
    put_entry(&f, 3, 7, bytes_of("x", 1)); /* no such kind */
    assert_int_equal(receive_on(&b, 1, 1, f), -EBADMSG);
    assert_int_equal(b.n_writes, 0);
    assert_int_equal(raft_node_last(b.node), 5);
    close_bench(&b);
}

static void a_second_leader_of_our_term_is_not_listened_to(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 1, 1);
    become_leader(&b);
    acknowledge(&b, 1, raft_node_last(b.node));
    receive(&b, 3, append_frame(2, 1, 1, 1, 0));
    receive(&b, 3, install_frame(2, 40, 2));
    assert_true(b.role.leads);
    assert_int_equal(raft_node_match(b.node, 1), raft_node_last(b.node));
    close_bench(&b);
}

static void damaged_frames_do_no_harm(void **state)
{
    (void)state;
    struct prng prng;
    unsigned taken = 0, refused = 0;
    prng_init(&prng, 6);
    for (unsigned round = 0; round < 4000; round++) {
        struct bench b;
        struct buf four = members_of("vvvs");
        struct buf frames[] = { append_frame(2, 3, 1, 3, 2), vote_frame(3, 9, 2, round % 2),
                                install_frame(2, 40, 2), frame_of(APPEND_RESULT, 2),
                                frame_of(VOTE_RESULT, 2) };
        put_commands(&frames[0], 2, 1);
        put_entry(&frames[0], 2, RAFT_ENTRY_MEMBERS, buf_bytes(&four));
        buf_put_zeros(&frames[3], 16);
        buf_put_zeros(&frames[4], 2);
        buf_release(&four);
        open_bench(&b, "vvv", 1, 0, 5, 1);
        struct buf *f = &frames[prng_below(&prng, countof(frames))];
        for (uint64_t n = 1 + prng_below(&prng, 3); n > 0; n--) {
            f->data[prng_below(&prng, f->len)] ^= (uint8_t)(1u << prng_below(&prng, 8));
        }
        if (prng_percent(&prng, 20)) {
            f->len = prng_below(&prng, f->len);
        }
        int error = raft_node_receive(b.node, b.now_ms, 1, 1, buf_bytes(f));
        assert_true(error == 0 || error == -EBADMSG || error == -ENOTRECOVERABLE);
        taken += error == 0;
        refused += error == -EBADMSG;
        if (error == 0) {
            all_written(&b);
        }
        for (size_t i = 0; i < countof(frames); i++) {
            buf_release(&frames[i]);
        }
        close_bench(&b);
    }
    assert_true(taken > 200 && refused > 200);
}

static void a_log_that_contradicts_what_is_committed_ends_the_replica(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, "vvv", 1, 0, 5, 1);
    receive(&b, 1, append_frame(1, 5, 1, 5, 0));
    struct buf f = append_frame(2, 3, 1, 3, 1);
    put_commands(&f, 2, 1); /* another entry 4, which is applied here */
    assert_int_equal(receive_on(&b, 3, 1, f), -ENOTRECOVERABLE);
    assert_non_null(strstr(raft_node_fault(b.node), "contradicts"));
    assert_int_equal(receive_on(&b, 1, 1, append_frame(1, 5, 1, 5, 0)), -ENOTRECOVERABLE);
    close_bench(&b);
}

static void disk_states_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct bench b = { .now_ms = 1 };
    struct buf members = members_of("vvv");
    struct raft_node_config config = { .id = 2, .seed = 3 };
    struct raft_item items[2] = { { 1, RAFT_ENTRY_MEMBERS, buf_bytes(&members) },
                                  { 2, RAFT_ENTRY_COMMAND, bytes_of(PAYLOAD, 7) } };
    struct raft_disk_state disk = { .term = 1, .first = 1, .items = items, .n_items = 2 };
    assert_int_equal(raft_node_open(&config, &HOST, &b, &disk, 1, &b.node), -EBADMSG);
    disk.term = 2;
    disk.first = 2; /* entry 1 is missing */
    assert_int_equal(raft_node_open(&config, &HOST, &b, &disk, 1, &b.node), -EBADMSG);
    disk.first = 1;
    items[0].kind = RAFT_ENTRY_COMMAND;
    assert_int_equal(raft_node_open(&config, &HOST, &b, &disk, 1, &b.node), -EBADMSG);
    items[0].kind = RAFT_ENTRY_MEMBERS;
    assert_int_equal(raft_node_open(&config, &HOST, &b, &disk, 1, &b.node), 0);
    buf_release(&members);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_1_a_truncated_set_of_servers_is_not_used),
        cmocka_unit_test(rule_2_a_rollback_goes_to_the_last_committed_set),
        cmocka_unit_test(rule_3_the_commit_index_never_goes_back),
        cmocka_unit_test(rule_4_a_refused_candidate_learns_of_the_higher_term),
        cmocka_unit_test(rule_5_what_lies_below_the_snapshot_is_taken_as_agreed),
        cmocka_unit_test(rule_6_voters_never_fall_to_one_and_a_sole_voter_is_known),
        cmocka_unit_test(rule_7_a_change_waits_for_the_last_one_to_be_everywhere),
        cmocka_unit_test(rule_8_frames_of_older_connections_are_dropped),
        cmocka_unit_test(rule_8_one_snapshot_is_installed_at_a_time),
        cmocka_unit_test(a_snapshot_of_what_is_committed_is_not_installed),
        cmocka_unit_test(nothing_is_told_before_the_vote_is_durable),
        cmocka_unit_test(entries_are_acknowledged_when_durable_and_not_when_replaced),
        cmocka_unit_test(entries_are_applied_when_committed_and_durable_here),
        cmocka_unit_test(a_lone_voter_is_ready_when_its_first_entry_is_durable),
        cmocka_unit_test(a_group_of_one_needs_no_clock),
        cmocka_unit_test(only_a_leader_takes_entries),
        cmocka_unit_test(followers_hear_at_once_what_is_committed),
        cmocka_unit_test(the_leader_spins_on_no_deadline),
        cmocka_unit_test(a_broken_connection_to_the_leader_shortens_the_wait),
        cmocka_unit_test(many_entries_go_out_in_frames_of_bounded_size),
        cmocka_unit_test(a_snapshot_is_sent_once_on_a_connection),
        cmocka_unit_test(frames_that_cannot_be_are_refused),
        cmocka_unit_test(a_second_leader_of_our_term_is_not_listened_to),
        cmocka_unit_test(damaged_frames_do_no_harm),
        cmocka_unit_test(a_log_that_contradicts_what_is_committed_ends_the_replica),
        cmocka_unit_test(disk_states_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
