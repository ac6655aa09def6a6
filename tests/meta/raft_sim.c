/* What happens to the servers. See raft_sim.h. One event after the other, earliest first; ties in
 * the order in which they were made, so that a seed determines the run. */
#include "raft_sim_private.h"

#include <errno.h>

/* ---- the hash machine -------------------------------------------------------------------------*/

static void *hash_make(void)
{
    return mem_zalloc(sizeof(uint64_t));
}

static void hash_apply(void *machine, uint64_t index, struct bytes command)
{
    uint64_t *hash = machine;
    *hash = hash_bytes(*hash + index, command.data, command.len);
}

static void hash_encode(const void *machine, struct buf *to)
{
    buf_put_be64(to, *(const uint64_t *)machine);
}

static void *hash_decode(struct bytes from)
{
    uint64_t *hash = hash_make();
    *hash = load_be64(from.data);
    return hash;
}

static uint64_t hash_hash(const void *machine)
{
    return *(const uint64_t *)machine;
}

static void hash_command(const void *machine, struct prng *prng, uint64_t n, struct buf *to)
{
    (void)machine;
    buf_put_be64(to, n);
    buf_put_zeros(to, prng_below(prng, 200));
}

const struct sim_machine sim_hash_machine = {
    .make = hash_make, .release = free, .apply = hash_apply, .encode = hash_encode,
    .decode = hash_decode, .hash = hash_hash, .command = hash_command,
};

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + prng_below(&sim->prng, high - low + 1);
}

static bool percent(struct sim *sim, unsigned n)
{
    return prng_percent(&sim->prng, n);
}

static void at(struct sim *sim, uint64_t when_ms, struct event *event)
{
    heap_insert(&sim->events, &event->node, when_ms);
}

static struct event *new_event(enum event_kind kind)
{
    struct event *event = mem_zalloc(sizeof *event);
    event->kind = kind;
    return event;
}

static void again_in(struct sim *sim, enum event_kind kind, uint64_t low, uint64_t high)
{
    at(sim, sim->now_ms + between(sim, low, high), new_event(kind));
}

/* ---- logs and snapshots -----------------------------------------------------------------------*/

static void log_cut(struct log *log, uint64_t from)
{
    while (log->n > 0 && log_last(log) >= from) {
        blob_unref(log->entries[--log->n].data);
    }
}

static void log_drop_below(struct log *log, uint64_t index)
{
    while (log->n > 0 && log->first < index) {
        blob_unref(log->entries[0].data);
        memmove(log->entries, log->entries + 1, --log->n * sizeof *log->entries);
        log->first++;
    }
    if (log->n == 0 && log->first < index) {
        log->first = index;
    }
}

static void log_append(struct log *log, uint64_t term, enum raft_entry_kind kind, struct blob *data)
{
    log->entries = mem_grow(log->entries, &log->cap, log->n + 1, sizeof *log->entries);
    log->entries[log->n++] = (struct entry){ .term = term, .kind = kind, .data = blob_ref(data) };
}

static void log_release(struct log *log)
{
    log_cut(log, 0);
    free(log->entries);
    *log = (struct log){ 0 };
}

static void snapshot_set(struct snapshot *s, const struct raft_image *image)
{
    s->index = image->index;
    s->term = image->term;
    s->members_index = image->members_index;
    buf_clear(&s->members);
    buf_clear(&s->data);
    buf_put(&s->members, image->members.data, image->members.len);
    buf_put(&s->data, image->data.data, image->data.len);
}

static struct raft_image snapshot_image(const struct snapshot *s)
{
    return (struct raft_image){ .index = s->index, .term = s->term,
                                .members_index = s->members_index,
                                .members = buf_bytes(&s->members), .data = buf_bytes(&s->data) };
}

static void snapshot_release(struct snapshot *s)
{
    buf_release(&s->members);
    buf_release(&s->data);
    *s = (struct snapshot){ 0 };
}

/* ---- disk -------------------------------------------------------------------------------------*/

/* Writes to the log that wait behind another write go to the disk together. */
static bool joins_last_write(const struct server *s, enum write_kind kind)
{
    const struct list *last = list_last(&s->disk.writes);
    return kind == WRITE_LOG && last != NULL && last != list_first(&s->disk.writes) &&
           container_of(last, struct write, link)->kind == WRITE_LOG;
}

static struct write *push_write(struct server *s, enum write_kind kind, uint64_t ticket)
{
    struct sim *sim = s->sim;
    struct write *w = mem_zalloc(sizeof *w);
    struct event *done = new_event(EVENT_DISK);
    w->kind = kind;
    w->ticket = ticket;
    if (!joins_last_write(s, kind)) {
        s->disk.busy_until_ms = max_u64(s->disk.busy_until_ms, sim->now_ms) +
                                between(sim, 1, sim->options->disk_ms_max);
    }
    w->due_ms = s->disk.busy_until_ms;
    list_push_back(&s->disk.writes, &w->link);
    done->to = (unsigned)s->id;
    done->life = s->life;
    at(sim, w->due_ms, done);
    return w;
}

static void free_write(struct write *w)
{
    log_release(&w->log);
    snapshot_release(&w->snapshot);
    free(w);
}

/* Makes a write durable; of a log write that was torn, `n` entries. */
static void make_durable(struct server *s, struct write *w, size_t n)
{
    struct disk *d = &s->disk;
    switch (w->kind) {
    case WRITE_VOTE:
        d->term = w->term;
        d->vote = w->vote;
        break;
    case WRITE_LOG:
        log_cut(&d->log, w->log.first);
        check(log_last(&d->log) + 1 == w->log.first);
        for (size_t i = 0; i < n; i++) {
            struct entry *e = &w->log.entries[i];
            log_append(&d->log, e->term, e->kind, e->data);
        }
        break;
    case WRITE_SNAPSHOT:
    case WRITE_INSTALL: {
        struct raft_image image = snapshot_image(&w->snapshot);
        snapshot_set(&d->snapshot, &image);
        if (w->kind == WRITE_INSTALL) {
            log_cut(&d->log, 0);
            d->log.first = image.index + 1;
        } else {
            log_drop_below(&d->log, min_u64(w->keep_from, image.index + 1));
        }
        break;
    }
    }
}

static void on_save_vote(void *host, uint64_t ticket, uint64_t term, uint64_t vote)
{
    struct server *s = host;
    struct write *w = push_write(s, WRITE_VOTE, ticket);
    w->term = term;
    w->vote = vote;
}

static void on_write_log(void *host, uint64_t ticket, uint64_t first, const struct raft_item *items,
                         size_t n)
{
    struct server *s = host;
    struct write *w = push_write(s, WRITE_LOG, ticket);
    bool leads = s->node != NULL && raft_node_role(s->node)->leads;
    if (leads && s->led_term == raft_node_term(s->node) && first <= log_last(&s->log)) {
        violated(s->sim, "leader append-only: server %llu cuts its log at %llu", U(s->id),
                 U(first));
    }
    if (first <= s->applied) {
        violated(s->sim, "server %llu cuts applied entries at %llu", U(s->id), U(first));
    }
    log_cut(&s->log, first);
    w->log.first = first;
    for (size_t i = 0; i < n; i++) {
        struct blob *data = blob_new(items[i].data.len);
        memcpy(data->data, items[i].data.data, items[i].data.len);
        const struct entry *before = log_find(&s->log, first + i - 1);
        uint64_t term_before = before ? before->term : s->log_base_term;
        log_append(&s->log, items[i].term, items[i].kind, data);
        log_append(&w->log, items[i].term, items[i].kind, data);
        check_new_entry(s, first + i, term_before);
        blob_unref(data);
    }
}

static void on_write_snapshot(void *host, uint64_t ticket, const struct raft_image *snapshot,
                              uint64_t keep_from, bool install)
{
    struct server *s = host;
    struct write *w = push_write(s, install ? WRITE_INSTALL : WRITE_SNAPSHOT, ticket);
    snapshot_set(&w->snapshot, snapshot);
    w->keep_from = keep_from;
    if (install) {
        log_cut(&s->log, 0);
        s->log.first = snapshot->index + 1;
        s->log_base_term = snapshot->term;
        s->sim->counts->installs++;
    } else {
        s->sim->counts->snapshots++;
    }
}

/* ---- state machine ----------------------------------------------------------------------------*/

static void on_apply(void *host, uint64_t index, const struct raft_item *item)
{
    struct server *s = host;
    if (index != s->applied + 1) {
        violated(s->sim, "server %llu applies %llu after %llu", U(s->id), U(index), U(s->applied));
    }
    s->applied = index;
    if (item->kind == RAFT_ENTRY_COMMAND) {
        s->sim->options->machine->apply(s->machine, index, item->data);
    }
    check_state(s);
}

static void on_take_snapshot(void *host, struct buf *to)
{
    struct server *s = host;
    s->sim->options->machine->encode(s->machine, to);
}

static void on_restore(void *host, const struct raft_image *snapshot)
{
    struct server *s = host;
    s->sim->options->machine->release(s->machine);
    s->machine = s->sim->options->machine->decode(snapshot->data);
    s->applied = snapshot->index;
    check_state(s);
}

/* ---- network ----------------------------------------------------------------------------------*/

static void on_send(void *host, uint64_t peer, struct chain *frame)
{
    struct server *s = host;
    struct sim *sim = s->sim;
    if (s->disk.vote != s->vote || s->disk.term < s->term) {
        violated(sim, "server %llu tells of a vote that is not on its disk", U(s->id));
    }
    if (peer > sim->n_servers || sim->blocked[s->id][peer] ||
        percent(sim, sim->now_ms < sim->calm_ms ? sim->options->drop_percent : 0)) {
        sim->counts->dropped++;
        return;
    }
    struct event *event = new_event(EVENT_FRAME);
    uint64_t *link = &sim->link_ms[s->id][peer];
    *link = max_u64(*link, sim->now_ms + between(sim, 1, sim->options->network_ms_max) +
                               (percent(sim, 2) ? between(sim, 20, 300) : 0));
    event->to = (unsigned)peer;
    event->from = (unsigned)s->id;
    event->connection = sim->connection[s->id][peer];
    chain_copy(frame, buf_reserve(&event->frame, frame->len));
    event->frame.len = frame->len;
    at(sim, *link, event);
}

static void on_role_changed(void *host, const struct raft_role *role)
{
    (void)host, (void)role;
}

static const struct raft_host sim_host = {
    .save_vote = on_save_vote, .write_log = on_write_log, .write_snapshot = on_write_snapshot,
    .send = on_send, .apply = on_apply, .restore = on_restore, .take_snapshot = on_take_snapshot,
    .role_changed = on_role_changed,
};

/* ---- servers ----------------------------------------------------------------------------------*/

static void after(struct server *s, int error)
{
    if (error != 0 && error != -EAGAIN && error != -EINVAL) {
        violated(s->sim, "server %llu: error %d %s", U(s->id), error, raft_node_fault(s->node));
        return;
    }
    s->deadline_ms = raft_node_deadline(s->node);
    check_server(s);
}

static void start(struct server *s)
{
    struct sim *sim = s->sim;
    struct disk *d = &s->disk;
    struct raft_item *items = mem_zalloc_array(d->log.n, sizeof *items);
    struct raft_image image = snapshot_image(&d->snapshot);
    struct raft_node_config config = {
        .id = s->id, .seed = prng_u64(&sim->prng),
        .snapshot_entries = sim->options->snapshot_entries,
        .trailing = sim->options->trailing, .inflight_max = sim->options->inflight_max,
        .frame_bytes_max = 500,
    };
    struct raft_disk_state state = { .snapshot = image.index ? &image : NULL, .first = d->log.first,
                                     .items = items, .n_items = d->log.n };
    log_cut(&s->log, 0);
    s->log.first = d->log.first;
    s->log_base_term = d->log.first == image.index + 1 ? image.term : 0;
    for (size_t i = 0; i < d->log.n; i++) {
        struct entry *e = &d->log.entries[i];
        items[i] = (struct raft_item){ e->term, e->kind, bytes_of(e->data->data, e->data->len) };
        log_append(&s->log, e->term, e->kind, e->data);
    }
    if (raft_node_is_sole_voter(&state, s->id)) {
        d->term++;
        d->vote = s->id;
    }
    state.term = s->term = d->term;
    state.vote = s->vote = d->vote;
    s->machine = sim->options->machine->make();
    s->applied = s->committed = s->led_term = s->catching_up = 0;
    int error = raft_node_open(&config, &sim_host, s, &state, sim->now_ms, &s->node);
    free(items);
    if (error != 0) {
        violated(sim, "server %llu does not start: error %d", U(s->id), error);
        return;
    }
    after(s, 0);
}

/* Everything in memory is gone; of the writes under way, some of the first ones are on the disk. */
static void crash(struct server *s)
{
    struct sim *sim = s->sim;
    bool survives = true;
    list_each (it, &s->disk.writes) {
        struct write *w = container_of(it, struct write, link);
        bool torn = w->kind == WRITE_LOG && percent(sim, 40);
        survives = survives && percent(sim, 60);
        if (survives) {
            make_durable(s, w, torn ? prng_below(&sim->prng, w->log.n) : w->log.n);
            survives = !torn;
        }
        list_remove(&w->link);
        free_write(w);
    }
    s->disk.busy_until_ms = 0;
    s->life++;
    raft_node_close(s->node);
    s->node = NULL;
    s->deadline_ms = UINT64_MAX;
    sim->options->machine->release(s->machine);
    s->machine = NULL;
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        sim->connection[s->id][i]++;
        sim->connection[i][s->id]++;
        sim->link_ms[s->id][i] = sim->link_ms[i][s->id] = 0; /* new frames may overtake old ones */
    }
}

static void disk_done(struct server *s)
{
    struct list *first = list_pop_front(&s->disk.writes);
    struct write *w = container_of(first, struct write, link);
    make_durable(s, w, w->log.n);
    if (w->kind == WRITE_VOTE) {
        s->vote = w->vote;
        s->term = max_u64(s->term, w->term);
    }
    uint64_t ticket = w->ticket;
    free_write(w);
    after(s, raft_node_written(s->node, s->sim->now_ms, ticket));
}

/* ---- what happens to them ---------------------------------------------------------------------*/

static struct server *some_leader(struct sim *sim)
{
    struct server *leader = NULL;
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        struct server *s = &sim->servers[i];
        if (s->node != NULL && raft_node_role(s->node)->leads &&
            (leader == NULL || percent(sim, 50))) {
            leader = s;
        }
    }
    return leader;
}

static void client(struct sim *sim)
{
    struct server *s = &sim->servers[between(sim, 1, sim->n_servers)];
    struct buf command = { 0 };
    uint64_t index;
    again_in(sim, EVENT_CLIENT, 1, 15);
    if (s->node != NULL) {
        for (uint64_t n = between(sim, 1, 4); n > 0 && sim->why[0] == '\0'; n--) {
            buf_clear(&command);
            sim->options->machine->command(s->machine, &sim->prng, ++sim->commands, &command);
            after(s, raft_node_submit(s->node, sim->now_ms, buf_bytes(&command), &index));
        }
    }
    buf_release(&command);
}

static void cut_links(struct sim *sim)
{
    unsigned n = sim->n_servers;
    sim->counts->partitions++;
    if (percent(sim, 60)) {
        uint64_t side = between(sim, 1, (1u << n) - 2);
        for (unsigned i = 1; i <= n; i++) {
            for (unsigned k = 1; k <= n; k++) {
                sim->blocked[i][k] |= (side >> (i - 1) & 1) != (side >> (k - 1) & 1);
            }
        }
    } else {
        sim->blocked[between(sim, 1, n)][between(sim, 1, n)] = true; /* one way */
    }
}

/* A new connection: frames sent from now on may overtake those that are on their way. */
static void reconnect(struct sim *sim)
{
    uint64_t a = between(sim, 1, sim->n_servers), b = between(sim, 1, sim->n_servers);
    struct server *s = &sim->servers[a];
    sim->connection[a][b]++;
    sim->connection[b][a]++;
    sim->link_ms[a][b] = sim->link_ms[b][a] = 0;
    if (s->node != NULL && a != b) {
        after(s, raft_node_peer_closed(s->node, sim->now_ms, b));
    }
}

static void nemesis(struct sim *sim)
{
    again_in(sim, EVENT_NEMESIS, 50, 700);
    bool calm = sim->now_ms >= sim->calm_ms;
    if (calm || percent(sim, 40)) {
        memset(sim->blocked, 0, sizeof sim->blocked);
    }
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        if (sim->servers[i].node == NULL && (calm || percent(sim, 50))) {
            start(&sim->servers[i]);
        }
    }
    if (calm) {
        return;
    }
    if (sim->options->crashes && percent(sim, 40)) {
        unsigned n = percent(sim, 15) ? sim->n_servers : 1;
        while (n-- > 0) {
            struct server *s = &sim->servers[between(sim, 1, sim->n_servers)];
            if (s->node != NULL) {
                crash(s);
                sim->counts->crashes++;
            }
        }
    }
    if (sim->options->partitions && percent(sim, 35)) {
        cut_links(sim);
    }
    if (sim->options->partitions && percent(sim, 30)) {
        reconnect(sim);
    }
}

/* ---- changes of the set of servers ------------------------------------------------------------*/

static size_t find_member(const struct raft_member *members, size_t n, uint64_t id)
{
    size_t i = 0;
    while (i < n && members[i].id != id) {
        i++;
    }
    return i;
}

static void propose(struct server *leader, const struct raft_member *members, size_t n)
{
    int error = raft_node_change(leader->node, leader->sim->now_ms, members, n);
    leader->sim->counts->changes += error == 0;
    after(leader, error);
}

static void add_or_promote(struct server *leader, struct raft_member *members, size_t n)
{
    static const char *const names[] = { "", "1", "2", "3", "4", "5", "6", "7", "8" };
    struct sim *sim = leader->sim;
    uint64_t id = between(sim, 1, sim->n_servers);
    size_t i = find_member(members, n, id);
    if (i == n) {
        members[n] = (struct raft_member){ .id = id, .address = names[id],
                                           .role = RAFT_MEMBER_SPARE };
        propose(leader, members, n + 1);
    } else if (members[i].role != RAFT_MEMBER_VOTER) {
        int error = raft_node_catch_up(leader->node, sim->now_ms, id);
        leader->catching_up = error == 0 ? id : 0;
        after(leader, error);
    }
}

static void demote_or_remove(struct server *leader, struct raft_member *members, size_t n)
{
    struct sim *sim = leader->sim;
    size_t i = between(sim, 0, n - 1);
    if (percent(sim, 50)) {
        members[i].role = percent(sim, 50) ? RAFT_MEMBER_STANDBY : RAFT_MEMBER_SPARE;
    } else {
        memmove(members + i, members + i + 1, (n - i - 1) * sizeof *members);
        n--;
    }
    propose(leader, members, n);
}

static void admin(struct sim *sim)
{
    struct raft_member members[RAFT_MEMBERS_MAX];
    struct server *leader = some_leader(sim);
    again_in(sim, EVENT_ADMIN, 50, 400);
    if (leader == NULL || sim->now_ms >= sim->calm_ms) {
        return;
    }
    if (sim->options->transfers && percent(sim, 8)) {
        uint64_t to = percent(sim, 50) ? 0 : between(sim, 1, sim->n_servers);
        int error = raft_node_transfer(leader->node, sim->now_ms, to);
        sim->counts->transfers += error == 0;
        after(leader, error);
        return;
    }
    if (!sim->options->changes) {
        return;
    }
    size_t n = raft_node_members(leader->node, members);
    if (leader->catching_up != 0) {
        size_t i = find_member(members, n, leader->catching_up);
        bool ready = i < n && raft_node_caught_up(leader->node, leader->catching_up);
        if (ready) {
            members[i].role = RAFT_MEMBER_VOTER;
            propose(leader, members, n);
        }
        leader->catching_up = ready || percent(sim, 20) ? 0 : leader->catching_up;
    } else if (percent(sim, 60)) {
        add_or_promote(leader, members, n);
    } else {
        demote_or_remove(leader, members, n);
    }
}

/* ---- a run ------------------------------------------------------------------------------------*/

static void frame_arrives(struct sim *sim, struct event *event)
{
    struct server *s = &sim->servers[event->to];
    if (s->node == NULL || sim->blocked[event->from][event->to]) {
        sim->counts->dropped++;
        return;
    }
    sim->counts->old_frames += event->connection < sim->connection[event->from][event->to];
    after(s, raft_node_receive(s->node, sim->now_ms, event->from, event->connection,
                               buf_bytes(&event->frame)));
}

static void handle(struct sim *sim, struct event *event)
{
    struct server *s = &sim->servers[event->to];
    switch (event->kind) {
    case EVENT_FRAME:
        frame_arrives(sim, event);
        break;
    case EVENT_DISK:
        if (event->life == s->life && s->node != NULL) {
            disk_done(s);
        }
        break;
    case EVENT_CLIENT:
        client(sim);
        break;
    case EVENT_NEMESIS:
        nemesis(sim);
        break;
    case EVENT_ADMIN:
        admin(sim);
        break;
    }
}

static void free_event(struct event *event)
{
    buf_release(&event->frame);
    free(event);
}

/* The next thing that happens: a tick that is due, or an event. */
static void turn(struct sim *sim)
{
    struct server *next = NULL;
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        struct server *s = &sim->servers[i];
        if (s->node != NULL && (next == NULL || s->deadline_ms < next->deadline_ms)) {
            next = s;
        }
    }
    struct heap_node *first = heap_min(&sim->events);
    if (next != NULL && next->deadline_ms <= first->key) {
        uint64_t before = next->deadline_ms;
        sim->now_ms = max_u64(sim->now_ms, before);
        after(next, raft_node_tick(next->node, sim->now_ms));
        if (next->node != NULL && next->deadline_ms <= sim->now_ms) {
            violated(sim, "server %llu spins on its deadline", U(next->id));
        }
        return;
    }
    struct event *event = container_of(first, struct event, node);
    heap_remove(&sim->events, first);
    sim->now_ms = max_u64(sim->now_ms, first->key);
    handle(sim, event);
    free_event(event);
}

static void set_up(struct sim *sim, const struct sim_options *options, uint64_t seed,
                   struct sim_counts *counts, char *why)
{
    static const char *const names[] = { "", "1", "2", "3", "4", "5", "6", "7", "8" };
    struct raft_member members[SERVERS_MAX];
    struct buf first = { 0 };
    *sim = (struct sim){ .options = options, .counts = counts, .why = why, .now_ms = 1000,
                         .n_servers = options->voters + options->spares };
    why[0] = '\0';
    sim->end_ms = sim->now_ms + options->duration_ms;
    sim->calm_ms = sim->now_ms + options->duration_ms * UINT64_C(6) / 10;
    sim->leader_of_term = mem_zalloc_array(TERMS_MAX, sizeof *sim->leader_of_term);
    sim->committed = mem_zalloc_array(INDEXES_MAX, sizeof *sim->committed);
    sim->state_at = mem_zalloc_array(INDEXES_MAX, sizeof *sim->state_at);
    sim->pairs = mem_zalloc_array(PAIRS, sizeof *sim->pairs);
    prng_init(&sim->prng, seed);
    heap_init(&sim->events);
    for (unsigned i = 0; i < options->voters; i++) {
        members[i] = (struct raft_member){ .id = i + 1, .address = names[i + 1],
                                           .role = RAFT_MEMBER_VOTER };
    }
    raft_node_bootstrap(members, options->voters, &first);
    struct blob *data = blob_new(first.len);
    memcpy(data->data, first.data, first.len);
    buf_release(&first);
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        struct server *s = &sim->servers[i];
        s->sim = sim;
        s->id = i;
        s->disk.log.first = 1;
        list_init(&s->disk.writes);
        if (i <= options->voters) {
            s->disk.term = 1;
            log_append(&s->disk.log, 1, RAFT_ENTRY_MEMBERS, data);
        }
        start(s);
    }
    blob_unref(data);
}

static void tear_down(struct sim *sim)
{
    for (unsigned i = 1; i <= sim->n_servers; i++) {
        struct server *s = &sim->servers[i];
        if (s->node != NULL) {
            crash(s);
        }
        snapshot_release(&s->disk.snapshot);
        log_release(&s->disk.log);
        log_release(&s->log);
    }
    struct heap_node *node;
    while ((node = heap_min(&sim->events)) != NULL) {
        heap_remove(&sim->events, node);
        free_event(container_of(node, struct event, node));
    }
    heap_release(&sim->events);
    free(sim->leader_of_term);
    free(sim->committed);
    free(sim->state_at);
    free(sim->pairs);
}

bool sim_run(const struct sim_options *options, uint64_t seed, struct sim_counts *counts,
             char why[256])
{
    struct sim *sim = mem_alloc(sizeof *sim);
    uint64_t committed_before = 0;
    set_up(sim, options, seed, counts, why);
    again_in(sim, EVENT_CLIENT, 50, 50);
    again_in(sim, EVENT_NEMESIS, 500, 500);
    again_in(sim, EVENT_ADMIN, 300, 300);
    /* Late frames can cost an election even in the calm part: a group that is merely unlucky gets
     * as much time again. */
    while ((sim->now_ms < sim->end_ms || sim->committed_last <= committed_before) &&
           sim->now_ms < sim->end_ms + options->duration_ms && why[0] == '\0') {
        turn(sim);
        if (committed_before == 0 && sim->now_ms > sim->end_ms - options->duration_ms / 8) {
            committed_before = sim->committed_last;
        }
    }
    if (why[0] == '\0') {
        check_progress(sim, some_leader(sim), committed_before);
    }
    tear_down(sim);
    free(sim);
    return why[0] == '\0';
}

uint64_t sim_failover(const struct sim_options *options, uint64_t seed, bool hint)
{
    struct sim *sim = mem_alloc(sizeof *sim);
    struct sim_counts counts = { 0 };
    char why[256];
    uint64_t killed_ms = 0, found_ms = 0;
    set_up(sim, options, seed, &counts, why);
    again_in(sim, EVENT_CLIENT, 50, 50);
    uint64_t kill_ms = sim->now_ms + between(sim, 5000, 6000);
    while (sim->now_ms < kill_ms + 20000 && found_ms == 0 && why[0] == '\0') {
        struct server *leader = some_leader(sim);
        if (killed_ms != 0 && leader != NULL) {
            found_ms = sim->now_ms;
        } else if (killed_ms == 0 && sim->now_ms >= kill_ms && leader != NULL) {
            uint64_t id = leader->id;
            crash(leader);
            killed_ms = sim->now_ms;
            for (unsigned i = 1; hint && i <= sim->n_servers; i++) {
                struct server *s = &sim->servers[i];
                if (s->node != NULL) {
                    after(s, raft_node_peer_closed(s->node, sim->now_ms, id));
                }
            }
        }
        turn(sim);
    }
    tear_down(sim);
    free(sim);
    return found_ms == 0 ? 0 : max_u64(found_ms - killed_ms, 1);
}
