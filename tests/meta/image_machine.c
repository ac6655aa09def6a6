/* Random commands, most of which mean something: brokers, topics, settings, producer ids. They are
 * made for the image of the server that they are submitted to, as a controller would; several that
 * are under way at a time are then refused, on every server alike. */
#include "image_machine.h"

#include "../../src/meta/controller.h"

#include <stdio.h>

static void *make(void)
{
    return image_new();
}

static void release(void *machine)
{
    image_free(machine);
}

static void ignore_result(void *arg, const struct command_id *id, struct apply_result result)
{
    (void)arg, (void)id, (void)result;
}

static void apply(void *machine, uint64_t index, struct bytes command)
{
    check(image_apply(machine, index, command, ignore_result, NULL) == 0);
}

static void encode(const void *machine, struct buf *to)
{
    image_encode(machine, to);
}

static void *decode(struct bytes from)
{
    struct image *image;
    check(image_decode(from, &image) == 0);
    return image;
}

/* The index counts in the hash of an image, but not every entry is a command. */
static uint64_t hash(const void *machine)
{
    struct buf state = { 0 };
    image_encode(machine, &state);
    uint64_t hash = hash_bytes(image_base(machine), state.data, state.len);
    buf_release(&state);
    return hash;
}

static void add_topic(struct decision *d, struct prng *prng)
{
    char name[16];
    int32_t id = (int32_t)prng_below(prng, 30), replica = (int32_t)prng_below(prng, 5);
    struct command_create_partitions_partition p = {
        .leader = -1, .replicas = &replica, .n_replicas = 1, .isr = &replica, .n_isr = 1,
        .n_directories = -1 };
    snprintf(name, sizeof name, "topic-%d", (int)id);
    struct command_create_partitions_made made = { .name = text_of(name) };
    const struct command_create_partitions c = { .topic_id = { { (uint8_t)id, 1 } },
                                                 .made = &made, .partitions = &p,
                                                 .n_partitions = 1 };
    decision_add(d, COMMAND_CREATE_PARTITIONS, 0, &c);
}

static void command(const void *machine, struct prng *prng, uint64_t n, struct buf *to)
{
    struct arena arena;
    struct decision d;
    int32_t node = (int32_t)prng_below(prng, 5);
    const struct command_id id = { .node = node, .sequence = (int64_t)n, .open = (int64_t)n - 20 };
    arena_init(&arena, 0);
    decision_init(&d, &arena, &id, 1);
    switch (prng_below(prng, 5)) {
    case 0: {
        const struct command_register_broker c = { .id = node };
        decision_add(&d, COMMAND_REGISTER_BROKER, 0, &c);
        break;
    }
    case 1: {
        const struct command_delete_topic c = {
            .topic_id = { { (uint8_t)prng_below(prng, 30), 1 } } };
        decision_add(&d, COMMAND_DELETE_TOPIC, 0, &c);
        break;
    }
    case 2: {
        const struct command_allocate_producer_ids c = { .count = 10 };
        decision_add(&d, COMMAND_ALLOCATE_PRODUCER_IDS, 0, &c);
        break;
    }
    default:
        add_topic(&d, prng);
    }
    decision_encode(&d, image_base(machine), to);
    decision_release(&d);
    arena_release(&arena);
}

const struct sim_machine sim_image_machine = {
    .make = make, .release = release, .apply = apply, .encode = encode, .decode = decode,
    .hash = hash, .command = command,
};
