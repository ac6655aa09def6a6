/* Messages from peers, and what is done to them before the core sees them. The numbers are those of
 * docs/decisions/raft.md, which says what happens without each rule.
 *
 *   rule 1  an AppendEntries is split so that a set of servers is always its first entry
 *   rule 2  a second set of servers on top of one that the core still holds to be uncommitted: the
 *           first is committed, and the core is told so before
 *   rule 3  the leader's commit index is clamped to the last entry of the message, and nothing is
 *   ever
 *           applied by the core's word alone
 *   rule 5  a message that begins below our snapshot is moved up to it: what lies below is
 *   committed
 *           here
 *   rule 8  frames of an older connection are dropped (raft_node.c); a snapshot that arrives while
 *   one
 *           is being installed is dropped
 *
 * The core frees the entries' memory, or hands it back as an update; the array is always ours. */
#include "raft_private.h"

#include <errno.h>

/* ---- rule 1 -----------------------------------------------------------------------------------*/

/* Takes the first `n` entries out of a message, into one of their own. */
static struct raft_message split_off(struct raft_append_entries *from, unsigned n,
                                     const struct raft_message *whole)
{
    struct raft_message head = *whole;
    struct raft_append_entries *to = &head.append_entries;
    size_t len = 0;

    to->n_entries = n;
    for (unsigned i = 0; i < n; i++) {
        len += from->entries[i].buf.len;
    }
    uint8_t *batch = raft_malloc(len + 1);
    to->entries = raft_malloc(n * sizeof *to->entries);
    check(batch != NULL && to->entries != NULL);
    len = 0;
    for (unsigned i = 0; i < n; i++) {
        to->entries[i] = from->entries[i];
        to->entries[i].batch = batch;
        to->entries[i].buf.base = batch + len;
        memcpy(batch + len, from->entries[i].buf.base, from->entries[i].buf.len);
        len += from->entries[i].buf.len;
    }
    from->prev_log_index += n;
    from->prev_log_term = from->entries[n - 1].term;
    from->n_entries -= n;
    memmove(from->entries, from->entries + n, from->n_entries * sizeof *from->entries);
    return head;
}

static void queue_input(struct raft_node *node, const struct raft_message *message)
{
    struct raft_input *input = mem_zalloc(sizeof *input);
    input->kind = RAFT_INPUT_MESSAGE;
    input->message = *message;
    list_push_back(&node->inputs, &input->link);
}

void raft_queue_message(struct raft_node *node, struct raft_message *message)
{
    struct raft_append_entries *m = &message->append_entries;
    for (unsigned i = 1; message->type == RAFT_APPEND_ENTRIES && i < m->n_entries;) {
        if (m->entries[i].type != RAFT_CHANGE) {
            i++;
            continue;
        }
        struct raft_message head = split_off(m, i, message);
        queue_input(node, &head);
        i = 1;
    }
    queue_input(node, message);
}

/* ---- rules 2, 3, 5 ----------------------------------------------------------------------------*/

/* Rule 5. `batch` is the entries' memory: freed here when no entry is left, since the core frees it
 * with the first entry. */
static void skip_compacted(struct raft_node *node, struct raft_append_entries *m, void *batch)
{
    const struct raft_kept *s = &node->snapshot;
    bool compacted = m->prev_log_index < s->index &&
                     (m->prev_log_index > 0 || node->cache.first > 1) &&
                     raft_cache_find(&node->cache, m->prev_log_index) == NULL;
    if (node->installing || !compacted) {
        return;
    }
    uint64_t skip = s->index - m->prev_log_index;
    if (skip >= m->n_entries) {
        raft_free(batch);
        m->n_entries = 0;
    } else {
        m->entries += skip;
        m->n_entries -= (unsigned)skip;
    }
    m->prev_log_index = s->index;
    m->prev_log_term = s->term;
}

/* Rule 2. */
static int settle_members(struct raft_node *node, const struct raft_append_entries *m)
{
    uint64_t open = node->raft.configuration_uncommitted_index;
    bool second = m->n_entries > 0 && m->entries[0].type == RAFT_CHANGE && open > 0 &&
                  open <= m->prev_log_index && !node->installing &&
                  raft_state(&node->raft) == RAFT_FOLLOWER &&
                  raft_node_term_of(node, m->prev_log_index) == m->prev_log_term;
    const struct raft_cached *first = second ? raft_cache_find(&node->cache, open) : NULL;
    if (first == NULL || first->kind != RAFT_ENTRY_MEMBERS) {
        return 0;
    }
    struct raft_event event = { .type = RAFT_CONFIGURATION, .configuration = { .index = open } };
    raft_members_decode(bytes_of(first->data, first->len), &event.configuration.conf);
    return raft_node_step(node, &event);
}

/* Rule 3. */
static void clamp_commit(struct raft_append_entries *m)
{
    m->leader_commit = min_u64(m->leader_commit, m->prev_log_index + m->n_entries);
}

static int deliver_append(struct raft_node *node, struct raft_message *message)
{
    struct raft_append_entries *m = &message->append_entries;
    struct raft_entry *array = m->entries;
    if (m->n_entries > 0) {
        skip_compacted(node, m, array[0].batch);
    } else {
        array = NULL;
        skip_compacted(node, m, NULL);
    }
    int error = settle_members(node, m);
    clamp_commit(m);
    struct raft_event event = { .type = RAFT_RECEIVE, .receive = { .message = message } };
    if (error == 0) {
        error = raft_node_step(node, &event);
    }
    raft_free(array);
    return error;
}

/* Two leaders of one term cannot be; the core takes it for granted. */
static bool claims_our_term(struct raft_node *node, uint64_t term)
{
    return raft_state(&node->raft) == RAFT_LEADER && term == raft_current_term(&node->raft);
}

/* The core would ask a union for what only candidates keep there, and by chance take over the term
 * of the reply. Whoever is not a candidate has no use for it. */
static bool is_late_vote(struct raft_node *node, const struct raft_message *message)
{
    return message->type == RAFT_REQUEST_VOTE_RESULT &&
           raft_state(&node->raft) != RAFT_CANDIDATE;
}

/* A snapshot of what is committed here, and is not our entry there: older than our own, or a
 * contradiction. The core would install it, and applied entries would be undone. */
static bool is_old_snapshot(const struct raft_node *node, const struct raft_message *message)
{
    const struct raft_install_snapshot *m = &message->install_snapshot;
    return message->type == RAFT_INSTALL_SNAPSHOT && m->last_index <= raft_node_committed(node) &&
           raft_node_term_of(node, m->last_index) != m->last_term;
}

int raft_deliver(struct raft_node *node, struct raft_message *message)
{
    uint64_t term = message->type == RAFT_APPEND_ENTRIES     ? message->append_entries.term
                    : message->type == RAFT_INSTALL_SNAPSHOT ? message->install_snapshot.term
                                                             : 0;
    bool superfluous = message->type == RAFT_INSTALL_SNAPSHOT && node->installing;
    if (superfluous || claims_our_term(node, term) || is_late_vote(node, message) ||
        is_old_snapshot(node, message)) {
        raft_message_release(message);
        return 0;
    }
    node->stale_sender = term != 0 && term < raft_current_term(&node->raft);
    int error;
    if (message->type == RAFT_APPEND_ENTRIES) {
        error = deliver_append(node, message);
    } else {
        struct raft_event event = { .type = RAFT_RECEIVE, .receive = { .message = message } };
        error = raft_node_step(node, &event);
    }
    node->stale_sender = false;
    return error;
}
