/* What the controller decides, request by request. */
#include "decide_case.h"

/* ---- creating topics --------------------------------------------------------------------------*/

static struct meta_create_topics_response_topic create(struct decide_case *t, const char *name,
                                                       int32_t partitions, int16_t replication)
{
    struct meta_create_topics_request_topic topic = { .name = text_of(name),
                                                      .partitions = partitions,
                                                      .replication = replication };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    decide_and_apply(t, META_CREATE_TOPICS, &request);
    return ((struct meta_create_topics_response *)t->response)->topics[0];
}

static void names_are_checked_as_kafka_does(void **state)
{
    (void)state;
    struct decide_case t;
    char long_name[251];
    memset(long_name, 'x', 250);
    long_name[250] = '\0';
    begin(&t, 3, NULL);
    const struct { const char *name; enum kafka_error error; } cases[] = {
        { "good.name_with-all", KAFKA_NONE },
        { "good.name_with-all", KAFKA_TOPIC_ALREADY_EXISTS },
        { "good_name.with-all", KAFKA_INVALID_TOPIC_EXCEPTION }, /* collides */
        { "", KAFKA_INVALID_TOPIC_EXCEPTION },
        { ".", KAFKA_INVALID_TOPIC_EXCEPTION },
        { "..", KAFKA_INVALID_TOPIC_EXCEPTION },
        { "...", KAFKA_NONE },
        { "sp ace", KAFKA_INVALID_TOPIC_EXCEPTION },
        { "../../etc", KAFKA_INVALID_TOPIC_EXCEPTION },
        { "\xc3\xa4", KAFKA_INVALID_TOPIC_EXCEPTION },
        { long_name, KAFKA_INVALID_TOPIC_EXCEPTION },
        { long_name + 1, KAFKA_NONE },
        { "__cluster_metadata", KAFKA_INVALID_REQUEST },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct meta_create_topics_response_topic r = create(&t, cases[i].name, 1, 1);
        assert_int_equal(r.error, cases[i].error);
        assert_int_equal(r.message.data != NULL, cases[i].error != KAFKA_NONE);
    }
    end(&t);
}

static void counts_have_defaults_and_limits(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 2, NULL);
    const struct {
        int32_t partitions;
        int16_t replication;
        enum kafka_error error;
        int32_t n_partitions;
        int16_t n_replicas;
    } cases[] = {
        { -1, -1, KAFKA_NONE, 4, 2 }, /* 3, clamped to the brokers there are */
        { 7, 1, KAFKA_NONE, 7, 1 },
        { 1, 2, KAFKA_NONE, 1, 2 },
        { 1, 3, KAFKA_INVALID_REPLICATION_FACTOR, 0, 0 },
        { 1, 0, KAFKA_INVALID_REPLICATION_FACTOR, 0, 0 },
        { 1, -2, KAFKA_INVALID_REPLICATION_FACTOR, 0, 0 },
        { 0, 1, KAFKA_INVALID_PARTITIONS, 0, 0 },
        { -2, 1, KAFKA_INVALID_PARTITIONS, 0, 0 },
        { 10000, 1, KAFKA_NONE, 10000, 1 },
        { 10001, 1, KAFKA_INVALID_PARTITIONS, 0, 0 },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "case-%zu", i);
        struct meta_create_topics_response_topic r =
            create(&t, name, cases[i].partitions, cases[i].replication);
        assert_int_equal(r.error, cases[i].error);
        if (r.error == KAFKA_NONE) {
            assert_int_equal(r.partitions, cases[i].n_partitions);
            assert_int_equal(r.replication, cases[i].n_replicas);
            const struct image_topic *topic = image_topic(t.image, text_of(name));
            assert_int_equal(topic->n_partitions, cases[i].n_partitions);
            assert_int_equal(topic->partitions[0].n_replicas, cases[i].n_replicas);
            assert_true(uuid_equal(&topic->id, &r.id));
        }
    }
    end(&t);
}

static void a_cluster_cannot_have_more_partitions_than_it_may(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 1, NULL);
    for (unsigned i = 0; i < IMAGE_PARTITIONS_MAX / 10000; i++) {
        char name[16];
        snprintf(name, sizeof name, "part-%u", i);
        assert_int_equal(create(&t, name, 10000, 1).error, KAFKA_NONE);
    }
    assert_int_equal(create(&t, "one-more", 1, 1).error, KAFKA_INVALID_PARTITIONS);
    end(&t);
}

static void a_request_cannot_create_more_partitions_than_it_may(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_create_topics_request_topic topics[3] = {
        { .name = text_of("a"), .partitions = 6000, .replication = 1 },
        { .name = text_of("b"), .partitions = 6000, .replication = 1 },
        { .name = text_of("c"), .partitions = 4000, .replication = 1 } };
    const struct meta_create_topics_request request = { .topics = topics, .n_topics = 3 };
    begin(&t, 1, NULL);
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    const struct meta_create_topics_response *r = t.response;
    assert_int_equal(r->topics[0].error, KAFKA_NONE);
    assert_int_equal(r->topics[1].error, KAFKA_INVALID_PARTITIONS);
    assert_int_equal(r->topics[2].error, KAFKA_NONE);
    assert_int_equal(image_partition_count(t.image), 10000);
    end(&t);
}

static void one_bad_topic_spoils_no_other(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_create_topics_request_topic topics[4] = {
        { .name = text_of("ok"), .partitions = 1, .replication = 1 },
        { .name = text_of("twice"), .partitions = 1, .replication = 1 },
        { .name = text_of("twice"), .partitions = 1, .replication = 1 },
        { .name = text_of("too many"), .partitions = 1, .replication = 1 } };
    struct meta_create_topics_request request = { .topics = topics, .n_topics = 4 };
    begin(&t, 1, NULL);
    request.validate_only = true;
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    assert_int_equal(t.d.n, 0);
    request.validate_only = false;
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    const struct meta_create_topics_response *r = t.response;
    assert_int_equal(r->topics[0].error, KAFKA_NONE);
    assert_int_equal(r->topics[1].error, KAFKA_INVALID_REQUEST);
    assert_int_equal(r->topics[2].error, KAFKA_INVALID_REQUEST);
    assert_int_equal(r->topics[3].error, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(image_topic_count(t.image), 1);
    end(&t);
}

static void manual_assignments_are_taken_as_they_are(void **state)
{
    (void)state;
    struct decide_case t;
    int32_t a[] = { 3, 1 }, b[] = { 2, 3 };
    struct meta_create_topics_request_assignment assignments[] = {
        { .partition = 1, .replicas = b, .n_replicas = 2 },
        { .partition = 0, .replicas = a, .n_replicas = 2 } };
    struct meta_create_topics_request_topic topic = { .name = text_of("manual"), .partitions = -1,
                                                      .replication = -1,
                                                      .assignments = assignments,
                                                      .n_assignments = 2 };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    begin(&t, 3, NULL);
    apply_state(t.image, 3, true);
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    const struct image_partition *p = partition_of(t.image, "manual", 0);
    assert_ids(p->replicas, p->n_replicas, "3 1");
    assert_isr(p, "1"); /* 3 is fenced: it has to catch up first */
    assert_int_equal(p->leader, 1);
    p = partition_of(t.image, "manual", 1);
    assert_ids(p->replicas, p->n_replicas, "2 3");
    assert_int_equal(p->leader, 2);
    end(&t);
}

static void manual_assignments_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct decide_case t;
    int32_t one[] = { 1 }, two[] = { 1, 2 }, same[] = { 1, 1 }, stranger[] = { 9 }, gone[] = { 3 };
    const struct {
        int32_t *first, *second;
        int32_t n_first, n_second, partition;
        int16_t replication;
        enum kafka_error error;
    } cases[] = {
        { one, one, 1, 1, 1, -1, KAFKA_NONE },
        { one, one, 1, 1, 2, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },    /* a gap */
        { one, one, 1, 1, 0, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },    /* twice */
        { one, two, 1, 2, 1, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },    /* widths differ */
        { same, same, 2, 2, 1, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },
        { stranger, one, 1, 1, 1, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },
        { one, gone, 1, 1, 1, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },   /* nobody serves */
        { one, one, 1, 0, 1, -1, KAFKA_INVALID_REPLICA_ASSIGNMENT },
        { one, one, 1, 1, 1, 1, KAFKA_INVALID_REQUEST },
    };
    begin(&t, 3, NULL);
    apply_state(t.image, 3, true);
    for (size_t i = 0; i < countof(cases); i++) {
        struct meta_create_topics_request_assignment assignments[] = {
            { .partition = 0, .replicas = cases[i].first, .n_replicas = cases[i].n_first },
            { .partition = cases[i].partition, .replicas = cases[i].second,
              .n_replicas = cases[i].n_second } };
        struct meta_create_topics_request_topic topic = {
            .name = text_of("manual"), .partitions = -1, .replication = cases[i].replication,
            .assignments = assignments, .n_assignments = 2 };
        const struct meta_create_topics_request request = { .validate_only = true,
                                                            .topics = &topic, .n_topics = 1 };
        decide_and_apply(&t, META_CREATE_TOPICS, &request);
        assert_int_equal(((struct meta_create_topics_response *)t.response)->topics[0].error,
                         cases[i].error);
    }
    end(&t);
}

static void settings_of_a_new_topic_are_checked(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_create_topics_request_config config = { .name = text_of("cleanup.policy"),
                                                        .value = text_of("compact") };
    struct meta_create_topics_request_topic topic = { .name = text_of("t"), .partitions = 1,
                                                      .replication = 1, .configs = &config,
                                                      .n_configs = 1 };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    const struct meta_create_topics_response *r;
    begin(&t, 1, NULL);
    config.value = text_of("burn");
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    r = t.response;
    assert_int_equal(r->topics[0].error, KAFKA_INVALID_CONFIG);
    config.value = text_of("compact");
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    r = t.response;
    assert_int_equal(r->topics[0].error, KAFKA_NONE);
    assert_true(text_is(image_config(&image_topic(t.image, text_of("t"))->configs,
                                     text_of("cleanup.policy")), "compact"));
    end(&t);
}

/* ---- asked twice ------------------------------------------------------------------------------*/

static void a_repeated_request_gives_the_same_answer_and_does_nothing(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_create_topics_request_topic topic = { .name = text_of("once"), .partitions = 3,
                                                      .replication = 1 };
    const struct meta_create_topics_request request = { .topics = &topic, .n_topics = 1 };
    begin(&t, 1, NULL);
    decide_and_apply(&t, META_CREATE_TOPICS, &request);
    struct uuid id = ((struct meta_create_topics_response *)t.response)->topics[0].id;
    t.sequence--; /* the same request again, from a node that has not seen it applied */
    assert_int_equal(decide_as(&t, 1, META_CREATE_TOPICS, &request), DECIDE_DONE);
    const struct meta_create_topics_response *r = t.response;
    assert_int_equal(t.d.n, 0);
    assert_true(t.d.waits[0]);
    assert_int_equal(r->topics[0].error, KAFKA_NONE);
    assert_true(uuid_equal(&r->topics[0].id, &id));
    assert_int_equal(r->topics[0].partitions, 3);
    end(&t);
}

/* ---- deleting, growing ------------------------------------------------------------------------*/

static void topics_are_deleted_by_name_or_id(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 1, NULL);
    apply_topic(t.image, "a", 1, 1, (int32_t[]){ 1 }, 1);
    apply_topic(t.image, "b", 2, 1, (int32_t[]){ 1 }, 1);
    apply_topic(t.image, "c", 3, 1, (int32_t[]){ 1 }, 1);
    struct meta_delete_topics_request_topic topics[] = {
        { .name = text_of("a") },
        { .id = { { 2 } } },
        { .name = text_of("missing") },
        { .id = { { 99 } } },
        { .name = text_of("c"), .id = { { 3 } } },
        { .name = TEXT_NULL },
    };
    const enum kafka_error errors[] = { KAFKA_NONE, KAFKA_NONE, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                        KAFKA_UNKNOWN_TOPIC_ID, KAFKA_INVALID_REQUEST,
                                        KAFKA_INVALID_REQUEST };
    const struct meta_delete_topics_request request = { .topics = topics,
                                                        .n_topics = countof(topics) };
    decide_and_apply(&t, META_DELETE_TOPICS, &request);
    const struct meta_delete_topics_response *r = t.response;
    for (size_t i = 0; i < countof(errors); i++) {
        assert_int_equal(r->topics[i].error, errors[i]);
    }
    assert_true(text_is(r->topics[1].name, "b"));
    assert_int_equal(image_topic_count(t.image), 1);

    struct meta_delete_topics_request_topic twice[] = { { .name = text_of("c") },
                                                        { .id = { { 3 } } } };
    const struct meta_delete_topics_request again = { .topics = twice, .n_topics = 2 };
    decide_and_apply(&t, META_DELETE_TOPICS, &again);
    r = t.response;
    assert_int_equal(r->topics[0].error, KAFKA_INVALID_REQUEST);
    assert_int_equal(r->topics[1].error, KAFKA_INVALID_REQUEST);
    assert_int_equal(image_topic_count(t.image), 1);
    end(&t);
}

static enum kafka_error grow(struct decide_case *t, const char *name, int32_t count,
                             struct meta_create_partitions_request_assignment *a, int32_t n)
{
    struct meta_create_partitions_request_topic topic = { .name = text_of(name), .count = count,
                                                          .assignments = a, .n_assignments = n };
    const struct meta_create_partitions_request request = { .topics = &topic, .n_topics = 1 };
    decide_and_apply(t, META_CREATE_PARTITIONS, &request);
    const struct meta_create_partitions_response *r = t->response;
    return (enum kafka_error)r->topics[0].error;
}

static void topics_grow_and_never_shrink(void **state)
{
    (void)state;
    struct decide_case t;
    int32_t ids[] = { 3, 2 };
    struct meta_create_partitions_request_assignment a = { .replicas = ids, .n_replicas = 2 };
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 2, (int32_t[]){ 1, 2 }, 2);
    assert_int_equal(grow(&t, "missing", 3, NULL, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(grow(&t, "t", 2, NULL, 0), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&t, "t", 1, NULL, 0), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&t, "t", 20000, NULL, 0), KAFKA_INVALID_PARTITIONS);
    assert_int_equal(grow(&t, "t", 5, NULL, 0), KAFKA_NONE);
    assert_int_equal(partition_of(t.image, "t", 4)->n_replicas, 2); /* as the others have */
    assert_int_equal(grow(&t, "t", 7, &a, 1), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(grow(&t, "t", 6, &a, 1), KAFKA_NONE);
    assert_int_equal(partition_of(t.image, "t", 5)->leader, 3);
    end(&t);
}

/* ---- settings ---------------------------------------------------------------------------------*/

static enum kafka_error set(struct decide_case *t, int8_t type, const char *resource,
                            const char *name, int8_t op, const char *value)
{
    struct meta_change_configs_request_change change = { .name = text_of(name), .op = op,
                                                         .value = text_of(value) };
    struct meta_change_configs_request_resource r = { .type = type, .name = text_of(resource),
                                                      .changes = &change, .n_changes = 1 };
    const struct meta_change_configs_request request = { .resources = &r, .n_resources = 1 };
    decide_and_apply(t, META_CHANGE_CONFIGS, &request);
    return (enum kafka_error)((struct meta_change_configs_response *)t->response)
        ->resources[0].error;
}

static struct text topic_config(const struct decide_case *t, const char *name)
{
    return image_config(image_configs(t->image, IMAGE_TOPIC, text_of("t")), text_of(name));
}

static void settings_are_worked_out_on_what_is_set(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 1, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1 }, 1);
    assert_int_equal(set(&t, IMAGE_TOPIC, "t", "cleanup.policy", CONFIG_SET, "delete"), KAFKA_NONE);
    assert_int_equal(set(&t, IMAGE_TOPIC, "t", "cleanup.policy", CONFIG_APPEND, "compact"),
                     KAFKA_NONE);
    struct text policy = topic_config(&t, "cleanup.policy");
    assert_true(config_list_has(policy, "compact") && config_list_has(policy, "delete"));
    assert_int_equal(set(&t, IMAGE_TOPIC, "t", "cleanup.policy", CONFIG_SUBTRACT, "delete"),
                     KAFKA_NONE);
    assert_true(text_is(topic_config(&t, "cleanup.policy"), "compact"));
    assert_int_equal(set(&t, IMAGE_TOPIC, "t", "cleanup.policy", CONFIG_DELETE, NULL), KAFKA_NONE);
    assert_null(topic_config(&t, "cleanup.policy").data);

    assert_int_equal(set(&t, IMAGE_TOPIC, "missing", "cleanup.policy", CONFIG_SET, "delete"),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(set(&t, IMAGE_TOPIC, "t", "no.such.setting", CONFIG_SET, "1"),
                     KAFKA_INVALID_CONFIG);
    assert_int_equal(set(&t, IMAGE_BROKER, "x", "message.max.bytes", CONFIG_SET, "1"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(set(&t, 77, "t", "cleanup.policy", CONFIG_SET, "delete"),
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(set(&t, IMAGE_BROKER, "", "min.insync.replicas", CONFIG_SET, "1"), KAFKA_NONE);
    assert_non_null(image_configs(t.image, IMAGE_BROKER, text_of("")));
    end(&t);
}

/* ---- brokers ----------------------------------------------------------------------------------*/

static enum decide_result register_node(struct decide_case *t, int32_t node, uint8_t life,
                                        const char *cluster_id, int64_t previous)
{
    static struct uuid directory;
    directory = (struct uuid){ { (uint8_t)node, 100 } };
    const struct meta_register_broker_request request = {
        .incarnation = { { (uint8_t)node, life } }, .raft_directory = { { (uint8_t)node } },
        .cluster_id = text_of(cluster_id), .previous_epoch = previous,
        .directories = &directory, .n_directories = 1 };
    return decide_as(t, node, META_REGISTER_BROKER, &request);
}

static enum kafka_error registration_error(const struct decide_case *t)
{
    return (enum kafka_error)((struct meta_register_broker_response *)t->response)->error;
}

static void begin_unformed(struct decide_case *t, unsigned voters)
{
    begin(t, voters, NULL);
    image_free(t->image);
    t->image = image_new();
    t->c.image = t->image;
}

static void a_lone_voter_forms_its_cluster_at_once(void **state)
{
    (void)state;
    struct decide_case t;
    begin_unformed(&t, 1);
    assert_int_equal(register_node(&t, 1, 1, "", -1), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    assert_int_equal(strlen(image_cluster_id(t.image)), UUID_TEXT_LEN);
    assert_int_equal(image_broker(t.image, 1)->epoch, (int64_t)image_index(t.image));
    end(&t);
}

static void a_cluster_waits_for_all_and_takes_over_the_id_that_one_brings(void **state)
{
    (void)state;
    struct decide_case t;
    begin_unformed(&t, 3);
    assert_int_equal(register_node(&t, 1, 1, "", -1), DECIDE_LATER);
    assert_int_equal(register_node(&t, 1, 1, "", -1), DECIDE_LATER); /* asked again: still one */
    assert_int_equal(register_node(&t, 2, 1, "adopted", -1), DECIDE_LATER);
    assert_int_equal(register_node(&t, 3, 1, "", -1), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    assert_string_equal(image_cluster_id(t.image), "adopted");
    assert_int_equal(register_node(&t, 1, 1, "", -1), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    assert_int_equal(image_broker_count(t.image), 2);
    assert_int_equal(register_node(&t, 2, 1, "another", -1), DECIDE_DONE);
    assert_int_equal(registration_error(&t), KAFKA_INCONSISTENT_CLUSTER_ID);
    end(&t);
}

static void a_majority_is_enough_after_some_patience(void **state)
{
    (void)state;
    struct decide_case t;
    begin_unformed(&t, 3);
    t.c.impatient = true;
    assert_int_equal(register_node(&t, 1, 1, "", -1), DECIDE_LATER);
    assert_int_equal(register_node(&t, 2, 1, "", -1), DECIDE_DONE);
    assert_true(t.d.n > 0);
    end(&t);
}

static void two_cluster_ids_are_refused(void **state)
{
    (void)state;
    struct decide_case t;
    begin_unformed(&t, 3);
    assert_int_equal(register_node(&t, 1, 1, "one", -1), DECIDE_LATER);
    assert_int_equal(register_node(&t, 2, 1, "two", -1), DECIDE_DONE);
    assert_int_equal(registration_error(&t), KAFKA_INCONSISTENT_CLUSTER_ID);
    assert_int_equal(t.d.n, 0);
    end(&t);
}

static void a_second_life_waits_until_the_first_is_fenced(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    assert_int_equal(register_node(&t, 2, 2, "", -1), DECIDE_LATER);
    apply_state(t.image, 2, true);
    assert_int_equal(register_node(&t, 2, 2, "", -1), DECIDE_DONE);
    assert_true(t.d.n > 0);
    /* A second copy of a registration is answered with its epoch. */
    assert_int_equal(register_node(&t, 3, 1, "", -1), DECIDE_DONE);
    assert_int_equal(t.d.n, 0);
    assert_int_equal(((struct meta_register_broker_response *)t.response)->epoch,
                     image_broker(t.image, 3)->epoch);
    end(&t);
}

/* What the controller does by itself, applied. */
static bool does_duty(struct decide_case *t)
{
    const struct command_id id = { .node = -1 };
    decision_release(&t->d);
    decision_init(&t->d, &t->arena, &id, 0);
    controller_decide_duty(&t->c, &t->d);
    if (t->d.n > 0) {
        assert_int_equal(apply_decision(t->image, &t->d).n_refused, 0);
    }
    return t->d.n > 0;
}

static void all_that_are_gone_are_fenced_in_one_entry(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 5, NULL);
    apply_topic(t.image, "t", 1, 8, (int32_t[]){ 1, 2, 3 }, 3);
    apply_topic(t.image, "u", 2, 8, (int32_t[]){ 2, 4, 5 }, 3);
    assert_false(does_duty(&t));
    t.c.voters[0].silent = true; /* is not known to live, nor to be gone */
    assert_false(does_duty(&t));
    t.c.voters[1].gone = t.c.voters[2].gone = true;
    uint64_t index = image_index(t.image);
    assert_true(does_duty(&t));
    assert_int_equal(image_index(t.image), index + 1);
    assert_true(image_broker(t.image, 2)->fenced && image_broker(t.image, 3)->fenced);
    for (int32_t i = 0; i < 8; i++) {
        assert_isr(partition_of(t.image, "t", i), "1");
        assert_elr(partition_of(t.image, "t", i), "2 3"); /* both: they went together */
        assert_int_equal(partition_of(t.image, "u", i)->leader, 4);
        assert_isr(partition_of(t.image, "u", i), "4 5");
    }
    assert_false(does_duty(&t)); /* once */
    end(&t);
}

static void preferred_leaders_lead_again_when_it_is_time(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 3, (int32_t[]){ 1, 2 }, 2);
    for (int32_t i = 0; i < 3; i++) {
        const struct image_partition *p = partition_of(t.image, "t", i);
        struct command_change_partitions_change change = command_change_partitions_change_default;
        change.topic_id.bytes[0] = 1;
        change.partition = i;
        change.leader_epoch = p->leader_epoch;
        change.partition_epoch = p->epoch;
        change.leader = 2;
        change.n_isr = change.n_elr = change.n_replicas = change.n_adding = change.n_removing =
            change.n_directories = -1;
        const struct command_change_partitions c = { .changes = &change, .n_changes = 1 };
        assert_int_equal(apply_one(t.image, COMMAND_CHANGE_PARTITIONS, &c).error, KAFKA_NONE);
    }
    assert_false(does_duty(&t)); /* nobody has asked */
    t.c.balances = true;
    uint64_t index = image_index(t.image);
    assert_true(does_duty(&t));
    assert_int_equal(image_index(t.image), index + 1); /* one entry for all */
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(partition_of(t.image, "t", i)->leader, 1);
    }
    assert_false(t.c.balances);
    end(&t);
}

static void where_logs_end_decides_after_a_cut(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_broker_state_request_end end_of[2] = { { { { 1 } }, 0, 3, 70 },
                                                       { { { 1 } }, 0, 3, 80 } };
    begin(&t, 2, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    t.c.voters[0].gone = t.c.voters[1].gone = true;
    assert_true(does_duty(&t));
    for (int32_t node = 1; node <= 2; node++) {
        const struct meta_broker_state_request request = {
            .epoch = image_broker(t.image, node)->epoch, .ends = &end_of[node - 1], .n_ends = 1 };
        t.c.voters[node - 1].gone = false;
        assert_int_equal(decide_as(&t, node, META_BROKER_STATE, &request), DECIDE_DONE);
        apply_decision(t.image, &t.d);
        assert_true(t.c.elects); /* 1 waits for 2 */
        assert_int_equal(partition_of(t.image, "t", 0)->leader, node == 1 ? -1 : 2);
    }
    assert_false(does_duty(&t));
    assert_false(t.c.elects);
    controller_forget(&t.c);
    end(&t);
}

static void nobody_is_waited_for_after_a_hurry(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_broker_state_request_end end_of = { { { 1 } }, 0, 3, 70 };
    begin(&t, 2, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2 }, 2);
    t.c.voters[0].gone = t.c.voters[1].gone = true;
    assert_true(does_duty(&t));
    t.c.voters[0].gone = false;
    const struct meta_broker_state_request request = {
        .epoch = image_broker(t.image, 1)->epoch, .ends = &end_of, .n_ends = 1 };
    assert_int_equal(decide_as(&t, 1, META_BROKER_STATE, &request), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    assert_false(does_duty(&t));
    assert_true(t.c.elects);
    t.c.hurried = true;
    assert_true(does_duty(&t));
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 1);
    assert_false(t.c.elects || t.c.hurried);
    controller_forget(&t.c);
    end(&t);
}

static void a_life_is_over_when_another_one_is_there(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    t.c.voters[1].incarnation = image_broker(t.image, 2)->incarnation;
    assert_false(does_duty(&t));
    t.c.voters[1].incarnation = (struct uuid){ { 2, 2 } };
    assert_int_equal(register_node(&t, 2, 2, "", -1), DECIDE_LATER);
    assert_true(does_duty(&t));
    assert_true(image_broker(t.image, 2)->fenced);
    assert_int_equal(register_node(&t, 2, 2, "", -1), DECIDE_DONE);
    end(&t);
}

static void a_wiped_voter_is_refused(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 3, NULL);
    const struct meta_register_broker_request request = { .incarnation = { { 2, 9 } },
                                                          .raft_directory = { { 77 } },
                                                          .cluster_id = text_of("") };
    assert_int_equal(decide_as(&t, 2, META_REGISTER_BROKER, &request), DECIDE_DONE);
    assert_int_equal(registration_error(&t), KAFKA_INVALID_REGISTRATION);
    assert_int_equal(t.d.n, 0);
    end(&t);
}

static void requests_of_an_earlier_life_are_refused(void **state)
{
    (void)state;
    struct decide_case t;
    begin(&t, 2, NULL);
    apply_state(t.image, 2, true);
    apply_register(t.image, 2, 2, NULL);
    const struct meta_broker_state_request serve = { .epoch = image_broker(t.image, 2)->epoch };
    decide_as(&t, 2, META_BROKER_STATE, &serve); /* life 1 */
    assert_int_equal(((struct meta_broker_state_response *)t.response)->error,
                     KAFKA_STALE_BROKER_EPOCH);
    const struct meta_allocate_producer_ids_request ids = { .epoch = serve.epoch };
    decide_as(&t, 2, META_ALLOCATE_PRODUCER_IDS, &ids);
    assert_int_equal(((struct meta_allocate_producer_ids_response *)t.response)->error,
                     KAFKA_STALE_BROKER_EPOCH);
    assert_int_equal(t.d.n, 0);
    end(&t);
}

/* ---- directories ------------------------------------------------------------------------------*/

static enum decide_result report(struct decide_case *t, int32_t node,
                                 struct meta_report_directory_request *request)
{
    request->epoch = image_broker(t->image, node)->epoch;
    request->directory = (struct uuid){ { (uint8_t)node, 100 } };
    return decide_as(t, node, META_REPORT_DIRECTORY, request);
}

static void topics_are_taken_over_from_the_best_replica_when_all_have_told(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_report_directory_request_log of_1[] = { { 0, 3, 100 }, { 1, 5, 7 } };
    struct meta_report_directory_request_log of_2[] = { { 0, 3, 120 }, { 1, 4, 999 } };
    struct meta_report_directory_request_topic topic_1 = { .id = { { 50 } },
                                                           .name = text_of("old"), .logs = of_1,
                                                           .n_logs = 2 };
    struct meta_report_directory_request_topic topic_2 = topic_1;
    struct meta_report_directory_request r1 = { .topics = &topic_1, .n_topics = 1 };
    struct meta_report_directory_request r2 = { .topics = &topic_2, .n_topics = 1 };
    struct meta_report_directory_request r3 = { .n_topics = 0 };
    struct controller_report reports[3] = { { 1, &r1 }, { 2, &r2 }, { 3, &r3 } };
    begin(&t, 3, NULL);
    topic_2.logs = of_2;
    t.c.reports = reports;
    t.c.n_reports = 1;
    assert_int_equal(report(&t, 1, &r1), DECIDE_LATER);
    t.c.n_reports = 2;
    assert_int_equal(report(&t, 2, &r2), DECIDE_LATER);
    t.c.n_reports = 3;
    report(&t, 3, &r3);
    assert_int_equal(report(&t, 1, &r1), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    const struct image_topic *topic = image_topic(t.image, text_of("old"));
    assert_true(topic->adopted);
    assert_int_equal(topic->n_partitions, 2);
    const struct image_partition *p = &topic->partitions[0];
    assert_ids(p->replicas, 1, "2"); /* the longer log of the same epoch */
    assert_int_equal(p->n_replicas, 3);
    assert_isr(p, "2");
    assert_int_equal(p->leader, 2);
    p = &topic->partitions[1];
    assert_isr(p, "1"); /* the higher epoch */
    assert_int_equal(p->leader_epoch, 5);
    const struct uuid directory = { { 1, 100 } };
    assert_true(image_directory(image_broker(t.image, 1), &directory)->known);

    t.c.n_reports = 2; /* what the others report is settled by now */
    assert_int_equal(report(&t, 3, &r3), DECIDE_LATER);
    t.c.n_reports = 3;
    assert_int_equal(report(&t, 2, &r2), DECIDE_DONE);
    apply_decision(t.image, &t.d);
    assert_int_equal(image_topic_count(t.image), 1);
    t.c.reports = NULL;
    end(&t);
}

static void a_name_that_is_taken_is_refused_to_a_directory(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_report_directory_request_topic topic = { .id = { { 50 } },
                                                         .name = text_of("taken") };
    struct meta_report_directory_request r = { .topics = &topic, .n_topics = 1 };
    struct controller_report reports[1] = { { 1, &r } };
    begin(&t, 1, NULL);
    apply_topic(t.image, "taken", 1, 1, (int32_t[]){ 1 }, 1);
    t.c.reports = reports;
    t.c.n_reports = 1;
    assert_int_equal(report(&t, 1, &r), DECIDE_DONE);
    const struct meta_report_directory_response *answer = t.response;
    assert_int_equal(answer->n_topics, 1);
    assert_int_equal(answer->topics[0].error, KAFKA_TOPIC_ALREADY_EXISTS);
    apply_decision(t.image, &t.d);
    assert_int_equal(image_topic_count(t.image), 1);
    assert_true(image_broker(t.image, 1)->directories[0].known);
    t.c.reports = NULL;
    end(&t);
}

/* ---- in-sync sets -----------------------------------------------------------------------------*/

/* Changes the in-sync set of partition 0 of topic 1, as `sender`; epochs relative to those it
 * has. */

static void in_sync_sets_are_checked_in_kafkas_order(void **state)
{
    (void)state;
    struct decide_case t;
    struct meta_change_isr_request_member two[] = { { 1, -1 }, { 2, -1 } };
    struct meta_change_isr_request_member without[] = { { 2, -1 } };
    struct meta_change_isr_request_member stranger[] = { { 1, -1 }, { 4, -1 } };
    struct meta_change_isr_request_member fenced[] = { { 1, -1 }, { 3, -1 } };
    struct meta_change_isr_request_member twice[] = { { 1, -1 }, { 1, -1 } };
    struct meta_change_isr_request_member old_life[] = { { 1, -1 }, { 2, 1 } };
    begin(&t, 4, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 1, 2, 3 }, 3);
    apply_state(t.image, 3, true);
    assert_int_equal(change_isr(&t, 1, 1, 0, two, 2), KAFKA_NOT_CONTROLLER);
    assert_int_equal(change_isr(&t, 1, 0, 1, two, 2), KAFKA_NOT_CONTROLLER);
    assert_int_equal(change_isr(&t, 1, -1, 0, two, 2), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(change_isr(&t, 2, 0, 0, two, 2), KAFKA_INVALID_REQUEST);
    assert_int_equal(change_isr(&t, 1, 0, -1, two, 2), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(change_isr(&t, 1, 0, 0, without, 1), KAFKA_INVALID_REQUEST);
    assert_int_equal(change_isr(&t, 1, 0, 0, stranger, 2), KAFKA_INVALID_REQUEST);
    assert_int_equal(change_isr(&t, 1, 0, 0, twice, 2), KAFKA_INVALID_REQUEST);
    assert_int_equal(change_isr(&t, 1, 0, 0, fenced, 2), KAFKA_INELIGIBLE_REPLICA);
    assert_int_equal(change_isr(&t, 1, 0, 0, old_life, 2), KAFKA_INELIGIBLE_REPLICA);
    assert_int_equal(change_isr(&t, 1, 0, 0, two, 2), KAFKA_NONE);
    const struct image_partition *p = partition_of(t.image, "t", 0);
    assert_isr(p, "1 2");
    assert_int_equal(p->leader_epoch, 0);
    old_life[1].epoch = image_broker(t.image, 2)->epoch;
    assert_int_equal(change_isr(&t, 1, 0, 0, two, 1), KAFKA_NONE);
    p = partition_of(t.image, "t", 0);
    assert_isr(p, "1");
    assert_elr(p, "2"); /* below min.insync.replicas: it has all that was acknowledged */
    assert_int_equal(change_isr(&t, 1, 0, 0, old_life, 2), KAFKA_NONE);
    p = partition_of(t.image, "t", 0);
    assert_isr(p, "1 2");
    assert_elr(p, "");
    end(&t);
}

static void elections_are_held_on_request(void **state)
{
    (void)state;
    struct decide_case t;
    int32_t zero[] = { 0 };
    struct meta_elect_leaders_request_topic topic = { .name = text_of("t"), .partitions = zero,
                                                      .n_partitions = 1 };
    struct meta_elect_leaders_request request = { .type = 0,
                                                  .topics = &topic, .n_topics = 1 };
    const struct meta_elect_leaders_response *r;
    begin(&t, 3, NULL);
    apply_topic(t.image, "t", 1, 1, (int32_t[]){ 2, 3 }, 2);
    decide_and_apply(&t, META_ELECT_LEADERS, &request);
    r = t.response;
    assert_int_equal(r->topics[0].partitions[0].error, KAFKA_ELECTION_NOT_NEEDED);
    apply_state(t.image, 2, true);
    decide_and_apply(&t, META_ELECT_LEADERS, &request);
    r = t.response;
    assert_int_equal(r->topics[0].partitions[0].error, KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    apply_state(t.image, 2, false);
    decide_and_apply(&t, META_ELECT_LEADERS, &request);
    r = t.response;
    assert_int_equal(r->topics[0].partitions[0].error, KAFKA_NONE);
    assert_int_equal(partition_of(t.image, "t", 0)->leader, 2);

    request.n_topics = -1; /* all: those that need none are left out */
    decide_and_apply(&t, META_ELECT_LEADERS, &request);
    r = t.response;
    assert_int_equal(r->n_topics, 0);
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked_as_kafka_does),
        cmocka_unit_test(counts_have_defaults_and_limits),
        cmocka_unit_test(a_cluster_cannot_have_more_partitions_than_it_may),
        cmocka_unit_test(a_request_cannot_create_more_partitions_than_it_may),
        cmocka_unit_test(one_bad_topic_spoils_no_other),
        cmocka_unit_test(manual_assignments_are_taken_as_they_are),
        cmocka_unit_test(manual_assignments_that_cannot_be_are_refused),
        cmocka_unit_test(settings_of_a_new_topic_are_checked),
        cmocka_unit_test(a_repeated_request_gives_the_same_answer_and_does_nothing),
        cmocka_unit_test(topics_are_deleted_by_name_or_id),
        cmocka_unit_test(topics_grow_and_never_shrink),
        cmocka_unit_test(settings_are_worked_out_on_what_is_set),
        cmocka_unit_test(a_lone_voter_forms_its_cluster_at_once),
        cmocka_unit_test(a_cluster_waits_for_all_and_takes_over_the_id_that_one_brings),
        cmocka_unit_test(a_majority_is_enough_after_some_patience),
        cmocka_unit_test(two_cluster_ids_are_refused),
        cmocka_unit_test(a_second_life_waits_until_the_first_is_fenced),
        cmocka_unit_test(all_that_are_gone_are_fenced_in_one_entry),
        cmocka_unit_test(preferred_leaders_lead_again_when_it_is_time),
        cmocka_unit_test(where_logs_end_decides_after_a_cut),
        cmocka_unit_test(nobody_is_waited_for_after_a_hurry),
        cmocka_unit_test(a_life_is_over_when_another_one_is_there),
        cmocka_unit_test(a_wiped_voter_is_refused),
        cmocka_unit_test(requests_of_an_earlier_life_are_refused),
        cmocka_unit_test(topics_are_taken_over_from_the_best_replica_when_all_have_told),
        cmocka_unit_test(a_name_that_is_taken_is_refused_to_a_directory),
        cmocka_unit_test(in_sync_sets_are_checked_in_kafkas_order),
        cmocka_unit_test(elections_are_held_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
