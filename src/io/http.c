/* The HTTP server: libmicrohttpd does the protocol, the loop does the waiting.
 *
 * Connections are accepted by an ordinary listener and handed to libmicrohttpd, which keeps them in
 * an epoll set of its own. That set's descriptor is polled like a socket; when it is readable, or
 * when libmicrohttpd wants to look at a time limit, MHD_run() does what is due and asks for
 * replies, which are ready at once. Without connections there is no timer and nothing is polled but
 * the listener and an empty set. */
#include <chronik/io/http.h>

#include "net_inside.h"

#include <chronik/io/timer.h>
#include <errno.h>
#include <microhttpd.h>
#include <unistd.h>

static const struct MHD_OptionItem OPTIONS[] = {
    { MHD_OPTION_CONNECTION_LIMIT, 64, NULL },
    { MHD_OPTION_CONNECTION_TIMEOUT, 10, NULL },             /* seconds */
    { MHD_OPTION_CONNECTION_MEMORY_LIMIT, 16 * 1024, NULL }, /* bytes for line and headers */
    { MHD_OPTION_END, 0, NULL },
};

struct http_server {
    struct loop *loop;
    struct listener *listener;
    struct MHD_Daemon *daemon;
    uv_poll_t poll; /* of libmicrohttpd's epoll set */
    struct timer timeout;
    http_handle *handle;
    void *arg;
    bool closing;
};

/* ---- answers ----------------------------------------------------------------------------------*/

static enum MHD_Result queue(struct MHD_Connection *connection, const struct http_reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_FREE);
    check(response != NULL);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result asked(void *arg, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_len, void **of_connection)
{
    struct http_server *server = arg;
    struct http_reply reply = {
        .status = MHD_HTTP_OK,
        .content_type = "text/plain; charset=utf-8",
    };
    (void)version;
    (void)upload;
    (void)upload_len;
    (void)of_connection;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        server->handle(server->arg, path, &reply);
    } else {
        reply.status = MHD_HTTP_METHOD_NOT_ALLOWED;
        buf_printf(&reply.body, "%s is not understood here: use GET\n", method);
    }
    return queue(connection, &reply);
}

/* ---- driving ----------------------------------------------------------------------------------*/

static void run(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (server->closing) {
        return;
    }
    MHD_run(server->daemon);
    if (server->closing) {
        return;
    }
    if (MHD_get_timeout(server->daemon, &ms) == MHD_YES) {
        timer_set_in(&server->timeout, ms * NS_PER_MS);
    } else {
        timer_cancel(&server->timeout);
    }
}

static void polled(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(container_of(poll, struct http_server, poll));
}

static void timed_out(struct timer *timer)
{
    run(container_of(timer, struct http_server, timeout));
}

static void accepted(void *arg, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct http_server *server = arg;
    MHD_add_connection(server->daemon, fd, peer, len); /* closes it when there are too many */
    run(server);
}

/* ---- life -------------------------------------------------------------------------------------*/

int http_open(struct loop *loop, const char *host, uint16_t port, http_handle *handle, void *arg,
              struct http_server **ret_server)
{
    struct http_server *server = mem_zalloc(sizeof *server);
    server->loop = loop;
    server->handle = handle;
    server->arg = arg;
    timer_init(&server->timeout, loop, timed_out);
    int err = listener_open_sockets(loop, host, port, accepted, server, &server->listener);
    if (err != 0) {
        free(server);
        return err;
    }
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
                                      asked, server, MHD_OPTION_ARRAY, OPTIONS, MHD_OPTION_END);
    if (server->daemon == NULL) {
        listener_close(server->listener);
        free(server);
        return -EMFILE; /* all that it needs is a descriptor */
    }
    int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    check(uv_poll_init(&loop->uv, &server->poll, fd) == 0);
    check(uv_poll_start(&server->poll, UV_READABLE, polled) == 0);
    *ret_server = server;
    return 0;
}

static void closed(uv_handle_t *poll)
{
    struct http_server *server = container_of(poll, struct http_server, poll);
    MHD_stop_daemon(server->daemon);
    free(server);
}

void http_close(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    server->closing = true;
    timer_cancel(&server->timeout);
    listener_close(server->listener);
    uv_close((uv_handle_t *)&server->poll, closed);
}

uint16_t http_port(const struct http_server *server)
{
    return listener_port(server->listener);
}
