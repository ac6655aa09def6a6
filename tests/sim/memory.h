/* Memory by owner: what a process of the simulation has allocated goes away with it, as with kill
 * -9. The linker redirects malloc() and its kin of the whole program to here (--wrap). */
#ifndef CHRONIK_TESTS_SIM_MEMORY_H
#define CHRONIK_TESTS_SIM_MEMORY_H

#include <chronik/base/list.h>

struct memory {
    struct list blocks;
    size_t n; /* blocks */
};

void memory_init(struct memory *memory);

/* From now on allocations belong to `memory` (NULL: to the simulator). Returns whose they were. */
struct memory *memory_enter(struct memory *memory);

/* Frees all of it; NULL: all that the simulator has allocated. */
void memory_drop(struct memory *memory);

#endif
