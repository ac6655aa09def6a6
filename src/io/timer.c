/* Timers: one heap per loop behind one libuv timer, the alarm.
 *
 * Setting and cancelling only change the heap. Before the loop sleeps it sets the alarm for the
 * earliest timer, if that has changed; when the alarm rings, whatever is due fires. libuv counts in
 * milliseconds, so deadlines are rounded up to one: a timer never fires early. */
#include <chronik/io/timer.h>

#include "inside.h"

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(struct timer *timer))
{
    *timer = (struct timer){ .loop = loop, .fired = fired };
}

void timer_set_at(struct timer *timer, uint64_t at_ns)
{
    timer_cancel(timer);
    heap_insert(&timer->loop->timers, &timer->node, at_ns);
}

void timer_set_in(struct timer *timer, uint64_t delay_ns)
{
    uint64_t now_ns = loop_now_ns(timer->loop);
    timer_set_at(timer, delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX);
}

void timer_cancel(struct timer *timer)
{
    if (timer_is_set(timer)) {
        heap_remove(&timer->loop->timers, &timer->node);
    }
}

/* Fires what is due, but not what the fired ones set meanwhile: that waits for the next turn. */
static void alarm_rang(uv_timer_t *alarm)
{
    struct loop *loop = loop_of(alarm->loop);
    uint64_t now_ns = loop_now_ns(loop);
    uint64_t set_later = loop->timers.seq;

    loop->armed_ms = UINT64_MAX;
    for (struct heap_node *first; (first = heap_min(&loop->timers)) != NULL;) {
        if (first->key > now_ns || first->seq >= set_later) {
            break;
        }
        heap_remove(&loop->timers, first);
        struct timer *timer = container_of(first, struct timer, node);
        timer->fired(timer);
    }
}

void timers_arm(struct loop *loop)
{
    struct heap_node *first = heap_min(&loop->timers);
    if (first == NULL) {
        if (loop->armed_ms != UINT64_MAX) {
            loop->armed_ms = UINT64_MAX;
            uv_timer_stop(&loop->alarm);
        }
        return;
    }
    uint64_t due_ms = first->key / NS_PER_MS + (first->key % NS_PER_MS != 0);
    if (due_ms != loop->armed_ms) {
        uint64_t now_ms = uv_now(&loop->uv);
        loop->armed_ms = due_ms;
        uv_timer_start(&loop->alarm, alarm_rang, due_ms > now_ms ? due_ms - now_ms : 0, 0);
    }
}

void timers_open(struct loop *loop)
{
    heap_init(&loop->timers);
    loop->armed_ms = UINT64_MAX;
    check(uv_timer_init(&loop->uv, &loop->alarm) == 0);
}

void timers_close(struct loop *loop)
{
    check(heap_min(&loop->timers) == NULL);
    heap_release(&loop->timers);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
}
