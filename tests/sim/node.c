/* Starting and ending brokers, as src/chronikd/main.c does. */
#include "node.h"

#include <stdarg.h>
#include <stdio.h>

#include "watch.h"

#include "../../src/meta/meta_private.h"

static void add_argument(struct node *node, char *argument)
{
    check(node->argc + 1 < (int)countof(node->argv));
    node->argv[node->argc++] = argument;
}

static void ended(struct machine *machine);

/* Lives are too short for snapshots as rare as the broker's. */
static void make_snapshots_frequent(const struct node *node)
{
    struct meta *meta = node->broker->meta;
    if (meta != NULL && meta->state == META_OPENING && node->raft_entries > 0) {
        meta->raft_config.snapshot_entries = meta->raft_config.trailing = node->raft_entries;
    }
}

static void turned(struct machine *machine)
{
    struct node *node = machine->program;
    make_snapshots_frequent(node);
    if (node->watch != NULL) {
        watch_turn(node->watch, node);
    }
}

void node_init(struct node *node, int32_t id, const char *peers, uint64_t drive_bytes)
{
    char name[16];
    *node = (struct node){ .id = id };
    snprintf(name, sizeof name, "n%d", (int)id);
    machine_init(&node->machine, name, drive_bytes);
    node->machine.program = node;
    node->machine.ended = ended;
    node->machine.turned = turned;
    add_argument(node, mem_strdup("chronikd"));
    add_argument(node, mem_strdup("--node-id"));
    add_argument(node, mem_sprintf("%d", (int)id));
    add_argument(node, mem_strdup("--data-dir"));
    add_argument(node, mem_strdup("/data"));
    add_argument(node, mem_strdup("--listen"));
    add_argument(node, mem_sprintf("%s:%d", name, NODE_CLIENT_PORT));
    if (peers != NULL) {
        add_argument(node, mem_strdup("--peers"));
        add_argument(node, mem_strdup(peers));
    }
}

void node_release(struct node *node)
{
    machine_release(&node->machine);
    for (int i = 0; i < node->argc; i++) {
        free(node->argv[i]);
    }
}

void node_set(struct node *node, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    add_argument(node, mem_strdup("--override"));
    add_argument(node, mem_strdup(text));
}

static void forget(struct node *node)
{
    if (node->watch != NULL) {
        watch_ended(node->watch, node);
    }
    node->broker = NULL;
    node->options = NULL;
    node->log = NULL;
    node->stopping = false;
}

static void ended(struct machine *machine)
{
    struct node *node = machine->program;
    node->exit_code = broker_finish(node->broker);
    note("%s ends with code %d", machine->name, node->exit_code);
    machine_exited(machine);
    forget(node);
    node->ended = true;
}

void node_start(struct node *node)
{
    struct loop *loop;
    if (node->broker != NULL || !node->machine.powered) {
        return;
    }
    note("%s starts", node->machine.name);
    node->lives++;
    node->ended = false;
    struct machine *was = machine_enter(&node->machine);
    const struct options_source source = {
        .argc = node->argc,
        .argv = node->argv,
        .env = (char *const[]){ NULL },
        .hostname = node->machine.name,
    };
    node->options = mem_zalloc(sizeof *node->options);
    node->log = mem_zalloc(sizeof *node->log);
    node->broker = mem_zalloc(sizeof *node->broker);
    int code = options_read(node->options, &source);
    process_log_init(node->log, false, DIAG_INFO);
    for (size_t i = 0; i < node->options->n_messages; i++) {
        note("%s: %s", node->machine.name, node->options->messages[i].text);
    }
    check(code == 0);
    memcpy(node->log->diag.level, node->options->log_levels, sizeof node->log->diag.level);
    check(loop_new(node->options->io, &loop) == 0);
    code = broker_start(node->broker, loop, node->log, node->options);
    if (code == 0) {
        loop_run(loop);
    } else {
        ended(&node->machine);
    }
    machine_leave(was);
}

void node_stop(struct node *node)
{
    if (node->broker != NULL && !node->stopping) {
        struct machine *was = machine_enter(&node->machine);
        note("%s is asked to stop", node->machine.name);
        node->stopping = true;
        broker_stop(node->broker);
        machine_leave(was);
    }
}

void node_kill(struct node *node)
{
    if (node->broker != NULL) {
        machine_kill(&node->machine);
        forget(node);
    }
}

void node_cut_power(struct node *node)
{
    machine_cut_power(&node->machine);
    forget(node);
}
