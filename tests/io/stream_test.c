/* Streams: bytes both ways, back-pressure both ways, every way to end. */
#include "net_test.h"

#include "../../src/io/net_inside.h"

#include <netinet/tcp.h>
#include <pthread.h>

_Static_assert(sizeof(struct stream) <= 400, "what an idle connection costs");

static void bytes_arrive_whole_and_in_order(void **state)
{
    (void)state;
    enum { LEN = 3 * 1000 * 1000 };
    struct net *net = net_new();
    uint8_t *data = pattern(LEN);
    net_connect(net);
    net->server.echo = true;
    for (size_t at = 0; at < LEN; at += LEN / 100) {
        end_send(&net->client, data + at, LEN / 100);
    }
    run_until_got(&net->client, LEN);
    assert_memory_equal(net->client.got.data, data, LEN);
    assert_int_equal(stream_queued(net->client.stream), 0);
    free(data);
    net_free(net);
}

static void pieces_without_a_blob_and_empty_ones_are_sent(void **state)
{
    (void)state;
    struct net *net = net_new();
    struct chain chain = { 0 };
    net_connect(net);
    stream_send(net->client.stream, &chain);
    chain_add(&chain, NULL, bytes_of("", 0));
    stream_send(net->client.stream, &chain);
    for (unsigned i = 0; i < 100; i++) {
        chain_add(&chain, NULL, bytes_of("static", 6));
        chain_add(&chain, NULL, bytes_of("", 0));
    }
    stream_send(net->client.stream, &chain);
    run_until_got(&net->server, 600);
    assert_memory_equal(net->server.got.data + 594, "static", 6);
    net_free(net);
}

static void large_frames_are_read_where_the_owner_wants_them(void **state)
{
    (void)state;
    enum { LEN = 1024 * 1024 };
    struct net *net = net_new();
    uint8_t *data = pattern(LEN), *room = mem_alloc(LEN);
    net_connect(net);
    for (unsigned frame = 0; frame < 4; frame++) {
        struct end *end = &net->server;
        size_t before = end->n_got;
        end->forget = true;
        end->room = room;
        end->room_len = LEN;
        end_send(&net->client, data, LEN);
        while (end->n_got < before + LEN) {
            size_t at = end->n_got - before;
            end->room = room + at;
            end->room_len = LEN - at;
            end->want = end->n_got + 1;
            end->pause_on_data = true; /* one piece at a time, since the room moves on */
            stream_resume(end->stream);
            loop_run(net->loop);
        }
        assert_memory_equal(room, data, LEN);
        memset(room, 0, LEN);
    }
    free(data);
    free(room);
    net_free(net);
}

static void a_stream_sends_only_in_the_flush_step(void **state)
{
    (void)state;
    struct net *net = net_new();
    net_connect(net);
    end_send(&net->client, "abc", 3);
    assert_int_equal(stream_queued(net->client.stream), 3);
    end_send(&net->client, "def", 3);
    assert_int_equal(stream_queued(net->client.stream), 6);
    run_until_got(&net->server, 6);
    assert_memory_equal(net->server.got.data, "abcdef", 6);
    net_free(net);
}

static void bytes_queued_before_the_connection_is_there_follow(void **state)
{
    (void)state;
    struct net *net = net_new();
    net->client.stream = stream_connect(net->loop, "localhost", listener_port(net->listener),
                                        &END_HANDLER, &net->client);
    end_send(&net->client, "early", 5);
    run_until_got(&net->server, 5);
    net_free(net);
}

static void sockets_have_the_options_that_brokers_need(void **state)
{
    (void)state;
    struct net *net = net_new();
    net_connect(net);
    for (unsigned i = 0; i < 2; i++) {
        int fd = (i == 0 ? net->client : net->server).stream->fd;
        int no_delay = 0, keep_alive = 0;
        socklen_t len = sizeof(int);
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len);
        getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, &len);
        assert_int_not_equal(no_delay, 0);
        assert_int_not_equal(keep_alive, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
    net_free(net);
}

/* ---- back-pressure ----------------------------------------------------------------------------*/

static void a_paused_stream_reads_nothing(void **state)
{
    (void)state;
    enum { LEN = 8 * 1024 * 1024 };
    struct net *net = net_new();
    uint8_t *data = pattern(LEN);
    net_connect(net);
    stream_pause(net->server.stream);
    end_send(&net->client, data, LEN);
    net->client.echo = true;
    end_send(&net->server, "x", 1); /* a round trip, to give the bytes time to arrive */
    run_until_got(&net->client, 1);
    assert_int_equal(net->server.n_got, 0);
    assert_true(stream_queued(net->client.stream) > 0);
    stream_resume(net->server.stream);
    run_until_got(&net->server, LEN + 1);
    assert_memory_equal(net->server.got.data, data, LEN);
    free(data);
    net_free(net);
}

static void a_long_queue_tells_when_it_has_drained(void **state)
{
    (void)state;
    enum { LEN = 16 * 1024 * 1024 };
    struct net *net = net_new();
    uint8_t *data = pattern(LEN);
    net_connect(net);
    stream_pause(net->server.stream);
    end_send(&net->client, data, NET_HIGH_WATER / 2);
    end_send(&net->server, "x", 1);
    run_until_got(&net->client, 1);
    end_send(&net->client, data, LEN - NET_HIGH_WATER / 2);
    assert_int_equal(net->client.drained, 0);
    stream_resume(net->server.stream);
    run_until_got(&net->server, LEN);
    assert_int_equal(net->client.drained, 1);
    assert_int_equal(stream_queued(net->client.stream), 0);
    free(data);
    net_free(net);
}

struct meter {
    struct loop_task task;
    struct end *end;
    size_t before, most;
};

static void measure(struct loop_task *task)
{
    struct meter *meter = container_of(task, struct meter, task);
    size_t len = meter->end->n_got - meter->before;
    meter->most = len > meter->most ? len : meter->most;
    meter->before = meter->end->n_got;
    loop_stop(meter->end->net->loop); /* after every turn */
}

static void *flood(void *arg)
{
    enum { LEN = 32 * 1024 * 1024 };
    int fd = *(int *)arg;
    char *data = mem_zalloc(LEN);
    for (size_t at = 0; at < LEN;) {
        ssize_t len = send(fd, data + at, LEN - at, MSG_NOSIGNAL);
        if (len <= 0) {
            break;
        }
        at += (size_t)len;
    }
    free(data);
    close(fd);
    return NULL;
}

static void one_peer_gets_a_bounded_part_of_a_turn(void **state)
{
    (void)state;
    struct net *net = net_new();
    struct meter meter = { .end = &net->server };
    pthread_t thread;
    int fd = raw_connect(listener_port(net->listener));
    loop_task_init(&meter.task, measure);
    net->server.forget = true;
    assert_int_equal(pthread_create(&thread, NULL, flood, &fd), 0);
    while (net->server.closed == 0) {
        loop_defer(net->loop, LOOP_ADVANCE, &meter.task);
        loop_run(net->loop);
    }
    pthread_join(thread, NULL);
    assert_int_equal(net->server.n_got, MIB(32));
    assert_true(meter.most <= MIB(2)); /* at most two polls between two measurements */
    net_free(net);
}

/* ---- ends -------------------------------------------------------------------------------------*/

static void closing_one_end_ends_the_other(void **state)
{
    (void)state;
    struct net *net = net_new();
    net_connect(net);
    net->in_call = true;
    stream_close(net->client.stream);
    stream_close(net->client.stream);
    net->in_call = false;
    run_until(net, &net->client.closed, 1);
    run_until(net, &net->server.closed, 1);
    assert_int_equal(net->client.error, 0);
    assert_int_equal(net->server.error, 0);
    net_free(net);
}

static void closing_after_the_flush_sends_everything_first(void **state)
{
    (void)state;
    enum { LEN = 8 * 1024 * 1024 };
    struct net *net = net_new();
    uint8_t *data = pattern(LEN);
    net_connect(net);
    end_send(&net->client, data, LEN);
    net->in_call = true;
    stream_close_after_flush(net->client.stream);
    net->in_call = false;
    end_send(&net->server, "not read any more", 17);
    run_until_got(&net->server, LEN);
    assert_memory_equal(net->server.got.data, data, LEN);
    run_until(net, &net->client.closed, 1);
    run_until(net, &net->server.closed, 1);
    assert_int_equal(net->client.error, 0);
    assert_int_equal(net->client.n_got, 0);
    free(data);
    net_free(net);
}

static void a_peer_that_half_closes_still_gets_the_answer_of_that_turn(void **state)
{
    (void)state;
    struct net *net = net_new();
    char answer[8] = "";
    int fd = raw_connect(listener_port(net->listener));
    net->server.echo = true;
    assert_int_equal(send(fd, "ask", 3, 0), 3);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    run_until(net, &net->server.closed, 1);
    assert_int_equal(net->server.error, 0);
    assert_int_equal(recv(fd, answer, sizeof answer, MSG_WAITALL), 3);
    assert_memory_equal(answer, "ask", 3);
    close(fd);
    net_free(net);
}

static void a_reset_is_an_error(void **state)
{
    (void)state;
    for (unsigned paused = 0; paused < 3; paused++) {
        struct net *net = net_new();
        int fd = raw_connect(listener_port(net->listener));
        net->stop_on_accept = true;
        run_until(net, &net->accepted, 1);
        if (paused > 0) {
            stream_pause(net->server.stream);
        }
        if (paused > 1) {
            end_send(&net->server, "x", 1); /* the peer closes with unread bytes */
            send(fd, "y", 1, 0);
        }
        raw_reset(fd);
        run_until(net, &net->server.closed, 1);
        assert_int_equal(net->server.error, -ECONNRESET);
        assert_int_equal(net->server.n_got, 0);
        net_free(net);
    }
}

/* The kernel reports the end of a peer for as long as anybody polls for it: nobody may. */
static void a_paused_stream_does_not_spin_when_its_peer_ends(void **state)
{
    (void)state;
    struct net *net = net_new();
    int fd = raw_connect(listener_port(net->listener));
    net->stop_on_accept = true;
    run_until(net, &net->accepted, 1);
    stream_pause(net->server.stream);
    assert_int_not_equal(net->server.stream->interest, 0);
    assert_int_equal(send(fd, "last words", 10, 0), 10);
    close(fd);
    for (unsigned turns = 0; turns < 3; turns++) {
        struct meter meter = { .end = &net->server };
        loop_task_init(&meter.task, measure);
        loop_defer(net->loop, LOOP_ADVANCE, &meter.task);
        loop_run(net->loop);
    }
    assert_int_equal(net->server.closed, 0);
    assert_int_equal(net->server.stream->interest, 0);
    stream_resume(net->server.stream);
    run_until(net, &net->server.closed, 1);
    assert_int_equal(net->server.n_got, 10);
    assert_int_equal(net->server.error, 0);
    net_free(net);
}

static void streams_may_be_closed_from_every_callback(void **state)
{
    (void)state;
    enum { LEN = 4 * 1024 * 1024 };
    struct net *net = net_new();
    net->client.close_on_open = true;
    net->client.stream = stream_connect(net->loop, "127.0.0.1", listener_port(net->listener),
                                        &END_HANDLER, &net->client);
    run_until(net, &net->client.closed, 1);
    net_free(net);

    net = net_new();
    net_connect(net);
    net->server.close_on_data = true;
    end_send(&net->client, "x", 1);
    run_until(net, &net->server.closed, 1);
    run_until(net, &net->client.closed, 1);
    net_free(net);

    net = net_new();
    uint8_t *data = pattern(LEN);
    net_connect(net);
    net->client.close_on_drained = true;
    end_send(&net->client, data, LEN);
    run_until(net, &net->client.closed, 1);
    assert_int_equal(net->client.drained, 1);
    net_free(net);
    free(data);
}

static void bytes_sent_after_the_end_are_dropped(void **state)
{
    (void)state;
    struct net *net = net_new();
    net_connect(net);
    struct stream *stream = net->client.stream;
    end_send(&net->client, "queued", 6);
    stream_close(stream);
    assert_int_equal(stream_queued(stream), 0);
    end_send(&net->client, "late", 4);
    assert_int_equal(stream_queued(stream), 0);
    run_until(net, &net->server.closed, 1);
    assert_int_equal(net->server.n_got, 0);
    net_free(net);
}

/* ---- connecting -------------------------------------------------------------------------------*/

static void dial(struct net *net, const char *host, uint16_t port)
{
    net->in_call = true;
    net->client.stream = stream_connect(net->loop, host, port, &END_HANDLER, &net->client);
    net->in_call = false;
}

static void nobody_listening_is_an_error(void **state)
{
    (void)state;
    const char *const hosts[] = { "127.0.0.1", "localhost" };
    for (unsigned i = 0; i < countof(hosts); i++) {
        struct net *net = net_new();
        uint16_t port = listener_port(net->listener);
        listener_close(net->listener);
        net->listener = NULL;
        dial(net, hosts[i], port);
        run_until(net, &net->client.closed, 1);
        assert_int_equal(net->client.error, -ECONNREFUSED);
        assert_int_equal(net->client.opened, 0);
        net_free(net);
    }
}

static void a_name_that_does_not_exist_is_an_error(void **state)
{
    (void)state;
    struct net *net = net_new();
    dial(net, "no such host", 1);
    run_until(net, &net->client.closed, 1);
    assert_true(net->client.error == -EADDRNOTAVAIL || net->client.error == -EAGAIN);
    net_free(net);
}

static void a_stream_may_be_closed_while_it_connects(void **state)
{
    (void)state;
    const char *const hosts[] = { "127.0.0.1", "localhost", "no such host" };
    for (unsigned i = 0; i < countof(hosts); i++) {
        struct net *net = net_new();
        dial(net, hosts[i], listener_port(net->listener));
        stream_close_after_flush(net->client.stream);
        stream_close(net->client.stream);
        run_until(net, &net->client.closed, 1);
        assert_int_equal(net->client.error, 0);
        assert_int_equal(net->client.opened, 0);
        net_free(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole_and_in_order),
        cmocka_unit_test(pieces_without_a_blob_and_empty_ones_are_sent),
        cmocka_unit_test(large_frames_are_read_where_the_owner_wants_them),
        cmocka_unit_test(a_stream_sends_only_in_the_flush_step),
        cmocka_unit_test(bytes_queued_before_the_connection_is_there_follow),
        cmocka_unit_test(sockets_have_the_options_that_brokers_need),
        cmocka_unit_test(a_paused_stream_reads_nothing),
        cmocka_unit_test(a_long_queue_tells_when_it_has_drained),
        cmocka_unit_test(one_peer_gets_a_bounded_part_of_a_turn),
        cmocka_unit_test(closing_one_end_ends_the_other),
        cmocka_unit_test(closing_after_the_flush_sends_everything_first),
        cmocka_unit_test(a_peer_that_half_closes_still_gets_the_answer_of_that_turn),
        cmocka_unit_test(a_reset_is_an_error),
        cmocka_unit_test(a_paused_stream_does_not_spin_when_its_peer_ends),
        cmocka_unit_test(streams_may_be_closed_from_every_callback),
        cmocka_unit_test(bytes_sent_after_the_end_are_dropped),
        cmocka_unit_test(nobody_listening_is_an_error),
        cmocka_unit_test(a_name_that_does_not_exist_is_an_error),
        cmocka_unit_test(a_stream_may_be_closed_while_it_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
