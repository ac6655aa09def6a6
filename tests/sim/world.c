/* Time, chance, events and the trace of a simulated world. */
#include "world.h"

#include <chronik/base/map.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "memory.h"

struct world *world;

void world_open(struct world *to, uint64_t seed)
{
    *to = (struct world){ .hash = seed };
    prng_init(&to->prng, seed);
    heap_init(&to->events);
    world = to;
}

void world_close(struct world *w)
{
    heap_release(&w->events);
    world = NULL;
}

void world_run(uint64_t until_ns)
{
    struct heap_node *first;
    while (!world->failed && (first = heap_min(&world->events)) != NULL && first->key <= until_ns) {
        struct event *event = container_of(first, struct event, node);
        check(first->key >= world->now_ns);
        world->now_ns = first->key;
        world->n_events++;
        heap_remove(&world->events, first);
        note_number(world->now_ns);
        event->run(event);
    }
    if (!world->failed) {
        world->now_ns = until_ns;
    }
}

void world_fail(const char *fmt, ...)
{
    char why[sizeof world->why];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    note("FAILED: %s", why);
    if (!world->failed) {
        world->failed = true;
        memcpy(world->why, why, sizeof why);
    }
}

/* ---- events -----------------------------------------------------------------------------------*/

void event_init(struct event *event, void (*run)(struct event *event))
{
    *event = (struct event){ .run = run };
}

void event_at(struct event *event, uint64_t at_ns)
{
    struct memory *was = memory_enter(NULL); /* the heap's array is the simulator's */
    event_cancel(event);
    heap_insert(&world->events, &event->node, max_u64(at_ns, world->now_ns));
    memory_enter(was);
}

void event_in(struct event *event, uint64_t delay_ns)
{
    event_at(event, world->now_ns + delay_ns);
}

void event_cancel(struct event *event)
{
    if (event_is_set(event)) {
        heap_remove(&world->events, &event->node);
    }
}

/* ---- chance -----------------------------------------------------------------------------------*/

uint64_t duration_around(uint64_t typical_ns)
{
    uint64_t low = typical_ns / 2 + 1;
    return once_in(20) ? between(low, typical_ns * 10) : between(low, typical_ns + low);
}

/* ---- the trace --------------------------------------------------------------------------------*/

void note_number(uint64_t n)
{
    world->hash = hash_u64(world->hash, n);
}

void note_bytes(const void *data, size_t len)
{
    world->hash = hash_bytes(world->hash, data, len);
}

void note(const char *fmt, ...)
{
    struct trace_line *line = &world->lines[world->n_lines++ % TRACE_LINES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line->text, sizeof line->text, fmt, ap);
    va_end(ap);
    line->at_ns = world->now_ns;
    note_bytes(line->text, strlen(line->text));
    if (world->verbose) {
        fprintf(stderr, "%11.6f %s\n", (double)line->at_ns / 1e9, line->text);
    }
}

void detail(const char *fmt, ...)
{
    if (world->detail) {
        va_list ap;
        va_start(ap, fmt);
        fprintf(stderr, "%11.6f     ", (double)world->now_ns / 1e9);
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
        va_end(ap);
    }
}
