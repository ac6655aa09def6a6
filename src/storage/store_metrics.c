/* What a store tells monitoring. */
#include "state.h"

static double logs(const void *arg)
{
    const struct store *store = arg;
    return (double)store->logs.n;
}

static double damaged(const void *arg)
{
    const struct store *store = arg;
    return (double)store->n_damaged;
}

static double offline(const void *arg)
{
    return store_offline(arg);
}

static double tail_bytes(const void *arg)
{
    const struct store *store = arg;
    return (double)store->slabs.bytes;
}

static double unwritten_bytes(const void *arg)
{
    const struct store *store = arg;
    return (double)store->slabs.unwritten_bytes;
}

static double open_files(const void *arg)
{
    const struct store *store = arg;
    return store->files.n;
}

static double journal_bytes(const void *arg)
{
    const struct store *store = arg;
    return store->journal ? (double)journal_stats(store->journal)->chunk_bytes : 0;
}

void store_memory(const struct store *store, struct store_memory *ret_memory)
{
    *ret_memory = (struct store_memory){
        .tail = store->slabs.bytes,
        .tail_max = store->config.tail_bytes,
        .unwritten = store->slabs.unwritten_bytes,
        .journal = store->journal ? journal_stats(store->journal)->chunk_bytes : 0,
    };
}

void store_metrics(struct store *store, struct metrics *m)
{
    static const struct {
        const char *name, *help;
        double (*read)(const void *arg);
    } GAUGES[] = {
        { "chronikd_logs", "Partitions in the log directory", logs },
        { "chronikd_damaged_logs", "Partitions that must not lead until they are fetched anew",
          damaged },
        { "chronikd_log_directory_offline", "1: a journal write or a sync has failed", offline },
        { "chronikd_tail_bytes", "Memory for the newest batches of all partitions", tail_bytes },
        { "chronikd_unwritten_bytes", "Bytes that only the journal and memory have",
          unwritten_bytes },
        { "chronikd_open_segment_files", "Segment files that are open", open_files },
        { "chronikd_journal_file_bytes", "Bytes of the journal's chunk files", journal_bytes },
    };
    const struct {
        const char *name, *help;
        const uint64_t *value;
    } counters[] = {
        { "chronikd_appends_total", "Appends to partitions", &store->stats.appends },
        { "chronikd_append_bytes_total", "Bytes of batches appended", &store->stats.append_bytes },
        { "chronikd_appends_refused_total", "Appends that found no room", &store->stats.refused },
        { "chronikd_segment_writes_total", "Writes to segments", &store->stats.segment_writes },
        { "chronikd_segment_bytes_total", "Bytes written to segments",
          &store->stats.segment_bytes },
        { "chronikd_segment_syncs_total", "Syncs of segments", &store->files.syncs },
        { "chronikd_segment_rolls_total", "Segments begun behind another", &store->stats.rolls },
        { "chronikd_segments_deleted_total", "Segments deleted from the front of partitions",
          &store->stats.deleted_segments },
        { "chronikd_truncations_total", "Truncations of partitions", &store->stats.truncations },
        { "chronikd_tail_reads_total", "Reads answered from memory", &store->stats.tail_reads },
        { "chronikd_tail_read_bytes_total", "Bytes read from memory",
          &store->stats.tail_read_bytes },
        { "chronikd_segment_reads_total", "Reads from segments", &store->stats.segment_reads },
        { "chronikd_segment_read_bytes_total", "Bytes read from segments",
          &store->stats.segment_read_bytes },
        { "chronikd_checkpoints_total", "Checkpoints written", &store->stats.checkpoints },
    };
    for (size_t i = 0; i < countof(GAUGES); i++) {
        metrics_gauge(m, GAUGES[i].name, GAUGES[i].help, "", GAUGES[i].read, store);
    }
    for (size_t i = 0; i < countof(counters); i++) {
        metrics_counter(m, counters[i].name, counters[i].help, "", counters[i].value);
    }
    metrics_histogram(m, "chronikd_checkpoint_seconds", "Duration of checkpoints", "",
                      &store->stats.checkpoint_ns);
    if (store->journal != NULL) {
        const struct journal_stats *stats = journal_stats(store->journal);
        metrics_counter(m, "chronikd_journal_groups_total", "Writes to the journal", "",
                        &stats->groups);
        metrics_counter(m, "chronikd_journal_bytes_total", "Bytes written to the journal", "",
                        &stats->bytes);
        metrics_histogram(m, "chronikd_journal_write_seconds", "Duration of the journal's writes",
                          "", &stats->write_ns);
    }
}
