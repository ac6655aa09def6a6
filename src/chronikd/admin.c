/* The HTTP listener for people and monitoring: is it alive, does it serve, what does it count. */
#include "broker.h"

#include <errno.h>

static const char *const STATE_TEXT[] = {
    [BROKER_RECOVERING] = "recovering the log directory",
    [BROKER_JOINING] = "waiting for a leader of the metadata group",
    [BROKER_REPORTING] = "waiting until the topics of this directory are settled",
    [BROKER_SERVING] = "serving",
    [BROKER_STOPPING] = "stopping",
    [BROKER_STOPPED] = "stopped",
};

static void live(struct broker *broker, struct http_reply *reply)
{
    buf_printf(&reply->body, "alive: %s\n", STATE_TEXT[broker->state]);
}

static void ready(struct broker *broker, struct http_reply *reply)
{
    bool stands_back = broker->lost || broker->hangs;
    bool serves = broker->state == BROKER_SERVING;
    reply->status = serves && !stands_back ? 200 : 503;
    buf_printf(&reply->body, "%s\n",
               !serves || !stands_back ? STATE_TEXT[broker->state]
               : broker->lost          ? "standing back: no controller is heard"
                                       : "standing back: the disk hangs");
}

static void metrics(struct broker *broker, struct http_reply *reply)
{
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(&broker->metrics, &reply->body);
}

static const struct {
    const char *path;
    void (*answer)(struct broker *broker, struct http_reply *reply);
} PATHS[] = {
    { "/livez", live },
    { "/readyz", ready },
    { "/metrics", metrics },
};

static void handle(void *arg, const char *path, struct http_reply *reply)
{
    for (size_t i = 0; i < countof(PATHS); i++) {
        if (strcmp(path, PATHS[i].path) == 0) {
            PATHS[i].answer(arg, reply);
            return;
        }
    }
    reply->status = 404;
    buf_printf(&reply->body, "not found; there are /livez, /readyz and /metrics\n");
}

static void collect_process(struct buf *out, void *arg)
{
    struct process_usage usage;
    (void)arg;
    process_usage(&usage);
    metrics_write_head(out, "process_cpu_seconds_total", "counter", "CPU time used.");
    metrics_write_value(out, "process_cpu_seconds_total", "", usage.cpu_s);
    metrics_write_head(out, "process_resident_memory_bytes", "gauge", "Memory in use.");
    metrics_write_value(out, "process_resident_memory_bytes", "", (double)usage.resident);
    metrics_write_head(out, "process_open_fds", "gauge", "Open files.");
    metrics_write_value(out, "process_open_fds", "", (double)usage.open_files);
    metrics_write_head(out, "process_start_time_seconds", "gauge", "Start, Unix time.");
    metrics_write_value(out, "process_start_time_seconds", "", usage.started_s);
}

static void collect_build(struct buf *out, void *arg)
{
    (void)arg;
    metrics_write_head(out, "chronikd_build_info", "gauge", "The version that runs.");
    metrics_write_value(out, "chronikd_build_info", "version=\"" CHRONIK_VERSION "\"", 1);
}

int admin_open(struct broker *broker)
{
    const struct options *options = broker->options;
    metrics_collector(&broker->metrics, collect_build, NULL);
    metrics_collector(&broker->metrics, collect_process, NULL);
    if (options->admin_host == NULL) {
        return 0;
    }
    int error = http_open(broker->loop, options->admin_host, options->admin_port, handle, broker,
                          &broker->http);
    if (error != 0) {
        diag_error(broker->diag, DIAG_BROKER,
                   "cannot listen for HTTP: %s; change chronik.admin.listener (empty: none) "
                   "at=%s:%u",
                   strerror(-error), options->admin_host, options->admin_port);
        return error == -EADDRINUSE || error == -EADDRNOTAVAIL ? EXIT_UNAVAILABLE : EXIT_FATAL;
    }
    return 0;
}
