/* Listeners: addresses, ports, pausing, storms, want of descriptors. */
#include "net_test.h"

#include <chronik/io/timer.h>
#include <sys/resource.h>

static const char *text_of_address(const struct net_address *address)
{
    static char text[NET_ADDRESS_TEXT];
    return net_format(address, text);
}

static void addresses_have_a_text_form(void **state)
{
    (void)state;
    struct net_address four = { .ip = { [10] = 255, [11] = 255, 192, 0, 2, 1 }, .port = 9092 };
    struct net_address six = { .ip = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, .port = 65535 };
    struct net_address loop4 = { .ip = { [10] = 255, [11] = 255, 127, 9, 9, 9 } };
    struct net_address loop6 = { .ip = { [15] = 1 } };
    assert_string_equal(text_of_address(&four), "192.0.2.1:9092");
    assert_string_equal(text_of_address(&six), "[2001:db8::1]:65535");
    assert_false(net_is_loopback(&four));
    assert_false(net_is_loopback(&six));
    assert_true(net_is_loopback(&loop4));
    assert_true(net_is_loopback(&loop6));
}

/* Can a client at `from` reach a listener at `host`? -1: this machine has no such family. */
static int reaches(const char *host, const char *from)
{
    struct net *net = net_new();
    int family = strchr(from, ':') ? AF_INET6 : AF_INET;
    int probe = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = { { { [15] = 1 } } } };
    if (family == AF_INET6 && (probe < 0 || bind(probe, (struct sockaddr *)&six, sizeof six))) {
        print_message("no IPv6 here\n");
        close(probe);
        net_free(net);
        return -1;
    }
    close(probe);
    listener_close(net->listener);
    assert_int_equal(listener_open(net->loop, host, 0, net_accepted, net, &net->listener), 0);
    net->client.stream =
        stream_connect(net->loop, from, listener_port(net->listener), &END_HANDLER, &net->client);
    while (net->client.opened + net->client.closed == 0) {
        loop_run(net->loop);
    }
    net->stop_on_accept = true;
    int reached = (int)net->client.opened;
    if (reached) {
        run_until(net, &net->accepted, 1);
        assert_string_equal(text_of_address(stream_peer(net->client.stream)),
                            text_of_address(stream_local(net->server.stream)));
        assert_int_equal(stream_local(net->client.stream)->port,
                         stream_peer(net->server.stream)->port);
        assert_true(net_is_loopback(stream_peer(net->server.stream)));
    }
    net_free(net);
    return reached;
}

static void all_addresses_means_ipv4_and_ipv6(void **state)
{
    (void)state;
    const char *const hosts[] = { NULL, "", "0.0.0.0", "::", "localhost" };
    for (unsigned i = 0; i < countof(hosts); i++) {
        assert_int_equal(reaches(hosts[i], "127.0.0.1"), 1);
        assert_int_not_equal(reaches(hosts[i], "::1"), 0);
    }
}

static void one_address_means_one_address(void **state)
{
    (void)state;
    assert_int_equal(reaches("127.0.0.1", "127.0.0.1"), 1);
    assert_int_not_equal(reaches("127.0.0.1", "::1"), 1);
    if (reaches("::1", "::1") == 1) {
        assert_int_equal(reaches("::1", "127.0.0.1"), 0);
    }
}

static void errors_say_what_happened(void **state)
{
    (void)state;
    struct net *net = net_new();
    struct listener *other;
    uint16_t port = listener_port(net->listener);
    assert_int_equal(listener_open(net->loop, "127.0.0.1", port, net_accepted, net, &other),
                     -EADDRINUSE);
    assert_int_equal(listener_open(net->loop, "", port, net_accepted, net, &other), -EADDRINUSE);
    assert_int_equal(listener_open(net->loop, "localhost", port, net_accepted, net, &other),
                     -EADDRINUSE);
    assert_int_equal(listener_open(net->loop, "192.0.2.1", 0, net_accepted, net, &other),
                     -EADDRNOTAVAIL);
    net_free(net);
}

static void a_port_can_be_listened_on_again_at_once(void **state)
{
    (void)state;
    struct net *net = net_new();
    uint16_t port = listener_port(net->listener);
    net_connect(net);
    stream_close(net->server.stream); /* leaves a socket in TIME_WAIT */
    run_until(net, &net->client.closed, 1);
    listener_close(net->listener);
    assert_int_equal(listener_open(net->loop, "127.0.0.1", port, net_accepted, net, &net->listener),
                     0);
    net_free(net);
}

static void stopped_by_timer(struct timer *timer)
{
    loop_stop(timer->loop);
}

static void run_for_ms(struct loop *loop, unsigned ms)
{
    struct timer timer;
    timer_init(&timer, loop, stopped_by_timer);
    timer_set_in(&timer, ms * NS_PER_MS);
    while (timer_is_set(&timer)) {
        loop_run(loop);
    }
}

static void a_paused_listener_lets_them_wait(void **state)
{
    (void)state;
    struct net *net = net_new();
    listener_pause(net->listener);
    int fd = raw_connect(listener_port(net->listener));
    run_for_ms(net->loop, 20);
    assert_int_equal(net->accepted, 0);
    listener_resume(net->listener);
    net->stop_on_accept = true;
    run_until(net, &net->accepted, 1);
    close(fd);
    net_free(net);
}

static void out_of_descriptors_they_wait_too(void **state)
{
    (void)state;
    struct net *net = net_new();
    struct rlimit before, none;
    int fds[5];
    for (unsigned i = 0; i < countof(fds); i++) {
        fds[i] = raw_connect(listener_port(net->listener));
    }
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ .rlim_cur = (rlim_t)fds[4] + 1, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    run_for_ms(net->loop, 20);
    assert_int_equal(net->accepted, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    net->stop_on_accept = true;
    run_until(net, &net->accepted, countof(fds));
    for (unsigned i = 0; i < countof(fds); i++) {
        close(fds[i]);
    }
    net_free(net);
}

/* ---- a thousand connections -------------------------------------------------------------------*/

enum { CROWD = 1000 };

struct member {
    struct stream *client, *server;
    struct crowd *crowd;
    uint32_t number, answer;
    size_t len;
};

struct crowd {
    struct loop *loop;
    struct member members[CROWD];
    struct stream *accepted[CROWD];
    unsigned n_accepted, n_answered, n_closed;
    struct wait wait;
};

static void member_opened(struct stream *stream)
{
    struct member *member = stream_owner(stream);
    struct chain chain;
    chain_of(&chain, &member->number, sizeof member->number);
    stream_send(stream, &chain);
}

static void member_data(struct stream *stream, struct bytes data)
{
    struct member *member = stream_owner(stream);
    memcpy((char *)&member->answer + member->len, data.data, data.len);
    member->len += data.len;
    if (member->len == sizeof member->answer) {
        happened(&member->crowd->wait);
    }
}

static void member_closed(struct stream *stream, int error)
{
    struct member *member = stream_owner(stream);
    assert_int_equal(error, 0);
    happened(&member->crowd->wait);
}

static const struct stream_handler MEMBER = {
    .opened = member_opened,
    .data = member_data,
    .closed = member_closed,
};

static void echo_data(struct stream *stream, struct bytes data)
{
    struct chain chain;
    chain_of(&chain, data.data, data.len);
    stream_send(stream, &chain);
}

static void echo_closed(struct stream *stream, int error)
{
    struct crowd *crowd = stream_owner(stream);
    assert_int_equal(error, 0);
    happened(&crowd->wait);
}

static const struct stream_handler ECHO = { .data = echo_data, .closed = echo_closed };

static void crowd_accepted(void *arg, struct stream *stream)
{
    struct crowd *crowd = arg;
    crowd->n_accepted++;
    stream_start(stream, &ECHO, crowd);
}

static void a_thousand_connections_are_served(void **state)
{
    (void)state;
    struct crowd *crowd = mem_zalloc(sizeof *crowd);
    struct listener *listener;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * CROWD + 100) {
        print_message("the limit of open files is too low here\n");
        skip();
    }
    crowd->loop = new_loop();
    assert_int_equal(listener_open(crowd->loop, "localhost", 0, crowd_accepted, crowd, &listener),
                     0);
    wait_for(&crowd->wait, crowd->loop, CROWD);
    for (uint32_t i = 0; i < CROWD; i++) {
        struct member *member = &crowd->members[i];
        *member = (struct member){ .crowd = crowd, .number = i };
        const char *host = i % 10 == 0 ? "localhost" : "127.0.0.1";
        member->client =
            stream_connect(crowd->loop, host, listener_port(listener), &MEMBER, member);
    }
    loop_run(crowd->loop);
    assert_int_equal(crowd->n_accepted, CROWD);
    wait_for(&crowd->wait, crowd->loop, 2 * CROWD);
    for (uint32_t i = 0; i < CROWD; i++) {
        assert_int_equal(crowd->members[i].answer, i);
        stream_close(crowd->members[i].client);
    }
    loop_run(crowd->loop);
    listener_close(listener);
    loop_free(crowd->loop);
    free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_a_text_form),
        cmocka_unit_test(all_addresses_means_ipv4_and_ipv6),
        cmocka_unit_test(one_address_means_one_address),
        cmocka_unit_test(errors_say_what_happened),
        cmocka_unit_test(a_port_can_be_listened_on_again_at_once),
        cmocka_unit_test(a_paused_listener_lets_them_wait),
        cmocka_unit_test(out_of_descriptors_they_wait_too),
        cmocka_unit_test(a_thousand_connections_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
