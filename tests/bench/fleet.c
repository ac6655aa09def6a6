/* Members of consumer groups. Each is a small state machine; what it gets is taken in the order of
 * its requests. An error that says "somewhere else" or a broken connection makes it look for its
 * coordinator, one that says "something changed" makes it join again. */
#include "fleet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum {
    FIND_VERSION = 3,
    JOIN_VERSION = 5,
    SYNC_VERSION = 3,
    HEARTBEAT_VERSION = 3,
    LEAVE_VERSION = 3,
    COMMIT_VERSION = 7,
    FETCH_VERSION = 7,
};

static const uint64_t MS = 1000000;
static const uint64_t RETRY_NS = 10000000;

/* ---- connections ----------------------------------------------------------------------------- */

static void member_lose(struct member *m)
{
    if (m->conn.fd >= 0) {
        conn_close(&m->conn);
    }
    m->head = m->tail = 0;
    m->commits = false;
    m->state = MEMBER_LOST;
    m->try_ns = now_ns() + RETRY_NS;
}

static void member_send(struct member *m, const struct wire_api *api, int16_t version,
                        const void *request)
{
    struct buf frame = client_frame(api, version, request);
    store_be32(frame.data + FRAME_CORRELATION, (uint32_t)m->conn.correlation++);
    if (m->head - m->tail == FLEET_IN_FLIGHT_MAX) {
        fail("a member has too many requests under way");
    }
    m->in_flight[m->head++ % FLEET_IN_FLIGHT_MAX] = api;
    if (send(m->conn.fd, frame.data, frame.len, MSG_NOSIGNAL) != (ssize_t)frame.len) {
        member_lose(m);
    }
    buf_release(&frame);
}

/* ---- the way into a generation --------------------------------------------------------------- */

static void find(struct fleet *f, struct member *m)
{
    if (conn_try(&m->conn, &f->nodes[f->next_node++ % f->n_nodes]) < 0) {
        m->conn.fd = -1;
        m->try_ns = now_ns() + RETRY_NS;
        return;
    }
    struct find_coordinator_request request = { .key = text_of(m->group->name) };
    m->state = MEMBER_FINDING;
    member_send(m, &wire_find_coordinator, FIND_VERSION, &request);
}

static void join(struct fleet *f, struct member *m)
{
    /* A subscription without topics, which the coordinator does not look into. */
    static const char subscription[] = "\0\0\0\0\0\0\xff\xff\xff\xff";
    struct join_group_request_protocol protocol = {
        .name = text_of("range"), .metadata = bytes_of(subscription, sizeof subscription - 1)
    };
    struct join_group_request request = {
        .group_id = text_of(m->group->name),
        .session_timeout_ms = f->settings.session_ms,
        .rebalance_timeout_ms = 60000,
        .member_id = text_of(m->id),
        .protocol_type = text_of("consumer"),
        .protocols = &protocol,
        .n_protocols = 1,
    };
    m->state = MEMBER_JOINING;
    member_send(m, &wire_join_group, JOIN_VERSION, &request);
}

static void take_coordinator(struct fleet *f, struct member *m, struct bytes frame)
{
    struct find_coordinator_response in;
    client_decode(&wire_find_coordinator, FIND_VERSION, frame, &f->arena, &in);
    for (unsigned i = 0; in.error == KAFKA_NONE && i < f->n_nodes; i++) {
        if (f->nodes[i].sin_port != htons((uint16_t)in.port)) {
            continue;
        }
        conn_close(&m->conn);
        m->head = m->tail = 0;
        if (conn_try(&m->conn, &f->nodes[i]) < 0) {
            m->conn.fd = -1;
            break;
        }
        m->group->n_moves += m->group->port != 0 && m->group->port != in.port;
        m->group->port = (uint16_t)in.port;
        join(f, m);
        return;
    }
    member_lose(m);
}

/* What the error of an answer means for a member. True: there is none. */
static bool went_well(struct fleet *f, struct member *m, enum kafka_error error)
{
    switch (error) {
    case KAFKA_NONE:
        return true;
    case KAFKA_UNKNOWN_MEMBER_ID:
        m->id[0] = '\0';
        join(f, m);
        return false;
    case KAFKA_MEMBER_ID_REQUIRED:
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_ILLEGAL_GENERATION:
        join(f, m);
        return false;
    default:
        if (!kafka_error_retriable(error)) {
            fail("a member of %s: %s", m->group->name, kafka_error_name(error));
        }
        member_lose(m);
        return false;
    }
}

/* The leader gives each member every n-th partition. */
static void assign(struct fleet *f, struct sync_group_request *request,
                   const struct join_group_response *in)
{
    request->assignments =
        arena_zalloc_array(&f->arena, (size_t)in->n_members, sizeof *request->assignments);
    request->n_assignments = in->n_members;
    for (int32_t i = 0; i < in->n_members; i++) {
        uint8_t *to = arena_alloc(&f->arena, 4 * (size_t)f->settings.n_partitions);
        size_t n = 0;
        for (int32_t p = i; p < f->settings.n_partitions; p += in->n_members) {
            store_be32(to + 4 * n++, (uint32_t)p);
        }
        request->assignments[i] = (struct sync_group_request_assignment){
            .member_id = in->members[i].member_id, .assignment = bytes_of(to, 4 * n)
        };
    }
}

static void take_joined(struct fleet *f, struct member *m, struct bytes frame)
{
    struct join_group_response in;
    client_decode(&wire_join_group, JOIN_VERSION, frame, &f->arena, &in);
    if (in.error == KAFKA_NONE || in.error == KAFKA_MEMBER_ID_REQUIRED) {
        snprintf(m->id, sizeof m->id, "%.*s", (int)in.member_id.len, in.member_id.data);
    }
    if (!went_well(f, m, (enum kafka_error)in.error)) {
        return;
    }
    m->generation = in.generation;
    struct sync_group_request request = { .group_id = text_of(m->group->name),
                                          .generation = m->generation,
                                          .member_id = text_of(m->id) };
    if (text_equal(in.leader, in.member_id)) {
        assign(f, &request, &in);
    }
    m->state = MEMBER_SYNCING;
    member_send(m, &wire_sync_group, SYNC_VERSION, &request);
}

static void take_synced(struct fleet *f, struct member *m, struct bytes frame)
{
    struct sync_group_response in;
    client_decode(&wire_sync_group, SYNC_VERSION, frame, &f->arena, &in);
    if (!went_well(f, m, (enum kafka_error)in.error)) {
        return;
    }
    m->n_mine = (int32_t)(in.assignment.len / 4);
    for (int32_t i = 0; i < m->n_mine; i++) {
        m->mine[i] = (int32_t)load_be32((const uint8_t *)in.assignment.data + 4 * i);
    }
    m->state = MEMBER_STABLE;
    m->commit_ns = now_ns();
    uint64_t nth = (uint64_t)(m - f->members); /* so that they do not all come at the same time */
    m->heartbeat_ns = m->commit_ns + f->settings.heartbeat_ns * nth / (uint64_t)f->n_members;
}

/* ---- life in a generation -------------------------------------------------------------------- */

static void heartbeat(struct fleet *f, struct member *m, uint64_t now)
{
    struct heartbeat_request request = { .group_id = text_of(m->group->name),
                                         .generation = m->generation,
                                         .member_id = text_of(m->id) };
    m->heartbeat_ns = now + f->settings.heartbeat_ns;
    member_send(m, &wire_heartbeat, HEARTBEAT_VERSION, &request);
}

static void commit(struct fleet *f, struct member *m, uint64_t now)
{
    arena_reset(&f->arena);
    struct offset_commit_request_partition *partitions =
        arena_zalloc_array(&f->arena, (size_t)m->n_mine, sizeof *partitions);
    m->sent_offset = m->group->next_offset++;
    for (int32_t i = 0; i < m->n_mine; i++) {
        partitions[i] = (struct offset_commit_request_partition){
            .partition_index = m->mine[i],
            .committed_offset = m->sent_offset,
            .committed_leader_epoch = -1,
        };
    }
    struct offset_commit_request_topic topic = { .name = text_of(f->settings.topic),
                                                 .partitions = partitions,
                                                 .n_partitions = m->n_mine };
    struct offset_commit_request request = { .group_id = text_of(m->group->name),
                                             .generation_id_or_member_epoch = m->generation,
                                             .member_id = text_of(m->id),
                                             .topics = &topic,
                                             .n_topics = 1 };
    m->commits = true;
    m->sent_ns = now;
    m->commit_ns = now + f->settings.commit_ns;
    member_send(m, &wire_offset_commit, COMMIT_VERSION, &request);
}

static void acknowledged(struct fleet *f, struct member *m, uint64_t now)
{
    struct group *g = m->group;
    for (int32_t i = 0; i < m->n_mine; i++) {
        g->acked[m->mine[i]] = max_i64(g->acked[m->mine[i]], m->sent_offset);
    }
    if (g->last_ack_ns != 0) {
        g->longest_ns = max_u64(g->longest_ns, now - g->last_ack_ns);
    }
    g->last_ack_ns = now;
    f->n_acked++;
    histogram_add(&f->latency, now - m->sent_ns);
}

static void take_committed(struct fleet *f, struct member *m, struct bytes frame)
{
    struct offset_commit_response in;
    client_decode(&wire_offset_commit, COMMIT_VERSION, frame, &f->arena, &in);
    m->commits = false;
    enum kafka_error error = KAFKA_NONE;
    for (int32_t i = 0; in.n_topics == 1 && i < in.topics[0].n_partitions; i++) {
        enum kafka_error one = (enum kafka_error)in.topics[0].partitions[i].error;
        error = one != KAFKA_NONE ? one : error;
    }
    if (error == KAFKA_NONE) {
        acknowledged(f, m, now_ns());
    } else if (m->state == MEMBER_STABLE) {
        went_well(f, m, error);
    }
}

static void take_heartbeat(struct fleet *f, struct member *m, struct bytes frame)
{
    struct heartbeat_response in;
    client_decode(&wire_heartbeat, HEARTBEAT_VERSION, frame, &f->arena, &in);
    if (m->state == MEMBER_STABLE) {
        went_well(f, m, (enum kafka_error)in.error);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void member_take(struct fleet *f, struct member *m, const struct wire_api *api,
                        struct bytes frame)
{
    if (api == &wire_find_coordinator) {
        take_coordinator(f, m, frame);
    } else if (api == &wire_join_group) {
        take_joined(f, m, frame);
    } else if (api == &wire_sync_group) {
        take_synced(f, m, frame);
    } else if (api == &wire_heartbeat) {
        take_heartbeat(f, m, frame);
    } else if (api == &wire_offset_commit) {
        take_committed(f, m, frame);
    }
}

static void member_read(struct fleet *f, struct member *m)
{
    enum { ROOM = 1 << 16 };
    struct conn *conn = &m->conn;
    if (conn->in_at > 0) {
        memmove(conn->in.data, conn->in.data + conn->in_at, conn->in.len - conn->in_at);
        conn->in.len -= conn->in_at;
        conn->in_at = 0;
    }
    ssize_t n = recv(conn->fd, buf_reserve(&conn->in, ROOM), ROOM, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        member_lose(m);
        return;
    }
    conn->in.len += n > 0 ? (size_t)n : 0;
    while (conn->fd >= 0 && conn->in.len - conn->in_at >= 4) {
        size_t len = load_be32(conn->in.data + conn->in_at);
        if (conn->in.len - conn->in_at - 4 < len) {
            return;
        }
        struct bytes frame = bytes_of(conn->in.data + conn->in_at + 4, len);
        conn->in_at += 4 + len;
        member_take(f, m, m->in_flight[m->tail++ % FLEET_IN_FLIGHT_MAX], frame);
    }
}

/* Does what is due; the time of what comes next. */
static uint64_t member_step(struct fleet *f, struct member *m, uint64_t now)
{
    if (m->state == MEMBER_LOST) {
        if (now >= m->try_ns) {
            find(f, m);
        }
        return m->state == MEMBER_LOST ? m->try_ns : UINT64_MAX;
    }
    if (m->state == MEMBER_STABLE && now >= m->heartbeat_ns) {
        heartbeat(f, m, now);
    }
    if (m->state == MEMBER_STABLE && f->commits && !m->commits && now >= m->commit_ns) {
        commit(f, m, now);
    }
    if (m->state != MEMBER_STABLE) {
        return m->state == MEMBER_LOST ? m->try_ns : UINT64_MAX;
    }
    bool commits = f->commits && !m->commits;
    return commits ? min_u64(m->heartbeat_ns, m->commit_ns) : m->heartbeat_ns;
}

void fleet_turn(struct fleet *f)
{
    struct pollfd *fds = mem_zalloc_array((size_t)f->n_members, sizeof *fds);
    uint64_t now = now_ns(), next = now + 20 * MS;
    for (int32_t i = 0; i < f->n_members; i++) {
        next = min_u64(next, member_step(f, &f->members[i], now));
        fds[i] = (struct pollfd){ .fd = f->members[i].conn.fd, .events = POLLIN };
    }
    now = now_ns();
    struct timespec timeout = { .tv_nsec = (long)(next > now ? next - now : 0) };
    if (ppoll(fds, (nfds_t)f->n_members, &timeout, NULL) > 0) {
        for (int32_t i = 0; i < f->n_members; i++) {
            if (fds[i].revents != 0 && f->members[i].conn.fd == fds[i].fd) {
                member_read(f, &f->members[i]);
            }
        }
    }
    free(fds);
}

bool fleet_is_stable(const struct fleet *f, const struct group *group)
{
    int32_t generation = -1, n = 0;
    const struct member *first = &f->members[(group - f->groups) * f->settings.members];
    for (const struct member *m = first; m < first + f->settings.members; m++) {
        if (m->state == MEMBER_GONE) {
            continue;
        }
        if (m->state != MEMBER_STABLE || (generation >= 0 && m->generation != generation)) {
            return false;
        }
        generation = m->generation;
        n += m->n_mine;
    }
    return n == f->settings.n_partitions;
}

void fleet_vanish(struct member *m)
{
    member_lose(m);
    m->state = MEMBER_GONE;
}

void fleet_leave(struct fleet *f, struct member *m)
{
    struct leave_group_request_member me = { .member_id = text_of(m->id) };
    struct leave_group_request request = { .group_id = text_of(m->group->name),
                                           .members = &me,
                                           .n_members = 1 };
    struct leave_group_response in;
    struct conn conn;
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    if (getpeername(m->conn.fd, (struct sockaddr *)&at, &len) < 0) {
        fail("leave: %s", strerror(errno));
    }
    fleet_vanish(m);
    conn_open(&conn, &at);
    conn_call(&conn, &wire_leave_group, LEAVE_VERSION, &request, &f->arena, &in);
    if (in.error != KAFKA_NONE) {
        fail("leave: %s", kafka_error_name((enum kafka_error)in.error));
    }
    conn_close(&conn);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* From any node that answers as the coordinator; false: this one does not. */
static bool count_lost(struct fleet *f, const struct group *g, const struct sockaddr_in *at,
                       int64_t *ret_lost)
{
    struct conn conn;
    if (conn_try(&conn, at) < 0) {
        return false;
    }
    struct offset_fetch_request request = { .group_id = text_of(g->name), .n_topics = -1 };
    struct offset_fetch_response in;
    bool ok = conn_try_call(&conn, &wire_offset_fetch, FETCH_VERSION, &request, &f->arena, &in) &&
              in.error == KAFKA_NONE;
    conn_close(&conn);
    if (!ok) {
        return false;
    }
    int64_t lost = 0, expected = 0;
    for (int32_t p = 0; p < f->settings.n_partitions; p++) {
        expected += g->acked[p] >= 0;
    }
    for (int32_t t = 0; t < in.n_topics; t++) {
        for (int32_t p = 0; p < in.topics[t].n_partitions; p++) {
            const struct offset_fetch_response_partition *of = &in.topics[t].partitions[p];
            lost += of->committed_offset < g->acked[of->partition_index];
            expected -= g->acked[of->partition_index] >= 0;
        }
    }
    *ret_lost = lost + expected; /* those that were not mentioned, too */
    return true;
}

int64_t fleet_count_lost(struct fleet *f)
{
    int64_t all = 0;
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        int64_t lost = -1;
        for (int tries = 0; lost < 0 && tries < 1000; tries++) {
            if (!count_lost(f, &f->groups[i], &f->nodes[tries % (int)f->n_nodes], &lost)) {
                usleep(10000);
            }
        }
        if (lost < 0) {
            fail("nobody tells the offsets of %s", f->groups[i].name);
        }
        all += lost;
    }
    return all;
}

/* ---- making it ------------------------------------------------------------------------------- */

void fleet_init(struct fleet *f, const struct fleet_settings *settings)
{
    *f = (struct fleet){ .settings = *settings,
                         .n_members = settings->n_groups * settings->members };
    arena_init(&f->arena, 0);
    struct text rest = text_of(settings->nodes);
    while (rest.len > 0 && f->n_nodes < FLEET_NODES_MAX) {
        char *one = text_dup(text_cut(&rest, ','));
        f->nodes[f->n_nodes++] = client_address(one);
        free(one);
    }
    size_t n_partitions = (size_t)settings->n_partitions;
    f->groups = mem_zalloc_array((size_t)settings->n_groups, sizeof *f->groups);
    f->members = mem_zalloc_array((size_t)f->n_members, sizeof *f->members);
    for (int32_t i = 0; i < settings->n_groups; i++) {
        struct group *g = &f->groups[i];
        snprintf(g->name, sizeof g->name, "%s-%d-%d", settings->topic, (int)getpid(), i);
        g->acked = mem_zalloc_array(n_partitions, sizeof *g->acked);
        memset(g->acked, 0xff, n_partitions * sizeof *g->acked);
    }
    for (int32_t i = 0; i < f->n_members; i++) {
        struct member *m = &f->members[i];
        m->group = &f->groups[i / settings->members];
        m->conn.fd = -1;
        m->mine = mem_zalloc_array(n_partitions, sizeof *m->mine);
    }
}

void fleet_release(struct fleet *f)
{
    for (int32_t i = 0; i < f->n_members; i++) {
        fleet_vanish(&f->members[i]);
        free(f->members[i].mine);
    }
    for (int32_t i = 0; i < f->settings.n_groups; i++) {
        free(f->groups[i].acked);
    }
    free(f->members);
    free(f->groups);
    arena_release(&f->arena);
}
