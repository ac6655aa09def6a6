/* crash_store: load straight on the storage layer, without a broker, so that thousands of crashes
 * fit into minutes. */
#ifndef CHRONIK_TESTS_CRASH_STORE_H
#define CHRONIK_TESTS_CRASH_STORE_H

#include "load.h"

#include <chronik/storage/log.h>

/* An open store and its loop. */
struct store_session {
    const struct load_options *options;
    struct loop *loop;
    struct store *store;
    int code; /* what the program will exit with */
    void (*ready)(struct store_session *session);
    void *arg; /* for `ready` */
};

/* Opens the directory and runs the loop until somebody stops it. `ready` is called once the store
 * is open. Ends with 3 when the directory cannot be opened, with 4 when it goes offline. */
int store_session_run(struct store_session *session);

/* Closes the store cleanly and stops the loop. */
void store_session_close(struct store_session *session);

/* The topic id of the only topic. */
extern const struct uuid STORE_TOPIC;

/* The commands. */
int store_write(const struct load_options *options);
int store_check(const struct load_options *options);

#endif
