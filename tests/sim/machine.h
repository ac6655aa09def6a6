/* A simulated machine: a drive, clocks, a place in the network, and one process, if it runs.
 *
 * The process is code of the product (or of a simulated client) on a struct loop. It ends by
 * itself, by a kill (its memory goes, its connections are closed for it, its files stay as they
 * were last seen), or by a power cut (nobody is told, and the drive forgets what no sync has
 * covered). */
#ifndef CHRONIK_TESTS_SIM_MACHINE_H
#define CHRONIK_TESTS_SIM_MACHINE_H

#include <chronik/io/loop.h>

#include "drive.h"
#include "memory.h"
#include "world.h"

enum { MACHINE_FILES_MAX = 4096 };

/* How fast it is, and what its calls do. */
struct machine_manners {
    enum loop_backend backend; /* what LOOP_AUTO finds */
    uint64_t turn_ns;          /* what a turn of the loop takes, about */
    uint64_t stall;            /* one turn in so many takes a hundred times as long; 0: none */
    uint64_t memory_bytes;     /* of the machine */
};

struct machine {
    unsigned index;
    char name[16];
    struct machine_manners manners;
    struct drive drive;

    uint64_t boot_ns; /* what its monotonic clock showed at time 0 */
    int64_t wall_ms;  /* what its wall clock showed at time 0; jumps */
    bool powered;
    uint64_t paused_until_ns; /* SIGSTOP: the process gets nothing to run before; 0: it runs */

    /* The process. */
    struct memory memory;
    bool of_simulator; /* a client: its memory is the simulator's */
    struct loop *loop; /* NULL: none */
    struct list files; /* open struct file */
    struct list ops;   /* struct disk_op: requests to the drive */
    struct list jobs;  /* struct running_job */
    struct list listeners;
    uint16_t next_port;
    unsigned running[2], waiting_ops;        /* requests to the drive: under way, by lane */
    void (*ended)(struct machine *machine);  /* loop_stop() was called, and the turn is over */
    void (*turned)(struct machine *machine); /* after each other turn; NULL: nobody looks */
    void *program;
};

void machine_init(struct machine *machine, const char *name, uint64_t drive_bytes);
void machine_release(struct machine *machine);

/* Whose code runs. Every call into a process goes between these two. */
struct machine *machine_enter(struct machine *machine);
void machine_leave(struct machine *was);

/* The process is gone, at once. What it had asked of the drive may still happen, or not. */
void machine_kill(struct machine *machine);

/* The power goes off, and comes back when somebody says so. */
void machine_cut_power(struct machine *machine);
void machine_power_on(struct machine *machine);

/* SIGSTOP and SIGCONT. */
void machine_pause(struct machine *machine, uint64_t ns);

/* Is a write under way that must be durable when it ends? */
bool machine_writes_durably(const struct machine *machine);

/* The process has come to its own end. */
void machine_exited(struct machine *machine);

#endif
