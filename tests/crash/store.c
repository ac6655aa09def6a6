/* crash_store: load straight on the storage layer.
 *
 *     crash_store write -d DIRECTORY -a ACKED -n LOGS -R RUN -S SEED    until SIGTERM
 *     crash_store check -d DIRECTORY -a ACKED -n LOGS                   compares
 *
 * Prints what recovery found. */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>

const struct uuid STORE_TOPIC = { { 0xc8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };

static void print_recovery(const struct store_session *session)
{
    const struct store_recovery *r = store_recovery(session->store);
    printf("opened%s%s, %" PRIu64 " logs, %" PRIu64 " damaged, %" PRIu64 " bytes replayed, %" PRIu64
           " us\n",
           r->fresh ? " fresh" : "", r->clean ? " clean" : "", r->logs, r->damaged_logs,
           r->replayed_bytes, r->duration_ns / 1000);
    fflush(stdout);
}

static void opened(void *arg, int error, const char *message)
{
    struct store_session *session = arg;
    if (error != 0) {
        printf("not opened: %s: %s\n", strerror(-error), message);
        session->code = 3;
        loop_stop(session->loop);
        return;
    }
    print_recovery(session);
    session->ready(session);
}

/* Nothing is acknowledged any more: there is nothing left to do. */
static void failed(void *arg, int error, const char *message)
{
    (void)arg;
    printf("offline: %s: %s\n", strerror(-error), message);
    fflush(stdout);
    _Exit(4);
}

static void room(void *arg)
{
    (void)arg;
}

static const struct store_events EVENTS = { .opened = opened, .failed = failed, .room = room };

static enum loop_backend backend_of(const char *name)
{
    return strcmp(name, "uring") == 0     ? LOOP_URING
           : strcmp(name, "threads") == 0 ? LOOP_THREADS
                                          : LOOP_AUTO;
}

int store_session_run(struct store_session *session)
{
    /* Small and quick: chunks are used again, segments roll and checkpoints come all the time. */
    static const struct store_config CONFIG = {
        .tail_bytes = MIB(4),
        .journal_bytes_max = MIB(4),
        .journal_chunk_bytes = KIB(512),
        .group_bytes_max = KIB(128),
        .open_files_max = 16,
        .reserve_bytes = MIB(1),
        .checkpoint_max_ns = UINT64_C(300000000),
        .checkpoint_idle_ns = UINT64_C(100000000),
        .write_age_ns = UINT64_C(30000000),
        .delete_delay_ns = UINT64_C(50000000),
    };
    int error = loop_new(backend_of(session->options->io), &session->loop);
    if (error != 0) {
        fprintf(stderr, "no loop: %s\n", strerror(-error));
        return 2;
    }
    session->store =
        store_open(session->loop, session->options->directory, &CONFIG, &EVENTS, session);
    loop_run(session->loop);
    store_free(session->store);
    loop_free(session->loop);
    return session->code;
}

static void closed(void *arg, int error)
{
    struct store_session *session = arg;
    if (error != 0) {
        printf("not closed: %s\n", strerror(-error));
        session->code = 4;
    }
    loop_stop(session->loop);
}

void store_session_close(struct store_session *session)
{
    store_close(session->store, 1, closed, session);
}

int main(int argc, char **argv)
{
    static const struct load_command COMMANDS[] = {
        { "write", store_write },
        { "check", store_check },
    };
    return load_main(argc, argv, COMMANDS, countof(COMMANDS));
}
