/* The small files and the file names of a Kafka log directory: bytes and names only, no I/O.
 *
 *   log directory   meta.properties  .kafka_cleanshutdown  recovery-point-offset-checkpoint
 *                   log-start-offset-checkpoint  replication-offset-checkpoint
 *   <topic>-<n>/    partition.metadata  leader-epoch-checkpoint (storage/epochs.h)
 *                   NNN.log  NNN.index  NNN.timeindex  NNN.txnindex  NNN.snapshot
 *
 * (Kafka 4.4: LogFileUtils, LocalLog, CheckpointFile, OffsetCheckpointFile, PartitionMetadataFile,
 * CleanShutdownFileHandler, MetaProperties.) Decoders give -EINVAL for what they do not understand
 * and -ENOTSUP for a newer version; results are written only on success. */
#ifndef CHRONIK_STORAGE_KAFKA_FILES_H
#define CHRONIK_STORAGE_KAFKA_FILES_H

#include <chronik/base/text.h>
#include <chronik/base/uuid.h>

struct store_identity;

#define FILE_META_PROPERTIES "meta.properties"
#define FILE_CLEAN_SHUTDOWN ".kafka_cleanshutdown"
#define FILE_RECOVERY_POINTS "recovery-point-offset-checkpoint"
#define FILE_LOG_STARTS "log-start-offset-checkpoint"
#define FILE_HIGH_WATERMARKS "replication-offset-checkpoint"
#define FILE_PARTITION_METADATA "partition.metadata"
#define FILE_LEADER_EPOCHS "leader-epoch-checkpoint"

/* ---- names in a partition's directory ---------------------------------------------------------*/

/* A file's name: an offset of 20 digits, what it is, and what is to become of it. */
enum log_file_kind {
    LOG_FILE_SEGMENT,    /* .log */
    LOG_FILE_INDEX,      /* .index */
    LOG_FILE_TIME_INDEX, /* .timeindex */
    LOG_FILE_TXN_INDEX,  /* .txnindex */
    LOG_FILE_SNAPSHOT,   /* .snapshot: the offset is where it ends, exclusive */
    LOG_FILE_WINDOW,     /* .window: ours, beside a snapshot (storage/producers.h) */
    LOG_FILE_KINDS,
};

enum log_file_state {
    LOG_FILE_LIVE,
    LOG_FILE_DELETED, /* .deleted: to be unlinked */
    LOG_FILE_CLEANED, /* .cleaned: written by a compaction that did not finish */
    LOG_FILE_SWAP,    /* .swap: compacted, about to take the place of others */
    LOG_FILE_STATES,
};

struct log_file_name {
    enum log_file_kind kind;
    enum log_file_state state;
    int64_t offset;
};

enum { LOG_FILE_NAME_SIZE = 40 }; /* bytes, with the terminator */

/* Writes the name; returns `to`. */
char *log_file_format(const struct log_file_name *name, char to[LOG_FILE_NAME_SIZE]);

/* False when it is none of these names. */
bool log_file_parse(struct text name, struct log_file_name *ret_name);

/* ---- names of partition directories -----------------------------------------------------------*/

enum log_dir_state {
    LOG_DIR_LIVE,   /* <topic>-<partition> */
    LOG_DIR_DELETE, /* <topic>-<partition>.<32 hex digits>-delete: to be removed; the topic is cut
                       where the name would be longer than 255 bytes */
    LOG_DIR_FUTURE, /* …-future: a replica that moves here from another directory */
    LOG_DIR_STRAY,  /* …-stray: one that is no longer placed here; the topic is cut as well */
    LOG_DIR_STATES,
};

struct log_dir_name {
    struct text topic; /* a part of the name that was parsed */
    int32_t partition;
    enum log_dir_state state;
};

enum { LOG_DIR_NAME_SIZE = 256 }; /* bytes, with the terminator */

/* Is it a name that Kafka allows for a topic: 1 to 249 of [a-zA-Z0-9._-], not "." nor ".."? */
bool topic_name_ok(struct text name);

/* Writes the name; `unique` tells equal names apart and is not looked at for a live directory.
 * False when the name would be longer than a file name can be. */
bool log_dir_format(const struct log_dir_name *name, const struct uuid *unique,
                    char to[LOG_DIR_NAME_SIZE]);

/* False when it is not the name of a partition's directory. */
bool log_dir_parse(struct text name, struct log_dir_name *ret_name);

/* ---- checkpoint files: a version line "0", a line with the count, then the entries ------------*/

struct checkpoint_reader {
    struct text rest;
    size_t n_fields; /* in a line */
};

enum { CHECKPOINT_FIELDS_MAX = 3 };

/* Checks the whole file (lines, fields, count), so that reading it cannot fail. An empty file is a
 * valid one without entries. */
int checkpoint_open(struct checkpoint_reader *reader, struct bytes file, size_t n_fields);

/* The fields of the next line, parts of the file; false at the end. */
bool checkpoint_next(struct checkpoint_reader *reader, struct text *ret_fields);

/* Begins a file of `n` entries; the caller appends one line for each. */
void checkpoint_begin(struct buf *out, size_t n);

/* An entry of the three files that say one offset of each partition. */
struct offset_entry {
    struct text topic; /* a part of the file */
    int32_t partition;
    int64_t offset;
};

/* As checkpoint_open(), and checks the numbers too. */
int offset_checkpoint_open(struct checkpoint_reader *reader, struct bytes file);

/* The next entry; false at the end. */
bool offset_checkpoint_next(struct checkpoint_reader *reader, struct offset_entry *ret_entry);

/* The offset of one partition, or -1: it is not there, or the file cannot be understood. */
int64_t offset_checkpoint_find(struct bytes file, const char *topic, int32_t partition);

/* Appends an entry's line. */
void offset_checkpoint_put(struct buf *out, const struct offset_entry *entry);

/* ---- single values ----------------------------------------------------------------------------*/

/* partition.metadata: the topic's id. Any version is read, as Kafka does. */
void partition_metadata_encode(const struct uuid *topic_id, struct buf *out);
int partition_metadata_decode(struct bytes file, struct uuid *ret_topic_id);

/* meta.properties, version 1; version 0, of older Kafkas, is read too. What is not in the file: "",
 * -1, a zero id. */
void meta_properties_encode(const struct store_identity *identity, struct buf *out);
int meta_properties_decode(struct bytes file, struct store_identity *ret_identity);

/* .kafka_cleanshutdown: the broker epoch of the life that stopped cleanly (KIP-966). The files of
 * older Kafkas are empty: -EINVAL, though they too say that the stop was clean. */
void clean_shutdown_encode(int64_t broker_epoch, struct buf *out);
int clean_shutdown_decode(struct bytes file, int64_t *ret_broker_epoch);

#endif
