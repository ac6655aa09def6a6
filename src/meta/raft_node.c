/* The public calls of a Raft replica.
 *
 * Whatever happens becomes an input; inputs are worked off in order, each with one step of
 * libraft's core and what follows from it (raft_step.c). While a vote is on its way to the disk
 * nothing is stepped: inputs wait in the queue, and messages that depend on the vote wait as
 * parcels. Ticks are not queued: the deadline is simply far away meanwhile, and near again
 * afterwards. */
#include "raft_private.h"

#include <errno.h>

enum { INSTALL_TIMEOUT_MS = 1000, CATCH_UP_ROUND_MS = 2000, HINT_ROUNDS = 12 };

static void trace_nothing(struct raft_tracer *tracer, int type, const void *info)
{
    (void)tracer, (void)type, (void)info;
}

/* ---- opening and closing ----------------------------------------------------------------------*/

static void default_to(unsigned *value, unsigned otherwise)
{
    *value = *value ? *value : otherwise;
}

static void default_to_u64(uint64_t *value, uint64_t otherwise)
{
    *value = *value ? *value : otherwise;
}

static void configure(struct raft_node *node, const struct raft_node_config *config)
{
    struct raft_node_config *c = &node->config;
    *c = *config;
    default_to(&c->election_ms, 200);
    default_to(&c->heartbeat_ms, 40);
    default_to(&c->hint_ms, 30);
    default_to(&c->inflight_max, 64);
    c->frame_bytes_max = c->frame_bytes_max ? c->frame_bytes_max : MIB(1);
    default_to_u64(&c->snapshot_entries, 1024);
    default_to_u64(&c->snapshot_bytes, MIB(4));
    default_to_u64(&c->trailing, 256);
}

static void init_core(struct raft_node *node)
{
    struct raft *core = &node->raft;
    check(raft_init(core, NULL, NULL, node->config.id, node->address) == 0);
    node->tracer = (struct raft_tracer){ .impl = node, .version = 2, .emit = trace_nothing };
    core->tracer = &node->tracer;
    raft_seed(core, (unsigned)prng_u64(&node->prng));
    raft_set_election_timeout(core, node->config.election_ms);
    raft_set_heartbeat_timeout(core, node->config.heartbeat_ms);
    raft_set_install_snapshot_timeout(core, INSTALL_TIMEOUT_MS);
    raft_set_max_catch_up_round_duration(core, CATCH_UP_ROUND_MS);
    raft_set_max_inflight_entries(core, node->config.inflight_max);
    raft_set_pre_vote(core, true);
}

static void load_snapshot(struct raft_node *node, const struct raft_image *image,
                          struct raft_snapshot_metadata *metadata)
{
    struct raft_kept *s = &node->snapshot;
    s->index = image->index;
    s->term = image->term;
    s->members_index = image->members_index;
    buf_put(&s->members, image->members.data, image->members.len);
    buf_put(&s->data, image->data.data, image->data.len);
    node->applied = s->index;
    node->members_index = s->members_index;
    buf_put(&node->members, image->members.data, image->members.len);
    *metadata = (struct raft_snapshot_metadata){ .index = s->index, .term = s->term,
                                                 .configuration_index = s->members_index };
    raft_members_decode(image->members, &metadata->configuration);
    node->host->restore(node->host_arg, image);
}

/* What is on disk must be a state that a replica can be in. */
static bool disk_state_valid(const struct raft_disk_state *disk)
{
    const struct raft_image *s = disk->snapshot;
    uint64_t below = s ? s->term : 0;
    if (disk->term == 0) {
        return s == NULL && disk->n_items == 0;
    }
    if (s != NULL && (s->index == 0 || s->term == 0 || disk->first > s->index + 1 ||
                      (disk->n_items > 0 && disk->first + disk->n_items <= s->index) ||
                      !raft_members_valid(s->members))) {
        return false;
    }
    if (s == NULL && disk->n_items > 0 &&
        (disk->first != 1 || disk->items[0].kind != RAFT_ENTRY_MEMBERS)) {
        return false;
    }
    for (size_t i = 0; i < disk->n_items; i++) {
        const struct raft_item *e = &disk->items[i];
        if (e->term == 0 || e->term > disk->term || (i > 0 && e->term < disk->items[i - 1].term) ||
            (s != NULL && disk->first + i > s->index && e->term < below) ||
            (e->kind == RAFT_ENTRY_MEMBERS && !raft_members_valid(e->data))) {
            return false;
        }
    }
    return true;
}

static int start_core(struct raft_node *node, const struct raft_disk_state *disk)
{
    struct raft_event event = { .type = RAFT_START };
    struct raft_snapshot_metadata metadata;
    struct raft_entry *entries = mem_zalloc_array(disk->n_items, sizeof *entries);

    raft_cache_init(&node->cache, disk->n_items > 0   ? disk->first
                                  : disk->snapshot    ? disk->snapshot->index + 1
                                                      : 1);
    for (size_t i = 0; i < disk->n_items; i++) {
        const struct raft_item *e = &disk->items[i];
        raft_cache_append(&node->cache, e->term, e->kind, e->data);
        entries[i] = (struct raft_entry){
            .term = e->term, .type = (enum raft_entry_type)e->kind,
            .buf = { .base = (void *)(uintptr_t)e->data.data, .len = e->data.len } };
    }
    event.start.term = disk->term;
    event.start.voted_for = disk->vote;
    event.start.start_index = node->cache.first;
    event.start.entries = entries;
    event.start.n_entries = (unsigned)disk->n_items;
    if (disk->snapshot != NULL) {
        load_snapshot(node, disk->snapshot, &metadata);
        event.start.metadata = &metadata;
    }
    int error = raft_node_step(node, &event);
    if (error == 0) {
        free(entries); /* after an error the core has done it */
    }
    return error;
}

int raft_node_open(const struct raft_node_config *config, const struct raft_host *host,
                   void *host_arg, const struct raft_disk_state *disk, uint64_t now_ms,
                   struct raft_node **ret_node)
{
    if (!disk_state_valid(disk)) {
        return -EBADMSG;
    }
    struct raft_node *node = mem_zalloc(sizeof *node);
    node->host = host;
    node->host_arg = host_arg;
    node->now_ms = now_ms;
    node->address = mem_strdup(config->address ? config->address : "");
    list_init(&node->writes);
    list_init(&node->inputs);
    list_init(&node->parcels);
    prng_init(&node->prng, config->seed);
    configure(node, config);
    init_core(node);
    int error = start_core(node, disk);
    if (error == 0) {
        error = raft_node_settle(node);
    }
    if (error != 0) {
        raft_node_close(node);
        return error;
    }
    *ret_node = node;
    return 0;
}

static void free_input(struct raft_input *input)
{
    if (input->kind == RAFT_INPUT_MESSAGE) {
        raft_message_release(&input->message);
    }
    free(input);
}

void raft_node_close(struct raft_node *node)
{
    if (node == NULL) {
        return;
    }
    list_each (it, &node->inputs) {
        free_input(container_of(it, struct raft_input, link));
    }
    list_each (it, &node->parcels) {
        struct raft_parcel *parcel = container_of(it, struct raft_parcel, link);
        chain_release(&parcel->frame);
        free(parcel);
    }
    list_each (it, &node->writes) {
        struct raft_write *write = container_of(it, struct raft_write, link);
        buf_release(&write->taken.members);
        buf_release(&write->taken.data);
        free(write);
    }
    raft_close(&node->raft, NULL);
    raft_cache_release(&node->cache);
    buf_release(&node->snapshot.members);
    buf_release(&node->snapshot.data);
    buf_release(&node->members);
    free(node->peers);
    free(node->address);
    free(node);
}

/* ---- inputs -----------------------------------------------------------------------------------*/

/* Works off the queue until it is empty or a vote has to be written first. */
static int work(struct raft_node *node)
{
    int error = raft_node_settle(node);
    while (error == 0 && node->vote_ticket == 0 && !list_empty(&node->inputs)) {
        struct raft_input *input =
            container_of(list_pop_front(&node->inputs), struct raft_input, link);
        error = input->kind == RAFT_INPUT_MESSAGE ? raft_deliver(node, &input->message)
                                                  : raft_node_write_done(node, input->ticket);
        free(input);
        if (error == 0) {
            error = raft_node_settle(node);
        }
    }
    return error;
}

static int begin(struct raft_node *node, uint64_t now_ms)
{
    node->now_ms = max_u64(node->now_ms, now_ms);
    return node->fault[0] != '\0' ? -ENOTRECOVERABLE : 0;
}

int raft_node_receive(struct raft_node *node, uint64_t now_ms, uint64_t peer, uint64_t connection,
                      struct bytes frame)
{
    struct raft_message message;
    int error = begin(node, now_ms);
    if (error == 0) {
        error = raft_frame_parse(frame, &message);
    }
    if (error != 0) {
        return error;
    }
    struct raft_peer *p = raft_peer(node, peer);
    if (connection < p->connection || peer == node->config.id) {
        raft_message_release(&message);
        return 0;
    }
    p->connection = connection;
    message.server_id = peer;
    if (message.type == RAFT_REQUEST_VOTE) {
        message.request_vote.candidate_id = peer;
    }
    raft_queue_message(node, &message);
    return work(node);
}

int raft_node_written(struct raft_node *node, uint64_t now_ms, uint64_t ticket)
{
    int error = begin(node, now_ms);
    if (error != 0) {
        return error;
    }
    if (ticket == node->vote_ticket) {
        node->vote_ticket = 0;
        raft_node_send_parcels(node);
    } else {
        struct raft_input *input = mem_zalloc(sizeof *input);
        input->kind = RAFT_INPUT_WRITTEN;
        input->ticket = ticket;
        list_push_back(&node->inputs, &input->link);
    }
    return work(node);
}

/* ---- time -------------------------------------------------------------------------------------*/

/* A group of one has nobody to hear from and nobody to tell: its leader needs no clock. */
static bool is_alone(const struct raft_node *node)
{
    return node->role.leads && node->raft.configuration.n == 1;
}

uint64_t raft_node_deadline(const struct raft_node *node)
{
    if (node->vote_ticket != 0 || node->fault[0] != '\0' || is_alone(node)) {
        return UINT64_MAX;
    }
    uint64_t at = max_u64(raft_timeout(&node->raft), node->tick_from_ms);
    return node->hint_until_ms ? min_u64(at, node->hint_until_ms) : at;
}

void raft_node_end_hint(struct raft_node *node)
{
    if (node->hint_until_ms != 0) {
        node->hint_until_ms = 0;
        raft_set_election_timeout(&node->raft, node->config.election_ms);
    }
}

int raft_node_tick(struct raft_node *node, uint64_t now_ms)
{
    int error = begin(node, now_ms);
    if (error != 0 || node->vote_ticket != 0) {
        return error;
    }
    if (node->hint_until_ms != 0 && node->now_ms >= node->hint_until_ms) {
        raft_node_end_hint(node);
    }
    if (node->now_ms >= max_u64(raft_timeout(&node->raft), node->tick_from_ms)) {
        struct raft_event event = { .type = RAFT_TIMEOUT };
        error = raft_node_step(node, &event);
    }
    return error == 0 ? work(node) : error;
}

int raft_node_peer_closed(struct raft_node *node, uint64_t now_ms, uint64_t peer)
{
    int error = begin(node, now_ms);
    if (error != 0) {
        return error;
    }
    raft_peer(node, peer)->snapshot_index = 0;
    if (!node->role.leads && node->role.leader == peer) {
        raft_set_election_timeout(&node->raft, node->config.hint_ms);
        node->tick_from_ms = node->now_ms + prng_below(&node->prng, node->config.hint_ms);
        node->hint_until_ms = node->now_ms + (uint64_t)HINT_ROUNDS * node->config.hint_ms;
    }
    return 0;
}

/* ---- asking -----------------------------------------------------------------------------------*/

int raft_node_submit(struct raft_node *node, uint64_t now_ms, struct bytes data,
                     uint64_t *ret_index)
{
    int error = begin(node, now_ms);
    if (error != 0) {
        return error;
    }
    if (node->vote_ticket != 0 || !node->role.leads) {
        return -EAGAIN;
    }
    error = raft_node_append(node, RAFT_ENTRY_COMMAND, data);
    if (error != 0) {
        return error;
    }
    *ret_index = raft_cache_last(&node->cache);
    return raft_node_settle(node);
}

int raft_node_transfer(struct raft_node *node, uint64_t now_ms, uint64_t to)
{
    int error = begin(node, now_ms);
    if (error != 0) {
        return error;
    }
    if (node->vote_ticket != 0 || !node->role.leads || raft_transferee(&node->raft) != 0) {
        return -EAGAIN;
    }
    struct raft_event event = { .type = RAFT_TRANSFER, .transfer = { .server_id = to } };
    error = raft_node_step(node, &event);
    return error > 0 ? -EINVAL : error == 0 ? raft_node_settle(node) : error;
}

/* The core checks nothing here: it would write into the wrong state when this node does not
 * lead. */
int raft_node_catch_up(struct raft_node *node, uint64_t now_ms, uint64_t id)
{
    int error = begin(node, now_ms);
    if (error != 0) {
        return error;
    }
    if (node->vote_ticket != 0 || !node->role.leads || raft_transferee(&node->raft) != 0 ||
        node->raft.leader_state.promotee_id != 0 ||
        node->raft.configuration_uncommitted_index != 0) {
        return -EAGAIN;
    }
    const struct raft_configuration *set = &node->raft.configuration;
    for (unsigned i = 0; i < set->n; i++) {
        if (set->servers[i].id == id && set->servers[i].role != RAFT_VOTER) {
            struct raft_event event = { .type = RAFT_CATCH_UP, .catch_up = { .server_id = id } };
            error = raft_node_step(node, &event);
            return error == 0 ? raft_node_settle(node) : error;
        }
    }
    return -EINVAL;
}

bool raft_node_caught_up(const struct raft_node *node, uint64_t id)
{
    int status = RAFT_CATCH_UP_NONE;
    return raft_catch_up(&node->raft, id, &status) == 0 && status == RAFT_CATCH_UP_FINISHED;
}

/* ---- what it knows ----------------------------------------------------------------------------*/

const char *raft_node_fault(const struct raft_node *node)
{
    return node->fault;
}

const struct raft_role *raft_node_role(const struct raft_node *node)
{
    return &node->role;
}

uint64_t raft_node_term(const struct raft_node *node)
{
    return raft_current_term(&node->raft);
}

uint64_t raft_node_applied(const struct raft_node *node)
{
    return node->applied;
}

uint64_t raft_node_committed(const struct raft_node *node)
{
    return raft_commit_index(&node->raft);
}

uint64_t raft_node_first(const struct raft_node *node)
{
    return node->cache.first;
}

uint64_t raft_node_last(const struct raft_node *node)
{
    return raft_cache_last(&node->cache);
}

uint64_t raft_node_stored(const struct raft_node *node)
{
    return node->raft.last_stored;
}

uint64_t raft_node_snapshot_index(const struct raft_node *node)
{
    return node->snapshot.index;
}

uint64_t raft_node_term_of(const struct raft_node *node, uint64_t index)
{
    const struct raft_cached *cached = raft_cache_find(&node->cache, index);
    return cached != NULL                 ? cached->term
           : index == node->snapshot.index ? node->snapshot.term
                                           : 0;
}

uint64_t raft_node_match(const struct raft_node *node, uint64_t id)
{
    raft_index match = 0;
    return raft_match_index(&node->raft, id, &match) == 0 ? match : 0;
}
