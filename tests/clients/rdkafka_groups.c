/* librdkafka from C: static members, cooperative rebalances, what is committed, and the
 * administration of groups. The broker's address is in $BOOTSTRAP. Ends with 1 and a sentence when
 * something is wrong. */
#include <librdkafka/rdkafka.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PARTITIONS = 4, WAIT_MS = 60000 };

static const char *bootstrap;
static char topic[64];

__attribute__((format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "rdkafka_groups: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fail("%s=%s: %s", name, value, why);
    }
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    set(conf, "bootstrap.servers", bootstrap);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL) {
        fail("no client: %s", why);
    }
    return rk;
}

/* ---- members ----------------------------------------------------------------------------------*/

struct member {
    rd_kafka_t *rk;
    int rebalances; /* that took partitions away from it, or gave some to it */
};

static void rebalanced(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                       rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct member *member = opaque;
    bool cooperative = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
    bool assigned = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (partitions->cnt > 0) {
        member->rebalances++;
    }
    if (cooperative && assigned) {
        rd_kafka_error_destroy(rd_kafka_incremental_assign(rk, partitions));
    } else if (cooperative) {
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(rk, partitions));
    } else {
        rd_kafka_assign(rk, assigned ? partitions : NULL);
    }
}

static void open_member(struct member *member, const char *group, const char *instance,
                        const char *strategy)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    *member = (struct member){ .rebalances = 0 };
    set(conf, "group.id", group);
    set(conf, "partition.assignment.strategy", strategy);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "session.timeout.ms", "30000");
    set(conf, "heartbeat.interval.ms", "100");
    if (instance != NULL) {
        set(conf, "group.instance.id", instance);
    }
    rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
    rd_kafka_conf_set_opaque(conf, member);
    member->rk = new_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(member->rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    if (rd_kafka_subscribe(member->rk, topics) != 0) {
        fail("cannot subscribe");
    }
    rd_kafka_topic_partition_list_destroy(topics);
}

static void close_member(struct member *member)
{
    rd_kafka_consumer_close(member->rk);
    rd_kafka_destroy(member->rk);
}

static void poll_once(struct member *member)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member->rk, 20);
    if (message != NULL) {
        rd_kafka_message_destroy(message);
    }
}

/* Bit n: the member has partition n. */
static unsigned assignment(struct member *member)
{
    rd_kafka_topic_partition_list_t *list;
    unsigned bits = 0;
    rd_kafka_assignment(member->rk, &list);
    for (int i = 0; i < list->cnt; i++) {
        bits |= 1u << list->elems[i].partition;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return bits;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Polls until each of them has something and together they have everything, once. */
static void until_shared(struct member *members, int n, const char *what)
{
    for (long end = now_ms() + WAIT_MS; now_ms() < end;) {
        unsigned all = 0, twice = 0;
        bool each = true;
        for (int i = 0; i < n; i++) {
            poll_once(&members[i]);
            unsigned has = assignment(&members[i]);
            twice |= all & has;
            all |= has;
            each = each && has != 0;
        }
        if (each && twice == 0 && all == (1u << PARTITIONS) - 1) {
            return;
        }
    }
    fail("%s: not within %d ms", what, WAIT_MS);
}

static void members_share(const char *strategy)
{
    struct member members[3];
    char group[64];
    snprintf(group, sizeof group, "share-%s", strategy);
    for (int n = 1; n <= 3; n++) {
        open_member(&members[n - 1], group, NULL, strategy);
        until_shared(members, n, "members share");
    }
    close_member(&members[0]);
    until_shared(members + 1, 2, "two share what three had");
    close_member(&members[1]);
    close_member(&members[2]);
    printf("librdkafka: three members come and go, %s\n", strategy);
}

/* Closing a static member does not take it out of the group: whoever comes back with its name has
 * its partitions, and the other one hears of nothing. */
static void static_members_come_back(void)
{
    struct member members[2];
    open_member(&members[0], "static", "one", "range");
    open_member(&members[1], "static", "two", "range");
    until_shared(members, 2, "static members share");
    unsigned had = assignment(&members[0]);
    int before = members[1].rebalances;
    close_member(&members[0]);
    for (int i = 0; i < 20; i++) {
        poll_once(&members[1]);
    }
    open_member(&members[0], "static", "one", "range");
    until_shared(members, 2, "a static member comes back");
    if (assignment(&members[0]) != had) {
        fail("the static member has %x, it had %x", assignment(&members[0]), had);
    }
    if (members[1].rebalances != before) {
        fail("the other static member was rebalanced");
    }
    close_member(&members[0]);
    close_member(&members[1]);
    printf("librdkafka: static members come back without a rebalance\n");
}

/* ---- offsets ----------------------------------------------------------------------------------*/

static void what_is_committed_comes_back(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "offsets");
    rd_kafka_t *rk = new_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, topic, p);
        one->offset = p == PARTITIONS - 1 ? RD_KAFKA_OFFSET_INVALID : 1000 + p;
        one->metadata = strdup("a note");
        one->metadata_size = strlen("a note");
    }
    rd_kafka_resp_err_t error = rd_kafka_commit(rk, list, 0);
    if (error != 0) {
        fail("commit: %s", rd_kafka_err2str(error));
    }
    error = rd_kafka_committed(rk, list, WAIT_MS);
    if (error != 0) {
        fail("committed: %s", rd_kafka_err2str(error));
    }
    for (int p = 0; p < PARTITIONS; p++) {
        const rd_kafka_topic_partition_t *one = &list->elems[p];
        bool none = p == PARTITIONS - 1;
        if (one->err != 0 || one->offset != (none ? RD_KAFKA_OFFSET_INVALID : 1000 + p) ||
            (!none && (one->metadata_size != strlen("a note") ||
                       memcmp(one->metadata, "a note", one->metadata_size) != 0))) {
            fail("partition %d: offset %ld, %zu bytes of metadata", p, (long)one->offset,
                 one->metadata_size);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    printf("librdkafka: offsets and their metadata\n");
}

/* ---- administration ---------------------------------------------------------------------------*/

static rd_kafka_event_t *wait_event(rd_kafka_queue_t *queue, const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event == NULL || rd_kafka_event_error(event) != 0) {
        fail("%s: %s", what, event ? rd_kafka_event_error_string(event) : "no answer");
    }
    return event;
}

static void delete_groups(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *name,
                          rd_kafka_resp_err_t want)
{
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(name);
    size_t n;
    rd_kafka_DeleteGroups(rk, &group, 1, NULL, queue);
    rd_kafka_event_t *event = wait_event(queue, "DeleteGroups");
    const rd_kafka_group_result_t **results =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &n);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(results[0]);
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (n != 1 || code != want) {
        fail("deleting %s: %s, not %s", name, rd_kafka_err2name(code), rd_kafka_err2name(want));
    }
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteGroup_destroy(group);
}

static void groups_are_listed_and_deleted(void)
{
    struct member member;
    const struct rd_kafka_group_list *list;
    rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    open_member(&member, "seen", NULL, "range");
    until_shared(&member, 1, "a member has all");
    if (rd_kafka_list_groups(rk, "seen", &list, WAIT_MS) != 0 || list->group_cnt != 1 ||
        strcmp(list->groups[0].state, "Stable") != 0 || list->groups[0].member_cnt != 1) {
        fail("the group is not listed as it is");
    }
    rd_kafka_group_list_destroy(list);
    delete_groups(rk, queue, "seen", RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP);
    close_member(&member);
    delete_groups(rk, queue, "seen", RD_KAFKA_RESP_ERR_NO_ERROR);
    delete_groups(rk, queue, "seen", RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    printf("librdkafka: groups listed, described, deleted\n");
}

static void make_topic(void)
{
    char why[256];
    rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    snprintf(topic, sizeof topic, "rdkafka-groups-%ld", now_ms());
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, why, sizeof why);
    rd_kafka_CreateTopics(rk, &new_topic, 1, NULL, queue);
    rd_kafka_event_destroy(wait_event(queue, "CreateTopics"));
    rd_kafka_NewTopic_destroy(new_topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

int main(void)
{
    bootstrap = getenv("BOOTSTRAP");
    if (bootstrap == NULL) {
        fail("BOOTSTRAP is not set");
    }
    make_topic();
    members_share("range");
    members_share("cooperative-sticky");
    static_members_come_back();
    what_is_committed_comes_back();
    groups_are_listed_and_deleted();
    return 0;
}
