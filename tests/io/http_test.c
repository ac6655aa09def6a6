/* The HTTP server, asked through plain sockets by a thread. */
#include "net_test.h"

#include <chronik/io/http.h>
#include <chronik/io/timer.h>
#include <pthread.h>

struct asking {
    struct loop *loop;
    struct http_server *server;
    const char *request;
    int fd; /* -1: connect first */
    char answer[8192];
    size_t len;
    unsigned asked;
    char path[64];
    unsigned finished;
};

static void handle(void *arg, const char *path, struct http_reply *reply)
{
    struct asking *asking = arg;
    asking->asked++;
    snprintf(asking->path, sizeof asking->path, "%s", path);
    if (strcmp(path, "/metrics") == 0) {
        reply->content_type = "text/plain; version=0.0.4";
        buf_printf(&reply->body, "up 1\n");
    } else if (strcmp(path, "/empty") != 0) {
        reply->status = 404;
        buf_printf(&reply->body, "no such page\n");
    }
}

static void look(struct timer *timer)
{
    loop_stop(timer->loop);
}

/* Sends the request and reads until the server closes. */
static void *ask_on_thread(void *arg)
{
    struct asking *asking = arg;
    int fd = raw_connect(http_port(asking->server));
    send(fd, asking->request, strlen(asking->request), MSG_NOSIGNAL);
    asking->len = 0;
    for (;;) {
        size_t room = sizeof asking->answer - 1 - asking->len;
        ssize_t len = recv(fd, asking->answer + asking->len, room, 0);
        if (len <= 0) {
            break;
        }
        asking->len += (size_t)len;
    }
    asking->answer[asking->len] = '\0';
    close(fd);
    __atomic_store_n(&asking->finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

static const char *ask(struct asking *asking, const char *request)
{
    pthread_t thread;
    struct timer timer;
    asking->request = request;
    asking->finished = 0;
    assert_int_equal(pthread_create(&thread, NULL, ask_on_thread, asking), 0);
    timer_init(&timer, asking->loop, look);
    while (!__atomic_load_n(&asking->finished, __ATOMIC_ACQUIRE)) {
        timer_set_in(&timer, NS_PER_MS);
        loop_run(asking->loop);
        timer_cancel(&timer);
    }
    pthread_join(thread, NULL);
    return asking->answer;
}

static void start(struct asking *asking)
{
    *asking = (struct asking){ .loop = new_loop() };
    assert_int_equal(http_open(asking->loop, "localhost", 0, handle, asking, &asking->server), 0);
    assert_int_not_equal(http_port(asking->server), 0);
}

static void stop(struct asking *asking)
{
    http_close(asking->server);
    loop_free(asking->loop);
}

#define CLOSE " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void assert_begins(const char *text, const char *prefix)
{
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        fail_msg("'%s' does not begin with '%s'", text, prefix);
    }
}

static void pages_are_answered(void **state)
{
    (void)state;
    struct asking asking;
    start(&asking);
    const char *answer = ask(&asking, "GET /metrics?x=y" CLOSE);
    assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\nup 1\n"));
    assert_string_equal(asking.path, "/metrics");
    answer = ask(&asking, "GET /empty" CLOSE);
    assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer, "Content-Length: 0\r\n"));
    answer = ask(&asking, "GET /other" CLOSE);
    assert_begins(answer, "HTTP/1.1 404 Not Found\r\n");
    assert_non_null(strstr(answer, "\r\n\r\nno such page\n"));
    assert_int_equal(asking.asked, 3);
    stop(&asking);
}

static void head_gets_the_head(void **state)
{
    (void)state;
    struct asking asking;
    start(&asking);
    const char *answer = ask(&asking, "HEAD /metrics" CLOSE);
    assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(answer, "Content-Length: 5\r\n"));
    assert_null(strstr(answer, "up 1"));
    stop(&asking);
}

static void nothing_can_be_posted(void **state)
{
    (void)state;
    struct asking asking;
    start(&asking);
    const char *answer = ask(&asking, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                      "Content-Length: 3\r\n\r\nabc");
    assert_begins(answer, "HTTP/1.1 405 ");
    assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
    assert_int_equal(asking.asked, 0);
    stop(&asking);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct asking asking;
    char *line = mem_alloc(64 * 1024);
    start(&asking);
    ask(&asking, "nonsense\r\n\r\n");
    assert_int_equal(asking.asked, 0);
    memset(line, 'a', 64 * 1024);
    memcpy(line, "GET /", 5);
    memcpy(line + 64 * 1024 - sizeof CLOSE, CLOSE, sizeof CLOSE);
    line[64 * 1024 - 1] = '\0';
    ask(&asking, line);
    assert_int_equal(asking.asked, 0);
    assert_begins(ask(&asking, "GET /metrics" CLOSE), "HTTP/1.1 200 OK\r\n");
    free(line);
    stop(&asking);
}

static void connections_are_limited(void **state)
{
    (void)state;
    enum { N = 64 };
    struct asking asking;
    int fds[N];
    start(&asking);
    for (unsigned i = 0; i < N; i++) {
        fds[i] = raw_connect(http_port(asking.server));
    }
    assert_string_equal(ask(&asking, "GET /metrics" CLOSE), ""); /* one too many */
    for (unsigned i = 0; i < N; i++) {
        close(fds[i]);
    }
    const char *answer = ask(&asking, "GET /metrics" CLOSE);
    while (*answer == '\0') { /* until it has noticed that they are gone */
        answer = ask(&asking, "GET /metrics" CLOSE);
    }
    assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    stop(&asking);
}

static void an_open_connection_does_not_keep_the_server_from_closing(void **state)
{
    (void)state;
    struct asking asking;
    start(&asking);
    int fd = raw_connect(http_port(asking.server));
    send(fd, "GET /me", 7, 0);
    assert_begins(ask(&asking, "GET /metrics" CLOSE), "HTTP/1.1 200 OK\r\n");
    stop(&asking);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_answered),
        cmocka_unit_test(head_gets_the_head),
        cmocka_unit_test(nothing_can_be_posted),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(an_open_connection_does_not_keep_the_server_from_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
