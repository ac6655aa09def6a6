/* The process, its messages, and its HTTP listener, as far as a simulated one has them. */
#include <chronik/io/http.h>
#include <chronik/io/process.h>

#include "io_inside.h"

uint64_t process_raise_file_limit(void)
{
    return MACHINE_FILES_MAX;
}

void process_ignore_sigpipe(void)
{
}

void process_usage(struct process_usage *ret_usage)
{
    *ret_usage = (struct process_usage){ 0 };
}

uint64_t process_memory_total(void)
{
    return world->running->manners.memory_bytes;
}

void process_notify(const char *state)
{
    note("%s: %s", world->running->name, state);
}

static void sink(struct diag *diag, enum diag_level level, enum diag_module module,
                 const char *message)
{
    (void)diag;
    note("%s %s [%s] %s", world->running->name, diag_level_name(level), diag_module_name(module),
         message);
}

void process_log_init(struct process_log *log, bool json, enum diag_level level)
{
    diag_init(&log->diag, level, sink);
    log->json = json;
    log->journal = false;
}

/* ---- HTTP -------------------------------------------------------------------------------------*/

struct http_server {
    uint16_t port;
};

int http_open(struct loop *loop, const char *host, uint16_t port, http_handle *handle, void *arg,
              struct http_server **ret_server)
{
    struct http_server *server = mem_zalloc(sizeof *server);
    (void)loop;
    (void)host;
    (void)handle;
    (void)arg;
    server->port = port;
    *ret_server = server;
    return 0;
}

void http_close(struct http_server *server)
{
    free(server);
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}
