/* The image: commands, results, snapshots, hashes, differences. */
#include "image_case.h"

#include <chronik/wire/codec.h>
#include <errno.h>

static const int32_t ONE_TWO_THREE[] = { 1, 2, 3 };

/* ---- commands ---------------------------------------------------------------------------------*/

static void a_cluster_is_formed_once(void **state)
{
    (void)state;
    struct image *image = image_new();
    const struct command_form_cluster none = { .cluster_id = text_of("") };
    const struct command_form_cluster first = { .cluster_id = text_of("first") };
    const struct command_form_cluster second = { .cluster_id = text_of("second") };
    assert_int_equal(apply_one(image, COMMAND_FORM_CLUSTER, &none).error,
                     KAFKA_INCONSISTENT_CLUSTER_ID);
    assert_int_equal(apply_one(image, COMMAND_FORM_CLUSTER, &first).error, KAFKA_NONE);
    assert_int_equal(apply_one(image, COMMAND_FORM_CLUSTER, &second).error,
                     KAFKA_INCONSISTENT_CLUSTER_ID);
    assert_string_equal(image_cluster_id(image), "first");
    image_free(image);
}

static void a_broker_epoch_is_the_index_of_its_registration(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    const struct image_broker *b = image_broker(image, 1);
    int64_t first = b->epoch;
    int64_t second = apply_register(image, 1, 2, "rack");
    assert_int_equal(second, (int64_t)image_index(image));
    b = image_broker(image, 1);
    assert_int_equal(b->epoch, second);
    assert_true(b->epoch > first);
    assert_true(b->fenced);
    assert_string_equal(b->rack, "rack");
    assert_int_equal(b->incarnation.bytes[1], 2);
    image_free(image);
}

static void a_known_directory_stays_known_over_lives(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    struct command_settle_directory settle = { .broker = 1, .epoch = 1,
                                               .directory = { { 1, 100 } } };
    assert_int_equal(apply_one(image, COMMAND_SETTLE_DIRECTORY, &settle).error,
                     KAFKA_STALE_BROKER_EPOCH);
    settle.epoch = image_broker(image, 1)->epoch;
    settle.directory.bytes[1] = 101;
    assert_int_equal(apply_one(image, COMMAND_SETTLE_DIRECTORY, &settle).error,
                     KAFKA_LOG_DIR_NOT_FOUND);
    settle.directory.bytes[1] = 100;
    assert_int_equal(apply_one(image, COMMAND_SETTLE_DIRECTORY, &settle).error, KAFKA_NONE);
    apply_register(image, 1, 2, NULL);
    assert_true(image_broker(image, 1)->directories[0].known);
    image_free(image);
}

static void who_is_fenced_or_new_leads_nothing(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    apply_topic(image, "t", 1, 2, ONE_TWO_THREE, 3);
    const struct image_partition *p = partition_of(image, "t", 1);
    int32_t leader_epoch = p->leader_epoch, epoch = p->epoch;
    apply_state(image, 1, true);
    p = partition_of(image, "t", 1);
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->last_leader, 1);
    assert_int_equal(p->leader_epoch, leader_epoch + 1);
    assert_int_equal(p->epoch, epoch + 1);
    assert_isr(p, "1 2 3");

    apply_topic(image, "u", 2, 1, (int32_t[]){ 2, 3 }, 2);
    apply_register(image, 2, 2, NULL); /* a new life may have lost what the old one promised */
    p = partition_of(image, "u", 0);
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->leader_epoch, 1);
    image_free(image);
}

static void topics_have_unique_names_and_ids(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    assert_int_equal(apply_topic(image, "a", 1, 1, ONE_TWO_THREE, 3).error, KAFKA_NONE);
    assert_int_equal(apply_topic(image, "a", 2, 1, ONE_TWO_THREE, 3).error,
                     KAFKA_TOPIC_ALREADY_EXISTS);
    assert_int_equal(apply_topic(image, "b", 1, 1, ONE_TWO_THREE, 3).error,
                     KAFKA_TOPIC_ALREADY_EXISTS);
    assert_int_equal(apply_topic(image, "", 3, 1, ONE_TWO_THREE, 3).error,
                     KAFKA_INVALID_TOPIC_EXCEPTION);
    const struct command_delete_topic gone = { .topic_id = { { 1 } } };
    assert_int_equal(apply_one(image, COMMAND_DELETE_TOPIC, &gone).error, KAFKA_NONE);
    assert_int_equal(apply_one(image, COMMAND_DELETE_TOPIC, &gone).error, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(image_partition_count(image), 0);
    assert_int_equal(apply_topic(image, "a", 4, 1, ONE_TWO_THREE, 3).error, KAFKA_NONE);
    image_free(image);
}

static void partitions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    apply_state(image, 3, true);
    assert_int_equal(apply_topic(image, "twice", 1, 1, (int32_t[]){ 1, 1 }, 2).error,
                     KAFKA_INVALID_PARTITIONS);
    assert_int_equal(apply_topic(image, "fenced leader", 1, 1, (int32_t[]){ 3, 1 }, 2).error,
                     KAFKA_INVALID_PARTITIONS);
    assert_int_equal(apply_topic(image, "stranger", 1, 1, (int32_t[]){ 9 }, 1).error,
                     KAFKA_INVALID_PARTITIONS);
    assert_int_equal(apply_topic(image, "none", 1, 1, ONE_TWO_THREE, 0).error,
                     KAFKA_INVALID_PARTITIONS);
    assert_int_equal(apply_topic(image, "no partitions", 1, 0, ONE_TWO_THREE, 3).error,
                     KAFKA_INVALID_PARTITIONS);
    assert_int_equal(image_topic_count(image), 0);
    image_free(image);
}

static struct apply_result add_partition(struct image *image, int32_t first)
{
    struct command_create_partitions_partition p = {
        .leader = 1, .replicas = (int32_t[]){ 1 }, .n_replicas = 1, .isr = (int32_t[]){ 1 },
        .n_isr = 1, .n_directories = -1 };
    const struct command_create_partitions command = { .topic_id = { { 1 } }, .first = first,
                                                       .partitions = &p, .n_partitions = 1 };
    return apply_one(image, COMMAND_CREATE_PARTITIONS, &command);
}

static void partitions_are_added_at_the_end_only(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    assert_int_equal(add_partition(image, 0).error, KAFKA_UNKNOWN_TOPIC_ID);
    apply_topic(image, "t", 1, 2, ONE_TWO_THREE, 3);
    assert_int_equal(add_partition(image, 1).error, KAFKA_INVALID_PARTITIONS);
    assert_int_equal(add_partition(image, 3).error, KAFKA_INVALID_PARTITIONS);
    assert_int_equal(add_partition(image, 2).error, KAFKA_NONE);
    assert_int_equal(image_topic(image, text_of("t"))->n_partitions, 3);
    assert_int_equal(image_partition_count(image), 3);
    image_free(image);
}

/* A change of partition 0 of the topic with id 1, on the epochs that it has. */
static struct command_change_partitions_change change_of(const struct image *image)
{
    const struct image_partition *p = image_partition(image, &(struct uuid){ { 1 } }, 0);
    struct command_change_partitions_change c = command_change_partitions_change_default;
    c.topic_id = (struct uuid){ { 1 } };
    c.leader_epoch = p->leader_epoch;
    c.partition_epoch = p->epoch;
    c.n_isr = c.n_elr = c.n_replicas = c.n_adding = c.n_removing = c.n_directories = -1;
    return c;
}

static enum kafka_error apply_change(struct image *image,
                                     struct command_change_partitions_change *c)
{
    const struct command_change_partitions command = { .changes = c, .n_changes = 1 };
    return apply_one(image, COMMAND_CHANGE_PARTITIONS, &command).error;
}

static void changes_are_compare_and_set_on_both_epochs(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    apply_topic(image, "t", 1, 1, ONE_TWO_THREE, 3);
    struct command_change_partitions_change c = change_of(image), stale = c;
    c.isr = (int32_t[]){ 1, 3 };
    c.n_isr = 2;
    assert_int_equal(apply_change(image, &c), KAFKA_NONE);
    const struct image_partition *p = partition_of(image, "t", 0);
    assert_isr(p, "1 3");
    assert_int_equal(p->epoch, 1);
    assert_int_equal(p->leader_epoch, 0);
    assert_int_equal(p->leader, 1);

    stale.leader = 3;
    assert_int_equal(apply_change(image, &stale), KAFKA_INVALID_UPDATE_VERSION);
    stale = change_of(image);
    stale.leader_epoch++;
    assert_int_equal(apply_change(image, &stale), KAFKA_INVALID_UPDATE_VERSION);

    c = change_of(image);
    c.leader = 3;
    assert_int_equal(apply_change(image, &c), KAFKA_NONE);
    p = partition_of(image, "t", 0);
    assert_int_equal(p->leader, 3);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->epoch, 2);
    image_free(image);
}

static void leaders_are_in_sync_and_serve(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(4, NULL);
    apply_topic(image, "t", 1, 1, ONE_TWO_THREE, 3);
    apply_state(image, 2, true);
    struct command_change_partitions_change c = change_of(image);
    c.leader = 2; /* fenced */
    assert_int_equal(apply_change(image, &c), KAFKA_INVALID_UPDATE_VERSION);
    c.leader = 4; /* not in sync */
    assert_int_equal(apply_change(image, &c), KAFKA_INVALID_UPDATE_VERSION);
    c.leader = -2;
    c.isr = (int32_t[]){ 1, 4 };
    c.n_isr = 2; /* not a replica */
    assert_int_equal(apply_change(image, &c), KAFKA_INVALID_UPDATE_VERSION);
    c.isr = (int32_t[]){ 3 };
    c.n_isr = 1; /* without the leader */
    assert_int_equal(apply_change(image, &c), KAFKA_INVALID_UPDATE_VERSION);
    assert_int_equal(partition_of(image, "t", 0)->epoch, 0);
    image_free(image);
}

static void settings_come_and_go(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    apply_topic(image, "t", 1, 1, (int32_t[]){ 1 }, 1);
    struct command_change_configs_change changes[2] = {
        { .name = text_of("b"), .value = text_of("2") },
        { .name = text_of("a"), .value = text_of("1") } };
    struct command_change_configs c = { .type = IMAGE_TOPIC, .name = text_of("t"),
                                        .changes = changes, .n_changes = 2 };
    assert_int_equal(apply_one(image, COMMAND_CHANGE_CONFIGS, &c).error, KAFKA_NONE);
    c.type = IMAGE_BROKER;
    c.name = text_of("");
    assert_int_equal(apply_one(image, COMMAND_CHANGE_CONFIGS, &c).error, KAFKA_NONE);
    const struct image_configs *configs = image_configs(image, IMAGE_TOPIC, text_of("t"));
    assert_int_equal(configs->n, 2);
    assert_string_equal(configs->items[0].name, "a");
    assert_non_null(image_configs(image, IMAGE_BROKER, text_of("")));
    assert_null(image_configs(image, IMAGE_BROKER, text_of("1")));

    changes[0].value = changes[1].value = TEXT_NULL;
    assert_int_equal(apply_one(image, COMMAND_CHANGE_CONFIGS, &c).error, KAFKA_NONE);
    assert_null(image_configs(image, IMAGE_BROKER, text_of("")));
    c.type = IMAGE_TOPIC;
    c.name = text_of("missing");
    assert_int_equal(apply_one(image, COMMAND_CHANGE_CONFIGS, &c).error,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    image_free(image);
}

static void producer_ids_and_features(void **state)
{
    (void)state;
    struct image *image = image_new();
    struct command_allocate_producer_ids ids = { .count = 1000 };
    assert_int_equal(apply_one(image, COMMAND_ALLOCATE_PRODUCER_IDS, &ids).value, 0);
    assert_int_equal(apply_one(image, COMMAND_ALLOCATE_PRODUCER_IDS, &ids).value, 1000);
    ids.count = 0;
    assert_int_equal(apply_one(image, COMMAND_ALLOCATE_PRODUCER_IDS, &ids).error,
                     KAFKA_INVALID_REQUEST);
    assert_int_equal(image_next_producer_id(image), 2000);

    struct command_set_features_feature f[2] = { { text_of("z"), 3 }, { text_of("a"), 1 } };
    struct command_set_features set = { .features = f, .n_features = 2 };
    apply_one(image, COMMAND_SET_FEATURES, &set);
    assert_int_equal(image_feature(image, text_of("z")), 3);
    assert_string_equal(image_feature_at(image, 0)->name, "a");
    f[0].level = 0;
    apply_one(image, COMMAND_SET_FEATURES, &set);
    assert_int_equal(image_feature(image, text_of("z")), 0);
    assert_int_equal(image_feature_count(image), 1);
    image_free(image);
}

/* ---- entries ----------------------------------------------------------------------------------*/

/* An entry with one request for producer ids. */
static struct buf entry_of(int64_t sequence, int64_t open, uint8_t life, uint64_t base)
{
    struct arena arena;
    struct decision d;
    struct buf entry = { 0 };
    const struct command_id id = { .node = 1, .incarnation = { { 1, life } },
                                   .sequence = sequence, .open = open };
    const struct command_allocate_producer_ids ids = { .count = 10 };
    arena_init(&arena, 0);
    decision_init(&d, &arena, &id, 1);
    decision_add(&d, COMMAND_ALLOCATE_PRODUCER_IDS, 0, &ids);
    decision_encode(&d, base, &entry);
    decision_release(&d);
    arena_release(&arena);
    return entry;
}

static struct apply_result apply_ids(struct image *image, int64_t sequence, int64_t open,
                                     uint8_t life, uint64_t base)
{
    struct applying a = { .n = 0 };
    struct buf entry = entry_of(sequence, open, life, base);
    uint64_t next = image_index(image) + 1;
    assert_int_equal(image_apply(image, next, buf_bytes(&entry), note_applied, &a), 0);
    buf_release(&entry);
    return a.last;
}

static void an_entry_for_another_image_changes_nothing(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    uint64_t base = image_base(image), hash_before = image_hash(image);
    assert_int_equal(apply_ids(image, 1, 1, 1, base - 1).error, KAFKA_NOT_CONTROLLER);
    assert_int_equal(image_next_producer_id(image), 0);
    assert_int_equal(image_base(image), base);
    assert_int_not_equal(image_hash(image), hash_before); /* the index */
    assert_int_equal(apply_ids(image, 1, 1, 1, base).error, KAFKA_NONE);
    assert_int_equal(image_next_producer_id(image), 10);
    image_free(image);
}

static void a_second_copy_of_a_command_changes_nothing(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    assert_int_equal(apply_ids(image, 5, 5, 1, image_base(image)).value, 0);
    assert_int_equal(apply_ids(image, 6, 5, 1, image_base(image)).value, 10);
    assert_int_equal(apply_ids(image, 5, 5, 1, image_base(image)).value, 0); /* the same answer */
    assert_int_equal(image_next_producer_id(image), 20);
    assert_int_equal(apply_ids(image, 8, 8, 1, image_base(image)).value, 20);
    /* What its sender has given up is not done late. */
    assert_int_equal(apply_ids(image, 7, 7, 1, image_base(image)).error, KAFKA_REQUEST_TIMED_OUT);
    assert_int_equal(apply_ids(image, 5, 5, 1, image_base(image)).error, KAFKA_REQUEST_TIMED_OUT);
    assert_int_equal(image_next_producer_id(image), 30);

    struct apply_result result;
    struct command_id id = { .node = 1, .incarnation = { { 1, 1 } }, .sequence = 8 };
    assert_true(image_find_result(image, &id, &result));
    assert_int_equal(result.value, 20);
    id.sequence = 6; /* below the open ones: forgotten */
    assert_false(image_find_result(image, &id, &result));
    image_free(image);
}

static void numbers_begin_anew_with_each_life(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    apply_ids(image, 100, 100, 1, image_base(image));
    apply_register(image, 1, 2, NULL);
    assert_int_equal(apply_ids(image, 1, 1, 2, image_base(image)).value, 10);
    assert_int_equal(image_next_producer_id(image), 20);
    image_free(image);
}

static void what_cannot_be_understood_changes_nothing(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(1, NULL);
    struct applying a = { .n = 0 };
    uint64_t index = image_index(image), base = image_base(image);
    assert_int_equal(image_apply(image, index + 1, bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff", 8),
                                 note_applied, &a), -EBADMSG);
    assert_int_equal(image_index(image), index + 1);

    struct buf entry = entry_of(1, 1, 1, base);
    for (size_t i = 0; i < entry.len; i++) { /* a damaged byte never does more than refuse */
        struct image *copy;
        struct buf whole = { 0 };
        image_encode(image, &whole);
        assert_int_equal(image_decode(buf_bytes(&whole), &copy), 0);
        buf_release(&whole);
        entry.data[i] ^= 0x81;
        image_apply(copy, index + 2, buf_bytes(&entry), note_applied, &a);
        entry.data[i] ^= 0x81;
        image_free(copy);
    }
    buf_release(&entry);

    /* A kind of command, or a version, of tomorrow. */
    struct command_entry_command c = command_entry_command_default;
    const struct command_entry e = { .base = (int64_t)base, .commands = &c, .n_commands = 1 };
    for (unsigned i = 0; i < 2; i++) {
        struct chain chain = { 0 };
        uint8_t bytes[256];
        c.kind = i == 0 ? 1000 : COMMAND_DELETE_TOPIC;
        c.version = i == 0 ? 0 : 9;
        c.body = bytes_of("", 0);
        wire_encode(meta_command_entry.request, 0, true, &e, &chain);
        chain_copy(&chain, bytes);
        struct bytes tomorrow = bytes_of(bytes, chain.len);
        assert_int_equal(image_apply(image, index + 2, tomorrow, note_applied, &a), -ENOTSUP);
        chain_release(&chain);
    }
    assert_int_equal(image_index(image), index + 1);
    image_free(image);
}

/* ---- the whole --------------------------------------------------------------------------------*/

/* Applies the same random commands to an image; many are refused. */
static void scramble(struct image *image, struct prng *prng)
{
    uint8_t id = (uint8_t)(1 + prng_below(prng, 20));
    char name[16];
    snprintf(name, sizeof name, "topic-%u", id);
    int32_t a = (int32_t)(1 + prng_below(prng, 5)), b = a % 5 + 1;
    switch (prng_below(prng, 7)) {
    case 0:
        apply_topic(image, name, id, (int32_t)(1 + prng_below(prng, 5)), (int32_t[]){ a, b }, 2);
        break;
    case 1: {
        const struct command_delete_topic gone = { .topic_id = { { id } } };
        apply_one(image, COMMAND_DELETE_TOPIC, &gone);
        break;
    }
    case 2:
        apply_register(image, a, (uint8_t)prng_below(prng, 200), a % 2 ? "odd" : NULL);
        break;
    case 3:
        apply_state(image, a, prng_percent(prng, 40));
        break;
    case 4: {
        struct command_change_configs_change change = {
            .name = text_of(b % 2 ? "x" : "y"),
            .value = prng_percent(prng, 50) ? text_of("v") : TEXT_NULL };
        const struct command_change_configs c = {
            .type = prng_percent(prng, 50) ? IMAGE_TOPIC : IMAGE_BROKER,
            .name = text_of(prng_percent(prng, 50) ? name : "1"), .changes = &change,
            .n_changes = 1 };
        apply_one(image, COMMAND_CHANGE_CONFIGS, &c);
        break;
    }
    case 5: {
        const struct image_partition *p = image_partition(image, &(struct uuid){ { id } }, 0);
        struct command_change_partitions_change c = command_change_partitions_change_default;
        c.n_isr = c.n_elr = c.n_replicas = c.n_adding = c.n_removing = c.n_directories = -1;
        c.topic_id = (struct uuid){ { id } };
        c.leader_epoch = p ? p->leader_epoch : 0;
        c.partition_epoch = p ? p->epoch : 0;
        c.leader = prng_percent(prng, 50) ? a : -1;
        c.elr = (int32_t[]){ b };
        c.n_elr = 1;
        apply_change(image, &c);
        break;
    }
    default:
        apply_ids(image, (int64_t)prng_below(prng, 1000), 0, 1, image_base(image));
    }
}

static void the_same_commands_give_the_same_image(void **state)
{
    (void)state;
    struct image *a = image_with_brokers(5, "aabbc"), *b = image_with_brokers(5, "aabbc");
    struct prng prng_a, prng_b;
    prng_init(&prng_a, 5);
    prng_init(&prng_b, 5);
    for (unsigned i = 0; i < 2000; i++) {
        scramble(a, &prng_a);
        scramble(b, &prng_b);
        assert_int_equal(image_hash(a), image_hash(b));
    }
    assert_true(image_topic_count(a) > 3);
    image_free(a);
    image_free(b);
}

static void a_snapshot_is_the_same_image_and_goes_on_the_same(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(5, "aabbc");
    struct prng prng;
    prng_init(&prng, 11);
    for (unsigned i = 0; i < 1500; i++) {
        struct buf whole = { 0 };
        struct image *copy;
        image_encode(image, &whole);
        assert_int_equal(image_decode(buf_bytes(&whole), &copy), 0);
        assert_int_equal(image_hash(copy), image_hash(image));
        assert_int_equal(image_partition_count(copy), image_partition_count(image));
        buf_release(&whole);
        struct prng same = prng;
        scramble(image, &prng);
        scramble(copy, &same);
        assert_int_equal(image_hash(copy), image_hash(image));
        image_free(copy);
    }
    image_free(image);
}

static void every_part_counts_in_the_hash(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, NULL);
    uint64_t hash = image_hash(image);
    apply_topic(image, "t", 1, 2, ONE_TWO_THREE, 3);
    struct command_change_partitions_change c = change_of(image);
    const struct command_settle_directory settle = { .broker = 1,
                                                     .epoch = image_broker(image, 1)->epoch,
                                                     .directory = { { 1, 100 } } };
    struct { enum command_kind kind; const void *command; } steps[] = {
        { COMMAND_SETTLE_DIRECTORY, &settle },
        { COMMAND_CHANGE_PARTITIONS,
          &(struct command_change_partitions){ .changes = &c, .n_changes = 1 } },
        { COMMAND_ALLOCATE_PRODUCER_IDS, &(struct command_allocate_producer_ids){ .count = 1 } },
    };
    c.recovery = IMAGE_RECOVERING;
    for (size_t i = 0; i < countof(steps); i++) {
        uint64_t before = image_hash(image);
        assert_int_not_equal(before, hash);
        assert_int_equal(apply_one(image, steps[i].kind, steps[i].command).error, KAFKA_NONE);
        assert_int_not_equal(image_hash(image), before);
    }
    image_free(image);
}

static void damaged_snapshots_are_refused_or_valid(void **state)
{
    (void)state;
    struct image *image = image_with_brokers(3, "abc"), *copy;
    struct buf whole = { 0 };
    apply_topic(image, "t", 1, 2, ONE_TWO_THREE, 3);
    image_encode(image, &whole);
    for (size_t i = 0; i < whole.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            whole.data[i] ^= (uint8_t)(1u << bit);
            if (image_decode(buf_bytes(&whole), &copy) == 0) {
                image_hash(copy);
                image_free(copy);
            }
            whole.data[i] ^= (uint8_t)(1u << bit);
        }
        assert_int_not_equal(image_decode(bytes_of(whole.data, i), &copy), 0);
    }
    store_be16(whole.data, 7);
    assert_int_equal(image_decode(buf_bytes(&whole), &copy), -ENOTSUP);
    buf_release(&whole);
    image_free(image);
}

/* ---- listening --------------------------------------------------------------------------------*/

/* Keeps what a listener needs to know in order to follow: each topic's partitions with their
 * epochs, by the id's first byte. */
struct follower {
    int32_t epochs[256][8];
    int32_t n[256];
    unsigned brokers, configs, features;
};

static void follow_created(void *arg, const struct image_topic *topic)
{
    struct follower *f = arg;
    uint8_t id = topic->id.bytes[0];
    assert_int_equal(f->n[id], 0);
    f->n[id] = topic->n_partitions;
    for (int32_t i = 0; i < topic->n_partitions; i++) {
        f->epochs[id][i] = topic->partitions[i].epoch;
    }
}

static void follow_deleted(void *arg, const struct image_topic *topic)
{
    struct follower *f = arg;
    assert_true(f->n[topic->id.bytes[0]] > 0);
    f->n[topic->id.bytes[0]] = 0;
}

static void follow_partition(void *arg, const struct image_topic *topic, int32_t partition)
{
    struct follower *f = arg;
    uint8_t id = topic->id.bytes[0];
    assert_true(f->n[id] > 0);
    f->n[id] = partition >= f->n[id] ? partition + 1 : f->n[id];
    f->epochs[id][partition] = topic->partitions[partition].epoch;
}

static void follow_configs(void *arg, enum image_resource type, struct text name)
{
    (void)type, (void)name;
    ((struct follower *)arg)->configs++;
}

static void follow_broker(void *arg, const struct image_broker *broker)
{
    (void)broker;
    ((struct follower *)arg)->brokers++;
}

static const struct image_listener FOLLOWER = {
    .topic_created = follow_created, .topic_deleted = follow_deleted,
    .partition_changed = follow_partition, .configs_changed = follow_configs,
    .broker_changed = follow_broker,
};

static void assert_follows(const struct follower *f, const struct image *image)
{
    size_t topics = 0;
    for (unsigned id = 0; id < 256; id++) {
        const struct image_topic *topic =
            image_topic_by_id(image, &(struct uuid){ { (uint8_t)id } });
        assert_int_equal(f->n[id], topic ? topic->n_partitions : 0);
        for (int32_t i = 0; i < f->n[id]; i++) {
            assert_int_equal(f->epochs[id][i], topic->partitions[i].epoch);
        }
        topics += topic != NULL;
    }
    assert_int_equal(topics, image_topic_count(image));
}

static void listeners_can_follow_every_change(void **state)
{
    (void)state;
    static struct follower f;
    struct image *image = image_with_brokers(5, NULL);
    struct prng prng;
    memset(&f, 0, sizeof f);
    prng_init(&prng, 3);
    image_listen(image, &FOLLOWER, &f);
    for (unsigned i = 0; i < 1500; i++) {
        scramble(image, &prng);
        assert_follows(&f, image);
    }
    assert_true(f.brokers > 100 && f.configs > 50);
    image_free(image);
}

static void listeners_can_follow_a_leap(void **state)
{
    (void)state;
    static struct follower f;
    struct image *now = image_with_brokers(5, NULL);
    struct prng prng;
    memset(&f, 0, sizeof f);
    prng_init(&prng, 8);
    for (unsigned leap = 0; leap < 60; leap++) {
        struct buf whole = { 0 };
        struct image *later;
        image_encode(now, &whole);
        assert_int_equal(image_decode(buf_bytes(&whole), &later), 0);
        buf_release(&whole);
        for (uint64_t n = prng_below(&prng, 60); n > 0; n--) {
            scramble(later, &prng);
        }
        image_compare(now, later, &FOLLOWER, &f);
        assert_follows(&f, later);
        unsigned brokers = f.brokers, configs = f.configs;
        image_compare(later, later, &FOLLOWER, &f); /* nothing differs */
        assert_int_equal(f.brokers, brokers);
        assert_int_equal(f.configs, configs);
        image_free(now);
        now = later;
    }
    image_free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_is_formed_once),
        cmocka_unit_test(a_broker_epoch_is_the_index_of_its_registration),
        cmocka_unit_test(a_known_directory_stays_known_over_lives),
        cmocka_unit_test(who_is_fenced_or_new_leads_nothing),
        cmocka_unit_test(topics_have_unique_names_and_ids),
        cmocka_unit_test(partitions_that_cannot_be_are_refused),
        cmocka_unit_test(partitions_are_added_at_the_end_only),
        cmocka_unit_test(changes_are_compare_and_set_on_both_epochs),
        cmocka_unit_test(leaders_are_in_sync_and_serve),
        cmocka_unit_test(settings_come_and_go),
        cmocka_unit_test(producer_ids_and_features),
        cmocka_unit_test(an_entry_for_another_image_changes_nothing),
        cmocka_unit_test(a_second_copy_of_a_command_changes_nothing),
        cmocka_unit_test(numbers_begin_anew_with_each_life),
        cmocka_unit_test(what_cannot_be_understood_changes_nothing),
        cmocka_unit_test(the_same_commands_give_the_same_image),
        cmocka_unit_test(a_snapshot_is_the_same_image_and_goes_on_the_same),
        cmocka_unit_test(every_part_counts_in_the_hash),
        cmocka_unit_test(damaged_snapshots_are_refused_or_valid),
        cmocka_unit_test(listeners_can_follow_every_change),
        cmocka_unit_test(listeners_can_follow_a_leap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
