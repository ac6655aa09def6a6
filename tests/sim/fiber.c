/* Fibers on ucontext(3). Stacks are kept for the next fiber; each ends at a page that cannot be
 * touched. AddressSanitizer is told of every switch. */
#include "fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)  ((void)(bottom))
#define __sanitizer_finish_switch_fiber(save, bottom, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(at, size)               ((void)0)
#endif

enum { STACK = 512 * 1024, GUARD = 4096 }; /* bytes */

struct fiber {
    ucontext_t here, back;
    struct list link; /* among free stacks */
    char *stack;
    void (*run)(void *arg);
    void *arg;
    bool ended;
    void *fake_stack; /* of AddressSanitizer */
    const void *back_bottom;
    size_t back_size;
};

static struct list idle = { &idle, &idle };
static struct fiber *current;

static void enter(void)
{
    struct fiber *fiber = current;
    __sanitizer_finish_switch_fiber(NULL, &fiber->back_bottom, &fiber->back_size);
    fiber->run(fiber->arg);
    fiber->ended = true;
    __sanitizer_start_switch_fiber(NULL, fiber->back_bottom, fiber->back_size);
    setcontext(&fiber->back);
}

static struct fiber *take_idle(void)
{
    struct list *link = list_pop_front(&idle);
    if (link != NULL) {
        return container_of(link, struct fiber, link);
    }
    struct memory *was = memory_enter(NULL);
    struct fiber *fiber = mem_zalloc(sizeof *fiber);
    memory_enter(was);
    list_init(&fiber->link);
    fiber->stack = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(fiber->stack != MAP_FAILED);
    check(mprotect(fiber->stack, GUARD, PROT_NONE) == 0);
    return fiber;
}

static void prepare(ucontext_t *context, char *stack)
{
    check(getcontext(context) == 0);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = NULL;
    makecontext(context, enter, 0);
}

struct fiber *fiber_new(void (*run)(void *arg), void *arg)
{
    struct fiber *fiber = take_idle();
    fiber->run = run;
    fiber->arg = arg;
    fiber->ended = false;
    fiber->fake_stack = NULL;
    ASAN_UNPOISON_MEMORY_REGION(fiber->stack + GUARD, STACK);
    prepare(&fiber->here, fiber->stack + GUARD);
    return fiber;
}

bool fiber_resume(struct fiber *fiber)
{
    void *fake_stack = NULL;
    check(current == NULL && !fiber->ended);
    current = fiber;
    __sanitizer_start_switch_fiber(&fake_stack, fiber->stack + GUARD, STACK);
    check(swapcontext(&fiber->back, &fiber->here) == 0);
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
    (void)fake_stack;
    current = NULL;
    return fiber->ended;
}

struct fiber *fiber_current(void)
{
    return current;
}

void fiber_yield(void)
{
    struct fiber *fiber = current;
    __sanitizer_start_switch_fiber(&fiber->fake_stack, fiber->back_bottom, fiber->back_size);
    check(swapcontext(&fiber->here, &fiber->back) == 0);
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->back_bottom, &fiber->back_size);
}

void *fiber_arg(const struct fiber *fiber)
{
    return fiber->arg;
}

void fiber_free(struct fiber *fiber)
{
    if (fiber != NULL) {
        list_push_front(&idle, &fiber->link);
    }
}

void fiber_forget_stacks(void)
{
    for (struct list *link; (link = list_pop_front(&idle)) != NULL;) {
        struct fiber *fiber = container_of(link, struct fiber, link);
        munmap(fiber->stack, GUARD + STACK);
        free(fiber);
    }
}
