/* loadgen: load on a Kafka broker over raw sockets, measured.
 *
 *   loadgen MODE [--name value]… [-- COMMAND…]
 *
 * prints one line of key=value. Modes: create (topics), produce (closed or open loop; latency
 * counts from when a request was due), round (one record to each of N partitions, until all are
 * acknowledged), fetch, storm (connect, ApiVersions, close), idle (hold connections), first (start
 * COMMAND, wait for its first acknowledgement). */
#include "loadgen.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

struct setting {
    const char *name;
    int64_t *number; /* either */
    const char **text;
};

static const struct {
    const char *name;
    void (*run)(const struct options *o);
} MODES[] = {
    { "create", run_create }, { "produce", run_produce }, { "round", run_round },
    { "fetch", run_fetch },
    { "e2e", run_e2e },       { "storm", run_storm },     { "idle", run_idle },
    { "first", run_first },
};

static void set(struct options *o, const char *name, const char *value)
{
    const struct setting settings[] = {
        { .name = "connect", .text = &o->connect },
        { .name = "topic", .text = &o->topic },
        { .name = "log", .text = &o->log },
        { .name = "pid-file", .text = &o->pid_file },
        { .name = "partitions", .number = &o->partitions },
        { .name = "topics", .number = &o->topics },
        { .name = "size", .number = &o->size },
        { .name = "records", .number = &o->records },
        { .name = "connections", .number = &o->connections },
        { .name = "inflight", .number = &o->inflight },
        { .name = "acks", .number = &o->acks },
        { .name = "rate", .number = &o->rate },
        { .name = "requests", .number = &o->requests },
        { .name = "max-bytes", .number = &o->max_bytes },
        { .name = "count", .number = &o->count },
        { .name = "pid", .number = &o->pid },
        { .name = "ms", .number = &o->seconds_ms },
        { .name = "warmup-ms", .number = &o->warmup_ms },
        { .name = "ids", .number = &o->ids },
        { .name = "loop", .number = &o->loop },
    };
    for (size_t i = 0; i < countof(settings); i++) {
        if (strcmp(settings[i].name, name) == 0) {
            if (settings[i].text != NULL) {
                *settings[i].text = value;
            } else if (!text_to_i64(text_of(value), settings[i].number)) {
                fail("--%s: not a number: %s", name, value);
            }
            return;
        }
    }
    fail("unknown option --%s", name);
}

int main(int argc, char **argv)
{
    struct options o = {
        .mode = argc > 1 ? argv[1] : "",
        .connect = "127.0.0.1:9092",
        .topic = "bench",
        .log = "/dev/null",
        .partitions = 1,
        .topics = 1,
        .size = 100,
        .records = 1,
        .connections = 1,
        .inflight = 1,
        .acks = 1,
        .requests = 1,
        .max_bytes = 1 << 20,
        .count = 1000,
        .seconds_ms = 3000,
        .warmup_ms = 500,
        .ids = 1,
    };
    int at = 2;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0 && argv[at][2] != '\0'; at += 2) {
        set(&o, argv[at] + 2, argv[at + 1]);
    }
    if (at < argc && strcmp(argv[at], "--") == 0) {
        o.command = argv + at + 1;
    } else if (at < argc) {
        fail("not understood: %s", argv[at]);
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (size_t i = 0; i < countof(MODES); i++) {
        if (strcmp(MODES[i].name, o.mode) == 0) {
            MODES[i].run(&o);
            return 0;
        }
    }
    fail("usage: loadgen create|produce|round|fetch|e2e|storm|idle|first [--name value]... "
         "[-- command]");
}
