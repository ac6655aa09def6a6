/* Groups, with a real daemon, in every version: finding the coordinator, being a member, committing
 * and reading offsets, administration; and what is left of it behind a kill. */
#include "steps.h"

#define NONE text_of("")

/* ---- steps ------------------------------------------------------------------------------------*/

/* Every test's group has its coordinator by now. */
static void find(struct client *client, const char *group)
{
    struct find_coordinator_request in = { .key = text_of(group) };
    struct find_coordinator_response *out = CALL(client, find_coordinator, 0, &in);
    assert_error(out->error, KAFKA_NONE);
}

static struct join_group_response *join(struct client *client, int16_t version, const char *group,
                                        struct text member, const char *instance)
{
    static const uint8_t SUBSCRIPTION[] = { 0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff };
    struct join_group_request_protocol protocol = {
        .name = text_of("range"), .metadata = bytes_of(SUBSCRIPTION, sizeof SUBSCRIPTION)
    };
    struct join_group_request in = join_group_request_default;
    in.group_id = text_of(group);
    in.session_timeout_ms = in.rebalance_timeout_ms = 20000;
    in.member_id = member;
    in.group_instance_id = text_of(instance);
    in.protocol_type = text_of("consumer");
    in.protocols = &protocol;
    in.n_protocols = 1;
    return CALL(client, join_group, version, &in);
}

/* Joins as often as it takes to be a member. */
static struct join_group_response *become_member(struct client *client, int16_t version,
                                                 const char *group)
{
    find(client, group);
    struct join_group_response *out = join(client, version, group, NONE, NULL);
    if (version >= 4) {
        assert_error(out->error, KAFKA_MEMBER_ID_REQUIRED);
        out = join(client, version, group, out->member_id, NULL);
    }
    assert_error(out->error, KAFKA_NONE);
    return out;
}

static struct sync_group_response *sync_alone(struct client *client, int16_t version,
                                              const char *group,
                                              const struct join_group_response *me)
{
    struct sync_group_request_assignment assignment = { .member_id = me->member_id,
                                                        .assignment = bytes_of("all", 3) };
    struct sync_group_request in = sync_group_request_default;
    in.group_id = text_of(group);
    in.generation = me->generation;
    in.member_id = me->member_id;
    in.protocol_type = text_of("consumer");
    in.protocol_name = text_of("range");
    in.assignments = &assignment;
    in.n_assignments = 1;
    return CALL(client, sync_group, version, &in);
}

static enum kafka_error beat(struct client *client, int16_t version, const char *group,
                             struct text member, int32_t generation)
{
    struct heartbeat_request in = heartbeat_request_default;
    in.group_id = text_of(group);
    in.member_id = member;
    in.generation = generation;
    return (enum kafka_error)CALL(client, heartbeat, version, &in)->error;
}

static enum kafka_error leave(struct client *client, int16_t version, const char *group,
                              struct text member)
{
    struct leave_group_request_member who = { .member_id = member };
    struct leave_group_request in = { .group_id = text_of(group), .member_id = member,
                                      .members = &who, .n_members = 1 };
    struct leave_group_response *out = CALL(client, leave_group, version, &in);
    if (version >= 3) {
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->n_members, 1);
        return (enum kafka_error)out->members[0].error;
    }
    return (enum kafka_error)out->error;
}

struct commit {
    const char *group;
    struct text member;
    int32_t generation;
    const char *topic;
    struct uuid topic_id;
    int32_t partition;
    int64_t offset;
    const char *metadata;
};

static enum kafka_error commit(struct client *client, int16_t version, const struct commit *what)
{
    struct offset_commit_request_partition partition = offset_commit_request_partition_default;
    struct offset_commit_request_topic topic = {
        .name = text_of(what->topic), .topic_id = what->topic_id, .partitions = &partition,
        .n_partitions = 1,
    };
    struct offset_commit_request in = offset_commit_request_default;
    partition.partition_index = what->partition;
    partition.committed_offset = what->offset;
    partition.committed_leader_epoch = 5;
    partition.committed_metadata = text_of(what->metadata);
    in.group_id = text_of(what->group);
    in.member_id = what->member;
    in.generation_id_or_member_epoch = what->generation;
    in.topics = &topic;
    in.n_topics = 1;
    struct offset_commit_response *out = CALL(client, offset_commit, version, &in);
    assert_int_equal(out->n_topics, 1);
    assert_int_equal(out->topics[0].partitions[0].partition_index, what->partition);
    return (enum kafka_error)out->topics[0].partitions[0].error;
}

/* One partition's offset, from outside of the group; in whatever shape the version has. */
static struct offset_fetch_response_group_partition fetch(struct client *client, int16_t version,
                                                          const char *group, const char *name,
                                                          struct uuid id, int32_t partition)
{
    struct offset_fetch_request_topic topic = { .name = text_of(name),
                                                .partition_indexes = &partition,
                                                .n_partition_indexes = 1 };
    struct offset_fetch_request_group_topic group_topic = { .name = text_of(name),
                                                            .topic_id = id,
                                                            .partition_indexes = &partition,
                                                            .n_partition_indexes = 1 };
    struct offset_fetch_request_group one = offset_fetch_request_group_default;
    struct offset_fetch_request in = { .group_id = text_of(group), .topics = &topic,
                                       .n_topics = 1, .groups = &one, .n_groups = 1 };
    one.group_id = text_of(group);
    one.topics = &group_topic;
    one.n_topics = 1;
    struct offset_fetch_response *out = CALL(client, offset_fetch, version, &in);
    if (version >= 8) {
        assert_error(out->groups[0].error, KAFKA_NONE);
        return out->groups[0].topics[0].partitions[0];
    }
    assert_error(out->error, KAFKA_NONE);
    const struct offset_fetch_response_partition *p = &out->topics[0].partitions[0];
    return (struct offset_fetch_response_group_partition){
        .partition_index = p->partition_index,
        .committed_offset = p->committed_offset,
        .committed_leader_epoch = p->committed_leader_epoch,
        .metadata = p->metadata,
        .error = p->error,
    };
}

/* ---- finding the coordinator ------------------------------------------------------------------*/

static void this_node_coordinates_every_group(void **state)
{
    const struct daemon *daemon = *state;
    struct client client;
    client_open(&client, daemon);
    for (int16_t v = 0; v < 4; v++) {
        struct find_coordinator_request in = { .key = text_of("any") };
        struct find_coordinator_response *out = CALL(&client, find_coordinator, v, &in);
        assert_error(out->error, KAFKA_NONE);
        assert_int_equal(out->node_id, 1);
        assert_int_equal(out->port, daemon->port);
    }
    for (int16_t v = 4; v <= 6; v++) {
        struct text keys[] = { text_of("one"), text_of(""), text_of("two") };
        struct find_coordinator_request in = { .coordinator_keys = keys,
                                               .n_coordinator_keys = countof(keys) };
        struct find_coordinator_response *out = CALL(&client, find_coordinator, v, &in);
        assert_int_equal(out->n_coordinators, countof(keys));
        for (size_t i = 0; i < countof(keys); i++) {
            assert_true(text_equal(out->coordinators[i].key, keys[i]));
            assert_error(out->coordinators[i].error, KAFKA_NONE);
            assert_int_equal(out->coordinators[i].node_id, 1);
            assert_int_equal(out->coordinators[i].port, daemon->port);
        }
    }
    client_close(&client);
}

static void the_topic_of_the_groups_is_internal_compacted_and_read_only(void **state)
{
    struct client client;
    client_open(&client, *state);
    find(&client, "any");
    struct metadata_request_topic name = { .name = text_of("__consumer_offsets") };
    struct metadata_request in = { .topics = &name, .n_topics = 1 };
    struct metadata_response *out = CALL(&client, metadata, 9, &in);
    assert_true(out->topics[0].is_internal);
    assert_int_equal(out->topics[0].n_partitions, 50);

    struct text key = text_of("cleanup.policy");
    struct describe_configs_request_resource resource = {
        .resource_type = 2, .resource_name = name.name, .configuration_keys = &key,
        .n_configuration_keys = 1,
    };
    struct describe_configs_request ask = { .resources = &resource, .n_resources = 1 };
    struct describe_configs_response *configs = CALL(&client, describe_configs, 4, &ask);
    assert_text(configs->results[0].configs[0].value, "compact");

    struct produce_response_partition *refused = produce(
        &client, 9, "__consumer_offsets", 0, -1, make_batch(&client, "x", 1, 1000));
    assert_error(refused->error, KAFKA_INVALID_TOPIC_EXCEPTION);
    client_close(&client);
}

/* ---- members ----------------------------------------------------------------------------------*/

static void a_member_lives_in_every_version(void **state)
{
    struct client client;
    client_open(&client, *state);
    for (int16_t v = 0; v <= 9; v++) {
        int16_t v4 = v < 4 ? v : 4, v5 = v < 5 ? v : 5;
        char group[16];
        snprintf(group, sizeof group, "life-%d", v);
        struct join_group_response *me = become_member(&client, v, group);
        assert_int_equal(me->generation, 1);
        assert_true(text_equal(me->leader, me->member_id));
        assert_text(me->protocol_name, "range");
        assert_int_equal(me->n_members, 1);
        assert_true(text_is(me->protocol_type, "consumer") == (v >= 7));

        struct sync_group_response *synced = sync_alone(&client, v5, group, me);
        assert_error(synced->error, KAFKA_NONE);
        assert_true(bytes_equal(synced->assignment, bytes_of("all", 3)));
        assert_error(beat(&client, v4, group, me->member_id, 1), KAFKA_NONE);
        assert_error(beat(&client, v4, group, me->member_id, 2), KAFKA_ILLEGAL_GENERATION);
        assert_error(beat(&client, v4, group, text_of("x"), 1), KAFKA_UNKNOWN_MEMBER_ID);
        assert_error(leave(&client, v5, group, text_of("x")), KAFKA_UNKNOWN_MEMBER_ID);
        assert_error(leave(&client, v5, group, me->member_id), KAFKA_NONE);
        assert_error(leave(&client, v5, "nobody", me->member_id), KAFKA_UNKNOWN_MEMBER_ID);
    }
    client_close(&client);
}

static void errors_have_the_shape_of_their_version(void **state)
{
    struct client client;
    client_open(&client, *state);
    find(&client, "shape");
    for (int16_t v = 0; v <= 9; v++) {
        struct join_group_response *out = join(&client, v, "shape", text_of("stranger"), NULL);
        assert_error(out->error, KAFKA_UNKNOWN_MEMBER_ID);
        assert_true((out->protocol_name.data == NULL) == (v >= 7));
        out = join(&client, v, "", NONE, NULL);
        assert_error(out->error, KAFKA_INVALID_GROUP_ID);
    }
    for (int16_t v = 0; v <= 5; v++) {
        struct sync_group_request in = sync_group_request_default;
        in.group_id = text_of("shape");
        in.member_id = text_of("stranger");
        struct sync_group_response *out = CALL(&client, sync_group, v, &in);
        assert_error(out->error, v < 5 ? KAFKA_UNKNOWN_MEMBER_ID
                                       : KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    }
    client_close(&client);
}

static void a_static_member_comes_back_with_a_new_id(void **state)
{
    struct client client;
    client_open(&client, *state);
    find(&client, "static");
    struct join_group_response *before = join(&client, 5, "static", NONE, "one");
    assert_error(before->error, KAFKA_NONE);
    assert_error(sync_alone(&client, 3, "static", before)->error, KAFKA_NONE);
    struct join_group_response *after = join(&client, 9, "static", NONE, "one");
    assert_error(after->error, KAFKA_NONE);
    assert_int_equal(after->generation, 1);
    assert_true(after->skip_assignment);
    assert_false(text_equal(after->member_id, before->member_id));
    struct join_group_response *fenced = join(&client, 9, "static", before->member_id, "one");
    assert_error(fenced->error, KAFKA_FENCED_INSTANCE_ID);
    client_close(&client);
}

static void two_members_rebalance_over_two_connections(void **state)
{
    struct client one, two;
    client_open(&one, *state);
    client_open(&two, *state);
    struct join_group_response *first = become_member(&one, 3, "pair");
    sync_alone(&one, 3, "pair", first);

    struct join_group_request_protocol protocol = { .name = text_of("range") };
    protocol.metadata = bytes_of("", 0);
    struct join_group_request in = join_group_request_default;
    in.group_id = text_of("pair");
    in.session_timeout_ms = in.rebalance_timeout_ms = 20000;
    in.protocol_type = text_of("consumer");
    in.protocols = &protocol;
    in.n_protocols = 1;
    int32_t waiting = client_send(&two, &wire_join_group, 3, &in);
    while (beat(&one, 3, "pair", first->member_id, 1) != KAFKA_REBALANCE_IN_PROGRESS) {
    }
    struct join_group_response *again = join(&one, 3, "pair", first->member_id, NULL);
    struct join_group_response *second = client_receive(&two, &wire_join_group, 3, waiting);
    assert_error(again->error, KAFKA_NONE);
    assert_error(second->error, KAFKA_NONE);
    assert_int_equal(again->generation, 2);
    assert_int_equal(second->generation, 2);
    assert_int_equal(again->n_members, 2);
    assert_int_equal(second->n_members, 0);
    client_close(&one);
    client_close(&two);
}

/* ---- offsets ----------------------------------------------------------------------------------*/

static void what_any_version_commits_every_version_reads(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "offsets", 3, NULL);
    find(&client, "readers");
    for (int16_t v = 2; v <= 10; v++) {
        const struct commit what = { .group = "readers", .member = NONE, .generation = -1,
                                     .topic = "offsets", .topic_id = id, .partition = v % 3,
                                     .offset = 100 + v, .metadata = v % 2 ? NULL : "note" };
        assert_error(commit(&client, v, &what), KAFKA_NONE);
        for (int16_t r = 1; r <= 10; r++) {
            struct offset_fetch_response_group_partition got =
                fetch(&client, r, "readers", "offsets", id, v % 3);
            assert_error(got.error, KAFKA_NONE);
            assert_int_equal(got.committed_offset, 100 + v);
            assert_text(got.metadata, v % 2 ? "" : "note");
            assert_int_equal(got.committed_leader_epoch, r >= 5 && v >= 6 ? 5 : -1);
        }
        client_forget(&client);
    }
    struct offset_fetch_response_group_partition none =
        fetch(&client, 8, "nobody", "offsets", id, 0);
    assert_int_equal(none.committed_offset, -1);
    assert_error(none.error, KAFKA_NONE);
    client_close(&client);
}

static void offsets_of_what_does_not_exist_are_refused(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "exists", 1, NULL);
    const struct uuid nowhere = { { 1, 2, 3 } };
    find(&client, "g");
    struct commit what = { .group = "g", .member = NONE, .generation = -1, .topic = "absent",
                           .topic_id = nowhere, .metadata = "" };
    assert_error(commit(&client, 9, &what), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(commit(&client, 10, &what), KAFKA_UNKNOWN_TOPIC_ID);
    what.topic = "exists";
    what.topic_id = id;
    what.partition = 1;
    assert_error(commit(&client, 9, &what), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_error(commit(&client, 10, &what), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    what.partition = 0;
    what.generation = 3;
    assert_error(commit(&client, 8, &what), KAFKA_ILLEGAL_GENERATION);
    assert_error(commit(&client, 9, &what), KAFKA_GROUP_ID_NOT_FOUND);
    struct offset_fetch_response_group_partition got =
        fetch(&client, 10, "g", "absent", nowhere, 0);
    assert_error(got.error, KAFKA_UNKNOWN_TOPIC_ID);
    assert_int_equal(got.committed_offset, -1);
    client_close(&client);
}

static void all_offsets_of_many_groups_come_in_one_answer(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid a = make_topic(&client, "all-a", 2, NULL);
    struct uuid b = make_topic(&client, "all-b", 1, NULL);
    find(&client, "many");
    for (int i = 0; i < 3; i++) {
        const struct commit what = { .group = i < 2 ? "many-1" : "many-2", .member = NONE,
                                     .generation = -1, .topic = i == 1 ? "all-b" : "all-a",
                                     .topic_id = i == 1 ? b : a, .offset = i, .metadata = "" };
        assert_error(commit(&client, 9, &what), KAFKA_NONE);
    }
    struct offset_fetch_request_group groups[3];
    for (int i = 0; i < 3; i++) {
        groups[i] = offset_fetch_request_group_default;
        groups[i].n_topics = -1;
    }
    groups[0].group_id = text_of("many-1");
    groups[1].group_id = text_of("nobody");
    groups[2].group_id = text_of("many-2");
    for (int16_t v = 8; v <= 10; v++) {
        struct offset_fetch_request in = { .groups = groups, .n_groups = 3,
                                           .require_stable = v == 9 };
        struct offset_fetch_response *out = CALL(&client, offset_fetch, v, &in);
        assert_int_equal(out->n_groups, 3);
        assert_int_equal(out->groups[0].n_topics, 2);
        assert_int_equal(out->groups[1].n_topics, 0);
        assert_int_equal(out->groups[2].n_topics, 1);
        assert_int_equal(out->groups[2].topics[0].partitions[0].committed_offset, 2);
        assert_true(v < 10 || uuid_equal(&out->groups[2].topics[0].topic_id, &a));
    }
    struct offset_fetch_request old = { .group_id = text_of("many-1"), .n_topics = -1 };
    assert_int_equal(CALL(&client, offset_fetch, 2, &old)->n_topics, 2);
    client_close(&client);
}

static void a_deleted_topic_takes_its_offsets_along(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "short-lived", 1, NULL);
    find(&client, "mourner");
    const struct commit what = { .group = "mourner", .member = NONE, .generation = -1,
                                 .topic = "short-lived", .topic_id = id, .offset = 9,
                                 .metadata = "" };
    assert_error(commit(&client, 9, &what), KAFKA_NONE);
    struct delete_topics_request_topic topic = { .name = text_of("short-lived") };
    struct delete_topics_request in = { .topics = &topic, .n_topics = 1, .timeout_ms = 10000 };
    assert_error(CALL(&client, delete_topics, 6, &in)->topics[0].error, KAFKA_NONE);
    id = make_topic(&client, "short-lived", 1, NULL);
    assert_int_equal(fetch(&client, 9, "mourner", "short-lived", id, 0).committed_offset, -1);
    client_close(&client);
}

/* ---- administration ---------------------------------------------------------------------------*/

static struct describe_groups_response_group *describe(struct client *client, int16_t version,
                                                       const char *group)
{
    struct text id = text_of(group);
    struct describe_groups_request in = { .groups = &id, .n_groups = 1,
                                          .include_authorized_operations = true };
    struct describe_groups_response *out = CALL(client, describe_groups, version, &in);
    assert_int_equal(out->n_groups, 1);
    assert_true(text_is(out->groups[0].group_id, group));
    return &out->groups[0];
}

static void groups_are_described_in_every_version(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct join_group_response *me = become_member(&client, 9, "described");
    sync_alone(&client, 5, "described", me);
    for (int16_t v = 0; v <= 6; v++) {
        struct describe_groups_response_group *got = describe(&client, v, "described");
        assert_error(got->error, KAFKA_NONE);
        assert_text(got->group_state, "Stable");
        assert_text(got->protocol_type, "consumer");
        assert_text(got->protocol_data, "range");
        assert_int_equal(got->n_members, 1);
        assert_true(text_equal(got->members[0].member_id, me->member_id));
        assert_text(got->members[0].client_host, "/127.0.0.1");
        assert_true(bytes_equal(got->members[0].member_assignment, bytes_of("all", 3)));
        assert_int_equal(got->authorized_operations, v >= 3 ? 0xd48 : INT32_MIN);

        got = describe(&client, v, "absent");
        assert_text(got->group_state, "Dead");
        assert_error(got->error, v < 6 ? KAFKA_NONE : KAFKA_GROUP_ID_NOT_FOUND);
    }
    client_close(&client);
}

/* The state in which a group is listed, or "": it is not. */
static const char *listed(struct client *client, int16_t version, const char *group,
                          const char *state, const char *type)
{
    struct text state_filter = text_of(state), type_filter = text_of(type);
    struct list_groups_request in = { .states_filter = &state_filter,
                                      .n_states_filter = state != NULL,
                                      .types_filter = &type_filter,
                                      .n_types_filter = type != NULL };
    struct list_groups_response *out = CALL(client, list_groups, version, &in);
    assert_error(out->error, KAFKA_NONE);
    for (int32_t i = 0; i < out->n_groups; i++) {
        if (text_is(out->groups[i].group_id, group)) {
            assert_true(version < 5 || text_is(out->groups[i].group_type, "classic"));
            return version < 4 ? "?" : text_is(out->groups[i].group_state, "Stable") ? "Stable"
                                                                                  : "Empty";
        }
    }
    return "";
}

static void groups_are_listed_simple_ones_among_them(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "listed", 1, NULL);
    struct join_group_response *me = become_member(&client, 3, "listed-1");
    sync_alone(&client, 3, "listed-1", me);
    const struct commit what = { .group = "listed-2", .member = NONE, .generation = -1,
                                 .topic = "listed", .topic_id = id, .metadata = "" };
    assert_error(commit(&client, 9, &what), KAFKA_NONE);
    for (int16_t v = 0; v <= 5; v++) {
        assert_string_equal(listed(&client, v, "listed-1", NULL, NULL), v < 4 ? "?" : "Stable");
        assert_string_equal(listed(&client, v, "listed-2", NULL, NULL), v < 4 ? "?" : "Empty");
    }
    assert_string_equal(listed(&client, 5, "listed-1", "stable", "Classic"), "Stable");
    assert_string_equal(listed(&client, 4, "listed-1", "Empty", NULL), "");
    assert_string_equal(listed(&client, 4, "listed-2", "EMPTY", NULL), "Empty");
    assert_string_equal(listed(&client, 5, "listed-1", NULL, "consumer"), "");
    client_close(&client);
}

static void groups_and_offsets_are_deleted(void **state)
{
    struct client client;
    client_open(&client, *state);
    struct uuid id = make_topic(&client, "t", 1, NULL);
    struct join_group_response *me = become_member(&client, 3, "busy");
    sync_alone(&client, 3, "busy", me);
    struct commit what = { .group = "busy", .member = me->member_id, .generation = 1,
                           .topic = "t", .topic_id = id, .offset = 4, .metadata = "" };
    assert_error(commit(&client, 9, &what), KAFKA_NONE);
    what = (struct commit){ .member = NONE, .generation = -1, .topic = "t", .topic_id = id,
                            .metadata = "" };
    for (int16_t v = 0; v <= 3; v++) {
        what.group = "idle";
        assert_error(commit(&client, 9, &what), KAFKA_NONE);
        struct text ids[] = { text_of("busy"), text_of("idle"), text_of("idle"), text_of("none") };
        struct delete_groups_request in = { .group_ids = ids, .n_group_ids = 4 };
        struct delete_groups_response *out = CALL(&client, delete_groups, v, &in);
        assert_int_equal(out->n_results, 3);
        assert_error(out->results[0].error, KAFKA_NON_EMPTY_GROUP);
        assert_error(out->results[1].error, KAFKA_NONE);
        assert_error(out->results[2].error, KAFKA_GROUP_ID_NOT_FOUND);
        assert_true(v < 3 || out->results[2].error_message.len > 0);
    }
    struct offset_delete_request_partition partition = { .partition_index = 0 };
    struct offset_delete_request_topic topic = { .name = text_of("t"), .partitions = &partition,
                                                 .n_partitions = 1 };
    struct offset_delete_request in = { .group_id = text_of("busy"), .topics = &topic,
                                        .n_topics = 1 };
    struct offset_delete_response *out = CALL(&client, offset_delete, 0, &in);
    assert_error(out->topics[0].partitions[0].error, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_error(leave(&client, 2, "busy", me->member_id), KAFKA_NONE);
    out = CALL(&client, offset_delete, 0, &in);
    assert_error(out->topics[0].partitions[0].error, KAFKA_NONE);
    assert_int_equal(fetch(&client, 9, "busy", "t", id, 0).committed_offset, -1);
    in.group_id = text_of("none");
    assert_error(CALL(&client, offset_delete, 0, &in)->error, KAFKA_GROUP_ID_NOT_FOUND);
    client_close(&client);
}

/* ---- behind a kill ----------------------------------------------------------------------------*/

static enum kafka_error beat_when_loaded(struct client *client, const char *group,
                                         struct text member)
{
    enum kafka_error error;
    do { /* clients try these again */
        error = beat(client, 4, group, member, 1);
    } while (error == KAFKA_NOT_COORDINATOR || error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    return error;
}

static void a_killed_coordinator_comes_back_with_members_and_offsets(void **state)
{
    struct daemon *daemon = *state;
    struct client client;
    client_open(&client, daemon);
    struct uuid id = make_topic(&client, "kept", 1, NULL);
    struct join_group_response *me = become_member(&client, 9, "kept");
    sync_alone(&client, 5, "kept", me);
    char *member = text_dup(me->member_id);
    const struct commit what = { .group = "kept", .member = text_of(member), .generation = 1,
                                 .topic = "kept", .topic_id = id, .offset = 12345,
                                 .metadata = "kept" };
    assert_error(commit(&client, 9, &what), KAFKA_NONE);
    client_close(&client);
    daemon_kill(daemon);
    daemon_start(daemon, GROUP_SETTINGS);
    client_open(&client, daemon);
    find(&client, "kept");
    assert_error(beat_when_loaded(&client, "kept", text_of(member)), KAFKA_NONE);
    struct offset_fetch_response_group_partition got = fetch(&client, 9, "kept", "kept", id, 0);
    assert_int_equal(got.committed_offset, 12345);
    assert_text(got.metadata, "kept");
    assert_text(describe(&client, 6, "kept")->group_state, "Stable");
    free(member);
    client_close(&client);
}

/* Commits `n` times all partitions of a topic, in one request each; the last offset is n - 1. */
static void commit_often(struct client *client, const char *group, const char *name, int32_t n)
{
    enum { PARTITIONS = 100 };
    struct offset_commit_request_partition partitions[PARTITIONS];
    struct offset_commit_request_topic topic = { .name = text_of(name), .partitions = partitions,
                                                 .n_partitions = PARTITIONS };
    struct offset_commit_request in = offset_commit_request_default;
    in.group_id = text_of(group);
    in.topics = &topic;
    in.n_topics = 1;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t p = 0; p < PARTITIONS; p++) {
            partitions[p] = offset_commit_request_partition_default;
            partitions[p].partition_index = p;
            partitions[p].committed_offset = i;
            partitions[p].committed_metadata = text_of("some note that takes a little room");
        }
        struct offset_commit_response *out = CALL(client, offset_commit, 7, &in);
        assert_error(out->topics[0].partitions[PARTITIONS - 1].error, KAFKA_NONE);
        client_forget(client);
    }
}

/* From the moment on at which the broker answers, an offset is right or asked for again; and other
 * requests are served. */
static void while_it_loads_a_coordinator_says_so_and_the_broker_serves(void **state)
{
    struct daemon *daemon = *state;
    struct client client;
    enum { COMMITS = 500 };
    int32_t partition = 7;
    struct offset_fetch_request_topic topic = { .name = text_of("often"),
                                                .partition_indexes = &partition,
                                                .n_partition_indexes = 1 };
    struct offset_fetch_request in = { .group_id = text_of("often"), .topics = &topic,
                                       .n_topics = 1 };
    struct offset_fetch_response *out;
    client_open(&client, daemon);
    make_topic(&client, "often", 100, NULL);
    find(&client, "often");
    commit_often(&client, "often", "often", COMMITS);
    client_close(&client);
    daemon_kill(daemon);
    daemon_start(daemon, GROUP_SETTINGS);
    client_open(&client, daemon);
    for (;;) {
        struct metadata_request ask = metadata_request_default;
        assert_int_equal(CALL(&client, metadata, 9, &ask)->n_brokers, 1);
        out = CALL(&client, offset_fetch, 5, &in);
        if (out->error != KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
            break;
        }
        assert_int_equal(out->n_topics, 0);
    }
    assert_error(out->error, KAFKA_NONE);
    assert_int_equal(out->topics[0].partitions[0].committed_offset, COMMITS - 1);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_node_coordinates_every_group),
        cmocka_unit_test(the_topic_of_the_groups_is_internal_compacted_and_read_only),
        cmocka_unit_test(a_member_lives_in_every_version),
        cmocka_unit_test(errors_have_the_shape_of_their_version),
        cmocka_unit_test(a_static_member_comes_back_with_a_new_id),
        cmocka_unit_test(two_members_rebalance_over_two_connections),
        cmocka_unit_test(what_any_version_commits_every_version_reads),
        cmocka_unit_test(offsets_of_what_does_not_exist_are_refused),
        cmocka_unit_test(all_offsets_of_many_groups_come_in_one_answer),
        cmocka_unit_test(a_deleted_topic_takes_its_offsets_along),
        cmocka_unit_test(groups_are_described_in_every_version),
        cmocka_unit_test(groups_are_listed_simple_ones_among_them),
        cmocka_unit_test(groups_and_offsets_are_deleted),
        cmocka_unit_test(a_killed_coordinator_comes_back_with_members_and_offsets),
        cmocka_unit_test(while_it_loads_a_coordinator_says_so_and_the_broker_serves),
    };
    return cmocka_run_group_tests(tests, start_daemon_for_groups, stop_daemon);
}
