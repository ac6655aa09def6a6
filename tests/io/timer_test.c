/* Timers: order, cancelling, setting anew, never early. */
#include "io_test.h"

#include <chronik/io/timer.h>

struct ringer {
    struct timer timer;
    struct wait *wait;
    char name;
    char *log;
    uint64_t due_ns, fired_ns;
};

static void ring(struct timer *timer)
{
    struct ringer *ringer = container_of(timer, struct ringer, timer);
    size_t len = strlen(ringer->log);
    ringer->log[len] = ringer->name;
    ringer->log[len + 1] = '\0';
    ringer->fired_ns = loop_now_ns(timer->loop);
    happened(ringer->wait);
}

struct ringers {
    struct loop *loop;
    struct wait wait;
    char log[32];
    struct ringer a, b, c;
};

static void init_ringer(struct ringers *all, struct ringer *ringer, char name)
{
    *ringer = (struct ringer){ .wait = &all->wait, .name = name, .log = all->log };
    timer_init(&ringer->timer, all->loop, ring);
}

static void init(struct ringers *all, unsigned n)
{
    *all = (struct ringers){ .loop = new_loop() };
    wait_for(&all->wait, all->loop, n);
    init_ringer(all, &all->a, 'a');
    init_ringer(all, &all->b, 'b');
    init_ringer(all, &all->c, 'c');
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct ringers all;
    init(&all, 3);
    timer_set_in(&all.c.timer, 12 * NS_PER_MS);
    timer_set_in(&all.a.timer, 4 * NS_PER_MS);
    timer_set_in(&all.b.timer, 8 * NS_PER_MS);
    loop_run(all.loop);
    assert_string_equal(all.log, "abc");
    loop_free(all.loop);
}

static void timers_of_one_time_fire_in_the_order_of_setting(void **state)
{
    (void)state;
    struct ringers all;
    init(&all, 3);
    uint64_t at_ns = loop_now_ns(all.loop) + NS_PER_MS;
    timer_set_at(&all.b.timer, at_ns);
    timer_set_at(&all.a.timer, at_ns);
    timer_set_at(&all.c.timer, 0); /* long past */
    loop_run(all.loop);
    assert_string_equal(all.log, "cba");
    loop_free(all.loop);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    struct ringers all;
    init(&all, 1);
    timer_cancel(&all.a.timer);
    timer_set_in(&all.a.timer, NS_PER_MS);
    timer_set_in(&all.b.timer, 5 * NS_PER_MS);
    assert_true(timer_is_set(&all.a.timer));
    timer_cancel(&all.a.timer);
    assert_false(timer_is_set(&all.a.timer));
    loop_run(all.loop);
    assert_string_equal(all.log, "b");
    assert_false(timer_is_set(&all.b.timer));
    loop_free(all.loop);
}

static void setting_anew_moves_a_timer(void **state)
{
    (void)state;
    struct ringers all;
    init(&all, 2);
    timer_set_in(&all.a.timer, NS_PER_MS);
    timer_set_in(&all.b.timer, 1000 * NS_PER_S);
    timer_set_in(&all.a.timer, 10 * NS_PER_MS);
    timer_set_in(&all.b.timer, 5 * NS_PER_MS);
    loop_run(all.loop);
    assert_string_equal(all.log, "ba");
    loop_free(all.loop);
}

static void timers_never_fire_early(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct ringers all;
        init(&all, 1);
        uint64_t due_ns = loop_clock_ns(all.loop) + i * 100000 + 37;
        timer_set_at(&all.a.timer, due_ns);
        loop_run(all.loop);
        assert_true(all.a.fired_ns >= due_ns);
        loop_free(all.loop);
    }
}

struct repeater {
    struct timer timer;
    struct wait wait;
    struct loop_task turn;
    unsigned fired, turns;
};

static void repeat(struct timer *timer)
{
    struct repeater *repeater = container_of(timer, struct repeater, timer);
    repeater->fired++;
    loop_defer(timer->loop, LOOP_ADVANCE, &repeater->turn);
    if (repeater->fired < 5) {
        timer_set_in(timer, 0);
    }
    happened(&repeater->wait);
}

static void count_turn(struct loop_task *task)
{
    container_of(task, struct repeater, turn)->turns++;
}

static void a_timer_that_sets_itself_lets_each_turn_end(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct repeater repeater = { .fired = 0 };
    wait_for(&repeater.wait, loop, 5);
    timer_init(&repeater.timer, loop, repeat);
    loop_task_init(&repeater.turn, count_turn);
    timer_set_in(&repeater.timer, 0);
    loop_run(loop);
    assert_int_equal(repeater.fired, 5);
    assert_int_equal(repeater.turns, 5);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_the_order_of_their_times),
        cmocka_unit_test(timers_of_one_time_fire_in_the_order_of_setting),
        cmocka_unit_test(a_cancelled_timer_does_not_fire),
        cmocka_unit_test(setting_anew_moves_a_timer),
        cmocka_unit_test(timers_never_fire_early),
        cmocka_unit_test(a_timer_that_sets_itself_lets_each_turn_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
