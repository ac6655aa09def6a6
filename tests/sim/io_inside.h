/* What the files share that stand in for src/io: the inside of loops, files and jobs. */
#ifndef CHRONIK_TESTS_SIM_IO_INSIDE_H
#define CHRONIK_TESTS_SIM_IO_INSIDE_H

#include <chronik/io/disk.h>
#include <chronik/io/job.h>
#include <chronik/io/timer.h>

#include "fiber.h"
#include "machine.h"

enum { LOOP_STEPS = LOOP_SUBMIT + 1 };

struct loop {
    struct machine *machine;
    enum loop_backend backend;
    struct list steps[LOOP_STEPS];
    struct heap timers;
    struct list ready; /* struct ready: what the next events step is about */
    struct event wake;
    uint64_t turn_ns; /* time of the turn; 0: between turns */
    uint64_t busy_until_ns;
    bool stopped;
};

/* Something that has happened and waits for the events step. */
struct ready {
    struct list link;
    void (*run)(struct ready *ready);
};

void ready_init(struct ready *ready, void (*run)(struct ready *ready));
void loop_ready(struct loop *loop, struct ready *ready);

/* The process is gone: nothing of the loop happens any more. Its memory goes with the process. */
void loop_die(struct loop *loop);

/* ---- files ------------------------------------------------------------------------------------*/

struct file {
    struct list link; /* in machine->files */
    struct machine *machine;
    struct inode *inode;
    bool durable, direct, lock;
};

/* What a call asks of the drive, decided when it begins. */
struct drive_verdict {
    int error;   /* 0 or -errno */
    uint64_t ns; /* how long it takes */
};

enum drive_work { DRIVE_READ, DRIVE_WRITE, DRIVE_SYNC, DRIVE_NAMES };

struct drive_verdict drive_decide(struct machine *machine, enum drive_work work, size_t len);

/* The same blocking calls as in io/file.h, but at once and without errors of the drive. */
int file_open_now(struct machine *machine, const char *path, unsigned flags,
                  struct file **ret_file);
int file_write_now(struct file *file, const void *data, size_t len, uint64_t at);
int file_sync_now(struct file *file, uint64_t seq, int error);

/* A write that a kill or a power cut has interrupted: none, some or all of it has happened, and
 * none of it is durable. */
void file_write_cut(struct file *file, const struct iovec *iov, unsigned n, uint64_t at);

/* The process that opened it is gone. */
void file_abandon(struct file *file);

/* In a job: lets time pass. */
void job_sleep(uint64_t ns);

/* The machine's process is gone: what it had under way is decided, and forgotten. */
void disk_die(struct machine *machine);
void jobs_die(struct machine *machine);

/* Tells everybody at the other ends, unless the power is off. */
void network_die(struct machine *machine, bool tell);

#endif
