/* Histories as lines of JSON. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <unistd.h>

#include "read.h"

/* Judges lines; returns how many faults of a kind there are, and sees that there are no others. */
static uint64_t count_only(const char *const *lines, size_t n, enum fault_kind kind)
{
    struct judge *judge = judge_new(NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        if (!read_operation(judge, text_of(lines[i]))) {
            fail_msg("not read: %s", lines[i]);
        }
    }
    judge_finish(judge);
    uint64_t found = judge_totals(judge)->n_faults[kind];
    for (unsigned k = 0; k < FAULT_KINDS; k++) {
        if (k != kind) {
            assert_int_equal(judge_totals(judge)->n_faults[k], 0);
        }
    }
    judge_free(judge);
    return found;
}

#define COUNT_ONLY(kind, ...)                                                                      \
    count_only((const char *const[]){ __VA_ARGS__ },                                               \
               sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), kind)

#define BEGIN                                                                                      \
    "{\"process\":0,\"time\":1,\"type\":\"info\",\"f\":\"begin\","                                 \
    "\"value\":{\"role\":\"producer\",\"idempotent\":true}}"
#define SEND(value)                                                                                \
    "{\"process\":0,\"time\":2,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",7," #value  \
    "]]}"
#define OK(offset, value)                                                                          \
    "{\"process\":0,\"time\":3,\"type\":\"ok\",\"f\":\"send\",\"value\":[[\"send\",7,[" #offset    \
    "," #value "]]]}"
#define OP(process, type, f, value, more)                                                          \
    "{\"process\":" #process ",\"time\":4,\"type\":\"" #type "\",\"f\":\"" #f                      \
    "\",\"value\":" value more "}"
#define FINAL(records) OP(3, ok, final, "[[\"poll\",7,[" records "]]]", "")

static void records_are_read(void **state)
{
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_LOST, BEGIN, SEND(10), OK(0, 10), SEND(11), OK(null, 11),
                                FINAL("[0,10],[1,11]")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_LOST, BEGIN, SEND(10), OK(0, 10), SEND(11), OK(1, 11),
                                FINAL("[0,10]")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_REPEATED, BEGIN, SEND(10), OK(0, 10), FINAL("[0,10],[1,10]")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_REPEATED, SEND(10), OK(0, 10), FINAL("[0,10],[1,10]")), 0);
    assert_int_equal(COUNT_ONLY(FAULT_DAMAGED, SEND(10), FINAL("[0,-1]")), 1);
    assert_int_equal(COUNT_ONLY(FAULT_GAP, SEND(10), SEND(11), FINAL("[0,10],[2,11]")), 1);
}

static void keys_and_producers_have_their_ways(void **state)
{
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_GAP,
                                OP(0, info, key, "{\"key\":7,\"gaps\":true,\"note\":[1]}", ""),
                                SEND(10), SEND(11), FINAL("[0,10],[2,11]")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_LOST, OP(0, info, key, "{\"key\":7,\"lossy\":true}", ""),
                                SEND(10), OK(0, 10), SEND(11), FINAL("[1,11]")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_LOST, OP(0, info, begin, "{\"acks\":1}", ""), SEND(10),
                                OK(0, 10), SEND(11), FINAL("[0,11]")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_REPEATED, OP(0, info, begin, "{\"once\":true}", ""), SEND(10),
                                FINAL("[0,10],[1,10]")),
                     1);
}

static void what_fails_was_refused_or_ends_a_client(void **state)
{
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_REFUSED, SEND(10),
                                OP(0, fail, send, "[[\"send\",7,10]]", ",\"error\":\"X\""),
                                FINAL("[0,10]")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_BROKEN, OP(0, fail, send, "null", ",\"error\":\"FATAL\"")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_BROKEN, OP(2, fail, poll, "null", ",\"error\":\"RESET\"")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_BROKEN, SEND(10), OP(0, info, send, "[[\"send\",7,10]]", ""),
                                OP(0, info, end, "null", ",\"error\":\"X\"")),
                     0);
}

static void consumers_are_followed(void **state)
{
    const char *again = OP(2, ok, poll, "[[\"poll\",7,[[0,10]]]]", "");
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_SKIPPED, SEND(10), again, again, FINAL("[0,10]")), 1);
    assert_int_equal(COUNT_ONLY(FAULT_SKIPPED, SEND(10), again, OP(2, ok, assign, "[7]", ""), again,
                                FINAL("[0,10]")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_BEYOND, SEND(10),
                                OP(2, ok, poll, "[[\"poll\",7,[[0,10]],0,5]]", ""),
                                FINAL("[0,10]")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_RECEDED, OP(2, ok, poll, "[[\"poll\",7,[],4,5]]", ""),
                                OP(2, ok, poll, "[[\"poll\",7,[],3,5]]", ""),
                                OP(2, ok, poll, "[[\"poll\",7,[],2]]", "")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_LOST, SEND(10), OK(0, 10), SEND(11), OK(1, 11),
                                OP(5, invoke, delete, "[[\"delete\",7,1]]", ""), FINAL("[1,11]")),
                     0);
}

static void groups_are_read(void **state)
{
    const char *commit = OP(0, invoke, commit, "[[\"commit\",7,5]]", ",\"group\":\"g\"");
    const char *committed = OP(0, ok, commit, "[[\"commit\",7,5]]", ",\"group\":\"g\"");
    const char *ask = OP(1, invoke, fetch, "null", ",\"group\":\"g\"");
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_REWOUND, commit, committed, ask,
                                OP(1, ok, fetch, "[[\"fetch\",7,null]]", ",\"group\":\"g\"")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_REWOUND, commit, committed, ask,
                                OP(1, ok, fetch, "[[\"fetch\",7,5]]", ",\"group\":\"g\"")),
                     0);
    assert_int_equal(COUNT_ONLY(FAULT_UNCOMMITTED, commit, ask,
                                OP(1, ok, fetch, "[[\"fetch\",7,6]]", ",\"group\":\"g\"")),
                     1);
    assert_int_equal(COUNT_ONLY(FAULT_SHARED,
                                OP(0, ok, own, "[7,8]", ",\"group\":\"g\",\"generation\":4"),
                                OP(1, ok, own, "[8]", ",\"group\":\"g\",\"generation\":4"),
                                OP(1, ok, own, "[7]", ",\"group\":\"g\",\"generation\":5")),
                     1);
}

static void members_come_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_LOST,
                                "{ \"value\" : [ [ \"send\", 7, 10 ] ], \"f\": \"send\", \"x\": "
                                "{\"y\":[1.5,\"]\"]}, \"type\":\"invoke\", \"process\":0 }",
                                "{\"value\":[[\"send\",7,[0,10]]],\"type\":\"ok\",\"f\":\"send\"}",
                                SEND(11), FINAL("[1,11]")),
                     1);
}

static void operations_of_other_kinds_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(COUNT_ONLY(FAULT_BROKEN, OP(9, info, nemesis, "[\"kill\",[1]]", "")), 0);
}

static void what_is_no_operation_is_refused(void **state)
{
    static const char *const BAD[] = {
        "x",
        "{}",
        "{\"f\":\"send\",\"type\":\"invoke\",\"value\":[[\"send\",7]]}",
        "{\"f\":\"send\",\"type\":\"invoke\",\"value\":[[\"send\",7,10]}",
        "{\"f\":\"send\",\"type\":\"invoke\",\"value\":[[\"send\",7,10]]",
        "{\"f\":\"send\",\"type\":\"invoke\",\"value\":null}",
        "{\"f\":\"send\",\"type\":\"ok\",\"value\":[[\"send\",7,10]]}",
        "{\"f\":\"poll\",\"type\":\"ok\",\"value\":[[\"poll\",7,[[0]]]]}",
        "{\"f\":\"commit\",\"type\":\"ok\",\"value\":[[\"commit\",\"7\",1]]}",
    };
    (void)state;
    for (size_t i = 0; i < countof(BAD); i++) {
        struct judge *judge = judge_new(NULL, NULL);
        assert_false(read_operation(judge, text_of(BAD[i])));
        judge_free(judge);
    }
}

/* ---- files ------------------------------------------------------------------------------------*/

static uint64_t read_text(const char *text, char **ret_error)
{
    char path[] = "/tmp/chronik-history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    struct judge *judge = judge_new(NULL, NULL);
    uint64_t n = read_history(judge, path, ret_error);
    judge_free(judge);
    unlink(path);
    return n;
}

static void a_file_is_read_line_by_line(void **state)
{
    char *error;
    (void)state;
    assert_int_equal(read_text(SEND(10) "\n\n" SEND(11) "\n", &error), 3);
    assert_null(error);
}

static void a_last_line_without_its_end_is_not_there_yet(void **state)
{
    char *error;
    (void)state;
    assert_int_equal(read_text(SEND(10) "\n{\"proc", &error), 1);
    assert_null(error);
}

static void a_line_that_is_no_operation_is_named(void **state)
{
    char *error;
    (void)state;
    assert_int_equal(read_text(SEND(10) "\nwhat?\n", &error), 0);
    assert_non_null(strstr(error, ":2: not an operation: what?"));
    free(error);
    struct judge *judge = judge_new(NULL, NULL);
    assert_int_equal(read_history(judge, "/nonexistent/history", &error), 0);
    assert_non_null(strstr(error, "cannot be read"));
    free(error);
    judge_free(judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(keys_and_producers_have_their_ways),
        cmocka_unit_test(what_fails_was_refused_or_ends_a_client),
        cmocka_unit_test(consumers_are_followed),
        cmocka_unit_test(groups_are_read),
        cmocka_unit_test(members_come_in_any_order),
        cmocka_unit_test(operations_of_other_kinds_are_left_out),
        cmocka_unit_test(what_is_no_operation_is_refused),
        cmocka_unit_test(a_file_is_read_line_by_line),
        cmocka_unit_test(a_last_line_without_its_end_is_not_there_yet),
        cmocka_unit_test(a_line_that_is_no_operation_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
