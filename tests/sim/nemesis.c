/* The nemesis: for each kind of fault that is on, an event that strikes at random moments. What it
 * has taken down it brings up again after a while. */
#include "life.h"

struct fault {
    struct event event;
    struct life *life;
    uint64_t mean_ns;
    void (*strike)(struct life *life);
};

/* Brings a node back; and takes its power again soon after. */
struct revival {
    struct event event;
    const struct life *life;
    struct node *node;
    uint64_t relapse_ms; /* after the start; 0: no */
};

static void revive_later(const struct life *life, struct node *node);

static void relapse(struct event *event)
{
    struct revival *revival = container_of(event, struct revival, event);
    if (!revival->life->healed) {
        node_cut_power(revival->node);
        revive_later(revival->life, revival->node);
    }
    free(revival);
}

static void revive(struct event *event)
{
    struct revival *revival = container_of(event, struct revival, event);
    machine_power_on(&revival->node->machine);
    node_start(revival->node);
    if (revival->relapse_ms == 0) {
        free(revival);
    } else {
        event_init(event, relapse);
        event_in(event, revival->relapse_ms * NS_PER_MS);
    }
}

static void revive_in(const struct life *life, struct node *node, uint64_t ms,
                      uint64_t relapse_ms)
{
    struct revival *revival = mem_zalloc(sizeof *revival);
    revival->life = life;
    revival->node = node;
    revival->relapse_ms = relapse_ms;
    event_init(&revival->event, revive);
    event_in(&revival->event, ms * NS_PER_MS);
}

static void revive_later(const struct life *life, struct node *node)
{
    revive_in(life, node, between(1, chance(50) ? 200 : 4000), 0);
}

/* Down for a while; or back at once, and then the power fails while it is at work again. */
static void go_down(const struct life *life, struct node *node)
{
    if (chance(life->plan.relapse)) {
        revive_in(life, node, between(1, 20), between(1, chance(30) ? 100 : 1500));
    } else {
        revive_later(life, node);
    }
}

static struct node *some_node(struct life *life)
{
    return &life->nodes[prng_below(&world->prng, life->plan.n_nodes)];
}

/* Waits for the moment when a node writes what must be durable. */
struct ambush {
    struct event event;
    struct life *life;
    struct node *node;
    void (*strike)(struct life *life, struct node *node);
    unsigned tries;
};

static void lie_in_wait(struct event *event)
{
    enum { LOOK_NS = 40000 };
    struct ambush *ambush = container_of(event, struct ambush, event);
    if (!ambush->life->healed && ambush->tries-- > 0 &&
        !machine_writes_durably(&ambush->node->machine)) {
        event_in(event, LOOK_NS);
        return;
    }
    if (!ambush->life->healed) {
        ambush->strike(ambush->life, ambush->node);
    }
    free(ambush);
}

static void strike_at_a_write(struct life *life, struct node *node,
                              void (*strike)(struct life *life, struct node *node))
{
    struct ambush *ambush = mem_zalloc(sizeof *ambush);
    *ambush = (struct ambush){ .life = life, .node = node, .strike = strike, .tries = 5000 };
    event_init(&ambush->event, lie_in_wait);
    event_in(&ambush->event, 0);
}

/* One, or several at once. */
static void strike_nodes(struct life *life, void (*strike)(struct life *life, struct node *node))
{
    bool several = life->plan.n_nodes > 1 && chance(life->plan.all_at_once);
    unsigned percent = several && chance(50) ? 100 : 50;
    struct node *one = some_node(life);
    for (unsigned i = 0; i < life->plan.n_nodes; i++) {
        struct node *node = &life->nodes[i];
        if (node == one || (several && chance(percent))) {
            strike(life, node);
        }
    }
}

static void kill_for_a_while(struct life *life, struct node *node)
{
    node_kill(node);
    go_down(life, node);
}

static void strike_kill(struct life *life)
{
    if (chance(30)) {
        strike_at_a_write(life, some_node(life), kill_for_a_while);
    } else {
        strike_nodes(life, kill_for_a_while);
    }
}

static void cut_power_for_a_while(struct life *life, struct node *node)
{
    node_cut_power(node);
    go_down(life, node);
}

static void strike_power(struct life *life)
{
    if (chance(30)) {
        strike_at_a_write(life, some_node(life), cut_power_for_a_while);
    } else {
        strike_nodes(life, cut_power_for_a_while);
    }
}

/* A stop takes its time; and one that is asked for twice is not a clean one. */
static void stop_for_a_while(struct life *life, struct node *node)
{
    node_stop(node);
    revive_in(life, node, between(1000, 8000), 0);
}

static void strike_stop(struct life *life)
{
    strike_nodes(life, stop_for_a_while);
}

static void strike_pause(struct life *life)
{
    machine_pause(&some_node(life)->machine, between(10, 4000) * NS_PER_MS);
}

static void strike_break(struct life *life)
{
    (void)life;
    for (uint64_t n = between(1, 3); n > 0; n--) {
        network_break_one();
    }
}

static struct machine *some_machine(void)
{
    return world->machines[prng_below(&world->prng, world->n_machines)];
}

static void strike_clog(struct life *life)
{
    (void)life;
    network_clog(some_machine(), some_machine(), between(1, 3000) * NS_PER_MS);
}

static void strike_jump(struct life *life)
{
    struct machine *machine = &some_node(life)->machine;
    int64_t ms = (int64_t)between(0, 20000000) - 10000000;
    note("the clock of %s jumps by %lld ms", machine->name, (long long)ms);
    machine->wall_ms += ms;
}

/* Cuts the network somewhere, or heals it. */
static void strike_partition(struct life *life)
{
    unsigned n = life->plan.n_nodes;
    network_heal();
    switch (between(0, 5)) {
    case 0: /* heals only */
        break;
    case 1: { /* one node is alone, for the others and for clients */
        const struct machine *alone = &some_node(life)->machine;
        for (unsigned i = 0; i < world->n_machines; i++) {
            if (world->machines[i] != alone) {
                network_cut(alone, world->machines[i], true);
                network_cut(world->machines[i], alone, true);
            }
        }
        break;
    }
    case 2: /* one way, between two machines */
        network_cut(some_machine(), some_machine(), true);
        break;
    case 3: { /* two halves; clients reach both */
        for (unsigned i = 0; i < n; i++) {
            bool side = chance(50);
            for (unsigned j = 0; j < i; j++) {
                if (side != (life->nodes[j].machine.index % 2 == 0)) {
                    network_cut(&life->nodes[i].machine, &life->nodes[j].machine, true);
                    network_cut(&life->nodes[j].machine, &life->nodes[i].machine, true);
                }
            }
        }
        break;
    }
    case 4: /* a ring: each reaches its neighbours only */
        for (unsigned i = 0; i < n; i++) {
            for (unsigned j = 0; j < n; j++) {
                if (i != j && (i + 1) % n != j && (j + 1) % n != i) {
                    network_cut(&life->nodes[i].machine, &life->nodes[j].machine, true);
                }
            }
        }
        break;
    default: /* one node hears nothing of another one */
        network_cut(&some_node(life)->machine, &some_node(life)->machine, true);
        break;
    }
}

/* Something else fills a drive, for a while. */
struct filling {
    struct event event;
    struct node *node;
};

static void make_room(struct event *event)
{
    struct filling *filling = container_of(event, struct filling, event);
    filling->node->machine.drive.taken = 0;
    note("%s has room again", filling->node->machine.name);
    free(filling);
}

static void strike_full(struct life *life)
{
    struct node *node = some_node(life);
    struct drive *drive = &node->machine.drive;
    if (drive->taken > 0) {
        return;
    }
    uint64_t left = chance(50) ? 0 : between(0, 2000000);
    drive->taken = drive->capacity - min_u64(drive->used + left, drive->capacity - 1);
    note("%s has no room but %llu bytes", node->machine.name, (unsigned long long)left);
    struct filling *filling = mem_zalloc(sizeof *filling);
    filling->node = node;
    event_init(&filling->event, make_room);
    event_in(&filling->event, between(50, 4000) * NS_PER_MS);
}

/* Somebody looks after processes that have ended by themselves. */
static void strike_tend(struct life *life)
{
    for (unsigned i = 0; i < life->plan.n_nodes; i++) {
        if (life->nodes[i].ended) {
            node_start(&life->nodes[i]);
        }
    }
}

static void struck(struct event *event)
{
    struct fault *fault = container_of(event, struct fault, event);
    fault->life->n_faults++;
    fault->strike(fault->life);
    event_in(event, between(fault->mean_ns / 4, fault->mean_ns * 2));
}

enum { FAULTS = 10 };

static void spoil_drive(const struct life_plan *plan, struct drive_faults *faults)
{
    faults->write_error = plan->write_error;
    faults->sync_error = plan->sync_error;
}

void nemesis_start(struct life *life)
{
    const struct life_plan *plan = &life->plan;
    const struct {
        uint64_t mean_ns;
        void (*strike)(struct life *life);
    } kinds[FAULTS] = {
        { plan->kill_ns, strike_kill },   { plan->power_ns, strike_power },
        { plan->stop_ns, strike_stop },   { plan->pause_ns, strike_pause },
        { plan->break_ns, strike_break }, { plan->clog_ns, strike_clog },
        { plan->jump_ns, strike_jump },   { plan->partition_ns, strike_partition },
        { plan->tend_ns, strike_tend },   { plan->full_ns, strike_full },
    };
    if (plan->bad_drive >= 0) {
        spoil_drive(plan, &life->nodes[plan->bad_drive].machine.drive.faults);
    }
    life->faults = mem_zalloc_array(FAULTS, sizeof *life->faults);
    for (unsigned i = 0; i < FAULTS; i++) {
        struct fault *fault = &life->faults[i];
        *fault =
            (struct fault){ .life = life, .mean_ns = kinds[i].mean_ns, .strike = kinds[i].strike };
        event_init(&fault->event, struck);
        if (fault->mean_ns > 0) {
            event_in(&fault->event, between(fault->mean_ns / 4, fault->mean_ns * 2));
        }
    }
}

void nemesis_stop(struct life *life)
{
    for (unsigned i = 0; i < FAULTS; i++) {
        event_cancel(&life->faults[i].event);
    }
}
