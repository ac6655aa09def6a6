/* Ways between machines, and what travels on connections. */
#include "network_inside.h"

struct network *network;

void network_open(struct network *to, uint64_t latency_ns)
{
    *to = (struct network){ .window = KIB(256), .shred = 10 };
    list_init(&to->connections);
    for (unsigned i = 0; i < WORLD_MACHINES_MAX; i++) {
        for (unsigned j = 0; j < WORLD_MACHINES_MAX; j++) {
            to->paths[i][j].latency_ns = i == j ? 10000 : between(latency_ns / 2, latency_ns * 2);
        }
    }
    network = to;
}

static void connection_free(struct connection *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &c->sides[i];
        event_cancel(&side->arrival);
        for (struct list *link; (link = list_pop_front(&side->sent)) != NULL;) {
            free(container_of(link, struct segment, link));
        }
        list_remove(&side->accept);
        buf_release(&side->in);
    }
    event_cancel(&c->greeting);
    list_remove(&c->link);
    network->n_connections--;
    free(c);
}

void network_close(struct network *n)
{
    list_each (it, &n->connections) {
        connection_free(container_of(it, struct connection, link));
    }
    network = NULL;
}

struct path *path_between(const struct side *from, const struct side *to)
{
    return &network->paths[from->machine->index][to->machine->index];
}

uint64_t travel_ns(const struct path *path)
{
    uint64_t ns = duration_around(path->latency_ns);
    return max_u64(world->now_ns + ns, path->clogged_until_ns) - world->now_ns;
}

/* ---- sending ----------------------------------------------------------------------------------*/

static void arrive(struct event *event);

struct side *other_side(struct side *side)
{
    return &side->connection->sides[side == &side->connection->sides[0]];
}

static void set_arrival(struct side *side)
{
    struct list *first = list_first(&side->sent);
    if (first != NULL && !event_is_set(&side->arrival)) {
        event_at(&side->arrival, container_of(first, struct segment, link)->at_ns);
    }
}

void side_send(struct side *side, enum segment_kind kind, const struct slice *slices, size_t n,
               size_t len)
{
    struct memory *was = memory_enter(NULL);
    struct segment *segment = mem_zalloc(sizeof *segment + len);
    size_t at = 0;
    for (size_t i = 0; i < n && at < len; i++) {
        size_t part = min_u64(slices[i].bytes.len, len - at);
        memcpy(segment->data + at, slices[i].bytes.data, part);
        at += part;
    }
    segment->kind = kind;
    segment->len = len;
    segment->at_ns =
        max_u64(side->last_ns, world->now_ns + travel_ns(path_between(side, other_side(side))));
    side->last_ns = segment->at_ns;
    side->in_flight += len;
    list_push_back(&side->sent, &segment->link);
    note_bytes(segment->data, len);
    memory_enter(was);
    set_arrival(side);
}

size_t side_room(struct side *side)
{
    const struct side *to = other_side(side);
    size_t used = side->in_flight + side->unacknowledged + (to->in.len - to->in_at);
    return used < network->window ? network->window - used : 0;
}

static void forget_sent(struct side *side)
{
    for (struct list *link; (link = list_pop_front(&side->sent)) != NULL;) {
        free(container_of(link, struct segment, link));
    }
    side->in_flight = 0;
    event_cancel(&side->arrival);
}

static void free_if_over(struct connection *c)
{
    struct side *a = &c->sides[0], *b = &c->sides[1];
    if (a->closed && b->closed && list_empty(&a->sent) && list_empty(&b->sent) &&
        !event_is_set(&c->greeting)) {
        connection_free(c);
    }
}

void side_close(struct side *side, bool reset)
{
    struct connection *c = side->connection;
    side->stream = NULL;
    if (side->closed) {
        return;
    }
    side->closed = true;
    list_remove(&side->accept);
    if (!c->greeted) { /* nobody has ever heard of it */
        event_cancel(&c->greeting);
        c->sides[1].closed = c->sides[0].closed = true;
    } else {
        side_send(side, reset || side->in.len > side->in_at ? SEGMENT_RESET : SEGMENT_END, NULL, 0,
                  0);
    }
    free_if_over(c);
}

/* ---- arriving ---------------------------------------------------------------------------------*/

static void be_reset(struct side *side)
{
    forget_sent(side);
    side->reset = true;
    if (side->stream != NULL) {
        stream_happens(side->stream);
    }
}

/* Something came for a connection that this end does not know (any more). */
static void answer_with_reset(struct side *from, struct side *to)
{
    (void)to;
    if (!from->closed) {
        be_reset(from);
    } else {
        forget_sent(from);
    }
}

static void deliver(struct side *from, struct side *to, struct segment *segment)
{
    struct memory *was = memory_enter(NULL);
    switch (segment->kind) {
    case SEGMENT_DATA:
        if (to->in_at == to->in.len) {
            to->in_at = 0;
            buf_clear(&to->in);
        }
        buf_put(&to->in, segment->data, segment->len);
        break;
    case SEGMENT_END:
        to->ended = true;
        break;
    case SEGMENT_RESET:
        forget_sent(to);
        to->reset = true;
        break;
    }
    if (path_between(to, from)->cut) {
        from->unacknowledged += segment->len;
    }
    memory_enter(was);
    if (to->stream != NULL) {
        stream_happens(to->stream);
    }
}

/* The kernel tries again later, and then later still. */
static void try_again(struct side *side)
{
    enum { FIRST_MS = 200, MOST_MS = 120000 };
    side->retry_ms = side->retry_ms == 0 ? FIRST_MS : min_u64(side->retry_ms * 2, MOST_MS);
    event_in(&side->arrival, between(side->retry_ms / 2, side->retry_ms) * NS_PER_MS);
}

static void arrive(struct event *event)
{
    struct side *from = container_of(event, struct side, arrival), *to = other_side(from);
    struct segment *segment = container_of(list_first(&from->sent), struct segment, link);
    const struct path *path = path_between(from, to);
    bool lost = path->cut || !to->machine->powered;
    if (lost && from->vanished) { /* nobody is there to try again */
        forget_sent(from);
        free_if_over(from->connection);
        return;
    }
    if (lost && segment->kind != SEGMENT_RESET) {
        try_again(from);
        return;
    }
    if (world->now_ns < path->clogged_until_ns) {
        event_at(event, path->clogged_until_ns);
        return;
    }
    from->retry_ms = 0;
    list_remove(&segment->link);
    from->in_flight -= segment->len;
    if (lost || (to->closed && segment->kind != SEGMENT_DATA)) {
        /* resets are sent once; and the last word needs no answer */
    } else if (to->closed) {
        answer_with_reset(from, to);
    } else {
        deliver(from, to, segment);
    }
    free(segment);
    set_arrival(from);
    free_if_over(from->connection);
}

/* ---- connecting -------------------------------------------------------------------------------*/

static void refuse(struct connection *c)
{
    c->sides[0].refused = true;
    stream_happens(c->sides[0].stream);
}

/* The first packet of a connection arrives; the answer takes the same time again. */
static void greet(struct event *event)
{
    struct connection *c = container_of(event, struct connection, greeting);
    struct side *from = &c->sides[0], *to = &c->sides[1];
    bool lost = path_between(from, to)->cut || path_between(to, from)->cut || !to->machine->powered;
    if (lost) {
        c->greeting_ms = c->greeting_ms == 0 ? 1000 : min_u64(c->greeting_ms * 2, 4000);
        event_in(event, c->greeting_ms * NS_PER_MS);
        return;
    }
    if (!c->greeted) {
        struct listener *listener = listener_find(to->machine, c->port);
        if (listener == NULL) {
            refuse(c);
            return;
        }
        c->greeted = true;
        listener_offer(listener, to);
        event_in(event, travel_ns(path_between(to, from)));
        return;
    }
    from->connected = true;
    if (from->stream != NULL) {
        stream_happens(from->stream);
    }
    free_if_over(c);
}

struct side *network_dial(struct machine *from, struct machine *to, uint16_t port,
                          struct stream *stream)
{
    struct memory *was = memory_enter(NULL);
    struct connection *c = mem_zalloc(sizeof *c);
    struct machine *machines[2] = { from, to };
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &c->sides[i];
        side->connection = c;
        side->machine = machines[i];
        list_init(&side->sent);
        list_init(&side->accept);
        event_init(&side->arrival, arrive);
    }
    c->sides[0].stream = stream;
    c->port = port;
    c->from_port = from->next_port++;
    event_init(&c->greeting, greet);
    list_push_back(&network->connections, &c->link);
    network->n_connections++;
    memory_enter(was);
    event_in(&c->greeting, travel_ns(path_between(&c->sides[0], &c->sides[1])));
    return &c->sides[0];
}

/* ---- what goes wrong --------------------------------------------------------------------------*/

/* What was received while the way back was cut is acknowledged at last. */
static void acknowledge_all(void)
{
    list_each (it, &network->connections) {
        struct connection *c = container_of(it, struct connection, link);
        for (unsigned i = 0; i < 2; i++) {
            struct side *side = &c->sides[i];
            if (side->unacknowledged > 0 && !path_between(other_side(side), side)->cut) {
                side->unacknowledged = 0;
                if (side->stream != NULL) {
                    stream_happens(side->stream);
                }
            }
        }
    }
}

void network_cut(const struct machine *from, const struct machine *to, bool cut)
{
    struct path *path = &network->paths[from->index][to->index];
    if (path->cut != cut) {
        note("network %s -> %s %s", from->name, to->name, cut ? "cut" : "healed");
        path->cut = cut;
        acknowledge_all();
    }
}

void network_heal(void)
{
    for (unsigned i = 0; i < world->n_machines; i++) {
        for (unsigned j = 0; j < world->n_machines; j++) {
            network_cut(world->machines[i], world->machines[j], false);
            network->paths[i][j].clogged_until_ns = 0;
        }
    }
}

void network_clog(const struct machine *from, const struct machine *to, uint64_t ns)
{
    note("network %s -> %s clogged for %.3f s", from->name, to->name, (double)ns / 1e9);
    network->paths[from->index][to->index].clogged_until_ns = world->now_ns + ns;
}

bool network_break_one(void)
{
    if (network->n_connections == 0) {
        return false;
    }
    uint64_t n = prng_below(&world->prng, network->n_connections);
    struct list *it = network->connections.next;
    while (n-- > 0) {
        it = it->next;
    }
    struct connection *c = container_of(it, struct connection, link);
    unsigned which = (unsigned)between(1, 3);
    note("connection %s:%u -> %s:%u breaks for %s", c->sides[0].machine->name, c->from_port,
         c->sides[1].machine->name, c->port, which == 3 ? "both" : "one end");
    for (unsigned i = 0; i < 2; i++) {
        if ((which & (1u << i)) != 0 && !c->sides[i].closed && c->sides[i].stream != NULL) {
            be_reset(&c->sides[i]);
        }
    }
    return true;
}

void network_die(struct machine *machine, bool tell)
{
    list_each (it, &network->connections) {
        struct connection *c = container_of(it, struct connection, link);
        bool both = c->sides[0].machine == machine && c->sides[1].machine == machine;
        for (unsigned i = 0; i < 2 && !both; i++) {
            struct side *side = &c->sides[i];
            if (side->machine != machine || side->closed || (i == 1 && !c->greeted)) {
                continue;
            }
            if (tell) {
                side_close(side, chance(50));
                break; /* it may be gone now */
            }
            side->stream = NULL;
            side->closed = side->vanished = true;
            list_remove(&side->accept);
            forget_sent(side);
            if (i == 0) {
                event_cancel(&c->greeting);
                c->sides[1].closed |= !c->greeted;
            }
            free_if_over(c);
            break;
        }
        if (both) {
            connection_free(c);
        }
    }
}
