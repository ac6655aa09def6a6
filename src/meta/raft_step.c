/* One step of libraft's core, and what has to follow from it.
 *
 * A step changes memory and says what must be done. The order matters:
 *
 *   1. term and vote go to the disk; until they are there, no message of this step leaves and no
 *   other
 *      step is made (raft_node.c queues what happens meanwhile);
 *   2. new entries are put in memory and go to the disk. What they replace must not be acknowledged
 *      any more, so earlier writes under way acknowledge at most what is below them;
 *   3. a snapshot from the leader goes to the disk; nothing is acknowledged or applied before it is
 *      there;
 *   4. messages leave;
 *   5. once no vote is being written ("settle"): committed entries that are durable *here* are
 *      applied, a snapshot is taken when the log has grown, a change of the role is reported. A
 *      leader tells its followers at once what is committed: the core would let them wait for the
 *      next heartbeat.
 *
 * The core cannot be told of a failed write. An unexpected result of a step ends the replica. */
#include "raft_private.h"

#include <errno.h>
#include <stdio.h>

struct raft_peer *raft_peer(struct raft_node *node, uint64_t id)
{
    for (size_t i = 0; i < node->n_peers; i++) {
        if (node->peers[i].id == id) {
            return &node->peers[i];
        }
    }
    node->peers = mem_grow(node->peers, &node->peers_cap, node->n_peers + 1, sizeof *node->peers);
    node->peers[node->n_peers] = (struct raft_peer){ .id = id };
    return &node->peers[node->n_peers++];
}

uint64_t raft_ticket(struct raft_node *node)
{
    return ++node->next_ticket;
}

static int give_up(struct raft_node *node, const char *what, int error)
{
    snprintf(node->fault, sizeof node->fault, "raft: %s: %s", what,
             error == RAFT_SHUTDOWN ? "the leader's log contradicts a committed entry"
                                    : raft_strerror(error));
    return -ENOTRECOVERABLE;
}

static struct raft_write *new_write(struct raft_node *node, int kind)
{
    struct raft_write *write = mem_zalloc(sizeof *write);
    write->ticket = raft_ticket(node);
    write->kind = kind;
    list_push_back(&node->writes, &write->link);
    return write;
}

static void kept_release(struct raft_kept *kept)
{
    buf_release(&kept->members);
    buf_release(&kept->data);
    *kept = (struct raft_kept){ 0 };
}

/* ---- what a step asks for ---------------------------------------------------------------------*/

static void save_vote(struct raft_node *node)
{
    node->vote_ticket = raft_ticket(node);
    node->host->save_vote(node->host_arg, node->vote_ticket, raft_current_term(&node->raft),
                          raft_voted_for(&node->raft));
}

/* Entries from `first` on are gone or new: earlier writes answer for what is below only. */
static void forget_unwritten(struct raft_node *node, uint64_t first)
{
    list_each (it, &node->writes) {
        struct raft_write *write = container_of(it, struct raft_write, link);
        if (write->kind == RAFT_WRITE_LOG && write->last >= first) {
            write->last = first - 1;
        }
    }
}

static void write_entries(struct raft_node *node, const struct raft_update *update)
{
    uint64_t first = update->entries.index;
    size_t n = update->entries.n;
    struct raft_item *items = mem_zalloc_array(n, sizeof *items);

    check(first > node->applied);
    raft_cache_cut(&node->cache, first);
    check(raft_cache_last(&node->cache) + 1 == first);
    forget_unwritten(node, first);
    for (size_t i = 0; i < n; i++) {
        const struct raft_entry *e = &update->entries.batch[i];
        raft_cache_append(&node->cache, e->term, (enum raft_entry_kind)e->type,
                          bytes_of(e->buf.base, e->buf.len));
        items[i] = raft_cached_item(&node->cache.items[node->cache.n - 1]);
    }
    raft_free(update->entries.batch[0].batch);

    struct raft_write *write = new_write(node, RAFT_WRITE_LOG);
    write->first = first;
    write->last = first + n - 1;
    node->host->write_log(node->host_arg, write->ticket, first, items, n);
    free(items);
}

static struct raft_image image_of(const struct raft_kept *kept)
{
    return (struct raft_image){ .index = kept->index, .term = kept->term,
                                .members_index = kept->members_index,
                                .members = buf_bytes(&kept->members),
                                .data = buf_bytes(&kept->data) };
}

static void encode_members(const struct raft_configuration *set, struct buf *to)
{
    struct raft_buffer encoded;
    check(raft_configuration_encode(set, &encoded) == 0);
    buf_clear(to);
    buf_put(to, encoded.base, encoded.len);
    raft_free(encoded.base);
}

static void install_snapshot(struct raft_node *node, struct raft_update *update)
{
    struct raft_snapshot_metadata *meta = &update->snapshot.metadata;
    struct raft_kept *s = &node->snapshot;

    kept_release(s);
    s->index = meta->index;
    s->term = meta->term;
    s->members_index = meta->configuration_index;
    encode_members(&meta->configuration, &s->members);
    buf_put(&s->data, update->snapshot.chunk.base, update->snapshot.chunk.len);
    raft_configuration_close(&meta->configuration);
    raft_free(update->snapshot.chunk.base);

    node->installing = true;
    forget_unwritten(node, 1);
    raft_cache_restart(&node->cache, s->index + 1);
    struct raft_write *write = new_write(node, RAFT_WRITE_INSTALL);
    struct raft_image image = image_of(s);
    node->host->write_snapshot(node->host_arg, write->ticket, &image, s->index + 1, true);
}

/* ---- messages ---------------------------------------------------------------------------------*/

static void send_frame(struct raft_node *node, uint64_t peer, struct buf *frame)
{
    struct raft_parcel *parcel = mem_zalloc(sizeof *parcel);
    struct blob *blob = blob_adopt(frame->data, frame->len);
    parcel->peer = peer;
    chain_add(&parcel->frame, blob, bytes_of(blob->data, blob->len));
    blob_unref(blob);
    list_push_back(&node->parcels, &parcel->link);
}

static void note_told(struct raft_peer *peer, uint64_t committed)
{
    peer->told_committed = max_u64(peer->told_committed, committed);
}

/* An AppendEntries of the core can name more entries than one frame should hold: it goes out as
 * several, each complete by itself. */
static void send_entries(struct raft_node *node, const struct raft_message *m)
{
    uint64_t first = m->append_entries.prev_log_index + 1;
    size_t left = m->append_entries.n_entries;
    do {
        struct buf frame = { 0 };
        size_t n = 0, len = 0;
        while (n < left && (n == 0 || len < node->config.frame_bytes_max)) {
            const struct raft_cached *e = raft_cache_find(&node->cache, first + n++);
            check(e != NULL);
            len += e->len;
        }
        raft_frame_put(node, m, first, n, &frame);
        send_frame(node, m->server_id, &frame);
        note_told(raft_peer(node, m->server_id),
                  min_u64(m->append_entries.leader_commit, first - 1 + n));
        first += n;
        left -= n;
    } while (left > 0);
}

/* The core sends the snapshot anew for each refusal that it gets meanwhile: once per connection and
 * time-out is enough. */
static bool snapshot_is_on_its_way(struct raft_node *node, uint64_t peer)
{
    struct raft_peer *p = raft_peer(node, peer);
    bool sent = p->snapshot_index == node->snapshot.index &&
                node->now_ms - p->snapshot_ms < node->raft.install_snapshot_timeout;
    if (!sent) {
        p->snapshot_index = node->snapshot.index;
        p->snapshot_ms = node->now_ms;
    }
    return sent;
}

static void send_message(struct raft_node *node, struct raft_message *m)
{
    if (m->type == RAFT_APPEND_ENTRIES) {
        send_entries(node, m);
        return;
    }
    if (m->type == RAFT_INSTALL_SNAPSHOT) {
        check(m->install_snapshot.last_index == node->snapshot.index);
        if (snapshot_is_on_its_way(node, m->server_id)) {
            return;
        }
    }
    if (m->type == RAFT_REQUEST_VOTE_RESULT && m->request_vote_result.pre_vote &&
        !m->request_vote_result.vote_granted &&
        m->request_vote_result.term < raft_current_term(&node->raft)) {
        /* Rule 4: a refused candidate must learn of a higher term, or it may never catch up. */
        m->request_vote_result.term = raft_current_term(&node->raft);
    }
    if (m->type == RAFT_APPEND_ENTRIES_RESULT && node->stale_sender) {
        m->append_entries_result.last_log_index = 0; /* 0.22.1 leaves it uninitialised */
    }
    struct buf frame = { 0 };
    raft_frame_put(node, m, 0, 0, &frame);
    send_frame(node, m->server_id, &frame);
}

void raft_node_send_parcels(struct raft_node *node)
{
    while (node->vote_ticket == 0 && !list_empty(&node->parcels)) {
        struct raft_parcel *parcel =
            container_of(list_pop_front(&node->parcels), struct raft_parcel, link);
        node->host->send(node->host_arg, parcel->peer, &parcel->frame);
        chain_release(&parcel->frame);
        free(parcel);
    }
}

/* An AppendEntries without entries, behind what the follower is known to have. */
static void tell_committed(struct raft_node *node, uint64_t id)
{
    struct raft_peer *peer = raft_peer(node, id);
    uint64_t match = raft_node_match(node, id);
    uint64_t committed = min_u64(raft_commit_index(&node->raft), match);
    uint64_t term = raft_node_term_of(node, match);
    if (committed <= peer->told_committed || term == 0) {
        return;
    }
    struct raft_message m = { .type = RAFT_APPEND_ENTRIES, .server_id = id };
    struct buf frame = { 0 };
    m.append_entries = (struct raft_append_entries){ .term = raft_current_term(&node->raft),
                                                     .prev_log_index = match,
                                                     .prev_log_term = term,
                                                     .leader_commit = committed };
    raft_frame_put(node, &m, match + 1, 0, &frame);
    send_frame(node, id, &frame);
    note_told(peer, committed);
}

static void tell_all_committed(struct raft_node *node)
{
    const struct raft_configuration *set = &node->raft.configuration;
    for (unsigned i = 0; i < set->n; i++) {
        if (set->servers[i].id != node->config.id) {
            tell_committed(node, set->servers[i].id);
        }
    }
    raft_node_send_parcels(node);
}

/* ---- the step ---------------------------------------------------------------------------------*/

static bool may_be_refused(enum raft_event_type type)
{
    return type == RAFT_SUBMIT || type == RAFT_TRANSFER;
}

/* A leader's heartbeat deadline can stay in the past: never spin on it. */
static void watch_deadline(struct raft_node *node, enum raft_event_type type)
{
    bool stuck = type == RAFT_TIMEOUT && raft_timeout(&node->raft) <= node->now_ms;
    node->tick_from_ms = stuck ? node->now_ms + max_u64(node->config.heartbeat_ms / 2, 1) : 0;
}

int raft_node_step(struct raft_node *node, struct raft_event *event)
{
    struct raft_update update;
    enum raft_event_type type = event->type;
    event->time = node->now_ms;
    event->capacity = UINT16_MAX;
    check(node->vote_ticket == 0);

    int error = raft_step(&node->raft, event, &update);
    if (error != 0) {
        return may_be_refused(type) ? error : give_up(node, "a step failed", error);
    }
    if ((update.flags & (RAFT_UPDATE_CURRENT_TERM)) || (update.flags & (RAFT_UPDATE_VOTED_FOR))) {
        save_vote(node);
    }
    if (update.flags & (RAFT_UPDATE_ENTRIES)) {
        write_entries(node, &update);
    }
    if (update.flags & (RAFT_UPDATE_SNAPSHOT)) {
        install_snapshot(node, &update);
    }
    for (unsigned i = 0; (update.flags & (RAFT_UPDATE_MESSAGES)) && i < update.messages.n; i++) {
        send_message(node, &update.messages.batch[i]);
    }
    watch_deadline(node, type);
    raft_node_send_parcels(node);
    return 0;
}

int raft_node_append(struct raft_node *node, enum raft_entry_kind kind, struct bytes data)
{
    uint8_t *copy = raft_malloc(data.len + 1);
    check(copy != NULL);
    if (data.len > 0) {
        memcpy(copy, data.data, data.len);
    }
    struct raft_entry entry = { .term = raft_current_term(&node->raft),
                                .type = (enum raft_entry_type)kind,
                                .buf = { .base = copy, .len = data.len },
                                .batch = copy };
    struct raft_event event = { .type = RAFT_SUBMIT, .submit = { .entries = &entry, .n = 1 } };
    int error = raft_node_step(node, &event);
    if (error == 0) {
        return 0;
    }
    if (error > 0) {
        raft_free(copy);
    }
    switch (error) {
    case RAFT_NOTLEADER:
    case RAFT_CANTCHANGE:
        return -EAGAIN;
    default:
        return error < 0 ? error : give_up(node, "an entry was refused", error);
    }
}

/* ---- applying ---------------------------------------------------------------------------------*/

/* The core hears of every set of servers that is committed, on every node and after every restart:
 * otherwise it refuses the next change for ever. */
static int commit_members(struct raft_node *node, uint64_t index, struct bytes encoded)
{
    struct raft_event event = { .type = RAFT_CONFIGURATION, .configuration = { .index = index } };
    node->members_index = index;
    buf_clear(&node->members);
    buf_put(&node->members, encoded.data, encoded.len);
    raft_members_decode(encoded, &event.configuration.conf);
    return raft_node_step(node, &event);
}

static int apply_committed(struct raft_node *node)
{
    int error = 0;
    while (error == 0 && !node->installing) {
        uint64_t index = node->applied + 1;
        if (index > min_u64(raft_commit_index(&node->raft), node->raft.last_stored)) {
            break;
        }
        const struct raft_cached *cached = raft_cache_find(&node->cache, index);
        check(cached != NULL);
        struct raft_item item = raft_cached_item(cached);
        node->applied = index;
        node->applied_bytes += item.data.len;
        node->host->apply(node->host_arg, index, &item);
        if (item.kind == RAFT_ENTRY_MEMBERS) {
            error = commit_members(node, index, item.data);
        }
    }
    return error;
}

static void take_snapshot(struct raft_node *node)
{
    struct raft_write *write = new_write(node, RAFT_WRITE_TAKEN);
    struct raft_kept *taken = &write->taken;
    uint64_t trailing = node->config.trailing;

    taken->index = node->applied;
    taken->term = raft_node_term_of(node, node->applied);
    taken->members_index = node->members_index;
    buf_put(&taken->members, node->members.data, node->members.len);
    node->host->take_snapshot(node->host_arg, &taken->data);
    node->taking = true;
    node->applied_bytes = 0;

    struct raft_image image = image_of(taken);
    uint64_t keep_from = taken->index > trailing ? taken->index - trailing + 1 : 1;
    node->host->write_snapshot(node->host_arg, write->ticket, &image, keep_from, false);
}

static bool log_has_grown(const struct raft_node *node)
{
    return !node->taking && !node->installing && node->applied > node->snapshot.index &&
           (node->applied - node->snapshot.index >= node->config.snapshot_entries ||
            node->applied_bytes >= node->config.snapshot_bytes);
}

/* ---- roles ------------------------------------------------------------------------------------*/

/* A leader knows what is committed only once an entry of its own term is. The core appends one
 * where it has older entries to commit; where it did not, this does. */
static int begin_to_lead(struct raft_node *node)
{
    uint64_t last = raft_cache_last(&node->cache);
    const struct raft_cached *cached = raft_cache_find(&node->cache, last);
    raft_node_end_hint(node);
    if (cached == NULL || cached->term != raft_current_term(&node->raft)) {
        int error = raft_node_append(node, RAFT_ENTRY_BARRIER, bytes_of("\0\0\0\0\0\0\0", 8));
        if (error < 0) {
            return error;
        }
        last++;
    }
    node->lead_index = last;
    return 0;
}

static void report_role(struct raft_node *node)
{
    raft_id leader;
    const char *address;
    raft_leader(&node->raft, &leader, &address);
    bool leads = raft_state(&node->raft) == RAFT_LEADER;
    struct raft_role role = { .leads = leads, .leader = leader,
                              .ready = leads && node->applied >= node->lead_index,
                              .term = raft_current_term(&node->raft) };
    bool same = role.leads == node->role.leads && role.ready == node->role.ready &&
                role.leader == node->role.leader && role.term == node->role.term;
    node->role = role;
    if (!same) {
        node->host->role_changed(node->host_arg, &role);
    }
}

int raft_node_settle(struct raft_node *node)
{
    if (node->vote_ticket != 0) {
        return 0;
    }
    int error = apply_committed(node);
    bool leads = raft_state(&node->raft) == RAFT_LEADER;
    if (!leads) {
        node->lead_index = 0;
    } else if (error == 0 && node->lead_index == 0) {
        error = begin_to_lead(node);
    }
    if (error != 0) {
        return error;
    }
    if (leads) {
        tell_all_committed(node);
    }
    if (log_has_grown(node)) {
        take_snapshot(node);
    }
    report_role(node);
    return 0;
}

/* ---- writes that are done ---------------------------------------------------------------------*/

static struct raft_configuration members_of(const struct raft_kept *kept)
{
    struct raft_configuration set;
    raft_members_decode(buf_bytes(&kept->members), &set);
    return set;
}

static int log_written(struct raft_node *node, const struct raft_write *write)
{
    struct raft_event event = { .type = RAFT_PERSISTED_ENTRIES };
    if (node->installing || write->last < write->first) {
        return 0;
    }
    event.persisted_entries.index = write->last;
    return raft_node_step(node, &event);
}

/* A snapshot that was taken here; one that came from the leader meanwhile has overtaken it. */
static int taken_written(struct raft_node *node, struct raft_write *write)
{
    node->taking = false;
    if (node->installing || write->taken.index <= node->snapshot.index) {
        return 0;
    }
    kept_release(&node->snapshot);
    node->snapshot = write->taken;
    write->taken = (struct raft_kept){ 0 };

    const struct raft_kept *s = &node->snapshot;
    uint64_t trailing = node->config.trailing;
    if (s->index > trailing && raft_cache_find(&node->cache, s->index - trailing) != NULL) {
        raft_cache_drop_below(&node->cache, s->index - trailing + 1);
    }
    struct raft_event event = { .type = RAFT_SNAPSHOT };
    event.snapshot.trailing = (unsigned)trailing;
    event.snapshot.metadata = (struct raft_snapshot_metadata){
        .index = s->index, .term = s->term, .configuration = members_of(s),
        .configuration_index = s->members_index };
    return raft_node_step(node, &event);
}

static int install_written(struct raft_node *node)
{
    const struct raft_kept *s = &node->snapshot;
    struct raft_image image = image_of(s);
    node->installing = false;
    node->applied = s->index;
    node->applied_bytes = 0;
    node->members_index = s->members_index;
    buf_clear(&node->members);
    buf_put(&node->members, s->members.data, s->members.len);
    node->host->restore(node->host_arg, &image);

    struct raft_event event = { .type = RAFT_PERSISTED_SNAPSHOT };
    event.persisted_snapshot.last = true;
    event.persisted_snapshot.metadata = (struct raft_snapshot_metadata){
        .index = s->index, .term = s->term, .configuration = members_of(s),
        .configuration_index = s->members_index };
    return raft_node_step(node, &event);
}

int raft_node_write_done(struct raft_node *node, uint64_t ticket)
{
    struct raft_write *write = NULL;
    list_each (it, &node->writes) {
        struct raft_write *w = container_of(it, struct raft_write, link);
        if (w->ticket == ticket) {
            write = w;
            break;
        }
    }
    check(write != NULL);
    list_remove(&write->link);

    int error = write->kind == RAFT_WRITE_LOG     ? log_written(node, write)
                : write->kind == RAFT_WRITE_TAKEN ? taken_written(node, write)
                                                  : install_written(node);
    kept_release(&write->taken);
    free(write);
    return error;
}
