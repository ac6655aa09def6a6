/* What must hold in every run: the invariants of Raft. See raft_sim.h. */
#include "raft_sim_private.h"

#include <stdarg.h>
#include <stdio.h>

void violated(struct sim *sim, const char *fmt, ...)
{
    if (sim->why[0] == '\0') {
        va_list ap;
        va_start(ap, fmt);
        int n = snprintf(sim->why, 256, "t=%llu: ", (unsigned long long)sim->now_ms);
        vsnprintf(sim->why + n, 256 - (size_t)n, fmt, ap);
        va_end(ap);
    }
}

static uint64_t entry_hash(const struct entry *e)
{
    return hash_bytes((uint64_t)e->kind, e->data->data, e->data->len);
}

/* Index and term determine the entry and the term before it. */
void check_new_entry(struct server *s, uint64_t index, uint64_t term_before)
{
    const struct entry *e = log_find(&s->log, index);
    struct pair *pairs = s->sim->pairs;
    size_t place = (size_t)(hash_u64(index, e->term) % PAIRS);
    while (pairs[place].index != 0 &&
           (pairs[place].index != index || pairs[place].term != e->term)) {
        place = (place + 1) % PAIRS;
    }
    struct pair *p = &pairs[place];
    if (p->index == 0) {
        *p = (struct pair){ index, e->term, term_before, entry_hash(e) };
    } else if (p->hash != entry_hash(e) ||
               (p->term_before && term_before && p->term_before != term_before)) {
        violated(s->sim, "log matching: server %llu has another entry %llu of term %llu", U(s->id),
                 U(index), U(e->term));
    }
}

static void check_leader(struct server *s)
{
    struct sim *sim = s->sim;
    const struct raft_role *role = raft_node_role(s->node);
    if (!role->leads) {
        s->led_term = 0;
        return;
    }
    if (s->led_term == role->term) {
        return;
    }
    s->led_term = role->term;
    uint64_t *leader = &sim->leader_of_term[role->term];
    if (*leader != 0 && *leader != s->id) {
        violated(sim, "election safety: servers %llu and %llu lead term %llu", U(*leader), U(s->id),
                 U(role->term));
    }
    *leader = s->id;
    sim->counts->elections++;
    for (uint64_t i = 1; i <= sim->committed_last; i++) {
        uint64_t term = raft_node_term_of(s->node, i);
        bool has = term != 0 ? term == sim->committed[i].term
                             : i <= raft_node_snapshot_index(s->node);
        if (sim->committed[i].seen_in_term < role->term && !has) {
            violated(sim, "leader completeness: leader %llu of term %llu lacks entry %llu",
                     U(s->id), U(role->term), U(i));
        }
    }
}

static void check_committed(struct server *s)
{
    struct sim *sim = s->sim;
    uint64_t committed = raft_node_committed(s->node);
    if (committed < s->committed) {
        violated(sim, "the commit index of server %llu went back from %llu to %llu", U(s->id),
                 U(s->committed), U(committed));
    }
    for (uint64_t i = committed; i > 0; i--) {
        const struct entry *e = log_find(&s->log, i);
        struct committed *c = &sim->committed[i];
        if (e == NULL || (i <= s->committed && c->term != 0)) {
            break;
        }
        if (c->term == 0) {
            *c = (struct committed){ e->term, entry_hash(e), raft_node_term(s->node) };
            sim->committed_last = max_u64(sim->committed_last, i);
            sim->counts->committed++;
        } else if (c->term != e->term || c->hash != entry_hash(e)) {
            violated(sim, "state machine safety: server %llu commits another entry %llu", U(s->id),
                     U(i));
        }
    }
    s->committed = committed;
}

/* The set of servers in use is the last one of the log, committed or not. */
static void check_members(struct server *s)
{
    struct raft_member in_use[RAFT_MEMBERS_MAX];
    struct buf encoded = { 0 };
    for (uint64_t i = log_last(&s->log); i >= s->log.first && s->log.n > 0; i--) {
        const struct entry *e = log_find(&s->log, i);
        if (e != NULL && e->kind == RAFT_ENTRY_MEMBERS) {
            raft_node_bootstrap(in_use, raft_node_members(s->node, in_use), &encoded);
            if (!bytes_equal(buf_bytes(&encoded), bytes_of(e->data->data, e->data->len))) {
                violated(s->sim, "server %llu does not use the servers of entry %llu", U(s->id),
                         U(i));
            }
            break;
        }
    }
    buf_release(&encoded);
}

void check_server(struct server *s)
{
    struct sim *sim = s->sim;
    uint64_t term = raft_node_term(s->node);
    if (term < s->term) {
        violated(sim, "the term of server %llu went back", U(s->id));
    }
    s->term = term;
    if (term + 10 > TERMS_MAX || log_last(&s->log) + 100 > INDEXES_MAX) {
        violated(sim, "the run is too long for this simulator");
        return;
    }
    check_leader(s);
    check_committed(s);
    check_members(s);
}

void check_state(struct server *s)
{
    uint64_t hash = s->sim->options->machine->hash(s->machine);
    uint64_t *known = &s->sim->state_at[s->applied];
    if (*known == 0) {
        *known = hash;
    } else if (*known != hash) {
        violated(s->sim, "state machine safety: server %llu has another state at %llu", U(s->id),
                 U(s->applied));
    }
}

void check_progress(struct sim *sim, const struct server *leader, uint64_t committed_before)
{
    struct raft_member members[RAFT_MEMBERS_MAX];
    if (sim->committed_last <= committed_before) {
        violated(sim, "nothing was committed after everything had healed");
    }
    if (leader == NULL) {
        return; /* an election, after a late frame */
    }
    size_t n = raft_node_members(leader->node, members);
    for (size_t i = 0; i < n; i++) {
        struct server *s = &sim->servers[members[i].id];
        if (members[i].role != RAFT_MEMBER_SPARE && s->applied < committed_before) {
            violated(sim, "server %llu is stuck at %llu, while %llu was committed long ago",
                     U(s->id), U(s->applied), U(committed_before));
        }
    }
}
