/* A small HTTP server for people and monitoring (libmicrohttpd, driven by the loop): GET and HEAD,
 * answered at once from memory. */
#ifndef CHRONIK_IO_HTTP_H
#define CHRONIK_IO_HTTP_H

#include <chronik/base/bytes.h>
#include <chronik/io/loop.h>

struct http_server;

struct http_reply {
    unsigned status;          /* 200 unless set */
    const char *content_type; /* text/plain unless set; static */
    struct buf body;
};

/* Fills the reply for a path ("/metrics", without the query). */
typedef void http_handle(void *arg, const char *path, struct http_reply *reply);

/* Listens; 0 or -errno. At most 64 connections at a time, 10 s each. */
int http_open(struct loop *loop, const char *host, uint16_t port, http_handle *handle, void *arg,
              struct http_server **ret_server);
void http_close(struct http_server *server);
uint16_t http_port(const struct http_server *server);

#endif
