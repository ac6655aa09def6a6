/* The measured window, and the CPU time that passes in it. */
#include "loadgen.h"

#include <stdio.h>
#include <unistd.h>

void window_plan(struct window *w, const struct options *o)
{
    *w = (struct window){ .pid = (int)o->pid };
    w->from_ns = now_ns() + (uint64_t)o->warmup_ms * 1000000;
    w->until_ns = w->from_ns + (uint64_t)o->seconds_ms * 1000000;
}

/* Adds (or takes away, to begin with) what the clocks of CPU time say. */
static void note_cpu(struct window *w, bool begin)
{
    uint64_t sign = begin ? UINT64_MAX : 1; /* times -1 or 1 */
    w->broker_ns += sign * cpu_of(w->pid);
    w->own_ns += sign * cpu_of(getpid());
    w->all_ns += sign * cpu_of_all();
}

void window_tick(struct window *w, uint64_t now)
{
    if (!w->began && now >= w->from_ns) {
        w->began = true;
        note_cpu(w, true);
        w->began_ns = now_ns();
        w->until_ns += w->began_ns - w->from_ns;
    } else if (w->began && !w->ended && now >= w->until_ns) {
        w->ended = true;
        w->ended_ns = now_ns();
        note_cpu(w, false);
    }
}

double window_seconds(const struct window *w)
{
    return (double)(w->ended_ns - w->began_ns) / 1e9;
}

void window_print(const struct window *w)
{
    double seconds = window_seconds(w);
    double foreign = (double)w->all_ns - (double)w->broker_ns - (double)w->own_ns;
    double capacity = seconds * 1e9 * (double)sysconf(_SC_NPROCESSORS_ONLN);
    printf(" seconds=%.3f broker_cpu_s=%.3f client_cpu_s=%.3f foreign_percent=%.1f", seconds,
           (double)w->broker_ns / 1e9, (double)w->own_ns / 1e9,
           foreign > 0 ? foreign * 100 / capacity : 0.0);
}
