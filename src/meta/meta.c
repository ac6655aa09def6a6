/* The metadata of one node: a Raft replica on its own directory, and the image that it keeps.
 *
 * Opening: the directory is read in a job; a fresh one gets a vote and the entry that names the
 * group's voters. The only voter of its group begins each life with a new term and a vote for
 * itself, durable before the replica starts (rule 6 of docs/decisions/raft.md). Then the replica
 * runs: it asks for writes, which the store performs, and applies entries to the image.
 *
 * What can go wrong: a write that fails, an entry that cannot be understood, a replica that
 * contradicts itself. All of these end the process: a node that is not sure of its metadata must
 * not answer for it. */
#include "meta_private.h"

#include <chronik/base/states.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const struct state STATES[] = {
    [META_OPENING] = {
        .name = "opening",
        .next = STATE(META_STARTING) | STATE(META_RUNNING) | STATE(META_FAILED) |
                STATE(META_CLOSING),
        .initial = true,
    },
    [META_STARTING] = {
        .name = "starting",
        .next = STATE(META_RUNNING) | STATE(META_FAILED) | STATE(META_CLOSING),
    },
    [META_RUNNING] = { .name = "running", .next = STATE(META_FAILED) | STATE(META_CLOSING) },
    [META_FAILED] = { .name = "failed", .next = STATE(META_CLOSING) },
    [META_CLOSING] = { .name = "closing" },
};

static void move(struct meta *meta, enum meta_state state)
{
    state_move(STATES, &meta->state, state, meta);
}

void meta_fail(struct meta *meta, int error, const char *message)
{
    bool opened = meta->state == META_RUNNING;
    if (meta->state == META_FAILED || meta->state == META_CLOSING) {
        return;
    }
    move(meta, META_FAILED);
    timer_cancel(&meta->tick);
    if (opened) {
        meta->events->failed(meta->arg, error, message);
    } else {
        meta->events->opened(meta->arg, error, message);
    }
}

/* ---- what the replica wants done --------------------------------------------------------------*/

static void on_save_vote(void *host, uint64_t ticket, uint64_t term, uint64_t vote)
{
    struct meta *meta = host;
    raft_store_save_vote(meta->store, ticket, term, vote);
}

static void on_write_log(void *host, uint64_t ticket, uint64_t first, const struct raft_item *items,
                         size_t n)
{
    struct meta *meta = host;
    raft_store_write_log(meta->store, ticket, first, items, n);
}

static void on_write_snapshot(void *host, uint64_t ticket, const struct raft_image *snapshot,
                              uint64_t keep_from, bool install)
{
    struct meta *meta = host;
    diag_debug(meta->diag, DIAG_RAFT, "snapshot %s index=%" PRIu64 " bytes=%zu",
               install ? "from the controller" : "taken", snapshot->index, snapshot->data.len);
    raft_store_write_snapshot(meta->store, ticket, snapshot, keep_from, install);
}

static void on_send(void *host, uint64_t peer, struct chain *frame)
{
    meta_send_raft(host, (int32_t)peer, frame);
}

static void on_applied(void *arg, const struct command_id *id, struct apply_result result)
{
    struct meta *meta = arg;
    if (id->node == meta->node_id && uuid_equal(&id->incarnation, &meta->incarnation)) {
        meta_requests_applied(meta, id, result);
    }
}

static void entry_failed(struct meta *meta, uint64_t index, int error)
{
    char message[160];
    snprintf(message, sizeof message, "the metadata's entry %" PRIu64 " %s", index,
             error == -ENOTSUP
                 ? "was written by a newer version of chronikd: start that one on this node"
                 : "cannot be understood: this is a bug in chronikd, please report it");
    meta_fail(meta, error, message);
}

static void on_apply(void *host, uint64_t index, const struct raft_item *item)
{
    struct meta *meta = host;
    struct bytes entry = item->kind == RAFT_ENTRY_COMMAND ? item->data : bytes_of(NULL, 0);
    int error = image_apply(meta->image, index, entry, on_applied, meta);
    meta->entries_applied++;
    if (error != 0) {
        entry_failed(meta, index, error);
    }
    meta_controller_applied(meta, index);
}

static void on_take_snapshot(void *host, struct buf *to)
{
    struct meta *meta = host;
    image_encode(meta->image, to);
}

static void on_restore(void *host, const struct raft_image *snapshot)
{
    struct meta *meta = host;
    struct image *before = meta->image, *after;
    int error = image_decode(snapshot->data, &after);
    if (error != 0) {
        entry_failed(meta, snapshot->index, error);
        return;
    }
    meta->image = after;
    meta->controller.image = after;
    if (meta->caught_up) {
        image_compare(before, after, &meta->events->changes, meta->arg);
        image_listen(after, &meta->events->changes, meta->arg);
    }
    image_free(before);
    meta_requests_restored(meta);
}

static void on_role_changed(void *host, const struct raft_role *role)
{
    struct meta *meta = host;
    meta->role_changed = true;
    meta->role = *role;
}

static const struct raft_host HOST = {
    .save_vote = on_save_vote, .write_log = on_write_log, .write_snapshot = on_write_snapshot,
    .send = on_send, .apply = on_apply, .restore = on_restore,
    .take_snapshot = on_take_snapshot, .role_changed = on_role_changed,
};

/* ---- what follows -----------------------------------------------------------------------------*/

static void set_clock(struct meta *meta)
{
    uint64_t at_ms = raft_node_deadline(meta->node);
    if (at_ms == UINT64_MAX) {
        timer_cancel(&meta->tick);
    } else {
        timer_set_at(&meta->tick, at_ms * NS_PER_MS);
    }
}

void meta_after_raft(struct meta *meta, int error)
{
    if (error != 0 && error != -EAGAIN && error != -EINVAL && error != -EBADMSG) {
        meta_fail(meta, error, raft_node_fault(meta->node));
    }
    if (meta_runs(meta)) {
        set_clock(meta);
        loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
    }
}

static void ticked(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, tick);
    meta_after_raft(meta, raft_node_tick(meta->node, meta_now_ms(meta)));
}

static void take_role(struct meta *meta)
{
    int32_t before = meta->controller_known;
    meta->role_changed = false;
    meta_controller_role(meta);
    meta_liveness_role(meta);
    meta_controller_news(meta);
    if (meta->role.term != meta->term_known || meta_controller(meta) != before) {
        diag_debug(meta->diag, DIAG_RAFT, "controller node=%" PRId32 " term=%" PRIu64,
                   meta_controller(meta), meta->role.term);
        meta->term_known = meta->role.term;
        meta->controller_known = meta_controller(meta);
        meta_requests_renew(meta);
    }
    if (meta_controller(meta) != before) {
        meta->events->controller_changed(meta->arg, meta_controller(meta));
    }
}

/* Everything that follows from what has happened in this turn. */
static void work(struct loop_task *task)
{
    struct meta *meta = container_of(task, struct meta, work);
    if (!meta_runs(meta)) {
        return;
    }
    meta_requests_work(meta); /* what is complete is answered before the role's change counts */
    if (meta->role_changed && meta_runs(meta)) {
        take_role(meta);
        meta_requests_work(meta);
    }
    if (meta_runs(meta)) {
        meta_liveness_work(meta);
    }
    if (meta_runs(meta)) {
        meta_controller_work(meta);
        meta_requests_work(meta);
    }
}

/* ---- starting ---------------------------------------------------------------------------------*/

static void run(struct meta *meta)
{
    uint64_t seed;
    loop_random(meta->loop, &seed, sizeof seed);
    meta->raft_config.seed = seed;
    int error = raft_node_open(&meta->raft_config, &HOST, meta, &meta->disk, meta_now_ms(meta),
                               &meta->node);
    raft_store_forget_state(meta->store);
    if (error != 0) {
        meta_fail(meta, error, "the Raft directory holds a state that cannot be: this is a bug in "
                               "chronikd, please report it");
    }
    if (meta->state == META_FAILED) {
        return;
    }
    move(meta, META_RUNNING);
    diag_info(meta->diag, DIAG_ELECTOR, "active: elects while this node is the controller");
    meta_after_raft(meta, 0);
    meta->events->opened(meta->arg, 0, "");
}

/* The entry that every member of the group begins with. It names ids only: it must be the same on
 * all of them, and they may know each other under different addresses. */
static void make_first_entry(struct meta *meta)
{
    struct raft_member members[CONTROLLER_VOTERS_MAX];
    char names[CONTROLLER_VOTERS_MAX][12];
    for (unsigned i = 0; i < meta->n_peers; i++) {
        snprintf(names[i], sizeof names[i], "%" PRId32, meta->peers[i].id);
        members[i] = (struct raft_member){ .id = (uint64_t)meta->peers[i].id, .address = names[i],
                                           .role = RAFT_MEMBER_VOTER };
    }
    raft_node_bootstrap(members, meta->n_peers, &meta->first_entry);
    meta->first_item = (struct raft_item){ .term = 1, .kind = RAFT_ENTRY_MEMBERS,
                                           .data = buf_bytes(&meta->first_entry) };
}

/* A group that was formed with other voters is not the one that was asked for. */
static bool voters_fit(const struct meta *meta, const struct raft_disk_state *disk)
{
    struct bytes members = disk->snapshot ? disk->snapshot->members : bytes_of(NULL, 0);
    for (size_t i = 0; i < disk->n_items; i++) {
        if (disk->items[i].kind == RAFT_ENTRY_MEMBERS) {
            members = disk->items[i].data;
        }
    }
    return bytes_equal(members, buf_bytes(&meta->first_entry));
}

/* The directory is open: writes what must be durable before the replica may run. */
static void start(struct meta *meta)
{
    const struct raft_disk_state *found = &raft_store_state(meta->store)->disk;
    bool bootstrap = found->snapshot == NULL && found->n_items == 0;
    meta->disk = *found;
    make_first_entry(meta);
    if (bootstrap) {
        meta->disk.term = max_u64(found->term, 1);
        meta->disk.first = 1;
        meta->disk.items = &meta->first_item;
        meta->disk.n_items = 1;
    } else if (!voters_fit(meta, found)) {
        meta_fail(meta, -EINVAL, "the cluster was formed with other voters than the configuration "
                                 "names now: give controller.quorum.voters (--peers) as before");
        return;
    }
    bool sole = raft_node_is_sole_voter(&meta->disk, (uint64_t)meta->node_id);
    if (sole) {
        meta->disk.term++;
        meta->disk.vote = (uint64_t)meta->node_id;
    }
    if (!sole && !bootstrap) {
        run(meta);
        return;
    }
    move(meta, META_STARTING);
    raft_store_save_vote(meta->store, 1, meta->disk.term, meta->disk.vote);
    meta->starting_ticket = 1;
    if (bootstrap) {
        raft_store_write_log(meta->store, 2, 1, &meta->first_item, 1);
        meta->starting_ticket = 2;
    }
}

static void store_opened(void *arg, int error, const char *message)
{
    struct meta *meta = arg;
    if (meta->state == META_CLOSING) {
        return;
    }
    if (error != 0) {
        meta_fail(meta, error, message);
    } else {
        const struct raft_store_state *state = raft_store_state(meta->store);
        if (state->repaired > 0) {
            diag_warn(meta->diag, DIAG_RAFT,
                      "repaired what was damaged, the disk may be failing dir=%s copies=%" PRIu64,
                      meta->dir, state->repaired);
        }
        start(meta);
    }
}

static void store_written(void *arg, uint64_t ticket)
{
    struct meta *meta = arg;
    if (meta->state == META_STARTING && ticket == meta->starting_ticket) {
        run(meta);
    } else if (meta_runs(meta)) {
        meta_after_raft(meta, raft_node_written(meta->node, meta_now_ms(meta), ticket));
    }
}

static void store_failed(void *arg, int error, const char *message)
{
    meta_fail(arg, error, message);
}

static const struct raft_store_events STORE_EVENTS = {
    .opened = store_opened, .written = store_written, .failed = store_failed,
};

/* ---- opening and closing ----------------------------------------------------------------------*/

static void add_peer(struct meta *meta, int32_t id)
{
    unsigned at = meta->n_peers++;
    check(meta->n_peers <= CONTROLLER_VOTERS_MAX);
    for (; at > 0 && meta->peers[at - 1].id > id; at--) {
        meta->peers[at] = meta->peers[at - 1];
    }
    meta->peers[at] = (struct meta_peer){ .id = id, .caught_up_ms = -1 };
}

struct meta *meta_open(struct loop *loop, const char *dir, const struct meta_config *config,
                       const struct meta_events *events, void *arg)
{
    struct meta *meta = mem_zalloc(sizeof *meta);
    meta->loop = loop;
    meta->diag = config->diag;
    meta->events = events;
    meta->arg = arg;
    meta->dir = mem_strdup(dir);
    meta->cluster_id = mem_strdup(config->cluster_id ? config->cluster_id : "");
    meta->node_id = config->node_id;
    meta->incarnation = config->incarnation;
    meta->transport = config->transport;
    meta->transport_arg = config->transport_arg;
    for (unsigned i = 0; i < config->n_voters; i++) {
        add_peer(meta, config->voters[i].id);
    }
    meta->raft_config = (struct raft_node_config){
        .id = (uint64_t)config->node_id, .election_ms = config->election_ms,
        .heartbeat_ms = config->heartbeat_ms, .snapshot_entries = config->snapshot_entries };
    meta->controller_known = -1;
    meta->image = image_new();
    meta->hash = mem_zalloc(sizeof *meta->hash);
    timer_init(&meta->tick, loop, ticked);
    loop_task_init(&meta->work, work);
    meta_requests_init(meta);
    meta_controller_init(meta, config);
    meta_liveness_init(meta, config->session_ms);
    state_start(STATES, &meta->state, META_OPENING, meta);
    meta->store = raft_store_open(loop, dir, (uint64_t)config->node_id, &STORE_EVENTS, meta);
    return meta;
}

static void store_closed(void *arg)
{
    struct meta *meta = arg;
    meta->closed(meta->closed_arg);
}

void meta_close(struct meta *meta, void (*closed)(void *arg), void *arg)
{
    move(meta, META_CLOSING);
    meta->closed = closed;
    meta->closed_arg = arg;
    timer_cancel(&meta->tick);
    loop_task_cancel(&meta->work);
    meta_liveness_end(meta);
    meta_requests_end(meta);
    raft_store_close(meta->store, store_closed, meta);
}

void meta_free(struct meta *meta)
{
    if (meta == NULL) {
        return;
    }
    timer_cancel(&meta->tick);
    loop_task_cancel(&meta->work);
    meta_liveness_end(meta);
    meta_requests_end(meta);
    meta_controller_release(meta);
    raft_node_close(meta->node);
    raft_store_free(meta->store);
    image_free(meta->image);
    free(meta->hash);
    buf_release(&meta->first_entry);
    free(meta->cluster_id);
    free(meta->dir);
    free(meta);
}
