/* Replication quotas. They are looked up for each chunk, which is large: no copy to be kept in
 * step. */
#include <chronik/replica/throttle.h>

#include <chronik/meta/meta.h>
#include <chronik/replica/table.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *rate, *replicas;
} NAMES[] = {
    [THROTTLE_LEADER] = { "leader.replication.throttled.rate",
                          "leader.replication.throttled.replicas" },
    [THROTTLE_FOLLOWER] = { "follower.replication.throttled.rate",
                            "follower.replication.throttled.replicas" },
};

/* A list of partition:broker with commas, or "*". */
static bool names(struct text list, int32_t partition, int32_t broker)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%" PRId32 ":%" PRId32, partition, broker);
    while (list.len > 0) {
        struct text word = text_trim(text_cut(&list, ','));
        if (text_is(word, "*") || text_is(word, wanted)) {
            return true;
        }
    }
    return false;
}

uint64_t throttle_rate(const struct partition *p, enum throttle_side side)
{
    const struct replicas *r = p->replicas;
    const struct image *image = meta_image(r->meta);
    const struct image_topic *topic = image_topic_by_id(image, &p->topic->id);
    struct config_layers config = config_layers_of(image, r->node_id, r->file);
    int64_t rate = config_number(&config, NAMES[side].rate);

    if (topic == NULL || rate == INT64_MAX) {
        return UINT64_MAX;
    }
    struct text list = image_config(&topic->configs, text_of(NAMES[side].replicas));
    return names(list, p->index, r->node_id)
               ? (uint64_t)rate
               : UINT64_MAX;
}

void throttle_pay(struct throttle *throttle, uint64_t now_ns, uint64_t bytes, uint64_t rate)
{
    uint64_t cost_ns = rate == UINT64_MAX ? 0 : rate == 0 ? NS_PER_S : bytes * NS_PER_S / rate;
    throttle->paid_until_ns = max_u64(throttle->paid_until_ns, now_ns) + cost_ns;
}
