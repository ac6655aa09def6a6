/* Machines, and the ends of their processes. */
#include "machine.h"

#include <stdio.h>

#include "io_inside.h"

void machine_init(struct machine *machine, const char *name, uint64_t drive_bytes)
{
    *machine = (struct machine){ .powered = true, .index = world->n_machines };
    check(world->n_machines < WORLD_MACHINES_MAX);
    world->machines[world->n_machines++] = machine;
    snprintf(machine->name, sizeof machine->name, "%s", name);
    machine->manners = (struct machine_manners){
        .backend = LOOP_URING,
        .turn_ns = 20000,
        .memory_bytes = GIB(1),
    };
    machine->boot_ns = between(1, 1000) * NS_PER_S;
    machine->wall_ms = INT64_C(1767225600000) + (int64_t)between(0, 2000) - 1000;
    memory_init(&machine->memory);
    drive_init(&machine->drive, drive_bytes);
    list_init(&machine->files);
    list_init(&machine->ops);
    list_init(&machine->jobs);
    list_init(&machine->listeners);
    machine->next_port = 40000;
}

void machine_release(struct machine *machine)
{
    if (machine->loop != NULL) {
        machine_kill(machine);
    }
    drive_release(&machine->drive);
}

struct machine *machine_enter(struct machine *machine)
{
    struct machine *was = world->running;
    world->running = machine;
    memory_enter(machine != NULL && !machine->of_simulator ? &machine->memory : NULL);
    return was;
}

void machine_leave(struct machine *was)
{
    machine_enter(was);
}

static void forget_process(struct machine *machine, bool tell)
{
    struct machine *was = machine_enter(NULL);
    network_die(machine, tell);
    disk_die(machine);
    jobs_die(machine);
    list_each (it, &machine->files) {
        file_abandon(container_of(it, struct file, link));
    }
    if (machine->loop != NULL) {
        loop_die(machine->loop);
        machine->loop = NULL;
    }
    memory_drop(&machine->memory);
    list_init(&machine->files);
    list_init(&machine->listeners);
    machine->paused_until_ns = 0;
    drive_collect(&machine->drive);
    machine_leave(was);
}

void machine_kill(struct machine *machine)
{
    note("%s killed", machine->name);
    forget_process(machine, true);
}

void machine_exited(struct machine *machine)
{
    forget_process(machine, true);
}

void machine_cut_power(struct machine *machine)
{
    note("%s loses power", machine->name);
    machine->powered = false;
    forget_process(machine, false);
    drive_crash(&machine->drive);
}

void machine_power_on(struct machine *machine)
{
    machine->powered = true;
}

void machine_pause(struct machine *machine, uint64_t ns)
{
    note("%s pauses for %.3f s", machine->name, (double)ns / 1e9);
    machine->paused_until_ns = max_u64(machine->paused_until_ns, world->now_ns + ns);
}
