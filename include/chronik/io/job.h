/* Jobs: work that would hold up the loop (recovery, large decompression), run on a pool thread.
 *
 * A job sees only what it was given, may use `io/file.h`, and touches nothing else of the broker.
 * Jobs never take the pool's last threads: the journal's writes need them where disk requests go
 * through the pool too. */
#ifndef CHRONIK_IO_JOB_H
#define CHRONIK_IO_JOB_H

#include <chronik/io/loop.h>

/* Embedded in what it works on; the memory stays until `done`. */
struct job {
    void (*run)(struct job *job);  /* on a pool thread */
    void (*done)(struct job *job); /* on the loop, in the events step; the job may be freed here */
};

void job_start(struct loop *loop, struct job *job, void (*run)(struct job *job),
               void (*done)(struct job *job));

#endif
