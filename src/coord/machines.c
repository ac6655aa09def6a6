/* The table of what runs on internal topics. */
#include <chronik/coord/coord.h>

#include <chronik/coord/groups.h>

const struct coord_machine coord_machines[COORD_KINDS] = {
    [COORD_GROUPS] = {
        .topic = "__consumer_offsets",
        .partitions = "offsets.topic.num.partitions",
        .replication = "offsets.topic.replication.factor",
        .segment_bytes = "offsets.topic.segment.bytes",
        .state_new = groups_new,
        .state_free = groups_free,
        .apply = groups_apply,
        .loaded = groups_loaded,
        .topic_deleted = groups_topic_deleted,
        .hash = groups_hash,
    },
};
