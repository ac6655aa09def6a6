/* What a dump says of a directory, kept to be compared with a store that is opened on it. */
#ifndef CHRONIK_TESTS_STORAGE_DUMP_BED_H
#define CHRONIK_TESTS_STORAGE_DUMP_BED_H

#include <chronik/storage/dump.h>
#include <chronik/storage/store.h>

/* A log, with the first and the last offset of each batch, and the ids in its records. */
struct dumped_log {
    struct uuid topic_id;
    char topic[256];
    int32_t partition;
    int64_t start, end;
    int32_t last_epoch;
    uint64_t *id;
    int64_t *offset;
    size_t n, cap;
    unsigned n_journal, n_segment; /* batches in either */
    bool crc_ok;                   /* of all batches */
};

struct dumped_dir {
    struct dumped_log *logs;
    size_t n, cap;
    unsigned n_damage, n_notes;
    char damage[512]; /* the first one: "FILE at N: what" */
    struct codec_scratch scratch;
};

/* Dumps a directory, or a partition's. What dump_run() returns. */
int dir_dump(struct dumped_dir *dumped, const char *dir, const char *topic, int32_t partition);
void dir_dump_release(struct dumped_dir *dumped);

const struct dumped_log *dir_dump_find(const struct dumped_dir *dumped, const struct uuid *topic_id,
                                       int32_t partition);

/* Fails the test unless the store that was opened on the directory has the same logs, and knows of
 * damage only where the dump does. */
void dir_dump_compare(const struct dumped_dir *dumped, struct store *store);

#endif
