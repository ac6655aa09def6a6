/* Mode first: starts a broker and measures the time from exec to the first acknowledged record.
 *
 * The broker goes on running; its process id is printed. The topic is created first if it is not
 * there. Until the broker listens, the connection is tried again every half millisecond. */
#include "loadgen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY_US = 500, PATIENCE_S = 300 };

static pid_t start(const struct options *o)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        int log = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        dup2(log, 1);
        dup2(log, 2);
        setsid();
        execvp(o->command[0], o->command);
        fprintf(stderr, "%s: %s\n", o->command[0], strerror(errno));
        _exit(127);
    }
    if (pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    FILE *file = o->pid_file != NULL ? fopen(o->pid_file, "w") : NULL;
    if (file != NULL) {
        fprintf(file, "%d\n", (int)pid);
        fclose(file);
    }
    return pid;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_AGAIN, ATTEMPT_BROKEN };

/* Sends one record. */
static enum attempt try_produce(struct conn *conn, const struct options *o, struct arena *arena)
{
    struct batch_builder builder;
    struct produce_response response;
    batch_builder_init(&builder);
    batch_builder_add(&builder, 1, bytes_of(NULL, 0), bytes_of("first", 5), bytes_of(NULL, 0), 0);
    struct produce_request_partition partition = {
        .records.view = batch_builder_finish(&builder),
    };
    struct produce_request_topic topic = { .name = text_of(o->topic),
                                           .partitions = &partition,
                                           .n_partitions = 1 };
    struct produce_request request = { .acks = (int16_t)o->acks,
                                       .timeout_ms = 30000,
                                       .topics = &topic,
                                       .n_topics = 1 };
    bool ok = conn_try_call(conn, &wire_produce, PRODUCE_VERSION, &request, arena, &response);
    batch_builder_release(&builder);
    if (!ok) {
        return ATTEMPT_BROKEN;
    }
    enum kafka_error error = (enum kafka_error)response.topics[0].partitions[0].error;
    if (error != KAFKA_NONE && !kafka_error_retriable(error)) {
        fail("first: %s", kafka_error_name(error));
    }
    return error == KAFKA_NONE ? ATTEMPT_DONE : ATTEMPT_AGAIN;
}

static void check_alive(pid_t pid, uint64_t begin)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid) {
        fail("first: the broker ended with status %d", status);
    }
    if (now_ns() - begin > PATIENCE_S * UINT64_C(1000000000)) {
        fail("first: no acknowledgement within %d s", PATIENCE_S);
    }
}

void run_first(const struct options *o)
{
    struct sockaddr_in at = client_address(o->connect);
    struct arena arena;
    struct conn conn;
    if (o->command == NULL || o->command[0] == NULL) {
        fail("first: no command behind --");
    }
    arena_init(&arena, 0);
    uint64_t begin = now_ns(), connected = 0;
    pid_t pid = start(o);
    for (enum attempt attempt = ATTEMPT_BROKEN; attempt != ATTEMPT_DONE;) {
        check_alive(pid, begin);
        if (conn_try(&conn, &at) < 0) {
            usleep(RETRY_US);
            continue;
        }
        if (connected == 0) {
            connected = now_ns();
        }
        if (topics_create(&conn, o->topic, 1, o->partitions)) {
            while ((attempt = try_produce(&conn, o, &arena)) == ATTEMPT_AGAIN) {
                check_alive(pid, begin);
                usleep(RETRY_US);
            }
        }
        conn_close(&conn);
    }
    printf("mode=first pid=%d first_ack_ms=%.2f connected_ms=%.2f\n", (int)pid,
           (double)(now_ns() - begin) / 1e6, (double)(connected - begin) / 1e6);
    arena_release(&arena);
}
