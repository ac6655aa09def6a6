/* Lifecycles as declared tables: every state, the moves it allows, and what must hold in it.
 *
 *     static const struct state CONN_STATES[] = {
 *         [CONN_OPEN]    = { "open", .next = STATE(CONN_CLOSING), .initial = true },
 *         [CONN_CLOSING] = { "closing", .next = STATE(CONN_CLOSED) },
 *         [CONN_CLOSED]  = { "closed" },
 *     };
 *     state_move(CONN_STATES, &conn->state, CONN_CLOSING, conn);
 */
#ifndef CHRONIK_BASE_STATES_H
#define CHRONIK_BASE_STATES_H

#include <chronik/base/mem.h>

struct state {
    const char *name;
    uint32_t next; /* bit set of the states that may follow: STATE(a) | STATE(b) */
    bool initial;
    bool (*invariant)(const void *object); /* must hold on entry; NULL: nothing to check */
};

#define STATE(n) (UINT32_C(1) << (n))

/* Moves `*state` to `next`; a move that the table does not allow is a bug and ends the process. */
void state_move(const struct state *table, unsigned *state, unsigned next, const void *object);

/* Enters the first state, which the table marks initial. */
void state_start(const struct state *table, unsigned *state, unsigned first, const void *object);

#endif
