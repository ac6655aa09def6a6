/* The cluster, as all nodes agree on it: brokers, topics, partitions, configs, producer ids.
 *
 * The image is a replicated state machine. Raft entries are batches of commands (src/meta/schema/
 * command.api); image_apply() applies one entry: total, deterministic, without I/O. At equal Raft
 * index, the images of all nodes are equal, and so are their hashes. Nobody else changes an image.
 *
 * Commands were decided by the controller on one image (src/meta/controller.h). An entry names
 * that image by its `base`, and is applied to exactly that one: on any other its commands are
 * refused as a whole, and decided anew. Besides, each command checks what must hold for it.
 *
 * Pointers into an image stay valid until something is applied that concerns the object; whoever
 * waits keeps ids. Iteration is in an order that is the same on every node. */
#ifndef CHRONIK_META_IMAGE_H
#define CHRONIK_META_IMAGE_H

#include <chronik/base/map.h>
#include <chronik/base/text.h>
#include <chronik/base/uuid.h>
#include <chronik/wire/error.h>

enum {
    IMAGE_TOPIC_NAME_MAX = 249,   /* bytes */
    IMAGE_REPLICAS_MAX = 64,      /* of a partition */
    IMAGE_PARTITIONS_MAX = 200000, /* of the cluster; of one topic 100000 */
};

/* Kafka's numbers for the kinds of things that have configs. */
enum image_resource {
    IMAGE_TOPIC = 2,
    IMAGE_BROKER = 4, /* the name is the broker's id; "" is the default of all brokers */
    IMAGE_CLIENT_METRICS = 16,
    IMAGE_GROUP = 32,
};

/* Settings that were set, in order of their names; not the defaults. */
struct image_config {
    char *name, *value;
};

struct image_configs {
    struct image_config *items;
    size_t n;
};

/* ---- brokers ----------------------------------------------------------------------------------*/

struct image_endpoint {
    char *listener, *host;
    uint16_t port;
    int16_t security; /* 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

struct image_directory {
    struct uuid id;
    bool known; /* all topics that it brought are settled (docs/architecture.md, existing topics) */
};

struct image_broker {
    int32_t id;
    int64_t epoch;           /* Raft index of its registration */
    struct uuid incarnation; /* made at each start of the process */
    struct uuid raft_directory; /* where its Raft state lives; another one: it was wiped */
    bool fenced;             /* not serving: leads nothing, takes no new replica to lead */
    bool stopping;           /* asked to hand over its partitions; it will be fenced next */
    char *rack;              /* NULL: none */
    struct image_endpoint *endpoints;
    struct image_directory *directories;
    unsigned n_endpoints, n_directories;
};

/* ---- topics -----------------------------------------------------------------------------------*/

enum image_recovery { IMAGE_RECOVERED = 0, IMAGE_RECOVERING = 1 }; /* KIP-704 */

struct image_partition {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t epoch;       /* rises with every change (Kafka's partition epoch) */
    int32_t last_leader; /* who led last, while there is no leader; else -1 */
    uint8_t recovery;    /* enum image_recovery */
    uint8_t n_replicas, n_isr, n_elr, n_adding, n_removing;
    /* Broker ids; the first replica is the preferred leader. One allocation. `elr`: eligible leader
     * replicas (KIP-966): they left the in-sync set while it was below min.insync.replicas.
     * `adding` and `removing`: a reassignment under way. */
    int32_t *replicas, *isr, *elr, *adding, *removing;
    struct uuid *directories; /* of each replica; NULL: unassigned, i.e. the broker's only one */
};

struct image_topic {
    struct uuid id;
    char *name;
    bool internal;
    bool adopted; /* brought by a directory: keeps everything until its configs are set */
    int32_t n_partitions;
    struct image_partition *partitions;
    struct image_configs configs;

    struct map_node by_id; /* private */
};

/* ---- the whole --------------------------------------------------------------------------------*/

struct image_feature {
    char *name;
    int16_t level;
};

/* Hears of every change, right after it was made (of deletions: right before). Unset entries are
 * skipped. A new topic's partitions are not reported one by one. */
struct image_listener {
    void (*topic_created)(void *arg, const struct image_topic *topic);
    void (*topic_deleted)(void *arg, const struct image_topic *topic);
    void (*partition_changed)(void *arg, const struct image_topic *topic, int32_t partition);
    void (*configs_changed)(void *arg, enum image_resource type, struct text name);
    void (*broker_changed)(void *arg, const struct image_broker *broker);
    void (*features_changed)(void *arg);
};

struct image;

struct image *image_new(void);
void image_free(struct image *image);

/* One listener; NULL: none. The struct is kept by reference. */
void image_listen(struct image *image, const struct image_listener *listener, void *arg);

/* Index of the entry applied last. */
uint64_t image_index(const struct image *image);

/* "" before the cluster was formed. */
const char *image_cluster_id(const struct image *image);

/* In order of their ids. */
size_t image_broker_count(const struct image *image);
const struct image_broker *image_broker_at(const struct image *image, size_t i);
const struct image_broker *image_broker(const struct image *image, int32_t id);
const struct image_directory *image_directory(const struct image_broker *broker,
                                              const struct uuid *id);

/* In order of their names. `image_topic_from`: how many names come before this one. */
size_t image_topic_count(const struct image *image);
size_t image_partition_count(const struct image *image); /* of all topics */
const struct image_topic *image_topic_at(const struct image *image, size_t i);
size_t image_topic_from(const struct image *image, struct text name);
const struct image_topic *image_topic(const struct image *image, struct text name);

/* Is it the name of a topic that coordinators keep their state in, there or not? */
bool image_name_is_internal(struct text name);
const struct image_topic *image_topic_by_id(const struct image *image, const struct uuid *id);

/* NULL when there is no such topic or partition. */
const struct image_partition *image_partition(const struct image *image,
                                              const struct uuid *topic_id, int32_t partition);

/* The settings of a resource, or NULL when none were set; one of them, or a null text. */
const struct image_configs *image_configs(const struct image *image, enum image_resource type,
                                          struct text name);
struct text image_config(const struct image_configs *configs, struct text name);

/* The level of a feature, 0 when it is off; all that are on, in order of their names. */
int16_t image_feature(const struct image *image, struct text name);
size_t image_feature_count(const struct image *image);
const struct image_feature *image_feature_at(const struct image *image, size_t i);

/* First producer id that was not given out. */
int64_t image_next_producer_id(const struct image *image);

static inline bool image_has(const int32_t *ids, unsigned n, int32_t id)
{
    for (unsigned i = 0; i < n; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* ---- the state machine ------------------------------------------------------------------------*/

/* What became of one command. */
struct apply_result {
    enum kafka_error error; /* KAFKA_NONE: applied. NOT_CONTROLLER: it was decided on another image
                               than it met, ask again. Else refused. Nothing was changed then. */
    int64_t value;          /* broker epoch, first producer id; else 0 */
};

/* Who sent a command: results are reported by it, and a second copy of it changes nothing. Requests
 * of one life of one node are numbered; `open` is the lowest number that may still be repeated. */
struct command_id {
    int32_t node; /* -1: the controller itself */
    struct uuid incarnation;
    int64_t sequence, open;
};

/* Called for each command of an entry, in order. */
typedef void image_applied(void *arg, const struct command_id *id, struct apply_result result);

/* Applies the entry at `index`; entries come in order, those without commands (empty) may be left
 * out. Total: an entry that cannot be decoded changes nothing but the index and returns -EBADMSG,
 * which is a bug or damage (every node sees the same); -ENOTSUP: a newer version wrote it, this
 * node must not go on. */
int image_apply(struct image *image, uint64_t index, struct bytes entry, image_applied *applied,
                void *arg);

/* What an entry that is decided now must name as its base. */
uint64_t image_base(const struct image *image);

/* Whether a command was applied already, and with what result. */
bool image_find_result(const struct image *image, const struct command_id *id,
                       struct apply_result *ret_result);

/* A hash of the whole state. */
uint64_t image_hash(const struct image *image);

/* The whole state as bytes (appended), and back. -EBADMSG: not such a state; -ENOTSUP: of a newer
 * version. */
void image_encode(const struct image *image, struct buf *to);
int image_decode(struct bytes from, struct image **ret_image);

/* Tells `listener` what differs between two images, as if it had been applied step by step. */
void image_compare(const struct image *from, const struct image *to,
                   const struct image_listener *listener, void *arg);

#endif
