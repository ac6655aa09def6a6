/* Configuration: one table of every setting, and what follows from it.
 *
 * config.def holds a row per setting: Kafka's name, type, allowed values and default (ours where it
 * is safer), whether and where it can be changed at run time, and what it does here.
 * DescribeConfigs, AlterConfigs, the properties file and docs/config.md all read that table.
 *
 * A value is looked up through layers, the first that has it wins:
 *
 *     the topic's own > this broker's dynamic > all brokers' dynamic > file and flags > default
 *
 * A topic config is inherited from broker configs under other names: `retention.ms` from
 * `log.retention.ms`, else `log.retention.minutes`, else `log.retention.hours`. The layer counts
 * first, then the order of the names. Everything here is pure: no I/O, no state.
 *
 * Source: Kafka documentation, "Broker Configs" and "Topic Configs"; KIP-226 (dynamic broker
 * configs), KIP-339 (incremental changes), KIP-569 (types and documentation). */
#ifndef CHRONIK_META_CONFIG_H
#define CHRONIK_META_CONFIG_H

#include <chronik/base/arena.h>
#include <chronik/meta/image.h>
#include <chronik/storage/log.h>
#include <chronik/wire/compress.h>
#include <chronik/wire/error.h>

/* ---- the table --------------------------------------------------------------------------------*/

/* Numbers as in DescribeConfigs v3. */
enum config_type {
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_SHORT = 4,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7, /* of words separated by commas */
    CONFIG_CLASS = 8,
    CONFIG_PASSWORD = 9, /* never shown */
};

enum config_scope { CONFIG_TOPIC, CONFIG_BROKER };

/* When a broker config takes effect. Topic configs can always be changed. */
enum config_update {
    CONFIG_STATIC,       /* at start */
    CONFIG_PER_BROKER,   /* at run time, for one broker */
    CONFIG_CLUSTER_WIDE, /* at run time, for one broker or for all */
};

/* Where a value comes from; numbers as in DescribeConfigs. */
enum config_source {
    CONFIG_FROM_TOPIC = 1,
    CONFIG_FROM_BROKER = 2,
    CONFIG_FROM_CLUSTER = 3, /* dynamic, for all brokers */
    CONFIG_FROM_FILE = 4,    /* file, environment or command line */
    CONFIG_FROM_DEFAULT = 5,
};

/* A broker config that a topic config is inherited from; its number times `factor`. */
struct config_synonym {
    const char *name;
    int64_t factor;
};

enum { CONFIG_SYNONYMS_MAX = 3 };

struct config_def {
    const char *name;
    enum config_type type;
    enum config_scope scope;
    enum config_update update;
    const char *value;       /* default; NULL: none */
    int64_t min, max;        /* of numbers */
    int64_t also;            /* one more allowed number, outside of them; 0: none */
    const char *words;       /* allowed words, separated by '|' ('#': a number); NULL: any text */
    bool clamped;            /* shown as at most the number of brokers */
    bool hidden;             /* not described: Kafka's internal ones */
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]; /* in order of precedence, then NULL */
    const char *unused;      /* why it changes nothing here; NULL: it is honoured */
    const char *doc;
};

/* The row of a setting, or NULL. */
const struct config_def *config_find(enum config_scope scope, struct text name);

/* All rows of a scope, sorted by name. */
const struct config_def *config_table(enum config_scope scope, size_t *ret_n);

/* A name that Apache Kafka has, or had, and that means nothing here: a sentence that says why; else
 * NULL. Prefixed names ("listener.name.x.…") are looked up without the prefix. */
const char *config_kafka_only(struct text name);

/* The known broker config whose name is nearest to a mistyped one, or NULL when none is near. */
const char *config_suggest(struct text name);

/* ---- values -----------------------------------------------------------------------------------*/

enum { CONFIG_VALUE_MAX = INT16_MAX }; /* bytes: what every version of the protocol can carry */

/* Appends the value in its one way of writing ("TRUE " is "true", "a, b" is "a,b"). False when it
 * is not allowed; then `out` gets a sentence that says what is, fit to follow the name and the
 * value. */
bool config_parse(const struct config_def *def, struct text value, struct buf *out);

/* What is allowed, for people: "an int, at least -1", "one of a, b". */
void config_allowed(const struct config_def *def, struct buf *out);

const char *config_type_name(enum config_type type); /* "int" */

/* Does a list (in its one way of writing) hold the word? */
bool config_list_has(struct text list, const char *word);

/* ---- sets of values ---------------------------------------------------------------------------*/

/* The settings of a file are kept as the image keeps those of a topic (meta/image.h): names with
 * values, sorted by name. These are for sets outside of an image; `*set` begins zeroed. */
void config_set_put(struct image_configs *set, struct text name, struct text value); /* copies */
void config_set_remove(struct image_configs *set, struct text name);
void config_set_release(struct image_configs *set);

/* The value, or NULL; valid until the set is changed. The set may be NULL. */
const char *config_set_get(const struct image_configs *set, struct text name);

/* ---- resolving --------------------------------------------------------------------------------*/

/* Every layer may be NULL: empty. */
struct config_layers {
    const struct image_configs *topic;   /* of one topic; NULL when a broker is meant */
    const struct image_configs *broker;  /* dynamic, of this broker */
    const struct image_configs *cluster; /* dynamic, of all brokers */
    const struct image_configs *file;    /* file, environment, command line */
    int32_t n_brokers;                /* of the cluster; bounds the default replication factors */
};

/* The layers of a broker; for a topic, set `topic` as well. Valid until the image changes. `file`:
 * what file, environment and command line say. */
struct config_layers config_layers_of(const struct image *image, int32_t node_id,
                                      const struct image_configs *file);

/* The settings of a topic that parts of the broker act on. */
struct topic_config {
    struct log_config log;
    int32_t min_insync_replicas;
    uint32_t max_message_bytes;
    uint32_t max_decompressed_bytes;
    bool log_append_time;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    bool keep_codec;   /* compression.type=producer */
    enum codec codec;  /* the one that compression.type names otherwise */
    bool unclean_leader_election;
    int64_t delete_retention_ms, min_compaction_lag_ms, max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
};

/* Fills every field, from the layers or the defaults. */
void topic_config_resolve(const struct config_layers *layers, struct topic_config *ret_config);

/* The in-sync replicas that an acks=all append needs: never more than there are replicas. */
static inline int32_t topic_config_min_isr(const struct topic_config *config, int32_t n_replicas)
{
    return config->min_insync_replicas < n_replicas ? config->min_insync_replicas : n_replicas;
}

/* The value of one broker config (the table has it, and a default where these cannot be null).
 * `_text` may be null; its memory belongs to the layers or to the table. */
bool config_bool(const struct config_layers *layers, const char *name);
int64_t config_number(const struct config_layers *layers, const char *name);
double config_double(const struct config_layers *layers, const char *name);
struct text config_text(const struct config_layers *layers, const char *name);

/* ---- DescribeConfigs --------------------------------------------------------------------------*/

struct config_origin {
    const char *name;
    struct text value; /* null when it is secret, too */
    enum config_source source;
};

struct config_description {
    const struct config_def *def;
    struct text value; /* in effect; null: none, or secret */
    enum config_source source;
    bool read_only, sensitive;
    const struct config_origin *origins; /* in order of precedence, the one in effect first */
    size_t n_origins;
};

/* Describes one setting. Everything that is not in layers or table is allocated in `arena`, which
 * has no budget. */
void config_describe(const struct config_def *def, const struct config_layers *layers,
                     struct arena *arena, struct config_description *ret_description);

/* ---- AlterConfigs, IncrementalAlterConfigs, and the configs of CreateTopics -------------------*/

/* Numbers as in IncrementalAlterConfigs. */
enum config_op_kind { CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND, CONFIG_SUBTRACT };

struct config_op {
    int8_t kind; /* as it came from the client */
    struct text name, value;
};

/* What a topic, one broker, or all brokers together will be set to. */
struct config_target {
    enum config_scope scope;
    bool all_brokers;            /* with CONFIG_BROKER */
    const struct image_configs *own; /* what is set now; NULL: nothing */
    const struct config_layers *below; /* what it inherits from; its own layer is ignored */
};

struct config_change {
    struct text name, value; /* value null: removed */
};

struct config_changes {
    struct config_change *items; /* sorted by name; only what differs from what is set now */
    size_t n;
};

/* Works out what the operations change, all or nothing. KAFKA_NONE and `*ret_changes`, or a message
 * and INVALID_CONFIG (unknown name, bad value, contradiction, list operation on something else) or
 * INVALID_REQUEST (null value, name twice, not to be changed at run time). Changes and message are
 * allocated in `arena`. */
enum kafka_error config_alter(const struct config_target *target, const struct config_op *ops,
                              size_t n_ops, struct arena *arena,
                              struct config_changes *ret_changes, struct text *ret_message);

/* The same for AlterConfigs, which replaces everything that is set: what is not named is removed.
 */
enum kafka_error config_replace(const struct config_target *target, const struct config_op *sets,
                                size_t n_sets, struct arena *arena,
                                struct config_changes *ret_changes, struct text *ret_message);

/* ---- docs/config.md ---------------------------------------------------------------------------*/

/* Appends the page. */
void config_document(struct buf *out);

#endif
