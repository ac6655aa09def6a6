/* A life: birth, chaos, healing, judgement. */
#include "life.h"

#include <stdio.h>

/* ---- birth ------------------------------------------------------------------------------------*/

static char *peers_of(const struct life_plan *plan)
{
    struct buf text = { 0 };
    for (unsigned i = 0; i < plan->n_nodes; i++) {
        buf_printf(&text, "%s%u@n%u:%d", i == 0 ? "" : ",", i + 1, i + 1, NODE_PEER_PORT);
    }
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

static void client_ended(struct machine *machine)
{
    (void)machine;
    check(false); /* clients go on until the end of the life */
}

static void make_client(struct life *life)
{
    struct machine *machine = life->clients = mem_zalloc(sizeof *machine);
    struct loop *loop;
    machine_init(machine, "c1", MIB(1));
    machine->of_simulator = true;
    machine->ended = client_ended;
    struct machine *was = machine_enter(machine);
    check(loop_new(LOOP_AUTO, &loop) == 0);
    loop_run(loop);
    machine_leave(was);
    client_init(&life->client, machine, life->plan.n_nodes);
}

static void be_born(struct life *life)
{
    const struct life_plan *plan = &life->plan;
    char *peers = plan->n_nodes > 1 ? peers_of(plan) : NULL;
    network_open(&life->network, 100000);
    history_init(&life->history);
    life->nodes = mem_zalloc_array(plan->n_nodes, sizeof *life->nodes);
    for (unsigned i = 0; i < plan->n_nodes; i++) {
        node_init(&life->nodes[i], (int32_t)i + 1, peers, plan->drive_bytes);
    }
    life->watch = watch_new(life->nodes, plan->n_nodes);
    for (unsigned i = 0; i < plan->n_nodes; i++) {
        life->nodes[i].watch = life->watch;
    }
    plan_apply(plan, life);
    make_client(life);
    for (unsigned i = 0; i < plan->n_nodes; i++) {
        node_start(&life->nodes[i]);
    }
}

/* ---- phases -----------------------------------------------------------------------------------*/

/* Runs until `done`, or fails the life when that takes too long. */
static bool run_until(struct life *life, bool (*done)(struct life *life), uint64_t limit_ns,
                      const char *what)
{
    uint64_t end_ns = world->now_ns + limit_ns;
    while (!world->failed && !done(life)) {
        if (world->now_ns >= end_ns) {
            world_fail("liveness: %s not within %.1f s", what, (double)limit_ns / 1e9);
            break;
        }
        world_run(world->now_ns + 10 * NS_PER_MS);
    }
    return !world->failed;
}

static bool topics_are_there(struct life *life)
{
    for (unsigned i = 0; i < life->plan.n_topics; i++) {
        if (!topic_maker_is_done(life->topics[i])) {
            return false;
        }
    }
    return true;
}

static bool producers_are_done(struct life *life)
{
    for (unsigned i = 0; i < life->plan.n_producers; i++) {
        if (!producer_is_done(life->producers[i])) {
            return false;
        }
    }
    return true;
}

static bool all_is_read(struct life *life)
{
    return consumer_is_done(life->final);
}

static bool all_serve(struct life *life)
{
    bool all = true;
    for (unsigned i = 0; i < life->plan.n_nodes; i++) {
        node_start(&life->nodes[i]);
        all &= node_serves(&life->nodes[i]);
    }
    return all;
}

static void make_topics(struct life *life)
{
    const struct life_plan *plan = &life->plan;
    for (unsigned i = 0; i < plan->n_topics; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        life->topics[i] = topic_maker_new(&life->client, name, (int32_t)plan->n_partitions,
                                          plan->replication, plan->topic_configs);
        for (unsigned p = 0; p < plan->n_partitions; p++) {
            history_add_key(&life->history, name, (int32_t)p);
        }
    }
}

static void begin_to_work(struct life *life)
{
    for (unsigned i = 0; i < life->plan.n_producers; i++) {
        life->producers[i] =
            producer_new(&life->client, &life->history, i, &life->plan.producers[i]);
    }
    life->consumer = consumer_new(&life->client, &life->history, READS_ALONG);
}

static void heal(struct life *life)
{
    note("healing");
    life->healed = true;
    nemesis_stop(life);
    network_heal();
    for (unsigned i = 0; i < life->plan.n_nodes; i++) {
        struct node *node = &life->nodes[i];
        node->machine.drive.faults.write_error = node->machine.drive.faults.sync_error = 0;
        node->machine.drive.taken = 0;
        node->machine.drive.faults.read_error = node->machine.drive.faults.hang = 0;
        machine_power_on(&node->machine);
        node_start(node);
    }
    for (unsigned i = 0; i < life->plan.n_producers; i++) {
        producer_finish(life->producers[i]);
    }
}

static bool is_whole(struct life *life)
{
    return watch_is_whole(life->watch, false);
}

static void judge(struct life *life)
{
    if (!run_until(life, is_whole, life->plan.liveness_ns, "all replicas in sync")) {
        watch_is_whole(life->watch, true);
        return;
    }
    life->final = consumer_new(&life->client, &life->history, READS_AT_THE_END);
    if (!run_until(life, all_is_read, life->plan.liveness_ns, "reading everything")) {
        consumer_explain(life->final);
        return;
    }
    history_finish(&life->history);
    watch_finish(life->watch);
}

static void live(struct life *life)
{
    const struct life_plan *plan = &life->plan;
    struct machine *was = machine_enter(life->clients);
    make_topics(life);
    machine_leave(was);
    if (!run_until(life, topics_are_there, 60 * NS_PER_S, "topics made")) {
        return;
    }
    begin_to_work(life);
    nemesis_start(life);
    world_run(world->now_ns + plan->chaos_ns);
    if (world->failed) {
        return;
    }
    heal(life);
    if (run_until(life, all_serve, plan->liveness_ns, "all nodes serving") &&
        run_until(life, producers_are_done, plan->liveness_ns, "producers done")) {
        judge(life);
    }
}

static void print_trace(const struct life *life, uint64_t n)
{
    uint64_t last = life->world.n_lines, kept = min_u64(TRACE_LINES, last);
    for (uint64_t i = last - min_u64(n, kept); i < last; i++) {
        const struct trace_line *line = &life->world.lines[i % TRACE_LINES];
        fprintf(stderr, "%11.6f %s\n", (double)line->at_ns / 1e9, line->text);
    }
}

void life_run(uint64_t seed, const struct life_options *options, struct life_result *ret_result)
{
    struct life *life = mem_zalloc(sizeof *life);
    life->seed = seed;
    world_open(&life->world, seed);
    life->world.verbose = options->verbose;
    life->world.detail = options->detail;
    plan_draw(&life->plan);
    be_born(life);
    live(life);
    for (unsigned i = 0; i < life->plan.n_nodes && life->world.failed; i++) {
        node_explain(&life->nodes[i]);
    }
    for (unsigned i = 0; i < life->plan.n_nodes; i++) {
        life->n_faults += life->nodes[i].machine.drive.n_faults;
        node_kill(&life->nodes[i]);
    }
    if (life->world.failed && options->trace && !options->verbose) {
        print_trace(life, 200);
    }
    *ret_result = (struct life_result){
        .ok = !life->world.failed,
        .hash = life->world.hash,
        .events = life->world.n_events,
        .acknowledged = life->history.n_acknowledged,
        .reads = life->history.n_reads,
        .faults = life->n_faults,
        .virtual_ns = life->world.now_ns,
    };
    memcpy(ret_result->why, life->world.why, sizeof ret_result->why);
    network = NULL;
    world = NULL;
    fiber_forget_stacks();
    memory_drop(NULL);
}
