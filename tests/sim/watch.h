/* What must hold after every turn of every broker, whatever happens:
 *
 *   Raft        one leader per term; an index that is committed has one term; at one index, all
 *               images have one hash; what is applied never goes back in one life
 *   replicas    one leader per partition and epoch; an offset and an epoch have one content
 *               wherever they are found; the high watermark of a leader never goes back, and is
 *               not above the durable end of any member of its in-sync set, dead ones included;
 *               who becomes leader has everything that is committed, unchanged; who joins an
 *               in-sync set has it, too
 *               replicas that end with one batch know the same of producers
 *   storage     what a broker said was durable is there after its next start, unchanged
 *
 * The watch looks into brokers with the product's own headers; it changes nothing. */
#ifndef CHRONIK_TESTS_SIM_WATCH_H
#define CHRONIK_TESTS_SIM_WATCH_H

#include "node.h"

struct watch;

struct watch *watch_new(struct node *nodes, unsigned n_nodes);

/* After a turn of that node. */
void watch_turn(struct watch *watch, struct node *node);

/* Its process has ended; what is durable must be found again, or known to be damaged. */
void watch_ended(struct watch *watch, const struct node *node);

/* Nothing goes wrong any more. Does every partition have a leader, are all its replicas in sync, is
 * everything committed, and have all nodes applied the same metadata? Says on the trace what is
 * missing, if told to. */
bool watch_is_whole(struct watch *watch, bool explain);

/* So it is: all replicas of a partition must have what is committed. */
void watch_finish(struct watch *watch);

/* Losses of this topic do not count: unclean elections are allowed there. */
void watch_allow_loss(struct watch *watch, const char *topic);

#endif
