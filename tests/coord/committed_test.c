/* Committed offsets: who may commit, what is kept, what goes. */
#include "group_bed.h"

#include <chronik/coord/record.h>

#define NOBODY text_of("")

static void a_simple_group_exists_as_long_as_it_has_offsets(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    assert_error(bed_commit_offset(&bed, "s", NOBODY, -1, "t", 7), KAFKA_NONE);
    assert_int_equal(bed_offset(&bed, "s", "t"), 7);
    assert_string_equal(bed_state(&bed, "s"), "Empty");
    assert_error(bed_commit_offset(&bed, "s", NOBODY, -1, "t", 5), KAFKA_NONE);
    assert_int_equal(bed_offset(&bed, "s", "t"), 5);
    const struct group_offset which = { .topic = text_of("t") };
    int16_t error;
    assert_error(groups_delete_offsets(bed.groups, text_of("s"), &which, &error, 1), KAFKA_NONE);
    assert_error(error, KAFKA_NONE);
    assert_null(bed_state(&bed, "s"));
    bed_close(&bed);
}

static void what_was_committed_comes_back_as_it_was(void **state)
{
    struct bed bed;
    struct group_offset found;
    (void)state;
    bed_open(&bed, NULL);
    bed_commit_offset(&bed, "s", NOBODY, -1, "t", INT64_MAX);
    bed_reload(&bed);
    assert_true(groups_offset(bed.groups, text_of("s"), text_of("t"), 0, &found));
    assert_true(found.offset == INT64_MAX);
    assert_int_equal(found.leader_epoch, 3);
    assert_true(text_is(found.metadata, "note"));
    assert_false(groups_offset(bed.groups, text_of("s"), text_of("t"), 1, &found));
    assert_false(groups_offset(bed.groups, text_of("s"), text_of("u"), 0, &found));
    bed_close(&bed);
}

static void only_members_of_the_generation_commit_to_a_group_with_members(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_joined(&bed, bed_join(&bed, "g", NOBODY, NULL, 3));
    struct text id = join->out.member_id;
    assert_error(bed_commit_offset(&bed, "g", id, 1, "t", 1), KAFKA_REBALANCE_IN_PROGRESS);
    bed_sync(&bed, "g", &join->out, true);
    assert_error(bed_commit_offset(&bed, "g", id, 1, "t", 1), KAFKA_NONE);
    assert_error(bed_commit_offset(&bed, "g", id, 0, "t", 2), KAFKA_ILLEGAL_GENERATION);
    assert_error(bed_commit_offset(&bed, "g", text_of("x"), 1, "t", 2), KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(bed_commit_offset(&bed, "g", NOBODY, -1, "t", 2), KAFKA_UNKNOWN_MEMBER_ID);
    assert_error(bed_commit_offset(&bed, "none", id, 1, "t", 2), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(bed_offset(&bed, "g", "t"), 1);
    bed_leave(&bed, "g", id);
    assert_error(bed_commit_offset(&bed, "g", NOBODY, -1, "t", 3), KAFKA_NONE);
    bed_close(&bed);
}

static void metadata_that_is_too_long_is_refused_and_the_rest_is_kept(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "offset.metadata.max.bytes=3", NULL });
    const struct group_offset two[] = {
        { .topic = text_of("t"), .partition = 0, .metadata = text_of("four") },
        /* three characters in nine bytes */
        { .topic = text_of("t"), .partition = 1,
          .metadata = text_of("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac") },
    };
    int16_t errors[2];
    const struct group_commit commit = {
        .group_id = text_of("s"), .member_id = NOBODY, .generation = -1, .version = 8,
        .retention_ms = -1, .offsets = two, .errors = errors, .n = 2,
    };
    assert_error(groups_commit(bed.groups, &commit), KAFKA_NONE);
    assert_error(errors[0], KAFKA_OFFSET_METADATA_TOO_LARGE);
    assert_error(errors[1], KAFKA_NONE);
    struct group_offset found;
    assert_false(groups_offset(bed.groups, text_of("s"), text_of("t"), 0, &found));
    assert_true(groups_offset(bed.groups, text_of("s"), text_of("t"), 1, &found));
    bed_close(&bed);
}

static void a_refused_append_changes_nothing(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    bed_commit_offset(&bed, "s", NOBODY, -1, "t", 1);
    uint64_t hash = groups_hash(bed.groups);
    bed.refuse = KAFKA_NOT_COORDINATOR;
    assert_error(bed_commit_offset(&bed, "s", NOBODY, -1, "t", 2), KAFKA_NOT_COORDINATOR);
    assert_error(bed_commit_offset(&bed, "u", NOBODY, -1, "t", 2), KAFKA_NOT_COORDINATOR);
    assert_error(groups_delete(bed.groups, text_of("s")), KAFKA_NOT_COORDINATOR);
    assert_true(groups_hash(bed.groups) == hash);
    assert_int_equal(bed_offset(&bed, "s", "t"), 1);
    assert_null(bed_state(&bed, "u"));
    bed_close(&bed);
}

static void groups_are_deleted_when_nobody_is_in_them(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_stable(&bed, "g");
    bed_commit_offset(&bed, "g", join->out.member_id, 1, "t", 1);
    assert_error(groups_delete(bed.groups, text_of("g")), KAFKA_NON_EMPTY_GROUP);
    assert_error(groups_delete(bed.groups, text_of("x")), KAFKA_GROUP_ID_NOT_FOUND);
    bed_leave(&bed, "g", join->out.member_id);
    assert_error(groups_delete(bed.groups, text_of("g")), KAFKA_NONE);
    assert_null(bed_state(&bed, "g"));
    assert_int_equal(bed_offset(&bed, "g", "t"), -1);
    bed_reload(&bed);
    assert_null(bed_state(&bed, "g"));
    bed_close(&bed);
}

static void offsets_of_subscribed_topics_are_not_deleted(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    struct bed_join *join = bed_stable(&bed, "g");
    bed_commit_offset(&bed, "g", join->out.member_id, 1, "t", 1);
    bed_commit_offset(&bed, "g", join->out.member_id, 1, "u", 1);
    const struct group_offset which[] = { { .topic = text_of("t") }, { .topic = text_of("u") } };
    int16_t errors[2];
    for (int reloaded = 0; reloaded < 2; reloaded++) {
        assert_error(groups_delete_offsets(bed.groups, text_of("g"), which, errors, 2),
                     KAFKA_NONE);
        assert_error(errors[0], KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
        assert_error(errors[1], KAFKA_NONE);
        assert_int_equal(bed_offset(&bed, "g", "t"), 1);
        assert_int_equal(bed_offset(&bed, "g", "u"), -1);
        bed_reload(&bed);
    }
    assert_error(groups_delete_offsets(bed.groups, text_of("x"), which, errors, 2),
                 KAFKA_GROUP_ID_NOT_FOUND);
    bed_close(&bed);
}

/* ---- expiry -----------------------------------------------------------------------------------*/

static bool is_gone(void *arg)
{
    return bed_state(arg, "s") == NULL;
}

static void an_offset_expires_when_its_commit_said_so(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "offsets.retention.check.interval.ms=5", NULL });
    const struct group_offset one = { .topic = text_of("t"), .metadata = text_of("") };
    int16_t error;
    struct group_commit commit = {
        .group_id = text_of("s"), .member_id = NOBODY, .generation = -1, .version = 2,
        .retention_ms = 10, .offsets = &one, .errors = &error, .n = 1,
    };
    assert_error(groups_commit(bed.groups, &commit), KAFKA_NONE);
    commit.group_id = text_of("stays");
    commit.retention_ms = 3600000;
    assert_error(groups_commit(bed.groups, &commit), KAFKA_NONE);
    bed_run_until(&bed, is_gone, &bed);
    assert_non_null(bed_state(&bed, "stays"));
    bed_reload(&bed);
    assert_null(bed_state(&bed, "s"));
    assert_non_null(bed_state(&bed, "stays"));
    bed_close(&bed);
}

static void an_empty_group_without_offsets_goes(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, (const char *[]){ "offsets.retention.check.interval.ms=5", NULL });
    struct bed_join *join = bed_stable(&bed, "s");
    bed_run_ms(&bed, 20);
    assert_string_equal(bed_state(&bed, "s"), "Stable");
    bed_leave(&bed, "s", join->out.member_id);
    bed_run_until(&bed, is_gone, &bed);
    bed_close(&bed);
}

static void offsets_of_a_deleted_topic_go(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    char name[] = "t";
    const struct image_topic topic = { .id = { { 1 } }, .name = name };
    bed_commit_offset(&bed, "s", NOBODY, -1, "t", 1);
    bed_commit_offset(&bed, "other", NOBODY, -1, "u", 1);
    groups_topic_deleted(bed.groups, &topic);
    bed_run_until(&bed, is_gone, &bed);
    assert_int_equal(bed_offset(&bed, "other", "u"), 1);
    bed_close(&bed);
}

/* ---- transactions in the log ------------------------------------------------------------------*/

static void apply_commit(struct bed *bed, int64_t offset, int64_t at, int64_t producer)
{
    struct coord_batch batch = { 0 };
    const struct offset_commit_key key = { .group = text_of("s"), .topic = text_of("t") };
    struct offset_commit_value value = offset_commit_value_default;
    value.offset = at;
    value.metadata = text_of("");
    coord_batch_add(&batch, &coord_offset_commit_key, &key, &coord_offset_commit_value, 3, &value);
    batch.records[0].offset = offset;
    batch.records[0].producer_id = producer;
    batch.records[0].transactional = producer >= 0;
    groups_apply(bed->groups, &batch.records[0]);
    coord_batch_release(&batch);
}

static void apply_marker(struct bed *bed, int64_t offset, int64_t producer, bool commit)
{
    const uint8_t key[] = { 0, 0, 0, commit };
    const struct coord_record marker = {
        .offset = offset, .producer_id = producer, .transactional = true, .control = true,
        .key = bytes_of(key, sizeof key), .value = bytes_of("", 0),
    };
    groups_apply(bed->groups, &marker);
}

static void an_offset_in_a_transaction_counts_when_it_is_committed(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    apply_commit(&bed, 0, 10, -1);
    apply_commit(&bed, 1, 20, 1);
    assert_int_equal(bed_offset(&bed, "s", "t"), 10);
    assert_true(groups_offset_is_pending(bed.groups, text_of("s"), text_of("t"), 0));
    apply_marker(&bed, 2, 1, true);
    assert_int_equal(bed_offset(&bed, "s", "t"), 20);
    assert_false(groups_offset_is_pending(bed.groups, text_of("s"), text_of("t"), 0));

    apply_commit(&bed, 3, 30, 1);
    apply_marker(&bed, 4, 1, false);
    assert_int_equal(bed_offset(&bed, "s", "t"), 20);
    bed_close(&bed);
}

static void a_later_commit_wins_over_a_transaction_that_ends_behind_it(void **state)
{
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    apply_commit(&bed, 0, 10, 1);
    apply_commit(&bed, 1, 20, -1);
    apply_marker(&bed, 2, 1, true);
    assert_int_equal(bed_offset(&bed, "s", "t"), 20);
    bed_close(&bed);
}

static void damaged_and_foreign_records_are_passed_over(void **state)
{
    static const uint8_t FOREIGN[] = { 0, 99, 1 }, SHORT[] = { 0 }, CUT[] = { 0, 1, 0, 9, 'x' };
    const struct bytes keys[] = { bytes_of(FOREIGN, 3), bytes_of(SHORT, 1), bytes_of(CUT, 5),
                                  bytes_of("", 0), bytes_of(NULL, 0) };
    struct bed bed;
    (void)state;
    bed_open(&bed, NULL);
    for (size_t i = 0; i < countof(keys); i++) {
        for (size_t k = 0; k < countof(keys); k++) {
            const struct coord_record record = {
                .producer_id = -1, .key = keys[i], .value = keys[k]
            };
            groups_apply(bed.groups, &record);
        }
    }
    assert_true(groups_hash(bed.groups) == 0);
    bed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_simple_group_exists_as_long_as_it_has_offsets),
        cmocka_unit_test(what_was_committed_comes_back_as_it_was),
        cmocka_unit_test(only_members_of_the_generation_commit_to_a_group_with_members),
        cmocka_unit_test(metadata_that_is_too_long_is_refused_and_the_rest_is_kept),
        cmocka_unit_test(a_refused_append_changes_nothing),
        cmocka_unit_test(groups_are_deleted_when_nobody_is_in_them),
        cmocka_unit_test(offsets_of_subscribed_topics_are_not_deleted),
        cmocka_unit_test(an_offset_expires_when_its_commit_said_so),
        cmocka_unit_test(an_empty_group_without_offsets_goes),
        cmocka_unit_test(offsets_of_a_deleted_topic_go),
        cmocka_unit_test(an_offset_in_a_transaction_counts_when_it_is_committed),
        cmocka_unit_test(a_later_commit_wins_over_a_transaction_that_ends_behind_it),
        cmocka_unit_test(damaged_and_foreign_records_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
