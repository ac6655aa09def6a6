/* A checkpoint under way. */
#ifndef CHRONIK_STORAGE_CHECKPOINT_H
#define CHRONIK_STORAGE_CHECKPOINT_H

#include "image.h"

enum checkpoint_state {
    CHECKPOINT_WRITING,
    CHECKPOINT_SYNCING,
    CHECKPOINT_NAMING,
    CHECKPOINT_CUTTING,
    CHECKPOINT_SEALING,
    CHECKPOINT_SAVING,
};

/* A file that the job writes or removes. */
struct small_file {
    char *path;
    struct buf content;
    uint64_t at; /* behind what is there; 0: instead of it */
    bool sync, sync_dir, remove;
    struct segment *segment; /* a reference; NULL: of none */
    bool skip;               /* the segment was taken out of its log meanwhile */
};

/* Index files of a segment that the job writes. */
struct saved_segment {
    struct log *log;
    struct segment *segment;
    uint32_t n_cuts;
    struct index_saved saved, time_saved;
};

enum { SHARES = 4 };

/* A share of work on many files: each SHARES-th of them, done by a job of its own. */
struct share {
    struct job job;
    struct checkpoint *checkpoint;
    size_t first;
    int error;
};

struct checkpoint {
    struct store *store;
    unsigned state;
    uint64_t lsn, seal_lsn;
    uint64_t began_ns;
    bool clean;
    unsigned owed; /* logs with entries to be written */
    uint32_t n_logs;
    struct buf image;
    char **dirs; /* directories to be synced */
    size_t n_dirs;
    bool sync_parent;
    struct small_file *files;
    size_t n_files, cap_files;
    struct saved_segment *saves;
    size_t n_saves, cap_saves;
    struct share shares[SHARES];
    unsigned n_shares;    /* under way */
    bool files_saved;     /* the image comes next */
    char *path;           /* of the image */
    int error;
};

/* Adds what Apache Kafka wants to find after a clean stop: its three offset checkpoints. */
void checkpoint_kafka_files(struct checkpoint *checkpoint);

/* For jobs: writes a file. */
int checkpoint_save_file(const struct small_file *file);

#endif
