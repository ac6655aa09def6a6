/* chaos_check: judges a history (docs/history.md).
 *
 *     chaos_check [--keys] HISTORY        "-" is the standard input
 *
 * Prints what is wrong, the first faults of each kind, and a summary; with --keys also how much of
 * each key was acknowledged and is there. Exit code 0: nothing is wrong; 1: something is; 2: the
 * history cannot be read. */
#include <inttypes.h>
#include <stdio.h>

#include "read.h"

static void print_fault(void *arg, enum fault_kind kind, uint64_t time_ns, const char *text)
{
    (void)arg;
    printf("  %s: %s", fault_name(kind), text);
    if (time_ns > 0) {
        printf(" (at %.3f s of the history's clock)", (double)time_ns / 1e9);
    }
    putchar('\n');
}

static void print_keys(const struct judge *judge)
{
    for (size_t i = 0; i < judge_n_keys(judge); i++) {
        struct judge_key_totals key = judge_key_at(judge, i);
        printf("key %" PRId64 ": %" PRIu64 " acknowledged, %" PRIu64 " there\n", key.name,
               key.n_acknowledged, key.n_final);
    }
}

static void print_summary(const struct judge *judge)
{
    const struct judge_totals *totals = judge_totals(judge);
    const char *before = "";
    printf("%" PRIu64 " records acknowledged, %" PRIu64 " unknown, %" PRIu64 " read along: ",
           totals->n_acknowledged, totals->n_unknown, totals->n_read);
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        if (totals->n_faults[i] > 0) {
            printf("%s%s %" PRIu64, before, fault_name((enum fault_kind)i), totals->n_faults[i]);
            before = ", ";
        }
    }
    if (judge_is_fine(judge)) {
        printf("all there, in order");
    }
    if (totals->n_ended > 0) {
        printf("; producers replaced for faults of their library: %" PRIu64, totals->n_ended);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    bool keys = argc == 3 && strcmp(argv[1], "--keys") == 0;
    char *error;
    if (argc != 2 && !keys) {
        fprintf(stderr, "usage: chaos_check [--keys] HISTORY\n");
        return 2;
    }
    struct judge *judge = judge_new(print_fault, NULL);
    read_history(judge, argv[argc - 1], &error);
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
        judge_free(judge);
        free(error);
        return 2;
    }
    judge_finish(judge);
    if (keys) {
        print_keys(judge);
    }
    print_summary(judge);
    bool fine = judge_is_fine(judge);
    judge_free(judge);
    return fine ? 0 : 1;
}
