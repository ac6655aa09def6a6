/* Timers. All of a loop's timers are in one heap behind one system timer, armed for the earliest;
 * an idle loop has no tick. A timer that was set runs once, in the events step. */
#ifndef CHRONIK_IO_TIMER_H
#define CHRONIK_IO_TIMER_H

#include <chronik/base/heap.h>
#include <chronik/io/loop.h>

/* Embedded in what it belongs to. */
struct timer {
    struct heap_node node;
    struct loop *loop;
    void (*fired)(struct timer *timer);
};

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(struct timer *timer));

/* Sets (or sets anew) the timer to a time of loop_now_ns(), or to a delay from it. Fires at or
 * after that time, to a millisecond. */
void timer_set_at(struct timer *timer, uint64_t at_ns);
void timer_set_in(struct timer *timer, uint64_t delay_ns);

/* Harmless when the timer is not set. Must be called before its memory goes away. */
void timer_cancel(struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return heap_contains(&timer->node);
}

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#endif
