/* The loop: the order of the steps, deferring, stopping, time, signals, sleep. */
#include "io_test.h"

#include <chronik/io/timer.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* A task that notes its letter, then defers another one. */
struct letter {
    struct loop_task task;
    struct loop *loop;
    char name;
    char *log;
    struct letter *then;
    enum loop_step then_step;
};

static void note(struct loop_task *task)
{
    struct letter *letter = container_of(task, struct letter, task);
    size_t len = strlen(letter->log);
    letter->log[len] = letter->name;
    letter->log[len + 1] = '\0';
    if (letter->then) {
        loop_defer(letter->loop, letter->then_step, &letter->then->task);
    }
}

struct stopper {
    struct loop_task task;
    struct loop *loop;
};

static void stop(struct loop_task *task)
{
    loop_stop(container_of(task, struct stopper, task)->loop);
}

/* One turn of what has been deferred. */
static void run_turn(struct loop *loop)
{
    struct stopper stopper = { .loop = loop };
    loop_task_init(&stopper.task, stop);
    loop_defer(loop, LOOP_SUBMIT, &stopper.task);
    loop_run(loop);
}

static void steps_run_in_order_and_again_until_nothing_is_left(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    char log[32] = "";
    struct letter letters[6]; /* a f s: one a step; g: deferred to flush by s; b: to advance by g */
    const char names[] = "afsgbx";
    for (unsigned i = 0; i < countof(letters); i++) {
        letters[i] = (struct letter){ .loop = loop, .name = names[i], .log = log };
        loop_task_init(&letters[i].task, note);
    }
    letters[2].then = &letters[3];
    letters[2].then_step = LOOP_FLUSH;
    letters[3].then = &letters[4];
    letters[3].then_step = LOOP_ADVANCE;
    letters[0].then = &letters[5]; /* x: to advance, by an advance task */
    letters[0].then_step = LOOP_ADVANCE;
    loop_defer(loop, LOOP_SUBMIT, &letters[2].task);
    loop_defer(loop, LOOP_FLUSH, &letters[1].task);
    loop_defer(loop, LOOP_ADVANCE, &letters[0].task);
    run_turn(loop);
    assert_string_equal(log, "axfsgb");
    loop_free(loop);
}

static void a_task_is_queued_once_and_can_be_cancelled(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    char log[32] = "";
    struct letter a = { .loop = loop, .name = 'a', .log = log };
    struct letter b = { .loop = loop, .name = 'b', .log = log };
    struct letter c = { .loop = loop, .name = 'c', .log = log };
    loop_task_init(&a.task, note);
    loop_task_init(&b.task, note);
    loop_task_init(&c.task, note);
    loop_task_cancel(&c.task);
    loop_defer(loop, LOOP_FLUSH, &a.task);
    loop_defer(loop, LOOP_FLUSH, &b.task);
    loop_defer(loop, LOOP_FLUSH, &c.task);
    loop_defer(loop, LOOP_FLUSH, &a.task);
    loop_defer(loop, LOOP_ADVANCE, &a.task);
    loop_task_cancel(&b.task);
    run_turn(loop);
    assert_string_equal(log, "ac");
    loop_defer(loop, LOOP_ADVANCE, &a.task);
    run_turn(loop);
    assert_string_equal(log, "aca");
    loop_free(loop);
}

static void stopped_by_timer(struct timer *timer)
{
    loop_stop(timer->loop);
}

static void a_stop_during_events_still_runs_the_steps_of_that_turn(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    char log[8] = "";
    struct letter a = { .loop = loop, .name = 'a', .log = log };
    loop_task_init(&a.task, note);
    struct timer timer;
    timer_init(&timer, loop, stopped_by_timer);
    timer_set_in(&timer, NS_PER_MS);
    loop_defer(loop, LOOP_ADVANCE, &a.task);
    loop_run(loop);
    assert_string_equal(log, "a");
    loop_free(loop);
}

struct clock_reader {
    struct timer timer;
    struct loop_task task;
    uint64_t event_ns, before_ns, after_ns;
};

static void read_in_events(struct timer *timer)
{
    struct clock_reader *reader = container_of(timer, struct clock_reader, timer);
    reader->event_ns = loop_now_ns(timer->loop);
    loop_defer(timer->loop, LOOP_SUBMIT, &reader->task);
}

static void read_in_step(struct loop_task *task)
{
    struct clock_reader *reader = container_of(task, struct clock_reader, task);
    struct loop *loop = reader->timer.loop;
    reader->before_ns = loop_now_ns(loop);
    usleep(2000);
    reader->after_ns = loop_now_ns(loop);
    assert_true(loop_clock_ns(loop) >= reader->after_ns + 2 * NS_PER_MS);
    loop_stop(loop);
}

static void the_time_of_a_turn_stands_still(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct clock_reader reader;
    timer_init(&reader.timer, loop, read_in_events);
    loop_task_init(&reader.task, read_in_step);
    timer_set_in(&reader.timer, NS_PER_MS);
    uint64_t start_ns = loop_clock_ns(loop);
    loop_run(loop);
    assert_true(reader.event_ns >= start_ns);
    assert_true(reader.event_ns == reader.before_ns && reader.event_ns == reader.after_ns);
    loop_free(loop);
}

static void wall_time_is_the_time_of_the_world(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t now = loop_wall_ms(loop);
    assert_true(now >= before - 1000 && now <= before + 60000);
    loop_free(loop);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    uint8_t a[300], b[300];
    loop_random(loop, a, sizeof a);
    loop_random(loop, b, sizeof b);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a + 268, b + 268, 32);
    loop_free(loop);
}

struct caught {
    struct wait wait;
    int signum;
};

static void on_signal(void *arg, int signum)
{
    struct caught *caught = arg;
    caught->signum = signum;
    happened(&caught->wait);
}

static void signals_arrive_as_events(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct caught term, hup;
    wait_for(&term.wait, loop, 1);
    wait_for(&hup.wait, loop, 1);
    assert_int_equal(loop_on_signal(loop, SIGTERM, on_signal, &term), 0);
    assert_int_equal(loop_on_signal(loop, SIGHUP, on_signal, &hup), 0);
    assert_int_equal(loop_on_signal(loop, SIGKILL, on_signal, &hup), -EINVAL);
    kill(getpid(), SIGTERM);
    loop_run(loop);
    assert_int_equal(term.signum, SIGTERM);
    kill(getpid(), SIGHUP);
    loop_run(loop);
    assert_int_equal(hup.signum, SIGHUP);
    loop_free(loop);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* An idle loop that spun or ticked would use far more than a hundredth of the time. */
static void an_idle_loop_sleeps(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct timer timer;
    timer_init(&timer, loop, stopped_by_timer);
    timer_set_in(&timer, 300 * NS_PER_MS);
    uint64_t before_ns = cpu_ns();
    loop_run(loop);
    uint64_t used_ns = cpu_ns() - before_ns;
    print_message("idle for 300 ms: %u us of CPU\n", (unsigned)(used_ns / 1000));
    assert_true(used_ns < 30 * NS_PER_MS);
    loop_free(loop);
}

static void the_backend_is_what_was_asked_for(void **state)
{
    (void)state;
    struct loop *loop;
    assert_int_equal(loop_new(LOOP_THREADS, &loop), 0);
    assert_int_equal(loop_backend(loop), LOOP_THREADS);
    loop_free(loop);
    int err = loop_new(LOOP_URING, &loop);
    if (err != 0) {
        print_message("io_uring is refused here: %s\n", strerror(-err));
        skip();
    }
    assert_int_equal(loop_backend(loop), LOOP_URING);
    loop_free(loop);
    loop_free(NULL);
}

/* What a container's profile does: the system call fails. In a process of its own, since there is
 * no way back. */
static int refuse_io_uring(int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = countof(code), .filter = code };
    struct loop *loop;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 77;
    }
    if (loop_new(LOOP_URING, &loop) != -err) {
        return 1;
    }
    if (loop_new(LOOP_AUTO, &loop) != 0 || loop_backend(loop) != LOOP_THREADS) {
        return 2;
    }
    loop_free(loop);
    return 0;
}

static void where_io_uring_is_refused_there_are_threads(void **state)
{
    (void)state;
    const int errors[] = { EPERM, ENOSYS, ENOMEM };
    for (unsigned i = 0; i < countof(errors); i++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(refuse_io_uring(errors[i]));
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
            print_message("system calls cannot be filtered here\n");
            skip();
        }
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_run_in_order_and_again_until_nothing_is_left),
        cmocka_unit_test(a_task_is_queued_once_and_can_be_cancelled),
        cmocka_unit_test(a_stop_during_events_still_runs_the_steps_of_that_turn),
        cmocka_unit_test(the_time_of_a_turn_stands_still),
        cmocka_unit_test(wall_time_is_the_time_of_the_world),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(signals_arrive_as_events),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(the_backend_is_what_was_asked_for),
        cmocka_unit_test(where_io_uring_is_refused_there_are_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
