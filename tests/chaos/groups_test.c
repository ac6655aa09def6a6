/* Histories of groups, and what the judge must say of them. Processes 0 and 1 are members. */
#include "story.h"

struct group_story {
    struct story s;
    unsigned group;
};

static void begin(struct group_story *g)
{
    story_begin(&g->s);
    g->group = judge_group(g->s.judge, text_of("g"));
}

static void commit(struct group_story *g, unsigned process, int64_t offset)
{
    judge_at(g->s.judge, 1);
    judge_commit(g->s.judge, process, g->group, g->s.key, offset);
}

static void committed(struct group_story *g, unsigned process, int64_t offset)
{
    judge_at(g->s.judge, 1);
    judge_committed(g->s.judge, process, g->group, g->s.key, offset);
}

static void ask(struct group_story *g, unsigned process)
{
    judge_at(g->s.judge, 1);
    judge_ask_committed(g->s.judge, process);
}

static void told(struct group_story *g, unsigned process, int64_t offset)
{
    judge_at(g->s.judge, 1);
    judge_told_committed(g->s.judge, process, g->group, g->s.key, offset);
}

static void the_latest_commit_is_told(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    ask(&g, 1);
    told(&g, 1, -1);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    commit(&g, 0, 9);
    committed(&g, 0, 9);
    ask(&g, 1);
    told(&g, 1, 9);
    story_is_fine(&g.s);
}

static void a_committed_offset_does_not_go_back(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    commit(&g, 0, 9);
    committed(&g, 0, 9);
    ask(&g, 1);
    told(&g, 1, 5);
    story_says(&g.s, FAULT_REWOUND);
}

static void a_commit_is_not_forgotten(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    ask(&g, 1);
    told(&g, 1, -1);
    story_says(&g.s, FAULT_REWOUND);
}

/* A member may commit what is lower: what counts is when, not how much. */
static void a_member_may_go_back_itself(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 9);
    committed(&g, 0, 9);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    ask(&g, 1);
    told(&g, 1, 5);
    story_is_fine(&g.s);
    begin(&g);
    commit(&g, 0, 9);
    committed(&g, 0, 9);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    ask(&g, 1);
    told(&g, 1, 9);
    story_says(&g.s, FAULT_REWOUND);
}

static void what_is_acknowledged_after_the_question_may_be_missing(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    ask(&g, 1);
    commit(&g, 0, 9);
    committed(&g, 0, 9);
    told(&g, 1, 5);
    story_is_fine(&g.s);
}

static void commits_at_the_same_time_come_in_any_order(void **state)
{
    struct group_story g;
    (void)state;
    for (int64_t last = 5; last <= 9; last += 4) {
        begin(&g);
        commit(&g, 0, 5);
        commit(&g, 1, 9);
        committed(&g, 1, 9);
        committed(&g, 0, 5);
        ask(&g, 1);
        told(&g, 1, last);
        story_is_fine(&g.s);
    }
}

static void a_commit_that_nobody_acknowledged_may_come_late(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    commit(&g, 1, 9);
    committed(&g, 1, 9);
    ask(&g, 1);
    told(&g, 1, 9);
    ask(&g, 1);
    told(&g, 1, 5);
    story_is_fine(&g.s);
}

static void nobody_committed_that(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    ask(&g, 1);
    told(&g, 1, 6);
    story_says(&g.s, FAULT_UNCOMMITTED);
    begin(&g);
    committed(&g, 0, 5);
    story_says(&g.s, FAULT_UNCOMMITTED);
}

static void groups_and_keys_have_offsets_of_their_own(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    commit(&g, 0, 5);
    committed(&g, 0, 5);
    unsigned other_group = judge_group(g.s.judge, text_of("h"));
    unsigned other_key = judge_key(g.s.judge, 8);
    ask(&g, 1);
    judge_told_committed(g.s.judge, 1, other_group, g.s.key, -1);
    judge_told_committed(g.s.judge, 1, g.group, other_key, -1);
    told(&g, 1, 5);
    story_is_fine(&g.s);
}

static void one_member_owns_a_key_in_a_generation(void **state)
{
    struct group_story g;
    (void)state;
    begin(&g);
    judge_own(g.s.judge, 0, g.group, 1, g.s.key);
    judge_own(g.s.judge, 1, g.group, 2, g.s.key);
    judge_own(g.s.judge, 0, g.group, 1, g.s.key); /* it hears of it late, and again */
    judge_own(g.s.judge, 0, judge_group(g.s.judge, text_of("h")), 2, g.s.key);
    story_is_fine(&g.s);
    begin(&g);
    judge_own(g.s.judge, 0, g.group, 1, g.s.key);
    judge_own(g.s.judge, 1, g.group, 2, g.s.key);
    judge_own(g.s.judge, 1, g.group, 1, g.s.key);
    story_says(&g.s, FAULT_SHARED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_commit_is_told),
        cmocka_unit_test(a_committed_offset_does_not_go_back),
        cmocka_unit_test(a_commit_is_not_forgotten),
        cmocka_unit_test(a_member_may_go_back_itself),
        cmocka_unit_test(what_is_acknowledged_after_the_question_may_be_missing),
        cmocka_unit_test(commits_at_the_same_time_come_in_any_order),
        cmocka_unit_test(a_commit_that_nobody_acknowledged_may_come_late),
        cmocka_unit_test(nobody_committed_that),
        cmocka_unit_test(groups_and_keys_have_offsets_of_their_own),
        cmocka_unit_test(one_member_owns_a_key_in_a_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
