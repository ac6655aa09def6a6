/* Declared lifecycles. */
#include <chronik/base/states.h>

#include <stdio.h>

static void enter(const struct state *table, unsigned *state, unsigned next, const void *object)
{
    *state = next;
    check(table[next].invariant == NULL || table[next].invariant(object));
}

void state_start(const struct state *table, unsigned *state, unsigned first, const void *object)
{
    check(table[first].initial);
    enter(table, state, first, object);
}

void state_move(const struct state *table, unsigned *state, unsigned next, const void *object)
{
    if ((table[*state].next & STATE(next)) == 0) {
        fprintf(stderr, "chronikd: bug: no move from state '%s' to '%s'\n", table[*state].name,
                table[next].name);
    }
    check((table[*state].next & STATE(next)) != 0);
    enter(table, state, next, object);
}
