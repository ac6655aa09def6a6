/* Members: who they are, what they know, and finding out what they have in common.
 *
 * A member's own words (protocols and their metadata) live in an arena that starts anew when it
 * joins again. */
#include "group.h"

/* ---- finding ----------------------------------------------------------------------------------*/

static bool id_is(const struct map_node *node, const void *id)
{
    return text_equal(container_of(node, struct group_member, node)->id,
                      *(const struct text *)id);
}

static bool instance_is(const struct map_node *node, const void *id)
{
    return text_equal(container_of(node, struct group_member, by_instance)->instance_id,
                      *(const struct text *)id);
}

static bool pending_is(const struct map_node *node, const void *id)
{
    return text_equal(container_of(node, struct group_pending, node)->id,
                      *(const struct text *)id);
}

struct group_member *group_member(const struct group *group, struct text id)
{
    uint64_t hash = groups_hash_text(group->groups, id);
    struct map_node *node = map_find(&group->members, hash, id_is, &id);
    return node ? container_of(node, struct group_member, node) : NULL;
}

struct group_member *group_instance(const struct group *group, struct text instance_id)
{
    if (instance_id.data == NULL) {
        return NULL;
    }
    uint64_t hash = groups_hash_text(group->groups, instance_id);
    struct map_node *node = map_find(&group->instances, hash, instance_is, &instance_id);
    return node ? container_of(node, struct group_member, by_instance) : NULL;
}

struct group_pending *group_pending(const struct group *group, struct text id)
{
    uint64_t hash = groups_hash_text(group->groups, id);
    struct map_node *node = map_find(&group->pending, hash, pending_is, &id);
    return node ? container_of(node, struct group_pending, node) : NULL;
}

enum kafka_error group_check_member(const struct group *group, struct text id,
                                    struct text instance_id)
{
    if (instance_id.data != NULL) {
        const struct group_member *known = group_instance(group, instance_id);
        if (known == NULL) {
            return KAFKA_UNKNOWN_MEMBER_ID;
        }
        if (!text_equal(known->id, id)) {
            return KAFKA_FENCED_INSTANCE_ID;
        }
    }
    return group_member(group, id) != NULL ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
}

/* ---- coming and going -------------------------------------------------------------------------*/

struct group_member *member_new(struct group *group, const struct member_identity *identity)
{
    struct groups *groups = group->groups;
    struct group_member *member = mem_zalloc(sizeof *member);
    member->group = group;
    member->id = text_keep(identity->id);
    member->instance_id = text_keep(identity->instance_id);
    member->client_id = text_keep(text_head(identity->client_id, GROUP_CLIENT_ID_MAX));
    member->client_host = text_keep(identity->client_host);
    member->assignment = bytes_of("", 0);
    arena_init(&member->said, 0);
    timer_init(&member->session, groups->log->loop, member_expired);
    map_insert(&group->members, &member->node, groups_hash_text(groups, member->id));
    if (member->instance_id.data != NULL) {
        map_insert(&group->instances, &member->by_instance,
                   groups_hash_text(groups, member->instance_id));
    }
    return member;
}

void member_free(struct group_member *member)
{
    struct group *group = member->group;
    check(member->join == NULL && member->sync == NULL);
    map_remove(&group->members, &member->node);
    if (member->instance_id.data != NULL) {
        map_remove(&group->instances, &member->by_instance);
    }
    if (group->leader == member) {
        struct map_node *first = map_first(&group->members);
        group->leader = first ? container_of(first, struct group_member, node) : NULL;
    }
    group->n_pending_sync -= member->pending_sync;
    group_let_go(group, member->bytes);
    timer_cancel(&member->session);
    arena_release(&member->said);
    text_drop(&member->id);
    text_drop(&member->instance_id);
    text_drop(&member->client_id);
    text_drop(&member->client_host);
    if (member->assignment.len > 0) {
        free((uint8_t *)member->assignment.data);
    }
    free(member);
}

void member_rename(struct group_member *member, struct text id)
{
    struct group *group = member->group;
    member_finish_join(member, KAFKA_FENCED_INSTANCE_ID, member->id);
    member_finish_sync(member, KAFKA_FENCED_INSTANCE_ID);
    map_remove(&group->members, &member->node);
    text_drop(&member->id);
    member->id = text_keep(id);
    map_insert(&group->members, &member->node, groups_hash_text(group->groups, member->id));
}

void member_set_assignment(struct group_member *member, struct bytes assignment)
{
    if (member->assignment.len > 0) {
        free((uint8_t *)member->assignment.data);
    }
    member->assignment = assignment.len > 0
                             ? bytes_of(mem_dup(assignment.data, assignment.len), assignment.len)
                             : bytes_of("", 0);
}

void pending_new(struct group *group, struct text id, int32_t session_ms)
{
    struct groups *groups = group->groups;
    struct group_pending *pending = mem_zalloc(sizeof *pending);
    pending->group = group;
    pending->id = text_keep(id);
    group_hold(group, sizeof *pending + id.len);
    map_insert(&group->pending, &pending->node, groups_hash_text(groups, pending->id));
    timer_init(&pending->session, groups->log->loop, pending_expired);
    timer_set_in(&pending->session, (uint64_t)session_ms * NS_PER_MS);
}

void pending_free(struct group_pending *pending)
{
    struct group *group = pending->group;
    group_let_go(group, sizeof *pending + pending->id.len);
    map_remove(&group->pending, &pending->node);
    timer_cancel(&pending->session);
    text_drop(&pending->id);
    free(pending);
}

/* ---- what they say ----------------------------------------------------------------------------*/

size_t member_bytes(const struct join_group_request *request)
{
    size_t sum = sizeof(struct group_member) + request->group_instance_id.len;
    for (int32_t i = 0; i < request->n_protocols; i++) {
        sum += sizeof(struct group_protocol) + request->protocols[i].name.len +
               request->protocols[i].metadata.len;
    }
    return sum;
}

void member_set_protocols(struct group_member *member, const struct group_protocol *protocols,
                          size_t n)
{
    size_t bytes = sizeof *member + member->instance_id.len;
    arena_reset(&member->said);
    member->protocols = arena_zalloc_array(&member->said, n, sizeof *member->protocols);
    member->n_protocols = n;
    for (size_t i = 0; i < n; i++) {
        struct bytes said = protocols[i].metadata;
        member->protocols[i] = (struct group_protocol){
            .name = arena_text(&member->said, protocols[i].name),
            .metadata = bytes_of(arena_dup(&member->said, said.data, said.len), said.len),
        };
        bytes += sizeof *protocols + protocols[i].name.len + said.len;
    }
    group_let_go(member->group, member->bytes);
    group_hold(member->group, bytes);
    member->bytes = bytes;
}

void member_update(struct group_member *member, const struct join_group_request *request,
                   int16_t version)
{
    struct group_protocol protocols[GROUP_PROTOCOLS_MAX];
    size_t n = (size_t)request->n_protocols;
    for (size_t i = 0; i < n; i++) {
        protocols[i].name = request->protocols[i].name;
        protocols[i].metadata = request->protocols[i].metadata;
    }
    member_set_protocols(member, protocols, n);
    member->session_ms = request->session_timeout_ms;
    member->rebalance_ms = version == 0 || request->rebalance_timeout_ms < 0
                               ? request->session_timeout_ms
                               : request->rebalance_timeout_ms;
}

bool member_says(const struct group_member *member, const struct join_group_request *request)
{
    if (member->n_protocols != (size_t)request->n_protocols) {
        return false;
    }
    for (size_t i = 0; i < member->n_protocols; i++) {
        if (!text_equal(member->protocols[i].name, request->protocols[i].name) ||
            !bytes_equal(member->protocols[i].metadata, request->protocols[i].metadata)) {
            return false;
        }
    }
    return true;
}

static const struct group_protocol *find_protocol(const struct group_member *member,
                                                  struct text name)
{
    for (size_t i = 0; i < member->n_protocols; i++) {
        if (text_equal(member->protocols[i].name, name)) {
            return &member->protocols[i];
        }
    }
    return NULL;
}

struct bytes member_metadata(const struct group_member *member, const char *protocol)
{
    const struct group_protocol *found =
        protocol ? find_protocol(member, text_of(protocol)) : NULL;
    return found ? found->metadata : bytes_of("", 0);
}

/* ---- what they have in common -----------------------------------------------------------------*/

static bool all_know(const struct group *group, struct text protocol)
{
    map_each (node, &group->members) {
        if (find_protocol(container_of(node, struct group_member, node), protocol) == NULL) {
            return false;
        }
    }
    return true;
}

bool group_supports(const struct group *group, struct text type,
                    const struct join_group_request_protocol *protocols, int32_t n)
{
    if (type.len == 0 || n <= 0 || n > GROUP_PROTOCOLS_MAX) {
        return false;
    }
    if (group->members.n == 0) {
        return true;
    }
    if (group->protocol_type == NULL || !text_is(type, group->protocol_type)) {
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        if (all_know(group, protocols[i].name)) {
            return true;
        }
    }
    return false;
}

/* Each member votes for the first of its protocols that all know. Of equals wins the one that the
 * first member likes best. */
struct text group_vote(const struct group *group)
{
    const struct group_member *first =
        container_of(map_first(&group->members), struct group_member, node);
    size_t votes[GROUP_PROTOCOLS_MAX] = { 0 }, best = 0;
    bool candidate[GROUP_PROTOCOLS_MAX];
    for (size_t i = 0; i < first->n_protocols; i++) {
        candidate[i] = all_know(group, first->protocols[i].name);
    }
    map_each (node, &group->members) {
        const struct group_member *member = container_of(node, struct group_member, node);
        for (size_t i = 0; i < member->n_protocols; i++) {
            const struct group_protocol *known = find_protocol(first, member->protocols[i].name);
            if (known != NULL && candidate[known - first->protocols]) {
                votes[known - first->protocols]++;
                break;
            }
        }
    }
    for (size_t i = 1; i < first->n_protocols; i++) {
        best = votes[i] > votes[best] ? i : best;
    }
    return first->protocols[best].name;
}

bool group_of_consumers(const struct group *group)
{
    return group->protocol_type != NULL && strcmp(group->protocol_type, "consumer") == 0;
}

/* ---- subscriptions ----------------------------------------------------------------------------*/

static int by_text(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* The topics of a consumer's metadata: int16 version, int32 count, strings; more may follow.
 * False: it is something else. */
static bool add_topics(struct group *group, struct bytes in, size_t *cap)
{
    if (in.len < 6) {
        return false;
    }
    int32_t n = (int32_t)load_be32(in.data + 2);
    size_t at = 6;
    for (int32_t i = 0; i < n; i++) {
        if (in.len - at < 2 || (int16_t)load_be16(in.data + at) < 0 ||
            in.len - at - 2 < load_be16(in.data + at)) {
            return false;
        }
        size_t len = load_be16(in.data + at);
        group->subscribed =
            mem_grow(group->subscribed, cap, group->n_subscribed + 1, sizeof *group->subscribed);
        group->subscribed[group->n_subscribed++] =
            arena_text(&group->subscriptions, text_part((const char *)in.data + at + 2, len));
        at += 2 + len;
    }
    return n >= 0;
}

static void keep_each_once(struct group *group)
{
    size_t kept = 0;
    qsort(group->subscribed, group->n_subscribed, sizeof *group->subscribed, by_text);
    for (size_t i = 0; i < group->n_subscribed; i++) {
        if (kept == 0 || !text_equal(group->subscribed[kept - 1], group->subscribed[i])) {
            group->subscribed[kept++] = group->subscribed[i];
        }
    }
    group->n_subscribed = kept;
}

void group_learn_topics(struct group *group)
{
    size_t cap = 0;
    free(group->subscribed);
    group->subscribed = NULL;
    group->n_subscribed = 0;
    arena_reset(&group->subscriptions);
    group->topics_known = group_of_consumers(group);
    map_each (node, &group->members) {
        const struct group_member *member = container_of(node, struct group_member, node);
        group->topics_known = group->topics_known &&
                              add_topics(group, member_metadata(member, group->protocol), &cap);
    }
    if (group->n_subscribed > 0) {
        keep_each_once(group);
    }
}

bool group_subscribes(const struct group *group, struct text topic)
{
    if (!group->topics_known) {
        return group_of_consumers(group) && group->members.n > 0;
    }
    return group->n_subscribed > 0 &&
           bsearch(&topic, group->subscribed, group->n_subscribed, sizeof topic, by_text) != NULL;
}
