/* Fibers: jobs run on stacks of their own, so that a blocking call can take time, and a machine can
 * die in the middle of one. */
#ifndef CHRONIK_TESTS_SIM_FIBER_H
#define CHRONIK_TESTS_SIM_FIBER_H

#include <chronik/base/list.h>

struct fiber;

/* A fiber that will run `run(arg)` when it is resumed first. */
struct fiber *fiber_new(void (*run)(void *arg), void *arg);

/* Runs it until it yields or ends; true when it has ended. Not from inside a fiber. */
bool fiber_resume(struct fiber *fiber);

/* Forgets it, wherever it is. */
void fiber_free(struct fiber *fiber);

/* The running fiber, or NULL; and back to whoever resumed it. */
struct fiber *fiber_current(void);
void fiber_yield(void);

/* The argument that it was made with. */
void *fiber_arg(const struct fiber *fiber);

/* Gives back the stacks that are kept for later fibers. */
void fiber_forget_stacks(void);

#endif
