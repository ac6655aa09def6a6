/* Connections: from bytes to requests and from finished requests to replies.
 *
 * The happy path: a read brings one or many whole frames; each is peeked at (key, version), decoded
 * into a request's arena and handed to its handler. Small frames never allocate a buffer of their
 * own. A request finishes, the advance step encodes its reply when all before it have been sent,
 * and the flush step writes everything with one system call.
 *
 * What can go wrong: a frame that is too large, malformed or of an unknown API closes the
 * connection, as with Apache Kafka, with one rate-limited line (an unknown ApiVersions version is
 * answered, so that the client can try an older one). A frame that does not get complete in time
 * closes it too. Too many requests under way, replies that are not read, or memory that is used up
 * stop the reading. */
#include "conn.h"

#include <chronik/api/api.h>
#include <stdio.h>

/* ---- pausing and closing ---------------------------------------------------------------------*/

static void conn_pause(struct conn *conn, unsigned why)
{
    if (conn->paused == 0) {
        stream_pause(conn->stream);
    }
    conn->paused |= why;
}

/* Reading goes on in the advance step, behind what is in the stash. */
static void conn_unpause(struct conn *conn, unsigned why)
{
    conn->paused &= ~why;
    loop_defer(conn->server->loop, LOOP_ADVANCE, &conn->advance);
}

void conn_abort(struct conn *conn)
{
    conn_pause(conn, PAUSE_CLOSING);
    stream_close(conn->stream);
}

static void close_bad(struct conn *conn, const char *what, const struct request_header *header)
{
    struct server *server = conn->server;
    char peer[NET_ADDRESS_TEXT];
    uint32_t left_out;

    server->counters.bad_frames_total++;
    if (diag_allow(&server->bad_frame_limit, loop_now_ns(server->loop), NS_PER_S, &left_out)) {
        diag_warn(server->diag, DIAG_SERVER,
                  "connection closed: %s; check that it is a Kafka client and has the right port "
                  "peer=%s key=%d version=%d not_shown=%u",
                  what, net_format(stream_peer(conn->stream), peer), header ? header->api_key : -1,
                  header ? header->api_version : -1, left_out);
    }
    conn_abort(conn);
}

/* ---- requests --------------------------------------------------------------------------------*/

static void request_free(struct request *request)
{
    server_memory_sub(request->server, request->frame_bytes);
    blob_unref(request->frame);
    arena_release(&request->arena);
    free(request);
}

static void request_finished(struct request *request)
{
    struct conn *conn = request->conn;
    if (conn == NULL) {
        request_free(request);
    } else {
        loop_defer(conn->server->loop, LOOP_ADVANCE, &conn->advance);
    }
}

static void request_held(struct request *request, bool on)
{
    struct conn *conn = request->conn;
    if (conn != NULL) {
        conn->n_exclusive += on ? 1u : -1u;
        loop_defer(conn->server->loop, LOOP_ADVANCE, &conn->advance);
    }
}

static bool is_pipelined(const struct request *request)
{
    return (request->entry->flags & API_PIPELINED) != 0;
}

static bool may_start(const struct conn *conn, const struct request *request)
{
    return list_first(&conn->requests) == &request->link ||
           (is_pipelined(request) && conn->n_exclusive == 0);
}

static void start_or_block(struct conn *conn, struct request *request)
{
    if (may_start(conn, request)) {
        conn->blocked = NULL;
        conn->n_exclusive += is_pipelined(request) ? 0 : 1;
        api_handle(request);
    } else {
        conn->blocked = request;
    }
    if (conn->blocked != NULL || conn->n_requests >= conn->server->limits.pipeline_max) {
        conn_pause(conn, PAUSE_ORDER);
    }
}

/* Decodes what lies behind the fixed header. Small frames are copied, since the bytes are in the
 * loop's buffer; a frame in a blob is kept. Decoding may use eight times the frame's size, and a
 * little. */
static struct wire_error decode(struct request *request, struct bytes frame, struct blob *blob)
{
    const struct wire_api *api = request->entry->wire;
    struct bytes body;
    int16_t version = request->header.api_version;

    if (blob == NULL) {
        frame.data = arena_dup(&request->arena, frame.data, frame.len);
    } else {
        request->frame = blob_ref(blob);
    }
    request->arena.budget = request->arena.used + 8 * frame.len + KIB(4);
    struct wire_error error = frame_parse(frame, api, &request->header, &body);
    if (error.result == WIRE_OK) {
        request->body = arena_alloc(&request->arena, api->request->size);
        error = wire_decode(api->request, version, wire_is_flexible(api, version), body,
                            &request->arena, request->body, NULL);
    }
    request->arena.budget = 0;
    return error;
}

static struct request *request_new(struct conn *conn, const struct request_header *header,
                                   const struct api_entry *entry, size_t frame_bytes)
{
    struct request *request = mem_zalloc(sizeof *request);
    request->server = conn->server;
    request->conn = conn;
    request->api = conn->server->api;
    request->entry = entry;
    request->header = *header;
    request->peer = stream_peer(conn->stream);
    request->listener = conn->listener;
    request->received_ns = loop_now_ns(conn->server->loop);
    request->frame_bytes = frame_bytes;
    request->finished = request_finished;
    request->hold = request_held;
    arena_init(&request->arena, 0);
    server_memory_add(conn->server, frame_bytes);
    return request;
}

static void queue_request(struct conn *conn, struct request *request)
{
    request->reply = request_alloc(request, 1, request->entry->wire->response->size);
    wire_defaults(request->entry->wire->response, request->reply);
    list_push_back(&conn->requests, &request->link);
    conn->n_requests++;
    conn->server->counters.requests_total++;
    start_or_block(conn, request);
}

/* An ApiVersions of a version we do not know: answered in version 0, whose body every client can
 * read (KIP-511). The handler sees the version and says UNSUPPORTED_VERSION. */
static void take_unknown_api_versions(struct conn *conn, const struct request_header *header,
                                      const struct api_entry *entry)
{
    struct request *request = request_new(conn, header, entry, 0);
    request->header.api_version = 0;
    request->body = NULL;
    queue_request(conn, request);
}

/* A whole frame, without its length prefix; in the loop's buffer, or in `blob`. */
static void take_frame(struct conn *conn, struct bytes frame, struct blob *blob)
{
    enum { API_VERSIONS = 18 };
    struct request_header header;
    const struct api_entry *entry;

    conn->server->counters.bytes_in += frame.len + FRAME_PREFIX;
    if (!frame_peek(frame, &header)) {
        close_bad(conn, "frame shorter than a request header", NULL);
        return;
    }
    entry = api_find(header.api_key);
    if (entry == NULL) {
        close_bad(conn, "request of an API that is not served", &header);
        return;
    }
    if (header.api_version < entry->wire->min_version ||
        header.api_version > entry->wire->advertised_max) {
        if (header.api_key == API_VERSIONS) {
            take_unknown_api_versions(conn, &header, entry);
        } else {
            close_bad(conn, "request of a version that is not served", &header);
        }
        return;
    }
    struct request *request = request_new(conn, &header, entry, frame.len);
    struct wire_error error = decode(request, frame, blob);
    if (error.result != WIRE_OK) {
        char what[160];
        snprintf(what, sizeof what, "malformed request: %s in field %s",
                 wire_result_text(error.result), error.field ? error.field : "(header)");
        close_bad(conn, what, &header);
        request_free(request);
        return;
    }
    queue_request(conn, request);
}

/* ---- frames that arrive in pieces ------------------------------------------------------------*/

static void partial_drop(struct conn *conn)
{
    struct partial *partial = &conn->partial;
    if (partial->blob != NULL) {
        server_partial_sub(conn->server, partial->blob->len);
        blob_unref(partial->blob);
    }
    list_remove(&partial->link);
    *partial = (struct partial){ .len = 0 };
    list_init(&partial->link);
}

/* The next size of the buffer: grows as bytes arrive, never beyond the frame. */
static size_t grown(const struct partial *partial, size_t need)
{
    size_t size = partial->blob ? partial->blob->len * 2 : KIB(4);
    size = size < need ? need : size;
    return size < partial->len ? size : partial->len;
}

/* Makes room for `need` bytes of the frame in all. False: not now, the memory for incomplete frames
 * is used up; the connection waits for it. */
static bool partial_room(struct conn *conn, size_t need)
{
    struct partial *partial = &conn->partial;
    size_t have = partial->blob ? partial->blob->len : 0;
    if (need <= have) {
        return true;
    }
    size_t size = grown(partial, need);
    if (!server_partial_fits(conn->server, size - have)) {
        if (list_empty(&conn->waiting)) {
            list_push_back(&conn->server->waiting, &conn->waiting);
            timer_set_in(&conn->server->evict, NS_PER_S);
        }
        conn_pause(conn, PAUSE_MEMORY);
        return false;
    }
    struct blob *blob = blob_new(size);
    if (partial->have > 0) {
        memcpy(blob->data, partial->blob->data, partial->have);
    }
    blob_unref(partial->blob);
    partial->blob = blob;
    server_partial_add(conn->server, size - have);
    return true;
}

static void partial_progress(struct conn *conn, size_t len)
{
    struct partial *partial = &conn->partial;
    partial->have += (uint32_t)len;
    partial->progress_ns = loop_now_ns(conn->server->loop);
    list_remove(&partial->link);
    list_push_back(&conn->server->partials, &partial->link);
    if (partial->have == partial->len) {
        struct blob *blob = blob_ref(partial->blob);
        struct bytes frame = bytes_of(blob->data, partial->len);
        partial_drop(conn);
        take_frame(conn, frame, frame.len > SMALL_FRAME ? blob : NULL);
        blob_unref(blob);
    }
}

/* A frame of `len` bytes begins. False when it must not. */
static bool begin_frame(struct conn *conn, uint32_t len)
{
    struct server *server = conn->server;
    if (len > server->limits.frame_bytes_max) { /* negative lengths too */
        close_bad(conn, "frame larger than socket.request.max.bytes", NULL);
        return false;
    }
    conn->partial.len = len;
    conn->frame_deadline_ns = loop_now_ns(server->loop) + server->limits.frame_ns +
                              (uint64_t)len / KIB(64) * NS_PER_S;
    return true;
}

/* Takes the length prefix off `*in`; false while it is not complete, or when it is refused. */
static bool take_prefix(struct conn *conn, struct bytes *in)
{
    struct partial *partial = &conn->partial;
    size_t len = FRAME_PREFIX - partial->prefix_have;
    len = len < in->len ? len : in->len;
    memcpy(partial->prefix + partial->prefix_have, in->data, len);
    partial->prefix_have += (uint8_t)len;
    *in = bytes_part(*in, len, in->len - len);
    if (partial->prefix_have < FRAME_PREFIX) {
        return false;
    }
    return begin_frame(conn, load_be32(partial->prefix));
}

/* Takes what it can of `in`; returns how many bytes that was. */
static size_t take(struct conn *conn, struct bytes in)
{
    struct partial *partial = &conn->partial;
    struct bytes rest = in;

    while (rest.len > 0 && conn->paused == 0) {
        if (partial->prefix_have < FRAME_PREFIX && !take_prefix(conn, &rest)) {
            break;
        }
        if (partial->have == 0 && partial->blob == NULL && partial->len <= rest.len) {
            struct bytes frame = bytes_part(rest, 0, partial->len);
            rest = bytes_part(rest, frame.len, rest.len - frame.len);
            partial_drop(conn);
            take_frame(conn, frame, NULL);
            continue;
        }
        size_t len = min_u64(rest.len, partial->len - partial->have);
        if (len == 0 || !partial_room(conn, partial->have + len)) {
            break; /* the prefix came alone, or there is no room now */
        }
        memcpy(partial->blob->data + partial->have, rest.data, len);
        rest = bytes_part(rest, len, rest.len - len);
        partial_progress(conn, len);
    }
    return in.len - rest.len;
}

/* ---- the advance step ------------------------------------------------------------------------*/

static void send_reply(struct conn *conn, struct request *request)
{
    struct chain frame = { 0 };
    frame_put_response(&frame, request->entry->wire, request->header.api_version,
                       request->header.correlation_id, request->reply);
    conn->server->counters.bytes_out += frame.len;
    stream_send(conn->stream, &frame);
    chain_release(&frame);
    if (stream_queued(conn->stream) > NET_HIGH_WATER) {
        conn_pause(conn, PAUSE_OUTPUT);
    }
}

/* Sends what is finished at the head of the queue. False: the connection is being closed. */
static bool send_finished(struct conn *conn)
{
    struct list *first;
    while ((first = list_first(&conn->requests)) != NULL) {
        struct request *request = container_of(first, struct request, link);
        if (request->outcome == REQUEST_OPEN) {
            break;
        }
        bool close = request->outcome == REQUEST_CLOSE;
        if (request->outcome == REQUEST_REPLY) {
            send_reply(conn, request);
        }
        list_remove(&request->link);
        conn->n_requests--;
        conn->n_exclusive -= is_pipelined(request) ? 0 : 1;
        conn->active_ns = loop_now_ns(conn->server->loop);
        request_free(request);
        if (close) {
            conn_abort(conn);
            return false;
        }
    }
    return true;
}

static void take_stash(struct conn *conn)
{
    size_t taken = take(conn, buf_bytes(&conn->stash));
    if (taken == conn->stash.len) {
        server_memory_sub(conn->server, conn->stash.cap);
        buf_release(&conn->stash);
    } else if (taken > 0) {
        memmove(conn->stash.data, conn->stash.data + taken, conn->stash.len - taken);
        conn->stash.len -= taken;
    }
}

static void conn_advance(struct loop_task *task)
{
    struct conn *conn = container_of(task, struct conn, advance);

    if ((conn->paused & PAUSE_CLOSING) != 0 && conn->n_requests == 0) {
        stream_close_after_flush(conn->stream);
        return;
    }
    if (!send_finished(conn)) {
        return;
    }
    if (conn->blocked != NULL) {
        start_or_block(conn, conn->blocked);
    }
    if ((conn->paused & PAUSE_ORDER) != 0 && conn->blocked == NULL &&
        conn->n_requests < conn->server->limits.pipeline_max) {
        conn->paused &= ~(unsigned)PAUSE_ORDER;
    }
    if (conn->paused == 0 && conn->stash.len > 0) {
        take_stash(conn);
    }
    if (conn->paused == 0) {
        stream_resume(conn->stream);
    } else if ((conn->paused & PAUSE_CLOSING) != 0 && conn->n_requests == 0) {
        stream_close_after_flush(conn->stream);
    }
}

/* ---- events ----------------------------------------------------------------------------------*/

static void set_timer(struct conn *conn)
{
    uint64_t idle_at = conn->active_ns + conn->server->limits.idle_ns;
    bool in_frame = conn->partial.prefix_have > 0;
    timer_set_at(&conn->timer, in_frame ? min_u64(conn->frame_deadline_ns, idle_at) : idle_at);
}

static void on_data(struct stream *stream, struct bytes data)
{
    struct conn *conn = stream_owner(stream);
    struct partial *partial = &conn->partial;
    bool in_place = partial->blob != NULL && data.data == partial->blob->data + partial->have;
    bool was_in_frame = partial->prefix_have > 0;

    conn->active_ns = loop_now_ns(conn->server->loop);
    if (in_place) {
        partial_progress(conn, data.len);
        return;
    }
    size_t taken = take(conn, data);
    if (taken < data.len && (conn->paused & PAUSE_CLOSING) == 0) {
        size_t before = conn->stash.cap;
        buf_put(&conn->stash, data.data + taken, data.len - taken);
        server_memory_add(conn->server, conn->stash.cap - before);
    }
    if (!was_in_frame && partial->prefix_have > 0) {
        if (partial->prefix_have < FRAME_PREFIX) {
            conn->frame_deadline_ns = conn->active_ns + conn->server->limits.frame_ns;
        }
        set_timer(conn);
    }
}

/* Large frames are read where they belong. */
static uint8_t *on_room(struct stream *stream, size_t *ret_len)
{
    struct conn *conn = stream_owner(stream);
    struct partial *partial = &conn->partial;
    if (partial->blob == NULL || partial->len <= SMALL_FRAME) {
        return NULL;
    }
    if (partial->have == partial->blob->len && !partial_room(conn, partial->have + 1)) {
        return NULL; /* paused; what still comes goes to the stash */
    }
    *ret_len = partial->blob->len - partial->have;
    return partial->blob->data + partial->have;
}

static void on_drained(struct stream *stream)
{
    conn_unpause(stream_owner(stream), PAUSE_OUTPUT);
}

static void on_closed(struct stream *stream, int error)
{
    struct conn *conn = stream_owner(stream);
    struct server *server = conn->server;
    struct list *it;

    diag_debug(server->diag, DIAG_SERVER, "connection ended error=%d", error);
    partial_drop(conn);
    server_memory_sub(server, conn->stash.cap);
    buf_release(&conn->stash);
    if (conn->blocked != NULL) { /* never started: nobody else knows of it */
        list_remove(&conn->blocked->link);
        request_free(conn->blocked);
    }
    while ((it = list_pop_front(&conn->requests)) != NULL) {
        struct request *request = container_of(it, struct request, link);
        request->conn = NULL;
        request->peer = NULL;
        if (request->outcome != REQUEST_OPEN) {
            request_free(request);
        } else if (request->cancel != NULL) {
            request->cancel(request);
        }
    }
    list_remove(&conn->waiting);
    loop_task_cancel(&conn->advance);
    timer_cancel(&conn->timer);
    server_conn_closed(server, conn);
    free(conn);
}

static void timed_out(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn, timer);
    struct server *server = conn->server;
    uint64_t now = loop_now_ns(server->loop);
    bool in_frame = conn->partial.prefix_have > 0;

    if (in_frame && now >= conn->frame_deadline_ns && (conn->paused & PAUSE_MEMORY) == 0) {
        server->counters.slow_closed_total++;
        conn_abort(conn);
    } else if (conn->n_requests == 0 && now >= conn->active_ns + server->limits.idle_ns) {
        server->counters.idle_closed_total++;
        conn_abort(conn);
    } else if (conn->n_requests > 0 || (conn->paused & PAUSE_MEMORY) != 0) {
        timer_set_in(&conn->timer, server->limits.frame_ns);
    } else {
        set_timer(conn);
    }
}

static const struct stream_handler HANDLER = {
    .room = on_room,
    .data = on_data,
    .drained = on_drained,
    .closed = on_closed,
};

void conn_new(struct server *server, struct stream *stream, const char *listener,
              struct ip_count *ip)
{
    struct conn *conn = mem_zalloc(sizeof *conn);
    conn->server = server;
    conn->stream = stream;
    conn->listener = listener;
    conn->ip = ip;
    conn->active_ns = loop_now_ns(server->loop);
    list_init(&conn->requests);
    list_init(&conn->waiting);
    list_init(&conn->partial.link);
    loop_task_init(&conn->advance, conn_advance);
    timer_init(&conn->timer, server->loop, timed_out);
    list_push_back(&server->conns, &conn->link);
    set_timer(conn);
    stream_start(stream, &HANDLER, conn);
}

void conn_resume_memory(struct conn *conn)
{
    list_remove(&conn->waiting);
    conn_unpause(conn, PAUSE_MEMORY);
}

void conn_stop(struct conn *conn)
{
    conn_pause(conn, PAUSE_CLOSING);
    list_each (it, &conn->requests) {
        struct request *request = container_of(it, struct request, link);
        if (request->outcome == REQUEST_OPEN && request->cancel != NULL) {
            request->cancel(request);
        }
    }
    loop_defer(conn->server->loop, LOOP_ADVANCE, &conn->advance);
}
