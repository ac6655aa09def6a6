/* The watch over the metadata group. */
#include "watch_inside.h"

#include <inttypes.h>

#include "../../src/meta/meta_private.h"

static void room_for_index(struct watch *watch, uint64_t index)
{
    size_t n = (size_t)index + 1;
    if (n <= watch->n_indexes) {
        return;
    }
    watch->term_of_index =
        mem_grow(watch->term_of_index, &watch->cap_terms_of, n, sizeof *watch->term_of_index);
    watch->hash_of_index =
        mem_grow(watch->hash_of_index, &watch->cap_hashes, n, sizeof *watch->hash_of_index);
    for (size_t i = watch->n_indexes; i < n; i++) {
        watch->term_of_index[i] = watch->hash_of_index[i] = 0;
    }
    watch->n_indexes = n;
}

static void check_leader(struct watch *watch, const struct node *node, uint64_t term)
{
    size_t n = (size_t)term + 1, had = watch->n_terms;
    if (n > had) {
        watch->leader_of_term =
            mem_grow(watch->leader_of_term, &watch->cap_terms, n, sizeof *watch->leader_of_term);
        memset(watch->leader_of_term + had, 0, (n - had) * sizeof *watch->leader_of_term);
        watch->n_terms = n;
    }
    int32_t *leader = &watch->leader_of_term[term];
    if (*leader != 0 && *leader != node->id) {
        world_fail("election safety: term %" PRIu64 " has n%" PRId32 " and n%" PRId32, term,
                   *leader, node->id);
    }
    *leader = node->id;
}

static void check_committed(struct watch *watch, const struct node *node,
                            const struct raft_node *raft, struct raft_seen *seen)
{
    uint64_t committed = min_u64(raft_node_committed(raft), raft_node_applied(raft));
    for (uint64_t i = seen->committed + 1; i <= committed; i++) {
        uint64_t term = raft_node_term_of(raft, i);
        room_for_index(watch, i);
        if (term != 0 && watch->term_of_index[i] != 0 && watch->term_of_index[i] != term) {
            world_fail("state machine safety: index %" PRIu64 " has terms %" PRIu64 " and %" PRIu64
                       ", the latter on n%" PRId32,
                       i, watch->term_of_index[i], term, node->id);
        }
        watch->term_of_index[i] = term != 0 ? term : watch->term_of_index[i];
    }
    seen->committed = max_u64(seen->committed, committed);
}

static void check_image(struct watch *watch, const struct node *node, const struct image *image,
                        struct raft_seen *seen)
{
    uint64_t index = image_index(image);
    if (index == seen->applied) {
        return;
    }
    if (index < seen->applied) {
        world_fail("metadata: n%" PRId32 " goes back from index %" PRIu64 " to %" PRIu64, node->id,
                   seen->applied, index);
    }
    seen->applied = index;
    room_for_index(watch, index);
    uint64_t hash = image_hash(image);
    if (watch->hash_of_index[index] != 0 && watch->hash_of_index[index] != hash) {
        world_fail("metadata: n%" PRId32 " has another image at index %" PRIu64, node->id, index);
    }
    watch->hash_of_index[index] = hash;
    note_number(hash);
}

void watch_raft_turn(struct watch *watch, struct node *node)
{
    const struct meta *meta = node->broker->meta;
    struct raft_seen *seen = &watch->raft[node->id - 1];
    if (meta == NULL || !meta_runs(meta)) {
        return;
    }
    if (meta->role.leads) {
        check_leader(watch, node, meta->role.term);
    }
    check_committed(watch, node, meta->node, seen);
    check_image(watch, node, meta->image, seen);
}
