/* What the process does when somebody outside asks: signals, and the watchdog of systemd.
 *
 *   SIGTERM, SIGINT   a clean stop; the second one ends it at once
 *   SIGHUP            levels of messages, as the properties file says now
 *   SIGUSR1           where everything stands, as messages (state_dump.c) */
#ifndef CHRONIK_CHRONIKD_SIGNALS_H
#define CHRONIK_CHRONIKD_SIGNALS_H

#include "broker.h"

struct signals {
    struct broker *broker;
    const struct options_source *source; /* to be read again */
    struct timer watchdog;
    uint64_t watchdog_ns; /* 0: nobody watches */
};

/* Begins to listen; `signals` stays until the loop has ended. */
void signals_start(struct signals *signals, struct broker *broker,
                   const struct options_source *source);

/* Says where everything stands: a few lines, and one for each of up to STATE_PARTITIONS_MAX
 * partitions, those that are not as they should be first. */
enum { STATE_PARTITIONS_MAX = 500 };
void state_dump(struct broker *broker);

#endif
