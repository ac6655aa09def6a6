/* The metadata of a single node, on real files, with both io backends. */
#include "meta_case.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

struct backend_case {
    enum loop_backend backend;
    struct loop *loop;
    char *dir;
};

static int set_up(void **state)
{
    struct backend_case *b = *state;
    int error = loop_new(b->backend, &b->loop);
    if (error != 0) {
        b->loop = NULL;
        print_message("io_uring is refused here: %s\n", strerror(-error));
    }
    b->dir = test_dir();
    return 0;
}

static int tear_down(void **state)
{
    struct backend_case *b = *state;
    loop_free(b->loop);
    test_dir_remove(b->dir);
    return 0;
}

static struct backend_case *backend_of(void **state)
{
    struct backend_case *b = *state;
    if (b->loop == NULL) {
        skip();
    }
    return b;
}

/* Opens, registers and serves. */
static void begin(struct meta_case *c, struct backend_case *b, uint8_t life)
{
    if (!meta_case_open(c, b->loop, b->dir, life)) {
        fail_msg("%s", c->message);
    }
    meta_case_register(c, -1, life);
    meta_case_serve(c, false, false);
}

static void a_lone_node_forms_a_cluster_and_serves(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    begin(&c, b, 1);
    const struct image *image = meta_image(c.meta);
    assert_int_equal(strlen(image_cluster_id(image)), UUID_TEXT_LEN);
    assert_int_equal(meta_controller(c.meta), 7);
    assert_true(meta_is_controller(c.meta));
    assert_int_equal(image_broker_count(image), 1);
    assert_false(image_broker(image, 7)->fenced);
    assert_int_equal(image_broker(image, 7)->endpoints[0].port, 9092);
    assert_true(image_feature(image, text_of("metadata.version")) > 0);
    struct meta_quorum quorum;
    meta_quorum(c.meta, &quorum);
    assert_int_equal(quorum.leader, 7);
    assert_int_equal(quorum.n_voters, 1);
    assert_true(quorum.committed >= quorum.applied && quorum.applied > 1);
    meta_case_close(&c);
}

static void what_was_acknowledged_is_there_after_a_restart(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    begin(&c, b, 1);
    assert_int_equal(meta_case_create(&c, "first", 3), KAFKA_NONE);
    assert_int_equal(meta_case_create(&c, "first", 3), KAFKA_TOPIC_ALREADY_EXISTS);
    assert_int_equal(c.topics_created, 1);
    char *cluster_id = mem_strdup(image_cluster_id(meta_image(c.meta)));
    struct uuid id = image_topic(meta_image(c.meta), text_of("first"))->id;
    int64_t epoch = meta_broker_epoch(c.meta);
    int32_t leader_epoch = image_partition(meta_image(c.meta), &id, 2)->leader_epoch;
    meta_case_close(&c);

    begin(&c, b, 2);
    const struct image *image = meta_image(c.meta);
    assert_string_equal(image_cluster_id(image), cluster_id);
    const struct image_topic *topic = image_topic(image, text_of("first"));
    assert_true(uuid_equal(&topic->id, &id));
    assert_int_equal(topic->n_partitions, 3);
    assert_true(meta_broker_epoch(c.meta) > epoch);
    const struct image_partition *p = image_partition(image, &id, 2);
    assert_int_equal(p->leader, 7);
    assert_int_equal(p->n_isr, 1);
    assert_int_equal(p->n_elr, 0);
    assert_true(p->leader_epoch > leader_epoch); /* an earlier life's epoch leads no more */
    meta_case_close(&c);
    free(cluster_id);
}

static void many_requests_are_answered_once_each(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    static struct answer answers[100];
    begin(&c, b, 1);
    for (unsigned i = 0; i < countof(answers); i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i / 2); /* each name twice */
        struct meta_create_topics_request_topic topic = { .name = text_of(name), .partitions = 2,
                                                          .replication = 1 };
        const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
        answer_init(&answers[i], b->loop, META_CREATE_TOPICS);
        meta_create_topics(c.meta, &request, loop_now_ns(b->loop) + 20 * NS_PER_S, answered,
                           &answers[i]);
    }
    for (unsigned i = 0; i < countof(answers); i++) {
        while (answers[i].times == 0) {
            loop_run(b->loop);
        }
    }
    for (unsigned i = 0; i < countof(answers); i++) {
        const struct meta_create_topics_response *r = answers[i].response;
        assert_int_equal(answers[i].times, 1);
        assert_int_equal(r->topics[0].error, i % 2 ? KAFKA_TOPIC_ALREADY_EXISTS : KAFKA_NONE);
        answer_release(&answers[i]);
    }
    assert_int_equal(image_topic_count(meta_image(c.meta)), 50);
    assert_int_equal(c.topics_created, 50);
    meta_case_close(&c);
}

static void a_batch_of_fifty_topics_has_fifty_answers(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    struct answer a;
    struct meta_create_topics_request_topic topics[50];
    char names[50][16];
    begin(&c, b, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(names[i], sizeof names[i], i == 13 ? "bad name" : "batch-%u", i);
        topics[i] = (struct meta_create_topics_request_topic){ .name = text_of(names[i]),
                                                               .partitions = -1,
                                                               .replication = -1 };
    }
    const struct meta_create_topics_request request = { .topics = topics, .n_topics = 50 };
    ask_and_wait(&c, META_CREATE_TOPICS, &request, &a);
    const struct meta_create_topics_response *r = a.response;
    assert_int_equal(r->n_topics, 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(r->topics[i].error, i == 13 ? KAFKA_INVALID_TOPIC_EXCEPTION : KAFKA_NONE);
        assert_true(text_is(r->topics[i].name, names[i]));
        assert_int_equal(r->topics[i].partitions, i == 13 ? 0 : 1);
    }
    answer_release(&a);
    assert_int_equal(image_topic_count(meta_image(c.meta)), 49);
    meta_case_close(&c);
}

static void topics_live_and_die(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    struct answer a;
    begin(&c, b, 1);
    assert_int_equal(meta_case_create(&c, "short-lived", 2), KAFKA_NONE);

    struct meta_create_partitions_request_topic more = { .name = text_of("short-lived"),
                                                         .count = 5 };
    const struct meta_create_partitions_request grow = { .topics = &more, .n_topics = 1 };
    ask_and_wait(&c, META_CREATE_PARTITIONS, &grow, &a);
    assert_int_equal(((struct meta_create_partitions_response *)a.response)->topics[0].error,
                     KAFKA_NONE);
    answer_release(&a);
    assert_int_equal(c.partitions_changed, 3);

    struct meta_change_configs_request_change change = { .name = text_of("retention.ms"),
                                                         .value = text_of("1000") };
    struct meta_change_configs_request_resource resource = {
        .type = IMAGE_TOPIC, .name = text_of("short-lived"), .changes = &change, .n_changes = 1 };
    const struct meta_change_configs_request set = { .resources = &resource, .n_resources = 1 };
    ask_and_wait(&c, META_CHANGE_CONFIGS, &set, &a);
    assert_int_equal(((struct meta_change_configs_response *)a.response)->resources[0].error,
                     KAFKA_NONE);
    answer_release(&a);
    assert_int_equal(c.configs_changed, 1);
    const struct image_topic *topic = image_topic(meta_image(c.meta), text_of("short-lived"));
    assert_true(text_is(image_config(&topic->configs, text_of("retention.ms")), "1000"));

    struct uuid id = topic->id;
    struct meta_delete_topics_request_topic dead = { .name = text_of("short-lived") };
    const struct meta_delete_topics_request kill = { .topics = &dead, .n_topics = 1 };
    ask_and_wait(&c, META_DELETE_TOPICS, &kill, &a);
    const struct meta_delete_topics_response *r = a.response;
    assert_int_equal(r->topics[0].error, KAFKA_NONE);
    assert_true(uuid_equal(&r->topics[0].id, &id));
    answer_release(&a);
    assert_int_equal(c.topics_deleted, 1);
    assert_int_equal(image_topic_count(meta_image(c.meta)), 0);
    assert_int_equal(meta_case_create(&c, "short-lived", 1), KAFKA_NONE);
    assert_false(uuid_equal(&image_topic_at(meta_image(c.meta), 0)->id, &id));
    meta_case_close(&c);
}

static void producer_ids_are_never_given_twice(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    struct answer a;
    int64_t next = 0;
    for (uint8_t life = 1; life <= 3; life++) {
        begin(&c, b, life);
        for (unsigned i = 0; i < 3; i++) {
            const struct meta_allocate_producer_ids_request request = {
                .epoch = meta_broker_epoch(c.meta) };
            ask_and_wait(&c, META_ALLOCATE_PRODUCER_IDS, &request, &a);
            const struct meta_allocate_producer_ids_response *r = a.response;
            assert_int_equal(r->error, KAFKA_NONE);
            assert_int_equal(r->first, next);
            assert_int_equal(r->count, 1000);
            next += r->count;
            answer_release(&a);
        }
        meta_case_close(&c);
    }
}

static void an_unknown_directory_brings_its_topics(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    struct answer a;
    if (!meta_case_open(&c, b->loop, b->dir, 1)) {
        fail_msg("%s", c.message);
    }
    meta_case_register(&c, -1, 1);
    struct meta_report_directory_request_log logs[2] = {
        { .partition = 0, .last_epoch = 4, .end_offset = 100 },
        { .partition = 2, .last_epoch = 7, .end_offset = 5 } };
    struct meta_report_directory_request_topic topics[2] = {
        { .id = { { 42 } }, .name = text_of("old"), .logs = logs, .n_logs = 2 },
        { .id = { { 43 } }, .name = text_of("bad name"), .logs = logs, .n_logs = 1 } };
    const struct meta_report_directory_request request = { .epoch = meta_broker_epoch(c.meta),
                                                           .directory = { { 9, 9 } },
                                                           .topics = topics, .n_topics = 2 };
    ask_and_wait(&c, META_REPORT_DIRECTORY, &request, &a);
    const struct meta_report_directory_response *r = a.response;
    assert_int_equal(r->error, KAFKA_NONE);
    assert_int_equal(r->n_topics, 1);
    assert_true(text_is(r->topics[0].name, "bad name"));
    answer_release(&a);
    meta_case_serve(&c, false, false);

    const struct image_topic *topic = image_topic(meta_image(c.meta), text_of("old"));
    assert_true(topic->adopted);
    assert_int_equal(topic->n_partitions, 3);
    assert_int_equal(topic->partitions[2].leader, 7);
    assert_true(topic->partitions[2].leader_epoch > 7);
    struct uuid directory = { { 9, 9 } };
    assert_true(image_directory(image_broker(meta_image(c.meta), 7), &directory)->known);
    meta_case_close(&c);
}

static void requests_time_out_and_are_cancelled(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    struct answer cancelled, late;
    const struct meta_set_features_request request = { .n_features = 0 };
    begin(&c, b, 1);
    answer_init(&cancelled, b->loop, META_SET_FEATURES);
    answer_init(&late, b->loop, META_SET_FEATURES);
    struct meta_request *r = meta_set_features(c.meta, &request,
                                               loop_now_ns(b->loop) + NS_PER_S, answered,
                                               &cancelled);
    meta_cancel(c.meta, r);
    meta_set_features(c.meta, &request, loop_now_ns(b->loop) + 3600 * NS_PER_S, answered, &late);
    meta_case_close(&c);
    assert_int_equal(cancelled.times, 0);
    assert_int_equal(late.times, 1);
    assert_int_equal(late.error, KAFKA_REQUEST_TIMED_OUT);
}

static void snapshots_bound_the_log(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    meta_case_begin(&c, b->loop);
    struct meta_config config = meta_case_config(&c, 1);
    config.snapshot_entries = 50;
    c.meta = meta_open(b->loop, b->dir, &config, &META_CASE_EVENTS, &c);
    while (!c.opened) {
        loop_run(b->loop);
    }
    meta_case_register(&c, -1, 1);
    meta_case_serve(&c, false, false);
    for (unsigned i = 0; i < 400; i++) {
        char name[16];
        snprintf(name, sizeof name, "topic-%u", i);
        assert_int_equal(meta_case_create(&c, name, 1), KAFKA_NONE);
    }
    struct meta_quorum quorum;
    meta_quorum(c.meta, &quorum);
    assert_true(quorum.snapshot > 300);
    uint64_t hash = image_hash(meta_image(c.meta));
    meta_case_close(&c);

    struct dir_entry *entries;
    size_t n;
    assert_int_equal(dir_list(b->dir, &entries, &n), 0);
    assert_true(n < 20); /* the vote, a snapshot, the segments of 256 + 50 entries */
    dir_list_free(entries, n);
    if (!meta_case_open(&c, b->loop, b->dir, 1)) {
        fail_msg("%s", c.message);
    }
    assert_int_equal(image_hash(meta_image(c.meta)), hash);
    meta_case_close(&c);
}

static void other_voters_than_before_are_refused(void **state)
{
    struct backend_case *b = backend_of(state);
    struct meta_case c;
    begin(&c, b, 1);
    meta_case_close(&c);
    const struct meta_voter voters[] = { { .id = 7 }, { .id = 8 }, { .id = 9 } };
    meta_case_begin(&c, b->loop);
    struct meta_config config = meta_case_config(&c, 2);
    config.voters = voters;
    config.n_voters = 3;
    c.meta = meta_open(b->loop, b->dir, &config, &META_CASE_EVENTS, &c);
    while (!c.opened) {
        loop_run(b->loop);
    }
    assert_int_equal(c.error, -EINVAL);
    assert_non_null(strstr(c.message, "voters"));
    meta_case_close(&c);
}

/* ---- kill -9 ----------------------------------------------------------------------------------*/

/* Creates topics for ever, and tells of each that was acknowledged. */
static void create_until_killed(enum loop_backend backend, const char *dir, uint8_t life, int pipe)
{
    struct backend_case b = { .backend = backend, .dir = (char *)(uintptr_t)dir };
    struct meta_case c;
    if (loop_new(backend, &b.loop) != 0) {
        _exit(2);
    }
    begin(&c, &b, life);
    for (uint32_t n = 0;; n++) {
        char name[32];
        snprintf(name, sizeof name, "life-%u-%u", life, n);
        if (meta_case_create(&c, name, 1) != KAFKA_NONE ||
            write(pipe, &n, sizeof n) != sizeof n) {
            _exit(3);
        }
    }
}

static void topics_survive_kill(void **state)
{
    struct backend_case *b = backend_of(state);
    enum { LIVES = 12 };
    uint32_t acknowledged[LIVES + 1] = { 0 };
    for (uint8_t life = 1; life <= LIVES; life++) {
        int ends[2];
        uint32_t n;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            create_until_killed(b->backend, b->dir, life, ends[1]);
        }
        close(ends[1]);
        for (unsigned i = 0; i < 5u + life * 7u; i++) {
            assert_int_equal(read(ends[0], &n, sizeof n), sizeof n);
            acknowledged[life] = n + 1;
        }
        kill(child, SIGKILL);
        while (read(ends[0], &n, sizeof n) == sizeof n) {
            acknowledged[life] = n + 1;
        }
        close(ends[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    struct meta_case c;
    begin(&c, b, LIVES + 1);
    for (unsigned life = 1; life <= LIVES; life++) {
        for (uint32_t i = 0; i < acknowledged[life]; i++) {
            char name[32];
            snprintf(name, sizeof name, "life-%u-%u", life, i);
            assert_non_null(image_topic(meta_image(c.meta), text_of(name)));
        }
    }
    meta_case_close(&c);
}

static const struct {
    const char *name;
    CMUnitTestFunction run;
} TESTS[] = {
#define TEST(name) { #name, name }
    TEST(topics_survive_kill), /* first: it forks before the pool has threads */
    TEST(a_lone_node_forms_a_cluster_and_serves),
    TEST(what_was_acknowledged_is_there_after_a_restart),
    TEST(many_requests_are_answered_once_each),
    TEST(a_batch_of_fifty_topics_has_fifty_answers),
    TEST(topics_live_and_die),
    TEST(producer_ids_are_never_given_twice),
    TEST(an_unknown_directory_brings_its_topics),
    TEST(requests_time_out_and_are_cancelled),
    TEST(snapshots_bound_the_log),
    TEST(other_voters_than_before_are_refused),
};

int main(void)
{
    struct backend_case uring = { .backend = LOOP_URING }, threads = { .backend = LOOP_THREADS };
    struct CMUnitTest tests[2 * countof(TESTS)];
    for (unsigned i = 0; i < countof(tests); i++) {
        bool first = i < countof(TESTS);
        tests[i] = (struct CMUnitTest){
            .name = mem_sprintf("%s_%s", TESTS[i % countof(TESTS)].name,
                                first ? "uring" : "threads"),
            .test_func = TESTS[i % countof(TESTS)].run,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = first ? &uring : &threads,
        };
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (unsigned i = 0; i < countof(tests); i++) {
        free((char *)tests[i].name);
    }
    return failed;
}
