/* The APIs that this broker serves. A new one is a row here (docs/adding-an-api.md). */
#include "handlers.h"

#include <chronik/wire/api.h>

const struct api_entry api_table[] = {
    { &wire_produce, handle_produce, API_PIPELINED },
    { &wire_fetch, handle_fetch, 0 },
    { &wire_list_offsets, handle_list_offsets, 0 },
    { &wire_metadata, handle_metadata, 0 },
    { &wire_offset_commit, handle_offset_commit, 0 },
    { &wire_offset_fetch, handle_offset_fetch, 0 },
    { &wire_find_coordinator, handle_find_coordinator, 0 },
    { &wire_join_group, handle_join_group, 0 },
    { &wire_heartbeat, handle_heartbeat, 0 },
    { &wire_leave_group, handle_leave_group, 0 },
    { &wire_sync_group, handle_sync_group, 0 },
    { &wire_describe_groups, handle_describe_groups, 0 },
    { &wire_list_groups, handle_list_groups, 0 },
    { &wire_api_versions, handle_api_versions, API_ANYTIME },
    { &wire_create_topics, handle_create_topics, 0 },
    { &wire_delete_topics, handle_delete_topics, 0 },
    { &wire_delete_records, handle_delete_records, 0 },
    { &wire_init_producer_id, handle_init_producer_id, 0 },
    { &wire_offset_for_leader_epoch, handle_offset_for_leader_epoch, 0 },
    { &wire_describe_configs, handle_describe_configs, 0 },
    { &wire_alter_configs, handle_alter_configs, 0 },
    { &wire_describe_log_dirs, handle_describe_log_dirs, 0 },
    { &wire_create_partitions, handle_create_partitions, 0 },
    { &wire_delete_groups, handle_delete_groups, 0 },
    { &wire_elect_leaders, handle_elect_leaders, 0 },
    { &wire_incremental_alter_configs, handle_incremental_alter_configs, 0 },
    { &wire_alter_partition_reassignments, handle_alter_partition_reassignments, 0 },
    { &wire_list_partition_reassignments, handle_list_partition_reassignments, 0 },
    { &wire_offset_delete, handle_offset_delete, 0 },
    { &wire_describe_quorum, handle_describe_quorum, 0 },
    { &wire_describe_cluster, handle_describe_cluster, 0 },
    { &wire_describe_topic_partitions, handle_describe_topic_partitions, 0 },
};

const unsigned api_table_count = countof(api_table);
