/* Three nodes in one process, on real files, with a network in memory. */
#include "meta_case.h"

#include "../../src/meta/meta_private.h"
#include "../../src/meta/raft_private.h"

#include <chronik/base/random.h>

enum { NODES = 3 };

struct frame {
    struct list link;
    unsigned from, to;
    uint64_t connection;
    struct buf bytes;
};

struct cluster;

struct node {
    struct meta_case c;
    struct cluster *cluster;
    unsigned index;
    char *dir;
    uint8_t life;
    bool up;
};

struct cluster {
    struct loop *loop;
    char *dir;
    struct node nodes[NODES];
    struct list frames;
    struct timer deliver;
    bool cut[NODES];          /* nodes whose links are broken */
    uint64_t connection[NODES];
    uint64_t sent, lost;
    unsigned drop_percent, session_ms;
    struct prng prng;
};

/* ---- the network ------------------------------------------------------------------------------*/

static unsigned index_of(int32_t id)
{
    return id == 7 ? 0 : id == 42 ? 1 : 2;
}

static const int32_t IDS[NODES] = { 7, 42, 1001 };

static void send_frame(void *arg, int32_t peer, struct chain *chain)
{
    struct node *n = arg;
    struct cluster *k = n->cluster;
    struct frame *f = mem_zalloc(sizeof *f);
    f->from = n->index;
    f->to = index_of(peer);
    f->connection = k->connection[f->from] + k->connection[f->to];
    chain_copy(chain, buf_reserve(&f->bytes, chain->len));
    f->bytes.len = chain->len;
    chain_release(chain);
    list_push_back(&k->frames, &f->link);
    k->sent++;
    if (!timer_is_set(&k->deliver)) {
        timer_set_in(&k->deliver, NS_PER_MS);
    }
}

static const struct meta_transport TRANSPORT = { .send = send_frame };

static void deliver_frames(struct timer *timer)
{
    struct cluster *k = container_of(timer, struct cluster, deliver);
    struct list ready;
    list_init(&ready);
    list_splice_back(&ready, &k->frames);
    list_each (it, &ready) {
        struct frame *f = container_of(it, struct frame, link);
        struct node *to = &k->nodes[f->to];
        bool lost = !to->up || !k->nodes[f->from].up || k->cut[f->from] || k->cut[f->to] ||
                    prng_percent(&k->prng, k->drop_percent);
        if (lost) {
            k->lost++;
        } else {
            assert_int_equal(meta_receive(to->c.meta, IDS[f->from], f->connection,
                                          buf_bytes(&f->bytes)), 0);
        }
        buf_release(&f->bytes);
        free(f);
    }
}

/* ---- nodes ------------------------------------------------------------------------------------*/

static struct uuid life_of(const struct node *n)
{
    return (struct uuid){ { (uint8_t)(n->index + 1), n->life } };
}

/* Links between a node and all others open. */
static void link_node(struct cluster *k, unsigned i)
{
    struct uuid life = life_of(&k->nodes[i]);
    for (unsigned other = 0; other < NODES; other++) {
        if (other != i && k->nodes[other].up) {
            struct uuid other_life = life_of(&k->nodes[other]);
            meta_peer_opened(k->nodes[other].c.meta, IDS[i], &life);
            meta_peer_opened(k->nodes[i].c.meta, IDS[other], &other_life);
        }
    }
}

static void open_node(struct cluster *k, unsigned i)
{
    static const struct meta_voter voters[NODES] = { { 7, "a:1" }, { 42, "b:1" }, { 1001, "c:1" } };
    struct node *n = &k->nodes[i];
    meta_case_begin(&n->c, k->loop);
    n->life++;
    const struct meta_config config = {
        .node_id = IDS[i], .incarnation = life_of(n), .voters = voters,
        .n_voters = NODES, .default_partitions = 1, .default_replication = 3,
        .session_ms = k->session_ms,
        .snapshot_entries = 64, .diag = &n->c.diag, .transport = &TRANSPORT,
        .transport_arg = n };
    k->connection[i]++;
    n->c.meta = meta_open(k->loop, n->dir, &config, &META_CASE_EVENTS, &n->c);
    while (!n->c.opened) {
        loop_run(k->loop);
    }
    assert_int_equal(n->c.error, 0);
    n->up = true;
    k->cut[i] = false;
    link_node(k, i);
}

/* Its process has ended: nobody answers where it listened. */
static void say_ended(struct cluster *k, unsigned i)
{
    for (unsigned other = 0; other < NODES; other++) {
        if (k->nodes[other].up) {
            meta_peer_unreachable(k->nodes[other].c.meta, IDS[i]);
        }
    }
}

static void close_node(struct cluster *k, unsigned i)
{
    struct node *n = &k->nodes[i];
    n->up = false;
    meta_case_close(&n->c);
    for (unsigned other = 0; other < NODES; other++) {
        if (k->nodes[other].up) {
            meta_peer_closed(k->nodes[other].c.meta, IDS[i]);
        }
    }
}

static void stop_waiting(struct timer *timer)
{
    loop_stop(timer->loop);
}

/* Runs the loop for some time (or until somebody is answered). */
static void run_for(struct cluster *k, uint64_t ms)
{
    struct timer tick;
    timer_init(&tick, k->loop, stop_waiting);
    timer_set_in(&tick, ms * NS_PER_MS);
    loop_run(k->loop);
    timer_cancel(&tick);
}

/* Runs the loop until `done` holds; false after some seconds. */
static bool run_until(struct cluster *k, bool (*done)(struct cluster *k))
{
    uint64_t end_ns = loop_clock_ns(k->loop) + 20 * NS_PER_S;
    while (!done(k) && loop_clock_ns(k->loop) < end_ns) {
        run_for(k, 2);
    }
    return done(k);
}

static int set_up(void **state)
{
    struct cluster *k = mem_zalloc(sizeof *k);
    k->loop = new_loop();
    k->dir = test_dir();
    list_init(&k->frames);
    timer_init(&k->deliver, k->loop, deliver_frames);
    prng_init(&k->prng, 5);
    for (unsigned i = 0; i < NODES; i++) {
        k->nodes[i] = (struct node){ .cluster = k, .index = i,
                                     .dir = mem_sprintf("%s/%d", k->dir, (int)IDS[i]) };
    }
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    struct cluster *k = *state;
    for (unsigned i = 0; i < NODES; i++) {
        if (k->nodes[i].up) {
            close_node(k, i);
        }
        free(k->nodes[i].dir);
    }
    timer_cancel(&k->deliver);
    list_each (it, &k->frames) {
        struct frame *f = container_of(it, struct frame, link);
        buf_release(&f->bytes);
        free(f);
    }
    loop_free(k->loop);
    test_dir_remove(k->dir);
    free(k);
    return 0;
}

/* ---- what the tests wait for ------------------------------------------------------------------*/

static bool somebody_leads(struct cluster *k)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (k->nodes[i].up && !k->cut[i] && meta_is_controller(k->nodes[i].c.meta)) {
            return true;
        }
    }
    return false;
}

/* There is a controller that knows all, and everybody has applied what it has. */
static bool all_agree(struct cluster *k)
{
    uint64_t index = 0;
    if (!somebody_leads(k)) {
        return false;
    }
    for (unsigned i = 0; i < NODES; i++) {
        struct meta_quorum q;
        if (k->nodes[i].up && !k->cut[i]) {
            meta_quorum(k->nodes[i].c.meta, &q);
            if (q.leader < 0 || q.applied != q.committed ||
                (index != 0 && (uint64_t)q.applied != index)) {
                return false;
            }
            index = (uint64_t)q.applied;
        }
    }
    return true;
}

static void assert_equal_images(struct cluster *k)
{
    uint64_t hash = 0;
    assert_true(run_until(k, all_agree));
    for (unsigned i = 0; i < NODES; i++) {
        if (k->nodes[i].up && !k->cut[i]) {
            uint64_t own = image_hash(meta_image(k->nodes[i].c.meta));
            assert_true(hash == 0 || own == hash);
            hash = own;
        }
    }
}

static unsigned leader_of(struct cluster *k)
{
    assert_true(run_until(k, somebody_leads));
    for (unsigned i = 0; i < NODES; i++) {
        if (k->nodes[i].up && !k->cut[i] && meta_is_controller(k->nodes[i].c.meta)) {
            return i;
        }
    }
    return NODES;
}

/* ---- requests under way -----------------------------------------------------------------------*/

enum { ANSWERS_MAX = 256 };

static struct answer answers[ANSWERS_MAX];
static size_t n_answers;

static struct answer *new_answer(struct cluster *k, enum meta_request_kind kind)
{
    assert_true(n_answers < ANSWERS_MAX);
    struct answer *a = &answers[n_answers++];
    answer_init(a, k->loop, kind);
    return a;
}

static bool all_answered(struct cluster *k)
{
    (void)k;
    for (size_t i = 0; i < n_answers; i++) {
        if (answers[i].times == 0) {
            return false;
        }
    }
    return true;
}

static void forget_answers(void)
{
    for (size_t i = 0; i < n_answers; i++) {
        assert_int_equal(answers[i].times, 1);
        answer_release(&answers[i]);
    }
    n_answers = 0;
}

static uint64_t deadline(struct cluster *k)
{
    return loop_clock_ns(k->loop) + 15 * NS_PER_S;
}

static void ask_to_register(struct cluster *k, unsigned i)
{
    struct node *n = &k->nodes[i];
    struct uuid directory = { { 9, (uint8_t)i } };
    const struct meta_register_broker_request request = {
        .incarnation = life_of(n),
        .raft_directory = meta_directory_id(n->c.meta), .cluster_id = text_of(""),
        .previous_epoch = -1, .directories = &directory, .n_directories = 1 };
    meta_register_broker(n->c.meta, &request, deadline(k), answered,
                         new_answer(k, META_REGISTER_BROKER));
}

static void ask_to_serve(struct cluster *k, unsigned i)
{
    const struct meta_broker_state_request request = {
        .epoch = meta_broker_epoch(k->nodes[i].c.meta) };
    meta_broker_state(k->nodes[i].c.meta, &request, deadline(k), answered,
                      new_answer(k, META_BROKER_STATE));
}

static void ask_to_create(struct cluster *k, unsigned i, const char *name)
{
    struct meta_create_topics_request_topic topic = { .name = text_of(name), .partitions = 2,
                                                      .replication = -1 };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    meta_create_topics(k->nodes[i].c.meta, &request, deadline(k), answered,
                       new_answer(k, META_CREATE_TOPICS));
}

/* Starts all nodes; they register and serve. */
static void form(struct cluster *k)
{
    for (unsigned i = 0; i < NODES; i++) {
        open_node(k, i);
    }
    for (unsigned i = 0; i < NODES; i++) {
        ask_to_register(k, i);
    }
    assert_true(run_until(k, all_answered));
    for (unsigned i = 0; i < NODES; i++) {
        const struct meta_register_broker_response *r = answers[i].response;
        assert_int_equal(r->error, KAFKA_NONE);
        assert_true(text_is(r->cluster_id, image_cluster_id(meta_image(k->nodes[i].c.meta))));
    }
    forget_answers();
    for (unsigned i = 0; i < NODES; i++) {
        ask_to_serve(k, i);
    }
    assert_true(run_until(k, all_answered));
    forget_answers();
}

static bool is_fenced(struct cluster *k, unsigned by, unsigned i)
{
    const struct image_broker *b = image_broker(meta_image(k->nodes[by].c.meta), IDS[i]);
    return b != NULL && b->fenced;
}

/* How many brokers serve, as a node sees it. */
static unsigned serving(struct cluster *k, unsigned by)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NODES; i++) {
        n += !is_fenced(k, by, i);
    }
    return n;
}

/* ---- tests ------------------------------------------------------------------------------------*/

static void three_nodes_form_one_cluster(void **state)
{
    struct cluster *k = *state;
    form(k);
    assert_equal_images(k);
    unsigned controllers = 0;
    for (unsigned i = 0; i < NODES; i++) {
        const struct meta *meta = k->nodes[i].c.meta;
        controllers += meta_is_controller(meta);
        assert_int_equal(image_broker_count(meta_image(meta)), NODES);
        assert_int_equal(meta_controller(meta), meta_controller(k->nodes[0].c.meta));
        for (unsigned b = 0; b < NODES; b++) {
            assert_false(image_broker(meta_image(meta), IDS[b])->fenced);
        }
    }
    assert_int_equal(controllers, 1);
    struct meta_quorum q;
    meta_quorum(k->nodes[leader_of(k)].c.meta, &q);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(q.voters[i].end, q.committed + 1);
        assert_true(q.voters[i].caught_up_ms > 0);
    }
}

static void a_lone_node_of_three_forms_nothing(void **state)
{
    struct cluster *k = *state;
    open_node(k, 1);
    ask_to_register(k, 1);
    uint64_t end_ns = loop_clock_ns(k->loop) + 1500 * NS_PER_MS;
    while (loop_clock_ns(k->loop) < end_ns) {
        run_for(k, 50);
    }
    assert_int_equal(meta_controller(k->nodes[1].c.meta), -1);
    assert_string_equal(image_cluster_id(meta_image(k->nodes[1].c.meta)), "");
    assert_int_equal(answers[0].times, 0);
    open_node(k, 0); /* the others come, late */
    open_node(k, 2);
    ask_to_register(k, 0);
    ask_to_register(k, 2);
    assert_true(run_until(k, all_answered));
    forget_answers();
    assert_equal_images(k);
}

static void requests_are_answered_on_every_node_when_applied_there(void **state)
{
    struct cluster *k = *state;
    form(k);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < NODES; i++) {
            char name[32];
            snprintf(name, sizeof name, "round-%u-node-%u", round, i);
            ask_to_create(k, i, name);
        }
        assert_true(run_until(k, all_answered));
        for (unsigned i = 0; i < NODES; i++) {
            const struct meta_create_topics_response *r = answers[i].response;
            assert_int_equal(r->topics[0].error, KAFKA_NONE);
            const struct image_topic *topic =
                image_topic_by_id(meta_image(k->nodes[i].c.meta), &r->topics[0].id);
            assert_non_null(topic); /* what was answered can be seen */
            assert_int_equal(topic->partitions[0].n_replicas, 3);
        }
        forget_answers();
    }
    assert_equal_images(k);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(k->nodes[i].c.topics_created, 15);
    }
}

/* Each request is answered once; an acknowledged topic is there, once. */
static void topics_survive_changes_of_the_controller(void **state)
{
    struct cluster *k = *state;
    unsigned timed_out = 0;
    form(k);
    k->drop_percent = 5;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned n = 0; n < 24; n++) {
            char name[32];
            snprintf(name, sizeof name, "round-%u-topic-%u", round, n);
            ask_to_create(k, n % NODES, name);
            if (n % 8 == 3) {
                unsigned leader = leader_of(k);
                k->cut[leader] = true; /* it does not know that it is not the controller */
                for (unsigned i = 0; i < NODES; i++) {
                    k->connection[i]++;
                    meta_peer_closed(k->nodes[i].c.meta, IDS[leader]);
                }
                leader_of(k);
                k->cut[leader] = false;
            }
        }
        assert_true(run_until(k, all_answered));
        for (unsigned n = 0; n < 24; n++) {
            const struct meta_create_topics_response *r = answers[n].response;
            timed_out += answers[n].error == KAFKA_REQUEST_TIMED_OUT;
            if (answers[n].error == KAFKA_NONE) {
                assert_int_equal(r->topics[0].error, KAFKA_NONE);
            }
        }
        forget_answers();
    }
    k->drop_percent = 0;
    assert_equal_images(k);
    assert_int_equal(timed_out, 0);
    assert_int_equal(image_topic_count(meta_image(k->nodes[0].c.meta)), 96);
    assert_true(k->lost > 50);
}

/* What cannot be proposed now waits, and the loop goes on meanwhile. */
static void requests_wait_while_a_vote_is_written(void **state)
{
    struct cluster *k = *state;
    form(k);
    struct meta *meta = k->nodes[leader_of(k)].c.meta;
    meta->node->vote_ticket = UINT64_MAX; /* a disk that takes its time */
    ask_to_create(k, leader_of(k), "late");
    run_for(k, 20);
    assert_int_equal(answers[0].times, 0);
    meta->node->vote_ticket = 0;
    assert_true(run_until(k, all_answered));
    assert_int_equal(answers[0].error, KAFKA_NONE);
    forget_answers();
    assert_equal_images(k);
}

static void a_node_that_was_away_catches_up_from_a_snapshot(void **state)
{
    struct cluster *k = *state;
    form(k);
    unsigned away = (leader_of(k) + 1) % NODES, here = leader_of(k);
    ask_to_create(k, here, "before");
    assert_true(run_until(k, all_answered));
    forget_answers();
    assert_equal_images(k);
    k->cut[away] = true;
    for (unsigned n = 0; n < 400; n++) { /* well beyond what is kept behind a snapshot */
        char name[32];
        snprintf(name, sizeof name, "while-away-%u", n);
        ask_to_create(k, here, name);
        if (n % 100 == 99) {
            assert_true(run_until(k, all_answered));
            forget_answers();
        }
    }
    struct meta_quorum q;
    meta_quorum(k->nodes[here].c.meta, &q);
    assert_true(q.snapshot > 300);
    k->cut[away] = false;
    assert_equal_images(k);
    assert_int_equal(k->nodes[away].c.topics_created, 401); /* heard of as differences */
}

static void restarted_nodes_have_what_they_had(void **state)
{
    struct cluster *k = *state;
    form(k);
    for (unsigned n = 0; n < 10; n++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%u", n);
        ask_to_create(k, n % NODES, name);
    }
    assert_true(run_until(k, all_answered));
    forget_answers();
    for (unsigned i = 0; i < NODES; i++) { /* one after the other */
        close_node(k, i);
        open_node(k, i);
        assert_equal_images(k);
    }
    for (unsigned i = 0; i < NODES; i++) { /* and all of them */
        close_node(k, i);
    }
    for (unsigned i = 0; i < NODES; i++) {
        open_node(k, NODES - 1 - i);
    }
    assert_equal_images(k);
    assert_int_equal(image_topic_count(meta_image(k->nodes[1].c.meta)), 10);
}

static void frames_that_cannot_be_close_the_connection(void **state)
{
    struct cluster *k = *state;
    struct prng prng;
    form(k);
    struct meta *meta = k->nodes[0].c.meta;
    assert_true(meta_receive(meta, 5, 100, bytes_of("\0", 1)) != 0); /* a stranger */
    assert_true(meta_receive(meta, 42, 100, bytes_of("", 0)) != 0);
    assert_true(meta_receive(meta, 42, 100, bytes_of("\x07zzz", 4)) != 0);
    prng_init(&prng, 2);
    for (unsigned round = 0; round < 5000; round++) {
        uint8_t junk[100];
        size_t len = 1 + prng_below(&prng, sizeof junk - 1);
        prng_fill(&prng, junk, len);
        junk[0] = (uint8_t)(1 + round % 2); /* requests and answers */
        meta_receive(meta, 42, 100, bytes_of(junk, len));
    }
    ask_to_create(k, 0, "still-here");
    assert_true(run_until(k, all_answered));
    forget_answers();
}

/* ---- who is there -----------------------------------------------------------------------------*/

enum { LONG_MS = 3600000, SHORT_MS = 300 };

/* Who is waited for, and by whom. */
static unsigned watched, watcher;

static bool it_is_fenced(struct cluster *k)
{
    return is_fenced(k, watcher, watched);
}

static bool it_serves(struct cluster *k)
{
    return !is_fenced(k, watcher, watched);
}

static bool it_is_lost(struct cluster *k)
{
    return k->nodes[watched].c.lost;
}

static bool it_is_not_lost(struct cluster *k)
{
    return !k->nodes[watched].c.lost;
}

static void nobody_is_fenced_while_all_answer(void **state)
{
    struct cluster *k = *state;
    k->session_ms = 10 * SHORT_MS;
    form(k);
    run_for(k, 15 * SHORT_MS);
    assert_equal_images(k);
    for (unsigned i = 0; i < NODES; i++) {
        assert_int_equal(serving(k, i), NODES);
        assert_int_equal(k->nodes[i].c.contacts_changed, 0);
    }
}

static void a_silent_broker_is_fenced_and_comes_back(void **state)
{
    struct cluster *k = *state;
    k->session_ms = SHORT_MS;
    form(k);
    ask_to_create(k, 0, "topic");
    assert_true(run_until(k, all_answered));
    forget_answers();
    watcher = leader_of(k);
    watched = (watcher + 1) % NODES;
    k->cut[watched] = true;
    assert_true(run_until(k, it_is_fenced));
    assert_true(run_until(k, it_is_lost)); /* it knows that it cannot know */
    const struct image_topic *topic =
        image_topic(meta_image(k->nodes[watcher].c.meta), text_of("topic"));
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        const struct image_partition *p = &topic->partitions[i];
        assert_true(p->leader >= 0 && p->leader != IDS[watched]);
        assert_false(image_has(p->isr, p->n_isr, IDS[watched]));
    }
    k->cut[watched] = false;
    assert_true(run_until(k, it_is_not_lost));
    ask_to_serve(k, watched);
    assert_true(run_until(k, all_answered));
    forget_answers();
    assert_true(run_until(k, it_serves));
    assert_equal_images(k);
}

static void a_broker_whose_process_has_ended_is_fenced_at_once(void **state)
{
    struct cluster *k = *state;
    k->session_ms = LONG_MS;
    form(k);
    watcher = leader_of(k);
    watched = (watcher + 2) % NODES;
    close_node(k, watched);
    say_ended(k, watched);
    assert_true(run_until(k, it_is_fenced));
    assert_int_equal(serving(k, watcher), NODES - 1);
}

static void a_restarted_broker_takes_its_place_over_at_once(void **state)
{
    struct cluster *k = *state;
    k->session_ms = LONG_MS;
    form(k);
    watcher = leader_of(k);
    watched = (watcher + 1) % NODES;
    int64_t epoch = image_broker(meta_image(k->nodes[watcher].c.meta), IDS[watched])->epoch;
    close_node(k, watched);
    open_node(k, watched); /* so fast that nobody has noticed */
    ask_to_register(k, watched);
    assert_true(run_until(k, all_answered));
    const struct meta_register_broker_response *r = answers[0].response;
    assert_int_equal(r->error, KAFKA_NONE);
    assert_true(r->epoch > epoch);
    forget_answers();
    assert_true(is_fenced(k, watcher, watched)); /* until it asks to serve */
    assert_equal_images(k);
}

static void a_new_controller_fences_the_one_before(void **state)
{
    struct cluster *k = *state;
    k->session_ms = LONG_MS;
    form(k);
    watched = leader_of(k);
    close_node(k, watched);
    say_ended(k, watched);
    watcher = leader_of(k);
    assert_true(run_until(k, it_is_fenced));
    assert_int_equal(serving(k, watcher), NODES - 1); /* the third one was not heard yet */
}

static void a_new_controller_fences_who_stays_silent(void **state)
{
    struct cluster *k = *state;
    k->session_ms = SHORT_MS;
    form(k);
    watched = leader_of(k);
    k->cut[watched] = true;
    k->connection[watched]++;
    watcher = leader_of(k);
    assert_true(run_until(k, it_is_fenced));
    k->cut[watched] = false;
    run_for(k, 2 * SHORT_MS);
    assert_equal_images(k);
    assert_int_equal(serving(k, watched), NODES - 1); /* its own word counts no longer */
}

static bool it_has_resigned(struct cluster *k)
{
    return !meta_resign(k->nodes[watched].c.meta) && somebody_leads(k);
}

static void a_controller_that_resigns_is_replaced(void **state)
{
    struct cluster *k = *state;
    k->session_ms = LONG_MS;
    form(k);
    watched = leader_of(k);
    assert_true(run_until(k, it_has_resigned));
    assert_int_not_equal(leader_of(k), watched);
    assert_false(meta_resign(k->nodes[watched].c.meta)); /* it has nothing to hand over */
    ask_to_create(k, watched, "after");
    assert_true(run_until(k, all_answered));
    forget_answers();
    assert_equal_images(k);
}

#define CLUSTER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER(three_nodes_form_one_cluster),
        CLUSTER(a_lone_node_of_three_forms_nothing),
        CLUSTER(requests_are_answered_on_every_node_when_applied_there),
        CLUSTER(topics_survive_changes_of_the_controller),
        CLUSTER(requests_wait_while_a_vote_is_written),
        CLUSTER(a_node_that_was_away_catches_up_from_a_snapshot),
        CLUSTER(restarted_nodes_have_what_they_had),
        CLUSTER(frames_that_cannot_be_close_the_connection),
        CLUSTER(nobody_is_fenced_while_all_answer),
        CLUSTER(a_silent_broker_is_fenced_and_comes_back),
        CLUSTER(a_broker_whose_process_has_ended_is_fenced_at_once),
        CLUSTER(a_restarted_broker_takes_its_place_over_at_once),
        CLUSTER(a_new_controller_fences_the_one_before),
        CLUSTER(a_new_controller_fences_who_stays_silent),
        CLUSTER(a_controller_that_resigns_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
