/* The part of a cut that works on files: run by a job, and by recovery. */
#ifndef CHRONIK_STORAGE_CUT_JOB_H
#define CHRONIK_STORAGE_CUT_JOB_H

#include "scan.h"
#include "state.h"

enum cut_job_kind { CUT_TRUNCATE, CUT_DELETE };

struct cut_job {
    struct job job;
    enum cut_job_kind kind;
    char *dir;
    int error;

    /* truncation, in */
    bool dir_made;
    int64_t *gone; /* segments whose files are removed */
    size_t n_gone;
    struct segment_file *files; /* that are left; the last one is cut, if it is `written` at all */
    size_t n_files;
    int64_t base;       /* of the segment to cut */
    uint64_t written;   /* bytes of it that are in the file */
    uint64_t readable;  /* bytes of the file that may be looked at */
    uint64_t scan_from; /* a batch begins here, at or before the cut */
    int64_t offset;     /* the batch that holds it, and all behind it, is cut off */
    bool place_known;   /* `place` is given: the cut lies in what may not be in the file yet */
    bool rebuild_producers;
    uint64_t seed;
    int64_t now_ms;

    /* truncation, out */
    bool damaged;   /* a segment does not verify at or below the cut */
    uint64_t place; /* in, if known */
    int64_t end;    /* where the log ends now */
    int64_t max_timestamp, max_timestamp_offset; /* in: before `scan_from`; out: of the segment */
    struct producers *producers;
    int64_t snapshot;

    /* deletion */
    char *to_dir;
    const char *parent;
};

/* Says what a truncation of the log at its (new) end has to do in files: `gone` have been taken out
 * already, `segment` is the last one that is left, or NULL; its index is in memory. If the cut lies
 * in what may not be in the file yet, `segment->bytes` has been cut and `place_known` is set. */
void cut_job_prepare(struct cut_job *job, struct log *log, struct segment *const *gone,
                     uint32_t n_gone, struct segment *segment, bool place_known);

/* What a truncation has found out becomes what the log knows. */
void cut_job_install(struct cut_job *job, struct log *log, struct segment *segment);

void cut_job_run(struct job *job);
void cut_job_release(struct cut_job *job);

/* Removes what belongs to a segment in a directory: the segment itself, indexes, snapshots. What is
 * not there is fine. */
int segment_files_remove(const char *dir, int64_t base);

#endif
