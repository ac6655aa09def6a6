/* Requests of this node.
 *
 * A request is copied, numbered, and asked of the controller: through the queue when that is this
 * node, by a frame otherwise. The answer says which items were refused and which have led to
 * commands. The request is complete when the answer is there and each of those commands has been
 * applied here.
 *
 * What can go wrong: the controller changes, or a frame is lost. Then the request is asked again;
 * the next controller finds in its image what was applied already, and does it no second time. What
 * an earlier controller answered counts no longer. */
#include "meta_private.h"

#include <chronik/wire/codec.h>

#include <errno.h>

enum { ASK_AGAIN_MS = 500 };

static void ask_again(struct timer *timer);
static void deadline_passed(struct timer *timer);

void meta_requests_init(struct meta *meta)
{
    list_init(&meta->requests);
    timer_init(&meta->again, meta->loop, ask_again);
    meta->next_sequence = 1;
}

/* ---- making and ending ------------------------------------------------------------------------*/

/* The copy is made by encoding: those bytes are what another node would be sent, too. */
static void copy_message(struct meta_request *request, const void *message)
{
    const struct wire_struct *s = meta_request_schema(request->kind)->request;
    struct meta_register_broker_request registration;
    struct chain chain = { 0 };
    if (request->kind == META_REGISTER_BROKER) {
        registration = *(const struct meta_register_broker_request *)message;
        if (registration.cluster_id.len == 0) {
            registration.cluster_id = text_of(request->meta->cluster_id);
        }
        message = &registration;
    }
    wire_encode(s, 0, true, message, &chain);
    uint8_t *bytes = arena_alloc(&request->arena, chain.len);
    chain_copy(&chain, bytes);
    request->encoded = bytes_of(bytes, chain.len);
    chain_release(&chain);
    request->message = arena_zalloc(&request->arena, s->size);
    struct wire_error error = wire_decode(s, 0, true, request->encoded, &request->arena,
                                          request->message, NULL);
    check(error.result == WIRE_OK);
}

struct meta_request *meta_ask(struct meta *meta, enum meta_request_kind kind, const void *message,
                              uint64_t deadline_ns, meta_done *done, void *arg)
{
    struct meta_request *request = mem_zalloc(sizeof *request);
    request->meta = meta;
    request->kind = kind;
    request->done = done;
    request->arg = arg;
    request->asked = -1;
    request->deadline_ns = deadline_ns;
    arena_init(&request->arena, 0);
    copy_message(request, message);
    size_t n = request->n_items = meta_request_items(kind, message);
    request->waits = arena_zalloc_array(&request->arena, n, sizeof *request->waits);
    request->seen = arena_zalloc_array(&request->arena, n, sizeof *request->seen);
    request->results = arena_zalloc_array(&request->arena, n, sizeof *request->results);
    request->sequence = meta->next_sequence;
    meta->next_sequence += (int64_t)n;
    meta->requests_asked++;
    list_push_back(&meta->requests, &request->link);
    timer_init(&request->deadline, meta->loop, deadline_passed);
    timer_set_at(&request->deadline, deadline_ns);
    loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
    return request;
}

/* Takes a request out and frees it. */
static void drop(struct meta_request *request)
{
    meta_controller_forget(request->meta, request);
    list_remove(&request->link);
    timer_cancel(&request->deadline);
    arena_release(&request->arena);
    free(request);
}

void meta_cancel(struct meta *meta, struct meta_request *request)
{
    check(request->meta == meta);
    drop(request);
}

static void time_out(struct meta_request *request)
{
    meta_done *done = request->done;
    void *arg = request->arg;
    request->meta->requests_timed_out++;
    drop(request);
    done(arg, KAFKA_REQUEST_TIMED_OUT, NULL);
}

static void deadline_passed(struct timer *timer)
{
    time_out(container_of(timer, struct meta_request, deadline));
}

void meta_requests_end(struct meta *meta)
{
    struct list *first;
    timer_cancel(&meta->again);
    while ((first = list_first(&meta->requests)) != NULL) {
        time_out(container_of(first, struct meta_request, link));
    }
}

/* ---- finding ----------------------------------------------------------------------------------*/

struct meta_request *meta_request_find(struct meta *meta, int64_t sequence)
{
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        if (sequence >= r->sequence && sequence < r->sequence + (int64_t)r->n_items) {
            return r;
        }
    }
    return NULL;
}

struct command_id meta_request_id(const struct meta_request *request)
{
    struct meta *meta = request->meta;
    const struct list *first = list_first(&meta->requests);
    return (struct command_id){
        .node = meta->node_id, .incarnation = meta->incarnation, .sequence = request->sequence,
        .open = container_of(first, struct meta_request, link)->sequence };
}

/* ---- asking -----------------------------------------------------------------------------------*/

static void ask(struct meta *meta, struct meta_request *request, int32_t controller)
{
    struct command_id id = meta_request_id(request);
    request->asked = controller;
    request->asked_ns = loop_now_ns(meta->loop);
    if (controller == meta->node_id) {
        meta_controller_ask(meta, request->kind, &id, request, request->encoded,
                            request->deadline_ns);
    } else {
        meta_send_request(meta, controller, request);
        if (!timer_is_set(&meta->again)) {
            timer_set_in(&meta->again, ASK_AGAIN_MS * NS_PER_MS);
        }
    }
}

/* Frames may be lost: what was not answered for some time is asked again. */
static void ask_again(struct timer *timer)
{
    struct meta *meta = container_of(timer, struct meta, again);
    uint64_t before_ns = loop_now_ns(meta->loop) - ASK_AGAIN_MS * NS_PER_MS / 2;
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        if (r->response == NULL && r->asked >= 0 && r->asked_ns < before_ns) {
            r->asked = -1;
        }
        if (r->response == NULL && !timer_is_set(&meta->again)) {
            timer_set_in(&meta->again, ASK_AGAIN_MS * NS_PER_MS);
        }
    }
    loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
}

void meta_requests_ask_anew(struct meta *meta, int32_t peer)
{
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        if (r->response == NULL && r->asked == peer) {
            r->asked = -1;
        }
    }
    loop_defer(meta->loop, LOOP_ADVANCE, &meta->work);
}

void meta_requests_renew(struct meta *meta)
{
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        r->response = NULL;
        r->asked = -1;
    }
}

/* ---- answers and results ----------------------------------------------------------------------*/

void meta_request_answer(struct meta_request *request, void *response, const bool *waits)
{
    request->response = response;
    memcpy(request->waits, waits, request->n_items * sizeof *waits);
    loop_defer(request->meta->loop, LOOP_ADVANCE, &request->meta->work);
}

static void note_result(struct meta_request *request, int64_t sequence, struct apply_result result)
{
    size_t item = (size_t)(sequence - request->sequence);
    if (result.error == KAFKA_NOT_CONTROLLER) {
        request->response = NULL; /* decided on another image: ask again */
        request->asked = -1;
    } else if (!request->seen[item]) {
        request->seen[item] = true;
        request->results[item] = result;
    }
}

void meta_requests_applied(struct meta *meta, const struct command_id *id,
                           struct apply_result result)
{
    struct meta_request *request = meta_request_find(meta, id->sequence);
    if (request != NULL) {
        note_result(request, id->sequence, result);
    }
}

void meta_requests_restored(struct meta *meta)
{
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        for (size_t i = 0; i < r->n_items; i++) {
            struct command_id id = meta_request_id(r);
            struct apply_result result;
            id.sequence = r->sequence + (int64_t)i;
            if (image_find_result(meta->image, &id, &result)) {
                note_result(r, id.sequence, result);
            }
        }
    }
}

static bool is_complete(const struct meta_request *request)
{
    for (size_t i = 0; request->response != NULL && i < request->n_items; i++) {
        if (request->waits[i] && !request->seen[i]) {
            return false;
        }
    }
    return request->response != NULL;
}

/* The registration is answered when it is applied: from here on this node's image is as new as the
 * cluster was then, and changes are told. */
static void complete_registration(struct meta *meta, struct meta_register_broker_response *r)
{
    if (r->error == KAFKA_NONE) {
        r->cluster_id = text_of(image_cluster_id(meta->image));
        meta->caught_up = true;
        image_listen(meta->image, &meta->events->changes, meta->arg);
    }
}

/* A registration that was found done by the controller may not have been applied here yet. */
static bool is_applied_here(const struct meta *meta, const struct meta_request *request)
{
    const struct meta_register_broker_response *r = request->response;
    return request->kind != META_REGISTER_BROKER || r->error != KAFKA_NONE ||
           request->waits[0] || meta_broker_epoch(meta) == r->epoch;
}

static void complete(struct meta *meta, struct meta_request *request)
{
    for (size_t i = 0; i < request->n_items; i++) {
        if (request->waits[i]) {
            meta_response_settle(request->kind, request->response, i, request->results[i]);
        }
    }
    if (request->kind == META_REGISTER_BROKER) {
        complete_registration(meta, request->response);
    }
    /* Taken out first: the callback may ask, cancel, or close. */
    meta_controller_forget(meta, request);
    list_remove(&request->link);
    timer_cancel(&request->deadline);
    request->done(request->arg, KAFKA_NONE, request->response);
    arena_release(&request->arena);
    free(request);
}

static struct meta_request *find_complete(struct meta *meta)
{
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        if (is_complete(r) && is_applied_here(meta, r)) {
            return r;
        }
    }
    return NULL;
}

void meta_requests_work(struct meta *meta)
{
    struct meta_request *done;
    while (meta_runs(meta) && (done = find_complete(meta)) != NULL) {
        complete(meta, done);
    }
    int32_t controller = meta_controller(meta);
    list_each (it, &meta->requests) {
        struct meta_request *r = container_of(it, struct meta_request, link);
        if (meta_runs(meta) && controller >= 0 && r->response == NULL && r->asked != controller) {
            ask(meta, r, controller);
        }
    }
}
