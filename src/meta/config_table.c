/* The table of settings as C data, and the search in it.
 *
 * config.def is included twice, once per scope; both halves are sorted by name (a test sees to it),
 * so that a search is a binary one. */
#include <chronik/meta/config.h>

/* Why a setting changes nothing here: complete sentences for docs/config.md. */
#define ALWAYS_CONTROLLED   "A clean stop always hands leadership over first."
#define ALWAYS_DURABLE      "Every acknowledged record is on stable storage already."
#define BOTH_ROLES          "Every node is broker and controller."
#define BOUNDED_BY_BYTES    "Requests are bounded by bytes, not by number."
#define CONTROLLER_LISTENER "Nodes talk to each other on the listener of controller.listener.names."
#define COUNTS_ENTRIES      "Snapshots are taken by the number of entries."
#define KERNEL_SIZES        "The kernel's own sizes are used; it adapts them."
#define LAZY_SEGMENTS       "Segments are written behind the journal, which is allocated ahead."
#define NO_ACCEPT_RATE      "There is no limit on the rate, only on the number of connections."
#define NO_AUTHORIZER       "There is no authorization in this version."
#define NO_COMPACTION       "There is no compaction in this version."
#define NO_GROUPS           "There are no groups of the newer protocols in this version."
#define OWN_PIECES          "Groups are loaded in pieces of 1 MiB."
#define NO_PLUGINS          "Classes cannot be loaded; /metrics serves the metrics."
#define NO_PURGATORY        "Requests that wait are removed when they are done."
#define NO_QUOTAS           "There are no client quotas in this version."
#define NO_REPLICATION_QUOTAS "Replication is not throttled by replica."
#define NO_SASL             "There is no SASL in this version."
#define NO_SESSIONS         "There are no sessions of brokers in this version."
#define NO_TIERED_STORAGE   "There is no remote storage."
#define NO_TLS              "There is no TLS in this version."
#define NO_TRANSACTIONS     "There are no transactions in this version."
#define ONE_LIMIT           "There is one limit for all addresses."
#define ONE_LOOP            "One loop does the work; there are no such threads."
#define OWN_LEVELS          "The broker compresses at each codec's own level."
#define OWN_CHECKPOINTS     "Checkpoints follow the journal (docs/data-files.md)."
#define PUSHED_AT_ONCE      "Followers get records as soon as there are any."
#define RAFT_PUSHES         "The metadata leader sends to its voters; they do not fetch."
#define STATIC_VOTERS       "The voters are those of controller.quorum.voters."

/* allowed */
#define ANY                      .min = INT64_MIN, .max = INT64_MAX
#define AT_LEAST(low)            .min = low, .max = INT64_MAX
#define BETWEEN(low, high)       .min = low, .max = high
#define BETWEEN_OR(low, high, n) .min = low, .max = high, .also = n
#define WORDS(list)              .words = list
#define CLAMPED(low)             .min = low, .max = INT64_MAX, .clamped = true
#define HIDDEN                   .min = 1, .max = INT64_MAX, .hidden = true
#define THROTTLED                "*|#:#"

/* synonyms */
#define NONE                         { { NULL, 0 } }
#define FROM(name)                   { { name, 1 } }
#define TIMES(a, m, b, n, c, o, ...) { { a, m }, { b, n }, { c, o } }
#define FROM_TIMES(...)              TIMES(__VA_ARGS__, NULL, 0, )

/* update, effect */
#define STATIC      CONFIG_STATIC
#define PER_BROKER  CONFIG_PER_BROKER
#define CLUSTER     CONFIG_CLUSTER_WIDE
#define HONOURED    NULL
#define UNUSED(why) why

/* clang-format off */
static const struct config_def TOPICS[] = {
#define TOPIC(name_, type_, value_, allowed, synonyms_, effect, doc_)                              \
    { .name = name_, .type = CONFIG_##type_, .scope = CONFIG_TOPIC, .update = CONFIG_CLUSTER_WIDE, \
      .value = value_, allowed, .synonyms = synonyms_, .unused = effect, .doc = doc_ },
#define BROKER(...)
#include <chronik/meta/config.def>
#undef TOPIC
#undef BROKER
};

static const struct config_def BROKERS[] = {
#define TOPIC(...)
#define BROKER(name_, type_, value_, allowed, update_, effect, doc_)                               \
    { .name = name_, .type = CONFIG_##type_, .scope = CONFIG_BROKER, .update = update_,            \
      .value = value_, allowed, .unused = effect, .doc = doc_ },
#include <chronik/meta/config.def>
#undef TOPIC
#undef BROKER
};
/* clang-format on */

const struct config_def *config_table(enum config_scope scope, size_t *ret_n)
{
    *ret_n = scope == CONFIG_TOPIC ? countof(TOPICS) : countof(BROKERS);
    return scope == CONFIG_TOPIC ? TOPICS : BROKERS;
}

const struct config_def *config_find(enum config_scope scope, struct text name)
{
    size_t low = 0, high;
    const struct config_def *table = config_table(scope, &high);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = text_compare(name, text_of(table[middle].name));
        if (order == 0) {
            return &table[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
