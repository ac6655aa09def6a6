/* Histories by hand: a story is a judge that counts what it finds. Process 0 is an idempotent
 * producer, 1 a plain one, 2 reads along, 3 reads at the end, 4 asks for acks=1; all of it happens
 * in one key. */
#ifndef CHRONIK_TESTS_CHAOS_STORY_H
#define CHRONIK_TESTS_CHAOS_STORY_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on

#include "judge.h"

enum who { IDEMPOTENT, PLAIN, READER, LAST_READER, WEAK, PROCESSES };

struct story {
    struct judge *judge;
    unsigned key;
};

static inline void story_begin(struct story *s)
{
    s->judge = judge_new(NULL, NULL);
    s->key = judge_key(s->judge, 7);
    for (unsigned i = 0; i < PROCESSES; i++) {
        judge_process(s->judge, i);
    }
    judge_producer(s->judge, IDEMPOTENT, PRODUCER_ONCE | PRODUCER_ORDERED);
    judge_producer(s->judge, WEAK, PRODUCER_WEAK);
}

static inline void story_send(struct story *s, enum who who, int64_t value)
{
    judge_at(s->judge, 1);
    judge_send(s->judge, who, s->key, value);
}

static inline void story_ack(struct story *s, int64_t value, int64_t offset)
{
    judge_at(s->judge, 1);
    judge_acknowledge(s->judge, s->key, value, offset);
}

/* Sent, and acknowledged at once. */
static inline void story_sent(struct story *s, enum who who, int64_t value, int64_t offset)
{
    story_send(s, who, value);
    story_ack(s, value, offset);
}

static inline void story_read(struct story *s, enum who who, int64_t value, int64_t offset)
{
    judge_at(s->judge, 1);
    judge_read(s->judge, who, s->key, offset, value, who >= LAST_READER);
}

/* The end: exactly these kinds of faults were found. */
#define story_says(s, ...)                                                                         \
    story_end(s, (const enum fault_kind[]){ __VA_ARGS__ },                                         \
              sizeof((const enum fault_kind[]){ __VA_ARGS__ }) / sizeof(enum fault_kind))
#define story_is_fine(s) story_end(s, NULL, 0)

static inline void story_end(struct story *s, const enum fault_kind *kinds, size_t n)
{
    judge_finish(s->judge);
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        bool wanted = false;
        for (size_t i = 0; i < n; i++) {
            wanted = wanted || kinds[i] == (enum fault_kind)kind;
        }
        bool found = judge_totals(s->judge)->n_faults[kind] > 0;
        if (found != wanted) {
            print_error("%s: %s\n", fault_name((enum fault_kind)kind),
                        found ? "found, and not there" : "not found");
        }
        assert_int_equal(found, wanted);
    }
    assert_int_equal(judge_is_fine(s->judge), n == 0);
    judge_free(s->judge);
}

#endif
