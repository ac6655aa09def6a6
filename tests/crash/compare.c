/* The comparison: a table of acknowledged records, filled from the log, checked off by what is
 * read. */
#include "compare.h"

#include <chronik/base/map.h>

#include <inttypes.h>
#include <stdio.h>

enum { EXAMPLES_MAX = 5 };

enum fault { LOST, MISPLACED, REPEATED, REORDERED, DAMAGED, GAP, RETURNED, FAULTS };

static const char *const FAULT_NAME[FAULTS] = {
    [LOST] = "lost",           [MISPLACED] = "misplaced", [REPEATED] = "repeated",
    [REORDERED] = "reordered", [DAMAGED] = "damaged",     [GAP] = "gaps",
    [RETURNED] = "returned",
};

enum fate { MUST_BE_THERE, MAY_BE_THERE, MUST_BE_GONE };

struct acked {
    struct map_node node;
    uint64_t id;
    int64_t offset; /* -1: not told */
    enum fate fate;
    bool met; /* somewhere */
    bool in_place;
};

/* The last record seen of one producer in one partition. */
struct progress {
    struct map_node node;
    uint64_t stream; /* an id without its number */
    int64_t last;
};

struct partition {
    struct acked **acked; /* in order of acknowledgement; those that a truncation took are behind */
    size_t n, n_with_cut, cap;
    int64_t trim; /* the largest that was asked for */
    int64_t start, end, next;
};

struct comparison {
    const struct load_options *options;
    struct map acked, progress;
    struct partition partitions[LOAD_PARTITIONS_MAX];
    int64_t n_acked, n_read, faults[FAULTS];
};

static bool is_acked(const struct map_node *node, const void *id)
{
    return container_of(node, struct acked, node)->id == *(const uint64_t *)id;
}

static bool is_stream(const struct map_node *node, const void *stream)
{
    return container_of(node, struct progress, node)->stream == *(const uint64_t *)stream;
}

static struct acked *find_acked(struct comparison *c, uint64_t id)
{
    struct map_node *node = map_find(&c->acked, hash_u64(0, id), is_acked, &id);
    return node != NULL ? container_of(node, struct acked, node) : NULL;
}

static void found(struct comparison *c, enum fault fault, uint64_t id, int64_t offset)
{
    if (c->faults[fault]++ < EXAMPLES_MAX) {
        struct record_id parts = record_id_unpack(id);
        printf("%s: record %016" PRIx64 " (partition %u, run %u, producer %u%s, number %" PRIu32
               ") at offset %" PRId64 "\n",
               FAULT_NAME[fault], id, parts.partition, parts.run, parts.producer,
               parts.idempotent ? ", idempotent" : "", parts.n, offset);
    }
}

/* ---- the acknowledgement log ------------------------------------------------------------------*/

static void add_acked(struct comparison *c, uint64_t id, int64_t offset)
{
    struct partition *p = &c->partitions[record_id_unpack(id).partition % LOAD_PARTITIONS_MAX];
    struct acked *acked = find_acked(c, id);
    if (acked == NULL) {
        acked = mem_zalloc(sizeof *acked);
        acked->id = id;
        map_insert(&c->acked, &acked->node, hash_u64(0, id));
        c->n_acked++;
        p->acked = mem_grow(p->acked, &p->cap, p->n + 1, sizeof *p->acked);
        p->acked[p->n++] = acked;
        p->n_with_cut = p->n;
    }
    acked->offset = offset;
    acked->fate = MUST_BE_THERE;
}

/* A truncation was asked for: what it takes stays in the array, behind `n`, until it is done. */
static void begin_cut(struct partition *p, int64_t offset)
{
    p->n_with_cut = p->n;
    while (p->n > 0 && p->acked[p->n - 1]->offset >= offset) {
        p->acked[--p->n]->fate = MAY_BE_THERE;
    }
}

static void finish_cut(struct partition *p)
{
    for (size_t i = p->n; i < p->n_with_cut; i++) {
        p->acked[i]->fate = MUST_BE_GONE;
    }
    p->n_with_cut = p->n;
}

/* One line; false when it is none. */
static bool take_line(struct comparison *c, struct text line)
{
    struct text rest = line, word = text_cut(&rest, ' '), first = text_cut(&rest, ' ');
    int64_t partition, offset = 0;
    char digits[RECORD_ID_DIGITS + 1] = { 0 }, *end;
    if (word.len == RECORD_ID_DIGITS) {
        memcpy(digits, word.data, RECORD_ID_DIGITS);
        uint64_t id = strtoull(digits, &end, 16);
        if (*end != 0 || !text_to_i64(first, &offset)) {
            return false;
        }
        add_acked(c, id, offset);
        return true;
    }
    if (!text_to_i64(first, &partition) || partition < 0 || partition >= LOAD_PARTITIONS_MAX ||
        !text_to_i64(rest, &offset)) {
        return false;
    }
    struct partition *p = &c->partitions[partition];
    if (text_is(word, "trim")) {
        p->trim = max_i64(p->trim, offset);
    } else if (text_is(word, "cut")) {
        begin_cut(p, offset);
    } else if (text_is(word, "cutdone")) {
        finish_cut(p);
    } else {
        return false;
    }
    return true;
}

/* A last line without its end does not count: it was not complete when the writer was killed. */
static bool read_lines(struct comparison *c, FILE *file)
{
    char line[64];
    while (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
        if (!take_line(c, text_trim(text_of(line)))) {
            fprintf(stderr, "not a line of an acknowledgement log: %s", line);
            return false;
        }
    }
    return true;
}

static bool read_file(struct comparison *c, const char *path, bool required)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        if (required) {
            perror(path);
        }
        return !required;
    }
    bool ok = read_lines(c, file);
    fclose(file);
    return ok;
}

struct comparison *comparison_new(const struct load_options *options)
{
    struct comparison *c = mem_zalloc(sizeof *c);
    char *trims = mem_sprintf("%s.trims", options->acked);
    c->options = options;
    map_init(&c->acked);
    map_init(&c->progress);
    if (!read_file(c, options->acked, true) || !read_file(c, trims, false)) {
        comparison_free(c);
        c = NULL;
    }
    free(trims);
    return c;
}

void comparison_free(struct comparison *c)
{
    map_each (node, &c->acked) {
        free(container_of(node, struct acked, node));
    }
    map_each (node, &c->progress) {
        free(container_of(node, struct progress, node));
    }
    map_release(&c->acked);
    map_release(&c->progress);
    for (size_t i = 0; i < LOAD_PARTITIONS_MAX; i++) {
        free(c->partitions[i].acked);
    }
    free(c);
}

/* ---- what is there ----------------------------------------------------------------------------*/

void comparison_open(struct comparison *c, unsigned partition, int64_t start, int64_t end)
{
    struct partition *p = &c->partitions[partition];
    p->start = p->next = start;
    p->end = end;
}

static struct progress *find_progress(struct comparison *c, uint64_t id)
{
    uint64_t stream = id >> 32;
    struct map_node *node = map_find(&c->progress, hash_u64(0, stream), is_stream, &stream);
    if (node != NULL) {
        return container_of(node, struct progress, node);
    }
    struct progress *progress = mem_zalloc(sizeof *progress);
    *progress = (struct progress){ .stream = stream, .last = -1 };
    map_insert(&c->progress, &progress->node, hash_u64(0, stream));
    return progress;
}

/* A plain producer may repeat a record, but not bring one for the first time behind a later one. */
static void check_order(struct comparison *c, uint64_t id, int64_t offset, bool first_time)
{
    struct record_id parts = record_id_unpack(id);
    struct progress *progress = find_progress(c, id);
    if ((int64_t)parts.n > progress->last) {
        progress->last = parts.n;
    } else if (parts.idempotent) {
        found(c, REPEATED, id, offset);
    } else if (first_time && c->options->unordered == 0) {
        found(c, REORDERED, id, offset);
    }
}

void comparison_take(struct comparison *c, unsigned partition, int64_t offset, const void *value,
                     size_t len)
{
    struct partition *p = &c->partitions[partition];
    uint64_t id = 0;
    c->n_read++;
    if (offset != p->next) {
        found(c, GAP, (uint64_t)partition << 32, p->next);
    }
    p->next = offset + 1;
    if (!record_value_check(value, len, (size_t)c->options->record_bytes, &id) ||
        record_id_unpack(id).partition != partition) {
        found(c, DAMAGED, id, offset);
        return;
    }
    struct acked *acked = find_acked(c, id);
    check_order(c, id, offset, acked != NULL && !acked->met);
    if (acked != NULL) {
        acked->met = true;
        acked->in_place = acked->in_place || acked->offset < 0 || acked->offset == offset;
        if (acked->fate == MUST_BE_GONE) {
            found(c, RETURNED, id, offset);
        }
    }
}

bool comparison_close(struct comparison *c)
{
    bool ok = true;
    map_each (node, &c->acked) {
        struct acked *acked = container_of(node, struct acked, node);
        struct partition *p = &c->partitions[record_id_unpack(acked->id).partition];
        bool may_go = acked->offset >= 0 && acked->offset < p->trim;
        if (acked->fate == MUST_BE_THERE && !acked->in_place && !may_go) {
            found(c, acked->met ? MISPLACED : LOST, acked->id, acked->offset);
        }
    }
    for (size_t i = 0; i < LOAD_PARTITIONS_MAX; i++) {
        if (c->partitions[i].next != c->partitions[i].end) {
            found(c, GAP, (uint64_t)i << 32, c->partitions[i].next);
        }
    }
    printf("acknowledged %" PRId64 " read %" PRId64, c->n_acked, c->n_read);
    for (unsigned i = 0; i < FAULTS; i++) {
        printf(" %s %" PRId64, FAULT_NAME[i], c->faults[i]);
        ok = ok && c->faults[i] == 0;
    }
    printf("\n");
    return ok;
}
