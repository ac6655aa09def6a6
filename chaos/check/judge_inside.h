/* What the judge's files share. */
#ifndef CHRONIK_CHAOS_JUDGE_INSIDE_H
#define CHRONIK_CHAOS_JUDGE_INSIDE_H

#include <chronik/base/map.h>

#include "judge.h"

enum { PAGE_SLOTS = 512, VALUES_MAX = 1 << 29 };

/* One offset of a key. */
struct slot {
    uint32_t value : 29; /* in judge->values */
    uint32_t known : 1;  /* somebody was told that the value lies here */
    uint32_t read : 1;   /* by a consumer */
    uint32_t final : 1;  /* by the last reading */
};

struct page {
    int64_t number; /* offset / PAGE_SLOTS */
    struct slot slots[PAGE_SLOTS];
};

struct value {
    int64_t id;
    int64_t offset; /* the first one that somebody was told; -1: none */
    int64_t floor;  /* all up to there was acknowledged or read before it was sent */
    uint64_t acknowledged_ns;
    uint32_t key;
    uint32_t process : 28;
    uint32_t acknowledged : 1; /* by all */
    uint32_t refused : 1;
    uint32_t read : 1;
    uint32_t in_final : 1; /* found at the end */
};

struct key {
    struct map_node node;
    int64_t name;
    unsigned index;
    unsigned allowed;
    struct page **pages; /* in order of their numbers */
    size_t n_pages, cap_pages;
    int64_t known_end;
    int64_t deleted;       /* below it records may be gone */
    int64_t final_process; /* of the last reading; -1: there is none */
    uint64_t n_acknowledged, n_final;
};

struct process {
    struct map_node node;
    int64_t name;
    unsigned index;
    unsigned promises;
    uint64_t commit_began; /* when the commit under way was sent, as a number of an operation */
    uint64_t *floors;      /* of its question for committed offsets, by claim */
    size_t n_floors, cap_floors;
};

/* Where a consumer is in a key. */
struct position {
    struct map_node node;
    unsigned process, key;
    int64_t last; /* offset of the last record it got; -1: none */
    int32_t epoch;
    int64_t high_watermark;
};

/* A consumer went over offsets of a key that may have gaps: true ones, as the end will show. */
struct jump {
    unsigned process, key;
    int64_t from, to; /* the offsets of the two records */
    uint64_t time_ns;
};

struct group {
    struct map_node node;
    char *name;
    unsigned index;
};

/* An offset that was committed at least once. */
struct commit {
    int64_t offset;
    uint64_t done;    /* when the last one that ended was acknowledged, by number of operation */
    uint64_t n_open;  /* so many were not acknowledged: they may come at any time */
};

struct owner {
    int32_t generation;
    unsigned process;
};

/* What a group knows of a key. */
struct claim {
    struct map_node node;
    unsigned index; /* in judge->claims */
    unsigned group, key;
    struct commit *commits;
    size_t n_commits, cap_commits;
    uint64_t floor; /* when the latest acknowledged commit began; 0: none */
    struct owner *owners;
    size_t n_owners, cap_owners;
};

struct judge {
    judge_found *found;
    void *arg;
    struct judge_totals totals;
    uint64_t now_ns;
    uint64_t n_operations; /* the clock of commits */

    struct map key_map, process_map, position_map, group_map, claim_map;
    struct key **keys;
    struct process **processes;
    struct group **groups;
    struct claim **claims;
    size_t n_keys, cap_keys, n_processes, cap_processes, n_groups, cap_groups, n_claims, cap_claims;
    struct position *recent; /* the one that was asked for last */

    struct value *values;
    size_t n_values, cap_values;
    uint32_t *table; /* by key and id: index in `values` + 1; 0: free */
    size_t table_size;

    struct jump *jumps;
    size_t n_jumps, cap_jumps;
};

/* Counts a fault, and tells it when it is one of the first of its kind. */
void judge_fault(struct judge *judge, enum fault_kind kind, uint64_t time_ns, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* NULL: nobody sent it. */
struct value *judge_value(const struct judge *judge, unsigned key, int64_t id);

/* Somebody was told that a value lies at an offset. */
struct slot *judge_place(struct judge *judge, struct value *v, int64_t offset);

void judge_check_refused(struct judge *judge, const struct value *v);

void judge_groups_release(struct judge *judge);

#endif
