/* The simulated world: one clock, one source of chance, one queue of events.
 *
 * Nothing happens but by an event; events run one after the other in order of time, ties in the
 * order in which they were made. All chance comes from one generator. So a seed determines a life,
 * bit by bit. What happens is noted in a trace: a hash of all of it, and the last few thousand
 * lines for people. */
#ifndef CHRONIK_TESTS_SIM_WORLD_H
#define CHRONIK_TESTS_SIM_WORLD_H

#include <chronik/base/bytes.h>
#include <chronik/base/heap.h>
#include <chronik/base/random.h>

struct machine;

enum { WORLD_MACHINES_MAX = 16, TRACE_LINES = 4096 };

struct trace_line {
    uint64_t at_ns;
    char text[400];
};

struct world {
    uint64_t now_ns;
    struct prng prng;
    struct heap events;
    uint64_t n_events;

    struct machine *machines[WORLD_MACHINES_MAX];
    unsigned n_machines;
    struct machine *running; /* whose code runs right now; NULL: the simulator's own */

    uint64_t hash; /* of everything that was noted */
    struct trace_line lines[TRACE_LINES];
    uint64_t n_lines;
    bool verbose; /* lines go to stderr as well */
    bool detail;  /* and so do those of detail() */

    bool failed; /* the life is over: something that must hold does not */
    char why[512];
};

/* The one that lives now: file names are all that io/file.h gets, so it has to be found. */
extern struct world *world;

void world_open(struct world *to, uint64_t seed);
void world_close(struct world *w);

/* Runs events until `until_ns`, or until something failed. Then that is the time. */
void world_run(uint64_t until_ns);

/* Something that must hold does not. The first reason counts. */
void world_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- events -----------------------------------------------------------------------------------*/

/* Embedded in whatever it belongs to. */
struct event {
    struct heap_node node;
    void (*run)(struct event *event);
};

void event_init(struct event *event, void (*run)(struct event *event));
void event_at(struct event *event, uint64_t at_ns); /* sets it anew when it is set */
void event_in(struct event *event, uint64_t delay_ns);
void event_cancel(struct event *event);

static inline bool event_is_set(const struct event *event)
{
    return heap_contains(&event->node);
}

/* ---- chance -----------------------------------------------------------------------------------*/

/* Uniform, both ends included. */
static inline uint64_t between(uint64_t low, uint64_t high)
{
    return low + prng_below(&world->prng, high - low + 1);
}

static inline bool chance(unsigned percent)
{
    return prng_percent(&world->prng, percent);
}

/* True once in `n` times; never when n is 0. */
static inline bool once_in(uint64_t n)
{
    return n != 0 && prng_below(&world->prng, n) == 0;
}

/* A duration around `typical`: mostly near it, now and then ten times as long. */
uint64_t duration_around(uint64_t typical_ns);

/* ---- the trace --------------------------------------------------------------------------------*/

/* Notes what happened: the text, and numbers that are too much for it. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For whoever looks at one life closely: neither kept nor hashed. */
void detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Only into the hash: for what happens all the time. */
void note_number(uint64_t n);
void note_bytes(const void *data, size_t len);

#endif
