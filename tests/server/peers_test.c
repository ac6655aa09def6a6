/* Links between nodes, on real sockets of one loop: who gets one, who is refused, and what both
 * sides say then; what garbage does. */
#include "../io/io_test.h"

#include <arpa/inet.h>
#include <chronik/io/timer.h>
#include <chronik/server/peers.h>
#include <errno.h>
#include <sys/socket.h>

enum { SIDES = 2 };

struct side {
    struct test *test;
    int32_t id;
    struct diag diag;
    char said[2048]; /* warnings */
    unsigned n_said;
    struct peers *peers;
    struct peer_link *dialled, *accepted; /* of PEER_META; NULL: not open */
    unsigned n_opened, n_closed, n_unreachable;
    struct buf got;
    size_t longest;
    bool disowned, knows_nobody, fails;
    bool closed;
};

struct test {
    struct loop *loop;
    struct timer tick;
    struct side sides[SIDES]; /* the nodes 1 and 2 */
};

/* What a side is started with, where it differs from the usual. */
struct setting {
    const char *secret, *cluster_id;
    int32_t id, knows; /* its own node id, and that of the other */
    bool third;        /* knows a third voter, which the other does not */
};

static struct side *side_of(struct diag *diag)
{
    return container_of(diag, struct side, diag);
}

static void note_said(struct diag *diag, enum diag_level level, enum diag_module module,
                      const char *message)
{
    struct side *side = side_of(diag);
    (void)module;
    if (level <= DIAG_WARN && strstr(message, "on loopback only") == NULL) {
        size_t len = strlen(side->said);
        snprintf(side->said + len, sizeof side->said - len, "%s\n", message);
        side->n_said++;
    }
}

static void opened(void *arg, struct peer_link *link)
{
    struct side *side = arg;
    side->n_opened++;
    if (link_channel(link) == PEER_META && link_dialled(link)) {
        side->dialled = link;
    } else if (link_channel(link) == PEER_META) {
        side->accepted = link;
    }
}

static int received(void *arg, struct peer_link *link, struct bytes frame)
{
    struct side *side = arg;
    (void)link;
    buf_put(&side->got, frame.data, min_u64(frame.len, 100));
    side->longest = max_u64(side->longest, frame.len);
    return side->fails ? -EBADMSG : 0;
}

static void drained(void *arg, struct peer_link *link)
{
    (void)arg, (void)link;
}

static void closed(void *arg, struct peer_link *link)
{
    struct side *side = arg;
    side->n_closed++;
    side->dialled = side->dialled == link ? NULL : side->dialled;
    side->accepted = side->accepted == link ? NULL : side->accepted;
}

static void unreachable(void *arg, int32_t peer)
{
    struct side *side = arg;
    (void)peer;
    side->n_unreachable++;
}

static bool knows(void *arg, int32_t peer, const struct uuid *raft_directory)
{
    const struct side *side = arg;
    (void)peer, (void)raft_directory;
    return !side->knows_nobody;
}

static void disowned(void *arg, int32_t peer)
{
    struct side *side = arg;
    (void)peer;
    side->disowned = true;
}

static const struct peers_handler HANDLER = {
    .opened = opened, .received = received, .drained = drained, .closed = closed,
    .unreachable = unreachable, .knows = knows, .disowned = disowned };

/* ---- the two sides ----------------------------------------------------------------------------*/

static void ticked(struct timer *timer)
{
    loop_stop(container_of(timer, struct test, tick)->loop);
}

static void run_ms(struct test *test, uint64_t ms)
{
    timer_set_in(&test->tick, ms * NS_PER_MS);
    loop_run(test->loop);
}

static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void open_side(struct test *test, unsigned i, const uint16_t ports[SIDES],
                      const struct setting *setting)
{
    struct side *side = &test->sides[i];
    const struct peer_address addresses[] = {
        { setting->knows ? setting->knows : (int32_t)(2 - i), "127.0.0.1", ports[1 - i] },
        { 9, "127.0.0.1", 1 },
    };
    const struct peers_config config = {
        .node_id = setting->id ? setting->id : (int32_t)(i + 1),
        .incarnation = { { (uint8_t)(i + 1), 1 } },
        .secret = setting->secret,
        .host = "127.0.0.1",
        .port = ports[i],
        .peers = addresses,
        .n_peers = setting->third ? 2 : 1,
    };
    side->test = test;
    side->id = config.node_id;
    diag_init(&side->diag, DIAG_DEBUG, note_said);
    assert_int_equal(peers_open(test->loop, &side->diag, &config, &HANDLER, side, &side->peers),
                     0);
}

static void join(struct test *test, unsigned i, const char *cluster_id)
{
    const struct uuid directory = { { 7, (uint8_t)i } };
    peers_join(test->sides[i].peers, cluster_id ? cluster_id : "", &directory);
}

static void begin(struct test *test, const struct setting settings[SIDES])
{
    static const struct setting usual = { .secret = "secret" };
    uint16_t ports[SIDES] = { free_port(), free_port() };
    *test = (struct test){ .loop = new_loop() };
    timer_init(&test->tick, test->loop, ticked);
    for (unsigned i = 0; i < SIDES; i++) {
        open_side(test, i, ports, settings ? &settings[i] : &usual);
    }
    for (unsigned i = 0; i < SIDES; i++) {
        join(test, i, settings ? settings[i].cluster_id : "");
    }
}

static void all_closed(void *arg)
{
    struct side *side = arg;
    side->closed = true;
    loop_stop(side->test->loop);
}

static void end(struct test *test)
{
    for (unsigned i = 0; i < SIDES; i++) {
        struct side *side = &test->sides[i];
        peers_close(side->peers, all_closed, side);
        while (!side->closed) {
            loop_run(test->loop);
        }
        peers_free(side->peers);
        buf_release(&side->got);
        assert_int_equal(side->n_opened, side->n_closed);
    }
    timer_cancel(&test->tick);
    loop_free(test->loop);
}

static bool is_up(const struct test *test)
{
    const struct side *a = &test->sides[0], *b = &test->sides[1];
    return a->dialled && a->accepted && b->dialled && b->accepted;
}

static void run_until_up(struct test *test)
{
    while (!is_up(test)) {
        run_ms(test, 1);
    }
}

/* ---- links that open --------------------------------------------------------------------------*/

static void send_text(struct peer_link *link, const char *text)
{
    struct chain chain = { 0 };
    chain_put(&chain, text, strlen(text));
    link_send(link, &chain);
}

static void both_dial_and_frames_arrive_in_order(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    assert_int_equal(link_peer(test.sides[0].dialled), 2);
    assert_int_equal(link_peer(test.sides[1].accepted), 1);
    send_text(test.sides[0].dialled, "one ");
    send_text(test.sides[0].dialled, "two ");
    send_text(test.sides[0].dialled, "three");
    while (test.sides[1].got.len < 13) {
        run_ms(&test, 1);
    }
    assert_memory_equal(test.sides[1].got.data, "one two three", 13);
    send_text(test.sides[1].accepted, "back");
    while (test.sides[0].got.len < 4) {
        run_ms(&test, 1);
    }
    assert_int_equal(test.sides[0].n_said, 0);
    end(&test);
}

static void a_large_frame_comes_whole(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    struct blob *blob = blob_new(MIB(5));
    struct chain chain = { 0 };
    memset(blob->data, 'x', blob->len);
    chain_add(&chain, blob, bytes_of(blob->data, blob->len));
    blob_unref(blob);
    link_send(test.sides[0].dialled, &chain);
    send_text(test.sides[0].dialled, "behind");
    while (test.sides[1].got.len < 106) {
        run_ms(&test, 1);
    }
    assert_int_equal(test.sides[1].longest, MIB(5));
    end(&test);
}

static void channels_have_links_of_their_own(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    peers_want(test.sides[0].peers, 2, PEER_FETCH, true);
    while (peers_link(test.sides[0].peers, 2, PEER_FETCH) == NULL) {
        run_ms(&test, 1);
    }
    assert_int_equal(test.sides[0].n_opened, 3);
    link_close(peers_link(test.sides[0].peers, 2, PEER_FETCH));
    run_ms(&test, 1);
    assert_true(is_up(&test));
    while (peers_link(test.sides[0].peers, 2, PEER_FETCH) == NULL) { /* it is kept open */
        run_ms(&test, 1);
    }
    peers_want(test.sides[0].peers, 2, PEER_FETCH, false);
    run_ms(&test, 20);
    assert_null(peers_link(test.sides[0].peers, 2, PEER_FETCH));
    end(&test);
}

static void a_frame_that_the_owner_does_not_want_ends_that_link_only(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    struct peer_link *other = test.sides[1].dialled;
    test.sides[1].fails = true;
    send_text(test.sides[0].dialled, "nonsense");
    while (test.sides[1].n_closed == 0) {
        run_ms(&test, 1);
    }
    test.sides[1].fails = false;
    assert_ptr_equal(test.sides[1].dialled, other);
    run_until_up(&test); /* and comes back */
    end(&test);
}

/* ---- links that are refused -------------------------------------------------------------------*/

/* Nothing opens, and each side says `why` once. */
static void expect_refused(const struct setting settings[SIDES], const char *why)
{
    struct test test;
    begin(&test, settings);
    for (unsigned i = 0; i < 500 && !(test.sides[0].n_said && test.sides[1].n_said); i++) {
        run_ms(&test, 10);
    }
    for (unsigned i = 0; i < SIDES; i++) {
        assert_int_equal(test.sides[i].n_opened, 0);
        if (strstr(test.sides[i].said, why) == NULL) {
            fail_msg("side %u says \"%s\" and not \"%s\"", i, test.sides[i].said, why);
        }
    }
    unsigned said = test.sides[0].n_said;
    run_ms(&test, 300); /* it goes on trying, silently */
    assert_true(test.sides[0].n_said <= said + 1);
    end(&test);
}

static void another_secret_is_refused(void **state)
{
    (void)state;
    expect_refused((struct setting[]){ { .secret = "this" }, { .secret = "that" } },
                   "the cluster secret differs");
    expect_refused((struct setting[]){ { .secret = "this" }, { .secret = NULL } },
                   "the cluster secret differs");
}

static void another_cluster_is_refused(void **state)
{
    (void)state;
    expect_refused((struct setting[]){ { .secret = "s", .cluster_id = "A" },
                                       { .secret = "s", .cluster_id = "B" } },
                   "it belongs to another cluster");
}

static void a_node_without_a_cluster_yet_is_let_in(void **state)
{
    struct test test;
    (void)state;
    begin(&test, (struct setting[]){ { .cluster_id = "A" }, { .cluster_id = "" } });
    run_until_up(&test);
    end(&test);
}

static void another_node_than_was_meant_is_refused(void **state)
{
    (void)state;
    expect_refused((struct setting[]){ { .knows = 3 }, { .id = 2, .knows = 1 } },
                   "node");
}

static void other_voters_are_refused(void **state)
{
    (void)state;
    expect_refused((struct setting[]){ { .third = true }, { .third = false } },
                   "it was started with other voters");
}

static void a_wiped_node_is_told_so(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    test.sides[0].knows_nobody = true;
    while (!test.sides[1].disowned || test.sides[0].n_said == 0) {
        run_ms(&test, 1);
    }
    assert_int_equal(test.sides[0].n_opened, 0);
    assert_non_null(strstr(test.sides[0].said, "its Raft directory is not the one"));
    assert_non_null(strstr(test.sides[1].said, "its Raft directory is not the one"));
    end(&test);
}

/* ---- strangers --------------------------------------------------------------------------------*/

static int call(const struct test *test, unsigned i)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) },
                              .sin_port = htons(peers_port(test->sides[i].peers)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(connect(fd, (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS);
    return fd;
}

static bool was_closed(struct test *test, int fd)
{
    char byte[64];
    for (unsigned i = 0; i < 2000; i++) {
        ssize_t len = recv(fd, byte, sizeof byte, 0);
        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            return true;
        }
        run_ms(test, 1);
    }
    return false;
}

static void garbage_closes_that_connection_only(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } GARBAGE[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27 },
        { "\xff\xff\xff\xff", 4 },
        { "\x00\x00\x00\x00", 4 },
        { "\x00\x00\x10\x01", 4 },                          /* longer than a hello may be */
        { "\x00\x00\x00\x06" "CHRK\x00\x01", 10 },          /* a hello of nothing */
        { "\x00\x00\x00\x08" "KRHC\x00\x01\x00\x00", 12 },
        { "\x00\x00\x00\x10" "CHRK\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20 },
    };
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    for (size_t i = 0; i < countof(GARBAGE); i++) {
        int fd = call(&test, 0);
        run_ms(&test, 1);
        assert_int_equal(send(fd, GARBAGE[i].data, GARBAGE[i].len, MSG_NOSIGNAL),
                         (ssize_t)GARBAGE[i].len);
        if (!was_closed(&test, fd)) {
            fail_msg("garbage %zu leaves the connection open", i);
        }
        close(fd);
    }
    assert_true(is_up(&test));
    assert_int_equal(test.sides[0].n_opened, 2);
    assert_non_null(strstr(test.sides[0].said, "not of this protocol"));
    end(&test);
}

static void another_version_is_told_so(void **state)
{
    struct test test;
    uint8_t answer[256];
    ssize_t len = 0;
    (void)state;
    begin(&test, NULL);
    int fd = call(&test, 0);
    run_ms(&test, 1);
    assert_int_equal(send(fd, "\x00\x00\x00\x06" "CHRK\x00\x63", 10, MSG_NOSIGNAL), 10);
    for (unsigned i = 0; i < 1000 && len <= 0; i++) {
        run_ms(&test, 1);
        len = recv(fd, answer, sizeof answer, 0);
    }
    assert_true(len > 4);
    assert_non_null(memmem(answer, (size_t)len, "it speaks another version", 25));
    assert_non_null(strstr(test.sides[0].said, "it speaks another version"));
    close(fd);
    end(&test);
}

/* However many call and say nothing, a node gets through. */
static void silent_strangers_keep_nobody_out(void **state)
{
    enum { STRANGERS = 300 };
    struct test test;
    int fds[STRANGERS];
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    for (unsigned i = 0; i < STRANGERS; i++) {
        fds[i] = call(&test, 1);
        if (i % 20 == 0) {
            run_ms(&test, 1);
        }
    }
    run_ms(&test, 20);
    assert_true(is_up(&test));
    peers_want(test.sides[0].peers, 2, PEER_FETCH, true);
    for (unsigned i = 0; i < 1000 && !peers_link(test.sides[0].peers, 2, PEER_FETCH); i++) {
        run_ms(&test, 1);
    }
    assert_non_null(peers_link(test.sides[0].peers, 2, PEER_FETCH));
    for (unsigned i = 0; i < STRANGERS; i++) {
        close(fds[i]);
    }
    end(&test);
}

static void who_has_ended_is_noticed_at_once(void **state)
{
    struct test test;
    (void)state;
    begin(&test, NULL);
    run_until_up(&test);
    struct side *gone = &test.sides[1];
    peers_close(gone->peers, all_closed, gone);
    while (!gone->closed) {
        loop_run(test.loop);
    }
    for (unsigned i = 0; i < 500 && test.sides[0].n_unreachable == 0; i++) {
        run_ms(&test, 1);
    }
    assert_true(test.sides[0].n_unreachable > 0);
    assert_null(test.sides[0].dialled);
    gone->closed = false;
    peers_free(gone->peers);
    const uint16_t ports[SIDES] = { peers_port(test.sides[0].peers), 0 };
    open_side(&test, 1, ports, &(struct setting){ .secret = "secret" });
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_dial_and_frames_arrive_in_order),
        cmocka_unit_test(a_large_frame_comes_whole),
        cmocka_unit_test(channels_have_links_of_their_own),
        cmocka_unit_test(a_frame_that_the_owner_does_not_want_ends_that_link_only),
        cmocka_unit_test(another_secret_is_refused),
        cmocka_unit_test(another_cluster_is_refused),
        cmocka_unit_test(a_node_without_a_cluster_yet_is_let_in),
        cmocka_unit_test(another_node_than_was_meant_is_refused),
        cmocka_unit_test(other_voters_are_refused),
        cmocka_unit_test(a_wiped_node_is_told_so),
        cmocka_unit_test(garbage_closes_that_connection_only),
        cmocka_unit_test(another_version_is_told_so),
        cmocka_unit_test(silent_strangers_keep_nobody_out),
        cmocka_unit_test(who_has_ended_is_noticed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
