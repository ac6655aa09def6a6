/* The judge of groups: committed offsets, and who owns what.
 *
 * What is committed for a key is one register, and several may write it. An answer is too old when
 * every commit of that offset had ended before another one began that was acknowledged before the
 * question was asked. A commit that nobody acknowledged has not ended: it may come at any time.
 * Time is counted in operations. */
#include "judge_inside.h"

#include <inttypes.h>

static bool is_claim(const struct map_node *node, const void *key)
{
    const struct claim *a = container_of(node, struct claim, node), *b = key;
    return a->group == b->group && a->key == b->key;
}

static bool group_has_name(const struct map_node *node, const void *name)
{
    return text_is(*(const struct text *)name, container_of(node, struct group, node)->name);
}

unsigned judge_group(struct judge *judge, struct text name)
{
    uint64_t hash = hash_bytes(0, name.data, name.len);
    struct map_node *node = map_find(&judge->group_map, hash, group_has_name, &name);
    if (node != NULL) {
        return container_of(node, struct group, node)->index;
    }
    struct group *group = mem_zalloc(sizeof *group);
    group->name = text_dup(name);
    group->index = (unsigned)judge->n_groups;
    map_insert(&judge->group_map, &group->node, hash);
    judge->groups =
        mem_grow(judge->groups, &judge->cap_groups, judge->n_groups + 1, sizeof(struct group *));
    judge->groups[judge->n_groups++] = group;
    return group->index;
}

/* What a group knows of a key; made when it is asked for first: nothing is committed then. */
static struct claim *claim_of(struct judge *judge, unsigned group, unsigned key)
{
    struct claim wanted = { .group = group, .key = key };
    uint64_t hash = hash_u64(group, key);
    struct map_node *node = map_find(&judge->claim_map, hash, is_claim, &wanted);
    if (node != NULL) {
        return container_of(node, struct claim, node);
    }
    struct claim *claim = mem_dup(&wanted, sizeof wanted);
    claim->index = (unsigned)judge->n_claims;
    claim->commits = mem_grow(NULL, &claim->cap_commits, 1, sizeof *claim->commits);
    claim->commits[claim->n_commits++] = (struct commit){ .offset = -1 };
    map_insert(&judge->claim_map, &claim->node, hash);
    judge->claims =
        mem_grow(judge->claims, &judge->cap_claims, judge->n_claims + 1, sizeof(struct claim *));
    judge->claims[judge->n_claims++] = claim;
    return claim;
}

void judge_groups_release(struct judge *judge)
{
    for (size_t i = 0; i < judge->n_claims; i++) {
        free(judge->claims[i]->commits);
        free(judge->claims[i]->owners);
        free(judge->claims[i]);
    }
    for (size_t i = 0; i < judge->n_groups; i++) {
        free(judge->groups[i]->name);
        free(judge->groups[i]);
    }
    free(judge->claims);
    free(judge->groups);
    map_release(&judge->claim_map);
    map_release(&judge->group_map);
}

/* ---- commits ----------------------------------------------------------------------------------*/

/* The commits of an offset; the latest are asked for most. NULL: there is none. */
static struct commit *commit_of(const struct claim *claim, int64_t offset)
{
    for (size_t i = claim->n_commits; i > 0; i--) {
        if (claim->commits[i - 1].offset == offset) {
            return &claim->commits[i - 1];
        }
    }
    return NULL;
}

void judge_commit(struct judge *judge, unsigned process, unsigned group, unsigned key,
                  int64_t offset)
{
    struct claim *claim = claim_of(judge, group, key);
    struct commit *commit = commit_of(claim, offset);
    if (commit == NULL) {
        claim->commits = mem_grow(claim->commits, &claim->cap_commits, claim->n_commits + 1,
                                  sizeof *claim->commits);
        commit = &claim->commits[claim->n_commits++];
        *commit = (struct commit){ .offset = offset };
    }
    commit->n_open++;
    judge->processes[process]->commit_began = judge->n_operations;
}

void judge_committed(struct judge *judge, unsigned process, unsigned group, unsigned key,
                     int64_t offset)
{
    struct claim *claim = claim_of(judge, group, key);
    struct commit *commit = commit_of(claim, offset);
    if (commit == NULL || commit->n_open == 0) {
        judge_fault(judge, FAULT_UNCOMMITTED, judge->now_ns,
                    "group %s, key %" PRId64 ": %" PRId64 " is acknowledged, and was not asked for",
                    judge->groups[group]->name, judge->keys[key]->name, offset);
        return;
    }
    commit->n_open--;
    commit->done = judge->n_operations;
    claim->floor = max_u64(claim->floor, judge->processes[process]->commit_began);
}

/* ---- questions --------------------------------------------------------------------------------*/

/* What was acknowledged by now is the least that the answer may say. */
void judge_ask_committed(struct judge *judge, unsigned process)
{
    struct process *p = judge->processes[process];
    p->floors = mem_grow(p->floors, &p->cap_floors, judge->n_claims + 1, sizeof *p->floors);
    p->n_floors = judge->n_claims;
    for (size_t i = 0; i < judge->n_claims; i++) {
        p->floors[i] = judge->claims[i]->floor;
    }
}

void judge_told_committed(struct judge *judge, unsigned process, unsigned group, unsigned key,
                          int64_t offset)
{
    const struct process *p = judge->processes[process];
    const struct claim *claim = claim_of(judge, group, key);
    const struct commit *commit = commit_of(claim, offset);
    uint64_t floor = claim->index < p->n_floors ? p->floors[claim->index] : 0;
    if (commit == NULL) {
        judge_fault(judge, FAULT_UNCOMMITTED, judge->now_ns,
                    "group %s, key %" PRId64 ": %" PRId64 ", which nobody committed",
                    judge->groups[group]->name, judge->keys[key]->name, offset);
    } else if (commit->n_open == 0 && commit->done < floor) {
        judge_fault(judge, FAULT_REWOUND, judge->now_ns,
                    "group %s, key %" PRId64 ": process %" PRId64 " is told %" PRId64
                    ", which had been replaced",
                    judge->groups[group]->name, judge->keys[key]->name, p->name, offset);
    }
}

/* ---- owners -----------------------------------------------------------------------------------*/

void judge_own(struct judge *judge, unsigned process, unsigned group, int32_t generation,
               unsigned key)
{
    struct claim *claim = claim_of(judge, group, key);
    for (size_t i = claim->n_owners; i > 0; i--) {
        const struct owner *owner = &claim->owners[i - 1];
        if (owner->generation == generation) {
            if (owner->process != process) {
                judge_fault(judge, FAULT_SHARED, judge->now_ns,
                            "group %s, generation %" PRId32 ", key %" PRId64 ": processes %" PRId64
                            " and %" PRId64,
                            judge->groups[group]->name, generation, judge->keys[key]->name,
                            judge->processes[owner->process]->name,
                            judge->processes[process]->name);
            }
            return;
        }
    }
    claim->owners = mem_grow(claim->owners, &claim->cap_owners, claim->n_owners + 1,
                             sizeof *claim->owners);
    claim->owners[claim->n_owners++] = (struct owner){ generation, process };
}
